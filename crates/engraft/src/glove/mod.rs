//! Word vectors: what is done with them once they are there. Fewer columns (`reduce`), questions to them (`evaluate`, `near`), and
//! other formats (`convert`).

mod analogies;
mod convert;
mod evaluate;
mod near;
mod output;
mod principal;
mod questions;
mod record_reader;
mod reduce;
mod scores;
mod substructure;
mod truncated;
mod word_map;
mod word_similarity;

pub use analogies::{Analogies, AnalogyKind, AnalogyTotal};
pub use convert::{Converted, convert};
pub use evaluate::{VectorEvaluation, evaluate};
pub use near::{Near, Neighbour, Neighbours, near};
pub use reduce::{Factorisation, Reduced, factorise, reduce};
pub use substructure::Substructure;
pub use truncated::Record;
pub use word_map::{MappedWord, WordMap};
pub use word_similarity::WordSimilarity;
