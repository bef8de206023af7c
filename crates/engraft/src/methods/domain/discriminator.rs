//! The adversary of the adversarial methods: a classifier of domains, and the reversal of its gradient.

use burn::module::Module;
use burn::prelude::*;
use burn::tensor::Device;
use burn::tensor::activation::log_softmax;
use engraft_kernels::Activation;

use super::dense::Dense;

/// Units of the hidden layer. The papers have two layers of 1,024 on features of fine-tuned networks; a linear bottleneck has
/// less to hide, and four times the time is not paid back.
const HIDDEN: usize = 256;
/// How steeply the reversal rises (Ganin et al. 2016, section 5.2.2).
const STEEPNESS: f64 = 10.0;

/// One hidden layer of rectified units, and two outputs: source and target.
///
/// The last layer begins with zeros: both domains are then equally likely for every example, and the loss is ln 2.
#[derive(Module, Debug)]
pub(super) struct Discriminator {
    hidden: Dense,
    output: Dense,
}

/// A side of a discriminator.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Source = 0,
    Target = 1,
}

impl Discriminator {
    pub(super) fn new(inputs: usize, seed: u64, device: &Device) -> Self {
        let hidden = Dense::random("discriminator.hidden", [inputs, HIDDEN], seed, device);
        let output = Dense::new("discriminator.output", vec![0.0; 2 * HIDDEN], vec![0.0; 2], device);
        Self { hidden, output }
    }

    /// Of given layers, `[inputs, hidden]` and `[hidden, 2]`.
    #[cfg(test)]
    pub(super) fn of(hidden: Dense, output: Dense) -> Self {
        Self { hidden, output }
    }

    /// `[n, inputs]` to logits of the two domains, `[n, 2]`.
    pub(super) fn logits(&self, x: Tensor<2>) -> Tensor<2> {
        self.output.forward(self.hidden.forward(x, Activation::Relu), Activation::None)
    }
}

/// Cross-entropy of examples that are all of one domain: `-sum_i w_i ln softmax(logits_i)[side]`, with weights `[n, 1]` of sum
/// 1, or the mean over examples.
pub(super) fn told_apart(logits: Tensor<2>, side: Side, weights: Option<Tensor<2>>) -> Tensor<1> {
    let log = log_softmax(logits, 1).narrow(1, side as usize, 1);
    match weights {
        None => log.mean().neg(),
        Some(weights) => (log * weights).sum().neg(),
    }
}

/// The identity, whose gradient is multiplied by `-factor` (the gradient reversal layer of Ganin et al. 2016, equations 17 and
/// 18).
pub(super) fn reversed(x: Tensor<2>, factor: f64) -> Tensor<2> {
    let constant = x.clone().detach();
    // `constant - x` is exactly zero, so that the bits of `x` go through.
    constant.clone() + (constant - x).mul_scalar(factor)
}

/// The factor of the reversal when the share `progress` of a training is done: `2 / (1 + exp(-10 p)) - 1`, from 0 to nearly 1, so
/// that the discriminator learns before it is obeyed.
pub(super) fn reversal(progress: f64) -> f64 {
    2.0 / (1.0 + (-STEEPNESS * progress).exp()) - 1.0
}
