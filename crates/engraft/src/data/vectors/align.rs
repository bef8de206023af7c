//! Other rows than those of training: whether their columns are the same, and what is different in them.

use std::collections::BTreeSet;

use super::cells::{numbers, words};
use super::{Cells, Encoding, InputKind, VectorSet};
use crate::data::column_names::{listing, shortened};
use crate::error::Result;

/// Categories that are named in a note.
const SHOWN: usize = 5;

impl Encoding {
    /// Compares the columns of a set with those of training, by their names, and tells what is different and what is made
    /// of it: columns that are not used, categories that training did not know, missing cells where it had none.
    ///
    /// # Errors
    /// [`Error::Data`](crate::error::Error::Data) where columns are missing, with their names, or a column of numbers holds a word, with its row.
    pub(crate) fn align(&self, set: &VectorSet) -> Result<Vec<String>> {
        let mut notes = Vec::new();
        let matched = self.matched(set)?;
        let used: BTreeSet<&str> = self.inputs.iter().map(|input| input.name.as_str()).collect();
        let further = set.columns.iter().filter(|column| !used.contains(column.name.as_str()));
        let further: Vec<String> = further.map(|column| column.name.clone()).collect();
        if !further.is_empty() {
            notes.push(format!("columns that the model does not use: {}", listing(&further)));
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
