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
    Some(Estimate { mean, low, high, n, how: format!("{how}; interval by Fisher's transformation (Bonett and Wright 2000), 95 %") })
}
