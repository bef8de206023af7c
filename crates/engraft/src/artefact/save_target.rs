//! The files of a run on numbers or sets of labels.

use crate::artefact::build_target::build_target_report;
use crate::artefact::html::render_target;
use crate::artefact::model::ONNX_FILE;
use crate::artefact::open_target::target_bytes;
use crate::artefact::save::{Rendered, THUMBNAILS, json, thumbnails_of, toml_of};
use crate::artefact::target_report::TargetReport;
use crate::data::task::SEPARATOR;
use crate::error::{Error, Problem, Result};
use crate::inductive::{
    FittedLabels, FittedNumbers, FittedTarget, HeldOutTarget, LabelsAnswer, MeasuredLabels, MeasuredNumbers,
    TargetOutcome,
};
use crate::train::steps_csv;

impl Rendered<TargetReport> {
    /// Renders everything that the folder of a run on numbers or sets of labels holds, but the log.
    pub fn of_target(fitted: &FittedTarget, command_line: &str) -> Result<Self> {
        let report = build_target_report(fitted);
        let model = target_bytes(fitted);
        let pictures = thumbnails_of(pictured(&report), &fitted.intake.dataset);
        let html = render_target(&report, &pictures, command_line);
        let predictions = match &fitted.outcome {
            TargetOutcome::Numbers(numbers, held_out) => numbers_csv(fitted, numbers, held_out),
            TargetOutcome::Labels(labels, held_out) => labels_csv(fitted, labels, held_out),
        };
        let mut files = vec![
            ("model.safetensors", model.safetensors),
            ("model.json", model.json),
            ("report.json", json(&report)),
            ("report.html", html.into_bytes()),
            ("predictions.csv", predictions?),
            ("curves.csv", steps_csv(&[]).into_bytes()),
            ("run.toml", toml_of(&fitted.config)?),
        ];
        files.extend(model.onnx.map(|bytes| (ONNX_FILE, bytes)));
        Ok(Self { report, files })
    }
}

/// The files that the report shows.
fn pictured(report: &TargetReport) -> Vec<&str> {
    let numbers = report.regression.iter().flat_map(|numbers| &numbers.worst);
    let mut names: Vec<&str> = numbers.take(THUMBNAILS).map(|mistake| mistake.file.as_str()).collect();
    let labels = report.multi_label.iter().flat_map(|labels| &labels.label_errors);
    names.extend(labels.take(THUMBNAILS).map(|error| error.file.as_str()));
    names
}

/// One row for every example that was answered: out-of-fold for training, by the final model for held-out splits.
struct Table(csv::Writer<Vec<u8>>);

impl Table {
    fn with(header: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut table = Self(csv::Writer::from_writer(Vec::new()));
        table.row(header)?;
        Ok(table)
    }

    fn row(&mut self, fields: impl IntoIterator<Item = String>) -> Result<()> {
        self.0.write_record(fields).map_err(unwritable)
    }

    fn bytes(self) -> Result<Vec<u8>> {
        self.0.into_inner().map_err(unwritable)
    }
}

fn unwritable(source: impl std::fmt::Display) -> Error {
    Error::Io(Problem::new("predictions.csv cannot be written").found(source))
}

fn numbers_csv(
    fitted: &FittedTarget,
    numbers: &FittedNumbers,
    held_out: &[HeldOutTarget<MeasuredNumbers>],
) -> Result<Vec<u8>> {
    let names = ["path", "split", "fold", "truth", "prediction", "low", "high", "distance", "unlike"];
    let mut table = Table::with(names.map(str::to_owned))?;
    let dataset = &fitted.intake.dataset;
    for (i, &example) in fitted.train.iter().enumerate() {
        let [low, high] = ends(numbers.intervals[i]);
        table.row([
            dataset.examples[example].name.clone(),
            "train".into(),
            fitted.folds[i].to_string(),
            dataset.target_text(example),
            numbers.validation.out_of_fold[i].to_string(),
            low,
            high,
            String::new(),
            String::new(),
        ])?;
    }
    for held in held_out {
        for (answer, &example) in held.measured.answers.iter().zip(&held.examples) {
            let [low, high] = ends(answer.interval);
            table.row([
                dataset.examples[example].name.clone(),
                held.split.name().into(),
                String::new(),
                dataset.target_text(example),
                answer.value.to_string(),
                low,
                high,
                answer.distance.to_string(),
                answer.unlike.to_string(),
            ])?;
        }
    }
    table.bytes()
}

/// The ends of an interval as text; empty where there is none.
fn ends(interval: Option<(f64, f64)>) -> [String; 2] {
    interval.map_or_else(Default::default, |(low, high)| [low.to_string(), high.to_string()])
}

fn labels_csv(
    fitted: &FittedTarget,
    labels: &FittedLabels,
    held_out: &[HeldOutTarget<MeasuredLabels>],
) -> Result<Vec<u8>> {
    let dataset = &fitted.intake.dataset;
    let classes = &dataset.classes;
    let fixed = ["path", "split", "fold", "truth", "answer", "distance", "unlike"].map(str::to_owned);
    let of_labels = classes.iter().flat_map(|label| [format!("p({label})"), format!("given({label})")]);
    let mut table = Table::with(fixed.into_iter().chain(of_labels))?;
    let pairs = |probabilities: &[f32], given: &[bool]| -> Vec<String> {
        probabilities.iter().zip(given).flat_map(|(p, given)| [p.to_string(), given.to_string()]).collect()
    };
    let joined = |probabilities: &[f32], given: &[bool]| -> String {
        let order = LabelsAnswer::order(probabilities, given);
        order.iter().map(|&label| classes[label].as_str()).collect::<Vec<_>>().join(&SEPARATOR.to_string())
    };
    for (i, &example) in fitted.train.iter().enumerate() {
        let row = i * classes.len()..(i + 1) * classes.len();
        let (probabilities, given) = (&labels.validation.out_of_fold[row.clone()], &labels.validation.given[row]);
        let fixed = [
            dataset.examples[example].name.clone(),
            "train".into(),
            fitted.folds[i].to_string(),
            dataset.target_text(example),
            joined(probabilities, given),
            String::new(),
            String::new(),
        ];
        table.row(fixed.into_iter().chain(pairs(probabilities, given)))?;
    }
    for held in held_out {
        for (answer, &example) in held.measured.answers.iter().zip(&held.examples) {
            let fixed = [
                dataset.examples[example].name.clone(),
                held.split.name().into(),
                String::new(),
                dataset.target_text(example),
                joined(&answer.probabilities, &answer.given),
                answer.distance.to_string(),
                answer.unlike.to_string(),
            ];
            table.row(fixed.into_iter().chain(pairs(&answer.probabilities, &answer.given)))?;
        }
    }
    table.bytes()
}
