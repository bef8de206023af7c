//! Bytes filed by kind and key, each file with its checksum.

use std::path::PathBuf;

use crate::error::Result;
use crate::files;

/// Largest file that is read.
const LIMIT: u64 = 4 << 30;

/// A folder of files `KIND/KEY`: a line with the SHA-256 of the body, then the body.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    folder: PathBuf,
}

impl Store {
    /// The files below `folder`, which is made when something is kept.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// What was kept under `kind/key`, if it is whole.
    pub(crate) fn get(&self, kind: &str, key: &str) -> Option<Vec<u8>> {
        let file = self.folder.join(kind).join(key);
        let bytes = files::read_limited(&file, LIMIT).ok()?;
        let (checksum, rest) = bytes.split_first_chunk::<64>()?;
        let body = rest.strip_prefix(b"\n")?;
        files::touch(&file);
        (files::sha256_hex(body).as_bytes() == checksum).then(|| body.to_vec())
    }

    /// Keeps `body` under `kind/key`.
    ///
    /// # Errors
    /// [`crate::error::Error::Output`] where it cannot be written.
    pub(crate) fn put(&self, kind: &str, key: &str, body: &[u8]) -> Result<()> {
        let text = [files::sha256_hex(body).as_bytes(), b"\n", body].concat();
        files::write_atomic(&self.folder.join(kind).join(key), &text)
    }
}
