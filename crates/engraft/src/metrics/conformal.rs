//! An interval around a single predicted number that holds the truth as often as it says.

use serde::{Deserialize, Serialize};

use super::interval::{Estimate, wilson};
use super::regression::check_numbers;
use crate::error::{Error, Problem, Result};

/// CV+ prediction intervals (Barber, Candès, Ramdas and Tibshirani, 2021, "Predictive inference with the jackknife+",
/// Ann. Stat. 49, section 3): the models of the folds and the errors that each made on what it had not seen.
///
/// With `p_k(x)` the prediction of fold `k`'s model and `R_i = |y_i - p_k(i)(x_i)|` the interval of level `1 - α` is from
/// the `floor(α (n+1))`-th smallest of `p_k(i)(x) - R_i` to the `ceil((1-α)(n+1))`-th smallest of `p_k(i)(x) + R_i`. For
/// exchangeable examples it holds the truth with probability at least `1 - 2α` (less a term of the size of `1/sqrt(n)`),
/// and about `1 - α` in practice; how often it did is measured ([`coverage`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CvPlus {
    /// `1 - α`.
    pub level: f64,
    /// Absolute out-of-fold errors of each fold, ascending.
    pub residuals: Vec<Vec<f64>>,
}

impl CvPlus {
    /// From out-of-fold predictions and truths `[n]`, and the fold of each (`0..` of the models).
    ///
    /// # Errors
    /// [`Error::Usage`] where the level is not between 0 and 1, [`Error::Data`] where the numbers do not fit together.
    pub fn new(predictions: &[f64], truths: &[f64], fold_of_row: &[usize], level: f64) -> Result<Self> {
        check_numbers(predictions, truths)?;
        if !(level > 0.0 && level < 1.0) {
            let problem = Problem::new("invalid level of the intervals").expected("a number between 0 and 1");
            return Err(Error::Usage(problem.found(level)));
        }
        if fold_of_row.len() != truths.len() {
            return Err(Error::Data(
                Problem::new("folds and predictions do not belong together")
                    .expected(format!("a fold for each of {}", truths.len()))
                    .found(fold_of_row.len()),
            ));
        }
        let folds = fold_of_row.iter().max().map_or(0, |last| last + 1);
        let mut residuals = vec![Vec::new(); folds];
        for ((prediction, truth), &fold) in predictions.iter().zip(truths).zip(fold_of_row) {
            residuals[fold].push((prediction - truth).abs());
        }
        residuals.iter_mut().for_each(|errors| errors.sort_unstable_by(f64::total_cmp));
        Ok(Self { level, residuals })
    }

    /// The interval, from the prediction of each fold's model. None where there are too few errors to promise the level:
    /// fewer than `1/α - 1`.
    ///
    /// # Panics
    /// When there are fewer predictions than folds.
    pub(crate) fn interval(&self, fold_predictions: &[f64]) -> Option<(f64, f64)> {
        let n: usize = self.residuals.iter().map(Vec::len).sum();
        let (lower, upper) = ranks(n, self.level)?;
        let (mut lows, mut highs) = (Vec::with_capacity(n), Vec::with_capacity(n));
        for (fold, errors) in self.residuals.iter().enumerate() {
            lows.extend(errors.iter().map(|error| fold_predictions[fold] - error));
            highs.extend(errors.iter().map(|error| fold_predictions[fold] + error));
        }
        let (_, low, _) = lows.select_nth_unstable_by(lower - 1, f64::total_cmp);
        let (_, high, _) = highs.select_nth_unstable_by(upper - 1, f64::total_cmp);
        // At low levels the two may cross: then nothing but their middle is certain.
        Some(if low <= high { (*low, *high) } else { (0.5 * (*low + *high), 0.5 * (*low + *high)) })
    }
}

/// Ranks, from 1, of the ends among `n`: `floor(α (n+1))` and `ceil((1-α)(n+1))`.
fn ranks(n: usize, level: f64) -> Option<(usize, usize)> {
    // A hair off, so that 0.1 * 20 is 2 and not 1.999...
    let lower = ((1.0 - level) * (n + 1) as f64 + 1e-9).floor() as usize;
    let upper = (level * (n + 1) as f64 - 1e-9).ceil() as usize;
    (lower >= 1 && (1..=n).contains(&upper)).then_some((lower, upper))
}

/// How often intervals held the truth, and how wide they were.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// How often they were to hold it.
    pub level: f64,
    /// How often they did, with Wilson's interval.
    pub measured: Estimate,
    /// Mean width, in the units of the numbers.
    pub width: f64,
}

/// The coverage of intervals `[n]` around truths `[n]`; none where an interval is missing or there is nothing to measure.
pub(crate) fn coverage(intervals: &[Option<(f64, f64)>], truths: &[f64], level: f64, how: &str) -> Option<Coverage> {
    let ends: Vec<(f64, f64)> = intervals.iter().copied().collect::<Option<_>>()?;
    let n = ends.len();
    if n == 0 || n != truths.len() {
        return None;
    }
    let held = ends.iter().zip(truths).filter(|((low, high), truth)| (low..=high).contains(truth)).count();
    let (low, high) = wilson(held, n);
    let how = format!("{how}; Wilson interval, 95 %");
    let measured = Estimate { mean: held as f64 / n as f64, low, high, n, how };
    Some(Coverage { level, measured, width: ends.iter().map(|(low, high)| high - low).sum::<f64>() / n as f64 })
}

/// An interval around each out-of-fold prediction from the errors of the other folds alone: prediction plus and minus
/// their `ceil((1-α)(n+1))`-th smallest absolute error (split conformal prediction; Papadopoulos et al., 2002). So the
/// coverage of out-of-fold predictions can be measured without a split of its own. None where the other folds have too
/// few errors.
pub(crate) fn out_of_fold_intervals(
    predictions: &[f64],
    truths: &[f64],
    fold_of_row: &[usize],
    level: f64,
) -> Result<Vec<Option<(f64, f64)>>> {
    let all = CvPlus::new(predictions, truths, fold_of_row, level)?;
    let reach: Vec<Option<f64>> = (0..all.residuals.len())
        .map(|fold| {
            let others = all.residuals.iter().enumerate().filter(|&(other, _)| other != fold);
            let mut errors: Vec<f64> = others.flat_map(|(_, errors)| errors.iter().copied()).collect();
            let (_, upper) = ranks(errors.len(), level)?;
            Some(*errors.select_nth_unstable_by(upper - 1, f64::total_cmp).1)
        })
        .collect();
    let around =
        |(prediction, &fold): (&f64, &usize)| reach[fold].map(|reach| (prediction - reach, prediction + reach));
    Ok(predictions.iter().zip(fold_of_row).map(around).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    /// Truths around 0 with errors of a triangular distribution; every model predicts 0.
    fn errors(n: usize, seed: u64) -> Vec<f64> {
        let mut stream = crate::rng::rng(seed, "test", 0);
        (0..n).map(|_| stream.random::<f64>() - stream.random::<f64>()).collect()
    }

    #[test]
    fn ranks_by_hand() {
        assert_eq!(ranks(19, 0.9), Some((2, 18)));
        assert_eq!(ranks(9, 0.9), Some((1, 9)));
        assert_eq!(ranks(8, 0.9), None);
        assert_eq!(ranks(99, 0.95), Some((5, 95)));
    }

    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say() {
        let truths = errors(400, 1);
        let folds: Vec<usize> = (0..400).map(|i| i % 5).collect();
        let plus = CvPlus::new(&[0.0; 400], &truths, &folds, 0.9).unwrap();
        let interval = plus.interval(&[0.0; 5]);
        let fresh = errors(4000, 2);
        let measured = coverage(&vec![interval; 4000], &fresh, 0.9, "fresh").unwrap();
        assert!((measured.measured.mean - 0.9).abs() < 0.03, "{measured:?}");
        let own = out_of_fold_intervals(&[0.0; 400], &truths, &folds, 0.9).unwrap();
        let own = coverage(&own, &truths, 0.9, "out-of-fold").unwrap();
        assert!((own.measured.mean - 0.9).abs() < 0.02, "{own:?}");
        assert!((own.width / measured.width - 1.0).abs() < 0.05);
    }

    #[test]
    fn models_that_disagree_widen_the_interval() {
        let truths = errors(200, 3);
        let folds: Vec<usize> = (0..200).map(|i| i % 2).collect();
        let plus = CvPlus::new(&[0.0; 200], &truths, &folds, 0.8).unwrap();
        let (low, high) = plus.interval(&[1.0, 1.0]).unwrap();
        let (apart_low, apart_high) = plus.interval(&[0.5, 1.5]).unwrap();
        assert!(apart_low < low && apart_high > high);
        assert!((low + high - 2.0).abs() < 0.1);
    }

    #[test]
    fn too_few_errors_promise_nothing() {
        let plus = CvPlus::new(&[0.0; 8], &errors(8, 1), &[0, 1, 0, 1, 0, 1, 0, 1], 0.9).unwrap();
        assert_eq!(plus.interval(&[0.0, 0.0]), None);
        assert_eq!(coverage(&[None], &[1.0], 0.9, ""), None);
        assert!(CvPlus::new(&[0.0; 8], &errors(8, 1), &[0; 8], 1.0).is_err());
        assert!(CvPlus::new(&[0.0; 8], &errors(8, 1), &[0; 7], 0.9).is_err());
    }
}
