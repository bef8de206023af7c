//! One fine-tuning of an encoder from beginning to end: from the states at the cut through the blocks that learn, to a
//! loss; watched, and tried again at a lower rate where it fails.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::Device;

use crate::backbone::text::{SentenceEncoder, TextBase, TextBody, TextEncoder};
use crate::backbone::{Mode, Pass, StageCost, Statistics};
use crate::data::text::Text;
use crate::error::{Error, Problem, Result};
use crate::features::{Features, TextExtractor};
use crate::head::{ClassWeights, LogisticRegression, fit as fit_head};
use crate::inductive::text::states::TextStates;
use crate::inductive::tuning::{
    Journal, LinearHead, Plan, Regularisers, Staged, Start, TuneSettings, class_weights, dropped, failure_in, give,
    logits_of, looked_at, random_head, retrying, score, telling,
};
use crate::progress::Observer;
use crate::train::{Curve, EpochRecord, Rule, Rules, Score, ShardLoss, Task, count_correct, cross_entropy, train};

/// Texts that are measured together.
const BATCH: usize = 32;

/// An encoder and a linear head on its features.
#[derive(Module, Debug)]
pub struct TunedEncoder {
    /// The stages; those before the cut are not run.
    pub encoder: TextEncoder,
    /// The head.
    pub head: LinearHead,
}

/// A base that was fine-tuned: another base, and a head on its features.
#[derive(Debug, Clone)]
pub struct GrownBase {
    /// The base with its new weights.
    pub base: Arc<TextBase>,
    /// The head.
    pub head: LogisticRegression,
    /// The learning curve.
    pub curve: Curve,
    /// Failures and what was done about them.
    pub remarks: Vec<String>,
}

impl GrownBase {
    /// Logits `[texts, classes]`, as the run will give them.
    pub fn logits(&self, texts: &[&Text]) -> Result<Vec<f32>> {
        Ok(logits_of(&self.head, &self.features(texts)?))
    }

    /// Features of texts by the new weights.
    pub fn features(&self, texts: &[&Text]) -> Result<Features> {
        features_by(&self.base, texts)
    }
}

/// Features of texts by a base that is nobody else's, texts of like length together.
pub(super) fn features_by(base: &Arc<TextBase>, texts: &[&Text]) -> Result<Features> {
    let digests: Vec<String> = (0..texts.len()).map(|at| at.to_string()).collect();
    TextExtractor::new(base).uncached().extract(texts, &digests, None, &crate::progress::Silent)
}

/// What is fine-tuned to what.
#[derive(Clone, Copy)]
pub(super) struct TextTarget<'a> {
    pub base: &'a Arc<TextBase>,
    pub sentence: &'a SentenceEncoder,
    pub plan: &'a Plan,
    /// The texts at the plan's cut.
    pub states: &'a TextStates,
    pub texts: &'a [&'a Text],
    /// The base's own features of all texts, for the probe.
    pub features: &'a Features,
    pub strength: f64,
    pub labels: &'a [usize],
    pub classes: usize,
}

/// The base with other weights of its encoder.
pub(super) fn with_encoder(base: &TextBase, encoder: TextEncoder) -> Arc<TextBase> {
    let TextBody::Encoder(sentence) = &base.body else { unreachable!("only an encoder is given other weights") };
    let body = TextBody::Encoder(Box::new(SentenceEncoder { encoder, ..(**sentence).clone() }));
    Arc::new(TextBase { body, ..base.clone() })
}

/// The encoder of a base with its own weights on another device: with gradients to train, without to answer.
pub(super) fn encoder_on(sentence: &SentenceEncoder, encoder: &TextEncoder, device: &Device) -> Result<TextEncoder> {
    Ok(TextEncoder::of_tensors(&sentence.config, encoder.tensors(), device))
}

/// Fine-tunes on the texts `training`; `validation` is measured for the curve, and chooses the weights only where the
/// settings average or wait. The same arguments give the same bits.
pub(super) fn tune_texts(
    target: TextTarget<'_>,
    settings: &TuneSettings,
    training: &[usize],
    validation: &[usize],
    (journal, identity): (&Journal, &str),
    observer: &dyn Observer,
    name: &str,
) -> Result<GrownBase> {
    let mut each = telling(name, observer);
    let (grown, remarks) = retrying(settings, observer, &mut |settings, attempt| {
        attempt_at(target, settings, training, validation, (journal, identity, attempt), observer, &mut each)
    })?;
    Ok(GrownBase { remarks, ..grown })
}

fn attempt_at(
    target: TextTarget<'_>,
    settings: &TuneSettings,
    training: &[usize],
    validation: &[usize],
    (journal, identity, attempt): (&Journal, &str, usize),
    observer: &dyn Observer,
    each: &mut dyn FnMut(&EpochRecord, &Curve),
) -> Result<(GrownBase, Option<String>)> {
    let TextTarget { base, sentence, plan, features, strength, labels, classes, .. } = target;
    let device = Device::flex().autodiff();
    let (encoder, only) =
        adapted(encoder_on(sentence, &sentence.encoder, &device)?, plan, settings, &sentence.encoder.names())?;
    let head = match settings.start {
        Start::Random => random_head(classes, features.columns, settings.train.seed),
        Start::Probe => {
            let truth: Vec<usize> = training.iter().map(|&at| labels[at]).collect();
            let weights = if settings.balanced { ClassWeights::Balanced } else { ClassWeights::None };
            fit_head(&features.select(training), &truth, classes, strength, &weights, observer)?
        }
    };
    let mut task = EncoderTask {
        target,
        class_weights: class_weights(labels, training, classes, settings.balanced),
        train: training.to_vec(),
        validation: validation.to_vec(),
        only,
        epochs: settings.train.epochs,
        regularisers: settings.regularisers,
        device: device.clone(),
        observer,
    };
    let model = TunedEncoder { encoder, head: LinearHead::new(&head, &device) };
    let mut checkpoints = journal.checkpoints(identity, attempt);
    let (model, curve) = train(&mut task, model, &settings.train, checkpoints.as_mut(), observer, each)?;
    let head = model.valid().head.numbers();
    head.check()?;
    let encoder = encoder_on(sentence, &model.valid().encoder.merged(), &Device::flex())?;
    let grown = GrownBase { base: with_encoder(base, encoder), head, curve, remarks: Vec::new() };
    let looked_at = looked_at(training);
    let texts: Vec<&Text> = looked_at.iter().map(|&at| target.texts[at]).collect();
    let truth: Vec<usize> = looked_at.iter().map(|&at| labels[at]).collect();
    let failure = failure_in(&grown.logits(&texts)?, &truth, &grown.curve);
    Ok((grown, failure))
}

/// The encoder with low-rank factors where they are asked for, and the rules of what then learns alone.
pub(super) fn adapted(
    encoder: TextEncoder,
    plan: &Plan,
    settings: &TuneSettings,
    names: &[String],
) -> Result<(TextEncoder, Option<Rules>)> {
    let Some(how) = settings.low_rank else { return Ok((encoder, None)) };
    let all = |encoder: &TextEncoder| -> std::collections::BTreeMap<u64, usize> {
        (0..names.len()).flat_map(|stage| encoder.stage_axes(stage)).collect()
    };
    let before = all(&encoder);
    let encoder = encoder.adapted(how, plan.cut()..names.len());
    let rule = Rule { rate: 1.0, weight_decay: settings.train.weight_decay, anchor: 0.0 };
    let new = all(&encoder).into_keys().filter(|id| !before.contains_key(id));
    let rules = Rules(new.map(|id| (id, rule)).collect());
    if rules.0.is_empty() {
        let problem = Problem::new("there is nothing that low-rank factors could learn in place of");
        let problem = problem.expected("linear layers in the stages that learn").found(plan.describe());
        return Err(Error::Usage(problem.hint("choose a deeper --depth, or leave out --lora")));
    }
    Ok((encoder, Some(rules)))
}

/// Multiply-adds of the stages of an encoder for texts of so many tokens on average.
pub(super) fn costs_of(sentence: &SentenceEncoder, tokens: usize) -> Vec<StageCost> {
    sentence.encoder.costs(tokens.max(2))
}

struct EncoderTask<'a> {
    target: TextTarget<'a>,
    class_weights: Vec<f32>,
    train: Vec<usize>,
    validation: Vec<usize>,
    /// Where low-rank factors learn in place of the weights: their parameters.
    only: Option<Rules>,
    epochs: u64,
    regularisers: Regularisers,
    device: Device,
    observer: &'a dyn Observer,
}

impl Task for EncoderTask<'_> {
    type Model = TunedEncoder;

    fn len(&self) -> usize {
        self.train.len()
    }

    fn rules(&self, model: &TunedEncoder, epoch: u64, _weight_decay: f64) -> Rules {
        let mut rules = match &self.only {
            Some(only) => only.clone(),
            None => self.target.plan.rules(&model.encoder, epoch, self.epochs),
        };
        rules.0.extend(LinearHead::rules(&self.target.plan.head));
        rules
    }

    fn statistics(&self) -> Statistics {
        Statistics::Stored
    }

    fn loss(&self, model: &TunedEncoder, shard: &[usize], epoch: u64, pass: &Pass) -> Result<ShardLoss> {
        let TextTarget { plan, states, sentence, labels, classes, .. } = self.target;
        let which: Vec<usize> = shard.iter().map(|&example| self.train[example]).collect();
        let mode = |stage| match plan.learns(stage, epoch, self.epochs) {
            true => Mode::Train(pass),
            false => Mode::Frozen,
        };
        let features = states.features(&model.encoder, sentence, &which, mode, &self.device);
        let drops = pass.drops().copied().expect("the loop's passes say what is drawn");
        let logits = model.head.logits(dropped(features, self.regularisers.dropout, &drops));
        let truth: Vec<usize> = which.iter().map(|&at| labels[at]).collect();
        let correct = count_correct(&logits, &truth);
        let mut targets = vec![0.0; which.len() * classes];
        for (row, &label) in targets.chunks_exact_mut(classes).zip(&truth) {
            give(row, label, self.class_weights[label], self.regularisers.label_smoothing);
        }
        Ok(ShardLoss { loss: cross_entropy(logits, targets), correct })
    }

    fn validate(&self, model: &TunedEncoder) -> Result<Option<Score>> {
        if self.validation.is_empty() {
            return Ok(None);
        }
        let TextTarget { states, sentence, labels, classes, .. } = self.target;
        let plain = model.valid();
        let encoder = plain.encoder.merged();
        let mut logits = Vec::with_capacity(self.validation.len() * classes);
        for batch in self.validation.chunks(BATCH) {
            self.observer.check()?;
            let features = states.features(&encoder, sentence, batch, |_| Mode::Frozen, &Device::flex());
            let values = plain.head.logits(features).into_data().try_to_vec::<f32>();
            logits.extend(values.expect("logits are f32"));
        }
        let truth: Vec<usize> = self.validation.iter().map(|&at| labels[at]).collect();
        Ok(Some(score(&logits, &truth, classes)))
    }

    fn describe(&self, example: usize) -> String {
        let text = self.target.texts[self.train[example]];
        format!("“{}”", text.first.chars().take(60).collect::<String>())
    }
}
