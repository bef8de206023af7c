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

/// As [`read`]; `merge` makes one class of those that differ only by case, blanks or the way a number is written.
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
            "folders beside the splits that are none, or hold masks or labels of one, not used: {}",
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
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let temp = tempfile::tempdir().unwrap();
        for name in files {
            let path = temp.path().join(name);
            if name.ends_with('/') {
                std::fs::create_dir_all(path).unwrap();
            } else {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, b"x").unwrap();
            }
        }
        temp
    }

    fn names(dataset: &Dataset) -> Vec<(&str, &str, Split)> {
        let name = |example: &'_ super::super::Example| dataset.classes[example.label].as_str().to_owned();
        dataset
            .examples
            .iter()
            .map(|example| {
                let class = dataset.classes.iter().find(|class| **class == name(example)).unwrap();
                (example.name.as_str(), class.as_str(), example.split)
            })
            .collect()
    }

    fn finding(findings: &[Finding], kind: FindingKind) -> &Finding {
        findings.iter().find(|finding| finding.kind == kind).unwrap_or_else(|| panic!("no {kind:?} in {findings:?}"))
    }

    #[test]
    fn a_folder_per_class() {
        let temp = tree(&["cat/2.jpg", "cat/1.jpg", "dog/deep/er/3.jpg", "dog/notes.txt"]);
        let (dataset, findings) = read(temp.path()).unwrap();
        assert_eq!(dataset.classes, ["cat", "dog"]);
        assert_eq!(
            names(&dataset),
            [
                ("cat/1.jpg", "cat", Split::Train),
                ("cat/2.jpg", "cat", Split::Train),
                ("dog/deep/er/3.jpg", "dog", Split::Train),
                ("dog/notes.txt", "dog", Split::Train),
            ]
        );
        assert_eq!(findings, []);
    }

    #[test]
    fn splits_are_read_from_the_folders_names() {
        let temp = tree(&["Train/a/1", "Train/b/1", "valid/a/1", "test/b/1"]);
        let (dataset, _) = read(temp.path()).unwrap();
        let splits: Vec<_> = dataset.examples.iter().map(|example| example.split).collect();
        assert_eq!(splits, [Split::Train, Split::Train, Split::Test, Split::Val]);
        assert_eq!(dataset.examples[0].name, "Train/a/1");
    }

    #[test]
    fn a_folder_named_train_beside_others_is_a_class_and_told() {
        let temp = tree(&["train/1", "ship/1"]);
        let (dataset, findings) = read(temp.path()).unwrap();
        assert_eq!(dataset.classes, ["ship", "train"]);
        assert_eq!(finding(&findings, FindingKind::UnusualLayout).files, ["train"]);
    }

    /// How many examples each split and class has.
    fn counts(files: &[&str]) -> (Vec<String>, Vec<Finding>) {
        let temp = tree(files);
        let (dataset, findings) = read(temp.path()).unwrap();
        let mut counts = std::collections::BTreeMap::new();
        for (_, class, split) in names(&dataset) {
            *counts.entry(format!("{} {class}", split.name())).or_insert(0) += 1;
        }
        (counts.into_iter().map(|(name, count)| format!("{name} {count}")).collect(), findings)
    }

    #[test]
    fn splits_are_known_by_their_usual_names_in_any_case() {
        let (found, findings) = counts(&["Training/a/1", "Training/b/1", "Testing/a/1", "Testing/b/1"]);
        assert_eq!(found, ["test a 1", "test b 1", "train a 1", "train b 1"]);
        let said = finding(&findings, FindingKind::UnusualLayout);
        assert_eq!(
            (said.severity, said.files.as_slice()),
            (Severity::Info, ["Testing", "Training"].map(String::from).as_slice())
        );
        assert!(said.message.contains("`Testing` is test, `Training` is train"), "{}", said.message);
        let (found, _) = counts(&["train_set/a/1", "train_set/b/1", "dev/a/1"]);
        assert_eq!(found, ["train a 1", "train b 1", "val a 1"]);
        let (found, _) = counts(&["train/a/1", "train/b/1", "valid/a/1", "evaluation/b/1"]);
        assert_eq!(found, ["test b 1", "train a 1", "train b 1", "val a 1"]);
    }

    #[test]
    fn a_word_of_a_name_is_a_split_where_the_folders_below_agree() {
        let (found, findings) = counts(&[
            "seg_train/seg_train/sea/1",
            "seg_train/seg_train/ice/1",
            "seg_test/seg_test/sea/1",
            "seg_test/seg_test/ice/1",
            "seg_pred/seg_pred/1.jpg",
        ]);
        assert_eq!(found, ["test ice 1", "test sea 1", "train ice 1", "train sea 1"]);
        let told: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
        assert!(told.iter().any(|told| told.contains("`seg_train/seg_train` is train")), "{told:?}");
        assert!(told.iter().any(|told| told.contains("not used: 1")), "{told:?}");
        // Names with such a word that are classes: nothing below them agrees.
        let (found, _) = counts(&["trainers/1", "test_tube/1", "train/1", "boots/1"]);
        assert_eq!(found, ["train boots 1", "train test_tube 1", "train train 1", "train trainers 1"]);
        let (found, _) = counts(&["test_tube/x/1", "train_set/y/1", "boots/z/1"]);
        assert_eq!(found, ["train boots 1", "train test_tube 1", "train train_set 1"]);
    }

    #[test]
    fn the_same_folders_in_all_folders_are_the_classes() {
        let (found, findings) = counts(&["2019/a/1", "2019/b/1", "2020/a/1", "2020/B/1"]);
        assert_eq!(found, ["train B 1", "train a 2", "train b 1"]);
        let said = finding(&findings, FindingKind::UnusualLayout);
        assert_eq!(said.severity, Severity::Serious);
        assert!(said.message.contains("`2019` is train, `2020` is train"), "{}", said.message);
        assert_eq!(finding(&findings, FindingKind::ClassVariants).files, ["B", "b"]);
        let (found, _) = counts(&["cat/train/1", "cat/test/2", "dog/train/1", "dog/test/1"]);
        assert_eq!(found, ["test cat 1", "test dog 1", "train cat 1", "train dog 1"]);
    }

    #[test]
    fn abbreviated_splits_are_splits_where_they_hold_the_same_classes() {
        let (found, findings) = counts(&["tr/a/1", "tr/b/1", "tr/c/1", "te/a/1", "te/b/1"]);
        assert_eq!(found, ["test a 1", "test b 1", "train a 1", "train b 1", "train c 1"]);
        assert!(finding(&findings, FindingKind::UnusualLayout).message.contains("`te` is test, `tr` is train"));
        let (found, _) = counts(&["tr/1.txt", "te/1.txt", "en/1.txt"]);
        assert_eq!(found, ["train en 1", "train te 1", "train tr 1"], "languages");
    }

    #[test]
    fn nearly_the_same_folders_in_all_folders_are_the_classes() {
        let seriously = |files: &[&str]| {
            let (found, findings) = counts(files);
            assert_eq!(finding(&findings, FindingKind::UnusualLayout).severity, Severity::Serious, "{found:?}");
            found
        };
        let found = seriously(&["site_a/x/1", "site_a/y/1", "site_a/z/1", "site_b/x/1", "site_b/y/1"]);
        assert_eq!(found, ["train x 2", "train y 2", "train z 1"]);
        let days = ["day1/train/x/1", "day1/train/y/1", "day1/test/x/1", "day1/test/y/1", "day2/train/x/1"];
        let found = seriously(&[days.as_slice(), &["day2/train/y/1", "day2/test/y/1", "day2/test/x/1"]].concat());
        assert_eq!(found, ["test x 2", "test y 2", "train x 2", "train y 2"]);
        // Years that not every class has are no classes.
        let (found, findings) = counts(&["cat/2021/1", "cat/2022/1", "dog/2021/1", "dog/2022/1", "dog/2023/1"]);
        assert_eq!(found, ["train cat 2", "train dog 3"]);
        assert_eq!(finding(&findings, FindingKind::UnusualLayout).severity, Severity::Info);
    }

    #[test]
    fn folders_in_folders_that_nothing_decides_about_are_told() {
        let (found, findings) = counts(&["round/circle/1", "round/disc/1", "edgy/square/1", "edgy/cross/1"]);
        assert_eq!(found, ["train edgy 2", "train round 2"]);
        let said = finding(&findings, FindingKind::UnusualLayout);
        assert_eq!(said.severity, Severity::Warning);
        assert!(said.message.contains("`round` holds circle, disc") && said.message.contains("path,label"), "{said:?}");
        let (_, findings) = counts(&["ill/p01/1", "ill/p02/1", "well/p03/1", "well/p04/1"]);
        assert_eq!(finding(&findings, FindingKind::UnusualLayout).severity, Severity::Info, "patients");
    }

    #[test]
    fn masks_beside_a_split_are_left_out_and_told() {
        let (found, findings) =
            counts(&["train/a/1", "train/b/1", "test/a/1", "test/b/1", "test_masks/a/1", "test_masks/b/1"]);
        assert_eq!(found, ["test a 1", "test b 1", "train a 1", "train b 1"]);
        let left = findings.iter().find(|finding| finding.message.contains("masks or labels")).unwrap();
        assert_eq!((left.severity, left.files.as_slice()), (Severity::Warning, ["test_masks".to_owned()].as_slice()));
        let (found, _) = counts(&["train_labels/a/1", "train_labels/b/1", "test_labels/a/1"]);
        assert_eq!(found, ["test a 1", "train a 1", "train b 1"], "nothing else is there");
    }

    #[test]
    fn one_class_in_two_unicode_forms_is_one() {
        let (found, findings) = counts(&["train/caf\u{e9}/1", "train/tea/1", "test/cafe\u{301}/1", "test/tea/1"]);
        assert_eq!(found, ["test caf\u{e9} 1", "test tea 1", "train caf\u{e9} 1", "train tea 1"]);
        let said = finding(&findings, FindingKind::ClassVariants);
        assert!(said.message.contains("merged"), "{}", said.message);
    }

    #[test]
    fn litter_strays_and_empty_folders_are_told() {
        let temp = tree(&["a/1", "b/1", "a/.DS_Store", "a/Thumbs.db", "__MACOSX/a/1", ".git/x", "c/", "readme.md"]);
        let (dataset, findings) = read(temp.path()).unwrap();
        assert_eq!(dataset.classes, ["a", "b"]);
        let skipped = finding(&findings, FindingKind::Skipped);
        assert_eq!(skipped.severity, Severity::Info);
        assert_eq!(skipped.files, [".git", "__MACOSX", "a/.DS_Store", "a/Thumbs.db"]);
        assert_eq!(finding(&findings, FindingKind::StrayFile).files, ["readme.md"]);
        assert_eq!(finding(&findings, FindingKind::EmptyClass).files, ["c"]);
    }

    #[test]
    fn runs_of_this_program_among_the_data_are_no_classes_and_told() {
        let temp = tree(&["train/cat/1", "train/dog/1", "val/cat/2", "val/cat/run/1.jpg"]);
        let report = br#"{"schema":1,"version":"0.1.0","task":"image-classification"}"#;
        for run in ["run", "val/cat/run", "train/dog/old/run"] {
            for (name, bytes) in [("report.json", report.as_slice()), ("model.json", b"{}"), ("run.toml", b"")] {
                crate::files::write_atomic(&temp.path().join(run).join(name), bytes).unwrap();
            }
        }
        crate::files::write_atomic(&temp.path().join("run.unfinished/run.toml"), b"").unwrap();
        let (dataset, findings) = read(temp.path()).unwrap();
        let names: Vec<_> = dataset.examples.iter().map(|example| example.name.as_str()).collect();
        assert_eq!(names, ["train/cat/1", "train/dog/1", "val/cat/2"]);
        let own = finding(&findings, FindingKind::OwnOutput);
        assert_eq!(own.files, ["run", "run.unfinished", "train/dog/old/run", "val/cat/run"]);
        assert_eq!(files_below(temp.path(), &["jpg"]).len(), 0);
    }

    #[test]
    fn named_pipes_and_sockets_are_passed_over_and_told() {
        let temp = tree(&["a/1", "b/1"]);
        let _listener = std::os::unix::net::UnixListener::bind(temp.path().join("a/socket")).unwrap();
        let made =
            std::process::Command::new("mkfifo").arg(temp.path().join("b/pipe")).arg(temp.path().join("p")).status();
        assert!(made.is_ok_and(|status| status.success()), "mkfifo is on every Unix");
        let (dataset, findings) = read(temp.path()).unwrap();
        assert_eq!(dataset.examples.len(), 2);
        let skipped = finding(&findings, FindingKind::Skipped);
        assert_eq!((skipped.severity, skipped.files.len()), (Severity::Warning, 3), "{skipped:?}");
        assert_eq!(files_below(temp.path(), &["1"]).len(), 0);
    }

    #[test]
    fn links_are_followed_and_circles_are_told() {
        let temp = tree(&["a/1", "b/1", "outside/2"]);
        std::os::unix::fs::symlink(temp.path().join("a"), temp.path().join("a/loop")).unwrap();
        std::os::unix::fs::symlink(temp.path(), temp.path().join("a/root")).unwrap();
        std::os::unix::fs::symlink(temp.path().join("outside"), temp.path().join("b/linked")).unwrap();
        std::os::unix::fs::symlink(temp.path().join("gone"), temp.path().join("b/dangling")).unwrap();
        let (dataset, findings) = read(temp.path()).unwrap();
        let names: Vec<_> = dataset.examples.iter().map(|example| example.name.as_str()).collect();
        assert_eq!(names, ["a/1", "b/1", "b/linked/2", "outside/2"]);
        assert_eq!(finding(&findings, FindingKind::UnreadableFolder).files, ["a/loop", "a/root", "b/dangling"]);
    }

    #[test]
    fn names_that_are_not_utf8_are_read() {
        let temp = tree(&["a/1"]);
        let folder = temp.path().join(OsStr::from_bytes(b"b\xff"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join(OsStr::from_bytes(b"\xfe.png")), b"x").unwrap();
        let (dataset, _) = read(temp.path()).unwrap();
        assert_eq!(dataset.classes, ["a", "b\\xFF"]);
        assert_eq!(dataset.examples[1].name, "b\\xFF/\\xFE.png");
        assert!(dataset.examples[1].source.file().unwrap().exists());
    }

    #[test]
    fn a_table_in_the_folder_is_named_where_the_folder_is_refused() {
        for (files, table) in [
            (["images/1.jpg", "images/2.jpg", "labels.csv"], "labels.csv"),
            (["train/1.jpg", "train/metadata.jsonl", "train/2.jpg"], "train/metadata.jsonl"),
            (
                ["data/test-00000-of-00001.parquet", "data/train-00000-of-00001.parquet", "README.md"],
                "data/train-00000-of-00001.parquet",
            ),
        ] {
            let temp = tree(&files);
            let refused = read(temp.path()).unwrap_err().to_string();
            assert!(refused.contains("hint: the folder holds a table") && refused.contains(table), "{refused}");
        }
    }

    #[test]
    fn what_is_no_data_set_is_refused_with_the_layout() {
        let refused = |files: &[&str], words: &str| {
            let temp = tree(files);
            let problem = read(temp.path()).unwrap_err();
            assert!(matches!(problem, Error::Data(_)));
            assert!(problem.to_string().contains(words), "{problem}");
        };
        refused(&[], "an empty folder");
        refused(&["1.jpg", "2.jpg"], "files of no class: 2");
        refused(&["a/", "b/"], "nothing but empty folders (a, b)");
        refused(&["a/1", "a/2"], "only one class");
        refused(&["data/a/1", "data/b/2"], "did you mean");
        refused(&["val/a/1", "test/b/1"], "no training data");
        refused(&["train/1.jpg", "test/1.jpg"], "no labelled images");
        assert!(read(Path::new("/nowhere/at/all")).is_err());
    }
}
