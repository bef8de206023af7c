//! What is known of one value: kind of number, shape, small constants.

use tract_onnx::pb;

use super::graph::{elements, shape};
use super::kind::Kind;

/// Constants up to this length are followed through arithmetic on shapes.
pub(super) const KNOWN: usize = 1024;

/// What is known of a value.
#[derive(Debug, Clone)]
pub(super) struct Fact {
    pub(crate) kind: Kind,
    pub(crate) shape: Vec<usize>,
    /// Whether it is the same for every image.
    pub(crate) constant: bool,
    /// Its numbers, where they are few and constant. Integers beyond 2^53 are rounded: they only ever mean "the end".
    pub(crate) known: Option<Vec<f64>>,
    /// Which axis of a map counts the channels; the others, but the first, are rows and columns.
    pub(crate) channels: Option<usize>,
}

impl Fact {
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub(crate) fn ints(&self) -> Option<Vec<i64>> {
        let known = self.known.as_ref().filter(|_| self.kind.whole())?;
        Some(known.iter().map(|value| *value as i64).collect())
    }
}

/// What a node gives, and what it costs.
#[derive(Default)]
pub(super) struct Given {
    pub(crate) facts: Vec<Fact>,
    /// Products of numbers with weights.
    pub(crate) multiply_adds: u64,
    /// Numbers that are looked at, where that is more than the products and the output.
    pub(crate) work: u64,
}

/// Forgets known numbers where all of them together are too many.
pub(super) fn keep(known: &mut Option<Vec<f64>>, room: &mut usize) {
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
