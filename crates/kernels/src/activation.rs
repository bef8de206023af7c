//! Pointwise functions: after a convolution or a matrix product, and by themselves.
//!
//! They are written as plain arithmetic on one number, without branches, so that a loop over them becomes vector code
//! in whatever instruction set the caller was dispatched to.

use pulp::Simd;

use crate::vector::arch;

/// The pointwise function after a convolution, a linear layer or a norm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// y = x
    None,
    /// y = max(x, 0)
    Relu,
    /// y = min(max(x, 0), 6)
    Relu6,
    /// y = x where positive, else x times the slope.
    Leaky(f32),
    /// y = x sigmoid(x) (Elfwing et al. 2018)
    Silu,
    /// y = x (1 + erf(x / sqrt 2)) / 2 (Hendrycks and Gimpel 2016)
    Gelu,
    /// y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, its approximation (there too; `gelu_new` elsewhere)
    GeluTanh,
}

impl Activation {
    /// Whether the derivative can be told from the output alone.
    pub(crate) fn derivative_from_output(self) -> bool {
        match self {
            Activation::None | Activation::Relu | Activation::Relu6 => true,
            // A slope below zero turns the sign around.
            Activation::Leaky(slope) => slope >= 0.0,
            Activation::Silu | Activation::Gelu | Activation::GeluTanh => false,
        }
    }

    /// f of a vector.
    #[inline(always)]
    pub(crate) fn of_vector<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        let zero = simd.splat_f32s(0.0);
        // A comparison with NaN is false: NaN stays NaN, which `max` and `min` would not promise.
        let above = |x| simd.select_f32s(simd.less_than_f32s(x, zero), zero, x);
        match self {
            Activation::None => x,
            Activation::Relu => above(x),
            Activation::Relu6 => {
                let six = simd.splat_f32s(6.0);
                let x = above(x);
                simd.select_f32s(simd.greater_than_f32s(x, six), six, x)
            }
            Activation::Leaky(slope) => {
                let scaled = simd.mul_f32s(x, simd.splat_f32s(slope));
                simd.select_f32s(simd.less_than_f32s(x, zero), scaled, x)
            }
            Activation::Silu => each_lane::<S>(x, silu),
            Activation::Gelu => each_lane::<S>(x, gelu),
            Activation::GeluTanh => each_lane::<S>(x, gelu_tanh),
        }
    }

    /// f of a number.
    #[inline(always)]
    pub(crate) fn of(self, x: f32) -> f32 {
        match self {
            Activation::None => x,
            Activation::Relu => {
                if x < 0.0 {
                    0.0
                } else {
                    x
                }
            }
            Activation::Relu6 => {
                let x = if x < 0.0 { 0.0 } else { x };
                if x > 6.0 { 6.0 } else { x }
            }
            Activation::Leaky(slope) => {
                if x < 0.0 {
                    x * slope
                } else {
                    x
                }
            }
            Activation::Silu => silu(x),
            Activation::Gelu => gelu(x),
            Activation::GeluTanh => gelu_tanh(x),
        }
    }

    /// f'(x) times the gradient, from `seen`: the output where [`Activation::derivative_from_output`], else the input.
    /// At a bend the derivative is that of what lies below zero or above six, and NaN lets the gradient through, as
    /// PyTorch has it.
    #[inline(always)]
    pub(crate) fn backward(self, seen: f32, gradient: f32) -> f32 {
        match self {
            Activation::None => gradient,
            Activation::Relu => {
                if seen <= 0.0 {
                    0.0
                } else {
                    gradient
                }
            }
            Activation::Relu6 => {
                if seen <= 0.0 || seen >= 6.0 {
                    0.0
                } else {
                    gradient
                }
            }
            Activation::Leaky(slope) => {
                if seen > 0.0 {
                    gradient
                } else {
                    gradient * slope
                }
            }
            Activation::Silu => {
                let s = sigmoid(seen);
                gradient * s * (1.0 + seen * (1.0 - s))
            }
            Activation::Gelu => {
                const DENSITY: f32 = 0.398_942_3; // 1 / sqrt(2 pi)
                let below = 0.5 * (1.0 + erf(seen * std::f32::consts::FRAC_1_SQRT_2));
                gradient * (below + seen * DENSITY * exp(-0.5 * seen * seen))
            }
            Activation::GeluTanh => {
                let s = sigmoid(TANH_SLOPE * seen * (1.0 + TANH_CUBE * seen * seen));
                let slope = TANH_SLOPE * (1.0 + 3.0 * TANH_CUBE * seen * seen);
                gradient * (s + seen * slope * s * (1.0 - s))
            }
        }
    }

    /// Gradient to the input of `y = f(x)`, in place; `seen` as in [`Activation::backward`].
    pub(crate) fn backward_in_place(self, seen: &[f32], gradient: &mut [f32]) {
        assert_eq!(seen.len(), gradient.len());
        if self == Activation::None {
            return;
        }
        arch().dispatch(
            #[inline(always)]
            || {
                // One loop for each kind, so that the kind is no branch inside it.
                macro_rules! each {
                    ($kind:expr) => {
                        for (g, &s) in gradient.iter_mut().zip(seen) {
                            *g = $kind.backward(s, *g);
                        }
                    };
                }
                match self {
                    Activation::None => {}
                    Activation::Relu => each!(Activation::Relu),
                    Activation::Relu6 => each!(Activation::Relu6),
                    Activation::Leaky(slope) => each!(Activation::Leaky(slope)),
                    Activation::Silu => each!(Activation::Silu),
                    Activation::Gelu => each!(Activation::Gelu),
                    Activation::GeluTanh => each!(Activation::GeluTanh),
                }
            },
        );
    }

    /// y = f(x), in place.
    pub(crate) fn in_place(self, values: &mut [f32]) {
        struct Apply<'a>(Activation, &'a mut [f32]);
        impl pulp::WithSimd for Apply<'_> {
            type Output = ();
            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                let (whole, rest) = S::as_mut_simd_f32s(self.1);
                for v in whole {
                    *v = self.0.of_vector(simd, *v);
                }
                for v in rest {
                    *v = self.0.of(*v);
                }
            }
        }
        if self != Activation::None {
            arch().dispatch(Apply(self, values));
        }
    }
}

/// Applies a function of one number to the lanes of a vector; the compiler makes vector code of it again.
#[inline(always)]
fn each_lane<S: Simd>(x: S::f32s, f: impl Fn(f32) -> f32) -> S::f32s {
    let mut lanes = x;
    for lane in S::as_mut_simd_lanes(&mut lanes) {
        *lane = f(*lane);
    }
    lanes
}

/// e to each number of a vector, see [`exp`].
#[inline(always)]
pub(crate) fn exp_of_vector<S: Simd>(x: S::f32s) -> S::f32s {
    each_lane::<S>(x, exp)
}

/// The numbers of a vector.
trait Lanes: Simd {
    fn as_mut_simd_lanes(vector: &mut Self::f32s) -> &mut [f32];
}

impl<S: Simd> Lanes for S {
    #[inline(always)]
    fn as_mut_simd_lanes(vector: &mut S::f32s) -> &mut [f32] {
        bytemuck::cast_slice_mut(std::slice::from_mut(vector))
    }
}

/// e to the x, within a unit in the last place from -86.9 to 88.7; zero below -87, infinite above 88.73 (Cephes'
/// `expf`).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to the nearest whole number
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 89.0 { 89.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + MAGIC;
    let n = shifted - MAGIC;
    // ln 2 in two parts, the first of few digits: its products with n are exact.
    let r = x - n * (355.0 / 512.0) + n * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 0.166_666_65;
    p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    // 2^(n - 1) and the rest: n may be 128, and at the smallest n, -126, this is the zero wanted there.
    let half_power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f00_0000));
    (p + p) * half_power
}

/// 1 / (1 + e^-x), within 3 units in the last place from -86 up.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The hyperbolic tangent, within 5 units in the last place.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let square = x * x;
    // Near zero the quotient below loses digits to cancellation; the series has them.
    let mut series = -8.863_236e-3;
    series = series * square + 2.186_949e-2;
    series = series * square - 5.396_825_4e-2;
    series = series * square + 0.133_333_34;
    series = series * square - 0.333_333_34;
    let near = x + x * square * series;
    let e = exp(2.0 * x);
    let far = 1.0 - 2.0 / (e + 1.0);
    if square < 0.16 { near } else { far }
}

/// The error function, within 2e-7, and within 4e-7 of its value (Abramowitz and Stegun 7.1.26 is too coarse; this is the rational form of 7.1.28
/// in Numerical Recipes' `erfc` Chebyshev coefficients).
#[inline(always)]
pub(crate) fn erf(x: f32) -> f32 {
    let z = x.abs();
    let t = 2.0 / (2.0 + z);
    let series = -1.265_512_2
        + t * (1.000_023_7
            + t * (0.374_091_96
                + t * (0.096_784_18
                    + t * (-0.186_288_06
                        + t * (0.278_868_07
                            + t * (-1.135_204 + t * (1.488_515_9 + t * (-0.822_152_2 + t * 0.170_872_77))))))));
    let complement = t * exp(series - z * z);
    let value = 1.0 - complement;
    // Below, 1 - complement would lose digits; the first terms of the series do not.
    let square = x * x;
    let mut near = -8.548_327e-4;
    near = near * square + 5.223_977_6e-3;
    near = near * square - 2.686_617e-2;
    near = near * square + 0.112_837_92;
    near = near * square - 0.376_126_4;
    near = near * square + std::f32::consts::FRAC_2_SQRT_PI;
    let value = if z < 0.5 { z * near } else { value };
    if x < 0.0 { -value } else { value }
}

#[inline(always)]
fn silu(x: f32) -> f32 {
    x * sigmoid(x)
}

#[inline(always)]
fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// 2 sqrt(2 / pi): a half of 1 + tanh(u) is the sigmoid of 2 u.
const TANH_SLOPE: f32 = 1.595_769_1;
const TANH_CUBE: f32 = 0.044_715;

#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    x * sigmoid(TANH_SLOPE * x * (1.0 + TANH_CUBE * x * x))
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod accuracy {
    use super::*;

    /// Numbers from `-most` to `most`, close to each other and closer towards zero.
    fn dense(most: f32) -> impl Iterator<Item = f32> {
        const POINTS: i32 = 400_000;
        (-POINTS..=POINTS).map(move |i| {
            let part = i as f32 / POINTS as f32;
            most * part * part.abs()
        })
    }

    /// The largest distance from `exact`, next to what `scale` says.
    fn worst(most: f32, approximate: fn(f32) -> f32, exact: fn(f64) -> f64, scale: fn(f64) -> f64) -> f64 {
        let distance = |x: f32| {
            let expected = exact(f64::from(x));
            (f64::from(approximate(x)) - expected).abs() / scale(expected)
        };
        let distances: Vec<f64> = dense(most).map(distance).collect();
        assert!(distances.iter().all(|distance| distance.is_finite()));
        distances.into_iter().fold(0.0, f64::max)
    }

    /// A unit in the last place of an f32 near `value`.
    fn unit(value: f64) -> f64 {
        (value.abs().max(f64::from(f32::MIN_POSITIVE)).log2().floor() - 23.0).exp2()
    }

    /// The error function: its series, and its complement's continued fraction where the series would cancel.
    fn exact_erf(x: f64) -> f64 {
        let z = x.abs();
        let value = if z < 3.0 {
            let (mut term, mut sum) = (z, z);
            for n in 1..100 {
                term *= 2.0 * z * z / f64::from(2 * n + 1);
                sum += term;
            }
            std::f64::consts::FRAC_2_SQRT_PI * (-z * z).exp() * sum
        } else {
            let fraction = (1..60).rev().fold(z, |rest, n| z + f64::from(n) / 2.0 / rest);
            1.0 - (-z * z).exp() / fraction / std::f64::consts::PI.sqrt()
        };
        value.copysign(x)
    }

    #[test]
    fn exp_is_within_a_unit() {
        let worst = worst(86.9, exp, f64::exp, unit);
        assert!(worst < 1.0, "{worst} units");
    }

    #[test]
    fn exp_ends_in_zero_and_infinity() {
        assert!((f64::from(exp(88.7)) / 88.7f64.exp() - 1.0).abs() < 1e-5);
        assert_eq!([exp(-87.0), exp(-1e30), exp(f32::NEG_INFINITY)], [0.0; 3]);
        assert_eq!([exp(88.73), exp(1e30), exp(f32::INFINITY)], [f32::INFINITY; 3]);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn sigmoid_is_within_three_units() {
        let worst = worst(86.0, sigmoid, |x| 1.0 / (1.0 + (-x).exp()), unit);
        assert!(worst < 3.0, "{worst} units");
        assert_eq!([sigmoid(-200.0), sigmoid(0.0), sigmoid(200.0)], [0.0, 0.5, 1.0]);
        assert!(sigmoid(f32::NAN).is_nan());
    }

    #[test]
    fn tanh_is_within_five_units() {
        let worst = worst(20.0, tanh, f64::tanh, unit);
        assert!(worst < 5.0, "{worst} units");
        assert_eq!([tanh(-1e30), tanh(f32::INFINITY)], [-1.0, 1.0]);
        assert!(tanh(f32::NAN).is_nan());
    }

    #[test]
    fn erf_is_within_two_in_ten_million() {
        assert!((exact_erf(1.0) - 0.842_700_792_949_714_9).abs() < 1e-15);
        assert!((exact_erf(3.5) - 0.999_999_256_901_627_7).abs() < 1e-15);
        let absolute = worst(6.0, erf, exact_erf, |_| 1.0);
        assert!(absolute < 2e-7, "{absolute}");
        let relative = worst(6.0, erf, exact_erf, |erf| erf.abs() + 1e-30);
        assert!(relative < 4e-7, "{relative}");
        assert_eq!([erf(f32::NEG_INFINITY), erf(f32::INFINITY)], [-1.0, 1.0]);
        assert!(erf(f32::NAN).is_nan());
    }
}
