//! Opening a base for pictures of another number of channels than it was trained on, by its first convolution.
//!
//! The filters are those of timm's `adapt_input_conv` (Wightman, "PyTorch Image Models"): summed over the channels for
//! grey pictures, else repeated and scaled by old over new. What timm leaves to the user is done here too: the mean and
//! std of the card go with the filters, so that a grey picture gives what it gave as three equal channels.

use burn::tensor::Tensor;

use crate::backbone::bases::{Base, Body};
use crate::data::preprocess::{ChannelOrder, Preprocessing};
use crate::error::{Error, Problem, Result};

/// New filters out of old ones, and what is added to the output.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Remix {
    /// For each new channel the factor of each old one.
    factors: Vec<Vec<f64>>,
    /// For each old channel what each of its weights adds to the output.
    shifts: Vec<f64>,
}

impl Remix {
    /// Every new channel is an old one, over and over, scaled by old over new.
    fn repeated(old: usize, new: usize) -> Self {
        let scale = old as f64 / new as f64;
        let factor = |new: usize, channel: usize| if new % old == channel { scale } else { 0.0 };
        let factors = (0..new).map(|new| (0..old).map(|channel| factor(new, channel)).collect()).collect();
        Self { factors, shifts: vec![0.0; old] }
    }

    /// One channel in place of several that are equal before they are normalised: with the byte's share `b`,
    /// `sum_c W_c (b - m_c) / s_c = (sum_c W_c s / s_c) (b - m) / s + sum_c W_c (m - m_c) / s_c`.
    fn summed(own: &Preprocessing, mean: f64, std: f64) -> Self {
        Self {
            factors: vec![own.std.iter().map(|own| std / own).collect()],
            shifts: own.mean.iter().zip(&own.std).map(|(own, unit)| (mean - own) / unit).collect(),
        }
    }

    /// Number of channels that the new filters take.
    pub(super) fn channels(&self) -> usize {
        self.factors.len()
    }

    /// The new filters, `[rows, columns, new, C_out]`, out of `[rows, columns, old, C_out]`.
    pub(super) fn filters(&self, old: &[f32], [_, _, channels, outputs]: [usize; 4]) -> Vec<f32> {
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
    pub(super) fn summand(&self, old: &[f32], [_, _, channels, outputs]: [usize; 4]) -> Vec<f32> {
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
    fn shifts(&self) -> bool {
        self.shifts.iter().any(|shift| *shift != 0.0)
    }
}

/// The mean for one channel in place of several: theirs, where they agree. Else any mean is right inside the picture,
/// where the shift goes into the output, and none at the border, where padding takes the shift's taps away. This one
/// makes the shifts of single taps smallest, by least squares: with `a = sum_c W_c / s_c` and `b = sum_c W_c m_c / s_c`
/// of every tap and output, `sum a b / sum a a`.
fn grey_mean(own: &Preprocessing, filters: &[f32], [_, _, channels, outputs]: [usize; 4]) -> f64 {
    let first = own.mean[0];
    if own.mean.iter().all(|mean| *mean == first) {
        return first;
    }
    let (mut products, mut squares) = (0.0, 0.0);
    for tap in filters.chunks_exact((channels * outputs).max(1)) {
        for output in 0..outputs {
            let weight = |c: usize| f64::from(tap[c * outputs + output]) / own.std[c];
            let a: f64 = (0..channels).map(weight).sum();
            let b: f64 = (0..channels).map(|c| weight(c) * own.mean[c]).sum();
            (products, squares) = (products + a * b, squares + a * a);
        }
    }
    let (least, most) = own.mean.iter().fold((f64::MAX, f64::MIN), |(l, m), mean| (l.min(*mean), m.max(*mean)));
    let mean = products / squares;
    // Filters that see no brightness at all leave it open.
    if mean.is_finite() { mean.clamp(least, most) } else { average(&own.mean) }
}

fn average(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// What is said of the mean and std of the new channels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChannelStatistics {
    /// Subtracted from each channel, in the order of the network's channels.
    pub mean: Option<Vec<f64>>,
    /// Divided by.
    pub std: Option<Vec<f64>>,
}

impl Base {
    /// The base for pictures of `channels` channels: 1 for grey, 3 for colours, 4 for colours and alpha, or more for a
    /// program that has such pictures. A remark says what was done.
    ///
    /// - 3 to 1: filters are summed, each by its channel's std, and mean and std of the card become one. A grey picture
    ///   gives what it gave as three equal channels; but for the border of the first map, where the card's means
    ///   differ and the convolution pads: padding stood for a colour then, and stands for a grey now.
    /// - 1 to N: the filters are repeated, scaled by 1 / N. N equal channels give what one gave.
    /// - 3 to N: the filters are repeated, red green blue red ..., scaled by 3 / N. This keeps the size of the outputs
    ///   and no more: the new channels want training.
    ///
    /// New channels have the mean and std that are said of them, or else those of the old one, or the average of three.
    ///
    /// # Errors
    /// [`Error::Usage`] for an ONNX model, which takes what it takes; for a base of neither 1 nor 3 channels; for a
    /// mean and std that do not fit.
    pub fn for_channels(mut self, channels: usize, said: &ChannelStatistics) -> Result<Self> {
        let own = self.card.preprocessing.clone();
        if channels == own.channels {
            return Ok(self);
        }
        let id = self.card.id.clone();
        let refuse = |what: &str, expected: String| {
            let problem = Problem::new(what).expected(expected).found(format_args!("{channels} channels"));
            Err(Error::Usage(problem.at(&id)))
        };
        let Body::Stages(built) = &mut self.body else {
            let expected = format!("{} channels, as the model was exported", own.channels);
            return refuse("an ONNX model cannot be opened for other channels", expected);
        };
        if !matches!(own.channels, 1 | 3) || channels == 0 {
            let expected = format!("{} channels, those of the base", own.channels);
            return refuse("the base cannot be opened for this number of channels", expected);
        }
        let Some((filters, shape, pads)) = built.network.first_filters([own.height, own.width]) else {
            return refuse("the base does not begin with a convolution of its pictures", "its own channels".into());
        };
        let mut new = Preprocessing { channels, ..own.clone() };
        let remix = if channels == 1 {
            let (mean, std) = (grey_mean(&own, &filters, shape), average(&own.std));
            (new.mean, new.std) = (vec![mean], vec![std]);
            new.channel_order = ChannelOrder::Rgb;
            Remix::summed(&own, mean, std)
        } else {
            let each = |values: &[f64]| -> Vec<f64> {
                (0..channels).map(|c| values.get(c).copied().unwrap_or_else(|| average(values))).collect()
            };
            new.mean = said.mean.clone().unwrap_or_else(|| each(&own.mean));
            new.std = said.std.clone().unwrap_or_else(|| each(&own.std));
            Remix::repeated(own.channels, channels)
        };
        new.validate()?;
        let Some(network) = built.network.clone().remixed(&remix) else {
            return refuse("the base's first convolution has no place for a summand", "its own channels".into());
        };
        built.network = network;
        self.card.preprocessing = new;
        let old = own.channels;
        self.remarks.push(match channels {
            1 if pads && remix.shifts() => format!(
                "opened for grey pictures: the first filters are summed over {old} channels, with mean and std folded in; what a picture gives differs a little at its border, where the padding stood for a colour"
            ),
            1 => format!(
                "opened for grey pictures: the first filters are summed over {old} channels, with mean and std folded in; a picture gives what it gave as {old} equal channels"
            ),
            _ => format!(
                "opened for pictures of {channels} channels: the first filters are repeated, scaled by {old}/{channels}"
            ),
        });
        Ok(self)
    }
}

/// New values on the device of an old tensor, and with its wish for a gradient.
pub(super) fn like<const D: usize>(old: &Tensor<D>, values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    let device = old.device();
    let tensor = Tensor::from_data(burn::tensor::TensorData::new(values, shape), &device);
    // A parameter of a plain device cannot carry a gradient.
    if device.is_autodiff() { tensor.require_grad() } else { tensor }
}

#[cfg(test)]
#[path = "channels_tests.rs"]
mod tests;
