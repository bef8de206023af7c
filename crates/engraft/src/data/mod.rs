//! From files to labelled examples: reading a data set, decoding and preparing its images, and finding out, before
//! any training, what is wrong with it.
//!
//! The order in which things happen: [`open`] lists the examples, [`inspect`] looks at every file once, [`audit`] says
//! what is wrong and what is left out, `split` makes the folds, `preprocess` makes a network's input.
//!
//! Nothing here writes to a user's data, and no pixel is decoded before its image's size has been checked.

pub mod audit;
pub mod augment;
pub(crate) mod bit_depth;
mod class_numbers;
pub(crate) mod colour;
mod column_names;
pub(crate) mod dataset;
pub(crate) mod enlargement;
pub(crate) mod finding;
pub(crate) mod folder;
mod folder_layout;
mod group_hints;
pub(crate) mod grouping;
pub mod image;
mod image_columns;
mod image_kind;
mod image_labels;
mod image_paths;
pub(crate) mod image_source;
pub mod inspect;
pub mod intake;
mod jpeg;
mod label_columns;
mod label_flags;
mod label_text;
pub(crate) mod left_out;
mod lone_classes;
pub(crate) mod near;
pub mod pairs;
mod palette;
mod pixels;
pub mod preprocess;
mod sides;
pub mod split;
mod split_column;
mod split_names;
pub mod stratify;
pub(crate) mod table;
pub mod task;
pub mod text;
pub(crate) mod unite;
mod unlabelled;
pub mod vectors;

use std::path::{Path, PathBuf};

use crate::error::{Error, Problem, Result, printable_text};
use crate::progress::Observer;
use crate::settings::{BitDepth, Fit};

pub use bit_depth::used_bit_depth;
pub(crate) use dataset::Targets;
pub use dataset::{Dataset, Example, Split};
pub use finding::{Finding, FindingKind, Severity};
pub use grouping::Grouping;
pub use image_source::ImageSource;
pub use left_out::Left;
pub(crate) use sides::{Shared, Side};
pub use sides::{Sides, compared_kind, open_sides};
pub use task::{Inferred, Task};
pub(crate) use unlabelled::Contents;
pub use unlabelled::{Decided, Places, Sealed, SourceForm, Target, Unlabelled, open_target};

/// File name endings that promise an image, lower-case. They are only trusted where they save a look at the file: what a
/// file is is told by its content.
const ENDINGS: [&str; 16] = [
    "jpg", "jpeg", "jpe", "jfif", "mpo", "png", "webp", "bmp", "dib", "tif", "tiff", "gif", "pgm", "ppm", "pbm", "pnm",
];

/// File name endings of tables that are read, lower-case.
const TABLES: [&str; 7] = ["csv", "tsv", "tab", "jsonl", "ndjson", "json", "parquet"];

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
    let problem = Problem::new("this is not a dataset").expected(
        "a folder with one folder of images per class, or a table (.csv, .tsv, .jsonl, .parquet) of images and labels",
    );
    if !metadata.is_file() {
        return Err(Error::Data(problem.found(crate::files::kind_of(&metadata)).at(path)));
    }
    Err(Error::Data(no_table(problem, path)))
}

/// Completes the refusal of a file that is not named like a table: what it is, and what to do about it.
fn no_table(problem: Problem, path: &Path) -> Problem {
    use std::io::Read;
    let mut head = Vec::new();
    let read = crate::files::open_regular(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    let named = || read.is_ok().then(|| stand_in(&head)).flatten();
    let other = || text::encoding::other_kind(&head).map(|(found, hint)| (found.to_owned(), hint));
    let problem = match named().or_else(other) {
        Some((found, hint)) => problem.found(found).hint(hint),
        None if text::encoding::looks_like_text(path) => problem
            .found("a text file without the ending of a table")
            .hint("if it is a table, let its name end in .csv, .tsv or .jsonl"),
        None => problem.found("a file that is no table"),
    };
    problem.at(path)
}

/// Bytes from the beginning of a file by which it is told.
const HEAD: u64 = 1024;

/// What stands in place of a file, by its first bytes, and what to do about it: a Git LFS pointer, a web page.
fn stand_in(head: &[u8]) -> Option<(String, &'static str)> {
    if let Some(archive) = archive(head) {
        return Some((archive.to_owned(), "unpack it, and name the folder that it makes"));
    }
    match engraft_weights::stand_in(head) {
        Some(engraft_weights::Error::Format { found, remedy }) => Some((found, remedy)),
        _ => None,
    }
}

/// An archive of files, by its first bytes; not one of an office program or of NumPy, which is one file to its readers.
fn archive(head: &[u8]) -> Option<&'static str> {
    if head.get(257..262) == Some(b"ustar") {
        return Some("a tar archive");
    }
    let name = head.strip_prefix(b"PK\x03\x04").and_then(|rest| rest.get(26..))?;
    let of_office = [b"[Content_Types]".as_slice(), b"_rels/", b"docProps/", b"xl/", b"word/", b"mimetype"];
    let is_one_file = of_office.iter().any(|first| name.starts_with(first)) || text::encoding::holds_arrays(head);
    (!is_one_file).then_some("a ZIP archive")
}

/// How a data set is to be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// What is to be learnt; inferred where it is not told.
    pub(crate) task: Option<Task>,
    /// The column of a table that names the files or holds their bytes; found by what stands in it where it is not told.
    pub(crate) path_column: Option<String>,
    /// The column of a table that holds the labels; found by its name where it is not told.
    pub(crate) label_column: Option<String>,
    /// Which examples belong together.
    pub(crate) grouping: Grouping,
    /// The encoding of a table; found out where it is not told.
    pub(crate) encoding: Option<String>,
    /// Whether classes that differ only by case, blanks, signs between words or the way a number is written are one.
    pub(crate) merge_classes: bool,
    /// Bits that images of 16 bits a channel use.
    pub(crate) bit_depth: Option<BitDepth>,
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
            encoding: config.encoding.clone(),
            merge_classes: config.merge_classes,
            bit_depth: config.bit_depth,
        })
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
    // A text file is a table where a column of it is named.
    let is_named = reading.path_column.is_some() && is_txt(path) && metadata.is_file();
    if is_named || is_table(path, &metadata) {
        return table::read_as(path, reading);
    }
    let columns = [&reading.path_column, &reading.label_column, &reading.grouping.column];
    if let Some(column) = columns.into_iter().flatten().next().filter(|_| metadata.is_dir()) {
        let problem = Problem::new("a folder has no columns").expected("a .csv where a column is named").found(column);
        return Err(Error::Usage(problem.at(path)));
    }
    let (mut dataset, mut findings) = match metadata.is_dir() {
        true => folder::read_merging(path, reading.merge_classes)?,
        false => open(path)?,
    };
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

/// Whether a file is to be read as a table: by its ending, or, of a text file, since it is a table of images.
fn is_table(path: &Path, metadata: &std::fs::Metadata) -> bool {
    let is_named_so = ending(path).is_some_and(|ending| TABLES.contains(&ending.as_str()));
    metadata.is_file() && (is_named_so || is_txt(path) && is_image_table(path))
}

fn is_txt(path: &Path) -> bool {
    ending(path).as_deref() == Some("txt")
}

/// The images to predict: of a folder every file below it that begins like an image, sorted; of a table its images; any
/// other file is itself.
///
/// Hidden files and folders are passed over, and so are runs of this program. Links are followed; one that leads back to a
/// folder above is not. What is named like an image and cannot be read as a file (a link to nothing, a named pipe), and
/// images of a kind that is not read, are listed too: reading them says why. Files that are no images are counted, and the
/// observer is told of them, as of what was guessed of a table.
///
/// # Errors
/// [`Error::Data`] when the path does not exist, or a folder or table holds no image.
pub fn images(path: &Path, observer: &dyn Observer) -> Result<Vec<ImageSource>> {
    let metadata = std::fs::metadata(path).map_err(|source| missing(path, &source))?;
    if is_table(path, &metadata) {
        let (images, findings) = table::images_of(path)?;
        findings.iter().for_each(|finding| observer.say(&printable_text(&finding.message)));
        return Ok(images);
    }
    if !metadata.is_dir() {
        return Ok(vec![path.into()]);
    }
    let mut passed = Left::default();
    let is_image = |file: &Path| {
        ending(file).is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
            || image_columns::begins_like_an_image(file)
    };
    let (found, others): (Vec<PathBuf>, Vec<PathBuf>) =
        folder::all_below(path).into_iter().partition(|file| is_image(file));
    others.iter().for_each(|file| {
        passed.note("not an image", &crate::error::printable(file.strip_prefix(path).unwrap_or(file)))
    });
    if found.is_empty() {
        let problem =
            Problem::new("the folder holds no images").expected("files that begin like images, whatever their names");
        let problem = if passed.count() > 0 { problem.found(passed.told()) } else { problem };
        return Err(Error::Data(problem.at(path)));
    }
    if passed.count() > 0 {
        observer.say(&format!("files in {} that were passed over: {}", crate::error::shown(path), passed.told()));
    }
    Ok(found.into_iter().map(ImageSource::File).collect())
}

/// Whether a file begins like an image of any kind, read here or not.
pub fn is_image_file(path: &Path) -> bool {
    path.is_file() && image_columns::begins_like_an_image(path)
}

/// Whether what lies at `path` is a table of images.
pub fn is_image_table(path: &Path) -> bool {
    image_columns::is_image_table(path)
}

fn missing(path: &Path, source: &std::io::Error) -> Error {
    let what = match source.kind() {
        std::io::ErrorKind::NotFound => "there is nothing at this path",
        _ => "the path cannot be read",
    };
    let near = crate::suggestion::beside(path);
    let problem = Problem::new(what).because(source).at(path);
    Error::Data(problem.suggest(&path.to_string_lossy(), near.iter().map(String::as_str)))
}

fn ending(path: &Path) -> Option<String> {
    path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase())
}

#[cfg(test)]
mod files_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::image::{Limits, decode};
    use crate::progress::Silent;

    #[test]
    fn content_decides_what_is_an_image() {
        #[derive(Default)]
        struct Told(std::sync::Mutex<Vec<String>>);
        impl Observer for Told {
            fn begin(&self, _: &str, _: u64, _: &str) {}
            fn advance(&self, _: u64) {}
            fn end(&self) {}
            fn say(&self, text: &str) {
                self.0.lock().unwrap().push(text.to_owned());
            }
            fn interrupted(&self) -> bool {
                false
            }
        }
        let temp = tempfile::tempdir().unwrap();
        for (name, bytes) in [
            ("a.jpg_large", b"\xff\xd8\xff\xe0".as_slice()),
            ("b", b"\x89PNG\r\n\x1a\n"),
            ("c.heic", b"\0\0\0\x20ftypheic"),
            ("d.avif", b"\0\0\0\x20ftypavif"),
            ("e.jp2", b"\0\0\0\x0cjP  "),
            ("f.mpo", b"\xff\xd8\xff\xe0"),
            ("notes.txt", b"notes"),
            ("more.md", b"more"),
        ] {
            std::fs::write(temp.path().join(name), bytes).unwrap();
        }
        let told = Told::default();
        let found: Vec<String> = images(temp.path(), &told).unwrap().iter().map(ImageSource::name).collect();
        assert_eq!(found.len(), 6, "{found:?}");
        let told = told.0.into_inner().unwrap().join(" ");
        assert!(told.contains("not an image: 2 (more.md, notes.txt)"), "{told}");
    }

    #[test]
    fn images_of_a_folder_are_sorted_and_only_images() {
        let temp = tempfile::tempdir().unwrap();
        for name in ["b.JPG", "a.png", "notes.txt", ".hidden.png", "sub/c.tiff"] {
            let path = temp.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        let images = |path: &Path| {
            let found = images(path, &Silent)?;
            Ok::<Vec<PathBuf>, Error>(found.iter().map(|image| image.file().unwrap().to_owned()).collect())
        };
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
    fn archives_are_named_and_to_be_unpacked() {
        let temp = tempfile::tempdir().unwrap();
        let zip = |name: &str| [b"PK\x03\x04".as_slice(), &[0; 22], &[5, 0, 0, 0], name.as_bytes()].concat();
        let tar = [[0; 257].as_slice(), b"ustar\0", &[0; 249]].concat();
        for (name, bytes, what) in [
            ("a.zip", zip("cat/1.png"), "a ZIP archive"),
            ("a.tar", tar.clone(), "a tar archive"),
            ("a.csv", tar, "a tar archive"),
        ] {
            let path = temp.path().join(name);
            std::fs::write(&path, &bytes).unwrap();
            let refused = open_as(&path, &Reading::default()).unwrap_err().to_string();
            assert!(refused.contains(what) && refused.contains("hint: unpack it, and name the folder"), "{refused}");
            let refused = decode(&bytes, &Limits::default()).unwrap_err().to_string();
            assert!(refused.contains(what) && refused.contains("unpack it"), "{refused}");
        }
        std::fs::write(temp.path().join("b.xlsx"), zip("[Content_Types].xml")).unwrap();
        let refused = open(&temp.path().join("b.xlsx")).unwrap_err().to_string();
        assert!(refused.contains("spreadsheet") && refused.contains("export it as CSV"), "{refused}");
    }

    #[test]
    fn what_is_missing_or_no_data_set_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        assert!(matches!(open(&temp.path().join("none")), Err(Error::Data(_))));
        assert!(matches!(images(temp.path(), &Silent), Err(Error::Data(_))));
        let file = temp.path().join("a.png");
        std::fs::write(&file, b"").unwrap();
        assert!(matches!(open(&file), Err(Error::Data(_))));
    }
}
