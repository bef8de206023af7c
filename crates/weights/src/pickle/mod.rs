//! Python's pickles as data: a machine with a stack and a memo, and a list of the names it knows.
//!
//! A pickle is a program that builds objects, and in Python it can call anything. Here a name is looked up in
//! [`value::Global`] and nowhere else. What is not there is a foreign object: its name is told, its content left alone, and
//! nothing of it is run; names that reach the system are refused ([`foreign`]). Values refer to each other by number, so a value
//! used a thousand times costs one.

mod foreign;
mod machine;
mod value;

pub(crate) use machine::load;
pub(crate) use value::{Id, Pickle, Storage, Value};

/// The most values that one pickle makes. A checkpoint of 1,000 tensors makes about 15,000.
pub const PICKLE_VALUES: usize = 1_000_000;

/// The most steps that are taken. Each takes at least a byte of the file.
const STEPS: usize = 8_000_000;

/// The most values that wait on the stack at once.
const STACK: usize = 1_000_000;
