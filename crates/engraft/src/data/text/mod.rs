//! Texts: what is read, and how it is cut into words.

mod corpus;
mod words;

pub use corpus::{Pieces, read_corpus};
pub use words::words;

/// One text, or a pair of them (a question and its answer, a premise and a hypothesis).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Text {
    /// The text, or the first of a pair.
    pub first: String,
    /// The second of a pair.
    pub second: Option<String>,
}
