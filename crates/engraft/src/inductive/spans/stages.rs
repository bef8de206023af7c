//! Which stages of an encoder learn, and what that costs.

use crate::backbone::text::TextEncoder;
use crate::error::{Error, Problem, Result};
use crate::inductive::spans::drive::Variant;
use crate::inductive::tuning::{Learners, Plan, Spread, cut_of};
use crate::train::Settings;

/// A training step costs about three forward passes: one forwards, one to the inputs, one to the weights.
const STEP_COST: f64 = 3.0;
/// Passes of the linear probe, and its peak rate: its states are computed once, and it takes larger steps.
const PROBE: (u64, f64) = (10, 5e-3);

/// What learns of an encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanPlan {
    /// The plan.
    pub plan: Plan,
    /// MACs of a training step of the whole encoder for one text of mean length.
    pub step_cost: f64,
    depth: String,
    costs: Vec<crate::backbone::StageCost>,
    spread: Spread,
}

impl SpanPlan {
    /// For a depth by its name: `head`, `last`, `half`, `all` or a stage; `tokens` is the length of a usual text.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is no such depth.
    pub fn of(encoder: &TextEncoder, depth: &str, spread: &Spread, tokens: usize) -> Result<Self> {
        let costs = encoder.costs(tokens);
        if depth == "auto" {
            let problem = Problem::new("the depth is not chosen by itself where spans are learnt").found("auto");
            return Err(Error::Usage(problem.expected("head, last, half, all, or a stage")));
        }
        let cut = if depth == "head" { costs.len() } else { cut_of(depth, encoder, &costs)?.cut };
        let plan = Plan::new(encoder, &costs, Learners::From(cut), spread);
        let forward: u64 = costs.iter().map(|cost| cost.multiply_adds).sum();
        Ok(Self { plan, step_cost: STEP_COST * forward as f64, depth: depth.into(), costs, spread: *spread })
    }

    /// A new head alone.
    pub fn probe(&self, encoder: &TextEncoder) -> Plan {
        Plan::new(encoder, &self.costs, Learners::From(self.costs.len()), &Spread { head_rate: 1.0, ..self.spread })
    }

    /// How the probe is trained.
    pub fn probe_settings(settings: &Settings) -> Settings {
        Settings { epochs: PROBE.0, lr: PROBE.1, ..settings.clone() }
    }

    /// How the probe is trained, in words; none where the plan is one.
    pub fn probe_in_words(&self) -> Option<String> {
        let trains = self.plan.stages.iter().any(|stage| stage.learns.is_some());
        trains.then(|| format!("a new head alone on the frozen encoder, {} epochs at a rate of {}", PROBE.0, PROBE.1))
    }

    /// Everything, at one rate.
    pub fn whole(&self, encoder: &TextEncoder, spread: &Spread) -> Plan {
        let spread = Spread { rate_factor: 1.0, anchor: 0.0, gradual: false, ..*spread };
        Plan::new(encoder, &self.costs, Learners::From(0), &spread)
    }

    /// The depth, the stage after which training begins (empty for the input), and the plan in words.
    pub fn described(&self) -> [String; 3] {
        let cut = self.plan.cut().min(self.plan.stages.len() - 1);
        let after = cut.checked_sub(1).map_or_else(String::new, |stage| self.plan.stages[stage].name.clone());
        [self.depth.clone(), after, self.plan.describe()]
    }
}

/// What a control from scratch is trained on within `budget` x 10^12 MACs, where an example costs `cost`: as many
/// epochs as the transfer at most; fewer examples where not even one epoch fits. None where no batch does.
pub fn scratch_within(
    budget: f64,
    cost: f64,
    examples: usize,
    settings: &Settings,
    what: &str,
) -> Option<(Variant, String)> {
    let affordable = (budget * 1e12 / cost).floor() as usize;
    if affordable < settings.batch_size || examples == 0 {
        return None;
    }
    let epochs = (affordable / examples) as u64;
    let (epochs, examples) = match epochs {
        0 => (1, affordable.min(examples)),
        epochs => (epochs.min(settings.epochs), examples),
    };
    let how = format!("{what}, {epochs} epoch{} on {examples} examples", if epochs == 1 { "" } else { "s" });
    Some((Variant::Scratch { epochs, examples }, how))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_decides_epochs_and_examples() {
        let settings = Settings { epochs: 4, batch_size: 16, ..Settings::default() };
        let within = |budget| scratch_within(budget, 1e9, 100, &settings, "x").map(|(variant, _)| variant);
        assert_eq!(within(10.0), Some(Variant::Scratch { epochs: 4, examples: 100 }));
        assert_eq!(within(0.25), Some(Variant::Scratch { epochs: 2, examples: 100 }));
        assert_eq!(within(0.05), Some(Variant::Scratch { epochs: 1, examples: 50 }));
        assert_eq!(within(0.01), None);
    }
}
