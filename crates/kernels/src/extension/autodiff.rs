//! What the gradients of the operations are made of, for Burn's autodiff.
//!
//! An optional input that is not there is stood in for by the first one among an operation's parents: their number is
//! fixed, and nothing is registered for it.

use std::sync::Arc;

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients as Grads;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, Backend, TensorMetadata};

use crate::activation::Activation;
use crate::attention::Heads;
use crate::extension::{BatchSeen, Gradients, Operations, Optional};
use crate::geometry::{Convolution, Geometry};
use crate::pooling::Pool;

/// Which optional inputs a layer had, and how to go back through its activation.
#[derive(Debug, Clone)]
struct Ending<T> {
    bias: bool,
    residual: bool,
    activation: Activation,
    /// What the derivative of the activation is told from.
    seen: Option<T>,
}

/// The output of a layer that ends in an activation: the output, and what the way back wants to have seen.
fn ended<B: Gradients>(
    activation: Activation,
    layer: impl FnOnce(Activation) -> FloatTensor<B>,
) -> (FloatTensor<B>, Option<FloatTensor<B>>) {
    if activation == Activation::None {
        return (layer(activation), None);
    }
    if activation.derivative_from_output() {
        let y = layer(activation);
        return (y.clone(), Some(y));
    }
    let before = layer(Activation::None);
    (B::activate(before.clone(), activation), Some(before))
}

/// The gradient before the activation, which the residual's is too.
fn back<B: Gradients>(ending: Ending<FloatTensor<B>>, gradient: FloatTensor<B>) -> FloatTensor<B> {
    match ending.seen {
        Some(seen) => B::activate_backward(seen, gradient, ending.activation),
        None => gradient,
    }
}

fn is_there<B: Backend>(tensor: &Optional<B>) -> bool {
    matches!(tensor, Optional::Some(_))
}

/// The graph's node of an optional input, or of what stands in for it.
fn node_or<B: Backend, C: CheckpointStrategy>(
    tensor: &Optional<Autodiff<B, C>>,
    otherwise: &FloatTensor<Autodiff<B, C>>,
) -> NodeGuard {
    match tensor {
        Optional::Some(tensor) => tensor.node(),
        Optional::None => otherwise.node(),
    }
}

/// An optional tensor on the backend below.
fn lower<B: Backend, C: CheckpointStrategy>(tensor: Optional<Autodiff<B, C>>) -> Optional<B> {
    match tensor {
        Optional::Some(tensor) => Optional::Some(tensor.into_primitive()),
        Optional::None => Optional::None,
    }
}

#[derive(Debug)]
struct Conv2d;

impl<B: Gradients> Backward<B, 4> for Conv2d {
    type State = (FloatTensor<B>, FloatTensor<B>, Ending<FloatTensor<B>>, Convolution);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Grads, _: &mut Checkpointer) {
        let [input, weight, bias, residual] = ops.parents;
        let gradient = grads.consume::<B>(&ops.node);
        let (x, w, ending, convolution) = ops.state;
        let (has_bias, has_residual) = (ending.bias, ending.residual);
        let gradient = back::<B>(ending, gradient);
        if let Some(node) = bias.filter(|_| has_bias) {
            grads.register::<B>(node.id, B::sum_rows(gradient.clone()));
        }
        if let Some(node) = weight {
            grads.register::<B>(node.id, B::convolve_backward_weight(x, gradient.clone(), convolution));
        }
        if let Some(node) = input {
            grads.register::<B>(node.id, B::convolve_backward_input(gradient.clone(), w, convolution));
        }
        if let Some(node) = residual.filter(|_| has_residual) {
            grads.register::<B>(node.id, gradient);
        }
    }
}

#[derive(Debug)]
struct Linear;

impl<B: Gradients> Backward<B, 4> for Linear {
    type State = (FloatTensor<B>, FloatTensor<B>, Ending<FloatTensor<B>>);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Grads, _: &mut Checkpointer) {
        let [input, weight, bias, residual] = ops.parents;
        let gradient = grads.consume::<B>(&ops.node);
        let (x, w, ending) = ops.state;
        let (has_bias, has_residual) = (ending.bias, ending.residual);
        let gradient = back::<B>(ending, gradient);
        if let Some(node) = bias.filter(|_| has_bias) {
            grads.register::<B>(node.id, B::sum_rows(gradient.clone()));
        }
        if let Some(node) = weight {
            grads.register::<B>(node.id, B::project_backward_weight(x, gradient.clone()));
        }
        if let Some(node) = input {
            grads.register::<B>(node.id, B::project_backward_input(gradient.clone(), w));
        }
        if let Some(node) = residual.filter(|_| has_residual) {
            grads.register::<B>(node.id, gradient);
        }
    }
}

#[derive(Debug)]
struct Activate;

impl<B: Gradients> Backward<B, 1> for Activate {
    type State = (FloatTensor<B>, Activation);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Grads, _: &mut Checkpointer) {
        let [input] = ops.parents;
        let gradient = grads.consume::<B>(&ops.node);
        let (seen, activation) = ops.state;
        if let Some(node) = input {
            grads.register::<B>(node.id, B::activate_backward(seen, gradient, activation));
        }
    }
}

#[derive(Debug)]
struct BatchNorm;

impl<B: Gradients> Backward<B, 4> for BatchNorm {
    /// What it saw, and whether it had a residual.
    type State = (BatchSeen<B>, bool);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Grads, _: &mut Checkpointer) {
        let [input, gamma, beta, residual] = ops.parents;
        let gradient = grads.consume::<B>(&ops.node);
        let (seen, has_residual) = ops.state;
        let residual = residual.filter(|_| has_residual);
        let (gx, g_gamma, g_beta, g_residual) = B::normalise_batch_backward(seen, gradient, residual.is_some());
        for (node, gradient) in
            [(input, Some(gx)), (gamma, Some(g_gamma)), (beta, Some(g_beta)), (residual, g_residual)]
        {
            if let (Some(node), Some(gradient)) = (node, gradient) {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct Affine;

impl<B: Gradients> Backward<B, 4> for Affine {
    type State = (FloatTensor<B>, FloatTensor<B>, Ending<FloatTensor<B>>);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Grads, _: &mut Checkpointer) {
        let [input, scale, shift, residual] = ops.parents;
        let gradient = grads.consume::<B>(&ops.node);
        let (x, by, ending) = ops.state;
        let has_residual = ending.residual;
        let gradient = back::<B>(ending, gradient);
        let (gx, g_scale, g_shift) = B::scale_and_shift_backward(x, by, gradient.clone());
        for (node, gradient) in [(input, gx), (scale, g_scale), (shift, g_shift)] {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
        if let Some(node) = residual.filter(|_| has_residual) {
            grads.register::<B>(node.id, gradient);
        }
    }
}

#[derive(Debug)]
struct PoolBack;

impl<B: Gradients> Backward<B, 1> for PoolBack {
    type State = (FloatTensor<B>, FloatTensor<B>, Pool, Geometry);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Grads, _: &mut Checkpointer) {
        let [input] = ops.parents;
        let gradient = grads.consume::<B>(&ops.node);
        let (x, y, pool, geometry) = ops.state;
        if let Some(node) = input {
            grads.register::<B>(node.id, B::pool_windows_backward(x, y, gradient, pool, geometry));
        }
    }
}

#[derive(Debug)]
struct GlobalAverage;

impl<B: Gradients> Backward<B, 1> for GlobalAverage {
    type State = [usize; 2];

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Grads, _: &mut Checkpointer) {
        let [input] = ops.parents;
        let gradient = grads.consume::<B>(&ops.node);
        if let Some(node) = input {
            grads.register::<B>(node.id, B::average_pixels_backward(gradient, ops.state));
        }
    }
}

#[derive(Debug)]
struct LayerNorm;

impl<B: Gradients> Backward<B, 3> for LayerNorm {
    type State = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Grads, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let (x, gamma, statistics) = ops.state;
        let (gx, g_gamma, g_beta) = B::normalise_rows_backward(x, gamma, statistics, gradient);
        for (node, gradient) in ops.parents.into_iter().zip([gx, g_gamma, g_beta]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct Softmax;

impl<B: Gradients> Backward<B, 1> for Softmax {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Grads, _: &mut Checkpointer) {
        let [input] = ops.parents;
        let gradient = grads.consume::<B>(&ops.node);
        if let Some(node) = input {
            grads.register::<B>(node.id, B::softmax_rows_backward(ops.state, gradient));
        }
    }
}

#[derive(Debug)]
struct CrossEntropy;

impl<B: Gradients> Backward<B, 1> for CrossEntropy {
    /// Logits, classes and logarithms.
    type State = (FloatTensor<B>, Arc<Vec<u32>>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Grads, _: &mut Checkpointer) {
        let [input] = ops.parents;
        let gradient = grads.consume::<B>(&ops.node);
        if let Some(node) = input {
            let (x, classes, logarithms) = ops.state;
            grads.register::<B>(node.id, B::cross_entropy_rows_backward(x, classes, logarithms, gradient));
        }
    }
}

#[derive(Debug)]
struct Attention;

impl<B: Gradients> Backward<B, 3> for Attention {
    /// Query, key, value, output and logarithms; the mask; the heads.
    type State = ([FloatTensor<B>; 5], Optional<B>, Heads);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Grads, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let (seen, mask, heads) = ops.state;
        let (gq, gk, gv) = B::attend_backward(seen, mask, gradient, heads);
        for (node, gradient) in ops.parents.into_iter().zip([gq, gk, gv]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct Lstm;

impl<B: Gradients> Backward<B, 6> for Lstm {
    /// The six inputs, outputs, cells and gates.
    type State = Vec<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, 6>, grads: &mut Grads, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        for (node, gradient) in ops.parents.into_iter().zip(B::run_lstm_backward(ops.state, gradient)) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: Gradients, C: CheckpointStrategy> Operations for Autodiff<B, C> {
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Optional<Self>,
        residual: Optional<Self>,
        convolution: Convolution,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), node_or(&bias, &x), node_or(&residual, &x)];
        let (has_bias, has_residual) = (is_there(&bias), is_there(&residual));
        let (x, w) = (x.into_primitive(), weight.into_primitive());
        let (bias, residual) = (lower(bias), lower(residual));
        match Conv2d.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (y, seen) = ended::<B>(activation, |activation| {
                    B::convolve(x.clone(), w.clone(), bias, residual, convolution, activation)
                });
                let ending = Ending { bias: has_bias, residual: has_residual, activation, seen };
                prep.finish((x, w, ending, convolution), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::convolve(x, w, bias, residual, convolution, activation)),
        }
    }

    fn project(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Optional<Self>,
        residual: Optional<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), node_or(&bias, &x), node_or(&residual, &x)];
        let (has_bias, has_residual) = (is_there(&bias), is_there(&residual));
        let (x, w) = (x.into_primitive(), weight.into_primitive());
        let (bias, residual) = (lower(bias), lower(residual));
        match Linear.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (y, seen) =
                    ended::<B>(activation, |activation| B::project(x.clone(), w.clone(), bias, residual, activation));
                prep.finish((x, w, Ending { bias: has_bias, residual: has_residual, activation, seen }), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::project(x, w, bias, residual, activation)),
        }
    }

    fn activate(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let x = x.into_primitive();
        match Activate.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                if activation.derivative_from_output() {
                    let y = B::activate(x, activation);
                    prep.finish((y.clone(), activation), y)
                } else {
                    prep.finish((x.clone(), activation), B::activate(x, activation))
                }
            }
            OpsKind::UnTracked(prep) => prep.finish(B::activate(x, activation)),
        }
    }

    fn normalise_batch(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        residual: Optional<Self>,
        epsilon: f32,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [x.node(), gamma.node(), beta.node(), node_or(&residual, &x)];
        let has_residual = is_there(&residual);
        let [x, gamma, beta] = [x, gamma, beta].map(|tensor| tensor.into_primitive());
        let residual = lower(residual);
        match BatchNorm.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let mut statistics = None;
                let (y, told) = ended::<B>(activation, |activation| {
                    let (y, mean, variance) =
                        B::normalise_batch(x.clone(), gamma.clone(), beta, residual, epsilon, activation);
                    statistics = Some((mean, variance));
                    y
                });
                let (mean, variance) = statistics.expect("the layer ran");
                let (kept_mean, kept_variance) = (mean.clone(), variance.clone());
                let seen = BatchSeen { x, gamma, mean: kept_mean, variance: kept_variance, epsilon, activation, told };
                (prep.finish((seen, has_residual), y), Self::from_inner(mean), Self::from_inner(variance))
            }
            OpsKind::UnTracked(prep) => {
                let (y, mean, variance) = B::normalise_batch(x, gamma, beta, residual, epsilon, activation);
                (prep.finish(y), Self::from_inner(mean), Self::from_inner(variance))
            }
        }
    }

    fn scale_and_shift(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        residual: Optional<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), scale.node(), shift.node(), node_or(&residual, &x)];
        let has_residual = is_there(&residual);
        let [x, scale, shift] = [x, scale, shift].map(|tensor| tensor.into_primitive());
        let residual = lower(residual);
        match Affine.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (y, seen) = ended::<B>(activation, |activation| {
                    B::scale_and_shift(x.clone(), scale.clone(), shift, residual, activation)
                });
                prep.finish((x, scale, Ending { bias: false, residual: has_residual, activation, seen }), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::scale_and_shift(x, scale, shift, residual, activation)),
        }
    }

    fn pool_windows(x: FloatTensor<Self>, pool: Pool, geometry: Geometry) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let x = x.into_primitive();
        let y = B::pool_windows(x.clone(), pool, geometry);
        match PoolBack.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x, y.clone(), pool, geometry), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn average_pixels(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let (nodes, shape) = ([x.node()], x.shape());
        let y = B::average_pixels(x.into_primitive());
        match GlobalAverage.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish([shape[1], shape[2]], y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn normalise_rows(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [x.node(), gamma.node(), beta.node()];
        let [x, gamma, beta] = [x, gamma, beta].map(|tensor| tensor.into_primitive());
        let (y, statistics) = B::normalise_rows(x.clone(), gamma.clone(), beta, epsilon);
        let output = match LayerNorm.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x, gamma, statistics.clone()), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        };
        (output, Self::from_inner(statistics))
    }

    fn softmax_rows(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let y = B::softmax_rows(x.into_primitive());
        match Softmax.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(y.clone(), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn cross_entropy_rows(x: FloatTensor<Self>, classes: Arc<Vec<u32>>) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [x.node()];
        let x = x.into_primitive();
        let (losses, logarithms) = B::cross_entropy_rows(x.clone(), classes.clone());
        let output = match CrossEntropy.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x, classes, logarithms.clone()), losses),
            OpsKind::UnTracked(prep) => prep.finish(losses),
        };
        (output, Self::from_inner(logarithms))
    }

    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        mask: Optional<Self>,
        heads: Heads,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [query.node(), key.node(), value.node()];
        let [q, k, v] = [query, key, value].map(|tensor| tensor.into_primitive());
        let mask = lower(mask);
        let (y, logarithms) = B::attend(q.clone(), k.clone(), v.clone(), mask.clone(), heads);
        let output = match Attention.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(([q, k, v, y.clone(), logarithms.clone()], mask, heads), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        };
        (output, Self::from_inner(logarithms))
    }

    fn run_lstm(
        x: FloatTensor<Self>,
        input: FloatTensor<Self>,
        recurrent: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        cell: FloatTensor<Self>,
        kept: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let inputs = [x, input, recurrent, bias, hidden, cell];
        let nodes = inputs.each_ref().map(|tensor| tensor.node());
        let inputs = inputs.map(|tensor| tensor.into_primitive());
        let run = |[x, input, recurrent, bias, hidden, cell]: [FloatTensor<B>; 6], kept| {
            B::run_lstm(x, input, recurrent, bias, hidden, cell, kept)
        };
        match Lstm.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (y, cells, gates) = run(inputs.clone(), true);
                let seen = inputs.into_iter().chain([y.clone(), cells.clone(), gates.clone()]).collect();
                (prep.finish(seen, y), Self::from_inner(cells), Self::from_inner(gates))
            }
            OpsKind::UnTracked(prep) => {
                let (y, cells, gates) = run(inputs, kept);
                (prep.finish(y), Self::from_inner(cells), Self::from_inner(gates))
            }
        }
    }
}
