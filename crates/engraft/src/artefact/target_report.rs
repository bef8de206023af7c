//! `report.json` of the tasks that are not a single class. What [`Report`](super::Report) has too has the same name here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::report::{
    BaseReport, BaselineReport, SecondsReport, TableReport, TextReport, TriedCut, UnlikeReport, UnsureReport,
};
use crate::config::Fit;
use crate::data::Task;
use crate::data::audit::Audit;
use crate::evaluate::{
    AnswerEvaluation, Coverage, Estimate, MultiLabelEvaluation, Paired, RegressionEvaluation, SpanEvaluation,
};

/// Everything that a run on numbers, sets of labels, spans or answers found out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetReport {
    /// Version of the shapes.
    pub schema: u32,
    /// The command.
    pub command: String,
    /// Version of the program.
    pub version: String,
    /// What is predicted.
    pub task: Task,
    /// The base.
    pub base: BaseReport,
    /// The data.
    pub data: TargetDataReport,
    /// How deep and how strictly, and why.
    pub choice: TargetChoice,
    /// What was measured, in regression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regression: Option<RegressionReport>,
    /// What was measured, in multi-label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multi_label: Option<MultiLabelReport>,
    /// What was measured of spans of words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<TagsReport>,
    /// What was measured of answers to questions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<AnswersReport>,
    /// Against the same architecture from random weights, by the task's main measure (mean absolute error, mean average
    /// precision); absent where the control was not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scratch: Option<TargetScratch>,
    /// What one gets without a network.
    pub baselines: Vec<BaselineReport>,
    /// Whether the transfer helped.
    pub verdict: String,
    /// When the model says "unlike the training data".
    pub unlike: UnlikeReport,
    /// Seed of everything that was drawn.
    pub seed: u64,
    /// The settings.
    pub config: Fit,
    /// Wall seconds.
    pub seconds: SecondsReport,
    /// What is told of texts alone; absent for images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextReport>,
    /// What is told of rows of a table alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableReport>,
    /// Examples per second through the base.
    pub images_per_second: f64,
    /// Largest resident memory of the process, in megabytes.
    pub peak_memory_mb: f64,
}

/// The data of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetDataReport {
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
    /// Names of the labels, or types of spans, in the order of all their numbers; none in regression and of answers.
    pub labels: Vec<String>,
    /// SHA-256 over names, targets, splits and contents.
    pub fingerprint: String,
    /// What is wrong with it.
    pub audit: Audit,
}

/// How deep the base was retrained, how strictly the head is regularised, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetChoice {
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
    /// Strengths of the head's regularisation that were tried, with their out-of-fold loss: log-loss for each `C`, or root
    /// mean squared error for each `alpha`; of a head on tokens peak learning rates, with their loss on a part of the training
    /// data.
    pub strengths: Vec<TriedTarget>,
    /// The strength chosen: scikit-learn's `C` (smaller is stricter) in multi-label, `alpha` (larger is stricter) in
    /// regression.
    pub strength: f64,
}

/// A strength that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TriedTarget {
    /// `C` or `alpha`.
    pub strength: f64,
    /// Out-of-fold log-loss or root mean squared error.
    pub loss: f64,
}

/// The from-scratch control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetScratch {
    /// How it was trained, in words.
    pub how: String,
    /// Its main numbers by name, as baselines have them.
    pub measures: BTreeMap<String, Estimate>,
    /// By how much the transfer is better, on the same examples.
    pub paired: Paired,
}

/// What was measured of numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegressionReport {
    /// Out-of-fold numbers.
    #[serde(flatten)]
    pub evaluation: RegressionEvaluation,
    /// How often out-of-fold prediction intervals held the truth.
    pub coverage: Option<Coverage>,
    /// How often prediction intervals are to hold the truth.
    pub level: f64,
    /// Out-of-fold predictions against truths: at most 2,000, evenly spaced.
    pub points: Vec<NumberPoint>,
    /// The out-of-fold predictions farthest from the truth, the worst first.
    pub worst: Vec<NumberMistake>,
    /// Splits that were given as held out, looked at once.
    pub held_out: Vec<HeldNumbers>,
}

/// A prediction and the truth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NumberPoint {
    /// The truth.
    pub truth: f64,
    /// The out-of-fold prediction.
    pub prediction: f64,
    /// Whether its interval held the truth; nothing where there is no interval.
    pub held: Option<bool>,
}

/// A prediction far from the truth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NumberMistake {
    /// The file.
    pub file: String,
    /// The truth.
    pub truth: f64,
    /// The out-of-fold prediction.
    pub prediction: f64,
}

/// A held-out split with numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldNumbers {
    /// `val` or `test`.
    pub split: String,
    /// Its numbers.
    #[serde(flatten)]
    pub evaluation: RegressionEvaluation,
    /// How often its prediction intervals held the truth.
    pub coverage: Option<Coverage>,
    /// Share of its examples that are called unlike the training data.
    pub unlike: f64,
}

/// What was measured of sets of labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MultiLabelReport {
    /// Out-of-fold numbers.
    #[serde(flatten)]
    pub evaluation: MultiLabelEvaluation,
    /// From which probability on each label is given; nothing where it never is.
    pub thresholds: Vec<Option<f64>>,
    /// The temperature chosen, common to all labels.
    pub temperature: f64,
    /// Out-of-fold answers with the most wrong labels, the worst first.
    pub worst: Vec<LabelsMistake>,
    /// Labels that are probably wrong, the likeliest first.
    pub label_errors: Vec<SuspectedReport>,
    /// Splits that were given as held out, looked at once.
    pub held_out: Vec<HeldLabels>,
}

/// An answer with wrong labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelsMistake {
    /// The file.
    pub file: String,
    /// Labels that it has and that were not given.
    pub missing: Vec<String>,
    /// Labels that were given and that it has not.
    pub wrong: Vec<String>,
}

/// A label that is probably wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuspectedReport {
    /// The file.
    pub file: String,
    /// The label.
    pub label: String,
    /// Whether the file is said to have it.
    pub given: bool,
    /// Out-of-fold probability that it has it.
    pub probability: f32,
}

/// A held-out split with sets of labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldLabels {
    /// `val` or `test`.
    pub split: String,
    /// Its numbers.
    #[serde(flatten)]
    pub evaluation: MultiLabelEvaluation,
    /// Share of its examples that are called unlike the training data.
    pub unlike: f64,
}

/// What was measured of spans of words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TagsReport {
    /// Out-of-fold numbers.
    #[serde(flatten)]
    pub evaluation: SpanEvaluation,
    /// When the model says "unsure" of a span.
    pub unsure: UnsureReport,
    /// Out-of-fold sentences with the most wrong spans, the worst first.
    pub worst: Vec<SpanMistake>,
    /// Splits that were given as held out, looked at once.
    pub held_out: Vec<HeldTags>,
}

/// A sentence whose spans are wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpanMistake {
    /// The sentence.
    pub name: String,
    /// Its words.
    pub words: Vec<String>,
    /// Its spans that were not found.
    pub missed: Vec<NamedSpan>,
    /// Spans that were found and are none.
    pub invented: Vec<NamedSpan>,
    /// Spans that are right.
    pub right: Vec<NamedSpan>,
}

/// A span by its words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamedSpan {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its first word.
    pub start: usize,
    /// The word after its last.
    pub end: usize,
}

/// A held-out split of tagged words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldTags {
    /// `val` or `test`.
    pub split: String,
    /// Its numbers.
    #[serde(flatten)]
    pub evaluation: SpanEvaluation,
    /// Share of its examples that are called unlike the training data.
    pub unlike: f64,
}

/// What was measured of answers to questions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnswersReport {
    /// Out-of-fold numbers.
    #[serde(flatten)]
    pub evaluation: AnswerEvaluation,
    /// Above this no answer is given; absent where every question has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_answer_threshold: Option<f32>,
    /// When the model says "unsure": by exact matches.
    pub unsure: UnsureReport,
    /// Wrong out-of-fold answers: what is wholly wrong before what is half right, then the most confident first.
    pub worst: Vec<AnswerMistake>,
    /// Splits that were given as held out, looked at once.
    pub held_out: Vec<HeldAnswers>,
}

/// A wrong answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnswerMistake {
    /// The question's name.
    pub id: String,
    /// What was asked.
    pub question: String,
    /// The paragraph.
    pub context: String,
    /// The right answers; none where there is none.
    pub answers: Vec<String>,
    /// What was answered; empty for no answer.
    pub answer: String,
    /// Its F1.
    pub f1: f64,
    /// Probability of the answer.
    pub probability: f32,
}

/// A held-out split of questions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldAnswers {
    /// `val` or `test`.
    pub split: String,
    /// Its numbers.
    #[serde(flatten)]
    pub evaluation: AnswerEvaluation,
    /// Share of its examples that are called unlike the training data.
    pub unlike: f64,
}
