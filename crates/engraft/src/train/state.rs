//! Where a training is: what a checkpoint holds.

use serde::{Deserialize, Serialize};

use crate::train::curve::Curve;
use crate::train::optimiser::Memory;
use crate::train::values::Values;

/// Where a training is, beside the model and the optimiser's memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Steps taken.
    pub step: u64,
    /// Epochs finished.
    pub epoch: u64,
    /// Batches of the next epoch that were done.
    pub batch: u64,
    /// Sum of the losses of this epoch's examples.
    pub loss: f64,
    /// Right answers in this epoch.
    pub correct: u64,
    /// Examples seen in this epoch.
    pub seen: u64,
    /// The curve so far.
    pub curve: Curve,
    /// The best epochs, the best first: validation loss, and epoch counted from 1.
    pub best: Vec<(f64, u64)>,
}

/// All that a training is made of at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// Where it is.
    pub state: State,
    /// The numbers that it changes.
    pub values: Values,
    /// What the optimiser remembers.
    pub memory: Memory,
    /// The moving average, where there is one.
    pub ema: Option<Values>,
    /// The numbers after the best epochs, in the order of [`State::best`].
    pub best: Vec<Values>,
}
