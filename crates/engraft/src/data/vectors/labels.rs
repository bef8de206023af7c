//! From the texts of labels to targets, by the same rules as for images.

use std::collections::BTreeSet;
use std::path::Path;

use super::decide::value;
use super::is_missing;
use crate::data::column_names::{find, listing};
use crate::data::dataset::{Dataset, Example, Split, Targets};
use crate::data::image_source::ImageSource;
use crate::data::label_text::{Tidied, review};
use crate::data::table::canonical;
use crate::data::task::{Inferred, Task, infer, number};
use crate::data::{Finding, FindingKind, Grouping, Severity};
use crate::error::{Error, Problem, Result};

/// Names of columns that hold labels, the surest first.
const NAMES: [&str; 4] = ["label", "target", "class", "y"];
/// The flag that names another.
pub(super) const FLAG: &str = "--label-column";

/// The column of labels by its name.
pub(in crate::data) fn find_label(names: &[String]) -> Option<usize> {
    NAMES.iter().find_map(|usual| names.iter().position(|name| name.eq_ignore_ascii_case(usual)))
}

/// More different words than this are no classes unless somebody says so.
const MOST_GUESSED: usize = 20;

/// The last of some columns that holds no numbers, but a few words that come back; or the very last, where it holds zeros and
/// ones. `cells` are the first of a column.
pub(super) fn guess_label<'a>(
    columns: impl DoubleEndedIterator<Item = usize>,
    cells: impl Fn(usize) -> Vec<&'a str>,
    decimal_comma: bool,
) -> Option<usize> {
    let mut columns = columns.rev().peekable();
    let last = columns.peek().copied();
    let is_label = |column: &usize| {
        let cells: Vec<&str> = cells(*column).into_iter().filter(|cell| !is_missing(cell)).collect();
        let is_flag = Some(*column) == last && cells.iter().all(|cell| matches!(*cell, "0" | "1"));
        let numbers = cells.iter().filter(|cell| value(Some(cell), decimal_comma).is_some()).count();
        let distinct = cells.iter().collect::<BTreeSet<_>>().len();
        distinct > 1 && 2 * distinct <= cells.len() && (is_flag || numbers == 0 && distinct <= MOST_GUESSED)
    };
    columns.find(is_label)
}

/// The column of labels: the one that is asked for, else by its name.
///
/// # Errors
/// [`Error::Data`] where there is none.
pub(super) fn label_column(names: &[String], asked: Option<&str>, path: &Path) -> Result<usize> {
    if let Some(asked) = asked {
        return find(names, asked, FLAG, path);
    }
    find_label(names).ok_or_else(|| {
        let problem =
            Problem::new("no column is named like labels").expected(format!("a column called {}", NAMES.join(", ")));
        Error::Data(problem.found(listing(names)).hint(format!("name the column that holds them with {FLAG}")).at(path))
    })
}

/// What is learnt of the rows that have a label.
pub(super) struct Settled {
    /// Those rows, ascending.
    pub(super) kept: Vec<usize>,
    pub(super) classes: Vec<String>,
    pub(super) labels: Vec<usize>,
    pub(super) targets: Targets,
    pub(super) inferred: Inferred,
    pub(super) findings: Vec<Finding>,
}

/// Makes targets of labels. `names` and `splits` are those of the rows; `place` is where they stand, for an error.
///
/// An empty cell is no label, but in multi-label it is a row without any label; in regression a number must be finite.
///
/// # Errors
/// [`Error::Data`] where no row has a label, the task cannot be inferred, a label is not a number in regression, there are
/// fewer than two classes, or no row to train on has a label.
pub(super) fn settle(
    texts: &[String],
    names: &[String],
    splits: &[Split],
    task: Option<Task>,
    decimal_comma: bool,
    merge: bool,
    place: &Path,
) -> Result<Settled> {
    let refused = |problem: Problem| Error::Data(problem.at(place));
    // Only an empty cell is no label: `NA` may be a class, which is told.
    let told: Vec<&str> = texts.iter().map(String::as_str).filter(|text| !text.trim().is_empty()).collect();
    if told.is_empty() {
        let problem = Problem::new("no row has a label").expected("a label in most rows");
        return Err(refused(problem.found(format!("{} rows without one", texts.len()))));
    }
    let inferred = match task {
        Some(task) => Inferred { task, reason: "it was asked for".into() },
        None => infer(&told, decimal_comma).map_err(|error| match error {
            Error::Data(problem) => refused(problem),
            other => other,
        })?,
    };
    let has_label = |text: &str| match inferred.task {
        Task::SingleLabel | Task::Tags | Task::Answers => !text.trim().is_empty(),
        Task::MultiLabel => true,
        // What is not a number at all is refused below.
        Task::Regression => number(text, decimal_comma).is_none_or(f64::is_finite),
    };
    let (kept, without): (Vec<usize>, Vec<usize>) = (0..texts.len()).partition(|&row| has_label(&texts[row]));
    let mut findings = Vec::new();
    if !without.is_empty() {
        let what = if inferred.task == Task::Regression {
            "rows without a finite number as label"
        } else {
            "rows without a label"
        };
        let said = without.iter().map(|&row| texts[row].as_str()).find(|text| !text.is_empty());
        let said = said.map_or_else(String::new, |text| format!("; such a cell says `{text}`"));
        let message = format!("{what}, left out: {}{said}", without.len());
        let rows = without.iter().map(|&row| names[row].clone()).collect();
        findings.push(Finding::new(FindingKind::MissingValue, Severity::Warning, message, rows));
    }
    let mut targets = Vec::with_capacity(kept.len());
    for &row in &kept {
        let at = || format!("{}, {}", crate::error::printable(place), names[row]);
        targets.push(
            canonical(&texts[row], inferred.task, decimal_comma).map_err(|problem| Error::Data(problem.at(at())))?,
        );
    }
    if matches!(inferred.task, Task::SingleLabel | Task::MultiLabel) {
        let (mut tidied, several) = (Tidied::default(), inferred.task == Task::MultiLabel);
        targets.iter_mut().for_each(|target| *target = tidied.label(target, false, several));
        findings.extend(tidied.finding());
        findings.extend(review(&mut targets, several, merge));
    }
    let mut classes = targets.clone();
    classes.sort_unstable();
    classes.dedup();
    let example = |(&row, target): (&usize, &String)| Example {
        source: ImageSource::default(),
        name: names[row].clone(),
        label: classes.partition_point(|class| class < target),
        split: splits[row],
        group: None,
    };
    let examples = kept.iter().zip(&targets).map(example).collect();
    let grouping = Grouping::default();
    let dataset =
        Dataset { root: place.to_owned(), classes: classes.clone(), examples, targets: Targets::Classes, grouping };
    let dataset = dataset.recast(inferred.task)?;
    let few = match inferred.task {
        Task::SingleLabel if dataset.classes.len() < 2 => {
            Some(("there are fewer than two classes", "two different labels"))
        }
        Task::MultiLabel if dataset.classes.is_empty() => Some(("there are no labels", "a label")),
        _ => None,
    };
    if let Some((what, expected)) = few {
        let found = dataset.classes.first().map_or("none", String::as_str);
        return Err(refused(Problem::new(what).expected(format!("at least {expected}")).found(found)));
    }
    if !dataset.has(Split::Train) {
        let problem = Problem::new("there is no training data");
        return Err(refused(problem.expected("rows with a label whose split is train or empty")));
    }
    let labels = dataset.examples.iter().map(|example| example.label).collect();
    Ok(Settled { kept, classes: dataset.classes, labels, targets: dataset.targets, inferred, findings })
}
