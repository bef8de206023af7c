//! What every reader of word vectors uses: limits, rows as they are collected, a file read byte by byte, lists of words.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bases::text::vectors::{UNKNOWN_WORD, WordVectors, shown};
use crate::error::{Error, Problem, Result, printable};
use crate::files::open_regular;

/// Most columns of a row.
pub(super) const COLUMNS: usize = 1 << 16;
/// Longest word, in bytes.
pub(super) const WORD: usize = 1 << 12;

/// A word of bytes; whether they had to be changed.
pub(super) fn word_of(bytes: &[u8]) -> (Arc<str>, bool) {
    let text = String::from_utf8_lossy(bytes);
    let changed = matches!(text, Cow::Owned(_));
    (Arc::from(&*text), changed)
}

/// Rows that were read so far.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) words: Vec<Arc<str>>,
    pub(super) values: Vec<f32>,
    /// Words whose bytes are not UTF-8.
    pub(super) changed: usize,
}

impl Rows {
    pub(super) fn push(&mut self, word: &[u8]) {
        let (word, changed) = word_of(word);
        self.words.push(word);
        self.changed += usize::from(changed);
    }

    /// The vectors of these rows. `promised` is the number of words in the file's header: there may be one more, `<unk>`, at
    /// the end, which GloVe's own programs do not count.
    pub(super) fn finish(self, columns: usize, promised: Option<usize>, path: &Path) -> Result<WordVectors> {
        let count = self.words.len();
        let is_unknown =
            |promised: usize| count == promised + 1 && self.words.last().is_some_and(|w| &**w == UNKNOWN_WORD);
        if let Some(promised) = promised.filter(|&promised| promised != count && !is_unknown(promised)) {
            let problem = Problem::new("the word vectors are cut off, or their header is wrong");
            let problem = problem.expected(format_args!("{promised} words, as the header says"));
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

pub(super) fn too_many(path: &Path) -> Error {
    Error::Weights(Problem::new("too many word vectors").expected("fewer than 2^32 words").at(path))
}

/// A binary file, read from its beginning. Every error names the byte and what was to be read there.
pub(super) struct Bytes<'a> {
    reader: BufReader<File>,
    path: &'a Path,
    /// Bytes that were read.
    at: u64,
    /// Bytes of the file.
    pub(super) size: u64,
}

impl<'a> Bytes<'a> {
    pub(super) fn open(path: &'a Path) -> Result<Self> {
        let file = open_regular(path).map_err(|source| Error::read(path, &source))?;
        let size = file.metadata().map_err(|source| Error::read(path, &source))?.len();
        Ok(Self { reader: BufReader::with_capacity(1 << 16, file), path, at: 0, size })
    }

    /// Where the next byte is from.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Bytes that are left.
    pub(super) fn left(&self) -> u64 {
        self.size.saturating_sub(self.at)
    }

    /// An error at this place.
    pub(super) fn wrong(&self, what: &str, expected: impl std::fmt::Display, found: impl std::fmt::Display) -> Error {
        let problem = Problem::new(what).expected(expected).found(found);
        Error::Weights(problem.at(format!("{}, byte {}", printable(self.path), self.at)))
    }

    /// Refuses a number of things that need more bytes than are left.
    pub(super) fn check(&self, count: u64, bytes: u64, what: &str) -> Result<usize> {
        let needed = count.checked_mul(bytes);
        if needed.is_none_or(|needed| needed > self.left()) {
            let expected = format!("{count} {what} of at least {bytes} bytes");
            return Err(self.wrong("the file is cut off, or damaged", expected, format!("{} bytes", self.left())));
        }
        Ok(count as usize)
    }

    pub(super) fn fill(&mut self, into: &mut [u8], what: &str) -> Result<()> {
        let left = self.left();
        self.reader.read_exact(into).map_err(|source| match source.kind() {
            ErrorKind::UnexpectedEof => {
                self.wrong("the file is cut off", format!("{} bytes of {what}", into.len()), format!("{left} bytes"))
            }
            _ => Error::read(self.path, &source),
        })?;
        self.at += into.len() as u64;
        Ok(())
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, what)?;
        Ok(bytes)
    }

    pub(super) fn u8(&mut self, what: &str) -> Result<u8> {
        Ok(self.array::<1>(what)?[0])
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(super) fn i32(&mut self, what: &str) -> Result<i32> {
        self.array(what).map(i32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64> {
        self.array(what).map(u64::from_le_bytes)
    }

    pub(super) fn i64(&mut self, what: &str) -> Result<i64> {
        self.array(what).map(i64::from_le_bytes)
    }

    /// Bytes up to a zero, which is read and not given.
    pub(super) fn until_zero(&mut self, what: &str) -> Result<Vec<u8>> {
        let mut word = Vec::new();
        let read = (&mut self.reader).take(WORD as u64 + 1).read_until(0, &mut word);
        read.map_err(|source| Error::read(self.path, &source))?;
        if word.pop() != Some(0) {
            return Err(self.wrong("the file is damaged", format!("{what} that ends by a zero byte"), "none"));
        }
        self.at += word.len() as u64 + 1;
        Ok(word)
    }

    pub(super) fn skip(&mut self, bytes: u64, what: &str) -> Result<()> {
        self.check(bytes, 1, what)?;
        let mut left = bytes;
        let mut piece = [0; 4096];
        while left > 0 {
            let part = left.min(4096) as usize;
            self.fill(&mut piece[..part], what)?;
            left -= part as u64;
        }
        Ok(())
    }

    /// Numbers of 32 bits, with an error that names the row of the first that is not finite.
    pub(super) fn floats(&mut self, rows: usize, columns: usize, what: &str) -> Result<Vec<f32>> {
        let count = self.check((rows as u64).saturating_mul(columns as u64), 4, what)?;
        let mut values = Vec::with_capacity(count);
        let mut bytes = vec![0; columns * 4];
        for row in 0..rows {
            self.fill(&mut bytes, what)?;
            values.extend(bytes.chunks_exact(4).map(|part| f32::from_le_bytes([part[0], part[1], part[2], part[3]])));
            if let Some(odd) = values[row * columns..].iter().find(|value| !value.is_finite()) {
                let problem = Problem::new(format_args!("row {} of the word vectors is damaged", row + 1));
                return Err(Error::Weights(problem.expected("finite numbers").found(odd).at(self.path)));
            }
        }
        Ok(values)
    }
}

/// A list of words beside an array of vectors, and where it was found.
pub(super) struct WordList {
    pub(super) words: Vec<Arc<str>>,
    /// Where each stood in the file that its vector is from; absent where the list does not say.
    pub(super) ranks: Option<Vec<u32>>,
    pub(super) path: PathBuf,
}

/// How a list of words is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    /// A word.
    Plain,
    /// A word, a blank and its count: GloVe's `vocab.txt`, the most frequent first.
    Counted,
    /// A rank, a tab and a word.
    Ranked,
}

impl WordList {
    /// The first of the usual names that lies beside a file.
    pub(super) fn beside(path: &Path, endings: &[&str], names: &[&str]) -> Option<PathBuf> {
        let stem = path.file_stem()?;
        let own = endings.iter().map(|ending| {
            let mut name = stem.to_owned();
            name.push(ending);
            path.with_file_name(name)
        });
        own.chain(names.iter().map(|name| path.with_file_name(name))).find(|other| other.is_file() && other != path)
    }

    /// Reads a list: a word a line, perhaps with its count behind it, or its rank and a tab before it; told by the first line.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let file = open_regular(path).map_err(|source| Error::read(path, &source))?;
        let mut reader = BufReader::new(file);
        let mut list = Self { words: Vec::new(), ranks: None, path: path.to_owned() };
        let mut ranks = Vec::new();
        let mut seen: HashMap<Arc<str>, usize> = HashMap::new();
        let mut before = u64::MAX;
        let mut form = None;
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let read = (&mut reader).take(WORD as u64 + 64).read_until(b'\n', &mut line);
            if read.map_err(|source| Error::read(path, &source))? == 0 {
                break;
            }
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            let wrong = |what: &str, expected: &str, found: String| {
                let problem = Problem::new(format_args!("line {number} of the list of words: {what}"));
                Error::Weights(problem.expected(expected).found(found).at(path))
            };
            let text = std::str::from_utf8(text)
                .map_err(|_| wrong("not text", "UTF-8", shown(&String::from_utf8_lossy(text))))?;
            let form = *form.get_or_insert_with(|| form_of(text));
            let word = match form {
                Lines::Plain => text,
                Lines::Counted => {
                    let parsed = text.rsplit_once(' ').and_then(|(word, count)| Some((word, count.parse().ok()?)));
                    let Some((word, count)) = parsed else {
                        return Err(wrong("no count", "a word, a blank and its count", format!("`{}`", shown(text))));
                    };
                    if count > before {
                        let found = format!("{count} after {before}");
                        return Err(wrong("not sorted", "counts that fall: rows are told by their place", found));
                    }
                    before = count;
                    word
                }
                Lines::Ranked => {
                    let parsed = text.split_once('\t').and_then(|(rank, word)| Some((rank.parse().ok()?, word)));
                    let Some((rank, word)) = parsed else {
                        return Err(wrong("no rank", "a rank, a tab and a word", format!("`{}`", shown(text))));
                    };
                    ranks.push(rank);
                    word
                }
            };
            if word.is_empty() || word.len() > WORD {
                let expected = format!("a word of 1 to {WORD} bytes");
                return Err(wrong("no word", &expected, format!("{} bytes", word.len())));
            }
            let word: Arc<str> = Arc::from(word);
            if let Some(first) = seen.insert(word.clone(), number) {
                let found = format!("`{}` in line {first} too", shown(&word));
                return Err(wrong("a word that comes twice", "each word once", found));
            }
            list.words.push(word);
        }
        list.ranks = (form == Some(Lines::Ranked)).then_some(ranks);
        Ok(list)
    }

    /// Refuses a list that is not of these vectors.
    pub(super) fn check(&self, rows: usize, path: &Path) -> Result<()> {
        if self.words.len() == rows {
            return Ok(());
        }
        let problem = Problem::new("the word vectors and the list of words beside them do not belong together");
        let problem = problem.expected(format_args!("{rows} words, as {} has rows", printable(path)));
        let problem = problem.found(format_args!("{} words", self.words.len())).at(&self.path);
        Err(Error::Weights(problem.hint("is the list of another run?")))
    }
}

fn form_of(line: &str) -> Lines {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match (line.split_once('\t'), line.rsplit_once(' ')) {
        (Some((rank, _)), _) if is_number(rank) => Lines::Ranked,
        (_, Some((word, count))) if is_number(count) && !word.is_empty() => Lines::Counted,
        _ => Lines::Plain,
    }
}
