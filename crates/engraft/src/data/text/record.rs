//! Records of a table, and what the readers of all kinds of tables share.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use encoding_rs::Encoding;

use super::Limits;
use super::encoding::{Decoding, Detected};
#[cfg(doc)]
use crate::data::task::SEPARATOR;
use crate::error::{Error, Problem, Result, printable};
use crate::files::open_regular;

/// Records that are looked at to find out about columns.
pub(super) const SAMPLE: usize = 1000;

/// How a table is to be opened.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Opening<'a> {
    /// Columns that are known to be there, if the table has a header.
    pub(crate) named: &'a [&'a str],
    /// The encoding that was asked for; found out where none was.
    pub(crate) encoding: Option<&'static Encoding>,
    /// Whether the encoding is found out by the beginning alone: for a look at what the table is.
    pub(crate) glance: bool,
}

/// One record: some of its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number, from 1, the header not counted.
    pub(crate) row: u64,
    /// The line on which it begins, from 1; in Parquet its row.
    pub(crate) line: u64,
    /// The fields that were asked for, in that order, trimmed; nothing where there is none.
    pub(crate) fields: Vec<Option<String>>,
    /// Places among the fields of those that had blanks around them.
    pub(crate) padded: Vec<usize>,
    /// Places among the fields of lists; their elements stand there with a [`SEPARATOR`] between them.
    pub(crate) lists: Vec<usize>,
}

impl Record {
    /// Refuses a list among the first fields, whose columns have these names: only labels may be several.
    pub(crate) fn refuse_lists(&self, names: &[&str], path: &Path) -> Result<()> {
        match self.lists.iter().find(|&&place| place < names.len()) {
            Some(&place) => Err(Error::Data(nested(names[place], "a list").at(at(path, self.line)))),
            None => Ok(()),
        }
    }
}

/// The refusal of a value with parts.
pub(crate) fn nested(name: &str, found: &str) -> Problem {
    Problem::new(format!("the value of `{name}` is nested"))
        .expected("a text, a number, true or false")
        .found(found)
        .hint("write its parts as columns of their own")
}

/// Records one after the other; ends after the first error.
pub(crate) type Records = Box<dyn Iterator<Item = Result<Record>> + Send>;

/// The bytes of a column, row by row; nothing where there are none.
pub(crate) type Blobs = Box<dyn Iterator<Item = Result<Option<Vec<u8>>>> + Send>;

pub(super) const KINDS: &str = "a table (.csv, .tsv, .jsonl, .parquet) with one row per text";

/// A place in a table, for an error.
pub(crate) fn at(path: &Path, line: u64) -> String {
    format!("{}, line {line}", printable(path))
}

/// A file as UTF-8.
pub(super) fn decoded(path: &Path, encoding: &Detected) -> Result<Decoding<BufReader<File>>> {
    let file = open_regular(path).map_err(|source| crate::data::missing(path, &source))?;
    Ok(Decoding::new(BufReader::new(file), encoding.encoding))
}

/// The refusal of a record over the limit.
pub(super) fn too_long(limit: usize) -> Problem {
    let limit = match limit >> 20 {
        0 => format!("{limit} bytes"),
        mebibytes => format!("{mebibytes} MiB"),
    };
    Problem::new("a record is too long")
        .expected(format!("at most {limit} in one row"))
        .found("more than that without an end")
        .hint("a quote that is never closed makes one row of all that follows; split longer documents")
}

/// The refusal of more text than is kept in memory.
pub(super) fn too_much(limits: &Limits) -> Problem {
    Problem::new("there is more text than is read at once")
        .expected(format!("at most {} MiB of labelled texts", limits.total >> 20))
        .hint("take a sample of it; embeddings are computed of tables of any size")
}

/// Whether a field says that there is nothing: empty, or `NA`, `N/A`, `NaN`, `null`, `<NA>` in any case.
pub(crate) fn is_missing(field: &str) -> bool {
    let field = field.trim();
    field.is_empty() || ["na", "n/a", "nan", "null", "<na>"].iter().any(|word| field.eq_ignore_ascii_case(word))
}
