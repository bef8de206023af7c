//! Principal axes of a set of rows: what makes logistic regression quick, and leaves its optimum where it is.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd;
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::error::{Error, Problem, Result};
use crate::features::Features;

/// Rows that the axes of many rows are estimated from (see [`PrincipalAxes::of_columns`]).
const SAMPLE: usize = 8192;

/// Axes whose variance is below this share of the largest are left out where axes may be left out at all.
const NEGLIGIBLE: f64 = 1e-12;

/// An affine change of coordinates of raw features: `x' = (x - centre) · inverse`, per column.
#[derive(Debug, Clone)]
pub(crate) struct Coordinates {
    pub(crate) centre: Vec<f64>,
    pub(crate) inverse: Vec<f64>,
}

impl Coordinates {
    /// Writes the given rows, transformed, `[rows, columns]`.
    pub(crate) fn block(&self, features: &Features, rows: &[usize], out: &mut Vec<f64>) {
        out.clear();
        for &row in rows {
            let values = features.row(row).iter().zip(&self.centre).zip(&self.inverse);
            out.extend(values.map(|((&x, centre), inverse)| (f64::from(x) - centre) * inverse));
        }
    }
}

/// Orthonormal directions, and the variance of the data along each.
#[derive(Debug, Clone)]
pub(crate) struct PrincipalAxes {
    /// `[columns, rank]`, orthonormal columns.
    pub(crate) basis: Mat<f64>,
    /// Weighted mean square of the data along each axis, `[rank]`.
    pub(crate) variances: Vec<f64>,
}

impl PrincipalAxes {
    /// All `columns` axes, from the covariance of (at most 8,192 evenly spaced) rows, each of weight 1.
    ///
    /// The basis is square, so that no direction is lost: it may be used for other rows and weights than those it
    /// was made from, and then only the speed depends on how well the axes fit.
    pub(crate) fn of_columns(features: &Features, rows: &[usize], coordinates: &Coordinates) -> Result<Self> {
        let take = rows.len().min(SAMPLE);
        let sample: Vec<usize> = (0..take).map(|i| rows[i * rows.len() / take]).collect();
        Self::of_all_columns(features, &sample, coordinates)
    }

    /// All `columns` axes, from the covariance of all rows, each of weight 1: exactly theirs.
    pub(crate) fn of_all_columns(features: &Features, rows: &[usize], coordinates: &Coordinates) -> Result<Self> {
        let covariance = scatter(features, rows, coordinates, 1.0 / rows.len() as f64);
        let (variances, basis) = eigen(&covariance)?;
        Ok(Self { basis, variances: variances.into_iter().map(|variance| variance.max(0.0)).collect() })
    }

    /// The axes in which the given rows differ, for fewer rows than columns; and the rows in these coordinates,
    /// `[rows, rank]` row-major.
    ///
    /// With `A = diag(sqrt(weights / total)) X'` and `A Aᵀ = U S² Uᵀ` the axes are `V = Aᵀ U S⁻¹`. The optimum of a
    /// loss of `X' w` with a penalty `||w||²` lies in the span of the rows, so that nothing is lost.
    pub(crate) fn of_rows(
        features: &Features,
        rows: &[usize],
        weights: &[f64],
        coordinates: &Coordinates,
    ) -> Result<(Self, Vec<f64>)> {
        let (n, columns) = (rows.len(), features.columns);
        let total: f64 = weights.iter().sum();
        let mut scaled = Vec::new();
        coordinates.block(features, rows, &mut scaled);
        for (row, weight) in scaled.chunks_exact_mut(columns).zip(weights) {
            let root = (weight / total).sqrt();
            row.iter_mut().for_each(|x| *x *= root);
        }
        let a = MatRef::from_row_major_slice(&scaled, n, columns);
        let mut products = Mat::zeros(n, n);
        gram(products.as_mut(), a, 1.0);
        let (mut variances, vectors) = eigen(&products)?;
        let largest = variances.iter().fold(0.0f64, |most, &variance| most.max(variance));
        // Ascending order: what is negligible comes first.
        let left_out = variances.iter().take_while(|&&v| v <= NEGLIGIBLE * largest).count();
        variances.drain(..left_out);
        let rank = variances.len();
        let u = vectors.get(.., left_out..);
        let mut basis = Mat::zeros(columns, rank);
        matmul(basis.as_mut(), Accum::Replace, a.transpose(), u, 1.0, Par::Seq);
        for (axis, variance) in variances.iter().enumerate() {
            let length = variance.sqrt();
            basis.col_mut(axis).iter_mut().for_each(|value| *value /= length);
        }
        let mut rotated = Vec::with_capacity(n * rank);
        for (row, weight) in weights.iter().enumerate() {
            let root = (weight / total).sqrt();
            rotated.extend(variances.iter().enumerate().map(|(axis, v)| u[(row, axis)] * v.sqrt() / root));
        }
        Ok((Self { basis, variances }, rotated))
    }
}

/// The lower half of `alpha · X'ᵀ X'` for the given rows in the given coordinates, `[columns, columns]`.
pub(crate) fn scatter(features: &Features, rows: &[usize], coordinates: &Coordinates, alpha: f64) -> Mat<f64> {
    let columns = features.columns;
    // A fixed number of parts, summed in order: the result does not depend on threads.
    let part = rows.len().div_ceil(4).max(1);
    let parts: Vec<Mat<f64>> = rows
        .par_chunks(part)
        .map(|rows| {
            let mut sum = Mat::zeros(columns, columns);
            let mut block = Vec::new();
            for rows in rows.chunks(256) {
                coordinates.block(features, rows, &mut block);
                let x = MatRef::from_row_major_slice(&block, rows.len(), columns);
                gram(sum.as_mut(), x.transpose(), alpha);
            }
            sum
        })
        .collect();
    let mut sum = Mat::<f64>::zeros(columns, columns);
    parts.iter().for_each(|part| sum += part);
    sum
}

/// Adds `alpha · a aᵀ` to the lower half of `to`.
pub(crate) fn gram(to: MatMut<'_, f64>, a: MatRef<'_, f64>, alpha: f64) {
    let all = BlockStructure::Rectangular;
    triangular::matmul(to, BlockStructure::TriangularLower, Accum::Add, a, all, a.transpose(), all, alpha, Par::Seq);
}

/// Eigenvalues, ascending, and eigenvectors of a symmetric matrix given by its lower half.
///
/// On one thread: faer promises the same bits only for the same number of threads.
pub(crate) fn eigen(symmetric: &Mat<f64>) -> Result<(Vec<f64>, Mat<f64>)> {
    let n = symmetric.nrows();
    let mut values = Diag::<f64>::zeros(n);
    let mut vectors = Mat::zeros(n, n);
    let size = evd::self_adjoint_evd_scratch::<f64>(n, evd::ComputeEigenvectors::Yes, Par::Seq, Default::default());
    let mut memory = MemBuffer::new(size);
    evd::self_adjoint_evd(
        symmetric.as_ref(),
        values.as_mut(),
        Some(vectors.as_mut()),
        Par::Seq,
        MemStack::new(&mut memory),
        Default::default(),
    )
    .map_err(|_| {
        Error::Training(
            Problem::new("the principal axes of the features were not found")
                .hint("look for features of enormous size, or drop the columns that hold them"),
        )
    })?;
    Ok((values.column_vector().iter().copied().collect(), vectors))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scattered(rows: usize, columns: usize) -> Features {
        let value = |i: usize| ((i * 7919 + i * i * 31) % 1009) as f32 / 100.0;
        Features::new(rows, columns, (0..rows * columns).map(value).collect()).unwrap()
    }

    #[test]
    fn both_ways_find_the_same_variances() {
        let features = scattered(12, 5);
        let rows: Vec<usize> = (0..12).collect();
        let coordinates = Coordinates { centre: vec![5.0; 5], inverse: vec![0.5; 5] };
        let square = PrincipalAxes::of_columns(&features, &rows, &coordinates).unwrap();
        let (thin, rotated) = PrincipalAxes::of_rows(&features, &rows, &[1.0; 12], &coordinates).unwrap();
        for (a, b) in square.variances.iter().zip(&thin.variances) {
            assert!((a - b).abs() < 1e-9 * a.max(1.0), "{a} {b}");
        }
        let mut block = Vec::new();
        coordinates.block(&features, &rows, &mut block);
        let x = MatRef::from_row_major_slice(&block, 12, 5);
        let expected = x * &thin.basis;
        for row in 0..12 {
            for axis in 0..thin.variances.len() {
                assert!((expected[(row, axis)] - rotated[row * thin.variances.len() + axis]).abs() < 1e-8);
            }
        }
    }
}
