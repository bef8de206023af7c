//! Vectors of unknown words from their character n-grams (Bojanowski et al. 2017, "Enriching word vectors with subword
//! information"), as fastText and finalfusion hash them.
//!
//! The n-grams' rows stay in the file and are read by their position when they are asked for: there are two million of them in the
//! published models.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::error::{Error, Result};

/// How an n-gram becomes a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hashing {
    /// fastText: FNV-1a of 32 bits over bytes that are sign-extended, modulo the number of rows.
    FastText { rows: u64 },
    /// finalfusion: FNV-1a of 64 bits over the length and the characters, of which the last `exponent` bits are taken.
    Finalfusion { exponent: u32 },
}

/// The n-grams of a model.
#[derive(Debug)]
pub(super) struct Subwords {
    pub(super) hashing: Hashing,
    /// Shortest n-gram, in characters.
    pub(super) shortest: usize,
    /// Longest n-gram, in characters; 0 for a model without n-grams.
    pub(super) longest: usize,
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// The byte at which the first row begins.
    pub(super) start: u64,
    pub(super) columns: usize,
}

impl Subwords {
    /// The rows of a word's n-grams, in the order in which they are added up: at each character of `<word>` the short ones first.
    /// An n-gram of one character is none where that is a boundary.
    pub(super) fn rows(&self, word: &[u8]) -> Vec<u64> {
        let whole = [b"<", word, b">"].concat();
        let is_begin = |byte: u8| byte & 0xC0 != 0x80;
        let mut rows = Vec::new();
        for begin in (0..whole.len()).filter(|&at| is_begin(whole[at])) {
            let mut end = begin;
            for length in 1..=self.longest {
                if end == whole.len() {
                    break;
                }
                end += 1;
                while end < whole.len() && !is_begin(whole[end]) {
                    end += 1;
                }
                let is_boundary = length == 1 && (begin == 0 || end == whole.len());
                if length >= self.shortest && !is_boundary {
                    rows.push(self.row_of(&whole[begin..end]));
                }
            }
        }
        rows
    }

    fn row_of(&self, ngram: &[u8]) -> u64 {
        match self.hashing {
            Hashing::FastText { rows } => {
                // fastText's bytes are signed.
                let mix = |hash: u32, &byte: &u8| (hash ^ i32::from(byte as i8) as u32).wrapping_mul(16_777_619);
                u64::from(ngram.iter().fold(2_166_136_261, mix)) % rows
            }
            Hashing::Finalfusion { exponent } => {
                let text = String::from_utf8_lossy(ngram);
                let length = (text.chars().count() as u64).to_le_bytes();
                let letters = text.chars().flat_map(|letter| u32::from(letter).to_le_bytes());
                let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
                let hash = length.into_iter().chain(letters).fold(0xcbf2_9ce4_8422_2325, mix);
                if exponent >= 64 { hash } else { hash & ((1 << exponent) - 1) }
            }
        }
    }

    /// Adds a word's n-grams to `sum`, `[columns]`, in f32 as fastText does; how many there are.
    pub(super) fn add(&self, word: &[u8], sum: &mut [f32]) -> Result<usize> {
        let rows = self.rows(word);
        let mut bytes = vec![0; self.columns * 4];
        for row in &rows {
            let place = self.start + row * bytes.len() as u64;
            self.file.read_exact_at(&mut bytes, place).map_err(|source| Error::read(&self.path, &source))?;
            for (sum, part) in sum.iter_mut().zip(bytes.chunks_exact(4)) {
                *sum += f32::from_le_bytes([part[0], part[1], part[2], part[3]]);
            }
        }
        Ok(rows.len())
    }

    /// The mean of a word's n-grams, `[columns]`; none where it has none, or where a number is not finite.
    pub(super) fn vector(&self, word: &str) -> Result<Option<Vec<f32>>> {
        // fastText's sign for the end of a line has no n-grams.
        if self.longest == 0 || word == "</s>" {
            return Ok(None);
        }
        let mut sum = vec![0.0; self.columns];
        let count = self.add(word.as_bytes(), &mut sum)?;
        let scale = (1.0 / count as f64) as f32;
        sum.iter_mut().for_each(|x| *x *= scale);
        Ok(Some(sum).filter(|sum| count > 0 && sum.iter().all(|x| x.is_finite())))
    }
}
