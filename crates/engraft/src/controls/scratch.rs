//! The from-scratch control: what would a network of the base's kind give from random weights, on the same data? The same
//! for every input and target: the largest network that the budget can train on all folds, at the best of three learning
//! rates.

use std::sync::Arc;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::bases::text::{
    EncoderConfig, SentenceEncoder, SentenceLayout, TextBase, TextBody, TextEncoder, WordVectors,
};
use crate::bases::{Architecture, Base, Body, Card, Network, Statistics};
use crate::controls::ControlData;
use crate::data::Split;
use crate::data::augment::Augment;
use crate::data::colour::DECODING;
use crate::data::image::Limits;
use crate::error::Result;
use crate::features::{Cache, Features};
use crate::files::sha256_hex;
use crate::methods::AnyBase;
use crate::methods::tokens::{TokenReader, TokenSet};
use crate::methods::{
    Adapted, Change, Journal, KeyedImages, Learners, Material, Plan, Quiet, Regularisers, STEP_COST, Spread,
    TuneSettings, Tuning, Views, best_rate, enough_folds, tune,
};
use crate::progress::Observer;
use crate::rng::{permutation, rng};
use crate::settings::{Optimiser, Start};
use crate::targets::{Calibrated, FoldOutputs, Measures, Predictions};
use crate::train::{Curve, Settings, TrainingImages};

/// Where finished controls are kept in the cache.
const KIND: &str = "controls";
/// Fewer epochs than this, and a smaller network is taken, or fewer folds as long as they hold enough examples.
const ENOUGH_EPOCHS: u64 = 20;
/// More epochs than this are not worth their time.
const MOST_EPOCHS: u64 = 40;
/// Epochs of each try of a rate, as a share of those of a training.
const TRIED_EPOCHS: u64 = 3;
/// Shorter side of the smallest images of the base's own network, and of a small one in its place.
const SMALLEST_INPUT: usize = 48;
const SMALLEST_STAND_IN: usize = 32;
/// Blocks of the encoders of texts, which are more than is learnt from few texts, and by how much they are narrower than the
/// base; from the largest to the smallest.
const SMALL_ENCODERS: [(usize, usize); 4] = [(2, 1), (1, 1), (1, 2), (1, 4)];
/// Tokens of a text that it reads.
const TOKENS: usize = 64;

/// Words of a usual paragraph.
const WORDS: f64 = 150.0;
/// Share of the numbers that the training of a reader on word vectors drops (Chen et al. 2017, section 5.2: 0.3 to 0.4).
const READER_DROPOUT: f64 = 0.4;

/// What the control may do within its budget: counted in MACs, not in seconds, so that the same command
/// gives the same numbers on every machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ScratchPlan {
    /// The network, in words.
    pub(crate) network: String,
    /// Which of the networks, from the largest on.
    pub(crate) size: usize,
    /// Passes over each fold's training part.
    pub(crate) epochs: u64,
    /// Folds that are run; fewer than all where the budget asks for it.
    pub(crate) folds: usize,
    /// Training examples of each fold; fewer than all where the budget asks for it.
    pub(crate) examples: usize,
    /// MACs of all of it, in units of 10^12.
    pub(crate) cost: f64,
    /// Peak rates of AdamW that are tried, each on a part of the first fold's training examples, before the folds are
    /// trained at the best.
    pub(crate) rates: Vec<f64>,
}

/// What the control gave.
#[derive(Debug, Clone)]
pub(crate) struct Scratch {
    /// Its predictions of each held-out split, by a network that was trained on all training examples.
    pub(crate) held_out: Vec<(Split, Predictions)>,
    /// How it was trained, in words.
    pub(crate) how: String,
    /// Training examples, by their places among these, that it was measured on; ascending.
    pub(crate) rows: Vec<usize>,
    /// Its out-of-fold predictions of these.
    pub(crate) predictions: Predictions,
    /// What they are worth.
    pub(crate) measures: Measures,
    /// The learning curve of each fold.
    pub(crate) curves: Vec<(String, Curve)>,
}

/// A network of a base's kind that could be trained from scratch, and how large a step on an example is.
struct Candidate {
    network: String,
    untrained: Untrained,
    /// MACs of a forward pass on one example.
    forward: f64,
}

/// What makes a network with random weights.
enum Untrained {
    /// Of images: its card.
    Images { card: Box<Card>, exact: bool },
    /// Of texts: the base itself, which is small.
    Texts(Arc<TextBase>),
}

impl Untrained {
    fn build(&self, seed: u64) -> AnyBase {
        match self {
            Untrained::Images { card, exact } => {
                let body = Body::Stages(Box::new(Network::random(card, 2, seed, &Device::flex())));
                let card = (**card).clone();
                let base = Base { card, body, sha256: String::new(), remarks: Vec::new(), exact: *exact };
                AnyBase::Images(Box::new(base.exact(*exact)))
            }
            Untrained::Texts(base) => AnyBase::Texts(base.clone()),
        }
    }
}

/// The networks of a base's kind, from the largest to the smallest; none where it has none to train.
fn candidates(base: &AnyBase, data: &ControlData<'_>) -> Result<(Vec<Candidate>, [f64; 3])> {
    match base {
        AnyBase::Images(base) => {
            let mut found = Vec::new();
            if let Ok(built) = base.staged() {
                let smallest = SMALLEST_INPUT.max(base.card.architecture.smallest_input());
                found.extend(at_sizes(&base.card, &built.network, base.input(), smallest, base.exact));
            }
            // In place of a network that cannot be trained, or not within a small budget.
            if base.card.architecture != Architecture::SMALL_RESNET {
                let mut card = Card::usual(Architecture::SMALL_RESNET, base.card.id.clone());
                card.preprocessing = base.card.preprocessing.clone();
                let small = Network::random(&card, 2, data.seed, &Device::flex()).network;
                let least = found.last().map_or(f64::INFINITY, |candidate: &Candidate| candidate.forward);
                let sizes = at_sizes(&card, &small, base.input(), SMALLEST_STAND_IN, base.exact);
                found.extend(sizes.into_iter().filter(|candidate| candidate.forward < least));
            }
            Ok((found, [1e-3, 3e-3, 1e-2]))
        }
        AnyBase::Texts(base) => {
            if let (TextBody::Words(vectors), Some((_, sizes))) = (&base.body, data.tokens) {
                let body = TextBody::Words(Box::new(random_vectors(vectors, data.seed)?));
                let found = Candidate {
                    network: "the same reader on random word vectors".into(),
                    untrained: Untrained::Texts(Arc::new(TextBase { body, ..(**base).clone() })),
                    forward: sizes.multiply_adds() * WORDS,
                };
                return Ok((vec![found], [5e-4, 2e-3, 5e-3]));
            }
            let TextBody::Encoder(sentence) = &base.body else { return Ok((Vec::new(), [0.0; 3])) };
            let texts = data.intake.texts_of(data.train);
            let of_tokens = match data.tokens {
                Some((cutting, _)) => TokenSet::new(base, data.intake, data.train, cutting)?,
                None => None,
            };
            let mut found = Vec::new();
            for (blocks, narrower) in SMALL_ENCODERS {
                let own = &sentence.config;
                let layers = own.layers.min(blocks);
                let config = match own.width.is_multiple_of(own.heads * narrower) {
                    true => EncoderConfig {
                        layers,
                        width: own.width / narrower,
                        between: own.between / narrower,
                        ..own.clone()
                    },
                    false => EncoderConfig { layers, ..own.clone() },
                };
                // Windows of tokens are as long as they are.
                let layout = SentenceLayout { limit: sentence.layout.limit.min(TOKENS), ..sentence.layout.clone() };
                let encoder = TextEncoder::random(&config, data.seed, &Device::flex());
                let small = SentenceEncoder { encoder, config: config.clone(), layout, ..(**sentence).clone() };
                let (tokens, units) = match &of_tokens {
                    Some(set) => (set.tokens(), set.units_of_each()),
                    None => {
                        let tokens: usize = small.encode(&texts)?.iter().map(|encoded| encoded.ids.len()).sum();
                        ((tokens / texts.len().max(1)).max(2), 1.0)
                    }
                };
                let costs = small.encoder.costs(tokens);
                found.push(Candidate {
                    network: format!(
                        "{} {} of {}, {} wide",
                        config.layers,
                        if config.layers == 1 { "block" } else { "blocks" },
                        base.architecture,
                        config.width
                    ),
                    forward: costs.iter().map(|cost| cost.multiply_adds).sum::<u64>() as f64 * units,
                    untrained: Untrained::Texts(Arc::new(TextBase {
                        body: TextBody::Encoder(Box::new(small)),
                        ..(**base).clone()
                    })),
                });
            }
            found.dedup_by(|later, earlier| later.network == earlier.network);
            Ok((found, [2e-4, 5e-4, 2e-3]))
        }
        AnyBase::None => Ok((Vec::new(), [0.0; 3])),
    }
}

/// A network at its own input size, and at halves of it down to `smallest`.
fn at_sizes(card: &Card, network: &Network, mut input: [usize; 2], smallest: usize, exact: bool) -> Vec<Candidate> {
    let mut found = Vec::new();
    loop {
        let mut card = Box::new(card.clone());
        card.preprocessing.scale_to(input);
        found.push(Candidate {
            network: format!("{} at {} x {}", card.architecture.name(), input[0], input[1]),
            forward: network.multiply_adds(input) as f64,
            untrained: Untrained::Images { card, exact },
        });
        input = input.map(|side| side / 2);
        if input[0].min(input[1]) < smallest {
            return found;
        }
    }
}

/// How much evidence a control gives.
#[derive(Clone, Copy)]
struct Evidence {
    /// Training examples.
    examples: usize,
    /// Folds.
    folds: usize,
    /// Folds that hold enough of them.
    enough: usize,
    /// Whether a model is trained on all examples too, for a held-out split.
    model: bool,
}

/// The largest network that all folds can be trained with for enough epochs inside `budget` x 10^12 MACs; else the smallest,
/// on as many folds as can, but on enough; else with fewer epochs, and then fewer examples. `forward` are the MACs of an
/// example by each network, from the largest on.
fn within(budget: f64, forward: &[f64], rates: [f64; 3], of: Evidence) -> ScratchPlan {
    let Evidence { folds, .. } = of;
    let train = of.examples * (folds - 1) / folds;
    let epoch_cost = |size: usize, run: usize, examples: usize| {
        // The search for a rate costs about as much as a fold.
        let model = if of.model { folds as f64 / (folds - 1) as f64 } else { 0.0 };
        let trainings = run as f64 + rates.len() as f64 / TRIED_EPOCHS as f64 + model;
        forward[size] * STEP_COST * examples as f64 * trainings / 1e12
    };
    let smallest = forward.len() - 1;
    let sizes = (0..forward.len()).map(|size| (size, folds));
    let mut plan = (smallest, of.enough);
    for (size, run) in sizes.chain((of.enough..folds).rev().map(|run| (smallest, run))) {
        plan = (size, run);
        if budget / epoch_cost(size, run, train) >= ENOUGH_EPOCHS as f64 {
            break;
        }
    }
    let (size, run) = plan;
    let affordable = (budget / epoch_cost(size, run, train)).floor();
    let (epochs, examples) = match affordable {
        less if less >= 1.0 => ((less as u64).min(MOST_EPOCHS), train),
        // Not one pass over all: one over as many as there is a budget for.
        _ => (1, ((train as f64 * budget / epoch_cost(size, run, train)) as usize).max(2)),
    };
    let cost = epoch_cost(size, run, examples) * epochs as f64;
    ScratchPlan { network: String::new(), size, epochs, folds: run, examples, cost, rates: rates.into() }
}

/// Vectors of the same words with random numbers of the same spread: what a reader gives without what they know.
fn random_vectors(vectors: &WordVectors, seed: u64) -> Result<WordVectors> {
    use rand_distr::{Distribution, StandardNormal};
    let values = vectors.values();
    let spread = (values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / values.len().max(1) as f64).sqrt();
    let mut stream = rng(seed, "init/random-vectors", 0);
    let draw = |_| {
        let value: f64 = StandardNormal.sample(&mut stream);
        (value * spread) as f32
    };
    let random = (0..values.len()).map(draw).collect();
    WordVectors::new(vectors.words().map(str::to_owned).collect(), vectors.columns(), random)
}

impl ScratchPlan {
    /// The plan in words.
    fn describe(&self, lr: f64, data: &ControlData<'_>) -> String {
        let Self { network, epochs, folds, examples, cost, rates, .. } = self;
        let part = match *examples < data.train.len() * (data.count - 1) / data.count {
            true => format!(" of {examples} {} each", data.intake.unit()),
            false => String::new(),
        };
        format!(
            "{network}, {epochs} epochs{part}, {folds} of {} folds, {cost:.3} x 10^12 MACs, AdamW at {lr:.0e}, the best of {} rates",
            data.count,
            rates.len()
        )
    }
}

/// What the trainings gave.
#[derive(Debug, Serialize, Deserialize)]
struct Trained {
    lr: f64,
    folds: Vec<(FoldOutputs, Curve)>,
    /// The outputs of each example of the held-out splits, by a network that was trained on all training examples.
    held_out: Vec<(Split, Vec<Vec<f32>>)>,
}

impl Trained {
    /// Whether this can be what such a control gave: a cache may hand out anything.
    fn fits(&self, plan: &ScratchPlan, data: &ControlData<'_>) -> bool {
        let of_fold = |(fold, ((held, logits), _)): (usize, &(FoldOutputs, Curve))| {
            held.iter().all(|&at| data.folds.get(at) == Some(&fold))
                && logits.len() == held.iter().map(|&at| data.target.width(at)).sum::<usize>()
                && logits.iter().all(|z| z.is_finite())
        };
        let of_split = |(split, outputs): &(Split, Vec<Vec<f32>>)| {
            outputs.len() == data.intake.usable(*split).len() && outputs.iter().flatten().all(|z| z.is_finite())
        };
        self.folds.len() == plan.folds
            && self.folds.iter().enumerate().all(of_fold)
            && self.held_out.iter().map(|(split, _)| *split).eq(splits(data))
            && self.held_out.iter().all(of_split)
    }
}

impl Scratch {
    /// The control, from the cache where the same was done before: it is as deterministic as everything else. None where
    /// there is no network of the base's kind to train, or no budget.
    pub(crate) fn run(
        base: &AnyBase,
        data: &ControlData<'_>,
        budget: f64,
        cache: Option<&Cache>,
        observer: &dyn Observer,
    ) -> Result<Option<Self>> {
        if budget <= 0.0 {
            return Ok(None);
        }
        let (mut found, rates) = candidates(base, data)?;
        if found.is_empty() {
            return Ok(None);
        }
        let forward: Vec<f64> = found.iter().map(|candidate| candidate.forward).collect();
        let enough = enough_folds(data.folds, data.count);
        let model = splits(data).next().is_some();
        let evidence = Evidence { examples: data.train.len(), folds: data.count, enough, model };
        let mut plan = within(budget, &forward, rates, evidence);
        let chosen = found.swap_remove(plan.size);
        plan.network.clone_from(&chosen.network);
        let key = identity(&chosen.untrained, &plan, data);
        let kept = cache.and_then(|cache| cache.get(KIND, &key));
        let kept: Option<Trained> = kept.and_then(|body| ciborium::from_reader(body.as_slice()).ok());
        let trained = match kept.filter(|kept| kept.fits(&plan, data)) {
            Some(trained) => trained,
            None => {
                let trained = train_all(&chosen.untrained, &plan, data, observer)?;
                if let Some(cache) = cache {
                    let mut body = Vec::new();
                    ciborium::into_writer(&trained, &mut body).expect("fold results are plain data");
                    cache.put(KIND, &key, &body, observer);
                }
                trained
            }
        };
        let how = plan.describe(trained.lr, data);
        let curves = trained.folds.iter().enumerate();
        let curves = curves.map(|(fold, (_, curve))| (format!("scratch/fold{fold}"), curve.clone())).collect();
        let parts: Vec<FoldOutputs> = trained.folds.into_iter().map(|(part, _)| part).collect();
        let rows: Vec<usize> = (0..data.train.len()).filter(|&at| data.folds[at] < plan.folds).collect();
        let Calibrated { predictions, calibration, .. } = data.target.calibrate(&parts)?;
        let held_out = trained.held_out.into_iter().map(|(split, outputs)| {
            let answer = |row: Vec<f32>| {
                let row = row.into_iter().map(f64::from).collect();
                calibration.answer(row, data.target.outputs(), &[], (0.0, false))
            };
            (split, data.target.collect(&outputs.into_iter().map(answer).collect::<Vec<_>>()))
        });
        let held_out = held_out.collect();
        let measures = data.target.measure(&predictions, &rows, "out-of-fold, from random weights")?;
        Ok(Some(Self { held_out, how, rows, predictions, measures, curves }))
    }
}

/// The held-out splits that there are.
fn splits<'a>(data: &'a ControlData<'_>) -> impl Iterator<Item = Split> + 'a {
    [Split::Val, Split::Test].into_iter().filter(|&split| !data.intake.usable(split).is_empty())
}

/// Everything that decides what a control gives.
fn identity(untrained: &Untrained, plan: &ScratchPlan, data: &ControlData<'_>) -> String {
    let network = match untrained {
        Untrained::Images { card, exact } => serde_json::json!({
            "architecture": card.architecture,
            "padding": card.padding,
            "preprocessing": card.preprocessing.fingerprint(),
            "exact": exact,
        }),
        Untrained::Texts(base) => serde_json::json!({ "fingerprint": base.fingerprint() }),
    };
    let description = serde_json::json!({
        "format": 5,
        "version": env!("CARGO_PKG_VERSION"),
        "decoding": DECODING,
        "network": network,
        "plan": plan,
        "task": data.target.task(),
        "data": data.intake.fingerprint(),
        "tokens": data.tokens,
        "train": data.train,
        "folds": data.folds,
        "seed": data.seed,
    });
    sha256_hex(description.to_string().as_bytes())
}

fn train_all(
    untrained: &Untrained,
    plan: &ScratchPlan,
    data: &ControlData<'_>,
    observer: &dyn Observer,
) -> Result<Trained> {
    let base = &untrained.build(data.seed);
    let texts = data.intake.texts_of(data.train);
    let digests = data.intake.digests_of(data.train);
    let (images, views, set);
    let material = match base {
        AnyBase::Texts(base) if data.tokens.is_some() => {
            let (cutting, sizes) = data.tokens.expect("it is there");
            set = TokenSet::new(base, data.intake, data.train, cutting)?.expect("words and questions have tokens");
            let reader = matches!(base.body, TextBody::Words(_)).then_some(sizes);
            Material::Tokens { base, set: &set, reader, unit: data.intake.unit() }
        }
        AnyBase::Images(base) => {
            let paths = data.intake.images(data.train).into_iter().map(|(path, _)| path).collect();
            images = TrainingImages::new(paths, base.card.preprocessing.clone(), Limits::default(), observer)?;
            // Photos may be mirrored; characters may not.
            let flip = base.card.preprocessing.channels == 3;
            let change = Change::Small(Augment { shift: 0.1, flip, ..Augment::default() });
            views = Views { count: 2, change, seed: data.seed };
            let shown = KeyedImages { images: &images, digests: &digests };
            Material::Images { base, shown, views: &views, cache: None }
        }
        AnyBase::Texts(base) => Material::Texts { base, texts: &texts, tokens: 0, pairs: 0 },
        AnyBase::None => unreachable!("there is nothing to train where there is no base"),
    };
    let statistics = if matches!(base, AnyBase::Images(_)) { Statistics::Batch } else { Statistics::Stored };
    let spread =
        Spread { rate_factor: 1.0, head_rate: 1.0, weight_decay: 0.02, anchor: 0.0, gradual: false, statistics };
    let at = material.at(0, observer)?;
    let (whole, columns) = match (&material, material.body()) {
        (Material::Tokens { reader: Some(_), .. }, _) => (Plan::nothing(&spread), 0),
        (_, body) => {
            let body = body?;
            let columns = match &material {
                Material::Tokens { .. } => material.columns(0),
                _ => at.features(&body, &[0], material.input(), observer)?.columns,
            };
            (Plan::new(&body, &material.costs(), Learners::From(0), &spread), columns)
        }
    };
    let features = Features::new(0, columns, Vec::new())?;
    let tuning = Tuning { material, at: &at, plan: &whole, features: &features, strength: 1.0, target: data.target };
    let trainings = Trainings { tuning, plan, data, observer };
    let units = if let Material::Tokens { set, .. } = &material { set.units_of_each() } else { 1.0 };
    let kept = data.folds.iter().filter(|fold| **fold != 0).count().min(plan.examples);
    let tried = (plan.epochs / TRIED_EPOCHS).max(1);
    let held: Vec<Split> = splits(data).collect();
    let models = plan.folds + usize::from(!held.is_empty());
    let work = plan.rates.len() as u64 * tried * (kept * 6 / 7) as u64 + plan.epochs * (kept * models) as u64;
    observer.begin("control: from scratch", (work as f64 * units) as u64, material.unit());
    let lr = trainings.best_rate(tried)?;
    let folds = (0..plan.folds).map(|fold| trainings.run_fold(fold, lr)).collect::<Result<Vec<_>>>()?;
    let held_out = match held.is_empty() {
        true => Vec::new(),
        false => trainings.held_out(untrained, &held, lr)?,
    };
    observer.end();
    Ok(Trained { lr, folds, held_out })
}

/// Trainings of the same network from random weights on the same examples.
struct Trainings<'a> {
    tuning: Tuning<'a>,
    plan: &'a ScratchPlan,
    data: &'a ControlData<'a>,
    observer: &'a dyn Observer,
}

impl Trainings<'_> {
    fn settings(&self, epochs: u64, lr: f64, fold: usize) -> TuneSettings {
        let train = Settings {
            epochs,
            batch_size: 32,
            shard_size: if matches!(self.tuning.material, Material::Tokens { .. }) { 8 } else { 16 },
            optimiser: Optimiser::AdamW,
            lr,
            warmup: 0.1,
            weight_decay: 0.02,
            clip: Some(1.0),
            seed: self.data.seed.wrapping_add(fold as u64),
            ..Settings::default()
        };
        // A reader is trained as its paper does; everything else without.
        let dropout =
            if let Material::Tokens { reader: Some(_), .. } = self.tuning.material { READER_DROPOUT } else { 0.0 };
        let regularisers =
            Regularisers { dropout, feature_distance: 0.0, mixup: 0.0, cutmix: 0.0, label_smoothing: 0.0 };
        TuneSettings {
            train,
            start: Start::Random,
            regularisers,
            stochastic_depth: 0.0,
            low_rank: None,
            adapt_statistics: false,
        }
    }

    /// The training examples of a fold, or of all where it is none, or as many of them as are paid for, drawn without a look
    /// at their labels.
    fn training(&self, fold: usize) -> Vec<usize> {
        let all: Vec<usize> = (0..self.data.train.len()).filter(|&at| self.data.folds[at] != fold).collect();
        if self.plan.examples >= all.len() {
            return all;
        }
        let order = permutation(all.len(), self.data.seed, "scratch/examples", 0);
        let mut drawn: Vec<usize> = order[..self.plan.examples].iter().map(|&at| all[at]).collect();
        drawn.sort_unstable();
        drawn
    }

    /// The best rate for the first fold's training examples. The examples that the control is measured on take no part.
    fn best_rate(&self, epochs: u64) -> Result<f64> {
        let settings_of = |lr: f64| self.settings(epochs, lr, 0);
        let (training, quiet) = (self.training(0), Quiet(self.observer));
        best_rate(self.tuning, &self.plan.rates, &settings_of, &training, self.data.groups, self.data.seed, &quiet)
            .map(|(lr, _)| lr)
    }

    fn run_fold(&self, fold: usize, lr: f64) -> Result<(FoldOutputs, Curve)> {
        let held: Vec<usize> = (0..self.data.train.len()).filter(|&at| self.data.folds[at] == fold).collect();
        let settings = self.settings(self.plan.epochs, lr, fold);
        let none = (&Journal::none(), "");
        let quiet = Quiet(self.observer);
        let adapted = tune(self.tuning, &settings, &self.training(fold), &held, none, &quiet, "")?;
        let outputs = adapted.outputs(&self.tuning.material, Some(self.tuning.at), &held)?;
        Ok(((held, outputs), adapted.curve))
    }

    /// The outputs of the examples of held-out splits, by a network that is trained on all training examples.
    fn held_out(&self, untrained: &Untrained, splits: &[Split], lr: f64) -> Result<Vec<(Split, Vec<Vec<f32>>)>> {
        let all = self.data.count;
        let settings = self.settings(self.plan.epochs, lr, all);
        let quiet = Quiet(self.observer);
        let Adapted { grown, head, .. } =
            tune(self.tuning, &settings, &self.training(all), &[], (&Journal::none(), ""), &quiet, "")?;
        let base = untrained.build(self.data.seed).with(grown);
        let of = |split: &Split| {
            let examples = self.data.intake.usable(*split);
            let outputs = match (&base, self.data.tokens) {
                (AnyBase::Texts(base), Some((cutting, _))) => {
                    let set = TokenSet::new(base, self.data.intake, &examples, cutting)?.expect("there are tokens");
                    TokenReader::new(base, cutting).outputs(&head, &set.examples)?
                }
                _ => {
                    let features = base.own_reading()?.features(self.data.intake, &examples, None, &quiet)?;
                    let outputs = head.linear().of_features(&features);
                    let width = self.data.target.outputs();
                    outputs.chunks(width).map(<[f32]>::to_vec).collect()
                }
            };
            Ok((*split, outputs))
        };
        splits.iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_keeps_to_its_budget() {
        let forward = [6.5e6, 2.0e6];
        let rates = [1e-3, 3e-3, 1e-2];
        let of = |examples, enough, model| Evidence { examples, folds: 5, enough, model };
        for (budget, examples) in [(0.5, 200), (0.02, 200), (2.0, 5000), (0.001, 5000)] {
            for model in [false, true] {
                let plan = within(budget, &forward, rates, of(examples, 5, model));
                let models = if model { 1.25 } else { 0.0 };
                let trained = plan.examples as f64 * (plan.folds as f64 + 1.0 + models) * plan.epochs as f64;
                let cost = forward[plan.size] * STEP_COST * trained / 1e12;
                assert!((plan.cost / cost - 1.0).abs() < 1e-9, "{} against {cost}", plan.cost);
                assert!(plan.cost <= budget * 1.01, "{plan:?}");
                assert_eq!(plan.folds, 5, "all folds, where no fewer hold enough");
            }
        }
        assert_eq!(within(9.0, &forward, rates, of(200, 5, false)).size, 0, "the largest that the budget can train");
        let poor = within(0.001, &forward, rates, of(5000, 2, false));
        assert!((poor.size, poor.folds, poor.epochs) == (1, 2, 1) && poor.examples < 4000, "{poor:?}");
    }
}
