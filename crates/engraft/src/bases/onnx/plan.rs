//! What tract is given, and how it is kept in check: a graph that we wrote ourselves, with our names, our shapes and
//! only attributes that we understand; on a thread of its own, within a time limit, its panics caught and silent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tract_onnx::Onnx;
use tract_onnx::pb;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::prelude::{Framework, InferenceModelExt, IntoRunnable, Tensor, TypedRunnableModel, tvec};

use super::fact::Fact;
use super::facts::Facts;
use super::graph::{Graph, Node, Origin, Value};
use super::kind::Kind;
use super::operations::attributes;
use crate::error::Problem;
use crate::guard::guarded;

/// Nodes that tract is given.
const NODES: usize = 6_000;
/// Numbers that are held at the same time while one image runs: half a gigabyte.
const HELD: u64 = 1 << 27;
/// MACs, and comparisons of poolings, for one image.
const WORK: u64 = 1 << 37;
/// Bytes of constants that are worked out from stored ones, beside four times those.
const DERIVED: u64 = 32 << 20;
/// MACs for constants.
const CONSTANT_WORK: u64 = 1 << 28;
/// How long tract may take to prepare a model, and how many bytes of its file earn it a second more. Generous, since a
/// machine may be busy: what a hostile file could ask for is bounded by its structure before.
const PATIENCE: Duration = Duration::from_secs(30);
const BYTES_A_SECOND: u64 = 8 << 20;
/// Room for tract's recursions.
const STACK: usize = 64 << 20;

/// A part of a model that is ready to run. Every run has its own state.
#[derive(Clone)]
pub(super) struct Plan(Arc<TypedRunnableModel>);

/// The part of a graph that leads from one value to another.
pub(super) struct Part {
    pub(crate) from: Value,
    pub(crate) to: Value,
    /// In order.
    pub(crate) nodes: Vec<usize>,
}

impl Part {
    /// Between two values; `None` if something else than `from` is needed.
    pub(crate) fn between(graph: &Graph, facts: &Facts, from: Value, to: Value) -> Option<Self> {
        let known = |value: Value| facts.get(value).is_some_and(|fact| fact.known.is_some());
        let nodes = graph.needed(to, |value| value == from || known(value));
        let inputs = nodes.iter().flat_map(|node| graph.nodes[*node].inputs.iter().flatten());
        let alone = inputs.clone().all(|value| *value == from || !matches!(graph.origins[*value], Origin::Input));
        (alone && (to == from || inputs.clone().any(|value| *value == from))).then_some(Self { from, to, nodes })
    }

    /// The stored tensors that it reads.
    pub(crate) fn stored(&self, graph: &Graph, facts: &Facts) -> BTreeSet<usize> {
        let inputs = self.nodes.iter().flat_map(|node| graph.nodes[*node].inputs.iter().flatten());
        let stored = inputs.filter_map(|value| match graph.origins[*value] {
            Origin::Stored(place) => Some((place, facts.get(*value)?)),
            _ => None,
        });
        stored.filter(|(_, fact)| fact.kind == Kind::F32).map(|(place, _)| place).collect()
    }

    /// Refuses what would take too much memory or time.
    pub(crate) fn check(&self, graph: &Graph, facts: &Facts, stored: u64) -> Result<(), Problem> {
        let refuse = |what: &str, expected: String, found: String| {
            Err(Problem::new(format_args!("the model is too large: {what}")).expected(expected).found(found))
        };
        if self.nodes.len() > NODES {
            return refuse("operations", format!("at most {NODES}"), self.nodes.len().to_string());
        }
        let (mut work, mut constant_work, mut derived) = (0u64, 0u64, 0u64);
        let mut last = BTreeMap::new();
        for (step, index) in self.nodes.iter().enumerate() {
            for input in graph.nodes[*index].inputs.iter().flatten() {
                last.insert(*input, step);
            }
        }
        let (mut held, mut most) = (0u64, 0u64);
        for (step, index) in self.nodes.iter().enumerate() {
            let node = &graph.nodes[*index];
            let outputs = || node.outputs.iter().flatten().filter_map(|value| Some((*value, facts.get(*value)?)));
            if outputs().all(|(_, fact)| fact.constant) {
                constant_work = constant_work.saturating_add(facts.work[*index]);
                derived += outputs().map(|(_, fact)| 8 * fact.len() as u64).sum::<u64>();
                continue;
            }
            work = work.saturating_add(facts.work[*index]);
            held += outputs().map(|(_, fact)| fact.len() as u64).sum::<u64>();
            most = most.max(held.saturating_add(patches(node, facts)));
            let gone = node.inputs.iter().flatten().collect::<BTreeSet<_>>();
            let gone = gone.into_iter().filter(|value| last[value] == step && **value != self.from);
            let gone = gone.filter_map(|value| facts.get(*value)).filter(|fact| !fact.constant);
            held = held.saturating_sub(gone.map(|fact| fact.len() as u64).sum());
        }
        if most > HELD {
            return refuse("numbers held at once for one image", format!("at most {HELD}"), most.to_string());
        }
        if work > WORK {
            return refuse("MACs for one image", format!("at most {WORK}"), work.to_string());
        }
        if derived > DERIVED + 8 * stored || constant_work > CONSTANT_WORK {
            let found = format!("{derived} bytes, {constant_work} MACs");
            return refuse("constants that are worked out from others", format!("at most {DERIVED} bytes"), found);
        }
        Ok(())
    }

    /// Writes the part anew for tract. Stored tensors that nobody else needs are moved, not copied.
    pub(crate) fn write(&self, graph: &mut Graph, facts: &Facts, keep: &BTreeSet<usize>) -> pb::ModelProto {
        let name = |value: Value| format!("v{value}");
        let mut out = pb::GraphProto { name: "part".into(), ..Default::default() };
        let mut given = BTreeSet::from([self.from]);
        for index in &self.nodes {
            let node = &graph.nodes[*index];
            for value in node.inputs.iter().flatten() {
                let Some(fact) = facts.get(*value).filter(|_| given.insert(*value)) else { continue };
                let tensor = match (graph.origins[*value].place(), &fact.known) {
                    (Some(place), _) if keep.contains(&place) => graph.stored[place].clone(),
                    (Some(place), _) => std::mem::take(&mut graph.stored[place]),
                    (None, Some(known)) => tensor(fact, known),
                    (None, None) => continue,
                };
                out.initializer.push(pb::TensorProto { name: name(*value), doc_string: String::new(), ..tensor });
            }
            let mut inputs: Vec<String> = node.inputs.iter().map(|value| value.map(name).unwrap_or_default()).collect();
            let mut op = node.proto.op_type.as_str();
            let first = node.outputs.iter().flatten().next().and_then(|value| facts.get(*value));
            match (op, first) {
                ("Dropout", _) => {
                    op = "Identity";
                    inputs.truncate(1);
                }
                // The very shape, in place of -1 and 0.
                ("Reshape" | "Expand", Some(fact)) => {
                    let shape = Fact { kind: Kind::I64, shape: vec![fact.shape.len()], ..fact.clone() };
                    let sides: Vec<f64> = fact.shape.iter().map(|side| *side as f64).collect();
                    inputs[1] = format!("s{index}");
                    out.initializer.push(pb::TensorProto { name: inputs[1].clone(), ..tensor(&shape, &sides) });
                }
                _ => {}
            }
            while inputs.last().is_some_and(String::is_empty) {
                inputs.pop();
            }
            let ports = if op == "Split" { node.outputs.len() } else { 1 };
            let outputs = (0..ports).map(|port| match node.outputs[port] {
                Some(value) => name(value),
                None => format!("n{index}.{port}"),
            });
            let understood = attributes(op).unwrap_or_default();
            // tract would believe the pads (all 0, as we know) rather than the word.
            let pads = op == "Pad" || node.text("auto_pad").ok().flatten().is_none_or(|mode| mode == "NOTSET");
            let kept = node.proto.attribute.iter().filter(|attribute| {
                understood.contains(&attribute.name.as_str()) && (pads || attribute.name != "pads")
            });
            out.node.push(pb::NodeProto {
                name: format!("n{index}"),
                op_type: op.to_owned(),
                input: inputs,
                output: outputs.collect(),
                attribute: kept.map(|a| pb::AttributeProto { doc_string: String::new(), ..a.clone() }).collect(),
                ..Default::default()
            });
            // What we worked out; tract refuses a graph where it finds anything else.
            for value in node.outputs.iter().take(ports).flatten().filter(|value| **value != self.to) {
                out.value_info.extend(facts.get(*value).map(|fact| info(name(*value), fact)));
            }
        }
        out.input.extend(facts.get(self.from).map(|fact| info(name(self.from), fact)));
        out.output.extend(facts.get(self.to).map(|fact| info(name(self.to), fact)));
        let opset = pb::OperatorSetIdProto { version: graph.opset, ..Default::default() };
        pb::ModelProto { ir_version: 8, opset_import: vec![opset], graph: Some(out), ..Default::default() }
    }
}

/// Numbers that a convolution holds while it runs: its patches laid out as columns.
fn patches(node: &Node, facts: &Facts) -> u64 {
    let fact = |value: Option<&Option<Value>>| value.copied().flatten().and_then(|value| facts.get(value));
    let (Some(weights), Some(out)) = (fact(node.inputs.get(1)), fact(node.outputs.first())) else { return 0 };
    if node.proto.op_type != "Conv" {
        return 0;
    }
    let group = node.int_or("group", 1).unwrap_or(1).max(1) as u64;
    let patch = group.saturating_mul(weights.shape[1..].iter().product::<usize>() as u64);
    patch.saturating_mul(out.shape[2..].iter().product::<usize>() as u64)
}

impl Origin {
    fn place(&self) -> Option<usize> {
        match self {
            Origin::Stored(place) => Some(*place),
            _ => None,
        }
    }
}

fn info(name: String, fact: &Fact) -> pb::ValueInfoProto {
    let side = |side: &usize| Dimension { value: Some(dimension::Value::DimValue(*side as i64)), ..Default::default() };
    let shape = Some(pb::TensorShapeProto { dim: fact.shape.iter().map(side).collect() });
    let tensor = pb::type_proto::Tensor { elem_type: fact.kind.number(), shape };
    let kind = pb::TypeProto { value: Some(pb::type_proto::Value::TensorType(tensor)), ..Default::default() };
    pb::ValueInfoProto { name, r#type: Some(kind), ..Default::default() }
}

fn tensor(fact: &Fact, known: &[f64]) -> pb::TensorProto {
    let mut tensor = pb::TensorProto {
        dims: fact.shape.iter().map(|side| *side as i64).collect(),
        data_type: fact.kind.number(),
        ..Default::default()
    };
    match fact.kind {
        Kind::F32 => tensor.float_data = known.iter().map(|value| *value as f32).collect(),
        Kind::F64 => tensor.double_data = known.to_vec(),
        Kind::I64 => tensor.int64_data = known.iter().map(|value| *value as i64).collect(),
        _ => tensor.int32_data = known.iter().map(|value| *value as i32).collect(),
    }
    tensor
}

impl Plan {
    /// Gives a model to tract, on a thread of its own.
    ///
    /// A thread cannot be stopped from outside: one that exceeds the time limit is left to itself. That is safe: it
    /// owns all that it touches, holds no lock of ours and opens no file, its panics are caught, and what it makes is
    /// dropped with the channel. It may go on computing until it ends or the process does; [`Part::check`] has bounded
    /// its memory.
    pub(crate) fn compile(model: pb::ModelProto, stored: u64) -> Result<Self, String> {
        let patience = PATIENCE + Duration::from_secs(stored / BYTES_A_SECOND);
        let (sender, receiver) = mpsc::channel();
        let work = move || {
            let plan = quietly(|| {
                let framework: Onnx = tract_onnx::onnx().with_ignore_output_shapes(false);
                let parsed = framework.model_for_proto_model(&model)?;
                drop(model);
                parsed.into_optimized()?.into_runnable()
            });
            let plan = plan.and_then(|plan| plan.map_err(|reason| format!("{reason:#}")));
            // Nobody listens any more if it took too long.
            drop(sender.send(plan));
        };
        let thread = std::thread::Builder::new().name("onnx".into()).stack_size(STACK).spawn(work);
        thread.map_err(|reason| reason.to_string())?;
        match receiver.recv_timeout(patience) {
            Ok(plan) => plan.map(Plan),
            Err(_) => Err(format!("nothing after {} seconds", patience.as_secs())),
        }
    }

    /// Runs on one input; all numbers of the output.
    pub fn run(&self, shape: &[usize], values: &[f32]) -> Result<Vec<f32>, String> {
        let outputs = quietly(|| -> Result<Vec<f32>, String> {
            let input = Tensor::from_shape(shape, values).map_err(|reason| format!("{reason:#}"))?;
            let outputs = self.0.run(tvec!(input.into())).map_err(|reason| format!("{reason:#}"))?;
            let output = outputs.first().ok_or("no output")?;
            let view = output.view();
            view.as_slice::<f32>().map(<[f32]>::to_vec).map_err(|reason| format!("{reason:#}"))
        });
        outputs.and_then(|outputs| outputs)
    }
}

/// Runs what belongs to `tract`, and turns a panic into an error.
pub(super) fn quietly<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    guarded("tract", work).map_err(|panic| panic.text)
}
