//! The maximum mean discrepancy of two domains, and its permutation test.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rand::seq::SliceRandom;
use rayon::prelude::*;

use super::moments::{check, check_columns, mean, pooled};
use super::sample::sample;
use super::two_sample::{EqualRows, examples, halves};
use crate::error::Result;
use crate::features::Features;
use crate::rng::{permutation, rng};

/// Most rows of each side.
const MOST_ROWS: usize = 1000;
/// Permutations of the test.
const PERMUTATIONS: usize = 200;
/// Those of the test in strata, of which there may be many to correct for.
const PERMUTATIONS_IN_STRATA: usize = 999;
/// Draws of each domain's halves.
const FLOOR_DRAWS: u64 = 4;

/// How far two domains are apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Discrepancy {
    /// The unbiased squared MMD: 0 in expectation for equal domains, and then below 0 about as often as above.
    pub(crate) statistic: f64,
    /// `sigma` of the kernel `exp(-|x - y|² / (2 sigma²))`: the median distance of the pooled rows.
    pub(crate) bandwidth: f64,
    /// `(1 + number of permutations with at least this statistic) / (permutations + 1)`.
    pub(crate) p: f64,
}

/// The unbiased squared maximum mean discrepancy (Gretton, Borgwardt, Rasch, Schölkopf and Smola, 2012, "A kernel
/// two-sample test", JMLR 13, equation 3) with a Gaussian kernel, and its p by 200 permutations of the pooled rows.
///
/// At most 1,000 rows of each side count, drawn from `seed`. The bandwidth is the median distance of two pooled rows, the
/// mean one where more than half are zero. Memory: the kernel of all pairs of those rows and their distances, 48 MB at most.
///
/// # Errors
/// [`crate::error::Error::Data`] for tables that do not fit each other or have fewer than two rows.
pub(crate) fn mmd(source: &Features, target: &Features, seed: u64) -> Result<Discrepancy> {
    check(source)?;
    check(target)?;
    check_columns(target, source.columns)?;
    let mut stream = rng(seed, "mmd", 0);
    let mut drawn = |features: &Features| features.select(&sample(features.rows, MOST_ROWS, None, &mut stream));
    let (source, target) = (drawn(source), drawn(target));
    let rows = pooled(&source, &target)?;
    let (mut kernel, bandwidth) = Kernel::of(&rows);
    if bandwidth == 0.0 {
        return Ok(Discrepancy { statistic: 0.0, bandwidth, p: 1.0 });
    }
    kernel.exponentiate(bandwidth);
    let drawn = |step| {
        let mut side = permutation(rows.rows, seed, "mmd permutation", step);
        side.truncate(source.rows);
        side
    };
    let (statistic, p) = kernel.test(source.rows, PERMUTATIONS, drawn);
    Ok(Discrepancy { statistic, bandwidth, p })
}

/// The MMD of two tables whose rows belong to strata, `[rows]` each: its p is by 999 permutations of the rows of each stratum, so
/// that other shares of the strata are no difference that it sees.
///
/// All rows count. Memory: the kernel of all pairs.
///
/// # Errors
/// As [`mmd`].
pub(crate) fn mmd_in_strata(
    (source, target): (&Features, &Features),
    strata: [&[usize]; 2],
    seed: u64,
) -> Result<Discrepancy> {
    check(source)?;
    check(target)?;
    let rows = pooled(source, target)?;
    let (mut kernel, bandwidth) = Kernel::of(&rows);
    if bandwidth == 0.0 {
        return Ok(Discrepancy { statistic: 0.0, bandwidth, p: 1.0 });
    }
    kernel.exponentiate(bandwidth);
    let count = strata.iter().flat_map(|of_side| of_side.iter()).max().map_or(0, |most| most + 1);
    let mut members = vec![Vec::new(); count];
    let mut of_source = vec![0; count];
    strata.concat().iter().enumerate().for_each(|(row, &stratum)| members[stratum].push(row));
    strata[0].iter().for_each(|&stratum| of_source[stratum] += 1);
    let drawn = |step| {
        let mut stream = rng(seed, "mmd permutation in strata", step);
        let mut side = Vec::with_capacity(source.rows);
        for (rows, &take) in members.iter().zip(&of_source) {
            let mut order = rows.clone();
            order.shuffle(&mut stream);
            side.extend_from_slice(&order[..take]);
        }
        side
    };
    let (statistic, p) = kernel.test(source.rows, PERMUTATIONS_IN_STRATA, drawn);
    Ok(Discrepancy { statistic, bandwidth, p })
}

/// The greatest squared MMD between random halves of the source, or of the target, in several draws and at a bandwidth: what is
/// read into a single domain of half this size.
///
/// # Errors
/// As [`mmd`]; fewer than 8 rows.
pub(crate) fn mmd_floor(source: &Features, target: &Features, bandwidth: f64, seed: u64) -> Result<f64> {
    let all = examples(source, target, EqualRows::Copies)?;
    if bandwidth == 0.0 {
        return Ok(0.0);
    }
    let draw = |step: u64| {
        let side = usize::from(step >= FLOOR_DRAWS);
        let mut stream = rng(seed, "mmd halves", step);
        let [a, b] = halves(&all[side], MOST_ROWS, &mut stream).map(|half| [source, target][side].select(&half));
        let (mut kernel, _) = Kernel::of(&pooled(&a, &b)?);
        kernel.exponentiate(bandwidth);
        Ok(kernel.statistic(&(0..a.rows).collect::<Vec<_>>()))
    };
    (0..2 * FLOOR_DRAWS).map(draw).try_fold(0.0, |most: f64, statistic: Result<f64>| Ok(most.max(statistic?)))
}

/// A number for each pair of rows, zero for a row with itself.
struct Kernel {
    /// `[n, n]`, row-major.
    values: Vec<f64>,
    /// Sum of each row, `[n]`.
    sums: Vec<f64>,
    n: usize,
}

impl Kernel {
    /// Squared distances of all pairs, and the bandwidth; rows in blocks of 64.
    fn of(features: &Features) -> (Self, f64) {
        let (n, columns) = (features.rows, features.columns);
        // Centred: distances are differences of products.
        let centre = mean(features);
        let centred: Vec<f64> = features
            .values
            .chunks_exact(columns)
            .flat_map(|row| row.iter().zip(&centre).map(|(&x, centre)| f64::from(x) - centre))
            .collect();
        let lengths: Vec<f64> = centred.chunks_exact(columns).map(|row| row.iter().map(|x| x * x).sum()).collect();
        let all = MatRef::from_row_major_slice(&centred, n, columns);
        let mut values = vec![0.0; n * n];
        values.par_chunks_mut(64 * n).enumerate().for_each(|(at, block)| {
            let (from, count) = (at * 64, block.len() / n);
            let rows = MatRef::from_row_major_slice(&centred[from * columns..(from + count) * columns], count, columns);
            let out = MatMut::from_row_major_slice_mut(block, count, n);
            matmul(out, Accum::Replace, rows, all.transpose(), -2.0, Par::Seq);
            for (row, values) in block.chunks_exact_mut(n).enumerate() {
                let own = lengths[from + row];
                for (value, other) in values.iter_mut().zip(&lengths) {
                    let square = *value + own + other;
                    // Equal rows differ by rounding alone.
                    *value = if square > 1e-12 * (own + other) { square } else { 0.0 };
                }
                values[from + row] = 0.0;
            }
        });
        let above = |row: usize| values[row * n + row + 1..(row + 1) * n].iter().map(|square| square.sqrt());
        let mut distances: Vec<f64> = (0..n).flat_map(above).collect();
        let mut bandwidth = median(&mut distances);
        if bandwidth == 0.0 {
            bandwidth = distances.iter().sum::<f64>() / distances.len() as f64;
        }
        (Self { values, sums: Vec::new(), n }, bandwidth)
    }

    /// From squared distances to `exp(-d² / (2 bandwidth²))`.
    fn exponentiate(&mut self, bandwidth: f64) {
        let scale = -0.5 / (bandwidth * bandwidth);
        self.values.par_iter_mut().for_each(|value| *value = (*value * scale).exp());
        (0..self.n).for_each(|row| self.values[row * self.n + row] = 0.0);
        self.sums = self.values.chunks_exact(self.n).map(|row| row.iter().sum()).collect();
    }

    /// The statistic of the first `first` rows against all others, and its p by sides that are drawn.
    fn test(&self, first: usize, permutations: usize, drawn: impl Fn(u64) -> Vec<usize> + Sync) -> (f64, f64) {
        let statistic = self.statistic(&(0..first).collect::<Vec<_>>());
        let reached: Vec<bool> = (0..permutations as u64)
            .into_par_iter()
            .map(|step| {
                let mut side = drawn(step);
                side.sort_unstable();
                self.statistic(&side) >= statistic
            })
            .collect();
        let as_far = reached.iter().filter(|&&reached| reached).count();
        (statistic, (1 + as_far) as f64 / (1 + permutations) as f64)
    }

    /// The unbiased squared MMD between the rows of `side`, ascending, and all others.
    fn statistic(&self, side: &[usize]) -> f64 {
        let (m, all) = (side.len() as f64, self.n as f64);
        let mut within = 0.0;
        let mut from_side = 0.0;
        for &row in side {
            let values = &self.values[row * self.n..(row + 1) * self.n];
            within += side.iter().map(|&other| values[other]).sum::<f64>();
            from_side += self.sums[row];
        }
        let across = from_side - within;
        let others = self.sums.iter().sum::<f64>() - from_side - across;
        let k = all - m;
        within / (m * (m - 1.0)) + others / (k * (k - 1.0)) - 2.0 * across / (m * k)
    }
}

/// The median; of an even count the mean of the middle two. Leaves the values in another order.
fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    let odd = values.len() % 2 == 1;
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if odd { upper } else { (upper + below.iter().fold(0.0f64, |most, &value| most.max(value))) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::super::moments::tests::normal;
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&mut [5.0, 1.0, 3.0]), 3.0);
        assert_eq!(median(&mut [5.0, 1.0, 4.0, 3.0]), 3.5);
        assert_eq!(median(&mut [2.0]), 2.0);
    }

    #[test]
    fn the_p_of_equal_domains_is_uniform_and_of_moved_ones_small() {
        let mut p: Vec<f64> = (0..100)
            .map(|seed| {
                let (source, target) = (normal(2 * seed, 30, 3, 0.0), normal(2 * seed + 1, 40, 3, 0.0));
                mmd(&source, &target, seed).unwrap().p
            })
            .collect();
        p.sort_by(f64::total_cmp);
        let gap =
            p.iter().enumerate().map(|(at, p)| (p - at as f64 / 100.0).abs().max((p - (at + 1) as f64 / 100.0).abs()));
        let largest = gap.fold(0.0f64, f64::max);
        // Kolmogorov and Smirnov's bound at 1 %.
        assert!(largest < 0.163, "{largest}");
        for seed in 0..5 {
            let moved = mmd(&normal(1, 100, 3, 0.0), &normal(2, 120, 3, 1.0), seed).unwrap();
            assert!(moved.p < 0.006 && moved.statistic > 0.02, "{moved:?}");
        }
    }

    #[test]
    fn other_shares_of_strata_are_no_difference() {
        // Two clouds, 45 to 15 on one side and 15 to 45 on the other.
        let of = |seed, near: usize, shift: f64| {
            let mut features = normal(seed, 60, 3, 0.0);
            features.values[near * 3..].iter_mut().for_each(|x| *x += 6.0);
            features.values.iter_mut().for_each(|x| *x += shift as f32);
            (features, (0..60).map(|row| usize::from(row >= near)).collect::<Vec<_>>())
        };
        let mut small = 0;
        for seed in 0..40 {
            let ((a, of_a), (b, of_b)) = (of(2 * seed, 45, 0.0), of(2 * seed + 1, 15, 0.0));
            assert!(mmd(&a, &b, seed).unwrap().p < 0.006);
            small += usize::from(mmd_in_strata((&a, &b), [&of_a, &of_b], seed).unwrap().p <= 0.05);
        }
        assert!(small <= 6, "{small} of 40");
        let ((a, of_a), (b, of_b)) = (of(1, 45, 0.0), of(2, 15, 1.0));
        assert!(mmd_in_strata((&a, &b), [&of_a, &of_b], 1).unwrap().p <= 0.01);
    }

    #[test]
    fn halves_are_at_the_floor() {
        let (source, target) = (normal(1, 100, 3, 0.0), normal(2, 120, 3, 1.0));
        let found = mmd(&source, &target, 1).unwrap();
        let floor = mmd_floor(&source, &target, found.bandwidth, 1).unwrap();
        assert!((0.0..found.statistic / 3.0).contains(&floor), "{floor} {found:?}");
        assert_eq!(mmd_floor(&source, &target, 0.0, 1).unwrap(), 0.0);
        // Compared with itself: every row has its twin on the other side.
        let own = mmd(&source, &source, 1).unwrap();
        assert!(own.p > 0.5 && own.statistic <= mmd_floor(&source, &source, own.bandwidth, 1).unwrap(), "{own:?}");
    }

    #[test]
    fn equal_rows_are_no_difference() {
        let flat = Features::new(10, 2, vec![1.0; 20]).unwrap();
        assert_eq!(mmd(&flat, &flat, 1).unwrap(), Discrepancy { statistic: 0.0, bandwidth: 0.0, p: 1.0 });
        // More than half of the pairs are equal rows.
        let mut mostly = flat.clone();
        mostly.values[0] = 5.0;
        let found = mmd(&mostly, &flat, 1).unwrap();
        // 19 of 190 pairs are 4 apart.
        assert!((found.bandwidth - 0.4).abs() < 1e-9 && found.p > 0.2, "{found:?}");
        assert!(mmd(&flat, &Features::new(1, 2, vec![0.0; 2]).unwrap(), 1).is_err());
    }

    #[test]
    fn the_result_does_not_depend_on_threads() {
        let (source, target) = (normal(1, 1100, 4, 0.0), normal(2, 150, 4, 0.2));
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| mmd(&source, &target, 3)).unwrap()
        };
        assert_eq!(run(1), run(3));
    }
}
