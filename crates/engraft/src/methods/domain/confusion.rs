//! Label shift from the confusion matrix of a classifier: BBSE and RLLS.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};
use faer::{Mat, Par};

use super::prior::check_probabilities;
use crate::error::{Error, Problem, Result};
use crate::similarity::moments::check_labels;

/// Smallest singular value of `P(predicted | true)` with which it is inverted.
pub(crate) const LEAST_SINGULAR: f64 = 0.05;
/// Probability that RLLS's bound on the error of the confusion matrix fails.
const DELTA: f64 = 0.05;
/// Fraction of that bound that is the strength of the regularisation, as in the authors' experiments.
const ALPHA: f64 = 0.01;

/// How a row counts as predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Votes {
    /// One for the most probable class, of equals the first.
    #[cfg_attr(not(test), expect(dead_code, reason = "compared with references by the tests"))]
    Hard,
    /// Its probability for every class.
    Soft,
}

/// What a classifier does on the source, and how it answers on the target.
#[derive(Debug, Clone)]
pub(crate) struct Confusion {
    /// `J`, the joint distribution of prediction and class on the source, `[predicted, true]`, of sum 1.
    pub(crate) joint: Mat<f64>,
    /// `mu`, the distribution of predictions on the target, `[classes]`.
    pub(crate) predicted: Vec<f64>,
    /// `pi`, the source's class shares, `[classes]`.
    pub(crate) source_shares: Vec<f64>,
    /// Smallest singular value of `J`: at most the smallest class's share.
    #[cfg_attr(not(test), expect(dead_code, reason = "compared with references by the tests"))]
    pub(crate) smallest_joint: f64,
    /// Smallest singular value of `P(predicted | true)`, `J` with its columns divided by `pi`: 1 for a classifier without
    /// error, whatever the number of classes; 0 where a class has no example.
    pub(crate) smallest_conditional: f64,
    /// `J = U diag(s) Vᵀ`.
    decomposed: Decomposed,
    /// Rows of the source.
    rows: usize,
}

/// The target's class shares, as weights of the source's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LabelShift {
    /// `w_k = q_k / pi_k`, `[classes]`, not negative, with `sum_k w_k pi_k = 1`.
    pub(crate) weights: Vec<f64>,
    /// `q`, `[classes]`, of sum 1.
    pub(crate) shares: Vec<f64>,
    /// Classes whose weight was negative and became 0.
    pub(crate) clipped: usize,
}

impl Confusion {
    /// From the classifier's probabilities of the source, out of fold, `[rows, classes]`, with their labels, and of the
    /// target, `[target rows, classes]`.
    ///
    /// # Errors
    /// [`Error::Data`] where they do not belong together or are not probabilities.
    pub(crate) fn of(source: &[f64], labels: &[usize], target: &[f64], classes: usize, votes: Votes) -> Result<Self> {
        check_probabilities(source, classes)?;
        check_probabilities(target, classes)?;
        check_labels(labels, source.len() / classes, classes)?;
        let mut joint = Mat::<f64>::zeros(classes, classes);
        let mut source_shares = vec![0.0; classes];
        let share = 1.0 / labels.len() as f64;
        for (row, &label) in source.chunks_exact(classes).zip(labels) {
            source_shares[label] += share;
            votes.add(row, share, |class, vote| joint[(class, label)] += vote);
        }
        let mut predicted = vec![0.0; classes];
        let share = classes as f64 / target.len() as f64;
        target.chunks_exact(classes).for_each(|row| votes.add(row, share, |class, vote| predicted[class] += vote));
        let conditional = Mat::from_fn(classes, classes, |row, column| {
            if source_shares[column] > 0.0 { joint[(row, column)] / source_shares[column] } else { 0.0 }
        });
        let decomposed = Decomposed::of(&joint)?;
        Ok(Self {
            smallest_joint: decomposed.values[classes - 1],
            smallest_conditional: Decomposed::of(&conditional)?.values[classes - 1],
            joint,
            predicted,
            source_shares,
            decomposed,
            rows: labels.len(),
        })
    }

    /// Black box shift estimation (Lipton, Wang and Smola, 2018, "Detecting and correcting for label shift with black box
    /// predictors", ICML): `w = J⁻¹ mu`; negative weights become 0, the others are scaled.
    ///
    /// The error is why there are no weights: a smallest singular value of `P(predicted | true)` below
    /// [`LEAST_SINGULAR`]. (That of `J`, on which the paper's bound depends, is below it for more than 20 equal classes,
    /// however good the classifier is.)
    pub(crate) fn bbse(&self) -> std::result::Result<LabelShift, String> {
        if self.smallest_conditional < LEAST_SINGULAR {
            return Err(format!(
                "the classifier confuses classes too much to infer their shares: the smallest singular value of its \
                 confusion matrix is {:.3}, less than {LEAST_SINGULAR}",
                self.smallest_conditional
            ));
        }
        Ok(self.clip(self.decomposed.solve(&self.predicted, 0.0)))
    }

    /// Regularised learning under label shift (Azizzadenesheli, Liu, Yang and Anandkumar, 2019, "Regularized learning for
    /// domain adaptation under label shifts", ICLR): [`Confusion::regularised`] with the authors' finite-sample strength
    /// `0.01 · 3 (2 ln(2 K / 0.05) / (3 n) + sqrt(2 ln(2 K / 0.05) / n))` for `n` rows of the source and `K` classes.
    ///
    /// The bound itself, without the 0.01 of the authors' experiments, gives weights of 1 for all but very large sources.
    pub(crate) fn rlls(&self) -> LabelShift {
        let log = (2.0 * self.predicted.len() as f64 / DELTA).ln() / self.rows as f64;
        self.regularised(ALPHA * 3.0 * (2.0 * log / 3.0 + (2.0 * log).sqrt()))
    }

    /// `w = 1 + t` for the `t` that minimises `|J t - (mu - J 1)| + strength |t|`, in Euclidean norms; negative weights
    /// become 0, the others are scaled.
    ///
    /// Where neither norm is zero the optimum solves `(JᵀJ + l I) t = Jᵀ b` for the one `l` at which `l |t| / |J t - b|` is
    /// the strength. In the singular vectors of `J`, with `b_i = u_i b`, the square of that ratio is the mean of the
    /// `s_i²` weighted by `(b_i / (s_i² + l))²`, which grows with `l`: from that at `l = 0`, below which `J t = b`, to
    /// `|Jᵀ b|² / |b|²`, above which `t = 0`.
    pub(crate) fn regularised(&self, strength: f64) -> LabelShift {
        let marginal = |class: usize| (0..self.predicted.len()).map(|k| self.joint[(class, k)]).sum::<f64>();
        let b: Vec<f64> = self.predicted.iter().enumerate().map(|(class, mu)| mu - marginal(class)).collect();
        let turned = self.decomposed.turned(&b);
        let squares: Vec<f64> = self.decomposed.values.iter().map(|s| s * s).collect();
        let ratio = |l: f64| {
            let mut sums = (0.0, 0.0);
            for (square, b) in squares.iter().zip(&turned) {
                let weight = (b / (square + l)).powi(2);
                sums = (sums.0 + square * weight, sums.1 + weight);
            }
            (sums.0 / sums.1).sqrt()
        };
        // From far below the squared singular values to far above.
        let (mut low, mut high) = (squares[0] * 1e-24, squares[0] * 1e12);
        let t = if turned.iter().all(|&b| b == 0.0) || ratio(high) <= strength {
            vec![0.0; b.len()]
        } else if ratio(low) >= strength {
            self.decomposed.solve(&b, low)
        } else {
            for _ in 0..200 {
                let middle = (low * high).sqrt();
                if ratio(middle) < strength { low = middle } else { high = middle }
            }
            self.decomposed.solve(&b, low)
        };
        self.clip(t.iter().map(|t| 1.0 + t).collect())
    }

    fn clip(&self, mut weights: Vec<f64>) -> LabelShift {
        let clipped = weights.iter().filter(|&&weight| weight < 0.0).count();
        weights.iter_mut().for_each(|weight| *weight = weight.max(0.0));
        let sum: f64 = weights.iter().zip(&self.source_shares).map(|(weight, share)| weight * share).sum();
        // Nothing left is no estimate: no shift.
        weights.iter_mut().for_each(|weight| *weight = if sum > 0.0 { *weight / sum } else { 1.0 });
        let shares = weights.iter().zip(&self.source_shares).map(|(weight, share)| weight * share).collect();
        LabelShift { weights, shares, clipped }
    }
}

impl Votes {
    fn add(self, row: &[f64], share: f64, mut to: impl FnMut(usize, f64)) {
        match self {
            Votes::Soft => row.iter().enumerate().for_each(|(class, p)| to(class, p * share)),
            Votes::Hard => {
                let most = (1..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best });
                to(most, share);
            }
        }
    }
}

/// The singular value decomposition of a square matrix.
#[derive(Debug, Clone)]
struct Decomposed {
    left: Mat<f64>,
    /// Descending.
    values: Vec<f64>,
    right: Mat<f64>,
}

impl Decomposed {
    fn of(matrix: &Mat<f64>) -> Result<Self> {
        let n = matrix.nrows();
        let (mut left, mut right, mut values) = (Mat::zeros(n, n), Mat::zeros(n, n), Diag::<f64>::zeros(n));
        let full = ComputeSvdVectors::Full;
        let mut memory = MemBuffer::new(svd_scratch::<f64>(n, n, full, full, Par::Seq, Default::default()));
        svd(
            matrix.as_ref(),
            values.as_mut(),
            Some(left.as_mut()),
            Some(right.as_mut()),
            Par::Seq,
            MemStack::new(&mut memory),
            Default::default(),
        )
        .map_err(|_| Error::Training(Problem::new("the singular values of the confusion matrix were not found")))?;
        Ok(Self { left, values: values.column_vector().iter().copied().collect(), right })
    }

    /// `Uᵀ b`.
    fn turned(&self, b: &[f64]) -> Vec<f64> {
        self.left.col_iter().map(|column| column.iter().zip(b).map(|(u, b)| u * b).sum()).collect()
    }

    /// `V diag(s / (s² + l)) Uᵀ b`; a direction of singular value 0 is left out.
    fn solve(&self, b: &[f64], l: f64) -> Vec<f64> {
        let scaled = self.turned(b).into_iter().zip(&self.values);
        let scaled: Vec<f64> = scaled.map(|(b, &s)| if s > 0.0 { b * s / (s * s + l) } else { 0.0 }).collect();
        self.right.row_iter().map(|row| row.iter().zip(&scaled).map(|(v, x)| v * x).sum()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Probabilities of a classifier that gives `sure` to the class it answers, and mistakes every fourth row for the next.
    fn answers(labels: &[usize], classes: usize, sure: f64) -> Vec<f64> {
        let rest = (1.0 - sure) / (classes - 1) as f64;
        let mut seen = vec![0; classes];
        let mut rows = Vec::new();
        for &label in labels {
            seen[label] += 1;
            let answer = if seen[label] % 4 == 0 { (label + 1) % classes } else { label };
            rows.extend((0..classes).map(|class| if class == answer { sure } else { rest }));
        }
        rows
    }

    fn labels(counts: &[usize]) -> Vec<usize> {
        counts.iter().enumerate().flat_map(|(class, &count)| vec![class; count]).collect()
    }

    #[test]
    fn shares_of_an_exact_shift_are_found() {
        let (source, target) = (labels(&[40, 80, 120]), labels(&[160, 40, 0]));
        for votes in [Votes::Hard, Votes::Soft] {
            let confusion =
                Confusion::of(&answers(&source, 3, 0.8), &source, &answers(&target, 3, 0.8), 3, votes).unwrap();
            assert!(confusion.smallest_joint < confusion.smallest_conditional);
            for found in [confusion.bbse().unwrap(), confusion.regularised(0.0), confusion.rlls()] {
                for (share, expected) in found.shares.iter().zip([0.8, 0.2, 0.0]) {
                    assert!((share - expected).abs() < 1e-9, "{votes:?}: {:?}", found.shares);
                }
                assert!((found.weights[0] - 0.8 * 6.0).abs() < 1e-8);
            }
        }
    }

    #[test]
    fn a_strong_regulariser_leaves_the_source_shares() {
        let (source, target) = (labels(&[40, 80, 120]), labels(&[160, 40, 40]));
        let confusion =
            Confusion::of(&answers(&source, 3, 0.8), &source, &answers(&target, 3, 0.8), 3, Votes::Hard).unwrap();
        let strong = confusion.regularised(10.0);
        assert!(strong.weights.iter().all(|w| (w - 1.0).abs() < 1e-12), "{strong:?}");
        let first: Vec<f64> = [0.0, 0.15, 0.2, 0.25, 0.3].map(|by| confusion.regularised(by).weights[0]).to_vec();
        assert!(first.is_sorted_by(|a, b| a >= b) && first[0] > first[4], "{first:?}");
    }

    #[test]
    fn a_classifier_that_confuses_all_is_refused_by_bbse_alone() {
        let source = labels(&[30, 30, 30]);
        let flat = vec![1.0 / 3.0; 270];
        let confusion = Confusion::of(&flat, &source, &flat, 3, Votes::Soft).unwrap();
        assert!(confusion.bbse().unwrap_err().contains("confuses"));
        let found = confusion.rlls();
        assert!(found.weights.iter().all(|w| (w - 1.0).abs() < 1e-9), "{found:?}");
        // A class without an example.
        let source = labels(&[30, 30]);
        let rows = answers(&source, 3, 0.8);
        let confusion = Confusion::of(&rows, &source, &rows, 3, Votes::Hard).unwrap();
        assert!(confusion.bbse().is_err() && confusion.rlls().shares[2] == 0.0);
        // Thirty classes are no reason.
        let source = labels(&[8; 30]);
        let rows = answers(&source, 30, 0.9);
        let confusion = Confusion::of(&rows, &source, &rows, 30, Votes::Hard).unwrap();
        assert!(confusion.smallest_joint < 0.05 && confusion.bbse().is_ok());
    }

    #[test]
    fn negative_weights_become_zero() {
        let source = labels(&[40, 40]);
        let rows = answers(&source, 2, 0.9);
        // All answers are class 0: more than the confusion matrix can explain.
        let sure = [0.9, 0.1].repeat(50);
        let found = Confusion::of(&rows, &source, &sure, 2, Votes::Hard).unwrap().bbse().unwrap();
        assert_eq!((found.clipped, found.shares), (1, vec![1.0, 0.0]));
        assert!(Confusion::of(&rows, &source[1..], &sure, 2, Votes::Hard).is_err());
        assert!(Confusion::of(&rows, &source, &[], 2, Votes::Hard).is_err());
        assert!(Confusion::of(&rows, &source, &[0.5, 0.7], 2, Votes::Hard).is_err());
    }
}
