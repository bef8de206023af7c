//! Many classes fit in memory. Slow: `cargo test --release --test head_memory -- --ignored --nocapture`.

#![allow(clippy::print_stdout, reason = "the number is what one runs it for")]

use engraft::features::Features;
use engraft::heads::{Options, cross_validate};
use engraft::metrics::evaluate;
use engraft::progress::Silent;
use rand::RngExt;

#[test]
#[ignore = "about a minute, and measures the memory of the whole process"]
fn a_thousand_classes_of_a_hundred_thousand_rows_need_less_than_two_gigabytes() {
    let (rows, columns, classes) = (100_000, 64, 1000);
    let mut stream = engraft::rng::rng(1, "test", 0);
    let centres: Vec<f32> = (0..classes * columns).map(|_| stream.random()).collect();
    let labels: Vec<usize> = (0..rows).map(|i| i % classes).collect();
    let value = |at: usize| centres[labels[at / columns] * columns + at % columns] + stream.random::<f32>();
    let features = Features::new(rows, columns, (0..rows * columns).map(value).collect()).unwrap();
    let folds: Vec<usize> = (0..rows).map(|i| i / classes % 2).collect();
    let options = Options { strengths: vec![1e-5], ..Options::default() };
    let result = cross_validate(&features, &labels, &folds, classes, &options, &Silent).unwrap();
    let after_fitting = peak_megabytes();
    let evaluation = evaluate(&result.out_of_fold, &labels, classes, 1, "2-fold cross-validation").unwrap();
    println!(
        "peak {after_fitting} MB after {} passes over a training part ({:?}), {} MB after the evaluation; accuracy {:?}",
        result.evaluations,
        result.tried,
        peak_megabytes(),
        evaluation.accuracy
    );
    assert!(peak_megabytes() < 2000);
}

/// Most memory that the process has held, as Linux counts it.
fn peak_megabytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1000
}
