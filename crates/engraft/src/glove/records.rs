//! Co-occurrences as the C tools write them: int32 row, int32 column (both from 1), float64 value, little-endian, 16 bytes.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Problem, Result, printable};
use crate::files::open_regular;
use crate::progress::Observer;

/// Bytes of a record.
pub(super) const RECORD: usize = 16;

/// Records that are read at a time.
const PIECE: u64 = 1 << 12;

/// How often two words come together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record {
    /// The word, from 0.
    pub row: u32,
    /// Its context, from 0.
    pub column: u32,
    /// The weighted count; finite and above 0.
    pub value: f64,
}

impl Record {
    /// Its bytes in a file.
    #[inline(always)]
    pub(super) fn to_bytes(self) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        bytes[..4].copy_from_slice(&(self.row + 1).to_le_bytes());
        bytes[4..8].copy_from_slice(&(self.column + 1).to_le_bytes());
        bytes[8..].copy_from_slice(&self.value.to_le_bytes());
        bytes
    }
}

/// The CRC-32C of the first bytes of a file. `each` hears the length of every piece and may end it.
pub(super) fn checksum(file: &File, path: &Path, bytes: u64, mut each: impl FnMut(u64) -> Result<()>) -> Result<u32> {
    let mut piece = vec![0; bytes.min(1 << 20) as usize];
    let (mut at, mut checksum) = (0, 0);
    while at < bytes {
        let part = &mut piece[..(bytes - at).min(1 << 20) as usize];
        file.read_exact_at(part, at).map_err(|source| Error::read(path, &source))?;
        checksum = crc32c::crc32c_append(checksum, part);
        at += part.len() as u64;
        each(part.len() as u64)?;
    }
    Ok(checksum)
}

/// A file of co-occurrences. Its length was checked; its records are as they are read.
#[derive(Debug)]
pub struct Records {
    path: PathBuf,
    file: File,
    count: u64,
}

impl Records {
    /// Opens a file of co-occurrences.
    ///
    /// # Errors
    /// [`Error::Data`] where it cannot be read, is empty, or ends within a record.
    pub fn open(path: &Path) -> Result<Self> {
        let fail = |source| Error::Data(Problem::new("the co-occurrences cannot be read").found(source).at(path));
        let file = open_regular(path).map_err(fail)?;
        let length = file.metadata().map_err(fail)?.len();
        if length == 0 {
            let problem =
                Problem::new("there are no co-occurrences").expected("records of 16 bytes").found("an empty file");
            return Err(Error::Data(problem.at(path).hint("`engraft glove cooccur` makes them")));
        }
        if !length.is_multiple_of(RECORD as u64) {
            let problem = Problem::new("the file of co-occurrences ends within a record")
                .expected("a multiple of 16 bytes")
                .found(format_args!("{length} bytes: {} more than {} records", length % 16, length / 16))
                .at(path);
            return Err(Error::Data(problem.hint("it is cut off, or not a file of co-occurrences; make it again")));
        }
        Ok(Self { path: path.to_owned(), file, count: length / RECORD as u64 })
    }

    /// Records in it.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What tells one file of co-occurrences from another: its length, and a checksum of all its bytes.
    pub(super) fn fingerprint(&self, observer: &dyn Observer) -> Result<String> {
        observer.begin("checking co-occurrences", self.count, "records");
        let checksum = checksum(&self.file, &self.path, self.count * RECORD as u64, |bytes| {
            observer.advance(bytes / RECORD as u64);
            observer.check()
        })?;
        observer.end();
        Ok(format!("records {} {checksum:08x}", self.count))
    }

    /// Reads the bytes of the records from `first` on.
    pub(super) fn read_bytes(&self, first: u64, bytes: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(bytes, first * RECORD as u64).map_err(|source| Error::read(&self.path, &source))
    }

    /// The record of these bytes, the one of number `at`, of `words` words.
    ///
    /// # Errors
    /// [`Error::Data`] that names the record where a word is not in the vocabulary, or the value is not above 0 and finite.
    #[inline(always)]
    pub(super) fn checked(&self, bytes: &[u8; RECORD], at: u64, words: u32) -> Result<Record> {
        let number =
            u64::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]]);
        let (row, column) = ((number as u32).wrapping_sub(1), ((number >> 32) as u32).wrapping_sub(1));
        let value =
            f64::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11], bytes[12], bytes[13], bytes[14], bytes[15]]);
        if row < words && column < words && value > 0.0 && value < f64::INFINITY {
            return Ok(Record { row, column, value });
        }
        Err(self.refused(Record { row, column, value }, at, words))
    }

    /// All records in the file's order, of `words` words. The first that is wrong ends them.
    pub fn of_words(&self, words: usize) -> impl Iterator<Item = Result<Record>> {
        let words = u32::try_from(words).unwrap_or(u32::MAX);
        let mut piece: Vec<u8> = Vec::new();
        let mut begins = 0;
        let mut failed = false;
        (0..self.count).map_while(move |at| {
            if failed {
                return None;
            }
            let mut read = || {
                if at == begins + (piece.len() / RECORD) as u64 {
                    begins = at;
                    piece.resize(PIECE.min(self.count - at) as usize * RECORD, 0);
                    self.read_bytes(at, &mut piece)?;
                }
                let (records, _) = piece.as_chunks::<RECORD>();
                self.checked(&records[(at - begins) as usize], at, words)
            };
            let record = read();
            failed = record.is_err();
            Some(record)
        })
    }

    #[cold]
    fn refused(&self, record: Record, at: u64, words: u32) -> Error {
        let (row, column) = (record.row.wrapping_add(1) as i32, record.column.wrapping_add(1) as i32);
        let place = format!("{}, record {} (byte {})", printable(&self.path), at + 1, at * RECORD as u64);
        let found = format!("row {row}, column {column}, value {}", record.value);
        let problem = match record.row < words && record.column < words {
            true => Problem::new("a co-occurrence has an impossible value").expected("a finite number above 0"),
            false if words == i32::MAX as u32 => {
                Problem::new("a co-occurrence has an impossible word").expected("words that are counted from 1")
            }
            false => Problem::new("a co-occurrence is of a word that the vocabulary does not have")
                .expected(format_args!("words from 1 to {words}"))
                .found(&found),
        };
        let hint = "the file is damaged, or belongs to another vocabulary: make both from one corpus";
        Error::Data(problem.found(found).at(place).hint(hint))
    }
}
