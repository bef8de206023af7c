//! Folds for targets that are not a single class: sets of labels, and numbers. Groups are kept whole, as in [`super::split`].

use std::cmp::Reverse;

use super::split::stratified_folds;
use crate::rng::permutation;

/// Gives every example one of `k` folds so that every label is spread evenly: iterative stratification (Sechidis,
/// Tsoumakas and Vlahavas, 2011, "On the stratification of multi-label data", algorithm 1).
///
/// `labels` is `[n, label_count]` row-major, `groups` `[n]`. The label of which the fewest examples are left is dealt
/// out first, each of its examples to the fold that lacks most of it; of equals to the one that lacks most examples,
/// then to the first. Examples of one group go together, large groups before small ones, equal ones in an order drawn
/// from `seed`. What has no label at all is dealt out at the end to the emptiest folds. `k` of 0 counts as 1.
///
/// # Panics
/// When the lengths do not fit.
///
/// ```
/// let labels = [true, false, true, true, false, true, false, false]; // Two labels of four examples.
/// let folds = engraft::data::stratify::label_folds(&labels, 2, &[0, 1, 2, 3], 2, 7);
/// assert_ne!(folds[0], folds[1], "one of each with the first label");
/// ```
pub fn label_folds(labels: &[bool], label_count: usize, groups: &[usize], k: usize, seed: u64) -> Vec<usize> {
    assert_eq!(labels.len(), label_count * groups.len(), "every example has its labels and a group");
    let k = k.max(1);
    let row = |example: usize| &labels[example * label_count..(example + 1) * label_count];
    let units = dealt(groups, seed);
    // How many examples of each label a group has.
    let counts: Vec<Vec<i64>> = units
        .iter()
        .map(|unit| {
            let mut counts = vec![0; label_count];
            for &example in unit {
                counts.iter_mut().zip(row(example)).for_each(|(count, &has)| *count += i64::from(has));
            }
            counts
        })
        .collect();
    let mut left = vec![0i64; label_count];
    for unit in &counts {
        left.iter_mut().zip(unit).for_each(|(left, count)| *left += count);
    }
    // What each fold still lacks of each label, and of examples: in k-ths, so that numbers stay whole.
    let mut lacks: Vec<Vec<i64>> = vec![left.clone(); k];
    let mut room = vec![groups.len() as i64; k];
    let mut folds = vec![usize::MAX; groups.len()];
    let mut give = |unit: usize, fold: usize, left: &mut [i64], lacks: &mut [Vec<i64>], room: &mut [i64]| {
        for (label, &count) in counts[unit].iter().enumerate() {
            left[label] -= count;
            lacks[fold][label] -= count * k as i64;
        }
        room[fold] -= (units[unit].len() * k) as i64;
        units[unit].iter().for_each(|&example| folds[example] = fold);
    };
    let mut waiting: Vec<usize> = (0..units.len()).collect();
    while let Some(rarest) = (0..label_count).filter(|&label| left[label] > 0).min_by_key(|&label| (left[label], label))
    {
        let (now, later) = waiting.into_iter().partition(|&unit| counts[unit][rarest] > 0);
        waiting = later;
        let now: Vec<usize> = now;
        for unit in now {
            let fold = (0..k).max_by_key(|&fold| (lacks[fold][rarest], room[fold], Reverse(fold))).unwrap_or(0);
            give(unit, fold, &mut left, &mut lacks, &mut room);
        }
    }
    for unit in waiting {
        let fold = (0..k).max_by_key(|&fold| (room[fold], Reverse(fold))).unwrap_or(0);
        give(unit, fold, &mut left, &mut lacks, &mut room);
    }
    folds
}

/// Gives every example one of `k` folds so that each has small, middling and large values alike: in the order of the
/// values, each run of `k` examples counts as a class of [`stratified_folds`], which gives one of it to every fold.
///
/// `values` `[n]` are finite, `groups` `[n]`.
///
/// # Panics
/// When `values` and `groups` differ in length.
///
/// ```
/// let folds = engraft::data::stratify::value_folds(&[0.1, 9.0, 0.2, 8.0], &[0, 1, 2, 3], 2, 7);
/// assert_ne!(folds[0], folds[2], "one of the small values each");
/// assert_ne!(folds[1], folds[3], "and one of the large ones");
/// ```
pub fn value_folds(values: &[f64], groups: &[usize], k: usize, seed: u64) -> Vec<usize> {
    assert_eq!(values.len(), groups.len(), "every example has a value and a group");
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]).then(a.cmp(&b)));
    let mut runs = vec![0; values.len()];
    for (rank, &example) in order.iter().enumerate() {
        runs[example] = rank / k.max(1);
    }
    stratified_folds(&runs, groups, k, seed)
}

/// The members of every group: large groups first, equal ones in an order drawn from `seed`.
fn dealt(groups: &[usize], seed: u64) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.sort_by_key(|&example| groups[example]);
    let mut members: Vec<&[usize]> = order.chunk_by(|&a, &b| groups[a] == groups[b]).collect();
    members.sort_unstable_by_key(|group| group[0]);
    let mut dealt: Vec<Vec<usize>> =
        permutation(members.len(), seed, "folds", 0).into_iter().map(|group| members[group].to_vec()).collect();
    dealt.sort_by_key(|group| Reverse(group.len()));
    dealt
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::RngExt;

    #[test]
    fn every_label_is_spread_evenly() {
        // Five labels of falling frequency, drawn by themselves: 40 % down to 3 %.
        let (n, k) = (500, 5);
        let mut stream = crate::rng::rng(1, "test", 0);
        let shares = [0.4, 0.2, 0.1, 0.05, 0.03];
        let labels: Vec<bool> = (0..n * 5).map(|at| stream.random::<f64>() < shares[at % 5]).collect();
        let folds = label_folds(&labels, 5, &(0..n).collect::<Vec<_>>(), k, 3);
        for label in 0..5 {
            let of = |fold: usize| (0..n).filter(|&i| folds[i] == fold && labels[i * 5 + label]).count() as i64;
            let counts: Vec<i64> = (0..k).map(of).collect();
            let spread = counts.iter().max().unwrap() - counts.iter().min().unwrap();
            assert!(spread <= 2, "label {label}: {counts:?}");
        }
        let sizes: Vec<usize> = (0..k).map(|fold| folds.iter().filter(|&&f| f == fold).count()).collect();
        assert!(sizes.iter().all(|size| size.abs_diff(n / k) <= 2), "{sizes:?}");
    }

    #[test]
    fn values_are_spread_evenly() {
        let values: Vec<f64> = (0..100).map(|i| f64::from(i * i % 101)).collect();
        let folds = value_folds(&values, &(0..100).collect::<Vec<_>>(), 5, 1);
        for fold in 0..5 {
            let own: Vec<f64> = (0..100).filter(|&i| folds[i] == fold).map(|i| values[i]).collect();
            assert_eq!(own.len(), 20);
            let (mean, all) = (own.iter().sum::<f64>() / 20.0, values.iter().sum::<f64>() / 100.0);
            assert!((mean - all).abs() < 2.0, "{mean} {all}");
        }
        assert_ne!(folds, value_folds(&values, &(0..100).collect::<Vec<_>>(), 5, 2));
    }

    proptest! {
        #[test]
        fn groups_are_whole_and_every_example_has_a_fold(
            examples in proptest::collection::vec((any::<[bool; 3]>(), 0..30_usize, -5.0f64..5.0), 0..100),
            k in 0..7_usize,
            seed: u64,
        ) {
            let labels: Vec<bool> = examples.iter().flat_map(|example| example.0).collect();
            let groups: Vec<usize> = examples.iter().map(|example| example.1).collect();
            let values: Vec<f64> = examples.iter().map(|example| example.2).collect();
            for folds in [label_folds(&labels, 3, &groups, k, seed), value_folds(&values, &groups, k, seed)] {
                prop_assert_eq!(folds.len(), groups.len());
                for a in 0..folds.len() {
                    prop_assert!(folds[a] < k.max(1));
                    prop_assert!((0..a).all(|b| groups[a] != groups[b] || folds[a] == folds[b]));
                }
            }
        }
    }
}
