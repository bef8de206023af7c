//! The weights of an encoder of texts that was exported to ONNX, by the names that PyTorch gave them.
//!
//! Nothing of the graph is run: the encoder that its `config.json` describes is. Exporters keep the names of the parameters
//! but for the weights of linear layers, which they store turned round (`[in, out]`) and call `onnx::MatMul_123`. Such a weight
//! has its name from the bias that is added to its product. What would be lost so is refused: weights without a name, as of
//! an adapter, and weights that the graph changes before it uses them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use engraft_weights::{Format, Precision, Tensor, Weights};
use half::f16;
use tract_onnx::pb;

use super::graph::{Graph, Node, Origin, Value, shape};
use super::kind::Kind;
use super::{shown, untrusted, wire};
use crate::bases::onnx_types::{ACTIVATION, EPSILONS};
use crate::error::{Problem, Result};

/// Operations of a model with weights in 8 bits.
const QUANTISED: [&str; 6] =
    ["DynamicQuantizeLinear", "QuantizeLinear", "DequantizeLinear", "MatMulInteger", "QLinearMatMul", "MatMulNBits"];

/// The float tensors of an exported encoder, linear layers as `[out, in]`. `place` is the model's file, for errors.
///
/// # Errors
/// [`Error::Weights`]: as [`super::OnnxModel::open`]; for a quantised model, and for one whose operations were joined by an
/// optimiser.
pub(crate) fn encoder_weights(bytes: &[u8], place: &Path) -> Result<Weights> {
    untrusted(place, || read(bytes))
}

fn read(bytes: &[u8]) -> std::result::Result<Weights, Problem> {
    let graph = Graph::read(wire::decode(bytes)?)?;
    refuse_rewritten(&graph)?;
    let readers = readers(&graph);
    let mut tensors = BTreeMap::new();
    for value in 0..graph.origins.len() {
        let Some(stored) = stored_behind(&graph, value) else { continue };
        let tensor = &graph.stored[stored];
        if !matches!(Kind::of(tensor.data_type), Kind::F32 | Kind::F16) || tensor.dims.is_empty() {
            continue;
        }
        let reads = readers.get(&value).map_or(&[][..], Vec::as_slice);
        let products = reads.iter().filter(|(node, _)| graph.nodes[*node].proto.op_type == "MatMul");
        let mut named = false;
        for &(node, port) in products {
            let name = linear_layer(&graph, &readers, node).filter(|_| port == 1).ok_or_else(|| {
                Problem::new("a weight of the encoder's ONNX model has no name")
                    .expected("the plain export of an encoder, in which a bias follows each product with a weight")
                    .found(graph.nodes[node].title())
                    .hint("merge adapters into the weights before the export, or take the weights that it was exported from")
            })?;
            named = true;
            add(&mut tensors, format!("{name}.weight"), tensor, true)?;
        }
        // Names of parameters; those of computed values begin with a slash.
        let own_name = &graph.names[value];
        if !named && own_name.contains('.') && !own_name.starts_with('/') {
            refuse_changed(&graph, &readers, value)?;
            add(&mut tensors, own_name.clone(), tensor, false)?;
        }
    }
    let metadata = said_of_network(&graph);
    Ok(Weights { tensors, format: Format::Onnx, metadata })
}

/// Refuses a matrix that the graph changes before it looks rows up in it or multiplies by it, and rows that it changes
/// before it adds them.
fn refuse_changed(
    graph: &Graph,
    readers: &HashMap<Value, Vec<(usize, usize)>>,
    value: Value,
) -> std::result::Result<(), Problem> {
    let name = &graph.names[value];
    let of = |value: Value| readers.get(&value).map_or(&[][..], Vec::as_slice);
    const CHANGES: [&str; 5] = ["Mul", "Div", "Sub", "Pow", "Cast"];
    let changes = |node: usize| CHANGES.contains(&graph.nodes[node].proto.op_type.as_str());
    let result_of = |node: usize| graph.nodes[node].outputs.first().copied().flatten();
    let is_changed =
        |node: usize| result_of(node).is_some_and(|result| of(result).iter().any(|(node, _)| changes(*node)));
    let is_matrix = stored_behind(graph, value).is_some_and(|place| graph.stored[place].dims.len() == 2);
    for &(node, port) in of(value).iter().filter(|_| is_matrix) {
        let fits = match graph.nodes[node].proto.op_type.as_str() {
            "Gather" => !name.contains("embeddings.") || !is_changed(node),
            "Transpose" => !is_changed(node),
            "Gemm" => port == 1 && graph.nodes[node].int_or("transB", 0) == Ok(1),
            "Add" => false,
            _ => !changes(node),
        };
        if !fits {
            return Err(Problem::new(format_args!("the encoder's ONNX model changes the weight `{}`", shown(name)))
                .expected("weights that are used as they are")
                .found(graph.nodes[node].title())
                .hint("take the weights that it was exported from: the graph is not run"));
        }
    }
    Ok(())
}

/// What the graph says of the network, to be compared with `config.json`.
fn said_of_network(graph: &Graph) -> BTreeMap<String, String> {
    let has = |op: &str| graph.nodes.iter().any(|node| node.proto.op_type == op);
    let gelus = || graph.nodes.iter().filter(|node| node.proto.op_type == "Gelu");
    let is_tanh = |node: &Node| matches!(node.text("approximate"), Ok(Some("tanh")));
    let activation = match () {
        () if has("Erf") || gelus().any(|node| !is_tanh(node)) => Some("gelu"),
        () if has("Relu") => Some("relu"),
        () if has("Tanh") || gelus().any(is_tanh) => Some("gelu_new"),
        () => None,
    };
    let norms = graph.nodes.iter().filter(|node| node.proto.op_type == "LayerNormalization");
    let epsilons: BTreeSet<String> =
        norms.map(|node| node.float("epsilon").ok().flatten().unwrap_or(1e-5).to_string()).collect();
    let mut said = BTreeMap::new();
    said.extend(activation.map(|activation| (ACTIVATION.to_owned(), activation.to_owned())));
    if !epsilons.is_empty() {
        said.insert(EPSILONS.to_owned(), epsilons.into_iter().collect::<Vec<_>>().join(" "));
    }
    said
}

/// Refuses graphs in which the parameters are no longer those of the network.
fn refuse_rewritten(graph: &Graph) -> std::result::Result<(), Problem> {
    let expected = "the plain export, `model.onnx`, in 32- or 16-bit floats";
    let hint = "take the repository's `onnx/model.onnx`, or the weights that it was exported from";
    for node in &graph.nodes {
        if QUANTISED.contains(&node.proto.op_type.as_str()) {
            let problem = Problem::new("the encoder's ONNX model is quantised").expected(expected);
            return Err(problem.found(node.title()).hint(hint));
        }
        if !matches!(node.proto.domain.as_str(), "" | "ai.onnx") {
            let problem = Problem::new("operations of the encoder's ONNX model were joined by an optimiser");
            return Err(problem.expected(expected).found(node.title()).hint(hint));
        }
    }
    Ok(())
}

/// The nodes that read each value, and at which of their inputs.
fn readers(graph: &Graph) -> HashMap<Value, Vec<(usize, usize)>> {
    let mut readers: HashMap<Value, Vec<(usize, usize)>> = HashMap::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        for (port, value) in node.inputs.iter().enumerate() {
            if let Some(value) = value {
                readers.entry(*value).or_default().push((index, port));
            }
        }
    }
    readers
}

/// The stored tensor that a value is, or passes on: exporters store equal tensors once.
fn stored_behind(graph: &Graph, value: Value) -> Option<usize> {
    let mut value = value;
    loop {
        match graph.origins[value] {
            Origin::Stored(place) => return Some(place),
            Origin::Input => return None,
            Origin::Node(node) => {
                let Node { proto, inputs, .. } = &graph.nodes[node];
                if proto.op_type != "Identity" {
                    return None;
                }
                // The graph has no circles.
                value = inputs.first().copied().flatten()?;
            }
        }
    }
}

/// What the linear layer of a product is called: by the bias that is added to it.
fn linear_layer(graph: &Graph, readers: &HashMap<Value, Vec<(usize, usize)>>, product: usize) -> Option<String> {
    let result = graph.nodes[product].outputs.first().copied().flatten()?;
    readers.get(&result)?.iter().find_map(|&(node, port)| {
        let Node { proto, inputs, .. } = &graph.nodes[node];
        if proto.op_type != "Add" || inputs.len() != 2 {
            return None;
        }
        let bias = inputs[1 - port]?;
        stored_behind(graph, bias)?;
        graph.names[bias].strip_suffix(".bias").map(str::to_owned)
    })
}

/// Adds a tensor, with its two axes exchanged if it is `turned`.
fn add(
    tensors: &mut BTreeMap<String, Tensor>,
    name: String,
    tensor: &pb::TensorProto,
    turned: bool,
) -> std::result::Result<(), Problem> {
    let refuse = |found: String| {
        Problem::new("a stored tensor of the model cannot be read").found(format!("{found} in `{}`", shown(&name)))
    };
    let mut shape = shape(tensor).map_err(&refuse)?;
    let precision = if Kind::of(tensor.data_type) == Kind::F16 { Precision::F16 } else { Precision::F32 };
    let mut values: Vec<f32> = match precision {
        Precision::F16 if tensor.raw_data.is_empty() => {
            tensor.int32_data.iter().map(|bits| f16::from_bits(*bits as u16).to_f32()).collect()
        }
        Precision::F16 => {
            tensor.raw_data.chunks_exact(2).map(|two| f16::from_le_bytes([two[0], two[1]]).to_f32()).collect()
        }
        _ if tensor.raw_data.is_empty() => tensor.float_data.clone(),
        _ => {
            let whole = tensor.raw_data.chunks_exact(4);
            whole.map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
        }
    };
    if turned {
        let [rows, columns] = shape[..] else { return Err(refuse(format!("the shape {shape:?} of a linear layer"))) };
        values = (0..columns)
            .flat_map(|column| (0..rows).map(move |row| row * columns + column))
            .map(|at| values[at])
            .collect();
        shape = vec![columns, rows];
    }
    if tensors.contains_key(&name) {
        return Err(Problem::new("two tensors of the weights have the same meaning").found(shown(&name)));
    }
    tensors.insert(name, Tensor { shape, values, precision });
    Ok(())
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    /// A model of one node, which reads its input and `w`.
    fn model(op: &str, domain: &str) -> Vec<u8> {
        let tensor = pb::TensorProto {
            name: "w".into(),
            dims: vec![1],
            data_type: 1,
            float_data: vec![1.0],
            ..Default::default()
        };
        let node = pb::NodeProto {
            op_type: op.into(),
            domain: domain.into(),
            name: "first".into(),
            input: vec!["x".into(), "w".into()],
            output: vec!["y".into()],
            ..Default::default()
        };
        let shape = Some(pb::TensorShapeProto::default());
        let tensor_type = pb::type_proto::Tensor { elem_type: 1, shape };
        let kind =
            Some(pb::TypeProto { value: Some(pb::type_proto::Value::TensorType(tensor_type)), ..Default::default() });
        let info = |name: &str| pb::ValueInfoProto { name: name.into(), r#type: kind.clone(), ..Default::default() };
        let graph = pb::GraphProto {
            node: vec![node],
            initializer: vec![tensor],
            input: vec![info("x")],
            output: vec![info("y")],
            ..Default::default()
        };
        let opset = |domain: &str, version| pb::OperatorSetIdProto { domain: domain.into(), version };
        let opset_import = vec![opset("", 17), opset("com.microsoft", 1)];
        pb::ModelProto { ir_version: 8, opset_import, graph: Some(graph), ..Default::default() }.encode_to_vec()
    }

    #[test]
    fn models_whose_weights_are_no_longer_the_networks_are_refused() {
        for (op, domain, part) in [
            ("MatMulInteger", "", "quantised"),
            ("MatMulNBits", "com.microsoft", "quantised"),
            ("Attention", "com.microsoft", "joined by an optimiser"),
        ] {
            let error = encoder_weights(&model(op, domain), Path::new("model.onnx")).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("first"), "{error}");
        }
        assert!(encoder_weights(&model("Add", ""), Path::new("model.onnx")).unwrap().tensors.is_empty());
        let error = encoder_weights(&model("MatMul", ""), Path::new("model.onnx")).unwrap_err().to_string();
        assert!(error.contains("has no name") && error.contains("adapters"), "{error}");
    }
}
