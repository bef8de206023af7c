use std::collections::BTreeMap;

use super::sample::{self, HOSTILE};
use super::tests::{assert_nested, assert_stands_alone, words};
use super::*;
use crate::data::Task;
use crate::features::Features;
use crate::heads::{Metric, Novelty};
use crate::metrics::{AnswerScore, Paired, Span, TaggedPair, evaluate_answers, evaluate_spans};
use crate::progress::Silent;
use crate::run::blocks::*;
use crate::run::report::*;
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
fn report(task: Task) -> Report {
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
    let (probe, target, measures) = match task {
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
            let regression =
                RegressionReport { evaluation, coverage, level: 0.9, points: points.collect(), worst: worst.collect() };
            let held = HeldBlock::Numbers(HeldNumbers { evaluation: of_test, coverage: on_test });
            (probe, TargetBlock::Numbers { regression }, held)
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
            let Calibration::LabelSets { thresholds, .. } = probe.calibrated.calibration.clone() else {
                panic!("label sets")
            };
            let worst = LabelsMistake { file: files[3].into(), missing: names.clone(), wrong: vec![HOSTILE.into()] };
            let error = |i: usize| SuspectedReport {
                file: files[i].into(),
                label: names[i % 3].clone(),
                given: i.is_multiple_of(2),
                probability: 0.5,
            };
            let multi_label = MultiLabelReport {
                evaluation,
                thresholds,
                worst: vec![worst],
                label_errors: (0..6).map(error).collect(),
            };
            (probe, TargetBlock::LabelSets { multi_label }, HeldBlock::LabelSets(Box::new(of_test)))
        }
    };
    let strengths = probe.tried.iter();
    let strengths =
        strengths.map(|tried| TriedStrength { strength: tried.value, loss: tried.loss, accuracy: tried.accuracy });
    let choice = Choice {
        depth: "head".into(),
        cut: "layer4".into(),
        reason: "depth `head` was asked for".into(),
        tried: Vec::new(),
        left_out: Vec::new(),
        strengths: strengths.collect(),
        strength: probe.strength,
        temperature: (task == Task::MultiLabel).then_some(1.1),
    };
    let paired = Paired {
        difference: 0.31,
        low: 0.26,
        high: 0.36,
        n: ROWS,
        how: "bootstrap".into(),
        verdict: "positive transfer".into(),
    };
    Report {
        task: task.name().into(),
        data: DataReport {
            path: format!("/data/{HOSTILE}"),
            reason: "all labels are numbers, from 1 to 39".into(),
            examples: ROWS + 60,
            train: ROWS,
            classes: if task == Task::MultiLabel { names } else { Vec::new() },
            ..like.data
        },
        choice,
        target,
        held_out: vec![HeldOutReport { split: "test".into(), measures, unlike: 0.1 }],
        controls: Controls {
            scratch: Some(ScratchReport {
                how: "40 epochs".into(),
                measures: BTreeMap::new(),
                paired,
                held_out: Vec::new(),
            }),
            ..like.controls
        },
        unlike: UnlikeReport { threshold: 0.4, k: 3, references: ROWS, rate: 0.05, metric: Metric::Direction },
        ..like
    }
}

/// A report on spans or answers, with names that are not trusted.
fn of_tokens(task: Task) -> Report {
    let like = sample::report(3, 60, true);
    let words: Vec<String> = ["Ada", HOSTILE, "wrote"].map(String::from).to_vec();
    let span = |start: usize, end: usize| NamedSpan { kind: HOSTILE.into(), start, end };
    let unsure = UnsureReport {
        max_error: 0.05,
        confidence: 0.9,
        threshold: Some(0.8),
        answered: 0.9,
        error: 0.04,
        offered: None,
    };
    let (target, measures) = match task {
        Task::Tags => {
            let spans = |start, end| vec![Span { kind: 0, start, end }];
            let pairs = [TaggedPair::of(spans(0, 2), spans(0, 1), 3), TaggedPair::of(spans(0, 1), spans(0, 1), 3)];
            let evaluation = evaluate_spans(&pairs, &[0, 1], &[HOSTILE.into()], "out-of-fold", 0);
            let mistake = SpanMistake {
                name: HOSTILE.into(),
                words,
                missed: vec![span(0, 2)],
                invented: vec![span(0, 1)],
                right: Vec::new(),
            };
            let tags = TagsReport { evaluation: evaluation.clone(), unsure, worst: vec![mistake] };
            (TargetBlock::Tags { tags }, HeldBlock::Tags(evaluation))
        }
        _ => {
            let scores = [AnswerScore { em: 1.0, f1: 1.0 }, AnswerScore { em: 0.0, f1: 0.25 }];
            let evaluation = evaluate_answers(&scores, &[true, false], &[0, 1], "out-of-fold", 0);
            let mistake = AnswerMistake {
                id: HOSTILE.into(),
                question: HOSTILE.into(),
                context: format!("{} {HOSTILE}", "Ada wrote it. ".repeat(40)),
                answers: vec![HOSTILE.into()],
                answer: HOSTILE.into(),
                f1: 0.25,
                probability: 0.7,
            };
            let (evaluation, worst) = (evaluation, vec![mistake]);
            let answers =
                AnswersReport { evaluation: evaluation.clone(), no_answer_threshold: Some(0.5), unsure, worst };
            (TargetBlock::Answers { answers }, HeldBlock::Answers(evaluation))
        }
    };
    let held_out = vec![HeldOutReport { split: "test".into(), measures, unlike: 0.0 }];
    Report { task: task.name().into(), target, held_out, ..like }
}

#[test]
fn the_pages_stand_alone_and_names_cannot_become_markup() {
    let all = [report(Task::Regression), report(Task::MultiLabel), of_tokens(Task::Tags), of_tokens(Task::Answers)];
    for report in all {
        let page = render(&report, &[], &[], COMMAND);
        assert_stands_alone(&page);
        assert_nested(&page);
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(!words(&page).contains("NaN"), "{}", words(&page));
        assert_eq!(page, render(&report, &[], &[], COMMAND), "equal reports give equal pages");
    }
}

#[test]
fn the_reports_survive_json() {
    let tokens = [of_tokens(Task::Tags), of_tokens(Task::Answers)];
    let all =
        [sample::report(3, 60, true), report(Task::Regression), report(Task::MultiLabel)].into_iter().chain(tokens);
    for (report, name) in all.zip(["accuracy", "regression", "multi_label", "tags", "answers"]) {
        let text = serde_json::to_string(&report).unwrap();
        let read: Report = serde_json::from_str(&text).unwrap();
        assert_eq!((&read.task, &read.data), (&report.task, &report.data));
        // Numbers may lose their last bit on the way through decimal text; nothing else may be lost.
        let shape = |report: &Report| {
            let text = serde_json::to_string(report).unwrap();
            text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>()
        };
        assert_eq!(shape(&read), shape(&report));
        let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
        for fixed in ["data", "base", "choice", "controls", "verdict", "held_out", "unlike", "config", name] {
            assert!(fields.contains_key(fixed), "no {fixed} in {text}");
        }
    }
}

#[test]
fn the_answers_are_sentences() {
    let mut numbers = report(Task::Regression);
    let text = words(&render(&numbers, &[], &[], COMMAND));
    assert!(text.contains("On images like these, its number is off by"), "{text}");
    assert!(text.contains("measured on 60 images it was not trained on."), "{text}");
    assert!(text.contains("the mean absolute error is smaller by 0.3100 (0.2600 to 0.3600)"), "{text}");
    assert!(text.contains("as promised"), "{text}");
    let paired = &mut numbers.controls.scratch.as_mut().unwrap().paired;
    (paired.difference, paired.low, paired.high) = (-0.2, -0.3, 0.1);
    numbers.held_out.clear();
    let TargetBlock::Numbers { regression } = &mut numbers.target else { panic!("numbers") };
    regression.coverage = None;
    let text = words(&render(&numbers, &[], &[], COMMAND));
    assert!(text.contains("of the training data, each answered by a copy"), "{text}");
    assert!(text.contains("There are too few examples for intervals"), "{text}");
    assert!(text.contains("the mean absolute error is larger by 0.2000 (−0.1000 to 0.3000)"), "{text}");

    let mut sets = report(Task::MultiLabel);
    sets.controls.scratch = None;
    let TargetBlock::LabelSets { multi_label: part } = &mut sets.target else { panic!("sets of labels") };
    part.thresholds[2] = None;
    part.worst.clear();
    let text = words(&render(&sets, &[], &[], COMMAND));
    assert!(text.contains("its labels reach a mean average precision of"), "{text}");
    assert!(text.contains("Transfer not measured"), "{text}");
    assert!(text.contains("never given") && text.contains("1 of the labels are never given"), "{text}");
    assert!(text.contains("Every out-of-fold answer was right."), "{text}");
    let text = words(&render(&of_tokens(Task::Tags), &[], &[], COMMAND));
    assert!(text.contains("it finds spans with an F1 of") && text.contains("Missed"), "{text}");
    let text = words(&render(&of_tokens(Task::Answers), &[], &[], COMMAND));
    assert!(text.contains("its answers have an F1 of") && text.contains("“No answer”"), "{text}");
}

#[test]
#[ignore = "writes pages to look at: ENGRAFT_SAMPLES=/tmp cargo test --workspace target_samples -- --ignored"]
fn target_samples_to_look_at() {
    let folder = std::env::var_os("ENGRAFT_SAMPLES").map_or_else(std::env::temp_dir, Into::into);
    for task in [Task::Regression, Task::MultiLabel] {
        let page = render(&report(task), &[], &[], COMMAND);
        crate::files::write_atomic(&folder.join(format!("report_{task}.html")), page.as_bytes()).unwrap();
    }
}
