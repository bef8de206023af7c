//! From a table or folder to labelled texts.

use std::path::Path;

use super::columns::{Columns, choose};
use super::encoding::encoding_of;
use super::record::{Opening, Record, at, too_much};
use super::strays::Strays;
use super::table::Table;
use super::{Limits, Text, TextDataset, TextExample, TextReading, TextSource};
use crate::data::group_hints::{of_cell, suggested_column};
use crate::data::grouping::Grouping;
use crate::data::label_columns::LabelColumns;
use crate::data::label_text::{Tidied, review};
use crate::data::split_column::SplitColumn;
use crate::data::task::{Inferred, Task, infer, number};
use crate::data::{Finding, FindingKind, Severity, Split, Targets};
use crate::error::{Error, Problem, Result};
use crate::progress::{Observer, Silent};

/// Reads labelled texts: a table (`.csv`, `.tsv`, `.jsonl`, `.parquet`) with a column of texts and one of labels, or a
/// folder of text files with one folder per class.
///
/// Encoding, delimiter and header are detected, columns inferred where none are named; what was decided stands in
/// `TextSource::remarks`. A column `split` with `train`, `val` or `test` (or nothing, for `train`) is honoured. Rows
/// without a label are left out, and zero characters taken out of texts; the findings say so.
///
/// # Errors
/// [`Error::Data`], with the line where there is one, when the data cannot be read as above: no such file, no text, no
/// such column, rows of different lengths, a record over the limit, an unknown split, labels that are free text, numbers or
/// sets, fewer than two classes, no training data. [`Error::Usage`] where the columns that were asked for are invalid.
/// [`Error::Interrupted`] once the observer says so.
pub fn open_texts(path: &Path, reading: &TextReading, observer: &dyn Observer) -> Result<(TextDataset, Vec<Finding>)> {
    open_texts_within(path, reading, &Limits::default(), observer)
}

/// As [`open_texts`], within other limits.
///
/// # Errors
/// As there.
pub(crate) fn open_texts_within(
    path: &Path,
    reading: &TextReading,
    limits: &Limits,
    observer: &dyn Observer,
) -> Result<(TextDataset, Vec<Finding>)> {
    let metadata = std::fs::metadata(path).map_err(|source| crate::data::missing(path, &source))?;
    if metadata.is_dir() {
        return super::folder::read(path, reading, limits, observer);
    }
    reading.grouping.refuse_pattern("a table of texts")?;
    let named: Vec<&str> =
        reading.text.iter().chain(&reading.label).chain(&reading.grouping.column).map(String::as_str).collect();
    let opening = Opening { named: &named, encoding: encoding_of(reading.encoding.as_deref())?, glance: false };
    let table = Table::open(path, &opening, limits, observer)?;
    let sample = table.sample()?;
    if sample.is_empty() {
        return Err(Error::Data(Problem::new("the table has no rows").expected("one row per text").at(path)));
    }
    let mut columns = choose(&table, &sample, reading, true)?;
    let suggested = if reading.grouping.is_asked() { None } else { suggested(&table, &columns, &sample) };
    let unused = columns.unused.take();
    let rows = Rows::read(&table, &mut columns, limits, observer)?;
    let (mut dataset, mut findings) = rows.dataset(&table, columns, reading)?;
    dataset.grouping = reading.grouping.clone();
    findings.extend(suggested.into_iter().chain(unused));
    Ok((dataset, findings))
}

/// Refuses a table of which the beginning, or no column, can be read as labelled texts; anything else is not looked at.
///
/// # Errors
/// As [`open_texts`].
pub(crate) fn check_texts(path: &Path, reading: &TextReading) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let named: Vec<&str> = reading.text.iter().chain(&reading.label).map(String::as_str).collect();
    let opening = Opening { named: &named, encoding: encoding_of(reading.encoding.as_deref())?, glance: true };
    let table = Table::open(path, &opening, &Limits::default(), &Silent)?;
    choose(&table, &table.sample()?, reading, true).map(drop)
}

/// The first column that looks like groups, as far as a sample shows.
fn suggested(table: &Table, columns: &Columns, sample: &[Record]) -> Option<Finding> {
    let split = columns.split.as_ref().map(|split| split.column);
    let used = |at: &usize| columns.text.contains(at) || columns.labels().contains(at) || split == Some(*at);
    let names = table.columns().iter().enumerate().filter(|(at, _)| !used(at));
    let mut cells = names.map(|(at, name)| (name, sample.iter().map(move |record| record.fields[at].as_deref())));
    cells.find_map(|(name, cells)| suggested_column(name, cells, "texts"))
}

/// Rows of a table whose labels are still words.
#[derive(Default)]
struct Rows {
    names: Vec<String>,
    texts: Vec<Text>,
    labels: Vec<String>,
    splits: Vec<Split>,
    groups: Vec<Option<String>>,
    unlabelled: Vec<String>,
    strays: Strays,
    /// Rows whose label had blanks around it.
    padded: Vec<bool>,
    findings: Vec<Finding>,
}

impl Rows {
    fn read(table: &Table, columns: &mut Columns, limits: &Limits, observer: &dyn Observer) -> Result<Self> {
        let split = columns.split.as_ref().map(|split| split.column);
        let wanted: Vec<usize> =
            columns.text.iter().chain(columns.labels()).chain(&split).chain(&columns.group).copied().collect();
        let (texts, labels) = (columns.text.len(), columns.labels().len());
        let may_be_empty = columns.label.as_ref().is_some_and(|label| label.only().is_none());
        let names: Vec<&str> = columns.text.iter().map(|&column| table.columns()[column].as_str()).collect();
        let has_faults = table.encoding().is_some_and(|encoding| encoding.faults > 0);
        let mut rows = Self::default();
        let mut total = 0;
        for record in table.records(&wanted)? {
            observer.check()?;
            let record = record?;
            record.refuse_lists(&names, table.path())?;
            let Record { row, line, fields, padded, .. } = record;
            let name = format!("row {row}");
            let group = columns.group.and_then(|_| of_cell(fields.last().and_then(Option::as_deref)));
            let word = split.and_then(|_| fields.get(texts + labels).and_then(Option::as_deref));
            let word = word.unwrap_or_default();
            let split = columns.split.as_mut().map_or(Ok(Split::Train), |split| split.read(word, Split::Train));
            let split = split.map_err(|problem| Error::Data(problem.at(at(table.path(), line))))?;
            let mut fields = fields.into_iter();
            let mut text = Text {
                first: fields.next().flatten().unwrap_or_default(),
                second: (texts == 2).then(|| fields.next().flatten().unwrap_or_default()),
            };
            let cells: Vec<Option<String>> = fields.by_ref().take(labels).collect();
            let label = columns.label.as_mut().map_or(Ok(None), |label| label.label(&cells));
            let label = label.map_err(|problem| Error::Data(problem.at(at(table.path(), line))))?;
            // Only an empty cell is no label: `NA` may be a class, which is told. Of zeros and ones there may be no one.
            let Some(label) = label.filter(|label| may_be_empty || !label.is_empty()) else {
                rows.unlabelled.push(name);
                continue;
            };
            rows.padded.push(padded.contains(&texts));
            rows.strays.note(&name, &mut text, has_faults);
            total += text.parts().map(|part| part.len() as u64).sum::<u64>();
            if total > limits.total {
                return Err(Error::Data(too_much(limits).at(table.path())));
            }
            rows.names.push(name);
            rows.texts.push(text);
            rows.labels.push(label.replace('\0', ""));
            rows.splits.push(split);
            rows.groups.push(group);
        }
        rows.findings.extend(columns.label.as_ref().map(LabelColumns::findings).unwrap_or_default());
        Ok(rows)
    }

    fn dataset(
        mut self,
        table: &Table,
        columns: Columns,
        reading: &TextReading,
    ) -> Result<(TextDataset, Vec<Finding>)> {
        let path = table.path();
        if self.labels.is_empty() {
            let found = format!("{} rows without one", self.unlabelled.len());
            let problem = Problem::new("no row has a label").expected("a label in most rows").found(found);
            return Err(Error::Data(problem.at(path)));
        }
        let mut findings = std::mem::take(&mut self.findings);
        if columns.label.as_ref().is_none_or(|label| label.only().is_some()) {
            self.leave_out_missing_numbers(table, reading.task);
        }
        let inferred = match columns.label.as_ref().and_then(LabelColumns::task).filter(|_| reading.task.is_none()) {
            Some(inferred) => inferred,
            None => inferred(&mut self.labels, table, reading.task)?,
        };
        if matches!(inferred.task, Task::SingleLabel | Task::MultiLabel) {
            let (mut tidied, several) = (Tidied::default(), inferred.task == Task::MultiLabel);
            for (label, padded) in self.labels.iter_mut().zip(&self.padded) {
                *label = tidied.label(label, *padded, several);
            }
            findings.extend(tidied.finding());
            findings.extend(review(&mut self.labels, several, reading.merge_classes));
        }
        let mut classes = self.labels.clone();
        classes.sort_unstable();
        classes.dedup();
        if let ([only], Task::SingleLabel) = (classes.as_slice(), inferred.task) {
            let problem = Problem::new("there are fewer than two classes")
                .expected("at least two different labels in the column of labels")
                .found(only);
            return Err(Error::Data(problem.at(path)));
        }
        if !self.splits.contains(&Split::Train) {
            let problem = Problem::new("there is no training data").expected("rows whose split is train or empty");
            return Err(Error::Data(problem.at(path)));
        }
        let examples = self
            .names
            .into_iter()
            .zip(self.texts)
            .zip(self.labels)
            .zip(self.splits)
            .zip(self.groups)
            .map(|((((name, text), label), split), group)| {
                let label = classes.partition_point(|class| *class < label);
                TextExample { name, text, label, split, group }
            })
            .collect();
        let name = |&column: &usize| table.columns()[column].clone();
        let mut remarks = table.remarks();
        remarks.extend(columns.remarks);
        remarks.push(inferred.reason.clone());
        let source = TextSource {
            format: table.format(),
            encoding: table.encoding().map(|encoding| encoding.name().to_owned()),
            text_columns: columns.text.iter().map(name).collect(),
            label_column: columns.label.as_ref().and_then(LabelColumns::only).as_ref().map(name),
            remarks,
        };
        findings.extend(columns.split.as_ref().and_then(SplitColumn::finding));
        findings.extend(table.findings());
        if !self.unlabelled.is_empty() {
            let message = format!("rows without a label, left out: {}", self.unlabelled.len());
            findings.push(Finding::new(FindingKind::MissingValue, Severity::Warning, message, self.unlabelled));
        }
        findings.extend(self.strays.findings());
        let targets = Targets::Classes;
        let plain = TextDataset {
            root: path.to_owned(),
            classes,
            examples,
            source,
            targets,
            inferred,
            grouping: Grouping::default(),
        };
        Ok((plain.recast()?, findings))
    }
}

impl Rows {
    /// Where the labels are numbers to be learnt, `NA` is none of them.
    fn leave_out_missing_numbers(&mut self, table: &Table, task: Option<Task>) {
        let texts: Vec<&str> = self.labels.iter().map(String::as_str).collect();
        let is_number = match task {
            Some(task) => task == Task::Regression,
            None => infer(&texts, table.decimal_comma()).is_ok_and(|inferred| inferred.task == Task::Regression),
        };
        let is_missing = |label: &String| number(label, table.decimal_comma()).is_some_and(f64::is_nan);
        if !is_number || !self.labels.iter().any(is_missing) {
            return;
        }
        let missing: Vec<bool> = self.labels.iter().map(is_missing).collect();
        let kept = |at: &usize| !missing[*at];
        self.unlabelled.extend((0..missing.len()).filter(|&at| missing[at]).map(|at| self.names[at].clone()));
        let rows = (0..missing.len()).filter(kept).collect::<Vec<_>>();
        let texts = std::mem::take(&mut self.texts);
        self.texts = texts.into_iter().zip(&missing).filter(|(_, missing)| !**missing).map(|(text, _)| text).collect();
        self.names = rows.iter().map(|&at| self.names[at].clone()).collect();
        self.splits = rows.iter().map(|&at| self.splits[at]).collect();
        self.padded = rows.iter().map(|&at| self.padded[at]).collect();
        self.groups = rows.iter().map(|&at| std::mem::take(&mut self.groups[at])).collect();
        self.labels = rows.iter().map(|&at| self.labels[at].clone()).collect();
    }
}

/// What is to be learnt from the labels; numbers are written in one way.
fn inferred(labels: &mut [String], table: &Table, task: Option<Task>) -> Result<Inferred> {
    let texts: Vec<&str> = labels.iter().map(String::as_str).collect();
    let inferred = match task {
        Some(task) => Inferred { task, reason: "it was asked for".into() },
        None => infer(&texts, table.decimal_comma()).map_err(|error| match error {
            Error::Data(problem) => {
                Error::Data(problem.hint("name the column that holds the labels with --label").at(table.path()))
            }
            other => other,
        })?,
    };
    if inferred.task == Task::Regression {
        for label in labels.iter_mut() {
            let value = number(label, table.decimal_comma()).filter(|value| value.is_finite());
            let value = value.ok_or_else(|| {
                let problem = Problem::new("a label is not a number").expected("a number for every text");
                Error::Data(problem.found(format!("`{label}`")).at(table.path()))
            })?;
            *label = value.to_string();
        }
    }
    Ok(inferred)
}
