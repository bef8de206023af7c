//! Types of stored numbers, and their bytes to f32.

use half::{bf16, f16};

use crate::source::{Source, reserved};
use crate::{Error, Precision};

/// The type of one stored number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    F16,
    Bf16,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
    /// One whose numbers are not read: complex, quantised, of 8 bits or fewer.
    Other {
        name: &'static str,
        /// Bytes of a number.
        size: usize,
    },
}

/// Which byte of a number comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Little,
    Big,
}

impl Element {
    /// Bytes of one number.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::Other { size, .. } => size,
        }
    }

    pub(crate) fn precision(self) -> Precision {
        match self {
            Self::F16 => Precision::F16,
            Self::Bf16 => Precision::Bf16,
            Self::F32 => Precision::F32,
            Self::F64 => Precision::F64,
            Self::Other { .. } => Precision::Unread,
            _ => Precision::Integer,
        }
    }

    /// Refuses a type whose numbers are not read.
    pub(crate) fn check(self, tensor: &str) -> Result<(), Error> {
        match self {
            Self::Other { name, .. } => Err(Error::Type { name: tensor.into(), found: name.into() }),
            _ => Ok(()),
        }
    }

    /// All whole numbers of `bytes`.
    pub(crate) fn decode(self, bytes: &[u8], order: Order) -> Result<Vec<f32>, Error> {
        let mut values = reserved((bytes.len() / self.size()) as u64)?;
        self.decode_into(bytes, order, &mut values);
        Ok(values)
    }

    /// All whole numbers of a source, read piece by piece.
    pub(crate) fn read(self, source: &Source<'_>, order: Order) -> Result<Vec<f32>, Error> {
        let mut values = reserved(source.length() / self.size() as u64)?;
        source.pieces(self.size(), |piece| {
            self.decode_into(piece, order, &mut values);
            Ok::<_, Error>(())
        })?;
        Ok(values)
    }

    /// Appends all whole numbers of `bytes`.
    pub(crate) fn decode_into(self, bytes: &[u8], order: Order, values: &mut Vec<f32>) {
        match self {
            Self::F32 => each(bytes, order, values, f32::from_le_bytes),
            Self::F16 => each(bytes, order, values, |b| f16::from_le_bytes(b).to_f32()),
            Self::Bf16 => each(bytes, order, values, |b| bf16::from_le_bytes(b).to_f32()),
            Self::F64 => each(bytes, order, values, |b| f64::from_le_bytes(b) as f32),
            Self::I8 => each(bytes, order, values, |b: [u8; 1]| f32::from(b[0] as i8)),
            Self::I16 => each(bytes, order, values, |b| f32::from(i16::from_le_bytes(b))),
            Self::I32 => each(bytes, order, values, |b| i32::from_le_bytes(b) as f32),
            Self::I64 => each(bytes, order, values, |b| i64::from_le_bytes(b) as f32),
            Self::U8 | Self::Bool => each(bytes, order, values, |b: [u8; 1]| f32::from(b[0])),
            Self::U16 => each(bytes, order, values, |b| f32::from(u16::from_le_bytes(b))),
            Self::U32 => each(bytes, order, values, |b| u32::from_le_bytes(b) as f32),
            Self::U64 => each(bytes, order, values, |b| u64::from_le_bytes(b) as f32),
            // Nobody reads one: it does not pass `check`.
            Self::Other { .. } => {}
        }
    }
}

fn each<const N: usize>(bytes: &[u8], order: Order, values: &mut Vec<f32>, number: impl Fn([u8; N]) -> f32) {
    let chunks = bytes.as_chunks::<N>().0.iter();
    match order {
        Order::Little => values.extend(chunks.map(|chunk| number(*chunk))),
        Order::Big => values.extend(chunks.map(|chunk| {
            let mut chunk = *chunk;
            chunk.reverse();
            number(chunk)
        })),
    }
}
