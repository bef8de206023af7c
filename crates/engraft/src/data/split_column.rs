//! The column of a table that says which part of the data a row belongs to, and the words in it.

use std::collections::{BTreeMap, BTreeSet};

use super::dataset::Split;
use super::finding::{Finding, FindingKind, Severity};
use super::split_names::{exact, is_development, loose};
use crate::error::Problem;

/// The name that such a column has, whatever stands in it.
pub(super) const NAME: &str = "split";
/// Names that it may have, where all words in it are splits.
const OTHERS: [&str; 10] =
    ["subset", "set", "partition", "usage", "data_split", "dataset_split", "split_name", "phase", "fold_name", "part"];
/// What may stand before a split in the name of a column of truth values, without what stands between words: `is_train`,
/// `in_test_set`.
const BEFORE: [&str; 5] = ["is", "in", "isin", "for", "usedfor"];
/// Names that may mean something else than a split, as long as no column has the name of a label.
const DOUBTFUL: [&str; 6] = ["valid", "validate", "validation", "dev", "development", "evaluation"];
/// Names that columns of labels have: what they hold is learnt, whatever it says.
const LABELS: [&str; 8] = ["label", "labels", "class", "classes", "category", "target", "y", "tag"];
/// Words that need no saying.
const USUAL: [&str; 6] = ["", "train", "val", "valid", "validation", "test"];

/// The column of splits.
#[derive(Debug, Clone)]
pub(crate) struct SplitColumn {
    /// Its place in the table.
    pub(super) column: usize,
    name: String,
    /// What a true cell says, and a false one, where its cells are truth values.
    truths: Option<(Split, Option<Split>)>,
    /// Whether `development` is to train on, since no word says that anything is.
    develops: bool,
    seen: BTreeMap<String, Split>,
}

fn truth(cell: &str) -> Option<bool> {
    match cell.to_ascii_lowercase().as_str() {
        "true" | "1" | "1.0" | "yes" => Some(true),
        "false" | "0" | "0.0" | "no" | "" => Some(false),
        _ => None,
    }
}

/// A name in lower case without what stands between its words.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// What a true cell says by the name of its column, and what a false one says: nothing where a row of which it is false is to
/// train on.
fn truths_of(name: &str) -> Option<(Split, Option<Split>)> {
    let name = plain(name);
    // One word, and no split.
    if name == "invalid" {
        return None;
    }
    let after = |before: &&str| name.strip_prefix(before).and_then(exact);
    let split = exact(&name).or_else(|| BEFORE.iter().find_map(after))?;
    Some((split, (split == Split::Train).then_some(Split::Test)))
}

/// Whether a name of truth values says a split in any table: `train`, `is_test`.
fn is_split_alone(name: &str) -> bool {
    let name = plain(name);
    name == "train" || exact(&name).is_none()
}

impl SplitColumn {
    /// The column of splits among those of these names, of which `is_free`; `cells` are the first cells of a column, `words` all
    /// the different ones of it, where they are few.
    ///
    /// One by another name than `split` is such a column only where all of its cells say a split, and one of them the one to
    /// train on; one by any name only where they say nothing else, in whole words.
    pub(super) fn find<'a>(
        names: &[String],
        is_free: impl Fn(usize) -> bool,
        cells: impl Fn(usize) -> Vec<&'a str>,
        words: impl Fn(usize) -> Option<BTreeSet<String>>,
    ) -> Option<Self> {
        Self::find_among(names, is_free, cells, words, |_| false)
    }

    /// As [`SplitColumn::find`], of a table whose rows are images or texts: their truth values under a bare name (`test`,
    /// `training`) are splits, where they may be features of other tables.
    pub(super) fn find_beside_content<'a>(
        names: &[String],
        is_free: impl Fn(usize) -> bool,
        cells: impl Fn(usize) -> Vec<&'a str>,
        words: impl Fn(usize) -> Option<BTreeSet<String>>,
    ) -> Option<Self> {
        let has_label = names.iter().any(|name| LABELS.iter().any(|label| name.eq_ignore_ascii_case(label)));
        let is_doubtful = |at: usize| DOUBTFUL.contains(&plain(&names[at]).as_str());
        // Something else has to be left to learn.
        let is_clear = |at: usize| has_label || names.len() > 2 && !is_doubtful(at);
        Self::find_among(names, is_free, cells, words, is_clear)
    }

    /// `bare`: whether truth values of a column that is called like a split and nothing else are splits.
    fn find_among<'a>(
        names: &[String],
        is_free: impl Fn(usize) -> bool,
        cells: impl Fn(usize) -> Vec<&'a str>,
        words: impl Fn(usize) -> Option<BTreeSet<String>>,
        bare: impl Fn(usize) -> bool,
    ) -> Option<Self> {
        let found = |column: usize, truths: Option<(Split, Option<Split>)>| {
            let is_trained = cells(column).iter().any(|cell| cell.is_empty() || loose(cell) == Some(Split::Train));
            let develops = truths.is_none()
                && !is_trained
                && words(column).is_some_and(|words| {
                    words.iter().any(|word| is_development(word))
                        && words.iter().all(|word| loose(word) != Some(Split::Train))
                });
            Self { column, name: names[column].clone(), truths, develops, seen: BTreeMap::new() }
        };
        let free = || (0..names.len()).filter(|&at| is_free(at));
        let named = |wanted: &str| free().find(|&at| names[at].eq_ignore_ascii_case(wanted));
        if let Some(column) = named(NAME) {
            return Some(found(column, None));
        }
        let trains = |cell: &str| loose(cell) == Some(Split::Train) || is_development(cell);
        for column in OTHERS.iter().filter_map(|name| named(name)) {
            let told: Vec<&str> = cells(column).into_iter().filter(|cell| !cell.is_empty()).collect();
            if told.iter().all(|cell| loose(cell).is_some()) && told.iter().any(|cell| trains(cell)) {
                return Some(found(column, None));
            }
        }
        for (column, yes, no) in free().filter_map(|at| truths_of(&names[at]).map(|(yes, no)| (at, yes, no))) {
            if !is_split_alone(&names[column]) && !bare(column) {
                continue;
            }
            let cells = cells(column);
            let truths: Vec<Option<bool>> = cells.iter().map(|cell| truth(cell)).collect();
            // What says nothing is not held out.
            let is_told = no.is_none() || cells.iter().all(|cell| !cell.is_empty());
            let trains = yes == Split::Train;
            // The rows to train on may come last.
            let is_trained = || {
                truths.contains(&Some(trains))
                    || words(column).is_some_and(|words| words.iter().any(|word| truth(word) == Some(trains)))
            };
            if is_told && truths.iter().all(Option::is_some) && is_trained() {
                return Some(found(column, Some((yes, no))));
            }
        }
        let says_splits = |words: &BTreeSet<String>| {
            let splits: BTreeSet<Option<Split>> = words.iter().map(|word| exact(word)).collect();
            splits.len() > 1 && !splits.contains(&None) && words.iter().any(|word| trains(word))
        };
        free()
            .filter(|&at| !LABELS.iter().any(|label| names[at].eq_ignore_ascii_case(label)))
            .filter(|&at| {
                let cells = cells(at);
                !cells.is_empty() && cells.iter().all(|cell| exact(cell).is_some())
            })
            .find(|&at| words(at).is_some_and(|words| says_splits(&words)))
            .map(|column| found(column, None))
    }

    /// The split that a cell says; `usual` where it is empty.
    ///
    /// # Errors
    /// A problem without a place, where it says none.
    pub(super) fn read(&mut self, cell: &str, usual: Split) -> Result<Split, Problem> {
        if let Some(split) = self.seen.get(cell) {
            return Ok(*split);
        }
        let split = match (self.truths, cell) {
            (None, "") => Some(usual),
            (None, word) if self.develops && is_development(word) => Some(Split::Train),
            (None, word) => exact(word).or_else(|| loose(word)),
            (Some((yes, no)), cell) => truth(cell).map(|is_so| if is_so { yes } else { no.unwrap_or(usual) }),
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
            |at| (at == 1).then(|| cells.iter().map(|cell| (*cell).to_owned()).collect()),
        )
    }

    fn splits(name: &str, cells: &[&'static str]) -> Option<Vec<Split>> {
        let mut column = find(name, cells)?;
        Some(cells.iter().map(|cell| column.read(cell, Split::Train).unwrap()).collect())
    }

    #[test]
    fn columns_of_split_names_alone_are_found_whatever_they_are_called() {
        use Split::{Test, Train, Val};
        for name in ["dataset", "ds", "fold", "mode", "train_test", "partition"] {
            assert_eq!(splits(name, &["train", "Test", "train"]), Some(vec![Train, Test, Train]), "{name}");
            assert_eq!(splits(name, &["train", "bus", "test"]), None, "{name}");
            assert_eq!(splits(name, &["test", "val", "test"]).unwrap_or_default(), [], "nothing to train on: {name}");
            assert_eq!(splits(name, &["development", "evaluation"]), Some(vec![Train, Test]), "{name}");
            assert_eq!(splits(name, &["train", "development", "evaluation"]), Some(vec![Train, Val, Test]), "{name}");
        }
        assert_eq!(splits("split", &["development", "test"]), Some(vec![Train, Test]));
        assert_eq!(splits("fold", &["train", "train"]), None, "of one split alone");
        assert_eq!(splits("class", &["train", "test"]), None, "what is learnt");
        let mut column = find("ds", &["train", "test"]).unwrap();
        column.read("train", Train).unwrap();
        assert!(column.finding().unwrap().message.contains("the column `ds` says the splits: `train` is train"));
    }

    #[test]
    fn truth_values_may_say_what_is_trained_on() {
        use Split::{Test, Train, Val};
        for name in ["is_train", "istrain", "IsTrain"] {
            assert_eq!(splits(name, &["0", "1", "1"]), Some(vec![Test, Train, Train]), "{name}");
            assert_eq!(splits(name, &["0", "", "1"]), None, "{name}");
        }
        assert_eq!(splits("isTest", &["False", "True", ""]), Some(vec![Train, Test, Train]));
        assert_eq!(splits("is_valid", &["False", "True"]), Some(vec![Train, Val]));
        assert_eq!(splits("is_train", &["0", "0"]), None);
        assert_eq!(splits("train", &["0.5", "1"]), None);
        for name in ["is_training_set", "isTrainingSet", "in_train", "used_for_training"] {
            assert_eq!(splits(name, &["0", "1", "1"]), Some(vec![Test, Train, Train]), "{name}");
        }
        for name in ["is_test_set", "in_test", "isTest"] {
            assert_eq!(splits(name, &["false", "true"]), Some(vec![Train, Test]), "{name}");
        }
    }

    #[test]
    fn truth_values_under_the_bare_name_of_a_split_are_splits_beside_images_and_texts() {
        use Split::{Test, Train, Val};
        let beside = |names: &[&str], cells: &[&'static str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let last = names.len() - 1;
            let of = |at: usize| if at == last { cells.to_vec() } else { vec!["x"] };
            let mut column = SplitColumn::find_beside_content(&names, |_| true, of, |_| None)?;
            Some(cells.iter().map(|cell| column.read(cell, Train).unwrap()).collect::<Vec<Split>>())
        };
        for (name, of_true, of_false) in [
            ("test", Test, Train),
            ("val", Val, Train),
            ("valid", Val, Train),
            ("training", Train, Test),
            ("holdout", Test, Train),
        ] {
            let expected = Some(vec![of_false, of_true]);
            assert_eq!(beside(&["text", "label", name], &["0", "1"]), expected, "{name}");
            assert_eq!(beside(&["text", name], &["0", "1"]), None, "nothing else is left to learn: {name}");
            assert_eq!(splits(name, &["0", "1"]), None, "a feature: {name}");
        }
        assert_eq!(beside(&["id", "text", "valid"], &["0", "1"]), None, "what is learnt");
        assert_eq!(beside(&["text", "label", "invalid"], &["0", "1"]), None, "no split");
        assert_eq!(beside(&["image", "red", "blue", "test"], &["0", "1"]), Some(vec![Train, Test]));
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
