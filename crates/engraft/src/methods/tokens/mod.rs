//! Tokens: what tagged words and questions have that examples with one answer have not. A head looks at each token of an
//! encoder, or a reader at each word of word vectors; long inputs are cut into units that an encoder takes.
//!
//! Never here: a choice of how deep, how long or at which rate to train.

mod cutting;
mod reader;
mod units;
mod word_reading;

pub use cutting::Cutting;
pub(crate) use reader::TokenReader;
pub use units::TokenExample;
pub(crate) use units::TokenSet;
pub(crate) use word_reading::train_word_reader;
