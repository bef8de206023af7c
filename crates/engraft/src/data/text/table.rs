//! A table of any kind as named columns and a stream of records.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::delimited::Delimited;
use super::json_lines::JsonLines;
use super::parquet_rows::ParquetRows;
use super::record::{KINDS, SAMPLE};
use super::{Limits, TextFormat};
use crate::data::Finding;
use crate::data::column_names::listing;
use crate::error::{Error, Problem, Result, first_of};
use crate::files::{kind_of, open_regular};
use crate::progress::Observer;

pub use super::record::Record;
pub(crate) use super::record::{Blobs, Opening, Records};

/// Columns that are not read and that a message names.
const SHOWN: usize = 8;
/// More different cells than this are not few.
const FEW_WORDS: usize = 20;

/// A table of which the columns are known, and no more than a sample was read.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    kind: Kind,
    limits: Limits,
}

#[derive(Debug)]
enum Kind {
    Delimited(Delimited),
    JsonLines(JsonLines),
    Parquet(ParquetRows),
}

impl Table {
    /// Opens a table: finds out its encoding, its delimiter and its columns.
    ///
    /// # Errors
    /// [`Error::Data`] where it is not a table that is read, or has no columns; [`Error::Interrupted`] once the observer says so,
    /// since the whole file is looked through for its encoding.
    pub(crate) fn open(path: &Path, opening: &Opening, limits: &Limits, observer: &dyn Observer) -> Result<Self> {
        let metadata = std::fs::metadata(path).map_err(|source| crate::data::missing(path, &source))?;
        if !metadata.is_file() {
            return Err(Error::Data(
                Problem::new("this is not a table").expected(KINDS).found(kind_of(&metadata)).at(path),
            ));
        }
        if metadata.len() == 0 {
            return Err(Error::Data(Problem::new("the table is empty").expected(KINDS).at(path)));
        }
        let mut head = Vec::new();
        open_regular(path)
            .and_then(|file| file.take(crate::data::HEAD).read_to_end(&mut head))
            .map_err(|source| crate::data::missing(path, &source))?;
        if let Some((found, hint)) = crate::data::stand_in(&head) {
            return Err(Error::Data(
                Problem::new("this is not a table").expected(KINDS).found(found).hint(hint).at(path),
            ));
        }
        let ending = crate::data::ending(path);
        if ending.as_deref() == Some("parquet") && head.len() > 3 && !head.starts_with(b"PAR") {
            let problem = Problem::new("the Parquet file cannot be read").expected("a file that begins with PAR1");
            let problem = problem.found("a file of another kind").hint("if it is text, let its name end in .csv");
            return Err(Error::Data(problem.at(path)));
        }
        let kind = match ending.as_deref() {
            Some("csv" | "tsv" | "tab" | "txt") => Kind::Delimited(Delimited::open(path, opening, limits, observer)?),
            Some("jsonl" | "ndjson" | "json") => Kind::JsonLines(JsonLines::open(path, opening, limits, observer)?),
            Some("parquet") => Kind::Parquet(ParquetRows::open(path, opening)?),
            _ => {
                let problem = Problem::new("this is not a table").expected(KINDS);
                return Err(Error::Data(crate::data::no_table(problem, path)));
            }
        };
        Ok(Self { path: path.to_owned(), kind, limits: *limits })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Refuses a column whose name another has too: nobody knows which of the two is meant.
    ///
    /// # Errors
    /// [`Error::Data`] that names it.
    pub(crate) fn require_once(&self, column: usize) -> Result<()> {
        let name = &self.columns()[column];
        match self.columns().iter().filter(|other| *other == name).count() {
            1 => Ok(()),
            times => Err(Error::Data(
                Problem::new(format!("the column `{name}` is there {times} times"))
                    .expected("columns with different names")
                    .found(listing(self.columns()))
                    .hint("rename the others in the header")
                    .at(self.path()),
            )),
        }
    }

    /// The columns' names, as written.
    pub(crate) fn columns(&self) -> &[String] {
        match &self.kind {
            Kind::Delimited(table) => &table.columns,
            Kind::JsonLines(table) => &table.columns,
            Kind::Parquet(table) => &table.columns,
        }
    }

    /// The kind of file.
    pub(crate) fn format(&self) -> TextFormat {
        match &self.kind {
            Kind::Delimited(table) if table.delimiter == b'\t' => TextFormat::Tsv,
            Kind::Delimited(_) => TextFormat::Csv,
            Kind::JsonLines(_) => TextFormat::JsonLines,
            Kind::Parquet(_) => TextFormat::Parquet,
        }
    }

    /// The encoding, where the kind of file leaves a choice.
    pub(crate) fn encoding(&self) -> Option<&super::encoding::Detected> {
        match &self.kind {
            Kind::Delimited(table) => Some(&table.encoding),
            Kind::JsonLines(table) => Some(&table.encoding),
            Kind::Parquet(_) => None,
        }
    }

    /// Whether a comma may be a decimal point: where semicolons separate the fields, or the cells prove it.
    pub(crate) fn decimal_comma(&self) -> bool {
        matches!(&self.kind, Kind::Delimited(table) if table.notation.decimal_comma)
    }

    /// Names of the classes that the file itself gives to the whole numbers of a column.
    pub(crate) fn class_names(&self, column: usize) -> Option<&[String]> {
        match &self.kind {
            Kind::Parquet(table) => table.class_names.get(&self.columns()[column]).map(Vec::as_slice),
            _ => None,
        }
    }

    /// What was found out, in words.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let mut remarks: Vec<String> =
            self.encoding().and_then(super::encoding::Detected::remark).into_iter().collect();
        match &self.kind {
            Kind::Delimited(table) => remarks.extend(table.remarks.iter().cloned().chain(table.notation.remarks())),
            Kind::JsonLines(table) => remarks.extend(table.remark()),
            Kind::Parquet(table) => remarks.extend(table.remarks()),
        }
        remarks
    }

    /// The columns' names for a message, and what other columns there are that are not read.
    pub(crate) fn listing(&self) -> String {
        let names = listing(self.columns());
        match &self.kind {
            Kind::Parquet(table) if !table.passed.is_empty() => {
                format!("{names}; not read: {}", first_of(&table.passed, SHOWN))
            }
            _ => names,
        }
    }

    /// What was guessed or looks wrong, as far as the table was read.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let of_encoding = self.encoding().and_then(super::encoding::Detected::finding);
        let of_rows = if let Kind::Delimited(table) = &self.kind { table.findings() } else { Vec::new() };
        of_encoding.into_iter().chain(of_rows).collect()
    }

    /// Reads the records anew, with the fields of some columns.
    ///
    /// # Errors
    /// [`Error::Data`] where the file cannot be opened; each record may be an error of its own, with its line.
    pub(crate) fn records(&self, columns: &[usize]) -> Result<Records> {
        match &self.kind {
            Kind::Delimited(table) => table.records(&self.path, columns, &self.limits),
            Kind::JsonLines(table) => table.records(&self.path, columns, false, &self.limits),
            Kind::Parquet(table) => table.records(&self.path, columns, &self.limits),
        }
    }

    /// The columns that hold bytes which need be no text; only Parquet has them.
    pub(crate) fn byte_columns(&self) -> Vec<usize> {
        match &self.kind {
            Kind::Parquet(table) => table.byte_columns(),
            _ => Vec::new(),
        }
    }

    /// Reads the bytes of a column of [`Table::byte_columns`], row by row.
    ///
    /// # Errors
    /// As [`Table::records`].
    pub(crate) fn bytes(&self, column: usize) -> Result<Blobs> {
        match &self.kind {
            Kind::Parquet(table) => table.bytes(&self.path, column, &self.limits),
            _ => Ok(Box::new(std::iter::empty())),
        }
    }

    /// The first records, with some of the columns; as [`Table::sample`].
    ///
    /// # Errors
    /// As there.
    pub(crate) fn sample_of(&self, columns: &[usize], rows: usize) -> Result<Vec<Record>> {
        let records = match &self.kind {
            Kind::JsonLines(table) => table.records(&self.path, columns, true, &self.limits)?,
            _ => self.records(columns)?,
        };
        records.take(rows).collect()
    }

    /// The different cells of a column, where they are few: all of it is read. What cannot be read has none.
    pub(crate) fn words_of(&self, column: usize) -> Option<BTreeSet<String>> {
        let mut words = BTreeSet::new();
        for record in self.records(&[column]).ok()? {
            let cell = record.ok()?.fields.pop().flatten().unwrap_or_default();
            if !cell.is_empty() && !words.contains(&cell) {
                words.insert(cell);
            }
            if words.len() > FEW_WORDS {
                return None;
            }
        }
        Some(words)
    }

    /// The first records, with all columns; values that are not text, number or truth value are passed over.
    ///
    /// # Errors
    /// As [`Table::records`], and the first error among the records.
    pub(crate) fn sample(&self) -> Result<Vec<Record>> {
        self.sample_of(&(0..self.columns().len()).collect::<Vec<usize>>(), SAMPLE)
    }
}
