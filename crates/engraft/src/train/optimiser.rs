//! What moves the parameters: stochastic gradient descent with momentum, and AdamW, with a rule for each parameter.
//!
//! Ours, because a transfer needs what Burn's optimisers do not have together: a rate for each stage, a pull towards the
//! base's weights, stages that begin to learn later, and a state that comes back to the bit from a checkpoint.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::prelude::*;
use burn::tensor::TensorData;
use rayon::prelude::*;

pub use crate::settings::Optimiser;
use crate::train::values::{BLOCK, Gradients, axes_of, numbers};

const MOMENTUM: f32 = 0.9;
const BETAS: [f32; 2] = [0.9, 0.999];
const EPSILON: f32 = 1e-8;

/// How one parameter is moved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// Factor of the learning rate.
    pub(crate) rate: f64,
    /// Pull towards zero.
    pub(crate) weight_decay: f64,
    /// Pull towards where it was when it began to learn: L2-SP (Li et al. 2018, equation 3).
    pub(crate) anchor: f64,
}

/// The rule of each parameter, by identity. What has no rule is not moved.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules(pub BTreeMap<u64, Rule>);

impl Rules {
    /// One rule for all parameters of a model, but no decay for those of one axis (norms and biases).
    pub fn all<M: Module>(model: &M, weight_decay: f64) -> Self {
        let rule =
            |axes: usize| Rule { rate: 1.0, weight_decay: if axes > 1 { weight_decay } else { 0.0 }, anchor: 0.0 };
        Self(axes_of(model).into_iter().map(|(id, axes)| (id, rule(axes))).collect())
    }
}

/// The model with gradients for those parameters alone that have a rule: nothing is computed for the others.
pub(super) fn learning<M: Module>(model: M, rules: &Rules) -> M {
    struct Freeze<'a>(&'a Rules);
    impl ModuleMapper for Freeze<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if self.0.0.contains_key(&param.id.val()) { param } else { param.set_require_grad(false) }
        }
    }
    model.map(&mut Freeze(rules))
}

/// What the optimiser remembers of one parameter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Slot {
    /// Steps it has taken: a stage that begins to learn later has its own count.
    pub(crate) steps: u64,
    /// Mean of the gradients, or momentum.
    pub(crate) first: Vec<f32>,
    /// Mean of their squares (AdamW).
    pub(crate) second: Vec<f32>,
    /// Where it was before its first step, where it is pulled there.
    pub(crate) anchor: Vec<f32>,
}

/// What the optimiser remembers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory(pub BTreeMap<u64, Slot>);

impl Optimiser {
    /// One step at learning rate `lr`. Parameters without gradient or without rule stay as they are, to the bit.
    pub fn step<M: Module>(self, memory: &mut Memory, model: M, gradients: &Gradients, lr: f64, rules: &Rules) -> M {
        struct Move<'a> {
            optimiser: Optimiser,
            memory: &'a mut Memory,
            gradients: &'a Gradients,
            lr: f64,
            rules: &'a Rules,
        }
        impl ModuleMapper for Move<'_> {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                let id = param.id.val();
                let (Some(rule), Some(gradient)) = (self.rules.0.get(&id), self.gradients.0.get(&id)) else {
                    return param;
                };
                let (id, tensor, mapper) = param.consume();
                let (dims, device, learns) = (tensor.dims(), tensor.device(), tensor.is_require_grad());
                // Nobody else has the tensor now: its numbers change where they lie.
                let mut values = numbers(tensor);
                let slot = self.memory.0.entry(id.val()).or_default();
                self.optimiser.step_one(slot, &mut values, gradient, self.lr, *rule);
                let moved = Tensor::from_data(TensorData::new(values, dims), &device).set_require_grad(learns);
                Param::from_mapped_value(id, moved, mapper)
            }
        }
        model.map(&mut Move { optimiser: self, memory, gradients, lr, rules })
    }

    fn step_one(self, slot: &mut Slot, values: &mut [f32], gradient: &[f32], lr: f64, rule: Rule) {
        if slot.steps == 0 {
            slot.first = vec![0.0; values.len()];
            if self == Optimiser::AdamW {
                slot.second = vec![0.0; values.len()];
            }
        }
        if rule.anchor > 0.0 && slot.anchor.is_empty() {
            slot.anchor = values.to_vec();
        }
        slot.steps += 1;
        let step = Step {
            lr: (lr * rule.rate) as f32,
            decay: rule.weight_decay as f32,
            anchor: rule.anchor as f32,
            correct: BETAS.map(|beta| 1.0 / (1.0 - f64::from(beta).powi(slot.steps.min(100_000) as i32)) as f32),
        };
        let Slot { first, second, anchor, .. } = slot;
        let blocks = values.par_chunks_mut(BLOCK).zip(gradient.par_chunks(BLOCK)).zip(first.par_chunks_mut(BLOCK));
        // A pull of nothing has no anchor to pull to.
        let anchors = |block: usize| anchor.get(block * BLOCK..).unwrap_or_default();
        match self {
            Optimiser::Sgd => blocks.enumerate().for_each(|(block, ((values, gradient), first))| {
                step.sgd(values, gradient, first, anchors(block));
            }),
            Optimiser::AdamW => blocks.zip(second.par_chunks_mut(BLOCK)).enumerate().for_each(
                |(block, (((values, gradient), first), second))| {
                    step.adamw(values, gradient, first, second, anchors(block));
                },
            ),
        }
    }
}

/// One step of one parameter.
struct Step {
    lr: f32,
    decay: f32,
    anchor: f32,
    correct: [f32; 2],
}

impl Step {
    fn pull(&self, value: f32, anchors: &[f32], at: usize) -> f32 {
        let to_anchor = anchors.get(at).map_or(0.0, |anchor| self.anchor * (value - anchor));
        self.decay * value + to_anchor
    }

    fn sgd(&self, values: &mut [f32], gradient: &[f32], first: &mut [f32], anchors: &[f32]) {
        if anchors.is_empty() {
            // The usual case, without a question at every number: this loop becomes vectors.
            for ((value, gradient), first) in values.iter_mut().zip(gradient).zip(first) {
                *first = MOMENTUM * *first + (gradient + self.decay * *value);
                *value -= self.lr * *first;
            }
            return;
        }
        for (at, ((value, gradient), first)) in values.iter_mut().zip(gradient).zip(first).enumerate() {
            *first = MOMENTUM * *first + (gradient + self.pull(*value, anchors, at));
            *value -= self.lr * *first;
        }
    }

    fn adamw(&self, values: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32], anchors: &[f32]) {
        let moments = first.iter_mut().zip(second);
        if anchors.is_empty() {
            // The usual case, as above.
            for ((value, gradient), (first, second)) in values.iter_mut().zip(gradient).zip(moments) {
                *value -= self.lr * (self.decay * *value);
                *value -= self.way(*gradient, first, second);
            }
            return;
        }
        for (at, ((value, gradient), (first, second))) in values.iter_mut().zip(gradient).zip(moments).enumerate() {
            *value -= self.lr * self.pull(*value, anchors, at);
            *value -= self.way(*gradient, first, second);
        }
    }

    /// Moves AdamW's moments by a gradient, and says how far they then move a number.
    #[inline(always)]
    fn way(&self, gradient: f32, first: &mut f32, second: &mut f32) -> f32 {
        *first = BETAS[0] * *first + (1.0 - BETAS[0]) * gradient;
        *second = BETAS[1] * *second + (1.0 - BETAS[1]) * gradient * gradient;
        let mean = *first * self.correct[0];
        self.lr * mean / ((*second * self.correct[1]).sqrt() + EPSILON)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::values::Values;

    /// Ten steps on a fixed sequence of gradients.
    fn run(optimiser: Optimiser, rule: Rule) -> Vec<f32> {
        let mut values = Values::from([(1, vec![0.5, -0.25, 1.0]), (2, vec![1.0])]);
        let mut memory = Memory::default();
        for step in 0..10 {
            let g = |k: usize| ((step * 7 + k * 3) % 5) as f32 * 0.25 - 0.4;
            let gradients = Gradients(Values::from([(1, vec![g(0), g(1), g(2)]), (2, vec![9.0])]));
            let slot = memory.0.entry(1).or_default();
            optimiser.step_one(slot, values.get_mut(&1).unwrap(), &gradients.0[&1], 0.1, rule);
        }
        assert_eq!(values[&2], [1.0]);
        values[&1].clone()
    }

    fn close(found: &[f32], expected: &[f64]) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 2e-6, "{found} against {expected}");
        }
    }

    // The numbers are PyTorch's: tests/fixtures/optimisers.py prints them.
    #[test]
    fn steps_are_those_of_pytorch() {
        let plain = Rule { rate: 1.0, weight_decay: 0.0, anchor: 0.0 };
        let decay = Rule { weight_decay: 0.05, ..plain };
        let slow = Rule { rate: 0.5, ..decay };
        close(&run(Optimiser::Sgd, plain), &SGD);
        close(&run(Optimiser::Sgd, decay), &SGD_DECAY);
        close(&run(Optimiser::AdamW, decay), &ADAMW_DECAY);
        close(&run(Optimiser::AdamW, slow), &ADAMW_HALF_RATE);
        close(&run(Optimiser::Sgd, Rule { anchor: 0.1, ..plain }), &SGD_L2_SP);
    }

    const SGD: [f64; 3] = [0.232124814, -0.664490531, 0.748264311];
    const SGD_DECAY: [f64; 3] = [0.133800963, -0.597094571, 0.554634337];
    const ADAMW_DECAY: [f64; 3] = [0.436955037, -0.529171553, 0.893307182];
    const ADAMW_HALF_RATE: [f64; 3] = [0.469140786, -0.391355913, 0.946846574];
    const SGD_L2_SP: [f64; 3] = [0.233866217, -0.629377137, 0.757079287];
}
