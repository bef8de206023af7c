//! Adaptation to a target domain whose labels nobody has, on features: every method gives a linear head for the target's
//! features as they are, so that an adapted model is saved, opened and used like any other.
//!
//! | file | what it gives |
//! |---|---|
//! | `centring` | the target's rows moved to where the source's would lie at the target's class shares |
//! | `self_training` | a head that learns from its own surest answers too |
//! | `coral`, `transport` | an affine map of the source's rows to the target's mean and covariance |
//! | `components` | a projection of both domains in which their means agree |
//! | `calibration`, `prior`, `confusion` | the target's class shares (label shift) |
//! | `alignments` | what makes heads of these |
//! | `bottleneck`, `trained` | a linear bottleneck and classifier, trained on both domains; one head for raw features in the end |
//! | `deep_coral`, `dann`, `cdan`, `mcc` | the losses that they are trained with |
//! | `shot` | the bottleneck trained on the target alone |
//! | `batch_norms` | another base for the source's head: its batch norms on the target's images (AdaBN, TENT) |
//! | `target_images` | the images, the base, and what a changed base makes of them |
//!
//! Whether the domains differ, their moments and importance weights are in [`crate::similarity`].
//!
//! Never here: a label of the target. Matrices are computed in f64 on one thread or as a fixed number of partial sums: a result
//! does not depend on the number of threads.

mod alignments;
mod batch_norms;
mod bottleneck;
pub(crate) mod calibration;
mod cdan;
mod centring;
mod centroids;
mod certainty;
pub(crate) mod components;
pub(crate) mod confusion;
pub(crate) mod coral;
mod dann;
mod deep_coral;
mod dense;
mod discriminator;
#[cfg(test)]
pub(crate) mod fixture_tests;
#[cfg(test)]
mod loss_tests;
mod mcc;
pub(crate) mod prior;
mod self_training;
mod shot;
mod target_images;
mod trained;
#[cfg(test)]
mod trained_tests;
pub(crate) mod transport;

use crate::error::Result;
use crate::features::Features;
use crate::heads::{ClassWeights, Linear, fit, fit_weighted, fit_within, softmax};
use crate::progress::Observer;
use crate::train::argmax;
use alignments::{Bbse, Coral, Importance, Jda, PriorShift, Rlls, Tca, Transport};
use batch_norms::{AdaBn, Tent};
use cdan::Cdan;
use centring::Centring;
use dann::Dann;
use deep_coral::DeepCoral;
use mcc::Mcc;
use self_training::{AlignedSelfTraining, SelfTraining};
use shot::Shot;
pub(crate) use target_images::{ChangedBase, TargetImages};

/// Norm of the gradient at which a head is good enough to teach another.
const ROUGHLY: f64 = 1e-4;

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
    /// Probabilities of the source's examples by heads that had not seen them, `[examples, classes]`.
    pub(crate) out_of_fold: &'a [f64],
    /// The target's images and the base that made features of them, where it is images.
    pub(crate) images: Option<&'a TargetImages<'a>>,
    /// Seed of everything that is drawn.
    pub(crate) seed: u64,
    /// Hears of the work.
    pub(crate) observer: &'a dyn Observer,
}

/// What a method came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It was applied.
    Applied(Applied),
    /// It does not apply here, and why.
    Refused(String),
}

/// What a method gives.
#[derive(Debug)]
pub(crate) struct Applied {
    /// The head for the target's features as they are, or as a changed base makes them.
    pub(crate) head: Linear,
    /// The base, where it is another than the source's.
    pub(crate) base: Option<ChangedBase>,
    /// What was found on the way, in words.
    pub(crate) notes: Vec<String>,
}

impl Applied {
    /// A head for features as they are.
    pub(crate) fn of_head(head: Linear, notes: Vec<String>) -> Self {
        Self { head, base: None, notes }
    }
}

/// A way to adapt a head to a target domain.
pub(crate) trait Alignment: Sync {
    /// Its name, as `--method` takes it.
    fn name(&self) -> &'static str;
    /// Whether it is trained by steps, or runs the base again, which takes seconds to minutes, and is not solved.
    fn is_trained(&self) -> bool {
        false
    }
    /// Adapts.
    ///
    /// # Errors
    /// Features that are not finite, a solver that fails, interruption.
    fn adapt(&self, domains: &Domains<'_>) -> Result<Outcome>;
}

/// All methods on features, in the order in which they are told.
pub(crate) const METHODS: [&dyn Alignment; 18] = [
    &Centring,
    &SelfTraining,
    &AlignedSelfTraining,
    &Coral,
    &Transport,
    &Tca,
    &Jda,
    &Importance,
    &PriorShift,
    &Bbse,
    &Rlls,
    &DeepCoral,
    &Dann,
    &Cdan,
    &Mcc,
    &Shot,
    &AdaBn,
    &Tent,
];

impl Domains<'_> {
    /// Probabilities `[examples, classes]` of a head for the target's examples.
    pub(crate) fn answers(&self, head: &Linear) -> Vec<f64> {
        self.answers_to(self.target, head)
    }

    /// The same for other features of these examples.
    pub(crate) fn answers_to(&self, features: &Features, head: &Linear) -> Vec<f64> {
        let rows = features.values.chunks_exact(features.columns.max(1));
        rows.flat_map(|row| softmax(&head.values(row), self.temperature)).collect()
    }

    /// The likeliest class of each of the target's examples.
    pub(crate) fn classes_of(&self, probabilities: &[f64]) -> Vec<usize> {
        let narrow = |row: &[f64]| row.iter().map(|&p| p as f32).collect::<Vec<f32>>();
        probabilities.chunks_exact(self.classes).map(|row| argmax(&narrow(row))).collect()
    }

    /// Shares of the classes in the source.
    pub(crate) fn source_shares(&self) -> Vec<f64> {
        let mut counts = vec![0.0f64; self.classes];
        self.labels.iter().for_each(|&label| counts[label] += 1.0);
        counts.iter().map(|count| count / self.labels.len() as f64).collect()
    }

    /// The head with the least regularised loss on some features, at the strength of the source's; `weights` of the examples,
    /// where they do not all weigh one.
    pub(crate) fn solve(&self, features: &Features, labels: &[usize], weights: Option<&[f64]>) -> Result<Linear> {
        let (classes, c) = (self.classes, self.strength);
        match weights {
            None => fit(features, labels, classes, c, self.weights, self.observer),
            Some(weights) => fit_weighted(features, labels, classes, c, self.weights, weights, self.observer),
        }
    }

    /// As [`Domains::solve`], as exactly as answers need that only teach: the norm of the gradient is below 1e-4.
    fn solve_roughly(&self, features: &Features, labels: &[usize], weights: &[f64]) -> Result<Linear> {
        fit_within((features, labels, self.classes), self.strength, self.weights, weights, ROUGHLY, self.observer)
    }
}

/// Probabilities of examples by heads that had not seen their fold, at one strength, `[examples, classes]`.
///
/// # Errors
/// As [`fit`].
pub(crate) fn out_of_fold(
    (features, labels, classes): (&Features, &[usize], usize),
    folds: &[usize],
    (strength, temperature): (f64, f64),
    weights: &ClassWeights,
    observer: &dyn Observer,
) -> Result<Vec<f64>> {
    let mut probabilities = vec![0.0; labels.len() * classes];
    let count = folds.iter().max().map_or(0, |last| last + 1);
    for fold in 0..count {
        observer.check()?;
        let (held, train): (Vec<usize>, Vec<usize>) = (0..labels.len()).partition(|&row| folds[row] == fold);
        let of: Vec<usize> = train.iter().map(|&row| labels[row]).collect();
        let each = vec![1.0; train.len()];
        let selected = features.select(&train);
        let head = fit_within((&selected, &of, classes), strength, weights, &each, ROUGHLY, observer)?;
        for row in held {
            let told = softmax(&head.values(features.row(row)), temperature);
            probabilities[row * classes..][..classes].copy_from_slice(&told);
        }
    }
    Ok(probabilities)
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

/// Fewest examples in a thousand of a class that is said to be there.
const LEAST_SHARE: f64 = 1e-3;

/// A source's head for classes of other shares: its logits plus `ln q - ln pi`, on the scale of its temperature.
pub(crate) fn at_shares(domains: &Domains<'_>, mut head: Linear, shares: &[f64]) -> Linear {
    for (intercept, weight) in head.intercepts.iter_mut().zip(class_weights(domains, shares)) {
        *intercept += domains.temperature * weight.ln();
    }
    head
}

/// The weight of every source example, for classes at these shares.
pub(crate) fn source_weights(domains: &Domains<'_>, shares: &[f64]) -> Vec<f64> {
    let of_class = class_weights(domains, shares);
    domains.labels.iter().map(|&label| of_class[label]).collect()
}

/// `q / pi` of every class; 1 of one that the source does not have.
fn class_weights(domains: &Domains<'_>, shares: &[f64]) -> Vec<f64> {
    let raised: f64 = shares.iter().map(|share| share.max(LEAST_SHARE)).sum();
    let weight = |(share, prior): (&f64, f64)| {
        if prior > 0.0 { share.max(LEAST_SHARE) / raised / prior } else { 1.0 }
    };
    let prior = domains.source_shares();
    // At the source's own shares nothing is to change, not even by rounding.
    if shares == prior {
        return vec![1.0; prior.len()];
    }
    shares.iter().zip(prior).map(weight).collect()
}
