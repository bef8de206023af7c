//! SHOT: a bottleneck that learns from the target alone, under the source's classifier.

use burn::module::Module;
use burn::prelude::*;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, TensorData};

use super::bottleneck::{Adapter, Frame};
use super::centring::Centring;
use super::centroids::nearest_centroids;
use super::certainty::entropies;
use super::dense::{rows, wide};
use super::prior::prior_shift;
use super::trained::{BATCH, FirstAndLast, is_remainder, outcome, run, start_head, value};
use super::{Alignment, Domains, Outcome, before_shift};
use crate::bases::Pass;
use crate::error::Result;
use crate::features::Features;
use crate::train::{Rules, Score, ShardLoss, Task, count_correct, cross_entropy};

/// Weight of the pseudo-labels (Liang et al. 2020, section 4.1).
const PSEUDO: f64 = 0.3;
/// The least share that a class is given: none is impossible.
const LEAST: f64 = 1e-4;
/// Keeps the logarithm of a mean prediction finite.
const TINY: f64 = 1e-8;

/// Source hypothesis transfer (Liang, Hu and Feng 2020, "Do we really need to access the source data? Source hypothesis transfer
/// for unsupervised domain adaptation"), with the target's shares of the classes in place of equal ones: those that are known, or
/// those that the centred answers tell.
pub(super) struct Shot;

impl Alignment for Shot {
    fn name(&self) -> &'static str {
        "shot"
    }

    fn is_trained(&self) -> bool {
        true
    }

    fn adapt(&self, domains: &Domains<'_>) -> Result<Outcome> {
        let frame = Frame::of(domains)?;
        let device = Device::flex().autodiff();
        let adapter = frame.adapter(&start_head(domains), domains.seed, &device);
        let shares = match domains.shares {
            Some(shares) => shares.to_vec(),
            None => {
                let centred = before_shift(domains.head.clone(), &Centring::centre(domains)?);
                prior_shift(&domains.answers(&centred), &domains.source_shares())?.shares
            }
        };
        let mut task = TargetTask::new(&frame.target, &shares, &device);
        let found = run(&mut task, adapter, frame.target.rows, domains);
        outcome(found.and_then(|adapter| frame.head(&adapter)), task.information.told("information loss"))
    }
}

/// A training on the target alone.
pub(super) struct TargetTask<'a> {
    target: &'a Features,
    shares: Vec<f64>,
    /// The class of the nearest centroid of every example, taken anew at the start of each epoch.
    labels: Vec<usize>,
    pub(super) information: FirstAndLast,
    device: Device,
}

impl<'a> TargetTask<'a> {
    /// `target` is standardised; `shares` `[classes]` are those of the target.
    pub(super) fn new(target: &'a Features, shares: &[f64], device: &Device) -> Self {
        let information = FirstAndLast::default();
        Self { target, shares: shares.to_vec(), labels: Vec::new(), information, device: device.clone() }
    }
}

impl Task for TargetTask<'_> {
    type Model = Adapter;

    fn len(&self) -> usize {
        self.target.rows
    }

    fn refresh(&mut self, model: &Adapter) -> Result<()> {
        let model = model.valid();
        let (mut features, mut probabilities) = (Vec::new(), Vec::new());
        let all: Vec<usize> = (0..self.target.rows).collect();
        for some in all.chunks(16 * BATCH) {
            let outputs = model.outputs(rows(self.target, some, &Device::flex()));
            features.extend(wide(outputs.features));
            probabilities.extend(wide(softmax(outputs.logits, 1)));
        }
        self.labels = nearest_centroids(&features, &probabilities, self.shares.len());
        Ok(())
    }

    fn whole_batch(&self) -> bool {
        true
    }

    /// The classifier stays as it is.
    fn rules(&self, model: &Adapter, _epoch: u64, weight_decay: f64) -> Rules {
        Rules::all(&model.bottleneck, weight_decay)
    }

    fn loss(&self, model: &Adapter, shard: &[usize], _epoch: u64, _pass: &Pass) -> Result<ShardLoss> {
        let logits = model.outputs(rows(self.target, shard, &self.device)).logits;
        let labels: Vec<usize> = shard.iter().map(|&at| self.labels[at]).collect();
        let classes = self.shares.len();
        let mut wanted = vec![0.0; shard.len() * classes];
        wanted.chunks_exact_mut(classes).zip(&labels).for_each(|(row, &label)| row[label] = 1.0);
        let correct = count_correct(&logits, &labels);
        let pseudo = cross_entropy(logits.clone(), wanted).mul_scalar(PSEUDO);
        // A mean prediction of few examples is far from the shares by chance.
        let information = match is_remainder(shard.len(), self.target.rows) {
            true => entropies(logits).mean(),
            false => {
                let information = information(logits, &self.shares);
                self.information.note(value(&information));
                information
            }
        };
        Ok(ShardLoss { loss: information + pseudo, correct })
    }

    fn validate(&self, _model: &Adapter) -> Result<Option<Score>> {
        Ok(None)
    }
}

/// The mean entropy of the predictions plus the divergence `KL(mean prediction || shares)`, for logits `[n, classes]`: the
/// information maximisation of SHOT (equation 3), which at equal shares it is but for the constant `ln K`. 0 where all
/// predictions are certain and as frequent as the shares say.
pub(super) fn information(logits: Tensor<2>, shares: &[f64]) -> Tensor<1> {
    let (device, dtype) = (logits.device(), logits.dtype());
    let logs: Vec<f64> = shares.iter().map(|share| share.max(LEAST).ln()).collect();
    let shape = [1, logs.len()];
    let logs = Tensor::<2>::from_data(TensorData::new(logs, shape), (&device, dtype));
    let mean = softmax(logits.clone(), 1).mean_dim(0);
    let divergence = (mean.clone() * (mean.add_scalar(TINY).log() - logs)).sum();
    entropies(logits).mean() + divergence
}
