//! The CPU operations of Engraft, as a Burn backend extension: channel-last convolution and what belongs to it, and the
//! layers of text models.
//!
//! A model calls the functions of this crate on Burn's tensors ([`conv2d`], [`linear`], [`batch_norm`], [`lstm`],
//! [`attention`], ...). On the CPU they are the kernels below, forwards and backwards; on any other device they are
//! Burn's own operations. Maps are `[N, H, W, C]`, weights `[kernel height, kernel width, C_in / groups, C_out]`.
//!
//! Kernels are written once, generic over the vector type, and compiled for AVX-512, AVX2, NEON and plain code; the
//! widest that the machine has is chosen at run time. They run on rayon's threads. Every sum is taken in an order that
//! depends on shapes alone, so that a result is the same bits whatever the number of threads and whatever stands beside
//! it in a batch.
//!
//! There is no `unsafe` in here.

#![forbid(unsafe_code)]
#![allow(
    clippy::needless_range_loop,
    reason = "kernels index several arrays in step, in loops that are unrolled as they stand"
)]

mod activation;
mod attention;
mod compiled;
mod composed;
mod convolution;
mod cross_entropy;
mod depthwise;
mod extension;
mod gemm;
mod geometry;
mod layer_norm;
mod layers;
mod lstm;
mod norm;
mod pooling;
mod quantised;
#[cfg(test)]
mod reference;
mod row;
mod scratch;
mod separable;
mod softmax;
mod transformer;
mod vector;
mod winograd;

pub use activation::Activation;
pub use compiled::{Compiled, Compiler, ConvLayer, Value};
pub use geometry::{ConvOptions, Geometry, Padding, PoolOptions};
pub use layers::{
    BatchNormed, Fused, LstmState, LstmWeights, activate, affine, attention, average_pool2d, batch_norm, conv2d,
    cross_entropy, global_average, layer_norm, linear, lstm, max_pool2d, softmax,
};
pub use quantised::{MAX_QUANTISED_DEPTH, QuantisedWeights};
pub use transformer::{AffineWeights, Embeddings, Encoder, EncoderBlock, EncoderShape, NormWeights};
