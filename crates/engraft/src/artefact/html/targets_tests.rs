use super::sample::{self, HOSTILE};
use super::tests::{assert_nested, assert_stands_alone, words};
use super::*;
use crate::artefact::report::{SCHEMA, UnlikeReport};
use crate::artefact::target_report::*;
use crate::data::Task;
use crate::evaluate::Paired;
use crate::features::Features;
use crate::head::{Metric, Novelty};
use crate::progress::Silent;
use crate::targets::{self, Calibration, Measures, Predictions, Predictor, Target, TargetAnswer, TargetSettings};
use rand::RngExt;

const COMMAND: &str = "engraft fit photos.csv --base glyphs --seed 7 --out runs/photos";
const ROWS: usize = 160;

fn features(seed: u64, rows: usize) -> Features {
    let mut stream = crate::rng::rng(seed, "test", 0);
    Features::new(rows, 6, (0..rows * 6).map(|_| stream.random::<f32>()).collect()).unwrap()
}

fn files() -> Vec<String> {
    (0..ROWS).map(|i| if i == 3 { format!("a/{HOSTILE}.jpg") } else { format!("a/IMG_{i:04}.jpg") }).collect()
}

/// A report of a real fit of made-up features, with a made-up control.
fn report(task: Task) -> TargetReport {
    let like = sample::report(3, 60, true);
    let train = features(1, ROWS);
    let test = features(2, 60);
    let groups: Vec<usize> = (0..ROWS).collect();
    let files = files();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let names = vec!["crack".to_owned(), HOSTILE.to_owned(), "rust".to_owned()];
    let settings = TargetSettings { seed: 1, ..TargetSettings::default() };
    let all: Vec<usize> = (0..ROWS).collect();
    let held: Vec<usize> = (0..60).collect();
    let (mut regression, mut multi_label) = (None, None);
    // What a fit does, in short: a probe's out-of-fold predictions, and a head's answers to the test split.
    let fitted = |ours: &dyn Target, theirs: &dyn Target| {
        let (_, folds) = ours.folds(5, &groups, "images", &Silent);
        let probe = ours.solver().unwrap().probe(&train, &folds, &Silent).unwrap();
        let head = ours.solver().unwrap().solve(&train, &all, probe.strength, &Silent).unwrap();
        let novelty = Novelty::fit(&train, &ours.strata(), &groups, Metric::Direction, 1, 0.99).unwrap();
        let calibration = probe.calibrated.calibration.clone();
        let predictor = Predictor { head: head.into(), calibration, novelty };
        let answers: Vec<TargetAnswer> = (0..60).map(|row| predictor.answer(test.row(row))).collect();
        let measures = ours.measure(&probe.calibrated.predictions, &all, "5-fold out-of-fold").unwrap();
        let held = theirs.measure(&theirs.collect(&answers), &held, "the given test split").unwrap();
        (probe, measures, held)
    };
    let probe = match task {
        Task::Regression => {
            let value = |row: &[f32]| 30.0 * f64::from(row[0]) + 9.0 * f64::from(row[1] * row[2]);
            let of = |features: &Features| (0..features.rows).map(|i| value(features.row(i))).collect::<Vec<f64>>();
            let y = of(&train);
            let (ours, theirs) = (targets::numbers(y.clone(), &settings), targets::numbers(of(&test), &settings));
            let (probe, measures, held) = fitted(&*ours, &*theirs);
            let (
                Measures::Numbers { evaluation, coverage },
                Measures::Numbers { evaluation: of_test, coverage: on_test },
            ) = (measures, held)
            else {
                panic!("numbers")
            };
            let Predictions::Numbers { values, .. } = &probe.calibrated.predictions else { panic!("numbers") };
            let points = y.iter().zip(values);
            let points = points.map(|(&truth, &prediction)| NumberPoint { truth, prediction, held: Some(true) });
            let worst = (0..20).map(|i| NumberMistake { file: files[i].into(), truth: y[i], prediction: values[i] });
            regression = Some(RegressionReport {
                evaluation,
                coverage,
                level: 0.9,
                points: points.collect(),
                worst: worst.collect(),
                held_out: vec![HeldNumbers {
                    split: "test".into(),
                    evaluation: of_test,
                    coverage: on_test,
                    unlike: 0.1,
                }],
            });
            probe
        }
        _ => {
            let has = |row: &[f32], label: usize| row[label] + 0.3 * row[5] > 0.8 + 0.1 * label as f32;
            let of = |features: &Features| {
                (0..features.rows * 3).map(|at| has(features.row(at / 3), at % 3)).collect::<Vec<bool>>()
            };
            let ours = targets::label_sets(of(&train), names.clone(), &settings);
            let theirs = targets::label_sets(of(&test), names.clone(), &settings);
            let (probe, measures, held) = fitted(&*ours, &*theirs);
            let (Measures::LabelSets(evaluation), Measures::LabelSets(of_test)) = (measures, held) else {
                panic!("label sets")
            };
            let Calibration::LabelSets { temperature, thresholds } = probe.calibrated.calibration.clone() else {
                panic!("label sets")
            };
            let worst = LabelsMistake { file: files[3].into(), missing: names.clone(), wrong: vec![HOSTILE.into()] };
            let error = |i: usize| SuspectedReport {
                file: files[i].into(),
                label: names[i % 3].clone(),
                given: i.is_multiple_of(2),
                probability: 0.5,
            };
            multi_label = Some(MultiLabelReport {
                evaluation,
                thresholds,
                temperature,
                worst: vec![worst],
                label_errors: (0..6).map(error).collect(),
                held_out: vec![HeldLabels { split: "test".into(), evaluation: of_test, unlike: 0.0 }],
            });
            probe
        }
    };
    let strengths = probe.tried.iter().map(|tried| TriedTarget { strength: tried.value, loss: tried.loss });
    let choice = TargetChoice {
        depth: "head".into(),
        cut: "layer4".into(),
        reason: "depth `head` was asked for".into(),
        tried: Vec::new(),
        left_out: Vec::new(),
        strengths: strengths.collect(),
        strength: probe.strength,
    };
    let paired = Paired {
        difference: 0.31,
        low: 0.26,
        high: 0.36,
        n: ROWS,
        how: "bootstrap".into(),
        verdict: "positive transfer".into(),
    };
    TargetReport {
        baselines: like.controls.baselines.clone(),
        table: None,
        schema: SCHEMA,
        command: "fit".into(),
        version: "0.1.0".into(),
        task,
        base: like.base,
        data: TargetDataReport {
            unit: "images".into(),
            path: format!("/data/{HOSTILE}"),
            reason: "all labels are numbers, from 1 to 39".into(),
            examples: ROWS + 60,
            train: ROWS,
            labels: if task == Task::MultiLabel { names } else { Vec::new() },
            fingerprint: like.data.fingerprint,
            audit: like.data.audit,
        },
        choice,
        regression,
        multi_label,
        tags: None,
        answers: None,
        scratch: Some(TargetScratch { how: "40 epochs".into(), measures: std::collections::BTreeMap::new(), paired }),
        verdict: "positive transfer".into(),
        unlike: UnlikeReport { threshold: 0.4, k: 3, references: ROWS, metric: Metric::Direction },
        seed: 7,
        config: like.config,
        seconds: like.seconds,
        text: None,
        images_per_second: 96.4,
        peak_memory_mb: 412.7,
    }
}

#[test]
fn the_pages_stand_alone_and_names_cannot_become_markup() {
    for task in [Task::Regression, Task::MultiLabel] {
        let report = report(task);
        let page = render_target(&report, &[], &[], COMMAND);
        assert_stands_alone(&page);
        assert_nested(&page);
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(!words(&page).contains("NaN"), "{}", words(&page));
        assert_eq!(page, render_target(&report, &[], &[], COMMAND), "equal reports give equal pages");
    }
}

#[test]
fn the_reports_survive_json() {
    for task in [Task::Regression, Task::MultiLabel] {
        let report = report(task);
        let text = serde_json::to_string(&report).unwrap();
        let read: TargetReport = serde_json::from_str(&text).unwrap();
        assert_eq!((read.task, &read.data), (task, &report.data));
        assert_eq!(read.regression.is_some(), report.regression.is_some());
        // Numbers may lose their last bit on the way through decimal text; nothing else may be lost.
        let shape = |report: &TargetReport| {
            let text = serde_json::to_string(report).unwrap();
            text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>()
        };
        assert_eq!(shape(&read), shape(&report));
        assert_eq!(text.contains("\"regression\":{\"mae\""), task == Task::Regression);
        assert_eq!(text.contains("\"multi_label\":{\"map\""), task == Task::MultiLabel);
    }
}

#[test]
fn the_answers_are_sentences() {
    let mut numbers = report(Task::Regression);
    let text = words(&render_target(&numbers, &[], &[], COMMAND));
    assert!(text.contains("On images like these, its number is off by"), "{text}");
    assert!(text.contains("measured on 60 images it was not trained on."), "{text}");
    assert!(text.contains("the mean absolute error is smaller by 0.3100 (0.2600 to 0.3600)"), "{text}");
    assert!(text.contains("as promised"), "{text}");
    let paired = &mut numbers.scratch.as_mut().unwrap().paired;
    (paired.difference, paired.low, paired.high) = (-0.2, -0.3, 0.1);
    let part = numbers.regression.as_mut().unwrap();
    part.held_out.clear();
    part.coverage = None;
    let text = words(&render_target(&numbers, &[], &[], COMMAND));
    assert!(text.contains("of the training data, each answered by a copy"), "{text}");
    assert!(text.contains("There are too few examples for intervals"), "{text}");
    assert!(text.contains("the mean absolute error is larger by 0.2000 (−0.1000 to 0.3000)"), "{text}");

    let mut sets = report(Task::MultiLabel);
    sets.scratch = None;
    let part = sets.multi_label.as_mut().unwrap();
    part.thresholds[2] = None;
    part.worst.clear();
    let text = words(&render_target(&sets, &[], &[], COMMAND));
    assert!(text.contains("its labels reach a mean average precision of"), "{text}");
    assert!(text.contains("Transfer not measured"), "{text}");
    assert!(text.contains("never given") && text.contains("1 of the labels are never given"), "{text}");
    assert!(text.contains("Every out-of-fold answer was right."), "{text}");
}

#[test]
#[ignore = "writes pages to look at: ENGRAFT_SAMPLES=/tmp cargo test --workspace target_samples -- --ignored"]
fn target_samples_to_look_at() {
    let folder = std::env::var_os("ENGRAFT_SAMPLES").map_or_else(std::env::temp_dir, Into::into);
    for task in [Task::Regression, Task::MultiLabel] {
        let page = render_target(&report(task), &[], &[], COMMAND);
        crate::files::write_atomic(&folder.join(format!("report_{task}.html")), page.as_bytes()).unwrap();
    }
}
