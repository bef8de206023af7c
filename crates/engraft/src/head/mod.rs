//! Predictors on frozen features.

mod any_head;
mod axes;
pub mod label_thresholds;
pub mod linear;
pub mod logistic;
pub mod neighbours;
mod objective;
pub mod one_vs_rest;
mod path;
pub mod ridge;
pub mod select;
pub mod select_labels;
mod solve;
pub mod sparse;
pub mod standardise;
pub mod temperature;
pub mod threshold;
pub mod word_reader;

pub use any_head::Head;
pub use label_thresholds::{ThresholdRule, label_thresholds};
pub use linear::Linear;
pub use logistic::{ClassWeights, fit, softmax};
pub use neighbours::{Metric, Novelty};
pub use one_vs_rest::{fit_one_vs_rest, sigmoid};
pub use ridge::{RidgeOptions, RidgeRegression, RidgeValidation, TriedRidge, cross_validate_ridge, fit_ridge};
pub use select::{CrossValidation, Options, cross_validate};
pub use select_labels::{LabelFoldChoice, LabelOptions, LabelValidation, TriedLabels, cross_validate_labels};
pub use sparse::{SparseClassifier, SparseRows, fit_sparse};
pub use temperature::temperature;
pub use threshold::AnswerRule;
pub use word_reader::{ReaderBatch, ReaderNetwork, ReaderPair, ReaderSizes, WordReader, WordScores, masked};
