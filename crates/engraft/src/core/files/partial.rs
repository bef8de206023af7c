//! Files that grow in pieces.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::reading::read_pieces;
use super::steps::{parent, remove_file, sync_folder};
use crate::error::{Error, Result};

/// A file that grows in pieces, perhaps over several runs, and takes its final name once it is whole.
///
/// Dropped before [`Partial::finish`] it stays as it is, for the next run to go on. Guard it with a [`Lock`].
#[derive(Debug)]
pub(crate) struct Partial {
    file: File,
    path: PathBuf,
    length: u64,
}

impl Partial {
    /// Opens `path` for appending; it and its folder are made where missing. A symbolic link is refused.
    pub fn open(path: &Path) -> Result<Self> {
        let fail = |source: io::Error| Error::write(path, &source);
        fs::create_dir_all(parent(path)).map_err(fail)?;
        let no_links = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
        let file =
            File::options().read(true).append(true).create(true).custom_flags(no_links).open(path).map_err(fail)?;
        let metadata = file.metadata().map_err(fail)?;
        if !metadata.is_file() {
            return Err(fail(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
        }
        Ok(Self { file, path: path.to_owned(), length: metadata.len() })
    }

    /// Bytes that are there.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Hands over what is there, in pieces from the start.
    pub(crate) fn read(&self, each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut file = File::open(&self.path).map_err(|source| Error::read(&self.path, &source))?;
        read_pieces(&mut file, &self.path, each)
    }

    /// Adds bytes at the end.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|source| Error::write(&self.path, &source))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Starts again from nothing.
    pub(crate) fn clear(&mut self) -> Result<()> {
        self.file.set_len(0).map_err(|source| Error::write(&self.path, &source))?;
        self.length = 0;
        Ok(())
    }

    /// Syncs, and renames it to `target` on the same file system; the folder is synced too.
    pub(crate) fn finish(self, target: &Path) -> Result<()> {
        let finished = self
            .file
            .sync_all()
            .and_then(|()| fs::rename(&self.path, target))
            .and_then(|()| sync_folder(&parent(target)));
        finished.map_err(|source| Error::write(target, &source))
    }

    /// Removes it.
    pub(crate) fn discard(self) -> Result<()> {
        remove_file(&self.path)
    }
}
