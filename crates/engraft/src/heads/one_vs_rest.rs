//! One logistic regression per label, all solved together to their optimum.

use super::axes::PrincipalAxes;
use super::linear::Linear;
use super::logistic::{ABSENT_LOGIT, Effort, TOLERANCE};
use super::objective::{Answers, Objective, Weights};
use super::solve::{Solution, minimise};
use crate::error::{Error, Problem, Result};
use crate::features::Features;
use crate::progress::Observer;

/// `1 / (1 + exp(-z / T))`: the probability of a label by itself.
pub fn sigmoid(logit: f64, temperature: f64) -> f64 {
    1.0 / (1.0 + (-logit / temperature).exp())
}

/// Fits every label against its absence: scikit-learn's `OneVsRestClassifier(LogisticRegression(C=c))` on standardised
/// columns, `C sum_i ln(1 + exp(-t_i (w x_i + b))) + ||w||² / 2` for each label with `t_i = ±1`.
///
/// The labels' objectives share nothing but the features, so that their sum is minimised at once. `labels` is
/// `[rows, label_count]`. A label that all or none of the rows have gets zero weights and a logit of 16 or -16.
pub fn fit_one_vs_rest(
    features: &Features,
    labels: &[bool],
    label_count: usize,
    c: f64,
    observer: &dyn Observer,
) -> Result<(Linear, Effort)> {
    check(features, labels, label_count, &[c])?;
    let rows: Vec<usize> = (0..features.rows).collect();
    let training = LabelledSet::new(features, &rows, labels, label_count, None)?;
    let solution = training.minimise(c, None, TOLERANCE, observer)?;
    let Solution { iterations, evaluations, gradient_norm, converged, objective, .. } = solution;
    let objective = c * features.rows as f64 * objective;
    Ok((training.model(&solution.weights), Effort { iterations, evaluations, objective, gradient_norm, converged }))
}

/// Refuses what cannot be fitted.
pub(super) fn check(features: &Features, labels: &[bool], label_count: usize, strengths: &[f64]) -> Result<()> {
    features.check()?;
    if features.rows.checked_mul(label_count) != Some(labels.len()) || labels.is_empty() || features.columns == 0 {
        return Err(Error::Data(
            Problem::new("features and labels do not belong together")
                .expected(format!("{label_count} labels per row, at least one row, one column and one label"))
                .found(format!("{} rows of {} and {} labels", features.rows, features.columns, labels.len())),
        ));
    }
    if strengths.is_empty() || strengths.iter().any(|&c| !(c.is_finite() && c > 0.0)) {
        return Err(Error::Usage(
            Problem::new("invalid C")
                .expected("finite numbers above zero, at least one")
                .found(format!("{strengths:?}")),
        ));
    }
    Ok(())
}

/// Some rows with their sets of labels, ready to be fitted with any `C`.
pub(super) struct LabelledSet<'a> {
    /// None when no label tells the rows apart.
    objective: Option<Objective<'a>>,
    /// The labels that some rows have and others lack, ascending.
    told: Vec<usize>,
    /// Whether all rows have the label, `[labels]`.
    always: Vec<bool>,
    columns: usize,
}

impl<'a> LabelledSet<'a> {
    pub fn new(
        features: &'a Features,
        rows: &'a [usize],
        labels: &[bool],
        label_count: usize,
        lent: Option<&'a PrincipalAxes>,
    ) -> Result<Self> {
        let has = |row: usize, label: usize| labels[row * label_count + label];
        let count = |label: usize| rows.iter().filter(|&&row| has(row, label)).count();
        let counts: Vec<usize> = (0..label_count).map(count).collect();
        let told: Vec<usize> = (0..label_count).filter(|&label| (1..rows.len()).contains(&counts[label])).collect();
        let objective = if told.is_empty() {
            None
        } else {
            let answers = rows.iter().flat_map(|&row| told.iter().map(move |&label| has(row, label))).collect();
            let weights = vec![1.0; rows.len()];
            Some(Objective::new(features, rows, Answers::Labels(answers), &weights, told.len(), lent)?)
        };
        let always = counts.iter().map(|&count| count == rows.len()).collect();
        Ok(Self { objective, told, always, columns: features.columns })
    }

    /// Whether the rows tell anything about this label.
    pub(crate) fn knows(&self, label: usize) -> bool {
        self.told.binary_search(&label).is_ok()
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

    /// The model on raw features.
    pub(crate) fn model(&self, weights: &Weights) -> Linear {
        let labels = self.always.len();
        let intercept = |&always: &bool| if always { -ABSENT_LOGIT } else { ABSENT_LOGIT };
        let mut model = Linear {
            outputs: labels,
            columns: self.columns,
            weights: vec![0.0; labels * self.columns],
            intercepts: self.always.iter().map(intercept).collect(),
        };
        if let Some(objective) = &self.objective {
            let (raw, intercepts) = objective.to_raw(weights);
            for ((from, intercept), &label) in raw.chunks_exact(self.columns).zip(intercepts).zip(&self.told) {
                model.weights[label * self.columns..(label + 1) * self.columns].copy_from_slice(from);
                model.intercepts[label] = intercept;
            }
        }
        model
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::{ClassWeights, fit};
    use crate::progress::Silent;
    use rand::RngExt;

    #[test]
    fn each_label_is_what_a_regression_of_its_own_gives() {
        let mut stream = crate::rng::rng(1, "test", 0);
        for (rows, columns) in [(80, 6), (30, 50)] {
            let values: Vec<f32> = (0..rows * columns).map(|_| stream.random::<f32>()).collect();
            let features = Features::new(rows, columns, values).unwrap();
            let labels: Vec<bool> = (0..rows * 3)
                .map(|at| match at % 3 {
                    2 => true,
                    label => f64::from(features.row(at / 3)[label]) + 0.4 * stream.random::<f64>() > 0.7,
                })
                .collect();
            let (together, effort) = fit_one_vs_rest(&features, &labels, 3, 0.5, &Silent).unwrap();
            assert!(effort.converged, "{effort:?}");
            for label in 0..2 {
                let own: Vec<usize> = (0..rows).map(|i| usize::from(labels[i * 3 + label])).collect();
                let alone = fit(&features, &own, 2, 0.5, &ClassWeights::None, &Silent).unwrap();
                for row in 0..rows {
                    let logits = alone.values(features.row(row));
                    let ours = together.values(features.row(row))[label];
                    assert!((logits[1] - logits[0] - ours).abs() < 1e-5, "{ours} {logits:?}");
                }
            }
            assert_eq!(together.values(features.row(0))[2], -ABSENT_LOGIT);
        }
    }

    #[test]
    fn labels_that_tell_nothing_are_survived() {
        let features = Features::new(4, 2, vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 9.0]).unwrap();
        let (model, _) = fit_one_vs_rest(&features, &[true, false].repeat(4), 2, 1.0, &Silent).unwrap();
        assert_eq!(model.values(&[1.0, 1.0]), [16.0, -16.0]);
        assert!(fit_one_vs_rest(&features, &[true], 2, 1.0, &Silent).is_err());
        assert!(fit_one_vs_rest(&features, &[true; 8], 2, -1.0, &Silent).is_err());
    }
}
