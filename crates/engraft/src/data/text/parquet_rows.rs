//! Tables as Parquet: only the columns asked for, a few rows at a time, within limits.
//!
//! Sizes that a file declares are checked before anything is allocated for them: of a column chunk in its metadata, of a
//! page in the first fields of its header (which is why pages are read through [`Guarded`]), of dictionaries and of lists
//! of lengths against the page that holds them. A panic of the decoder on a broken file is an error here.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, ConvertedType, Encoding, Type as PhysicalType};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::DataType;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length, SerializedPageReader};

use super::Limits;
use super::parquet_columns::{Form, big_endian, class_names, decimal, name_of, not_read, scale, unit_of_time};
use super::parquet_depth;
use super::record::{Blobs, KINDS, Opening, Record, Records, too_long};
use crate::data::task::SEPARATOR;
use crate::error::{Error, Problem, Result};
use crate::files::open_regular;
use crate::guard::guarded;

/// Rows that are decoded at once.
const BATCH: usize = 64;

/// What was found out about a Parquet file.
#[derive(Debug)]
pub(super) struct ParquetRows {
    pub(super) columns: Vec<String>,
    /// Names of classes, as the `datasets` library keeps them beside a column of whole numbers.
    pub(super) class_names: BTreeMap<String, Vec<String>>,
    metadata: Arc<ParquetMetaData>,
    /// The leaf of each column.
    leaves: Vec<usize>,
    /// Columns that are not read, each with why.
    pub(super) passed: Vec<String>,
}

impl ParquetRows {
    pub(super) fn open(path: &Path, opening: &Opening) -> Result<Self> {
        let file = open_regular(path).map_err(|source| crate::data::missing(path, &source))?;
        parquet_depth::check(&file).map_err(|found| broken(path, found))?;
        let metadata = caught(path, || ParquetMetaDataReader::new().parse_and_finish(&file))?;
        let (mut columns, mut leaves, mut passed) = (Vec::new(), Vec::new(), Vec::new());
        for (leaf, column) in metadata.file_metadata().schema_descr().columns().iter().enumerate() {
            let name = name_of(column);
            match not_read(column, &name, opening.named) {
                None => {
                    columns.push(name);
                    leaves.push(leaf);
                }
                Some(why) => passed.push(format!("`{name}` ({why})")),
            }
        }
        if columns.is_empty() {
            let problem = Problem::new("the table has no columns of texts or numbers").expected(KINDS);
            return Err(Error::Data(problem.found(passed.join(", ")).at(path)));
        }
        let class_names = class_names(&metadata);
        Ok(Self { columns, class_names, metadata: Arc::new(metadata), leaves, passed })
    }

    /// What is not read, and what is read as another kind than it is.
    pub(super) fn remarks(&self) -> impl Iterator<Item = String> {
        let schema = self.metadata.file_metadata().schema_descr();
        let columns = self.leaves.iter().zip(&self.columns);
        let times =
            columns.filter_map(|(&leaf, name)| Some(format!("`{name}` ({})", unit_of_time(&schema.column(leaf))?)));
        let times: Vec<String> = times.collect();
        let told = |what: &str, names: &[String]| (!names.is_empty()).then(|| format!("{what}: {}", names.join(", ")));
        let read_as = "dates and times that are read as numbers, counted from 1970-01-01";
        told("columns that are not read", &self.passed).into_iter().chain(told(read_as, &times))
    }

    /// The columns of bytes that are not said to be text.
    pub(super) fn byte_columns(&self) -> Vec<usize> {
        let schema = self.metadata.file_metadata().schema_descr();
        let is_of_bytes = |&column: &usize| {
            let column = schema.column(self.leaves[column]);
            Form::of(&column) == Form::Bytes
                || column.physical_type() == PhysicalType::BYTE_ARRAY
                    && column.converted_type() == ConvertedType::NONE
                    && column.logical_type_ref().is_none()
        };
        (0..self.columns.len()).filter(is_of_bytes).collect()
    }

    /// The bytes of a column, row by row.
    pub(super) fn bytes(&self, path: &Path, column: usize, limits: &Limits) -> Result<Blobs> {
        let limits = Limits { record: limits.page, ..*limits };
        let mut rows = self.rows(path, &[column], &limits)?;
        let mut ended = false;
        Ok(Box::new(std::iter::from_fn(move || {
            if ended {
                return None;
            }
            let next = rows.next().map(|row| row.map(|mut fields| fields.pop().flatten()));
            ended = !matches!(next, Ok(Some(_)));
            next.transpose()
        })))
    }

    pub(super) fn records(&self, path: &Path, columns: &[usize], limits: &Limits) -> Result<Records> {
        let schema = self.metadata.file_metadata().schema_descr();
        let forms: Vec<Form> = columns.iter().map(|&column| Form::of(&schema.column(self.leaves[column]))).collect();
        let mut rows = self.rows(path, columns, limits)?;
        let mut ended = false;
        Ok(Box::new(std::iter::from_fn(move || {
            if ended {
                return None;
            }
            let next = rows.next().map(|fields| fields.map(|fields| record(rows.row, fields, &forms)));
            ended = !matches!(next, Ok(Some(_)));
            next.transpose()
        })))
    }

    fn rows(&self, path: &Path, columns: &[usize], limits: &Limits) -> Result<Rows> {
        let leaves: Vec<usize> = columns.iter().map(|&column| self.leaves[column]).collect();
        for group in self.metadata.row_groups() {
            for &leaf in &leaves {
                let Some(chunk) = group.columns().get(leaf) else {
                    return Err(broken(path, "a row group lacks a column"));
                };
                if let Compression::BROTLI(_) | Compression::LZO = chunk.compression() {
                    let problem = Problem::new("the Parquet file is packed in a way that is not read")
                        .expected("Snappy, Zstandard, gzip, LZ4 or nothing")
                        .found(if chunk.compression() == Compression::LZO { "LZO" } else { "Brotli" });
                    return Err(Error::Data(problem.hint("write it again with compression=\"zstd\"").at(path)));
                }
                let size = chunk.uncompressed_size();
                if !u64::try_from(size).is_ok_and(|size| size <= limits.chunk) {
                    return Err(Error::Data(
                        Problem::new("a column chunk is too large")
                            .expected(format!("at most {} bytes, uncompressed", limits.chunk))
                            .found(format!("{size} bytes in `{}`", chunk.column_path().string()))
                            .hint("write the file with smaller row groups")
                            .at(path),
                    ));
                }
            }
        }
        let file = open_regular(path).map_err(|source| crate::data::missing(path, &source))?;
        Ok(Rows {
            file: Arc::new(Guarded { file, page: limits.page }),
            path: path.to_owned(),
            metadata: self.metadata.clone(),
            leaves,
            group: 0,
            columns: Vec::new(),
            left: 0,
            row: 0,
            record: limits.record,
        })
    }
}

/// Fields as text, without white space around it.
fn record(row: u64, fields: Vec<Option<Vec<u8>>>, forms: &[Form]) -> Record {
    let mut padded = Vec::new();
    let lists = (0..forms.len()).filter(|&at| forms[at] == Form::Labels).collect();
    let text = |(at, field): (usize, Option<Vec<u8>>)| {
        let field = field.filter(|_| forms[at] != Form::Bytes);
        let text = field.map(|bytes| match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(bytes) => String::from_utf8_lossy(bytes.as_bytes()).into_owned(),
        })?;
        let trimmed = text.trim();
        if trimmed.len() < text.len() {
            padded.push(at);
            return Some(trimmed.to_owned());
        }
        Some(text)
    };
    let fields = fields.into_iter().enumerate().map(text).collect();
    Record { row, line: row, fields, padded, lists }
}

fn broken(path: &Path, found: impl std::fmt::Display) -> Error {
    Error::Data(Problem::new("the Parquet file cannot be read").found(found).at(path))
}

fn caught<T>(path: &Path, work: impl FnOnce() -> ParquetResult<T>) -> Result<T> {
    match guarded("its decoder", work) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(ParquetError::External(source))) if source.is::<Refused>() => {
            let Refused(problem) = *source.downcast().unwrap_or_else(|_| Box::new(Refused(Problem::new("refused"))));
            Err(Error::Data(problem.at(path)))
        }
        Ok(Err(source)) => Err(broken(path, source)),
        Err(panic) => Err(broken(path, panic)),
    }
}

/// A refusal of ours on its way through the Parquet reader.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(Problem);

fn refuse<T>(problem: Problem) -> ParquetResult<T> {
    Err(ParquetError::External(Box::new(Refused(problem))))
}

struct Rows {
    file: Arc<Guarded>,
    path: PathBuf,
    metadata: Arc<ParquetMetaData>,
    leaves: Vec<usize>,
    /// The next row group.
    group: usize,
    columns: Vec<Column>,
    /// Rows of the current row group that are still to come.
    left: u64,
    row: u64,
    record: usize,
}

struct Column {
    reader: ColumnReader,
    form: Form,
    kind: ConvertedType,
    scale: Option<u32>,
    max_level: i16,
    batch: usize,
    ready: VecDeque<Option<Vec<u8>>>,
}

impl Rows {
    fn next(&mut self) -> Result<Option<Vec<Option<Vec<u8>>>>> {
        while self.left == 0 {
            if self.group == self.metadata.num_row_groups() {
                return Ok(None);
            }
            self.open_group()?;
        }
        self.left -= 1;
        self.row += 1;
        let mut fields = Vec::with_capacity(self.columns.len());
        for column in &mut self.columns {
            if column.ready.is_empty() {
                caught(&self.path, || column.fill(self.record))?;
            }
            let Some(field) = column.ready.pop_front() else {
                return Err(broken(&self.path, format!("a column ends before row {}", self.row)));
            };
            fields.push(field);
        }
        Ok(Some(fields))
    }

    fn open_group(&mut self) -> Result<()> {
        let group = self.metadata.row_group(self.group);
        self.group += 1;
        let Ok(rows) = u64::try_from(group.num_rows()) else {
            return Err(broken(&self.path, "a row group of less than no rows"));
        };
        self.columns.clear();
        for &leaf in &self.leaves {
            let column = caught(&self.path, || {
                let chunk = group.column(leaf);
                let descriptor = chunk.column_descr_ptr();
                let prefixed = chunk.encodings().any(|encoding| encoding == Encoding::DELTA_BYTE_ARRAY);
                let pages = SerializedPageReader::new(self.file.clone(), chunk, rows as usize, None)?;
                let max_level = descriptor.max_def_level();
                let levels = usize::from(max_level > 0) + usize::from(descriptor.max_rep_level() > 0);
                let checked = Checked { pages, levels, prefixed };
                Ok(Column {
                    form: Form::of(&descriptor),
                    kind: descriptor.converted_type(),
                    scale: scale(&descriptor),
                    max_level,
                    // A value that repeats the start of the one before may be as long as a page.
                    batch: if prefixed { 1 } else { BATCH },
                    reader: get_column_reader(descriptor, Box::new(checked)),
                    ready: VecDeque::new(),
                })
            })?;
            self.columns.push(column);
        }
        self.left = rows;
        Ok(())
    }
}

impl Column {
    fn fill(&mut self, limit: usize) -> ParquetResult<()> {
        let Self { reader, form, kind, scale, max_level, batch, ready } = self;
        let form = *form;
        let scale = *scale;
        let number = |bytes: &[u8]| match scale {
            // Two bytes that are no decimal number are half a float.
            None => Ok(half::f16::from_le_bytes([bytes[0], bytes[1]]).to_string().into_bytes()),
            Some(scale) => match big_endian(bytes) {
                Some(value) => Ok(decimal(value, scale).into_bytes()),
                None => Err(ParquetError::General("a decimal number of more than 38 digits".to_owned())),
            },
        };
        let mut read = Batch { form, max_level: *max_level, batch: *batch, limit, ready };
        match reader {
            ColumnReader::BoolColumnReader(reader) => read.of(reader, |value| Ok(value.to_string().into_bytes())),
            ColumnReader::Int32ColumnReader(reader) if form == Form::Bytes => {
                read.of(reader, |&value| Ok(vec![value as u8]))
            }
            ColumnReader::Int32ColumnReader(reader) => read.of(reader, |&value| {
                let text = match (scale, *kind) {
                    (Some(scale), _) => decimal(value.into(), scale),
                    (_, ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32) => {
                        value.cast_unsigned().to_string()
                    }
                    _ => value.to_string(),
                };
                Ok(text.into_bytes())
            }),
            ColumnReader::Int64ColumnReader(reader) => read.of(reader, |&value| {
                let text = match (scale, *kind) {
                    (Some(scale), _) => decimal(value.into(), scale),
                    (_, ConvertedType::UINT_64) => value.cast_unsigned().to_string(),
                    _ => value.to_string(),
                };
                Ok(text.into_bytes())
            }),
            ColumnReader::FloatColumnReader(reader) => read.of(reader, |value| Ok(value.to_string().into_bytes())),
            ColumnReader::DoubleColumnReader(reader) => read.of(reader, |value| Ok(value.to_string().into_bytes())),
            ColumnReader::ByteArrayColumnReader(reader) => read.of(reader, |value| match value.len() > limit {
                true => refuse(too_long(limit)),
                false if scale.is_some() => number(value.data()),
                false => Ok(value.data().to_vec()),
            }),
            ColumnReader::FixedLenByteArrayColumnReader(reader) => {
                read.of(reader, |value| match value.len() < 2 && scale.is_none() {
                    true => Err(ParquetError::General("half a float of one byte".to_owned())),
                    false => number(value.data()),
                })
            }
            ColumnReader::Int96ColumnReader(_) => Err(ParquetError::NYI("this type".to_owned())),
        }
    }
}

struct Batch<'a> {
    form: Form,
    max_level: i16,
    batch: usize,
    /// The longest list of bytes.
    limit: usize,
    ready: &'a mut VecDeque<Option<Vec<u8>>>,
}

impl Batch<'_> {
    fn of<T: DataType>(
        &mut self,
        reader: &mut ColumnReaderImpl<T>,
        text: impl Fn(&T::T) -> ParquetResult<Vec<u8>>,
    ) -> ParquetResult<()> {
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        if self.form != Form::One {
            let mut repeats = Vec::new();
            reader.read_records(self.batch, Some(&mut levels), Some(&mut repeats), &mut values)?;
            return self.lists(&levels, &repeats, values.iter().map(text));
        }
        let (records, _, _) = reader.read_records(self.batch, Some(&mut levels), None, &mut values)?;
        let mut values = values.iter();
        for record in 0..records {
            let is_there = self.max_level == 0 || levels.get(record) == Some(&self.max_level);
            let value = if is_there { values.next() } else { None };
            self.ready.push_back(value.map(&text).transpose()?);
        }
        Ok(())
    }

    /// Lists by their levels: a row begins where nothing repeats; an element is there at the highest level.
    fn lists(
        &mut self,
        levels: &[i16],
        repeats: &[i16],
        mut elements: impl Iterator<Item = ParquetResult<Vec<u8>>>,
    ) -> ParquetResult<()> {
        let mut rows: Vec<Option<Vec<u8>>> = Vec::new();
        for (level, repeat) in levels.iter().zip(repeats) {
            let begins = *repeat == 0;
            if begins {
                rows.push((*level > 0).then(Vec::new));
            }
            if *level < self.max_level {
                continue;
            }
            let (Some(Some(row)), Some(element)) = (rows.last_mut(), elements.next().transpose()?) else {
                return Err(ParquetError::General("a list without a beginning or without its elements".to_owned()));
            };
            if self.form == Form::Labels {
                if element.contains(&(SEPARATOR as u8)) {
                    let found = format!("a label in a list that holds `{SEPARATOR}`, which stands between several");
                    return Err(ParquetError::General(found));
                }
                if !begins {
                    row.push(SEPARATOR as u8);
                }
            }
            row.extend(element);
            if row.len() > self.limit {
                return refuse(too_long(self.limit));
            }
        }
        self.ready.extend(rows);
        Ok(())
    }
}

/// A file whose pages are refused by their declared size before they are read. The page reader asks for a reader at every
/// page's header, and for nothing else.
#[derive(Debug)]
struct Guarded {
    file: File,
    /// The largest page, in bytes.
    page: usize,
}

impl Length for Guarded {
    fn len(&self) -> u64 {
        Length::len(&self.file)
    }
}

impl ChunkReader for Guarded {
    type T = BufReader<File>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(start))?;
        let mut reader = BufReader::new(file);
        let limit = self.page as u64;
        match declared(reader.fill_buf()?) {
            Some((uncompressed, compressed)) if uncompressed.max(compressed) <= limit => Ok(reader),
            Some((uncompressed, compressed)) => refuse(
                Problem::new("a page is too large")
                    .expected(format!("at most {limit} bytes"))
                    .found(format!("{uncompressed} bytes in {compressed}"))
                    .hint("write the file with smaller pages"),
            ),
            None => Err(ParquetError::General("a page's header is broken".to_owned())),
        }
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        if start.saturating_add(length as u64) > Length::len(&self.file) {
            return Err(ParquetError::EOF("a page reaches over the end of the file".to_owned()));
        }
        self.file.get_bytes(start, length)
    }
}

/// The sizes that a page's header declares, uncompressed and compressed: the second and third field of the structure in
/// Thrift's compact protocol, each a 32-bit number one field after the last (`0x15`).
fn declared(header: &[u8]) -> Option<(u64, u64)> {
    let mut rest = header;
    let mut fields = [0; 3];
    for field in &mut fields {
        rest = rest.strip_prefix(&[0x15])?;
        let (value, after) = variable(rest)?;
        // Zigzag: even numbers are not negative.
        *field = if value % 2 == 0 { value / 2 } else { return None };
        rest = after;
    }
    Some((fields[1], fields[2]))
}

/// A number of variable length (LEB128) and what comes after it.
fn variable(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = bytes.iter().take(9).position(|byte| byte & 0x80 == 0)? + 1;
    let value = bytes[..length].iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7F));
    Some((value, &bytes[length..]))
}

/// Pages whose counts fit what they hold, so that no list is made for values that are not there.
struct Checked {
    pages: SerializedPageReader<Guarded>,
    /// Lists of levels before the values: of definitions, and before them of repetitions.
    levels: usize,
    prefixed: bool,
}

impl Checked {
    fn check(&self, page: &Page) -> ParquetResult<()> {
        let values = u64::from(page.num_values());
        let fits = match page {
            Page::DictionaryPage { buf, .. } => values <= buf.len() as u64,
            Page::DataPage { buf, .. } => self.lengths_fit(page, values, self.levels(buf)),
            Page::DataPageV2 { rep_levels_byte_len, def_levels_byte_len, .. } => {
                let levels = rep_levels_byte_len.saturating_add(*def_levels_byte_len);
                self.lengths_fit(page, values, Some(levels as usize))
            }
        };
        match fits {
            true => Ok(()),
            false => Err(ParquetError::General("a page declares more values than it holds".to_owned())),
        }
    }

    /// The length of the levels at the start of a page of the first format.
    fn levels(&self, buffer: &[u8]) -> Option<usize> {
        let mut at = 0_usize;
        for _ in 0..self.levels {
            let length = u32::from_le_bytes(buffer.get(at..at.checked_add(4)?)?.try_into().ok()?);
            at += 4 + length as usize;
        }
        Some(at)
    }

    /// Whether a page of lengths declares no more of them than it has values: after block size and miniblocks their count.
    fn lengths_fit(&self, page: &Page, values: u64, levels: Option<usize>) -> bool {
        match page.encoding() {
            Encoding::DELTA_BYTE_ARRAY if !self.prefixed => false,
            Encoding::DELTA_BYTE_ARRAY | Encoding::DELTA_LENGTH_BYTE_ARRAY => {
                let count = levels.and_then(|levels| {
                    let (_, rest) = variable(page.buffer().get(levels..)?)?;
                    let (_, rest) = variable(rest)?;
                    Some(variable(rest)?.0)
                });
                count.is_some_and(|count| count <= values)
            }
            _ => true,
        }
    }
}

impl Iterator for Checked {
    type Item = ParquetResult<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Checked {
    fn get_next_page(&mut self) -> ParquetResult<Option<Page>> {
        let page = self.pages.get_next_page()?;
        page.iter().try_for_each(|page| self.check(page))?;
        Ok(page)
    }

    fn peek_next_page(&mut self) -> ParquetResult<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> ParquetResult<()> {
        self.pages.skip_next_page()
    }
}
