//! What a ranking found out, as `--json` prints it.

use serde::Serialize;

use crate::settings::By;

/// A ranking of bases for some data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranking {
    /// Where the data is, as given.
    pub data: String,
    /// Examples that were learnt from.
    pub examples: usize,
    /// What they are called.
    pub unit: String,
    /// Examples that the quick scores looked at.
    pub looked_at: usize,
    /// What is predicted.
    pub task: String,
    /// What the probes are compared by: `accuracy`, `mAP` (sets of labels) or `mean error` (the mean absolute error of numbers).
    pub measure: String,
    /// What the order is by: `probe`, `logme`, `h-score`, `parc`, `nce` or `leep`.
    pub by: By,
    /// The bases, the best first; those that were not probed last.
    pub bases: Vec<Ranked>,
    /// What one gets without a pretrained network, on the same folds.
    pub without_base: Vec<WithoutBase>,
    /// The base to take.
    pub recommended: String,
    /// Why.
    pub reason: String,
    /// Whether a base helps at all: "positive transfer", "no measurable transfer" or "negative transfer" against the best way
    /// without one; nothing where no base was probed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// What was left out, and why.
    pub left_out: Vec<String>,
}

/// A base in a ranking.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranked {
    /// Its name, as `--base` takes it.
    pub base: String,
    /// Its network.
    pub architecture: String,
    /// The licence of its weights.
    pub licence: String,
    /// Top-1 accuracy on ImageNet-1k as published, in per cent, where the registry knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imagenet: Option<f64>,
    /// Columns of its features.
    pub columns: usize,
    /// Multiply-adds for one example, where they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multiply_adds: Option<u64>,
    /// Megabytes of its parameters as 32-bit numbers, where they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub megabytes: Option<f64>,
    /// Wall seconds for the features of one example.
    pub seconds_per_example: f64,
    /// LogME: the log-evidence of a linear model, in nats for each example.
    pub evidence: f64,
    /// The score that was asked for, where it is none of those; larger is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// What a cross-validated linear probe came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probed>,
}

/// A probe in a ranking.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Probed {
    /// The measure, out of fold.
    pub mean: f64,
    /// What bases are put in order by: accuracy, mean F1 of the examples, or R².
    pub score: f64,
    /// Out-of-fold log-loss, or root mean squared error.
    pub loss: f64,
    /// Wall seconds, features included.
    pub seconds: f64,
    /// By how much it is better than the best by the measure (below 0: worse), with a paired 95 % interval; nothing of the best itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against_best: Option<Interval>,
    /// Whether the data does not tell it apart from the best.
    pub tied: bool,
}

/// A difference with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The difference as measured.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// A way to predict without a pretrained network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WithoutBase {
    /// What it is called.
    pub name: String,
    /// The measure, out of fold.
    pub mean: f64,
    /// By how much the recommended base is better, with a paired 95 % interval.
    pub gain: Interval,
    /// "positive transfer", "no measurable transfer" or "negative transfer".
    pub verdict: String,
}
