//! Where a network's numbers come from: a file, or a seeded generator. One constructor serves both.
//!
//! A model asks for each parameter by its name in the checkpoint. What a file lacks, has in another shape or has
//! too much is collected over the whole network and said at once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use burn::module::{Module, ModuleVisitor, Param, ParamId, RunningState};
use burn::prelude::*;
use burn::tensor::{Device, TensorData};
use engraft_weights::{Precision, Tensor as Stored, Weights};
use rand_distr::{Distribution, StandardNormal};
use sha2::{Digest, Sha256};

use crate::error::{Error, Problem, Result};
use crate::rng::rng;

/// How a parameter starts when there is no file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// Every element the same.
    Constant(f32),
    /// Normal with mean 0 and this standard deviation.
    Normal(f32),
}

/// How a parameter lies in the file, against how it lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// The same.
    AsIs,
    /// File `[C_out, C_in, rows, columns]`, memory `[rows, columns, C_in, C_out]`.
    Convolution,
    /// File `[out, in]`, memory `[in, out]`.
    Linear,
}

/// One parameter's name in the file, and how to find it in the network.
#[derive(Debug, Clone)]
struct Entry {
    name: String,
    id: ParamId,
    layout: Layout,
}

/// The names of a network's parameters and buffers, for writing them out again.
#[derive(Debug, Clone, Default)]
pub struct Manifest(Vec<Entry>);

impl Manifest {
    /// The network's tensors by the names and in the layout of the file they are read from.
    pub fn export<M: Module>(&self, module: &M, precision: Precision) -> BTreeMap<String, Stored> {
        struct Collect(BTreeMap<u64, (Vec<usize>, Vec<f32>)>);
        impl ModuleVisitor for Collect {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let tensor = param.val();
                let values = tensor.to_data().try_to_vec::<f32>().expect("parameters are f32");
                self.0.insert(param.id.val(), (tensor.dims().to_vec(), values));
            }
        }
        let mut collect = Collect(BTreeMap::new());
        module.visit(&mut collect);
        self.0
            .iter()
            .filter_map(|entry| {
                let (shape, values) = collect.0.get(&entry.id.val())?;
                let (shape, values) = to_file(entry.layout, shape, values);
                Some((entry.name.clone(), Stored { shape, values, precision }))
            })
            .collect()
    }

    /// Adds the parameters of another part of the same model.
    pub fn extend(&mut self, other: Manifest) {
        self.0.extend(other.0);
    }

    /// Whether a parameter of this name is one of the model's.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|entry| entry.name == name)
    }
}

enum Source<'a> {
    Random { seed: u64 },
    File(&'a BTreeMap<String, Stored>),
}

#[derive(Default)]
struct Record {
    manifest: Manifest,
    missing: Vec<String>,
    shapes: Vec<String>,
    not_finite: Vec<String>,
}

/// The parameters of one network while it is built.
pub struct Parameters<'a> {
    source: Source<'a>,
    device: Device,
    record: RefCell<Record>,
}

impl<'a> Parameters<'a> {
    /// Parameters drawn from `rng(seed, "init/NAME", 0)`: each its own stream, whatever the order of asking.
    pub fn random(seed: u64, device: &Device) -> Self {
        Self { source: Source::Random { seed }, device: device.clone(), record: RefCell::default() }
    }

    /// Parameters read from a file's tensors.
    pub fn from_weights(weights: &'a Weights, device: &Device) -> Self {
        Self { source: Source::File(&weights.tensors), device: device.clone(), record: RefCell::default() }
    }

    /// The top of the names.
    pub fn root(&self) -> Scope<'_> {
        Scope { parameters: self, prefix: String::new() }
    }

    /// Whether the file has this tensor. A random source has every tensor.
    pub fn has(&self, name: &str) -> bool {
        match self.source {
            Source::Random { .. } => true,
            Source::File(tensors) => tensors.contains_key(name),
        }
    }

    /// The length of an axis of a tensor of the file.
    pub fn axis(&self, name: &str, axis: usize) -> Option<usize> {
        match self.source {
            Source::Random { .. } => None,
            Source::File(tensors) => tensors.get(name)?.shape.get(axis).copied(),
        }
    }

    /// Ends the building: the names asked for, or everything that did not fit, at once.
    ///
    /// `allowed` are name prefixes that a file may have beyond what was asked for.
    pub fn finish(self, architecture: &str, allowed: &[&str]) -> Result<Manifest> {
        let record = self.record.into_inner();
        let Source::File(tensors) = self.source else { return Ok(record.manifest) };
        let unexpected: Vec<String> = tensors
            .keys()
            .filter(|name| !record.manifest.contains(name))
            .filter(|name| !name.ends_with("num_batches_tracked"))
            .filter(|name| !allowed.iter().any(|prefix| name.starts_with(prefix)))
            .cloned()
            .collect();
        let mut found = String::new();
        for (label, names) in [
            ("missing", &record.missing),
            ("of another shape", &record.shapes),
            ("not finite", &record.not_finite),
            ("unexpected", &unexpected),
        ] {
            if !names.is_empty() {
                let more = if names.len() > 5 { format!(", and {} more", names.len() - 5) } else { String::new() };
                let separator = if found.is_empty() { "" } else { "; " };
                let shown = names[..names.len().min(5)].join(", ");
                let _ = write!(found, "{separator}{} {label}: {shown}{more}", names.len());
            }
        }
        if found.is_empty() {
            return Ok(record.manifest);
        }
        let mut problem = Problem::new(format_args!("the weights do not fit the architecture {architecture}"))
            .expected(format_args!("{} tensors by torchvision's names", record.manifest.0.len()))
            .found(found);
        if let Some(hint) = dialect_hint(tensors) {
            problem = problem.hint(hint);
        } else if !record.not_finite.is_empty() {
            problem = problem.hint("the file holds NaN or infinite numbers: fetch it again, or use another base");
        }
        Err(Error::Weights(problem))
    }

    /// A parameter's values in memory layout.
    fn values(&self, name: &str, shape: &[usize], layout: Layout, init: Init) -> Vec<f32> {
        let count = shape.iter().product();
        let mut record = self.record.borrow_mut();
        record.manifest.0.push(Entry { name: name.to_owned(), id: identity(name), layout });
        match self.source {
            Source::Random { seed } => match init {
                Init::Constant(value) => vec![value; count],
                Init::Normal(deviation) => {
                    let mut stream = rng(seed, &format!("init/{name}"), 0);
                    (0..count)
                        .map(|_| {
                            let draw: f32 = StandardNormal.sample(&mut stream);
                            draw * deviation
                        })
                        .collect()
                }
            },
            Source::File(tensors) => {
                let expected = file_shape(layout, shape);
                let Some(stored) = tensors.get(name) else {
                    record.missing.push(format!("`{name}` {expected:?}"));
                    return vec![0.0; count];
                };
                if stored.shape != expected {
                    record.shapes.push(format!("`{name}` expected {expected:?}, found {:?}", stored.shape));
                    return vec![0.0; count];
                }
                if !stored.values.iter().all(|value| value.is_finite()) {
                    record.not_finite.push(format!("`{name}`"));
                }
                from_file(layout, &stored.shape, &stored.values)
            }
        }
    }
}

/// A place in the names of a checkpoint.
#[derive(Clone)]
pub struct Scope<'a> {
    parameters: &'a Parameters<'a>,
    prefix: String,
}

impl<'a> Scope<'a> {
    /// The place `name` below this one.
    pub fn at(&self, name: impl Display) -> Scope<'a> {
        Scope { parameters: self.parameters, prefix: self.name(name) }
    }

    fn name(&self, name: impl Display) -> String {
        if self.prefix.is_empty() { name.to_string() } else { format!("{}.{name}", self.prefix) }
    }

    /// A convolution's weight, `[rows, columns, C_in, C_out]`; without a file He-normal by fan-out
    /// (He et al. 2015, equation 14).
    pub fn convolution(&self, name: &str, shape: [usize; 4]) -> Param<Tensor<4>> {
        let fan_out = shape[0] * shape[1] * shape[3];
        let groups_aware = if shape[2] == 1 { shape[0] * shape[1] } else { fan_out };
        self.parameter(name, shape, Layout::Convolution, Init::Normal((2.0 / groups_aware as f32).sqrt()))
    }

    /// A linear layer's weight, `[in, out]`.
    pub fn linear(&self, name: &str, shape: [usize; 2], init: Init) -> Param<Tensor<2>> {
        self.parameter(name, shape, Layout::Linear, init)
    }

    /// A vector that is trained.
    pub fn vector(&self, name: &str, length: usize, init: Init) -> Param<Tensor<1>> {
        self.parameter(name, [length], Layout::AsIs, init)
    }

    /// A vector that is no target of training, such as a running mean.
    pub fn buffer(&self, name: &str, length: usize, init: Init) -> (ParamId, RunningState<Tensor<1>>) {
        let name = self.name(name);
        let values = self.parameters.values(&name, &[length], Layout::AsIs, init);
        let tensor = Tensor::from_data(TensorData::new(values, [length]), &self.parameters.device);
        (identity(&name), RunningState::with_id(identity(&name), tensor))
    }

    fn parameter<const D: usize>(&self, name: &str, shape: [usize; D], layout: Layout, init: Init) -> Param<Tensor<D>> {
        let name = self.name(name);
        let values = self.parameters.values(&name, &shape, layout, init);
        let device = &self.parameters.device;
        let tensor = Tensor::from_data(TensorData::new(values, shape), device);
        // A parameter of a plain device cannot carry a gradient.
        let tensor = if device.is_autodiff() { tensor.require_grad() } else { tensor };
        Param::initialized(identity(&name), tensor)
    }
}

/// A parameter's identity follows from its name, so that it is the same in every process.
fn identity(name: &str) -> ParamId {
    let digest = Sha256::digest(name.as_bytes());
    ParamId::from(u64::from_le_bytes(*digest.first_chunk().expect("a digest has 32 bytes")))
}

fn file_shape(layout: Layout, shape: &[usize]) -> Vec<usize> {
    match layout {
        Layout::AsIs => shape.to_vec(),
        Layout::Convolution => vec![shape[3], shape[2], shape[0], shape[1]],
        Layout::Linear => vec![shape[1], shape[0]],
    }
}

fn from_file(layout: Layout, shape: &[usize], values: &[f32]) -> Vec<f32> {
    match layout {
        Layout::AsIs => values.to_vec(),
        // [O, I x taps] transposed twice over: taps and I change places inside the rows.
        Layout::Convolution => {
            let (out, inner, taps) = (shape[0], shape[1], shape[2] * shape[3]);
            let mut result = Vec::with_capacity(values.len());
            for tap in 0..taps {
                for i in 0..inner {
                    result.extend((0..out).map(|o| values[(o * inner + i) * taps + tap]));
                }
            }
            result
        }
        Layout::Linear => transpose(values, shape[0], shape[1]),
    }
}

fn to_file(layout: Layout, shape: &[usize], values: &[f32]) -> (Vec<usize>, Vec<f32>) {
    let values = match layout {
        Layout::AsIs => values.to_vec(),
        Layout::Convolution => {
            let (taps, inner, out) = (shape[0] * shape[1], shape[2], shape[3]);
            let mut result = Vec::with_capacity(values.len());
            for o in 0..out {
                for i in 0..inner {
                    result.extend((0..taps).map(|tap| values[(tap * inner + i) * out + o]));
                }
            }
            result
        }
        Layout::Linear => transpose(values, shape[0], shape[1]),
    };
    (file_shape(layout, shape), values)
}

fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|c| (0..rows).map(move |r| values[r * columns + c])).collect()
}

/// Names by which other makers' checkpoints are known.
fn dialect_hint(tensors: &BTreeMap<String, Stored>) -> Option<String> {
    let sign = |name: &str| -> Option<&'static str> {
        let has = |part: &str| name.contains(part);
        if name.starts_with("module.") {
            Some("PyTorch's DataParallel (strip the prefix `module.`)")
        } else if name.starts_with("conv_stem.") || has(".conv_dw.") || name.starts_with("blocks.") {
            Some("timm")
        } else if has("kernel:0") || has("/kernel") || has("depthwise_kernel") {
            Some("Keras")
        } else if has("convolution.weight") || has("normalization.weight") {
            Some("Hugging Face transformers")
        } else {
            None
        }
    };
    tensors.keys().find_map(|name| sign(name).map(|dialect| (name, dialect))).map(|(name, dialect)| {
        format!(
            "these look like the names of {dialect} (found `{name}`), which another architecture or a converted file would fit"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_go_there_and_back() {
        let values: Vec<f32> = (0..2 * 3 * 4 * 5).map(|i| i as f32).collect();
        let memory = from_file(Layout::Convolution, &[5, 4, 2, 3], &values);
        // Output 1, input 2, row 1, column 0 of the file.
        assert_eq!(memory[((3) * 4 + 2) * 5 + 1], values[((4 + 2) * 2 + 1) * 3]);
        assert_eq!(to_file(Layout::Convolution, &[2, 3, 4, 5], &memory), (vec![5, 4, 2, 3], values.clone()));
        let linear = from_file(Layout::Linear, &[6, 20], &values);
        assert_eq!(to_file(Layout::Linear, &[20, 6], &linear), (vec![6, 20], values));
    }

    #[test]
    fn everything_that_does_not_fit_is_said_at_once() {
        let stored = |shape: Vec<usize>, value: f32| {
            let values = vec![value; shape.iter().product()];
            Stored { shape, values, precision: Precision::F32 }
        };
        let mut weights = Weights::default();
        weights.tensors.insert("a.weight".into(), stored(vec![3], 1.0));
        weights.tensors.insert("b.weight".into(), stored(vec![2], f32::NAN));
        weights.tensors.insert("blocks.0".into(), stored(vec![1], 1.0));
        let parameters = Parameters::from_weights(&weights, &Device::flex());
        let root = parameters.root();
        root.at("a").vector("weight", 2, Init::Constant(0.0));
        root.at("b").vector("weight", 2, Init::Constant(0.0));
        root.at("c").vector("weight", 2, Init::Constant(0.0));
        let text = parameters.finish("test", &[]).unwrap_err().to_string();
        for part in [
            "1 missing: `c.weight` [2]",
            "`a.weight` expected [2], found [3]",
            "1 not finite: `b.weight`",
            "1 unexpected: blocks.0",
            "names of timm",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
