//! Labelled examples: where each lies, what it shows, and which part of the data it belongs to.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The part of the data an example belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Trained on.
    Train,
    /// Held out for choices.
    Val,
    /// Held out for the final number; no choice may see its labels.
    Test,
}

impl Split {
    /// The split a word names, in any case: `train`, `val`, `valid`, `validation`, `test`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "train" => Some(Self::Train),
            "val" | "valid" | "validation" => Some(Self::Val),
            "test" => Some(Self::Test),
            _ => None,
        }
    }

    /// The split's name in files: `train`, `val`, `test`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

/// One labelled file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Where to open it.
    pub path: PathBuf,
    /// Its printable path relative to the data set's root, with `/`; unique in the data set.
    pub name: String,
    /// Index into [`Dataset::classes`].
    pub label: usize,
    /// The part of the data it belongs to.
    pub split: Split,
}

/// A labelled data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// The folder that names are relative to.
    pub root: PathBuf,
    /// The classes' names, sorted by their bytes, each once.
    pub classes: Vec<String>,
    /// The examples, sorted by the bytes of their names.
    pub examples: Vec<Example>,
}

/// An example whose class is still a name.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) path: PathBuf,
    pub(super) name: String,
    pub(super) class: String,
    pub(super) split: Split,
}

impl Dataset {
    /// Numbers the classes and sorts the examples. Of rows with one name only the first is kept; the caller tells.
    pub(super) fn assemble(root: PathBuf, mut rows: Vec<Row>) -> Self {
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        rows.dedup_by(|later, first| later.name == first.name);
        let mut classes: Vec<String> = rows.iter().map(|row| row.class.clone()).collect();
        classes.sort_unstable();
        classes.dedup();
        let examples = rows
            .into_iter()
            .map(|row| Example {
                label: classes.partition_point(|class| *class < row.class),
                path: row.path,
                name: row.name,
                split: row.split,
            })
            .collect();
        Self { root, classes, examples }
    }

    /// The indices of the examples of one split, ascending.
    pub fn of(&self, split: Split) -> Vec<usize> {
        (0..self.examples.len()).filter(|&index| self.examples[index].split == split).collect()
    }

    /// Whether any example is of this split.
    pub fn has(&self, split: Split) -> bool {
        self.examples.iter().any(|example| example.split == split)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_and_classes_are_sorted_by_bytes() {
        let row = |name: &str, class: &str| Row {
            path: PathBuf::from(name),
            name: name.to_owned(),
            class: class.to_owned(),
            split: Split::Train,
        };
        let dataset =
            Dataset::assemble(PathBuf::new(), vec![row("b", "z"), row("a", "y"), row("B", "z"), row("b", "y")]);
        assert_eq!(dataset.classes, ["y", "z"]);
        let names: Vec<_> = dataset.examples.iter().map(|example| (example.name.as_str(), example.label)).collect();
        assert_eq!(names, [("B", 1), ("a", 0), ("b", 1)]);
    }

    #[test]
    fn a_split_is_lower_case_in_json() {
        assert_eq!(serde_json::to_string(&Split::Val).unwrap(), "\"val\"");
        assert_eq!(Split::from_name("Validation"), Some(Split::Val));
        assert_eq!(Split::from_name("dev"), None);
    }
}
