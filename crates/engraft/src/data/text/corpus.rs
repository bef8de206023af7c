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
    })))
}

struct Paragraphs {
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
        }
    }
}

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
}
