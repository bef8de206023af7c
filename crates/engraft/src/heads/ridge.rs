//! Ridge regression (Hoerl and Kennard, 1970), in closed form, its strength chosen by cross-validation.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::axes::{Coordinates, PrincipalAxes};
use super::linear::Linear;
use super::path::best;
use super::select::splits;
use super::standardise::Standardiser;
use crate::error::{Error, Problem, Result};
use crate::features::Features;
use crate::progress::Observer;

/// A linear function of raw features: `y = w x + b`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RidgeRegression {
    /// `w`, `[columns]`.
    pub weights: Vec<f64>,
    /// `b`.
    pub intercept: f64,
}

impl RidgeRegression {
    /// The value for one example. It depends on the row alone.
    ///
    /// # Panics
    /// If the row is shorter than the weights.
    pub fn value(&self, row: &[f32]) -> f64 {
        let row: Vec<f64> = row[..self.weights.len()].iter().map(|&x| f64::from(x)).collect();
        self.intercept + super::linear::dot(&self.weights, &row)
    }
}

/// What to try.
#[derive(Debug, Clone, PartialEq)]
pub struct RidgeOptions {
    /// Values of `alpha` (scikit-learn's, see [`fit_ridge`]), in any order. A large `alpha` regularises strongly.
    pub strengths: Vec<f64>,
}

impl Default for RidgeOptions {
    /// Twenty-three values of `alpha` from 1e-4 to 1e7, evenly spaced on a log scale.
    ///
    /// With standardised features and targets the best `alpha` is about `columns · noise / signal`: from next to nothing
    /// for a few columns that tell everything to 1e5 for thousands that tell little.
    fn default() -> Self {
        Self { strengths: (0..23).map(|i| 10f64.powf(-4.0 + 0.5 * f64::from(i))).collect() }
    }
}

/// One strength and how it did on rows that the model had not seen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TriedRidge {
    /// The strength.
    pub(crate) alpha: f64,
    /// Root of the mean squared error, in the units of the targets.
    pub rmse: f64,
}

/// The result of [`cross_validate_ridge`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RidgeValidation {
    /// Every strength that was tried, descending `alpha`: the strongest first.
    pub tried: Vec<TriedRidge>,
    /// The strength of the final model: least squared error over all folds, of equals the stronger regularisation.
    pub chosen_alpha: f64,
    /// Honest predictions `[rows]`: row `i` took part neither in fitting nor in choosing what predicts it.
    pub(crate) out_of_fold: Vec<f64>,
    /// The place in `heads` of the fold in which each row is held out, `[rows]`.
    pub(crate) fold_of_row: Vec<usize>,
    /// The strength chosen for each fold on the other folds, ascending fold.
    pub(crate) fold_alphas: Vec<f64>,
    /// The model of each fold, by which its rows were predicted, ascending fold.
    pub(crate) heads: Vec<RidgeRegression>,
}

/// Fits ridge regression: standardises the columns and minimises scikit-learn's `Ridge` objective
/// `sum_i (y_i - w x_i - b)² + alpha ||w||²` over `w` (of the standardised columns) and the intercept, which is not
/// penalised. (The optimum scales with the targets: standardising them would change nothing.)
///
/// In the principal axes `v_j` of the centred rows, of variance `s_j`, the optimum is
/// `u_j = (sum_i v_j x_i y_i) / (n s_j + alpha)`: one eigenvalue problem of `min(rows, columns)` gives all strengths.
pub fn fit_ridge(features: &Features, targets: &[f64], alpha: f64) -> Result<RidgeRegression> {
    check(features, targets, &[alpha])?;
    let rows: Vec<usize> = (0..features.rows).collect();
    let mut heads = Solved::new(features, &rows, targets)?.heads(&[alpha]);
    Ok(heads.remove(0))
}

/// Tries every strength on every fold (`folds[i]` is the fold in which row `i` is held out) and chooses.
///
/// As for classes ([`super::cross_validate`]) selection is honest: the predictions of a fold come from its model with
/// the strength that is best on the other folds.
pub fn cross_validate_ridge(
    features: &Features,
    targets: &[f64],
    folds: &[usize],
    options: &RidgeOptions,
    observer: &dyn Observer,
) -> Result<RidgeValidation> {
    check(features, targets, &options.strengths)?;
    let splits = splits(folds, features.rows)?;
    let mut strengths = options.strengths.clone();
    strengths.sort_by(|a, b| b.total_cmp(a));
    strengths.dedup();

    observer.begin("cross-validation", splits.len() as u64, "folds");
    let walked: Vec<Result<(Vec<RidgeRegression>, Vec<f64>)>> = splits
        .par_iter()
        .map(|split| {
            observer.check()?;
            let heads = Solved::new(features, &split.training, targets)?.heads(&strengths);
            let squares = |head: &RidgeRegression| {
                split.held_out.iter().map(|&row| (head.value(features.row(row)) - targets[row]).powi(2)).sum()
            };
            let errors = heads.par_iter().map(squares).collect();
            observer.advance(1);
            Ok((heads, errors))
        })
        .collect();
    observer.end();
    let walked = walked.into_iter().collect::<Result<Vec<_>>>()?;

    let errors = |without: Option<usize>| -> Vec<f64> {
        let heard = |step: usize| {
            let others = walked.iter().enumerate().filter(|&(fold, _)| Some(fold) != without);
            others.map(|(_, (_, errors))| errors[step]).sum()
        };
        (0..strengths.len()).map(heard).collect()
    };
    let all = errors(None);
    if all.iter().any(|error| !error.is_finite()) {
        return Err(Error::Training(
            Problem::new("the squared error of the ridge regression is not a number")
                .hint("look for features or targets of enormous size"),
        ));
    }
    let steps: Vec<usize> = (0..splits.len()).map(|fold| best(&errors(Some(fold)))).collect();
    let heads: Vec<RidgeRegression> =
        walked.iter().zip(&steps).map(|((heads, _), &step)| heads[step].clone()).collect();
    let mut out_of_fold = vec![0.0; features.rows];
    let mut fold_of_row = vec![0; features.rows];
    for (at, (split, head)) in splits.iter().zip(&heads).enumerate() {
        for &row in &split.held_out {
            out_of_fold[row] = head.value(features.row(row));
            fold_of_row[row] = at;
        }
    }
    let rmse = |error: &f64| (error / features.rows as f64).sqrt();
    Ok(RidgeValidation {
        chosen_alpha: strengths[best(&all)],
        tried: strengths.iter().zip(&all).map(|(&alpha, error)| TriedRidge { alpha, rmse: rmse(error) }).collect(),
        out_of_fold,
        fold_of_row,
        fold_alphas: steps.iter().map(|&step| strengths[step]).collect(),
        heads,
    })
}

/// Some rows and their targets in principal axes, ready for any strength.
struct Solved {
    coordinates: Coordinates,
    axes: PrincipalAxes,
    /// `sum_i v_j x_i (y_i - mean)`, `[rank]`.
    products: Vec<f64>,
    rows: f64,
    mean: f64,
}

impl Solved {
    fn new(features: &Features, rows: &[usize], targets: &[f64]) -> Result<Self> {
        let n = rows.len() as f64;
        let Standardiser { mean: centre, scale } = Standardiser::fit(features, rows);
        let coordinates = Coordinates { centre, inverse: scale.iter().map(|scale| 1.0 / scale).collect() };
        let axes = if rows.len() < features.columns {
            PrincipalAxes::of_rows(features, rows, &vec![1.0; rows.len()], &coordinates)?.0
        } else {
            PrincipalAxes::of_all_columns(features, rows, &coordinates)?
        };
        let mean = rows.iter().map(|&row| targets[row]).sum::<f64>() / n;
        // X'ᵀ (y - mean), rows in order.
        let mut by_column = vec![0.0; features.columns];
        let mut block = Vec::new();
        for rows in rows.chunks(256) {
            coordinates.block(features, rows, &mut block);
            for (x, &row) in block.chunks_exact(features.columns).zip(rows) {
                let residual = targets[row] - mean;
                by_column.iter_mut().zip(x).for_each(|(sum, x)| *sum += residual * x);
            }
        }
        let mut products = vec![0.0; axes.variances.len()];
        matmul(
            MatMut::from_row_major_slice_mut(&mut products, 1, axes.variances.len()),
            Accum::Replace,
            MatRef::from_row_major_slice(&by_column, 1, features.columns),
            &axes.basis,
            1.0,
            Par::Seq,
        );
        Ok(Self { coordinates, axes, products, rows: n, mean })
    }

    /// The model of each strength, on raw columns.
    fn heads(&self, strengths: &[f64]) -> Vec<RidgeRegression> {
        let rank = self.axes.variances.len();
        let turned = Mat::from_fn(rank, strengths.len(), |axis, step| {
            self.products[axis] / (self.rows * self.axes.variances[axis] + strengths[step])
        });
        let mut weights = Mat::<f64>::zeros(self.coordinates.centre.len(), strengths.len());
        matmul(weights.as_mut(), Accum::Replace, &self.axes.basis, &turned, 1.0, Par::Seq);
        let raw = |step: usize| {
            let column = weights.col(step).iter().zip(&self.coordinates.inverse);
            let weights: Vec<f64> = column.map(|(w, inverse)| w * inverse).collect();
            let shift: f64 = weights.iter().zip(&self.coordinates.centre).map(|(w, centre)| w * centre).sum();
            RidgeRegression { weights, intercept: self.mean - shift }
        };
        (0..strengths.len()).map(raw).collect()
    }
}

fn check(features: &Features, targets: &[f64], strengths: &[f64]) -> Result<()> {
    features.check()?;
    if features.rows != targets.len() || targets.is_empty() || features.columns == 0 {
        return Err(Error::Data(
            Problem::new("features and targets do not belong together")
                .expected("one number per row, at least one row and one column")
                .found(format!("{} rows of {} and {} numbers", features.rows, features.columns, targets.len())),
        ));
    }
    if let Some(row) = targets.iter().position(|value| !value.is_finite()) {
        return Err(Error::Data(
            Problem::new("a target is not a finite number")
                .expected("finite numbers")
                .found(format!("{} in row {row} (counted from 0)", targets[row])),
        ));
    }
    if strengths.is_empty() || strengths.iter().any(|&alpha| !(alpha.is_finite() && alpha > 0.0)) {
        return Err(Error::Usage(
            Problem::new("invalid alpha")
                .expected("finite numbers above zero, at least one")
                .found(format!("{strengths:?}")),
        ));
    }
    Ok(())
}

impl From<RidgeRegression> for Linear {
    fn from(RidgeRegression { weights, intercept }: RidgeRegression) -> Self {
        Self { outputs: 1, columns: weights.len(), weights, intercepts: vec![intercept] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use rand::RngExt;

    /// Noise, of which the first three columns tell the target but for some noise of its own.
    fn table(rows: usize, columns: usize, noise: f64) -> (Features, Vec<f64>, Vec<usize>) {
        let mut stream = crate::rng::rng(1, "test", 0);
        let values: Vec<f32> = (0..rows * columns).map(|_| stream.random::<f32>()).collect();
        let features = Features::new(rows, columns, values).unwrap();
        let target =
            |row: &[f32], noise: f64| 5.0 * f64::from(row[0]) - 3.0 * f64::from(row[1]) + f64::from(row[2]) + noise;
        let targets = (0..rows).map(|i| target(features.row(i), noise * (stream.random::<f64>() - 0.5))).collect();
        (features, targets, (0..rows).map(|i| i % 5).collect())
    }

    #[test]
    fn what_can_be_learnt_is_learnt_and_noise_is_not() {
        for (rows, columns) in [(200, 8), (90, 150)] {
            let (features, targets, folds) = table(rows, columns, 0.5);
            let result = cross_validate_ridge(&features, &targets, &folds, &RidgeOptions::default(), &Silent).unwrap();
            let mean = targets.iter().sum::<f64>() / rows as f64;
            let spread = targets.iter().map(|y| (y - mean).powi(2)).sum::<f64>();
            let error: f64 = result.out_of_fold.iter().zip(&targets).map(|(p, y)| (p - y).powi(2)).sum();
            assert!(error < 0.5 * spread, "{rows}x{columns}: {error} of {spread}");
        }
        let (features, _, folds) = table(120, 40, 0.0);
        let targets: Vec<f64> = (0..120).map(|i| f64::from(i * 7919 % 101)).collect();
        let result = cross_validate_ridge(&features, &targets, &folds, &RidgeOptions::default(), &Silent).unwrap();
        assert!(result.chosen_alpha >= 100.0, "{}", result.chosen_alpha);
    }

    #[test]
    fn the_gradient_is_zero_at_the_optimum() {
        for (rows, columns) in [(30, 4), (12, 20)] {
            let (features, targets, _) = table(rows, columns, 1.0);
            let all: Vec<usize> = (0..rows).collect();
            let scale = Standardiser::fit(&features, &all).scale;
            let mean = Standardiser::fit(&features, &all).mean;
            let head = fit_ridge(&features, &targets, 0.7).unwrap();
            let residual = |i: usize| targets[i] - head.value(features.row(i));
            assert!((0..rows).map(residual).sum::<f64>().abs() < 1e-9);
            for j in 0..columns {
                let x = |i: usize| (f64::from(features.row(i)[j]) - mean[j]) / scale[j];
                let slope = (0..rows).map(|i| residual(i) * x(i)).sum::<f64>() - 0.7 * head.weights[j] * scale[j];
                assert!(slope.abs() < 1e-8, "{rows}x{columns}, {j}: {slope}");
            }
        }
    }

    #[test]
    fn the_result_does_not_depend_on_threads() {
        let (features, targets, folds) = table(300, 20, 1.0);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| cross_validate_ridge(&features, &targets, &folds, &RidgeOptions::default(), &Silent))
                .unwrap()
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn a_fold_has_no_say_in_its_own_strength() {
        let (features, targets, folds) = table(100, 10, 1.0);
        let before = cross_validate_ridge(&features, &targets, &folds, &RidgeOptions::default(), &Silent).unwrap();
        let mut moved = targets;
        (0..100).filter(|i| i % 5 == 2).for_each(|i| moved[i] = -moved[i]);
        let after = cross_validate_ridge(&features, &moved, &folds, &RidgeOptions::default(), &Silent).unwrap();
        // The model of fold 2 itself was trained on the others; its strength on the others' errors, whose models saw it.
        assert_eq!(before.heads[2].weights.len(), after.heads[2].weights.len());
        let same = before.fold_alphas[2] == after.fold_alphas[2];
        assert!(!same || before.heads[2] == after.heads[2]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let (features, mut targets, folds) = table(20, 3, 1.0);
        assert!(fit_ridge(&features, &targets, 0.0).is_err());
        assert!(fit_ridge(&features, &targets[1..], 1.0).is_err());
        assert!(cross_validate_ridge(&features, &targets, &[0; 20], &RidgeOptions::default(), &Silent).is_err());
        targets[7] = f64::NAN;
        let problem = cross_validate_ridge(&features, &targets, &folds, &RidgeOptions::default(), &Silent);
        assert!(problem.unwrap_err().to_string().contains("row 7"));
    }
}
