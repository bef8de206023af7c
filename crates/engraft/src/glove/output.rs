//! Where word vectors are written: claimed before any work, with a report beside them that tells them as this program's.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bases::text::{WordVectors, files_of};
use crate::error::{Error, Problem, Result, printable};
use crate::files::{self, write_output};
use crate::settings::VectorFormat;

/// The schema of the reports.
pub(super) const SCHEMA: u32 = 1;
/// The largest report that is read to tell whether vectors are this program's.
const REPORT: u64 = 1 << 24;

/// A place for word vectors that may be written.
pub(super) struct Output {
    path: PathBuf,
    format: VectorFormat,
    report: PathBuf,
    force: bool,
}

impl Output {
    /// Checks that vectors may be written to `path`. With `force` they replace what `glove reduce` or `glove convert` wrote, told by
    /// the report beside it (`NAME.json`), and nothing else.
    pub(super) fn claim(path: &Path, to: Option<VectorFormat>, force: bool, inputs: &[(&str, &Path)]) -> Result<Self> {
        if path.file_name().is_none() {
            return Err(Error::Usage(
                Problem::new("the output has no name").expected("--out FILE").found(printable(path)),
            ));
        }
        let format = match to {
            Some(format) => format,
            None => VectorFormat::of(path)?,
        };
        let mut report = path.as_os_str().to_owned();
        report.push(".json");
        let report = PathBuf::from(report);
        let is_ours = |_: &Path| is_report(&report);
        for file in files_of(path, format).iter().chain([&report]) {
            files::claim_file(file, force, inputs, is_ours)?;
        }
        Ok(Self { path: path.to_owned(), format, report, force })
    }

    pub(super) fn format(&self) -> VectorFormat {
        self.format
    }

    /// Writes vectors and, behind them, the report that `about` makes of the files and of what was lost.
    pub(super) fn write<R: Serialize>(
        &self,
        vectors: &WordVectors,
        about: impl FnOnce(Vec<String>, Vec<String>) -> R,
    ) -> Result<R> {
        let lost = vectors.write(&self.path, self.format, self.force)?;
        let written = files_of(&self.path, self.format);
        let names = written.iter().chain([&self.report]).map(|file| printable(file)).collect();
        let report = about(names, lost);
        let mut json = serde_json::to_vec_pretty(&report)
            .map_err(|source| Error::Output(Problem::new("the report cannot be written").found(source)))?;
        json.push(b'\n');
        write_output(&self.report, &json, self.force)?;
        Ok(report)
    }
}

fn is_report(path: &Path) -> bool {
    #[derive(Deserialize)]
    struct Mark {
        schema: u32,
        command: String,
    }
    let bytes = files::read_limited(path, REPORT).ok();
    let mark = bytes.and_then(|bytes| serde_json::from_slice::<Mark>(&bytes).ok());
    mark.is_some_and(|mark| mark.schema == SCHEMA && mark.command.starts_with("glove "))
}
