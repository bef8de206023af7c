//! What encoders are made of: linear layers and norms with an explicit mode, and dropout.

use burn::module::{Module, Param};
use burn::prelude::*;
use burn::tensor::{Device, TensorData};
use engraft_kernels::{Activation, Fused, layer_norm, linear};
use rand::Rng;
use rayon::prelude::*;

use crate::bases::layers::{adapted, frozen, merge, numbers};
use crate::bases::low_rank::{LoraConfig, LowRank};
use crate::bases::parameters::identity;
use crate::bases::stage::Mode;
use crate::bases::text::batch::TokenBatch;
use crate::bases::text::names::EncoderTensors;
use crate::rng::rng;

/// Tensors that are handed out by name, to be made into parameters.
pub(super) struct Source<'a> {
    pub(crate) tensors: EncoderTensors,
    pub(crate) device: &'a Device,
}

impl Source<'_> {
    /// The parameter of this name, as it lies in the file.
    ///
    /// # Panics
    /// If there is none: it was looked for before.
    pub(crate) fn take<const D: usize>(&mut self, name: &str) -> Param<Tensor<D>> {
        let (shape, values) = self.tensors.remove(name).expect("the tensors were compared with what is needed");
        self.parameter(name, shape, values)
    }

    /// A linear layer's weight: `[out, in]` in the file.
    fn take_turned(&mut self, name: &str) -> Param<Tensor<2>> {
        let (shape, values) = self.tensors.remove(name).expect("the tensors were compared with what is needed");
        let turned = turned(&values, shape[0], shape[1]);
        self.parameter(name, vec![shape[1], shape[0]], turned)
    }

    fn parameter<const D: usize>(&self, name: &str, shape: Vec<usize>, values: Vec<f32>) -> Param<Tensor<D>> {
        let tensor = Tensor::<D>::from_data(TensorData::new(values, shape), self.device);
        let tensor = if self.device.is_autodiff() { tensor.require_grad() } else { tensor };
        Param::initialized(identity(name), tensor)
    }
}

/// The transpose of `[rows, columns]`.
pub(super) fn turned(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut to = vec![0.0; values.len()];
    for (row, from) in values.chunks_exact(columns.max(1)).enumerate() {
        for (column, &value) in from.iter().enumerate() {
            to[column * rows + row] = value;
        }
    }
    to
}

/// The parameter as a pass uses it: with a gradient where it learns.
pub(super) fn used<const D: usize>(parameter: &Param<Tensor<D>>, mode: Mode<'_>) -> Tensor<D> {
    match mode {
        Mode::Train(_) => parameter.val(),
        Mode::Frozen => frozen(parameter.val()),
    }
}

/// A linear layer over the last axis, `y = x W + b`, whose weight may be adapted by a product of low rank.
#[derive(Module, Debug)]
pub(super) struct Dense {
    weight: Param<Tensor<2>>,
    low_rank: Option<LowRank>,
    bias: Param<Tensor<1>>,
}

impl Dense {
    pub fn new(source: &mut Source<'_>, name: &str) -> Self {
        let weight = source.take_turned(&format!("{name}.weight"));
        Self { weight, low_rank: None, bias: source.take(&format!("{name}.bias")) }
    }

    /// `[N, T, in]` to `[N, T, out]`.
    pub(crate) fn forward(
        &self,
        x: Tensor<3>,
        residual: Option<Tensor<3>>,
        activation: Activation,
        mode: Mode<'_>,
    ) -> Tensor<3> {
        let weight = adapted(&self.weight, self.low_rank.as_ref(), matches!(mode, Mode::Train(_)));
        linear(x, weight, Fused { bias: Some(used(&self.bias, mode)), residual, activation })
    }

    /// Weight `[in, out]` and bias.
    pub(crate) fn values(&self) -> (Vec<f32>, Vec<f32>) {
        (numbers(adapted(&self.weight, self.low_rank.as_ref(), false)), numbers(self.bias.val()))
    }

    /// Weight `[out, in]` and bias, as files have them.
    pub(crate) fn export(&self, name: &str, to: &mut EncoderTensors) {
        let [inputs, outputs] = self.weight.dims();
        let (weight, bias) = self.values();
        to.insert(format!("{name}.weight"), (vec![outputs, inputs], turned(&weight, inputs, outputs)));
        to.insert(format!("{name}.bias"), (vec![outputs], bias));
    }

    pub(crate) fn adapt(&mut self, how: LoraConfig) {
        self.low_rank = Some(LowRank::new(self.weight.id, self.weight.dims(), how, &self.weight.device()));
    }

    pub(crate) fn merge(&mut self) {
        merge(&mut self.weight, &mut self.low_rank);
    }
}

/// A layer norm.
#[derive(Module, Debug)]
pub(super) struct Norm {
    gamma: Param<Tensor<1>>,
    beta: Param<Tensor<1>>,
    #[module(skip)]
    epsilon: f64,
}

impl Norm {
    pub fn new(source: &mut Source<'_>, name: &str, epsilon: f64) -> Self {
        Self { gamma: source.take(&format!("{name}.weight")), beta: source.take(&format!("{name}.bias")), epsilon }
    }

    pub(crate) fn forward(&self, x: Tensor<3>, mode: Mode<'_>) -> Tensor<3> {
        layer_norm(x, used(&self.gamma, mode), used(&self.beta, mode), self.epsilon)
    }

    pub(crate) fn values(&self) -> (Vec<f32>, Vec<f32>) {
        (numbers(self.gamma.val()), numbers(self.beta.val()))
    }

    pub(crate) fn export(&self, name: &str, to: &mut EncoderTensors) {
        let (gamma, beta) = self.values();
        to.insert(format!("{name}.weight"), (vec![gamma.len()], gamma));
        to.insert(format!("{name}.bias"), (vec![beta.len()], beta));
    }
}

/// Zeroes a share of the numbers in training, and scales the others up for it (Srivastava et al. 2014). `[N, T, D]`.
///
/// What is drawn depends on the example's place in the step, on `place` (where in the encoder) and on the token's place
/// in the text: not on the shard, and not on the padding. `packing` says how the texts lie in `x`, where it is packed.
pub(super) fn dropout(x: Tensor<3>, share: f64, place: &str, packing: Option<&Packing>, mode: Mode<'_>) -> Tensor<3> {
    let Mode::Train(pass) = mode else { return x };
    let Some(drops) = pass.drops().filter(|_| share > 0.0) else { return x };
    let [n, tokens, width] = x.dims();
    let keep = ((1.0 - share) * f64::from(u32::MAX)) as u32;
    let factor = (1.0 / (1.0 - share)) as f32;
    let mut factors = vec![0.0f32; n * tokens * width];
    let lengths = packing.map_or_else(|| vec![tokens; n], |packing| packing.lengths.clone());
    let mut texts = Vec::with_capacity(lengths.len());
    let mut rest = factors.as_mut_slice();
    for length in lengths {
        let (text, others) = rest.split_at_mut(length * width);
        texts.push(text);
        rest = others;
    }
    texts.into_par_iter().enumerate().for_each(|(index, factors)| {
        let mut stream = rng(drops.seed, &format!("dropout/{place}/{}", drops.first + index), drops.step);
        factors.iter_mut().for_each(|to| *to = if stream.next_u32() < keep { factor } else { 0.0 });
    });
    let device = x.device();
    x * Tensor::from_data(TensorData::new(factors, [n, tokens, width]), &device)
}

/// How texts of different lengths lie one after the other without the padding between them: what looks at one token at
/// a time runs so, on as many rows as there are tokens.
pub(super) struct Packing {
    /// Tokens of each text.
    lengths: Vec<usize>,
    /// Where each token lies in the padded rows.
    tokens: Tensor<1, Int>,
    /// The token of each padded row; any, where it is padding.
    rows: Tensor<1, Int>,
    longest: usize,
}

impl Packing {
    /// The packing of a batch; none where there is little padding.
    pub(crate) fn of(batch: &TokenBatch) -> Option<Self> {
        let ([n, longest], device) = (batch.dims(), batch.mask.device());
        let lengths = batch.lengths.clone();
        let total: usize = lengths.iter().sum();
        if total == 0 || total * 10 > n * longest * 9 {
            return None;
        }
        let (mut tokens, mut rows) = (Vec::with_capacity(total), Vec::with_capacity(n * longest));
        for (text, &length) in lengths.iter().enumerate() {
            let first = tokens.len();
            tokens.extend((0..length).map(|at| (text * longest + at) as i32));
            rows.extend((0..longest).map(|at| if at < length { (first + at) as i32 } else { 0 }));
        }
        let indices = |values: Vec<i32>| Tensor::<1, Int>::from_data(values.as_slice(), &device);
        Some(Self { lengths, tokens: indices(tokens), rows: indices(rows), longest })
    }

    /// `[N, T, D]` to `[1, tokens, D]`.
    pub(crate) fn pack(&self, x: Tensor<3>) -> Tensor<3> {
        let [n, longest, width] = x.dims();
        x.reshape([n * longest, width]).select(0, self.tokens.clone()).unsqueeze()
    }

    /// The reverse. What stands in the padding is a token's, and is for nobody to look at.
    pub(crate) fn unpack(&self, x: Tensor<3>) -> Tensor<3> {
        let [_, tokens, width] = x.dims();
        let rows = x.reshape([tokens, width]).select(0, self.rows.clone());
        rows.reshape([self.lengths.len(), self.longest, width])
    }
}
