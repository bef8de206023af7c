//! Gradient-boosted trees on features: the baseline for rows of a table, which a linear head has to beat.
//!
//! Friedman, 2001, "Greedy function approximation: a gradient boosting machine"; with the second-order gains of XGBoost
//! (Chen and Guestrin, 2016) and LightGBM's growth by the best leaf. Many classes and sets of labels are one model each;
//! the probabilities of classes are brought to a sum of one.
//!
//! The same rows and seed give the same numbers on any number of threads: threads share out models and columns, and
//! every sum is taken in the order of the rows.

use forust_ml::gradientbooster::GrowPolicy;
use forust_ml::objective::ObjectiveType;
use forust_ml::{GradientBooster, Matrix};
use rand::RngExt;
use rayon::prelude::*;

use crate::error::{Error, Problem, Result};
use crate::features::Features;
use crate::guard::guarded;
use crate::progress::Observer;
use crate::rng::rng;

/// Trees of a model.
const TREES: usize = 100;
/// How much of its step every tree takes.
const RATE: f32 = 0.1;
/// Leaves of a tree.
const LEAVES: usize = 31;
/// Rows of a leaf where numbers are learnt, as in scikit-learn and LightGBM; fewer where there are few rows.
const LEAF_ROWS: usize = 20;
/// Weight decay of the leaves' values.
const DECAY: f32 = 1.0;
/// Columns that a tree looks at; of more it draws so many at random.
const COLUMNS: usize = 512;

/// Probabilities of `classes` classes for the rows `predict`, `[predict, classes]`, from the `labels` of the rows `train`.
/// A missing feature is NaN.
///
/// A class without a training row has the probability 0.
///
/// # Errors
/// [`Error::Data`] where there are no training rows or a feature is infinite; [`Error::Interrupted`] once the observer
/// says so; [`Error::Training`] where the trees cannot be grown.
///
/// # Panics
/// If a row or a label does not exist.
pub(crate) fn boosted_classes(
    x: &Features,
    labels: &[usize],
    classes: usize,
    train: &[usize],
    predict: &[usize],
    seed: u64,
    observer: &dyn Observer,
) -> Result<Vec<f32>> {
    assert!(train.iter().all(|&row| labels[row] < classes), "labels number the classes");
    let rows = Rows::new(x, train, predict)?;
    // Of two classes one model tells both.
    let models = if classes == 2 { 1..2 } else { 0..classes };
    let one = |class: usize| train.iter().map(|&row| labels[row] == class).collect::<Vec<bool>>();
    let scores = rows.chances(models.map(one).collect(), seed, observer)?;
    if classes == 2 {
        return Ok(scores[0].iter().flat_map(|&p| [(1.0 - p) as f32, p as f32]).collect());
    }
    let mut out = Vec::with_capacity(predict.len() * classes);
    for row in 0..predict.len() {
        let total: f64 = scores.iter().map(|model| model[row]).sum();
        out.extend(scores.iter().map(|model| match total > 0.0 {
            true => (model[row] / total) as f32,
            false => 1.0 / classes as f32,
        }));
    }
    Ok(out)
}

/// Probabilities of each of `labels` labels for the rows `predict`, `[predict, labels]`: one model for each label. `sets`
/// says of every row which labels it has.
///
/// # Errors
/// As [`boosted_classes`].
///
/// # Panics
/// As [`boosted_classes`].
pub(crate) fn boosted_labels(
    x: &Features,
    sets: &[Vec<bool>],
    labels: usize,
    train: &[usize],
    predict: &[usize],
    seed: u64,
    observer: &dyn Observer,
) -> Result<Vec<f32>> {
    let rows = Rows::new(x, train, predict)?;
    let has = |label: usize| train.iter().map(|&row| sets[row][label]).collect::<Vec<bool>>();
    let scores = rows.chances((0..labels).map(has).collect(), seed, observer)?;
    let by_row = (0..predict.len()).flat_map(|row| scores.iter().map(move |model| model[row] as f32));
    Ok(by_row.collect())
}

/// Numbers for the rows `predict`, `[predict]`, from the `values` of the rows `train`, by least squares.
///
/// # Errors
/// As [`boosted_classes`]; [`Error::Data`] where a training row has no finite number.
///
/// # Panics
/// If a row does not exist.
pub(crate) fn boosted_numbers(
    x: &Features,
    values: &[f64],
    train: &[usize],
    predict: &[usize],
    seed: u64,
    observer: &dyn Observer,
) -> Result<Vec<f64>> {
    let rows = Rows::new(x, train, predict)?;
    if let Some(&row) = train.iter().find(|&&row| !values[row].is_finite()) {
        let problem = Problem::new("a number to learn is not finite").expected("finite numbers");
        return Err(Error::Data(problem.found(format!("{} in row {row}, counted from 0", values[row]))));
    }
    observer.check()?;
    let n = train.len() as f64;
    let mean = train.iter().map(|&row| values[row]).sum::<f64>() / n;
    let spread = (train.iter().map(|&row| (values[row] - mean).powi(2)).sum::<f64>() / n).sqrt();
    if spread == 0.0 || !spread.is_finite() {
        return Ok(vec![mean; predict.len()]);
    }
    // Gradients are kept in f32, and are of the numbers' size.
    let targets: Vec<f64> = train.iter().map(|&row| (values[row] - mean) / spread).collect();
    let leaf = LEAF_ROWS.min(train.len() / 10).max(1) as f32;
    let scores = rows.model(ObjectiveType::SquaredLoss, leaf, &targets, seed, 0, true)?;
    Ok(scores.into_iter().map(|score| mean + spread * score).collect())
}

/// The rows of a fit, column by column.
struct Rows {
    train: Vec<f64>,
    predict: Vec<f64>,
    /// Rows to train on, rows to predict.
    counts: [usize; 2],
    columns: usize,
}

impl Rows {
    /// Copies the rows, without the columns that have but one value among those to train on.
    fn new(x: &Features, train: &[usize], predict: &[usize]) -> Result<Self> {
        if train.is_empty() {
            return Err(Error::Data(Problem::new("there are no rows to train on").expected("at least one")));
        }
        for &row in train.iter().chain(predict) {
            if let Some(column) = x.row(row).iter().position(|value| value.is_infinite()) {
                let found = format!("{} in row {row}, column {column} (both counted from 0)", x.row(row)[column]);
                let problem = Problem::new("a feature is infinite").expected("finite numbers, or NaN for missing ones");
                return Err(Error::Data(problem.found(found)));
            }
        }
        let varies = |&column: &usize| {
            let mut known = train.iter().map(|&row| x.row(row)[column]).filter(|value| !value.is_nan());
            known.next().is_some_and(|first| known.any(|value| value != first))
        };
        let columns: Vec<usize> = (0..x.columns).filter(varies).collect();
        let by_column = |rows: &[usize]| -> Vec<f64> {
            columns.iter().flat_map(|&column| rows.iter().map(move |&row| f64::from(x.row(row)[column]))).collect()
        };
        let counts = [train.len(), predict.len()];
        Ok(Self { train: by_column(train), predict: by_column(predict), counts, columns: columns.len() })
    }

    /// For each of several questions, given its answers on the rows to train on, the probability that the answer is yes on
    /// the rows to predict.
    fn chances(&self, answers: Vec<Vec<bool>>, seed: u64, observer: &dyn Observer) -> Result<Vec<Vec<f64>>> {
        let alone = answers.len() == 1;
        let chance = |(step, answers): (usize, &Vec<bool>)| {
            observer.check()?;
            let yes = answers.iter().filter(|yes| **yes).count();
            if yes == 0 || yes == answers.len() {
                return Ok(vec![if yes == 0 { 0.0 } else { 1.0 }; self.counts[1]]);
            }
            let targets: Vec<f64> = answers.iter().map(|&yes| if yes { 1.0 } else { 0.0 }).collect();
            let scores = self.model(ObjectiveType::LogLoss, 1.0, &targets, seed, step as u64, alone)?;
            Ok(scores.into_iter().map(|score| 1.0 / (1.0 + (-score).exp())).collect())
        };
        answers.par_iter().enumerate().map(chance).collect()
    }

    /// Trains one model and gives its scores. `leaf` is the least sum of second derivatives in a leaf.
    fn model(
        &self,
        objective: ObjectiveType,
        leaf: f32,
        targets: &[f64],
        seed: u64,
        step: u64,
        parallel: bool,
    ) -> Result<Vec<f64>> {
        let mut model = GradientBooster::default();
        model.objective_type = objective;
        model.iterations = TREES;
        model.learning_rate = RATE;
        model.max_depth = usize::MAX;
        model.max_leaves = LEAVES;
        model.l2 = DECAY;
        model.min_leaf_weight = leaf;
        model.grow_policy = GrowPolicy::LossGuide;
        model.initialize_base_score = true;
        model.colsample_bytree = (COLUMNS as f64 / self.columns.max(1) as f64).min(1.0);
        model.seed = rng(seed, "boosted trees", step).random();
        model.parallel = parallel;
        let failed = |found: &dyn std::fmt::Display| {
            Error::Training(Problem::new("the boosted trees cannot be grown").found(found))
        };
        let [train, predict] = self.counts;
        if self.columns == 0 {
            // Nothing tells the rows apart: what is true of all of them.
            let mean = targets.iter().sum::<f64>() / train as f64;
            let score = match model.objective_type {
                ObjectiveType::LogLoss => (mean / (1.0 - mean)).ln(),
                ObjectiveType::SquaredLoss => mean,
            };
            return Ok(vec![score; predict]);
        }
        guarded("the trees' library", || {
            let data = Matrix::new(&self.train, train, self.columns);
            model.fit_unweighted(&data, targets, None)?;
            Ok(model.predict(&Matrix::new(&self.predict, predict, self.columns), false))
        })
        .map_err(|panicked| failed(&panicked))?
        .map_err(|error: forust_ml::errors::ForustError| failed(&error))
    }
}

#[cfg(test)]
#[path = "boosted_trees_tests.rs"]
mod tests;
