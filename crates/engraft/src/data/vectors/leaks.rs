//! Columns that tell the label, and with which nothing is left to learn.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::{Cells, Column, VectorSet};
use crate::data::{Finding, FindingKind, Severity, Targets};

/// Fewer rows than this, and it may be chance.
const ROWS: usize = 10;
/// A correlation with a number to learn beyond this is not a coincidence.
const CORRELATION: f64 = 0.9999;

/// The columns that say of the `rows` what is to be learnt: as many values as classes, each of one class only; or numbers
/// on a line with the numbers to learn. Missing cells are a value, or are passed over where they are fewer than half.
pub(super) fn leaks(set: &VectorSet, rows: &[usize]) -> Vec<Finding> {
    if rows.len() < ROWS {
        return Vec::new();
    }
    let told: Vec<Option<String>> = set.columns.par_iter().map(|column| tells(column, set, rows)).collect();
    let columns = set.columns.iter().zip(told);
    let finding = |(column, what): (&Column, Option<String>)| {
        let message = format!(
            "the column `{}` {}: no result means anything if it is not known before the label",
            column.name, what?
        );
        Some(Finding::new(FindingKind::LabelLeak, Severity::Serious, message, vec![column.name.clone()]))
    };
    columns.filter_map(finding).collect()
}

/// What a column tells, in words.
fn tells(column: &Column, set: &VectorSet, rows: &[usize]) -> Option<String> {
    match &set.targets {
        Targets::Classes => is_one_to_one(column, rows, |row| set.labels[row])
            .then(|| "has one value for each class, and tells which it is".to_owned()),
        Targets::Labels(sets) => {
            let told =
                (0..set.classes.len()).find(|&label| is_one_to_one(column, rows, |row| usize::from(sets[row][label])));
            told.map(|label| format!("tells whether a row has the label `{}`", set.classes[label]))
        }
        Targets::Values(values) => {
            let Cells::Numbers(numbers) = &column.cells else { return None };
            let r = correlation(rows.iter().map(|&row| (numbers[row], values[row])))?;
            (r.abs() > CORRELATION)
                .then(|| format!("is the number to learn, but for scale and offset (correlation {r:.6})"))
        }
        Targets::Tags(_) | Targets::Answers(_) => None,
    }
}

fn is_one_to_one(column: &Column, rows: &[usize], target: impl Fn(usize) -> usize) -> bool {
    let key = |row: usize| match &column.cells {
        Cells::Numbers(numbers) => (!numbers[row].is_nan()).then(|| (numbers[row] + 0.0).to_bits()),
        Cells::Words { codes, .. } => codes[row].map(u64::from),
    };
    let maps = |with_missing: bool| {
        let (mut forth, mut back) = (BTreeMap::new(), BTreeMap::new());
        let mut passed = 0;
        for &row in rows {
            let key = key(row);
            if key.is_none() && !with_missing {
                passed += 1;
                continue;
            }
            let target = target(row);
            if *forth.entry(key).or_insert(target) != target || *back.entry(target).or_insert(key) != key {
                return false;
            }
        }
        forth.len() > 1 && 2 * passed < rows.len() && rows.len() - passed >= ROWS
    };
    maps(true) || maps(false)
}

/// Pearson's correlation of the pairs of which both are there; nothing where there are few, or one side is constant.
fn correlation(pairs: impl Iterator<Item = (f64, f64)> + Clone) -> Option<f64> {
    let pairs = pairs.filter(|(a, b)| a.is_finite() && b.is_finite());
    let (n, a, b) = pairs.clone().fold((0.0, 0.0, 0.0), |(n, a, b), pair| (n + 1.0, a + pair.0, b + pair.1));
    let (mean_a, mean_b) = (a / n, b / n);
    let [aa, bb, ab] = pairs.fold([0.0; 3], |[aa, bb, ab], (a, b)| {
        let (a, b) = (a - mean_a, b - mean_b);
        [aa + a * a, bb + b * b, ab + a * b]
    });
    (n >= ROWS as f64 && aa > 0.0 && bb > 0.0).then(|| ab / (aa.sqrt() * bb.sqrt()))
}
