//! Predictors on frozen features.

mod any_head;
pub(crate) mod axes;
pub(crate) mod label_thresholds;
pub(crate) mod linear;
pub mod logistic;
pub(crate) mod neighbours;
mod objective;
pub(crate) mod one_vs_rest;
mod path;
pub(crate) mod ridge;
pub(crate) mod select;
pub(crate) mod select_labels;
mod solve;
pub(crate) mod sparse;
pub(crate) mod standardise;
pub(crate) mod temperature;
pub(crate) mod threshold;
pub(crate) mod word_reader;

pub(crate) use any_head::Head;
pub(crate) use label_thresholds::{ThresholdRule, label_thresholds};
pub use linear::Linear;
pub use logistic::{ClassWeights, fit, fit_weighted, softmax};
pub(crate) use logistic::{fit_part, fit_within};
pub use neighbours::Metric;
pub(crate) use neighbours::Novelty;
pub use one_vs_rest::{fit_one_vs_rest, sigmoid};
pub(crate) use path::shared_axes;
pub use ridge::{RidgeOptions, RidgeRegression, RidgeValidation, TriedRidge, cross_validate_ridge, fit_ridge};
pub use select::{CrossValidation, Options, cross_validate};
pub(crate) use select_labels::cross_validate_labels;
pub use select_labels::{LabelOptions, LabelValidation};
pub(crate) use sparse::{SparseClassifier, SparseRows, fit_sparse};
pub(crate) use temperature::temperature;
pub(crate) use threshold::{AnswerRule, CONFIDENCE, fewest_answers};
pub use word_reader::ReaderSizes;
pub(crate) use word_reader::{ReaderBatch, ReaderNetwork, ReaderPair, WordReader, masked};
