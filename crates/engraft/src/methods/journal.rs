//! What of a long fit is finished: each training's outcome by its name, and the checkpoints of the one under way.
//!
//! Every training is as deterministic as the rest, so that a fit that goes on from here gives the bytes of one that was
//! never stopped.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::inputs::Inputs;
use crate::error::{Error, Problem, Result};
use crate::features::Store;
use crate::files::{self, Lock, Made};
use crate::train::Checkpoints;

const UNITS: &str = "finished";
const SETTINGS: &str = "run.toml";
const INPUTS: &str = "inputs.cbor";
/// The largest list of inputs that is read.
const INPUTS_LIMIT: u64 = 4 << 30;

/// The journal of one fit, in a folder beside its run; or none, where nothing is to be kept.
///
/// It is locked for as long as it, or a clone of it, lives: two processes never work on one run.
#[derive(Debug, Clone, Default)]
pub struct Journal(Option<Kept>);

#[derive(Debug, Clone)]
struct Kept {
    folder: PathBuf,
    every: Duration,
    _lock: Arc<Lock>,
}

impl Journal {
    /// Keeps nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Begins to keep the work on `run`, with a checkpoint as often as `every`, in `RUN.unfinished`. With `force` what an
    /// earlier one left there is dropped.
    ///
    /// # Errors
    /// [`Error::Output`] where another process works on this run, an earlier one left something (the hint says how to go on
    /// with it, by `resume`), or the folder is not of this program's making.
    pub fn begin(run: &Path, settings: &str, every: Duration, force: bool, resume: &str) -> Result<Self> {
        let folder = Self::beside(run);
        if folder.symlink_metadata().is_ok() {
            Made::Unfinished.require(&folder)?;
            let lock = Lock::of_unfinished(&folder)?;
            if !force && holds_work(&folder) {
                let problem = Problem::new("unfinished work on this output is there").at(&folder);
                return Err(Error::Output(problem.hint(format!("`{resume}` goes on with it; --force begins anew"))));
            }
            files::remove_folder(&folder, Made::Unfinished)?;
            drop(lock);
        }
        let lock = Lock::of_unfinished(&folder)?;
        files::write_atomic(&folder.join(SETTINGS), settings.as_bytes())?;
        Ok(Self(Some(Kept { folder, every, _lock: Arc::new(lock) })))
    }

    /// Goes on with the unfinished work on `run`; the path of its settings.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is none, [`Error::Output`] where another process works on it.
    pub fn resume(run: &Path, every: Duration) -> Result<(Self, PathBuf)> {
        let folder = Self::beside(run);
        let settings = folder.join(SETTINGS);
        if !settings.is_file() {
            let problem =
                Problem::new("there is nothing to resume").expected("what a stopped command left").at(&folder);
            return Err(Error::Usage(problem.hint("give the name that the stopped command had as --out")));
        }
        let lock = Arc::new(Lock::of_unfinished(&folder)?);
        Ok((Self(Some(Kept { folder, every, _lock: lock })), settings))
    }

    /// Remembers what the work depends on; where it goes on, compares it with what it depended on before.
    ///
    /// # Errors
    /// [`Error::Data`] that names what changed since the work began.
    pub fn enter(&self, inputs: &Inputs) -> Result<()> {
        let Some(Kept { folder, .. }) = &self.0 else { return Ok(()) };
        let path = folder.join(INPUTS);
        if !path.is_file() {
            return files::write_atomic(&path, &inputs.to_bytes());
        }
        let bytes = files::read_limited(&path, INPUTS_LIMIT).map_err(|source| Error::read(&path, &source))?;
        let Some(before) = Inputs::from_bytes(&bytes) else {
            let problem = Problem::new("what the stopped command depended on cannot be read").at(&path);
            return Err(Error::Data(problem.hint("begin anew: the same command with --force")));
        };
        let changes = inputs.changes_since(&before);
        if changes.is_empty() {
            return Ok(());
        }
        let problem = Problem::new("the work cannot be resumed: what it depends on has changed since it was stopped");
        Err(Error::Data(
            problem
                .found(changes.join("; "))
                .at(folder)
                .hint("put back what was there, or begin anew: the same command with --force"),
        ))
    }

    /// The folder of the journal of a run's folder, beside it: `RUN.unfinished`.
    pub fn beside(run: &Path) -> PathBuf {
        let mut name = run.file_name().unwrap_or_default().to_owned();
        name.push(".unfinished");
        run.with_file_name(name)
    }

    /// Whether unfinished work on `run` is there that is worth resuming.
    pub fn is_beside(run: &Path) -> bool {
        let folder = Self::beside(run);
        folder.join(SETTINGS).is_file() && holds_work(&folder)
    }

    /// The outcome of a training that was finished before, if it is there and whole.
    pub(crate) fn finished<T: DeserializeOwned>(&self, identity: &str) -> Option<T> {
        let bytes = self.store()?.get(UNITS, &file_name(identity))?;
        ciborium::from_reader(bytes.as_slice()).ok()
    }

    /// Keeps the outcome of a training, and drops its checkpoints.
    pub(crate) fn finish<T: Serialize>(&self, identity: &str, outcome: &T) -> Result<()> {
        let (Some(store), Some(kept)) = (self.store(), &self.0) else { return Ok(()) };
        let mut bytes = Vec::new();
        ciborium::into_writer(outcome, &mut bytes).expect("an outcome is plain data");
        store.put(UNITS, &file_name(identity), &bytes)?;
        files::fault("journal-finished");
        let checkpoints = kept.folder.join(file_name(identity));
        files::remove_folder(&checkpoints, Made::Checkpoints)
    }

    /// The checkpoints of one attempt at a training.
    pub fn checkpoints(&self, identity: &str, attempt: usize) -> Option<Checkpoints> {
        let Kept { folder, every, .. } = self.0.as_ref()?;
        let folder = folder.join(file_name(identity)).join(format!("attempt{attempt}"));
        Some(Checkpoints::new(folder, format!("{identity}/attempt{attempt}"), *every))
    }

    /// Drops the folder if no training has got as far as to leave anything; whether there is something to go on from.
    pub fn close_if_empty(&self) -> Result<bool> {
        let Some(Kept { folder, .. }) = &self.0 else { return Ok(false) };
        let is_there = holds_work(folder);
        if !is_there {
            self.close()?;
        }
        Ok(is_there)
    }

    /// Drops everything: the fit is done.
    pub fn close(&self) -> Result<()> {
        match &self.0 {
            Some(kept) => files::remove_folder(&kept.folder, Made::Unfinished),
            None => Ok(()),
        }
    }

    fn store(&self) -> Option<Store> {
        self.0.as_ref().map(|kept| Store::new(kept.folder.clone()))
    }
}

/// Whether a folder of unfinished work holds more than settings: finished parts, or checkpoints.
fn holds_work(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.path().is_dir())
}

fn file_name(identity: &str) -> String {
    files::sha256_hex(identity.as_bytes())[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(run: &Path, force: bool) -> Result<Journal> {
        Journal::begin(run, "seed = 1", Duration::ZERO, force, "engraft fit --resume run")
    }

    #[test]
    fn what_is_finished_is_found_again_and_closing_drops_it() {
        let temp = tempfile::tempdir().unwrap();
        let run = temp.path().join("run");
        let folder = Journal::beside(&run);
        assert_eq!(folder.file_name().unwrap(), "run.unfinished");
        let journal = begin(&run, false).unwrap();
        assert_eq!(journal.finished::<Vec<f64>>("a"), None);
        journal.finish("a", &vec![1.0 / 3.0, f64::MIN_POSITIVE]).unwrap();
        assert_eq!(journal.finished::<Vec<f64>>("a").unwrap(), [1.0 / 3.0, f64::MIN_POSITIVE]);
        assert_eq!(journal.finished::<Vec<f64>>("b"), None);
        journal.close().unwrap();
        assert!(!folder.exists());
        Journal::none().finish("a", &1).unwrap();
        assert_eq!(Journal::none().finished::<u8>("a"), None);
    }

    #[test]
    fn one_process_at_a_time_works_on_a_run() {
        let temp = tempfile::tempdir().unwrap();
        let run = temp.path().join("run");
        let held = begin(&run, false).unwrap();
        for refused in [begin(&run, false), begin(&run, true), Journal::resume(&run, Duration::ZERO).map(|(it, _)| it)]
        {
            assert!(refused.unwrap_err().to_string().contains("another process"));
        }
        held.finish("a", &1).unwrap();
        drop(held);
        assert!(begin(&run, false).unwrap_err().to_string().contains("engraft fit --resume run"));
        let (journal, settings) = Journal::resume(&run, Duration::ZERO).unwrap();
        assert_eq!(std::fs::read_to_string(settings).unwrap(), "seed = 1");
        drop(journal);
        // Settings alone are nothing to lose.
        drop(begin(&run, true).unwrap());
        begin(&run, false).unwrap();
    }

    #[test]
    fn a_folder_of_that_name_which_is_the_users_stays() {
        let temp = tempfile::tempdir().unwrap();
        let run = temp.path().join("run");
        let photo = temp.path().join("run.unfinished/1.jpg");
        files::write_atomic(&photo, b"mine").unwrap();
        for force in [false, true] {
            assert!(begin(&run, force).unwrap_err().to_string().contains("1.jpg"));
        }
        assert_eq!(std::fs::read(&photo).unwrap(), b"mine");
    }

    #[test]
    fn other_inputs_are_refused_by_name() {
        let temp = tempfile::tempdir().unwrap();
        let journal = begin(&temp.path().join("run"), false).unwrap();
        let mut inputs = Inputs::new("seed = 1", "abc");
        inputs.example("cats/1.jpg", ["1"]);
        journal.enter(&inputs).unwrap();
        journal.enter(&inputs).unwrap();
        inputs.example("cats/2.jpg", ["2"]);
        let message = journal.enter(&inputs).unwrap_err().to_string();
        assert!(message.contains("1 example added: cats/2.jpg"), "{message}");
    }
}
