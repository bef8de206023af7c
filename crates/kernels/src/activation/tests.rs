//! What belongs to an [`Activation`]; how exact `exp`, `tanh` and `erf` are is tested beside them.

use super::*;
use crate::reference::{ACTIVATIONS, activated, bits, slope};

/// From -40 to 40, closer towards zero, with both zeros and both bends.
fn dense() -> Vec<f32> {
    let mut all: Vec<f32> = (-100_000..=100_000)
        .map(|i| {
            let part = i as f32 / 100_000.0;
            40.0 * part * part.abs()
        })
        .collect();
    all.extend([0.0, -0.0, 6.0, 5.999_999_5, 6.000_000_5, f32::MIN_POSITIVE, -f32::MIN_POSITIVE, 1e-40, -1e-40]);
    all
}

fn of_all(activation: Activation, values: &[f32]) -> Vec<f32> {
    let mut values = values.to_vec();
    activation.in_place(&mut values);
    values
}

/// Derivatives at each of `x`.
fn slopes(activation: Activation, x: &[f32]) -> Vec<f32> {
    let seen = if activation.derivative_from_output() { of_all(activation, x) } else { x.to_vec() };
    let mut gradient = vec![1.0; x.len()];
    activation.backward_in_place(&seen, &mut gradient);
    gradient
}

#[test]
fn functions_agree_with_their_definitions() {
    let x = dense();
    for activation in ACTIVATIONS {
        for (&x, y) in x.iter().zip(of_all(activation, &x)) {
            let expected = activated(activation, f64::from(x));
            // Of x, since 1 - 1 is what is left of the curved ones far below zero.
            let error = (f64::from(y) - expected).abs();
            let bound = match activation {
                Activation::Silu | Activation::Gelu | Activation::GeluTanh => 3e-7 * f64::from(x.abs()),
                _ => 1e-7 * expected.abs(),
            };
            // The last digit of the smallest numbers that there are.
            let bound = bound + 2e-45;
            assert!(error <= bound, "{activation:?}({x}) = {y}, not {expected}");
        }
    }
}

#[test]
fn derivatives_agree_with_their_definitions() {
    let x = dense();
    for activation in ACTIVATIONS {
        for (&x, ours) in x.iter().zip(slopes(activation, &x)) {
            let expected = slope(activation, f64::from(x));
            let error = (f64::from(ours) - expected).abs();
            assert!(error <= 1e-6, "{activation:?}'({x}) = {ours}, not {expected}");
        }
    }
}

#[test]
fn derivatives_agree_with_finite_differences() {
    for activation in ACTIVATIONS {
        for x in dense().into_iter().step_by(101).filter(|x| x.abs() > 0.02 && (x - 6.0).abs() > 0.02) {
            let at = |x: f32| f64::from(activation.of(x));
            // The step as it is after rounding.
            let (above, below) = (x + 0.01, x - 0.01);
            let difference = (at(above) - at(below)) / (f64::from(above) - f64::from(below));
            let ours = f64::from(slopes(activation, &[x])[0]);
            assert!((ours - difference).abs() < 4e-5 * f64::from(x.abs()).max(1.0), "{activation:?}'({x}) = {ours}");
        }
    }
}

#[test]
fn bends_are_pytorchs() {
    let at = |activation, x| slopes(activation, &[x])[0];
    for zero in [0.0, -0.0] {
        assert_eq!(at(Activation::Relu, zero), 0.0);
        assert_eq!(at(Activation::Relu6, zero), 0.0);
        assert_eq!(at(Activation::Leaky(0.2), zero), 0.2);
    }
    assert_eq!(at(Activation::Relu6, 6.0), 0.0);
    assert_eq!((at(Activation::Silu, 0.0), at(Activation::Gelu, 0.0)), (0.5, 0.5));
}

#[test]
fn a_leaky_slope_below_zero_has_its_derivative() {
    let leaky = Activation::Leaky(-0.5);
    assert!(!leaky.derivative_from_output());
    assert_eq!(of_all(leaky, &[-2.0, 2.0]), [1.0, 2.0]);
    assert_eq!(slopes(leaky, &[-2.0, 2.0]), [-0.5, 1.0]);
}

#[test]
fn nan_stays_nan() {
    for activation in ACTIVATIONS {
        for len in [1, 7, 40] {
            assert!(of_all(activation, &vec![f32::NAN; len]).iter().all(|y| y.is_nan()), "{activation:?}");
        }
        assert!(activation.of(f32::NAN).is_nan(), "{activation:?}");
        assert!(!(slopes(activation, &[f32::NAN])[0] == 0.0), "{activation:?} stops the gradient at NaN");
        assert!(activation.backward(1.0, f32::NAN).is_nan(), "{activation:?} stops NaN in the gradient");
    }
}

#[test]
fn infinities_are_pytorchs() {
    for (activation, above, below) in [
        (Activation::None, f32::INFINITY, f32::NEG_INFINITY),
        (Activation::Relu, f32::INFINITY, 0.0),
        (Activation::Relu6, 6.0, 0.0),
        (Activation::Leaky(0.2), f32::INFINITY, f32::NEG_INFINITY),
        (Activation::Silu, f32::INFINITY, f32::NAN),
        (Activation::Gelu, f32::INFINITY, f32::NAN),
    ] {
        let found = of_all(activation, &[f32::INFINITY, f32::NEG_INFINITY]);
        assert_eq!(found[0], above, "{activation:?}");
        assert!(found[1] == below || (found[1].is_nan() && below.is_nan()), "{activation:?}: {}", found[1]);
    }
    // Far out, but not at infinity, they are what they tend to.
    for activation in [Activation::Silu, Activation::Gelu, Activation::GeluTanh] {
        assert_eq!(of_all(activation, &[1e30, -1e30]), [1e30, 0.0], "{activation:?}");
        assert_eq!(slopes(activation, &[1e4, -1e4]), [1.0, 0.0], "{activation:?}");
    }
}

#[test]
fn a_vector_and_what_is_left_of_it_are_the_same_bits_as_one_number() {
    let x: Vec<f32> = dense().into_iter().step_by(77).collect();
    for activation in ACTIVATIONS {
        let one: Vec<f32> = x.iter().map(|x| activation.of(*x)).collect();
        for len in [1, 3, 8, 15, 16, 17, 33] {
            let together: Vec<f32> = x.chunks(len).flat_map(|part| of_all(activation, part)).collect();
            assert!(bits(&together) == bits(&one), "{activation:?} by {len}");
        }
    }
}
