//! LogME: how likely targets are under a linear model of the features, all of its weights integrated out.

use std::f64::consts::TAU;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

use super::moments::{mean, scatter_about};
use super::predicted::Predicted;
use crate::error::{Error, Problem, Result};
use crate::features::Features;
use crate::heads::axes::{Coordinates, eigen, gram};

/// Eigenvalues below this share of the largest hold nothing but rounding.
const NEGLIGIBLE: f64 = 1e-12;
/// A target's squared deviation of which less than this share is noise is taken to have as much: features are f32.
const LEAST_NOISE: f64 = 1e-12;
/// Distance of the places at which a maximum is looked for first, in powers of e.
const STEP: f64 = 0.5;
/// What the places go beyond the spectrum: there the evidence is that of no signal, or of no noise.
const BEYOND: f64 = 1e-8;
/// Width of the interval at which the search ends, in powers of e. The evidence is flat at its maximum: it is exact to
/// the square of this.
const WIDTH: f64 = 1e-9;

/// The evidence of a linear model for one target, centred and of variance 1, at its maximum over `alpha` and `beta`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LinearEvidence {
    /// The precision of the weights; infinite where the features say nothing.
    pub(crate) alpha: f64,
    /// The precision of the noise.
    pub(crate) beta: f64,
    /// `ln p(y | F, alpha, beta) / (rows - 1)`, in nats. Features that say nothing have `-(1 + ln 2 pi) / 2 = -1.419`.
    pub(crate) per_example: f64,
}

/// The evidences of all targets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LogMe {
    /// The mean over the targets that vary.
    pub(crate) per_example: f64,
    /// That of each class, of each label, or of the number; none where it is the same in all rows.
    pub(crate) targets: Vec<Option<LinearEvidence>>,
}

/// LogME (You, Liu, Wang and Long, 2021, "LogME: practical assessment of pre-trained models for transfer learning", ICML,
/// equations 1 and 2), exact: `y ~ N(0, I / beta + F Fᵀ / alpha)` at the greatest density over `alpha` and `beta`, for each class
/// against the rest, for each label, or for a number.
///
/// The authors' code leaves `(columns - rows) ln(alpha) / 2` out where there are fewer rows than columns; nothing is left out here.
/// Features and targets are centred, which is an intercept of any size; so the density is that in the `rows - 1` directions
/// that are left. Targets are scaled to a variance of 1 (divisor `rows - 1`), so that evidences of different targets can be
/// compared. The features' scales stay as they are.
///
/// With `F Fᵀ = U S Uᵀ` and `z = Uᵀ y` all targets share one decomposition of the smaller side. At a ratio `g = beta / alpha`
/// the best `1 / beta` is the mean of `z_i² / (1 + g s_i)`, which leaves a search over `g` alone: on a grid from where there is
/// no signal to where there is no noise, and by the golden section about its best place.
///
/// Time: `min(rows, columns)³`, and for each target about 200 passes over the spectrum. Memory: the table in f64 or the
/// square of the columns, whichever the decomposition needs.
///
/// # Errors
/// [`Error::Data`] for fewer than two rows, no column, numbers that are not finite, targets that do not belong to the rows or
/// none of which varies.
pub(crate) fn logme(features: &Features, predicted: Predicted<'_>) -> Result<LogMe> {
    super::moments::check(features)?;
    predicted.check(features.rows)?;
    let mut columns = predicted.columns();
    let varies: Vec<bool> = columns.iter_mut().map(|column| standardise(column)).collect();
    if !varies.contains(&true) {
        return Err(Error::Data(
            Problem::new("there is nothing to predict")
                .expected("targets that differ between examples")
                .found("the same target for every example"),
        ));
    }
    let columns: Vec<Vec<f64>> =
        columns.into_iter().zip(&varies).filter(|(_, varies)| **varies).map(|(c, _)| c).collect();
    let spectrum = RowSpectrum::of(features, &columns)?;
    let found: Vec<LinearEvidence> = (0..columns.len()).into_par_iter().map(|at| spectrum.evidence(at)).collect();
    let per_example = found.iter().map(|evidence| evidence.per_example).sum::<f64>() / found.len() as f64;
    let mut found = found.into_iter();
    Ok(LogMe { per_example, targets: varies.iter().map(|&varies| if varies { found.next() } else { None }).collect() })
}

/// Centres and scales to a variance of 1 (divisor `n - 1`); whether that can be done.
fn standardise(values: &mut [f64]) -> bool {
    let n = values.len() as f64;
    let largest = values.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    if largest == 0.0 {
        return false;
    }
    // Of size 1 first: squares of enormous numbers are not finite.
    values.iter_mut().for_each(|value| *value /= largest);
    let mean = values.iter().sum::<f64>() / n;
    values.iter_mut().for_each(|value| *value -= mean);
    let deviation = (values.iter().map(|value| value * value).sum::<f64>() / (n - 1.0)).sqrt();
    if deviation <= n * f64::EPSILON {
        return false;
    }
    values.iter_mut().for_each(|value| *value /= deviation);
    true
}

/// The centred rows' inner products by their eigenvalues, and targets in the eigenvectors.
struct RowSpectrum {
    /// Eigenvalues of `F Fᵀ` that are not rounding, ascending.
    values: Vec<f64>,
    /// `(u_i y)²` for the eigenvector of each of them, `[targets][values]`.
    squares: Vec<Vec<f64>>,
    /// Directions that are left by centring: rows - 1.
    directions: f64,
}

impl RowSpectrum {
    /// Of targets that are centred and of variance 1, `[targets][rows]`.
    fn of(features: &Features, targets: &[Vec<f64>]) -> Result<Self> {
        let rows: Vec<usize> = (0..features.rows).collect();
        let coordinates = Coordinates { centre: mean(features), inverse: vec![1.0; features.columns] };
        let targets = Mat::from_fn(features.rows, targets.len(), |row, target| targets[target][row]);
        let mut block = Vec::new();
        let is_wide = features.rows <= features.columns;
        let (values, vectors, seen) = if is_wide {
            coordinates.block(features, &rows, &mut block);
            let mut products = Mat::zeros(features.rows, features.rows);
            gram(products.as_mut(), MatRef::from_row_major_slice(&block, features.rows, features.columns), 1.0);
            let (values, vectors) = eigen(&products)?;
            (values, vectors, targets)
        } else {
            let (values, vectors) = eigen(&scatter_about(features, &coordinates.centre))?;
            let mut sums = Mat::zeros(features.columns, targets.ncols());
            for (at, rows) in rows.chunks(256).enumerate() {
                coordinates.block(features, rows, &mut block);
                let x = MatRef::from_row_major_slice(&block, rows.len(), features.columns);
                let y = targets.get(at * 256..at * 256 + rows.len(), ..);
                matmul(sums.as_mut(), Accum::Add, x.transpose(), y, 1.0, Par::Seq);
            }
            (values, vectors, sums)
        };
        let largest = values.last().copied().unwrap_or(0.0);
        // Centring takes one direction away.
        let most = features.rows - 1;
        let kept: Vec<usize> =
            (0..values.len()).rev().take(most).rev().filter(|&at| values[at] > NEGLIGIBLE * largest).collect();
        let mut along = Mat::zeros(vectors.ncols(), seen.ncols());
        matmul(along.as_mut(), Accum::Replace, vectors.transpose(), &seen, 1.0, Par::Seq);
        // v Fᵀ y = sqrt(s) u y.
        let square = |at: usize, target: usize| along[(at, target)].powi(2) / if is_wide { 1.0 } else { values[at] };
        Ok(Self {
            squares: (0..seen.ncols()).map(|target| kept.iter().map(|&at| square(at, target)).collect()).collect(),
            values: kept.iter().map(|&at| values[at]).collect(),
            directions: most as f64,
        })
    }

    fn evidence(&self, target: usize) -> LinearEvidence {
        let squares = &self.squares[target];
        // Variance 1 in every direction.
        let all = self.directions;
        let outside = if squares.len() as f64 == self.directions {
            0.0
        } else {
            (all - squares.iter().sum::<f64>()).max(LEAST_NOISE * all)
        };
        // 1 / beta, and the evidence for each direction, at a ratio beta / alpha.
        let at = |ratio: f64| {
            let terms = squares.iter().zip(&self.values);
            let (sum, logs) = terms.fold((outside, 0.0), |(sum, logs), (square, value)| {
                (sum + square / (1.0 + ratio * value), logs + (ratio * value).ln_1p())
            });
            let noise = sum / self.directions;
            (noise, -0.5 * (TAU.ln() + 1.0 + noise.ln() + logs / self.directions))
        };
        let (Some(smallest), Some(largest)) = (self.values.first(), self.values.last()) else {
            return LinearEvidence { alpha: f64::INFINITY, beta: 1.0 / at(0.0).0, per_example: at(0.0).1 };
        };
        let value = |log: f64| at(log.exp()).1;
        let low = (BEYOND / largest / self.directions).ln();
        let steps = (((1.0 / BEYOND / smallest).ln() - low) / STEP).ceil();
        let places = (0..=steps as usize).map(|step| low + STEP * step as f64);
        let best = places
            .map(|log| (value(log), log))
            .fold((f64::NEG_INFINITY, low), |best, other| if other.0 > best.0 { other } else { best });
        let log = golden_section(best.1 - STEP, best.1 + STEP, value);
        let (noise, per_example) = at(log.exp());
        let (no_signal, nothing) = at(0.0);
        if nothing >= per_example {
            return LinearEvidence { alpha: f64::INFINITY, beta: 1.0 / no_signal, per_example: nothing };
        }
        LinearEvidence { alpha: 1.0 / noise / log.exp(), beta: 1.0 / noise, per_example }
    }
}

/// The place of the greatest value between two places (Kiefer, 1953, "Sequential minimax search for a maximum").
fn golden_section(mut low: f64, mut high: f64, value: impl Fn(f64) -> f64) -> f64 {
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    let (mut left, mut right) = (high - golden * (high - low), low + golden * (high - low));
    let (mut of_left, mut of_right) = (value(left), value(right));
    while high - low > WIDTH {
        if of_left > of_right {
            (high, right, of_right) = (right, left, of_left);
            left = high - golden * (high - low);
            of_left = value(left);
        } else {
            (low, left, of_left) = (left, right, of_right);
            right = low + golden * (high - low);
            of_right = value(right);
        }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::super::moments::tests::normal;
    use super::*;

    const NOTHING: f64 = -1.418_938_533_204_672_7;

    fn numbers(features: &Features, noise: f64) -> Vec<f64> {
        let own = normal(99, features.rows, 1, 0.0);
        let value = |row: usize| 2.0 * f64::from(features.row(row)[0]) - f64::from(features.row(row)[2]) + 7.0;
        (0..features.rows).map(|row| value(row) + noise * f64::from(own.values[row])).collect()
    }

    #[test]
    fn both_sides_agree_and_more_noise_is_less_evidence() {
        for (rows, columns) in [(30, 29), (29, 30), (80, 6), (25, 60)] {
            let features = normal(1, rows, columns, 0.0);
            let evidence =
                |noise| logme(&features, Predicted::Numbers(&numbers(&features, noise))).unwrap().per_example;
            let (clear, noisy, drowned) = (evidence(0.1), evidence(2.0), evidence(1e6));
            assert!(clear > noisy && noisy > drowned && drowned >= NOTHING - 1e-12, "{clear} {noisy} {drowned}");
            // A wide table with columns of zeros takes the other side.
            let more = columns.max(rows) + 3;
            let padded = (0..rows).flat_map(|row| features.row(row).iter().copied().chain(vec![0.0; more - columns]));
            let padded = Features::new(rows, more, padded.collect()).unwrap();
            let other = logme(&padded, Predicted::Numbers(&numbers(&features, 2.0))).unwrap().per_example;
            assert!((other - noisy).abs() < 1e-9, "{rows}x{columns}: {other} {noisy}");
        }
    }

    #[test]
    fn scale_shift_and_units_change_nothing() {
        let features = normal(1, 40, 60, 0.0);
        let targets = numbers(&features, 1.0);
        let before = logme(&features, Predicted::Numbers(&targets)).unwrap();
        let mut moved = features.clone();
        moved.values.iter_mut().for_each(|x| *x = 4.0 * *x + 16.0);
        let scaled: Vec<f64> = targets.iter().map(|y| 1e200 * y).collect();
        let after = logme(&moved, Predicted::Numbers(&scaled)).unwrap();
        assert!((before.per_example - after.per_example).abs() < 1e-5, "{before:?} {after:?}");
        let (a, b) = (before.targets[0].unwrap(), after.targets[0].unwrap());
        assert!((b.alpha / a.alpha - 16.0).abs() < 1e-3 && (b.beta / a.beta - 1.0).abs() < 1e-4, "{a:?} {b:?}");
    }

    #[test]
    fn nothing_to_learn_from_or_to_learn_is_told() {
        let flat = Features::new(20, 3, vec![1.5; 60]).unwrap();
        let labels: Vec<usize> = (0..20).map(|row| row % 2).collect();
        let found = logme(&flat, Predicted::Classes { labels: &labels, classes: 3 }).unwrap();
        assert!((found.per_example - NOTHING).abs() < 1e-12, "{found:?}");
        assert!(found.targets[2].is_none() && found.targets[0].unwrap().alpha == f64::INFINITY);
        let features = normal(1, 20, 3, 0.0);
        for same in [[0.0; 20], [3.7; 20], [1e300; 20]] {
            let problem = logme(&features, Predicted::Numbers(&same)).unwrap_err().to_string();
            assert!(problem.contains("nothing to predict"), "{problem}");
        }
        assert!(logme(&features, Predicted::Classes { labels: &[1; 20], classes: 2 }).is_err());
        assert!(logme(&features, Predicted::LabelSets { labels: &[], count: 0 }).is_err());
        assert!(logme(&Features::new(1, 2, vec![0.0; 2]).unwrap(), Predicted::Numbers(&[1.0])).is_err());
        assert!(logme(&Features::new(2, 1, vec![0.0, f32::NAN]).unwrap(), Predicted::Numbers(&[1.0, 2.0])).is_err());
    }

    #[test]
    fn a_target_without_noise_has_a_finite_evidence() {
        for (rows, columns) in [(40, 5), (6, 5), (5, 5), (5, 40), (2, 3)] {
            let features = normal(1, rows, columns, 0.0);
            let found = logme(&features, Predicted::Numbers(&numbers(&features, 0.0))).unwrap();
            assert!(found.per_example.is_finite() && found.per_example > NOTHING, "{rows}x{columns}: {found:?}");
        }
    }

    #[test]
    fn the_result_does_not_depend_on_threads() {
        for columns in [12, 400] {
            let features = normal(1, 300, columns, 0.0);
            let labels: Vec<usize> = (0..300).map(|row| row % 7).collect();
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| logme(&features, Predicted::Classes { labels: &labels, classes: 7 })).unwrap()
            };
            assert_eq!(run(1), run(3));
        }
    }
}
