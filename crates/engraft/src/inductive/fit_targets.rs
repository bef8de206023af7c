//! The main job where the target is no single class: from labelled pictures and a base to a predictor of numbers or of
//! sets of labels, and its numbers. A linear probe on frozen features.

use std::time::Instant;

use burn::tensor::Device;

use crate::backbone::Base;
use crate::config::{Fit, Tune};
use crate::data::stratify::{label_folds, value_folds};
use crate::data::{Split, Task};
use crate::error::{Error, Problem, Result};
use crate::evaluate::{MultiLabelEvaluation, RegressionEvaluation};
use crate::features::{Extractor, Features, extract};
use crate::head::{LabelOptions, ThresholdRule};
use crate::inductive::fit::{check, open_telling, require_usable};
use crate::inductive::{
    FittedLabels, FittedNumbers, Intake, Means, MeasuredLabels, MeasuredNumbers, NumberOptions, Seconds, fit_labels,
    fit_numbers, measure_labels, measure_numbers,
};
use crate::progress::Observer;

/// Everything that a fit of numbers or sets of labels led to.
#[derive(Debug)]
pub struct FittedTarget {
    /// The settings.
    pub config: Fit,
    /// The base.
    pub base: Base,
    /// The data and its audit.
    pub intake: Intake,
    /// Indices of the training examples in the data set.
    pub train: Vec<usize>,
    /// Fold of each training example.
    pub folds: Vec<usize>,
    /// Length of the base's features.
    pub features: usize,
    /// Why the base is frozen, in words.
    pub reason: String,
    /// The model and what was measured.
    pub outcome: TargetOutcome,
    /// Wall seconds.
    pub seconds: Seconds,
    /// Images per second through the base, where any ran.
    pub images_per_second: f64,
}

/// A model and what was measured of it, by task.
#[derive(Debug)]
pub enum TargetOutcome {
    /// Of numbers.
    Numbers(Box<FittedNumbers>, Vec<HeldOutTarget<MeasuredNumbers>>),
    /// Of sets of labels.
    Labels(Box<FittedLabels>, Vec<HeldOutTarget<MeasuredLabels>>),
}

/// A held-out split, looked at once.
#[derive(Debug)]
pub struct HeldOutTarget<M> {
    /// Which split.
    pub split: Split,
    /// Indices of its examples in the data set.
    pub examples: Vec<usize>,
    /// The model's answers and its numbers.
    pub measured: M,
}

/// What a fit tells as soon as it is known.
#[derive(Debug, Clone, Copy)]
pub enum TargetNews<'a> {
    /// Out-of-fold numbers, in regression.
    Numbers(&'a RegressionEvaluation),
    /// Out-of-fold numbers, in multi-label.
    Labels(&'a MultiLabelEvaluation),
}

/// Fits a new head for numbers or sets of labels to a frozen base, whichever `intake` holds.
///
/// # Errors
/// [`Error::Usage`] where the settings are for single-label alone (a depth other than `auto` and `head`, fine-tuning,
/// balanced classes), or `intake` is; [`Error::Data`] where there is too little to learn from.
pub fn fit_target(
    config: &Fit,
    intake: Intake,
    means: Means<'_>,
    audit_seconds: f64,
    hear: &mut dyn FnMut(TargetNews<'_>),
) -> Result<FittedTarget> {
    let Means { cache, observer, .. } = means;
    let start = Instant::now();
    check(config)?;
    refuse_foreign(config, intake.dataset.task())?;
    let base = open_telling(config, observer)?;
    require_usable(&intake, &base, config, observer)?;
    let train = intake.usable(Split::Train);
    let groups: Vec<usize> = train.iter().map(|&index| intake.audit.groups[index]).collect();
    let extractor = Extractor::to_features(&base, &Device::flex())?;
    let mut seconds = Seconds { audit: audit_seconds, ..Seconds::default() };
    let features_of = |examples: &[usize], seconds: &mut Seconds| -> Result<Features> {
        let extracting = Instant::now();
        let features = extract(&extractor, &intake.pictures(examples), cache, observer)?;
        seconds.features += extracting.elapsed().as_secs_f64();
        Ok(features)
    };
    let features = features_of(&train, &mut seconds)?;
    let reason = reason(config, &base, features.columns);
    observer.say(&format!("depth: {reason}"));

    let training = Instant::now();
    let (mut outcome, folds) = match intake.dataset.task() {
        Task::Regression => {
            let values = intake.values(&train);
            let folds = value_folds(&values, &groups, fold_count(config.folds, &groups, observer), config.seed);
            let level = config.interval_level.unwrap_or(Fit::INTERVAL_LEVEL);
            let options = NumberOptions { level, seed: config.seed, ..NumberOptions::default() };
            let fitted = fit_numbers(&features, &values, &folds, &groups, &options, observer)?;
            hear(TargetNews::Numbers(&fitted.evaluation));
            (TargetOutcome::Numbers(Box::new(fitted), Vec::new()), folds)
        }
        Task::MultiLabel => {
            let (labels, names) = (intake.label_sets(&train), &intake.dataset.classes);
            let most = label_fold_count(config.folds, &labels, names, observer);
            let count = fold_count(most, &groups, observer);
            let folds = label_folds(&labels, names.len(), &groups, count, config.seed);
            let thresholds = config.max_error.map_or(ThresholdRule::F1, ThresholdRule::Error);
            let options = LabelOptions { thresholds, ..LabelOptions::default() };
            let fitted = fit_labels(&features, &labels, names.len(), &folds, &groups, &options, config.seed, observer)?;
            hear(TargetNews::Labels(&fitted.evaluation));
            (TargetOutcome::Labels(Box::new(fitted), Vec::new()), folds)
        }
        Task::SingleLabel => return Err(one_class()),
    };
    seconds.training = training.elapsed().as_secs_f64();

    // Every choice is made. Now, once, what was held out.
    let mut pictures = train.len();
    for split in [Split::Val, Split::Test] {
        let examples = intake.usable(split);
        if examples.is_empty() {
            continue;
        }
        if let Some(why) = unmeasurable(&intake, &examples) {
            observer.say(&format!("the {} split is not measured: {why}", split.name()));
            continue;
        }
        pictures += examples.len();
        let features = features_of(&examples, &mut seconds)?;
        let evaluating = Instant::now();
        let how = format!("the given {} split, looked at once", split.name());
        match &mut outcome {
            TargetOutcome::Numbers(fitted, held_out) => {
                let values = intake.values(&examples);
                let measured = measure_numbers(&fitted.predictor, &features, &values, config.seed, &how)?;
                held_out.push(HeldOutTarget { split, examples, measured });
            }
            TargetOutcome::Labels(fitted, held_out) => {
                let labels = intake.label_sets(&examples);
                let measured = measure_labels(&fitted.predictor, &features, &labels, config.seed, &how)?;
                held_out.push(HeldOutTarget { split, examples, measured });
            }
        }
        seconds.evaluation += evaluating.elapsed().as_secs_f64();
    }
    seconds.total = audit_seconds + start.elapsed().as_secs_f64();
    let images_per_second = pictures as f64 / seconds.features.max(1e-9);
    let (config, columns) = (config.clone(), features.columns);
    Ok(FittedTarget {
        config,
        base,
        train,
        folds,
        features: columns,
        reason,
        outcome,
        seconds,
        images_per_second,
        intake,
    })
}

fn reason(config: &Fit, base: &Base, columns: usize) -> String {
    let solved = format!("a new head is solved on the {columns} features");
    match (base.staged(), config.depth.as_str()) {
        (Err(_), _) => format!("an ONNX model is frozen as a whole: {solved}"),
        (Ok(_), "head") => format!("depth `head` was asked for: every stage is frozen, and {solved}"),
        (Ok(_), _) => format!("only single-label is fine-tuned so far: every stage is frozen, and {solved}"),
    }
}

/// Why a held-out split says nothing; nothing where it does.
fn unmeasurable(intake: &Intake, examples: &[usize]) -> Option<&'static str> {
    let (values, labels) = (intake.values(examples), intake.label_sets(examples));
    match intake.dataset.task() {
        Task::Regression if values.len() < 2 => Some("it has a single number"),
        Task::Regression if values.iter().all(|value| *value == values[0]) => Some("all its numbers are the same"),
        Task::MultiLabel if !labels.contains(&true) => Some("none of its pictures has a label"),
        _ => None,
    }
}

/// As many folds as asked for, but no more than there are groups of pictures: one cannot be cut.
fn fold_count(asked: usize, groups: &[usize], observer: &dyn Observer) -> usize {
    let different = groups.iter().collect::<std::collections::BTreeSet<_>>().len();
    let count = asked.min(different).max(2);
    if count < asked {
        observer.say(&format!("{count} folds instead of {asked}: there are {different} different training pictures"));
    }
    count
}

/// As many folds as asked for, but no more than the rarest label that can be learnt has pictures. `labels` is
/// `[rows, names]`.
fn label_fold_count(asked: usize, labels: &[bool], names: &[String], observer: &dyn Observer) -> usize {
    let positives = |label: usize| labels.iter().skip(label).step_by(names.len()).filter(|has| **has).count();
    // A label of one picture is never answered: it has no say.
    let learnable = (0..names.len()).map(|label| (positives(label), label)).filter(|(count, _)| *count > 1);
    let Some((smallest, label)) = learnable.min() else { return asked };
    let count = asked.min(smallest).max(2);
    if count < asked {
        let name = &names[label];
        observer.say(&format!("{count} folds instead of {asked}: `{name}` has {smallest} training pictures"));
    }
    count
}

/// Refuses settings that mean nothing to a task: none is taken and then not followed.
fn refuse_foreign(config: &Fit, task: Task) -> Result<()> {
    let usual = Fit::default();
    if let Some(level) = config.interval_level.filter(|level| !(*level > 0.0 && *level < 1.0)) {
        let problem = Problem::new("the level of the intervals makes no sense").expected("a number between 0 and 1");
        return Err(Error::Usage(problem.found(level).at("--interval-level")));
    }
    let refuse = |setting: &str, what: &str, hint: &str| -> Result<()> {
        let problem = Problem::new(format_args!("{what}, and the task is {task}")).at(setting);
        Err(Error::Usage(problem.hint(hint)))
    };
    if task != Task::Regression && config.interval_level.is_some() {
        return refuse("--interval-level", "only numbers have prediction intervals", "leave it out");
    }
    if task == Task::Regression && config.max_error.is_some() {
        let hint = "--interval-level says how often intervals are to hold the truth";
        return refuse("--max-error", "a number is never plainly wrong", hint);
    }
    if task == Task::SingleLabel {
        return Ok(());
    }
    let only_single = "only single-label is fine-tuned so far";
    let hint = "leave it out, or say --depth head: the base stays frozen, and a new head is solved on its features";
    if !["auto", "head"].contains(&config.depth.as_str()) {
        return refuse("--depth", only_single, hint);
    }
    if config.only.is_some() {
        return refuse("--only", only_single, hint);
    }
    if config.tune != Tune::default() || config.seeds != usual.seeds || config.budget != usual.budget {
        return refuse("the settings of fine-tuning", only_single, hint);
    }
    if config.balanced {
        return refuse("--balanced", "only single classes are weighed by their frequency", "leave it out");
    }
    Ok(())
}

/// Refuses, where one class is learnt, data and settings of another task.
pub(super) fn refuse_other_task(config: &Fit, intake: &Intake) -> Result<()> {
    refuse_foreign(config, Task::SingleLabel)?;
    let task = intake.dataset.task();
    if task == Task::SingleLabel {
        return Ok(());
    }
    let problem = Problem::new("only single-label is fine-tuned so far").expected("one class for each picture");
    Err(Error::Usage(problem.found(format_args!("{task}: {}", intake.inferred.reason)).at(&intake.dataset.root)))
}

fn one_class() -> Error {
    Error::Usage(Problem::new("pictures of one class each are fitted otherwise").expected("numbers or sets of labels"))
}
