use proptest::prelude::*;

use super::*;
use crate::reference::{ACTIVATIONS, activated, assert_same_on_any_threads, cases, normal, slope};

/// A batch norm in f64, one channel at a time.
struct Exact {
    output: Vec<f64>,
    mean: Vec<f64>,
    variance: Vec<f64>,
    /// Gradients to input, gamma and beta, given that to what the norm gave.
    gx: Vec<f64>,
    ggamma: Vec<f64>,
    gbeta: Vec<f64>,
}

impl Exact {
    fn new(x: &[f32], norm: &Norm<'_>, residual: Option<&[f32]>, gradient: &[f32]) -> Self {
        let channels = norm.gamma.len();
        let rows = x.len() / channels;
        let zeros = || vec![0.0; channels];
        let (mut output, mut gx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        let (mut mean, mut variance, mut ggamma, mut gbeta) = (zeros(), zeros(), zeros(), zeros());
        for c in 0..channels {
            let at = |row: usize| row * channels + c;
            let over = |f: &dyn Fn(usize) -> f64| (0..rows).map(|row| f(at(row))).sum::<f64>();
            let number = |values: &[f32], at: usize| f64::from(values[at]);
            let m = over(&|at| number(x, at)) / rows as f64;
            let v = over(&|at| (number(x, at) - m).powi(2)) / rows as f64;
            let inverse = 1.0 / (v + f64::from(norm.epsilon)).sqrt();
            let standard = |at: usize| (number(x, at) - m) * inverse;
            let (gamma, beta) = (f64::from(norm.gamma[c]), f64::from(norm.beta[c]));
            (mean[c], variance[c]) = (m, v);
            gbeta[c] = over(&|at| number(gradient, at));
            ggamma[c] = over(&|at| number(gradient, at) * standard(at));
            for row in 0..rows {
                let at = at(row);
                let before = gamma * standard(at) + beta + residual.map_or(0.0, |r| number(r, at));
                output[at] = activated(norm.activation, before);
                let shared = (gbeta[c] + standard(at) * ggamma[c]) / rows as f64;
                gx[at] = gamma * inverse * (number(gradient, at) - shared);
            }
        }
        Self { output, mean, variance, gx, ggamma, gbeta }
    }
}

/// The largest difference as a part of the largest number, or of one.
fn error(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let most = expected.iter().fold(1.0, |most: f64, e| most.max(e.abs()));
    let differences = found.iter().zip(expected).map(|(f, e)| (f64::from(*f) - e).abs() / most);
    differences.fold(0.0, |worst: f64, d| if d.is_nan() { f64::INFINITY } else { worst.max(d) })
}

/// `[rows, C]` of a mean and a standard deviation.
fn rows_about(mean: f32, deviation: f32, count: usize, seed: u64) -> Vec<f32> {
    normal(count, seed).iter().map(|x| mean + deviation * x).collect()
}

struct Parameters {
    gamma: Vec<f32>,
    beta: Vec<f32>,
    activation: Activation,
}

impl Parameters {
    fn new(channels: usize, activation: Activation) -> Self {
        Self { gamma: normal(channels, 11), beta: normal(channels, 12), activation }
    }

    fn norm(&self) -> Norm<'_> {
        Norm { gamma: &self.gamma, beta: &self.beta, epsilon: 1e-5, activation: self.activation }
    }
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn agrees_with_the_definition(
        // Around what a block holds.
        rows in prop_oneof![1usize..12, 60usize..70, 250usize..262, 510usize..516, Just(1000)],
        channels in 1usize..41,
        with_residual in any::<bool>(),
        activation in proptest::sample::select(ACTIVATIONS.to_vec()),
        mean in prop_oneof![Just(0.0f32), -3.0f32..3.0],
        seed in 0u64..1000,
    ) {
        let x = rows_about(mean, 1.5, rows * channels, seed);
        let (gradient, residual) = (normal(x.len(), seed + 1), normal(x.len(), seed + 2));
        let residual = with_residual.then_some(&residual[..]);
        let parameters = Parameters::new(channels, activation);
        let norm = parameters.norm();
        let exact = Exact::new(&x, &norm, residual, &gradient);
        let found = forward(&x, &norm, residual);
        prop_assert!(error(&found.mean, &exact.mean) < 3e-7);
        prop_assert!(error(&found.variance, &exact.variance) < 1e-6);
        // One row alone is its own mean: all that is left of it is rounding, divided by the root of epsilon.
        let few = if rows < 4 { 100.0 } else { 1.0 };
        prop_assert!(error(&found.output, &exact.output) < 2e-6 * few, "{}", error(&found.output, &exact.output));

        let seen = Seen {
            x: &x, gamma: norm.gamma, mean: &found.mean, variance: &found.variance, epsilon: norm.epsilon,
        };
        let found = both_halves(&seen, &gradient);
        prop_assert!(error(&found.beta, &exact.gbeta) < 2e-6);
        prop_assert!(error(&found.gamma, &exact.ggamma) < 2e-6 * few, "{}", error(&found.gamma, &exact.ggamma));
        prop_assert!(error(&found.x, &exact.gx) < 2e-6 * few, "{}", error(&found.x, &exact.gx));
    }

    #[test]
    fn an_affine_map_agrees_with_the_definition(
        rows in prop_oneof![0usize..8, 250usize..262, 510usize..516],
        channels in 1usize..41,
        with_residual in any::<bool>(),
        activation in proptest::sample::select(ACTIVATIONS.to_vec()),
    ) {
        let count = rows * channels;
        let (x, residual, gradient) = (normal(count, 1), normal(count, 2), normal(count, 3));
        let (scale, shift) = (normal(channels, 4), normal(channels, 5));
        let residual = with_residual.then_some(&residual[..]);
        let mut y = vec![f32::NAN; count];
        affine(&x, &scale, &shift, residual, activation, &mut y);
        let number = |values: &[f32], at: usize| f64::from(values[at]);
        let expected: Vec<f64> = (0..count)
            .map(|at| {
                let before = number(&x, at) * number(&scale, at % channels) + number(&shift, at % channels);
                activated(activation, before + residual.map_or(0.0, |r| number(r, at)))
            })
            .collect();
        prop_assert!(error(&y, &expected) < 5e-7);

        let found = affine_gradients(&x, &scale, &gradient);
        let over = |f: &dyn Fn(usize) -> f64| -> Vec<f64> {
            (0..channels).map(|c| (0..rows).map(|row| f(row * channels + c)).sum()).collect()
        };
        let gx: Vec<f64> = (0..count).map(|at| number(&gradient, at) * number(&scale, at % channels)).collect();
        prop_assert!(error(&found.x, &gx) < 2e-7);
        prop_assert!(error(&found.beta, &over(&|at| number(&gradient, at))) < 2e-6);
        prop_assert!(error(&found.gamma, &over(&|at| number(&gradient, at) * number(&x, at))) < 2e-6);
        prop_assert!(error(&column_sums(&x, channels), &over(&|at| number(&x, at))) < 2e-6);
    }
}

#[test]
fn definitions_agree_with_finite_differences() {
    let (rows, channels) = (5, 2);
    let (x, gradient) = (rows_about(0.5, 1.5, rows * channels, 1), normal(rows * channels, 2));
    for activation in [Activation::None, Activation::Gelu] {
        let parameters = Parameters::new(channels, activation);
        let loss = |x: &[f32], gamma: &[f32], beta: &[f32]| -> f64 {
            let norm = Norm { gamma, beta, ..parameters.norm() };
            let exact = Exact::new(x, &norm, None, &gradient);
            exact.output.iter().zip(&gradient).map(|(y, g)| y * f64::from(*g)).sum()
        };
        // What comes through the activation, as the layer around a norm has it.
        let before =
            Exact::new(&x, &Norm { activation: Activation::None, ..parameters.norm() }, None, &gradient).output;
        let through: Vec<f32> =
            gradient.iter().zip(before).map(|(g, b)| (f64::from(*g) * slope(activation, b)) as f32).collect();
        let exact = Exact::new(&x, &parameters.norm(), None, &through);
        let inputs = [&x, &parameters.gamma, &parameters.beta];
        for (which, expected) in [&exact.gx, &exact.ggamma, &exact.gbeta].into_iter().enumerate() {
            for (at, expected) in expected.iter().enumerate() {
                let shifted = |by: f32| {
                    let mut inputs = inputs.map(|values| values.clone());
                    inputs[which][at] += by;
                    (f64::from(inputs[which][at]), loss(&inputs[0], &inputs[1], &inputs[2]))
                };
                let (above, below) = (shifted(1e-3), shifted(-1e-3));
                let difference = (above.1 - below.1) / (above.0 - below.0);
                assert!((difference - expected).abs() < 1e-5, "{which}[{at}]: {expected}, not {difference}");
            }
        }
    }
}

/// `E[x^2] - E[x]^2` in f32 sums would be off by a tenth of the variance and more.
#[test]
fn a_large_mean_does_not_lose_the_variance() {
    for (mean, deviation, rows) in
        [(1000.0, 1.0, 300), (1000.0, 1.0, 20_000), (-30.0, 0.01, 5000), (1e5, 1.0, 5000), (0.0, 1.0, 20_000)]
    {
        let channels = 5;
        let (x, gradient) = (rows_about(mean, deviation, rows * channels, 1), normal(rows * channels, 2));
        let parameters = Parameters::new(channels, Activation::None);
        let exact = Exact::new(&x, &parameters.norm(), None, &gradient);
        let found = forward(&x, &parameters.norm(), None);
        let what = format!("mean {mean}, deviation {deviation}, {rows} rows");
        for (found, expected) in found.variance.iter().zip(&exact.variance) {
            let error = (f64::from(*found) - expected).abs() / expected;
            assert!(error < 1e-6, "{what}: {error:e} of the variance");
        }
        for (found, expected) in found.mean.iter().zip(&exact.mean) {
            let error = (f64::from(*found) - expected).abs();
            assert!(error <= 6e-8 * expected.abs().max(1.0), "{what}: the mean is off by {error:e}");
        }
        // The mean is stored as f32, the scale and shift are: that is left of the digits, as in PyTorch.
        let digits = f64::from(mean.abs() / deviation).max(1.0) * 2e-7;
        assert!(error(&found.output, &exact.output) < digits, "{what}: {:e}", error(&found.output, &exact.output));
        let seen = Seen {
            x: &x,
            gamma: &parameters.gamma,
            mean: &found.mean,
            variance: &found.variance,
            epsilon: parameters.norm().epsilon,
        };
        let found = both_halves(&seen, &gradient);
        // Of the input's gradient, the mean is only in what all rows share.
        let shared = (digits / 1000.0).max(2e-6);
        assert!(error(&found.x, &exact.gx) < shared, "{what}: gradient {:e}", error(&found.x, &exact.gx));
        assert!(
            error(&found.gamma, &exact.ggamma) < digits.max(2e-6),
            "{what}: {:e}",
            error(&found.gamma, &exact.ggamma)
        );
    }
}

#[test]
fn rows_unlike_the_others_do_not_lose_the_variance() {
    let (rows, channels) = (10_000, 3);
    for unlike in [0..1, 0..64, 9_000..9_001] {
        let mut x = rows_about(1000.0, 1.0, rows * channels, 1);
        x[unlike.start * channels..unlike.end * channels].fill(0.0);
        let parameters = Parameters::new(channels, Activation::None);
        let exact = Exact::new(&x, &parameters.norm(), None, &x);
        for (found, expected) in forward(&x, &parameters.norm(), None).variance.iter().zip(&exact.variance) {
            let error = (f64::from(*found) - expected).abs() / expected;
            assert!(error < 3e-6, "{unlike:?}: {error:e} of the variance");
        }
    }
}

#[test]
fn a_constant_channel_has_no_variance() {
    for value in [0.0, 0.1, -1234.567] {
        let found = forward(&[value; 900], &Parameters::new(3, Activation::None).norm(), None);
        assert_eq!((found.variance, found.mean), (vec![0.0; 3], vec![value; 3]));
    }
}

#[test]
fn nan_and_infinity_stay_in_their_channel_and_are_seen() {
    for bad in [f32::NAN, f32::INFINITY] {
        for row in [0, 300] {
            let mut x = normal(600 * 3, 1);
            x[row * 3 + 1] = bad;
            let found = forward(&x, &Parameters::new(3, Activation::Relu).norm(), None);
            assert!(!found.mean[1].is_finite() && found.variance[1].is_nan(), "{bad}: {:?}", found.variance);
            assert!(found.output.chunks(3).all(|row| row[0].is_finite() && row[1].is_nan() && row[2].is_finite()));
        }
    }
}

#[test]
fn threads_do_not_change_the_bits() {
    let (rows, channels) = (3000, 37);
    let (x, gradient) = (rows_about(2.0, 3.0, rows * channels, 1), normal(rows * channels, 2));
    let parameters = Parameters::new(channels, Activation::Silu);
    assert_same_on_any_threads("a batch norm", || {
        let found = forward(&x, &parameters.norm(), Some(&gradient));
        [found.output, found.mean, found.variance].concat()
    });
    let (mean, variance) = (normal(channels, 3), vec![2.0; channels]);
    assert_same_on_any_threads("its gradients", || {
        let seen = Seen { x: &x, gamma: &parameters.gamma, mean: &mean, variance: &variance, epsilon: 1e-5 };
        let found = both_halves(&seen, &gradient);
        [found.x, found.gamma, found.beta].concat()
    });
    assert_same_on_any_threads("sums of columns", || column_sums(&x, channels));
    assert_same_on_any_threads("an affine map's gradients", || {
        let found = affine_gradients(&x, &parameters.gamma, &gradient);
        [found.x, found.gamma, found.beta].concat()
    });
}

/// Gradients of a norm, or of an affine map to scale and shift where these are a norm's.
struct Found {
    x: Vec<f32>,
    gamma: Vec<f32>,
    beta: Vec<f32>,
}

/// The whole way back through a norm without an activation.
fn both_halves(seen: &Seen<'_>, gradient: &[f32]) -> Found {
    let mut x = gradient.to_vec();
    let half = backward(seen, None, &mut x);
    assert!(x.iter().zip(gradient).all(|(a, b)| a.to_bits() == b.to_bits()), "nothing to go back through");
    backward_input(seen, &half, &mut x);
    Found { x, gamma: half.gamma, beta: half.beta }
}

fn affine_gradients(x: &[f32], scale: &[f32], gradient: &[f32]) -> Found {
    let mut gx = gradient.to_vec();
    let (gamma, beta) = affine_backward(x, scale, &mut gx);
    Found { x: gx, gamma, beta }
}
