//! The Fréchet distance of two domains, beside that of halves of one.

use faer::{Mat, MatRef};
use rayon::prelude::*;

use super::moments::{Shrunk, check, check_columns, intensity, ledoit_wolf, mean, pooled};
use super::sample::sample;
use super::symmetric::{Spectrum, cholesky, eigenvalues, mirror, product};
use super::two_sample::{EqualRows, examples, halves};
use crate::error::Result;
use crate::features::Features;
use crate::heads::axes::{Coordinates, eigen, gram};
use crate::progress::Observer;
use crate::rng::rng;

/// Most rows of each side.
const MOST_ROWS: usize = 2000;
/// Draws of each comparison, over which the mean is taken.
const DRAWS: u64 = 4;
/// Directions whose variance is below this share of the largest hold nothing but rounding.
const NEGLIGIBLE: f64 = 1e-12;

/// How far the Gaussians of two domains are apart. All distances are squared, in the features' own units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Frechet {
    /// Between `per_side` random rows of each domain, the mean of several draws.
    pub(crate) distance: f64,
    /// Between two random halves of the source, and of the target, with as many rows: what sampling alone gives.
    pub(crate) floors: [f64; 2],
    /// Rows of each side: half of the smaller domain's. (With fewer rows than that the half of a domain gives another
    /// floor.)
    pub(crate) per_side: usize,
    /// Between the domains with all rows, 2,000 of each at most. The more rows the nearer to the distance of the distributions.
    pub(crate) whole: f64,
}

/// The Fréchet distance of two domains (Heusel, Ramsauer, Unterthiner, Nessler and Hochreiter, 2017, "GANs trained by a two
/// time-scale update rule converge to a local Nash equilibrium", NeurIPS, equation 6), with Ledoit-Wolf covariances, which
/// exist for fewer rows than columns.
///
/// Copies within a domain count once, since a half would hold the copy of a row of the other.
///
/// # Errors
/// [`crate::error::Error::Data`] for tables that do not fit each other or have fewer than 8 rows; interruption.
pub(crate) fn frechet(source: &Features, target: &Features, seed: u64, observer: &dyn Observer) -> Result<Frechet> {
    let [ours, theirs] = examples(source, target, EqualRows::Copies)?;
    let size = (ours.len().min(theirs.len()) / 2).min(MOST_ROWS);
    let rows = |of: &[usize], take: usize, step: u64, side: &str| -> Vec<usize> {
        let mut stream = rng(seed, &format!("frechet {side}"), step);
        sample(of.len(), take, None, &mut stream).iter().map(|&at| of[at]).collect()
    };
    let draw = |task: u64| -> Result<f64> {
        observer.check()?;
        let (kind, step) = (task / DRAWS, task % DRAWS);
        match kind {
            0 => {
                let (a, b) = (rows(&ours, size, step, "source"), rows(&theirs, size, step, "target"));
                between(&source.select(&a), &target.select(&b))
            }
            1 | 2 => {
                let (features, of, side) =
                    if kind == 1 { (source, &ours, "source halves") } else { (target, &theirs, "target halves") };
                let mut stream = rng(seed, &format!("frechet {side}"), step);
                let [a, b] = halves(of, size, &mut stream);
                between(&features.select(&a), &features.select(&b))
            }
            _ => {
                let (a, b) = (rows(&ours, MOST_ROWS, DRAWS, "source"), rows(&theirs, MOST_ROWS, DRAWS, "target"));
                between(&source.select(&a), &target.select(&b))
            }
        }
    };
    let all: Vec<Result<f64>> = (0..=3 * DRAWS).into_par_iter().map(draw).collect();
    let all: Vec<f64> = all.into_iter().collect::<Result<_>>()?;
    let mean = |kind: u64| -> f64 {
        all[(kind * DRAWS) as usize..((kind + 1) * DRAWS) as usize].iter().sum::<f64>() / DRAWS as f64
    };
    Ok(Frechet { distance: mean(0), floors: [mean(1), mean(2)], per_side: size, whole: all[(3 * DRAWS) as usize] })
}

/// `|m_s - m_t|² + tr(C_s + C_t - 2 (C_s^1/2 C_t C_s^1/2)^1/2)` of two tables with the same columns, with Ledoit and Wolf's `C`.
///
/// The last trace is the sum of the roots of the eigenvalues of a symmetric matrix, none below 0: those of `Lᵀ C_t L` for
/// `C_s = L Lᵀ` are the same as those of `C_s^1/2 C_t C_s^1/2`. Fewer rows than columns are turned into the directions in which
/// they differ; in all others both covariances are multiples of the identity.
///
/// # Errors
/// [`crate::error::Error::Data`] for tables of other widths, fewer than two rows, or numbers that are not finite.
pub(crate) fn between(source: &Features, target: &Features) -> Result<f64> {
    check_columns(target, source.columns)?;
    let [a, b] = if source.rows + target.rows < source.columns {
        in_span(source, target)?
    } else {
        [Gaussian::of(ledoit_wolf(source)?), Gaussian::of(ledoit_wolf(target)?)]
    };
    let shift: f64 = a.mean.iter().zip(&b.mean).map(|(a, b)| (a - b).powi(2)).sum();
    let trace = |matrix: &Mat<f64>| matrix.diagonal().column_vector().iter().sum::<f64>();
    let overlap: f64 = a.overlap(&b)?.iter().map(|value| value.max(0.0).sqrt()).sum();
    let outside = a.directions_outside * (a.outside.sqrt() - b.outside.sqrt()).powi(2);
    Ok((shift + trace(&a.covariance) + trace(&b.covariance) - 2.0 * overlap + outside).max(0.0))
}

/// A mean and a covariance in some directions, and one variance in all others.
struct Gaussian {
    /// `[directions]`
    mean: Vec<f64>,
    /// `[directions, directions]`
    covariance: Mat<f64>,
    /// The variance in each direction that is left out.
    outside: f64,
    /// How many directions are left out.
    directions_outside: f64,
}

impl Gaussian {
    fn of(Shrunk { mean, covariance, .. }: Shrunk) -> Self {
        Self { mean, covariance, outside: 0.0, directions_outside: 0.0 }
    }

    /// Of rows in `directions` of `columns` coordinates, `[rows, directions]`; outside of these the rows are 0.
    fn of_coordinates(rows: MatRef<'_, f64>, columns: usize) -> Self {
        let (n, p) = (rows.nrows() as f64, columns as f64);
        let mean: Vec<f64> = rows.col_iter().map(|column| column.iter().sum::<f64>() / n).collect();
        let centred = Mat::from_fn(rows.nrows(), rows.ncols(), |row, at| rows[(row, at)] - mean[at]);
        let mut covariance = Mat::zeros(rows.ncols(), rows.ncols());
        gram(covariance.as_mut(), centred.transpose(), 1.0 / n);
        mirror(&mut covariance);
        let squares = centred.row_iter().map(|row| row.iter().map(|x| x * x).sum::<f64>());
        let fourth: f64 = squares.map(|square| square * square).sum();
        let trace: f64 = covariance.diagonal().column_vector().iter().sum();
        let square: f64 = covariance.col_iter().map(|column| column.iter().map(|x| x * x).sum::<f64>()).sum();
        let shrinkage = intensity(n, p, trace, square, fourth);
        covariance.col_iter_mut().for_each(|column| column.iter_mut().for_each(|x| *x *= 1.0 - shrinkage));
        let outside = shrinkage * trace / p;
        covariance.diagonal_mut().column_vector_mut().iter_mut().for_each(|x| *x += outside);
        Self { mean, covariance, outside, directions_outside: p - rows.ncols() as f64 }
    }

    /// Eigenvalues of `C^1/2 C_other C^1/2`.
    fn overlap(&self, other: &Self) -> Result<Vec<f64>> {
        if self.mean.is_empty() {
            return Ok(Vec::new());
        }
        let root = match cholesky(&self.covariance) {
            Ok(mut lower) => {
                (1..lower.ncols()).for_each(|column| (0..column).for_each(|row| lower[(row, column)] = 0.0));
                lower
            }
            // Not positive definite: columns that do not vary, of equal rows or a single one.
            Err(_) => Spectrum::of(&self.covariance)?.power(0.5)?,
        };
        let half = product(other.covariance.as_ref(), root.as_ref());
        eigenvalues(&product(root.transpose(), half.as_ref()))
    }
}

/// Both Gaussians in the span of all rows about their common mean.
fn in_span(source: &Features, target: &Features) -> Result<[Gaussian; 2]> {
    check(source)?;
    check(target)?;
    let rows = pooled(source, target)?;
    let coordinates = Coordinates { centre: mean(&rows), inverse: vec![1.0; rows.columns] };
    let mut block = Vec::new();
    coordinates.block(&rows, &(0..rows.rows).collect::<Vec<_>>(), &mut block);
    let mut products = Mat::zeros(rows.rows, rows.rows);
    gram(products.as_mut(), MatRef::from_row_major_slice(&block, rows.rows, rows.columns), 1.0);
    let (values, vectors) = eigen(&products)?;
    let largest = values.last().copied().unwrap_or(0.0);
    let kept: Vec<usize> = (0..values.len()).filter(|&at| values[at] > NEGLIGIBLE * largest).collect();
    let turned = Mat::from_fn(rows.rows, kept.len(), |row, at| vectors[(row, kept[at])] * values[kept[at]].sqrt());
    let (first, second) = (turned.get(..source.rows, ..), turned.get(source.rows.., ..));
    Ok([first, second].map(|rows| Gaussian::of_coordinates(rows, source.columns)))
}

#[cfg(test)]
mod tests {
    use super::super::moments::tests::normal;
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn fewer_rows_than_columns_change_nothing() {
        // The same rows with and without columns of zeros, which change the shrinkage: computed in both ways.
        let (a, b) = (normal(1, 12, 40, 0.0), normal(2, 15, 40, 0.5));
        let narrow = between(&a, &b).unwrap();
        let dense = {
            let [a, b] = [&a, &b].map(|features| Gaussian::of(ledoit_wolf(features).unwrap()));
            let shift: f64 = a.mean.iter().zip(&b.mean).map(|(a, b)| (a - b).powi(2)).sum();
            let trace = |m: &Mat<f64>| m.diagonal().column_vector().iter().sum::<f64>();
            let overlap: f64 = a.overlap(&b).unwrap().iter().map(|value| value.sqrt()).sum();
            shift + trace(&a.covariance) + trace(&b.covariance) - 2.0 * overlap
        };
        assert!((narrow - dense).abs() < 1e-9 * dense, "{narrow} {dense}");
    }

    #[test]
    fn alike_is_at_the_floor_and_moved_is_above() {
        for (rows, columns) in [(60, 8), (60, 200)] {
            let source = normal(1, rows, columns, 0.0);
            let same = frechet(&source, &normal(2, rows + 20, columns, 0.0), 1, &Silent).unwrap();
            let floor = same.floors[0].max(same.floors[1]);
            assert!(same.distance < 1.3 * floor && same.distance > 0.7 * floor, "{same:?}");
            assert!(same.per_side == rows / 2 && same.whole < same.distance, "{same:?}");
            let moved = frechet(&source, &normal(2, rows + 20, columns, 1.0), 1, &Silent).unwrap();
            let added = moved.distance - same.distance;
            assert!((added / columns as f64 - 1.0).abs() < 0.5, "{moved:?} {same:?}");
            let own = frechet(&source, &source, 1, &Silent).unwrap();
            assert!(own.whole < 1e-9 * own.floors[0] && own.distance < 1.05 * own.floors[0], "{own:?}");
        }
    }

    #[test]
    fn equal_rows_and_columns_give_numbers() {
        let flat = Features::new(10, 3, [1.0, 2.0, 3.0].repeat(10)).unwrap();
        let moved = Features::new(10, 3, [1.0, 2.0, 5.0].repeat(10)).unwrap();
        assert_eq!(between(&flat, &moved).unwrap(), 4.0);
        assert_eq!(frechet(&flat, &flat, 1, &Silent).unwrap().whole, 0.0);
        let mut wide = normal(1, 10, 50, 0.0);
        wide.values.iter_mut().skip(7).step_by(50).for_each(|x| *x = 3.0);
        assert!(between(&wide, &normal(2, 9, 50, 0.0)).unwrap().is_finite());
        let same = Features::new(9, 50, vec![0.5; 450]).unwrap();
        assert_eq!(between(&same, &same).unwrap(), 0.0);
        assert!(between(&wide, &same).unwrap().is_finite());
        assert!(between(&flat, &wide).is_err() && between(&wide, &flat).is_err());
        assert!(frechet(&flat, &Features::new(0, 3, vec![]).unwrap(), 1, &Silent).is_err());
        let mut broken = wide.clone();
        broken.values[3] = f32::NAN;
        assert!(between(&wide, &broken).is_err() && frechet(&broken, &wide, 1, &Silent).is_err());
    }

    #[test]
    fn the_result_does_not_depend_on_threads() {
        for columns in [6, 150] {
            let (source, target) = (normal(1, 60, columns, 0.0), normal(2, 50, columns, 0.5));
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| frechet(&source, &target, 3, &Silent)).unwrap()
            };
            assert_eq!(run(1), run(3));
        }
    }
}
