//! The loop: epochs of shuffled batches, each batch cut into shards that run side by side.
//!
//! A step's gradient is the sum of its shards' gradients in shard order. Shards have a fixed size, so the result is
//! the same bits whatever the number of threads. Batch norm sees one shard at a time ("ghost batch norm", Hoffer et
//! al. 2017); the running statistics move by the whole batch's.

use std::collections::BTreeMap;
use std::time::Instant;

use burn::module::{Module, ModuleVisitor, Param, ParamGroup, ParamId};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamWConfig, GradientsAccumulator, GradientsParams, ModuleOptimizer, SgdConfig};
use burn::prelude::*;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::backbone::{BatchStatistics, Drops, Pass};
use crate::error::{Error, Problem, Result};
use crate::progress::Observer;
use crate::rng::permutation;
use crate::train::curve::{EpochRecord, Score};
use crate::train::schedule::cosine_with_warmup;

/// What moves the parameters.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimiser {
    /// Stochastic gradient descent with momentum 0.9.
    Sgd,
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
    AdamW,
}

/// How to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Passes over the examples.
    pub epochs: u64,
    /// Examples in a step.
    pub batch_size: usize,
    /// Examples that run together; batch norm sees these.
    pub shard_size: usize,
    /// What moves the parameters.
    pub optimiser: Optimiser,
    /// Peak learning rate.
    pub lr: f64,
    /// Share of all steps in which the rate rises.
    pub warmup: f64,
    /// Pull of weights towards zero; not on norms and biases.
    pub weight_decay: f64,
    /// Share of each label's probability given to all classes alike (Szegedy et al. 2016, section 7).
    pub label_smoothing: f64,
    /// Seed of everything that is drawn.
    pub seed: u64,
}

impl Settings {
    /// Settings that train, or what is wrong with them.
    pub fn validate(&self) -> Result<()> {
        let wrong = |what: &str, expected: &str, found: String| {
            Err(Error::Usage(Problem::new(what).expected(expected).found(found)))
        };
        if self.epochs == 0 || self.batch_size == 0 || self.shard_size < 2 {
            let found =
                format!("{} epochs, batches of {}, shards of {}", self.epochs, self.batch_size, self.shard_size);
            return wrong("nothing to train", "at least 1 epoch, batches of at least 1, shards of at least 2", found);
        }
        if !(self.lr.is_finite() && self.lr > 0.0) {
            return wrong("the learning rate makes no sense", "a positive number", self.lr.to_string());
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return wrong(
                "the weight decay makes no sense",
                "zero or a positive number",
                self.weight_decay.to_string(),
            );
        }
        if !(0.0..1.0).contains(&self.label_smoothing) || !(0.0..=1.0).contains(&self.warmup) {
            let found = format!("{} and {}", self.label_smoothing, self.warmup);
            return wrong("label smoothing or warm-up makes no sense", "numbers from 0 to 1", found);
        }
        Ok(())
    }
}

/// The loss of one shard.
pub struct ShardLoss {
    /// Mean over the shard, with its graph.
    pub loss: Tensor<1>,
    /// How many examples were answered rightly.
    pub correct: usize,
}

/// What is trained on what. The loop knows nothing else.
pub trait Task: Sync {
    /// What is trained.
    type Model: Module + Send + Sync + 'static;
    /// Number of examples.
    fn len(&self) -> usize;
    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The loss of a shard of examples in an epoch, in training mode; batch norms note what they saw.
    fn loss(&self, model: &Self::Model, shard: &[usize], epoch: u64, pass: &Pass) -> Result<ShardLoss>;
    /// Moves the running statistics after a step.
    fn settle(&self, model: Self::Model, statistics: &[Vec<BatchStatistics>]) -> Self::Model;
    /// Loss and accuracy on what is held out, if anything is.
    fn validate(&self, model: &Self::Model) -> Result<Option<Score>>;
}

/// Trains `model` on `task`; `each` hears of every finished epoch.
///
/// # Errors
/// A loss that is not a number stops at that step; an interruption at the next one.
pub fn train<T: Task>(
    task: &T,
    mut model: T::Model,
    settings: &Settings,
    observer: &dyn Observer,
    mut each: impl FnMut(&EpochRecord),
) -> Result<(T::Model, Vec<EpochRecord>)> {
    settings.validate()?;
    let examples = task.len();
    let batches = examples.div_ceil(settings.batch_size) as u64;
    let total = settings.epochs * batches;
    let warmup = (settings.warmup * total as f64).round() as u64;
    let mut optimiser = optimiser(&model, settings);
    let mut curve = Vec::new();
    for epoch in 0..settings.epochs {
        let start = Instant::now();
        let order = permutation(examples, settings.seed, "shuffle", epoch);
        let (mut loss, mut correct, mut seen, mut lr) = (0.0f64, 0usize, 0usize, 0.0);
        for (index, batch) in order.chunks(settings.batch_size).enumerate() {
            observer.check()?;
            let step = epoch * batches + index as u64;
            lr = settings.lr * cosine_with_warmup(step, total, warmup);
            let shards = shards_of(batch, settings.shard_size);
            let drops = Drops { seed: settings.seed, step, first: 0, progress: step as f64 / total as f64 };
            let firsts = shards.iter().scan(0, |next, shard| Some(std::mem::replace(next, *next + shard.len())));
            let passes: Vec<(&[usize], Pass)> =
                shards.iter().copied().zip(firsts.map(|first| Pass::dropping(Drops { first, ..drops }))).collect();
            let results: Vec<ShardStep> = passes
                .into_par_iter()
                .map(|(shard, pass)| run_shard(task, &model, shard, pass, batch.len(), epoch))
                .collect::<Result<_>>()?;
            let mut sum = GradientsAccumulator::new();
            let mut statistics = Vec::with_capacity(results.len());
            for result in results {
                if !result.loss.is_finite() {
                    return Err(Error::Training(
                        Problem::new("the loss is not a number")
                            .found(format_args!("{} in epoch {}, step {step}", result.loss, epoch + 1))
                            .hint("use a lower --lr"),
                    ));
                }
                loss += result.loss * result.examples as f64;
                correct += result.correct;
                seen += result.examples;
                sum.accumulate(&model, result.gradients);
                statistics.push(result.statistics);
            }
            model = optimiser.step(lr, model, sum.grads());
            model = task.settle(model, &statistics);
            observer.advance(batch.len() as u64);
        }
        let train = Score { loss: loss / seen as f64, accuracy: correct as f64 / seen as f64 };
        let validation = task.validate(&model)?;
        let record = EpochRecord { epoch: epoch + 1, train, validation, lr, seconds: start.elapsed().as_secs_f64() };
        each(&record);
        curve.push(record);
    }
    Ok((model, curve))
}

struct ShardStep {
    gradients: GradientsParams,
    statistics: Vec<BatchStatistics>,
    loss: f64,
    correct: usize,
    examples: usize,
}

/// One shard forwards and backwards, on a fork of the model whose graph is its own.
fn run_shard<T: Task>(
    task: &T,
    model: &T::Model,
    shard: &[usize],
    pass: Pass,
    batch: usize,
    epoch: u64,
) -> Result<ShardStep> {
    let fork = model.valid().train();
    let ShardLoss { loss, correct } = task.loss(&fork, shard, epoch, &pass)?;
    let value = f64::from(loss.clone().into_scalar::<f32>());
    let share = shard.len() as f64 / batch as f64;
    let gradients = GradientsParams::from_grads(loss.mul_scalar(share).backward(), &fork);
    Ok(ShardStep { gradients, statistics: pass.into_statistics(), loss: value, correct, examples: shard.len() })
}

/// Cuts a batch into shards; a last one of a single example joins the one before, since batch norm needs two.
fn shards_of(batch: &[usize], size: usize) -> Vec<&[usize]> {
    let mut shards: Vec<&[usize]> = batch.chunks(size).collect();
    if shards.len() > 1 && shards.last().is_some_and(|last| last.len() == 1) {
        shards.truncate(shards.len() - 2);
        shards.push(&batch[shards.len() * size..]);
    }
    shards
}

fn optimiser<M: Module>(model: &M, settings: &Settings) -> ModuleOptimizer {
    let plain = ParamGroup::from_ids(vectors(model));
    let decay = settings.weight_decay as f32;
    match settings.optimiser {
        Optimiser::AdamW => {
            let build = |decay: f32| AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(decay).build();
            ModuleOptimizer::from(build(decay)).with_group(plain, build(0.0), None)
        }
        Optimiser::Sgd => {
            let momentum = MomentumConfig::new().with_momentum(0.9).with_dampening(0.0);
            let build = |decay: Option<f32>| {
                SgdConfig::new()
                    .with_momentum(Some(momentum.clone()))
                    .with_weight_decay(decay.map(WeightDecayConfig::new))
                    .build()
            };
            ModuleOptimizer::from(build(Some(decay))).with_group(plain, build(None), None)
        }
    }
}

/// Norms and biases: parameters of one axis.
fn vectors<M: Module>(model: &M) -> Vec<ParamId> {
    struct Collect(BTreeMap<u64, ParamId>);
    impl ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if D == 1 {
                self.0.insert(param.id.val(), param.id);
            }
        }
    }
    let mut collect = Collect(BTreeMap::new());
    model.visit(&mut collect);
    collect.0.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_shard_is_a_single_example_beside_others() {
        let batch: Vec<usize> = (0..33).collect();
        let shards = shards_of(&batch, 16);
        assert_eq!(shards.iter().map(|s| s.len()).collect::<Vec<_>>(), [16, 17]);
        assert_eq!(shards.concat(), batch);
        assert_eq!(shards_of(&batch[..1], 16).len(), 1);
    }
}
