//! Symmetric matrices: powers by the eigen-decomposition, Cholesky factors, the generalised eigenproblem.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::evd;
use faer::linalg::matmul::matmul;
use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};
use faer::{Accum, Mat, MatRef, Par};

use crate::error::{Error, Problem, Result};
use crate::heads::axes::{eigen, gram};

/// Eigenvalues below this share of the largest have no generalised eigenvector: it could not be scaled to length 1.
const NEGLIGIBLE: f64 = 1e-8;

/// `a b` on one thread.
pub(crate) fn product(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Mat<f64> {
    let mut out = Mat::zeros(a.nrows(), b.ncols());
    matmul(out.as_mut(), Accum::Replace, a, b, 1.0, Par::Seq);
    out
}

/// Copies the lower half of a square matrix to the upper half.
pub(crate) fn mirror(matrix: &mut Mat<f64>) {
    for column in 0..matrix.ncols() {
        for row in 0..column {
            matrix[(row, column)] = matrix[(column, row)];
        }
    }
}

/// Eigenvalues, ascending, and eigenvectors of a symmetric matrix.
pub(crate) struct Spectrum {
    values: Vec<f64>,
    /// `[n, n]`, orthonormal columns.
    vectors: Mat<f64>,
}

impl Spectrum {
    /// Reads the lower half of a matrix of at least one row.
    pub(crate) fn of(symmetric: &Mat<f64>) -> Result<Self> {
        let (values, vectors) = eigen(symmetric)?;
        Ok(Self { values, vectors })
    }

    /// `V diag(values^exponent) Vᵀ`, `[n, n]`: the square root for 0.5, the inverse square root for -0.5.
    ///
    /// # Errors
    /// [`Error::Data`] where an eigenvalue is negative, or, for a negative exponent, not above zero, both up to rounding.
    pub(crate) fn power(&self, exponent: f64) -> Result<Mat<f64>> {
        let n = self.values.len();
        let (smallest, largest) = (self.values[0], self.values[n - 1]);
        let rounding = n as f64 * f64::EPSILON * largest.abs();
        let negative = smallest < -rounding;
        if negative || (exponent < 0.0 && smallest <= rounding) {
            return Err(Error::Data(
                Problem::new("a covariance matrix is not positive definite")
                    .expected("eigenvalues above zero")
                    .found(format!("eigenvalues from {smallest:e} to {largest:e}"))
                    .hint("the examples are too few or all alike: more rows are needed, or fewer columns"),
            ));
        }
        let mut half = self.vectors.clone();
        for (axis, value) in self.values.iter().enumerate() {
            let root = value.max(0.0).powf(exponent / 2.0);
            half.col_mut(axis).iter_mut().for_each(|x| *x *= root);
        }
        let mut power = Mat::zeros(n, n);
        gram(power.as_mut(), half.as_ref(), 1.0);
        mirror(&mut power);
        Ok(power)
    }
}

/// Eigenvalues, ascending, of a symmetric matrix of at least one row; reads the lower half.
///
/// # Errors
/// [`Error::Training`] where they are not found.
pub(crate) fn eigenvalues(symmetric: &Mat<f64>) -> Result<Vec<f64>> {
    let n = symmetric.nrows();
    let mut values = Diag::<f64>::zeros(n);
    let size = evd::self_adjoint_evd_scratch::<f64>(n, evd::ComputeEigenvectors::No, Par::Seq, Default::default());
    let mut memory = MemBuffer::new(size);
    let stack = MemStack::new(&mut memory);
    evd::self_adjoint_evd(symmetric.as_ref(), values.as_mut(), None, Par::Seq, stack, Default::default()).map_err(
        |_| {
            Error::Training(
                Problem::new("the eigenvalues of a matrix were not found")
                    .hint("look for features of enormous size, or drop the columns that hold them"),
            )
        },
    )?;
    Ok(values.column_vector().iter().copied().collect())
}

/// The lower triangle `L` of `L Lᵀ = symmetric`, `[n, n]`; reads the lower half.
///
/// # Errors
/// [`Error::Training`] where the matrix is not positive definite.
pub(crate) fn cholesky(symmetric: &Mat<f64>) -> Result<Mat<f64>> {
    let mut factor = symmetric.clone();
    let n = factor.nrows();
    let mut memory = MemBuffer::new(cholesky_in_place_scratch::<f64>(n, Par::Seq, Default::default()));
    cholesky_in_place(factor.as_mut(), Default::default(), Par::Seq, MemStack::new(&mut memory), Default::default())
        .map_err(|_| {
            Error::Training(
                Problem::new("a matrix that must be positive definite is not")
                    .hint("look for features of enormous size, or for columns that never vary"),
            )
        })?;
    Ok(factor)
}

/// Solves `L Lᵀ x = b` in place for every column of `b`.
pub(crate) fn solve(factor: &Mat<f64>, b: &mut Mat<f64>) {
    solve_lower_triangular_in_place(factor.as_ref(), b.as_mut(), Par::Seq);
    solve_upper_triangular_in_place(factor.transpose(), b.as_mut(), Par::Seq);
}

/// The `k` largest eigenvalues `m` of `B w = m A w`, descending, and their vectors `W`, `[n, k]`, scaled to `Wᵀ B W = I`.
///
/// `A` (positive definite) and `B` (positive semi-definite) are symmetric; of `A` the lower half is read. With
/// `A = L Lᵀ` the eigenvalues are those of the symmetric `L⁻¹ B L⁻ᵀ`, and `w = L⁻ᵀ u` for its eigenvectors `u`. Fewer
/// than `k` come back where the rank of `B` is less.
pub(crate) fn generalised(a: &Mat<f64>, b: &Mat<f64>, k: usize) -> Result<(Vec<f64>, Mat<f64>)> {
    let factor = cholesky(a)?;
    let mut half = b.clone();
    solve_lower_triangular_in_place(factor.as_ref(), half.as_mut(), Par::Seq);
    let mut reduced = half.transpose().to_owned();
    solve_lower_triangular_in_place(factor.as_ref(), reduced.as_mut(), Par::Seq);
    let (values, vectors) = eigen(&reduced)?;
    let n = values.len();
    let largest = values[n - 1];
    let kept: Vec<usize> =
        (0..n).rev().take(k).take_while(|&at| values[at] > NEGLIGIBLE * largest && values[at] > 0.0).collect();
    let mut directions = Mat::from_fn(n, kept.len(), |row, at| vectors[(row, kept[at])] / values[kept[at]].sqrt());
    solve_upper_triangular_in_place(factor.transpose(), directions.as_mut(), Par::Seq);
    Ok((kept.iter().map(|&at| values[at]).collect(), directions))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The largest difference of two matrices, as a share of the largest number of the second.
    pub(crate) fn difference(a: &Mat<f64>, b: &Mat<f64>) -> f64 {
        assert_eq!((a.nrows(), a.ncols()), (b.nrows(), b.ncols()));
        let cells = (0..a.ncols()).flat_map(|j| (0..a.nrows()).map(move |i| (i, j)));
        let (mut most, mut largest) = (0.0f64, 0.0f64);
        for (i, j) in cells {
            most = most.max((a[(i, j)] - b[(i, j)]).abs());
            largest = largest.max(b[(i, j)].abs());
        }
        most / largest
    }

    fn positive(n: usize) -> Mat<f64> {
        let root = Mat::from_fn(n, n, |i, j| ((i * 7 + j * j * 3) % 11) as f64 / 11.0 + if i == j { 1.0 } else { 0.0 });
        product(root.as_ref(), root.transpose())
    }

    #[test]
    fn powers_multiply_to_what_they_should() {
        let matrix = positive(7);
        let spectrum = Spectrum::of(&matrix).unwrap();
        let (root, inverse) = (spectrum.power(0.5).unwrap(), spectrum.power(-0.5).unwrap());
        assert!(difference(&product(root.as_ref(), root.as_ref()), &matrix) < 1e-12);
        assert!(difference(&product(root.as_ref(), inverse.as_ref()), &Mat::identity(7, 7)) < 1e-10);
        let values = eigenvalues(&matrix).unwrap();
        let largest = values[6];
        assert!(values.iter().zip(&spectrum.values).all(|(a, b)| (a - b).abs() < 1e-12 * largest));
    }

    #[test]
    fn what_has_no_power_is_refused() {
        let mut flat = positive(3);
        flat.row_mut(2).iter_mut().for_each(|x| *x = 0.0);
        flat.col_mut(2).iter_mut().for_each(|x| *x = 0.0);
        let spectrum = Spectrum::of(&flat).unwrap();
        assert!(spectrum.power(0.5).is_ok());
        assert!(spectrum.power(-0.5).unwrap_err().to_string().contains("not positive definite"));
        flat[(2, 2)] = -1.0;
        assert!(Spectrum::of(&flat).unwrap().power(0.5).is_err());
        assert!(cholesky(&flat).is_err());
        assert!(Spectrum::of(&Mat::zeros(2, 2)).unwrap().power(-0.5).is_err());
    }

    #[test]
    fn generalised_eigenvectors_solve_their_problem() {
        let (a, root) = (positive(6), Mat::from_fn(6, 3, |i, j| ((i * i + 2 * j) % 5) as f64 - 1.5));
        // Of rank 3.
        let b = product(root.as_ref(), root.transpose());
        let (values, w) = generalised(&a, &b, 5).unwrap();
        assert_eq!((values.len(), w.ncols()), (3, 3));
        assert!(values.is_sorted_by(|a, b| a >= b));
        let bw = product(b.as_ref(), w.as_ref());
        assert!(difference(&product(w.transpose(), bw.as_ref()), &Mat::identity(3, 3)) < 1e-10);
        let mut aw = product(a.as_ref(), w.as_ref());
        values.iter().enumerate().for_each(|(at, m)| aw.col_mut(at).iter_mut().for_each(|x| *x *= m));
        assert!(difference(&aw, &bw) < 1e-10);
    }

    #[test]
    fn a_system_is_solved() {
        let matrix = positive(5);
        let x = Mat::from_fn(5, 2, |i, j| (i + 3 * j) as f64);
        let mut b = product(matrix.as_ref(), x.as_ref());
        solve(&cholesky(&matrix).unwrap(), &mut b);
        assert!(difference(&b, &x) < 1e-10);
    }
}
