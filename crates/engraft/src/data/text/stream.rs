//! Texts without labels, one after the other: for embedding what is larger than memory.

use std::path::Path;

use super::columns::choose;
use super::encoding::{Detected, decode, detect_as, detect_bytes, encoding_of};
use super::lines::Lines;
use super::table::{Opening, Table};
use super::{Limits, Text, TextReading};
use crate::error::{Error, Problem, Result};
use crate::files::read_limited;
use crate::progress::Observer;

/// A text and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextRow {
    /// `row 17` of a table, `line 17` of a plain text, or a file's printable path relative to the folder.
    pub name: String,
    /// The text, without white space around it; empty where the table has none.
    pub text: Text,
}

/// Texts one after the other, each read when it is asked for: the rows of a table, the lines of a plain text that are not
/// blank (`.txt`), or the `.txt` files of a folder, sorted. The columns of a table are inferred as by
/// [`super::open_texts`]; labels are not looked at. What cannot be decoded becomes U+FFFD, zeros are taken out.
///
/// # Errors
/// [`Error::Data`] as [`super::open_texts`], and [`Error::Interrupted`] while the file is opened; after an error among the texts nothing comes any more.
pub fn stream_texts(
    path: &Path,
    reading: &TextReading,
    observer: &dyn Observer,
) -> Result<Box<dyn Iterator<Item = Result<TextRow>> + Send>> {
    let limits = Limits::default();
    let encoding = encoding_of(reading.encoding.as_deref())?;
    let metadata = std::fs::metadata(path).map_err(|source| crate::data::missing(path, &source))?;
    if metadata.is_dir() {
        let root = path.to_owned();
        return Ok(Box::new(text_files(path)?.into_iter().map(move |file| {
            let name = crate::error::printable(file.strip_prefix(&root).unwrap_or(&file));
            Ok(TextRow { name, text: Text::single(text_of(&file, encoding, &limits)?) })
        })));
    }
    if crate::data::ending(path).as_deref() == Some("txt") && reading.text.is_empty() {
        let detected = detect_as(path, encoding, observer)?;
        tell(Some(&detected), observer);
        let mut lines = Lines::open(path, &detected, &limits)?;
        let mut ended = false;
        return Ok(Box::new(std::iter::from_fn(move || {
            if ended {
                return None;
            }
            let next = lines.next().map(|line| line.map(|line| without_zeros(line.trim().to_owned())));
            ended = !matches!(next, Ok(Some(_)));
            let name = format!("line {}", lines.line);
            next.map(|line| line.map(|line| TextRow { name, text: Text::single(line) })).transpose()
        })));
    }
    let named: Vec<&str> = reading.text.iter().map(String::as_str).collect();
    let table = Table::open(path, &Opening { named: &named, encoding, glance: false }, &limits, observer)?;
    tell(table.encoding(), observer);
    let columns = choose(&table, &table.sample()?, reading, false)?;
    let is_pair = columns.text.len() == 2;
    let records = table.records(&columns.text)?;
    Ok(Box::new(records.map(move |record| {
        let record = record?;
        let names: Vec<&str> = columns.text.iter().map(|&column| table.columns()[column].as_str()).collect();
        record.refuse_lists(&names, table.path())?;
        let mut fields = record.fields.into_iter().map(|field| without_zeros(field.unwrap_or_default()));
        let first = fields.next().unwrap_or_default();
        let text = Text { first, second: is_pair.then(|| fields.next().unwrap_or_default()) };
        Ok(TextRow { name: format!("row {}", record.row), text })
    })))
}

/// Says an encoding that was found out.
fn tell(detected: Option<&Detected>, observer: &dyn Observer) {
    detected.and_then(Detected::remark).iter().for_each(|remark| observer.say(remark));
}

fn without_zeros(mut text: String) -> String {
    text.retain(|c| c != '\0');
    text
}

/// The `.txt` files of a folder and the folders in it, sorted; those of runs of this program are passed over.
pub(super) fn text_files(path: &Path) -> Result<Vec<std::path::PathBuf>> {
    let found = crate::data::folder::files_below(path, &["txt"]);
    if found.is_empty() {
        let problem = Problem::new("the folder holds no texts").expected("files named .txt");
        return Err(Error::Data(problem.at(path)));
    }
    Ok(found)
}

/// A whole file as text.
fn text_of(path: &Path, encoding: Option<&'static encoding_rs::Encoding>, limits: &Limits) -> Result<String> {
    let bytes = read_limited(path, limits.record as u64).map_err(|source| crate::data::missing(path, &source))?;
    Ok(without_zeros(decode(&bytes, &detect_bytes(&bytes, path, encoding)?).trim().to_owned()))
}
