//! Low-rank adaptation (Hu et al. 2022): a weight that does not learn, plus the product of two narrow ones that do.

use burn::module::{Module, Param, ParamId};
use burn::prelude::*;
use burn::tensor::{Device, TensorData};
use rand_distr::{Distribution, StandardNormal};

use crate::bases::parameters::identity;
use crate::rng::rng;

/// `scale * down up`, which is added to a weight of `[in, out]`.
#[derive(Module, Debug)]
pub(super) struct LowRank {
    down: Param<Tensor<2>>,
    up: Param<Tensor<2>>,
    #[module(skip)]
    scale: f64,
}

/// The rank and strength of an adaptation.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LoraConfig {
    /// Columns of the narrow factor.
    pub(crate) rank: usize,
    /// The product counts `alpha / rank`.
    pub(crate) alpha: f64,
    /// Seed of the first factor; the second begins at zero, so that nothing changes at first.
    pub(crate) seed: u64,
}

impl LowRank {
    /// Factors for the weight of this identity and `[in, out]`.
    pub fn new(of: ParamId, [inputs, outputs]: [usize; 2], how: LoraConfig, device: &Device) -> Self {
        let rank = how.rank.min(inputs).min(outputs);
        let name = format!("low-rank/{:016x}", of.val());
        let mut stream = rng(how.seed, &name, 0);
        let deviation = 1.0 / (inputs as f32).sqrt();
        let draw = |_| {
            let value: f32 = StandardNormal.sample(&mut stream);
            value * deviation
        };
        let down: Vec<f32> = (0..inputs * rank).map(draw).collect();
        let param = |part: &str, values: Vec<f32>, shape: [usize; 2]| {
            let tensor = Tensor::<2>::from_data(TensorData::new(values, shape), device);
            let tensor = if device.is_autodiff() { tensor.require_grad() } else { tensor };
            Param::initialized(identity(&format!("{name}/{part}")), tensor)
        };
        Self {
            down: param("down", down, [inputs, rank]),
            up: param("up", vec![0.0; rank * outputs], [rank, outputs]),
            scale: how.alpha / how.rank as f64,
        }
    }

    /// What is added to the weight, `[in, out]`.
    pub(crate) fn product(&self) -> Tensor<2> {
        self.down.val().matmul(self.up.val()).mul_scalar(self.scale)
    }
}
