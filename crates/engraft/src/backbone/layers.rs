//! The layers that backbones are made of.

use burn::module::{Module, Param, ParamId, RunningState};
use burn::prelude::*;
use engraft_kernels::{Activation as Pointwise, ConvOptions, Geometry, conv2d};

use crate::backbone::parameters::{Init, Role, Scope};
use crate::backbone::stage::{BatchStatistics, Mode, Pass};

/// Batch normalisation over the last axis with an explicit mode (Ioffe and Szegedy 2015):
/// `y = gamma (x - mean) / sqrt(variance + epsilon) + beta`.
///
/// Burn's own layer follows the device's autodiff flag; this one follows its argument. In training it leaves the
/// running statistics alone and notes the batch's, so that a step made of several shards can merge them in order.
#[derive(Module, Debug)]
pub struct BatchNorm {
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
    pub fn forward(&self, x: Tensor<4>, mode: Mode<'_>) -> Tensor<4> {
        match mode {
            Mode::Frozen => {
                let (scale, shift) = self.affine();
                let channels = scale.dims()[0];
                x * scale.reshape([1, 1, 1, channels]) + shift.reshape([1, 1, 1, channels])
            }
            Mode::Train(pass) => self.forward_batch(x, pass),
        }
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.gamma.dims()[0]
    }

    /// What a frozen batch norm does, as `y = x scale + shift`; both `[C]`.
    fn affine(&self) -> (Tensor<1>, Tensor<1>) {
        let scale = self.gamma.val().detach() / (self.running_variance.value() + self.epsilon).sqrt();
        let shift = self.beta.val().detach() - self.running_mean.value() * scale.clone();
        (scale, shift)
    }

    /// Normalises by the batch and notes its statistics. `x`: `[N, H, W, C]`.
    fn forward_batch(&self, x: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let [n, h, w, c] = x.dims();
        let count = n * h * w;
        let result = burn::tensor::module::batch_norm_train(
            x.reshape([count, c]),
            self.gamma.val(),
            self.beta.val(),
            self.epsilon,
        );
        let vector = |tensor: Tensor<1>| tensor.into_data().try_to_vec::<f32>().expect("statistics are f32");
        pass.note(BatchStatistics {
            mean_id: self.ids[0],
            variance_id: self.ids[1],
            mean: vector(result.mean),
            variance: vector(result.variance),
            count,
        });
        result.output.reshape([n, h, w, c])
    }
}

/// Convolution, batch norm, activation.
#[derive(Module, Debug)]
pub struct ConvNorm {
    weight: Param<Tensor<4>>,
    norm: BatchNorm,
    #[module(skip)]
    options: ConvOptions,
    #[module(skip)]
    activation: Pointwise,
    /// Weight and bias with the frozen batch norm folded in. Made by [`ConvNorm::fold`], for inference only.
    #[module(skip)]
    folded: Option<(Tensor<4>, Tensor<1>)>,
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
        Self { weight, norm, options, activation, folded: None }
    }

    /// `[N, H, W, C_in]` to `[N, H', W', C_out]`.
    pub fn forward(&self, x: Tensor<4>, mode: Mode<'_>) -> Tensor<4> {
        match mode {
            Mode::Frozen => {
                let (weight, bias) = match &self.folded {
                    Some((weight, bias)) => (weight.clone(), bias.clone()),
                    None => self.folded_values(),
                };
                conv2d(x, weight, Some(bias), &self.options, self.activation)
            }
            Mode::Train(pass) => {
                let y = conv2d(x, self.weight.val(), None, &self.options, Pointwise::None);
                let y = self.norm.forward_batch(y, pass);
                match self.activation {
                    Pointwise::None => y,
                    Pointwise::Relu => burn::tensor::activation::relu(y),
                    Pointwise::Relu6 => y.clamp(0.0, 6.0),
                }
            }
        }
    }

    fn folded_values(&self) -> (Tensor<4>, Tensor<1>) {
        let (scale, shift) = self.norm.affine();
        let channels = scale.dims()[0];
        (self.weight.val().detach() * scale.reshape([1, 1, 1, channels]), shift)
    }

    /// Folds the frozen batch norm into the convolution once, rather than at every call.
    #[must_use]
    pub fn fold(mut self) -> Self {
        self.folded = Some(self.folded_values());
        self
    }

    /// Output shape, parameters and multiply-adds for a map of `[rows, columns]`.
    pub fn cost(&self, input: [usize; 2]) -> ([usize; 3], usize, u64) {
        let (output, weights, multiply_adds) = convolution_cost(self.weight.dims(), input, &self.options);
        (output, weights + 2 * output[2], multiply_adds)
    }
}

/// Convolution with a bias or without, and an activation.
#[derive(Module, Debug)]
pub struct Conv {
    weight: Param<Tensor<4>>,
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
            bias: bias.then(|| scope.vector(Role::Bias, shape[3], Init::Constant(0.0))),
            options,
            activation,
        }
    }

    /// `[N, H, W, C_in]` to `[N, H', W', C_out]`.
    pub fn forward(&self, x: Tensor<4>, mode: Mode<'_>) -> Tensor<4> {
        let (weight, bias) = (self.weight.val(), self.bias.as_ref().map(Param::val));
        let (weight, bias) = match mode {
            Mode::Frozen => (weight.detach(), bias.map(Tensor::detach)),
            Mode::Train(_) => (weight, bias),
        };
        conv2d(x, weight, bias, &self.options, self.activation)
    }

    /// Output shape, parameters and multiply-adds for a map of `[rows, columns]`.
    pub fn cost(&self, input: [usize; 2]) -> ([usize; 3], usize, u64) {
        let (output, weights, multiply_adds) = convolution_cost(self.weight.dims(), input, &self.options);
        (output, weights + self.bias.as_ref().map_or(0, |bias| bias.dims()[0]), multiply_adds)
    }
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
    bias: Param<Tensor<1>>,
}

impl Linear {
    /// The layer at `scope`: `weight` and `bias`.
    pub fn new(scope: &Scope<'_>, inputs: usize, outputs: usize) -> Self {
        Self {
            weight: scope.linear([inputs, outputs], Init::Normal(0.01)),
            bias: scope.vector(Role::Bias, outputs, Init::Constant(0.0)),
        }
    }

    /// `[N, in]` to `[N, out]`.
    pub fn forward(&self, x: Tensor<2>, mode: Mode<'_>) -> Tensor<2> {
        let (weight, bias) = match mode {
            Mode::Frozen => (self.weight.val().detach(), self.bias.val().detach()),
            Mode::Train(_) => (self.weight.val(), self.bias.val()),
        };
        let outputs = bias.dims()[0];
        x.matmul(weight) + bias.reshape([1, outputs])
    }

    /// Length of its input and of its output.
    pub fn size(&self) -> [usize; 2] {
        self.weight.dims()
    }
}

/// The mean over rows and columns, `[N, H, W, C]` to `[N, C]`.
pub fn global_average(x: Tensor<4>) -> Tensor<2> {
    let [n, h, w, c] = x.dims();
    x.reshape([n, h * w, c]).mean_dim(1).reshape([n, c])
}
