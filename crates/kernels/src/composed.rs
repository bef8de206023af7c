//! The operations of [`crate::layers`] made of Burn's own, for every device that the kernels are not for. The shapes
//! have been checked there.

use burn::prelude::*;
use burn::tensor::activation as burn_activation;
use burn::tensor::module;
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions};

use crate::activation::Activation;
use crate::geometry::{Convolution, Geometry};
use crate::layers::{BatchNormed, Fused, LstmState, LstmWeights};
use crate::pooling::Pool;

/// `[N, H, W, C]` to `[N, C, H, W]`.
fn channels_first(x: Tensor<4>) -> Tensor<4> {
    x.permute([0, 3, 1, 2])
}

/// `[N, C, H, W]` to `[N, H, W, C]`.
fn channels_last(x: Tensor<4>) -> Tensor<4> {
    x.permute([0, 2, 3, 1])
}

/// A vector along the last axis.
fn along_last<const D: usize>(vector: Tensor<1>) -> Tensor<D> {
    let mut shape = [1; D];
    shape[D - 1] = vector.dims()[0];
    vector.reshape(shape)
}

/// What is missing around an image for every window to find what it reaches for: rows, then columns, before and
/// after.
fn around(g: &Geometry) -> [(usize, usize); 2] {
    [0, 1].map(|axis| {
        let reach = (g.output[axis].max(1) - 1) * g.stride[axis] + (g.kernel[axis] - 1) * g.dilation[axis] + 1;
        (g.before[axis], reach.saturating_sub(g.input[axis] + g.before[axis]))
    })
}

fn end<const D: usize>(mut y: Tensor<D>, fused: Fused<D>) -> Tensor<D> {
    if let Some(bias) = fused.bias {
        y = y + along_last(bias);
    }
    if let Some(residual) = fused.residual {
        y = y + residual;
    }
    activate(y, fused.activation)
}

pub(crate) fn conv2d(x: Tensor<4>, weight: Tensor<4>, fused: Fused<4>, convolution: &Convolution) -> Tensor<4> {
    let g = &convolution.geometry;
    let options = ConvOptions::new_with_padding(g.stride, around(g), g.dilation, convolution.groups);
    // [rows, columns, in, out] to [out, in, rows, columns]
    let y = module::conv2d(channels_first(x), weight.permute([3, 2, 0, 1]), None, options);
    let y = channels_last(y).narrow(1, 0, g.output[0]).narrow(2, 0, g.output[1]);
    end(y, fused)
}

pub(crate) fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, fused: Fused<D>) -> Tensor<D> {
    let [inputs, outputs] = weight.dims();
    let mut shape = x.dims();
    let rows = shape[..D - 1].iter().product::<usize>();
    shape[D - 1] = outputs;
    end(x.reshape([rows, inputs]).matmul(weight).reshape(shape), fused)
}

pub(crate) fn activate<const D: usize>(x: Tensor<D>, activation: Activation) -> Tensor<D> {
    match activation {
        Activation::None => x,
        Activation::Relu => burn_activation::relu(x),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::Leaky(slope) => burn_activation::leaky_relu(x, f64::from(slope)),
        Activation::Silu => burn_activation::silu(x),
        Activation::Gelu => burn_activation::gelu(x),
        Activation::GeluTanh => burn_activation::gelu_approximate(x),
    }
}

pub(crate) fn batch_norm(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    residual: Option<Tensor<4>>,
    epsilon: f64,
    activation: Activation,
) -> BatchNormed {
    let [n, h, w, c] = x.dims();
    let normed = module::batch_norm_train(x.reshape([n * h * w, c]), gamma, beta, epsilon);
    let output = end(normed.output.reshape([n, h, w, c]), Fused { bias: None, residual, activation });
    BatchNormed { output, mean: normed.mean, variance: normed.variance }
}

pub(crate) fn affine(
    x: Tensor<4>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    residual: Option<Tensor<4>>,
    activation: Activation,
) -> Tensor<4> {
    end(x * along_last(scale), Fused { bias: Some(shift), residual, activation })
}

pub(crate) fn pool(x: Tensor<4>, pool: Pool, g: &Geometry) -> Tensor<4> {
    let [before_and_after_rows, before_and_after_columns] = around(g);
    let pad =
        |x: Tensor<4>, value: f32| x.pad([(0, 0), before_and_after_rows, before_and_after_columns, (0, 0)], value);
    let average = |x: Tensor<4>| {
        let options = AvgPoolOptions::new(g.kernel).with_stride(g.stride);
        module::avg_pool2d(channels_first(pad(x, 0.0)), options)
    };
    let y = match pool {
        Pool::Max => {
            let options = MaxPoolOptions::new(g.kernel).with_stride(g.stride);
            module::max_pool2d(channels_first(pad(x, f32::NEG_INFINITY)), options)
        }
        Pool::Average(true) => average(x),
        Pool::Average(false) => {
            let [_, h, w, _] = x.dims();
            let share = average(Tensor::ones([1, h, w, 1], &x.device()));
            average(x) / share
        }
    };
    channels_last(y).narrow(1, 0, g.output[0]).narrow(2, 0, g.output[1])
}

pub(crate) fn global_average(x: Tensor<4>) -> Tensor<2> {
    let [n, h, w, c] = x.dims();
    x.reshape([n, h * w, c]).mean_dim(1).reshape([n, c])
}

pub(crate) fn layer_norm<const D: usize>(x: Tensor<D>, gamma: Tensor<1>, beta: Tensor<1>, epsilon: f64) -> Tensor<D> {
    let centred = x.clone() - x.mean_dim(D - 1);
    let variance = centred.clone().square().mean_dim(D - 1);
    centred / (variance + epsilon).sqrt() * along_last(gamma) + along_last(beta)
}

pub(crate) fn softmax<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    burn_activation::softmax(x, D - 1)
}

pub(crate) fn cross_entropy(logits: Tensor<2>, classes: &[Option<u32>]) -> Tensor<1> {
    let (rows, device) = (classes.len(), logits.device());
    let indices: Vec<i32> = classes.iter().map(|class| class.unwrap_or(0) as i32).collect();
    let counts: Vec<f32> = classes.iter().map(|class| f32::from(u8::from(class.is_some()))).collect();
    let indices = Tensor::<1, Int>::from_data(indices.as_slice(), &device).reshape([rows, 1]);
    let found = burn_activation::log_softmax(logits, 1).gather(1, indices).reshape([rows]);
    found.neg() * Tensor::<1>::from_data(counts.as_slice(), &device)
}

/// Scores below this are those of keys that do not count: smaller than any real score, and finite, so that a row of
/// nothing else stays a number.
const MASKED: f32 = -1e30;

pub(crate) fn attention(
    query: Tensor<3>,
    key: Tensor<3>,
    value: Tensor<3>,
    mask: Option<Tensor<2>>,
    heads: usize,
) -> Tensor<3> {
    let [batch, queries, size] = query.dims();
    let [_, keys, _] = key.dims();
    let width = size / heads;
    // [N, sequence, heads width] to [N, heads, sequence, width]
    let split = |x: Tensor<3>, sequence: usize| x.reshape([batch, sequence, heads, width]).swap_dims(1, 2);
    let scores = split(query, queries).matmul(split(key, keys).swap_dims(2, 3)) / (width as f64).sqrt();
    let mixed = match mask {
        None => softmax(scores).matmul(split(value, keys)),
        Some(mask) => {
            let mask = mask.clamp_min(MASKED);
            let counts = mask.clone().max_dim(1).greater_elem(MASKED / 2.0).float().reshape([batch, 1, 1, 1]);
            softmax(scores + mask.reshape([batch, 1, 1, keys])).matmul(split(value, keys)) * counts
        }
    };
    mixed.swap_dims(1, 2).reshape([batch, queries, size])
}

pub(crate) fn lstm(x: Tensor<3>, weights: LstmWeights, state: LstmState) -> (Tensor<3>, LstmState) {
    let [batch, steps, inputs] = x.dims();
    let [width, gates] = weights.recurrent.dims();
    let of_input = x.reshape([batch * steps, inputs]).matmul(weights.input) + weights.bias.reshape([1, gates]);
    let of_input = of_input.reshape([batch, steps, gates]);
    let LstmState { mut hidden, mut cell } = state;
    let mut outputs = Vec::with_capacity(steps);
    for step in 0..steps {
        let seen = of_input.clone().narrow(1, step, 1).reshape([batch, gates]);
        let sums = seen + hidden.matmul(weights.recurrent.clone());
        let gate = |index: usize| sums.clone().narrow(1, index * width, width);
        let sigmoid = |index: usize| burn_activation::sigmoid(gate(index));
        cell = sigmoid(1) * cell + sigmoid(0) * gate(2).tanh();
        hidden = sigmoid(3) * cell.clone().tanh();
        outputs.push(hidden.clone().reshape([batch, 1, width]));
    }
    (Tensor::cat(outputs, 1), LstmState { hidden, cell })
}
