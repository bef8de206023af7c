//! How a row becomes numbers: learnt from the training rows, and kept with a model.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Cells, Column, Kind, VectorSet};
use crate::data::column_names::listing;
use crate::error::{Error, Problem, Result};

/// The most columns that are made, indicators of missing numbers not counted.
const COLUMNS: usize = 10_000;
/// Rows that a category is in at least to get a column of its own.
const LEAST: usize = 2;
/// Standard deviations at which a number is cut off.
const FARTHEST: f64 = 1e6;

/// How a row becomes numbers.
///
/// A number is standardised: the mean of the training rows is taken away, and the difference divided by their standard
/// deviation. Where it is missing the median of the training rows stands in; a column beside it says 1 where it is missing,
/// if it was in any training row. A category is 1 in the column of its own; those in fewer than two training rows
/// share one, and missing is a category of its own, where any training row had such.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encoding {
    /// The columns of the table, in the order of the training table.
    pub(crate) inputs: Vec<Input>,
    /// What is worth saying about it.
    pub(crate) notes: Vec<String>,
}

/// A column of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its name.
    pub(crate) name: String,
    /// What it becomes.
    pub(crate) kind: InputKind,
}

/// What a column of the table becomes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum InputKind {
    /// A column of numbers.
    Numeric {
        /// Stands in for a missing number.
        median: f64,
        /// Is taken away.
        mean: f64,
        /// Divides the difference; not 0.
        deviation: f64,
        /// Whether a second column says which are missing.
        missing: bool,
    },
    /// A column for each category.
    Categorical {
        /// Categories with a column of their own, sorted by their bytes.
        categories: Vec<String>,
        /// Whether a further column is for all other categories.
        other: bool,
        /// Whether a last column says which are missing.
        missing: bool,
    },
}

impl Input {
    /// How many numbers it becomes.
    pub(crate) fn columns(&self) -> usize {
        match &self.kind {
            InputKind::Numeric { missing, .. } => 1 + usize::from(*missing),
            InputKind::Categorical { categories, other, missing } => {
                categories.len() + usize::from(*other) + usize::from(*missing)
            }
        }
    }
}

impl Encoding {
    /// Learns from some rows of a set.
    ///
    /// Where categories would make more than 10,000 columns, every column keeps as many of its commonest as fit, and the
    /// notes say so.
    ///
    /// # Errors
    /// [`Error::Data`] where there are no rows, no columns, or more than 10,000 without any category.
    ///
    /// # Panics
    /// If a row does not exist.
    pub(crate) fn fit(set: &VectorSet, rows: &[usize]) -> Result<Self> {
        if rows.is_empty() || set.columns.is_empty() {
            let found = format!("{} rows of {} columns", rows.len(), set.columns.len());
            let problem = Problem::new("there is nothing to learn from").expected("rows with columns of features");
            return Err(Error::Data(problem.found(found).at(&set.root)));
        }
        let mut inputs: Vec<Input> = Vec::with_capacity(set.columns.len());
        // The rows of every category, the commonest first.
        let mut commonest: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for (place, column) in set.columns.iter().enumerate() {
            let kind = match &column.cells {
                Cells::Numbers(numbers) => numeric(numbers, rows),
                Cells::Words { words, codes } => {
                    let (kind, ordered) = categorical(words, codes, rows);
                    commonest.insert(place, ordered);
                    kind
                }
            };
            inputs.push(Input { name: column.name.clone(), kind });
        }
        let mut encoding = Self { inputs, notes: Vec::new() };
        encoding.limit(&commonest, set)?;
        Ok(encoding)
    }

    /// Keeps fewer categories where there would be too many columns.
    fn limit(&mut self, commonest: &BTreeMap<usize, Vec<String>>, set: &VectorSet) -> Result<()> {
        let numbers = self.inputs.len() - commonest.len();
        let size = |most: usize| {
            let cut = |ordered: &Vec<String>| ordered.len().min(most) + 2;
            numbers + commonest.values().map(cut).sum::<usize>()
        };
        let longest = commonest.values().map(Vec::len).max().unwrap_or(0);
        // How many of each column fit.
        let fits = (0..=longest).collect::<Vec<_>>().partition_point(|&most| size(most) <= COLUMNS);
        let Some(most) = fits.checked_sub(1) else {
            let problem = Problem::new("there are too many columns of features").expected(format!("at most {COLUMNS}"));
            let found = format!("{numbers} of numbers and {} of categories", commonest.len());
            return Err(Error::Data(problem.found(found).hint("leave columns out").at(&set.root)));
        };
        for (&place, ordered) in commonest.iter().filter(|(_, ordered)| ordered.len() > most) {
            let Input { name, kind } = &mut self.inputs[place];
            if let InputKind::Categorical { categories, other, .. } = kind {
                *categories = ordered[..most].to_vec();
                categories.sort_unstable();
                *other = true;
                self.notes.push(format!(
                    "of the {} categories of the column `{name}` the {most} commonest have a column each, the others share one",
                    ordered.len()
                ));
            }
        }
        Ok(())
    }

    /// Whether it can have come from [`Encoding::fit`]: `path` is where it was read, for the error.
    ///
    /// # Errors
    /// [`Error::Weights`] for numbers that are not finite, a deviation that is not positive, categories out of order, or
    /// more columns than are made.
    pub(crate) fn check(&self, path: &std::path::Path) -> Result<()> {
        let is_whole = |input: &Input| match &input.kind {
            InputKind::Numeric { median, mean, deviation, .. } => {
                median.is_finite() && mean.is_finite() && deviation.is_finite() && *deviation > 0.0
            }
            InputKind::Categorical { categories, .. } => categories.is_sorted_by(|a, b| a < b),
        };
        match self.inputs.iter().find(|input| !is_whole(input)) {
            Some(input) => {
                let problem = Problem::new("the run is damaged").expected("how a column becomes numbers");
                Err(Error::Weights(problem.found(format_args!("the column `{}`", input.name)).at(path)))
            }
            None if self.columns() == 0 || self.columns() > 2 * COLUMNS => {
                let problem =
                    Problem::new("the run is damaged").expected(format_args!("up to {} columns", 2 * COLUMNS));
                Err(Error::Weights(problem.found(self.columns()).at(path)))
            }
            None => Ok(()),
        }
    }

    /// The names of the numbers of a row: `age`, `age is missing`, `city=Bonn`, `city is other`.
    #[cfg(test)]
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = Vec::with_capacity(self.columns());
        for Input { name, kind } in &self.inputs {
            let (other, missing) = match kind {
                InputKind::Numeric { missing, .. } => {
                    names.push(name.clone());
                    (false, *missing)
                }
                InputKind::Categorical { categories, other, missing } => {
                    names.extend(categories.iter().map(|category| format!("{name}={category}")));
                    (*other, *missing)
                }
            };
            names.extend(other.then(|| format!("{name} is other")));
            names.extend(missing.then(|| format!("{name} is missing")));
        }
        names
    }

    /// How many numbers a row becomes.
    pub(crate) fn columns(&self) -> usize {
        self.inputs.iter().map(Input::columns).sum()
    }

    /// The kind of every column, to read other data by ([`super::VectorReading::kinds`]).
    pub(crate) fn kinds(&self) -> BTreeMap<String, Kind> {
        let kind = |input: &Input| match input.kind {
            InputKind::Numeric { .. } => Kind::Numeric,
            InputKind::Categorical { .. } => Kind::Categorical,
        };
        self.inputs.iter().map(|input| (input.name.clone(), kind(input))).collect()
    }

    /// Lower-case hexadecimal SHA-256 of the numbers of every row: equal for rows that are equal in what is read of them.
    ///
    /// # Errors
    /// As [`Encoding::align`].
    pub(crate) fn digests(&self, set: &VectorSet) -> Result<Vec<String>> {
        let rows: Vec<usize> = (0..set.rows()).collect();
        let values = self.values(set, &rows)?;
        let digest = |row: &[f32]| {
            let bytes: Vec<u8> = row.iter().flat_map(|value| (value + 0.0).to_le_bytes()).collect();
            crate::files::sha256_hex(&bytes)
        };
        Ok(values.par_chunks_exact(self.columns().max(1)).map(digest).collect())
    }

    /// The numbers of one row of a set, `[columns]`.
    ///
    /// # Errors
    /// As [`Encoding::align`].
    ///
    /// # Panics
    /// If the row does not exist.
    #[cfg(test)]
    pub(crate) fn encode(&self, set: &VectorSet, row: usize) -> Result<Vec<f32>> {
        self.values(set, &[row])
    }

    /// The numbers of some rows of a set, `[rows, columns]`. Its columns are found by their names.
    ///
    /// # Errors
    /// As [`Encoding::align`].
    ///
    /// # Panics
    /// If a row does not exist.
    pub(crate) fn values(&self, set: &VectorSet, rows: &[usize]) -> Result<Vec<f32>> {
        let width = self.columns();
        let mut values = vec![0.0; rows.len() * width];
        let mut begin = 0;
        for (input, column) in self.matched(set)? {
            match &input.kind {
                InputKind::Numeric { median, mean, deviation, missing } => {
                    let numbers = super::cells::numbers(column, set)?;
                    for (place, &row) in rows.iter().enumerate() {
                        let out = &mut values[place * width + begin..];
                        let is_there = !numbers[row].is_nan();
                        let number = if is_there { numbers[row] } else { *median };
                        out[0] = ((number - mean) / deviation).clamp(-FARTHEST, FARTHEST) as f32;
                        if *missing && !is_there {
                            out[1] = 1.0;
                        }
                    }
                }
                InputKind::Categorical { categories, other, missing } => {
                    let column = super::cells::words(column);
                    let Cells::Words { words, codes } = &column.cells else { continue };
                    let own = |word: &String| categories.binary_search(word).ok().or(other.then_some(categories.len()));
                    let places: Vec<Option<usize>> = words.iter().map(own).collect();
                    let missing = missing.then_some(categories.len() + usize::from(*other));
                    for (place, &row) in rows.iter().enumerate() {
                        let hot = codes[row].map_or(missing, |code| places[code as usize]);
                        if let Some(hot) = hot {
                            values[place * width + begin + hot] = 1.0;
                        }
                    }
                }
            }
            begin += input.columns();
        }
        Ok(values)
    }

    /// Every input with the column of a set that has its name.
    pub(super) fn matched<'a>(&'a self, set: &'a VectorSet) -> Result<Vec<(&'a Input, &'a Column)>> {
        let by_name: BTreeMap<&str, &Column> =
            set.columns.iter().map(|column| (column.name.as_str(), column)).collect();
        let lacking: Vec<String> = self
            .inputs
            .iter()
            .filter(|input| !by_name.contains_key(input.name.as_str()))
            .map(|input| input.name.clone())
            .collect();
        if !lacking.is_empty() {
            let found: Vec<String> = set.columns.iter().map(|column| column.name.clone()).collect();
            return Err(Error::Data(
                Problem::new("columns that the model was trained with are missing")
                    .expected(listing(&lacking))
                    .found(listing(&found))
                    .at(&set.root),
            ));
        }
        Ok(self.inputs.iter().filter_map(|input| Some((input, *by_name.get(input.name.as_str())?))).collect())
    }
}

fn numeric(numbers: &[f64], rows: &[usize]) -> InputKind {
    let mut known: Vec<f64> = rows.iter().map(|&row| numbers[row]).filter(|number| !number.is_nan()).collect();
    let missing = known.len() < rows.len();
    known.sort_unstable_by(f64::total_cmp);
    // Halves first, so that no sum overflows.
    let median = match known.len() {
        0 => 0.0,
        n if n % 2 == 1 => known[n / 2],
        n => known[n / 2 - 1] / 2.0 + known[n / 2] / 2.0,
    };
    // The mean is that of all rows, with the median where a number is missing, as they will stand there.
    let n = rows.len() as f64;
    let lacking = n - known.len() as f64;
    let mean = known.iter().map(|number| number / n).sum::<f64>() + median * (lacking / n);
    let squares = known.iter().map(|number| (number - mean).powi(2) / n).sum::<f64>();
    let deviation = (squares + (median - mean).powi(2) * (lacking / n)).sqrt();
    // Beside rounding errors a constant has no deviation.
    let deviation = if deviation > 1e-12 * mean.abs() { deviation } else { 1.0 };
    InputKind::Numeric { median, mean, deviation, missing }
}

/// What a column of categories becomes, and its categories with a column of their own, the commonest first.
fn categorical(words: &[String], codes: &[Option<u32>], rows: &[usize]) -> (InputKind, Vec<String>) {
    let mut counts = vec![0; words.len()];
    let mut missing = false;
    for &row in rows {
        match codes[row] {
            Some(code) => counts[code as usize] += 1,
            None => missing = true,
        }
    }
    let mut common: Vec<(usize, &String)> =
        counts.iter().copied().zip(words).filter(|(count, _)| *count >= LEAST).collect();
    common.sort_unstable_by_key(|&(count, word)| (Reverse(count), word));
    let ordered: Vec<String> = common.into_iter().map(|(_, word)| word.clone()).collect();
    let mut categories = ordered.clone();
    categories.sort_unstable();
    let other = counts.iter().any(|&count| (1..LEAST).contains(&count));
    (InputKind::Categorical { categories, other, missing }, ordered)
}
