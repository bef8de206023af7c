//! Sums and maxima of a row, a few vectors side by side.
//!
//! The order of additions is that of the machine's vectors and the row's length alone.

use pulp::Simd;

use crate::vector::select;

/// Vectors taken side by side: one addition need not wait for another.
const STRANDS: usize = 4;

/// The sum.
#[inline(always)]
pub(crate) fn sum<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let (vectors, rest) = S::as_simd_f32s(row);
    let (chunks, last) = vectors.as_chunks::<STRANDS>();
    let mut sums = [simd.splat_f32s(0.0); STRANDS];
    for chunk in chunks {
        for i in 0..STRANDS {
            sums[i] = simd.add_f32s(sums[i], chunk[i]);
        }
    }
    for (sum, &vector) in sums.iter_mut().zip(last) {
        *sum = simd.add_f32s(*sum, vector);
    }
    rest.iter().fold(join(simd, sums), |sum, x| sum + x)
}

/// The sum of products.
#[inline(always)]
pub(crate) fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let ((a_vectors, a_rest), (b_vectors, b_rest)) = (S::as_simd_f32s(a), S::as_simd_f32s(b));
    let ((a_chunks, a_last), (b_chunks, b_last)) = (a_vectors.as_chunks::<STRANDS>(), b_vectors.as_chunks::<STRANDS>());
    let mut sums = [simd.splat_f32s(0.0); STRANDS];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for i in 0..STRANDS {
            sums[i] = simd.mul_add_e_f32s(a[i], b[i], sums[i]);
        }
    }
    for (sum, (&a, &b)) in sums.iter_mut().zip(a_last.iter().zip(b_last)) {
        *sum = simd.mul_add_e_f32s(a, b, *sum);
    }
    a_rest.iter().zip(b_rest).fold(join(simd, sums), |sum, (a, b)| sum + a * b)
}

/// The sum of squared distances from `centre`.
#[inline(always)]
pub(crate) fn squares_about<S: Simd>(simd: S, row: &[f32], centre: f32) -> f32 {
    let (vectors, rest) = S::as_simd_f32s(row);
    let (chunks, last) = vectors.as_chunks::<STRANDS>();
    let mut sums = [simd.splat_f32s(0.0); STRANDS];
    let middle = simd.splat_f32s(centre);
    for chunk in chunks {
        for i in 0..STRANDS {
            let distance = simd.sub_f32s(chunk[i], middle);
            sums[i] = simd.mul_add_e_f32s(distance, distance, sums[i]);
        }
    }
    for (sum, &vector) in sums.iter_mut().zip(last) {
        let distance = simd.sub_f32s(vector, middle);
        *sum = simd.mul_add_e_f32s(distance, distance, *sum);
    }
    rest.iter().fold(join(simd, sums), |sum, x| sum + (x - centre) * (x - centre))
}

#[inline(always)]
fn join<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; STRANDS]) -> f32 {
    simd.reduce_sum_f32s(simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d)))
}

/// The largest number, NaN left out; of nothing, minus infinity.
#[inline(always)]
pub(crate) fn maximum<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let (vectors, rest) = S::as_simd_f32s(row);
    let mut largest = simd.splat_f32s(f32::NEG_INFINITY);
    for &vector in vectors {
        largest = larger(simd, largest, vector);
    }
    rest.iter().fold(simd.reduce_max_f32s(largest), |a, &b| if b > a { b } else { a })
}

/// The larger of each two numbers, `a` where `b` is NaN.
#[inline(always)]
pub(crate) fn larger<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
    select(simd, simd.greater_than_f32s(b, a), b, a)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulp::WithSimd;

    use super::*;
    use crate::vector::arch;

    /// All of them: sum, product with another, squares about a centre, maximum.
    struct All<'a>(&'a [f32], &'a [f32], f32);

    impl WithSimd for All<'_> {
        type Output = [f32; 4];

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> [f32; 4] {
            let Self(row, other, centre) = self;
            [sum(simd, row), dot(simd, row, other), squares_about(simd, row, centre), maximum(simd, row)]
        }
    }

    proptest! {
        #[test]
        fn they_are_what_they_say(row in prop::collection::vec(-10.0f32..10.0, 0..150), centre in -5.0f32..5.0) {
            let other: Vec<f32> = row.iter().rev().copied().collect();
            let [sum, dot, squares, maximum] = arch().dispatch(All(&row, &other, centre));
            let wide: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
            let squared: f64 = wide.iter().map(|x| x * x).sum();
            let close = |a: f32, b: f64| (f64::from(a) - b).abs() < 1e-6 * (1.0 + squared);
            prop_assert!(close(sum, wide.iter().sum()));
            prop_assert!(close(dot, wide.iter().zip(wide.iter().rev()).map(|(a, b)| a * b).sum()));
            let about = wide.iter().map(|x| (x - f64::from(centre)).powi(2)).sum::<f64>();
            prop_assert!((f64::from(squares) - about).abs() <= 1e-6 * about);
            prop_assert_eq!(maximum, row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
    }

    #[test]
    fn the_maximum_leaves_nan_out() {
        for len in [3, 40, 41] {
            let mut row = vec![f32::NAN; len];
            assert_eq!(arch().dispatch(All(&row, &row, 0.0))[3], f32::NEG_INFINITY);
            row[len / 2] = 1.0;
            assert_eq!(arch().dispatch(All(&row, &row, 0.0))[3], 1.0);
        }
    }
}
