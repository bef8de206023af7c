//! MobileNetV2 (Sandler et al. 2018, table 2), with torchvision's tensor names.

use engraft_kernels::Activation as Pointwise;

use crate::bases::parameters::Scope;
use crate::bases::style::PaddingDialect;
use crate::bases::vision::builder::{Builder, StageBuilder, Value, Window};
use crate::bases::vision::dialect::{Dialect, Input, Layers, Leaves};

/// Expansion, output channels, repeats, stride of the first (table 2 of the paper).
const BLOCKS: [(usize, usize, usize, usize); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];
const STEM: usize = 32;
const LAST: usize = 1280;

/// torchvision, Keras, and torchvision's `features` by themselves.
pub(crate) const DIALECTS: &[Dialect] = &[
    Dialect::TORCHVISION,
    Dialect {
        name: "Keras",
        layers: Layers::Rules(&[
            ("features.0.0", "Conv1"),
            ("features.0.1", "bn_Conv1"),
            ("features.1.conv.0.0", "expanded_conv_depthwise"),
            ("features.1.conv.0.1", "expanded_conv_depthwise_BN"),
            ("features.1.conv.1", "expanded_conv_project"),
            ("features.1.conv.2", "expanded_conv_project_BN"),
            ("features.18.0", "Conv_1"),
            ("features.18.1", "Conv_1_bn"),
            ("features.{a}.conv.0.0", "block_{a-1}_expand"),
            ("features.{a}.conv.0.1", "block_{a-1}_expand_BN"),
            ("features.{a}.conv.1.0", "block_{a-1}_depthwise"),
            ("features.{a}.conv.1.1", "block_{a-1}_depthwise_BN"),
            ("features.{a}.conv.2", "block_{a-1}_project"),
            ("features.{a}.conv.3", "block_{a-1}_project_BN"),
            ("classifier.1", "predictions"),
        ]),
        leaves: Leaves::Keras,
        ignored: &[],
        padding: PaddingDialect::Same,
        epsilon: 1e-3,
        input: Input::minus_one_to_one(224, 256),
    },
    Dialect {
        name: "children of torchvision's",
        layers: Layers::Rules(&[
            ("features.{a}.{b}", "{a}.{b}"),
            ("features.{a}.conv.{b}", "{a}.conv.{b}"),
            ("features.{a}.conv.{b}.{c}", "{a}.conv.{b}.{c}"),
        ]),
        ..Dialect::TORCHVISION
    },
];

/// Expand by 1 x 1, convolve each channel by 3 x 3, project by 1 x 1; added to the input where shapes allow.
fn inverted_residual(
    s: &mut StageBuilder<'_, '_>,
    x: Value,
    scope: &Scope<'_>,
    ratio: usize,
    outputs: usize,
    stride: usize,
) -> Value {
    let conv = scope.at("conv");
    // torchvision numbers the layers of its Sequential: without expansion everything moves up by one.
    let (depthwise, project, norm) = if ratio == 1 { ("0", "1", "2") } else { ("1", "2", "3") };
    let wide = if ratio == 1 {
        x
    } else {
        let at = conv.at("0");
        s.conv_norm(x, (&at.at(0), &at.at(1)), x.channels() * ratio, Window::square(1), Pointwise::Relu6)
    };
    let at = conv.at(depthwise);
    let y = s.depthwise_norm(wide, (&at.at(0), &at.at(1)), Window::square(3).stride(stride), Pointwise::Relu6);
    let y = s.conv_norm(y, (&conv.at(project), &conv.at(norm)), outputs, Window::square(1), Pointwise::None);
    if stride == 1 && x.channels() == outputs { s.add(x, y) } else { y }
}

/// `stem`, `block1` to `block17`, `last`, `pool`.
pub(crate) fn describe(b: &mut Builder<'_>) {
    let features = b.root().at("features");
    let at = features.at(0);
    let mut s = b.stage("stem");
    let x = s.input();
    let x = s.conv_norm(x, (&at.at(0), &at.at(1)), STEM, Window::square(3).stride(2), Pointwise::Relu6);
    s.end(x);
    let mut number = 0;
    for (ratio, outputs, repeats, stride) in BLOCKS {
        for repeat in 0..repeats {
            number += 1;
            let mut s = b.stage(&format!("block{number}"));
            let x = s.input();
            let stride = if repeat == 0 { stride } else { 1 };
            let x = inverted_residual(&mut s, x, &features.at(number), ratio, outputs, stride);
            s.end(x);
        }
    }
    let at = features.at(number + 1);
    let mut s = b.stage("last");
    let x = s.input();
    let x = s.conv_norm(x, (&at.at(0), &at.at(1)), LAST, Window::square(1), Pointwise::Relu6);
    s.end(x);
    b.pool();
    let classifier = b.root().at("classifier.1");
    b.linear_classifier(&classifier);
}
