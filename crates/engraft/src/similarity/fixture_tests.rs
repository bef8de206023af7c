//! Against scikit-learn, scipy and numpy. The fixture is made by `tests/fixtures/similarity.py`.

use serde::Deserialize;
use serde_json::Value;

use super::frechet::between;
use super::h_score::h_score;
use super::logme::{LinearEvidence, logme};
use super::parc::parc;
use super::predicted::Predicted;
use super::reference::{close, noise};
use super::source_classes::{leep, nce};
use crate::features::Features;
use crate::heads::softmax;

/// The cases of a kind.
fn cases<T: for<'a> Deserialize<'a>>(kind: &str) -> Vec<T> {
    let fixture: Value = serde_json::from_str(include_str!("../../tests/fixtures/similarity.json")).unwrap();
    let cases: Vec<T> = serde_json::from_value(fixture[kind].clone()).unwrap();
    assert!(!cases.is_empty());
    cases
}

/// As `table` in the script.
fn table(seed: u32, rows: usize, columns: usize, shift: f64, spread: f64) -> Features {
    let value = |i: usize, j: usize| {
        let own = noise(seed, i, j) + 0.5 * noise(seed, i, j / 2 + 10_000);
        (own * (1.0 + spread * (j % 5) as f64) + shift * (j % 3) as f64) as f32
    };
    let values = (0..rows).flat_map(|i| (0..columns).map(move |j| value(i, j))).collect();
    Features::new(rows, columns, values).unwrap()
}

fn drawn_labels(seed: u32, rows: usize, classes: usize) -> Vec<usize> {
    let label = |i| ((noise(seed, i, 999_983).powf(1.5) * classes as f64) as usize).min(classes - 1);
    (0..rows).map(label).collect()
}

/// As `told` in the script.
fn told(seed: u32, rows: usize, columns: usize, classes: usize) -> (Features, Vec<usize>) {
    let (mut features, labels) = (table(seed, rows, columns, 0.0, 1.0), drawn_labels(seed, rows, classes));
    for (row, label) in features.values.chunks_exact_mut(columns).zip(&labels) {
        row.iter_mut().step_by(3).for_each(|x| *x = (f64::from(*x) + 0.5 * *label as f64) as f32);
    }
    (features, labels)
}

#[derive(Deserialize)]
struct FrechetCase {
    seed: u32,
    rows: usize,
    columns: usize,
    distance: f64,
}

#[test]
fn frechet_agrees_with_the_formula_of_torch_fidelity() {
    for case in cases::<FrechetCase>("frechet") {
        let source = table(case.seed, case.rows, case.columns, 0.0, 1.0);
        let target = table(case.seed + 1, case.rows + 3, case.columns, 0.5, 0.5);
        let found = between(&source, &target).unwrap();
        close("distance", &[found], &[case.distance], case.distance, 1e-8);
        assert!((between(&target, &source).unwrap() - found).abs() < 1e-10 * found);
    }
}

#[derive(Deserialize)]
struct Evidence {
    alpha: f64,
    beta: f64,
    per_example: f64,
}

#[derive(Deserialize)]
struct LogMeCase {
    seed: u32,
    rows: usize,
    columns: usize,
    classes: usize,
    of_classes: Vec<Evidence>,
    of_numbers: Evidence,
    of_labels: Vec<Evidence>,
}

#[track_caller]
fn same(what: &str, found: &[Option<LinearEvidence>], reference: &[Evidence]) {
    assert_eq!(found.len(), reference.len());
    for (found, reference) in found.iter().zip(reference) {
        let found = found.unwrap();
        close(what, &[found.per_example], &[reference.per_example], reference.per_example.abs(), 1e-8);
        // Where the features say next to nothing the maximum is at an infinite alpha.
        if reference.alpha < 1e6 {
            close(what, &[found.alpha], &[reference.alpha], reference.alpha, 1e-4);
            close(what, &[found.beta], &[reference.beta], reference.beta, 1e-4);
        }
    }
}

#[test]
fn logme_is_the_greatest_density_of_the_targets() {
    for case in cases::<LogMeCase>("logme") {
        let (features, labels) = told(case.seed, case.rows, case.columns, case.classes);
        let found = logme(&features, Predicted::Classes { labels: &labels, classes: case.classes }).unwrap();
        same("classes", &found.targets, &case.of_classes);
        let mean = case.of_classes.iter().map(|class| class.per_example).sum::<f64>() / case.classes as f64;
        assert!((found.per_example - mean).abs() < 1e-8);
        let number = |i: usize| {
            let row = features.row(i);
            3.0 * f64::from(row[0]) - f64::from(row[1]) + 2.0 * noise(case.seed + 7, i, 5) + 40.0
        };
        let numbers: Vec<f64> = (0..case.rows).map(number).collect();
        same("numbers", &logme(&features, Predicted::Numbers(&numbers)).unwrap().targets, &[case.of_numbers]);
        let has = |i: usize, j: usize| noise(case.seed + 3, i, j) < if labels[i] == j { 0.7 } else { 0.4 };
        let sets: Vec<bool> = (0..case.rows).flat_map(|i| [has(i, 0), has(i, 1)]).collect();
        let found = logme(&features, Predicted::LabelSets { labels: &sets, count: 2 }).unwrap();
        same("labels", &found.targets, &case.of_labels);
    }
}

#[derive(Deserialize)]
struct ScoreCase {
    seed: u32,
    rows: usize,
    columns: usize,
    classes: usize,
    score: f64,
}

#[test]
fn the_h_score_and_parc_agree() {
    for case in cases::<ScoreCase>("h_score") {
        let (features, labels) = told(case.seed, case.rows, case.columns, case.classes);
        let found = h_score(&features, &labels, case.classes).unwrap();
        close("H-score", &[found], &[case.score], case.score, 1e-9);
    }
    for case in cases::<ScoreCase>("parc") {
        let (features, labels) = told(case.seed, case.rows, case.columns, case.classes);
        let found = parc(&features, Predicted::Classes { labels: &labels, classes: case.classes }, 1).unwrap();
        close("PARC", &[found], &[case.score], 1.0, 1e-9);
    }
}

#[derive(Deserialize)]
struct SourceClassesCase {
    seed: u32,
    rows: usize,
    source_classes: usize,
    classes: usize,
    nce: f64,
    leep: f64,
}

#[test]
fn scores_of_a_base_s_own_classes_agree() {
    for case in cases::<SourceClassesCase>("source_classes") {
        let labels = drawn_labels(case.seed, case.rows, case.classes);
        let logit =
            |i: usize, k: usize| 8.0 * noise(case.seed, i, k) + if labels[i] == k % case.classes { 3.0 } else { 0.0 };
        let rows = (0..case.rows).map(|i| (0..case.source_classes).map(|k| logit(i, k)).collect::<Vec<_>>());
        let logits: Vec<Vec<f64>> = rows.collect();
        let probabilities: Vec<f32> =
            logits.iter().flat_map(|row| softmax(row, 1.0)).map(|probability| probability as f32).collect();
        let likeliest = |row: &Vec<f64>| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
        let source: Vec<usize> = logits.iter().map(likeliest).collect();
        close("NCE", &[nce(&source, &labels, case.classes).unwrap()], &[case.nce], 1.0, 1e-12);
        let found = leep(&probabilities, case.source_classes, &labels, case.classes).unwrap();
        close("LEEP", &[found], &[case.leep], 1.0, 1e-7);
    }
}
