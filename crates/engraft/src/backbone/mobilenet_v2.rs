//! MobileNetV2 (Sandler et al. 2018, table 2), with torchvision's tensor names.

use burn::module::Module;
use burn::prelude::*;
use engraft_kernels::{Activation as Pointwise, ConvOptions};

use crate::backbone::card::PaddingDialect;
use crate::backbone::layers::{ConvNorm, global_average};
use crate::backbone::parameters::Scope;
use crate::backbone::stage::{Activation, Mode, StageCost};

/// Expansion, output channels, repeats, stride of the first (table 2 of the paper).
const BLOCKS: [(usize, usize, usize, usize); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];
const STEM: usize = 32;
const LAST: usize = 1280;
const EPSILON: f64 = 1e-5;

/// Expand by 1 x 1, convolve each channel by 3 x 3, project by 1 x 1; added to the input where shapes allow.
#[derive(Module, Debug)]
struct InvertedResidual {
    expand: Option<ConvNorm>,
    depthwise: ConvNorm,
    project: ConvNorm,
    #[module(skip)]
    residual: bool,
}

impl InvertedResidual {
    fn new(
        scope: &Scope<'_>,
        inputs: usize,
        outputs: usize,
        stride: usize,
        ratio: usize,
        padding: PaddingDialect,
    ) -> Self {
        let hidden = inputs * ratio;
        let conv = scope.at("conv");
        let depth = ConvOptions {
            stride: [stride; 2],
            padding: padding.of_kernel(3),
            groups: hidden,
            ..ConvOptions::default()
        };
        // torchvision numbers the layers of its Sequential: without expansion everything moves up by one.
        let (depthwise, project, norm) = if ratio == 1 { ("0", "1", "2") } else { ("1", "2", "3") };
        let expand = (ratio != 1).then(|| {
            let at = conv.at("0");
            let shape = [1, 1, inputs, hidden];
            ConvNorm::new(&at.at(0), &at.at(1), shape, ConvOptions::default(), Pointwise::Relu6, EPSILON)
        });
        let at = conv.at(depthwise);
        Self {
            expand,
            depthwise: ConvNorm::new(&at.at(0), &at.at(1), [3, 3, 1, hidden], depth, Pointwise::Relu6, EPSILON),
            project: ConvNorm::new(
                &conv.at(project),
                &conv.at(norm),
                [1, 1, hidden, outputs],
                ConvOptions::default(),
                Pointwise::None,
                EPSILON,
            ),
            residual: stride == 1 && inputs == outputs,
        }
    }

    fn forward(&self, x: Tensor<4>, mode: Mode<'_>) -> Tensor<4> {
        let shortcut = self.residual.then(|| x.clone());
        let x = match &self.expand {
            Some(expand) => expand.forward(x, mode),
            None => x,
        };
        let y = self.project.forward(self.depthwise.forward(x, mode), mode);
        match shortcut {
            Some(shortcut) => shortcut + y,
            None => y,
        }
    }

    fn layers(&self) -> impl Iterator<Item = &ConvNorm> {
        self.expand.iter().chain([&self.depthwise, &self.project])
    }
}

/// MobileNetV2 without its classifier: `stem`, `block1` to `block17`, `last`, `pool`.
#[derive(Module, Debug)]
pub struct MobileNetV2 {
    stem: ConvNorm,
    blocks: Vec<InvertedResidual>,
    last: ConvNorm,
}

impl MobileNetV2 {
    /// Builds the network from the parameters at `scope` (`features.0` to `features.18`).
    pub fn new(scope: &Scope<'_>, padding: PaddingDialect) -> Self {
        let features = scope.at("features");
        let at = features.at(0);
        let options = ConvOptions { stride: [2, 2], padding: padding.of_kernel(3), ..ConvOptions::default() };
        let stem = ConvNorm::new(&at.at(0), &at.at(1), [3, 3, 3, STEM], options, Pointwise::Relu6, EPSILON);
        let mut blocks = Vec::new();
        let mut inputs = STEM;
        for (ratio, outputs, repeats, stride) in BLOCKS {
            for repeat in 0..repeats {
                let stride = if repeat == 0 { stride } else { 1 };
                let at = features.at(blocks.len() + 1);
                blocks.push(InvertedResidual::new(&at, inputs, outputs, stride, ratio, padding));
                inputs = outputs;
            }
        }
        let at = features.at(blocks.len() + 1);
        let shape = [1, 1, inputs, LAST];
        let last = ConvNorm::new(&at.at(0), &at.at(1), shape, ConvOptions::default(), Pointwise::Relu6, EPSILON);
        Self { stem, blocks, last }
    }

    /// Names of the stages.
    pub fn stages(&self) -> Vec<String> {
        let blocks = (1..=self.blocks.len()).map(|i| format!("block{i}"));
        ["stem".to_owned()].into_iter().chain(blocks).chain(["last".to_owned(), "pool".to_owned()]).collect()
    }

    /// Runs one stage.
    pub fn stage(&self, index: usize, x: Activation, mode: Mode<'_>) -> Activation {
        let blocks = self.blocks.len();
        match index {
            0 => Activation::Map(self.stem.forward(x.map(), mode)),
            i if i <= blocks => Activation::Map(self.blocks[i - 1].forward(x.map(), mode)),
            i if i == blocks + 1 => Activation::Map(self.last.forward(x.map(), mode)),
            _ => Activation::Vector(global_average(x.map())),
        }
    }

    /// Folds every frozen batch norm.
    pub fn fold(self) -> Self {
        let blocks = self.blocks.into_iter().map(|block| InvertedResidual {
            expand: block.expand.map(ConvNorm::fold),
            depthwise: block.depthwise.fold(),
            project: block.project.fold(),
            residual: block.residual,
        });
        Self { stem: self.stem.fold(), blocks: blocks.collect(), last: self.last.fold() }
    }

    /// Cost of each stage for a picture of `[rows, columns]`.
    pub fn costs(&self, input: [usize; 2]) -> Vec<StageCost> {
        let stem = vec![&self.stem];
        let blocks = self.blocks.iter().map(|block| block.layers().collect());
        let last = vec![&self.last];
        let rows: Vec<Vec<&ConvNorm>> = std::iter::once(stem).chain(blocks).chain([last]).collect();
        crate::backbone::network::costs_of_rows(&self.stages(), &rows, input)
    }
}

/// Length of the features.
pub const FEATURES: usize = LAST;
