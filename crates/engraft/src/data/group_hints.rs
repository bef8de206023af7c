//! Columns and names of files that look like groups (patients, videos), where none are asked for: which flag to type.

use std::collections::BTreeSet;

use regex::Regex;

use super::dataset::Dataset;
use super::finding::{Finding, FindingKind, Severity};
use super::grouping::{COLUMN_FLAG, PATTERN_FLAG, found};
use super::text::record::is_missing;

/// The group that a cell of a table says; nothing where it says that there is none.
pub(super) fn of_cell(cell: Option<&str>) -> Option<String> {
    cell.map(str::trim).filter(|cell| !is_missing(cell)).map(str::to_owned)
}

/// Words that things are called by of which there are several examples.
const NOUNS: [&str; 24] = [
    "patient",
    "subject",
    "subj",
    "sub",
    "participant",
    "individual",
    "person",
    "volunteer",
    "donor",
    "animal",
    "specimen",
    "case",
    "site",
    "video",
    "vid",
    "clip",
    "movie",
    "film",
    "sequence",
    "seq",
    "session",
    "scene",
    "slide",
    "group",
];
/// Of those, the ones that name a column.
const COLUMN_NOUNS: [&str; 16] = [
    "patient",
    "subject",
    "participant",
    "individual",
    "person",
    "volunteer",
    "donor",
    "animal",
    "specimen",
    "site",
    "video",
    "clip",
    "movie",
    "session",
    "group",
    "hospital",
];
/// What may stand after such a word in the name of a column.
const SUFFIXES: [&str; 8] = ["id", "no", "nr", "num", "number", "name", "code", "key"];
/// Words for one of several pictures of a thing.
const PARTS: &str = "frame|slice|view|crop|patch|tile|shot";
/// The least share of examples that share their group with another, for groups to be suggested.
const SHARED: f64 = 0.1;
/// The least share of names that look like groups.
const NAMED: f64 = 0.5;
/// Fewer examples than this show nothing.
const LEAST: usize = 4;

/// Whether a column is named like groups: `patient`, `PatientID`, `video_name`, `id`.
pub(super) fn is_named_like_groups(name: &str) -> bool {
    let mut words = String::new();
    let mut before = ' ';
    for c in name.chars() {
        if c.is_uppercase() && before.is_lowercase() {
            words.push(' ');
        }
        words.extend(if c.is_alphanumeric() { c.to_lowercase().next() } else { Some(' ') });
        before = c;
    }
    let words: Vec<&str> = words.split_whitespace().collect();
    let joined = |word: &str| SUFFIXES.iter().find_map(|suffix| word.strip_suffix(suffix)).map(str::to_owned);
    match words.as_slice() {
        ["id"] => true,
        [one] => COLUMN_NOUNS.contains(one) || joined(one).is_some_and(|noun| COLUMN_NOUNS.contains(&noun.as_str())),
        [noun, suffix] => COLUMN_NOUNS.contains(noun) && SUFFIXES.contains(suffix),
        _ => false,
    }
}

/// A suggestion to group by a column that is named like groups, where its values come again.
pub(super) fn suggested_column<'a>(
    name: &str,
    cells: impl Iterator<Item = Option<&'a str>>,
    unit: &str,
) -> Option<Finding> {
    let groups: Vec<String> = cells.filter_map(of_cell).collect();
    let counts = counted(groups.iter().map(String::as_str));
    if !is_named_like_groups(name) || !are_groups(&counts) {
        return None;
    }
    let message = format!(
        "the column `{name}` looks like groups ({} values in {} {unit}), which folds may part: if {unit} of one value belong \
         together, add {COLUMN_FLAG} {}",
        counts.len(),
        groups.len(),
        quoted(name)
    );
    Some(Finding::new(FindingKind::PossibleGroups, Severity::Info, message, Vec::new()))
}

/// A suggestion to group by names such as `patient12_03.png` or `cow3_frame0001.jpg`, where they come again within a class.
pub(super) fn suggested_pattern(dataset: &Dataset, unit: &str) -> Option<Finding> {
    let names: Vec<&str> = dataset.examples.iter().map(|example| example.name.as_str()).collect();
    let by_noun = Regex::new(&format!(r"(?i)(?:^|[/_. -])(({})[_-]?)\d+[/_. -]", NOUNS.join("|"))).ok()?;
    let by_part = Regex::new(&format!(r"(?i)[A-Za-z0-9]+([_-](?:{PARTS})s?)[_-]?\d+")).ok()?;
    // What most names have, as it is written there, is what is suggested.
    let most = |regex: &Regex| {
        let written = names.iter().filter_map(|name| Some(regex.captures(name)?.get(1)?.as_str()));
        counted(written)
            .into_iter()
            .max_by_key(|(text, count)| (*count, std::cmp::Reverse(text.len())))
            .map(|(text, _)| text)
    };
    let patterns = [
        most(&by_noun).map(|prefix| format!(r"{}\d+", regex::escape(prefix).replace(r"\-", "-"))),
        most(&by_part).map(|part| format!("([^/]+){}", regex::escape(part).replace(r"\-", "-"))),
    ];
    patterns.into_iter().flatten().find_map(|pattern| suggested(dataset, &pattern, unit))
}

fn suggested(dataset: &Dataset, pattern: &str, unit: &str) -> Option<Finding> {
    let regex = Regex::new(pattern).ok()?;
    let groups: Vec<Option<String>> = dataset.examples.iter().map(|example| found(&regex, &example.name)).collect();
    let counts = counted(groups.iter().flatten().map(String::as_str));
    let matched: usize = counts.iter().map(|(_, count)| count).sum();
    let in_classes: BTreeSet<(&str, usize)> =
        groups.iter().zip(&dataset.examples).filter_map(|(group, e)| Some((group.as_deref()?, e.label))).collect();
    let repeated_in_a_class = matched as f64 - in_classes.len() as f64 >= SHARED * matched as f64;
    if (matched as f64) < NAMED * groups.len() as f64 || !are_groups(&counts) || !repeated_in_a_class {
        return None;
    }
    let (largest, size) = counts.iter().max_by_key(|(group, count)| (*count, std::cmp::Reverse(*group)))?;
    let of_largest = dataset.examples.iter().zip(&groups).filter(|(_, group)| group.as_deref() == Some(*largest));
    let files = of_largest.take(2).map(|(example, _)| example.name.clone()).collect();
    let message = format!(
        "names of {matched} of {} {unit} look like {} groups (`{largest}` has {size}), which folds may part: if they belong \
         together, add {PATTERN_FLAG} {}",
        groups.len(),
        counts.len(),
        quoted(pattern)
    );
    Some(Finding::new(FindingKind::PossibleGroups, Severity::Info, message, files))
}

/// How often each text comes, sorted.
fn counted<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<(&'a str, usize)> {
    let mut texts: Vec<&str> = texts.collect();
    texts.sort_unstable();
    texts.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect()
}

/// Whether there are several groups, and more than a few examples are in one with others.
fn are_groups(counts: &[(&str, usize)]) -> bool {
    let all: usize = counts.iter().map(|(_, count)| count).sum();
    let shared: usize = counts.iter().map(|(_, count)| *count).filter(|count| *count > 1).sum();
    all >= LEAST && counts.len() >= 2 && shared as f64 >= SHARED * all as f64
}

/// A text as a shell takes it.
fn quoted(text: &str) -> String {
    match text.chars().all(|c| c.is_alphanumeric() || "_.-/".contains(c)) && !text.starts_with('-') {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
#[path = "group_hints_tests.rs"]
mod tests;
