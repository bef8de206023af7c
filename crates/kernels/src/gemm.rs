//! The matrix product that convolutions, linear layers, LSTMs and attention come down to.
//!
//! The right operand is packed once into panels as wide as two vectors, four in AVX-512. The left one is not packed: a
//! block of rows is given by where its pieces lie ("indirect" GEMM, Dukhan 2019), so that a convolution needs no patch
//! matrix. The micro-kernel keeps `ROWS x 2` (`ROWS x 4`) vectors of sums in registers. Six rows times four vectors rather than twelve
//! times two: six pointers stay in registers, which twelve do not, and a step of the depth loads ten operands rather than
//! fourteen. Passing the depth slice by slice, so that a slice of a panel stays in the first-level cache, was measured and is
//! slower: panels stream from the second-level cache fast enough.
//!
//! Every output is one chain of multiply-adds over the depth, in order, whatever the number of rows, threads or
//! tasks: a row's bits do not depend on its neighbours.

use std::ops::Range;

use pulp::Simd;
use rayon::prelude::*;

use crate::activation::Activation;
use crate::vector::{arch, lanes, load, store};

/// Rows of a block: with two vectors each they fill the sixteen registers of AVX2, with four the 32 of AVX-512.
pub(crate) const ROWS: usize = 6;

/// In [`Rows::offsets`]: this piece is zeros.
pub(crate) const PADDING: usize = usize::MAX;

/// Lanes of AVX-512, which has twice as many registers.
const WIDE_LANES: usize = 16;

/// Most rows of a task: their pieces stay in the cache while all panels pass.
const TASK_ROWS: usize = 96;

/// Below this many multiply-adds a product is not worth handing to another thread.
const TASK_WORK: usize = 1 << 16;

/// Columns of a panel.
fn panel_width() -> usize {
    if lanes() == WIDE_LANES { 4 * WIDE_LANES } else { 2 * lanes() }
}

/// A matrix `[depth, columns]`, packed for the right side of a product.
#[derive(Debug, Clone, Default)]
pub(crate) struct Panels {
    /// `[columns / width, depth, width]`, columns beyond the last are zero.
    values: Vec<f32>,
    depth: usize,
    columns: usize,
    width: usize,
}

impl Panels {
    /// Packs the matrix whose row `k` is `row(k)`, of `columns` numbers.
    pub(crate) fn new<'a>(depth: usize, columns: usize, row: impl Fn(usize) -> &'a [f32] + Sync) -> Self {
        let width = panel_width();
        let mut values = vec![0.0; columns.next_multiple_of(lanes()) * depth];
        let pack = |(panel, values): (usize, &mut [f32])| {
            let begin = panel * width;
            let take = width.min(columns - begin);
            let own = values.len() / depth;
            for (k, to) in values.chunks_exact_mut(own).enumerate() {
                to[..take].copy_from_slice(&row(k)[begin..begin + take]);
                to[take..].fill(0.0);
            }
        };
        if depth > 0 && columns > 0 {
            values.par_chunks_mut(width * depth).with_min_len(4).enumerate().for_each(pack);
        }
        Self { values, depth, columns, width }
    }

    /// Columns of the matrix.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// Packs a row-major matrix `[depth, columns]`.
    pub(crate) fn of(matrix: &[f32], depth: usize, columns: usize) -> Self {
        assert_eq!(matrix.len(), depth * columns, "a matrix of {depth} x {columns}");
        Self::new(depth, columns, |k| &matrix[k * columns..(k + 1) * columns])
    }

    /// Packs the transpose of a row-major matrix `[columns, depth]`.
    pub(crate) fn of_transposed(matrix: &[f32], depth: usize, columns: usize) -> Self {
        assert_eq!(matrix.len(), depth * columns, "a matrix of {columns} x {depth}");
        let width = panel_width();
        let mut values = vec![0.0; columns.next_multiple_of(lanes()) * depth];
        if depth > 0 && columns > 0 {
            values.par_chunks_mut(width * depth).enumerate().for_each(|(panel, values)| {
                let own = panel * width..columns.min((panel + 1) * width);
                transpose(depth, own.len(), |c| &matrix[(own.start + c) * depth..][..depth], values);
            });
        }
        Self { values, depth, columns, width }
    }

    /// Packs another matrix into the memory of this one, without help from other threads; row `k` is `row(k)`.
    pub(crate) fn pack<'a>(&mut self, depth: usize, columns: usize, row: impl Fn(usize) -> &'a [f32]) {
        self.resize(depth, columns);
        let (width, lanes) = (self.width, lanes());
        for k in 0..depth {
            for (panel, part) in row(k)[..columns].chunks(width).enumerate() {
                let own = part.len().next_multiple_of(lanes);
                let to = &mut self.values[panel * depth * width + k * own..][..own];
                to[..part.len()].copy_from_slice(part);
                to[part.len()..].fill(0.0);
            }
        }
    }

    /// The same for a matrix whose column `c` is `column(c)`.
    pub(crate) fn pack_columns<'a>(&mut self, depth: usize, columns: usize, column: impl Fn(usize) -> &'a [f32]) {
        self.resize(depth, columns);
        let width = self.width;
        if depth > 0 {
            for (panel, values) in self.values.chunks_mut(width * depth).enumerate() {
                let own = panel * width..columns.min((panel + 1) * width);
                transpose(depth, own.len(), |c| column(own.start + c), values);
            }
        }
    }

    /// Memory for a matrix of this size, with whatever was left there.
    fn resize(&mut self, depth: usize, columns: usize) {
        (self.depth, self.columns, self.width) = (depth, columns, panel_width());
        // Every place is written afterwards.
        self.values.resize(columns.next_multiple_of(lanes()) * depth, 0.0);
    }
}

/// Packs a panel, `[depth, width]`, whose columns are given; those beyond `count` are zeros.
#[inline(always)]
fn transpose<'a>(depth: usize, count: usize, column: impl Fn(usize) -> &'a [f32], values: &mut [f32]) {
    const TOGETHER: usize = 8;
    let width = values.len() / depth;
    if count < width {
        values.fill(0.0);
    }
    let mut place = 0;
    while place + TOGETHER <= count {
        let from: [&[f32]; TOGETHER] = std::array::from_fn(|i| &column(place + i)[..depth]);
        for (k, to) in values.chunks_exact_mut(width).enumerate() {
            to[place..place + TOGETHER].copy_from_slice(&from.map(|column| column[k]));
        }
        place += TOGETHER;
    }
    for place in place..count {
        let places = values[place..].iter_mut().step_by(width);
        places.zip(&column(place)[..depth]).for_each(|(to, &value)| *to = value);
    }
}

/// The left operand of a task, and where its results go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// Where the pieces lie.
    pub values: &'a [f32],
    /// Where piece `p` of row `r` begins, at `r * pieces + p`; or [`PADDING`].
    pub offsets: &'a [usize],
    /// Pieces of a row; all are of one length, and the panels are as deep as all of them together.
    pub pieces: usize,
    /// What padding reads as: at least a piece's length of zeros.
    pub zeros: &'a [f32],
    /// Where each row of the result begins, in the task's output.
    pub outputs: &'a [usize],
}

/// What happens to a product before it is stored: `y = activation(x + bias + residual)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Epilogue<'a> {
    /// One number a column.
    pub bias: Option<&'a [f32]>,
    /// Laid out as the output.
    pub residual: Option<&'a [f32]>,
    /// Applied last.
    pub activation: Activation,
}

impl Epilogue<'_> {
    /// Nothing happens.
    pub(crate) const NONE: Self = Self { bias: None, residual: None, activation: Activation::None };

    /// The same for a part of the output that begins at `from`.
    pub(crate) fn part(&self, from: usize, len: usize) -> Self {
        Self { residual: self.residual.map(|r| &r[from..from + len]), ..*self }
    }
}

/// `y[outputs[r] + c] = epilogue(sum over k of rows[r][k] panels[k][c])` for every row and column.
pub(crate) fn multiply(rows: &Rows<'_>, panels: &Panels, y: &mut [f32], epilogue: &Epilogue<'_>) {
    assert!(
        rows.pieces > 0 && panels.depth.is_multiple_of(rows.pieces),
        "{} pieces of depth {}",
        rows.pieces,
        panels.depth
    );
    assert_eq!(rows.offsets.len(), rows.outputs.len() * rows.pieces, "one offset for each piece of a row");
    multiply_some(rows, panels, 0..panels.columns, y, epilogue);
}

/// The same for some of the columns, from a panel's first on; outputs, bias and residual are those of these columns.
fn multiply_some(rows: &Rows<'_>, panels: &Panels, columns: Range<usize>, y: &mut [f32], epilogue: &Epilogue<'_>) {
    assert!(epilogue.bias.is_none_or(|bias| bias.len() == columns.len()), "one bias for each column");
    assert!(epilogue.residual.is_none_or(|residual| residual.len() == y.len()), "a residual as large as the output");
    assert!(
        panels.width == panel_width() && columns.start.is_multiple_of(panels.width) && columns.end <= panels.columns
    );
    product(rows, panels, columns, y, epilogue);
}

#[pulp::with_simd(product = arch())]
#[inline(always)]
fn product_in<'a, 'b, S: Simd>(
    simd: S,
    rows: &'a Rows<'b>,
    panels: &'a Panels,
    columns: Range<usize>,
    y: &'a mut [f32],
    epilogue: &'a Epilogue<'b>,
) {
    // Not chunks, of which there would be none at depth 0, where the epilogue is all there is.
    for first in (0..columns.len()).step_by(panels.width) {
        let take = panels.width.min(columns.len() - first);
        let vectors = take.div_ceil(S::F32_LANES);
        let panel = &panels.values[(columns.start + first) * panels.depth..][..panels.depth * vectors * S::F32_LANES];
        // A last panel that is half empty is half the work.
        match vectors {
            1 => panel_product::<S, 1>(simd, rows, panel, (first, take), y, epilogue),
            2 => panel_product::<S, 2>(simd, rows, panel, (first, take), y, epilogue),
            3 => panel_product::<S, 3>(simd, rows, panel, (first, take), y, epilogue),
            _ => panel_product::<S, 4>(simd, rows, panel, (first, take), y, epilogue),
        }
    }
}

/// All rows times a panel of `V` vectors a row, whose columns begin at `first`; `take` of them count.
#[inline(always)]
fn panel_product<S: Simd, const V: usize>(
    simd: S,
    rows: &Rows<'_>,
    panel: &[f32],
    (first, take): (usize, usize),
    y: &mut [f32],
    epilogue: &Epilogue<'_>,
) {
    let count = rows.outputs.len();
    let mut done = 0;
    // One sum of each row would have to wait for itself.
    if S::F32_LANES == WIDE_LANES && V == 1 {
        while count - done >= 2 * ROWS {
            block::<S, { 2 * ROWS }, V>(simd, rows, panel, Place { begin: done, first, take }, y, epilogue);
            done += 2 * ROWS;
        }
    }
    for begin in (done..count).step_by(ROWS) {
        let at = Place { begin, first, take };
        match count - begin {
            1 => block::<S, 1, V>(simd, rows, panel, at, y, epilogue),
            2 => block::<S, 2, V>(simd, rows, panel, at, y, epilogue),
            3 => block::<S, 3, V>(simd, rows, panel, at, y, epilogue),
            4 => block::<S, 4, V>(simd, rows, panel, at, y, epilogue),
            5 => block::<S, 5, V>(simd, rows, panel, at, y, epilogue),
            _ => block::<S, ROWS, V>(simd, rows, panel, at, y, epilogue),
        }
    }
}

/// Where a block lies: its first row, its first column and how many columns count.
#[derive(Clone, Copy)]
struct Place {
    begin: usize,
    first: usize,
    take: usize,
}

#[inline(always)]
fn block<S: Simd, const R: usize, const V: usize>(
    simd: S,
    rows: &Rows<'_>,
    panel: &[f32],
    at: Place,
    y: &mut [f32],
    epilogue: &Epilogue<'_>,
) {
    let lanes = S::F32_LANES;
    let offsets = &rows.offsets[at.begin * rows.pieces..][..R * rows.pieces];
    let sums = block_sums(simd, Sums::<S, R, V> { simd, rows, panel, offsets });
    let outputs = &rows.outputs[at.begin..][..R];
    let whole = at.take == V * lanes;
    for r in 0..R {
        let from = outputs[r] + at.first;
        let to = &mut y[from..from + at.take];
        let bias = epilogue.bias.map(|bias| &bias[at.first..at.first + at.take]);
        let residual = epilogue.residual.map(|residual| &residual[from..from + at.take]);
        if whole {
            // Lengths are known here: loads and stores without a mask.
            let (to, bias) = (&mut to[..V * lanes], bias.map(|b| &b[..V * lanes]));
            finish(simd, sums[r], to, bias, residual.map(|s| &s[..V * lanes]), epilogue.activation);
        } else {
            finish(simd, sums[r], to, bias, residual, epilogue.activation);
        }
    }
}

/// The micro-kernel: `sums[r] = sum over k of rows[r][k] panel[k]` for a block of `R` rows and `V` vectors of columns.
struct Sums<'a, S, const R: usize, const V: usize> {
    simd: S,
    rows: &'a Rows<'a>,
    panel: &'a [f32],
    offsets: &'a [usize],
}

/// Never inlined: with what is around it in the same function, the sums would not stay in registers.
#[inline(never)]
fn block_sums<S: Simd, const R: usize, const V: usize>(simd: S, block: Sums<'_, S, R, V>) -> [[S::f32s; V]; R] {
    simd.vectorize(block)
}

impl<S: Simd, const R: usize, const V: usize> pulp::WithSimd for Sums<'_, S, R, V> {
    type Output = [[S::f32s; V]; R];

    #[inline(always)]
    fn with_simd<T: Simd>(self, _: T) -> Self::Output {
        let Self { simd, rows, panel, offsets } = self;
        let panel = S::as_simd_f32s(panel).0;
        let (panel, _) = panel.as_chunks::<V>();
        let depth = panel.len() / rows.pieces;
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        for piece in 0..rows.pieces {
            // Loops rather than `map` and `from_fn`, which are not always inlined.
            let mut left: [&[f32]; R] = [&[]; R];
            for r in 0..R {
                left[r] = match offsets[r * rows.pieces + piece] {
                    PADDING => &rows.zeros[..depth],
                    from => &rows.values[from..][..depth],
                };
            }
            let right = &panel[depth * piece..][..depth];
            // A few steps at a time as arrays: one bounds check for each row and chunk, none inside.
            let (chunks, rest) = right.as_chunks::<STEPS>();
            for (index, right) in chunks.iter().enumerate() {
                let mut steps: [&[f32; STEPS]; R] = [&[0.0; STEPS]; R];
                for r in 0..R {
                    steps[r] = left[r][index * STEPS..].first_chunk().expect("as deep as the panel");
                }
                for k in 0..STEPS {
                    for r in 0..R {
                        add_step(simd, steps[r][k], &right[k], &mut sums[r]);
                    }
                }
            }
            let done = chunks.len() * STEPS;
            for (k, right) in rest.iter().enumerate() {
                for r in 0..R {
                    add_step(simd, left[r][done + k], right, &mut sums[r]);
                }
            }
        }
        sums
    }
}

/// Steps of the depth that the micro-kernel takes at once.
const STEPS: usize = 4;

/// One step of the depth for one row: `sum += left right`.
#[inline(always)]
fn add_step<S: Simd, const V: usize>(simd: S, left: f32, right: &[S::f32s; V], sum: &mut [S::f32s; V]) {
    let left = simd.splat_f32s(left);
    for v in 0..V {
        sum[v] = simd.mul_add_e_f32s(left, right[v], sum[v]);
    }
}

/// Adds bias and residual to vectors of one row, applies the activation, stores.
#[inline(always)]
fn finish<S: Simd, const V: usize>(
    simd: S,
    sums: [S::f32s; V],
    to: &mut [f32],
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
    activation: Activation,
) {
    let lanes = S::F32_LANES;
    for (half, mut value) in sums.into_iter().enumerate() {
        let from = (half * lanes).min(to.len());
        if let Some(bias) = bias {
            value = simd.add_f32s(value, load(simd, &bias[from..]));
        }
        if let Some(residual) = residual {
            value = simd.add_f32s(value, load(simd, &residual[from..]));
        }
        store(simd, &mut to[from..], activation.of_vector(simd, value));
    }
}

/// How many rows a task takes, out of `rows`, each of `work` multiply-adds: a multiple of a block, few enough for all
/// threads to have something. It decides nothing but the time.
pub(crate) fn rows_per_task(rows: usize, work: usize) -> usize {
    let threads = rayon::current_num_threads();
    let even = rows / threads / ROWS * ROWS;
    // What is left of an even share may be less than a block more makes of another share.
    let fair = if even > 0 && rows - even * threads < ROWS { even } else { rows.div_ceil(threads) };
    let worthwhile = TASK_WORK.div_ceil(work.max(1));
    fair.min(TASK_ROWS).max(worthwhile).next_multiple_of(ROWS)
}

/// Runs `task(first row, rows of y)` over the rows of `y`, side by side.
pub(crate) fn each_task(y: &mut [f32], columns: usize, work: usize, task: impl Fn(usize, &mut [f32]) + Sync) {
    if y.is_empty() {
        return;
    }
    let rows = rows_per_task(y.len() / columns, work);
    if rows * columns >= y.len() {
        return task(0, y);
    }
    y.par_chunks_mut(rows * columns).enumerate().for_each(|(index, y)| task(index * rows, y));
}

/// `y = epilogue(x w)`: `x` of `[rows, depth]`, the panels of `[depth, columns]`, `y` of `[rows, columns]`.
pub(crate) fn matrix_product(x: &[f32], panels: &Panels, y: &mut [f32], epilogue: &Epilogue<'_>) {
    let (depth, columns) = (panels.depth, panels.columns);
    assert_eq!(x.len() * columns, y.len() * depth, "as many rows in as out");
    if y.len() == columns && columns > panels.width && depth * columns > TASK_WORK {
        // One row: its columns are what threads can share.
        let some = columns.div_ceil(rayon::current_num_threads()).next_multiple_of(panels.width);
        y.par_chunks_mut(some).enumerate().for_each(|(index, y)| {
            let own = index * some..index * some + y.len();
            let rows = Rows { values: x, offsets: &[0], pieces: 1, zeros: &[], outputs: &[0] };
            let bias = epilogue.bias.map(|bias| &bias[own.clone()]);
            multiply_some(&rows, panels, own.clone(), y, &Epilogue { bias, ..epilogue.part(own.start, own.len()) });
        });
        return;
    }
    each_task(y, columns, depth * columns, |first, y| {
        let x = &x[first * depth..][..y.len() / columns * depth];
        matrix_product_here(x, panels, y, &epilogue.part(first * columns, y.len()));
    });
}

/// The same on this thread alone.
pub(crate) fn matrix_product_here(x: &[f32], panels: &Panels, y: &mut [f32], epilogue: &Epilogue<'_>) {
    let (depth, columns) = (panels.depth, panels.columns);
    assert_eq!(x.len() * columns, y.len() * depth, "as many rows in as out");
    let offsets: [usize; TASK_ROWS] = std::array::from_fn(|row| row * depth);
    let outputs: [usize; TASK_ROWS] = std::array::from_fn(|row| row * columns);
    for (index, y) in y.chunks_mut(TASK_ROWS * columns).enumerate() {
        let (first, count) = (index * TASK_ROWS, y.len() / columns);
        let values = &x[first * depth..(first + count) * depth];
        let rows = Rows { values, offsets: &offsets[..count], pieces: 1, zeros: &[], outputs: &outputs[..count] };
        multiply(&rows, panels, y, &epilogue.part(first * columns, y.len()));
    }
}

/// A range of columns of a left operand, packed as blocks of [`ROWS`] columns: `[blocks, rows, ROWS]`.
///
/// For products of a transpose, `sum over p of a[p][i] b[p][j]`, as gradients of weights are.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    values: Vec<f32>,
    rows: usize,
    count: usize,
}

impl Columns {
    /// Packs `count` columns of the rows that `row` gives; `None` is a row of zeros.
    pub(crate) fn pack<'a>(&mut self, rows: usize, count: usize, row: impl Fn(usize) -> Option<&'a [f32]>) {
        (self.rows, self.count) = (rows, count);
        let blocks = count.div_ceil(ROWS);
        // Every place is written below: what was there before does not matter.
        self.values.resize(blocks * rows * ROWS, 0.0);
        for p in 0..rows {
            match row(p) {
                Some(from) => {
                    let from = &from[..count];
                    let mut parts = from.chunks_exact(ROWS);
                    let mut at = p * ROWS;
                    for part in &mut parts {
                        self.values[at..at + ROWS].copy_from_slice(part);
                        at += rows * ROWS;
                    }
                    let rest = parts.remainder();
                    if !rest.is_empty() {
                        self.values[at..at + rest.len()].copy_from_slice(rest);
                        self.values[at + rest.len()..at + ROWS].fill(0.0);
                    }
                }
                None => {
                    for block in 0..blocks {
                        let at = (block * rows + p) * ROWS;
                        self.values[at..at + ROWS].fill(0.0);
                    }
                }
            }
        }
    }
}

/// `sums[i][j] += sum over p of left[p][i] right[p][j]`, in the order of `p`; `sums` is `[left columns, right columns]`.
pub(crate) fn add_transposed_product(left: &Columns, right: &Panels, sums: &mut [f32]) {
    assert_eq!(sums.len(), left.count * right.columns);
    add_transposed_product_within(left, right, sums, right.columns);
}

/// The same where a row of `sums` begins `stride` numbers after the one before it.
fn add_transposed_product_within(left: &Columns, right: &Panels, sums: &mut [f32], stride: usize) {
    assert_eq!(left.rows, right.depth, "as many rows on the left as on the right");
    assert_eq!(right.width, panel_width());
    if left.rows > 0 {
        transposed(left, right, sums, stride);
    }
}

#[pulp::with_simd(transposed = arch())]
#[inline(always)]
fn transposed_in<'a, S: Simd>(simd: S, left: &'a Columns, right: &'a Panels, sums: &'a mut [f32], stride: usize) {
    let rows = left.rows;
    for (index, panel) in right.values.chunks(rows * right.width).enumerate() {
        let first = index * right.width;
        let take = right.width.min(right.columns - first);
        match panel.len() / rows / S::F32_LANES {
            1 => transposed_panel::<S, 1>(simd, left, panel, (first, take), sums, stride),
            2 => transposed_panel::<S, 2>(simd, left, panel, (first, take), sums, stride),
            3 => transposed_panel::<S, 3>(simd, left, panel, (first, take), sums, stride),
            _ => transposed_panel::<S, 4>(simd, left, panel, (first, take), sums, stride),
        }
    }
}

#[inline(always)]
fn transposed_panel<S: Simd, const V: usize>(
    simd: S,
    left: &Columns,
    panel: &[f32],
    (first, take): (usize, usize),
    sums: &mut [f32],
    stride: usize,
) {
    let lanes = S::F32_LANES;
    for (index, block) in left.values.chunks_exact(left.rows * ROWS).enumerate() {
        let begin = index * ROWS;
        let block = transposed_sums(simd, TransposedSums::<S, V> { simd, left: block, panel });
        for (r, row) in block.iter().enumerate().take(ROWS.min(left.count - begin)) {
            let to = &mut sums[(begin + r) * stride + first..][..take];
            for (v, &value) in row.iter().enumerate() {
                let to = &mut to[(v * lanes).min(take)..];
                store(simd, to, simd.add_f32s(load(simd, to), value));
            }
        }
    }
}

/// `sum over p of left[p][i] panel[p][j]` for a block of columns on the left and a panel on the right.
struct TransposedSums<'a, S, const V: usize> {
    simd: S,
    left: &'a [f32],
    panel: &'a [f32],
}

/// Never inlined, for the reason of [`block_sums`].
#[inline(never)]
fn transposed_sums<S: Simd, const V: usize>(simd: S, block: TransposedSums<'_, S, V>) -> [[S::f32s; V]; ROWS] {
    simd.vectorize(block)
}

impl<S: Simd, const V: usize> pulp::WithSimd for TransposedSums<'_, S, V> {
    type Output = [[S::f32s; V]; ROWS];

    #[inline(always)]
    fn with_simd<T: Simd>(self, _: T) -> Self::Output {
        let Self { simd, left, panel } = self;
        let mut sums = [[simd.splat_f32s(0.0); V]; ROWS];
        let left = left.as_chunks::<ROWS>().0;
        let right = S::as_simd_f32s(panel).0.as_chunks::<V>().0;
        for (left, right) in left.iter().zip(right) {
            for r in 0..ROWS {
                add_step(simd, left[r], right, &mut sums[r]);
            }
        }
        sums
    }
}

/// Numbers of the result that are summed at a time, half of what a core's second-level cache holds, and columns of them.
const SUMMED_TILE: usize = 1 << 17;
const SUMMED_COLUMNS: usize = 512;

/// Rows that are packed together: enough to pay for storing the sums, few enough to stay in the cache.
pub(crate) const PACKED_ROWS: usize = 240;

/// `[m, n] = sum over p of a[p][i] b[p][j]` with `a` of `[rows, m]` and `b` of `[rows, n]`, on all threads.
///
/// The rows are cut into parts by their number alone, and the parts' sums are added in order.
pub(crate) fn transposed_product(a: &[f32], b: &[f32], m: usize, n: usize) -> Vec<f32> {
    let rows = a.len().checked_div(m).unwrap_or(b.len() / n.max(1));
    assert_eq!((a.len(), b.len()), (rows * m, rows * n));
    let split = Split::new(rows, m.div_ceil(ROWS), m * n);
    let columns = |blocks: &Range<usize>| (blocks.start * ROWS).min(m)..(blocks.end * ROWS).min(m);
    let numbers = |blocks: &Range<usize>| columns(blocks).start * n..columns(blocks).end * n;
    split.sum(numbers, |task, sums| {
        let Range { start: first, end: last } = columns(&task.blocks);
        let (mut left, mut right) = (Columns::default(), Panels::default());
        // One tile of the result after the other, so that its sums stay in the cache while all rows pass.
        let wide = n.min(SUMMED_COLUMNS);
        let high = (SUMMED_TILE / wide.max(1)).next_multiple_of(ROWS);
        for from in (0..n).step_by(wide.max(1)) {
            let to = (from + wide).min(n);
            for top in (first..last).step_by(high) {
                let bottom = (top + high).min(last);
                let sums = &mut sums[(top - first) * n + from..];
                for begin in task.rows.clone().step_by(PACKED_ROWS) {
                    let count = PACKED_ROWS.min(task.rows.end - begin);
                    right.pack(count, to - from, |p| &b[(begin + p) * n + from..(begin + p) * n + to]);
                    left.pack(count, bottom - top, |p| Some(&a[(begin + p) * m + top..(begin + p) * m + bottom]));
                    add_transposed_product_within(&left, &right, sums, n);
                }
            }
        }
    })
}

/// How a sum over many rows into a matrix is cut into tasks: the rows into parts by shape alone, so that the order of
/// additions is one; the result into groups, of which there are as few as keep the threads busy: each packs the right
/// operand anew.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Split {
    rows: usize,
    parts: usize,
    blocks: usize,
    groups: usize,
}

/// One task of a [`Split`].
#[derive(Debug, Clone)]
pub(crate) struct SplitTask {
    /// Rows to sum over.
    pub rows: Range<usize>,
    /// Blocks of the result to sum into.
    pub blocks: Range<usize>,
}

/// Most parts of the rows.
const SPLIT_PARTS: usize = 16;

/// Tasks for each thread, at least, if there is enough to do: one that is held up leaves some to the others.
const SPLIT_SHARES: usize = 2;

/// Numbers of a task that adds the parts of a sum.
const SUMMED_NUMBERS: usize = 1 << 13;

/// Numbers that the parts of a sum may hold together.
const SPLIT_NUMBERS: usize = 1 << 21;

impl Split {
    /// For `rows` rows into a result of `blocks` blocks and `size` numbers.
    pub(crate) fn new(rows: usize, blocks: usize, size: usize) -> Self {
        let most = (SPLIT_NUMBERS / size.max(1)).clamp(1, SPLIT_PARTS);
        let parts = rows.div_ceil(4 * PACKED_ROWS).clamp(1, most);
        let groups = (SPLIT_SHARES * rayon::current_num_threads()).div_ceil(parts).clamp(1, blocks.max(1));
        Self { rows, parts, blocks, groups }
    }

    /// Runs `task(part, its numbers)` for every part, all zero at first, and adds them up. `numbers` says which range
    /// of the result some blocks are; neighbouring blocks have neighbouring ranges, and the first begins at 0.
    pub(crate) fn sum(
        &self,
        numbers: impl Fn(&Range<usize>) -> Range<usize> + Sync,
        task: impl Fn(&SplitTask, &mut [f32]) + Sync,
    ) -> Vec<f32> {
        let cut = |total: usize, count: usize, index: usize| total * index / count..total * (index + 1) / count;
        let size = numbers(&(0..self.blocks)).end;
        let mut sums: Vec<Vec<f32>> = (0..self.parts).map(|_| vec![0.0; size]).collect();
        let mut tasks = Vec::with_capacity(self.parts * self.groups);
        for (part, sums) in sums.iter_mut().enumerate() {
            let mut rest = sums.as_mut_slice();
            for group in 0..self.groups {
                let blocks = cut(self.blocks, self.groups, group);
                let own = rest.split_off_mut(..numbers(&blocks).len()).expect("as long as its blocks");
                tasks.push((SplitTask { rows: cut(self.rows, self.parts, part), blocks }, own));
            }
        }
        tasks.into_par_iter().for_each(|(part, sums)| task(&part, sums));
        let mut total = sums.remove(0);
        // In the order of the parts, whoever was first.
        total.par_chunks_mut(SUMMED_NUMBERS).enumerate().for_each(|(index, total)| {
            for part in &sums {
                let part = &part[index * SUMMED_NUMBERS..][..total.len()];
                total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
            }
        });
        total
    }
}

#[cfg(test)]
mod tests;
