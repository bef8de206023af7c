//! What more labels would bring: the learning curve over training-set sizes, carried on by an inverse power law
//! (Figueroa et al. 2012, "Predicting sample size required for classification performance"; Hestness et al. 2017, "Deep
//! learning scaling is predictable, empirically").

use std::collections::BTreeMap;
use std::fmt;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Problem, Result};
use crate::metrics::interval::quantile;
use crate::rng::rng;

/// A law has three parameters.
const FEWEST_SIZES: usize = 3;
/// Exponents that are looked at before the best one is refined: `1 / GRID` to 1.
const GRID: usize = 100;
/// Resamples of the bootstrap.
const RESAMPLES: u64 = 1000;
/// Sizes with at least as many repetitions are resampled among themselves, others among all.
const OWN_REPETITIONS: usize = 5;
/// The one-sided 95 % quantile of the standard normal distribution.
const ONE_SIDED: f64 = 1.644_853_626_951_472_2;
/// The 95 % quantile of the chi-squared distribution with one degree of freedom.
const CHI_SQUARED: f64 = 3.841_458_820_694_124;
/// A forecast for more than so many times the largest size measured comes with a warning.
const FAR: f64 = 4.0;

/// The error measured of one model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Number of labelled examples it was trained on.
    pub labels: usize,
    /// 1 minus its score: the share of wrong answers, or of the variance that is not explained; at least 0.
    pub error: f64,
    /// What it weighs against others, in proportion to 1 / variance: the number of answers, or 1 for each.
    pub weight: f64,
}

/// `error(n) = floor + scale · n^(-exponent)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PowerLaw {
    /// What no number of labels would bring down; at least 0.
    pub floor: f64,
    /// At least 0; 0 where the error does not depend on the number of labels.
    pub scale: f64,
    /// 0.01 to 1.
    pub exponent: f64,
}

impl PowerLaw {
    /// The law of the least weighted squares, within `floor ≥ 0`, `scale ≥ 0`, `0.01 ≤ exponent ≤ 1`.
    ///
    /// For a given exponent the other two are a linear problem of two unknowns that must not be negative, which is
    /// solved exactly; the exponent is looked for on a grid and then by golden section. Nothing is drawn.
    ///
    /// # Errors
    /// Measurements that are none, or of fewer than 3 sizes.
    #[cfg(test)]
    pub(crate) fn fit(points: &[Measurement]) -> Result<Self> {
        let sizes = Sizes::of(points, &[])?;
        if sizes.labels.len() < FEWEST_SIZES {
            let expected = format!("at least {FEWEST_SIZES} training-set sizes");
            return Err(unusable("a learning curve needs more sizes", &expected, sizes.labels.len()));
        }
        Ok(sizes.fit(&sizes.means, Family::Any).0)
    }

    /// The error after training on so many labels.
    pub(crate) fn error(&self, labels: f64) -> f64 {
        self.floor + self.scale * labels.powf(-self.exponent)
    }
}

/// What the measurements say of more labels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Outcome {
    /// The score would rise.
    Gain {
        /// By so much, as a share: 0.02 are 2 points.
        gain: f64,
        /// Lower end of the 95 % interval.
        low: f64,
        /// Upper end of the 95 % interval.
        high: f64,
    },
    /// More labels did not help by more than chance in what was measured.
    NoneSeen {
        /// Upper end of the 95 % interval of the gain; its lower end is 0.
        high: f64,
    },
    /// Fewer than three sizes.
    TooFewSizes {
        /// How many.
        sizes: usize,
    },
    /// Every size was measured once, so that chance cannot be told from learning.
    Unrepeated,
}

/// A forecast of the score with more labels: of the accuracy, the mean F1 of sets of labels, or R².
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Labels there are.
    pub now: usize,
    /// Labels to be added.
    pub more: usize,
    /// The largest size that was measured.
    pub largest: usize,
    /// The law, if the sizes suffice for one.
    pub law: Option<PowerLaw>,
    /// What it says.
    pub outcome: Outcome,
}

impl Forecast {
    /// The forecast of a score, which is named, in words.
    pub fn told(&self, score: &str) -> String {
        let points = |share: f64| format!("{:.1}", 100.0 * share);
        let more = format!("{} more {}: ", self.more, if self.more == 1 { "label" } else { "labels" });
        let told = match self.outcome {
            Outcome::Gain { gain, low, high } => {
                format!("{score} about +{} points ({} to {})", points(gain), points(low), points(high))
            }
            Outcome::NoneSeen { high } => {
                format!("no gain in {score} to be seen in what was measured (0.0 to {} points)", points(high))
            }
            Outcome::TooFewSizes { sizes } => {
                return format!(
                    "{more}the data cannot tell: measured at {sizes} training-set {}, and a forecast needs {FEWEST_SIZES}",
                    if sizes == 1 { "size" } else { "sizes" }
                );
            }
            Outcome::Unrepeated => {
                return format!("{more}the data cannot tell: every training-set size was measured only once");
            }
        };
        let far = format!("; far beyond the {} labels that were measured, so take it with care", self.largest);
        format!("{more}{told}{}", if self.is_far() { &far } else { "" })
    }

    /// Whether it goes far beyond what was measured.
    pub(crate) fn is_far(&self) -> bool {
        self.now.saturating_add(self.more) as f64 > FAR * self.largest as f64
    }
}

/// Forecasts what `more` labels would bring to a model that now has `now`.
///
/// `examples` are the mean errors of the examples that were answered, `[sizes, examples]`, sizes ascending; none where they
/// are not known. The interval is a percentile bootstrap over these examples, the same ones for all sizes, and over
/// repetitions: around the mean of each size, deviations of its repetitions are drawn anew (among all sizes where one has
/// fewer than 5), scaled by `sqrt(k / (k - 1))` for the mean that was taken out of `k`. Resample `b` draws from the stream
/// `(seed, "forecast", b)`.
///
/// A floor that the measurements do not show (with it the weighted squares are smaller by no more than 3.84 variances) is
/// not presumed: over few sizes noise looks like one, and the gain would be told too small.
///
/// At the edge of what a law may be (no floor; an exponent of 1) noise moves a fit to one side only, and the bootstrap
/// alone would hold the truth in 8 of 10 cases. So the interval also holds those of the laws at the edge, where these
/// fit as well (their weighted squares no larger than by 3.84 variances); in simulations it then holds the truth in 90 to
/// 95 of 100. What it cannot know is whether the new labels are of the same kind as the old ones. The gain and its
/// ends never fall as `more` grows.
///
/// # Errors
/// No measurement, one without labels, an error that is negative or infinite, a weight that is not positive, `now` of 0.
pub(crate) fn forecast(
    points: &[Measurement],
    examples: &[Vec<f64>],
    now: usize,
    more: usize,
    seed: u64,
) -> Result<Forecast> {
    let sizes = Sizes::of(points, examples)?;
    if now == 0 {
        return Err(unusable("there is nothing to forecast from", "at least 1 label now", 0));
    }
    let largest = sizes.labels.last().map_or(0, |labels| *labels as usize);
    let known = |law, outcome| Forecast { now, more, largest, law, outcome };
    if sizes.labels.len() < FEWEST_SIZES {
        return Ok(known(None, Outcome::TooFewSizes { sizes: sizes.labels.len() }));
    }
    let (law, squares) = sizes.fit(&sizes.means, Family::Any);
    if sizes.pool.is_empty() {
        return Ok(known(Some(law), Outcome::Unrepeated));
    }
    // Always saying the same has an error of 1 at most, however few labels a law is asked about.
    let error = |law: PowerLaw, labels: f64| law.error(labels).min(1.0);
    let gain_of = |law| error(law, now as f64) - error(law, now as f64 + more as f64);
    let limit = squares + CHI_SQUARED * sizes.variance();
    let (steeper, its_squares) = sizes.fit(&sizes.means, Family::NoFloor);
    let law = if its_squares <= limit { steeper } else { law };
    let gain = gain_of(law);
    let (mut low, mut high) = (gain, gain);
    let resampled = |step| sizes.resampled(&mut rng(seed, "forecast", step));
    let resamples: Vec<Vec<f64>> = (0..RESAMPLES).into_par_iter().map(resampled).collect();
    for family in [Family::Any, Family::NoFloor, Family::Fastest] {
        if sizes.fit(&sizes.means, family).1 > limit {
            continue;
        }
        let mut gains: Vec<f64> = resamples.par_iter().map(|errors| gain_of(sizes.fit(errors, family).0)).collect();
        gains.sort_unstable_by(f64::total_cmp);
        (low, high) = (low.min(quantile(&gains, 0.025)), high.max(quantile(&gains, 0.975)));
    }
    let outcome = if sizes.falls() { Outcome::Gain { gain, low, high } } else { Outcome::NoneSeen { high } };
    Ok(known(Some(law), outcome))
}

fn unusable(what: &str, expected: &str, found: impl fmt::Display) -> Error {
    Error::Data(Problem::new(what).expected(expected).found(found))
}

/// The measurements, size by size: all that a fit needs, since a law gives one error for a size.
struct Sizes {
    /// Training-set sizes, ascending.
    labels: Vec<f64>,
    /// Sum of the weights of each.
    weights: Vec<f64>,
    /// Weighted mean error of each.
    means: Vec<f64>,
    /// Mean error of every example at each, where they are known.
    examples: Vec<Vec<f64>>,
    /// `weights` of the repetitions of each.
    repetitions: Vec<Vec<f64>>,
    /// `sqrt(w k / (k - 1)) (error - mean)` of the `k` repetitions of each.
    deviations: Vec<Vec<f64>>,
    /// The deviations of all sizes that were measured more than once.
    pool: Vec<f64>,
    /// `(labels / smallest)^(-exponent)` by exponent of the grid, then by size.
    grid: Vec<Vec<f64>>,
}

impl Sizes {
    fn of(points: &[Measurement], examples: &[Vec<f64>]) -> Result<Self> {
        if points.is_empty() {
            return Err(unusable("nothing was measured", "errors at several training-set sizes", "none"));
        }
        let mut by_size: BTreeMap<usize, Vec<&Measurement>> = BTreeMap::new();
        for point in points {
            let weighs = point.weight.is_finite() && point.weight > 0.0;
            if point.labels == 0 || !(point.error >= 0.0 && point.error.is_finite()) || !weighs {
                let expected = "at least 1 label, an error of at least 0, a positive weight";
                let found = format!("{} labels, error {}, weight {}", point.labels, point.error, point.weight);
                return Err(unusable("invalid measurement", expected, found));
            }
            by_size.entry(point.labels).or_default().push(point);
        }
        // Weights count against each other only; so their sums stay within what a number can hold.
        let heaviest = points.iter().map(|point| point.weight).fold(0.0, f64::max);
        let weigh = |point: &Measurement| (point.weight / heaviest).max(f64::MIN_POSITIVE.sqrt());
        let mut sizes = Self {
            labels: by_size.keys().map(|&labels| labels as f64).collect(),
            weights: Vec::new(),
            means: Vec::new(),
            repetitions: Vec::new(),
            deviations: Vec::new(),
            pool: Vec::new(),
            grid: Vec::new(),
            examples: examples.to_vec(),
        };
        for repetitions in by_size.values() {
            let weights: Vec<f64> = repetitions.iter().map(|point| weigh(point)).collect();
            let sum: f64 = weights.iter().sum();
            let mean = repetitions.iter().zip(&weights).map(|(point, w)| w * point.error).sum::<f64>() / sum;
            let k = weights.len() as f64;
            let scale = if k > 1.0 { k / (k - 1.0) } else { 0.0 };
            let deviation = |(point, w): (&&Measurement, &f64)| (w * scale).sqrt() * (point.error - mean);
            sizes.deviations.push(repetitions.iter().zip(&weights).map(deviation).collect());
            sizes.weights.push(sum);
            sizes.means.push(mean);
            sizes.repetitions.push(weights);
        }
        sizes.pool = sizes.deviations.iter().filter(|of| of.len() > 1).flatten().copied().collect();
        if !(examples.is_empty() || examples.len() == sizes.labels.len()) {
            let expected = format!("errors of examples at {} training-set sizes", sizes.labels.len());
            return Err(unusable("invalid measurement", &expected, examples.len()));
        }
        sizes.grid = (1..=GRID).map(|at| sizes.powers(at as f64 / GRID as f64)).collect();
        Ok(sizes)
    }

    fn powers(&self, exponent: f64) -> Vec<f64> {
        self.labels.iter().map(|labels| (labels / self.labels[0]).powf(-exponent)).collect()
    }

    /// The law of the least weighted squares through one error for each size, and these squares.
    fn fit(&self, errors: &[f64], family: Family) -> (PowerLaw, f64) {
        let squares = |powers: &[f64]| line(powers, errors, &self.weights, family).squares;
        let step = 1.0 / GRID as f64;
        let exponent = if family == Family::Fastest {
            1.0
        } else {
            let best = (1..GRID).fold((0, squares(&self.grid[0])), |best, at| {
                let found = squares(&self.grid[at]);
                if found < best.1 { (at, found) } else { best }
            });
            let centre = (best.0 + 1) as f64 * step;
            let of = |exponent: f64| squares(&self.powers(exponent));
            let refined = golden_section((centre - step).max(step), (centre + step).min(1.0), of);
            if of(refined) < best.1 { refined } else { centre }
        };
        let Line { floor, scale, squares } = line(&self.powers(exponent), errors, &self.weights, family);
        (PowerLaw { floor, scale: scale * self.labels[0].powf(exponent), exponent }, squares)
    }

    /// Mean errors as another series of repetitions might have given them.
    fn resampled(&self, stream: &mut ChaCha8Rng) -> Vec<f64> {
        let shifts = self.resampled_examples(stream);
        (0..self.means.len())
            .map(|size| {
                let own = &self.deviations[size];
                let from = if own.len() >= OWN_REPETITIONS { own } else { &self.pool };
                let draws = self.repetitions[size].iter().map(|w| w.sqrt() * from[stream.random_range(0..from.len())]);
                self.means[size] + shifts[size] + draws.sum::<f64>() / self.weights[size]
            })
            .collect()
    }

    /// By how much other examples of the same kind move the mean of each size.
    fn resampled_examples(&self, stream: &mut ChaCha8Rng) -> Vec<f64> {
        let n = self.examples.first().map_or(0, Vec::len);
        let drawn: Vec<usize> = (0..n).map(|_| stream.random_range(0..n)).collect();
        let shift = |errors: &Vec<f64>| {
            let mean = errors.iter().sum::<f64>() / n as f64;
            drawn.iter().map(|&at| errors[at] - mean).sum::<f64>() / n as f64
        };
        match n {
            0 => vec![0.0; self.means.len()],
            _ => self.examples.iter().map(shift).collect(),
        }
    }

    /// Whether the error falls with the logarithm of the number of labels by more than chance, at 95 %, one-sided.
    fn falls(&self) -> bool {
        let logs: Vec<f64> = self.labels.iter().map(|labels| labels.ln()).collect();
        let total: f64 = self.weights.iter().sum();
        let middle = logs.iter().zip(&self.weights).map(|(log, w)| w * log).sum::<f64>() / total;
        let spread: f64 = logs.iter().zip(&self.weights).map(|(log, w)| w * (log - middle).powi(2)).sum();
        let weighted = logs.iter().zip(&self.weights).zip(&self.means);
        let slope = weighted.map(|((log, w), mean)| w * (log - middle) * mean).sum::<f64>() / spread;
        slope < -(ONE_SIDED * (self.variance() / spread).sqrt()).max(1e-9)
    }

    /// Variance of a repetition of weight 1, of its examples too as far as these tell sizes apart.
    fn variance(&self) -> f64 {
        let own = self.pool.iter().map(|deviation| deviation * deviation).sum::<f64>() / self.pool.len().max(1) as f64;
        own + self.weights.iter().sum::<f64>() / self.weights.len() as f64 * self.variance_of_examples()
    }

    /// Variance of a size's mean over examples, beside what all sizes share.
    fn variance_of_examples(&self) -> f64 {
        let (sizes, n) = (self.examples.len() as f64, self.examples.first().map_or(0, Vec::len));
        if n < 2 {
            return 0.0;
        }
        let shared: Vec<f64> = (0..n).map(|at| self.examples.iter().map(|of| of[at]).sum::<f64>() / sizes).collect();
        let of_size = |errors: &Vec<f64>| {
            let own: Vec<f64> = errors.iter().zip(&shared).map(|(error, shared)| error - shared).collect();
            let mean = own.iter().sum::<f64>() / n as f64;
            own.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n as f64 - 1.0) / n as f64
        };
        // Deviations from the mean of so many sizes are smaller than from what it stands for.
        self.examples.iter().map(of_size).sum::<f64>() / (sizes - 1.0).max(1.0)
    }
}

/// Which laws may be fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Any,
    /// A floor of 0: the most that more labels could bring.
    NoFloor,
    /// An exponent of 1: the least.
    Fastest,
}

/// The lowest point of `of` between two ends, if it falls and then rises.
fn golden_section(mut low: f64, mut high: f64, of: impl Fn(f64) -> f64) -> f64 {
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    let (mut left, mut right) = (high - ratio * (high - low), low + ratio * (high - low));
    let (mut at_left, mut at_right) = (of(left), of(right));
    for _ in 0..24 {
        if at_left <= at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - ratio * (high - low);
            at_left = of(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + ratio * (high - low);
            at_right = of(right);
        }
    }
    (low + high) / 2.0
}

/// A fitted line, neither number negative.
struct Line {
    floor: f64,
    scale: f64,
    /// Weighted sum of squares that is left.
    squares: f64,
}

/// `min Σ w (floor + scale x - y)²` with `floor, scale ≥ 0`: the free minimum, or else the better of the two edges.
fn line(x: &[f64], y: &[f64], w: &[f64], family: Family) -> Line {
    let (mut sw, mut sx, mut sy, mut sxx) = (0.0, 0.0, 0.0, 0.0);
    for ((x, y), w) in x.iter().zip(y).zip(w) {
        sw += w;
        sx += w * x;
        sy += w * y;
        sxx += w * x * x;
    }
    let (mean_x, mean_y) = (sx / sw, sy / sw);
    // Around the means, since powers of a small exponent are all close to 1.
    let (mut around_xx, mut around_xy, mut sxy) = (0.0, 0.0, 0.0);
    for ((x, y), w) in x.iter().zip(y).zip(w) {
        around_xx += w * (x - mean_x).powi(2);
        around_xy += w * (x - mean_x) * (y - mean_y);
        sxy += w * x * y;
    }
    let scale = around_xy / around_xx;
    let left = |floor: f64, scale: f64| {
        let squares = x.iter().zip(y).zip(w).map(|((x, y), w)| w * (floor + scale * x - y).powi(2)).sum();
        Line { floor, scale, squares }
    };
    let through_zero = left(0.0, (sxy / sxx).max(0.0));
    if family == Family::NoFloor {
        return through_zero;
    }
    let floor = mean_y - scale * mean_x;
    if scale >= 0.0 && floor >= 0.0 {
        return left(floor, scale);
    }
    let flat = left(mean_y.max(0.0), 0.0);
    if through_zero.squares < flat.squares { through_zero } else { flat }
}

#[cfg(test)]
#[path = "forecast_tests.rs"]
mod tests;
