//! Which folders of a data set are classes and which are parts of it (train, test, ...), by their names and by what lies
//! below them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::dataset::Split;
use super::finding::{Finding, FindingKind, Severity};
use super::label_text::clean;
use super::split_names::{abbreviated, exact, is_companion, is_unlabelled, loose};
use crate::error::{first_of, printable};

/// Folders within folders that are looked through for the one that has the classes.
const DEPTH: usize = 4;
/// Folders that a message names.
const SHOWN: usize = 5;

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

    /// Whether there are files in it and no folders.
    fn is_flat(&self) -> bool {
        self.has_files && self.folders.is_empty()
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
        return splits_below(folders, &inside, is_litter);
    }
    if folders.len() < 2 || !inside.iter().all(alone) {
        return (Layout::Classes, splits_without_classes(folders, &inside));
    }
    if !share_classes(&inside) {
        return (Layout::Classes, undecided(folders, &inside));
    }
    let split = |folder: &PathBuf| loose(&name(folder)).unwrap_or(Split::Train);
    let parts: Vec<(PathBuf, Split)> = below.into_iter().zip(folders.iter().map(split)).collect();
    let said = told(folders, &parts, Severity::Serious, &format!("since they hold the same folders, {INNER}"));
    (Layout::Splits(parts, Vec::new()), Some(said))
}

/// What to do where folders in folders are taken for the classes, and are not.
const INNER: &str = "which are taken for the classes; if the outer folders are the classes, write a table with the columns \
                     path,label";

/// Whether folders hold the same classes, or nearly: most of all classes are in most of the folders, and each has half of those.
fn share_classes(inside: &[Inside]) -> bool {
    let sets: Vec<BTreeSet<String>> = inside.iter().map(Inside::classes).collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    sets.iter().flatten().for_each(|class| *counts.entry(class).or_default() += 1);
    let common: BTreeSet<&str> =
        counts.iter().filter(|(_, count)| 2 * **count > sets.len()).map(|(class, _)| *class).collect();
    // Years, and numbers of patients, are in many classes.
    let is_number = |class: &&str| class.len() > 2 && class.bytes().all(|byte| !byte.is_ascii_alphabetic());
    let are_equal = sets.iter().all(|set| *set == sets[0]);
    let has_half =
        |set: &BTreeSet<String>| 2 * set.iter().filter(|class| common.contains(class.as_str())).count() >= common.len();
    common.len() > 1
        && 2 * common.len() >= counts.len()
        && sets.iter().all(has_half)
        && (are_equal || !common.iter().all(is_number))
}

/// Folders in which all folders are splits: each is a class, unless the splits hold the same folders in their turn.
fn splits_below(folders: &[PathBuf], inside: &[Inside], is_litter: fn(&OsStr) -> bool) -> (Layout, Option<Finding>) {
    let (mut outer, mut parts, mut below) = (Vec::new(), Vec::new(), Vec::new());
    for (folder, inside) in folders.iter().zip(inside) {
        for name in &inside.folders {
            let (at, classes) = with_classes(&folder.join(crate::error::from_printable(name)), is_litter);
            outer.push(folder.clone());
            parts.push((at, exact(name).unwrap_or(Split::Train)));
            below.push(classes);
        }
    }
    if below.iter().all(|one| !one.has_files && !one.folders.is_empty()) && share_classes(&below) {
        let said = told(&outer, &parts, Severity::Serious, &format!("since they hold the same folders, {INNER}"));
        return (Layout::Splits(parts, Vec::new()), Some(said));
    }
    let message = "each folder is a class, and the folders in it are splits (train, test, ...), as their names say";
    let said = Finding::new(FindingKind::UnusualLayout, Severity::Info, message, Vec::new());
    (Layout::SplitsInClasses, Some(said))
}

/// Folders that hold folders alone, of which nothing says whether they are the classes: a warning where they are not numbered,
/// as patients and years are.
fn undecided(folders: &[PathBuf], inside: &[Inside]) -> Option<Finding> {
    let several: Vec<(&PathBuf, &Inside)> =
        folders.iter().zip(inside).filter(|(_, inside)| inside.folders.len() > 1).collect();
    if several.is_empty() {
        return None;
    }
    let listed = |(folder, inside): &(&PathBuf, &Inside)| {
        format!("`{}` holds {}", name(folder), first_of(&inside.folders, SHOWN))
    };
    let message = format!(
        "each folder is a class, and the folders in it are read as one: {}; if the inner folders are the classes, move them up, \
         or write a table with the columns path,label",
        first_of(several.iter().map(listed), SHOWN)
    );
    let is_numbered = |name: &String| name.bytes().any(|byte| byte.is_ascii_digit());
    let numbered = several.iter().all(|(_, inside)| inside.folders.iter().all(is_numbered));
    let severity = if numbered { Severity::Info } else { Severity::Warning };
    let files = several.iter().map(|(folder, _)| name(folder)).collect();
    Some(Finding::new(FindingKind::UnusualLayout, severity, message, files))
}

/// Folders that are named like splits and hold files alone: the classes are missing, or stand in their names (`trainA`).
fn splits_without_classes(folders: &[PathBuf], inside: &[Inside]) -> Option<Finding> {
    let splits: BTreeSet<Split> = folders.iter().filter_map(|folder| loose(&name(folder))).collect();
    let is_of_splits = |folder: &PathBuf| {
        let name = name(folder);
        loose(&name).is_some() || is_companion(&name) || is_unlabelled(&name)
    };
    if !inside.iter().all(Inside::is_flat) || splits.len() < 2 || !splits.contains(&Split::Train) {
        return None;
    }
    let message = format!(
        "folders named like splits, which hold no folders of classes, are each read as a class: {}; if they are splits, put the \
         classes into them (train/A, train/B, test/A, test/B)",
        first_of(folders.iter().map(|folder| name(folder)), SHOWN)
    );
    let files = folders.iter().map(|folder| name(folder)).collect();
    let finding = Finding::new(FindingKind::UnusualLayout, Severity::Serious, message, files);
    folders.iter().all(is_of_splits).then_some(finding)
}

/// Splits by one word of their names, where the folders in them agree: one is to train on, and what is held out has its
/// classes, or no folders and so no labels. Other folders are of no part, and neither are those of masks or labels beside a
/// split.
fn by_names(folders: &[PathBuf], below: &[PathBuf], inside: &[Inside]) -> Option<(Layout, Option<Finding>)> {
    let split = |at: usize| {
        let name = name(&folders[at]);
        loose(&name).or_else(|| abbreviated(&name).filter(|_| !inside[at].has_files))
    };
    let is_companion = |at: usize| {
        is_companion(&name(&folders[at]))
            && (0..folders.len()).any(|other| split(other) == split(at) && !is_companion(&name(&folders[other])))
    };
    let named = |at: usize| split(at).filter(|_| !inside[at].folders.is_empty() && !is_companion(at));
    let trained: Vec<usize> = (0..folders.len()).filter(|&at| named(at) == Some(Split::Train)).collect();
    let classes: BTreeSet<String> = trained.iter().flat_map(|&at| inside[at].classes()).collect();
    let held: Vec<usize> = (0..folders.len()).filter(|&at| named(at).is_some_and(|it| it != Split::Train)).collect();
    let agrees = |at: &usize| {
        let of_it = inside[*at].classes();
        2 * of_it.intersection(&classes).count() >= of_it.len()
    };
    // Held out, or called so, without a label.
    let flat: Vec<(usize, Option<Split>)> = (0..folders.len())
        .filter(|&at| inside[at].is_flat() && !is_companion(at))
        .map(|at| (at, split(at)))
        .filter(|(at, split)| split.map_or_else(|| is_unlabelled(&name(&folders[*at])), |split| split != Split::Train))
        .collect();
    let are_classes_below = classes.len() > 1 && trained.iter().all(|&at| !inside[at].has_files);
    let others_are_flat = (0..folders.len()).all(|at| trained.contains(&at) || inside[at].is_flat());
    let is_unlabelled = !flat.is_empty() && are_classes_below && others_are_flat;
    if trained.is_empty() || held.is_empty() && !is_unlabelled || !held.iter().all(agrees) {
        return None;
    }
    let (mut parts, mut of_parts, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for at in 0..folders.len() {
        match named(at) {
            Some(split) => {
                parts.push((below[at].clone(), split));
                of_parts.push(folders[at].clone());
            }
            None if flat.iter().any(|(flat, split)| *flat == at && split.is_some()) => {}
            None => others.push(folders[at].clone()),
        }
    }
    let why = if held.is_empty() {
        "as their names say"
    } else {
        "by a word of their names, and since they hold the same classes"
    };
    let mut said = told(&of_parts, &parts, Severity::Info, why);
    let flat: Vec<(PathBuf, Split)> =
        flat.into_iter().filter_map(|(at, split)| Some((folders[at].clone(), split?))).collect();
    if !flat.is_empty() {
        let names = first_of(flat.iter().map(|(folder, _)| format!("`{}`", name(folder))), SHOWN);
        said.message
            .push_str(&format!("; without folders of classes, so that nothing is known of their labels: {names}"));
        said.files.extend(flat.iter().map(|(folder, _)| name(folder)));
    }
    // Read as splits, their files are of no class.
    parts.extend(flat);
    Some((Layout::Splits(parts, others), Some(said)))
}

fn name(folder: &Path) -> String {
    printable(Path::new(folder.file_name().unwrap_or_default()))
}

/// What is said of folders that are read as splits: each part lies in the folder before it, or is it.
fn told(folders: &[PathBuf], parts: &[(PathBuf, Split)], severity: Severity, why: &str) -> Finding {
    let part = |(folder, (below, split)): (&PathBuf, &(PathBuf, Split))| {
        let inside = below.strip_prefix(folder).ok().filter(|inside| !inside.as_os_str().is_empty());
        let inside = inside.map_or_else(String::new, |inside| format!("/{}", printable(inside)));
        format!("`{}{inside}` is {}", name(folder), split.name())
    };
    let listed: Vec<String> = folders.iter().zip(parts).map(part).collect();
    let message = format!("folders read as splits, {why}: {}", listed.join(", "));
    let mut files: Vec<String> = folders.iter().map(|folder| name(folder)).collect();
    files.dedup();
    Finding::new(FindingKind::UnusualLayout, severity, message, files)
}
