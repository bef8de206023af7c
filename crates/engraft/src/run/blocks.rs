//! The typed blocks of `report.json`: what was measured, by the kind of target.

use serde::{Deserialize, Serialize};

use crate::data::Task;
use crate::heads::{AnswerRule, CONFIDENCE};
use crate::metrics::{
    AnswerEvaluation, Coverage, Evaluation, ImbalanceEvaluation, MultiLabelEvaluation, RegressionEvaluation,
    SpanEvaluation,
};

/// What was measured out of fold. Of classes the numbers stand beside the fixed blocks, of other targets in a block of their
/// own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TargetBlock {
    /// Of classes.
    Classes(Box<ClassesReport>),
    /// Of numbers.
    Numbers {
        /// The block.
        regression: RegressionReport,
    },
    /// Of sets of labels.
    LabelSets {
        /// The block.
        multi_label: MultiLabelReport,
    },
    /// Of spans of words.
    Tags {
        /// The block.
        tags: TagsReport,
    },
    /// Of answers to questions.
    Answers {
        /// The block.
        answers: AnswersReport,
    },
}

impl TargetBlock {
    /// The task.
    pub fn task(&self) -> Task {
        match self {
            Self::Classes(_) => Task::SingleLabel,
            Self::Numbers { .. } => Task::Regression,
            Self::LabelSets { .. } => Task::MultiLabel,
            Self::Tags { .. } => Task::Tags,
            Self::Answers { .. } => Task::Answers,
        }
    }
}

/// What was measured on a held-out split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum HeldBlock {
    /// Of classes.
    Classes(Box<HeldClasses>),
    /// Of numbers.
    Numbers(HeldNumbers),
    /// Of sets of labels.
    LabelSets(Box<MultiLabelEvaluation>),
    /// Of spans of words.
    Tags(SpanEvaluation),
    /// Of answers to questions.
    Answers(AnswerEvaluation),
}

/// What was measured of classes on a held-out split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldClasses {
    /// Its numbers.
    #[serde(flatten)]
    pub evaluation: Evaluation,
    /// Numbers in which every class counts alike; absent in reports of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imbalance: Option<ImbalanceEvaluation>,
    /// Share of its examples that are answered, and the share of wrong answers among them.
    pub unsure: UnsureReport,
}

/// What was measured of numbers on a held-out split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldNumbers {
    /// Its numbers.
    #[serde(flatten)]
    pub evaluation: RegressionEvaluation,
    /// How often its prediction intervals held the truth.
    pub coverage: Option<Coverage>,
}

/// What was measured of classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassesReport {
    /// Out-of-fold numbers.
    #[serde(flatten)]
    pub evaluation: Evaluation,
    /// Out-of-fold numbers in which every class counts alike; absent in reports of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imbalance: Option<ImbalanceEvaluation>,
    /// When the model says "unsure".
    pub unsure: UnsureReport,
    /// Training examples whose label is probably wrong, the likeliest first.
    pub label_errors: Vec<LabelErrorReport>,
    /// Wrong out-of-fold answers, the most confident first.
    pub mistakes: Vec<Mistake>,
}

/// A label that is probably wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelErrorReport {
    /// The file.
    pub file: String,
    /// Its label.
    pub given: String,
    /// The class it probably is.
    pub suggested: String,
    /// Out-of-fold probability of its label.
    pub given_probability: f32,
    /// Out-of-fold probability of the class suggested.
    pub suggested_probability: f32,
}

/// A wrong out-of-fold answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// The file.
    pub file: String,
    /// Its label.
    pub label: String,
    /// The answer.
    pub answer: String,
    /// Probability of the answer.
    pub probability: f32,
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

/// What was measured of sets of labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MultiLabelReport {
    /// Out-of-fold numbers.
    #[serde(flatten)]
    pub evaluation: MultiLabelEvaluation,
    /// From which probability on each label is given; nothing where it never is.
    pub thresholds: Vec<Option<f64>>,
    /// Out-of-fold answers with the most wrong labels, the worst first.
    pub worst: Vec<LabelsMistake>,
    /// Labels that are probably wrong, the likeliest first.
    pub label_errors: Vec<SuspectedReport>,
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

/// When the model says "unsure".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnsureReport {
    /// The share of wrong answers that new data are to keep below.
    pub max_error: f64,
    /// How sure it is that they do.
    #[serde(default = "promised")]
    pub confidence: f64,
    /// Least probability to answer with; absent where no threshold promises `max_error`.
    pub threshold: Option<f64>,
    /// Share of the examples that are answered.
    pub answered: f64,
    /// Share of wrong answers among those.
    pub error: f64,
    /// Where nothing is answered: an error rate that could be promised, with the share of the examples that would be
    /// answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<(f64, f64)>,
}

fn promised() -> f64 {
    CONFIDENCE
}

impl From<&AnswerRule> for UnsureReport {
    fn from(rule: &AnswerRule) -> Self {
        let AnswerRule { max_error, threshold, answered, error } = *rule;
        Self { max_error, confidence: CONFIDENCE, threshold, answered, error, offered: None }
    }
}
