//! What is said of an ONNX model.

/// Key of an encoder's metadata: the function between the two layers of a block, as `config.json` calls it, where the graph
/// tells it.
pub(crate) const ACTIVATION: &str = "onnx.activation";
/// Key of an encoder's metadata: the constants of the layer norms, each once.
pub(crate) const EPSILONS: &str = "onnx.epsilons";

/// A value of a model that could serve as features.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnnxCandidate {
    /// The value's name.
    pub name: String,
    /// The name of the node that gives it. Empty where it has none.
    pub(crate) node: String,
    /// That node's operation.
    pub op: String,
    /// Its shape for one image, beginning with 1.
    pub shape: Vec<usize>,
    /// Length of a row. A map is averaged over its rows and columns.
    pub(crate) length: usize,
}

/// The order of a model's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnnxLayout {
    /// `[N, C, H, W]`, as PyTorch.
    Nchw,
    /// `[N, H, W, C]`, as TensorFlow.
    Nhwc,
}

/// A model's input, as the file declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnnxInput {
    /// Its name.
    pub(crate) name: String,
    /// Its shape; `None` where any size is allowed.
    pub(crate) shape: Vec<Option<usize>>,
    /// Where the channels are.
    pub layout: OnnxLayout,
    /// 1 or 3.
    pub channels: usize,
    /// Rows: the model's own, or else those that were asked for or assumed.
    pub height: Option<usize>,
    /// Columns, likewise.
    pub width: Option<usize>,
    /// The kind of its numbers. Always `float`: others are refused.
    pub(crate) dtype: String,
}
