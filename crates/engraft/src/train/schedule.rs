//! Learning rate schedules: pure functions of the step, so that nothing has to be remembered to go on after a stop.

use std::f64::consts::PI;

pub use crate::settings::Schedule;

impl Schedule {
    /// A factor of the peak rate for `step` of `total`, counted from 0, of which the first `warmup` rise.
    ///
    /// ```
    /// use engraft::train::Schedule;
    /// assert_eq!(Schedule::Cosine.factor(0, 100, 10), 0.1);
    /// assert_eq!(Schedule::Cosine.factor(9, 100, 10), 1.0);
    /// assert!((Schedule::Cosine.factor(55, 100, 10) - 0.5).abs() < 1e-12);
    /// assert_eq!(Schedule::SlantedTriangular.factor(10, 100, 10), 1.0);
    /// assert_eq!(Schedule::Step.factor(80, 100, 0), 0.01);
    /// ```
    pub fn factor(self, step: u64, total: u64, warmup: u64) -> f64 {
        let (at, whole, up) = (step as f64, total as f64, warmup as f64);
        // Share of the way down that is done.
        let down = ((at - up) / (whole - up).max(1.0)).clamp(0.0, 1.0);
        match self {
            Self::SlantedTriangular => {
                let height = if at < up { at / up } else { 1.0 - down };
                (1.0 + height * 31.0) / 32.0
            }
            Self::OneCycle => {
                // PyTorch counts the last step of either way as its end.
                let top = (up - 1.0).max(0.0);
                let between = |from: f64, to: f64, share: f64| to + (from - to) / 2.0 * (1.0 + (PI * share).cos());
                if at <= top {
                    between(1.0 / 25.0, 1.0, if top > 0.0 { at / top } else { 1.0 })
                } else {
                    between(1.0, 1.0 / 250_000.0, (at - top) / (whole - 1.0 - top).max(1.0))
                }
            }
            _ if step < warmup => (at + 1.0) / up,
            Self::Constant => 1.0,
            Self::Cosine => 0.5 * (1.0 + (PI * down).cos()),
            Self::Step => match at / whole.max(1.0) {
                share if share >= 0.75 => 0.01,
                share if share >= 0.5 => 0.1,
                _ => 1.0,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cycle_is_that_of_pytorch() {
        // torch.optim.lr_scheduler.OneCycleLR(max_lr=1, total_steps=10, pct_start=0.3), the rate of each step.
        let expected =
            [0.04, 0.52, 1.0, 0.950484632, 0.811745654, 0.611262022, 0.388741978, 0.188258346, 0.049519368, 4e-6];
        for (step, expected) in expected.into_iter().enumerate() {
            let found = Schedule::OneCycle.factor(step as u64, 10, 3);
            assert!((found - expected).abs() < 1e-6, "step {step}: {found} against {expected}");
        }
    }

    #[test]
    fn every_schedule_stays_within_the_peak_and_ends_low() {
        for &schedule in Schedule::ALL {
            for (total, warmup) in [(1, 0), (1, 1), (2, 1), (100, 0), (100, 10), (100, 100)] {
                let factors: Vec<f64> = (0..total).map(|step| schedule.factor(step, total, warmup)).collect();
                assert!(factors.iter().all(|f| (0.0..=1.0 + 1e-12).contains(f)), "{schedule:?} {factors:?}");
                assert!(factors.iter().any(|f| *f > 0.0), "{schedule:?}: a training with no rate at all");
            }
            let last = schedule.factor(99, 100, 10);
            assert!(last < 0.05 || schedule == Schedule::Constant, "{schedule:?} ends at {last}");
        }
    }
}
