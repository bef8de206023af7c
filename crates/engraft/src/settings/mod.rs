//! The settings of each command, as they stand in a configuration file and in a run's `run.toml`.
//!
//! A settings type has a default for every field, refuses fields that it does not know, and is saved whole with what
//! it led to.

mod adapt;
mod choices;
mod fit;
mod glove;
mod language_model;
mod pretrain;
mod rank;
mod tables;
mod tune;
mod word_vectors;

pub use adapt::Adapt;
pub use choices::{BatchNorms, BitDepth, By, Optimiser, Schedule, Start, Unfreezing};
pub use fit::{Device, Fit, Input};
pub use glove::{Glove, GloveModel};
pub use language_model::{LanguageModelPretrain, Method};
pub use pretrain::Pretrain;
pub use rank::Rank;
pub use tables::{Differing, differing, laid_over, read, read_over};
pub use tune::Tune;
pub use word_vectors::{ConvertVectors, EvaluateVectors, NearWords, ReduceVectors, Reduction, VectorFormat, Weighting};
