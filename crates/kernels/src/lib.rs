//! The CPU operations of Engraft, as a Burn backend extension: channel-last convolution and what belongs to it.
//!
//! Every convolution of every model goes through [`conv2d`], so that what is inside can become faster without
//! touching a model. Activations are `[N, H, W, C]`, weights `[kernel height, kernel width, C_in / groups, C_out]`.
//!
//! Nothing in here starts threads, and every sum is taken in an order that depends on shapes alone: a result
//! is the same bits whatever runs beside it. Callers work in parallel over examples.

#![forbid(unsafe_code)]

mod convolution;
mod depthwise;
mod extension;
mod patches;
mod pointwise;
mod pooling;

pub use convolution::{Activation, ConvOptions, Geometry, Padding, PoolOptions, average_pool2d, conv2d, max_pool2d};
