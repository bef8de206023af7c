//! What is wrong with rows of a table, before anything is trained on them.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::leaks::leaks;
use super::{Cell, Cells, Column, VectorSet};
use crate::data::audit::{Audit, Finding, FindingKind, Severity, Wording, Work};
use crate::data::dataset::Split;
use crate::data::group_hints::{is_named_like_groups, suggested_column};

const ROWS: Wording = Wording {
    things: "rows",
    one: "row of features",
    copies: "rows with the same features as another",
    alike: "are nearly the same",
};

/// Fewer rows than this do not show that a column only numbers them.
const LEAST: usize = 10;
/// Where more than one row in so many is a copy, the columns take few values, and equal rows are not copies of one thing.
const COPIES: usize = 10;

/// Audits labelled rows, given what reading them found, and takes out the columns that teach nothing.
///
/// - Columns with one value in all training rows, or none, are taken out, and so are identifiers: whole numbers that only
///   rise (or fall) from row to row, and words that are different in every row. One of them is kept where no other is left.
/// - A column that tells the label is serious, and kept: only the user knows whether it is known beforehand.
/// - The columns with missing cells are told, with how many.
/// - Rows with the same features are kept and share a group; under different labels they contradict each other and are
///   excluded (nobody knows which label is right). A row that is in two splits is excluded from the one that matters less.
///   Where more than a tenth of the rows are copies of others, the columns take few values and different things look the
///   same: none is excluded for it. They still share a group, so that no fold tests what it learnt, unless more than half are
///   copies; what is done is told.
/// - Classes with few usable training rows, imbalance, and few rows in all are told.
pub(crate) fn audit_vectors(mut set: VectorSet, mut findings: Vec<Finding>) -> (VectorSet, Audit) {
    let train = set.of(Split::Train);
    if !set.grouping.is_asked() {
        findings.extend(set.columns.iter().find_map(|column| suggested(column, &train)));
    }
    take_out(&mut set, &train, &mut findings);
    findings.extend(leaks(&set, &train));
    missing_cells(&set, &train, &mut findings);

    let labelled = set.labelled();
    let digests = set.digests();
    let distinct = digests.iter().collect::<BTreeSet<_>>().len();
    let copies = digests.len() - distinct;
    let are_copies = COPIES * copies <= digests.len();
    let are_grouped = 2 * copies <= digests.len();
    if !are_copies {
        let done = if are_grouped {
            "equal rows are kept together in one fold"
        } else {
            "equal rows may be in different folds"
        };
        let message =
            format!("the columns take few values: {} rows have {distinct} different contents; {done}", digests.len());
        findings.push(Finding::new(FindingKind::FewCombinations, Severity::Info, message, Vec::new()));
    }
    let mut work = Work::new(&labelled, &ROWS, digests.into_iter().map(Some).collect(), findings);
    let contents = work.contents();
    match (are_copies, are_grouped) {
        (true, _) => work.exact(&contents),
        (false, true) => work.keep_together(&contents),
        (false, false) => {}
    }
    let audit = work.finish();
    (set, audit)
}

/// A suggestion to group by a column, where it looks like that.
fn suggested(column: &Column, train: &[usize]) -> Option<Finding> {
    if !is_named_like_groups(&column.name) {
        return None;
    }
    let text = |&row: &usize| match column.cell(row) {
        Cell::Missing => None,
        Cell::Number(number) => Some(number.to_string()),
        Cell::Word(word) => Some(word.to_owned()),
    };
    let cells: Vec<Option<String>> = train.iter().map(text).collect();
    suggested_column(&column.name, cells.iter().map(Option::as_deref), "rows")
}

/// What a column teaches.
#[derive(Clone, Copy, PartialEq)]
enum Use {
    Feature,
    Constant,
    Identifier,
}

fn take_out(set: &mut VectorSet, train: &[usize], findings: &mut Vec<Finding>) {
    let mut uses: Vec<Use> = set.columns.par_iter().map(|column| judge(column, train)).collect();
    if !uses.contains(&Use::Feature)
        && let Some(identifier) = uses.iter().position(|of| *of == Use::Identifier)
    {
        uses[identifier] = Use::Feature;
    }
    for (judged, kind, what) in [
        (Use::Constant, FindingKind::ConstantColumn, "columns with one value in all training rows, or none, left out"),
        (Use::Identifier, FindingKind::IdentifierColumn, "columns that only number or name the rows, left out"),
    ] {
        let columns = set.columns.iter().zip(&uses).filter(|(_, of)| **of == judged);
        let names: Vec<String> = columns.map(|(column, _)| column.name.clone()).collect();
        if !names.is_empty() {
            findings.push(Finding::new(kind, Severity::Info, format!("{what}: {}", names.len()), names));
        }
    }
    if !uses.contains(&Use::Feature) {
        let message = "no column tells the rows apart: nothing can be learnt";
        findings.push(Finding::new(FindingKind::NoTraining, Severity::Serious, message, Vec::new()));
    }
    let mut uses = uses.into_iter();
    set.columns.retain(|_| uses.next() == Some(Use::Feature));
}

/// Whether a column only numbers or names the rows.
pub(crate) fn is_identifier(column: &Column, rows: &[usize]) -> bool {
    judge(column, rows) == Use::Identifier
}

fn judge(column: &Column, train: &[usize]) -> Use {
    let Some(&first) = train.first() else { return Use::Feature };
    let first = column.cell(first);
    if train.iter().all(|&row| column.cell(row) == first) {
        return Use::Constant;
    }
    let is_identifier = match &column.cells {
        Cells::Numbers(numbers) => {
            let whole = train.iter().all(|&row| numbers[row].fract() == 0.0);
            let rises = |pair: &[usize]| numbers[pair[0]] < numbers[pair[1]];
            let falls = |pair: &[usize]| numbers[pair[0]] > numbers[pair[1]];
            whole && (train.windows(2).all(rises) || train.windows(2).all(falls))
        }
        Cells::Words { codes, .. } => {
            let told: Vec<u32> = train.iter().filter_map(|&row| codes[row]).collect();
            2 * told.len() >= train.len() && told.iter().collect::<BTreeSet<_>>().len() == told.len()
        }
    };
    if is_identifier && train.len() >= LEAST { Use::Identifier } else { Use::Feature }
}

fn missing_cells(set: &VectorSet, train: &[usize], findings: &mut Vec<Finding>) {
    let lacking = |column: &Column| train.iter().filter(|&&row| column.cell(row) == Cell::Missing).count();
    let counts: Vec<usize> = set.columns.par_iter().map(lacking).collect();
    let share = |count: usize| 100.0 * count as f64 / train.len() as f64;
    let (mut some, mut most) = (Vec::new(), Vec::new());
    for (column, count) in set.columns.iter().zip(counts).filter(|(_, count)| *count > 0) {
        let told = format!("{}: {:.1} %", column.name, share(count));
        if 2 * count > train.len() { most.push(told) } else { some.push(told) }
    }
    for (severity, columns, what) in [
        (Severity::Warning, most, "columns of which more than half of the training rows lack a value"),
        (Severity::Info, some, "columns with missing values in training rows"),
    ] {
        if !columns.is_empty() {
            let message = format!("{what}: {}", columns.len());
            findings.push(Finding::new(FindingKind::MissingCells, severity, message, columns));
        }
    }
}
