//! Principal axes of word vectors, exactly: from the covariance of all rows.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::error::{Error, Problem, Result};
use crate::heads::axes::{eigen, gram};

/// Rows of a part. Parts are added up in order, whichever thread did them: the number of threads changes no bit.
const PART: usize = 1024;
/// Parts that are in memory at a time.
const WAVE: usize = 16;
/// Most columns: a covariance of them takes 128 MiB.
const COLUMNS: usize = 4096;

/// The mean and the principal axes of rows.
pub(super) struct Principal {
    /// `[columns]`; zeros where axes are about zero.
    mean: Vec<f64>,
    /// Variance along each axis, divisor `rows - 1`, descending.
    pub(super) variances: Vec<f64>,
    /// `[columns, columns]`, an axis in each column, in the order of the variances. Of each axis the number that is largest in size, the
    /// first of equals, is positive.
    axes: Mat<f64>,
}

impl Principal {
    /// The axes of `values`, `[rows, columns]`: about their mean, or about zero, where they are those that keep inner products best (the
    /// truncated singular value decomposition of the rows).
    ///
    /// # Errors
    /// [`Error::Data`] for fewer than two rows, or more than 4,096 columns; [`Error::Training`] where no axes are found.
    pub(super) fn of(values: &[f32], columns: usize, centre: bool) -> Result<Self> {
        let rows = values.len() / columns;
        if rows < 2 || columns > COLUMNS {
            let problem = Problem::new("these vectors have no principal axes that could be computed");
            let problem = problem.expected(format_args!("at least 2 words, and at most {COLUMNS} columns"));
            return Err(Error::Data(problem.found(format_args!("{rows} words, {columns} columns"))));
        }
        let mut mean = vec![0.0; columns];
        for wave in values.chunks(PART * WAVE * columns) {
            let sums: Vec<Vec<f64>> = wave.par_chunks(PART * columns).map(|part| sum_of(part, columns)).collect();
            sums.iter().for_each(|part| mean.iter_mut().zip(part).for_each(|(sum, x)| *sum += x));
        }
        let share = if centre { 1.0 / rows as f64 } else { 0.0 };
        mean.iter_mut().for_each(|sum| *sum *= share);
        let mut covariance = Mat::<f64>::zeros(columns, columns);
        let scale = 1.0 / (rows - 1) as f64;
        for wave in values.chunks(PART * WAVE * columns) {
            let parts: Vec<Mat<f64>> = wave
                .par_chunks(PART * columns)
                .map(|part| {
                    let centred = centred(part, &mean);
                    let x = MatRef::from_row_major_slice(&centred, part.len() / columns, columns);
                    let mut sum = Mat::zeros(columns, columns);
                    gram(sum.as_mut(), x.transpose(), scale);
                    sum
                })
                .collect();
            parts.iter().for_each(|part| covariance += part);
        }
        let (mut variances, ascending) = eigen(&covariance)?;
        variances.reverse();
        variances.iter_mut().for_each(|variance| *variance = variance.max(0.0));
        let axes = Mat::from_fn(columns, columns, |row, axis| ascending[(row, columns - 1 - axis)]);
        let mut axes = axes;
        (0..columns).for_each(|axis| {
            let sign = sign_of(axes.col(axis).iter().copied());
            axes.col_mut(axis).iter_mut().for_each(|x| *x *= sign);
        });
        Ok(Self { mean, variances, axes })
    }

    /// Coordinates of rows along some of the axes, `[rows, axes]`: those of the rows less the mean.
    pub(super) fn coordinates(&self, values: &[f32], axes: Range<usize>) -> Vec<f32> {
        let (columns, kept) = (self.mean.len(), axes.len());
        let mut out = vec![0.0; values.len() / columns * kept];
        let basis = self.axes.get(.., axes);
        out.par_chunks_mut(PART * kept).zip(values.par_chunks(PART * columns)).for_each(|(out, part)| {
            let rows = part.len() / columns;
            let centred = centred(part, &self.mean);
            let mut product = vec![0.0; rows * kept];
            let into = MatMut::from_row_major_slice_mut(&mut product, rows, kept);
            let x = MatRef::from_row_major_slice(&centred, rows, columns);
            matmul(into, Accum::Replace, x, basis, 1.0, Par::Seq);
            out.iter_mut().zip(product).for_each(|(out, x)| *out = x as f32);
        });
        out
    }

    /// The share of the variance along each of some axes.
    pub(super) fn explained(&self, axes: Range<usize>) -> Vec<f64> {
        let total: f64 = self.variances.iter().sum();
        let share = |variance: &f64| if total > 0.0 { variance / total } else { 0.0 };
        self.variances[axes].iter().map(share).collect()
    }
}

/// 1 where the number that is largest in size, the first of equals, is positive, else -1.
pub(super) fn sign_of(numbers: impl Iterator<Item = f64>) -> f64 {
    let largest = numbers.fold(0.0f64, |most, x| if x.abs() > most.abs() { x } else { most });
    if largest < 0.0 { -1.0 } else { 1.0 }
}

fn sum_of(part: &[f32], columns: usize) -> Vec<f64> {
    let mut sum = vec![0.0; columns];
    for row in part.chunks_exact(columns) {
        sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    sum
}

fn centred(part: &[f32], mean: &[f64]) -> Vec<f64> {
    part.chunks_exact(mean.len()).flat_map(|row| row.iter().zip(mean).map(|(x, mean)| f64::from(*x) - mean)).collect()
}
