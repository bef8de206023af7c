//! Pretrained networks: a row of named stages, a card that says how to feed it, and where to find it.
//!
//! Never here: a global training flag (the [`Mode`] is an argument), preprocessing that is not in a card, a
//! downloaded file that is believed before its SHA-256 is checked.

mod card;
mod default_base;
pub mod hub;
mod keras_input;
mod layers;
mod low_rank;
#[cfg(feature = "onnx")]
mod onnx;
#[cfg(not(feature = "onnx"))]
#[path = "onnx_absent.rs"]
mod onnx;
mod onnx_types;
mod opening;
mod parameters;
mod role;
mod stage;
mod style;
pub mod text;
mod timm_config;
mod vision;

pub use burn::tensor::Device;
pub use card::Card;
pub(crate) use default_base::free_bases_here;
pub use default_base::{DataKind, DefaultBase, base_for, default_base, refuse_other_kind};
pub use low_rank::LoraConfig;
pub use onnx::OnnxModel;
pub use onnx_types::{OnnxCandidate, OnnxInput, OnnxLayout};
pub(crate) use opening::GLYPHS;
pub use opening::{Base, BaseSpec, BaseSummary, Body, embedded, open};
pub use parameters::{Expected, Manifest, Match, identity};
pub use role::Role;
pub use stage::{Activation, BatchStatistics, DropPathSchedule, Mode, Pass, StageCost, Statistics};
pub use style::PaddingDialect;
pub use vision::architecture::Architecture;
pub use vision::dialect::{Dialect, Leaves};
pub use vision::graph::Stage;
pub use vision::network::{Likeness, Network, NetworkWeights, OwnClassifier, move_statistics};
pub use vision::runner::Runner;
