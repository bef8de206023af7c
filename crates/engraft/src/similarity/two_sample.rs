//! The classifier two-sample test: whether a classifier tells the domains apart, and how well.

use std::collections::HashMap;

use rand::Rng;
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
pub(crate) const FOLDS: usize = 5;

/// What rows mean that are equal to the bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EqualRows {
    /// Each is an example of its own.
    Independent,
    /// They are copies of one example: those of one side count once, and those of both sides share a fold, so that a set
    /// compared with itself is told apart in exactly half of the cases. Where more than half of a side's rows are copies
    /// they are values of which there are few, and each is an example of its own after all.
    Copies,
}

/// A row, and what a classifier that had not seen it says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Judged {
    /// Its index in its own table.
    pub(crate) row: usize,
    /// The probability that it is of the target.
    pub(crate) probability: f32,
}

/// How well a classifier tells source from target.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TwoSample {
    /// Accuracy out of fold on equally many rows of both: 0.5 where the domains are alike, 1 where they are disjoint.
    pub(crate) accuracy: f64,
    /// One-sided exact binomial p of that accuracy against 1/2, which is too small two to three times too often.
    pub(crate) p: f64,
    /// The accuracy between random halves of the source, or of the target, the greater of the two: what is read into a
    /// single domain of about this size.
    pub(crate) floor: f64,
    /// The rows of the source and of the target that took part, ascending.
    pub(crate) sides: [Vec<Judged>; 2],
}

/// The proxy A-distance `2 (1 - 2 error)` of an accuracy, from 0 (alike) to 2 (disjoint): Ben-David, Blitzer, Crammer and Pereira,
/// 2007, "Analysis of representations for domain adaptation", NeurIPS. An error above 1/2 counts as 1/2.
pub(crate) fn proxy_a_distance(accuracy: f64) -> f64 {
    (2.0 * (2.0 * accuracy - 1.0)).max(0.0)
}

/// The classifier two-sample test (Lopez-Paz and Oquab, 2017, "Revisiting classifier two-sample tests", ICLR) by
/// cross-validated logistic regression on equally many rows of both domains, drawn from `seed`, 2,000 each at most.
///
/// The p takes the rows as independent trials, which predictions out of fold are only nearly: of two halves of one set it is
/// at most .05 in 10 to 17 of 100 draws (20 rows and 5 columns to 200 and 20; see the simulation). That of
/// [`super::permuted::permuted`] is exact. An accuracy below `floor` says nothing whatever its p.
///
/// # Errors
/// [`Error::Data`] for tables that do not fit each other or have fewer than 8 rows; what [`cross_validate`] returns.
pub(crate) fn two_sample(
    source: &Features,
    target: &Features,
    equal: EqualRows,
    seed: u64,
    observer: &dyn Observer,
) -> Result<TwoSample> {
    let [ours, theirs] = examples(source, target, equal)?;
    let size = ours.len().min(theirs.len()).min(MOST_ROWS);
    let mut stream = rng(seed, "two-sample", 0);
    let mut drawn =
        |of: &[usize]| -> Vec<usize> { sample(of.len(), size, None, &mut stream).iter().map(|&at| of[at]).collect() };
    let rows = [drawn(&ours), drawn(&theirs)];
    let (first, second) = (source.select(&rows[0]), target.select(&rows[1]));
    let probabilities = discriminate_apart(&first, &second, equal, seed, observer)?;
    let right = right(&probabilities, size);
    let mut floor = 0.0f64;
    for (step, (features, all)) in [(source, &ours), (target, &theirs)].into_iter().enumerate() {
        let mut stream = rng(seed, "two-sample halves", step as u64);
        let [a, b] = halves(all, size, &mut stream).map(|half| features.select(&half));
        let apart = discriminate_apart(&a, &b, equal, seed, observer)?;
        floor = floor.max(self::right(&apart, a.rows) as f64 / apart.len() as f64);
    }
    let judged = |side: usize| {
        let of_side = probabilities[side * size..(side + 1) * size].iter();
        rows[side].iter().zip(of_side).map(|(&row, &probability)| Judged { row, probability }).collect()
    };
    Ok(TwoSample {
        accuracy: right as f64 / (2 * size) as f64,
        p: upper_tail(right, 2 * size, 0.5),
        floor,
        sides: [judged(0), judged(1)],
    })
}

/// The rows of both tables that are examples of their own, ascending.
///
/// # Errors
/// [`Error::Data`] for tables that do not fit each other or have fewer than 8 of them.
pub(crate) fn examples(source: &Features, target: &Features, equal: EqualRows) -> Result<[Vec<usize>; 2]> {
    check(source)?;
    check(target)?;
    check_columns(target, source.columns)?;
    let examples = [source, target].map(|features| match equal {
        EqualRows::Independent => (0..features.rows).collect(),
        EqualRows::Copies => distinct(features),
    });
    if examples.iter().any(|rows| rows.len() < FEWEST_ROWS) {
        let found = format!("{} of the source and {} of the target", examples[0].len(), examples[1].len());
        return Err(Error::Data(
            Problem::new("too few examples to test whether two domains differ")
                .expected(format!("at least {FEWEST_ROWS} of each domain"))
                .found(found),
        ));
    }
    Ok(examples)
}

/// The first of every set of equal rows, ascending; all rows where more than half are copies.
fn distinct(features: &Features) -> Vec<usize> {
    let rows = first_equal(features);
    let own: Vec<usize> = (0..features.rows).filter(|&row| rows[row] == row).collect();
    if 2 * own.len() < features.rows { (0..features.rows).collect() } else { own }
}

/// For every row the first one that equals it, `[rows]`.
pub(crate) fn first_equal(features: &Features) -> Vec<usize> {
    let mut seen: HashMap<Vec<u32>, usize> = HashMap::new();
    // A negative zero is a zero.
    let bits = |row: usize| features.row(row).iter().map(|x| (x + 0.0).to_bits()).collect();
    (0..features.rows).map(|row| *seen.entry(bits(row)).or_insert(row)).collect()
}

/// Two disjoint random halves of some rows, of `size` rows each at most, ascending.
pub(crate) fn halves(all: &[usize], size: usize, stream: &mut impl Rng) -> [Vec<usize>; 2] {
    let half = (all.len() / 2).min(size);
    let rows = sample(all.len(), 2 * half, None, stream);
    let first = sample(rows.len(), half, None, stream);
    let mut in_first = vec![false; rows.len()];
    first.iter().for_each(|&at| in_first[at] = true);
    [true, false].map(|wanted| {
        rows.iter().zip(&in_first).filter(|&(_, &first)| first == wanted).map(|(&row, _)| all[row]).collect()
    })
}

/// The probability, out of fold, that each row of the pooled tables is of the second, `[rows]`.
///
/// Temperature and strength of regularisation are those of the other folds; the folds are stratified.
pub(crate) fn discriminate(
    first: &Features,
    second: &Features,
    seed: u64,
    observer: &dyn Observer,
) -> Result<Vec<f32>> {
    discriminate_apart(first, second, EqualRows::Independent, seed, observer)
}

/// The accuracy out of fold on two tables as they are, whose rows belong to strata, `[rows]` each, that are in all folds alike.
///
/// # Errors
/// As [`two_sample`], but for few rows.
pub(crate) fn accuracy_in_strata(
    (first, second): (&Features, &Features),
    strata: [&[usize]; 2],
    seed: u64,
    observer: &dyn Observer,
) -> Result<f64> {
    let rows = pooled(first, second)?;
    let (sides, folds) = sides_in_folds(&rows, first.rows, EqualRows::Copies, Some(&strata.concat()), seed);
    let validation = cross_validate(&rows, &sides, &folds, 2, &Options::default(), observer)?;
    let of_second: Vec<f32> = validation.out_of_fold.chunks_exact(2).map(|probabilities| probabilities[1]).collect();
    Ok(right(&of_second, first.rows) as f64 / rows.rows as f64)
}

fn discriminate_apart(
    first: &Features,
    second: &Features,
    equal: EqualRows,
    seed: u64,
    observer: &dyn Observer,
) -> Result<Vec<f32>> {
    let rows = pooled(first, second)?;
    let (labels, folds) = sides_in_folds(&rows, first.rows, equal, None, seed);
    let validation = cross_validate(&rows, &labels, &folds, 2, &Options::default(), observer)?;
    Ok(validation.out_of_fold.chunks_exact(2).map(|probabilities| probabilities[1]).collect())
}

/// The side of each of some pooled rows (0 for the first `first`, 1 for the others), and its fold; strata, `[rows]`, are in all
/// folds alike, on both sides.
pub(crate) fn sides_in_folds(
    rows: &Features,
    first: usize,
    equal: EqualRows,
    strata: Option<&[usize]>,
    seed: u64,
) -> (Vec<usize>, Vec<usize>) {
    let sides: Vec<usize> = (0..rows.rows).map(|row| usize::from(row >= first)).collect();
    let groups = match equal {
        EqualRows::Independent => (0..rows.rows).collect(),
        EqualRows::Copies => {
            let groups = first_equal(rows);
            let pairs = groups.iter().enumerate().filter(|&(row, &group)| group < first && row >= first).count();
            let own = groups.iter().enumerate().filter(|&(row, &group)| row == group).count();
            // Copies of one side are gone, or all rows are examples of their own.
            if own + pairs == rows.rows { groups } else { (0..rows.rows).collect() }
        }
    };
    let cells: Vec<usize> = match strata {
        None => sides.clone(),
        Some(strata) => sides.iter().zip(strata).map(|(side, stratum)| side + 2 * stratum).collect(),
    };
    let folds = stratified_folds(&cells, &groups, FOLDS, seed);
    (sides, folds)
}

/// How many rows are given to their own table, of which the first has `first` rows; what is not told apart goes to the first.
pub(crate) fn right(probabilities: &[f32], first: usize) -> usize {
    let own = |(row, &p): (usize, &f32)| (row < first) == (p <= 0.5);
    probabilities.iter().enumerate().filter(|&each| own(each)).count()
}

/// The probability of `right` or more of `n` where each is right with probability `chance`: the p of a one-sided exact
/// binomial test (Clopper and Pearson, 1934).
pub(crate) fn upper_tail(right: usize, n: usize, chance: f64) -> f64 {
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
        let same = two_sample(&source, &normal(2, 250, 5, 0.0), EqualRows::Independent, 1, &Silent).unwrap();
        assert!(same.p > 0.05 && same.accuracy < 0.56, "{same:?}");
        assert!((0.4..0.58).contains(&same.floor), "{same:?}");
        let moved = two_sample(&source, &normal(2, 250, 5, 1.0), EqualRows::Independent, 1, &Silent).unwrap();
        assert!(moved.p < 1e-6 && moved.accuracy > 0.65 && moved.accuracy > moved.floor, "{moved:?}");
        assert!(moved.floor == same.floor || moved.floor < 0.58, "{moved:?}");
    }

    #[test]
    fn the_result_does_not_depend_on_threads() {
        let (source, target) = (normal(1, 80, 5, 0.0), normal(2, 90, 5, 0.5));
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| two_sample(&source, &target, EqualRows::Independent, 3, &Silent)).unwrap()
        };
        assert_eq!(run(1), run(3));
        let few = two_sample(&normal(1, 8, 5, 0.0), &normal(2, 8, 5, 0.0), EqualRows::Independent, 1, &Silent).unwrap();
        assert!(few.p > 0.0 && (0.0..=1.0).contains(&few.floor), "{few:?}");
        assert!(two_sample(&source, &normal(2, 7, 5, 0.0), EqualRows::Independent, 1, &Silent).is_err());
        assert!(two_sample(&source, &normal(2, 90, 4, 0.0), EqualRows::Independent, 1, &Silent).is_err());
    }
}
