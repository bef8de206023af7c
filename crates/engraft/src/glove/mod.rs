//! GloVe: from a corpus to word vectors.

mod adapt;
mod blocks;
mod checkpoint;
mod cooccurrence;
mod corpus;
mod kernel;
mod parameters;
mod pipeline;
mod records;
mod runs;
mod scatter;
mod shuffle;
mod spill;
mod spool;
mod tokens;
mod train;
mod vectors;
mod vocabulary;
mod word_table;

pub use adapt::adapt;
pub use cooccurrence::{Counted as CountedPairs, count as count_pairs};
pub use corpus::Corpus;
pub use pipeline::{Summary, run, train_files};
pub use records::{Record, Records};
pub use shuffle::shuffle;
pub use vocabulary::{Counted, Vocabulary};

#[cfg(test)]
mod tests;
