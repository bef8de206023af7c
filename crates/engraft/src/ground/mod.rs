//! The ground floor: what every other room stands on.

mod choices;
pub mod config;
mod config_language_model;
pub mod error;
pub mod files;
pub mod guard;
pub mod progress;
pub mod rng;
pub mod suggestion;
mod tune_config;
pub mod weight_files;
