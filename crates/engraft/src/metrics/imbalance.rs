//! What accuracy hides where some classes are rarer than others.

use serde::{Deserialize, Serialize};

use super::classification::Predictions;
use super::interval::{Estimate, Share, bootstrap_t, no_surer_than_accuracy, resampled_t};
use crate::error::Result;

/// How a classifier does when every class counts alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImbalanceEvaluation {
    /// Mean recall over the classes that have examples (Brodersen et al., 2010), with a t-interval by the bootstrap. Guessing gets one over
    /// their number, whatever the frequencies.
    pub balanced_accuracy: Estimate,
    /// Mean F1 over the classes that occur as label or as answer, with a t-interval by the bootstrap.
    pub macro_f1: Estimate,
    /// Matthews' correlation for several classes (Gorodkin, 2004), from -1 to 1, with a t-interval by the bootstrap; 0 is chance.
    pub matthews: Estimate,
    /// Recall and precision of each class, each with Wilson's interval.
    pub per_class: Vec<ClassShares>,
    /// Examples of the commonest class over those of the rarest that has any.
    pub ratio: f64,
}

/// Recall and precision of a class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassShares {
    /// The class.
    pub class: usize,
    /// Share of the examples of the class that were answered with it.
    pub recall: Share,
    /// Share of the examples answered with the class that are of it.
    pub precision: Share,
}

/// Evaluates probabilities `[n, classes]` against labels `[n]`, every class counting alike.
pub fn evaluate_imbalance(
    probabilities: &[f32],
    labels: &[usize],
    classes: usize,
    seed: u64,
    how: &str,
) -> Result<ImbalanceEvaluation> {
    let predictions = Predictions::new(probabilities, labels, classes)?;
    let n = labels.len();
    let answers: Vec<usize> = (0..n).map(|i| predictions.predicted(i)).collect();
    let measured = statistics(&answers, labels, classes, &vec![1; n]);
    let intervals = bootstrap_t(n, seed, &measured, |counts| statistics(&answers, labels, classes, counts));
    let how = resampled_t(how, n);
    let right = answers.iter().zip(labels).filter(|(answer, label)| answer == label).count();
    // `least`: the least that the measure can be, `scale`: what of it goes with the accuracy.
    let estimate = |m: usize, least: f64, scale: f64| {
        let (low, high) = no_surer_than_accuracy(intervals[m], measured[m], (right, n), scale);
        Estimate { mean: measured[m], low: low.max(least), high, n, how: how.clone() }
    };
    let tally = Tally::of(&answers, labels, classes, &vec![1; n]);
    let per_class = (0..classes)
        .map(|class| {
            let hits = tally.hits[class] as usize;
            let (support, answered) = (tally.labelled[class] as usize, tally.answered[class] as usize);
            ClassShares { class, recall: Share::of(hits, support), precision: Share::of(hits, answered) }
        })
        .collect();
    let present = || tally.labelled.iter().copied().filter(|&support| support > 0);
    let ratio = present().max().unwrap_or(1) as f64 / present().min().unwrap_or(1) as f64;
    Ok(ImbalanceEvaluation {
        balanced_accuracy: estimate(0, 0.0, 1.0),
        macro_f1: estimate(1, 0.0, 1.0),
        matthews: estimate(2, -1.0, 2.0),
        per_class,
        ratio,
    })
}

/// Counts of each class in a resample.
struct Tally {
    hits: Vec<u64>,
    labelled: Vec<u64>,
    answered: Vec<u64>,
}

impl Tally {
    fn of(answers: &[usize], labels: &[usize], classes: usize, counts: &[u32]) -> Self {
        let none = vec![0; classes];
        let mut tally = Self { hits: none.clone(), labelled: none.clone(), answered: none };
        for ((&answer, &label), &count) in answers.iter().zip(labels).zip(counts) {
            let count = u64::from(count);
            tally.labelled[label] += count;
            tally.answered[answer] += count;
            tally.hits[label] += count * u64::from(answer == label);
        }
        tally
    }
}

/// Balanced accuracy, macro-F1 and Matthews' correlation of a resample.
fn statistics(answers: &[usize], labels: &[usize], classes: usize, counts: &[u32]) -> [f64; 3] {
    let Tally { hits, labelled, answered } = Tally::of(answers, labels, classes, counts);
    let mean_over = |occurs: &dyn Fn(usize) -> u64, value: &dyn Fn(usize) -> f64| {
        let present: Vec<usize> = (0..classes).filter(|&class| occurs(class) > 0).collect();
        present.iter().map(|&class| value(class)).sum::<f64>() / present.len().max(1) as f64
    };
    let balanced = mean_over(&|class| labelled[class], &|class| hits[class] as f64 / labelled[class] as f64);
    let both = |class: usize| labelled[class] + answered[class];
    let macro_f1 = mean_over(&both, &|class| 2.0 * hits[class] as f64 / both(class) as f64);
    // With c right of s, t_k labels and p_k answers: (c s - sum t p) / sqrt((s² - sum p²)(s² - sum t²)).
    let dot = |a: &[u64], b: &[u64]| a.iter().zip(b).map(|(&a, &b)| a as f64 * b as f64).sum::<f64>();
    let (right, all) = (hits.iter().sum::<u64>() as f64, labelled.iter().sum::<u64>() as f64);
    let scale = ((all * all - dot(&answered, &answered)) * (all * all - dot(&labelled, &labelled))).sqrt();
    let matthews = if scale > 0.0 { (right * all - dot(&labelled, &answered)) / scale } else { 0.0 };
    [balanced, macro_f1, matthews]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lazy_answer_to_rare_classes_is_seen_through() {
        // Ninety of class 0, ten of class 1; always answered with 0.
        let labels: Vec<usize> = (0..100).map(|i| usize::from(i >= 90)).collect();
        let e = evaluate_imbalance(&[0.9, 0.1].repeat(100), &labels, 2, 1, "lazy").unwrap();
        assert_eq!((e.balanced_accuracy.mean, e.matthews.mean, e.ratio), (0.5, 0.0, 9.0));
        assert_eq!((e.per_class[1].recall.share, e.per_class[1].recall.n), (0.0, 10));
        assert!(e.per_class[1].recall.high > 0.2, "ten examples do not prove zero");
        assert_eq!(e.per_class[1].precision.n, 0);
    }

    #[test]
    fn numbers_by_hand() {
        let probabilities = [0.7, 0.2, 0.1, 0.1, 0.8, 0.1, 0.3, 0.4, 0.3, 0.25, 0.25, 0.5];
        let e = evaluate_imbalance(&probabilities, &[0, 1, 0, 2], 3, 1, "").unwrap();
        assert!((e.balanced_accuracy.mean - (0.5 + 1.0 + 1.0) / 3.0).abs() < 1e-12);
        // c = 3, s = 4, t = (2, 1, 1), p = (1, 2, 1): (12 - 5) / (16 - 6).
        assert!((e.matthews.mean - 0.7).abs() < 1e-12);
    }
}
