//! Placeholder until the reader is in.
use crate::error::{Error, Problem, Result};
use std::path::Path;
/// A
#[derive(Debug)]
pub struct OnnxModel {
    i: OnnxInput,
    o: OnnxCandidate,
}
/// A
#[derive(Debug)]
pub struct OnnxInput {
    /// A
    pub channels: usize,
    /// A
    pub height: Option<usize>,
    /// A
    pub width: Option<usize>,
}
/// A
#[derive(Debug)]
pub struct OnnxCandidate {
    /// A
    pub name: String,
    /// A
    pub op: String,
    /// A
    pub shape: Vec<usize>,
}
#[allow(missing_docs)]
impl OnnxModel {
    pub fn open(_: &[u8], _: Option<&str>, _: Option<[usize; 2]>, _: &Path) -> Result<Self> {
        Err(Error::Weights(Problem::new("no")))
    }
    pub fn input(&self) -> &OnnxInput {
        &self.i
    }
    pub fn output(&self) -> &OnnxCandidate {
        &self.o
    }
    pub fn candidates(&self) -> &[OnnxCandidate] {
        &[]
    }
    pub fn why(&self) -> &str {
        ""
    }
    pub fn columns(&self) -> usize {
        0
    }
    pub fn parameters(&self) -> usize {
        0
    }
    pub fn multiply_adds(&self) -> u64 {
        0
    }
    pub fn row(&self, _: &[f32]) -> Result<Vec<f32>> {
        unimplemented!()
    }
    pub fn classify(&self, _: &[f32]) -> Result<Option<Vec<f32>>> {
        unimplemented!()
    }
}
