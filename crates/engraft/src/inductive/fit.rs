//! The main job: from labelled pictures and a base to a classifier, its numbers and its controls.

use std::time::Instant;

use burn::tensor::Device;
use serde::Serialize;

use crate::backbone::{Base, BaseSpec, Body, open};
use crate::config::Fit;
use crate::data::Split;
use crate::data::enlargement::Enlargement;
use crate::data::image::Limits;
use crate::data::split::stratified_folds;
use crate::error::{Error, Problem, Result};
use crate::evaluate::{
    Evaluation, Forecast, LabelError, Paired, Predictions, evaluate, label_errors, paired_difference,
};
use crate::features::{Cache, Extractor, Features, extract};
use crate::head::{AnswerRule, ClassWeights, CrossValidation, Novelty, Options, cross_validate, fit as fit_head};
use crate::inductive::control::{Control, ControlData, ControlPlan};
use crate::inductive::fit_targets::refuse_other_task;
use crate::inductive::forecast::{Probe, forecasts};
use crate::inductive::tuning::{
    Chosen, Difference, FineTuned, Ground, Inputs, Journal, Measured, Plan, Protocol, Shown, Tuning, cut_of,
    features_of, find_rate as find_rate_of, hold_out, tune,
};
use crate::inductive::{Answer, Intake, Predictor};
use crate::progress::Observer;
use crate::train::{Curve, Pictures, RateFinding};
use rayon::prelude::*;

/// Strength of the probe that a search for a rate starts from.
const RATE_STRENGTH: f64 = 1e-3;
/// Share of the training data that counts as like itself.
pub(super) const LIKE: f64 = 0.99;

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
    /// The linear probe: what was tried and chosen.
    pub validation: CrossValidation,
    /// The linear probe's out-of-fold numbers.
    pub probe: Evaluation,
    /// The depths that were measured, and the one that was taken.
    pub chosen: Chosen,
    /// Out-of-fold probabilities `[train, classes]` at the depth that was taken.
    pub out_of_fold: Vec<f32>,
    /// Out-of-fold numbers at the depth that was taken.
    pub evaluation: Evaluation,
    /// The learning curve of the model itself, where a part of the base learnt.
    pub curve: Option<Curve>,
    /// Training examples whose label is probably wrong; indices into `train`.
    pub label_errors: Vec<LabelError>,
    /// What more labels would bring to the probe.
    pub forecasts: Vec<Forecast>,
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

/// What a fit works with.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    /// Where features are kept.
    pub cache: Option<&'a Cache>,
    /// Where what is finished is kept, to go on from after a stop.
    pub journal: &'a Journal,
    /// Hears of the work.
    pub observer: &'a dyn Observer,
}

/// What a fit tells as soon as it is known.
#[derive(Debug, Clone, Copy)]
pub enum News<'a> {
    /// The linear probe's out-of-fold numbers.
    Probe(&'a Evaluation),
    /// A depth was measured, and its gain over the probe.
    Depth(&'a Measured, &'a Difference),
    /// The depth was chosen.
    Chosen(&'a Chosen),
}

/// Fits a base to labelled pictures: a linear probe first, then as deep as is asked for, or as the data earns.
pub fn fit(
    config: &Fit,
    intake: Intake,
    means: Means<'_>,
    audit_seconds: f64,
    hear: &mut dyn FnMut(News<'_>),
) -> Result<Fitted> {
    let Means { cache, observer, .. } = means;
    let start = Instant::now();
    let basis = Basis::new(config, &intake, means)?;
    let (folds_count, classes) = (basis.fold_count, basis.classes);
    let mut seconds = Seconds { audit: audit_seconds, features: start.elapsed().as_secs_f64(), ..Seconds::default() };

    let training = Instant::now();
    let class_weights = if config.balanced { ClassWeights::Balanced } else { ClassWeights::None };
    let options = Options { class_weights: class_weights.clone(), ..Options::default() };
    let validation = cross_validate(&basis.features, &basis.labels, &basis.folds, classes, &options, observer)?;
    let how = format!("{folds_count}-fold out-of-fold");
    let probe = evaluate(&validation.out_of_fold, &basis.labels, classes, config.seed, &how)?;
    hear(News::Probe(&probe));
    let measured = measured_probe(&validation, &basis.labels, &probe, training.elapsed().as_secs_f64(), &basis.base)?;

    means.journal.enter(&inputs(config, &basis.base.sha256, &intake)?)?;
    let identity = identity(config, &basis.base, &intake);
    let mut deepened = None;
    let chosen = if (config.depth == "head" && config.only.is_none()) || basis.base.staged().is_err() {
        let reason = match basis.base.staged() {
            Ok(_) => format!(
                "depth `head` was asked for: every stage is frozen, and a new head is solved on the {} features",
                basis.features.columns
            ),
            Err(_) => "an ONNX model is frozen as a whole: a new head is solved on its features".into(),
        };
        Chosen { tried: vec![measured], chosen: 0, plan: None, reason, left_out: Vec::new() }
    } else {
        let (pictures, digests) = shown(&basis.base, &intake, &basis.train, observer)?;
        let shown = Shown { pictures: &pictures, digests: &digests };
        let ground = basis.ground(shown, validation.chosen_c, means, &identity, config.seeds);
        let chosen = choose_depth(&ground, config, &basis.tuning, measured, hear)?;
        if let Some(planned) = &chosen.plan {
            deepened = Some(deepen(&ground, &planned.plan)?);
        }
        chosen
    };
    hear(News::Chosen(&chosen));
    let Basis { mut base, train, labels, groups, folds, extractor, features, .. } = basis;
    let taken = &chosen.tried[chosen.chosen];
    let (out_of_fold, temperature) = (taken.out_of_fold.clone(), taken.temperature);
    let (head, curve, deeper_features) = match deepened {
        Some((tuned, deeper_features)) => {
            if let Body::Stages(built) = &mut base.body {
                built.network = tuned.network;
            }
            (tuned.head, Some(tuned.curve), Some(deeper_features))
        }
        None => {
            let mut head = fit_head(&features, &labels, classes, validation.chosen_c, &class_weights, observer)?;
            Predictor::round(&mut head)?;
            (head, None, None)
        }
    };
    seconds.training = training.elapsed().as_secs_f64();

    let evaluating = Instant::now();
    let strength = validation.chosen_c;
    let weights = &class_weights;
    let probed = Probe { features: &features, labels: &labels, folds: &folds, classes, strength, weights };
    let forecasts = forecasts(&probed, config.seed, observer)?;
    let evaluation = evaluate(&out_of_fold, &labels, classes, config.seed, &how)?;
    let predictions = Predictions::new(&out_of_fold, &labels, classes)?;
    let correct = predictions.correct();
    let rule = AnswerRule::choose(&predictions.confidences(), &correct, config.max_error.unwrap_or(Fit::MAX_ERROR))?;
    let novelty = Novelty::fit(deeper_features.as_ref().unwrap_or(&features), &labels, &groups, config.seed, LIKE)?;
    let suspected = label_errors(&out_of_fold, &labels, classes)?;
    // Rounded as it is stored: what was evaluated is what will answer.
    let predictor = Predictor { head, temperature: f64::from(temperature as f32), rule, novelty };
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

    // Every choice is made. Now, once, what was held out. Features of a network that is nobody else's are not cached.
    let extractor = if curve.is_some() { Extractor::to_features(&base, &Device::flex())? } else { extractor };
    let cache = cache.filter(|_| curve.is_none());
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
        probe,
        chosen,
        out_of_fold,
        evaluation,
        curve,
        label_errors: suspected,
        forecasts,
        held_out,
        control,
        paired,
        seconds,
        images_per_second,
    })
}

/// What every fit begins with: the base, the pictures' labels and folds, and their features.
struct Basis {
    base: Base,
    tuning: Tuning,
    train: Vec<usize>,
    labels: Vec<usize>,
    groups: Vec<usize>,
    folds: Vec<usize>,
    fold_count: usize,
    classes: usize,
    extractor: Extractor,
    features: Features,
}

impl Basis {
    fn new(config: &Fit, intake: &Intake, means: Means<'_>) -> Result<Self> {
        check(config)?;
        refuse_other_task(config, intake)?;
        let Means { cache, observer, .. } = means;
        let base = open_telling(config, observer)?;
        let tuning = Tuning::of(config, base.card.preprocessing.channels == 3)?;
        refuse_unknown_depth(config, &base)?;
        require_usable(intake, &base, config, observer)?;
        let classes = intake.dataset.classes.len();
        let train = intake.usable(Split::Train);
        let labels = intake.labels(&train);
        let groups: Vec<usize> = train.iter().map(|&index| intake.audit.groups[index]).collect();
        let fold_count = fold_count(config.folds, &labels, classes, "pictures", observer);
        let folds = stratified_folds(&labels, &groups, fold_count, config.seed);
        let extractor = Extractor::to_features(&base, &Device::flex())?;
        let features = extract(&extractor, &intake.pictures(&train), cache, observer)?;
        Ok(Self { base, tuning, train, labels, groups, folds, fold_count, classes, extractor, features })
    }

    /// What depths are measured with. `strength`: that of the probe; `identity`: what decides every training.
    fn ground<'a>(
        &'a self,
        shown: Shown<'a>,
        strength: f64,
        means: Means<'a>,
        identity: &'a str,
        seeds: usize,
    ) -> Ground<'a> {
        Ground {
            base: &self.base,
            shown,
            labels: &self.labels,
            classes: self.classes,
            features: &self.features,
            strength,
            protocol: Protocol { folds: &self.folds, count: self.fold_count, seeds },
            settings: &self.tuning.settings,
            spread: self.tuning.spread,
            views: &self.tuning.views,
            cache: means.cache,
            journal: (means.journal, identity),
            observer: means.observer,
        }
    }
}

/// Opens the base that the settings name, and says what there is to say of it.
pub(super) fn open_telling(config: &Fit, observer: &dyn Observer) -> Result<Base> {
    let base = open(&BaseSpec::from(config), &Device::flex())?;
    for remark in &base.remarks {
        observer.say(remark);
    }
    Ok(base)
}

/// Refuses data that nothing can be learnt from, and says where a base has to enlarge its pictures.
pub(super) fn require_usable(intake: &Intake, base: &Base, config: &Fit, observer: &dyn Observer) -> Result<()> {
    intake.require_usable(config.strict)?;
    if let Some(remark) = Enlargement::of(&intake.inspections, &base.card.preprocessing).remark() {
        observer.say(&remark);
    }
    Ok(())
}

/// The pictures of examples, prepared for a base, and the SHA-256 of each.
fn shown(base: &Base, intake: &Intake, which: &[usize], observer: &dyn Observer) -> Result<(Pictures, Vec<String>)> {
    let (paths, digests) = intake.pictures(which).into_iter().unzip();
    Ok((Pictures::new(paths, base.card.preprocessing.clone(), Limits::default(), observer)?, digests))
}

/// How the loss of a fine-tuning answers to a rate that grows; at depth `auto` that of `last`. Nothing is kept.
pub fn find_rate(config: &Fit, intake: &Intake, means: Means<'_>) -> Result<RateFinding> {
    let observer = means.observer;
    let basis = Basis::new(config, intake, means)?;
    let (pictures, digests) = shown(&basis.base, intake, &basis.train, observer)?;
    // Of the probe's usual strengths one in the middle: the search changes the head in every step.
    let shown = Shown { pictures: &pictures, digests: &digests };
    let ground = basis.ground(shown, RATE_STRENGTH, means, "", config.seeds);
    let (name, only) = match (&config.only, config.depth.as_str()) {
        (Some(stage), _) => (stage.as_str(), true),
        (None, "auto" | "head") => ("last", false),
        (None, depth) => (depth, false),
    };
    let planned = ground.planned(name, only)?;
    let activations = ground.activations(&planned.plan)?;
    find_rate_of(ground.target(&planned.plan, &activations), &basis.tuning.settings, observer)
}

impl Fitted {
    /// The learning curves of the trainings that began at the base, by name.
    pub fn tuning_curves(&self) -> impl Iterator<Item = (&str, &Curve)> {
        let measured = self.chosen.tried.iter().flat_map(|measured| &measured.curves);
        measured.map(|(name, curve)| (name.as_str(), curve)).chain(self.curve.iter().map(|curve| ("final", curve)))
    }
}

/// The linear probe as one of the depths.
fn measured_probe(
    validation: &CrossValidation,
    labels: &[usize],
    probe: &Evaluation,
    seconds: f64,
    base: &Base,
) -> Result<Measured> {
    let right = Predictions::new(&validation.out_of_fold, labels, validation.classes)?.correct();
    debug_assert_eq!(right.iter().filter(|right| **right).count() as f64 / right.len() as f64, probe.accuracy.mean);
    Ok(Measured {
        depth: "head".into(),
        cut: base.stages().last().cloned().unwrap_or_default(),
        plan: "head, solved".into(),
        seeds: 1,
        correct: right.into_iter().map(|right| f64::from(u8::from(right))).collect(),
        out_of_fold: validation.out_of_fold.clone(),
        temperature: validation.temperature,
        cost: 0.0,
        seconds,
        curves: Vec::new(),
        remarks: Vec::new(),
    })
}

fn choose_depth(
    ground: &Ground<'_>,
    config: &Fit,
    tuning: &Tuning,
    probe: Measured,
    hear: &mut dyn FnMut(News<'_>),
) -> Result<Chosen> {
    if config.depth == "auto" && config.only.is_none() {
        return ground.choose(probe, &tuning.budget, |measured, gain| hear(News::Depth(measured, gain)));
    }
    let (name, only) = match &config.only {
        Some(stage) => (stage.as_str(), true),
        None => (config.depth.as_str(), false),
    };
    let planned = ground.planned(name, only)?;
    let measured = ground.measure(&planned)?;
    hear(News::Depth(&measured, &Difference::of(&measured.correct, &probe.correct)));
    let reason = format!("depth `{}` was asked for: {}", planned.depth.label, planned.plan.describe());
    Ok(Chosen { tried: vec![probe, measured], chosen: 1, plan: Some(planned), reason, left_out: Vec::new() })
}

/// Trains the model itself, on all training pictures, and gives their features by it.
fn deepen(ground: &Ground<'_>, plan: &Plan) -> Result<(FineTuned, Features)> {
    let activations = ground.activations(plan)?;
    let target = ground.target(plan, &activations);
    let all: Vec<usize> = (0..ground.labels.len()).collect();
    let (journal, identity) = ground.journal;
    let settings = ground.settings;
    let chooses = settings.train.patience.is_some() || settings.train.average > 0;
    let (training, validation) = match chooses {
        true => hold_out(&all, ground.labels, settings.train.seed),
        false => (all.clone(), Vec::new()),
    };
    let observer = ground.observer;
    observer.begin("training the model", settings.train.epochs * training.len() as u64, "images");
    let identity = format!("{identity}/final");
    let tuned = tune(target, settings, &training, &validation, (journal, &identity), observer, "final")?;
    observer.end();
    let features = features_of(&tuned, target, &all)?;
    Ok((tuned, features))
}

/// Says before any work that a depth is none of the base's.
fn refuse_unknown_depth(config: &Fit, base: &Base) -> Result<()> {
    let Ok(built) = base.staged() else {
        if config.only.is_some() || !["auto", "head"].contains(&config.depth.as_str()) {
            return Err(base.staged().expect_err("it has no stages"));
        }
        return Ok(());
    };
    let costs = base.costs();
    for name in config.only.iter().chain(Some(&config.depth)).filter(|name| !["auto", "head"].contains(&name.as_str()))
    {
        cut_of(name, &built.network, &costs)?;
    }
    Ok(())
}

/// What the fit depends on, for going on with it after a stop.
fn inputs(config: &Fit, base: &str, intake: &Intake) -> Result<Inputs> {
    let mut inputs = Inputs::new(&settings_text(config)?, base);
    for (index, (example, digest)) in intake.dataset.examples.iter().zip(&intake.digests).enumerate() {
        let target = intake.dataset.target_text(index);
        inputs.example(&example.name, [target.as_ref(), example.split.name(), digest.as_str()]);
    }
    Ok(inputs)
}

/// The settings as `run.toml` has them.
pub(super) fn settings_text(config: &Fit) -> Result<String> {
    toml::to_string(config)
        .map_err(|source| Error::Usage(Problem::new("the settings cannot be written as TOML").found(source)))
}

/// Everything that decides what a training gives.
fn identity(config: &Fit, base: &Base, intake: &Intake) -> String {
    let description = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "config": Fit { data: std::path::PathBuf::new(), ..config.clone() },
        "base": base.sha256,
        "data": intake.fingerprint(),
    });
    crate::files::sha256_hex(description.to_string().as_bytes())
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

pub(super) fn check(config: &Fit) -> Result<()> {
    if config.folds < 2 {
        let problem = Problem::new("cross-validation needs folds").expected("at least 2").found(config.folds);
        return Err(Error::Usage(problem.at("--folds")));
    }
    if let Some(max_error) = config.max_error.filter(|rate| !(*rate > 0.0 && *rate < 1.0)) {
        let problem = Problem::new("the error rate makes no sense").expected("a number between 0 and 1");
        return Err(Error::Usage(problem.found(max_error).at("--max-error")));
    }
    if !(config.control_budget >= 0.0 && config.control_budget.is_finite()) {
        let problem = Problem::new("the control's budget makes no sense").expected("0 or a positive number");
        return Err(Error::Usage(problem.found(config.control_budget).at("--control-budget")));
    }
    Ok(())
}

/// As many folds as asked for, but no more than the smallest class has examples.
pub(super) fn fold_count(asked: usize, labels: &[usize], classes: usize, unit: &str, observer: &dyn Observer) -> usize {
    let smallest = (0..classes).map(|class| labels.iter().filter(|label| **label == class).count()).min().unwrap_or(0);
    let count = asked.min(smallest).max(2);
    if count < asked {
        observer.say(&format!("{count} folds instead of {asked}: the smallest class has {smallest} training {unit}"));
    }
    count
}
