//! One fine-tuning as a task for the training loop: examples at the cut through the stages that learn, to a loss.

use burn::module::Module;
use burn::prelude::*;
use burn::tensor::{Device, TensorData};

use crate::bases::{Activation, Mode, Network, Pass, Statistics};
use crate::error::Result;
use crate::methods::activations::Activations;
use crate::methods::body::{Body, Tuned};
use crate::methods::frozen::FrozenPart;
use crate::methods::linear_head::{LinearHead, dropped};
use crate::methods::material::AtCut;
use crate::methods::mixing::{Mixed, Regularisers};
use crate::methods::plan::Plan;
use crate::progress::Observer;
use crate::targets::Aims;
use crate::train::{Rules, Score, ShardLoss, Task};

/// A fine-tuning on some examples of a set.
pub(crate) struct TuneTask<'a> {
    /// The activations at a later cut, while stages after the plan's cut do not learn yet.
    pub(super) moved: Option<Activations<'a>>,
    /// The examples at the cut of the whole plan.
    pub(super) all: &'a AtCut<'a>,
    /// The stages before any training, which are run where they do not learn yet; of images alone.
    pub(super) base: Option<&'a Network>,
    /// Rows and columns of images.
    pub(super) input: [usize; 2],
    pub(super) aims: Aims,
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

/// Features of a shard, how its examples were mixed, and the pull towards the base's features.
type Shard = (Tensor<2>, Mixed, Option<Tensor<1>>);

impl<'a> TuneTask<'a> {
    /// What the current epoch starts from, of images.
    fn activations(&self) -> Option<&Activations<'a>> {
        match self.all {
            AtCut::Images(all) => Some(self.moved.as_ref().unwrap_or(all)),
            AtCut::Texts { .. } | AtCut::Tokens { .. } => None,
        }
    }

    /// Features `[N, D]` of examples in an epoch, with their graph.
    fn features(&self, model: &Tuned, examples: &[usize], epoch: u64, pass: &Pass) -> Result<Shard> {
        let n = examples.len();
        let mode = |stage| match self.plan.learns(stage, epoch, self.epochs) {
            true => Mode::Train(pass),
            false => Mode::Frozen,
        };
        let drops = pass.drops().copied().expect("the loop's passes say what is drawn");
        match (&model.body, self.activations(), self.all) {
            (Body::Network(network), Some(activations), _) => {
                let rows = activations.rows(examples, Some(epoch))?;
                let mixed = Mixed::draw(&self.regularisers, n, &drops).measured(activations.shapes());
                let rows = mixed.mix(rows, activations.shapes());
                let reference = self.reference.as_ref().map(|part| part.run(&rows));
                let columns = rows.len() / n;
                let rows = Tensor::<2>::from_data(TensorData::new(rows, [n, columns]), &self.device);
                let x = Activation::from_rows(rows, activations.shapes());
                let features = network.forward_each(x, activations.cut()..self.plan.stages.len(), mode).vector();
                let distance = reference.map(|reference| {
                    let reference = TensorData::new(reference, features.dims());
                    (features.clone() - Tensor::<2>::from_data(reference, &self.device)).square().mean()
                });
                Ok((features, mixed, distance))
            }
            (Body::Encoder(encoder), _, AtCut::Texts { states, sentence, .. }) => {
                Ok((states.features(encoder, sentence, examples, mode, &self.device), Mixed::none(), None))
            }
            _ => unreachable!("stages read examples of their own kind"),
        }
    }
}

/// Units of tokens that are validated together.
const UNITS: usize = 16;

impl TuneTask<'_> {
    /// Logits `[N, T, outputs]` of units of tokens, with their graph where a stage's mode asks for one.
    fn token_logits<'m>(
        &self,
        model: &Tuned,
        units: &[usize],
        mode: impl Fn(usize) -> Mode<'m>,
        device: &Device,
    ) -> Tensor<3> {
        let (Body::Encoder(encoder), AtCut::Tokens { states: Some(states), .. }) = (&model.body, self.all) else {
            unreachable!("only an encoder has tokens")
        };
        let (x, _) = states.token_states(encoder, units, mode, device);
        let [n, steps, width] = x.dims();
        let logits = model.head.logits(x.reshape([n * steps, width]));
        let outputs = logits.dims()[1];
        logits.reshape([n, steps, outputs])
    }
}

impl Task for TuneTask<'_> {
    type Model = Tuned;

    fn len(&self) -> usize {
        self.train.len()
    }

    fn begin(&mut self, epoch: u64) -> Result<()> {
        let cut = self.plan.cut_in(epoch, self.epochs);
        let (AtCut::Images(all), Some(base)) = (self.all, self.base) else { return Ok(()) };
        if self.activations().is_some_and(|activations| activations.cut() != cut) {
            // Stages that do not learn yet are still the base's: they are run once for all epochs until the next does.
            self.moved = (cut != all.cut()).then(|| all.run_on(base, cut, self.input));
            let rest = cut..self.plan.stages.len();
            self.reference = self.reference.take().map(|_| FrozenPart::new(base, rest, self.input));
        }
        Ok(())
    }

    fn rules(&self, model: &Tuned, epoch: u64, _weight_decay: f64) -> Rules {
        let mut rules = match &self.only {
            Some(only) => only.clone(),
            None => self.plan.rules(&model.body, epoch, self.epochs),
        };
        rules.0.extend(LinearHead::rules(&self.plan.head));
        rules
    }

    fn statistics(&self) -> Statistics {
        self.plan.statistics
    }

    fn loss(&self, model: &Tuned, shard: &[usize], epoch: u64, pass: &Pass) -> Result<ShardLoss> {
        let examples: Vec<usize> = shard.iter().map(|&at| self.train[at]).collect();
        let drops = pass.drops().copied().expect("the loop's passes say what is drawn");
        if let AtCut::Tokens { set, .. } = self.all {
            let mode = |stage| match self.plan.learns(stage, epoch, self.epochs) {
                true => Mode::Train(pass),
                false => Mode::Frozen,
            };
            return Ok(set.loss(self.token_logits(model, &examples, mode, &self.device), &examples));
        }
        let (features, mixed, distance) = self.features(model, &examples, epoch, pass)?;
        let logits = model.head.logits(dropped(features, self.regularisers.dropout, &drops));
        // The target of each example: weighted, smoothed, mixed.
        let (outputs, smoothing, share) = (self.aims.outputs(), self.regularisers.label_smoothing, mixed.share());
        let mut targets = vec![0.0; examples.len() * outputs];
        for (row, target) in targets.chunks_exact_mut(outputs).enumerate() {
            self.aims.add_smoothed_target(target, examples[row], share, smoothing);
            if share < 1.0 {
                self.aims.add_smoothed_target(target, examples[mixed.partner(row)], 1.0 - share, smoothing);
            }
        }
        let mut shard = self.aims.loss(logits, targets, &examples);
        if let Some(distance) = distance {
            shard.loss = shard.loss + distance.mul_scalar(self.regularisers.feature_distance / 2.0);
        }
        Ok(shard)
    }

    fn validate(&self, model: &Tuned) -> Result<Option<Score>> {
        if self.validation.is_empty() {
            return Ok(None);
        }
        let model = model.valid();
        if let AtCut::Tokens { set, .. } = self.all {
            let model = Tuned { body: model.body.merged(), head: model.head };
            let (mut loss, mut correct) = (0.0, 0);
            for units in self.validation.chunks(UNITS) {
                self.observer.check()?;
                let logits = self.token_logits(&model, units, |_| Mode::Frozen, &Device::flex());
                let shard = set.loss(logits, units);
                loss += f64::from(shard.loss.into_scalar::<f32>()) * units.len() as f64;
                correct += shard.correct;
            }
            let n = self.validation.len() as f64;
            return Ok(Some(Score { loss: loss / n, accuracy: correct as f64 / n }));
        }
        let body = match self.all {
            // Images run through merged copies anyway.
            AtCut::Images(_) => model.body,
            AtCut::Texts { .. } | AtCut::Tokens { .. } => model.body.merged(),
        };
        let features = self.all.features(&body, &self.validation, self.input, self.observer)?;
        let logits = model.head.numbers().of_features(&features);
        Ok(Some(self.aims.score(&logits, &self.validation)))
    }

    fn describe(&self, example: usize) -> String {
        self.all.describe(self.train[example])
    }
}
