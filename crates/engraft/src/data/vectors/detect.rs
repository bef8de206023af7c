//! Whether data look like rows of numbers and categories, and not like images or texts.

use std::collections::BTreeSet;
use std::path::Path;

use super::decide::value;
use super::labels::find_label;
use super::sources::{is_array, is_table, sources};
use super::{VectorReading, is_missing};
use crate::data::column_names::{SHORT_TEXTS, TEXTS};
use crate::data::text::columns::{FEATURES, are_texts};
use crate::data::text::table::{Opening, Table};
use crate::data::text::{Limits, words};
use crate::data::{ENDINGS, ending};
use crate::files::begins_with;
use crate::progress::Silent;

/// More words than this on average, and a column beside a single one of numbers holds texts.
const WORDS_OF_A_CATEGORY: f64 = 2.0;

/// As many letters as this on average, and a column of different cells holds texts.
const LETTERS_OF_A_TEXT: usize = 24;

/// Fewer cells than this do not show whether words come again.
const FEW: usize = 10;

/// Whether what lies at `path` is an array (`.npy`), a table of numbers and categories, or a folder with such a file for
/// training (`train.csv`, `train.npy`).
///
/// Cautious: a table that can be read as images or texts is not one of vectors. No column is named like a text (`text`,
/// `review`, ...) or `path`, or names files of images. Two columns of numbers beside the labels make rows, unless a column is
/// running text: several words on average, and different ones in most rows. A single one makes rows where a column is called
/// like labels, and every other has at most two words in a cell on average and the same words in many rows (identifiers with
/// digits in them aside). Columns that are not to be read have no part in it.
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
    let named = reading.named();
    let opening = Opening { named: &named, glance: true, ..Opening::default() };
    let table = Table::open(path, &opening, &Limits::default(), &Silent).ok()?;
    let names = table.columns();
    let label = match &reading.label {
        Some(asked) => Some(names.iter().position(|name| name.eq_ignore_ascii_case(asked))?),
        None => find_label(names),
    };
    let is_read = |column: &usize| {
        let group = reading.grouping.column.as_ref();
        Some(*column) != label
            && group.is_none_or(|group| !names[*column].eq_ignore_ascii_case(group))
            && !reading.ignore.iter().any(|ignored| names[*column].eq_ignore_ascii_case(ignored))
    };
    let read: Vec<usize> = (0..names.len()).filter(is_read).collect();
    let of_texts = || TEXTS.iter().chain(&SHORT_TEXTS).chain(&["path"]);
    let is_named = |&column: &usize| of_texts().any(|text| names[column].eq_ignore_ascii_case(text));
    if read.iter().any(is_named) {
        return Some(false);
    }
    let sample = table.sample().ok()?;
    let (mut numbers, mut are_all_categories) = (0, true);
    for column in read {
        let cells: Vec<&str> = sample
            .iter()
            .filter_map(|record| record.fields[column].as_deref())
            .filter(|cell| !is_missing(cell))
            .collect();
        let told = cells.iter().filter(|cell| value(Some(cell), table.decimal_comma()).is_some()).count();
        // Nearly all of them are enough: reading the table tells which cell is wrong.
        if 10 * told >= 9 * cells.len() {
            numbers += usize::from(!cells.is_empty());
        } else if !names[column].eq_ignore_ascii_case("split") {
            if name_images(&cells) || are_texts(&cells) || are_long(&cells) {
                return Some(false);
            }
            are_all_categories &= are_categories(&cells);
        }
    }
    Some(numbers >= FEATURES || numbers > 0 && label.is_some() && are_all_categories)
}

/// Whether most cells are names of image files.
fn name_images(cells: &[&str]) -> bool {
    let is_image = |cell: &&&str| ending(Path::new(cell)).is_some_and(|ending| ENDINGS.contains(&ending.as_str()));
    2 * cells.iter().filter(is_image).count() > cells.len()
}

/// Whether cells are long and different, as addresses of pages and texts in scripts without blanks are.
fn are_long(cells: &[&str]) -> bool {
    let letters: usize = cells.iter().map(|cell| cell.chars().count()).sum();
    let distinct = cells.iter().collect::<BTreeSet<_>>().len();
    letters >= LETTERS_OF_A_TEXT * cells.len() && 2 * distinct > cells.len()
}

/// Whether words of which some are not numbers are names of categories, or identifiers.
fn are_categories(cells: &[&str]) -> bool {
    let words: usize = cells.iter().map(|cell| words::spans(cell).count()).sum();
    let distinct = cells.iter().collect::<BTreeSet<_>>().len();
    let is_identifier =
        |cell: &&str| cell.bytes().any(|byte| byte.is_ascii_digit()) && !cell.contains(char::is_whitespace);
    words as f64 <= WORDS_OF_A_CATEGORY * cells.len() as f64
        && (2 * distinct <= cells.len() || cells.iter().all(is_identifier) || cells.len() < FEW)
}
