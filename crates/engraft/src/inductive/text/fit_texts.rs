//! The main job for texts: from labelled texts and a base to a classifier, its numbers and its controls.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::backbone::text::{TextBase, TextBody, WordPooler, WordPooling};
use crate::config::{Fit, Input, Tune};
use crate::data::Split;
use crate::data::split::stratified_folds;
use crate::data::text::{Text, spans};
use crate::error::{Error, Problem, Result};
use crate::evaluate::{
    Evaluation, Forecast, LabelError, Paired, Predictions, evaluate, label_errors, paired_difference,
};
use crate::features::{Coverage, Features, TextExtractor};
use crate::head::{AnswerRule, ClassWeights, CrossValidation, Novelty, Options, cross_validate, fit as fit_head};
use crate::inductive::fit::{LIKE, Means, Seconds, check, fold_count, settings_text};
use crate::inductive::forecast::{Probe, forecasts};
use crate::inductive::text::choice::{TextChosen, TextGround, gain, whole};
use crate::inductive::text::explain::{WordWeight, explain};
use crate::inductive::text::intake::TextIntake;
use crate::inductive::text::scratch::ScratchTexts;
use crate::inductive::text::tf_idf::TfIdfControl;
use crate::inductive::text::tune::GrownBase;
use crate::inductive::tuning::{Difference, Inputs, Measured, Protocol, Tuning, cut_of};
use crate::inductive::{Answer, Predictor};
use crate::train::Curve;

/// Mistakes and suspected labels whose words are weighed.
const EXPLAINED: usize = 12;
/// Parts that texts are divided into by their length.
const LENGTHS: usize = 4;
/// Words that the base does not know which are named.
const NAMED: usize = 20;

/// A held-out split of texts, looked at once.
#[derive(Debug)]
pub struct HeldOutTexts {
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
    /// Its right answers against those of words counted.
    pub against_tf_idf: Paired,
}

/// How right answers go with the length of texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LengthBin {
    /// Words of the shortest text.
    pub from: usize,
    /// Words of the longest.
    pub to: usize,
    /// Texts.
    pub count: usize,
    /// Those that were answered rightly out of fold.
    pub correct: usize,
}

/// Everything that a fit to texts led to.
#[derive(Debug)]
pub struct FittedTexts {
    /// The settings.
    pub config: Fit,
    /// The base, with what it learnt.
    pub base: Arc<TextBase>,
    /// How word vectors are pooled, where the base is that.
    pub pooler: Option<WordPooler>,
    /// The data and its audit.
    pub intake: TextIntake,
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
    pub chosen: TextChosen,
    /// Training examples, by their places in `train`, that the depth taken was measured on.
    pub rows: Vec<usize>,
    /// Their out-of-fold probabilities, `[rows, classes]`.
    pub out_of_fold: Vec<f32>,
    /// Their numbers.
    pub evaluation: Evaluation,
    /// The learning curve of the model itself, where a part of the base learnt.
    pub curve: Option<Curve>,
    /// Training examples whose label is probably wrong; indices into `rows`.
    pub label_errors: Vec<LabelError>,
    /// What more labels would bring to the probe.
    pub forecasts: Vec<Forecast>,
    /// Held-out splits.
    pub held_out: Vec<HeldOutTexts>,
    /// Words counted.
    pub tf_idf: TfIdfControl,
    /// The transfer against words counted, on the same texts.
    pub against_tf_idf: Paired,
    /// A small encoder from scratch, if it was run.
    pub scratch: Option<ScratchTexts>,
    /// The transfer against it, on the texts that both answered.
    pub against_scratch: Option<Paired>,
    /// What of the training texts the base does not see.
    pub coverage: Coverage,
    /// Words that the base does not know, with how many times they stand in the training texts, the most frequent first.
    pub unknown_words: Vec<(String, usize)>,
    /// How right answers go with length.
    pub lengths: Vec<LengthBin>,
    /// What words gave to the wrong answers and suspected labels that a report shows, by the example's index.
    pub explanations: BTreeMap<usize, Vec<WordWeight>>,
    /// Wall seconds.
    pub seconds: Seconds,
    /// Texts per second through the base, where any ran.
    pub texts_per_second: f64,
}

impl FittedTexts {
    /// The learning curves of the trainings that began at the base, by name.
    pub fn tuning_curves(&self) -> impl Iterator<Item = (&str, &Curve)> {
        let measured = self.chosen.tried.iter().flat_map(|(measured, _)| &measured.curves);
        measured.map(|(name, curve)| (name.as_str(), curve)).chain(self.curve.iter().map(|curve| ("final", curve)))
    }
}

/// What a fit to texts tells as soon as it is known.
#[derive(Debug, Clone, Copy)]
pub enum TextNews<'a> {
    /// The linear probe's out-of-fold numbers.
    Probe(&'a Evaluation),
    /// Those of words counted.
    TfIdf(&'a Evaluation),
    /// A depth was measured, and its gain over the probe.
    Depth(&'a Measured, &'a Difference),
    /// The depth was chosen.
    Chosen(&'a TextChosen),
}

/// Fits a base to labelled texts: words counted and a linear probe first, then as deep as is asked for, or as the data
/// earns.
///
/// # Errors
/// Settings that mean nothing to texts, texts that nothing can be learnt from, interruption, trainings that all fail.
pub fn fit_texts(
    config: &Fit,
    base: TextBase,
    intake: TextIntake,
    means: Means<'_>,
    audit_seconds: f64,
    hear: &mut dyn FnMut(TextNews<'_>),
) -> Result<FittedTexts> {
    let Means { cache, observer, journal } = means;
    let start = Instant::now();
    check(config)?;
    refuse_for_texts(config)?;
    refuse_unknown_depth(&config.depth, &base)?;
    base.remarks.iter().for_each(|remark| observer.say(remark));
    let base = Arc::new(base);
    intake.require_usable(config.strict)?;
    let classes = intake.dataset.classes.len();
    let train = intake.usable(Split::Train);
    let tuning = Tuning::of(&with_passes(config, train.len()), false)?;
    let labels = intake.labels(&train);
    let groups: Vec<usize> = train.iter().map(|&index| intake.audit.groups[index]).collect();
    let count = fold_count(config.folds, &labels, classes, "texts", observer);
    let folds = stratified_folds(&labels, &groups, count, config.seed);
    let texts = intake.texts(&train);
    let class_weights = if config.balanced { ClassWeights::Balanced } else { ClassWeights::None };
    let options = Options { class_weights: class_weights.clone(), ..Options::default() };
    let how = format!("{count}-fold out-of-fold");

    let digests = intake.digests_of(&train);
    let Start { extractor, features, validation } = start_of(&base, config, &texts, &digests, means, &|features| {
        cross_validate(features, &labels, &folds, classes, &options, observer)
    })?;
    let coverage = extractor.coverage(&texts)?;
    if coverage.truncated > 0 {
        observer.say(&format!(
            "{} of {} texts are longer than what the base takes: {} of {} tokens at their ends are not read",
            coverage.truncated, coverage.texts, coverage.cut, coverage.tokens
        ));
    }
    let mut seconds = Seconds { audit: audit_seconds, features: start.elapsed().as_secs_f64(), ..Seconds::default() };

    let training = Instant::now();
    let probe = evaluate(&validation.out_of_fold, &labels, classes, config.seed, &how)?;
    hear(TextNews::Probe(&probe));
    let tf_idf = TfIdfControl::run(&texts, &labels, &folds, classes, config.seed, observer)?;
    hear(TextNews::TfIdf(&tf_idf.evaluation));
    let measured = measured_probe(&validation, &labels, training.elapsed().as_secs_f64())?;
    let mut inputs = Inputs::new(&settings_text(config)?, &base.sha256);
    for (example, digest) in intake.dataset.examples.iter().zip(&intake.digests) {
        let class = &intake.dataset.classes[example.label];
        inputs.example(&example.name, [class.as_str(), example.split.name(), digest.as_str()]);
    }
    journal.enter(&inputs)?;
    let identity = identity(config, &base, &intake);
    let ground = TextGround {
        base: &base,
        texts: &texts,
        labels: &labels,
        classes,
        features: &features,
        strength: validation.chosen_c,
        protocol: Protocol { folds: &folds, count, seeds: config.seeds },
        settings: &tuning.settings,
        spread: tuning.spread,
        pairs: config.tune.pairs,
        tokens: ((coverage.tokens - coverage.cut) / texts.len().max(1)).max(2),
        journal: (journal, &identity),
        observer,
    };
    let chosen = choose_depth(&ground, config, &tuning, measured, features.columns, hear)?;
    hear(TextNews::Chosen(&chosen));
    let (taken, rows) = chosen.tried[chosen.chosen].clone();
    let grown: Option<GrownBase> = match &chosen.depth {
        None => None,
        Some(depth) => {
            let all: Vec<usize> = (0..texts.len()).collect();
            observer.say("training the model itself on all training texts");
            let identity = format!("{identity}/final");
            Some(ground.train(depth, whole(&all, tuning.settings.train.seed, &identity), false)?)
        }
    };
    let (head, curve, extractor, features, base) = match grown {
        Some(GrownBase { base, head, curve, .. }) => {
            let extractor = TextExtractor::new(&base).uncached();
            let features = extractor.extract(&texts, &digests, None, observer)?;
            (head, Some(curve), extractor, features, base)
        }
        None => {
            let mut head = fit_head(&features, &labels, classes, validation.chosen_c, &class_weights, observer)?;
            Predictor::round(&mut head)?;
            (head, None, extractor, features, base)
        }
    };
    seconds.training = training.elapsed().as_secs_f64();

    let evaluating = Instant::now();
    let probed = Probe {
        features: &features,
        labels: &labels,
        folds: &folds,
        classes,
        strength: validation.chosen_c,
        weights: &class_weights,
    };
    // Features of a base that has seen all labels would forecast too well.
    let forecasts = if curve.is_none() { forecasts(&probed, config.seed, observer)? } else { Vec::new() };
    let truth: Vec<usize> = rows.iter().map(|&at| labels[at]).collect();
    let how = match rows.len() == labels.len() {
        true => how,
        false => format!("{how}, on the folds that were run"),
    };
    let out_of_fold = taken.out_of_fold.clone();
    let evaluation = evaluate(&out_of_fold, &truth, classes, config.seed, &how)?;
    let predictions = Predictions::new(&out_of_fold, &truth, classes)?;
    let correct = predictions.correct();
    let rule = AnswerRule::choose(&predictions.confidences(), &correct, config.max_error.unwrap_or(Fit::MAX_ERROR))?;
    let novelty = Novelty::fit(&features, &labels, &groups, config.seed, LIKE)?;
    let label_errors = label_errors(&out_of_fold, &truth, classes)?;
    let predictor = Predictor { head, temperature: f64::from(taken.temperature as f32), rule, novelty };
    let against_tf_idf = tf_idf.against(&correct, &rows)?;
    let lengths = by_length(&rows.iter().map(|&at| texts[at]).collect::<Vec<_>>(), &correct);
    seconds.evaluation = evaluating.elapsed().as_secs_f64();

    let control_start = Instant::now();
    let scratch = match config.control_budget > 0.0 {
        true => {
            let budget = config.control_budget;
            ScratchTexts::run(&base, &texts, &labels, (&folds, count), classes, budget, config.seed, observer)?
        }
        false => None,
    };
    let against_scratch = match &scratch {
        Some(scratch) => paired_on_common((&rows, &correct), (&scratch.rows, &scratch.correct))?,
        None => None,
    };
    seconds.training += control_start.elapsed().as_secs_f64();

    // Every choice is made. Now, once, what was held out.
    let cache = cache.filter(|_| curve.is_none());
    let mut held_out = Vec::new();
    for split in [Split::Val, Split::Test] {
        let examples = intake.usable(split);
        if examples.is_empty() {
            continue;
        }
        let texts = intake.texts(&examples);
        let extracting = Instant::now();
        let features = extractor.extract(&texts, &intake.digests_of(&examples), cache, observer)?;
        seconds.features += extracting.elapsed().as_secs_f64();
        let evaluating = Instant::now();
        let labels = intake.labels(&examples);
        let answers: Vec<Answer> = (0..features.rows).map(|row| predictor.answer(features.row(row))).collect();
        let probabilities: Vec<f32> = answers.iter().flat_map(|answer| answer.probabilities.iter().copied()).collect();
        let how = format!("the given {} split, looked at once", split.name());
        let evaluation = evaluate(&probabilities, &labels, classes, config.seed, &how)?;
        let right: Vec<bool> = answers.iter().zip(&labels).map(|(answer, label)| answer.class == *label).collect();
        let against_tf_idf = paired_difference(&right, &tf_idf.answers_right(&texts, &labels))?;
        held_out.push(HeldOutTexts { split, examples, labels, answers, evaluation, against_tf_idf });
        seconds.evaluation += evaluating.elapsed().as_secs_f64();
    }
    let explaining = Instant::now();
    let explanations = explanations(&extractor, &predictor, &texts, (&rows, &out_of_fold, &truth), &label_errors)?;
    let explanations = explanations.into_iter().map(|(at, words)| (train[at], words)).collect();
    let unknown_words = unknown_words(&base, &texts);
    seconds.evaluation += explaining.elapsed().as_secs_f64();
    seconds.total = audit_seconds + start.elapsed().as_secs_f64();
    let seen = train.len() + held_out.iter().map(|held| held.examples.len()).sum::<usize>();
    let pooler = extractor.pooler().cloned();
    drop(texts);
    Ok(FittedTexts {
        config: config.clone(),
        base,
        pooler,
        intake,
        predictor,
        train,
        folds,
        validation,
        probe,
        chosen,
        rows,
        out_of_fold,
        evaluation,
        curve,
        label_errors,
        forecasts,
        held_out,
        tf_idf,
        against_tf_idf,
        scratch,
        against_scratch,
        coverage,
        unknown_words,
        lengths,
        explanations,
        texts_per_second: seen as f64 / seconds.features.max(1e-9),
        seconds,
    })
}

/// The probe's features and what cross-validation says of them.
struct Start {
    extractor: TextExtractor,
    features: Features,
    validation: CrossValidation,
}

/// Features by the base; of word vectors by the way of pooling whose probe has the least out-of-fold log-loss.
fn start_of(
    base: &Arc<TextBase>,
    config: &Fit,
    texts: &[&Text],
    digests: &[String],
    means: Means<'_>,
    validate: &dyn Fn(&Features) -> Result<CrossValidation>,
) -> Result<Start> {
    let poolings: Vec<Option<WordPooling>> = match &base.body {
        TextBody::Words(_) => WordPooling::ALL.into_iter().map(Some).collect(),
        _ => vec![None],
    };
    let asked = config.pooling.as_deref().map(str::parse::<WordPooling>).transpose()?;
    let mut best: Option<(f64, Start)> = None;
    for pooling in poolings.into_iter().filter(|pooling| asked.is_none() || *pooling == asked) {
        let pooler = match (&base.body, pooling) {
            (TextBody::Words(vectors), Some(pooling)) => Some(vectors.pooler(texts, pooling)),
            _ => None,
        };
        let pairs = texts.iter().any(|text| text.second.is_some());
        let extractor = TextExtractor::new(base).with_pooler(pooler, pairs);
        let features = extractor.extract(texts, digests, means.cache, means.observer)?;
        let validation = validate(&features)?;
        let loss = validation.tried.iter().map(|tried| tried.log_loss).fold(f64::INFINITY, f64::min);
        if let Some(pooling) = pooling {
            means.observer.say(&format!("word vectors pooled by {pooling}: out-of-fold log-loss {loss:.4}"));
        }
        if best.as_ref().is_none_or(|(least, _)| loss < *least) {
            best = Some((loss, Start { extractor, features, validation }));
        }
    }
    best.map(|(_, start)| start).ok_or_else(|| {
        let problem = Problem::new("only word vectors are pooled in ways to choose from").found(&base.architecture);
        Error::Usage(problem.expected("no --pooling"))
    })
}

/// Says before any work that a depth is none of the base's.
fn refuse_unknown_depth(depth: &str, base: &TextBase) -> Result<()> {
    match &base.body {
        TextBody::Encoder(_) if ["auto", "head", "contrastive"].contains(&depth) => Ok(()),
        // Which stages there are does not depend on how long the texts are.
        TextBody::Encoder(sentence) => cut_of(depth, &sentence.encoder, &sentence.encoder.costs(2)).map(|_| ()),
        TextBody::Lstm(_) if !["auto", "head", "all"].contains(&depth) => {
            let problem = Problem::new("a language model is retrained as a whole, by its own recipe").found(depth);
            let known = ["head", "all", "auto"];
            Err(Error::Usage(problem.expected("head, all or auto").at("--depth").suggest(depth, known)))
        }
        TextBody::Words(_) if !["auto", "head"].contains(&depth) => {
            let problem = Problem::new("word vectors have no stages that could be retrained").found(depth);
            Err(Error::Usage(problem.expected("head or auto").at("--depth").suggest(depth, ["head", "auto"])))
        }
        TextBody::Lstm(_) | TextBody::Words(_) => Ok(()),
    }
}

fn choose_depth(
    ground: &TextGround<'_>,
    config: &Fit,
    tuning: &Tuning,
    probe: Measured,
    columns: usize,
    hear: &mut dyn FnMut(TextNews<'_>),
) -> Result<TextChosen> {
    let all: Vec<usize> = (0..ground.labels.len()).collect();
    let words = matches!(ground.base.body, TextBody::Words(_));
    match config.depth.as_str() {
        "auto" if !words => {
            ground.choose(probe, &tuning.budget, &mut |measured, gain| hear(TextNews::Depth(measured, gain)))
        }
        "auto" | "head" => {
            let reason = match words {
                true => format!("word vectors have no stages to retrain: a head is solved on {columns} features"),
                false => format!(
                    "depth `head` was asked for: every stage is frozen, and a new head is solved on the {columns} features"
                ),
            };
            Ok(TextChosen { tried: vec![(probe, all)], chosen: 0, depth: None, reason, left_out: Vec::new() })
        }
        name => {
            let depth = ground.depth(name)?;
            let (measured, rows) = ground.measure(&depth, ground.protocol.count, ground.protocol.seeds)?;
            hear(TextNews::Depth(&measured, &gain(&measured, &rows, &probe)));
            let reason = format!("depth `{}` was asked for: {}", depth.label(), measured.plan);
            let tried = vec![(probe, all), (measured, rows)];
            Ok(TextChosen { tried, chosen: 1, depth: Some(depth), reason, left_out: Vec::new() })
        }
    }
}

/// The linear probe as one of the depths.
fn measured_probe(validation: &CrossValidation, labels: &[usize], seconds: f64) -> Result<Measured> {
    let right = Predictions::new(&validation.out_of_fold, labels, validation.classes)?.correct();
    Ok(Measured {
        depth: "head".into(),
        cut: "pool".into(),
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

/// Steps of a training on few texts, as passes allow.
const STEPS: usize = 200;

/// The settings with the usual number of passes over so many texts, where they leave it open.
fn with_passes(config: &Fit, texts: usize) -> Fit {
    let mut config = config.clone();
    if config.tune.epochs == 0 {
        let steps = texts.div_ceil((config.tune.batch_size * config.tune.accumulate).max(1)).max(1);
        config.tune.epochs = (STEPS.div_ceil(steps) as u64).clamp(4, 25);
    }
    config
}

/// Refuses settings that mean nothing to texts: an option is never accepted and ignored.
fn refuse_for_texts(config: &Fit) -> Result<()> {
    let usual = Tune::default();
    let tune = &config.tune;
    let set = [
        ("--only", config.only.is_some()),
        ("--channels", config.channels.is_some()),
        ("--image-size", config.image_size.is_some()),
        ("--input-size and what goes with it", config.input != Input::default()),
        ("--card", config.card.is_some()),
        ("--onnx-output", config.onnx_output.is_some()),
        ("--path-column", config.path_column.is_some()),
        ("--interval-level", config.interval_level.is_some()),
        ("--exact", config.exact),
        ("--batch-norm", tune.batch_norm != usual.batch_norm),
        ("--feature-distance", tune.feature_distance != 0.0),
        ("--stochastic-depth", tune.stochastic_depth != 0.0),
        ("--mixup", tune.mixup != 0.0),
        ("--cutmix", tune.cutmix != 0.0),
        ("--augment", tune.augment != usual.augment),
        ("--views", tune.views != usual.views),
    ];
    let given: Vec<&str> = set.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
    match given.as_slice() {
        [] => Ok(()),
        given => {
            let problem = Problem::new("these settings are about pictures, and this data is texts");
            Err(Error::Usage(problem.found(given.join(", ")).hint("leave them out")))
        }
    }
}

/// Everything that decides what a training gives.
fn identity(config: &Fit, base: &TextBase, intake: &TextIntake) -> String {
    let description = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "config": Fit { data: std::path::PathBuf::new(), ..config.clone() },
        "base": base.sha256,
        "data": intake.fingerprint(),
    });
    crate::files::sha256_hex(description.to_string().as_bytes())
}

/// The one's right answers against the other's, on the examples that both answered; nothing where there is none.
fn paired_on_common(ours: (&[usize], &[bool]), its: (&[usize], &[bool])) -> Result<Option<Paired>> {
    let of = |(rows, right): (&[usize], &[bool]), at: usize| rows.binary_search(&at).ok().map(|place| right[place]);
    let both: (Vec<bool>, Vec<bool>) = ours.0.iter().filter_map(|&at| Some((of(ours, at)?, of(its, at)?))).unzip();
    if both.0.is_empty() { Ok(None) } else { paired_difference(&both.0, &both.1).map(Some) }
}

/// Right answers by the number of words, in parts of about as many texts each.
fn by_length(texts: &[&Text], correct: &[bool]) -> Vec<LengthBin> {
    let length =
        |text: &Text| spans(&text.first).count() + text.second.as_deref().map_or(0, |second| spans(second).count());
    let mut sorted: Vec<(usize, bool)> = texts.iter().map(|text| length(text)).zip(correct.iter().copied()).collect();
    sorted.sort_unstable();
    let mut bins: Vec<LengthBin> = Vec::new();
    for part in sorted.chunks(sorted.len().div_ceil(LENGTHS).max(1)) {
        let (Some((from, _)), Some((to, _))) = (part.first(), part.last()) else { continue };
        let right = part.iter().filter(|(_, right)| *right).count();
        bins.push(LengthBin { from: *from, to: *to, count: part.len(), correct: right });
    }
    bins
}

/// Words of the texts that the base's vocabulary does not have whole.
fn unknown_words(base: &TextBase, texts: &[&Text]) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for text in texts {
        for part in [Some(text.first.as_str()), text.second.as_deref()].into_iter().flatten() {
            for (_, word) in spans(part).filter(|(_, word)| word.chars().any(char::is_alphabetic)) {
                *counts.entry(word.to_lowercase()).or_default() += 1;
            }
        }
    }
    let mut unknown: Vec<(String, usize)> = counts.into_iter().filter(|(word, _)| !base.knows(word)).collect();
    unknown.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    unknown.truncate(NAMED);
    unknown
}

/// What words gave to the surest wrong answers, and to the classes that suspected labels probably are; by their place
/// among the training texts. It is the final model that is asked.
fn explanations(
    extractor: &TextExtractor,
    predictor: &Predictor,
    texts: &[&Text],
    (rows, out_of_fold, truth): (&[usize], &[f32], &[usize]),
    suspected: &[LabelError],
) -> Result<BTreeMap<usize, Vec<WordWeight>>> {
    let classes = predictor.head.classes;
    let mut wrong: Vec<(usize, usize, f32)> = (out_of_fold.chunks_exact(classes).zip(truth).enumerate())
        .map(|(place, (row, &label))| (place, crate::train::argmax(row), label, row))
        .filter(|(_, answer, label, _)| answer != label)
        .map(|(place, answer, _, row)| (place, answer, row[answer]))
        .collect();
    wrong.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
    let asked = wrong.iter().take(EXPLAINED).map(|(place, answer, _)| (*place, *answer));
    let asked = asked.chain(suspected.iter().take(EXPLAINED).map(|error| (error.index, error.suggested)));
    let mut explained = BTreeMap::new();
    for (place, class) in asked {
        let at = rows[place];
        if let Entry::Vacant(entry) = explained.entry(at) {
            entry.insert(explain(extractor, predictor, texts[at], class)?);
        }
    }
    Ok(explained)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_texts_are_passed_over_more_often() {
        let passes = |texts: usize| with_passes(&Fit::for_texts(), texts).tune.epochs;
        assert_eq!([0, 16, 128, 320, 800, 9000].map(passes), [25, 25, 25, 10, 4, 4]);
        let mut asked = Fit::for_texts();
        asked.tune.epochs = 3;
        assert_eq!(with_passes(&asked, 16).tune.epochs, 3);
    }
}
