//! Describing a network: an architecture is a function that tells its stages to a [`Builder`], in the order in which
//! its paper does, with the names of its checkpoint.

use std::collections::HashSet;

use engraft_kernels::{Activation as Pointwise, ConvOptions, Padding, PoolOptions};

use crate::bases::layers::{BatchNorm, Conv, ConvNorm, Linear};
use crate::bases::parameters::Scope;
use crate::bases::style::{PaddingDialect, Style};
use crate::bases::vision::fuse::fuse_residuals;
use crate::bases::vision::graph::{Node, Op, Plain, PlainOp, Stage};

/// A value inside a stage that is being described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    index: usize,
    channels: usize,
}

impl Value {
    /// Number of its channels.
    pub(crate) fn channels(self) -> usize {
        self.channels
    }
}

/// Size, stride and padding of a window that moves over a map.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
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
    pub(crate) const fn square(side: usize) -> Self {
        Self::new(side, side)
    }

    /// With this stride.
    #[must_use]
    pub(crate) const fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// Without padding.
    #[must_use]
    pub(crate) const fn valid(self) -> Self {
        self.padding(Padding::Symmetric([0, 0]))
    }

    /// With this padding, whatever the dialect.
    #[must_use]
    pub(crate) const fn padding(self, padding: Padding) -> Self {
        Self { padding: Some(padding), ..self }
    }

    fn padding_in(self, dialect: PaddingDialect) -> Padding {
        self.padding.unwrap_or_else(|| dialect.of_kernel(self.size))
    }

    fn pool(self, dialect: PaddingDialect) -> PoolOptions {
        PoolOptions { kernel: self.size, stride: [self.stride; 2], padding: self.padding_in(dialect) }
    }
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
    /// A network for images of `channels` channels with the parameters at `root`.
    ///
    /// `classes`: outputs of the classifier; `None` takes as many as the file has, or leaves it out.
    pub fn new(root: Scope<'a>, style: Style, channels: usize, classes: Option<usize>) -> Self {
        Self { root, style, stages: Vec::new(), carried: vec![vec![channels]], classes, classifier: None }
    }

    /// The top of the names.
    pub(crate) fn root(&self) -> Scope<'a> {
        self.root.clone()
    }

    /// How the checkpoint's program pads and normalises.
    pub(crate) fn style(&self) -> Style {
        self.style
    }

    /// Begins the next stage.
    pub(crate) fn stage(&mut self, name: &str) -> StageBuilder<'_, 'a> {
        let cut = self.stages.len();
        StageBuilder::new(self, name, cut)
    }

    /// The usual last stage: the mean over rows and columns.
    pub(crate) fn pool(&mut self) {
        let mut s = self.stage("pool");
        let x = s.input();
        let y = s.global_average(x);
        s.end_vector(y);
    }

    /// The usual classifier: linear on the features, at `scope`.
    pub(crate) fn linear_classifier(&mut self, scope: &Scope<'_>) {
        if let Some(mut s) = self.classifier(scope, 0) {
            let (x, classes) = (s.input(), s.classes);
            let y = s.linear(x, scope, classes);
            s.end_classifier(y);
        }
    }

    /// Begins the classifier, if there is one: on the activation `back` stages before the end. The number of classes
    /// is that of the weight at `scope`.
    pub(crate) fn classifier(&mut self, scope: &Scope<'_>, back: usize) -> Option<StageBuilder<'_, 'a>> {
        let classes = self.classes.or_else(|| scope.outputs())?;
        let cut = self.stages.len() - back;
        let mut stage = StageBuilder::new(self, "classifier", cut);
        stage.classes = classes;
        Some(stage)
    }

    /// The stages, the length of the features, and the classifier with the cut that it starts from.
    pub(crate) fn finish(self) -> (Vec<Stage>, usize, Option<(usize, Stage)>) {
        let features = self.carried.last().map_or(0, |values| values.iter().sum());
        (self.stages, features, self.classifier)
    }
}

/// Describes one stage.
pub(crate) struct StageBuilder<'b, 'a> {
    owner: &'b mut Builder<'a>,
    name: String,
    cut: usize,
    inputs: Vec<Value>,
    nodes: Vec<Node>,
    /// Outputs of the classifier that is being described.
    pub(crate) classes: usize,
}

impl<'b, 'a> StageBuilder<'b, 'a> {
    fn new(owner: &'b mut Builder<'a>, name: &str, cut: usize) -> Self {
        let value = |(index, &channels)| Value { index, channels };
        let inputs = owner.carried[cut].iter().enumerate().map(value).collect();
        Self { owner, name: name.to_owned(), cut, inputs, nodes: Vec::new(), classes: 0 }
    }

    /// The top of the names.
    pub(crate) fn root(&self) -> Scope<'a> {
        self.owner.root()
    }

    /// The last of the values that flow in.
    pub(crate) fn input(&self) -> Value {
        *self.inputs.last().expect("a stage has an input")
    }

    /// The value that flows in beside the last, if there are two.
    pub(crate) fn input_before(&self) -> Option<Value> {
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
    pub(crate) fn conv_norm(
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
    pub(crate) fn depthwise_norm(
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
    pub(crate) fn conv(
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
    pub(crate) fn conv_only(&mut self, x: Value, scope: &Scope<'_>, outputs: usize, window: Window) -> Value {
        let shape = [window.size[0], window.size[1], x.channels, outputs];
        let layer = Conv::new(scope, shape, false, self.options(window, 1), Pointwise::None);
        self.push(Op::Conv(layer), &[x], outputs)
    }

    /// A convolution of each channel by itself, without bias or activation.
    pub(crate) fn depthwise_only(&mut self, x: Value, scope: &Scope<'_>, window: Window) -> Value {
        let shape = [window.size[0], window.size[1], 1, x.channels];
        let layer = Conv::new(scope, shape, false, self.options(window, x.channels), Pointwise::None);
        self.push(Op::Conv(layer), &[x], x.channels)
    }

    /// A batch norm by itself.
    pub(crate) fn norm(&mut self, x: Value, scope: &Scope<'_>) -> Value {
        let layer = BatchNorm::new(scope, x.channels, self.owner.style.epsilon, None);
        self.push(Op::Norm(layer), &[x], x.channels)
    }

    /// A linear layer on vectors.
    pub(crate) fn linear(&mut self, x: Value, scope: &Scope<'_>, outputs: usize) -> Value {
        let layer = Linear::new(scope, x.channels, outputs);
        self.push(Op::Linear(layer), &[x], outputs)
    }

    /// max(x, 0)
    pub(crate) fn relu(&mut self, x: Value) -> Value {
        self.plain(Plain::Activate(Pointwise::Relu), &[x], x.channels)
    }

    /// x where positive, else `slope` x.
    pub(crate) fn leaky_relu(&mut self, x: Value, slope: f64) -> Value {
        self.plain(Plain::Activate(Pointwise::Leaky(slope as f32)), &[x], x.channels)
    }

    /// The largest of each window.
    pub(crate) fn max_pool(&mut self, x: Value, window: Window) -> Value {
        let options = window.pool(self.owner.style.padding);
        self.plain(Plain::MaxPool(options), &[x], x.channels)
    }

    /// The mean of each window; whether the zeros of the padding count.
    pub(crate) fn average_pool(&mut self, x: Value, window: Window, count_padding: bool) -> Value {
        let options = window.pool(self.owner.style.padding);
        self.plain(Plain::AveragePool(options, count_padding), &[x], x.channels)
    }

    /// Zeros around a map, as many as TensorFlow's SAME would put for this window.
    pub(crate) fn zero_pad(&mut self, x: Value, window: Window) -> Value {
        let options = window.pool(PaddingDialect::Same);
        self.plain(Plain::ZeroPad(options), &[x], x.channels)
    }

    /// The map one pixel up and to the left, zeros coming in.
    pub(crate) fn shift(&mut self, x: Value) -> Value {
        self.plain(Plain::Shift, &[x], x.channels)
    }

    /// Every `step`-th row and column.
    pub(crate) fn subsample(&mut self, x: Value, step: usize) -> Value {
        self.plain(Plain::Subsample(step), &[x], x.channels)
    }

    /// Channels of zeros before and after.
    pub(crate) fn pad_channels(&mut self, x: Value, before: usize, after: usize) -> Value {
        self.plain(Plain::PadChannels(before, after), &[x], before + x.channels + after)
    }

    /// The sum of two maps of one shape.
    pub(crate) fn add(&mut self, a: Value, b: Value) -> Value {
        debug_assert_eq!(a.channels, b.channels);
        self.plain(Plain::Add, &[a, b], a.channels)
    }

    /// Channels one after the other.
    pub(crate) fn concat(&mut self, values: &[Value]) -> Value {
        self.plain(Plain::Concat, values, values.iter().map(|value| value.channels).sum())
    }

    /// The mean over rows and columns.
    pub(crate) fn global_average(&mut self, x: Value) -> Value {
        self.plain(Plain::GlobalAverage, &[x], x.channels)
    }

    /// Drops this path of whole images in training, in the end at `rate`.
    pub(crate) fn drop_path(&mut self, x: Value, name: String, rate: f64) -> Value {
        if rate == 0.0 { x } else { self.plain(Plain::DropPath(name, rate), &[x], x.channels) }
    }

    /// Ends the stage with a map.
    pub(crate) fn end(self, output: Value) {
        self.end_with(&[output]);
    }

    /// Ends the stage with several maps.
    pub(crate) fn end_with(mut self, outputs: &[Value]) {
        let stage = self.finish(outputs, false);
        self.owner.carried.push(outputs.iter().map(|value| value.channels).collect());
        self.owner.stages.push(stage);
    }

    /// Ends the stage with a vector: `output` has one pixel.
    pub(crate) fn end_vector(mut self, output: Value) {
        let stage = self.finish(&[output], true);
        self.owner.carried.push(vec![output.channels]);
        self.owner.stages.push(stage);
    }

    /// Ends the classifier.
    pub(crate) fn end_classifier(mut self, output: Value) {
        let stage = self.finish(&[output], true);
        self.owner.classifier = Some((self.cut, stage));
    }

    fn finish(&mut self, outputs: &[Value], vector: bool) -> Stage {
        let outputs: Vec<usize> = outputs.iter().map(|value| value.index).collect();
        let (mut nodes, outputs) = fuse_residuals(std::mem::take(&mut self.nodes), self.inputs.len(), outputs);
        let mut used: HashSet<usize> = outputs.iter().copied().collect();
        for node in nodes.iter_mut().rev() {
            for (index, last) in node.from.iter_mut().rev() {
                *last = used.insert(*index);
            }
        }
        Stage { nodes, name: self.name.clone(), inputs: self.inputs.len(), outputs, vector }
    }
}
