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
use serde::{Deserialize, Serialize};

use crate::backbone::text::WordVectors;
use crate::backbone::{Mode, Pass, identity};
use crate::data::text::squad::QuestionSet;
use crate::error::{Error, Problem, Result};
use crate::inductive::spans::headed::dropped;
use crate::inductive::spans::questions::{
    CANDIDATES, Candidate, NEVER, SpanAnswer, best_positions, best_spans, position_loss, weighed,
};
use crate::inductive::spans::tagging::word_places;
use crate::progress::Observer;
use crate::rng::rng;
use crate::train::{Curve, EpochRecord, Rules, Score, Settings, ShardLoss, Task, train};

/// What a word of the paragraph is told beside its vector: whether the question has it as it is written, or in other
/// letters, and how often the paragraph has it.
const FEATURES: usize = 3;

/// Sizes of a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReaderSizes {
    /// Numbers of a word's vector.
    pub columns: usize,
    /// Width of an LSTM, one way.
    pub hidden: usize,
    /// Layers of LSTMs.
    pub layers: usize,
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
pub struct ReaderNetwork {
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
pub struct Pair {
    paragraph: Read,
    question: Read,
    /// `[words, FEATURES]`
    features: Vec<f32>,
    span: Option<(usize, usize)>,
}

impl Pair {
    /// Reads a question and its paragraph; none where either has no word.
    fn of(question: &str, context: &str, vectors: &WordVectors) -> Option<Self> {
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
    fn words_of(&self, start: usize, end: usize) -> Option<(usize, usize)> {
        let places = &self.paragraph.places;
        let from = places.iter().position(|place| place.end > start)?;
        let to = places.iter().rposition(|place| place.start < end)?;
        (from <= to).then_some((from, to))
    }
}

/// Pairs as tensors, filled up with zeros.
struct Batch {
    /// `[N, P, columns]` and `[N, P, FEATURES]`
    paragraph: Tensor<3>,
    features: Tensor<3>,
    /// `[N, Q, columns]`
    question: Tensor<3>,
    /// Words of each paragraph and question.
    lengths: [Vec<usize>; 2],
}

impl Batch {
    fn new(pairs: &[&Pair], columns: usize, device: &Device) -> Self {
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
fn masked(lengths: &[usize]) -> Vec<f32> {
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

impl BothWays {
    fn new(inputs: usize, hidden: usize, name: &str, seed: u64, device: &Device) -> Self {
        let spread = 1.0 / (hidden as f64).sqrt();
        let matrix =
            |rows: usize, part: &str| matrix([rows, 4 * hidden], spread, &format!("{name}.{part}"), seed, device);
        let ways = ["forwards", "backwards"];
        Self {
            input: ways.iter().map(|way| matrix(inputs, &format!("{way}.input"))).collect(),
            recurrent: ways.iter().map(|way| matrix(hidden, &format!("{way}.recurrent"))).collect(),
            bias: ways
                .iter()
                .map(|way| vector(4 * hidden, spread, &format!("{name}.{way}.bias"), seed, device))
                .collect(),
        }
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

/// Numbers drawn evenly from minus to plus `spread`.
fn drawn(count: usize, spread: f64, name: &str, seed: u64) -> Vec<f32> {
    let mut stream = rng(seed, &format!("init/{name}"), 0);
    (0..count).map(|_| ((2.0 * stream.random::<f64>() - 1.0) * spread) as f32).collect()
}

fn matrix(shape: [usize; 2], spread: f64, name: &str, seed: u64, device: &Device) -> Param<Tensor<2>> {
    let data = TensorData::new(drawn(shape[0] * shape[1], spread, name, seed), shape);
    Param::initialized(identity(name), Tensor::from_data(data, device))
}

fn vector(length: usize, spread: f64, name: &str, seed: u64, device: &Device) -> Param<Tensor<1>> {
    let data = TensorData::new(drawn(length, spread, name, seed), [length]);
    Param::initialized(identity(name), Tensor::from_data(data, device))
}

impl ReaderNetwork {
    /// A network of random numbers, from minus to plus one over the root of what a number sums over.
    pub fn random(sizes: ReaderSizes, seed: u64, device: &Device) -> Self {
        let ReaderSizes { columns, hidden, layers } = sizes;
        let (all, spread) = (2 * hidden * layers, |inputs: usize| 1.0 / (inputs as f64).sqrt());
        let row = |first: usize, name: &str| -> Vec<BothWays> {
            let inputs = |layer: usize| if layer == 0 { first } else { 2 * hidden };
            (0..layers)
                .map(|layer| BothWays::new(inputs(layer), hidden, &format!("{name}.{layer}"), seed, device))
                .collect()
        };
        Self {
            align_weight: matrix([columns, columns], spread(columns), "align.weight", seed, device),
            align_bias: vector(columns, 0.0, "align.bias", seed, device),
            paragraph: row(2 * columns + FEATURES, "paragraph"),
            question: row(columns, "question"),
            attention: matrix([all, 1], spread(all), "attention", seed, device),
            start: matrix([all, all], spread(all), "start", seed, device),
            end: matrix([all, all], spread(all), "end", seed, device),
        }
    }

    /// Scores of each word as the first and as the last of the answer, `[N, P]` each.
    fn forward(&self, batch: &Batch, mode: Mode<'_>, dropout: f64, device: &Device) -> [Tensor<2>; 2] {
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

    /// Adds its tensors to those of a file.
    pub fn export(&self, prefix: &str, weights: &mut Weights) {
        for (name, shape, values) in self.named() {
            weights
                .tensors
                .insert(format!("{prefix}{name}"), WeightTensor { shape, values, precision: Precision::F32 });
        }
    }

    /// A network with the tensors of a file, each checked.
    ///
    /// # Errors
    /// [`Error::Weights`] where one is missing or has another shape.
    pub fn import(sizes: ReaderSizes, prefix: &str, weights: &mut Weights, device: &Device) -> Result<Self> {
        let network = Self::random(sizes, 0, device);
        let mut values = crate::train::Values::new();
        for (name, shape, _) in network.named() {
            let key = format!("{prefix}{name}");
            let found = weights.tensors.remove(&key);
            match found {
                Some(tensor) if tensor.shape == shape => {
                    values.insert(identity(&name).val(), tensor.values);
                }
                found => {
                    let found = found.map_or_else(|| "none".to_owned(), |tensor| format!("{:?}", tensor.shape));
                    let problem = Problem::new("a tensor of the reader is not as it must be");
                    return Err(Error::Weights(problem.expected(format!("`{key}` {shape:?}")).found(found)));
                }
            }
        }
        Ok(crate::train::with_values(network, values))
    }
}

/// Trains a reader on the questions `training` of a set; `validation` is measured for the curve alone.
#[expect(clippy::too_many_arguments, reason = "one call, of everything that a training is made of")]
pub fn train_reader(
    set: &QuestionSet,
    vectors: &WordVectors,
    sizes: ReaderSizes,
    settings: &Settings,
    dropout: f64,
    training: &[usize],
    validation: &[usize],
    observer: &dyn Observer,
    name: &str,
) -> Result<(ReaderNetwork, Curve)> {
    // Only what has an answer can be learnt from, and only what has words.
    let pair = |&at: &usize| {
        let gold = set.questions[at].answers.first()?;
        let pair = Pair::of(&set.questions[at].text, set.context(at), vectors)?;
        let span = pair.words_of(gold.start, gold.start + gold.text.len())?;
        Some((set.questions[at].id.clone(), Pair { span: Some(span), ..pair }))
    };
    let training: Vec<(String, Pair)> = training.iter().filter_map(pair).collect();
    let validation: Vec<Pair> = validation.iter().filter_map(pair).map(|(_, pair)| pair).collect();
    let device = Device::flex().autodiff();
    let model = ReaderNetwork::random(sizes, settings.seed, &Device::flex()).unfreeze().train();
    observer.begin(name, settings.epochs * training.len() as u64, "questions");
    let mut each = |_: &EpochRecord, curve: &Curve| {
        let points: Vec<_> = curve.epochs.iter().map(Into::into).collect();
        observer.curve(name, &points);
    };
    let mut task =
        ReaderTask { training, validation, sizes, dropout, weight_decay: settings.weight_decay, device, observer };
    let (model, curve) = train(&mut task, model, settings, None, observer, &mut each)?;
    observer.end();
    Ok((model.valid(), curve))
}

struct ReaderTask<'a> {
    training: Vec<(String, Pair)>,
    validation: Vec<Pair>,
    sizes: ReaderSizes,
    dropout: f64,
    weight_decay: f64,
    device: Device,
    observer: &'a dyn Observer,
}

impl ReaderTask<'_> {
    fn shard(&self, model: &ReaderNetwork, pairs: &[&Pair], mode: Mode<'_>, device: &Device) -> ShardLoss {
        let batch = Batch::new(pairs, self.sizes.columns, device);
        let mask = masked(&batch.lengths[0]);
        let [starts, ends] = model.forward(&batch, mode, self.dropout, device);
        let span = |pair: &&Pair| pair.span.expect("only what has an answer is trained on");
        let from: Vec<usize> = pairs.iter().map(|pair| span(pair).0).collect();
        let to: Vec<usize> = pairs.iter().map(|pair| span(pair).1).collect();
        let (said_from, said_to) = (best_positions(&starts, &mask), best_positions(&ends, &mask));
        let correct = (0..pairs.len()).filter(|&row| said_from[row] == from[row] && said_to[row] == to[row]).count();
        let loss = position_loss(starts, &mask, &from) + position_loss(ends, &mask, &to);
        ShardLoss { loss: loss.mul_scalar(0.5), correct }
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
        let pairs: Vec<&Pair> = shard.iter().map(|&at| &self.training[at].1).collect();
        Ok(self.shard(model, &pairs, Mode::Train(pass), &self.device))
    }

    fn validate(&self, model: &ReaderNetwork) -> Result<Option<Score>> {
        if self.validation.is_empty() {
            return Ok(None);
        }
        let (model, mut loss, mut correct) = (model.valid(), 0.0, 0);
        for pairs in self.validation.chunks(16) {
            self.observer.check()?;
            let pairs: Vec<&Pair> = pairs.iter().collect();
            let shard = self.shard(&model, &pairs, Mode::Frozen, &Device::flex());
            loss += f64::from(shard.loss.into_scalar::<f32>()) * pairs.len() as f64;
            correct += shard.correct;
        }
        let n = self.validation.len() as f64;
        Ok(Some(Score { loss: loss / n, accuracy: correct as f64 / n }))
    }

    fn describe(&self, example: usize) -> String {
        format!("question {}", self.training[example].0)
    }
}

/// A trained reader that answers by word vectors.
#[derive(Debug)]
pub struct WordReader {
    /// The network.
    pub network: ReaderNetwork,
    /// Its sizes.
    pub sizes: ReaderSizes,
    /// The word vectors.
    pub vectors: std::sync::Arc<WordVectors>,
    /// Words of the longest answer.
    pub longest: usize,
}

impl WordReader {
    /// The answer to a question about a paragraph.
    pub fn answer(&self, question: &str, context: &str) -> SpanAnswer {
        let Some(pair) = Pair::of(question, context, &self.vectors) else { return weighed(Vec::new(), None) };
        let device = Device::flex();
        let batch = Batch::new(&[&pair], self.sizes.columns, &device);
        let scores = self.network.forward(&batch, Mode::Frozen, 0.0, &device);
        let [starts, ends] = scores.map(|side| side.into_data().try_to_vec::<f32>().expect("scores are f32"));
        let spans = best_spans(&starts, &ends, (0, starts.len() - 1), self.longest, CANDIDATES);
        let candidate = |(from, to, score): (usize, usize, f32)| {
            let places = &pair.paragraph.places;
            Candidate { start: places[from].start, end: places[to].end, score }
        };
        weighed(spans.into_iter().map(candidate).collect(), None)
    }
}

#[cfg(test)]
#[path = "drqa_tests.rs"]
mod tests;
