//! Predictors on frozen features.

mod axes;
pub mod logistic;
pub mod neighbours;
mod objective;
mod path;
pub mod select;
mod solve;
pub mod standardise;
pub mod temperature;
pub mod threshold;

pub use logistic::{ClassWeights, LogisticRegression, fit, softmax};
pub use neighbours::Novelty;
pub use select::{CrossValidation, Options, cross_validate};
pub use temperature::temperature;
pub use threshold::AnswerRule;
