//! Texts: questions about paragraphs ([`squad`]), tagged words ([`conll`]).

pub mod conll;
pub mod parts;
pub mod squad;

/// One text, or a pair of texts that belong together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Text {
    /// The text, or the first of a pair.
    pub first: String,
    /// The second of a pair.
    pub second: Option<String>,
}
