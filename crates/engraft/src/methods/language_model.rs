//! A language model of one's own, from plain text: the phase before the transfer to texts.
//!
//! The corpus is one long row of tokens, cut into windows whose next words are to be told. The loop shuffles examples, and
//! an example cannot carry a state over from the one before it; so a window has a quarter of its length of text before
//! it, that the network reads and that counts nothing. In return a step depends on weights and window alone, and a
//! training that was stopped goes on to the bit. Where windows begin moves with the epoch.

use std::time::Instant;

use burn::prelude::*;
use engraft_kernels::cross_entropy;
use rand::RngExt;
use rayon::prelude::*;

use crate::bases::text::{Dropouts, LanguageModel, LstmConfig, LstmNetwork, Vocabulary, WordCounts, WordVectors};
use crate::bases::{Mode, Pass};
use crate::data::text::Document;
use crate::error::{Error, Problem, Result};
use crate::progress::Observer;
use crate::rng::rng;
use crate::settings::LanguageModelPretrain;
use crate::train::{
    Checkpoints, Curve, EpochRecord, Rule, Rules, Schedule, Score, Settings, ShardLoss, Task, argmax, train,
};

/// Bytes of text that are tokenised at a time.
const BATCH: usize = 8 << 20;
/// Sequences that measuring runs side by side, each a part of the text from its beginning to its end.
const STREAMS: usize = 16;
/// Logits of a shard, at most: what a step's memory is made of.
const SHARD_LOGITS: usize = 1 << 25;

/// Opens a corpus: its documents in order, each read when it is asked for.
pub(crate) type Corpus<'a> = dyn Fn() -> Result<Documents<'a>> + 'a;
/// Documents, or what went wrong.
pub(crate) type Documents<'a> = Box<dyn Iterator<Item = Result<Document>> + Send + 'a>;

/// A language model that was trained, ready to be written.
#[derive(Debug)]
pub struct PretrainedLanguageModel {
    /// The model, with its card.
    pub model: LanguageModel,
    /// The learning curve.
    pub(crate) curve: Curve,
    /// Cross-entropy in nats and accuracy of the next word on what was held out, if anything was.
    pub(crate) held_out: Option<Score>,
    /// Tokens trained on.
    pub tokens: u64,
    /// Share of the corpus' tokens that the vocabulary does not have.
    pub unknown: f64,
    /// Tokens that training took in a second.
    pub tokens_per_second: f64,
}

impl PretrainedLanguageModel {
    /// `e` to the held-out cross-entropy: between as many words the model wavers.
    pub fn perplexity(&self) -> Option<f64> {
        self.held_out.map(|score| score.loss.exp())
    }
}

/// Trains a language model on a corpus, which is opened twice: for its vocabulary, and for its tokens (4 bytes of memory
/// each). The end of the corpus is held out; it chooses nothing.
///
/// # Errors
/// [`Error::Usage`] for settings that are invalid, [`Error::Data`] where the corpus is too short; what the corpus and the
/// vectors give; and as [`train`].
pub fn pretrain_language_model(
    config: &LanguageModelPretrain,
    corpus: &Corpus<'_>,
    checkpoints: Option<&mut Checkpoints>,
    observer: &dyn Observer,
    mut each: impl FnMut(&EpochRecord),
) -> Result<PretrainedLanguageModel> {
    let settings = settings_of(config)?;
    let vectors = config.vectors.as_deref().map(WordVectors::open).transpose()?;
    let counts = count(corpus, observer)?;
    let vocabulary = Vocabulary::new(counts.frequent(config.min_count, config.vocabulary));
    let (ids, unknown) = encode(corpus, &vocabulary, observer)?;
    let held_out = (ids.len() as f64 * config.holdout) as usize;
    let (train_ids, held_out_ids) = ids.split_at(ids.len() - held_out);
    observer.say(&format!(
        "{} words; {} tokens to learn from, {held_out} held out; {:.2} % unknown",
        vocabulary.len(),
        train_ids.len(),
        100.0 * unknown
    ));

    let hidden = if config.hidden == 0 { 2 * config.width } else { config.hidden };
    let sizes = LstmConfig { vocabulary: 0, width: config.width, hidden, layers: config.layers };
    let device = Device::flex().autodiff();
    let mut model = LanguageModel::random(sizes, vocabulary, vectors.as_ref(), config.seed, &device)?;
    let mut task = Windows::new(train_ids, held_out_ids, config.bptt, &model.network, observer)?;
    task.dropouts = Dropouts::LANGUAGE_MODEL.scaled(config.dropout);
    task.seed = config.seed;
    let settings = Settings { shard_size: task.shard_size(&model.network, config.batch_size), ..settings };
    let start = Instant::now();
    observer.begin("training", config.epochs * task.len() as u64, "windows");
    let (network, curve) = train(&mut task, model.network, &settings, checkpoints, observer, |record, _| each(record))?;
    observer.end();
    let seconds = start.elapsed().as_secs_f64();
    model.network = network;
    let held_out = task.validate(&model.network)?;
    let tokens = (task.len() * task.bptt) as u64;
    model.card.id.clone_from(&config.id);
    model.card.description.clone_from(&config.description);
    model.card.licence.clone_from(&config.licence);
    model.card.source.clone_from(&config.source);
    model.card.tokens = tokens;
    model.card.perplexity = held_out.map(|score| score.loss.exp());
    let model = model.onto(&Device::flex());
    let tokens_per_second = (tokens * config.epochs) as f64 / seconds;
    Ok(PretrainedLanguageModel { model, curve, held_out, tokens, unknown, tokens_per_second })
}

fn settings_of(config: &LanguageModelPretrain) -> Result<Settings> {
    let wrong = |what: &str, expected: &str, found: String| {
        Err(Error::Usage(Problem::new(what).expected(expected).found(found)))
    };
    if config.arch != "lstm" {
        return wrong("no such language model", "lstm", config.arch.clone());
    }
    let optimiser = config.optimiser;
    if !(0.0..0.9).contains(&config.holdout) {
        return wrong("invalid held-out share", "at least 0 and less than 0.9", config.holdout.to_string());
    }
    if !(0.0..=3.0).contains(&config.dropout) {
        return wrong("invalid dropout factor", "0 to 3", config.dropout.to_string());
    }
    if config.vocabulary == 0 || config.bptt < 4 || config.batch_size < 2 {
        let found = format!("{} words, windows of {}, {} a step", config.vocabulary, config.bptt, config.batch_size);
        return wrong("nothing to train", "a vocabulary, windows of at least 4 words, at least 2 in a step", found);
    }
    let settings = Settings {
        epochs: config.epochs,
        batch_size: config.batch_size,
        optimiser,
        lr: config.lr,
        schedule: Schedule::OneCycle,
        warmup: config.warmup,
        weight_decay: config.weight_decay,
        clip: (config.clip > 0.0).then_some(config.clip),
        seed: config.seed,
        ..Settings::default()
    };
    settings.validate()?;
    Ok(settings)
}

/// Hands over a corpus in parts of about [`BATCH`] bytes.
fn in_batches(corpus: &Corpus<'_>, observer: &dyn Observer, mut each: impl FnMut(&[String])) -> Result<()> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for document in corpus()? {
        let text = document?.text;
        bytes += text.len();
        batch.push(text);
        if bytes >= BATCH {
            each(&batch);
            observer.check()?;
            observer.advance(bytes as u64 >> 20);
            (bytes, _) = (0, batch.clear());
        }
    }
    each(&batch);
    Ok(())
}

fn count(corpus: &Corpus<'_>, observer: &dyn Observer) -> Result<WordCounts> {
    observer.begin("counting words", 0, "MB");
    let mut counts = WordCounts::default();
    in_batches(corpus, observer, |batch| {
        // As many parts whatever the number of threads: what is forgotten where memory is short does not depend on them.
        let parts: Vec<WordCounts> = batch
            .par_chunks(batch.len().div_ceil(8).max(1))
            .map(|part| {
                let mut counts = WordCounts::default();
                part.iter().for_each(|piece| counts.add(piece));
                counts
            })
            .collect();
        parts.into_iter().for_each(|part| counts.merge(part));
    })?;
    observer.end();
    Ok(counts)
}

/// The corpus as tokens, and the share of unknown ones.
fn encode(corpus: &Corpus<'_>, vocabulary: &Vocabulary, observer: &dyn Observer) -> Result<(Vec<u32>, f64)> {
    observer.begin("reading the corpus", 0, "MB");
    let (mut ids, mut unknown) = (Vec::new(), 0);
    in_batches(corpus, observer, |batch| {
        let parts: Vec<(Vec<u32>, usize)> = batch
            .par_iter()
            .map(|piece| {
                let mut ids = Vec::new();
                let unknown = vocabulary.encode_into(piece, &mut ids);
                (ids, unknown)
            })
            .collect();
        for (part, more) in parts {
            ids.extend(part);
            unknown += more;
        }
    })?;
    observer.end();
    let share = unknown as f64 / ids.len().max(1) as f64;
    Ok((ids, share))
}

/// The next words of a row of tokens, window by window.
pub(super) struct Windows<'a> {
    ids: &'a [u32],
    held_out: &'a [u32],
    /// Words that are predicted in a window.
    bptt: usize,
    /// Words before them.
    before: usize,
    layers: usize,
    /// Shares that are dropped.
    pub(crate) dropouts: Dropouts,
    /// Each stage learns at the rate of the one after it, divided by this.
    pub(crate) rate_factor: f64,
    /// Seed of the windows' beginnings.
    pub(crate) seed: u64,
    observer: &'a dyn Observer,
}

impl<'a> Windows<'a> {
    /// Windows of `bptt` predicted words, without dropout, at one rate for all stages.
    pub fn new(
        ids: &'a [u32],
        held_out: &'a [u32],
        bptt: usize,
        network: &LstmNetwork,
        observer: &'a dyn Observer,
    ) -> Result<Self> {
        let (before, layers) = (bptt / 4, network.config().layers);
        let task =
            Self { ids, held_out, bptt, before, layers, dropouts: Dropouts::NONE, rate_factor: 1.0, seed: 0, observer };
        if task.len() == 0 {
            let problem = Problem::new("the corpus is too short for a language model");
            let problem = problem.expected(format_args!("more than {} tokens", before + 2 * bptt));
            return Err(Error::Data(problem.found(ids.len()).hint("give more text, or a smaller --bptt")));
        }
        Ok(task)
    }

    /// Windows that run together: so many that their logits fit.
    pub(crate) fn shard_size(&self, network: &LstmNetwork, batch: usize) -> usize {
        (SHARD_LOGITS / (self.bptt * network.config().vocabulary)).clamp(2, batch.max(2))
    }

    /// Where the windows of an epoch begin.
    fn offset(&self, epoch: u64) -> usize {
        rng(self.seed, "language-model/offset", epoch).random_range(0..self.bptt)
    }
}

impl Task for Windows<'_> {
    type Model = LstmNetwork;

    fn len(&self) -> usize {
        // The last token is only ever told; the offset takes up to a window.
        self.ids.len().saturating_sub(1 + self.before + self.bptt) / self.bptt
    }

    fn rules(&self, model: &LstmNetwork, _: u64, weight_decay: f64) -> Rules {
        let mut rules = Rules::default();
        for stage in 0..=self.layers {
            let rate = self.rate_factor.powi((stage as i32) - self.layers as i32);
            rules.0.extend(model.stage_axes(stage).into_iter().map(|(id, axes)| {
                (id, Rule { rate, weight_decay: if axes > 1 { weight_decay } else { 0.0 }, anchor: 0.0 })
            }));
        }
        rules
    }

    fn loss(&self, model: &LstmNetwork, shard: &[usize], epoch: u64, pass: &Pass) -> Result<ShardLoss> {
        let (offset, steps) = (self.offset(epoch), self.before + self.bptt);
        let (mut numbers, mut next) = (Vec::with_capacity(shard.len() * steps), Vec::new());
        for window in shard {
            let begin = offset + window * self.bptt;
            numbers.extend_from_slice(&self.ids[begin..begin + steps]);
            next.extend(self.ids[begin + self.before + 1..=begin + steps].iter().copied().map(Some));
        }
        let mode = Mode::Train(pass);
        let x = model.embed(&numbers, shard.len(), mode, &self.dropouts);
        let x = model.layers(x, 0..self.layers, &mut vec![None; self.layers], |_| mode, &self.dropouts);
        let [rows, _, width] = x.dims();
        let x = x.narrow(1, self.before, self.bptt).reshape([rows * self.bptt, width]);
        let logits = model.decode(x, mode);
        let right = count_right(&logits, &next);
        let loss = cross_entropy(logits, &next).mean();
        // The loop counts windows: as many as the right words would fill.
        Ok(ShardLoss { loss, correct: (right as f64 / self.bptt as f64).round() as usize })
    }

    fn validate(&self, model: &LstmNetwork) -> Result<Option<Score>> {
        if self.held_out.len() < 2 {
            return Ok(None);
        }
        measure_language_model(model, self.held_out, self.bptt, self.observer).map(Some)
    }

    fn describe(&self, example: usize) -> String {
        format!("window {example}")
    }
}

fn count_right(logits: &Tensor<2>, next: &[Option<u32>]) -> usize {
    let columns = logits.dims()[1];
    let values: Vec<f32> = logits.clone().into_data().try_into_vec().expect("logits are f32");
    let rows = values.par_chunks_exact(columns).zip(next);
    rows.filter(|(row, next)| next.is_some_and(|next| argmax(row) == next as usize)).count()
}

/// Cross-entropy and accuracy of the next word, with the state carried from the beginning of each of as many parts of
/// the text to its end. At most `STREAMS - 1` words at the end are left out.
pub(crate) fn measure_language_model(
    network: &LstmNetwork,
    ids: &[u32],
    steps: usize,
    observer: &dyn Observer,
) -> Result<Score> {
    let network = network.valid();
    let told = ids.len().saturating_sub(1);
    let streams = if told < STREAMS * steps { 1 } else { STREAMS };
    let length = told / streams;
    let layers = network.config().layers;
    let mut states = vec![None; layers];
    let (mut loss, mut right) = (0.0f64, 0);
    for begin in (0..length).step_by(steps.max(1)) {
        observer.check()?;
        let end = (begin + steps).min(length);
        let part = |shift: usize| {
            (0..streams).flat_map(move |stream| &ids[stream * length + begin + shift..stream * length + end + shift])
        };
        let numbers: Vec<u32> = part(0).copied().collect();
        let next: Vec<Option<u32>> = part(1).copied().map(Some).collect();
        let x = network.embed(&numbers, streams, Mode::Frozen, &Dropouts::NONE);
        let x = network.layers(x, 0..layers, &mut states, |_| Mode::Frozen, &Dropouts::NONE);
        let [rows, count, width] = x.dims();
        let logits = network.decode(x.reshape([rows * count, width]), Mode::Frozen);
        right += count_right(&logits, &next);
        let losses: Vec<f32> = cross_entropy(logits, &next).into_data().try_into_vec().expect("losses are f32");
        loss += losses.into_iter().map(f64::from).sum::<f64>();
    }
    let count = (length * streams) as f64;
    Ok(Score { loss: loss / count, accuracy: right as f64 / count })
}

#[cfg(test)]
#[path = "language_model_tests.rs"]
mod tests;
