//! Batch normalisation over the channels of a batch, with what usually follows it: a residual and an activation.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::activation::Activation;
use crate::vector::arch;

/// Rows of a block: few enough to be summed in f32 without loss before the sums go on in f64, and for a block to stay in
/// the cache from one look at it to the next.
fn block_rows(channels: usize) -> usize {
    (BLOCK_NUMBERS / channels.max(1)).clamp(16, 256)
}

/// Numbers of a block, about.
const BLOCK_NUMBERS: usize = 1 << 16;

/// What a batch norm in training mode gives.
#[derive(Debug)]
pub(crate) struct Normalised {
    /// `activation(gamma (x - mean) / sqrt(variance + epsilon) + beta + residual)`, `[rows, C]`
    pub output: Vec<f32>,
    /// Mean of each channel.
    pub mean: Vec<f32>,
    /// Biased variance of each channel.
    pub variance: Vec<f32>,
}

/// Parameters of a batch norm.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Norm<'a> {
    pub gamma: &'a [f32],
    pub beta: &'a [f32],
    pub epsilon: f32,
    pub activation: Activation,
}

/// Normalises by the batch's own statistics (Ioffe and Szegedy 2015). `x`: `[rows, C]`.
pub(crate) fn forward(x: &[f32], norm: &Norm<'_>, residual: Option<&[f32]>) -> Normalised {
    let channels = norm.gamma.len();
    assert_eq!(norm.beta.len(), channels);
    assert_eq!(x.len() % channels, 0, "rows of {channels} channels");
    assert!(residual.is_none_or(|r| r.len() == x.len()), "a residual as large as the input");
    let rows = (x.len() / channels) as f64;
    let centre = rough_means(x, channels);
    let centred = Centred { values: x, centre: &centre };
    let sums = channel_sums(centred, centred);
    let mut mean = vec![0.0; channels];
    let mut variance = vec![0.0; channels];
    let mut scale = vec![0.0; channels];
    let mut shift = vec![0.0; channels];
    for c in 0..channels {
        let (sum, squares) = sums[c];
        let off = sum / rows;
        let m = f64::from(centre[c]) + off;
        let v = squares / rows - off * off;
        // NaN stays NaN.
        let v = if v < 0.0 { 0.0 } else { v };
        (mean[c], variance[c]) = (m as f32, v as f32);
        let s = f64::from(norm.gamma[c]) / (v + f64::from(norm.epsilon)).sqrt();
        (scale[c], shift[c]) = (s as f32, (f64::from(norm.beta[c]) - m * s) as f32);
    }
    let mut output = vec![0.0; x.len()];
    affine(x, &scale, &shift, residual, norm.activation, &mut output);
    Normalised { output, mean, variance }
}

/// `y = activation(x scale + shift + residual)`, channel by channel.
pub(crate) fn affine(
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    residual: Option<&[f32]>,
    activation: Activation,
    y: &mut [f32],
) {
    let channels = scale.len();
    assert_eq!((shift.len(), y.len()), (channels, x.len()));
    assert_eq!(x.len() % channels, 0);
    let size = block_rows(channels) * channels;
    y.par_chunks_mut(size).enumerate().for_each(|(index, y)| {
        let range = index * size..index * size + y.len();
        let residual = residual.map(|r| &r[range.clone()]);
        arch().dispatch(Affine { x: &x[range], scale, shift, residual, y });
        activation.in_place(y);
    });
}

struct Affine<'a> {
    x: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    residual: Option<&'a [f32]>,
    y: &'a mut [f32],
}

impl WithSimd for Affine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let channels = self.scale.len();
        let rows = self.x.chunks_exact(channels).zip(self.y.chunks_exact_mut(channels));
        match self.residual {
            None => {
                for (x, y) in rows {
                    for (((y, &x), &a), &b) in y.iter_mut().zip(x).zip(self.scale).zip(self.shift) {
                        *y = x * a + b;
                    }
                }
            }
            Some(residual) => {
                for ((x, y), r) in rows.zip(residual.chunks_exact(channels)) {
                    for ((((y, &x), &a), &b), &r) in y.iter_mut().zip(x).zip(self.scale).zip(self.shift).zip(r) {
                        *y = x * a + b + r;
                    }
                }
            }
        }
    }
}

/// What [`forward`] saw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub x: &'a [f32],
    pub gamma: &'a [f32],
    pub mean: &'a [f32],
    pub variance: &'a [f32],
    pub epsilon: f32,
}

/// Where the way back through a batch norm has been half-way: gradients of its parameters, and how those of its input
/// follow.
#[derive(Debug)]
pub(crate) struct Halfway {
    pub gamma: Vec<f32>,
    pub beta: Vec<f32>,
    /// `gx = a g + b (x - mean) + c`, channel by channel.
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
}

/// The first half of the way back: takes `gradient`, to the output, back through the activation, in place, and sums over
/// it what the gradients of the parameters need. `after` is the activation and what its derivative is told from, where
/// there is one.
///
/// What is in `gradient` afterwards is also the residual's.
pub(crate) fn backward(seen: &Seen<'_>, after: Option<(Activation, &[f32])>, gradient: &mut [f32]) -> Halfway {
    let channels = seen.gamma.len();
    assert_eq!(seen.x.len(), gradient.len());
    assert!(after.is_none_or(|(_, told)| told.len() == gradient.len()));
    let rows = (gradient.len() / channels) as f64;
    let zeros = vec![0.0; channels];
    let size = block_rows(channels) * channels;
    let blocks = gradient.par_chunks_mut(size).zip(seen.x.par_chunks(size)).enumerate();
    let parts = blocks
        .map(|(index, (gradient, x))| {
            if let Some((activation, told)) = after {
                activation.backward_in_place(&told[index * size..][..gradient.len()], gradient);
            }
            sum_block(Centred { values: gradient, centre: &zeros }, Centred { values: x, centre: seen.mean })
        })
        .collect();
    let sums = add_up(parts, channels);
    let vector = || vec![0.0; channels];
    let mut half = Halfway { gamma: vector(), beta: vector(), a: vector(), b: vector(), c: vector() };
    for i in 0..channels {
        let (sum, product) = sums[i];
        let inverse = 1.0 / (f64::from(seen.variance[i]) + f64::from(seen.epsilon)).sqrt();
        let along = inverse * product;
        (half.gamma[i], half.beta[i]) = (along as f32, sum as f32);
        let k = f64::from(seen.gamma[i]) * inverse;
        half.a[i] = k as f32;
        half.b[i] = (-k * inverse * along / rows) as f32;
        half.c[i] = (-k * sum / rows) as f32;
    }
    half
}

/// The second half: makes the gradient to the input of what [`backward`] left, in place.
pub(crate) fn backward_input(seen: &Seen<'_>, half: &Halfway, gradient: &mut [f32]) {
    assert_eq!(seen.x.len(), gradient.len());
    let size = block_rows(seen.gamma.len()) * seen.gamma.len();
    gradient.par_chunks_mut(size).zip(seen.x.par_chunks(size)).for_each(|(g, x)| {
        arch().dispatch(Combine { g, x, mean: seen.mean, half });
    });
}

/// Gradients of [`affine`] to scale and shift, given that to `x scale + shift`, which becomes that to `x`.
pub(crate) fn affine_backward(x: &[f32], scale: &[f32], gradient: &mut [f32]) -> (Vec<f32>, Vec<f32>) {
    let channels = scale.len();
    assert_eq!(x.len(), gradient.len());
    let zeros = vec![0.0; channels];
    let sums = channel_sums(Centred { values: gradient, centre: &zeros }, Centred { values: x, centre: &zeros });
    gradient.par_chunks_mut(block_rows(channels) * channels).for_each(|gradient| {
        for row in gradient.chunks_exact_mut(channels) {
            for (g, scale) in row.iter_mut().zip(scale) {
                *g *= scale;
            }
        }
    });
    sums.into_iter().map(|(sum, product)| (product as f32, sum as f32)).unzip()
}

struct Combine<'a> {
    g: &'a mut [f32],
    x: &'a [f32],
    mean: &'a [f32],
    half: &'a Halfway,
}

impl WithSimd for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let n = self.mean.len();
        let (a, b, c, mean) = (&self.half.a[..n], &self.half.b[..n], &self.half.c[..n], &self.mean[..n]);
        for (g, x) in self.g.chunks_exact_mut(n).zip(self.x.chunks_exact(n)) {
            for i in 0..n {
                g[i] = a[i] * g[i] + b[i] * (x[i] - mean[i]) + c[i];
            }
        }
    }
}

/// `[rows, C]`, from which a number for each channel is taken.
#[derive(Debug, Clone, Copy)]
struct Centred<'a> {
    values: &'a [f32],
    centre: &'a [f32],
}

impl<'a> Centred<'a> {
    fn blocks(self) -> impl IndexedParallelIterator<Item = Self> {
        let blocks = self.values.par_chunks(block_rows(self.centre.len()) * self.centre.len());
        blocks.map(move |values| Centred { values, ..self })
    }
}

/// Rows whose mean is taken for a rough one.
const ROUGH_ROWS: usize = 64;

/// Roughly the mean of each channel: of some rows spread over all.
///
/// A variance is the mean square less the square of the mean. Where the mean is much larger than what it varies by,
/// little is left of their digits; about a rough mean nothing is lost.
fn rough_means(x: &[f32], channels: usize) -> Vec<f32> {
    let rows = x.len() / channels;
    let count = rows.min(ROUGH_ROWS);
    let mut means = vec![0.0; channels];
    for index in 0..count {
        for (mean, value) in means.iter_mut().zip(&x[index * rows / count * channels..][..channels]) {
            *mean += value / count as f32;
        }
    }
    // Infinite ones would turn the others into NaN.
    for mean in &mut means {
        *mean = if mean.is_finite() { *mean } else { 0.0 };
    }
    means
}

/// Sums over the rows of `a` and of `a b`, for each channel: blocks of rows side by side, added in order.
fn channel_sums(a: Centred<'_>, b: Centred<'_>) -> Vec<(f64, f64)> {
    let channels = a.centre.len();
    add_up(a.blocks().zip(b.blocks()).map(|(a, b)| sum_block(a, b)).collect(), channels)
}

fn sum_block(a: Centred<'_>, b: Centred<'_>) -> (Vec<f32>, Vec<f32>) {
    let channels = a.centre.len();
    let (mut sum, mut product) = (vec![0.0; channels], vec![0.0; channels]);
    arch().dispatch(AddRows { a, b, sum: &mut sum, product: &mut product });
    (sum, product)
}

fn add_up(parts: Vec<(Vec<f32>, Vec<f32>)>, channels: usize) -> Vec<(f64, f64)> {
    let mut total = vec![(0.0, 0.0); channels];
    for (sum, product) in parts {
        for ((total, s), p) in total.iter_mut().zip(sum).zip(product) {
            total.0 += f64::from(s);
            total.1 += f64::from(p);
        }
    }
    total
}

struct AddRows<'a> {
    a: Centred<'a>,
    b: Centred<'a>,
    sum: &'a mut [f32],
    product: &'a mut [f32],
}

impl WithSimd for AddRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        let n = self.sum.len();
        let (a, b) = (self.a.values.chunks_exact(4 * n), self.b.values.chunks_exact(4 * n));
        let (a_rest, b_rest) = (a.remainder().chunks_exact(n), b.remainder().chunks_exact(n));
        // Four rows for each time that the sums are loaded and stored.
        for (a, b) in a.zip(b) {
            self.add::<4>(a, b);
        }
        for (a, b) in a_rest.zip(b_rest) {
            self.add::<1>(a, b);
        }
    }
}

impl AddRows<'_> {
    #[inline(always)]
    fn add<const ROWS: usize>(&mut self, a: &[f32], b: &[f32]) {
        let n = self.sum.len();
        let (mut a_rows, mut b_rows) = ([a; ROWS], [b; ROWS]);
        for row in 0..ROWS {
            a_rows[row] = &a[row * n..][..n];
            b_rows[row] = &b[row * n..][..n];
        }
        let (from_a, from_b) = (&self.a.centre[..n], &self.b.centre[..n]);
        let (sums, products) = (&mut self.sum[..n], &mut self.product[..n]);
        for i in 0..n {
            let (mut sum, mut product) = (sums[i], products[i]);
            for row in 0..ROWS {
                let value = a_rows[row][i] - from_a[i];
                sum += value;
                product += value * (b_rows[row][i] - from_b[i]);
            }
            (sums[i], products[i]) = (sum, product);
        }
    }
}

/// Sum of each channel over the rows.
pub(crate) fn column_sums(x: &[f32], channels: usize) -> Vec<f32> {
    let zeros = vec![0.0; channels];
    let x = Centred { values: x, centre: &zeros };
    channel_sums(x, x).into_iter().map(|(sum, _)| sum as f32).collect()
}

#[cfg(test)]
mod tests;
