//! Columns brought to mean 0 and a variance of 1 at most.

use serde::{Deserialize, Serialize};

use crate::features::Features;

/// Mean and scale of each column: `x' = (x - mean) / scale`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Standardiser {
    /// Mean of each column, `[columns]`.
    pub(crate) mean: Vec<f64>,
    /// Standard deviation of each column (divisor n), or the root of the columns' mean variance where that is larger,
    /// `[columns]`.
    pub(crate) scale: Vec<f64>,
}

impl Standardiser {
    /// Fits on the given rows, all of equal weight (class weights play no part here, as in a scikit-learn pipeline). Two
    /// passes in f64.
    ///
    /// A column's scale is its standard deviation, and at least the root of the mean variance of all columns. Of a few rows
    /// a deviation far below the others' is an accident (a unit of a network that is nearly always off, and was in these
    /// rows): divided by it, a new row can lie a thousand deviations away, and the column alone decides its class.
    /// Without the floor 63 % out of fold were 27 % of new images, with it 63 %; see docs/decisions.md.
    ///
    /// Rows that all have length 1, as sentence embeddings have, are on one scale already: their columns share it, the
    /// root of their mean variance.
    pub(crate) fn fit(features: &Features, rows: &[usize]) -> Self {
        let n = rows.len().max(1) as f64;
        let mut mean = vec![0.0; features.columns];
        for &row in rows {
            for (sum, &x) in mean.iter_mut().zip(features.row(row)) {
                *sum += f64::from(x);
            }
        }
        mean.iter_mut().for_each(|sum| *sum /= n);
        let mut squares = vec![0.0; features.columns];
        // What rounding left in the mean, taken out of the variance again.
        let mut rest = vec![0.0; features.columns];
        for &row in rows {
            for (((square, rest), &mean), &x) in squares.iter_mut().zip(&mut rest).zip(&mean).zip(features.row(row)) {
                let from_mean = f64::from(x) - mean;
                *square += from_mean * from_mean;
                *rest += from_mean;
            }
        }
        let variances: Vec<f64> =
            squares.iter().zip(&rest).map(|(square, rest)| (square - rest * rest / n) / n).collect();
        let shared = variances.iter().sum::<f64>() / variances.len().max(1) as f64;
        // Equal rows leave rounding alone.
        let largest = mean.iter().fold(0.0f64, |largest, mean| largest.max(mean.abs()));
        if shared <= (n * largest.max(1.0) * f64::EPSILON).powi(2) {
            return Self { scale: vec![1.0; mean.len()], mean };
        }
        let unit = rows.iter().all(|&row| is_unit(features.row(row)));
        let scale = variances.iter().map(|&variance| if unit { shared } else { variance.max(shared) }.sqrt()).collect();
        Self { mean, scale }
    }
}

/// Whether a row has length 1, as far as its numbers can say.
fn is_unit(row: &[f32]) -> bool {
    let square: f64 = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    row.len() > 1 && (square - 1.0).abs() < 1e-4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_unit_rows_share_a_scale() {
        let features = Features::new(3, 2, vec![0.6, 0.8, 1.0, 0.0, 0.8, -0.6]).unwrap();
        let standardiser = Standardiser::fit(&features, &[0, 1, 2]);
        let variance = |column: usize| {
            let values = (0..3).map(|row| f64::from(features.row(row)[column]) - standardiser.mean[column]);
            values.map(|x| x * x).sum::<f64>() / 3.0
        };
        let shared = ((variance(0) + variance(1)) / 2.0).sqrt();
        assert!((standardiser.scale[0] - shared).abs() < 1e-7 && standardiser.scale[0] == standardiser.scale[1]);
        // Of equal rows nothing is left to scale.
        assert_eq!(Standardiser::fit(&features, &[1, 1]).scale, [1.0, 1.0]);
    }

    #[test]
    fn a_column_that_hardly_varies_gets_the_scale_of_all() {
        let features = Features::new(3, 3, vec![1.0, 0.1, 1e-33, 2.0, 0.1, 3e-33, 6.0, 0.1, 2e-33]).unwrap();
        let standardiser = Standardiser::fit(&features, &[0, 1, 2]);
        assert_eq!(standardiser.mean[0], 3.0);
        assert!((standardiser.scale[0] - (14.0f64 / 3.0).sqrt()).abs() < 1e-15);
        let shared = (14.0f64 / 9.0).sqrt();
        assert!(standardiser.scale[1..].iter().all(|scale| (scale - shared).abs() < 1e-15), "{:?}", standardiser.scale);
        // Of equal rows nothing is left to scale.
        assert_eq!(Standardiser::fit(&features, &[1, 1]).scale, [1.0; 3]);
    }

    #[test]
    fn only_the_given_rows_count() {
        let features = Features::new(3, 1, vec![1.0, 100.0, 3.0]).unwrap();
        let standardiser = Standardiser::fit(&features, &[0, 2]);
        assert_eq!((standardiser.mean[0], standardiser.scale[0]), (2.0, 1.0));
    }
}
