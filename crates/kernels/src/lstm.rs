//! Long short-term memory over whole sequences (Hochreiter and Schmidhuber 1997; with forget gates, Gers et al. 2000).
//!
//! What the inputs of all steps give the gates is one matrix product. A task then takes some sequences of the batch
//! through all steps, a small product with the state and one pass over the gates each: no step waits for other
//! sequences. Gradients go back the same way, and those of the weights are one product over all steps at the end.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::activation::{sigmoid, tanh};
use crate::gemm::{
    Columns, Epilogue, PACKED_ROWS, Panels, ROWS, Rows, add_transposed_product, matrix_product, multiply,
};
use crate::norm::column_sums;
use crate::scratch;
use crate::vector::arch;

/// Sizes of a batch of sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sequence {
    /// Sequences.
    pub batch: usize,
    /// Steps of each.
    pub steps: usize,
    /// Numbers of a step.
    pub inputs: usize,
    /// Numbers of the state.
    pub width: usize,
}

/// Most sequences of a task: what they give the gates in a step stays in the cache.
const TASK_SEQUENCES: usize = 64;

impl Sequence {
    fn rows(&self) -> usize {
        self.batch * self.steps
    }

    fn gates(&self) -> usize {
        4 * self.width
    }

    /// Sequences of a task. It decides nothing but the time.
    fn task(&self) -> usize {
        self.batch.div_ceil(rayon::current_num_threads()).clamp(ROWS, TASK_SEQUENCES)
    }

    fn check(&self, x: &[f32], weights: &Weights<'_>, initial: &Initial<'_>) {
        assert!(self.inputs > 0 && self.width > 0, "{self:?} has neither inputs nor state");
        assert_eq!(x.len(), self.rows() * self.inputs, "input of {self:?}");
        assert_eq!(weights.input.len(), self.inputs * self.gates(), "weights of the input of {self:?}");
        assert_eq!(weights.recurrent.len(), self.width * self.gates(), "weights of the state of {self:?}");
        assert_eq!(weights.bias.len(), self.gates(), "bias of {self:?}");
        for state in [initial.hidden, initial.cell].into_iter().flatten() {
            assert_eq!(state.len(), self.batch * self.width, "initial state of {self:?}");
        }
    }
}

/// Weights, with the gates in PyTorch's order: input, forget, cell, output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weights<'a> {
    /// `[inputs, 4 width]`
    pub input: &'a [f32],
    /// `[width, 4 width]`
    pub recurrent: &'a [f32],
    /// `[4 width]`
    pub bias: &'a [f32],
}

/// The state before the first step, `[batch, width]` each; zeros where there is none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Initial<'a> {
    pub hidden: Option<&'a [f32]>,
    pub cell: Option<&'a [f32]>,
}

impl<'a> Initial<'a> {
    /// The part of some sequences, `from` numbers on.
    fn part(&self, from: usize, len: usize) -> Self {
        let part = |state: Option<&'a [f32]>| state.map(|state| &state[from..from + len]);
        Self { hidden: part(self.hidden), cell: part(self.cell) }
    }
}

/// What the steps gave.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// `[batch, steps, width]`
    pub outputs: Vec<f32>,
    /// `[batch, steps, width]`
    pub cells: Vec<f32>,
    /// The activated gates, `[batch, steps, 4 width]`; empty if they were not to be kept.
    pub gates: Vec<f32>,
}

/// Takes `x`, `[batch, steps, inputs]`, through all steps; [`backward`] needs the gates kept.
///
/// `i, f, o = sigmoid(..)` and `g = tanh(..)` of `x w_input + hidden w_recurrent + bias`; `cell = f cell + i g`;
/// `hidden = o tanh(cell)`.
pub(crate) fn forward(
    sequence: &Sequence,
    x: &[f32],
    weights: &Weights<'_>,
    initial: &Initial<'_>,
    keep_gates: bool,
) -> Run {
    sequence.check(x, weights, initial);
    let Sequence { steps, inputs, width, .. } = *sequence;
    let mut gates = vec![0.0; sequence.rows() * 4 * width];
    let mut outputs = vec![0.0; sequence.rows() * width];
    let mut cells = vec![0.0; sequence.rows() * width];
    if sequence.rows() == 0 {
        return Run { outputs, cells, gates };
    }
    let epilogue = Epilogue { bias: Some(weights.bias), ..Epilogue::NONE };
    matrix_product(x, &Panels::of(weights.input, inputs, 4 * width), &mut gates, &epilogue);
    let recurrent = Panels::of(weights.recurrent, width, 4 * width);
    let size = sequence.task() * width;
    let tasks = outputs.par_chunks_mut(size * steps).zip(cells.par_chunks_mut(size * steps));
    tasks.zip(gates.par_chunks_mut(4 * size * steps)).enumerate().for_each(|(index, ((outputs, cells), gates))| {
        let initial = initial.part(index * size, outputs.len() / steps);
        Task { steps, width, initial }.forward(&recurrent, outputs, cells, gates);
    });
    Run { outputs, cells, gates: if keep_gates { gates } else { Vec::new() } }
}

/// Some sequences of a batch.
#[derive(Clone, Copy)]
struct Task<'a> {
    steps: usize,
    width: usize,
    initial: Initial<'a>,
}

impl<'a> Task<'a> {
    /// Where each sequence has a step, in rows of `columns` numbers.
    fn places(&self, count: usize, step: usize, columns: usize) -> Vec<usize> {
        (0..count).map(|row| (row * self.steps + step) * columns).collect()
    }

    /// Takes the sequences through all steps; `gates` hold what the input gives them.
    fn forward(&self, recurrent: &Panels, outputs: &mut [f32], cells: &mut [f32], gates: &mut [f32]) {
        let Self { steps, width, initial } = *self;
        let count = outputs.len() / steps / width;
        let to: Vec<usize> = (0..count).map(|row| row * 4 * width).collect();
        let initial_rows: Vec<usize> = (0..count).map(|row| row * width).collect();
        scratch::with(count * 4 * width, |given| {
            for step in 0..steps {
                let (values, from) = match (step, initial.hidden) {
                    (0, Some(hidden)) => (hidden, initial_rows.clone()),
                    (0, None) => (&[][..], Vec::new()),
                    _ => (&*outputs, self.places(count, step - 1, width)),
                };
                if from.is_empty() {
                    given.fill(0.0);
                } else {
                    let rows = Rows { values, offsets: &from, pieces: 1, zeros: &[], outputs: &to };
                    multiply(&rows, recurrent, given, &Epilogue::NONE);
                }
                arch().dispatch(Step { task: self, step, given, outputs, cells, gates });
            }
        });
    }

    /// Takes gradients back through all steps. `hidden` and `cell` are those to the state, after the last step at
    /// first and before the first one at the end; `slopes` become those to what the gates were computed from.
    fn backward(
        &self,
        transposed: &Panels,
        run: RunPart<'_>,
        hidden: &mut [f32],
        cell: &mut [f32],
        slopes: &mut [f32],
    ) {
        let count = hidden.len() / self.width;
        let to: Vec<usize> = (0..count).map(|row| row * self.width).collect();
        for step in (0..self.steps).rev() {
            arch().dispatch(StepBack { task: self, step, run, hidden, cell, slopes });
            if step > 0 || self.initial.hidden.is_some() {
                let from = self.places(count, step, 4 * self.width);
                let rows = Rows { values: slopes, offsets: &from, pieces: 1, zeros: &[], outputs: &to };
                multiply(&rows, transposed, hidden, &Epilogue::NONE);
            }
        }
    }
}

/// Numbers that are taken through a step together.
const LANES: usize = 16;

/// The first numbers of a row; what lies beyond its end reads as zero.
#[inline(always)]
fn load(from: &[f32]) -> [f32; LANES] {
    match from.first_chunk() {
        Some(whole) => *whole,
        None => {
            let mut part = [0.0; LANES];
            part[..from.len()].copy_from_slice(from);
            part
        }
    }
}

/// Stores numbers at the beginning of a row; what lies beyond its end is dropped.
#[inline(always)]
fn store(to: &mut [f32], values: &[f32; LANES]) {
    match to.first_chunk_mut() {
        Some(whole) => *whole = *values,
        None => to.copy_from_slice(&values[..to.len()]),
    }
}

/// One row for each gate.
#[inline(always)]
fn each_gate(row: &[f32]) -> [&[f32]; 4] {
    let width = row.len() / 4;
    [&row[..width], &row[width..2 * width], &row[2 * width..3 * width], &row[3 * width..]]
}

#[inline(always)]
fn each_gate_mut(row: &mut [f32]) -> [&mut [f32]; 4] {
    let half = row.len() / 2;
    let (first, last) = row.split_at_mut(half);
    let ((i, f), (g, o)) = (first.split_at_mut(half / 2), last.split_at_mut(half / 2));
    [i, f, g, o]
}

/// What follows the product with the state.
struct Step<'a, 'b> {
    task: &'a Task<'b>,
    step: usize,
    /// What the state gives the gates, `[rows, 4 width]`.
    given: &'a [f32],
    outputs: &'a mut [f32],
    cells: &'a mut [f32],
    gates: &'a mut [f32],
}

impl WithSimd for Step<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { task, step, given, outputs, cells, gates } = self;
        let width = task.width;
        for (row, given) in given.chunks_exact(4 * width).enumerate() {
            let at = row * task.steps + step;
            let (earlier, later) = cells.split_at_mut(at * width);
            let before = match step {
                0 => task.initial.cell.map(|cell| &cell[row * width..(row + 1) * width]),
                _ => Some(&earlier[earlier.len() - width..]),
            };
            let (given, gates) = (each_gate(given), each_gate_mut(&mut gates[4 * at * width..][..4 * width]));
            let (cells, outputs) = (&mut later[..width], &mut outputs[at * width..][..width]);
            for from in (0..width).step_by(LANES) {
                let mut sums = [[0.0; LANES]; 4];
                for gate in 0..4 {
                    let (input, state) = (load(&gates[gate][from..]), load(&given[gate][from..]));
                    for lane in 0..LANES {
                        sums[gate][lane] = input[lane] + state[lane];
                    }
                }
                let [i, f, g, o] = sums;
                let [i, f, g, o] = [each_sigmoid(i), each_sigmoid(f), each_tanh(g), each_sigmoid(o)];
                let before = before.map_or([0.0; LANES], |before| load(&before[from..]));
                let mut cell = [0.0; LANES];
                for lane in 0..LANES {
                    cell[lane] = f[lane] * before[lane] + i[lane] * g[lane];
                }
                let mut output = each_tanh(cell);
                for lane in 0..LANES {
                    output[lane] *= o[lane];
                }
                for (gate, values) in [i, f, g, o].iter().enumerate() {
                    store(&mut gates[gate][from..], values);
                }
                store(&mut cells[from..], &cell);
                store(&mut outputs[from..], &output);
            }
        }
    }
}

#[inline(always)]
fn each_sigmoid(mut values: [f32; LANES]) -> [f32; LANES] {
    for value in &mut values {
        *value = sigmoid(*value);
    }
    values
}

#[inline(always)]
fn each_tanh(mut values: [f32; LANES]) -> [f32; LANES] {
    for value in &mut values {
        *value = tanh(*value);
    }
    values
}

/// Gradients of an LSTM.
#[derive(Debug)]
pub(crate) struct LstmGradients {
    /// `[batch, steps, inputs]`
    pub x: Vec<f32>,
    /// `[inputs, 4 width]`
    pub input: Vec<f32>,
    /// `[width, 4 width]`
    pub recurrent: Vec<f32>,
    /// `[4 width]`
    pub bias: Vec<f32>,
    /// Of the initial hidden state, `[batch, width]`, where there was one.
    pub hidden: Option<Vec<f32>>,
    /// Of the initial cell, `[batch, width]`, where there was one.
    pub cell: Option<Vec<f32>>,
}

/// What [`forward`] saw and gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub x: &'a [f32],
    pub weights: Weights<'a>,
    pub initial: Initial<'a>,
    /// `[batch, steps, width]`
    pub outputs: &'a [f32],
    /// `[batch, steps, width]`
    pub cells: &'a [f32],
    /// `[batch, steps, 4 width]`
    pub gates: &'a [f32],
}

/// Gradients given those to all outputs, `[batch, steps, width]`, and to the last cell, `[batch, width]`.
pub(crate) fn backward(
    sequence: &Sequence,
    seen: &Seen<'_>,
    gradient: &[f32],
    last_cell: Option<&[f32]>,
) -> LstmGradients {
    let Seen { x, weights, initial, outputs, cells, gates } = *seen;
    sequence.check(x, &weights, &initial);
    let Sequence { batch, steps, inputs, width } = *sequence;
    let len = sequence.rows() * width;
    assert_eq!((outputs.len(), cells.len()), (len, len), "run of {sequence:?}");
    assert_eq!(gates.len(), 4 * len, "the gates of {sequence:?}, kept");
    assert_eq!(gradient.len(), len, "gradient of {sequence:?}");
    assert!(last_cell.is_none_or(|g| g.len() == batch * width), "gradient of the last cell of {sequence:?}");

    let mut slopes = vec![0.0; 4 * len];
    let mut hidden = vec![0.0; batch * width];
    let mut cell = last_cell.map_or_else(|| vec![0.0; batch * width], <[f32]>::to_vec);
    if len > 0 {
        let transposed = Panels::of_transposed(weights.recurrent, 4 * width, width);
        let size = sequence.task() * width;
        let states = hidden.par_chunks_mut(size).zip(cell.par_chunks_mut(size));
        states.zip(slopes.par_chunks_mut(4 * size * steps)).enumerate().for_each(
            |(index, ((hidden, cell), slopes))| {
                let range = index * size * steps..index * size * steps + slopes.len() / 4;
                let run = RunPart {
                    gates: &gates[4 * range.start..4 * range.end],
                    cells: &cells[range.clone()],
                    gradient: &gradient[range],
                };
                let initial = initial.part(index * size, hidden.len());
                Task { steps, width, initial }.backward(&transposed, run, hidden, cell, slopes);
            },
        );
    }
    let mut gx = vec![0.0; x.len()];
    matrix_product(&slopes, &Panels::of_transposed(weights.input, 4 * width, inputs), &mut gx, &Epilogue::NONE);
    let packed: Vec<(usize, Panels)> =
        slopes.par_chunks(PACKED_ROWS * 4 * width).map(|part| pack(part, 4 * width)).collect();
    let hidden_before = |row: usize| match row % steps {
        0 => initial.hidden.map(|hidden| &hidden[row / steps * width..][..width]),
        _ => Some(&outputs[(row - 1) * width..row * width]),
    };
    let (input, recurrent) = rayon::join(
        || weight_gradient(inputs, 4 * width, |row| Some(&x[row * inputs..(row + 1) * inputs]), &packed),
        || weight_gradient(width, 4 * width, hidden_before, &packed),
    );
    LstmGradients {
        x: gx,
        input,
        recurrent,
        bias: column_sums(&slopes, 4 * width),
        hidden: initial.hidden.map(|_| hidden),
        cell: initial.cell.map(|_| cell),
    }
}

/// Packs rows for the right side of a product; how many they are comes with them.
fn pack(rows: &[f32], columns: usize) -> (usize, Panels) {
    let mut strips = Panels::default();
    strips.pack(rows.len() / columns, columns, |row| &rows[row * columns..(row + 1) * columns]);
    (rows.len() / columns, strips)
}

/// Blocks of weights' rows that a task sums, at most.
const TASK_BLOCKS: usize = 8;

/// `sum over p of row(p)^T slopes[p]`, `[depth, columns]`: the gradient of weights that rows of `depth` numbers were
/// multiplied by. `None` is a row of zeros; the slopes are packed, [`PACKED_ROWS`] at a time.
///
/// However the work is shared, each sum goes through the rows in order.
fn weight_gradient<'a>(
    depth: usize,
    columns: usize,
    row: impl Fn(usize) -> Option<&'a [f32]> + Sync,
    slopes: &[(usize, Panels)],
) -> Vec<f32> {
    let mut sums = vec![0.0; depth * columns];
    let fair = depth.div_ceil(ROWS).div_ceil(4 * rayon::current_num_threads());
    let take = fair.clamp(1, TASK_BLOCKS) * ROWS;
    sums.par_chunks_mut(take * columns).enumerate().for_each(|(index, sums)| {
        let (first, count) = (index * take, sums.len() / columns);
        let mut left = Columns::default();
        for (part, (rows, slopes)) in slopes.iter().enumerate() {
            let part_row = |p: usize| row(part * PACKED_ROWS + p).map(|row| &row[first..first + count]);
            left.pack(*rows, count, part_row);
            add_transposed_product(&left, slopes, sums);
        }
    });
    sums
}

/// What a task's gradients depend on.
#[derive(Clone, Copy)]
struct RunPart<'a> {
    gates: &'a [f32],
    cells: &'a [f32],
    gradient: &'a [f32],
}

/// Gradients of a step, before the product that takes them to the step before.
struct StepBack<'a, 'b> {
    task: &'a Task<'b>,
    step: usize,
    run: RunPart<'a>,
    /// Gradient that the next step gives the hidden state.
    hidden: &'a [f32],
    /// Gradient to the cell, from after this step to before it.
    cell: &'a mut [f32],
    /// Gradients to what the gates were computed from.
    slopes: &'a mut [f32],
}

impl WithSimd for StepBack<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { task, step, run, hidden, cell, slopes } = self;
        let width = task.width;
        for (row, (hidden, cell)) in hidden.chunks_exact(width).zip(cell.chunks_exact_mut(width)).enumerate() {
            let at = row * task.steps + step;
            let before = match step {
                0 => task.initial.cell.map(|cell| &cell[row * width..(row + 1) * width]),
                _ => Some(&run.cells[(at - 1) * width..at * width]),
            };
            let gates = each_gate(&run.gates[4 * at * width..][..4 * width]);
            let slopes = each_gate_mut(&mut slopes[4 * at * width..][..4 * width]);
            let (cells, gradient) = (&run.cells[at * width..][..width], &run.gradient[at * width..][..width]);
            for from in (0..width).step_by(LANES) {
                let [i, f, g, o] = gates.map(|gate| load(&gate[from..]));
                let (outer, inner) = (load(&gradient[from..]), load(&hidden[from..]));
                let squashed = each_tanh(load(&cells[from..]));
                let before = before.map_or([0.0; LANES], |before| load(&before[from..]));
                let mut to_cell = load(&cell[from..]);
                let mut to_gates = [[0.0; LANES]; 4];
                for lane in 0..LANES {
                    let to_hidden = outer[lane] + inner[lane];
                    let squash = squashed[lane];
                    let c = to_cell[lane] + to_hidden * o[lane] * (1.0 - squash * squash);
                    to_gates[0][lane] = c * g[lane] * i[lane] * (1.0 - i[lane]);
                    to_gates[1][lane] = c * before[lane] * f[lane] * (1.0 - f[lane]);
                    to_gates[2][lane] = c * i[lane] * (1.0 - g[lane] * g[lane]);
                    to_gates[3][lane] = to_hidden * squash * o[lane] * (1.0 - o[lane]);
                    to_cell[lane] = c * f[lane];
                }
                for (gate, values) in to_gates.iter().enumerate() {
                    store(&mut slopes[gate][from..], values);
                }
                store(&mut cell[from..], &to_cell);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A run in f64: outputs, and the last cells. `inputs` are x, the weights of input, state and bias, and the
    /// initial hidden state and cell.
    fn reference(sequence: &Sequence, inputs: &[Vec<f64>; 6]) -> [Vec<f64>; 2] {
        let Sequence { batch, steps, inputs: depth, width } = *sequence;
        let [x, input, recurrent, bias, hidden, cell] = inputs;
        let (mut hidden, mut cell) = (hidden.clone(), cell.clone());
        let mut outputs = vec![0.0; batch * steps * width];
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        for b in 0..batch {
            for step in 0..steps {
                let mut sums = bias.clone();
                for (j, sum) in sums.iter_mut().enumerate() {
                    for k in 0..depth {
                        *sum += x[(b * steps + step) * depth + k] * input[k * 4 * width + j];
                    }
                    for k in 0..width {
                        *sum += hidden[b * width + k] * recurrent[k * 4 * width + j];
                    }
                }
                for j in 0..width {
                    let (i, f) = (sigmoid(sums[j]), sigmoid(sums[width + j]));
                    let (g, o) = (sums[2 * width + j].tanh(), sigmoid(sums[3 * width + j]));
                    let at = b * width + j;
                    cell[at] = f * cell[at] + i * g;
                    hidden[at] = o * cell[at].tanh();
                    outputs[(b * steps + step) * width + j] = hidden[at];
                }
            }
        }
        [outputs, cell]
    }

    fn wide(values: &[f32]) -> Vec<f64> {
        values.iter().map(|&x| f64::from(x)).collect()
    }

    fn close(a: &[f32], b: &[f64]) -> bool {
        let scale = b.iter().fold(1.0, |most: f64, x| most.max(x.abs()));
        a.len() == b.len() && a.iter().zip(b).all(|(&a, b)| (f64::from(a) - b).abs() <= 4e-6 * scale)
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|x| x.to_bits()).collect()
    }

    /// A batch with its numbers.
    #[derive(Debug, Clone)]
    struct Case {
        sequence: Sequence,
        /// As [`reference`] takes them.
        inputs: [Vec<f32>; 6],
        /// Whether there is an initial state; zeros if not.
        initial: bool,
        gradient: Vec<f32>,
        last_cell: Option<Vec<f32>>,
    }

    impl Case {
        fn new(sequence: Sequence, initial: bool, last_cell: bool) -> Self {
            let Sequence { batch, inputs, width, .. } = sequence;
            let numbers = |len: usize, seed: f32, most: f32| -> Vec<f32> {
                (0..len).map(|i| ((i + 1) as f32 * seed).sin() * most).collect()
            };
            let (state, most) = (batch * width, 1.0 / (width as f32).sqrt());
            let mut inputs = [
                numbers(sequence.rows() * inputs, 12.9898, 1.5),
                numbers(inputs * 4 * width, 78.233, most),
                numbers(width * 4 * width, 37.719, most),
                numbers(4 * width, 53.17, 0.5),
                numbers(state, 17.31, 0.8),
                numbers(state, 91.7, 1.5),
            ];
            if !initial {
                inputs[4].fill(0.0);
                inputs[5].fill(0.0);
            }
            let gradient = numbers(sequence.rows() * width, 29.3, 1.0);
            Self { sequence, inputs, initial, gradient, last_cell: last_cell.then(|| numbers(state, 41.9, 1.0)) }
        }

        fn initial(&self) -> Initial<'_> {
            let state = |which: usize| self.initial.then_some(self.inputs[which].as_slice());
            Initial { hidden: state(4), cell: state(5) }
        }

        fn weights(&self) -> Weights<'_> {
            Weights { input: &self.inputs[1], recurrent: &self.inputs[2], bias: &self.inputs[3] }
        }

        fn forward(&self) -> Run {
            forward(&self.sequence, &self.inputs[0], &self.weights(), &self.initial(), true)
        }

        /// Gradients in the order of the inputs.
        fn backward(&self, run: &Run) -> [Vec<f32>; 6] {
            let Run { outputs, cells, gates } = run;
            let (weights, initial) = (self.weights(), self.initial());
            let seen = Seen { x: &self.inputs[0], weights, initial, outputs, cells, gates };
            let g = backward(&self.sequence, &seen, &self.gradient, self.last_cell.as_deref());
            assert_eq!((g.hidden.is_some(), g.cell.is_some()), (self.initial, self.initial));
            [g.x, g.input, g.recurrent, g.bias, g.hidden.unwrap_or_default(), g.cell.unwrap_or_default()]
        }

        /// What the gradients are slopes of.
        fn value(&self, inputs: &[Vec<f64>; 6]) -> f64 {
            let [outputs, cell] = reference(&self.sequence, inputs);
            let through = |values: &[f64], g: &[f32]| values.iter().zip(g).map(|(v, &g)| v * f64::from(g)).sum::<f64>();
            through(&outputs, &self.gradient) + self.last_cell.as_ref().map_or(0.0, |g| through(&cell, g))
        }

        /// The slope along a direction in one of the inputs.
        fn slope(&self, which: usize, direction: impl Fn(usize) -> f64) -> f64 {
            let moved = |by: f64| {
                let mut inputs = self.inputs.each_ref().map(|values| wide(values));
                inputs[which].iter_mut().enumerate().for_each(|(at, x)| *x += by * direction(at));
                self.value(&inputs)
            };
            (moved(1e-5) - moved(-1e-5)) / 2e-5
        }

        fn check_outputs(&self) {
            let [outputs, cell] = reference(&self.sequence, &self.inputs.each_ref().map(|values| wide(values)));
            let run = self.forward();
            assert!(close(&run.outputs, &outputs), "outputs of {:?}", self.sequence);
            let Sequence { steps, width, .. } = self.sequence;
            let last: Vec<f32> = run.cells.chunks(steps * width).flat_map(|c| &c[c.len() - width..]).copied().collect();
            assert!(close(&last, &cell), "cells of {:?}", self.sequence);
        }
    }

    fn sequences(most: usize) -> impl Strategy<Value = Sequence> {
        (1..=most, 1..=most, 1..=most, 1..=most).prop_map(|(batch, steps, inputs, width)| Sequence {
            batch,
            steps,
            inputs,
            width,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn outputs_are_the_definition_s(sequence in sequences(20), initial: bool) {
            Case::new(sequence, initial, false).check_outputs();
        }

        #[test]
        fn gradients_are_slopes(sequence in sequences(4), initial: bool, last_cell: bool) {
            let case = Case::new(sequence, initial, last_cell);
            for (which, gradient) in case.backward(&case.forward()).iter().enumerate() {
                let slopes = (0..gradient.len()).map(|i| case.slope(which, |at| f64::from(u8::from(at == i))));
                prop_assert!(close(gradient, &slopes.collect::<Vec<_>>()), "gradient {which} of {sequence:?}");
            }
        }
    }

    #[test]
    fn larger_ones_go_along_every_direction() {
        for (batch, steps, inputs, width) in [(80, 5, 3, 33), (7, 40, 50, 17), (1, 3, 70, 48)] {
            let case = Case::new(Sequence { batch, steps, inputs, width }, true, true);
            case.check_outputs();
            for (which, gradient) in case.backward(&case.forward()).iter().enumerate() {
                for turn in [0.7, 1.3, 2.9] {
                    let direction = |at: usize| (turn * at as f64).sin();
                    let along = |f: fn(f64) -> f64| -> f64 {
                        gradient.iter().enumerate().map(|(at, &g)| f(f64::from(g) * direction(at))).sum()
                    };
                    let (got, slope) = (along(|part| part), case.slope(which, direction));
                    assert!((got - slope).abs() < 1e-6 * along(f64::abs), "gradient {which}: {got} for {slope}");
                }
            }
        }
    }

    #[test]
    fn gates_are_kept_only_where_asked() {
        let case = Case::new(Sequence { batch: 3, steps: 4, inputs: 2, width: 5 }, true, false);
        let without = forward(&case.sequence, &case.inputs[0], &case.weights(), &case.initial(), false);
        let with = case.forward();
        assert_eq!((without.outputs, without.cells, without.gates), (with.outputs, with.cells, Vec::new()));
        assert_eq!(with.gates.len(), 3 * 4 * 4 * 5);
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let case = Case::new(Sequence { batch: 41, steps: 30, inputs: 19, width: 37 }, true, true);
        let run = || {
            let run = case.forward();
            let gradients = case.backward(&run);
            [run.outputs, run.cells, run.gates].iter().chain(&gradients).map(|values| bits(values)).collect::<Vec<_>>()
        };
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(run);
        for threads in [2, 3] {
            assert!(rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run) == one);
        }
    }

    #[test]
    fn a_sequence_does_not_see_its_neighbours() {
        let sequence = Sequence { batch: 9, steps: 6, inputs: 5, width: 19 };
        let case = Case::new(sequence, true, false);
        let last = |values: &[f32]| values[values.len() / 9 * 8..].to_vec();
        let mut alone = case.clone();
        alone.sequence.batch = 1;
        for which in [0, 4, 5] {
            alone.inputs[which] = last(&case.inputs[which]);
        }
        let (all, alone) = (case.forward(), alone.forward());
        for (all, alone) in [(all.outputs, alone.outputs), (all.cells, alone.cells), (all.gates, alone.gates)] {
            assert_eq!(bits(&last(&all)), bits(&alone));
        }
    }

    #[test]
    fn no_steps_pass_the_last_gradients_on() {
        let case = Case::new(Sequence { batch: 2, steps: 0, inputs: 3, width: 4 }, true, true);
        let run = case.forward();
        assert!(run.outputs.is_empty() && run.cells.is_empty());
        let [x, input, recurrent, bias, hidden, cell] = case.backward(&run);
        assert!(x.is_empty() && [input, recurrent, bias, hidden].iter().flatten().all(|&g| g == 0.0));
        assert_eq!(Some(cell), case.last_cell);
    }

    #[test]
    fn no_sequences_have_no_gradient() {
        let case = Case::new(Sequence { batch: 0, steps: 5, inputs: 3, width: 4 }, false, false);
        let gradients = case.backward(&case.forward());
        assert_eq!(gradients.each_ref().map(Vec::len), [0, 48, 64, 16, 0, 0]);
        assert!(gradients.iter().flatten().all(|&g| g == 0.0));
    }
}
