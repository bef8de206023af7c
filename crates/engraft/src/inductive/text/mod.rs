//! Labelled texts: the main job on an encoder, on word vectors or on a language model, with the controls beside it.
//!
//! The same steps as for pictures, by the same code where it knows nothing of either: the probe, depths measured on
//! folds and seeds, the plan, the choice, forecasts, answers that say "unsure" and "unlike". What is different is what
//! runs: texts have lengths, contrastive pairs are a depth of their own, and words counted by TF-IDF are a control that
//! no text classifier may leave out.

mod choice;
mod contrastive;
mod explain;
mod fit_texts;
mod intake;
mod scratch;
mod states;
mod tf_idf;
mod tune;
pub mod ulmfit;

pub use choice::{TextChosen, TextDepth};
pub use contrastive::{Pair, pair};
pub use explain::{WordWeight, explain};
pub use fit_texts::{FittedTexts, HeldOutTexts, LengthBin, TextNews, fit_texts};
pub use intake::{TextIntake, is_about_texts, text_reading};
pub use scratch::ScratchTexts;
pub use tf_idf::{TfIdf, TfIdfControl};
pub use tune::{GrownBase, TunedEncoder};
