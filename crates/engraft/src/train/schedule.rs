//! Learning rate schedules: pure functions of the step.

use std::f64::consts::PI;

/// Linear warm-up, then half a cosine down to zero (Loshchilov and Hutter 2017, equation 5, one cycle).
///
/// A factor of the peak rate for `step` of `total`, of which the first `warmup` rise.
///
/// ```
/// use engraft::train::cosine_with_warmup as factor;
/// assert_eq!(factor(0, 100, 10), 0.1);
/// assert_eq!(factor(9, 100, 10), 1.0);
/// assert!((factor(55, 100, 10) - 0.5).abs() < 1e-12);
/// assert!(factor(99, 100, 10) < 0.001);
/// ```
pub fn cosine_with_warmup(step: u64, total: u64, warmup: u64) -> f64 {
    if step < warmup {
        return (step + 1) as f64 / warmup as f64;
    }
    let done = (step - warmup) as f64 / (total.saturating_sub(warmup)).max(1) as f64;
    0.5 * (1.0 + (PI * done.min(1.0)).cos())
}
