//! One fine-tuning from beginning to end: from the examples at a cut through the stages that learn, to a loss; watched, and
//! tried again at a lower rate where it fails.

use burn::module::Module;
use burn::prelude::*;
use burn::tensor::{Device, TensorData};
use serde::{Deserialize, Serialize};

use crate::bases::{Activation, LoraConfig, Mode, Network, Pass, move_statistics};
use crate::error::{Error, Result};
use crate::features::Features;
use crate::heads::{Head, Linear};
use crate::methods::activations::Activations;
use crate::methods::body::{Body, Tuned};
use crate::methods::depth::hold_out;
use crate::methods::frozen::FrozenPart;
use crate::methods::journal::Journal;
use crate::methods::material::{AtCut, FineTuned, Material};
use crate::methods::mixing::Regularisers;
use crate::methods::plan::Plan;
use crate::methods::task::TuneTask;
use crate::methods::tokens::{TokenReader, train_word_reader};
use crate::progress::{CurvePoint, Observer};
use crate::settings::Start;
use crate::targets::Target;
use crate::train::{Curve, EpochRecord, RateFinding, Settings, find_lr, train};

/// Tries at a training that fails, each at a lower rate.
const ATTEMPTS: usize = 3;
/// The rate of the next try, as a share.
const LOWER: f64 = 0.25;
/// Examples whose answers tell whether a network has collapsed.
const LOOKED_AT: usize = 256;

/// How to fine-tune.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuneSettings {
    /// The loop's settings.
    pub train: Settings,
    /// Where the head begins.
    pub start: Start,
    /// What pulls at answers and features.
    pub regularisers: Regularisers,
    /// Share of the images for which the last residual branch is dropped.
    pub stochastic_depth: f64,
    /// Low-rank factors in place of the weights.
    pub low_rank: Option<LoraConfig>,
    /// Takes the statistics of batch norms after the cut from the target's images before training (AdaBN, Li et al. 2018).
    pub adapt_statistics: bool,
}

/// What is fine-tuned to what.
#[derive(Clone, Copy)]
pub struct Tuning<'a> {
    /// The base and the examples.
    pub material: Material<'a>,
    /// The examples at the plan's cut.
    pub at: &'a AtCut<'a>,
    /// The plan.
    pub plan: &'a Plan,
    /// The base's own features of all examples, for the probe.
    pub features: &'a Features,
    /// Strength of the probe's regularisation.
    pub strength: f64,
    /// The labels.
    pub target: &'a dyn Target,
}

/// A base that was changed, and a head on its features.
#[derive(Debug, Clone)]
pub struct Adapted {
    /// The base with its new weights.
    pub grown: FineTuned,
    /// The head on its features, or on its tokens.
    pub(crate) head: Head,
    /// The learning curve.
    pub curve: Curve,
    /// Failures and what was done about them.
    pub(crate) remarks: Vec<String>,
}

impl Adapted {
    /// The outputs of some examples, [`Target::width`] numbers of each. `at` are the examples at a cut before the first stage
    /// that changed, where there are images.
    ///
    /// # Errors
    /// Examples that cannot be read any more; features that are not finite.
    pub(crate) fn outputs(&self, material: &Material<'_>, at: Option<&AtCut<'_>>, rows: &[usize]) -> Result<Vec<f32>> {
        match (material, &self.grown) {
            (Material::Tokens { set, .. }, FineTuned::Text(base)) => {
                let examples: Vec<_> = rows.iter().map(|&row| set.examples[row]).collect();
                Ok(TokenReader::new(base, set.cutting).outputs(&self.head, &examples)?.concat())
            }
            _ => Ok(self.head.linear().of_features(&self.grown.features(material, at, rows)?)),
        }
    }
}

/// Fine-tunes on the examples `training`; `validation` is measured for the curve (and chooses the weights only where
/// the settings average or wait). The same arguments give the same bits. `name` is the curve's, for whoever watches.
///
/// # Errors
/// If every try fails: the loss is not a number, grows, or all answers become one.
pub fn tune(
    tuning: Tuning<'_>,
    settings: &TuneSettings,
    training: &[usize],
    validation: &[usize],
    journal: (&Journal, &str),
    observer: &dyn Observer,
    name: &str,
) -> Result<Adapted> {
    let mut each = curve_reporter(name, observer);
    let (adapted, remarks) = retrying(settings, observer, &mut |settings, attempt| {
        attempt_at(tuning, settings, training, validation, (journal.0, journal.1, attempt), observer, &mut each)
    })?;
    Ok(Adapted { remarks, ..adapted })
}

/// Tells the observer of a curve that grows.
pub(crate) fn curve_reporter<'a>(name: &'a str, observer: &'a dyn Observer) -> impl FnMut(&EpochRecord, &Curve) + 'a {
    move |_, curve| {
        let points: Vec<CurvePoint> = curve.epochs.iter().map(CurvePoint::from).collect();
        observer.curve(name, &points);
    }
}

/// What a training gave, and what went wrong in it, if anything did.
pub(crate) type Attempt<T> = (T, Option<String>);

/// Tries a training, and again at lower rates while it fails. A failure of the last try is the last remark.
pub(crate) fn retrying<T>(
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

/// The rate with the least loss on a seventh of the examples `training`, learning from the others, and the loss of every one
/// that was tried. `settings_of` says how to train at a rate; `groups` is the group of every
/// example, which are not parted.
///
/// # Errors
/// Interruption; trainings that fail count as an infinite loss.
pub(crate) fn best_rate(
    tuning: Tuning<'_>,
    rates: &[f64],
    settings_of: &dyn Fn(f64) -> TuneSettings,
    training: &[usize],
    groups: &[usize],
    seed: u64,
    observer: &dyn Observer,
) -> Result<(f64, Vec<(f64, f64)>)> {
    let (kept, held) = hold_out(training, &tuning.target.strata(), groups, seed);
    let mut tried = Vec::with_capacity(rates.len());
    let mut best = (f64::INFINITY, rates[0]);
    for &lr in rates {
        let none = (&Journal::none(), "");
        let loss = match tune(tuning, &settings_of(lr), &kept, &held, none, observer, "") {
            Ok(adapted) => {
                let last = adapted.curve.epochs.last().and_then(|epoch| epoch.validation);
                last.map_or(f64::INFINITY, |score| score.loss)
            }
            Err(Error::Training(_)) => f64::INFINITY,
            Err(error) => return Err(error),
        };
        tried.push((lr, loss));
        if loss < best.0 {
            best = (loss, lr);
        }
    }
    Ok((best.1, tried))
}

/// How the loss answers to a rate that grows, from the start that a training would have. Nothing is changed.
///
/// # Errors
/// As [`tune`].
pub fn find_rate(tuning: Tuning<'_>, settings: &TuneSettings, observer: &dyn Observer) -> Result<RateFinding> {
    let training: Vec<usize> = (0..tuning.target.len()).collect();
    let base = tuning.material.body()?;
    let (mut task, model) = prepare(tuning, &base, settings, &training, &[], observer)?;
    find_lr(&mut task, &model, &settings.train, observer)
}

fn attempt_at(
    tuning: Tuning<'_>,
    settings: &TuneSettings,
    training: &[usize],
    validation: &[usize],
    (journal, identity, attempt): (&Journal, &str, usize),
    observer: &dyn Observer,
    each: &mut dyn FnMut(&EpochRecord, &Curve),
) -> Result<Attempt<Adapted>> {
    let mut checkpoints = journal.checkpoints(identity, attempt);
    if let Material::Tokens { base, set, reader: Some(sizes), .. } = tuning.material {
        let settings = (&settings.train, settings.regularisers.dropout);
        let parts = [training, validation];
        let (reader, curve) = train_word_reader(set, sizes, settings, parts, checkpoints.as_mut(), observer, each)?;
        let failure = target_failure(tuning.target, training, &curve);
        let head = Head::Reader(Box::new(reader));
        return Ok((Adapted { grown: FineTuned::Text(base.clone()), head, curve, remarks: Vec::new() }, failure));
    }
    let base = tuning.material.body()?;
    let (mut task, model) = prepare(tuning, &base, settings, training, validation, observer)?;
    let (model, curve) = train(&mut task, model, &settings.train, checkpoints.as_mut(), observer, each)?;
    let model = model.valid();
    let head = model.head.numbers();
    head.check()?;
    // What is looked at first are the weights as they were trained, so that a network that collapsed is not packed.
    let sanity_rows = sanity_rows(training);
    let body = tuning.material.on(&model.body.clone().merged(), &Device::flex())?;
    let grown = FineTuned::of(&tuning.material, body);
    let features = match &tuning.material {
        Material::Images { .. } => {
            Some(tuning.at.features(&model.body, sanity_rows, tuning.material.input(), observer)?)
        }
        Material::Texts { .. } => Some(grown.features(&tuning.material, None, sanity_rows)?),
        // Of tokens the curve alone tells.
        Material::Tokens { .. } => None,
    };
    let outputs = features.map(|features| head.of_features(&features)).unwrap_or_default();
    let failure = task.aims.failure(&outputs, sanity_rows, &curve);
    let head = task.aims.to_user_units(head).into();
    Ok((Adapted { grown, head, curve, remarks: Vec::new() }, failure))
}

/// What the curve of a training tells of its failure.
fn target_failure(target: &dyn Target, training: &[usize], curve: &Curve) -> Option<String> {
    target.aims(training).failure(&[], &[], curve)
}

/// A training before its first step.
fn prepare<'a>(
    tuning: Tuning<'a>,
    base: &'a Body,
    settings: &TuneSettings,
    training: &[usize],
    validation: &[usize],
    observer: &'a dyn Observer,
) -> Result<(TuneTask<'a>, Tuned)> {
    let Tuning { at, plan, target, .. } = tuning;
    let device = Device::flex().autodiff();
    let mut body = tuning.material.on(base, &device)?;
    if let (true, AtCut::Images(activations), Body::Network(network)) = (settings.adapt_statistics, at, &body) {
        body = Body::Network(with_statistics_of(network.clone(), activations, training)?);
    }
    let aims = target.aims(training);
    let head = aims.to_loss_units(start_head(tuning, settings, &body, training, observer)?);
    body = match (body, &tuning.material) {
        (Body::Network(network), _) => Body::Network(network.stochastic_depth(settings.stochastic_depth)),
        (Body::Encoder(encoder), Material::Tokens { .. }) => {
            Body::Encoder(encoder.with_dropout(settings.regularisers.dropout))
        }
        (body, _) => body,
    };
    let mut only = None;
    if let Some(how) = settings.low_rank {
        let (adapted, rules) = body.adapted(how, plan, settings.train.weight_decay)?;
        (body, only) = (adapted, Some(rules));
    }
    let stages = plan.stages.len();
    let is_pulled = settings.regularisers.feature_distance > 0.0;
    let input = tuning.material.input();
    let part = |network: &Network| FrozenPart::new(network, plan.cut()..stages, input);
    let task = TuneTask {
        moved: None,
        all: at,
        base: base.network(),
        input,
        aims,
        train: at.units(training),
        validation: at.units(validation),
        plan,
        only,
        epochs: settings.train.epochs,
        regularisers: settings.regularisers,
        reference: base.network().filter(|_| is_pulled).map(part),
        device: device.clone(),
        observer,
    };
    Ok((task, Tuned::new(body, &head, &device)))
}

/// The head before the first step.
fn start_head(
    tuning: Tuning<'_>,
    settings: &TuneSettings,
    body: &Body,
    training: &[usize],
    observer: &dyn Observer,
) -> Result<Linear> {
    let Tuning { at, features, strength, target, .. } = tuning;
    let solver = match target.solver() {
        Some(solver) if settings.start == Start::Probe => solver,
        _ => {
            let columns = tuning.material.columns(features.columns);
            let head = random_head(target.outputs(), columns, settings.train.seed);
            return Ok(target.aims(training).to_user_units(head));
        }
    };
    if !settings.adapt_statistics {
        return solver.solve(features, training, strength, observer);
    }
    // The features are others than those of the base's own statistics.
    let all: Vec<usize> = (0..target.len()).collect();
    solver.solve(&at.features(body, &all, tuning.material.input(), observer)?, training, strength, observer)
}

/// A head of small normal numbers, each output from a stream of its own.
fn random_head(outputs: usize, columns: usize, seed: u64) -> Linear {
    use rand_distr::{Distribution, StandardNormal};
    let mut stream = crate::rng::rng(seed, "init/head", 0);
    let mut draw = || {
        let value: f64 = StandardNormal.sample(&mut stream);
        value * 0.01
    };
    let weights = (0..outputs * columns).map(|_| draw()).collect();
    Linear { outputs, columns, weights, intercepts: vec![0.0; outputs] }
}

/// The network with the statistics of the target's images in the batch norms after the cut, stage by stage: what a
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

/// How many training examples' answers tell whether a network has collapsed.
pub(crate) fn sanity_rows(training: &[usize]) -> &[usize] {
    &training[..training.len().min(LOOKED_AT)]
}
