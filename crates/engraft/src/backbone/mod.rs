//! Pretrained networks: a row of named stages, a card that says how to feed it, and where to find it.
//!
//! Never here: a global training flag (the [`Mode`] is an argument), preprocessing that is not in a card, a
//! downloaded file that is believed before its SHA-256 is checked.

mod architecture;
mod bases;
mod builder;
mod card;
mod channels;
mod cifar_resnet;
mod compile;
mod default_base;
mod dialect;
mod fuse;
mod graph;
pub mod hub;
mod inception_v3;
mod input_size;
mod layers;
mod low_rank;
mod mobilenet_v1;
mod mobilenet_v2;
mod nasnet;
mod network;
#[cfg(feature = "onnx")]
mod onnx;
#[cfg(not(feature = "onnx"))]
#[path = "onnx_absent.rs"]
mod onnx;
mod onnx_types;
mod parameters;
mod plain_conv;
mod remix;
mod resnet;
mod role;
mod runner;
mod small_resnet;
mod squeezenet;
mod stage;
mod style;
pub mod text;
mod tiny_darknet;

pub use architecture::Architecture;
pub use bases::{Base, BaseSpec, BaseSummary, Body, embedded, open};
pub use burn::tensor::Device;
pub use card::Card;
pub use default_base::{DataKind, DefaultBase, base_for, default_base};
pub use dialect::{Dialect, Leaves};
pub use graph::Stage;
pub use low_rank::LoraConfig;
pub use network::{Likeness, Network, NetworkWeights, OwnClassifier, move_statistics};
pub use onnx::OnnxModel;
pub use onnx_types::{OnnxCandidate, OnnxInput, OnnxLayout};
pub use parameters::{Expected, Manifest, Match, identity};
pub use role::Role;
pub use runner::Runner;
pub use stage::{Activation, BatchStatistics, DropPathSchedule, Mode, Pass, StageCost, Statistics};
pub use style::PaddingDialect;
