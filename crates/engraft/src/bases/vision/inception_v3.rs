//! Inception v3 (Szegedy et al. 2016), with torchvision's names.
//!
//! torchvision's `transform_input` turns its usual input into [-1, 1] before the first layer: here that is the card's
//! mean and std of 0.5. The auxiliary classifier serves training from scratch only, and is left aside.

use engraft_kernels::Activation as Pointwise;

use crate::bases::parameters::Scope;
use crate::bases::style::PaddingDialect;
use crate::bases::vision::builder::{Builder, StageBuilder, Value, Window};
use crate::bases::vision::dialect::{Dialect, Input, Layers, Leaves};

/// torchvision, and Keras, which numbers its layers in the order in which they stand here.
pub(crate) const DIALECTS: &[Dialect] = &[
    Dialect {
        name: "torchvision",
        layers: Layers::Canonical,
        leaves: Leaves::Torch,
        ignored: &[("AuxLogits.", "the auxiliary classifier serves training from scratch only")],
        padding: PaddingDialect::Symmetric,
        epsilon: 1e-3,
        input: Input::minus_one_to_one(299, 342),
    },
    Dialect {
        name: "Keras",
        layers: Layers::Numbered("predictions"),
        leaves: Leaves::Keras,
        ignored: &[],
        padding: PaddingDialect::Same,
        epsilon: 1e-3,
        input: Input::minus_one_to_one(299, 342),
    },
];

/// A block under description: its stage, its place in the names.
struct Mixed<'s, 'b, 'a> {
    s: &'s mut StageBuilder<'b, 'a>,
    scope: Scope<'a>,
}

impl Mixed<'_, '_, '_> {
    /// Convolution, batch norm, ReLU: torchvision's `BasicConv2d`.
    fn conv(&mut self, x: Value, name: &str, channels: usize, window: Window) -> Value {
        let at = if name.is_empty() { self.scope.clone() } else { self.scope.at(name) };
        self.s.conv_norm(x, (&at.at("conv"), &at.at("bn")), channels, window, Pointwise::Relu)
    }

    /// Mean over 3 x 3, then 1 x 1. Zeros of the padding count in torchvision, and not in Keras.
    fn pool_branch(&mut self, x: Value, channels: usize, counts: bool) -> Value {
        let x = self.s.average_pool(x, Window::square(3), counts);
        self.conv(x, "branch_pool", channels, Window::square(1))
    }
}

const ONE: Window = Window::square(1);
const THREE: Window = Window::square(3);
const ROW: Window = Window::new(1, 7);
const COLUMN: Window = Window::new(7, 1);

/// `stem`, `stem2`, `Mixed_5b` to `Mixed_7c`, `pool`.
pub(crate) fn describe(b: &mut Builder<'_>) {
    let root = b.root();
    let counts = b.style().padding == PaddingDialect::Symmetric;

    let mut s = b.stage("stem");
    let x = s.input();
    let mut m = Mixed { scope: root.clone(), s: &mut s };
    let x = m.conv(x, "Conv2d_1a_3x3", 32, THREE.stride(2).valid());
    let x = m.conv(x, "Conv2d_2a_3x3", 32, THREE.valid());
    let x = m.conv(x, "Conv2d_2b_3x3", 64, THREE);
    let x = s.max_pool(x, THREE.stride(2).valid());
    s.end(x);

    let mut s = b.stage("stem2");
    let x = s.input();
    let mut m = Mixed { scope: root.clone(), s: &mut s };
    let x = m.conv(x, "Conv2d_3b_1x1", 80, ONE.valid());
    let x = m.conv(x, "Conv2d_4a_3x3", 192, THREE.valid());
    let x = s.max_pool(x, THREE.stride(2).valid());
    s.end(x);

    let mut mixed = |name: &str, body: &dyn Fn(&mut Mixed<'_, '_, '_>, Value) -> Vec<Value>| {
        let mut s = b.stage(name);
        let x = s.input();
        let parts = body(&mut Mixed { scope: root.at(name), s: &mut s }, x);
        let y = s.concat(&parts);
        s.end(y);
    };

    for (name, pool) in [("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)] {
        mixed(name, &|m, x| {
            let one = m.conv(x, "branch1x1", 64, ONE);
            let five = m.conv(x, "branch5x5_1", 48, ONE);
            let five = m.conv(five, "branch5x5_2", 64, Window::square(5));
            let double = m.conv(x, "branch3x3dbl_1", 64, ONE);
            let double = m.conv(double, "branch3x3dbl_2", 96, THREE);
            let double = m.conv(double, "branch3x3dbl_3", 96, THREE);
            vec![one, five, double, m.pool_branch(x, pool, counts)]
        });
    }
    mixed("Mixed_6a", &|m, x| {
        let three = m.conv(x, "branch3x3", 384, THREE.stride(2).valid());
        let double = m.conv(x, "branch3x3dbl_1", 64, ONE);
        let double = m.conv(double, "branch3x3dbl_2", 96, THREE);
        let double = m.conv(double, "branch3x3dbl_3", 96, THREE.stride(2).valid());
        vec![three, double, m.s.max_pool(x, THREE.stride(2).valid())]
    });
    for (name, inner) in [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)] {
        mixed(name, &|m, x| {
            let one = m.conv(x, "branch1x1", 192, ONE);
            let seven = m.conv(x, "branch7x7_1", inner, ONE);
            let seven = m.conv(seven, "branch7x7_2", inner, ROW);
            let seven = m.conv(seven, "branch7x7_3", 192, COLUMN);
            let double = m.conv(x, "branch7x7dbl_1", inner, ONE);
            let double = m.conv(double, "branch7x7dbl_2", inner, COLUMN);
            let double = m.conv(double, "branch7x7dbl_3", inner, ROW);
            let double = m.conv(double, "branch7x7dbl_4", inner, COLUMN);
            let double = m.conv(double, "branch7x7dbl_5", 192, ROW);
            vec![one, seven, double, m.pool_branch(x, 192, counts)]
        });
    }
    mixed("Mixed_7a", &|m, x| {
        let three = m.conv(x, "branch3x3_1", 192, ONE);
        let three = m.conv(three, "branch3x3_2", 320, THREE.stride(2).valid());
        let seven = m.conv(x, "branch7x7x3_1", 192, ONE);
        let seven = m.conv(seven, "branch7x7x3_2", 192, ROW);
        let seven = m.conv(seven, "branch7x7x3_3", 192, COLUMN);
        let seven = m.conv(seven, "branch7x7x3_4", 192, THREE.stride(2).valid());
        vec![three, seven, m.s.max_pool(x, THREE.stride(2).valid())]
    });
    for name in ["Mixed_7b", "Mixed_7c"] {
        mixed(name, &|m, x| {
            let one = m.conv(x, "branch1x1", 320, ONE);
            let three = m.conv(x, "branch3x3_1", 384, ONE);
            let across = m.conv(three, "branch3x3_2a", 384, Window::new(1, 3));
            let down = m.conv(three, "branch3x3_2b", 384, Window::new(3, 1));
            let double = m.conv(x, "branch3x3dbl_1", 448, ONE);
            let double = m.conv(double, "branch3x3dbl_2", 384, THREE);
            let double_across = m.conv(double, "branch3x3dbl_3a", 384, Window::new(1, 3));
            let double_down = m.conv(double, "branch3x3dbl_3b", 384, Window::new(3, 1));
            vec![one, across, down, double_across, double_down, m.pool_branch(x, 192, counts)]
        });
    }
    b.pool();
    b.linear_classifier(&root.at("fc"));
}
