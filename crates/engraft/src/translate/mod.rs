//! Translation between languages.
//!
//! `score` measures translations against references, as `engraft translate score` does; `beam` searches for the best translation that a model
//! gives.

mod beam;
mod score;

pub use beam::{BeamModel, BeamSettings, Hypothesis, LiveRow, Source, StepOutput, beam_search};
pub use score::{ScoreReport, ScoreRequest, score_files};
