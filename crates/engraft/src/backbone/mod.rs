//! Pretrained networks: a row of named stages, a card that says how to feed it, and where to find it.
//!
//! Never here: a global training flag (the [`Mode`] is an argument), preprocessing that is not in a card, a
//! downloaded file that is believed before its SHA-256 is checked.

mod bases;
mod card;
mod layers;
mod mobilenet_v2;
mod network;
mod parameters;
mod small_resnet;
mod stage;

pub use bases::{Base, BaseSummary, embedded, open};
pub use burn::tensor::Device;
pub use card::{Card, PaddingDialect};
pub use layers::Linear;
pub use network::{Architecture, Network, NetworkWeights, move_statistics};
pub use parameters::{Init, Manifest, Parameters, Scope};
pub use stage::{Activation, BatchStatistics, Mode, StageCost, Statistics};
