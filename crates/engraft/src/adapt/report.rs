//! What an adaptation found out, as `report.json` has it.

use serde::{Deserialize, Serialize};

use crate::metrics::{Estimate, Paired};

/// What an adaptation found out. The labels of the target have a part in `measured` and `checked` alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Adaptation {
    /// Where the target is, as given.
    pub to: String,
    /// Examples of the target.
    pub examples: usize,
    /// Examples of the source that are in the target too, by name, at most 100 of them.
    pub duplicates: Vec<String>,
    /// How many there are.
    pub duplicate_count: usize,
    /// Share of the target's examples that are called unlike the source.
    pub unlike: f64,
    /// How many examples of the target that was taken of.
    pub unlike_of: usize,
    /// How far apart the domains are.
    pub distance: Distance,
    /// How much of its classes the source's model explains, out of fold: 1 - log-loss / entropy of the classes.
    pub skill: f64,
    /// What was said of the target's shares: `ask`, `same`, `estimate` or shares.
    pub known_shares: String,
    /// Shares of the classes.
    pub shares: Vec<ClassShare>,
    /// Whether the estimated shares differ from the source's by more than the estimate's uncertainty.
    pub shares_differ: bool,
    /// What was tried, source-only first.
    pub methods: Vec<MethodReport>,
    /// Whether the model is an adapted one.
    pub adapted: bool,
    /// The method that answers; `source-only` where nothing was adapted.
    pub method: String,
    /// Why.
    pub reason: String,
    /// Examples of the target that it answers otherwise than the source's model does.
    pub changed: usize,
    /// What labels that somebody gave for a check said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked: Option<Checked>,
    /// What the target's own labels said, where it has any: opened once, when everything was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// How the target was read, where something is to be said.
    pub notes: Vec<String>,
}

/// How far apart two domains are, each number beside what equal domains would give.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Distance {
    /// How often a linear classifier tells the domains apart, of as many examples of each, out of fold.
    pub accuracy: f64,
    /// The exact probability of so many right answers, were there nothing to tell apart.
    pub p: f64,
    /// The same accuracy between two random halves of one domain; the larger of the two domains'.
    pub floor: f64,
    /// Squared maximum mean discrepancy, unbiased: it may be below 0.
    pub mmd2: f64,
    /// Share of permutations of the domains with as large a discrepancy.
    pub mmd_p: f64,
}

/// The share of a class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassShare {
    /// The class.
    pub class: String,
    /// Its share of the source.
    pub source: f64,
    /// Its estimated share of the target.
    pub estimated: f64,
    /// The ends of the estimate's interval, 90 %.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// A method that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MethodReport {
    /// Its name.
    pub name: String,
    /// Why it does not apply; absent where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Share of the target's examples that it answers as the source's model does.
    pub agreement: f64,
    /// Shares of the classes among its answers.
    pub answered: Vec<f64>,
    /// Wall seconds that it took.
    #[serde(default)]
    pub seconds: f64,
    /// What it found on its way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What the target's own labels said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Examples of the target with a label that the source knows.
    pub labelled: usize,
    /// Labels that the source does not know, with the number of their examples.
    pub foreign: Vec<(String, usize)>,
    /// Accuracy of the source's model.
    pub source_only: Estimate,
    /// Accuracy of the model that answers.
    pub adapted: Estimate,
    /// The difference on the same examples; its verdict is about the adaptation.
    pub paired: Paired,
    /// Accuracy and balanced accuracy of every method that applies, source-only first.
    pub methods: Vec<MethodMeasured>,
    /// Out-of-fold accuracy of a head learnt from the target's own labels: about what can be had; absent where they do not allow
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oracle: Option<Estimate>,
}

/// What a method is worth on the target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MethodMeasured {
    /// Its name.
    pub name: String,
    /// Share of right answers.
    pub accuracy: f64,
    /// Mean over classes of the share of right answers.
    pub balanced_accuracy: f64,
}

/// What a check said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// Examples that were labelled and that the two models answer differently.
    pub labelled: usize,
    /// Of these, how many the adapted model answers rightly and the source's does not.
    pub better: usize,
    /// The other way round.
    pub worse: usize,
    /// Exact probability of a sign test, one-sided, that as many would be better by chance.
    pub p: f64,
    /// What it means.
    pub verdict: String,
}
