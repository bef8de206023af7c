//! The objective of logistic regression and its gradient, block of rows by block of rows.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::axes::{Coordinates, PrincipalAxes};
use super::standardise::Standardiser;
use crate::error::Result;
use crate::features::Features;

/// Rows rotated to their principal axes are kept in memory up to this many numbers (96 MiB); beyond it, the raw f32
/// rows are read at each turn and the weights are rotated instead.
const KEPT_NUMBERS: usize = 12 << 20;

/// Partial sums of the gradient. Fixed, so that the order of summation does not depend on threads.
const PARTS: usize = 8;

/// One training set, ready to be fitted with any strength of regularisation.
///
/// With features standardised and centred (the intercept takes up the centre), rotated to principal axes `z`, the
/// objective is `sum_i s_i loss(U z_i + b, y_i) / S + ||U||² / (2 C S)` with `S = sum_i s_i`: scikit-learn's
/// `C sum_i s_i loss_i + ||W||² / 2` divided by `C S`. A rotation leaves `||W||` as it is, so the optimum is the same.
pub(super) struct Objective<'a> {
    examples: Examples<'a>,
    answers: Answers,
    /// `s_i / S`, `[n]`.
    shares: Vec<f64>,
    /// `S`.
    pub(crate) total_weight: f64,
    /// Rows of `U`: the number of classes, or 1 for the single logit of two classes.
    pub(crate) outputs: usize,
    axes: Axes<'a>,
    /// Mean square of the rows along each axis, `[rank]`.
    pub(crate) variances: Vec<f64>,
    coordinates: Coordinates,
}

/// What is right for each row.
pub(super) enum Answers {
    /// Its class, `[n]`: the logits compete in a softmax.
    Classes(Vec<usize>),
    /// Whether it has each label, `[n, outputs]`: each logit stands for itself, and the loss is the sum over labels.
    Labels(Vec<bool>),
}

/// What the rows are to the inner loop.
enum Examples<'a> {
    /// Rotated rows, `[n, rank]`.
    Rotated(Vec<f64>),
    /// Rows of the raw table.
    Raw { features: &'a Features, rows: &'a [usize] },
}

/// Axes of this very training set, or lent.
enum Axes<'a> {
    Own(PrincipalAxes),
    Lent(&'a PrincipalAxes),
}

/// Weights in rotated coordinates, `[outputs, rank]`, and intercepts, `[outputs]`.
#[derive(Debug, Clone, Default)]
pub(super) struct Weights {
    pub(crate) axes: Vec<f64>,
    pub(crate) intercepts: Vec<f64>,
}

/// Mean loss and its gradient.
pub(super) struct Slope {
    pub(crate) loss: f64,
    pub(crate) gradient: Weights,
}

impl<'a> Objective<'a> {
    /// `answers` and `weights` belong to `rows`, in the same order; all weights are above zero.
    ///
    /// `lent` are the axes of a larger set that these rows are part of; without them, or where they are of no use
    /// (fewer rows than columns), the axes are those of the rows themselves.
    pub fn new(
        features: &'a Features,
        rows: &'a [usize],
        answers: Answers,
        weights: &[f64],
        outputs: usize,
        lent: Option<&'a PrincipalAxes>,
    ) -> Result<Self> {
        let standardiser = Standardiser::fit(features, rows);
        let total_weight: f64 = weights.iter().sum();
        let coordinates = Coordinates {
            centre: weighted_mean(features, rows, weights, total_weight),
            inverse: standardiser.scale.iter().map(|scale| 1.0 / scale).collect(),
        };
        let shares: Vec<f64> = weights.iter().map(|weight| weight / total_weight).collect();
        let (axes, examples, variances) = if rows.len() < features.columns && lent.is_none() {
            let (axes, rotated) = PrincipalAxes::of_rows(features, rows, weights, &coordinates)?;
            let variances = axes.variances.clone();
            (Axes::Own(axes), Examples::Rotated(rotated), variances)
        } else {
            let axes = match lent {
                Some(axes) => Axes::Lent(axes),
                None => Axes::Own(PrincipalAxes::of_columns(features, rows, &coordinates)?),
            };
            if rows.len() * features.columns <= KEPT_NUMBERS {
                let rotated = rotate(features, rows, &coordinates, &axes.get().basis);
                let variances = mean_squares(&rotated, features.columns, &shares);
                (axes, Examples::Rotated(rotated), variances)
            } else {
                let variances = axes.get().variances.clone();
                (axes, Examples::Raw { features, rows }, variances)
            }
        };
        Ok(Self { examples, answers, shares, total_weight, outputs, axes, variances, coordinates })
    }

    /// Number of axes.
    pub(crate) fn rank(&self) -> usize {
        self.variances.len()
    }

    /// Upper bound of the second derivative of one row's loss in its logits, per unit.
    pub(crate) fn curvature(&self) -> f64 {
        match self.answers {
            Answers::Classes(_) if self.outputs > 1 => 0.5,
            _ => 0.25,
        }
    }

    /// Mean loss and gradient at the given weights.
    pub(crate) fn slope(&self, weights: &Weights) -> Slope {
        match &self.examples {
            Examples::Rotated(rows) => {
                let rank = self.rank();
                self.sum(&weights.axes, &weights.intercepts, rank, |range, _| {
                    Block::Borrowed(&rows[range.start * rank..range.end * rank])
                })
            }
            Examples::Raw { features, rows } => {
                let columns = features.columns;
                let turned = self.to_columns(&weights.axes);
                let mut slope = self.sum(&turned, &weights.intercepts, columns, |range, scratch| {
                    self.coordinates.block(features, &rows[range], scratch);
                    Block::InScratch
                });
                let mut back = vec![0.0; self.outputs * self.rank()];
                matmul(
                    MatMut::from_row_major_slice_mut(&mut back, self.outputs, self.rank()),
                    Accum::Replace,
                    MatRef::from_row_major_slice(&slope.gradient.axes, self.outputs, columns),
                    &self.axes.get().basis,
                    1.0,
                    Par::Seq,
                );
                slope.gradient.axes = back;
                slope
            }
        }
    }

    /// Weights of the raw columns `[outputs, columns]`, and intercepts to go with them.
    pub(crate) fn to_raw(&self, weights: &Weights) -> (Vec<f64>, Vec<f64>) {
        let mut raw = self.to_columns(&weights.axes);
        let mut intercepts = weights.intercepts.clone();
        for (row, intercept) in raw.chunks_exact_mut(self.coordinates.centre.len()).zip(&mut intercepts) {
            for ((weight, inverse), centre) in
                row.iter_mut().zip(&self.coordinates.inverse).zip(&self.coordinates.centre)
            {
                *weight *= inverse;
                *intercept -= *weight * centre;
            }
        }
        (raw, intercepts)
    }

    /// Weights of the standardised columns, `U Vᵀ`, `[outputs, columns]`.
    fn to_columns(&self, weights: &[f64]) -> Vec<f64> {
        let basis = &self.axes.get().basis;
        let mut turned = vec![0.0; self.outputs * basis.nrows()];
        matmul(
            MatMut::from_row_major_slice_mut(&mut turned, self.outputs, basis.nrows()),
            Accum::Replace,
            MatRef::from_row_major_slice(weights, self.outputs, self.rank()),
            basis.transpose(),
            1.0,
            Par::Seq,
        );
        turned
    }

    /// The sum over all rows: a fixed number of parts side by side, blocks in order within each, parts in order.
    fn sum<'r>(
        &'r self,
        weights: &[f64],
        intercepts: &[f64],
        dimensions: usize,
        block_of: impl Fn(std::ops::Range<usize>, &mut Vec<f64>) -> Block<'r> + Sync,
    ) -> Slope {
        let n = self.shares.len();
        // A block and what its products pack should stay in the second-level cache between the two.
        let block = ((1 << 16) / dimensions.max(1)).clamp(48, 512);
        let blocks = n.div_ceil(block);
        let parts = blocks.clamp(1, PARTS);
        let mut slopes: Vec<Slope> = (0..parts)
            .into_par_iter()
            .map(|part| {
                let mut slope = Slope {
                    loss: 0.0,
                    gradient: Weights { axes: vec![0.0; weights.len()], intercepts: vec![0.0; self.outputs] },
                };
                let (mut scratch, mut logits) = (Vec::new(), Vec::new());
                for b in part * blocks / parts..(part + 1) * blocks / parts {
                    let range = b * block..((b + 1) * block).min(n);
                    let rows = match block_of(range.clone(), &mut scratch) {
                        Block::Borrowed(rows) => rows,
                        Block::InScratch => &scratch,
                    };
                    self.add_block(range, rows, dimensions, weights, intercepts, &mut logits, &mut slope);
                }
                slope
            })
            .collect();
        let mut total = slopes.remove(0);
        for slope in slopes {
            total.loss += slope.loss;
            add(&mut total.gradient.axes, &slope.gradient.axes);
            add(&mut total.gradient.intercepts, &slope.gradient.intercepts);
        }
        total
    }

    #[expect(clippy::too_many_arguments, reason = "the inner loop: buffers are handed in to be used again")]
    fn add_block(
        &self,
        range: std::ops::Range<usize>,
        rows: &[f64],
        dimensions: usize,
        weights: &[f64],
        intercepts: &[f64],
        logits: &mut Vec<f64>,
        slope: &mut Slope,
    ) {
        let (count, outputs) = (range.len(), self.outputs);
        let x = MatRef::from_row_major_slice(rows, count, dimensions);
        logits.clear();
        logits.reserve(count * outputs);
        for _ in 0..count {
            logits.extend_from_slice(intercepts);
        }
        let w = MatRef::from_row_major_slice(weights, outputs, dimensions);
        let into = MatMut::from_row_major_slice_mut(logits, count, outputs);
        matmul(into, Accum::Add, x, w.transpose(), 1.0, Par::Seq);
        for (logits, i) in logits.chunks_exact_mut(outputs).zip(range) {
            let share = self.shares[i];
            slope.loss += share
                * match &self.answers {
                    Answers::Classes(classes) => loss_and_residuals(logits, classes[i], share),
                    Answers::Labels(labels) => {
                        let labels = labels[i * outputs..(i + 1) * outputs].iter();
                        let each = logits.iter_mut().zip(labels);
                        each.map(|(logit, &has)| single_loss_and_residual(logit, has, share)).sum()
                    }
                };
            add(&mut slope.gradient.intercepts, logits);
        }
        let residuals = MatRef::from_row_major_slice(logits, count, outputs);
        let gradient = MatMut::from_row_major_slice_mut(&mut slope.gradient.axes, outputs, dimensions);
        matmul(gradient, Accum::Add, residuals.transpose(), x, 1.0, Par::Seq);
    }
}

/// Where the rows of a block are.
enum Block<'r> {
    Borrowed(&'r [f64]),
    InScratch,
}

impl Axes<'_> {
    fn get(&self) -> &PrincipalAxes {
        match self {
            Axes::Own(axes) => axes,
            Axes::Lent(axes) => axes,
        }
    }
}

/// The loss of one example in nats; its logits become `share · d loss / d logits`.
///
/// One logit is that of class 1 against class 0: `loss = ln(1 + e^-z)` for class 1 and `ln(1 + e^z)` for class 0.
fn loss_and_residuals(logits: &mut [f64], target: usize, share: f64) -> f64 {
    if let [logit] = logits {
        return single_loss_and_residual(logit, target == 1, share);
    }
    let most = logits.iter().fold(f64::NEG_INFINITY, |most, &z| most.max(z));
    let own = logits[target] - most;
    let mut sum = 0.0;
    for z in logits.iter_mut() {
        *z = (*z - most).exp();
        sum += *z;
    }
    let scale = share / sum;
    logits.iter_mut().for_each(|e| *e *= scale);
    logits[target] -= share;
    sum.ln() - own
}

/// As [`loss_and_residuals`], of a logit that stands for itself.
fn single_loss_and_residual(logit: &mut f64, has: bool, share: f64) -> f64 {
    let sign = if has { 1.0 } else { -1.0 };
    let z = sign * *logit;
    let e = (-z.abs()).exp();
    // The probability of the other answer.
    let miss = if z > 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) };
    *logit = -sign * miss * share;
    e.ln_1p() + (-z).max(0.0)
}

fn add(to: &mut [f64], from: &[f64]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}

fn weighted_mean(features: &Features, rows: &[usize], weights: &[f64], total: f64) -> Vec<f64> {
    let mut mean = vec![0.0; features.columns];
    for (&row, &weight) in rows.iter().zip(weights) {
        for (sum, &x) in mean.iter_mut().zip(features.row(row)) {
            *sum += weight * f64::from(x);
        }
    }
    mean.iter_mut().for_each(|sum| *sum /= total);
    mean
}

/// The rows in the coordinates of a square basis, `[rows, columns]`.
fn rotate(features: &Features, rows: &[usize], coordinates: &Coordinates, basis: &faer::Mat<f64>) -> Vec<f64> {
    let columns = features.columns;
    let mut rotated = vec![0.0; rows.len() * columns];
    rotated.par_chunks_mut(256 * columns).zip(rows.par_chunks(256)).for_each_init(Vec::new, |block, (out, rows)| {
        coordinates.block(features, rows, block);
        let x = MatRef::from_row_major_slice(block, rows.len(), columns);
        let out = MatMut::from_row_major_slice_mut(out, rows.len(), columns);
        matmul(out, Accum::Replace, x, basis, 1.0, Par::Seq);
    });
    rotated
}

fn mean_squares(rows: &[f64], rank: usize, shares: &[f64]) -> Vec<f64> {
    let mut squares = vec![0.0; rank];
    for (row, share) in rows.chunks_exact(rank).zip(shares) {
        squares.iter_mut().zip(row).for_each(|(square, x)| *square += share * x * x);
    }
    squares
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Central differences of the mean loss against the gradient, for a table of the given shape.
    fn check(rows: usize, columns: usize, outputs: usize, labels: bool) {
        let value = |i: usize| ((i * 7919 + i * i * 31) % 1009) as f32 / 500.0;
        let features = Features::new(rows, columns, (0..rows * columns).map(value).collect()).unwrap();
        let all: Vec<usize> = (0..rows).collect();
        let classes = outputs.max(2);
        let weights: Vec<f64> = all.iter().map(|&i| 0.5 + (i % 3) as f64).collect();
        let answers = if labels {
            Answers::Labels((0..rows * outputs).map(|i| (i * i) % 3 == 1).collect())
        } else {
            Answers::Classes(all.iter().map(|i| (i * i) % classes).collect())
        };
        let objective = Objective::new(&features, &all, answers, &weights, outputs, None).unwrap();
        let at = Weights {
            axes: (0..outputs * objective.rank()).map(|i| ((i * 37) % 11) as f64 / 10.0 - 0.5).collect(),
            intercepts: (0..outputs).map(|i| i as f64 * 0.1).collect(),
        };
        let slope = objective.slope(&at);
        let step = 1e-5;
        for i in 0..at.axes.len() {
            let loss = |by: f64| {
                let mut moved = at.clone();
                moved.axes[i] += by;
                objective.slope(&moved).loss
            };
            let measured = (loss(step) - loss(-step)) / (2.0 * step);
            assert!((measured - slope.gradient.axes[i]).abs() < 1e-8, "{measured} {}", slope.gradient.axes[i]);
        }
        for i in 0..outputs {
            let loss = |by: f64| {
                let mut moved = at.clone();
                moved.intercepts[i] += by;
                objective.slope(&moved).loss
            };
            let measured = (loss(step) - loss(-step)) / (2.0 * step);
            assert!((measured - slope.gradient.intercepts[i]).abs() < 1e-8);
        }
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        check(40, 6, 3, false);
        check(40, 6, 1, false);
        check(7, 20, 4, false);
        check(40, 6, 3, true);
        check(7, 20, 1, true);
    }

    #[test]
    fn raw_and_rotated_rows_give_the_same_slope() {
        let value = |i: usize| ((i * 7919 + i * i * 31) % 1009) as f32 / 500.0;
        let features = Features::new(90, 7, (0..630).map(value).collect()).unwrap();
        let all: Vec<usize> = (0..90).collect();
        let targets: Vec<usize> = all.iter().map(|i| (i * i) % 3).collect();
        let classes = || Answers::Classes(targets.clone());
        let rotated = Objective::new(&features, &all, classes(), &[1.0; 90], 3, None).unwrap();
        let mut raw = Objective::new(&features, &all, classes(), &[1.0; 90], 3, None).unwrap();
        raw.examples = Examples::Raw { features: &features, rows: &all };
        let at = Weights { axes: (0..21).map(|i| f64::from(i % 5) / 9.0).collect(), intercepts: vec![0.1, 0.0, -0.1] };
        let (a, b) = (rotated.slope(&at), raw.slope(&at));
        assert!((a.loss - b.loss).abs() < 1e-12);
        for (a, b) in a.gradient.axes.iter().zip(&b.gradient.axes) {
            assert!((a - b).abs() < 1e-12);
        }
    }
}
