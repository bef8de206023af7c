//! The main job: from labelled pictures and a base to a classifier, its numbers and its controls.

use std::time::Instant;

use burn::tensor::Device;
use serde::Serialize;

use crate::backbone::{Base, BaseSpec, open};
use crate::config::Fit;
use crate::data::Split;
use crate::data::split::stratified_folds;
use crate::error::{Error, Problem, Result};
use crate::evaluate::{Evaluation, LabelError, Paired, Predictions, evaluate, label_errors, paired_difference};
use crate::features::{Cache, Extractor, Features, extract};
use crate::head::{AnswerRule, ClassWeights, CrossValidation, Novelty, Options, cross_validate, fit as fit_head};
use crate::inductive::control::{Control, ControlData, ControlPlan};
use crate::inductive::{Answer, Intake, Predictor};
use crate::progress::Observer;
use rayon::prelude::*;

/// Share of the training data that counts as like itself.
const LIKE: f64 = 0.99;

/// Wall seconds of each part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Seconds {
    /// Reading, decoding and auditing.
    pub audit: f64,
    /// Running the base.
    pub features: f64,
    /// Cross-validation, the final head, the control.
    pub training: f64,
    /// Metrics and intervals.
    pub evaluation: f64,
    /// All of it.
    pub total: f64,
}

/// A held-out split, looked at once.
#[derive(Debug)]
pub struct HeldOut {
    /// Which split.
    pub split: Split,
    /// Indices of its examples in the data set.
    pub examples: Vec<usize>,
    /// Their labels.
    pub labels: Vec<usize>,
    /// The final model's answers.
    pub answers: Vec<Answer>,
    /// Its numbers.
    pub evaluation: Evaluation,
}

impl HeldOut {
    /// How many of the answers that were not withheld are wrong.
    pub fn wrong_among_answered(&self) -> usize {
        self.answers
            .iter()
            .zip(&self.labels)
            .filter(|(answer, label)| !answer.unsure && answer.class != **label)
            .count()
    }
}

/// Everything that a fit led to.
#[derive(Debug)]
pub struct Fitted {
    /// The settings.
    pub config: Fit,
    /// The base.
    pub base: Base,
    /// The data and its audit.
    pub intake: Intake,
    /// The model.
    pub predictor: Predictor,
    /// Indices of the training examples in the data set.
    pub train: Vec<usize>,
    /// Fold of each training example.
    pub folds: Vec<usize>,
    /// What was tried and chosen.
    pub validation: CrossValidation,
    /// Out-of-fold numbers.
    pub evaluation: Evaluation,
    /// Training examples whose label is probably wrong; indices into `train`.
    pub label_errors: Vec<LabelError>,
    /// Held-out splits.
    pub held_out: Vec<HeldOut>,
    /// From scratch, if it was run.
    pub control: Option<Control>,
    /// Transfer against scratch, on the examples that both answered.
    pub paired: Option<Paired>,
    /// Wall seconds.
    pub seconds: Seconds,
    /// Images per second through the base, where any ran.
    pub images_per_second: f64,
}

/// Fits a new head to a frozen base. `hear_early` is called with the out-of-fold numbers as soon as they are known,
/// before the control runs.
pub fn fit(
    config: &Fit,
    intake: Intake,
    cache: Option<&Cache>,
    observer: &dyn Observer,
    audit_seconds: f64,
    hear_early: impl FnOnce(&Evaluation),
) -> Result<Fitted> {
    check(config)?;
    let start = Instant::now();
    let device = Device::flex();
    let base = open(&BaseSpec::from(config), &device)?;
    for remark in &base.remarks {
        observer.say(remark);
    }
    intake.require_usable(config.strict)?;

    let classes = intake.dataset.classes.len();
    let train = intake.usable(Split::Train);
    let labels = intake.labels(&train);
    let groups: Vec<usize> = train.iter().map(|&index| intake.audit.groups[index]).collect();
    let folds_count = fold_count(config.folds, &labels, classes, observer);
    let folds = stratified_folds(&labels, &groups, folds_count, config.seed);

    let extractor = Extractor::to_features(&base, &device)?;
    let features = extract(&extractor, &intake.pictures(&train), cache, observer)?;
    let mut seconds = Seconds { audit: audit_seconds, features: start.elapsed().as_secs_f64(), ..Seconds::default() };

    let training = Instant::now();
    let class_weights = if config.balanced { ClassWeights::Balanced } else { ClassWeights::None };
    let options = Options { class_weights: class_weights.clone(), ..Options::default() };
    let validation = cross_validate(&features, &labels, &folds, classes, &options, observer)?;
    let mut head = fit_head(&features, &labels, classes, validation.chosen_c, &class_weights, observer)?;
    Predictor::round(&mut head)?;
    seconds.training = training.elapsed().as_secs_f64();

    let evaluating = Instant::now();
    let how = format!("{folds_count}-fold out-of-fold");
    let evaluation = evaluate(&validation.out_of_fold, &labels, classes, config.seed, &how)?;
    let predictions = Predictions::new(&validation.out_of_fold, &labels, classes)?;
    let correct = predictions.correct();
    let rule = AnswerRule::choose(&predictions.confidences(), &correct, config.max_error)?;
    let novelty = Novelty::fit(&features, &labels, &groups, config.seed, LIKE)?;
    let suspected = label_errors(&validation.out_of_fold, &labels, classes)?;
    hear_early(&evaluation);
    // Rounded as it is stored: what was evaluated is what will answer.
    let predictor = Predictor { head, temperature: f64::from(validation.temperature as f32), rule, novelty };
    seconds.evaluation = evaluating.elapsed().as_secs_f64();

    let control_start = Instant::now();
    let control = if config.control_budget > 0.0 {
        let plan = ControlPlan::within(config.control_budget, &base, train.len(), folds_count, config.seed);
        let paths = train.iter().map(|&index| intake.dataset.examples[index].path.clone()).collect();
        let digests = train.iter().map(|&index| intake.digests[index].as_str()).collect();
        let data = ControlData { paths, digests, labels: &labels, folds: &folds, fold_count: folds_count, classes };
        Some(Control::run(&base, plan, &data, cache, observer)?)
    } else {
        None
    };
    let paired = match &control {
        Some(control) => {
            let ours: Vec<bool> = control.measured.iter().map(|&example| correct[example]).collect();
            Some(paired_difference(&ours, &control.correct)?)
        }
        None => None,
    };
    seconds.training += control_start.elapsed().as_secs_f64();

    // Every choice is made. Now, once, what was held out.
    let mut held_out = Vec::new();
    for split in [Split::Val, Split::Test] {
        let examples = intake.usable(split);
        if examples.is_empty() {
            continue;
        }
        let extracting = Instant::now();
        let features = extract(&extractor, &intake.pictures(&examples), cache, observer)?;
        seconds.features += extracting.elapsed().as_secs_f64();
        let evaluating = Instant::now();
        held_out.push(hold(&predictor, split, examples, &features, &intake, config.seed)?);
        seconds.evaluation += evaluating.elapsed().as_secs_f64();
    }
    seconds.total = audit_seconds + start.elapsed().as_secs_f64();
    let pictures = train.len() + held_out.iter().map(|held| held.examples.len()).sum::<usize>();
    let images_per_second = pictures as f64 / seconds.features.max(1e-9);
    Ok(Fitted {
        config: config.clone(),
        base,
        intake,
        predictor,
        train,
        folds,
        validation,
        evaluation,
        label_errors: suspected,
        held_out,
        control,
        paired,
        seconds,
        images_per_second,
    })
}

fn hold(
    predictor: &Predictor,
    split: Split,
    examples: Vec<usize>,
    features: &Features,
    intake: &Intake,
    seed: u64,
) -> Result<HeldOut> {
    let answers: Vec<Answer> =
        (0..features.rows).into_par_iter().map(|row| predictor.answer(features.row(row))).collect();
    let probabilities: Vec<f32> = answers.iter().flat_map(|answer| answer.probabilities.iter().copied()).collect();
    let how = format!("the given {} split, looked at once", split.name());
    let classes = intake.dataset.classes.len();
    let labels = intake.labels(&examples);
    let evaluation = evaluate(&probabilities, &labels, classes, seed, &how)?;
    Ok(HeldOut { split, examples, labels, answers, evaluation })
}

fn check(config: &Fit) -> Result<()> {
    if config.folds < 2 {
        let problem = Problem::new("cross-validation needs folds").expected("at least 2").found(config.folds);
        return Err(Error::Usage(problem.at("--folds")));
    }
    if !(config.max_error > 0.0 && config.max_error < 1.0) {
        let problem = Problem::new("the error rate makes no sense").expected("a number between 0 and 1");
        return Err(Error::Usage(problem.found(config.max_error).at("--max-error")));
    }
    if !(config.control_budget >= 0.0 && config.control_budget.is_finite()) {
        let problem = Problem::new("the control's budget makes no sense").expected("0 or a positive number");
        return Err(Error::Usage(problem.found(config.control_budget).at("--control-budget")));
    }
    Ok(())
}

/// As many folds as asked for, but no more than the smallest class has examples.
fn fold_count(asked: usize, labels: &[usize], classes: usize, observer: &dyn Observer) -> usize {
    let smallest = (0..classes).map(|class| labels.iter().filter(|label| **label == class).count()).min().unwrap_or(0);
    let count = asked.min(smallest).max(2);
    if count < asked {
        observer.say(&format!("{count} folds instead of {asked}: the smallest class has {smallest} training pictures"));
    }
    count
}
