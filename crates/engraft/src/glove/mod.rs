//! GloVe: from a corpus to word vectors.

mod cooccurrence;
mod corpus;
mod records;
mod runs;
mod spill;
mod tokens;
mod vocabulary;
mod word_table;

pub use cooccurrence::{Counted as CountedPairs, count as count_pairs};
pub use corpus::Corpus;
pub use records::{Record, Records};
pub use vocabulary::{Counted, Vocabulary};
