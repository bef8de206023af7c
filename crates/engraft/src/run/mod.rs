//! Runs on disk: written whole or not at all, opened with every hash checked, done again and compared.
//!
//! Never here: a number that was not measured by the rooms before.

mod blocks;
mod body_file;
mod build;
mod comparison;
mod head_file;
mod html;
mod import;
mod model;
mod predictions;
mod report;
mod run_files;
mod save;
mod save_language_model;
mod source_free;
mod verify;

pub use blocks::*;
pub use body_file::{BodyFile, TextBodyFile};
pub use comparison::save_comparison;
pub use html::{Curve, Thumbnail, is_page, render, render_word_vectors};
pub use import::{Imported, claim_import, import};
pub use model::{Model, ModelFile};
pub use report::*;
pub use save::{LogLine, Rendered, save, save_pretrained};
pub use save_language_model::save_language_model;
pub use source_free::{AdaptedRun, adapt_run};
pub use verify::{Verification, verify};
