//! Arrays of NumPy: features, and labels beside them.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use npyz::{DType, Deserialize, NpyFile, Order, TypeChar};

use super::decide::is_usable;
use super::labels::{find_label, label_column};
use super::raw::{Raw, check_size};
use super::sources::{Source, is_array};
use super::{Cells, Column, VectorReading};
use crate::data::Split;
use crate::data::column_names::{find, listing};
use crate::data::group_hints::of_cell;
use crate::data::grouping::COLUMN_FLAG;
use crate::data::split_column::SplitColumn;
use crate::data::task::SEPARATOR;
use crate::data::text::Limits;
use crate::data::text::encoding::encoding_of;
use crate::data::text::table::{Opening, Table};
use crate::error::{Error, Problem, Result, printable};
use crate::files::open_regular;
use crate::guard::guarded;
use crate::progress::Observer;

/// The longest header of an array, in bytes.
const HEADER: usize = 1 << 16;
/// The longest text in an array, in characters.
const TEXT: u64 = 4096;

/// Reads arrays of features, and the labels beside each.
pub(super) fn read(
    sources: &[Source],
    reading: &VectorReading,
    with_labels: bool,
    observer: &dyn Observer,
) -> Result<Raw> {
    let mut raw = Raw {
        names: Vec::new(),
        columns: Vec::new(),
        labels: Vec::new(),
        splits: Vec::new(),
        groups: Vec::new(),
        label: None,
        is_guess: false,
        decimal_comma: false,
        remarks: Vec::new(),
        findings: Vec::new(),
    };
    for source in sources {
        observer.check()?;
        let path = &source.path;
        let [rows, width] = add_features(source, &mut raw.columns, raw.names.len())?;
        check_size(raw.names.len() + rows, width, path)?;
        raw.names.extend((1..=rows).map(|row| format!("{}row {row}", source.prefix())));
        let beside = match (with_labels, &reading.labels) {
            (false, _) => None,
            (true, Some(asked)) if source.split.is_none() => Some(asked.clone()),
            (true, _) => labels_of(source)?,
        };
        let Some(beside) = beside else {
            raw.labels.resize(raw.names.len(), String::new());
            raw.groups.resize(if reading.grouping.is_asked() { raw.names.len() } else { 0 }, None);
            raw.splits.resize(raw.names.len(), source.split.unwrap_or(Split::Train));
            continue;
        };
        let (labels, splits, groups) = match is_array(&beside) {
            true if reading.grouping.is_asked() => {
                let problem =
                    Problem::new("an array of labels has no columns").expected("a table of labels and groups");
                return Err(Error::Usage(
                    problem.found(printable(&beside)).at(COLUMN_FLAG).hint("--labels names the table"),
                ));
            }
            true => (label_array(&beside)?, Vec::new(), Vec::new()),
            false => label_table(&beside, rows, reading, observer)?,
        };
        if labels.len() != rows {
            let problem = Problem::new("there is not one label for every row")
                .expected(format!("{rows} labels, as {} has rows", printable(path)));
            return Err(Error::Data(problem.found(labels.len()).at(beside)));
        }
        raw.labels.extend(labels);
        raw.groups.extend(groups);
        match (source.split, splits.is_empty()) {
            (None, false) => raw.splits.extend(splits),
            (split, _) => raw.splits.resize(raw.names.len(), split.unwrap_or(Split::Train)),
        }
        if raw.label.is_none() {
            raw.remarks.push(format!("the labels are read from {}", printable(&beside)));
            raw.label = Some(printable(&beside));
        }
    }
    let names: Vec<String> = raw.columns.iter().map(|column| column.name.clone()).collect();
    for name in &reading.ignore {
        let place = find(&names, name, "--ignore-column", &sources[0].path)?;
        raw.columns.retain(|column| column.name != names[place]);
    }
    Ok(raw)
}

/// The file of an array's labels. Only held-out arrays may lack one.
fn labels_of(source: &Source) -> Result<Option<PathBuf>> {
    let stem = source.path.file_stem().map(|stem| printable(Path::new(stem))).unwrap_or_default();
    let mut names = vec![format!("{stem}_labels.npy"), format!("{stem}_labels.csv")];
    if source.split.is_none() {
        names.extend(["labels.npy".to_owned(), "labels.csv".to_owned()]);
    }
    let files = names.iter().map(|name| source.path.with_file_name(name));
    let found = files.into_iter().find(|file| file.exists() && *file != source.path);
    if found.is_some() || source.split.is_some_and(|split| split != Split::Train) {
        return Ok(found);
    }
    let problem = Problem::new("the array has no labels").expected(format!("one of {} beside it", names.join(", ")));
    Err(Error::Data(problem.at(&source.path)))
}

/// Adds the rows of an array to columns of `before` rows each, which are made where there are none.
fn add_features(source: &Source, columns: &mut Vec<Column>, before: usize) -> Result<[usize; 2]> {
    let path = &source.path;
    let mut array = Array::open(path)?;
    let refused = |what: &str, expected: &str, found: String| {
        Err(Error::Data(Problem::new(what).expected(expected).found(found).at(path)))
    };
    let &[rows, width] = array.shape.as_slice() else {
        return refused(
            "the array has not two axes",
            "rows and columns of features",
            format!("shape {:?}", array.shape),
        );
    };
    check_size(rows, width, path)?;
    let values = array.numbers()?;
    if columns.is_empty() {
        let column = |place: usize| Column { name: format!("f{place}"), cells: Cells::Numbers(Vec::new()) };
        columns.extend((0..width).map(column));
    } else if columns.len() != width {
        return refused(
            "the arrays of the splits have different columns",
            &columns.len().to_string(),
            width.to_string(),
        );
    }
    if let Some(place) = values.iter().position(|&value| !is_usable(value)) {
        let (row, column) = array.place(place);
        let place = format!("{}, row {}, column `f{column}`", printable(path), row + 1);
        let problem =
            Problem::new("a number is infinite or too large").expected("numbers up to 3.4e38, NaN for missing ones");
        return Err(Error::Data(problem.found(values[array.index(row, column)]).at(place)));
    }
    for (place, column) in columns.iter_mut().enumerate() {
        if let Cells::Numbers(numbers) = &mut column.cells {
            numbers.reserve_exact(before + rows - numbers.len());
            numbers.extend((0..rows).map(|row| values[array.index(row, place)]));
        }
    }
    Ok([rows, width])
}

/// Labels as an array: numbers or texts on one axis, or a column of zeros and ones for each label.
fn label_array(path: &Path) -> Result<Vec<String>> {
    let mut array = Array::open(path)?;
    let refused = |what: &str, expected: &str, found: String| {
        Err(Error::Data(Problem::new(what).expected(expected).found(found).at(path)))
    };
    let text = |value: f64| if value.is_nan() { String::new() } else { value.to_string() };
    match array.shape.as_slice() {
        [_] | [_, 1] if array.is_text() => array.texts(),
        [_] | [_, 1] => Ok(array.numbers()?.into_iter().map(text).collect()),
        &[rows, labels] => {
            let values = array.numbers()?;
            if let Some(odd) = values.iter().find(|&&value| value != 0.0 && value != 1.0) {
                return refused("labels on two axes are a column for each label", "zeros and ones", odd.to_string());
            }
            let set = |row: usize| {
                let has = (0..labels).filter(|&label| values[array.index(row, label)] == 1.0);
                let set = has.map(|label| label.to_string()).collect::<Vec<_>>().join(&SEPARATOR.to_string());
                // One label alone has to look like a set too.
                if set.is_empty() { set } else { format!("{set}{SEPARATOR}") }
            };
            Ok((0..rows).map(set).collect())
        }
        shape => refused("labels have one axis, or two", "one label for every row", format!("shape {shape:?}")),
    }
}

/// Labels, splits and groups of rows; empty where a table has none of the latter two.
type LabelTable = (Vec<String>, Vec<Split>, Vec<Option<String>>);

/// Labels of `rows` rows as a table: its column of labels, or its only column; with splits where it has such a column. Of an
/// only column the first label looks like a header: where one label is lacking, it is that.
fn label_table(path: &Path, rows: usize, reading: &VectorReading, observer: &dyn Observer) -> Result<LabelTable> {
    let named: Vec<&str> = reading.label.iter().chain(&reading.grouping.column).map(String::as_str).collect();
    let opening = Opening { named: &named, encoding: encoding_of(reading.encoding.as_deref())?, ..Opening::default() };
    let table = Table::open(path, &opening, &Limits::default(), observer)?;
    let names = table.columns();
    let label = match names {
        [_] if reading.label.is_none() => 0,
        _ => label_column(names, reading.label.as_deref(), path)?,
    };
    let group = reading.grouping.column.as_deref();
    let group = group.map(|name| find(names, name, COLUMN_FLAG, path)).transpose()?;
    let sample = table.sample()?;
    let cells = |column: usize| sample.iter().map(|row| row.fields[column].as_deref().unwrap_or_default()).collect();
    let mut split = SplitColumn::find(
        names,
        |column| column != label && Some(column) != group,
        cells,
        |column| table.words_of(column),
    );
    let at = split.as_ref().map(|split| split.column);
    let wanted: Vec<usize> = std::iter::once(label).chain(at).chain(group).collect();
    let (mut labels, mut splits, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    for record in table.records(&wanted)? {
        observer.check()?;
        let mut record = record?;
        if group.is_some() {
            groups.push(of_cell(record.fields.last().and_then(Option::as_deref)));
        }
        labels.push(record.fields[0].take().unwrap_or_default());
        let Some(split) = &mut split else { continue };
        let read = split.read(record.fields[1].as_deref().unwrap_or_default(), Split::Train);
        let place = || format!("{}, row {}", printable(path), record.row);
        splits.push(read.map_err(|problem| Error::Data(problem.at(place())))?);
    }
    if let [only] = names
        && labels.len() + 1 == rows
        && find_label(names).is_none()
    {
        labels.insert(0, only.clone());
    }
    match labels.is_empty() {
        true => Err(Error::Data(Problem::new("the table has no rows").found(listing(names)).at(path))),
        false => Ok((labels, splits, groups)),
    }
}

/// An array whose header was read and found to fit the file.
struct Array {
    path: PathBuf,
    /// Until its numbers or texts are read.
    file: Option<NpyFile<BufReader<File>>>,
    shape: Vec<usize>,
    kind: TypeChar,
    bytes: usize,
    order: Order,
}

impl Array {
    fn open(path: &Path) -> Result<Self> {
        let broken = |found: &dyn std::fmt::Display| {
            let problem = Problem::new("the array cannot be read").expected("a file of NumPy (.npy)").found(found);
            Error::Data(problem.hint("write it anew with numpy.save").at(path))
        };
        let mut file = open_regular(path).map_err(|source| crate::data::missing(path, &source))?;
        let total = file.metadata().map_err(|source| Error::read(path, &source))?.len();
        let mut head = [0; 12];
        file.read_exact(&mut head).map_err(|_| broken(&"a file that ends within its header"))?;
        let (length, before) = match (&head[..6], head[6]) {
            (b"\x93NUMPY", 1) => (usize::from(u16::from_le_bytes([head[8], head[9]])), 10),
            (b"\x93NUMPY", 2 | 3) => (u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize, 12),
            _ => return Err(broken(&"a file that begins like no array")),
        };
        if length > HEADER {
            return Err(broken(&format!("a header of {length} bytes")));
        }
        file.rewind().map_err(|source| Error::read(path, &source))?;
        let npy = guarded("the reader of arrays", || NpyFile::new(BufReader::new(file)))
            .map_err(|panicked| broken(&panicked))?
            .map_err(|source| broken(&source))?;
        let other = |found: String| {
            let problem = Problem::new("the array holds what is not read").found(found);
            let problem = problem.expected("f32, f64, whole numbers, truth values; text for labels");
            Err(Error::Data(problem.hint("convert it, as with x.astype(\"float32\")").at(path)))
        };
        let DType::Plain(dtype) = npy.dtype() else { return other("a structured array".to_owned()) };
        let Some(bytes) = dtype.num_bytes().filter(|_| !dtype.uses_pickled_array()) else {
            return other(format!("the type {dtype}"));
        };
        let (kind, order) = (dtype.type_char(), npy.order());
        let is_read = match kind {
            TypeChar::Bool => bytes == 1,
            TypeChar::Int | TypeChar::Uint => [1, 2, 4, 8].contains(&bytes),
            TypeChar::Float => bytes == 4 || bytes == 8,
            TypeChar::UnicodeStr | TypeChar::ByteStr => dtype.size_field() <= TEXT,
            _ => false,
        };
        if !is_read {
            return other(format!("the type {dtype}"));
        }
        let shape: Vec<usize> = npy.shape().iter().map(|&length| length as usize).collect();
        let size = shape.iter().try_fold(bytes, |size, &length| size.checked_mul(length));
        if size.is_none_or(|size| size as u64 != total.saturating_sub((before + length) as u64)) {
            return Err(broken(&format!("{total} bytes, which do not fit the shape {shape:?} of {dtype}")));
        }
        Ok(Self { path: path.to_owned(), file: Some(npy), shape, kind, bytes, order })
    }

    fn is_text(&self) -> bool {
        matches!(self.kind, TypeChar::UnicodeStr | TypeChar::ByteStr)
    }

    /// Where a number of a row and column lies among all; of one axis the column is 0.
    fn index(&self, row: usize, column: usize) -> usize {
        match self.order {
            Order::C => row * self.shape.get(1).copied().unwrap_or(1) + column,
            Order::Fortran => column * self.shape[0] + row,
        }
    }

    /// The row and column of a place among all numbers of an array with two axes.
    fn place(&self, index: usize) -> (usize, usize) {
        match self.order {
            Order::C => (index / self.shape[1], index % self.shape[1]),
            Order::Fortran => (index % self.shape[0], index / self.shape[0]),
        }
    }

    /// All its numbers, as they lie in the file.
    fn numbers(&mut self) -> Result<Vec<f64>> {
        match (self.kind, self.bytes) {
            (TypeChar::Bool, _) => self.all(|value: bool| f64::from(u8::from(value))),
            (TypeChar::Int, 1) => self.all(|value: i8| f64::from(value)),
            (TypeChar::Int, 2) => self.all(|value: i16| f64::from(value)),
            (TypeChar::Int, 4) => self.all(|value: i32| f64::from(value)),
            (TypeChar::Int, _) => self.all(|value: i64| value as f64),
            (TypeChar::Uint, 1) => self.all(|value: u8| f64::from(value)),
            (TypeChar::Uint, 2) => self.all(|value: u16| f64::from(value)),
            (TypeChar::Uint, 4) => self.all(|value: u32| f64::from(value)),
            (TypeChar::Uint, _) => self.all(|value: u64| value as f64),
            (TypeChar::Float, 4) => self.all(|value: f32| f64::from(value)),
            (TypeChar::Float, _) => self.all(|value: f64| value),
            _ => {
                let problem = Problem::new("the array holds text").expected("numbers");
                Err(Error::Data(problem.at(&self.path)))
            }
        }
    }

    fn texts(&mut self) -> Result<Vec<String>> {
        match self.kind {
            TypeChar::ByteStr => self.all(|value: Vec<u8>| String::from_utf8_lossy(&value).trim().to_owned()),
            _ => self.all(|value: String| value.trim().to_owned()),
        }
    }

    fn all<T: Deserialize, U>(&mut self, convert: impl Fn(T) -> U) -> Result<Vec<U>> {
        let file = self.file.take();
        let broken = |found: &dyn std::fmt::Display| {
            Error::Data(Problem::new("the array cannot be read").found(found).at(&self.path))
        };
        let file = file.ok_or_else(|| broken(&"an array that was read before"))?;
        guarded("the reader of arrays", || -> std::result::Result<Vec<U>, String> {
            let reader = file.data::<T>().map_err(|error| error.to_string())?;
            reader.map(|value| value.map(&convert).map_err(|error| error.to_string())).collect()
        })
        .map_err(|panicked| broken(&panicked))?
        .map_err(|error| broken(&error))
    }
}
