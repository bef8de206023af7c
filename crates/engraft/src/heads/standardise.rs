//! Columns brought to mean 0 and variance 1.

use serde::{Deserialize, Serialize};

use crate::features::Features;

/// Mean and scale of each column: `x' = (x - mean) / scale`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Standardiser {
    /// Mean of each column, `[columns]`.
    pub(crate) mean: Vec<f64>,
    /// Standard deviation of each column (divisor n), `[columns]`; 1 for a constant column.
    pub(crate) scale: Vec<f64>,
}

impl Standardiser {
    /// Fits on the given rows, all of equal weight (class weights play no part here, as in a scikit-learn pipeline).
    ///
    /// Two passes in f64. As in scikit-learn's `StandardScaler` a column counts as constant, and keeps its scale,
    /// when its variance is within rounding of zero: `var <= n eps var + (n mean eps)²`.
    ///
    /// Rows that all have length 1, as sentence embeddings have, are on one scale already: their columns share it, the
    /// root of their mean variance. Of a few rows a column's own deviation is mostly noise.
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
        if rows.iter().all(|&row| is_unit(features.row(row))) {
            let shared = variances.iter().sum::<f64>() / variances.len().max(1) as f64;
            let scale = if shared > n * f64::EPSILON { shared.sqrt() } else { 1.0 };
            return Self { scale: vec![scale; mean.len()], mean };
        }
        // Dead units of a network give noise far below the rounding of its other features: scaled up, a head would get
        // weights of 1e30 on them.
        let largest = variances.iter().fold(0.0f64, |largest, variance| largest.max(*variance));
        let dead = largest * (2.0 * f64::from(f32::EPSILON)).powi(2);
        let scale = (variances.iter().zip(&mean))
            .map(|(&variance, mean)| {
                let rounding = n * f64::EPSILON * variance + (n * mean * f64::EPSILON).powi(2);
                if variance <= rounding || variance < dead { 1.0 } else { variance.sqrt() }
            })
            .collect();
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
    fn a_constant_column_keeps_its_scale() {
        let features = Features::new(3, 2, vec![1.0, 0.1, 2.0, 0.1, 6.0, 0.1]).unwrap();
        let standardiser = Standardiser::fit(&features, &[0, 1, 2]);
        assert_eq!(standardiser.mean[0], 3.0);
        assert!((standardiser.scale[0] - (14.0f64 / 3.0).sqrt()).abs() < 1e-15);
        assert_eq!(standardiser.scale[1], 1.0);
    }

    #[test]
    fn a_dead_column_beside_living_ones_keeps_its_scale() {
        let features = Features::new(3, 2, vec![1.0, 1e-33, 2.0, 3e-33, 6.0, 2e-33]).unwrap();
        assert_eq!(Standardiser::fit(&features, &[0, 1, 2]).scale[1], 1.0);
    }

    #[test]
    fn only_the_given_rows_count() {
        let features = Features::new(3, 1, vec![1.0, 100.0, 3.0]).unwrap();
        let standardiser = Standardiser::fit(&features, &[0, 2]);
        assert_eq!((standardiser.mean[0], standardiser.scale[0]), (2.0, 1.0));
    }
}
