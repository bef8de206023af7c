//! The operations as models call them: on Burn's tensors, differentiable, on any device.
//!
//! On the CPU (`flex`, f32) they are this crate's kernels; anywhere else they are Burn's own operations, in
//! [`crate::composed`].

use std::sync::Arc;

use burn::backend::Dispatch;
use burn::prelude::*;
use burn::tensor::DType;

use crate::activation::Activation;
use crate::attention::Heads;
use crate::composed;
use crate::cross_entropy::IGNORED;
use crate::extension::{Operations, Optional};
use crate::geometry::{ConvOptions, Convolution, PoolOptions};
use crate::pooling::Pool;

/// Whether this crate's kernels run where a tensor lies.
fn is_cpu_f32<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && x.device() == Device::flex()
}

fn optional<const D: usize>(tensor: Option<Tensor<D>>) -> Optional<Dispatch> {
    tensor.map(Tensor::into_dispatch).into()
}

/// What a layer does to its sums before it stores them: `activation(sums + bias + residual)`.
#[derive(Debug, Clone)]
pub struct Fused<const D: usize> {
    /// One number for each output channel, `[C]`.
    pub bias: Option<Tensor<1>>,
    /// As large as the output.
    pub residual: Option<Tensor<D>>,
    /// Applied last.
    pub activation: Activation,
}

impl<const D: usize> Default for Fused<D> {
    fn default() -> Self {
        Self { bias: None, residual: None, activation: Activation::None }
    }
}

/// Channel-last convolution:
/// `y[n, i, j, o] = activation(b[o] + r[n, i, j, o] + sum over u, v, c of x[n, i s + u d - p, j s + v d - p, c]
/// w[u, v, c, o])`.
///
/// # Shapes
/// - `x`: `[N, H, W, C_in]`
/// - `weight`: `[kernel height, kernel width, C_in / groups, C_out]`
/// - bias: `[C_out]`
/// - residual and output: `[N, H', W', C_out]`
///
/// # Panics
/// If the shapes do not fit each other.
///
/// ```
/// use burn::prelude::*;
/// use burn::tensor::Device;
/// use engraft_kernels::{Activation, ConvOptions, Fused, Padding, conv2d};
///
/// let device = Device::flex();
/// let x = Tensor::<4>::ones([1, 5, 5, 3], &device);
/// let weight = Tensor::<4>::ones([3, 3, 3, 8], &device);
/// let options = ConvOptions { padding: Padding::Symmetric([1, 1]), ..ConvOptions::default() };
/// let y = conv2d(x, weight, Fused { activation: Activation::Relu, ..Fused::default() }, &options);
/// assert_eq!(y.dims(), [1, 5, 5, 8]);
/// assert_eq!(y.max().into_scalar::<f32>(), 27.0);
/// ```
pub fn conv2d(x: Tensor<4>, weight: Tensor<4>, fused: Fused<4>, options: &ConvOptions) -> Tensor<4> {
    let [n, rows, columns, channels] = x.dims();
    let [kernel_rows, kernel_columns, group_channels, outputs] = weight.dims();
    let groups = options.groups;
    assert_eq!(group_channels * groups, channels, "weight {:?} against input {:?}", weight.dims(), x.dims());
    assert_eq!(outputs % groups, 0, "{outputs} output channels in {groups} groups");
    let convolution = Convolution::new([rows, columns], [kernel_rows, kernel_columns], options);
    let output = convolution.geometry.output;
    check(&fused, [n, output[0], output[1], outputs]);
    if !is_cpu_f32(&x) {
        return composed::conv2d(x, weight, fused, &convolution);
    }
    Tensor::from_dispatch(Dispatch::convolve(
        x.into_dispatch(),
        weight.into_dispatch(),
        optional(fused.bias),
        optional(fused.residual),
        convolution,
        fused.activation,
    ))
}

fn check<const D: usize>(fused: &Fused<D>, output: [usize; D]) {
    if let Some(bias) = &fused.bias {
        assert_eq!(bias.dims(), [output[D - 1]], "one bias for each output channel");
    }
    if let Some(residual) = &fused.residual {
        assert_eq!(residual.dims(), output, "a residual as large as the output");
    }
}

/// A linear layer over the last axis: `y = activation(x W + b + r)`.
///
/// # Shapes
/// - `x`: `[..., in]`
/// - `weight`: `[in, out]`
/// - bias: `[out]`
/// - residual and output: `[..., out]`
///
/// # Panics
/// If the shapes do not fit each other.
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, fused: Fused<D>) -> Tensor<D> {
    let [inputs, outputs] = weight.dims();
    let mut output = x.dims();
    assert_eq!(output[D - 1], inputs, "a linear layer of {inputs} inputs against {output:?}");
    output[D - 1] = outputs;
    check(&fused, output);
    if !is_cpu_f32(&x) {
        return composed::linear(x, weight, fused);
    }
    Tensor::from_dispatch(Dispatch::project(
        x.into_dispatch(),
        weight.into_dispatch(),
        optional(fused.bias),
        optional(fused.residual),
        fused.activation,
    ))
}

/// A pointwise function.
pub fn activate<const D: usize>(x: Tensor<D>, activation: Activation) -> Tensor<D> {
    match activation {
        Activation::None => x,
        _ if is_cpu_f32(&x) => Tensor::from_dispatch(Dispatch::activate(x.into_dispatch(), activation)),
        _ => composed::activate(x, activation),
    }
}

/// What a batch norm in training mode gives.
#[derive(Debug)]
pub struct BatchNormed {
    /// `[N, H, W, C]`
    pub output: Tensor<4>,
    /// Mean of each channel, `[C]`; no gradient flows through it.
    pub mean: Tensor<1>,
    /// Biased variance of each channel, `[C]`; no gradient flows through it.
    pub variance: Tensor<1>,
}

/// Batch normalisation by the batch's own statistics (Ioffe and Szegedy 2015), with what usually follows it:
/// `y = activation(gamma (x - mean) / sqrt(variance + epsilon) + beta + residual)`.
///
/// # Shapes
/// - `x`, residual, output: `[N, H, W, C]`
/// - `gamma`, `beta`: `[C]`
///
/// # Panics
/// If the shapes do not fit each other.
pub fn batch_norm(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    residual: Option<Tensor<4>>,
    epsilon: f64,
    activation: Activation,
) -> BatchNormed {
    let channels = x.dims()[3];
    assert_eq!((gamma.dims(), beta.dims()), ([channels], [channels]), "a gamma and a beta for each channel");
    assert!(residual.as_ref().is_none_or(|r| r.dims() == x.dims()), "a residual as large as the input");
    if !is_cpu_f32(&x) {
        return composed::batch_norm(x, gamma, beta, residual, epsilon, activation);
    }
    let (output, mean, variance) = Dispatch::normalise_batch(
        x.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        optional(residual),
        epsilon as f32,
        activation,
    );
    BatchNormed {
        output: Tensor::from_dispatch(output),
        mean: Tensor::from_dispatch(mean),
        variance: Tensor::from_dispatch(variance),
    }
}

/// What a batch norm does when its statistics are frozen: `y = activation(x scale + shift + residual)`.
///
/// # Shapes
/// - `x`, residual, output: `[N, H, W, C]`
/// - `scale`, `shift`: `[C]`
///
/// # Panics
/// If the shapes do not fit each other.
pub fn affine(
    x: Tensor<4>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    residual: Option<Tensor<4>>,
    activation: Activation,
) -> Tensor<4> {
    let channels = x.dims()[3];
    assert_eq!((scale.dims(), shift.dims()), ([channels], [channels]), "a scale and a shift for each channel");
    assert!(residual.as_ref().is_none_or(|r| r.dims() == x.dims()), "a residual as large as the input");
    if !is_cpu_f32(&x) {
        return composed::affine(x, scale, shift, residual, activation);
    }
    Tensor::from_dispatch(Dispatch::scale_and_shift(
        x.into_dispatch(),
        scale.into_dispatch(),
        shift.into_dispatch(),
        optional(residual),
        activation,
    ))
}

/// The largest of each window, `[N, H, W, C]` to `[N, H', W', C]`. Padding is never the largest.
///
/// # Panics
/// As [`crate::Geometry::new`].
pub fn max_pool2d(x: Tensor<4>, options: &PoolOptions) -> Tensor<4> {
    pool(x, Pool::Max, options)
}

/// The mean of each window, `[N, H, W, C]` to `[N, H', W', C]`. With `count_padding` the zeros around the image
/// count, as PyTorch's `count_include_pad`; without it a window is as large as what it sees of the image.
///
/// # Panics
/// As [`crate::Geometry::new`].
pub fn average_pool2d(x: Tensor<4>, options: &PoolOptions, count_padding: bool) -> Tensor<4> {
    pool(x, Pool::Average(count_padding), options)
}

fn pool(x: Tensor<4>, pool: Pool, options: &PoolOptions) -> Tensor<4> {
    let [_, rows, columns, _] = x.dims();
    let geometry = options.geometry([rows, columns]);
    if !is_cpu_f32(&x) {
        return composed::pool(x, pool, &geometry);
    }
    Tensor::from_dispatch(Dispatch::pool_windows(x.into_dispatch(), pool, geometry))
}

/// The mean over rows and columns, `[N, H, W, C]` to `[N, C]`.
pub fn global_average(x: Tensor<4>) -> Tensor<2> {
    if !is_cpu_f32(&x) {
        return composed::global_average(x);
    }
    Tensor::from_dispatch(Dispatch::average_pixels(x.into_dispatch()))
}

/// Normalisation over the last axis (Ba et al. 2016): `y = gamma (x - mean) / sqrt(variance + epsilon) + beta`.
///
/// # Shapes
/// - `x`, output: `[..., C]`
/// - `gamma`, `beta`: `[C]`
///
/// # Panics
/// If the shapes do not fit each other.
pub fn layer_norm<const D: usize>(x: Tensor<D>, gamma: Tensor<1>, beta: Tensor<1>, epsilon: f64) -> Tensor<D> {
    let channels = x.dims()[D - 1];
    assert_eq!((gamma.dims(), beta.dims()), ([channels], [channels]), "a gamma and a beta for each channel");
    if !is_cpu_f32(&x) {
        return composed::layer_norm(x, gamma, beta, epsilon);
    }
    let (x, gamma, beta) = (x.into_dispatch(), gamma.into_dispatch(), beta.into_dispatch());
    Tensor::from_dispatch(Dispatch::normalise_rows(x, gamma, beta, epsilon as f32).0)
}

/// Softmax over the last axis.
pub fn softmax<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if !is_cpu_f32(&x) {
        return composed::softmax(x);
    }
    Tensor::from_dispatch(Dispatch::softmax_rows(x.into_dispatch()))
}

/// The cross-entropy of each row of logits with its class, in nats: `ln(sum(e^x)) - x[class]`. A row whose class is `None`
/// counts nothing: its loss is 0, and no gradient flows to it.
///
/// # Shapes
/// - `logits`: `[N, C]`
/// - output: `[N]`
///
/// # Panics
/// If there are more or fewer classes than rows, or one is not below `C`.
///
/// ```
/// use burn::prelude::*;
/// use burn::tensor::Device;
/// let logits = Tensor::<2>::zeros([2, 4], &Device::flex());
/// let losses = engraft_kernels::cross_entropy(logits, &[Some(3), None]).into_data().try_to_vec::<f32>().unwrap();
/// assert!((losses[0] - 4.0f32.ln()).abs() < 1e-6);
/// assert_eq!(losses[1], 0.0);
/// ```
pub fn cross_entropy(logits: Tensor<2>, classes: &[Option<u32>]) -> Tensor<1> {
    let [rows, columns] = logits.dims();
    assert_eq!(classes.len(), rows, "a class for each row");
    assert!(classes.iter().flatten().all(|&class| (class as usize) < columns), "classes are fewer than {columns}");
    if !is_cpu_f32(&logits) {
        return composed::cross_entropy(logits, classes);
    }
    let classes = Arc::new(classes.iter().map(|class| class.unwrap_or(IGNORED)).collect());
    Tensor::from_dispatch(Dispatch::cross_entropy_rows(logits.into_dispatch(), classes).0)
}

/// Scaled dot-product attention of `heads` heads that lie beside each other in the last axis (Vaswani et al. 2017):
/// for each head `softmax(q k^T / sqrt(width) + mask) v`. No scores are kept: the gradients compute them again
/// (Dao et al. 2022).
///
/// # Shapes
/// - `query`, output: `[N, queries, heads width]`
/// - `key`, `value`: `[N, keys, heads width]`
/// - `mask`: `[N, keys]`, added to the scores of every query: 0 for a key that counts, minus infinity for one that does
///   not. No gradient flows to it. A sequence without a key that counts gives zeros.
///
/// # Panics
/// If the shapes do not fit each other.
pub fn attention(
    query: Tensor<3>,
    key: Tensor<3>,
    value: Tensor<3>,
    mask: Option<Tensor<2>>,
    heads: usize,
) -> Tensor<3> {
    let [batch, queries, size] = query.dims();
    let [_, keys, _] = key.dims();
    assert!(heads > 0 && size.is_multiple_of(heads), "{heads} heads of equal width in {size}");
    assert_eq!((key.dims(), value.dims()), ([batch, keys, size], [batch, keys, size]), "keys and values of {size}");
    assert!(mask.as_ref().is_none_or(|mask| mask.dims() == [batch, keys]), "a mask of [{batch}, {keys}]");
    let heads = Heads { batch, heads, queries, keys, width: size / heads };
    if !is_cpu_f32(&query) {
        return composed::attention(query, key, value, mask, heads.heads);
    }
    let (query, key, value) = (query.into_dispatch(), key.into_dispatch(), value.into_dispatch());
    Tensor::from_dispatch(Dispatch::attend(query, key, value, optional(mask), heads).0)
}

/// Weights of an LSTM layer; the gates i, f, g, o lie beside each other, as PyTorch has them.
#[derive(Debug, Clone)]
pub struct LstmWeights {
    /// Of the input, `[in, 4 width]`.
    pub input: Tensor<2>,
    /// Of the hidden state, `[width, 4 width]`.
    pub recurrent: Tensor<2>,
    /// `[4 width]`
    pub bias: Tensor<1>,
}

/// What an LSTM remembers from one step to the next.
#[derive(Debug, Clone)]
pub struct LstmState {
    /// The hidden state, which is also the output, `[N, width]`.
    pub hidden: Tensor<2>,
    /// The cell, `[N, width]`.
    pub cell: Tensor<2>,
}

/// An LSTM layer over a whole sequence (Hochreiter and Schmidhuber 1997; Gers et al. 2000):
/// `c = sigmoid(f) c + sigmoid(i) tanh(g)`, `h = sigmoid(o) tanh(c)` with
/// `[i f g o] = x W_input + h W_recurrent + b`. Without a state it begins at zeros.
///
/// # Shapes
/// - `x`: `[N, steps, in]`
/// - output: `[N, steps, width]`
///
/// # Panics
/// If the shapes do not fit each other, or there is no step.
pub fn lstm(x: Tensor<3>, weights: LstmWeights, state: Option<LstmState>) -> (Tensor<3>, LstmState) {
    let [batch, steps, inputs] = x.dims();
    let [width, gates] = weights.recurrent.dims();
    assert!(steps > 0, "an LSTM of no steps");
    assert_eq!(gates, 4 * width, "four gates of {width}");
    assert_eq!((weights.input.dims(), weights.bias.dims()), ([inputs, gates], [gates]), "weights of an LSTM");
    let device = x.device();
    let state = state.unwrap_or_else(|| {
        let zeros = || Tensor::zeros([batch, width], &device);
        LstmState { hidden: zeros(), cell: zeros() }
    });
    assert_eq!((state.hidden.dims(), state.cell.dims()), ([batch, width], [batch, width]), "the state of an LSTM");
    if !is_cpu_f32(&x) {
        return composed::lstm(x, weights, state);
    }
    let (all, _, _) = Dispatch::run_lstm(
        x.into_dispatch(),
        weights.input.into_dispatch(),
        weights.recurrent.into_dispatch(),
        weights.bias.into_dispatch(),
        state.hidden.into_dispatch(),
        state.cell.into_dispatch(),
        false,
    );
    // The last cell comes as one more step, since an operation has one output that gradients flow through.
    let all: Tensor<3> = Tensor::from_dispatch(all);
    let outputs = all.clone().narrow(1, 0, steps);
    let step = |at: usize| all.clone().narrow(1, at, 1).reshape([batch, width]);
    (outputs, LstmState { hidden: step(steps - 1), cell: step(steps) })
}

#[cfg(test)]
mod tests;
