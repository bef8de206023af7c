//! Maximum and average over windows, channel-last.

use pulp::Arch;

use crate::convolution::Geometry;

/// Maximum over each window, padding left out: `[N, H, W, C]` to `[N, H', W', C]`.
pub(crate) fn max(x: &[f32], images: usize, channels: usize, g: &Geometry) -> Vec<f32> {
    let mut y = vec![f32::NEG_INFINITY; images * g.output[0] * g.output[1] * channels];
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (pixel, out) in y.chunks_exact_mut(channels).enumerate() {
                g.each_tap(pixel, channels, |_, at| {
                    for (most, &value) in out.iter_mut().zip(&x[at..at + channels]) {
                        *most = if value > *most { value } else { *most };
                    }
                });
            }
        },
    );
    y
}

/// Gradient of [`max`]: to the first of the largest in each window, in row-major order, as PyTorch does.
pub(crate) fn max_backward(x: &[f32], gy: &[f32], images: usize, channels: usize, g: &Geometry) -> Vec<f32> {
    let mut gx = vec![0.0; images * g.input[0] * g.input[1] * channels];
    let mut most = vec![0.0f32; channels];
    let mut place = vec![0usize; channels];
    for (pixel, gradient) in gy.chunks_exact(channels).enumerate() {
        most.fill(f32::NEG_INFINITY);
        place.fill(usize::MAX);
        g.each_tap(pixel, channels, |_, at| {
            for (channel, &value) in x[at..at + channels].iter().enumerate() {
                if value > most[channel] || place[channel] == usize::MAX {
                    most[channel] = value;
                    place[channel] = at + channel;
                }
            }
        });
        for (&at, &value) in place.iter().zip(gradient) {
            if at != usize::MAX {
                gx[at] += value;
            }
        }
    }
    gx
}

/// Mean over each window; `count_padding` says whether zeros of the padding count.
pub(crate) fn average(x: &[f32], images: usize, channels: usize, g: &Geometry, count_padding: bool) -> Vec<f32> {
    let mut y = vec![0.0; images * g.output[0] * g.output[1] * channels];
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (pixel, out) in y.chunks_exact_mut(channels).enumerate() {
                g.each_tap(pixel, channels, |_, at| {
                    for (sum, &value) in out.iter_mut().zip(&x[at..at + channels]) {
                        *sum += value;
                    }
                });
                let scale = 1.0 / g.window(pixel, count_padding) as f32;
                for sum in out {
                    *sum *= scale;
                }
            }
        },
    );
    y
}

/// Gradient of [`average`].
pub(crate) fn average_backward(
    gy: &[f32],
    images: usize,
    channels: usize,
    g: &Geometry,
    count_padding: bool,
) -> Vec<f32> {
    let mut gx = vec![0.0; images * g.input[0] * g.input[1] * channels];
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (pixel, gradient) in gy.chunks_exact(channels).enumerate() {
                let scale = 1.0 / g.window(pixel, count_padding) as f32;
                g.each_tap(pixel, channels, |_, at| {
                    for (sum, &value) in gx[at..at + channels].iter_mut().zip(gradient) {
                        *sum += value * scale;
                    }
                });
            }
        },
    );
    gx
}
