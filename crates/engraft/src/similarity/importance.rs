//! Weights of the source's rows for the target's density, from a classifier that tells the domains apart.

use super::moments::{check, check_columns};
use super::two_sample::{discriminate, right, upper_tail};
use crate::error::Result;
use crate::features::Features;
use crate::progress::Observer;

/// A larger ratio counts as this.
pub(crate) const CAP: f64 = 20.0;
/// A smaller ratio counts as this: a weight is above zero.
const LEAST: f64 = 1e-6;
/// The mean ratio, 1 in expectation, below which the source misses most of the target.
const LEAST_MASS: f64 = 0.3;
/// Weights with a smaller effective sample size, as a fraction of the rows, are refused.
pub(crate) const LEAST_EFFECTIVE: f64 = 0.3;
/// Domains whose p is above this are not told apart, and there is nothing to weight.
pub(crate) const LEVEL: f64 = 0.05;

/// Density ratios of the source's rows, and whether they may be used.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Importance {
    /// `p(x | target) / p(x | source)` of each source row, out of fold, from 1e-6 to [`CAP`].
    pub(crate) ratios: Vec<f64>,
    /// Number of source rows whose ratio was over [`CAP`].
    pub(crate) clipped: usize,
    /// Effective sample size as a fraction of the source's rows: `(sum w)² / (n sum w²)` (Kish, 1965).
    pub(crate) effective: f64,
    /// The mean ratio: 1 in expectation where the source covers the target, near 0 where the domains do not overlap.
    pub(crate) mass: f64,
    /// Accuracy of the classifier, out of fold, over the rows of both domains.
    pub(crate) accuracy: f64,
    /// The larger domain's share of the rows: the accuracy of a constant answer.
    pub(crate) majority: f64,
    /// One-sided exact binomial p of `accuracy` against `majority`.
    pub(crate) p: f64,
    /// The ratios scaled to a mean of 1, `[source rows]`; or why they should not be used.
    pub(crate) weights: std::result::Result<Vec<f64>, String>,
}

/// Importance weights by a domain classifier (Bickel, Brückner and Scheffer, 2009, "Discriminative learning under
/// covariate shift", JMLR 10): `w_i = p_i / (1 - p_i) · n_s / n_t` for the probability `p_i` that row `i` is of the target.
///
/// `p_i` is that of cross-validated logistic regression, out of fold, its temperature calibrated. The accuracy is compared
/// with the larger domain's share of the rows, so that domains of very different size are told apart only where they
/// differ strongly.
///
/// # Errors
/// [`crate::error::Error::Data`] for tables that do not fit each other; what cross-validation returns.
pub(crate) fn importance(
    source: &Features,
    target: &Features,
    seed: u64,
    observer: &dyn Observer,
) -> Result<Importance> {
    check(source)?;
    check(target)?;
    check_columns(target, source.columns)?;
    let probabilities = discriminate(source, target, seed, observer)?;
    let (n, all) = (source.rows as f64, probabilities.len());
    let sizes = n / target.rows as f64;
    let odds = |&p: &f32| f64::from(p) / (1.0 - f64::from(p)) * sizes;
    let raw: Vec<f64> = probabilities[..source.rows].iter().map(odds).collect();
    let ratios: Vec<f64> = raw.iter().map(|ratio| ratio.clamp(LEAST, CAP)).collect();
    let clipped = raw.iter().filter(|&&ratio| ratio > CAP).count();
    let (sum, squares) = ratios.iter().fold((0.0, 0.0), |(sum, squares), w| (sum + w, squares + w * w));
    let (effective, mass) = (sum * sum / (n * squares), sum / n);
    let right = right(&probabilities, source.rows);
    let majority = source.rows.max(target.rows) as f64 / all as f64;
    let p = upper_tail(right, all, majority);
    let weights = if p > LEVEL {
        Err(format!("a classifier does not tell the domains apart (p = {p:.2}): there is nothing to weight"))
    } else if effective < LEAST_EFFECTIVE {
        Err(format!(
            "the weights leave an effective {:.0} % of the source, less than {:.0} %: the domains hardly overlap",
            100.0 * effective,
            100.0 * LEAST_EFFECTIVE
        ))
    } else if mass < LEAST_MASS {
        Err(format!("the mean density ratio is {mass:.2}, not 1: the source has next to nothing of the target"))
    } else {
        Ok(ratios.iter().map(|ratio| ratio * n / sum).collect())
    };
    Ok(Importance { ratios, clipped, effective, mass, accuracy: right as f64 / all as f64, majority, p, weights })
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution, StandardNormal};

    use super::*;
    use crate::progress::Silent;
    use crate::rng::rng;

    /// Standard normal rows of three columns, moved by `shift` in each.
    fn cloud(seed: u64, rows: usize, shift: f64) -> Features {
        let mut stream = rng(seed, "test", 0);
        let draw = |_| {
            let draw: f64 = StandardNormal.sample(&mut stream);
            (draw + shift) as f32
        };
        Features::new(rows, 3, (0..rows * 3).map(draw).collect()).unwrap()
    }

    #[test]
    fn the_weights_follow_the_true_density_ratio() {
        let (source, target) = (cloud(1, 1200, 0.0), cloud(2, 900, 0.4));
        let found = importance(&source, &target, 1, &Silent).unwrap();
        let weights = found.weights.unwrap();
        assert!((weights.iter().sum::<f64>() / 1200.0 - 1.0).abs() < 1e-12);
        // ln N(x; a, 1) - ln N(x; 0, 1) = a x - a² / 2 for every column.
        let truth: Vec<f64> =
            (0..1200).map(|i| source.row(i).iter().map(|&x| 0.4 * f64::from(x) - 0.08).sum()).collect();
        let logs: Vec<f64> = found.ratios.iter().map(|w| w.ln()).collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let (a, b) = (mean(&truth), mean(&logs));
        let product =
            |x: &[f64], mx: f64, y: &[f64], my: f64| -> f64 { x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum() };
        let correlation =
            product(&truth, a, &logs, b) / (product(&truth, a, &truth, a) * product(&logs, b, &logs, b)).sqrt();
        assert!(correlation > 0.95, "{correlation}");
        // The scale too, with domains of different size.
        assert!((a - b).abs() < 0.15, "{a} {b}");
        assert!(found.effective > 0.3 && found.effective < 0.9 && found.p < 1e-3, "{}", found.effective);
        assert!((found.majority - 1200.0 / 2100.0).abs() < 1e-12 && found.accuracy > found.majority);
        assert!(found.clipped < 30 && (0.8..1.2).contains(&found.mass));
    }

    #[test]
    fn domains_that_are_alike_or_apart_get_no_weights() {
        let source = cloud(1, 300, 0.0);
        let alike = importance(&source, &cloud(2, 300, 0.0), 1, &Silent).unwrap();
        assert!(alike.weights.unwrap_err().contains("does not tell"));
        let apart = importance(&source, &cloud(2, 300, 3.0), 1, &Silent).unwrap();
        assert!(apart.accuracy > 0.95 && apart.mass < 0.3, "{} {}", apart.accuracy, apart.mass);
        assert!(apart.weights.unwrap_err().contains("overlap"));
        let disjoint = importance(&source, &cloud(2, 300, 100.0), 1, &Silent).unwrap();
        assert!(disjoint.weights.is_err(), "{} {}", disjoint.effective, disjoint.mass);
        assert!(importance(&source, &Features::new(2, 2, vec![0.0; 4]).unwrap(), 1, &Silent).is_err());
    }
}
