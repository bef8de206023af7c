//! The column of a table that says which part of the data a row belongs to, and the words in it.

use std::collections::BTreeMap;

use super::dataset::Split;
use super::finding::{Finding, FindingKind, Severity};
use super::split_names::{exact, loose};
use crate::error::Problem;

/// The name that such a column has, whatever stands in it.
pub(super) const NAME: &str = "split";
/// Names that it may have, where all words in it are splits.
const OTHERS: [&str; 10] =
    ["subset", "set", "partition", "usage", "data_split", "dataset_split", "split_name", "phase", "fold_name", "part"];
/// Columns of truth values that say that a row is held out.
const HELD: [(&str, Split); 7] = [
    ("is_valid", Split::Val),
    ("is_val", Split::Val),
    ("is_validation", Split::Val),
    ("is_dev", Split::Val),
    ("is_test", Split::Test),
    ("is_eval", Split::Test),
    ("is_heldout", Split::Test),
];
/// Words that need no saying.
const USUAL: [&str; 6] = ["", "train", "val", "valid", "validation", "test"];

/// The column of splits.
#[derive(Debug, Clone)]
pub(crate) struct SplitColumn {
    /// Its place in the table.
    pub(super) column: usize,
    name: String,
    /// What a true cell says, where its cells are truth values.
    held: Option<Split>,
    seen: BTreeMap<String, Split>,
}

fn truth(cell: &str) -> Option<bool> {
    match cell.to_ascii_lowercase().as_str() {
        "true" | "1" | "1.0" | "yes" => Some(true),
        "false" | "0" | "0.0" | "no" | "" => Some(false),
        _ => None,
    }
}

impl SplitColumn {
    /// The column of splits among those of these names, of which `is_free`; `cells` are the first cells of a column. A
    /// column by another name than `split` is one only where all of its cells say a split, not all the same.
    pub(super) fn find<'a>(
        names: &[String],
        is_free: impl Fn(usize) -> bool,
        cells: impl Fn(usize) -> Vec<&'a str>,
    ) -> Option<Self> {
        let named = |wanted: &str| (0..names.len()).find(|&at| is_free(at) && names[at].eq_ignore_ascii_case(wanted));
        let found =
            |column: usize, held| Some(Self { column, name: names[column].clone(), held, seen: BTreeMap::new() });
        if let Some(column) = named(NAME) {
            return found(column, None);
        }
        for column in OTHERS.iter().filter_map(|name| named(name)) {
            let splits: Vec<Option<Split>> =
                cells(column).into_iter().filter(|cell| !cell.is_empty()).map(loose).collect();
            if splits.iter().all(Option::is_some) && splits.contains(&Some(Split::Train)) {
                return found(column, None);
            }
        }
        for (name, held) in HELD {
            let Some(column) = named(name) else { continue };
            let truths: Vec<Option<bool>> = cells(column).into_iter().map(truth).collect();
            if truths.iter().all(Option::is_some) && truths.contains(&Some(false)) {
                return found(column, Some(held));
            }
        }
        None
    }

    /// The split that a cell says; `usual` where it is empty.
    ///
    /// # Errors
    /// A problem without a place, where it says none.
    pub(super) fn read(&mut self, cell: &str, usual: Split) -> Result<Split, Problem> {
        if let Some(split) = self.seen.get(cell) {
            return Ok(*split);
        }
        let split = match (self.held, cell) {
            (None, "") => Some(usual),
            (None, word) => exact(word).or_else(|| loose(word)),
            (Some(held), cell) => truth(cell).map(|is_held| if is_held { held } else { usual }),
        };
        let split = split.ok_or_else(|| {
            Problem::new("an unknown split").expected("train, val, test or nothing").found(cell).hint(format!(
                "the column `{}` says which part of the data a row belongs to; rename it if it does not",
                self.name
            ))
        })?;
        self.seen.insert(cell.to_owned(), split);
        Ok(split)
    }

    /// What was guessed of its words.
    pub(super) fn finding(&self) -> Option<Finding> {
        let is_usual = self.name.eq_ignore_ascii_case(NAME)
            && self.seen.keys().all(|word| USUAL.contains(&word.to_ascii_lowercase().as_str()));
        if is_usual || self.seen.is_empty() {
            return None;
        }
        let said = |(word, split): (&String, &Split)| match word.as_str() {
            "" => format!("an empty cell is {}", split.name()),
            word => format!("`{word}` is {}", split.name()),
        };
        let words: Vec<String> = self.seen.iter().map(said).collect();
        let message = format!("the column `{}` says the splits: {}", self.name, words.join(", "));
        Some(Finding::new(FindingKind::Guessed, Severity::Info, message, vec![self.name.clone()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(name: &str, cells: &[&'static str]) -> Option<SplitColumn> {
        SplitColumn::find(
            &["text".into(), name.into()],
            |_| true,
            |at| if at == 1 { cells.to_vec() } else { vec!["x"] },
        )
    }

    #[test]
    fn columns_are_found_by_name_and_by_what_stands_in_them() {
        assert!(find("Split", &["a"]).is_some());
        assert!(find("Usage", &["Training", "PublicTest"]).is_some());
        assert!(find("set", &["Train", "dev"]).is_some());
        assert!(find("set", &["Train", "blue"]).is_none() && find("set", &["test"]).is_none());
        assert!(find("is_valid", &["True", "False"]).is_some() && find("is_valid", &["maybe"]).is_none());
    }

    #[test]
    fn words_are_read_and_told() {
        let mut column = find("split", &[]).unwrap();
        let read = |column: &mut SplitColumn, word: &str| column.read(word, Split::Train).unwrap();
        assert_eq!(
            (read(&mut column, "Train"), read(&mut column, ""), read(&mut column, "VAL")),
            (Split::Train, Split::Train, Split::Val)
        );
        assert!(column.finding().is_none());
        assert_eq!((read(&mut column, "dev"), read(&mut column, "Testing")), (Split::Val, Split::Test));
        assert!(column.finding().unwrap().message.contains("`Testing` is test"));
        assert!(column.read("maybe", Split::Train).unwrap_err().to_string().contains("unknown split"));
        let mut column = find("is_valid", &["True", "False"]).unwrap();
        assert_eq!((read(&mut column, "True"), read(&mut column, "False")), (Split::Val, Split::Train));
        assert!(column.finding().unwrap().message.contains("`True` is val"));
    }
}
