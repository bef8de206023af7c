//! The operations on the `flex` backend: tensors become slices, and slices tensors.

use std::sync::Arc;

use burn::backend::Flex;
use burn::backend::flex::{FlexTensor, Layout};
use burn::prelude::Shape as Dimensions;
use burn::tensor::{Bytes, DType};

use crate::activation::Activation;
use crate::attention::{self, Heads};
use crate::convolution::{self, Prepared, Shape};
use crate::cross_entropy;
use crate::extension::{BatchSeen, Gradients, Operations, Optional};
use crate::gemm::{Epilogue, Panels, matrix_product, transposed_product};
use crate::geometry::{Convolution, Geometry};
use crate::layer_norm::{self, LayerNorm};
use crate::lstm::{self, Sequence};
use crate::norm::{self, Norm, Seen};
use crate::pooling::{self, Pool};
use crate::softmax;

fn tensor(values: Vec<f32>, dims: &[usize]) -> FlexTensor {
    let dims = Dimensions::from(dims.to_vec());
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(dims), DType::F32)
}

fn dims(tensor: &FlexTensor) -> Vec<usize> {
    tensor.layout().shape().to_vec()
}

/// Length of the last axis, and of all axes before it together.
fn rows_and_columns(tensor: &FlexTensor) -> (usize, usize) {
    let dims = dims(tensor);
    match dims.split_last() {
        Some((&columns, rows)) => (rows.iter().product(), columns),
        None => (1, 1),
    }
}

/// A tensor whose numbers lie one after the other.
struct Input(FlexTensor);

impl Input {
    fn new(tensor: FlexTensor) -> Self {
        assert_eq!(tensor.dtype(), DType::F32, "the kernels work in f32");
        Self(if tensor.as_slice::<f32>().is_some() { tensor } else { tensor.to_contiguous() })
    }

    fn values(&self) -> &[f32] {
        self.0.as_slice().expect("the tensor was made contiguous")
    }

    fn dims<const D: usize>(&self) -> [usize; D] {
        dims(&self.0).try_into().unwrap_or_else(|dims| panic!("a tensor of {D} axes, not {dims:?}"))
    }

    /// Its numbers to be changed where they are, if nobody else has them.
    fn own(&mut self) -> Option<&mut [f32]> {
        let count: usize = dims(&self.0).iter().product();
        self.0.try_storage_mut::<f32>().filter(|values| values.len() == count)
    }

    /// Changes its numbers: where they are if nobody else has them, or in a copy.
    fn change(mut self, change: impl FnOnce(&mut [f32])) -> FlexTensor {
        if let Some(values) = self.own() {
            change(values);
            return self.0;
        }
        let mut values = self.values().to_vec();
        change(&mut values);
        tensor(values, &dims(&self.0))
    }
}

fn optional(tensor: Optional<Flex>) -> Option<Input> {
    tensor.get().map(Input::new)
}

fn values_of(input: &Option<Input>) -> Option<&[f32]> {
    input.as_ref().map(Input::values)
}

/// Sizes of a convolution, checked against its tensors.
fn shape_of(images: usize, weight: &Input, convolution: &Convolution) -> Shape {
    let Convolution { geometry, groups, .. } = *convolution;
    let [rows, columns, channels, outputs] = weight.dims();
    assert_eq!([rows, columns], geometry.kernel, "a window of the size that was announced");
    Shape { images, channels: channels * groups, outputs, groups, geometry }
}

/// Takes the tensors of a list apart.
fn inputs<const N: usize>(tensors: Vec<FlexTensor>) -> [Input; N] {
    let inputs: Vec<Input> = tensors.into_iter().map(Input::new).collect();
    inputs.try_into().unwrap_or_else(|inputs: Vec<Input>| panic!("{N} tensors, not {}", inputs.len()))
}

/// Sizes, weights and state of an LSTM from x, the weights of input and state, the bias, and the first state.
fn lstm_of(inputs: &[Input]) -> (Sequence, lstm::Weights<'_>, lstm::Initial<'_>) {
    let [x, input, recurrent, bias, hidden, cell] = inputs else { panic!("an LSTM has six inputs") };
    let ([batch, steps, inputs], [width, _]) = (x.dims(), recurrent.dims());
    let weights = lstm::Weights { input: input.values(), recurrent: recurrent.values(), bias: bias.values() };
    let initial = lstm::Initial { hidden: Some(hidden.values()), cell: Some(cell.values()) };
    (Sequence { batch, steps, inputs, width }, weights, initial)
}

/// `[N, steps + 1, width]` as the steps and the one after them.
fn apart(values: &[f32], steps: usize, width: usize) -> (Vec<f32>, Vec<f32>) {
    let mut parts = (Vec::with_capacity(values.len()), Vec::new());
    for sequence in values.chunks_exact((steps + 1) * width) {
        let (before, last) = sequence.split_at(steps * width);
        parts.0.extend_from_slice(before);
        parts.1.extend_from_slice(last);
    }
    parts
}

impl Operations for Flex {
    fn convolve(
        x: FlexTensor,
        weight: FlexTensor,
        bias: Optional<Self>,
        residual: Optional<Self>,
        convolution: Convolution,
        activation: Activation,
    ) -> FlexTensor {
        let (x, weight, bias, residual) = (Input::new(x), Input::new(weight), optional(bias), optional(residual));
        let [images, rows, columns, channels] = x.dims();
        let shape = shape_of(images, &weight, &convolution);
        let g = &shape.geometry;
        assert_eq!(([rows, columns], channels), (g.input, shape.channels), "an image of the size that was announced");
        let mut y = vec![0.0; shape.output_len()];
        let prepared = Prepared::new(&shape, weight.values(), convolution.exact);
        let epilogue = Epilogue { bias: values_of(&bias), residual: values_of(&residual), activation };
        convolution::forward(&shape, x.values(), &prepared, &mut y, &epilogue);
        tensor(y, &[images, g.output[0], g.output[1], shape.outputs])
    }

    fn project(
        x: FlexTensor,
        weight: FlexTensor,
        bias: Optional<Self>,
        residual: Optional<Self>,
        activation: Activation,
    ) -> FlexTensor {
        let (x, weight, bias, residual) = (Input::new(x), Input::new(weight), optional(bias), optional(residual));
        let [depth, columns] = weight.dims();
        let (rows, found) = rows_and_columns(&x.0);
        assert_eq!(found, depth, "a linear layer of {depth} inputs");
        let panels = Panels::of(weight.values(), depth, columns);
        let mut y = vec![0.0; rows * columns];
        let epilogue = Epilogue { bias: values_of(&bias), residual: values_of(&residual), activation };
        matrix_product(x.values(), &panels, &mut y, &epilogue);
        let mut shape = dims(&x.0);
        *shape.last_mut().expect("a linear layer's input has an axis") = columns;
        tensor(y, &shape)
    }

    fn activate(x: FlexTensor, activation: Activation) -> FlexTensor {
        let mut x = Input::new(x);
        match x.own() {
            Some(values) => {
                activation.in_place_together(values);
                x.0
            }
            None => {
                let mut y = vec![0.0; x.values().len()];
                activation.apply_together(x.values(), &mut y);
                tensor(y, &dims(&x.0))
            }
        }
    }

    fn normalise_batch(
        x: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        residual: Optional<Self>,
        epsilon: f32,
        activation: Activation,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let (x, gamma, beta, residual) = (Input::new(x), Input::new(gamma), Input::new(beta), optional(residual));
        let norm = Norm { gamma: gamma.values(), beta: beta.values(), epsilon, activation };
        let found = norm::forward(x.values(), &norm, values_of(&residual));
        let channels = [norm.gamma.len()];
        (tensor(found.output, &dims(&x.0)), tensor(found.mean, &channels), tensor(found.variance, &channels))
    }

    fn scale_and_shift(
        x: FlexTensor,
        scale: FlexTensor,
        shift: FlexTensor,
        residual: Optional<Self>,
        activation: Activation,
    ) -> FlexTensor {
        let (x, scale, shift, residual) = (Input::new(x), Input::new(scale), Input::new(shift), optional(residual));
        let mut y = vec![0.0; x.values().len()];
        norm::affine(x.values(), scale.values(), shift.values(), values_of(&residual), activation, &mut y);
        tensor(y, &dims(&x.0))
    }

    fn pool_windows(x: FlexTensor, pool: Pool, geometry: Geometry) -> FlexTensor {
        let x = Input::new(x);
        let [images, rows, columns, channels] = x.dims();
        assert_eq!([rows, columns], geometry.input, "an image of the size that was announced");
        let mut y = vec![0.0; images * geometry.output[0] * geometry.output[1] * channels];
        pooling::forward(pool, x.values(), channels, &geometry, &mut y);
        tensor(y, &[images, geometry.output[0], geometry.output[1], channels])
    }

    fn average_pixels(x: FlexTensor) -> FlexTensor {
        let x = Input::new(x);
        let [images, rows, columns, channels] = x.dims();
        let mut y = vec![0.0; images * channels];
        pooling::global_average(x.values(), rows * columns, channels, &mut y);
        tensor(y, &[images, channels])
    }

    fn normalise_rows(x: FlexTensor, gamma: FlexTensor, beta: FlexTensor, epsilon: f32) -> (FlexTensor, FlexTensor) {
        let (x, gamma, beta) = (Input::new(x), Input::new(gamma), Input::new(beta));
        let norm = LayerNorm { gamma: gamma.values(), beta: beta.values(), epsilon };
        let mut y = vec![0.0; x.values().len()];
        let statistics = layer_norm::forward(x.values(), &norm, &mut y);
        let rows = statistics.len() / 2;
        (tensor(y, &dims(&x.0)), tensor(statistics, &[rows, 2]))
    }

    fn softmax_rows(x: FlexTensor) -> FlexTensor {
        let x = Input::new(x);
        let mut y = vec![0.0; x.values().len()];
        softmax::forward(x.values(), rows_and_columns(&x.0).1, &mut y);
        tensor(y, &dims(&x.0))
    }

    fn cross_entropy_rows(x: FlexTensor, classes: Arc<Vec<u32>>) -> (FlexTensor, FlexTensor) {
        let x = Input::new(x);
        let found = cross_entropy::forward(x.values(), rows_and_columns(&x.0).1, &classes);
        let part = |which: usize| tensor(found.iter().map(|row| row[which]).collect(), &[found.len()]);
        (part(0), part(1))
    }

    fn attend(
        query: FlexTensor,
        key: FlexTensor,
        value: FlexTensor,
        mask: Optional<Self>,
        heads: Heads,
    ) -> (FlexTensor, FlexTensor) {
        let ([q, k, v], mask) = ([query, key, value].map(Input::new), optional(mask));
        let mut y = vec![0.0; q.values().len()];
        let logarithms = attention::forward(&heads, q.values(), k.values(), v.values(), values_of(&mask), &mut y);
        (tensor(y, &dims(&q.0)), tensor(logarithms, &[heads.batch, heads.heads, heads.queries]))
    }

    fn run_lstm(
        x: FlexTensor,
        input: FlexTensor,
        recurrent: FlexTensor,
        bias: FlexTensor,
        hidden: FlexTensor,
        cell: FlexTensor,
        kept: bool,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let inputs = [x, input, recurrent, bias, hidden, cell].map(Input::new);
        let (sequence, weights, initial) = lstm_of(&inputs);
        let run = lstm::forward(&sequence, inputs[0].values(), &weights, &initial, kept);
        let Sequence { batch, steps, width, .. } = sequence;
        let mut outputs = Vec::with_capacity(batch * (steps + 1) * width);
        for (steps, cells) in run.outputs.chunks_exact(steps * width).zip(run.cells.chunks_exact(steps * width)) {
            outputs.extend_from_slice(steps);
            outputs.extend_from_slice(&cells[cells.len() - width..]);
        }
        let gates = if kept { 4 * width } else { 0 };
        let outputs = tensor(outputs, &[batch, steps + 1, width]);
        (outputs, tensor(run.cells, &[batch, steps, width]), tensor(run.gates, &[batch, steps, gates]))
    }
}

impl Gradients for Flex {
    fn convolve_backward_input(gradient: FlexTensor, weight: FlexTensor, convolution: Convolution) -> FlexTensor {
        let (gradient, weight) = (Input::new(gradient), Input::new(weight));
        let [images, ..] = gradient.dims::<4>();
        let shape = shape_of(images, &weight, &convolution);
        let gx = convolution::backward_input(&shape, gradient.values(), weight.values(), convolution.exact);
        tensor(gx, &[images, shape.geometry.input[0], shape.geometry.input[1], shape.channels])
    }

    fn convolve_backward_weight(x: FlexTensor, gradient: FlexTensor, convolution: Convolution) -> FlexTensor {
        let (x, gradient) = (Input::new(x), Input::new(gradient));
        let Convolution { geometry, groups, exact } = convolution;
        let ([images, _, _, channels], [_, _, _, outputs]) = (x.dims(), gradient.dims());
        let shape = Shape { images, channels, outputs, groups, geometry };
        let gw = convolution::backward_weight(&shape, x.values(), gradient.values(), exact);
        tensor(gw, &[geometry.kernel[0], geometry.kernel[1], channels / groups, outputs])
    }

    fn project_backward_input(gradient: FlexTensor, weight: FlexTensor) -> FlexTensor {
        let (gradient, weight) = (Input::new(gradient), Input::new(weight));
        let [depth, columns] = weight.dims();
        let panels = Panels::of_transposed(weight.values(), columns, depth);
        let (rows, _) = rows_and_columns(&gradient.0);
        let mut gx = vec![0.0; rows * depth];
        matrix_product(gradient.values(), &panels, &mut gx, &Epilogue::NONE);
        let mut shape = dims(&gradient.0);
        *shape.last_mut().expect("a linear layer's output has an axis") = depth;
        tensor(gx, &shape)
    }

    fn project_backward_weight(x: FlexTensor, gradient: FlexTensor) -> FlexTensor {
        let (x, gradient) = (Input::new(x), Input::new(gradient));
        let ((_, depth), (_, columns)) = (rows_and_columns(&x.0), rows_and_columns(&gradient.0));
        tensor(transposed_product(x.values(), gradient.values(), depth, columns), &[depth, columns])
    }

    fn activate_backward(seen: FlexTensor, gradient: FlexTensor, activation: Activation) -> FlexTensor {
        let seen = Input::new(seen);
        Input::new(gradient).change(|gradient| activation.backward_together(seen.values(), gradient))
    }

    fn sum_rows(x: FlexTensor) -> FlexTensor {
        let x = Input::new(x);
        let (_, columns) = rows_and_columns(&x.0);
        tensor(norm::column_sums(x.values(), columns), &[columns])
    }

    fn normalise_batch_backward(
        seen: BatchSeen<Self>,
        gradient: FlexTensor,
        residual: bool,
    ) -> (FlexTensor, FlexTensor, FlexTensor, Option<FlexTensor>) {
        let BatchSeen { x, gamma, mean, variance, epsilon, activation, told } = seen;
        let ([x, gamma, mean, variance], told) = ([x, gamma, mean, variance].map(Input::new), told.map(Input::new));
        let (gamma, mean, variance) = (gamma.values(), mean.values(), variance.values());
        let seen = Seen { x: x.values(), gamma, mean, variance, epsilon };
        let after = told.as_ref().map(|told| (activation, told.values()));
        let mut half = None;
        let gradient = Input::new(gradient).change(|gradient| half = Some(norm::backward(&seen, after, gradient)));
        let half = half.expect("the gradient was changed");
        let kept = residual.then(|| gradient.clone());
        let gx = Input::new(gradient).change(|gradient| norm::backward_input(&seen, &half, gradient));
        let channels = [gamma.len()];
        (gx, tensor(half.gamma, &channels), tensor(half.beta, &channels), kept)
    }

    fn scale_and_shift_backward(
        x: FlexTensor,
        scale: FlexTensor,
        gradient: FlexTensor,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let (x, scale) = (Input::new(x), Input::new(scale));
        let channels = [scale.values().len()];
        let mut found = None;
        let gx = Input::new(gradient)
            .change(|gradient| found = Some(norm::affine_backward(x.values(), scale.values(), gradient)));
        let (g_scale, g_shift) = found.expect("the gradient was changed");
        (gx, tensor(g_scale, &channels), tensor(g_shift, &channels))
    }

    fn pool_windows_backward(
        x: FlexTensor,
        y: FlexTensor,
        gradient: FlexTensor,
        pool: Pool,
        geometry: Geometry,
    ) -> FlexTensor {
        let (x, y, gradient) = (Input::new(x), Input::new(y), Input::new(gradient));
        let [.., channels] = x.dims::<4>();
        let mut gx = vec![0.0; x.values().len()];
        pooling::backward(pool, x.values(), y.values(), gradient.values(), channels, &geometry, &mut gx);
        tensor(gx, &dims(&x.0))
    }

    fn average_pixels_backward(gradient: FlexTensor, size: [usize; 2]) -> FlexTensor {
        let gradient = Input::new(gradient);
        let [images, channels] = gradient.dims();
        let pixels = size[0] * size[1];
        let mut gx = vec![0.0; images * pixels * channels];
        pooling::global_average_backward(gradient.values(), pixels, channels, &mut gx);
        tensor(gx, &[images, size[0], size[1], channels])
    }

    fn normalise_rows_backward(
        x: FlexTensor,
        gamma: FlexTensor,
        statistics: FlexTensor,
        gradient: FlexTensor,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let [x, gamma, statistics, gradient] = [x, gamma, statistics, gradient].map(Input::new);
        let found = layer_norm::backward(x.values(), gamma.values(), statistics.values(), gradient.values());
        let channels = [gamma.values().len()];
        (tensor(found.x, &dims(&x.0)), tensor(found.gamma, &channels), tensor(found.beta, &channels))
    }

    fn softmax_rows_backward(y: FlexTensor, gradient: FlexTensor) -> FlexTensor {
        let (y, gradient) = (Input::new(y), Input::new(gradient));
        let mut gx = vec![0.0; y.values().len()];
        softmax::backward(y.values(), gradient.values(), rows_and_columns(&y.0).1, &mut gx);
        tensor(gx, &dims(&y.0))
    }

    fn cross_entropy_rows_backward(
        x: FlexTensor,
        classes: Arc<Vec<u32>>,
        logarithms: FlexTensor,
        gradient: FlexTensor,
    ) -> FlexTensor {
        let [x, logarithms, gradient] = [x, logarithms, gradient].map(Input::new);
        let mut gx = vec![0.0; x.values().len()];
        let columns = rows_and_columns(&x.0).1;
        cross_entropy::backward(x.values(), columns, &classes, logarithms.values(), gradient.values(), &mut gx);
        tensor(gx, &dims(&x.0))
    }

    fn attend_backward(
        seen: [FlexTensor; 5],
        mask: Optional<Self>,
        gradient: FlexTensor,
        heads: Heads,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let ([q, k, v, y, logarithms], mask) = (seen.map(Input::new), optional(mask));
        let gradient = Input::new(gradient);
        let seen = attention::Seen {
            q: q.values(),
            k: k.values(),
            v: v.values(),
            mask: values_of(&mask),
            y: y.values(),
            log_sums: logarithms.values(),
        };
        let found = attention::backward(&heads, &seen, gradient.values());
        (tensor(found.q, &dims(&q.0)), tensor(found.k, &dims(&k.0)), tensor(found.v, &dims(&v.0)))
    }

    fn run_lstm_backward(seen: Vec<FlexTensor>, gradient: FlexTensor) -> [FlexTensor; 6] {
        let (all, gradient) = (inputs::<9>(seen), Input::new(gradient));
        let [.., outputs, cells, gates] = &all;
        let (sequence, weights, initial) = lstm_of(&all[..6]);
        let Sequence { batch, steps, width, .. } = sequence;
        // The last cell comes as one more step.
        let (outputs, _) = apart(outputs.values(), steps, width);
        let (gradient, last_cell) = apart(gradient.values(), steps, width);
        let (cells, gates) = (cells.values(), gates.values());
        let seen = lstm::Seen { x: all[0].values(), weights, initial, outputs: &outputs, cells, gates };
        let found = lstm::backward(&sequence, &seen, &gradient, Some(&last_cell));
        let state = |values: Option<Vec<f32>>| tensor(values.expect("there was a state"), &[batch, width]);
        let like = |values: Vec<f32>, input: &Input| tensor(values, &dims(&input.0));
        [
            like(found.x, &all[0]),
            like(found.input, &all[1]),
            like(found.recurrent, &all[2]),
            like(found.bias, &all[3]),
            state(found.hidden),
            state(found.cell),
        ]
    }
}
