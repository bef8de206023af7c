//! From files to rows.

use std::path::Path;

use super::labels::{Settled, settle};
use super::raw::Raw;
use super::sources::{is_array, sources, told};
use super::{VectorReading, VectorSet, VectorSource, npy, tables};
use crate::data::{Finding, Grouping, Targets};
use crate::error::{Error, Problem, Result};
use crate::progress::Observer;

/// Reads labelled rows: a table (`.csv`, `.tsv`, `.parquet`), an array (`.npy`) with labels beside it, or a folder with
/// such a file for each split (see [`super`]).
///
/// Rows without a label are left out, and columns of nearly only numbers read as categories; the findings say so.
///
/// # Errors
/// [`Error::Data`], with row and column where there are any, when the data cannot be read as described there: no such
/// file, column or labels; two columns of one name; rows of different lengths; an infinite number; a column of many values
/// that are nearly all numbers; an unknown split; labels that are free text; fewer than two classes; no training data; more
/// than 4 GiB of cells. [`Error::Interrupted`] once the observer says so.
pub fn open_vectors(
    path: &Path,
    reading: &VectorReading,
    observer: &dyn Observer,
) -> Result<(VectorSet, Vec<Finding>)> {
    let mut raw = read(path, reading, true, observer)?;
    let texts = std::mem::take(&mut raw.labels);
    let settled =
        settle(&texts, &raw.names, &raw.splits, reading.task, raw.decimal_comma, reading.merge_classes, path)?;
    let Settled { kept, classes, labels, targets, inferred, findings } = settled;
    if kept.len() < raw.names.len() {
        raw.columns = raw.columns.into_iter().map(|column| column.select(&kept)).collect();
        raw.names = kept.iter().map(|&row| std::mem::take(&mut raw.names[row])).collect();
        raw.splits = kept.iter().map(|&row| raw.splits[row]).collect();
        if !raw.groups.is_empty() {
            raw.groups = kept.iter().map(|&row| std::mem::take(&mut raw.groups[row])).collect();
        }
    }
    raw.findings.extend(findings);
    let Raw { label, is_guess, remarks, .. } = raw;
    let source = VectorSource { label, is_guess, inferred: Some(inferred), remarks };
    let Raw { names, columns, splits, groups, findings, .. } = raw;
    let (root, grouping) = (path.to_owned(), reading.grouping.clone());
    let set = VectorSet { root, names, columns, classes, labels, targets, splits, groups, grouping, source };
    Ok((set, findings))
}

/// Reads rows to be predicted, as [`open_vectors`] does without asking for labels. A column of labels that
/// [`VectorReading::label`] names is passed over where it is there.
///
/// # Errors
/// As [`open_vectors`], but for labels.
pub(crate) fn open_unlabelled(
    path: &Path,
    reading: &VectorReading,
    observer: &dyn Observer,
) -> Result<(VectorSet, Vec<Finding>)> {
    let Raw { names, columns, splits, remarks, findings, .. } = read(path, reading, false, observer)?;
    let source = VectorSource { label: None, is_guess: false, inferred: None, remarks };
    let (labels, targets) = (vec![0; names.len()], Targets::Classes);
    let (root, classes, groups, grouping) = (path.to_owned(), Vec::new(), Vec::new(), Grouping::default());
    let set = VectorSet { root, names, columns, classes, labels, targets, splits, groups, grouping, source };
    Ok((set, findings))
}

fn read(path: &Path, reading: &VectorReading, with_labels: bool, observer: &dyn Observer) -> Result<Raw> {
    reading.grouping.refuse_pattern("a table of rows")?;
    let sources = sources(path)?;
    if let Some(labels) = reading.labels.as_ref().filter(|_| with_labels && !is_array(&sources[0].path)) {
        let problem =
            Problem::new("only an array has its labels in a file of their own").found(crate::error::printable(labels));
        return Err(Error::Usage(problem.at("--labels").hint("--label-column names the column of a table")));
    }
    let mut raw = match is_array(&sources[0].path) {
        true => npy::read(&sources, reading, with_labels, observer)?,
        false => tables::read(path, &sources, reading, with_labels, observer)?,
    };
    raw.remarks.extend(told(&sources));
    match () {
        () if raw.names.is_empty() => {
            Err(Error::Data(Problem::new("there are no rows").expected("at least one").at(path)))
        }
        () if raw.columns.is_empty() => {
            let problem = Problem::new("there are no columns of features");
            Err(Error::Data(problem.expected("at least one column beside the labels").at(path)))
        }
        () => Ok(raw),
    }
}
