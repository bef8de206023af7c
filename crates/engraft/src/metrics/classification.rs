//! Metrics of a classifier's probabilities, each with its interval.

use serde::{Deserialize, Serialize};

use super::interval::{Estimate, Point, bootstrap_t, no_surer_than_accuracy, resampled_t, wilson};
use crate::error::{Error, Problem, Result};

/// Most bins of the expected calibration error, and those of the calibration curve.
pub(crate) const CALIBRATION_BINS: usize = 15;

/// Examples for each bin of the expected calibration error, and its fewest bins.
const BIN_EXAMPLES: usize = 20;
const FEWEST_BINS: usize = 5;

/// Probabilities below this count as this in the log-loss, so that one certain mistake costs 34.5 nats and not
/// infinity. The inputs are f32, which holds 1e-15 but also rounds anything below 1e-45 to 0. (scikit-learn clips
/// f32 inputs at 1.2e-7 instead; the two agree where every probability lies between 1.2e-7 and 1 - 1.2e-7.)
pub(crate) const LOG_LOSS_FLOOR: f64 = 1e-15;

/// Probabilities and labels that fit together: checked once, used by every measure.
#[derive(Debug, Clone, Copy)]
pub struct Predictions<'a> {
    probabilities: &'a [f32],
    labels: &'a [usize],
    classes: usize,
}

impl<'a> Predictions<'a> {
    /// Checks `probabilities` `[n, classes]` (each row within 1e-3 of summing to one) and `labels` `[n]`, `n > 0`.
    pub fn new(probabilities: &'a [f32], labels: &'a [usize], classes: usize) -> Result<Self> {
        if labels.is_empty() || classes == 0 || labels.len().checked_mul(classes) != Some(probabilities.len()) {
            return Err(Error::Data(
                Problem::new("probabilities and labels do not belong together")
                    .expected(format!("at least one label, and {classes} probabilities for each"))
                    .found(format!("{} labels and {} probabilities", labels.len(), probabilities.len())),
            ));
        }
        if let Some(row) = labels.iter().position(|&label| label >= classes) {
            return Err(Error::Data(
                Problem::new("a label is not a class")
                    .expected(format!("a class from 0 to {}", classes - 1))
                    .found(format!("{} in row {row} (counted from 0)", labels[row])),
            ));
        }
        for (row, values) in probabilities.chunks_exact(classes).enumerate() {
            let sum: f64 = values.iter().map(|&p| f64::from(p)).sum();
            // A NaN fails both comparisons.
            let fair = values.iter().all(|&p| (0.0..=1.001).contains(&p)) && (sum - 1.0).abs() <= 1e-3;
            if !fair {
                return Err(Error::Data(
                    Problem::new("a row of probabilities is none")
                        .expected("numbers from 0 to 1 that sum to 1")
                        .found(format!("a sum of {sum} in row {row} (counted from 0)")),
                ));
            }
        }
        Ok(Self { probabilities, labels, classes })
    }

    /// The probabilities of each example, `[classes]`.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &'a [f32]> {
        self.probabilities.chunks_exact(self.classes)
    }

    /// The most probable class of an example; of equals the first.
    pub(crate) fn predicted(&self, i: usize) -> usize {
        let row = &self.probabilities[i * self.classes..(i + 1) * self.classes];
        (1..self.classes).fold(0, |best, k| if row[k] > row[best] { k } else { best })
    }

    /// Whether the most probable class is the label, per example.
    pub(crate) fn correct(&self) -> Vec<bool> {
        (0..self.labels.len()).map(|i| self.predicted(i) == self.labels[i]).collect()
    }

    /// The probability of the most probable class, per example.
    pub(crate) fn confidences(&self) -> Vec<f64> {
        self.rows().map(|row| f64::from(row.iter().fold(0.0f32, |best, &p| best.max(p)))).collect()
    }

    /// `-ln p(label)` in nats, per example, with [`LOG_LOSS_FLOOR`].
    pub(crate) fn log_losses(&self) -> Vec<f64> {
        let loss = |(row, &label): (&[f32], &usize)| -f64::from(row[label]).clamp(LOG_LOSS_FLOOR, 1.0).ln();
        self.rows().zip(self.labels).map(loss).collect()
    }

    /// `sum over classes of (p - [class is label])²`, per example: from 0 to 2 (Brier, 1950).
    pub(crate) fn briers(&self) -> Vec<f64> {
        let brier = |(row, &label): (&[f32], &usize)| {
            row.iter().enumerate().map(|(k, &p)| (f64::from(p) - f64::from(u8::from(k == label))).powi(2)).sum()
        };
        self.rows().zip(self.labels).map(brier).collect()
    }
}

/// How one class fares against all others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// The class.
    pub class: usize,
    /// Share of the examples answered with this class that are of it; 0 when none was answered so.
    pub precision: f64,
    /// Share of the examples of this class that were answered with it; 0 when there are none.
    pub recall: f64,
    /// Harmonic mean of precision and recall, `2 tp / (2 tp + fp + fn)`; 0 when the class never occurs.
    pub f1: f64,
    /// Number of examples of this class.
    pub support: usize,
}

/// One bin of the calibration curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibrationBin {
    /// Mean probability of the answered class.
    pub confidence: f64,
    /// Share of right answers.
    pub accuracy: f64,
    /// Number of examples.
    pub count: usize,
    /// Lower end of Wilson's 95 % interval of the accuracy.
    pub low: f64,
    /// Upper end of it.
    pub high: f64,
}

/// What there is to say about a classifier's predictions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Share of right answers, with Wilson's interval.
    pub accuracy: Estimate,
    /// Mean F1 over the classes that occur as label or as answer (as scikit-learn), with a t-interval by the bootstrap that is at
    /// least as wide as the accuracy's.
    pub macro_f1: Estimate,
    /// Mean `-ln p(label)` in nats, with a t-interval by the bootstrap.
    pub log_loss: Estimate,
    /// Mean multi-class Brier score, 0 to 2, with a t-interval by the bootstrap.
    pub brier: Estimate,
    /// Expected calibration error, less what chance alone would give (see [`evaluate`]).
    pub ece: Point,
    /// One entry per class.
    pub per_class: Vec<ClassMetrics>,
    /// `confusion[label][answer]` counts examples.
    pub confusion: Vec<Vec<usize>>,
    /// The calibration curve, ascending confidence; empty bins are left out.
    pub calibration: Vec<CalibrationBin>,
}

/// The numbers that every resample needs of an example, in ascending order of confidence.
struct Example {
    label: usize,
    predicted: usize,
    confidence: f64,
    log_loss: f64,
    brier: f64,
}

/// Evaluates probabilities `[n, classes]` against labels `[n]`.
///
/// `how` says where the predictions come from ("5-fold cross-validation"); each estimate adds its kind of interval.
/// The expected calibration error (Naeini, Cooper and Hauskrecht, 2015; Guo et al., 2017) is
/// `sum over bins of share · |accuracy - mean confidence|` over bins of equal mass in the order of confidence, one for 20 examples, 5 to
/// 15. As it stands it is biased upwards (of calibrated probabilities of 60 examples it is about .1), so that each bin's squared
/// gap is lessened by what it would be of calibrated probabilities, `mean of p (1 - p) / count`, and is 0 at least (as Kumar,
/// Liang and Ma 2019, section 5, debias the squared error). It has no interval: none that was tried covers (docs/decisions.md).
pub fn evaluate(probabilities: &[f32], labels: &[usize], classes: usize, seed: u64, how: &str) -> Result<Evaluation> {
    let predictions = Predictions::new(probabilities, labels, classes)?;
    let n = labels.len();
    let (confidences, log_losses, briers) = (predictions.confidences(), predictions.log_losses(), predictions.briers());
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| confidences[a].total_cmp(&confidences[b]).then(a.cmp(&b)));
    let examples: Vec<Example> = order
        .iter()
        .map(|&i| Example {
            label: labels[i],
            predicted: predictions.predicted(i),
            confidence: confidences[i],
            log_loss: log_losses[i],
            brier: briers[i],
        })
        .collect();

    let measured = statistics(&examples, &vec![1; n], classes);
    let mut intervals = bootstrap_t(n, seed, &measured, |counts| statistics(&examples, counts, classes));
    let right = examples.iter().filter(|example| example.label == example.predicted).count();
    let (low, high) = wilson(right, n);
    intervals[0] = no_surer_than_accuracy(intervals[0], measured[0], (right, n), 1.0);
    intervals.iter_mut().for_each(|(low, _)| *low = low.max(0.0));
    let resampled = resampled_t(how, n);
    let estimate = |m: usize| {
        let (low, high) = intervals[m];
        Estimate { mean: measured[m], low, high, n, how: resampled.clone() }
    };

    let confusion = confusion(&examples, classes);
    Ok(Evaluation {
        accuracy: Estimate {
            mean: right as f64 / n as f64,
            low,
            high,
            n,
            how: format!("{how}; Wilson interval, 95 %"),
        },
        macro_f1: estimate(0),
        log_loss: estimate(1),
        brier: estimate(2),
        ece: binned(&examples, Bins::for_error(n)).point(n, how),
        per_class: per_class(&confusion),
        calibration: calibration(&examples),
        confusion,
    })
}

/// Macro-F1, log-loss and Brier score of a resample, in which example `i` occurs `counts[i]` times.
fn statistics(examples: &[Example], counts: &[u32], classes: usize) -> [f64; 3] {
    let n = examples.len() as f64;
    let mut hits = vec![0u64; classes];
    // Label and answer together: 2 tp + fp + fn.
    let mut occurrences = vec![0u64; classes];
    let (mut log_loss, mut brier) = (0.0, 0.0);
    for (example, &count) in examples.iter().zip(counts) {
        if count == 0 {
            continue;
        }
        let weight = f64::from(count);
        let right = example.label == example.predicted;
        hits[example.label] += u64::from(count) * u64::from(right);
        occurrences[example.label] += u64::from(count);
        occurrences[example.predicted] += u64::from(count);
        log_loss += weight * example.log_loss;
        brier += weight * example.brier;
    }
    let present = occurrences.iter().filter(|&&occurs| occurs > 0).count() as f64;
    let f1: f64 = (hits.iter().zip(&occurrences))
        .filter(|&(_, &occurs)| occurs > 0)
        .map(|(&hit, &occurs)| 2.0 * hit as f64 / occurs as f64)
        .sum();
    [f1 / present, log_loss / n, brier / n]
}

/// Bins of equal mass, filled in ascending order of confidence.
pub(super) struct Bins {
    total: f64,
    seen: f64,
    /// One entry a bin.
    mass: Vec<f64>,
    confidence: Vec<f64>,
    /// `p (1 - p)`: the variance of calibrated answers.
    spread: Vec<f64>,
    right: Vec<f64>,
}

impl Bins {
    /// Those of the calibration curve.
    pub(super) fn for_curve(total: usize) -> Self {
        Self::new(total, CALIBRATION_BINS)
    }

    /// Those of the calibration error.
    pub(super) fn for_error(total: usize) -> Self {
        Self::new(total, (total / BIN_EXAMPLES).clamp(FEWEST_BINS, CALIBRATION_BINS))
    }

    fn new(total: usize, bins: usize) -> Self {
        let none = || vec![0.0; bins];
        Self { total: total as f64, seen: 0.0, mass: none(), confidence: none(), spread: none(), right: none() }
    }

    /// An example goes to the bin in which the middle of its mass lies.
    pub(super) fn add(&mut self, confidence: f64, right: bool) {
        let bins = self.mass.len();
        let bin = (((self.seen + 0.5) / self.total * bins as f64) as usize).min(bins - 1);
        self.seen += 1.0;
        self.mass[bin] += 1.0;
        self.confidence[bin] += confidence;
        self.spread[bin] += confidence * (1.0 - confidence);
        self.right[bin] += f64::from(u8::from(right));
    }

    /// The expected calibration error, debiased.
    pub(super) fn point(&self, n: usize, how: &str) -> Point {
        let gap = |bin: usize| {
            let gap = self.right[bin] - self.confidence[bin];
            (gap * gap - self.spread[bin]).max(0.0).sqrt()
        };
        let bins = self.mass.len();
        let mean = (0..bins).map(gap).sum::<f64>() / self.total;
        Point { mean, n, how: format!("{how}; {bins} bins of equal mass, debiased") }
    }

    /// The bins that hold anything.
    pub(super) fn curve(&self) -> Vec<CalibrationBin> {
        (0..self.mass.len())
            .filter(|&bin| self.mass[bin] > 0.0)
            .map(|bin| {
                let (count, right) = (self.mass[bin] as usize, self.right[bin] as usize);
                let (low, high) = wilson(right, count);
                CalibrationBin {
                    confidence: self.confidence[bin] / self.mass[bin],
                    accuracy: self.right[bin] / self.mass[bin],
                    count,
                    low,
                    high,
                }
            })
            .collect()
    }
}

fn calibration(examples: &[Example]) -> Vec<CalibrationBin> {
    binned(examples, Bins::for_curve(examples.len())).curve()
}

fn binned(examples: &[Example], mut bins: Bins) -> Bins {
    for example in examples {
        bins.add(example.confidence, example.label == example.predicted);
    }
    bins
}

fn confusion(examples: &[Example], classes: usize) -> Vec<Vec<usize>> {
    let mut confusion = vec![vec![0; classes]; classes];
    for example in examples {
        confusion[example.label][example.predicted] += 1;
    }
    confusion
}

fn per_class(confusion: &[Vec<usize>]) -> Vec<ClassMetrics> {
    let share = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    (0..confusion.len())
        .map(|class| {
            let hits = confusion[class][class];
            let support: usize = confusion[class].iter().sum();
            let answered: usize = confusion.iter().map(|row| row[class]).sum();
            ClassMetrics {
                class,
                precision: share(hits, answered),
                recall: share(hits, support),
                f1: share(2 * hits, support + answered),
                support,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_by_hand() {
        let probabilities = [0.7, 0.2, 0.1, 0.1, 0.8, 0.1, 0.3, 0.4, 0.3, 0.25, 0.25, 0.5];
        let labels = [0, 1, 0, 2];
        let evaluation = evaluate(&probabilities, &labels, 3, 1, "by hand").unwrap();
        assert_eq!(evaluation.accuracy.mean, 0.75);
        assert_eq!(evaluation.confusion, [[1, 1, 0], [0, 1, 0], [0, 0, 1]]);
        assert!((evaluation.macro_f1.mean - (2.0 / 3.0 + 2.0 / 3.0 + 1.0) / 3.0).abs() < 1e-12);
        let log_loss = -(0.7f64.ln() + 0.8f64.ln() + 0.3f64.ln() + 0.5f64.ln()) / 4.0;
        assert!((evaluation.log_loss.mean - log_loss).abs() < 1e-7);
        let brier = (0.14 + 0.06 + 0.74 + 0.375) / 4.0;
        assert!((evaluation.brier.mean - brier).abs() < 1e-6);
        // Every example is alone in its bin: the one mistake, at .3, the first of equals, is surprising by .3² - .4 · .6 < 0, the others less.
        assert_eq!(evaluation.ece.mean, 0.0);
        assert_eq!(evaluation.per_class[1].precision, 0.5);
        assert_eq!(evaluation.calibration.iter().map(|bin| bin.count).sum::<usize>(), 4);
    }

    #[test]
    fn the_calibration_error_is_without_what_chance_gives() {
        // Five bins of eight, half right at .9: (4 - 7.2)² less 8 · .09 of chance.
        let probabilities = [0.9f32, 0.1].repeat(40);
        let labels: Vec<usize> = (0..40).map(|i| i % 2).collect();
        let ece = evaluate(&probabilities, &labels, 2, 1, "").unwrap().ece;
        assert!((ece.mean - (10.24f64 - 0.72).sqrt() / 8.0).abs() < 1e-6, "{ece:?}");
        // Calibrated answers: nine of ten right.
        let labels: Vec<usize> = (0..40).map(|i| usize::from(i % 10 == 0)).collect();
        assert!(evaluate(&probabilities, &labels, 2, 1, "").unwrap().ece.mean < 0.01);
    }

    #[test]
    fn what_is_no_prediction_is_refused() {
        let fails = |p: &[f32], l: &[usize]| evaluate(p, l, 2, 1, "").unwrap_err().to_string();
        assert!(fails(&[], &[]).contains("belong together"));
        assert!(fails(&[0.5, 0.5], &[2]).contains("not a class"));
        assert!(fails(&[0.5, 0.5, f32::NAN, 0.5], &[0, 1]).contains("row 1"));
        assert!(fails(&[0.5, 0.2], &[0]).contains("row 0"));
    }

    #[test]
    fn a_certain_mistake_costs_a_finite_loss() {
        let evaluation = evaluate(&[1.0, 0.0], &[1], 2, 1, "").unwrap();
        assert!((evaluation.log_loss.mean - 34.538_776_394_910_684).abs() < 1e-9);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn every_interval_holds_its_number(rows in proptest::collection::vec((0.0f32..1.0, 0usize..2), 1..60), seed: u64) {
            let probabilities: Vec<f32> = rows.iter().flat_map(|&(p, _)| [p, 1.0 - p]).collect();
            let labels: Vec<usize> = rows.iter().map(|&(_, label)| label).collect();
            let e = evaluate(&probabilities, &labels, 2, seed, "").unwrap();
            for estimate in [&e.accuracy, &e.macro_f1, &e.log_loss, &e.brier] {
                prop_assert!(estimate.low <= estimate.mean && estimate.mean <= estimate.high);
            }
            prop_assert_eq!(e.calibration.iter().map(|bin| bin.count).sum::<usize>(), labels.len());
        }
    }
}
