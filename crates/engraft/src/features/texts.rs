//! Features of texts by a frozen base, and the cache that makes the second time free.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::bases::text::{Encoded, FrozenEncoder, TextBase, TextBody, WordPooler, WordVectors};
use crate::data::text::Text;
use crate::error::{Error, Problem, Result};
use crate::features::extract::SHARD;
use crate::features::{Cache, Features};
use crate::files;
use crate::progress::Observer;

/// Texts that run together, of like length.
const BATCH: usize = 32;

/// A frozen base of texts, ready to run.
pub struct TextExtractor {
    base: Arc<TextBase>,
    frozen: Option<FrozenEncoder>,
    pooler: Option<WordPooler>,
    columns: usize,
    space: Option<String>,
}

/// What of texts a base did not see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Coverage {
    /// Texts.
    pub(crate) texts: usize,
    /// Texts that were longer than what the base takes.
    pub(crate) truncated: usize,
    /// Tokens or words of all texts.
    pub(crate) tokens: usize,
    /// Tokens that truncation took.
    pub(crate) cut: usize,
    /// Tokens or words that the base's vocabulary does not have.
    pub(crate) unknown: usize,
    /// Tokens or words of the longest text.
    pub(crate) longest: usize,
}

impl TextExtractor {
    /// Prepares `base`; of word vectors, the way to pool them is fitted beforehand ([`TextExtractor::with_pooler`]).
    pub fn new(base: &Arc<TextBase>) -> Self {
        let frozen = match &base.body {
            TextBody::Encoder(sentence) => Some(FrozenEncoder::new(&sentence.encoder)),
            _ => None,
        };
        // What depends on a corpus is computed faster than it is looked up.
        let cached = !matches!(base.body, TextBody::TfIdf(_));
        let space = cached.then(|| files::sha256_hex(format!("texts/2/{}", base.fingerprint()).as_bytes()));
        Self { base: base.clone(), frozen, pooler: None, columns: base.columns(), space }
    }

    /// With the way to pool word vectors, of texts or of pairs of them.
    #[must_use]
    pub fn with_pooler(self, pooler: Option<WordPooler>, pairs: bool) -> Self {
        match (pooler, &self.base.body) {
            (Some(pooler), TextBody::Words(vectors)) => {
                let columns = pooler.columns(vectors, pairs);
                // What depends on a corpus is computed faster than it is looked up.
                Self { space: None, pooler: Some(pooler), columns, ..self }
            }
            _ => self,
        }
    }

    /// Without the cache: of a base that is nobody else's.
    #[must_use]
    pub(crate) fn uncached(self) -> Self {
        Self { space: None, ..self }
    }

    /// The way to pool word vectors, where there is one.
    pub(crate) fn pooler(&self) -> Option<&WordPooler> {
        self.pooler.as_ref()
    }

    /// What rows mean: the base and how its states are pooled.
    pub(crate) fn identity(&self) -> String {
        format!("{}/{}", self.base.fingerprint(), serde_json::to_string(&self.pooler).unwrap_or_default())
    }

    /// Length of a row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Rows of texts, in this order. A row does not depend on the texts beside it.
    pub(crate) fn rows(&self, texts: &[&Text]) -> Result<Vec<Vec<f32>>> {
        let rows = match (&self.base.body, &self.frozen) {
            (TextBody::Encoder(sentence), Some(frozen)) => {
                let encoded = sentence.encode(texts)?;
                let encoded: Vec<&Encoded> = encoded.iter().collect();
                let states = frozen.states(&encoded, sentence.encoder.stages().len() - 1);
                states.iter().map(|states| sentence.finish(states)).collect()
            }
            (TextBody::Words(vectors), _) => {
                let vectors: &WordVectors = vectors;
                let pooler = self.pooler.as_ref().expect("word vectors are pooled by a fitted pooler");
                texts.iter().map(|text| pooler.embed(vectors, text)).collect()
            }
            (TextBody::TfIdf(counted), _) => texts.iter().map(|text| counted.dense(text)).collect(),
            (TextBody::Lstm(model), _) => model.embed(texts),
            (TextBody::Encoder(_), None) => unreachable!("an encoder is frozen when the extractor is made"),
        };
        if rows.iter().flatten().all(|value| value.is_finite()) {
            return Ok(rows);
        }
        Err(Error::Weights(Problem::new("the base gave features that are not finite").hint("the weights are damaged")))
    }

    /// The features of texts given with the SHA-256 of each. Rows in the cache are not computed; equal texts are
    /// computed once; texts run beside others of like length.
    pub(crate) fn extract(
        &self,
        texts: &[&Text],
        digests: &[String],
        cache: Option<&Cache>,
        observer: &dyn Observer,
    ) -> Result<Features> {
        let columns = self.columns();
        let space = cache.zip(self.space.as_ref()).map(|(cache, space)| cache.space(space, columns));
        let asked: HashSet<&String> = digests.iter().collect();
        let mut known: HashMap<String, Vec<f32>> = match &space {
            Some(space) => space.load(observer)?,
            None => HashMap::new(),
        };
        known.retain(|key, _| asked.contains(key));
        let mut seen = HashSet::new();
        let mut missing: Vec<usize> =
            (0..texts.len()).filter(|&at| !known.contains_key(&digests[at]) && seen.insert(&digests[at])).collect();
        missing.sort_by_key(|&at| (texts[at].parts().map(str::len).sum::<usize>(), at));
        if !missing.is_empty() {
            observer.begin("features", missing.len() as u64, "texts");
            for shard in missing.chunks(SHARD) {
                let mut rows = Vec::with_capacity(shard.len());
                for batch in shard.chunks(BATCH) {
                    observer.check()?;
                    let some: Vec<&Text> = batch.iter().map(|&at| texts[at]).collect();
                    rows.extend(batch.iter().map(|&at| digests[at].clone()).zip(self.rows(&some)?));
                    observer.advance(batch.len() as u64);
                }
                if let Some(space) = &space {
                    space.store(&rows, observer);
                }
                known.extend(rows);
            }
            observer.end();
        }
        if let Some(cache) = cache.filter(|_| space.is_some()) {
            cache.trim(observer);
        }
        let values = digests.iter().flat_map(|digest| known[digest].iter().copied()).collect();
        Features::new(texts.len(), columns, values)
    }

    /// How many of these texts are longer than what the base reads.
    pub(crate) fn truncated(&self, texts: &[&Text]) -> Result<usize> {
        match &self.base.body {
            // All of their words are read: there is nothing to look for.
            TextBody::Words(_) | TextBody::TfIdf(_) => Ok(0),
            _ => Ok(self.coverage(texts)?.truncated),
        }
    }

    /// What of these texts the base does not see.
    pub(crate) fn coverage(&self, texts: &[&Text]) -> Result<Coverage> {
        let mut coverage = Coverage { texts: texts.len(), ..Coverage::default() };
        for text in texts {
            let (tokens, cut, unknown) = match &self.base.body {
                TextBody::Encoder(sentence) => {
                    let encoded = sentence.encode_one(text)?;
                    (encoded.ids.len() + encoded.cut, encoded.cut, encoded.unknown)
                }
                TextBody::Words(vectors) => {
                    let (known, words) = (text.parts().map(|part| vectors.covered(part)))
                        .fold((0, 0), |(a, b), (known, words)| (a + known, b + words));
                    (words, 0, words - known)
                }
                TextBody::TfIdf(counted) => {
                    let (known, words) = (text.parts().map(|part| counted.covered(part)))
                        .fold((0, 0), |(a, b), (known, words)| (a + known, b + words));
                    (words, 0, words - known)
                }
                TextBody::Lstm(model) => {
                    let (known, words) = model.covered(text);
                    (words, words.saturating_sub(model.limit), words - known)
                }
            };
            coverage.truncated += usize::from(cut > 0);
            coverage.tokens += tokens;
            coverage.cut += cut;
            coverage.unknown += unknown;
            coverage.longest = coverage.longest.max(tokens);
        }
        Ok(coverage)
    }
}
