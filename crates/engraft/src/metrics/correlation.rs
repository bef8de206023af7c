//! How sure a rank correlation is.

use super::interval::{Estimate, Z};
use super::regression::spearman;

/// Spearman's rank correlation and its 95 % interval: Fisher's transformation with the variance `(1 + r²/2) / (n - 3)` (Bonett and
/// Wright 2000, "Sample size requirements for estimating Pearson, Kendall and Spearman correlations", Psychometrika 65).
///
/// None for fewer than four pairs, or where one side is all the same. `how` says what is correlated.
pub(crate) fn rank_correlation(a: &[f64], b: &[f64], how: &str) -> Option<Estimate> {
    let n = a.len().min(b.len());
    let varies = |values: &[f64]| values.iter().any(|value| *value != values[0]);
    if n < 4 || !varies(a) || !varies(b) {
        return None;
    }
    let mean = spearman(a, b);
    let half = Z * ((1.0 + mean * mean / 2.0) / (n as f64 - 3.0)).sqrt();
    // The transformation has no end at 1.
    let centre = mean.clamp(-1.0 + 1e-12, 1.0 - 1e-12).atanh();
    let (low, high) = ((centre - half).tanh().min(mean), (centre + half).tanh().max(mean));
    Some(Estimate {
        mean,
        low,
        high,
        n,
        how: format!("{how}; interval by Fisher's transformation (Bonett and Wright 2000), 95 %"),
    })
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution, StandardNormal};

    use super::*;
    use crate::rng::rng;

    #[test]
    fn what_has_no_correlation_has_no_interval() {
        assert!(rank_correlation(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0], "").is_none());
        assert!(rank_correlation(&[1.0; 5], &[1.0, 2.0, 3.0, 4.0, 5.0], "").is_none());
        let same = rank_correlation(&[1.0, 2.0, 3.0, 4.0, 9.0], &[1.0, 2.0, 3.0, 4.0, 5.0], "x").unwrap();
        assert!((same.mean - 1.0).abs() < 1e-12 && same.low < 1.0 && same.low <= same.high && same.n == 5);
    }

    // Of pairs of normal numbers with correlation r Spearman's is 6/pi asin(r/2). One side is rounded to ten steps as ratings are.
    #[test]
    fn the_interval_holds_the_truth_as_often_as_it_says() {
        for (case, (n, r)) in
            [(30, 0.0), (30, 0.7), (65, 0.8), (203, 0.5), (353, 0.3), (353, 0.7)].into_iter().enumerate()
        {
            let truth = 6.0 / std::f64::consts::PI * f64::asin(r / 2.0);
            let mut stream = rng(case as u64, "test", 0);
            let mut held = 0;
            for _ in 0..1000 {
                let (mut a, mut b) = (Vec::new(), Vec::new());
                for _ in 0..n {
                    let (x, y): (f64, f64) = (StandardNormal.sample(&mut stream), StandardNormal.sample(&mut stream));
                    a.push(x);
                    b.push(((r * x + (1.0 - r * r).sqrt() * y) * 10.0).round());
                }
                let found = rank_correlation(&a, &b, "").unwrap();
                held += usize::from(found.low <= truth && truth <= found.high);
            }
            assert!((930..=975).contains(&held), "n {n}, r {r}: {held} of 1000");
        }
    }
}
