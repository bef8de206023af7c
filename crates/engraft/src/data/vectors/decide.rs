//! Whether a column holds numbers or categories: counted over all its cells, then decided.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Kind, is_missing};
use crate::data::column_names::shortened;
use crate::data::task::{is_dressed, number};
use crate::data::{Finding, FindingKind, Severity};
use crate::error::{Error, Problem, Result, first_of, printable};

/// A column of nearly only numbers is read as categories up to this many different values.
const FEW_VALUES: usize = 20;

/// The share of numbers from which words among them are told, though a column with fewer than nine in ten is one of words.
const MOSTLY: f64 = 0.7;
/// Words that a message names.
const SHOWN: usize = 3;
/// What people and spreadsheets write where there is no number, in lower case; names of categories among words.
const STAND_INS: [&str; 29] = [
    "n.a.",
    "n.a",
    "na.",
    "n/d",
    "n.d.",
    "n.d",
    "nd",
    "n/v",
    "--",
    "---",
    ".",
    "..",
    "...",
    "\u{2013}",
    "\u{2014}",
    "#n/a",
    "#na",
    "#value!",
    "#div/0!",
    "#ref!",
    "#null!",
    "#num!",
    "nil",
    "unknown",
    "unk",
    "missing",
    "not available",
    "not known",
    "undefined",
];

/// Whether a cell among numbers says that there is none.
fn stands_in(cell: &str) -> bool {
    STAND_INS.contains(&cell.trim().to_lowercase().as_str())
}

/// What a cell is among numbers: nothing for a word, NaN where it is missing.
pub(super) fn value(cell: Option<&str>, decimal_comma: bool) -> Option<f64> {
    match cell {
        Some(cell) if !is_missing(cell) => number(cell, decimal_comma).or_else(|| stands_in(cell).then_some(f64::NAN)),
        _ => Some(f64::NAN),
    }
}

/// Whether a number can be a feature, which is an f32 in the end.
pub(super) fn is_usable(value: f64) -> bool {
    value.is_nan() || value.abs() <= f64::from(f32::MAX)
}

/// What was counted in a column.
#[derive(Debug, Default)]
pub(super) struct Survey {
    numbers: usize,
    /// Cells that are words, whatever the column holds.
    words: usize,
    /// Whether a cell says `none` or `-`: missing among numbers, a word among words.
    has_none: bool,
    /// The same of other words, told where they are taken for missing.
    stand_ins: BTreeMap<String, usize>,
    /// The first word that is not a whole number with leading zeros: its row and what it says.
    odd: Option<(String, String)>,
    /// The first word of any kind.
    first: Option<(String, String)>,
    /// Words that are numbers with a sign of money, a percent sign, blanks or separators of thousands about them.
    dressed: usize,
    /// The first number that is too large.
    infinite: Option<(String, String)>,
    /// Different values, as long as they are few.
    distinct: BTreeSet<String>,
}

impl Survey {
    pub(super) fn note(&mut self, row: &str, cell: Option<&str>, decimal_comma: bool) {
        let Some(cell) = cell.filter(|cell| !is_missing(cell)) else { return };
        if self.distinct.len() <= FEW_VALUES && !self.distinct.contains(cell) {
            self.distinct.insert(cell.to_owned());
        }
        let here = || Some((row.to_owned(), cell.to_owned()));
        match number(cell, decimal_comma) {
            Some(value) if value.is_nan() => self.has_none = true,
            Some(value) => {
                self.numbers += 1;
                if !is_usable(value) && self.infinite.is_none() {
                    self.infinite = here();
                }
            }
            None if stands_in(cell) => *self.stand_ins.entry(cell.to_owned()).or_default() += 1,
            None => {
                self.words += 1;
                self.dressed += usize::from(is_dressed(cell, decimal_comma));
                if self.first.is_none() {
                    self.first = here();
                }
                if self.odd.is_none() && !cell.bytes().all(|byte| byte.is_ascii_digit()) {
                    self.odd = here();
                }
            }
        }
    }

    /// The kind of the column `name` of the data at `path`; `known` where it is known already.
    ///
    /// # Errors
    /// [`Error::Data`], with row and column, where a number is infinite, where nearly all cells of a column of many values
    /// are numbers but not all, or a column that is known to be numeric holds a word.
    pub(super) fn decide(&self, name: &str, path: &Path, known: Option<Kind>) -> Result<(Kind, Option<Finding>)> {
        let place = |row: &str| format!("{}, {row}, column `{name}`", printable(path));
        let refused = |what: &str, expected: &str, (row, cell): &(String, String)| {
            Problem::new(what).expected(expected).found(format!("`{}`", shortened(cell))).at(place(row))
        };
        let finite = |kind| match &self.infinite {
            Some(cell) => {
                let problem = refused("a number is infinite or too large", "numbers up to 3.4e38", cell);
                Err(Error::Data(problem.hint("correct it, or leave the cell empty if the number is not known")))
            }
            None => Ok((kind, self.missing(name))),
        };
        match (known, &self.first) {
            (Some(Kind::Categorical), _) => return Ok((Kind::Categorical, None)),
            (Some(Kind::Numeric), Some(cell)) => {
                let problem = refused("a cell is not a number", "a number, as in training, or an empty cell", cell);
                return Err(Error::Data(problem));
            }
            (Some(Kind::Numeric), None) => return finite(Kind::Numeric),
            (None, None) if self.numbers > 0 || !self.has_none && self.stand_ins.is_empty() => {
                return finite(Kind::Numeric);
            }
            (None, _) => {}
        }
        let odd = self.odd.as_ref().filter(|_| self.numbers >= 9 * self.words);
        let Some((row, cell)) = odd else {
            return Ok((Kind::Categorical, self.in_disguise(name).or_else(|| self.mostly_numbers(name))));
        };
        let counts = format!("{} of {} cells are numbers", self.numbers, self.numbers + self.words);
        if self.distinct.len() > FEW_VALUES {
            let problem = refused(
                "nearly all cells of a column are numbers, but not all",
                "a number",
                &(row.clone(), cell.clone()),
            );
            return Err(Error::Data(problem.hint(format!(
                "{counts}: correct the others or leave them empty, or take the column out of the table"
            ))));
        }
        let message = format!(
            "the column `{name}` is read as {} categories: {counts}, but {row} holds `{}`",
            self.distinct.len(),
            shortened(cell)
        );
        let finding = Finding::new(FindingKind::MixedColumn, Severity::Serious, message, vec![row.clone()]);
        Ok((Kind::Categorical, Some(finding)))
    }

    /// Words in a column of numbers that are taken for missing cells.
    fn missing(&self, name: &str) -> Option<Finding> {
        if self.stand_ins.is_empty() {
            return None;
        }
        let cells: usize = self.stand_ins.values().sum();
        let words = first_of(self.stand_ins.iter().map(|(word, count)| format!("`{word}` ({count})")), SHOWN);
        let message = format!(
            "cells of the column `{name}` that are read as missing, since all others are numbers: {cells}: {words}"
        );
        Some(Finding::new(FindingKind::Guessed, Severity::Info, message, vec![name.to_owned()]))
    }

    /// A column of which most cells are numbers, and which a few words make one of categories.
    fn mostly_numbers(&self, name: &str) -> Option<Finding> {
        let all = self.numbers + self.words;
        let (row, cell) = self.odd.as_ref().filter(|_| self.numbers as f64 >= MOSTLY * all as f64)?;
        let message = format!(
            "the column `{name}` is read as categories, though {} of {all} cells are numbers: {row} holds `{}`; leave such cells \
             empty, and it is read as numbers",
            self.numbers,
            shortened(cell)
        );
        Some(Finding::new(FindingKind::MixedColumn, Severity::Warning, message, vec![row.clone()]))
    }

    /// A column of numbers that are not written as such.
    fn in_disguise(&self, name: &str) -> Option<Finding> {
        let (row, cell) = self.first.as_ref().filter(|_| 2 * self.dressed > self.words)?;
        let message = format!(
            "the column `{name}` is read as categories, though {} of {} cells are numbers written for people (`{}`): write \
             plain numbers, such as -1234.5",
            self.dressed,
            self.numbers + self.words,
            shortened(cell)
        );
        Some(Finding::new(FindingKind::MixedColumn, Severity::Warning, message, vec![row.clone()]))
    }
}
