//! Maximum and average over windows, channel-last, an image or a row of outputs to each task.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::geometry::Geometry;
use crate::vector::arch;

/// What a window gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pool {
    /// The largest; padding is never it.
    Max,
    /// The mean; whether zeros of the padding count.
    Average(bool),
}

/// `[N, H, W, C]` to `[N, H', W', C]`.
pub(crate) fn forward(pool: Pool, x: &[f32], channels: usize, g: &Geometry, y: &mut [f32]) {
    let width = g.output[1] * channels;
    if width == 0 {
        return;
    }
    y.par_chunks_mut(width).enumerate().with_min_len(4).for_each(|(row, y)| {
        arch().dispatch(PoolRow { pool, x, channels, g, row, y });
    });
}

/// One row of outputs.
struct PoolRow<'a> {
    pool: Pool,
    x: &'a [f32],
    channels: usize,
    g: &'a Geometry,
    row: usize,
    y: &'a mut [f32],
}

impl WithSimd for PoolRow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { pool, x, channels, g, row, y } = self;
        let first = row * g.output[1];
        for (column, out) in y.chunks_exact_mut(channels).enumerate() {
            match pool {
                Pool::Max => {
                    out.fill(f32::NEG_INFINITY);
                    g.each_tap(first + column, channels, |_, at| {
                        for (most, &value) in out.iter_mut().zip(&x[at..at + channels]) {
                            // Once NaN, nothing is larger: it stays, as PyTorch has it.
                            *most = if value > *most || value.is_nan() { value } else { *most };
                        }
                    });
                }
                Pool::Average(count_padding) => {
                    out.fill(0.0);
                    g.each_tap(first + column, channels, |_, at| {
                        for (sum, &value) in out.iter_mut().zip(&x[at..at + channels]) {
                            *sum += value;
                        }
                    });
                    let scale = 1.0 / g.window(first + column, count_padding) as f32;
                    for sum in out {
                        *sum *= scale;
                    }
                }
            }
        }
    }
}

/// Gradient to the input. That of a maximum goes to the first of the largest in each window, in row-major order, as
/// PyTorch does; `x` and `y` are what the forward pass took and gave.
pub(crate) fn backward(
    pool: Pool,
    x: &[f32],
    y: &[f32],
    gradient: &[f32],
    channels: usize,
    g: &Geometry,
    gx: &mut [f32],
) {
    let (of_x, of_y) = (g.input[0] * g.input[1] * channels, g.output[0] * g.output[1] * channels);
    if of_x == 0 || of_y == 0 {
        return;
    }
    gx.par_chunks_mut(of_x).enumerate().for_each(|(image, gx)| {
        let part = image * of_y..(image + 1) * of_y;
        let gradient = &gradient[part.clone()];
        match pool {
            Pool::Max => {
                let (x, y) = (&x[image * of_x..(image + 1) * of_x], &y[part]);
                arch().dispatch(MaxBackward { x, y, gradient, channels, g, gx });
            }
            Pool::Average(count_padding) => {
                arch().dispatch(AverageBackward { gradient, channels, g, count_padding, gx });
            }
        }
    });
}

struct MaxBackward<'a> {
    x: &'a [f32],
    y: &'a [f32],
    gradient: &'a [f32],
    channels: usize,
    g: &'a Geometry,
    gx: &'a mut [f32],
}

impl WithSimd for MaxBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { x, y, gradient, channels, g, gx } = self;
        // What is left to give away in this window.
        let mut left = vec![0.0f32; channels];
        for (pixel, most) in y.chunks_exact(channels).enumerate() {
            left.copy_from_slice(&gradient[pixel * channels..(pixel + 1) * channels]);
            g.each_tap(pixel, channels, |_, at| {
                let (x, gx) = (&x[at..at + channels], &mut gx[at..at + channels]);
                for (((g, left), &x), &most) in gx.iter_mut().zip(&mut left).zip(x).zip(most) {
                    let hit = x == most || x.is_nan();
                    *g += if hit { *left } else { 0.0 };
                    *left = if hit { 0.0 } else { *left };
                }
            });
        }
    }
}

struct AverageBackward<'a> {
    gradient: &'a [f32],
    channels: usize,
    g: &'a Geometry,
    count_padding: bool,
    gx: &'a mut [f32],
}

impl WithSimd for AverageBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { gradient, channels, g, count_padding, gx } = self;
        for (pixel, gradient) in gradient.chunks_exact(channels).enumerate() {
            let scale = 1.0 / g.window(pixel, count_padding) as f32;
            g.each_tap(pixel, channels, |_, at| {
                for (sum, &value) in gx[at..at + channels].iter_mut().zip(gradient) {
                    *sum += value * scale;
                }
            });
        }
    }
}

/// The mean over all pixels of each image: `[N, pixels, C]` to `[N, C]`.
pub(crate) fn global_average(x: &[f32], pixels: usize, channels: usize, y: &mut [f32]) {
    assert_eq!(x.len(), y.len() * pixels);
    if pixels == 0 || channels == 0 {
        return;
    }
    y.par_chunks_mut(channels).zip(x.par_chunks_exact(pixels * channels)).for_each(|(y, x)| {
        arch().dispatch(Mean { x, y });
    });
}

/// Its gradient: each pixel's share, `[N, C]` to `[N, pixels, C]`.
pub(crate) fn global_average_backward(gradient: &[f32], pixels: usize, channels: usize, gx: &mut [f32]) {
    assert_eq!(gx.len(), gradient.len() * pixels);
    if pixels == 0 || channels == 0 {
        return;
    }
    let share = 1.0 / pixels as f32;
    gx.par_chunks_mut(pixels * channels).zip(gradient.par_chunks_exact(channels)).for_each(|(gx, gradient)| {
        for gx in gx.chunks_exact_mut(channels) {
            for (gx, g) in gx.iter_mut().zip(gradient) {
                *gx = g * share;
            }
        }
    });
}

struct Mean<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
}

impl WithSimd for Mean<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let channels = self.y.len();
        self.y.fill(0.0);
        let mut pixels = 0;
        for x in self.x.chunks_exact(channels) {
            for (sum, &value) in self.y.iter_mut().zip(x) {
                *sum += value;
            }
            pixels += 1;
        }
        let scale = 1.0 / pixels as f32;
        for sum in self.y {
            *sum *= scale;
        }
    }
}

#[cfg(test)]
mod tests;
