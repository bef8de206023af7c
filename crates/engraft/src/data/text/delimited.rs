//! Tables of fields with a delimiter between them: CSV and TSV.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use csv::{ByteRecord, ReaderBuilder};

use super::csv_stream::{Form, Stream};
use super::dialect::{Dialect, Signs};
use super::encoding::{Detected, detect_as, glance};
use super::notation::{Notation, NumberSigns};
use super::record::{KINDS, Opening, Record, Records, decoded};
use super::{Limits, words};
use crate::data::column_names::{SHORT_TEXTS, TEXTS};
use crate::data::image_kind::is_named_like_an_image;
use crate::data::task;
use crate::data::{Finding, FindingKind, Severity};
use crate::error::{Error, Problem, Result, first_of};
use crate::files::open_regular;
use crate::progress::Observer;

/// The surest first: of those that fit a table equally well a comma is most likely part of a text or a number.
const DELIMITERS: [u8; 4] = [b'\t', b';', b',', b'|'];
/// The delimiter of a table of one column: the "unit separator", which stands in no text.
const NONE: u8 = 0x1F;
/// Bytes from the beginning that are looked at to find delimiter, quotes and header.
const HEAD: u64 = 1 << 20;
/// Records of these that are counted.
const COUNTED: usize = 200;
/// Words in a field that make it a text and no name of a column.
const WORDS_OF_A_TEXT: usize = 8;
/// As many cells of several words show that a single word above them is the name of their column.
const TEXTS_BELOW_A_NAME: usize = 10;
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
    pub(super) quoting: bool,
    pub(super) dialect: Dialect,
    /// Lines before the header that are no part of the table.
    pub(super) preface: u64,
    /// How its numbers are written.
    pub(super) notation: Notation,
    /// Rows that look like several, as far as they were read, with their lines.
    merged: Lines,
    /// Rows that repeat the header, as far as they were read, with their lines.
    repeated: Lines,
}

/// Rows and the lines on which they begin.
type Lines = Arc<Mutex<BTreeMap<u64, u64>>>;

/// Rows for a message: the first of them with their lines.
fn listed(rows: &BTreeMap<u64, u64>) -> String {
    first_of(rows.iter().map(|(row, line)| format!("row {row}, line {line}")), SHOWN)
}

/// Rows that a message names.
const SHOWN: usize = 3;

impl Delimited {
    fn form(&self) -> Form<'_> {
        let Self { encoding, dialect, delimiter, quoting, preface, .. } = self;
        Form { encoding, dialect: *dialect, delimiter: *delimiter, quoting: *quoting, preface: *preface }
    }

    pub(super) fn open(path: &Path, opening: &Opening, limits: &Limits, observer: &dyn Observer) -> Result<Self> {
        let encoding = if opening.glance { glance(path)? } else { detect_as(path, opening.encoding, observer)? };
        let mut head = Vec::new();
        let read = decoded(path, &encoding)?.take(HEAD).read_to_end(&mut head);
        read.map_err(|source| crate::data::missing(path, &source))?;
        let mut remarks = Vec::new();
        let Preface { lines: preface, length, delimiter: said, told } = Preface::of(&head, opening.named);
        remarks.extend(told);
        head.drain(..length);
        if is_fasttext(&head) {
            let problem = Problem::new("this is a file of fastText, not a table").expected(KINDS).found("`__label__`");
            let hint = r"write a tab after the label: sed -E 's/^__label__([^ ]+) /\1\t/' FILE > FILE.tsv";
            return Err(Error::Data(problem.hint(hint).at(path)));
        }
        let delimiter = said.unwrap_or_else(|| delimiter(&head, crate::data::ending(path).as_deref()));
        if delimiter == b' ' {
            remarks.push(
                "the fields are read as separated by blanks, since each line begins with an image file".to_owned(),
            );
        }
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
        let head = dialect.apply(&head, delimiter);
        // The first record by the reader that all records are read by, so that its size is bounded too.
        let (columns, header, notation) = (Vec::new(), false, Notation::default());
        let (merged, repeated) = (Arc::default(), Arc::default());
        let mut table = Self {
            encoding,
            delimiter,
            columns,
            remarks,
            header,
            quoting,
            dialect,
            preface,
            notation,
            merged,
            repeated,
        };
        let mut first = Stream::open(&table.form(), path, limits)?;
        let Some((first, _)) = first.next()? else {
            return Err(Error::Data(Problem::new("the table is empty").expected(KINDS).at(path)));
        };
        let first: Vec<String> = first.iter().map(clean).collect();
        let records = table.records_of(&head);
        let mut signs = NumberSigns::default();
        records.iter().skip(1).for_each(|record| signs.note(record.iter()));
        table.header = is_header(&first, &records, opening.named, signs.decimal_comma(delimiter));
        if table.header {
            table.columns = first;
        } else {
            table.columns = (1..=first.len()).map(|number| number.to_string()).collect();
            table.remarks.push(format!(
                "the first row is read as data, since it looks like no header: the columns are called 1 to {}",
                first.len()
            ));
        }
        if signs.decimal_comma(delimiter) && !opening.glance {
            signs = table.number_signs(path, limits, observer)?;
        }
        table.notation = Notation::of(&signs, &table.columns, delimiter);
        Ok(table)
    }

    /// The signs in the numbers of all rows that can be read.
    fn number_signs(&self, path: &Path, limits: &Limits, observer: &dyn Observer) -> Result<NumberSigns> {
        let mut signs = NumberSigns::default();
        let mut stream = Stream::open(&self.form(), path, limits)?;
        if self.header {
            stream.next()?;
        }
        // What cannot be read is told by who reads the rows.
        while let Ok(Some((record, _))) = stream.next() {
            observer.check()?;
            if !self.is_header_again(record) {
                signs.note(record.iter());
            }
        }
        Ok(signs)
    }

    fn is_header_again(&self, record: &ByteRecord) -> bool {
        self.header && repeats(record, &self.columns)
    }

    pub(super) fn records(&self, path: &Path, columns: &[usize], limits: &Limits) -> Result<Records> {
        let mut stream = Stream::open(&self.form(), path, limits)?;
        if self.header {
            stream.next()?;
        }
        let (columns, merged, repeated) = (columns.to_vec(), self.merged.clone(), self.repeated.clone());
        let (notation, header) = (self.notation.clone(), if self.header { self.columns.clone() } else { Vec::new() });
        let note = |rows: &Lines, row: u64, line: u64| {
            rows.lock().unwrap_or_else(PoisonError::into_inner).insert(row, line);
        };
        let (mut row, mut ended) = (0, false);
        let mut next = move || -> Result<Option<Record>> {
            loop {
                row += 1;
                let Some((record, line)) = stream.next()? else { return Ok(None) };
                if repeats(record, &header) {
                    note(&repeated, row, line);
                    continue;
                }
                let field = |&column: &usize| Some(notation.plain(column, clean(record.get(column)?)));
                let has_blanks = |column: &usize| {
                    let field = String::from_utf8_lossy(record.get(*column).unwrap_or_default());
                    field.trim().len() < field.len()
                };
                let padded = (0..columns.len()).filter(|&at| has_blanks(&columns[at])).collect();
                let fields = columns.iter().map(field).collect();
                if stream.is_merged {
                    note(&merged, row, line);
                }
                return Ok(Some(Record { row, line, fields, padded, lists: Vec::new() }));
            }
        };
        Ok(Box::new(std::iter::from_fn(move || {
            if ended {
                return None;
            }
            let record = next();
            ended = !matches!(record, Ok(Some(_)));
            record.transpose()
        })))
    }

    /// What was guessed of its numbers, and rows that look like several or repeat the header.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let of_rows = |rows: &Lines, kind: FindingKind, what: &str, remedy: &str| {
            let rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
            let message = format!("{what}: {} ({}); {remedy}", rows.len(), listed(&rows));
            let names = rows.keys().map(|row| format!("row {row}")).collect();
            (!rows.is_empty()).then(|| Finding::new(kind, Severity::Warning, message, names))
        };
        let merged =
            "rows with a quoted field of several lines that looks like whole rows, as after a quote that is not closed";
        let repeated = "rows that repeat the header, as where files were joined, left out";
        let rows = [
            of_rows(&self.merged, FindingKind::MergedRows, merged, "close the quote, or leave it out"),
            of_rows(&self.repeated, FindingKind::RepeatedHeader, repeated, "take them out of the file"),
        ];
        self.notation.findings().chain(rows.into_iter().flatten()).collect()
    }

    /// The records of a table's beginning, as many as can be read of it.
    fn records_of(&self, head: &[u8]) -> Vec<ByteRecord> {
        records_of(head, self.delimiter, self.quoting)
    }
}

fn records_of(head: &[u8], delimiter: u8, quoting: bool) -> Vec<ByteRecord> {
    let mut builder = ReaderBuilder::new();
    builder.delimiter(delimiter).quoting(quoting).has_headers(false).flexible(true);
    builder.from_reader(head).into_byte_records().map_while(|record| record.ok()).take(COUNTED).collect()
}

/// Whether lines are labels with blanks after them, as fastText has them.
fn is_fasttext(head: &[u8]) -> bool {
    let rest = head.strip_prefix(b"__label__");
    let end = |rest: &[u8]| rest.iter().find(|byte| byte.is_ascii_whitespace() || DELIMITERS.contains(byte)).copied();
    rest.is_some_and(|rest| end(rest) == Some(b' '))
}

/// The first record: up to an end of line that is not within quotes.
fn first_record(head: &[u8]) -> &[u8] {
    let (mut quoted, mut starts) = (false, true);
    for (at, &byte) in head.iter().enumerate() {
        match byte {
            b'"' if quoted || starts => (quoted, starts) = (!quoted, quoted),
            b'\n' | b'\r' if !quoted => return &head[..at],
            b' ' => {}
            byte => starts = DELIMITERS.contains(&byte),
        }
    }
    // A quote that is never closed is part of a text.
    head.split(|&byte| byte == b'\n').next().unwrap_or_default()
}

/// Whether blanks follow a delimiter nearly everywhere, as they do a sign of a text.
fn is_punctuation(head: &[u8], delimiter: u8) -> bool {
    let pairs = head.windows(2).filter(|pair| pair[0] == delimiter && !matches!(pair[1], b'\n' | b'\r'));
    let (mut all, mut blank) = (0, 0);
    pairs.for_each(|pair| {
        all += 1;
        blank += usize::from(pair[1] == b' ');
    });
    10 * blank >= 9 * all
}

/// The delimiter that stands in the first record and gives the most records as many fields as that has. Of several that do, the
/// first of [`DELIMITERS`] that does not look like punctuation.
fn delimiter(head: &[u8], ending: Option<&str>) -> u8 {
    let first = first_record(head);
    if matches!(ending, Some("tsv" | "tab")) && first.contains(&b'\t') {
        return b'\t';
    }
    let agreement = |delimiter: u8| {
        let plain = records_of(head, delimiter, true);
        // Blanks before quotes hide that a delimiter is quoted.
        let blanks = Dialect { blanks: true, backslashes: false };
        agreement(&plain).max(agreement(&records_of(&blanks.apply(head, delimiter), delimiter, true)))
    };
    let mut best = (0.0, false, NONE);
    for delimiter in DELIMITERS.into_iter().filter(|delimiter| first.contains(delimiter)) {
        let (agreement, separates) = (agreement(delimiter), !is_punctuation(head, delimiter));
        let is_tie = agreement > 0.0 && agreement >= best.0;
        if agreement > best.0 || is_tie && separates && !best.1 {
            best = (agreement, separates, delimiter);
        }
    }
    if best.2 == NONE && lists_images(head) { b' ' } else { best.2 }
}

/// Whether each line is the name of an image file and, after a blank, its label, as in the lists of Caffe: `a/1.jpg 0`.
fn lists_images(head: &[u8]) -> bool {
    let mut lines: Vec<&[u8]> = head.split(|&byte| byte == b'\n').take(COUNTED).collect();
    if lines.len() > 1 {
        lines.pop();
    }
    let fields = |line: &[u8]| -> Vec<String> { line.trim_ascii().split(|&byte| byte == b' ').map(clean).collect() };
    let lines: Vec<Vec<String>> = lines.into_iter().map(fields).filter(|fields| *fields != [""]).collect();
    lines.iter().all(|line| line.len() > 1 && line.len() == lines[0].len() && is_named_like_an_image(&line[0]))
        && !lines.is_empty()
}

/// Whether a table has a column `path`: it names files (images) and holds no texts.
pub(super) fn names_files(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = open_regular(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head);
    let head = &head[Preface::of(head, &[]).length..];
    let Some(first) = records_of(head, delimiter(head, None), true).into_iter().next() else { return false };
    read.is_ok() && first.iter().any(|field| field.trim_ascii().eq_ignore_ascii_case(b"path"))
}

/// Lines before the header that are no part of the table: blank ones, comments, and one that says the delimiter.
#[derive(Default)]
struct Preface {
    lines: u64,
    length: usize,
    delimiter: Option<u8>,
    told: Vec<String>,
}

impl Preface {
    fn of(head: &[u8], named: &[&str]) -> Self {
        let mut found = Self::default();
        let (mut blank, mut comments) = (0, 0);
        while let Some(end) = head[found.length..].iter().position(|&byte| byte == b'\n') {
            let rest = &head[found.length..];
            let line = &rest[..=end];
            if line.iter().all(u8::is_ascii_whitespace) && !line.contains(&b'\t') {
                blank += 1;
            } else if let Some((delimiter, _)) = said_delimiter(rest).filter(|_| found.delimiter.is_none()) {
                found.told.push(format!("the delimiter is `{}`, as the first line says", char::from(delimiter)));
                found.delimiter = Some(delimiter);
            } else if is_comment(line, &rest[end + 1..], named) {
                comments += 1;
            } else {
                break;
            }
            found.lines += 1;
            found.length += end + 1;
        }
        for (count, what) in [(blank, "blank lines"), (comments, "lines that begin with `#`")] {
            if count > 0 {
                found.told.push(format!("{what} before the header, passed over: {count}"));
            }
        }
        found
    }
}

/// Whether a line with a `#` before the header is none: it has another number of fields than the next line without, or that
/// one has names that columns usually have. Of several such lines all are comments where the last is.
fn is_comment(line: &[u8], rest: &[u8], named: &[&str]) -> bool {
    let mut lines = rest.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let (mut last, mut next) = (line, lines.next().unwrap_or_default());
    while next.starts_with(b"#") {
        (last, next) = (next, lines.next().unwrap_or_default());
    }
    let count = |line: &[u8], delimiter: u8| line.iter().filter(|&&byte| byte == delimiter).count();
    let delimiter = DELIMITERS.into_iter().max_by_key(|&delimiter| count(next, delimiter)).unwrap_or(b',');
    let names = || next.split(|&byte| byte == delimiter).map(unquoted);
    line.starts_with(b"#")
        && (count(last, delimiter) != count(next, delimiter) || names().any(|name| is_known(&name, named)))
}

fn unquoted(field: &[u8]) -> String {
    clean(field).trim_matches('"').to_owned()
}

/// Whether a name is asked for, or one that columns usually have.
fn is_known(field: &str, named: &[&str]) -> bool {
    named.iter().any(|name| name.eq_ignore_ascii_case(field))
        || KNOWN_NAMES.iter().chain(&TEXTS).any(|name| name.eq_ignore_ascii_case(field))
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
/// number (and the fields do not just count), is long as a text, or comes back below itself. Records that repeat the first as a
/// whole have no part in it.
fn is_header(first: &[String], records: &[ByteRecord], named: &[&str], decimal_comma: bool) -> bool {
    if first.iter().any(|field| is_known(field, named)) {
        return true;
    }
    let counts = |from: usize| first.iter().enumerate().all(|(at, field)| *field == (at + from).to_string());
    if first.len() > 1 && (counts(0) || counts(1)) {
        return true;
    }
    // Words above numbers are names, whatever comes back below the others: `a,b,y` above `1,2,y`.
    let is_number = |field: &str| task::number(field, decimal_comma).is_some_and(f64::is_finite);
    let below: Vec<&ByteRecord> = records.iter().skip(1).filter(|record| !repeats(record, first)).collect();
    let cells = |column: usize| below.iter().filter_map(move |record| record.get(column)).map(clean);
    let is_above_numbers = |column: usize| {
        task::number(&first[column], decimal_comma).is_none()
            && cells(column).next().is_some()
            && cells(column).all(|cell| is_number(&cell))
    };
    // So is a word above texts of several words each.
    let count = |text: &str| words::spans(text).take(2).count();
    let is_above_texts = |column: usize| {
        count(&first[column]) == 1
            && cells(column).count() >= TEXTS_BELOW_A_NAME
            && cells(column).all(|cell| count(&cell) > 1)
    };
    let comes_back =
        |column: usize| !first[column].is_empty() && cells(column).filter(|cell| *cell == first[column]).count() > 1;
    // `sms,spam` is a header; `hello,spam` is a text of one word where `spam` comes back below.
    let is_name = |column: usize| SHORT_TEXTS.iter().any(|name| first[column].eq_ignore_ascii_case(name));
    let none_comes_back = !(0..first.len()).any(comes_back);
    let is_above =
        |column: usize| is_above_numbers(column) || is_above_texts(column) && (none_comes_back || is_name(column));
    if !first.iter().any(|field| is_number(field)) && (0..first.len()).any(is_above) {
        return true;
    }
    let is_data = |(column, field): (usize, &String)| {
        is_number(field)
            || words::spans(field).nth(WORDS_OF_A_TEXT - 1).is_some()
            || is_named_like_an_image(field)
            || comes_back(column)
    };
    !first.iter().enumerate().any(is_data)
}

/// Whether a record says what the header says, as where files were joined; a byte order mark may stand before it. A table of one
/// column may have such a row.
fn repeats(record: &ByteRecord, header: &[String]) -> bool {
    let is_name = |(field, name): (&[u8], &String)| {
        let field = std::str::from_utf8(field).map(|field| field.trim_start_matches('\u{FEFF}'));
        field.is_ok_and(|field| field.trim() == name || field.trim().trim_matches('"') == name)
    };
    header.len() > 1 && record.len() == header.len() && record.iter().zip(header).all(is_name)
}

/// A field as text, without white space around it.
fn clean(field: &[u8]) -> String {
    String::from_utf8_lossy(field).trim().to_owned()
}
