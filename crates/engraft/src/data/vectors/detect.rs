//! Whether data look like rows of numbers and categories, and not like images or texts.

use std::collections::BTreeSet;
use std::path::Path;

use super::decide::value;
use super::labels::find_label;
use super::sources::{is_array, is_table, sources};
use super::{VectorReading, is_missing};
use crate::data::column_names::TEXTS;
use crate::data::text::table::{Opening, Table};
use crate::data::text::{Limits, words};
use crate::data::{ENDINGS, ending};
use crate::files::begins_with;
use crate::progress::Silent;

/// More words than this on average, and a column holds texts.
const WORDS_OF_A_CATEGORY: f64 = 2.0;

/// Fewer cells than this do not show whether words come again.
const FEW: usize = 10;

/// Whether what lies at `path` is an array (`.npy`), a table of numbers and categories, or a folder with such a file for
/// training (`train.csv`, `train.npy`).
///
/// Cautious: a table that can be read as images or texts is not one of vectors. It has a column of labels and one of
/// numbers beside it; no column is named like a text (`text`, `review`, ...) or `path`, names files of images, has more
/// than two words in a cell on average, or has different words in most rows (identifiers with digits in them aside).
/// Columns that are not to be read have no part in it.
pub(crate) fn is_vectors(path: &Path, reading: &VectorReading) -> bool {
    if path.is_dir() {
        return sources(path).is_ok_and(|sources| is_vectors(&sources[0].path, reading));
    }
    if is_array(path) {
        return begins_with(path, b"\x93NUMPY");
    }
    is_table(path) && path.is_file() && is_table_of_vectors(path, reading).unwrap_or(false)
}

fn is_table_of_vectors(path: &Path, reading: &VectorReading) -> Option<bool> {
    let opening = Opening { glance: true, ..Opening::default() };
    let table = Table::open(path, &opening, &Limits::default(), &Silent).ok()?;
    let names = table.columns();
    let label = match &reading.label {
        Some(asked) => names.iter().position(|name| name.eq_ignore_ascii_case(asked))?,
        None => find_label(names)?,
    };
    let is_read = |column: usize| {
        let group = reading.grouping.column.as_ref();
        column != label
            && group.is_none_or(|group| !names[column].eq_ignore_ascii_case(group))
            && !reading.ignore.iter().any(|ignored| names[column].eq_ignore_ascii_case(ignored))
    };
    let mut read = (0..names.len()).filter(|&column| is_read(column));
    if read.any(|column| TEXTS.iter().chain(&["path"]).any(|text| names[column].eq_ignore_ascii_case(text))) {
        return Some(false);
    }
    let sample = table.sample().ok()?;
    let mut numbers = 0;
    for column in (0..names.len()).filter(|&column| is_read(column)) {
        let cells: Vec<&str> = sample
            .iter()
            .filter_map(|record| record.fields[column].as_deref())
            .filter(|cell| !is_missing(cell))
            .collect();
        let told = cells.iter().filter(|cell| value(Some(cell), table.decimal_comma()).is_some()).count();
        // Nearly all of them are enough: reading the table tells which cell is wrong.
        if 10 * told >= 9 * cells.len() {
            numbers += usize::from(!cells.is_empty());
        } else if !names[column].eq_ignore_ascii_case("split") && !are_categories(&cells) {
            return Some(false);
        }
    }
    Some(numbers > 0)
}

/// Whether words of which some are not numbers are names of categories, or identifiers.
fn are_categories(cells: &[&str]) -> bool {
    let count = |is_so: &dyn Fn(&str) -> bool| cells.iter().filter(|cell| is_so(cell)).count();
    let words: usize = cells.iter().map(|cell| words::spans(cell).count()).sum();
    let files = count(&|cell| ending(Path::new(cell)).is_some_and(|ending| ENDINGS.contains(&ending.as_str())));
    let distinct = cells.iter().collect::<BTreeSet<_>>().len();
    let identifiers =
        count(&|cell| cell.bytes().any(|byte| byte.is_ascii_digit()) && !cell.contains(char::is_whitespace));
    words as f64 <= WORDS_OF_A_CATEGORY * cells.len() as f64
        && 2 * files <= cells.len()
        && (2 * distinct <= cells.len() || identifiers == cells.len() || cells.len() < FEW)
}
