//! The stage contract: what flows between stages, and how a stage behaves.

use std::sync::Mutex;

use burn::module::ParamId;
use burn::prelude::*;

/// What flows between two stages.
#[derive(Debug, Clone)]
pub enum Activation {
    /// A feature map, `[N, H, W, C]`.
    Map(Tensor<4>),
    /// A vector for each example, `[N, D]`.
    Vector(Tensor<2>),
}

impl Activation {
    /// The feature map.
    ///
    /// # Panics
    /// If this is a vector: stages were called out of order.
    pub fn map(self) -> Tensor<4> {
        match self {
            Activation::Map(map) => map,
            Activation::Vector(_) => panic!("this stage takes a feature map, and was given a vector"),
        }
    }

    /// The vectors; a feature map is flattened, `[N, H W C]`.
    pub fn vector(self) -> Tensor<2> {
        match self {
            Activation::Vector(vector) => vector,
            Activation::Map(map) => {
                let [n, h, w, c] = map.dims();
                map.reshape([n, h * w * c])
            }
        }
    }
}

/// How a stage behaves. It is given to every call; there is no global flag.
#[derive(Debug, Clone, Copy)]
pub enum Mode<'a> {
    /// Batch norm uses its stored statistics and leaves them alone, dropout is off, parameters get no gradient
    /// (the input still does, for a trained stage before a frozen one).
    Frozen,
    /// Batch norm uses the batch's statistics and notes them here; parameters get gradients.
    Train(&'a Statistics),
}

/// The mean and variance of one batch in one batch norm.
#[derive(Debug, Clone)]
pub struct BatchStatistics {
    /// Parameter identity of the running mean.
    pub mean_id: ParamId,
    /// Parameter identity of the running variance.
    pub variance_id: ParamId,
    /// Mean by channel.
    pub mean: Vec<f32>,
    /// Biased variance by channel.
    pub variance: Vec<f32>,
    /// How many values each was taken from.
    pub count: usize,
}

/// What the batch norms of one forward pass saw, in the order in which they ran.
#[derive(Debug, Default)]
pub struct Statistics(Mutex<Vec<BatchStatistics>>);

impl Statistics {
    /// Notes one batch norm's statistics.
    pub fn note(&self, statistics: BatchStatistics) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(statistics);
    }

    /// Everything that was noted.
    pub fn into_inner(self) -> Vec<BatchStatistics> {
        self.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// What one stage gives and costs, for one picture.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct StageCost {
    /// The stage's name.
    pub name: String,
    /// Shape of its output for one picture: `[H, W, C]` or `[D]`.
    pub output: Vec<usize>,
    /// Numbers that training would change.
    pub parameters: usize,
    /// Multiply-adds of a forward pass.
    pub multiply_adds: u64,
}
