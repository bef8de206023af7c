//! The files of a data set of questions or tagged words: one file, or a folder with a file for each split.

use std::path::{Path, PathBuf};

use encoding_rs::{Encoding, UTF_8};

use crate::data::split_names::exact;
use crate::data::{Finding, FindingKind, Severity, Split};
use crate::error::{Error, Problem, Result, printable};
use crate::files;

/// The largest file that is read.
const LIMIT: u64 = 2 << 30;

/// The file of one split, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its name: the file's.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) split: Split,
    /// What stands in it.
    pub(crate) text: String,
}

/// Reads `path`: a file with one of these endings is the training split; of a folder each such file is the split that its
/// name says (`train-v2.0.json`, `eng.testa`, `dev.conll`).
///
/// # Errors
/// [`Error::Data`] where nothing is there, two files are one split, no file says which it is, or one is not text.
pub(crate) fn read_parts(path: &Path, endings: &[&str]) -> Result<(Vec<Part>, Vec<Finding>)> {
    let metadata = std::fs::metadata(path)
        .map_err(|source| Error::Data(Problem::new("there is nothing to read at this path").found(source).at(path)))?;
    if !metadata.is_dir() {
        return Ok((vec![Part { name: file_name(path), split: Split::Train, text: read_text(path)? }], Vec::new()));
    }
    let mut found: Vec<PathBuf> = std::fs::read_dir(path)
        .map_err(|source| Error::read(path, &source))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        // A named pipe or a link to nothing is listed: reading it says why, or it is told as passed over.
        .filter(|file| !file.is_dir() && !file_name(file).starts_with('.'))
        .collect();
    found.sort();
    let (wanted, passed): (Vec<PathBuf>, Vec<PathBuf>) = found.into_iter().partition(|file| has_ending(file, endings));
    let mut findings = Vec::new();
    if !passed.is_empty() {
        let message = format!("{} files are of another kind than the data and were passed over", passed.len());
        let names = passed.iter().map(|file| file_name(file)).collect();
        findings.push(Finding::new(FindingKind::Skipped, Severity::Info, message, names));
    }
    let mut parts: Vec<Part> = Vec::new();
    for file in &wanted {
        let name = file_name(file);
        let split = match split_of(&name) {
            Some(split) => split,
            None if wanted.len() == 1 => Split::Train,
            None => {
                let problem = Problem::new("the file's name does not say which split it is").at(file);
                return Err(Error::Data(problem.expected("a name with train, dev or test in it, as train.json")));
            }
        };
        if let Some(other) = parts.iter().find(|part| part.split == split) {
            let problem = Problem::new(format_args!("two files are the split `{}`", split.name())).at(path);
            return Err(Error::Data(problem.found(format!("{} and {name}", other.name))));
        }
        parts.push(Part { name, split, text: read_text(file)? });
    }
    if !parts.iter().any(|part| part.split == Split::Train) {
        let expected = format!("train.{}", endings.join(", train."));
        return Err(Error::Data(Problem::new("the folder has no file to train on").expected(expected).at(path)));
    }
    Ok((parts, findings))
}

/// Whether the path is a file with one of these endings, or a folder with such a file in it.
pub(crate) fn is_of_kind(path: &Path, endings: &[&str]) -> bool {
    if path.is_file() {
        return has_ending(path, endings);
    }
    let Ok(entries) = std::fs::read_dir(path) else { return false };
    entries.filter_map(|entry| Some(entry.ok()?.path())).any(|file| file.is_file() && has_ending(&file, endings))
}

fn has_ending(file: &Path, endings: &[&str]) -> bool {
    let ending = file.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    let name = file_name(file).to_ascii_lowercase();
    // CoNLL's own files end in the split: eng.train, eng.testa.
    ending.is_some_and(|ending| endings.contains(&ending.as_str()))
        || (endings.contains(&"conll")
            && ["train", "testa", "testb", "dev", "test"].iter().any(|e| name.ends_with(&format!(".{e}"))))
}

/// The split that a part of a name says.
fn split_of(name: &str) -> Option<Split> {
    let name = name.to_ascii_lowercase();
    name.split(|c: char| !c.is_ascii_alphanumeric()).find_map(|word| match word {
        "dev" | "testa" => Some(Split::Val),
        "testb" => Some(Split::Test),
        word => exact(word),
    })
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| printable(path), |name| printable(Path::new(name)))
}

/// A file as text: UTF-8, or UTF-16 with a byte order mark.
///
/// # Errors
/// [`Error::Data`] where it is neither, with the line of the first wrong byte.
pub fn read_text(path: &Path) -> Result<String> {
    let bytes = files::read_limited(path, LIMIT).map_err(|source| crate::data::missing(path, &source))?;
    let (encoding, mark) = Encoding::for_bom(&bytes).unwrap_or((UTF_8, 0));
    if let Some(text) = encoding.decode_without_bom_handling_and_without_replacement(&bytes[mark..]) {
        return Ok(text.into_owned());
    }
    let valid = std::str::from_utf8(&bytes).map_or_else(|wrong| wrong.valid_up_to(), str::len);
    let line = bytes[..valid].iter().filter(|byte| **byte == b'\n').count() + 1;
    let problem = Problem::new("the file is not text in UTF-8").found(format!("a wrong byte in line {line}")).at(path);
    Err(Error::Data(problem.hint("convert it: iconv -f windows-1252 -t utf-8 FILE")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_the_split() {
        for (name, split) in [
            ("train-v2.0.json", Some(Split::Train)),
            ("dev-v1.1.json", Some(Split::Val)),
            ("eng.testa", Some(Split::Val)),
            ("eng.testb", Some(Split::Test)),
            ("TEST.conll", Some(Split::Test)),
            ("latest.json", None),
        ] {
            assert_eq!(split_of(name), split, "{name}");
        }
    }

    #[test]
    fn folders_that_cannot_be_told_apart_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(temp.path().join(name), bytes).unwrap();
        assert!(read_parts(temp.path(), &["json"]).unwrap_err().to_string().contains("train.json"));
        write("train.json", b"{}");
        write("readme.md", b"x");
        let (parts, findings) = read_parts(temp.path(), &["json"]).unwrap();
        assert_eq!((parts.len(), findings.len(), parts[0].split), (1, 1, Split::Train));
        write("other.json", b"{}");
        assert!(read_parts(temp.path(), &["json"]).unwrap_err().to_string().contains("does not say which split"));
        std::fs::remove_file(temp.path().join("other.json")).unwrap();
        write("train2.train.json", b"{}");
        assert!(read_parts(temp.path(), &["json"]).unwrap_err().to_string().contains("two files"));
    }

    #[test]
    fn what_is_no_text_is_told_with_its_line() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a.txt");
        std::fs::write(&path, b"one\ntwo\xff").unwrap();
        assert!(read_text(&path).unwrap_err().to_string().contains("line 2"));
        std::fs::write(&path, b"\xef\xbb\xbfone").unwrap();
        assert_eq!(read_text(&path).unwrap(), "one");
        std::fs::write(&path, b"\xff\xfeo\0n\0e\0").unwrap();
        assert_eq!(read_text(&path).unwrap(), "one");
    }
}
