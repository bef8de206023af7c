//! Against scikit-learn, POT, scipy, QuaPy and numpy. The fixture is made by `tests/fixtures/domain.py`.

use faer::Mat;
use serde::Deserialize;
use serde_json::Value;

use super::calibration::BiasedTemperature;
use super::components::{BothDomains, ComponentOptions, jda, tca};
use super::confusion::{Confusion, Votes};
use super::coral::coral;
use super::prior::prior_shift;
use super::transport::transport;
use crate::features::Features;
use crate::heads::{ClassWeights, fit_weighted, softmax};
use crate::progress::Silent;
use crate::similarity::fixture_tests::table;
use crate::similarity::mmd::mmd;
use crate::similarity::moments::ledoit_wolf;
use crate::similarity::symmetric::product;

use crate::similarity::reference::{close, largest, noise, numbers};

/// The cases of a kind.
fn cases<T: for<'a> Deserialize<'a>>(kind: &str) -> Vec<T> {
    let fixture: Value = serde_json::from_str(include_str!("../../../tests/fixtures/domain.json")).unwrap();
    let cases: Vec<T> = serde_json::from_value(fixture[kind].clone()).unwrap();
    assert!(!cases.is_empty());
    cases
}

/// Source and target of most cases.
fn domains(seed: u32, rows: usize, columns: usize) -> (Features, Features) {
    (table(seed, rows, columns, 0.0, 1.0), table(seed + 1, rows + 3, columns, 0.5, 0.5))
}

pub(crate) fn drawn_labels(seed: u32, rows: usize, classes: usize, power: f64) -> Vec<usize> {
    let label = |i| ((noise(seed, i, 999_983).powf(power) * classes as f64) as usize).min(classes - 1);
    (0..rows).map(label).collect()
}

fn logits(seed: u32, classes: usize, labels: &[usize]) -> Vec<f64> {
    let value = |i: usize, k: usize| 4.0 * noise(seed, i, k) + if labels[i] == k { 1.5 } else { 0.0 };
    (0..labels.len()).flat_map(|i| (0..classes).map(move |k| value(i, k))).collect()
}

pub(crate) fn probabilities(seed: u32, classes: usize, labels: &[usize]) -> Vec<f64> {
    logits(seed, classes, labels).chunks_exact(classes).flat_map(|row| softmax(row, 1.0)).collect()
}

/// Row-major.
fn flat(matrix: &Mat<f64>) -> Vec<f64> {
    matrix.row_iter().flat_map(|row| row.iter().copied().collect::<Vec<_>>()).collect()
}

/// Within `tolerance` of the largest number of the reference.
#[track_caller]
fn agree(what: &str, ours: &[f64], reference: &[f64], tolerance: f64) {
    close(what, ours, reference, largest(reference), tolerance);
}

#[derive(Deserialize)]
struct AffineCase {
    seed: u32,
    rows: usize,
    columns: usize,
    shrinkage: [f64; 2],
    source_covariance: Value,
    coral: Value,
    transport: Value,
}

#[test]
fn covariances_coral_and_transport_agree() {
    for case in cases::<AffineCase>("affine") {
        let name = format!("{}x{}", case.rows, case.columns);
        let (source, target) = domains(case.seed, case.rows, case.columns);
        let shrunk = ledoit_wolf(&source).unwrap();
        let shrinkage = [shrunk.shrinkage, ledoit_wolf(&target).unwrap().shrinkage];
        agree(&name, &flat(&shrunk.covariance), &numbers(&case.source_covariance), 1e-10);
        close(&name, &shrinkage, &case.shrinkage, 1.0, 1e-10);
        agree(&name, &flat(&coral(&source, &target).unwrap().matrix), &numbers(&case.coral), 1e-8);
        agree(&name, &flat(&transport(&source, &target).unwrap().matrix), &numbers(&case.transport), 1e-8);
    }
}

#[derive(Deserialize)]
struct ComponentsCase {
    seed: u32,
    rows: usize,
    columns: usize,
    components: usize,
    penalty: f64,
    joint: bool,
    eigenvalues: Vec<f64>,
    outer: Value,
}

#[test]
fn components_span_the_same_space_as_scipys() {
    for case in cases::<ComponentsCase>("components") {
        let name = format!("{}x{} {}", case.rows, case.columns, case.joint);
        let (source, target) = domains(case.seed, case.rows, case.columns);
        let labels = drawn_labels(case.seed, case.rows, 3, 1.5);
        let domains = BothDomains { source: &source, labels: &labels, target: &target, classes: 3 };
        let options = ComponentOptions { components: case.components, penalty: case.penalty, seed: 1 };
        let found = if case.joint {
            jda(&domains, &drawn_labels(case.seed + 1, case.rows + 3, 3, 1.0), &options)
        } else {
            tca(&domains, &options)
        };
        let found = found.unwrap();
        for (ours, theirs) in found.eigenvalues.iter().zip(&case.eigenvalues) {
            assert!((ours - theirs).abs() < 1e-8 * theirs, "{name}: {ours} {theirs}");
        }
        // Columns of unit scatter are unique but for their sign, which the product does not show.
        let p = &found.map.matrix;
        let corner = case.columns.min(6);
        let outer = product(p.as_ref(), p.transpose()).get(..corner, ..corner).to_owned();
        agree(&name, &flat(&outer), &numbers(&case.outer), 1e-8);
    }
}

#[derive(Deserialize)]
struct WeightedCase {
    seed: u32,
    classes: usize,
    c: f64,
    balanced: bool,
    coefficients: Value,
    intercepts: Vec<f64>,
}

#[test]
fn example_weights_agree_with_scikit_learn() {
    for case in cases::<WeightedCase>("weighted") {
        let (seed, classes) = (case.seed, case.classes);
        let labels = drawn_labels(seed, 90, classes, 1.5);
        let value = |i: usize, j: usize| {
            let own = noise(seed, i, j) + 0.5 * noise(seed, i, j / 2 + 10_000);
            let shift = if j % classes == labels[i] { 0.25 } else { 0.0 };
            ((own + shift) * (1 + j % 5) as f64 + (j % 7) as f64) as f32
        };
        let value = &value;
        let values = (0..90).flat_map(|i| (0..8).map(move |j| value(i, j))).collect();
        let features = Features::new(90, 8, values).unwrap();
        let weights: Vec<f64> = (0..90).map(|i| 0.25 + 4.0 * noise(seed, i, 777).powi(2)).collect();
        let class_weights = if case.balanced { ClassWeights::Balanced } else { ClassWeights::None };
        let model = fit_weighted(&features, &labels, classes, case.c, &class_weights, &weights, &Silent).unwrap();
        let (ours, intercepts) = if classes == 2 {
            let (zero, one) = model.weights.split_at(8);
            (one.iter().zip(zero).map(|(a, b)| a - b).collect(), vec![model.intercepts[1] - model.intercepts[0]])
        } else {
            (model.weights, model.intercepts)
        };
        let name = format!("{classes} classes, {class_weights:?}");
        agree(&name, &ours, &numbers(&case.coefficients), 1e-6);
        agree(&name, &intercepts, &case.intercepts, 1e-6);
    }
}

#[derive(Deserialize)]
struct CalibrationCase {
    seed: u32,
    rows: usize,
    classes: usize,
    temperature: f64,
    biases: Vec<f64>,
}

#[test]
fn biased_temperatures_agree_with_scipys_minimum() {
    for case in cases::<CalibrationCase>("bcts") {
        let labels = drawn_labels(case.seed, case.rows, case.classes, 1.5);
        let logits: Vec<f64> = logits(case.seed, case.classes, &labels).iter().map(|z| 2.0 * z).collect();
        let found = BiasedTemperature::fit(&logits, &labels, case.classes).unwrap();
        agree("temperature", &[found.temperature], &[case.temperature], 1e-6);
        agree("biases", &found.biases, &case.biases, 1e-6);
    }
}

#[derive(Deserialize)]
struct PriorCase {
    seed: u32,
    rows: usize,
    classes: usize,
    power: f64,
    shares: Vec<f64>,
    last: Vec<f64>,
}

#[test]
fn shares_by_expectation_maximisation_agree_with_quapy() {
    for PriorCase { seed, rows, classes, power, shares, last } in cases("em") {
        let rows = probabilities(seed, classes, &drawn_labels(seed, rows, classes, power));
        let total = (classes * (classes + 1)) as f64 / 2.0;
        let source: Vec<f64> = (1..=classes).rev().map(|share| share as f64 / total).collect();
        let found = prior_shift(&rows, &source).unwrap();
        agree("shares", &found.shares, &shares, 1e-6);
        agree("last row", &found.probabilities[rows.len() - classes..], &last, 1e-6);
    }
}

#[derive(Deserialize)]
struct ShiftCase {
    seed: u32,
    rows: usize,
    classes: usize,
    soft: bool,
    smallest_joint: f64,
    smallest_conditional: f64,
    bbse: Vec<f64>,
    rlls: Vec<f64>,
    strength: f64,
    regularised: Vec<f64>,
}

#[test]
fn label_shift_weights_agree() {
    for case in cases::<ShiftCase>("shift") {
        let ShiftCase { seed, rows, classes, soft, .. } = case;
        let labels = drawn_labels(seed, rows, classes, 1.5);
        let source = probabilities(seed, classes, &labels);
        let target = probabilities(seed + 1, classes, &drawn_labels(seed + 1, rows / 2, classes, 0.7));
        let votes = if soft { Votes::Soft } else { Votes::Hard };
        let confusion = Confusion::of(&source, &labels, &target, classes, votes).unwrap();
        let singular = [confusion.smallest_joint, confusion.smallest_conditional];
        close("singular values", &singular, &[case.smallest_joint, case.smallest_conditional], 1.0, 1e-10);
        agree("BBSE", &confusion.bbse().unwrap().weights, &case.bbse, 1e-8);
        agree("RLLS", &confusion.rlls().weights, &case.rlls, 1e-6);
        agree("regularised", &confusion.regularised(case.strength).weights, &case.regularised, 1e-6);
    }
}

#[derive(Deserialize)]
struct DiscrepancyCase {
    seed: u32,
    rows: usize,
    columns: usize,
    bandwidth: f64,
    statistic: f64,
}

#[test]
fn the_discrepancy_agrees_with_sums_over_all_pairs() {
    for case in cases::<DiscrepancyCase>("mmd") {
        let (source, target) = domains(case.seed, case.rows, case.columns);
        let found = mmd(&source, &target, 1).unwrap();
        close(
            "bandwidth and statistic",
            &[found.bandwidth, found.statistic],
            &[case.bandwidth, case.statistic],
            1.0,
            1e-9,
        );
    }
}
