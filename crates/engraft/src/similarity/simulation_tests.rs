//! Every p, by simulation: about uniform where nothing differs.

use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

use super::differences::{Compared, differences};
use super::mmd::mmd;
use super::permuted::permuted;
use super::two_sample::{EqualRows, halves, two_sample};
use crate::features::Features;
use crate::progress::Silent;
use crate::rng::rng;

/// Rows of a set with classes, in `columns` columns of a falling spectrum, as a network's are.
fn set(seed: u64, rows: usize, columns: usize) -> Features {
    let mut stream = rng(seed, "simulated set", 0);
    let mut normal = || -> f64 { StandardNormal.sample(&mut stream) };
    let centres: Vec<f64> = (0..4 * columns).map(|_| normal()).collect();
    let values = (0..rows * columns).map(|at| {
        let (row, column) = (at / columns, at % columns);
        let spread = 1.0 / (1.0 + column as f64).sqrt();
        (spread * (2.0 * centres[row % 4 * columns + column] + normal())) as f32
    });
    let values = values.collect();
    Features::new(rows, columns, values).unwrap()
}

/// Two halves of one set, `n` rows each.
fn pair(step: u64, n: usize, columns: usize) -> (Features, Features) {
    let all = set(step, 2 * n, columns);
    let [a, b] = halves(&(0..2 * n).collect::<Vec<_>>(), n, &mut rng(step, "simulated halves", 0));
    (all.select(&a), all.select(&b))
}

/// Kolmogorov and Smirnov's distance from the uniform distribution, and the fractions at most 0.05 and 0.01.
fn uniformity(mut p: Vec<f64>) -> (f64, f64, f64) {
    p.sort_by(f64::total_cmp);
    let n = p.len() as f64;
    let gap = p.iter().enumerate().map(|(at, p)| (p - at as f64 / n).abs().max((p - (at + 1) as f64 / n).abs()));
    let below = |level: f64| p.iter().filter(|&&p| p <= level).count() as f64 / n;
    (gap.fold(0.0, f64::max), below(0.05), below(0.01))
}

/// Kolmogorov and Smirnov's bound at 1 % for so many draws.
fn bound(draws: usize) -> f64 {
    1.63 / (draws as f64).sqrt()
}

#[test]
fn the_permuted_p_is_uniform_where_nothing_differs() {
    for (n, columns) in [(10, 40), (24, 5)] {
        let p = (0..100).map(|step| {
            let (a, b) = pair(step, n, columns);
            permuted(&a, &b, EqualRows::Copies, step).unwrap().p
        });
        let (gap, below, _) = uniformity(p.collect());
        assert!(gap < bound(100) && below <= 0.12, "{n} {columns}: {gap} {below}");
    }
}

#[test]
#[ignore = "minutes: what the documentation quotes"]
#[allow(clippy::print_stdout, reason = "a table for the documentation")]
fn simulated_p_at_length() {
    println!("rows each, columns: binomial p, permuted p, MMD p: (KS, at most .05, at most .01)");
    for (n, columns, draws) in [(20, 5, 1000), (50, 10, 1000), (50, 200, 1000), (100, 512, 400), (200, 20, 400)] {
        let all: Vec<[f64; 3]> = (0..draws)
            .map(|step| {
                let (a, b) = pair(step, n, columns);
                // The slowest of the three needs fewest draws: it is far off.
                let told =
                    if step < 200 { two_sample(&a, &b, EqualRows::Copies, step, &Silent).unwrap().p } else { f64::NAN };
                let exact = permuted(&a, &b, EqualRows::Copies, step).unwrap();
                [told, exact.p, mmd(&a, &b, step).unwrap().p]
            })
            .collect();
        let of = |at: usize| uniformity(all.iter().map(|p| p[at]).filter(|p| !p.is_nan()).collect());
        println!("{n} {columns}: {:.3?} {:.3?} {:.3?}", of(0), of(1), of(2));
    }
}

/// Rows of two classes, of which the first is `share`; the second class lies 4 away, in one column `moved` further.
fn labelled(seed: u64, rows: usize, share: f64, moved: f32) -> (Features, Vec<usize>) {
    let mut features = set(seed, rows, 10);
    let mut stream = rng(seed, "simulated classes", 0);
    let labels: Vec<usize> = (0..rows).map(|_| usize::from(stream.random::<f64>() >= share)).collect();
    for (row, label) in features.values.chunks_exact_mut(10).zip(&labels) {
        row[0] += 4.0 * *label as f32;
        row[1] += moved * *label as f32;
    }
    (features, labels)
}

#[test]
#[ignore = "minutes: what the documentation quotes"]
#[allow(clippy::print_stdout, reason = "a table for the documentation")]
fn simulated_verdicts_at_length() {
    for (name, share, moved) in
        [("alike", 0.8, 0.0), ("shares", 0.2, 0.0), ("content", 0.8, 1.5), ("shares and content", 0.2, 1.5)]
    {
        let mut counts = std::collections::BTreeMap::new();
        for step in 0..200 {
            // Other rows of the same set on both sides.
            let (shifted, of_b) = labelled(step, 400, share, moved);
            let (of_features, of_a) = labelled(step, 400, 0.8, 0.0);
            let (a, b): (Vec<usize>, Vec<usize>) = (0..400).partition(|row| row % 8 < 4);
            let pick = |labels: &[usize], rows: &[usize]| rows.iter().map(|&row| labels[row]).collect::<Vec<_>>();
            let (labels_a, labels_b) = (pick(&of_a, &a), pick(&of_b, &b));
            let (a, b) = (of_features.select(&a), shifted.select(&b));
            let side = |features, labels| Compared { features, labels: Some(labels) };
            let found = differences(side(&a, &labels_a), side(&b, &labels_b), 2, step, &Silent).unwrap();
            *counts.entry(format!("{:?}", found.verdict)).or_insert(0) += 1;
        }
        println!("{name}: {counts:?}");
    }
}
