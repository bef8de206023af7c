//! Finding the files that a table names: as they stand there, else by the usual repairs, which are told.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use encoding_rs::Encoding;

use super::finding::{Finding, FindingKind, Severity};
use super::{ENDINGS, ending};
use crate::error::{first_of, from_printable, printable};

/// Folders beside a table that are looked into.
const FOLDERS: usize = 24;
/// Files that no known repair finds and that all repairs are tried for; after that many the table is of another place.
const SEARCHES: usize = 64;
/// Folders at the beginning of a path that may be of another place.
const STRIPPED: usize = 12;
/// Names that a message gives.
const SHOWN: usize = 3;

/// How a file's path differs from what the table says.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Repair {
    /// Folders that are taken off its beginning.
    stripped: usize,
    /// Folder beside the table that it lies in; empty for the table's own.
    folder: PathBuf,
    /// Ending that it has and the table does not say.
    ending: Option<String>,
    /// Whether backslashes stand for slashes.
    backslashes: bool,
    /// Whether signs are written by their numbers, as in a URL: `%20`.
    percent: bool,
    /// Whether letters are of another case.
    case: bool,
}

impl Repair {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }

    fn told(&self) -> String {
        let mut told = Vec::new();
        if self.backslashes {
            told.push("backslashes read as slashes".to_owned());
        }
        if self.percent {
            told.push("with signs that are written as in a URL (%20)".to_owned());
        }
        if self.case {
            told.push("whatever the case of their letters".to_owned());
        }
        if self.stripped > 0 {
            told.push(format!("without the first {} parts of the path", self.stripped));
        }
        if !self.folder.as_os_str().is_empty() {
            told.push(format!("in the folder `{}`", printable(&self.folder)));
        }
        if let Some(ending) = &self.ending {
            told.push(format!("with the ending .{ending}"));
        }
        told.join(", ")
    }
}

/// Finds files that a table names.
#[derive(Debug)]
pub(super) struct Finder {
    root: PathBuf,
    encoding: &'static Encoding,
    folders: Vec<PathBuf>,
    /// Repairs that have found a file, the last one first.
    known: Vec<Repair>,
    searches: usize,
    used: BTreeMap<Repair, Vec<String>>,
    urls: Vec<String>,
    /// Of folders that were looked into the names in lower case, each with the names that are there.
    listed: RefCell<HashMap<PathBuf, BTreeMap<String, OsString>>>,
}

impl Finder {
    /// Of a table in the folder `root`, written in this encoding.
    pub(super) fn new(root: &Path, encoding: &'static Encoding) -> Self {
        let mut folders: Vec<PathBuf> = std::fs::read_dir(root)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.path().is_dir() && !super::folder::is_litter(&entry.file_name()))
            .map(|entry| PathBuf::from(entry.file_name()))
            .collect();
        folders.sort();
        folders.truncate(FOLDERS);
        folders.insert(0, PathBuf::new());
        let (used, urls, listed) = (BTreeMap::new(), Vec::new(), RefCell::default());
        let known = vec![Repair::default()];
        Self { root: root.to_owned(), encoding, folders, known, searches: SEARCHES, used, urls, listed }
    }

    /// What names a place in a network.
    pub(super) fn urls(&self) -> &[String] {
        &self.urls
    }

    /// Where the file of a cell lies, relative to the root unless the cell says an absolute path; whether it is there.
    pub(super) fn find(&mut self, cell: &str) -> (PathBuf, bool) {
        if is_url(cell) {
            self.urls.push(cell.to_owned());
            return (PathBuf::from(cell), false);
        }
        let cell = cell.strip_prefix("file://").unwrap_or(cell);
        if let Some(at) = self.known.iter().position(|repair| self.lies(cell, repair).is_some()) {
            let repair = self.known.remove(at);
            let path = self.lies(cell, &repair).unwrap_or_default();
            self.known.insert(0, repair.clone());
            self.note(repair, cell);
            return (path, true);
        }
        for other in
            [from_printable(cell), PathBuf::from(OsString::from_vec(self.encoding.encode(cell).0.into_owned()))]
        {
            if self.root.join(&other).is_file() {
                return (tidy(&other), true);
            }
        }
        if self.searches > 0 && !cell.is_empty() {
            if let Some((path, repair)) = self.search(cell) {
                self.known.insert(0, repair.clone());
                self.note(repair, cell);
                return (path, true);
            }
            self.searches -= 1;
        }
        (tidy(Path::new(cell)), false)
    }

    /// A path that was found, from where we are.
    pub(super) fn place(&self, path: &Path) -> PathBuf {
        self.root.join(path)
    }

    fn note(&mut self, repair: Repair, cell: &str) {
        if !repair.is_none() {
            self.used.entry(repair).or_default().push(cell.to_owned());
        }
    }

    /// The path by one repair, where a file lies there.
    fn lies(&self, cell: &str, repair: &Repair) -> Option<PathBuf> {
        let path = repaired(cell, repair)?;
        if repair.case {
            return self.in_any_case(&path);
        }
        self.root.join(&path).is_file().then_some(path)
    }

    /// The file of a path in whatever case its parts are written.
    fn in_any_case(&self, path: &Path) -> Option<PathBuf> {
        let mut found = PathBuf::new();
        for part in path.components() {
            let Component::Normal(name) = part else {
                found.push(part);
                continue;
            };
            let folder = self.root.join(&found);
            let mut listed = self.listed.borrow_mut();
            let names = listed.entry(folder).or_insert_with_key(|folder| {
                let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
                let mut names: Vec<OsString> = entries.map(|entry| entry.file_name()).collect();
                // Of several that differ only by case the first is taken, whatever the order of the folder.
                names.sort_by(|a, b| b.cmp(a));
                names.into_iter().map(|name| (name.to_string_lossy().to_lowercase(), name)).collect()
            });
            found.push(names.get(&name.to_string_lossy().to_lowercase())?);
        }
        self.root.join(&found).is_file().then_some(found)
    }

    /// The first repair that finds a file: by the name as it is, then with its signs and letters read otherwise; of these the
    /// fewest parts taken off, then the folder, then the ending.
    fn search(&self, cell: &str) -> Option<(PathBuf, Repair)> {
        let backslashes = cell.contains('\\');
        let readings = [(false, false), (true, false), (false, true), (true, true)];
        let has_percent = unescaped(cell).is_some();
        readings.into_iter().filter(|(percent, _)| has_percent || !percent).find_map(|(percent, case)| {
            self.search_as(cell, &Repair { backslashes, percent, case, ..Repair::default() })
        })
    }

    fn search_as(&self, cell: &str, reading: &Repair) -> Option<(PathBuf, Repair)> {
        let slashed = if reading.backslashes { cell.replace('\\', "/") } else { cell.to_owned() };
        let parts = Path::new(&slashed).components().count();
        let endings: Vec<String> =
            ENDINGS.iter().flat_map(|ending| [(*ending).to_owned(), ending.to_uppercase()]).collect();
        let has_ending = ending(Path::new(&slashed)).is_some_and(|ending| ENDINGS.contains(&ending.as_str()));
        for stripped in 0..parts.min(STRIPPED + 1) {
            for folder in &self.folders {
                let plain = Repair { stripped, folder: folder.clone(), ..reading.clone() };
                if let Some(path) = self.lies(cell, &plain) {
                    return Some((path, plain));
                }
                // A folder without the path's own folder has no file of its name.
                let Some(path) = repaired(cell, &plain) else { continue };
                let above = path.parent().map(|above| self.root.join(above));
                if has_ending || !reading.case && above.is_some_and(|above| !above.is_dir()) {
                    continue;
                }
                let ended = endings.iter().map(|ending| Repair { ending: Some(ending.clone()), ..plain.clone() });
                let mut found = ended.filter_map(|repair| self.lies(cell, &repair).map(|path| (path, repair)));
                if let Some(found) = found.next() {
                    return Some(found);
                }
            }
        }
        None
    }

    /// What was repaired, and what is not looked for.
    pub(super) fn findings(self) -> Vec<Finding> {
        let first = |cells: &[String]| first_of(cells.iter().map(|cell| format!("`{cell}`")), SHOWN);
        let mut findings = Vec::new();
        for (repair, cells) in &self.used {
            let message = format!(
                "files that lie elsewhere than the table says, found {}: {} ({})",
                repair.told(),
                cells.len(),
                first(cells)
            );
            findings.push(Finding::new(FindingKind::Guessed, Severity::Info, message, cells.clone()));
        }
        if !self.urls.is_empty() {
            let message =
                format!("images named by URL, which are not fetched: {} ({})", self.urls.len(), first(&self.urls));
            findings.push(Finding::new(FindingKind::Unreadable, Severity::Warning, message, self.urls));
        }
        findings
    }
}

/// Whether a cell names a place in a network.
pub(super) fn is_url(cell: &str) -> bool {
    let scheme = cell.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.is_some_and(|scheme| ["http", "https", "s3", "gs", "ftp", "hdfs", "az", "abfs"].contains(&scheme.as_str()))
}

/// A name with the signs that are written by their numbers as in a URL; nothing where there are none.
fn unescaped(cell: &str) -> Option<String> {
    let bytes = cell.as_bytes();
    let (mut out, mut at, mut found) = (Vec::with_capacity(bytes.len()), 0, false);
    while at < bytes.len() {
        let digits = bytes[at..].strip_prefix(b"%").and_then(|rest| rest.get(..2));
        let byte = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match byte.filter(|byte| *byte != 0) {
            Some(byte) => {
                out.push(byte);
                (at, found) = (at + 3, true);
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).ok().filter(|_| found)
}

fn repaired(cell: &str, repair: &Repair) -> Option<PathBuf> {
    let cell = if repair.backslashes { cell.replace('\\', "/") } else { cell.to_owned() };
    let cell = if repair.percent { unescaped(&cell)? } else { cell };
    let ended = match &repair.ending {
        Some(ending) => format!("{cell}.{ending}"),
        None => cell,
    };
    let whole = tidy(Path::new(&ended));
    if repair.stripped == 0 && whole.is_absolute() && !repair.folder.as_os_str().is_empty() {
        return None;
    }
    let mut parts = whole.components();
    for _ in 0..repair.stripped {
        parts.next()?;
    }
    let rest = parts.as_path();
    (!rest.as_os_str().is_empty()).then(|| repair.folder.join(rest))
}

/// `./a//b` and `a/b` are one file and get one name.
pub(super) fn tidy(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let temp = tempfile::tempdir().unwrap();
        for name in files {
            let path = temp.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"x").unwrap();
        }
        temp
    }

    fn found(files: &[&str], cells: &[&str]) -> (Vec<String>, Vec<Finding>) {
        let temp = tree(files);
        let mut finder = Finder::new(temp.path(), encoding_rs::UTF_8);
        let paths = cells.iter().map(|cell| {
            let (path, is_there) = finder.find(cell);
            format!("{}{}", path.to_str().unwrap(), if is_there { "" } else { " missing" })
        });
        let paths = paths.collect();
        (paths, finder.findings())
    }

    #[test]
    fn files_are_found_as_they_are_named() {
        assert_eq!(
            found(&["a.jpg", "x/b.jpg"], &["a.jpg", "./x//b.jpg", "c.jpg"]),
            (vec!["a.jpg".into(), "x/b.jpg".into(), "c.jpg missing".into()], Vec::new())
        );
    }

    #[test]
    fn usual_repairs_find_them_and_are_told() {
        for (files, cell, path, words) in [
            (["images/1.jpg"], "1.jpg", "images/1.jpg", "in the folder `images`"),
            (["images/1.jpg"], "1", "images/1.jpg", "with the ending .jpg"),
            (["cat/1.PNG"], "cat/1", "cat/1.PNG", "with the ending .PNG"),
            (["cat/1.png"], "cat\\1.png", "cat/1.png", "backslashes"),
            (["cat/1.png"], "C:\\data\\cat\\1.png", "cat/1.png", "without the first 2 parts"),
            (["cat/1.png"], "/home/me/data/cat/1.png", "cat/1.png", "without the first 4 parts"),
            (["train/cat/1.png"], "/kaggle/input/cat/1.png", "train/cat/1.png", "in the folder `train`"),
            (["cat/1.png"], "CAT/1.PNG", "cat/1.png", "whatever the case of their letters"),
            (["Cat/a/1.PNG"], "data/cat/A/1.png", "Cat/a/1.PNG", "without the first 1 parts"),
            (["cat/\u{e9}t\u{e9} 1.png"], "cat/%C3%A9t%C3%A9%201.png", "cat/\u{e9}t\u{e9} 1.png", "as in a URL"),
            (["cat/A 1.png"], "images/cat/a%201.PNG", "cat/A 1.png", "case of their letters"),
        ] {
            let (paths, findings) = found(&files, &[cell, cell]);
            assert_eq!(paths, [path, path], "{cell}");
            let [told] = findings.as_slice() else { panic!("{findings:?}") };
            assert!(told.message.contains(words) && told.message.contains(": 2 ("), "{}", told.message);
        }
    }

    #[test]
    fn urls_are_not_looked_for() {
        let (paths, findings) = found(&["1.jpg"], &["https://example.org/1.jpg"]);
        assert!(paths[0].ends_with("missing"));
        assert!(findings[0].message.contains("not fetched: 1"), "{}", findings[0].message);
        assert!(is_url("S3://bucket/a.png") && !is_url("a/b.png") && !is_url("file:///a.png"));
    }
}
