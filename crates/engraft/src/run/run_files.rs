//! The files of a run's model, and what is said where they are not what they should be.

use std::path::Path;

use engraft_weights::{Tensor, Weights};

use crate::error::{Error, Problem, Result};

/// What the tensors mean.
pub(super) const JSON: &str = "model.json";
/// The tensors.
pub(super) const SAFETENSORS: &str = "model.safetensors";

/// The files of a model, by name.
pub(super) type Files = Vec<(&'static str, Vec<u8>)>;

/// A tensor that a run must have.
pub(super) fn take(weights: &mut Weights, name: &str, path: &Path) -> Result<Tensor> {
    weights.tensors.remove(name).ok_or_else(|| damaged(path, &format!("a tensor `{name}`"), "none"))
}

pub(super) fn not_a_run(run: &Path, found: &str) -> Error {
    Error::Weights(
        Problem::new("this is not a run's folder")
            .expected("a folder with model.json and model.safetensors, as `engraft fit` writes it")
            .found(found)
            .at(run),
    )
}

pub(super) fn damaged(path: &Path, expected: &str, found: &str) -> Error {
    let problem = Problem::new("the run is damaged").expected(expected).found(found).at(path);
    Error::Weights(problem.hint("fit again, or restore the folder from a copy"))
}
