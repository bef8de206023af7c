//! Tables of fields with a delimiter between them: CSV and TSV.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder};

use super::dialect::{Dialect, Signs, Usual};
use super::encoding::{Decoding, Detected, detect_as, glance};
use super::record::{KINDS, Opening, Record, Records, at, decoded, too_long};
use super::{Limits, words};
use crate::data::column_names::TEXTS;
use crate::data::task;
use crate::error::{Error, Problem, Result};
use crate::files::open_regular;
use crate::progress::Observer;

const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// The delimiter of a table of one column: the "unit separator", which stands in no text.
const NONE: u8 = 0x1F;
/// Bytes from the beginning that are looked at to find delimiter, quotes and header.
const HEAD: u64 = 1 << 20;
/// Records of these that are counted.
const COUNTED: usize = 200;
/// Words in a field that make it a text and no name of a column.
const WORDS_OF_A_TEXT: usize = 8;
/// Names that tables with a header usually have, beside those of texts.
const KNOWN_NAMES: [&str; 19] = [
    "label",
    "labels",
    "class",
    "category",
    "target",
    "stars",
    "sentiment",
    "rating",
    "topic",
    "intent",
    "emotion",
    "tag",
    "score",
    "polarity",
    "is_spam",
    "language",
    "split",
    "path",
    "id",
];

/// What was found out about a table.
#[derive(Debug)]
pub(super) struct Delimited {
    pub(super) encoding: Detected,
    pub(super) delimiter: u8,
    pub(super) columns: Vec<String>,
    pub(super) remarks: Vec<String>,
    header: bool,
    quoting: bool,
    dialect: Dialect,
    /// Whether the first line says the delimiter, as Excel has it: `sep=;`.
    says_delimiter: bool,
    /// Whether lines end in a carriage return and a line feed.
    returns: bool,
}

impl Delimited {
    pub(super) fn open(path: &Path, opening: &Opening, limits: &Limits, observer: &dyn Observer) -> Result<Self> {
        let encoding = if opening.glance { glance(path)? } else { detect_as(path, opening.encoding, observer)? };
        let mut head = Vec::new();
        let read = decoded(path, &encoding)?.take(HEAD).read_to_end(&mut head);
        read.map_err(|source| crate::data::missing(path, &source))?;
        let mut remarks = Vec::new();
        let said = said_delimiter(&head);
        if let Some((delimiter, length)) = said {
            remarks.push(format!("the delimiter is `{}`, as the first line says", char::from(delimiter)));
            head.drain(..length);
        }
        let delimiter =
            said.map_or_else(|| delimiter(&head, crate::data::ending(path).as_deref()), |(delimiter, _)| delimiter);
        let quoting = delimiter != b'\t' || !quotes_are_text(&head);
        if !quoting {
            remarks.push("quotes are read as part of the text, since they come in no pairs".to_owned());
        }
        let dialect = if quoting { dialect(&head, delimiter) } else { Dialect::default() };
        if dialect.backslashes {
            remarks.push("a backslash before a quote within quotes is read as that quote".to_owned());
        }
        if dialect.blanks {
            remarks.push("blanks before the quotes of a field are passed over".to_owned());
        }
        let line = head.iter().position(|&byte| byte == b'\n').unwrap_or_default();
        let returns = line > 0 && head[line - 1] == b'\r';
        let head = dialect.apply(&head, delimiter);
        // The first record by the reader that all records are read by, so that its size is bounded too.
        let (columns, header, says_delimiter) = (Vec::new(), false, said.is_some());
        let mut table =
            Self { encoding, delimiter, columns, remarks, header, quoting, dialect, says_delimiter, returns };
        let mut first = Stream::open(&table, path, limits)?;
        let Some((first, _)) = first.next()? else {
            return Err(Error::Data(Problem::new("the table is empty").expected(KINDS).at(path)));
        };
        let first: Vec<String> = first.iter().map(clean).collect();
        table.header = is_header(&first, &table.records_of(&head), opening.named);
        if table.header {
            table.columns = first;
        } else {
            table.columns = (1..=first.len()).map(|number| number.to_string()).collect();
            table.remarks.push(format!(
                "the first row is read as data, since it looks like no header: the columns are called 1 to {}",
                first.len()
            ));
        }
        Ok(table)
    }

    pub(super) fn records(&self, path: &Path, columns: &[usize], limits: &Limits) -> Result<Records> {
        let mut stream = Stream::open(self, path, limits)?;
        if self.header {
            stream.next()?;
        }
        let columns = columns.to_vec();
        let (mut row, mut ended) = (0, false);
        Ok(Box::new(std::iter::from_fn(move || {
            if ended {
                return None;
            }
            row += 1;
            let record = stream.next().map(|record| {
                record.map(|(record, line)| {
                    let field = |&column: &usize| record.get(column).map(clean);
                    let has_blanks = |column: &usize| {
                        let field = record.get(*column).unwrap_or_default();
                        field.first().is_some_and(u8::is_ascii_whitespace)
                            || field.last().is_some_and(u8::is_ascii_whitespace)
                    };
                    let padded = (0..columns.len()).filter(|&at| has_blanks(&columns[at])).collect();
                    Record { row, line, fields: columns.iter().map(field).collect(), padded }
                })
            });
            ended = !matches!(record, Ok(Some(_)));
            record.transpose()
        })))
    }

    /// The records of a table's beginning, as many as can be read of it.
    fn records_of(&self, head: &[u8]) -> Vec<ByteRecord> {
        records_of(head, self.delimiter, self.quoting)
    }
}

fn reader<R: Read>(input: R, delimiter: u8, quoting: bool) -> Reader<R> {
    let mut builder = ReaderBuilder::new();
    builder.delimiter(delimiter).quoting(quoting).has_headers(false).buffer_capacity(BUFFER).from_reader(input)
}

fn records_of(head: &[u8], delimiter: u8, quoting: bool) -> Vec<ByteRecord> {
    let mut builder = ReaderBuilder::new();
    builder.delimiter(delimiter).quoting(quoting).has_headers(false).flexible(true);
    builder.from_reader(head).into_byte_records().map_while(|record| record.ok()).take(COUNTED).collect()
}

/// The delimiter that stands in the first line and gives the most records as many fields as the first has.
fn delimiter(head: &[u8], ending: Option<&str>) -> u8 {
    let first = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
    if matches!(ending, Some("tsv" | "tab")) && first.contains(&b'\t') {
        return b'\t';
    }
    let agreement = |delimiter: u8| {
        let plain = records_of(head, delimiter, true);
        // Blanks before quotes hide that a delimiter is quoted.
        let blanks = Dialect { blanks: true, backslashes: false };
        agreement(&plain).max(agreement(&records_of(&blanks.apply(head, delimiter), delimiter, true)))
    };
    let mut best = (0.0, NONE);
    for delimiter in DELIMITERS.into_iter().filter(|delimiter| first.contains(delimiter)) {
        let agreement = agreement(delimiter);
        if agreement > best.0 {
            best = (agreement, delimiter);
        }
    }
    best.1
}

/// Whether a table has a column `path`: it names files (images) and holds no texts.
pub(super) fn names_files(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = open_regular(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head);
    let Some(first) = records_of(head, delimiter(head, None), true).into_iter().next() else { return false };
    read.is_ok() && first.iter().any(|field| field.trim_ascii().eq_ignore_ascii_case(b"path"))
}

/// The delimiter that a first line `sep=;` says, and the length of that line.
fn said_delimiter(head: &[u8]) -> Option<(u8, usize)> {
    let end = head.iter().position(|&byte| byte == b'\n')? + 1;
    let line = head[..end].trim_ascii_end();
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    match line {
        [s, e, p, b'=', delimiter] if [*s, *e, *p].eq_ignore_ascii_case(b"sep") => Some((*delimiter, end)),
        // A tab is white space.
        [s, e, p, b'='] if [*s, *e, *p].eq_ignore_ascii_case(b"sep") && head[4] == b'\t' => Some((b'\t', end)),
        _ => None,
    }
}

/// The way of quoting that a table's beginning shows. One that is not usual is taken only where no fewer records have as
/// many fields as the first then.
fn dialect(head: &[u8], delimiter: u8) -> Dialect {
    let signs = Signs::of(head, delimiter);
    let mut taken = Dialect::default();
    let wanted = [
        (signs.blanks > 0 && signs.odd == 0, Dialect { blanks: true, ..taken }),
        (signs.backslashes > 0, Dialect { backslashes: true, ..taken }),
    ];
    for (_, other) in wanted.into_iter().filter(|(is_shown, _)| *is_shown) {
        let both =
            Dialect { backslashes: taken.backslashes || other.backslashes, blanks: taken.blanks || other.blanks };
        let agreement = |dialect: Dialect| agreement(&records_of(&dialect.apply(head, delimiter), delimiter, true));
        if agreement(both) >= agreement(taken) {
            taken = both;
        }
    }
    taken
}

/// The share of records that have as many fields as the first; none where that has one.
fn agreement(records: &[ByteRecord]) -> f64 {
    let width = records.first().map_or(0, ByteRecord::len);
    // The last may be cut where the head ends.
    let counted = &records[..records.len().saturating_sub(usize::from(records.len() > 2))];
    let agree = counted.iter().filter(|record| record.len() == width).count();
    if width < 2 { 0.0 } else { agree as f64 / counted.len().max(1) as f64 }
}

/// Whether quotes in a table with tabs are not quotes: every line has as many tabs as the first, and a field begins with a
/// quote that it does not end with.
fn quotes_are_text(head: &[u8]) -> bool {
    let mut lines: Vec<&[u8]> =
        head.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    if lines.len() > 1 {
        lines.pop();
    }
    let tabs = |line: &[u8]| line.iter().filter(|&&byte| byte == b'\t').count();
    let lines: Vec<&[u8]> = lines.into_iter().filter(|line| !line.is_empty()).collect();
    let even = lines.iter().all(|line| tabs(line) == tabs(lines[0]));
    let open = |field: &[u8]| field.starts_with(b"\"") && (field.len() == 1 || !field.ends_with(b"\""));
    even && lines.iter().any(|line| line.split(|&byte| byte == b'\t').any(open))
}

/// Whether the first record names the columns. One that is asked for or usual decides; else it is data where a field is a
/// number (and the fields do not just count), is long as a text, or comes back below itself.
fn is_header(first: &[String], records: &[ByteRecord], named: &[&str]) -> bool {
    let is_known = |field: &String| {
        named.iter().any(|name| name.eq_ignore_ascii_case(field))
            || KNOWN_NAMES.iter().chain(&TEXTS).any(|name| name.eq_ignore_ascii_case(field))
    };
    if first.iter().any(is_known) {
        return true;
    }
    let counts = |from: usize| first.iter().enumerate().all(|(at, field)| *field == (at + from).to_string());
    if first.len() > 1 && (counts(0) || counts(1)) {
        return true;
    }
    let comes_back = |column: usize| {
        let same = |record: &&ByteRecord| record.get(column).is_some_and(|field| clean(field) == first[column]);
        !first[column].is_empty() && records.iter().skip(1).filter(same).count() > 1
    };
    let is_data = |(column, field): (usize, &String)| {
        task::number(field, false).is_some_and(f64::is_finite)
            || words::spans(field).nth(WORDS_OF_A_TEXT - 1).is_some()
            || comes_back(column)
    };
    !first.iter().enumerate().any(is_data)
}

/// A field as text, without white space around it.
fn clean(field: &[u8]) -> String {
    String::from_utf8_lossy(field).trim().to_owned()
}

/// What the reader of records reads ahead, in bytes.
const BUFFER: usize = 64 << 10;

/// Records within the limit: the reader is given bytes only as far as one record may reach.
struct Stream {
    reader: Reader<Guard<Usual<Decoding<BufReader<File>>>>>,
    allowed: Arc<AtomicU64>,
    record: ByteRecord,
    limit: usize,
    place: std::path::PathBuf,
    /// Lines before the first record, and whether the reader counts one too few from the second record on: it sees a
    /// carriage return as the end of a line, and the line feed after it as part of the next.
    before: u64,
    returns: bool,
    began: bool,
}

struct Guard<R> {
    inner: R,
    given: u64,
    allowed: Arc<AtomicU64>,
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given > self.allowed.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let read = self.inner.read(buffer)?;
        self.given += read as u64;
        Ok(read)
    }
}

impl Stream {
    fn open(table: &Delimited, path: &Path, limits: &Limits) -> Result<Self> {
        let allowed = Arc::new(AtomicU64::new(0));
        let mut text = decoded(path, &table.encoding)?;
        if table.says_delimiter {
            let mut byte = [0];
            while matches!(text.read(&mut byte), Ok(1)) && byte[0] != b'\n' {}
        }
        let text = Usual::new(text, table.dialect, table.delimiter);
        let guard = Guard { inner: text, given: 0, allowed: allowed.clone() };
        let reader = reader(guard, table.delimiter, table.quoting);
        let (before, returns, began) = (u64::from(table.says_delimiter), table.returns, false);
        let (record, limit, place) = (ByteRecord::new(), limits.record, path.to_owned());
        Ok(Self { reader, allowed, record, limit, place, before, returns, began })
    }

    /// The next record, and the line on which it begins.
    fn next(&mut self) -> Result<Option<(&ByteRecord, u64)>> {
        let further = self.before + u64::from(self.returns && self.began);
        self.began = true;
        let (from, line) = (self.reader.position().byte(), self.reader.position().line() + further);
        self.allowed.store(from + self.limit as u64, Ordering::Relaxed);
        let refused = |problem: Problem, line| Error::Data(problem.at(at(&self.place, line)));
        match self.reader.read_byte_record(&mut self.record) {
            Ok(true) if self.record.as_slice().len() > self.limit => Err(refused(too_long(self.limit), line)),
            Ok(true) => {
                let line = self.record.position().map_or(line, |position| position.line() + further);
                Ok(Some((&self.record, line)))
            }
            Ok(false) => Ok(None),
            Err(error) => Err(match error.kind() {
                ErrorKind::UnequalLengths { pos, expected_len, len } => refused(
                    ragged(*expected_len, *len),
                    pos.as_ref().map_or(line, |position| position.line() + further),
                ),
                ErrorKind::Io(source) if source.kind() == io::ErrorKind::FileTooLarge => {
                    refused(too_long(self.limit), line)
                }
                _ => refused(Problem::new("the table cannot be read").found(&error), line),
            }),
        }
    }
}

fn ragged(expected: u64, found: u64) -> Problem {
    let count = |fields: u64| if fields == 1 { "1 field".to_owned() } else { format!("{fields} fields") };
    Problem::new("a row has another number of fields than the first")
        .expected(count(expected))
        .found(count(found))
        .hint(match found > expected {
            true => "put a text that holds the delimiter in double quotes",
            false => "fill what is missing, or close a quote that was opened here or before",
        })
}
