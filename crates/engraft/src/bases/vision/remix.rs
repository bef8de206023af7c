//! The first filters of a network for images of another number of channels, as numbers.

use burn::tensor::{Tensor, TensorData};

use crate::data::preprocess::Preprocessing;

/// New filters out of old ones, and what is added to the output.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::bases) struct Remix {
    /// For each new channel the factor of each old one.
    factors: Vec<Vec<f64>>,
    /// For each old channel what each of its weights adds to the output.
    shifts: Vec<f64>,
}

impl Remix {
    /// Every new channel is an old one, over and over, scaled by old over new.
    pub(in crate::bases) fn repeated(old: usize, new: usize) -> Self {
        let scale = old as f64 / new as f64;
        let factor = |new: usize, channel: usize| if new % old == channel { scale } else { 0.0 };
        let factors = (0..new).map(|new| (0..old).map(|channel| factor(new, channel)).collect()).collect();
        Self { factors, shifts: vec![0.0; old] }
    }

    /// One channel in place of several that are equal before they are normalised: with the byte's share `b`,
    /// `sum_c W_c (b - m_c) / s_c = (sum_c W_c s / s_c) (b - m) / s + sum_c W_c (m - m_c) / s_c`.
    pub(in crate::bases) fn summed(own: &Preprocessing, mean: f64, std: f64) -> Self {
        Self {
            factors: vec![own.std.iter().map(|own| std / own).collect()],
            shifts: own.mean.iter().zip(&own.std).map(|(own, unit)| (mean - own) / unit).collect(),
        }
    }

    /// Number of channels that the new filters take.
    pub(in crate::bases) fn channels(&self) -> usize {
        self.factors.len()
    }

    /// The new filters, `[rows, columns, new, C_out]`, out of `[rows, columns, old, C_out]`.
    pub(in crate::bases) fn filters(&self, old: &[f32], [_, _, channels, outputs]: [usize; 4]) -> Vec<f32> {
        let mut new = Vec::with_capacity(old.len() / channels.max(1) * self.channels());
        for tap in old.chunks_exact((channels * outputs).max(1)) {
            for factors in &self.factors {
                new.extend((0..outputs).map(|output| {
                    let terms = factors.iter().enumerate();
                    terms.map(|(c, factor)| factor * f64::from(tap[c * outputs + output])).sum::<f64>() as f32
                }));
            }
        }
        new
    }

    /// What is added to each output, `[C_out]`: the shifts of all taps.
    pub(in crate::bases) fn summand(&self, old: &[f32], [_, _, channels, outputs]: [usize; 4]) -> Vec<f32> {
        let mut sums = vec![0.0f64; outputs];
        for tap in old.chunks_exact((channels * outputs).max(1)) {
            for (weights, shift) in tap.chunks_exact(outputs).zip(&self.shifts) {
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum += shift * f64::from(*weight);
                }
            }
        }
        sums.into_iter().map(|sum| sum as f32).collect()
    }

    /// Whether anything is added.
    pub(in crate::bases) fn shifts(&self) -> bool {
        self.shifts.iter().any(|shift| *shift != 0.0)
    }
}

/// What is said of the mean and std of the new channels.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ChannelStatistics {
    /// Subtracted from each channel, in the order of the network's channels.
    pub(crate) mean: Option<Vec<f64>>,
    /// Divided by.
    pub(crate) std: Option<Vec<f64>>,
}

/// New values on the device of an old tensor, and with its wish for a gradient.
pub(in crate::bases) fn like<const D: usize>(old: &Tensor<D>, values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    let device = old.device();
    let tensor = Tensor::from_data(TensorData::new(values, shape), &device);
    // A parameter of a plain device cannot carry a gradient.
    if device.is_autodiff() { tensor.require_grad() } else { tensor }
}
