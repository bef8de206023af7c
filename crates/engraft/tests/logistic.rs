//! Against scikit-learn: optima and metrics. The fixture is made by `tests/fixtures/logistic.py`.

mod reference;

use engraft::features::Features;
use engraft::heads::logistic::{ClassWeights, fit_with_effort, softmax};
use engraft::metrics::evaluate;
use engraft::progress::Silent;
use reference::noise;
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    seed: u32,
    rows: usize,
    columns: usize,
    classes: usize,
    c: f64,
    balanced: bool,
    label_sum: usize,
    feature_sum: f64,
    objective: f64,
    coefficients: Vec<f64>,
    intercepts: Vec<f64>,
    macro_f1: f64,
    log_loss: f64,
    brier: f64,
}

/// As `table` in the script.
fn table(seed: u32, rows: usize, columns: usize, classes: usize) -> (Features, Vec<usize>) {
    let label = |i| ((noise(seed, i, 999_983).powf(1.5) * classes as f64) as usize).min(classes - 1);
    let labels: Vec<usize> = (0..rows).map(label).collect();
    let value = |i: usize, j: usize| {
        let own = noise(seed, i, j) + 0.5 * noise(seed, i, j / 2 + 10_000);
        let shift = if j % classes == labels[i] { 0.25 } else { 0.0 };
        ((own + shift) * (1 + j % 5) as f64 + (j % 7) as f64) as f32
    };
    let values = (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))).map(|(i, j)| value(i, j)).collect();
    (Features::new(rows, columns, values).unwrap(), labels)
}

#[test]
fn optima_and_metrics_agree_with_scikit_learn() {
    let fixture: Fixture = serde_json::from_str(include_str!("fixtures/logistic.json")).unwrap();
    assert_eq!(fixture.cases.len(), 32);
    let mut worst = [0.0f64; 2];
    for case in &fixture.cases {
        let (features, labels) = table(case.seed, case.rows, case.columns, case.classes);
        let label_sum: usize = labels.iter().enumerate().map(|(i, label)| label * (i + 1)).sum();
        let feature_sum: f64 = features.values.iter().map(|&x| f64::from(x)).sum();
        assert_eq!(label_sum, case.label_sum);
        assert!((feature_sum - case.feature_sum).abs() < 1e-9 * feature_sum);

        let weights = if case.balanced { ClassWeights::Balanced } else { ClassWeights::None };
        let (model, effort) = fit_with_effort(&features, &labels, case.classes, case.c, &weights, &Silent).unwrap();
        let name = format!("{}x{} K={} C={} {weights:?}", case.rows, case.columns, case.classes, case.c);
        assert!(effort.converged, "{name}: {effort:?}");
        let gap = (effort.objective / case.objective - 1.0).abs();
        worst[0] = worst[0].max(gap);
        assert!(gap < 1e-8, "{name}: objective {} against {}", effort.objective, case.objective);

        // Our weights are of raw columns; the script's of scaled ones.
        let n = case.rows as f64;
        let variances: Vec<(f64, f64)> = (0..case.columns)
            .map(|j| {
                let column: Vec<f64> = (0..case.rows).map(|i| f64::from(features.row(i)[j])).collect();
                let mean = column.iter().sum::<f64>() / n;
                (mean, column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n)
            })
            .collect();
        let shared = variances.iter().map(|(_, variance)| variance).sum::<f64>() / case.columns as f64;
        let moments: Vec<(f64, f64)> =
            variances.into_iter().map(|(mean, variance)| (mean, variance.max(shared).sqrt())).collect();
        let row = |k: usize| &model.weights[k * case.columns..(k + 1) * case.columns];
        let (rows, intercepts): (Vec<Vec<f64>>, Vec<f64>) = if case.classes == 2 {
            let difference = row(1).iter().zip(row(0)).map(|(a, b)| a - b).collect();
            (vec![difference], vec![model.intercepts[1] - model.intercepts[0]])
        } else {
            ((0..case.classes).map(|k| row(k).to_vec()).collect(), model.intercepts.clone())
        };
        let standardised = rows.iter().flat_map(|row| row.iter().zip(&moments).map(|(w, (_, scale))| w * scale));
        let largest = case.coefficients.iter().fold(0.0f64, |most, w| most.max(w.abs()));
        for (ours, theirs) in standardised.zip(&case.coefficients) {
            worst[1] = worst[1].max((ours - theirs).abs() / largest);
            assert!((ours - theirs).abs() < 1e-3 * largest, "{name}: coefficient {ours} against {theirs}");
        }
        for ((row, intercept), theirs) in rows.iter().zip(&intercepts).zip(&case.intercepts) {
            let at_mean = intercept + row.iter().zip(&moments).map(|(w, (mean, _))| w * mean).sum::<f64>();
            assert!((at_mean - theirs).abs() < 1e-3 * theirs.abs().max(1.0), "{name}: {at_mean} against {theirs}");
        }

        let probabilities: Vec<f32> =
            (0..case.rows).flat_map(|i| softmax(&model.values(features.row(i)), 1.0)).map(|p| p as f32).collect();
        let evaluation = evaluate(&probabilities, &labels, case.classes, 1, "training set").unwrap();
        assert!((evaluation.macro_f1.mean - case.macro_f1).abs() < 1e-9, "{name}");
        assert!((evaluation.log_loss.mean - case.log_loss).abs() < 1e-5 * case.log_loss.max(0.01), "{name}");
        assert!((evaluation.brier.mean - case.brier).abs() < 1e-5 * case.brier.max(0.01), "{name}");
    }
}
