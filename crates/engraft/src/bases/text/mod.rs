//! Pretrained networks and word vectors for texts: how a text becomes tokens, what runs on them, and where to find them.
//!
//! An encoder and a language model are rows of stages as a network for images is: `embed`, `block0`, ..., `pool`. The
//! [`Mode`] of each is an argument.
//!
//! [`Mode`]: crate::bases::Mode

mod about;
mod batch;
mod body;
pub(crate) mod config;
mod frozen;
#[cfg(test)]
mod golden_tests;
mod language_model;
mod layers;
mod lstm;
mod lstm_encoder;
mod names;
mod pieces;
mod prompt;
mod sentence;
mod subwords;
mod text_base;
mod tf_idf;
mod tokenizer;
mod tokenizer_files;
mod transformer;
mod vector_arrays;
mod vector_fasttext;
mod vector_files;
mod vector_finalfusion;
mod vector_rows;
mod vector_writers;
mod vectors;
mod vocabulary;
mod word_pooler;

pub use about::TextAbout;
pub(crate) use batch::TokenBatch;
pub use batch::{Pooling, pool};
pub use config::EncoderConfig;
pub use frozen::FrozenEncoder;
pub use language_model::{LanguageCard, LanguageModel, LanguageModelParts};
pub(crate) use language_model::{frozen_states, padded, states_to};
pub use lstm::{Dropouts, LstmConfig, LstmNetwork, concat_pool, concat_pool_values};
pub use lstm_encoder::LstmEncoder;
pub(crate) use lstm_encoder::{HiddenLayer, NORM_EPSILON, normed};
pub use pieces::{BOS, EOS, LearntPieces, PAD, Pieces, Spelt, UNK, Unspelt};
pub use sentence::{SentenceEncoder, SentenceLayout};
pub(in crate::bases) use text_base::{FILES_BESIDE_WEIGHTS, TOKENIZERS, is_encoder_config};
pub use text_base::{TextBase, TextBody, is_text_base, is_tf_idf, open_text_base};
pub(crate) use text_base::{USUAL_ENCODER, is_text_base_here, is_vectors};
pub(crate) use tf_idf::{DENSE_TERMS, terms_for};
pub use tf_idf::{TF_IDF_BASE, TfIdf};
pub(crate) use tokenizer::{Encoded, Tokenizer};
pub use transformer::TextEncoder;
pub(crate) use vector_writers::files_of;
pub(crate) use vectors::UNKNOWN_WORD;
pub use vectors::WordVectors;
pub use vocabulary::Vocabulary;
pub(crate) use vocabulary::WordCounts;
pub use word_pooler::{WordPooler, WordPooling};
