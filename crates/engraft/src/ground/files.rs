//! The only place that writes files: aside, synced, renamed. What was there is there until the new is complete.

#![expect(clippy::disallowed_methods, reason = "every other module is forbidden to write; this one is where writes go")]

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, Problem, Result};

/// Lower-case hexadecimal SHA-256.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes as lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a whole file, refusing one of more than `limit` bytes before it is read.
pub fn read_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    if metadata.len() > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("{} bytes, over the limit of {limit}", metadata.len()),
        ));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // The file may grow between the two looks: the limit holds for what is read.
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("over the limit of {limit} bytes")));
    }
    Ok(bytes)
}

/// Replaces `path` by `bytes`: written beside it, synced, renamed over it, and the folder synced.
///
/// After a crash the file holds the old bytes or the new ones, never a mixture.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = parent(path);
    let fail = |source: io::Error| Error::write(path, &source);
    fs::create_dir_all(&folder).map_err(fail)?;
    let aside = folder.join(aside_name(path, "partial"));
    let written =
        write_synced(&aside, bytes).and_then(|()| fs::rename(&aside, path)).and_then(|()| sync_folder(&folder));
    written.map_err(|source| {
        let _ = fs::remove_file(&aside);
        fail(source)
    })
}

/// A file that appears complete or not at all, written piece by piece: beside its place, synced and renamed by
/// [`Aside::commit`]. Dropped before that, it is removed.
#[derive(Debug)]
pub struct Aside {
    file: io::BufWriter<File>,
    aside: PathBuf,
    target: PathBuf,
    done: bool,
}

impl Aside {
    /// Begins the file; its folder is made where it is missing.
    pub fn create(target: &Path) -> Result<Self> {
        let folder = parent(target);
        let fail = |source: io::Error| Error::write(target, &source);
        fs::create_dir_all(&folder).map_err(fail)?;
        let aside = folder.join(aside_name(target, "partial"));
        let file = io::BufWriter::new(File::create(&aside).map_err(fail)?);
        Ok(Self { file, aside, target: target.to_owned(), done: false })
    }

    /// Syncs it and puts it in its place.
    pub fn commit(mut self) -> Result<()> {
        let finished = self
            .file
            .flush()
            .and_then(|()| self.file.get_ref().sync_all())
            .and_then(|()| fs::rename(&self.aside, &self.target))
            .and_then(|()| sync_folder(&parent(&self.target)));
        self.done = finished.is_ok();
        finished.map_err(|source| Error::write(&self.target, &source))
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

/// Removes a file; one that is not there is no error.
pub fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::write(path, &source)),
        _ => Ok(()),
    }
}

/// Marks a file as just used, for caches that drop what was used longest ago. Failure is of no consequence.
pub fn touch(path: &Path) {
    if let Ok(file) = File::options().append(true).open(path) {
        let _ = file.set_modified(std::time::SystemTime::now());
    }
}

/// A folder that appears complete or not at all.
///
/// It is filled beside its final place (`.NAME.partial-PID`) and renamed by [`Staging::commit`]. Dropped before
/// that, it is removed. What a killed process left behind is removed by the next [`Staging::claim`] of the same name.
#[derive(Debug)]
pub struct Staging {
    aside: PathBuf,
    target: PathBuf,
    replace: bool,
    done: bool,
}

impl Staging {
    /// Checks, before any work, that `target` may be written: its parent is made and is writable, and nothing is
    /// there (unless `replace`). Nothing is left behind.
    pub fn claim(target: &Path, replace: bool) -> Result<()> {
        if target.file_name().is_none() {
            return Err(Error::Usage(Problem::new("the output folder has no name").found(target.display())));
        }
        if !replace && fs::symlink_metadata(target).is_ok() {
            return Err(Error::Output(
                Problem::new("the output folder exists already")
                    .at(target)
                    .hint("choose another --out, or add --force to replace it"),
            ));
        }
        let staging = Self::create(target, replace)?;
        staging.write("probe", b"")
    }

    /// Makes the folder aside.
    pub fn create(target: &Path, replace: bool) -> Result<Self> {
        let folder = parent(target);
        fs::create_dir_all(&folder).map_err(|source| Error::write(&folder, &source))?;
        remove_leftovers(&folder, target);
        let aside = folder.join(aside_name(target, "partial"));
        fs::create_dir(&aside).map_err(|source| Error::write(target, &source))?;
        Ok(Self { aside, target: target.to_owned(), replace, done: false })
    }

    /// Writes and syncs one file of the folder.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        write_synced(&self.aside.join(name), bytes).map_err(|source| Error::write(&self.target.join(name), &source))
    }

    /// Makes the folder appear under its own name. A folder that was there is exchanged in one step where the
    /// file system can, and removed after.
    pub fn commit(mut self) -> Result<()> {
        let fail = |source: io::Error| Error::write(&self.target, &source);
        let folder = parent(&self.target);
        sync_folder(&self.aside).map_err(fail)?;
        let there = fs::symlink_metadata(&self.target).is_ok();
        if there && !self.replace {
            return Err(Error::Output(
                Problem::new("the output folder appeared while we worked")
                    .at(&self.target)
                    .hint("choose another --out"),
            ));
        }
        if there {
            if rustix::fs::renameat_with(
                rustix::fs::CWD,
                &self.aside,
                rustix::fs::CWD,
                &self.target,
                rustix::fs::RenameFlags::EXCHANGE,
            )
            .is_err()
            {
                let old = folder.join(aside_name(&self.target, "old"));
                fs::rename(&self.target, &old).map_err(fail)?;
                if let Err(source) = fs::rename(&self.aside, &self.target) {
                    let _ = fs::rename(&old, &self.target);
                    return Err(fail(source));
                }
                let _ = fs::rename(&old, &self.aside);
            }
            sync_folder(&folder).map_err(fail)?;
            self.done = true;
            let _ = fs::remove_dir_all(&self.aside);
        } else {
            fs::rename(&self.aside, &self.target).map_err(fail)?;
            self.done = true;
            sync_folder(&folder).map_err(fail)?;
        }
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_dir_all(&self.aside);
        }
    }
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// `.NAME.KIND-PID`: hidden, beside the target, and told apart by process.
fn aside_name(path: &Path, kind: &str) -> OsString {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{kind}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    name
}

/// Removes `.NAME.partial-PID-N` folders whose process is gone.
fn remove_leftovers(folder: &Path, target: &Path) {
    let mut prefix = OsString::from(".");
    prefix.push(target.file_name().unwrap_or_default());
    prefix.push(".partial-");
    let prefix = prefix.to_string_lossy().into_owned();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix(&prefix) else { continue };
        let Some(pid) = rest.split('-').next().and_then(|pid| pid.parse::<i32>().ok()) else { continue };
        let alive = rustix::process::Pid::from_raw(pid)
            .is_some_and(|pid| !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH)));
        if !alive {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_appears_complete_or_not_at_all() {
        let temp = tempfile::tempdir().unwrap();
        let target = temp.path().join("run");
        let staging = Staging::create(&target, false).unwrap();
        staging.write("a", b"1").unwrap();
        assert!(!target.exists());
        drop(staging);
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);

        let staging = Staging::create(&target, false).unwrap();
        staging.write("a", b"1").unwrap();
        staging.commit().unwrap();
        assert_eq!(fs::read(target.join("a")).unwrap(), b"1");
    }

    #[test]
    fn what_was_there_is_replaced_only_when_asked() {
        let temp = tempfile::tempdir().unwrap();
        let target = temp.path().join("run");
        for (content, replace) in [(b"1", false), (b"2", true)] {
            let staging = Staging::create(&target, replace).unwrap();
            staging.write("a", content).unwrap();
            staging.commit().unwrap();
        }
        assert_eq!(fs::read(target.join("a")).unwrap(), b"2");
        assert!(Staging::claim(&target, false).is_err());
        Staging::claim(&target, true).unwrap();
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn leftovers_of_a_dead_process_are_removed() {
        let temp = tempfile::tempdir().unwrap();
        let dead = temp.path().join(".run.partial-2147483646-0");
        fs::create_dir(&dead).unwrap();
        Staging::claim(&temp.path().join("run"), false).unwrap();
        assert!(!dead.exists());
    }

    #[test]
    fn a_file_over_the_limit_is_not_read() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("big");
        write_atomic(&path, &[0; 100]).unwrap();
        assert_eq!(read_limited(&path, 100).unwrap().len(), 100);
        assert_eq!(read_limited(&path, 99).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
