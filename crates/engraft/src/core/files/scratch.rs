//! Room on disk for what does not fit in memory, gone when the work is over.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::aside::claim_aside;
use super::partial::Partial;
use super::reading::open_regular;
use super::steps::parent;
use crate::error::{Error, Result};

/// A hidden folder beside an output for data that does not fit in memory. It is removed when it is dropped; what a killed
/// process left is removed by the next work on the same output.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: PathBuf,
    /// The folder itself, locked while it is used.
    _lock: File,
}

impl Scratch {
    /// Makes the folder beside `target`, whose own folder is made where it is missing.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub(crate) fn beside(target: &Path) -> Result<Self> {
        let fail = |source: io::Error| Error::write(target, &source);
        fs::create_dir_all(parent(target)).map_err(fail)?;
        let create = |path: &Path| {
            fs::create_dir(path)?;
            File::open(path).map_err(|source| match source.kind() {
                io::ErrorKind::NotFound => io::ErrorKind::AlreadyExists.into(),
                _ => source,
            })
        };
        let (folder, lock) = claim_aside(target, create).map_err(fail)?;
        Ok(Self { folder, _lock: lock })
    }

    /// Begins a file in it: to write at its end, and to read anywhere.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub(crate) fn file(&self, name: &str) -> Result<(Partial, File)> {
        let path = self.folder.join(name);
        let written = Partial::open(&path)?;
        let read = open_regular(&path).map_err(|source| Error::read(&path, &source))?;
        Ok((written, read))
    }

    /// Where it is, for messages.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn it_is_read_while_it_is_written_and_leaves_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let scratch = Scratch::beside(&temp.path().join("x.bin")).unwrap();
        let (mut written, read) = scratch.file("run").unwrap();
        written.append(b"abcdef").unwrap();
        let mut found = [0; 3];
        read.read_exact_at(&mut found, 2).unwrap();
        assert_eq!(&found, b"cde");
        assert!(scratch.folder().is_dir());
        drop(scratch);
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_process_left_goes_with_the_next_work_on_the_same_output() {
        let temp = tempfile::tempdir().unwrap();
        let target = temp.path().join("x.bin");
        let left = temp.path().join(".x.bin.partial-0123456789abcdef");
        fs::create_dir(&left).unwrap();
        fs::write(left.join("run"), b"half").unwrap();
        let _scratch = Scratch::beside(&target).unwrap();
        assert!(!left.exists());
    }
}
