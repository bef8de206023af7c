//! Co-occurrence records as GloVe's C program writes them: two words by their places in the vocabulary, from 1, as 32 bits, and
//! their weighted count as f64.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::truncated::Record;
use crate::error::{Error, Problem, Result, printable};
use crate::files::open_regular;

/// Bytes of a record.
const SIZE: usize = 16;

/// The records of a file, one after the other. The first that is wrong ends them.
pub(super) struct Records {
    reader: BufReader<File>,
    path: PathBuf,
    words: usize,
    at: u64,
    count: u64,
}

impl Records {
    /// Opens a file of records over a vocabulary of `words` words.
    pub(super) fn open(path: &Path, words: usize) -> Result<Self> {
        let file = open_regular(path).map_err(|source| Error::read(path, &source))?;
        let size = file.metadata().map_err(|source| Error::read(path, &source))?.len();
        if size == 0 || size % SIZE as u64 != 0 {
            let problem = Problem::new("the co-occurrence records are cut off, or these are none");
            let problem = problem.expected(format_args!("a multiple of {SIZE} bytes"));
            return Err(Error::Data(problem.found(format_args!("{size} bytes")).at(path)));
        }
        let reader = BufReader::with_capacity(1 << 16, file);
        Ok(Self { reader, path: path.to_owned(), words, at: 0, count: size / SIZE as u64 })
    }

    fn read(&mut self) -> Result<Record> {
        let mut bytes = [0; SIZE];
        self.reader.read_exact(&mut bytes).map_err(|source| Error::read(&self.path, &source))?;
        let whole = |at: usize| i32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let (row, column) = (whole(0), whole(4));
        let count = f64::from_le_bytes(bytes[8..].try_into().unwrap_or_default());
        let place = format!("{}, record {} (byte {})", printable(&self.path), self.at + 1, self.at * SIZE as u64);
        let is_word = |word: i32| word >= 1 && word as usize <= self.words;
        if !is_word(row) || !is_word(column) {
            let problem = Problem::new("a co-occurrence record names no word of the vocabulary");
            let problem = problem.expected(format_args!("words 1 to {}", self.words));
            let problem = problem.found(format_args!("{row} and {column}")).at(place);
            return Err(Error::Data(problem.hint("is the vocabulary that of another run?")));
        }
        if !(count > 0.0 && count.is_finite()) {
            let problem = Problem::new("the count of a co-occurrence record is damaged");
            return Err(Error::Data(problem.expected("a finite number above 0").found(count).at(place)));
        }
        Ok(Record { row: row as u32 - 1, column: column as u32 - 1, count })
    }
}

impl Iterator for Records {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.count {
            return None;
        }
        let record = self.read();
        self.at = if record.is_ok() { self.at + 1 } else { self.count };
        Some(record)
    }
}
