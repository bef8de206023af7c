//! Deep CORAL: covariances of the bottleneck's outputs that agree.

use burn::prelude::*;

use super::trained::{BothOutputs, DomainLoss, adapt_both};
use super::{Alignment, Domains, Outcome};
use crate::error::Result;

/// Deep CORAL (Sun and Saenko 2016, "Deep CORAL: correlation alignment for deep domain adaptation").
pub(super) struct DeepCoral;

impl Alignment for DeepCoral {
    fn name(&self) -> &'static str {
        "deep-coral"
    }

    fn is_trained(&self) -> bool {
        true
    }

    fn adapt(&self, domains: &Domains<'_>) -> Result<Outcome> {
        adapt_both(domains, |_, _| None, |_| Box::new(Covariances))
    }
}

struct Covariances;

impl DomainLoss for Covariances {
    fn loss(&self, both: &BothOutputs<'_>) -> Tensor<1> {
        covariance_distance(both.source.features.clone(), both.target.features.clone())
    }

    /// As large as the cross-entropy: the paper wants both about equal (section 4.1), and the divisor `4 d²` says nothing of the
    /// scale of features.
    fn weight(&self, cross_entropy: f64, domain: f64) -> f64 {
        if domain > 0.0 { cross_entropy / domain } else { 0.0 }
    }
}

/// `|C_s - C_t|² / (4 d²)` (Frobenius norm) for the covariances, with divisor `n - 1`, of `[n_s, d]` and `[n_t, d]`: equations 1
/// to 3 of the paper. 0 for a single row, which has no covariance.
pub(super) fn covariance_distance(source: Tensor<2>, target: Tensor<2>) -> Tensor<1> {
    let width = source.dims()[1] as f64;
    let covariance = |x: Tensor<2>| {
        let rows = x.dims()[0];
        let centred = x.clone() - x.mean_dim(0);
        centred.clone().transpose().matmul(centred).div_scalar((rows.max(2) - 1) as f64)
    };
    (covariance(source) - covariance(target)).square().sum().div_scalar(4.0 * width * width)
}
