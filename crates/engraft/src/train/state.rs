//! Where a training is: what a checkpoint holds.

use serde::{Deserialize, Serialize};

use crate::train::curve::Curve;
use crate::train::optimiser::Memory;
use crate::train::values::Values;

/// Where a training is, beside the model and the optimiser's memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Steps taken.
    pub(crate) step: u64,
    /// Epochs finished.
    pub(crate) epoch: u64,
    /// Batches of the next epoch that were done.
    pub(crate) batch: u64,
    /// Sum of the losses of this epoch's examples.
    pub(crate) loss: f64,
    /// Right answers in this epoch.
    pub(crate) correct: u64,
    /// Examples seen in this epoch.
    pub(crate) seen: u64,
    /// The curve so far.
    pub(crate) curve: Curve,
    /// The best epochs, the best first: validation loss, and epoch counted from 1.
    pub(crate) best: Vec<(f64, u64)>,
}

/// All that a training is made of at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Snapshot {
    /// Where it is.
    pub(crate) state: State,
    /// The numbers that it changes.
    pub(crate) values: Values,
    /// What the optimiser remembers.
    pub(crate) memory: Memory,
    /// The moving average, where there is one.
    pub(crate) ema: Option<Values>,
    /// The numbers after the best epochs, in the order of [`State::best`].
    pub(crate) best: Vec<Values>,
}
