//! Calibration for label shift: a temperature, and a bias for each class.

use faer::{Mat, MatRef};

use crate::error::{Error, Problem, Result};
use crate::heads::axes::gram;
#[cfg(test)]
use crate::heads::softmax;
use crate::heads::temperature::{GREATEST, LEAST};
use crate::similarity::moments::check_labels;
use crate::similarity::symmetric::{cholesky, mirror, solve};

/// Steps of Newton's method at most; about ten are needed.
const MOST_STEPS: usize = 100;

/// Logits that give these probabilities back: their logarithms, none below that of 1e-15.
pub(crate) fn log_probabilities(probabilities: &[f32]) -> Vec<f64> {
    probabilities.iter().map(|&p| f64::from(p).max(1e-15).ln()).collect()
}

/// Bias-corrected temperature scaling: `softmax(z / T + b)`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BiasedTemperature {
    /// `T`, within the bounds of [`crate::heads::temperature`].
    pub(crate) temperature: f64,
    /// `b`, `[classes]`, of sum 0.
    pub(crate) biases: Vec<f64>,
}

impl BiasedTemperature {
    /// Minimises the mean of `-ln softmax(z / T + b)[label]` over `1/T` and `b`, in which it is convex, by Newton's method
    /// (Alexandari, Kundaje and Shrikumar, 2020, "Maximum likelihood with bias-corrected calibration is hard-to-beat at
    /// label shift adaptation", ICML).
    ///
    /// As for [`crate::heads::temperature::temperature`] one more answer is counted that is right and wrong in equal shares
    /// over all classes and examples, without which there is no minimum where all answers are right.
    ///
    /// `logits` are out of fold, `[rows, classes]`; `labels` `[rows]`.
    ///
    /// # Errors
    /// [`Error::Data`] where they do not belong together or are not finite.
    pub(crate) fn fit(logits: &[f64], labels: &[usize], classes: usize) -> Result<Self> {
        check_labels(labels, labels.len(), classes)?;
        if labels.is_empty() || labels.len().checked_mul(classes) != Some(logits.len()) {
            return Err(Error::Data(
                Problem::new("logits and labels do not belong together")
                    .expected(format!("{classes} logits for each label, at least one"))
                    .found(format!("{} logits and {} labels", logits.len(), labels.len())),
            ));
        }
        if logits.iter().any(|z| !z.is_finite()) {
            return Err(Error::Data(Problem::new("a logit is not a finite number").expected("finite numbers")));
        }
        let curve = Curve::new(logits, labels, classes);
        let mut at = vec![0.0; classes + 1];
        at[0] = 1.0;
        curve.minimise(&mut at, true)?;
        let bounded = at[0].clamp(1.0 / GREATEST, 1.0 / LEAST);
        if bounded != at[0] {
            // Convex: where the minimum is outside, that within the bounds is on the bound.
            at[0] = bounded;
            curve.minimise(&mut at, false)?;
        }
        Ok(Self { temperature: 1.0 / at[0], biases: at[1..].to_vec() })
    }

    /// `softmax(z / T + b)` of logits `[rows, classes]`.
    #[cfg(test)]
    pub(crate) fn probabilities(&self, logits: &[f64]) -> Vec<f64> {
        let scaled =
            |row: &[f64]| -> Vec<f64> { row.iter().zip(&self.biases).map(|(z, b)| z / self.temperature + b).collect() };
        logits.chunks_exact(self.biases.len()).flat_map(|row| softmax(&scaled(row), 1.0)).collect()
    }
}

/// The mean log-loss as a function of `[1/T, b]`.
struct Curve<'a> {
    /// Logits less their mean in each row, `[rows, classes]`.
    logits: Vec<f64>,
    labels: &'a [usize],
    classes: usize,
}

impl<'a> Curve<'a> {
    fn new(logits: &[f64], labels: &'a [usize], classes: usize) -> Self {
        let centred = |row: &[f64]| {
            let mean = row.iter().sum::<f64>() / classes as f64;
            row.iter().map(move |z| z - mean).collect::<Vec<_>>()
        };
        Self { logits: logits.chunks_exact(classes).flat_map(centred).collect(), labels, classes }
    }

    /// What each row weighs: its answer, and its share of the one that is right and wrong.
    fn weight(&self) -> f64 {
        1.0 + 1.0 / self.labels.len() as f64
    }

    /// Mean loss and the probabilities of all rows. The logits have mean 0, and so, in `at`, have the biases.
    fn loss(&self, at: &[f64]) -> (f64, Vec<f64>) {
        let mut probabilities = Vec::with_capacity(self.logits.len());
        let mut loss = 0.0;
        for (row, &label) in self.logits.chunks_exact(self.classes).zip(self.labels) {
            let scaled: Vec<f64> = row.iter().zip(&at[1..]).map(|(z, b)| at[0] * z + b).collect();
            let most = scaled.iter().fold(f64::NEG_INFINITY, |most, &z| most.max(z));
            let sum: f64 = scaled.iter().map(|z| (z - most).exp()).sum();
            loss += self.weight() * (most + sum.ln()) - scaled[label];
            probabilities.extend(scaled.iter().map(|z| (z - most).exp() / sum));
        }
        (loss / self.labels.len() as f64, probabilities)
    }

    /// Gradient and Hessian, `[1 + classes]` and `[1 + classes, 1 + classes]`, of the mean loss.
    fn slope(&self, probabilities: &[f64]) -> (Vec<f64>, Mat<f64>) {
        let (n, classes) = (self.labels.len() as f64, self.classes);
        let mut gradient = vec![0.0; classes + 1];
        let mut hessian = Mat::<f64>::zeros(classes + 1, classes + 1);
        let any = 1.0 / (n * classes as f64);
        let rows = self.logits.chunks_exact(classes).zip(probabilities.chunks_exact(classes)).zip(self.labels);
        for ((z, p), &label) in rows {
            let mean: f64 = z.iter().zip(p).map(|(z, p)| z * p).sum();
            for class in 0..classes {
                let residual = self.weight() * p[class] - any - f64::from(u8::from(class == label));
                gradient[1 + class] += residual / n;
                gradient[0] += residual * z[class] / n;
                let curvature = self.weight() * p[class] / n;
                hessian[(1 + class, 1 + class)] += curvature;
                hessian[(1 + class, 0)] += curvature * (z[class] - mean);
                hessian[(0, 0)] += curvature * (z[class] - mean).powi(2);
            }
        }
        let table = MatRef::from_row_major_slice(probabilities, self.labels.len(), classes);
        let mut inner = hessian.as_mut().get_mut(1.., 1..);
        gram(inner.as_mut(), table.transpose(), -self.weight() / n);
        // A constant added to all biases changes nothing; this keeps it at 0 and the matrix positive definite.
        for row in 0..classes {
            for column in 0..=row {
                inner[(row, column)] += 1.0 / classes as f64;
            }
        }
        for at in 0..=classes {
            hessian[(at, at)] += 1e-12;
        }
        (gradient, hessian)
    }

    /// Newton's method with steps halved until the loss falls enough; `free` is whether `1/T` moves.
    fn minimise(&self, at: &mut Vec<f64>, free: bool) -> Result<()> {
        let (mut loss, mut probabilities) = self.loss(at);
        for _ in 0..MOST_STEPS {
            let (mut gradient, mut hessian) = self.slope(&probabilities);
            if !free {
                gradient[0] = 0.0;
                (1..=self.classes).for_each(|row| hessian[(row, 0)] = 0.0);
            }
            mirror(&mut hessian);
            let mut step = Mat::from_fn(gradient.len(), 1, |row, _| -gradient[row]);
            solve(&cholesky(&hessian)?, &mut step);
            let slope: f64 = gradient.iter().enumerate().map(|(row, g)| g * step[(row, 0)]).sum();
            if slope > -1e-22 {
                break;
            }
            let mut length = 1.0;
            let moved = loop {
                let next: Vec<f64> = at.iter().enumerate().map(|(row, x)| x + length * step[(row, 0)]).collect();
                let (value, of_next) = self.loss(&next);
                if value <= loss + 1e-4 * length * slope {
                    break Some((next, value, of_next));
                }
                length /= 2.0;
                if length < 1e-10 {
                    break None;
                }
            };
            // Rounding is all that is left.
            let Some((next, value, of_next)) = moved else { break };
            (*at, loss, probabilities) = (next, value, of_next);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calibrated_probabilities_have_the_means_of_the_labels() {
        let z = |i: usize| ((i * 7919 + i * i * 31) % 1009) as f64 / 200.0;
        let labels: Vec<usize> = (0..300).map(|i| if i % 7 < 3 { 0 } else { i % 3 }).collect();
        let logits: Vec<f64> = (0..900).map(|at| z(at) + if at % 3 == labels[at / 3] { 2.0 } else { 0.0 }).collect();
        let fitted = BiasedTemperature::fit(&logits, &labels, 3).unwrap();
        let probabilities = fitted.probabilities(&logits);
        for class in 0..3 {
            let share = labels.iter().filter(|&&label| label == class).count() as f64;
            let mean: f64 = probabilities.iter().skip(class).step_by(3).sum::<f64>() * (1.0 + 1.0 / 300.0);
            assert!((mean - share - 1.0 / 3.0).abs() < 1e-8, "{class}: {mean} {share}");
        }
        assert!(fitted.biases.iter().sum::<f64>().abs() < 1e-9);
        // Scaled logits scale the temperature.
        let scaled: Vec<f64> = logits.iter().map(|z| 3.0 * z).collect();
        let again = BiasedTemperature::fit(&scaled, &labels, 3).unwrap();
        assert!((again.temperature - 3.0 * fitted.temperature).abs() < 1e-7 * again.temperature);
    }

    #[test]
    fn the_temperature_stays_within_its_bounds() {
        // All right, by logits that are all but equal, and all wrong.
        let logits: Vec<f64> = (0..200).map(|at| if at % 2 == at / 2 % 2 { 0.01 } else { 0.0 }).collect();
        let labels: Vec<usize> = (0..100).map(|i| i % 2).collect();
        let right = BiasedTemperature::fit(&logits, &labels, 2).unwrap();
        assert_eq!(right.temperature, LEAST);
        let labels: Vec<usize> = (0..100).map(|i| (i + 1) % 2).collect();
        assert_eq!(BiasedTemperature::fit(&logits, &labels, 2).unwrap().temperature, GREATEST);
        // Logits that say nothing, and a class without an example.
        let flat = BiasedTemperature::fit(&[1.0; 300], &labels, 3).unwrap();
        assert!(flat.biases.iter().all(|b| b.is_finite()) && flat.biases[2] < -3.0, "{flat:?}");
        assert!(BiasedTemperature::fit(&logits, &labels[1..], 2).is_err());
        assert!(BiasedTemperature::fit(&[f64::NAN, 0.0], &[0], 2).is_err());
        assert!(BiasedTemperature::fit(&logits, &labels, 1).is_err());
    }

    #[test]
    fn logarithms_give_the_probabilities_back() {
        let logits = log_probabilities(&[0.7, 0.3, 0.0, 1.0]);
        assert!(logits.iter().all(|z| z.is_finite()));
        assert!((softmax(&logits[..2], 1.0)[0] - 0.7).abs() < 1e-6);
    }
}
