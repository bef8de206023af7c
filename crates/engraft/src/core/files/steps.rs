//! The single steps of writing: syncing, and renaming to a name that nobody has.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Problem, Result};

/// The folder that something lies in.
pub(super) fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Renames to a name that nobody has.
pub(super) fn rename_to_new(from: &Path, to: &Path) -> Result<()> {
    let taken = || {
        Error::Output(
            Problem::new("the output appeared while we worked").at(to).hint("choose another name for the output"),
        )
    };
    let place = rustix::fs::CWD;
    match rustix::fs::renameat_with(place, from, place, to, rustix::fs::RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::EXIST) => Err(taken()),
        // A file system that knows no such renames: a look before has to do.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {
            if fs::symlink_metadata(to).is_ok() {
                return Err(taken());
            }
            fs::rename(from, to).map_err(|source| Error::write(to, &source))
        }
        Err(source) => Err(Error::write(to, &source.into())),
    }
}

/// Writes a new file, and syncs it.
pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Syncs the names in a folder.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes a file; one that is not there is no error.
pub fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::write(path, &source)),
        _ => Ok(()),
    }
}
