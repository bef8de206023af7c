//! SqueezeNet 1.0 and 1.1 (Iandola et al. 2016), with torchvision's names.

use engraft_kernels::{Activation as Pointwise, Padding};

use crate::bases::parameters::Scope;
use crate::bases::style::PaddingDialect;
use crate::bases::vision::builder::{Builder, StageBuilder, Value, Window};
use crate::bases::vision::dialect::{Dialect, Input, Layers, Leaves};

/// torchvision's `features` by themselves.
const CHILDREN: Dialect = Dialect {
    name: "children of torchvision's",
    layers: Layers::Rules(&[
        ("features.{a}.squeeze", "{a}.squeeze"),
        ("features.{a}.expand{b}x{c}", "{a}.expand{b}x{c}"),
        ("features.{a}", "{a}"),
    ]),
    ..Dialect::TORCHVISION
};

/// torchvision's.
pub(crate) const DIALECTS_1_0: &[Dialect] = &[Dialect::TORCHVISION, CHILDREN];

/// torchvision's, and Refik Can Malli's for Keras (keras-squeezenet).
pub(crate) const DIALECTS_1_1: &[Dialect] = &[
    Dialect::TORCHVISION,
    Dialect {
        name: "Keras (keras-squeezenet)",
        layers: Layers::Rules(&[
            ("features.0", "conv1"),
            ("features.3.squeeze", "fire2/squeeze1x1"),
            ("features.3.expand{b}x{c}", "fire2/expand{b}x{c}"),
            ("features.4.squeeze", "fire3/squeeze1x1"),
            ("features.4.expand{b}x{c}", "fire3/expand{b}x{c}"),
            ("features.6.squeeze", "fire4/squeeze1x1"),
            ("features.6.expand{b}x{c}", "fire4/expand{b}x{c}"),
            ("features.7.squeeze", "fire5/squeeze1x1"),
            ("features.7.expand{b}x{c}", "fire5/expand{b}x{c}"),
            ("features.9.squeeze", "fire6/squeeze1x1"),
            ("features.9.expand{b}x{c}", "fire6/expand{b}x{c}"),
            ("features.10.squeeze", "fire7/squeeze1x1"),
            ("features.10.expand{b}x{c}", "fire7/expand{b}x{c}"),
            ("features.11.squeeze", "fire8/squeeze1x1"),
            ("features.11.expand{b}x{c}", "fire8/expand{b}x{c}"),
            ("features.12.squeeze", "fire9/squeeze1x1"),
            ("features.12.expand{b}x{c}", "fire9/expand{b}x{c}"),
            ("classifier.1", "conv10"),
        ]),
        leaves: Leaves::Keras,
        padding: PaddingDialect::Same,
        input: Input::caffe(227),
        ..Dialect::TORCHVISION
    },
    CHILDREN,
];

/// Squeezed channels, and channels of each half of the expansion, of fire2 to fire9.
const FIRES: [(usize, usize); 8] =
    [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)];

/// Squeeze by 1 x 1, expand by 1 x 1 and by 3 x 3 side by side.
fn fire(s: &mut StageBuilder<'_, '_>, x: Value, scope: &Scope<'_>, (squeezed, expanded): (usize, usize)) -> Value {
    let x = s.conv(x, &scope.at("squeeze"), squeezed, Window::square(1), Pointwise::Relu);
    let small = s.conv(x, &scope.at("expand1x1"), expanded, Window::square(1), Pointwise::Relu);
    let large = s.conv(x, &scope.at("expand3x3"), expanded, Window::square(3), Pointwise::Relu);
    s.concat(&[small, large])
}

/// `stem`, `fire2` to `fire9`, `pool`. `first`: channels and window of the first convolution. `pooled`: the fires
/// that a pool follows.
///
/// Pools reach over the end of a map in torchvision, and do not in Keras.
pub(crate) fn describe(b: &mut Builder<'_>, (channels, side): (usize, usize), pooled: [usize; 2]) {
    let root = b.root();
    let features = root.at("features");
    let padding = match b.style().padding {
        PaddingDialect::Symmetric => Padding::Ceil([0, 0]),
        _ => Padding::Symmetric([0, 0]),
    };
    let pool = Window::square(3).stride(2).padding(padding);
    let mut s = b.stage("stem");
    let x = s.input();
    let x = s.conv(x, &features.at(0), channels, Window::square(side).stride(2).valid(), Pointwise::Relu);
    let x = s.max_pool(x, pool);
    s.end(x);
    // torchvision numbers the pools too.
    let mut position = 3;
    for (index, sizes) in FIRES.into_iter().enumerate() {
        let number = index + 2;
        let mut s = b.stage(&format!("fire{number}"));
        let x = s.input();
        let mut x = fire(&mut s, x, &features.at(position), sizes);
        position += 1;
        if pooled.contains(&number) {
            x = s.max_pool(x, pool);
            position += 1;
        }
        s.end(x);
    }
    b.pool();
    let scope = root.at("classifier.1");
    // The classifier convolves the last map, and takes the mean after its ReLU.
    if let Some(mut s) = b.classifier(&scope, 1) {
        let (x, classes) = (s.input(), s.classes);
        let x = s.conv(x, &scope, classes, Window::square(1), Pointwise::Relu);
        let x = s.global_average(x);
        s.end_classifier(x);
    }
}
