//! Against scikit-learn and scipy: ridge regression, one logistic regression per label, and their metrics. The fixture is
//! made by `tests/fixtures/targets.py`.

#![allow(clippy::disallowed_methods, reason = "tests write where they like")]

mod reference;

use engraft::features::Features;
use engraft::heads::{RidgeOptions, cross_validate_ridge, fit_one_vs_rest, fit_ridge, sigmoid};
use engraft::metrics::{LabelPredictions, evaluate_imbalance, evaluate_labels, evaluate_regression};
use engraft::progress::Silent;
use reference::noise;
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    ridge: Vec<Ridge>,
    numbers: Vec<Numbers>,
    one_vs_rest: Vec<Labels>,
    imbalance: Vec<Imbalance>,
}

#[derive(Deserialize)]
struct Ridge {
    seed: u32,
    rows: usize,
    columns: usize,
    alpha: f64,
    value_sum: f64,
    feature_sum: f64,
    coefficients: Vec<f64>,
    intercept: f64,
    predictions: Vec<f64>,
    strengths: Vec<f64>,
    rmse: Vec<f64>,
    best: f64,
}

#[derive(Deserialize)]
struct Numbers {
    seed: u32,
    n: usize,
    ties: bool,
    mae: f64,
    rmse: f64,
    r2: f64,
    pearson: f64,
    spearman: f64,
}

#[derive(Deserialize)]
struct Labels {
    seed: u32,
    rows: usize,
    columns: usize,
    labels: usize,
    c: f64,
    positives: Vec<usize>,
    logits: Vec<f64>,
    map: f64,
    average_precisions: Vec<f64>,
    macro_f1: f64,
    micro_f1: f64,
    subset_accuracy: f64,
    hamming_loss: f64,
    ranking_loss: f64,
    log_loss: f64,
    precision: Vec<f64>,
    recall: Vec<f64>,
}

#[derive(Deserialize)]
struct Imbalance {
    seed: u32,
    n: usize,
    classes: usize,
    balanced_accuracy: f64,
    matthews: f64,
    macro_f1: f64,
    recall: Vec<f64>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("fixtures/targets.json")).unwrap()
}

/// As `features` in the script.
fn features(seed: u32, rows: usize, columns: usize) -> Features {
    let value = |i: usize, j: usize| {
        let own = noise(seed, i, j) + 0.5 * noise(seed, i, j / 2 + 10_000);
        (own * (1 + j % 5) as f64 + (j % 7) as f64) as f32
    };
    let values = (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))).map(|(i, j)| value(i, j)).collect();
    Features::new(rows, columns, values).unwrap()
}

/// As `values` in the script.
fn values(seed: u32, features: &Features) -> Vec<f64> {
    let value = |i: usize| {
        let x = features.row(i);
        let told = 3.0 * f64::from(x[0]) - 2.0 * f64::from(x[1]) + f64::from(x[2]);
        told + 4.0 * noise(seed, i, 999_983)
    };
    (0..features.rows).map(value).collect()
}

/// As `label_sets` in the script.
fn label_sets(seed: u32, features: &Features, labels: usize) -> Vec<bool> {
    let has = |i: usize, k: usize| {
        let told = (f64::from(features.row(i)[k]) - (k % 7) as f64) / (1 + k % 5) as f64;
        told + noise(seed, i, 500_000 + k) > 1.2 + 0.15 * k as f64
    };
    (0..features.rows * labels).map(|at| has(at / labels, at % labels)).collect()
}

fn near(ours: f64, theirs: f64, tolerance: f64, what: &str) {
    assert!((ours - theirs).abs() <= tolerance * theirs.abs().max(1.0), "{what}: {ours} against {theirs}");
}

#[test]
fn ridge_regression_agrees_with_scikit_learn() {
    for case in fixture().ridge {
        let name = format!("{}x{} alpha={}", case.rows, case.columns, case.alpha);
        let features = features(case.seed, case.rows, case.columns);
        let targets = values(case.seed, &features);
        near(features.values.iter().map(|&x| f64::from(x)).sum(), case.feature_sum, 1e-9, &name);
        near(targets.iter().sum(), case.value_sum, 1e-9, &name);
        let head = fit_ridge(&features, &targets, case.alpha).unwrap();
        for (row, &theirs) in case.predictions.iter().enumerate() {
            near(head.value(features.row(row)), theirs, 1e-8, &name);
        }
        // Our weights are of raw columns; the script's of scaled ones.
        let n = case.rows as f64;
        let moments = |j: usize| {
            let column: Vec<f64> = (0..case.rows).map(|i| f64::from(features.row(i)[j])).collect();
            let mean = column.iter().sum::<f64>() / n;
            (mean, column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n)
        };
        let shared = (0..case.columns).map(|j| moments(j).1).sum::<f64>() / case.columns as f64;
        let mut at_mean = head.intercept;
        for j in 0..case.columns {
            let (mean, variance) = moments(j);
            let scale = variance.max(shared).sqrt();
            at_mean += head.weights[j] * mean;
            if let Some(&theirs) = case.coefficients.get(j) {
                near(head.weights[j] * scale, theirs, 1e-8, &name);
            }
        }
        near(at_mean, case.intercept, 1e-8, &name);

        let folds: Vec<usize> = (0..case.rows).map(|i| i % 5).collect();
        let options = RidgeOptions { strengths: case.strengths.clone() };
        let validation = cross_validate_ridge(&features, &targets, &folds, &options, &Silent).unwrap();
        for (tried, theirs) in validation.tried.iter().zip(case.rmse.iter().rev()) {
            near(tried.rmse, *theirs, 1e-8, &name);
        }
        assert_eq!(validation.chosen_alpha, case.best, "{name}");
    }
}

#[test]
fn metrics_of_numbers_agree_with_scikit_learn_and_scipy() {
    for case in fixture().numbers {
        let mut truths: Vec<f64> = (0..case.n).map(|i| 10.0 * noise(case.seed, i, 1)).collect();
        let mut predictions: Vec<f64> =
            truths.iter().enumerate().map(|(i, truth)| truth + (4.0 * noise(case.seed, i, 2) - 1.5)).collect();
        if case.ties {
            truths.iter_mut().chain(&mut predictions).for_each(|value| *value = value.floor());
        }
        let e = evaluate_regression(&predictions, &truths, 1, "").unwrap();
        for (ours, theirs, what) in [
            (e.mae.mean, case.mae, "MAE"),
            (e.rmse.mean, case.rmse, "RMSE"),
            (e.r2.mean, case.r2, "R²"),
            (e.pearson.mean, case.pearson, "Pearson"),
            (e.spearman.mean, case.spearman, "Spearman"),
        ] {
            near(ours, theirs, 1e-12, what);
        }
    }
}

#[test]
fn one_regression_per_label_agrees_with_scikit_learn() {
    for case in fixture().one_vs_rest {
        let name = format!("{}x{} C={}", case.rows, case.columns, case.c);
        let features = features(case.seed, case.rows, case.columns);
        let truth = label_sets(case.seed, &features, case.labels);
        let positives = |k: usize| (k..truth.len()).step_by(case.labels).filter(|&at| truth[at]).count();
        assert_eq!((0..case.labels).map(positives).collect::<Vec<_>>(), case.positives);
        let (model, effort) = fit_one_vs_rest(&features, &truth, case.labels, case.c, &Silent).unwrap();
        assert!(effort.converged, "{name}: {effort:?}");
        let ours = (0..4).flat_map(|row| model.values(features.row(row)));
        for (ours, theirs) in ours.zip(&case.logits) {
            near(ours, *theirs, 1e-6, &name);
        }

        let probabilities: Vec<f32> = (0..case.rows)
            .flat_map(|row| model.values(features.row(row)))
            .map(|logit| sigmoid(logit, 1.0) as f32)
            .collect();
        let given: Vec<bool> = probabilities.iter().map(|&p| p >= 0.5).collect();
        let e = evaluate_labels(&LabelPredictions::new(&probabilities, &given, &truth, case.labels).unwrap(), 1, "");
        for (ours, theirs, what) in [
            (e.map.mean, case.map, "mAP"),
            (e.macro_f1.mean, case.macro_f1, "macro-F1"),
            (e.micro_f1.mean, case.micro_f1, "micro-F1"),
            (e.subset_accuracy.mean, case.subset_accuracy, "subset accuracy"),
            (e.hamming_loss.mean, case.hamming_loss, "Hamming loss"),
            (e.ranking_loss.mean, case.ranking_loss, "ranking loss"),
        ] {
            near(ours, theirs, 1e-9, &format!("{name}: {what}"));
        }
        // Through probabilities of 24 bits.
        near(e.log_loss.mean, case.log_loss, 1e-6, &name);
        for (label, ours) in e.per_label.iter().enumerate() {
            near(ours.average_precision.unwrap(), case.average_precisions[label], 1e-9, &name);
            near(ours.precision.share, case.precision[label], 1e-12, &name);
            near(ours.recall.share, case.recall[label], 1e-12, &name);
        }
    }
}

#[test]
fn metrics_of_imbalance_agree_with_scikit_learn() {
    for case in fixture().imbalance {
        let classes = case.classes;
        let label = |i: usize| ((noise(case.seed, i, 1).powi(3) * classes as f64) as usize).min(classes - 1);
        let labels: Vec<usize> = (0..case.n).map(label).collect();
        let answer = |i: usize| match noise(case.seed, i, 2) < 0.6 {
            true => labels[i],
            false => (noise(case.seed, i, 3) * classes as f64) as usize,
        };
        let probabilities: Vec<f32> = (0..case.n)
            .flat_map(|i| (0..classes).map(move |class| (i, class)))
            .map(|(i, class)| f32::from(u8::from(class == answer(i))))
            .collect();
        let e = evaluate_imbalance(&probabilities, &labels, classes, 1, "").unwrap();
        near(e.balanced_accuracy.mean, case.balanced_accuracy, 1e-12, "balanced accuracy");
        near(e.matthews.mean, case.matthews, 1e-12, "Matthews");
        near(e.macro_f1.mean, case.macro_f1, 1e-12, "macro-F1");
        for (ours, theirs) in e.per_class.iter().zip(&case.recall) {
            near(ours.recall.share, *theirs, 1e-12, "recall");
        }
    }
}

#[test]
fn rows_of_parquet_are_read_as_those_of_csv() {
    use engraft::data::vectors::{VectorReading, open_vectors};
    use engraft::features::{Format, write_features};
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("x.parquet");
    let features = Features::new(3, 1, vec![1.0, 2.0, 3.0]).unwrap();
    write_features(&path, Format::Parquet, &features, &["u".into(), "v".into(), "u".into()], false).unwrap();
    let reading = VectorReading { label: Some("path".into()), ..VectorReading::default() };
    let (set, _) = open_vectors(&path, &reading, &Silent).unwrap();
    let text = "path,row,f\nu,0,1\nv,1,2\nu,2,3\n";
    std::fs::write(temp.path().join("x.csv"), text).unwrap();
    let (same, _) = open_vectors(&temp.path().join("x.csv"), &reading, &Silent).unwrap();
    assert_eq!((set.labels.clone(), set.rows()), (same.labels.clone(), 3));
    let numbers = |set: &engraft::data::vectors::VectorSet| set.column("row").map(|column| column.cells.clone());
    assert_eq!(numbers(&set), numbers(&same));
}
