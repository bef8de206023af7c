//! Labelled target: a new head on a frozen base, the controls beside it, and bases of one's own.
//!
//! Never here: a label of a held-out split in any choice. What is held out is looked at once, after every choice.

pub mod boosted;
mod control;
mod fit;
mod fit_targets;
mod forecast;
mod intake;
mod language_model;
mod own_classes;
mod predictor;
mod pretrain;
pub mod spans;
mod target_heads;
pub mod text;
pub mod tuning;

pub use control::{Control, ControlPlan};
pub use fit::{Fitted, HeldOut, Means, News, Seconds, find_rate, fit};
pub use fit_targets::{FittedTarget, HeldOutTarget, TargetNews, TargetOutcome, fit_target};
pub use intake::Intake;
pub use language_model::{Documents, PretrainedLanguageModel, measure_language_model, pretrain_language_model};
pub use own_classes::OwnClasses;
pub use predictor::{Answer, Predictor};
pub use pretrain::{Pretrained, pretrain};
pub use target_heads::{
    FittedLabels, FittedNumbers, LabelsAnswer, LabelsPredictor, MeasuredLabels, MeasuredNumbers, NumberAnswer,
    NumberOptions, NumberPredictor, SuspectedLabel, fit_labels, fit_numbers, measure_labels, measure_numbers,
};
