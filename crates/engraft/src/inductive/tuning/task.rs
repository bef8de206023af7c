//! One fine-tuning as a task for the training loop: activations at the cut through the stages that learn, to a loss.

use burn::module::Module;
use burn::prelude::*;
use burn::tensor::{Device, TensorData};

use crate::backbone::{Activation, Mode, Network, Pass, Statistics};
use crate::error::Result;
use crate::features::Features;
use crate::head::LogisticRegression;
use crate::inductive::tuning::activations::Activations;
use crate::inductive::tuning::frozen::FrozenPart;
use crate::inductive::tuning::linear_head::{LinearHead, dropped};
use crate::inductive::tuning::mixing::Mixed;
use crate::inductive::tuning::plan::Plan;
use crate::progress::Observer;
use crate::train::{Rules, Score, ShardLoss, Task, argmax, count_correct, cross_entropy};

/// A network and a linear head on its features.
#[derive(Module, Debug)]
pub struct Tuned {
    /// The stages; those before the cut are not run.
    pub network: Network,
    /// The head.
    pub head: LinearHead,
}

impl Tuned {
    /// A network with a head that was solved, or one that is made up.
    pub fn new(network: Network, head: &LogisticRegression, device: &Device) -> Self {
        Self { network, head: LinearHead::new(head, device) }
    }

    /// The head as numbers.
    pub fn head(&self) -> LogisticRegression {
        self.head.numbers()
    }
}

/// What pulls at the answers and features while training.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Regularisers {
    /// Share of the features that are dropped before the head (Srivastava et al. 2014).
    pub dropout: f64,
    /// Pull of the features towards the base's of the same picture: half of this times the mean squared distance
    /// (Li et al. 2019, "DELTA", at the features and with every feature alike).
    pub feature_distance: f64,
    /// Parameter of the Beta distribution of mixup (Zhang et al. 2018), at the cut (Verma et al. 2019); 0 mixes nothing.
    pub mixup: f64,
    /// The same of cutmix (Yun et al. 2019); where both are given they take turns by lot.
    pub cutmix: f64,
    /// Share of each label given to all classes alike.
    pub label_smoothing: f64,
}

/// A fine-tuning on some pictures of a set.
pub struct TuneTask<'a> {
    /// The activations at a later cut, while stages after the plan's cut do not learn yet.
    pub(super) moved: Option<Activations<'a>>,
    /// The activations at the cut of the whole plan.
    pub(super) all: &'a Activations<'a>,
    /// The base before any training, whose stages are run where they do not learn yet.
    pub(super) base: &'a Network,
    pub(super) input: [usize; 2],
    pub(super) labels: &'a [usize],
    pub(super) class_weights: Vec<f32>,
    pub(super) train: Vec<usize>,
    pub(super) validation: Vec<usize>,
    pub(super) plan: &'a Plan,
    /// Where low-rank factors learn in place of the weights: their parameters.
    pub(super) only: Option<Rules>,
    pub(super) epochs: u64,
    pub(super) regularisers: Regularisers,
    /// The base from the current cut to the features, for the distance to them.
    pub(super) reference: Option<FrozenPart>,
    pub(super) device: Device,
    pub(super) observer: &'a dyn Observer,
}

impl<'a> TuneTask<'a> {
    /// What the current epoch starts from.
    fn activations(&self) -> &Activations<'a> {
        self.moved.as_ref().unwrap_or(self.all)
    }

    fn classes(&self) -> usize {
        self.class_weights.len()
    }

    /// Features `[N, D]` of rows at the current cut, with their graph.
    fn features(&self, model: &Tuned, rows: Vec<f32>, n: usize, epoch: u64, pass: &Pass) -> Tensor<2> {
        let columns = rows.len() / n;
        let rows = Tensor::<2>::from_data(TensorData::new(rows, [n, columns]), &self.device);
        let x = Activation::from_rows(rows, self.activations().shapes());
        let mode = |stage| match self.plan.learns(stage, epoch, self.epochs) {
            true => Mode::Train(pass),
            false => Mode::Frozen,
        };
        model.network.forward_each(x, self.activations().cut()..self.plan.stages.len(), mode).vector()
    }

    /// The target distribution of each example: weighted, smoothed, mixed. `[n, classes]`
    fn targets(&self, shard: &[usize], mixed: &Mixed) -> Vec<f32> {
        let (classes, smoothing) = (self.classes(), self.regularisers.label_smoothing);
        let mut targets = vec![0.0; shard.len() * classes];
        let mut give = |row: usize, example: usize, share: f32| {
            let label = self.labels[self.train[example]];
            give(&mut targets[row * classes..][..classes], label, share * self.class_weights[label], smoothing);
        };
        for (row, &example) in shard.iter().enumerate() {
            let share = mixed.share();
            give(row, example, share);
            if share < 1.0 {
                give(row, shard[mixed.partner(row)], 1.0 - share);
            }
        }
        targets
    }
}

/// Gives a share of an example's target distribution to its label, smoothed over all classes.
pub(in crate::inductive) fn give(row: &mut [f32], label: usize, share: f32, smoothing: f64) {
    let (smoothing, classes) = (smoothing as f32, row.len() as f32);
    row.iter_mut().for_each(|target| *target += share * smoothing / classes);
    row[label] += share * (1.0 - smoothing);
}

impl Task for TuneTask<'_> {
    type Model = Tuned;

    fn len(&self) -> usize {
        self.train.len()
    }

    fn begin(&mut self, epoch: u64) -> Result<()> {
        let cut = self.plan.cut_in(epoch, self.epochs);
        if cut != self.activations().cut() {
            // Stages that do not learn yet are still the base's: they are run once for all epochs until the next does.
            let later = cut != self.all.cut();
            self.moved = later.then(|| self.all.run_on(self.base, cut, self.input));
            let rest = cut..self.plan.stages.len();
            self.reference = self.reference.take().map(|_| FrozenPart::new(self.base, rest, self.input));
        }
        Ok(())
    }

    fn rules(&self, model: &Tuned, epoch: u64, _weight_decay: f64) -> Rules {
        let mut rules = match &self.only {
            Some(only) => only.clone(),
            None => self.plan.rules(&model.network, epoch, self.epochs),
        };
        rules.0.extend(LinearHead::rules(&self.plan.head));
        rules
    }

    fn statistics(&self) -> Statistics {
        self.plan.statistics
    }

    fn loss(&self, model: &Tuned, shard: &[usize], epoch: u64, pass: &Pass) -> Result<ShardLoss> {
        let n = shard.len();
        let pictures: Vec<usize> = shard.iter().map(|&example| self.train[example]).collect();
        let rows = self.activations().rows(&pictures, Some(epoch))?;
        let drops = pass.drops().copied().expect("the loop's passes say what is drawn");
        let mixed = Mixed::draw(&self.regularisers, n, &drops).measured(self.activations().shapes());
        let rows = mixed.mix(rows, self.activations().shapes());
        let reference = self.reference.as_ref().map(|part| part.run(&rows));
        let features = self.features(model, rows, n, epoch, pass);
        let distance = reference.map(|reference| {
            let reference = Tensor::<2>::from_data(TensorData::new(reference, features.dims()), &self.device);
            (features.clone() - reference).square().mean()
        });
        let logits = model.head.logits(dropped(features, self.regularisers.dropout, &drops));
        let labels: Vec<usize> = pictures.iter().map(|&picture| self.labels[picture]).collect();
        let correct = count_correct(&logits, &labels);
        let mut loss = cross_entropy(logits, self.targets(shard, &mixed));
        if let Some(distance) = distance {
            loss = loss + distance.mul_scalar(self.regularisers.feature_distance / 2.0);
        }
        Ok(ShardLoss { loss, correct })
    }

    fn validate(&self, model: &Tuned) -> Result<Option<Score>> {
        if self.validation.is_empty() {
            return Ok(None);
        }
        self.observer.check()?;
        let features = self.all.features(&model.valid().network, &self.validation, self.input)?;
        let logits = logits_of(&model.head(), &features);
        let labels: Vec<usize> = self.validation.iter().map(|&picture| self.labels[picture]).collect();
        Ok(Some(score(&logits, &labels, self.classes())))
    }

    fn describe(&self, example: usize) -> String {
        self.all.describe(self.train[example])
    }
}

/// Logits `[rows, classes]` of features.
pub(in crate::inductive) fn logits_of(head: &LogisticRegression, features: &Features) -> Vec<f32> {
    let rows = features.values.chunks_exact(features.columns);
    rows.flat_map(|row| head.logits(row)).map(|z| z as f32).collect()
}

/// Cross-entropy and accuracy of logits `[n, classes]`.
pub(in crate::inductive) fn score(logits: &[f32], labels: &[usize], classes: usize) -> Score {
    let (mut loss, mut correct) = (0.0, 0);
    for (row, &label) in logits.chunks_exact(classes).zip(labels) {
        let most = row.iter().fold(f64::NEG_INFINITY, |most, z| most.max(f64::from(*z)));
        let sum: f64 = row.iter().map(|z| (f64::from(*z) - most).exp()).sum();
        loss += sum.ln() + most - f64::from(row[label]);
        correct += usize::from(argmax(row) == label);
    }
    let n = labels.len().max(1) as f64;
    Score { loss: loss / n, accuracy: correct as f64 / n }
}
