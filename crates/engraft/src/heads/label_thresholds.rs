//! From which probability on a label is given.

use super::threshold::AnswerRule;
use crate::error::{Error, Problem, Result};

/// With fewer examples that have a label (or lack it) than this, a threshold of one half is left as it is: the best one
/// of so few is a matter of luck.
const LEAST_EXAMPLES: usize = 5;

/// How the threshold of each label is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) enum ThresholdRule {
    /// The greatest F1 of the label (Lipton, Elkan and Naryanaswamy, 2014, "Optimal thresholding of classifiers to
    /// maximize F1 measure").
    #[default]
    F1,
    /// The most answers of which at most this share is wrong, as [`AnswerRule::choose`] counts: a label of which no
    /// threshold promises it is never given.
    Error(f64),
}

/// The threshold of each label, `[labels]`, from probabilities and truth `[n, labels]` that the model has not seen.
///
/// For F1 the candidates lie halfway between successive probabilities; of equally good ones the nearest to one half is
/// taken.
pub(crate) fn label_thresholds(
    probabilities: &[f32],
    truth: &[bool],
    labels: usize,
    rule: ThresholdRule,
) -> Result<Vec<Option<f64>>> {
    if probabilities.len() != truth.len() || labels == 0 || !truth.len().is_multiple_of(labels) {
        return Err(Error::Data(
            Problem::new("probabilities and labels do not belong together")
                .expected(format!("as many of the one as of the other, {labels} in a row"))
                .found(format!("{} and {}", probabilities.len(), truth.len())),
        ));
    }
    (0..labels)
        .map(|label| {
            let of = (label..truth.len()).step_by(labels);
            let confidences: Vec<f64> = of.clone().map(|at| f64::from(probabilities[at])).collect();
            let has: Vec<bool> = of.map(|at| truth[at]).collect();
            match rule {
                ThresholdRule::Error(most) => Ok(AnswerRule::choose(&confidences, &has, most)?.threshold),
                ThresholdRule::F1 => Ok(Some(best_f1(&confidences, &has))),
            }
        })
        .collect()
}

fn best_f1(confidences: &[f64], has: &[bool]) -> f64 {
    let positives = has.iter().filter(|has| **has).count();
    if positives.min(has.len() - positives) < LEAST_EXAMPLES {
        return 0.5;
    }
    let mut order: Vec<usize> = (0..has.len()).collect();
    order.sort_by(|&a, &b| confidences[b].total_cmp(&confidences[a]));
    let (mut hits, mut best, mut threshold) = (0usize, 0.0, 0.5);
    for (at, &i) in order.iter().enumerate() {
        hits += usize::from(has[i]);
        let next = order.get(at + 1).map_or(-1.0, |&next| confidences[next]);
        if next == confidences[i] {
            continue;
        }
        let f1 = 2.0 * hits as f64 / (at + 1 + positives) as f64;
        // Halfway, or at one half where that lies in the gap; an f32, which survives any file.
        let middle = f64::from((0.5 * (confidences[i] + next)).max(0.0) as f32);
        let candidate = match middle {
            _ if next < 0.5 && 0.5 < confidences[i] => 0.5,
            _ if middle > next && middle <= confidences[i] => middle,
            _ => confidences[i],
        };
        if f1 > best || f1 == best && (candidate - 0.5).abs() < (threshold - 0.5f64).abs() {
            (best, threshold) = (f1, candidate);
        }
    }
    threshold
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn f1(confidences: &[f64], has: &[bool], threshold: f64) -> f64 {
        let given: Vec<bool> = confidences.iter().map(|&c| c >= threshold).collect();
        let hits = given.iter().zip(has).filter(|(a, b)| **a && **b).count() as f64;
        let sum = given.iter().filter(|g| **g).count() + has.iter().filter(|h| **h).count();
        if sum == 0 { 0.0 } else { 2.0 * hits / sum as f64 }
    }

    #[test]
    fn an_unsure_label_gets_a_lower_threshold() {
        // A rare label that never reaches one half.
        let probabilities: Vec<f32> = (0..100).map(|i| if i < 10 { 0.3 } else { 0.1 }).collect();
        let truth: Vec<bool> = (0..100).map(|i| i < 10).collect();
        let threshold = label_thresholds(&probabilities, &truth, 1, ThresholdRule::F1).unwrap()[0].unwrap();
        assert!((threshold - 0.2).abs() < 1e-6, "{threshold}");
        let strict = label_thresholds(&probabilities, &truth, 1, ThresholdRule::Error(0.01)).unwrap();
        assert_eq!(strict, [None], "ten answers promise no error of 1 %");
        assert_eq!(label_thresholds(&[0.3; 4], &[true; 4], 1, ThresholdRule::F1).unwrap(), [Some(0.5)]);
        assert!(label_thresholds(&[0.3; 4], &[true; 3], 1, ThresholdRule::F1).is_err());
    }

    proptest! {
        #[test]
        fn no_other_threshold_has_a_better_f1(
            examples in proptest::collection::vec((0u8..=20, any::<bool>()), 20..80),
            other in 0.0f64..=1.0,
        ) {
            let confidences: Vec<f64> = examples.iter().map(|&(c, _)| f64::from(c) / 20.0).collect();
            let has: Vec<bool> = examples.iter().map(|&(_, has)| has).collect();
            let positives = has.iter().filter(|has| **has).count();
            prop_assume!(positives >= 5 && has.len() - positives >= 5);
            let threshold = best_f1(&confidences, &has);
            prop_assert!(f1(&confidences, &has, threshold) >= f1(&confidences, &has, other) - 1e-12);
        }
    }
}
