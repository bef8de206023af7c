//! How strongly to regularise many labels at once, how hot their probabilities are, and from where on a label is given.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::axes::PrincipalAxes;
use super::label_thresholds::{ThresholdRule, label_thresholds};
use super::linear::Linear;
use super::objective::Weights;
use super::one_vs_rest::{LabelledSet, check, sigmoid};
use super::path::{Split, best, shared_axes};
use super::select::splits;
use super::solve::CHOICE_TOLERANCE;
use super::temperature::{log_loss, temperature};
use crate::error::Result;
use crate::features::Features;
use crate::progress::Observer;

/// A temperature, a single number, is found from at most about this many answers, evenly spaced.
const TEMPERATURE_ANSWERS: usize = 200_000;

/// What to try.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelOptions {
    /// Values of `C` (scikit-learn's), in any order: one for all labels. A small `C` regularises strongly.
    pub(crate) strengths: Vec<f64>,
    /// From which probability on a label is given.
    pub(crate) thresholds: ThresholdRule,
    /// Leave out the weak end of the path once the log-loss has kept rising.
    pub(crate) stop_early: bool,
}

impl Default for LabelOptions {
    /// The strengths of [`super::Options`], thresholds of best F1, early stopping.
    fn default() -> Self {
        Self { strengths: super::Options::default().strengths, thresholds: ThresholdRule::F1, stop_early: true }
    }
}

/// One strength and how it did on rows that the model had not seen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct TriedLabels {
    /// The strength.
    pub(crate) c: f64,
    /// Mean log-loss of an answer (a row and a label) at temperature 1, in nats, over the labels that the training part
    /// of the fold tells something about.
    pub(crate) log_loss: f64,
}

/// What was chosen without looking at a fold, and used on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LabelFoldChoice {
    /// The fold.
    pub(crate) fold: usize,
    /// Strength chosen on the other folds' out-of-fold predictions.
    pub(crate) c: f64,
    /// Temperature chosen on the same.
    pub(crate) temperature: f64,
    /// Thresholds chosen on the same, `[labels]`; none where a label is never given.
    pub(crate) thresholds: Vec<Option<f64>>,
}

/// The result of `cross_validate_labels`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelValidation {
    /// Every strength that was tried, ascending `c`.
    pub(crate) tried: Vec<TriedLabels>,
    /// The strength of the final model: least log-loss over all folds, of equals the stronger regularisation.
    pub(crate) chosen_c: f64,
    /// The temperature of the final model, common to all labels.
    pub(crate) temperature: f64,
    /// The thresholds of the final model, `[labels]`; none where a label is never given.
    pub(crate) thresholds: Vec<Option<f64>>,
    /// Honest probabilities `[rows, labels]`: a row took part neither in fitting nor in choosing what predicts it.
    pub(crate) out_of_fold: Vec<f32>,
    /// Honest answers `[rows, labels]`, by thresholds chosen on the other folds.
    pub(crate) given: Vec<bool>,
    /// Number of labels.
    pub(crate) labels: usize,
    /// The choice behind the answers of each fold, ascending fold.
    pub(crate) choices: Vec<LabelFoldChoice>,
    /// Whether the weak end of the path was left out because the log-loss kept rising.
    pub(crate) stopped_early: bool,
    /// Fits that did not reach the tolerance.
    pub(crate) unconverged: usize,
}

/// What one audience chooses: the place of a strength, and what goes with it.
#[derive(Debug, Clone)]
struct Chosen {
    step: usize,
    temperature: f64,
    thresholds: Vec<Option<f64>>,
}

/// A fold on its way from strong to weak regularisation.
struct Walker<'a> {
    split: &'a Split,
    training: LabelledSet<'a>,
    weights: Option<Weights>,
    /// Summed log-loss of each strength so far.
    losses: Vec<f64>,
    /// Model of each strength so far; those that can no longer be chosen are dropped.
    models: Vec<Option<Linear>>,
    unconverged: usize,
}

/// Tries every strength on every fold (`folds[i]` is the fold in which row `i` is held out) and chooses one for all
/// labels. `labels` is `[rows, label_count]`.
///
/// Selection is honest as in [`super::cross_validate`]: strength, temperature and thresholds used on a fold are chosen on
/// the other folds' out-of-fold predictions. A label that a fold's training part tells nothing about has no say in the
/// choice of strength and temperature; its answers count in everything else.
pub(crate) fn cross_validate_labels(
    features: &Features,
    labels: &[bool],
    label_count: usize,
    folds: &[usize],
    options: &LabelOptions,
    observer: &dyn Observer,
) -> Result<LabelValidation> {
    check(features, labels, label_count, &options.strengths)?;
    let splits = splits(folds, features.rows)?;
    let mut strengths = options.strengths.clone();
    strengths.sort_by(f64::total_cmp);
    strengths.dedup();
    let lent = shared_axes(features)?;

    observer.begin("cross-validation", (strengths.len() * splits.len()) as u64, "fits");
    let walked = walk(features, labels, label_count, &splits, &strengths, options.stop_early, lent.as_ref(), observer);
    observer.end();
    let (walkers, stopped_early) = walked?;
    choose(features, labels, label_count, options, &strengths, walkers, stopped_early)
}

#[expect(clippy::too_many_arguments, reason = "one caller, of which this is the loop")]
fn walk<'a>(
    features: &'a Features,
    labels: &[bool],
    label_count: usize,
    splits: &'a [Split],
    strengths: &[f64],
    stop_early: bool,
    lent: Option<&'a PrincipalAxes>,
    observer: &dyn Observer,
) -> Result<(Vec<Walker<'a>>, bool)> {
    let prepare = |split: &'a Split| -> Result<Walker<'a>> {
        let training = LabelledSet::new(features, &split.training, labels, label_count, lent)?;
        Ok(Walker { split, training, weights: None, losses: Vec::new(), models: Vec::new(), unconverged: 0 })
    };
    let walkers = splits.par_iter().map(prepare).collect::<Vec<Result<_>>>();
    let mut walkers = walkers.into_iter().collect::<Result<Vec<_>>>()?;
    for (step, &c) in strengths.iter().enumerate() {
        let steps: Vec<Result<()>> =
            walkers.par_iter_mut().map(|walker| walker.step(features, labels, c, observer)).collect();
        steps.into_iter().collect::<Result<()>>()?;
        let wanted: Vec<usize> = audiences(walkers.len()).map(|without| best(&losses(&walkers, without))).collect();
        for walker in &mut walkers {
            for (at, model) in walker.models.iter_mut().enumerate() {
                if !wanted.contains(&at) {
                    *model = None;
                }
            }
        }
        if stop_early && step + 1 < strengths.len() && wanted.iter().all(|&best| best + 2 < step + 1) {
            return Ok((walkers, true));
        }
    }
    Ok((walkers, false))
}

/// All sets of folds on which a choice is made: all but each, and all.
fn audiences(folds: usize) -> impl Iterator<Item = Option<usize>> {
    (0..folds).map(Some).chain([None])
}

/// Summed loss of each strength so far, over all folds but one, or over all.
fn losses(walkers: &[Walker], without: Option<usize>) -> Vec<f64> {
    let heard = |step: usize| {
        let others = walkers.iter().enumerate().filter(|&(fold, _)| Some(fold) != without);
        others.map(|(_, walker)| walker.losses[step]).sum()
    };
    (0..walkers[0].losses.len()).map(heard).collect()
}

impl Walker<'_> {
    /// Fits the next strength and scores it on what is held out.
    fn step(&mut self, features: &Features, labels: &[bool], c: f64, observer: &dyn Observer) -> Result<()> {
        let solution = self.training.minimise(c, self.weights.as_ref(), CHOICE_TOLERANCE, observer)?;
        self.unconverged += usize::from(!solution.converged);
        let model = self.training.model(&solution.weights);
        self.weights = Some(solution.weights);
        let rows: Vec<f64> = self
            .split
            .held_out
            .par_iter()
            .map(|&row| {
                let logits = model.values(features.row(row));
                let known = (0..model.outputs).filter(|&label| self.training.knows(label));
                known
                    .map(|k| log_loss(&[0.0, logits[k] as f32], usize::from(labels[row * model.outputs + k]), 1.0))
                    .sum()
            })
            .collect();
        self.losses.push(rows.iter().sum());
        self.models.push(Some(model));
        observer.advance(1);
        Ok(())
    }

    /// How many answers the losses are summed over.
    fn judged(&self, label_count: usize) -> usize {
        self.split.held_out.len() * (0..label_count).filter(|&label| self.training.knows(label)).count()
    }
}

fn choose(
    features: &Features,
    labels: &[bool],
    label_count: usize,
    options: &LabelOptions,
    strengths: &[f64],
    walkers: Vec<Walker>,
    stopped_early: bool,
) -> Result<LabelValidation> {
    let chosen = best(&losses(&walkers, None));
    let truth = |row: usize| &labels[row * label_count..(row + 1) * label_count];
    // Every row of a table that is `[rows, labels]`, of all folds but one, or of all.
    let of_all_but = |table: &[f32], without: Option<usize>| {
        let others = walkers.iter().enumerate().filter(|&(fold, _)| Some(fold) != without);
        let rows: Vec<usize> = others.flat_map(|(_, walker)| walker.split.held_out.iter().copied()).collect();
        let numbers: Vec<f32> =
            rows.iter().flat_map(|&row| table[row * label_count..(row + 1) * label_count].iter().copied()).collect();
        let right: Vec<bool> = rows.iter().flat_map(|&row| truth(row).iter().copied()).collect();
        (numbers, right)
    };
    let stride = (features.rows * label_count).div_ceil(TEMPERATURE_ANSWERS);

    // What each audience chooses, one strength's logits in memory at a time.
    let mut choices: Vec<Option<Chosen>> = vec![None; walkers.len() + 1];
    let chosen_by: Vec<usize> = audiences(walkers.len()).map(|without| best(&losses(&walkers, without))).collect();
    let mut steps = chosen_by.clone();
    steps.sort_unstable();
    steps.dedup();
    let mut out_of_fold = vec![0.0f32; features.rows * label_count];
    let mut given = vec![false; features.rows * label_count];
    for step in steps {
        let mut logits = vec![0.0f32; features.rows * label_count];
        for walker in &walkers {
            let Some(model) = &walker.models[step] else { continue };
            let rows: Vec<Vec<f64>> =
                walker.split.held_out.par_iter().map(|&row| model.values(features.row(row))).collect();
            for (&row, own) in walker.split.held_out.iter().zip(rows) {
                let into = &mut logits[row * label_count..(row + 1) * label_count];
                into.iter_mut().zip(own).for_each(|(into, z)| *into = z as f32);
            }
        }
        for (at, without) in audiences(walkers.len()).enumerate().filter(|&(at, _)| chosen_by[at] == step) {
            let temperature = common_temperature(&walkers, &logits, labels, label_count, without, stride)?;
            let (heard, right) = of_all_but(&logits, without);
            let probabilities: Vec<f32> = heard.iter().map(|&z| sigmoid(f64::from(z), temperature) as f32).collect();
            let thresholds = label_thresholds(&probabilities, &right, label_count, options.thresholds)?;
            if let Some(fold) = without {
                for at in
                    walkers[fold].split.held_out.iter().flat_map(|&row| row * label_count..(row + 1) * label_count)
                {
                    out_of_fold[at] = sigmoid(f64::from(logits[at]), temperature) as f32;
                    given[at] = thresholds[at % label_count].is_some_and(|least| f64::from(out_of_fold[at]) >= least);
                }
            }
            choices[at] = Some(Chosen { step, temperature, thresholds });
        }
    }

    let judged: usize = walkers.iter().map(|walker| walker.judged(label_count)).sum();
    let tried = losses(&walkers, None).into_iter().zip(strengths);
    let tried = tried.map(|(loss, &c)| TriedLabels { c, log_loss: loss / judged.max(1) as f64 }).collect();
    let mut choices = choices.into_iter().flatten();
    let by_fold: Vec<LabelFoldChoice> = walkers
        .iter()
        .zip(&mut choices)
        .map(|(walker, Chosen { step, temperature, thresholds })| LabelFoldChoice {
            fold: walker.split.fold,
            c: strengths[step],
            temperature,
            thresholds,
        })
        .collect();
    let unchosen = || Chosen { step: chosen, temperature: 1.0, thresholds: vec![None; label_count] };
    let Chosen { temperature, thresholds, .. } = choices.next().unwrap_or_else(unchosen);
    Ok(LabelValidation {
        tried,
        chosen_c: strengths[chosen],
        temperature,
        thresholds,
        out_of_fold,
        given,
        labels: label_count,
        choices: by_fold,
        stopped_early,
        unconverged: walkers.iter().map(|walker| walker.unconverged).sum(),
    })
}

/// The temperature over all folds but one. A label by itself is a choice of two classes with logits 0 and z.
fn common_temperature(
    walkers: &[Walker],
    logits: &[f32],
    labels: &[bool],
    label_count: usize,
    without: Option<usize>,
    stride: usize,
) -> Result<f64> {
    let (mut pairs, mut classes) = (Vec::new(), Vec::new());
    for (_, walker) in walkers.iter().enumerate().filter(|&(fold, _)| Some(fold) != without) {
        for &row in walker.split.held_out.iter().step_by(stride) {
            for label in (0..label_count).filter(|&label| walker.training.knows(label)) {
                pairs.extend([0.0, logits[row * label_count + label]]);
                classes.push(usize::from(labels[row * label_count + label]));
            }
        }
    }
    temperature(&[(&pairs, &classes)], 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use rand::RngExt;

    /// Noise, and a shift in the column of each label that a row has; the last label is rare.
    fn table(rows: usize, columns: usize, by: f32) -> (Features, Vec<bool>, Vec<usize>) {
        let mut stream = crate::rng::rng(1, "test", 0);
        let labels: Vec<bool> = (0..rows * 3).map(|at| stream.random::<f64>() < [0.5, 0.3, 0.05][at % 3]).collect();
        let shift = |row: usize, column: usize| if column < 3 && labels[row * 3 + column] { by } else { 0.0 };
        let values = (0..rows * columns).map(|at| stream.random::<f32>() + shift(at / columns, at % columns)).collect();
        let folds = crate::data::stratify::label_folds(&labels, 3, &(0..rows).collect::<Vec<_>>(), 5, 1);
        (Features::new(rows, columns, values).unwrap(), labels, folds)
    }

    #[test]
    fn what_can_be_learnt_is_learnt() {
        for (rows, columns, least) in [(400, 8, 0.85), (120, 150, 0.8)] {
            let (features, labels, folds) = table(rows, columns, 1.2);
            let result =
                cross_validate_labels(&features, &labels, 3, &folds, &LabelOptions::default(), &Silent).unwrap();
            let right = result.given.iter().zip(&labels).filter(|(a, b)| a == b).count() as f64;
            assert!(right / labels.len() as f64 > least, "{rows}x{columns}: {}", right / labels.len() as f64);
            assert_eq!(result.unconverged, 0);
            assert!((0.2..5.0).contains(&result.temperature), "{}", result.temperature);
            assert_eq!(result.choices.len(), 5);
        }
    }

    #[test]
    fn the_result_depends_neither_on_threads_nor_on_stopping_early() {
        let (features, labels, folds) = table(200, 12, 0.4);
        let run = |threads, stop_early| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let options = LabelOptions { stop_early, ..LabelOptions::default() };
            pool.install(|| cross_validate_labels(&features, &labels, 3, &folds, &options, &Silent)).unwrap()
        };
        let (one, three, whole) = (run(1, true), run(3, true), run(2, false));
        assert_eq!(one, three);
        assert_eq!((one.chosen_c, &one.out_of_fold, &one.given), (whole.chosen_c, &whole.out_of_fold, &whole.given));
    }

    #[test]
    fn a_label_that_is_never_seen_is_never_given() {
        let (features, mut labels, folds) = table(100, 6, 1.0);
        (0..100).for_each(|row| labels[row * 3 + 2] = false);
        labels[17 * 3 + 2] = true;
        let result = cross_validate_labels(&features, &labels, 3, &folds, &LabelOptions::default(), &Silent).unwrap();
        assert!(result.out_of_fold[17 * 3 + 2] < 1e-3);
        assert!(result.tried.iter().all(|tried| tried.log_loss.is_finite()));
    }
}
