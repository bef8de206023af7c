//! What only texts have: contrastive pairs, the recipe of language models, and what is told of texts.

pub(in crate::inductive) mod contrastive;
mod explain;
pub(in crate::inductive) mod facts;
pub(crate) mod ulmfit;

pub use explain::WordWeight;
pub(crate) use explain::explain;
pub use facts::LengthBin;
pub(crate) use facts::TextFacts;
