//! Every p, by simulation: about uniform where nothing differs.

use rand_distr::{Distribution, StandardNormal};

use super::mmd::mmd;
use super::permuted::permuted;
use super::sample::sample;
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

#[test]
#[ignore = "minutes: what the documentation quotes"]
#[allow(clippy::print_stdout, reason = "a table for the documentation")]
fn simulated_p_at_length() {
    println!("rows each, columns: binomial p, permuted p, MMD p: (KS, at most .05, at most .01)");
    for (n, columns, draws) in [(20, 5, 400), (50, 10, 400), (50, 200, 300), (100, 512, 150), (200, 20, 150)] {
        let all: Vec<[f64; 3]> = (0..draws)
            .map(|step| {
                let (a, b) = pair(step, n, columns);
                let told = two_sample(&a, &b, EqualRows::Copies, step, &Silent).unwrap();
                let exact = permuted(&a, &b, EqualRows::Copies, step).unwrap();
                [told.p, exact.p, mmd(&a, &b, step).unwrap().p]
            })
            .collect();
        let of = |at: usize| uniformity(all.iter().map(|p| p[at]).collect());
        println!("{n} {columns}: {:?} {:?} {:?}", of(0), of(1), of(2));
    }
}
