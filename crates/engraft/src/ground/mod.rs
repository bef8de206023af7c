//! The ground floor: what every other room stands on.

pub mod config;
pub mod error;
pub mod files;
pub mod progress;
pub mod rng;
mod span_config;
