//! From a row of features to an answer: the same code for evaluation, for `predict` and for everything later.

use rayon::prelude::*;
use serde::Serialize;

use super::found_spans::{FoundSpan, spans_in};
use super::span_answer::{GivenAnswer, SpanAnswer};
use crate::features::Features;
use crate::heads::Linear;
use crate::heads::{AnswerRule, Head, Novelty, sigmoid, softmax};
use crate::metrics::CvPlus;
use crate::train::argmax;

/// A fitted head with everything that turns its outputs into an answer one can trust.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Predictor {
    /// Features, or states of tokens, to outputs.
    pub(crate) head: Head,
    /// Outputs to a prediction.
    pub(crate) calibration: Calibration,
    /// When to say "unlike the training data".
    pub(crate) novelty: Novelty,
}

/// What makes a prediction of outputs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Calibration {
    /// Of a class.
    Classes {
        /// Divides the logits (Guo et al. 2017).
        temperature: f64,
        /// When to say "unsure".
        rule: AnswerRule,
    },
    /// Of a set of labels.
    LabelSets {
        /// Divides the logits.
        temperature: f64,
        /// From which probability on each label is given, `[labels]`; none where it never is.
        thresholds: Vec<Option<f64>>,
    },
    /// Of a number.
    Numbers {
        /// The heads of the folds, which the interval needs; none where the base was changed with them: the interval is
        /// then about the number itself.
        folds: Vec<Linear>,
        /// How far off they were on what they had not seen.
        intervals: CvPlus,
    },
    /// Of spans of words.
    Tags {
        /// When to say "unsure" of a span.
        rule: AnswerRule,
    },
    /// Of an answer to a question.
    Answers {
        /// Above this no answer is given; none where every question has one.
        threshold: Option<f32>,
        /// When to say "unsure".
        rule: AnswerRule,
    },
}

/// A class in answer to one example.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// Probability of every class, in the order of the classes.
    pub probabilities: Vec<f32>,
    /// The most probable class; of equals the first.
    pub class: usize,
    /// Whether the probability is too low to answer at the stated error rate.
    pub unsure: bool,
    /// Distance to the training data, 0 to 2; `None` where a base answers, whose training data is not here.
    pub distance: Option<f32>,
    /// Whether the distance is larger than nearly all of the training data's own.
    pub unlike: bool,
}

/// A set of labels in answer to one example.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelsAnswer {
    /// Probability of every label, in the order of the labels; they need not sum to anything.
    pub probabilities: Vec<f32>,
    /// Whether each label is given.
    pub(crate) given: Vec<bool>,
    /// Distance to the training data, 0 to 2.
    pub distance: f32,
    /// Whether the distance is larger than nearly all of the training data's own.
    pub unlike: bool,
}

/// A number in answer to one example.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NumberAnswer {
    /// The number.
    pub value: f64,
    /// Ends of the prediction interval; none where the training data is too little to promise its level.
    pub interval: Option<(f64, f64)>,
    /// Distance to the training data, 0 to 2.
    pub distance: f32,
    /// Whether the distance is larger than nearly all of the training data's own.
    pub unlike: bool,
}

/// Spans in answer to one sentence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TagsAnswer {
    /// The spans, in the order of the words.
    pub spans: Vec<FoundSpan>,
    /// Whether each is too improbable to be given at the stated error rate.
    pub unsure: Vec<bool>,
    /// Distance to the training data, 0 to 2.
    pub(crate) distance: f32,
    /// Whether the distance is larger than nearly all of the training data's own.
    pub unlike: bool,
}

/// What is answered to one question.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QuestionAnswer {
    /// The answer.
    pub given: GivenAnswer,
    /// What it was chosen from.
    pub choice: SpanAnswer,
    /// Whether the probability is too low to answer at the stated error rate.
    pub unsure: bool,
    /// Distance to the training data, 0 to 2.
    pub(crate) distance: f32,
    /// Whether the distance is larger than nearly all of the training data's own.
    pub unlike: bool,
}

/// An answer of any kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum TargetAnswer {
    /// A class.
    Class(Answer),
    /// A set of labels.
    Labels(LabelsAnswer),
    /// A number.
    Number(NumberAnswer),
    /// Spans of words.
    Tags(TagsAnswer),
    /// An answer to a question.
    Question(QuestionAnswer),
}

impl TargetAnswer {
    /// Whether the example is unlike the training data.
    pub(crate) fn unlike(&self) -> bool {
        match self {
            TargetAnswer::Class(answer) => answer.unlike,
            TargetAnswer::Labels(answer) => answer.unlike,
            TargetAnswer::Number(answer) => answer.unlike,
            TargetAnswer::Tags(answer) => answer.unlike,
            TargetAnswer::Question(answer) => answer.unlike,
        }
    }

    /// The class, where it is one.
    pub fn class(&self) -> Option<&Answer> {
        match self {
            TargetAnswer::Class(answer) => Some(answer),
            _ => None,
        }
    }
}

impl Answer {
    /// Probability of the answered class.
    pub fn probability(&self) -> f32 {
        self.probabilities[self.class]
    }

    /// Classes by falling probability; of equals the first.
    pub fn ranking(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.probabilities.len()).collect();
        order.sort_by(|&a, &b| self.probabilities[b].total_cmp(&self.probabilities[a]).then(a.cmp(&b)));
        order
    }
}

impl LabelsAnswer {
    /// The labels given, the most probable first.
    pub fn labels(&self) -> Vec<usize> {
        Self::order(&self.probabilities, &self.given)
    }

    /// The labels of `[labels]` that are given, the most probable first, of equals the first.
    pub(crate) fn order(probabilities: &[f32], given: &[bool]) -> Vec<usize> {
        let mut labels: Vec<usize> = (0..given.len()).filter(|&label| given[label]).collect();
        labels.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]).then(a.cmp(&b)));
        labels
    }
}

impl Predictor {
    /// The answers to rows of features, in their order. None depends on the rows beside it.
    ///
    /// # Panics
    /// If a row is shorter than the head takes, or the head looks at tokens.
    pub(crate) fn answers(&self, features: &Features) -> Vec<TargetAnswer> {
        (0..features.rows).into_par_iter().map(|row| self.answer(features.row(row))).collect()
    }

    /// The answer to a row of features. It depends on this row alone.
    ///
    /// # Panics
    /// As [`Predictor::answers`].
    pub(crate) fn answer(&self, row: &[f32]) -> TargetAnswer {
        self.answer_of(self.head.linear().values(row), row)
    }

    /// The answer that outputs mean, which are the head's for an example or its tokens; `row` are the example's features.
    /// A number's interval is CV+'s, widened to hold the number.
    pub(crate) fn answer_of(&self, outputs: Vec<f64>, row: &[f32]) -> TargetAnswer {
        let distance = self.novelty.distance(row);
        self.calibration.answer(outputs, self.head.outputs(), row, (distance, self.novelty.is_unlike(distance)))
    }
}

impl Calibration {
    /// The answer that outputs mean. `width`: outputs of the head; `row`: the example's features, of which numbers need those
    /// that the folds' heads take; `(distance, unlike)`: how far the example is from the training data.
    pub(crate) fn answer(
        &self,
        outputs: Vec<f64>,
        width: usize,
        row: &[f32],
        (distance, unlike): (f32, bool),
    ) -> TargetAnswer {
        match self {
            Calibration::Classes { temperature, rule } => {
                let probabilities: Vec<f32> = softmax(&outputs, *temperature).into_iter().map(|p| p as f32).collect();
                let class = argmax(&probabilities);
                let unsure = !rule.answers(f64::from(probabilities[class]));
                TargetAnswer::Class(Answer { class, unsure, unlike, distance: Some(distance), probabilities })
            }
            Calibration::LabelSets { temperature, thresholds } => {
                let probabilities: Vec<f32> =
                    outputs.into_iter().map(|logit| sigmoid(logit, *temperature) as f32).collect();
                let given = given(&probabilities, thresholds);
                TargetAnswer::Labels(LabelsAnswer { probabilities, given, distance, unlike })
            }
            Calibration::Numbers { folds, intervals } => {
                let value = outputs[0];
                let by_fold: Vec<f64> = match folds.as_slice() {
                    [] => vec![value; intervals.residuals.len()],
                    folds => folds.iter().map(|head| head.values(row)[0]).collect(),
                };
                let interval = intervals.interval(&by_fold).map(|(low, high)| (low.min(value), high.max(value)));
                TargetAnswer::Number(NumberAnswer { value, interval, distance, unlike })
            }
            Calibration::Tags { rule } => {
                let spans = spans_in(&outputs, width);
                let unsure = spans.iter().map(|span| !rule.answers(f64::from(span.probability))).collect();
                TargetAnswer::Tags(TagsAnswer { spans, unsure, distance, unlike })
            }
            Calibration::Answers { threshold, rule } => {
                let choice = SpanAnswer::of(&outputs, threshold.is_some());
                let given = choice.given(*threshold);
                let unsure = !rule.answers(given.confidence());
                TargetAnswer::Question(QuestionAnswer { given, choice, unsure, distance, unlike })
            }
        }
    }
}

/// Which labels reach their thresholds.
pub(super) fn given(probabilities: &[f32], thresholds: &[Option<f64>]) -> Vec<bool> {
    let reaches = |(p, least): (&f32, &Option<f64>)| least.is_some_and(|least| f64::from(*p) >= least);
    probabilities.iter().zip(thresholds).map(reaches).collect()
}
