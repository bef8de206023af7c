//! A depthwise convolution, the pointwise one after it and, where there is one, the pointwise one before it, as networks for
//! small devices have them (Howard et al. 2017; Sandler et al. 2018): row by row, so that the wide maps between them never
//! leave the cache.
//!
//! Some rows of the result at a time, a strip: the rows that they see are widened, unless the strip before has widened them
//! already, convolved, and narrowed again. Every number is computed as the three convolutions by themselves would.

use std::ops::Range;

use rayon::prelude::*;

use crate::activation::Activation;
use crate::depthwise::{self, Taps};
use crate::gemm::{Epilogue, Panels, matrix_product_here};
use crate::geometry::Geometry;
use crate::scratch;

/// Numbers of the maps between the convolutions that a strip may hold: half of what a core's second-level cache holds.
const STRIP_NUMBERS: usize = 1 << 17;

/// A pointwise convolution.
#[derive(Debug)]
pub(crate) struct Pointwise {
    pub panels: Panels,
    pub bias: Option<Vec<f32>>,
    pub activation: Activation,
}

impl Pointwise {
    fn apply(&self, x: &[f32], residual: Option<&[f32]>, y: &mut [f32]) {
        let epilogue = Epilogue { bias: self.bias.as_deref(), residual, activation: self.activation };
        matrix_product_here(x, &self.panels, y, &epilogue);
    }
}

/// The convolutions in a row.
#[derive(Debug)]
pub(crate) struct Separable {
    /// Widens the pixels of the input.
    pub widen: Option<Pointwise>,
    pub geometry: Geometry,
    /// Channels of the maps between.
    pub channels: usize,
    /// Of the depthwise convolution, `[rows, columns, channels]`.
    pub taps: Vec<f32>,
    pub bias: Option<Vec<f32>>,
    pub activation: Activation,
    /// Narrows the pixels of the result.
    pub narrow: Pointwise,
}

impl Separable {
    /// Whether every strip sees some of the input, and the maps between are too large to stay in the cache as they are.
    pub(crate) fn pays(geometry: &Geometry, channels: usize) -> bool {
        let g = geometry;
        let reach = (g.kernel[0] - 1) * g.dilation[0] + 1;
        let last = g.output[0].saturating_sub(1) * g.stride[0];
        let between = (g.input[0] * g.input[1]).max(g.output[0] * g.output[1]) * channels;
        g.before[0] < reach && last < g.input[0] + g.before[0] && between > STRIP_NUMBERS
    }

    /// Numbers of an image of the result, to which `x` of `[rows, columns, channels]` becomes.
    fn output_len(&self) -> usize {
        self.geometry.output[0] * self.geometry.output[1] * self.narrow.panels.columns()
    }

    /// `y` of `images` images; each image is cut into `parts` for as many threads.
    pub(crate) fn forward(&self, x: &[f32], residual: Option<&[f32]>, images: usize, parts: usize, y: &mut [f32]) {
        let (of_x, of_y) = (x.len() / images.max(1), self.output_len());
        assert_eq!(y.len(), images * of_y, "an output for each image");
        if of_y == 0 {
            return;
        }
        let rows = self.geometry.output[0];
        let row = of_y / rows;
        let high = rows.div_ceil(parts.max(1));
        y.par_chunks_mut(of_y).enumerate().for_each(|(image, y)| {
            let x = &x[image * of_x..(image + 1) * of_x];
            let residual = residual.map(|residual| &residual[image * of_y..(image + 1) * of_y]);
            y.par_chunks_mut(high * row).enumerate().for_each(|(part, y)| {
                let first = part * high;
                let residual = residual.map(|residual| &residual[first * row..first * row + y.len()]);
                self.rows(x, residual, first..first + y.len() / row, y);
            });
        });
    }

    /// Some rows of an image's result.
    fn rows(&self, x: &[f32], residual: Option<&[f32]>, rows: Range<usize>, y: &mut [f32]) {
        let g = &self.geometry;
        let (wide, out) = (g.input[1] * self.channels, g.output[1] * self.channels);
        let reach = (g.kernel[0] - 1) * g.dilation[0] + 1;
        // A strip of `high` rows sees `(high - 1) stride + reach`.
        let left = STRIP_NUMBERS.saturating_sub((reach - g.stride[0].min(reach)) * wide);
        let high = (left / (g.stride[0] * wide + out).max(1)).clamp(1, rows.len().max(1));
        let seen = ((high - 1) * g.stride[0] + reach).min(g.input[0]);
        let widened = if self.widen.is_some() { seen * wide } else { 0 };
        scratch::with(widened + high * out, |memory| {
            let (widened, convolved) = memory.split_at_mut(widened);
            let row = y.len() / rows.len().max(1);
            let mut kept = 0..0;
            for first in rows.clone().step_by(high) {
                let last = (first + high).min(rows.end);
                let top = (first * g.stride[0]).saturating_sub(g.before[0]);
                let bottom = ((last - 1) * g.stride[0] + reach).saturating_sub(g.before[0]).min(g.input[0]);
                let seen = match &self.widen {
                    None => &x[top * wide..bottom * wide],
                    Some(layer) => {
                        let narrow = x.len() / g.input[0];
                        // What the strip before has widened of it comes first.
                        let from = kept.end.max(top);
                        if from > top {
                            widened.copy_within((top - kept.start) * wide..(from - kept.start) * wide, 0);
                        }
                        let new = &mut widened[(from - top) * wide..(bottom - top) * wide];
                        layer.apply(&x[from * narrow..bottom * narrow], None, new);
                        kept = top..bottom;
                        &widened[..(bottom - top) * wide]
                    }
                };
                let before = [(g.before[0] + top) - first * g.stride[0], g.before[1]];
                let strip =
                    Geometry { input: [bottom - top, g.input[1]], output: [last - first, g.output[1]], before, ..*g };
                let taps = Taps { values: &self.taps, channels: self.channels };
                let convolved = &mut convolved[..(last - first) * out];
                let epilogue = Epilogue { bias: self.bias.as_deref(), residual: None, activation: self.activation };
                depthwise::forward(seen, &taps, &strip, convolved, &epilogue);
                let of_strip = (first - rows.start) * row..(last - rows.start) * row;
                let residual = residual.map(|residual| &residual[of_strip.clone()]);
                self.narrow.apply(convolved, residual, &mut y[of_strip]);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{ConvOptions, Padding};
    use crate::reference::normal;

    fn pointwise(depth: usize, columns: usize, activation: Activation, seed: u64) -> Pointwise {
        let panels = Panels::of(&normal(depth * columns, seed), depth, columns);
        Pointwise { panels, bias: Some(normal(columns, seed + 1)), activation }
    }

    /// The convolutions one after the other on whole maps.
    fn apart(it: &Separable, x: &[f32], residual: Option<&[f32]>, images: usize) -> Vec<f32> {
        let g = &it.geometry;
        let pixels = images * g.output[0] * g.output[1];
        let widened = it.widen.as_ref().map(|layer| {
            let mut y = vec![0.0; images * g.input[0] * g.input[1] * it.channels];
            layer.apply(x, None, &mut y);
            y
        });
        let mut convolved = vec![0.0; pixels * it.channels];
        let taps = Taps { values: &it.taps, channels: it.channels };
        let epilogue = Epilogue { bias: it.bias.as_deref(), residual: None, activation: it.activation };
        depthwise::forward(widened.as_deref().unwrap_or(x), &taps, g, &mut convolved, &epilogue);
        let mut y = vec![0.0; pixels * it.narrow.panels.columns()];
        it.narrow.apply(&convolved, residual, &mut y);
        y
    }

    #[test]
    fn strips_change_no_bit() {
        let (inputs, channels, outputs, images) = (6, 500, 9, 2);
        for (kernel, stride, dilation, padding) in [
            ([3, 3], [1, 1], [1, 1], Padding::Symmetric([1, 1])),
            ([3, 3], [2, 2], [1, 1], Padding::Symmetric([1, 1])),
            ([3, 3], [2, 2], [1, 1], Padding::Same),
            ([5, 3], [1, 2], [1, 1], Padding::Explicit { before: [3, 0], after: [1, 2] }),
            ([3, 3], [1, 1], [2, 2], Padding::Symmetric([2, 2])),
            ([1, 1], [3, 3], [1, 1], Padding::Symmetric([0, 0])),
            ([3, 3], [1, 1], [1, 1], Padding::Symmetric([0, 0])),
        ] {
            let options = ConvOptions { stride, dilation, padding, ..ConvOptions::default() };
            let geometry = Geometry::new([25, 20], kernel, &options);
            assert!(Separable::pays(&geometry, channels));
            for widens in [true, false] {
                let it = Separable {
                    widen: widens.then(|| pointwise(inputs, channels, Activation::Relu6, 1)),
                    geometry,
                    channels,
                    taps: normal(kernel[0] * kernel[1] * channels, 3),
                    bias: Some(normal(channels, 4)),
                    activation: Activation::Relu,
                    narrow: pointwise(channels, outputs, Activation::None, 5),
                };
                let x = normal(images * 25 * 20 * if widens { inputs } else { channels }, 7);
                let residual = normal(images * geometry.output[0] * geometry.output[1] * outputs, 8);
                for residual in [None, Some(residual.as_slice())] {
                    let expected = apart(&it, &x, residual, images);
                    for parts in [1, 2, 3, 40] {
                        let mut y = vec![f32::NAN; expected.len()];
                        it.forward(&x, residual, images, parts, &mut y);
                        assert!(y == expected, "{kernel:?} {stride:?} {padding:?}, {parts} parts, widens {widens}");
                    }
                }
            }
        }
    }
}
