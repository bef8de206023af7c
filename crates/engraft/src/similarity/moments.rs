//! Means and covariances of features, and affine maps between them.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::symmetric::mirror;
use crate::error::{Error, Problem, Result};
use crate::features::Features;
use crate::heads::axes::{Coordinates, scatter};

/// The mean row, `[columns]`; zeros without rows.
pub(crate) fn mean(features: &Features) -> Vec<f64> {
    let all: Vec<usize> = (0..features.rows).collect();
    mean_of(features, &all)
}

/// The mean of the given rows, `[columns]`.
pub(crate) fn mean_of(features: &Features, rows: &[usize]) -> Vec<f64> {
    let mut mean = vec![0.0; features.columns];
    for &row in rows {
        mean.iter_mut().zip(features.row(row)).for_each(|(sum, &x)| *sum += f64::from(x));
    }
    let n = rows.len().max(1) as f64;
    mean.iter_mut().for_each(|sum| *sum /= n);
    mean
}

/// The mean row of each class, `[classes][columns]`; none for a class without an example.
pub(crate) fn class_means(features: &Features, labels: &[usize], classes: usize) -> Result<Vec<Option<Vec<f64>>>> {
    check_labels(labels, features.rows, classes)?;
    let mut rows = vec![Vec::new(); classes];
    labels.iter().enumerate().for_each(|(row, &label)| rows[label].push(row));
    Ok(rows.iter().map(|rows| (!rows.is_empty()).then(|| mean_of(features, rows))).collect())
}

/// Refuses labels that do not fit rows and classes.
pub(crate) fn check_labels(labels: &[usize], rows: usize, classes: usize) -> Result<()> {
    if labels.len() == rows && labels.iter().all(|&label| label < classes) {
        return Ok(());
    }
    Err(Error::Data(
        Problem::new("labels and examples do not belong together")
            .expected(format!("a class from 0 to {} for each of {rows} examples", classes.saturating_sub(1)))
            .found(format!("{} labels, the largest {:?}", labels.len(), labels.iter().max())),
    ))
}

/// `sum_i (x_i - centre)(x_i - centre)ᵀ`, `[columns, columns]`, both halves.
pub(crate) fn scatter_about(features: &Features, centre: &[f64]) -> Mat<f64> {
    let rows: Vec<usize> = (0..features.rows).collect();
    let coordinates = Coordinates { centre: centre.to_vec(), inverse: vec![1.0; features.columns] };
    let mut sum = scatter(features, &rows, &coordinates, 1.0);
    mirror(&mut sum);
    sum
}

/// The covariance matrix with divisor `rows - 1`, `[columns, columns]`.
#[cfg(test)]
pub(crate) fn covariance(features: &Features) -> Result<Mat<f64>> {
    check(features)?;
    let mut covariance = scatter_about(features, &mean(features));
    scale(&mut covariance, 1.0 / (features.rows - 1) as f64);
    Ok(covariance)
}

/// Mean and regularised covariance of a table.
#[derive(Debug, Clone)]
pub(crate) struct Shrunk {
    /// `[columns]`
    pub(crate) mean: Vec<f64>,
    /// `(1 - shrinkage) S + shrinkage tr(S)/columns I`, `[columns, columns]`.
    pub(crate) covariance: Mat<f64>,
    /// From 0 (the sample covariance `S`) to 1 (a multiple of the identity).
    pub(crate) shrinkage: f64,
}

/// The shrunk covariance of Ledoit and Wolf (2004, "A well-conditioned estimator for large-dimensional covariance
/// matrices", J. Multivariate Anal. 88), as scikit-learn's `LedoitWolf`: `S` has divisor `rows`.
///
/// With centred rows `x_i`, `p` columns, `mu = tr(S)/p` and `d = (|S|² - p mu²)/p` (Frobenius norm) the shrinkage is
/// `min(b, d)/d` for `b = (sum_i |x_i|⁴ / n - |S|²) / (p n)`. Memory beside the table: `columns²`.
///
/// # Errors
/// [`Error::Data`] for fewer than two rows, no column, or a number that is not finite.
pub(crate) fn ledoit_wolf(features: &Features) -> Result<Shrunk> {
    check(features)?;
    let (n, p) = (features.rows as f64, features.columns as f64);
    let mean = mean(features);
    let mut covariance = scatter_about(features, &mean);
    scale(&mut covariance, 1.0 / n);
    let fourth: f64 = (0..features.rows)
        .map(|row| {
            let squares = features.row(row).iter().zip(&mean).map(|(&x, mean)| (f64::from(x) - mean).powi(2));
            squares.sum::<f64>().powi(2)
        })
        .sum();
    let trace: f64 = covariance.diagonal().column_vector().iter().sum();
    let square: f64 = covariance.col_iter().map(|column| column.iter().map(|x| x * x).sum::<f64>()).sum();
    let mu = trace / p;
    let shrinkage = intensity(n, p, trace, square, fourth);
    scale(&mut covariance, 1.0 - shrinkage);
    covariance.diagonal_mut().column_vector_mut().iter_mut().for_each(|x| *x += shrinkage * mu);
    Ok(Shrunk { mean, covariance, shrinkage })
}

/// The shrinkage of [`ledoit_wolf`] for `n` rows and `p` columns, from the trace of `S`, the square of its Frobenius norm, and the
/// sum of the fourth powers of the centred rows' lengths.
pub(crate) fn intensity(n: f64, p: f64, trace: f64, square: f64, fourth: f64) -> f64 {
    let mu = trace / p;
    let distance = (square - p * mu * mu) / p;
    let beta = ((fourth / n - square) / (p * n)).min(distance);
    // A single column has nothing to shrink to.
    if p == 1.0 || beta <= 0.0 { 0.0 } else { beta / distance }
}

/// The rows of both tables, those of the first before those of the second.
pub(crate) fn pooled(first: &Features, second: &Features) -> Result<Features> {
    check_columns(second, first.columns)?;
    let values = first.values.iter().chain(&second.values).copied().collect();
    Features::new(first.rows + second.rows, first.columns, values)
}

/// Refuses a table of another width.
pub(crate) fn check_columns(features: &Features, columns: usize) -> Result<()> {
    if features.columns == columns {
        return Ok(());
    }
    Err(Error::Data(
        Problem::new("the features of the two domains do not have the same columns")
            .expected(format!("{columns} columns"))
            .found(format!("{} columns", features.columns))
            .hint("extract both domains' features with the same base"),
    ))
}

/// Refuses a table that has no covariance.
pub(crate) fn check(features: &Features) -> Result<()> {
    features.check()?;
    if features.rows >= 2 && features.columns > 0 {
        return Ok(());
    }
    Err(Error::Data(
        Problem::new("too few features to compare domains")
            .expected("at least 2 rows and 1 column for each domain")
            .found(format!("{} rows of {} columns", features.rows, features.columns)),
    ))
}

fn scale(matrix: &mut Mat<f64>, by: f64) {
    matrix.col_iter_mut().for_each(|column| column.iter_mut().for_each(|x| *x *= by));
}

/// An affine map of rows: `x' = (x - from) matrix + to`.
#[derive(Debug, Clone)]
pub(crate) struct Affine {
    /// `[columns, outputs]`
    pub(crate) matrix: Mat<f64>,
    /// `[columns]`
    pub(crate) from: Vec<f64>,
    /// `[outputs]`
    pub(crate) to: Vec<f64>,
}

impl Affine {
    /// The mapped rows, `[rows, outputs]`, rounded to f32. A row's result depends on that row alone.
    ///
    /// # Errors
    /// [`Error::Data`] where the columns do not fit, or a number is not finite, before or after.
    pub(crate) fn apply(&self, features: &Features) -> Result<Features> {
        check_columns(features, self.from.len())?;
        features.check()?;
        let (columns, outputs) = (self.from.len(), self.to.len());
        let mut values = vec![0.0f32; features.rows * outputs];
        let chunks = values.par_chunks_mut((256 * outputs).max(1)).enumerate();
        chunks.for_each(|(at, out)| {
            let rows = at * 256..(at * 256 + 256).min(features.rows);
            let count = rows.len();
            let mut centred = Vec::with_capacity(count * columns);
            for row in rows {
                centred.extend(features.row(row).iter().zip(&self.from).map(|(&x, from)| f64::from(x) - from));
            }
            let mut mapped = self.to.repeat(count);
            matmul(
                MatMut::from_row_major_slice_mut(&mut mapped, count, outputs),
                Accum::Add,
                MatRef::from_row_major_slice(&centred, count, columns),
                self.matrix.as_ref(),
                1.0,
                Par::Seq,
            );
            out.iter_mut().zip(mapped).for_each(|(out, value)| *out = value as f32);
        });
        let mapped = Features::new(features.rows, outputs, values)?;
        mapped.check()?;
        Ok(mapped)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use rand_distr::{Distribution, StandardNormal};

    use super::super::symmetric::product;
    use super::super::symmetric::tests::difference;
    use super::*;
    use crate::rng::rng;

    /// Normal rows with correlated columns of different scales, moved by `shift`.
    pub(crate) fn normal(seed: u64, rows: usize, columns: usize, shift: f64) -> Features {
        let mut stream = rng(seed, "test", 0);
        let mut values = Vec::with_capacity(rows * columns);
        for _ in 0..rows {
            let mut last = 0.0;
            for column in 0..columns {
                let draw: f64 = StandardNormal.sample(&mut stream);
                last = 0.5 * last + draw;
                values.push((last * (1.0 + 0.3 * (column % 4) as f64) + shift) as f32);
            }
        }
        Features::new(rows, columns, values).unwrap()
    }

    #[test]
    fn moments_of_a_small_table() {
        let features = Features::new(4, 2, vec![1., 0., 3., 2., 5., 0., 7., 2.]).unwrap();
        assert_eq!(mean(&features), [4.0, 1.0]);
        let expected = Mat::from_fn(2, 2, |i, j| [[20.0 / 3.0, 4.0 / 3.0], [4.0 / 3.0, 4.0 / 3.0]][i][j]);
        assert!(difference(&covariance(&features).unwrap(), &expected) < 1e-15);
        let means = class_means(&features, &[0, 0, 2, 2], 3).unwrap();
        assert_eq!(means, [Some(vec![2.0, 1.0]), None, Some(vec![6.0, 1.0])]);
        assert!(class_means(&features, &[0, 0, 3, 2], 3).is_err());
        assert!(class_means(&features, &[0, 0, 1], 3).is_err());
    }

    #[test]
    fn shrinkage_falls_with_the_number_of_rows() {
        let few = ledoit_wolf(&normal(1, 10, 20, 0.0)).unwrap();
        let many = ledoit_wolf(&normal(1, 5000, 20, 0.0)).unwrap();
        assert!(few.shrinkage > 0.2 && many.shrinkage < 0.01, "{} {}", few.shrinkage, many.shrinkage);
        let equal = Features::new(3, 2, vec![1.0; 6]).unwrap();
        assert_eq!(ledoit_wolf(&equal).unwrap().shrinkage, 0.0);
    }

    #[test]
    fn a_map_is_affine_and_row_by_row() {
        let features = normal(2, 700, 3, 1.0);
        let map = Affine {
            matrix: Mat::from_fn(3, 2, |i, j| (i + 2 * j) as f64 - 1.0),
            from: vec![1.0, 2.0, 3.0],
            to: vec![0.5, -0.5],
        };
        let mapped = map.apply(&features).unwrap();
        let row = map.apply(&features.select(&[600])).unwrap();
        assert_eq!(mapped.row(600), row.row(0));
        let centred = Mat::from_fn(1, 3, |_, j| f64::from(features.row(600)[j]) - map.from[j]);
        let expected = product(centred.as_ref(), map.matrix.as_ref());
        assert!((f64::from(row.values[1]) - (expected[(0, 1)] - 0.5)).abs() < 1e-5);
        assert!(map.apply(&normal(2, 5, 4, 0.0)).is_err());
    }

    #[test]
    fn tables_without_moments_are_refused() {
        for features in [Features::new(1, 3, vec![0.0; 3]), Features::new(4, 0, vec![])] {
            assert!(ledoit_wolf(features.as_ref().unwrap()).is_err());
            assert!(covariance(&features.unwrap()).is_err());
        }
        assert!(ledoit_wolf(&Features::new(2, 1, vec![0.0, f32::NAN]).unwrap()).is_err());
    }

    #[test]
    fn the_result_does_not_depend_on_threads() {
        let features = normal(3, 1500, 12, 0.0);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| ledoit_wolf(&features)).unwrap().covariance
        };
        assert_eq!(run(1), run(3));
    }
}
