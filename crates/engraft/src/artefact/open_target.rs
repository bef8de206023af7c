//! `model.json` and `model.safetensors` of a run on numbers or sets of labels, and opening a run of any task.

use std::path::Path;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::artefact::model::{
    Model, ModelBytes, base_tensors, check_schema, damaged, extractor_of, parse_json, read_json, read_weights,
};
use crate::artefact::report::SCHEMA;
use crate::artefact::target_model::{LabelsHeadFile, NumberHeadFile};
use crate::artefact::text_model::TextModel;
use crate::backbone::Card;
use crate::config::Fit;
use crate::data::Task;
use crate::error::Result;
use crate::features::Extractor;
use crate::files;
use crate::inductive::{FittedTarget, LabelsAnswer, LabelsPredictor, NumberAnswer, NumberPredictor, TargetOutcome};

/// `model.json` of a run on numbers or sets of labels. What [`ModelFile`](super::ModelFile) has too has the same name here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetModelFile {
    /// Version of the shapes.
    pub schema: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// What is predicted.
    pub task: Task,
    /// Names of the labels, in the order of the head's outputs; none in regression.
    pub classes: Vec<String>,
    /// The base's card, preprocessing included.
    pub card: Card,
    /// SHA-256 of the base's own weights file. Its tensors are in `model.safetensors`.
    pub base_sha256: String,
    /// The stage whose output the head takes.
    pub cut: String,
    /// The head, in regression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numbers: Option<NumberHeadFile>,
    /// The head, in multi-label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelsHeadFile>,
    /// SHA-256 over the training data.
    pub data_fingerprint: String,
    /// Seed of everything that was drawn.
    pub seed: u64,
    /// The settings.
    pub config: Fit,
    /// SHA-256 of `model.safetensors`.
    pub model_sha256: String,
}

/// Writes a fitted model to bytes; equal models give equal bytes.
pub(super) fn target_bytes(fitted: &FittedTarget) -> ModelBytes {
    let (mut weights, onnx) = base_tensors(&fitted.base);
    let (numbers, labels) = match &fitted.outcome {
        TargetOutcome::Numbers(numbers, _) => (Some(NumberHeadFile::of(&numbers.predictor, &mut weights)), None),
        TargetOutcome::Labels(labels, _) => (None, Some(LabelsHeadFile::of(&labels.predictor, &mut weights))),
    };
    let safetensors = engraft_weights::write(&weights);
    let file = TargetModelFile {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").into(),
        task: fitted.intake.dataset.task(),
        classes: fitted.intake.dataset.classes.clone(),
        card: fitted.base.card.clone(),
        base_sha256: fitted.base.sha256.clone(),
        cut: fitted.base.stages().last().cloned().unwrap_or_default(),
        numbers,
        labels,
        data_fingerprint: fitted.intake.fingerprint(),
        seed: fitted.config.seed,
        config: fitted.config.clone(),
        model_sha256: files::sha256_hex(&safetensors),
    };
    let mut json = serde_json::to_vec_pretty(&file).expect("a model file is plain data");
    json.push(b'\n');
    ModelBytes { json, safetensors, onnx }
}

/// A saved model of numbers or sets of labels, ready to answer.
pub struct TargetModel {
    /// What the tensors mean.
    pub file: TargetModelFile,
    predictor: TargetPredictor,
    extractor: Extractor,
}

enum TargetPredictor {
    Numbers(NumberPredictor),
    Labels(LabelsPredictor),
}

/// An answer to one picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum TargetAnswer {
    /// A number.
    Number(NumberAnswer),
    /// A set of labels.
    Labels(LabelsAnswer),
}

impl TargetModel {
    /// Opens the model of a run's folder, checking every hash and shape.
    pub fn open(run: &Path, device: &Device) -> Result<Self> {
        Self::of_json(run, &read_json(run)?, device)
    }

    fn of_json(run: &Path, json: &[u8], device: &Device) -> Result<Self> {
        let file: TargetModelFile = parse_json(run, json)?;
        check_schema(run, file.schema)?;
        let path = run.join("model.safetensors");
        let mut weights = read_weights(run, &file.model_sha256)?;
        let (predictor, columns) = match (file.task, &file.numbers, &file.labels) {
            (Task::Regression, Some(numbers), None) => {
                let predictor = numbers.predictor(&mut weights, &path)?;
                let columns = predictor.head.weights.len();
                (TargetPredictor::Numbers(predictor), columns)
            }
            (Task::MultiLabel, None, Some(labels)) if labels.thresholds.len() == file.classes.len() => {
                let predictor = labels.predictor(&mut weights, &path)?;
                let columns = predictor.head.columns;
                (TargetPredictor::Labels(predictor), columns)
            }
            (task, _, _) => {
                let found = format!("task {task} and {} labels", file.classes.len());
                return Err(damaged(&run.join("model.json"), "one head, as its task has", &found));
            }
        };
        let extractor =
            extractor_of(run, &file.card, &file.base_sha256, &file.cut, file.config.exact, weights, device)?;
        if extractor.columns() != columns {
            let expected = format!("{} features after `{}`", extractor.columns(), file.cut);
            return Err(damaged(&path, &expected, &format!("a head for {columns}")));
        }
        Ok(Self { file, predictor, extractor })
    }

    /// The answer to the picture in `path`.
    pub fn predict(&self, path: &Path) -> Result<TargetAnswer> {
        let bytes = self.extractor.reader().read(path)?;
        let row = self.extractor.row(&bytes)?;
        Ok(match &self.predictor {
            TargetPredictor::Numbers(predictor) => TargetAnswer::Number(predictor.answer(&row)),
            TargetPredictor::Labels(predictor) => TargetAnswer::Labels(predictor.answer(&row)),
        })
    }
}

/// The model of a run of any task.
pub enum RunModel {
    /// One class each.
    Classes(Box<Model>),
    /// Numbers or sets of labels.
    Targets(Box<TargetModel>),
    /// One class for each text.
    Texts(Box<TextModel>),
}

impl RunModel {
    /// Opens the model of a run's folder, whatever it predicts, checking every hash and shape.
    pub fn open(run: &Path, device: &Device) -> Result<Self> {
        /// What tells them apart.
        #[derive(Deserialize)]
        struct Kind {
            task: String,
        }
        let json = read_json(run)?;
        let kind = serde_json::from_slice::<Kind>(&json).map(|kind| kind.task).unwrap_or_default();
        if kind == "text-classification" {
            return Ok(Self::Texts(Box::new(TextModel::open(run, device)?)));
        }
        match kind.parse::<Task>() {
            Ok(Task::MultiLabel | Task::Regression) => {
                Ok(Self::Targets(Box::new(TargetModel::of_json(run, &json, device)?)))
            }
            _ => Ok(Self::Classes(Box::new(Model::open(run, device)?))),
        }
    }
}
