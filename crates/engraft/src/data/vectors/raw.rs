//! Rows as they come from a file.

use std::path::Path;

use super::Column;
use crate::data::{Finding, Split};
use crate::error::{Error, Problem, Result};

/// The most cells that are kept in memory: 4 GiB of numbers.
const CELLS: usize = 512 << 20;

/// Rows whose labels are still texts.
pub(super) struct Raw {
    pub(super) names: Vec<String>,
    pub(super) columns: Vec<Column>,
    /// One for each row, empty where there is none; not read where they were not asked for.
    pub(super) labels: Vec<String>,
    pub(super) splits: Vec<Split>,
    /// What each belongs together with; empty where it is not asked for.
    pub(super) groups: Vec<Option<String>>,
    /// The column or file of the labels.
    pub(super) label: Option<String>,
    /// Whether only its cells speak for it.
    pub(super) is_guess: bool,
    pub(super) decimal_comma: bool,
    pub(super) remarks: Vec<String>,
    pub(super) findings: Vec<Finding>,
}

/// Refuses more cells than are kept in memory.
pub(super) fn check_size(rows: usize, columns: usize, path: &Path) -> Result<()> {
    match rows.checked_mul(columns) {
        Some(cells) if cells <= CELLS => Ok(()),
        _ => Err(Error::Data(
            Problem::new("there are more cells than are kept in memory")
                .expected(format!("at most {CELLS}"))
                .found(format!("{rows} rows of {columns} columns"))
                .hint("take a sample of the rows, or fewer columns")
                .at(path),
        )),
    }
}
