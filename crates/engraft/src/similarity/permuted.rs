//! An exact p for whether a linear classifier tells two domains apart: sides permuted, rows predicted out of fold by ridge
//! regression, which is linear in the sides and so costs one product of matrices for all permutations.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rand::seq::SliceRandom;
use rayon::prelude::*;

use super::moments::{check, check_columns, pooled};
use super::sample::sample;
use super::symmetric::{cholesky, mirror, solve};
use super::two_sample::{EqualRows, FOLDS, examples, sides_in_folds};
use crate::error::Result;
use crate::features::Features;
use crate::heads::axes::{Coordinates, gram};
use crate::heads::standardise::Standardiser;
use crate::rng::rng;

/// Most rows of each side: the time grows with their cube.
const MOST_ROWS: usize = 500;
/// Mean squares of predictions below which there is none.
const NOTHING: f64 = 1e-16;
/// Permutations of the test.
const PERMUTATIONS: usize = 999;
/// Regularisation, as a fraction of the sum of the training rows' squared lengths.
const STRENGTHS: [f64; 3] = [0.001, 0.03, 1.0];

/// A p that is exact however few the rows and many the columns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Permuted {
    /// The greatest correlation, over the strengths, of predictions out of fold with the sides: about 0, on either side of it,
    /// where the domains are alike, 1 where they are disjoint.
    pub(crate) correlation: f64,
    /// `(1 + number of permutations with at least this correlation) / (permutations + 1)`.
    pub(crate) p: f64,
}

/// Whether two domains are told apart by ridge regression of the side (-1 or 1) on standardised features, with the strength
/// chosen in each permutation anew, so that choosing is part of what is tested (Phipson and Smyth, 2010, "Permutation p-values
/// should never be zero", Stat. Appl. Genet. Mol. Biol. 9; the classifier two-sample test by permutation: Kim, Ramdas, Singh
/// and Wasserman, 2021, "Classification accuracy as a proxy for two-sample testing", Ann. Stat. 49).
///
/// Sides are permuted within folds, so that these stay as balanced as they were drawn. Equally many rows of both sides count,
/// at most 500 of each, drawn from `seed`. Under the hypothesis that all rows are drawn alike the p is at most `u` with
/// probability at most `u`, for any sizes: the p of [`super::two_sample::two_sample`] takes predictions out of fold as
/// independent trials, which makes it too small too often.
///
/// # Errors
/// [`crate::error::Error::Data`] for tables that do not fit each other or have fewer than 8 rows; rows of enormous size.
pub(crate) fn permuted(source: &Features, target: &Features, equal: EqualRows, seed: u64) -> Result<Permuted> {
    check_columns(target, source.columns)?;
    let [ours, theirs] = examples(source, target, equal)?;
    let size = ours.len().min(theirs.len()).min(MOST_ROWS);
    let mut stream = rng(seed, "permuted", 0);
    let mut drawn = |features: &Features, of: &[usize]| {
        let rows: Vec<usize> = sample(of.len(), size, None, &mut stream).iter().map(|&at| of[at]).collect();
        features.select(&rows)
    };
    test(&drawn(source, &ours), &drawn(target, &theirs), equal, None, seed)
}

/// The same for two tables as they are, whose rows belong to strata, `[rows]` each, within which sides are permuted: other shares
/// of the strata are no difference that it sees. The time grows with the cube of the rows.
///
/// # Errors
/// As [`permuted`], but for few rows.
pub(crate) fn permuted_in_strata(
    (source, target): (&Features, &Features),
    strata: [&[usize]; 2],
    seed: u64,
) -> Result<Permuted> {
    check(source)?;
    check(target)?;
    test(source, target, EqualRows::Copies, Some(&strata.concat()), seed)
}

fn test(
    first: &Features,
    second: &Features,
    equal: EqualRows,
    strata: Option<&[usize]>,
    seed: u64,
) -> Result<Permuted> {
    let rows = pooled(first, second)?;
    let (sides, folds) = sides_in_folds(&rows, first.rows, equal, strata, seed);
    let cells: Vec<usize> = match strata {
        None => folds.clone(),
        Some(strata) => folds.iter().zip(strata).map(|(fold, stratum)| fold + FOLDS * stratum).collect(),
    };
    let sides = permutations(&sides, &cells, seed);
    let products = products(&rows);
    let fold = |fold: usize| HeldOut::of(&products, &folds, fold).predictions(&sides);
    let predictions: Vec<Vec<(Vec<usize>, Mat<f64>)>> = (0..FOLDS).into_par_iter().map(fold).collect();
    let correlations: Vec<f64> = (0..=PERMUTATIONS)
        .map(|step| {
            let of_strength = |strength: usize| {
                let (mut product, mut squares) = (0.0, 0.0);
                for (held, predicted) in predictions.iter().filter_map(|fold| fold.get(strength)) {
                    for (at, &row) in held.iter().enumerate() {
                        product += predicted[(at, step)] * sides[(row, step)];
                        squares += predicted[(at, step)].powi(2);
                    }
                }
                // Of sides of -1 and 1 what is this small is rounding: nothing is predicted.
                let told = squares > NOTHING * rows.rows as f64;
                if told { product / (squares * rows.rows as f64).sqrt() } else { 0.0 }
            };
            (0..STRENGTHS.len()).map(of_strength).fold(f64::NEG_INFINITY, f64::max)
        })
        .collect();
    // What differs by rounding alone is equal.
    let as_far = correlations[1..].iter().filter(|&&other| other >= correlations[0] - 1e-12).count();
    Ok(Permuted { correlation: correlations[0], p: (1 + as_far) as f64 / (1 + PERMUTATIONS) as f64 })
}

/// The sides as -1 and 1, as they are and permuted within cells, `[rows, 1 + permutations]`.
fn permutations(sides: &[usize], cells: &[usize], seed: u64) -> Mat<f64> {
    let mut all = Mat::from_fn(sides.len(), PERMUTATIONS + 1, |row, _| 2.0 * sides[row] as f64 - 1.0);
    let mut members = vec![Vec::new(); cells.iter().max().map_or(0, |most| most + 1)];
    cells.iter().enumerate().for_each(|(row, &cell)| members[cell].push(row));
    for step in 1..=PERMUTATIONS {
        let mut stream = rng(seed, "permuted sides", step as u64);
        for rows in &members {
            let mut order = rows.clone();
            order.shuffle(&mut stream);
            rows.iter().zip(&order).for_each(|(&to, &from)| all[(to, step)] = all[(from, 0)]);
        }
    }
    all
}

/// Products of all pairs of standardised rows, `[rows, rows]`, scaled so that a row's with itself is 1 in the mean.
fn products(features: &Features) -> Mat<f64> {
    let rows: Vec<usize> = (0..features.rows).collect();
    let Standardiser { mean, scale } = Standardiser::fit(features, &rows);
    let coordinates = Coordinates { centre: mean, inverse: scale.iter().map(|scale| 1.0 / scale).collect() };
    let mut block = Vec::new();
    coordinates.block(features, &rows, &mut block);
    let mut products = Mat::zeros(features.rows, features.rows);
    gram(products.as_mut(), MatRef::from_row_major_slice(&block, features.rows, features.columns), 1.0);
    mirror(&mut products);
    let trace: f64 = products.diagonal().column_vector().iter().sum();
    if trace > 0.0 {
        let scale = features.rows as f64 / trace;
        products.col_iter_mut().for_each(|column| column.iter_mut().for_each(|x| *x *= scale));
    }
    products
}

/// What predicts the rows of a fold from the sides of the others.
struct HeldOut {
    held: Vec<usize>,
    training: Vec<usize>,
    /// Products of the training rows about their mean, `[training, training]`.
    within: Mat<f64>,
    /// Those of held-out rows with training rows, both about the training rows' mean, `[training, held]`.
    across: Mat<f64>,
}

impl HeldOut {
    fn of(products: &Mat<f64>, folds: &[usize], fold: usize) -> Self {
        let (held, training): (Vec<usize>, Vec<usize>) = (0..folds.len()).partition(|&row| folds[row] == fold);
        let n = training.len() as f64;
        // The mean of a row's products with the training rows.
        let mean = |row: usize| training.iter().map(|&other| products[(row, other)]).sum::<f64>() / n;
        let means: Vec<f64> = training.iter().map(|&row| mean(row)).collect();
        let all = means.iter().sum::<f64>() / n;
        let within = Mat::from_fn(training.len(), training.len(), |i, j| {
            products[(training[i], training[j])] - means[i] - means[j] + all
        });
        let held_means: Vec<f64> = held.iter().map(|&row| mean(row)).collect();
        let across = Mat::from_fn(training.len(), held.len(), |i, j| {
            products[(training[i], held[j])] - means[i] - held_means[j] + all
        });
        Self { held, training, within, across }
    }

    /// Predictions of the held-out rows at each strength, `[held, 1 + permutations]`, but for a strength at which the system
    /// cannot be solved. Without the intercept, which is the same in all permutations.
    fn predictions(&self, sides: &Mat<f64>) -> Vec<(Vec<usize>, Mat<f64>)> {
        let of_training =
            Mat::from_fn(self.training.len(), sides.ncols(), |row, step| sides[(self.training[row], step)]);
        let n = self.training.len() as f64;
        STRENGTHS
            .iter()
            .filter_map(|strength| {
                let mut system = self.within.clone();
                system.diagonal_mut().column_vector_mut().iter_mut().for_each(|x| *x += strength * n);
                let mut weights = self.across.clone();
                solve(&cholesky(&system).ok()?, &mut weights);
                let mut predicted = Mat::zeros(self.held.len(), sides.ncols());
                matmul(predicted.as_mut(), Accum::Replace, weights.transpose(), &of_training, 1.0, Par::Seq);
                Some((self.held.clone(), predicted))
            })
            .collect()
    }
}
