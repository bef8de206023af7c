//! Lines of a text, each within a limit.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::Limits;
use super::encoding::{Decoding, Detected};
use super::record::{at, decoded, too_long};
use crate::error::{Error, Problem, Result};

/// Lines that are not blank, within the limit.
pub(super) struct Lines {
    reader: BufReader<Decoding<BufReader<File>>>,
    buffer: Vec<u8>,
    limit: usize,
    /// The number of the last line, from 1.
    pub(super) line: u64,
    place: std::path::PathBuf,
}

impl Lines {
    pub(super) fn open(path: &Path, encoding: &Detected, limits: &Limits) -> Result<Self> {
        let reader = BufReader::new(decoded(path, encoding)?);
        Ok(Self { reader, buffer: Vec::new(), limit: limits.record, line: 0, place: path.to_owned() })
    }

    /// The next line that is not blank, without its end.
    pub(super) fn next(&mut self) -> Result<Option<&str>> {
        loop {
            if !self.advance()? {
                return Ok(None);
            }
            if !self.buffer.trim_ascii().is_empty() {
                return self.text().map(Some);
            }
        }
    }

    /// The next line, blank or not.
    pub(super) fn next_of_any(&mut self) -> Result<Option<&str>> {
        if self.advance()? { self.text().map(Some) } else { Ok(None) }
    }

    fn advance(&mut self) -> Result<bool> {
        self.buffer.clear();
        self.line += 1;
        let read = self.reader.by_ref().take(self.limit as u64 + 1).read_until(b'\n', &mut self.buffer);
        read.map_err(|source| crate::data::missing(&self.place, &source))?;
        if self.buffer.len() > self.limit {
            return Err(Error::Data(too_long(self.limit).at(at(&self.place, self.line))));
        }
        Ok(!self.buffer.is_empty())
    }

    fn text(&self) -> Result<&str> {
        // Always UTF-8, as it is decoded; no panic should that ever be otherwise.
        std::str::from_utf8(&self.buffer).map(|line| line.trim_end_matches(['\n', '\r'])).map_err(|source| {
            Error::Data(Problem::new("a line is not UTF-8").found(source).at(at(&self.place, self.line)))
        })
    }
}
