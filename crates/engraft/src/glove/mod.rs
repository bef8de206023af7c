//! GloVe: from a corpus to word vectors (Pennington, Socher and Manning 2014).
//!
//! [`Corpus`] → [`Vocabulary`] → [`count_pairs`] → ([`shuffle`](fn@shuffle) →) [`train_files`]; [`run`] does all of it, and [`adapt`](fn@adapt) begins at given
//! vectors. Files are those of Stanford's C tools (github.com/stanfordnlp/GloVe at 52f7dbc), and settings mean the same. What is
//! different: results are the same bits for any number of threads and after a stop, memory and disk are bounded, and what is not right is an error
//! that names its place.
//!
//! Once vectors are there: fewer columns ([`reduce`](fn@reduce)), questions to them ([`evaluate`](fn@evaluate), [`near`](fn@near)), other formats ([`convert`](fn@convert)).

mod adapt;
mod analogies;
mod blocks;
mod checkpoint;
mod convert;
mod cooccurrence;
mod corpus;
mod evaluate;
mod kernel;
mod near;
mod output;
mod parameters;
mod pipeline;
mod principal;
mod questions;
mod records;
mod reduce;
mod runs;
mod scatter;
mod scores;
mod shuffle;
mod spill;
mod spool;
mod substructure;
mod tokens;
mod train;
mod truncated;
mod vectors;
mod vocabulary;
mod word_map;
mod word_similarity;
mod word_table;

pub use adapt::adapt;
pub use analogies::{Analogies, AnalogyKind, AnalogyTotal};
pub use convert::{Converted, convert};
pub use cooccurrence::{Counted as CountedPairs, count as count_pairs};
pub use corpus::Corpus;
pub use evaluate::{VectorEvaluation, evaluate};
pub use near::{Near, Neighbour, Neighbours, near};
pub use pipeline::{Summary, run, train_files};
pub use records::{Record, Records};
pub use reduce::{Factorisation, Reduced, factorise, reduce};
pub use shuffle::shuffle;
pub use substructure::Substructure;
pub use vocabulary::{Counted, Vocabulary};
pub use word_map::{MappedWord, WordMap};
pub use word_similarity::WordSimilarity;

#[cfg(test)]
mod tests;
