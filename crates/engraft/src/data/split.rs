//! Folds for cross-validation: classes spread evenly, groups kept whole.

use std::cmp::Reverse;

use crate::rng::permutation;

/// Gives every example one of `k` folds.
///
/// Examples of one group share a fold. Groups are dealt out greedily, as scikit-learn's `StratifiedGroupKFold` does:
/// larger groups first (equal ones in an order drawn from `seed`), each to the fold where it leaves the classes most
/// evenly spread. Evenness is the sum over folds and classes of the squared share of the class in the fold, which is
/// smallest when all folds are alike (scikit-learn takes the mean standard deviation, of which this is the quick form);
/// ties go to the fold with the fewest examples, then to the first.
///
/// Without larger groups, the folds' counts of a class differ by at most one. A class with fewer than `k` examples is
/// in some folds only. `k` of 0 counts as 1.
///
/// # Panics
/// When `labels` and `groups` differ in length.
///
/// ```
/// let labels = [0, 0, 0, 0, 1, 1];
/// let folds = engraft::data::split::stratified_folds(&labels, &[0, 1, 2, 3, 4, 5], 2, 7);
/// let first: Vec<usize> = (0..6).filter(|&example| folds[example] == 0).map(|example| labels[example]).collect();
/// assert_eq!(first, [0, 0, 1]);
/// ```
pub fn stratified_folds(labels: &[usize], groups: &[usize], k: usize, seed: u64) -> Vec<usize> {
    assert_eq!(labels.len(), groups.len(), "every example has a label and a group");
    let k = k.max(1);
    let classes = labels.iter().max().map_or(0, |largest| largest + 1);
    let mut totals = vec![0_u64; classes];
    for &label in labels {
        totals[label] += 1;
    }

    // The members of every group, groups in the order of their first members.
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by_key(|&example| groups[example]);
    let mut members: Vec<&[usize]> = order.chunk_by(|&a, &b| groups[a] == groups[b]).collect();
    members.sort_unstable_by_key(|group| group[0]);
    let mut deal: Vec<&[usize]> =
        permutation(members.len(), seed, "folds", 0).into_iter().map(|group| members[group]).collect();
    deal.sort_by_key(|group| Reverse(group.len()));

    let mut folds = vec![0; labels.len()];
    let mut counts = vec![vec![0_u64; classes]; k];
    let mut sizes = vec![0_u64; k];
    for group in deal {
        let mut present: Vec<usize> = group.iter().map(|&example| labels[example]).collect();
        present.sort_unstable();
        let present: Vec<(usize, u64)> =
            present.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as u64)).collect();
        // What the group would add to the sum of squared shares: ((n + m)^2 - n^2) / total^2 for every class.
        let cost = |fold: usize| {
            present
                .iter()
                .map(|&(class, more)| (more * (2 * counts[fold][class] + more)) as f64 / (totals[class] as f64).powi(2))
                .sum::<f64>()
        };
        let better = |&a: &usize, &b: &usize| {
            let (cost_a, cost_b) = (cost(a), cost(b));
            cost_a.total_cmp(&cost_b).then(sizes[a].cmp(&sizes[b])).then(a.cmp(&b))
        };
        let fold = (0..k).min_by(better).unwrap_or(0);
        for &(class, more) in &present {
            counts[fold][class] += more;
        }
        sizes[fold] += group.len() as u64;
        for &example in group {
            folds[example] = fold;
        }
    }
    folds
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts(labels: &[usize], folds: &[usize], k: usize) -> Vec<Vec<usize>> {
        let classes = labels.iter().max().map_or(0, |largest| largest + 1);
        let mut counts = vec![vec![0; classes]; k];
        for (&label, &fold) in labels.iter().zip(folds) {
            counts[fold][label] += 1;
        }
        counts
    }

    #[test]
    fn the_same_seed_gives_the_same_folds_and_another_others() {
        let labels: Vec<usize> = (0..100).map(|index| index % 3).collect();
        let groups: Vec<usize> = (0..100).collect();
        let folds = |seed| stratified_folds(&labels, &groups, 5, seed);
        assert_eq!(folds(1), folds(1));
        assert_ne!(folds(1), folds(2));
    }

    #[test]
    fn a_class_with_fewer_examples_than_folds_is_spread_out() {
        let labels = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1];
        let folds = stratified_folds(&labels, &(0..13).collect::<Vec<_>>(), 5, 0);
        let counts = counts(&labels, &folds, 5);
        assert!(counts.iter().all(|fold| fold[0] == 2 && fold[1] <= 1), "{counts:?}");
    }

    #[test]
    fn groups_of_many_examples_are_balanced_too() {
        // Twenty groups of five, each of one class: four per fold, two of each class.
        let labels: Vec<usize> = (0..100).map(|index| index / 5 % 2).collect();
        let groups: Vec<usize> = (0..100).map(|index| index / 5).collect();
        let folds = stratified_folds(&labels, &groups, 5, 3);
        assert!(counts(&labels, &folds, 5).iter().all(|fold| fold == &[10, 10]));
    }

    #[test]
    fn nothing_and_one_fold_work() {
        assert_eq!(stratified_folds(&[], &[], 5, 0), Vec::<usize>::new());
        assert_eq!(stratified_folds(&[3, 1], &[0, 1], 1, 0), [0, 0]);
        assert_eq!(stratified_folds(&[3, 1], &[0, 1], 0, 0), [0, 0]);
    }

    proptest! {
        #[test]
        fn groups_are_whole_and_singles_even(
            examples in proptest::collection::vec((0..4_usize, 0..40_usize), 0..120),
            k in 1..8_usize,
            seed: u64,
        ) {
            let labels: Vec<usize> = examples.iter().map(|example| example.0).collect();
            let groups: Vec<usize> = examples.iter().map(|example| example.1).collect();
            let folds = stratified_folds(&labels, &groups, k, seed);
            for a in 0..folds.len() {
                prop_assert!(folds[a] < k);
                for b in 0..a {
                    prop_assert!(groups[a] != groups[b] || folds[a] == folds[b]);
                }
            }
            let single: Vec<usize> = (0..labels.len()).collect();
            let counts = counts(&labels, &stratified_folds(&labels, &single, k, seed), k);
            for class in 0..counts[0].len() {
                let of_class = || counts.iter().map(|fold| fold[class]);
                prop_assert!(of_class().max().unwrap() - of_class().min().unwrap() <= 1);
            }
            let sizes = || counts.iter().map(|fold| fold.iter().sum::<usize>());
            prop_assert!(sizes().max().unwrap_or(0) - sizes().min().unwrap_or(0) <= 4);
        }
    }
}
