//! The ground floor, which every other room stands on: errors, files (the only place that writes), randomness, progress.

pub mod error;
pub mod files;
pub mod guard;
pub mod progress;
pub mod rng;
pub mod suggestion;
pub mod weight_files;
pub(crate) mod weight_set;
