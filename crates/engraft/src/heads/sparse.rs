//! Multinomial logistic regression on sparse rows: for words counted in texts, where nearly every number is zero.
//!
//! The objective is that of [`super::fit`] without its standardising: `sum_i loss(W x_i + b, y_i) + ||W||² / (2 C)`,
//! scikit-learn's with the same `C`. Sums over rows and over columns are each taken by one thread in a fixed order.

use std::sync::Mutex;

use argmin::core::{Executor, State};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::solve::{Handle, Smooth, norm};
use crate::error::{Error, Problem, Result};
use crate::progress::Observer;

/// Steps after which the solver is content.
const MOST_ITERATIONS: u64 = 300;
/// Norm of the gradient, as a share of that at zero, at which the solver stops.
const TOLERANCE: f64 = 1e-5;
/// Pairs of steps and gradients that L-BFGS remembers.
const MEMORY: usize = 6;

/// Rows of which only some columns are not zero.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SparseRows {
    /// Number of columns.
    pub(crate) columns: usize,
    /// Where each row begins in `entries`, and the end of the last.
    starts: Vec<usize>,
    /// Column and value, row after row.
    entries: Vec<(u32, f32)>,
}

impl SparseRows {
    /// Rows of pairs of column and value.
    ///
    /// # Panics
    /// If a column is not below `columns`.
    pub fn new(columns: usize, rows: impl IntoIterator<Item = Vec<(u32, f32)>>) -> Self {
        let mut sparse = Self { columns, starts: vec![0], entries: Vec::new() };
        for row in rows {
            assert!(row.iter().all(|(column, _)| (*column as usize) < columns), "columns below {columns}");
            sparse.entries.extend(row);
            sparse.starts.push(sparse.entries.len());
        }
        sparse
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The entries of a row.
    ///
    /// # Panics
    /// If there is no such row.
    pub(crate) fn row(&self, at: usize) -> &[(u32, f32)] {
        &self.entries[self.starts[at]..self.starts[at + 1]]
    }

    /// A copy of some rows, in the order given.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        Self::new(self.columns, rows.iter().map(|&at| self.row(at).to_vec()))
    }

    /// The same numbers by column: for each, the rows that have it and their values.
    fn by_column(&self) -> Self {
        let mut columns = vec![Vec::new(); self.columns];
        for at in 0..self.rows() {
            for &(column, value) in self.row(at) {
                columns[column as usize].push((at as u32, value));
            }
        }
        Self::new(self.rows(), columns)
    }
}

/// A linear classifier on sparse rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SparseClassifier {
    /// Number of classes.
    pub(crate) classes: usize,
    /// `[columns, classes]`, row-major.
    pub(crate) weights: Vec<f64>,
    /// `[classes]`
    pub(crate) intercepts: Vec<f64>,
}

impl SparseClassifier {
    /// Logits of one row, `[classes]`.
    pub(crate) fn logits(&self, row: &[(u32, f32)]) -> Vec<f64> {
        let mut logits = self.intercepts.clone();
        for &(column, value) in row {
            let weights = &self.weights[column as usize * self.classes..][..self.classes];
            logits.iter_mut().zip(weights).for_each(|(logit, weight)| *logit += weight * f64::from(value));
        }
        logits
    }
}

/// Fits the classifier with scikit-learn's strength `c`; intercepts are not pulled.
///
/// # Errors
/// Interruption, or numbers that are none.
///
/// # Panics
/// If there is not one label for each row, or a label is not a class.
pub(crate) fn fit_sparse(
    rows: &SparseRows,
    labels: &[usize],
    classes: usize,
    c: f64,
    observer: &dyn Observer,
) -> Result<SparseClassifier> {
    assert_eq!(rows.rows(), labels.len(), "a label for each row");
    assert!(labels.iter().all(|label| *label < classes), "labels below {classes}");
    let surface = Surface {
        rows,
        turned: rows.by_column(),
        labels,
        classes,
        penalty: 1.0 / (c * labels.len().max(1) as f64),
        observer,
        latest: Mutex::default(),
    };
    let start = vec![0.0; (rows.columns + 1) * classes];
    let (first, gradient) = surface.at(&start)?;
    let slope = norm(&gradient);
    if slope == 0.0 {
        return Ok(surface.classifier(start));
    }
    let failed = |source: argmin::core::Error| match observer.interrupted() {
        true => Error::Interrupted,
        false => Error::Training(Problem::new("the solver of the sparse logistic regression failed").found(source)),
    };
    let solver = LBFGS::new(MoreThuenteLineSearch::new(), MEMORY)
        .with_tolerance_grad(TOLERANCE * slope)
        .and_then(|solver| solver.with_tolerance_cost(f64::EPSILON * first.abs()))
        .map_err(failed)?;
    let result = Executor::new(Handle(&surface), solver)
        .configure(|state| state.param(start).max_iters(MOST_ITERATIONS))
        .ctrlc(false)
        .timer(false)
        .run()
        .map_err(failed)?;
    let best = result.state().get_best_param().cloned();
    best.filter(|best| best.iter().all(|value| value.is_finite()))
        .map(|best| surface.classifier(best))
        .ok_or_else(|| Error::Training(Problem::new("the sparse logistic regression gave no finite numbers")))
}

/// A point with its value and gradient.
type Known = (Vec<f64>, f64, Vec<f64>);

struct Surface<'a> {
    rows: &'a SparseRows,
    turned: SparseRows,
    labels: &'a [usize],
    classes: usize,
    penalty: f64,
    observer: &'a dyn Observer,
    /// The solver asks for the value and the gradient of a point one after the other.
    latest: Mutex<Option<Known>>,
}

impl Surface<'_> {
    fn classifier(&self, mut flat: Vec<f64>) -> SparseClassifier {
        let intercepts = flat.split_off(self.rows.columns * self.classes);
        SparseClassifier { classes: self.classes, weights: flat, intercepts }
    }
}

impl Smooth for Surface<'_> {
    fn at(&self, flat: &[f64]) -> Result<(f64, Vec<f64>)> {
        let lock = || self.latest.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, value, gradient)) = lock().as_ref().filter(|(point, _, _)| point == flat) {
            return Ok((*value, gradient.clone()));
        }
        self.observer.check()?;
        let (classes, n) = (self.classes, self.labels.len() as f64);
        let (weights, intercepts) = flat.split_at(self.rows.columns * classes);
        // Rows: the loss of each, and its probabilities minus the truth.
        let residuals: Vec<(f64, Vec<f64>)> = (0..self.labels.len())
            .into_par_iter()
            .map(|at| {
                let mut logits = intercepts.to_vec();
                for &(column, value) in self.rows.row(at) {
                    let weights = &weights[column as usize * classes..][..classes];
                    logits.iter_mut().zip(weights).for_each(|(logit, weight)| *logit += weight * f64::from(value));
                }
                let most = logits.iter().fold(f64::NEG_INFINITY, |most, &z| most.max(z));
                let sum: f64 = logits.iter().map(|z| (z - most).exp()).sum();
                let loss = sum.ln() + most - logits[self.labels[at]];
                logits.iter_mut().for_each(|z| *z = (*z - most).exp() / sum);
                logits[self.labels[at]] -= 1.0;
                (loss, logits)
            })
            .collect();
        let loss: f64 = residuals.iter().map(|(loss, _)| loss).sum();
        let mut gradient = vec![0.0; flat.len()];
        let (of_weights, of_intercepts) = gradient.split_at_mut(weights.len());
        of_weights.par_chunks_exact_mut(classes).enumerate().for_each(|(column, out)| {
            for &(row, value) in self.turned.row(column) {
                let residual = &residuals[row as usize].1;
                out.iter_mut().zip(residual).for_each(|(out, r)| *out += r * f64::from(value));
            }
            let weights = &weights[column * classes..][..classes];
            out.iter_mut().zip(weights).for_each(|(out, weight)| *out = *out / n + self.penalty * weight);
        });
        for (_, residual) in &residuals {
            of_intercepts.iter_mut().zip(residual).for_each(|(out, r)| *out += r / n);
        }
        let square: f64 = weights.iter().map(|weight| weight * weight).sum();
        let value = loss / n + 0.5 * self.penalty * square;
        *lock() = Some((flat.to_vec(), value, gradient.clone()));
        Ok((value, gradient))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use rand::RngExt;

    fn toy(n: usize, columns: usize, classes: usize) -> (SparseRows, Vec<usize>) {
        let mut stream = crate::rng::rng(5, "sparse", 0);
        let labels: Vec<usize> = (0..n).map(|at| at % classes).collect();
        let rows = labels.iter().map(|&label| {
            let mut row: Vec<(u32, f32)> = Vec::new();
            for column in 0..columns {
                if column % classes == label && stream.random::<f64>() < 0.5 || stream.random::<f64>() < 0.2 {
                    row.push((column as u32, stream.random::<f32>() + 0.1));
                }
            }
            row
        });
        (SparseRows::new(columns, rows.collect::<Vec<_>>()), labels)
    }

    #[test]
    fn the_gradient_is_that_of_the_loss_and_zero_at_the_solution() {
        let (rows, labels) = toy(60, 12, 3);
        let surface = Surface {
            rows: &rows,
            turned: rows.by_column(),
            labels: &labels,
            classes: 3,
            penalty: 0.01,
            observer: &Silent,
            latest: Mutex::default(),
        };
        let point: Vec<f64> = (0..39).map(|at| (at as f64 * 0.7).sin()).collect();
        let (_, gradient) = surface.at(&point).unwrap();
        for at in [0, 7, 35, 38] {
            let step = 1e-5;
            let (mut more, mut less) = (point.clone(), point.clone());
            more[at] += step;
            less[at] -= step;
            let slope = (surface.at(&more).unwrap().0 - surface.at(&less).unwrap().0) / (2.0 * step);
            assert!((slope - gradient[at]).abs() < 1e-8, "{at}: {slope} {}", gradient[at]);
        }
        let fitted = fit_sparse(&rows, &labels, 3, 100.0 / 60.0, &Silent).unwrap();
        let flat: Vec<f64> = fitted.weights.iter().chain(&fitted.intercepts).copied().collect();
        assert!(norm(&surface.at(&flat).unwrap().1) < 1e-4);
        let right = (0..60).filter(|&at| {
            let logits = fitted.logits(rows.row(at));
            (0..3).all(|class| logits[class] <= logits[labels[at]])
        });
        assert!(right.count() > 50);
    }

    #[test]
    fn rows_are_selected_and_turned() {
        let (rows, _) = toy(10, 6, 2);
        let twice = rows.by_column().by_column();
        assert_eq!(twice, rows);
        assert_eq!(rows.select(&[3, 3]).row(1), rows.row(3));
    }
}
