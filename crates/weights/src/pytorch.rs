//! PyTorch's files: a pickle of dictionaries whose tensors are views of storages beside it.
//!
//! Since 1.6 a zip archive (`data.pkl`, `data/KEY`, `byteorder`); before, pickles one after the other (a magic number,
//! a version, the writer's system, the object, the storages' names) and then the storages.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use crate::archive::{Archive, Entry};
use crate::budget::Budget;
use crate::element::{Element, Order};
use crate::pickle::{self, Id, Pickle, Storage, Value};
use crate::source::{Source, reserved};
use crate::state_dict;
use crate::{Error, Format, Tensor, Weights};

/// The largest pickle that is read, in bytes. That of 100,000 tensors has 20 MB.
pub const PICKLE_LIMIT: u64 = 256 << 20;

/// What a file of PyTorch before 1.6 is.
pub(crate) const TORCH_SAVE: &str = "a file of torch.save, which begins with its magic number";

/// The types of numbers, as PyTorch names them, of tensors whose storage does not say it.
const TYPES: [&str; 14] = [
    "torch.float8_e4m3fn",
    "torch.float8_e4m3fnuz",
    "torch.float8_e5m2",
    "torch.float8_e5m2fnuz",
    "torch.float8_e8m0fnu",
    "torch.float4_e2m1fn_x2",
    "torch.uint16",
    "torch.uint32",
    "torch.uint64",
    "torch.uint4",
    "torch.int4",
    "torch.complex32",
    "torch.complex64",
    "torch.complex128",
];

/// Bytes of an old file that are read at first: enough for the pickles of most.
const WINDOW: u64 = 4 << 20;

/// The number that old files begin with.
const MAGIC: [u8; 10] = 0x1950_a86a_20f9_469c_fc6c_u128.to_le_bytes().first_chunk().copied().unwrap();

/// The longest shape that is read.
const AXES: usize = 32;

/// Numbers of a view that are decoded at once.
const PIECE: usize = 4096;

/// Where the bytes of a storage are.
#[derive(Debug)]
enum Block<'a> {
    /// In the file.
    File(Source<'a>),
    /// In an entry of an archive, which is compared with its checksum when the first number is read.
    Entry { entry: Entry<'a>, content: OnceCell<Source<'a>> },
}

impl<'a> Block<'a> {
    fn length(&self) -> u64 {
        match self {
            Self::File(source) => source.length(),
            Self::Entry { entry, .. } => entry.size,
        }
    }

    fn source(&self) -> Result<&Source<'a>, Error> {
        match self {
            Self::File(source) => Ok(source),
            Self::Entry { entry, content } => match content.get() {
                Some(content) => Ok(content),
                None => {
                    let checked = entry.content()?;
                    Ok(content.get_or_init(|| checked))
                }
            },
        }
    }
}

/// Every storage, by name.
type Blocks<'a> = BTreeMap<String, Block<'a>>;

/// Opens a file of PyTorch 1.6 or later.
pub(crate) fn open_archive<'a>(archive: &Archive<'a>) -> Result<(Weights, Views<'a>), Error> {
    let folder = archive.pickle().unwrap_or_default();
    if archive
        .any(|name| name.strip_prefix(folder).is_some_and(|name| name == "constants.pkl" || name.starts_with("code/")))
    {
        return Err(Error::WholeModel { found: "a TorchScript archive, as torch.jit.save writes".into() });
    }
    let entry = |name: &str| archive.get(&format!("{folder}{name}"), PICKLE_LIMIT);
    let bytes = entry("data.pkl")?.ok_or_else(|| Error::contents("an entry data.pkl", "none"))?;
    let order = match entry("byteorder")?.as_deref() {
        None | Some(b"little") => Order::Little,
        Some(b"big") => Order::Big,
        Some(_) => return Err(Error::contents("little or big in the entry byteorder", "something else")),
    };
    let pickle = pickle::load(&bytes)?;
    let tensors = state_dict::choose(&pickle)?;
    let mut blocks = Blocks::new();
    for storage in tensors.storages(&pickle) {
        let name = format!("data/{}", storage.key);
        let entry = archive.entry(&format!("{folder}{name}"));
        let entry =
            entry.ok_or_else(|| Error::Archive { reason: format!("expected an entry `{name}`, found none") })?;
        blocks.insert(storage.key.to_owned(), Block::Entry { entry: entry.clone(), content: OnceCell::new() });
    }
    Views::of(&pickle, tensors, blocks, order, archive.length, Format::PyTorch)
}

/// Opens a file of PyTorch before 1.6; any other pickle is told what it is.
///
/// Nothing says where the pickles end, so that a longer start of the file is taken where they do not end in a shorter.
pub(crate) fn open_legacy(source: Source<'_>) -> Result<(Weights, Views<'_>), Error> {
    let mut window = WINDOW;
    loop {
        let length = window.min(source.length());
        match open_pickles(&source.bytes(0, length)?, &source) {
            Err(Error::Pickle { .. }) if length < source.length() && window < PICKLE_LIMIT => window *= 4,
            Err(Error::Pickle { .. }) if length < source.length() => {
                let (limit, found) = (PICKLE_LIMIT, source.length());
                return Err(Error::TooLarge { what: "bytes of pickles".into(), limit, found });
            }
            opened => return opened,
        }
    }
}

/// `start` are the first bytes of `source`.
fn open_pickles<'a>(start: &[u8], source: &Source<'a>) -> Result<(Weights, Views<'a>), Error> {
    let mut at = 0;
    let mut next = || -> Result<Pickle<'_>, Error> {
        let pickle = pickle::load(&start[at..])?;
        at += pickle.length;
        Ok(pickle)
    };
    let magic = next()?;
    if *magic.value(magic.root) != Value::Long(&MAGIC) {
        let found = format!("a Python pickle of {}", magic.kind(magic.root));
        return Err(Error::contents(TORCH_SAVE, found));
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
    let blocks = blocks_after(at as u64, source, &object, &keys, order)?;
    let tensors = state_dict::choose(&object)?;
    Views::of(&object, tensors, blocks, order, source.length(), Format::PyTorchLegacy)
}

/// The storages of an old file: from `at`, for each name its length and its numbers.
fn blocks_after<'a>(
    mut at: u64,
    source: &Source<'a>,
    object: &Pickle<'_>,
    keys: &Pickle<'_>,
    order: Order,
) -> Result<Blocks<'a>, Error> {
    let names = keys.items(keys.root).ok_or_else(|| Error::contents("a list of storages", keys.kind(keys.root)))?;
    let mut blocks = Blocks::new();
    for &name in names {
        let key = keys.text(name).ok_or_else(|| Error::contents("a storage's name", keys.kind(name)))?;
        let Some(&(element, length)) = object.storages.get(key) else {
            return Err(Error::contents("only storages that the pickle uses", format!("storage `{key}`")));
        };
        let damaged = |reason: String| Error::contents(&format!("storage `{key}` of {length} numbers"), reason);
        let mut count = [0; 8];
        let Some(head) = source.part(at, 8) else {
            return Err(damaged("the end of the file".into()));
        };
        head.fill(0, &mut count)?;
        let count = if order == Order::Little { u64::from_le_bytes(count) } else { u64::from_be_bytes(count) };
        if count != length {
            return Err(damaged(format!("one of {count}")));
        }
        at += 8;
        let size = length.checked_mul(element.size() as u64);
        let size = size.ok_or_else(|| damaged(format!("{} bytes", source.length() - at)))?;
        let Some(numbers) = source.part(at, size) else {
            return Err(Error::Truncated { expected: at.saturating_add(size), found: source.length() });
        };
        at += numbers.length();
        if blocks.insert(key.to_owned(), Block::File(numbers)).is_some() {
            return Err(damaged("it twice".into()));
        }
    }
    Ok(blocks)
}

/// Where the numbers of a file's tensors lie.
#[derive(Debug)]
pub(crate) struct Views<'a> {
    views: BTreeMap<String, View>,
    blocks: Blocks<'a>,
    order: Order,
    spent: RefCell<Spent>,
}

/// What reading has cost.
#[derive(Debug)]
struct Spent {
    /// Tensors that are paid for.
    names: BTreeSet<String>,
    numbers: Budget,
    /// Bytes of storages of which tensors take a part here and there.
    spans: Budget,
}

impl Spent {
    fn of_file(length: u64) -> Self {
        Self { names: BTreeSet::new(), numbers: Budget::of_file(length), spans: Budget::of_file(length) }
    }

    /// Pays for a tensor, which may be read more than once.
    fn pay(&mut self, name: &str, view: &View) -> Result<(), Error> {
        if self.names.contains(name) {
            return Ok(());
        }
        self.numbers.take(name, &view.shape)?;
        if !view.is_row_major() {
            // They are read from the first to the last, whatever lies between.
            let bytes = view.span() * view.element.size() as u64;
            self.spans.take_bytes("bytes of storages of which tensors take a part here and there", bytes)?;
        }
        self.names.insert(name.to_owned());
        Ok(())
    }
}

impl<'a> Views<'a> {
    /// The chosen tensors without their numbers, and where those lie: inside their storages, and each within the budget of a
    /// file of `length` bytes. All that are read are within it together: of copies that share their numbers only those
    /// count that somebody asks for.
    fn of(
        pickle: &Pickle<'_>,
        chosen: state_dict::Chosen,
        blocks: Blocks<'a>,
        order: Order,
        length: u64,
        format: Format,
    ) -> Result<(Weights, Self), Error> {
        let mut headers = Weights { metadata: chosen.metadata, format, ..Weights::default() };
        let mut views = BTreeMap::new();
        for (name, id) in chosen.tensors {
            let wrong = |reason: String| Error::Tensor { name: name.clone(), reason };
            let view = View::of(pickle, id).map_err(wrong)?;
            let View { element, key, .. } = &view;
            let block = blocks.get(key).ok_or_else(|| wrong(format!("expected storage `{key}`, found none")))?;
            // Of a type that is not read, not even the size is of use.
            let is_read = element.check(&name).is_ok();
            if is_read && view.whole.checked_mul(element.size() as u64) != Some(block.length()) {
                let (length, found) = (view.whole, block.length());
                return Err(wrong(format!(
                    "expected {length} numbers of {element:?} in storage `{key}`, found {found} bytes"
                )));
            }
            view.check().map_err(wrong)?;
            Spent::of_file(length).pay(&name, &view)?;
            let shape = view.shape.iter().map(|&axis| axis as usize).collect();
            let tensor = Tensor { shape, values: Vec::new(), precision: element.precision() };
            headers.tensors.insert(name.clone(), tensor);
            views.insert(name, view);
        }
        Ok((headers, Self { views, blocks, order, spent: RefCell::new(Spent::of_file(length)) }))
    }

    /// The numbers of a tensor.
    pub(crate) fn values(&self, name: &str) -> Result<Option<Vec<f32>>, Error> {
        let Some(view) = self.views.get(name) else { return Ok(None) };
        let Some(block) = self.blocks.get(&view.key) else { return Ok(None) };
        view.element.check(name)?;
        self.spent.borrow_mut().pay(name, view)?;
        // Of an empty tensor, too, the storage is looked at.
        let source = block.source()?;
        let span = view.span();
        if span == 0 {
            return Ok(Some(Vec::new()));
        }
        let size = view.element.size() as u64;
        let part = source.part((view.part.0 + view.offset) * size, span * size);
        let part = part.ok_or(Error::Truncated { expected: span * size, found: source.length() })?;
        let mut values = match view.is_row_major() {
            true => view.element.read(&part, self.order)?,
            false => view.gather(&part.all()?, self.order)?,
        };
        if view.negative {
            values.iter_mut().for_each(|value| *value = -*value);
        }
        Ok(Some(values))
    }
}

/// The storage that a tensor's arguments begin with.
pub(crate) fn storage_of<'p, 'a>(pickle: &'p Pickle<'a>, arguments: Id) -> Option<&'p Storage<'a>> {
    match pickle.value(*pickle.items(arguments)?.first()?) {
        Value::Storage(storage) => Some(storage),
        _ => None,
    }
}

/// The type that stands beside a storage of bytes, where it is one.
fn type_of(pickle: &Pickle<'_>, id: Id) -> Option<&'static str> {
    let Value::Global(_) = pickle.value(id) else { return None };
    let found = pickle.global_name(id).and_then(|name| TYPES.iter().find(|known| **known == name));
    Some(found.map_or("unknown", |known| &known["torch.".len()..]))
}

/// What PyTorch notes of a tensor beside its view: whether its numbers are to be read as their negatives. Conjugates of
/// numbers that are not complex are the numbers themselves.
fn is_negative(pickle: &Pickle<'_>, metadata: Id) -> Result<bool, String> {
    let Some(items) = pickle.mapping(metadata) else { return Ok(false) };
    let mut negative = false;
    for &(key, value) in items {
        let is_set = !matches!(pickle.value(value), Value::Bool(false) | Value::None);
        match pickle.text(key) {
            Some("neg") => negative = is_set,
            Some("conj") => {}
            _ if !is_set => {}
            other => {
                let found: String = other.unwrap_or(pickle.kind(key)).escape_debug().take(40).collect();
                return Err(format!("expected neg or conj as what is noted beside a view, found {found}"));
            }
        }
    }
    Ok(negative)
}

/// How a tensor lies in its storage.
#[derive(Debug)]
struct View {
    /// The storage's name.
    key: String,
    element: Element,
    /// Numbers in the whole storage.
    whole: u64,
    /// Where the part of it begins that the view looks at, and how many numbers that has.
    part: (u64, u64),
    /// From the start of the part.
    offset: u64,
    shape: Vec<u64>,
    strides: Vec<u64>,
    /// Whether every number is the negative of the stored one.
    negative: bool,
}

impl View {
    fn of(pickle: &Pickle<'_>, arguments: Id) -> Result<Self, String> {
        let storage = *storage_of(pickle, arguments).ok_or("expected a storage, found none")?;
        let Some(&[_, offset, shape, strides, ref more @ ..]) = pickle.items(arguments) else {
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
        let Storage { key, element, length: whole, part } = storage;
        let (element, negative) = match (element, more.get(2)) {
            (Element::Other { .. }, _) | (_, None) => (element, false),
            (_, Some(&more)) => match type_of(pickle, more) {
                Some(name) => (Element::Other { name, size: element.size() }, false),
                None => (element, is_negative(pickle, more)?),
            },
        };
        Ok(Self { key: key.to_owned(), element, whole, part, offset, shape, strides, negative })
    }

    /// Every number that the view names must lie in its part of the storage.
    fn check(&self) -> Result<(), String> {
        let (_, length) = self.part;
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

    /// Numbers from the first to the last, both included. Only after [`View::check`].
    fn span(&self) -> u64 {
        if self.shape.contains(&0) {
            return 0;
        }
        self.shape.iter().zip(&self.strides).map(|(axis, stride)| (axis - 1) * stride).sum::<u64>() + 1
    }

    /// The view's numbers in row-major order. `bytes` begins at its first number and ends at its last.
    fn gather(&self, bytes: &[u8], order: Order) -> Result<Vec<f32>, Error> {
        let element = self.element;
        let size = element.size();
        let count = self.shape.iter().product();
        let mut values = reserved(count)?;
        // Decoded piece by piece: the bytes of an expanded view would take as much room again, or more.
        let mut piece = Vec::with_capacity(PIECE * size);
        let mut index = vec![0; self.shape.len()];
        let mut at = 0u64;
        for _ in 0..count {
            let start = at as usize * size;
            piece.extend_from_slice(&bytes[start..start + size]);
            if piece.len() == PIECE * size {
                element.decode_into(&piece, order, &mut values);
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
        element.decode_into(&piece, order, &mut values);
        Ok(values)
    }
}
