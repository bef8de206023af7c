//! Which files hold the rows: one, or those of a folder with a file for each split.

use std::path::{Path, PathBuf};

use crate::data::split_names::{exact, is_companion, loose};
use crate::data::{Split, TABLES, ending, missing};
use crate::error::{Error, Problem, Result, first_of, printable};

/// Files that a message names.
const SHOWN: usize = 5;

/// A file of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    /// What it is for, in a folder.
    pub(super) split: Option<Split>,
}

impl Source {
    /// What stands before the names of its rows: nothing unless there are other files.
    pub(super) fn prefix(&self) -> String {
        match (self.split, self.path.file_name()) {
            (Some(_), Some(name)) => format!("{} ", printable(Path::new(name))),
            _ => String::new(),
        }
    }
}

fn stem(file: &Path) -> String {
    file.file_stem().map(|stem| stem.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

/// What was guessed of the files' names.
pub(super) fn told(sources: &[Source]) -> Option<String> {
    let guessed = sources.iter().any(|source| source.split.is_some() && exact(&stem(&source.path)).is_none());
    let name = |source: &Source| {
        let name = source.path.file_name().map(|name| printable(Path::new(name))).unwrap_or_default();
        format!("`{name}` is {}", source.split.unwrap_or(Split::Train).name())
    };
    guessed.then(|| {
        let listed: Vec<String> = sources.iter().map(name).collect();
        format!("files read as splits, by a word of their names: {}", listed.join(", "))
    })
}

/// Whether a file is named like an array.
pub(super) fn is_array(path: &Path) -> bool {
    ending(path).as_deref() == Some("npy")
}

/// Whether a file is named like a table that is read.
pub(super) fn is_table(path: &Path) -> bool {
    ending(path).is_some_and(|ending| TABLES.contains(&ending.as_str()))
}

/// The files at `path`, training first.
///
/// # Errors
/// [`Error::Data`] where nothing is there, or a folder has no file to train on, two files for one split, or tables beside
/// arrays.
pub(super) fn sources(path: &Path) -> Result<Vec<Source>> {
    let metadata = std::fs::metadata(path).map_err(|source| missing(path, &source))?;
    if !metadata.is_dir() {
        return Ok(vec![Source { path: path.to_owned(), split: None }]);
    }
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|source| Error::read(path, &source))? {
        let file = entry.map_err(|source| Error::read(path, &source))?.path();
        // Beside tables such files describe them.
        let is_table = is_table(&file) && ending(&file).as_deref() != Some("json");
        files.extend((is_array(&file) || is_table).then_some(file));
    }
    files.sort();
    let splits = |says: fn(&str) -> Option<Split>| -> Vec<(Split, PathBuf)> {
        let of = |file: &PathBuf| Some((says(&stem(file))?, file.clone()));
        let mut found: Vec<(Split, PathBuf)> = files.iter().filter_map(of).collect();
        found.sort();
        found
    };
    // By a word of the name where no whole name says it: `wine_train.csv`. Labels beside an array are named so too.
    let mut found = splits(exact);
    if found.is_empty() {
        found = splits(|stem| loose(stem).filter(|_| !is_companion(stem)));
    }
    let name = |file: &Path| file.file_name().map(|name| printable(Path::new(name))).unwrap_or_default();
    let refused = |what: &str, expected: &str, files: &[&(Split, PathBuf)]| {
        let files: Vec<String> = files.iter().map(|(_, file)| name(file)).collect();
        Err(Error::Data(Problem::new(what).expected(expected).found(files.join(", ")).at(path)))
    };
    let all: Vec<&(Split, PathBuf)> = found.iter().collect();
    if all.is_empty() && !files.is_empty() {
        let names: Vec<String> = files.iter().map(|file| name(file)).collect();
        let problem = Problem::new("no file of the folder says by its name that it is to train on");
        let problem = problem.expected("train.csv, or a word of the name that says it").found(first_of(names, SHOWN));
        return Err(Error::Data(problem.hint("name one of the files in place of the folder").at(path)));
    }
    if found.first().is_none_or(|(split, _)| *split != Split::Train) {
        return refused("the folder has no file to train on", "train.csv, train.tsv, train.parquet or train.npy", &all);
    }
    if let Some(pair) = all.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return refused("two files are one split", "one file for each of train, val and test", pair);
    }
    if found.iter().any(|(_, file)| is_array(file) != is_array(&found[0].1)) {
        return refused("the folder holds tables beside arrays", "files of one kind", &all);
    }
    Ok(found.into_iter().map(|(split, path)| Source { path, split: Some(split) }).collect())
}
