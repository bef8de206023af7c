//! What the programs that checkpoints were made with do in their own ways: padding, and the epsilon of batch norms.

use engraft_kernels::Padding;
use serde::{Deserialize, Serialize};

/// How a checkpoint's maker pads before convolving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaddingDialect {
    /// The same on both sides, as PyTorch.
    Symmetric,
    /// TensorFlow's SAME: an odd total puts the extra at the end.
    Same,
    /// timm's rendering of SAME: the same, but where a strided pool looks over the border it counts the zeros in a
    /// mean and not in a maximum.
    Timm,
}

impl PaddingDialect {
    /// The padding that keeps the size at stride 1 for an odd kernel of `[rows, columns]`.
    pub(crate) fn of_kernel(self, kernel: [usize; 2]) -> Padding {
        match self {
            PaddingDialect::Symmetric => Padding::Symmetric(kernel.map(|side| side / 2)),
            PaddingDialect::Same | PaddingDialect::Timm => Padding::Same,
        }
    }
}

/// What the program that a checkpoint was made with does in its own way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Style {
    /// How it pads.
    pub(crate) padding: PaddingDialect,
    /// What its batch norms add to the variance.
    pub epsilon: f64,
}
