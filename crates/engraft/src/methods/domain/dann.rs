//! DANN: outputs of the bottleneck by which a discriminator cannot tell the domains apart.

use burn::prelude::*;

use super::discriminator::{Discriminator, Side, reversed, told_apart};
use super::trained::{BothOutputs, DomainLoss, adapt_both};
use super::{Alignment, Domains, Outcome};
use crate::error::Result;

/// Domain-adversarial training (Ganin et al. 2016, "Domain-adversarial training of neural networks").
pub(super) struct Dann;

impl Alignment for Dann {
    fn name(&self) -> &'static str {
        "dann"
    }

    fn is_trained(&self) -> bool {
        true
    }

    fn adapt(&self, domains: &Domains<'_>) -> Result<Outcome> {
        adapt_both(
            domains,
            |frame, device| Some(Discriminator::new(frame.width(), domains.seed, device)),
            |_| Box::new(Adversary),
        )
    }
}

pub(super) struct Adversary;

impl DomainLoss for Adversary {
    /// The discriminator's cross-entropy, the mean of both domains. The discriminator descends it; the bottleneck, behind the
    /// reversal, ascends it. The factor of the reversal is the only weight.
    fn loss(&self, both: &BothOutputs<'_>) -> Tensor<1> {
        let discriminator = both.discriminator.expect("an adversarial training has a discriminator");
        let side = |features: &Tensor<2>, side| {
            told_apart(discriminator.logits(reversed(features.clone(), both.reversal)), side, None)
        };
        let losses = side(&both.source.features, Side::Source) + side(&both.target.features, Side::Target);
        losses.div_scalar(2.0)
    }
}
