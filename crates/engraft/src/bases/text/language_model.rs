//! A language model: an LSTM network, the words that it knows, and where it comes from.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use engraft_weights::{Precision, Tensor as Numbers, Weights};
use serde::{Deserialize, Serialize};

use crate::bases::stage::Mode;
use crate::bases::text::lstm::{Dropouts, LstmConfig, LstmNetwork, concat_pool_values};
use crate::bases::text::vectors::WordVectors;
use crate::bases::text::vocabulary::{PADDING, Vocabulary};
use crate::data::text::Text;
use crate::error::{Error, Problem, Result};
use crate::files;
use crate::weight_files;

/// The name of the architecture in cards.
pub(crate) const ARCHITECTURE: &str = "awd_lstm";
/// Files of a folder.
const FILES: [&str; 3] = ["model.safetensors", "vocab.txt", "config.json"];
/// Most words and most numbers of a state.
const LIMITS: [usize; 2] = [1 << 22, 1 << 14];
/// Texts that run together where nothing learns.
const BATCH: usize = 32;

/// Where a language model comes from, and its sizes: `config.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LanguageCard {
    /// `awd_lstm`.
    pub(crate) architecture: String,
    /// Its sizes.
    pub(crate) sizes: LstmConfig,
    /// The model's name.
    pub(crate) id: String,
    /// What it is.
    #[serde(default)]
    pub(crate) description: String,
    /// Its licence.
    #[serde(default)]
    pub(crate) licence: String,
    /// Where it comes from.
    #[serde(default)]
    pub(crate) source: String,
    /// Tokens that it was trained on, each as often as it was seen once.
    #[serde(default)]
    pub(crate) tokens: u64,
    /// Perplexity on what was held out, as it was measured at the end of its training.
    #[serde(default)]
    pub(crate) perplexity: Option<f64>,
}

impl LanguageCard {
    /// A card of a model that nothing is said about.
    pub fn of(sizes: LstmConfig, id: &str) -> Self {
        let nothing = String::new;
        Self {
            architecture: ARCHITECTURE.into(),
            sizes,
            id: id.into(),
            description: nothing(),
            licence: nothing(),
            source: nothing(),
            tokens: 0,
            perplexity: None,
        }
    }
}

/// A language model.
#[derive(Debug, Clone)]
pub struct LanguageModel {
    /// The network.
    pub network: LstmNetwork,
    /// The words that it knows.
    pub vocabulary: Vocabulary,
    /// Where it comes from.
    pub(crate) card: LanguageCard,
}

/// A language model as the bytes of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanguageModelParts {
    /// `model.safetensors`
    pub weights: Vec<u8>,
    /// `vocab.txt`
    pub vocabulary: Vec<u8>,
    /// `config.json`
    pub card: Vec<u8>,
}

impl LanguageModel {
    /// A model of random numbers for these words. `sizes.vocabulary` is made theirs.
    ///
    /// Words that `vectors` have, where vectors are given, begin at these, scaled to the spread of the other embeddings.
    ///
    /// # Errors
    /// [`Error::Usage`] where sizes are invalid, or the vectors are of another width.
    pub fn random(
        mut sizes: LstmConfig,
        vocabulary: Vocabulary,
        vectors: Option<&WordVectors>,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        sizes.vocabulary = vocabulary.len();
        check(&sizes).map_err(Error::Usage)?;
        let network = LstmNetwork::random(sizes, seed, device);
        let card = LanguageCard::of(sizes, "language-model");
        let mut model = Self { network, vocabulary, card };
        if let Some(vectors) = vectors {
            if vectors.columns() != sizes.width {
                let problem = Problem::new("the word vectors do not fit the language model");
                let problem = problem.expected(format_args!("{} columns, as --width says", sizes.width));
                return Err(Error::Usage(problem.found(vectors.columns())));
            }
            model = model.beginning_at(vectors, device);
        }
        Ok(model)
    }

    fn beginning_at(self, vectors: &WordVectors, device: &Device) -> Self {
        let square = vectors.values().iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>();
        let width = vectors.columns();
        // Random embeddings have the deviation 1 / sqrt(width).
        let scale = (1.0 / (square / vectors.len() as f64).sqrt().max(1e-12)) as f32;
        let words: Vec<String> = self.vocabulary.words().map(str::to_owned).collect();
        self.changed(device, |name, values| {
            if name == "encoder.weight" {
                for (row, word) in values.chunks_exact_mut(width).zip(&words) {
                    if let Some(vector) = vectors.row(word) {
                        row.iter_mut().zip(vector).for_each(|(to, from)| *to = from * scale);
                    }
                }
            }
        })
    }

    /// The same with other numbers; `change` may lengthen those of the vocabulary.
    fn changed(self, device: &Device, mut change: impl FnMut(&str, &mut Vec<f32>)) -> Self {
        let sizes = LstmConfig { vocabulary: self.vocabulary.len(), ..self.network.config() };
        let mut tensors: BTreeMap<String, Vec<f32>> =
            self.network.tensors().into_iter().map(|(name, _, values)| (name, values)).collect();
        tensors.iter_mut().for_each(|(name, values)| change(name, values));
        let network = LstmNetwork::of(sizes, device, |name, _| tensors.remove(name)).expect("it had every tensor");
        Self { network, card: LanguageCard { sizes, ..self.card }, ..self }
    }

    /// The same on another device: one that learns (`Device::autodiff`), or a plain one.
    #[must_use]
    pub(crate) fn onto(self, device: &Device) -> Self {
        self.changed(device, |_, _| ())
    }

    /// The same with these words too. A new word begins at the mean of all embeddings and biases (Howard and Ruder 2018,
    /// as fastai does it).
    #[must_use]
    pub(crate) fn extended(mut self, words: impl IntoIterator<Item = String>, device: &Device) -> Self {
        let (before, width) = (self.vocabulary.len(), self.network.config().width);
        self.vocabulary = self.vocabulary.extended(words);
        let more = self.vocabulary.len() - before;
        self.changed(device, |name, values| {
            let columns = match name {
                "encoder.weight" => width,
                "decoder.bias" => 1,
                _ => return,
            };
            let mut mean = vec![0.0f64; columns];
            for row in values.chunks_exact(columns) {
                mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
            }
            let mean: Vec<f32> = mean.into_iter().map(|sum| (sum / before as f64) as f32).collect();
            (0..more).for_each(|_| values.extend_from_slice(&mean));
        })
    }

    /// Numbers of a text's embedding: last, largest and mean state beside each other.
    pub(crate) fn columns(&self) -> usize {
        3 * self.network.config().width
    }

    /// The tokens of texts, at most `limit` of each: the first and the last half of longer ones. How many were cut.
    pub(crate) fn encode(&self, texts: &[&Text], limit: usize) -> (Vec<Vec<u32>>, usize) {
        use rayon::prelude::*;
        let encoded: Vec<(Vec<u32>, bool)> = texts
            .par_iter()
            .map(|text| {
                let mut numbers = self.vocabulary.encode(text);
                let is_long = numbers.len() > limit;
                if is_long {
                    numbers.drain(limit.div_ceil(2)..numbers.len() - limit / 2);
                }
                (numbers, is_long)
            })
            .collect();
        let cut = encoded.iter().filter(|(_, is_long)| *is_long).count();
        (encoded.into_iter().map(|(numbers, _)| numbers).collect(), cut)
    }

    /// Embeddings of texts of at most `limit` tokens by the frozen model, `[texts][columns]`. None depends on the texts
    /// beside it.
    pub(crate) fn embed(&self, texts: &[&Text], limit: usize) -> Vec<Vec<f32>> {
        let (encoded, _) = self.encode(texts, limit);
        let width = self.network.config().width;
        let states = frozen_states(&self.network, &encoded.iter().map(Vec::as_slice).collect::<Vec<_>>());
        states.into_iter().map(|states| concat_pool_values(&states, width)).collect()
    }

    /// The files' bytes.
    pub(crate) fn to_parts(&self) -> LanguageModelParts {
        let tensors = self.network.tensors().into_iter();
        let tensors = tensors.map(|(name, shape, values)| (name, Numbers { shape, values, precision: Precision::F32 }));
        let mut weights = Weights { tensors: tensors.collect(), ..Weights::default() };
        weights.metadata.insert("made_by".into(), format!("engraft {}", env!("CARGO_PKG_VERSION")));
        let mut card = serde_json::to_vec_pretty(&self.card).expect("a card is plain data");
        card.push(b'\n');
        LanguageModelParts { weights: engraft_weights::write(&weights), vocabulary: self.vocabulary.to_bytes(), card }
    }

    /// The reverse of `LanguageModel::to_parts`, to the bit.
    ///
    /// # Errors
    /// [`Error::Weights`] where the files are damaged, of another kind, or do not fit each other.
    pub fn from_parts(parts: &LanguageModelParts, device: &Device) -> Result<Self> {
        let wrong = |what: &str, expected: String, found: String| {
            Error::Weights(Problem::new(what).expected(expected).found(found))
        };
        let card: LanguageCard = serde_json::from_slice(&parts.card).map_err(|source| {
            wrong("the language model's config.json cannot be read", "a card".into(), source.to_string())
        })?;
        if card.architecture != ARCHITECTURE {
            return Err(wrong("this is not a language model", ARCHITECTURE.into(), card.architecture));
        }
        check(&card.sizes).map_err(Error::Weights)?;
        let vocabulary = Vocabulary::from_bytes(&parts.vocabulary)?;
        if vocabulary.len() != card.sizes.vocabulary {
            let expected = format!("{} words", card.sizes.vocabulary);
            return Err(wrong("config.json and vocab.txt do not fit", expected, vocabulary.len().to_string()));
        }
        let mut weights = weight_files::read(parts.weights.as_slice()).map_err(|source| {
            wrong("the language model's weights cannot be read", "safetensors".into(), source.to_string())
        })?;
        let mut fault = None;
        let network = LstmNetwork::of(card.sizes, device, |name, shape| {
            let found = weights.tensors.remove(name);
            let problem = match &found {
                None => "no such tensor".to_owned(),
                Some(tensor) if tensor.shape != shape => format!("{:?}", tensor.shape),
                Some(tensor) if tensor.values.iter().any(|x| !x.is_finite()) => "numbers that are not finite".into(),
                Some(_) => return found.map(|tensor| tensor.values),
            };
            fault =
                Some(wrong("a tensor of the language model does not fit", format!("`{name}` of {shape:?}"), problem));
            None
        });
        match (network, weights.tensors.into_keys().next()) {
            (None, _) => Err(fault.expect("what does not fit was noted")),
            (Some(_), Some(name)) => {
                Err(wrong("the language model has a tensor too many", "those of its sizes".into(), format!("`{name}`")))
            }
            (Some(network), None) => Ok(Self { network, vocabulary, card }),
        }
    }

    /// Whether a folder holds a language model.
    pub(crate) fn is_at(folder: &Path) -> bool {
        let card = files::read_limited(&folder.join(FILES[2]), 1 << 20).ok();
        card.and_then(|bytes| serde_json::from_slice::<LanguageCard>(&bytes).ok())
            .is_some_and(|card| card.architecture == ARCHITECTURE)
    }

    /// Reads a folder with `model.safetensors`, `vocab.txt` and `config.json`.
    ///
    /// # Errors
    /// [`Error::Io`] where a file cannot be read; else as [`LanguageModel::from_parts`].
    pub fn open(folder: &Path, device: &Device) -> Result<Self> {
        let read = |name: &str, limit: u64| {
            let path = folder.join(name);
            files::read_limited(&path, limit).map_err(|source| Error::read(&path, &source))
        };
        let [weights, vocabulary, card] = FILES;
        let parts = LanguageModelParts {
            weights: read(weights, engraft_weights::FILE_LIMIT)?,
            vocabulary: read(vocabulary, 1 << 30)?,
            card: read(card, 1 << 20)?,
        };
        Self::from_parts(&parts, device)
    }

    /// The files of a folder, by name.
    pub(crate) fn to_files(&self) -> [(&'static str, Vec<u8>); 3] {
        let LanguageModelParts { weights, vocabulary, card } = self.to_parts();
        let [weights_name, vocabulary_name, card_name] = FILES;
        [(weights_name, weights), (vocabulary_name, vocabulary), (card_name, card)]
    }
}

/// Sizes that can be, or what is wrong with them.
fn check(sizes: &LstmConfig) -> std::result::Result<(), Problem> {
    let LstmConfig { vocabulary, width, hidden, layers } = *sizes;
    let [words, numbers] = LIMITS;
    let fits = (1..=words).contains(&vocabulary)
        && [width, hidden].iter().all(|size| (1..=numbers).contains(size))
        && (1..=8).contains(&layers);
    if fits {
        return Ok(());
    }
    Err(Problem::new("invalid language model sizes")
        .expected(format_args!("1 to {words} words, states of 1 to {numbers}, 1 to 8 layers"))
        .found(format_args!("{vocabulary} words, width {width}, hidden {hidden}, {layers} layers")))
}

/// The last layer's states of each text, `[tokens, width]`, without a graph. Texts run in groups of about the same length;
/// none of them sees its neighbours or its padding.
pub(crate) fn frozen_states(network: &LstmNetwork, texts: &[&[u32]]) -> Vec<Vec<f32>> {
    let layers = network.config().layers;
    states_to(network, texts, layers)
}

/// As [`frozen_states`], after the first `layers` layers; after none, the embeddings.
pub(crate) fn states_to(network: &LstmNetwork, texts: &[&[u32]], layers: usize) -> Vec<Vec<f32>> {
    let network = network.valid();
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|&text| texts[text].len());
    let mut found = vec![Vec::new(); texts.len()];
    for group in order.chunks(BATCH) {
        let steps = group.iter().map(|&text| texts[text].len()).max().unwrap_or(0);
        if steps == 0 {
            continue;
        }
        let numbers = padded(group.iter().map(|&text| texts[text]), steps);
        let x = network.embed(&numbers, group.len(), Mode::Frozen, &Dropouts::NONE);
        let mut states = vec![None; network.config().layers];
        let x = network.layers(x, 0..layers, &mut states, |_| Mode::Frozen, &Dropouts::NONE);
        let width = x.dims()[2];
        let values: Vec<f32> = x.into_data().try_into_vec().expect("states are f32");
        for (&text, states) in group.iter().zip(values.chunks_exact(steps * width)) {
            found[text] = states[..texts[text].len() * width].to_vec();
        }
    }
    found
}

/// Sequences one after the other, each filled up to `steps`.
pub(crate) fn padded<'a>(texts: impl Iterator<Item = &'a [u32]>, steps: usize) -> Vec<u32> {
    let mut numbers = Vec::new();
    for text in texts {
        numbers.extend_from_slice(text);
        numbers.extend(std::iter::repeat_n(PADDING, steps - text.len()));
    }
    numbers
}

#[cfg(test)]
#[path = "language_model_tests.rs"]
mod tests;
