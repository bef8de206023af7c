//! Engraft: transfer learning. A network that somebody trained on much data gets a new job from little data, and the
//! truth is told about how well that went.
//!
//! The rooms stand in the order in which data flows; each uses the ones before it, never one after it:
//! [`data`] → [`bases`] → [`features`] → [`heads`] → `similarity`, [`train`] → [`targets`] → [`methods`] → `controls` → [`fit`](mod@fit), [`pretrain`](mod@pretrain), [`glove`](mod@glove) →
//! [`adapt`](mod@adapt), [`compare`](mod@compare), [`rank`](mod@rank) → [`run`]. [`settings`] and [`metrics`] (predictions and labels only) stand below all of them.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests write where they like"))]

pub mod adapt;
pub mod bases;
pub mod compare;
mod controls;
mod core;
pub mod data;
pub mod features;
pub mod fit;
mod front_door;
pub mod glove;
pub mod heads;
pub mod methods;
pub mod metrics;
pub mod pretrain;
pub mod rank;
pub mod run;
pub mod settings;
mod similarity;
pub mod targets;
pub mod train;
pub mod translate;

pub(crate) use crate::core::weight_set;
pub use crate::core::{error, files, guard, progress, rng, suggestion, weight_files};
pub use front_door::{Fit, Run};
pub use run::Model;
