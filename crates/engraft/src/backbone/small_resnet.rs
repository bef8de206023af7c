//! A small residual network for pictures of about 32 x 32 (after He et al. 2016): the embedded base `glyphs`.

use burn::module::Module;
use burn::prelude::*;
use burn::tensor::activation::relu;
use engraft_kernels::{Activation as Pointwise, ConvOptions};

use crate::backbone::card::PaddingDialect;
use crate::backbone::layers::{ConvNorm, global_average};
use crate::backbone::parameters::Scope;
use crate::backbone::stage::{Activation, Mode, StageCost};

/// Channels of the three layers; the first is also the stem's.
const CHANNELS: [usize; 3] = [24, 48, 88];
const EPSILON: f64 = 1e-5;

/// Two 3 x 3 convolutions and a shortcut, projected by 1 x 1 where the shape changes.
#[derive(Module, Debug)]
struct BasicBlock {
    first: ConvNorm,
    second: ConvNorm,
    shortcut: Option<ConvNorm>,
}

impl BasicBlock {
    fn new(scope: &Scope<'_>, inputs: usize, outputs: usize, stride: usize, padding: PaddingDialect) -> Self {
        let options = |kernel: usize, stride: usize| ConvOptions {
            stride: [stride; 2],
            padding: padding.of_kernel(kernel),
            ..ConvOptions::default()
        };
        let conv = |conv: &str, norm: &str, shape, options, activation| {
            ConvNorm::new(&scope.at(conv), &scope.at(norm), shape, options, activation, EPSILON)
        };
        Self {
            first: conv("conv1", "bn1", [3, 3, inputs, outputs], options(3, stride), Pointwise::Relu),
            second: conv("conv2", "bn2", [3, 3, outputs, outputs], options(3, 1), Pointwise::None),
            shortcut: (stride != 1 || inputs != outputs).then(|| {
                let shape = [1, 1, inputs, outputs];
                conv("downsample.0", "downsample.1", shape, options(1, stride), Pointwise::None)
            }),
        }
    }

    fn forward(&self, x: Tensor<4>, mode: Mode<'_>) -> Tensor<4> {
        let shortcut = match &self.shortcut {
            Some(shortcut) => shortcut.forward(x.clone(), mode),
            None => x.clone(),
        };
        relu(self.second.forward(self.first.forward(x, mode), mode) + shortcut)
    }
}

/// `stem` (stride 2), `layer1`, `layer2`, `layer3` (one block each, strides 1, 2, 2), `pool`.
#[derive(Module, Debug)]
pub struct SmallResNet {
    stem: ConvNorm,
    layers: Vec<BasicBlock>,
}

impl SmallResNet {
    /// Builds the network for pictures of `channels` channels from the parameters at `scope`
    /// (`conv1`, `bn1`, `layer1.0.conv1`, ... as torchvision names a ResNet).
    pub fn new(scope: &Scope<'_>, channels: usize, padding: PaddingDialect) -> Self {
        let options = ConvOptions { stride: [2, 2], padding: padding.of_kernel(3), ..ConvOptions::default() };
        let shape = [3, 3, channels, CHANNELS[0]];
        let stem = ConvNorm::new(&scope.at("conv1"), &scope.at("bn1"), shape, options, Pointwise::Relu, EPSILON);
        let mut inputs = CHANNELS[0];
        let mut layers = Vec::new();
        for (index, outputs) in CHANNELS.into_iter().enumerate() {
            let at = scope.at(format_args!("layer{}.0", index + 1));
            layers.push(BasicBlock::new(&at, inputs, outputs, if index == 0 { 1 } else { 2 }, padding));
            inputs = outputs;
        }
        Self { stem, layers }
    }

    /// Names of the stages.
    pub fn stages(&self) -> Vec<String> {
        ["stem", "layer1", "layer2", "layer3", "pool"].map(str::to_owned).to_vec()
    }

    /// Runs one stage.
    pub fn stage(&self, index: usize, x: Activation, mode: Mode<'_>) -> Activation {
        match index {
            0 => Activation::Map(self.stem.forward(x.map(), mode)),
            i if i <= self.layers.len() => Activation::Map(self.layers[i - 1].forward(x.map(), mode)),
            _ => Activation::Vector(global_average(x.map())),
        }
    }

    /// Folds every frozen batch norm.
    pub fn fold(self) -> Self {
        let layers = self.layers.into_iter().map(|block| BasicBlock {
            first: block.first.fold(),
            second: block.second.fold(),
            shortcut: block.shortcut.map(ConvNorm::fold),
        });
        Self { stem: self.stem.fold(), layers: layers.collect() }
    }

    /// Cost of each stage for a picture of `[rows, columns]`.
    pub fn costs(&self, input: [usize; 2]) -> Vec<StageCost> {
        let stem = vec![&self.stem];
        let rows: Vec<Vec<&ConvNorm>> =
            std::iter::once(stem).chain(self.layers.iter().map(|block| vec![&block.first, &block.second])).collect();
        let mut costs = crate::backbone::network::costs_of_rows(&self.stages(), &rows, input);
        // A shortcut runs beside its block, from the block's input to its output.
        for (index, block) in self.layers.iter().enumerate() {
            if let Some(shortcut) = &block.shortcut {
                let from = [costs[index].output[0], costs[index].output[1]];
                let (_, parameters, multiply_adds) = shortcut.cost(from);
                costs[index + 1].parameters += parameters;
                costs[index + 1].multiply_adds += multiply_adds;
            }
        }
        costs
    }
}

/// Length of the features.
pub const FEATURES: usize = CHANNELS[2];
