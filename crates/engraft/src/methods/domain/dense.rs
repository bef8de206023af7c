//! Linear layers that the trained methods learn.

use burn::module::{Module, Param};
use burn::prelude::*;
use burn::tensor::{Device, TensorData};
use engraft_kernels::{Activation, Fused, linear};
use rand_distr::{Distribution, StandardNormal};

use crate::bases::identity;
use crate::features::Features;
use crate::rng::rng;

/// `y = x W + b` for `x` of `[n, inputs]`.
#[derive(Module, Debug)]
pub(super) struct Dense {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Dense {
    /// The layer of these numbers: `weight` is `[inputs, outputs]`, row-major, `bias` is `[outputs]`. Its parameters are known
    /// as `name.weight` and `name.bias`.
    ///
    /// # Panics
    /// If the numbers do not make a matrix.
    pub(super) fn new(name: &str, weight: Vec<f32>, bias: Vec<f32>, device: &Device) -> Self {
        let outputs = bias.len();
        let shape = [weight.len() / outputs, outputs];
        let weight = Tensor::<2>::from_data(TensorData::new(weight, shape), device);
        let bias = Tensor::<1>::from_data(TensorData::new(bias, [outputs]), device);
        Self {
            weight: Param::initialized(identity(&format!("{name}.weight")), weight.require_grad()),
            bias: Param::initialized(identity(&format!("{name}.bias")), bias.require_grad()),
        }
    }

    /// Normal weights of variance `2 / inputs` (He et al. 2015, equation 10), no bias.
    pub(super) fn random(name: &str, [inputs, outputs]: [usize; 2], seed: u64, device: &Device) -> Self {
        let mut stream = rng(seed, &format!("init/{name}.weight"), 0);
        let deviation = (2.0 / inputs as f64).sqrt();
        let mut draw = || {
            let normal: f64 = StandardNormal.sample(&mut stream);
            (deviation * normal) as f32
        };
        let weight = (0..inputs * outputs).map(|_| draw()).collect();
        Self::new(name, weight, vec![0.0; outputs], device)
    }

    /// `[n, inputs]` to `[n, outputs]`.
    pub(super) fn forward(&self, x: Tensor<2>, activation: Activation) -> Tensor<2> {
        linear(x, self.weight.val(), Fused { bias: Some(self.bias.val()), residual: None, activation })
    }

    /// In f64, for finite differences.
    #[cfg(test)]
    pub(super) fn in_f64(self) -> Self {
        use burn::tensor::DType;
        let weight = self.weight.map(|weight| weight.cast(DType::F64).detach().require_grad());
        Self { weight, bias: self.bias.map(|bias| bias.cast(DType::F64).detach().require_grad()) }
    }

    /// Weight `[inputs, outputs]`, row-major, and bias `[outputs]`.
    pub(super) fn numbers(&self) -> (Vec<f64>, Vec<f64>) {
        (wide(self.weight.val()), wide(self.bias.val()))
    }
}

/// A tensor's numbers.
pub(super) fn wide<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    let narrow = tensor.into_data().try_to_vec::<f32>().expect("numbers of a training are f32");
    narrow.into_iter().map(f64::from).collect()
}

/// Some rows of a table, `[which, columns]`.
pub(super) fn rows(features: &Features, which: &[usize], device: &Device) -> Tensor<2> {
    let some = features.select(which);
    Tensor::from_data(TensorData::new(some.values, [some.rows, some.columns]), device)
}
