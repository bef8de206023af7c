//! Rows that are kept part by part beside the output until all are there: memory holds one part, and a stopped command goes on
//! where it was.

use std::path::{Path, PathBuf};

use crate::error::{Error, Problem, Result};
use crate::features::export::{Format, write_parts};
use crate::features::{Features, Store};
use crate::files::{self, Lock, Made};

/// What parts are kept under.
const KIND: &str = "parts";

/// Finished parts in `OUT.unfinished`, which is locked for as long as this lives.
#[derive(Debug)]
pub(super) struct Parts {
    folder: PathBuf,
    kept: Store,
    columns: usize,
    /// Key and rows of each part of the output, in its order.
    done: Vec<(String, usize)>,
    _lock: Lock,
}

impl Parts {
    /// Begins or goes on with the output `out` of so many columns.
    ///
    /// # Errors
    /// [`Error::Output`] where another process works on it, or the folder is not of this program's making.
    pub(super) fn of(out: &Path, columns: usize) -> Result<Self> {
        let mut name = out.file_name().unwrap_or_default().to_owned();
        name.push(".unfinished");
        let folder = out.with_file_name(name);
        if folder.symlink_metadata().is_ok() {
            Made::Unfinished.require(&folder)?;
        }
        let lock = Lock::of_unfinished(&folder)?;
        Ok(Self { kept: Store::new(folder.clone()), folder, columns, done: Vec::new(), _lock: lock })
    }

    /// Whether a stopped command left parts.
    pub(super) fn has_some(&self) -> bool {
        self.folder.join(KIND).is_dir()
    }

    /// Whether the next part, of so many rows, was finished before; it then is part of the output.
    pub(super) fn take(&mut self, key: &str, rows: usize) -> bool {
        let is_there = self.read(key).is_some_and(|values| values.len() == rows * self.columns);
        if is_there {
            self.done.push((key.to_owned(), rows));
        }
        is_there
    }

    /// Keeps the next part: whole rows, one after the other.
    ///
    /// # Errors
    /// [`Error::Output`] where it cannot be written.
    pub(super) fn keep(&mut self, key: String, values: &[f32]) -> Result<()> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.kept.put(KIND, &key, &bytes)?;
        self.done.push((key, values.len() / self.columns));
        files::fault("part-embedded");
        Ok(())
    }

    fn read(&self, key: &str) -> Option<Vec<f32>> {
        let bytes = self.kept.get(KIND, key)?;
        let (values, rest) = bytes.as_chunks::<4>();
        rest.is_empty().then(|| values.iter().map(|four| f32::from_le_bytes(*four)).collect())
    }

    /// A row of the output so far, by its number, unless its part is gone or damaged.
    pub(super) fn row(&self, row: usize) -> Option<Vec<f32>> {
        let mut before = 0;
        let (key, _) = self.done.iter().find(|(_, rows)| {
            before += rows;
            row < before
        })?;
        let values = self.read(key)?;
        let at = values.len().checked_sub((before - row) * self.columns)?;
        values.get(at..at + self.columns).map(<[f32]>::to_vec)
    }

    /// Writes the parts to `out` as one file, complete or not at all, with `replace` over a file that is there, and drops them.
    /// There is a name for each row.
    ///
    /// # Errors
    /// An output that cannot be written; a part that is gone.
    pub(super) fn write(self, out: &Path, format: Format, names: &[String], replace: bool) -> Result<()> {
        let mut names = names.iter();
        let parts = self.done.iter().map(|(key, rows)| {
            let values = self.read(key).ok_or_else(|| {
                let problem = Problem::new("a finished part is gone or damaged").at(&self.folder);
                Error::Io(problem.hint("run the command again"))
            })?;
            Ok((Features::new(*rows, self.columns, values)?, names.by_ref().take(*rows).cloned().collect()))
        });
        let rows = self.done.iter().map(|(_, rows)| rows).sum();
        write_parts(out, format, [rows, self.columns], parts, replace)?;
        self.drop_all()
    }

    /// Drops the parts, where nothing can come of them.
    ///
    /// # Errors
    /// [`Error::Output`] where they cannot be removed.
    pub(super) fn drop_all(self) -> Result<()> {
        files::remove_folder(&self.folder, Made::Unfinished)
    }
}
