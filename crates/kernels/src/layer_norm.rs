//! Layer normalisation: every row has its own mean and variance (Ba et al. 2016).

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::vector::arch;
use crate::{row, scratch};

/// Rows of a task, and rows whose gradients of the parameters are summed in f32 before the sums go on in f64.
const BLOCK_ROWS: usize = 64;

/// Parameters of a layer norm.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LayerNorm<'a> {
    pub gamma: &'a [f32],
    pub beta: &'a [f32],
    pub epsilon: f32,
}

/// `y = gamma (x - mean) / sqrt(variance + epsilon) + beta`, with the biased variance; `x` and `y` are `[rows, C]`.
///
/// Gives the mean and `1 / sqrt(variance + epsilon)` of each row, `[rows, 2]`, for [`backward`].
pub(crate) fn forward(x: &[f32], norm: &LayerNorm<'_>, y: &mut [f32]) -> Vec<f32> {
    let columns = norm.gamma.len();
    assert!(columns > 0, "a row has at least one number");
    assert_eq!(norm.beta.len(), columns, "one beta for each gamma");
    assert_eq!(x.len() % columns, 0, "rows of {columns} numbers");
    assert_eq!(y.len(), x.len(), "an output as large as the input");
    let mut statistics = vec![0.0; x.len() / columns * 2];
    let size = BLOCK_ROWS * columns;
    let parts = x.par_chunks(size).zip(y.par_chunks_mut(size)).zip(statistics.par_chunks_mut(BLOCK_ROWS * 2));
    parts.for_each(|((x, y), statistics)| arch().dispatch(Forward { x, norm, y, statistics }));
    statistics
}

/// The same on this thread alone, where the statistics are of no use later.
pub(crate) fn forward_here(x: &[f32], norm: &LayerNorm<'_>, y: &mut [f32]) {
    let columns = norm.gamma.len();
    assert!(columns > 0 && norm.beta.len() == columns, "one beta for each gamma");
    assert!(x.len().is_multiple_of(columns) && y.len() == x.len(), "rows of {columns} numbers");
    scratch::with(x.len() / columns * 2, |statistics| arch().dispatch(Forward { x, norm, y, statistics }));
}

struct Forward<'a> {
    x: &'a [f32],
    norm: &'a LayerNorm<'a>,
    y: &'a mut [f32],
    statistics: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let LayerNorm { gamma, beta, epsilon } = *self.norm;
        let columns = gamma.len();
        let rows = self.x.chunks_exact(columns).zip(self.y.chunks_exact_mut(columns));
        for ((x, y), statistics) in rows.zip(self.statistics.chunks_exact_mut(2)) {
            let mean = row::sum(simd, x) / columns as f32;
            let variance = row::squares_about(simd, x, mean) / columns as f32;
            let inverse = 1.0 / (variance + epsilon).sqrt();
            statistics.copy_from_slice(&[mean, inverse]);
            for (((y, &x), &gamma), &beta) in y.iter_mut().zip(x).zip(gamma).zip(beta) {
                *y = (x - mean) * inverse * gamma + beta;
            }
        }
    }
}

/// Gradients of a layer norm.
#[derive(Debug)]
pub(crate) struct LayerNormGradients {
    /// `[rows, C]`
    pub x: Vec<f32>,
    /// `[C]`
    pub gamma: Vec<f32>,
    /// `[C]`
    pub beta: Vec<f32>,
}

/// Gradients given that to the output, from the input and the statistics that [`forward`] gave.
///
/// With `n = (x - mean) / std` and `h = gamma gradient`: `gx = (h - mean(h) - n mean(h n)) / std`.
pub(crate) fn backward(x: &[f32], gamma: &[f32], statistics: &[f32], gradient: &[f32]) -> LayerNormGradients {
    let columns = gamma.len();
    assert!(columns > 0, "a row has at least one number");
    assert_eq!(x.len() % columns, 0, "rows of {columns} numbers");
    assert_eq!(gradient.len(), x.len(), "a gradient as large as the input");
    assert_eq!(statistics.len(), x.len() / columns * 2, "a mean and a scale for each row");
    let mut gx = vec![0.0; x.len()];
    let size = BLOCK_ROWS * columns;
    let inputs = x.par_chunks(size).zip(gradient.par_chunks(size)).zip(statistics.par_chunks(BLOCK_ROWS * 2));
    let sums: Vec<Vec<f32>> = inputs
        .zip(gx.par_chunks_mut(size))
        .map(|(((x, gradient), statistics), gx)| {
            let mut sums = vec![0.0; 3 * columns];
            arch().dispatch(Backward { x, gamma, statistics, gradient, gx, sums: &mut sums });
            sums
        })
        .collect();
    // In the order of the blocks, whoever was first.
    let mut totals = vec![0.0f64; 2 * columns];
    for sums in sums {
        for (total, sum) in totals.iter_mut().zip(sums) {
            *total += f64::from(sum);
        }
    }
    let single = |totals: &[f64]| totals.iter().map(|&total| total as f32).collect();
    LayerNormGradients { x: gx, gamma: single(&totals[..columns]), beta: single(&totals[columns..]) }
}

struct Backward<'a> {
    x: &'a [f32],
    gamma: &'a [f32],
    statistics: &'a [f32],
    gradient: &'a [f32],
    gx: &'a mut [f32],
    /// Gradients of gamma and beta, added to; and room for a row.
    sums: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let columns = self.gamma.len();
        let (gamma_sums, rest) = self.sums.split_at_mut(columns);
        let (beta_sums, normal) = rest.split_at_mut(columns);
        let rows = self.x.chunks_exact(columns).zip(self.gradient.chunks_exact(columns));
        let rows = rows.zip(self.gx.chunks_exact_mut(columns)).zip(self.statistics.chunks_exact(2));
        for (((x, gradient), gx), statistics) in rows {
            let (mean, inverse) = (statistics[0], statistics[1]);
            for (n, &x) in normal.iter_mut().zip(x) {
                *n = (x - mean) * inverse;
            }
            for ((sum, &g), &n) in gamma_sums.iter_mut().zip(gradient).zip(normal.iter()) {
                *sum += g * n;
            }
            for (sum, &g) in beta_sums.iter_mut().zip(gradient) {
                *sum += g;
            }
            for ((h, &g), &gamma) in gx.iter_mut().zip(gradient).zip(self.gamma) {
                *h = g * gamma;
            }
            let level = row::sum(simd, gx) / columns as f32;
            let along = row::dot(simd, gx, normal) / columns as f32;
            for (h, &n) in gx.iter_mut().zip(normal.iter()) {
                *h = (*h - level - n * along) * inverse;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EPSILON: f32 = 1e-5;

    /// The definition, in f64.
    fn reference(x: &[f64], gamma: &[f64], beta: &[f64]) -> Vec<f64> {
        let columns = gamma.len();
        let mut y = Vec::new();
        for x in x.chunks(columns) {
            let mean = x.iter().sum::<f64>() / columns as f64;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / columns as f64;
            let std = (variance + f64::from(EPSILON)).sqrt();
            y.extend((0..columns).map(|c| gamma[c] * (x[c] - mean) / std + beta[c]));
        }
        y
    }

    /// The slope of `sum(gradient f(at))` in each number of `at`, by central differences.
    fn slopes(at: &[f64], gradient: &[f64], f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
        let value = |at: &[f64]| f(at).iter().zip(gradient).map(|(y, g)| y * g).sum::<f64>();
        let mut at = at.to_vec();
        (0..at.len())
            .map(|i| {
                let (old, step) = (at[i], 1e-5);
                at[i] = old + step;
                let above = value(&at);
                at[i] = old - step;
                let below = value(&at);
                at[i] = old;
                (above - below) / (2.0 * step)
            })
            .collect()
    }

    fn wide(values: &[f32]) -> Vec<f64> {
        values.iter().map(|&x| f64::from(x)).collect()
    }

    fn close(a: &[f32], b: &[f64], tolerance: f64) -> bool {
        let scale = b.iter().fold(1.0, |most: f64, x| most.max(x.abs()));
        a.len() == b.len() && a.iter().zip(b).all(|(&a, b)| (f64::from(a) - b).abs() <= tolerance * scale)
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|x| x.to_bits()).collect()
    }

    /// Numbers between -2 and 2.
    fn numbers(len: usize) -> impl Strategy<Value = Vec<f32>> {
        prop::collection::vec(-2.0f32..2.0, len)
    }

    fn problem(
        rows: impl Strategy<Value = usize>,
        columns: impl Strategy<Value = usize>,
    ) -> impl Strategy<Value = [Vec<f32>; 4]> {
        (rows, columns).prop_flat_map(|(rows, columns)| {
            [numbers(rows * columns), numbers(columns), numbers(columns), numbers(rows * columns)]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn the_output_is_the_definition([x, gamma, beta, _] in problem(0..150usize, 1..70usize)) {
            let mut y = vec![f32::NAN; x.len()];
            let norm = LayerNorm { gamma: &gamma, beta: &beta, epsilon: EPSILON };
            let statistics = forward(&x, &norm, &mut y);
            prop_assert_eq!(statistics.len() * gamma.len(), 2 * x.len());
            prop_assert!(close(&y, &reference(&wide(&x), &wide(&gamma), &wide(&beta)), 1e-4));
        }

        #[test]
        fn gradients_are_slopes([x, gamma, beta, gradient] in problem(1..5usize, 4..40usize)) {
            let norm = LayerNorm { gamma: &gamma, beta: &beta, epsilon: EPSILON };
            let statistics = forward(&x, &norm, &mut vec![0.0; x.len()]);
            let got = backward(&x, &gamma, &statistics, &gradient);
            let (x, gamma, beta, gradient) = (wide(&x), wide(&gamma), wide(&beta), wide(&gradient));
            prop_assert!(close(&got.x, &slopes(&x, &gradient, |x| reference(x, &gamma, &beta)), 1e-4));
            prop_assert!(close(&got.gamma, &slopes(&gamma, &gradient, |gamma| reference(&x, gamma, &beta)), 1e-5));
            prop_assert!(close(&got.beta, &slopes(&beta, &gradient, |beta| reference(&x, &gamma, beta)), 1e-5));
        }
    }

    /// Where a variance by the mean of squares would lose everything.
    #[test]
    fn rows_may_lie_far_from_zero() {
        let x: Vec<f32> = (0..10 * 50).map(|i| 1000.0 + (i as f32 * 0.37).sin()).collect();
        let (gamma, beta) = ([1.5; 50], [0.5; 50]);
        let mut y = vec![0.0; x.len()];
        forward(&x, &LayerNorm { gamma: &gamma, beta: &beta, epsilon: EPSILON }, &mut y);
        assert!(close(&y, &reference(&wide(&x), &wide(&gamma), &wide(&beta)), 1e-4));
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let (rows, columns) = (333, 37);
        let x: Vec<f32> = (0..rows * columns).map(|i| (i as f32 * 0.37).sin()).collect();
        let gamma: Vec<f32> = (0..columns).map(|i| 1.0 + (i as f32).cos()).collect();
        let norm = LayerNorm { gamma: &gamma, beta: &gamma, epsilon: EPSILON };
        let run = || {
            let mut y = vec![0.0; x.len()];
            let statistics = forward(&x, &norm, &mut y);
            let gradients = backward(&x, &gamma, &statistics, &y);
            [y, statistics, gradients.x, gradients.gamma, gradients.beta].map(|values| bits(&values))
        };
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(run);
        for threads in [2, 3] {
            assert!(rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run) == one);
        }
    }

    #[test]
    fn a_row_does_not_see_its_neighbours() {
        let columns = 21;
        let x: Vec<f32> = (0..130 * columns).map(|i| (i as f32 * 0.61).sin()).collect();
        let gamma = vec![1.5; columns];
        let norm = LayerNorm { gamma: &gamma, beta: &gamma, epsilon: EPSILON };
        let (mut all, mut last) = (vec![0.0; x.len()], vec![0.0; columns]);
        forward(&x, &norm, &mut all);
        forward(&x[129 * columns..], &norm, &mut last);
        assert_eq!(bits(&all[129 * columns..]), bits(&last));
    }

    #[test]
    fn no_rows_have_no_gradient() {
        let norm = LayerNorm { gamma: &[1.0, 2.0], beta: &[0.0, 0.0], epsilon: EPSILON };
        assert!(forward(&[], &norm, &mut []).is_empty());
        let gradients = backward(&[], norm.gamma, &[], &[]);
        assert!(gradients.x.is_empty());
        assert_eq!((gradients.gamma, gradients.beta), (vec![0.0; 2], vec![0.0; 2]));
    }
}
