//! What a pickle can hold.

use std::collections::BTreeMap;

use super::foreign::{Class, Foreign, refuse_code};
use crate::Error;
use crate::element::Element;

/// The number of a value in its [`Pickle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(pub(super) u32);

/// One value; those inside it are given by number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer of more than 64 bits: its bytes.
    Long(&'a [u8]),
    Float(f64),
    Text(&'a str),
    /// What is known to be harmless and of no use for weights.
    Opaque,
    /// An object of a foreign class.
    Object(Class),
    List(Vec<Id>),
    Tuple(Box<[Id]>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Box<Storage<'a>>),
    /// The arguments of the call that rebuilds a tensor: storage, offset, shape, strides, and more.
    Tensor(Id),
}

/// A block of numbers that lies beside the pickle, or a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Storage<'a> {
    /// Its name in the file.
    pub(crate) key: &'a str,
    pub(crate) element: Element,
    /// Numbers in the whole block.
    pub(crate) length: u64,
    /// Where this part begins, and how many numbers it has.
    pub(crate) part: (u64, u64),
}

/// A name that a pickle may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Global {
    /// `OrderedDict` and its kind.
    Dict,
    /// `torch.Size`.
    Size,
    /// `torch._utils._rebuild_tensor` and its kind: storage, offset, shape and strides come first.
    Tensor,
    /// `torch._utils._rebuild_parameter` and `_rebuild_parameter_with_state`.
    Parameter,
    /// `torch._tensor._rebuild_from_type_v2`: a tensor with attributes.
    FromType,
    /// `torch.FloatStorage` and its kind.
    Storage(Element),
    /// A class or function whose values are harmless and of no use for weights.
    Opaque,
    /// `builtins.getattr`, by which a class inside a class or a member of an enumeration is named.
    Attribute,
    /// `copyreg._reconstructor` and its kind: the class comes first among the arguments.
    Reconstructor,
    /// Any other name.
    Foreign(Class),
}

impl Global {
    /// What a name means.
    ///
    /// # Errors
    /// [`Error::Code`] for one that was made to be run; [`Error::Type`]; [`Error::TooLarge`].
    pub(super) fn of(module: &str, name: &str, foreign: &mut Foreign) -> Result<Self, Error> {
        refuse_code(module, name)?;
        Ok(match (module, name) {
            ("builtins" | "__builtin__", "getattr") => Self::Attribute,
            ("copyreg" | "copy_reg", "_reconstructor" | "__newobj__" | "__newobj_ex__") => Self::Reconstructor,
            ("collections", "OrderedDict" | "defaultdict" | "Counter") | ("builtins" | "__builtin__", "dict") => {
                Self::Dict
            }
            ("torch", "Size") => Self::Size,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3" | "_rebuild_qtensor") => {
                Self::Tensor
            }
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Self::Parameter,
            ("torch._tensor", "_rebuild_from_type_v2") => Self::FromType,
            ("torch" | "torch.cuda", storage) if storage.ends_with("Storage") => Self::storage(module, storage)?,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct")
            | ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => {
                foreign.has_array();
                Self::Opaque
            }
            ("torch.storage", "UntypedStorage") => Self::Storage(Element::U8),
            ("torch", "Tensor" | "device" | "float32" | "float" | "float16" | "half" | "bfloat16")
            | ("torch", "float64" | "double" | "int8" | "uint8" | "int16" | "int32" | "int64" | "long" | "bool")
            | ("torch", "strided" | "contiguous_format" | "channels_last" | "preserve_format")
            | ("torch.serialization", "_get_layout")
            | ("torch.nn.parameter", "Parameter" | "Buffer")
            | ("argparse", "Namespace")
            | ("collections", "deque")
            | ("datetime", "datetime" | "date" | "time" | "timedelta" | "timezone")
            | ("pathlib", "PosixPath" | "PurePosixPath" | "WindowsPath" | "PureWindowsPath")
            | ("pathlib._local", "PosixPath" | "PurePosixPath" | "WindowsPath" | "PureWindowsPath")
            | ("numpy", "dtype" | "ndarray" | "float64" | "float32" | "int64" | "int32" | "bool_")
            | ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar")
            | ("_codecs", "encode")
            | ("builtins" | "__builtin__", "set" | "frozenset" | "list" | "tuple" | "int" | "float" | "str" | "bool")
            | (
                "builtins" | "__builtin__",
                "bytes" | "bytearray" | "complex" | "slice" | "range" | "long" | "unicode",
            ) => Self::Opaque,
            _ => Self::Foreign(foreign.class(module, name)?),
        })
    }

    fn storage(module: &str, name: &str) -> Result<Self, Error> {
        Ok(Self::Storage(match name {
            "FloatStorage" => Element::F32,
            "HalfStorage" => Element::F16,
            "BFloat16Storage" => Element::Bf16,
            "DoubleStorage" => Element::F64,
            "CharStorage" => Element::I8,
            "ShortStorage" => Element::I16,
            "IntStorage" => Element::I32,
            "LongStorage" => Element::I64,
            "ByteStorage" => Element::U8,
            "BoolStorage" => Element::Bool,
            "ComplexFloatStorage" => Element::Other { name: "complex64", size: 8 },
            "ComplexDoubleStorage" => Element::Other { name: "complex128", size: 16 },
            "QInt8Storage" => Element::Other { name: "qint8", size: 1 },
            "QUInt8Storage" => Element::Other { name: "quint8", size: 1 },
            "QInt32Storage" => Element::Other { name: "qint32", size: 4 },
            "QUInt4x2Storage" => Element::Other { name: "quint4x2", size: 1 },
            "QUInt2x4Storage" => Element::Other { name: "quint2x4", size: 1 },
            _ => return Err(Error::Type { name: "(a storage)".into(), found: format!("{module}.{name}") }),
        }))
    }
}

/// A loaded pickle: its values, and the storages that it speaks of.
#[derive(Debug)]
pub(crate) struct Pickle<'a> {
    pub(super) values: Vec<Value<'a>>,
    pub(crate) root: Id,
    /// Key to type and length, for every storage.
    pub(crate) storages: BTreeMap<&'a str, (Element, u64)>,
    /// Foreign objects, by name.
    pub(crate) foreign: Foreign,
    /// Bytes that the pickle took.
    pub(crate) length: usize,
}

impl<'a> Pickle<'a> {
    pub(crate) fn value(&self, id: Id) -> &Value<'a> {
        &self.values[id.0 as usize]
    }

    /// The text of a value, if it is one.
    pub(crate) fn text(&self, id: Id) -> Option<&'a str> {
        match self.value(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Keys and values of a dictionary, or of an object into which items were put as into one.
    pub(crate) fn mapping(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.value(id) {
            Value::Dict(items) => Some(items),
            Value::Object(_) => self.foreign.items(id),
            _ => None,
        }
    }

    /// The value under a text key, if `id` is a mapping that has it.
    pub(crate) fn get(&self, id: Id, key: &str) -> Option<Id> {
        self.mapping(id)?.iter().rev().find(|(name, _)| self.text(*name) == Some(key)).map(|(_, value)| *value)
    }

    /// The name of a foreign class or value.
    pub(crate) fn global_name(&self, id: Id) -> Option<&str> {
        match self.value(id) {
            Value::Global(Global::Foreign(class)) => Some(self.foreign.name(*class)),
            _ => None,
        }
    }

    /// The items of a list or tuple.
    pub(crate) fn items(&self, id: Id) -> Option<&[Id]> {
        match self.value(id) {
            Value::List(items) => Some(items),
            Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The items of a tuple of whole numbers that are not negative.
    pub(crate) fn sizes(&self, id: Id) -> Option<Vec<u64>> {
        self.items(id)?.iter().map(|&item| self.size(item)).collect()
    }

    /// A whole number that is not negative.
    pub(crate) fn size(&self, id: Id) -> Option<u64> {
        match self.value(id) {
            Value::Int(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// What a value is, in a word.
    pub(crate) fn kind(&self, id: Id) -> &'static str {
        match self.value(id) {
            Value::None => "None",
            Value::Bool(_) => "a truth value",
            Value::Int(_) | Value::Long(_) | Value::Float(_) => "a number",
            Value::Text(_) => "a text",
            Value::Opaque | Value::Object(_) => "an object of another kind",
            Value::List(_) => "a list",
            Value::Tuple(_) => "a tuple",
            Value::Dict(_) => "a dictionary",
            Value::Global(_) => "a class",
            Value::Storage(_) => "a storage without a shape",
            Value::Tensor(_) => "a single tensor without a name",
        }
    }
}
