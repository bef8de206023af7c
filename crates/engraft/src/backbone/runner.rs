//! A frozen base at work: normalised pictures in, rows out.

use std::sync::Arc;

use burn::prelude::*;
use burn::tensor::{Device, TensorData};
use engraft_kernels::Compiled;
use rayon::prelude::*;

use crate::backbone::network::Network;
use crate::backbone::onnx::OnnxModel;
use crate::backbone::stage::Mode;
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
        /// Rows, columns and channels of a picture.
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
    /// A row for each normalised picture `[H, W, C]`; a map at the cut is flattened. No row depends on the others.
    pub fn rows(&self, pictures: &[Vec<f32>]) -> Result<Vec<Vec<f32>>> {
        match self {
            Runner::Compiled(program) => {
                let outputs = program.run(&[&pictures.concat()], pictures.len());
                let sizes = program.output_sizes();
                let parts = |picture: usize| {
                    outputs.iter().zip(&sizes).flat_map(move |(all, &size)| &all[picture * size..(picture + 1) * size])
                };
                Ok((0..pictures.len()).map(|picture| parts(picture).copied().collect()).collect())
            }
            Runner::Stages { network, cut, input: [h, w, c], device } => {
                let x = TensorData::new(pictures.concat(), [pictures.len(), *h, *w, *c]);
                let x = Tensor::<4>::from_data(x, device);
                let rows = network.forward(x.into(), 0..*cut, Mode::Frozen).vector();
                let columns = rows.dims()[1];
                let rows = rows.into_data().try_to_vec::<f32>().map_err(|source| {
                    Error::Weights(Problem::new("the base gave no 32-bit features").found(format_args!("{source:?}")))
                })?;
                Ok(rows.chunks_exact(columns.max(1)).map(<[f32]>::to_vec).collect())
            }
            Runner::Onnx(model) => pictures.par_iter().map(|picture| model.row(picture)).collect(),
            Runner::OnnxClasses(model) => {
                let logits = |picture: &Vec<f32>| Ok(model.classify(picture)?.unwrap_or_default());
                pictures.par_iter().map(logits).collect()
            }
        }
    }
}
