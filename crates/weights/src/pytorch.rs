//! PyTorch's files: a pickle of dictionaries whose tensors are views of storages beside it.
//!
//! Since 1.6 a zip archive (`data.pkl`, `data/KEY`, `byteorder`); before, pickles one after the other (a magic number,
//! a version, the writer's system, the object, the storages' names) and then the storages.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::archive::Archive;
use crate::budget::Budget;
use crate::element::Order;
use crate::pickle::{self, Id, Pickle, Storage, Value};
use crate::state_dict;
use crate::{Error, Format, Tensor, Weights};

/// The number that old files begin with.
const MAGIC: [u8; 10] = 0x1950_a86a_20f9_469c_fc6c_u128.to_le_bytes().first_chunk().copied().unwrap();

/// The longest shape that is read.
const AXES: usize = 32;

/// Numbers of a view that are decoded at once.
const PIECE: usize = 4096;

/// The bytes of every storage, by name.
type Storages<'a> = BTreeMap<&'a str, Cow<'a, [u8]>>;

/// Reads a file of PyTorch 1.6 or later.
pub(crate) fn read_archive(archive: &Archive<'_>) -> Result<Weights, Error> {
    let folder = archive.pickle().unwrap_or_default();
    let entry = |name: &str| archive.get(&format!("{folder}{name}"));
    let bytes = entry("data.pkl")?.ok_or_else(|| Error::contents("an entry data.pkl", "none"))?;
    let order = match entry("byteorder")?.as_deref() {
        None | Some(b"little") => Order::Little,
        Some(b"big") => Order::Big,
        Some(_) => return Err(Error::contents("little or big in the entry byteorder", "something else")),
    };
    let pickle = pickle::load(&bytes)?;
    let tensors = state_dict::choose(&pickle)?;
    let mut storages = Storages::new();
    for storage in tensors.storages(&pickle) {
        let name = format!("data/{}", storage.key);
        let bytes = entry(&name)?
            .ok_or_else(|| Error::Archive { reason: format!("expected an entry `{name}`, found none") })?;
        storages.insert(storage.key, bytes);
    }
    materialise(&pickle, tensors, &storages, order, Budget::of_file(archive.length), Format::PyTorch)
}

/// Reads a file of PyTorch before 1.6; any other pickle is told what it is.
pub(crate) fn read_legacy(bytes: &[u8]) -> Result<Weights, Error> {
    let mut rest = bytes;
    let mut next = || -> Result<Pickle<'_>, Error> {
        let pickle = pickle::load(rest)?;
        rest = &rest[pickle.length..];
        Ok(pickle)
    };
    let magic = next()?;
    if *magic.value(magic.root) != Value::Long(&MAGIC) {
        let found = format!("a Python pickle of {}", magic.kind(magic.root));
        return Err(Error::contents("a file of torch.save, which begins with its magic number", found));
    }
    let version = next()?;
    if *version.value(version.root) != Value::Int(1001) {
        return Err(Error::contents("version 1001 of PyTorch's old format", "another"));
    }
    let system = next()?;
    let little = system.get(system.root, "little_endian").is_none_or(|id| *system.value(id) != Value::Bool(false));
    let object = next()?;
    let keys = next()?;
    let order = if little { Order::Little } else { Order::Big };
    let storages = storages_after(rest, &object, &keys, order)?;
    let tensors = state_dict::choose(&object)?;
    materialise(&object, tensors, &storages, order, Budget::of_file(bytes.len()), Format::PyTorchLegacy)
}

/// The storages of an old file: for each name its length and its numbers.
fn storages_after<'a>(
    mut rest: &'a [u8],
    object: &Pickle<'a>,
    keys: &Pickle<'a>,
    order: Order,
) -> Result<Storages<'a>, Error> {
    let names = keys.items(keys.root).ok_or_else(|| Error::contents("a list of storages", keys.kind(keys.root)))?;
    let mut storages = Storages::new();
    for &name in names {
        let key = keys.text(name).ok_or_else(|| Error::contents("a storage's name", keys.kind(name)))?;
        let Some(&(element, length)) = object.storages.get(key) else {
            return Err(Error::contents("only storages that the pickle uses", format!("storage `{key}`")));
        };
        let damaged = |reason: String| Error::contents(&format!("storage `{key}` of {length} numbers"), reason);
        let Some((count, after)) = rest.split_first_chunk::<8>() else {
            return Err(damaged("the end of the file".into()));
        };
        let count = if order == Order::Little { u64::from_le_bytes(*count) } else { u64::from_be_bytes(*count) };
        if count != length {
            return Err(damaged(format!("one of {count}")));
        }
        let size = length.checked_mul(element.size() as u64).and_then(|size| usize::try_from(size).ok());
        let Some((numbers, after)) = size.and_then(|size| after.split_at_checked(size)) else {
            return Err(damaged(format!("{} bytes", after.len())));
        };
        if storages.insert(key, Cow::Borrowed(numbers)).is_some() {
            return Err(damaged("it twice".into()));
        }
        rest = after;
    }
    Ok(storages)
}

fn materialise(
    pickle: &Pickle<'_>,
    chosen: state_dict::Chosen,
    storages: &Storages<'_>,
    order: Order,
    mut budget: Budget,
    format: Format,
) -> Result<Weights, Error> {
    let mut weights = Weights { metadata: chosen.metadata, format, ..Weights::default() };
    for (name, id) in chosen.tensors {
        let tensor = tensor(pickle, &name, id, storages, order, &mut budget)?;
        weights.tensors.insert(name, tensor);
    }
    Ok(weights)
}

/// The storage that a tensor's arguments begin with.
pub(crate) fn storage_of<'p, 'a>(pickle: &'p Pickle<'a>, arguments: Id) -> Option<&'p Storage<'a>> {
    match pickle.value(*pickle.items(arguments)?.first()?) {
        Value::Storage(storage) => Some(storage),
        _ => None,
    }
}

fn tensor(
    pickle: &Pickle<'_>,
    name: &str,
    arguments: Id,
    storages: &Storages<'_>,
    order: Order,
    budget: &mut Budget,
) -> Result<Tensor, Error> {
    let wrong = |reason: String| Error::Tensor { name: name.into(), reason };
    let view = View::of(pickle, arguments).map_err(wrong)?;
    let storage = &view.storage;
    let element = storage.element;
    let bytes =
        storages.get(storage.key).ok_or_else(|| wrong(format!("expected storage `{}`, found none", storage.key)))?;
    if storage.length.checked_mul(element.size() as u64) != Some(bytes.len() as u64) {
        let (length, key, found) = (storage.length, storage.key, bytes.len());
        return Err(wrong(format!("expected {length} numbers of {element:?} in storage `{key}`, found {found} bytes")));
    }
    view.check().map_err(wrong)?;
    let count = budget.take(name, &view.shape)?;
    let start = (storage.part.0 + view.offset) as usize * element.size();
    let values = match count {
        0 => Vec::new(),
        _ if view.is_row_major() => element.decode(&bytes[start..start + count * element.size()], order),
        _ => view.gather(&bytes[start..], count, order),
    };
    let shape = view.shape.iter().map(|&axis| axis as usize).collect();
    Ok(Tensor { shape, values, precision: element.precision() })
}

/// How a tensor lies in its storage.
struct View<'a> {
    storage: Storage<'a>,
    offset: u64,
    shape: Vec<u64>,
    strides: Vec<u64>,
}

impl<'a> View<'a> {
    fn of(pickle: &Pickle<'a>, arguments: Id) -> Result<Self, String> {
        let storage = *storage_of(pickle, arguments).ok_or("expected a storage, found none")?;
        let Some(&[_, offset, shape, strides, ..]) = pickle.items(arguments) else {
            return Err("expected a storage, an offset, a shape and strides".into());
        };
        let offset = pickle.size(offset).ok_or("expected an offset of 0 or more")?;
        let shape = pickle.sizes(shape).ok_or("expected a shape of whole numbers of 0 or more")?;
        let strides = pickle.sizes(strides).ok_or("expected strides of whole numbers of 0 or more")?;
        if shape.len() != strides.len() || shape.len() > AXES {
            let (axes, found) = (shape.len(), strides.len());
            return Err(format!(
                "expected a stride for each of at most {AXES} axes, found {axes} axes, {found} strides"
            ));
        }
        Ok(Self { storage, offset, shape, strides })
    }

    /// Every number that the view names must lie in its part of the storage.
    fn check(&self) -> Result<(), String> {
        let (_, length) = self.storage.part;
        let last = self.shape.iter().zip(&self.strides).try_fold(self.offset, |last, (&axis, &stride)| {
            last.checked_add(axis.saturating_sub(1).checked_mul(stride)?)
        });
        let fits = if self.shape.contains(&0) { self.offset <= length } else { last.is_some_and(|last| last < length) };
        if fits {
            return Ok(());
        }
        let Self { offset, shape, strides, .. } = self;
        Err(format!(
            "expected a view inside {length} numbers, found offset {offset}, shape {shape:?}, strides {strides:?}"
        ))
    }

    fn is_row_major(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&axis, &stride)| {
            let fits = axis == 1 || stride == expected;
            expected *= axis;
            fits
        })
    }

    /// The view's numbers in row-major order. `bytes` begins at its first number.
    fn gather(&self, bytes: &[u8], count: usize, order: Order) -> Vec<f32> {
        let element = self.storage.element;
        let size = element.size();
        let mut values = Vec::with_capacity(count);
        // Decoded piece by piece: the bytes of an expanded view would take as much room again, or more.
        let mut piece = Vec::with_capacity(PIECE * size);
        let mut index = vec![0; self.shape.len()];
        let mut at = 0u64;
        for _ in 0..count {
            let start = at as usize * size;
            piece.extend_from_slice(&bytes[start..start + size]);
            if piece.len() == PIECE * size {
                values.extend(element.decode(&piece, order));
                piece.clear();
            }
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                at += self.strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                at -= index[axis] * self.strides[axis];
                index[axis] = 0;
            }
        }
        values.extend(element.decode(&piece, order));
        values
    }
}
