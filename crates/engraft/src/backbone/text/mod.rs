//! Pretrained networks and word vectors for texts.

mod language_model;
mod lstm;
mod vector_files;
mod vectors;
mod vocabulary;
mod word_pooler;

pub use language_model::{LanguageCard, LanguageModel, LanguageModelParts, frozen_states, padded, states_to};
pub use lstm::{Dropouts, LstmConfig, LstmNetwork, concat_pool, concat_pool_values};
pub use vectors::WordVectors;
pub use vocabulary::{BEGIN, PADDING, UNKNOWN, Vocabulary, WordCounts};
pub use word_pooler::{WordPooler, WordPooling};
