//! Pretrained networks for texts: how a text becomes tokens, the encoders, and where to find them.
//!
//! An encoder is a row of stages as a network for pictures is: `embed`, `block0`, ..., `pool`. The [`Mode`] of each is
//! an argument.
//!
//! [`Mode`]: crate::backbone::Mode

mod batch;
mod config;
mod frozen;

mod layers;
mod names;
mod sentence;
mod text_base;
mod tokenizer;
mod tokenizer_files;
mod transformer;

pub use batch::{Pooling, TokenBatch, pool};
pub use config::{EncoderActivation, EncoderConfig, Family};

pub use frozen::FrozenEncoder;
pub use names::EncoderTensors;
pub use sentence::{DenseLayer, DenseShape, SentenceEncoder, SentenceLayout};
pub(in crate::backbone) use text_base::{FILES_BESIDE_WEIGHTS, TOKENIZERS, is_encoder_config};
pub use text_base::{TextBase, TextBody, is_text_base, open_text_base};
pub use tokenizer::{Encoded, Tokenizer};
pub use transformer::TextEncoder;

#[cfg(test)]
mod golden_tests;
