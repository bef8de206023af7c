//! Made-up reports, plausible enough to be looked at.

use std::io::Cursor;

use super::parts::{Curve, Thumbnail};
use crate::data::audit::{Audit, ClassCount};
use crate::data::{Finding, FindingKind, Severity};
use crate::heads::Metric;
use crate::methods::Difference;
use crate::metrics::{
    CalibrationBin, ClassMetrics, ClassShares, Estimate, Evaluation, Forecast, ImbalanceEvaluation, Outcome, Paired,
    Point, PowerLaw, Share, wilson,
};
use crate::run::blocks::*;
use crate::run::report::*;
use crate::settings::Fit;
use crate::train::{EpochRecord, Score};

/// A class name that must not become part of the page.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script>";

const FLOWERS: [&str; 9] = [
    "daisy",
    "dandelion",
    "rose",
    "sunflower",
    "tulip",
    "snapdragon (Antirrhinum majus)",
    "lily & iris",
    "poppy",
    "orchid",
];

const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn estimate(mean: f64, half: f64, n: usize, how: &str) -> Estimate {
    Estimate { mean, low: (mean - half).max(0.0), high: mean + half, n, how: how.into() }
}

/// `classes` names, one of them hostile.
fn names(classes: usize) -> Vec<String> {
    if classes == 2 {
        return vec!["crack".into(), HOSTILE.into()];
    }
    let mut names: Vec<String> = (0..classes - 1)
        .map(|class| FLOWERS.get(class).map_or_else(|| format!("species {class:02}"), |known| (*known).to_owned()))
        .collect();
    names.push(HOSTILE.into());
    names
}

/// Most of `support` on the diagonal; the rest mainly on the neighbours.
fn confusion(classes: usize, support: usize) -> Vec<Vec<usize>> {
    (0..classes)
        .map(|label| {
            let mut row = vec![0; classes];
            let all = support + (label * 37) % 29;
            let wrong = all * ((label * 7) % 5 + 1) / 60;
            for mistake in 0..wrong {
                let step = if mistake % 3 < 2 { 1 } else { 2 + (label * 5 + mistake) % classes.max(3) };
                let answer = (label + step) % classes;
                row[if answer == label { (label + 1) % classes } else { answer }] += 1;
            }
            row[label] = all - wrong;
            row
        })
        .collect()
}

fn per_class(confusion: &[Vec<usize>]) -> Vec<ClassMetrics> {
    (0..confusion.len())
        .map(|class| {
            let hits = confusion[class][class] as f64;
            let support: usize = confusion[class].iter().sum();
            let answered: usize = confusion.iter().map(|row| row[class]).sum();
            let (precision, recall) = (hits / answered.max(1) as f64, hits / support.max(1) as f64);
            ClassMetrics { class, precision, recall, f1: 2.0 * hits / (support + answered) as f64, support }
        })
        .collect()
}

fn calibration(n: usize) -> Vec<CalibrationBin> {
    (0..15)
        .map(|bin| {
            let confidence = 1.0 - 0.6 * (1.0 - (bin as f64 + 0.5) / 15.0).powf(7.0);
            let count = (n / 15).max(1);
            let wobble = 0.03 * f64::from((bin * 7 % 5) as u8) - 0.065;
            let right =
                (((confidence + wobble * (1.05 - confidence) * 3.0) * count as f64).round() as usize).min(count);
            let (low, high) = wilson(right, count);
            CalibrationBin { confidence, accuracy: right as f64 / count as f64, count, low, high }
        })
        .collect()
}

fn evaluation(classes: usize, support: usize, how: &str) -> Evaluation {
    let confusion = confusion(classes, support);
    let n: usize = confusion.iter().flatten().sum();
    let right: usize = (0..classes).map(|class| confusion[class][class]).sum();
    let (low, high) = wilson(right, n);
    let boot = format!("{how}; percentile bootstrap, 2000 resamples, 95 %");
    Evaluation {
        accuracy: Estimate {
            mean: right as f64 / n as f64,
            low,
            high,
            n,
            how: format!("{how}; Wilson interval, 95 %"),
        },
        macro_f1: estimate(right as f64 / n as f64 - 0.004, 0.021, n, &boot),
        log_loss: estimate(0.187, 0.041, n, &boot),
        brier: estimate(0.081, 0.019, n, &boot),
        ece: Point { mean: 0.021, n, how: "15 bins of equal mass, debiased".into() },
        per_class: per_class(&confusion),
        confusion,
        calibration: calibration(n),
    }
}

fn imbalance(ours: &Evaluation) -> ImbalanceEvaluation {
    let support = || ours.per_class.iter().map(|class| class.support);
    let of = |share: f64, n: usize| Share::of((share * n as f64).round() as usize, n);
    ImbalanceEvaluation {
        balanced_accuracy: ours.macro_f1.clone(),
        macro_f1: ours.macro_f1.clone(),
        matthews: estimate(0.931, 0.024, ours.accuracy.n, "bootstrap"),
        per_class: (ours.per_class.iter())
            .map(|class| ClassShares {
                class: class.class,
                recall: of(class.recall, class.support),
                precision: of(class.precision, class.support),
            })
            .collect(),
        ratio: support().max().unwrap_or(1) as f64 / support().min().unwrap_or(1) as f64,
    }
}

fn audit(names: &[String], examples: usize) -> Audit {
    let files =
        |count: usize| (0..count).map(|at| format!("{}/IMG_{:04}.jpg", FLOWERS[at % 9], 1200 + at * 7)).collect();
    Audit {
        findings: vec![
            Finding::new(
                FindingKind::LabelConflict,
                Severity::Serious,
                "the same image under two labels, all copies left out: 2",
                files(4),
            ),
            Finding::new(FindingKind::Damaged, Severity::Warning, "damaged or cut-off images, left out: 3", files(3)),
            Finding::new(
                FindingKind::NearDuplicate,
                Severity::Info,
                "images that look the same, kept together in one fold: 14",
                files(28),
            ),
        ],
        excluded: (0..7).collect(),
        groups: (0..examples).collect(),
        examples,
        classes: (names.iter())
            .map(|class| ClassCount { class: class.clone(), train: 118, val: 0, test: 24, excluded: 1 })
            .collect(),
        grouped: None,
    }
}

fn scratch(ours: &Evaluation) -> ScratchReport {
    let n = ours.accuracy.n;
    let measures = [
        ("accuracy", estimate(ours.accuracy.mean - 0.31, 0.027, n, "5-fold cross-validation; Wilson interval, 95 %")),
        ("macro_f1", estimate(0.62, 0.03, n, "bootstrap")),
        ("log_loss", estimate(1.102, 0.07, n, "bootstrap")),
    ];
    ScratchReport {
        measures: measures.map(|(name, estimate)| (name.to_owned(), estimate)).into(),
        how: "40 epochs at 64 x 64, 5 of 5 folds, 0.412 x 10^12 MACs, AdamW at 1e-3".into(),
        paired: Paired {
            difference: 0.31,
            low: 0.261,
            high: 0.359,
            n,
            how: "difference of accuracies on the same examples; adjusted Wald interval, 95 %".into(),
            verdict: "positive transfer".into(),
        },
        held_out: Vec::new(),
    }
}

fn mistakes(names: &[String], count: usize) -> Vec<Mistake> {
    (0..count)
        .map(|at| Mistake {
            file: format!("{}/IMG_{:04}.jpg", FLOWERS[at % 9], 2000 + at * 13),
            label: names[at % names.len()].clone(),
            answer: names[(at + 1) % names.len()].clone(),
            probability: 0.9998 - 0.017 * at as f32,
        })
        .collect()
}

fn label_errors(names: &[String], count: usize) -> Vec<LabelErrorReport> {
    (0..count)
        .map(|at| LabelErrorReport {
            file: format!("{}/IMG_{:04}.jpg", FLOWERS[at % 9], 2000 + at * 26),
            given: names[at % names.len()].clone(),
            suggested: names[(at + 1) % names.len()].clone(),
            given_probability: 0.0002 + 0.01 * at as f32,
            suggested_probability: 0.998 - 0.02 * at as f32,
        })
        .collect()
}

/// A report of `classes` classes, with a test split where `held_out`.
pub fn report(classes: usize, support: usize, held_out: bool) -> Report {
    let names = names(classes);
    let ours = evaluation(classes, support, "5-fold cross-validation");
    let unsure = UnsureReport {
        max_error: 0.05,
        confidence: 0.9,
        threshold: Some(0.612),
        answered: 0.873,
        error: 0.034,
        offered: None,
    };
    let held = evaluation(classes, support / 5, "held-out split test, looked at once");
    let train = ours.accuracy.n;
    let examples = train + if held_out { held.accuracy.n } else { 0 } + 7;
    let held = HeldClasses {
        imbalance: Some(imbalance(&held)),
        evaluation: held,
        unsure: UnsureReport { answered: 0.861, error: 0.041, ..unsure.clone() },
    };
    let held = HeldOutReport { split: "test".into(), measures: HeldBlock::Classes(Box::new(held)), unlike: 0.012 };
    let strengths = (-8..=8).map(|step| {
        let power = f64::from(step) / 2.0;
        let loss = 0.193 + 0.018 * (power + 0.5).powi(2);
        TriedStrength { strength: 10f64.powf(power), loss, accuracy: Some(0.951) }
    });
    let shares = imbalance(&ours);
    Report {
        schema: SCHEMA,
        command: "fit".into(),
        version: "0.1.0".into(),
        task: "image-classification".into(),
        base: BaseReport {
            id: "glyphs".into(),
            sha256: HASH.into(),
            architecture: "small_resnet".into(),
            licence: "CC0-1.0".into(),
            features: 256,
        },
        data: DataReport {
            path: if classes == 2 { "/data/concrete".into() } else { "../photos/flowers".into() },
            unit: "images".into(),
            reason: "each folder is a class".into(),
            examples,
            train,
            audit: audit(&names, examples),
            classes: names.clone(),
            fingerprint: HASH.chars().rev().collect(),
        },
        choice: Choice {
            depth: "last".into(),
            cut: "layer3".into(),
            reason: "`last` is +2.1 points (+0.4 to +3.8) against the linear probe on the same images".into(),
            tried: vec![
                tried("head", "pool", "head, solved", &ours.accuracy, None),
                tried("last", "layer3", "layer4 (x 1), head (x 10)", &ours.accuracy, Some(0.021)),
            ],
            left_out: vec!["`all` was not tried: 61.2 x 10^12 MACs, and 9.1 are left of the budget of 5m".into()],
            strengths: strengths.collect(),
            strength: 10f64.powf(-0.5),
            temperature: Some(1.083),
        },
        controls: Controls {
            scratch: Some(scratch(&ours)),
            probe: ProbeReport { measures: [("accuracy".to_owned(), ours.accuracy.clone())].into() },
            baselines: vec![majority(&ours)],
        },
        text: None,
        table: None,
        verdict: "positive transfer".into(),
        unlike: UnlikeReport { threshold: 0.4312, k: 5, references: train, rate: 0.05, metric: Metric::Direction },
        held_out: if held_out { vec![held] } else { Vec::new() },
        seed: 7,
        config: Fit::default(),
        seconds: SecondsReport { audit: 1.84, features: 12.73, training: 141.6, evaluation: 0.91, total: 157.2 },
        images_per_second: 96.4,
        peak_memory_mb: 412.7,
        adaptation: None,
        forecasts: forecasts(train),
        target: TargetBlock::Classes(Box::new(ClassesReport {
            imbalance: Some(shares),
            unsure,
            label_errors: label_errors(&names, 5),
            mistakes: mistakes(&names, 30),
            evaluation: ours,
        })),
    }
}

fn majority(ours: &Evaluation) -> BaselineReport {
    let rows: Vec<usize> = ours.confusion.iter().map(|row| row.iter().sum()).collect();
    let (n, most) = (rows.iter().sum::<usize>(), rows.iter().copied().max().unwrap_or(0));
    let (low, high) = wilson(most, n);
    let accuracy = Estimate { mean: most as f64 / n as f64, low, high, n, how: "out-of-fold".into() };
    BaselineReport {
        name: "majority class".into(),
        how: "every example gets the shares of the classes in the training data".into(),
        learns: false,
        measures: [("accuracy".to_owned(), accuracy)].into(),
        paired: scratch(ours).paired,
        held_out: Vec::new(),
    }
}

fn tried(depth: &str, cut: &str, plan: &str, accuracy: &Estimate, gain: Option<f64>) -> TriedCut {
    let difference = |mean: f64| Difference { mean, standard_error: 0.0087, low: mean - 0.017, high: mean + 0.017 };
    TriedCut {
        depth: depth.into(),
        cut: cut.into(),
        plan: plan.into(),
        seeds: 2,
        score: accuracy.clone(),
        against_probe: gain.map(difference),
        multiply_adds: 2.4,
        remarks: Vec::new(),
        seconds: 4.2,
    }
}

/// A report of two classes in which nothing was found, tried or controlled.
pub(crate) fn empty() -> Report {
    let mut report = report(2, 40, false);
    report.controls.scratch = None;
    report.verdict = "not measured: the from-scratch control was left out".into();
    report.data.audit.findings.clear();
    report.data.audit.classes.clear();
    report.data.classes.clear();
    report.choice.strengths.clear();
    report.choice.tried.clear();
    report.forecasts.clear();
    let classes = classes(&mut report);
    classes.evaluation.per_class.clear();
    classes.imbalance = None;
    classes.evaluation.confusion.clear();
    classes.evaluation.calibration.clear();
    classes.mistakes.clear();
    classes.label_errors.clear();
    classes.unsure.threshold = None;
    report
}

/// The block of classes.
pub fn classes(report: &mut Report) -> &mut ClassesReport {
    match &mut report.target {
        TargetBlock::Classes(classes) => classes,
        _ => panic!("a report on classes"),
    }
}

/// The block of the first held-out split.
pub(crate) fn held(report: &mut Report) -> &mut HeldClasses {
    match &mut report.held_out[0].measures {
        HeldBlock::Classes(held) => held,
        _ => panic!("a report on classes"),
    }
}

/// What twice and ten times as many labels would bring.
fn forecasts(now: usize) -> Vec<Forecast> {
    let law = PowerLaw { floor: 0.021, scale: 1.32, exponent: 0.55 };
    [now / 2, now, 9 * now]
        .into_iter()
        .map(|more| {
            let gain = law.error(now as f64) - law.error((now + more) as f64);
            let outcome = Outcome::Gain { gain, low: 0.4 * gain, high: 1.7 * gain };
            Forecast { now, more, largest: now * 4 / 5, law: Some(law), outcome }
        })
        .collect()
}

/// A curve of which `learned` of the training loss goes within some `tau` epochs, while the held-out one rises by `rise` an
/// epoch.
fn curve(name: String, epochs: u64, (learned, tau): (f64, f64), rise: f64, fold: u64) -> Curve {
    let record = |epoch: u64| {
        let (e, wobble) = (epoch as f64, ((epoch * 13 + fold * 29) % 11) as f64 / 11.0 - 0.5);
        let (train, held_out) = ((-e / tau).exp(), (-1.25 * e / tau).exp());
        let train = Score {
            loss: learned * train + 0.22 + 0.05 * wobble + 0.03 * fold as f64,
            accuracy: 0.98 - 0.6 * train + 0.01 * wobble,
        };
        let validation = Score {
            loss: 0.7 * learned * held_out + 0.92 + rise * e + 0.12 * wobble,
            accuracy: 0.85 - 0.4 * held_out - 0.1 * rise * e + 0.02 * wobble,
        };
        EpochRecord { epoch, train, validation: Some(validation), lr: 0.01, seconds: 1.0 }
    };
    Curve { name, epochs: (1..=epochs).map(record).collect() }
}

/// Five folds from scratch that learn, and then learn by heart.
pub(crate) fn curves() -> Vec<Curve> {
    (0..5).map(|fold| curve(format!("scratch/fold{fold}"), 40, (2.25, 14.0), 0.012, fold)).collect()
}

/// The curves of a run that fine-tuned: two cuts, the chosen one on everything, the control.
pub(crate) fn tuned_curves() -> Vec<Curve> {
    let folds = |of: &str, learned: f64, rise: f64| -> Vec<Curve> {
        (0..5).map(|fold| curve(format!("{of}/fold{fold}"), 12 + 4 * (fold % 3), (learned, 3.0), rise, fold)).collect()
    };
    let mut curves = folds("tune/layer4", 1.2, 0.0);
    curves.extend(folds(&format!("tune/{HOSTILE}"), 1.6, 0.06));
    curves.push(curve("final".into(), 12, (1.2, 3.0), 0.0, 0));
    curves.extend(self::curves());
    curves
}

/// An image for all but every fourth mistake.
pub fn images(report: &Report) -> Vec<Thumbnail> {
    let TargetBlock::Classes(classes) = &report.target else { return Vec::new() };
    let shown = classes.mistakes.iter().enumerate().filter(|(at, _)| at % 4 != 3);
    shown
        .map(|(at, mistake)| {
            let (width, height) = if at % 3 == 0 { (96, 72) } else { (96, 96) };
            let pixels = image::RgbImage::from_fn(width, height, |x, y| {
                let away = ((f64::from(x) - 48.0).powi(2) + (f64::from(y) - f64::from(height) / 2.0).powi(2)).sqrt();
                let petal = (away / 5.0 + (at as f64)).sin() > 0.0 && away < 36.0;
                let hue = (at * 47 % 200) as u8;
                if petal { image::Rgb([230, hue, 255 - hue]) } else { image::Rgb([40, 90 + (y / 2) as u8, 50]) }
            });
            let mut bytes = Cursor::new(Vec::new());
            pixels.write_to(&mut bytes, image::ImageFormat::Png).expect("an image in memory");
            Thumbnail { file: mistake.file.clone(), mime: "image/png", bytes: bytes.into_inner() }
        })
        .collect()
}
