//! Texts with labels: tables (CSV, TSV, JSON lines, Parquet) and folders of text files.
//!
//! The order in which things happen: [`encoding`] finds out how a file is written, `table` reads records one after the
//! other within [`Limits`], `columns` says which columns are text and label, [`open_texts`] makes a [`TextDataset`],
//! `audit_texts` says what is wrong with it. [`stream_texts`] and [`read_corpus`] are for what is larger than memory.
//!
//! Questions about paragraphs ([`squad`]) and tagged words ([`conll`]) have files of their own.
//!
//! What is detected or inferred is told in `TextSource::remarks`; what is replaced or left out, in findings.

mod audit;
pub(crate) mod columns;
pub mod conll;
mod corpus;
mod csv_stream;
mod delimited;
mod dialect;
pub mod encoding;
mod folder;
mod json_lines;
mod json_object;
mod json_records;
mod json_repair;
mod lines;
pub(crate) mod minhash;
mod notation;
mod open;
mod parquet_columns;
mod parquet_depth;
mod parquet_rows;
pub mod parts;
pub(crate) mod record;
pub mod squad;
mod strays;
mod stream;
pub(crate) mod table;
mod text_lines;
pub(crate) mod words;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::dataset::{Dataset, Example, Split, Targets};
use super::grouping::Grouping;
use super::image_source::ImageSource;
use super::task::{Inferred, Task};
use crate::error::Result;
use crate::files;

pub(crate) use audit::audit_texts;
pub use corpus::{Document, corpus_files, read_corpus};
pub(crate) use open::check_texts;
pub use open::open_texts;
pub use stream::{TextRow, stream_texts};
pub(crate) use text_lines::{TextLines, require_utf8};
pub(crate) use words::word_places;
pub use words::{spans, words};

/// One text, or a pair of texts that belong together (a premise and a hypothesis, a question and an answer).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// The text, or the first of a pair.
    pub first: String,
    /// The second of a pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<String>,
}

impl Text {
    /// A single text.
    pub fn single(text: impl Into<String>) -> Self {
        Self { first: text.into(), second: None }
    }

    /// Its one or two parts.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.first.as_str()).chain(self.second.as_deref())
    }

    /// Its first characters, on one line.
    pub fn beginning(&self, characters: usize) -> String {
        let whole = self.parts().collect::<Vec<_>>().join(" | ");
        let line: String = whole.split_whitespace().collect::<Vec<_>>().join(" ");
        match line.char_indices().nth(characters) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }

    /// Lower-case hexadecimal SHA-256 of the text; of a pair, of both with a zero byte between them (which no text that
    /// was read from a file holds).
    pub(crate) fn digest(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.first.as_bytes());
        if let Some(second) = &self.second {
            hash.update([0]);
            hash.update(second.as_bytes());
        }
        files::hex(&hash.finalize())
    }
}

/// A text with its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextExample {
    /// `row 17` of a table, counted from 1 without the header, or a file's printable path relative to the root; unique.
    pub(crate) name: String,
    /// The text, without white space around it.
    pub(crate) text: Text,
    /// Index into [`TextDataset::classes`].
    pub(crate) label: usize,
    /// The part of the data it belongs to.
    pub(crate) split: Split,
    /// What it belongs together with, where that is known.
    pub(crate) group: Option<String>,
}

/// Labelled texts.
#[derive(Debug, Clone, PartialEq)]
pub struct TextDataset {
    /// The table or folder.
    pub(crate) root: PathBuf,
    /// The classes' names, sorted by their bytes, each once.
    pub(crate) classes: Vec<String>,
    /// The examples, in the order of the table, or sorted by the bytes of their names.
    pub(crate) examples: Vec<TextExample>,
    /// How they were read.
    pub(crate) source: TextSource,
    /// The labels, where they are not classes.
    pub(crate) targets: Targets,
    /// What is to be learnt, and why that.
    pub(crate) inferred: Inferred,
    /// What says which texts belong together.
    pub(crate) grouping: Grouping,
}

/// How texts were read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TextSource {
    /// The kind of file.
    pub(crate) format: TextFormat,
    /// The encoding, where there is one for all: `UTF-8`, `UTF-16LE`, `windows-1252`, ...
    pub(crate) encoding: Option<String>,
    /// The columns of the text, or of the two of a pair; none in a folder.
    pub(crate) text_columns: Vec<String>,
    /// The column of the labels.
    pub(crate) label_column: Option<String>,
    /// What was detected and inferred, in words.
    pub(crate) remarks: Vec<String>,
}

/// A kind of file that holds texts. Its name in JSON is kebab-case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TextFormat {
    /// Fields with a comma, semicolon or bar between them.
    Csv,
    /// Fields with a tab between them.
    Tsv,
    /// One JSON object a line.
    JsonLines,
    /// Apache Parquet.
    Parquet,
    /// A folder of text files.
    Folder,
    /// Plain text.
    Plain,
}

/// The columns that were asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextReading {
    /// The column of the text, or the two of a pair; inferred where none is named.
    pub text: Vec<String>,
    /// The column of the labels; inferred where it is not named.
    pub label: Option<String>,
    /// What is to be learnt; inferred from the labels where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// Which texts belong together.
    #[serde(default, skip_serializing_if = "Grouping::is_none")]
    pub grouping: Grouping,
    /// The encoding; found out where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// Whether classes that differ only by case, blanks, signs between words or the way a number is written are one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub merge_classes: bool,
}

/// What may be read at most. Hostile or mistaken files are refused before they fill the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one record (a row, a line of JSON, a text file), decoded.
    pub(crate) record: usize,
    /// Bytes of text that are kept in memory at once by [`open_texts`].
    pub(crate) total: u64,
    /// Bytes of one page of Parquet, uncompressed.
    pub(crate) page: usize,
    /// Bytes of one column chunk of Parquet, uncompressed.
    pub(crate) chunk: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { record: 16 << 20, total: 2 << 30, page: 256 << 20, chunk: 4 << 30 }
    }
}

impl TextDataset {
    /// The indices of the examples of one split, ascending.
    #[cfg(test)]
    pub(crate) fn of(&self, split: Split) -> Vec<usize> {
        (0..self.examples.len()).filter(|&index| self.examples[index].split == split).collect()
    }

    /// [`Text::digest`] of every example.
    pub(crate) fn digests(&self) -> Vec<String> {
        self.examples.iter().map(|example| example.text.digest()).collect()
    }

    /// The labels as what is to be learnt takes them; they have been read as the names of classes.
    fn recast(mut self) -> Result<Self> {
        let Dataset { classes, targets, .. } = self.labelled().recast(self.inferred.task)?;
        (self.classes, self.targets) = (classes, targets);
        Ok(self)
    }

    /// The examples without their texts, as other inputs have them.
    pub(crate) fn labelled(&self) -> Dataset {
        let example = |example: &TextExample| Example {
            source: ImageSource::default(),
            name: example.name.clone(),
            label: example.label,
            split: example.split,
            group: example.group.clone(),
        };
        Dataset {
            root: self.root.clone(),
            classes: self.classes.clone(),
            examples: self.examples.iter().map(example).collect(),
            targets: self.targets.clone(),
            grouping: self.grouping.clone(),
        }
    }

    /// The examples, their texts, how they were read, and what is to be learnt.
    pub(crate) fn into_parts(self) -> (Dataset, Vec<Text>, TextSource, Inferred) {
        let dataset = self.labelled();
        (dataset, self.examples.into_iter().map(|example| example.text).collect(), self.source, self.inferred)
    }

    /// Lower-case hexadecimal SHA-256 of all names, labels, splits and texts, in order.
    #[cfg(test)]
    pub(crate) fn fingerprint(&self) -> String {
        self.labelled().fingerprint(&self.digests())
    }
}

/// Files of a folder that [`is_text`] looks at.
const LOOKED_AT: usize = 1000;

/// Whether what lies at `path` looks like texts rather than images.
///
/// A table does unless it has a column named `path`; JSON lines, Parquet and plain text do. A folder does when among its
/// first thousand files some read as texts, and ten times as many as are named like images.
pub fn is_text(path: &Path) -> bool {
    let Ok(metadata) = std::fs::metadata(path) else { return false };
    if !metadata.is_dir() {
        return match super::ending(path).as_deref() {
            Some("csv" | "tsv" | "tab") => !delimited::names_files(path),
            Some("jsonl" | "ndjson" | "json" | "parquet" | "txt") => true,
            _ => false,
        };
    }
    let entries = crate::data::folder::walk_below(path).filter_map(|entry| entry.ok());
    let files = entries.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path);
    let is_image = |file: &PathBuf| super::ending(file).is_some_and(|ending| super::ENDINGS.contains(&ending.as_str()));
    let (images, others): (Vec<PathBuf>, Vec<PathBuf>) = files.take(LOOKED_AT).partition(is_image);
    // No more files are read than decide it.
    let wanted = 10 * images.len() + 1;
    others.len() >= wanted
        && others.iter().filter(|file| encoding::looks_like_text(file)).take(wanted).count() == wanted
}

#[cfg(test)]
mod tests;
