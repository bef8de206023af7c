//! Other rows than those of training: whether their columns are the same, and what is different in them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::decide::{is_usable, shortened, value};
use super::{Cells, Column, Encoding, InputKind, VectorSet};
use crate::error::{Error, Problem, Result, printable};

/// Categories that are named in a note.
const SHOWN: usize = 5;

impl Encoding {
    /// Compares the columns of a set with those of training, by their names, and tells what is different and what is made
    /// of it: columns that are not used, categories that training did not know, missing cells where it had none.
    ///
    /// # Errors
    /// [`Error::Data`] where columns are missing, with their names, or a column of numbers holds a word, with its row.
    pub fn align(&self, set: &VectorSet) -> Result<Vec<String>> {
        let mut notes = Vec::new();
        let matched = self.matched(set)?;
        let used: BTreeSet<&str> = self.inputs.iter().map(|input| input.name.as_str()).collect();
        let further = set.columns.iter().filter(|column| !used.contains(column.name.as_str()));
        let further: Vec<String> = further.map(|column| column.name.clone()).collect();
        if !further.is_empty() {
            notes.push(format!("columns that the model does not use: {}", super::labels::listing(&further)));
        }
        for (input, column) in matched {
            let name = &input.name;
            let (lacking, stand_in) = match &input.kind {
                InputKind::Numeric { missing, .. } => {
                    let lacking = numbers(column, set)?.iter().filter(|number| number.is_nan()).count();
                    (lacking, (!missing).then_some("the median of the training rows"))
                }
                InputKind::Categorical { categories, other, missing } => {
                    let column = words(column);
                    let Cells::Words { words, codes } = &column.cells else { continue };
                    let is_new: Vec<bool> = words.iter().map(|word| categories.binary_search(word).is_err()).collect();
                    let cells = codes.iter().flatten().filter(|code| is_new[**code as usize]).count();
                    if cells > 0 {
                        notes.push(unknown(name, words, &is_new, cells, *other));
                    }
                    let lacking = codes.iter().filter(|code| code.is_none()).count();
                    (lacking, (!missing).then_some("no category"))
                }
            };
            if let Some(stand_in) = stand_in.filter(|_| lacking > 0) {
                notes.push(format!(
                    "the column `{name}` lacks {lacking} values, as no training row did: taken as {stand_in}"
                ));
            }
        }
        Ok(notes)
    }
}

fn unknown(name: &str, words: &[String], is_new: &[bool], cells: usize, other: bool) -> String {
    let mut new: Vec<&String> = words.iter().zip(is_new).filter(|(_, is_new)| **is_new).map(|(word, _)| word).collect();
    new.sort_unstable();
    let mut shown: Vec<String> = new.iter().take(SHOWN).map(|word| format!("`{}`", shortened(word))).collect();
    if new.len() > shown.len() {
        shown.push(format!("and {} more", new.len() - shown.len()));
    }
    let (what, taken) = match other {
        true => ("never seen in training, or rarely", "the rare ones"),
        false => ("never seen in training", "no category"),
    };
    format!("the column `{name}` has {cells} values {what} ({}): taken as {taken}", shown.join(", "))
}

/// The numbers of a column of a set.
///
/// # Errors
/// [`Error::Data`] where one of its cells is not a number.
pub(super) fn numbers<'a>(column: &'a Column, set: &VectorSet) -> Result<Cow<'a, [f64]>> {
    let (words, codes) = match &column.cells {
        Cells::Numbers(numbers) => return Ok(Cow::Borrowed(numbers)),
        Cells::Words { words, codes } => (words, codes),
    };
    let values: Vec<Option<f64>> =
        words.iter().map(|word| value(Some(word), false).filter(|&value| is_usable(value))).collect();
    let number = |(row, code): (usize, &Option<u32>)| match code {
        None => Ok(f64::NAN),
        Some(code) => values[*code as usize].ok_or_else(|| {
            let place = format!("{}, {}, column `{}`", printable(&set.root), set.names[row], column.name);
            let problem = Problem::new("a cell is not a number").expected("a number, as in training, or an empty cell");
            Error::Data(problem.found(format!("`{}`", shortened(&words[*code as usize]))).at(place))
        }),
    };
    Ok(Cow::Owned(codes.iter().enumerate().map(number).collect::<Result<_>>()?))
}

/// A column as one of categories: numbers as Rust writes them.
pub(super) fn words(column: &Column) -> Cow<'_, Column> {
    let Cells::Numbers(numbers) = &column.cells else { return Cow::Borrowed(column) };
    let mut distinct: Vec<f64> = numbers.iter().copied().filter(|number| !number.is_nan()).map(|n| n + 0.0).collect();
    distinct.sort_unstable_by(f64::total_cmp);
    distinct.dedup();
    let code = |number: &f64| {
        (!number.is_nan()).then(|| distinct.partition_point(|other| other.total_cmp(&(number + 0.0)).is_lt()) as u32)
    };
    let codes = numbers.iter().map(code).collect();
    let words = distinct.iter().map(f64::to_string).collect();
    Cow::Owned(Column { name: column.name.clone(), cells: Cells::Words { words, codes } })
}
