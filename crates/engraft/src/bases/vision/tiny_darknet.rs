//! Tiny Darknet (Redmon's reference network for ImageNet in 4 MB, `tiny.cfg`).

use engraft_kernels::{Activation as Pointwise, Padding};

use crate::bases::vision::builder::{Builder, StageBuilder, Value, Window};
use crate::bases::vision::dialect::{Dialect, Input};

/// Our own names: `conv1`, `conv1.bn`, ...; the epsilon is that of PyTorch's renderings. Darknet itself adds 1e-6 to the
/// standard deviation: a card of its own weights says 1e-12.
pub(crate) const DIALECTS: &[Dialect] =
    &[Dialect { name: "Engraft", input: Input::zero_to_one(224, 224), ..Dialect::TORCHVISION }];

const SLOPE: f64 = 0.1;

/// A stage: its name, channels and window of each convolution, and whether a pool follows.
type Plan = (&'static str, &'static [(usize, usize)], bool);

const STAGES: [Plan; 6] = [
    ("stem", &[(16, 3)], true),
    ("conv2", &[(32, 3)], true),
    ("block3", &[(16, 1), (128, 3), (16, 1), (128, 3)], true),
    ("block4", &[(32, 1), (256, 3), (32, 1), (256, 3)], true),
    ("block5", &[(64, 1), (512, 3), (64, 1), (512, 3)], false),
    ("last", &[(128, 1)], false),
];

fn convolution(s: &mut StageBuilder<'_, '_>, x: Value, name: &str, channels: usize, side: usize) -> Value {
    let scope = s.root().at(name);
    let y = s.conv_norm(x, (&scope, &scope.at("bn")), channels, Window::square(side), Pointwise::None);
    s.leaky_relu(y, SLOPE)
}

/// `stem`, `conv2`, `block3` to `block5`, `last`, `pool`.
pub(crate) fn describe(b: &mut Builder<'_>) {
    let mut number = 0;
    for (name, convolutions, pooled) in STAGES {
        let mut s = b.stage(name);
        let mut x = s.input();
        for &(channels, side) in convolutions {
            number += 1;
            x = convolution(&mut s, x, &format!("conv{number}"), channels, side);
        }
        if pooled {
            x = s.max_pool(x, Window::square(2).stride(2).padding(Padding::Ceil([0; 2])));
        }
        s.end(x);
    }
    b.pool();
    let scope = b.root().at(format_args!("conv{}", number + 1));
    // A convolution of one pixel and the mean may change places: there is nothing between them.
    b.linear_classifier(&scope);
}
