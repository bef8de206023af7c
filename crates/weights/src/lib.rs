//! Untrusted weight files to named tensors. No Burn, no network, nothing executed.
//!
//! A file is bytes from anywhere: every length in it is checked before it is believed, and what is wrong is
//! said with the tensor's name, what was expected and what was found. [`read`] knows the format by the bytes:
//! safetensors, PyTorch (`.pt`, `.pth`, `.th`, new and old), Keras (`.h5`, `.weights.h5`, `.keras`).
//!
//! # What a file costs
//! Names, shapes and places are read first ([`WeightFile::open`]), and numbers one tensor at a time where they lie: of a
//! large file with a small network in it only the network's numbers come into memory. (Of Keras' files all arrays of
//! layers do, since layers decide about each other's names.)
//!
//! # What a hostile file can cost
//! Numbers take at most twice the file and 64 MiB; the compressed entries of an archive are inflated to at most twice
//! the file and 32 MiB; a pickle has at most [`PICKLE_LIMIT`] bytes and makes at most [`PICKLE_VALUES`] values. A pickle is data to a small machine that
//! knows fifteen names or so; objects of every other, and what is called or looked up in them, are left alone and told by name, and names that reach the system are refused. There is nothing in this crate that could run code,
//! open a second file or write one.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a panic is to be seen in tests"))]

mod archive;
mod budget;
mod element;
mod hdf5;
mod keras;
mod keras_config;
mod keras_front;
mod not_weights;
mod pickle;
mod pytorch;
mod safetensors_file;
mod sniff;
mod source;
mod state_dict;
mod weight_file;

use std::collections::BTreeMap;

pub use not_weights::{other_kind, stand_in};
pub use pickle::PICKLE_VALUES;
pub use pytorch::PICKLE_LIMIT;
pub use safetensors_file::write;
pub use sniff::format;
pub use source::Source;
pub use weight_file::{Tensors, WeightFile};

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
    /// A type without a meaning here (complex, quantised, of 8 bits): the tensor has a name and a shape, and no numbers
    /// can be asked for.
    Unread,
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

/// What kind of file it is, by its bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// A JSON header and raw numbers.
    #[default]
    Safetensors,
    /// A zip archive of a pickle and raw numbers, as `torch.save` writes since 1.6.
    PyTorch,
    /// Pickles and raw numbers one after the other, as `torch.save` wrote before; or any other pickle.
    PyTorchLegacy,
    /// HDF5: Keras's `.h5` (weights, or a whole model) or `.weights.h5`.
    KerasH5,
    /// A zip archive of a configuration and HDF5, as Keras 3 writes `.keras`.
    KerasZip,
    /// An ONNX model. It is recognised, and not read here.
    Onnx,
    /// A TensorFlow Lite model. It is recognised, and not read here.
    TfLite,
}

/// The tensors of a file, by name, and the text that the file carries about itself.
///
/// What a reader finds out about a file is in the metadata too: `pytorch.key` (which mapping of a checkpoint was
/// taken), `pytorch.others` (mappings of about as many tensors that were not), `pytorch.prefix` (what all names began with), `pytorch.objects` (foreign Python objects beside the
/// tensors, of which nothing is read), `keras.kernel_order`, `keras.kernels_rotated`,
/// `keras.batch_norm_epsilon`, `keras.rescaling` (JSON `[scale, offset]` of what stands before the network, each a number or a
/// list for each channel), `keras.channels_reversed`, `keras.before` (JSON array of `name (class)`: what else changes the input
/// before the network, unread), `keras.layers` (JSON array of `[name, class]`), `keras.input` (JSON shape),
/// `keras.version`, `keras.backend`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Weights {
    /// Name to tensor.
    pub tensors: BTreeMap<String, Tensor>,
    /// Key to text.
    pub metadata: BTreeMap<String, String>,
    /// What kind of file they came from.
    pub format: Format,
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
    /// The header is not JSON of the expected form, or its offsets overlap, leave holes or leave the file.
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
    /// The file is of another format, or no file of weights at all.
    #[error("expected safetensors, PyTorch or Keras weights, found {found}")]
    Format {
        /// What it seems to be.
        found: String,
        /// What to do about it; empty where nothing can be said.
        remedy: &'static str,
    },
    /// A network with its code in place of its weights.
    #[error("expected a dictionary of tensors by name (a state_dict), found a whole model: {found}")]
    WholeModel {
        /// What the file holds.
        found: String,
    },
    /// The file asks for code.
    #[error("the file asks for `{name}`: expected tensors, dictionaries and numbers; nothing of it was run")]
    Code {
        /// What it wants: the function, class or layer.
        name: String,
    },
    /// A pickle that is damaged or does what no writer of weights does.
    #[error("the pickle is damaged at byte {at}: {reason}")]
    Pickle {
        /// Bytes from the start of the pickle.
        at: usize,
        /// What was expected and found.
        reason: String,
    },
    /// A zip archive that is damaged, hides something or claims the impossible.
    #[error("the archive is damaged: {reason}")]
    Archive {
        /// What was expected and found, and in which entry.
        reason: String,
    },
    /// An HDF5 file that is damaged, or uses what no writer of weights uses.
    #[error("the HDF5 file cannot be read: {reason}")]
    Hdf5 {
        /// What was expected and found, and where.
        reason: String,
    },
    /// The file wants more memory than its size justifies.
    #[error("the file asks for too much: expected at most {limit} {what}, found {found}")]
    TooLarge {
        /// What is counted.
        what: String,
        /// The limit.
        limit: u64,
        /// What the file asks for.
        found: u64,
    },
    /// A tensor whose shape, strides or storage do not fit each other.
    #[error("tensor `{name}` is damaged: {reason}")]
    Tensor {
        /// The tensor.
        name: String,
        /// What was expected and found.
        reason: String,
    },
    /// The file could be opened and not be read.
    #[error("the file cannot be read: {reason}")]
    Read {
        /// What the system said.
        reason: String,
    },
    /// The system has no memory for the file's numbers.
    #[error("not enough memory: {bytes} bytes were asked for")]
    Memory {
        /// What was asked for at once.
        bytes: u64,
    },
    /// A library that reads the format gave up where it should have said what is wrong.
    #[error("the reader of the file gave up: {reason}")]
    Reader {
        /// What the library said of itself.
        reason: String,
    },
    /// The file is sound, and holds something else than named tensors.
    #[error("expected {expected}, found {found}")]
    Contents {
        /// What a weight file has.
        expected: String,
        /// What this one has.
        found: String,
    },
}

impl Error {
    /// What whoever has the file can do about it; nothing where that depends on what is asked for.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        let remedy = match self {
            Self::Format { remedy, .. } => remedy,
            Self::WholeModel { found } if found.contains("TorchScript") => {
                "save the state_dict: torch.save(torch.jit.load('model.pt').state_dict(), 'weights.pt')"
            }
            Self::WholeModel { .. } => "save the state_dict: torch.save(model.state_dict(), 'weights.pt')",
            Self::Contents { expected, .. } if expected == state_dict::STATE_DICT => {
                "save the state_dict: torch.save(model.state_dict(), 'weights.pt')"
            }
            Self::Code { name } if name.contains("ambda") => {
                "build the model without Lambda layers, and save its weights: model.save_weights('model.weights.h5')"
            }
            Self::Contents { expected, .. } if expected == pytorch::TORCH_SAVE => {
                "load it in Python, if you trust its maker, and save its tensors: torch.save(state_dict, 'weights.pt')"
            }
            Self::Code { .. } => {
                "the file was made to run code: take the weights from where you trust their maker, as safetensors"
            }
            Self::Type { .. } => "save the weights as 32-bit or 16-bit floating point numbers",
            Self::Truncated { .. }
            | Self::HeaderTooLong { .. }
            | Self::Header { .. }
            | Self::Pickle { .. }
            | Self::Archive { .. }
            | Self::Hdf5 { .. }
            | Self::Tensor { .. } => "fetch the file again",
            Self::Memory { .. } => "give the program more memory",
            Self::TooLarge { what, .. } if what.starts_with(budget::NUMBERS) => {
                "many tensors share the same numbers: save those that are needed alone"
            }
            Self::TooLarge { .. } | Self::Read { .. } | Self::Reader { .. } | Self::Contents { .. } => "",
        };
        (!remedy.is_empty()).then_some(remedy)
    }

    fn contents(expected: &str, found: impl Into<String>) -> Self {
        Self::Contents { expected: expected.into(), found: found.into() }
    }
}

/// Reads the weights of a file from its bytes, whatever [`Format`] it is of.
///
/// # Errors
/// [`Error`]: for a file that is truncated, damaged or of another format, that asks for code to be run, of which a tensor's numbers
/// are of a type that is not read, or that would take more memory than its size justifies.
///
/// ```
/// use engraft_weights::{read, write, Precision, Tensor, Weights};
/// let mut weights = Weights::default();
/// let values = vec![0.5, -1.0];
/// weights.tensors.insert("bias".into(), Tensor { shape: vec![2], values, precision: Precision::F16 });
/// assert_eq!(read(&write(&weights))?, weights);
/// # Ok::<(), engraft_weights::Error>(())
/// ```
pub fn read(bytes: &[u8]) -> Result<Weights, Error> {
    #[expect(clippy::disallowed_methods, reason = "the crate that is built on this one catches panics")]
    WeightFile::open(bytes)?.into_weights()
}
