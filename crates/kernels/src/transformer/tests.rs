//! The program against the same blocks made of the functions on tensors.

use burn::prelude::*;
use burn::tensor::{Device, TensorData};

use super::*;
use crate::layers::{Fused, layer_norm, linear};
use crate::reference::{bits, on_threads};

const WIDTH: usize = 24;
const HEADS: usize = 3;
const BETWEEN: usize = 40;
const LONGEST: usize = 400;

/// Numbers that look random.
fn numbers(len: usize, seed: f32, size: f32) -> Vec<f32> {
    (0..len).map(|i| ((i as f32 + 1.0) * seed).sin() * size).collect()
}

/// Weights `[in, out]` and bias of the six layers, factor and summand of the two norms.
struct Weights {
    layers: [(Vec<f32>, Vec<f32>); 6],
    norms: [(Vec<f32>, Vec<f32>); 2],
}

impl Weights {
    fn new(seed: f32) -> Self {
        let sizes =
            [(WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH, BETWEEN), (BETWEEN, WIDTH)];
        let layer = |i: usize| {
            let (inputs, outputs) = sizes[i];
            let seed = seed + 7.3 * i as f32;
            (numbers(inputs * outputs, 12.98 + seed, 0.4), numbers(outputs, 4.1 + seed, 0.2))
        };
        let norm = |i: usize| {
            let gamma = numbers(WIDTH, 3.3 + seed + i as f32, 0.3).into_iter().map(|x| 1.0 + x).collect();
            (gamma, numbers(WIDTH, 5.7 + seed + i as f32, 0.3))
        };
        Self { layers: std::array::from_fn(layer), norms: std::array::from_fn(norm) }
    }

    fn block(&self) -> EncoderBlock<'_> {
        let layer = |i: usize| AffineWeights { weight: &self.layers[i].0, bias: &self.layers[i].1 };
        let norm = |i: usize| NormWeights { gamma: &self.norms[i].0, beta: &self.norms[i].1 };
        EncoderBlock {
            query: layer(0),
            key: layer(1),
            value: layer(2),
            output: layer(3),
            attention_norm: norm(0),
            widen: layer(4),
            narrow: layer(5),
            norm: norm(1),
        }
    }

    /// The block by tensors, for one text. The scores' bias is `[HEADS, T, T]`.
    fn run(&self, x: &[f32], bias: Option<&dyn Fn(usize, usize, usize) -> f32>, norm_first: bool) -> Vec<f32> {
        let device = Device::flex();
        let tokens = x.len() / WIDTH;
        let tensor = |values: &[f32], shape: [usize; 3]| {
            Tensor::<3>::from_data(TensorData::new(values.to_vec(), shape), &device)
        };
        let apply = |x: Tensor<3>, i: usize, residual: Option<Tensor<3>>, activation: Activation| {
            let (weight, bias) = &self.layers[i];
            let shape = [weight.len() / bias.len(), bias.len()];
            let weight = Tensor::<2>::from_data(TensorData::new(weight.clone(), shape), &device);
            let bias = Tensor::<1>::from_data(TensorData::new(bias.clone(), [shape[1]]), &device);
            linear(x, weight, Fused { bias: Some(bias), residual, activation })
        };
        let norm = |x: Tensor<3>, i: usize| {
            let [gamma, beta] = [&self.norms[i].0, &self.norms[i].1]
                .map(|values| Tensor::<1>::from_data(TensorData::new(values.clone(), [WIDTH]), &device));
            layer_norm(x, gamma, beta, 1e-12)
        };
        let x = tensor(x, [1, tokens, WIDTH]);
        let split = |x: Tensor<3>| x.reshape([1, tokens, HEADS, WIDTH / HEADS]).swap_dims(1, 2);
        let before = |x: Tensor<3>, i: usize| if norm_first { norm(x, i) } else { x };
        let behind = |x: Tensor<3>, i: usize| if norm_first { x } else { norm(x, i) };
        let read = before(x.clone(), 0);
        let [q, k, v] = [0, 1, 2].map(|i| split(apply(read.clone(), i, None, Activation::None)));
        let mut scores = q.matmul(k.swap_dims(2, 3)).div_scalar((WIDTH as f64 / HEADS as f64).sqrt());
        if let Some(bias) = bias {
            let mut all = Vec::new();
            for head in 0..HEADS {
                (0..tokens).for_each(|query| all.extend((0..tokens).map(|key| bias(head, query, key))));
            }
            scores = scores + Tensor::<4>::from_data(TensorData::new(all, [1, HEADS, tokens, tokens]), &device);
        }
        let mixed = crate::softmax(scores).matmul(v).swap_dims(1, 2).reshape([1, tokens, WIDTH]);
        let x = behind(apply(mixed, 3, Some(x), Activation::None), 0);
        let between = apply(before(x.clone(), 1), 4, None, Activation::Gelu);
        let y = behind(apply(between, 5, Some(x), Activation::None), 1);
        y.into_data().try_to_vec().unwrap()
    }
}

fn shape(distances: Option<Vec<f32>>, norm_first: bool) -> EncoderShape {
    EncoderShape { width: WIDTH, heads: HEADS, activation: Activation::Gelu, epsilon: 1e-12, distances, norm_first }
}

fn texts(lengths: &[usize]) -> Vec<Vec<f32>> {
    lengths.iter().enumerate().map(|(i, tokens)| numbers(tokens * WIDTH, 1.7 + i as f32, 1.5)).collect()
}

fn slices(texts: &[Vec<f32>]) -> Vec<&[f32]> {
    texts.iter().map(Vec::as_slice).collect()
}

const LENGTHS: [usize; 9] = [5, 1, 130, 0, 17, 16, 64, 31, 300];

#[test]
fn blocks_are_those_of_tensors() {
    let weights = [Weights::new(0.1), Weights::new(0.7)];
    let blocks: Vec<EncoderBlock<'_>> = weights.iter().map(Weights::block).collect();
    let table = numbers(HEADS * (2 * LONGEST - 1), 0.77, 1.0);
    let bias = |head: usize, query: usize, key: usize| table[head * (2 * LONGEST - 1) + LONGEST - 1 + key - query];
    for (biased, norm_first) in [(false, false), (true, false), (false, true)] {
        let encoder = Encoder::new(shape(biased.then(|| table.clone()), norm_first), &blocks);
        let texts = texts(&LENGTHS);
        let found = encoder.run(&slices(&texts), 0..2);
        for (text, found) in texts.iter().zip(&found) {
            assert_eq!(text.len(), found.len());
            if text.is_empty() {
                continue;
            }
            let bias = biased.then_some(&bias as &dyn Fn(usize, usize, usize) -> f32);
            let expected = weights.iter().fold(text.clone(), |x, weights| weights.run(&x, bias, norm_first));
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-5, "{found}, not {expected}, of {} tokens", text.len() / WIDTH);
            }
        }
    }
}

#[test]
fn neither_neighbours_nor_threads_change_a_bit() {
    let weights = Weights::new(0.3);
    let encoder = Encoder::new(shape(None, false), &[weights.block()]);
    let texts = texts(&LENGTHS);
    let alone: Vec<Vec<u32>> =
        texts.iter().map(|text| bits(&on_threads(1, || encoder.run(&[text], 0..1))[0])).collect();
    for threads in [1, 2, 3, 16] {
        let together = on_threads(threads, || encoder.run(&slices(&texts), 0..1));
        assert!(together.iter().map(|text| bits(text)).eq(alone.iter().cloned()), "{threads} threads");
        let one = on_threads(threads, || encoder.run(&[&texts[8]], 0..1));
        assert!(bits(&one[0]) == alone[8], "{threads} threads on one text");
    }
}

#[test]
fn it_goes_on_where_it_stopped() {
    let weights = [Weights::new(0.1), Weights::new(0.7), Weights::new(1.9)];
    let blocks: Vec<EncoderBlock<'_>> = weights.iter().map(Weights::block).collect();
    let encoder = Encoder::new(shape(None, false), &blocks);
    let texts = texts(&[7, 40]);
    let whole = encoder.run(&slices(&texts), 0..3);
    let half = encoder.run(&slices(&texts), 0..1);
    assert_eq!(encoder.run(&slices(&half), 1..3), whole);
    assert_eq!(encoder.run(&slices(&texts), 2..2), texts);
}

#[test]
fn embeddings_are_sums_of_rows_normalised() {
    let embeddings = Embeddings {
        tokens: numbers(10 * 4, 1.3, 1.0),
        positions: numbers(6 * 4, 2.1, 1.0),
        segments: numbers(2 * 4, 0.9, 1.0),
        gamma: vec![1.0, 2.0, 1.0, 1.0],
        beta: vec![0.0, 0.0, 0.5, 0.0],
        epsilon: 1e-12,
    };
    let states = embeddings.of(&[3, 9], &[0, 5], &[0, 1]);
    for (index, (token, position, segment)) in [(3, 0, 0), (9, 5, 1)].into_iter().enumerate() {
        let sum: Vec<f64> = (0..4)
            .map(|i| {
                let at = |table: &[f32], row: usize| f64::from(table[row * 4 + i]);
                at(&embeddings.tokens, token) + at(&embeddings.positions, position) + at(&embeddings.segments, segment)
            })
            .collect();
        let mean = sum.iter().sum::<f64>() / 4.0;
        let deviation = (sum.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 4.0).sqrt();
        for i in 0..4 {
            let expected = (sum[i] - mean) / deviation * f64::from(embeddings.gamma[i]) + f64::from(embeddings.beta[i]);
            assert!((f64::from(states[index * 4 + i]) - expected).abs() < 1e-5);
        }
    }
}
