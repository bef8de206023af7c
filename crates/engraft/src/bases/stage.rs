//! The stage contract: what flows between stages, and how a stage behaves.

use std::sync::Mutex;

use burn::module::ParamId;
use burn::prelude::*;

/// What flows between two stages.
#[expect(clippy::large_enum_variant, reason = "there is one for each running pass")]
#[derive(Debug, Clone)]
pub enum Activation {
    /// Feature maps, each `[N, H, W, C]`: one, or two where a stage also takes the output of the one before the last.
    Maps(Vec<Tensor<4>>),
    /// A vector for each example, `[N, D]`.
    Vector(Tensor<2>),
}

impl From<Tensor<4>> for Activation {
    fn from(map: Tensor<4>) -> Self {
        Activation::Maps(vec![map])
    }
}

impl Activation {
    /// The feature maps; a vector is a map of one pixel, `[N, 1, 1, D]`.
    pub fn maps(self) -> Vec<Tensor<4>> {
        match self {
            Activation::Maps(maps) => maps,
            Activation::Vector(vector) => {
                let [n, d] = vector.dims();
                vec![vector.reshape([n, 1, 1, d])]
            }
        }
    }

    /// The vectors; feature maps are flattened and joined, `[N, sum of H W C]`.
    pub fn vector(self) -> Tensor<2> {
        match self {
            Activation::Vector(vector) => vector,
            Activation::Maps(maps) => {
                let mut flat = maps.into_iter().map(|map| {
                    let [n, h, w, c] = map.dims();
                    map.reshape([n, h * w * c])
                });
                match (flat.next(), flat.next()) {
                    (Some(first), None) => first,
                    (first, second) => Tensor::cat(first.into_iter().chain(second).chain(flat).collect(), 1),
                }
            }
        }
    }

    /// The activation that [`Activation::vector`] made these rows from: `outputs` are the shapes for one image, as
    /// [`StageCost::outputs`].
    ///
    /// # Panics
    /// If the rows are not as long as the shapes together.
    pub fn from_rows(rows: Tensor<2>, outputs: &[Vec<usize>]) -> Self {
        let [n, columns] = rows.dims();
        assert_eq!(columns, outputs.iter().map(|shape| shape.iter().product::<usize>()).sum::<usize>());
        if let [shape] = outputs
            && shape.len() == 1
        {
            return Activation::Vector(rows);
        }
        let mut begin = 0;
        let mut maps = Vec::with_capacity(outputs.len());
        for shape in outputs {
            let (h, w, c) = (shape[0], shape[1], shape[2]);
            maps.push(rows.clone().narrow(1, begin, h * w * c).reshape([n, h, w, c]));
            begin += h * w * c;
        }
        Activation::Maps(maps)
    }
}

/// How a stage behaves. It is given to every call; there is no global flag.
#[derive(Debug, Clone, Copy)]
pub enum Mode<'a> {
    /// Batch norm uses its stored statistics and leaves them alone, dropout is off, parameters get no gradient
    /// (the input still does, for a trained stage before a frozen one).
    Frozen,
    /// Parameters get gradients, paths are dropped, and batch norm does what the pass says.
    Train(&'a Pass),
}

/// What a batch norm in a trained stage does. Its factor and summand learn either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Statistics {
    /// Normalises by the batch, and notes the batch's statistics.
    #[default]
    Batch,
    /// Normalises by the stored statistics and leaves them alone: those of small batches are worth little.
    Stored,
}

/// The mean and variance of one batch in one batch norm.
#[derive(Debug, Clone)]
pub struct BatchStatistics {
    /// Parameter identity of the running mean.
    pub(crate) mean_id: ParamId,
    /// Parameter identity of the running variance.
    pub(crate) variance_id: ParamId,
    /// Mean by channel.
    pub(crate) mean: Vec<f32>,
    /// Biased variance by channel.
    pub(crate) variance: Vec<f32>,
    /// How many values each was taken from.
    pub(crate) count: usize,
}

/// What decides which paths a training pass drops (Larsson et al. 2017; scheduled as by Zoph et al. 2018).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DropPathSchedule {
    /// Seed of the draws.
    pub(crate) seed: u64,
    /// The training step.
    pub(crate) step: u64,
    /// Position of the first image of this pass among those of the step, so that shards draw as the whole would.
    pub(crate) first: usize,
    /// Share of the training that is done, 0 to 1: scheduled rates grow with it.
    pub(crate) progress: f64,
}

/// One training pass: what its batch norms do and saw, in the order in which they ran, and which paths it drops.
#[derive(Debug, Default)]
pub struct Pass {
    noted: Mutex<Vec<BatchStatistics>>,
    statistics: Statistics,
    drops: Option<DropPathSchedule>,
}

impl Pass {
    /// A pass that drops paths where the network has any to drop. The default drops none.
    pub(crate) fn dropping(drops: DropPathSchedule) -> Self {
        Self { drops: Some(drops), ..Self::default() }
    }

    /// The same with other statistics.
    #[must_use]
    pub fn with(self, statistics: Statistics) -> Self {
        Self { statistics, ..self }
    }

    /// What its batch norms do.
    pub(crate) fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// What decides the drops, if there are any.
    pub(crate) fn drops(&self) -> Option<&DropPathSchedule> {
        self.drops.as_ref()
    }

    /// Notes one batch norm's statistics.
    pub(crate) fn note(&self, statistics: BatchStatistics) {
        self.noted.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(statistics);
    }

    /// The statistics that were noted.
    pub fn into_statistics(self) -> Vec<BatchStatistics> {
        self.noted.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// What one stage gives and costs, for one image.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct StageCost {
    /// The stage's name.
    pub name: String,
    /// Shapes of its outputs for one image: each `[H, W, C]`, or one `[D]`.
    pub outputs: Vec<Vec<usize>>,
    /// Numbers that training would change.
    pub parameters: usize,
    /// MACs of a forward pass.
    pub multiply_adds: u64,
}

impl StageCost {
    /// How many numbers the stage gives for one image.
    pub fn columns(&self) -> usize {
        self.outputs.iter().map(|shape| shape.iter().product::<usize>()).sum()
    }
}
