//! `engraft glove convert`: word vectors in another format.

use serde::Serialize;

use super::output::{Output, SCHEMA};
use crate::bases::text::WordVectors;
use crate::error::{Result, printable};
use crate::progress::Observer;
use crate::settings::{ConvertVectors, VectorFormat};

/// What `convert` did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Converted {
    /// The schema of this report: 1.
    pub schema: u32,
    /// The version of the program.
    pub version: &'static str,
    /// `glove convert`
    pub command: &'static str,
    /// The file of vectors that was read.
    pub vectors: String,
    /// Words that were read.
    pub words: usize,
    /// Their columns.
    pub columns: usize,
    /// The format that was written.
    pub format: VectorFormat,
    /// All files that were written.
    pub files: Vec<String>,
    /// What was worth knowing about the file that was read.
    pub notes: Vec<String>,
    /// What was lost on the way.
    pub lost: Vec<String>,
}

/// Reads vectors in any of the formats and writes them in another, with a report beside them, `OUT.json`.
///
/// # Errors
/// As [`WordVectors::open`], and [`crate::error::Error::Output`] where the output cannot be written.
pub fn convert(settings: &ConvertVectors, observer: &dyn Observer) -> Result<Converted> {
    let output = Output::claim(&settings.out, settings.to, settings.force, &[("the vectors", &settings.vectors)])?;
    let read = WordVectors::open(&settings.vectors)?;
    observer.check()?;
    let notes = read.remarks().to_vec();
    let had_subwords = read.has_subwords();
    let vectors = match settings.most_frequent {
        0 => read,
        count => read.first(count)?,
    };
    output.write(&vectors, |files, mut lost| {
        if had_subwords && !vectors.has_subwords() {
            lost.push("character n-grams are left out: unknown words have no vector there".into());
        }
        Converted {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            command: "glove convert",
            vectors: printable(&settings.vectors),
            words: vectors.len(),
            columns: vectors.columns(),
            format: output.format(),
            files,
            notes,
            lost,
        }
    })
}
