//! An LSTM language model's network: AWD-LSTM (Merity, Keskar and Socher 2018).
//!
//! Stages: `embed`, `lstm0` .. , `pool`. The decoder shares the embedding's weights (Inan et al. 2017; Press and Wolf 2017).
//! Dropout, all of it drawn by seed, step and position in the batch, and none of it where a stage is frozen: whole words in
//! the embedding, units that stay dropped over all steps of a sequence (Gal and Ghahramani 2016), and recurrent weights
//! that stay dropped over a step of training ("weight drop").

use std::ops::Range;

use burn::module::{Module, Param};
use burn::prelude::*;
use burn::tensor::TensorData;
use engraft_kernels::{Activation, Fused, LstmState, LstmWeights, linear, lstm};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::bases::parameters::identity;
use crate::bases::stage::{DropPathSchedule, Mode, StageCost};
use crate::rng::rng;

/// Sizes of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LstmConfig {
    /// Words of the vocabulary.
    pub vocabulary: usize,
    /// Numbers of an embedding, and of the last layer's state.
    pub width: usize,
    /// Numbers of the other layers' state.
    pub hidden: usize,
    /// LSTM layers.
    pub layers: usize,
}

impl LstmConfig {
    /// Inputs and state of a layer.
    pub(crate) fn sizes(&self, layer: usize) -> [usize; 2] {
        let inputs = if layer == 0 { self.width } else { self.hidden };
        let state = if layer + 1 == self.layers { self.width } else { self.hidden };
        [inputs, state]
    }
}

/// Shares that are dropped in training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropouts {
    /// Of the words: all of a word's embedding, wherever it stands.
    pub(crate) words: f64,
    /// Of the embeddings' units.
    pub(crate) input: f64,
    /// Of the units between layers.
    pub(crate) hidden: f64,
    /// Of the last layer's units.
    pub(crate) output: f64,
    /// Of the recurrent weights.
    pub(crate) weights: f64,
}

impl Dropouts {
    /// None at all.
    pub const NONE: Self = Self { words: 0.0, input: 0.0, hidden: 0.0, output: 0.0, weights: 0.0 };
    /// fastai's for language models.
    pub(crate) const LANGUAGE_MODEL: Self = Self { words: 0.02, input: 0.25, hidden: 0.15, output: 0.1, weights: 0.2 };
    /// fastai's for classifiers.
    pub(crate) const CLASSIFIER: Self = Self { words: 0.05, input: 0.4, hidden: 0.3, output: 0.4, weights: 0.5 };

    /// All of them, times a factor, and less than 1.
    #[must_use]
    pub(crate) fn scaled(self, factor: f64) -> Self {
        let scaled = |share: f64| (share * factor).clamp(0.0, 0.95);
        Self {
            words: scaled(self.words),
            input: scaled(self.input),
            hidden: scaled(self.hidden),
            output: scaled(self.output),
            weights: scaled(self.weights),
        }
    }
}

/// One LSTM layer.
#[derive(Module, Debug)]
pub(crate) struct LstmLayer {
    /// `[inputs, 4 state]`; the gates i, f, g, o beside each other.
    input: Param<Tensor<2>>,
    /// `[state, 4 state]`
    recurrent: Param<Tensor<2>>,
    /// `[4 state]`
    bias: Param<Tensor<1>>,
}

/// The network of a language model.
#[derive(Module, Debug)]
pub struct LstmNetwork {
    /// `[vocabulary, width]`
    embedding: Param<Tensor<2>>,
    layers: Vec<LstmLayer>,
    /// `[vocabulary]`
    decoder_bias: Param<Tensor<1>>,
    #[module(skip)]
    config: LstmConfig,
}

/// A parameter as a stage in this mode sees it.
fn seen<const D: usize>(parameter: &Param<Tensor<D>>, mode: Mode<'_>) -> Tensor<D> {
    match mode {
        // Burn's `detach` alone keeps a parameter's wish for a gradient.
        Mode::Frozen => parameter.val().detach().set_require_grad(false),
        Mode::Train(_) => parameter.val(),
    }
}

fn drops_of(mode: Mode<'_>) -> Option<DropPathSchedule> {
    match mode {
        Mode::Frozen => None,
        Mode::Train(pass) => pass.drops().copied(),
    }
}

/// Zeros for a share of the numbers, and what keeps the mean for the others.
fn mask(share: f64, count: usize, drops: &DropPathSchedule, purpose: &str, to: &mut Vec<f32>) {
    let kept = (1.0 / (1.0 - share)) as f32;
    let mut stream = rng(drops.seed, purpose, drops.step);
    // Comparing whole numbers: a float for each draw would take twice as long.
    let limit = (share * f64::from(u32::MAX)) as u32;
    to.extend((0..count).map(|_| if stream.random::<u32>() < limit { 0.0 } else { kept }));
}

/// Drops units, the same ones in all steps of a sequence. `x`: `[N, T, D]`.
fn drop_units(x: Tensor<3>, share: f64, drops: Option<DropPathSchedule>, purpose: &str) -> Tensor<3> {
    let Some(drops) = drops.filter(|_| share > 0.0) else { return x };
    let [n, _, width] = x.dims();
    let mut values = Vec::with_capacity(n * width);
    for row in 0..n {
        mask(share, width, &drops, &format!("dropout/{purpose}/{}", drops.first + row), &mut values);
    }
    let mask = Tensor::<3>::from_data(TensorData::new(values, [n, 1, width]), &x.device());
    x * mask
}

impl LstmNetwork {
    /// A network of these sizes with random numbers: embeddings of about length 1, the layers as PyTorch's, and a one in the
    /// forget gates' bias (Jozefowicz, Zaremba and Sutskever 2015).
    ///
    /// At AWD-LSTM's width of 400 such embeddings are within 0.09 of zero, about as its own. Narrow ones that are as near
    /// to zero learn the words' frequencies, and nothing else for a long time.
    pub fn random(config: LstmConfig, seed: u64, device: &Device) -> Self {
        let draw = |name: &str, count: usize, most: f32| -> Vec<f32> {
            let mut stream = rng(seed, &format!("init/{name}"), 0);
            (0..count).map(|_| stream.random_range(-most..most)).collect()
        };
        let tensors = |name: &str, shape: &[usize]| {
            let count = shape.iter().product();
            if name == "encoder.weight" {
                return Some(draw(name, count, (3.0 / config.width as f32).sqrt()));
            }
            if name == "decoder.bias" {
                return Some(vec![0.0; count]);
            }
            let state = if shape.len() == 1 { shape[0] / 4 } else { shape[1] / 4 };
            let mut values = draw(name, count, 1.0 / (state as f32).sqrt());
            if shape.len() == 1 {
                values[state..2 * state].fill(1.0);
            }
            Some(values)
        };
        Self::of(config, device, tensors).expect("every tensor is drawn")
    }

    /// A network of the numbers that `tensors` gives for names and shapes; nothing where one is not given.
    ///
    /// Names are `encoder.weight` `[vocabulary, width]`, `rnns.I.input` `[inputs, 4 state]`, `rnns.I.recurrent`
    /// `[state, 4 state]`, `rnns.I.bias` `[4 state]`, and `decoder.bias` `[vocabulary]`.
    pub(super) fn of(
        config: LstmConfig,
        device: &Device,
        mut tensors: impl FnMut(&str, &[usize]) -> Option<Vec<f32>>,
    ) -> Option<Self> {
        fn parameter<const D: usize>(
            name: &str,
            shape: [usize; D],
            device: &Device,
            tensors: &mut impl FnMut(&str, &[usize]) -> Option<Vec<f32>>,
        ) -> Option<Param<Tensor<D>>> {
            let tensor = Tensor::from_data(TensorData::new(tensors(name, &shape)?, shape), device);
            // A parameter of a plain device cannot carry a gradient.
            let tensor = if device.is_autodiff() { tensor.require_grad() } else { tensor };
            Some(Param::initialized(identity(&format!("language_model/{name}")), tensor))
        }
        let embedding = parameter("encoder.weight", [config.vocabulary, config.width], device, &mut tensors)?;
        let mut layers = Vec::with_capacity(config.layers);
        for layer in 0..config.layers {
            let [inputs, state] = config.sizes(layer);
            layers.push(LstmLayer {
                input: parameter(&format!("rnns.{layer}.input"), [inputs, 4 * state], device, &mut tensors)?,
                recurrent: parameter(&format!("rnns.{layer}.recurrent"), [state, 4 * state], device, &mut tensors)?,
                bias: parameter(&format!("rnns.{layer}.bias"), [4 * state], device, &mut tensors)?,
            });
        }
        let decoder_bias = parameter("decoder.bias", [config.vocabulary], device, &mut tensors)?;
        Some(Self { embedding, layers, decoder_bias, config })
    }

    /// The reverse of [`LstmNetwork::of`]: every tensor with its name and shape.
    pub(super) fn tensors(&self) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        fn numbers<const D: usize>(name: String, parameter: &Param<Tensor<D>>) -> (String, Vec<usize>, Vec<f32>) {
            let shape = parameter.dims().to_vec();
            (name, shape, parameter.val().into_data().try_to_vec().expect("parameters are f32"))
        }
        let mut found = vec![numbers("encoder.weight".into(), &self.embedding)];
        for (index, layer) in self.layers.iter().enumerate() {
            found.push(numbers(format!("rnns.{index}.input"), &layer.input));
            found.push(numbers(format!("rnns.{index}.recurrent"), &layer.recurrent));
            found.push(numbers(format!("rnns.{index}.bias"), &layer.bias));
        }
        found.push(numbers("decoder.bias".into(), &self.decoder_bias));
        found
    }

    /// Its sizes.
    pub(crate) fn config(&self) -> LstmConfig {
        self.config
    }

    /// What each stage gives and costs, for a text of so many tokens.
    pub(crate) fn costs(&self, tokens: usize) -> Vec<StageCost> {
        let config = &self.config;
        let cost = |name: &str, outputs: Vec<usize>, parameters: usize, multiply_adds: usize| StageCost {
            name: name.to_owned(),
            outputs: vec![outputs],
            parameters,
            multiply_adds: multiply_adds as u64,
        };
        let mut costs = vec![cost("embed", vec![tokens, config.width], config.vocabulary * config.width, 0)];
        for layer in 0..config.layers {
            let [inputs, state] = config.sizes(layer);
            let weights = 4 * state * (inputs + state);
            costs.push(cost(&format!("lstm{layer}"), vec![tokens, state], weights + 4 * state, tokens * weights));
        }
        costs.push(cost("pool", vec![3 * config.width], 0, 0));
        costs
    }

    /// Identities of a stage's parameters (`pool` has none), and their axes. The decoder's bias belongs to `embed`,
    /// whose weights the decoder has.
    pub fn stage_axes(&self, stage: usize) -> Vec<(u64, usize)> {
        match stage {
            0 => vec![(self.embedding.id.val(), 2), (self.decoder_bias.id.val(), 1)],
            stage => self.layers.get(stage - 1).map_or_else(Vec::new, |layer| {
                vec![(layer.input.id.val(), 2), (layer.recurrent.id.val(), 2), (layer.bias.id.val(), 1)]
            }),
        }
    }

    /// Stage `embed`: numbers of words, `rows` sequences of equal length one after the other, to `[rows, T, width]`.
    ///
    /// # Panics
    /// If a number is not below the vocabulary's size, or the sequences are not of one length.
    pub fn embed(&self, numbers: &[u32], rows: usize, mode: Mode<'_>, dropouts: &Dropouts) -> Tensor<3> {
        assert!(rows > 0 && numbers.len().is_multiple_of(rows), "{} numbers in {rows} sequences", numbers.len());
        let (steps, width) = (numbers.len() / rows, self.config.width);
        let embedding = seen(&self.embedding, mode);
        let device = embedding.device();
        let indices: Vec<i32> = numbers.iter().map(|&number| number as i32).collect();
        let indices = Tensor::<1, Int>::from_data(indices.as_slice(), &device);
        let x = embedding.select(0, indices).reshape([rows, steps, width]);
        let drops = drops_of(mode);
        let x = match drops.filter(|_| dropouts.words > 0.0) {
            Some(drops) => {
                let mut words = Vec::new();
                mask(dropouts.words, self.config.vocabulary, &drops, "dropout/words", &mut words);
                let kept: Vec<f32> = numbers.iter().map(|&number| words[number as usize]).collect();
                x * Tensor::<3>::from_data(TensorData::new(kept, [rows, steps, 1]), &device)
            }
            None => x,
        };
        drop_units(x, dropouts.input, drops, "input")
    }

    /// Stages `lstmI` of a range of layers, `[N, T, inputs]` to `[N, T, state]`. `states` has what each of all layers
    /// remembers, `None` at a beginning, and gets what it remembers after.
    pub fn layers<'a>(
        &self,
        mut x: Tensor<3>,
        range: Range<usize>,
        states: &mut [Option<LstmState>],
        mode: impl Fn(usize) -> Mode<'a>,
        dropouts: &Dropouts,
    ) -> Tensor<3> {
        for index in range {
            let (layer, mode) = (&self.layers[index], mode(index));
            let drops = drops_of(mode);
            let mut recurrent = seen(&layer.recurrent, mode);
            if let Some(drops) = drops.filter(|_| dropouts.weights > 0.0) {
                let [rows, columns] = recurrent.dims();
                let mut values = Vec::with_capacity(rows * columns);
                mask(dropouts.weights, rows * columns, &drops, &format!("dropout/weights/{index}"), &mut values);
                recurrent = recurrent.clone()
                    * Tensor::<2>::from_data(TensorData::new(values, [rows, columns]), &recurrent.device());
            }
            let weights = LstmWeights { input: seen(&layer.input, mode), recurrent, bias: seen(&layer.bias, mode) };
            let (outputs, state) = lstm(x, weights, states[index].take());
            states[index] = Some(state);
            let share = if index + 1 == self.config.layers { dropouts.output } else { dropouts.hidden };
            x = drop_units(outputs, share, drops, &format!("layer{index}"));
        }
        x
    }

    /// Scores of the next word after each state, `[N, width]` to logits `[N, vocabulary]`.
    pub fn decode(&self, x: Tensor<2>, mode: Mode<'_>) -> Tensor<2> {
        let weight = seen(&self.embedding, mode).transpose();
        let bias = Some(seen(&self.decoder_bias, mode));
        linear(x, weight, Fused { bias, residual: None, activation: Activation::None })
    }
}

/// Stage `pool` in a graph: of each sequence the last state, the largest and the mean of each unit over its steps
/// (Howard and Ruder 2018, section 3.3). `[N, T, D]` to `[N, 3 D]`; steps from a sequence's length on do not count.
///
/// # Panics
/// If there are more or fewer lengths than sequences, or one is 0 or longer than `T`.
pub fn concat_pool(x: Tensor<3>, lengths: &[usize]) -> Tensor<2> {
    let [n, steps, width] = x.dims();
    assert_eq!(lengths.len(), n, "a length for each sequence");
    assert!(lengths.iter().all(|length| (1..=steps).contains(length)), "lengths from 1 to {steps}");
    let weights = |value: &dyn Fn(usize, usize) -> f32| {
        let values: Vec<f32> = lengths
            .iter()
            .flat_map(|&length| (0..steps).map(move |step| (length, step)))
            .map(|(length, step)| value(length, step))
            .collect();
        Tensor::<3>::from_data(TensorData::new(values, [n, steps, 1]), &x.device())
    };
    let last = weights(&|length, step| f32::from(u8::from(step + 1 == length)));
    let mean = weights(&|length, step| if step < length { 1.0 / length as f32 } else { 0.0 });
    let beyond = weights(&|length, step| if step < length { 0.0 } else { -1e30 });
    let last = (x.clone() * last).sum_dim(1).reshape([n, width]);
    let mean = (x.clone() * mean).sum_dim(1).reshape([n, width]);
    let largest = (x + beyond).max_dim(1).reshape([n, width]);
    Tensor::cat(vec![last, largest, mean], 1)
}

/// The same of one sequence's numbers, `[T, D]` to `[3 D]`. No other sequence and no padding has a part in it.
pub fn concat_pool_values(states: &[f32], width: usize) -> Vec<f32> {
    let last = states[states.len() - width..].to_vec();
    let (mut largest, mut sum) = (vec![f32::NEG_INFINITY; width], vec![0.0f64; width]);
    for state in states.chunks_exact(width) {
        for ((largest, sum), &x) in largest.iter_mut().zip(&mut sum).zip(state) {
            *largest = largest.max(x);
            *sum += f64::from(x);
        }
    }
    let steps = (states.len() / width) as f64;
    let mean = sum.into_iter().map(|sum| (sum / steps) as f32);
    last.into_iter().chain(largest).chain(mean).collect()
}
