//! Against scikit-learn and scipy. The fixture is made by `tests/fixtures/similarity.py`.

use serde::Deserialize;
use serde_json::Value;

use super::frechet::between;
use super::reference::{close, noise};
use crate::features::Features;

/// The cases of a kind.
fn cases<T: for<'a> Deserialize<'a>>(kind: &str) -> Vec<T> {
    let fixture: Value = serde_json::from_str(include_str!("../../tests/fixtures/similarity.json")).unwrap();
    let cases: Vec<T> = serde_json::from_value(fixture[kind].clone()).unwrap();
    assert!(!cases.is_empty());
    cases
}

/// As `table` in the script.
pub(crate) fn table(seed: u32, rows: usize, columns: usize, shift: f64, spread: f64) -> Features {
    let value = |i: usize, j: usize| {
        let own = noise(seed, i, j) + 0.5 * noise(seed, i, j / 2 + 10_000);
        (own * (1.0 + spread * (j % 5) as f64) + shift * (j % 3) as f64) as f32
    };
    let values = (0..rows).flat_map(|i| (0..columns).map(move |j| value(i, j))).collect();
    Features::new(rows, columns, values).unwrap()
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
