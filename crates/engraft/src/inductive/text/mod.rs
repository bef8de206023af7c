//! What only texts have: contrastive pairs, the recipe of language models, and what is told of texts.

pub(in crate::inductive) mod contrastive;
mod explain;
pub(in crate::inductive) mod facts;
pub mod ulmfit;

pub use contrastive::{Pair, pair};
pub use explain::{WordWeight, explain};
pub use facts::{LengthBin, TextFacts};
