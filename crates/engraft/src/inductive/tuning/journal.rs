//! What of a long fit is finished: each training's outcome by its name, and the checkpoints of the one under way.
//!
//! Every training is as deterministic as the rest, so that a fit that goes on from here gives the bytes of one that was
//! never stopped.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::features::Store;
use crate::files;
use crate::train::Checkpoints;

const UNITS: &str = "finished";

/// The journal of one fit, in a folder beside its run; or none, where nothing is to be kept.
#[derive(Debug, Clone, Default)]
pub struct Journal(Option<Kept>);

#[derive(Debug, Clone)]
struct Kept {
    folder: PathBuf,
    every: Duration,
}

impl Journal {
    /// Keeps nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Keeps a checkpoint as often as `every` in `folder`.
    pub fn new(folder: PathBuf, every: Duration) -> Self {
        Self(Some(Kept { folder, every }))
    }

    /// The folder of the journal of a run's folder, beside it: `RUN.unfinished`.
    pub fn beside(run: &Path) -> PathBuf {
        let mut name = run.file_name().unwrap_or_default().to_owned();
        name.push(".unfinished");
        run.with_file_name(name)
    }

    /// The outcome of a training that was finished before, if it is there and whole.
    pub fn finished<T: DeserializeOwned>(&self, identity: &str) -> Option<T> {
        let bytes = self.store()?.get(UNITS, &file_name(identity))?;
        ciborium::from_reader(bytes.as_slice()).ok()
    }

    /// Keeps the outcome of a training, and drops its checkpoints.
    pub fn finish<T: Serialize>(&self, identity: &str, outcome: &T) -> Result<()> {
        let (Some(store), Some(kept)) = (self.store(), &self.0) else { return Ok(()) };
        let mut bytes = Vec::new();
        ciborium::into_writer(outcome, &mut bytes).expect("an outcome is plain data");
        store.put(UNITS, &file_name(identity), &bytes)?;
        files::fault("journal-finished");
        files::remove_folder(&kept.folder.join(file_name(identity)))
    }

    /// The checkpoints of one attempt at a training.
    pub fn checkpoints(&self, identity: &str, attempt: usize) -> Option<Checkpoints> {
        let Kept { folder, every } = self.0.as_ref()?;
        let folder = folder.join(file_name(identity)).join(format!("attempt{attempt}"));
        Some(Checkpoints::new(folder, format!("{identity}/attempt{attempt}"), *every))
    }

    /// Drops the folder if no training has got as far as to leave anything; whether there is something to go on from.
    pub fn close_if_empty(&self) -> Result<bool> {
        let Some(Kept { folder, .. }) = &self.0 else { return Ok(false) };
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let is_there = entries.into_iter().any(|entry| entry.path().is_dir());
        if !is_there {
            self.close()?;
        }
        Ok(is_there)
    }

    /// Drops everything: the fit is done.
    pub fn close(&self) -> Result<()> {
        match &self.0 {
            Some(kept) => files::remove_folder(&kept.folder),
            None => Ok(()),
        }
    }

    fn store(&self) -> Option<Store> {
        self.0.as_ref().map(|kept| Store::new(kept.folder.clone()))
    }
}

fn file_name(identity: &str) -> String {
    files::sha256_hex(identity.as_bytes())[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_finished_is_found_again_and_closing_drops_it() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Journal::beside(&temp.path().join("run"));
        assert_eq!(folder.file_name().unwrap(), "run.unfinished");
        let journal = Journal::new(folder.clone(), Duration::ZERO);
        assert_eq!(journal.finished::<Vec<f64>>("a"), None);
        journal.finish("a", &vec![1.0 / 3.0, f64::MIN_POSITIVE]).unwrap();
        assert_eq!(journal.finished::<Vec<f64>>("a").unwrap(), [1.0 / 3.0, f64::MIN_POSITIVE]);
        assert_eq!(journal.finished::<Vec<f64>>("b"), None);
        journal.close().unwrap();
        assert!(!folder.exists());
        Journal::none().finish("a", &1).unwrap();
        assert_eq!(Journal::none().finished::<u8>("a"), None);
    }
}
