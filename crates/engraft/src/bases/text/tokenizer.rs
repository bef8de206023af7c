//! How a text becomes tokens: the crate `tokenizers`, with truncation that is told, and windows over long texts.

use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::models::ModelWrapper;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::utils::truncation::TruncationDirection;
use tokenizers::{
    EncodeInput, Encoding, InputSequence, Model, NormalizedString, Normalizer, OffsetReferential, OffsetType,
    PostProcessor, PostProcessorWrapper, PreTokenizedString, PreTokenizer, PreTokenizerWrapper, Tokenizer as Inner,
    TruncationParams, TruncationStrategy, truncate_encodings,
};

use crate::bases::text::tokenizer_files;
use crate::data::text::Text;
use crate::error::{Error, Problem, Result};
use crate::guard::guarded;

/// The largest number of a token: 60 times the largest vocabulary in use.
const LARGEST_ID: u32 = 1 << 24;

/// What the classes of Transformers begin with that follow `tokenizer_config.json`.
const FOLLOWING: [&str; 4] = ["Bert", "DistilBert", "MPNet", "Electra"];

/// A tokenizer.
#[derive(Debug, Clone)]
pub(crate) struct Tokenizer {
    /// Everything but the special tokens, which are added after the truncation.
    inner: Inner,
    processor: Option<PostProcessorWrapper>,
    unknown: Option<u32>,
    largest: u32,
    /// Whether a word is told from a part of one by the space before it.
    spaced: bool,
}

/// The tokens of a text or a pair.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Encoded {
    /// Rows of the table of tokens.
    pub(crate) ids: Vec<u32>,
    /// 0 for the first text, 1 for the second, as the encoder was trained.
    pub(crate) segments: Vec<u8>,
    /// Where each token lies in its text, in bytes; (0, 0) for a special one.
    pub(crate) offsets: Vec<(u32, u32)>,
    /// Which text each token is of: 0 or 1; none for a special one.
    pub(crate) sequence: Vec<Option<u8>>,
    /// Which word of its text each token is of; none for a special one.
    pub(crate) word: Vec<Option<u32>>,
    /// Tokens that were cut off.
    pub(crate) cut: usize,
    /// Tokens that are not in the vocabulary.
    pub(crate) unknown: usize,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`. What it says of truncation and padding is left out.
    ///
    /// # Errors
    /// [`Error::Weights`] for what is not a tokenizer, or has no token.
    pub(crate) fn from_bytes(json: &[u8]) -> Result<Self> {
        let refuse = |found: &dyn std::fmt::Display| {
            let problem = Problem::new("the tokenizer cannot be read").expected("a tokenizer.json of Hugging Face");
            Error::Weights(problem.found(found))
        };
        if json.len() as u64 > tokenizer_files::LIMIT {
            return Err(refuse(&format_args!("{} bytes, over the limit of {}", json.len(), tokenizer_files::LIMIT)));
        }
        check_depth(json).map_err(|found| refuse(&found))?;
        let opened = foreign(|| {
            let mut inner = Inner::from_bytes(json)?;
            inner.with_padding(None);
            inner.with_truncation(None)?;
            let processor = inner.get_post_processor().cloned();
            inner.with_post_processor(None::<PostProcessorWrapper>);
            let largest = inner.get_vocab(true).into_values().max();
            // Writing a vocabulary passes over every number below the largest.
            if largest.is_some_and(|largest| largest > LARGEST_ID) {
                return Err(format!("a token with a number over {LARGEST_ID}").into());
            }
            // What cannot be written again could not be kept in a run.
            inner.to_string(false)?;
            Ok((inner, processor, largest))
        });
        let (inner, processor, largest) = opened.map_err(|source| refuse(&source))?;
        let largest = largest.ok_or_else(|| refuse(&"an empty vocabulary"))?;
        let unknown = unknown_token(&inner).and_then(|token| inner.token_to_id(&token));
        let spaced = matches!(inner.get_pre_tokenizer(),
            Some(PreTokenizerWrapper::ByteLevel(level)) if !level.add_prefix_space);
        let mut tokenizer = Self { inner, processor, unknown, largest, spaced };
        // Special tokens come with numbers of their own, which need not be in the vocabulary.
        let pair = Text { first: String::new(), second: Some(String::new()) };
        let special = tokenizer.encode(&pair, usize::MAX)?.ids;
        tokenizer.largest = special.into_iter().fold(largest, u32::max);
        Ok(tokenizer)
    }

    /// Reads what a folder has: `tokenizer.json`, else `vocab.txt` (WordPiece), else `vocab.json` and `merges.txt` (BPE
    /// as RoBERTa has it), by what `tokenizer_config.json` says of them.
    ///
    /// # Errors
    /// [`Error::Weights`] for what is missing, too large or damaged.
    pub fn open(folder: &Path) -> Result<Self> {
        let tokenizer = Self::from_bytes(&tokenizer_files::read(folder)?)?;
        let said = tokenizer_files::settings(folder, "tokenizer_config.json")?.unwrap_or_default();
        Ok(tokenizer.normalised_as(&said))
    }

    /// With what `tokenizer_config.json` says of cases, accents and Chinese characters: the tokenizers of BERT, DistilBERT and
    /// MPNet in Transformers follow it, and not `tokenizer.json`. One of no class of its own is as its file has it.
    fn normalised_as(mut self, said: &Map<String, Value>) -> Self {
        let class = said.get("tokenizer_class").and_then(Value::as_str).unwrap_or_default();
        let follows = class.is_empty() || FOLLOWING.iter().any(|known| class.starts_with(known));
        let Some(NormalizerWrapper::BertNormalizer(own)) = self.inner.get_normalizer().filter(|_| follows) else {
            return self;
        };
        let mut new = *own;
        let flag = |name: &str, usual: bool| said.get(name).and_then(Value::as_bool).unwrap_or(usual);
        new.lowercase = flag("do_lower_case", new.lowercase);
        new.handle_chinese_chars = flag("tokenize_chinese_chars", new.handle_chinese_chars);
        // With `null`, accents go where letters become small ones.
        if let Some(strip) = said.get("strip_accents").filter(|strip| strip.is_null() || strip.is_boolean()) {
            new.strip_accents = strip.as_bool();
        }
        let _ = self.inner.with_normalizer(Some(NormalizerWrapper::BertNormalizer(new)));
        self
    }

    /// The whole tokenizer as `tokenizer.json`.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut whole = self.inner.clone();
        whole.with_post_processor(self.processor.clone());
        whole.to_string(false).expect("what was read can be written").into_bytes()
    }

    /// The same, of texts in lower case.
    #[must_use]
    pub(super) fn lower_cased(mut self) -> Self {
        use tokenizers::normalizers::{Lowercase, Sequence};
        let old = self.inner.get_normalizer().cloned();
        let both = [Some(NormalizerWrapper::Lowercase(Lowercase)), old].into_iter().flatten().collect();
        let _ = self.inner.with_normalizer(Some(NormalizerWrapper::Sequence(Sequence::new(both))));
        self
    }

    /// One more than the largest id.
    pub(crate) fn vocabulary(&self) -> usize {
        self.largest as usize + 1
    }

    /// A text or a pair with the special tokens, at most `limit` tokens in all. What is too long is cut at its end, of a
    /// pair the longer one first.
    ///
    /// # Errors
    /// [`Error::Data`] where the limit leaves no room beside the special tokens.
    pub(crate) fn encode(&self, text: &Text, limit: usize) -> Result<Encoded> {
        let first = self.raw(text.first.as_str().into())?;
        let second = text.second.as_deref().map(|second| self.raw_second(second)).transpose()?;
        self.shortened(first, second, limit)
    }

    /// A text without the special tokens, not cut.
    ///
    /// # Errors
    /// [`Error::Data`] where the crate `tokenizers` fails.
    pub(super) fn encode_single(&self, text: &str) -> Result<Encoded> {
        Ok(self.encoded(&self.raw(text.into())?, 0))
    }

    /// The words of a text as the model gets them: normalised and parted.
    ///
    /// # Errors
    /// As [`Tokenizer::encode_single`].
    pub(super) fn words_of(&self, text: &str) -> Result<Vec<String>> {
        let words = foreign(|| {
            let mut normalised = NormalizedString::from(text);
            if let Some(normalizer) = self.inner.get_normalizer() {
                normalizer.normalize(&mut normalised)?;
            }
            let mut parted = PreTokenizedString::from(normalised);
            if let Some(pre_tokenizer) = self.inner.get_pre_tokenizer() {
                pre_tokenizer.pre_tokenize(&mut parted)?;
            }
            let splits = parted.get_splits(OffsetReferential::Normalized, OffsetType::None);
            Ok(splits.into_iter().map(|(word, ..)| word.to_owned()).collect())
        });
        words.map_err(|source| not_encoded(&source))
    }

    /// The tokens of one of those words.
    ///
    /// # Errors
    /// As [`Tokenizer::encode_single`].
    pub(super) fn pieces_of_word(&self, word: &str) -> Result<Vec<u32>> {
        let tokens = foreign(|| self.inner.get_model().tokenize(word)).map_err(|source| not_encoded(&source))?;
        Ok(tokens.into_iter().map(|token| token.id).collect())
    }

    /// What a token is written as.
    pub(super) fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Words, of which none goes over into the next. [`Encoded::word`] are their places, [`Encoded::offsets`] are bytes in
    /// each word.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub(crate) fn encode_words(&self, words: &[&str], limit: usize) -> Result<Encoded> {
        if !self.spaced {
            return self.shortened(self.raw(words.into())?, None, limit);
        }
        let with_space: Vec<String> = words.iter().map(|word| format!(" {word}")).collect();
        let mut encoded = self.shortened(self.raw(with_space.into())?, None, limit)?;
        for (offsets, sequence) in encoded.offsets.iter_mut().zip(&encoded.sequence) {
            if sequence.is_some() {
                *offsets = (offsets.0.saturating_sub(1), offsets.1.saturating_sub(1));
            }
        }
        Ok(encoded)
    }

    /// A question with as much of the context as fits, then with what follows, `stride` tokens of which were there before,
    /// and so on to its end. [`Encoded::cut`] is 0: nothing is lost.
    ///
    /// The same as `tokenizer(question, context, truncation="only_second", max_length=limit, stride=stride,
    /// return_overflowing_tokens=True)` in Transformers.
    ///
    /// # Errors
    /// [`Error::Data`] where the question leaves no room for more than `stride` tokens of the context.
    pub(crate) fn windows(&self, question: &str, context: &str, limit: usize, stride: usize) -> Result<Vec<Encoded>> {
        let (question, mut context) = (self.raw(question.into())?, self.raw_second(context)?);
        let taken = question.len() + self.added(true);
        let room = limit.saturating_sub(taken);
        if room <= stride && context.len() > room {
            return Err(Error::Data(
                Problem::new("the question leaves too little room for its context")
                    .expected(format_args!("more than {stride} of {limit} tokens"))
                    .found(room)
                    .hint("take a smaller stride or longer windows, or shorten the question"),
            ));
        }
        context.truncate(room, stride, TruncationDirection::Right);
        let mut whole = self.processed(question, Some(context))?;
        let rest = whole.take_overflowing();
        Ok(std::iter::once(whole).chain(rest).map(|window| self.encoded(&window, 0)).collect())
    }

    /// Tokens without the special ones.
    fn raw(&self, input: InputSequence<'_>) -> Result<Encoding> {
        foreign(|| self.inner.encode(EncodeInput::Single(input), false)).map_err(|source| not_encoded(&source))
    }

    /// Tokens of the second text of a pair: BERT's processor leaves segments as they are, and only marks the end.
    fn raw_second(&self, text: &str) -> Result<Encoding> {
        let mut encoding = self.raw(text.into())?;
        encoding.set_type_ids(vec![1; encoding.len()]);
        Ok(encoding)
    }

    /// Special tokens that are added.
    fn added(&self, pair: bool) -> usize {
        self.processor.as_ref().map_or(0, |processor| processor.added_tokens(pair))
    }

    fn shortened(&self, first: Encoding, second: Option<Encoding>, limit: usize) -> Result<Encoded> {
        let added = self.added(second.is_some());
        let count =
            |first: &Encoding, second: &Option<Encoding>| first.len() + second.as_ref().map_or(0, Encoding::len);
        let before = count(&first, &second);
        let Some(room) = limit.checked_sub(added).filter(|room| *room > 0) else {
            let problem = Problem::new("the limit leaves no room for a text").found(format_args!("{limit} tokens"));
            return Err(Error::Data(problem.expected(format_args!("more than the {added} special tokens"))));
        };
        let how = TruncationParams {
            direction: TruncationDirection::Right,
            max_length: room,
            strategy: TruncationStrategy::LongestFirst,
            stride: 0,
        };
        let (mut first, mut second) =
            foreign(|| truncate_encodings(first, second, &how)).map_err(|source| not_encoded(&source))?;
        let cut = before - count(&first, &second);
        first.take_overflowing();
        second.iter_mut().for_each(|second| drop(second.take_overflowing()));
        Ok(self.encoded(&self.processed(first, second)?, cut))
    }

    /// With the special tokens.
    fn processed(&self, first: Encoding, second: Option<Encoding>) -> Result<Encoding> {
        let processed = foreign(|| match &self.processor {
            Some(processor) => processor.process(first, second, true),
            None => {
                let all = std::iter::once(first).chain(second).collect();
                let joined = <dyn PostProcessor>::default_process(all, true);
                joined.map(|mut all| all.pop().unwrap_or_default())
            }
        });
        processed.map_err(|source| not_encoded(&source))
    }

    fn encoded(&self, encoding: &Encoding, cut: usize) -> Encoded {
        let ids = encoding.get_ids().to_vec();
        let sequence: Vec<Option<u8>> =
            encoding.get_sequence_ids().into_iter().map(|sequence| sequence.map(|which| which as u8)).collect();
        Encoded {
            segments: encoding.get_type_ids().iter().map(|&segment| segment as u8).collect(),
            offsets: encoding.get_offsets().iter().map(|&(from, to)| (from as u32, to as u32)).collect(),
            word: encoding.get_word_ids().to_vec(),
            cut,
            // One that stands in the text by its name is one too: nobody can tell them apart.
            unknown: self.unknown.map_or(0, |unknown| ids.iter().filter(|&&id| id == unknown).count()),
            sequence,
            ids,
        }
    }
}

/// Runs what belongs to the crate `tokenizers`, which panics about some files and texts.
fn foreign<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> std::result::Result<T, String> {
    let done = guarded("the crate `tokenizers`", work).map_err(|panic| panic.to_string())?;
    done.map_err(|source| source.to_string())
}

/// How deep the lists and mappings of a tokenizer may lie in each other: far more than any has. `tokenizers` tries every
/// reading of a step for every reading of the step around it.
const DEPTH: usize = 24;

/// Refuses what lies too deep.
fn check_depth(json: &[u8]) -> std::result::Result<(), String> {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for &byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH {
            return Err(format!("lists and mappings more than {DEPTH} deep in each other"));
        }
    }
    Ok(())
}

fn not_encoded(source: &dyn std::fmt::Display) -> Error {
    Error::Data(Problem::new("a text cannot be turned into tokens").found(source))
}

/// What stands for a token that is not in the vocabulary.
fn unknown_token(inner: &Inner) -> Option<String> {
    match inner.get_model() {
        ModelWrapper::WordPiece(model) => Some(model.unk_token.clone()),
        ModelWrapper::WordLevel(model) => Some(model.unk_token.clone()),
        ModelWrapper::BPE(model) => model.get_unk_token().clone(),
        ModelWrapper::Unigram(_) => Some("<unk>".to_owned()),
    }
}

#[cfg(test)]
#[path = "tokenizer_attack_tests.rs"]
mod attack_tests;
#[cfg(test)]
#[path = "tokenizer_tests.rs"]
mod tests;
