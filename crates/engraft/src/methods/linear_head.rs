//! The head while it is trained: a linear layer on features, and dropout before it.

use burn::module::{Module, Param};
use burn::prelude::*;
use burn::tensor::{Device, TensorData};
use rand::RngExt;

use crate::bases::{DropPathSchedule, identity};
use crate::heads::Linear;
use crate::methods::plan::Learning;
use crate::rng::rng;
use crate::train::Rule;

const NAMES: [&str; 2] = ["head.weight", "head.bias"];

/// A linear layer from features to logits.
#[derive(Module, Debug)]
pub(crate) struct LinearHead {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl LinearHead {
    /// A head that was solved, or one that is made up.
    pub fn new(head: &Linear, device: &Device) -> Self {
        let (classes, columns) = (head.outputs, head.columns);
        let turned = (0..columns).flat_map(|c| (0..classes).map(move |class| head.weights[class * columns + c] as f32));
        let weight = Tensor::<2>::from_data(TensorData::new(turned.collect::<Vec<f32>>(), [columns, classes]), device);
        let bias: Vec<f32> = head.intercepts.iter().map(|b| *b as f32).collect();
        let bias = Tensor::<1>::from_data(TensorData::new(bias, [classes]), device);
        let [weight_id, bias_id] = NAMES.map(identity);
        Self {
            weight: Param::initialized(weight_id, weight.require_grad()),
            bias: Param::initialized(bias_id, bias.require_grad()),
        }
    }

    /// The head as numbers.
    pub(crate) fn numbers(&self) -> Linear {
        let [columns, classes] = self.weight.dims();
        let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<f64>>();
        let weights = self.weight.val().transpose().into_data().try_to_vec::<f32>().expect("weights are f32");
        let bias = self.bias.val().into_data().try_to_vec::<f32>().expect("biases are f32");
        Linear { outputs: classes, columns, weights: wide(weights), intercepts: wide(bias) }
    }

    /// Logits `[N, classes]` of features `[N, columns]`.
    pub(crate) fn logits(&self, features: Tensor<2>) -> Tensor<2> {
        features.matmul(self.weight.val()) + self.bias.val().unsqueeze::<2>()
    }

    /// How its parameters are moved.
    pub(crate) fn rules(learning: &Learning) -> [(u64, Rule); 2] {
        let [weight, bias] = NAMES.map(|name| identity(name).val());
        [(weight, learning.rule(2)), (bias, learning.rule(1))]
    }
}

/// Zeroes a share of the features `[N, columns]`, and scales the others up for it (Srivastava et al. 2014). What is drawn
/// depends on the example's place in the step alone.
pub(crate) fn dropped(features: Tensor<2>, share: f64, drops: &DropPathSchedule) -> Tensor<2> {
    if share == 0.0 {
        return features;
    }
    let [n, columns] = features.dims();
    let keep = 1.0 - share;
    let factors: Vec<f32> = (drops.first..drops.first + n)
        .flat_map(|place| {
            let mut stream = rng(drops.seed, &format!("dropout/{place}"), drops.step);
            (0..columns).map(move |_| if stream.random::<f64>() < keep { (1.0 / keep) as f32 } else { 0.0 })
        })
        .collect();
    let device = features.device();
    features * Tensor::from_data(TensorData::new(factors, [n, columns]), &device)
}
