//! Cross-entropy of rows of logits: the loss of a classifier, or of a language model's next word.
//!
//! No distribution is kept: the gradient computes it again from each row's logarithm of its sum of exponentials.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::activation::exp;
use crate::row;
use crate::vector::arch;

/// Numbers of a task, about.
const TASK_NUMBERS: usize = 1 << 14;

/// A row that does not count has this class.
pub(crate) const IGNORED: u32 = u32::MAX;

/// For each row of `columns` logits `ln(sum(e^x)) - x[class]`, and the logarithm, one after the other.
pub(crate) fn forward(x: &[f32], columns: usize, classes: &[u32]) -> Vec<[f32; 2]> {
    check(x, columns, classes);
    let rows = TASK_NUMBERS.div_ceil(columns);
    let mut found = vec![[0.0; 2]; classes.len()];
    found
        .par_chunks_mut(rows)
        .zip(x.par_chunks(rows * columns).zip(classes.par_chunks(rows)))
        .for_each(|(found, (x, classes))| arch().dispatch(Forward { x, columns, classes, found }));
    found
}

fn check(x: &[f32], columns: usize, classes: &[u32]) {
    assert!(columns > 0, "a row has at least one number");
    assert_eq!(x.len(), classes.len() * columns, "a class for each row of {columns}");
    assert!(
        classes.iter().all(|&class| class == IGNORED || (class as usize) < columns),
        "classes are fewer than {columns}"
    );
}

struct Forward<'a> {
    x: &'a [f32],
    columns: usize,
    classes: &'a [u32],
    found: &'a mut [[f32; 2]],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut powers = [0.0; 256];
        for ((x, &class), found) in self.x.chunks_exact(self.columns).zip(self.classes).zip(self.found) {
            if class == IGNORED {
                continue;
            }
            let largest = row::maximum(simd, x);
            let mut sum = 0.0;
            for x in x.chunks(powers.len()) {
                let powers = &mut powers[..x.len()];
                for (power, &x) in powers.iter_mut().zip(x) {
                    *power = exp(x - largest);
                }
                sum += row::sum(simd, powers);
            }
            let logarithm = largest + sum.ln();
            *found = [logarithm - x[class as usize], logarithm];
        }
    }
}

/// `gx = gradient (softmax(x) - (class))` for each row, from the logarithms of [`forward`].
pub(crate) fn backward(
    x: &[f32],
    columns: usize,
    classes: &[u32],
    logarithms: &[f32],
    gradient: &[f32],
    gx: &mut [f32],
) {
    check(x, columns, classes);
    assert_eq!((logarithms.len(), gradient.len()), (classes.len(), classes.len()), "a logarithm and a gradient a row");
    assert_eq!(gx.len(), x.len(), "gradients as large as the logits");
    let rows = TASK_NUMBERS.div_ceil(columns);
    gx.par_chunks_mut(rows * columns).enumerate().for_each(|(task, gx)| {
        let from = task * rows;
        let to = from + gx.len() / columns;
        let (classes, logarithms, gradient) = (&classes[from..to], &logarithms[from..to], &gradient[from..to]);
        arch().dispatch(Backward { x: &x[from * columns..to * columns], columns, classes, logarithms, gradient, gx });
    });
}

struct Backward<'a> {
    x: &'a [f32],
    columns: usize,
    classes: &'a [u32],
    logarithms: &'a [f32],
    gradient: &'a [f32],
    gx: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let n = self.columns;
        let rows = self.x.chunks_exact(n).zip(self.gx.chunks_exact_mut(n));
        let known = self.classes.iter().zip(self.logarithms).zip(self.gradient);
        for ((x, gx), ((&class, &logarithm), &gradient)) in rows.zip(known) {
            if class == IGNORED {
                gx.fill(0.0);
                continue;
            }
            for (gx, &x) in gx.iter_mut().zip(x) {
                *gx = gradient * exp(x - logarithm);
            }
            gx[class as usize] -= gradient;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, in f64: the loss, and its gradient.
    fn reference(x: &[f32], class: u32) -> (f64, Vec<f64>) {
        let largest = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f64> = x.iter().map(|&x| (f64::from(x) - f64::from(largest)).exp()).collect();
        let sum: f64 = powers.iter().sum();
        let slope = |i: usize| powers[i] / sum - f64::from(u8::from(i == class as usize));
        (sum.ln() + f64::from(largest) - f64::from(x[class as usize]), (0..x.len()).map(slope).collect())
    }

    fn rows() -> impl Strategy<Value = (usize, Vec<f32>, Vec<u32>)> {
        (0..20usize, 1..600usize, 0.1f32..40.0).prop_flat_map(|(rows, columns, most)| {
            let class = prop_oneof![9 => 0..columns as u32, 1 => Just(IGNORED)];
            (Just(columns), prop::collection::vec(-most..most, rows * columns), prop::collection::vec(class, rows))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn losses_and_gradients_are_the_definition_s((columns, x, classes) in rows()) {
            let found = forward(&x, columns, &classes);
            let logarithms: Vec<f32> = found.iter().map(|[_, logarithm]| *logarithm).collect();
            let mut gx = vec![f32::NAN; x.len()];
            backward(&x, columns, &classes, &logarithms, &vec![0.5; classes.len()], &mut gx);
            for (row, &class) in classes.iter().enumerate() {
                let at = row * columns..(row + 1) * columns;
                if class == IGNORED {
                    prop_assert!(found[row][0] == 0.0 && gx[at].iter().all(|&g| g == 0.0));
                    continue;
                }
                let (loss, slopes) = reference(&x[at.clone()], class);
                prop_assert!((f64::from(found[row][0]) - loss).abs() < 1e-5 * loss.max(1.0), "{} for {loss}", found[row][0]);
                for (gx, slope) in gx[at].iter().zip(slopes) {
                    prop_assert!((f64::from(*gx) - 0.5 * slope).abs() < 5e-6, "{gx} for {}", 0.5 * slope);
                }
            }
        }
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let (columns, classes) = (777, (0..300).map(|i| i * 5 % 777).collect::<Vec<u32>>());
        let x: Vec<f32> = (0..300 * columns).map(|i| 5.0 * (i as f32 * 0.37).sin()).collect();
        let run = || {
            let found = forward(&x, columns, &classes);
            let logarithms: Vec<f32> = found.iter().map(|[_, logarithm]| *logarithm).collect();
            let mut gx = vec![0.0; x.len()];
            backward(&x, columns, &classes, &logarithms, &vec![1.0; 300], &mut gx);
            found.iter().flatten().chain(&gx).map(|x| x.to_bits()).collect::<Vec<_>>()
        };
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(run);
        assert!(rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap().install(run) == one);
    }
}
