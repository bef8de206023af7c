//! Shares of the classes in the target, with what is not known of them.

use super::guard::Candidate;
use super::report::ClassShare;
use crate::methods::domain::Domains;

/// Skill of the source's model, of 1, below which its answers say nothing of shares.
pub(super) const LEAST_SKILL: f64 = 0.35;
/// What an interval has of the probability that answers leave to other classes. Set, as the rest of its form, so that nine of ten
/// intervals hold the truth on half of the tasks, and checked on the others.
const OPEN: f64 = 0.7;
/// Quantile of the normal law for 90 %.
const Z: f64 = 1.645;
/// Least variance of a share.
const LEAST_VARIANCE: f64 = 0.02;

/// Estimates the target's shares by the answers of self-training, with intervals: as wide as source and self-training disagree
/// about a class, and as the source's answers are open, beside the chance of the examples.
///
/// Bootstraps of estimates by expectation and maximisation or by the confusion matrix hold the truth in 25 to 31 of 100 real
/// shifts (at a nominal 90 %): what is not known is not the chance of the draw, but what else moved.
pub(super) fn estimate(
    domains: &Domains<'_>,
    source_only: &Candidate,
    trained: &Candidate,
    names: &[String],
    skill: f64,
) -> Vec<ClassShare> {
    let (rows, classes) = (domains.target.rows as f64, domains.classes);
    let prior = domains.source_shares();
    let shares = trained.answered(classes);
    let of = |class: usize| {
        let both = source_only.answers.iter().zip(&trained.answers);
        let disagree = both.filter(|(a, b)| (**a == class) != (**b == class)).count() as f64 / rows;
        let each = source_only.probabilities.chunks_exact(classes).map(|row| row[class].min(1.0 - row[class]));
        let open = each.sum::<f64>() / rows;
        let chance = Z * ((shares[class] * (1.0 - shares[class])).max(LEAST_VARIANCE) / rows).sqrt();
        let half = if skill < LEAST_SKILL { 1.0 } else { disagree + OPEN * open + chance };
        ClassShare {
            class: names[class].clone(),
            source: prior[class],
            estimated: shares[class],
            low: (shares[class] - half).max(0.0),
            high: (shares[class] + half).min(1.0),
        }
    };
    (0..classes).map(of).collect()
}

/// Whether the source's shares lie outside of the intervals.
pub(super) fn differ(shares: &[ClassShare]) -> bool {
    shares.iter().any(|share| !(share.low..=share.high).contains(&share.source))
}
