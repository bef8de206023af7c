//! Columns as numbers or as categories, whatever they were read as.

use std::borrow::Cow;

use super::decide::{is_usable, value};
use super::{Cells, Column, VectorSet};
use crate::data::column_names::shortened;
use crate::error::{Error, Problem, Result, printable};

/// The numbers of a column of a set.
///
/// # Errors
/// [`Error::Data`] where one of its cells is not a number.
pub(super) fn numbers<'a>(column: &'a Column, set: &VectorSet) -> Result<Cow<'a, [f64]>> {
    let (words, codes) = match &column.cells {
        Cells::Numbers(numbers) => return Ok(Cow::Borrowed(numbers)),
        Cells::Words { words, codes } => (words, codes),
    };
    let values: Vec<Option<f64>> =
        words.iter().map(|word| value(Some(word), false).filter(|&value| is_usable(value))).collect();
    let number = |(row, code): (usize, &Option<u32>)| match code {
        None => Ok(f64::NAN),
        Some(code) => values[*code as usize].ok_or_else(|| {
            let place = format!("{}, {}, column `{}`", printable(&set.root), set.names[row], column.name);
            let problem = Problem::new("a cell is not a number").expected("a number, as in training, or an empty cell");
            Error::Data(problem.found(format!("`{}`", shortened(&words[*code as usize]))).at(place))
        }),
    };
    Ok(Cow::Owned(codes.iter().enumerate().map(number).collect::<Result<_>>()?))
}

/// A column as one of categories: numbers as Rust writes them.
pub(super) fn words(column: &Column) -> Cow<'_, Column> {
    let Cells::Numbers(numbers) = &column.cells else { return Cow::Borrowed(column) };
    let mut distinct: Vec<f64> = numbers.iter().copied().filter(|number| !number.is_nan()).map(|n| n + 0.0).collect();
    distinct.sort_unstable_by(f64::total_cmp);
    distinct.dedup();
    let code = |number: &f64| {
        (!number.is_nan()).then(|| distinct.partition_point(|other| other.total_cmp(&(number + 0.0)).is_lt()) as u32)
    };
    let codes = numbers.iter().map(code).collect();
    let words = distinct.iter().map(f64::to_string).collect();
    Cow::Owned(Column { name: column.name.clone(), cells: Cells::Words { words, codes } })
}
