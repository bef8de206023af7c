//! Adaptation to a target domain whose labels nobody has, on features: every method gives a linear head for the target's
//! features as they are, so that an adapted model is saved, opened and used like any other.
//!
//! Never here: a label of the target. What a method gets of it are features.

mod centring;
mod self_training;
mod temp;

use crate::error::Result;
use crate::features::Features;
use crate::heads::{ClassWeights, Linear, fit, softmax};
use crate::progress::Observer;
use crate::train::argmax;

pub(crate) use centring::{Centring, estimated_shares};
pub(crate) use temp::{discrepancy, two_sample};
pub(crate) use self_training::SelfTraining;

/// A labelled source and an unlabelled target, as features.
#[derive(Clone, Copy)]
pub(crate) struct Domains<'a> {
    /// The source's features, `[examples, columns]`.
    pub(crate) source: &'a Features,
    /// The class of every source example.
    pub(crate) labels: &'a [usize],
    /// The number of classes.
    pub(crate) classes: usize,
    /// The fold of every source example.
    pub(crate) folds: &'a [usize],
    /// The target's features, `[examples, columns]`.
    pub(crate) target: &'a Features,
    /// The head on the source alone, to raw features.
    pub(crate) head: &'a Linear,
    /// What divides its logits.
    pub(crate) temperature: f64,
    /// The strength of its regularisation.
    pub(crate) strength: f64,
    /// Weights of the classes in the loss.
    pub(crate) weights: &'a ClassWeights,
    /// The shares of the classes in the target, where they are known.
    pub(crate) shares: Option<&'a [f64]>,
    /// Seed of everything that is drawn.
    pub(crate) seed: u64,
    /// Hears of the work.
    pub(crate) observer: &'a dyn Observer,
}

/// What a method came to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// It was applied.
    Applied(Applied),
    /// It does not apply here, and why.
    Refused(String),
}

/// What a method gives.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Applied {
    /// The head for the target's features as they are.
    pub(crate) head: Linear,
    /// What was found on the way, in words.
    pub(crate) notes: Vec<String>,
}

/// A way to adapt a head to a target domain.
pub(crate) trait Alignment: Sync {
    /// Its name, as `--method` takes it.
    fn name(&self) -> &'static str;
    /// Adapts.
    ///
    /// # Errors
    /// Features that are not finite, a solver that fails, interruption.
    fn adapt(&self, domains: &Domains<'_>) -> Result<Outcome>;
}

/// All methods on features, in the order in which they are told.
pub(crate) const METHODS: [&dyn Alignment; 2] = [&Centring, &SelfTraining];

impl Domains<'_> {
    /// Probabilities `[examples, classes]` of a head for the target's examples.
    pub(crate) fn answers(&self, head: &Linear) -> Vec<f64> {
        let rows = self.target.values.chunks_exact(self.target.columns.max(1));
        rows.flat_map(|row| softmax(&head.values(row), self.temperature)).collect()
    }

    /// The likeliest class of each of the target's examples.
    pub(crate) fn classes_of(&self, probabilities: &[f64]) -> Vec<usize> {
        let narrow = |row: &[f64]| row.iter().map(|&p| p as f32).collect::<Vec<f32>>();
        probabilities.chunks_exact(self.classes).map(|row| argmax(&narrow(row))).collect()
    }

    /// Shares of the classes in the source.
    pub(crate) fn source_shares(&self) -> Vec<f64> {
        let mut shares = vec![0.0; self.classes];
        self.labels.iter().for_each(|&label| shares[label] += 1.0 / self.labels.len() as f64);
        shares
    }

    /// The head with the least regularised loss on some features, at the strength of the source's.
    pub(crate) fn solve(&self, features: &Features, labels: &[usize]) -> Result<Linear> {
        fit(features, labels, self.classes, self.strength, self.weights, self.observer)
    }
}

/// Mean of every column over all rows, or the weighted mean, `[columns]`.
pub(crate) fn mean_of(features: &Features, weights: Option<&[f64]>) -> Vec<f64> {
    let mut mean = vec![0.0; features.columns];
    let mut total = 0.0;
    for (at, row) in features.values.chunks_exact(features.columns.max(1)).enumerate() {
        let weight = weights.map_or(1.0, |weights| weights[at]);
        total += weight;
        mean.iter_mut().zip(row).for_each(|(mean, &x)| *mean += weight * f64::from(x));
    }
    mean.iter_mut().for_each(|mean| *mean /= total.max(f64::MIN_POSITIVE));
    mean
}

/// Rows minus a row.
pub(crate) fn shifted(features: &Features, by: &[f64]) -> Features {
    let mut moved = features.clone();
    for row in moved.values.chunks_exact_mut(features.columns.max(1)) {
        row.iter_mut().zip(by).for_each(|(x, by)| *x = (f64::from(*x) - by) as f32);
    }
    moved
}

/// The head that gives for `x` what `head` gives for `x - by`.
pub(crate) fn before_shift(mut head: Linear, by: &[f64]) -> Linear {
    for (intercept, weights) in head.intercepts.iter_mut().zip(head.weights.chunks_exact(by.len().max(1))) {
        *intercept -= weights.iter().zip(by).map(|(weight, by)| weight * by).sum::<f64>();
    }
    head
}
