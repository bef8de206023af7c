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

/// Confident learning (Northcutt, Jiang and Chuang, 2021, "Confident learning: estimating uncertainty in dataset
/// labels", JAIR 70), on out-of-fold probabilities `[n, classes]`.
///
/// The threshold of class `j` is the mean probability of `j` over the examples labelled `j`. An example is returned
/// when its most probable class is not its label and reaches that class's own threshold (an entry off the diagonal
/// of the confident joint). The most suspicious comes first: ascending normalised margin
/// `p(given) - max over other classes`, ties by index. A class that labels nobody is never suggested.
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
    Ok(found)
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
