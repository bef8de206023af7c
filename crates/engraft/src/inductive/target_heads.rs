//! A new head on frozen features where the target is no single class: a number, or a set of labels.
//!
//! As for classes the out-of-fold answers decide everything, and what is fitted is what answers: [`fit_numbers`] and
//! [`fit_labels`] lead from features to a predictor and its numbers, [`measure_numbers`] and [`measure_labels`] look at a
//! held-out split once.

use rayon::prelude::*;
use serde::Serialize;

use crate::error::{Error, Problem, Result};
use crate::evaluate::{
    Coverage, CvPlus, LabelPredictions, MultiLabelEvaluation, RegressionEvaluation, coverage, evaluate_labels,
    evaluate_regression, label_errors, out_of_fold_intervals,
};
use crate::features::Features;
use crate::head::{
    LabelOptions, LabelValidation, Novelty, OneVsRest, RidgeOptions, RidgeRegression, RidgeValidation,
    cross_validate_labels, cross_validate_ridge, fit_one_vs_rest, fit_ridge, sigmoid,
};
use crate::progress::Observer;

/// Share of the training data that counts as like itself.
const LIKE: f64 = 0.99;

/// From features to a number.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberPredictor {
    /// The model of all training examples.
    pub head: RidgeRegression,
    /// The models of the folds, which the interval needs.
    pub fold_heads: Vec<RidgeRegression>,
    /// How far off they were on what they had not seen.
    pub intervals: CvPlus,
    /// When to say "unlike the training data".
    pub novelty: Novelty,
}

/// A number in answer to one picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NumberAnswer {
    /// The number.
    pub value: f64,
    /// Ends of the prediction interval; none where the training data is too little to promise its level.
    pub interval: Option<(f64, f64)>,
    /// Distance to the training data, 0 to 2.
    pub distance: f32,
    /// Whether the distance is larger than nearly all of the training data's own.
    pub unlike: bool,
}

impl NumberPredictor {
    /// The answer to a row of features. It depends on this row alone. The interval is CV+'s, widened to hold the number.
    pub fn answer(&self, row: &[f32]) -> NumberAnswer {
        let value = self.head.value(row);
        let folds: Vec<f64> = self.fold_heads.iter().map(|head| head.value(row)).collect();
        let distance = self.novelty.distance(row);
        NumberAnswer {
            value,
            interval: self.intervals.interval(&folds).map(|(low, high)| (low.min(value), high.max(value))),
            distance,
            unlike: self.novelty.is_unlike(distance),
        }
    }
}

/// What to try, and how sure an interval is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberOptions {
    /// Strengths to try.
    pub ridge: RidgeOptions,
    /// How often the prediction intervals are to hold the truth.
    pub level: f64,
    /// Seed of everything that is drawn.
    pub seed: u64,
}

impl Default for NumberOptions {
    fn default() -> Self {
        Self { ridge: RidgeOptions::default(), level: 0.9, seed: 0 }
    }
}

/// Everything that a fit of numbers led to.
#[derive(Debug)]
pub struct FittedNumbers {
    /// The model.
    pub predictor: NumberPredictor,
    /// What was tried and chosen, and the out-of-fold predictions.
    pub validation: RidgeValidation,
    /// Out-of-fold numbers.
    pub evaluation: RegressionEvaluation,
    /// Out-of-fold intervals, each from the errors of the other folds.
    pub intervals: Vec<Option<(f64, f64)>>,
    /// How often those held the truth; none where there are too few examples.
    pub coverage: Option<Coverage>,
}

/// Fits ridge regression to frozen features: chooses the strength by cross-validation, fits all rows with it, evaluates
/// the out-of-fold predictions.
///
/// `values`, `folds` (see [`crate::data::stratify::value_folds`]) and `groups` are `[rows]`.
pub fn fit_numbers(
    features: &Features,
    values: &[f64],
    folds: &[usize],
    groups: &[usize],
    options: &NumberOptions,
    observer: &dyn Observer,
) -> Result<FittedNumbers> {
    let mut validation = cross_validate_ridge(features, values, folds, &options.ridge, observer)?;
    let mut head = fit_ridge(features, values, validation.chosen_alpha)?;
    // Rounded as they are stored: what was evaluated is what will answer.
    round(&mut head);
    validation.heads.iter_mut().for_each(round);
    for (row, prediction) in validation.out_of_fold.iter_mut().enumerate() {
        *prediction = validation.heads[validation.fold_of_row[row]].value(features.row(row));
    }
    head.check()?;
    let (predictions, fold_of_row) = (&validation.out_of_fold, &validation.fold_of_row);
    let how = format!("{}-fold out-of-fold", validation.heads.len());
    let evaluation = evaluate_regression(predictions, values, options.seed, &how)?;
    let mut plus = CvPlus::new(predictions, values, fold_of_row, options.level)?;
    plus.residuals.iter_mut().flatten().for_each(|error| *error = f64::from(*error as f32));
    let intervals = out_of_fold_intervals(predictions, values, fold_of_row, options.level)?;
    let coverage = coverage(
        &intervals,
        values,
        options.level,
        &format!("{how}, each interval from the errors of the other folds"),
    );
    let novelty = Novelty::fit(features, &vec![0; features.rows], groups, options.seed, LIKE)?;
    let predictor = NumberPredictor { head, fold_heads: validation.heads.clone(), intervals: plus, novelty };
    Ok(FittedNumbers { predictor, validation, evaluation, intervals, coverage })
}

fn round(head: &mut RidgeRegression) {
    head.weights.iter_mut().chain([&mut head.intercept]).for_each(|value| *value = f64::from(*value as f32));
}

/// A held-out split with a number for every example, looked at once.
#[derive(Debug)]
pub struct MeasuredNumbers {
    /// The model's answers.
    pub answers: Vec<NumberAnswer>,
    /// Its numbers.
    pub evaluation: RegressionEvaluation,
    /// How often its intervals held the truth.
    pub coverage: Option<Coverage>,
}

/// Answers every row and measures the answers against `values` `[rows]`.
pub fn measure_numbers(
    predictor: &NumberPredictor,
    features: &Features,
    values: &[f64],
    seed: u64,
    how: &str,
) -> Result<MeasuredNumbers> {
    let answers: Vec<NumberAnswer> =
        (0..features.rows).into_par_iter().map(|row| predictor.answer(features.row(row))).collect();
    let predictions: Vec<f64> = answers.iter().map(|answer| answer.value).collect();
    let intervals: Vec<Option<(f64, f64)>> = answers.iter().map(|answer| answer.interval).collect();
    let evaluation = evaluate_regression(&predictions, values, seed, how)?;
    let coverage = coverage(&intervals, values, predictor.intervals.level, how);
    Ok(MeasuredNumbers { answers, evaluation, coverage })
}

/// From features to a set of labels.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelsPredictor {
    /// Features to logits.
    pub head: OneVsRest,
    /// Divides the logits.
    pub temperature: f64,
    /// From which probability on each label is given, `[labels]`; none where it never is.
    pub thresholds: Vec<Option<f64>>,
    /// When to say "unlike the training data".
    pub novelty: Novelty,
}

/// A set of labels in answer to one picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelsAnswer {
    /// Probability of every label, in the order of the labels; they need not sum to anything.
    pub probabilities: Vec<f32>,
    /// Whether each label is given.
    pub given: Vec<bool>,
    /// Distance to the training data, 0 to 2.
    pub distance: f32,
    /// Whether the distance is larger than nearly all of the training data's own.
    pub unlike: bool,
}

impl LabelsAnswer {
    /// The labels given, the most probable first.
    pub fn labels(&self) -> Vec<usize> {
        Self::order(&self.probabilities, &self.given)
    }

    /// The labels of `[labels]` that are given, the most probable first, of equals the first.
    pub fn order(probabilities: &[f32], given: &[bool]) -> Vec<usize> {
        let mut labels: Vec<usize> = (0..given.len()).filter(|&label| given[label]).collect();
        labels.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]).then(a.cmp(&b)));
        labels
    }
}

impl LabelsPredictor {
    /// The answer to a row of features. It depends on this row alone.
    pub fn answer(&self, row: &[f32]) -> LabelsAnswer {
        let probabilities: Vec<f32> =
            self.head.logits(row).into_iter().map(|logit| sigmoid(logit, self.temperature) as f32).collect();
        let reaches = |(&p, least): (&f32, &Option<f64>)| least.is_some_and(|least| f64::from(p) >= least);
        let given = probabilities.iter().zip(&self.thresholds).map(reaches).collect();
        let distance = self.novelty.distance(row);
        LabelsAnswer { probabilities, given, distance, unlike: self.novelty.is_unlike(distance) }
    }
}

/// A label that an example probably has against its target, or lacks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SuspectedLabel {
    /// Which example.
    pub index: usize,
    /// Which label.
    pub label: usize,
    /// Whether the target says that it has it.
    pub given: bool,
    /// Out-of-fold probability that it has it.
    pub probability: f32,
}

/// Everything that a fit of sets of labels led to.
#[derive(Debug)]
pub struct FittedLabels {
    /// The model.
    pub predictor: LabelsPredictor,
    /// What was tried and chosen, and the out-of-fold answers.
    pub validation: LabelValidation,
    /// Out-of-fold numbers.
    pub evaluation: MultiLabelEvaluation,
    /// Labels that are probably wrong, the likeliest first.
    pub suspected: Vec<SuspectedLabel>,
}

/// Fits one logistic regression per label to frozen features: chooses strength, temperature and thresholds by
/// cross-validation, fits all rows with them, evaluates the out-of-fold answers.
///
/// `labels` is `[rows, label_count]`; `folds` (see [`crate::data::stratify::label_folds`]) and `groups` are `[rows]`.
#[expect(clippy::too_many_arguments, reason = "the data, its folds and groups, what to try, and who listens")]
pub fn fit_labels(
    features: &Features,
    labels: &[bool],
    label_count: usize,
    folds: &[usize],
    groups: &[usize],
    options: &LabelOptions,
    seed: u64,
    observer: &dyn Observer,
) -> Result<FittedLabels> {
    let validation = cross_validate_labels(features, labels, label_count, folds, options, observer)?;
    let (mut head, _) = fit_one_vs_rest(features, labels, label_count, validation.chosen_c, observer)?;
    // Rounded as it is stored: what was evaluated is what will answer.
    head.weights.iter_mut().chain(&mut head.intercepts).for_each(|value| *value = f64::from(*value as f32));
    head.check()?;
    let how = format!("{}-fold out-of-fold", validation.choices.len());
    let predictions = LabelPredictions::new(&validation.out_of_fold, &validation.given, labels, label_count)?;
    let evaluation = evaluate_labels(&predictions, seed, &how);
    let suspected = suspected_labels(&validation.out_of_fold, labels, label_count)?;
    let novelty = Novelty::fit(features, &vec![0; features.rows], groups, seed, LIKE)?;
    let temperature = f64::from(validation.temperature as f32);
    let thresholds = validation.thresholds.iter().map(|least| least.map(|least| f64::from(least as f32))).collect();
    let predictor = LabelsPredictor { head, temperature, thresholds, novelty };
    Ok(FittedLabels { predictor, validation, evaluation, suspected })
}

/// Confident learning for each label by itself, as a choice of two classes (see [`label_errors`]).
fn suspected_labels(probabilities: &[f32], labels: &[bool], label_count: usize) -> Result<Vec<SuspectedLabel>> {
    let mut found = Vec::new();
    for label in 0..label_count {
        let of = || (label..labels.len()).step_by(label_count);
        let pairs: Vec<f32> = of().flat_map(|at| [1.0 - probabilities[at], probabilities[at]]).collect();
        let classes: Vec<usize> = of().map(|at| usize::from(labels[at])).collect();
        found.extend(label_errors(&pairs, &classes, 2)?.into_iter().map(|error| SuspectedLabel {
            index: error.index,
            label,
            given: error.given == 1,
            probability: probabilities[error.index * label_count + label],
        }));
    }
    let surprise = |one: &SuspectedLabel| if one.given { one.probability } else { 1.0 - one.probability };
    found.sort_by(|a, b| surprise(a).total_cmp(&surprise(b)).then((a.index, a.label).cmp(&(b.index, b.label))));
    Ok(found)
}

/// A held-out split with a set of labels for every example, looked at once.
#[derive(Debug)]
pub struct MeasuredLabels {
    /// The model's answers.
    pub answers: Vec<LabelsAnswer>,
    /// Its numbers.
    pub evaluation: MultiLabelEvaluation,
}

/// Answers every row and measures the answers against `labels` `[rows, labels]`.
pub fn measure_labels(
    predictor: &LabelsPredictor,
    features: &Features,
    labels: &[bool],
    seed: u64,
    how: &str,
) -> Result<MeasuredLabels> {
    if features.rows == 0 {
        return Err(Error::Data(Problem::new("there is nothing to measure on").expected("at least one example")));
    }
    let answers: Vec<LabelsAnswer> =
        (0..features.rows).into_par_iter().map(|row| predictor.answer(features.row(row))).collect();
    let probabilities: Vec<f32> = answers.iter().flat_map(|answer| answer.probabilities.iter().copied()).collect();
    let given: Vec<bool> = answers.iter().flat_map(|answer| answer.given.iter().copied()).collect();
    let predictions = LabelPredictions::new(&probabilities, &given, labels, predictor.head.labels)?;
    Ok(MeasuredLabels { evaluation: evaluate_labels(&predictions, seed, how), answers })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::stratify::{label_folds, value_folds};
    use crate::progress::Silent;
    use rand::RngExt;

    const ROWS: usize = 300;
    const COLUMNS: usize = 12;

    fn features(seed: u64, rows: usize) -> Features {
        let mut stream = crate::rng::rng(seed, "test", 0);
        Features::new(rows, COLUMNS, (0..rows * COLUMNS).map(|_| stream.random::<f32>()).collect()).unwrap()
    }

    fn values(seed: u64, features: &Features) -> Vec<f64> {
        let mut stream = crate::rng::rng(seed, "noise", 0);
        let told = |row: &[f32]| 10.0 * f64::from(row[0]) - 4.0 * f64::from(row[1]);
        (0..features.rows).map(|row| told(features.row(row)) + stream.random::<f64>() - 0.5).collect()
    }

    #[test]
    fn numbers_from_features_to_held_out_intervals() {
        let (train, test) = (features(1, ROWS), features(2, 500));
        let (y, y_test) = (values(1, &train), values(2, &test));
        let groups: Vec<usize> = (0..ROWS).collect();
        let folds = value_folds(&y, &groups, 5, 1);
        let fitted = fit_numbers(&train, &y, &folds, &groups, &NumberOptions::default(), &Silent).unwrap();
        assert!(fitted.evaluation.r2.mean > 0.95, "{:?}", fitted.evaluation.r2);
        let covered = fitted.coverage.as_ref().unwrap();
        assert!((covered.measured.mean - 0.9).abs() < 0.03, "{covered:?}");
        let measured = measure_numbers(&fitted.predictor, &test, &y_test, 1, "test").unwrap();
        let held = measured.coverage.unwrap();
        assert!((held.measured.mean - 0.9).abs() < 0.06, "{held:?}");
        assert!((held.width / covered.width - 1.0).abs() < 0.1, "{} {}", held.width, covered.width);
        let far = fitted.predictor.answer(&[-9.0; COLUMNS]);
        assert!(far.unlike && !measured.answers[0].unlike);
        let answer = &measured.answers[3];
        let (low, high) = answer.interval.unwrap();
        assert!(low <= answer.value && answer.value <= high);
    }

    #[test]
    fn label_sets_from_features_to_held_out_answers() {
        let labels_of = |features: &Features| -> Vec<bool> {
            (0..features.rows)
                .flat_map(|row| {
                    [0.5f32, 0.7, 0.85].iter().enumerate().map(move |(k, least)| features.row(row)[k] > *least)
                })
                .collect()
        };
        let (train, test) = (features(1, ROWS), features(2, 200));
        let (mut y, y_test) = (labels_of(&train), labels_of(&test));
        // One label that is plainly wrong.
        let sure = (0..ROWS).find(|&row| train.row(row)[0] > 0.97).unwrap();
        y[sure * 3] = false;
        let groups: Vec<usize> = (0..ROWS).collect();
        let folds = label_folds(&y, 3, &groups, 5, 1);
        let fitted = fit_labels(&train, &y, 3, &folds, &groups, &LabelOptions::default(), 1, &Silent).unwrap();
        assert!(fitted.evaluation.map.mean > 0.9, "{:?}", fitted.evaluation.map);
        assert!(fitted.evaluation.map.low > fitted.evaluation.chance_map);
        let first = &fitted.suspected[0];
        assert_eq!((first.index, first.label, first.given), (sure, 0, false));
        let measured = measure_labels(&fitted.predictor, &test, &y_test, 1, "test").unwrap();
        assert!(measured.evaluation.macro_f1.mean > 0.8, "{:?}", measured.evaluation.macro_f1);
        let answer = measured.answers.iter().find(|answer| answer.labels().len() > 1).unwrap();
        let order = answer.labels();
        assert!(answer.probabilities[order[0]] >= answer.probabilities[order[1]]);
    }
}
