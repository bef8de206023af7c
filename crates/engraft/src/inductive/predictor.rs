//! From a row of features to an answer: the same code for evaluation, for `predict` and for everything later.

use serde::Serialize;

use crate::error::Result;
use crate::head::{AnswerRule, LogisticRegression, Novelty, softmax};
use crate::train::argmax;

/// A fitted head with everything that turns its logits into an answer one can trust.
#[derive(Debug, Clone)]
pub struct Predictor {
    /// Features to logits.
    pub head: LogisticRegression,
    /// Divides the logits (Guo et al. 2017).
    pub temperature: f64,
    /// When to say "unsure".
    pub rule: AnswerRule,
    /// When to say "unlike the training data".
    pub novelty: Novelty,
}

/// An answer to one picture.
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

impl Predictor {
    /// The answer to a row of features. It depends on this row alone.
    pub fn answer(&self, row: &[f32]) -> Answer {
        let probabilities: Vec<f32> =
            softmax(&self.head.logits(row), self.temperature).into_iter().map(|p| p as f32).collect();
        let class = argmax(&probabilities);
        let distance = self.novelty.distance(row);
        Answer {
            class,
            unsure: !self.rule.answers(f64::from(probabilities[class])),
            unlike: self.novelty.is_unlike(distance),
            distance: Some(distance),
            probabilities,
        }
    }

    /// Rounds the head to f32, as it is stored, so that what was evaluated is what will answer.
    pub(super) fn round(head: &mut LogisticRegression) -> Result<()> {
        for value in head.weights.iter_mut().chain(&mut head.intercepts) {
            *value = f64::from(*value as f32);
        }
        head.check()
    }
}
