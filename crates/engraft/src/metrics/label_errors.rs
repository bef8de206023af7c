//! Examples whose label is probably wrong.

use serde::{Deserialize, Serialize};

use super::classification::Predictions;
use crate::error::Result;

/// An example whose label is probably wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelError {
    /// Which example.
    pub index: usize,
    /// The class it is labelled with.
    pub given: usize,
    /// The class it probably is.
    pub suggested: usize,
    /// Out-of-fold probability of the class it is labelled with.
    pub given_probability: f32,
    /// Out-of-fold probability of the class suggested.
    pub suggested_probability: f32,
}

/// Temperatures that are tried, as powers of this, on each side of 1.
const TEMPERATURE_STEP: f64 = 1.1;
const TEMPERATURES: i32 = 12;
/// The temperature is found from at most this many examples, evenly spaced.
const TEMPERATURE_EXAMPLES: usize = 5000;
/// Steps of expectation and maximisation of the share of wrong labels.
const STEPS: usize = 60;
/// Twice the gain in log-likelihood that is asked for before any label is called wrong: 5 % of clean data have more, one-sided.
const LIKELIER: f64 = 2.706;

/// Confident learning (Northcutt, Jiang and Chuang, 2021, "Confident learning: estimating uncertainty in dataset
/// labels", JAIR 70), on out-of-fold probabilities `[n, classes]`, cut off after as many as are estimated to be wrong.
///
/// The threshold of class `j` is the mean probability of `j` over the examples labelled `j`. An example is a candidate
/// when its most probable class is not its label and reaches that class's own threshold (an entry off the diagonal
/// of the confident joint). The most suspicious comes first: ascending normalised margin
/// `p(given) - max over other classes`, ties by index. A class that labels nobody is never suggested.
///
/// Of a weak model most candidates are its own mistakes. How many labels are wrong is estimated by a model of the labels: a share
/// `e` of them is drawn at random, the others from the probabilities at a temperature, both by maximum likelihood; where `e` above 0
/// is not likelier than 0 (a likelihood-ratio test at 5 %), none is returned.
pub(crate) fn label_errors(probabilities: &[f32], labels: &[usize], classes: usize) -> Result<Vec<LabelError>> {
    let predictions = Predictions::new(probabilities, labels, classes)?;
    let mut sums = vec![0.0f64; classes];
    let mut counts = vec![0usize; classes];
    for (row, &label) in predictions.rows().zip(labels) {
        sums[label] += f64::from(row[label]);
        counts[label] += 1;
    }
    let mut found = Vec::new();
    for (index, (row, &given)) in predictions.rows().zip(labels).enumerate() {
        let suggested = predictions.predicted(index);
        let reached = counts[suggested] > 0 && f64::from(row[suggested]) >= sums[suggested] / counts[suggested] as f64;
        if suggested != given && reached {
            found.push(LabelError {
                index,
                given,
                suggested,
                given_probability: row[given],
                suggested_probability: row[suggested],
            });
        }
    }
    let margin = |error: &LabelError| error.given_probability - error.suggested_probability;
    found.sort_by(|a, b| margin(a).total_cmp(&margin(b)).then(a.index.cmp(&b.index)));
    if !found.is_empty() {
        found.truncate(wrong_labels(&predictions, labels, classes).round() as usize);
    }
    Ok(found)
}

/// How many labels are estimated to be wrong (see [`label_errors`]).
fn wrong_labels(predictions: &Predictions<'_>, labels: &[usize], classes: usize) -> f64 {
    // The probability of an example's label at a temperature.
    let tempered = |(row, label): (&[f32], usize), temperature: f64| {
        let power = |p: f32| f64::from(p.max(f32::MIN_POSITIVE)).powf(1.0 / temperature);
        power(row[label]) / row.iter().map(|&p| power(p)).sum::<f64>()
    };
    let rows: Vec<(&[f32], usize)> = predictions.rows().zip(labels.iter().copied()).collect();
    let some: Vec<(&[f32], usize)> = rows.iter().copied().step_by(rows.len().div_ceil(TEMPERATURE_EXAMPLES)).collect();
    let at_random = 1.0 / classes as f64;
    let mut best = (f64::NEG_INFINITY, 1.0);
    let mut clean = f64::NEG_INFINITY;
    for power in -TEMPERATURES..=TEMPERATURES {
        let temperature = TEMPERATURE_STEP.powi(power);
        let p: Vec<f64> = some.iter().map(|&row| tempered(row, temperature)).collect();
        clean = clean.max(p.iter().map(|p| p.max(f64::MIN_POSITIVE).ln()).sum());
        let share = random_share(&p, at_random);
        let likelihood = p.iter().map(|p| ((1.0 - share) * p + share * at_random).ln()).sum::<f64>();
        if likelihood > best.0 {
            best = (likelihood, temperature);
        }
    }
    let (likelihood, temperature) = best;
    if 2.0 * (likelihood - clean) < LIKELIER {
        return 0.0;
    }
    let p: Vec<f64> = rows.iter().map(|&row| tempered(row, temperature)).collect();
    let share = random_share(&p, at_random);
    // A label drawn at random may be the right one after all.
    p.iter().map(|p| (1.0 - p) * share * at_random / ((1.0 - share) * p + share * at_random)).sum()
}

/// The likeliest share of labels that are drawn at random, the others with probabilities `p` of the labels given.
fn random_share(p: &[f64], at_random: f64) -> f64 {
    let mut share = 0.1;
    for _ in 0..STEPS {
        let random = p.iter().map(|p| share * at_random / ((1.0 - share) * p + share * at_random));
        share = random.sum::<f64>() / p.len().max(1) as f64;
    }
    share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swapped_labels_are_found_and_ranked() {
        // 60 examples of 3 classes, sure of the truth; the labels of three are swapped, one of them less surely.
        let mut probabilities = Vec::new();
        let mut labels = Vec::new();
        for i in 0..60 {
            let truth = i % 3;
            let sure = if i == 31 {
                0.85
            } else if i % 23 == 4 {
                0.9
            } else {
                0.8
            };
            probabilities.extend((0..3).map(|k| if k == truth { sure } else { (1.0 - sure) / 2.0 }));
            labels.push(if [4, 31, 50].contains(&i) { (truth + 1) % 3 } else { truth });
        }
        let found = label_errors(&probabilities, &labels, 3).unwrap();
        assert_eq!(found.iter().map(|error| error.index).collect::<Vec<_>>(), [4, 50, 31]);
        assert_eq!((found[0].given, found[0].suggested), (2, 1));
    }

    #[test]
    fn an_unsure_disagreement_is_not_an_error() {
        // Class 0 is always predicted with 0.9; a mere 0.6 for it is not evidence against a label.
        let mut probabilities = [0.9, 0.1].repeat(10);
        probabilities.extend([0.6, 0.4]);
        let mut labels = vec![0; 10];
        labels.push(1);
        assert!(label_errors(&probabilities, &labels, 2).unwrap().is_empty());
    }
}
