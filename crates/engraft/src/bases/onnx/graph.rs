//! The graph of an ONNX model with values by number: checked, in an order in which every node comes after what it
//! reads, names kept aside.

use std::collections::{BTreeSet, HashMap};

use tract_onnx::pb;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Side;
use tract_onnx::pb::type_proto::Value as TypeValue;

use super::kind::Kind;
use super::{ELEMENTS, shown};
use crate::error::Problem;

/// Operator sets that are understood: 7 brought today's broadcasting.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=26;
/// Axes of a tensor.
const RANK: usize = 8;

/// Bytes in the name of a value.
const NAME: usize = 4096;

/// A value of the graph, by number.
pub(super) type Value = usize;

/// Where a value comes from.
pub(super) enum Origin {
    /// An input of the model.
    Input,
    /// A stored tensor, by its place in [`Graph::stored`].
    Stored(usize),
    /// A node.
    Node(usize),
}

pub(super) struct Node {
    /// The node as it stands in the file, without its inputs and outputs.
    pub(crate) proto: pb::NodeProto,
    pub(crate) inputs: Vec<Option<Value>>,
    pub(crate) outputs: Vec<Option<Value>>,
}

/// What the model says about one of its inputs.
pub(super) struct Declared {
    pub(crate) value: Value,
    pub(crate) kind: Kind,
    /// `None` where any size is allowed.
    pub(crate) shape: Vec<Option<usize>>,
}

pub(super) struct Graph {
    pub(crate) opset: i64,
    pub(crate) names: Vec<String>,
    pub(crate) origins: Vec<Origin>,
    /// Each comes after the nodes that it reads.
    pub(crate) nodes: Vec<Node>,
    pub(crate) stored: Vec<pb::TensorProto>,
    pub(crate) inputs: Vec<Declared>,
    pub(crate) outputs: Vec<Value>,
}

impl Graph {
    /// Checks the graph of a decoded model. Takes the tensors out of it.
    pub(crate) fn read(model: pb::ModelProto) -> Result<Self, Problem> {
        let opset = opset(&model)?;
        let graph = model.graph.ok_or_else(|| Problem::new("the model has no graph"))?;
        if !graph.sparse_initializer.is_empty() {
            return Err(Problem::new("sparse tensors are not supported").expected("dense weights"));
        }
        let mut values = Values::default();
        let mut stored = Vec::new();
        for mut tensor in graph.initializer {
            check_tensor(&tensor)?;
            let name = std::mem::take(&mut tensor.name);
            values.add(name, Origin::Stored(stored.len()))?;
            stored.push(tensor);
        }
        let mut inputs = Vec::new();
        for info in &graph.input {
            // Before version 4 of the format every stored tensor was an input too.
            match values.by_name.get(&info.name).map(|value| &values.origins[*value]) {
                Some(Origin::Input) => return Err(twice(&info.name)),
                Some(_) => continue,
                None => {}
            }
            let value = values.add(info.name.clone(), Origin::Input)?;
            inputs.push(declared(info, value)?);
        }
        let mut protos = Vec::new();
        for mut node in graph.node {
            if let Some(mut tensor) = constant(&mut node)? {
                check_tensor(&tensor)?;
                tensor.name.clear();
                values.add(std::mem::take(&mut node.output[0]), Origin::Stored(stored.len()))?;
                stored.push(tensor);
            } else {
                for output in node.output.iter().filter(|output| !output.is_empty()) {
                    values.add(output.clone(), Origin::Node(protos.len()))?;
                }
                protos.push(node);
            }
        }
        let mut nodes = Vec::with_capacity(protos.len());
        for mut proto in protos {
            let inputs = values.found(std::mem::take(&mut proto.input), &proto)?;
            let outputs = values.found(std::mem::take(&mut proto.output), &proto)?;
            nodes.push(Node { proto, inputs, outputs });
        }
        let outputs = graph
            .output
            .iter()
            .map(|info| {
                values.by_name.get(&info.name).copied().ok_or_else(|| missing(&info.name, "the model's output"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        if outputs.is_empty() {
            return Err(Problem::new("the model has no output"));
        }
        let Values { names, origins, .. } = values;
        let mut read = Self { opset, names, origins, nodes, stored, inputs, outputs };
        read.sort()?;
        Ok(read)
    }

    /// The value of a name, or of a node's first output.
    pub(crate) fn value(&self, name: &str) -> Option<Value> {
        let value = self.names.iter().position(|other| other == name);
        value.or_else(|| {
            self.nodes.iter().find(|node| node.proto.name == name)?.outputs.iter().flatten().next().copied()
        })
    }

    /// The node that gives a value.
    pub(crate) fn giver(&self, value: Value) -> Option<(usize, &Node)> {
        match self.origins[value] {
            Origin::Node(node) => Some((node, &self.nodes[node])),
            _ => None,
        }
    }

    /// The nodes needed for `wanted`, in order, where the values for which `stop` holds are given.
    pub(crate) fn needed(&self, wanted: Value, stop: impl Fn(Value) -> bool) -> Vec<usize> {
        let mut needed = BTreeSet::new();
        let mut open = vec![wanted];
        while let Some(value) = open.pop() {
            if !stop(value)
                && let Some((index, node)) = self.giver(value)
                && needed.insert(index)
            {
                open.extend(node.inputs.iter().flatten());
            }
        }
        needed.into_iter().collect()
    }

    /// Puts every node after those it reads; among those that are ready, the order of the file.
    fn sort(&mut self) -> Result<(), Problem> {
        let mut waiting = vec![0usize; self.nodes.len()];
        let mut readers = vec![Vec::new(); self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            for value in node.inputs.iter().flatten() {
                if let Origin::Node(giver) = self.origins[*value] {
                    waiting[index] += 1;
                    readers[giver].push(index);
                }
            }
        }
        let mut ready: BTreeSet<usize> = (0..self.nodes.len()).filter(|index| waiting[*index] == 0).collect();
        let mut order = Vec::with_capacity(self.nodes.len());
        while let Some(index) = ready.pop_first() {
            order.push(index);
            for reader in &readers[index] {
                waiting[*reader] -= 1;
                if waiting[*reader] == 0 {
                    ready.insert(*reader);
                }
            }
        }
        if order.len() < self.nodes.len() {
            let stuck = waiting.iter().position(|count| *count > 0).unwrap_or_default();
            return Err(Problem::new("the model's graph runs in a circle")
                .expected("nodes that read only what comes before them")
                .found(self.nodes[stuck].title()));
        }
        let mut places = vec![0; order.len()];
        for (place, index) in order.iter().enumerate() {
            places[*index] = place;
        }
        for origin in &mut self.origins {
            if let Origin::Node(index) = origin {
                *index = places[*index];
            }
        }
        let mut nodes: Vec<(usize, Node)> = places.into_iter().zip(self.nodes.drain(..)).collect();
        nodes.sort_by_key(|(place, _)| *place);
        self.nodes = nodes.into_iter().map(|(_, node)| node).collect();
        Ok(())
    }
}

#[derive(Default)]
struct Values {
    names: Vec<String>,
    origins: Vec<Origin>,
    by_name: HashMap<String, Value>,
}

impl Values {
    fn add(&mut self, name: String, origin: Origin) -> Result<Value, Problem> {
        if name.len() > NAME || name.chars().any(char::is_control) {
            let problem = Problem::new("a value of the model has an unusable name").found(shown(&name));
            return Err(problem.expected(format_args!("at most {NAME} bytes, all of them printable")));
        }
        let value = self.names.len();
        if self.by_name.insert(name.clone(), value).is_some() {
            return Err(twice(&name));
        }
        self.names.push(name);
        self.origins.push(origin);
        Ok(value)
    }

    fn found(&self, names: Vec<String>, node: &pb::NodeProto) -> Result<Vec<Option<Value>>, Problem> {
        names
            .into_iter()
            .map(|name| match self.by_name.get(&name) {
                _ if name.is_empty() => Ok(None),
                Some(value) => Ok(Some(*value)),
                None => Err(missing(&name, &title(node))),
            })
            .collect()
    }
}

fn twice(name: &str) -> Problem {
    Problem::new("two things in the model have one name").expected("each value given once").found(shown(name))
}

fn missing(name: &str, reader: &str) -> Problem {
    Problem::new("the model reads a value that nothing gives").found(format_args!("{} in {reader}", shown(name)))
}

/// How a node is called in a message: operation and name.
fn title(node: &pb::NodeProto) -> String {
    let name = if node.name.is_empty() { node.output.first().map_or("", String::as_str) } else { &node.name };
    let domain =
        if matches!(node.domain.as_str(), "" | "ai.onnx") { String::new() } else { format!("{}::", node.domain) };
    shown(&format!("{domain}{} `{name}`", node.op_type))
}

impl Node {
    pub(crate) fn title(&self) -> String {
        title(&self.proto)
    }

    /// The attribute of this name, if it has this type.
    fn attribute(&self, name: &str, kind: AttributeType) -> Result<Option<&pb::AttributeProto>, String> {
        attribute(&self.proto, name, kind)
    }

    pub(crate) fn int(&self, name: &str) -> Result<Option<i64>, String> {
        Ok(self.attribute(name, AttributeType::Int)?.map(|attribute| attribute.i))
    }

    pub(crate) fn int_or(&self, name: &str, usual: i64) -> Result<i64, String> {
        Ok(self.int(name)?.unwrap_or(usual))
    }

    pub(crate) fn ints(&self, name: &str) -> Result<Option<&[i64]>, String> {
        Ok(self.attribute(name, AttributeType::Ints)?.map(|attribute| attribute.ints.as_slice()))
    }

    /// A number, which must be finite.
    pub(crate) fn float(&self, name: &str) -> Result<Option<f32>, String> {
        match self.attribute(name, AttributeType::Float)? {
            Some(attribute) if !attribute.f.is_finite() => Err(format!("{name} is {}", attribute.f)),
            attribute => Ok(attribute.map(|attribute| attribute.f)),
        }
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, String> {
        let Some(attribute) = self.attribute(name, AttributeType::String)? else { return Ok(None) };
        std::str::from_utf8(&attribute.s).map(Some).map_err(|_| format!("{name} is not text"))
    }

    pub(crate) fn tensor(&self, name: &str) -> Result<Option<&pb::TensorProto>, String> {
        Ok(self.attribute(name, AttributeType::Tensor)?.and_then(|attribute| attribute.t.as_ref()))
    }
}

fn attribute<'a>(
    node: &'a pb::NodeProto,
    name: &str,
    kind: AttributeType,
) -> Result<Option<&'a pb::AttributeProto>, String> {
    let mut named = node.attribute.iter().filter(|attribute| attribute.name == name);
    let Some(first) = named.next() else { return Ok(None) };
    if named.next().is_some() {
        return Err(format!("{name} is given twice"));
    }
    if !first.ref_attr_name.is_empty() || first.r#type != kind as i32 {
        return Err(format!("{name} is not of the type {kind:?}"));
    }
    Ok(Some(first))
}

/// The tensor of a `Constant`; `None` for every other node.
fn constant(node: &mut pb::NodeProto) -> Result<Option<pb::TensorProto>, Problem> {
    let ours = matches!(node.domain.as_str(), "" | "ai.onnx") && node.op_type == "Constant";
    if !ours || node.output.len() != 1 || node.output[0].is_empty() {
        return Ok(None);
    }
    let refuse = |node: &pb::NodeProto, reason: &str| {
        Problem::new("a constant of the model cannot be read").found(format_args!("{}: {reason}", title(node)))
    };
    if node.attribute.len() != 1 {
        return Err(refuse(node, "it has not one value"));
    }
    let value = &mut node.attribute[0];
    let count = |length: usize| vec![length as i64];
    let (float, int) = (DataType::Float as i32, DataType::Int64 as i32);
    let tensor = match (value.name.as_str(), AttributeType::try_from(value.r#type)) {
        ("value", Ok(AttributeType::Tensor)) => value.t.take(),
        ("value_float", Ok(AttributeType::Float)) => {
            Some(pb::TensorProto { data_type: float, float_data: vec![value.f], ..Default::default() })
        }
        ("value_floats", Ok(AttributeType::Floats)) => {
            let float_data = std::mem::take(&mut value.floats);
            Some(pb::TensorProto { data_type: float, dims: count(float_data.len()), float_data, ..Default::default() })
        }
        ("value_int", Ok(AttributeType::Int)) => {
            Some(pb::TensorProto { data_type: int, int64_data: vec![value.i], ..Default::default() })
        }
        ("value_ints", Ok(AttributeType::Ints)) => {
            let int64_data = std::mem::take(&mut value.ints);
            Some(pb::TensorProto { data_type: int, dims: count(int64_data.len()), int64_data, ..Default::default() })
        }
        _ => None,
    };
    match tensor {
        Some(tensor) => Ok(Some(tensor)),
        None => Err(refuse(node, "its value is neither a tensor nor numbers")),
    }
}

/// The operator set; other domains are refused where a node uses them.
fn opset(model: &pb::ModelProto) -> Result<i64, Problem> {
    let standard = model.opset_import.iter().filter(|opset| matches!(opset.domain.as_str(), "" | "ai.onnx"));
    let versions: Vec<i64> = standard.map(|opset| opset.version).collect();
    match versions.as_slice() {
        [version] if OPSETS.contains(version) => Ok(*version),
        versions => Err(Problem::new("the model's operator set is not supported")
            .expected(format_args!("one version, {} to {}", OPSETS.start(), OPSETS.end()))
            .found(format_args!("{versions:?}"))
            .hint("export it again with opset_version=17")),
    }
}

fn declared(info: &pb::ValueInfoProto, value: Value) -> Result<Declared, Problem> {
    let refuse = |found: &str| {
        Problem::new("an input of the model cannot be understood")
            .found(format_args!("{found} in `{}`", shown(&info.name)))
    };
    let Some(TypeValue::TensorType(tensor)) = info.r#type.as_ref().and_then(|kind| kind.value.as_ref()) else {
        return Err(refuse("it is not a tensor"));
    };
    let shape = tensor.shape.as_ref().ok_or_else(|| refuse("it has no shape"))?;
    let sides = shape.dim.iter().map(|side| match &side.value {
        Some(Side::DimValue(size)) => match usize::try_from(*size) {
            Ok(size) if (1..=ELEMENTS).contains(&size) => Ok(Some(size)),
            _ => Err(refuse(&format!("a side of {size}"))),
        },
        Some(Side::DimParam(_)) | None => Ok(None),
    });
    Ok(Declared { value, kind: Kind::of(tensor.elem_type), shape: sides.collect::<Result<_, _>>()? })
}

/// A stored tensor's shape, if it is one that can be.
pub(super) fn shape(tensor: &pb::TensorProto) -> Result<Vec<usize>, String> {
    if tensor.dims.len() > RANK {
        return Err(format!("{} axes, where at most {RANK} are supported", tensor.dims.len()));
    }
    let shape: Option<Vec<usize>> = tensor.dims.iter().map(|side| usize::try_from(*side).ok()).collect();
    match shape {
        Some(shape) if elements(&shape).is_some() => Ok(shape),
        _ => Err(format!("the shape {:?}", tensor.dims)),
    }
}

/// How many elements, unless there are too many to hold.
pub(super) fn elements(shape: &[usize]) -> Option<usize> {
    // A side of 0 does not excuse another one that is too large.
    let product = shape.iter().try_fold(1usize, |product, side| product.checked_mul((*side).max(1)));
    product.filter(|product| *product <= ELEMENTS).map(|product| if shape.contains(&0) { 0 } else { product })
}

/// Whether a tensor has the bytes that its shape asks for.
fn check_tensor(tensor: &pb::TensorProto) -> Result<(), Problem> {
    let refuse = |found: String| {
        Problem::new("a stored tensor of the model is broken")
            .expected("as many numbers as its shape says")
            .found(format_args!("{found} in `{}`", shown(&tensor.name)))
    };
    let count = elements(&shape(tensor).map_err(&refuse)?).unwrap_or_default();
    if tensor.data_location.unwrap_or_default() != 0 || !tensor.external_data.is_empty() || tensor.segment.is_some() {
        return Err(refuse("numbers that lie elsewhere".into()));
    }
    let lists = [
        tensor.float_data.len(),
        tensor.int32_data.len(),
        tensor.int64_data.len(),
        tensor.double_data.len(),
        tensor.uint64_data.len(),
        tensor.string_data.len(),
    ];
    if !tensor.raw_data.is_empty() {
        let size = Kind::of(tensor.data_type).bytes();
        if lists.iter().any(|length| *length > 0) {
            return Err(refuse("numbers in two places".into()));
        }
        if size.is_some_and(|size| size * count != tensor.raw_data.len()) {
            return Err(refuse(format!("{} bytes for the shape {:?}", tensor.raw_data.len(), tensor.dims)));
        }
        return Ok(());
    }
    let expected = match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float) => 0,
        Ok(DataType::Int64) => 2,
        Ok(DataType::Double) => 3,
        Ok(DataType::Uint64 | DataType::Uint32) => 4,
        Ok(DataType::String) => 5,
        _ => 1,
    };
    for (index, length) in lists.into_iter().enumerate() {
        let want = if index == expected { count } else { 0 };
        if length != want && !matches!(Kind::of(tensor.data_type), Kind::Other(_)) {
            return Err(refuse(format!("{length} numbers for the shape {:?}", tensor.dims)));
        }
    }
    Ok(())
}
