//! How far a number can be trusted: intervals at 95 %.

use rand::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::error::{Error, Problem, Result};
use crate::rng::rng;

/// The two-sided 95 % quantile of the standard normal distribution.
pub const Z: f64 = 1.959_963_984_540_054;

/// Resamples of the bootstrap while there are at most [`FULL_BOOTSTRAP_EXAMPLES`] examples.
pub(crate) const RESAMPLES: usize = 2000;

/// Above this many examples the number of resamples falls so that the time stays bounded.
pub(crate) const FULL_BOOTSTRAP_EXAMPLES: usize = 20_000;

/// A measured number and its 95 % interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The number as measured.
    pub mean: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the 95 % interval.
    pub high: f64,
    /// Number of examples behind it.
    pub n: usize,
    /// How the number and its interval were made, in words.
    pub how: String,
}

/// A measured number without an interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The number.
    pub mean: f64,
    /// Number of examples behind it.
    pub n: usize,
    /// How it was made, in words.
    pub how: String,
}

/// Wilson's score interval for `successes` of `n` (Wilson, 1927), 95 %:
/// `(p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)`. `n = 0` gives the interval from 0 to 1.
pub(crate) fn wilson(successes: usize, n: usize) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (n as f64, successes as f64 / n as f64);
    let z2 = Z * Z;
    let centre = p + z2 / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z2 / n;
    // At 0 and at n one end is exactly the measured share; rounding may put it a hair to the wrong side.
    (((centre - half) / scale).clamp(0.0, p), ((centre + half) / scale).clamp(p, 1.0))
}

/// A share and Wilson's 95 % interval of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The share as measured; 0 of nothing.
    pub share: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// What it is a share of.
    pub n: usize,
}

impl Share {
    /// `part` of `n`; the interval of a share of nothing goes from 0 to 1.
    pub(crate) fn of(part: usize, n: usize) -> Self {
        let (low, high) = wilson(part, n);
        Self { share: if n == 0 { 0.0 } else { part as f64 / n as f64 }, low, high, n }
    }
}

/// How many resamples the bootstrap draws for `n` examples: [`RESAMPLES`], and above
/// [`FULL_BOOTSTRAP_EXAMPLES`] examples as many fewer as there are more examples, but at least 200.
pub(crate) fn resamples(n: usize) -> usize {
    if n <= FULL_BOOTSTRAP_EXAMPLES { RESAMPLES } else { (RESAMPLES * FULL_BOOTSTRAP_EXAMPLES / n).max(200) }
}

/// The percentile bootstrap (Efron, 1979) of `M` statistics at once: 95 % intervals `(low, high)`.
///
/// `statistic` gets how often each of the `n` examples was drawn (multinomial counts that sum to `n`) and returns
/// the `M` statistics of that resample. Resample `b` draws from the stream `(seed, "bootstrap", b)`, so that the
/// result does not depend on threads. An interval is widened to hold the measured value `measured[m]` where the
/// statistic is biased under resampling (as the ECE is). Statistics that are NaN on a resample are left out of it.
pub(crate) fn bootstrap<const M: usize>(
    n: usize,
    seed: u64,
    measured: &[f64; M],
    statistic: impl Fn(&[u32]) -> [f64; M] + Sync,
) -> [(f64, f64); M] {
    let draws = drawn(n, seed, statistic);
    std::array::from_fn(|m| {
        let mut values: Vec<f64> = draws.iter().map(|draw| draw[m]).filter(|value| !value.is_nan()).collect();
        if values.is_empty() {
            return (measured[m], measured[m]);
        }
        values.sort_unstable_by(f64::total_cmp);
        (quantile(&values, 0.025).min(measured[m]), quantile(&values, 0.975).max(measured[m]))
    })
}

/// As [`bootstrap`], but the intervals are `measured ± t · (standard deviation of the resamples)`, `t` Student's for `n - 1` degrees of
/// freedom. Of few examples the percentiles of a mean of heavy-tailed losses are too short (docs/decisions.md).
pub(crate) fn bootstrap_t<const M: usize>(
    n: usize,
    seed: u64,
    measured: &[f64; M],
    statistic: impl Fn(&[u32]) -> [f64; M] + Sync,
) -> [(f64, f64); M] {
    let draws = drawn(n, seed, statistic);
    let t = StudentsT::new(0.0, 1.0, (n.max(2) - 1) as f64).map_or(Z, |student| student.inverse_cdf(0.975));
    std::array::from_fn(|m| {
        let values = || draws.iter().map(|draw| draw[m]).filter(|value| !value.is_nan());
        let count = values().count().max(1) as f64;
        let mean = values().sum::<f64>() / count;
        let half = t * (values().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        (measured[m] - half, measured[m] + half)
    })
}

/// An interval of a number that `right` of `n` answers can be no surer of than of their accuracy: at least as far from the number as
/// Wilson's interval is from the accuracy, `scale` times. Where every answer is right resamples do not differ, and say nothing.
pub(super) fn no_surer_than_accuracy(
    (low, high): (f64, f64),
    mean: f64,
    (right, n): (usize, usize),
    scale: f64,
) -> (f64, f64) {
    let accuracy = right as f64 / n.max(1) as f64;
    let (least, most) = wilson(right, n);
    (low.min(mean - scale * (accuracy - least)), high.max(mean + scale * (most - accuracy)).min(1.0))
}

/// The statistics of each resample.
fn drawn<const M: usize>(n: usize, seed: u64, statistic: impl Fn(&[u32]) -> [f64; M] + Sync) -> Vec<[f64; M]> {
    drawn_times(n, resamples(n), seed, statistic)
}

/// The statistics of each of so many resamples (see [`bootstrap`]).
pub(super) fn drawn_times<const M: usize>(
    n: usize,
    resamples: usize,
    seed: u64,
    statistic: impl Fn(&[u32]) -> [f64; M] + Sync,
) -> Vec<[f64; M]> {
    (0..resamples)
        .into_par_iter()
        .map_init(
            || vec![0u32; n],
            |counts, step| {
                counts.fill(0);
                let mut stream = rng(seed, "bootstrap", step as u64);
                for _ in 0..n {
                    // Multiply and shift: the bias is below n / 2^32.
                    counts[((u64::from(stream.next_u32()) * n as u64) >> 32) as usize] += 1;
                }
                statistic(counts)
            },
        )
        .collect()
}

/// `how`, and that the intervals come from the percentiles of the bootstrap of `n` examples, in words.
pub(super) fn resampled(how: &str, n: usize) -> String {
    resampled_by(how, "percentile bootstrap", n)
}

/// The same of [`bootstrap_t`].
pub(super) fn resampled_t(how: &str, n: usize) -> String {
    resampled_by(how, "t-interval by the bootstrap", n)
}

fn resampled_by(how: &str, kind: &str, n: usize) -> String {
    if resamples(n) == RESAMPLES {
        return format!("{how}; {kind}, {RESAMPLES} resamples, 95 %");
    }
    format!("{how}; {kind}, {} resamples (fewer than {RESAMPLES} for {n} examples), 95 %", resamples(n))
}

/// The quantile `q` of sorted values, linear between neighbours (Hyndman and Fan's type 7, as numpy).
pub(super) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let (below, share) = (at.floor() as usize, at.fract());
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + share * (sorted[above] - sorted[below])
}

/// The difference of two accuracies, or other measures, on the same examples, and what it means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// Accuracy of the candidate minus accuracy of the reference; of other measures, by how much the candidate is better.
    pub difference: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the 95 % interval.
    pub high: f64,
    /// Number of examples.
    pub n: usize,
    /// How it was made, in words.
    pub how: String,
    /// "positive transfer", "no measurable transfer" or "negative transfer".
    pub verdict: String,
}

impl Paired {
    /// Of this comparison out of fold and the same on held-out splits the one on most examples; of equals this one.
    pub(crate) fn most_evidence<'a>(&'a self, held_out: impl Iterator<Item = &'a Self>) -> &'a Self {
        held_out.fold(self, |most, paired| if paired.n > most.n { paired } else { most })
    }
}

/// Compares a candidate with a reference on the same examples: the adjusted Wald interval for paired proportions
/// (Bonett and Price, 2012, "Adjusted Wald confidence interval for a difference of binomial proportions based on
/// paired data", J. Educ. Behav. Stat. 37).
///
/// With `b` examples that only the candidate got right and `c` that only the reference got right,
/// `p = (b+1)/(n+2)`, `q = (c+1)/(n+2)`, the interval is `p - q ± z sqrt((p + q - (p-q)²) / (n+2))`.
/// The reported difference is the plain one, `(b - c) / n`. The verdict is "positive transfer" when the whole
/// interval lies above zero, "negative transfer" when below, else "no measurable transfer".
pub(crate) fn paired_difference(candidate: &[bool], reference: &[bool]) -> Result<Paired> {
    if candidate.len() != reference.len() || candidate.is_empty() {
        return Err(Error::Data(
            Problem::new("two results can be compared on the same examples only")
                .expected("as many answers of the one as of the other, at least one")
                .found(format!("{} and {}", candidate.len(), reference.len())),
        ));
    }
    let count = |mine: bool, theirs: bool| {
        candidate.iter().zip(reference).filter(|&(&a, &b)| a == mine && b == theirs).count() as f64
    };
    let (n, b, c) = (candidate.len() as f64, count(true, false), count(false, true));
    let (p, q) = ((b + 1.0) / (n + 2.0), (c + 1.0) / (n + 2.0));
    let half = Z * ((p + q - (p - q).powi(2)) / (n + 2.0)).sqrt();
    let difference = (b - c) / n;
    let (low, high) = ((p - q - half).max(-1.0), (p - q + half).min(1.0));
    Ok(Paired {
        difference,
        low,
        high,
        n: candidate.len(),
        how: "difference of accuracies on the same examples; adjusted Wald interval (Bonett and Price 2012), 95 %"
            .into(),
        verdict: verdict(low, high).into(),
    })
}

fn verdict(low: f64, high: f64) -> &'static str {
    if low > 0.0 {
        "positive transfer"
    } else if high < 0.0 {
        "negative transfer"
    } else {
        "no measurable transfer"
    }
}

/// Compares a candidate with a reference on the same examples by any measure: `gain` gets how often each of the `n`
/// examples was drawn (see [`bootstrap`]) and returns by how much the candidate is better on that resample. `what` names
/// the measure and its direction ("mean absolute error, reference minus candidate").
pub(crate) fn paired_gain(n: usize, seed: u64, what: &str, gain: impl Fn(&[u32]) -> f64 + Sync) -> Result<Paired> {
    let difference = if n == 0 { f64::NAN } else { gain(&vec![1; n]) };
    if !difference.is_finite() {
        return Err(Error::Data(
            Problem::new("two results can be compared on the same examples only")
                .expected("at least one example, and a measure that is a number")
                .found(format!("{difference} on {n} examples")),
        ));
    }
    let [(low, high)] = bootstrap(n, seed, &[difference], |counts| [gain(counts)]);
    let how = resampled(&format!("difference on the same examples: {what}"), n);
    Ok(Paired { difference, low, high, n, how, verdict: verdict(low, high).into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wilson_agrees_with_scipy() {
        // scipy.stats.binomtest(k, n).proportion_ci(method="wilson"), scipy 1.17.1.
        for (k, n, low, high) in WILSON {
            let (l, h) = wilson(k, n);
            assert!((l - low).abs() < 1e-12 && (h - high).abs() < 1e-12, "{k} of {n}: {l} {h}");
        }
        assert_eq!(wilson(0, 0), (0.0, 1.0));
    }
    const WILSON: [(usize, usize, f64, f64); 4] = [
        (8, 10, 0.490_162_471_536_641_8, 0.943_317_848_545_624_8),
        (0, 20, 0.0, 0.161_125_158_052_819_35),
        (97, 100, 0.915_480_635_709_447_2, 0.989_745_475_975_996),
        (20, 20, 0.838_874_841_947_180_8, 1.0),
    ];

    #[test]
    fn the_bootstrap_of_a_mean_agrees_with_theory() {
        let n = 400;
        let values: Vec<f64> = (0..n).map(|i| i as f64 / n as f64).collect();
        let mean = values.iter().sum::<f64>() / n as f64;
        let [(low, high)] = bootstrap(n, 1, &[mean], |counts| {
            [counts.iter().zip(&values).map(|(&c, v)| f64::from(c) * v).sum::<f64>() / n as f64]
        });
        let standard_error = (1.0 / 12.0f64).sqrt() / (n as f64).sqrt();
        assert!((high - mean - Z * standard_error).abs() < 0.15 * standard_error, "{low} {high}");
        assert!((mean - low - Z * standard_error).abs() < 0.15 * standard_error, "{low} {high}");
    }

    #[test]
    fn the_bootstrap_does_not_depend_on_threads() {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| bootstrap(50, 3, &[0.5], |counts| [f64::from(counts[7]) + 0.25 * f64::from(counts[8])]))
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn large_samples_are_resampled_less_often() {
        assert_eq!((resamples(20_000), resamples(100_000), resamples(10_000_000)), (2000, 400, 200));
    }

    #[test]
    fn a_pair_is_judged_by_its_interval() {
        let answers = |right: usize| (0..100).map(|i| i < right).collect::<Vec<_>>();
        assert_eq!(paired_difference(&answers(90), &answers(60)).unwrap().verdict, "positive transfer");
        assert_eq!(paired_difference(&answers(60), &answers(90)).unwrap().verdict, "negative transfer");
        assert_eq!(paired_difference(&answers(90), &answers(89)).unwrap().verdict, "no measurable transfer");
        assert!(paired_difference(&[true], &[]).is_err());
        assert!(paired_difference(&[], &[]).is_err());
        // By hand: b = 1, c = 9, n = 50: p = 2/52, q = 10/52, half = 1.96 sqrt((12/52 - (8/52)^2)/52).
        let reference: Vec<bool> = (0..50).map(|i| i < 39).collect();
        let candidate: Vec<bool> = (0..50).map(|i| (9..40).contains(&i)).collect();
        let paired = paired_difference(&candidate, &reference).unwrap();
        assert!((paired.difference + 0.16).abs() < 1e-12);
        let half = Z * ((12.0 / 52.0 - (8.0f64 / 52.0).powi(2)) / 52.0).sqrt();
        assert!((paired.low - (-8.0 / 52.0 - half)).abs() < 1e-12);
        assert!((paired.high - (-8.0 / 52.0 + half)).abs() < 1e-12);
    }

    #[test]
    fn a_gain_is_judged_by_its_bootstrap() {
        let gains: Vec<f64> = (0..100).map(|i| 0.5 + f64::from(i % 7) / 10.0).collect();
        let mean = |sign: f64| {
            let gains = &gains;
            move |counts: &[u32]| sign * counts.iter().zip(gains).map(|(&c, g)| f64::from(c) * g).sum::<f64>() / 100.0
        };
        assert_eq!(paired_gain(100, 1, "", mean(1.0)).unwrap().verdict, "positive transfer");
        let worse = paired_gain(100, 1, "what", mean(-1.0)).unwrap();
        assert_eq!(worse.verdict, "negative transfer");
        assert!(worse.how.starts_with("difference on the same examples: what; percentile bootstrap"), "{}", worse.how);
        assert_eq!(paired_gain(9, 1, "", |_| 0.0).unwrap().verdict, "no measurable transfer");
        assert!(paired_gain(0, 1, "", |_| 0.0).is_err() && paired_gain(3, 1, "", |_| f64::NAN).is_err());
    }

    proptest! {
        #[test]
        fn an_interval_holds_the_share_it_is_for(n in 1usize..5000, share in 0.0f64..=1.0) {
            let successes = (share * n as f64).round() as usize;
            let (low, high) = wilson(successes, n);
            let p = successes as f64 / n as f64;
            prop_assert!(0.0 <= low && low <= p && p <= high && high <= 1.0);
        }

        #[test]
        fn swapping_the_pair_turns_the_interval_round(
            pairs in proptest::collection::vec((any::<bool>(), any::<bool>()), 1..80),
        ) {
            let (a, b): (Vec<bool>, Vec<bool>) = pairs.into_iter().unzip();
            let one = paired_difference(&a, &b).unwrap();
            let other = paired_difference(&b, &a).unwrap();
            prop_assert!((one.low + other.high).abs() < 1e-12);
            prop_assert!(one.low <= one.difference + 1e-12 && one.difference <= one.high + 1e-12);
        }
    }
}
