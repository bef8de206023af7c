//! Labelled target: a new head on a frozen base, fine-tuning, the controls beside it, and bases of one's own.
//!
//! Never here: a label of a held-out split in any choice. What is held out is looked at once, after every choice.

mod any_base;
mod check;
mod columns;
mod controls;
mod fit;
mod forecast;
mod language_model;
mod own_classes;
mod pretrain;
pub mod text;
pub mod tokens;
pub mod tuning;

pub use any_base::{AnyBase, BaseFacts, Reading, usual_settings, with_base};
pub use check::check_settings;
pub use columns::{ColumnEffect, ColumnFacts};
pub use controls::{BaselineResult, Scratch, ScratchPlan, TfIdf, numbers_of};
pub use fit::{Context, FitEvent, Fitted, HeldOut, Seconds, TokenFacts, find_rate, fit};
pub use language_model::{Documents, PretrainedLanguageModel, measure_language_model, pretrain_language_model};
pub use own_classes::OwnClasses;
pub use pretrain::{Pretrained, pretrain};
