//! From files to labelled examples: reading a data set, decoding and preparing its images, and finding out, before
//! any training, what is wrong with it.
//!
//! The order in which things happen: [`open`] lists the examples, [`inspect`] looks at every file once, [`audit`] says
//! what is wrong and what is left out, `split` makes the folds, `preprocess` makes a network's input.
//!
//! Nothing here writes to a user's data, and no pixel is decoded before its image's size has been checked.

pub mod audit;
pub mod augment;
pub(crate) mod colour;
mod column_names;
pub(crate) mod dataset;
pub(crate) mod enlargement;
pub(crate) mod finding;
pub(crate) mod folder;
mod group_hints;
pub(crate) mod grouping;
pub mod image;
pub mod inspect;
pub mod intake;
mod jpeg;
pub(crate) mod near;
mod pixels;
pub mod preprocess;
pub mod split;
pub mod stratify;
pub(crate) mod table;
pub mod task;
pub mod text;
pub(crate) mod unite;
pub mod vectors;

use std::path::{Path, PathBuf};

use crate::error::{Error, Problem, Result};
use crate::settings::Fit;

pub(crate) use dataset::Targets;
pub use dataset::{Dataset, Example, Split};
pub use finding::{Finding, FindingKind, Severity};
pub use grouping::Grouping;
pub use task::{Inferred, Task};

/// File name endings that promise an image, lower-case. Only a folder given for prediction is filtered by them: a
/// training folder is listed whole, and the audit tells what is not an image.
const ENDINGS: [&str; 11] = ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "tif", "tiff", "gif"];

/// Reads a labelled data set: a folder of classes (see `folder`) or a CSV table (see `table`).
///
/// The findings are about the layout (empty folders, stray files); [`audit::audit`] takes them and adds its own.
///
/// # Errors
/// [`Error::Data`] when the path does not exist or holds no data set of at least two classes.
pub fn open(path: &Path) -> Result<(Dataset, Vec<Finding>)> {
    let metadata = std::fs::metadata(path).map_err(|source| missing(path, &source))?;
    if metadata.is_dir() {
        return folder::read(path);
    }
    if is_table(path, &metadata) {
        return table::read(path);
    }
    Err(Error::Data(
        Problem::new("this is not a dataset")
            .expected("a folder with one folder of images per class, or a .csv with the columns path,label")
            .found(if metadata.is_file() { "a file that is no .csv" } else { crate::files::kind_of(&metadata) })
            .at(path),
    ))
}

/// How a data set is to be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// What is to be learnt; inferred where it is not told.
    pub(crate) task: Option<Task>,
    /// The column of a table that names the files; `path` where it is not told.
    pub(crate) path_column: Option<String>,
    /// The column of a table that holds the labels; `label` where it is not told.
    pub(crate) label_column: Option<String>,
    /// Which examples belong together.
    pub(crate) grouping: Grouping,
}

impl Reading {
    /// As the settings of a fit tell.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is no such task, or groups cannot be told by what is given.
    pub fn of(config: &Fit) -> Result<Self> {
        Ok(Self {
            task: config.task.as_deref().map(str::parse).transpose()?,
            path_column: config.path_column.clone(),
            label_column: config.label_column.clone(),
            grouping: Grouping::new(config.group_column.as_deref(), config.group_by.as_deref())?,
        })
    }

    /// The column that names the files.
    pub(crate) fn path_column(&self) -> &str {
        self.path_column.as_deref().unwrap_or("path")
    }

    /// The column that holds the labels.
    pub fn label_column(&self) -> &str {
        self.label_column.as_deref().unwrap_or("label")
    }
}

/// A data set as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// The examples and what is to be learnt of them.
    pub(crate) dataset: Dataset,
    /// What is to be said about the layout.
    pub(crate) findings: Vec<Finding>,
    /// The task, and why it is that one.
    pub(crate) inferred: Inferred,
}

/// As [`open`], for any task.
///
/// Folders are classes unless another task is asked for: in multi-label a folder's name is a label (or several, with `|`
/// between them; see [`unite::unite_copies`] for images that lie in several folders), in regression it is a number.
///
/// # Errors
/// As [`open`]; and what [`table::read_as`] refuses.
pub(crate) fn open_as(path: &Path, reading: &Reading) -> Result<Opened> {
    let metadata = std::fs::metadata(path).map_err(|source| missing(path, &source))?;
    if is_table(path, &metadata) {
        return table::read_as(path, reading);
    }
    let columns = [&reading.path_column, &reading.label_column, &reading.grouping.column];
    if let Some(column) = columns.into_iter().flatten().next() {
        let problem = Problem::new("a folder has no columns").expected("a .csv where a column is named").found(column);
        return Err(Error::Usage(problem.at(path)));
    }
    let (mut dataset, mut findings) = open(path)?;
    dataset.group_by(&reading.grouping)?;
    if !reading.grouping.is_asked() {
        findings.extend(group_hints::suggested_pattern(&dataset, "images"));
    }
    let inferred = match reading.task {
        Some(task) => Inferred { task, reason: "it was asked for".into() },
        None => Inferred { task: Task::SingleLabel, reason: "each folder is a class".into() },
    };
    Ok(Opened { dataset: dataset.recast(inferred.task)?, findings, inferred })
}

fn is_table(path: &Path, metadata: &std::fs::Metadata) -> bool {
    metadata.is_file() && ending(path).is_some_and(|ending| ["csv", "tsv"].contains(&ending.as_str()))
}

/// The images to predict: a file is itself, a folder every file below it whose name ends like an image's, sorted.
///
/// Hidden files and folders are passed over, and so are runs of this program. Links are followed; one that leads back to a
/// folder above is not. What is named like an image and cannot be read as a file (a link to nothing, a named pipe) is
/// listed too: reading it says why.
///
/// # Errors
/// [`Error::Data`] when the path does not exist, or a folder holds no image.
pub fn images(path: &Path) -> Result<Vec<PathBuf>> {
    let metadata = std::fs::metadata(path).map_err(|source| missing(path, &source))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let found = folder::files_below(path, &ENDINGS);
    if found.is_empty() {
        return Err(Error::Data(
            Problem::new("the folder holds no images")
                .expected(format!("files named .{}", ENDINGS.join(", .")))
                .at(path),
        ));
    }
    Ok(found)
}

fn missing(path: &Path, source: &std::io::Error) -> Error {
    let what = match source.kind() {
        std::io::ErrorKind::NotFound => "there is nothing at this path",
        _ => "the path cannot be read",
    };
    let near = crate::suggestion::beside(path);
    let problem = Problem::new(what).found(source).at(path);
    Error::Data(problem.suggest(&path.to_string_lossy(), near.iter().map(String::as_str)))
}

fn ending(path: &Path) -> Option<String> {
    path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_a_folder_are_sorted_and_only_images() {
        let temp = tempfile::tempdir().unwrap();
        for name in ["b.JPG", "a.png", "notes.txt", ".hidden.png", "sub/c.tiff"] {
            let path = temp.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        let found = images(temp.path()).unwrap();
        let names: Vec<_> =
            found.iter().map(|path| path.strip_prefix(temp.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.png", "b.JPG", "sub/c.tiff"]);
        std::os::unix::fs::symlink("nowhere", temp.path().join("lost.png")).unwrap();
        std::os::unix::fs::symlink("nowhere", temp.path().join(".lost.png")).unwrap();
        let listed = images(temp.path()).unwrap();
        assert!(listed.len() == 4 && listed[2].ends_with("lost.png"), "{listed:?}");
        assert_eq!(images(&temp.path().join("notes.txt")).unwrap().len(), 1);
    }

    #[test]
    fn what_is_missing_or_no_data_set_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        assert!(matches!(open(&temp.path().join("none")), Err(Error::Data(_))));
        assert!(matches!(images(temp.path()), Err(Error::Data(_))));
        let file = temp.path().join("a.png");
        std::fs::write(&file, b"").unwrap();
        assert!(matches!(open(&file), Err(Error::Data(_))));
    }
}
