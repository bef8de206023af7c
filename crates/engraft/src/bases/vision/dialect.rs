//! Dialects: how a program names and lays out the tensors of an architecture, and computes what it computes.
//!
//! An architecture speaks of its parameters by canonical names, those of its first dialect. A dialect declares, once,
//! how another program calls the same layers. Nothing else knows of foreign names.

use std::cell::RefCell;
use std::collections::BTreeMap;

use engraft_weights::Weights;

use crate::bases::role::Role;
use crate::bases::style::PaddingDialect;
use crate::data::preprocess::{ChannelOrder, Interpolation, Preprocessing, Resize};

/// How a program names and lays out an architecture's tensors, and what it does in its own way.
#[derive(Debug, PartialEq)]
pub struct Dialect {
    /// The program, as `torchvision` or `Keras`.
    pub name: &'static str,
    /// The names of its layers.
    pub(crate) layers: Layers,
    /// The names and layouts of the tensors of a layer.
    pub leaves: Leaves,
    /// What its files may have that is not part of the network here, and why. A name that begins so.
    pub(crate) ignored: &'static [(&'static str, &'static str)],
    /// How it pads.
    pub(crate) padding: PaddingDialect,
    /// What its batch norms add to the variance, where the file does not say.
    pub(crate) epsilon: f64,
    /// How its images become input, where nothing else is known.
    pub(crate) input: Input,
}

impl Dialect {
    /// torchvision's, for ImageNet at 224 pixels: canonical names, in PyTorch's layout and arithmetic.
    pub(crate) const TORCHVISION: Self = Self {
        name: "torchvision",
        layers: Layers::Canonical,
        leaves: Leaves::Torch,
        ignored: &[],
        padding: PaddingDialect::Symmetric,
        epsilon: 1e-5,
        input: Input::imagenet(224, 256),
    };
}

/// Names of layers against the canonical ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Layers {
    /// The same.
    Canonical,
    /// The first rule that fits: canonical pattern, and pattern in the file. `{a}` to `{z}` are numbers;
    /// `{a-1}` and `{a+1}` in the file's pattern are the neighbours. A part after `#` names the tensor.
    Rules(&'static [(&'static str, &'static str)]),
    /// Rules for each cell of a network of cells.
    Cells(&'static [Cell]),
    /// Every kind of layer numbered in the order of construction: `conv2d`, `conv2d_1`, ...; and the name of the
    /// linear layer.
    Numbered(&'static str),
}

/// The rules for the layers below one canonical name; `*` in the file's pattern is the block's name there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// The canonical name, with nothing behind it; empty for layers outside every cell.
    pub(crate) name: &'static str,
    /// What the file calls it.
    pub(crate) block: &'static str,
    /// Its layers.
    pub(crate) rules: &'static [(&'static str, &'static str)],
}

impl Cell {
    fn rewrite(&self, layer: &str) -> Option<String> {
        let rest = match self.name {
            "" => layer,
            name => layer.strip_prefix(name)?.strip_prefix('.')?,
        };
        by_rules(self.rules, rest).map(|name| name.replace('*', self.block))
    }
}

/// Names and layouts of a layer's tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaves {
    /// `weight`, `bias`, `running_mean`, `running_var`; kernels `[out, in, rows, columns]`.
    Torch,
    /// `kernel`, `depthwise_kernel`, `bias`, `gamma`, `beta`, `moving_mean`, `moving_variance`; kernels
    /// `[rows, columns, in, out]`.
    Keras,
}

/// The usual input of a dialect's checkpoints.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Input {
    /// Rows and columns.
    pub(crate) size: usize,
    /// The shorter side before the centre is cut out; 0 stretches instead.
    pub(crate) shortest: usize,
    /// How pixels in between are computed.
    pub(crate) interpolation: Interpolation,
    /// Red or blue first.
    pub(crate) order: ChannelOrder,
    /// Subtracted, where a byte `b` is `b / 255`. One value serves any number of channels.
    pub(crate) mean: &'static [f64],
    /// Divided by.
    pub(crate) std: &'static [f64],
}

/// torchvision's mean and standard deviation of ImageNet.
pub(crate) const IMAGENET_MEAN: &[f64] = &[0.485, 0.456, 0.406];
/// torchvision's standard deviation of ImageNet.
pub(crate) const IMAGENET_STD: &[f64] = &[0.229, 0.224, 0.225];

impl Input {
    /// torchvision's for ImageNet.
    pub(crate) const fn imagenet(size: usize, shortest: usize) -> Self {
        Self {
            size,
            shortest,
            interpolation: Interpolation::Bilinear,
            order: ChannelOrder::Rgb,
            mean: IMAGENET_MEAN,
            std: IMAGENET_STD,
        }
    }

    /// Bytes to [-1, 1], as TensorFlow's networks take them.
    pub(crate) const fn minus_one_to_one(size: usize, shortest: usize) -> Self {
        Self { mean: &[0.5], std: &[0.5], ..Self::imagenet(size, shortest) }
    }

    /// Bytes to [0, 1].
    pub(crate) const fn zero_to_one(size: usize, shortest: usize) -> Self {
        Self { mean: &[0.0], std: &[1.0], ..Self::imagenet(size, shortest) }
    }

    /// Caffe's: blue first, the mean of ImageNet's bytes taken away; stretched.
    pub(crate) const fn caffe(size: usize) -> Self {
        Self {
            order: ChannelOrder::Bgr,
            mean: &[103.939 / 255.0, 116.779 / 255.0, 123.68 / 255.0],
            std: &[1.0 / 255.0],
            ..Self::imagenet(size, 0)
        }
    }

    /// As a card's preprocessing, for images of `channels` channels.
    pub(crate) fn preprocessing(&self, channels: usize) -> Preprocessing {
        let each = |values: &[f64]| -> Vec<f64> { (0..channels).map(|c| values[c.min(values.len() - 1)]).collect() };
        Preprocessing {
            height: self.size,
            width: self.size,
            channels,
            channel_order: self.order,
            resize: if self.shortest == 0 { Resize::Stretch } else { Resize::ShortestSide(self.shortest) },
            interpolation: self.interpolation,
            mean: each(self.mean),
            std: each(self.std),
            bit_depth: None,
        }
    }
}

/// How a parameter lies in the file, against how it lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// The same.
    AsIs,
    /// File `[C_out, C_in, rows, columns]`, memory `[rows, columns, C_in, C_out]`.
    Convolution,
    /// File `[out, in]`, memory `[in, out]`.
    Linear,
    /// File `[rows, columns, C, 1]`, memory `[rows, columns, 1, C]`: the same numbers in the same order.
    Depthwise,
}

impl Leaves {
    /// The name of a role's tensor inside its layer.
    pub(crate) fn name(self, role: Role) -> &'static str {
        match (self, role) {
            (Leaves::Torch, Role::Convolution | Role::Depthwise | Role::Linear | Role::Gamma) => "weight",
            (Leaves::Torch, Role::Bias | Role::Beta) => "bias",
            (Leaves::Torch, Role::Mean) => "running_mean",
            (Leaves::Torch, Role::Variance) => "running_var",
            (Leaves::Keras, Role::Convolution | Role::Linear) => "kernel",
            (Leaves::Keras, Role::Depthwise) => "depthwise_kernel",
            (Leaves::Keras, Role::Gamma) => "gamma",
            (Leaves::Keras, Role::Bias) => "bias",
            (Leaves::Keras, Role::Beta) => "beta",
            (Leaves::Keras, Role::Mean) => "moving_mean",
            (Leaves::Keras, Role::Variance) => "moving_variance",
        }
    }

    /// How a role's tensor lies in the file.
    pub(crate) fn layout(self, role: Role) -> Layout {
        match (self, role) {
            (Leaves::Torch, Role::Convolution | Role::Depthwise) => Layout::Convolution,
            (Leaves::Torch, Role::Linear) => Layout::Linear,
            (Leaves::Keras, Role::Depthwise) => Layout::Depthwise,
            _ => Layout::AsIs,
        }
    }

    fn separator(self) -> char {
        match self {
            Leaves::Torch => '.',
            Leaves::Keras => '/',
        }
    }
}

/// The names of one file in a dialect.
#[derive(Debug)]
pub(crate) struct Names {
    dialect: &'static Dialect,
    /// Of numbered layers: the file's names by kind, in the order of their numbers, and who has which.
    numbered: BTreeMap<String, Vec<String>>,
    taken: RefCell<BTreeMap<String, (&'static str, usize)>>,
}

impl Names {
    /// The names of a file's tensors.
    pub(crate) fn of(dialect: &'static Dialect, weights: &Weights) -> Self {
        let mut numbered: BTreeMap<String, Vec<(u64, String)>> = BTreeMap::new();
        if matches!(dialect.layers, Layers::Numbered(_)) {
            for name in weights.tensors.keys() {
                let layer = name.rsplit_once(dialect.leaves.separator()).map_or(name.as_str(), |(layer, _)| layer);
                let (kind, number) = match layer.rsplit_once('_') {
                    Some((kind, digits)) if digits.parse::<u64>().is_ok() => (kind, digits.parse().unwrap_or(0)),
                    _ => (layer, 0),
                };
                let layers = numbered.entry(kind.to_owned()).or_default();
                if !layers.iter().any(|(_, known)| known == layer) {
                    layers.push((number, layer.to_owned()));
                }
            }
        }
        let sorted = |mut layers: Vec<(u64, String)>| {
            layers.sort();
            layers.into_iter().map(|(_, layer)| layer).collect()
        };
        let numbered = numbered.into_iter().map(|(kind, layers)| (kind, sorted(layers))).collect();
        Self { dialect, numbered, taken: RefCell::default() }
    }

    /// The dialect.
    pub(crate) fn dialect(&self) -> &'static Dialect {
        self.dialect
    }

    /// What the file calls the tensor of this role in the layer of this canonical name.
    pub(crate) fn file_name(&self, layer: &str, role: Role) -> String {
        let leaves = self.dialect.leaves;
        let leaf = leaves.name(role);
        let layer = match self.dialect.layers {
            Layers::Canonical => layer.to_owned(),
            Layers::Rules(rules) => by_rules(rules, layer).unwrap_or_else(|| layer.to_owned()),
            Layers::Cells(cells) => {
                cells.iter().find_map(|cell| cell.rewrite(layer)).unwrap_or_else(|| layer.to_owned())
            }
            Layers::Numbered(linear) => self.number(layer, role, linear),
        };
        match layer.split_once('#') {
            Some((layer, leaf)) => format!("{layer}{}{leaf}", leaves.separator()),
            None => format!("{layer}{}{leaf}", leaves.separator()),
        }
    }

    /// The numbered name of a layer: the next of its kind, when it is asked for first.
    fn number(&self, layer: &str, role: Role, linear: &'static str) -> String {
        let mut taken = self.taken.borrow_mut();
        let (kind, rank) = match taken.get(layer) {
            Some(known) => *known,
            None => {
                let kind = match role {
                    Role::Convolution => "conv2d",
                    Role::Depthwise => "depthwise_conv2d",
                    Role::Linear => linear,
                    _ => "batch_normalization",
                };
                let rank = taken.values().filter(|(other, _)| *other == kind).count();
                taken.insert(layer.to_owned(), (kind, rank));
                (kind, rank)
            }
        };
        let listed = self.numbered.get(kind).and_then(|layers| layers.get(rank)).cloned();
        listed.unwrap_or_else(|| if rank == 0 { kind.to_owned() } else { format!("{kind}_{rank}") })
    }
}

/// `text` by the first rule that fits.
fn by_rules(rules: &[(&str, &str)], text: &str) -> Option<String> {
    rules.iter().find_map(|(from, to)| rewrite(from, to, text))
}

/// `text` by a rule, where it fits.
fn rewrite(from: &str, to: &str, text: &str) -> Option<String> {
    let mut numbers: BTreeMap<char, i64> = BTreeMap::new();
    let (mut pattern, mut rest) = (from, text);
    while let Some(open) = pattern.find('{') {
        rest = rest.strip_prefix(&pattern[..open])?;
        let name = pattern[open + 1..].chars().next()?;
        pattern = &pattern[open + 3..];
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        numbers.insert(name, rest[..digits].parse().ok()?);
        rest = &rest[digits..];
    }
    if rest != pattern {
        return None;
    }
    let (mut out, mut pattern) = (String::new(), to);
    while let Some(open) = pattern.find('{') {
        let close = open + pattern[open..].find('}')?;
        let inside = &pattern[open + 1..close];
        let number = numbers.get(&inside.chars().next()?)? + inside[1..].parse::<i64>().unwrap_or(0);
        out.push_str(&pattern[..open]);
        out.push_str(&number.to_string());
        pattern = &pattern[close + 1..];
    }
    out.push_str(pattern);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_carry_numbers_over() {
        let rule = |text| rewrite("features.{a}.conv.{b}.0", "block_{a-1}_part{b}", text);
        assert_eq!(rule("features.12.conv.3.0").as_deref(), Some("block_11_part3"));
        assert_eq!(rule("features.12.conv.3.1"), None);
        assert_eq!(rule("features.x.conv.3.0"), None);
        assert_eq!(rewrite("a", "b", "a").as_deref(), Some("b"));
        assert_eq!(rewrite("a", "b", "ab"), None);
        assert_eq!(rewrite("cell_{a}.x", "x_{a+2}#kernel", "cell_3.x").as_deref(), Some("x_5#kernel"));
    }
}
