//! Winograd's minimal filtering for 3 x 3 windows at stride 1 (Winograd 1980; Lavin and Gray 2016).
//!
//! A tile of `M x M` outputs is `A^T [(G g G^T) * (B^T d B)] A` summed over channels, where `g` is the window's weights,
//! `d` the `(M + 2) x (M + 2)` inputs that the tile sees, and `*` goes place by place. So the sum over channels is a
//! matrix product for each place of a tile: for `M = 4`, 36 multiplications where the definition has 144; for `M = 2`,
//! 16 where it has 36.
//!
//! The transforms add and subtract numbers that nearly cancel, but the chains of additions are nine times shorter than
//! the definition's. Of the largest output, at 64 and at 512 channels, `M = 4` is off by 6e-6 and 1.7e-5 at worst, `M = 2`
//! by 3e-7 and 9e-7, the definition's one chain by 7e-7 and 3.6e-6.

use pulp::Simd;
use rayon::prelude::*;

use crate::convolution::Shape;
use crate::gemm::{Columns, Epilogue, Panels, Rows, add_transposed_product, multiply};
use crate::scratch;
use crate::vector::arch;

/// Side of the outputs that are computed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tile {
    /// F(2 x 2, 3 x 3)
    Two,
    /// F(4 x 4, 3 x 3)
    Four,
}

impl Tile {
    /// Outputs along a side.
    fn side(self) -> usize {
        match self {
            Tile::Two => 2,
            Tile::Four => 4,
        }
    }

    /// Places of a transformed tile.
    fn places(self) -> usize {
        (self.side() + 2) * (self.side() + 2)
    }
}

/// Whether Winograd is the fastest way for this shape, and with which tile. Measured on AVX2 for the shapes of ResNet,
/// Inception and VGG at batches of 1 and 32; the number of images does not count, so that an image's result does not
/// depend on its company.
pub(crate) fn tile(shape: &Shape) -> Option<Tile> {
    let g = &shape.geometry;
    let fits = g.kernel == [3, 3] && g.stride == [1, 1] && g.dilation == [1, 1] && shape.groups == 1;
    // No vector of any machine reaches over the end of a pixel.
    let whole = shape.channels.is_multiple_of(16) && shape.outputs.is_multiple_of(16);
    let side = g.output[0].min(g.output[1]);
    if !fits || !whole {
        return None;
    }
    match side {
        0..4 => None,
        4..12 => Some(Tile::Two),
        _ => Some(Tile::Four),
    }
}

/// Weights of a convolution, transformed: a packed matrix `[C_in, C_out]` for each place of a tile.
#[derive(Debug, Clone)]
pub(crate) struct Filters {
    tile: Tile,
    places: Vec<Panels>,
}

impl Filters {
    /// Transforms `[3, 3, C_in, C_out]`.
    pub(crate) fn new(tile: Tile, weight: &[f32], channels: usize, outputs: usize) -> Self {
        let size = channels * outputs;
        assert_eq!(weight.len(), 9 * size, "a 3 x 3 window of {channels} x {outputs}");
        let mut places = vec![0.0; tile.places() * size];
        dispatch(tile, TransformFilters { weight, places: &mut places });
        let places = places.par_chunks_exact(size.max(1)).map(|matrix| Panels::of(matrix, channels, outputs)).collect();
        Self { tile, places }
    }

    /// The tile that they are for.
    #[cfg(test)]
    pub(crate) fn tile(&self) -> Tile {
        self.tile
    }
}

/// Where tiles lie on the images of a convolution.
#[derive(Debug, Clone, Copy)]
struct Grid {
    /// Outputs along a tile's side.
    side: usize,
    /// Rows of tiles, and tiles in a row.
    tiles: [usize; 2],
    input: [usize; 2],
    output: [usize; 2],
    before: [usize; 2],
}

impl Grid {
    fn new(shape: &Shape, tile: Tile) -> Self {
        let g = &shape.geometry;
        let side = tile.side();
        let tiles = g.output.map(|size| size.div_ceil(side));
        Self { side, tiles, input: g.input, output: g.output, before: g.before }
    }

    /// Image, and row and column of the first output of a tile.
    fn place(&self, tile: usize) -> (usize, usize, usize) {
        let (column, rest) = (tile % self.tiles[1], tile / self.tiles[1]);
        (rest / self.tiles[0], rest % self.tiles[0] * self.side, column * self.side)
    }

    /// What a tile sees at place `(i, j)`: where the pixel begins among all pixels, if it is in the image.
    fn source(&self, (image, row, column): (usize, usize, usize), i: usize, j: usize) -> Option<usize> {
        let row = (row + i).checked_sub(self.before[0]).filter(|&row| row < self.input[0])?;
        let column = (column + j).checked_sub(self.before[1]).filter(|&column| column < self.input[1])?;
        Some((image * self.input[0] + row) * self.input[1] + column)
    }

    /// The output at place `(i, j)` of a tile, if it is in the image.
    fn target(&self, (image, row, column): (usize, usize, usize), i: usize, j: usize) -> Option<usize> {
        let (row, column) = (row + i, column + j);
        (row < self.output[0] && column < self.output[1])
            .then(|| (image * self.output[0] + row) * self.output[1] + column)
    }

    /// The first output row (over all images) of a row of tiles (over all images).
    fn first_row(&self, tile_row: usize) -> usize {
        tile_row / self.tiles[0] * self.output[0] + tile_row % self.tiles[0] * self.side
    }
}

/// Tiles of a task: as few as keep the transformed ones in the cache, more where the filters are large, since they
/// pass once for each task.
fn tiles_per_task(shape: &Shape, tile: Tile) -> usize {
    let few = match tile {
        Tile::Two => 48,
        Tile::Four => 24,
    };
    if shape.channels * shape.outputs >= 256 * 256 { 4 * few } else { few }
}

/// `y = epilogue(convolution of x)`.
pub(crate) fn forward(shape: &Shape, x: &[f32], filters: &Filters, y: &mut [f32], epilogue: &Epilogue<'_>) {
    let tile = filters.tile;
    let grid = Grid::new(shape, tile);
    let tile_rows = shape.images * grid.tiles[0];
    let fair = tile_rows.div_ceil(rayon::current_num_threads());
    let rows = tiles_per_task(shape, tile).div_ceil(grid.tiles[1]).min(fair).max(1);
    // Tasks are runs of tile rows; what they write are runs of output rows.
    let width = grid.output[1] * shape.outputs;
    let mut tasks = Vec::with_capacity(tile_rows.div_ceil(rows));
    let mut rest = y;
    for first in (0..tile_rows).step_by(rows) {
        let last = (first + rows).min(tile_rows);
        let len = (grid.first_row(last) - grid.first_row(first)) * width;
        let (part, after) = rest.split_at_mut(len);
        rest = after;
        tasks.push((first, last, part));
    }
    tasks.into_par_iter().for_each(|(first, last, y)| {
        let begin = grid.first_row(first) * width;
        let task = Task {
            shape,
            grid,
            x,
            filters,
            first: first * grid.tiles[1],
            count: (last - first) * grid.tiles[1],
            begin,
            epilogue: epilogue.part(begin, y.len()),
        };
        task.run(y);
    });
}

/// A run of tiles.
struct Task<'a> {
    shape: &'a Shape,
    grid: Grid,
    x: &'a [f32],
    filters: &'a Filters,
    first: usize,
    count: usize,
    /// Where its part of the output begins.
    begin: usize,
    epilogue: Epilogue<'a>,
}

impl Task<'_> {
    fn run(&self, y: &mut [f32]) {
        let (channels, outputs, count) = (self.shape.channels, self.shape.outputs, self.count);
        let places = self.filters.places.len();
        scratch::with(places * count * (channels + outputs), |memory| {
            let (seen, sums) = memory.split_at_mut(places * count * channels);
            let (x, grid, first) = (self.x, &self.grid, self.first);
            dispatch(self.filters.tile, TransformInputs { x, channels, grid, first, seen });
            let offsets: Vec<usize> = (0..count).map(|tile| tile * channels).collect();
            let targets: Vec<usize> = (0..count).map(|tile| tile * outputs).collect();
            let parts = seen.chunks_exact(count * channels).zip(sums.chunks_exact_mut(count * outputs));
            for ((seen, sums), filter) in parts.zip(&self.filters.places) {
                let rows = Rows { values: seen, offsets: &offsets, pieces: 1, zeros: &[], outputs: &targets };
                multiply(&rows, filter, sums, &Epilogue::NONE);
            }
            dispatch(self.filters.tile, TransformOutputs { task: self, sums, y });
        });
    }
}

/// The gradient to the weights, `[3, 3, C_in, C_out]`: `G^T [sum over tiles of (B^T d B) * (A dY A^T)] G`.
pub(crate) fn backward_weight(tile: Tile, shape: &Shape, x: &[f32], gradient: &[f32]) -> Vec<f32> {
    let (channels, outputs) = (shape.channels, shape.outputs);
    let grid = Grid::new(shape, tile);
    let tiles = shape.images * grid.tiles[0] * grid.tiles[1];
    let (places, size) = (tile.places(), channels * outputs);
    let mut sums = vec![0.0; places * size];
    // Blocks of tiles are transformed side by side; then places are summed side by side, each over all blocks in order.
    let per_tile = places * (channels + outputs);
    let blocks = (CHUNK_NUMBERS / (per_tile * BLOCK_TILES)).clamp(2, 32);
    let mut memory = vec![0.0; (blocks * BLOCK_TILES).min(tiles.next_multiple_of(BLOCK_TILES)) * per_tile];
    for begin in (0..tiles).step_by(blocks * BLOCK_TILES) {
        let end = (begin + blocks * BLOCK_TILES).min(tiles);
        let used = (end - begin).div_ceil(BLOCK_TILES);
        let count = |block: usize| BLOCK_TILES.min(end - begin - block * BLOCK_TILES);
        let chunks = memory.par_chunks_mut(BLOCK_TILES * per_tile).take(used);
        chunks.enumerate().for_each(|(block, memory)| {
            let (first, count) = (begin + block * BLOCK_TILES, count(block));
            let (seen, wanted) = memory.split_at_mut(places * BLOCK_TILES * channels);
            let (seen, wanted) = (&mut seen[..places * count * channels], &mut wanted[..places * count * outputs]);
            dispatch(tile, TransformInputs { x, channels, grid: &grid, first, seen });
            dispatch(tile, TransformGradients { gradient, outputs, grid: &grid, first, wanted });
        });
        sums.par_chunks_exact_mut(size).enumerate().for_each(|(place, sums)| {
            let (mut left, mut right) = (Columns::default(), Panels::default());
            for (block, memory) in memory.chunks(BLOCK_TILES * per_tile).take(used).enumerate() {
                let count = count(block);
                let (seen, wanted) = memory.split_at(places * BLOCK_TILES * channels);
                let seen = &seen[place * count * channels..][..count * channels];
                let wanted = &wanted[place * count * outputs..][..count * outputs];
                left.pack(count, channels, |p| Some(&seen[p * channels..(p + 1) * channels]));
                right.pack(count, outputs, |p| &wanted[p * outputs..(p + 1) * outputs]);
                add_transposed_product(&left, &right, sums);
            }
        });
    }
    let mut gw = vec![0.0; 9 * size];
    dispatch(tile, TransformWeightGradient { sums: &sums, gw: &mut gw });
    gw
}

/// Tiles whose products are summed together.
const BLOCK_TILES: usize = 128;

/// Transformed numbers that are held at a time.
const CHUNK_NUMBERS: usize = 1 << 20;

/// The one-dimensional transforms, each of which is applied to columns and then to rows. Only the first
/// `OUTPUTS + 2` (or `OUTPUTS`, or 3) places of an array count.
trait Transform: Copy {
    const OUTPUTS: usize;

    /// `B^T d`
    fn input<S: Simd>(simd: S, d: [S::f32s; 6]) -> [S::f32s; 6];
    /// `G g`
    fn filter<S: Simd>(simd: S, g: [S::f32s; 6]) -> [S::f32s; 6];
    /// `A^T m`
    fn output<S: Simd>(simd: S, m: [S::f32s; 6]) -> [S::f32s; 6];
    /// `A y`
    fn gradient<S: Simd>(simd: S, y: [S::f32s; 6]) -> [S::f32s; 6];
    /// `G^T u`
    fn filter_gradient<S: Simd>(simd: S, u: [S::f32s; 6]) -> [S::f32s; 6];
}

#[derive(Clone, Copy)]
struct Two;

#[derive(Clone, Copy)]
struct Four;

/// `a + b c` with a constant `b`.
#[inline(always)]
fn plus<S: Simd>(simd: S, a: S::f32s, b: f32, c: S::f32s) -> S::f32s {
    simd.mul_add_e_f32s(simd.splat_f32s(b), c, a)
}

#[inline(always)]
fn times<S: Simd>(simd: S, a: f32, b: S::f32s) -> S::f32s {
    simd.mul_f32s(simd.splat_f32s(a), b)
}

impl Transform for Two {
    const OUTPUTS: usize = 2;

    #[inline(always)]
    fn input<S: Simd>(simd: S, d: [S::f32s; 6]) -> [S::f32s; 6] {
        let [a, b, c, e, ..] = d;
        [simd.sub_f32s(a, c), simd.add_f32s(b, c), simd.sub_f32s(c, b), simd.sub_f32s(b, e), a, a]
    }

    #[inline(always)]
    fn filter<S: Simd>(simd: S, g: [S::f32s; 6]) -> [S::f32s; 6] {
        let (outer, inner) = (times(simd, 0.5, simd.add_f32s(g[0], g[2])), times(simd, 0.5, g[1]));
        [g[0], simd.add_f32s(outer, inner), simd.sub_f32s(outer, inner), g[2], g[0], g[0]]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, m: [S::f32s; 6]) -> [S::f32s; 6] {
        let first = simd.add_f32s(simd.add_f32s(m[0], m[1]), m[2]);
        let second = simd.sub_f32s(simd.sub_f32s(m[1], m[2]), m[3]);
        [first, second, m[0], m[0], m[0], m[0]]
    }

    #[inline(always)]
    fn gradient<S: Simd>(simd: S, y: [S::f32s; 6]) -> [S::f32s; 6] {
        let [a, b, ..] = y;
        [a, simd.add_f32s(a, b), simd.sub_f32s(a, b), simd.neg_f32s(b), a, a]
    }

    #[inline(always)]
    fn filter_gradient<S: Simd>(simd: S, u: [S::f32s; 6]) -> [S::f32s; 6] {
        let sum = times(simd, 0.5, simd.add_f32s(u[1], u[2]));
        let difference = times(simd, 0.5, simd.sub_f32s(u[1], u[2]));
        [simd.add_f32s(u[0], sum), difference, simd.add_f32s(sum, u[3]), u[0], u[0], u[0]]
    }
}

impl Transform for Four {
    const OUTPUTS: usize = 4;

    #[inline(always)]
    fn input<S: Simd>(simd: S, d: [S::f32s; 6]) -> [S::f32s; 6] {
        let even = plus(simd, d[4], -4.0, d[2]);
        let odd = plus(simd, d[3], -4.0, d[1]);
        let (far_even, far_odd) = (simd.sub_f32s(d[4], d[2]), simd.sub_f32s(d[3], d[1]));
        [
            plus(simd, plus(simd, d[4], -5.0, d[2]), 4.0, d[0]),
            simd.add_f32s(even, odd),
            simd.sub_f32s(even, odd),
            plus(simd, far_even, 2.0, far_odd),
            plus(simd, far_even, -2.0, far_odd),
            plus(simd, plus(simd, d[5], -5.0, d[3]), 4.0, d[1]),
        ]
    }

    #[inline(always)]
    fn filter<S: Simd>(simd: S, g: [S::f32s; 6]) -> [S::f32s; 6] {
        let outer = times(simd, -1.0 / 6.0, simd.add_f32s(g[0], g[2]));
        let inner = times(simd, 1.0 / 6.0, g[1]);
        let far_outer = plus(simd, times(simd, 1.0 / 24.0, g[0]), 1.0 / 6.0, g[2]);
        let far_inner = times(simd, 1.0 / 12.0, g[1]);
        [
            times(simd, 0.25, g[0]),
            simd.sub_f32s(outer, inner),
            simd.add_f32s(outer, inner),
            simd.add_f32s(far_outer, far_inner),
            simd.sub_f32s(far_outer, far_inner),
            g[2],
        ]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, m: [S::f32s; 6]) -> [S::f32s; 6] {
        let (sum, difference) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
        let (far_sum, far_difference) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
        [
            simd.add_f32s(simd.add_f32s(m[0], sum), far_sum),
            plus(simd, difference, 2.0, far_difference),
            plus(simd, sum, 4.0, far_sum),
            simd.add_f32s(plus(simd, difference, 8.0, far_difference), m[5]),
            m[0],
            m[0],
        ]
    }

    #[inline(always)]
    fn gradient<S: Simd>(simd: S, y: [S::f32s; 6]) -> [S::f32s; 6] {
        let (even, odd) = (simd.add_f32s(y[0], y[2]), simd.add_f32s(y[1], y[3]));
        let far_even = plus(simd, y[0], 4.0, y[2]);
        let far_odd = plus(simd, times(simd, 2.0, y[1]), 8.0, y[3]);
        [
            y[0],
            simd.add_f32s(even, odd),
            simd.sub_f32s(even, odd),
            simd.add_f32s(far_even, far_odd),
            simd.sub_f32s(far_even, far_odd),
            y[3],
        ]
    }

    #[inline(always)]
    fn filter_gradient<S: Simd>(simd: S, u: [S::f32s; 6]) -> [S::f32s; 6] {
        let (sum, difference) = (simd.add_f32s(u[1], u[2]), simd.sub_f32s(u[2], u[1]));
        let (far_sum, far_difference) = (simd.add_f32s(u[3], u[4]), simd.sub_f32s(u[3], u[4]));
        let near = times(simd, -1.0 / 6.0, sum);
        [
            plus(simd, plus(simd, near, 1.0 / 24.0, far_sum), 0.25, u[0]),
            plus(simd, times(simd, 1.0 / 12.0, far_difference), 1.0 / 6.0, difference),
            simd.add_f32s(plus(simd, near, 1.0 / 6.0, far_sum), u[5]),
            sum,
            sum,
            sum,
        ]
    }
}

/// A transform of a line of a tile: of its first `FROM` places into `TO`.
trait Line {
    const FROM: usize;
    const TO: usize;
    fn apply<S: Simd>(simd: S, line: [S::f32s; 6]) -> [S::f32s; 6];
}

macro_rules! line {
    ($name:ident, $function:ident, $from:expr, $to:expr) => {
        struct $name<T>(std::marker::PhantomData<T>);

        impl<T: Transform> Line for $name<T> {
            const FROM: usize = $from;
            const TO: usize = $to;

            #[inline(always)]
            fn apply<S: Simd>(simd: S, line: [S::f32s; 6]) -> [S::f32s; 6] {
                T::$function(simd, line)
            }
        }
    };
}

line!(Input, input, T::OUTPUTS + 2, T::OUTPUTS + 2);
line!(Filter, filter, 3, T::OUTPUTS + 2);
line!(Output, output, T::OUTPUTS + 2, T::OUTPUTS);
line!(Gradient, gradient, T::OUTPUTS, T::OUTPUTS + 2);
line!(FilterGradient, filter_gradient, T::OUTPUTS + 2, 3);

/// The values of a tile, for a vector of channels.
type Values<S> = [[<S as Simd>::f32s; 6]; 6];

/// Transforms the columns of a tile, then its rows.
#[inline(always)]
fn twice<S: Simd, L: Line>(simd: S, tile: &mut Values<S>) {
    for j in 0..L::FROM {
        let mut column = [simd.splat_f32s(0.0); 6];
        for i in 0..L::FROM {
            column[i] = tile[i][j];
        }
        let column = L::apply(simd, column);
        for i in 0..L::TO {
            tile[i][j] = column[i];
        }
    }
    for row in tile.iter_mut().take(L::TO) {
        *row = L::apply(simd, *row);
    }
}

/// Vectors of a slice whose length is a multiple of theirs.
#[inline(always)]
fn vectors<S: Simd>(values: &[f32]) -> &[S::f32s] {
    S::as_simd_f32s(values).0
}

#[inline(always)]
fn vectors_mut<S: Simd>(values: &mut [f32]) -> &mut [S::f32s] {
    S::as_mut_simd_f32s(values).0
}

/// A piece of work that is done with one of the two tiles.
trait Work {
    fn run<S: Simd, T: Transform>(self, simd: S);
}

fn dispatch(tile: Tile, work: impl Work) {
    struct With<W, T>(W, std::marker::PhantomData<T>);
    impl<W: Work, T: Transform> pulp::WithSimd for With<W, T> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            self.0.run::<S, T>(simd);
        }
    }
    match tile {
        Tile::Two => arch().dispatch(With::<_, Two>(work, std::marker::PhantomData)),
        Tile::Four => arch().dispatch(With::<_, Four>(work, std::marker::PhantomData)),
    }
}

struct TransformFilters<'a> {
    weight: &'a [f32],
    /// `[places, C_in C_out]`
    places: &'a mut [f32],
}

impl Work for TransformFilters<'_> {
    #[inline(always)]
    fn run<S: Simd, T: Transform>(self, simd: S) {
        let side = T::OUTPUTS + 2;
        let weight = vectors::<S>(self.weight);
        let places = vectors_mut::<S>(self.places);
        let size = weight.len() / 9;
        let mut tile = [[simd.splat_f32s(0.0); 6]; 6];
        for at in 0..size {
            for i in 0..3 {
                for j in 0..3 {
                    tile[i][j] = weight[(i * 3 + j) * size + at];
                }
            }
            twice::<S, Filter<T>>(simd, &mut tile);
            for i in 0..side {
                for j in 0..side {
                    places[(i * side + j) * size + at] = tile[i][j];
                }
            }
        }
    }
}

struct TransformInputs<'a> {
    x: &'a [f32],
    channels: usize,
    grid: &'a Grid,
    first: usize,
    /// `[places, tiles, C]`
    seen: &'a mut [f32],
}

impl Work for TransformInputs<'_> {
    #[inline(always)]
    fn run<S: Simd, T: Transform>(self, simd: S) {
        let Self { x, channels, grid, first, seen } = self;
        let side = T::OUTPUTS + 2;
        let count = channels / S::F32_LANES;
        let x = vectors::<S>(x);
        let seen = vectors_mut::<S>(seen);
        let place_size = seen.len() / (side * side);
        let mut values = [[simd.splat_f32s(0.0); 6]; 6];
        for tile in 0..place_size / count {
            let place = grid.place(first + tile);
            // Outside of the image: nothing, which reads as zeros.
            let mut pixels: [[&[S::f32s]; 6]; 6] = [[&[]; 6]; 6];
            for i in 0..side {
                for j in 0..side {
                    if let Some(at) = grid.source(place, i, j) {
                        pixels[i][j] = &x[at * count..(at + 1) * count];
                    }
                }
            }
            for channel in 0..count {
                for i in 0..side {
                    for j in 0..side {
                        values[i][j] = match pixels[i][j].get(channel) {
                            Some(value) => *value,
                            None => simd.splat_f32s(0.0),
                        };
                    }
                }
                twice::<S, Input<T>>(simd, &mut values);
                for i in 0..side {
                    for j in 0..side {
                        seen[(i * side + j) * place_size + tile * count + channel] = values[i][j];
                    }
                }
            }
        }
    }
}

struct TransformOutputs<'a> {
    task: &'a Task<'a>,
    /// `[places, tiles, C]`
    sums: &'a [f32],
    y: &'a mut [f32],
}

impl Work for TransformOutputs<'_> {
    #[inline(always)]
    fn run<S: Simd, T: Transform>(self, simd: S) {
        let Self { task, sums, y } = self;
        let side = T::OUTPUTS + 2;
        let count = task.shape.outputs / S::F32_LANES;
        let sums = vectors::<S>(sums);
        let y = vectors_mut::<S>(y);
        let bias = task.epilogue.bias.map(vectors::<S>);
        let residual = task.epilogue.residual.map(vectors::<S>);
        let place_size = task.count * count;
        let mut values = [[simd.splat_f32s(0.0); 6]; 6];
        for tile in 0..task.count {
            let place = task.grid.place(task.first + tile);
            for channel in 0..count {
                for i in 0..side {
                    for j in 0..side {
                        values[i][j] = sums[(i * side + j) * place_size + tile * count + channel];
                    }
                }
                twice::<S, Output<T>>(simd, &mut values);
                let bias = match bias {
                    Some(bias) => bias[channel],
                    None => simd.splat_f32s(0.0),
                };
                for i in 0..T::OUTPUTS {
                    for j in 0..T::OUTPUTS {
                        if let Some(pixel) = task.grid.target(place, i, j) {
                            let at = pixel * count - task.begin / S::F32_LANES + channel;
                            let mut value = simd.add_f32s(values[i][j], bias);
                            if let Some(residual) = residual {
                                value = simd.add_f32s(value, residual[at]);
                            }
                            y[at] = task.epilogue.activation.of_vector(simd, value);
                        }
                    }
                }
            }
        }
    }
}

struct TransformGradients<'a> {
    gradient: &'a [f32],
    outputs: usize,
    grid: &'a Grid,
    first: usize,
    /// `[places, tiles, C]`
    wanted: &'a mut [f32],
}

impl Work for TransformGradients<'_> {
    #[inline(always)]
    fn run<S: Simd, T: Transform>(self, simd: S) {
        let Self { gradient, outputs, grid, first, wanted } = self;
        let side = T::OUTPUTS + 2;
        let count = outputs / S::F32_LANES;
        let gradient = vectors::<S>(gradient);
        let wanted = vectors_mut::<S>(wanted);
        let place_size = wanted.len() / (side * side);
        let mut values = [[simd.splat_f32s(0.0); 6]; 6];
        for tile in 0..place_size / count {
            let place = grid.place(first + tile);
            for channel in 0..count {
                for i in 0..T::OUTPUTS {
                    for j in 0..T::OUTPUTS {
                        values[i][j] = match grid.target(place, i, j) {
                            Some(pixel) => gradient[pixel * count + channel],
                            None => simd.splat_f32s(0.0),
                        };
                    }
                }
                twice::<S, Gradient<T>>(simd, &mut values);
                for i in 0..side {
                    for j in 0..side {
                        wanted[(i * side + j) * place_size + tile * count + channel] = values[i][j];
                    }
                }
            }
        }
    }
}

struct TransformWeightGradient<'a> {
    /// `[places, C_in C_out]`
    sums: &'a [f32],
    gw: &'a mut [f32],
}

impl Work for TransformWeightGradient<'_> {
    #[inline(always)]
    fn run<S: Simd, T: Transform>(self, simd: S) {
        let side = T::OUTPUTS + 2;
        let sums = vectors::<S>(self.sums);
        let gw = vectors_mut::<S>(self.gw);
        let size = gw.len() / 9;
        let mut tile = [[simd.splat_f32s(0.0); 6]; 6];
        for at in 0..size {
            for i in 0..side {
                for j in 0..side {
                    tile[i][j] = sums[(i * side + j) * size + at];
                }
            }
            twice::<S, FilterGradient<T>>(simd, &mut tile);
            for i in 0..3 {
                for j in 0..3 {
                    gw[(i * 3 + j) * size + at] = tile[i][j];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
