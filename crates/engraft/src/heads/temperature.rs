//! One number that makes probabilities honest.

use argmin::core::{CostFunction, Executor, State};
use argmin::solver::brent::BrentOpt;
use rayon::prelude::*;

use crate::error::{Error, Problem, Result};
use crate::metrics::classification::LOG_LOSS_FLOOR;

/// Least temperature considered.
pub(crate) const LEAST: f64 = 0.05;
/// Greatest temperature considered.
pub(crate) const GREATEST: f64 = 20.0;

/// The temperature `T` in [`LEAST`]..[`GREATEST`] that minimises the mean of `-ln softmax(z / T)[label]` (Guo, Pleiss,
/// Sun and Weinberger, 2017, "On calibration of modern neural networks"), by Brent's method on `ln T`, in f64.
///
/// One more answer is counted that is right and wrong in equal shares over all classes (as Platt 1999 does for two): where
/// all of `n` answers are right, the temperature would fall without end, and the next mistake would cost without end.
///
/// `parts` are pairs of logits `[n, classes]` and labels `[n]`; without any example the temperature is 1.
pub(crate) fn temperature(parts: &[(&[f32], &[usize])], classes: usize) -> Result<f64> {
    if let Some((logits, labels)) =
        parts.iter().find(|(logits, labels)| labels.len().checked_mul(classes) != Some(logits.len()))
    {
        return Err(Error::Data(
            Problem::new("logits and labels do not belong together")
                .expected(format!("{classes} logits for each label"))
                .found(format!("{} logits and {} labels", logits.len(), labels.len())),
        ));
    }
    if parts.iter().all(|(_, labels)| labels.is_empty()) || classes == 0 {
        return Ok(1.0);
    }
    let failed = |source| Error::Training(Problem::new("no temperature was found").found(source));
    let search = BrentOpt::new(LEAST.ln(), GREATEST.ln()).set_tolerance(1e-6, 1e-6);
    let result = Executor::new(Curve { parts, classes }, search)
        .configure(|state| state.max_iters(100))
        .ctrlc(false)
        .timer(false)
        .run()
        .map_err(failed)?;
    let best: Option<&f64> = result.state().get_best_param();
    Ok(best.copied().unwrap_or(0.0).exp().clamp(LEAST, GREATEST))
}

struct Curve<'a> {
    parts: &'a [(&'a [f32], &'a [usize])],
    classes: usize,
}

impl CostFunction for Curve<'_> {
    type Param = f64;
    type Output = f64;

    fn cost(&self, log_temperature: &f64) -> std::result::Result<f64, argmin::core::Error> {
        let temperature = log_temperature.exp();
        let n: usize = self.parts.iter().map(|(_, labels)| labels.len()).sum();
        let mut sum = 0.0;
        for (logits, labels) in self.parts {
            // Sums of 256 rows each, added in order.
            let blocks: Vec<f64> = logits
                .par_chunks(256 * self.classes)
                .zip(labels.par_chunks(256))
                .map(|(logits, labels)| {
                    let rows = logits.chunks_exact(self.classes).zip(labels);
                    rows.map(|(row, &label)| {
                        let [right, any] = log_losses(row, label, temperature);
                        right + any / n as f64
                    })
                    .sum()
                })
                .collect();
            sum += blocks.iter().sum::<f64>();
        }
        Ok(sum / n as f64)
    }
}

/// `-ln softmax(z / T)` in nats, of the label and in the mean over all classes, each at most that of [`LOG_LOSS_FLOOR`].
fn log_losses(logits: &[f32], label: usize, temperature: f64) -> [f64; 2] {
    let most = logits.iter().fold(f32::NEG_INFINITY, |most, &z| most.max(z));
    let scaled = |z: f32| (f64::from(z) - f64::from(most)) / temperature;
    let sum: f64 = logits.iter().map(|&z| scaled(z).exp()).sum();
    let mean = logits.iter().map(|&z| scaled(z)).sum::<f64>() / logits.len() as f64;
    let most = -LOG_LOSS_FLOOR.ln();
    [(sum.ln() - scaled(logits[label])).min(most), (sum.ln() - mean).min(most)]
}

/// `-ln softmax(z / T)[label]` in nats, at most that of [`LOG_LOSS_FLOOR`].
pub(super) fn log_loss(logits: &[f32], label: usize, temperature: f64) -> f64 {
    let most = logits.iter().fold(f32::NEG_INFINITY, |most, &z| most.max(z));
    let scaled = |z: f32| (f64::from(z) - f64::from(most)) / temperature;
    let sum: f64 = logits.iter().map(|&z| scaled(z).exp()).sum();
    (sum.ln() - scaled(logits[label])).min(-LOG_LOSS_FLOOR.ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two classes; `right` of 100 answers are right, all with a logit of `z` against 0.
    fn answers(z: f32, right: usize) -> (Vec<f32>, Vec<usize>) {
        ([z, 0.0].repeat(100), (0..100).map(|i| usize::from(i >= right)).collect())
    }

    #[test]
    fn confidence_becomes_the_share_of_right_answers() {
        // 80 of 100, and one more in halves: softmax([z / T, 0])[0] = 80.5 / 101 where z / T = ln(80.5 / 20.5).
        for z in [0.3f32, 1.0, 5.0] {
            let (logits, labels) = answers(z, 80);
            let t = temperature(&[(&logits, &labels)], 2).unwrap();
            assert!((t - f64::from(z) / (80.5f64 / 20.5).ln()).abs() < 1e-4 * t, "{t}");
        }
    }

    #[test]
    fn the_temperature_stays_within_its_bounds() {
        // All right: no surer than 100.5 to 0.5.
        let (logits, labels) = answers(1.0, 100);
        let t = temperature(&[(&logits, &labels)], 2).unwrap();
        assert!((t - 1.0 / 201f64.ln()).abs() < 1e-4, "{t}");
        let (logits, labels) = answers(1.0, 20);
        assert!(temperature(&[(&logits, &labels)], 2).unwrap() > 19.9);
        assert_eq!(temperature(&[], 2).unwrap(), 1.0);
        assert!(temperature(&[(&logits, &labels[1..])], 2).is_err());
    }
}
