//! The base of a run in `model.json`, `model.safetensors` and the files beside them, whatever it reads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;
use engraft_weights::{Precision, Tensor, Weights};
use serde::{Deserialize, Serialize};

use crate::bases::text::{
    EncoderConfig, HiddenLayer, LanguageCard, LanguageModel, LanguageModelParts, LstmEncoder, SentenceEncoder,
    SentenceLayout, TextBase, TextBody, TfIdf, WordPooler, WordVectors,
};
use crate::bases::{Architecture, Base, BaseSpec, Body, Card, Manifest, Network};
use crate::data::image::Limits;
use crate::data::text::words;
use crate::data::vectors::Encoding;
use crate::error::Result;
use crate::features::{Extractor, TextExtractor};
use crate::files;
use crate::fit::Fitted;
use crate::methods::tokens::{Cutting, TokenReader};
use crate::methods::{AnyBase, BaseFacts};
use crate::run::run_files::{Files, JSON, SAFETENSORS, damaged, not_a_run};
use crate::weight_files;

/// Prefix of the base's tensors.
const BASE: &str = "base.";
/// The file of a run that holds its base, where that is an ONNX model.
const ONNX_FILE: &str = "base.onnx";
/// The tokenizer of an encoder.
const TOKENIZER: &str = "tokenizer.json";
/// The words of vectors or of a language model.
const VOCABULARY: &str = "vocab.txt";
/// What a base has beside its tensors.
pub(super) const SIDE_FILES: [&str; 3] = [ONNX_FILE, TOKENIZER, VOCABULARY];
/// How much each term of TF-IDF counts.
const IDF: &str = "tfidf.idf";
/// Tensors of the hidden layer of a language model that was made a classifier.
const HIDDEN: [&str; 4] = ["hidden.scale", "hidden.shift", "hidden.weight", "hidden.bias"];
/// Most word vectors that a run keeps for texts to come.
const MOST_WORDS: usize = 200_000;
/// Longest file of words that is read.
const WORDS_LIMIT: u64 = 256 << 20;

/// What the base's tensors mean, and how it reads an example.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "input", rename_all = "kebab-case")]
pub enum BodyFile {
    /// A base of images.
    Images {
        /// Its card, preprocessing included.
        card: Box<Card>,
        /// The stage whose output the head takes.
        cut: String,
    },
    /// A base of texts.
    Texts {
        /// What runs.
        body: Box<TextBodyFile>,
        /// Where it comes from.
        source: String,
        /// Whether an answer takes two texts.
        pairs: bool,
        /// Names of the columns that held the texts; none where each was a file.
        text_columns: Vec<String>,
        /// SHA-256 of `tokenizer.json` or `vocab.txt`.
        words_sha256: String,
        /// How long inputs are cut, where a head looks at tokens.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tokens: Option<Cutting>,
    },
    /// No base: rows of a table, or of an array.
    Vectors {
        /// How a row becomes numbers.
        encoding: Encoding,
        /// The column that held the labels, or their file.
        label: Option<String>,
    },
}

/// What runs in a base of texts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum TextBodyFile {
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
    /// Words and pairs of words counted, with `vocab.txt`.
    #[serde(rename = "tfidf")]
    TfIdf {},
    /// A language model, with `vocab.txt`.
    LanguageModel {
        /// Its sizes and where it comes from.
        card: LanguageCard,
        /// Most tokens of a text.
        limit: usize,
    },
}

/// What gives features of examples to come.
pub(super) enum Reader {
    /// Of images.
    Images(Box<Extractor>),
    /// Of texts, and whether of pairs.
    Texts(Box<TextExtractor>, bool),
    /// Of rows.
    Vectors(Encoding),
    /// Of tokens; and of texts, for what is unlike the training data.
    Tokens(Box<TextExtractor>, Box<TokenReader>),
}

impl Reader {
    /// Length of the features.
    pub(crate) fn columns(&self) -> usize {
        match self {
            Reader::Images(extractor) => extractor.columns(),
            Reader::Texts(extractor, _) | Reader::Tokens(extractor, _) => extractor.columns(),
            Reader::Vectors(encoding) => encoding.columns(),
        }
    }
}

impl BodyFile {
    /// Writes a base's tensors, says what they mean, and gives the files that go beside them.
    pub(super) fn of(fitted: &Fitted, weights: &mut Weights) -> Result<(Self, Files)> {
        let base = match &fitted.base {
            AnyBase::Texts(base) => base,
            AnyBase::None => {
                let encoding = fitted.columns.as_ref().expect("rows are encoded").encoding.clone();
                let label = fitted.intake.vectors().and_then(|set| set.source.label.clone());
                return Ok((Self::Vectors { encoding, label }, Vec::new()));
            }
            AnyBase::Images(base) => {
                let mut files = Vec::new();
                match &base.body {
                    Body::Stages(built) => keep_network(&built.manifest, &built.network, weights),
                    Body::Onnx { bytes, .. } => files.push((ONNX_FILE, bytes.to_vec())),
                }
                let cut = fitted.base.last_stage();
                return Ok((Self::Images { card: Box::new(base.card.clone()), cut }, files));
            }
        };
        let mut keep = |name: &str, shape: Vec<usize>, values: Vec<f32>| {
            weights.tensors.insert(format!("{BASE}{name}"), Tensor { shape, values, precision: Precision::F32 });
        };
        let (body, words) = match &base.body {
            TextBody::Encoder(sentence) => {
                for (name, tensor) in sentence.tensors().tensors {
                    keep(&name, tensor.shape, tensor.values);
                }
                let body = TextBodyFile::Encoder { config: sentence.config.clone(), layout: sentence.layout.clone() };
                (body, (TOKENIZER, sentence.tokenizer.to_bytes()))
            }
            TextBody::Words(vectors) => {
                let restricted;
                // A reader looks words up as they are written.
                let vectors = match fitted.tokens {
                    Some(_) => &**vectors,
                    None => {
                        restricted = vectors.restrict(kept_words(vectors, fitted).iter().map(String::as_str))?;
                        &restricted
                    }
                };
                let (tensors, vocabulary) = vectors.to_parts();
                let read = weight_files::read(tensors.as_slice()).expect("what was just written is whole");
                for (name, tensor) in read.tensors {
                    keep(&name, tensor.shape, tensor.values);
                }
                let of_texts = fitted.texts.as_ref().and_then(|texts| texts.pooler.clone());
                let of_tokens = fitted.tokens.as_ref().and_then(|tokens| tokens.pooler.clone());
                let pooler = of_texts.or(of_tokens).expect("word vectors are pooled");
                (TextBodyFile::Words { pooler, metadata: read.metadata }, (VOCABULARY, vocabulary))
            }
            TextBody::TfIdf(counted) => {
                let (terms, idf) = counted.to_parts();
                keep(IDF, vec![idf.len()], idf);
                (TextBodyFile::TfIdf {}, (VOCABULARY, terms))
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
                let body = TextBodyFile::LanguageModel { card: model.model.card.clone(), limit: model.limit };
                (body, (VOCABULARY, vocabulary))
            }
        };
        let input = fitted.intake.texts();
        let file = Self::Texts {
            body: Box::new(body),
            source: base.source.clone(),
            pairs: fitted.intake.texts_of(&fitted.train).iter().any(|text| text.second.is_some()),
            text_columns: input.map_or_else(Vec::new, |input| input.source.text_columns.clone()),
            words_sha256: files::sha256_hex(&words.1),
            tokens: fitted.tokens.as_ref().map(|tokens| tokens.cutting),
        };
        Ok((file, vec![words]))
    }

    /// The base of a run that is a network of images.
    ///
    /// # Errors
    /// [`Error::Weights`](crate::error::Error::Weights) where tensors are missing or of other shapes.
    pub(super) fn network(&self, facts: &BaseFacts, exact: bool, weights: &Weights) -> Result<Option<Base>> {
        match self {
            Self::Images { card, .. } if card.architecture != Architecture::ONNX => {
                let weights = of_base(weights.tensors.clone());
                let base = Base::from_weights((**card).clone(), &weights, facts.sha256.clone(), &Device::flex())?;
                Ok(Some(base.exact(exact)))
            }
            _ => Ok(None),
        }
    }

    /// Opens the base of a run by its tensors and files.
    ///
    /// # Errors
    /// [`Error::Weights`](crate::error::Error::Weights) where something is missing or damaged.
    pub(super) fn open(
        &self,
        run: &Path,
        facts: &BaseFacts,
        exact: bool,
        weights: Weights,
        device: &Device,
    ) -> Result<Reader> {
        let mut weights = of_base(weights.tensors);
        match self {
            Self::Images { card, cut } => open_images(run, card, &facts.sha256, cut, exact, &weights, device)
                .map(|it| Reader::Images(Box::new(it))),
            Self::Texts { body, source, pairs, words_sha256, tokens, .. } => {
                let (body, pooler) = body.open(run, words_sha256, &mut weights, device)?;
                let base = Arc::new(TextBase {
                    id: facts.id.clone(),
                    architecture: facts.architecture.clone(),
                    licence: facts.licence.clone(),
                    source: source.clone(),
                    sha256: facts.sha256.clone(),
                    remarks: Vec::new(),
                    body,
                });
                let extractor = TextExtractor::new(&base).uncached().with_pooler(pooler, *pairs);
                Ok(match tokens {
                    None => Reader::Texts(Box::new(extractor), *pairs),
                    Some(cutting) => Reader::Tokens(Box::new(extractor), Box::new(TokenReader::new(&base, *cutting))),
                })
            }
            Self::Vectors { encoding, .. } => {
                encoding.check(&run.join(JSON))?;
                Ok(Reader::Vectors(encoding.clone()))
            }
        }
    }
}

/// Puts the tensors of a network of images among those of a run.
pub(super) fn keep_network(manifest: &Manifest, network: &Network, weights: &mut Weights) {
    for (name, tensor) in manifest.export(network, Precision::F32) {
        weights.tensors.insert(format!("{BASE}{name}"), tensor);
    }
}

/// The base's tensors among those of a run.
fn of_base(tensors: BTreeMap<String, Tensor>) -> Weights {
    let tensors = tensors.into_iter();
    let tensors = tensors.filter_map(|(name, tensor)| Some((name.strip_prefix(BASE)?.to_owned(), tensor)));
    Weights { tensors: tensors.collect(), ..Weights::default() }
}

impl TextBodyFile {
    fn open(
        &self,
        run: &Path,
        words_sha256: &str,
        base: &mut Weights,
        device: &Device,
    ) -> Result<(TextBody, Option<WordPooler>)> {
        let words_of = |name: &str| -> Result<Vec<u8>> {
            let path = run.join(name);
            let bytes = files::read_limited(&path, WORDS_LIMIT)
                .map_err(|source| damaged(&path, "a file of the run", &source.to_string()))?;
            let found = files::sha256_hex(&bytes);
            if found == words_sha256 { Ok(bytes) } else { Err(damaged(&path, words_sha256, &found)) }
        };
        let mut pooled = None;
        let body = match self {
            Self::Encoder { config, layout } => {
                let (config, layout, tokenizer) = (config.clone(), layout.clone(), words_of(TOKENIZER)?);
                let weights = std::mem::take(base);
                TextBody::Encoder(Box::new(SentenceEncoder::from_parts(config, layout, &tokenizer, weights, device)?))
            }
            Self::Words { pooler, metadata } => {
                pooled = Some(pooler.clone());
                base.metadata.clone_from(metadata);
                let words = words_of(VOCABULARY)?;
                TextBody::Words(Box::new(WordVectors::from_parts(&engraft_weights::write(base), &words)?))
            }
            Self::TfIdf {} => {
                let path = run.join(SAFETENSORS);
                let idf = base.tensors.remove(IDF).ok_or_else(|| damaged(&path, "the weights of TF-IDF", "none"))?;
                TextBody::TfIdf(Box::new(TfIdf::from_parts(&words_of(VOCABULARY)?, idf.values, &path)?))
            }
            Self::LanguageModel { card, limit } => {
                let path = run.join(SAFETENSORS);
                let hidden = hidden_layer(base, &path)?;
                let parts = LanguageModelParts {
                    weights: engraft_weights::write(base),
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
        Ok((body, pooled))
    }
}

/// What makes features of images: the base of a run, up to the cut.
fn open_images(
    run: &Path,
    card: &Card,
    base_sha256: &str,
    cut: &str,
    exact: bool,
    weights: &Weights,
    device: &Device,
) -> Result<Extractor> {
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
        Base::from_weights(card.clone(), weights, base_sha256.to_owned(), device)?
    };
    let base = base.exact(exact);
    let stages = base.stages();
    let at = stages.iter().position(|name| name == cut).ok_or_else(|| {
        let expected = format!("one of the stages {}", stages.join(", "));
        damaged(&run.join(SAFETENSORS), &expected, &format!("the cut {cut}"))
    })?;
    Extractor::new(&base, at + 1, Limits::default(), device)
}

/// The words whose vectors a run keeps: all of them, or of very many the most frequent and those of the texts, since later
/// texts have other words.
fn kept_words(vectors: &WordVectors, fitted: &Fitted) -> BTreeSet<String> {
    let mut kept: BTreeSet<String> = vectors.words().take(MOST_WORDS).map(str::to_owned).collect();
    if vectors.len() > MOST_WORDS {
        let texts = fitted.intake.texts().into_iter().flat_map(|input| &input.texts).flat_map(|text| text.parts());
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
