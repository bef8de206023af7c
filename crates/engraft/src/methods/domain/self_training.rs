//! Self-training with a curriculum that is balanced over classes: the most confident answers become labels, more of them in
//! every round (Zou, Yu, Kumar and Wang, 2018, "Unsupervised domain adaptation for semantic segmentation via class-balanced
//! self-training").
//!
//! A threshold for all classes alike would drop the class that the model is least sure of, round after round.

use super::centring::Centring;
use super::{Alignment, Applied, Domains, Outcome, before_shift, shifted};
use crate::error::Result;
use crate::features::Features;
use crate::heads::Linear;

/// Shares of each predicted class that are taken for right, round by round.
const CURRICULUM: [f64; 5] = [0.2, 0.35, 0.5, 0.65, 0.8];

/// Self-training on centred features.
pub(crate) struct SelfTraining;

impl Alignment for SelfTraining {
    fn name(&self) -> &'static str {
        "self-training"
    }

    fn adapt(&self, domains: &Domains<'_>) -> Result<Outcome> {
        let shift = Centring::centre(domains)?;
        let moved = shifted(domains.target, &shift);
        let mut head = before_shift(domains.head.clone(), &shift);
        for share in CURRICULUM {
            head = before_shift(round(domains, &moved, &head, share)?, &shift);
        }
        Ok(Outcome::Applied(Applied { head, notes: Vec::new() }))
    }
}

/// One round: the head on the source and on the share of the target, moved to the source, that `head` (of the target as it is) is
/// surest of.
fn round(domains: &Domains<'_>, moved: &Features, head: &Linear, share: f64) -> Result<Linear> {
    let probabilities = domains.answers(head);
    let classes = domains.classes_of(&probabilities);
    let taken = surest(&probabilities, &classes, domains.classes, share);
    let mut features = domains.source.clone();
    features.rows += taken.len();
    features.values.extend_from_slice(&moved.select(&taken).values);
    let labels: Vec<usize> = domains.labels.iter().copied().chain(taken.iter().map(|&at| classes[at])).collect();
    domains.solve(&features, &labels, None)
}

/// The most confident share of each predicted class, at least one of each that is predicted; ascending.
fn surest(probabilities: &[f64], answers: &[usize], classes: usize, share: f64) -> Vec<usize> {
    let mut taken = Vec::new();
    for class in 0..classes {
        let mut of_class: Vec<usize> = (0..answers.len()).filter(|&at| answers[at] == class).collect();
        let sure = |at: usize| probabilities[at * classes + class];
        of_class.sort_by(|&a, &b| sure(b).total_cmp(&sure(a)).then(a.cmp(&b)));
        let count = (share * of_class.len() as f64).ceil() as usize;
        taken.extend(of_class.into_iter().take(count));
    }
    taken.sort_unstable();
    taken
}
