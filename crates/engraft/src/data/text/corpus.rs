<<<<<<< HEAD
//! Plain text as documents, one after the other: for language models and word statistics.

use std::path::{Path, PathBuf};

use super::encoding::detect_file;
use super::json_lines::Lines;
use super::stream::text_files;
use super::{Limits, TextReading, stream_texts};
use crate::error::Result;

/// Bytes after which a paragraph ends with its line: a text without blank lines is read in pieces of this size.
const PARAGRAPH: usize = 64 << 10;

/// A piece of plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Where it is from: the row of a table, or a file's printable path and the line on which it begins.
    pub name: String,
    /// The text, without white space around it; never empty.
    pub text: String,
}

/// The documents of a corpus, each read when it is asked for: the paragraphs of a `.txt` file or of all `.txt` files below
/// a folder (in the order of their names; a paragraph ends at a blank line, or at the end of the line that makes it larger
/// than 64 KiB), or the texts of a table's columns, row by row (several columns of a row are documents of their own).
///
/// # Errors
/// [`crate::error::Error::Data`] as [`stream_texts`]; after an error among the documents nothing comes any more.
pub fn read_corpus(path: &Path, columns: &[String]) -> Result<Box<dyn Iterator<Item = Result<Document>> + Send>> {
    let metadata = std::fs::metadata(path).map_err(|source| crate::data::missing(path, &source))?;
    let is_plain = crate::data::ending(path).as_deref() == Some("txt") && columns.is_empty();
    if !metadata.is_dir() && !is_plain {
        let rows = stream_texts(path, &TextReading { text: columns.to_vec(), label: None })?;
        return Ok(Box::new(rows.flat_map(|row| {
            let documents: Vec<Result<Document>> = match row {
                Ok(row) => {
                    let parts = [Some(row.text.first), row.text.second].into_iter().flatten();
                    let parts = parts.filter(|text| !super::columns::is_missing(text));
                    parts.map(|text| Ok(Document { name: row.name.clone(), text })).collect()
                }
                Err(error) => vec![Err(error)],
            };
            documents
        })));
    }
    let (files, root) = match metadata.is_dir() {
        true => (text_files(path)?, path.to_owned()),
        false => (vec![path.to_owned()], path.parent().unwrap_or(Path::new("")).to_owned()),
    };
    let mut paragraphs = Paragraphs { files: files.into_iter(), root, current: None, limits: Limits::default() };
    let mut ended = false;
    Ok(Box::new(std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let next = paragraphs.next();
        ended = !matches!(next, Ok(Some(_)));
        next.transpose()
=======
//! Plain text without labels, read piece by piece: what a language model learns from.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::error::{Error, Problem, Result};

/// Longest piece, in bytes: a paragraph that is longer is cut.
const PIECE: usize = 1 << 16;

/// The pieces of a corpus in order, or what went wrong.
pub type Pieces = Box<dyn Iterator<Item = Result<String>> + Send>;

/// The paragraphs of a `.txt` file, or of all below a folder in the order of their names; bytes that are no UTF-8 are
/// replaced. A paragraph ends at an empty line.
///
/// # Errors
/// [`Error::Data`] where there is no such file, or none in the folder. Pieces are [`Error::Io`] where reading fails.
pub fn read_corpus(path: &Path) -> Result<Pieces> {
    let metadata = std::fs::metadata(path)
        .map_err(|source| Error::Data(Problem::new("the corpus cannot be read").found(source).at(path)))?;
    let is_text = |file: &Path| file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("txt"));
    let files = if metadata.is_dir() {
        let entries = walkdir::WalkDir::new(path).sort_by_file_name().into_iter().filter_map(|entry| entry.ok());
        let files = entries.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path);
        files.filter(|file| is_text(file)).collect()
    } else if is_text(path) {
        vec![path.to_owned()]
    } else {
        Vec::new()
    };
    if files.is_empty() {
        let problem = Problem::new("this is no corpus").expected("a .txt file, or a folder of such");
        return Err(Error::Data(problem.at(path)));
    }
    Ok(Box::new(files.into_iter().flat_map(|file| match Paragraphs::open(file) {
        Ok(paragraphs) => Box::new(paragraphs) as Pieces,
        Err(problem) => Box::new(std::iter::once(Err(problem))),
>>>>>>> text-words
    })))
}

struct Paragraphs {
<<<<<<< HEAD
    files: std::vec::IntoIter<PathBuf>,
    root: PathBuf,
    current: Option<(String, Lines)>,
    limits: Limits,
}

impl Paragraphs {
    fn next(&mut self) -> Result<Option<Document>> {
        loop {
            if let Some((name, lines)) = &mut self.current {
                if let Some(document) = paragraph(name, lines)? {
                    return Ok(Some(document));
                }
                self.current = None;
            }
            let Some(file) = self.files.next() else { return Ok(None) };
            let name = crate::error::printable(file.strip_prefix(&self.root).unwrap_or(&file));
            self.current = Some((name, Lines::open(&file, &detect_file(&file)?, &self.limits)?));
=======
    path: PathBuf,
    reader: BufReader<File>,
}

impl Paragraphs {
    fn open(path: PathBuf) -> Result<Self> {
        let file = File::open(&path).map_err(|source| Error::read(&path, &source))?;
        Ok(Self { path, reader: BufReader::with_capacity(1 << 16, file) })
    }
}

impl Iterator for Paragraphs {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut bytes = Vec::new();
        loop {
            let before = bytes.len();
            let got = (&mut self.reader).take((PIECE - before) as u64).read_until(b'\n', &mut bytes);
            match got {
                Err(source) => return Some(Err(Error::read(&self.path, &source))),
                Ok(0) if bytes.is_empty() => return None,
                Ok(got) => {
                    let is_empty = bytes[before..].iter().all(u8::is_ascii_whitespace);
                    if got == 0 || bytes.len() >= PIECE || (is_empty && before > 0) {
                        return Some(Ok(String::from_utf8_lossy(&bytes).into_owned()));
                    }
                    if is_empty {
                        bytes.clear();
                    }
                }
            }
>>>>>>> text-words
        }
    }
}

<<<<<<< HEAD
fn paragraph(name: &str, lines: &mut Lines) -> Result<Option<Document>> {
    let (mut text, mut from) = (String::new(), 0);
    while let Some(line) = lines.next_of_any()? {
        let line = line.trim_end();
        if !line.is_empty() {
            if !text.is_empty() {
                text.push('\n');
            }
            text.extend(line.chars().filter(|&c| c != '\0'));
        }
        let is_blank = line.is_empty();
        if from == 0 && !is_blank {
            from = lines.line;
        }
        if is_blank && !text.is_empty() || text.len() > PARAGRAPH {
            break;
        }
    }
    let name = format!("{name}, line {from}");
    Ok((!text.is_empty()).then(|| Document { name, text: text.trim().to_owned() }))
=======
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_of_all_files_come_in_order() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir(temp.path().join("a")).unwrap();
        std::fs::write(temp.path().join("a/2.txt"), "\n\n one\ntwo\n \nthree").unwrap();
        std::fs::write(temp.path().join("b.TXT"), b"four\xff\n").unwrap();
        std::fs::write(temp.path().join("c.csv"), "no").unwrap();
        let found: Vec<String> = read_corpus(temp.path()).unwrap().map(Result::unwrap).collect();
        let trimmed: Vec<&str> = found.iter().map(|piece| piece.trim()).collect();
        assert_eq!(trimmed, ["one\ntwo", "three", "four\u{fffd}"]);
        assert!(matches!(read_corpus(&temp.path().join("c.csv")), Err(Error::Data(_))));
        assert!(matches!(read_corpus(&temp.path().join("none")), Err(Error::Data(_))));
    }

    #[test]
    fn a_line_without_an_end_is_cut() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("long.txt");
        std::fs::write(&path, "x".repeat(3 * PIECE + 1)).unwrap();
        let lengths: Vec<usize> = read_corpus(&path).unwrap().map(|piece| piece.unwrap().len()).collect();
        assert_eq!(lengths, [PIECE, PIECE, PIECE, 1]);
    }
>>>>>>> text-words
}
