//! Multinomial logistic regression, solved to its optimum.

use serde::{Deserialize, Serialize};

use super::axes::PrincipalAxes;
use super::linear::Linear;
use super::objective::{Answers, Objective, Weights};
use super::solve::{Solution, minimise};
use crate::error::{Error, Problem, Result};
use crate::features::Features;
use crate::progress::{Observer, Silent};

/// Norm of the gradient (of the mean loss plus penalty, in preconditioned coordinates) at which [`fit`] stops.
pub(crate) const TOLERANCE: f64 = 1e-8;

/// The same where a classifier is one of a hundred that a learning curve is laid through: its log-loss is exact to 1e-4 of it,
/// for half as many passes over the rows.
const CURVE_TOLERANCE: f64 = 1e-4;

/// The logit of a class that no training example has: a probability below 1.2e-7, as the logits of the other
/// classes sum to zero and the greatest of them is therefore at least 0.
pub(crate) const ABSENT_LOGIT: f64 = -16.0;

/// `exp(z_k / T) / sum_j exp(z_j / T)`: the logits divided by a temperature become probabilities.
pub fn softmax(logits: &[f64], temperature: f64) -> Vec<f64> {
    let most = logits.iter().fold(f64::NEG_INFINITY, |most, &z| most.max(z));
    let mut probabilities: Vec<f64> = logits.iter().map(|z| ((z - most) / temperature).exp()).collect();
    let sum: f64 = probabilities.iter().sum();
    probabilities.iter_mut().for_each(|p| *p /= sum);
    probabilities
}

/// How much an example of each class weighs in the loss.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub enum ClassWeights {
    /// Every example weighs one.
    #[default]
    None,
    /// An example of class `k` weighs `n / (classes present · examples of k)`, as scikit-learn's `"balanced"`.
    Balanced,
    /// A weight above zero for each class.
    Explicit(Vec<f64>),
}

impl ClassWeights {
    fn check(&self, classes: usize) -> Result<()> {
        match self {
            ClassWeights::Explicit(weights)
                if weights.len() != classes || weights.iter().any(|&w| !(w.is_finite() && w > 0.0)) =>
            {
                Err(Error::Usage(
                    Problem::new("the class weights do not fit the classes")
                        .expected(format!("{classes} finite numbers above zero"))
                        .found(format!("{weights:?}")),
                ))
            }
            _ => Ok(()),
        }
    }

    /// The weight of each class, given how much its examples weigh together: their number, where each weighs one.
    pub(crate) fn per_class(&self, totals: &[f64]) -> Vec<f64> {
        match self {
            ClassWeights::None => vec![1.0; totals.len()],
            ClassWeights::Explicit(weights) => weights.clone(),
            ClassWeights::Balanced => {
                let all: f64 = totals.iter().sum();
                let present = totals.iter().filter(|&&total| total > 0.0).count() as f64;
                let weight = |&total: &f64| if total > 0.0 { all / (present * total) } else { 1.0 };
                totals.iter().map(weight).collect()
            }
        }
    }
}

/// What it took to fit a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effort {
    /// Iterations of L-BFGS.
    pub(crate) iterations: usize,
    /// Passes over the data.
    pub(crate) evaluations: usize,
    /// `C sum_i s_i loss_i + ||W||² / 2` at the end, in standardised coordinates.
    pub objective: f64,
    /// Norm of the gradient at the end, on the scale of [`TOLERANCE`].
    pub(crate) gradient_norm: f64,
    /// Whether the gradient's norm came within ten times the tolerance.
    pub converged: bool,
}

/// Fits the classifier: standardises the columns, then minimises scikit-learn's objective
/// `C sum_i s_i loss_i + ||W||² / 2` over `W` (of the standardised columns) and the intercepts, which are not
/// penalised. `s_i` is the weight of example `i`'s class, `loss_i = -ln softmax(W x_i + b)[y_i]`; for two classes
/// `loss_i` is that of a single logit `w x + b`, and `||w||²` is penalised, as `LogisticRegression` does.
///
/// A class without an example gets zero weights and `ABSENT_LOGIT`.
pub fn fit(
    features: &Features,
    labels: &[usize],
    classes: usize,
    c: f64,
    class_weights: &ClassWeights,
    observer: &dyn Observer,
) -> Result<Linear> {
    fit_with_effort(features, labels, classes, c, class_weights, observer).map(|(model, _)| model)
}

/// As [`fit`], and tells what it took.
pub fn fit_with_effort(
    features: &Features,
    labels: &[usize],
    classes: usize,
    c: f64,
    class_weights: &ClassWeights,
    observer: &dyn Observer,
) -> Result<(Linear, Effort)> {
    check(features, labels, classes, &[c], class_weights)?;
    let rows: Vec<usize> = (0..features.rows).collect();
    solve(&TrainingSet::new(features, &rows, labels, classes, class_weights, None, None)?, c, TOLERANCE, observer)
}

/// As [`fit`], with a weight above zero for each example, `[rows]`: scikit-learn's `sample_weight`.
///
/// `s_i` is the weight of the example times that of its class; the `"balanced"` weight of class `k` is
/// `sum_i w_i / (classes present · sum of the w_i of class k)`. The columns are standardised without weights.
pub fn fit_weighted(
    features: &Features,
    labels: &[usize],
    classes: usize,
    c: f64,
    class_weights: &ClassWeights,
    weights: &[f64],
    observer: &dyn Observer,
) -> Result<Linear> {
    fit_within((features, labels, classes), c, class_weights, weights, TOLERANCE, observer)
}

/// As [`fit_weighted`], to a norm of the gradient.
///
/// # Errors
/// As [`fit_weighted`].
pub(crate) fn fit_within(
    (features, labels, classes): (&Features, &[usize], usize),
    c: f64,
    class_weights: &ClassWeights,
    weights: &[f64],
    tolerance: f64,
    observer: &dyn Observer,
) -> Result<Linear> {
    check(features, labels, classes, &[c], class_weights)?;
    let wrong = weights.iter().position(|&weight| !(weight.is_finite() && weight > 0.0));
    if weights.len() != labels.len() || wrong.is_some() {
        let found = wrong.map(|row| format!("{} in row {row} (counted from 0)", weights[row]));
        return Err(Error::Data(
            Problem::new("the weights of the examples do not fit the examples")
                .expected(format!("{} finite numbers above zero", labels.len()))
                .found(found.unwrap_or_else(|| format!("{} weights", weights.len()))),
        ));
    }
    let rows: Vec<usize> = (0..features.rows).collect();
    let training = TrainingSet::new(features, &rows, labels, classes, class_weights, Some(weights), None)?;
    solve(&training, c, tolerance, observer).map(|(model, _)| model)
}

fn solve(training: &TrainingSet, c: f64, tolerance: f64, observer: &dyn Observer) -> Result<(Linear, Effort)> {
    let solution = training.minimise(c, None, tolerance, observer)?;
    let objective = c * training.total_weight() * solution.objective;
    let Solution { iterations, evaluations, gradient_norm, converged, .. } = solution;
    Ok((training.model(&solution.weights), Effort { iterations, evaluations, objective, gradient_norm, converged }))
}

/// The classifier of some rows, as exact as a learning curve needs it. `lent` are the axes of all rows; few rows have
/// their own sooner.
///
/// # Errors
/// As [`fit`].
pub(crate) fn fit_part(
    (features, labels, classes): (&Features, &[usize], usize),
    rows: &[usize],
    c: f64,
    class_weights: &ClassWeights,
    lent: Option<&PrincipalAxes>,
) -> Result<Linear> {
    let lent = lent.filter(|_| 2 * rows.len() >= features.columns);
    let training = TrainingSet::new(features, rows, labels, classes, class_weights, None, lent)?;
    solve(&training, c, CURVE_TOLERANCE, &Silent).map(|(model, _)| model)
}

/// Refuses what cannot be fitted.
pub(super) fn check(
    features: &Features,
    labels: &[usize],
    classes: usize,
    strengths: &[f64],
    class_weights: &ClassWeights,
) -> Result<()> {
    features.check()?;
    if features.rows != labels.len() || labels.is_empty() {
        return Err(Error::Data(
            Problem::new("features and labels do not belong together")
                .expected("one label per row, at least one")
                .found(format!("{} rows and {} labels", features.rows, labels.len())),
        ));
    }
    if features.columns == 0 {
        return Err(Error::Data(Problem::new("the features have no columns").expected("at least one")));
    }
    if classes < 2 {
        return Err(Error::Data(Problem::new("too few classes").expected("at least 2").found(classes)));
    }
    if let Some(row) = labels.iter().position(|&label| label >= classes) {
        return Err(Error::Data(
            Problem::new("a label is not a class")
                .expected(format!("a class from 0 to {}", classes - 1))
                .found(format!("{} in row {row} (counted from 0)", labels[row])),
        ));
    }
    if strengths.is_empty() || strengths.iter().any(|&c| !(c.is_finite() && c > 0.0)) {
        return Err(Error::Usage(
            Problem::new("invalid C")
                .expected("finite numbers above zero, at least one")
                .found(format!("{strengths:?}")),
        ));
    }
    class_weights.check(classes)
}

/// Some rows with their labels, ready to be fitted with any `C`.
pub(super) struct TrainingSet<'a> {
    /// None when a single class is present: there is nothing to tell apart.
    objective: Option<Objective<'a>>,
    /// The classes that have examples, ascending.
    present: Vec<usize>,
    classes: usize,
    columns: usize,
}

impl<'a> TrainingSet<'a> {
    /// `example_weights` are of all rows of `features`; without them each example weighs one.
    pub fn new(
        features: &'a Features,
        rows: &'a [usize],
        labels: &[usize],
        classes: usize,
        class_weights: &ClassWeights,
        example_weights: Option<&[f64]>,
        lent: Option<&'a PrincipalAxes>,
    ) -> Result<Self> {
        let own = |row: usize| example_weights.map_or(1.0, |weights| weights[row]);
        let mut totals = vec![0.0; classes];
        rows.iter().for_each(|&row| totals[labels[row]] += own(row));
        let present: Vec<usize> = (0..classes).filter(|&class| totals[class] > 0.0).collect();
        let objective = if present.len() < 2 {
            None
        } else {
            let per_class = class_weights.per_class(&totals);
            let weights: Vec<f64> = rows.iter().map(|&row| own(row) * per_class[labels[row]]).collect();
            // The classes are counted anew among those present.
            let targets = rows.iter().map(|&row| present.partition_point(|&class| class < labels[row])).collect();
            let outputs = if classes == 2 { 1 } else { present.len() };
            Some(Objective::new(features, rows, Answers::Classes(targets), &weights, outputs, lent)?)
        };
        Ok(Self { objective, present, classes, columns: features.columns })
    }

    /// Number of classes, present or not.
    pub(crate) fn classes(&self) -> usize {
        self.classes
    }

    /// Whether any training example has this class.
    pub(crate) fn knows(&self, class: usize) -> bool {
        self.present.binary_search(&class).is_ok()
    }

    fn total_weight(&self) -> f64 {
        self.objective.as_ref().map_or(0.0, |objective| objective.total_weight)
    }

    pub(crate) fn minimise(
        &self,
        c: f64,
        start: Option<&Weights>,
        tolerance: f64,
        observer: &dyn Observer,
    ) -> Result<Solution> {
        minimise(self.objective.as_ref(), c, start, tolerance, observer)
    }

    /// The classifier on raw features.
    pub(crate) fn model(&self, weights: &Weights) -> Linear {
        let mut model = Linear {
            outputs: self.classes,
            columns: self.columns,
            weights: vec![0.0; self.classes * self.columns],
            intercepts: vec![ABSENT_LOGIT; self.classes],
        };
        let Some(objective) = &self.objective else {
            self.present.iter().for_each(|&class| model.intercepts[class] = 0.0);
            return model;
        };
        let (raw, intercepts) = objective.to_raw(weights);
        if objective.outputs == 1 {
            model.weights = raw.iter().map(|w| -w / 2.0).chain(raw.iter().map(|w| w / 2.0)).collect();
            model.intercepts = vec![-intercepts[0] / 2.0, intercepts[0] / 2.0];
        } else {
            for (k, &class) in self.present.iter().enumerate() {
                let from = &raw[k * self.columns..(k + 1) * self.columns];
                model.weights[class * self.columns..(class + 1) * self.columns].copy_from_slice(from);
                model.intercepts[class] = intercepts[k];
            }
        }
        model
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blobs(rows: usize, columns: usize, classes: usize) -> (Features, Vec<usize>) {
        let noise = |i: usize| ((i * 7919 + i * i * 31) % 1009) as f32 / 1009.0;
        let labels: Vec<usize> = (0..rows).map(|i| (i * i + i / 3) % classes).collect();
        let values = (0..rows * columns)
            .map(|at| noise(at) + if at % columns % classes == labels[at / columns] { 0.4 } else { 0.0 })
            .collect();
        (Features::new(rows, columns, values).unwrap(), labels)
    }

    #[test]
    fn a_class_without_examples_is_all_but_impossible() {
        let (features, mut labels) = blobs(60, 5, 3);
        labels.iter_mut().for_each(|label| *label += usize::from(*label == 2));
        let model = fit(&features, &labels, 4, 1.0, &ClassWeights::Balanced, &Silent).unwrap();
        for i in 0..features.rows {
            let probabilities = softmax(&model.values(features.row(i)), 1.0);
            assert!(probabilities[2] > 0.0 && probabilities[2] < 2e-7);
        }
    }

    #[test]
    fn one_class_alone_is_always_the_answer() {
        let (features, _) = blobs(10, 5, 3);
        let model = fit(&features, &[1; 10], 2, 1.0, &ClassWeights::None, &Silent).unwrap();
        assert!(softmax(&model.values(features.row(3)), 1.0)[1] > 0.999);
    }

    #[test]
    fn the_result_does_not_depend_on_threads() {
        let (features, labels) = blobs(3000, 20, 4);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| fit(&features, &labels, 4, 1.0, &ClassWeights::None, &Silent)).unwrap()
        };
        assert_eq!(run(1), run(4));
    }

    #[test]
    fn columns_that_say_nothing_or_the_same_do_no_harm() {
        let (mut features, labels) = blobs(80, 6, 3);
        for row in features.values.chunks_exact_mut(6) {
            row[1] = 3.0;
            row[2] = 2.0 * row[4] + 1.0;
        }
        for c in [1e-6, 1.0, 1e6] {
            let (model, effort) = fit_with_effort(&features, &labels, 3, c, &ClassWeights::None, &Silent).unwrap();
            assert!(effort.converged, "{effort:?}");
            model.check().unwrap();
        }
    }

    #[test]
    fn columns_far_from_zero_lose_nothing() {
        let (features, labels) = blobs(200, 6, 3);
        let mut moved = features.clone();
        // Powers of two: the shift itself rounds nothing but the last bits of the noise.
        moved.values.iter_mut().for_each(|x| *x = *x * 64.0 + 1024.0);
        let near = fit(&features, &labels, 3, 1.0, &ClassWeights::None, &Silent).unwrap();
        let far = fit(&moved, &labels, 3, 1.0, &ClassWeights::None, &Silent).unwrap();
        for i in 0..features.rows {
            for (a, b) in near.values(features.row(i)).iter().zip(far.values(moved.row(i))) {
                assert!((a - b).abs() < 1e-4, "{a} {b}");
            }
        }
    }

    #[test]
    fn bad_input_is_refused() {
        let (features, labels) = blobs(10, 2, 2);
        let fails = |labels: &[usize], classes, c, weights: ClassWeights| {
            fit(&features, labels, classes, c, &weights, &Silent).is_err()
        };
        assert!(fails(&labels[..9], 2, 1.0, ClassWeights::None));
        assert!(fails(&labels, 1, 1.0, ClassWeights::None));
        assert!(fails(&[7; 10], 2, 1.0, ClassWeights::None));
        assert!(fails(&labels, 2, 0.0, ClassWeights::None));
        assert!(fails(&labels, 2, f64::NAN, ClassWeights::None));
        assert!(fails(&labels, 2, 1.0, ClassWeights::Explicit(vec![1.0])));
        assert!(!fails(&labels, 2, 1.0, ClassWeights::Explicit(vec![1.0, 2.0])));
        let weighted =
            |weights: &[f64]| fit_weighted(&features, &labels, 2, 1.0, &ClassWeights::None, weights, &Silent);
        assert!(weighted(&[1.0; 9]).is_err() && weighted(&[0.0; 10]).is_err() && weighted(&[f64::NAN; 10]).is_err());
    }

    #[test]
    fn a_weight_common_to_all_examples_scales_the_strength() {
        let (features, labels) = blobs(60, 5, 3);
        for class_weights in [ClassWeights::None, ClassWeights::Balanced] {
            let plain = fit(&features, &labels, 3, 1.0, &class_weights, &Silent).unwrap();
            let weighted = fit_weighted(&features, &labels, 3, 0.5, &class_weights, &[2.0; 60], &Silent).unwrap();
            for (a, b) in plain.weights.iter().zip(&weighted.weights) {
                assert!((a - b).abs() < 1e-6, "{class_weights:?}: {a} {b}");
            }
        }
    }
}
