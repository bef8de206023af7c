//! The plan: what is frozen, what learns, how fast, and from when. One object governs gradients, batch norms, the
//! optimiser, dropout, checkpoints and the cache's cut.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bases::text::TextEncoder;
use crate::bases::{Network, StageCost, Statistics};
use crate::error::{Error, Problem, Result};
use crate::train::{Rule, Rules, axes_of};

/// A network as a plan sees it: a row of named stages with parameters.
pub trait Staged {
    /// Depths that have a name, beside those named by a stage.
    fn depths(&self) -> &'static [&'static str];
    /// Names of the stages, from the input to the features.
    fn names(&self) -> Vec<String>;
    /// Number of axes of every parameter of a stage, by identity.
    fn axes(&self, stage: usize) -> BTreeMap<u64, usize>;
}

impl Staged for Network {
    fn depths(&self) -> &'static [&'static str] {
        &["auto", "head", "last", "half", "all"]
    }

    fn names(&self) -> Vec<String> {
        self.stages()
    }

    fn axes(&self, stage: usize) -> BTreeMap<u64, usize> {
        axes_of(self.stage(stage))
    }
}

impl Staged for TextEncoder {
    fn depths(&self) -> &'static [&'static str] {
        &["auto", "head", "contrastive", "last", "half", "all"]
    }

    fn names(&self) -> Vec<String> {
        self.stages()
    }

    fn axes(&self, stage: usize) -> BTreeMap<u64, usize> {
        self.stage_axes(stage)
    }
}

/// What a fine-tuning does to a base.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Every stage from the input to the features.
    pub(crate) stages: Vec<StagePlan>,
    /// The head; it learns from the start.
    pub(crate) head: Learning,
    /// What batch norms of learning stages do.
    pub(crate) statistics: Statistics,
}

/// What happens to one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StagePlan {
    /// Its name.
    pub(crate) name: String,
    /// How it learns; frozen without.
    pub(crate) learns: Option<Learning>,
}

/// How a part learns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Learning {
    /// Factor of the learning rate.
    pub(crate) rate: f64,
    /// Pull towards zero.
    pub(crate) decay: f64,
    /// Pull towards the base's weights (L2-SP).
    pub(crate) anchor: f64,
    /// Share of the epochs that are over when it begins to learn.
    pub(crate) after: f64,
}

/// How rates, pulls and beginnings are spread over the stages that learn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Each stage learns at the rate of the one after it, divided by this: discriminative rates (Howard and Ruder 2018,
    /// section 3.2, with 2.6).
    pub rate_factor: f64,
    /// The head's rate, in rates of the last stage.
    pub head_rate: f64,
    /// Pull of everything that learns towards zero.
    pub weight_decay: f64,
    /// Pull of learning stages towards the base's weights.
    pub anchor: f64,
    /// Stages begin to learn one after the other, from the last to the first, in the first half of the epochs (Howard and
    /// Ruder 2018, section 3.3).
    pub gradual: bool,
    /// What batch norms of learning stages do.
    pub statistics: Statistics,
}

/// Which stages learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learners {
    /// All from a cut to the end.
    From(usize),
    /// One alone (surgical fine-tuning, Lee et al. 2023).
    Only(usize),
}

impl Plan {
    /// The plan for the stages of a network.
    pub fn new(network: &impl Staged, costs: &[StageCost], learners: Learners, spread: &Spread) -> Self {
        let learns = |stage: usize| match learners {
            Learners::From(cut) => stage >= cut,
            Learners::Only(only) => stage == only,
        };
        let names = network.names();
        let learning: Vec<usize> =
            (0..names.len()).filter(|&stage| learns(stage) && costs[stage].parameters > 0).collect();
        let of_stage = |stage: usize| {
            let rank = learning.iter().rev().position(|&learning| learning == stage)?;
            let after = if spread.gradual { rank as f64 / (2 * learning.len()) as f64 } else { 0.0 };
            let decay = spread.weight_decay;
            Some(Learning { rate: spread.rate_factor.powi(-(rank as i32)), decay, anchor: spread.anchor, after })
        };
        let stages = names.into_iter().enumerate();
        Self {
            stages: stages.map(|(stage, name)| StagePlan { name, learns: of_stage(stage) }).collect(),
            head: Learning { rate: spread.head_rate, decay: spread.weight_decay, anchor: 0.0, after: 0.0 },
            statistics: spread.statistics,
        }
    }

    /// The plan where a base has no stages: a head alone learns.
    pub(crate) fn nothing(spread: &Spread) -> Self {
        let head = Learning { rate: spread.head_rate, decay: spread.weight_decay, anchor: 0.0, after: 0.0 };
        Self { stages: Vec::new(), head, statistics: spread.statistics }
    }

    /// The cut: every stage before it is frozen to the end.
    pub(crate) fn cut(&self) -> usize {
        self.stages.iter().position(|stage| stage.learns.is_some()).unwrap_or(self.stages.len())
    }

    /// Whether a stage learns in an epoch (counted from 0) of so many.
    pub(crate) fn learns(&self, stage: usize, epoch: u64, epochs: u64) -> bool {
        self.stages[stage].learns.is_some_and(|learning| (learning.after * epochs as f64).floor() as u64 <= epoch)
    }

    /// The first stage that learns in an epoch: all before it can be run once, and kept.
    pub(crate) fn cut_in(&self, epoch: u64, epochs: u64) -> usize {
        (0..self.stages.len()).find(|&stage| self.learns(stage, epoch, epochs)).unwrap_or(self.stages.len())
    }

    /// How each parameter of the network is moved in an epoch. No decay and no pull for norms and biases.
    pub(crate) fn rules(&self, network: &impl Staged, epoch: u64, epochs: u64) -> Rules {
        let mut rules = BTreeMap::new();
        for (at, stage) in self.stages.iter().enumerate() {
            let Some(learning) = stage.learns.filter(|_| self.learns(at, epoch, epochs)) else { continue };
            for (id, axes) in network.axes(at) {
                rules.insert(id, learning.rule(axes));
            }
        }
        Rules(rules)
    }

    /// The plan in a few words: "layer3 (x 0.38), layer4 (x 1), head (x 10)".
    pub(crate) fn describe(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        for stage in &self.stages {
            if let Some(Learning { rate, after, .. }) = stage.learns {
                let later = if after > 0.0 { format!(", after {:.0} %", 100.0 * after) } else { String::new() };
                parts.push(format!("{} (x {}{later})", stage.name, short(rate)));
            }
        }
        if parts.len() > 6 {
            parts.drain(2..parts.len() - 2);
            parts.insert(2, "...".into());
        }
        parts.push(format!("head (x {})", short(self.head.rate)));
        parts.join(", ")
    }
}

impl Learning {
    pub(crate) fn rule(&self, axes: usize) -> Rule {
        let matrix = if axes > 1 { 1.0 } else { 0.0 };
        Rule { rate: self.rate, weight_decay: self.decay * matrix, anchor: self.anchor * matrix }
    }
}

/// Two significant digits, without noughts.
fn short(value: f64) -> String {
    let digits = if value >= 10.0 { 0 } else { (1.0 - value.abs().log10().floor()).clamp(0.0, 9.0) as usize };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// How deep to retrain, as a person says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DepthCut {
    /// `last`, `half`, `all`, or the stage's name.
    pub(crate) label: String,
    /// The cut: stages from here on learn.
    pub(crate) cut: usize,
}

/// The cuts that stand for `last` (about the last third of the work), `half` and `all` of a network: the earlier of two
/// that are equally near, and every cut once.
pub(crate) fn usual_cuts(costs: &[StageCost]) -> Vec<DepthCut> {
    let total: u64 = costs.iter().map(|cost| cost.multiply_adds).sum();
    let nearest = |share: f64| {
        let mut before = 0;
        let mut best = (f64::INFINITY, 0);
        for (cut, cost) in costs.iter().enumerate() {
            let distance = (before as f64 / total.max(1) as f64 - share).abs();
            // A cut with nothing after it to train is none.
            let trains = costs[cut..].iter().any(|cost| cost.parameters > 0);
            if trains && distance < best.0 - 1e-12 {
                best = (distance, cut);
            }
            before += cost.multiply_adds;
        }
        best.1
    };
    let mut cuts: Vec<DepthCut> = Vec::new();
    for (label, cut) in [("last", nearest(2.0 / 3.0)), ("half", nearest(0.5)), ("all", 0)] {
        match cuts.iter_mut().find(|known| known.cut == cut) {
            // Where two are the same, the deeper name says more.
            Some(known) => known.label = label.into(),
            None => cuts.push(DepthCut { label: label.into(), cut }),
        }
    }
    cuts
}

/// The cut that a name stands for.
pub(crate) fn cut_of(name: &str, network: &impl Staged, costs: &[StageCost]) -> Result<DepthCut> {
    if name == "all" {
        return Ok(DepthCut { label: name.into(), cut: 0 });
    }
    let cuts = usual_cuts(costs);
    let usual = match name {
        // Where `last` is also the half, it is found under that name.
        "last" => cuts.first(),
        "half" => cuts.iter().find(|known| known.label == "half").or(cuts.last()),
        _ => None,
    };
    if let Some(known) = usual {
        return Ok(DepthCut { label: name.into(), cut: known.cut });
    }
    let names = network.names();
    let stage = names.iter().position(|known| known == name).ok_or_else(|| {
        let expected = format!("{}, or one of the base's stages: {}", network.depths().join(", "), names.join(", "));
        let known = network.depths().iter().copied().chain(names.iter().map(String::as_str));
        Error::Usage(Problem::new("no such depth or stage").expected(expected).found(name).suggest(name, known))
    })?;
    if costs[stage..].iter().all(|cost| cost.parameters == 0) {
        let problem = Problem::new("there is nothing to train from this stage on").found(name);
        return Err(Error::Usage(problem.expected("a stage with parameters, or one before it")));
    }
    Ok(DepthCut { label: name.into(), cut: stage })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bases::{Architecture, BaseSpec, Card, Device, open};

    const SPREAD: Spread = Spread {
        rate_factor: 2.0,
        head_rate: 10.0,
        weight_decay: 0.5,
        anchor: 0.1,
        gradual: true,
        statistics: Statistics::Stored,
    };

    #[test]
    fn rates_fall_towards_the_input_and_stages_wake_from_the_top() {
        let base = open(&BaseSpec::named("glyphs"), &Device::flex()).unwrap();
        let network = &base.staged().unwrap().network;
        let plan = Plan::new(network, &base.costs(), Learners::From(1), &SPREAD);
        let rates: Vec<Option<f64>> = plan.stages.iter().map(|stage| stage.learns.map(|l| l.rate)).collect();
        assert_eq!(rates, [None, Some(0.25), Some(0.5), Some(1.0), None], "stem frozen, pool has nothing to learn");
        assert_eq!(plan.cut(), 1);
        let cuts: Vec<usize> = (0..6).map(|epoch| plan.cut_in(epoch, 6)).collect();
        assert_eq!(cuts, [3, 2, 1, 1, 1, 1]);
        let early = plan.rules(network, 0, 6).0;
        let late = plan.rules(network, 5, 6).0;
        assert!(early.keys().all(|id| late.contains_key(id)) && early.len() < late.len());
        let stem: Vec<u64> = axes_of(network.stage(0)).into_keys().collect();
        assert!(stem.iter().all(|id| !late.contains_key(id)), "what is frozen has no rule");
        assert!(late.values().any(|rule| rule.weight_decay == 0.5 && rule.anchor == 0.1));
        assert!(late.values().any(|rule| rule.weight_decay == 0.0 && rule.anchor == 0.0), "norms and biases");
        assert_eq!(
            plan.describe(),
            "layer1 (x 0.25, after 33 %), layer2 (x 0.5, after 17 %), layer3 (x 1), head (x 10)"
        );
    }

    #[test]
    fn one_stage_alone_can_learn() {
        let base = open(&BaseSpec::named("glyphs"), &Device::flex()).unwrap();
        let plan = Plan::new(&base.staged().unwrap().network, &base.costs(), Learners::Only(1), &SPREAD);
        assert_eq!(plan.stages.iter().filter(|stage| stage.learns.is_some()).count(), 1);
        assert_eq!((plan.cut(), plan.stages[1].learns.unwrap().rate), (1, 1.0));
    }

    #[test]
    fn the_usual_cuts_are_thirds_and_halves_of_the_work() {
        for architecture in Architecture::ALL.into_iter().filter(|a| *a != Architecture::ONNX) {
            let card = Card::usual(architecture, "test".into());
            let input = [card.preprocessing.height, card.preprocessing.width];
            // Only small ones are built: the rule reads nothing but costs.
            if card.preprocessing.height > 32 {
                continue;
            }
            let network = Network::random(&card, 2, 0, &Device::flex()).network;
            let costs = network.costs(input);
            let total: u64 = costs.iter().map(|cost| cost.multiply_adds).sum();
            let cuts = usual_cuts(&costs);
            assert_eq!(cuts.last().unwrap().label, "all");
            for DepthCut { label, cut } in &cuts {
                let trained: u64 = costs[*cut..].iter().map(|cost| cost.multiply_adds).sum();
                let share = trained as f64 / total as f64;
                let range = match label.as_str() {
                    "last" => 0.15..0.5,
                    "half" => 0.3..0.8,
                    _ => 1.0..1.01,
                };
                assert!(range.contains(&share), "{} {label} trains {share}", architecture.name());
                assert_eq!(cut_of(label, &network, &costs).unwrap().cut, *cut);
            }
            assert!(cut_of("pool", &network, &costs).is_err());
            assert!(cut_of("nowhere", &network, &costs).unwrap_err().to_string().contains("stem"));
        }
    }
}
