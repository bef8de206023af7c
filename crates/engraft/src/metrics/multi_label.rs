//! Metrics of labels that are each given or not, with their intervals.

use serde::{Deserialize, Serialize};

use super::classification::{Bins, CalibrationBin, LOG_LOSS_FLOOR};
use super::interval::{Estimate, Paired, Point, Share, bootstrap, paired_gain, resampled, wilson};
use crate::error::{Error, Problem, Result};

/// How one label fares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelMetrics {
    /// The label.
    pub label: usize,
    /// Of the examples it was given to, how many have it.
    pub precision: Share,
    /// Of the examples that have it, to how many it was given.
    pub recall: Share,
    /// Harmonic mean of the two, `2 tp / (2 tp + fp + fn)`; 0 when the label never occurs.
    pub f1: f64,
    /// Average precision over all thresholds; none when no example has the label.
    pub average_precision: Option<f64>,
    /// Number of examples that have it.
    pub support: usize,
}

/// What there is to say about answers of several labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MultiLabelEvaluation {
    /// Mean average precision: `sum_k (recall_k - recall_{k-1}) precision_k` over falling thresholds (as scikit-learn's
    /// `average_precision_score`), mean over the labels that any example has. It needs no thresholds.
    pub map: Estimate,
    /// What an order by chance would get: the mean share of examples that have a label.
    pub chance_map: f64,
    /// Mean F1 over the labels that occur as truth or as answer.
    pub macro_f1: Estimate,
    /// F1 of all answers (examples and labels) taken together.
    pub micro_f1: Estimate,
    /// Share of examples whose whole set of labels is right, with Wilson's interval.
    pub subset_accuracy: Estimate,
    /// Share of wrong answers among all examples and labels.
    pub hamming_loss: Estimate,
    /// Share of pairs of a label that an example has and one that it lacks which are ordered wrongly, mean over examples
    /// (as scikit-learn's `label_ranking_loss`).
    pub ranking_loss: Estimate,
    /// Mean `-ln` of the probability of what is so, in nats, over all examples and labels.
    pub log_loss: Estimate,
    /// Expected calibration error of the probabilities of all labels, less what chance alone would give.
    pub ece: Point,
    /// One entry per label.
    pub per_label: Vec<LabelMetrics>,
    /// `mistaken[a][b]` counts the examples from which `a` is missing and to which `b` was given wrongly; on the diagonal,
    /// those from which `a` is missing and nothing was given wrongly.
    pub mistaken: Vec<Vec<usize>>,
    /// The calibration curve of all labels' probabilities, ascending; empty bins are left out.
    pub calibration: Vec<CalibrationBin>,
}

/// Probabilities, answers and truth that fit together: checked once, used by every measure.
#[derive(Debug, Clone, Copy)]
pub struct LabelPredictions<'a> {
    probabilities: &'a [f32],
    given: &'a [bool],
    truth: &'a [bool],
    labels: usize,
}

impl<'a> LabelPredictions<'a> {
    /// Checks probabilities, answers and truth, each `[n, labels]`, `n > 0`.
    pub fn new(probabilities: &'a [f32], given: &'a [bool], truth: &'a [bool], labels: usize) -> Result<Self> {
        let fits = labels > 0 && !truth.is_empty() && truth.len().is_multiple_of(labels);
        if !fits || probabilities.len() != truth.len() || given.len() != truth.len() {
            return Err(Error::Data(
                Problem::new("answers and labels do not belong together")
                    .expected(format!("{labels} probabilities, answers and labels for each of at least one example"))
                    .found(format!("{}, {} and {}", probabilities.len(), given.len(), truth.len())),
            ));
        }
        if let Some(at) = probabilities.iter().position(|p| !(0.0..=1.0).contains(p)) {
            return Err(Error::Data(
                Problem::new("a probability is none").expected("numbers from 0 to 1").found(format!(
                    "{} in row {} (counted from 0)",
                    probabilities[at],
                    at / labels
                )),
            ));
        }
        Ok(Self { probabilities, given, truth, labels })
    }

    /// Number of examples.
    pub(crate) fn examples(&self) -> usize {
        self.truth.len() / self.labels
    }

    /// Wrong answers of each example.
    pub(crate) fn wrong(&self) -> Vec<usize> {
        let wrong = |(given, truth): (&[bool], &[bool])| given.iter().zip(truth).filter(|(a, b)| a != b).count();
        self.given.chunks_exact(self.labels).zip(self.truth.chunks_exact(self.labels)).map(wrong).collect()
    }

    /// Share of wrongly ordered pairs of labels, per example; 0 where it has all labels or none.
    fn ranking_losses(&self) -> Vec<f64> {
        let loss = |(scores, truth): (&[f32], &[bool])| {
            let (mut wrong, mut pairs) = (0usize, 0usize);
            for (own, _) in scores.iter().zip(truth).filter(|(_, has)| **has) {
                for (other, _) in scores.iter().zip(truth).filter(|(_, has)| !**has) {
                    pairs += 1;
                    wrong += usize::from(own <= other);
                }
            }
            if pairs == 0 { 0.0 } else { wrong as f64 / pairs as f64 }
        };
        self.probabilities.chunks_exact(self.labels).zip(self.truth.chunks_exact(self.labels)).map(loss).collect()
    }

    /// Mean log-loss of an example's answers.
    fn log_losses(&self) -> Vec<f64> {
        let one = |(&p, &has): (&f32, &bool)| {
            let p = f64::from(p);
            -(if has { p } else { 1.0 - p }).clamp(LOG_LOSS_FLOOR, 1.0).ln()
        };
        let loss = |(p, truth): (&[f32], &[bool])| p.iter().zip(truth).map(one).sum::<f64>() / self.labels as f64;
        self.probabilities.chunks_exact(self.labels).zip(self.truth.chunks_exact(self.labels)).map(loss).collect()
    }
}

/// Evaluates probabilities and answers against truth. `how` says where they come from; each estimate adds its kind of
/// interval: Wilson's for shares of examples, else the bootstrap over examples, all measures on the same resamples.
pub fn evaluate_labels(predictions: &LabelPredictions, seed: u64, how: &str) -> MultiLabelEvaluation {
    let (n, labels) = (predictions.examples(), predictions.labels);
    let work = Work::new(predictions);
    let measured = work.statistics(&vec![1; n]);
    let intervals = bootstrap(n, seed, &measured, |counts| work.statistics(counts));
    let boot = resampled(how, n);
    let estimate =
        |m: usize, how: String| Estimate { mean: measured[m], low: intervals[m].0, high: intervals[m].1, n, how };
    let whole = work.wrong.iter().filter(|&&wrong| wrong == 0).count();
    let (low, high) = wilson(whole, n);
    let per_label: Vec<LabelMetrics> = (0..labels).map(|label| work.label(label)).collect();
    let present: Vec<&LabelMetrics> = per_label.iter().filter(|label| label.support > 0).collect();
    let share = |label: &&LabelMetrics| label.support as f64 / n as f64;
    MultiLabelEvaluation {
        map: estimate(0, boot.clone()),
        chance_map: present.iter().map(share).sum::<f64>() / present.len().max(1) as f64,
        macro_f1: estimate(1, boot.clone()),
        micro_f1: estimate(2, boot.clone()),
        subset_accuracy: Estimate {
            mean: whole as f64 / n as f64,
            low,
            high,
            n,
            how: format!("{how}; Wilson interval, 95 %"),
        },
        hamming_loss: estimate(3, boot.clone()),
        ranking_loss: estimate(4, boot.clone()),
        log_loss: estimate(5, boot.clone()),
        ece: work.binned(Bins::for_error(n * labels)).point(n, how),
        per_label,
        mistaken: work.mistaken(),
        calibration: work.binned(Bins::for_curve(n * labels)).curve(),
    }
}

/// The gain in mean average precision of one set of probabilities over another, `[n, labels]` each, on the same
/// examples: bootstrapped in pairs.
pub(crate) fn paired_map(candidate: &LabelPredictions, reference: &LabelPredictions, seed: u64) -> Result<Paired> {
    if candidate.labels != reference.labels || candidate.truth != reference.truth {
        return Err(Error::Data(
            Problem::new("two results can be compared on the same examples only")
                .expected("the same labels of the same examples"),
        ));
    }
    let (ours, theirs) = (Work::new(candidate), Work::new(reference));
    let what = "mean average precision, candidate minus reference";
    paired_gain(candidate.examples(), seed, what, |counts| ours.map(counts) - theirs.map(counts))
}

/// What every resample needs, worked out once.
struct Work<'a> {
    predictions: LabelPredictions<'a>,
    /// Of each label the examples by falling probability.
    orders: Vec<Vec<u32>>,
    /// All answers by rising probability.
    pooled: Vec<u32>,
    wrong: Vec<usize>,
    ranking_losses: Vec<f64>,
    log_losses: Vec<f64>,
}

impl<'a> Work<'a> {
    fn new(predictions: &LabelPredictions<'a>) -> Self {
        let (p, labels) = (predictions.probabilities, predictions.labels);
        let orders = (0..labels)
            .map(|label| {
                let score = |i: u32| p[i as usize * labels + label];
                let mut order: Vec<u32> = (0..predictions.examples() as u32).collect();
                order.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
                order
            })
            .collect();
        let mut pooled: Vec<u32> = (0..p.len() as u32).collect();
        pooled.sort_by(|&a, &b| p[a as usize].total_cmp(&p[b as usize]));
        Self {
            predictions: *predictions,
            orders,
            pooled,
            wrong: predictions.wrong(),
            ranking_losses: predictions.ranking_losses(),
            log_losses: predictions.log_losses(),
        }
    }

    /// mAP, macro-F1, micro-F1, Hamming loss, ranking loss, log-loss and ECE of a resample, in which example `i` occurs
    /// `counts[i]` times.
    fn statistics(&self, counts: &[u32]) -> [f64; 6] {
        let LabelPredictions { given, truth, labels, .. } = self.predictions;
        let (mut hits, mut occurrences) = (vec![0u64; labels], vec![0u64; labels]);
        for (i, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            for label in 0..labels {
                let (given, has) = (given[i * labels + label], truth[i * labels + label]);
                hits[label] += u64::from(count) * u64::from(given && has);
                occurrences[label] += u64::from(count) * (u64::from(given) + u64::from(has));
            }
        }
        let f1 = |hits: u64, occurrences: u64| 2.0 * hits as f64 / occurrences as f64;
        let present: Vec<usize> = (0..labels).filter(|&label| occurrences[label] > 0).collect();
        let macro_f1 = present.iter().map(|&label| f1(hits[label], occurrences[label])).sum::<f64>();
        let all: u64 = occurrences.iter().sum();
        let micro_f1 = if all == 0 { 0.0 } else { f1(hits.iter().sum(), all) };
        let n = counts.len() as f64;
        let mean = |values: &[f64]| values.iter().zip(counts).map(|(v, &c)| f64::from(c) * v).sum::<f64>() / n;
        let wrong: f64 = self.wrong.iter().zip(counts).map(|(&wrong, &c)| f64::from(c) * wrong as f64).sum();
        [
            self.map(counts),
            macro_f1 / present.len().max(1) as f64,
            micro_f1,
            wrong / (n * labels as f64),
            mean(&self.ranking_losses),
            mean(&self.log_losses),
        ]
    }

    fn map(&self, counts: &[u32]) -> f64 {
        let known: Vec<f64> =
            (0..self.predictions.labels).filter_map(|label| self.average_precision(label, counts)).collect();
        known.iter().sum::<f64>() / known.len().max(1) as f64
    }

    /// Average precision of a label in a resample; examples of one probability come together.
    fn average_precision(&self, label: usize, counts: &[u32]) -> Option<f64> {
        let LabelPredictions { probabilities, truth, labels, .. } = self.predictions;
        let at = |i: u32| i as usize * labels + label;
        let (mut hits, mut seen, mut sum) = (0u64, 0u64, 0.0);
        let same = |a: &u32, b: &u32| probabilities[at(*a)] == probabilities[at(*b)];
        for equal in self.orders[label].chunk_by(same) {
            let mut more = 0;
            for &i in equal {
                let count = u64::from(counts[i as usize]);
                seen += count;
                more += count * u64::from(truth[at(i)]);
            }
            hits += more;
            if more > 0 {
                sum += more as f64 * hits as f64 / seen as f64;
            }
        }
        (hits > 0).then(|| sum / hits as f64)
    }

    fn binned(&self, mut bins: Bins) -> Bins {
        let LabelPredictions { probabilities, truth, .. } = self.predictions;
        for &at in &self.pooled {
            bins.add(f64::from(probabilities[at as usize]), truth[at as usize]);
        }
        bins
    }

    fn label(&self, label: usize) -> LabelMetrics {
        let LabelPredictions { given, truth, labels, .. } = self.predictions;
        let of = || (label..truth.len()).step_by(labels);
        let hits = of().filter(|&at| given[at] && truth[at]).count();
        let (answered, support) = (of().filter(|&at| given[at]).count(), of().filter(|&at| truth[at]).count());
        LabelMetrics {
            label,
            precision: Share::of(hits, answered),
            recall: Share::of(hits, support),
            f1: if answered + support == 0 { 0.0 } else { 2.0 * hits as f64 / (answered + support) as f64 },
            average_precision: self.average_precision(label, &vec![1; self.wrong.len()]),
            support,
        }
    }

    fn mistaken(&self) -> Vec<Vec<usize>> {
        let LabelPredictions { given, truth, labels, .. } = self.predictions;
        let mut mistaken = vec![vec![0; labels]; labels];
        for (given, truth) in given.chunks_exact(labels).zip(truth.chunks_exact(labels)) {
            let wrongly: Vec<usize> = (0..labels).filter(|&label| given[label] && !truth[label]).collect();
            for missing in (0..labels).filter(|&label| truth[label] && !given[label]) {
                match wrongly.as_slice() {
                    [] => mistaken[missing][missing] += 1,
                    wrongly => wrongly.iter().for_each(|&other| mistaken[missing][other] += 1),
                }
            }
        }
        mistaken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRUTH: [bool; 8] = [true, false, true, true, false, true, false, false];
    const GIVEN: [bool; 8] = [true, false, false, true, true, false, false, false];
    const PROBABILITIES: [f32; 8] = [0.9, 0.1, 0.4, 0.8, 0.7, 0.3, 0.2, 0.2];

    #[test]
    fn numbers_by_hand() {
        let predictions = LabelPredictions::new(&PROBABILITIES, &GIVEN, &TRUTH, 2).unwrap();
        let e = evaluate_labels(&predictions, 1, "by hand");
        // Label 0: 0.9 right, 0.7 wrong, 0.4 right: (1 + 2/3) / 2. Label 1: 0.8 right, 0.3 right.
        assert!((e.map.mean - ((1.0 + 2.0 / 3.0) / 2.0 + 1.0) / 2.0).abs() < 1e-12, "{}", e.map.mean);
        assert_eq!(e.chance_map, 0.5);
        // Label 0: one hit of two given and two there; label 1: one of one and two.
        assert!((e.macro_f1.mean - (0.5 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
        assert!((e.micro_f1.mean - 4.0 / 7.0).abs() < 1e-12);
        assert_eq!((e.subset_accuracy.mean, e.hamming_loss.mean), (0.5, 3.0 / 8.0));
        // Only the third example has a label below one that it lacks; the second has all, the last none.
        assert_eq!(e.ranking_loss.mean, 0.25);
        // The second example lacks label 0 alone; the third lacks label 1 and was given 0.
        assert_eq!(e.mistaken, [[1, 0], [1, 0]]);
        assert_eq!((e.per_label[0].support, e.per_label[0].precision.share), (2, 0.5));
        assert_eq!(e.calibration.iter().map(|bin| bin.count).sum::<usize>(), 8);
    }

    #[test]
    fn better_probabilities_win_the_pair() {
        let n = 200;
        let truth: Vec<bool> = (0..n * 2).map(|i| i * i % 5 < 2).collect();
        let good: Vec<f32> =
            truth.iter().enumerate().map(|(i, &t)| if t { 0.6 } else { 0.3 } + (i % 3) as f32 * 0.1).collect();
        let poor: Vec<f32> = (0..n * 2).map(|i| (i * 37 % 11) as f32 / 11.0).collect();
        let ours = LabelPredictions::new(&good, &truth, &truth, 2).unwrap();
        let theirs = LabelPredictions::new(&poor, &truth, &truth, 2).unwrap();
        assert_eq!(paired_map(&ours, &theirs, 1).unwrap().verdict, "positive transfer");
        assert_eq!(paired_map(&theirs, &ours, 1).unwrap().verdict, "negative transfer");
        assert_eq!(paired_map(&ours, &ours, 1).unwrap().difference, 0.0);
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        assert!(LabelPredictions::new(&[0.5; 4], &[true; 4], &[true; 3], 2).is_err());
        assert!(LabelPredictions::new(&[], &[], &[], 2).is_err());
        let problem = LabelPredictions::new(&[0.5, 0.5, f32::NAN, 0.1], &[true; 4], &[true; 4], 2).unwrap_err();
        assert!(problem.to_string().contains("row 1"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn every_interval_holds_its_number(rows in proptest::collection::vec(any::<[(u8, bool, bool); 3]>(), 1..30), seed: u64) {
            let cells: Vec<(u8, bool, bool)> = rows.into_iter().flatten().collect();
            let p: Vec<f32> = cells.iter().map(|cell| f32::from(cell.0) / 255.0).collect();
            let given: Vec<bool> = cells.iter().map(|cell| cell.1).collect();
            let truth: Vec<bool> = cells.iter().map(|cell| cell.2).collect();
            let e = evaluate_labels(&LabelPredictions::new(&p, &given, &truth, 3).unwrap(), seed, "");
            for estimate in
                [&e.map, &e.macro_f1, &e.micro_f1, &e.subset_accuracy, &e.hamming_loss, &e.ranking_loss, &e.log_loss]
            {
                prop_assert!(estimate.low <= estimate.mean && estimate.mean <= estimate.high, "{estimate:?}");
            }
        }
    }
}
