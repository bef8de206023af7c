//! A corpus from stdin, kept in a file while it is needed more than once.

use std::io::Write;
use std::path::Path;

use super::corpus::Corpus;
use crate::error::{Error, Result};
use crate::files::Aside;
use crate::progress::Observer;

/// Copies a corpus to a file, unpacked, and returns what tells it from others: its length and a checksum.
///
/// # Errors
/// [`Error::Data`] as [`Corpus`], [`Error::Output`].
pub(super) fn spool(corpus: &Corpus, path: &Path, observer: &dyn Observer) -> Result<String> {
    let mut file = Aside::create(path, true)?;
    let (mut checksum, mut length) = (0, 0);
    corpus.read("reading the corpus", observer, |pieces| {
        for piece in pieces {
            checksum = crc32c::crc32c_append(checksum, piece.text());
            length += piece.text().len();
            file.write_all(piece.text()).map_err(|source| Error::write(path, &source))?;
            // A file's end is a line's end.
            if piece.ends_file && !piece.text().ends_with(b"\n") {
                file.write_all(b"\n").map_err(|source| Error::write(path, &source))?;
            }
        }
        Ok(())
    })?;
    file.commit()?;
    Ok(format!("{length} {checksum:08x}"))
}
