//! Files of word vectors: text (GloVe, word2vec, fastText) and word2vec's binary form.
//!
//! Text is read in pieces that end at lines, parsed on all threads, and put together in order. A file is bytes from
//! anywhere: what it promises is compared with its size before memory is taken.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use crate::bases::text::vectors::{WordVectors, shown};
use crate::error::{Error, Problem, Result};
use crate::files::open_regular;

/// Most columns of a row.
const COLUMNS: usize = 1 << 16;
/// Longest word, in bytes.
const WORD: usize = 1 << 12;
/// Longest line: a number has at most 32 bytes.
const LINE: usize = COLUMNS * 32 + WORD;
/// What a thread parses at a time, in bytes.
const PIECE: usize = 1 << 20;
/// What the form of a file is told from, in bytes.
const HEAD: usize = LINE * 2;

impl WordVectors {
    /// Reads vectors: GloVe's and fastText's text, word2vec's text and binary form, found out by the bytes.
    ///
    /// The memory that it takes is bounded by the file's size. A word that comes twice keeps its first row.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read; [`Error::Weights`], with the line or row, where a row is shorter or longer
    /// than the first, something is not a finite number, the header promises other than what is there, or the file is
    /// compressed or of another kind.
    pub fn open(path: &Path) -> Result<Self> {
        read(path)
    }
}

/// Reads a file of any of the forms.
fn read(path: &Path) -> Result<WordVectors> {
    let file = open_regular(path)
        .map_err(|source| Error::Weights(Problem::new("the word vectors cannot be read").found(source).at(path)))?;
    let metadata = file.metadata().map_err(|source| Error::read(path, &source))?;
    let mut reader = BufReader::with_capacity(HEAD.min(metadata.len() as usize).max(1), file);
    let head = reader.fill_buf().map_err(|source| Error::read(path, &source))?;
    refuse_other(head, path)?;
    let header = Header::of(head);
    if let Some(header) = &header {
        header.check(metadata.len(), path)?;
        if !is_text_row(&head[header.bytes..], header.columns) {
            let header = *header;
            reader.consume(header.bytes);
            return read_binary(reader, header, path);
        }
    }
    let columns = match header {
        Some(header) => header.columns,
        None => columns_of(head, path)?,
    };
    reader.consume(header.map_or(0, |header| header.bytes));
    Text { path, columns, header }.read(reader)
}

/// The first line of word2vec's and fastText's files.
#[derive(Debug, Clone, Copy)]
struct Header {
    rows: usize,
    columns: usize,
    /// Its length.
    bytes: usize,
}

impl Header {
    /// Two whole numbers and nothing else are a header.
    fn of(head: &[u8]) -> Option<Self> {
        let end = head.iter().take(64).position(|&byte| byte == b'\n')?;
        let line = std::str::from_utf8(&head[..end]).ok()?;
        let mut fields = line.split_ascii_whitespace();
        let (rows, columns) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        fields.next().is_none().then_some(Self { rows, columns, bytes: end + 1 })
    }

    fn check(&self, file: u64, path: &Path) -> Result<()> {
        let Self { rows, columns, .. } = *self;
        if rows == 0 || columns == 0 || columns > COLUMNS || rows > u32::MAX as usize {
            let problem = Problem::new("invalid header of the word vectors");
            let problem = problem.expected(format_args!("words, and 1 to {COLUMNS} columns"));
            return Err(Error::Weights(problem.found(format_args!("{rows} {columns}")).at(path)));
        }
        // The shortest row: a word of one byte, and two bytes for each number.
        let least = (rows as u64).saturating_mul(2 * columns as u64 + 1);
        if least > file {
            let problem = Problem::new("the word vectors are cut off, or their header is wrong");
            let problem =
                problem.expected(format_args!("at least {least} bytes for {rows} words of {columns} numbers"));
            return Err(Error::Weights(problem.found(format_args!("{file} bytes")).at(path)));
        }
        Ok(())
    }
}

/// Names files that are often taken for word vectors.
fn refuse_other(head: &[u8], path: &Path) -> Result<()> {
    let kinds: [(&[u8], &str, &str); 7] = [
        (b"\x1f\x8b", "a gzip archive", "unpack it first: gunzip"),
        (b"PK\x03\x04", "a zip archive", "unpack it first: unzip"),
        (b"\xfd7zXZ", "an xz archive", "unpack it first: xz -d"),
        (b"BZh", "a bzip2 archive", "unpack it first: bunzip2"),
        (b"\xba\x16\x4f\x2f", "a whole fastText model", "take the .vec file that comes with it"),
        (b"\x93NUMPY", "a NumPy array", "take the vectors in text or word2vec's binary form"),
        (b"\x80", "a Python pickle", "save the vectors by gensim's save_word2vec_format"),
    ];
    let known = kinds.into_iter().find(|(magic, ..)| head.starts_with(magic));
    let problem = Problem::new("these are not word vectors").expected("text, or word2vec's binary form").at(path);
    match known {
        // A word of 0x80 is not UTF-8, so that no vocabulary begins with it; "BZh" may be a word.
        Some((_, found, hint)) if !head.starts_with(b"BZh") || !head[..head.len().min(64)].contains(&b' ') => {
            Err(Error::Weights(problem.found(found).hint(hint)))
        }
        _ if head.is_empty() => Err(Error::Weights(problem.found("an empty file"))),
        _ => match engraft_weights::other_kind(head) {
            Some(engraft_weights::Error::Format { found, remedy }) => {
                Err(Error::Weights(problem.found(found).hint(remedy)))
            }
            _ => Ok(()),
        },
    }
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn without_end(line: &[u8]) -> &[u8] {
    let blank = |byte: &u8| is_blank(byte) || *byte == b'\r';
    &line[..line.iter().rposition(|byte| !blank(byte)).map_or(0, |last| last + 1)]
}

/// Whether a word and its numbers stand here as text. In the binary form, floats lie behind the word.
fn is_text_row(bytes: &[u8], columns: usize) -> bool {
    let Some(end) = bytes.iter().take(LINE).position(|&byte| byte == b'\n').or(Some(bytes.len())) else { return false };
    let mut values = Vec::new();
    parse_row(&bytes[..end], columns, &mut values).is_ok()
}

/// Columns of a file without a header, by its first line.
fn columns_of(head: &[u8], path: &Path) -> Result<usize> {
    let end = head.iter().position(|&byte| byte == b'\n').unwrap_or(head.len());
    let numbers = without_end(&head[..end]).split(is_blank).skip(1).filter(|field| !field.is_empty());
    // From the end: a word may have a space in it.
    let fields: Vec<&[u8]> = numbers.collect();
    let columns = fields.iter().rev().take_while(|field| number(field).is_some()).count();
    if columns == 0 || columns > COLUMNS || columns + 8 < fields.len() {
        let problem = Problem::new("these are not word vectors");
        let problem = problem.expected("a word and its numbers, separated by spaces, in every line");
        let found = format!("`{}` in line 1", shown(&String::from_utf8_lossy(&head[..end.min(400)])));
        return Err(Error::Weights(problem.found(found).at(path)));
    }
    Ok(columns)
}

fn number(field: &[u8]) -> Option<f32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// Takes a line apart: the numbers are its last `columns` fields, the word is all before them, since GloVe's files have
/// words with spaces in them.
///
/// The error says what is wrong.
fn parse_row<'a>(line: &'a [u8], columns: usize, values: &mut Vec<f32>) -> std::result::Result<&'a [u8], String> {
    let line = without_end(line);
    let mut end = line.len();
    let first = values.len();
    values.resize(first + columns, 0.0);
    for at in (0..columns).rev() {
        let begin = line[..end].iter().rposition(is_blank).map_or(0, |blank| blank + 1);
        if begin == 0 {
            return Err(format!("a word and {} numbers", columns - 1 - at));
        }
        let field = &line[begin..end];
        let Some(value) = number(field).filter(|value| value.is_finite()) else {
            return Err(format!("`{}` for a number", shown(&String::from_utf8_lossy(field))));
        };
        values[first + at] = value;
        end = begin - 1;
        // Two blanks between numbers are one.
        while end > 0 && is_blank(&line[end - 1]) && line[..end].iter().any(|byte| !is_blank(byte)) {
            end -= 1;
        }
    }
    let word = &line[..end];
    if word.is_empty() {
        return Err("no word".into());
    }
    if word.len() > WORD {
        return Err(format!("a word of {} bytes", word.len()));
    }
    // A row that is too long would otherwise pass for a word with spaces in it.
    if let Some(last) = word.split(is_blank).skip(1).last().filter(|last| number(last).is_some()) {
        let extra = word.split(is_blank).skip(1).filter(|field| !field.is_empty()).count();
        return Err(format!("{} numbers (`{}` is one too many)", columns + extra, String::from_utf8_lossy(last)));
    }
    Ok(word)
}

/// A word of bytes; whether they had to be changed.
fn word_of(bytes: &[u8]) -> (Arc<str>, bool) {
    let text = String::from_utf8_lossy(bytes);
    let changed = matches!(text, std::borrow::Cow::Owned(_));
    (Arc::from(&*text), changed)
}

/// Rows that were read so far.
#[derive(Default)]
struct Rows {
    words: Vec<Arc<str>>,
    values: Vec<f32>,
    changed: usize,
}

impl Rows {
    fn push(&mut self, word: &[u8]) {
        let (word, changed) = word_of(word);
        self.words.push(word);
        self.changed += usize::from(changed);
    }

    fn finish(self, columns: usize, header: Option<Header>, path: &Path) -> Result<WordVectors> {
        let count = self.words.len();
        if let Some(header) = header.filter(|header| header.rows != count) {
            let problem = Problem::new("the word vectors are cut off, or their header is wrong");
            let problem = problem.expected(format_args!("{} words, as the header says", header.rows));
            return Err(Error::Weights(problem.found(format_args!("{count} words")).at(path)));
        }
        let ranks = (0..u32::try_from(count).map_err(|_| too_many(path))?).collect();
        let mut vectors = WordVectors::ranked(self.words, columns, self.values, ranks, count)?;
        if self.changed > 0 {
            vectors.remark(format!("{} words are not UTF-8: what is none in them was replaced", self.changed));
        }
        Ok(vectors)
    }
}

fn too_many(path: &Path) -> Error {
    Error::Weights(Problem::new("too many word vectors").expected("fewer than 2^32 words").at(path))
}

/// A file of lines.
struct Text<'a> {
    path: &'a Path,
    columns: usize,
    header: Option<Header>,
}

impl Text<'_> {
    fn read(&self, mut reader: impl Read) -> Result<WordVectors> {
        let mut rows = Rows::default();
        if let Some(header) = self.header {
            rows.words.reserve_exact(header.rows);
            rows.values.reserve_exact(header.rows * self.columns);
        }
        let mut lines = u64::from(self.header.is_some());
        let size = PIECE * rayon::current_num_threads();
        // What was read and is not a whole line yet stands at its beginning.
        let mut buffer: Vec<u8> = Vec::new();
        loop {
            let got = (&mut reader).take(size as u64).read_to_end(&mut buffer);
            let is_end = got.map_err(|source| Error::read(self.path, &source))? == 0;
            let whole = match buffer.iter().rposition(|&byte| byte == b'\n') {
                Some(last) => last + 1,
                None if is_end => buffer.len(),
                None => 0,
            };
            let whole = if is_end { buffer.len() } else { whole };
            let parsed: Vec<Piece> =
                pieces(&buffer[..whole]).into_par_iter().map(|piece| Piece::of(piece, self.columns)).collect();
            for piece in parsed {
                if let Some((line, found)) = piece.wrong {
                    return Err(self.wrong(lines + line + 1, &found));
                }
                lines += piece.lines;
                rows.values.extend_from_slice(&piece.rows.values);
                rows.words.extend(piece.rows.words);
                rows.changed += piece.rows.changed;
            }
            if is_end {
                break;
            }
            buffer.drain(..whole);
            if buffer.len() > LINE {
                return Err(self.wrong(lines + 1, &format!("more than {LINE} bytes without an end")));
            }
        }
        rows.finish(self.columns, self.header, self.path)
    }

    fn wrong(&self, line: u64, found: &str) -> Error {
        let problem = Problem::new(format_args!("line {line} of the word vectors is damaged"));
        let problem = problem.expected(format_args!("a word and {} finite numbers", self.columns));
        Error::Weights(problem.found(found).at(self.path))
    }
}

/// Cuts whole lines into parts of about [`PIECE`] bytes.
fn pieces(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let least = PIECE.min(bytes.len());
        let end = bytes[least..].iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |at| least + at + 1);
        let (piece, rest) = bytes.split_at(end);
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

/// What some lines gave.
struct Piece {
    rows: Rows,
    lines: u64,
    /// The first line that is wrong, from 0, and what is found there.
    wrong: Option<(u64, String)>,
}

impl Piece {
    fn of(bytes: &[u8], columns: usize) -> Self {
        let mut piece = Self { rows: Rows::default(), lines: 0, wrong: None };
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        for line in bytes.split(|&byte| byte == b'\n') {
            // An empty last line is none.
            if !without_end(line).is_empty() {
                match parse_row(line, columns, &mut piece.rows.values) {
                    Ok(word) => piece.rows.push(word),
                    Err(found) => {
                        piece.wrong = Some((piece.lines, found));
                        break;
                    }
                }
            }
            piece.lines += 1;
        }
        piece
    }
}

/// word2vec's binary form: after the header, each word, a space, and its floats, perhaps with a newline behind.
fn read_binary(mut reader: impl BufRead, header: Header, path: &Path) -> Result<WordVectors> {
    let Header { rows: count, columns, .. } = header;
    let wrong = |row: usize, expected: &str, found: String| {
        let problem = Problem::new(format_args!("row {} of the word vectors is damaged", row + 1)).expected(expected);
        Error::Weights(problem.found(found).at(path))
    };
    let mut rows = Rows::default();
    let mut word = Vec::new();
    let mut bytes = vec![0; columns * 4];
    for row in 0..count {
        word.clear();
        let limit = WORD as u64 + 2;
        (&mut reader).take(limit).read_until(b' ', &mut word).map_err(|source| Error::read(path, &source))?;
        let name = word
            .strip_suffix(b" ")
            .ok_or_else(|| wrong(row, "a word and a space", format!("{} bytes without a space", word.len())))?;
        let name = name.strip_prefix(b"\n").unwrap_or(name);
        if name.is_empty() {
            return Err(wrong(row, "a word", "none".into()));
        }
        reader.read_exact(&mut bytes).map_err(|source| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => wrong(row, "its numbers", "the end of the file".into()),
            _ => Error::read(path, &source),
        })?;
        rows.push(name);
        let numbers = bytes.chunks_exact(4).map(|part| f32::from_le_bytes([part[0], part[1], part[2], part[3]]));
        rows.values.extend(numbers);
        if let Some(value) = rows.values[row * columns..].iter().find(|value| !value.is_finite()) {
            let found = format!("{value} for `{}`", shown(&String::from_utf8_lossy(name)));
            return Err(wrong(row, "finite numbers", found));
        }
    }
    let mut rest = Vec::new();
    reader.take(2).read_to_end(&mut rest).map_err(|source| Error::read(path, &source))?;
    if !rest.is_empty() && rest != b"\n" {
        return Err(wrong(count, "the end of the file", "more bytes than the header says".into()));
    }
    rows.finish(columns, Some(header), path)
}

#[cfg(test)]
#[path = "vector_files_tests.rs"]
mod tests;
