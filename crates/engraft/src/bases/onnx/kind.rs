//! Kinds of numbers.

use tract_onnx::pb::tensor_proto::DataType;

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
    pub(crate) fn of(number: i32) -> Self {
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

    pub(crate) fn number(self) -> i32 {
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
    pub(crate) fn bytes(self) -> Option<usize> {
        match self {
            Kind::F64 | Kind::I64 => Some(8),
            Kind::F32 | Kind::I32 => Some(4),
            Kind::F16 => Some(2),
            Kind::I8 | Kind::U8 | Kind::Bool => Some(1),
            Kind::Other(_) => None,
        }
    }

    /// What ONNX calls it, in lower case.
    pub(crate) fn name(self) -> String {
        match DataType::try_from(self.number()) {
            Ok(kind) => kind.as_str_name().to_lowercase(),
            Err(_) => format!("type {}", self.number()),
        }
    }

    pub(crate) fn float(self) -> bool {
        matches!(self, Kind::F32 | Kind::F64)
    }

    pub(crate) fn whole(self) -> bool {
        matches!(self, Kind::I64 | Kind::I32)
    }
}
