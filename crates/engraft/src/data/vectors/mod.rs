//! Rows of a table with columns of numbers and of categories (CSV, TSV, JSON, Parquet), and features as arrays (`.npy`) with
//! labels beside them.
//!
//! The order in which things happen: [`open_vectors`] reads a [`VectorSet`], `audit_vectors` says what is wrong with it
//! and takes out columns that teach nothing, `Encoding::fit` learns from the training rows how a row becomes numbers,
//! `Encoding::values` makes them.
//!
//! **Columns.** One is numeric when all its cells are finite numbers or missing, else categorical. Whole numbers with
//! leading zeros (`007`) are names. A column in which nine cells of ten are numbers, but not all, is an error unless it
//! has few values. A number may be written `3,5` where fields are separated by semicolons, or a column proves it.
//!
//! **Missing cells** are empty or say `NA`, `N/A`, `NaN`, `null`, `<NA>` or `?`, in any case; among numbers also `none`
//! and `-`, and what else people write there (`n.a.`, `n/d`, `--`, `#N/A`, `unknown`), which is told. A label is missing where
//! its cell is empty: any word may be a class.
//!
//! **Labels** are in the column that is asked for, else in one called `label`, `target`, `class` or `y`, else, which is told, in
//! the last one of words that come back. What is learnt of them follows from them as for images (see [`super::task`]).
//!
//! **Splits** are a column `split` (`train`, `val`, `test`, or nothing for `train`, by their usual names), or the files `train`, `val` and `test`
//! of a folder, with the ending of a table or `.npy`.
//!
//! **Arrays** have two axes, `[rows, columns]`, of f32, f64, whole numbers or truth values, in C or Fortran order; their
//! columns are called `f0`, `f1`, ... The labels of `x.npy` are in `x_labels.npy`, `x_labels.csv`, `labels.npy` or
//! `labels.csv` beside it, the first that is there; in a folder `train_labels.npy` belongs to `train.npy`. Labels as an
//! array have one axis (numbers or text), or two of zeros and ones: one column for each label.

mod align;
mod audit;
mod cells;
mod decide;
mod detect;
mod encoding;
mod labels;
mod leaks;
mod npy;
mod open;
mod raw;
mod sources;
mod tables;

use std::collections::BTreeMap;
use std::path::PathBuf;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::dataset::{Dataset, Example, Split, Targets};
use super::grouping::Grouping;
use super::image_source::ImageSource;
use super::task::{Inferred, Task};
use crate::files;

pub(crate) use audit::audit_vectors;
pub(super) use audit::is_identifier;
pub(crate) use detect::is_vectors;
pub use encoding::{Encoding, Input, InputKind};
pub(super) use labels::find_label;
pub(crate) use open::open_unlabelled;
pub use open::open_vectors;

/// How rows of a table are to be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VectorReading {
    /// The column that holds the labels; found by its name where none is asked for.
    pub label: Option<String>,
    /// What is to be learnt; inferred where it is not told.
    pub task: Option<Task>,
    /// Columns that are not read.
    pub ignore: Vec<String>,
    /// The file of labels (`.npy`, `.csv`, `.tsv`, `.parquet`) of an array; looked for beside it where none is asked for.
    pub labels: Option<PathBuf>,
    /// Kinds of columns that are known already (see `Encoding::kinds`); those of others are found out.
    pub kinds: BTreeMap<String, Kind>,
    /// Which rows belong together.
    pub grouping: Grouping,
    /// The encoding of a table; found out where it is not said.
    pub encoding: Option<String>,
    /// Whether classes that differ only by case, blanks, signs between words or the way a number is written are one.
    pub merge_classes: bool,
}

impl VectorReading {
    /// Columns that are known to be there, if a table has a header.
    fn named(&self) -> Vec<&str> {
        let asked = self.label.iter().chain(&self.ignore).chain(&self.grouping.column);
        asked.chain(self.kinds.keys()).map(String::as_str).collect()
    }
}

/// What the cells of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Numbers.
    Numeric,
    /// Names of categories.
    Categorical,
}

/// The cells of a column, one for each row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cells {
    /// Numbers; NaN where one is missing, never infinite.
    Numbers(Vec<f64>),
    /// Words, each named by its place among the different ones; nothing where one is missing.
    Words {
        /// The different words, in the order in which they come first.
        words: Vec<String>,
        /// The word of every row.
        codes: Vec<Option<u32>>,
    },
}

/// One cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// Nothing.
    Missing,
    /// A finite number.
    Number(f64),
    /// The name of a category.
    Word(&'a str),
}

/// A column of features.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name, unique in the set.
    pub(crate) name: String,
    /// What stands in it.
    pub cells: Cells,
}

impl Column {
    /// What its cells are.
    #[cfg(test)]
    pub(crate) fn kind(&self) -> Kind {
        match self.cells {
            Cells::Numbers(_) => Kind::Numeric,
            Cells::Words { .. } => Kind::Categorical,
        }
    }

    /// The cell of a row.
    ///
    /// # Panics
    /// If there is no such row.
    pub(crate) fn cell(&self, row: usize) -> Cell<'_> {
        match &self.cells {
            Cells::Numbers(numbers) if numbers[row].is_nan() => Cell::Missing,
            Cells::Numbers(numbers) => Cell::Number(numbers[row]),
            Cells::Words { words, codes } => codes[row].map_or(Cell::Missing, |code| Cell::Word(&words[code as usize])),
        }
    }

    /// The column with another of the same kind after it.
    pub(super) fn followed_by(self, other: Self) -> Self {
        let cells = match (self.cells, other.cells) {
            (Cells::Numbers(mut numbers), Cells::Numbers(others)) => {
                numbers.extend(others);
                Cells::Numbers(numbers)
            }
            (Cells::Words { mut words, mut codes }, Cells::Words { words: others, codes: other }) => {
                let places: BTreeMap<String, u32> =
                    words.iter().enumerate().map(|(at, word)| (word.clone(), at as u32)).collect();
                let place = |word: String| {
                    places.get(&word).copied().unwrap_or_else(|| {
                        words.push(word);
                        words.len() as u32 - 1
                    })
                };
                let places: Vec<u32> = others.into_iter().map(place).collect();
                codes.extend(other.into_iter().map(|code| code.map(|code| places[code as usize])));
                Cells::Words { words, codes }
            }
            // Of two kinds the first alone is one.
            (cells, _) => cells,
        };
        Self { name: self.name, cells }
    }

    /// The column with some of its rows, in the given order.
    fn select(self, rows: &[usize]) -> Self {
        let cells = match self.cells {
            Cells::Numbers(numbers) => Cells::Numbers(rows.iter().map(|&row| numbers[row]).collect()),
            Cells::Words { words, codes } => {
                Cells::Words { words, codes: rows.iter().map(|&row| codes[row]).collect() }
            }
        };
        Self { name: self.name, cells }
    }
}

/// Labelled rows.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorSet {
    /// The table, the array, or the folder of them.
    pub(crate) root: PathBuf,
    /// `row 17`, counted from 1 without the header; of several files `test.csv row 17`. Unique.
    pub names: Vec<String>,
    /// The columns of features.
    pub(crate) columns: Vec<Column>,
    /// The classes' (or labels') names, sorted by their bytes; none in regression, or without labels.
    pub(crate) classes: Vec<String>,
    /// For every row an index into the classes; in other tasks the number of its target among the different ones. All 0
    /// without labels.
    pub labels: Vec<usize>,
    /// What is to be learnt of every row.
    pub(crate) targets: Targets,
    /// The part of the data of every row.
    pub(crate) splits: Vec<Split>,
    /// What each row belongs together with; empty where it is not asked for.
    pub(crate) groups: Vec<Option<String>>,
    /// What says which rows belong together.
    pub(crate) grouping: Grouping,
    /// How they were read.
    pub(crate) source: VectorSource,
}

/// How rows were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VectorSource {
    /// The column, or the file, of the labels; nothing where they were not asked for.
    pub(crate) label: Option<String>,
    /// Whether that column has no name of one, and only its cells speak for it.
    pub(crate) is_guess: bool,
    /// What is learnt of the labels, and why that; nothing where there are none.
    pub(crate) inferred: Option<Inferred>,
    /// What was detected and inferred, in words.
    pub(crate) remarks: Vec<String>,
}

impl VectorSet {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.names.len()
    }

    /// The indices of the rows of one split, ascending.
    pub(crate) fn of(&self, split: Split) -> Vec<usize> {
        (0..self.rows()).filter(|&row| self.splits[row] == split).collect()
    }

    /// The columns with some of the rows, in the given order, without labels.
    #[must_use]
    pub(crate) fn rows_only(&self, rows: &[usize]) -> Self {
        Self {
            columns: self.columns.iter().map(|column| column.clone().select(rows)).collect(),
            names: rows.iter().map(|&row| self.names[row].clone()).collect(),
            labels: vec![0; rows.len()],
            splits: rows.iter().map(|&row| self.splits[row]).collect(),
            groups: Vec::new(),
            targets: Targets::Classes,
            classes: Vec::new(),
            ..self.clone()
        }
    }

    /// The column of a name, exactly as written.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The first cells of a row, on one line: `alcohol: 9.4, colour: red, …`.
    ///
    /// # Panics
    /// If there is no such row.
    pub(crate) fn beginning(&self, row: usize, cells: usize) -> String {
        let cell = |column: &Column| match column.cell(row) {
            Cell::Missing => format!("{}: –", column.name),
            Cell::Number(number) => format!("{}: {number}", column.name),
            Cell::Word(word) => format!("{}: {word}", column.name),
        };
        let mut shown: Vec<String> = self.columns.iter().take(cells).map(cell).collect();
        if self.columns.len() > cells {
            shown.push("…".into());
        }
        shown.join(", ")
    }

    /// Names, classes, targets and splits alone, as of any data set. The paths are empty.
    pub(crate) fn labelled(&self) -> Dataset {
        let example = |row: usize| Example {
            source: ImageSource::default(),
            name: self.names[row].clone(),
            label: self.labels[row],
            split: self.splits[row],
            group: self.groups.get(row).cloned().flatten(),
        };
        Dataset {
            root: self.root.clone(),
            classes: self.classes.clone(),
            examples: (0..self.rows()).map(example).collect(),
            targets: self.targets.clone(),
            grouping: self.grouping.clone(),
        }
    }

    /// Lower-case hexadecimal SHA-256 of the cells of every row, column after column. The label has no part in it.
    pub(crate) fn digests(&self) -> Vec<String> {
        (0..self.rows()).into_par_iter().map(|row| files::hex(&self.hash(row).finalize())).collect()
    }

    fn hash(&self, row: usize) -> Sha256 {
        let mut hash = Sha256::new();
        for column in &self.columns {
            match column.cell(row) {
                Cell::Missing => hash.update([0]),
                Cell::Number(number) => {
                    hash.update([1]);
                    // One zero, whatever its sign.
                    hash.update((number + 0.0).to_le_bytes());
                }
                Cell::Word(word) => {
                    hash.update([2]);
                    hash.update((word.len() as u64).to_le_bytes());
                    hash.update(word.as_bytes());
                }
            }
        }
        hash
    }
}

/// Whether a cell says that there is nothing (see the module).
pub(crate) fn is_missing(cell: &str) -> bool {
    super::text::record::is_missing(cell) || cell.trim() == "?"
}

#[cfg(test)]
mod tests;
