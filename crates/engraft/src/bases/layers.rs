//! The layers that backbones are made of.

use burn::module::{Module, Param, ParamId, RunningState};
use burn::prelude::*;
use burn::tensor::TensorData;
use engraft_kernels::{
    Activation as Pointwise, ConvOptions, Fused, Geometry, activate, affine, batch_norm, conv2d, linear,
};
use rand::RngExt;

use crate::bases::low_rank::{LoraConfig, LowRank};
use crate::bases::parameters::{Init, Scope};
use crate::bases::role::Role;
use crate::bases::stage::{BatchStatistics, Mode, Pass, Statistics};
use crate::bases::vision::plain_conv::PlainConv;
use crate::bases::vision::remix::{Remix, like};
use crate::rng::rng;

/// Batch normalisation over the last axis with an explicit mode (Ioffe and Szegedy 2015):
/// `y = gamma (x - mean) / sqrt(variance + epsilon) + beta`.
///
/// Burn's own layer follows the device's autodiff flag; this one follows its argument. In training it leaves the
/// running statistics alone and notes the batch's, so that a step made of several shards can merge them in order.
#[derive(Module, Debug)]
pub(crate) struct BatchNorm {
    gamma: Param<Tensor<1>>,
    beta: Param<Tensor<1>>,
    running_mean: RunningState<Tensor<1>>,
    running_variance: RunningState<Tensor<1>>,
    #[module(skip)]
    ids: [ParamId; 2],
    #[module(skip)]
    epsilon: f64,
}

impl BatchNorm {
    /// The batch norm at `scope`: `weight`, `bias`, `running_mean`, `running_var`.
    ///
    /// `before` is the bias of a convolution before it: batch norm takes a constant away again, so that it lives on
    /// in the running mean alone.
    pub fn new(scope: &Scope<'_>, channels: usize, epsilon: f64, before: Option<&[f32]>) -> Self {
        let gamma = scope.vector(Role::Gamma, channels, Init::Constant(1.0));
        let beta = scope.vector(Role::Beta, channels, Init::Constant(0.0));
        let (mean_id, running_mean) = scope.buffer(Role::Mean, channels, Init::Constant(0.0), before);
        let (variance_id, running_variance) = scope.buffer(Role::Variance, channels, Init::Constant(1.0), None);
        Self { gamma, beta, running_mean, running_variance, ids: [mean_id, variance_id], epsilon }
    }

    /// `[N, H, W, C]` to the same.
    pub(crate) fn forward(&self, x: Tensor<4>, mode: Mode<'_>) -> Tensor<4> {
        match mode {
            Mode::Train(pass) if pass.statistics() == Statistics::Batch => {
                self.forward_batch(x, None, Pointwise::None, pass)
            }
            _ => {
                let (scale, shift) = self.affine(matches!(mode, Mode::Train(_)));
                affine(x, scale, shift, None, Pointwise::None)
            }
        }
    }

    /// Number of channels.
    pub(crate) fn channels(&self) -> usize {
        self.gamma.dims()[0]
    }

    /// Whether it knows a mean of its input other than 0: one that was folded into the convolution before it does not.
    pub(super) fn has_statistics(&self) -> bool {
        numbers(self.running_mean.value()).iter().any(|mean| *mean != 0.0)
    }

    /// Identities of gamma and beta.
    pub(super) fn affine_ids(&self) -> [u64; 2] {
        [self.gamma.id.val(), self.beta.id.val()]
    }

    /// What a batch norm with stored statistics does, as `y = x scale + shift`; both `[C]`. Where it learns, its factor
    /// and summand get gradients through them.
    fn affine(&self, learns: bool) -> (Tensor<1>, Tensor<1>) {
        let parameter = |parameter: Tensor<1>| if learns { parameter } else { frozen(parameter) };
        let scale = parameter(self.gamma.val()) / (self.running_variance.value() + self.epsilon).sqrt();
        let shift = parameter(self.beta.val()) - self.running_mean.value() * scale.clone();
        (scale, shift)
    }

    /// The same where `summand` `[C]` is no longer part of the input: it lives on in the running mean.
    #[must_use]
    fn without(self, summand: &[f32]) -> Self {
        let old = self.running_mean.value();
        let mean = numbers(old.clone()).iter().zip(summand).map(|(mean, more)| mean - more).collect();
        let tensor = Tensor::from_data(TensorData::new(mean, old.dims()), &old.device());
        Self { running_mean: RunningState::with_id(self.ids[0], tensor), ..self }
    }

    /// The same as numbers.
    pub(super) fn affine_values(&self) -> (Vec<f32>, Vec<f32>) {
        let (scale, shift) = self.affine(false);
        (numbers(scale), numbers(shift))
    }

    /// Normalises by the batch and notes its statistics. `x`: `[N, H, W, C]`.
    fn forward_batch(
        &self,
        x: Tensor<4>,
        residual: Option<Tensor<4>>,
        activation: Pointwise,
        pass: &Pass,
    ) -> Tensor<4> {
        let [n, h, w, _] = x.dims();
        let result = batch_norm(x, self.gamma.val(), self.beta.val(), residual, self.epsilon, activation);
        pass.note(BatchStatistics {
            mean_id: self.ids[0],
            variance_id: self.ids[1],
            mean: numbers(result.mean),
            variance: numbers(result.variance),
            count: n * h * w,
        });
        result.output
    }
}

/// A parameter that gets no gradient. (Burn's `detach` alone keeps a parameter's wish for one.)
pub(super) fn frozen<const D: usize>(parameter: Tensor<D>) -> Tensor<D> {
    parameter.detach().set_require_grad(false)
}

pub(super) fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("parameters and statistics are f32")
}

/// Convolution, batch norm, residual, activation.
#[derive(Module, Debug)]
pub(crate) struct ConvNorm {
    weight: Param<Tensor<4>>,
    low_rank: Option<LowRank>,
    norm: BatchNorm,
    /// Share of the images whose branch is dropped in training, where there is a residual.
    #[module(skip)]
    drop: f64,
    /// Its name in the draws.
    #[module(skip)]
    name: String,
    #[module(skip)]
    options: ConvOptions,
    #[module(skip)]
    activation: Pointwise,
}

impl ConvNorm {
    /// A convolution at `convolution` and a batch norm at `norm`. `shape`: `[rows, columns, C_in / groups, C_out]`.
    pub fn new(
        convolution: &Scope<'_>,
        norm: &Scope<'_>,
        shape: [usize; 4],
        options: ConvOptions,
        activation: Pointwise,
        epsilon: f64,
    ) -> Self {
        let weight = convolution.convolution(shape, options.groups > 1);
        let bias = convolution.optional(Role::Bias, shape[3]);
        let norm = BatchNorm::new(norm, shape[3], epsilon, bias.as_deref());
        let name = convolution.path().to_owned();
        Self { weight, low_rank: None, norm, drop: 0.0, name, options, activation }
    }

    /// `[N, H, W, C_in]` to `[N, H', W', C_out]`; the residual is as large as the output.
    pub(crate) fn forward(&self, x: Tensor<4>, residual: Option<Tensor<4>>, mode: Mode<'_>) -> Tensor<4> {
        match (residual, mode) {
            (Some(residual), Mode::Train(pass)) if self.drop > 0.0 && pass.drops().is_some() => {
                let branch = self.forward_whole(x, None, Pointwise::None, mode);
                let branch = drop_path(branch, &self.name, self.drop, mode);
                activate(branch + residual, self.activation)
            }
            (residual, mode) => self.forward_whole(x, residual, self.activation, mode),
        }
    }

    fn forward_whole(
        &self,
        x: Tensor<4>,
        residual: Option<Tensor<4>>,
        activation: Pointwise,
        mode: Mode<'_>,
    ) -> Tensor<4> {
        match mode {
            Mode::Train(pass) if pass.statistics() == Statistics::Batch => {
                let y = conv2d(x, adapted(&self.weight, self.low_rank.as_ref(), true), Fused::default(), &self.options);
                self.norm.forward_batch(y, residual, activation, pass)
            }
            _ => {
                let (weight, bias) = self.folded(matches!(mode, Mode::Train(_)));
                let fused = Fused { bias: Some(bias), residual, activation };
                conv2d(x, weight, fused, &self.options)
            }
        }
    }

    /// Weight and bias with the stored statistics folded in: one convolution, in training too, where the gradients of
    /// weight, factor and summand come out of those of the folded ones.
    fn folded(&self, learns: bool) -> (Tensor<4>, Tensor<1>) {
        let (scale, shift) = self.norm.affine(learns);
        let channels = scale.dims()[0];
        let weight = adapted(&self.weight, self.low_rank.as_ref(), learns);
        (weight * scale.reshape([1, 1, 1, channels]), shift)
    }

    /// Its filters, their shape, and how they move.
    pub(super) fn filters(&self) -> (Vec<f32>, [usize; 4], &ConvOptions) {
        (numbers(self.weight.val()), self.weight.dims(), &self.options)
    }

    /// For inputs of other channels.
    #[must_use]
    pub(super) fn remixed(self, remix: &Remix) -> Self {
        let (filters, shape, _) = self.filters();
        let norm = self.norm.without(&remix.summand(&filters, shape));
        Self { weight: remixed(&self.weight, remix), norm, ..self }
    }

    /// The same as numbers.
    pub(super) fn plain(&self) -> PlainConv {
        let (weight, bias) = self.folded(false);
        PlainConv {
            shape: weight.dims(),
            weight: numbers(weight),
            bias: Some(numbers(bias)),
            options: self.options,
            activation: self.activation,
        }
    }

    /// Its batch norm.
    pub(super) fn norm(&self) -> &BatchNorm {
        &self.norm
    }

    /// Whether it has no activation.
    pub(super) fn is_bare(&self) -> bool {
        self.activation == Pointwise::None
    }

    /// Drops its branch for a share of the images in training (stochastic depth, Huang et al. 2016).
    pub(super) fn set_drop(&mut self, share: f64) {
        self.drop = share;
    }

    /// Lets a product of low rank learn in place of the weight, if it is of one pixel.
    pub(super) fn adapt(&mut self, how: LoraConfig) {
        self.low_rank = adaptation(&self.weight, &self.options, how);
    }

    /// Adds what was learnt in its place to the weight.
    pub(super) fn merge(&mut self) {
        merge(&mut self.weight, &mut self.low_rank);
    }

    /// With another activation.
    #[must_use]
    pub(super) fn with_activation(self, activation: Pointwise) -> Self {
        Self { activation, ..self }
    }

    pub(super) fn set_exact(&mut self, exact: bool) {
        self.options.exact = exact;
    }

    /// Output shape, parameters and MACs for a map of `[rows, columns]`.
    pub(crate) fn cost(&self, input: [usize; 2]) -> ([usize; 3], usize, u64) {
        let (output, weights, multiply_adds) = convolution_cost(self.weight.dims(), input, &self.options);
        (output, weights + 2 * output[2], multiply_adds)
    }
}

/// Convolution with a bias or without, and an activation.
#[derive(Module, Debug)]
pub(crate) struct Conv {
    weight: Param<Tensor<4>>,
    low_rank: Option<LowRank>,
    bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    options: ConvOptions,
    #[module(skip)]
    activation: Pointwise,
}

impl Conv {
    /// A convolution at `scope`. `shape`: `[rows, columns, C_in / groups, C_out]`.
    pub fn new(scope: &Scope<'_>, shape: [usize; 4], bias: bool, options: ConvOptions, activation: Pointwise) -> Self {
        Self {
            weight: scope.convolution(shape, options.groups > 1),
            low_rank: None,
            bias: bias.then(|| scope.vector(Role::Bias, shape[3], Init::Constant(0.0))),
            options,
            activation,
        }
    }

    /// `[N, H, W, C_in]` to `[N, H', W', C_out]`.
    pub(crate) fn forward(&self, x: Tensor<4>, mode: Mode<'_>) -> Tensor<4> {
        let learns = matches!(mode, Mode::Train(_));
        let weight = adapted(&self.weight, self.low_rank.as_ref(), learns);
        let bias = self.bias.as_ref().map(|bias| if learns { bias.val() } else { frozen(bias.val()) });
        conv2d(x, weight, Fused { bias, residual: None, activation: self.activation }, &self.options)
    }

    /// Its filters, their shape, and how they move.
    pub(super) fn filters(&self) -> (Vec<f32>, [usize; 4], &ConvOptions) {
        (numbers(self.weight.val()), self.weight.dims(), &self.options)
    }

    /// For inputs of other channels. `None` where something is to be added and there is no bias.
    #[must_use]
    pub(super) fn remixed(self, remix: &Remix) -> Option<Self> {
        let (filters, shape, _) = self.filters();
        let summand = remix.summand(&filters, shape);
        let bias = match self.bias {
            Some(bias) => {
                let old = bias.val();
                let sum = numbers(old.clone()).iter().zip(&summand).map(|(bias, more)| bias + more).collect();
                Some(Param::initialized(bias.id, like(&old, sum, old.dims())))
            }
            None if summand.iter().any(|more| *more != 0.0) => return None,
            None => None,
        };
        Some(Self { weight: remixed(&self.weight, remix), bias, ..self })
    }

    /// Its numbers.
    pub(super) fn plain(&self) -> PlainConv {
        PlainConv {
            shape: self.weight.dims(),
            weight: numbers(adapted(&self.weight, self.low_rank.as_ref(), false)),
            bias: self.bias.as_ref().map(|bias| numbers(bias.val())),
            options: self.options,
            activation: self.activation,
        }
    }

    /// Whether it has no activation.
    pub(super) fn is_bare(&self) -> bool {
        self.activation == Pointwise::None
    }

    /// Lets a product of low rank learn in place of the weight, if it is of one pixel.
    pub(super) fn adapt(&mut self, how: LoraConfig) {
        self.low_rank = adaptation(&self.weight, &self.options, how);
    }

    /// Adds what was learnt in its place to the weight.
    pub(super) fn merge(&mut self) {
        merge(&mut self.weight, &mut self.low_rank);
    }

    pub(super) fn set_exact(&mut self, exact: bool) {
        self.options.exact = exact;
    }

    /// Output shape, parameters and MACs for a map of `[rows, columns]`.
    pub(crate) fn cost(&self, input: [usize; 2]) -> ([usize; 3], usize, u64) {
        let (output, weights, multiply_adds) = convolution_cost(self.weight.dims(), input, &self.options);
        (output, weights + self.bias.as_ref().map_or(0, |bias| bias.dims()[0]), multiply_adds)
    }
}

/// The weight as it is used: with the product of low rank added, which then learns in its place.
pub(super) fn adapted<const D: usize>(
    weight: &Param<Tensor<D>>,
    low_rank: Option<&LowRank>,
    learns: bool,
) -> Tensor<D> {
    match low_rank {
        Some(low_rank) => {
            let product = low_rank.product();
            let product = if learns { product } else { frozen(product) };
            frozen(weight.val()) + product.reshape(weight.dims())
        }
        None if learns => weight.val(),
        None => frozen(weight.val()),
    }
}

/// Factors for the weight of a convolution, if it is of one pixel and takes all channels.
fn adaptation(weight: &Param<Tensor<4>>, options: &ConvOptions, how: LoraConfig) -> Option<LowRank> {
    let [rows, columns, inputs, outputs] = weight.dims();
    let is_linear = rows * columns == 1 && options.groups == 1;
    is_linear.then(|| LowRank::new(weight.id, [inputs, outputs], how, &weight.device()))
}

/// Adds what was learnt in a weight's place to it.
pub(super) fn merge<const D: usize>(weight: &mut Param<Tensor<D>>, low_rank: &mut Option<LowRank>) {
    if low_rank.is_some() {
        let sum = adapted(weight, low_rank.take().as_ref(), false).into_data();
        let device = weight.device();
        *weight = weight.clone().map(|old| Tensor::from_data(sum, &device).set_require_grad(old.is_require_grad()));
    }
}

fn remixed(weight: &Param<Tensor<4>>, remix: &Remix) -> Param<Tensor<4>> {
    let old = weight.val();
    let shape = old.dims();
    let filters = remix.filters(&numbers(old.clone()), shape);
    Param::initialized(weight.id, like(&old, filters, [shape[0], shape[1], remix.channels(), shape[3]]))
}

fn convolution_cost(shape: [usize; 4], input: [usize; 2], options: &ConvOptions) -> ([usize; 3], usize, u64) {
    let [rows, columns, _, channels] = shape;
    let output = Geometry::new(input, [rows, columns], options).output;
    let weights: usize = shape.iter().product();
    ([output[0], output[1], channels], weights, (output[0] * output[1] * weights) as u64)
}

/// A linear layer, `y = x W + b`.
#[derive(Module, Debug)]
pub struct Linear {
    weight: Param<Tensor<2>>,
    low_rank: Option<LowRank>,
    bias: Param<Tensor<1>>,
}

impl Linear {
    /// The layer at `scope`: `weight` and `bias`.
    pub fn new(scope: &Scope<'_>, inputs: usize, outputs: usize) -> Self {
        Self {
            weight: scope.linear([inputs, outputs], Init::Normal(0.01)),
            low_rank: None,
            bias: scope.vector(Role::Bias, outputs, Init::Constant(0.0)),
        }
    }

    /// `[N, in]` to `[N, out]`.
    pub(crate) fn forward(&self, x: Tensor<2>, mode: Mode<'_>) -> Tensor<2> {
        let learns = matches!(mode, Mode::Train(_));
        let weight = adapted(&self.weight, self.low_rank.as_ref(), learns);
        let bias = if learns { self.bias.val() } else { frozen(self.bias.val()) };
        linear(x, weight, Fused { bias: Some(bias), ..Fused::default() })
    }

    /// Weight `[in, out]` and bias as numbers.
    pub(super) fn values(&self) -> (Vec<f32>, Vec<f32>) {
        (numbers(adapted(&self.weight, self.low_rank.as_ref(), false)), numbers(self.bias.val()))
    }

    /// Lets a product of low rank learn in place of the weight.
    pub(super) fn adapt(&mut self, how: LoraConfig) {
        self.low_rank = Some(LowRank::new(self.weight.id, self.weight.dims(), how, &self.weight.device()));
    }

    /// Adds what was learnt in its place to the weight.
    pub(super) fn merge(&mut self) {
        merge(&mut self.weight, &mut self.low_rank);
    }

    /// Length of its input and of its output.
    pub(crate) fn size(&self) -> [usize; 2] {
        self.weight.dims()
    }
}

/// Zeroes the path of an image with a probability, and scales the others up for it.
pub(super) fn drop_path(x: Tensor<4>, name: &str, rate: f64, mode: Mode<'_>) -> Tensor<4> {
    let Mode::Train(pass) = mode else { return x };
    let Some(drops) = pass.drops() else { return x };
    let keep = 1.0 - rate;
    if keep >= 1.0 {
        return x;
    }
    let n = x.dims()[0];
    let factors: Vec<f32> = (drops.first..drops.first + n)
        .map(|image| {
            let draw: f64 = rng(drops.seed, &format!("drop-path/{name}/{image}"), drops.step).random();
            if draw < keep { (1.0 / keep) as f32 } else { 0.0 }
        })
        .collect();
    let factors = Tensor::<4>::from_data(TensorData::new(factors, [n, 1, 1, 1]), &x.device());
    x * factors
}
