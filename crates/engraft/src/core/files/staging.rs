//! Folders that appear complete or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::aside::{aside_name, claim_aside};
use super::made::{Made, refuse_over_inputs};
use super::steps::{parent, rename_to_new, sync_folder, write_synced};
use crate::error::{Error, Problem, Result, printable};

/// A folder that appears complete or not at all.
///
/// It is filled beside its final place, under a hidden name, and renamed by [`Staging::commit`]. Dropped before that, it is
/// removed. What a killed process left behind is removed by the next of the same name.
#[derive(Debug)]
pub struct Staging {
    aside: PathBuf,
    /// The folder itself, locked while it is filled.
    lock: Option<File>,
    target: PathBuf,
    made: Made,
    replace: bool,
    done: bool,
}

impl Staging {
    /// Checks, before any work, that `target` may be written: its parent is made and is writable, and nothing is there, or
    /// with `replace` a folder that this program made (`Made::require`) and that holds none of `inputs`: what each is, and
    /// where. Nothing is left behind.
    pub fn claim(target: &Path, made: Made, replace: bool, inputs: &[(&str, &Path)]) -> Result<()> {
        if target.file_name().is_none() {
            return Err(Error::Usage(Problem::new("the output folder has no name").found(printable(target))));
        }
        if fs::symlink_metadata(target).is_ok() {
            refuse_over_inputs(target, inputs)?;
            made.require(target)?;
            if !replace {
                return Err(Error::Output(
                    Problem::new("the output folder exists already")
                        .at(target)
                        .hint("choose another --out, or add --force to replace it"),
                ));
            }
        }
        let staging = Self::create(target, made, replace)?;
        write_synced(&staging.aside.join("probe"), b"").map_err(|source| Error::write(target, &source))
    }

    /// Makes the folder aside.
    pub fn create(target: &Path, made: Made, replace: bool) -> Result<Self> {
        let folder = parent(target);
        fs::create_dir_all(&folder).map_err(|source| Error::write(&folder, &source))?;
        let create = |path: &Path| {
            fs::create_dir(path)?;
            // Gone, if somebody took it for a left-over a moment ago: another name is tried.
            File::open(path).map_err(|source| match source.kind() {
                io::ErrorKind::NotFound => io::ErrorKind::AlreadyExists.into(),
                _ => source,
            })
        };
        let (aside, lock) = claim_aside(target, create).map_err(|source| Error::write(target, &source))?;
        Ok(Self { aside, lock: Some(lock), target: target.to_owned(), made, replace, done: false })
    }

    /// Writes and syncs one file of the folder; `name` may be in a folder of it.
    pub fn write(&self, name: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
        let name = name.as_ref();
        debug_assert!(self.made.may_hold(name), "{} would not be known again by {name:?}", self.made.name());
        let path = self.aside.join(name);
        let written = fs::create_dir_all(parent(&path)).and_then(|()| write_synced(&path, bytes));
        written.map_err(|source| Error::write(&self.target.join(name), &source))
    }

    /// Writes and syncs one file of the folder piece by piece, for what is too large to be held in memory.
    pub(crate) fn write_with(&self, name: &str, fill: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> Result<()> {
        debug_assert!(self.made.may_hold(Path::new(name)), "{} would not be known again by {name:?}", self.made.name());
        let written = File::options().write(true).create_new(true).open(self.aside.join(name)).and_then(|file| {
            let mut buffered = io::BufWriter::with_capacity(1 << 18, file);
            fill(&mut buffered)?;
            buffered.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
        });
        written.map_err(|source| Error::write(&self.target.join(name), &source))
    }

    /// Moves a file that this program made beside the target into the folder.
    pub(crate) fn take(&self, name: &str, from: &Path) -> Result<()> {
        debug_assert!(self.made.may_hold(Path::new(name)), "{} would not be known again by {name:?}", self.made.name());
        fs::rename(from, self.aside.join(name)).map_err(|source| Error::write(&self.target.join(name), &source))
    }

    /// Makes the folder appear under its own name. One that was there, if it still may be replaced, is exchanged in one step
    /// where the file system can, and kept aside until then; only what this program made is removed of it.
    pub fn commit(mut self) -> Result<()> {
        let fail = |source: io::Error| Error::write(&self.target, &source);
        let folder = parent(&self.target);
        sync_folder(&self.aside).map_err(fail)?;
        if !(self.replace && fs::symlink_metadata(&self.target).is_ok()) {
            rename_to_new(&self.aside, &self.target)?;
            self.done = true;
            return sync_folder(&folder).map_err(fail);
        }
        self.made.require(&self.target)?;
        let mut old = self.aside.clone();
        if renameat_with(CWD, &self.aside, CWD, &self.target, RenameFlags::EXCHANGE).is_err() {
            old = folder.join(format!("{}-old", aside_name(&self.target).to_string_lossy()));
            fs::rename(&self.target, &old).map_err(fail)?;
            if let Err(source) = fs::rename(&self.aside, &self.target) {
                let _ = fs::rename(&old, &self.target);
                return Err(fail(source));
            }
        }
        self.done = true;
        self.lock = None;
        sync_folder(&folder).map_err(fail)?;
        remove_made(&old, self.made).map_err(|source| {
            let problem =
                Problem::new("the new output is complete, but of the old one something is left").found(source);
            Error::Output(problem.at(&old).hint("look at it, and remove it by hand"))
        })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_dir_all(&self.aside);
        }
    }
}

/// Removes a folder file by file: what a folder of this kind holds, and nothing else. What is left makes it fail.
pub(super) fn remove_made(folder: &Path, made: Made) -> io::Result<()> {
    for entry in walkdir::WalkDir::new(folder).min_depth(1).contents_first(true) {
        let entry = entry?;
        let relative = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        if entry.file_type().is_dir() {
            fs::remove_dir(entry.path())?;
        } else if made.may_hold(relative) {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_dir(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &[u8] = br#"{"schema":1,"version":"0","task":"x"}"#;

    fn fill(target: &Path, content: &[u8], replace: bool) -> Result<()> {
        let staging = Staging::create(target, Made::Run, replace)?;
        for (name, bytes) in [("model.json", content), ("run.toml", b""), ("report.json", REPORT)] {
            staging.write(name, bytes)?;
        }
        staging.commit()
    }

    #[test]
    fn a_folder_appears_complete_or_not_at_all() {
        let temp = tempfile::tempdir().unwrap();
        let target = temp.path().join("run");
        let staging = Staging::create(&target, Made::Run, false).unwrap();
        staging.write("model.json", b"1").unwrap();
        assert!(!target.exists());
        drop(staging);
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
        fill(&target, b"1", false).unwrap();
        assert_eq!(fs::read(target.join("model.json")).unwrap(), b"1");
    }

    #[test]
    fn what_was_there_is_replaced_only_when_asked_and_only_if_it_is_a_run() {
        let temp = tempfile::tempdir().unwrap();
        let target = temp.path().join("run");
        fill(&target, b"1", false).unwrap();
        assert!(fill(&target, b"2", false).is_err());
        fill(&target, b"2", true).unwrap();
        assert_eq!(fs::read(target.join("model.json")).unwrap(), b"2");
        assert!(Staging::claim(&target, Made::Run, false, &[]).is_err());
        Staging::claim(&target, Made::Run, true, &[]).unwrap();
        assert!(Staging::claim(&target, Made::Base, true, &[]).is_err(), "a run is not a base");
        assert!(Staging::claim(&target, Made::Run, true, &[("the data", &target.join("model.json"))]).is_err());
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1, "nothing is left beside it");

        fs::write(target.join("photo.jpg"), b"mine").unwrap();
        assert!(Staging::claim(&target, Made::Run, true, &[]).is_err());
        assert!(fill(&target, b"3", true).is_err(), "found at the end too");
        assert_eq!(fs::read(target.join("photo.jpg")).unwrap(), b"mine");
        assert_eq!(fs::read(target.join("model.json")).unwrap(), b"2");
    }

    #[test]
    fn removing_leaves_what_is_not_ours() {
        let temp = tempfile::tempdir().unwrap();
        let target = temp.path().join("run");
        fill(&target, b"1", false).unwrap();
        fs::write(target.join("photo.jpg"), b"mine").unwrap();
        assert!(remove_made(&target, Made::Run).is_err());
        assert_eq!(fs::read_dir(&target).unwrap().count(), 1);
        assert_eq!(fs::read(target.join("photo.jpg")).unwrap(), b"mine");
    }
}
