//! Untrusted weight files to named tensors. No Burn, no network, nothing executed.
//!
//! A file is bytes from anywhere: every length in it is checked before it is believed, and what is wrong is
//! said with the tensor's name, what was expected and what was found.

#![forbid(unsafe_code)]

mod safetensors_file;

use std::collections::BTreeMap;

pub use safetensors_file::{read, write};

/// The longest header that is read, in bytes. A network of 10,000 tensors has about 1 MB.
pub const HEADER_LIMIT: u64 = 32 << 20;

/// The largest file that is read, in bytes.
pub const FILE_LIMIT: u64 = 16 << 30;

/// How a tensor's numbers are stored. In memory they are f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point (IEEE).
    F16,
    /// 16-bit floating point (bfloat).
    Bf16,
    /// 64-bit floating point: rounded to f32.
    F64,
    /// An integer or boolean: a counter, kept as f32.
    Integer,
}

/// One named array of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Length of each axis, outermost first. Empty for a scalar.
    pub shape: Vec<usize>,
    /// The numbers in row-major order.
    pub values: Vec<f32>,
    /// How the numbers were stored.
    pub precision: Precision,
}

/// The tensors of a file, by name, and the text that the file carries about itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Weights {
    /// Name to tensor.
    pub tensors: BTreeMap<String, Tensor>,
    /// Key to text.
    pub metadata: BTreeMap<String, String>,
}

/// Why a weight file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file is shorter than it says.
    #[error("the file is truncated: expected at least {expected} bytes, found {found}")]
    Truncated {
        /// Bytes that must be there.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// The header is longer than anything reasonable.
    #[error("the header is too long: expected at most {limit} bytes, found {found}")]
    HeaderTooLong {
        /// The limit.
        limit: u64,
        /// What the file says.
        found: u64,
    },
    /// The header is no JSON of the expected form, or its offsets overlap, leave holes or leave the file.
    #[error("the header is damaged: {reason}")]
    Header {
        /// What the parser said.
        reason: String,
    },
    /// A type of number that no network's weights use.
    #[error("tensor `{name}` has the unsupported type {found}: expected F32, F16, BF16, F64, an integer or BOOL")]
    Type {
        /// The tensor.
        name: String,
        /// Its type.
        found: String,
    },
    /// The file is of another format.
    #[error("this is no safetensors file: {found}")]
    Format {
        /// What it seems to be.
        found: String,
    },
}
