//! `model.json` and the tensors of a run on answers or tags, and opening it.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;
use engraft_weights::{Precision, Tensor, Weights};
use serde::{Deserialize, Serialize};

use crate::artefact::model::{JSON, SAFETENSORS, check_schema, damaged, parse_json, read_json, read_weights};
use crate::artefact::report::SCHEMA;
use crate::artefact::span_report::{QUESTIONS, TAGS};
use crate::backbone::text::{EncoderConfig, SentenceEncoder, SentenceLayout, TextEncoder, Tokenizer, WordVectors};
use crate::config::SpanFit;
use crate::error::{Error, Problem, Result};
use crate::files;
use crate::inductive::spans::{
    AnyReader, Cutting, EncoderReader, FittedQuestions, FittedTags, FoundSpan, QuestionReader, ReaderNetwork,
    ReaderSizes, SpanAnswer, SpanBase, Tagger, TokenHead, TokenReader, WordReader, word_places,
};

/// The tokenizer of an encoder.
const TOKENIZER: &str = "tokenizer.json";
/// Word vectors, and the words that they are of.
const VECTORS: [&str; 2] = ["vectors.safetensors", "vectors.words"];
/// Prefix of the base's tensors, and of the reader's on word vectors.
const PREFIXES: [&str; 2] = ["base.", "reader."];
/// The longest tokenizer that is read.
const TOKENIZER_LIMIT: u64 = 256 << 20;

/// `model.json` of a run on answers or tags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpanModelFile {
    /// Version of the shapes.
    pub schema: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// `question-answering` or `token-tagging`.
    pub task: String,
    /// Names of the types of spans, in the order of the head's outputs (`O`, then `B-` and `I-` of each).
    pub classes: Vec<String>,
    /// Name, architecture and licence of the base.
    pub base: [String; 3],
    /// SHA-256 of the base's own weights. Its tensors are in `model.safetensors`, as they were trained.
    pub base_sha256: String,
    /// What the encoder is, and how it is fed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<EncoderFile>,
    /// Sizes of a reader on word vectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader: Option<WordReaderFile>,
    /// How paragraphs are read and answers cut out of them.
    pub cutting: Cutting,
    /// Above this no answer is given; absent where every question has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_answer_threshold: Option<f32>,
    /// SHA-256 over the training data.
    pub data_fingerprint: String,
    /// Seed of everything that was drawn.
    pub seed: u64,
    /// The settings.
    pub config: SpanFit,
    /// SHA-256 of `model.safetensors`.
    pub model_sha256: String,
}

/// An encoder without its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EncoderFile {
    /// Its sizes.
    pub config: EncoderConfig,
    /// How it is fed.
    pub layout: SentenceLayout,
    /// SHA-256 of `tokenizer.json`.
    pub tokenizer_sha256: String,
}

/// A reader on word vectors without its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WordReaderFile {
    /// Its sizes.
    pub sizes: ReaderSizes,
    /// SHA-256 of `vectors.safetensors` and `vectors.words`.
    pub vectors_sha256: [String; 2],
}

type Files = Vec<(&'static str, Vec<u8>)>;

/// The files of a model that answers questions.
pub(super) fn question_bytes(fitted: &FittedQuestions) -> Files {
    let reader = &fitted.driven.reader;
    let mut file = SpanModelFile {
        no_answer_threshold: reader.threshold,
        data_fingerprint: fitted.intake.set.fingerprint(),
        ..frame(QUESTIONS, &fitted.config, &fitted.base)
    };
    let mut weights = Weights::default();
    let mut files = Files::new();
    match (&reader.reader, &fitted.encoder) {
        (AnyReader::Encoder(reader), Some((config, layout))) => {
            file.cutting = reader.cutting;
            let (encoder, tokenizer) = encoder_parts(&reader.reader, &reader.tokenizer, config, layout, &mut weights);
            file.encoder = Some(encoder);
            files.push((TOKENIZER, tokenizer));
        }
        (AnyReader::Words(reader), _) => {
            reader.network.export(PREFIXES[1], &mut weights);
            let (vectors, words) = reader.vectors.to_parts();
            let vectors_sha256 = [files::sha256_hex(&vectors), files::sha256_hex(&words)];
            file.reader = Some(WordReaderFile { sizes: reader.sizes, vectors_sha256 });
            file.cutting.longest = reader.longest;
            files.extend([(VECTORS[0], vectors), (VECTORS[1], words)]);
        }
        (AnyReader::Encoder(_), None) => unreachable!("an encoder's reader comes from an encoder"),
    }
    finish(file, weights, files)
}

/// The files of a model that tags words.
pub(super) fn tag_bytes(fitted: &FittedTags) -> Files {
    let tagger = &fitted.driven.reader;
    let mut file = SpanModelFile {
        classes: fitted.intake.set.types.clone(),
        data_fingerprint: fitted.intake.set.fingerprint(),
        ..frame(TAGS, &fitted.config, &fitted.base)
    };
    file.cutting.limit = tagger.limit;
    let mut weights = Weights::default();
    let (config, layout) = fitted.encoder.as_ref().expect("tags are learnt on an encoder");
    let (encoder, tokenizer) = encoder_parts(&tagger.reader, &tagger.tokenizer, config, layout, &mut weights);
    file.encoder = Some(encoder);
    finish(file, weights, vec![(TOKENIZER, tokenizer)])
}

fn frame(task: &str, config: &SpanFit, base: &SpanBase) -> SpanModelFile {
    SpanModelFile {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").into(),
        task: task.into(),
        classes: Vec::new(),
        base: [base.id.clone(), base.architecture.clone(), base.licence.clone()],
        base_sha256: base.sha256.clone(),
        encoder: None,
        reader: None,
        cutting: Cutting { limit: config.max_tokens, stride: config.stride, longest: config.max_answer },
        no_answer_threshold: None,
        data_fingerprint: String::new(),
        seed: config.seed,
        config: config.clone(),
        model_sha256: String::new(),
    }
}

/// Adds the tensors of an encoder and its head; gives what else is to be kept of it.
fn encoder_parts(
    reader: &TokenReader,
    tokenizer: &Tokenizer,
    config: &EncoderConfig,
    layout: &SentenceLayout,
    weights: &mut Weights,
) -> (EncoderFile, Vec<u8>) {
    let mut put = |name: String, shape: Vec<usize>, values: Vec<f32>| {
        weights.tensors.insert(name, Tensor { shape, values, precision: Precision::F32 });
    };
    for (name, (shape, values)) in reader.encoder.tensors() {
        put(format!("{}{name}", PREFIXES[0]), shape, values);
    }
    let outputs = reader.head.bias.len();
    put("head.weight".into(), vec![config.width, outputs], reader.head.weight.clone());
    put("head.bias".into(), vec![outputs], reader.head.bias.clone());
    let tokenizer = tokenizer.to_bytes();
    // What follows the pooling is not part of what answers by tokens.
    let layout = SentenceLayout { dense: Vec::new(), ..layout.clone() };
    let tokenizer_sha256 = files::sha256_hex(&tokenizer);
    (EncoderFile { config: config.clone(), layout, tokenizer_sha256 }, tokenizer)
}

fn finish(mut file: SpanModelFile, weights: Weights, mut files: Files) -> Files {
    let safetensors = engraft_weights::write(&weights);
    file.model_sha256 = files::sha256_hex(&safetensors);
    let mut json = serde_json::to_vec_pretty(&file).expect("a model file is plain data");
    json.push(b'\n');
    files.extend([(SAFETENSORS, safetensors), (JSON, json)]);
    files
}

/// A saved model of answers or tags.
#[derive(Debug)]
pub struct SpanModel {
    /// What the tensors mean.
    pub file: SpanModelFile,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Questions(QuestionReader),
    Tags(Box<Tagger>),
}

/// What is answered to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// The text; empty for no answer.
    pub text: String,
    /// What it was chosen from.
    pub answer: SpanAnswer,
}

/// Whether a run's folder is of answers or tags, by its `model.json`.
pub fn is_span_run(run: &Path) -> bool {
    /// What tells it.
    #[derive(Deserialize)]
    struct Kind {
        task: String,
    }
    let json = read_json(run).unwrap_or_default();
    serde_json::from_slice::<Kind>(&json).is_ok_and(|kind| [QUESTIONS, TAGS].contains(&kind.task.as_str()))
}

impl SpanModel {
    /// Opens the model of a run's folder, checking every hash and shape.
    pub fn open(run: &Path, device: &Device) -> Result<Self> {
        let json = read_json(run)?;
        check_schema(run, &json)?;
        let file: SpanModelFile = parse_json(run, &json)?;
        let weights = read_weights(run, &file.model_sha256)?;
        let body = match (file.task.as_str(), &file.encoder, &file.reader) {
            (QUESTIONS, Some(encoder), None) => {
                let (reader, tokenizer) = open_encoder(run, encoder, 2, weights, device)?;
                let (cutting, may_refuse) = (file.cutting, file.no_answer_threshold.is_some());
                let reader = EncoderReader { reader, tokenizer, cutting, may_refuse };
                let reader = AnyReader::Encoder(Box::new(reader));
                Body::Questions(QuestionReader { reader, threshold: file.no_answer_threshold })
            }
            (QUESTIONS, None, Some(words)) => {
                let reader = open_words(run, words, file.cutting.longest, weights, device)?;
                let reader = AnyReader::Words(Box::new(reader));
                Body::Questions(QuestionReader { reader, threshold: file.no_answer_threshold })
            }
            (TAGS, Some(encoder), None) => {
                let (reader, tokenizer) = open_encoder(run, encoder, 1 + 2 * file.classes.len(), weights, device)?;
                Body::Tags(Box::new(Tagger { reader, tokenizer, limit: file.cutting.limit }))
            }
            (task, _, _) => {
                let found = format!("the task `{task}` without what it needs");
                return Err(damaged(&run.join(JSON), "an encoder, or a reader on word vectors", &found));
            }
        };
        Ok(Self { file, body })
    }

    /// Whether it answers questions, rather than tagging words.
    pub fn answers_questions(&self) -> bool {
        matches!(self.body, Body::Questions(_))
    }

    /// The answer to a question about a paragraph.
    ///
    /// # Errors
    /// [`Error::Usage`] of a run that tags words.
    pub fn answer(&self, question: &str, context: &str) -> Result<Answered> {
        let Body::Questions(reader) = &self.body else {
            let problem = Problem::new("this run tags words, and answers no questions");
            return Err(Error::Usage(problem.hint("give it texts: engraft predict RUN letters.txt")));
        };
        let answer = reader.reader.answer(question, context)?;
        Ok(Answered { text: answer.text(context, reader.threshold).to_owned(), answer })
    }

    /// The spans of a sentence of words; their types are those of [`SpanModelFile::classes`].
    ///
    /// # Errors
    /// [`Error::Usage`] of a run that answers questions.
    pub fn tags(&self, words: &[String]) -> Result<Vec<FoundSpan>> {
        let Body::Tags(tagger) = &self.body else {
            let problem = Problem::new("this run answers questions, and tags no words");
            return Err(Error::Usage(problem.hint("engraft predict RUN --context page.txt \"Who wrote it?\"")));
        };
        tagger.spans(words)
    }
}

impl SpanModel {
    /// The spans of a text, whose words are told apart by [`word_places`]: `start` and `end` are bytes of the text.
    ///
    /// # Errors
    /// As [`SpanModel::tags`].
    pub fn tags_of_text(&self, text: &str) -> Result<Vec<FoundSpan>> {
        let places = word_places(text);
        let words: Vec<String> = places.iter().map(|place| text[place.clone()].to_owned()).collect();
        let in_bytes =
            |span: FoundSpan| FoundSpan { start: places[span.start].start, end: places[span.end - 1].end, ..span };
        Ok(self.tags(&words)?.into_iter().map(in_bytes).collect())
    }
}

fn open_encoder(
    run: &Path,
    file: &EncoderFile,
    outputs: usize,
    mut weights: Weights,
    device: &Device,
) -> Result<(TokenReader, Tokenizer)> {
    let path = run.join(SAFETENSORS);
    let tokenizer = read_hashed(run, TOKENIZER, &file.tokenizer_sha256, TOKENIZER_LIMIT)?;
    let mut take = |name: &str, shape: &[usize]| -> Result<Vec<f32>> {
        match weights.tensors.remove(name) {
            Some(tensor) if tensor.shape == shape => Ok(tensor.values),
            found => {
                let found = found.map_or_else(|| "none".to_owned(), |tensor| format!("shape {:?}", tensor.shape));
                Err(damaged(&path, &format!("a tensor `{name}` of shape {shape:?}"), &found))
            }
        }
    };
    let weight = take("head.weight", &[file.config.width, outputs])?;
    let head = TokenHead { weight, bias: take("head.bias", &[outputs])? };
    let tensors = weights
        .tensors
        .into_iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix(PREFIXES[0])?.to_owned(), tensor)))
        .collect();
    let weights = Weights { tensors, ..Weights::default() };
    let SentenceEncoder { encoder, tokenizer, .. } =
        SentenceEncoder::from_parts(file.config.clone(), file.layout.clone(), &tokenizer, weights, device)?;
    let encoder: TextEncoder = encoder;
    Ok((TokenReader::new(encoder, head), tokenizer))
}

fn open_words(
    run: &Path,
    file: &WordReaderFile,
    longest: usize,
    mut weights: Weights,
    device: &Device,
) -> Result<WordReader> {
    let read = |at: usize| read_hashed(run, VECTORS[at], &file.vectors_sha256[at], engraft_weights::FILE_LIMIT);
    let vectors = WordVectors::from_parts(&read(0)?, &read(1)?)?;
    let sizes = file.sizes;
    if vectors.columns() != sizes.columns
        || sizes.hidden == 0
        || sizes.layers == 0
        || sizes.hidden.max(sizes.layers) > 1 << 14
    {
        let expected = format!("vectors of {} numbers", sizes.columns);
        return Err(damaged(&run.join(VECTORS[0]), &expected, &format!("{} and {sizes:?}", vectors.columns())));
    }
    let network = ReaderNetwork::import(sizes, PREFIXES[1], &mut weights, device)?;
    Ok(WordReader { network, sizes, vectors: Arc::new(vectors), longest })
}

fn read_hashed(run: &Path, name: &str, expected: &str, limit: u64) -> Result<Vec<u8>> {
    let path = run.join(name);
    let bytes = files::read_limited(&path, limit).map_err(|source| damaged(&path, "a file", &source.to_string()))?;
    let found = files::sha256_hex(&bytes);
    if found != expected {
        return Err(damaged(&path, &format!("SHA-256 {expected}"), &found));
    }
    Ok(bytes)
}
