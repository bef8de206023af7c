//! `model.json`, `model.safetensors` and what words a run of texts knows: everything needed to answer, in one folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;
use engraft_weights::{Precision, Tensor, Weights};
use serde::{Deserialize, Serialize};

use crate::artefact::build::unsure;
use crate::artefact::model::{
    check_schema, damaged, parse_json, predictor_from, predictor_into, read_json, read_weights,
};
use crate::artefact::report::{SCHEMA, UnsureReport};
use crate::backbone::text::{
    EncoderConfig, HiddenLayer, LanguageCard, LanguageModel, LanguageModelParts, LstmEncoder, SentenceEncoder,
    SentenceLayout, TextBase, TextBody, WordPooler, WordVectors,
};
use crate::config::Fit;
use crate::data::text::{Text, words};
use crate::error::{Error, Problem, Result};
use crate::features::TextExtractor;
use crate::files;
use crate::inductive::text::{FittedTexts, WordWeight, explain};
use crate::inductive::{Answer, Predictor};
use crate::weight_files;

/// Prefix of the base's tensors.
const BASE: &str = "base.";
/// The tokenizer of an encoder.
pub(super) const TOKENIZER: &str = "tokenizer.json";
/// The words of vectors or of a language model.
pub(super) const VOCABULARY: &str = "vocab.txt";
/// Tensors of the hidden layer of a language model that was made a classifier.
const HIDDEN: [&str; 4] = ["hidden.scale", "hidden.shift", "hidden.weight", "hidden.bias"];
/// Most word vectors that a run keeps for texts to come.
const MOST_WORDS: usize = 200_000;
/// Longest file of either that is read.
const WORDS_LIMIT: u64 = 256 << 20;

/// `model.json` of a run of texts. What [`ModelFile`](super::ModelFile) has too has the same name here.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TextModelFile {
    /// Version of the shapes.
    pub schema: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// What is predicted from what.
    pub task: String,
    /// Names of the classes, in the order of the head's outputs.
    pub classes: Vec<String>,
    /// The base's name.
    pub base: String,
    /// Its network.
    pub architecture: String,
    /// Its licence.
    pub licence: String,
    /// Where it comes from.
    pub source: String,
    /// SHA-256 of the base's own weights file. Its tensors are in `model.safetensors`.
    pub base_sha256: String,
    /// What the base's tensors mean.
    pub body: BodyFile,
    /// Whether an answer takes two texts.
    pub pairs: bool,
    /// Names of the columns that held the texts; none where each was a file.
    pub text_columns: Vec<String>,
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
    /// SHA-256 of `tokenizer.json` or `vocab.txt`.
    pub words_sha256: String,
    /// SHA-256 of `model.safetensors`.
    pub model_sha256: String,
}

/// What the base's tensors mean.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum BodyFile {
    /// An encoder, with `tokenizer.json`.
    Encoder {
        /// Its sizes.
        config: EncoderConfig,
        /// How its states become one vector.
        layout: SentenceLayout,
    },
    /// Word vectors, with `vocab.txt`.
    Words {
        /// How they become one vector.
        pooler: WordPooler,
        /// What else is said of them.
        metadata: BTreeMap<String, String>,
    },
    /// A language model, with `vocab.txt`.
    LanguageModel {
        /// Its sizes and where it comes from.
        card: LanguageCard,
        /// Most tokens of a text.
        limit: usize,
    },
}

/// The files' bytes: tensors, words under their file's name, `model.json`.
pub(super) struct TextModelBytes {
    pub safetensors: Vec<u8>,
    pub words: (&'static str, Vec<u8>),
    pub json: Vec<u8>,
}

/// Writes a fitted model to bytes; equal models give equal bytes.
pub(super) fn text_bytes(fitted: &FittedTexts) -> Result<TextModelBytes> {
    let mut weights = Weights::default();
    let mut keep = |name: &str, shape: Vec<usize>, values: Vec<f32>| {
        weights.tensors.insert(format!("{BASE}{name}"), Tensor { shape, values, precision: Precision::F32 });
    };
    let (body, words) = match &fitted.base.body {
        TextBody::Encoder(sentence) => {
            for (name, tensor) in sentence.tensors().tensors {
                keep(&name, tensor.shape, tensor.values);
            }
            let body = BodyFile::Encoder { config: sentence.config.clone(), layout: sentence.layout.clone() };
            (body, (TOKENIZER, sentence.tokenizer.to_bytes()))
        }
        TextBody::Words(vectors) => {
            let kept = kept_words(vectors, fitted);
            let vectors = vectors.restrict(kept.iter().map(String::as_str))?;
            let (tensors, vocabulary) = vectors.to_parts();
            let read = weight_files::read(tensors.as_slice()).expect("what was just written is whole");
            for (name, tensor) in read.tensors {
                keep(&name, tensor.shape, tensor.values);
            }
            let pooler = fitted.pooler.clone().expect("word vectors are pooled");
            (BodyFile::Words { pooler, metadata: read.metadata }, (VOCABULARY, vocabulary))
        }
        TextBody::Lstm(model) => {
            let LanguageModelParts { weights, vocabulary, .. } = model.model.to_parts();
            for (name, tensor) in
                weight_files::read(weights.as_slice()).expect("what was just written is whole").tensors
            {
                keep(&name, tensor.shape, tensor.values);
            }
            if let Some(HiddenLayer { scale, shift, weight, bias }) = &model.hidden {
                let (inputs, outputs) = (scale.len(), bias.len());
                keep(HIDDEN[0], vec![inputs], scale.clone());
                keep(HIDDEN[1], vec![inputs], shift.clone());
                keep(HIDDEN[2], vec![inputs, outputs], weight.clone());
                keep(HIDDEN[3], vec![outputs], bias.clone());
            }
            let body = BodyFile::LanguageModel { card: model.model.card.clone(), limit: model.limit };
            (body, (VOCABULARY, vocabulary))
        }
    };
    predictor_into(&fitted.predictor, &mut weights);
    let safetensors = engraft_weights::write(&weights);
    let Predictor { temperature, rule, novelty, .. } = &fitted.predictor;
    let source = &fitted.intake.dataset.source;
    let file = TextModelFile {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").into(),
        task: "text-classification".into(),
        classes: fitted.intake.dataset.classes.clone(),
        base: fitted.base.id.clone(),
        architecture: fitted.base.architecture.clone(),
        licence: fitted.base.licence.clone(),
        source: fitted.base.source.clone(),
        base_sha256: fitted.base.sha256.clone(),
        body,
        pairs: fitted.intake.dataset.examples.iter().any(|example| example.text.second.is_some()),
        text_columns: source.text_columns.clone(),
        temperature: *temperature,
        unsure: unsure(rule),
        unlike_threshold: novelty.threshold,
        unlike_k: novelty.k,
        data_fingerprint: fitted.intake.fingerprint(),
        seed: fitted.config.seed,
        config: fitted.config.clone(),
        words_sha256: files::sha256_hex(&words.1),
        model_sha256: files::sha256_hex(&safetensors),
    };
    let mut json = serde_json::to_vec_pretty(&file).expect("a model file is plain data");
    json.push(b'\n');
    Ok(TextModelBytes { safetensors, words, json })
}

/// The words whose vectors a run keeps: all of them, or of very many the most frequent and those of the texts, since later
/// texts have other words.
fn kept_words(vectors: &WordVectors, fitted: &FittedTexts) -> BTreeSet<String> {
    let mut kept: BTreeSet<String> = vectors.words().take(MOST_WORDS).map(str::to_owned).collect();
    if vectors.len() > MOST_WORDS {
        let texts = fitted.intake.dataset.examples.iter().flat_map(|example| example.text.parts());
        kept.extend(texts.flat_map(|text| words(text).map(|(_, word)| word.into_owned()).collect::<Vec<_>>()));
    }
    kept
}

/// The hidden layer among a base's tensors, if it has one.
fn hidden_layer(base: &mut Weights, path: &Path) -> Result<Option<HiddenLayer>> {
    let [scale, shift, weight, bias] = HIDDEN.map(|name| base.tensors.remove(name));
    match (scale, shift, weight, bias) {
        (None, None, None, None) => Ok(None),
        (Some(scale), Some(shift), Some(weight), Some(bias))
            if scale.shape == shift.shape && weight.shape == [scale.values.len(), bias.values.len()] =>
        {
            let [scale, shift, weight, bias] = [scale, shift, weight, bias].map(|tensor| tensor.values);
            Ok(Some(HiddenLayer { scale, shift, weight, bias }))
        }
        _ => Err(damaged(path, "a whole hidden layer", "parts that do not fit each other")),
    }
}

/// A saved model of texts, ready to answer.
pub struct TextModel {
    /// What the tensors mean.
    pub file: TextModelFile,
    predictor: Predictor,
    extractor: TextExtractor,
}

impl TextModel {
    /// Opens the model of a run's folder, checking every hash and shape.
    pub fn open(run: &Path, device: &Device) -> Result<Self> {
        let file: TextModelFile = parse_json(run, &read_json(run)?)?;
        check_schema(run, file.schema)?;
        let mut weights = read_weights(run, &file.model_sha256)?;
        let predictor = predictor_from(
            &mut weights,
            run,
            file.classes.len(),
            &file.unsure,
            file.temperature,
            (file.unlike_threshold, file.unlike_k),
        )?;
        let words_of = |name: &str| -> Result<Vec<u8>> {
            let path = run.join(name);
            let bytes = files::read_limited(&path, WORDS_LIMIT)
                .map_err(|source| damaged(&path, "a file of the run", &source.to_string()))?;
            let found = files::sha256_hex(&bytes);
            if found == file.words_sha256 { Ok(bytes) } else { Err(damaged(&path, &file.words_sha256, &found)) }
        };
        let base = weights
            .tensors
            .into_iter()
            .filter_map(|(name, tensor)| name.strip_prefix(BASE).map(|name| (name.to_owned(), tensor)));
        let mut base = Weights { tensors: base.collect(), ..Weights::default() };
        let mut pooled = None;
        let body = match &file.body {
            BodyFile::Encoder { config, layout } => {
                let (config, layout, tokenizer) = (config.clone(), layout.clone(), words_of(TOKENIZER)?);
                TextBody::Encoder(Box::new(SentenceEncoder::from_parts(config, layout, &tokenizer, base, device)?))
            }
            BodyFile::Words { pooler, metadata } => {
                pooled = Some(pooler.clone());
                base.metadata.clone_from(metadata);
                TextBody::Words(Box::new(WordVectors::from_parts(
                    &engraft_weights::write(&base),
                    &words_of(VOCABULARY)?,
                )?))
            }
            BodyFile::LanguageModel { card, limit } => {
                let path = run.join("model.safetensors");
                let hidden = hidden_layer(&mut base, &path)?;
                let parts = LanguageModelParts {
                    weights: engraft_weights::write(&base),
                    vocabulary: words_of(VOCABULARY)?,
                    card: serde_json::to_vec(card).expect("a card is plain data"),
                };
                let model = LanguageModel::from_parts(&parts, device)?;
                if hidden.as_ref().is_some_and(|hidden| hidden.scale.len() != model.columns()) {
                    return Err(damaged(&path, "a hidden layer for the language model's states", "another"));
                }
                TextBody::Lstm(Box::new(LstmEncoder { model, hidden, limit: *limit }))
            }
        };
        let base = Arc::new(TextBase {
            id: file.base.clone(),
            architecture: file.architecture.clone(),
            licence: file.licence.clone(),
            source: file.source.clone(),
            sha256: file.base_sha256.clone(),
            remarks: Vec::new(),
            body,
        });
        let extractor = TextExtractor::new(&base).uncached().with_pooler(pooled, file.pairs);
        if extractor.columns() != predictor.head.columns {
            let expected = format!("a head for {} features", extractor.columns());
            let found = format!("one for {}", predictor.head.columns);
            return Err(damaged(&run.join("model.safetensors"), &expected, &found));
        }
        Ok(Self { file, predictor, extractor })
    }

    /// Answers to texts, in this order; of a text that is empty, or is no pair where the run takes pairs, an error. No
    /// answer depends on the texts beside it.
    ///
    /// # Errors
    /// [`Error::Weights`] where the run gives numbers that are none.
    pub fn predict(&self, texts: &[&Text]) -> Result<Vec<Result<Answer>>> {
        let checked: Vec<Result<()>> = texts.iter().map(|text| self.check(text)).collect();
        let usable: Vec<&Text> =
            texts.iter().zip(&checked).filter(|(_, check)| check.is_ok()).map(|(text, _)| *text).collect();
        let mut rows = self.extractor.rows(&usable)?.into_iter();
        let answer = |check: Result<()>| {
            check.map(|()| self.predictor.answer(&rows.next().expect("a row for each text that can be used")))
        };
        Ok(checked.into_iter().map(answer).collect())
    }

    /// How many of these texts are longer than what the base reads.
    pub fn truncated(&self, texts: &[&Text]) -> Result<usize> {
        self.extractor.truncated(texts)
    }

    /// What each word of a text, or each run of neighbouring words of a long one, gives to the probability of a class.
    pub fn explain(&self, text: &Text, class: usize) -> Result<Vec<WordWeight>> {
        explain(&self.extractor, &self.predictor, text, class)
    }

    fn check(&self, text: &Text) -> Result<()> {
        if text.parts().all(|part| part.trim().is_empty()) {
            return Err(Error::Data(Problem::new("the text is empty")));
        }
        if self.file.pairs != text.second.is_some() {
            let expected = if self.file.pairs { "two texts" } else { "one text" };
            let found = if text.second.is_some() { "two" } else { "one" };
            return Err(Error::Data(Problem::new("the run answers other inputs").expected(expected).found(found)));
        }
        Ok(())
    }
}
