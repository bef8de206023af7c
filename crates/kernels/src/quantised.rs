//! Matrix products with weights of 8 bits: sums of integers, which are exact.
//!
//! Weights are `q s`, with `q` from -127 to 127 and one scale `s` for each output (Wu et al. 2016, section 6, equation 11;
//! Jacob et al. 2018 with a zero point of 0). Inputs are quantised when they come, each row by its own largest magnitude, to
//! integers of up to 16 bits: the instructions that are within reach of safe code multiply pairs of 16 bits, so that 8 bits would
//! save nothing and lose accuracy. How many steps there are is a matter of the weights: as many as no sum can overflow with.
//!
//! Integers add up to the same whatever the order, and what follows (scale, bias, activation) is done in one way: a
//! result is the same bits for any number of threads, any batch around it and any instruction set.
//!
//! Weights take one byte in memory and are extended to 16 bits where they are used, two vectors for each block of rows: products of
//! few rows are bound by how fast weights can be read.

mod instructions;

use std::ops::Range;

use rayon::prelude::*;

use self::instructions::{Integers, Set, with_set};
use crate::activation::Activation;
use crate::scratch;

/// Most inputs of a [`QuantisedWeights`]: so many products of two integers from -127 to 127 are below 2^31.
pub const MAX_QUANTISED_DEPTH: usize = (i32::MAX / (127 * 127)) as usize;

/// The largest quantised weight.
const MOST_OF_WEIGHT: i32 = 127;

/// The largest quantised input.
const MOST_OF_INPUT: i32 = i16::MAX as i32;

/// Numbers whose magnitudes are all below this are zero once they are quantised: the inverse of their scale has to be finite.
const SMALLEST: f32 = 1e-33;

/// Vectors of a panel.
const VECTORS: usize = 2;

/// Most columns of a panel, of any instruction set.
const MOST_COLUMNS: usize = 16 * VECTORS;

/// Bytes of quantised inputs that a task goes through for each panel: half of a second-level cache.
const TASK_BYTES: usize = 1 << 19;

/// Below this many multiply-adds a product is not worth handing to another thread.
const TASK_WORK: usize = 1 << 17;

/// Tasks for each thread, at least, if there is enough to do: one that is held up leaves some to the others.
const TASK_SHARES: usize = 4;

/// 1.5 * 2^23: adding it rounds to the nearest whole number, of two the even one, which is then in the low bits.
const MAGIC: f32 = 12_582_912.0;

/// The weights `[inputs, outputs]` of a linear layer in 8 bits, packed for products on this machine.
///
/// ```
/// use engraft_kernels::{Activation, QuantisedWeights};
///
/// // 2 inputs, 3 outputs.
/// let weights = QuantisedWeights::of(&[0.5, 1.0, 0.0, -0.5, 0.25, 0.0], 2, 3);
/// let mut y = [0.0; 3];
/// weights.multiply(&[1.0, 2.0], Some(&[0.0, 0.0, 3.0]), Activation::None, &mut y);
/// assert!((y[0] + 0.5).abs() < 1e-2 && (y[1] - 1.5).abs() < 1e-2 && y[2] == 3.0);
/// ```
#[derive(Clone)]
pub struct QuantisedWeights {
    /// `[columns / width, pairs, width, 2]`; what lies beyond the last row or column is zero.
    panels: Vec<i8>,
    /// For each column, and zeros to the width of a panel.
    scales: Vec<f32>,
    depth: usize,
    columns: usize,
    /// The largest quantised input with which no sum overflows.
    most: i32,
    set: Set,
}

impl std::fmt::Debug for QuantisedWeights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { depth, columns, most, set, .. } = self;
        write!(f, "QuantisedWeights({depth} x {columns}, inputs up to {most}, {})", set.name())
    }
}

impl QuantisedWeights {
    /// Quantises a row-major matrix `[inputs, outputs]`: `q = round(w / s)`, half to even, with `s = max |w| / 127` over the
    /// weights of an output. An output whose weights are all zero (or below 1e-33) stays zero.
    ///
    /// # Panics
    /// Unless there are `inputs x outputs` weights, all finite, and at most [`MAX_QUANTISED_DEPTH`] inputs.
    pub fn of(weights: &[f32], inputs: usize, outputs: usize) -> Self {
        assert_eq!(weights.len(), inputs * outputs, "weights of {inputs} x {outputs}");
        Self::pack(Set::chosen(), inputs, outputs, |k, c| weights[k * outputs + c])
    }

    /// The same of a row-major matrix `[outputs, inputs]`, as PyTorch stores the weights of linear layers and LSTMs.
    ///
    /// # Panics
    /// As [`QuantisedWeights::of`].
    pub fn of_transposed(weights: &[f32], inputs: usize, outputs: usize) -> Self {
        assert_eq!(weights.len(), inputs * outputs, "weights of {outputs} x {inputs}");
        Self::pack(Set::chosen(), inputs, outputs, |k, c| weights[c * inputs + k])
    }

    fn pack(set: Set, depth: usize, columns: usize, weight: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        assert!(depth <= MAX_QUANTISED_DEPTH, "{depth} inputs, at most {MAX_QUANTISED_DEPTH}");
        let (width, pairs) = (with_set!(set, i => width_of(i)), depth.div_ceil(2));
        let mut panels = vec![0; columns.next_multiple_of(width) * pairs * 2];
        let mut scales = vec![0.0; columns.next_multiple_of(width)];
        let pack = |(index, (panel, scales)): (usize, (&mut [i8], &mut [f32]))| -> i32 {
            let mut largest = 0;
            for (place, scale) in scales.iter_mut().take(columns - index * width).enumerate() {
                let column = index * width + place;
                let most = (0..depth).fold(0.0, |most: f32, k| {
                    let weight = weight(k, column);
                    assert!(weight.is_finite(), "weight {weight} of input {k} to output {column}");
                    most.max(weight.abs())
                });
                let inverse = if most < SMALLEST { 0.0 } else { MOST_OF_WEIGHT as f32 / most };
                *scale = if most < SMALLEST { 0.0 } else { most / MOST_OF_WEIGHT as f32 };
                let mut sum = 0;
                for k in 0..depth {
                    let q = (weight(k, column) * inverse).round_ties_even() as i8;
                    panel[(k / 2 * width + place) * 2 + k % 2] = q;
                    sum += i32::from(q).abs();
                }
                largest = largest.max(sum);
            }
            largest
        };
        let size = (width * pairs * 2).max(1);
        let parts = panels.par_chunks_mut(size).zip(scales.par_chunks_mut(width)).enumerate();
        let largest = parts.map(pack).max().unwrap_or(0);
        // |sum of a q| <= max |a| sum |q|, of any part of the terms as well.
        let most = i32::MAX.checked_div(largest).unwrap_or(MOST_OF_INPUT).min(MOST_OF_INPUT);
        Self { panels, scales, depth, columns, most, set }
    }

    /// Numbers of a row of inputs.
    pub fn inputs(&self) -> usize {
        self.depth
    }

    /// Numbers of a row of results.
    pub fn outputs(&self) -> usize {
        self.columns
    }

    /// Inputs become integers from minus this to this, the largest of a row becoming this: at most 32,767, at least 127; with
    /// weights of a normal distribution about 32,767 for 2000 inputs and less for more.
    pub fn input_steps(&self) -> i32 {
        self.most
    }

    /// Bytes of memory: about one a weight.
    pub fn bytes(&self) -> usize {
        self.panels.len() + size_of_val(self.scales.as_slice())
    }

    /// `y = activation(x w + bias)`: `x` of `[rows, inputs]`, `y` of `[rows, outputs]`, a bias for each output.
    ///
    /// A row of `x` is quantised by its largest magnitude, `a = round(x / t)`, half to even, with `t = max |x| /`
    /// [`input_steps`](Self::input_steps); the sum of `a q` is exact, and rounded once to f32; `y` is that times `t s`, plus the bias.
    /// A row below 1e-33 throughout is zero. A row with a number that is not finite gives NaN.
    ///
    /// # Panics
    /// Unless `x`, `bias` and `y` are as long as that.
    pub fn multiply(&self, x: &[f32], bias: Option<&[f32]>, activation: Activation, y: &mut [f32]) {
        let (depth, columns) = (self.depth, self.columns);
        assert_eq!(x.len() * columns, y.len() * depth, "as many rows in as out");
        assert!(bias.is_none_or(|bias| bias.len() == columns), "one bias for each output");
        if y.is_empty() {
            return;
        }
        with_set!(self.set, i => self.multiply_in(i, x, bias, activation, y));
    }

    fn multiply_in<I: Integers>(&self, i: I, x: &[f32], bias: Option<&[f32]>, activation: Activation, y: &mut [f32]) {
        let (columns, width) = (self.columns, width_of(i));
        let rows = y.len() / columns;
        scratch::with(rows * self.depth.div_ceil(2), |memory| {
            let inputs = Inputs::new(i, x, rows, (self.depth, self.most), bytemuck::cast_slice_mut(memory));
            let tasks = inputs.tasks(y, columns, width);
            let work = |mut task: Task<'_>| self.run(i, &inputs, bias, activation, &mut task);
            if tasks.len() == 1 {
                tasks.into_iter().for_each(work);
            } else {
                tasks.into_par_iter().with_max_len(1).for_each(work);
            }
        });
    }

    /// Panel after panel, each times all blocks of a task.
    fn run<I: Integers>(
        &self,
        i: I,
        inputs: &Inputs<'_>,
        bias: Option<&[f32]>,
        activation: Activation,
        task: &mut Task<'_>,
    ) {
        let width = width_of(i);
        let size = inputs.pairs * width * 2;
        let first = inputs.blocks.rows(task.blocks.start).start;
        for column in task.columns.clone().step_by(width) {
            let columns = column..task.columns.end.min(column + width);
            let mut own_bias = [0.0; MOST_COLUMNS];
            if let Some(bias) = bias {
                own_bias[..columns.len()].copy_from_slice(&bias[columns.clone()]);
            }
            let panel = Panel {
                weights: &self.panels[column / width * size..][..size],
                scales: &self.scales[column..column + width],
                bias: &own_bias[..width],
                places: columns.start - task.columns.start..columns.end - task.columns.start,
            };
            for block in task.blocks.clone() {
                let rows = inputs.blocks.rows(block);
                let results = &mut task.rows[rows.start - first..][..rows.len()];
                multiply_block(i, inputs.of(&rows), &inputs.scales[rows], &panel, results);
            }
        }
        for row in &mut task.rows {
            activation.in_place(row);
        }
    }
}

/// Columns of a panel.
fn width_of<I: Integers>(_: I) -> usize {
    I::LANES * VECTORS
}

/// Rows, cut into blocks of about the same size.
#[derive(Debug, Clone, Copy)]
struct Blocks {
    count: usize,
    /// Rows of a block; the first `longer` blocks have one more.
    size: usize,
    longer: usize,
}

impl Blocks {
    fn new(rows: usize, most: usize) -> Self {
        let count = rows.div_ceil(most);
        Self { count, size: rows / count, longer: rows % count }
    }

    fn rows(&self, block: usize) -> Range<usize> {
        let start = |block: usize| block * self.size + block.min(self.longer);
        start(block)..start(block + 1)
    }
}

/// Quantised rows.
struct Inputs<'a> {
    /// Pairs of integers, in each block `[pairs, rows]`.
    values: &'a [i32],
    /// For each row.
    scales: Vec<f32>,
    pairs: usize,
    blocks: Blocks,
}

/// A part of a product: some blocks of rows, some columns.
struct Task<'a> {
    blocks: Range<usize>,
    columns: Range<usize>,
    /// Where the results of each row go.
    rows: Vec<&'a mut [f32]>,
}

impl<'m> Inputs<'m> {
    /// Quantises rows to integers up to `most`, in `memory` for as many pairs.
    fn new<I: Integers>(i: I, x: &[f32], rows: usize, (depth, most): (usize, i32), memory: &'m mut [i32]) -> Self {
        let (pairs, blocks) = (depth.div_ceil(2), Blocks::new(rows, I::ROWS));
        let mut scales = vec![0.0; rows];
        let mut parts = Vec::with_capacity(blocks.count);
        let (mut values_left, mut scales_left) = (&mut *memory, scales.as_mut_slice());
        for block in 0..blocks.count {
            let rows = blocks.rows(block);
            let values = values_left.split_off_mut(..rows.len() * pairs).expect("a place for each row");
            let scales = scales_left.split_off_mut(..rows.len()).expect("a scale for each row");
            parts.push((&x[rows.start * depth..rows.end * depth], values, scales));
        }
        let quantise = |(x, values, scales): (&[f32], &mut [i32], &mut [f32])| {
            let count = scales.len();
            let mut row = vec![0; pairs * 2];
            for (r, scale) in scales.iter_mut().enumerate() {
                *scale = quantise_row(i, &x[r * depth..][..depth], most, &mut row[..depth]);
                let pairs = row.as_chunks::<2>().0.iter().map(|pair| bytemuck::cast::<[i16; 2], i32>(*pair));
                values.iter_mut().skip(r).step_by(count).zip(pairs).for_each(|(to, pair)| *to = pair);
            }
        };
        let together = (TASK_WORK / 16 / (depth * I::ROWS).max(1)).max(1);
        parts.into_par_iter().with_min_len(together).for_each(quantise);
        Self { values: memory, scales, pairs, blocks }
    }

    /// The integers of some rows that are one block.
    fn of(&self, rows: &Range<usize>) -> &[i32] {
        &self.values[rows.start * self.pairs..rows.end * self.pairs]
    }

    /// Cuts a product. It decides nothing but the time.
    fn tasks<'a>(&self, y: &'a mut [f32], columns: usize, width: usize) -> Vec<Task<'a>> {
        let (threads, blocks) = (rayon::current_num_threads(), self.blocks);
        let largest = (blocks.size + 1) * self.pairs * 4;
        let groups = blocks.count.div_ceil((TASK_BYTES / largest.max(1)).max(1));
        let work = y.len() * self.pairs * 2;
        let wanted = if threads == 1 { 1 } else { (TASK_SHARES * threads).min(work / TASK_WORK) };
        let panels = columns.div_ceil(width);
        let parts = wanted.div_ceil(groups).clamp(1, panels);
        let mut tasks = Vec::with_capacity(groups * parts);
        let mut rows = y.chunks_exact_mut(columns);
        for group in 0..groups {
            let own = blocks.count * group / groups..blocks.count * (group + 1) / groups;
            let count = blocks.rows(own.end).start - blocks.rows(own.start).start;
            let mut left: Vec<&mut [f32]> = rows.by_ref().take(count).collect();
            for part in 0..parts {
                let columns = panels * part / parts * width..(panels * (part + 1) / parts * width).min(columns);
                let rows =
                    left.iter_mut().map(|row| row.split_off_mut(..columns.len()).expect("a place for each column"));
                tasks.push(Task { blocks: own.clone(), rows: rows.collect(), columns });
            }
        }
        tasks
    }
}

/// Quantises a row; returns its scale.
fn quantise_row<I: Integers>(i: I, x: &[f32], most: i32, q: &mut [i16]) -> f32 {
    i.vectorize(
        #[inline(always)]
        || {
            // The order of magnitudes is that of their bits.
            let largest = x.iter().fold(0, |largest, value| (value.to_bits() & !SIGN).max(largest));
            let largest = f32::from_bits(largest);
            if !largest.is_finite() || largest < SMALLEST {
                q.fill(0);
                return if largest.is_finite() { 0.0 } else { f32::NAN };
            }
            let inverse = most as f32 / largest;
            for (q, x) in q.iter_mut().zip(x) {
                *q = (x * inverse + MAGIC).to_bits() as i16;
            }
            largest / most as f32
        },
    )
}

/// The bit of the sign.
const SIGN: u32 = 0x8000_0000;

/// A panel, and what happens to its sums.
struct Panel<'a> {
    /// `[pairs, width, 2]`
    weights: &'a [i8],
    /// For each column, as wide as the panel.
    scales: &'a [f32],
    bias: &'a [f32],
    /// Where its columns lie in a row of results: as many as there are.
    places: Range<usize>,
}

/// The results of a block: its quantised rows `left`, with their scales, times a panel.
fn multiply_block<I: Integers>(i: I, left: &[i32], scales: &[f32], panel: &Panel<'_>, y: &mut [&mut [f32]]) {
    match scales.len() {
        1 => block::<I, 1, 4>(i, left, scales, panel, y),
        2 => block::<I, 2, 2>(i, left, scales, panel, y),
        3 => block::<I, 3, 1>(i, left, scales, panel, y),
        4 => block::<I, 4, 1>(i, left, scales, panel, y),
        5 => block::<I, 5, 1>(i, left, scales, panel, y),
        6 => block::<I, 6, 1>(i, left, scales, panel, y),
        7 => block::<I, 7, 1>(i, left, scales, panel, y),
        8 => block::<I, 8, 1>(i, left, scales, panel, y),
        9 => block::<I, 9, 1>(i, left, scales, panel, y),
        10 => block::<I, 10, 1>(i, left, scales, panel, y),
        11 => block::<I, 11, 1>(i, left, scales, panel, y),
        12 => block::<I, 12, 1>(i, left, scales, panel, y),
        rows => unreachable!("a block of {rows} rows"),
    }
}

#[inline(always)]
fn block<I: Integers, const R: usize, const U: usize>(
    i: I,
    left: &[i32],
    scales: &[f32],
    panel: &Panel<'_>,
    y: &mut [&mut [f32]],
) {
    let sums = block_sums::<I, R, U>(i, left, panel.weights);
    finish(i, &sums, scales, panel, y);
}

/// The micro-kernel. `U` sums of each result take turns along the depth, so that those of few rows need not wait for themselves.
///
/// Never inlined: with what is around it in the same function, the sums would not stay in registers.
#[inline(never)]
fn block_sums<I: Integers, const R: usize, const U: usize>(
    i: I,
    left: &[i32],
    weights: &[i8],
) -> [[I::Sums; VECTORS]; R] {
    i.vectorize(
        #[inline(always)]
        || {
            let right = bytemuck::cast_slice::<i8, I::Packed>(weights).as_chunks::<VECTORS>().0;
            let left = &left.as_chunks::<R>().0[..right.len()];
            let mut parts = [[[i.zero(); VECTORS]; R]; U];
            let (left, left_rest) = left.as_chunks::<U>();
            let (right, right_rest) = right.as_chunks::<U>();
            for (left, right) in left.iter().zip(right) {
                for u in 0..U {
                    add_step(i, &left[u], &right[u], &mut parts[u]);
                }
            }
            for (left, right) in left_rest.iter().zip(right_rest) {
                add_step(i, left, right, &mut parts[0]);
            }
            let mut sums = parts[0];
            for u in 1..U {
                for r in 0..R {
                    for v in 0..VECTORS {
                        sums[r][v] = i.add(sums[r][v], parts[u][r][v]);
                    }
                }
            }
            sums
        },
    )
}

/// Scales the sums of a block, adds the bias, stores.
fn finish<I: Integers, const R: usize>(
    i: I,
    sums: &[[I::Sums; VECTORS]; R],
    row_scales: &[f32],
    panel: &Panel<'_>,
    y: &mut [&mut [f32]],
) {
    i.vectorize(
        #[inline(always)]
        || {
            let mut scales = [i.load(&panel.scales[..I::LANES]); VECTORS];
            let mut bias = [i.load(&panel.bias[..I::LANES]); VECTORS];
            for v in 1..VECTORS {
                scales[v] = i.load(&panel.scales[v * I::LANES..][..I::LANES]);
                bias[v] = i.load(&panel.bias[v * I::LANES..][..I::LANES]);
            }
            for ((sums, &scale), y) in sums.iter().zip(row_scales).zip(y) {
                let mut values = scales;
                for v in 0..VECTORS {
                    values[v] = i.finish(sums[v], scale, scales[v], bias[v]);
                }
                let to = &mut y[panel.places.clone()];
                if to.len() == VECTORS * I::LANES {
                    for v in 0..VECTORS {
                        i.store(values[v], &mut to[v * I::LANES..][..I::LANES]);
                    }
                } else {
                    let mut row = [0.0; MOST_COLUMNS];
                    for v in 0..VECTORS {
                        i.store(values[v], &mut row[v * I::LANES..][..I::LANES]);
                    }
                    to.copy_from_slice(&row[..to.len()]);
                }
            }
        },
    );
}

/// One pair of the depth.
#[inline(always)]
fn add_step<I: Integers, const R: usize>(
    i: I,
    left: &[i32; R],
    right: &[I::Packed; VECTORS],
    sums: &mut [[I::Sums; VECTORS]; R],
) {
    let mut wide = [i.splat(0); VECTORS];
    for v in 0..VECTORS {
        wide[v] = i.widen(right[v]);
    }
    for r in 0..R {
        let pair = i.splat(left[r]);
        for v in 0..VECTORS {
            sums[r][v] = i.add_products(sums[r][v], wide[v], pair);
        }
    }
}

#[cfg(test)]
mod tests;
