//! Features as scores read them: standardised columns in f64.

use faer::MatRef;

use crate::error::Result;
use crate::features::Features;

/// Columns below this deviation, as a share of their largest magnitude, do not vary.
const CONSTANT: f64 = 1e-7;

/// A table of standardised columns, `[rows, columns]`; a column that does not vary is zeros.
pub(super) struct Table {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) values: Vec<f64>,
}

impl Table {
    /// # Errors
    /// Numbers that are not finite.
    pub(super) fn of(features: &Features) -> Result<Self> {
        features.check()?;
        let (rows, columns) = (features.rows, features.columns);
        let mut values: Vec<f64> = features.values.iter().map(|x| f64::from(*x)).collect();
        let n = rows.max(1) as f64;
        for column in 0..columns {
            let each = || (0..rows).map(|row| row * columns + column);
            let mean = each().map(|at| values[at]).sum::<f64>() / n;
            let deviation = (each().map(|at| (values[at] - mean).powi(2)).sum::<f64>() / n).sqrt();
            let largest = each().map(|at| values[at].abs()).fold(0.0, f64::max);
            let scale = if deviation > CONSTANT * largest { 1.0 / deviation } else { 0.0 };
            for at in each() {
                values[at] = (values[at] - mean) * scale;
            }
        }
        Ok(Self { rows, columns, values })
    }

    pub(super) fn matrix(&self) -> MatRef<'_, f64> {
        MatRef::from_row_major_slice(&self.values, self.rows, self.columns)
    }

    pub(super) fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.columns..][..self.columns]
    }
}
