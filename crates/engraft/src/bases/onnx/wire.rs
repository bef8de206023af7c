//! A look at the bytes of an ONNX file before they are decoded: what decoding would need, how deep it goes, and
//! whether tensors are said to lie in other files. Protobuf's wire format, and nothing more.

use prost::Message as _;
use tract_onnx::pb;

use crate::error::Problem;

/// How many messages may lie in one another. A plain model needs nine.
const DEPTH: usize = 24;
/// Nodes of all graphs and functions together.
const NODES: usize = 20_000;
/// What decoding may need beside the bytes themselves.
const MEMORY: u64 = 128 << 20;

/// The messages of `onnx.proto` that hold others, or hold lists.
#[derive(Clone, Copy, PartialEq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Sparse,
    Info,
    Type,
    TensorType,
    Shape,
    Dimension,
    Function,
    Training,
    Entry,
    Annotation,
    Opset,
}

/// What a field holds.
enum Field {
    /// Another message.
    Holds(Message),
    /// A list of integers, each as short as one byte.
    Integers,
    /// A list of texts, each as short as two bytes.
    Texts,
    /// `data_location`.
    Location,
    /// One entry of `external_data`.
    External,
    /// No larger in memory than here.
    Plain,
}

impl Message {
    fn field(self, number: u64) -> Field {
        use Field::{External, Holds, Integers, Location, Plain, Texts};
        match (self, number) {
            (Message::Model, 7) | (Message::Training, 1 | 2) => Holds(Message::Graph),
            (Message::Model, 8) | (Message::Function, 9) => Holds(Message::Opset),
            (Message::Model, 14) | (Message::Training, 3 | 4) | (Message::Annotation, 2) => Holds(Message::Entry),
            (Message::Model, 20) => Holds(Message::Training),
            (Message::Model, 25) => Holds(Message::Function),
            (Message::Graph, 1) | (Message::Function, 7) => Holds(Message::Node),
            (Message::Graph, 5) | (Message::Sparse, 1 | 2) | (Message::Attribute, 5 | 10) => Holds(Message::Tensor),
            (Message::Graph, 15) | (Message::Attribute, 22 | 23) => Holds(Message::Sparse),
            (Message::Graph, 11..=13) => Holds(Message::Info),
            (Message::Graph, 14) => Holds(Message::Annotation),
            (Message::Node, 5) => Holds(Message::Attribute),
            (Message::Attribute, 6 | 11) => Holds(Message::Graph),
            (Message::Attribute, 15) | (Message::Info, 2) => Holds(Message::Type),
            (Message::Type, 1) => Holds(Message::TensorType),
            (Message::TensorType, 2) => Holds(Message::Shape),
            (Message::Shape, 1) => Holds(Message::Dimension),
            (Message::Tensor, 1 | 5 | 7 | 11) | (Message::Attribute, 8) | (Message::Sparse, 3) => Integers,
            (Message::Node, 1 | 2) | (Message::Attribute, 9) | (Message::Tensor, 6) | (Message::Function, 4..=6) => {
                Texts
            }
            (Message::Tensor, 13) => External,
            (Message::Tensor, 14) => Location,
            _ => Plain,
        }
    }

    /// Bytes that one such message takes in memory.
    fn size(self) -> usize {
        match self {
            Message::Model => size_of::<pb::ModelProto>(),
            Message::Graph => size_of::<pb::GraphProto>(),
            Message::Node => size_of::<pb::NodeProto>(),
            Message::Attribute => size_of::<pb::AttributeProto>(),
            Message::Tensor => size_of::<pb::TensorProto>(),
            Message::Sparse => size_of::<pb::SparseTensorProto>(),
            Message::Info => size_of::<pb::ValueInfoProto>(),
            Message::Type | Message::TensorType | Message::Shape => size_of::<pb::TypeProto>(),
            Message::Dimension => size_of::<pb::tensor_shape_proto::Dimension>(),
            Message::Function => size_of::<pb::FunctionProto>(),
            Message::Training => size_of::<pb::TrainingInfoProto>(),
            Message::Entry => size_of::<pb::StringStringEntryProto>(),
            Message::Annotation => size_of::<pb::TensorAnnotation>(),
            Message::Opset => size_of::<pb::OperatorSetIdProto>(),
        }
    }
}

/// Refuses bytes that are not an ONNX model, that would be costly to decode, or whose tensors lie in other files.
fn scan(bytes: &[u8]) -> Result<(), Problem> {
    look(bytes, false).map(|_| ())
}

/// A model from its bytes, which are looked through first.
pub(super) fn decode(bytes: &[u8]) -> Result<pb::ModelProto, Problem> {
    scan(bytes)?;
    decode_scanned(bytes)
}

/// The same of bytes that were looked through.
pub(super) fn decode_scanned(bytes: &[u8]) -> Result<pb::ModelProto, Problem> {
    pb::ModelProto::decode(bytes).map_err(|source| broken(super::shown(&format!("{source:#}"))))
}

/// Whether tensors lie in other files; what would be costly to decode is refused all the same.
pub(super) fn has_external(bytes: &[u8]) -> Result<bool, Problem> {
    look(bytes, true)
}

fn look(bytes: &[u8], beside: bool) -> Result<bool, Problem> {
    let mut seen = Seen { beside, ..Seen::default() };
    seen.message(Message::Model, bytes, 0)?;
    if !seen.graph {
        return Err(broken("no graph"));
    }
    Ok(seen.external)
}

#[derive(Default)]
struct Seen {
    nodes: usize,
    memory: u64,
    graph: bool,
    /// Whether tensors may lie in other files.
    beside: bool,
    /// Whether some do.
    external: bool,
}

impl Seen {
    fn message(&mut self, kind: Message, bytes: &[u8], depth: usize) -> Result<(), Problem> {
        if depth > DEPTH {
            return Err(Problem::new("the model's parts lie too deep in one another")
                .expected(format_args!("at most {DEPTH} levels"))
                .hint("graphs inside graphs (If, Loop, Scan) have no place in a frozen network"));
        }
        if kind == Message::Node {
            self.nodes += 1;
            if self.nodes > NODES {
                return Err(Problem::new("the model has too many operations").expected(format_args!("at most {NODES}")));
            }
        }
        self.graph |= kind == Message::Graph;
        // Twice, because a list that grows has room to spare.
        self.charge(2 * kind.size())?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let tag = varint(&mut rest)?;
            let (number, wire) = (tag >> 3, tag & 7);
            if number == 0 || number > 0x1FFF_FFFF {
                return Err(broken(format_args!("a field with the number {number}")));
            }
            let field = kind.field(number);
            match wire {
                0 => {
                    let value = varint(&mut rest)?;
                    match field {
                        Field::Integers => self.charge(16)?,
                        Field::Location if value == 1 && self.beside => self.external = true,
                        Field::Location if value == 1 => return Err(external(None)),
                        _ => {}
                    }
                }
                1 => drop(take(&mut rest, 8)?),
                5 => drop(take(&mut rest, 4)?),
                2 => {
                    let length = varint(&mut rest)?;
                    let inside = take(&mut rest, length)?;
                    match field {
                        Field::Holds(kind) => self.message(kind, inside, depth + 1)?,
                        Field::Integers => self.charge(16 * inside.iter().filter(|byte| **byte < 0x80).count())?,
                        Field::Texts => self.charge(2 * size_of::<String>())?,
                        Field::External if self.beside => {
                            self.external = true;
                            self.message(Message::Entry, inside, depth + 1)?;
                        }
                        Field::External => return Err(external(Some(inside))),
                        Field::Location | Field::Plain => {}
                    }
                }
                _ => return Err(broken(format_args!("a field of the unknown kind {wire}"))),
            }
        }
        Ok(())
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Problem> {
        self.memory += bytes as u64;
        if self.memory > MEMORY {
            return Err(Problem::new("the model would need too much memory to read")
                .expected(format_args!("at most {} MiB beside its weights", MEMORY >> 20)));
        }
        Ok(())
    }
}

fn varint(rest: &mut &[u8]) -> Result<u64, Problem> {
    let mut value = 0;
    for (index, byte) in rest.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7F) << (7 * index);
        if *byte < 0x80 {
            *rest = &rest[index + 1..];
            return Ok(value);
        }
    }
    Err(broken("a number without an end"))
}

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Result<&'a [u8], Problem> {
    match usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length)) {
        Some((inside, after)) => {
            *rest = after;
            Ok(inside)
        }
        None => Err(broken(format_args!("a field of {length} bytes where {} are left", rest.len()))),
    }
}

fn broken(found: impl std::fmt::Display) -> Problem {
    Problem::new("this is not a whole ONNX model")
        .expected("the bytes of an .onnx file")
        .found(found)
        .hint("fetch or export the file again")
}

/// The entry of `external_data` that names the place is told; nothing is looked up.
fn external(entry: Option<&[u8]>) -> Problem {
    let problem =
        Problem::new("tensors of this model lie in another file").expected("all weights inside the .onnx file");
    let problem = match entry {
        Some(entry) => problem.found(super::shown(&String::from_utf8_lossy(entry))),
        None => problem,
    };
    problem.hint("put them inside: onnx.save_model(onnx.load('model.onnx'), 'whole.onnx', save_as_external_data=False)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_of_more_bytes_than_there_are_is_refused() {
        for bytes in [
            &b"\x3a\xff\xff\xff\xff\x0f"[..],
            b"\x3a",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x3b\x3c",
            b"",
        ] {
            assert!(scan(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn many_tiny_nodes_are_not_decoded() {
        let mut nodes: Vec<u8> = [0x0A, 0].repeat(NODES + 1);
        let mut model = vec![0x3A, 0, 0, 0];
        let length = nodes.len() as u32;
        for (index, byte) in model[1..].iter_mut().enumerate() {
            *byte = (length >> (7 * index)) as u8 & 0x7F | if index < 2 { 0x80 } else { 0 };
        }
        model.append(&mut nodes);
        assert_eq!(scan(&model).unwrap_err().what(), "the model has too many operations");
    }
}
