//! fastText's own models (`.bin`): words with their n-grams.

use std::os::unix::fs::FileExt;
use std::path::Path;

use rayon::prelude::*;

use crate::bases::text::subwords::{Hashing, Subwords};
use crate::bases::text::vector_rows::{Bytes, COLUMNS, Rows};
use crate::bases::text::vectors::WordVectors;
use crate::error::{Error, Problem, Result};
use crate::files::open_regular;

/// What a model begins with: 793,712,314 as 32 bits.
pub(super) const MAGIC: [u8; 4] = [0xba, 0x16, 0x4f, 0x2f];
/// The newest version there is.
const VERSION: i32 = 12;
/// `model` of a classifier.
const SUPERVISED: i32 = 3;
/// The kind of an entry that is a word, not a label.
const IS_WORD: u8 = 0;
/// Words whose vectors are worked out at a time.
const WAVE: usize = 4096;

/// Reads a model that is not quantised. A word's vector is the mean of its own row and of those of its n-grams, in f32 as
/// fastText sums them; rows of n-grams are read where they lie.
pub(super) fn read(path: &Path) -> Result<WordVectors> {
    let mut bytes = Bytes::open(path)?;
    let mut magic = [0; 4];
    bytes.fill(&mut magic, "the model's sign")?;
    let version = bytes.i32("the version")?;
    if magic != MAGIC || !(11..=VERSION).contains(&version) {
        return Err(bytes.wrong("this fastText model cannot be read", "version 11 or 12", version));
    }
    let mut numbers = [0i32; 12];
    for number in &mut numbers {
        *number = bytes.i32("the training settings")?;
    }
    bytes.skip(8, "the training settings")?;
    let [columns, _, _, _, _, _, _, model, buckets, shortest, longest, _] = numbers;
    let longest = if version == 11 && model == SUPERVISED { 0 } else { longest };
    if columns < 1 || columns as usize > COLUMNS || buckets < 0 || shortest < 0 || !(0..=64).contains(&longest) {
        let expected = format!("1 to {COLUMNS} columns, and n-grams of 0 to 64 characters");
        let found = format!("{columns} columns, {buckets} buckets, n-grams of {shortest} to {longest}");
        return Err(bytes.wrong("the settings of the fastText model are damaged", expected, found));
    }
    let columns = columns as usize;
    let (entries, words, labels) =
        (bytes.i32("the vocabulary")?, bytes.i32("the vocabulary")?, bytes.i32("the vocabulary")?);
    let (_tokens, pruned) = (bytes.i64("the vocabulary")?, bytes.i64("the vocabulary")?);
    if words < 1 || labels < 0 || i64::from(words) + i64::from(labels) != i64::from(entries) {
        let found = format!("{entries} entries, {words} words, {labels} labels");
        return Err(bytes.wrong("the vocabulary of the fastText model is damaged", "words and labels", found));
    }
    bytes.check(entries as u64, 10, "entries")?;
    let mut names = Vec::with_capacity(words as usize);
    for entry in 0..entries {
        let name = bytes.until_zero("a word")?;
        bytes.skip(8, "a word's count")?;
        let kind = bytes.u8("a word's kind")?;
        if (kind == IS_WORD) != (entry < words) || name.is_empty() {
            let expected = format!("{words} words, then {labels} labels, none empty");
            let found = format!("entry {} of kind {kind}", entry + 1);
            return Err(bytes.wrong("the vocabulary of the fastText model is damaged", expected, found));
        }
        if kind == IS_WORD {
            names.push(name);
        }
    }
    let quantised = bytes.u8("the kind of matrix")?;
    if quantised != 0 || pruned > 0 {
        let problem = Problem::new("this fastText model is quantised").expected("a model that was not compressed");
        let problem = problem.found("an .ftz model").at(path);
        return Err(Error::Weights(problem.hint("take the .bin or .vec file that it was made from")));
    }
    let (rows, width) = (bytes.i64("the matrix")?, bytes.i64("the matrix")?);
    let expected = i64::from(words) + i64::from(buckets);
    if rows != expected || width != columns as i64 {
        let found = format!("{rows} rows of {width} columns");
        let expected = format!("{expected} rows of {columns} columns");
        return Err(bytes.wrong("the matrix of the fastText model does not fit its vocabulary", expected, found));
    }
    bytes.check(rows as u64 * columns as u64, 4, "numbers of the matrix")?;
    let start = bytes.at();
    let row = columns as u64 * 4;
    let file = open_regular(path).map_err(|source| Error::read(path, &source))?;
    let ngrams = Subwords {
        hashing: Hashing::FastText { rows: (buckets as u64).max(1) },
        shortest: shortest as usize,
        longest: if buckets == 0 { 0 } else { longest as usize },
        file,
        path: path.to_owned(),
        start: start + words as u64 * row,
        columns,
    };
    let mut all = Rows::default();
    all.values.reserve_exact(names.len() * columns);
    for (wave, names) in names.chunks(WAVE).enumerate() {
        let mut own = vec![0; names.len() * row as usize];
        let place = start + (wave * WAVE) as u64 * row;
        ngrams.file.read_exact_at(&mut own, place).map_err(|source| Error::read(path, &source))?;
        let values: Vec<Vec<f32>> = names
            .par_iter()
            .zip(own.par_chunks(row as usize))
            .map(|(name, own)| {
                let own = own.chunks_exact(4).map(|part| f32::from_le_bytes([part[0], part[1], part[2], part[3]]));
                let mut sum: Vec<f32> = own.collect();
                let more = if name == b"</s>" { 0 } else { ngrams.add(name, &mut sum)? };
                let scale = (1.0 / (1 + more) as f64) as f32;
                sum.iter_mut().for_each(|x| *x *= scale);
                Ok(sum)
            })
            .collect::<Result<_>>()?;
        for (at, (name, values)) in names.iter().zip(values).enumerate() {
            if let Some(odd) = values.iter().find(|value| !value.is_finite()) {
                let problem = Problem::new(format_args!("row {} of the word vectors is damaged", wave * WAVE + at + 1));
                return Err(Error::Weights(problem.expected("finite numbers").found(odd).at(path)));
            }
            all.push(name);
            all.values.extend(values);
        }
    }
    let mut vectors = all.finish(columns, None, path)?;
    if labels > 0 {
        vectors.remark(format!("the {labels} labels of the classifier, and its output layer, are not read"));
    }
    if ngrams.longest > 0 {
        vectors.set_subwords(ngrams);
    }
    Ok(vectors)
}
