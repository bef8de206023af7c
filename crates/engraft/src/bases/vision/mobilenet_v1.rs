//! MobileNetV1 (Howard et al. 2017, table 1), with the names of Keras.

use engraft_kernels::{Activation as Pointwise, Padding};

use crate::bases::style::PaddingDialect;
use crate::bases::vision::builder::{Builder, Window};
use crate::bases::vision::dialect::{Dialect, Input, Layers, Leaves};

/// Output channels at width 1 and stride of each separable block (table 1).
const BLOCKS: [(usize, usize); 13] = [
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
];

const KERAS: Dialect = Dialect {
    name: "Keras",
    layers: Layers::Canonical,
    leaves: Leaves::Keras,
    ignored: &[],
    padding: PaddingDialect::Same,
    epsilon: 1e-3,
    input: Input::minus_one_to_one(224, 256),
};

/// Our own converted files, and Keras.
pub(crate) const DIALECTS: &[Dialect] = &[Dialect { name: "Engraft", leaves: Leaves::Torch, ..KERAS }, KERAS];

const TINY: Dialect = Dialect { input: Input::zero_to_one(96, 0), ..KERAS };

/// Our own converted files, and MLPerf Tiny's, whose layers are numbered.
pub(crate) const TINY_DIALECTS: &[Dialect] = &[
    Dialect { name: "Engraft", leaves: Leaves::Torch, ..TINY },
    Dialect { name: "Keras (MLPerf Tiny)", layers: Layers::Numbered("dense"), ..TINY },
];

/// `stem`, `block1` to `block13`, `pool`; channels times `quarters` / 4.
///
/// MLPerf Tiny's network has ReLU and TensorFlow's SAME everywhere; Keras' has ReLU6, and where it strides depthwise it
/// pads one row and column at the end whatever the size.
pub(crate) fn describe(b: &mut Builder<'_>, quarters: usize, tiny: bool) {
    let root = b.root();
    let activation = if tiny { Pointwise::Relu } else { Pointwise::Relu6 };
    let strided = if tiny || b.style().padding == PaddingDialect::Symmetric {
        Window::square(3).stride(2)
    } else {
        Window::square(3).stride(2).padding(Padding::Explicit { before: [0; 2], after: [1; 2] })
    };
    let mut s = b.stage("stem");
    let x = s.input();
    let window = Window::square(3).stride(2);
    let x = s.conv_norm(x, (&root.at("conv1"), &root.at("conv1_bn")), 32 * quarters / 4, window, activation);
    s.end(x);
    for (index, (channels, stride)) in BLOCKS.into_iter().enumerate() {
        let number = index + 1;
        let layer = |part: &str, after: &str| root.at(format_args!("conv_{part}_{number}{after}"));
        let mut s = b.stage(&format!("block{number}"));
        let x = s.input();
        let window = if stride == 2 { strided } else { Window::square(3) };
        let x = s.depthwise_norm(x, (&layer("dw", ""), &layer("dw", "_bn")), window, activation);
        let outputs = channels * quarters / 4;
        let x = s.conv_norm(x, (&layer("pw", ""), &layer("pw", "_bn")), outputs, Window::square(1), activation);
        s.end(x);
    }
    b.pool();
    b.linear_classifier(&root.at("conv_preds"));
}
