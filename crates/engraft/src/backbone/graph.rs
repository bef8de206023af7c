//! A stage as a small graph of operations: described once by its architecture, then run, folded and counted.
//!
//! An architecture is a function that describes its stages to a [`Builder`], in the order in which its paper does,
//! with the names of its checkpoint.

use burn::module::Module;
use burn::prelude::*;
use burn::tensor::TensorData;
use burn::tensor::activation::{leaky_relu, relu};
use engraft_kernels::{Activation as Pointwise, ConvOptions, Padding, PoolOptions, average_pool2d, max_pool2d};
use rand::RngExt;

use crate::backbone::card::PaddingDialect;
use crate::backbone::layers::{BatchNorm, Conv, ConvNorm, Linear, global_average};
use crate::backbone::parameters::Scope;
use crate::backbone::stage::{Activation, Mode, StageCost};
use crate::rng::rng;

/// What an operation without parameters does.
#[derive(Debug, Clone, PartialEq)]
enum Plain {
    /// max(x, 0)
    Relu,
    /// x where positive, else x times the slope.
    Leaky(f64),
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
    /// Drops this path of whole pictures in training: its name in the draws, and its final rate.
    DropPath(String, f64),
}

/// An operation without parameters, as a module.
#[derive(Module, Debug)]
struct PlainOp {
    #[module(skip)]
    plain: Plain,
}

/// An operation.
#[expect(clippy::large_enum_variant, reason = "a network has hundreds of them at most, and a module cannot be boxed")]
#[derive(Module, Debug)]
enum Op {
    ConvNorm(ConvNorm),
    Conv(Conv),
    Norm(BatchNorm),
    Linear(Linear),
    Plain(PlainOp),
}

/// An operation and where its inputs come from.
#[derive(Module, Debug)]
struct Node {
    op: Op,
    /// Number of each input value, and whether this is its last use.
    #[module(skip)]
    from: Vec<(usize, bool)>,
}

/// One named part of a network, between two cuts.
#[derive(Module, Debug)]
pub struct Stage {
    nodes: Vec<Node>,
    #[module(skip)]
    name: String,
    #[module(skip)]
    inputs: usize,
    #[module(skip)]
    outputs: Vec<usize>,
    #[module(skip)]
    vector: bool,
}

/// Rows, columns and channels of a map.
type MapShape = [usize; 3];

impl Stage {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs the stage.
    ///
    /// # Panics
    /// If the activation is not what the stage takes: stages were called out of order.
    pub fn forward(&self, x: Activation, mode: Mode<'_>) -> Activation {
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

    /// Folds every frozen batch norm.
    #[must_use]
    pub fn fold(mut self) -> Self {
        for node in &mut self.nodes {
            if let Op::ConvNorm(layer) = &node.op {
                node.op = Op::ConvNorm(layer.clone().fold());
            }
        }
        self
    }

    /// What the stage gives and costs for maps of these shapes.
    pub fn cost(&self, inputs: &[Vec<usize>]) -> StageCost {
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
                    Op::ConvNorm(layer) => layer.forward(x, mode),
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
            Plain::Relu => relu(x),
            Plain::Leaky(slope) => leaky_relu(x, *slope),
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
            Plain::DropPath(name, rate) => drop_path(x, name, *rate, mode),
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
            Plain::Relu | Plain::Leaky(_) | Plain::Shift | Plain::Add | Plain::DropPath(..) => [h, w, c],
        };
        (shape, 0, 0)
    }
}

/// The zeros of TensorFlow's SAME, before and after, in rows and columns.
fn zeros_around(input: [usize; 2], options: &PoolOptions) -> ([usize; 2], [usize; 2]) {
    let geometry = PoolOptions { padding: Padding::Same, ..*options }.geometry(input);
    let after = [0, 1].map(|axis| {
        let reach = (geometry.output[axis] - 1) * geometry.stride[axis] + geometry.kernel[axis];
        reach.saturating_sub(input[axis] + geometry.before[axis])
    });
    (geometry.before, after)
}

/// Zeroes the path of a picture with probability `rate` times the progress, and scales the others up for it.
fn drop_path(x: Tensor<4>, name: &str, rate: f64, mode: Mode<'_>) -> Tensor<4> {
    let Mode::Train(pass) = mode else { return x };
    let Some(drops) = pass.drops() else { return x };
    let keep = 1.0 - rate * drops.progress;
    if keep >= 1.0 {
        return x;
    }
    let n = x.dims()[0];
    let factors: Vec<f32> = (drops.first..drops.first + n)
        .map(|picture| {
            let draw: f64 = rng(drops.seed, &format!("drop-path/{name}/{picture}"), drops.step).random();
            if draw < keep { (1.0 / keep) as f32 } else { 0.0 }
        })
        .collect();
    let factors = Tensor::<4>::from_data(TensorData::new(factors, [n, 1, 1, 1]), &x.device());
    x * factors
}

/// A value inside a stage that is being described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    index: usize,
    channels: usize,
}

impl Value {
    /// Number of its channels.
    pub fn channels(self) -> usize {
        self.channels
    }
}

/// Size, stride and padding of a window that moves over a map.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    size: [usize; 2],
    stride: usize,
    padding: Option<Padding>,
}

impl Window {
    /// A window of `rows` by `columns`, stride 1, padded such that at stride 1 the map keeps its size.
    pub const fn new(rows: usize, columns: usize) -> Self {
        Self { size: [rows, columns], stride: 1, padding: None }
    }

    /// A square window.
    pub const fn square(side: usize) -> Self {
        Self::new(side, side)
    }

    /// With this stride.
    #[must_use]
    pub const fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// Without padding.
    #[must_use]
    pub const fn valid(self) -> Self {
        self.padding(Padding::Symmetric([0, 0]))
    }

    /// With this padding, whatever the dialect.
    #[must_use]
    pub const fn padding(self, padding: Padding) -> Self {
        Self { padding: Some(padding), ..self }
    }

    fn padding_in(self, dialect: PaddingDialect) -> Padding {
        self.padding.unwrap_or_else(|| dialect.of_kernel(self.size))
    }

    fn pool(self, dialect: PaddingDialect) -> PoolOptions {
        PoolOptions { kernel: self.size, stride: [self.stride; 2], padding: self.padding_in(dialect) }
    }
}

/// What the program that a checkpoint was made with does in its own way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Style {
    /// How it pads.
    pub padding: PaddingDialect,
    /// What its batch norms add to the variance.
    pub epsilon: f64,
}

/// Describes a network, stage by stage.
pub struct Builder<'a> {
    root: Scope<'a>,
    style: Style,
    stages: Vec<Stage>,
    /// Channels of the values that flow out of each stage; first those of the input.
    carried: Vec<Vec<usize>>,
    classes: Option<usize>,
    classifier: Option<(usize, Stage)>,
}

impl<'a> Builder<'a> {
    /// A network for pictures of `channels` channels with the parameters at `root`.
    ///
    /// `classes`: outputs of the classifier; `None` takes as many as the file has, or leaves it out.
    pub fn new(root: Scope<'a>, style: Style, channels: usize, classes: Option<usize>) -> Self {
        Self { root, style, stages: Vec::new(), carried: vec![vec![channels]], classes, classifier: None }
    }

    /// The top of the names.
    pub fn root(&self) -> Scope<'a> {
        self.root.clone()
    }

    /// How the checkpoint's program pads and normalises.
    pub fn style(&self) -> Style {
        self.style
    }

    /// Begins the next stage.
    pub fn stage(&mut self, name: &str) -> StageBuilder<'_, 'a> {
        let cut = self.stages.len();
        StageBuilder::new(self, name, cut)
    }

    /// The usual last stage: the mean over rows and columns.
    pub fn pool(&mut self) {
        let mut s = self.stage("pool");
        let x = s.input();
        let y = s.global_average(x);
        s.end_vector(y);
    }

    /// The usual classifier: linear on the features, at `scope`.
    pub fn linear_classifier(&mut self, scope: &Scope<'_>) {
        if let Some(mut s) = self.classifier(scope, 0) {
            let (x, classes) = (s.input(), s.classes);
            let y = s.linear(x, scope, classes);
            s.end_classifier(y);
        }
    }

    /// Begins the classifier, if there is one: on the activation `back` stages before the end. The number of classes
    /// is that of the weight at `scope`.
    pub fn classifier(&mut self, scope: &Scope<'_>, back: usize) -> Option<StageBuilder<'_, 'a>> {
        let classes = self.classes.or_else(|| scope.outputs())?;
        let cut = self.stages.len() - back;
        let mut stage = StageBuilder::new(self, "classifier", cut);
        stage.classes = classes;
        Some(stage)
    }

    /// The stages, the length of the features, and the classifier with the cut that it starts from.
    pub fn finish(self) -> (Vec<Stage>, usize, Option<(usize, Stage)>) {
        let features = self.carried.last().map_or(0, |values| values.iter().sum());
        (self.stages, features, self.classifier)
    }
}

/// Describes one stage.
pub struct StageBuilder<'b, 'a> {
    owner: &'b mut Builder<'a>,
    name: String,
    cut: usize,
    inputs: Vec<Value>,
    nodes: Vec<Node>,
    /// Outputs of the classifier that is being described.
    pub classes: usize,
}

impl<'b, 'a> StageBuilder<'b, 'a> {
    fn new(owner: &'b mut Builder<'a>, name: &str, cut: usize) -> Self {
        let value = |(index, &channels)| Value { index, channels };
        let inputs = owner.carried[cut].iter().enumerate().map(value).collect();
        Self { owner, name: name.to_owned(), cut, inputs, nodes: Vec::new(), classes: 0 }
    }

    /// The top of the names.
    pub fn root(&self) -> Scope<'a> {
        self.owner.root()
    }

    /// The last of the values that flow in.
    pub fn input(&self) -> Value {
        *self.inputs.last().expect("a stage has an input")
    }

    /// The value that flows in beside the last, if there are two.
    pub fn input_before(&self) -> Option<Value> {
        (self.inputs.len() > 1).then(|| self.inputs[0])
    }

    fn push(&mut self, op: Op, from: &[Value], channels: usize) -> Value {
        let index = self.inputs.len() + self.nodes.len();
        self.nodes.push(Node { op, from: from.iter().map(|value| (value.index, false)).collect() });
        Value { index, channels }
    }

    fn plain(&mut self, plain: Plain, from: &[Value], channels: usize) -> Value {
        self.push(Op::Plain(PlainOp { plain }), from, channels)
    }

    fn options(&self, window: Window, groups: usize) -> ConvOptions {
        let padding = window.padding_in(self.owner.style.padding);
        ConvOptions { stride: [window.stride; 2], padding, groups, ..ConvOptions::default() }
    }

    /// A convolution named `conv` and its batch norm named `norm`, with an activation.
    pub fn conv_norm(
        &mut self,
        x: Value,
        (conv, norm): (&Scope<'_>, &Scope<'_>),
        outputs: usize,
        window: Window,
        activation: Pointwise,
    ) -> Value {
        let shape = [window.size[0], window.size[1], x.channels, outputs];
        let epsilon = self.owner.style.epsilon;
        let layer = ConvNorm::new(conv, norm, shape, self.options(window, 1), activation, epsilon);
        self.push(Op::ConvNorm(layer), &[x], outputs)
    }

    /// A convolution of each channel by itself, its batch norm, and an activation.
    pub fn depthwise_norm(
        &mut self,
        x: Value,
        (conv, norm): (&Scope<'_>, &Scope<'_>),
        window: Window,
        activation: Pointwise,
    ) -> Value {
        let shape = [window.size[0], window.size[1], 1, x.channels];
        let epsilon = self.owner.style.epsilon;
        let layer = ConvNorm::new(conv, norm, shape, self.options(window, x.channels), activation, epsilon);
        self.push(Op::ConvNorm(layer), &[x], x.channels)
    }

    /// A convolution with a bias and an activation.
    pub fn conv(
        &mut self,
        x: Value,
        scope: &Scope<'_>,
        outputs: usize,
        window: Window,
        activation: Pointwise,
    ) -> Value {
        let shape = [window.size[0], window.size[1], x.channels, outputs];
        let layer = Conv::new(scope, shape, true, self.options(window, 1), activation);
        self.push(Op::Conv(layer), &[x], outputs)
    }

    /// A convolution without bias or activation.
    pub fn conv_only(&mut self, x: Value, scope: &Scope<'_>, outputs: usize, window: Window) -> Value {
        let shape = [window.size[0], window.size[1], x.channels, outputs];
        let layer = Conv::new(scope, shape, false, self.options(window, 1), Pointwise::None);
        self.push(Op::Conv(layer), &[x], outputs)
    }

    /// A convolution of each channel by itself, without bias or activation.
    pub fn depthwise_only(&mut self, x: Value, scope: &Scope<'_>, window: Window) -> Value {
        let shape = [window.size[0], window.size[1], 1, x.channels];
        let layer = Conv::new(scope, shape, false, self.options(window, x.channels), Pointwise::None);
        self.push(Op::Conv(layer), &[x], x.channels)
    }

    /// A batch norm by itself.
    pub fn norm(&mut self, x: Value, scope: &Scope<'_>) -> Value {
        let layer = BatchNorm::new(scope, x.channels, self.owner.style.epsilon, None);
        self.push(Op::Norm(layer), &[x], x.channels)
    }

    /// A linear layer on vectors.
    pub fn linear(&mut self, x: Value, scope: &Scope<'_>, outputs: usize) -> Value {
        let layer = Linear::new(scope, x.channels, outputs);
        self.push(Op::Linear(layer), &[x], outputs)
    }

    /// max(x, 0)
    pub fn relu(&mut self, x: Value) -> Value {
        self.plain(Plain::Relu, &[x], x.channels)
    }

    /// x where positive, else `slope` x.
    pub fn leaky_relu(&mut self, x: Value, slope: f64) -> Value {
        self.plain(Plain::Leaky(slope), &[x], x.channels)
    }

    /// The largest of each window.
    pub fn max_pool(&mut self, x: Value, window: Window) -> Value {
        let options = window.pool(self.owner.style.padding);
        self.plain(Plain::MaxPool(options), &[x], x.channels)
    }

    /// The mean of each window; whether the zeros of the padding count.
    pub fn average_pool(&mut self, x: Value, window: Window, count_padding: bool) -> Value {
        let options = window.pool(self.owner.style.padding);
        self.plain(Plain::AveragePool(options, count_padding), &[x], x.channels)
    }

    /// Zeros around a map, as many as TensorFlow's SAME would put for this window.
    pub fn zero_pad(&mut self, x: Value, window: Window) -> Value {
        let options = window.pool(PaddingDialect::Same);
        self.plain(Plain::ZeroPad(options), &[x], x.channels)
    }

    /// The map one pixel up and to the left, zeros coming in.
    pub fn shift(&mut self, x: Value) -> Value {
        self.plain(Plain::Shift, &[x], x.channels)
    }

    /// Every `step`-th row and column.
    pub fn subsample(&mut self, x: Value, step: usize) -> Value {
        self.plain(Plain::Subsample(step), &[x], x.channels)
    }

    /// Channels of zeros before and after.
    pub fn pad_channels(&mut self, x: Value, before: usize, after: usize) -> Value {
        self.plain(Plain::PadChannels(before, after), &[x], before + x.channels + after)
    }

    /// The sum of two maps of one shape.
    pub fn add(&mut self, a: Value, b: Value) -> Value {
        debug_assert_eq!(a.channels, b.channels);
        self.plain(Plain::Add, &[a, b], a.channels)
    }

    /// Channels one after the other.
    pub fn concat(&mut self, values: &[Value]) -> Value {
        self.plain(Plain::Concat, values, values.iter().map(|value| value.channels).sum())
    }

    /// The mean over rows and columns.
    pub fn global_average(&mut self, x: Value) -> Value {
        self.plain(Plain::GlobalAverage, &[x], x.channels)
    }

    /// Drops this path of whole pictures in training, in the end at `rate`.
    pub fn drop_path(&mut self, x: Value, name: String, rate: f64) -> Value {
        if rate == 0.0 { x } else { self.plain(Plain::DropPath(name, rate), &[x], x.channels) }
    }

    /// Ends the stage with a map.
    pub fn end(self, output: Value) {
        self.end_with(&[output]);
    }

    /// Ends the stage with several maps.
    pub fn end_with(mut self, outputs: &[Value]) {
        let stage = self.finish(outputs, false);
        self.owner.carried.push(outputs.iter().map(|value| value.channels).collect());
        self.owner.stages.push(stage);
    }

    /// Ends the stage with a vector: `output` has one pixel.
    pub fn end_vector(mut self, output: Value) {
        let stage = self.finish(&[output], true);
        self.owner.carried.push(vec![output.channels]);
        self.owner.stages.push(stage);
    }

    /// Ends the classifier.
    pub fn end_classifier(mut self, output: Value) {
        let stage = self.finish(&[output], true);
        self.owner.classifier = Some((self.cut, stage));
    }

    fn finish(&mut self, outputs: &[Value], vector: bool) -> Stage {
        let outputs: Vec<usize> = outputs.iter().map(|value| value.index).collect();
        let mut used: std::collections::HashSet<usize> = outputs.iter().copied().collect();
        for node in self.nodes.iter_mut().rev() {
            for (index, last) in node.from.iter_mut().rev() {
                *last = used.insert(*index);
            }
        }
        let nodes = std::mem::take(&mut self.nodes);
        Stage { nodes, name: self.name.clone(), inputs: self.inputs.len(), outputs, vector }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::stage::{Drops, Pass};
    use burn::tensor::Device;

    fn dropped(first: usize, n: usize, progress: f64) -> Vec<f32> {
        let x = Tensor::<4>::ones([n, 1, 1, 1], &Device::flex());
        let pass = Pass::dropping(Drops { seed: 1, step: 7, first, progress });
        drop_path(x, "cell", 0.4, Mode::Train(&pass)).into_data().try_to_vec::<f32>().unwrap()
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
