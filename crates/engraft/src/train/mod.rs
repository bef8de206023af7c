//! The training loop, its schedule and optimiser, and classifiers of images trained by it.
//!
//! Never here: a training flag outside [`Mode`](crate::bases::Mode), a sum whose order depends on threads, a
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
pub use classifier::Classifier;
pub(crate) use classifier::{ImageTask, argmax, count_correct, cross_entropy, probabilities};
pub use curve::{Curve, EpochRecord, Score, StepRecord};
pub(crate) use curve::{curves_csv, steps_csv};
pub use diagnosis::Finding;
pub(crate) use diagnosis::{diagnose, mean_of_folds};
pub use images::TrainingImages;
pub use optimiser::{Memory, Optimiser, Rule, Rules, Slot};
pub(crate) use range::find_lr;
pub use range::{RateFinding, RatePoint};
pub use schedule::Schedule;
pub use state::State;
pub(crate) use steps::shards_of;
pub use steps::{Settings, ShardLoss, Task, train};
pub(crate) use values::axes_of;
pub use values::{Gradients, values_of, with_values};
