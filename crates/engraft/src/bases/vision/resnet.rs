//! ResNet-18, 34, 50, 101 and 152 (He et al. 2016, table 1), with torchvision's names, which are timm's too.
//!
//! In a bottleneck the stride is on the 3 x 3 convolution ("v1.5", as both programs have it). Keras' networks have it on
//! the first 1 x 1, as the paper: they are architectures of their own.

use engraft_kernels::{Activation as Pointwise, Padding};

use crate::bases::parameters::Scope;
use crate::bases::vision::builder::{Builder, StageBuilder, Value, Window};
use crate::bases::vision::dialect::{Dialect, Input, Layers, Leaves};

/// torchvision and timm; and a sequence of its children, as fastai's bodies and `nn.Sequential(*resnet.children())` are.
pub(crate) const DIALECTS: &[Dialect] = &[
    Dialect::TORCHVISION,
    Dialect {
        name: "children of torchvision's",
        layers: Layers::Rules(&[
            ("conv1", "0"),
            ("bn1", "1"),
            ("layer{a}.{b}.conv{c}", "{a+3}.{b}.conv{c}"),
            ("layer{a}.{b}.bn{c}", "{a+3}.{b}.bn{c}"),
            ("layer{a}.{b}.downsample.{c}", "{a+3}.{b}.downsample.{c}"),
        ]),
        ..Dialect::TORCHVISION
    },
];

/// Our own converted files, and Keras.
pub(crate) const V1_DIALECTS: &[Dialect] = &[
    Dialect { name: "Engraft", epsilon: 1.001e-5, input: CAFFE, ..DIALECTS[0] },
    Dialect {
        name: "Keras",
        layers: Layers::Rules(&[
            ("conv1", "conv1_conv"),
            ("bn1", "conv1_bn"),
            ("layer1.{a}.conv{b}", "conv2_block{a+1}_{b}_conv"),
            ("layer1.{a}.bn{b}", "conv2_block{a+1}_{b}_bn"),
            ("layer1.{a}.downsample.0", "conv2_block{a+1}_0_conv"),
            ("layer1.{a}.downsample.1", "conv2_block{a+1}_0_bn"),
            ("layer2.{a}.conv{b}", "conv3_block{a+1}_{b}_conv"),
            ("layer2.{a}.bn{b}", "conv3_block{a+1}_{b}_bn"),
            ("layer2.{a}.downsample.0", "conv3_block{a+1}_0_conv"),
            ("layer2.{a}.downsample.1", "conv3_block{a+1}_0_bn"),
            ("layer3.{a}.conv{b}", "conv4_block{a+1}_{b}_conv"),
            ("layer3.{a}.bn{b}", "conv4_block{a+1}_{b}_bn"),
            ("layer3.{a}.downsample.0", "conv4_block{a+1}_0_conv"),
            ("layer3.{a}.downsample.1", "conv4_block{a+1}_0_bn"),
            ("layer4.{a}.conv{b}", "conv5_block{a+1}_{b}_conv"),
            ("layer4.{a}.bn{b}", "conv5_block{a+1}_{b}_bn"),
            ("layer4.{a}.downsample.0", "conv5_block{a+1}_0_conv"),
            ("layer4.{a}.downsample.1", "conv5_block{a+1}_0_bn"),
            ("fc", "predictions"),
        ]),
        leaves: Leaves::Keras,
        epsilon: 1.001e-5,
        input: CAFFE,
        ..DIALECTS[0]
    },
];

const CAFFE: Input = Input { shortest: 256, ..Input::caffe(224) };

/// The kinds of residual block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Block {
    /// Two 3 x 3 convolutions.
    Basic,
    /// 1 x 1 to a quarter of the channels, 3 x 3, 1 x 1; the stride is on the 3 x 3.
    Bottleneck,
    /// The same with the stride on the first 1 x 1, as in the paper.
    BottleneckV1,
}

impl Block {
    /// Output channels for each channel of the layer's width.
    const fn expansion(self) -> usize {
        match self {
            Block::Basic => 1,
            Block::Bottleneck | Block::BottleneckV1 => 4,
        }
    }
}

/// A residual block of `width` channels, at `scope`.
pub fn block(
    s: &mut StageBuilder<'_, '_>,
    x: Value,
    scope: &Scope<'_>,
    kind: Block,
    width: usize,
    stride: usize,
) -> Value {
    let at = |name: &str| scope.at(name);
    let outputs = width * kind.expansion();
    let shortcut = if stride != 1 || x.channels() != outputs {
        let window = Window::square(1).stride(stride);
        s.conv_norm(x, (&at("downsample.0"), &at("downsample.1")), outputs, window, Pointwise::None)
    } else {
        x
    };
    let y = match kind {
        Block::Basic => {
            let window = Window::square(3).stride(stride);
            let y = s.conv_norm(x, (&at("conv1"), &at("bn1")), width, window, Pointwise::Relu);
            s.conv_norm(y, (&at("conv2"), &at("bn2")), outputs, Window::square(3), Pointwise::None)
        }
        Block::Bottleneck | Block::BottleneckV1 => {
            let (first, second) = if kind == Block::Bottleneck { (1, stride) } else { (stride, 1) };
            let window = Window::square(1).stride(first);
            let y = s.conv_norm(x, (&at("conv1"), &at("bn1")), width, window, Pointwise::Relu);
            let window = Window::square(3).stride(second);
            let y = s.conv_norm(y, (&at("conv2"), &at("bn2")), width, window, Pointwise::Relu);
            s.conv_norm(y, (&at("conv3"), &at("bn3")), outputs, Window::square(1), Pointwise::None)
        }
    };
    let sum = s.add(y, shortcut);
    s.relu(sum)
}

/// `stem`, `layer1` to `layer4` of so many blocks, `pool`.
pub(crate) fn describe(b: &mut Builder<'_>, kind: Block, blocks: [usize; 4]) {
    let root = b.root();
    let mut s = b.stage("stem");
    let x = s.input();
    let x = s.conv_norm(x, (&root.at("conv1"), &root.at("bn1")), 64, Window::square(7).stride(2), Pointwise::Relu);
    let x = s.max_pool(x, Window::square(3).stride(2).padding(Padding::Symmetric([1, 1])));
    s.end(x);
    for (index, count) in blocks.into_iter().enumerate() {
        let name = format!("layer{}", index + 1);
        let mut s = b.stage(&name);
        let mut x = s.input();
        for position in 0..count {
            let stride = if index > 0 && position == 0 { 2 } else { 1 };
            x = block(&mut s, x, &root.at(format_args!("{name}.{position}")), kind, 64 << index, stride);
        }
        s.end(x);
    }
    b.pool();
    b.linear_classifier(&root.at("fc"));
}
