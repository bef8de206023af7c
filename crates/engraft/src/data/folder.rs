//! A data set as folders: `class/file`, or `train|val|test/class/file`.
//!
//! A root whose folders are named like splits (see [`super::folder_layout`]) is read as splits; any other root is read as
//! one folder per class, all of it training data. Folders inside a class are walked. Links are followed, and one that
//! leads in a circle is told and passed over.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::dataset::{Dataset, Row, Split};
use super::finding::{Finding, FindingKind, Severity};
use super::folder_layout::{Layout, layout};
use super::label_text::{Tidied, review};
use super::split_names::{exact, loose};
use crate::error::{Error, Problem, Result, printable, shown};
use crate::files::Made;

/// Reads a folder of classes. Every file in a class is listed, whatever its name ends in: the audit tells which is no
/// image.
///
/// # Errors
/// [`Error::Data`] when the path is missing or no folder, holds no file in any class, or fewer than two classes.
pub fn read(path: &Path) -> Result<(Dataset, Vec<Finding>)> {
    read_merging(path, false)
}

/// As [`read`]; `merge` makes one class of those that differ only by case, blanks, signs between words or the way a number is written.
///
/// # Errors
/// As [`read`].
pub(super) fn read_merging(path: &Path, merge: bool) -> Result<(Dataset, Vec<Finding>)> {
    read_of(path, &IMAGES, merge)
}

/// As [`read_merging`], of files of any kind: errors name them and their layout.
pub(super) fn read_of(path: &Path, content: &Content, merge: bool) -> Result<(Dataset, Vec<Finding>)> {
    let metadata = std::fs::metadata(path).map_err(|source| super::missing(path, &source))?;
    if !metadata.is_dir() {
        return Err(Error::Data(
            Problem::new("this is not a folder").expected(content.layout).found("a file").at(path),
        ));
    }
    let (rows, notes, tidied) = (Vec::new(), Notes::default(), Tidied::default());
    let mut reading = Reading { root: path, content, rows, notes, tidied };
    let folders = reading.children(path);
    let (layout, guessed) = layout(&folders, is_litter);
    let in_splits = matches!(layout, Layout::Splits(..));
    match layout {
        Layout::Splits(parts, others) => {
            if !parts.iter().any(|(_, split)| *split == Split::Train) {
                return Err(Error::Data(
                    Problem::new("there is no training data")
                        .expected("a folder named train beside the held-out ones")
                        .found(listing(&folders))
                        .at(path),
                ));
            }
            for (folder, split) in parts {
                for class in reading.children(&folder) {
                    reading.class(&class, file_name(&class), split);
                }
            }
            reading.notes.of_no_split = others.iter().map(|folder| relative(path, folder)).collect();
        }
        Layout::SplitsInClasses => {
            for class in &folders {
                for part in reading.children(class) {
                    let split = exact(&printable(Path::new(file_name(&part)))).unwrap_or(Split::Train);
                    reading.class(&part, file_name(class), split);
                }
            }
        }
        Layout::Classes => {
            for class in &folders {
                reading.class(class, file_name(class), Split::Train);
            }
            reading.notes.misplaced_splits = folders
                .iter()
                .filter(|folder| exact(&printable(Path::new(file_name(folder)))).is_some())
                .map(|folder| relative(path, folder))
                .collect();
        }
    }
    let (dataset, mut findings) = reading.finish(&folders, in_splits, merge)?;
    findings.extend(guessed);
    Ok((dataset, findings))
}

/// What the files of a folder are.
pub(super) struct Content {
    /// In the plural.
    pub(super) noun: &'static str,
    /// How they are to lie.
    pub(super) layout: &'static str,
}

const IMAGES: Content = Content {
    noun: "images",
    layout: "CLASS/image.jpg with one folder per class, or train/CLASS/image.jpg beside val/ and test/",
};

struct Reading<'a> {
    root: &'a Path,
    content: &'a Content,
    rows: Vec<Row>,
    notes: Notes,
    tidied: Tidied,
}

/// What was noticed on the way.
#[derive(Default)]
struct Notes {
    skipped: Vec<String>,
    own: Vec<String>,
    special: Vec<String>,
    stray: Vec<String>,
    empty: Vec<String>,
    unreadable: Vec<String>,
    ambiguous: Vec<String>,
    misplaced_splits: Vec<String>,
    of_no_split: Vec<String>,
}

impl Reading<'_> {
    /// The folders directly inside `folder`, sorted; the files there belong to no class.
    fn children(&mut self, folder: &Path) -> Vec<PathBuf> {
        let mut folders = Vec::new();
        for entry in WalkDir::new(folder).min_depth(1).max_depth(1).follow_links(true).sort_by_file_name() {
            match entry {
                Ok(entry) if is_litter(entry.file_name()) => self.notes.skipped.push(relative(self.root, entry.path())),
                Ok(entry) if is_own_output(&entry) => self.notes.own.push(relative(self.root, entry.path())),
                Ok(entry) if entry.file_type().is_dir() => folders.push(entry.into_path()),
                Ok(entry) if !entry.file_type().is_file() => self.notes.special.push(relative(self.root, entry.path())),
                Ok(entry) => self.notes.stray.push(relative(self.root, entry.path())),
                Err(problem) => self.unreadable(&problem),
            }
        }
        folders
    }

    /// Lists every file below a folder of one class.
    fn class(&mut self, folder: &Path, class: &OsStr, split: Split) {
        let class = self.tidied.label(&printable(Path::new(class)), false, false);
        let before = (self.rows.len(), self.notes.own.len());
        let mut walk = WalkDir::new(folder).min_depth(1).follow_links(true).sort_by_file_name().into_iter();
        while let Some(entry) = walk.next() {
            match entry {
                Ok(entry) if is_litter(entry.file_name()) => {
                    self.notes.skipped.push(relative(self.root, entry.path()));
                    if entry.file_type().is_dir() {
                        walk.skip_current_dir();
                    }
                }
                Ok(entry) if is_own_output(&entry) => {
                    self.notes.own.push(relative(self.root, entry.path()));
                    walk.skip_current_dir();
                }
                Ok(entry) if entry.file_type().is_dir() => {
                    if entry.path_is_symlink() && self.leads_back(entry.path()) {
                        self.notes.unreadable.push(relative(self.root, entry.path()));
                        walk.skip_current_dir();
                    }
                }
                Ok(entry) if !entry.file_type().is_file() => self.notes.special.push(relative(self.root, entry.path())),
                Ok(entry) => self.rows.push(Row {
                    name: relative(self.root, entry.path()),
                    source: entry.into_path().into(),
                    class: class.clone(),
                    split,
                    group: None,
                }),
                Err(problem) => self.unreadable(&problem),
            }
        }
        if (self.rows.len(), self.notes.own.len()) == before {
            self.notes.empty.push(relative(self.root, folder));
        }
    }

    /// Whether a link leads to the data set's own root or above it: every file would be listed again, under this
    /// class. (A link back into the class itself is found by the walk.)
    fn leads_back(&self, link: &Path) -> bool {
        match (link.canonicalize(), self.root.canonicalize()) {
            (Ok(target), Ok(root)) => root.starts_with(target),
            _ => false,
        }
    }

    fn unreadable(&mut self, problem: &walkdir::Error) {
        let name = problem.path().map_or_else(String::new, |path| relative(self.root, path));
        // A hidden link that leads nowhere is litter like any other.
        if problem.path().and_then(Path::file_name).is_some_and(is_litter) {
            self.notes.skipped.push(name);
        } else {
            self.notes.unreadable.push(name);
        }
    }

    fn finish(mut self, folders: &[PathBuf], in_splits: bool, merge: bool) -> Result<(Dataset, Vec<Finding>)> {
        if self.rows.is_empty() {
            let found = match (folders.is_empty(), self.notes.stray.len()) {
                (true, 0) => "an empty folder".to_owned(),
                (true, files) => format!("no folders, and files of no class: {files}"),
                (false, 0) => format!("nothing but empty folders ({})", listing(folders)),
                (false, files) => format!("no class folders inside, and files of no class: {files}"),
            };
            let problem = Problem::new(format!("the folder holds no labelled {}", self.content.noun))
                .expected(self.content.layout)
                .found(found)
                .at(self.root);
            return Err(Error::Data(match table_below(self.root) {
                Some(table) => problem.hint(name_the_table(&table)),
                None => problem,
            }));
        }
        let mut seen = BTreeSet::new();
        for row in &self.rows {
            if !seen.insert(&row.name) {
                self.notes.ambiguous.push(row.name.clone());
            }
        }
        let mut classes: Vec<String> = self.rows.iter().map(|row| row.class.clone()).collect();
        let findings: Vec<Finding> =
            self.tidied.finding().into_iter().chain(review(&mut classes, false, merge)).collect();
        self.rows.iter_mut().zip(classes).for_each(|(row, class)| row.class = class);
        let dataset = Dataset::assemble(self.root.to_owned(), self.rows);
        if let [only] = dataset.classes.as_slice() {
            let problem =
                Problem::new("there is only one class").expected(self.content.layout).found(only).at(self.root);
            let inside = folders.iter().find(|folder| !in_splits && file_name(folder) == OsStr::new(only.as_str()));
            return Err(Error::Data(match (inside.filter(|folder| holds_folders(folder)), table_below(self.root)) {
                (_, Some(table)) => problem.hint(name_the_table(&table)),
                (Some(inside), None) => problem.hint(format!("did you mean {}?", shown(inside))),
                (None, None) => problem.hint("a classifier needs at least two classes to tell apart"),
            }));
        }
        Ok((dataset, self.notes.findings().into_iter().chain(findings).collect()))
    }
}

impl Notes {
    fn findings(self) -> Vec<Finding> {
        use Severity::{Info, Warning};
        let mut findings = Vec::new();
        let mut tell = |kind, severity, message: &str, files: Vec<String>| {
            if !files.is_empty() {
                let message = message.replace("{}", &files.len().to_string());
                findings.push(Finding::new(kind, severity, message, files));
            }
        };
        tell(FindingKind::Skipped, Info, "hidden files, folders and system litter passed over: {}", self.skipped);
        let own = "runs, bases and unfinished work of engraft among the data, passed over: {}";
        tell(FindingKind::OwnOutput, Info, own, self.own);
        tell(
            FindingKind::Skipped,
            Warning,
            "named pipes, sockets and devices, which are not files and were passed over: {}",
            self.special,
        );
        tell(FindingKind::StrayFile, Warning, "files outside every class, not used: {}", self.stray);
        tell(FindingKind::EmptyClass, Warning, "class folders without a file: {}", self.empty);
        tell(
            FindingKind::UnreadableFolder,
            Warning,
            "folders or links that cannot be read or lead in a circle, passed over: {}",
            self.unreadable,
        );
        tell(
            FindingKind::UnusualLayout,
            Warning,
            "folders named like a split but read as classes, because other folders lie beside them: {}",
            self.misplaced_splits,
        );
        tell(
            FindingKind::UnusualLayout,
            Warning,
            "folders beside the splits that are none, or hold masks, labels or unlabelled files, not used: {}",
            self.of_no_split,
        );
        tell(
            FindingKind::UnusualLayout,
            Warning,
            "files left out because another has the same printable name: {}",
            self.ambiguous,
        );
        findings
    }
}

/// Everything below a folder whose name has one of these endings, as [`all_below`] has it.
pub(super) fn files_below(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = all_below(folder);
    found.retain(|file| super::ending(file).is_some_and(|ending| endings.contains(&ending.as_str())));
    found
}

/// Everything below a folder, sorted, but folders and litter. What cannot be read is listed like the rest, so that reading
/// it says why; a link that leads back to a folder above is not.
pub(super) fn all_below(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = walk_below(folder)
        .filter_map(|entry| match entry {
            Ok(entry) => (!entry.file_type().is_dir()).then(|| entry.into_path()),
            Err(problem) if problem.loop_ancestor().is_some() => None,
            Err(problem) => problem.path().filter(|path| !is_litter(file_name(path))).map(Path::to_owned),
        })
        .collect();
    found.sort();
    found
}

/// Hidden (a leading dot) or the known litter of an operating system.
pub(super) fn is_litter(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b".")
        || [b"thumbs.db".as_slice(), b"ehthumbs.db", b"desktop.ini", b"__macosx", b"$recycle.bin", b"icon\r"]
            .iter()
            .any(|litter| name.eq_ignore_ascii_case(litter))
}

/// Whether a folder is a run, a base or unfinished work of this program: never a class.
fn is_own_output(entry: &DirEntry) -> bool {
    entry.file_type().is_dir() && Made::of(entry.path()).is_some()
}

/// Everything below a folder but what is hidden or litter, and runs, bases and unfinished work of this program. Links are
/// followed.
pub(super) fn walk_below(folder: &Path) -> impl Iterator<Item = walkdir::Result<DirEntry>> {
    let walk = WalkDir::new(folder).follow_links(true).into_iter();
    walk.filter_entry(|entry| entry.depth() == 0 || !is_litter(entry.file_name()) && !is_own_output(entry))
}

/// A table in a folder or in the folders in it, of which there may be one for training: what is named may be the labels of
/// the images beside it.
fn table_below(folder: &Path) -> Option<PathBuf> {
    let walk = WalkDir::new(folder).min_depth(1).max_depth(2).sort_by_file_name().into_iter();
    let entries = walk.filter_entry(|entry| !is_litter(entry.file_name())).take(LOOKED_AT).flatten();
    let files = entries.filter(|entry| entry.file_type().is_file()).map(DirEntry::into_path);
    let tables: Vec<PathBuf> = files
        .filter(|file| super::ending(file).is_some_and(|ending| super::TABLES.contains(&ending.as_str())))
        .collect();
    let trains =
        |file: &&PathBuf| file.file_stem().is_some_and(|stem| loose(&stem.to_string_lossy()) == Some(Split::Train));
    tables.iter().find(trains).or(tables.first()).cloned()
}

/// Files and folders that are looked at for a table.
const LOOKED_AT: usize = 20_000;

fn name_the_table(table: &Path) -> String {
    format!("the folder holds a table: if it has the labels, name it in place of the folder ({})", shown(table))
}

fn file_name(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_default()
}

fn relative(root: &Path, path: &Path) -> String {
    printable(path.strip_prefix(root).unwrap_or(path))
}

fn listing(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| printable(Path::new(file_name(folder)))).collect::<Vec<_>>().join(", ")
}

fn holds_folders(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|entries| entries.flatten().any(|entry| entry.path().is_dir()))
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
