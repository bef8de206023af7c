//! Training of a bottleneck and a classifier on cached features of both domains: cross-entropy on the source, and a loss that
//! compares what the bottleneck makes of source and target.

use std::cell::Cell;

use burn::module::Module;
use burn::prelude::*;
use burn::tensor::Device;
use rand::RngExt;
use rand_distr::Distribution;
use rand_distr::weighted::WeightedIndex;

use super::bottleneck::{Adapter, Frame, Outputs};
use super::dense::rows;
use super::discriminator::{Discriminator, reversal};
use super::{Applied, Domains, Outcome, at_shares, class_weights};
use crate::bases::Pass;
use crate::error::{Error, Result};
use crate::heads::Linear;
use crate::progress::Observer;
use crate::rng::rng;
use crate::similarity::sample::sample;
use crate::train::{Optimiser, Schedule, Score, Settings, ShardLoss, Task, count_correct, cross_entropy, train};

/// Examples of each domain in a step: twice what the papers take for images, as a covariance or a confusion of classes is
/// estimated from them.
pub(super) const BATCH: usize = 64;
/// Steps of a training: 20 epochs of 1,000 examples. Fewer examples are gone through more often, so that as much is learnt from
/// them; more examples take longer only once there are more batches than this.
const STEPS: usize = 320;
/// Adam's own rate: a weight of the orthonormal start is about 0.05, and can move by as much within a sixth of the steps.
const RATE: f64 = 1e-3;
/// Share of the steps in which the rate rises: the moments of Adam are not known before.
const WARMUP: f64 = 0.1;

/// What a step's domain loss is made of.
pub(super) struct BothOutputs<'a> {
    pub(super) source: &'a Outputs,
    pub(super) target: &'a Outputs,
    /// Of the adversarial methods.
    pub(super) discriminator: Option<&'a Discriminator>,
    /// The factor of the gradient reversal.
    pub(super) reversal: f64,
}

/// A loss that compares what a bottleneck makes of source and target.
pub(super) trait DomainLoss {
    /// Its value for a batch of both domains, with its graph.
    fn loss(&self, both: &BothOutputs<'_>) -> Tensor<1>;
    /// What it is multiplied by, given the values of the cross-entropy and of itself in the first step. 1 unless the paper says
    /// otherwise.
    fn weight(&self, cross_entropy: f64, domain: f64) -> f64 {
        let _ = (cross_entropy, domain);
        1.0
    }
}

/// Settings of a training on so many examples.
pub(super) fn settings(examples: usize, seed: u64) -> Settings {
    let batches = examples.div_ceil(BATCH).max(1);
    Settings {
        epochs: (STEPS / batches).max(1) as u64,
        batch_size: BATCH,
        shard_size: BATCH,
        optimiser: Optimiser::AdamW,
        lr: RATE,
        schedule: Schedule::Cosine,
        warmup: WARMUP,
        // The start is a regularised head, and the training is short.
        weight_decay: 0.0,
        seed,
        ..Settings::default()
    }
}

/// Whether a batch is a remainder too short for a statistic of it to say much: an epoch ends with it, and a step follows it as
/// far as a whole batch.
pub(super) fn is_remainder(batch: usize, examples: usize) -> bool {
    2 * batch < BATCH.min(examples)
}

/// First and last value of a loss in a training.
#[derive(Debug, Default)]
pub(super) struct FirstAndLast(Cell<Option<[f64; 2]>>);

impl FirstAndLast {
    pub(super) fn note(&self, value: f64) {
        let first = self.0.get().map_or(value, |[first, _]| first);
        self.0.set(Some([first, value]));
    }

    /// In words.
    pub(super) fn told(&self, what: &str) -> Vec<String> {
        self.0.get().iter().map(|[first, last]| format!("{what}: {first:.3} at first, {last:.3} at last")).collect()
    }
}

/// A tensor's only number.
pub(super) fn value(loss: &Tensor<1>) -> f64 {
    f64::from(loss.clone().into_scalar::<f32>())
}

/// A training on both domains.
pub(super) struct BothTask<'a> {
    frame: &'a Frame,
    labels: &'a [usize],
    /// How much an example of each class weighs in the cross-entropy.
    class_weights: Vec<f64>,
    /// Where the target's shares are known.
    at_shares: Option<AtShares>,
    loss: &'a dyn DomainLoss,
    weight: Cell<Option<f64>>,
    pub(super) domain: FirstAndLast,
    device: Device,
}

impl<'a> BothTask<'a> {
    pub(super) fn new(domains: &Domains<'a>, frame: &'a Frame, loss: &'a dyn DomainLoss, device: &Device) -> Self {
        let mut counts = vec![0.0; domains.classes];
        domains.labels.iter().for_each(|&label| counts[label] += 1.0);
        let mut weights = domains.weights.per_class(&counts);
        if let Some(shares) = domains.shares {
            weights.iter_mut().zip(class_weights(domains, shares)).for_each(|(weight, more)| *weight *= more);
        }
        Self {
            frame,
            labels: domains.labels,
            class_weights: weights,
            at_shares: domains.shares.map(|shares| AtShares::new(domains, shares)),
            loss,
            weight: Cell::new(None),
            domain: FirstAndLast::default(),
            device: device.clone(),
        }
    }
}

/// Draws of source examples whose classes are as frequent as the target's: domains are to agree where nothing but the shares of
/// the classes differs.
struct AtShares {
    /// Examples of each class that the source has.
    of_class: Vec<Vec<usize>>,
    shares: WeightedIndex<f64>,
}

impl AtShares {
    fn new(domains: &Domains<'_>, shares: &[f64]) -> Self {
        let mut of_class = vec![Vec::new(); domains.classes];
        domains.labels.iter().enumerate().for_each(|(row, &label)| of_class[label].push(row));
        let weights = class_weights(domains, shares);
        let total = |(of_class, weight): (&Vec<usize>, f64)| of_class.len() as f64 * weight;
        let totals = of_class.iter().zip(weights).map(total);
        let shares = WeightedIndex::new(totals).expect("a source has examples, and no weight is 0");
        Self { of_class, shares }
    }

    /// A batch, with replacement.
    fn draw(&self, seed: u64, step: u64) -> Vec<usize> {
        let mut stream = rng(seed, "source", step);
        let mut one = || {
            let of_class = &self.of_class[self.shares.sample(&mut stream)];
            of_class[stream.random_range(0..of_class.len())]
        };
        (0..BATCH).map(|_| one()).collect()
    }
}

impl Task for BothTask<'_> {
    type Model = Adapter;

    fn len(&self) -> usize {
        self.labels.len()
    }

    fn whole_batch(&self) -> bool {
        true
    }

    fn loss(&self, model: &Adapter, shard: &[usize], _epoch: u64, pass: &Pass) -> Result<ShardLoss> {
        let drops = pass.drops().expect("the loop's passes say what is drawn");
        let source = model.outputs(rows(&self.frame.source, shard, &self.device));
        let classes = self.class_weights.len();
        let mut wanted = vec![0.0; shard.len() * classes];
        let labels: Vec<usize> = shard.iter().map(|&at| self.labels[at]).collect();
        for (row, &label) in wanted.chunks_exact_mut(classes).zip(&labels) {
            row[label] = self.class_weights[label] as f32;
        }
        let correct = count_correct(&source.logits, &labels);
        let loss = cross_entropy(source.logits.clone(), wanted);
        if is_remainder(shard.len(), self.labels.len()) {
            return Ok(ShardLoss { loss, correct });
        }
        // Each domain goes through on its own.
        let drawn = sample(self.frame.target.rows, BATCH, None, &mut rng(drops.seed, "target", drops.step));
        let target = model.outputs(rows(&self.frame.target, &drawn, &self.device));
        let drawn = self.at_shares.as_ref().map(|at| at.draw(drops.seed, drops.step));
        let source = drawn.map_or(source, |drawn| model.outputs(rows(&self.frame.source, &drawn, &self.device)));
        let domain = self.loss.loss(&BothOutputs {
            source: &source,
            target: &target,
            discriminator: model.discriminator.as_ref(),
            reversal: reversal(drops.progress),
        });
        self.domain.note(value(&domain));
        let weight = self.weight.get().unwrap_or_else(|| self.loss.weight(value(&loss), value(&domain)));
        self.weight.set(Some(weight));
        Ok(ShardLoss { loss: loss + domain.mul_scalar(weight), correct })
    }

    fn validate(&self, _model: &Adapter) -> Result<Option<Score>> {
        Ok(None)
    }
}

/// The source's head, for the target's shares where they are known.
pub(super) fn start_head(domains: &Domains<'_>) -> Linear {
    let head = domains.head.clone();
    match domains.shares {
        Some(shares) => at_shares(domains, head, shares),
        None => head,
    }
}

/// Trains from the source's head on, and gives the head for raw features.
///
/// # Errors
/// Interruption; domains of different width. A training that fails is a refusal.
pub(super) fn adapt_both(
    domains: &Domains<'_>,
    discriminator: impl FnOnce(&Frame, &Device) -> Option<Discriminator>,
    loss: impl FnOnce(&Frame) -> Box<dyn DomainLoss>,
) -> Result<Outcome> {
    let frame = Frame::of(domains)?;
    let device = Device::flex().autodiff();
    let mut adapter = frame.adapter(&start_head(domains), domains.seed, &device);
    adapter.discriminator = discriminator(&frame, &device);
    let loss = loss(&frame);
    let mut task = BothTask::new(domains, &frame, &*loss, &device);
    let found = run(&mut task, adapter, domains.labels.len(), domains);
    outcome(found.and_then(|adapter| frame.head(&adapter)), task.domain.told("domain loss"))
}

/// Trains an adapter on so many examples.
pub(super) fn run<T: Task<Model = Adapter>>(
    task: &mut T,
    adapter: Adapter,
    examples: usize,
    domains: &Domains<'_>,
) -> Result<Adapter> {
    let settings = settings(examples, domains.seed);
    let (adapter, _) = train(task, adapter, &settings, None, &Interrupts(domains.observer), |_, _| ())?;
    Ok(adapter.valid())
}

/// A head and notes; a training that failed is a refusal.
pub(super) fn outcome(head: Result<Linear>, notes: Vec<String>) -> Result<Outcome> {
    match head {
        Ok(head) => Ok(Outcome::Applied(Applied::of_head(head, notes))),
        Err(Error::Training(problem) | Error::Weights(problem)) => {
            Ok(Outcome::Refused(format!("training failed: {}", problem.to_string().replace("\n  ", "; "))))
        }
        Err(error) => Err(error),
    }
}

/// Passes on that the user wants to stop, and nothing of a training inside of a method.
pub(super) struct Interrupts<'a>(pub(super) &'a dyn Observer);

impl Observer for Interrupts<'_> {
    fn begin(&self, _: &str, _: u64, _: &str) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
    fn say(&self, _: &str) {}
    fn interrupted(&self) -> bool {
        self.0.interrupted()
    }
}
