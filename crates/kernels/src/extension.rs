//! The operations as Burn sees them: on the `flex` backend, and through its autodiff.

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, TensorMetadata, backend_extension};
use burn::prelude::Shape;
use burn::tensor::{Bytes, DType};

use crate::convolution::Geometry;
use crate::{depthwise, patches, pointwise, pooling};

/// The interval that a clamp keeps to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    low: f32,
    high: f32,
}

impl From<(f32, f32)> for Bounds {
    fn from((low, high): (f32, f32)) -> Self {
        Self { low, high }
    }
}

/// Operations that Burn lacks in channel-last layout. Public to Burn's dispatch only.
#[backend_extension(Flex, Autodiff)]
pub trait Operations: Backend {
    /// Patches of `[N, H, W, C]` as rows, `[N H' W', taps C]`.
    fn patches(x: FloatTensor<Self>, geometry: Geometry) -> FloatTensor<Self>;
    /// Gradient of `patches` to its input of `images` pictures.
    fn patches_backward(gradient: FloatTensor<Self>, images: usize, geometry: Geometry) -> FloatTensor<Self>;
    /// Depthwise convolution of `[N, H, W, C]` with `[taps, C]`.
    fn depthwise(x: FloatTensor<Self>, taps: FloatTensor<Self>, geometry: Geometry) -> FloatTensor<Self>;
    /// Gradient of `depthwise` to its input.
    fn depthwise_backward_input(
        gradient: FloatTensor<Self>,
        taps: FloatTensor<Self>,
        geometry: Geometry,
    ) -> FloatTensor<Self>;
    /// Gradient of `depthwise` to its taps.
    fn depthwise_backward_taps(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        geometry: Geometry,
    ) -> FloatTensor<Self>;
    /// Maximum over windows of `[N, H, W, C]`.
    fn max_pool(x: FloatTensor<Self>, geometry: Geometry) -> FloatTensor<Self>;
    /// Gradient of `max_pool` to its input.
    fn max_pool_backward(x: FloatTensor<Self>, gradient: FloatTensor<Self>, geometry: Geometry) -> FloatTensor<Self>;
    /// Mean over windows of `[N, H, W, C]`.
    fn average_pool(x: FloatTensor<Self>, geometry: Geometry, count_padding: bool) -> FloatTensor<Self>;
    /// Gradient of `average_pool` to its input.
    fn average_pool_backward(gradient: FloatTensor<Self>, geometry: Geometry, count_padding: bool)
    -> FloatTensor<Self>;
    /// clamp(x + bias), the bias along the last axis.
    fn bias_clamp(x: FloatTensor<Self>, bias: FloatTensor<Self>, bounds: Bounds) -> FloatTensor<Self>;
    /// Gradients of `bias_clamp` to x and to bias, from its output.
    fn bias_clamp_backward(
        output: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        bounds: Bounds,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

fn make(values: Vec<f32>, shape: &[usize]) -> FlexTensor {
    let shape = Shape::from(shape.to_vec());
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape), DType::F32)
}

/// A contiguous f32 tensor's values.
fn slice(tensor: &FlexTensor) -> &[f32] {
    assert_eq!(tensor.dtype(), DType::F32, "the kernels work in f32");
    tensor.as_slice::<f32>().expect("the tensor was made contiguous")
}

fn dims(tensor: &FlexTensor) -> Vec<usize> {
    tensor.layout().shape().to_vec()
}

fn last(tensor: &FlexTensor) -> usize {
    dims(tensor).last().copied().unwrap_or(1)
}

impl Operations for Flex {
    fn patches(x: FlexTensor, g: Geometry) -> FlexTensor {
        let x = x.to_contiguous();
        let (images, channels) = (dims(&x)[0], last(&x));
        assert_eq!(dims(&x), [images, g.input[0], g.input[1], channels]);
        let columns = g.kernel[0] * g.kernel[1] * channels;
        make(patches::gather(slice(&x), images, channels, &g), &[images * g.output[0] * g.output[1], columns])
    }

    fn patches_backward(gradient: FlexTensor, images: usize, g: Geometry) -> FlexTensor {
        let gradient = gradient.to_contiguous();
        let channels = last(&gradient) / (g.kernel[0] * g.kernel[1]);
        let x = patches::scatter(slice(&gradient), images, channels, &g);
        make(x, &[images, g.input[0], g.input[1], channels])
    }

    fn depthwise(x: FlexTensor, taps: FlexTensor, g: Geometry) -> FlexTensor {
        let (x, taps) = (x.to_contiguous(), taps.to_contiguous());
        let (images, channels) = (dims(&x)[0], last(&x));
        assert_eq!(dims(&x), [images, g.input[0], g.input[1], channels]);
        assert_eq!(dims(&taps), [g.kernel[0] * g.kernel[1], channels]);
        let y = depthwise::forward(slice(&x), slice(&taps), images, channels, &g);
        make(y, &[images, g.output[0], g.output[1], channels])
    }

    fn depthwise_backward_input(gradient: FlexTensor, taps: FlexTensor, g: Geometry) -> FlexTensor {
        let (gradient, taps) = (gradient.to_contiguous(), taps.to_contiguous());
        let (images, channels) = (dims(&gradient)[0], last(&gradient));
        let gx = depthwise::backward_input(slice(&gradient), slice(&taps), images, channels, &g);
        make(gx, &[images, g.input[0], g.input[1], channels])
    }

    fn depthwise_backward_taps(x: FlexTensor, gradient: FlexTensor, g: Geometry) -> FlexTensor {
        let (x, gradient) = (x.to_contiguous(), gradient.to_contiguous());
        let channels = last(&x);
        let gw = depthwise::backward_taps(slice(&x), slice(&gradient), channels, &g);
        make(gw, &[g.kernel[0] * g.kernel[1], channels])
    }

    fn max_pool(x: FlexTensor, g: Geometry) -> FlexTensor {
        let x = x.to_contiguous();
        let (images, channels) = (dims(&x)[0], last(&x));
        make(pooling::max(slice(&x), images, channels, &g), &[images, g.output[0], g.output[1], channels])
    }

    fn max_pool_backward(x: FlexTensor, gradient: FlexTensor, g: Geometry) -> FlexTensor {
        let (x, gradient) = (x.to_contiguous(), gradient.to_contiguous());
        let (images, channels) = (dims(&x)[0], last(&x));
        let gx = pooling::max_backward(slice(&x), slice(&gradient), images, channels, &g);
        make(gx, &[images, g.input[0], g.input[1], channels])
    }

    fn average_pool(x: FlexTensor, g: Geometry, count_padding: bool) -> FlexTensor {
        let x = x.to_contiguous();
        let (images, channels) = (dims(&x)[0], last(&x));
        let y = pooling::average(slice(&x), images, channels, &g, count_padding);
        make(y, &[images, g.output[0], g.output[1], channels])
    }

    fn average_pool_backward(gradient: FlexTensor, g: Geometry, count_padding: bool) -> FlexTensor {
        let gradient = gradient.to_contiguous();
        let (images, channels) = (dims(&gradient)[0], last(&gradient));
        let gx = pooling::average_backward(slice(&gradient), images, channels, &g, count_padding);
        make(gx, &[images, g.input[0], g.input[1], channels])
    }

    fn bias_clamp(x: FlexTensor, bias: FlexTensor, bounds: Bounds) -> FlexTensor {
        let (mut x, bias) = (x.to_contiguous(), bias.to_contiguous());
        assert_eq!(dims(&bias), [last(&x)]);
        let shape = dims(&x);
        match x.try_storage_mut::<f32>() {
            Some(values) if values.len() == shape.iter().product::<usize>() => {
                pointwise::bias_clamp(values, slice(&bias), bounds.low, bounds.high);
                x
            }
            _ => {
                let mut values = slice(&x).to_vec();
                pointwise::bias_clamp(&mut values, slice(&bias), bounds.low, bounds.high);
                make(values, &shape)
            }
        }
    }

    fn bias_clamp_backward(output: FlexTensor, gradient: FlexTensor, bounds: Bounds) -> (FlexTensor, FlexTensor) {
        let (output, gradient) = (output.to_contiguous(), gradient.to_contiguous());
        let channels = last(&output);
        let (gx, gb) =
            pointwise::bias_clamp_backward(slice(&output), slice(&gradient), channels, bounds.low, bounds.high);
        (make(gx, &dims(&output)), make(gb, &[channels]))
    }
}

#[derive(Debug)]
struct Patches;

impl<B: Operations> Backward<B, 1> for Patches {
    type State = (usize, Geometry);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [parent] = ops.parents;
        let gradient = grads.consume::<B>(&ops.node);
        let (images, geometry) = ops.state;
        if let Some(node) = parent {
            grads.register::<B>(node.id, B::patches_backward(gradient, images, geometry));
        }
    }
}

#[derive(Debug)]
struct Depthwise;

impl<B: Operations> Backward<B, 2> for Depthwise {
    type State = (FloatTensor<B>, FloatTensor<B>, Geometry);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [input, weight] = ops.parents;
        let gradient = grads.consume::<B>(&ops.node);
        let (x, taps, geometry) = ops.state;
        if let Some(node) = weight {
            grads.register::<B>(node.id, B::depthwise_backward_taps(x, gradient.clone(), geometry));
        }
        if let Some(node) = input {
            grads.register::<B>(node.id, B::depthwise_backward_input(gradient, taps, geometry));
        }
    }
}

#[derive(Debug)]
struct MaxPool;

impl<B: Operations> Backward<B, 1> for MaxPool {
    type State = (FloatTensor<B>, Geometry);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [parent] = ops.parents;
        let gradient = grads.consume::<B>(&ops.node);
        let (x, geometry) = ops.state;
        if let Some(node) = parent {
            grads.register::<B>(node.id, B::max_pool_backward(x, gradient, geometry));
        }
    }
}

#[derive(Debug)]
struct AveragePool;

impl<B: Operations> Backward<B, 1> for AveragePool {
    type State = (Geometry, bool);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [parent] = ops.parents;
        let gradient = grads.consume::<B>(&ops.node);
        let (geometry, count_padding) = ops.state;
        if let Some(node) = parent {
            grads.register::<B>(node.id, B::average_pool_backward(gradient, geometry, count_padding));
        }
    }
}

#[derive(Debug)]
struct BiasClamp;

impl<B: Operations> Backward<B, 2> for BiasClamp {
    type State = (FloatTensor<B>, Bounds);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [input, bias] = ops.parents;
        let gradient = grads.consume::<B>(&ops.node);
        let (output, bounds) = ops.state;
        let (gx, gb) = B::bias_clamp_backward(output, gradient, bounds);
        if let Some(node) = input {
            grads.register::<B>(node.id, gx);
        }
        if let Some(node) = bias {
            grads.register::<B>(node.id, gb);
        }
    }
}

impl<B: Operations, C: CheckpointStrategy> Operations for Autodiff<B, C> {
    fn patches(x: FloatTensor<Self>, geometry: Geometry) -> FloatTensor<Self> {
        let images = x.primitive().shape()[0];
        let y = B::patches(x.primitive().clone(), geometry);
        match Patches.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((images, geometry), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn depthwise(x: FloatTensor<Self>, taps: FloatTensor<Self>, geometry: Geometry) -> FloatTensor<Self> {
        let y = B::depthwise(x.primitive().clone(), taps.primitive().clone(), geometry);
        match Depthwise.prepare::<C>([x.node(), taps.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x.primitive().clone(), taps.primitive().clone(), geometry), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn max_pool(x: FloatTensor<Self>, geometry: Geometry) -> FloatTensor<Self> {
        let y = B::max_pool(x.primitive().clone(), geometry);
        match MaxPool.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x.primitive().clone(), geometry), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn average_pool(x: FloatTensor<Self>, geometry: Geometry, count_padding: bool) -> FloatTensor<Self> {
        let y = B::average_pool(x.primitive().clone(), geometry, count_padding);
        match AveragePool.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((geometry, count_padding), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn bias_clamp(x: FloatTensor<Self>, bias: FloatTensor<Self>, bounds: Bounds) -> FloatTensor<Self> {
        let y = B::bias_clamp(x.primitive().clone(), bias.primitive().clone(), bounds);
        match BiasClamp.prepare::<C>([x.node(), bias.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((y.clone(), bounds), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn patches_backward(_: FloatTensor<Self>, _: usize, _: Geometry) -> FloatTensor<Self> {
        unreachable!("{SECOND_ORDER}")
    }
    fn depthwise_backward_input(_: FloatTensor<Self>, _: FloatTensor<Self>, _: Geometry) -> FloatTensor<Self> {
        unreachable!("{SECOND_ORDER}")
    }
    fn depthwise_backward_taps(_: FloatTensor<Self>, _: FloatTensor<Self>, _: Geometry) -> FloatTensor<Self> {
        unreachable!("{SECOND_ORDER}")
    }
    fn max_pool_backward(_: FloatTensor<Self>, _: FloatTensor<Self>, _: Geometry) -> FloatTensor<Self> {
        unreachable!("{SECOND_ORDER}")
    }
    fn average_pool_backward(_: FloatTensor<Self>, _: Geometry, _: bool) -> FloatTensor<Self> {
        unreachable!("{SECOND_ORDER}")
    }
    fn bias_clamp_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Bounds,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{SECOND_ORDER}")
    }
}

/// Gradients are taken on the inner backend; nothing asks for gradients of gradients.
const SECOND_ORDER: &str = "a backward pass runs on the inner backend";
