//! The real binary in temporary folders: the main job, bad input, interruption, determinism.

#![allow(clippy::disallowed_methods, clippy::print_stderr, reason = "tests write where they like")]

mod adapt;
mod answers;
mod bad_data;
mod bad_output;
mod bad_weights;
mod bases;
mod caches;
mod compare;
mod data_files;
mod fine_tuning;
mod first_hour;
mod golden_runs;
mod groups;
mod interrupted;
mod irregular_files;
mod language_model;
mod main_job;
mod matrix;
mod memory;
mod names;
mod nothing_lost;
mod other_bases;
mod rank;
mod reference;
mod rows;
mod sandbox;
mod shared_data;
mod spans;
mod tasks;
mod texts;
