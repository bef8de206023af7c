//! A frozen base at work: normalised images in, rows out.

use std::sync::Arc;

use burn::prelude::*;
use burn::tensor::{Device, TensorData};
use engraft_kernels::Compiled;
use rayon::prelude::*;

use crate::bases::onnx::OnnxModel;
use crate::bases::stage::Mode;
use crate::bases::vision::network::Network;
use crate::error::{Error, Problem, Result};

/// A frozen base, up to a cut or to its own classes.
#[derive(Debug)]
pub enum Runner {
    /// Stages, compiled for the CPU.
    Compiled(Compiled),
    /// Stages on another device.
    Stages {
        /// The network.
        network: Box<Network>,
        /// The cut.
        cut: usize,
        /// Rows, columns and channels of an image.
        input: [usize; 3],
        /// Where it runs.
        device: Device,
    },
    /// An ONNX model, to its features.
    Onnx(Arc<OnnxModel>),
    /// An ONNX model, to its classes.
    OnnxClasses(Arc<OnnxModel>),
}

impl Runner {
    /// A row for each normalised image `[H, W, C]`; a map at the cut is flattened. No row depends on the others.
    pub fn rows(&self, images: &[Vec<f32>]) -> Result<Vec<Vec<f32>>> {
        match self {
            Runner::Compiled(program) => {
                let outputs = program.run(&[&images.concat()], images.len());
                let sizes = program.output_sizes();
                let parts = |image: usize| {
                    outputs.iter().zip(&sizes).flat_map(move |(all, &size)| &all[image * size..(image + 1) * size])
                };
                Ok((0..images.len()).map(|image| parts(image).copied().collect()).collect())
            }
            Runner::Stages { network, cut, input: [h, w, c], device } => {
                let x = TensorData::new(images.concat(), [images.len(), *h, *w, *c]);
                let x = Tensor::<4>::from_data(x, device);
                let rows = network.forward(x.into(), 0..*cut, Mode::Frozen).vector();
                let columns = rows.dims()[1];
                let rows = rows.into_data().try_to_vec::<f32>().map_err(|source| {
                    Error::Weights(Problem::new("the base gave no 32-bit features").found(format_args!("{source:?}")))
                })?;
                Ok(rows.chunks_exact(columns.max(1)).map(<[f32]>::to_vec).collect())
            }
            Runner::Onnx(model) => images.par_iter().map(|image| model.row(image)).collect(),
            Runner::OnnxClasses(model) => {
                let logits = |image: &Vec<f32>| Ok(model.classify(image)?.unwrap_or_default());
                images.par_iter().map(logits).collect()
            }
        }
    }
}
