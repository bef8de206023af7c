//! Hidden names beside a target, where things are made until they are whole: `.NAME.partial-RANDOM`.
//!
//! The name is random, since process numbers are the same in every container. What is being made is locked (`flock`), so
//! that what a killed process left is known by a lock that nobody holds.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::reading::NO_WAIT;
use super::steps::parent;

const MARK: &[u8] = b".partial-";
/// Bytes of the target's name that a hidden name keeps: file systems take 255 together.
const KEPT: usize = 200;

/// A hidden name beside `path` that nobody else has.
pub(super) fn aside_name(path: &Path) -> OsString {
    let mut name = prefix(path);
    // Seeded by the operating system, and another one at every call.
    name.extend(format!("{:016x}", RandomState::new().hash_one(())).bytes());
    OsString::from_vec(name)
}

fn prefix(path: &Path) -> Vec<u8> {
    let name = path.file_name().unwrap_or_default().as_bytes();
    [b".", &name[..name.len().min(KEPT)], MARK].concat()
}

/// Whether a name is one of [`aside_name`], or `.NAME.partial-PID-N` of an earlier version.
pub(super) fn is_aside_name(name: &str) -> bool {
    let Some((before, random)) = name.rsplit_once(".partial-") else { return false };
    let digits = |text: &str, allowed: fn(&u8) -> bool| !text.is_empty() && text.as_bytes().iter().all(allowed);
    let is_random = random.len() == 16 && digits(random, u8::is_ascii_hexdigit);
    let is_of_process = random
        .split_once('-')
        .is_some_and(|(pid, count)| digits(pid, u8::is_ascii_digit) && digits(count, u8::is_ascii_digit));
    before.starts_with('.') && (is_random || is_of_process)
}

/// Removes what killed processes left of `target`, then makes something new beside it by `create` and locks it for as long as
/// the handle lives. On a file system without locks nothing is ever removed, and nothing is locked.
pub(super) fn claim_aside(target: &Path, create: impl Fn(&Path) -> io::Result<File>) -> io::Result<(PathBuf, File)> {
    let folder = parent(target);
    remove_leftovers_of(target);
    loop {
        let aside = folder.join(aside_name(target));
        let file = match create(&aside) {
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists => continue,
            made => made?,
        };
        // Between the two steps somebody may have taken it for a left-over.
        match file.try_lock() {
            Ok(()) if is_at(&file, &aside) => return Ok((aside, file)),
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(_)) => return Ok((aside, file)),
        }
    }
}

/// Whether `path` still names what `file` is.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(held), Ok(named)) => (held.dev(), held.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// Removes everything in `folder` that killed processes left half-made. What is being made now is locked, and stays.
pub(crate) fn remove_leftovers_in(folder: &Path) {
    remove_leftovers(folder, |_| true);
}

/// Removes what killed processes left half-made, or half removed, of `target`.
pub(crate) fn remove_leftovers_of(target: &Path) {
    remove_leftovers(&parent(target), |name| name.as_bytes().starts_with(&prefix(target)));
}

fn remove_leftovers(folder: &Path, of_target: impl Fn(&OsStr) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if !of_target(&name) || !is_aside_name(&name.to_string_lossy()) {
            continue;
        }
        let Ok(kind) = entry.file_type() else { continue };
        if !kind.is_dir() && !kind.is_file() {
            continue;
        }
        let Ok(file) = File::options().read(true).custom_flags(NO_WAIT).open(entry.path()) else { continue };
        // Held until it is gone: whoever is just making it sees that it has been taken.
        if file.try_lock().is_ok() && is_at(&file, &entry.path()) {
            let _ = if kind.is_dir() { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_names_are_all_different_and_known_again() {
        let names: std::collections::BTreeSet<_> = (0..1000).map(|_| aside_name(Path::new("a/run"))).collect();
        assert_eq!(names.len(), 1000);
        assert!(names.iter().all(|name| is_aside_name(name.to_str().unwrap())));
        let long = "x".repeat(255);
        assert!(aside_name(Path::new(&long)).len() <= 255);
        assert!(is_aside_name(".run.partial-17-0"));
        for other in
            ["run.partial-17-0", ".run.partial-backup", ".run.partial-", ".photo.partial-12", ".partial-copy.jpg"]
        {
            assert!(!is_aside_name(other), "{other}");
        }
    }

    #[test]
    fn what_is_being_made_stays_and_what_was_left_goes() {
        let temp = tempfile::tempdir().unwrap();
        let target = temp.path().join("run");
        let make = |path: &Path| File::options().write(true).create_new(true).open(path);
        let (held, _file) = claim_aside(&target, make).unwrap();
        let left = temp.path().join(".run.partial-1-0");
        fs::create_dir(&left).unwrap();
        fs::write(left.join("model.json"), b"half").unwrap();
        fs::write(temp.path().join(".other.partial-1-0"), b"").unwrap();
        let (second, _other) = claim_aside(&target, make).unwrap();
        assert!(held.exists() && second.exists() && !left.exists());
        assert!(temp.path().join(".other.partial-1-0").exists(), "of another name");
        drop(_file);
        remove_leftovers_in(temp.path());
        assert!(!held.exists() && second.exists() && !temp.path().join(".other.partial-1-0").exists());
    }

    #[test]
    fn many_at_once_do_not_take_each_others() {
        let temp = tempfile::tempdir().unwrap();
        let target = temp.path().join("x");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for i in 0..50u8 {
                        super::super::write_atomic(&target, &[i; 100]).unwrap();
                    }
                });
            }
        });
        assert_eq!(fs::read(&target).unwrap().len(), 100);
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
    }
}
