//! NASNet-A (Zoph et al. 2018, figures 4 and 8), Mobile (4 @ 1056) and Large (6 @ 4032), with Cadene's names.
//!
//! A cell takes the outputs of the two cells before it, so that two maps flow between the stages. In training paths
//! are dropped on schedule, as in the paper's appendix A.7; in the end at the rate of the published networks.

use engraft_kernels::{Activation as Pointwise, Padding};

use crate::bases::parameters::Scope;
use crate::bases::style::PaddingDialect;
use crate::bases::vision::builder::{Builder, StageBuilder, Value, Window};
use crate::bases::vision::dialect::{Cell, Dialect, Input, Layers, Leaves};

/// What the two sizes differ in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Size {
    /// Channels of the first convolution.
    stem: usize,
    /// Channels inside the first cells.
    filters: usize,
    /// Normal cells between reductions.
    repeats: usize,
    /// Whether the cell after a reduction reaches two cells behind it rather than one.
    skip_reduction: bool,
    /// Rate of dropped paths at the last cell at the end of the training.
    drop_path: f64,
}

/// 4 @ 1056.
pub(crate) const MOBILE: Size = Size { stem: 32, filters: 44, repeats: 4, skip_reduction: false, drop_path: 0.0 };
/// 6 @ 4032.
pub(crate) const LARGE: Size = Size { stem: 96, filters: 168, repeats: 6, skip_reduction: true, drop_path: 0.3 };

const fn cadene(size: usize, shortest: usize) -> Dialect {
    Dialect {
        name: "Cadene",
        layers: Layers::Canonical,
        leaves: Leaves::Torch,
        ignored: &[],
        padding: PaddingDialect::Symmetric,
        epsilon: 1e-3,
        input: Input::minus_one_to_one(size, shortest),
    }
}

const fn keras(size: usize, shortest: usize, cells: &'static [Cell]) -> Dialect {
    Dialect {
        name: "Keras",
        layers: Layers::Cells(cells),
        leaves: Leaves::Keras,
        padding: PaddingDialect::Same,
        ..cadene(size, shortest)
    }
}

/// Cadene (and timm, by the same names), and Keras.
pub(crate) const MOBILE_DIALECTS: &[Dialect] = &[cadene(224, 256), keras(224, 256, MOBILE_CELLS)];
/// Cadene (and timm, by the same names), and Keras.
pub(crate) const LARGE_DIALECTS: &[Dialect] = &[cadene(331, 378), keras(331, 378, LARGE_CELLS)];

/// What is in no cell.
const OUTSIDE: &[(&str, &str)] =
    &[("conv0.conv", "stem_conv1"), ("conv0.bn", "stem_bn1"), ("last_linear", "predictions")];

/// A normal cell's layers in Keras; `*` is its block.
const NORMAL: &[(&str, &str)] = &[
    ("conv_prev_1x1.conv", "adjust_conv_projection_*"),
    ("conv_prev_1x1.bn", "adjust_bn_*"),
    ("path_{a}.conv", "adjust_conv_{a}_*"),
    ("final_path_bn", "adjust_bn_*"),
    ("conv_1x1.conv", "normal_conv_1_*"),
    ("conv_1x1.bn", "normal_bn_1_*"),
    ("comb_iter_0_left.separable_{a}.depthwise_conv2d", "separable_conv_{a}_normal_left1_*"),
    ("comb_iter_0_left.separable_{a}.pointwise_conv2d", "separable_conv_{a}_normal_left1_*#pointwise_kernel"),
    ("comb_iter_0_left.bn_sep_{a}", "separable_conv_{a}_bn_normal_left1_*"),
    ("comb_iter_0_right.separable_{a}.depthwise_conv2d", "separable_conv_{a}_normal_right1_*"),
    ("comb_iter_0_right.separable_{a}.pointwise_conv2d", "separable_conv_{a}_normal_right1_*#pointwise_kernel"),
    ("comb_iter_0_right.bn_sep_{a}", "separable_conv_{a}_bn_normal_right1_*"),
    ("comb_iter_1_left.separable_{a}.depthwise_conv2d", "separable_conv_{a}_normal_left2_*"),
    ("comb_iter_1_left.separable_{a}.pointwise_conv2d", "separable_conv_{a}_normal_left2_*#pointwise_kernel"),
    ("comb_iter_1_left.bn_sep_{a}", "separable_conv_{a}_bn_normal_left2_*"),
    ("comb_iter_1_right.separable_{a}.depthwise_conv2d", "separable_conv_{a}_normal_right2_*"),
    ("comb_iter_1_right.separable_{a}.pointwise_conv2d", "separable_conv_{a}_normal_right2_*#pointwise_kernel"),
    ("comb_iter_1_right.bn_sep_{a}", "separable_conv_{a}_bn_normal_right2_*"),
    ("comb_iter_4_left.separable_{a}.depthwise_conv2d", "separable_conv_{a}_normal_left5_*"),
    ("comb_iter_4_left.separable_{a}.pointwise_conv2d", "separable_conv_{a}_normal_left5_*#pointwise_kernel"),
    ("comb_iter_4_left.bn_sep_{a}", "separable_conv_{a}_bn_normal_left5_*"),
];

/// A reduction cell's layers in Keras; `*` is its block.
const REDUCTION: &[(&str, &str)] = &[
    ("conv_prev_1x1.conv", "adjust_conv_projection_*"),
    ("conv_prev_1x1.bn", "adjust_bn_*"),
    ("path_{a}.conv", "adjust_conv_{a}_*"),
    ("final_path_bn", "adjust_bn_*"),
    ("conv_1x1.conv", "reduction_conv_1_*"),
    ("conv_1x1.bn", "reduction_bn_1_*"),
    ("comb_iter_0_left.separable_{a}.depthwise_conv2d", "separable_conv_{a}_reduction_left1_*"),
    ("comb_iter_0_left.separable_{a}.pointwise_conv2d", "separable_conv_{a}_reduction_left1_*#pointwise_kernel"),
    ("comb_iter_0_left.bn_sep_{a}", "separable_conv_{a}_bn_reduction_left1_*"),
    ("comb_iter_0_right.separable_{a}.depthwise_conv2d", "separable_conv_{a}_reduction_right1_*"),
    ("comb_iter_0_right.separable_{a}.pointwise_conv2d", "separable_conv_{a}_reduction_right1_*#pointwise_kernel"),
    ("comb_iter_0_right.bn_sep_{a}", "separable_conv_{a}_bn_reduction_right1_*"),
    ("comb_iter_1_right.separable_{a}.depthwise_conv2d", "separable_conv_{a}_reduction_right2_*"),
    ("comb_iter_1_right.separable_{a}.pointwise_conv2d", "separable_conv_{a}_reduction_right2_*#pointwise_kernel"),
    ("comb_iter_1_right.bn_sep_{a}", "separable_conv_{a}_bn_reduction_right2_*"),
    ("comb_iter_2_right.separable_{a}.depthwise_conv2d", "separable_conv_{a}_reduction_right3_*"),
    ("comb_iter_2_right.separable_{a}.pointwise_conv2d", "separable_conv_{a}_reduction_right3_*#pointwise_kernel"),
    ("comb_iter_2_right.bn_sep_{a}", "separable_conv_{a}_bn_reduction_right3_*"),
    ("comb_iter_4_left.separable_{a}.depthwise_conv2d", "separable_conv_{a}_reduction_left4_*"),
    ("comb_iter_4_left.separable_{a}.pointwise_conv2d", "separable_conv_{a}_reduction_left4_*#pointwise_kernel"),
    ("comb_iter_4_left.bn_sep_{a}", "separable_conv_{a}_bn_reduction_left4_*"),
];

const fn normal(name: &'static str, block: &'static str) -> Cell {
    Cell { name, block, rules: NORMAL }
}

const fn reduction(name: &'static str, block: &'static str) -> Cell {
    Cell { name, block, rules: REDUCTION }
}

const MOBILE_CELLS: &[Cell] = &[
    Cell { name: "", block: "", rules: OUTSIDE },
    reduction("cell_stem_0", "stem_1"),
    reduction("cell_stem_1", "stem_2"),
    normal("cell_0", "0"),
    normal("cell_1", "1"),
    normal("cell_2", "2"),
    normal("cell_3", "3"),
    reduction("reduction_cell_0", "reduce_4"),
    normal("cell_6", "5"),
    normal("cell_7", "6"),
    normal("cell_8", "7"),
    normal("cell_9", "8"),
    reduction("reduction_cell_1", "reduce_8"),
    normal("cell_12", "9"),
    normal("cell_13", "10"),
    normal("cell_14", "11"),
    normal("cell_15", "12"),
];

const LARGE_CELLS: &[Cell] = &[
    Cell { name: "", block: "", rules: OUTSIDE },
    reduction("cell_stem_0", "stem_1"),
    reduction("cell_stem_1", "stem_2"),
    normal("cell_0", "0"),
    normal("cell_1", "1"),
    normal("cell_2", "2"),
    normal("cell_3", "3"),
    normal("cell_4", "4"),
    normal("cell_5", "5"),
    reduction("reduction_cell_0", "reduce_6"),
    normal("cell_6", "7"),
    normal("cell_7", "8"),
    normal("cell_8", "9"),
    normal("cell_9", "10"),
    normal("cell_10", "11"),
    normal("cell_11", "12"),
    reduction("reduction_cell_1", "reduce_12"),
    normal("cell_12", "13"),
    normal("cell_13", "14"),
    normal("cell_14", "15"),
    normal("cell_15", "16"),
    normal("cell_16", "17"),
    normal("cell_17", "18"),
];

/// What the programs do in their own way where a strided pool looks over the border. Convolutions pad as TensorFlow's
/// SAME in all three.
#[derive(Debug, Clone, Copy)]
struct Border {
    /// The largest of a window may be a zero of the padding.
    zeros_win: bool,
    /// Zeros of the padding count in a mean.
    zeros_count: bool,
}

impl Border {
    fn of(padding: PaddingDialect) -> Self {
        match padding {
            PaddingDialect::Symmetric => Self { zeros_win: false, zeros_count: false },
            PaddingDialect::Same => Self { zeros_win: true, zeros_count: true },
            PaddingDialect::Timm => Self { zeros_win: false, zeros_count: true },
        }
    }
}

const ONE: Window = Window::square(1);
const THREE: Window = Window::square(3).padding(Padding::Same);

/// A cell under description.
struct CellBuilder<'s, 'b, 'a> {
    s: &'s mut StageBuilder<'b, 'a>,
    scope: Scope<'a>,
    /// Channels inside the cell.
    filters: usize,
    border: Border,
    /// Rate of dropped paths.
    drop_path: f64,
}

impl CellBuilder<'_, '_, '_> {
    /// ReLU, 1 x 1, batch norm.
    fn project(&mut self, x: Value, name: &str) -> Value {
        let at = self.scope.at(name);
        let x = self.s.relu(x);
        self.s.conv_norm(x, (&at.at("conv"), &at.at("bn")), self.filters, ONE, Pointwise::None)
    }

    /// Half the size without losing pixels: the even ones and the odd ones side by side.
    fn halve(&mut self, x: Value) -> Value {
        let x = self.s.relu(x);
        let window = ONE.stride(2).valid();
        let even = self.s.conv_only(x, &self.scope.at("path_1.conv"), self.filters / 2, window);
        let shifted = self.s.shift(x);
        let odd = self.s.conv_only(shifted, &self.scope.at("path_2.conv"), self.filters / 2, window);
        let both = self.s.concat(&[even, odd]);
        self.s.norm(both, &self.scope.at("final_path_bn"))
    }

    /// ReLU, depthwise, 1 x 1, batch norm, twice.
    fn separable(&mut self, x: Value, name: &str, side: usize, stride: usize) -> Value {
        let at = self.scope.at(name);
        let mut x = x;
        for (number, stride) in [(1, stride), (2, 1)] {
            let window = Window::square(side).stride(stride).padding(Padding::Same);
            let layer = at.at(format_args!("separable_{number}"));
            x = self.s.relu(x);
            x = self.s.depthwise_only(x, &layer.at("depthwise_conv2d"), window);
            let norm = at.at(format_args!("bn_sep_{number}"));
            x = self.s.conv_norm(x, (&layer.at("pointwise_conv2d"), &norm), self.filters, ONE, Pointwise::None);
        }
        self.drop(x, name)
    }

    fn average(&mut self, x: Value, name: &str) -> Value {
        let x = self.s.average_pool(x, THREE, false);
        self.drop(x, name)
    }

    fn strided_average(&mut self, x: Value, name: &str) -> Value {
        let window = THREE.stride(2);
        let x = if self.border.zeros_count {
            let x = self.s.zero_pad(x, window);
            self.s.average_pool(x, window.valid(), true)
        } else {
            self.s.average_pool(x, window, false)
        };
        self.drop(x, name)
    }

    fn strided_max(&mut self, x: Value, name: &str) -> Value {
        let window = THREE.stride(2);
        let x = if self.border.zeros_win {
            let x = self.s.zero_pad(x, window);
            self.s.max_pool(x, window.valid())
        } else {
            self.s.max_pool(x, window)
        };
        self.drop(x, name)
    }

    fn drop(&mut self, x: Value, name: &str) -> Value {
        self.s.drop_path(x, self.scope.at(name).path().to_owned(), self.drop_path)
    }

    /// Figure 4, left: from the prepared inputs, `before` and `x`.
    fn normal(&mut self, before: Value, x: Value) -> Value {
        let left = self.separable(x, "comb_iter_0_left", 5, 1);
        let right = self.separable(before, "comb_iter_0_right", 3, 1);
        let zero = self.s.add(left, right);
        let left = self.separable(before, "comb_iter_1_left", 5, 1);
        let right = self.separable(before, "comb_iter_1_right", 3, 1);
        let one = self.s.add(left, right);
        let left = self.average(x, "comb_iter_2_left");
        let two = self.s.add(left, before);
        let left = self.average(before, "comb_iter_3_left");
        let right = self.average(before, "comb_iter_3_right");
        let three = self.s.add(left, right);
        let left = self.separable(x, "comb_iter_4_left", 3, 1);
        let four = self.s.add(left, x);
        self.s.concat(&[before, zero, one, two, three, four])
    }

    /// Figure 4, right.
    fn reduction(&mut self, before: Value, x: Value) -> Value {
        let left = self.separable(x, "comb_iter_0_left", 5, 2);
        let right = self.separable(before, "comb_iter_0_right", 7, 2);
        let zero = self.s.add(left, right);
        let left = self.strided_max(x, "comb_iter_1_left");
        let right = self.separable(before, "comb_iter_1_right", 7, 2);
        let one = self.s.add(left, right);
        let left = self.strided_average(x, "comb_iter_2_left");
        let right = self.separable(before, "comb_iter_2_right", 5, 2);
        let two = self.s.add(left, right);
        let right = self.average(zero, "comb_iter_3_right");
        let three = self.s.add(right, one);
        let left = self.separable(zero, "comb_iter_4_left", 3, 1);
        let right = self.strided_max(x, "comb_iter_4_right");
        let four = self.s.add(left, right);
        self.s.concat(&[one, two, three, four])
    }
}

/// How a cell makes the output of the cell before the last fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// There is none: the input serves as it is.
    None,
    /// It is twice as large.
    Halve,
    /// It has other channels.
    Project,
}

/// One cell: its name, its kind, channels inside, how the cell before the last is made to fit.
type Step = (String, bool, usize, Before);

/// `conv0`, `cell_stem_0`, `cell_stem_1`, the cells by Cadene's numbers, `pool`.
pub(crate) fn describe(b: &mut Builder<'_>, size: Size) {
    let Size { stem, filters, repeats, skip_reduction, drop_path } = size;
    let root = b.root();
    let border = Border::of(b.style().padding);
    let mut s = b.stage("conv0");
    let x = s.input();
    let window = Window::square(3).stride(2).valid();
    let x = s.conv_norm(x, (&root.at("conv0.conv"), &root.at("conv0.bn")), stem, window, Pointwise::None);
    s.end(x);

    let mut steps: Vec<Step> = vec![
        ("cell_stem_0".into(), true, filters / 4, Before::None),
        ("cell_stem_1".into(), true, filters / 2, Before::Halve),
    ];
    for stack in 0..3 {
        for position in 0..repeats {
            let before = if position == 0 { Before::Halve } else { Before::Project };
            steps.push((format!("cell_{}", 6 * stack + position), false, filters << stack, before));
        }
        if stack < 2 {
            steps.push((format!("reduction_cell_{stack}"), true, filters << (stack + 1), Before::Project));
        }
    }

    let count = steps.len();
    for (position, (name, reduces, filters, kind)) in steps.into_iter().enumerate() {
        let mut s = b.stage(&name);
        let x = s.input();
        let other = s.input_before();
        let rate = drop_path * (position + 1) as f64 / count as f64;
        let mut cell = CellBuilder { s: &mut s, scope: root.at(&name), filters, border, drop_path: rate };
        let before = match (kind, other) {
            (Before::Halve, Some(other)) => Some(cell.halve(other)),
            (Before::Project, Some(other)) => Some(cell.project(other, "conv_prev_1x1")),
            _ => None,
        };
        let projected = cell.project(x, "conv_1x1");
        let before = before.unwrap_or(x);
        let y = if reduces { cell.reduction(before, projected) } else { cell.normal(before, projected) };
        // Which map the next cell takes beside this one.
        let reaches_back = skip_reduction && name.starts_with("reduction");
        if position + 1 == count {
            s.end(y);
        } else {
            s.end_with(&[if reaches_back { other.unwrap_or(x) } else { x }, y]);
        }
    }

    let mut s = b.stage("pool");
    let x = s.input();
    let x = s.relu(x);
    let x = s.global_average(x);
    s.end_vector(x);
    b.linear_classifier(&root.at("last_linear"));
}
