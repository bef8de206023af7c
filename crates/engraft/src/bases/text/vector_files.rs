//! Files of word vectors: text (GloVe, word2vec, fastText), word2vec's binary form, and by their own modules fastText's and
//! finalfusion's models and arrays with a list of words.
//!
//! Text is read in pieces that end at lines, parsed on all threads, and put together in order. A file is bytes from
//! anywhere: what it promises is compared with its size before memory is taken.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use rayon::prelude::*;

use crate::bases::text::vector_rows::{COLUMNS, Rows, WORD};
use crate::bases::text::vectors::{WordVectors, shown};
use crate::bases::text::{vector_arrays, vector_fasttext, vector_finalfusion};
use crate::error::{Error, Problem, Result};
use crate::files::open_regular;
use crate::weight_files;

/// Longest line: a number has at most 32 bytes.
const LINE: usize = COLUMNS * 32 + WORD;
/// What a thread parses at a time, in bytes.
const PIECE: usize = 1 << 20;
/// What the form of a file is told from, in bytes.
const HEAD: usize = LINE * 2;

/// How many times its size a compressed file may unpack to; numbers in text pack to a third, a list of zeros to a hundredth.
const UNPACKED: u64 = 200;
/// What any compressed file may unpack to, in bytes.
const UNPACKED_LEAST: u64 = 64 << 20;
/// A file of vectors in the folder that `engraft glove` writes.
const IN_FOLDER: &str = "vectors.txt";

impl WordVectors {
    /// Reads vectors, whose format is found out by the bytes: the text of GloVe, fastText (`.vec`) and word2vec, all perhaps packed by
    /// gzip; word2vec's binary form; fastText's models (`.bin`) and finalfusion's files, with the n-grams that unknown words are made
    /// of; `.npy` and safetensors with a list of words beside them (`NAME.words.txt`, `NAME.words`, `words.txt` or `vocab.txt`); the parameters that
    /// GloVe's C program saves (`.bin`, with `vocab.txt` beside them). Of a folder its `vectors.txt` is read.
    ///
    /// The memory that it takes is bounded by the file's size. A word that comes twice keeps its first row.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read; [`Error::Weights`], with the line, row or byte, where a row is shorter or longer
    /// than the first, something is not a finite number, the header promises other than what is there, a list of words does not
    /// fit, or the file is of another kind.
    pub fn open(path: &Path) -> Result<Self> {
        read(&Self::file_of(path))
    }

    /// The file that is read for a path: of a folder the `vectors.txt` in it.
    pub(crate) fn file_of(path: &Path) -> PathBuf {
        let inside = path.join(IN_FOLDER);
        if path.is_dir() && inside.is_file() { inside } else { path.to_owned() }
    }

    /// Whether a path's name, and what lies beside it, say that it holds word vectors. The contents tell only what is ambiguous.
    pub(crate) fn is_named(path: &Path) -> bool {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        let inner = path.file_stem().map(Path::new).and_then(Path::extension);
        let is_text = |ending: &str| ["txt", "vec", "glove", "w2v"].contains(&ending);
        // What is there and no file is refused where it is read.
        match ending.as_deref() {
            _ if path.is_dir() => path.join(IN_FOLDER).is_file() && path.join("glove.json").is_file(),
            _ if !path.exists() => false,
            Some("gz") => inner.is_some_and(|inner| is_text(&inner.to_string_lossy().to_ascii_lowercase())),
            // Programs of PyTorch call their files so too.
            Some("bin") => weight_files::source(path).ok().and_then(|source| weight_files::format(&source)).is_none(),
            // An encoder has a list of words beside its weights too.
            Some("safetensors") if path.with_file_name("config.json").exists() => false,
            Some("npy" | "safetensors") => vector_arrays::words_of(path).is_some(),
            Some(ending) => is_text(ending) || ending == "fifu",
            None => false,
        }
    }
}

/// Reads a file of any of the forms.
fn read(path: &Path) -> Result<WordVectors> {
    let unreadable =
        |source: std::io::Error| Error::Weights(Problem::new("the word vectors cannot be read").found(source).at(path));
    let mut file = open_regular(path).map_err(unreadable)?;
    let size = file.metadata().map_err(|source| Error::read(path, &source))?.len();
    let head = begin(&mut file, path)?;
    if head.starts_with(b"\x1f\x8b") {
        let file = open_regular(path).map_err(unreadable)?;
        let limit = size.saturating_mul(UNPACKED).max(UNPACKED_LEAST);
        let mut unpacked = Unpacked { inner: MultiGzDecoder::new(BufReader::new(file)), left: limit };
        let head = begin(&mut unpacked, path)?;
        return read_words(head, unpacked, None, path);
    }
    if head.starts_with(&vector_fasttext::MAGIC) {
        return vector_fasttext::read(path);
    }
    if head.starts_with(vector_finalfusion::MAGIC) && head.get(4..8) == Some(&[0; 4]) {
        return vector_finalfusion::read(path);
    }
    if head.starts_with(vector_arrays::NPY) {
        return vector_arrays::read_npy(path);
    }
    if is_safetensors(&head, size) {
        return vector_arrays::read_safetensors(path);
    }
    if path.extension().is_some_and(|ending| ending == "bin")
        && Header::of(&head).is_none()
        && columns_of(&head, path).is_err()
        && let Some(vocabulary) = vector_arrays::vocabulary_of(path)
    {
        return vector_arrays::read_c_parameters(path, &vocabulary);
    }
    read_words(head, file, Some(size), path)
}

/// The first bytes of a file.
fn begin(file: &mut impl Read, path: &Path) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    file.take(HEAD as u64).read_to_end(&mut head).map_err(|source| Error::read(path, &source))?;
    Ok(head)
}

/// Whether a length of a JSON header, and its first brace, stand at the beginning.
fn is_safetensors(head: &[u8], size: u64) -> bool {
    let length = head.get(..8).map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap_or_default()));
    length.is_some_and(|length| length >= 2 && length.saturating_add(8) <= size) && head.get(8) == Some(&b'{')
}

/// Reads text, or word2vec's binary form. `size` is absent for what was packed.
fn read_words(mut head: Vec<u8>, rest: impl Read, size: Option<u64>, path: &Path) -> Result<WordVectors> {
    // A byte order mark is no part of a word.
    if head.starts_with(b"\xef\xbb\xbf") {
        head.drain(..3);
    }
    refuse_other(&head, path)?;
    let header = Header::of(&head);
    if let Some(header) = &header {
        header.check(size.unwrap_or(u64::MAX), path)?;
        if !is_text_row(&head[header.bytes..], header.columns) {
            let header = *header;
            let mut begun = Cursor::new(head);
            begun.set_position(header.bytes as u64);
            return read_binary(BufReader::new(begun.chain(rest)), header, path);
        }
    }
    let columns = match header {
        Some(header) => header.columns,
        None => columns_of(&head, path)?,
    };
    let mut reader = Cursor::new(head);
    reader.set_position(header.map_or(0, |header| header.bytes) as u64);
    Text { path, columns, header, size }.read(reader.chain(rest))
}

/// A packed file, which may not unpack to just any size.
struct Unpacked {
    inner: MultiGzDecoder<BufReader<File>>,
    left: u64,
}

impl Read for Unpacked {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(into)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            std::io::Error::new(
                std::io::ErrorKind::FileTooLarge,
                "the packed file unpacks to more than 200 times its size",
            )
        })?;
        Ok(read)
    }
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
    let kinds: [(&[u8], &str, &str); 4] = [
        (b"PK\x03\x04", "a zip archive", "unpack it first: unzip"),
        (b"\xfd7zXZ", "an xz archive", "unpack it first: xz -d"),
        (b"BZh", "a bzip2 archive", "unpack it first: bunzip2"),
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

/// A file of lines.
struct Text<'a> {
    path: &'a Path,
    columns: usize,
    header: Option<Header>,
    /// Bytes of the file, where they are known.
    size: Option<u64>,
}

impl Text<'_> {
    fn read(&self, mut reader: impl Read) -> Result<WordVectors> {
        let mut rows = Rows::default();
        // What a packed file's header promises is not believed before it is there.
        if let (Some(header), Some(_)) = (self.header, self.size) {
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
        rows.finish(self.columns, self.header.map(|header| header.rows), self.path)
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
    rows.finish(columns, Some(header.rows), path)
}

#[cfg(test)]
#[path = "vector_files_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "vector_formats_tests.rs"]
mod format_tests;
