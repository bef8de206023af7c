//! What learning curves say, in words.
//!
//! Curves are noisy, most of all on small data, so that single epochs prove nothing: running medians are compared, and a
//! difference counts when it is large against both the noise of the curve and the loss itself.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::train::curve::{EpochRecord, Score};

/// Fewer epochs than these say little.
const FEWEST: usize = 4;
/// A rise or fall below this share of the loss is called none, whatever the noise.
const SMALL_SHARE: f64 = 0.05;
/// Nor is one of less than this, in nats.
const SMALL: f64 = 0.01;
/// A rise or fall counts from this many standard errors of a running median. The lowest of many medians is chosen, and
/// lies below the rest by some of them.
const ERRORS: f64 = 5.0;
/// Right answers below which a network that no longer learns has learned too little.
const TOO_FEW_RIGHT: f64 = 0.7;
/// More right answers in training than on what is held out: learned by heart.
const LARGE_GAP: f64 = 0.15;

/// One thing that a learning curve says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Finding {
    /// Training has blown up.
    Diverged {
        /// The epoch after which the loss rose, or at which it was not a number.
        since: u64,
        /// Training loss in that epoch; not a number where it was none.
        lowest: f64,
        /// Training loss at the end.
        last: f64,
    },
    /// The training loss jumps.
    RateTooHigh {
        /// How often it rose by much from one epoch to the next.
        jumps: usize,
        /// The largest such rise.
        largest: f64,
    },
    /// The loss on what is held out rises while the one of training does not.
    OverFitting {
        /// The epoch of the lowest loss on what is held out.
        since: u64,
        /// That loss.
        lowest: f64,
        /// Where it has risen to.
        last: f64,
        /// Whether there are fewer right answers than there were: otherwise it is only too sure of wrong ones.
        accuracy_fell: bool,
    },
    /// Not even the training examples are learned.
    UnderFitting {
        /// Training loss of the first epoch.
        first: f64,
        /// Training loss at the end.
        last: f64,
        /// Share of right answers at the end, the better of training's and of what is held out.
        accuracy: f64,
    },
    /// Far more right answers in training than on what is held out.
    Gap {
        /// Right answers in training, at the end.
        train: f64,
        /// Right answers on what is held out, at the end.
        validation: f64,
    },
    /// The loss was falling when training ended.
    StillImproving {
        /// Over how many of the last epochs this was seen.
        epochs: u64,
        /// Loss at their beginning: on what is held out, or of training where nothing is.
        from: f64,
        /// Loss at the end.
        to: f64,
    },
    /// The loss has not changed in half of all epochs or more.
    Plateau {
        /// The first epoch of these.
        since: u64,
        /// The loss.
        loss: f64,
    },
    /// Nothing was held out, so over-fitting cannot be seen.
    Unwatched,
    /// Too few epochs to say more.
    TooShort {
        /// How many there are.
        epochs: usize,
    },
    /// The loss fell, and nothing looks wrong.
    Fine {
        /// Loss of the first epoch: on what is held out, or of training where nothing is.
        first: f64,
        /// Loss at the end.
        last: f64,
    },
}

impl Finding {
    /// Whether something should be changed.
    #[cfg(test)]
    pub(crate) fn is_problem(&self) -> bool {
        use Finding::{Diverged, Gap, OverFitting, RateTooHigh, UnderFitting};
        matches!(self, Diverged { .. } | RateTooHigh { .. } | OverFitting { .. } | UnderFitting { .. } | Gap { .. })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Diverged { since, lowest, .. } if !lowest.is_finite() => {
                write!(
                    f,
                    "training broke down in epoch {since}: the loss is not a number; a lower learning rate may help"
                )
            }
            Self::Diverged { since, lowest, last } => write!(
                f,
                "training broke down after epoch {since}: the training loss has risen from {} to {}; a lower learning \
                 rate may help",
                loss(lowest),
                loss(last)
            ),
            Self::RateTooHigh { jumps, largest } => write!(
                f,
                "the learning rate looks too high: the training loss jumped up {jumps} times, by as much as {}, instead \
                 of falling steadily",
                loss(largest)
            ),
            Self::OverFitting { since, lowest, last, accuracy_fell } => {
                write!(
                    f,
                    "over-fitting since epoch {since}: the training loss still falls, the validation loss has risen from \
                     {} to {}",
                    loss(lowest),
                    loss(last)
                )?;
                if accuracy_fell {
                    f.write_str("; stopping earlier, more labels or fewer trained stages may help")
                } else {
                    f.write_str("; as many answers are right as before, but it is too sure of the wrong ones")
                }
            }
            Self::UnderFitting { first, last, accuracy } => write!(
                f,
                "under-fitting: the training loss fell only from {} to {} and {} of the answers are right; another \
                 learning rate, more epochs or more trained stages may help",
                loss(first),
                loss(last),
                percent(accuracy)
            ),
            Self::Gap { train, validation } => write!(
                f,
                "partly learned by heart: {} right in training, {} on what was held out; more labels or stronger \
                 augmentation may help",
                percent(train),
                percent(validation)
            ),
            Self::StillImproving { epochs, from, to } => write!(
                f,
                "still improving when training ended: the loss fell from {} to {} in the last {epochs} epochs; more \
                 epochs may help",
                loss(from),
                loss(to)
            ),
            Self::Plateau { since, loss: level } => {
                write!(f, "hardly any change since epoch {since} (loss {}): fewer epochs would have done", loss(level))
            }
            Self::Unwatched => f.write_str("nothing was held out, so over-fitting could not be seen"),
            Self::TooShort { epochs } => {
                write!(f, "{epochs} {} too few to say more", if epochs == 1 { "epoch is" } else { "epochs are" })
            }
            Self::Fine { first, last } => {
                let way = if last < first { "fell" } else { "went" };
                write!(
                    f,
                    "learned well: the loss {way} from {} to {}, and nothing looks wrong",
                    loss(first),
                    loss(last)
                )
            }
        }
    }
}

/// What a learning curve says: the worst first, at least one finding unless there is no epoch.
///
/// Curves of several folds are joined first, by [`mean_of_folds`].
pub(crate) fn diagnose(epochs: &[EpochRecord]) -> Vec<Finding> {
    let Some(end) = epochs.last() else { return Vec::new() };
    let last = end.train.loss;
    // What came after a loss that is not a number means nothing.
    let broken = epochs.iter().find(|record| !record.train.loss.is_finite());
    if let Some(record) = broken {
        return vec![Finding::Diverged { since: record.epoch, lowest: record.train.loss, last }];
    }
    if epochs.len() < FEWEST {
        return vec![Finding::TooShort { epochs: epochs.len() }];
    }
    let train = Series::new(epochs.iter().map(|record| (record.epoch, record.train.loss)));
    if let Some(finding) = diverged(&train) {
        return vec![finding];
    }
    let watched = |of: fn(Score) -> f64| {
        let scores = epochs.iter().filter_map(|record| Some((record.epoch, of(record.validation?))));
        Some(Series::new(scores.filter(|(_, value)| value.is_finite()))).filter(|series| series.values.len() >= FEWEST)
    };
    let validation = watched(|score| score.loss);
    let accuracy = watched(|score| score.accuracy);
    let train_accuracy = Series::new(epochs.iter().map(|record| (record.epoch, record.train.accuracy)));

    let mut findings: Vec<Finding> = rate_too_high(&train).into_iter().collect();
    let over = validation.as_ref().and_then(|validation| over_fitting(&train, validation, accuracy.as_ref()));
    let main = validation.as_ref().unwrap_or(&train);
    let best_accuracy = accuracy.as_ref().map_or(0.0, Series::end).max(train_accuracy.end());
    if over.is_some() {
        findings.extend(over);
    } else if let Some(finding) = under_fitting(&train, best_accuracy) {
        findings.push(finding);
    } else {
        findings.extend(accuracy.as_ref().and_then(|accuracy| gap(&train_accuracy, accuracy)));
        let course = still_improving(main).or_else(|| plateau(main));
        if findings.is_empty() && !matches!(course, Some(Finding::StillImproving { .. })) {
            findings.push(Finding::Fine { first: main.values[0], last: main.end() });
        }
        findings.extend(course);
    }
    if validation.is_none() {
        findings.push(Finding::Unwatched);
    }
    findings
}

/// The mean over folds, epoch by epoch, as far as every fold got: a fold that ends early would otherwise make a step in
/// the mean that no fold has. Validation is there where every fold has it.
pub(crate) fn mean_of_folds(folds: &[Vec<EpochRecord>]) -> Vec<EpochRecord> {
    let mut together: BTreeMap<u64, Vec<&EpochRecord>> = BTreeMap::new();
    for record in folds.iter().flatten() {
        together.entry(record.epoch).or_default().push(record);
    }
    let whole = together.into_iter().filter(|(_, records)| records.len() == folds.len());
    whole
        .map(|(epoch, records)| {
            let mean = |of: &dyn Fn(&EpochRecord) -> f64| {
                records.iter().map(|record| of(record)).sum::<f64>() / records.len() as f64
            };
            let validation = records.iter().map(|record| record.validation).collect::<Option<Vec<Score>>>();
            let mean_score = |scores: &[Score]| Score {
                loss: scores.iter().map(|score| score.loss).sum::<f64>() / scores.len() as f64,
                accuracy: scores.iter().map(|score| score.accuracy).sum::<f64>() / scores.len() as f64,
            };
            EpochRecord {
                epoch,
                train: Score { loss: mean(&|r| r.train.loss), accuracy: mean(&|r| r.train.accuracy) },
                validation: validation.as_deref().map(mean_score),
                lr: mean(&|r| r.lr),
                seconds: mean(&|r| r.seconds),
            }
        })
        .collect()
}

/// One line of a curve, and how noisy it is.
struct Series {
    epochs: Vec<u64>,
    values: Vec<f64>,
    /// Running medians of `width` values.
    smooth: Vec<f64>,
    width: usize,
    /// Standard deviation of a value around the line.
    noise: f64,
    /// Standard error of a running median.
    error: f64,
}

impl Series {
    fn new(points: impl Iterator<Item = (u64, f64)>) -> Self {
        let (epochs, values): (Vec<u64>, Vec<f64>) = points.unzip();
        let n = values.len();
        let width = if n < 10 { 3 } else { 5 + 2 * usize::from(n >= 30) }.min(n.max(1));
        let smooth = (0..n).map(|at| median(&values[window(at, width, n)])).collect();
        // A trend cancels in second differences; independent noise of variance v gives them the variance 6 v.
        let mut bends: Vec<f64> = values.windows(3).map(|v| (v[0] - 2.0 * v[1] + v[2]).abs()).collect();
        bends.sort_unstable_by(f64::total_cmp);
        // The median of few is often too small; the largest of few is not.
        let typical = if bends.len() < 6 { bends.last().map_or(0.0, |last| last / 2.0) } else { median(&bends) };
        // It varies by chance, too, the more the fewer there are; an alarm too few is better than one too many.
        let caution = 1.0 + 4.0 / bends.len().max(1) as f64;
        let noise = caution * 1.4826 * typical / 6f64.sqrt();
        let error = 1.2533 * noise / (width as f64).sqrt();
        Self { epochs, values, smooth, width, noise, error }
    }

    fn end(&self) -> f64 {
        self.smooth.last().copied().unwrap_or(f64::NAN)
    }

    /// The position of the lowest running median; of equals the first.
    fn lowest(&self) -> usize {
        (0..self.smooth.len()).fold(0, |best, at| if self.smooth[at] < self.smooth[best] { at } else { best })
    }

    /// The epoch of the lowest value among those of the lowest running median.
    fn lowest_epoch(&self) -> u64 {
        let near = window(self.lowest(), self.width, self.values.len());
        self.epochs
            [near.clone().fold(near.start, |best, at| if self.values[at] < self.values[best] { at } else { best })]
    }

    /// The running median at an epoch, or at the last one before it.
    fn at_epoch(&self, epoch: u64) -> f64 {
        let after = self.epochs.partition_point(|&known| known <= epoch);
        self.smooth[after.saturating_sub(1)]
    }

    /// A change from `level` that counts.
    fn notable(&self, level: f64) -> f64 {
        (ERRORS * self.error).max(SMALL_SHARE * level.abs()).max(SMALL)
    }
}

/// The `width` positions around `at`; at the ends they stay whole and stop moving.
fn window(at: usize, width: usize, n: usize) -> Range<usize> {
    let from = at.saturating_sub(width / 2).min(n - width);
    from..from + width
}

fn diverged(train: &Series) -> Option<Finding> {
    let (first, last) = (train.values[0], *train.values.last()?);
    let ended_above_start = train.end() > first + train.notable(first) && train.end() > 1.1 * first;
    // A median does not see what happens in the last epoch.
    let blew_up = last > 3.0 * first.max(SMALL);
    (ended_above_start || blew_up).then(|| Finding::Diverged {
        since: train.lowest_epoch(),
        lowest: train.smooth[train.lowest()].min(first),
        last: if blew_up { last } else { train.end() },
    })
}

fn rate_too_high(train: &Series) -> Option<Finding> {
    let first = train.values[0];
    let rises = || train.values.windows(2).map(|pair| pair[1] - pair[0]);
    let jumps = rises().filter(|rise| *rise > (0.15 * first).max(0.1)).count();
    let leaps = rises().filter(|rise| *rise > (0.5 * first).max(0.3)).count();
    let often = jumps >= 2 && jumps * 5 >= train.values.len();
    let largest = rises().fold(0.0, f64::max);
    (often || leaps >= 2).then_some(Finding::RateTooHigh { jumps, largest })
}

fn over_fitting(train: &Series, validation: &Series, accuracy: Option<&Series>) -> Option<Finding> {
    let (since, lowest, last) = (validation.lowest_epoch(), validation.smooth[validation.lowest()], validation.end());
    // Where both rise together, something else is wrong.
    let train_holds = train.end() <= train.at_epoch(since) + 3.0 * train.error;
    let apart = last > train.end();
    let accuracy_fell = accuracy.is_some_and(|accuracy| {
        let best = accuracy.smooth.iter().copied().fold(0.0, f64::max);
        accuracy.end() < best - (ERRORS * accuracy.error).max(0.01)
    });
    (last - lowest > validation.notable(lowest) && train_holds && apart).then_some(Finding::OverFitting {
        since,
        lowest,
        last,
        accuracy_fell,
    })
}

fn under_fitting(train: &Series, accuracy: f64) -> Option<Finding> {
    let (first, last) = (train.values[0], train.end());
    let hardly_fell = first - last < 0.1 * first;
    let learned_little = hardly_fell || still_improving(train).is_none();
    (accuracy < TOO_FEW_RIGHT && learned_little).then_some(Finding::UnderFitting { first, last, accuracy })
}

fn gap(train: &Series, validation: &Series) -> Option<Finding> {
    let (train, held_out) = (train.end(), validation.end());
    let large = train - held_out > LARGE_GAP.max(ERRORS * validation.error);
    large.then_some(Finding::Gap { train, validation: held_out })
}

/// Looks at the last quarter by the slope of Theil (1950) and Sen (1968), which a few wild epochs do not turn.
fn still_improving(series: &Series) -> Option<Finding> {
    let n = series.values.len();
    let count = n.div_ceil(4).clamp(FEWEST, 50).min(n);
    let tail = &series.values[n - count..];
    let mut slopes: Vec<f64> =
        (0..count).flat_map(|a| (a + 1..count).map(move |b| (tail[b] - tail[a]) / (b - a) as f64)).collect();
    slopes.sort_unstable_by(f64::total_cmp);
    let k = count as f64;
    let (slope, slope_error) = (median(&slopes), series.noise * (12.0 / (k * (k * k - 1.0))).sqrt());
    let (middle, fall) = (median(tail), -slope * (k - 1.0));
    let falls = -slope > ERRORS * slope_error && fall > (SMALL_SHARE * middle).max(SMALL);
    falls.then_some(Finding::StillImproving {
        epochs: count as u64,
        from: middle + fall / 2.0,
        to: (middle - fall / 2.0).max(0.0),
    })
}

fn plateau(series: &Series) -> Option<Finding> {
    let (n, level) = (series.smooth.len(), series.end());
    let tolerance = (3.0 * series.error).max(SMALL_SHARE / 2.0 * level).max(SMALL / 2.0);
    let same = series.smooth.iter().rev().take_while(|value| (*value - level).abs() <= tolerance).count();
    (same >= 5 && 2 * same >= n).then(|| Finding::Plateau { since: series.epochs[n - same], loss: level })
}

/// The median; of an even number of values the mean of the middle two.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

fn loss(value: f64) -> String {
    if value.abs() < 0.1 { format!("{value:.3}") } else { format!("{value:.2}") }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

#[cfg(test)]
#[path = "diagnosis_tests.rs"]
mod tests;
