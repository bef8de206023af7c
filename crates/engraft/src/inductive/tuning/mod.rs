//! Fine-tuning: the plan of what learns, training from the activations at a cut, and the choice of the cut.

mod activations;
mod choice;
mod depth;
mod frozen;
mod journal;
mod mixing;
mod plan;
mod settings;
mod task;
mod tune;

pub use activations::{Activations, Change, Shown, Views};
pub use choice::{Budget, Chosen, Ground, Planned};
pub use depth::{Difference, Measured, Protocol, choose, features_of, hold_out, measure};
pub use frozen::FrozenPart;
pub use journal::Journal;
pub use plan::{DepthCut, Learners, Learning, Plan, Spread, StagePlan, Staged, cut_of, usual_cuts};
pub use settings::Tuning;
pub use task::{Regularisers, TuneTask, Tuned};
pub use tune::{FineTuned, Start, Target, TuneSettings, find_rate, tune};
