//! Labelled examples: where each lies, what it shows, and which part of the data it belongs to.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::grouping::Grouping;
use super::image_source::ImageSource;
use super::task::{SEPARATOR, Task, label_set};
use crate::error::{Error, Problem, Result};
use crate::files;
use crate::metrics::Span;

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
    /// The split's name in files: `train`, `val`, `test`.
    pub(crate) fn name(self) -> &'static str {
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
    /// Where its bytes are; no file for examples that are no images.
    pub source: ImageSource,
    /// Its printable path relative to the data set's root, with `/`; unique in the data set.
    pub name: String,
    /// Index into [`Dataset::classes`]; in other tasks than single-label the number of its target among the different
    /// ones, so that equal numbers mean equal targets.
    pub label: usize,
    /// The part of the data it belongs to.
    pub split: Split,
    /// What it belongs together with (a patient, a video), where that is known.
    pub group: Option<String>,
}

/// What is to be learnt of the examples.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Targets {
    /// One class each: [`Example::label`].
    Classes,
    /// A set of labels each: whether it has each of [`Dataset::classes`].
    Labels(Vec<Vec<bool>>),
    /// A number each; NaN or infinite where there is none to learn from.
    Values(Vec<f64>),
    /// Spans of words each, of types that [`Dataset::classes`] names.
    Tags(Vec<Vec<Span>>),
    /// The right answers of each question; none where it has none.
    Answers(Vec<Vec<String>>),
}

/// A labelled data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// The folder that names are relative to.
    pub root: PathBuf,
    /// The classes' (or labels') names, sorted by their bytes, each once; none in regression.
    pub classes: Vec<String>,
    /// The examples, sorted by the bytes of their names.
    pub examples: Vec<Example>,
    /// What is to be learnt of each of them.
    pub(crate) targets: Targets,
    /// What says which examples belong together.
    pub(crate) grouping: Grouping,
}

/// An example whose class is still a name.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) source: ImageSource,
    pub(super) name: String,
    pub(super) class: String,
    pub(super) split: Split,
    pub(super) group: Option<String>,
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
                source: row.source,
                name: row.name,
                split: row.split,
                group: row.group,
            })
            .collect();
        Self { root, classes, examples, targets: Targets::Classes, grouping: Grouping::default() }
    }

    /// Reads the classes' names of a single-label data set as another task's targets: sets of labels with a
    /// [`SEPARATOR`] between them, or numbers as Rust writes them.
    ///
    /// # Errors
    /// [`Error::Data`] where a name is not a number.
    pub(super) fn recast(mut self, task: Task) -> Result<Self> {
        let texts = std::mem::take(&mut self.classes);
        match task {
            Task::SingleLabel => self.classes = texts,
            Task::MultiLabel => {
                let sets: Vec<Vec<&str>> = texts.iter().map(|text| label_set(text)).collect();
                let mut names: Vec<&str> = sets.iter().flatten().copied().collect();
                names.sort_unstable();
                names.dedup();
                let has = |set: &[&str]| names.iter().map(|name| set.contains(name)).collect::<Vec<bool>>();
                let sets: Vec<Vec<bool>> = sets.iter().map(|set| has(set)).collect();
                self.targets =
                    Targets::Labels(self.examples.iter().map(|example| sets[example.label].clone()).collect());
                self.classes = names.into_iter().map(str::to_owned).collect();
            }
            Task::Regression => {
                let value = |text: &String| {
                    text.parse::<f64>().map_err(|_| {
                        let problem = Problem::new("a label is not a number").expected("a number for every example");
                        Error::Data(problem.found(format!("`{text}`")).at(&self.root))
                    })
                };
                let values = texts.iter().map(value).collect::<Result<Vec<f64>>>()?;
                self.targets = Targets::Values(self.examples.iter().map(|example| values[example.label]).collect());
            }
            Task::Tags | Task::Answers => {
                let problem = Problem::new(format_args!("--task {task} does not take labels from a column or folder"));
                return Err(Error::Usage(problem.expected("CoNLL files (tags) or SQuAD files (qa)").at(&self.root)));
            }
        }
        Ok(self)
    }

    /// Keeps what says which examples belong together, and gives the groups that it finds in names.
    ///
    /// # Errors
    /// As [`Grouping::of_names`].
    pub(super) fn group_by(&mut self, grouping: &Grouping) -> Result<()> {
        let names: Vec<&str> = self.examples.iter().map(|example| example.name.as_str()).collect();
        if let Some(groups) = grouping.of_names(&names)? {
            self.examples.iter_mut().zip(groups).for_each(|(example, group)| example.group = group);
        }
        self.grouping = grouping.clone();
        Ok(())
    }

    /// What is to be learnt.
    pub(crate) fn task(&self) -> Task {
        match self.targets {
            Targets::Classes => Task::SingleLabel,
            Targets::Labels(_) => Task::MultiLabel,
            Targets::Values(_) => Task::Regression,
            Targets::Tags(_) => Task::Tags,
            Targets::Answers(_) => Task::Answers,
        }
    }

    /// The target of an example as text: its class, its labels with a [`SEPARATOR`] between them, its number, its spans as
    /// `PER:0-2` (first word, word after the last), or its right answers.
    ///
    /// # Panics
    /// If there is no such example.
    pub(crate) fn target_text(&self, index: usize) -> String {
        match &self.targets {
            Targets::Classes => self.classes[self.examples[index].label].clone(),
            Targets::Labels(sets) => {
                let names = self.classes.iter().zip(&sets[index]).filter(|(_, has)| **has);
                names.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(&SEPARATOR.to_string())
            }
            Targets::Values(values) => values[index].to_string(),
            Targets::Tags(spans) => {
                let spans = spans[index].iter();
                let named = spans.map(|span| format!("{}:{}-{}", self.classes[span.kind], span.start, span.end));
                named.collect::<Vec<_>>().join(&SEPARATOR.to_string())
            }
            Targets::Answers(golds) => golds[index].join(" | "),
        }
    }

    /// SHA-256 over the names, labels, splits, contents (their SHA-256) and groups of all examples: equal data, equal
    /// fingerprint.
    pub(crate) fn fingerprint(&self, digests: &[String]) -> String {
        let mut hash = Sha256::new();
        for (index, (example, digest)) in self.examples.iter().zip(digests).enumerate() {
            let target = self.target_text(index);
            let parts = [example.name.as_str(), &target, example.split.name(), digest];
            for part in parts.into_iter().chain(example.group.as_deref()) {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part.as_bytes());
            }
        }
        files::hex(&hash.finalize())
    }

    /// The indices of the examples of one split, ascending.
    pub(crate) fn of(&self, split: Split) -> Vec<usize> {
        (0..self.examples.len()).filter(|&index| self.examples[index].split == split).collect()
    }

    /// Whether any example is of this split.
    pub(crate) fn has(&self, split: Split) -> bool {
        self.examples.iter().any(|example| example.split == split)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_and_classes_are_sorted_by_bytes() {
        let row = |name: &str, class: &str| Row {
            source: PathBuf::from(name).into(),
            name: name.to_owned(),
            class: class.to_owned(),
            split: Split::Train,
            group: None,
        };
        let dataset =
            Dataset::assemble(PathBuf::new(), vec![row("b", "z"), row("a", "y"), row("B", "z"), row("b", "y")]);
        assert_eq!(dataset.classes, ["y", "z"]);
        let names: Vec<_> = dataset.examples.iter().map(|example| (example.name.as_str(), example.label)).collect();
        assert_eq!(names, [("B", 1), ("a", 0), ("b", 1)]);
    }

    #[test]
    fn targets_are_read_from_names() {
        let row = |name: &str, class: &str| Row {
            source: PathBuf::from(name).into(),
            name: name.to_owned(),
            class: class.to_owned(),
            split: Split::Train,
            group: None,
        };
        let rows = || vec![row("a", "1.5"), row("b", "-2"), row("c", "1.5")];
        let dataset = Dataset::assemble(PathBuf::new(), rows()).recast(Task::Regression).unwrap();
        assert_eq!((dataset.targets, dataset.classes.len()), (Targets::Values(vec![1.5, -2.0, 1.5]), 0));
        assert_eq!(dataset.examples[0].label, dataset.examples[2].label);

        let rows = vec![row("a", "cat|dog"), row("b", ""), row("c", "dog")];
        let dataset = Dataset::assemble(PathBuf::new(), rows).recast(Task::MultiLabel).unwrap();
        assert_eq!(dataset.classes, ["cat", "dog"]);
        let sets = [[true, true], [false, false], [false, true]].map(Vec::from).to_vec();
        assert_eq!(dataset.targets, Targets::Labels(sets));
        assert_eq!((dataset.target_text(0), dataset.target_text(1)), ("cat|dog".into(), String::new()));
        assert!(Dataset::assemble(PathBuf::new(), vec![row("a", "x")]).recast(Task::Regression).is_err());
    }

    #[test]
    fn a_split_is_lower_case_in_json() {
        assert_eq!(serde_json::to_string(&Split::Val).unwrap(), "\"val\"");
    }
}
