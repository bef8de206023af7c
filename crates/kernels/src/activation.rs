//! Pointwise functions: after a convolution or a matrix product, and by themselves.
//!
//! They are written as plain arithmetic on one number, without branches, so that a loop over them becomes vector code
//! in whatever instruction set the caller was dispatched to; and, where they stand at the end of products, once more on
//! vectors, with the same bits.

use pulp::Simd;
use rayon::prelude::*;

use crate::vector::{arch, from_bits, select, to_bits};

/// Numbers that a task takes: a part of the first cache, and a few times what handing it to another thread costs.
const TASK_NUMBERS: usize = 1 << 12;

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
        match self {
            Activation::None => x,
            Activation::Relu => select(simd, simd.less_than_f32s(x, zero), zero, x),
            Activation::Relu6 => clamp_vector(simd, x, 0.0, 6.0),
            Activation::Leaky(slope) => {
                let scaled = simd.mul_f32s(x, simd.splat_f32s(slope));
                select(simd, simd.less_than_f32s(x, zero), scaled, x)
            }
            Activation::Silu => silu_of_vector(simd, x),
            Activation::Gelu => gelu_of_vector(simd, x),
            Activation::GeluTanh => gelu_tanh_of_vector(simd, x),
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
                let u = TANH_SLOPE * seen * (1.0 + TANH_CUBE * seen * seen);
                let slope = TANH_SLOPE * (1.0 + 3.0 * TANH_CUBE * seen * seen);
                // Both from the exponential: of 1 - s little would be left.
                let (s, rest) = (sigmoid(u), sigmoid(-u));
                gradient * (s + seen * slope * s * rest)
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
                // One loop for each kind, so that the kind is not a branch inside it.
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

    /// [`Activation::backward_in_place`] on all threads.
    pub(crate) fn backward_together(self, seen: &[f32], gradient: &mut [f32]) {
        assert_eq!(seen.len(), gradient.len());
        if self != Activation::None {
            let parts = gradient.par_chunks_mut(TASK_NUMBERS).zip(seen.par_chunks(TASK_NUMBERS));
            parts.for_each(|(gradient, seen)| self.backward_in_place(seen, gradient));
        }
    }

    /// [`Activation::in_place`] on all threads.
    pub(crate) fn in_place_together(self, values: &mut [f32]) {
        if self != Activation::None {
            values.par_chunks_mut(TASK_NUMBERS).for_each(|values| self.in_place(values));
        }
    }

    /// y = f(x), on all threads.
    pub(crate) fn apply_together(self, x: &[f32], y: &mut [f32]) {
        assert_eq!(x.len(), y.len());
        y.par_chunks_mut(TASK_NUMBERS).zip(x.par_chunks(TASK_NUMBERS)).for_each(|(y, x)| {
            y.copy_from_slice(x);
            self.in_place(y);
        });
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

/// Clamps on both sides; NaN stays NaN.
#[inline(always)]
fn clamp_vector<S: Simd>(simd: S, x: S::f32s, least: f32, most: f32) -> S::f32s {
    let (least, most) = (simd.splat_f32s(least), simd.splat_f32s(most));
    let x = select(simd, simd.less_than_f32s(x, least), least, x);
    select(simd, simd.greater_than_f32s(x, most), most, x)
}

/// `((c[0] x + c[1]) x + c[2]) ...`, rounded after each product as for one number.
#[inline(always)]
fn polynomial_of_vector<S: Simd, const N: usize>(simd: S, x: S::f32s, coefficients: [f32; N]) -> S::f32s {
    let mut value = simd.splat_f32s(coefficients[0]);
    for i in 1..N {
        value = simd.add_f32s(simd.mul_f32s(value, x), simd.splat_f32s(coefficients[i]));
    }
    value
}

/// The same of one number.
#[inline(always)]
fn polynomial<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut value = coefficients[0];
    for i in 1..N {
        value = value * x + coefficients[i];
    }
    value
}

#[inline(always)]
fn times<S: Simd>(simd: S, x: S::f32s, factor: f32) -> S::f32s {
    simd.mul_f32s(x, simd.splat_f32s(factor))
}

#[inline(always)]
fn negated<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    from_bits::<S>(simd.xor_u32s(to_bits::<S>(x), simd.splat_u32s(SIGN)))
}

/// e to each number of a vector: the bits of [`exp`], written out, since the compiler does not make the same of it.
#[inline(always)]
pub(crate) fn exp_of_vector<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let x = clamp_vector(simd, x, -87.0, 89.0);
    let shifted = simd.add_f32s(times(simd, x, std::f32::consts::LOG2_E), simd.splat_f32s(MAGIC));
    let n = simd.sub_f32s(shifted, simd.splat_f32s(MAGIC));
    let r = simd.add_f32s(simd.sub_f32s(x, times(simd, n, LN_2[0])), times(simd, n, LN_2[1]));
    let p = polynomial_of_vector(simd, r, EXP);
    let p = simd.add_f32s(simd.add_f32s(simd.mul_f32s(simd.mul_f32s(p, r), r), r), simd.splat_f32s(1.0));
    let exponent = simd.wrapping_dyn_shl_u32s(to_bits::<S>(shifted), simd.splat_u32s(23));
    let half_power = from_bits::<S>(simd.add_u32s(exponent, simd.splat_u32s(HALF)));
    simd.mul_f32s(simd.add_f32s(p, p), half_power)
}

#[inline(always)]
fn sigmoid_of_vector<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    simd.div_f32s(one, simd.add_f32s(one, exp_of_vector(simd, negated(simd, x))))
}

#[inline(always)]
fn erf_of_vector<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let sign = simd.and_u32s(to_bits::<S>(x), simd.splat_u32s(SIGN));
    let z = from_bits::<S>(simd.xor_u32s(to_bits::<S>(x), sign));
    let missing = polynomial_of_vector(simd, z, ERF_FAR);
    let far = simd.sub_f32s(simd.splat_f32s(1.0), exp_of_vector(simd, simd.mul_f32s(missing, z)));
    let near = polynomial_of_vector(simd, simd.mul_f32s(z, z), ERF_NEAR);
    let near = simd.add_f32s(simd.mul_f32s(near, z), z);
    let value = select(simd, simd.less_than_f32s(z, simd.splat_f32s(ERF_FAR_FROM)), near, far);
    from_bits::<S>(simd.or_u32s(to_bits::<S>(value), sign))
}

#[inline(always)]
fn silu_of_vector<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    simd.mul_f32s(x, sigmoid_of_vector(simd, x))
}

#[inline(always)]
fn gelu_of_vector<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let erf = erf_of_vector(simd, times(simd, x, std::f32::consts::FRAC_1_SQRT_2));
    simd.mul_f32s(times(simd, x, 0.5), simd.add_f32s(simd.splat_f32s(1.0), erf))
}

#[inline(always)]
fn gelu_tanh_of_vector<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let cube = simd.mul_f32s(times(simd, x, TANH_CUBE), x);
    let u = simd.mul_f32s(times(simd, x, TANH_SLOPE), simd.add_f32s(simd.splat_f32s(1.0), cube));
    simd.mul_f32s(x, sigmoid_of_vector(simd, u))
}

/// The bit of the sign.
const SIGN: u32 = 0x8000_0000;

/// 1.5 * 2^23: adding it rounds to the nearest whole number.
const MAGIC: f32 = 12_582_912.0;

/// ln 2 in two parts, the first of few digits: its products with whole numbers are exact.
const LN_2: [f32; 2] = [355.0 / 512.0, 2.121_944_4e-4];

/// The bits of 0.5.
const HALF: u32 = 0x3f00_0000;

const EXP: [f32; 6] = [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5];

/// e to the x, within a unit in the last place from -86.9 to 88.7; zero below -87, infinite above 88.73 (Cephes'
/// `expf`).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 89.0 { 89.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + MAGIC;
    let n = shifted - MAGIC;
    let r = x - n * LN_2[0] + n * LN_2[1];
    let p = polynomial(r, EXP) * r * r + r + 1.0;
    // 2^(n - 1) and the rest: n may be 128, and at the smallest n, -126, this is the zero wanted there.
    let half_power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(HALF));
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

/// From here on the error function is told by what is missing to 1.
const ERF_FAR_FROM: f32 = 0.9375;

/// erf(x) / x - 1 by the square of x, for the least of the largest relative error.
const ERF_NEAR: [f32; 6] = [-5.925_125e-4, 4.980_687_5e-3, -2.675_856_5e-2, 0.112_816_18, -0.376_124_8, 0.128_379_15];

/// The logarithm of 1 - erf(x), divided by x, for the least of the largest error of erf itself.
const ERF_FAR: [f32; 7] =
    [-1.214_968_1e-5, 3.319_816_6e-4, -3.679_707e-3, 2.384_068e-2, -0.106_327_95, -0.635_096_4, -1.128_662];

/// The error function, within 1e-7, and within 1.2e-7 of its value.
#[inline(always)]
pub(crate) fn erf(x: f32) -> f32 {
    let z = x.abs();
    let far = 1.0 - exp(polynomial(z, ERF_FAR) * z);
    let near = polynomial(z * z, ERF_NEAR) * z + z;
    let value = if z < ERF_FAR_FROM { near } else { far };
    value.copysign(x)
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
const TANH_SLOPE: f32 = 2.0 * 0.797_884_6;
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
    fn erf_is_within_one_in_ten_million() {
        assert!((exact_erf(1.0) - 0.842_700_792_949_714_9).abs() < 1e-15);
        assert!((exact_erf(3.5) - 0.999_999_256_901_627_7).abs() < 1e-15);
        let absolute = worst(6.0, erf, exact_erf, |_| 1.0);
        assert!(absolute < 1e-7, "{absolute}");
        let relative = worst(6.0, erf, exact_erf, |erf| erf.abs() + 1e-30);
        assert!(relative < 1.2e-7, "{relative}");
        assert_eq!([erf(f32::NEG_INFINITY), erf(f32::INFINITY)], [-1.0, 1.0]);
        assert!(erf(f32::NAN).is_nan());
    }
}
