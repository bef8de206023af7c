//! How long work tells of itself and hears that it should stop. The library prints nothing: the program listens.

use crate::error::{Error, Result};

/// What the library tells while it works. Every method may be called from any thread.
pub trait Observer: Send + Sync {
    /// A task of `total` units begins (0 where nobody knows how many); `unit` is what is counted, in the plural ("images").
    fn begin(&self, task: &str, total: u64, unit: &str);
    /// `units` more are done.
    fn advance(&self, units: u64);
    /// The task is over.
    fn end(&self);
    /// One line worth reading.
    fn say(&self, line: &str);
    /// The learning curve `name` so far, told whenever it has grown; `points` in the order of their epochs.
    ///
    /// Names say what is trained: `final`, `tune/layer4/fold0`, `scratch/fold0`. Curves of one training in folds share
    /// what comes before `/fold`.
    fn curve(&self, _name: &str, _points: &[CurvePoint]) {}
    /// Whether the user asked to stop.
    fn interrupted(&self) -> bool;

    /// `Err(Interrupted)` once the user has asked to stop. Long loops call it at every turn.
    fn check(&self) -> Result<()> {
        if self.interrupted() { Err(Error::Interrupted) } else { Ok(()) }
    }
}

/// One point of a learning curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// Epochs that are done: 1 after the first, 0.5 in its middle.
    pub epoch: f64,
    /// Loss while training.
    pub train_loss: f64,
    /// Loss on what is held out, if anything is, and was measured here.
    pub validation_loss: Option<f64>,
    /// Share of right answers while training.
    pub train_accuracy: f64,
    /// Share of right answers on what is held out.
    pub validation_accuracy: Option<f64>,
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
