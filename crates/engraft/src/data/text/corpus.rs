//! Plain text as documents, one after the other: for language models and word statistics.

use std::path::{Path, PathBuf};

use super::encoding::detect_as;
use super::lines::Lines;
use super::stream::text_files;
use super::{Limits, TextReading, stream_texts};
use crate::error::Result;
use crate::progress::Observer;

/// Bytes after which a paragraph ends with its line: a text without blank lines is read in pieces of this size.
const PARAGRAPH: usize = 64 << 10;

/// A piece of plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Where it is from: the row of a table, or a file's printable path and the line on which it begins.
    pub(crate) name: String,
    /// The text, without white space around it; never empty.
    pub(crate) text: String,
}

/// The documents of a corpus, each read when it is asked for: the paragraphs of a `.txt` file or of all `.txt` files below
/// a folder (in the order of their names; a paragraph ends at a blank line, or at the end of the line that makes it larger
/// than 64 KiB), or the texts of a table's columns, row by row (several columns of a row are documents of their own).
///
/// # Errors
/// [`crate::error::Error::Data`] as [`stream_texts`]; after an error among the documents nothing comes any more.
pub fn read_corpus<'a>(
    path: &Path,
    columns: &[String],
    observer: &'a dyn Observer,
) -> Result<Box<dyn Iterator<Item = Result<Document>> + Send + 'a>> {
    let metadata = std::fs::metadata(path).map_err(|source| crate::data::missing(path, &source))?;
    let is_plain = crate::data::ending(path).as_deref() == Some("txt") && columns.is_empty();
    if !metadata.is_dir() && !is_plain {
        let rows = stream_texts(path, &TextReading { text: columns.to_vec(), ..TextReading::default() }, observer)?;
        return Ok(Box::new(rows.flat_map(|row| {
            let documents: Vec<Result<Document>> = match row {
                Ok(row) => {
                    let parts = [Some(row.text.first), row.text.second].into_iter().flatten();
                    let parts = parts.filter(|text| !super::record::is_missing(text));
                    parts.map(|text| Ok(Document { name: row.name.clone(), text })).collect()
                }
                Err(error) => vec![Err(error)],
            };
            documents
        })));
    }
    let files = corpus_files(path)?;
    let root = if metadata.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) }.to_owned();
    let mut paragraphs =
        Paragraphs { files: files.into_iter(), root, current: None, limits: Limits::default(), observer };
    let mut ended = false;
    Ok(Box::new(std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let next = paragraphs.next();
        ended = !matches!(next, Ok(Some(_)));
        next.transpose()
    })))
}

/// The files that [`read_corpus`] reads, in that order.
///
/// # Errors
/// [`crate::error::Error::Data`] where a folder holds none.
pub fn corpus_files(path: &Path) -> Result<Vec<PathBuf>> {
    let metadata = std::fs::metadata(path).map_err(|source| crate::data::missing(path, &source))?;
    if metadata.is_dir() {
        return text_files(path);
    }
    crate::files::open_regular(path).map_err(|source| crate::data::missing(path, &source))?;
    Ok(vec![path.to_owned()])
}

struct Paragraphs<'a> {
    files: std::vec::IntoIter<PathBuf>,
    root: PathBuf,
    current: Option<(String, Lines)>,
    limits: Limits,
    observer: &'a dyn Observer,
}

impl Paragraphs<'_> {
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
            self.current = Some((name, Lines::open(&file, &detect_as(&file, None, self.observer)?, &self.limits)?));
        }
    }
}

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
}
