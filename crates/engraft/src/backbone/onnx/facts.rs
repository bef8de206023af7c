//! What is known of every value before anything is allocated for it: kind of number, shape, small constants.

use std::rc::Rc;

use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;

use super::graph::{Graph, Origin, elements, shape};
use super::operations::infer;
use super::shown;

/// Constants up to this length are followed through arithmetic on shapes.
pub(super) const KNOWN: usize = 1024;
/// All such constants together.
const KNOWN_TOTAL: usize = 1 << 20;

/// A kind of number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    F32,
    F64,
    F16,
    I64,
    I32,
    I8,
    U8,
    Bool,
    /// What ONNX calls it.
    Other(i32),
}

impl Kind {
    pub fn of(number: i32) -> Self {
        match DataType::try_from(number) {
            Ok(DataType::Float) => Kind::F32,
            Ok(DataType::Double) => Kind::F64,
            Ok(DataType::Float16) => Kind::F16,
            Ok(DataType::Int64) => Kind::I64,
            Ok(DataType::Int32) => Kind::I32,
            Ok(DataType::Int8) => Kind::I8,
            Ok(DataType::Uint8) => Kind::U8,
            Ok(DataType::Bool) => Kind::Bool,
            _ => Kind::Other(number),
        }
    }

    pub fn number(self) -> i32 {
        match self {
            Kind::F32 => DataType::Float as i32,
            Kind::F64 => DataType::Double as i32,
            Kind::F16 => DataType::Float16 as i32,
            Kind::I64 => DataType::Int64 as i32,
            Kind::I32 => DataType::Int32 as i32,
            Kind::I8 => DataType::Int8 as i32,
            Kind::U8 => DataType::Uint8 as i32,
            Kind::Bool => DataType::Bool as i32,
            Kind::Other(number) => number,
        }
    }

    /// Bytes of one number; `None` for kinds that are not supported.
    pub fn bytes(self) -> Option<usize> {
        match self {
            Kind::F64 | Kind::I64 => Some(8),
            Kind::F32 | Kind::I32 => Some(4),
            Kind::F16 => Some(2),
            Kind::I8 | Kind::U8 | Kind::Bool => Some(1),
            Kind::Other(_) => None,
        }
    }

    /// What ONNX calls it, in lower case.
    pub fn name(self) -> String {
        match DataType::try_from(self.number()) {
            Ok(kind) => kind.as_str_name().to_lowercase(),
            Err(_) => format!("type {}", self.number()),
        }
    }

    pub fn float(self) -> bool {
        matches!(self, Kind::F32 | Kind::F64)
    }

    pub fn whole(self) -> bool {
        matches!(self, Kind::I64 | Kind::I32)
    }
}

/// What is known of a value.
#[derive(Debug, Clone)]
pub(super) struct Fact {
    pub kind: Kind,
    pub shape: Vec<usize>,
    /// Whether it is the same for every picture.
    pub constant: bool,
    /// Its numbers, where they are few and constant. Integers beyond 2^53 are rounded: they only ever mean "the end".
    pub known: Option<Vec<f64>>,
    /// Which axis of a map counts the channels; the others, but the first, are rows and columns.
    pub channels: Option<usize>,
}

impl Fact {
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn ints(&self) -> Option<Vec<i64>> {
        let known = self.known.as_ref().filter(|_| self.kind.whole())?;
        Some(known.iter().map(|value| *value as i64).collect())
    }
}

/// What a node gives, and what it costs.
#[derive(Default)]
pub(super) struct Given {
    pub facts: Vec<Fact>,
    /// Products of numbers with weights.
    pub multiply_adds: u64,
    /// Numbers that are looked at, where that is more than the products and the output.
    pub work: u64,
}

/// The facts of all values, and the cost of every node.
pub(super) struct Facts {
    /// By value. Where there is none, why: the first operation on the way that is not supported, and the reason.
    pub values: Vec<Result<Fact, Rc<(String, String)>>>,
    pub multiply_adds: Vec<u64>,
    pub work: Vec<u64>,
}

impl Facts {
    /// Works them out, given the fact of one input. The model's other inputs are unknown.
    pub fn of(graph: &Graph, input: usize, given: Fact) -> Self {
        let unknown = Rc::new((String::new(), String::new()));
        let mut facts = Self {
            values: vec![Err(unknown); graph.origins.len()],
            multiply_adds: vec![0; graph.nodes.len()],
            work: vec![0; graph.nodes.len()],
        };
        let mut room = KNOWN_TOTAL;
        for (value, origin) in graph.origins.iter().enumerate() {
            facts.values[value] = match origin {
                Origin::Input if value == input => Ok(given.clone()),
                Origin::Input => {
                    let name = format!("the input `{}`", shown(&graph.names[value]));
                    Err(Rc::new((name, "a second input, beside the picture".into())))
                }
                Origin::Stored(place) => stored(&graph.stored[*place], &mut room)
                    .map_err(|reason| Rc::new((format!("the stored tensor `{}`", shown(&graph.names[value])), reason))),
                Origin::Node(_) => continue,
            };
        }
        for (index, node) in graph.nodes.iter().enumerate() {
            let mut inputs = Vec::with_capacity(node.inputs.len());
            let mut failure = None;
            for input in &node.inputs {
                match input.map(|value| &facts.values[value]) {
                    None => inputs.push(None),
                    Some(Ok(fact)) => inputs.push(Some(fact)),
                    Some(Err(reason)) => failure = failure.or(Some(reason.clone())),
                }
            }
            let given = match failure {
                Some(reason) => Err(reason),
                None => infer(node, &inputs, graph.opset).map_err(|reason| Rc::new((node.title(), reason))),
            };
            match given {
                Ok(given) => {
                    facts.multiply_adds[index] = given.multiply_adds;
                    facts.work[index] = given.work.max(given.multiply_adds);
                    for (port, output) in node.outputs.iter().enumerate() {
                        let Some(output) = output else { continue };
                        facts.values[*output] = match given.facts.get(port) {
                            Some(fact) => {
                                let mut fact = fact.clone();
                                keep(&mut fact.known, &mut room);
                                Ok(fact)
                            }
                            None => Err(Rc::new((node.title(), format!("its output number {}", port + 1)))),
                        };
                    }
                }
                Err(reason) => {
                    for output in node.outputs.iter().flatten() {
                        facts.values[*output] = Err(reason.clone());
                    }
                }
            }
        }
        facts
    }

    pub fn get(&self, value: usize) -> Option<&Fact> {
        self.values[value].as_ref().ok()
    }
}

/// Forgets known numbers where all of them together are too many.
fn keep(known: &mut Option<Vec<f64>>, room: &mut usize) {
    match known {
        Some(values) if values.len() > *room => *known = None,
        Some(values) => *room -= values.len(),
        None => {}
    }
}

pub(super) fn stored(tensor: &pb::TensorProto, room: &mut usize) -> Result<Fact, String> {
    let kind = Kind::of(tensor.data_type);
    if let Kind::Other(_) | Kind::F16 | Kind::I8 | Kind::U8 = kind {
        return Err(format!("numbers of the type {}, where only 32-bit floats are supported", kind.name()));
    }
    let shape = shape(tensor)?;
    let count = elements(&shape).unwrap_or_default();
    let mut known = (count <= KNOWN).then(|| numbers(tensor, kind)).filter(|known| known.len() == count);
    keep(&mut known, room);
    Ok(Fact { kind, shape, constant: true, known, channels: None })
}

fn numbers(tensor: &pb::TensorProto, kind: Kind) -> Vec<f64> {
    let raw = &tensor.raw_data;
    if raw.is_empty() {
        return match kind {
            Kind::F32 => tensor.float_data.iter().map(|value| f64::from(*value)).collect(),
            Kind::F64 => tensor.double_data.clone(),
            Kind::I64 => tensor.int64_data.iter().map(|value| *value as f64).collect(),
            _ => tensor.int32_data.iter().map(|value| f64::from(*value)).collect(),
        };
    }
    let size = kind.bytes().unwrap_or(1);
    let number = |bytes: &[u8]| match kind {
        Kind::F32 => f64::from(f32::from_le_bytes(bytes.try_into().unwrap_or_default())),
        Kind::F64 => f64::from_le_bytes(bytes.try_into().unwrap_or_default()),
        Kind::I64 => i64::from_le_bytes(bytes.try_into().unwrap_or_default()) as f64,
        Kind::I32 => f64::from(i32::from_le_bytes(bytes.try_into().unwrap_or_default())),
        _ => f64::from(u8::from(bytes[0] != 0)),
    };
    raw.chunks_exact(size).map(number).collect()
}
