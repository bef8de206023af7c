//! Fine-tuning: the plan of what learns, training from the activations at a cut, and the choice of the cut.

mod activations;
mod choice;
mod depth;
mod frozen;
mod inputs;
mod journal;
mod linear_head;
mod mixing;
mod plan;
mod settings;
mod task;
mod tune;

pub use activations::{Activations, Change, Shown, Views};
pub use choice::{Budget, Chosen, Ground, Planned};
pub(in crate::inductive) use choice::{STEP_COST, reason};
pub use depth::{
    Difference, Fold, FoldOutcome, Measured, Protocol, choose, features_of, hold_out, measure, measure_folds,
};
pub use frozen::FrozenPart;
pub use inputs::Inputs;
pub use journal::Journal;
pub use linear_head::{LinearHead, dropped};
pub use plan::{DepthCut, Learners, Learning, Plan, Spread, StagePlan, Staged, cut_of, usual_cuts};
pub use settings::Tuning;
pub use task::{Regularisers, TuneTask, Tuned};
pub(in crate::inductive) use task::{give, logits_of, score};
pub use tune::{FineTuned, Start, Target, TuneSettings, find_rate, tune};
pub(in crate::inductive) use tune::{class_weights, failure_in, looked_at, random_head, retrying, telling};
