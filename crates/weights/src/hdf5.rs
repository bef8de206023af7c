//! HDF5 files: groups, attributes of text, arrays of numbers.
//!
//! The decoding is `hdf5-reader`'s. It is fed the ranges that it asks for, without a resolver for external files and links, and through
//! [`Metered`], so that a small file cannot make it read, and hence make, much.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hdf5_reader::group::Group;
use hdf5_reader::messages::attribute::AttributeMessage;
use hdf5_reader::{ByteOrder, Dataset, Datatype, Hdf5File, OpenOptions, Storage, StorageBuffer, StringSize};

use crate::budget::Budget;
use crate::element::{Element, Order};
use crate::source::Source;
use crate::{Error, Tensor};

/// Bytes of groups, headers, names and attributes that are read of one file, beyond a sixteenth of it: enough for 2,400
/// layers without a number. A parsed header takes twenty times its bytes, and a file may name the same bytes often.
const METADATA: u64 = 12 << 20;

/// The same for small files, beyond twice the file.
const SMALL_METADATA: u64 = 4 << 20;

/// Bytes that an entry of a group costs beside its name.
const ENTRY: u64 = 100;

/// The longest name of a group or array.
const NAME: usize = 1024;

/// The largest object of a heap of links or attributes: two bytes hold its length.
const OBJECT: u64 = 64 << 10;

/// Bytes that the links or attributes of one object may take where they lie in such a heap.
const OBJECTS: u64 = 2000 * OBJECT;

/// Bytes of text that are read out of attributes.
const TEXT: usize = 64 << 20;

/// The most pieces that a long attribute is split into.
const PIECES: usize = 1000;

/// Bytes that are read for arrays beyond twice the file: filters can unpack a little.
const SLACK: u64 = 16 << 20;

fn refused(error: impl std::fmt::Display) -> Error {
    Error::Hdf5 { reason: error.to_string() }
}

fn refuse<T>(reason: impl Into<String>) -> Result<T, Error> {
    Err(Error::Hdf5 { reason: reason.into() })
}

/// The bytes of a file, which are lent only so many times.
struct Metered {
    source: Source<'static>,
    metadata: AtomicU64,
    data: AtomicU64,
    reading_data: AtomicBool,
    /// The longest name of the group that is being read.
    longest_name: AtomicU64,
    /// What the links or attributes of the object that is being read may still take.
    objects: AtomicU64,
}

impl Metered {
    fn pay(&self, bytes: u64) -> Result<(), String> {
        let left = if self.reading_data.load(Ordering::Relaxed) { &self.data } else { &self.metadata };
        let paid = left.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        paid.map(drop).map_err(|_| "it makes its reader go over the same bytes again and again".into())
    }

    /// Names are copied out of a heap for every entry of a group, so none may be long, and each is paid for.
    fn pay_entries(&self, buffer: &[u8]) -> Result<(), String> {
        if buffer.starts_with(b"HEAP") && buffer.len() >= 32 {
            return self.check_heap(buffer);
        }
        if buffer.starts_with(b"SNOD") {
            let entries = (buffer.len() / 40) as u64;
            return self.pay(entries * (self.longest_name.load(Ordering::Relaxed) + ENTRY));
        }
        // Links and attributes, by name or by order: a record is 11 bytes or more, and each copies what it points to.
        if let (Some(b"BTLF" | b"BTIN"), Some(5 | 6 | 8 | 9)) = (buffer.get(..4), buffer.get(5)) {
            let cost = buffer.len() as u64 / 11 * OBJECT;
            let left = self.objects.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(cost));
            return left.map(drop).map_err(|_| "expected at most 2,000 links or attributes in a heap".into());
        }
        if buffer.starts_with(b"FRHP") && buffer.get(12..14).is_some_and(|high| high != [0, 0]) {
            return Err("expected a heap of objects of at most 64 KiB".into());
        }
        Ok(())
    }

    fn check_heap(&self, header: &[u8]) -> Result<(), String> {
        let word = |at: usize| header[at..].first_chunk().map_or(u64::MAX, |word| u64::from_le_bytes(*word));
        let (size, start) = (word(8), word(24));
        let Some(names) = self.source.part(start, size) else {
            return Err("expected a heap of names inside the file".into());
        };
        let (mut longest, mut length) = (0, 0);
        names
            .for_each_piece(|piece| {
                for &byte in piece {
                    length = if byte == 0 { 0 } else { length + 1 };
                    longest = longest.max(length);
                }
                Ok::<_, Error>(())
            })
            .map_err(|error| error.to_string())?;
        self.longest_name.store(longest as u64, Ordering::Relaxed);
        if longest > NAME {
            return Err(format!("expected names of at most {NAME} bytes, found {longest}"));
        }
        Ok(())
    }
}

impl Storage for Metered {
    fn len(&self) -> u64 {
        self.source.length()
    }

    fn read_range(&self, offset: u64, len: usize) -> hdf5_reader::error::Result<StorageBuffer> {
        let invalid = hdf5_reader::error::Error::InvalidData;
        self.pay(len as u64).map_err(invalid)?;
        let bytes = self.source.bytes(offset, len as u64).map_err(|error| invalid(error.to_string()))?;
        let buffer = StorageBuffer::from_vec(bytes.into_owned());
        self.pay_entries(&buffer).map_err(invalid)?;
        Ok(buffer)
    }
}

/// An open file.
pub(crate) struct File {
    file: Hdf5File,
    meter: Arc<Metered>,
    budget: Budget,
    text_left: usize,
}

/// The attributes of a group.
pub(crate) struct Attributes {
    group: Group,
    messages: BTreeMap<String, AttributeMessage>,
}

impl File {
    pub(crate) fn open(source: &Source<'_>) -> Result<Self, Error> {
        // Sizes of addresses and lengths: the same places in versions 0 and 1, and in 2 and 3.
        let head = source.head()?;
        let sizes = match head.get(8) {
            Some(0 | 1) => head.get(13..15),
            _ => head.get(9..11),
        };
        if sizes != Some(&[8, 8]) {
            return refuse(format!("expected addresses and lengths of 8 bytes, found {sizes:?}"));
        }
        let length = source.length();
        let data = length.saturating_mul(2).saturating_add(SLACK);
        let meter = Arc::new(Metered {
            source: source.clone().into_static(),
            metadata: (SMALL_METADATA + 2 * length).min(METADATA + length / 16).into(),
            data: data.into(),
            objects: OBJECTS.into(),
            reading_data: false.into(),
            longest_name: 0.into(),
        });
        let limit = usize::try_from(data).unwrap_or(usize::MAX);
        let options = OpenOptions::default()
            .with_chunk_cache_bytes(0)
            .with_max_chunk_bytes(limit)
            .with_max_read_bytes(limit)
            .with_max_object_header_bytes(1 << 20);
        let file = Hdf5File::from_storage_with_options(meter.clone(), options).map_err(refused)?;
        Ok(Self { file, meter, budget: Budget::of_file(length), text_left: TEXT })
    }

    /// The group at a path such as `model_weights/conv1`; the root for an empty one.
    fn group(&self, path: &str) -> Result<Group, Error> {
        let mut group = self.file.root_group().map_err(refused)?;
        for part in parts(path)? {
            self.meter.objects.store(OBJECTS, Ordering::Relaxed);
            group = group.group(part).map_err(|error| refused(format!("group `{}`: {error}", path.escape_debug())))?;
        }
        Ok(group)
    }

    /// The names of the groups and of the arrays in a group.
    pub(crate) fn members(&self, path: &str) -> Result<(Vec<String>, Vec<String>), Error> {
        let group = self.group(path)?;
        self.meter.objects.store(OBJECTS, Ordering::Relaxed);
        group.member_names().map_err(refused)
    }

    pub(crate) fn attributes(&self, path: &str) -> Result<Attributes, Error> {
        let group = self.group(path)?;
        self.meter.objects.store(OBJECTS, Ordering::Relaxed);
        let raw = group.raw_attributes().map_err(refused)?;
        let messages = raw.into_iter().map(|raw| raw.into_parts().0).map(|message| (message.name.clone(), message));
        Ok(Attributes { messages: messages.collect(), group })
    }

    /// The texts of an attribute, which may be split over `name0`, `name1`, ..: Keras does so above 64 KB.
    pub(crate) fn texts(&mut self, attributes: &Attributes, name: &str) -> Result<Option<Vec<String>>, Error> {
        if let Some(message) = attributes.messages.get(name) {
            return self.decode(attributes, message).map(Some);
        }
        let mut texts = None;
        for piece in 0..PIECES {
            let Some(message) = attributes.messages.get(&format!("{name}{piece}")) else { break };
            let more = self.decode(attributes, message)?;
            texts.get_or_insert_with(Vec::new).extend(more);
        }
        Ok(texts)
    }

    /// The text of an attribute that has one.
    pub(crate) fn text(&mut self, attributes: &Attributes, name: &str) -> Result<Option<String>, Error> {
        match self.texts(attributes, name)? {
            Some(mut texts) if texts.len() == 1 => Ok(texts.pop()),
            Some(texts) => refuse(format!("attribute `{name}`: expected one text, found {}", texts.len())),
            None => Ok(None),
        }
    }

    fn decode(&mut self, attributes: &Attributes, message: &AttributeMessage) -> Result<Vec<String>, Error> {
        let wrong = |reason: String| Error::Hdf5 { reason: format!("attribute `{}`: {reason}", message.name) };
        let count = message.dataspace.num_elements().map_err(refused)?;
        // Keras writes "no weights" as an empty array of numbers.
        if count == 0 {
            return Ok(Vec::new());
        }
        let variable =
            matches!(message.datatype, Datatype::VarLen { .. } | Datatype::String { size: StringSize::Variable, .. });
        let size = match &message.datatype {
            Datatype::String { size: StringSize::Fixed(size), .. } => *size as usize,
            _ if variable => 16,
            other => return Err(wrong(format!("expected text, found {other:?}"))),
        };
        let stored = usize::try_from(count).ok().and_then(|count| count.checked_mul(size));
        if size == 0 || stored.is_none_or(|stored| stored > message.raw_data.len()) {
            let found = message.raw_data.len();
            return Err(wrong(format!("expected {count} texts of {size} bytes, found {found} bytes")));
        }
        let mut texts = Vec::new();
        for chunk in message.raw_data.chunks_exact(size).take(count as usize) {
            let owned;
            let bytes = if variable {
                owned = attributes.group.resolve_vlen_reference_bytes(chunk, 1).map_err(refused)?;
                &owned
            } else {
                chunk
            };
            let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
            let text = std::str::from_utf8(&bytes[..end]).map_err(|_| wrong("expected text in UTF-8".into()))?;
            let cost = text.len() + size_of::<String>();
            self.text_left = self.text_left.checked_sub(cost).ok_or_else(|| wrong("too long".into()))?;
            texts.push(text.to_owned());
        }
        Ok(texts)
    }

    /// The numbers at a path.
    pub(crate) fn tensor(&mut self, path: &str, name: &str) -> Result<Tensor, Error> {
        let parts = parts(path)?;
        let Some((last, groups)) = parts.split_last() else {
            return refuse("expected the name of an array, found none");
        };
        let group = self.group(&groups.join("/"))?;
        let wrong = |reason: String| Error::Tensor { name: name.into(), reason };
        self.meter.objects.store(OBJECTS, Ordering::Relaxed);
        let array = group.dataset(last).map_err(|error| wrong(error.to_string()))?;
        let (element, order) = number(&array, name)?;
        let count = self.budget.take(name, array.shape())?;
        self.meter.reading_data.store(true, Ordering::Relaxed);
        let bytes = array.read_raw_bytes();
        self.meter.reading_data.store(false, Ordering::Relaxed);
        let values = element.decode(&bytes.map_err(|error| wrong(error.to_string()))?, order)?;
        if values.len() != count {
            return Err(wrong(format!("expected {count} numbers, found {}", values.len())));
        }
        let shape = array.shape().iter().map(|&axis| axis as usize).collect();
        Ok(Tensor { shape, values, precision: element.precision() })
    }
}

impl Attributes {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.messages.contains_key(name) || self.messages.contains_key(&format!("{name}0"))
    }
}

/// The names of a path. Nothing leads out of a file, but a name that tries is refused all the same.
fn parts(path: &str) -> Result<Vec<&str>, Error> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if parts.iter().any(|part| matches!(*part, "." | "..")) || path.len() > 8 * NAME {
        let shown: String = path.escape_debug().take(100).collect();
        return refuse(format!("expected the path of a group or array, found `{shown}`"));
    }
    Ok(parts)
}

/// The type of an array's numbers.
fn number(array: &Dataset, name: &str) -> Result<(Element, Order), Error> {
    let unknown = |found: String| Error::Type { name: name.into(), found };
    let (element, order) = match array.dtype() {
        Datatype::FloatingPoint { byte_order, .. } => {
            let raw = array.raw_datatype().map_err(refused)?;
            // Size, exponent's place and bits, mantissa's place and bits.
            let layout = (raw.get(4..8), raw.get(12..16));
            let element = match layout {
                (Some([2, 0, 0, 0]), Some([10, 5, 0, 10])) => Element::F16,
                (Some([2, 0, 0, 0]), Some([7, 8, 0, 7])) => Element::Bf16,
                (Some([4, 0, 0, 0]), Some([23, 8, 0, 23])) => Element::F32,
                (Some([8, 0, 0, 0]), Some([52, 11, 0, 52])) => Element::F64,
                _ => return Err(unknown(format!("a floating point number of layout {layout:?}"))),
            };
            (element, byte_order)
        }
        Datatype::FixedPoint { size, signed, byte_order } => {
            let element = match (size, signed) {
                (1, true) => Element::I8,
                (1, false) => Element::U8,
                (2, true) => Element::I16,
                (2, false) => Element::U16,
                (4, true) => Element::I32,
                (4, false) => Element::U32,
                (8, true) => Element::I64,
                (8, false) => Element::U64,
                _ => return Err(unknown(format!("an integer of {size} bytes"))),
            };
            (element, byte_order)
        }
        // h5py's booleans.
        Datatype::Enum { base, .. } if matches!(**base, Datatype::FixedPoint { size: 1, .. }) => {
            (Element::Bool, &ByteOrder::LittleEndian)
        }
        other => return Err(unknown(format!("{other:?}"))),
    };
    Ok((element, if *order == ByteOrder::BigEndian { Order::Big } else { Order::Little }))
}
