//! In place of `onnx` where the program is built without that feature: a model is recognised, and refused.

use std::convert::Infallible;
use std::path::Path;

use engraft_weights::{Source, Weights};

use super::onnx_types::{OnnxCandidate, OnnxInput};
use crate::error::{Error, Problem, Result};

/// An ONNX model. There is none in a program without the feature `onnx`.
#[derive(Debug)]
pub struct OnnxModel {
    never: Infallible,
}

/// A model is refused whatever its bytes are.
///
/// # Errors
/// [`Error::Weights`], always.
pub(crate) fn whole_model(_source: &Source<'_>, _sha256: String, place: &Path) -> Result<(Vec<u8>, String)> {
    Err(absent(place))
}

/// Refuses the model.
///
/// # Errors
/// [`Error::Weights`], always.
pub(crate) fn encoder_weights(_bytes: &[u8], place: &Path) -> Result<Weights> {
    Err(absent(place))
}

fn absent(place: &Path) -> Error {
    let problem = Problem::new("this program was built without ONNX").at(place);
    Error::Weights(problem.hint("build it with `cargo build --release --features onnx`"))
}

impl OnnxModel {
    /// Refuses the model.
    ///
    /// # Errors
    /// [`Error::Weights`], always.
    pub fn open(_bytes: &[u8], _output: Option<&str>, _size: Option<[usize; 2]>, place: &Path) -> Result<Self> {
        Err(absent(place))
    }

    /// Never called.
    pub fn candidates(&self) -> &[OnnxCandidate] {
        match self.never {}
    }

    /// Never called.
    pub fn input(&self) -> &OnnxInput {
        match self.never {}
    }

    /// Never called.
    pub fn output(&self) -> &OnnxCandidate {
        match self.never {}
    }

    /// Never called.
    pub fn columns(&self) -> usize {
        match self.never {}
    }

    /// Never called.
    pub fn why(&self) -> &str {
        match self.never {}
    }

    /// Never called.
    pub fn parameters(&self) -> usize {
        match self.never {}
    }

    /// Never called.
    pub fn multiply_adds(&self) -> u64 {
        match self.never {}
    }

    /// Never called.
    pub(crate) fn classes(&self) -> Option<usize> {
        match self.never {}
    }

    /// Never called.
    ///
    /// # Errors
    /// None.
    pub fn row(&self, _nhwc: &[f32]) -> Result<Vec<f32>> {
        match self.never {}
    }

    /// Never called.
    ///
    /// # Errors
    /// None.
    pub fn classify(&self, _nhwc: &[f32]) -> Result<Option<Vec<f32>>> {
        match self.never {}
    }
}
