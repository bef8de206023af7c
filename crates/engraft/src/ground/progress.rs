//! How long work tells of itself and hears that it should stop. The library prints nothing: the program listens.

use crate::error::{Error, Result};

/// What the library tells while it works. Every method may be called from any thread.
pub trait Observer: Send + Sync {
    /// A task of `total` units begins; `unit` is what is counted, in the plural ("images").
    fn begin(&self, task: &str, total: u64, unit: &str);
    /// `units` more are done.
    fn advance(&self, units: u64);
    /// The task is over.
    fn end(&self);
    /// One line worth reading.
    fn say(&self, line: &str);
    /// Whether the user asked to stop.
    fn interrupted(&self) -> bool;

    /// `Err(Interrupted)` once the user has asked to stop. Long loops call it at every turn.
    fn check(&self) -> Result<()> {
        if self.interrupted() { Err(Error::Interrupted) } else { Ok(()) }
    }
}

/// An observer that hears nothing and never interrupts.
#[derive(Debug, Default, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {
    fn begin(&self, _: &str, _: u64, _: &str) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
    fn say(&self, _: &str) {}
    fn interrupted(&self) -> bool {
        false
    }
}
