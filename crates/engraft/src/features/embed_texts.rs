//! Features of more texts than memory holds: part by part, each kept beside the output until all are there, so that a
//! stopped run goes on where it was.

use std::path::Path;

use crate::data::text::{Text, TextRow};
use crate::error::{Error, Problem, Result};
use crate::features::TextExtractor;
use crate::features::export::{Format, INDEX_HEADER};
use crate::features::parts::Parts;
use crate::files;
use crate::progress::Observer;

/// Texts of a part: what a command that is killed loses.
const PART: usize = 512;

/// What an embedding of texts came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedTexts {
    /// Rows written.
    pub rows: usize,
    /// Texts that are empty, by name: they have no row.
    pub empty: Vec<String>,
    /// Rows that a stopped run had computed.
    pub resumed: usize,
    /// Texts that are longer than what the base reads.
    pub truncated: usize,
    /// Name and SHA-256 of each row's text, as CSV with the columns `row,path,sha256`.
    pub index: Vec<u8>,
}

/// Computes the rows of texts in their order and writes them to `out`, complete or not at all, with `replace` over a file
/// that is there. An empty text has no row, or
/// with `strict` is an error.
///
/// # Errors
/// Texts that cannot be read, a base that gives numbers that are none, an output that cannot be written, interruption: in
/// every case the finished parts stay in `OUT.unfinished`.
pub fn embed_texts(
    extractor: &TextExtractor,
    rows: impl Iterator<Item = Result<TextRow>>,
    out: &Path,
    format: Format,
    strict: bool,
    replace: bool,
    observer: &dyn Observer,
) -> Result<EmbeddedTexts> {
    let mut parts = Parts::of(out, extractor.columns())?;
    let mut index = csv::Writer::from_writer(Vec::new());
    let bad_index = |source: csv::Error| Error::Io(Problem::new("the index cannot be written").found(source));
    index.write_record(INDEX_HEADER).map_err(bad_index)?;
    let mut embedded = EmbeddedTexts { rows: 0, empty: Vec::new(), resumed: 0, truncated: 0, index: Vec::new() };
    let mut names: Vec<String> = Vec::new();
    let mut rows = rows.peekable();
    observer.begin("features", 0, "texts");
    while rows.peek().is_some() {
        observer.check()?;
        let part: Vec<TextRow> = rows.by_ref().take(PART).collect::<Result<_>>()?;
        let (part, empty): (Vec<TextRow>, Vec<TextRow>) =
            part.into_iter().partition(|row| row.text.parts().any(|text| !text.trim().is_empty()));
        if let Some(first) = empty.first().filter(|_| strict) {
            let problem = Problem::new("a text is empty, and --strict makes that fatal").found(&first.name);
            return Err(Error::Data(problem.hint("leave out --strict: it then has no row, and is named")));
        }
        observer.advance(empty.len() as u64);
        embedded.empty.extend(empty.into_iter().map(|row| row.name));
        if part.is_empty() {
            continue;
        }
        let texts: Vec<&Text> = part.iter().map(|row| &row.text).collect();
        let digests: Vec<String> = texts.iter().map(|text| text.digest()).collect();
        embedded.truncated += extractor.truncated(&texts)?;
        let key = files::sha256_hex(format!("{}/{}", extractor.identity(), digests.join(",")).as_bytes());
        if parts.take(&key, part.len()) {
            embedded.resumed += part.len();
            observer.advance(part.len() as u64);
        } else {
            parts.keep(key, &extractor.extract(&texts, &digests, None, &Part(observer))?.values)?;
        }
        for (row, digest) in part.iter().zip(&digests) {
            let number = embedded.rows.to_string();
            index.write_record([number.as_str(), &row.name, digest]).map_err(bad_index)?;
            embedded.rows += 1;
        }
        names.extend(part.into_iter().map(|row| row.name));
    }
    observer.end();
    if embedded.rows == 0 {
        parts.drop_all()?;
        return Err(Error::Data(
            Problem::new("there is no text that could be used").expected("at least one that is not empty"),
        ));
    }
    parts.write(out, format, &names, replace)?;
    embedded.index =
        index.into_inner().map_err(|source| Error::Io(Problem::new("the index cannot be written").found(source)))?;
    Ok(embedded)
}

/// What one part tells: that it goes on. It hears that it should stop.
struct Part<'a>(&'a dyn Observer);

impl Observer for Part<'_> {
    fn begin(&self, _: &str, _: u64, _: &str) {}

    fn advance(&self, units: u64) {
        self.0.advance(units);
    }

    fn end(&self) {}

    fn say(&self, line: &str) {
        self.0.say(line);
    }

    fn interrupted(&self) -> bool {
        self.0.interrupted()
    }
}
