//! What learns: the stages of a base and a linear head, whatever the base reads.

use std::collections::BTreeMap;
use std::ops::Range;

use burn::module::Module;
use burn::tensor::Device;

use crate::bases::text::TextEncoder;
use crate::bases::{LoraConfig, Network};
use crate::error::{Error, Problem, Result};
use crate::heads::Linear;
use crate::methods::linear_head::LinearHead;
use crate::methods::plan::{Plan, Staged};
use crate::train::{Rule, Rules};

/// The stages of a base.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time is in memory, and a module cannot be boxed")]
pub enum Body {
    /// Of images.
    Network(Network),
    /// Of texts.
    Encoder(TextEncoder),
}

impl Staged for Body {
    fn depths(&self) -> &'static [&'static str] {
        match self {
            Body::Network(network) => network.depths(),
            Body::Encoder(encoder) => encoder.depths(),
        }
    }

    fn names(&self) -> Vec<String> {
        match self {
            Body::Network(network) => network.names(),
            Body::Encoder(encoder) => encoder.names(),
        }
    }

    fn axes(&self, stage: usize) -> BTreeMap<u64, usize> {
        match self {
            Body::Network(network) => network.axes(stage),
            Body::Encoder(encoder) => encoder.axes(stage),
        }
    }
}

impl Body {
    /// The same with low-rank factors in place of the weights of the stages that learn, and the rules of what then learns
    /// alone.
    ///
    /// # Errors
    /// [`Error::Usage`] where no stage that learns has a weight that factors could take the place of.
    pub(crate) fn adapted(self, how: LoraConfig, plan: &Plan, weight_decay: f64) -> Result<(Self, Rules)> {
        let all = 0..self.names().len();
        let before = self.all_axes(all.clone());
        let body = match self {
            Body::Network(network) => Body::Network(network.adapted(|stage| plan.stages[stage].learns.is_some(), how)),
            Body::Encoder(encoder) => Body::Encoder(encoder.adapted(how, plan.cut()..all.end)),
        };
        let rule = Rule { rate: 1.0, weight_decay, anchor: 0.0 };
        let new = body.all_axes(all).into_keys().filter(|id| !before.contains_key(id));
        let rules = Rules(new.map(|id| (id, rule)).collect());
        if rules.0.is_empty() {
            return Err(Error::Usage(
                Problem::new("there is nothing that low-rank factors could learn in place of")
                    .expected("linear layers or convolutions of one pixel in the stages that learn")
                    .found(plan.describe())
                    .hint("choose a deeper --depth, or leave out --lora"),
            ));
        }
        Ok((body, rules))
    }

    fn all_axes(&self, stages: Range<usize>) -> BTreeMap<u64, usize> {
        stages.flat_map(|stage| self.axes(stage)).collect()
    }

    /// Low-rank factors multiplied out.
    #[must_use]
    pub(crate) fn merged(self) -> Self {
        match self {
            Body::Network(network) => Body::Network(network.merged()),
            Body::Encoder(encoder) => Body::Encoder(encoder.merged()),
        }
    }

    /// The network of images, where it is one.
    pub(crate) fn network(&self) -> Option<&Network> {
        match self {
            Body::Network(network) => Some(network),
            Body::Encoder(_) => None,
        }
    }
}

/// Stages and a linear head on their features.
#[derive(Module, Debug)]
pub(crate) struct Tuned {
    /// The stages; those before the cut are not run.
    pub(crate) body: Body,
    /// The head.
    pub(crate) head: LinearHead,
}

impl Tuned {
    /// Stages with a head that was solved, or one that is made up.
    pub fn new(body: Body, head: &Linear, device: &Device) -> Self {
        Self { body, head: LinearHead::new(head, device) }
    }
}
