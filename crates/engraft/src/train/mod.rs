//! The training loop, its schedule and optimiser, and classifiers of pictures trained by it.
//!
//! Never here: a training flag outside [`Mode`](crate::backbone::Mode), a sum whose order depends on threads, a
//! random draw outside [`rng`](crate::rng).

mod classifier;
mod curve;
mod diagnosis;
mod pictures;
mod schedule;
mod steps;
pub mod tensorboard;

pub use classifier::{Classifier, PictureTask, argmax, probabilities};
pub use curve::{Curve, EpochRecord, Score, StepRecord, curves_csv, steps_csv};
pub use diagnosis::{Finding, diagnose, mean_of_folds};
pub use pictures::Pictures;
pub use schedule::cosine_with_warmup;
pub use steps::{Optimiser, Settings, ShardLoss, Task, train};
