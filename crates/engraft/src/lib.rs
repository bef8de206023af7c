//! Engraft: transfer learning. A network that somebody trained on much data gets a new job from little data, and the
//! truth is told about how well that went.
//!
//! The rooms stand in the order in which data flows; each uses the ones before it, never one after it:
//! [`data`] → [`backbone`] → [`features`] → [`head`] → [`train`] → [`inductive`] → [`artefact`]. [`evaluate`] knows
//! predictions and labels only.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests write where they like"))]

pub mod artefact;
pub mod backbone;
pub mod data;
pub mod evaluate;
pub mod features;
mod ground;
pub mod head;
pub mod inductive;
mod run;
pub mod targets;
pub mod train;

pub use artefact::Model;
pub use ground::{config, error, files, guard, progress, rng, suggestion, weight_files};
pub use run::{Fit, Run};
