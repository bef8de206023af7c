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
pub(crate) mod text;
pub mod tokens;
pub mod tuning;

pub(crate) use any_base::BaseFacts;
pub use any_base::{AnyBase, Reading, usual_settings, with_base};
pub use check::check_settings;
pub use columns::ColumnEffect;
pub(crate) use columns::ColumnFacts;
pub(crate) use controls::{BaselineResult, numbers_of};
pub use fit::{Context, FitEvent, Fitted, find_rate, fit};
pub(crate) use fit::{HeldOut, Seconds};
pub use language_model::{PretrainedLanguageModel, pretrain_language_model};
pub use own_classes::OwnClasses;
pub use pretrain::{Pretrained, pretrain};
