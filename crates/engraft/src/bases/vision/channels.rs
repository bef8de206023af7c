//! Opening a base for images of another number of channels than it was trained on, by its first convolution.
//!
//! The filters are those of timm's `adapt_input_conv` (Wightman, "PyTorch Image Models"): summed over the channels for
//! grey images, else repeated and scaled by old over new. What timm leaves to the user is done here too: the mean and
//! std of the card go with the filters, so that a grey image gives what it gave as three equal channels.

use crate::bases::opening::{Base, Body};
use crate::bases::vision::remix::{ChannelStatistics, Remix};
use crate::data::preprocess::{ChannelOrder, Preprocessing};
use crate::error::{Error, Problem, Result};

/// The mean for one channel in place of several: theirs, where they agree. Else any mean is right inside the image,
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

impl Base {
    /// The base for images of `channels` channels: 1 for grey, 3 for colours, 4 for colours and alpha, or more for a
    /// program that has such images. A remark says what was done.
    ///
    /// - 3 to 1: filters are summed, each by its channel's std, and mean and std of the card become one. A grey image
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
    pub(crate) fn for_channels(mut self, channels: usize, said: &ChannelStatistics) -> Result<Self> {
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
            return refuse("the base does not begin with a convolution of its images", "its own channels".into());
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
                "opened for grey images: the first filters are summed over {old} channels, with mean and std folded in; what an image gives differs a little at its border, where the padding stood for a colour"
            ),
            1 => format!(
                "opened for grey images: the first filters are summed over {old} channels, with mean and std folded in; an image gives what it gave as {old} equal channels"
            ),
            _ => format!(
                "opened for images of {channels} channels: the first filters are repeated, scaled by {old}/{channels}"
            ),
        });
        Ok(self)
    }
}

#[cfg(test)]
#[path = "channels_tests.rs"]
mod tests;
