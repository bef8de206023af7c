//! Locks between processes.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use super::reading::NO_WAIT;
use super::steps::parent;
use crate::error::{Error, Problem, Result};

/// An exclusive lock between processes and threads, held until it is dropped or its process ends (`flock`, as Python's
/// `filelock`).
#[derive(Debug)]
pub struct Lock {
    _file: Option<File>,
}

impl Lock {
    /// Takes the lock on the file `path`, which is made where missing and is left there; nothing where somebody holds it.
    /// A file system that knows no locks gives one that excludes nobody.
    pub(crate) fn try_acquire(path: &Path) -> Result<Option<Self>> {
        let fail = |source: io::Error| Error::write(path, &source);
        fs::create_dir_all(parent(path)).map_err(fail)?;
        let file = File::options().append(true).create(true).custom_flags(NO_WAIT).open(path).map_err(fail)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: Some(file) })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) if source.kind() == io::ErrorKind::Unsupported => {
                Ok(Some(Self { _file: None }))
            }
            Err(TryLockError::Error(source)) => Err(fail(source)),
        }
    }

    /// Takes the lock of a folder of unfinished work: the file `lock` in it.
    ///
    /// # Errors
    /// [`Error::Output`] where another process holds it.
    pub(crate) fn of_unfinished(folder: &Path) -> Result<Self> {
        Self::try_acquire(&folder.join("lock"))?.ok_or_else(|| {
            let problem = Problem::new("another process is working on this output").at(folder);
            Error::Output(problem.hint("wait for it to end, or choose another --out"))
        })
    }

    /// Waits for the lock. `wait` is called before each wait of a few hundredths of a second and may give up.
    pub fn acquire(path: &Path, mut wait: impl FnMut() -> Result<()>) -> Result<Self> {
        loop {
            if let Some(lock) = Self::try_acquire(path)? {
                return Ok(lock);
            }
            wait()?;
            std::thread::sleep(Duration::from_millis(30));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_by_one_at_a_time() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("locks/x.lock");
        let held = Lock::acquire(&path, || Ok(())).unwrap();
        assert!(Lock::try_acquire(&path).unwrap().is_none());
        assert!(Lock::acquire(&path, || Err(Error::Interrupted)).is_err());
        drop(held);
        assert!(Lock::acquire(&path, || Err(Error::Interrupted)).is_ok());
    }
}
