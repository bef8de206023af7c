//! A reader on frozen word vectors (Chen et al. 2017, "Reading Wikipedia to Answer Open-Domain Questions", section 3.2):
//! words of the paragraph with what they have in common with the question, LSTMs both ways, and the answer's first and last
//! word by a bilinear form with the question. Parts of speech and entities, which need taggers, are left out.

use std::ops::Range;

use burn::module::{Module, Param};
use burn::prelude::*;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Int, TensorData};
use engraft_kernels::{Activation, Fused, LstmWeights, linear, lstm};
use engraft_weights::{Precision, Tensor as WeightTensor, Weights};
use rand::RngExt;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bases::text::WordVectors;
use crate::bases::{DropPathSchedule, Mode, identity};
use crate::data::text::word_places;
use crate::error::{Error, Problem, Result};
use crate::rng::rng;

/// What a word of the paragraph is told beside its vector: whether the question has it as it is written, or in other
/// letters, and how often the paragraph has it.
const FEATURES: usize = 3;
/// What is added to scores of words that fill texts up.
const NEVER: f32 = -1e9;

/// Sizes of a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReaderSizes {
    /// Numbers of a word's vector.
    pub(crate) columns: usize,
    /// Width of an LSTM, one way.
    pub(crate) hidden: usize,
    /// Layers of LSTMs.
    pub(crate) layers: usize,
}

impl ReaderSizes {
    /// MACs for one word of a paragraph.
    pub fn multiply_adds(&self) -> f64 {
        let (hidden, first) = (self.hidden as f64, (2 * self.columns + FEATURES) as f64);
        let layer = |inputs: f64| 2.0 * 4.0 * hidden * (inputs + hidden);
        layer(first) + (self.layers as f64 - 1.0) * layer(2.0 * hidden) + (self.columns * self.columns) as f64
    }
}

/// An LSTM layer both ways.
#[derive(Module, Debug)]
struct BothWays {
    input: Vec<Param<Tensor<2>>>,
    recurrent: Vec<Param<Tensor<2>>>,
    bias: Vec<Param<Tensor<1>>>,
}

/// The network.
#[derive(Module, Debug)]
pub(crate) struct ReaderNetwork {
    align_weight: Param<Tensor<2>>,
    align_bias: Param<Tensor<1>>,
    paragraph: Vec<BothWays>,
    question: Vec<BothWays>,
    attention: Param<Tensor<2>>,
    start: Param<Tensor<2>>,
    end: Param<Tensor<2>>,
}

/// The words of a text and their vectors.
#[derive(Debug, Clone, PartialEq)]
struct Read {
    places: Vec<Range<usize>>,
    /// `[words, columns]`
    vectors: Vec<f32>,
    lower: Vec<String>,
}

fn read(text: &str, vectors: &WordVectors) -> Read {
    let columns = vectors.columns();
    let mut read = Read { places: Vec::new(), vectors: Vec::new(), lower: Vec::new() };
    for place in word_places(text) {
        let word = &text[place.clone()];
        let lower = word.to_lowercase();
        match vectors.row(word).or_else(|| vectors.row(&lower)) {
            Some(row) => read.vectors.extend_from_slice(row),
            None => read.vectors.extend(std::iter::repeat_n(0.0, columns)),
        }
        read.places.push(place);
        read.lower.push(lower);
    }
    read
}

/// A question and its paragraph, ready for the network.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReaderPair {
    paragraph: Read,
    question: Read,
    /// `[words, FEATURES]`
    features: Vec<f32>,
    /// First and last word of the right answer, where it is told.
    pub(crate) span: Option<(usize, usize)>,
}

impl ReaderPair {
    /// Reads a question and its paragraph; none where either has no word.
    pub(crate) fn of(question: &str, context: &str, vectors: &WordVectors) -> Option<Self> {
        let (paragraph, asked) = (read(context, vectors), read(question, vectors));
        if paragraph.places.is_empty() || asked.places.is_empty() {
            return None;
        }
        let written: Vec<&str> = asked.places.iter().map(|place| &question[place.clone()]).collect();
        let count = paragraph.places.len() as f32;
        let mut features = Vec::with_capacity(paragraph.places.len() * FEATURES);
        for (place, lower) in paragraph.places.iter().zip(&paragraph.lower) {
            let exact = written.contains(&&context[place.clone()]);
            let frequency = paragraph.lower.iter().filter(|other| *other == lower).count() as f32 / count;
            features.extend([f32::from(u8::from(exact)), f32::from(u8::from(asked.lower.contains(lower))), frequency]);
        }
        Some(Self { paragraph, question: asked, features, span: None })
    }

    /// The words of an answer from byte `start` to `end`.
    pub(crate) fn words_of(&self, start: usize, end: usize) -> Option<(usize, usize)> {
        let places = &self.paragraph.places;
        let from = places.iter().position(|place| place.end > start)?;
        let to = places.iter().rposition(|place| place.start < end)?;
        (from <= to).then_some((from, to))
    }
}

/// Pairs as tensors, filled up with zeros.
pub(crate) struct ReaderBatch {
    /// `[N, P, columns]` and `[N, P, FEATURES]`
    paragraph: Tensor<3>,
    features: Tensor<3>,
    /// `[N, Q, columns]`
    question: Tensor<3>,
    /// Words of each paragraph and question.
    pub(crate) lengths: [Vec<usize>; 2],
}

impl ReaderBatch {
    /// Fills pairs up to the longest; `columns` are a vector's numbers.
    pub fn new(pairs: &[&ReaderPair], columns: usize, device: &Device) -> Self {
        let filled = |rows: Vec<&[f32]>, width: usize| {
            let longest = rows.iter().map(|row| row.len() / width).max().unwrap_or(0);
            let mut values = vec![0.0; rows.len() * longest * width];
            for (at, row) in rows.iter().enumerate() {
                values[at * longest * width..][..row.len()].copy_from_slice(row);
            }
            Tensor::<3>::from_data(TensorData::new(values, [rows.len(), longest, width]), device)
        };
        Self {
            paragraph: filled(pairs.iter().map(|pair| pair.paragraph.vectors.as_slice()).collect(), columns),
            features: filled(pairs.iter().map(|pair| pair.features.as_slice()).collect(), FEATURES),
            question: filled(pairs.iter().map(|pair| pair.question.vectors.as_slice()).collect(), columns),
            lengths: [
                pairs.iter().map(|pair| pair.paragraph.places.len()).collect(),
                pairs.iter().map(|pair| pair.question.places.len()).collect(),
            ],
        }
    }
}

/// What is added to scores of words, `[N, T]`: nothing to those of a text, much less than any score to what fills it up.
pub(crate) fn masked(lengths: &[usize]) -> Vec<f32> {
    let longest = lengths.iter().copied().max().unwrap_or(0);
    lengths.iter().flat_map(|&length| (0..longest).map(move |at| if at < length { 0.0 } else { NEVER })).collect()
}

/// Each text backwards, what fills it up left in place. Its own reverse.
fn backwards(x: Tensor<3>, lengths: &[usize]) -> Tensor<3> {
    let [n, steps, width] = x.dims();
    let places: Vec<i32> = lengths
        .iter()
        .enumerate()
        .flat_map(|(row, &length)| {
            (0..steps).map(move |at| (row * steps + if at < length { length - 1 - at } else { at }) as i32)
        })
        .collect();
    let places = Tensor::<1, Int>::from_data(TensorData::new(places, [n * steps]), &x.device());
    x.reshape([n * steps, width]).select(0, places).reshape([n, steps, width])
}

/// Gives the numbers of a tensor by its name and shape.
type Numbers<'a> = dyn FnMut(&str, &[usize]) -> Result<Vec<f32>> + 'a;

fn parameter<const D: usize>(
    name: &str,
    shape: [usize; D],
    device: &Device,
    numbers: &mut Numbers<'_>,
) -> Result<Param<Tensor<D>>> {
    let values = numbers(name, &shape)?;
    Ok(Param::initialized(identity(name), Tensor::from_data(TensorData::new(values, shape), device)))
}

impl BothWays {
    fn new(inputs: usize, hidden: usize, name: &str, device: &Device, numbers: &mut Numbers<'_>) -> Result<Self> {
        let mut both = Self { input: Vec::new(), recurrent: Vec::new(), bias: Vec::new() };
        for way in ["forwards", "backwards"] {
            let gates = 4 * hidden;
            both.input.push(parameter(&format!("{name}.{way}.input"), [inputs, gates], device, numbers)?);
            both.recurrent.push(parameter(&format!("{name}.{way}.recurrent"), [hidden, gates], device, numbers)?);
            both.bias.push(parameter(&format!("{name}.{way}.bias"), [gates], device, numbers)?);
        }
        Ok(both)
    }

    /// `[N, T, inputs]` to `[N, T, 2 hidden]`.
    fn run(&self, x: Tensor<3>, lengths: &[usize], learns: bool) -> Tensor<3> {
        let way = |way: usize, x: Tensor<3>| {
            let weights = LstmWeights {
                input: held(self.input[way].val(), learns),
                recurrent: held(self.recurrent[way].val(), learns),
                bias: held(self.bias[way].val(), learns),
            };
            lstm(x, weights, None).0
        };
        let forwards = way(0, x.clone());
        let back = backwards(way(1, backwards(x, lengths)), lengths);
        Tensor::cat(vec![forwards, back], 2)
    }
}

fn held<const D: usize>(tensor: Tensor<D>, learns: bool) -> Tensor<D> {
    if learns { tensor } else { tensor.detach() }
}

impl ReaderNetwork {
    fn build(sizes: ReaderSizes, device: &Device, numbers: &mut Numbers<'_>) -> Result<Self> {
        let ReaderSizes { columns, hidden, layers } = sizes;
        let all = 2 * hidden * layers;
        let row = |first: usize, name: &str, numbers: &mut Numbers<'_>| -> Result<Vec<BothWays>> {
            let inputs = |layer: usize| if layer == 0 { first } else { 2 * hidden };
            (0..layers)
                .map(|layer| BothWays::new(inputs(layer), hidden, &format!("{name}.{layer}"), device, numbers))
                .collect()
        };
        Ok(Self {
            align_weight: parameter("align.weight", [columns, columns], device, numbers)?,
            align_bias: parameter("align.bias", [columns], device, numbers)?,
            paragraph: row(2 * columns + FEATURES, "paragraph", numbers)?,
            question: row(columns, "question", numbers)?,
            attention: parameter("attention", [all, 1], device, numbers)?,
            start: parameter("start", [all, all], device, numbers)?,
            end: parameter("end", [all, all], device, numbers)?,
        })
    }

    /// A network of random numbers, from minus to plus one over the root of what a number sums over.
    pub fn random(sizes: ReaderSizes, seed: u64, device: &Device) -> Self {
        let ReaderSizes { columns, hidden, layers } = sizes;
        let drawn = &mut |name: &str, shape: &[usize]| {
            let spread = match name {
                "align.weight" => 1.0 / (columns as f64).sqrt(),
                "align.bias" => 0.0,
                "attention" | "start" | "end" => 1.0 / ((2 * hidden * layers) as f64).sqrt(),
                _ => 1.0 / (hidden as f64).sqrt(),
            };
            let mut stream = rng(seed, &format!("init/{name}"), 0);
            let count = shape.iter().product::<usize>();
            Ok((0..count).map(|_| ((2.0 * stream.random::<f64>() - 1.0) * spread) as f32).collect())
        };
        Self::build(sizes, device, drawn).expect("numbers are drawn for every tensor")
    }

    /// Scores of each word as the first and as the last of the answer, `[N, P]` each.
    pub(crate) fn forward(&self, batch: &ReaderBatch, mode: Mode<'_>, dropout: f64, device: &Device) -> [Tensor<2>; 2] {
        let learns = matches!(mode, Mode::Train(_));
        let drop = |x: Tensor<3>| match mode {
            Mode::Train(pass) => match pass.drops() {
                Some(drops) => dropped(x, dropout, drops, device),
                None => x,
            },
            Mode::Frozen => x,
        };
        let [paragraph_lengths, question_lengths] = &batch.lengths;
        let mask = masked(question_lengths);
        let [n, words, _] = batch.paragraph.dims();
        let asked = batch.question.dims()[1];
        let mask = Tensor::<2>::from_data(TensorData::new(mask, [n, asked]), device);
        let (paragraph, question) = (drop(batch.paragraph.clone()), drop(batch.question.clone()));
        // The question as each word of the paragraph sees it (section 3.2, aligned question embedding).
        let align = |x: Tensor<3>| {
            let bias = Some(held(self.align_bias.val(), learns));
            linear(
                x,
                held(self.align_weight.val(), learns),
                Fused { bias, activation: Activation::Relu, ..Fused::default() },
            )
        };
        let scores = align(paragraph.clone()).matmul(align(question.clone()).swap_dims(1, 2));
        let weights = softmax(scores + mask.clone().reshape([n, 1, asked]), 2);
        let aligned = weights.matmul(question.clone());
        let mut x = Tensor::cat(vec![paragraph, aligned, batch.features.clone()], 2);
        let mut layers = Vec::new();
        for layer in &self.paragraph {
            x = drop(layer.run(x, paragraph_lengths, learns));
            layers.push(x.clone());
        }
        let paragraph = Tensor::cat(layers, 2);
        let (mut x, mut layers) = (question, Vec::new());
        for layer in &self.question {
            x = drop(layer.run(x, question_lengths, learns));
            layers.push(x.clone());
        }
        let question = Tensor::cat(layers, 2);
        let scores = linear(question.clone(), held(self.attention.val(), learns), Fused::default()).reshape([n, asked]);
        let weights = softmax(scores + mask, 1).reshape([n, 1, asked]);
        let question = weights.matmul(question);
        [&self.start, &self.end].map(|form| {
            let key = linear(question.clone(), held(form.val(), learns), Fused::default());
            paragraph.clone().matmul(key.swap_dims(1, 2)).reshape([n, words])
        })
    }

    fn named(&self) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        fn numbers<const D: usize>(name: &str, param: &Param<Tensor<D>>) -> (String, Vec<usize>, Vec<f32>) {
            let tensor = param.val();
            (name.to_owned(), tensor.dims().to_vec(), tensor.into_data().try_to_vec().expect("parameters are f32"))
        }
        let mut all = vec![
            numbers("align.weight", &self.align_weight),
            numbers("align.bias", &self.align_bias),
            numbers("attention", &self.attention),
            numbers("start", &self.start),
            numbers("end", &self.end),
        ];
        for (name, row) in [("paragraph", &self.paragraph), ("question", &self.question)] {
            for (layer, both) in row.iter().enumerate() {
                for (way, word) in ["forwards", "backwards"].iter().enumerate() {
                    all.push(numbers(&format!("{name}.{layer}.{word}.input"), &both.input[way]));
                    all.push(numbers(&format!("{name}.{layer}.{word}.recurrent"), &both.recurrent[way]));
                    all.push(numbers(&format!("{name}.{layer}.{word}.bias"), &both.bias[way]));
                }
            }
        }
        all
    }
}

/// A trained reader: the head on frozen word vectors.
#[derive(Debug, Clone)]
pub(crate) struct WordReader {
    /// The network.
    pub(crate) network: ReaderNetwork,
    /// Its sizes.
    pub(crate) sizes: ReaderSizes,
}

/// What a reader says of each word of a paragraph.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WordScores {
    /// Where the words are, in bytes.
    pub(crate) places: Vec<Range<usize>>,
    /// How strongly each is meant as the first of the answer.
    pub(crate) starts: Vec<f32>,
    /// As the last.
    pub(crate) ends: Vec<f32>,
}

/// Two readers are equal where all their numbers are.
impl PartialEq for WordReader {
    fn eq(&self, other: &Self) -> bool {
        self.sizes == other.sizes && self.network.named() == other.network.named()
    }
}

impl WordReader {
    /// What it says of the words of a paragraph; none where paragraph or question has no word.
    pub(crate) fn scores(&self, vectors: &WordVectors, question: &str, context: &str) -> Option<WordScores> {
        let pair = ReaderPair::of(question, context, vectors)?;
        let device = Device::flex();
        let batch = ReaderBatch::new(&[&pair], self.sizes.columns, &device);
        let scores = self.network.forward(&batch, Mode::Frozen, 0.0, &device);
        let [starts, ends] = scores.map(|side| side.into_data().try_to_vec::<f32>().expect("scores are f32"));
        Some(WordScores { places: pair.paragraph.places, starts, ends })
    }

    /// Adds its tensors to those of a file.
    pub(crate) fn export(&self, prefix: &str, weights: &mut Weights) {
        for (name, shape, values) in self.network.named() {
            let tensor = WeightTensor { shape, values, precision: Precision::F32 };
            weights.tensors.insert(format!("{prefix}{name}"), tensor);
        }
    }

    /// A reader with the tensors of a file, each checked.
    ///
    /// # Errors
    /// [`Error::Weights`] where one is missing, has another shape, or holds what is not finite; or the sizes are no reader's.
    pub(crate) fn import(sizes: ReaderSizes, prefix: &str, weights: &mut Weights, device: &Device) -> Result<Self> {
        if sizes.columns.min(sizes.hidden).min(sizes.layers) == 0 || sizes.hidden.max(sizes.layers) > 1 << 14 {
            let problem = Problem::new("the sizes of the reader are not a network's").found(format!("{sizes:?}"));
            return Err(Error::Weights(problem));
        }
        let network = ReaderNetwork::build(sizes, device, &mut |name, shape| {
            let key = format!("{prefix}{name}");
            match weights.tensors.remove(&key) {
                Some(tensor) if tensor.shape == shape && tensor.values.iter().all(|value| value.is_finite()) => {
                    Ok(tensor.values)
                }
                found => {
                    let found = found.map_or_else(|| "none".to_owned(), |tensor| format!("{:?}", tensor.shape));
                    let problem = Problem::new("a tensor of the reader is not as it must be");
                    Err(Error::Weights(problem.expected(format!("`{key}` {shape:?}, finite")).found(found)))
                }
            }
        })?;
        Ok(Self { network, sizes })
    }
}

/// Zeroes a share of numbers, and scales the others up for it (Srivastava et al. 2014). What is drawn depends on the
/// example's place in the step, and on its own length, alone.
fn dropped(x: Tensor<3>, share: f64, drops: &DropPathSchedule, device: &Device) -> Tensor<3> {
    if share == 0.0 {
        return x;
    }
    let [n, steps, columns] = x.dims();
    let keep = 1.0 - share;
    let factors: Vec<f32> = (drops.first..drops.first + n)
        .into_par_iter()
        .flat_map_iter(|place| {
            let mut stream = rng(drops.seed, &format!("dropout/{place}/{columns}"), drops.step);
            (0..steps * columns).map(move |_| if stream.random::<f64>() < keep { (1.0 / keep) as f32 } else { 0.0 })
        })
        .collect();
    x * Tensor::from_data(TensorData::new(factors, [n, steps, columns]), device)
}

#[cfg(test)]
#[path = "word_reader_tests.rs"]
mod tests;
