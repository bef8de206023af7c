//! A linear head of any target: features to as many numbers as the target asks for.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Problem, Result};
use crate::features::Features;

/// `outputs` numbers of a row of features: `weights · row + intercepts`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Linear {
    /// Numbers that it gives.
    pub(crate) outputs: usize,
    /// Numbers that it takes.
    pub(crate) columns: usize,
    /// `[outputs, columns]`, row after row.
    pub weights: Vec<f64>,
    /// `[outputs]`
    pub intercepts: Vec<f64>,
}

impl Linear {
    /// The outputs `[outputs]` for a row of at least `columns` features.
    pub fn values(&self, row: &[f32]) -> Vec<f64> {
        linear(&self.weights, &self.intercepts, &row[..self.columns])
    }

    /// The outputs `[rows, outputs]` of features, at the precision in which answers are compared.
    pub(crate) fn of_features(&self, features: &Features) -> Vec<f32> {
        let rows = features.values.chunks_exact(features.columns);
        rows.flat_map(|row| self.values(row)).map(|value| value as f32).collect()
    }

    /// The same with every number rounded to f32, as it is stored: what is evaluated is what will answer.
    ///
    /// # Errors
    /// [`Error::Weights`] where a number is not finite, or the shapes do not fit.
    pub(crate) fn rounded(mut self) -> Result<Self> {
        self.weights.iter_mut().chain(&mut self.intercepts).for_each(|value| *value = f64::from(*value as f32));
        self.check()?;
        Ok(self)
    }

    /// Refuses numbers that are not finite, and shapes that do not fit.
    ///
    /// # Errors
    /// [`Error::Weights`].
    pub(crate) fn check(&self) -> Result<()> {
        let shaped = self.outputs.checked_mul(self.columns) == Some(self.weights.len())
            && self.intercepts.len() == self.outputs
            && self.outputs > 0;
        if shaped && self.weights.iter().chain(&self.intercepts).all(|value| value.is_finite()) {
            return Ok(());
        }
        Err(Error::Weights(
            Problem::new("the head's weights are not a linear function")
                .expected(format!("finite weights, {} rows of {}, and as many intercepts", self.outputs, self.columns))
                .found(format!("{} weights and {} intercepts", self.weights.len(), self.intercepts.len())),
        ))
    }
}

/// `W x + b` for `W` of `[outputs, columns]`, row-major.
pub(super) fn linear(weights: &[f64], intercepts: &[f64], row: &[f32]) -> Vec<f64> {
    // Widened once for all outputs.
    let row: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
    let weights = weights.chunks_exact(row.len().max(1));
    // Without columns there are no chunks: the intercepts alone decide.
    let products = weights.map(|weights| dot(weights, &row)).chain(std::iter::repeat(0.0));
    intercepts.iter().zip(products).map(|(intercept, product)| intercept + product).collect()
}

/// `sum_j w_j x_j` with eight running sums, in a fixed order.
pub(super) fn dot(weights: &[f64], row: &[f64]) -> f64 {
    let mut sums = [0.0f64; 8];
    let (w, x) = (weights.chunks_exact(8), row.chunks_exact(8));
    let rest: f64 = w.remainder().iter().zip(x.remainder()).map(|(w, x)| w * x).sum();
    for (w, x) in w.zip(x) {
        for lane in 0..8 {
            sums[lane] += w[lane] * x[lane];
        }
    }
    sums.iter().sum::<f64>() + rest
}
