//! Scores of bases against scipy, numpy and scikit-learn. The fixture is made by `tests/fixtures/rank.py`.

use serde::Deserialize;

use super::class_scores::{h_score, leep, nce, parc};
use super::evidence::log_evidence;
use crate::features::Features;
use crate::methods::domain::fixture_tests::{drawn_labels, probabilities};
use crate::similarity::fixture_tests::table;
use crate::train::argmax;

#[derive(Deserialize)]
struct Case {
    seed: u32,
    rows: usize,
    columns: usize,
    classes: usize,
    evidence: f64,
    evidence_of_numbers: f64,
    h_score: f64,
    parc: f64,
    nce: f64,
    leep: f64,
}

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

/// As `features` in the script.
fn features(case: &Case, labels: &[usize]) -> Features {
    let mut features = table(case.seed, case.rows, case.columns, 0.0, 1.0);
    for (row, &label) in features.values.chunks_exact_mut(case.columns).zip(labels) {
        for x in row.iter_mut().step_by(3) {
            *x = (f64::from(*x) + 0.4 * label as f64) as f32;
        }
    }
    features
}

fn indicators(labels: &[usize], classes: usize) -> Vec<Vec<f64>> {
    (0..classes).map(|class| labels.iter().map(|&label| f64::from(u8::from(label == class))).collect()).collect()
}

#[track_caller]
fn near(what: &str, ours: f64, reference: f64, tolerance: f64) {
    assert!((ours - reference).abs() <= tolerance * reference.abs(), "{what}: {ours} against {reference}");
}

#[test]
fn scores_are_those_of_the_references() {
    let Cases { cases } = serde_json::from_str(include_str!("../../tests/fixtures/rank.json")).unwrap();
    for case in &cases {
        let labels = drawn_labels(case.seed, case.rows, case.classes, 1.0);
        let features = features(case, &labels);
        let evidence = log_evidence(&features, &indicators(&labels, case.classes)).unwrap();
        near("evidence", evidence, case.evidence, 1e-8);
        let number = |(row, &label): (&[f32], &usize)| 2.0 * f64::from(row[0]) - f64::from(row[1]) + 3.0 * label as f64;
        let numbers: Vec<f64> = features.values.chunks_exact(case.columns).zip(&labels).map(number).collect();
        near("numbers", log_evidence(&features, &[numbers]).unwrap(), case.evidence_of_numbers, 1e-8);
        near("H-score", h_score(&features, &labels, case.classes).unwrap(), case.h_score, 1e-6);
        near("PARC", parc(&features, &labels).unwrap(), case.parc, 1e-9);
        let own = probabilities(case.seed + 7, case.classes + 2, &labels);
        let classes: Vec<usize> = own
            .chunks_exact(case.classes + 2)
            .map(|row| argmax(&row.iter().map(|&p| p as f32).collect::<Vec<f32>>()))
            .collect();
        near("NCE", nce(&classes, &labels, case.classes), case.nce, 1e-12);
        near("LEEP", leep(&own, &labels, case.classes), case.leep, 1e-12);
    }
}

#[test]
fn evidence_is_higher_where_features_tell_more() {
    let labels = drawn_labels(5, 80, 2, 1.0);
    let case = |seed| table(seed, 80, 120, 0.0, 0.0);
    let informed = |strength: f32| {
        let mut features = case(9);
        for (row, &label) in features.values.chunks_exact_mut(120).zip(&labels) {
            row.iter_mut().take(20).for_each(|x| *x += strength * label as f32);
        }
        log_evidence(&features, &indicators(&labels, 2)).unwrap()
    };
    let evidences = [0.0, 0.2, 0.5, 1.5].map(informed);
    assert!(evidences.is_sorted() && evidences[3] > evidences[0] + 0.3, "{evidences:?}");
    // As in pure noise where nothing is told: -(ln 2 pi + n / (n - 1)) / 2, and never less.
    let none = -0.5 * ((std::f64::consts::TAU * 80.0 / 79.0).ln() + 1.0);
    assert!(evidences[0] >= none - 1e-9 && evidences[0] < none + 0.05, "{evidences:?} {none}");
}

#[test]
fn tables_that_tell_nothing_have_finite_scores() {
    let constant = Features::new(6, 3, vec![2.5; 18]).unwrap();
    let labels = [0, 1, 0, 1, 0, 1];
    let evidence = log_evidence(&constant, &indicators(&labels, 2)).unwrap();
    assert!(evidence.is_finite() && parc(&constant, &labels).unwrap() == 0.0, "{evidence}");
    // A class without an example has no part; a base that is certain of wrong classes has no infinite score.
    let features = table(1, 6, 3, 0.0, 1.0);
    assert!(log_evidence(&features, &indicators(&labels, 3)).unwrap().is_finite());
    let certain = [1.0, 0.0].repeat(6);
    assert!((leep(&certain, &labels, 2) - 0.5f64.ln()).abs() < 1e-12);
    assert!((nce(&[0, 1, 0, 1, 0, 1], &labels, 2)).abs() < 1e-12);
    let not_finite = Features::new(2, 1, vec![1.0, f32::NAN]).unwrap();
    assert!(log_evidence(&not_finite, &indicators(&[0, 1], 2)).is_err());
}

#[test]
fn scores_do_not_depend_on_threads() {
    let labels = drawn_labels(3, 70, 2, 1.0);
    let features = table(2, 70, 40, 0.0, 1.0);
    let of = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| [parc(&features, &labels).unwrap(), log_evidence(&features, &indicators(&labels, 2)).unwrap()])
    };
    assert_eq!(of(1), of(3));
}
