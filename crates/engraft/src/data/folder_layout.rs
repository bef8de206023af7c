//! Which folders of a data set are classes and which are parts of it (train, test, ...), by their names and by what lies
//! below them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::dataset::Split;
use super::finding::{Finding, FindingKind, Severity};
use super::label_text::clean;
use super::split_names::{exact, loose};
use crate::error::printable;

/// Folders within folders that are looked through for the one that has the classes.
const DEPTH: usize = 4;

/// How the folders of a root lie.
pub(super) enum Layout {
    /// Each is a class.
    Classes,
    /// Each is a part of the data, and the folders in it are classes; those of no part.
    Splits(Vec<(PathBuf, Split)>, Vec<PathBuf>),
    /// Each is a class, and the folders in it are parts of the data.
    SplitsInClasses,
}

/// What lies directly in a folder, litter aside.
struct Inside {
    folders: BTreeSet<String>,
    has_files: bool,
}

impl Inside {
    fn of(folder: &Path, is_litter: fn(&OsStr) -> bool) -> Self {
        let (mut folders, mut has_files) = (BTreeSet::new(), false);
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let is_dir = || match entry.file_type() {
                Ok(kind) if kind.is_symlink() => entry.path().is_dir(),
                kind => kind.is_ok_and(|kind| kind.is_dir()),
            };
            match entry.file_name() {
                name if is_litter(&name) => {}
                name if is_dir() => {
                    folders.insert(printable(Path::new(&name)));
                }
                _ => has_files = true,
            }
        }
        Self { folders, has_files }
    }

    /// The names by which classes are compared.
    fn classes(&self) -> BTreeSet<String> {
        self.folders.iter().map(|name| clean(name).to_lowercase()).collect()
    }
}

/// The folder that has the classes of a part: the only folder in it, where that holds folders alone and there is no file
/// beside it (`seg_train/seg_train/buildings`).
fn with_classes(folder: &Path, is_litter: fn(&OsStr) -> bool) -> (PathBuf, Inside) {
    let (mut at, mut inside) = (folder.to_owned(), Inside::of(folder, is_litter));
    for _ in 0..DEPTH {
        let [only] = inside.folders.iter().collect::<Vec<_>>()[..] else { break };
        let below = at.join(crate::error::from_printable(only));
        let deeper = Inside::of(&below, is_litter);
        let is_wrapper = deeper.folders.len() > 1 || !deeper.folders.is_empty() && loose(only).is_some();
        if inside.has_files || deeper.has_files || !is_wrapper {
            break;
        }
        (at, inside) = (below, deeper);
    }
    (at, inside)
}

/// How `folders` of a root lie, and what was guessed for it.
pub(super) fn layout(folders: &[PathBuf], is_litter: fn(&OsStr) -> bool) -> (Layout, Option<Finding>) {
    let name = |folder: &PathBuf| printable(Path::new(folder.file_name().unwrap_or_default()));
    let (below, inside): (Vec<PathBuf>, Vec<Inside>) =
        folders.iter().map(|folder| with_classes(folder, is_litter)).unzip();
    let splits: Vec<Option<Split>> = folders.iter().map(|folder| exact(&name(folder))).collect();
    if !folders.is_empty() && splits.iter().all(Option::is_some) {
        let parts: Vec<(PathBuf, Split)> = below.into_iter().zip(splits.into_iter().flatten()).collect();
        let usual =
            |name: &str| ["train", "val", "valid", "validation", "test"].contains(&name.to_lowercase().as_str());
        let guessed = folders.iter().zip(&parts).any(|(folder, (below, _))| !usual(&name(folder)) || folder != below);
        let said = guessed.then(|| told(folders, &parts, Severity::Info, "as their names say"));
        return (Layout::Splits(parts, Vec::new()), said);
    }
    if let Some(found) = by_names(folders, &below, &inside) {
        return found;
    }
    let alone = |inside: &Inside| !inside.has_files && !inside.folders.is_empty();
    let is_split = |inside: &Inside| alone(inside) && inside.folders.iter().all(|name| exact(name).is_some());
    let trains = |inside: &Inside| inside.folders.iter().any(|name| exact(name) == Some(Split::Train));
    // A class of only one part is no wrapper around it: `with_classes` goes through one that holds folders alone.
    if folders.len() > 1 && inside.iter().all(is_split) && inside.iter().all(trains) && below == folders {
        let message = "each folder is a class, and the folders in it are splits (train, test, ...), as their names say";
        let said = Finding::new(FindingKind::UnusualLayout, Severity::Info, message, Vec::new());
        return (Layout::SplitsInClasses, Some(said));
    }
    let same = folders.len() > 1
        && inside.iter().all(|one| alone(one) && one.folders.len() > 1 && one.classes() == inside[0].classes());
    if !same {
        return (Layout::Classes, None);
    }
    let split = |folder: &PathBuf| loose(&name(folder)).unwrap_or(Split::Train);
    let parts: Vec<(PathBuf, Split)> = below.into_iter().zip(folders.iter().map(split)).collect();
    let why = "since all of them hold the same folders, which are taken for the classes; if the outer folders are the \
               classes, write a table with the columns path,label";
    let said = told(folders, &parts, Severity::Serious, why);
    (Layout::Splits(parts, Vec::new()), Some(said))
}

/// Splits by one word of their names, where the folders in them agree: one is to train on, and what is held out has its
/// classes. Other folders are of no part.
fn by_names(folders: &[PathBuf], below: &[PathBuf], inside: &[Inside]) -> Option<(Layout, Option<Finding>)> {
    let name = |folder: &PathBuf| printable(Path::new(folder.file_name().unwrap_or_default()));
    let named = |at: usize| loose(&name(&folders[at])).filter(|_| !inside[at].folders.is_empty());
    let trained: BTreeSet<String> =
        (0..folders.len()).filter(|&at| named(at) == Some(Split::Train)).flat_map(|at| inside[at].classes()).collect();
    let held: Vec<usize> = (0..folders.len()).filter(|&at| named(at).is_some_and(|it| it != Split::Train)).collect();
    let agrees = |at: &usize| {
        let classes = inside[*at].classes();
        2 * classes.intersection(&trained).count() >= classes.len()
    };
    if trained.is_empty() || held.is_empty() || !held.iter().all(agrees) {
        return None;
    }
    let (mut parts, mut of_parts, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for at in 0..folders.len() {
        match named(at) {
            Some(split) => {
                parts.push((below[at].clone(), split));
                of_parts.push(folders[at].clone());
            }
            None => others.push(folders[at].clone()),
        }
    }
    let said =
        told(&of_parts, &parts, Severity::Info, "by a word of their names, and since they hold the same classes");
    Some((Layout::Splits(parts, others), Some(said)))
}

fn told(folders: &[PathBuf], parts: &[(PathBuf, Split)], severity: Severity, why: &str) -> Finding {
    let name = |folder: &PathBuf| printable(Path::new(folder.file_name().unwrap_or_default()));
    let part = |(folder, (below, split)): (&PathBuf, &(PathBuf, Split))| {
        let inside = below.strip_prefix(folder).ok().filter(|inside| !inside.as_os_str().is_empty());
        let inside = inside.map_or_else(String::new, |inside| format!("/{}", printable(inside)));
        format!("`{}{inside}` is {}", name(folder), split.name())
    };
    let listed: Vec<String> = folders.iter().zip(parts).map(part).collect();
    let message = format!("folders read as splits, {why}: {}", listed.join(", "));
    Finding::new(FindingKind::UnusualLayout, severity, message, folders.iter().map(name).collect())
}
