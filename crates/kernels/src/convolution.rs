//! Convolution on the CPU: `[N, H, W, C_in]` with `[rows, columns, C_in / groups, C_out]` to `[N, H', W', C_out]`.
//!
//! Three ways, chosen by shape alone so that a result never depends on the machine's mood:
//! - depthwise, where every channel is convolved by itself;
//! - Winograd's minimal filtering, for 3 x 3 windows at stride 1 over enough channels;
//! - gathering: a matrix product whose left rows are read where they lie in the image.

use std::ops::{Deref, Range};

use rayon::prelude::*;

use crate::depthwise::{self, Taps};
use crate::gemm::{
    Columns, Epilogue, PACKED_ROWS, PADDING, Panels, ROWS, Rows, Split, add_transposed_product, each_task,
    matrix_product, multiply,
};
use crate::geometry::Geometry;
use crate::winograd::{self, Filters, Tile};

/// Sizes of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Images.
    pub images: usize,
    /// Channels of an image.
    pub channels: usize,
    /// Channels of the result.
    pub outputs: usize,
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// Where the window looks.
    pub geometry: Geometry,
}

impl Shape {
    fn taps(&self) -> usize {
        self.geometry.kernel[0] * self.geometry.kernel[1]
    }

    fn group_channels(&self) -> usize {
        self.channels / self.groups
    }

    fn group_outputs(&self) -> usize {
        self.outputs / self.groups
    }

    /// Numbers of the input.
    pub(crate) fn input_len(&self) -> usize {
        self.images * self.geometry.input[0] * self.geometry.input[1] * self.channels
    }

    /// Numbers of the output.
    pub(crate) fn output_len(&self) -> usize {
        self.images * self.geometry.output[0] * self.geometry.output[1] * self.outputs
    }

    /// Numbers of the weight.
    pub(crate) fn weight_len(&self) -> usize {
        self.taps() * self.group_channels() * self.outputs
    }

    fn is_depthwise(&self) -> bool {
        self.groups == self.channels && self.outputs == self.channels && self.groups > 1
    }

    /// How it is computed. `exact` leaves Winograd out.
    fn way(&self, exact: bool) -> Way {
        if self.is_depthwise() {
            return Way::Depthwise;
        }
        match winograd::tile(self) {
            Some(tile) if !exact => Way::Winograd(tile),
            _ => Way::Gather,
        }
    }

    /// The convolution that takes gradients of the output back to the input, where that is one: at stride 1, with no
    /// more padding than the window reaches.
    fn transposed(&self) -> Option<Self> {
        let g = self.geometry;
        let mut before = [0; 2];
        for axis in 0..2 {
            if g.stride[axis] != 1 {
                return None;
            }
            before[axis] = ((g.kernel[axis] - 1) * g.dilation[axis]).checked_sub(g.before[axis])?;
        }
        let geometry = Geometry { input: g.output, output: g.input, before, ..g };
        Some(Self { channels: self.outputs, outputs: self.channels, geometry, ..*self })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Depthwise,
    Winograd(Tile),
    Gather,
}

/// A convolution's weights in the form that its way of computing wants.
#[derive(Debug, Clone)]
pub(crate) enum Prepared {
    /// As they are, `[taps, C]`.
    Depthwise(Vec<f32>),
    /// Transformed, a matrix for each place in a tile.
    Winograd(Filters),
    /// One matrix `[taps C_in / groups, C_out / groups]` for each group.
    Gather(Vec<Panels>),
}

impl Prepared {
    /// Prepares `weight`, `[rows, columns, C_in / groups, C_out]`.
    pub(crate) fn new(shape: &Shape, weight: &[f32], exact: bool) -> Self {
        assert_eq!(weight.len(), shape.weight_len(), "weights of {shape:?}");
        match shape.way(exact) {
            Way::Depthwise => Prepared::Depthwise(weight.to_vec()),
            Way::Winograd(tile) => Prepared::Winograd(Filters::new(tile, weight, shape.channels, shape.outputs)),
            Way::Gather => {
                let (depth, each) = (shape.taps() * shape.group_channels(), shape.group_outputs());
                let row = |group: usize| move |k: usize| &weight[k * shape.outputs + group * each..][..each];
                Prepared::Gather((0..shape.groups).map(|group| Panels::new(depth, each, row(group))).collect())
            }
        }
    }

    /// Prepares what [`Shape::transposed`] convolves gradients with: windows turned around, inputs and outputs
    /// exchanged.
    fn transposed(shape: &Shape, transposed: &Shape, weight: &[f32], exact: bool) -> Self {
        let (taps, channels, outputs) = (shape.taps(), shape.group_channels(), shape.group_outputs());
        let turned = turned_weight(weight, shape, &(0..taps).rev().collect::<Vec<_>>());
        match transposed.way(exact) {
            Way::Winograd(tile) => Prepared::Winograd(Filters::new(tile, &turned, outputs, channels)),
            _ => Prepared::Gather(
                turned
                    .chunks_exact(taps * outputs * channels)
                    .map(|m| Panels::of(m, taps * outputs, channels))
                    .collect(),
            ),
        }
    }
}

/// The weights of the listed taps with inputs and outputs exchanged: `[groups, taps, C_out / groups, C_in / groups]`.
fn turned_weight(weight: &[f32], shape: &Shape, taps: &[usize]) -> Vec<f32> {
    let (channels, outputs) = (shape.group_channels(), shape.group_outputs());
    let mut turned = vec![0.0; shape.groups * taps.len() * outputs * channels];
    turned.par_chunks_mut(outputs * channels).enumerate().for_each(|(index, to)| {
        let (group, tap) = (index / taps.len(), taps[index % taps.len()]);
        // In strips, so that both sides stay in the cache.
        for strip in (0..outputs).step_by(16) {
            let strip_end = (strip + 16).min(outputs);
            for channel in 0..channels {
                let from = &weight[(tap * channels + channel) * shape.outputs + group * outputs..][..outputs];
                for output in strip..strip_end {
                    to[output * channels + channel] = from[output];
                }
            }
        }
    });
    turned
}

/// `y = epilogue(convolution of x)`.
pub(crate) fn forward(shape: &Shape, x: &[f32], prepared: &Prepared, y: &mut [f32], epilogue: &Epilogue<'_>) {
    assert_eq!(x.len(), shape.input_len(), "input of {shape:?}");
    assert_eq!(y.len(), shape.output_len(), "output of {shape:?}");
    assert!(epilogue.residual.is_none_or(|r| r.len() == y.len()), "a residual as large as the output");
    assert!(epilogue.bias.is_none_or(|b| b.len() == shape.outputs), "one bias for each output channel");
    match prepared {
        Prepared::Depthwise(taps) => {
            let taps = Taps { values: taps, channels: shape.channels };
            depthwise::forward(x, &taps, &shape.geometry, y, epilogue);
        }
        Prepared::Winograd(filters) => winograd::forward(shape, x, filters, y, epilogue),
        Prepared::Gather(groups) => gather(shape, x, groups, y, epilogue),
    }
}

fn gather(shape: &Shape, x: &[f32], groups: &[Panels], y: &mut [f32], epilogue: &Epilogue<'_>) {
    if let [panels] = groups
        && shape.geometry.is_pointwise()
    {
        return matrix_product(x, panels, y, epilogue);
    }
    let view = View::new(shape, x);
    let zeros = vec![0.0; view.length];
    let outputs = shape.outputs;
    let work = shape.taps() * shape.group_channels() * outputs;
    each_task(y, outputs, work, |first, y| {
        let count = y.len() / outputs;
        let epilogue = epilogue.part(first * outputs, y.len());
        for (group, panels) in groups.iter().enumerate() {
            let offsets = view.offsets(first..first + count, group);
            let each = shape.group_outputs();
            let at: Vec<usize> = (0..count).map(|row| row * outputs + group * each).collect();
            let rows =
                Rows { values: &view.values, offsets: &offsets, pieces: view.pieces(), zeros: &zeros, outputs: &at };
            let bias = epilogue.bias.map(|bias| &bias[group * each..(group + 1) * each]);
            multiply(&rows, panels, y, &Epilogue { bias, ..epilogue });
        }
    });
}

/// The numbers of an image.
enum Pixels<'a> {
    /// As they were given.
    Given(&'a [f32]),
    /// In a copy with zeros around it.
    Padded(Vec<f32>),
}

impl Deref for Pixels<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match self {
            Pixels::Given(values) => values,
            Pixels::Padded(values) => values,
        }
    }
}

/// An image as rows of pieces: for each output pixel, what each tap sees.
///
/// Where a pixel has few channels, a whole row of taps is one piece of a padded copy.
struct View<'a> {
    values: Pixels<'a>,
    geometry: Geometry,
    /// Channels from a pixel to the next.
    channels: usize,
    /// Channels of a group.
    group_channels: usize,
    /// Numbers in a piece.
    length: usize,
}

/// Pixels of fewer channels than this are taken a row of taps at a time.
const NARROW: usize = 16;

impl<'a> View<'a> {
    fn new(shape: &Shape, x: &'a [f32]) -> Self {
        let g = shape.geometry;
        let channels = shape.channels;
        if channels >= NARROW || shape.groups > 1 || g.kernel[1] == 1 || g.dilation[1] != 1 {
            let group_channels = shape.group_channels();
            return Self { values: Pixels::Given(x), geometry: g, channels, group_channels, length: group_channels };
        }
        let reach = |axis: usize| (g.output[axis] - 1) * g.stride[axis] + (g.kernel[axis] - 1) * g.dilation[axis] + 1;
        let padded = [reach(0), reach(1)];
        let mut values = vec![0.0; shape.images * padded[0] * padded[1] * channels];
        let row = padded[1] * channels;
        values.par_chunks_mut(row).enumerate().for_each(|(index, to)| {
            let (image, i) = (index / padded[0], index % padded[0]);
            let Some(from) = i.checked_sub(g.before[0]).filter(|&i| i < g.input[0]) else { return };
            let skip = g.before[1].min(padded[1]);
            let take = g.input[1].min(padded[1] - skip) * channels;
            let from = (image * g.input[0] + from) * g.input[1] * channels;
            to[skip * channels..][..take].copy_from_slice(&x[from..from + take]);
        });
        let geometry = Geometry { input: padded, kernel: [g.kernel[0], 1], before: [0; 2], ..g };
        let length = g.kernel[1] * channels;
        Self { values: Pixels::Padded(values), geometry, channels, group_channels: channels, length }
    }

    fn pieces(&self) -> usize {
        self.geometry.kernel[0] * self.geometry.kernel[1]
    }

    /// Where every piece of these output pixels lies, or [`PADDING`].
    fn offsets(&self, pixels: Range<usize>, group: usize) -> Vec<usize> {
        let mut offsets = Vec::with_capacity(pixels.len() * self.pieces());
        self.each_pixel(pixels, |image, row, column| {
            for u in 0..self.geometry.kernel[0] {
                let from_row = self.geometry.source(0, row, u);
                for v in 0..self.geometry.kernel[1] {
                    offsets.push(match (from_row, self.geometry.source(1, column, v)) {
                        (Some(i), Some(j)) => self.offset(image, i, j, group),
                        _ => PADDING,
                    });
                }
            }
        });
        offsets
    }

    fn offset(&self, image: usize, row: usize, column: usize, group: usize) -> usize {
        let g = &self.geometry;
        ((image * g.input[0] + row) * g.input[1] + column) * self.channels + group * self.group_channels
    }

    fn each_pixel(&self, pixels: Range<usize>, mut each: impl FnMut(usize, usize, usize)) {
        let [rows, columns] = self.geometry.output;
        let (mut column, rest) = (pixels.start % columns, pixels.start / columns);
        let (mut row, mut image) = (rest % rows, rest / rows);
        for _ in pixels {
            each(image, row, column);
            column += 1;
            if column == columns {
                (column, row) = (0, row + 1);
                if row == rows {
                    (row, image) = (0, image + 1);
                }
            }
        }
    }
}

/// The gradient to the input, from that to the output.
pub(crate) fn backward_input(shape: &Shape, gradient: &[f32], weight: &[f32], exact: bool) -> Vec<f32> {
    assert_eq!(gradient.len(), shape.output_len(), "gradient of {shape:?}");
    assert_eq!(weight.len(), shape.weight_len(), "weights of {shape:?}");
    // Between the phases of a stride there may be pixels that no window sees.
    let mut gx = vec![0.0; shape.input_len()];
    if shape.is_depthwise() {
        let taps = Taps { values: weight, channels: shape.channels };
        depthwise::backward_input(gradient, &taps, &shape.geometry, &mut gx);
    } else if let Some(transposed) = shape.transposed() {
        let prepared = Prepared::transposed(shape, &transposed, weight, exact);
        forward(&transposed, gradient, &prepared, &mut gx, &Epilogue::NONE);
    } else {
        backward_phases(shape, gradient, weight, &mut gx);
    }
    gx
}

/// The pixels of the input that see the same taps, at a stride: each phase is a product of its own.
struct Phase {
    /// Where pieces of the gradient lie in an image's gradient.
    offsets: Vec<usize>,
    /// Where the pixels lie in an image.
    outputs: Vec<usize>,
    pieces: usize,
    panels: Vec<Panels>,
}

impl Phase {
    fn new(shape: &Shape, weight: &[f32], phase: [usize; 2]) -> Option<Self> {
        let g = &shape.geometry;
        let seen = |axis: usize| -> Vec<usize> {
            (0..g.kernel[axis])
                .filter(|tap| {
                    let reach = phase[axis] + g.before[axis] + g.stride[axis] * g.kernel[axis] * g.dilation[axis];
                    (reach - tap * g.dilation[axis]).is_multiple_of(g.stride[axis])
                })
                .collect()
        };
        let (rows, columns) = (seen(0), seen(1));
        let taps: Vec<usize> = rows.iter().flat_map(|u| columns.iter().map(move |v| u * g.kernel[1] + v)).collect();
        if taps.is_empty() {
            return None;
        }
        let (mut offsets, mut outputs) = (Vec::new(), Vec::new());
        for i in (phase[0]..g.input[0]).step_by(g.stride[0]) {
            for j in (phase[1]..g.input[1]).step_by(g.stride[1]) {
                outputs.push((i * g.input[1] + j) * shape.channels);
                for &u in &rows {
                    for &v in &columns {
                        offsets.push(match (g.target(0, i, u), g.target(1, j, v)) {
                            (Some(a), Some(b)) => (a * g.output[1] + b) * shape.outputs,
                            _ => PADDING,
                        });
                    }
                }
            }
        }
        let (depth, channels) = (taps.len() * shape.group_outputs(), shape.group_channels());
        let turned = turned_weight(weight, shape, &taps);
        let panels = turned.chunks_exact(depth * channels).map(|m| Panels::of(m, depth, channels)).collect();
        Some(Self { offsets, outputs, pieces: taps.len(), panels })
    }
}

fn backward_phases(shape: &Shape, gradient: &[f32], weight: &[f32], gx: &mut [f32]) {
    let g = &shape.geometry;
    let phases: Vec<Phase> = (0..g.stride[0])
        .flat_map(|i| (0..g.stride[1]).map(move |j| [i, j]))
        .filter_map(|phase| Phase::new(shape, weight, phase))
        .collect();
    let zeros = vec![0.0; shape.group_outputs()];
    let (per_image, per_gradient) = (gx.len() / shape.images.max(1), gradient.len() / shape.images.max(1));
    let move_by = |offsets: &[usize], by: usize| -> Vec<usize> {
        offsets.iter().map(|&at| if at == PADDING { PADDING } else { at + by }).collect()
    };
    gx.par_chunks_mut(per_image.max(1)).enumerate().for_each(|(image, gx)| {
        let gradient = &gradient[image * per_gradient..(image + 1) * per_gradient];
        for phase in &phases {
            for (group, panels) in phase.panels.iter().enumerate() {
                let offsets = move_by(&phase.offsets, group * shape.group_outputs());
                let outputs = move_by(&phase.outputs, group * shape.group_channels());
                // In parts, so that a part's rows stay in the cache while all panels pass.
                for (offsets, outputs) in offsets.chunks(96 * phase.pieces).zip(outputs.chunks(96)) {
                    let rows = Rows { values: gradient, offsets, pieces: phase.pieces, zeros: &zeros, outputs };
                    multiply(&rows, panels, gx, &Epilogue::NONE);
                }
            }
        }
    });
}

/// The gradient to the weights, `[rows, columns, C_in / groups, C_out]`.
pub(crate) fn backward_weight(shape: &Shape, x: &[f32], gradient: &[f32], exact: bool) -> Vec<f32> {
    assert_eq!(x.len(), shape.input_len(), "input of {shape:?}");
    assert_eq!(gradient.len(), shape.output_len(), "gradient of {shape:?}");
    match shape.way(exact) {
        Way::Depthwise => depthwise::backward_taps(x, gradient, &shape.geometry, shape.channels),
        Way::Winograd(tile) => winograd::backward_weight(tile, shape, x, gradient),
        Way::Gather => {
            let view = View::new(shape, x);
            if shape.groups == 1 {
                return gather_weight(shape, &view, gradient, 0);
            }
            let (depth, each) = (shape.taps() * shape.group_channels(), shape.group_outputs());
            let mut gw = vec![0.0; shape.weight_len()];
            for group in 0..shape.groups {
                let part = gather_weight(shape, &view, gradient, group);
                for k in 0..depth {
                    gw[k * shape.outputs + group * each..][..each].copy_from_slice(&part[k * each..(k + 1) * each]);
                }
            }
            gw
        }
    }
}

/// One group's weight gradient, `[taps C_in / groups, C_out / groups]`.
fn gather_weight(shape: &Shape, view: &View<'_>, gradient: &[f32], group: usize) -> Vec<f32> {
    let each = shape.group_outputs();
    let (pieces, length) = (view.pieces(), view.length);
    let blocks = length.div_ceil(ROWS);
    let pixels = gradient.len() / shape.outputs;
    // Block `b` of the result is block `b % blocks` of piece `b / blocks`.
    let begin = |block: usize| block / blocks * length + (block % blocks * ROWS).min(length);
    let split = Split::new(pixels, pieces * blocks, pieces * length * each);
    split.sum(
        |range| begin(range.start) * each..begin(range.end) * each,
        |task, sums| {
            let (mut left, mut right) = (Columns::default(), Panels::default());
            for first in task.rows.clone().step_by(PACKED_ROWS) {
                let count = PACKED_ROWS.min(task.rows.end - first);
                right.pack(count, each, |p| &gradient[(first + p) * shape.outputs + group * each..][..each]);
                let offsets = view.offsets(first..first + count, group);
                let mut done = 0;
                for piece in task.blocks.start / blocks..task.blocks.end.div_ceil(blocks) {
                    let from = task.blocks.start.saturating_sub(piece * blocks).min(blocks) * ROWS;
                    let to = ((task.blocks.end - piece * blocks).min(blocks) * ROWS).min(length);
                    left.pack(count, to - from, |p| match offsets[p * pieces + piece] {
                        PADDING => None,
                        at => Some(&view.values[at + from..at + to]),
                    });
                    add_transposed_product(&left, &right, &mut sums[done..done + (to - from) * each]);
                    done += (to - from) * each;
                }
            }
        },
    )
}

#[cfg(test)]
mod tests;
