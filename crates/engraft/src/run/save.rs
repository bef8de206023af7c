//! Writing a run's folder.

use std::path::Path;

use image::ImageEncoder as _;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use serde::Serialize;

use crate::adapt::{Adaptation, Adapted};
use crate::data::ImageSource;
use crate::data::image::{Limits, decode_and_tell};
use crate::data::intake::Content;
use crate::error::{Error, Problem, Result};
use crate::files::{Made, Staging};
use crate::fit::Fitted;
use crate::pretrain::Pretrained;
use crate::run::build::{build_report, shown_files};
use crate::run::html::{Curve, Thumbnail, render};
use crate::run::model::to_bytes;
use crate::run::predictions::{answers_by_id, predictions_csv};
use crate::run::report::Report;
use crate::settings::Pretrain;
use crate::train::{Curve as LearningCurve, curves_csv, steps_csv};

/// Thumbnails of wrong answers, and of suspected labels, that a report shows of each.
const THUMBNAILS: usize = 24;
/// Characters of a text, and cells of a row, that are shown in their place.
const EXCERPT: usize = 200;
const CELLS: usize = 8;
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
pub struct Rendered {
    /// The report.
    pub report: Report,
    /// File names and bytes.
    pub(crate) files: Vec<(&'static str, Vec<u8>)>,
}

impl Rendered {
    /// The files of a fit, whatever it is about. `command_line` is what gives it again.
    ///
    /// # Errors
    /// Settings that cannot be written as TOML.
    pub fn of(fitted: &Fitted, command_line: &str) -> Result<Self> {
        Self::with(fitted, None, command_line)
    }

    /// The files of an adaptation.
    ///
    /// # Errors
    /// As [`Rendered::of`].
    pub fn of_adapted(adapted: &Adapted, command_line: &str) -> Result<Self> {
        Self::with(&adapted.fitted, Some(&adapted.adaptation), command_line)
    }

    pub(super) fn with(fitted: &Fitted, adaptation: Option<&Adaptation>, command_line: &str) -> Result<Self> {
        let report = build_report(fitted, adaptation);
        let curves = fitted.curves();
        let images = shown(fitted, &report);
        let html = render(&report, &html_curves(&curves), &images, command_line);
        let mut files = to_bytes(fitted)?;
        files.extend([
            ("report.json", json(&report)),
            ("report.html", html.into_bytes()),
            ("predictions.csv", predictions_csv(fitted)?),
            ("curves.csv", steps_csv(&curves).into_bytes()),
            ("run.toml", toml_of(&fitted.config)?),
        ]);
        // As the official scripts of SQuAD read answers.
        files.extend(answers_by_id(fitted).map(|answers| ("predictions.json", json(&answers))));
        Ok(Self { report, files })
    }

    /// The bytes of one file.
    pub(crate) fn file(&self, name: &str) -> &[u8] {
        self.files.iter().find(|(n, _)| *n == name).map_or(&[], |(_, bytes)| bytes)
    }
}

/// Writes a run's folder, complete or not at all.
pub fn save(rendered: &Rendered, out: &Path, replace: bool, log: &[LogLine]) -> Result<()> {
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
            "schema": crate::run::SCHEMA,
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

fn html_curves(curves: &[(String, LearningCurve)]) -> Vec<Curve> {
    curves.iter().map(|(name, curve)| Curve { name: name.clone(), epochs: curve.epochs.clone() }).collect()
}

/// The mistakes and suspected labels that the page shows: small images, or the beginnings of texts and rows.
fn shown(fitted: &Fitted, report: &Report) -> Vec<Thumbnail> {
    // Texts and rows take no room worth saving.
    let most = if matches!(fitted.intake.content, Content::Images(_)) { THUMBNAILS } else { usize::MAX };
    let mut names: Vec<&str> = shown_files(&report.target, most).collect();
    names.sort_unstable();
    names.dedup();
    let image = |name: &str| {
        let examples = &fitted.intake.dataset.examples;
        let index = examples.iter().position(|example| example.name == name)?;
        let excerpt = |text: String| ("text/plain", text.into_bytes());
        let (mime, bytes) = match &fitted.intake.content {
            Content::Images(_) => thumbnail(&examples[index].source, fitted.intake.bit_depth)?,
            Content::Texts(input) => excerpt(input.texts[index].beginning(EXCERPT)),
            Content::Vectors(set) => excerpt(set.beginning(index, CELLS)),
            Content::Words(_, texts) | Content::Questions(_, texts) => excerpt(texts[index].beginning(EXCERPT)),
        };
        Some(Thumbnail { file: name.to_owned(), mime, bytes })
    };
    names.into_iter().filter_map(image).collect()
}

pub(super) fn thumbnail(source: &ImageSource, depth: Option<u8>) -> Option<(&'static str, Vec<u8>)> {
    let limits = Limits::default();
    let pixels = decode_and_tell(&source.read(limits.bytes).ok()?, &limits, depth).ok()?.pixels;
    let rgb =
        image::RgbImage::from_raw(u32::try_from(pixels.width).ok()?, u32::try_from(pixels.height).ok()?, pixels.rgb())?;
    let mut bytes = Vec::new();
    if rgb.width().max(rgb.height()) <= 64 {
        // Small images are kept as they are, without loss.
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
