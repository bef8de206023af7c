//! Writing a run's folder.

use std::path::{Path, PathBuf};

use image::ImageEncoder as _;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use serde::Serialize;

use crate::artefact::build::build_report;
use crate::artefact::build_texts::build_texts_report;
use crate::artefact::html::{Curve, Picture, render};
use crate::artefact::model::{ONNX_FILE, to_bytes};
use crate::artefact::report::Report;
use crate::artefact::text_model::{TextModelBytes, text_bytes};
use crate::config::Pretrain;
use crate::data::image::{Limits, decode};
use crate::data::{Dataset, Split};
use crate::error::{Error, Problem, Result};
use crate::files::{self, Made, Staging};
use crate::head::AnswerRule;
use crate::inductive::text::FittedTexts;
use crate::inductive::{Answer, Fitted, Pretrained};
use crate::train::{Curve as LearningCurve, argmax, curves_csv, steps_csv};

/// Thumbnails of wrong answers, and of suspected labels, that a report shows of each.
pub(super) const THUMBNAILS: usize = 24;
/// Longest side of a thumbnail, in pixels.
const THUMBNAIL_SIDE: u32 = 160;

/// One line of `log.jsonl`.
#[derive(Debug, Clone, Serialize)]
pub struct LogLine {
    /// Seconds since the start.
    pub seconds: f64,
    /// What happened.
    pub event: String,
}

/// The files of a run as they will be written.
pub struct Rendered<R = Report> {
    /// The report.
    pub report: R,
    /// File names and bytes.
    pub files: Vec<(&'static str, Vec<u8>)>,
}

impl Rendered {
    /// Renders everything that a run's folder holds, but the log.
    pub fn of(fitted: &Fitted, command_line: &str) -> Result<Self> {
        let report = build_report(fitted);
        let curves = curves_of(fitted);
        let model = to_bytes(fitted);
        let pictures = thumbnails(fitted, &report);
        let html = render(&report, &html_curves(&curves), &pictures, command_line);
        let mut files = vec![
            ("model.safetensors", model.safetensors),
            ("model.json", model.json),
            ("report.json", json(&report)),
            ("report.html", html.into_bytes()),
            ("predictions.csv", predictions_csv(fitted)?),
            ("curves.csv", steps_csv(&curves).into_bytes()),
            ("run.toml", toml_of(&fitted.config)?),
        ];
        files.extend(model.onnx.map(|bytes| (ONNX_FILE, bytes)));
        Ok(Self { report, files })
    }
}

impl Rendered {
    /// Renders everything that a run's folder of texts holds, but the log.
    pub fn of_texts(fitted: &FittedTexts, command_line: &str) -> Result<Self> {
        let report = build_texts_report(fitted);
        let mut curves: Vec<_> = fitted.tuning_curves().map(|(name, curve)| (name.to_owned(), curve.clone())).collect();
        let folds = fitted.scratch.iter().flat_map(|scratch| &scratch.curves).enumerate();
        curves.extend(folds.map(|(fold, curve)| (format!("scratch/fold{fold}"), curve.clone())));
        let TextModelBytes { safetensors, words, json: model } = text_bytes(fitted)?;
        let html = render(&report, &html_curves(&curves), &[], command_line);
        let files = vec![
            ("model.safetensors", safetensors),
            ("model.json", model),
            words,
            ("report.json", json(&report)),
            ("report.html", html.into_bytes()),
            ("predictions.csv", text_predictions_csv(fitted)?),
            ("curves.csv", steps_csv(&curves).into_bytes()),
            ("run.toml", toml_of(&fitted.config)?),
        ];
        Ok(Self { report, files })
    }
}

impl<R> Rendered<R> {
    /// The bytes of one file.
    pub fn file(&self, name: &str) -> &[u8] {
        self.files.iter().find(|(n, _)| *n == name).map_or(&[], |(_, bytes)| bytes)
    }
}

/// Writes a run's folder, complete or not at all.
pub fn save<R>(rendered: &Rendered<R>, out: &Path, replace: bool, log: &[LogLine]) -> Result<()> {
    let staging = Staging::create(out, Made::Run, replace)?;
    for (name, bytes) in &rendered.files {
        staging.write(name, bytes)?;
    }
    staging.write("log.jsonl", &log_of(log))?;
    staging.commit()
}

/// Writes the folder of a base of one's own: weights, card, curve, settings, log.
pub fn save_pretrained(base: &Pretrained, config: &Pretrain, out: &Path, replace: bool, log: &[LogLine]) -> Result<()> {
    let card = toml::to_string(&base.card).map_err(|source| unwritable("the card", &source.to_string()))?;
    let staging = Staging::create(out, Made::Base, replace)?;
    staging.write("base.safetensors", &base.weights)?;
    staging.write("base.toml", card.as_bytes())?;
    staging.write("curves.csv", curves_csv(&[("pretrain".into(), base.curve.clone())]).as_bytes())?;
    staging.write(
        "report.json",
        &json(&serde_json::json!({
            "schema": crate::artefact::SCHEMA,
            "command": "pretrain",
            "version": env!("CARGO_PKG_VERSION"),
            "task": "image-classification",
            "base": { "id": base.card.id, "sha256": base.card.sha256 },
            "data": { "examples": base.examples, "classes": base.card.classes },
            "accuracy": base.evaluation.accuracy,
            "macro_f1": base.evaluation.macro_f1,
            "log_loss": base.evaluation.log_loss,
            "ece": base.evaluation.ece,
            "seed": config.seed,
        })),
    )?;
    staging.write("run.toml", &toml_of(config)?)?;
    staging.write("log.jsonl", &log_of(log))?;
    staging.commit()
}

/// Largest resident memory of this process, in megabytes; 0 where the system does not tell.
pub fn peak_memory_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().map_or(0.0, |kilobytes| kilobytes / 1024.0)
}

pub(super) fn json<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("a report is plain data");
    bytes.push(b'\n');
    bytes
}

pub(super) fn toml_of<T: Serialize>(config: &T) -> Result<Vec<u8>> {
    toml::to_string(config).map(String::into_bytes).map_err(|source| unwritable("run.toml", &source.to_string()))
}

fn unwritable(what: &str, reason: &str) -> Error {
    Error::Usage(Problem::new(format_args!("{what} cannot be written as TOML")).found(reason))
}

pub(super) fn log_of(log: &[LogLine]) -> Vec<u8> {
    log.iter()
        .map(|line| serde_json::to_string(line).expect("a log line is plain data") + "\n")
        .collect::<String>()
        .into()
}

fn curves_of(fitted: &Fitted) -> Vec<(String, LearningCurve)> {
    let mut curves: Vec<_> = fitted.tuning_curves().map(|(name, curve)| (name.to_owned(), curve.clone())).collect();
    let folds = fitted.control.iter().flat_map(|control| &control.curves).enumerate();
    curves.extend(folds.map(|(fold, epochs)| {
        (format!("scratch/fold{fold}"), LearningCurve { epochs: epochs.clone(), ..LearningCurve::default() })
    }));
    curves
}

fn html_curves(curves: &[(String, LearningCurve)]) -> Vec<Curve> {
    curves.iter().map(|(name, curve)| Curve { name: name.clone(), epochs: curve.epochs.clone() }).collect()
}

fn predictions_csv(fitted: &Fitted) -> Result<Vec<u8>> {
    let dataset = &fitted.intake.dataset;
    let mut table = PredictionTable::new(&dataset.classes)?;
    for (i, &example) in fitted.train.iter().enumerate() {
        let row = &fitted.out_of_fold[i * dataset.classes.len()..][..dataset.classes.len()];
        let example = &dataset.examples[example];
        table.out_of_fold(&example.name, fitted.folds[i], example.label, row, &fitted.predictor.rule)?;
    }
    for held in &fitted.held_out {
        for (answer, &example) in held.answers.iter().zip(&held.examples) {
            let example = &dataset.examples[example];
            table.held_out(&example.name, held.split, example.label, answer)?;
        }
    }
    table.finish()
}

fn text_predictions_csv(fitted: &FittedTexts) -> Result<Vec<u8>> {
    let dataset = &fitted.intake.dataset;
    let mut table = PredictionTable::new(&dataset.classes)?;
    for (&at, row) in fitted.rows.iter().zip(fitted.out_of_fold.chunks_exact(dataset.classes.len())) {
        let example = &dataset.examples[fitted.train[at]];
        table.out_of_fold(&example.name, fitted.folds[at], example.label, row, &fitted.predictor.rule)?;
    }
    for held in &fitted.held_out {
        for (answer, &example) in held.answers.iter().zip(&held.examples) {
            let example = &dataset.examples[example];
            table.held_out(&example.name, held.split, example.label, answer)?;
        }
    }
    table.finish()
}

/// One row for every example that was answered: out-of-fold for training, by the final model for held-out splits.
struct PredictionTable<'a> {
    classes: &'a [String],
    table: csv::Writer<Vec<u8>>,
}

fn unwritten(source: csv::Error) -> Error {
    Error::Io(Problem::new("predictions.csv cannot be written").found(source))
}

impl<'a> PredictionTable<'a> {
    fn new(classes: &'a [String]) -> Result<Self> {
        let mut table = csv::Writer::from_writer(Vec::new());
        let fixed = ["path", "split", "fold", "label", "answer", "probability", "unsure", "distance", "unlike"];
        let header =
            fixed.iter().map(|name| (*name).to_owned()).chain(classes.iter().map(|class| format!("p({class})")));
        table.write_record(header).map_err(unwritten)?;
        Ok(Self { classes, table })
    }

    fn out_of_fold(&mut self, name: &str, fold: usize, label: usize, row: &[f32], rule: &AnswerRule) -> Result<()> {
        let answer = argmax(row);
        let fields = [
            name.to_owned(),
            "train".into(),
            fold.to_string(),
            self.classes[label].clone(),
            self.classes[answer].clone(),
            row[answer].to_string(),
            (!rule.answers(f64::from(row[answer]))).to_string(),
            String::new(),
            String::new(),
        ];
        self.table.write_record(fields.into_iter().chain(row.iter().map(f32::to_string))).map_err(unwritten)
    }

    fn held_out(&mut self, name: &str, split: Split, label: usize, answer: &Answer) -> Result<()> {
        let fields = [
            name.to_owned(),
            split.name().into(),
            String::new(),
            self.classes[label].clone(),
            self.classes[answer.class].clone(),
            answer.probability().to_string(),
            answer.unsure.to_string(),
            answer.distance.map_or_else(String::new, |distance| distance.to_string()),
            answer.unlike.to_string(),
        ];
        let probabilities = answer.probabilities.iter().map(f32::to_string);
        self.table.write_record(fields.into_iter().chain(probabilities)).map_err(unwritten)
    }

    fn finish(self) -> Result<Vec<u8>> {
        self.table
            .into_inner()
            .map_err(|source| Error::Io(Problem::new("predictions.csv cannot be written").found(source)))
    }
}

/// Small pictures of the examples that the report shows; one that can be read no more is left out.
fn thumbnails(fitted: &Fitted, report: &Report) -> Vec<Picture> {
    let mut names: Vec<&str> = report.mistakes.iter().take(THUMBNAILS).map(|mistake| mistake.file.as_str()).collect();
    names.extend(report.label_errors.iter().take(THUMBNAILS).map(|error| error.file.as_str()));
    thumbnails_of(names, &fitted.intake.dataset)
}

/// Small pictures of the examples of these names, each once.
pub(super) fn thumbnails_of(mut names: Vec<&str>, dataset: &Dataset) -> Vec<Picture> {
    names.sort_unstable();
    names.dedup();
    let path_of = |name: &str| -> Option<PathBuf> {
        dataset.examples.iter().find(|example| example.name == name).map(|example| example.path.clone())
    };
    names
        .into_iter()
        .filter_map(|name| {
            let (mime, bytes) = thumbnail(&path_of(name)?)?;
            Some(Picture { file: name.to_owned(), mime, bytes })
        })
        .collect()
}

fn thumbnail(path: &Path) -> Option<(&'static str, Vec<u8>)> {
    let limits = Limits::default();
    let pixels = decode(&files::read_limited(path, limits.bytes).ok()?, &limits).ok()?;
    let rgb =
        image::RgbImage::from_raw(u32::try_from(pixels.width).ok()?, u32::try_from(pixels.height).ok()?, pixels.rgb())?;
    let mut bytes = Vec::new();
    if rgb.width().max(rgb.height()) <= 64 {
        // Small pictures are kept as they are, without loss.
        let (width, height) = rgb.dimensions();
        PngEncoder::new(&mut bytes).write_image(&rgb, width, height, image::ExtendedColorType::Rgb8).ok()?;
        return Some(("image/png", bytes));
    }
    let small = image::DynamicImage::ImageRgb8(rgb).thumbnail(THUMBNAIL_SIDE, THUMBNAIL_SIDE).into_rgb8();
    let (width, height) = small.dimensions();
    JpegEncoder::new_with_quality(&mut bytes, 80)
        .write_image(&small, width, height, image::ExtendedColorType::Rgb8)
        .ok()?;
    Some(("image/jpeg", bytes))
}
