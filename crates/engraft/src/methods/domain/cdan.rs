//! CDAN+E: DANN whose discriminator sees outputs and predictions together, sure ones more than unsure ones.

use burn::prelude::*;
use burn::tensor::TensorData;
use burn::tensor::activation::softmax;
use rand_distr::{Distribution, StandardNormal};

use super::bottleneck::Outputs;
use super::certainty::certainty_weights;
use super::discriminator::{Discriminator, Side, reversed, told_apart};
use super::trained::{BothOutputs, DomainLoss, adapt_both};
use super::{Alignment, Domains, Outcome};
use crate::error::Result;
use crate::rng::rng;

/// Products beyond which the map is randomised (Long et al. 2018, section 3.2).
const MOST_PRODUCTS: usize = 4096;
/// Outputs of the randomised map.
const RANDOM: usize = 1024;

/// Conditional adversarial adaptation with entropy conditioning (Long, Cao, Wang and Jordan 2018, "Conditional adversarial domain
/// adaptation").
pub(super) struct Cdan;

impl Alignment for Cdan {
    fn name(&self) -> &'static str {
        "cdan"
    }

    fn is_trained(&self) -> bool {
        true
    }

    fn adapt(&self, domains: &Domains<'_>) -> Result<Outcome> {
        let Domains { classes, seed, .. } = *domains;
        adapt_both(
            domains,
            |frame, device| {
                let inputs = Multilinear::new(frame.width(), classes, seed).outputs();
                Some(Discriminator::new(inputs, seed, device))
            },
            |frame| Box::new(Conditional(Multilinear::new(frame.width(), classes, seed))),
        )
    }
}

pub(super) struct Conditional(pub(super) Multilinear);

impl DomainLoss for Conditional {
    /// As DANN's, of the products of outputs and predictions. Examples weigh `1 + exp(-H)` of their predictions, normalised
    /// within each domain, so that a domain of surer predictions does not outweigh the other. Weights and predictions are
    /// constants, as in the authors' code: the adversary moves the bottleneck alone.
    fn loss(&self, both: &BothOutputs<'_>) -> Tensor<1> {
        let discriminator = both.discriminator.expect("an adversarial training has a discriminator");
        let side = |outputs: &Outputs, side| {
            let logits = outputs.logits.clone().detach();
            let joint = self.0.map(reversed(outputs.features.clone(), both.reversal), softmax(logits.clone(), 1));
            told_apart(discriminator.logits(joint), side, Some(certainty_weights(logits)))
        };
        (side(both.source, Side::Source) + side(both.target, Side::Target)).div_scalar(2.0)
    }
}

/// `f ⊗ g` of `[n, width]` and `[n, classes]`, all products; or `(f R_f) ⊙ (g R_g) / sqrt(1024)` for fixed normal matrices where
/// there are too many (equation 6 of the paper).
pub(super) struct Multilinear {
    width: usize,
    classes: usize,
    /// `[width, RANDOM]` and `[classes, RANDOM]`.
    random: Option<[Vec<f32>; 2]>,
}

impl Multilinear {
    pub(super) fn new(width: usize, classes: usize, seed: u64) -> Self {
        let draw = |step, inputs: usize| -> Vec<f32> {
            let mut stream = rng(seed, "cdan/random-map", step);
            (0..inputs * RANDOM).map(|_| StandardNormal.sample(&mut stream)).collect()
        };
        let random = (width * classes > MOST_PRODUCTS).then(|| [draw(0, width), draw(1, classes)]);
        Self { width, classes, random }
    }

    /// Columns of the map.
    pub(super) fn outputs(&self) -> usize {
        if self.random.is_some() { RANDOM } else { self.width * self.classes }
    }

    /// `[n, outputs]`
    pub(super) fn map(&self, features: Tensor<2>, predictions: Tensor<2>) -> Tensor<2> {
        let n = features.dims()[0];
        let (device, dtype) = (features.device(), features.dtype());
        match &self.random {
            None => {
                let (f, g) = (features.reshape([n, 1, self.width]), predictions.reshape([n, self.classes, 1]));
                (f * g).reshape([n, self.outputs()])
            }
            Some([of_features, of_predictions]) => {
                let matrix = |numbers: &Vec<f32>| {
                    let shape = [numbers.len() / RANDOM, RANDOM];
                    Tensor::<2>::from_data(TensorData::new(numbers.clone(), shape), (&device, dtype))
                };
                let products = features.matmul(matrix(of_features)) * predictions.matmul(matrix(of_predictions));
                products.div_scalar((RANDOM as f64).sqrt())
            }
        }
    }
}
