//! The kernels as Burn sees them: operations of the `flex` backend, and of its autodiff.
//!
//! [`Operations`] says what there is, `flex` computes it, `autodiff` says what its gradients are made of. Tensors come
//! here from [`crate::layers`], which has Burn's own operations for every other backend.

use std::sync::Arc;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, ExtensionType, backend_extension};

use crate::activation::Activation;
use crate::attention::Heads;
use crate::geometry::{Convolution, Geometry};
use crate::pooling::Pool;

mod autodiff;
mod flex;

/// A tensor that may not be there, in a form that Burn's dispatch understands.
#[derive(Debug, Clone, ExtensionType)]
pub enum Optional<B: Backend> {
    /// It is there.
    Some(FloatTensor<B>),
    /// It is not.
    None,
}

impl<B: Backend> From<Option<FloatTensor<B>>> for Optional<B> {
    fn from(tensor: Option<FloatTensor<B>>) -> Self {
        tensor.map_or(Optional::None, Optional::Some)
    }
}

impl<B: Backend> Optional<B> {
    fn get(self) -> Option<FloatTensor<B>> {
        match self {
            Optional::Some(tensor) => Some(tensor),
            Optional::None => None,
        }
    }
}

/// Operations that Burn lacks in channel-last layout, or does slowly. Public to Burn's dispatch only.
///
/// Shapes are those of the functions of the same names in [`crate::layers`].
#[backend_extension(Flex, Autodiff)]
pub trait Operations: Backend {
    /// `activation(convolution of x + bias + residual)`
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Optional<Self>,
        #[extension_type] residual: Optional<Self>,
        convolution: Convolution,
        activation: Activation,
    ) -> FloatTensor<Self>;

    /// `activation(x weight + bias + residual)` over the last axis.
    fn project(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Optional<Self>,
        #[extension_type] residual: Optional<Self>,
        activation: Activation,
    ) -> FloatTensor<Self>;

    /// A pointwise function.
    fn activate(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self>;

    /// Normalisation by the batch's statistics, residual and activation: output, mean, biased variance.
    fn normalise_batch(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        #[extension_type] residual: Optional<Self>,
        epsilon: f32,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// `activation(x scale + shift + residual)`, channel by channel.
    fn scale_and_shift(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        #[extension_type] residual: Optional<Self>,
        activation: Activation,
    ) -> FloatTensor<Self>;

    /// The largest or the mean of each window.
    fn pool_windows(x: FloatTensor<Self>, pool: Pool, geometry: Geometry) -> FloatTensor<Self>;

    /// The mean over rows and columns.
    fn average_pixels(x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Normalisation over the last axis: output, and mean and inverse deviation of each row.
    fn normalise_rows(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Softmax over the last axis.
    fn softmax_rows(x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Cross-entropy of each row of logits, `[rows]`, and the logarithms of their sums of exponentials.
    fn cross_entropy_rows(x: FloatTensor<Self>, classes: Arc<Vec<u32>>) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Scaled dot-product attention: output, and the logarithm of each row's sum of exponentials.
    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        #[extension_type] mask: Optional<Self>,
        heads: Heads,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// An LSTM over a sequence: outputs with the last cell as one more step, cells, gates; the last two are empty if not
    /// `kept`.
    fn run_lstm(
        x: FloatTensor<Self>,
        input: FloatTensor<Self>,
        recurrent: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        cell: FloatTensor<Self>,
        kept: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// What a batch norm saw and gave.
#[derive(Debug, Clone)]
pub struct BatchSeen<B: Backend> {
    x: FloatTensor<B>,
    gamma: FloatTensor<B>,
    mean: FloatTensor<B>,
    variance: FloatTensor<B>,
    epsilon: f32,
    activation: Activation,
    /// What the derivative of the activation is told from, if it has one.
    told: Option<FloatTensor<B>>,
}

/// What the gradients of [`Operations`] are made of, on a backend below autodiff.
pub trait Gradients: Operations {
    /// The gradient of a convolution to its input.
    fn convolve_backward_input(
        gradient: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        convolution: Convolution,
    ) -> FloatTensor<Self>;

    /// The gradient of a convolution to its weights.
    fn convolve_backward_weight(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        convolution: Convolution,
    ) -> FloatTensor<Self>;

    /// The gradient of a linear layer to its input.
    fn project_backward_input(gradient: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The gradient of a linear layer to its weights.
    fn project_backward_weight(x: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Its gradient, from its output where that tells the derivative, else from its input.
    fn activate_backward(
        seen: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self>;

    /// Sums over all axes but the last.
    fn sum_rows(x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Gradients to input, gamma, beta and, where it is wanted, the residual.
    fn normalise_batch_backward(
        seen: BatchSeen<Self>,
        gradient: FloatTensor<Self>,
        residual: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, Option<FloatTensor<Self>>);
    /// Gradients to input, scale and shift.
    fn scale_and_shift_backward(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// Its gradient, from what it took and gave.
    fn pool_windows_backward(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        pool: Pool,
        geometry: Geometry,
    ) -> FloatTensor<Self>;

    /// Its gradient, to a map of `[rows, columns]`.
    fn average_pixels_backward(gradient: FloatTensor<Self>, size: [usize; 2]) -> FloatTensor<Self>;

    /// Gradients to input, gamma and beta.
    fn normalise_rows_backward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// Its gradient, from its output.
    fn softmax_rows_backward(y: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Its gradient, from logits and logarithms.
    fn cross_entropy_rows_backward(
        x: FloatTensor<Self>,
        classes: Arc<Vec<u32>>,
        logarithms: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// Gradients to query, key and value; `seen` are these, then output and logarithms.
    fn attend_backward(
        seen: [FloatTensor<Self>; 5],
        mask: Optional<Self>,
        gradient: FloatTensor<Self>,
        heads: Heads,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// Gradients to the six inputs of an LSTM; `seen` are these, then outputs, cells and gates.
    fn run_lstm_backward(seen: Vec<FloatTensor<Self>>, gradient: FloatTensor<Self>) -> [FloatTensor<Self>; 6];
}
