//! The only place that writes files: aside, synced, renamed. What was there is there until the new is complete.

#![expect(clippy::disallowed_methods, reason = "every other module is forbidden to write; this one is where writes go")]

mod aside;
mod lock;
mod made;
mod partial;
mod reading;
mod scratch;
mod staging;
mod steps;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

use aside::{aside_name, claim_aside};
pub(crate) use aside::{remove_leftovers_in, remove_leftovers_of};
pub use lock::Lock;
pub(crate) use made::is_digest_name;
pub use made::{Made, claim_file};
pub(crate) use partial::Partial;
pub use reading::begins_with;
pub use reading::read_limited;
use reading::read_pieces;
pub(crate) use reading::{kind_of, open_regular};
pub(crate) use scratch::Scratch;
pub use staging::Staging;
pub use steps::remove_file;
use steps::{parent, rename_to_new, sync_folder};

/// Lower-case hexadecimal SHA-256.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes as lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Replaces `path` by `bytes`: written beside it, synced, renamed over it, and the folder synced.
///
/// After a crash the file holds the old bytes or the new ones, never a mixture.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    write_output(path, bytes, true)
}

/// Writes a file that a user named, as `write_atomic`. Without `replace` a file that is there is an error, also if it
/// appeared a moment ago. [`claim_file`] says what may be replaced.
///
/// # Errors
/// [`Error::Output`].
pub fn write_output(path: &Path, bytes: &[u8], replace: bool) -> Result<()> {
    let mut aside = Aside::create(path, replace)?;
    aside.write_all(bytes).map_err(|source| Error::write(path, &source))?;
    aside.commit()
}

/// A file that appears complete or not at all, written piece by piece: beside its place, synced and renamed by
/// [`Aside::commit`]. Dropped before that, it is removed; what a killed process left is removed by the next of its name.
#[derive(Debug)]
pub(crate) struct Aside {
    /// Locked while it is written, so that nobody takes it for a left-over.
    file: io::BufWriter<File>,
    aside: PathBuf,
    target: PathBuf,
    replace: bool,
    done: bool,
}

impl Aside {
    /// Begins the file; its folder is made where it is missing. Without `replace` a file of this name that is there when it
    /// is complete is an error.
    pub(crate) fn create(target: &Path, replace: bool) -> Result<Self> {
        let fail = |source: io::Error| Error::write(target, &source);
        fs::create_dir_all(parent(target)).map_err(fail)?;
        let (aside, file) =
            claim_aside(target, |path| File::options().write(true).create_new(true).open(path)).map_err(fail)?;
        Ok(Self { file: io::BufWriter::new(file), aside, target: target.to_owned(), replace, done: false })
    }

    /// Syncs it and puts it in its place.
    pub(crate) fn commit(mut self) -> Result<()> {
        let finished = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        finished.map_err(|source| Error::write(&self.target, &source))?;
        match self.replace {
            true => fs::rename(&self.aside, &self.target).map_err(|source| Error::write(&self.target, &source))?,
            false => rename_to_new(&self.aside, &self.target)?,
        }
        self.done = true;
        sync_folder(&parent(&self.target)).map_err(|source| Error::write(&self.target, &source))
    }
}

impl Write for Aside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(&self.aside);
        }
    }
}

/// Removes a folder of a kind that this program makes, by way of a hidden name, so that nobody takes a half for a whole; one
/// that is not there is no error.
///
/// # Errors
/// [`Error::Output`] where it holds anything else ([`Made::require`]), and where it cannot be removed.
pub(crate) fn remove_folder(path: &Path, made: Made) -> Result<()> {
    if fs::symlink_metadata(path).is_err_and(|source| source.kind() == io::ErrorKind::NotFound) {
        return Ok(());
    }
    made.require(path)?;
    let aside = parent(path).join(aside_name(path));
    match fs::rename(path, &aside).and_then(|()| {
        fault("folder-half-removed");
        staging::remove_made(&aside, made)
    }) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::write(path, &source)),
        _ => Ok(()),
    }
}

/// A named moment at which tests kill the process: `ENGRAFT_FAULT=NAME` or `NAME:COUNT`. Nothing in a release build.
pub(crate) fn fault(name: &str) {
    if cfg!(debug_assertions) {
        use std::sync::atomic::{AtomicU64, Ordering};
        static TIMES: AtomicU64 = AtomicU64::new(0);
        let Ok(wanted) = std::env::var("ENGRAFT_FAULT") else { return };
        let (wanted, count) = wanted.split_once(':').unwrap_or((&wanted, "1"));
        if wanted == name && TIMES.fetch_add(1, Ordering::Relaxed) + 1 >= count.parse().unwrap_or(1) {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }
}

/// Marks a file as just used, for caches that drop what was used longest ago. Failure is of no consequence.
pub(crate) fn touch(path: &Path) {
    if let Ok(file) = File::options().append(true).open(path) {
        let _ = file.set_modified(std::time::SystemTime::now());
    }
}

/// Lower-case hexadecimal SHA-256 of a file, read in pieces. `each` hears the length of every piece and may end it.
pub fn sha256_of_file(path: &Path, mut each: impl FnMut(usize) -> Result<()>) -> Result<String> {
    let mut file = open_regular(path).map_err(|source| Error::read(path, &source))?;
    let mut hasher = Sha256::new();
    read_pieces(&mut file, path, |piece| {
        hasher.update(piece);
        each(piece.len())
    })?;
    Ok(hex(&hasher.finalize()))
}

/// Makes `path` a symbolic link to `target` (relative to the folder of `path`), in one step whatever was there. Where
/// the file system has no symbolic links it becomes a hard link.
pub(crate) fn link(target: &Path, path: &Path) -> Result<()> {
    let folder = parent(path);
    let fail = |source: io::Error| Error::write(path, &source);
    fs::create_dir_all(&folder).map_err(fail)?;
    let aside = folder.join(aside_name(path));
    let made = std::os::unix::fs::symlink(target, &aside)
        .or_else(|_| fs::hard_link(folder.join(target), &aside))
        .and_then(|()| fs::rename(&aside, path));
    // Renaming a hard link over another name of the same file leaves both.
    let _ = fs::remove_file(&aside);
    made.map_err(fail)
}

/// Free bytes of the file system that holds `path` (or the nearest folder above it that exists), where it tells.
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let path = std::path::absolute(path).ok()?;
    let there = path.ancestors().find(|path| path.is_dir())?;
    rustix::fs::statvfs(there).ok().map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_over_the_limit_is_not_read() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("big");
        write_atomic(&path, &[0; 100]).unwrap();
        assert_eq!(read_limited(&path, 100).unwrap().len(), 100);
        assert_eq!(read_limited(&path, 99).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn what_is_no_regular_file_is_refused_by_its_kind_and_without_waiting() {
        let temp = tempfile::tempdir().unwrap();
        let (pipe, link_to_pipe) = (temp.path().join("pipe"), temp.path().join("link"));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.is_ok_and(|status| status.success()), "mkfifo is on every Unix");
        link(Path::new("pipe"), &link_to_pipe).unwrap();
        let socket = temp.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, kind) in [
            (pipe.as_path(), "a named pipe"),
            (&link_to_pipe, "a named pipe"),
            (&socket, "a socket"),
            (Path::new("/dev/zero"), "a device"),
            (temp.path(), "a folder"),
        ] {
            let error = read_limited(path, 100).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{}", path.to_string_lossy());
            assert!(error.to_string().ends_with(kind), "{error}");
            assert!(sha256_of_file(path, |_| Ok(())).is_err());
        }
        assert_eq!(open_regular(&temp.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_partial_file_goes_on_where_it_stopped_and_is_renamed_when_whole() {
        let temp = tempfile::tempdir().unwrap();
        let (path, target) = (temp.path().join("deep/x.incomplete"), temp.path().join("deep/x"));
        Partial::open(&path).unwrap().append(b"one ").unwrap();
        let mut partial = Partial::open(&path).unwrap();
        assert_eq!(partial.length(), 4);
        partial.append(b"two").unwrap();
        let mut seen = Vec::new();
        partial
            .read(|piece| {
                seen.extend_from_slice(piece);
                Ok(())
            })
            .unwrap();
        assert_eq!(seen, b"one two");
        assert!(!target.exists());
        partial.finish(&target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"one two");
        assert_eq!(sha256_of_file(&target, |_| Ok(())).unwrap(), sha256_hex(b"one two"));
        assert!(!path.exists());
    }

    #[test]
    fn a_partial_file_is_no_symbolic_link() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("precious"), b"1").unwrap();
        link(Path::new("precious"), &temp.path().join("x.incomplete")).unwrap();
        assert!(Partial::open(&temp.path().join("x.incomplete")).is_err());
    }

    #[test]
    fn a_link_replaces_what_was_there() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("a"), b"a").unwrap();
        fs::write(temp.path().join("b"), b"b").unwrap();
        for name in ["a", "b", "b"] {
            link(&Path::new("..").join(name), &temp.path().join("links/x")).unwrap();
            assert_eq!(fs::read_to_string(temp.path().join("links/x")).unwrap(), name);
        }
        assert_eq!(fs::read_dir(temp.path().join("links")).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn an_output_that_appeared_meanwhile_is_not_replaced() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("x");
        write_output(&path, b"1", false).unwrap();
        assert!(write_output(&path, b"2", false).unwrap_err().to_string().contains("appeared"));
        assert_eq!(fs::read(&path).unwrap(), b"1");
        write_output(&path, b"2", true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"2");
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}
