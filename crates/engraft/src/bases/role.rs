//! What a parameter is to its layer: names and layouts of checkpoints follow from it.

/// What a parameter is to its layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A convolution's weight.
    Convolution,
    /// The weight of a convolution of each channel by itself.
    Depthwise,
    /// A linear layer's weight.
    Linear,
    /// A bias.
    Bias,
    /// A batch norm's factor.
    Gamma,
    /// A batch norm's summand.
    Beta,
    /// A batch norm's running mean.
    Mean,
    /// A batch norm's running variance.
    Variance,
}
