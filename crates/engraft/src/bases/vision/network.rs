//! A network of any architecture, as one row of stages.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use burn::module::{Module, ModuleMapper, Param};
use burn::prelude::*;
use burn::tensor::{Device, TensorData};
use engraft_kernels::{Compiled, Geometry};
use engraft_weights::{Tensors, Weights};

use crate::bases::card::Card;
use crate::bases::layers::BatchNorm;
use crate::bases::low_rank::LoraConfig;
use crate::bases::parameters::{Expected, Manifest, Match, Parameters};
use crate::bases::stage::{Activation, BatchStatistics, Mode, StageCost};
use crate::bases::style::Style;
use crate::bases::vision::architecture::Architecture;
use crate::bases::vision::builder::Builder;
use crate::bases::vision::compile::compile;
use crate::bases::vision::dialect::Dialect;
use crate::bases::vision::graph::{Op, Stage};
use crate::bases::vision::remix::Remix;
use crate::error::{Error, Problem, Result};

/// A network without its classifier.
#[derive(Module, Debug)]
pub struct Network {
    stages: Vec<Stage>,
    #[module(skip)]
    channels: usize,
    #[module(skip)]
    features: usize,
}

/// The classifier of a network's own classes: what turns the activation at a cut into logits.
#[derive(Module, Debug)]
pub struct OwnClassifier {
    stage: Stage,
    #[module(skip)]
    cut: usize,
}

impl OwnClassifier {
    /// The cut whose activation it takes: the features, or a map before them.
    pub fn cut(&self) -> usize {
        self.cut
    }

    /// The activation at the cut to logits, `[N, classes]`.
    pub fn forward(&self, x: Activation, mode: Mode<'_>) -> Tensor<2> {
        self.stage.forward(x, mode).vector()
    }
}

/// A network built from parameters, with the classifier where the parameters have one.
#[derive(Debug)]
pub struct NetworkWeights {
    /// The stages.
    pub network: Network,
    /// The classifier of the network's own classes.
    pub classifier: Option<OwnClassifier>,
    /// Names of everything.
    pub manifest: Manifest,
    /// How the file fitted, where there is one.
    pub fit: Match,
}

/// How a file's tensors fit an architecture and a dialect.
#[derive(Debug, Clone, PartialEq)]
pub struct Likeness {
    /// The architecture.
    pub architecture: Architecture,
    /// The dialect.
    pub dialect: &'static Dialect,
    /// Channels of its images.
    pub(crate) channels: usize,
    /// What fits and what does not.
    pub(crate) fit: Match,
}

impl Network {
    fn build(
        parameters: Parameters<'_>,
        architecture: Architecture,
        style: Style,
        channels: usize,
        classes: Option<usize>,
    ) -> NetworkWeights {
        let mut builder = Builder::new(parameters.root(), style, channels, classes);
        architecture.describe(&mut builder);
        let (stages, features, classifier) = builder.finish();
        let (manifest, fit) = parameters.finish();
        NetworkWeights {
            network: Network { stages, channels, features },
            classifier: classifier.map(|(cut, stage)| OwnClassifier { stage, cut }),
            manifest,
            fit,
        }
    }

    /// A network of random weights with a new classifier of `classes` outputs.
    pub fn random(card: &Card, classes: usize, seed: u64, device: &Device) -> NetworkWeights {
        let parameters = Parameters::random(seed, device);
        Self::build(parameters, card.architecture, card.style(), card.preprocessing.channels, Some(classes))
    }

    /// A network of a file's weights, with the classifier where the file has one. The file may speak any of the
    /// architecture's dialects.
    pub fn from_weights(card: &Card, weights: &dyn Tensors, device: &Device) -> Result<NetworkWeights> {
        let architecture = card.architecture;
        let channels = card.preprocessing.channels;
        let headers = weights.headers();
        let dialect = Self::likeness(architecture, channels, headers).dialect;
        let parameters = Parameters::from_weights(weights, dialect, device);
        let built = Self::build(parameters, architecture, card.style(), channels, None);
        let found = built.fit.describe();
        if found.is_empty() {
            return Ok(built);
        }
        let name = architecture.name();
        let mut problem = Problem::new(format_args!("the weights do not fit the architecture {name}"))
            .expected(format_args!("{} tensors as {} names them", built.manifest.len(), dialect.name))
            .found(found);
        if !built.fit.unread.is_empty() {
            problem = problem.hint(match built.fit.is_quantised(headers) {
                true => "take the weights as they were before they were quantised, as floating point numbers",
                false => "fetch the file again, or give the program more memory",
            });
        } else if !built.fit.not_finite.is_empty() {
            problem = problem.hint("the file holds NaN or infinite numbers: fetch it again, or use another base");
        } else if let Some(other) = Self::recognise(headers).filter(|other| other.architecture != architecture) {
            problem = problem.hint(format_args!("they fit {} better", other.architecture.name()));
        }
        Err(Error::Weights(problem))
    }

    /// The tensors of a file of an architecture in a dialect, with a classifier of `classes` outputs.
    pub fn expected(architecture: Architecture, dialect: &'static Dialect, classes: usize) -> Vec<Expected> {
        let nothing = Weights::default();
        let parameters = Parameters::compare(&nothing, dialect);
        let style = Style { padding: dialect.padding, epsilon: dialect.epsilon };
        let channels = Card::usual(architecture, String::new()).preprocessing.channels;
        let mut builder = Builder::new(parameters.root(), style, channels, Some(classes));
        architecture.describe(&mut builder);
        drop(builder);
        parameters.into_expected()
    }

    /// The tensors of an architecture in a dialect, which of a file's it asks for, and how these fit; of what the file has
    /// beyond nothing is said. `headless` leaves the classifier out.
    pub(crate) fn compare(
        architecture: Architecture,
        dialect: &'static Dialect,
        channels: usize,
        weights: &Weights,
        headless: bool,
    ) -> (Vec<Expected>, HashSet<String>, Match) {
        let parameters = Parameters::compare(weights, dialect).headless(headless);
        let style = Style { padding: dialect.padding, epsilon: dialect.epsilon };
        let mut builder = Builder::new(parameters.root(), style, channels, None);
        architecture.describe(&mut builder);
        drop(builder);
        parameters.into_compared()
    }

    /// How a file fits an architecture, in the dialect that it fits best.
    pub(crate) fn likeness(architecture: Architecture, channels: usize, weights: &Weights) -> Likeness {
        let compare = |dialect: &'static Dialect| {
            let style = Style { padding: dialect.padding, epsilon: dialect.epsilon };
            let parameters = Parameters::compare(weights, dialect);
            let fit = Self::build(parameters, architecture, style, channels, None).fit;
            Likeness { architecture, dialect, channels, fit }
        };
        let mut best: Option<Likeness> = None;
        for dialect in architecture.dialects() {
            let likeness = compare(dialect);
            if best.as_ref().is_none_or(|best| likeness.fit.faults() < best.fit.faults()) {
                best = Some(likeness);
            }
        }
        best.expect("an architecture has a dialect")
    }

    /// The numbers of channels that a file's images may have: 3, 1, and 4 where a kernel has as many inputs.
    pub(crate) fn image_channels(weights: &Weights) -> Vec<usize> {
        // PyTorch's `[out, in, rows, columns]` and Keras' `[rows, columns, in, out]`.
        let of_four = |shape: &[usize]| matches!(shape, [_, 4, _, _] | [_, _, 4, _]);
        let four = weights.tensors.values().any(|tensor| of_four(&tensor.shape));
        [3, 1].into_iter().chain(four.then_some(4)).collect()
    }

    /// The architecture that a file fits best, whatever does not fit; `None` if nothing fits at all.
    pub(crate) fn closest(weights: &Weights) -> Option<Likeness> {
        let candidates = Architecture::ALL.into_iter().flat_map(|architecture| {
            Self::image_channels(weights)
                .into_iter()
                .map(move |channels| Self::likeness(architecture, channels, weights))
        });
        let mut best: Option<Likeness> = None;
        for likeness in candidates.filter(|likeness| likeness.fit.matched > 0) {
            if best.as_ref().is_none_or(|best| likeness.fit.faults() < best.fit.faults()) {
                best = Some(likeness);
            }
        }
        best
    }

    /// The architecture and dialect that a file fits, without a tensor too many or too few.
    pub fn recognise(weights: &Weights) -> Option<Likeness> {
        Self::closest(weights).filter(|likeness| likeness.fit.faults() == 0)
    }

    /// Names of the stages from the input to the features. A cut is a position in this row, from 0 (before the
    /// first) to its length (after the last).
    pub fn stages(&self) -> Vec<String> {
        self.stages.iter().map(|stage| stage.name().to_owned()).collect()
    }

    /// Length of the features.
    #[cfg(test)]
    pub(crate) fn features_len(&self) -> usize {
        self.features
    }

    /// The cut after the stage of this name.
    pub fn cut_after(&self, stage: &str) -> Result<usize> {
        self.stages.iter().position(|known| known.name() == stage).map(|index| index + 1).ok_or_else(|| {
            let stages = self.stages();
            let problem = Problem::new("no such stage").expected(stages.join(", ")).found(stage);
            Error::Usage(problem.suggest(stage, stages.iter().map(String::as_str)))
        })
    }

    /// Runs the stages of `range` in order.
    ///
    /// The input of stage 0 is `[N, H, W, C]`, normalised by the card.
    ///
    /// # Panics
    /// If the range leaves the row, or the activation is not that of its start.
    pub fn forward(&self, x: Activation, range: Range<usize>, mode: Mode<'_>) -> Activation {
        self.stages[range].iter().fold(x, |x, stage| stage.forward(x, mode))
    }

    /// Runs the stages of `range` in order, each in the mode of its position.
    ///
    /// # Panics
    /// As [`Network::forward`].
    pub(crate) fn forward_each<'a>(
        &self,
        x: Activation,
        range: Range<usize>,
        mode: impl Fn(usize) -> Mode<'a>,
    ) -> Activation {
        range.fold(x, |x, stage| self.stages[stage].forward(x, mode(stage)))
    }

    /// The features of images `[N, H, W, C]`: the whole row, frozen. `[N, D]`.
    pub fn features(&self, x: Tensor<4>) -> Tensor<2> {
        self.forward(x.into(), 0..self.stages.len(), Mode::Frozen).vector()
    }

    /// The logits of images `[N, H, W, C]` by the network's own classifier. `[N, classes]`.
    pub(crate) fn classify(&self, x: Tensor<4>, classifier: &OwnClassifier, mode: Mode<'_>) -> Tensor<2> {
        classifier.forward(self.forward(x.into(), 0..classifier.cut, mode), mode)
    }

    /// The first convolution's filters, `[rows, columns, C_in, C_out]`, and whether it looks over the border of images
    /// of `[rows, columns]`; `None` where something else than one convolution takes the images.
    pub(super) fn first_filters(&self, input: [usize; 2]) -> Option<(Vec<f32>, [usize; 4], bool)> {
        let stage = self.stages.first()?;
        let takers = stage.nodes.iter().filter(|node| node.from.iter().any(|(value, _)| *value == 0)).count();
        let convolution = match &stage.nodes.first()?.op {
            Op::ConvNorm(layer) => layer.filters(),
            Op::Conv(layer) => layer.filters(),
            _ => return None,
        };
        let (filters, shape, options) = convolution;
        let looks_over = Geometry::new(input, [shape[0], shape[1]], options).looks_over_the_border();
        (takers == 1 && options.groups == 1).then_some((filters, shape, looks_over))
    }

    /// With other filters in the first convolution, for images of other channels. `None` where it has no place for
    /// what is added.
    pub(super) fn remixed(mut self, remix: &Remix) -> Option<Self> {
        let op = &mut self.stages.first_mut()?.nodes.first_mut()?.op;
        *op = match op.clone() {
            Op::ConvNorm(layer) => Op::ConvNorm(layer.remixed(remix)),
            Op::Conv(layer) => Op::Conv(layer.remixed(remix)?),
            _ => return None,
        };
        self.channels = remix.channels();
        Some(self)
    }

    /// Convolutions by sums of products only, as in their definition, or by whatever is fastest.
    #[must_use]
    pub fn exact(self, exact: bool) -> Self {
        Self { stages: self.stages.into_iter().map(|stage| stage.exact(exact)).collect(), ..self }
    }

    /// Drops residual branches in training: the last for the share `most` of the images, those before for a share that
    /// falls to zero towards the input (stochastic depth with linear decay, Huang et al. 2016, equation 4).
    #[must_use]
    pub(crate) fn stochastic_depth(mut self, most: f64) -> Self {
        let total = self.stages.iter_mut().flat_map(Stage::branches).count();
        for (index, branch) in self.stages.iter_mut().flat_map(Stage::branches).enumerate() {
            branch.set_drop(most * (index + 1) as f64 / total as f64);
        }
        self
    }

    /// Identities of the gammas and betas of all batch norms.
    pub(crate) fn norm_affines(&self) -> Vec<u64> {
        self.stages.iter().flat_map(Stage::norms).flat_map(BatchNorm::affine_ids).collect()
    }

    /// Whether its batch norms know statistics of images: those of a file whose batch norms were folded into convolutions
    /// do not, nor do those of random weights.
    pub(crate) fn has_statistics(&self) -> bool {
        self.stages.iter().flat_map(Stage::norms).any(BatchNorm::has_statistics)
    }

    /// Lets products of low rank learn in place of the weights of linear layers and convolutions of one pixel of some
    /// stages.
    #[must_use]
    pub(crate) fn adapted(self, which: impl Fn(usize) -> bool, how: LoraConfig) -> Self {
        let stages = self.stages.into_iter().enumerate();
        let stages = stages.map(|(at, stage)| if which(at) { stage.adapted(how) } else { stage }).collect();
        Self { stages, ..self }
    }

    /// Adds what was learnt in their place to the weights.
    #[must_use]
    pub(crate) fn merged(self) -> Self {
        Self { stages: self.stages.into_iter().map(Stage::merged).collect(), ..self }
    }

    /// The frozen stages of `range`, compiled for the CPU, for images of `[rows, columns]`; the classifier after them
    /// if there is one to run.
    ///
    /// # Panics
    /// If the range leaves the row, or the classifier does not start where it ends.
    pub fn compile(&self, range: Range<usize>, input: [usize; 2], classifier: Option<&OwnClassifier>) -> Compiled {
        assert!(classifier.is_none_or(|classifier| classifier.cut == range.end), "a classifier after its cut");
        let inputs = self.shapes_at(range.start, input);
        let map = |shape: &Vec<usize>| match shape.as_slice() {
            [h, w, c] => [*h, *w, *c],
            _ => [1, 1, shape.iter().product()],
        };
        let inputs: Vec<[usize; 3]> = inputs.iter().map(map).collect();
        let stages = self.stages[range].iter().chain(classifier.map(|classifier| &classifier.stage));
        compile(stages, &inputs)
    }

    /// Shapes of one image's activation at a cut, for images of `[rows, columns]`.
    pub(crate) fn shapes_at(&self, cut: usize, input: [usize; 2]) -> Vec<Vec<usize>> {
        match cut.checked_sub(1) {
            Some(before) => self.costs(input)[before].outputs.clone(),
            None => vec![vec![input[0], input[1], self.channels]],
        }
    }

    /// A stage by its position.
    ///
    /// # Panics
    /// If there is none.
    pub fn stage(&self, at: usize) -> &Stage {
        &self.stages[at]
    }

    /// Cost of each stage for one image of `[rows, columns]`.
    pub fn costs(&self, input: [usize; 2]) -> Vec<StageCost> {
        let mut shapes = vec![vec![input[0], input[1], self.channels]];
        let mut costs = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            let cost = stage.cost(&shapes);
            shapes.clone_from(&cost.outputs);
            costs.push(cost);
        }
        costs
    }

    /// MACs of a forward pass of one image.
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
