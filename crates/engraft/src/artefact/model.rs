//! `model.json` and `model.safetensors`: everything needed to answer, in one folder.

use std::path::Path;

use burn::tensor::Device;
use engraft_weights::{Precision, Tensor, Weights};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::artefact::build::unsure;
use crate::artefact::report::{SCHEMA, UnsureReport};
use crate::backbone::{Architecture, Base, BaseSpec, Body, Card};
use crate::config::Fit;
use crate::data::image::Limits;
use crate::error::{Error, Problem, Result};
use crate::features::{Extractor, Features};
use crate::files;
use crate::head::{AnswerRule, LogisticRegression, Novelty};
use crate::inductive::{Answer, Fitted, Predictor};
use crate::weight_files;

/// Longest `model.json` that is read.
const JSON_LIMIT: u64 = 64 << 20;
/// What the tensors mean.
pub(super) const JSON: &str = "model.json";
/// The tensors.
pub(super) const SAFETENSORS: &str = "model.safetensors";
/// Prefix of the base's tensors.
const BASE: &str = "base.";

/// `model.json`: what the tensors mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelFile {
    /// Version of the shapes.
    pub schema: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// What is predicted from what.
    pub task: String,
    /// Names of the classes, in the order of the head's outputs.
    pub classes: Vec<String>,
    /// The base's card, preprocessing included.
    pub card: Card,
    /// SHA-256 of the base's own weights file. Its tensors are in `model.safetensors`.
    pub base_sha256: String,
    /// The stage whose output the head takes.
    pub cut: String,
    /// Divides the logits.
    pub temperature: f64,
    /// When to say "unsure".
    pub unsure: UnsureReport,
    /// Distances above this are unlike the training data.
    pub unlike_threshold: f32,
    /// Which neighbour's distance counts.
    pub unlike_k: usize,
    /// SHA-256 over the training data.
    pub data_fingerprint: String,
    /// Seed of everything that was drawn.
    pub seed: u64,
    /// The settings.
    pub config: Fit,
    /// SHA-256 of `model.safetensors`.
    pub model_sha256: String,
}

/// The two files' bytes.
pub(super) struct ModelBytes {
    pub json: Vec<u8>,
    pub safetensors: Vec<u8>,
    /// The base, where it is an ONNX model.
    pub onnx: Option<Vec<u8>>,
}

/// The file of a run that holds its base, where that is an ONNX model.
pub(super) const ONNX_FILE: &str = "base.onnx";

/// Writes a fitted model to bytes; equal models give equal bytes.
pub(super) fn to_bytes(fitted: &Fitted) -> ModelBytes {
    let Predictor { temperature, rule, novelty, .. } = &fitted.predictor;
    let (mut weights, onnx) = base_tensors(&fitted.base);
    predictor_into(&fitted.predictor, &mut weights);
    let safetensors = engraft_weights::write(&weights);
    let file = ModelFile {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").into(),
        task: "image-classification".into(),
        classes: fitted.intake.dataset.classes.clone(),
        card: fitted.base.card.clone(),
        base_sha256: fitted.base.sha256.clone(),
        cut: fitted.base.stages().last().cloned().unwrap_or_default(),
        temperature: *temperature,
        unsure: unsure(rule),
        unlike_threshold: novelty.threshold,
        unlike_k: novelty.k,
        data_fingerprint: fitted.intake.fingerprint(),
        seed: fitted.config.seed,
        config: fitted.config.clone(),
        model_sha256: files::sha256_hex(&safetensors),
    };
    let mut json = serde_json::to_vec_pretty(&file).expect("a model file is plain data");
    json.push(b'\n');
    ModelBytes { json, safetensors, onnx }
}

/// A saved model, ready to answer.
pub struct Model {
    /// What the tensors mean.
    pub file: ModelFile,
    predictor: Predictor,
    extractor: Extractor,
}

impl Model {
    /// Opens the model of a run's folder, checking every hash and shape.
    pub fn open(run: &Path, device: &Device) -> Result<Self> {
        let file: ModelFile = parse_json(run, &read_json(run)?)?;
        check_schema(run, file.schema)?;
        let path = run.join(SAFETENSORS);
        let mut weights = read_weights(run, &file.model_sha256)?;
        let unlike = (file.unlike_threshold, file.unlike_k);
        let predictor = predictor_from(&mut weights, run, file.classes.len(), &file.unsure, file.temperature, unlike)?;
        let columns = predictor.head.columns;
        let extractor =
            extractor_of(run, &file.card, &file.base_sha256, &file.cut, file.config.exact, weights, device)?;
        if extractor.columns() != columns {
            let expected = format!("{} features after `{}`", extractor.columns(), file.cut);
            return Err(damaged(&path, &expected, &format!("a head for {columns}")));
        }
        Ok(Self { file, predictor, extractor })
    }

    /// The answer to the picture in `path`.
    pub fn predict(&self, path: &Path) -> Result<Answer> {
        let bytes = self.extractor.reader().read(path)?;
        self.extractor.row(&bytes).map(|row| self.predictor.answer(&row))
    }
}

/// Puts a predictor's numbers among a run's tensors.
pub(super) fn predictor_into(predictor: &Predictor, weights: &mut Weights) {
    let Predictor { head, novelty, .. } = predictor;
    let f32s = |values: &[f64]| values.iter().map(|value| *value as f32).collect();
    let tensor = |shape: Vec<usize>, values: Vec<f32>| Tensor { shape, values, precision: Precision::F32 };
    weights.tensors.insert("head.weight".into(), tensor(vec![head.classes, head.columns], f32s(&head.weights)));
    weights.tensors.insert("head.bias".into(), tensor(vec![head.classes], f32s(&head.intercepts)));
    let references = &novelty.references;
    weights.tensors.insert(
        "novelty.references".into(),
        tensor(vec![references.rows, references.columns], references.values.clone()),
    );
}

/// Takes a predictor's numbers from a run's tensors; `unlike` are the threshold and which neighbour counts.
pub(super) fn predictor_from(
    weights: &mut Weights,
    run: &Path,
    classes: usize,
    unsure: &UnsureReport,
    temperature: f64,
    unlike: (f32, usize),
) -> Result<Predictor> {
    let path = run.join(SAFETENSORS);
    let mut take =
        |name: &str| weights.tensors.remove(name).ok_or_else(|| damaged(&path, &format!("a tensor `{name}`"), "none"));
    let (head, bias, references) = (take("head.weight")?, take("head.bias")?, take("novelty.references")?);
    let ([outputs, columns], [rows, width]) = (axes(&head, &path)?, axes(&references, &path)?);
    if outputs != classes || bias.shape != [outputs] || width != columns || rows == 0 {
        let found = format!("head {:?}, bias {:?}, references {:?}", head.shape, bias.shape, references.shape);
        return Err(damaged(&path, &format!("a head of {classes} classes"), &found));
    }
    let widen = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
    let head = LogisticRegression { classes, columns, weights: widen(head.values), intercepts: widen(bias.values) };
    head.check()?;
    let references = Features::new(rows, columns, references.values)?;
    references.check()?;
    let UnsureReport { max_error, threshold, answered, error } = unsure.clone();
    Ok(Predictor {
        head,
        // Both were f32 when they were written: through f32 they come back to the bit from any decimal text.
        temperature: f64::from(temperature as f32),
        rule: AnswerRule { max_error, threshold: threshold.map(|t| f64::from(t as f32)), answered, error },
        novelty: Novelty { references, k: unlike.1, threshold: unlike.0 },
    })
}

/// The base's tensors, as a run keeps them; and its bytes, where it is an ONNX model.
pub(super) fn base_tensors(base: &Base) -> (Weights, Option<Vec<u8>>) {
    let mut weights = Weights::default();
    match &base.body {
        Body::Stages(built) => {
            for (name, tensor) in built.manifest.export(&built.network, Precision::F32) {
                weights.tensors.insert(format!("{BASE}{name}"), tensor);
            }
            (weights, None)
        }
        Body::Onnx { bytes, .. } => (weights, Some(bytes.to_vec())),
    }
}

/// The bytes of a run's `model.json`.
pub(super) fn read_json(run: &Path) -> Result<Vec<u8>> {
    files::read_limited(&run.join(JSON), JSON_LIMIT).map_err(|source| not_a_run(run, &source.to_string()))
}

pub(super) fn parse_json<T: DeserializeOwned>(run: &Path, json: &[u8]) -> Result<T> {
    serde_json::from_slice(json)
        .map_err(|source| damaged(&run.join(JSON), "a model.json of this program", &source.to_string()))
}

pub(super) fn check_schema(run: &Path, schema: u32) -> Result<()> {
    if schema == SCHEMA {
        return Ok(());
    }
    Err(damaged(&run.join(JSON), &format!("schema {SCHEMA}"), &format!("schema {schema}")))
}

/// The tensors of a run, whose file has this SHA-256.
pub(super) fn read_weights(run: &Path, expected: &str) -> Result<Weights> {
    let path = run.join(SAFETENSORS);
    let source = weight_files::source(&path).map_err(|source| not_a_run(run, &source.to_string()))?;
    let broken = |source: engraft_weights::Error| damaged(&path, "a whole safetensors file", &source.to_string());
    let sha256 = weight_files::sha256(&source).map_err(broken)?;
    if sha256 != expected {
        return Err(damaged(&path, &format!("SHA-256 {expected}"), &sha256));
    }
    weight_files::read(source).map_err(broken)
}

/// What makes features of pictures: the base of a run, up to the cut.
pub(super) fn extractor_of(
    run: &Path,
    card: &Card,
    base_sha256: &str,
    cut: &str,
    exact: bool,
    weights: Weights,
    device: &Device,
) -> Result<Extractor> {
    let base_tensors = weights
        .tensors
        .into_iter()
        .filter_map(|(name, tensor)| name.strip_prefix(BASE).map(|name| (name.to_owned(), tensor)));
    let base_weights = Weights { tensors: base_tensors.collect(), ..Weights::default() };
    card.preprocessing.validate()?;
    let base = if card.architecture == Architecture::ONNX {
        let path = run.join(ONNX_FILE);
        let bytes = files::read_limited(&path, engraft_weights::FILE_LIMIT)
            .map_err(|source| not_a_run(run, &source.to_string()))?;
        let found = files::sha256_hex(&bytes);
        if found != base_sha256 {
            return Err(damaged(&path, &format!("SHA-256 {base_sha256}"), &found));
        }
        Base::from_bytes(&bytes, Some(card.clone()), &BaseSpec::default(), &path, device)?
    } else {
        Base::from_weights(card.clone(), &base_weights, base_sha256.to_owned(), device)?
    };
    let base = base.exact(exact);
    let stages = base.stages();
    let at = stages.iter().position(|name| name == cut).ok_or_else(|| {
        let expected = format!("one of the stages {}", stages.join(", "));
        damaged(&run.join(SAFETENSORS), &expected, &format!("the cut {cut}"))
    })?;
    Extractor::new(&base, at + 1, Limits::default(), device)
}

fn axes(tensor: &Tensor, path: &Path) -> Result<[usize; 2]> {
    <[usize; 2]>::try_from(tensor.shape.as_slice())
        .map_err(|_| damaged(path, "a matrix", &format!("a tensor of shape {:?}", tensor.shape)))
}

fn not_a_run(run: &Path, found: &str) -> Error {
    Error::Weights(
        Problem::new("this is no run's folder")
            .expected("a folder with model.json and model.safetensors, as `engraft fit` writes it")
            .found(found)
            .at(run),
    )
}

pub(super) fn damaged(path: &Path, expected: &str, found: &str) -> Error {
    let problem = Problem::new("the run is damaged").expected(expected).found(found).at(path);
    Error::Weights(problem.hint("fit again, or restore the folder from a copy"))
}
