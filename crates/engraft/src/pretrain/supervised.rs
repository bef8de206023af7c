//! A base of one's own, from labels: the phase before the transfer.

use std::path::Path;

use burn::tensor::Device;
use engraft_weights::{Precision, Weights};

use crate::bases::{Architecture, Base, BaseSpec, Card, Network, NetworkWeights};
use crate::data::Split;
use crate::data::augment::Augment;
use crate::data::image::Limits;
use crate::data::intake::Intake;
use crate::data::split::stratified_folds;
use crate::error::{Error, Problem, Result};
use crate::metrics::{Evaluation, evaluate};
use crate::progress::Observer;
use crate::settings::Pretrain;
use crate::train::{Classifier, EpochRecord, ImageTask, Settings, TrainingImages, probabilities, train};

/// Images that run together in one shard.
const SHARD: usize = 32;

/// A base that was trained, ready to be written.
#[derive(Debug)]
pub struct Pretrained {
    /// The weights as a safetensors file.
    pub(crate) weights: Vec<u8>,
    /// The card, with the weights' SHA-256.
    pub card: Card,
    /// The learning curve.
    pub(crate) curve: Vec<EpochRecord>,
    /// Numbers of the written weights on what was held out.
    pub evaluation: Evaluation,
    /// Images trained on.
    pub examples: usize,
}

/// Trains a base on labelled images. What is held out (`val/`, or a share of each class) chooses nothing: it is
/// measured after every epoch for the curve, and at the end with the weights as written.
pub fn pretrain(
    config: &Pretrain,
    intake: &Intake,
    observer: &dyn Observer,
    mut each: impl FnMut(&EpochRecord),
) -> Result<Pretrained> {
    let architecture =
        Architecture::named(&config.arch).filter(|known| *known != Architecture::ONNX).ok_or_else(|| {
            let known: Vec<&str> = Architecture::ALL.iter().map(|a| a.name()).collect();
            let problem = Problem::new("no such architecture").expected(known.join(" or ")).found(&config.arch);
            Error::Usage(problem.at("--arch").suggest(&config.arch, known.iter().copied()))
        })?;
    let optimiser = config.optimiser;
    if !(0.0..0.9).contains(&config.holdout) {
        let problem = Problem::new("invalid held-out share").expected("at least 0 and less than 0.9");
        return Err(Error::Usage(problem.found(config.holdout)));
    }
    let mut card = Card::usual(architecture, config.id.clone());
    card.description.clone_from(&config.description);
    card.licence.clone_from(&config.licence);
    card.source.clone_from(&config.source);
    card.classes.clone_from(&intake.dataset.classes);
    if config.size > 0 {
        card.preprocessing.scale_to([config.size; 2]);
    }
    card.preprocessing.bit_depth = intake.bit_depth;
    let mut card = card.checked(Path::new("--size"))?;

    let train_split = intake.usable(Split::Train);
    let given = intake.usable(Split::Val);
    let (train_part, held_out) =
        if given.is_empty() { hold_out(intake, &train_split, config) } else { (train_split, given) };
    let which: Vec<usize> = train_part.iter().chain(&held_out).copied().collect();
    let paths = which.iter().map(|&index| intake.dataset.examples[index].source.clone()).collect();
    let images = TrainingImages::new(paths, card.preprocessing.clone(), Limits::default(), observer)?;
    let labels = intake.labels(&which);

    let settings = Settings {
        epochs: config.epochs,
        batch_size: config.batch_size,
        shard_size: SHARD.min(config.batch_size),
        optimiser,
        lr: config.lr,
        warmup: config.warmup,
        weight_decay: config.weight_decay,
        label_smoothing: config.label_smoothing,
        seed: config.seed,
        ..Settings::default()
    };
    let device = Device::flex().autodiff();
    let classes = intake.dataset.classes.len();
    let NetworkWeights { network, classifier, manifest, .. } = Network::random(&card, classes, config.seed, &device);
    let head = classifier.expect("a random network has a classifier");
    let mut task = ImageTask {
        images: &images,
        labels: &labels,
        train: (0..train_part.len()).collect(),
        validation: (train_part.len()..which.len()).collect(),
        augment: Augment { shift: config.shift, flip: config.flip, rotate_degrees: config.rotate, scale: config.zoom },
        label_smoothing: config.label_smoothing,
        seed: config.seed,
        device,
        observer,
    };
    observer.begin("training", config.epochs * train_part.len() as u64, "images");
    let (model, curve) = train(
        &mut task,
        Classifier { network: network.exact(config.exact), head },
        &settings,
        None,
        observer,
        |record, _| each(record),
    )?;
    observer.end();

    let precision = if config.half { Precision::F16 } else { Precision::F32 };
    let mut weights = Weights { tensors: manifest.export(&model, precision), ..Weights::default() };
    weights.metadata.insert("made_by".into(), format!("engraft {}", env!("CARGO_PKG_VERSION")));
    let weights = engraft_weights::write(&weights);
    card.sha256 = Some(crate::files::sha256_hex(&weights));

    // What is measured is what is written: the file is read back, at its precision.
    let base = Base::from_bytes(
        &weights,
        Some(card.clone()),
        &BaseSpec::default(),
        Path::new("the trained base"),
        &Device::flex(),
    )?
    .exact(config.exact);
    let built = base.staged()?;
    let head = built.classifier.clone().expect("the trained base has its classifier");
    let measured = if task.validation.is_empty() { &task.train } else { &task.validation };
    let probabilities =
        probabilities(&Classifier { network: built.network.clone(), head }, &images, measured, observer)?;
    let how = if task.validation.is_empty() {
        "on the training images themselves (nothing was held out): too high"
    } else {
        "held-out images"
    };
    let truth: Vec<usize> = measured.iter().map(|&image| labels[image]).collect();
    let evaluation = evaluate(&probabilities, &truth, classes, config.seed, how)?;
    Ok(Pretrained { weights, card, curve: curve.epochs, evaluation, examples: train_part.len() })
}

/// Splits off a share of every class, duplicates kept together.
fn hold_out(intake: &Intake, train: &[usize], config: &Pretrain) -> (Vec<usize>, Vec<usize>) {
    if config.holdout == 0.0 {
        return (train.to_vec(), Vec::new());
    }
    let parts = (1.0 / config.holdout).round().max(2.0) as usize;
    let groups: Vec<usize> = train.iter().map(|&index| intake.audit.groups[index]).collect();
    let folds = stratified_folds(&intake.labels(train), &groups, parts, config.seed);
    let side = |held: bool| {
        train.iter().zip(&folds).filter(|(_, fold)| (**fold == 0) == held).map(|(index, _)| *index).collect()
    };
    (side(false), side(true))
}
