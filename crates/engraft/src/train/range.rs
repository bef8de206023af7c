//! The rate finder: how the loss answers to a rate that grows from step to step (Smith 2017, section 3.3).

use serde::Serialize;

use crate::error::Result;
use crate::progress::Observer;
use crate::rng::permutation;
use crate::train::optimiser::Memory;
use crate::train::state::State;
use crate::train::steps::{Settings, Task, run_batch};

/// The least and the greatest rate.
const RANGE: [f64; 2] = [1e-7, 10.0];
/// Steps from the least to the greatest.
const STEPS: u64 = 100;
/// Share of the smoothed loss that stays from step to step.
const SMOOTH: f64 = 0.9;
/// The loss has exploded when it is this much above the best.
const EXPLODED: f64 = 4.0;

/// One step of the search.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RatePoint {
    /// The rate of the step.
    pub lr: f64,
    /// The loss before the step, smoothed over the steps so far.
    pub loss: f64,
}

/// What the search found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RateFinding {
    /// The curve, up to where the loss exploded.
    pub curve: Vec<RatePoint>,
    /// The rate where the loss falls fastest, on the longest fall: within what trains, and below what explodes.
    pub steepest: Option<f64>,
    /// A tenth of the rate with the least loss.
    pub tenth_of_least: Option<f64>,
}

/// Trains a copy of `model` at rates from 1e-7 to 10, a hundred steps or until the loss explodes. The model that is
/// given stays as it is.
pub(crate) fn find_lr<T: Task>(
    task: &mut T,
    model: &T::Model,
    settings: &Settings,
    observer: &dyn Observer,
) -> Result<RateFinding> {
    settings.validate()?;
    let mut model = model.clone();
    let mut memory = Memory::default();
    // As at the end of a training: everything that will learn, learns.
    let last = settings.epochs - 1;
    task.begin(last)?;
    task.refresh(&model)?;
    let rules = task.rules(&model, last, settings.weight_decay);
    let (mut curve, mut mean, mut best) = (Vec::new(), 0.0, f64::INFINITY);
    observer.begin("rates", STEPS, "steps");
    let mut order: Vec<usize> = Vec::new();
    for step in 0..STEPS {
        observer.check()?;
        if order.len() < settings.batch_size.min(task.len()) {
            order.extend(permutation(task.len(), settings.seed, "rates", step));
        }
        let batch: Vec<usize> = order.drain(..settings.batch_size.min(order.len())).collect();
        let lr = RANGE[0] * (RANGE[1] / RANGE[0]).powf(step as f64 / (STEPS - 1) as f64);
        let state = State { step, epoch: last, ..State::default() };
        let Ok(result) = run_batch(task, &model, &batch, &rules, &state, settings) else { break };
        mean = SMOOTH * mean + (1.0 - SMOOTH) * result.score.loss;
        let loss = mean / (1.0 - SMOOTH.powi(step as i32 + 1));
        if step > 0 && loss > EXPLODED * best {
            break;
        }
        best = best.min(loss);
        curve.push(RatePoint { lr, loss });
        model = settings.optimiser.step(&mut memory, model, &result.gradients, lr, &rules);
        observer.advance(1);
    }
    observer.end();
    Ok(RateFinding { steepest: steepest(&curve), tenth_of_least: least(&curve).map(|lr| lr / 10.0), curve })
}

fn least(curve: &[RatePoint]) -> Option<f64> {
    curve.iter().min_by(|a, b| a.loss.total_cmp(&b.loss)).map(|point| point.lr)
}

/// Two thirds of the way down the longest fall, on the scale of the logarithm (as fastai's `valley`).
fn steepest(curve: &[RatePoint]) -> Option<f64> {
    let mut longest = 0..0;
    let mut begin = 0;
    for at in 1..=curve.len() {
        if at == curve.len() || curve[at].loss >= curve[at - 1].loss {
            if at - begin > longest.len() {
                longest = begin..at;
            }
            begin = at;
        }
    }
    (longest.len() > 2).then(|| curve[longest.start + longest.len() * 2 / 3].lr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_valley_lies_on_the_longest_fall() {
        let losses = [1.0, 0.99, 1.0, 1.01, 0.9, 0.7, 0.5, 0.4, 0.35, 0.33, 0.5, 1.2];
        let curve: Vec<RatePoint> = losses
            .iter()
            .enumerate()
            .map(|(at, loss)| RatePoint { lr: 10f64.powi(at as i32 - 8), loss: *loss })
            .collect();
        assert_eq!(steepest(&curve), Some(10f64.powi(-1)));
        assert_eq!(least(&curve), Some(10f64.powi(1)));
        assert_eq!(steepest(&curve[..1]), None);
        assert_eq!(steepest(&[]), None);
    }
}
