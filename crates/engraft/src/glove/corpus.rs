//! A corpus of tokenised text: files, folders and stdin, plain or compressed, in pieces of bounded size.
//!
//! Words stand between blanks: space, tab, form feed, vertical tab and carriage return. A line feed ends the line and with
//! it the context; so does the end of a file. (Stanford's C tools take form feeds and vertical tabs for parts of words when they
//! read the corpus and for blanks when they read the vocabulary, which shifts all rows after them; and they drop carriage
//! returns, also within words.) Words of more than 1,000 bytes are passed over as if they were not in the vocabulary, and
//! counted; the C tools cut them. Text must be UTF-8; a byte order mark at the start of a file is not part of it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use flate2::read::MultiGzDecoder;
use liblzma::read::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};
use walkdir::WalkDir;

use super::tokens::{PADDING, Token, scan};
use crate::bases::text::UNKNOWN_WORD;
use crate::error::{Error, Problem, Result, first_of, printable, printable_text};
use crate::files::{Made, kind_of, open_regular, sha256_hex};
use crate::progress::Observer;

/// The longest word that is counted, in bytes.
pub(super) const LONGEST_WORD: usize = 1000;
/// Bytes of a piece.
const PIECE: usize = 512 << 10;
/// Memory that a decoder may take for its window.
const WINDOW_LIMIT: u64 = 256 << 20;
/// Endings of the files of a folder that are read, without the ending of a compression.
const ENDINGS: [&str; 4] = ["txt", "text", "tok", "tokens"];
/// Names in a message.
const SHOWN: usize = 5;

/// The inputs of a corpus, in the order in which they are read.
#[derive(Debug, Clone)]
pub struct Corpus {
    inputs: Vec<Input>,
    /// Bytes of all files as they lie on the disk.
    bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Input {
    Stdin,
    File(PathBuf),
}

impl Input {
    fn name(&self) -> String {
        match self {
            Self::Stdin => "stdin".into(),
            Self::File(path) => printable(path),
        }
    }
}

impl Corpus {
    /// Finds the files of `paths`: files, which are read whatever their names; folders, of which all files with the endings
    /// `.txt`, `.text`, `.tok` and `.tokens` are read in the order of their paths, compressed ones (`.gz`, `.xz`, `.zst`) and those without
    /// an ending too; and `-` for stdin. What is passed over is told.
    ///
    /// # Errors
    /// [`Error::Data`] where something is not there or a folder holds no text, [`Error::Usage`] where nothing is given or stdin
    /// twice.
    pub fn find(paths: &[PathBuf], observer: &dyn Observer) -> Result<Self> {
        let mut inputs = Vec::new();
        let mut bytes = 0;
        for path in paths {
            if path.as_os_str() == "-" {
                if inputs.contains(&Input::Stdin) {
                    return Err(Error::Usage(Problem::new("stdin is given twice").hint("one - is enough")));
                }
                inputs.push(Input::Stdin);
                continue;
            }
            let found = std::fs::metadata(path).map_err(|source| missing(path, &source))?;
            if found.is_dir() {
                inputs.extend(files_of(path, observer)?.into_iter().map(Input::File));
            } else if found.is_file() {
                inputs.push(Input::File(path.clone()));
            } else {
                let problem = Problem::new("the corpus is not a file or a folder").found(kind_of(&found)).at(path);
                return Err(Error::Data(problem.hint("`-` reads stdin")));
            }
        }
        if inputs.is_empty() {
            return Err(Error::Usage(Problem::new("no corpus is given").expected("files, folders, or - for stdin")));
        }
        for input in &inputs {
            if let Input::File(path) = input {
                bytes += std::fs::metadata(path).map_err(|source| missing(path, &source))?.len();
            }
        }
        Ok(Self { inputs, bytes })
    }

    /// Whether it can be read once only.
    pub fn has_stdin(&self) -> bool {
        self.inputs.contains(&Input::Stdin)
    }

    /// Bytes of its files on the disk; of stdin nobody knows.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What tells one corpus from another: a checksum of its files' names, sizes and times of their last change.
    pub(super) fn fingerprint(&self) -> String {
        let described = |input: &Input| {
            let found = match input {
                Input::File(path) => std::fs::metadata(path).ok(),
                Input::Stdin => None,
            };
            let changed = found.as_ref().and_then(|found| found.modified().ok()?.duration_since(UNIX_EPOCH).ok());
            let (size, changed) = (found.map_or(0, |found| found.len()), changed.map_or(0, |time| time.as_nanos()));
            format!("{}\n{size} {changed}\n", input.name())
        };
        let all: String = self.inputs.iter().map(described).collect();
        sha256_hex(all.as_bytes())
    }

    /// Reads it in batches of pieces, the next batch while `work` is at one. `task` is what the observer is told.
    ///
    /// # Errors
    /// [`Error::Data`] for what cannot be read or decompressed, what `work` returns, and [`Error::Interrupted`].
    pub(super) fn read(
        &self,
        task: &str,
        observer: &dyn Observer,
        mut work: impl FnMut(&[Piece]) -> Result<()> + Send,
    ) -> Result<()> {
        let total = if self.has_stdin() { 0 } else { self.bytes };
        observer.begin(task, total, "bytes");
        let pieces = rayon::current_num_threads() * 4;
        let mut reader = Reader::new(self);
        let mut current = Vec::new();
        let mut next = Vec::new();
        reader.batch(&mut current, pieces)?;
        let mut told = 0;
        while !current.is_empty() {
            observer.check()?;
            // The reading is worth a thread only while it takes longer than a copy does.
            let (read, worked) = rayon::join(|| reader.batch(&mut next, pieces), || work(&current));
            worked?;
            read?;
            let done = reader.read.load(Ordering::Relaxed);
            observer.advance(done - told);
            told = done;
            std::mem::swap(&mut current, &mut next);
        }
        observer.end();
        Ok(())
    }

    /// Where something in a piece is, for a message: the file, the line and the byte of the text.
    fn place(&self, piece: &Piece, at: usize) -> String {
        let line = piece.line + piece.text()[..at].iter().filter(|&&byte| byte == b'\n').count() as u64;
        format!("{}, line {line}, byte {} of the text", self.inputs[piece.input].name(), piece.offset + at as u64)
    }

    /// Hands over the words and line ends of a piece.
    ///
    /// # Errors
    /// [`Error::Data`] at the first byte that is not UTF-8, at a NUL, and at the word `<unk>` where `refuse_unknown` is set.
    #[inline(always)]
    pub(super) fn words(
        &self,
        piece: &Piece,
        passed_over: &mut PassedOver,
        refuse_unknown: bool,
        mut each: impl FnMut(&[u8], Token),
    ) -> Result<()> {
        if let Err(fault) = std::str::from_utf8(piece.text()) {
            let at = fault.valid_up_to();
            let bytes: Vec<String> = piece.text()[at..].iter().take(4).map(|byte| format!("{byte:02X}")).collect();
            let problem = Problem::new("the corpus is not UTF-8").found(format_args!("the bytes {}", bytes.join(" ")));
            let hint = "convert it first: iconv -f LATIN1 -t UTF-8, or whatever it is in";
            return Err(Error::Data(problem.at(self.place(piece, at)).hint(hint)));
        }
        let mut unknown = None;
        let scanned = scan(&piece.bytes, piece.length, |token| {
            if let Token::Word(start, end) = token {
                if end - start > LONGEST_WORD || start == 0 && piece.begins == Begins::InWord {
                    if !(start == 0 && piece.begins == Begins::InWord) {
                        passed_over.words += 1;
                        passed_over.first.get_or_insert_with(|| (piece.number, self.place(piece, start)));
                    }
                    return;
                }
                // Compared where the first letter is that of `<unk>`.
                if refuse_unknown && piece.bytes[start] == b'<' && &piece.bytes[start..end] == UNKNOWN_WORD.as_bytes() {
                    unknown.get_or_insert(start);
                }
            }
            each(&piece.bytes, token);
        });
        if let Some(at) = unknown {
            let problem = Problem::new("the corpus has the word `<unk>`, which stands for all unknown words");
            return Err(Error::Data(
                problem.at(self.place(piece, at)).hint("call it otherwise in the corpus: <raw_unk>"),
            ));
        }
        scanned.map_err(|nul| {
            let problem = Problem::new("the corpus has a NUL byte").expected("text").at(self.place(piece, nul.0));
            Error::Data(problem.hint("UTF-16 has to become UTF-8 first; anything else with NULs is not text"))
        })
    }
}

/// Words that were passed over for their length.
#[derive(Debug, Clone, Default)]
pub(super) struct PassedOver {
    pub(super) words: u64,
    /// The number of the piece, and the place.
    first: Option<(u64, String)>,
}

impl PassedOver {
    /// Adds those of another part of the corpus.
    pub(super) fn merge(&mut self, other: Self) {
        self.words += other.words;
        if let Some(first) = other.first
            && self.first.as_ref().is_none_or(|known| first.0 < known.0)
        {
            self.first = Some(first);
        }
    }

    /// Tells of them, if there are any.
    pub(super) fn tell(&self, observer: &dyn Observer) {
        if let Some((_, place)) = &self.first {
            observer.say(&format!(
                "words of more than {LONGEST_WORD} bytes, passed over: {} (the first: {})",
                self.words,
                printable_text(place)
            ));
        }
    }
}

fn missing(path: &Path, source: &io::Error) -> Error {
    Error::Data(Problem::new("the corpus cannot be read").found(source).at(path))
}

/// The text files below a folder, sorted.
fn files_of(folder: &Path, observer: &dyn Observer) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut passed_over = Vec::new();
    let mut walk = WalkDir::new(folder).min_depth(1).sort_by_file_name().into_iter();
    while let Some(entry) = walk.next() {
        let entry = entry.map_err(|source| {
            let place = source.path().unwrap_or(folder).to_owned();
            Error::Data(Problem::new("the corpus cannot be read").found(source).at(place))
        })?;
        let path = entry.path();
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if entry.file_type().is_dir() {
            if is_hidden || Made::of(path).is_some() {
                passed_over.push(printable(path));
                walk.skip_current_dir();
            }
            continue;
        }
        match path.metadata().is_ok_and(|metadata| metadata.is_file()) && !is_hidden && is_text_name(path) {
            true => found.push(path.to_owned()),
            false => passed_over.push(printable(path)),
        }
    }
    if !passed_over.is_empty() {
        let names = first_of(passed_over.iter(), SHOWN);
        observer.say(&format!(
            "not text by their names, passed over: {} ({})",
            passed_over.len(),
            printable_text(&names)
        ));
    }
    if found.is_empty() {
        let problem =
            Problem::new("the folder holds no text").expected("files that end in .txt, .text, .tok or .tokens");
        return Err(Error::Data(problem.at(folder).hint("files given by name are read whatever their ending")));
    }
    Ok(found)
}

fn is_text_name(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let plain = [".gz", ".xz", ".zst"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    match plain.rsplit_once('.') {
        Some((_, ending)) => ENDINGS.contains(&ending),
        None => true,
    }
}

/// How a piece begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begins {
    /// With a line.
    Line,
    /// Within the line of the piece before it.
    InLine,
    /// Within a word, which is too long to be counted.
    InWord,
}

/// A part of a corpus that ends with a line, or with a word where lines are long.
#[derive(Debug)]
pub(super) struct Piece {
    /// The text, padded by line ends.
    bytes: Vec<u8>,
    length: usize,
    input: usize,
    /// The line that it begins in, from 1.
    line: u64,
    /// Bytes of the text of its file before it.
    offset: u64,
    pub(super) begins: Begins,
    /// Pieces before it.
    pub(super) number: u64,
    /// Whether it is the last one of its file.
    pub(super) ends_file: bool,
}

impl Piece {
    /// Its bytes.
    pub(super) fn text(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Counts what is read of files.
struct Counted {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(to)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Reads the inputs of a corpus, one after the other.
struct Reader<'a> {
    corpus: &'a Corpus,
    input: usize,
    source: Option<Box<dyn Read + Send>>,
    /// What was read of the source and not handed out yet.
    left: Vec<u8>,
    line: u64,
    offset: u64,
    begins: Begins,
    number: u64,
    read: Arc<AtomicU64>,
}

impl<'a> Reader<'a> {
    fn new(corpus: &'a Corpus) -> Self {
        Self {
            corpus,
            input: 0,
            source: None,
            left: Vec::new(),
            line: 1,
            offset: 0,
            begins: Begins::Line,
            number: 0,
            read: Arc::default(),
        }
    }

    /// Makes `batch` the next `count` pieces, or as many as there are.
    fn batch(&mut self, batch: &mut Vec<Piece>, count: usize) -> Result<()> {
        let mut buffers: Vec<Vec<u8>> = batch.drain(..).map(|piece| piece.bytes).collect();
        while batch.len() < count {
            match self.piece(buffers.pop().unwrap_or_default())? {
                Some(piece) => batch.push(piece),
                None => break,
            }
        }
        Ok(())
    }

    fn open(&mut self, input: usize) -> Result<Box<dyn Read + Send>> {
        let Input::File(path) = &self.corpus.inputs[input] else {
            return decoded(Box::new(io::stdin()), Path::new("stdin"));
        };
        let file = open_regular(path).map_err(|source| missing(path, &source))?;
        decoded(Box::new(Counted { file, read: self.read.clone() }), path)
    }

    fn piece(&mut self, mut bytes: Vec<u8>) -> Result<Option<Piece>> {
        loop {
            if self.source.is_none() {
                if self.input == self.corpus.inputs.len() {
                    return Ok(None);
                }
                self.source = Some(self.open(self.input)?);
                (self.line, self.offset, self.begins) = (1, 0, Begins::Line);
            }
            let Some(source) = &mut self.source else { continue };
            bytes.clear();
            bytes.extend_from_slice(&self.left);
            self.left.clear();
            let start = bytes.len();
            bytes.resize(PIECE.max(start), 0);
            let mut filled = start;
            let mut is_end = false;
            while filled < bytes.len() && !is_end {
                match source.read(&mut bytes[filled..]) {
                    Ok(0) => is_end = true,
                    Ok(read) => filled += read,
                    Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                    Err(fault) => {
                        let name = self.corpus.inputs[self.input].name();
                        let problem = Problem::new("the corpus cannot be read to its end").found(fault).at(name);
                        let read = format!("{} bytes of text were read before it", self.offset + filled as u64);
                        return Err(Error::Data(problem.hint(read)));
                    }
                }
            }
            bytes.truncate(filled);
            if self.offset == 0 && self.begins == Begins::Line && bytes.starts_with(b"\xef\xbb\xbf") {
                bytes.drain(..3);
                self.offset = 3;
            }
            let (length, next) = match is_end {
                true => (bytes.len(), Begins::Line),
                false => cut(&bytes),
            };
            self.left.extend_from_slice(&bytes[length..]);
            bytes.truncate(length);
            bytes.extend([b'\n'; PADDING]);
            let lines = bytes[..length].iter().filter(|&&byte| byte == b'\n').count() as u64;
            let (input, line, offset, begins, number) = (self.input, self.line, self.offset, self.begins, self.number);
            if is_end {
                (self.source, self.input) = (None, self.input + 1);
            } else {
                (self.line, self.offset, self.begins) = (line + lines, offset + length as u64, next);
            }
            if length > 0 {
                self.number += 1;
                return Ok(Some(Piece { bytes, length, input, line, offset, begins, number, ends_file: is_end }));
            }
        }
    }
}

/// Where a piece of a text ends that goes on, and how the next one begins: after the last line end, or else after the last
/// blank, or else anywhere between two characters.
fn cut(bytes: &[u8]) -> (usize, Begins) {
    if let Some(at) = bytes.iter().rposition(|&byte| byte == b'\n') {
        return (at + 1, Begins::Line);
    }
    if let Some(at) = bytes.iter().rposition(u8::is_ascii_whitespace) {
        return (at + 1, Begins::InLine);
    }
    let ends = bytes.len().saturating_sub(4)..bytes.len();
    let character = ends.rev().find(|&at| bytes[at] & 0xc0 != 0x80).unwrap_or(bytes.len());
    (character, Begins::InWord)
}

/// What a compressed file begins with, and the text of one that is not compressed.
fn decoded(mut source: Box<dyn Read + Send>, path: &Path) -> Result<Box<dyn Read + Send>> {
    let mut start = Vec::new();
    source.by_ref().take(6).read_to_end(&mut start).map_err(|fault| missing(path, &fault))?;
    let is = |mark: &[u8]| start.starts_with(mark);
    let refuse = |what: &str| {
        let problem = Problem::new("the corpus is not text").found(what).at(path);
        Err(Error::Data(problem.expected("text, or text in gzip, xz or zstd").hint("unpack it first")))
    };
    let (is_gzip, is_xz, is_zstd) = (is(b"\x1f\x8b"), is(b"\xfd7zXZ\0"), is(b"\x28\xb5\x2f\xfd"));
    if is(b"PK\x03\x04") {
        return refuse("a ZIP archive");
    }
    if is(b"BZh") && start.get(3).is_some_and(u8::is_ascii_digit) && start.get(4..6) == Some(b"1A") {
        return refuse("a bzip2 file");
    }
    let whole = io::Cursor::new(start).chain(source);
    let fail = |fault: io::Error| missing(path, &fault);
    Ok(match () {
        () if is_gzip => Box::new(MultiGzDecoder::new(whole)),
        () if is_xz => {
            let stream = Stream::new_stream_decoder(WINDOW_LIMIT, CONCATENATED).map_err(|fault| fail(fault.into()))?;
            Box::new(XzDecoder::new_stream(whole, stream))
        }
        () if is_zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(whole).map_err(fail)?;
            decoder.window_log_max(WINDOW_LIMIT.ilog2()).map_err(fail)?;
            Box::new(decoder)
        }
        () => Box::new(whole),
    })
}
