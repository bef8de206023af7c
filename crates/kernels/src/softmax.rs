//! Softmax over the last axis.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::activation::exp;
use crate::row;
use crate::vector::arch;

/// Numbers of a task, about.
const TASK_NUMBERS: usize = 1 << 13;

/// `y = e^x / sum(e^x)` for each row of `columns` numbers, from the row's largest number down.
///
/// As in PyTorch, a row that is minus infinity everywhere gives NaN: there is no distribution over nothing. Attention
/// has an answer of its own, see [`crate::attention`].
pub(crate) fn forward(x: &[f32], columns: usize, y: &mut [f32]) {
    assert!(columns > 0, "a row has at least one number");
    assert_eq!(x.len() % columns, 0, "rows of {columns} numbers");
    assert_eq!(y.len(), x.len(), "an output as large as the input");
    let size = task_size(columns);
    y.par_chunks_mut(size).zip(x.par_chunks(size)).for_each(|(y, x)| arch().dispatch(Forward { x, columns, y }));
}

/// Numbers of a task: whole rows.
fn task_size(columns: usize) -> usize {
    TASK_NUMBERS.div_ceil(columns) * columns
}

struct Forward<'a> {
    x: &'a [f32],
    columns: usize,
    y: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (x, y) in self.x.chunks_exact(self.columns).zip(self.y.chunks_exact_mut(self.columns)) {
            let largest = row::maximum(simd, x);
            for (y, &x) in y.iter_mut().zip(x) {
                *y = exp(x - largest);
            }
            let scale = 1.0 / row::sum(simd, y);
            for y in y {
                *y *= scale;
            }
        }
    }
}

/// `gx = y (gradient - sum(gradient y))` for each row, from the output of [`forward`].
pub(crate) fn backward(y: &[f32], gradient: &[f32], columns: usize, gx: &mut [f32]) {
    assert!(columns > 0, "a row has at least one number");
    assert_eq!(y.len() % columns, 0, "rows of {columns} numbers");
    assert_eq!((gradient.len(), gx.len()), (y.len(), y.len()), "gradients as large as the output");
    let size = task_size(columns);
    gx.par_chunks_mut(size)
        .zip(y.par_chunks(size).zip(gradient.par_chunks(size)))
        .for_each(|(gx, (y, gradient))| arch().dispatch(Backward { y, gradient, columns, gx }));
}

struct Backward<'a> {
    y: &'a [f32],
    gradient: &'a [f32],
    columns: usize,
    gx: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let n = self.columns;
        for ((y, gradient), gx) in
            self.y.chunks_exact(n).zip(self.gradient.chunks_exact(n)).zip(self.gx.chunks_exact_mut(n))
        {
            let mean = row::dot(simd, y, gradient);
            for ((gx, &y), &gradient) in gx.iter_mut().zip(y).zip(gradient) {
                *gx = y * (gradient - mean);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, in f64.
    fn reference(x: &[f32]) -> Vec<f64> {
        let largest = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f64> = x.iter().map(|&x| (f64::from(x) - f64::from(largest)).exp()).collect();
        let sum: f64 = powers.iter().sum();
        powers.iter().map(|power| power / sum).collect()
    }

    fn rows() -> impl Strategy<Value = (usize, Vec<f32>, Vec<f32>)> {
        (0..20usize, 1..70usize, 0.1f32..40.0).prop_flat_map(|(rows, columns, most)| {
            let numbers = |most: f32| prop::collection::vec(-most..most, rows * columns);
            (Just(columns), numbers(most), numbers(1.0))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn the_output_is_the_definition((columns, x, _) in rows()) {
            let mut y = vec![f32::NAN; x.len()];
            forward(&x, columns, &mut y);
            for (y, x) in y.chunks(columns).zip(x.chunks(columns)) {
                for (&y, expected) in y.iter().zip(reference(x)) {
                    // Half a unit in the last place of the largest distance between numbers, 80, and some.
                    prop_assert!((f64::from(y) - expected).abs() <= 5e-6 * expected + 1e-37, "{y} for {expected}");
                }
            }
        }

        #[test]
        fn the_gradient_is_the_jacobian_s((columns, x, gradient) in rows()) {
            let mut y = vec![0.0; x.len()];
            forward(&x, columns, &mut y);
            let mut gx = vec![f32::NAN; x.len()];
            backward(&y, &gradient, columns, &mut gx);
            for ((x, gradient), gx) in x.chunks(columns).zip(gradient.chunks(columns)).zip(gx.chunks(columns)) {
                let y = reference(x);
                for i in 0..columns {
                    // dy[j] / dx[i] = y[j] ((i = j) - y[i])
                    let slope = |j: usize| y[j] * (f64::from(u8::from(i == j)) - y[i]);
                    let expected: f64 = (0..columns).map(|j| f64::from(gradient[j]) * slope(j)).sum();
                    prop_assert!((f64::from(gx[i]) - expected).abs() < 1e-6, "{} for {expected}", gx[i]);
                }
            }
        }
    }

    #[test]
    fn masked_numbers_weigh_nothing() {
        let mut y = [f32::NAN; 4];
        forward(&[1.0, f32::NEG_INFINITY, 1.0, f32::NEG_INFINITY], 4, &mut y);
        assert_eq!(y, [0.5, 0.0, 0.5, 0.0]);
    }

    #[test]
    fn a_row_without_any_number_is_nan() {
        let mut y = [0.0; 6];
        forward(&[f32::NEG_INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY, 0.0, f32::NAN, 0.0], 3, &mut y);
        assert!(y.iter().all(|y| y.is_nan()));
    }

    #[test]
    fn threads_and_neighbours_do_not_change_a_bit() {
        let columns = 45;
        let x: Vec<f32> = (0..1000 * columns).map(|i| 5.0 * (i as f32 * 0.37).sin()).collect();
        let run = || {
            let (mut y, mut gx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
            forward(&x, columns, &mut y);
            backward(&y, &x, columns, &mut gx);
            [y, gx].map(|values| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
        };
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(run);
        for threads in [2, 3] {
            assert!(rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run) == one);
        }
        let mut last = vec![0.0; columns];
        forward(&x[999 * columns..], columns, &mut last);
        assert!(last.iter().map(|y| y.to_bits()).eq(one[0][999 * columns..].iter().copied()));
    }

    #[test]
    fn no_rows_give_none() {
        forward(&[], 3, &mut []);
        backward(&[], &[], 3, &mut []);
    }
}
