//! What the trained methods learn: a linear bottleneck on standardised features, and a linear classifier on its outputs. As
//! nothing lies between them, both together are one linear head for raw features.

use burn::module::Module;
use burn::prelude::*;
use burn::tensor::Device;
use engraft_kernels::Activation;
use faer::Mat;
use rand_distr::{Distribution, StandardNormal};

use super::Domains;
use super::alignments::before_map;
use super::dense::Dense;
use super::discriminator::Discriminator;
use crate::error::Result;
use crate::features::Features;
use crate::heads::Linear;
use crate::heads::standardise::Standardiser;
use crate::rng::rng;
use crate::similarity::moments::{Affine, pooled};
use crate::similarity::symmetric::product;

/// Outputs of the bottleneck (Long et al. 2018, section 5.1); no more than there are columns, no fewer than classes.
const WIDTH: usize = 256;
/// Rows that the directions of the start are found from.
const SAMPLE: usize = 2048;
/// A direction of which less than this share is left beside the others is none of its own.
const NEGLIGIBLE: f64 = 1e-6;

/// Bottleneck, classifier, and whatever a loss learns beside them.
#[derive(Module, Debug)]
pub(super) struct Adapter {
    /// `[columns, width]`
    pub(super) bottleneck: Dense,
    /// `[width, classes]`; its logits are calibrated: their temperature is 1.
    pub(super) classifier: Dense,
    /// Of the adversarial methods.
    pub(super) discriminator: Option<Discriminator>,
}

/// What an adapter makes of a batch.
#[derive(Debug, Clone)]
pub(super) struct Outputs {
    /// `[n, width]`
    pub(super) features: Tensor<2>,
    /// `[n, classes]`
    pub(super) logits: Tensor<2>,
}

impl Adapter {
    /// Outputs for standardised rows `[n, columns]`.
    pub(super) fn outputs(&self, x: Tensor<2>) -> Outputs {
        let features = self.bottleneck.forward(x, Activation::None);
        Outputs { logits: self.classifier.forward(features.clone(), Activation::None), features }
    }
}

/// Both domains on one scale.
pub(super) struct Frame {
    standardiser: Standardiser,
    /// Standardised, `[examples, columns]`.
    pub(super) source: Features,
    /// The same of the target.
    pub(super) target: Features,
    temperature: f64,
    classes: usize,
}

impl Frame {
    /// Standardises by mean and deviation of the rows of both domains, so that neither lies far from 0.
    ///
    /// # Errors
    /// Domains of different width.
    pub(super) fn of(domains: &Domains<'_>) -> Result<Self> {
        let both = pooled(domains.source, domains.target)?;
        let all: Vec<usize> = (0..both.rows).collect();
        let standardiser = Standardiser::fit(&both, &all);
        let standardised = |features: &Features| {
            let mut features = features.clone();
            for row in features.values.chunks_exact_mut(features.columns.max(1)) {
                let numbers = row.iter_mut().zip(&standardiser.mean).zip(&standardiser.scale);
                numbers.for_each(|((x, mean), scale)| *x = ((f64::from(*x) - mean) / scale) as f32);
            }
            features
        };
        let (source, target) = (standardised(domains.source), standardised(domains.target));
        let Domains { temperature, classes, .. } = *domains;
        Ok(Self { standardiser, source, target, temperature, classes })
    }

    /// Outputs of the bottleneck.
    pub(super) fn width(&self) -> usize {
        self.source.columns.min(WIDTH.max(self.classes))
    }

    /// The adapter that answers as a head on raw features does.
    ///
    /// With `A` `[columns, classes]` for the head on standardised rows the bottleneck is an orthonormal basis `B` of the columns
    /// of `A` and of the directions in which examples differ most (a randomised range finder with one power iteration: Halko,
    /// Martinsson and Tropp 2011, algorithm 4.3), and the classifier is `B' A`: `B B' A = A`.
    pub(super) fn adapter(&self, head: &Linear, seed: u64, device: &Device) -> Adapter {
        let (columns, width, classes) = (self.source.columns, self.width(), self.classes);
        let mut directions = vec![vec![0.0; columns]; classes];
        let mut bias = Vec::with_capacity(classes);
        for (class, direction) in directions.iter_mut().enumerate() {
            let weights = &head.weights[class * columns..][..columns];
            let Standardiser { mean, scale } = &self.standardiser;
            let scaled = direction.iter_mut().zip(weights).zip(scale);
            scaled.for_each(|((to, weight), scale)| *to = weight * scale / self.temperature);
            let at_mean: f64 = weights.iter().zip(mean).map(|(weight, mean)| weight * mean).sum();
            bias.push(((head.intercepts[class] + at_mean) / self.temperature) as f32);
        }
        let basis = self.basis(&directions, width, seed);
        let bottleneck = (0..columns).flat_map(|c| basis.iter().map(move |axis| axis[c] as f32)).collect();
        let along = |axis: &[f64]| directions.iter().map(|to| dot(axis, to) as f32).collect::<Vec<f32>>();
        let classifier = basis.iter().flat_map(|axis| along(axis)).collect();
        Adapter {
            bottleneck: Dense::new("bottleneck", bottleneck, vec![0.0; width], device),
            classifier: Dense::new("classifier", classifier, bias, device),
            discriminator: None,
        }
    }

    /// `width` orthonormal vectors of `[columns]`, whose span holds the given directions.
    fn basis(&self, directions: &[Vec<f64>], width: usize, seed: u64) -> Vec<Vec<f64>> {
        let columns = self.source.columns;
        if width == columns {
            return (0..columns).map(|axis| (0..columns).map(|c| f64::from(u8::from(c == axis))).collect()).collect();
        }
        let mut basis: Vec<Vec<f64>> = Vec::with_capacity(width);
        directions.iter().for_each(|direction| extend(&mut basis, direction.clone()));
        let mut stream = rng(seed, "bottleneck", 0);
        let mut normal = || -> f64 { StandardNormal.sample(&mut stream) };
        let rows = self.sample();
        let x = Mat::from_fn(rows.len(), columns, |row, column| f64::from(rows[row][column]));
        let drawn = Mat::from_fn(rows.len(), width, |_, _| normal());
        let once = product(x.transpose(), drawn.as_ref());
        let range = product(x.transpose(), product(x.as_ref(), once.as_ref()).as_ref());
        for axis in 0..width {
            if basis.len() < width {
                extend(&mut basis, range.col(axis).iter().copied().collect());
            }
        }
        // Fewer examples than outputs: any direction serves.
        while basis.len() < width {
            extend(&mut basis, (0..columns).map(|_| normal()).collect());
        }
        basis
    }

    /// Evenly spaced rows of both domains.
    fn sample(&self) -> Vec<&[f32]> {
        let total = self.source.rows + self.target.rows;
        let take = total.min(SAMPLE);
        let row = |at: usize| match at.checked_sub(self.source.rows) {
            None => self.source.row(at),
            Some(at) => self.target.row(at),
        };
        (0..take).map(|at| row(at * total / take)).collect()
    }

    /// Bottleneck and classifier as one head for raw features, at the temperature of the source's.
    ///
    /// # Errors
    /// Numbers that are not finite.
    pub(super) fn head(&self, adapter: &Adapter) -> Result<Linear> {
        let (weight, bias) = adapter.bottleneck.numbers();
        let (classifier, logits) = adapter.classifier.numbers();
        let (columns, width, classes) = (self.source.columns, bias.len(), logits.len());
        let Standardiser { mean, scale } = &self.standardiser;
        let matrix = Mat::from_fn(columns, width, |row, column| weight[row * width + column] / scale[row]);
        let map = Affine { matrix, from: mean.clone(), to: bias };
        let at = |class: usize| classifier.iter().skip(class).step_by(classes).map(|w| w * self.temperature);
        let head = Linear {
            outputs: classes,
            columns: width,
            weights: (0..classes).flat_map(at).collect(),
            intercepts: logits.iter().map(|b| b * self.temperature).collect(),
        };
        let head = before_map(&head, &map);
        head.check()?;
        Ok(head)
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Adds what a vector has beside an orthonormal basis, if it has any (Gram and Schmidt, twice for its rounding).
fn extend(basis: &mut Vec<Vec<f64>>, mut vector: Vec<f64>) {
    let before = dot(&vector, &vector).sqrt();
    for _ in 0..2 {
        for axis in basis.iter() {
            let along = dot(axis, &vector);
            vector.iter_mut().zip(axis).for_each(|(x, axis)| *x -= along * axis);
        }
    }
    let length = dot(&vector, &vector).sqrt();
    if length > NEGLIGIBLE * before {
        vector.iter_mut().for_each(|x| *x /= length);
        basis.push(vector);
    }
}
