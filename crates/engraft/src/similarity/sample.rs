//! Some of many rows.

use rand::Rng;
use rand::seq::SliceRandom;

/// `take` of `0..rows` without replacement, ascending; all of them, and nothing drawn, where there are no more.
///
/// With `strata`, `[rows]`, every stratum keeps its share, up to one row.
pub(crate) fn sample(rows: usize, take: usize, strata: Option<&[usize]>, stream: &mut impl Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows).collect();
    if take >= rows {
        return order;
    }
    order.shuffle(stream);
    if let Some(strata) = strata {
        order.sort_by_key(|&row| strata[row]);
    }
    let mut taken: Vec<usize> = (0..take).map(|at| order[at * rows / take]).collect();
    taken.sort_unstable();
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::rng;

    #[test]
    fn strata_keep_their_share() {
        let strata: Vec<usize> = (0..1000).map(|row| usize::from(row % 10 == 0)).collect();
        let taken = sample(1000, 100, Some(&strata), &mut rng(1, "test", 0));
        assert!(taken.len() == 100 && taken.is_sorted_by(|a, b| a < b));
        assert_eq!(taken.iter().filter(|&&row| strata[row] == 1).count(), 10);
        let other = sample(1000, 100, None, &mut rng(2, "test", 0));
        assert!(other.is_sorted_by(|a, b| a < b) && other != taken);
        assert_eq!(sample(3, 5, None, &mut rng(1, "test", 0)), [0, 1, 2]);
    }
}
