//! Depthwise convolution, channel-last: each channel has its own kernel.

use pulp::Arch;

use crate::convolution::Geometry;

/// `[N, H, W, C]` with taps `[kernel rows x kernel columns, C]` to `[N, H', W', C]`.
pub(crate) fn forward(x: &[f32], taps: &[f32], images: usize, channels: usize, g: &Geometry) -> Vec<f32> {
    let mut y = vec![0.0; images * g.output[0] * g.output[1] * channels];
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (pixel, out) in y.chunks_exact_mut(channels).enumerate() {
                each_tap(pixel, channels, g, |tap, at| {
                    for ((sum, &value), &weight) in
                        out.iter_mut().zip(&x[at..at + channels]).zip(&taps[tap * channels..][..channels])
                    {
                        *sum += value * weight;
                    }
                });
            }
        },
    );
    y
}

/// Gradient to the input.
pub(crate) fn backward_input(gy: &[f32], taps: &[f32], images: usize, channels: usize, g: &Geometry) -> Vec<f32> {
    let mut gx = vec![0.0; images * g.input[0] * g.input[1] * channels];
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (pixel, gradient) in gy.chunks_exact(channels).enumerate() {
                each_tap(pixel, channels, g, |tap, at| {
                    for ((sum, &value), &weight) in
                        gx[at..at + channels].iter_mut().zip(gradient).zip(&taps[tap * channels..][..channels])
                    {
                        *sum += value * weight;
                    }
                });
            }
        },
    );
    gx
}

/// Gradient to the taps, `[kernel rows x kernel columns, C]`.
pub(crate) fn backward_taps(x: &[f32], gy: &[f32], channels: usize, g: &Geometry) -> Vec<f32> {
    let mut gw = vec![0.0; g.kernel[0] * g.kernel[1] * channels];
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (pixel, gradient) in gy.chunks_exact(channels).enumerate() {
                each_tap(pixel, channels, g, |tap, at| {
                    for ((sum, &value), &input) in
                        gw[tap * channels..][..channels].iter_mut().zip(gradient).zip(&x[at..at + channels])
                    {
                        *sum += value * input;
                    }
                });
            }
        },
    );
    gw
}

/// Calls with (tap, offset into the input) for every tap of an output pixel that is not padding.
#[inline(always)]
fn each_tap(pixel: usize, channels: usize, g: &Geometry, mut each: impl FnMut(usize, usize)) {
    let (column, rest) = (pixel % g.output[1], pixel / g.output[1]);
    let (row, image) = (rest % g.output[0], rest / g.output[0]);
    for u in 0..g.kernel[0] {
        let Some(from_row) = g.source(0, row, u) else { continue };
        for v in 0..g.kernel[1] {
            let Some(from_column) = g.source(1, column, v) else { continue };
            each(u * g.kernel[1] + v, ((image * g.input[0] + from_row) * g.input[1] + from_column) * channels);
        }
    }
}
