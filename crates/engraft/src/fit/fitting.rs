//! The main job: from labelled examples and a base to a predictor, its numbers and its controls. One for every input and
//! target.

use std::time::Instant;

use serde::Serialize;

use crate::bases::text::WordPooler;
use crate::controls::{BaselineResult, ControlData, Scratch, baselines};
use crate::data::Split;
use crate::data::intake::Intake;
use crate::data::text::Text;
use crate::error::{Error, Problem, Result};
use crate::features::Features;
use crate::fit::TextFacts;
use crate::fit::basis::{Basis, Context, Examples, reader_sizes, target_settings};
use crate::fit::columns::ColumnFacts;
use crate::fit::facts::{by_length, explanations, unknown_words};
use crate::fit::forecast::forecasts;
use crate::heads::{Head, Novelty};
use crate::methods::tokens::{Cutting, TokenReader, TokenSet};
use crate::methods::{
    Adapted, Chosen, Depth, DepthSearch, Difference, Fold, Inputs, Measured, Speed, find_rate as find_rate_of,
};
use crate::methods::{AnyBase, Reading};
use crate::metrics::{Forecast, LabelError, Paired};
use crate::settings::Fit;
use crate::targets::{Measures, Predictions, Predictor, Probe, Strength, Suspects, Target, TargetAnswer, target_of};
use crate::train::{Curve, RateFinding};

/// Strength of the probe that a search for a rate starts from.
const RATE_STRENGTH: f64 = 1e-3;

/// Wall seconds of each part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Seconds {
    /// Reading, decoding and auditing.
    pub(crate) audit: f64,
    /// Running the base.
    pub(crate) features: f64,
    /// Cross-validation, the final head, the control.
    pub(crate) training: f64,
    /// Metrics and intervals.
    pub(crate) evaluation: f64,
    /// All of it.
    pub(crate) total: f64,
}

/// A held-out split, looked at once.
#[derive(Debug)]
pub(crate) struct HeldOut {
    /// Which split.
    pub(crate) split: Split,
    /// Indices of its examples in the data set.
    pub(crate) examples: Vec<usize>,
    /// The final model's answers.
    pub(crate) answers: Vec<TargetAnswer>,
    /// What they are worth.
    pub(crate) measures: Measures,
}

/// Everything that a fit led to.
#[derive(Debug)]
pub struct Fitted {
    /// The settings.
    pub(crate) config: Fit,
    /// The base, with what it learnt.
    pub(crate) base: AnyBase,
    /// The data and its audit.
    pub(crate) intake: Intake,
    /// The model.
    pub(crate) predictor: Predictor,
    /// Indices of the training examples in the data set.
    pub(crate) train: Vec<usize>,
    /// Fold of each training example, and the number of folds.
    pub(crate) folds: (Vec<usize>, usize),
    /// The linear probe: what was tried and chosen.
    pub(crate) probe: Probe,
    /// What the linear probe's out-of-fold predictions are worth.
    pub(crate) probe_measures: Measures,
    /// The depths that were measured, and the one that was taken.
    pub(crate) chosen: Chosen,
    /// What the out-of-fold predictions of the depth taken are worth.
    pub(crate) measures: Measures,
    /// The learning curve of the model itself, where a part of the base learnt.
    pub(crate) curve: Option<Curve>,
    /// How the base gives features, and those of the training examples.
    pub(crate) reading: Reading,
    /// `[train, columns]`, by the base as it is now.
    pub(crate) features: Features,
    /// Labels that are probably wrong; indices into the examples that the depth taken was measured on.
    pub(crate) suspects: Suspects,
    /// What more labels would bring to the probe.
    pub(crate) forecasts: Vec<Forecast>,
    /// Held-out splits.
    pub(crate) held_out: Vec<HeldOut>,
    /// From scratch, if it was run, and the transfer against it on the examples that both answered.
    pub(crate) scratch: Option<(Scratch, Paired)>,
    /// The transfer against it on each held-out split.
    pub(crate) scratch_held_out: Vec<(Split, Paired)>,
    /// What one gets without a network.
    pub(crate) baselines: Vec<BaselineResult>,
    /// What is told of texts alone.
    pub(crate) texts: Option<TextFacts>,
    /// What is told of rows of a table alone.
    pub(crate) columns: Option<ColumnFacts>,
    /// What is told of tagged words and questions alone.
    pub(crate) tokens: Option<TokenFacts>,
    /// Wall seconds.
    pub(crate) seconds: Seconds,
    /// Examples per second through the base, where any ran.
    pub(crate) per_second: f64,
}

impl Fitted {
    /// The settings, with what was measured of them.
    pub fn settings(&self) -> &Fit {
        &self.config
    }

    /// The depth that was taken.
    pub(crate) fn taken(&self) -> &Measured {
        &self.chosen.taken
    }

    /// The learning curves of the trainings that began at the base, by name.
    pub fn tuning_curves(&self) -> impl Iterator<Item = (&str, &Curve)> {
        let measured = self.chosen.tried.iter().flat_map(|measured| &measured.curves);
        measured.map(|(name, curve)| (name.as_str(), curve)).chain(self.curve.iter().map(|curve| ("final", curve)))
    }

    /// All learning curves, the controls' too, by name.
    pub(crate) fn curves(&self) -> Vec<(String, Curve)> {
        let mut curves: Vec<_> = self.tuning_curves().map(|(name, curve)| (name.to_owned(), curve.clone())).collect();
        curves.extend(self.scratch.iter().flat_map(|(scratch, _)| scratch.curves.iter().cloned()));
        curves
    }

    /// Whether the transfer helped, in words. It is judged against the same kind of network from scratch, and against
    /// nothing else, where most examples were answered: out of fold, or on a held-out split.
    pub fn verdict(&self) -> String {
        match &self.scratch {
            Some((_, paired)) => {
                paired.most_evidence(self.scratch_held_out.iter().map(|(_, paired)| paired)).verdict.clone()
            }
            None if matches!(self.base, AnyBase::None) => {
                "nothing was transferred: rows of numbers have no pretrained base".into()
            }
            None if self.base.is_tf_idf() => "nothing was transferred: TF-IDF is counted in the training texts".into(),
            None if self.config.control_budget > 0.0 => {
                "not measured: the base has no network that could be trained from scratch".into()
            }
            None => "not measured: the from-scratch control was left out".into(),
        }
    }
}

/// What is told of tagged words and questions alone.
#[derive(Debug, Clone)]
pub(crate) struct TokenFacts {
    /// How long inputs are cut.
    pub(crate) cutting: Cutting,
    /// How word vectors are pooled to tell what is unlike the training data, where the base is that.
    pub(crate) pooler: Option<WordPooler>,
}

/// What a fit tells as soon as it is known.
#[derive(Debug, Clone, Copy)]
pub enum FitEvent<'a> {
    /// What the linear probe's out-of-fold predictions are worth.
    Probe(&'a Measures),
    /// The same of a baseline, by its name.
    Baseline(&'a str, &'a Measures),
    /// What is going to be tried.
    Outlook(&'a str),
    /// A depth was measured, and its gain over the probe.
    Depth(&'a Measured, &'a Difference),
    /// The depth was chosen.
    Chosen(&'a Chosen),
}

/// Fits a base to labelled examples: a linear probe first, then as deep as is asked for, or as the data earns.
///
/// # Errors
/// Settings that the input, base or target does not have, data that nothing can be learnt from, interruption, trainings
/// that all fail.
pub fn fit(
    config: &Fit,
    base: AnyBase,
    intake: Intake,
    means: Context<'_>,
    audit_seconds: f64,
    on_event: &mut dyn FnMut(FitEvent<'_>),
) -> Result<Fitted> {
    let Context { cache, observer, journal } = means;
    let start = Instant::now();
    let mut basis = Basis::new(config, base, &intake, means, true)?;
    let target = &*basis.target;
    let all: Vec<usize> = (0..target.len()).collect();
    let how = format!("{}-fold out-of-fold", basis.count);
    let how_of = |rows: &[usize]| match rows.len() == all.len() {
        true => how.clone(),
        false => format!("{how}, on the folds that were run"),
    };
    let mut seconds = Seconds { audit: audit_seconds, features: start.elapsed().as_secs_f64(), ..Seconds::default() };

    let training = Instant::now();
    journal.enter(&inputs(config, &basis.base.facts().sha256, &intake)?)?;
    let identity = identity(config, &basis.base.facts().sha256, &intake);
    let solved = basis.probe.take();
    let alone = probe_alone(config, &basis);
    let mut examples = None;
    let (probe, measured, token_head) = match solved {
        Some(probe) => {
            let measured = measured_probe(&probe, &basis, training.elapsed().as_secs_f64());
            (probe, measured, None)
        }
        None => {
            let examples = examples.insert(Examples::of(&basis, &intake, observer)?);
            let ground = basis.ground(config, examples, 0.0, means, &identity);
            let (depth, rates) = ground.token_head()?;
            let measured = ground.measure(&depth, basis.run, 1)?;
            let tried = rates.iter().map(|&(value, loss)| Strength { value, loss, accuracy: None }).collect();
            let strength = if let Depth::Head(Some((_, rate))) = depth { rate } else { basis.tuning.settings.train.lr };
            let probe = Probe { tried, strength, calibrated: measured.calibrated.clone() };
            (probe, measured, Some(depth))
        }
    };
    let probe_measures = target.measure(&probe.calibrated.predictions, &measured.rows, &how_of(&measured.rows))?;
    on_event(FitEvent::Probe(&probe_measures));
    let baselines = baselines(&basis.control_data(config, &intake), basis.base.is_tf_idf(), observer)?;
    let mut baseline_measures = Vec::with_capacity(baselines.len());
    for baseline in &baselines {
        let measures = target.measure(baseline.predictions(), &all, &how)?;
        on_event(FitEvent::Baseline(baseline.name(), &measures));
        baseline_measures.push(measures);
    }
    // Images are not decoded where nothing is trained.
    if alone.is_none() && examples.is_none() {
        examples = Some(Examples::of(&basis, &intake, observer)?);
    }
    let mut config = config.clone();
    if let (Some(examples), None, true) = (&examples, &config.speed, chooses(&config)) {
        config.speed = Some(speed(&basis.ground(&config, examples, probe.strength, means, &identity))?.to_string());
    }
    let config = &config;
    let ground = examples.as_ref().map(|examples| basis.ground(config, examples, probe.strength, means, &identity));
    let chosen = match (alone, &ground) {
        (None, Some(ground)) => choose_depth(ground, config, &basis, measured, on_event)?,
        (reason, _) => {
            let reason = reason.unwrap_or_default();
            Chosen::without_choice(vec![measured], None, reason)
        }
    };
    on_event(FitEvent::Chosen(&chosen));
    let adapted = match (chosen.depth.as_ref().or(token_head.as_ref()), &ground) {
        (Some(depth), Some(ground)) => {
            observer.say(&format!("training the model itself on all training {}", intake.unit()));
            let identity = format!("{identity}/final");
            let seed = basis.tuning.settings.train.seed;
            let whole = Fold { training: &all, held: &[], seed, identity: &identity, curve: "final" };
            let at = ground.at(depth)?;
            let adapted = ground.train(depth, at.as_ref(), whole, false)?;
            // A head alone leaves the base, and its features, as they are.
            let changed = !matches!(depth, Depth::Head(_));
            let features = changed.then(|| adapted.grown.features(&ground.material, at.as_ref(), &all)).transpose()?;
            Some((adapted, features))
        }
        _ => None,
    };
    drop(examples);
    let Basis { base, train, groups, target, folds, count, reading, features, coverage, cutting, .. } = basis;
    let (head, curve, base, reading, deeper) = match adapted {
        Some((Adapted { grown, head, curve, .. }, Some(deeper))) => {
            let base = base.with(grown);
            let reading = base.own_reading()?;
            (head.rounded()?, Some(curve), base, reading, Some(deeper))
        }
        Some((Adapted { head, curve, .. }, None)) => (head.rounded()?, Some(curve), base, reading, None),
        None => {
            let solver = target.solver().expect("what is not trained is solved");
            let head = Head::Linear(solver.solve(&features, &all, probe.strength, observer)?.rounded()?);
            (head, None, base, reading, None)
        }
    };
    let strata = target.strata();
    seconds.training = training.elapsed().as_secs_f64();

    let evaluating = Instant::now();
    let taken = &chosen.taken;
    let (predictions, rows) = (&taken.calibrated.predictions, &taken.rows);
    // Features of a base that has seen all labels would forecast too well: these are the probe's.
    let forecasts = match target.solver() {
        Some(solver) => forecasts(&*target, solver, &features, &folds, probe.strength, config.seed, observer)?,
        None => Vec::new(),
    };
    let how = if rows.len() == all.len() { how } else { format!("{how}, on the folds that were run") };
    let measures = target.measure(predictions, rows, &how)?;
    let like = 1.0 - config.unlike_rate;
    let novelty =
        Novelty::fit(deeper.as_ref().unwrap_or(&features), &strata, &groups, reading.metric(), config.seed, like)?;
    let suspects = target.suspects(predictions, rows)?;
    let predictor = Predictor { head, calibration: taken.calibrated.calibration.clone(), novelty };
    seconds.evaluation = evaluating.elapsed().as_secs_f64();

    let control_start = Instant::now();
    let data = ControlData {
        intake: &intake,
        train: &train,
        features: &features,
        target: &*target,
        folds: &folds,
        groups: &groups,
        count,
        seed: config.seed,
        tokens: cutting.map(|cutting| (cutting, reader_sizes(config, &base))),
    };
    let scratch = Scratch::run(&base, &data, config.control_budget, cache, observer)?;
    let scratch = match scratch {
        Some(scratch) => {
            let paired = paired_on_common(&*target, (predictions, rows), (&scratch.predictions, &scratch.rows))?;
            paired.map(|paired| (scratch, paired))
        }
        None => None,
    };
    let mut results = Vec::with_capacity(baselines.len());
    for (baseline, measures) in baselines.iter().zip(baseline_measures) {
        let ours = (predictions, &rows[..]);
        let Some(paired) = paired_on_common(&*target, ours, (baseline.predictions(), &all))? else { continue };
        let (name, how, learns) = (baseline.name(), baseline.how(), baseline.learns());
        results.push(BaselineResult { name, how, learns, measures, paired, held_out: Vec::new() });
    }
    seconds.training += control_start.elapsed().as_secs_f64();

    // Every choice is made. Now, once, what was held out. Features of a network that is nobody else's are not cached.
    let cache = cache.filter(|_| deeper.is_none());
    let token_reader = match (&base, cutting) {
        (AnyBase::Texts(base), Some(cutting)) => Some((base, cutting, TokenReader::new(base, cutting))),
        _ => None,
    };
    let (mut held_out, mut scratch_held_out) = (Vec::new(), Vec::new());
    for split in [Split::Val, Split::Test] {
        let examples = intake.usable(split);
        if examples.is_empty() {
            continue;
        }
        let held_target = target_of(&intake, &examples, &target_settings(config));
        if let Some(why) = held_target.unmeasurable() {
            observer.say(&format!("the {} split is not measured: {why}", split.name()));
            continue;
        }
        let extracting = Instant::now();
        let held_features = reading.features(&intake, &examples, cache, observer)?;
        seconds.features += extracting.elapsed().as_secs_f64();
        for remark in reading.remarks(&intake, &examples)? {
            observer.say(&format!("{}: {remark}", split.name()));
        }
        let evaluating = Instant::now();
        let answers = match &token_reader {
            None => predictor.answers(&held_features),
            Some((base, cutting, reader)) => {
                let set = TokenSet::new(base, &intake, &examples, *cutting)?.expect("there are tokens");
                let outputs = reader.outputs(&predictor.head, &set.examples)?;
                let wide = |row: Vec<f32>| row.into_iter().map(f64::from).collect();
                let answer = |(at, row): (usize, Vec<f32>)| predictor.answer_of(wide(row), held_features.row(at));
                outputs.into_iter().enumerate().map(answer).collect()
            }
        };
        let places: Vec<usize> = (0..examples.len()).collect();
        let how = format!("the given {} split, looked at once", split.name());
        let ours = held_target.collect(&answers);
        let measures = held_target.measure(&ours, &places, &how)?;
        for (baseline, result) in baselines.iter().zip(&mut results) {
            let theirs = baseline.predict(&data, &examples, &held_features)?;
            result.held_out.push((split, held_target.compare(&ours, &theirs, &places)?));
        }
        let theirs = scratch.iter().flat_map(|(scratch, _)| &scratch.held_out);
        for (_, theirs) in theirs.filter(|(of, _)| *of == split) {
            scratch_held_out.push((split, held_target.compare(&ours, theirs, &places)?));
        }
        held_out.push(HeldOut { split, examples, answers, measures });
        seconds.evaluation += evaluating.elapsed().as_secs_f64();
    }
    let telling = Instant::now();
    let columns = reading.encoding().map(|encoding| ColumnFacts::of(encoding, &features, predictor.head.linear()));
    let tokens = cutting.map(|cutting| TokenFacts { cutting, pooler: reading.pooler().cloned() });
    let texts = match (&base, &reading, coverage) {
        (AnyBase::Texts(base), Reading::Texts(extractor, _), Some(coverage)) => {
            let texts = intake.texts_of(&train);
            let mut facts = TextFacts {
                pooler: reading.pooler().cloned(),
                coverage,
                unknown_words: unknown_words(base, &texts),
                lengths: Vec::new(),
                explanations: std::collections::BTreeMap::new(),
            };
            if let (Predictions::Classes(probabilities), Suspects::Classes(suspects)) = (predictions, &suspects) {
                let right: Vec<bool> = taken.calibrated.scores.iter().map(|score| *score > 0.5).collect();
                let truth: Vec<usize> = rows.iter().map(|&at| strata[at]).collect();
                let measured: Vec<&Text> = rows.iter().map(|&at| texts[at]).collect();
                facts.lengths = by_length(&measured, &right);
                let suspects: &[LabelError] = suspects;
                let found = explanations(extractor, &predictor, &texts, (rows, probabilities, &truth), suspects)?;
                facts.explanations = found.into_iter().map(|(at, words)| (train[at], words)).collect();
            }
            Some(facts)
        }
        _ => None,
    };
    seconds.evaluation += telling.elapsed().as_secs_f64();
    seconds.total = audit_seconds + start.elapsed().as_secs_f64();
    let seen = train.len() + held_out.iter().map(|held| held.examples.len()).sum::<usize>();
    Ok(Fitted {
        config: config.clone(),
        base,
        intake,
        predictor,
        train,
        folds: (folds, count),
        probe,
        probe_measures,
        chosen,
        measures,
        curve,
        features: deeper.unwrap_or(features),
        reading,
        suspects,
        forecasts,
        held_out,
        scratch,
        scratch_held_out,
        baselines: results,
        texts,
        columns,
        tokens,
        per_second: seen as f64 / seconds.features.max(1e-9),
        seconds,
    })
}

/// How the loss of a fine-tuning answers to a rate that grows; at depth `auto` that of `last`. Nothing is kept.
///
/// # Errors
/// As [`fit`]; a base or depth that is not trained by steps at a rate of its own.
pub fn find_rate(config: &Fit, base: AnyBase, intake: &Intake, means: Context<'_>) -> Result<RateFinding> {
    let observer = means.observer;
    if let Some(why) = base.frozen_whole() {
        let problem = Problem::new("there is no rate to find").found(why).at("--find-lr");
        return Err(Error::Usage(problem.expected("a base with stages")));
    }
    let basis = Basis::new(config, base, intake, means, false)?;
    let examples = Examples::of(&basis, intake, observer)?;
    // Of the probe's usual strengths one in the middle: the search changes the head in every step.
    let ground = basis.ground(config, &examples, RATE_STRENGTH, means, "");
    let (name, only) = match (&config.only, config.depth.as_str()) {
        (Some(stage), _) => (stage.as_str(), true),
        (None, "auto" | "head") => ("last", false),
        (None, depth) => (depth, false),
    };
    let Depth::Cut(planned) = ground.depth(name, only)? else {
        let problem = Problem::new("a learning rate is searched for a training from a cut alone").found(name);
        return Err(Error::Usage(
            problem.expected("a base with stages, and last, half, all or a stage").at("--find-lr"),
        ));
    };
    let at = ground.material.at(planned.plan.cut(), observer)?;
    find_rate_of(ground.tuning(&planned.plan, &at), &basis.tuning.settings, observer)
}

/// The linear probe as one of the depths.
fn measured_probe(probe: &Probe, basis: &Basis, seconds: f64) -> Measured {
    Measured {
        depth: "head".into(),
        cut: basis.base.last_stage(),
        plan: "head, solved".into(),
        seeds: 1,
        rows: (0..basis.target.len()).collect(),
        scores: probe.calibrated.scores.clone(),
        calibrated: probe.calibrated.clone(),
        cost: 0.0,
        seconds,
        curves: Vec::new(),
        remarks: Vec::new(),
    }
}

/// Why nothing is tried but the linear probe; nothing where something is.
fn probe_alone(config: &Fit, basis: &Basis) -> Option<String> {
    let frozen = basis.base.frozen_whole().map(str::to_owned);
    match config.depth.as_str() {
        _ if config.only.is_some() => None,
        "auto" => frozen,
        "head" => frozen.or_else(|| {
            let columns = basis.features.columns;
            Some(match basis.cutting {
                Some(_) => "depth `head` was asked for: every stage is frozen, and a new head is trained on tokens".into(),
                None => format!(
                    "depth `head` was asked for: every stage is frozen, and a new head is solved on the {columns} features"
                ),
            })
        }),
        _ => None,
    }
}

/// Whether the depth is chosen, rather than asked for.
fn chooses(config: &Fit) -> bool {
    config.depth == "auto" && config.only.is_none()
}

/// The speed of this machine, as it was measured where this work began.
fn speed(ground: &DepthSearch<'_>) -> Result<Speed> {
    let (journal, identity) = ground.journal;
    let name = format!("{identity}/speed");
    if let Some(speed) = journal.finished::<String>(&name) {
        return speed.parse();
    }
    let speed = ground.speed()?;
    journal.finish(&name, &speed.to_string())?;
    ground.observer.say(&format!(
        "the base trains at {speed} x 10^12 MACs per second here: what the budget pays for is counted by that"
    ));
    Ok(speed)
}

fn choose_depth(
    ground: &DepthSearch<'_>,
    config: &Fit,
    basis: &Basis,
    probe: Measured,
    on_event: &mut dyn FnMut(FitEvent<'_>),
) -> Result<Chosen> {
    let tuning = &basis.tuning;
    if chooses(config) {
        on_event(FitEvent::Outlook(&ground.outlook(&tuning.budget)?));
        let speed = config.speed.as_deref().expect("it was measured before").parse()?;
        return ground.choose(probe, &tuning.budget, &speed, &mut |measured, gain| {
            on_event(FitEvent::Depth(measured, gain));
        });
    }
    let (name, only) = match &config.only {
        Some(stage) => (stage.as_str(), true),
        None => (config.depth.as_str(), false),
    };
    let depth = ground.depth(name, only)?;
    let measured = ground.measure(&depth, ground.protocol.run, ground.protocol.seeds)?;
    on_event(FitEvent::Depth(&measured, &measured.gain_over(&probe)));
    let reason = format!("depth `{}` was asked for: {}", depth.label(), measured.plan);
    Ok(Chosen::without_choice(vec![probe, measured], Some(depth), reason))
}

/// The one's predictions against the other's, on the examples that both answered; nothing where there is none.
fn paired_on_common(
    target: &dyn Target,
    (ours, our_rows): (&Predictions, &[usize]),
    (theirs, their_rows): (&Predictions, &[usize]),
) -> Result<Option<Paired>> {
    let common: Vec<usize> = our_rows.iter().copied().filter(|row| their_rows.binary_search(row).is_ok()).collect();
    if common.is_empty() {
        return Ok(None);
    }
    let of = |predictions: &Predictions, rows: &[usize]| {
        let places: Vec<usize> = common.iter().filter_map(|row| rows.binary_search(row).ok()).collect();
        predictions.select(&places, rows.len())
    };
    target.compare(&of(ours, our_rows), &of(theirs, their_rows), &common).map(Some)
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
fn settings_text(config: &Fit) -> Result<String> {
    toml::to_string(config)
        .map_err(|source| Error::Usage(Problem::new("the settings cannot be written as TOML").found(source)))
}

/// Everything that decides what a training gives.
fn identity(config: &Fit, base: &str, intake: &Intake) -> String {
    let description = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "config": Fit { data: std::path::PathBuf::new(), ..config.clone() },
        "base": base,
        "data": intake.fingerprint(),
    });
    crate::files::sha256_hex(description.to_string().as_bytes())
}

#[cfg(test)]
#[path = "token_fit_tests.rs"]
mod token_tests;
