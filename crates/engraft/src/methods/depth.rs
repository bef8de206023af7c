//! How deep to retrain: every depth is measured on the same folds and seeds, and has to earn its place.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

use crate::error::Result;
use crate::methods::journal::Journal;
use crate::targets::{Calibrated, FoldOutputs, Target};
use crate::train::Curve;

/// Out-of-fold answers that are enough where a budget pays for no more.
const ENOUGH_ANSWERS: usize = 1000;
/// 97.5 % of a normal distribution lie below.
const Z: f64 = 1.959_963_984_540_054;

/// One depth, measured out of fold.
#[derive(Debug, Clone)]
pub struct Measured {
    /// `head`, `last`, `half`, `all`, or a stage.
    pub depth: String,
    /// The stage after which training begins; nothing where it begins at the input.
    pub(crate) cut: String,
    /// What learns, in words.
    pub(crate) plan: String,
    /// Seeds that it was trained with.
    pub seeds: usize,
    /// Training examples, by their places among these, that it was measured on; ascending.
    pub(crate) rows: Vec<usize>,
    /// How right each of their out-of-fold answers is, the mean over seeds (see [`Calibrated::scores`]).
    pub(crate) scores: Vec<f64>,
    /// Their out-of-fold predictions by the first seed.
    pub calibrated: Calibrated,
    /// MACs of all its trainings, in units of 10^12.
    pub(crate) cost: f64,
    /// Wall seconds.
    pub(crate) seconds: f64,
    /// Learning curve of every training, by name.
    pub(crate) curves: Vec<(String, Curve)>,
    /// Failures and what was done about them.
    pub(crate) remarks: Vec<String>,
}

impl Measured {
    /// The mean score, over examples and seeds: accuracy, mean F1, or R².
    pub fn score(&self) -> f64 {
        mean(&self.scores)
    }

    /// Its scores on some of its examples.
    ///
    /// # Panics
    /// If it was not measured on one of them.
    pub(crate) fn scores_on(&self, rows: &[usize]) -> Vec<f64> {
        rows.iter().map(|at| self.scores[self.rows.binary_search(at).expect("one of its examples")]).collect()
    }

    /// The gain over another that was measured on all of its examples.
    pub(crate) fn gain_over(&self, other: &Self) -> Difference {
        Difference::of(&self.scores, &other.scores_on(&self.rows))
    }

    /// Itself, as it was measured on some of its examples.
    pub(super) fn on(&self, rows: &[usize]) -> Self {
        Self { scores: self.scores_on(rows), rows: rows.to_vec(), ..self.clone() }
    }
}

/// A difference of two depths on the same images, in shares of right answers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The one minus the other.
    pub mean: f64,
    /// Standard error over images.
    pub(crate) standard_error: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Difference {
    /// Of two series over the same images.
    ///
    /// # Panics
    /// If one is longer.
    pub(crate) fn of(one: &[f64], other: &[f64]) -> Self {
        assert_eq!(one.len(), other.len(), "both over the same images");
        let differences: Vec<f64> = one.iter().zip(other).map(|(a, b)| a - b).collect();
        let n = differences.len() as f64;
        let mean = mean(&differences);
        let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        let standard_error = (variance / n).sqrt();
        Self { mean, standard_error, low: mean - Z * standard_error, high: mean + Z * standard_error }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// What is expected of a depth before anything is measured: its gain over the linear probe, as it varies between tasks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prior {
    /// The mean gain, in shares of right answers.
    pub mean: f64,
    /// Its standard deviation between tasks.
    pub deviation: f64,
}

impl Prior {
    /// The probe's own.
    pub const PROBE: Self = Self { mean: 0.0, deviation: 0.0 };

    /// The gain that is expected after scores were measured on the same examples: the mean of the prior and the measurement,
    /// each weighed by its precision (normal-normal model; Gelman et al. 2013, equation 2.10).
    pub(crate) fn expects(self, scores: &[f64], probe: &[f64]) -> f64 {
        if self.deviation <= 0.0 {
            return self.mean;
        }
        let Difference { mean, standard_error, .. } = Difference::of(scores, probe);
        let (own, other) = (self.deviation.powi(-2), variance_of(standard_error, scores.len()).recip());
        (own * self.mean + other * mean) / (own + other)
    }

    /// The probability that what is expected after scores of `all` examples is more than `best`, when those of some were
    /// measured.
    ///
    /// Expectations are a martingale: what will be expected is normal around what is, and its variance is that by which the
    /// gain's own will shrink (the predictive probability of a trial; Spiegelhalter, Freedman and Blackburn 1986). So whatever the
    /// number of looks, of what is given up at a probability below `p` a share of at most `p` would have passed.
    pub(crate) fn chance(self, scores: &[f64], probe: &[f64], all: usize, best: f64) -> f64 {
        let expected = self.expects(scores, probe);
        let measured = variance_of(Difference::of(scores, probe).standard_error, scores.len());
        let after = |variance: f64| (self.deviation.powi(-2) + variance.recip()).recip();
        let shrinks = after(measured) - after(measured * scores.len() as f64 / all.max(1) as f64);
        let ahead = expected - best;
        // Also where nothing can be expected or nothing is missing, and the answer is known.
        if shrinks.is_nan() || shrinks <= 0.0 {
            return f64::from(u8::from(ahead > 0.0));
        }
        Normal::standard().cdf(ahead / shrinks.sqrt())
    }
}

/// The variance of a mean difference of so many examples. Of few all may be answered alike, which does not make the difference
/// certain: one more that is not.
fn variance_of(standard_error: f64, examples: usize) -> f64 {
    let n = examples.max(1) as f64;
    standard_error.powi(2) + (n * n).recip()
}

/// Which of several depths that were measured on the same examples, the probe first, is expected to gain most; of equals the
/// shallower. Of few examples the priors decide, of many the measurements.
///
/// # Panics
/// If there is not a prior for each.
pub fn choose(measured: &[Measured], priors: &[Prior]) -> usize {
    assert_eq!(measured.len(), priors.len(), "a prior for each depth");
    let expected = |at: usize| priors[at].expects(&measured[at].scores, &measured[0].scores);
    (1..measured.len()).fold(0, |best, at| if expected(at) > expected(best) { at } else { best })
}

/// What one fold's training gave.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FoldOutcome {
    /// Logits of the examples that were held out, `[held, classes]`.
    pub(crate) logits: Vec<f32>,
    /// Its learning curve.
    pub(crate) curve: Curve,
    /// Failures and what was done about them.
    pub(crate) remarks: Vec<String>,
}

/// The folds and seeds that every depth is measured on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Protocol<'a> {
    /// Fold of every image.
    pub(crate) folds: &'a [usize],
    /// Group of every image: one group is never both trained on and held out.
    pub(crate) groups: &'a [usize],
    /// Number of folds.
    pub(crate) count: usize,
    /// How many of them are run at most.
    pub(crate) run: usize,
    /// Seeds that every depth is trained with.
    pub(crate) seeds: usize,
}

/// One training of a depth that is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fold<'a> {
    /// What to train on, ascending.
    pub(crate) training: &'a [usize],
    /// What to answer, ascending.
    pub(crate) held: &'a [usize],
    /// Seed of everything that is drawn.
    pub(crate) seed: u64,
    /// What the training is kept under, in the journal.
    pub(crate) identity: &'a str,
    /// Name of its curve.
    pub(crate) curve: &'a str,
}

/// The fewest of the first `run` folds that hold enough examples to measure on; all where they do not.
pub(crate) fn enough_folds(folds: &[usize], run: usize) -> usize {
    let answered = |first: usize| folds.iter().filter(|&&fold| fold < first).count();
    (1..=run).find(|&first| answered(first) >= ENOUGH_ANSWERS).unwrap_or(run)
}

/// The trainings of one depth that are done, by seed and fold.
#[derive(Debug, Default)]
pub(crate) struct Trainings {
    done: BTreeMap<(usize, usize), FoldOutcome>,
    seconds: f64,
}

impl Trainings {
    /// How many of the first folds with the first seeds are done.
    pub(crate) fn count(&self, folds: usize, seeds: usize) -> usize {
        self.done.keys().filter(|(round, fold)| *round < seeds && *fold < folds).count()
    }
}

/// Whether a depth with these scores on the examples of the first folds, given by their places, is not worth the others.
pub(crate) type GivesUp<'a> = dyn Fn(&[usize], &[f64]) -> bool + 'a;

/// Has `run` train what is missing of `protocol.seeds` times the first `run_folds` folds, and compares the answers with the
/// labels. `seed` is that of the first training. Between the folds of one seed alone `gives_up` is asked whether they are all.
///
/// # Errors
/// What `run` gives; outputs that do not fit the labels.
#[allow(clippy::too_many_arguments)]
pub(crate) fn measure_folds(
    depth: &str,
    target: &dyn Target,
    protocol: Protocol<'_>,
    run_folds: usize,
    seed: u64,
    (journal, identity): (&Journal, &str),
    trainings: &mut Trainings,
    gives_up: &GivesUp<'_>,
    run: &mut dyn FnMut(Fold<'_>) -> Result<FoldOutcome>,
) -> Result<Measured> {
    let start = std::time::Instant::now();
    let n = target.len();
    let (mut curves, mut remarks) = (Vec::new(), Vec::new());
    let mut first: Option<Calibrated> = None;
    let mut scores: Vec<f64> = Vec::new();
    let mut run_folds = run_folds;
    let rows_of = |folds: usize| (0..n).filter(|&at| protocol.folds[at] < folds).collect::<Vec<usize>>();
    for round in 0..protocol.seeds {
        let mut parts: Vec<FoldOutputs> = Vec::new();
        for fold in 0..run_folds {
            let (held, training): (Vec<usize>, Vec<usize>) = (0..n).partition(|&at| protocol.folds[at] == fold);
            let seed = seed.wrapping_add((round * protocol.count + fold) as u64);
            let name = format!("{depth}/seed{round}/fold{fold}");
            let (identity, curve) = (format!("{identity}/{name}"), format!("tune/{name}"));
            let outcome = match trainings.done.entry((round, fold)) {
                Entry::Occupied(done) => done.into_mut(),
                Entry::Vacant(missing) => missing.insert(match journal.finished(&identity) {
                    Some(outcome) => outcome,
                    None => {
                        let fold = Fold { training: &training, held: &held, seed, identity: &identity, curve: &curve };
                        let outcome = run(fold)?;
                        journal.finish(&identity, &outcome)?;
                        outcome
                    }
                }),
            };
            curves.push((curve, outcome.curve.clone()));
            remarks.extend(outcome.remarks.iter().map(|remark| format!("{name}: {remark}")));
            parts.push((held, outcome.logits.clone()));
            let done = fold + 1;
            let is_next_missing = done < run_folds && !trainings.done.contains_key(&(round, done));
            if protocol.seeds == 1 && is_next_missing && gives_up(&rows_of(done), &target.calibrate(&parts)?.scores) {
                run_folds = done;
                break;
            }
        }
        let calibrated = target.calibrate(&parts)?;
        scores.resize(calibrated.scores.len(), 0.0);
        scores.iter_mut().zip(&calibrated.scores).for_each(|(sum, score)| *sum += score);
        first.get_or_insert(calibrated);
    }
    let calibrated = first.expect("there is at least one seed");
    trainings.seconds += start.elapsed().as_secs_f64();
    Ok(Measured {
        depth: depth.to_owned(),
        cut: String::new(),
        plan: String::new(),
        seeds: protocol.seeds,
        rows: rows_of(run_folds),
        scores: scores.into_iter().map(|sum| sum / protocol.seeds as f64).collect(),
        calibrated,
        cost: 0.0,
        seconds: trainings.seconds,
        curves,
        remarks,
    })
}

/// A seventh of the images of each class, to choose weights by, and the rest. Images of one group stay together.
pub(crate) fn hold_out(training: &[usize], labels: &[usize], groups: &[usize], seed: u64) -> (Vec<usize>, Vec<usize>) {
    let order = crate::rng::permutation(training.len(), seed, "hold-out", 0);
    let mut seen = BTreeMap::<usize, usize>::new();
    let mut of_group = BTreeMap::<usize, bool>::new();
    let (mut kept, mut held) = (Vec::new(), Vec::new());
    for at in order {
        let image = training[at];
        let is_held = *of_group.entry(groups[image]).or_insert_with(|| {
            let count = seen.entry(labels[image]).or_default();
            *count += 1;
            *count % 7 == 2
        });
        if is_held { held.push(image) } else { kept.push(image) }
    }
    kept.sort_unstable();
    held.sort_unstable();
    (kept, held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::{Calibration, Predictions};

    fn measured(depth: &str, scores: Vec<f64>) -> Measured {
        Measured {
            depth: depth.into(),
            cut: String::new(),
            plan: String::new(),
            seeds: 2,
            rows: (0..scores.len()).collect(),
            calibrated: Calibrated {
                predictions: Predictions::Classes(Vec::new()),
                calibration: Calibration::LabelSets { temperature: 1.0, thresholds: Vec::new() },
                scores: Vec::new(),
            },
            scores,
            cost: 0.0,
            seconds: 0.0,
            curves: Vec::new(),
            remarks: Vec::new(),
        }
    }

    fn right(count: usize, of: usize) -> Vec<f64> {
        (0..of).map(|at| f64::from(u8::from(at < count))).collect()
    }

    #[test]
    fn what_is_expected_decides_of_few_examples_and_what_was_measured_of_many() {
        let priors = [Prior::PROBE, Prior { mean: 0.02, deviation: 0.03 }];
        let choice = |gain: isize, of: usize| {
            let head = of * 8 / 10;
            let other = (head as isize + gain) as usize;
            choose(&[measured("head", right(head, of)), measured("half", right(other, of))], &priors)
        };
        // The same answers, and one fewer of forty: what is expected outweighs that.
        assert_eq!((choice(0, 40), choice(-1, 40)), (1, 1));
        // Three of a hundred fewer, and thirty of a thousand.
        assert_eq!((choice(-4, 100), choice(-30, 1000), choice(10, 1000)), (0, 0, 1));
    }

    #[test]
    fn the_expected_gain_is_the_mean_weighed_by_precisions() {
        let prior = Prior { mean: 0.02, deviation: 0.03 };
        // 10 gained, 5 lost of 100.
        let (one, other) = (right(60, 100), (0..100).map(|at| f64::from(u8::from((10..65).contains(&at)))));
        let measured = (0.15 - 0.05 * 0.05) / 99.0 + 1e-4;
        let weight = measured / (measured + 0.0009);
        let expected = weight * 0.02 + (1.0 - weight) * 0.05;
        assert!((prior.expects(&one, &other.collect::<Vec<_>>()) - expected).abs() < 1e-12);
        assert_eq!(Prior::PROBE.expects(&one, &one), 0.0);
    }

    /// Tasks drawn from the prior, in parts: of those that are given up as few as is said would have been taken.
    #[test]
    fn the_chance_that_a_measurement_will_pass_is_how_often_it_does() {
        use rand::RngExt;
        let prior = Prior { mean: 0.015, deviation: 0.03 };
        let mut stream = crate::rng::rng(1, "chances", 0);
        let mut normal = || {
            let (radius, angle): (f64, f64) = (1.0 - stream.random::<f64>(), stream.random());
            (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
        };
        // The mean of the chances, how often it passed, and how many, for chances below and above a half.
        let mut told = [[0.0f64; 3]; 2];
        for _ in 0..4000 {
            let gain = prior.mean + prior.deviation * normal();
            let scores: Vec<f64> = (0..200).map(|_| gain + 0.3 * normal()).collect();
            let probe = vec![0.0; scores.len()];
            let chance = prior.chance(&scores[..80], &probe[..80], scores.len(), 0.01);
            let passed = prior.expects(&scores, &probe) > 0.01;
            let of = &mut told[usize::from(chance > 0.5)];
            of.iter_mut().zip([chance, f64::from(u8::from(passed)), 1.0]).for_each(|(sum, one)| *sum += one);
        }
        for [chance, passed, count] in told {
            assert!(count > 400.0 && (chance - passed).abs() / count < 0.03, "{chance} {passed} {count}");
        }
        let (scores, probe) = ([1.0, 0.0, 1.0], [0.0; 3]);
        let expected = prior.expects(&scores, &probe);
        assert_eq!(prior.chance(&scores, &probe, 3, expected - 1e-9), 1.0, "all is measured");
        assert_eq!(prior.chance(&scores, &probe, 3, expected + 1e-9), 0.0);
        assert_eq!(Prior::PROBE.chance(&scores, &probe, 9, 0.01), 0.0, "nothing can be expected");
    }

    #[test]
    fn differences_are_paired() {
        // 10 gained, 5 lost of 100.
        let one: Vec<f64> = (0..100).map(|at| f64::from(u8::from(at < 60))).collect();
        let other: Vec<f64> = (0..100).map(|at| f64::from(u8::from((10..65).contains(&at)))).collect();
        let difference = Difference::of(&one, &other);
        assert!((difference.mean - 0.05).abs() < 1e-12);
        let variance = (0.15 - 0.05 * 0.05) * 100.0 / 99.0;
        assert!((difference.standard_error - f64::sqrt(variance / 100.0)).abs() < 1e-12);
    }

    #[test]
    fn what_is_held_out_has_every_class_and_is_none_of_the_rest() {
        let labels: Vec<usize> = (0..60).map(|at| at % 3).collect();
        let training: Vec<usize> = (0..60).collect();
        let (kept, held) = hold_out(&training, &labels, &(0..labels.len()).collect::<Vec<_>>(), 1);
        assert_eq!(kept.len() + held.len(), 60);
        assert!(held.iter().all(|at| !kept.contains(at)));
        for class in 0..3 {
            assert_eq!(held.iter().filter(|&&at| labels[at] == class).count(), 3);
        }
        let groups: Vec<usize> = (0..60).map(|at| at / 4).collect();
        let (kept, held) = hold_out(&training, &labels, &groups, 1);
        assert!(kept.len() + held.len() == 60 && held.len() >= 4);
        assert!(held.iter().all(|at| kept.iter().all(|other| groups[*at] != groups[*other])));
    }
}
