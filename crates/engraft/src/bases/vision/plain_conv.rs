//! A convolution as plain numbers, as a program for the CPU takes it.

use engraft_kernels::{Activation as Pointwise, Compiler, ConvLayer, ConvOptions, Value};

/// A convolution with its batch norm folded in, as numbers.
pub(in crate::bases) struct PlainConv {
    /// `[rows, columns, C_in / groups, C_out]`
    pub(in crate::bases) weight: Vec<f32>,
    pub(in crate::bases) shape: [usize; 4],
    pub(in crate::bases) bias: Option<Vec<f32>>,
    pub(in crate::bases) options: ConvOptions,
    pub(in crate::bases) activation: Pointwise,
}

impl PlainConv {
    /// Takes in a scale and a shift of each output channel that come after it.
    pub(in crate::bases) fn scaled(mut self, scale: &[f32], shift: &[f32]) -> Self {
        for weights in self.weight.chunks_exact_mut(scale.len()) {
            for (weight, scale) in weights.iter_mut().zip(scale) {
                *weight *= scale;
            }
        }
        let bias = self.bias.unwrap_or_else(|| vec![0.0; scale.len()]);
        self.bias =
            Some(bias.iter().zip(scale).zip(shift).map(|((bias, scale), shift)| bias * scale + shift).collect());
        self
    }

    /// Adds it to a program.
    pub(in crate::bases) fn compile(&self, compiler: &mut Compiler, x: Value, residual: Option<Value>) -> Value {
        let layer = ConvLayer {
            weight: &self.weight,
            kernel: [self.shape[0], self.shape[1]],
            outputs: self.shape[3],
            options: self.options,
            bias: self.bias.as_deref(),
            residual,
            activation: self.activation,
        };
        compiler.conv2d(x, &layer)
    }
}
