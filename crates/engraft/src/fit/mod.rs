//! The main job, for every kind of input, base, target and method: it arranges what the rooms before it have.
//!
//! Never here: a label of a held-out split in any choice. What is held out is looked at once, after every choice.

mod basis;
mod check;
mod columns;
mod explain;
mod facts;
mod fitting;
mod forecast;
#[cfg(test)]
mod group_tests;
mod own_classes;

pub(crate) use basis::Basis;
pub use basis::Context;
pub use check::check_settings;
pub use columns::ColumnEffect;
pub(crate) use columns::ColumnFacts;
pub use explain::WordWeight;
pub(crate) use explain::explain;
pub use facts::LengthBin;
pub(crate) use facts::TextFacts;
pub use fitting::{FitEvent, Fitted, find_rate, fit};
pub(crate) use fitting::{HeldOut, Seconds};
pub use own_classes::OwnClasses;
