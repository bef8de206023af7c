//! Convolution of each channel by itself, channel-last.
//!
//! A task takes some rows of one image. Away from the border it computes four neighbouring pixels at a time: each
//! number that they see is loaded once for all of them. A pixel at the border visits the taps that it has. Gradients to
//! the input are the same computation on gradients with zeros between them. For gradients to the weights, what the window
//! sees of some channels is copied beside each other, with the padding written out, and summed over.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::activation::Activation;
use crate::gemm::{Epilogue, PADDING};
use crate::geometry::Geometry;
use crate::scratch;
use crate::vector::{arch, lanes, load, store};

/// Weights `[rows, columns, C]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taps<'a> {
    pub values: &'a [f32],
    pub channels: usize,
}

/// Columns that are computed together: each weight is loaded once for all of them.
const TOGETHER: usize = 4;

/// Pixels that a task copies, about: 32 KB of the widest common vectors.
const COPIED: usize = 1024;

/// A window that moves over rows and columns of which some are padding.
struct Windows {
    kernel: [usize; 2],
    step: [usize; 2],
    dilation: [usize; 2],
    /// Rows and columns of what the window moves over.
    source: [usize; 2],
    /// Rows and columns of the result.
    target: [usize; 2],
    /// The source row at each place of a window's way down, or [`PADDING`].
    rows: Vec<usize>,
    /// The source column at each place of its way across.
    columns: Vec<usize>,
}

impl Windows {
    /// Of the convolution itself.
    fn forward(g: &Geometry) -> Self {
        let places = |axis: usize| -> Vec<usize> {
            (0..reach(g.output[axis], g.stride[axis], g.kernel[axis], g.dilation[axis]))
                .map(|at| at.checked_sub(g.before[axis]).filter(|&at| at < g.input[axis]).unwrap_or(PADDING))
                .collect()
        };
        Self {
            kernel: g.kernel,
            step: g.stride,
            dilation: g.dilation,
            source: g.input,
            target: g.output,
            rows: places(0),
            columns: places(1),
        }
    }

    /// Of the gradient to the input: the window, turned around, moves by one over gradients that lie a stride apart.
    fn backward(g: &Geometry) -> Self {
        let places = |axis: usize| -> Vec<usize> {
            let back = (g.kernel[axis] - 1) * g.dilation[axis];
            (0..reach(g.input[axis], 1, g.kernel[axis], g.dilation[axis]))
                .map(|at| {
                    let apart = (at + g.before[axis]).checked_sub(back);
                    let index = apart.filter(|at| at % g.stride[axis] == 0).map(|at| at / g.stride[axis]);
                    index.filter(|&index| index < g.output[axis]).unwrap_or(PADDING)
                })
                .collect()
        };
        Self {
            kernel: g.kernel,
            step: [1, 1],
            dilation: g.dilation,
            source: g.output,
            target: g.input,
            rows: places(0),
            columns: places(1),
        }
    }

    /// Rows of the result that a task takes, so that its copy is small.
    fn rows_per_task(&self) -> usize {
        let most = (COPIED / self.columns.len().max(1)).saturating_sub(self.kernel[0] * self.dilation[0]);
        (most / self.step[0]).clamp(1, self.target[0].max(1))
    }

    /// Rows that `count` rows of the result see.
    fn seen(&self, count: usize) -> usize {
        reach(count, self.step[0], self.kernel[0], self.dilation[0])
    }
}

/// Places that `count` windows cover.
fn reach(count: usize, step: usize, kernel: usize, dilation: usize) -> usize {
    match count.checked_sub(1) {
        Some(last) => last * step + (kernel - 1) * dilation + 1,
        None => 0,
    }
}

/// `y = epilogue(convolution of x)`: `[N, H, W, C]` to `[N, H', W', C]`.
pub(crate) fn forward(x: &[f32], taps: &Taps<'_>, g: &Geometry, y: &mut [f32], epilogue: &Epilogue<'_>) {
    assert_eq!(taps.values.len(), g.kernel[0] * g.kernel[1] * taps.channels);
    convolve(&Windows::forward(g), x, taps, y, epilogue);
}

/// Gradient to the input, for any stride and padding.
pub(crate) fn backward_input(gradient: &[f32], taps: &Taps<'_>, g: &Geometry, gx: &mut [f32]) {
    let channels = taps.channels;
    let turned: Vec<f32> = taps.values.chunks_exact(channels.max(1)).rev().flatten().copied().collect();
    convolve(&Windows::backward(g), gradient, &Taps { values: &turned, channels }, gx, &Epilogue::NONE);
}

fn convolve(windows: &Windows, x: &[f32], taps: &Taps<'_>, y: &mut [f32], epilogue: &Epilogue<'_>) {
    let channels = taps.channels;
    let (of_x, width) = (windows.source[0] * windows.source[1] * channels, windows.target[1] * channels);
    let of_y = windows.target[0] * width;
    if of_y == 0 {
        return;
    }
    assert_eq!(x.len() / of_x.max(1), y.len() / of_y, "as many images in as out");
    let rows = windows.rows_per_task();
    y.par_chunks_mut(of_y).enumerate().for_each(|(image, y)| {
        let x = &x[image * of_x..(image + 1) * of_x];
        y.par_chunks_mut(rows * width).enumerate().for_each(|(index, part)| {
            let first = index * rows;
            let epilogue = epilogue.part(image * of_y + first * width, part.len());
            let task = Task { windows, x, channels, first, rows: part.len() / width };
            let (lines, seen) = (Vec::new(), Vec::new());
            arch().dispatch(Convolve { task, taps, y: part, epilogue: &epilogue, lines, seen });
        });
    });
}

/// Some rows of the result of one image.
#[derive(Clone, Copy)]
struct Task<'a> {
    windows: &'a Windows,
    x: &'a [f32],
    channels: usize,
    first: usize,
    rows: usize,
}

impl Task<'_> {
    /// Numbers of its copy.
    fn copied(&self) -> usize {
        self.windows.seen(self.rows) * self.windows.columns.len() * lanes()
    }

    /// Copies `take` channels from `channel` on of all that the window sees: `[rows, columns]` vectors.
    #[inline(always)]
    fn copy<S: Simd>(&self, simd: S, channel: usize, take: usize, to: &mut [S::f32s]) {
        let w = self.windows;
        let rows = &w.rows[self.first * w.step[0]..][..w.seen(self.rows)];
        for (&row, to) in rows.iter().zip(to.chunks_exact_mut(w.columns.len())) {
            if row == PADDING {
                to.fill(simd.splat_f32s(0.0));
                continue;
            }
            let line = &self.x[row * w.source[1] * self.channels..][..w.source[1] * self.channels];
            for (&column, to) in w.columns.iter().zip(to) {
                *to = match column {
                    PADDING => simd.splat_f32s(0.0),
                    column => load(simd, &line[column * self.channels + channel..][..take]),
                };
            }
        }
    }
}

/// Takes the channels a vector at a time: whole vectors first, then what is left of them, in two calls so that the
/// first is compiled without masks.
macro_rules! each_vector {
    ($simd:ty, $channels:expr, |$channel:ident, $take:ident| $body:expr) => {
        let whole = $channels / <$simd>::F32_LANES * <$simd>::F32_LANES;
        let mut from = 0;
        while from < whole {
            let ($channel, $take) = (from, <$simd>::F32_LANES);
            $body;
            from += <$simd>::F32_LANES;
        }
        if whole < $channels {
            let ($channel, $take) = (whole, $channels - whole);
            $body;
        }
    };
}

/// As [`each_vector`], but channels that are left over are taken as the last whole vector, some for the second time: only
/// for what may be done twice.
macro_rules! each_vector_twice {
    ($simd:ty, $channels:expr, |$channel:ident, $take:ident| $body:expr) => {
        if $channels >= <$simd>::F32_LANES {
            let mut from = 0;
            while from < $channels {
                let $channel = from.min($channels - <$simd>::F32_LANES);
                let $take = <$simd>::F32_LANES;
                $body;
                from += <$simd>::F32_LANES;
            }
        } else {
            let ($channel, $take) = (0, $channels);
            $body;
        }
    };
}

/// Calls a method with the window's side and step as constants where there is code for them, or with zeros.
macro_rules! with_sizes {
    ($windows:expr, $self:ident . $method:ident :: <$simd:ty> ( $($argument:expr),* )) => {
        match ($windows.kernel, $windows.step, $windows.dilation) {
            ([3, 3], [1, 1], [1, 1]) => $self.$method::<$simd, 3, 1>($($argument),*),
            ([3, 3], [2, 2], [1, 1]) => $self.$method::<$simd, 3, 2>($($argument),*),
            ([5, 5], [1, 1], [1, 1]) => $self.$method::<$simd, 5, 1>($($argument),*),
            ([5, 5], [2, 2], [1, 1]) => $self.$method::<$simd, 5, 2>($($argument),*),
            ([7, 7], [1, 1], [1, 1]) => $self.$method::<$simd, 7, 1>($($argument),*),
            ([7, 7], [2, 2], [1, 1]) => $self.$method::<$simd, 7, 2>($($argument),*),
            _ => $self.$method::<$simd, 0, 0>($($argument),*),
        }
    };
}

/// Most places across that a group of pixels sees: four windows of seven, two apart.
const SPAN: usize = (TOGETHER - 1) * 2 + 7;

struct Convolve<'a> {
    task: Task<'a>,
    taps: &'a Taps<'a>,
    y: &'a mut [f32],
    epilogue: &'a Epilogue<'a>,
    /// The rows of the source that a row of the result sees, each with its row of taps.
    lines: Vec<(usize, &'a [f32])>,
    /// What a pixel at the border sees: where in the source, and where among the taps.
    seen: Vec<(usize, usize)>,
}

impl WithSimd for Convolve<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        with_sizes!(self.task.windows, self.rows::<S>(simd));
    }
}

impl Convolve<'_> {
    /// All rows, with the window's side and step as constants, or zeros where there is no code for them.
    #[inline(always)]
    fn rows<S: Simd, const K: usize, const STEP: usize>(&mut self, simd: S) {
        let Task { windows: w, x, channels, first, rows } = self.task;
        let width = w.source[1] * channels;
        for i in 0..rows {
            self.lines.clear();
            for u in 0..w.kernel[0] {
                let row = w.rows[(first + i) * w.step[0] + u * w.dilation[0]];
                if row != PADDING {
                    self.lines.push((u, &x[row * width..(row + 1) * width]));
                }
            }
            let span = (TOGETHER - 1) * STEP + K;
            let mut j = 0;
            while j < w.target[1] {
                let from = w.columns[j * w.step[1]];
                let inside = K > 0
                    && j + TOGETHER <= w.target[1]
                    && from != PADDING
                    && w.columns[j * STEP + span - 1] == from + span - 1;
                if inside {
                    self.together::<S, K, STEP>(simd, (i * w.target[1] + j) * channels, from * channels);
                    j += TOGETHER;
                } else {
                    self.pixel::<S>(simd, i * w.target[1] + j, j);
                    j += 1;
                }
            }
        }
    }

    /// Neighbouring pixels away from the border: results from `to` on, of what begins at `from` in each line.
    #[inline(always)]
    fn together<S: Simd, const K: usize, const STEP: usize>(&mut self, simd: S, to: usize, from: usize) {
        let channels = self.task.channels;
        each_vector_twice!(S, channels, |channel, take| {
            let mut sums = [simd.splat_f32s(0.0); TOGETHER];
            for &(u, line) in &self.lines {
                let mut seen = [simd.splat_f32s(0.0); SPAN];
                for q in 0..(TOGETHER - 1) * STEP + K {
                    seen[q] = load(simd, &line[from + q * channels + channel..][..take]);
                }
                for v in 0..K {
                    let weight = load(simd, &self.taps.values[(u * K + v) * channels + channel..][..take]);
                    for q in 0..TOGETHER {
                        sums[q] = simd.mul_add_e_f32s(seen[q * STEP + v], weight, sums[q]);
                    }
                }
            }
            for q in 0..TOGETHER {
                self.finish(simd, sums[q], to + q * channels, channel, take);
            }
        });
    }

    /// Any pixel: the `index`-th of the task, in column `j`.
    #[inline(always)]
    fn pixel<S: Simd>(&mut self, simd: S, index: usize, j: usize) {
        let Task { windows: w, x, channels, first, .. } = self.task;
        let i = first + index / w.target[1];
        self.seen.clear();
        for u in 0..w.kernel[0] {
            let row = w.rows[i * w.step[0] + u * w.dilation[0]];
            for v in 0..w.kernel[1] {
                let column = w.columns[j * w.step[1] + v * w.dilation[1]];
                if row != PADDING && column != PADDING {
                    let at = (row * w.source[1] + column) * channels;
                    self.seen.push((at, (u * w.kernel[1] + v) * channels));
                }
            }
        }
        each_vector_twice!(S, channels, |channel, take| {
            let mut sum = simd.splat_f32s(0.0);
            for &(at, tap) in &self.seen {
                let value = load(simd, &x[at + channel..][..take]);
                let weight = load(simd, &self.taps.values[tap + channel..][..take]);
                sum = simd.mul_add_e_f32s(value, weight, sum);
            }
            self.finish(simd, sum, index * channels, channel, take);
        });
    }

    #[inline(always)]
    fn finish<S: Simd>(&mut self, simd: S, mut value: S::f32s, pixel: usize, channel: usize, take: usize) {
        let at = pixel + channel;
        if let Some(bias) = self.epilogue.bias {
            value = simd.add_f32s(value, load(simd, &bias[channel..channel + take]));
        }
        if let Some(residual) = self.epilogue.residual {
            value = simd.add_f32s(value, load(simd, &residual[at..at + take]));
        }
        if self.epilogue.activation != Activation::None {
            value = self.epilogue.activation.of_vector(simd, value);
        }
        store(simd, &mut self.y[at..at + take], value);
    }
}

/// Gradient to the weights, `[rows, columns, C]`: each image's, added in order.
pub(crate) fn backward_taps(x: &[f32], gradient: &[f32], g: &Geometry, channels: usize) -> Vec<f32> {
    let windows = &Windows::forward(g);
    let size = g.kernel[0] * g.kernel[1] * channels;
    let width = g.output[1] * channels;
    let (of_x, of_y) = (g.input[0] * g.input[1] * channels, g.output[0] * width);
    let mut total = vec![0.0; size];
    if of_x == 0 || of_y == 0 {
        return total;
    }
    let rows = windows.rows_per_task();
    let parts: Vec<Vec<f32>> = x
        .par_chunks_exact(of_x)
        .zip(gradient.par_chunks_exact(of_y))
        .map(|(x, gradient)| {
            let mut sums = vec![0.0; size];
            for (index, gradient) in gradient.chunks(rows * width).enumerate() {
                let task = Task { windows, x, channels, first: index * rows, rows: gradient.len() / width };
                scratch::with(task.copied(), |memory| {
                    arch().dispatch(SumTaps { task, gradient, sums: &mut sums, memory });
                });
            }
            sums
        })
        .collect();
    for part in parts {
        for (t, p) in total.iter_mut().zip(part) {
            *t += p;
        }
    }
    total
}

struct SumTaps<'a> {
    task: Task<'a>,
    gradient: &'a [f32],
    sums: &'a mut [f32],
    memory: &'a mut [f32],
}

impl WithSimd for SumTaps<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let w = self.task.windows;
        let memory = S::as_mut_simd_f32s(std::mem::take(&mut self.memory)).0;
        with_sizes!(w, self.channels::<S>(simd, memory));
    }
}

impl SumTaps<'_> {
    #[inline(always)]
    fn channels<S: Simd, const K: usize, const STEP: usize>(&mut self, simd: S, memory: &mut [S::f32s]) {
        each_vector!(S, self.task.channels, |channel, take| {
            self.task.copy(simd, channel, take, memory);
            self.vector::<S, K, STEP>(simd, memory, channel, take)
        });
    }

    #[inline(always)]
    fn vector<S: Simd, const K: usize, const STEP: usize>(
        &mut self,
        simd: S,
        seen: &[S::f32s],
        channel: usize,
        take: usize,
    ) {
        let Task { windows: w, channels, rows, .. } = self.task;
        let line = w.columns.len();
        let gradient = self.gradient;
        let pixel = |i: usize, j: usize| &gradient[(i * w.target[1] + j) * channels + channel..][..take];
        if K > 0 {
            for u in 0..K {
                // A row of taps at a time stays in registers for any window.
                let mut sums = [simd.splat_f32s(0.0); K];
                for i in 0..rows {
                    let row = &seen[(i * w.step[0] + u) * line..][..line];
                    for j in 0..w.target[1] {
                        let value = load(simd, pixel(i, j));
                        let row = &row[j * STEP..][..K];
                        for v in 0..K {
                            sums[v] = simd.mul_add_e_f32s(value, row[v], sums[v]);
                        }
                    }
                }
                for v in 0..K {
                    self.add(simd, (u * K + v) * channels + channel, take, sums[v]);
                }
            }
            return;
        }
        for u in 0..w.kernel[0] {
            for v in 0..w.kernel[1] {
                let mut sum = simd.splat_f32s(0.0);
                for i in 0..rows {
                    for j in 0..w.target[1] {
                        let at = (i * w.step[0] + u * w.dilation[0]) * line + j * w.step[1] + v * w.dilation[1];
                        sum = simd.mul_add_e_f32s(load(simd, pixel(i, j)), seen[at], sum);
                    }
                }
                self.add(simd, (u * w.kernel[1] + v) * channels + channel, take, sum);
            }
        }
    }

    #[inline(always)]
    fn add<S: Simd>(&mut self, simd: S, at: usize, take: usize, value: S::f32s) {
        let to = &mut self.sums[at..at + take];
        let sum = simd.add_f32s(load(simd, to), value);
        store(simd, to, sum);
    }
}

#[cfg(test)]
mod tests;
