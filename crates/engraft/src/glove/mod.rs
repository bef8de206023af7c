//! GloVe: from a corpus to word vectors (Pennington, Socher and Manning 2014).
//!
//! [`Corpus`] → [`Vocabulary`] → [`count_pairs`] → ([`shuffle`](fn@shuffle) →) [`train_files`]; [`run`] does all of it, and [`adapt`](fn@adapt) begins at given
//! vectors. Files are those of Stanford's C tools (github.com/stanfordnlp/GloVe at 52f7dbc), and settings mean the same. What is
//! different: results are the same bits for any number of threads and after a stop, memory and disk are bounded, and what is not right is an error
//! that names its place.

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
