//! Self-training with a curriculum that is balanced over classes: the most confident answers become labels, more of them in
//! every round, while the source counts less (Zou, Yu, Kumar and Wang, 2018, "Unsupervised domain adaptation for semantic
//! segmentation via class-balanced self-training").
//!
//! A threshold for all classes alike would drop the class that the model is least sure of, round after round; without the source
//! the answers drift.

use super::centring::Centring;
use super::{Alignment, Applied, Domains, Outcome, at_shares, before_shift, shifted, source_weights};
use crate::error::Result;
use crate::features::Features;
use crate::heads::Linear;

/// Round by round, the share of each predicted class that is taken for right, and the weight of a source example.
const CURRICULUM: [(f64, f64); 5] = [(0.2, 1.0), (0.4, 0.8), (0.6, 0.6), (0.8, 0.4), (1.0, 0.2)];

/// Self-training: of the target's rows as they are, where its class shares are not known; else of rows that are centred by
/// them, from a source that is weighed to have them.
pub(super) struct SelfTraining;

/// Self-training of rows that are centred as if the target had the source's class shares.
pub(super) struct AlignedSelfTraining;

impl Alignment for SelfTraining {
    fn name(&self) -> &'static str {
        "self-training"
    }

    fn adapt(&self, domains: &Domains<'_>) -> Result<Outcome> {
        match domains.shares {
            Some(shares) => trained(domains, &Centring::centre(domains)?, shares),
            None => trained(domains, &vec![0.0; domains.source.columns], &domains.source_shares()),
        }
    }
}

impl Alignment for AlignedSelfTraining {
    fn name(&self) -> &'static str {
        "aligned-self-training"
    }

    fn adapt(&self, domains: &Domains<'_>) -> Result<Outcome> {
        let shares = domains.source_shares();
        let same = Domains { shares: Some(&shares), ..*domains };
        trained(domains, &Centring::centre(&same)?, &shares)
    }
}

/// The head after all rounds, on the target's rows minus `shift`, of a source with its classes at `shares`.
fn trained(domains: &Domains<'_>, shift: &[f64], shares: &[f64]) -> Result<Outcome> {
    let moved = shifted(domains.target, shift);
    let mut head = at_shares(domains, before_shift(domains.head.clone(), shift), shares);
    for (at, (share, weight)) in CURRICULUM.into_iter().enumerate() {
        domains.observer.check()?;
        let source = source_weights(domains, shares).into_iter().map(|own| own * weight).collect();
        let is_last = at + 1 == CURRICULUM.len();
        head = before_shift(round(domains, &moved, &head, (share, is_last), source)?, shift);
    }
    Ok(Outcome::Applied(Applied::of_head(head, Vec::new())))
}

/// One round: the head on the source and on the share of the target, moved to the source, that `head` (of the target as it is) is
/// surest of.
///
/// The strength of the regularisation stays that of the source by itself, whatever the weights sum to.
fn round(
    domains: &Domains<'_>,
    moved: &Features,
    head: &Linear,
    (share, is_last): (f64, bool),
    mut weights: Vec<f64>,
) -> Result<Linear> {
    let probabilities = domains.answers(head);
    let classes = domains.classes_of(&probabilities);
    let taken = surest(&probabilities, &classes, domains.classes, share);
    let mut features = domains.source.clone();
    features.rows += taken.len();
    features.values.extend_from_slice(&moved.select(&taken).values);
    let labels: Vec<usize> = domains.labels.iter().copied().chain(taken.iter().map(|&at| classes[at])).collect();
    weights.extend(taken.iter().map(|_| 1.0));
    let strength = domains.strength * domains.labels.len() as f64 / weights.iter().sum::<f64>();
    let domains = Domains { strength, ..*domains };
    match is_last {
        true => domains.solve(&features, &labels, Some(&weights)),
        false => domains.solve_roughly(&features, &labels, &weights),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_that_is_predicted_has_its_share() {
        // Of class 1 even the surest answer is less sure than all of class 0.
        let probabilities = [0.99, 0.01, 0.95, 0.05, 0.9, 0.1, 0.45, 0.55, 0.4, 0.6];
        let answers = [0, 0, 0, 1, 1];
        assert_eq!(surest(&probabilities, &answers, 2, 0.2), [0, 4]);
        assert_eq!(surest(&probabilities, &answers, 2, 0.5), [0, 1, 4]);
        assert_eq!(surest(&probabilities, &answers, 2, 1.0), [0, 1, 2, 3, 4]);
    }
}
