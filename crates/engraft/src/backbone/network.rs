//! Any of the architectures, as one row of stages.

use std::collections::BTreeMap;
use std::ops::Range;

use burn::module::{Module, ModuleMapper, Param};
use burn::prelude::*;
use burn::tensor::{Device, TensorData};
use serde::{Deserialize, Serialize};

use crate::backbone::card::{Card, PaddingDialect};
use crate::backbone::layers::{ConvNorm, Linear};
use crate::backbone::mobilenet_v2::{self, MobileNetV2};
use crate::backbone::parameters::{Manifest, Parameters};
use crate::backbone::small_resnet::{self, SmallResNet};
use crate::backbone::stage::{Activation, BatchStatistics, Mode, StageCost};
use crate::error::{Error, Problem, Result};

/// The architectures that can be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// MobileNetV2 1.0.
    MobilenetV2,
    /// The small residual network of the embedded base.
    SmallResnet,
}

impl Architecture {
    /// Every architecture.
    pub const ALL: [Architecture; 2] = [Architecture::MobilenetV2, Architecture::SmallResnet];

    /// Its name in cards and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Architecture::MobilenetV2 => "mobilenet_v2",
            Architecture::SmallResnet => "small_resnet",
        }
    }

    /// The name of the classifier that its checkpoints carry, if any.
    pub fn classifier(self) -> &'static str {
        match self {
            Architecture::MobilenetV2 => "classifier.1",
            Architecture::SmallResnet => "fc",
        }
    }

    /// The architecture of a checkpoint, by names that no other has.
    pub fn detect(names: &BTreeMap<String, engraft_weights::Tensor>) -> Option<Self> {
        if names.contains_key("features.1.conv.0.0.weight") && names.contains_key("features.18.0.weight") {
            Some(Architecture::MobilenetV2)
        } else if names.get("conv1.weight").is_some_and(|t| t.shape.first() == Some(&24)) {
            Some(Architecture::SmallResnet)
        } else {
            None
        }
    }

    /// Length of its features.
    pub fn features(self) -> usize {
        match self {
            Architecture::MobilenetV2 => mobilenet_v2::FEATURES,
            Architecture::SmallResnet => small_resnet::FEATURES,
        }
    }
}

/// A network without its classifier.
#[expect(
    clippy::large_enum_variant,
    reason = "there are a handful of networks in a process, and a module cannot be boxed"
)]
#[derive(Module, Debug)]
pub enum Network {
    /// MobileNetV2.
    MobileNetV2(MobileNetV2),
    /// The small residual network.
    SmallResNet(SmallResNet),
}

/// A network built from parameters, with the classifier where the parameters have one.
#[derive(Debug)]
pub struct NetworkWeights {
    /// The stages.
    pub network: Network,
    /// The classifier of the base's own classes.
    pub classifier: Option<Linear>,
    /// Names of everything.
    pub manifest: Manifest,
}

impl Network {
    fn build(
        parameters: &Parameters<'_>,
        architecture: Architecture,
        channels: usize,
        padding: PaddingDialect,
    ) -> Self {
        match architecture {
            Architecture::MobilenetV2 => Network::MobileNetV2(MobileNetV2::new(&parameters.root(), padding)),
            Architecture::SmallResnet => Network::SmallResNet(SmallResNet::new(&parameters.root(), channels, padding)),
        }
    }

    /// A network of random weights with a new classifier of `classes` outputs.
    pub fn random(card: &Card, classes: usize, seed: u64, device: &Device) -> Result<NetworkWeights> {
        let parameters = Parameters::random(seed, device);
        let network = Self::build(&parameters, card.architecture, card.preprocessing.channels, card.padding);
        let scope = parameters.root().at(card.architecture.classifier());
        let classifier = Some(Linear::new(&scope, card.architecture.features(), classes));
        let manifest = parameters.finish(card.architecture.name(), &[])?;
        Ok(NetworkWeights { network, classifier, manifest })
    }

    /// A network of a file's weights, with the classifier where the file has one.
    pub fn from_weights(card: &Card, weights: &engraft_weights::Weights, device: &Device) -> Result<NetworkWeights> {
        let parameters = Parameters::from_weights(weights, device);
        let architecture = card.architecture;
        let network = Self::build(&parameters, architecture, card.preprocessing.channels, card.padding);
        let name = architecture.classifier();
        let classifier = parameters
            .axis(&format!("{name}.weight"), 0)
            .map(|classes| Linear::new(&parameters.root().at(name), architecture.features(), classes));
        let manifest = parameters.finish(architecture.name(), &[])?;
        Ok(NetworkWeights { network, classifier, manifest })
    }

    /// Names of the stages from the input to the features. A cut is a position in this row, from 0 (before the
    /// first) to its length (after the last).
    pub fn stages(&self) -> Vec<String> {
        match self {
            Network::MobileNetV2(network) => network.stages(),
            Network::SmallResNet(network) => network.stages(),
        }
    }

    /// The cut after the stage of this name.
    pub fn cut_after(&self, stage: &str) -> Result<usize> {
        let stages = self.stages();
        stages
            .iter()
            .position(|name| name == stage)
            .map(|index| index + 1)
            .ok_or_else(|| Error::Usage(Problem::new("no such stage").expected(stages.join(", ")).found(stage)))
    }

    /// Runs the stages of `range` in order.
    ///
    /// The input of stage 0 is `[N, H, W, C]`, normalised by the card.
    ///
    /// # Panics
    /// If the range leaves the row.
    pub fn forward(&self, mut x: Activation, range: Range<usize>, mode: Mode<'_>) -> Activation {
        assert!(range.end <= self.stages().len(), "{range:?} leaves the row of stages");
        for index in range {
            x = match self {
                Network::MobileNetV2(network) => network.stage(index, x, mode),
                Network::SmallResNet(network) => network.stage(index, x, mode),
            };
        }
        x
    }

    /// The features of pictures `[N, H, W, C]`: the whole row, frozen. `[N, D]`.
    pub fn features(&self, x: Tensor<4>) -> Tensor<2> {
        self.forward(Activation::Map(x), 0..self.stages().len(), Mode::Frozen).vector()
    }

    /// Folds batch norms into convolutions, once, for inference. Such a network is not for training.
    #[must_use]
    pub fn fold(self) -> Self {
        match self {
            Network::MobileNetV2(network) => Network::MobileNetV2(network.fold()),
            Network::SmallResNet(network) => Network::SmallResNet(network.fold()),
        }
    }

    /// Cost of each stage for one picture of `[rows, columns]`.
    pub fn costs(&self, input: [usize; 2]) -> Vec<StageCost> {
        match self {
            Network::MobileNetV2(network) => network.costs(input),
            Network::SmallResNet(network) => network.costs(input),
        }
    }

    /// Multiply-adds of a forward pass of one picture.
    pub fn multiply_adds(&self, input: [usize; 2]) -> u64 {
        self.costs(input).iter().map(|stage| stage.multiply_adds).sum()
    }
}

/// Moves the running statistics of a module towards a step's: `running += momentum (batch - running)`.
///
/// Each shard's statistics count by the values they were taken from; the variance of the whole is the mean of the
/// variances plus the variance of the means, made unbiased as PyTorch does for its running variance.
pub fn move_statistics<M: Module>(module: M, shards: &[Vec<BatchStatistics>], momentum: f32) -> M {
    struct Move {
        target: BTreeMap<u64, Vec<f32>>,
        momentum: f32,
    }
    impl ModuleMapper for Move {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let Some(target) = self.target.get(&param.id.val()) else { return param };
            let (id, tensor, mapper) = param.consume();
            let old = tensor.to_data().try_to_vec::<f32>().expect("running statistics are f32");
            let new: Vec<f32> = old.iter().zip(target).map(|(old, new)| old + self.momentum * (new - old)).collect();
            let moved = Tensor::from_data(TensorData::new(new, tensor.dims()), &tensor.device());
            Param::from_mapped_value(id, moved, mapper)
        }
    }
    let mut target = BTreeMap::new();
    let norms = shards.first().map_or(0, Vec::len);
    for norm in 0..norms {
        let parts: Vec<&BatchStatistics> = shards.iter().map(|shard| &shard[norm]).collect();
        let total: f64 = parts.iter().map(|part| part.count as f64).sum();
        let channels = parts[0].mean.len();
        let mut mean = vec![0.0f32; channels];
        let mut variance = vec![0.0f32; channels];
        for channel in 0..channels {
            let weighted = |value: &dyn Fn(&BatchStatistics) -> f64| {
                parts.iter().map(|part| part.count as f64 * value(part)).sum::<f64>() / total
            };
            let m = weighted(&|part| f64::from(part.mean[channel]));
            let within = weighted(&|part| f64::from(part.variance[channel]));
            let between = weighted(&|part| (f64::from(part.mean[channel]) - m).powi(2));
            mean[channel] = m as f32;
            variance[channel] = ((within + between) * total / (total - 1.0).max(1.0)) as f32;
        }
        target.insert(parts[0].mean_id.val(), mean);
        target.insert(parts[0].variance_id.val(), variance);
    }
    module.map(&mut Move { target, momentum })
}

/// Costs of stages that are rows of convolutions, followed by a global pool.
pub(crate) fn costs_of_rows(names: &[String], rows: &[Vec<&ConvNorm>], input: [usize; 2]) -> Vec<StageCost> {
    let [mut height, mut width] = input;
    let mut channels = 0;
    let mut costs = Vec::with_capacity(names.len());
    for (name, row) in names.iter().zip(rows) {
        let (mut parameters, mut multiply_adds) = (0, 0);
        for layer in row {
            let (output, p, m) = layer.cost([height, width]);
            [height, width] = output;
            channels = layer.channels();
            parameters += p;
            multiply_adds += m;
        }
        let output = vec![height, width, channels];
        costs.push(StageCost { name: name.clone(), output, parameters, multiply_adds });
    }
    let name = names.last().cloned().unwrap_or_default();
    costs.push(StageCost { name, output: vec![channels], parameters: 0, multiply_adds: 0 });
    costs
}
