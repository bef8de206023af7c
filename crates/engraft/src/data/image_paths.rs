//! Finding the files that a table names: as they stand there, else by the usual repairs, which are told.
//!
//! A repair must not make up which file is meant. Where several folders hold a file of the name, the split of the row or of the
//! table decides, and masks count for less than images; else the table is refused. Leading parts are taken off a path only where
//! all paths of the table begin with them, so that they tell no two rows apart.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use encoding_rs::Encoding;

use super::dataset::Split;
use super::finding::{Finding, FindingKind, Severity};
use super::split_names::{is_companion, loose};
use super::text::table::Table;
use super::{ENDINGS, ending};
use crate::error::{Error, Problem, Result, first_of, from_printable, printable};

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
pub(super) struct Repair {
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

/// A repair, and the split of the rows that it was made for, where that is known.
pub(super) type Use = (Repair, Option<Split>);

/// A file, and the repair that finds it.
type Hit = (PathBuf, Repair);

/// Files whose names several folders hold, of which one folder was taken.
#[derive(Debug, Default)]
struct Decision {
    others: BTreeSet<PathBuf>,
    cells: Vec<String>,
}

/// Where the file of a cell lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Relative to the root unless the cell says an absolute path.
    pub(super) path: PathBuf,
    /// Whether a file is there.
    pub(super) is_there: bool,
    /// How it was found, where that is not as the cell says.
    pub(super) repair: Option<Use>,
}

/// Finds files that a table names.
#[derive(Debug)]
pub(super) struct Finder {
    root: PathBuf,
    encoding: &'static Encoding,
    /// The split that the name of the table says.
    split: Option<Split>,
    folders: Vec<PathBuf>,
    /// Repairs that have found a file, in the order in which they are tried.
    known: Vec<Repair>,
    searches: usize,
    used: BTreeMap<Use, Vec<String>>,
    urls: Vec<String>,
    /// Parts at the beginning of every path, in lower case.
    common: Option<Vec<String>>,
    /// Files that were found with all parts of their paths.
    whole: usize,
    /// Of files that several folders hold by the folder taken and the split that it was taken for.
    decided: BTreeMap<(PathBuf, Option<Split>), Decision>,
    /// Cells whose file several folders hold, of which nothing says which is meant, with those folders.
    ambiguous: Vec<(String, Vec<PathBuf>, Use)>,
    /// Of folders that were looked into the names in lower case, each with the names that are there.
    listed: RefCell<HashMap<PathBuf, BTreeMap<String, OsString>>>,
}

impl Finder {
    /// Of the files that a table names.
    pub(super) fn of_table(table: &Table) -> Self {
        let encoding = table.encoding().map_or(encoding_rs::UTF_8, |found| found.encoding);
        let split = table.path().file_stem().and_then(|stem| loose(&stem.to_string_lossy()));
        Self::new(&root_of(table.path()), encoding, split)
    }

    /// Of a table in the folder `root`, written in this encoding, whose name says this split.
    fn new(root: &Path, encoding: &'static Encoding, split: Option<Split>) -> Self {
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
        Self {
            root: root.to_owned(),
            encoding,
            split,
            folders,
            known: Vec::new(),
            searches: SEARCHES,
            used: BTreeMap::new(),
            urls: Vec::new(),
            common: None,
            whole: 0,
            decided: BTreeMap::new(),
            ambiguous: Vec::new(),
            listed: RefCell::default(),
        }
    }

    /// What names a place in a network.
    pub(super) fn urls(&self) -> &[String] {
        &self.urls
    }

    /// Where the file of a cell lies; `split` is that of its row, where a column says it.
    pub(super) fn find(&mut self, cell: &str, split: Option<Split>) -> Found {
        if is_url(cell) {
            self.urls.push(cell.to_owned());
            return Found { path: PathBuf::from(cell), is_there: false, repair: None };
        }
        let cell = cell.strip_prefix("file://").unwrap_or(cell);
        self.compare_beginning(cell);
        if let Some(path) = self.lies(cell, &Repair::default()).or_else(|| self.encoded(cell)) {
            self.whole += 1;
            return Found { path, is_there: true, repair: None };
        }
        let split = split.or(self.split);
        let mut hits = Vec::new();
        for repair in &self.known {
            hits = self.in_all_folders(cell, repair);
            if !hits.is_empty() {
                break;
            }
        }
        if hits.is_empty() && self.searches > 0 && !cell.is_empty() {
            hits = self.search(cell);
            self.searches -= usize::from(hits.is_empty());
        }
        let Some((path, repair)) = self.choose(cell, hits, split) else {
            return Found { path: tidy(Path::new(cell)), is_there: false, repair: None };
        };
        self.whole += usize::from(repair.stripped == 0);
        if !self.known.contains(&repair) {
            self.known.push(repair.clone());
            self.known.sort_by_key(|known| (known.case, known.percent, known.clone()));
        }
        let used = (repair, split);
        self.used.entry(used.clone()).or_default().push(cell.to_owned());
        Found { path, is_there: true, repair: Some(used) }
    }

    /// The file of a cell with bytes written as numbers, or in the table's own encoding.
    fn encoded(&self, cell: &str) -> Option<PathBuf> {
        let bytes = PathBuf::from(OsString::from_vec(self.encoding.encode(cell).0.into_owned()));
        [from_printable(cell), bytes].into_iter().find(|other| self.root.join(other).is_file()).map(|path| tidy(&path))
    }

    /// Remembers what all paths begin with.
    fn compare_beginning(&mut self, cell: &str) {
        let path = tidy(Path::new(&slashed(cell)));
        let parts = path.parent().into_iter().flat_map(Path::components);
        let mut parts = parts.map(|part| part.as_os_str().to_string_lossy().to_lowercase());
        match &mut self.common {
            None => self.common = Some(parts.collect()),
            Some(common) => {
                let same = common.iter().take_while(|part| parts.next().as_ref() == Some(part)).count();
                common.truncate(same);
            }
        }
    }

    /// The files that a repair finds, in its folder or in any other.
    fn in_all_folders(&self, cell: &str, repair: &Repair) -> Vec<Hit> {
        let folders = self.folders.iter().map(|folder| Repair { folder: folder.clone(), ..repair.clone() });
        folders.filter_map(|repair| self.lies(cell, &repair).map(|path| (path, repair))).collect()
    }

    /// One of the files that several folders hold: that in the table's own folder, no mask, of the split that is meant.
    fn choose(&mut self, cell: &str, hits: Vec<Hit>, split: Option<Split>) -> Option<Hit> {
        if hits.len() < 2 || hits[0].1.folder.as_os_str().is_empty() {
            return hits.into_iter().next();
        }
        let folder = |hit: &Hit| printable(&hit.1.folder);
        let mut left = hits.clone();
        keep_where_any(&mut left, |hit| !is_companion(&folder(hit)));
        keep_where_any(&mut left, |hit| split.is_some() && loose(&folder(hit)) == split);
        if let [only] = left.as_slice() {
            let Decision { others, cells } = self.decided.entry((only.1.folder.clone(), split)).or_default();
            let folders = hits.iter().map(|(_, repair)| &repair.folder).filter(|other| **other != only.1.folder);
            others.extend(folders.cloned());
            cells.push(cell.to_owned());
        } else {
            let folders = left.iter().map(|(_, repair)| repair.folder.clone()).collect();
            self.ambiguous.push((cell.to_owned(), folders, (left[0].1.clone(), split)));
        }
        left.into_iter().next()
    }

    /// Refuses names of which nothing says in which of several folders their files are.
    ///
    /// # Errors
    /// [`Error::Data`], at the table's path.
    pub(super) fn refuse_ambiguous(&self, table: &Path) -> Result<()> {
        let mut ambiguous = self.ambiguous.iter().filter(|(_, _, used)| !self.is_withdrawn(used));
        let Some((cell, folders, _)) = ambiguous.next() else { return Ok(()) };
        let folders = first_of(folders.iter().map(|folder| format!("`{}`", printable(folder))), SHOWN);
        let problem = Problem::new("several folders beside the table hold files of the same names")
            .expected("paths that say which file is meant")
            .found(format!("`{cell}` in the folders {folders}; names of this kind: {}", 1 + ambiguous.count()))
            .hint(
                "write the folder into the paths (train/0.png), move the table into that folder, or call it after the split \
                 (train.csv for train/)",
            );
        Err(Error::Data(problem.at(table)))
    }

    /// Whether a repair is no longer to be trusted, now that all paths are known: it takes off what not all paths begin with or
    /// what other files have, or it leads into a folder that was passed over for files of the same names.
    pub(super) fn is_withdrawn(&self, (repair, split): &Use) -> bool {
        let common = self.common.as_ref().map_or(0, Vec::len);
        let is_passed_over =
            || self.decided.iter().any(|((_, of), decision)| of == split && decision.others.contains(&repair.folder));
        repair.stripped > 0 && (repair.stripped > common || self.whole > 0) || is_passed_over()
    }

    /// The path of a cell as it stands there.
    pub(super) fn as_named(cell: &str) -> PathBuf {
        tidy(Path::new(cell.strip_prefix("file://").unwrap_or(cell)))
    }

    /// A path that was found, from where we are.
    pub(super) fn place(&self, path: &Path) -> PathBuf {
        self.root.join(path)
    }

    /// The path by one repair, where a file lies there.
    fn lies(&self, cell: &str, repair: &Repair) -> Option<PathBuf> {
        let path = repaired(cell, repair)?;
        if contradicts(cell, repair) {
            return None;
        }
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

    /// The files that the first repair to find one finds: by the name as it is, then with its signs and letters read otherwise;
    /// of these the fewest parts taken off. Of each folder the first ending.
    fn search(&self, cell: &str) -> Vec<Hit> {
        let backslashes = cell.contains('\\');
        let readings = [(false, false), (true, false), (false, true), (true, true)];
        let has_percent = unescaped(cell).is_some();
        let readings = readings.into_iter().filter(|(percent, _)| has_percent || !percent);
        let found = readings
            .map(|(percent, case)| self.search_as(cell, &Repair { backslashes, percent, case, ..Repair::default() }));
        found.into_iter().find(|hits| !hits.is_empty()).unwrap_or_default()
    }

    fn search_as(&self, cell: &str, reading: &Repair) -> Vec<Hit> {
        let slashed = if reading.backslashes { slashed(cell) } else { cell.to_owned() };
        let parts = Path::new(&slashed).components().count();
        let endings: Vec<String> =
            ENDINGS.iter().flat_map(|ending| [(*ending).to_owned(), ending.to_uppercase()]).collect();
        let has_ending = ending(Path::new(&slashed)).is_some_and(|ending| ENDINGS.contains(&ending.as_str()));
        let in_folder = |plain: Repair| {
            if let Some(path) = self.lies(cell, &plain) {
                return Some((path, plain));
            }
            // A folder without the path's own folder has no file of its name.
            let above = repaired(cell, &plain)?.parent().map(|above| self.root.join(above));
            if has_ending || !reading.case && above.is_some_and(|above| !above.is_dir()) {
                return None;
            }
            let mut ended = endings.iter().map(|ending| Repair { ending: Some(ending.clone()), ..plain.clone() });
            ended.find_map(|repair| self.lies(cell, &repair).map(|path| (path, repair)))
        };
        let levels = (0..parts.min(STRIPPED + 1)).map(|stripped| {
            let folders = self.folders.iter().cloned();
            let plain = folders.map(|folder| Repair { stripped, folder, ..reading.clone() });
            plain.filter_map(in_folder).collect::<Vec<Hit>>()
        });
        levels.into_iter().find(|hits| !hits.is_empty()).unwrap_or_default()
    }

    /// What was repaired, and what is not looked for.
    pub(super) fn findings(self) -> Vec<Finding> {
        let first = |cells: &[String]| first_of(cells.iter().map(|cell| format!("`{cell}`")), SHOWN);
        let mut findings = Vec::new();
        for (used, cells) in self.used.iter().filter(|(used, _)| !self.is_withdrawn(used)) {
            let message = format!(
                "files that lie elsewhere than the table says, found {}: {} ({})",
                used.0.told(),
                cells.len(),
                first(cells)
            );
            findings.push(Finding::new(FindingKind::Guessed, Severity::Info, message, cells.clone()));
        }
        for ((folder, split), Decision { others, cells }) in &self.decided {
            let others = first_of(others.iter().map(|other| format!("`{}`", printable(other))), SHOWN);
            let of = split.map_or_else(String::new, |split| format!(" for rows of the split {}", split.name()));
            let message = format!(
                "files whose names several folders hold, taken from `{}`{of} and not from {others}: {} ({})",
                printable(folder),
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

/// Keeps the files that a test is true of, where there are any.
fn keep_where_any(hits: &mut Vec<Hit>, test: impl Fn(&Hit) -> bool) {
    if hits.iter().any(&test) {
        hits.retain(test);
    }
}

/// A path with slashes, whatever stands between its parts.
fn slashed(cell: &str) -> String {
    cell.replace('\\', "/")
}

/// Whether a part that a repair takes off says another split than the folder that it leads to.
fn contradicts(cell: &str, repair: &Repair) -> bool {
    let Some(to) = loose(&printable(&repair.folder)).filter(|_| repair.stripped > 0) else { return false };
    let path = tidy(Path::new(&if repair.backslashes { slashed(cell) } else { cell.to_owned() }));
    let taken_off = path.components().take(repair.stripped);
    taken_off.filter_map(|part| loose(&part.as_os_str().to_string_lossy())).last().is_some_and(|from| from != to)
}

fn repaired(cell: &str, repair: &Repair) -> Option<PathBuf> {
    let cell = if repair.backslashes { slashed(cell) } else { cell.to_owned() };
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

/// The folder that a table's paths are relative to.
pub(super) fn root_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
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

    /// What is found of cells in the end, by a table whose name says this split.
    fn found_by(split: Option<Split>, files: &[&str], cells: &[&str]) -> Result<(Vec<String>, Vec<Finding>)> {
        let temp = tree(files);
        let mut finder = Finder::new(temp.path(), encoding_rs::UTF_8, split);
        let found: Vec<Found> = cells.iter().map(|cell| finder.find(cell, None)).collect();
        finder.refuse_ambiguous(Path::new("table.csv"))?;
        let path = |(cell, found): (&&str, &Found)| match &found.repair {
            Some(used) if finder.is_withdrawn(used) => format!("{} missing", printable(&Finder::as_named(cell))),
            _ => format!("{}{}", found.path.to_str().unwrap(), if found.is_there { "" } else { " missing" }),
        };
        let paths = cells.iter().zip(&found).map(path).collect();
        Ok((paths, finder.findings()))
    }

    fn found(files: &[&str], cells: &[&str]) -> (Vec<String>, Vec<Finding>) {
        found_by(None, files, cells).unwrap()
    }

    #[test]
    fn of_several_folders_that_hold_a_name_the_split_of_the_table_decides() {
        let files = ["test/0.png", "test/1.png", "test/2.png", "train/0.png", "train/1.png"];
        for cells in [["1.png", "0.png"], ["1", "0"]] {
            let (paths, findings) = found_by(Some(Split::Train), &files, &cells).unwrap();
            assert_eq!(paths, ["train/1.png", "train/0.png"]);
            let told = &findings[1].message;
            assert!(told.contains("taken from `train` for rows of the split train and not from `test`: 2"), "{told}");
            assert_eq!(found_by(Some(Split::Test), &files, &cells).unwrap().0, ["test/1.png", "test/0.png"]);
            let refused = found_by(None, &files, &cells).unwrap_err().to_string();
            assert!(refused.contains("in the folders `test`, `train`; names of this kind: 2"), "{refused}");
            assert!(refused.contains("hint: write the folder into the paths"), "{refused}");
        }
        // What only the other folder holds is missing, whatever comes first.
        for cells in [["2.png", "0.png"], ["0.png", "2.png"]] {
            let (mut paths, _) = found_by(Some(Split::Train), &files, &cells).unwrap();
            paths.sort();
            assert_eq!(paths, ["2.png missing", "train/0.png"]);
            assert!(found_by(None, &files, &cells).is_err(), "{cells:?}");
        }
    }

    #[test]
    fn masks_of_the_same_names_are_not_taken_for_the_images() {
        let files = ["annotations/1.png", "annotations/2.png", "images/1.png", "images/2.png"];
        let (paths, findings) = found(&files, &["1.png", "2"]);
        assert_eq!(paths, ["images/1.png", "images/2.png"]);
        assert!(findings.iter().any(|told| told.message.contains("from `images` and not from `annotations`: 2")));
        assert!(found_by(None, &["a/1.png", "b/1.png"], &["1.png"]).is_err());
        assert_eq!(found(&["1.png", "b/1.png"], &["x/1.png"]).0, ["1.png"], "the table's own folder");
    }

    #[test]
    fn parts_that_tell_rows_apart_are_not_taken_off() {
        let files = ["bird/100.png", "dog/0.png"];
        assert_eq!(found(&files, &["cat/0.png", "bird/100.png"]).0, ["cat/0.png missing", "bird/100.png"]);
        assert_eq!(found(&files, &["bird/100.png", "cat/0.png"]).0, ["bird/100.png", "cat/0.png missing"]);
        assert_eq!(found(&files, &["cat/0.png", "cow/100.png"]).0, ["cat/0.png missing", "cow/100.png missing"]);
        let files = ["bird/100.png", "cow/0.png", "dog/0.png"];
        assert_eq!(found(&files, &["cat/0.png", "bird/100.png"]).0, ["cat/0.png missing", "bird/100.png"]);
        assert_eq!(found(&["images/0.png"], &["cat/0.png", "dog/0.png"]).0, ["cat/0.png missing", "dog/0.png missing"]);
        let (paths, findings) = found(&["images/0.png"], &["cat/0.png", "dog/1.png"]);
        assert_eq!((paths, findings), (vec!["cat/0.png missing".into(), "dog/1.png missing".into()], Vec::new()));
        assert_eq!(found(&["images/0.png"], &["img/0.png", "img/1.png"]).0, ["images/0.png", "img/1.png missing"]);
        assert_eq!(found(&["test/0.png"], &["train/0.png"]).0, ["train/0.png missing"]);
        // A file as it is named is never passed over for a repair that was known before.
        assert_eq!(found(&["b/2.png", "x/1.png", "x/2.png"], &["1.png", "b/2.png"]).0, ["x/1.png", "b/2.png"]);
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
