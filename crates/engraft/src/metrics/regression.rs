//! Metrics of predicted numbers, each with its interval.

use serde::{Deserialize, Serialize};

use super::interval::{Estimate, Paired, bootstrap, paired_gain, resampled};
use crate::error::{Error, Problem, Result};

/// What there is to say about predicted numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegressionEvaluation {
    /// Mean absolute error, in the units of the numbers.
    pub mae: Estimate,
    /// Root of the mean squared error, in the units of the numbers.
    pub rmse: Estimate,
    /// Coefficient of determination, `1 - sum (y - p)² / sum (y - mean y)²`: 1 is perfect, 0 is what always saying the
    /// mean of these very examples gets, below 0 is worse.
    pub r2: Estimate,
    /// Pearson's correlation; 0 where predictions or truths are all the same.
    pub pearson: Estimate,
    /// Spearman's rank correlation, equal numbers sharing their mean rank; 0 where all are the same.
    pub spearman: Estimate,
    /// Mean of prediction minus truth: above 0, it says too much.
    pub bias: Estimate,
    /// What always saying the truths' median would get: their mean absolute distance from it.
    pub median_mae: f64,
}

/// Predictions and truths that fit together: as many of the one as of the other, at least two, all finite, and truths
/// that differ.
pub(crate) fn check_numbers(predictions: &[f64], truths: &[f64]) -> Result<()> {
    if predictions.len() != truths.len() || truths.len() < 2 {
        return Err(Error::Data(
            Problem::new("predictions and truths do not belong together")
                .expected("as many of the one as of the other, at least two")
                .found(format!("{} and {}", predictions.len(), truths.len())),
        ));
    }
    if let Some(row) = (0..truths.len()).find(|&row| !(predictions[row].is_finite() && truths[row].is_finite())) {
        return Err(Error::Data(
            Problem::new("a number is none")
                .expected("finite numbers")
                .found(format!("{} for {} in row {row} (counted from 0)", predictions[row], truths[row])),
        ));
    }
    if truths.iter().all(|&truth| truth == truths[0]) {
        return Err(Error::Data(
            Problem::new("all truths are the same number").expected("numbers that differ").found(truths[0]),
        ));
    }
    Ok(())
}

/// Evaluates predictions `[n]` against truths `[n]`.
///
/// `how` says where the predictions come from ("5-fold out-of-fold"); each estimate adds its kind of interval: the
/// percentile bootstrap over examples, all measures on the same resamples.
///
/// # Errors
/// What `check_numbers` refuses.
pub fn evaluate_regression(predictions: &[f64], truths: &[f64], seed: u64, how: &str) -> Result<RegressionEvaluation> {
    check_numbers(predictions, truths)?;
    let n = truths.len();
    let ranks = [Ranking::of(predictions), Ranking::of(truths)];
    let measured = statistics(predictions, truths, &ranks, &vec![1; n]);
    let intervals = bootstrap(n, seed, &measured, |counts| statistics(predictions, truths, &ranks, counts));
    let how = resampled(how, n);
    let estimate =
        |m: usize| Estimate { mean: measured[m], low: intervals[m].0, high: intervals[m].1, n, how: how.clone() };
    Ok(RegressionEvaluation {
        mae: estimate(0),
        rmse: estimate(1),
        r2: estimate(2),
        pearson: estimate(3),
        spearman: estimate(4),
        bias: estimate(5),
        median_mae: median_mae(truths),
    })
}

/// By how much the mean absolute error of a candidate is smaller than a reference's, on the same examples, all `[n]`:
/// bootstrapped in pairs.
pub(crate) fn paired_mae(candidate: &[f64], reference: &[f64], truths: &[f64], seed: u64) -> Result<Paired> {
    check_numbers(candidate, truths)?;
    check_numbers(reference, truths)?;
    let pairs = candidate.iter().zip(reference).zip(truths);
    let gains: Vec<f64> = pairs.map(|((ours, theirs), truth)| (theirs - truth).abs() - (ours - truth).abs()).collect();
    paired_gain(gains.len(), seed, "mean absolute error, reference minus candidate", |counts| {
        gains.iter().zip(counts).map(|(gain, &c)| f64::from(c) * gain).sum::<f64>() / gains.len() as f64
    })
}

/// MAE, RMSE, R², Pearson, Spearman and bias of a resample, in which example `i` occurs `counts[i]` times.
fn statistics(predictions: &[f64], truths: &[f64], ranks: &[Ranking; 2], counts: &[u32]) -> [f64; 6] {
    let n = truths.len() as f64;
    let (mut absolute, mut square, mut bias, mut sum) = (0.0, 0.0, 0.0, 0.0);
    for ((prediction, truth), &count) in predictions.iter().zip(truths).zip(counts) {
        let (error, weight) = (prediction - truth, f64::from(count));
        absolute += weight * error.abs();
        square += weight * error * error;
        bias += weight * error;
        sum += weight * truth;
    }
    let mean = sum / n;
    let spread: f64 = truths.iter().zip(counts).map(|(truth, &c)| f64::from(c) * (truth - mean).powi(2)).sum();
    // A resample of equal truths has no share of variance to explain: NaN is left out by the bootstrap.
    let r2 = if spread > 0.0 { 1.0 - square / spread } else { f64::NAN };
    let pearson = correlation(predictions, truths, counts);
    let spearman = correlation(&ranks[0].ranks(predictions, counts), &ranks[1].ranks(truths, counts), counts);
    [absolute / n, (square / n).sqrt(), r2, pearson, spearman, bias / n]
}

/// Pearson's correlation of a resample; 0 where one side does not vary.
fn correlation(a: &[f64], b: &[f64], counts: &[u32]) -> f64 {
    let n: f64 = counts.iter().map(|&count| f64::from(count)).sum();
    let mean = |values: &[f64]| values.iter().zip(counts).map(|(v, &c)| f64::from(c) * v).sum::<f64>() / n;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for ((a, b), &count) in a.iter().zip(b).zip(counts) {
        let (a, b, weight) = (a - mean_a, b - mean_b, f64::from(count));
        ab += weight * a * b;
        aa += weight * a * a;
        bb += weight * b * b;
    }
    let scale = (aa * bb).sqrt();
    if scale > 0.0 { (ab / scale).clamp(-1.0, 1.0) } else { 0.0 }
}

/// Spearman's rank correlation, equal numbers sharing their mean rank; 0 where one side does not vary.
pub(crate) fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let once = vec![1; a.len()];
    let ranks = |values: &[f64]| Ranking::of(values).ranks(values, &once);
    correlation(&ranks(a), &ranks(b), &once)
}

/// The order of some values, worked out once for all resamples.
struct Ranking(Vec<usize>);

impl Ranking {
    fn of(values: &[f64]) -> Self {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
        Self(order)
    }

    /// Mean ranks in a resample, `[n]`.
    fn ranks(&self, values: &[f64], counts: &[u32]) -> Vec<f64> {
        let mut ranks = vec![0.0; values.len()];
        let mut before = 0.0;
        for equal in self.0.chunk_by(|&a, &b| values[a] == values[b]) {
            let count: f64 = equal.iter().map(|&i| f64::from(counts[i])).sum();
            equal.iter().for_each(|&i| ranks[i] = before + 0.5 * (count + 1.0));
            before += count;
        }
        ranks
    }
}

fn median_mae(truths: &[f64]) -> f64 {
    let mut sorted = truths.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let median = sorted[sorted.len() / 2];
    truths.iter().map(|truth| (truth - median).abs()).sum::<f64>() / truths.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_by_hand() {
        let e = evaluate_regression(&[2.0, 3.0, 5.0, 4.0], &[1.0, 3.0, 4.0, 4.0], 1, "by hand").unwrap();
        assert_eq!((e.mae.mean, e.bias.mean), (0.5, 0.5));
        assert!((e.rmse.mean - 0.5f64.sqrt()).abs() < 1e-12);
        assert!((e.r2.mean - (1.0 - 2.0 / 6.0)).abs() < 1e-12);
        // Ranks 1 2 4 3 and 1 2 3.5 3.5.
        assert!((e.spearman.mean - 4.5 / (5.0f64 * 4.5).sqrt()).abs() < 1e-12);
        assert_eq!(e.median_mae, 0.0 + (3.0 + 1.0) / 4.0);
        assert!(e.mae.how.contains("by hand; percentile bootstrap"));
    }

    #[test]
    fn a_constant_prediction_correlates_with_nothing() {
        let e = evaluate_regression(&[2.0; 4], &[1.0, 2.0, 3.0, 4.0], 1, "").unwrap();
        assert_eq!((e.pearson.mean, e.spearman.mean), (0.0, 0.0));
    }

    #[test]
    fn smaller_errors_win_the_pair() {
        let truths: Vec<f64> = (0..100).map(f64::from).collect();
        let off =
            |by: f64| truths.iter().enumerate().map(|(i, y)| y + by * (1.0 + (i % 3) as f64)).collect::<Vec<f64>>();
        let paired = paired_mae(&off(0.5), &off(-2.0), &truths, 1).unwrap();
        assert_eq!(paired.verdict, "positive transfer");
        assert!((paired.difference - 1.5 * 1.99).abs() < 1e-9, "{}", paired.difference);
    }

    #[test]
    fn what_is_no_prediction_is_refused() {
        let fails = |p: &[f64], y: &[f64]| evaluate_regression(p, y, 1, "").unwrap_err().to_string();
        assert!(fails(&[1.0], &[1.0]).contains("at least two"));
        assert!(fails(&[1.0, f64::NAN], &[1.0, 2.0]).contains("row 1"));
        assert!(fails(&[1.0, 2.0], &[3.0, 3.0]).contains("the same number"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn every_interval_holds_its_number(pairs in proptest::collection::vec((-9.0f64..9.0, -9.0f64..9.0), 2..50), seed: u64) {
            let (p, y): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            prop_assume!(y.iter().any(|&v| v != y[0]));
            let e = evaluate_regression(&p, &y, seed, "").unwrap();
            for estimate in [&e.mae, &e.rmse, &e.r2, &e.pearson, &e.spearman, &e.bias] {
                prop_assert!(estimate.low <= estimate.mean && estimate.mean <= estimate.high, "{estimate:?}");
            }
        }
    }
}
