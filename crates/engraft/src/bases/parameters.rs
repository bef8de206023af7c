//! Where a network's numbers come from: a file, or a seeded generator. One constructor serves both.
//!
//! A model asks for each parameter by its name in the checkpoint. What a file lacks, has in another shape or has
//! too much is collected over the whole network and said at once.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::fmt::{Display, Write as _};

use burn::module::{Module, ModuleVisitor, Param, ParamId, RunningState};
use burn::prelude::*;
use burn::tensor::{Device, TensorData};
use engraft_weights::{Precision, Tensor as Stored, Tensors, Weights};
use rand_distr::{Distribution, StandardNormal};
use sha2::{Digest, Sha256};

use crate::bases::role::Role;
use crate::bases::vision::dialect::{Dialect, Layout, Leaves, Names};
use crate::rng::rng;

/// How a parameter starts when there is no file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Init {
    /// Every element the same.
    Constant(f32),
    /// Normal with mean 0 and this standard deviation.
    Normal(f32),
}

/// One parameter's canonical name, and how to find it in the network.
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
    /// The network's tensors by their canonical names, in PyTorch's layout.
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

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A tensor that a file of an architecture in a dialect has.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// What the file calls it.
    pub name: String,
    /// Its shape in the file.
    pub shape: Vec<usize>,
    /// What it is to its layer.
    pub role: Role,
    /// Its canonical name.
    pub canonical: String,
}

/// How a file's tensors fit an architecture in a dialect.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Match {
    /// The dialect.
    pub dialect: &'static str,
    /// How many tensors were found.
    pub matched: usize,
    /// What the file lacks.
    pub(crate) missing: Vec<String>,
    /// What has another shape.
    pub(crate) shapes: Vec<String>,
    /// What holds NaN or infinite numbers.
    pub(crate) not_finite: Vec<String>,
    /// What cannot be read, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unread: Vec<String>,
    /// What the file has beyond.
    pub(crate) unexpected: Vec<String>,
    /// What the file has beyond, and may have: with the reason.
    pub ignored: Vec<String>,
    /// What the file lacks and may lack: filled with the neutral value.
    pub filled: Vec<String>,
}

impl Match {
    /// How many tensors speak against it.
    pub(crate) fn faults(&self) -> usize {
        self.missing.len() + self.shapes.len() + self.unexpected.len()
    }

    /// Whether what cannot be read is of a type without floating point numbers.
    pub(crate) fn is_quantised(&self, headers: &Weights) -> bool {
        let inside = |name: &String| name.split('`').nth(1).and_then(|name| headers.tensors.get(name));
        let is_other = |tensor: &Stored| matches!(tensor.precision, Precision::Integer | Precision::Unread);
        self.unread.iter().filter_map(inside).any(is_other)
    }

    /// What does not fit, in words; empty if all does.
    pub(crate) fn describe(&self) -> String {
        let mut found = String::new();
        for (label, names) in [
            ("missing", &self.missing),
            ("of another shape", &self.shapes),
            ("not finite", &self.not_finite),
            ("not readable", &self.unread),
            ("unexpected", &self.unexpected),
        ] {
            if !names.is_empty() {
                let more = if names.len() > 5 { format!(", and {} more", names.len() - 5) } else { String::new() };
                let separator = if found.is_empty() { "" } else { "; " };
                let shown = names[..names.len().min(5)].join(", ");
                let _ = write!(found, "{separator}{} {label}: {shown}{more}", names.len());
            }
        }
        found
    }
}

enum Source<'a> {
    Random {
        seed: u64,
    },
    File {
        headers: &'a BTreeMap<String, Stored>,
        names: Names,
        /// Where the numbers are, unless names and shapes are compared only.
        numbers: Option<&'a dyn Tensors>,
    },
}

#[derive(Default)]
struct Record {
    manifest: Manifest,
    fit: Match,
    /// Names of the file that were asked for.
    asked: HashSet<String>,
    /// Everything that was asked for, where that is all that is wanted.
    expected: Vec<Expected>,
}

impl Record {
    /// The numbers of a tensor that is there; what speaks against them is noted.
    fn numbers(&mut self, numbers: &dyn Tensors, name: &str) -> Option<Vec<f32>> {
        let values = match numbers.tensor(name) {
            Ok(stored) => stored?.into_owned().values,
            Err(reason) => {
                self.fit.unread.push(format!("`{name}` ({reason})"));
                return None;
            }
        };
        if !values.iter().all(|value| value.is_finite()) {
            self.fit.not_finite.push(format!("`{name}`"));
        }
        Some(values)
    }
}

/// The parameters of one network while it is built.
pub(crate) struct Parameters<'a> {
    source: Source<'a>,
    device: Device,
    record: RefCell<Record>,
    /// Whether the file's classifier is left out of account.
    headless: bool,
}

impl<'a> Parameters<'a> {
    /// Parameters drawn from `rng(seed, "init/NAME", 0)`: each its own stream, whatever the order of asking.
    pub fn random(seed: u64, device: &Device) -> Self {
        Self { source: Source::Random { seed }, device: device.clone(), record: RefCell::default(), headless: false }
    }

    /// Parameters read from a file's tensors, which speak this dialect.
    pub(crate) fn from_weights(weights: &'a dyn Tensors, dialect: &'static Dialect, device: &Device) -> Self {
        let headers = weights.headers();
        let names = Names::of(dialect, headers);
        let source = Source::File { headers: &headers.tensors, names, numbers: Some(weights) };
        Self { source, device: device.clone(), record: RefCell::default(), headless: false }
    }

    /// Compares a file's names and shapes with what is asked for; the tensors handed out are empty.
    pub(crate) fn compare(weights: &'a Weights, dialect: &'static Dialect) -> Self {
        let source = Source::File { headers: &weights.tensors, names: Names::of(dialect, weights), numbers: None };
        Self { source, device: Device::flex(), record: RefCell::default(), headless: false }
    }

    /// Leaves the file's classifier out of account.
    #[must_use]
    pub(crate) fn headless(self, headless: bool) -> Self {
        Self { headless, ..self }
    }

    /// The top of the names.
    pub(crate) fn root(&self) -> Scope<'_> {
        Scope { parameters: self, prefix: String::new() }
    }

    /// What a file in the dialect has, after everything was asked for.
    pub(crate) fn into_expected(self) -> Vec<Expected> {
        self.record.into_inner().expected
    }

    /// What was compared: all that is expected, the names of the file that were asked for, and how those fit.
    pub(crate) fn into_compared(self) -> (Vec<Expected>, HashSet<String>, Match) {
        let Record { mut fit, asked, expected, .. } = self.record.into_inner();
        if let Source::File { names, .. } = self.source {
            fit.dialect = names.dialect().name;
        }
        (expected, asked, fit)
    }

    /// Ends the building: the canonical names asked for, and how the file fits them.
    pub(crate) fn finish(self) -> (Manifest, Match) {
        let Record { manifest, mut fit, asked, .. } = self.record.into_inner();
        if let Source::File { headers, names, .. } = self.source {
            let dialect = names.dialect();
            fit.dialect = dialect.name;
            for name in headers.keys().filter(|name| !asked.contains(*name)) {
                match dialect.ignored.iter().find(|(prefix, _)| name.starts_with(prefix)) {
                    Some((_, reason)) => fit.ignored.push(format!("`{name}`: {reason}")),
                    // PyTorch's counters of batches decide nothing.
                    None if name.ends_with("num_batches_tracked") => {}
                    None => fit.unexpected.push(format!("`{name}`")),
                }
            }
        }
        (manifest, fit)
    }

    /// A parameter's values in memory layout.
    fn values(&self, layer: &str, role: Role, shape: &[usize], init: Init) -> Vec<f32> {
        let count = shape.iter().product();
        let canonical = format!("{layer}.{}", Leaves::Torch.name(role));
        let entry = Entry { id: identity(&canonical), name: canonical, layout: Leaves::Torch.layout(role) };
        let mut record = self.record.borrow_mut();
        let name = &entry.name.clone();
        record.manifest.0.push(entry);
        let (headers, names, numbers) = match &self.source {
            Source::File { headers, names, numbers } => (headers, names, *numbers),
            Source::Random { seed } => {
                return match init {
                    Init::Constant(value) => vec![value; count],
                    Init::Normal(deviation) => {
                        let mut stream = rng(*seed, &format!("init/{name}"), 0);
                        (0..count)
                            .map(|_| {
                                let draw: f32 = StandardNormal.sample(&mut stream);
                                draw * deviation
                            })
                            .collect()
                    }
                };
            }
        };
        let compare = numbers.is_none();
        let nothing = || if compare { Vec::new() } else { vec![0.0; count] };
        let file_name = names.file_name(layer, role);
        let leaves = names.dialect().leaves;
        let layout = leaves.layout(role);
        let expected = file_shape(layout, shape);
        if compare {
            let canonical = name.clone();
            record.expected.push(Expected { name: file_name.clone(), shape: expected.clone(), role, canonical });
        }
        let Some(stored) = headers.get(&file_name) else {
            // Keras leaves out a factor of ones (scale=False) and a summand of zeros (center=False).
            if leaves == Leaves::Keras && matches!(role, Role::Gamma | Role::Beta) {
                record.fit.filled.push(format!("`{file_name}`"));
                return if compare { Vec::new() } else { vec![if role == Role::Gamma { 1.0 } else { 0.0 }; count] };
            }
            record.fit.missing.push(format!("`{file_name}` {expected:?}"));
            return nothing();
        };
        record.asked.insert(file_name.clone());
        // A linear layer may be kept as a convolution of one pixel.
        let same = stored.shape == expected
            || (role == Role::Linear && without_ones(&stored.shape) == without_ones(&expected));
        if !same {
            record.fit.shapes.push(format!("`{file_name}` expected {expected:?}, found {:?}", stored.shape));
            return nothing();
        }
        record.fit.matched += 1;
        let Some(numbers) = numbers else { return Vec::new() };
        // What multiplies is a whole number only where a network was quantised, and means nothing without its scale.
        if stored.precision == Precision::Integer && matches!(role, Role::Convolution | Role::Depthwise | Role::Linear)
        {
            record.fit.unread.push(format!("`{file_name}` (integers of a quantised network, without their scale)"));
            return nothing();
        }
        match record.numbers(numbers, &file_name) {
            Some(values) => from_file(layout, &expected, values),
            None => nothing(),
        }
    }
}

fn without_ones(shape: &[usize]) -> Vec<usize> {
    shape.iter().copied().filter(|length| *length != 1).collect()
}

/// A place in the names of a checkpoint.
#[derive(Clone)]
pub(crate) struct Scope<'a> {
    parameters: &'a Parameters<'a>,
    prefix: String,
}

impl<'a> Scope<'a> {
    /// The place `name` below this one.
    pub fn at(&self, name: impl Display) -> Scope<'a> {
        Scope { parameters: self.parameters, prefix: self.name(name) }
    }

    /// The names to this place, with dots between.
    pub fn path(&self) -> &str {
        &self.prefix
    }

    fn name(&self, name: impl Display) -> String {
        if self.prefix.is_empty() { name.to_string() } else { format!("{}.{name}", self.prefix) }
    }

    /// A convolution's weight, `[rows, columns, C_in / groups, C_out]`; without a file He-normal by fan-out
    /// (He et al. 2015, equation 14).
    pub(crate) fn convolution(&self, shape: [usize; 4], depthwise: bool) -> Param<Tensor<4>> {
        let taps = shape[0] * shape[1];
        let fan_out = if shape[2] == 1 { taps } else { taps * shape[3] };
        let role = if depthwise { Role::Depthwise } else { Role::Convolution };
        self.parameter(role, shape, Init::Normal((2.0 / fan_out as f32).sqrt()))
    }

    /// A linear layer's weight, `[in, out]`.
    pub(crate) fn linear(&self, shape: [usize; 2], init: Init) -> Param<Tensor<2>> {
        self.parameter(Role::Linear, shape, init)
    }

    /// A vector that is trained.
    pub(crate) fn vector(&self, role: Role, length: usize, init: Init) -> Param<Tensor<1>> {
        self.parameter(role, [length], init)
    }

    /// A vector that is not a target of training, such as a running mean; less `minus`.
    pub(crate) fn buffer(
        &self,
        role: Role,
        length: usize,
        init: Init,
        minus: Option<&[f32]>,
    ) -> (ParamId, RunningState<Tensor<1>>) {
        let mut values = self.parameters.values(&self.prefix, role, &[length], init);
        for (value, less) in values.iter_mut().zip(minus.unwrap_or_default()) {
            *value -= less;
        }
        let length = values.len();
        let tensor = Tensor::from_data(TensorData::new(values, [length]), &self.parameters.device);
        let id = identity(&self.name(Leaves::Torch.name(role)));
        (id, RunningState::with_id(id, tensor))
    }

    /// A vector that the file may have and the network has no place for: `None` where the file has it not.
    pub(crate) fn optional(&self, role: Role, length: usize) -> Option<Vec<f32>> {
        let Source::File { headers, names, numbers } = &self.parameters.source else { return None };
        let name = names.file_name(&self.prefix, role);
        headers.get(&name).filter(|stored| stored.shape == [length])?;
        let mut record = self.parameters.record.borrow_mut();
        record.asked.insert(name.clone());
        record.fit.matched += 1;
        let Some(numbers) = numbers else { return Some(vec![0.0; length]) };
        Some(record.numbers(*numbers, &name).unwrap_or_else(|| vec![0.0; length]))
    }

    /// How many outputs the file's linear layer or convolution of this name has; `None` without it.
    pub(crate) fn outputs(&self) -> Option<usize> {
        let Source::File { headers, names, .. } = &self.parameters.source else { return None };
        if self.parameters.headless {
            return None;
        }
        let stored = headers.get(&names.file_name(&self.prefix, Role::Linear))?;
        match names.dialect().leaves {
            Leaves::Torch => stored.shape.first().copied(),
            Leaves::Keras => stored.shape.last().copied(),
        }
    }

    fn parameter<const D: usize>(&self, role: Role, shape: [usize; D], init: Init) -> Param<Tensor<D>> {
        let values = self.parameters.values(&self.prefix, role, &shape, init);
        let device = &self.parameters.device;
        let shape = if values.is_empty() { [0; D] } else { shape };
        let tensor = Tensor::from_data(TensorData::new(values, shape), device);
        // A parameter of a plain device cannot carry a gradient.
        let tensor = if device.is_autodiff() { tensor.require_grad() } else { tensor };
        Param::initialized(identity(&self.name(Leaves::Torch.name(role))), tensor)
    }
}

/// A parameter's identity follows from its name, so that it is the same in every process.
pub fn identity(name: &str) -> ParamId {
    let digest = Sha256::digest(name.as_bytes());
    ParamId::from(u64::from_le_bytes(*digest.first_chunk().expect("a digest has 32 bytes")))
}

fn file_shape(layout: Layout, shape: &[usize]) -> Vec<usize> {
    match layout {
        Layout::AsIs => shape.to_vec(),
        Layout::Convolution => vec![shape[3], shape[2], shape[0], shape[1]],
        Layout::Linear => vec![shape[1], shape[0]],
        Layout::Depthwise => vec![shape[0], shape[1], shape[3], shape[2]],
    }
}

fn from_file(layout: Layout, shape: &[usize], values: Vec<f32>) -> Vec<f32> {
    match layout {
        Layout::AsIs | Layout::Depthwise => values,
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
        Layout::Linear => transpose(&values, shape[0], shape[1]),
    }
}

fn to_file(layout: Layout, shape: &[usize], values: &[f32]) -> (Vec<usize>, Vec<f32>) {
    let values = match layout {
        Layout::AsIs | Layout::Depthwise => values.to_vec(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bases::style::PaddingDialect;
    use crate::bases::vision::dialect::{Input, Layers};

    #[test]
    fn layouts_go_there_and_back() {
        let values: Vec<f32> = (0..2 * 3 * 4 * 5).map(|i| i as f32).collect();
        let memory = from_file(Layout::Convolution, &[5, 4, 2, 3], values.clone());
        // Output 1, input 2, row 1, column 0 of the file.
        assert_eq!(memory[((3) * 4 + 2) * 5 + 1], values[((4 + 2) * 2 + 1) * 3]);
        assert_eq!(to_file(Layout::Convolution, &[2, 3, 4, 5], &memory), (vec![5, 4, 2, 3], values.clone()));
        let linear = from_file(Layout::Linear, &[6, 20], values.clone());
        assert_eq!(to_file(Layout::Linear, &[20, 6], &linear), (vec![6, 20], values));
    }

    const TEST: Dialect = Dialect {
        name: "test",
        layers: Layers::Canonical,
        leaves: Leaves::Torch,
        ignored: &[("extra", "of no use")],
        padding: PaddingDialect::Symmetric,
        epsilon: 1e-5,
        input: Input::imagenet(224, 256),
    };
    static TEST_DIALECT: Dialect = TEST;

    #[test]
    fn whole_numbers_as_weights_are_refused_and_as_counters_are_not() {
        let mut weights = Weights::default();
        for name in ["a.weight", "b.weight"] {
            let stored = Stored { shape: vec![1, 2], values: vec![1.0; 2], precision: Precision::Integer };
            weights.tensors.insert(name.into(), stored);
        }
        weights.tensors.insert("b.weight".into(), Stored { shape: vec![2], ..weights.tensors["b.weight"].clone() });
        let parameters = Parameters::from_weights(&weights, &TEST_DIALECT, &Device::flex());
        let root = parameters.root();
        root.at("a").linear([2, 1], Init::Constant(0.0));
        root.at("b").vector(Role::Gamma, 2, Init::Constant(0.0));
        let (_, fit) = parameters.finish();
        assert_eq!((fit.matched, fit.unread.len()), (2, 1));
        let told = fit.describe();
        assert!(told.contains("1 not readable: `a.weight` (integers of a quantised network"), "{told}");
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
        weights.tensors.insert("extra.x".into(), stored(vec![1], 1.0));
        let parameters = Parameters::from_weights(&weights, &TEST_DIALECT, &Device::flex());
        let root = parameters.root();
        for layer in ["a", "b", "c"] {
            root.at(layer).vector(Role::Gamma, 2, Init::Constant(0.0));
        }
        let (_, fit) = parameters.finish();
        assert_eq!((fit.matched, fit.ignored.len()), (1, 1));
        let text = fit.describe();
        for part in [
            "1 missing: `c.weight` [2]",
            "`a.weight` expected [2], found [3]",
            "1 not finite: `b.weight`",
            "1 unexpected: `blocks.0`",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
