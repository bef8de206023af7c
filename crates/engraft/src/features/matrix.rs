//! Features: one row of numbers per example, as a base network gives them.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Problem, Result};

/// A dense table of features, row-major: example `i` is `values[i * columns .. (i + 1) * columns]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Features {
    /// Number of examples.
    pub rows: usize,
    /// Number of features of each example.
    pub columns: usize,
    /// The numbers, `[rows, columns]`.
    pub values: Vec<f32>,
}

impl Features {
    /// A table from its numbers, `[rows, columns]`; an error if there are more or fewer of them.
    pub fn new(rows: usize, columns: usize, values: Vec<f32>) -> Result<Self> {
        let features = Self { rows, columns, values };
        features.check_shape()?;
        Ok(features)
    }

    /// The features of example `i`, `[columns]`.
    ///
    /// # Panics
    /// If there is no such example.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.columns..(i + 1) * self.columns]
    }

    /// A copy of the given rows, in the given order; a row may be named twice.
    ///
    /// # Panics
    /// If there is no such example.
    #[must_use]
    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        let mut values = Vec::with_capacity(rows.len() * self.columns);
        for &row in rows {
            values.extend_from_slice(self.row(row));
        }
        Self { rows: rows.len(), columns: self.columns, values }
    }

    /// Refuses a table whose numbers do not fill its shape, or that holds a NaN or an infinity.
    pub(crate) fn check(&self) -> Result<()> {
        self.check_shape()?;
        match self.values.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(at) => Err(Error::Data(
                Problem::new("a feature is not a finite number")
                    .expected("finite numbers")
                    .found(format!(
                        "{} in row {}, column {} (both counted from 0)",
                        self.values[at],
                        at / self.columns,
                        at % self.columns
                    ))
                    .hint(
                        "the example of that row cannot be used: leave it out, or look at how its features were made",
                    ),
            )),
        }
    }

    fn check_shape(&self) -> Result<()> {
        if self.rows.checked_mul(self.columns) == Some(self.values.len()) {
            return Ok(());
        }
        Err(Error::Data(
            Problem::new("the features do not fill their table")
                .expected(format!("{} rows of {} columns", self.rows, self.columns))
                .found(format!("{} numbers", self.values.len())),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_selected_in_the_order_asked_for() {
        let features = Features::new(3, 2, vec![0., 1., 2., 3., 4., 5.]).unwrap();
        assert_eq!(features.select(&[2, 0, 2]).values, [4., 5., 0., 1., 4., 5.]);
    }

    #[test]
    fn a_number_that_is_none_is_named_by_its_row() {
        let features = Features::new(2, 2, vec![0., 1., f32::NAN, 3.]).unwrap();
        assert!(features.check().unwrap_err().to_string().contains("row 1, column 0"));
        assert!(Features::new(2, 2, vec![0.]).is_err());
    }
}
