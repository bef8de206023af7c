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
                g.each_tap(pixel, channels, |tap, at| {
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
                g.each_tap(pixel, channels, |tap, at| {
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
                g.each_tap(pixel, channels, |tap, at| {
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
