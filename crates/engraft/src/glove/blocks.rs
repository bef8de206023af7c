//! Co-occurrences as they are learned: by blocks of words and of contexts, in an order that is drawn once.
//!
//! With P blocks of words and P of contexts there are P x P blocks of pairs. A pair is 16 bytes: its rows within the blocks, ln X and f(X).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::kernel::Pair;
use super::records::{RECORD, Record, Records, checksum};
use super::scatter::scatter;
use super::vocabulary::Vocabulary;
use crate::error::{Error, Problem, Result, printable};
use crate::files::{Partial, open_regular, write_atomic};
use crate::progress::Observer;
use crate::settings::Glove;

const DATA: &str = "blocks.bin";
const INDEX: &str = "blocks.json";

/// What is in the blocks, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Index {
    /// What they were made of.
    made_of: String,
    /// Pairs of each block, words first.
    counts: Vec<u64>,
    /// For each word, its records as a row, if somebody asks.
    of_word: Vec<u32>,
    /// CRC-32C of the data.
    checksum: u32,
}

/// Pairs in blocks, in a file.
#[derive(Debug)]
pub(super) struct Blocks {
    path: PathBuf,
    file: File,
    blocks: usize,
    /// Where each block begins, in pairs, and the number of pairs in the end.
    starts: Vec<u64>,
    /// Records of each word as a row.
    pub(super) of_word: Vec<u32>,
}

/// A counter for each word, for all threads.
struct Counters(Vec<AtomicU64>);

impl Counters {
    fn new(words: usize) -> Self {
        Self((0..words).map(|_| AtomicU64::new(0)).collect())
    }

    fn add(&self, word: u32, number: u64) {
        self.0[word as usize].fetch_add(number, Ordering::Relaxed);
    }

    fn taken(self) -> Vec<u64> {
        self.0.into_iter().map(AtomicU64::into_inner).collect()
    }
}

/// Pairs that are read at once.
const READ: usize = 8 << 10;

impl Blocks {
    /// Opens the blocks of a folder, if they are there, complete, and made of the same.
    pub(super) fn open(folder: &Path, blocks: usize, made_of: &str) -> Option<Self> {
        let index = crate::files::read_limited(&folder.join(INDEX), 1 << 34).ok()?;
        let index: Index = serde_json::from_slice(&index).ok()?;
        let path = folder.join(DATA);
        let file = open_regular(&path).ok()?;
        let fits = index.made_of == made_of && index.counts.len() == blocks * blocks;
        let found = Self::new(path, file, blocks, &index.counts, index.of_word);
        let length = found.file.metadata().ok()?.len();
        let is_whole = || checksum(&found.file, &found.path, length, |_| Ok(())).is_ok_and(|sum| sum == index.checksum);
        (fits && length == found.count() * RECORD as u64 && is_whole()).then_some(found)
    }

    fn new(path: PathBuf, file: File, blocks: usize, counts: &[u64], of_word: Vec<u32>) -> Self {
        let mut starts = vec![0];
        starts.extend(counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        }));
        Self { path, file, blocks, starts, of_word }
    }

    /// Makes the blocks of a file of co-occurrences in `folder`. The work takes at most `memory` bytes.
    ///
    /// # Errors
    /// [`Error::Data`] for a record that is not possible, or that cannot be of this vocabulary; [`Error::Usage`] where a block does not
    /// fit in memory; [`Error::Output`]; [`Error::Interrupted`].
    pub(super) fn make(
        folder: &Path,
        records: &Records,
        vocabulary: &Vocabulary,
        made_of: &str,
        memory: u64,
        settings: &Glove,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let blocks = settings.blocks;
        let words = vocabulary.len();
        let count = words as u32;
        let side = blocks as u32;
        let path = folder.join(DATA);
        let block = |_| move |record: Record| record.row % side * side + record.column % side;
        let groups = scatter(records, count, blocks * blocks, memory, &path, observer, block)?;
        let (of_word, sums) = (Counters::new(words), Counters::new(words));
        let mut counts = vec![0; blocks * blocks];
        let mut partial = Partial::open(&folder.join(format!("{DATA}.part")))?;
        partial.clear()?;
        let (mut bytes, mut checksum) = (Vec::new(), 0);
        let room = (settings.memory_bytes() / 2).max(memory);
        let prepare = |records: &mut [u128]| {
            for record in records {
                let (row, column) = ((*record as u32) - 1, ((*record >> 32) as u32) - 1);
                let value = f64::from_bits((*record >> 64) as u64);
                of_word.add(row, 1);
                sums.add(row, value as u64);
                let weight = if value > settings.x_max { 1.0 } else { (value / settings.x_max).powf(settings.alpha) };
                let numbers = [row / side, column / side, (value.ln() as f32).to_bits(), (weight as f32).to_bits()];
                *record = numbers.iter().rev().fold(0, |all, &number| all << 32 | u128::from(number));
            }
        };
        groups.shuffled(settings.seed, "glove/block", room, observer, prepare, |block, records| {
            counts[block] = records.len() as u64;
            for part in records.chunks(READ) {
                bytes.clear();
                bytes.extend(part.iter().flat_map(|record| record.to_le_bytes()));
                checksum = crc32c::crc32c_append(checksum, &bytes);
                partial.append(&bytes)?;
            }
            Ok(())
        })?;
        let (of_word, sums) = (of_word.taken(), sums.taken());
        let of_word: Vec<u32> = of_word.into_iter().map(|count| u32::try_from(count).unwrap_or(u32::MAX)).collect();
        // A word is a context at most so often as there are places in all windows around it.
        let most = |row: usize| vocabulary.counts()[row].saturating_mul(2 * 255);
        if let Some(row) = (0..words).find(|&row| sums[row] > most(row)) {
            let place = format!("{}, row {}", printable(records.path()), row + 1);
            let problem = Problem::new("the co-occurrences belong to another vocabulary")
                .expected(format_args!(
                    "sums that fit: `{}` comes {} times",
                    vocabulary.word(row),
                    vocabulary.counts()[row]
                ))
                .found(format_args!("co-occurrences that sum to {}", sums[row]))
                .at(place);
            return Err(Error::Data(problem.hint("give the vocabulary with which they were counted")));
        }
        partial.finish(&path)?;
        let index = Index { made_of: made_of.to_owned(), counts, of_word, checksum };
        let text = serde_json::to_vec(&index)
            .map_err(|source| Error::Output(Problem::new("the index of the blocks cannot be written").found(source)))?;
        write_atomic(&folder.join(INDEX), &text)?;
        let file = open_regular(&path).map_err(|source| Error::read(&path, &source))?;
        Ok(Self::new(path, file, blocks, &index.counts, index.of_word))
    }

    /// Pairs in all.
    pub(super) fn count(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Hands over the pairs of a block, a part at a time.
    pub(super) fn each(&self, words: usize, contexts: usize, mut each: impl FnMut(&[[u8; RECORD]])) -> Result<()> {
        let block = words * self.blocks + contexts;
        let mut bytes = vec![0; READ * RECORD];
        let mut at = self.starts[block];
        while at < self.starts[block + 1] {
            let count = (self.starts[block + 1] - at).min(READ as u64) as usize;
            let part = &mut bytes[..count * RECORD];
            self.file.read_exact_at(part, at * RECORD as u64).map_err(|source| Error::read(&self.path, &source))?;
            each(part.as_chunks::<RECORD>().0);
            at += count as u64;
        }
        Ok(())
    }
}

/// The pair of these bytes.
#[inline(always)]
pub(super) fn pair(bytes: &[u8; RECORD]) -> Pair {
    let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    Pair { word: number(0), context: number(4), log: f32::from_bits(number(8)), weight: f32::from_bits(number(12)) }
}
