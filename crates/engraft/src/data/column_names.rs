//! Columns of tables by their names.

use std::path::Path;

use crate::error::{Error, Problem, Result};

/// Names that columns of texts usually have.
pub(super) const TEXTS: [&str; 17] = [
    "text",
    "texts",
    "sentence",
    "sentence1",
    "sentence2",
    "review",
    "content",
    "body",
    "message",
    "comment",
    "tweet",
    "question",
    "answer",
    "title",
    "document",
    "premise",
    "hypothesis",
];
/// Other names of columns that hold texts of few words, or none that is a word: beside numbers they are texts all the same.
pub(super) const SHORT_TEXTS: [&str; 12] = [
    "url",
    "query",
    "headline",
    "sms",
    "description",
    "utterance",
    "abstract",
    "caption",
    "word",
    "sequence",
    "smiles",
    "command",
];
/// Names of columns whose lists are labels, several for one example.
const LISTS: [&str; 13] = [
    "label",
    "labels",
    "class",
    "classes",
    "category",
    "categories",
    "target",
    "targets",
    "tag",
    "tags",
    "genres",
    "topics",
    "keywords",
];

/// Whether the lists of a column are labels: by its name, or by the last part of that.
pub(super) fn may_list_labels(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    LISTS.iter().any(|usual| last.eq_ignore_ascii_case(usual))
}

/// Names that a message shows.
const SHOWN: usize = 12;
/// Characters of a name that a message shows.
const CHARACTERS: usize = 40;

/// The column of a name: exactly as written, else in any case.
///
/// # Errors
/// [`Error::Data`] where there is none: `flag` named it, the table lies at `path`.
pub(super) fn find(names: &[String], name: &str, flag: &str, path: &Path) -> Result<usize> {
    let exact = names.iter().position(|column| column == name);
    exact.or_else(|| names.iter().position(|column| column.eq_ignore_ascii_case(name))).ok_or_else(|| {
        Error::Data(
            Problem::new(format!("there is no column `{name}`"))
                .expected(format!("a column of the table after {flag}"))
                .found(listing(names))
                .suggest(name, names.iter().map(String::as_str))
                .at(path),
        )
    })
}

/// Names of columns for a message, the first of them.
pub(super) fn listing(names: &[String]) -> String {
    let mut shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{}`", shortened(name))).collect();
    if names.len() > shown.len() {
        shown.push(format!("and {} more", names.len() - shown.len()));
    }
    shown.join(", ")
}

/// The beginning of a name or a cell, for a message.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(CHARACTERS).collect()
}
