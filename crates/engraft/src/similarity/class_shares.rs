//! Whether two domains have the same classes in the same shares, and rows of both that do.

use rand::seq::SliceRandom;
use rayon::prelude::*;

use crate::rng::{permutation, rng};

/// Permutations of the test.
const PERMUTATIONS: usize = 999;

/// The classes of two domains.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ShareShift {
    /// Examples of each class in the source and in the target, `[classes]` each.
    pub(crate) counts: [Vec<usize>; 2],
    /// Half the sum of the absolute differences of the shares (total variation): from 0 (equal) to 1 (no class in common).
    pub(crate) distance: f64,
    /// `(1 + number of permutations with at least this chi² statistic) / (permutations + 1)`.
    pub(crate) p: f64,
}

/// Compares the classes of two domains by the chi² statistic of their table and permutations of it, which need no least count
/// of a class (Fisher, 1925, "Statistical methods for research workers", section 20; Dwass, 1957, "Modified randomization
/// tests for nonparametric hypotheses", Ann. Math. Stat. 28). A domain without a row gives a p of 1.
pub(crate) fn share_shift(source: &[usize], target: &[usize], classes: usize, seed: u64) -> ShareShift {
    let all: Vec<usize> = source.iter().chain(target).copied().collect();
    let count = |labels: &mut dyn Iterator<Item = usize>| {
        let mut counts = vec![0usize; classes];
        labels.for_each(|label| counts[label] += 1);
        counts
    };
    let counts = [count(&mut source.iter().copied()), count(&mut target.iter().copied())];
    let totals: Vec<f64> = counts[0].iter().zip(&counts[1]).map(|(a, b)| (a + b) as f64).collect();
    // With both margins given chi² grows with the sum of a² / total.
    let statistic = |of_source: &[usize]| -> f64 {
        of_source.iter().zip(&totals).filter(|(_, total)| **total > 0.0).map(|(&a, total)| (a * a) as f64 / total).sum()
    };
    let observed = statistic(&counts[0]);
    let as_far = (0..PERMUTATIONS as u64)
        .into_par_iter()
        .filter(|&step| {
            let order = permutation(all.len(), seed, "class shares", step);
            let drawn = count(&mut order[..source.len()].iter().map(|&at| all[at]));
            statistic(&drawn) >= observed * (1.0 - 1e-12)
        })
        .count();
    let share = |side: usize, class: usize| counts[side][class] as f64 / [source, target][side].len().max(1) as f64;
    let distance = 0.5 * (0..classes).map(|class| (share(0, class) - share(1, class)).abs()).sum::<f64>();
    ShareShift { distance, p: (1 + as_far) as f64 / (1 + PERMUTATIONS) as f64, counts }
}

/// Rows of both domains, as many of each class on both sides, ascending: of every class all rows of the side that has fewer,
/// and as many of the other, drawn from `seed`; of more than `most` on a side in all, each class keeps its share.
pub(crate) fn matched(labels: [&[usize]; 2], classes: usize, most: usize, seed: u64) -> [Vec<usize>; 2] {
    let mut members = [vec![Vec::new(); classes], vec![Vec::new(); classes]];
    for side in 0..2 {
        labels[side].iter().enumerate().for_each(|(row, &label)| members[side][label].push(row));
    }
    let takes: Vec<usize> = (0..classes).map(|class| members[0][class].len().min(members[1][class].len())).collect();
    let all: usize = takes.iter().sum();
    let mut rows = [Vec::new(), Vec::new()];
    for (side, rows) in rows.iter_mut().enumerate() {
        let mut stream = rng(seed, "matched classes", side as u64);
        let mut before = 0;
        for (class, &take) in takes.iter().enumerate() {
            // The same on both sides: parts of a running sum.
            let kept = |sum: usize| if all > most { sum * most / all } else { sum };
            let take_here = kept(before + take) - kept(before);
            before += take;
            members[side][class].shuffle(&mut stream);
            rows.extend_from_slice(&members[side][class][..take_here]);
        }
        rows.sort_unstable();
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_shares_are_told_and_equal_ones_are_not() {
        let labels =
            |n: usize, of_first: usize| -> Vec<usize> { (0..n).map(|row| usize::from(row >= of_first)).collect() };
        let shift = share_shift(&labels(100, 80), &labels(50, 10), 3, 1);
        assert_eq!(shift.counts, [vec![80, 20, 0], vec![10, 40, 0]]);
        assert!((shift.distance - 0.6).abs() < 1e-12 && shift.p == 0.001);
        let same = share_shift(&labels(100, 80), &labels(50, 40), 2, 1);
        assert!(same.p == 1.0 && same.distance < 1e-12, "{same:?}");
        assert_eq!(share_shift(&labels(10, 5), &[], 2, 1).p, 1.0);
        assert_eq!(share_shift(&[], &[], 0, 1).p, 1.0);
    }

    #[test]
    fn matched_rows_have_equal_classes() {
        let labels: [Vec<usize>; 2] = [(0..100).map(|row| row % 4).collect(), (0..60).map(|row| row / 20).collect()];
        for most in [1000, 30] {
            let rows = matched([&labels[0], &labels[1]], 4, most, 1);
            let count =
                |side: usize, class: usize| rows[side].iter().filter(|&&row| labels[side][row] == class).count();
            for class in 0..4 {
                assert_eq!(count(0, class), count(1, class));
            }
            assert_eq!((rows[0].len(), count(0, 3)), (most.min(60), 0));
            assert!(rows.iter().all(|rows| rows.is_sorted_by(|a, b| a < b)));
        }
        assert!(matched([&[0, 0], &[1]], 2, 10, 1).iter().all(Vec::is_empty));
    }
}
