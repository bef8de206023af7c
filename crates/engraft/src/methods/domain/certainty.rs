//! Entropies of predictions, and weights of examples made of them.

use burn::prelude::*;
use burn::tensor::activation::log_softmax;

/// `H_i = -sum_k p_ik ln p_ik` for `p = softmax(logits)`: `[n, classes]` to `[n, 1]`.
pub(super) fn entropies(logits: Tensor<2>) -> Tensor<2> {
    let log = log_softmax(logits, 1);
    (log.clone().exp() * log).sum_dim(1).neg()
}

/// `1 + exp(-H_i)`, divided by its sum over the examples: `[n, classes]` to `[n, 1]` of sum 1. Certain predictions weigh up to
/// twice as much as uncertain ones (Long et al. 2018, equation 9).
///
/// They are constants: a gradient through them would let a network shift weight away from what it gets wrong.
pub(super) fn certainty_weights(logits: Tensor<2>) -> Tensor<2> {
    let weights = entropies(logits.detach()).neg().exp().add_scalar(1.0);
    let sum = weights.clone().sum().reshape([1, 1]);
    (weights / sum).detach()
}
