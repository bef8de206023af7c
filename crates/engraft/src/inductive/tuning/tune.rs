//! One fine-tuning from beginning to end: a start, a training that is watched, and another try where it fails.

use burn::module::Module;
use burn::prelude::*;
use burn::tensor::{Device, TensorData};
use engraft_weights::{Precision, Weights};
use serde::{Deserialize, Serialize};

use crate::backbone::{Activation, Adaptation, Base, Mode, Network, Pass, move_statistics};
use crate::error::{Error, Problem, Result};
use crate::features::Features;
use crate::head::{ClassWeights, LogisticRegression, fit as fit_head};
use crate::inductive::tuning::activations::Activations;
use crate::inductive::tuning::frozen::FrozenPart;
use crate::inductive::tuning::journal::Journal;
use crate::inductive::tuning::plan::Plan;
use crate::inductive::tuning::task::{Regularisers, TuneTask, Tuned, logits_of, score};
use crate::progress::{CurvePoint, Observer};
use crate::train::{Curve, EpochRecord, RateFinding, Rule, Rules, Settings, argmax, axes_of, find_lr, train};

/// Tries at a training that fails, each at a lower rate.
const ATTEMPTS: usize = 3;
/// The rate of the next try, as a share.
const LOWER: f64 = 0.25;
/// Pictures whose answers tell whether a network has collapsed.
const LOOKED_AT: usize = 256;

/// Where the head begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// At the solved linear probe: LP-FT (Kumar et al. 2022).
    #[default]
    Probe,
    /// At small random numbers.
    Random,
}

/// How to fine-tune.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuneSettings {
    /// The loop's settings.
    pub train: Settings,
    /// Where the head begins.
    pub start: Start,
    /// What pulls at answers and features.
    pub regularisers: Regularisers,
    /// Share of the pictures for which the last residual branch is dropped.
    pub stochastic_depth: f64,
    /// Low-rank factors in place of the weights.
    pub low_rank: Option<Adaptation>,
    /// Takes the statistics of batch norms after the cut from the target's pictures before training (AdaBN, Li et al. 2018).
    pub adapt_statistics: bool,
    /// Weighs classes by the inverse of their frequency.
    pub balanced: bool,
}

/// What is fine-tuned to what.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The base.
    pub base: &'a Base,
    /// The plan.
    pub plan: &'a Plan,
    /// The pictures at the plan's cut.
    pub activations: &'a Activations<'a>,
    /// The base's own features of all pictures, for the probe.
    pub features: &'a Features,
    /// Strength of the probe's regularisation.
    pub strength: f64,
    /// Label of every picture.
    pub labels: &'a [usize],
    /// Number of classes.
    pub classes: usize,
}

/// A fine-tuned network.
#[derive(Debug, Clone)]
pub struct FineTuned {
    /// The whole network, for evaluation.
    pub network: Network,
    /// The head on its features.
    pub head: LogisticRegression,
    /// The learning curve.
    pub curve: Curve,
    /// Failures and what was done about them.
    pub remarks: Vec<String>,
}

/// Fine-tunes on the pictures `training`; `validation` is measured for the curve (and chooses the weights only where
/// the settings average or wait). The same arguments give the same bits. `name` is the curve's, for whoever watches.
///
/// # Errors
/// If every try fails: the loss is no number, grows, or all answers become one.
pub fn tune(
    target: Target<'_>,
    settings: &TuneSettings,
    training: &[usize],
    validation: &[usize],
    journal: (&Journal, &str),
    observer: &dyn Observer,
    name: &str,
) -> Result<FineTuned> {
    let mut each = telling(name, observer);
    let (tuned, remarks) = retrying(settings, observer, &mut |settings, attempt| {
        attempt_at(target, settings, training, validation, journal, attempt, observer, &mut each)
    })?;
    Ok(FineTuned { remarks, ..tuned })
}

/// Tells the observer of a curve that grows.
pub(in crate::inductive) fn telling<'a>(
    name: &'a str,
    observer: &'a dyn Observer,
) -> impl FnMut(&EpochRecord, &Curve) + 'a {
    move |_, curve| {
        let points: Vec<CurvePoint> = curve.epochs.iter().map(CurvePoint::from).collect();
        observer.curve(name, &points);
    }
}

/// What a training gave, and what went wrong in it, if anything did.
pub(in crate::inductive) type Attempt<T> = (T, Option<String>);

/// Tries a training, and again at lower rates while it fails. A failure of the last try is the last remark.
pub(in crate::inductive) fn retrying<T>(
    settings: &TuneSettings,
    observer: &dyn Observer,
    attempt_at: &mut dyn FnMut(&TuneSettings, usize) -> Result<Attempt<T>>,
) -> Result<(T, Vec<String>)> {
    let mut remarks = Vec::new();
    for attempt in 0..ATTEMPTS {
        let lr = settings.train.lr * LOWER.powi(attempt as i32);
        let settings = TuneSettings { train: Settings { lr, ..settings.train.clone() }, ..settings.clone() };
        let failure = match attempt_at(&settings, attempt) {
            Ok((tuned, Some(failure))) if attempt + 1 == ATTEMPTS => {
                remarks.push(failure);
                return Ok((tuned, remarks));
            }
            Ok((_, Some(failure))) => failure,
            Ok((tuned, None)) => return Ok((tuned, remarks)),
            Err(Error::Training(problem)) if attempt + 1 < ATTEMPTS => problem.to_string().replace("\n  ", "; "),
            Err(error) => return Err(error),
        };
        let remark =
            format!("training failed at a rate of {lr:.1e} and is tried again at {:.1e}: {failure}", lr * LOWER);
        observer.say(&remark);
        remarks.push(remark);
    }
    unreachable!("the last attempt returns")
}

/// How the loss answers to a rate that grows, from the start that a training would have. Nothing is changed.
pub fn find_rate(target: Target<'_>, settings: &TuneSettings, observer: &dyn Observer) -> Result<RateFinding> {
    let training: Vec<usize> = (0..target.labels.len()).collect();
    let (mut task, model) = prepare(target, settings, &training, &[], observer)?;
    find_lr(&mut task, &model, &settings.train, observer)
}

#[expect(clippy::too_many_arguments, reason = "one call, which `tune` repeats with another rate")]
fn attempt_at(
    target: Target<'_>,
    settings: &TuneSettings,
    training: &[usize],
    validation: &[usize],
    (journal, identity): (&Journal, &str),
    attempt: usize,
    observer: &dyn Observer,
    each: &mut dyn FnMut(&EpochRecord, &Curve),
) -> Result<(FineTuned, Option<String>)> {
    let Target { base, activations, labels, .. } = target;
    let (mut task, model) = prepare(target, settings, training, validation, observer)?;
    let mut checkpoints = journal.checkpoints(identity, attempt);
    let (model, curve) = train(&mut task, model, &settings.train, checkpoints.as_mut(), observer, each)?;
    let model = model.valid();
    let failure = failure_of(&model, activations, training, labels, &curve, base.input())?;
    let head = model.head();
    head.check()?;
    let merged = model.network.merged();
    let built = base.staged()?;
    let weights = Weights { tensors: built.manifest.export(&merged, Precision::F32), ..Weights::default() };
    let network = Network::from_weights(&base.card, &weights, &Device::flex())?.network.exact(base.exact);
    Ok((FineTuned { network, head, curve, remarks: Vec::new() }, failure))
}

/// A training before its first step.
fn prepare<'a>(
    target: Target<'a>,
    settings: &TuneSettings,
    training: &[usize],
    validation: &[usize],
    observer: &'a dyn Observer,
) -> Result<(TuneTask<'a>, Tuned)> {
    let Target { base, plan, activations, labels, classes, .. } = target;
    let device = Device::flex().autodiff();
    let built = base.staged()?;
    let weights = Weights { tensors: built.manifest.export(&built.network, Precision::F32), ..Weights::default() };
    let mut network = Network::from_weights(&base.card, &weights, &device)?.network.exact(base.exact);
    if settings.adapt_statistics {
        network = with_statistics_of(network, activations, training)?;
    }
    let head = start_head(target, settings, &network, training, observer)?;
    network = network.stochastic_depth(settings.stochastic_depth);
    let mut only = None;
    if let Some(how) = settings.low_rank {
        let before = axes_of(&network);
        network = network.adapted(|stage| plan.stages[stage].learns.is_some(), how);
        let rule = Rule { rate: 1.0, weight_decay: settings.train.weight_decay, anchor: 0.0 };
        let new = axes_of(&network).into_keys().filter(|id| !before.contains_key(id));
        let rules = Rules(new.map(|id| (id, rule)).collect());
        if rules.0.is_empty() {
            return Err(Error::Usage(
                Problem::new("there is nothing that low-rank factors could learn in place of")
                    .expected("linear layers or convolutions of one pixel in the stages that learn")
                    .found(plan.describe())
                    .hint("choose a deeper --depth, or leave out --lora"),
            ));
        }
        only = Some(rules);
    }
    let stages = plan.stages.len();
    let is_pulled = settings.regularisers.feature_distance > 0.0;
    let task = TuneTask {
        moved: None,
        all: activations,
        base: &built.network,
        input: base.input(),
        labels,
        class_weights: class_weights(labels, training, classes, settings.balanced),
        train: training.to_vec(),
        validation: validation.to_vec(),
        plan,
        only,
        epochs: settings.train.epochs,
        regularisers: settings.regularisers,
        reference: is_pulled.then(|| FrozenPart::new(&built.network, activations.cut()..stages, base.input())),
        device: device.clone(),
        observer,
    };
    Ok((task, Tuned::new(network, &head, &device)))
}

/// The head before the first step.
fn start_head(
    target: Target<'_>,
    settings: &TuneSettings,
    network: &Network,
    training: &[usize],
    observer: &dyn Observer,
) -> Result<LogisticRegression> {
    let Target { base, activations, features, strength, labels, classes, .. } = target;
    if settings.start == Start::Random {
        return Ok(random_head(classes, features.columns, settings.train.seed));
    }
    let chosen = match settings.adapt_statistics {
        // The features are others than those of the base's own statistics.
        true => activations.features(network, training, base.input())?,
        false => features.select(training),
    };
    let labels: Vec<usize> = training.iter().map(|&picture| labels[picture]).collect();
    let weights = if settings.balanced { ClassWeights::Balanced } else { ClassWeights::None };
    fit_head(&chosen, &labels, classes, strength, &weights, observer)
}

/// A head of small normal numbers, each output from a stream of its own.
pub(in crate::inductive) fn random_head(classes: usize, columns: usize, seed: u64) -> LogisticRegression {
    use rand_distr::{Distribution, StandardNormal};
    let mut stream = crate::rng::rng(seed, "init/head", 0);
    let mut draw = || {
        let value: f64 = StandardNormal.sample(&mut stream);
        value * 0.01
    };
    let weights = (0..classes * columns).map(|_| draw()).collect();
    LogisticRegression { classes, columns, weights, intercepts: vec![0.0; classes] }
}

/// The weight of an example of each class: 1 for all, or such that every class counts as much as any other.
pub(in crate::inductive) fn class_weights(
    labels: &[usize],
    training: &[usize],
    classes: usize,
    balanced: bool,
) -> Vec<f32> {
    let mut counts = vec![0usize; classes];
    training.iter().for_each(|&picture| counts[labels[picture]] += 1);
    let weight = |count: usize| training.len() as f32 / (classes * count.max(1)) as f32;
    counts.into_iter().map(|count| if balanced { weight(count) } else { 1.0 }).collect()
}

/// The network with the statistics of the target's pictures in the batch norms after the cut, stage by stage: what a
/// norm sees comes out of norms that have theirs already.
fn with_statistics_of(mut network: Network, activations: &Activations<'_>, training: &[usize]) -> Result<Network> {
    let stages = network.stages().len();
    for stage in activations.cut()..stages {
        let mut seen = Vec::new();
        for batch in training.chunks(32).filter(|batch| batch.len() > 1 || training.len() == 1) {
            let rows = activations.rows(batch, None)?;
            let columns = rows.len() / batch.len();
            let rows = Tensor::<2>::from_data(TensorData::new(rows, [batch.len(), columns]), &Device::flex());
            let x = Activation::from_rows(rows, activations.shapes());
            let pass = Pass::default();
            let plain = network.valid();
            let mode = |at: usize| if at == stage { Mode::Train(&pass) } else { Mode::Frozen };
            let _ = plain.forward_each(x, activations.cut()..stage + 1, mode);
            seen.push(pass.into_statistics());
        }
        network = move_statistics(network, &seen, 1.0);
    }
    Ok(network)
}

/// What went wrong in a training that came to its end, if anything did.
fn failure_of(
    model: &Tuned,
    activations: &Activations<'_>,
    training: &[usize],
    labels: &[usize],
    curve: &Curve,
    input: [usize; 2],
) -> Result<Option<String>> {
    let looked_at = looked_at(training);
    let logits = logits_of(&model.head(), &activations.features(&model.network, looked_at, input)?);
    let truth: Vec<usize> = looked_at.iter().map(|&picture| labels[picture]).collect();
    Ok(failure_in(&logits, &truth, curve))
}

/// How many training examples' answers tell whether a network has collapsed.
pub(in crate::inductive) fn looked_at(training: &[usize]) -> &[usize] {
    &training[..training.len().min(LOOKED_AT)]
}

/// What went wrong in a training, by its logits for examples that it was trained on, and its curve.
pub(in crate::inductive) fn failure_in(logits: &[f32], truth: &[usize], curve: &Curve) -> Option<String> {
    let classes = logits.len() / truth.len().max(1);
    if !logits.iter().all(|z| z.is_finite()) {
        return Some("the answers are not numbers".into());
    }
    let answers: Vec<usize> = logits.chunks_exact(classes).map(argmax).collect();
    let several = truth.iter().any(|label| *label != truth[0]);
    let now = score(logits, truth, classes);
    if several && answers.iter().all(|answer| *answer == answers[0]) {
        return Some("the network collapsed: it gives one answer to all of its training examples".into());
    }
    let chance = (classes as f64).ln();
    let first = curve.epochs.first().map_or(f64::INFINITY, |epoch| epoch.train.loss);
    let last = curve.epochs.last().map_or(0.0, |epoch| epoch.train.loss);
    let grew = last > 1.5 * first && last > chance;
    (grew || now.loss > 2.0 * chance)
        .then(|| format!("the training diverged: its loss went from {first:.2} to {last:.2}, chance is {chance:.2}"))
}
