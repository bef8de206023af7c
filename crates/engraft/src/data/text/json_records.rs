//! The objects of a JSON file one after the other: one on each line, the elements of one list, or what one object holds.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Limits;
use super::encoding::{Decoding, Detected};
use super::json_object::Within;
use super::lines::Lines;
use super::record::{at, decoded, too_long};
use crate::error::{Error, Problem, Result};

/// Bytes from the beginning that tell whether a file is one list.
const HEAD: u64 = 4096;

/// How the objects lie in a file.
#[derive(Debug)]
pub(super) enum JsonForm {
    /// One on each line.
    Lines,
    /// In one list.
    List,
    /// Within one object.
    Within(Within),
}

impl JsonForm {
    /// # Errors
    /// [`Error::Data`] where the file cannot be read, or is one object of another kind.
    pub(super) fn of(path: &Path, encoding: &Detected, limits: &Limits) -> Result<Self> {
        if is_list(path, encoding)? {
            return Ok(Self::List);
        }
        // A file that promises lines is not read whole.
        let within = match crate::data::ending(path).as_deref() {
            Some("json") => Within::open(path, encoding, limits)?,
            _ => None,
        };
        Ok(within.map_or(Self::Lines, Self::Within))
    }
}

/// Whether a file is one list of objects.
fn is_list(path: &Path, encoding: &Detected) -> Result<bool> {
    let mut head = Vec::new();
    let read = decoded(path, encoding)?.take(HEAD).read_to_end(&mut head);
    read.map_err(|source| crate::data::missing(path, &source))?;
    let signs: Vec<u8> = head.into_iter().filter(|byte| !byte.is_ascii_whitespace()).take(2).collect();
    Ok(signs == b"[{")
}

/// The objects of a file.
pub(super) enum JsonRecords {
    Lines(Lines),
    Elements(Elements),
    Within { rows: Arc<Vec<String>>, next: usize },
}

impl JsonRecords {
    pub(super) fn open(path: &Path, encoding: &Detected, form: &JsonForm, limits: &Limits) -> Result<Self> {
        Ok(match form {
            JsonForm::List => Self::Elements(Elements::open(path, encoding, limits)?),
            JsonForm::Lines => Self::Lines(Lines::open(path, encoding, limits)?),
            JsonForm::Within(within) => Self::Within { rows: within.rows.clone(), next: 0 },
        })
    }

    /// The text of the next one.
    pub(super) fn next(&mut self) -> Result<Option<&str>> {
        match self {
            Self::Lines(lines) => lines.next(),
            Self::Elements(elements) => elements.next(),
            Self::Within { rows, next } => {
                *next += 1;
                Ok(rows.get(*next - 1).map(String::as_str))
            }
        }
    }

    /// The line on which the last one begins.
    pub(super) fn line(&self) -> u64 {
        match self {
            Self::Lines(lines) => lines.line,
            Self::Elements(elements) => elements.begins,
            // Such a file often has no others.
            Self::Within { .. } => 1,
        }
    }
}

/// The elements of one list, each within the limit. What is no JSON within an element is left to who reads it.
pub(super) struct Elements {
    reader: BufReader<Decoding<BufReader<File>>>,
    buffer: Vec<u8>,
    limit: usize,
    place: PathBuf,
    /// The line that is read, from 1, and the one on which the last element begins.
    line: u64,
    begins: u64,
    /// Brackets and braces that are open, the list's own among them.
    depth: usize,
    quoted: bool,
    escaped: bool,
    ended: bool,
}

impl Elements {
    fn open(path: &Path, encoding: &Detected, limits: &Limits) -> Result<Self> {
        let reader = BufReader::new(decoded(path, encoding)?);
        let (place, limit, buffer) = (path.to_owned(), limits.record, Vec::new());
        let (line, begins, depth) = (1, 1, 0);
        let (quoted, escaped, ended) = (false, false, false);
        Ok(Self { reader, buffer, limit, place, line, begins, depth, quoted, escaped, ended })
    }

    fn next(&mut self) -> Result<Option<&str>> {
        self.buffer.clear();
        while !self.ended {
            let piece = self.reader.fill_buf().map_err(|source| crate::data::missing(&self.place, &source))?;
            if piece.is_empty() {
                let problem = Problem::new("the list does not end").expected("`]` after the last element");
                let problem = problem.found("the end of the file").hint("the file is cut off: fetch or write it again");
                return Err(Error::Data(problem.at(at(&self.place, self.line))));
            }
            let mut taken = 0;
            let mut is_whole = false;
            for &byte in piece {
                taken += 1;
                let (before, outside) = (self.depth, !self.quoted && self.depth == 1);
                self.line += u64::from(byte == b'\n');
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' if self.quoted => self.escaped = true,
                    b'"' => self.quoted = !self.quoted,
                    _ if self.quoted => {}
                    b'[' | b'{' => self.depth += 1,
                    b']' | b'}' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
                if !self.quoted && self.depth == 0 {
                    // The list's own bracket, or a blank before it.
                    (self.ended, is_whole) = (before == 1, before == 1 && !self.buffer.is_empty());
                } else if outside && byte == b',' {
                    is_whole = true;
                } else if before > 0 && !(self.buffer.is_empty() && byte.is_ascii_whitespace()) {
                    if self.buffer.is_empty() {
                        self.begins = self.line;
                    }
                    self.buffer.push(byte);
                }
                if is_whole || self.ended {
                    break;
                }
            }
            self.reader.consume(taken);
            if self.buffer.len() > self.limit {
                return Err(Error::Data(too_long(self.limit).at(at(&self.place, self.begins))));
            }
            if is_whole {
                return self.text().map(Some);
            }
        }
        Ok(None)
    }

    fn text(&self) -> Result<&str> {
        // Always UTF-8, as it is decoded; no panic should that ever be otherwise.
        std::str::from_utf8(&self.buffer).map(str::trim_end).map_err(|source| {
            Error::Data(Problem::new("an element is not UTF-8").found(source).at(at(&self.place, self.begins)))
        })
    }
}
