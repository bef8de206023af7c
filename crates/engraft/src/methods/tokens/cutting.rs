//! How long the inputs of an encoder are cut.

use serde::{Deserialize, Serialize};

use crate::bases::text::{TextBase, TextBody};
use crate::error::{Error, Problem, Result};
use crate::settings::Fit;

/// The usual settings.
const USUAL: Cutting = Cutting { limit: 384, stride: 128, longest: 30 };
/// Words of the longest answer on word vectors.
const WORDS: usize = 15;

/// How long inputs are cut, and how long answers may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cutting {
    /// Tokens that an encoder sees at once.
    pub(crate) limit: usize,
    /// Tokens that two windows over a paragraph share.
    pub(crate) stride: usize,
    /// Tokens of the longest answer, or words on word vectors.
    pub(crate) longest: usize,
}

impl Cutting {
    /// As the settings say, and as far as the base has places.
    ///
    /// # Errors
    /// [`Error::Usage`] for sizes that leave nothing to see.
    pub(crate) fn of(config: &Fit, base: &TextBase) -> Result<Self> {
        let on_words = matches!(base.body, TextBody::Words(_));
        let usual = if on_words { Self { longest: WORDS, ..USUAL } } else { USUAL };
        let limit = config.max_tokens.unwrap_or(usual.limit);
        let stride = config.stride.unwrap_or(usual.stride.min(limit / 2));
        let longest = config.max_answer.unwrap_or(usual.longest);
        let wrong = |flag: &str, expected: String, found: usize| {
            Error::Usage(Problem::new("invalid setting").expected(expected).found(found).at(format!("--{flag}")))
        };
        if limit < 16 {
            return Err(wrong("max-tokens", "at least 16".into(), limit));
        }
        if stride >= limit {
            return Err(wrong("stride", format!("less than --max-tokens {limit}"), stride));
        }
        if longest == 0 {
            return Err(wrong("max-answer", "at least 1".into(), longest));
        }
        let places = match &base.body {
            TextBody::Encoder(sentence) => sentence.config.longest(),
            _ => limit,
        };
        let limit = limit.min(places);
        Ok(Self { limit, stride: stride.min(limit / 2), longest })
    }
}
