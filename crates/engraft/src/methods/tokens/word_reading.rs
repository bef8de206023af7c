//! Training a reader on word vectors.

use burn::module::Module;
use burn::tensor::Device;

use super::units::{TokenSet, span_loss};
use crate::bases::{Mode, Pass};
use crate::error::Result;
use crate::heads::{ReaderBatch, ReaderNetwork, ReaderPair, ReaderSizes, WordReader, masked};
use crate::progress::Observer;
use crate::train::{Checkpoints, Curve, EpochRecord, Rules, Score, Settings, ShardLoss, Task, train};

/// Questions that are validated together.
const BATCH: usize = 16;

/// Trains a reader on the examples `training`, of those that can be learnt from; `validation` is measured for the curve alone.
/// Equal arguments give equal bits.
///
/// # Errors
/// Interruption; a loss that is not a number.
pub(crate) fn train_word_reader(
    set: &TokenSet<'_>,
    sizes: ReaderSizes,
    (settings, dropout): (&Settings, f64),
    [training, validation]: [&[usize]; 2],
    checkpoints: Option<&mut Checkpoints>,
    observer: &dyn Observer,
    each: &mut dyn FnMut(&EpochRecord, &Curve),
) -> Result<(WordReader, Curve)> {
    let learnable = |of: &[usize]| -> Vec<usize> { of.iter().copied().filter(|&at| set.pairs[at].is_some()).collect() };
    let device = Device::flex().autodiff();
    let model = ReaderNetwork::random(sizes, settings.seed, &Device::flex()).unfreeze().train();
    let mut task = ReaderTask {
        set,
        training: learnable(training),
        validation: learnable(validation),
        sizes,
        dropout,
        weight_decay: settings.weight_decay,
        device,
        observer,
    };
    let (model, curve) = train(&mut task, model, settings, checkpoints, observer, each)?;
    Ok((WordReader { network: model.valid(), sizes }, curve))
}

struct ReaderTask<'a> {
    set: &'a TokenSet<'a>,
    training: Vec<usize>,
    validation: Vec<usize>,
    sizes: ReaderSizes,
    dropout: f64,
    weight_decay: f64,
    device: Device,
    observer: &'a dyn Observer,
}

impl ReaderTask<'_> {
    fn shard(&self, model: &ReaderNetwork, examples: &[usize], mode: Mode<'_>, device: &Device) -> ShardLoss {
        let pairs: Vec<&ReaderPair> = examples.iter().filter_map(|&at| self.set.pairs[at].as_ref()).collect();
        let batch = ReaderBatch::new(&pairs, self.sizes.columns, device);
        let mask = masked(&batch.lengths[0]);
        let scores = model.forward(&batch, mode, self.dropout, device);
        let spans: Vec<(usize, usize)> = pairs.iter().filter_map(|pair| pair.span).collect();
        span_loss(scores, &mask, &spans)
    }
}

impl Task for ReaderTask<'_> {
    type Model = ReaderNetwork;

    fn len(&self) -> usize {
        self.training.len()
    }

    fn rules(&self, model: &ReaderNetwork, _epoch: u64, _weight_decay: f64) -> Rules {
        Rules::all(model, self.weight_decay)
    }

    fn loss(&self, model: &ReaderNetwork, shard: &[usize], _epoch: u64, pass: &Pass) -> Result<ShardLoss> {
        let examples: Vec<usize> = shard.iter().map(|&at| self.training[at]).collect();
        Ok(self.shard(model, &examples, Mode::Train(pass), &self.device))
    }

    fn validate(&self, model: &ReaderNetwork) -> Result<Option<Score>> {
        if self.validation.is_empty() {
            return Ok(None);
        }
        let (model, mut loss, mut correct) = (model.valid(), 0.0, 0);
        for examples in self.validation.chunks(BATCH) {
            self.observer.check()?;
            let shard = self.shard(&model, examples, Mode::Frozen, &Device::flex());
            loss += f64::from(shard.loss.into_scalar::<f32>()) * examples.len() as f64;
            correct += shard.correct;
        }
        let n = self.validation.len() as f64;
        Ok(Some(Score { loss: loss / n, accuracy: correct as f64 / n }))
    }

    fn describe(&self, example: usize) -> String {
        self.set.name(self.training[example])
    }
}
