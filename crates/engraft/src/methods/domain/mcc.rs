//! MCC: predictions on the target that confuse classes as little as possible.

use burn::prelude::*;
use burn::tensor::activation::softmax;

use super::certainty::certainty_weights;
use super::trained::{BothOutputs, DomainLoss, adapt_both};
use super::{Alignment, Domains, Outcome};
use crate::error::Result;

/// What divides the logits before confusion is measured (Jin et al. 2020, section 4.1).
pub(super) const TEMPERATURE: f64 = 2.5;
/// Keeps a class that nobody is likely to be of from dividing by zero.
const LEAST: f64 = 1e-12;

/// Minimum class confusion (Jin, Wang, Long and Wang 2020, "Minimum class confusion for versatile domain adaptation").
pub(super) struct Mcc;

impl Alignment for Mcc {
    fn name(&self) -> &'static str {
        "mcc"
    }

    fn is_trained(&self) -> bool {
        true
    }

    fn adapt(&self, domains: &Domains<'_>) -> Result<Outcome> {
        adapt_both(domains, |_, _| None, |_| Box::new(Confusion))
    }
}

struct Confusion;

impl DomainLoss for Confusion {
    fn loss(&self, both: &BothOutputs<'_>) -> Tensor<1> {
        class_confusion(both.target.logits.clone(), TEMPERATURE)
    }
}

/// Confusion of classes of logits `[n, classes]`.
///
/// With `Y = softmax(logits / T)` and weights `w_i` of the examples, `n` times those of [`certainty_weights`], the confusion of
/// classes is `C = Y' diag(w) Y`, whose rows are divided by their sums; the loss is the sum of what is off the diagonal, divided
/// by the number of classes (equations 2 to 6 of the paper): 0 for certain predictions, `(K - 1) / K` for uniform ones.
///
/// Rows of `Y` have sum 1, so that row `k` of `C` has the sum `sum_i w_i y_ik`: only the diagonal has to be computed.
pub(super) fn class_confusion(logits: Tensor<2>, temperature: f64) -> Tensor<1> {
    let logits = logits.div_scalar(temperature);
    let rows = logits.dims()[0] as f64;
    let weights = certainty_weights(logits.clone()).mul_scalar(rows);
    weighted_confusion(softmax(logits, 1), weights)
}

/// The same of probabilities `[n, classes]` and weights `[n, 1]`.
pub(super) fn weighted_confusion(probabilities: Tensor<2>, weights: Tensor<2>) -> Tensor<1> {
    let classes = probabilities.dims()[1] as f64;
    let weighted = probabilities.clone() * weights;
    let diagonal = (weighted.clone() * probabilities).sum_dim(0);
    let sums = weighted.sum_dim(0).add_scalar(LEAST);
    (diagonal / sums).sum().div_scalar(classes).neg().add_scalar(1.0)
}
