use rand::RngExt;

use super::*;
use crate::heads::Novelty;
use crate::progress::Silent;

const ROWS: usize = 300;
const COLUMNS: usize = 12;

fn features(seed: u64, rows: usize) -> Features {
    let mut stream = crate::rng::rng(seed, "test", 0);
    Features::new(rows, COLUMNS, (0..rows * COLUMNS).map(|_| stream.random::<f32>()).collect()).unwrap()
}

/// The out-of-fold predictions of a probe, and the answers of a head to other rows.
fn fitted(target: &dyn Target, train: &Features, test: &Features) -> (Probe, Vec<TargetAnswer>, Predictor) {
    let groups: Vec<usize> = (0..ROWS).collect();
    let (count, folds) = target.folds(5, &groups, "rows", &Silent);
    assert_eq!(count, 5);
    let solver = target.solver().unwrap();
    let probe = solver.probe(train, &folds, &Silent).unwrap();
    let head = solver.solve(train, &groups, probe.strength, &Silent).unwrap().rounded().unwrap().into();
    let novelty = Novelty::fit(train, &target.strata(), &groups, crate::heads::Metric::Direction, 1, 0.99).unwrap();
    let predictor = Predictor { head, calibration: probe.calibrated.calibration.clone(), novelty };
    let answers = (0..test.rows).map(|row| predictor.answer(test.row(row))).collect();
    (probe, answers, predictor)
}

/// Logits of a probe's fold heads, as a training by steps would give them: solved without the fold.
fn outputs_of(target: &dyn Target, train: &Features, strength: f64) -> Vec<FoldOutputs> {
    let groups: Vec<usize> = (0..ROWS).collect();
    let (count, folds) = target.folds(5, &groups, "rows", &Silent);
    let part = |fold: usize| {
        let (held, training): (Vec<usize>, Vec<usize>) = (0..ROWS).partition(|&row| folds[row] == fold);
        let head = target.solver().unwrap().solve(train, &training, strength, &Silent).unwrap();
        (held.clone(), head.of_features(&train.select(&held)))
    };
    (0..count).map(part).collect()
}

#[test]
fn numbers_from_features_to_held_out_intervals() {
    let told = |features: &Features, seed: u64| -> Vec<f64> {
        let mut stream = crate::rng::rng(seed, "noise", 0);
        let value = |row: &[f32]| 10.0 * f64::from(row[0]) - 4.0 * f64::from(row[1]);
        (0..features.rows).map(|row| value(features.row(row)) + stream.random::<f64>() - 0.5).collect()
    };
    let (train, test) = (features(1, ROWS), features(2, 500));
    let settings = TargetSettings { seed: 1, ..TargetSettings::default() };
    let (target, held) = (numbers(told(&train, 1), &settings), numbers(told(&test, 2), &settings));
    let (probe, answers, predictor) = fitted(&*target, &train, &test);
    let all: Vec<usize> = (0..ROWS).collect();
    let measures = target.measure(&probe.calibrated.predictions, &all, "out-of-fold").unwrap();
    let Measures::Numbers { evaluation, coverage: Some(covered) } = measures else { panic!("numbers, with intervals") };
    assert!(evaluation.r2.mean > 0.95, "{:?}", evaluation.r2);
    assert!((covered.measured.mean - 0.9).abs() < 0.03, "{covered:?}");
    let scores = &probe.calibrated.scores;
    let mean = scores.iter().sum::<f64>() / scores.len() as f64;
    assert!((mean - evaluation.r2.mean).abs() < 1e-9, "the mean score is R²: {mean} {:?}", evaluation.r2);
    let rows: Vec<usize> = (0..500).collect();
    let Measures::Numbers { coverage: Some(on_test), .. } =
        held.measure(&held.collect(&answers), &rows, "test").unwrap()
    else {
        panic!("numbers, with intervals")
    };
    assert!((on_test.measured.mean - 0.9).abs() < 0.06, "{on_test:?}");
    assert!((on_test.width / covered.width - 1.0).abs() < 0.1, "{} {}", on_test.width, covered.width);
    assert!(predictor.answer(&[-9.0; COLUMNS]).unlike() && !answers[0].unlike());

    // A training by steps has no fold heads to answer with: the interval is about the number itself.
    let stepped = target.calibrate(&outputs_of(&*target, &train, probe.strength)).unwrap();
    let predictor = Predictor { calibration: stepped.calibration, ..predictor };
    let answers: Vec<TargetAnswer> = (0..500).map(|row| predictor.answer(test.row(row))).collect();
    let Measures::Numbers { coverage: Some(stepped), .. } =
        held.measure(&held.collect(&answers), &rows, "test").unwrap()
    else {
        panic!("numbers, with intervals")
    };
    assert!((stepped.measured.mean - 0.9).abs() < 0.06, "{stepped:?}");
}

#[test]
fn label_sets_from_features_to_held_out_answers() {
    let labels_of = |features: &Features| -> Vec<bool> {
        let row = |row| [0.5f32, 0.7, 0.85].iter().enumerate().map(move |(k, least)| features.row(row)[k] > *least);
        (0..features.rows).flat_map(row).collect()
    };
    let (train, test) = (features(1, ROWS), features(2, 200));
    let mut y = labels_of(&train);
    // One label that is plainly wrong.
    let sure = (0..ROWS).find(|&row| train.row(row)[0] > 0.97).unwrap();
    y[sure * 3] = false;
    let names = ["a", "b", "c"].map(String::from).to_vec();
    let settings = TargetSettings { seed: 1, ..TargetSettings::default() };
    let (target, held) = (label_sets(y, names.clone(), &settings), label_sets(labels_of(&test), names, &settings));
    let (probe, answers, _) = fitted(&*target, &train, &test);
    let all: Vec<usize> = (0..ROWS).collect();
    let Measures::LabelSets(evaluation) = target.measure(&probe.calibrated.predictions, &all, "x").unwrap() else {
        panic!("label sets")
    };
    assert!(evaluation.map.mean > 0.9 && evaluation.map.low > evaluation.chance_map, "{:?}", evaluation.map);
    let Suspects::LabelSets(suspects) = target.suspects(&probe.calibrated.predictions, &all).unwrap() else {
        panic!("label sets")
    };
    assert_eq!((suspects[0].index, suspects[0].label, suspects[0].given), (sure, 0, false));
    let rows: Vec<usize> = (0..200).collect();
    let Measures::LabelSets(on_test) = held.measure(&held.collect(&answers), &rows, "test").unwrap() else {
        panic!("label sets")
    };
    assert!(on_test.macro_f1.mean > 0.8, "{:?}", on_test.macro_f1);
    // Calibrated as a training by steps is, the same outputs give nearly the same answers.
    let stepped = target.calibrate(&outputs_of(&*target, &train, probe.strength)).unwrap();
    let mean = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len() as f64;
    let (solved, stepped) = (mean(&probe.calibrated.scores), mean(&stepped.scores));
    assert!((solved - stepped).abs() < 0.03 && solved > 0.8, "{solved} {stepped}");
}

#[test]
fn classes_are_calibrated_alike_by_both_ways() {
    let train = features(1, ROWS);
    let labels: Vec<usize> =
        (0..ROWS).map(|row| usize::from(train.row(row)[0] + 0.4 * train.row(row)[1] > 0.7)).collect();
    let target = classes(labels, 2, &TargetSettings::default());
    let (probe, ..) = fitted(&*target, &train, &features(2, 10));
    let stepped = target.calibrate(&outputs_of(&*target, &train, probe.strength)).unwrap();
    let differ = stepped.scores.iter().zip(&probe.calibrated.scores).filter(|(a, b)| a != b).count();
    assert!(differ < 6, "{differ} of {ROWS}");
    let rows: Vec<usize> = (0..ROWS).collect();
    let paired = target.compare(&stepped.predictions, &probe.calibrated.predictions, &rows).unwrap();
    assert!(paired.difference.abs() < 0.02, "{paired:?}");
    let some = [1, 4, 7];
    let Predictions::Classes(selected) = probe.calibrated.predictions.select(&some, ROWS) else { panic!("classes") };
    let Predictions::Classes(all) = &probe.calibrated.predictions else { panic!("classes") };
    assert_eq!(selected[2..4], all[8..10]);
}
