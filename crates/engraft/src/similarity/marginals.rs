//! Which of many numbers and categories, each looked at alone, are distributed otherwise in two data sets.

use rayon::prelude::*;

use crate::rng::permutation;

/// Permutations of the test.
const PERMUTATIONS: u64 = 999;

/// A column, of the first data set's rows and then of the second's, `[rows]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cells {
    /// Numbers; NaN where one is missing, which has no part.
    Numbers(Vec<f64>),
    /// Categories, counted from 0; nothing where one is missing.
    Categories(Vec<Option<usize>>),
}

/// How much a column differs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shift {
    /// Of numbers the largest difference of the cumulative shares (Kolmogorov and Smirnov's statistic), of categories half the sum
    /// of the differences of the shares (total variation): from 0 (alike) to 1 (nothing in common).
    pub(crate) distance: f64,
    /// `(1 + number of permutations with at least this distance) / (permutations + 1)`.
    pub(crate) p: f64,
    /// The same, corrected for all columns that are looked at.
    pub(crate) corrected_p: f64,
}

/// Compares columns of which `first` of `rows` rows are the first data set's, by 999 permutations of whole rows.
///
/// The correction is that of Westfall and Young, 1993, "Resampling-based multiple testing": the distance, in standard
/// deviations of its permutations, beside the largest of any column in each permutation, so that columns that go together
/// cost no power, and the p does not end at the number of columns over the number of permutations.
pub(crate) fn shifts(columns: &[Cells], first: usize, rows: usize, seed: u64) -> Vec<Shift> {
    let sides: Vec<Vec<bool>> = (0..=PERMUTATIONS)
        .into_par_iter()
        .map(|step| {
            let mut of_first = vec![false; rows];
            if step == 0 {
                of_first[..first].fill(true);
            } else {
                let order = permutation(rows, seed, "marginals", step);
                order[..first].iter().for_each(|&row| of_first[row] = true);
            }
            of_first
        })
        .collect();
    let distances: Vec<Vec<f64>> = columns
        .par_iter()
        .map(|column| match column {
            Cells::Numbers(numbers) => of_numbers(numbers, &sides),
            Cells::Categories(codes) => of_categories(codes, &sides),
        })
        .collect();
    let standard: Vec<Vec<f64>> = distances.iter().map(|all| standardised(all)).collect();
    let largest: Vec<f64> =
        (0..sides.len()).map(|step| standard.iter().map(|all| all[step]).fold(f64::NEG_INFINITY, f64::max)).collect();
    // What differs by rounding alone is equal.
    let share =
        |all: &[f64], least: f64| all.iter().filter(|&&each| each >= least - 1e-9).count() as f64 / all.len() as f64;
    let shift = |(all, standard): (&Vec<f64>, &Vec<f64>)| Shift {
        distance: all[0],
        p: share(all, all[0]),
        corrected_p: share(&largest, standard[0]),
    };
    distances.iter().zip(&standard).map(shift).collect()
}

/// Kolmogorov and Smirnov's statistic on each of some assignments of rows to sides.
fn of_numbers(numbers: &[f64], sides: &[Vec<bool>]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..numbers.len()).filter(|&row| !numbers[row].is_nan()).collect();
    order.sort_by(|&a, &b| numbers[a].total_cmp(&numbers[b]));
    let ends: Vec<bool> =
        (0..order.len()).map(|at| order.get(at + 1).is_none_or(|&next| numbers[next] != numbers[order[at]])).collect();
    let of = |side: &Vec<bool>| {
        let first = order.iter().filter(|&&row| side[row]).count();
        let second = order.len() - first;
        if first == 0 || second == 0 {
            return 0.0;
        }
        let (mut below, mut most) = ([0usize; 2], 0.0f64);
        for (&row, &ends) in order.iter().zip(&ends) {
            below[usize::from(side[row])] += 1;
            if ends {
                most = most.max((below[1] as f64 / first as f64 - below[0] as f64 / second as f64).abs());
            }
        }
        most
    };
    sides.iter().map(of).collect()
}

/// The total variation on each of some assignments of rows to sides.
fn of_categories(codes: &[Option<usize>], sides: &[Vec<bool>]) -> Vec<f64> {
    let categories = codes.iter().flatten().max().map_or(0, |most| most + 1);
    let of = |side: &Vec<bool>| {
        let mut counts = vec![[0usize; 2]; categories];
        for (code, &of_first) in codes.iter().zip(side) {
            if let Some(code) = code {
                counts[*code][usize::from(of_first)] += 1;
            }
        }
        let totals = [0, 1].map(|of| counts.iter().map(|count| count[of]).sum::<usize>());
        if totals.contains(&0) {
            return 0.0;
        }
        let share = |count: &[usize; 2], of: usize| count[of] as f64 / totals[of] as f64;
        0.5 * counts.iter().map(|count| (share(count, 0) - share(count, 1)).abs()).sum::<f64>()
    };
    sides.iter().map(of).collect()
}

/// In standard deviations from their mean; all 0 where they do not vary.
fn standardised(all: &[f64]) -> Vec<f64> {
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    let deviation = (all.iter().map(|each| (each - mean).powi(2)).sum::<f64>() / all.len() as f64).sqrt();
    all.iter().map(|each| if deviation > 1e-12 { (each - mean) / deviation } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::rng::rng;

    fn noise(seed: u64, rows: usize) -> Vec<f64> {
        let mut stream = rng(seed, "noise of a column", 0);
        (0..rows).map(|_| stream.random()).collect()
    }

    #[test]
    fn distances_are_those_of_their_definitions() {
        // Shares of the first below 1, 2, 3: 2/3, 1, 1; of the second 0, 1/2, 1.
        let numbers = Cells::Numbers(vec![1.0, 1.0, 2.0, 2.0, f64::NAN, 3.0]);
        let codes = Cells::Categories([0, 0, 1, 1, 1, 2].map(Some).to_vec());
        let found = shifts(&[numbers, codes, Cells::Numbers(vec![f64::NAN; 6])], 3, 6, 1);
        assert!((found[0].distance - 2.0 / 3.0).abs() < 1e-12 && (found[1].distance - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!((found[2].distance, found[2].p, found[2].corrected_p), (0.0, 1.0, 1.0));
    }

    #[test]
    fn a_column_that_moved_is_found_among_many_that_did_not() {
        let mut columns: Vec<Cells> = (0..200).map(|at| Cells::Numbers(noise(at, 200))).collect();
        columns[17] = Cells::Numbers(
            noise(17, 200).into_iter().enumerate().map(|(row, x)| x + (row / 100) as f64 * 0.4).collect(),
        );
        columns[40] =
            Cells::Categories((0..200).map(|row| Some(usize::from(row % 100 < 30 + row / 100 * 40))).collect());
        let found = shifts(&columns, 100, 200, 1);
        let told: Vec<usize> = (0..200).filter(|&at| found[at].corrected_p <= 0.05).collect();
        assert_eq!(told, [17, 40], "{found:?}");
    }

    #[test]
    fn where_nothing_differs_one_set_of_columns_in_twenty_is_told() {
        let told = (0..100).filter(|&draw| {
            let columns: Vec<Cells> = (0..10)
                .map(|at| match at % 2 {
                    0 => Cells::Numbers(noise(draw * 10 + at, 40)),
                    _ => Cells::Categories(
                        noise(draw * 10 + at, 40).into_iter().map(|x| Some((x * 9.0) as usize)).collect(),
                    ),
                })
                .collect();
            shifts(&columns, 20, 40, draw).iter().any(|shift| shift.corrected_p <= 0.05)
        });
        // Of a binomial of 100 and 0.05 fewer than 1 in 1000 are above 12.
        assert!(told.count() <= 12);
    }
}
