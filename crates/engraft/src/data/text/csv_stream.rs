//! Records of a table with a delimiter, one after the other and each within the limit; the lines on which they begin, and
//! whether a quote that is not closed made one of several.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder};

use super::Limits;
use super::dialect::{Dialect, Usual};
use super::encoding::{Decoding, Detected};
use super::record::{at, decoded, too_long};
use crate::error::{Error, Problem, Result};

/// What the reader of records reads ahead, in bytes.
const BUFFER: usize = 64 << 10;
/// Values of the last column that are remembered.
const VALUES: usize = 64;

/// Records within the limit: the reader is given bytes only as far as one record may reach.
pub(super) struct Stream {
    reader: Reader<Guard<Usual<Decoding<BufReader<File>>>>>,
    allowed: Arc<AtomicU64>,
    record: ByteRecord,
    limit: usize,
    place: std::path::PathBuf,
    lines: Lines,
    delimiter: u8,
    quoting: bool,
    /// What stands in the last column, as far as it was seen.
    values: HashSet<Vec<u8>>,
    /// Whether the last record looks like several.
    pub(super) is_merged: bool,
}

/// The bytes that the reader was given, kept from the last record on.
struct Guard<R> {
    inner: R,
    given: u64,
    allowed: Arc<AtomicU64>,
    kept: Vec<u8>,
    /// The place of the first of them in the whole.
    from: u64,
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given > self.allowed.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let read = self.inner.read(buffer)?;
        self.given += read as u64;
        self.kept.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}

impl<R> Guard<R> {
    /// Forgets what came before a place, once that is much.
    fn forget(&mut self, until: u64) {
        let before = (until - self.from) as usize;
        if before > BUFFER {
            self.kept.drain(..before.min(self.kept.len()));
            self.from = until;
        }
    }

    fn between(&self, from: u64, to: u64) -> &[u8] {
        self.kept.get((from - self.from) as usize..(to - self.from) as usize).unwrap_or_default()
    }
}

/// Lines that were passed: one ends in a line feed, a carriage return, or both.
struct Lines {
    /// The line that comes, from 1.
    line: u64,
    after_return: bool,
}

impl Lines {
    /// Passes the bytes of a record, with the ends of lines before it: the line on which it begins, and its bytes without those.
    fn pass<'a>(&mut self, raw: &'a [u8]) -> (u64, &'a [u8]) {
        let start = raw.iter().position(|byte| !matches!(byte, b'\n' | b'\r')).unwrap_or(raw.len());
        let (before, record) = raw.split_at(start);
        self.count(before);
        let line = self.line;
        self.count(record);
        (line, record)
    }

    fn count(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.last() else { return };
        let returns = bytes.iter().filter(|byte| **byte == b'\r').count();
        let feeds = bytes.iter().filter(|byte| **byte == b'\n').count();
        let pairs = match returns {
            0 => 0,
            _ => bytes.windows(2).filter(|pair| *pair == b"\r\n").count(),
        };
        let pairs = pairs + usize::from(self.after_return && bytes[0] == b'\n');
        self.line += (returns + feeds - pairs) as u64;
        self.after_return = *last == b'\r';
    }
}

pub(super) fn reader<R: Read>(input: R, delimiter: u8, quoting: bool) -> Reader<R> {
    let mut builder = ReaderBuilder::new();
    builder.delimiter(delimiter).quoting(quoting).has_headers(false).buffer_capacity(BUFFER).from_reader(input)
}

/// How a table is written.
pub(super) struct Form<'a> {
    pub(super) encoding: &'a Detected,
    pub(super) dialect: Dialect,
    pub(super) delimiter: u8,
    pub(super) quoting: bool,
    /// Lines before the header that are no part of the table.
    pub(super) preface: u64,
}

impl Stream {
    pub(super) fn open(table: &Form<'_>, path: &Path, limits: &Limits) -> Result<Self> {
        let allowed = Arc::new(AtomicU64::new(0));
        let mut text = decoded(path, table.encoding)?;
        for _ in 0..table.preface {
            let mut byte = [0];
            while matches!(text.read(&mut byte), Ok(1)) && byte[0] != b'\n' {}
        }
        let text = Usual::new(text, table.dialect, table.delimiter);
        let guard = Guard { inner: text, given: 0, allowed: allowed.clone(), kept: Vec::new(), from: 0 };
        Ok(Self {
            reader: reader(guard, table.delimiter, table.quoting),
            allowed,
            record: ByteRecord::new(),
            limit: limits.record,
            place: path.to_owned(),
            lines: Lines { line: 1 + table.preface, after_return: false },
            delimiter: table.delimiter,
            quoting: table.quoting,
            values: HashSet::new(),
            is_merged: false,
        })
    }

    /// The next record, and the line on which it begins.
    pub(super) fn next(&mut self) -> Result<Option<(&ByteRecord, u64)>> {
        let from = self.reader.position().byte();
        self.reader.get_mut().forget(from);
        self.allowed.store(from + self.limit as u64, Ordering::Relaxed);
        let read = self.reader.read_byte_record(&mut self.record);
        let to = self.reader.position().byte();
        let (line, raw) = self.lines.pass(self.reader.get_ref().between(from, to));
        let refused = |problem: Problem| Error::Data(problem.at(at(&self.place, line)));
        match read {
            Ok(true) if self.record.as_slice().len() > self.limit => Err(refused(too_long(self.limit))),
            Ok(true) => {
                let lines = raw.trim_ascii_end();
                let spans = self.quoting && lines.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
                let width = self.record.len();
                self.is_merged = spans && looks_merged(lines, self.delimiter, width, &self.values);
                let last = self.record.get(width.saturating_sub(1)).unwrap_or_default().trim_ascii();
                if !spans && self.values.len() < VALUES && !self.values.contains(last) {
                    self.values.insert(last.to_vec());
                }
                Ok(Some((&self.record, line)))
            }
            Ok(false) => Ok(None),
            Err(error) => Err(match error.kind() {
                ErrorKind::UnequalLengths { expected_len, len, .. } => refused(ragged(*expected_len, *len)),
                ErrorKind::Io(source) if source.kind() == io::ErrorKind::FileTooLarge => refused(too_long(self.limit)),
                _ => refused(Problem::new("the table cannot be read").found(&error)),
            }),
        }
    }
}

/// Whether a record of several lines looks like several records that an unclosed quote made one: what follows the closing quote
/// of a field of several lines is part of a text, or the quote is never closed, or the lines within it are whole records, by
/// their number of fields and by what stands in their last.
fn looks_merged(raw: &[u8], delimiter: u8, width: usize, values: &HashSet<Vec<u8>>) -> bool {
    // Where the quoted field begins that is read.
    let (mut at, mut quoted): (usize, Option<usize>) = (0, None);
    let mut starts = true;
    while at < raw.len() {
        match (quoted, raw[at]) {
            (None, b'"') if starts => (quoted, starts) = (Some(at + 1), false),
            (None, byte) => starts = byte == delimiter,
            (Some(_), b'"') if raw.get(at + 1) == Some(&b'"') => at += 1,
            (Some(from), b'"') => {
                let field = &raw[from..at];
                let spans = field.contains(&b'\n') || field.contains(&b'\r');
                let after = raw[at + 1..].iter().find(|byte| **byte != b' ');
                if spans && after.is_some_and(|byte| *byte != delimiter) || are_records(field, delimiter, width, values)
                {
                    return true;
                }
                quoted = None;
            }
            _ => {}
        }
        at += 1;
    }
    quoted.is_some()
}

/// Whether all lines of a field but its last are records: as many fields, and a last one that other records end in.
fn are_records(field: &[u8], delimiter: u8, width: usize, values: &HashSet<Vec<u8>>) -> bool {
    let mut lines: Vec<&[u8]> = field.split(|byte| matches!(byte, b'\n' | b'\r')).collect();
    lines.pop();
    let lines: Vec<&[u8]> = lines.into_iter().filter(|line| !line.trim_ascii().is_empty()).collect();
    let is_record = |line: &&[u8]| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == delimiter).collect();
        fields.len() == width && fields.last().is_some_and(|last| values.contains(last.trim_ascii()))
    };
    width > 1 && !lines.is_empty() && lines.iter().all(is_record)
}

fn ragged(expected: u64, found: u64) -> Problem {
    let count = |fields: u64| if fields == 1 { "1 field".to_owned() } else { format!("{fields} fields") };
    Problem::new("a row has another number of fields than the first")
        .expected(count(expected))
        .found(count(found))
        .hint(match found > expected {
            true => "put a text that holds the delimiter in double quotes",
            false => "fill what is missing, or close a quote that was opened here or before",
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_in_feeds_returns_or_both() {
        for end in ["\n", "\r", "\r\n"] {
            let mut lines = Lines { line: 1, after_return: false };
            assert_eq!(lines.pass(format!("a,b{}", &end[..1]).as_bytes()).0, 1);
            let rest = &end[1..];
            assert_eq!(lines.pass(format!("{rest}{end}\"c{end}d\",e{}", &end[..1]).as_bytes()).0, 3, "{end:?}");
            assert_eq!(lines.pass(format!("{rest}f").as_bytes()).0, 5, "{end:?}");
        }
    }

    #[test]
    fn records_that_a_quote_made_one_are_told_from_texts_of_several_lines() {
        let values: HashSet<Vec<u8>> = [b"pos".to_vec(), b"neg".to_vec()].into();
        let merged = |raw: &str| looks_merged(raw.as_bytes(), b',', 2, &values);
        assert!(merged("\"the soup,pos\n\"the bread\",neg"), "a quote in the next row closes it");
        assert!(merged("\"the soup,pos\nthe bread,neg\nso 5\",neg"), "it holds whole rows");
        assert!(merged("\"the soup,pos\nthe bread,neg"), "it is never closed");
        assert!(!merged("\"the soup\nand \"\"the bread\"\"\",neg"));
        assert!(!merged("\"well, soup\nand, bread\" ,neg"));
        assert!(!merged("\"the soup\",\"po\ns\""));
    }
}
