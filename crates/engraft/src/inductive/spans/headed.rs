//! An encoder with a linear head on every token, trained from the states at a cut: what tagging and question answering
//! share.

use burn::module::{Module, Param};
use burn::prelude::*;
use burn::tensor::{Device, TensorData};
use engraft_kernels::{Fused, linear};
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use crate::backbone::text::{Encoded, FrozenEncoder, TextEncoder, TokenBatch};
use crate::backbone::{DropPathSchedule, LoraConfig, Mode, Pass, Statistics, identity};
use crate::error::Result;
use crate::inductive::tuning::Plan;
use crate::progress::Observer;
use crate::rng::rng;
use crate::train::{Curve, EpochRecord, Rule, Rules, Score, Settings, ShardLoss, Task, axes_of, train};

/// Spread of the numbers that a head begins with (Devlin et al. 2019).
const HEAD_SPREAD: f64 = 0.02;
/// Names of the head's parameters.
const HEAD: [&str; 2] = ["span_head.weight", "span_head.bias"];
/// States at the cut are kept while they take no more numbers than this; else they are computed for each batch.
const KEPT: usize = 256 << 20;
/// Texts that are validated together.
const BATCH: usize = 16;

/// An encoder and a linear head.
#[derive(Module, Debug)]
pub struct Headed {
    /// The encoder.
    pub encoder: TextEncoder,
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

/// The head's numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenHead {
    /// `[width, outputs]`
    pub weight: Vec<f32>,
    /// `[outputs]`
    pub bias: Vec<f32>,
}

impl TokenHead {
    /// Small random numbers.
    pub fn random(width: usize, outputs: usize, seed: u64) -> Self {
        let mut stream = rng(seed, "init/span-head", 0);
        let mut draw = || {
            let value: f64 = StandardNormal.sample(&mut stream);
            (value * HEAD_SPREAD) as f32
        };
        Self { weight: (0..width * outputs).map(|_| draw()).collect(), bias: vec![0.0; outputs] }
    }

    /// Logits of states: `[tokens, width]` to `[tokens, outputs]`, every sum in the order of the columns.
    pub fn logits(&self, states: &[f32]) -> Vec<f32> {
        let outputs = self.bias.len();
        let width = self.weight.len() / outputs;
        let mut logits = Vec::with_capacity(states.len() / width * outputs);
        for row in states.chunks_exact(width) {
            let mut sums = self.bias.clone();
            for (x, weights) in row.iter().zip(self.weight.chunks_exact(outputs)) {
                sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += x * weight);
            }
            logits.extend(sums);
        }
        logits
    }
}

impl Headed {
    /// Joins the two.
    pub fn new(encoder: TextEncoder, head: &TokenHead, device: &Device) -> Self {
        let (width, outputs) = (encoder.width(), head.bias.len());
        let weight = Tensor::<2>::from_data(TensorData::new(head.weight.clone(), [width, outputs]), device);
        let bias = Tensor::<1>::from_data(TensorData::new(head.bias.clone(), [outputs]), device);
        let [weight_id, bias_id] = HEAD.map(identity);
        Self { encoder, weight: Param::initialized(weight_id, weight), bias: Param::initialized(bias_id, bias) }
    }

    /// The head's numbers.
    pub fn head(&self) -> TokenHead {
        let numbers = |data: TensorData| data.try_to_vec::<f32>().expect("parameters are f32");
        TokenHead { weight: numbers(self.weight.val().into_data()), bias: numbers(self.bias.val().into_data()) }
    }
}

/// What tokens are to give.
pub trait TokenTargets: Sync {
    /// The loss of logits `[N, T, outputs]` of some examples, mean over them, and how many were answered rightly. Tokens
    /// after an example's own are padding.
    fn loss(&self, logits: Tensor<3>, examples: &[usize]) -> ShardLoss;
    /// An example in words.
    fn describe(&self, example: usize) -> String;
}

/// What is trained on what.
#[derive(Clone, Copy)]
pub struct TokenData<'a> {
    /// The base before any training.
    pub base: &'a TextEncoder,
    /// Every example's tokens.
    pub texts: &'a [Encoded],
    /// What they are to give.
    pub targets: &'a dyn TokenTargets,
    /// What learns.
    pub plan: &'a Plan,
    /// The token that fills texts up.
    pub padding: u32,
    /// Share of the states that are dropped before the head.
    pub dropout: f64,
    /// Low-rank factors in place of the weights of stages that learn.
    pub low_rank: Option<LoraConfig>,
    /// The states at the plan's cut, where they are kept.
    pub kept: Option<&'a [Vec<f32>]>,
}

/// Runs what no training changes once: the states of all texts at a cut. None where nothing is before the cut, or the
/// states would take too much memory.
pub fn keep_states(
    base: &TextEncoder,
    texts: &[Encoded],
    cut: usize,
    observer: &dyn Observer,
) -> Result<Option<Vec<Vec<f32>>>> {
    let numbers: usize = texts.iter().map(|text| text.ids.len() * base.width()).sum();
    if cut == 0 || numbers > KEPT {
        return Ok(None);
    }
    let frozen = FrozenEncoder::new(base);
    let cut = cut.min(base.stages().len() - 1);
    observer.begin("encoding", texts.len() as u64, "texts");
    let mut kept = Vec::with_capacity(texts.len());
    for texts in texts.chunks(BATCH) {
        observer.check()?;
        kept.extend(frozen.states(&texts.iter().collect::<Vec<_>>(), cut));
        observer.advance(texts.len() as u64);
    }
    observer.end();
    Ok(Some(kept))
}

/// Trains an encoder and a new head of `outputs` numbers a token on the examples `training`; `validation` is measured for
/// the curve alone. Equal arguments give equal bits.
pub fn train_headed(
    data: TokenData<'_>,
    outputs: usize,
    settings: &Settings,
    training: &[usize],
    validation: &[usize],
    observer: &dyn Observer,
    name: &str,
) -> Result<(TextEncoder, TokenHead, Curve)> {
    let device = Device::flex().autodiff();
    let TokenData { base, plan, .. } = data;
    let cut = plan.cut();
    let mut only = None;
    let mut encoder = base.clone();
    if let Some(how) = data.low_rank {
        let before = axes_of(&encoder);
        encoder = encoder.adapted(how, cut.min(plan.stages.len())..plan.stages.len());
        let rule = Rule { rate: 1.0, weight_decay: settings.weight_decay, anchor: 0.0 };
        let new = axes_of(&encoder).into_keys().filter(|id| !before.contains_key(id));
        only = Some(Rules(new.map(|id| (id, rule)).collect()));
    }
    let head = TokenHead::random(base.width(), outputs, settings.seed);
    let model = Headed::new(encoder, &head, &Device::flex()).unfreeze().train();
    let mut task = TokenTask {
        data,
        frozen: FrozenEncoder::new(base),
        moved: None,
        cut: usize::MAX,
        only,
        training: training.to_vec(),
        validation: validation.to_vec(),
        epochs: settings.epochs,
        device,
        observer,
    };
    let total = settings.epochs * training.len() as u64;
    observer.begin(name, total, "texts");
    let mut each = |_: &EpochRecord, curve: &Curve| {
        let points: Vec<_> = curve.epochs.iter().map(Into::into).collect();
        observer.curve(name, &points);
    };
    let (model, curve) = train(&mut task, model, settings, None, observer, &mut each)?;
    observer.end();
    let model = model.valid();
    let head = model.head();
    Ok((model.encoder.merged(), head, curve))
}

struct TokenTask<'a> {
    data: TokenData<'a>,
    frozen: FrozenEncoder,
    /// States at a later cut than the plan's, by example, while the stages between do not learn yet.
    moved: Option<Vec<Vec<f32>>>,
    /// The cut of this epoch.
    cut: usize,
    only: Option<Rules>,
    training: Vec<usize>,
    validation: Vec<usize>,
    epochs: u64,
    device: Device,
    observer: &'a dyn Observer,
}

impl TokenTask<'_> {
    /// Stages that tokens go through: all but the pooling.
    fn last_stage(&self) -> usize {
        self.data.plan.stages.len() - 1
    }

    /// The cut of the whole plan.
    fn first_cut(&self) -> usize {
        self.data.plan.cut().min(self.last_stage())
    }

    /// States at the cut of this epoch, where they are kept.
    fn kept(&self) -> Option<&[Vec<f32>]> {
        match &self.moved {
            Some(moved) => Some(moved),
            None => self.data.kept.filter(|_| self.cut == self.first_cut()),
        }
    }

    /// States `[N, T, width]` at the cut of some examples, filled up with zeros.
    fn states_at_cut(&self, examples: &[usize], device: &Device) -> Tensor<3> {
        let width = self.data.base.width();
        let texts: Vec<&Encoded> = examples.iter().map(|&example| &self.data.texts[example]).collect();
        let longest = texts.iter().map(|text| text.ids.len()).max().unwrap_or(0);
        let kept = self.kept();
        let computed = if kept.is_some() { Vec::new() } else { self.frozen.states(&texts, self.cut) };
        let mut values = vec![0.0; examples.len() * longest * width];
        for (row, &example) in examples.iter().enumerate() {
            let states = kept.map_or_else(|| &computed[row], |kept| &kept[example]);
            values[row * longest * width..][..states.len()].copy_from_slice(states);
        }
        Tensor::from_data(TensorData::new(values, [examples.len(), longest, width]), device)
    }

    /// Logits `[N, T, outputs]` of some examples, with their graph where `pass` is given.
    fn logits(&self, model: &Headed, examples: &[usize], epoch: u64, pass: Option<&Pass>) -> Tensor<3> {
        let device = if pass.is_some() { self.device.clone() } else { Device::flex() };
        let texts: Vec<&Encoded> = examples.iter().map(|&example| &self.data.texts[example]).collect();
        let batch = TokenBatch::new(&texts, self.data.padding, &device);
        let mode = |stage: usize| match pass {
            Some(pass) if self.data.plan.learns(stage, epoch, self.epochs) => Mode::Train(pass),
            _ => Mode::Frozen,
        };
        let x = match self.cut {
            0 => model.encoder.embed(&batch, mode(0)),
            _ => self.states_at_cut(examples, &device),
        };
        let first = self.cut.max(1) - 1;
        let x = model.encoder.blocks(x, &batch, first..self.last_stage() - 1, |block| mode(block + 1));
        let x = match pass.and_then(Pass::drops) {
            Some(drops) => dropped(x, self.data.dropout, drops, &device),
            None => x,
        };
        linear(x, model.weight.val(), Fused { bias: Some(model.bias.val()), ..Fused::default() })
    }
}

impl Task for TokenTask<'_> {
    type Model = Headed;

    fn len(&self) -> usize {
        self.training.len()
    }

    fn begin(&mut self, epoch: u64) -> Result<()> {
        let cut = self.data.plan.cut_in(epoch, self.epochs).min(self.last_stage());
        if cut == self.cut {
            return Ok(());
        }
        self.cut = cut;
        self.moved = None;
        let first = self.first_cut();
        if let Some(kept) = self.data.kept.filter(|_| cut > first) {
            // Stages that do not learn yet are still the base's: they are run once for all epochs until the next does.
            let mut moved = vec![Vec::new(); self.data.texts.len()];
            let wanted: Vec<usize> = self.training.iter().chain(&self.validation).copied().collect();
            for examples in wanted.chunks(BATCH) {
                self.observer.check()?;
                let states: Vec<&[f32]> = examples.iter().map(|&example| kept[example].as_slice()).collect();
                for (&example, states) in examples.iter().zip(self.frozen.states_from(&states, first..cut)) {
                    moved[example] = states;
                }
            }
            self.moved = Some(moved);
        }
        Ok(())
    }

    fn rules(&self, model: &Headed, epoch: u64, _weight_decay: f64) -> Rules {
        let mut rules = match &self.only {
            Some(only) => only.clone(),
            None => self.data.plan.rules(&model.encoder, epoch, self.epochs),
        };
        let [weight, bias] = HEAD.map(|name| identity(name).val());
        rules.0.insert(weight, self.data.plan.head.rule(2));
        rules.0.insert(bias, self.data.plan.head.rule(1));
        rules
    }

    fn statistics(&self) -> Statistics {
        Statistics::Stored
    }

    fn loss(&self, model: &Headed, shard: &[usize], epoch: u64, pass: &Pass) -> Result<ShardLoss> {
        let examples: Vec<usize> = shard.iter().map(|&at| self.training[at]).collect();
        let logits = self.logits(model, &examples, epoch, Some(pass));
        Ok(self.data.targets.loss(logits, &examples))
    }

    fn validate(&self, model: &Headed) -> Result<Option<Score>> {
        if self.validation.is_empty() {
            return Ok(None);
        }
        let model = model.valid();
        let (mut loss, mut correct) = (0.0, 0);
        for examples in self.validation.chunks(BATCH) {
            self.observer.check()?;
            let logits = self.logits(&model, examples, self.epochs - 1, None);
            let shard = self.data.targets.loss(logits, examples);
            loss += f64::from(shard.loss.into_scalar::<f32>()) * examples.len() as f64;
            correct += shard.correct;
        }
        let n = self.validation.len() as f64;
        Ok(Some(Score { loss: loss / n, accuracy: correct as f64 / n }))
    }

    fn describe(&self, example: usize) -> String {
        self.data.targets.describe(self.training[example])
    }
}

/// Zeroes a share of numbers, and scales the others up for it (Srivastava et al. 2014). What is drawn depends on the
/// example's place in the step, and on its own length, alone.
pub(super) fn dropped(x: Tensor<3>, share: f64, drops: &DropPathSchedule, device: &Device) -> Tensor<3> {
    use rand::RngExt;
    if share == 0.0 {
        return x;
    }
    let [n, steps, columns] = x.dims();
    let keep = 1.0 - share;
    let factors: Vec<f32> = (drops.first..drops.first + n)
        .into_par_iter()
        .flat_map_iter(|place| {
            let mut stream = rng(drops.seed, &format!("dropout/{place}/{columns}"), drops.step);
            (0..steps * columns).map(move |_| if stream.random::<f64>() < keep { (1.0 / keep) as f32 } else { 0.0 })
        })
        .collect();
    x * Tensor::from_data(TensorData::new(factors, [n, steps, columns]), device)
}

/// A trained encoder and head that answer: every text by itself, so that no answer depends on what is beside it.
#[derive(Debug)]
pub struct TokenReader {
    /// The encoder, for saving.
    pub encoder: TextEncoder,
    /// The head.
    pub head: TokenHead,
    frozen: FrozenEncoder,
    stages: usize,
}

impl TokenReader {
    /// Packs an encoder for answering.
    pub fn new(encoder: TextEncoder, head: TokenHead) -> Self {
        let (frozen, stages) = (FrozenEncoder::new(&encoder), encoder.stages().len() - 1);
        Self { encoder, head, frozen, stages }
    }

    /// Logits of every token of each text, `[tokens, outputs]`.
    pub fn logits(&self, texts: &[&Encoded]) -> Vec<Vec<f32>> {
        let states = self.frozen.states(texts, self.stages);
        states.into_par_iter().map(|states| self.head.logits(&states)).collect()
    }
}
