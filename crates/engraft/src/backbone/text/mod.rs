//! Pretrained networks and word vectors for texts: how a text becomes tokens, what runs on them, and where to find them.
//!
//! An encoder and a language model are rows of stages as a network for images is: `embed`, `block0`, ..., `pool`. The
//! [`Mode`] of each is an argument.
//!
//! [`Mode`]: crate::backbone::Mode

mod batch;
mod body;
mod config;
mod frozen;
#[cfg(test)]
mod golden_tests;
mod language_model;
mod layers;
mod lstm;
mod lstm_encoder;
mod names;
mod sentence;
mod text_base;
mod tokenizer;
mod tokenizer_files;
mod transformer;
mod vector_files;
mod vectors;
mod vocabulary;
mod word_pooler;

pub use batch::{Pooling, TokenBatch, pool};
pub use config::{EncoderActivation, EncoderConfig, Family};
pub use frozen::FrozenEncoder;
pub use language_model::{LanguageCard, LanguageModel, LanguageModelParts, frozen_states, padded, states_to};
pub use lstm::{Dropouts, LstmConfig, LstmNetwork, concat_pool, concat_pool_values};
pub use lstm_encoder::{HiddenLayer, LstmEncoder, NORM_EPSILON, normed};
pub use names::EncoderTensors;
pub use sentence::{DenseLayer, DenseShape, SentenceEncoder, SentenceLayout};
pub(in crate::backbone) use text_base::{FILES_BESIDE_WEIGHTS, TOKENIZERS, is_encoder_config};
pub use text_base::{TextBase, TextBody, USUAL_ENCODER, is_text_base, is_text_base_here, is_vectors, open_text_base};
pub use tokenizer::{Encoded, Tokenizer};
pub use transformer::TextEncoder;
pub use vectors::WordVectors;
pub use vocabulary::{BEGIN, PADDING, UNKNOWN, Vocabulary, WordCounts};
pub use word_pooler::{WordPooler, WordPooling};
