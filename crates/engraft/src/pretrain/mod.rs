//! Bases of one's own.

mod supervised;

pub use supervised::{Pretrained, pretrain};
