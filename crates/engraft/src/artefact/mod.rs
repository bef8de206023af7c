//! Runs on disk: written whole or not at all, opened with every hash checked, done again and compared.
//!
//! Never here: a number that was not measured by the rooms before.

mod build;
mod build_target;
mod build_texts;
mod html;
mod import;
mod model;
mod open_spans;
mod open_target;
mod report;
mod save;
mod save_language_model;
mod save_spans;
mod save_target;
mod span_report;
mod target_model;
mod target_report;
mod text_model;
mod verify;

pub use build::build_report;
pub use build_target::build_target_report;
pub use build_texts::build_texts_report;
pub use html::{Curve, Picture, is_page, render, render_spans, render_target};
pub use import::{Imported, claim_import, import};
pub use model::{Model, ModelFile};
pub use open_spans::{Answered, EncoderFile, SpanModel, SpanModelFile, WordReaderFile, is_span_run};
pub use open_target::{RunModel, TargetAnswer, TargetModel, TargetModelFile};
pub use report::*;
pub use save::{LogLine, Rendered, peak_memory_mb, save, save_pretrained};
pub use save_language_model::save_language_model;
pub use span_report::*;
pub use target_model::{LabelsHeadFile, NumberHeadFile};
pub use target_report::*;
pub use text_model::{BodyFile, TextModel, TextModelFile};
pub use verify::{Verification, verify};
