//! Bias and clamp after a convolution, in one pass.

use pulp::Arch;

/// y = clamp(x + bias, low, high), in place; the bias repeats over rows.
pub(crate) fn bias_clamp(x: &mut [f32], bias: &[f32], low: f32, high: f32) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for row in x.chunks_exact_mut(bias.len()) {
                for (value, &b) in row.iter_mut().zip(bias) {
                    // Not `clamp`, which would let a NaN bound panic, and not `max` first on NaN input: NaN stays NaN.
                    let sum = *value + b;
                    let above = if sum < low { low } else { sum };
                    *value = if above > high { high } else { above };
                }
            }
        },
    );
}

/// Gradients (to x, to bias) given the output: zero where the output sits on a bound.
pub(crate) fn bias_clamp_backward(y: &[f32], gy: &[f32], channels: usize, low: f32, high: f32) -> (Vec<f32>, Vec<f32>) {
    let mut gx = gy.to_vec();
    let mut gb = vec![0.0f32; channels];
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (gradient, out) in gx.chunks_exact_mut(channels).zip(y.chunks_exact(channels)) {
                for ((g, &o), sum) in gradient.iter_mut().zip(out).zip(gb.iter_mut()) {
                    *g = if o > low && o < high { *g } else { 0.0 };
                    *sum += *g;
                }
            }
        },
    );
    (gx, gb)
}
