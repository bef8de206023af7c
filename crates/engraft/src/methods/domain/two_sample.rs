//! The classifier two-sample test: whether a classifier tells the domains apart, and how well.

use statrs::distribution::{Binomial, DiscreteCDF};

use super::moments::{check, check_columns, pooled};
use super::sample::sample;
use crate::data::split::stratified_folds;
use crate::error::{Error, Problem, Result};
use crate::features::Features;
use crate::heads::{Options, cross_validate};
use crate::progress::Observer;
use crate::rng::rng;

/// Most rows of each side.
const MOST_ROWS: usize = 2000;
/// Fewest rows of each side: two for each half, which cross-validation needs.
const FEWEST_ROWS: usize = 8;
/// Folds of the cross-validation.
pub(super) const FOLDS: usize = 5;

/// How well a classifier tells source from target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TwoSample {
    /// Accuracy out of fold on equally many rows of both: 0.5 where the domains are alike, 1 where they are disjoint.
    pub(crate) accuracy: f64,
    /// One-sided exact binomial p of that accuracy against 1/2.
    pub(crate) p: f64,
    /// The accuracy between random halves of the source, or of the target, the greater of the two: what is read into a
    /// single domain of about this size.
    pub(crate) floor: f64,
}

/// The classifier two-sample test (Lopez-Paz and Oquab, 2017, "Revisiting classifier two-sample tests", ICLR) by
/// cross-validated logistic regression on equally many rows of both domains, drawn from `seed`, 2,000 each at most.
///
/// The p takes the rows as independent trials, which predictions out of fold are only nearly; an accuracy below `floor`
/// says nothing whatever its p.
///
/// # Errors
/// [`Error::Data`] for tables that do not fit each other or have fewer than 8 rows; what [`cross_validate`] returns.
pub(crate) fn two_sample(
    source: &Features,
    target: &Features,
    seed: u64,
    observer: &dyn Observer,
) -> Result<TwoSample> {
    check(source)?;
    check(target)?;
    check_columns(target, source.columns)?;
    let least = source.rows.min(target.rows);
    if least < FEWEST_ROWS {
        return Err(Error::Data(
            Problem::new("too few examples to test whether two domains differ")
                .expected(format!("at least {FEWEST_ROWS} of each domain"))
                .found(format!("{} of the source and {} of the target", source.rows, target.rows)),
        ));
    }
    let size = least.min(MOST_ROWS);
    let mut stream = rng(seed, "two-sample", 0);
    let mut drawn = |features: &Features| features.select(&sample(features.rows, size, None, &mut stream));
    let (ours, theirs) = (drawn(source), drawn(target));
    let right = told_apart(&ours, &theirs, seed, observer)?;
    let mut floor = 0.0f64;
    for (step, features) in [source, target].into_iter().enumerate() {
        let mut stream = rng(seed, "two-sample halves", step as u64);
        let half = (features.rows / 2).min(size);
        let rows = sample(features.rows, 2 * half, None, &mut stream);
        let first = sample(rows.len(), half, None, &mut stream);
        let mut in_first = vec![false; rows.len()];
        first.iter().for_each(|&at| in_first[at] = true);
        let side = |wanted: bool| -> Vec<usize> {
            rows.iter().zip(&in_first).filter(|&(_, &first)| first == wanted).map(|(&row, _)| row).collect()
        };
        let (a, b) = (features.select(&side(true)), features.select(&side(false)));
        floor = floor.max(told_apart(&a, &b, seed, observer)? as f64 / rows.len() as f64);
    }
    Ok(TwoSample { accuracy: right as f64 / (2 * size) as f64, p: upper_tail(right, 2 * size, 0.5), floor })
}

/// How many of the rows of two tables cross-validated logistic regression gives to their own.
fn told_apart(first: &Features, second: &Features, seed: u64, observer: &dyn Observer) -> Result<usize> {
    let discrimination = discriminate(first, second, seed, observer)?;
    Ok(right(&discrimination, first.rows))
}

/// The probability, out of fold, that each row of the pooled tables is of the second, `[rows]`.
///
/// Temperature and strength of regularisation are those of the other folds; the folds are stratified.
pub(super) fn discriminate(
    first: &Features,
    second: &Features,
    seed: u64,
    observer: &dyn Observer,
) -> Result<Vec<f32>> {
    let rows = pooled(first, second)?;
    let labels: Vec<usize> = (0..rows.rows).map(|row| usize::from(row >= first.rows)).collect();
    let each: Vec<usize> = (0..rows.rows).collect();
    let folds = stratified_folds(&labels, &each, FOLDS, seed);
    let validation = cross_validate(&rows, &labels, &folds, 2, &Options::default(), observer)?;
    Ok(validation.out_of_fold.chunks_exact(2).map(|probabilities| probabilities[1]).collect())
}

/// How many rows are given to their own table, of which the first has `first` rows.
pub(super) fn right(probabilities: &[f32], first: usize) -> usize {
    let own = |(row, &p): (usize, &f32)| if row < first { p < 0.5 } else { p > 0.5 };
    probabilities.iter().enumerate().filter(|&each| own(each)).count()
}

/// The probability of `right` or more of `n` where each is right with probability `chance`: the p of a one-sided exact
/// binomial test (Clopper and Pearson, 1934).
pub(super) fn upper_tail(right: usize, n: usize, chance: f64) -> f64 {
    match (right.checked_sub(1), Binomial::new(chance, n as u64)) {
        (Some(below), Ok(binomial)) => binomial.sf(below as u64),
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::moments::tests::normal;
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn the_tail_is_exact() {
        // (4 + 1) / 16 and 1 / 256.
        assert!((upper_tail(3, 4, 0.5) - 5.0 / 16.0).abs() < 1e-12);
        assert!((upper_tail(4, 4, 0.25) - 0.25f64.powi(4)).abs() < 1e-12);
        assert_eq!((upper_tail(0, 4, 0.5), upper_tail(5, 4, 0.5)), (1.0, 0.0));
    }

    #[test]
    fn equal_domains_are_not_told_apart_and_moved_ones_are() {
        let source = normal(1, 300, 5, 0.0);
        let same = two_sample(&source, &normal(2, 250, 5, 0.0), 1, &Silent).unwrap();
        assert!(same.p > 0.05 && same.accuracy < 0.56, "{same:?}");
        assert!((0.4..0.58).contains(&same.floor), "{same:?}");
        let moved = two_sample(&source, &normal(2, 250, 5, 1.0), 1, &Silent).unwrap();
        assert!(moved.p < 1e-6 && moved.accuracy > 0.65 && moved.accuracy > moved.floor, "{moved:?}");
        assert!(moved.floor == same.floor || moved.floor < 0.58, "{moved:?}");
    }

    #[test]
    fn the_result_does_not_depend_on_threads() {
        let (source, target) = (normal(1, 80, 5, 0.0), normal(2, 90, 5, 0.5));
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| two_sample(&source, &target, 3, &Silent)).unwrap()
        };
        assert_eq!(run(1), run(3));
        let few = two_sample(&normal(1, 8, 5, 0.0), &normal(2, 8, 5, 0.0), 1, &Silent).unwrap();
        assert!(few.p > 0.0 && (0.0..=1.0).contains(&few.floor), "{few:?}");
        assert!(two_sample(&source, &normal(2, 7, 5, 0.0), 1, &Silent).is_err());
        assert!(two_sample(&source, &normal(2, 90, 4, 0.0), 1, &Silent).is_err());
    }
}
