//! Which columns of a table of images have the labels: one of a usual name, columns that say yes and no, or the one whose
//! cells come back most.

use std::collections::BTreeSet;

use super::column_names::listing;
use super::label_columns::LabelColumns;
use super::label_flags::{Flags, is_graded, is_uncertain};
use super::text::columns::label_among;
use super::text::record::at;
use super::text::table::{Record, Table};
use crate::error::{Error, Problem, Result, first_of};

/// Names that such a column has, the surest first.
const NAMES: [&str; 16] = [
    "label",
    "labels",
    "class",
    "classes",
    "category",
    "target",
    "class_name",
    "label_name",
    "classname",
    "species",
    "breed",
    "diagnosis",
    "tags",
    "tag",
    "fine_label",
    "y",
];

/// Values of a column that a message shows.
const SHOWN: usize = 5;

/// The columns of labels: the one that is asked for, else among those that are `free`. `sample` holds the first rows,
/// with the columns `of_sample`.
///
/// # Errors
/// [`Error::Data`] where none looks like labels.
pub(super) fn find(
    table: &Table,
    asked: Option<usize>,
    free: &[usize],
    of_sample: &[usize],
    sample: &[Record],
) -> Result<LabelColumns> {
    let names = table.columns();
    let one = |column: usize, reason: Option<String>| LabelColumns::of_one(table, column, reason);
    if let Some(asked) = asked {
        return Ok(one(asked, None));
    }
    let named = |name: &&str| free.iter().copied().find(|&column| names[column].eq_ignore_ascii_case(name));
    if let Some(column) = NAMES.iter().find_map(named) {
        let reason = format!("the labels are read from the column `{}`, by its name", names[column]);
        return Ok(one(column, (!names[column].eq_ignore_ascii_case(NAMES[0])).then_some(reason)));
    }
    let cells = |column: usize| {
        let at = of_sample.iter().position(|other| *other == column);
        sample.iter().map(move |row| at.and_then(|at| row.fields[at].as_deref()).unwrap_or_default())
    };
    let values = |column: usize| {
        let told = |cell: &'_ str| if cell.is_empty() { "empty cells".to_owned() } else { cell.to_owned() };
        first_of(cells(column).map(told).collect::<BTreeSet<String>>(), SHOWN)
    };
    if let Some((flags, hot)) = Flags::find(&Flags::ALL, free, cells, |column| table.words_of(column)) {
        let is_left = |column: &usize| !hot.contains(column) && is_uncertain(cells(*column));
        if let Some(&uncertain) = free.iter().find(|&column| is_left(column)) {
            let mut all: Vec<usize> = free.iter().copied().filter(|at| hot.contains(at) || is_left(at)).collect();
            all.sort_by_key(|&column| column != uncertain);
            return Err(several_graded(table, &all, values(uncertain)));
        }
        return Ok(LabelColumns::of_yes_and_no(names, hot, flags));
    }
    match free {
        [] => {
            let problem = Problem::new("a column is missing").expected("a column of labels beside that of the images");
            let hint = "columns of other names are named with --path-column and --label-column";
            Err(Error::Data(problem.found(table.listing()).hint(hint).at(at(table.path(), 1))))
        }
        [only] => {
            let reason = format!("the labels are read from the column `{}`, the only other one", names[*only]);
            Ok(one(*only, Some(reason)))
        }
        _ => {
            let mut remarks = Vec::new();
            let whole = sample.iter().map(|row| {
                let mut fields = vec![None; names.len()];
                of_sample.iter().zip(&row.fields).for_each(|(&column, field)| fields[column].clone_from(field));
                Record { fields, ..row.clone() }
            });
            let graded: Vec<usize> = free.iter().copied().filter(|&column| is_graded(cells(column))).collect();
            let column = label_among(table, &whole.collect::<Vec<_>>(), free, &mut remarks);
            let is_by_name = remarks.iter().any(|remark| remark.ends_with("by its name"));
            let is_one_of_several = column.as_ref().map_or(true, |column| graded.contains(column)) && !is_by_name;
            if graded.len() > 1 && is_one_of_several {
                return Err(several_graded(table, &graded, values(graded[0])));
            }
            Ok(one(column?, remarks.pop()))
        }
    }
}

/// The refusal of columns of which each grades one label: as parts of one, or with a third value for what nobody knows.
fn several_graded(table: &Table, columns: &[usize], values: String) -> Error {
    let names: Vec<String> = columns.iter().map(|&column| table.columns()[column].clone()).collect();
    let problem = Problem::new("several columns look like labels, and hold more than yes and no")
        .expected("one column of labels, or columns of zeros and ones")
        .found(format!("the columns {}; `{}` holds {values}", listing(&names), names[0]));
    let hint = format!(
        "name the one to learn with --label-column ({}), or write 1 and 0 into all of them (uncertain and partial labels decided)",
        names[0]
    );
    Error::Data(problem.hint(hint).at(at(table.path(), 1)))
}
