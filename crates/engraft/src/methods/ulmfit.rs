//! ULMFiT (Howard and Ruder 2018): a pretrained language model is fine-tuned on the target's texts, without their labels,
//! and then with a head on its pooled states as a classifier, thawed stage by stage from the last to the first.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::prelude::*;
use burn::tensor::{Device, TensorData};
use engraft_kernels::{Activation, Fused, cross_entropy, linear};
use engraft_weights::{Precision, Tensor as Numbers};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::bases::text::{
    Dropouts, HiddenLayer, LanguageModel, LstmConfig, LstmNetwork, NORM_EPSILON, WordCounts, concat_pool,
    concat_pool_values, frozen_states, normed, padded, states_to,
};
use crate::bases::{DropPathSchedule, Mode, Pass, identity};
use crate::data::text::Text;
use crate::error::{Error, Problem, Result};
use crate::heads::Linear;
use crate::methods::language_model::Windows;
use crate::progress::Observer;
use crate::rng::{permutation, rng};
use crate::train::{Curve, Optimiser, Rule, Rules, Schedule, Score, Settings, ShardLoss, Task, argmax, train};

/// Units of the head's hidden layer, as in the paper.
const HEAD_UNITS: usize = 50;
/// What is dropped of the pooled states and of the hidden layer, before the factor.
const HEAD_DROPOUT: [f64; 2] = [0.4, 0.1];
/// Smaller deviations of a number over the training texts are not scaled up to one: most of them would be noise.
const LEAST_DEVIATION: f64 = 0.3;
/// Units of a layer for which fastai's shares of dropout were found: AWD-LSTM's.
const USUAL_UNITS: f64 = 1150.0;
/// Most bytes of states that are kept at the cut.
const KEPT: usize = 1 << 30;
/// Most words that the target adds to the vocabulary.
const NEW_WORDS: usize = 20_000;
/// Texts of a classifier that run together.
const SHARD: usize = 16;

/// How to fine-tune.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct UlmfitSettings {
    /// Passes of the language model over the target's texts; 0 leaves it as it is.
    pub(crate) language_epochs: u64,
    /// Its peak learning rate.
    pub(crate) language_lr: f64,
    /// Words that it predicts in a window.
    pub(crate) bptt: usize,
    /// A word that the language model does not know joins its vocabulary if the texts have it as often as this.
    pub(crate) min_count: u64,
    /// Passes of the classifier. The head learns in the first, with each next one stage more.
    pub(crate) epochs: u64,
    /// Its peak learning rate, which is the head's.
    pub(crate) lr: f64,
    /// Texts in a step.
    pub(crate) batch_size: usize,
    /// Each stage learns at the rate of the one after it, divided by this.
    pub(crate) rate_factor: f64,
    /// Share of the steps in which the rate rises: the slanted triangle's way up.
    pub(crate) warmup: f64,
    /// Factor of all dropouts. A network with fewer units than AWD-LSTM's 1,150 has fewer to lose: its factor is as much
    /// smaller as the root of their number.
    pub(crate) dropout: f64,
    /// Weight decay.
    pub(crate) weight_decay: f64,
    /// Longest gradient; 0 for any.
    pub(crate) clip: f64,
    /// Most tokens of a text; longer ones keep their beginning and end.
    pub(crate) limit: usize,
    /// Seed of everything that is drawn.
    pub(crate) seed: u64,
}

impl Default for UlmfitSettings {
    fn default() -> Self {
        Self {
            language_epochs: 5,
            language_lr: 4e-3,
            bptt: 64,
            min_count: 2,
            epochs: 8,
            lr: 5e-3,
            batch_size: 32,
            rate_factor: 2.6,
            warmup: 0.1,
            dropout: 0.5,
            weight_decay: 0.01,
            clip: 1.0,
            limit: 400,
            seed: 0,
        }
    }
}

impl UlmfitSettings {
    /// The factor of all dropouts for a network.
    fn dropout_of(&self, config: LstmConfig) -> f64 {
        let units = (0..config.layers).map(|layer| config.sizes(layer)[1]).max().unwrap_or(config.width);
        self.dropout * (units as f64 / USUAL_UNITS).sqrt().min(1.0)
    }

    fn training(&self, epochs: u64, lr: f64, batch_size: usize, shard_size: usize) -> Settings {
        Settings {
            epochs,
            batch_size,
            shard_size,
            optimiser: Optimiser::AdamW,
            lr,
            schedule: Schedule::SlantedTriangular,
            warmup: self.warmup,
            weight_decay: self.weight_decay,
            clip: (self.clip > 0.0).then_some(self.clip),
            seed: self.seed,
            ..Settings::default()
        }
    }
}

/// The head: pooled states, brought to a common scale, through a hidden layer to classes.
///
/// A text's pooled states are brought to mean 0 and deviation 1 first (layer norm, in place of the paper's batch norm: no
/// text depends on its batch, and what follows stays in range while the stages below learn). Then a scale and a shift,
/// which begin such that every number has mean 0 and about deviation 1 over the training texts, and learn.
#[derive(Module, Debug)]
pub(crate) struct LstmHead {
    scale: Param<Tensor<1>>,
    shift: Param<Tensor<1>>,
    hidden: Param<Tensor<2>>,
    hidden_bias: Param<Tensor<1>>,
    output: Param<Tensor<2>>,
    output_bias: Param<Tensor<1>>,
}

impl LstmHead {
    fn of(
        columns: usize,
        classes: usize,
        device: &Device,
        mut values: impl FnMut(&str, &[usize]) -> Option<Vec<f32>>,
    ) -> Option<Self> {
        fn parameter<const D: usize>(
            name: &str,
            shape: [usize; D],
            device: &Device,
            values: &mut impl FnMut(&str, &[usize]) -> Option<Vec<f32>>,
        ) -> Option<Param<Tensor<D>>> {
            let tensor = Tensor::from_data(TensorData::new(values(name, &shape)?, shape), device);
            let tensor = if device.is_autodiff() { tensor.require_grad() } else { tensor };
            Some(Param::initialized(identity(&format!("ulmfit/{name}")), tensor))
        }
        Some(Self {
            scale: parameter("head.scale", [columns], device, &mut values)?,
            shift: parameter("head.shift", [columns], device, &mut values)?,
            hidden: parameter("head.hidden.weight", [columns, HEAD_UNITS], device, &mut values)?,
            hidden_bias: parameter("head.hidden.bias", [HEAD_UNITS], device, &mut values)?,
            output: parameter("head.output.weight", [HEAD_UNITS, classes], device, &mut values)?,
            output_bias: parameter("head.output.bias", [classes], device, &mut values)?,
        })
    }

    /// A head on rows of this mean and deviation, whose layers are random (He et al. 2015).
    fn random(rows: &[Vec<f32>], classes: usize, seed: u64, device: &Device) -> Self {
        let rows: Vec<Vec<f32>> = rows.iter().map(|row| normed(row)).collect();
        let columns = rows[0].len();
        let count = rows.len() as f64;
        let (mut mean, mut square) = (vec![0.0f64; columns], vec![0.0f64; columns]);
        for row in &rows {
            for ((mean, square), x) in mean.iter_mut().zip(&mut square).zip(row) {
                *mean += f64::from(*x) / count;
                *square += f64::from(*x) * f64::from(*x) / count;
            }
        }
        let deviations = || {
            mean.iter().zip(&square).map(|(mean, square)| (square - mean * mean).max(0.0).sqrt().max(LEAST_DEVIATION))
        };
        Self::of(columns, classes, device, |name, shape| {
            Some(match name {
                "head.scale" => deviations().map(|deviation| (1.0 / deviation) as f32).collect(),
                "head.shift" => {
                    mean.iter().zip(deviations()).map(|(mean, deviation)| (-mean / deviation) as f32).collect()
                }
                _ if shape.len() == 1 => vec![0.0; shape[0]],
                name => {
                    let mut stream = rng(seed, &format!("init/{name}"), 0);
                    let most = (3.0 / shape[0] as f32).sqrt();
                    (0..shape[0] * shape[1]).map(|_| stream.random_range(-most..most)).collect()
                }
            })
        })
        .expect("every number is there")
    }

    /// `[N, columns]` to logits `[N, classes]`.
    fn forward(&self, x: Tensor<2>, drops: Option<&DropPathSchedule>, factor: f64) -> Tensor<2> {
        let [pooled, hidden] = HEAD_DROPOUT.map(|share| (share * factor).min(0.95));
        let centred = x.clone() - x.mean_dim(1);
        let deviation = centred.clone().square().mean_dim(1).add_scalar(NORM_EPSILON).sqrt();
        let x = centred / deviation * self.scale.val().unsqueeze() + self.shift.val().unsqueeze();
        let x = drop_units(x, pooled, drops, "pooled");
        let fused = Fused { bias: Some(self.hidden_bias.val()), residual: None, activation: Activation::Relu };
        let x = drop_units(linear(x, self.hidden.val(), fused), hidden, drops, "hidden");
        let fused = Fused { bias: Some(self.output_bias.val()), residual: None, activation: Activation::None };
        linear(x, self.output.val(), fused)
    }

    /// What gives features, and the linear classifier on these.
    pub(crate) fn split(&self) -> (HiddenLayer, Linear) {
        let values = |name: &str| self.tensors()[name].values.clone();
        let hidden = HiddenLayer {
            scale: values("head.scale"),
            shift: values("head.shift"),
            weight: values("head.hidden.weight"),
            bias: values("head.hidden.bias"),
        };
        let (columns, intercepts) = (hidden.bias.len(), values("head.output.bias"));
        let classes = intercepts.len();
        let output = values("head.output.weight");
        let turned = (0..classes).flat_map(|class| (0..columns).map(move |column| (class, column)));
        let weights = turned.map(|(class, column)| f64::from(output[column * classes + class])).collect();
        let intercepts = intercepts.into_iter().map(f64::from).collect();
        (hidden, Linear { outputs: classes, columns, weights, intercepts })
    }

    fn axes(&self) -> [(u64, usize); 6] {
        [
            (self.scale.id.val(), 1),
            (self.shift.id.val(), 1),
            (self.hidden.id.val(), 2),
            (self.hidden_bias.id.val(), 1),
            (self.output.id.val(), 2),
            (self.output_bias.id.val(), 1),
        ]
    }

    fn tensors(&self) -> BTreeMap<String, Numbers> {
        fn numbers<const D: usize>(parameter: &Param<Tensor<D>>) -> Numbers {
            let values = parameter.val().into_data().try_to_vec().expect("parameters are f32");
            Numbers { shape: parameter.dims().to_vec(), values, precision: Precision::F32 }
        }
        [
            ("head.scale", numbers(&self.scale)),
            ("head.shift", numbers(&self.shift)),
            ("head.hidden.weight", numbers(&self.hidden)),
            ("head.hidden.bias", numbers(&self.hidden_bias)),
            ("head.output.weight", numbers(&self.output)),
            ("head.output.bias", numbers(&self.output_bias)),
        ]
        .map(|(name, tensor)| (name.to_owned(), tensor))
        .into()
    }
}

fn drop_units(x: Tensor<2>, share: f64, drops: Option<&DropPathSchedule>, purpose: &str) -> Tensor<2> {
    let Some(drops) = drops.filter(|_| share > 0.0) else { return x };
    let [n, width] = x.dims();
    let kept = (1.0 / (1.0 - share)) as f32;
    let values: Vec<f32> = (0..n)
        .flat_map(|row| {
            let mut stream = rng(drops.seed, &format!("dropout/head/{purpose}/{}", drops.first + row), drops.step);
            (0..width).map(move |_| if stream.random::<f64>() < share { 0.0 } else { kept }).collect::<Vec<_>>()
        })
        .collect();
    let mask = Tensor::<2>::from_data(TensorData::new(values, [n, width]), &x.device());
    x * mask
}

/// A language model that was made a classifier of texts.
#[derive(Debug, Clone)]
pub(crate) struct TunedLstm {
    /// The fine-tuned language model.
    pub(crate) model: LanguageModel,
    /// Its head.
    pub(crate) head: LstmHead,
    /// Most tokens of a text.
    pub(crate) limit: usize,
    /// Learning curves of the language model, where it was trained, and of the classifier.
    pub(crate) curves: [Curve; 2],
}

impl TunedLstm {
    /// Logits of texts, `[texts, classes]`. None depends on the texts beside it.
    #[cfg(test)]
    pub(crate) fn logits(&self, texts: &[&Text]) -> Vec<f32> {
        if texts.is_empty() {
            return Vec::new();
        }
        let rows = self.embed(texts).concat();
        let head = self.head.valid();
        let shape = [texts.len(), self.model.columns()];
        let x = Tensor::<2>::from_data(TensorData::new(rows, shape), &head.scale.val().device());
        head.forward(x, None, 0.0).into_data().try_into_vec().expect("logits are f32")
    }

    /// Pooled states of texts, as the head takes them.
    #[cfg(test)]
    pub(crate) fn embed(&self, texts: &[&Text]) -> Vec<Vec<f32>> {
        self.model.embed(texts, self.limit)
    }
}

/// Makes a classifier of `texts[train]` from a language model. Texts outside `train` are not looked at.
///
/// # Errors
/// [`Error::Usage`] for settings that are invalid, [`Error::Data`] without a text, and as [`train()`].
pub(crate) fn tune_lstm(
    base: &LanguageModel,
    texts: &[&Text],
    labels: &[usize],
    classes: usize,
    train_part: &[usize],
    settings: &UlmfitSettings,
    observer: &dyn Observer,
) -> Result<TunedLstm> {
    if train_part.is_empty() || classes == 0 || settings.limit < 2 || settings.batch_size < 2 || settings.bptt < 4 {
        let problem = Problem::new("nothing to fine-tune").expected(
            "a text, a class, a limit of at least 2 tokens, at least 2 texts in a step, windows of at least 4 words",
        );
        let found = format!(
            "{} texts, {classes} classes, limit {}, {} in a step, windows of {}",
            train_part.len(),
            settings.limit,
            settings.batch_size,
            settings.bptt
        );
        return Err(Error::Usage(problem.found(found)));
    }
    let device = Device::flex().autodiff();
    let mine: Vec<&Text> = train_part.iter().map(|&text| texts[text]).collect();
    let mut model = base.clone();
    let mut language_curve = Curve::default();
    if settings.language_epochs > 0 {
        (model, language_curve) = tune_language(model, &mine, settings, &device, observer)?;
    }
    let (encoded, _) = model.encode(&mine, settings.limit);
    let encoded: Vec<&[u32]> = encoded.iter().map(Vec::as_slice).collect();
    let frozen = model.network.valid();
    let width = frozen.config().width;
    let rows: Vec<Vec<f32>> =
        frozen_states(&frozen, &encoded).iter().map(|states| concat_pool_values(states, width)).collect();
    let head = LstmHead::random(&rows, classes, settings.seed, &device);
    let dropout = settings.dropout_of(frozen.config());
    let mut task = Classify {
        encoded: &encoded,
        labels: train_part.iter().map(|&text| labels[text]).collect(),
        settings,
        dropouts: Dropouts::CLASSIFIER.scaled(dropout),
        dropout,
        stages: frozen.config().layers + 1,
        base: frozen,
        kept: None,
        device: device.clone(),
    };
    let network = model.clone().onto(&device).network;
    let training = settings.training(settings.epochs, settings.lr, settings.batch_size, SHARD.min(settings.batch_size));
    observer.begin("fine-tuning", settings.epochs * task.len() as u64, "texts");
    let start = LstmClassifier { network, head };
    let (tuned, curve) = train(&mut task, start, &training, None, observer, |_, _| ())?;
    observer.end();
    model.network = tuned.network.valid();
    let head = tuned.head.valid();
    Ok(TunedLstm { model, head, limit: settings.limit, curves: [language_curve, curve] })
}

/// Fine-tunes the language model on the texts, whose frequent words it learns too.
fn tune_language(
    model: LanguageModel,
    texts: &[&Text],
    settings: &UlmfitSettings,
    device: &Device,
    observer: &dyn Observer,
) -> Result<(LanguageModel, Curve)> {
    let mut counts = WordCounts::default();
    for text in texts {
        counts.add(&text.first);
        text.second.iter().for_each(|second| counts.add(second));
    }
    let mut model = model.extended(counts.frequent(settings.min_count.max(1), NEW_WORDS), device);
    // Texts of a class often stand together: their order would be learnt.
    let order = permutation(texts.len(), settings.seed, "ulmfit/texts", 0);
    let ids: Vec<u32> = order.into_iter().flat_map(|text| model.vocabulary.encode(texts[text])).collect();
    let bptt = settings.bptt.min(ids.len() / 4);
    if bptt < 4 {
        observer.say("the texts are too short to fine-tune the language model on them: it stays as it is");
        return Ok((model.onto(&Device::flex()), Curve::default()));
    }
    let mut task = Windows::new(&ids, &[], bptt, &model.network, observer)?;
    task.dropouts = Dropouts::LANGUAGE_MODEL.scaled(settings.dropout_of(model.network.config()));
    task.rate_factor = settings.rate_factor;
    task.seed = settings.seed;
    let shard = task.shard_size(&model.network, settings.batch_size);
    let training = settings.training(settings.language_epochs, settings.language_lr, settings.batch_size, shard);
    observer.begin("fine-tuning the language model", settings.language_epochs * task.len() as u64, "windows");
    let (network, curve) = train(&mut task, model.network, &training, None, observer, |_, _| ())?;
    observer.end();
    model.network = network;
    Ok((model.onto(&Device::flex()), curve))
}

/// What is trained: network and head together.
#[derive(Module, Debug)]
struct LstmClassifier {
    network: LstmNetwork,
    head: LstmHead,
}

/// Labelled texts, and the states that frozen stages give for them.
struct Classify<'a> {
    encoded: &'a [&'a [u32]],
    labels: Vec<usize>,
    settings: &'a UlmfitSettings,
    dropouts: Dropouts,
    /// Their factor, for the head's.
    dropout: f64,
    /// Stages with parameters: the embedding and the layers.
    stages: usize,
    /// The language model as it was before: frozen stages are its own.
    base: LstmNetwork,
    /// The first stage that learns, and the states before it of each text.
    kept: Option<(usize, Vec<Vec<f32>>)>,
    device: Device,
}

/// The first stage that learns in an epoch: in the first epoch it is none, with each next one it is one more, and in the
/// last all of them learn.
fn first_learning(stages: usize, epoch: u64, epochs: u64) -> usize {
    let stages = stages as u64;
    // Where there are not enough epochs for one stage in each, several thaw at once.
    let thawed = if epochs > stages { epoch } else { stages * epoch / (epochs - 1).max(1) };
    (stages - thawed.min(stages)) as usize
}

impl Task for Classify<'_> {
    type Model = LstmClassifier;

    fn len(&self) -> usize {
        self.encoded.len()
    }

    fn begin(&mut self, epoch: u64) -> Result<()> {
        let cut = first_learning(self.stages, epoch, self.settings.epochs);
        if self.kept.as_ref().is_some_and(|(kept, _)| *kept == cut) {
            return Ok(());
        }
        self.kept = None;
        if cut > 0 {
            let config = self.base.config();
            let width = if cut == 1 { config.width } else { config.sizes(cut - 2)[1] };
            let bytes = 4 * width * self.encoded.iter().map(|text| text.len()).sum::<usize>();
            if bytes <= KEPT {
                self.kept = Some((cut, states_to(&self.base, self.encoded, cut - 1)));
            }
        }
        Ok(())
    }

    fn rules(&self, model: &LstmClassifier, epoch: u64, weight_decay: f64) -> Rules {
        let rule = |rate: f64, (id, axes): (u64, usize)| {
            (id, Rule { rate, weight_decay: if axes > 1 { weight_decay } else { 0.0 }, anchor: 0.0 })
        };
        let mut rules = Rules::default();
        rules.0.extend(model.head.axes().map(|parameter| rule(1.0, parameter)));
        for stage in first_learning(self.stages, epoch, self.settings.epochs)..self.stages {
            let rate = self.settings.rate_factor.powi(stage as i32 - self.stages as i32);
            let parameters = model.network.stage_axes(stage).into_iter();
            // The decoder has no part in a classifier.
            rules
                .0
                .extend(parameters.filter(|(_, axes)| stage > 0 || *axes > 1).map(|parameter| rule(rate, parameter)));
        }
        rules
    }

    fn loss(&self, model: &LstmClassifier, shard: &[usize], epoch: u64, pass: &Pass) -> Result<ShardLoss> {
        let cut = first_learning(self.stages, epoch, self.settings.epochs);
        let lengths: Vec<usize> = shard.iter().map(|&text| self.encoded[text].len()).collect();
        let steps = lengths.iter().copied().max().unwrap_or(1);
        let layers = self.stages - 1;
        let mode = |stage: usize| if stage < cut { Mode::Frozen } else { Mode::Train(pass) };
        let mut states = vec![None; layers];
        let x = match &self.kept {
            Some((kept, rows)) if *kept == cut => {
                let width = rows[shard[0]].len() / lengths[0];
                let mut values = Vec::with_capacity(shard.len() * steps * width);
                for (row, &text) in shard.iter().enumerate() {
                    values.extend_from_slice(&rows[text]);
                    values.resize((row + 1) * steps * width, 0.0);
                }
                let x = Tensor::<3>::from_data(TensorData::new(values, [shard.len(), steps, width]), &self.device);
                model.network.layers(x, cut - 1..layers, &mut states, |layer| mode(layer + 1), &self.dropouts)
            }
            _ => {
                let numbers = padded(shard.iter().map(|&text| self.encoded[text]), steps);
                let x = model.network.embed(&numbers, shard.len(), mode(0), &self.dropouts);
                model.network.layers(x, 0..layers, &mut states, |layer| mode(layer + 1), &self.dropouts)
            }
        };
        let logits = model.head.forward(concat_pool(x, &lengths), pass.drops(), self.dropout);
        let classes = logits.dims()[1];
        let values: Vec<f32> = logits.clone().into_data().try_into_vec().expect("logits are f32");
        let right = values.chunks_exact(classes).zip(shard).filter(|(row, text)| argmax(row) == self.labels[**text]);
        let correct = right.count();
        let labels: Vec<Option<u32>> = shard.iter().map(|&text| Some(self.labels[text] as u32)).collect();
        Ok(ShardLoss { loss: cross_entropy(logits, &labels).mean(), correct })
    }

    fn validate(&self, _: &LstmClassifier) -> Result<Option<Score>> {
        Ok(None)
    }
}

#[cfg(test)]
#[path = "ulmfit_tests.rs"]
mod tests;
