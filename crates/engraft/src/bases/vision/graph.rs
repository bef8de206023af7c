//! A stage as a small graph of operations: described once by its architecture (see [`crate::bases::vision::builder`]), then
//! run, compiled and counted.

use burn::module::Module;
use burn::prelude::*;
use engraft_kernels::{
    Activation as Pointwise, Padding, PoolOptions, activate, average_pool2d, global_average, max_pool2d,
};

use crate::bases::layers::{BatchNorm, Conv, ConvNorm, Linear, drop_path};
use crate::bases::low_rank::LoraConfig;
use crate::bases::stage::{Activation, Mode, StageCost};

/// What an operation without parameters does.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Plain {
    /// A pointwise function.
    Activate(Pointwise),
    MaxPool(PoolOptions),
    /// The mean of a window; whether padding counts.
    AveragePool(PoolOptions, bool),
    /// Zeros around a map, as many as TensorFlow's SAME would put for this window.
    ZeroPad(PoolOptions),
    /// The map one pixel up and to the left: the first row and column fall off, zeros come in at the end.
    Shift,
    /// Every `n`-th row and column.
    Subsample(usize),
    /// Channels of zeros before and after.
    PadChannels(usize, usize),
    /// The sum of two.
    Add,
    /// Channels one after the other.
    Concat,
    /// The mean over rows and columns.
    GlobalAverage,
    /// Drops this path of whole images in training: its name in the draws, and its final rate.
    DropPath(String, f64),
}

/// An operation without parameters, as a module.
#[derive(Module, Debug)]
pub(super) struct PlainOp {
    #[module(skip)]
    pub(super) plain: Plain,
}

/// An operation.
#[derive(Module, Debug)]
pub(super) enum Op {
    ConvNorm(ConvNorm),
    Conv(Conv),
    Norm(BatchNorm),
    Linear(Linear),
    Plain(PlainOp),
}

/// An operation and where its inputs come from.
#[derive(Module, Debug)]
pub(super) struct Node {
    pub(super) op: Op,
    /// Number of each input value, and whether this is its last use. A convolution's second one is its residual.
    #[module(skip)]
    pub(super) from: Vec<(usize, bool)>,
}

/// One named part of a network, between two cuts.
#[derive(Module, Debug)]
pub struct Stage {
    pub(super) nodes: Vec<Node>,
    #[module(skip)]
    pub(super) name: String,
    #[module(skip)]
    pub(super) inputs: usize,
    #[module(skip)]
    pub(super) outputs: Vec<usize>,
    #[module(skip)]
    pub(super) vector: bool,
}

/// Rows, columns and channels of a map.
type MapShape = [usize; 3];

impl Stage {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs the stage.
    ///
    /// # Panics
    /// If the activation is not what the stage takes: stages were called out of order.
    pub(crate) fn forward(&self, x: Activation, mode: Mode<'_>) -> Activation {
        let maps = x.maps();
        assert_eq!(maps.len(), self.inputs, "the stage {} takes {} maps", self.name, self.inputs);
        let mut values: Vec<Option<Tensor<4>>> = maps.into_iter().map(Some).collect();
        for node in &self.nodes {
            let inputs = node
                .from
                .iter()
                .map(|&(index, last)| {
                    let value = if last { values[index].take() } else { values[index].clone() };
                    value.expect("a value is there until its last use")
                })
                .collect();
            values.push(Some(node.op.forward(inputs, mode)));
        }
        let outputs: Vec<Tensor<4>> =
            self.outputs.iter().map(|&index| values[index].clone().expect("outputs are kept")).collect();
        match (self.vector, outputs.as_slice()) {
            (true, [map]) => {
                let [n, _, _, d] = map.dims();
                Activation::Vector(map.clone().reshape([n, d]))
            }
            _ => Activation::Maps(outputs),
        }
    }

    /// Its convolutions by sums of products only, or by whatever is fastest.
    #[must_use]
    pub(crate) fn exact(mut self, exact: bool) -> Self {
        for node in &mut self.nodes {
            match &mut node.op {
                Op::ConvNorm(layer) => layer.set_exact(exact),
                Op::Conv(layer) => layer.set_exact(exact),
                Op::Norm(_) | Op::Linear(_) | Op::Plain(_) => {}
            }
        }
        self
    }

    /// Its layers that have a residual and can be left out of an image's way in training.
    pub(super) fn branches(&mut self) -> impl Iterator<Item = &mut ConvNorm> {
        self.nodes.iter_mut().filter_map(|node| match &mut node.op {
            Op::ConvNorm(layer) if node.from.len() > 1 => Some(layer),
            _ => None,
        })
    }

    /// Its batch norms.
    pub(super) fn norms(&self) -> impl Iterator<Item = &BatchNorm> {
        self.nodes.iter().filter_map(|node| match &node.op {
            Op::ConvNorm(layer) => Some(layer.norm()),
            Op::Norm(norm) => Some(norm),
            Op::Conv(_) | Op::Linear(_) | Op::Plain(_) => None,
        })
    }

    /// Lets products of low rank learn in place of the weights of linear layers and convolutions of one pixel.
    #[must_use]
    pub(crate) fn adapted(mut self, how: LoraConfig) -> Self {
        for node in &mut self.nodes {
            match &mut node.op {
                Op::ConvNorm(layer) => layer.adapt(how),
                Op::Conv(layer) => layer.adapt(how),
                Op::Linear(layer) => layer.adapt(how),
                Op::Norm(_) | Op::Plain(_) => {}
            }
        }
        self
    }

    /// Adds what was learnt in their place to the weights.
    #[must_use]
    pub(crate) fn merged(mut self) -> Self {
        for node in &mut self.nodes {
            match &mut node.op {
                Op::ConvNorm(layer) => layer.merge(),
                Op::Conv(layer) => layer.merge(),
                Op::Linear(layer) => layer.merge(),
                Op::Norm(_) | Op::Plain(_) => {}
            }
        }
        self
    }

    /// What the stage gives and costs for maps of these shapes.
    pub(crate) fn cost(&self, inputs: &[Vec<usize>]) -> StageCost {
        let map = |shape: &Vec<usize>| match shape.as_slice() {
            [h, w, c] => [*h, *w, *c],
            _ => [1, 1, shape.iter().product()],
        };
        let mut shapes: Vec<MapShape> = inputs.iter().map(map).collect();
        let (mut parameters, mut multiply_adds) = (0, 0);
        for node in &self.nodes {
            let from: Vec<MapShape> = node.from.iter().map(|&(index, _)| shapes[index]).collect();
            let (shape, p, m) = node.op.cost(&from);
            shapes.push(shape);
            parameters += p;
            multiply_adds += m;
        }
        let output = |&index: &usize| {
            let [h, w, c] = shapes[index];
            if self.vector { vec![c] } else { vec![h, w, c] }
        };
        let outputs = self.outputs.iter().map(output).collect();
        StageCost { name: self.name.clone(), outputs, parameters, multiply_adds }
    }
}

impl Op {
    fn forward(&self, mut inputs: Vec<Tensor<4>>, mode: Mode<'_>) -> Tensor<4> {
        let plain = match self {
            Op::Plain(op) => &op.plain,
            _ => {
                let x = inputs.remove(0);
                return match self {
                    Op::ConvNorm(layer) => layer.forward(x, inputs.pop(), mode),
                    Op::Conv(layer) => layer.forward(x, mode),
                    Op::Norm(layer) => layer.forward(x, mode),
                    Op::Linear(layer) => {
                        let [n, h, w, c] = x.dims();
                        let y = layer.forward(x.reshape([n, h * w * c]), mode);
                        let outputs = y.dims()[1];
                        y.reshape([n, 1, 1, outputs])
                    }
                    Op::Plain(_) => unreachable!("handled above"),
                };
            }
        };
        if *plain == Plain::Concat {
            return Tensor::cat(inputs, 3);
        }
        let x = inputs.remove(0);
        let [n, h, w, c] = x.dims();
        match plain {
            Plain::Activate(function) => activate(x, *function),
            Plain::MaxPool(options) => max_pool2d(x, options),
            Plain::AveragePool(options, count_padding) => average_pool2d(x, options, *count_padding),
            Plain::ZeroPad(options) => {
                let (before, after) = zeros_around([h, w], options);
                x.pad([(0, 0), (before[0], after[0]), (before[1], after[1]), (0, 0)], 0.0)
            }
            Plain::Shift => {
                let x = x.narrow(1, 1, h - 1).narrow(2, 1, w - 1);
                x.pad([(0, 0), (0, 1), (0, 1), (0, 0)], 0.0)
            }
            Plain::Subsample(step) => {
                let step = *step as isize;
                x.slice(s![.., ..;step, ..;step, ..])
            }
            Plain::PadChannels(before, after) => x.pad([(0, 0), (0, 0), (0, 0), (*before, *after)], 0.0),
            Plain::Add => x + inputs.remove(0),
            Plain::GlobalAverage => global_average(x).reshape([n, 1, 1, c]),
            Plain::DropPath(name, rate) => {
                let progress = match mode {
                    Mode::Train(pass) => pass.drops().map_or(0.0, |drops| drops.progress),
                    Mode::Frozen => 0.0,
                };
                drop_path(x, name, rate * progress, mode)
            }
            Plain::Concat => unreachable!("handled above"),
        }
    }

    fn cost(&self, inputs: &[MapShape]) -> (MapShape, usize, u64) {
        let [h, w, c] = inputs[0];
        let plain = match self {
            Op::ConvNorm(layer) => return layer.cost([h, w]),
            Op::Conv(layer) => return layer.cost([h, w]),
            Op::Norm(layer) => return ([h, w, c], 2 * layer.channels(), 0),
            Op::Linear(layer) => {
                let [from, to] = layer.size();
                return ([1, 1, to], from * to + to, (from * to) as u64);
            }
            Op::Plain(op) => &op.plain,
        };
        let shape = match plain {
            Plain::MaxPool(options) | Plain::AveragePool(options, _) => {
                let output = options.geometry([h, w]).output;
                [output[0], output[1], c]
            }
            Plain::ZeroPad(options) => {
                let (before, after) = zeros_around([h, w], options);
                [h + before[0] + after[0], w + before[1] + after[1], c]
            }
            Plain::Subsample(step) => [h.div_ceil(*step), w.div_ceil(*step), c],
            Plain::PadChannels(before, after) => [h, w, c + before + after],
            Plain::Concat => [h, w, inputs.iter().map(|shape| shape[2]).sum()],
            Plain::GlobalAverage => [1, 1, c],
            Plain::Activate(_) | Plain::Shift | Plain::Add | Plain::DropPath(..) => [h, w, c],
        };
        (shape, 0, 0)
    }
}

/// The zeros of TensorFlow's SAME, before and after, in rows and columns.
pub(super) fn zeros_around(input: [usize; 2], options: &PoolOptions) -> ([usize; 2], [usize; 2]) {
    let geometry = PoolOptions { padding: Padding::Same, ..*options }.geometry(input);
    let after = [0, 1].map(|axis| {
        let reach = (geometry.output[axis] - 1) * geometry.stride[axis] + geometry.kernel[axis];
        reach.saturating_sub(input[axis] + geometry.before[axis])
    });
    (geometry.before, after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bases::stage::{DropPathSchedule, Pass};
    use burn::tensor::Device;

    fn dropped(first: usize, n: usize, progress: f64) -> Vec<f32> {
        let x = Tensor::<4>::ones([n, 1, 1, 1], &Device::flex());
        let pass = Pass::dropping(DropPathSchedule { seed: 1, step: 7, first, progress });
        drop_path(x, "cell", 0.4 * progress, Mode::Train(&pass)).into_data().try_to_vec::<f32>().unwrap()
    }

    #[test]
    fn dropped_paths_do_not_depend_on_shards() {
        let whole = dropped(0, 64, 1.0);
        assert_eq!(whole, [dropped(0, 16, 1.0), dropped(16, 48, 1.0)].concat());
        let kept = whole.iter().filter(|v| **v > 0.0).count();
        assert!((25..55).contains(&kept), "{kept} of 64 kept at 0.6");
        assert!(whole.iter().all(|v| *v == 0.0 || (v - 1.0 / 0.6).abs() < 1e-6), "kept paths are scaled up");
        assert!(dropped(0, 64, 0.0).iter().all(|v| *v == 1.0), "nothing is dropped at the start");
    }

    #[test]
    fn frozen_paths_are_never_dropped() {
        let x = Tensor::<4>::ones([8, 1, 1, 1], &Device::flex());
        let y = drop_path(x, "cell", 0.9, Mode::Frozen).into_data().try_to_vec::<f32>().unwrap();
        assert!(y.iter().all(|v| *v == 1.0));
    }
}
