//! A small residual network for images of about 32 x 32 (after He et al. 2016): the embedded base `glyphs`.

use crate::bases::vision::builder::{Builder, Window};
use crate::bases::vision::dialect::{Dialect, Input};
use crate::bases::vision::resnet::{Block, block};
use engraft_kernels::Activation as Pointwise;

/// Channels of the three layers; the first is also the stem's.
const CHANNELS: [usize; 3] = [24, 48, 88];

/// Its own names are torchvision's of a ResNet.
pub(crate) const DIALECTS: &[Dialect] = &[Dialect {
    name: "Engraft",
    input: Input { size: 32, shortest: 0, mean: &[0.5], std: &[0.5], ..Input::imagenet(32, 0) },
    ..Dialect::TORCHVISION
}];

/// `stem` (stride 2), `layer1`, `layer2`, `layer3` (one block each, strides 1, 2, 2), `pool`.
pub(crate) fn describe(b: &mut Builder<'_>) {
    let root = b.root();
    let mut s = b.stage("stem");
    let x = s.input();
    let window = Window::square(3).stride(2);
    let x = s.conv_norm(x, (&root.at("conv1"), &root.at("bn1")), CHANNELS[0], window, Pointwise::Relu);
    s.end(x);
    for (index, channels) in CHANNELS.into_iter().enumerate() {
        let name = format!("layer{}", index + 1);
        let mut s = b.stage(&name);
        let x = s.input();
        let stride = if index == 0 { 1 } else { 2 };
        let x = block(&mut s, x, &root.at(format_args!("{name}.0")), Block::Basic, channels, stride);
        s.end(x);
    }
    b.pool();
    b.linear_classifier(&root.at("fc"));
}
