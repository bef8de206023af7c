//! The ResNets for CIFAR-10 (He et al. 2016, section 4.2): three layers of 16, 32 and 64 channels at 32 x 32.

use engraft_kernels::Activation as Pointwise;

use crate::bases::parameters::Scope;
use crate::bases::style::PaddingDialect;
use crate::bases::vision::builder::{Builder, StageBuilder, Value, Window};
use crate::bases::vision::dialect::{Dialect, Input, Layers, Leaves};

/// Yerlan Idelbayev's files (akamaster/pytorch_resnet_cifar10).
pub(crate) const DIALECTS: &[Dialect] =
    &[Dialect { name: "pytorch_resnet_cifar10", input: Input::imagenet(32, 32), ..Dialect::TORCHVISION }];

/// MLPerf Tiny's ResNet-8, from Keras: its layers are numbered, its bytes go in as they are.
pub(crate) const RESNET8_DIALECTS: &[Dialect] = &[
    Dialect {
        name: "Engraft",
        layers: Layers::Canonical,
        leaves: Leaves::Torch,
        ignored: &[],
        padding: PaddingDialect::Same,
        epsilon: 1e-3,
        input: BYTES,
    },
    Dialect {
        name: "Keras (MLPerf Tiny)",
        layers: Layers::Numbered("dense"),
        leaves: Leaves::Keras,
        ignored: &[],
        padding: PaddingDialect::Same,
        epsilon: 1e-3,
        input: BYTES,
    },
];

const BYTES: Input = Input { mean: &[0.0], std: &[1.0 / 255.0], ..Input::imagenet(32, 32) };

/// How a shortcut crosses to more channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shortcut {
    /// Option A of the paper: every second pixel, and channels of zeros on both sides.
    Zeros,
    /// Option B: 1 x 1 convolution and batch norm.
    Projection,
    /// 1 x 1 convolution with a bias and no batch norm.
    Convolution,
}

fn block(
    s: &mut StageBuilder<'_, '_>,
    x: Value,
    scope: &Scope<'_>,
    channels: usize,
    stride: usize,
    kind: Shortcut,
) -> Value {
    let at = |name: &str| scope.at(name);
    let strided = Window::square(3).stride(stride);
    let y = s.conv_norm(x, (&at("conv1"), &at("bn1")), channels, strided, Pointwise::Relu);
    let y = s.conv_norm(y, (&at("conv2"), &at("bn2")), channels, Window::square(3), Pointwise::None);
    let shortcut = if stride == 1 && x.channels() == channels {
        x
    } else {
        let window = Window::square(1).stride(stride);
        match kind {
            Shortcut::Zeros => {
                let x = s.subsample(x, stride);
                let more = channels - x.channels();
                s.pad_channels(x, more / 2, more - more / 2)
            }
            Shortcut::Projection => {
                s.conv_norm(x, (&at("shortcut.0"), &at("shortcut.1")), channels, window, Pointwise::None)
            }
            Shortcut::Convolution => s.conv(x, &at("shortcut.0"), channels, window, Pointwise::None),
        }
    };
    let sum = s.add(y, shortcut);
    s.relu(sum)
}

/// `stem`, `layer1` to `layer3` of `blocks` blocks each, `pool`.
pub(crate) fn describe(b: &mut Builder<'_>, blocks: usize, shortcut: Shortcut) {
    let root = b.root();
    let mut s = b.stage("stem");
    let x = s.input();
    let x = s.conv_norm(x, (&root.at("conv1"), &root.at("bn1")), 16, Window::square(3), Pointwise::Relu);
    s.end(x);
    for (index, channels) in [16, 32, 64].into_iter().enumerate() {
        let name = format!("layer{}", index + 1);
        let mut s = b.stage(&name);
        let mut x = s.input();
        for position in 0..blocks {
            let stride = if index > 0 && position == 0 { 2 } else { 1 };
            x = block(&mut s, x, &root.at(format_args!("{name}.{position}")), channels, stride, shortcut);
        }
        s.end(x);
    }
    b.pool();
    b.linear_classifier(&root.at("linear"));
}
