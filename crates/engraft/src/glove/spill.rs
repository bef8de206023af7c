//! Data on disk that is written at the end and read anywhere.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::error::{Error, Result};
use crate::files::{Partial, Scratch};

/// Bytes in words.
pub(super) fn gigabytes(bytes: f64) -> String {
    format!("{:.1} GB", bytes / 1e9)
}

/// A file of a [`Scratch`] folder.
#[derive(Debug)]
pub(super) struct Spill {
    written: Partial,
    read: File,
    place: std::path::PathBuf,
}

impl Spill {
    /// An empty one.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub(super) fn new(scratch: &Scratch, name: &str) -> Result<Self> {
        let (written, read) = scratch.file(name)?;
        Ok(Self { written, read, place: scratch.folder().join(name) })
    }

    /// Adds bytes, and says where they are.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<u64> {
        let at = self.written.length();
        self.written.append(bytes)?;
        Ok(at)
    }

    /// Fills `bytes` from a place.
    pub(super) fn read(&self, at: u64, bytes: &mut [u8]) -> Result<()> {
        self.read.read_exact_at(bytes, at).map_err(|source| Error::read(&self.place, &source))
    }

    /// Bytes in it.
    pub(super) fn length(&self) -> u64 {
        self.written.length()
    }

    /// Removes it.
    pub(super) fn discard(self) -> Result<()> {
        self.written.discard()
    }
}
