//! The training loop, its schedule and optimiser, and classifiers of images trained by it.
//!
//! Never here: a training flag outside [`Mode`](crate::backbone::Mode), a sum whose order depends on threads, a
//! random draw outside [`rng`](crate::rng).

mod checkpoint;
mod classifier;
mod curve;
mod diagnosis;
mod images;
mod optimiser;
mod range;
mod schedule;
mod state;
mod steps;
pub mod tensorboard;
mod values;

pub use checkpoint::Checkpoints;
pub use classifier::{Classifier, ImageTask, argmax, probabilities};
pub(crate) use classifier::{count_correct, cross_entropy};
pub use curve::{Curve, EpochRecord, Score, StepRecord, curves_csv, steps_csv};
pub use diagnosis::{Finding, diagnose, mean_of_folds};
pub use images::TrainingImages;
pub use optimiser::{Memory, Optimiser, Rule, Rules, Slot};
pub use range::{RateFinding, RatePoint, find_lr};
pub use schedule::Schedule;
pub use state::{Snapshot, State};
pub use steps::{Settings, ShardLoss, Task, train};
pub use values::{Gradients, Values, axes_of, values_of, with_values};
