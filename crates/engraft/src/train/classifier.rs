//! A classifier of images: a network and a linear head, trained together.

use burn::module::Module;
use burn::prelude::*;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, TensorData};
use rayon::prelude::*;

use crate::bases::{Mode, Network, OwnClassifier, Pass};
use crate::data::augment::Augment;
use crate::error::Result;
use crate::progress::Observer;
use crate::rng::rng;
use crate::train::curve::Score;
use crate::train::images::TrainingImages;
use crate::train::steps::{ShardLoss, Task};

/// A network and its classifier.
#[derive(Module, Debug)]
pub struct Classifier {
    /// The stages.
    pub network: Network,
    /// Their activations to classes.
    pub head: OwnClassifier,
}

impl Classifier {
    /// Images `[N, H, W, C]` to logits `[N, classes]`.
    pub fn forward(&self, x: Tensor<4>, mode: Mode<'_>) -> Tensor<2> {
        self.network.classify(x, &self.head, mode)
    }
}

/// Images and labels, and what is held out from them.
pub(crate) struct ImageTask<'a> {
    /// The images.
    pub(crate) images: &'a TrainingImages,
    /// Label of every image.
    pub(crate) labels: &'a [usize],
    /// Images to train on.
    pub(crate) train: Vec<usize>,
    /// Images to validate on.
    pub(crate) validation: Vec<usize>,
    /// Random changes to each image in each epoch.
    pub(crate) augment: Augment,
    /// Share of each label's probability given to all classes alike.
    pub(crate) label_smoothing: f64,
    /// Seed of the augmentation.
    pub(crate) seed: u64,
    /// Where to train.
    pub(crate) device: Device,
    /// Hears of interruption while validating.
    pub(crate) observer: &'a dyn Observer,
}

impl Task for ImageTask<'_> {
    type Model = Classifier;

    fn len(&self) -> usize {
        self.train.len()
    }

    fn loss(&self, model: &Classifier, shard: &[usize], epoch: u64, pass: &Pass) -> Result<ShardLoss> {
        let p = self.images.preprocessing();
        let shape = (p.height, p.width, p.channels);
        let mut values = Vec::with_capacity(shard.len() * shape.0 * shape.1 * shape.2);
        let mut labels = Vec::with_capacity(shard.len());
        for &position in shard {
            let image = self.train[position];
            let mut stream = rng(self.seed, &format!("augment/{epoch}"), image as u64);
            let bytes = self.augment.apply(&self.images.bytes(image)?, shape, &mut stream);
            values.extend(p.normalise(&bytes));
            labels.push(self.labels[image]);
        }
        let data = TensorData::new(values, [shard.len(), shape.0, shape.1, shape.2]);
        let logits = model.forward(Tensor::from_data(data, &self.device), Mode::Train(pass));
        let [n, classes] = logits.dims();
        let correct = count_correct(&logits, &labels);
        // The target distribution: smoothed one-hot.
        let uniform = self.label_smoothing as f32 / classes as f32;
        let mut target = vec![uniform; n * classes];
        for (row, &label) in labels.iter().enumerate() {
            target[row * classes + label] += 1.0 - self.label_smoothing as f32;
        }
        Ok(ShardLoss { loss: cross_entropy(logits, target), correct })
    }

    fn validate(&self, model: &Classifier) -> Result<Option<Score>> {
        if self.validation.is_empty() {
            return Ok(None);
        }
        let probabilities = probabilities(model, self.images, &self.validation, self.observer)?;
        let classes = probabilities.len() / self.validation.len();
        let (mut loss, mut correct) = (0.0, 0);
        for (row, &image) in probabilities.chunks_exact(classes).zip(&self.validation) {
            let label = self.labels[image];
            loss -= f64::from(row[label].max(f32::MIN_POSITIVE)).ln();
            correct += usize::from(argmax(row) == label);
        }
        let n = self.validation.len() as f64;
        Ok(Some(Score { loss: loss / n, accuracy: correct as f64 / n }))
    }
}

/// Images that are decoded and run together.
const BATCH: usize = 32;

/// Class probabilities `[images, classes]` of a classifier with everything frozen; no image's answer depends on its
/// neighbours.
pub(crate) fn probabilities(
    model: &Classifier,
    images: &TrainingImages,
    which: &[usize],
    observer: &dyn Observer,
) -> Result<Vec<f32>> {
    let model = model.valid();
    let p = images.preprocessing();
    let program = model.network.compile(0..model.head.cut(), [p.height, p.width], Some(&model.head));
    let classes = program.output_sizes()[0];
    let mut rows = Vec::with_capacity(which.len() * classes);
    for batch in which.chunks(BATCH) {
        observer.check()?;
        let prepared =
            batch.par_iter().map(|&image| Ok(p.normalise(&images.bytes(image)?))).collect::<Result<Vec<Vec<f32>>>>()?;
        let logits = program.run(&[&prepared.concat()], batch.len()).swap_remove(0);
        let logits = Tensor::<2>::from_data(TensorData::new(logits, [batch.len(), classes]), &Device::flex());
        rows.extend(log_softmax(logits, 1).exp().into_data().try_to_vec::<f32>().expect("probabilities are f32"));
    }
    Ok(rows)
}

/// The mean over rows of `-sum_k target_k ln softmax(logits)_k`; both `[n, classes]`.
pub(crate) fn cross_entropy(logits: Tensor<2>, targets: Vec<f32>) -> Tensor<1> {
    let (shape, device) = (logits.dims(), logits.device());
    let targets = Tensor::<2>::from_data(TensorData::new(targets, shape), &device);
    (log_softmax(logits, 1) * targets).sum().mul_scalar(-1.0 / shape[0] as f32)
}

/// How many rows have their largest logit at their label.
pub(crate) fn count_correct(logits: &Tensor<2>, labels: &[usize]) -> usize {
    let classes = logits.dims()[1];
    let values = logits.clone().into_data().try_to_vec::<f32>().expect("logits are f32");
    values.chunks_exact(classes).zip(labels).filter(|(row, label)| argmax(row) == **label).count()
}

/// The position of the largest; of equals the first.
pub(crate) fn argmax(row: &[f32]) -> usize {
    row.iter().enumerate().fold(0, |best, (index, value)| if *value > row[best] { index } else { best })
}
