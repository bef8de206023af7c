//! `report.json`: the same shapes for every command that measures, stable from release to release.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::blocks::{HeldBlock, TargetBlock};
use crate::adapt::Adaptation;
use crate::controls::{BaselineResult, numbers_of};
use crate::data::audit::Audit;
use crate::features::Coverage;
use crate::fit::{ColumnEffect, ColumnFacts, Seconds};
use crate::fit::{LengthBin, WordWeight};
use crate::heads::{Metric, Novelty};
use crate::methods::BaseFacts;
use crate::methods::Difference;
use crate::metrics::{Estimate, Forecast, Paired};
use crate::settings::Fit;

/// The version of the shapes. It changes when a field goes or changes its meaning, not when one is added.
pub(crate) const SCHEMA: u32 = 2;

/// Everything that a run found out, whatever its input and target. Equal runs give equal reports, but for `seconds`,
/// `images_per_second` and `peak_memory_mb`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of the shapes.
    pub schema: u32,
    /// The command.
    pub command: String,
    /// Version of the program.
    pub version: String,
    /// What is predicted: `image-classification`, `text-classification` or `tabular-classification` of one class, else the
    /// task as `--task` names it.
    pub task: String,
    /// The base.
    pub base: BaseReport,
    /// The data.
    pub data: DataReport,
    /// How deep, how strictly, and why.
    pub choice: Choice,
    /// What was measured out of fold.
    #[serde(flatten)]
    pub target: TargetBlock,
    /// What more labels would bring to the score that depths are compared by, for several numbers of them; empty where it was
    /// not looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forecasts: Vec<Forecast>,
    /// Splits that were given as held out, looked at once.
    pub held_out: Vec<HeldOutReport>,
    /// What else one would get.
    pub controls: Controls,
    /// Whether the transfer helped.
    pub verdict: String,
    /// When the model says "unlike the training data".
    pub unlike: UnlikeReport,
    /// What is told of texts alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextReport>,
    /// What is told of rows of a table alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableReport>,
    /// The target that the model was adapted to, or not, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptation: Option<Adaptation>,
    /// Seed of everything that was drawn.
    pub seed: u64,
    /// The settings.
    pub config: Fit,
    /// Wall seconds.
    pub seconds: SecondsReport,
    /// Examples per second through the base.
    pub images_per_second: f64,
    /// Largest resident memory of the process, in megabytes.
    pub peak_memory_mb: f64,
}

impl Report {
    /// The held-out split that a headline is taken from: `test` before any other. None, and it is out-of-fold.
    pub(crate) fn headline(&self) -> Option<&HeldOutReport> {
        self.held_out.iter().find(|held| held.split == "test").or_else(|| self.held_out.first())
    }
}

/// The base of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BaseReport {
    /// Its name.
    pub id: String,
    /// SHA-256 of its weights file.
    pub sha256: String,
    /// Its network.
    pub architecture: String,
    /// Its licence.
    pub licence: String,
    /// Length of its features.
    pub features: usize,
}

/// The data of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataReport {
    /// Where it was, as given.
    pub path: String,
    /// What the examples are: `images`, `texts`, `rows`, `sentences` or `questions`.
    pub unit: String,
    /// Why it was read as this task, in words.
    pub reason: String,
    /// Number of examples, excluded ones included.
    pub examples: usize,
    /// Number of examples trained on.
    pub train: usize,
    /// Names of the classes, labels or types of spans, in the order of all their numbers; none of numbers and answers.
    pub classes: Vec<String>,
    /// SHA-256 over names, labels, splits and contents.
    pub fingerprint: String,
    /// What is wrong with it.
    pub audit: Audit,
}

/// How deep the base was retrained, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// `head`, `last`, `half`, `all`, or a stage.
    pub depth: String,
    /// The stage after which training begins; empty where it begins at the input.
    pub cut: String,
    /// Why there.
    pub reason: String,
    /// What was tried.
    pub tried: Vec<TriedCut>,
    /// What was not tried, and why.
    pub left_out: Vec<String>,
    /// Strengths of the head's regularisation that were tried, with their out-of-fold loss; of a head on tokens peak
    /// learning rates, with their loss on a part of the training data.
    pub strengths: Vec<TriedStrength>,
    /// The strength chosen: scikit-learn's `C` (smaller is stricter), its `alpha` (larger is stricter) of numbers, or a rate.
    pub strength: f64,
    /// The temperature chosen, of classes and sets of labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
}

/// A cut that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriedCut {
    /// `head`, `last`, `half`, `all`, or a stage.
    pub depth: String,
    /// The stage after which training begins; empty where it begins at the input.
    pub cut: String,
    /// What learnt, and at which share of the rate.
    pub plan: String,
    /// Seeds that it was trained with.
    pub seeds: usize,
    /// Out-of-fold accuracy; of sets of labels the mean F1 of each example's answer, of numbers R².
    pub score: Estimate,
    /// Its score minus the probe's, on the same examples; absent for the probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against_probe: Option<Difference>,
    /// MACs of all its trainings, in units of 10^12.
    pub multiply_adds: f64,
    /// Failures and what was done about them.
    pub remarks: Vec<String>,
    /// Wall seconds.
    pub seconds: f64,
}

/// A strength that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TriedStrength {
    /// `C`, `alpha`, or a peak learning rate.
    pub strength: f64,
    /// Log-loss before temperature scaling, root mean squared error, or the loss of a training.
    pub loss: f64,
    /// Out-of-fold accuracy, of classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
}

/// A held-out split, looked at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldOutReport {
    /// `val` or `test`.
    pub split: String,
    /// What was measured on it.
    #[serde(flatten)]
    pub measures: HeldBlock,
    /// Share of its examples that are called unlike the training data.
    pub unlike: f64,
}

/// What else one would get.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Controls {
    /// The same architecture from random weights; absent where it was not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scratch: Option<ScratchReport>,
    /// The linear probe on frozen features.
    pub probe: ProbeReport,
    /// What one gets without a network.
    pub baselines: Vec<BaselineReport>,
}

/// The from-scratch control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScratchReport {
    /// Its main out-of-fold numbers by name, as baselines have them.
    #[serde(flatten)]
    pub measures: BTreeMap<String, Estimate>,
    /// How it was trained, in words.
    pub how: String,
    /// By how much the transfer is better, on the same examples.
    pub paired: Paired,
    /// The same on each held-out split.
    #[serde(default)]
    pub held_out: Vec<(String, Paired)>,
}

impl ScratchReport {
    /// What the verdict rests on: the comparison on most examples, out of fold or on the held-out split of that name.
    pub fn evidence(&self) -> (Option<&str>, &Paired) {
        let most = self.paired.most_evidence(self.held_out.iter().map(|(_, paired)| paired));
        let split = self.held_out.iter().find(|(_, paired)| std::ptr::eq(paired, most));
        (split.map(|(split, _)| split.as_str()), most)
    }
}

/// A baseline: what one gets without a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BaselineReport {
    /// What it is called.
    pub name: String,
    /// How it was made.
    pub how: String,
    /// Whether it learns from the examples themselves, so that it could stand in for the model.
    pub learns: bool,
    /// Its main out-of-fold numbers by name: `accuracy`, `macro_f1` and `log_loss` of classes; `map` and `macro_f1` of sets
    /// of labels; `mae` and `r2` of numbers; `span_f1` and `macro_f1` of spans; `f1` and `em` of answers.
    pub measures: BTreeMap<String, Estimate>,
    /// By how much the model is better, out of fold: accuracy, mean average precision, mean absolute error, or F1.
    pub paired: Paired,
    /// The same on each held-out split.
    pub held_out: Vec<(String, Paired)>,
}

impl From<&BaselineResult> for BaselineReport {
    fn from(result: &BaselineResult) -> Self {
        let held_out = result.held_out.iter().map(|(split, paired)| (split.name().to_owned(), paired.clone()));
        Self {
            name: result.name.into(),
            how: result.how.clone(),
            learns: result.learns,
            measures: numbers_of(&result.measures),
            paired: result.paired.clone(),
            held_out: held_out.collect(),
        }
    }
}

/// What is told of texts alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextReport {
    /// What was found out about the file: its form, encoding, columns.
    pub source: Vec<String>,
    /// What of the training texts the base does not see.
    pub coverage: Coverage,
    /// Words that the base does not know whole, with how many times they stand in the training texts.
    pub unknown_words: Vec<(String, usize)>,
    /// Right out-of-fold answers by the number of words.
    pub lengths: Vec<LengthBin>,
    /// The texts of mistakes and suspected labels.
    pub shown: Vec<ShownText>,
}

/// What is told of rows of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableReport {
    /// What each column does to the answers, the strongest first.
    pub columns: Vec<ColumnEffect>,
    /// How rows become numbers, where something is worth saying.
    pub notes: Vec<String>,
}

impl From<&ColumnFacts> for TableReport {
    fn from(facts: &ColumnFacts) -> Self {
        Self { columns: facts.effects.clone(), notes: facts.encoding.notes.clone() }
    }
}

/// A text that a report shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShownText {
    /// The example, as mistakes name it.
    pub file: String,
    /// Its beginning.
    pub text: String,
    /// The beginning of the second text of a pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<String>,
    /// What words gave to the answer (of a mistake) or to the class suggested (of a label); empty where it was not asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<WordWeight>,
}

/// The linear probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// Its main out-of-fold numbers by name, as baselines have them.
    #[serde(flatten)]
    pub measures: BTreeMap<String, Estimate>,
}

/// When the model says "unlike the training data".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnlikeReport {
    /// Share of what is like the training data that is called unlike it all the same: the threshold's quantile of the training
    /// data's own distances.
    #[serde(default)]
    pub rate: f64,
    /// Distances above this are unlike, 0 to 2.
    pub threshold: f64,
    /// Which neighbour's distance counts.
    pub k: usize,
    /// Training examples that distances are taken to.
    pub references: usize,
    /// What is measured.
    #[serde(default)]
    pub metric: Metric,
}

/// Wall seconds of each part.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SecondsReport {
    /// Reading, decoding and auditing.
    pub audit: f64,
    /// Running the base.
    pub features: f64,
    /// Cross-validation, the final head, the control.
    pub training: f64,
    /// Metrics and intervals.
    pub evaluation: f64,
    /// All of it.
    pub total: f64,
}

impl BaseReport {
    /// Of a base that gives so many features.
    pub(super) fn of(facts: BaseFacts, features: usize) -> Self {
        let BaseFacts { id, sha256, architecture, licence } = facts;
        Self { id, sha256, architecture, licence, features }
    }
}

impl UnlikeReport {
    pub(crate) fn of(novelty: &Novelty, rate: f64) -> Self {
        Self {
            rate,
            threshold: f64::from(novelty.threshold),
            k: novelty.k,
            references: novelty.references.rows,
            metric: novelty.metric,
        }
    }
}

impl From<Seconds> for SecondsReport {
    fn from(Seconds { audit, features, training, evaluation, total }: Seconds) -> Self {
        Self { audit, features, training, evaluation, total }
    }
}
