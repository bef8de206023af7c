//! Sentence pairs: what a translation is learnt from.
//!
//! The order in which things happen: [`stream_pairs`] reads one pair after the other from a table (TSV as Anki exports it, CSV, JSON lines,
//! Parquet) or from two files with a sentence a line; [`read_pairs`] keeps them; [`components`](components()) says which share a sentence;
//! `audit_pairs` says what is wrong with them; [`split_pairs`] parts them so that no sentence is on two sides; [`shared_sentences`] finds what
//! one set of pairs has in common with another.

mod audit;
mod columns;
mod components;
mod open;
#[cfg(test)]
pub(crate) mod real_data;

pub use audit::{PairAudit, audit_pairs};
pub use components::{Components, PairSplits, SharedSentences, components, shared_sentences, split_pairs};
pub use open::{PairDataset, PairFiles, PairReading, PairStream, read_pairs, stream_pairs};

/// A sentence and its translation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SentencePair {
    /// The row of the table or the line of the files, from 1.
    pub row: u64,
    /// The sentence, without white space around it.
    pub source: String,
    /// Its translation, without white space around it.
    pub target: String,
}

#[cfg(test)]
#[path = "pairs_tests.rs"]
mod tests;
