//! Fine-tuning: the plan of what learns, training from the examples at a cut, and the choice of the cut.

mod activations;
mod body;
mod choice;
mod depth;
mod frozen;
mod inputs;
mod journal;
mod linear_head;
mod material;
mod mixing;
mod plan;
mod quiet;
mod settings;
mod task;
mod text_states;
mod tune;

pub use activations::{Activations, Change, KeyedImages, Views};
pub use body::Body;
pub(crate) use choice::DepthSearch;
pub(in crate::inductive) use choice::STEP_COST;
pub use choice::{Budget, Chosen, Depth, Planned};
pub use depth::{Difference, Measured, choose};
pub(crate) use depth::{Fold, Protocol};
pub use frozen::FrozenPart;
pub use inputs::Inputs;
pub use journal::Journal;
pub use material::{AtCut, FineTuned, Material};
pub use mixing::Regularisers;
pub(crate) use plan::cut_of;
pub use plan::{Learners, Plan, Spread, Staged};
pub(in crate::inductive) use quiet::Quiet;
pub(crate) use settings::TuningSettings;
pub use text_states::TextStates;
pub use tune::{Adapted, TuneSettings, Tuning, find_rate, tune};
pub(in crate::inductive) use tune::{best_rate, curve_reporter, retrying, sanity_rows};
