//! What this program made, told apart from everything else before it is replaced, removed or read as data.

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use walkdir::WalkDir;

use crate::error::{Error, Problem, Result, printable};

use super::aside::is_aside_name;
use super::reading::read_limited;

/// The largest `report.json` that is read to tell whether a folder is a run.
const REPORT_LIMIT: u64 = 256 << 20;

/// A kind of folder that this program makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// A run, as `fit` writes it.
    Run,
    /// A base, as `pretrain` writes it.
    Base,
    /// One checkpoint of a training.
    Checkpoint,
    /// All checkpoints of a training.
    Checkpoints,
    /// `NAME.unfinished`: settings, finished parts and checkpoints of a command that was stopped.
    Unfinished,
    /// Learning curves as TensorBoard reads them, a folder for each.
    EventFiles,
    /// A comparison of data sets, as `compare` writes it.
    Comparison,
    /// Word vectors with their vocabulary, as `glove` writes them.
    Vectors,
}

const RUN: &[&str] = &[
    "model.safetensors",
    "model.json",
    "base.onnx",
    "tokenizer.json",
    "vocab.txt",
    "vectors.safetensors",
    "vectors.words",
    "report.json",
    "report.html",
    "predictions.csv",
    "predictions.json",
    "curves.csv",
    "run.toml",
    "log.jsonl",
];
const BASE: &[&str] = &[
    "base.safetensors",
    "base.toml",
    "model.safetensors",
    "config.json",
    "vocab.txt",
    "report.json",
    "curves.csv",
    "run.toml",
    "log.jsonl",
];
const COMPARISON: &[&str] = &["compare.json", "compare.html"];
const CHECKPOINT: &[&str] = &["tensors.safetensors", "state.cbor", "manifest.json"];
const VECTORS: &[&str] =
    &["vectors.txt", "vocab.txt", "glove.json", "vectors.bin", "gradsq.txt", "gradsq.bin", "cooccurrence.bin"];
const UNFINISHED: &[&str] = &[
    "run.toml",
    "inputs.cbor",
    "lock",
    // Of `glove`.
    "corpus.txt",
    "vocab.txt",
    "cooccurrence.bin",
    "stages.json",
    "blocks.bin",
    "blocks.bin.part",
    "blocks.json",
    "state.bin",
];

impl Made {
    /// What it is called in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Run => "a run",
            Self::Base => "a base",
            Self::Checkpoint => "a checkpoint",
            Self::Checkpoints => "checkpoints",
            Self::Unfinished => "unfinished work",
            Self::EventFiles => "TensorBoard event files",
            Self::Comparison => "a comparison",
            Self::Vectors => "word vectors",
        }
    }

    /// Whether a folder of this kind can hold a file of this relative path.
    pub(crate) fn may_hold(self, path: &Path) -> bool {
        let parts: Vec<&str> = path
            .components()
            .map(|part| match part {
                Component::Normal(name) => name.to_str().unwrap_or_default(),
                _ => "",
            })
            .collect();
        match (self, parts.as_slice()) {
            (Self::Run, [name]) => RUN.contains(name),
            (Self::Base, [name]) => BASE.contains(name),
            (Self::Comparison, [name]) => COMPARISON.contains(name),
            (Self::Vectors, [name]) => VECTORS.contains(name),
            (Self::Checkpoint, [name]) => CHECKPOINT.contains(name),
            (Self::Checkpoints, parts) => Self::is_of_training(parts),
            (Self::Unfinished, [name]) => UNFINISHED.contains(name) || is_aside_name(name),
            (Self::Unfinished, ["finished" | "parts", name]) => is_digest_name(name) || is_aside_name(name),
            (Self::Unfinished, [training, rest @ ..]) => {
                (is_digest_name(training) || is_aside_name(training)) && Self::is_of_training(rest)
            }
            (Self::EventFiles, [_, name]) => name.starts_with("events.out.tfevents."),
            _ => false,
        }
    }

    /// `attemptN/step-N/FILE`, and what a killed process leaves on the way.
    fn is_of_training(parts: &[&str]) -> bool {
        match parts {
            [attempt, step, name] => {
                attempt.starts_with("attempt")
                    && (step.starts_with("step-") || is_aside_name(step))
                    && (CHECKPOINT.contains(name) || is_aside_name(name))
            }
            _ => false,
        }
    }

    /// Whether a folder bears the marks of this kind: what only this program writes.
    pub(crate) fn marks(self, folder: &Path) -> bool {
        #[derive(Deserialize)]
        struct Mark {
            #[serde(rename = "schema")]
            _schema: u32,
            version: String,
            #[serde(default)]
            task: String,
            #[serde(default)]
            command: Option<String>,
        }
        let mark = |file: &str| -> Option<Mark> {
            let bytes = read_limited(&folder.join(file), REPORT_LIMIT).ok()?;
            serde_json::from_slice::<Mark>(&bytes).ok().filter(|mark| !mark.version.is_empty())
        };
        let report = || mark("report.json").filter(|mark| !mark.task.is_empty());
        let has = |name: &str| folder.join(name).is_file();
        let is_pretrained = |mark: &Mark| mark.command.as_deref() == Some("pretrain");
        match self {
            Self::Run => has("model.json") && has("run.toml") && report().is_some_and(|mark| !is_pretrained(&mark)),
            Self::Base => has("run.toml") && report().is_some_and(|mark| is_pretrained(&mark)),
            // Their place among unfinished work tells them.
            Self::Checkpoint | Self::Checkpoints => true,
            Self::Unfinished => {
                // A command that was stopped at once leaves its lock alone, which is empty.
                let is_lock = |entry: std::fs::DirEntry| {
                    entry.file_name() == "lock" && entry.metadata().is_ok_and(|lock| lock.is_file() && lock.len() == 0)
                };
                let is_locked_only =
                    || std::fs::read_dir(folder).is_ok_and(|mut entries| entries.all(|entry| entry.is_ok_and(is_lock)));
                folder.extension().is_some_and(|ending| ending == "unfinished")
                    && (has("run.toml") || folder.join("parts").is_dir() || is_locked_only())
            }
            Self::EventFiles => true,
            Self::Comparison => mark("compare.json").is_some_and(|mark| mark.command.as_deref() == Some("compare")),
            Self::Vectors => mark("glove.json").is_some_and(|mark| mark.command.as_deref() == Some("glove")),
        }
    }

    /// The kind of a folder that lies among a user's data, if this program made it.
    pub(crate) fn of(folder: &Path) -> Option<Self> {
        [Self::Run, Self::Base, Self::Unfinished, Self::Comparison, Self::Vectors]
            .into_iter()
            .find(|made| made.marks(folder))
    }

    /// The first thing in `folder` that a folder of this kind does not hold; or why that cannot be told.
    pub(crate) fn foreign_in(self, folder: &Path) -> Option<PathBuf> {
        for entry in WalkDir::new(folder).min_depth(1).sort_by_file_name() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(problem) => return Some(problem.path().unwrap_or(folder).to_owned()),
            };
            let relative = entry.path().strip_prefix(folder).unwrap_or(entry.path());
            let kind = entry.file_type();
            let is_ours =
                if kind.is_dir() { self.may_hold_folder(relative) } else { kind.is_file() && self.may_hold(relative) };
            if !is_ours {
                return Some(relative.to_owned());
            }
        }
        None
    }

    /// Whether a folder of this kind can hold a folder of this relative path.
    fn may_hold_folder(self, path: &Path) -> bool {
        let depth = path.components().count();
        match self {
            Self::Run | Self::Base | Self::Checkpoint | Self::Comparison | Self::Vectors => false,
            Self::EventFiles => depth == 1,
            Self::Checkpoints => self.would_hold_below(path, depth),
            Self::Unfinished => {
                let finished = path == Path::new("finished") || path == Path::new("parts");
                finished || depth >= 1 && self.would_hold_below(path, depth - 1)
            }
        }
    }

    /// Whether a file of a checkpoint can lie below `path`, `depth` folders down from a training's own.
    fn would_hold_below(self, path: &Path, depth: usize) -> bool {
        let below = ["attempt0", "step-0", CHECKPOINT[0]];
        below.get(depth..).is_some_and(|rest| !rest.is_empty() && self.may_hold(&path.join(rest.join("/"))))
    }

    /// Refuses to let `folder` be replaced or removed unless it is of this kind and holds nothing else. An empty folder may
    /// be: nothing is lost.
    ///
    /// # Errors
    /// [`Error::Output`] that names what else it holds.
    pub(crate) fn require(self, folder: &Path) -> Result<()> {
        let refuse = |found: String| {
            let problem = Problem::new("the output exists already, and is not replaced");
            let problem = problem.expected(format_args!("{} and nothing else", self.name())).found(found).at(folder);
            Err(Error::Output(problem.hint("choose another output; --force replaces only what engraft made")))
        };
        let kind = match std::fs::symlink_metadata(folder) {
            Ok(metadata) => metadata.file_type(),
            Err(source) => return Err(Error::write(folder, &source)),
        };
        if kind.is_symlink() {
            return refuse("a symbolic link".into());
        }
        if !kind.is_dir() {
            return refuse("a file".into());
        }
        if let Some(foreign) = self.foreign_in(folder) {
            return refuse(format!("a folder that holds {}", printable(&foreign)));
        }
        let is_empty = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
        if !is_empty && !self.marks(folder) {
            return refuse("a folder with files of such names, which engraft did not write".into());
        }
        Ok(())
    }
}

/// Whether a name is part of a SHA-256, at least 16 lower-case hexadecimal digits, perhaps with the ending `.rows`: what
/// caches and journals call their files.
pub(crate) fn is_digest_name(name: &str) -> bool {
    let digits = name.strip_suffix(".rows").unwrap_or(name);
    digits.len() >= 16 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Refuses an output that is, or holds, one of `inputs` (what each is, and where), the current directory or a cache.
///
/// # Errors
/// [`Error::Output`] that names the input.
pub(crate) fn refuse_over_inputs(output: &Path, inputs: &[(&str, &Path)]) -> Result<()> {
    let Ok(real) = output.canonicalize() else { return Ok(()) };
    let here = std::env::current_dir().unwrap_or_default();
    let inputs = inputs.iter().copied().chain([("the current directory", here.as_path())]);
    for (what, path) in inputs.filter(|(_, path)| !path.as_os_str().is_empty()) {
        if path.canonicalize().is_ok_and(|input| input.starts_with(&real)) {
            let problem = Problem::new(format_args!("the output is, or holds, {what}: it is never replaced"));
            return Err(Error::Output(problem.found(printable(path)).at(output).hint("choose another output")));
        }
    }
    Ok(())
}

/// Checks, before any work, that the file `output` may be written: nothing is there, or with `force` a file that `is_ours`
/// knows as one that this command writes. An input is never replaced, nor what is not a regular file.
///
/// # Errors
/// [`Error::Output`] otherwise.
pub fn claim_file(
    output: &Path,
    force: bool,
    inputs: &[(&str, &Path)],
    is_ours: impl FnOnce(&Path) -> bool,
) -> Result<()> {
    let Ok(metadata) = std::fs::symlink_metadata(output) else { return Ok(()) };
    refuse_over_inputs(output, inputs)?;
    let refuse = |what: &str, found: Option<&str>, hint: &str| {
        let problem = Problem::new(what).at(output).hint(hint);
        Err(Error::Output(match found {
            Some(found) => problem.found(found),
            None => problem,
        }))
    };
    let found = match metadata.file_type() {
        kind if kind.is_symlink() => Some("a symbolic link"),
        kind if kind.is_dir() => Some("a folder"),
        kind if !kind.is_file() => Some("a device, pipe or socket"),
        _ if is_ours(output) => None,
        _ => Some("a file that this command did not write"),
    };
    match (found, force) {
        (Some(found), _) => refuse(
            "the output exists already, and is not replaced",
            Some(found),
            "choose another output; --force replaces only what engraft made",
        ),
        (None, false) => refuse(
            "the output exists already",
            None,
            "choose another output, or add --force to replace what engraft wrote there",
        ),
        (None, true) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let temp = tempfile::tempdir().unwrap();
        for name in files {
            let path = temp.path().join(name);
            super::super::write_atomic(&path, b"{\"schema\":1,\"version\":\"0\",\"task\":\"x\"}").unwrap();
        }
        temp
    }

    #[test]
    fn a_run_with_a_file_of_somebody_else_is_not_replaced() {
        let run = ["model.json", "run.toml", "report.json", "model.safetensors"];
        let temp = folder(&run);
        Made::Run.require(temp.path()).unwrap();
        assert_eq!(Made::of(temp.path()), Some(Made::Run));
        for more in ["notes.txt", "model.json.bak", "photos/1.jpg", "report.json/x"] {
            let mut files = run.to_vec();
            if more.starts_with("report") {
                files.retain(|name| *name != "report.json");
            }
            let temp = folder(&[files.as_slice(), &[more]].concat());
            assert!(Made::Run.require(temp.path()).is_err(), "{more}");
        }
        let temp = folder(&["model.json", "run.toml"]);
        assert!(Made::Run.require(temp.path()).is_err(), "names alone are not marks");
        std::os::unix::fs::symlink("/etc/passwd", temp.path().join("log.jsonl")).unwrap();
        assert_eq!(Made::Run.foreign_in(temp.path()).unwrap(), Path::new("log.jsonl"));
        Made::Run.require(tempfile::tempdir().unwrap().path()).unwrap();
    }

    #[test]
    fn unfinished_work_is_known_by_its_layout() {
        let hex = "0123456789abcdef0123456789abcdef";
        let step = format!("{hex}/attempt0/step-000000000012");
        for ours in [
            "run.toml",
            "lock",
            "finished/0123456789abcdef0123456789abcdef",
            &format!("{step}/state.cbor"),
            &format!("{hex}/attempt0/.step-000000000012.partial-0123456789abcdef/state.cbor"),
            &format!("finished/.{hex}.partial-0123456789abcdef"),
            &format!("parts/{hex}{hex}"),
        ] {
            let temp = folder(&[ours]);
            assert_eq!(Made::Unfinished.foreign_in(temp.path()), None, "{ours}");
        }
        for foreign in ["1.jpg", "finished/1.jpg", "cats/1.jpg", &format!("{step}/1.jpg"), &format!("{hex}/1.jpg")] {
            assert!(Made::Unfinished.foreign_in(folder(&[foreign]).path()).is_some(), "{foreign}");
        }
        // A lock alone, if it is empty as ours are.
        let temp = tempfile::tempdir().unwrap();
        let work = temp.path().join("x.npy.unfinished");
        drop(crate::files::Lock::of_unfinished(&work).unwrap());
        Made::Unfinished.require(&work).unwrap();
        super::super::write_atomic(&work.join("lock"), b"mine").unwrap();
        assert!(Made::Unfinished.require(&work).is_err());
    }

    #[test]
    fn inputs_are_never_output() {
        let temp = folder(&["data/cats/1.jpg", "run/x"]);
        let data = temp.path().join("data");
        for output in [temp.path().to_owned(), data.clone(), temp.path().join("run/../data")] {
            assert!(refuse_over_inputs(&output, &[("the data", &data)]).is_err());
        }
        std::os::unix::fs::symlink(&data, temp.path().join("link")).unwrap();
        assert!(refuse_over_inputs(&temp.path().join("link"), &[("the data", &data)]).is_err());
        refuse_over_inputs(&temp.path().join("run"), &[("the data", &data), ("the base", Path::new(""))]).unwrap();
        refuse_over_inputs(&data.join("cats"), &[("the data", &data)]).unwrap();
    }

    #[test]
    fn a_file_is_replaced_only_with_force_and_only_if_it_is_ours() {
        let temp = folder(&["photo.jpg", "folder/x"]);
        let photo = temp.path().join("photo.jpg");
        assert!(claim_file(&photo, true, &[], |_| false).is_err());
        assert!(claim_file(&photo, false, &[], |_| true).is_err());
        assert!(claim_file(&photo, true, &[("the base", &photo)], |_| true).is_err());
        claim_file(&photo, true, &[], |_| true).unwrap();
        assert!(claim_file(&temp.path().join("folder"), true, &[], |_| true).is_err());
        assert!(claim_file(Path::new("/dev/null"), true, &[], |_| true).is_err());
        claim_file(&temp.path().join("new"), false, &[], |_| false).unwrap();
    }
}
