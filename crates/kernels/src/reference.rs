//! The definitions, in f64, one output at a time: what the tests of this crate compare its kernels with. Only compiled
//! for them.

use crate::activation::Activation;
use crate::convolution::Shape;
use crate::geometry::Geometry;
use crate::scratch;

/// `count` numbers between -1 and 1, the same for the same seed everywhere.
pub(crate) fn values(count: usize, seed: u64) -> Vec<f32> {
    (0..count as u64).map(|i| (uniform(i, seed) * 2.0 - 1.0) as f32).collect()
}

/// `count` numbers of a standard normal distribution, the same for the same seed everywhere.
pub(crate) fn normal(count: usize, seed: u64) -> Vec<f32> {
    let draw = |i: u64| {
        let (radius, angle) = (1.0 - uniform(2 * i, seed), uniform(2 * i + 1, seed));
        ((-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()) as f32
    };
    (0..count as u64).map(draw).collect()
}

/// From 0 to below 1 (splitmix64).
fn uniform(index: u64, seed: u64) -> f64 {
    let mut mixed =
        (index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(seed.wrapping_mul(0xD1B5_4A32_D192_ED03));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// A sum, and what rounding errors in it are measured against: the sum of its terms' magnitudes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum {
    pub value: f64,
    pub terms: f64,
}

impl Sum {
    /// The same with another term.
    pub(crate) fn and(self, term: f64) -> Self {
        Self { value: self.value + term, terms: self.terms + term.abs() }
    }

    /// The same with the term `a b`.
    pub(crate) fn and_product(self, a: f32, b: f32) -> Self {
        self.and(f64::from(a) * f64::from(b))
    }

    /// The function of it. None of the functions is steeper than 1.13.
    pub(crate) fn activated(self, activation: Activation) -> Self {
        Self { value: activated(activation, self.value), ..self }
    }
}

/// How far results are from what they should be, at worst.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Distance {
    /// As a part of the terms of that result.
    pub of_terms: f64,
    /// As a part of the largest terms of any result: what a transform's error is measured against, since it mixes
    /// neighbours.
    pub of_most_terms: f64,
    /// As a part of the largest result.
    pub of_largest: f64,
    /// Where [`Distance::of_terms`] was found, and what was there, and what should have been.
    pub at: (usize, f32, f64),
}

/// Results that are looked at, of one kernel's: their definitions in f64 take far longer than the kernel.
const LOOKED_AT: usize = 1000;

/// The distance of results from `definition(index)`; of all, or of [`LOOKED_AT`] of them spread evenly.
pub(crate) fn distance(results: &[f32], definition: impl Fn(usize) -> Sum) -> Distance {
    let len = results.len();
    let divisor =
        |a: usize, b: usize| std::iter::successors(Some((a, b)), |&(a, b)| (b > 0).then(|| (b, a % b))).last();
    // Every channel and every place has its turn: a step that shares no divisor with the number of results.
    let step = (len.div_ceil(LOOKED_AT)..).find(|&step| divisor(step, len).is_none_or(|(d, _)| d == 1)).unwrap_or(1);
    let mut found = Distance::default();
    let (mut worst, mut most_terms, mut largest) = (0.0f64, 0.0f64, 0.0f64);
    for at in (0..len.min(LOOKED_AT)).map(|index| index * step % len) {
        let expected = definition(at);
        let difference = (f64::from(results[at]) - expected.value).abs();
        // NaN is as far as can be.
        let difference = if difference.is_nan() { f64::INFINITY } else { difference };
        let part = if difference == 0.0 { 0.0 } else { difference / expected.terms };
        if part > found.of_terms {
            (found.of_terms, found.at) = (part, (at, results[at], expected.value));
        }
        worst = worst.max(difference);
        most_terms = most_terms.max(expected.terms);
        largest = largest.max(expected.value.abs());
    }
    if worst > 0.0 {
        (found.of_most_terms, found.of_largest) = (worst / most_terms, worst / largest);
    }
    found
}

/// The input index that an output sees through a tap.
fn seen(g: &Geometry, axis: usize, position: usize, tap: usize) -> Option<usize> {
    let at = (position * g.stride[axis] + tap * g.dilation[axis]) as isize - g.before[axis] as isize;
    (0..g.input[axis] as isize).contains(&at).then_some(at as usize)
}

/// An index into `[images, rows, columns, channels]`, taken apart.
fn place(at: usize, [rows, columns]: [usize; 2], channels: usize) -> [usize; 4] {
    let pixel = at / channels;
    [pixel / columns / rows, pixel / columns % rows, pixel % columns, at % channels]
}

/// Channels of a group, and results of a group.
fn of_group(shape: &Shape) -> (usize, usize) {
    (shape.channels / shape.groups, shape.outputs / shape.groups)
}

/// `y[n, i, j, o] = sum over u, v, c of x[n, i s + u d - p, j s + v d - p, c] w[u, v, c, o]`, at an index into `y`.
pub(crate) fn convolution(shape: &Shape, x: &[f32], weight: &[f32], at: usize) -> Sum {
    let g = &shape.geometry;
    let (channels, outputs) = of_group(shape);
    let [image, i, j, output] = place(at, g.output, shape.outputs);
    let mut sum = Sum::default();
    for u in 0..g.kernel[0] {
        for v in 0..g.kernel[1] {
            let (Some(row), Some(column)) = (seen(g, 0, i, u), seen(g, 1, j, v)) else { continue };
            let pixel = (image * g.input[0] + row) * g.input[1] + column;
            for c in 0..channels {
                let input = x[pixel * shape.channels + output / outputs * channels + c];
                sum = sum.and_product(input, weight[((u * g.kernel[1] + v) * channels + c) * shape.outputs + output]);
            }
        }
    }
    sum
}

/// The gradient to `x` at an index into it: the sum over all outputs that see it.
pub(crate) fn gradient_to_input(shape: &Shape, gradient: &[f32], weight: &[f32], at: usize) -> Sum {
    let g = &shape.geometry;
    let (channels, outputs) = of_group(shape);
    let [image, row, column, channel] = place(at, g.input, shape.channels);
    let seeing = |axis: usize, wanted: usize| -> Vec<(usize, usize)> {
        let all = (0..g.output[axis]).flat_map(|position| (0..g.kernel[axis]).map(move |tap| (position, tap)));
        all.filter(|&(position, tap)| seen(g, axis, position, tap) == Some(wanted)).collect()
    };
    let columns = seeing(1, column);
    let mut sum = Sum::default();
    for (i, u) in seeing(0, row) {
        for &(j, v) in &columns {
            let pixel = (image * g.output[0] + i) * g.output[1] + j;
            let first = channel / channels * outputs;
            for output in first..first + outputs {
                let weight = weight[((u * g.kernel[1] + v) * channels + channel % channels) * shape.outputs + output];
                sum = sum.and_product(gradient[pixel * shape.outputs + output], weight);
            }
        }
    }
    sum
}

/// The gradient to the weights at an index into them: the sum over all pixels of all images.
pub(crate) fn gradient_to_weight(shape: &Shape, x: &[f32], gradient: &[f32], at: usize) -> Sum {
    let g = &shape.geometry;
    let (channels, outputs) = of_group(shape);
    let [u, v, channel, output] = place(at, [g.kernel[1], channels], shape.outputs);
    let mut sum = Sum::default();
    for image in 0..shape.images {
        for i in 0..g.output[0] {
            for j in 0..g.output[1] {
                let (Some(row), Some(column)) = (seen(g, 0, i, u), seen(g, 1, j, v)) else { continue };
                let pixel = (image * g.input[0] + row) * g.input[1] + column;
                let input = x[pixel * shape.channels + output / outputs * channels + channel];
                let target = (image * g.output[0] + i) * g.output[1] + j;
                sum = sum.and_product(input, gradient[target * shape.outputs + output]);
            }
        }
    }
    sum
}

/// Every pointwise function.
pub(crate) const ACTIVATIONS: [Activation; 7] = [
    Activation::None,
    Activation::Relu,
    Activation::Relu6,
    Activation::Leaky(0.2),
    Activation::Silu,
    Activation::Gelu,
    Activation::GeluTanh,
];

/// f(x)
pub(crate) fn activated(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::None => x,
        Activation::Relu => x.max(0.0),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::Leaky(slope) => x.max(0.0) + f64::from(slope) * x.min(0.0),
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::Gelu => 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
        Activation::GeluTanh => {
            0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
        }
    }
}

/// f'(x); zero at a bend, or the slope of what lies below it.
pub(crate) fn slope(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::None => 1.0,
        Activation::Relu => f64::from(x > 0.0),
        Activation::Relu6 => f64::from(x > 0.0 && x < 6.0),
        Activation::Leaky(slope) => {
            if x > 0.0 {
                1.0
            } else {
                f64::from(slope)
            }
        }
        Activation::Silu => {
            let s = 1.0 / (1.0 + (-x).exp());
            s + x * s * (1.0 - s)
        }
        Activation::Gelu => {
            let density = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
            0.5 * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)) + x * density
        }
        Activation::GeluTanh => {
            let factor = (2.0 / std::f64::consts::PI).sqrt();
            let tanh = (factor * (x + 0.044_715 * x.powi(3))).tanh();
            0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh * tanh) * factor * (1.0 + 3.0 * 0.044_715 * x * x)
        }
    }
}

/// The error function: `2 / sqrt(pi) e^-x^2 sum over n of 2^n x^(2n + 1) / (1 3 5 .. (2n + 1))`, where nothing cancels.
pub(crate) fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let terms = (1..).scan(x, |term, n| {
        let this = *term;
        *term *= 2.0 * x * x / f64::from(2 * n + 1);
        (this.abs() > 1e-20).then_some(this)
    });
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * terms.sum::<f64>()
}

/// Runs `work` on `threads` threads whose scratch memory is full of NaN: to read what was not written shows.
pub(crate) fn on_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a few threads");
    pool.broadcast(|_| scratch::with(1 << 16, |memory| memory.fill(f32::NAN)));
    pool.install(work)
}

/// For comparing numbers to the last bit.
pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Asserts that `work` gives the same bits on 1, 2 and 3 threads.
pub(crate) fn assert_same_on_any_threads(what: &str, work: impl Fn() -> Vec<f32> + Sync) {
    let alone = bits(&on_threads(1, &work));
    for threads in [2, 3] {
        assert!(bits(&on_threads(threads, &work)) == alone, "{what} on {threads} threads");
    }
}

/// The same random cases in every run.
pub(crate) fn cases(count: u32) -> proptest::test_runner::Config {
    proptest::test_runner::Config {
        rng_seed: proptest::test_runner::RngSeed::Fixed(0),
        failure_persistence: None,
        ..proptest::test_runner::Config::with_cases(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{ConvOptions, Padding};

    #[test]
    fn the_definitions_of_a_convolution_are_one_trilinear_form() {
        let padding = Padding::Explicit { before: [2, 0], after: [1, 3] };
        let options = ConvOptions { stride: [2, 3], padding, dilation: [1, 2], groups: 2, ..Default::default() };
        let geometry = Geometry::new([7, 9], [3, 4], &options);
        let shape = Shape { images: 2, channels: 6, outputs: 4, groups: 2, geometry };
        let (x, w) = (values(shape.input_len(), 1), values(shape.weight_len(), 2));
        let g = values(shape.output_len(), 3);
        let along = |values: &[f32], definition: &dyn Fn(usize) -> Sum| -> f64 {
            values.iter().enumerate().map(|(at, value)| f64::from(*value) * definition(at).value).sum()
        };
        let y = along(&g, &|at| convolution(&shape, &x, &w, at));
        assert!(y.abs() > 1.0, "{y}");
        assert!((y - along(&x, &|at| gradient_to_input(&shape, &g, &w, at))).abs() < 1e-9);
        assert!((y - along(&w, &|at| gradient_to_weight(&shape, &x, &g, at))).abs() < 1e-9);
    }

    #[test]
    fn functions_have_their_known_values() {
        // Of mpmath.
        for (x, expected) in
            [(0.5, 0.520_499_877_813_046_5), (2.0, 0.995_322_265_018_952_7), (-4.0, -0.999_999_984_582_742_1)]
        {
            assert!((erf(x) - expected).abs() < 1e-15, "erf({x})");
        }
        for activation in ACTIVATIONS {
            for x in [-7.0, -2.5, -0.3, 0.7, 3.1, 5.9, 8.0] {
                let difference = (activated(activation, x + 1e-5) - activated(activation, x - 1e-5)) / 2e-5;
                assert!((slope(activation, x) - difference).abs() < 1e-8, "{activation:?} at {x}");
            }
        }
    }

    #[test]
    fn a_distance_sees_what_is_wrong() {
        let results = values(5000, 4);
        let right = |at: usize| Sum { value: f64::from(results[at]), terms: 2.0 };
        assert_eq!(distance(&results, right).of_terms, 0.0);
        let off = |at: usize| Sum { value: right(at).value + if at % 16 == 3 { 0.5 } else { 0.0 }, terms: 2.0 };
        assert_eq!(distance(&results, off).of_terms, 0.25);
        let unknown = |at: usize| Sum { value: if at % 16 == 3 { f64::NAN } else { right(at).value }, terms: 2.0 };
        assert_eq!(distance(&results, unknown).of_terms, f64::INFINITY);
    }
}
