//! What is wrong with a data set, before anything is trained on it.
//!
//! Nothing is dropped in silence: every example that is left out stands in a finding that says why. Nothing is changed
//! on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::dataset::{Dataset, Split, Targets};
pub use super::finding::{Finding, FindingKind, Severity};
use super::inspect::{BadKind, Inspection, Outcome};
use super::near::{Groups, Look, search};

#[path = "audit_targets.rs"]
mod targets;

/// Fewer usable training pictures of a class than this, and cross-validation has nothing to hold out.
const LEAST: usize = 2;
/// Fewer than this, and the class is hard to learn.
const FEW: usize = 10;
/// Fewer than this in all, and every measured number is vague.
const FEW_IN_ALL: usize = 50;
/// The largest class over the smallest, above which imbalance is told.
const IMBALANCE: usize = 5;
/// Files shown for each finding in the terminal.
const SHOWN: usize = 10;

/// The result of an audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// Indices into [`Dataset::examples`] that nothing may be trained or measured on; each is in a finding.
    pub excluded: BTreeSet<usize>,
    /// For every example the group it is in: exact and near duplicates share one, so that cross-validation keeps them
    /// in one fold. A group is named by its smallest index.
    pub groups: Vec<usize>,
    /// The number of examples, excluded ones included.
    pub examples: usize,
    /// Counts for every class (or label), in the order of [`Dataset::classes`]; none in regression.
    pub classes: Vec<ClassCount>,
}

/// How many examples of a class there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassCount {
    /// The class.
    pub class: String,
    /// Usable examples in the training split.
    pub train: usize,
    /// Usable examples in the validation split.
    pub val: usize,
    /// Usable examples in the test split.
    pub test: usize,
    /// Examples of any split that are left out.
    pub excluded: usize,
}

/// Audits a data set, given one inspection per example in the same order, and what reading the layout found.
///
/// - Files that cannot be read or are no whole picture are excluded.
/// - Duplicates, exact or near, are kept and share a group.
/// - One picture under two labels is an error; exact copies are all excluded (nobody knows which label is right), near
///   copies are kept.
/// - A picture in two splits is excluded from the one that matters less: from `train` when it is also in `val` or
///   `test`, from `val` when it is also in `test`. Held-out numbers would otherwise measure memory.
/// - Classes with few usable training pictures, imbalance, and few pictures in all are told.
/// - In multi-label a label is the whole set; labels that few or nearly all pictures have, and pictures without any, are
///   told. In regression pictures without a finite number are excluded; near copies contradict each other when their
///   numbers lie more than a standard deviation apart; numbers far outside are told.
///
/// # Panics
/// When there is not one inspection per example.
pub fn audit(dataset: &Dataset, inspections: &[Inspection], layout_findings: Vec<Finding>) -> Audit {
    assert_eq!(dataset.examples.len(), inspections.len(), "one inspection per example");
    let mut work = Work {
        dataset,
        inspections,
        findings: layout_findings,
        excluded: BTreeSet::new(),
        groups: Groups::new(inspections.len()),
    };
    work.bad_files();
    work.bad_values();
    let contents = work.contents();
    work.exact(&contents);
    work.near(&contents);
    let groups: Vec<usize> = (0..inspections.len()).map(|index| work.groups.of(index)).collect();
    work.leaks(&groups);
    let classes = work.count();
    match &dataset.targets {
        Targets::Classes => work.class_sizes(&classes),
        Targets::Labels(sets) => work.label_sizes(sets, &classes),
        Targets::Values(values) => work.value_spread(values),
    }
    let mut findings = work.findings;
    findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.kind));
    Audit { findings, excluded: work.excluded, groups, examples: inspections.len(), classes }
}

struct Work<'a> {
    dataset: &'a Dataset,
    inspections: &'a [Inspection],
    findings: Vec<Finding>,
    excluded: BTreeSet<usize>,
    groups: Groups,
}

impl Work<'_> {
    fn tell(&mut self, kind: FindingKind, severity: Severity, what: &str, files: Vec<String>) {
        if !files.is_empty() {
            let count = if kind.in_pairs() { files.len() / 2 } else { files.len() };
            self.findings.push(Finding::new(kind, severity, format!("{what}: {count}"), files));
        }
    }

    fn name(&self, index: usize) -> String {
        self.dataset.examples[index].name.clone()
    }

    /// The names of pairs, one after the other.
    fn names(&self, pairs: &[(usize, usize)]) -> Vec<String> {
        pairs.iter().flat_map(|&(a, b)| [self.name(a), self.name(b)]).collect()
    }

    fn bad_files(&mut self) {
        let mut bad: BTreeMap<BadKind, Vec<usize>> = BTreeMap::new();
        for (index, inspection) in self.inspections.iter().enumerate() {
            if let Outcome::Bad { kind, .. } = inspection.outcome {
                bad.entry(kind).or_default().push(index);
            }
        }
        for (kind, indices) in bad {
            let (kind, what) = match kind {
                BadKind::Unreadable => (FindingKind::Unreadable, "files that cannot be read, left out"),
                BadKind::NotAnImage => (FindingKind::NotAnImage, "files that are no pictures, left out"),
                BadKind::Damaged => (FindingKind::Damaged, "damaged or cut-off pictures, left out"),
                BadKind::TooLarge => (FindingKind::TooLarge, "pictures over the limits on size, left out"),
                BadKind::Unsupported => (FindingKind::Unsupported, "pictures of a kind that is not read, left out"),
            };
            let files = indices.iter().map(|&index| self.name(index)).collect();
            self.tell(kind, Severity::Warning, what, files);
            self.excluded.extend(indices);
        }
    }

    /// The examples of every distinct picture, by bytes; pictures in the order of their first example.
    fn contents(&self) -> Vec<Vec<usize>> {
        let mut by_digest: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, inspection) in self.inspections.iter().enumerate() {
            if matches!(inspection.outcome, Outcome::Image { .. }) {
                by_digest.entry(&inspection.sha256).or_default().push(index);
            }
        }
        let mut contents: Vec<Vec<usize>> = by_digest.into_values().collect();
        contents.sort_unstable();
        contents
    }

    /// The label that all examples of a picture share, if they do.
    fn label(&self, content: &[usize]) -> Option<usize> {
        let label = |index: usize| self.dataset.examples[index].label;
        content.iter().all(|&index| label(index) == label(content[0])).then(|| label(content[0]))
    }

    fn exact(&mut self, contents: &[Vec<usize>]) {
        let (mut copies, mut conflicts) = (Vec::new(), Vec::new());
        for content in contents {
            let first = content[0];
            for &other in &content[1..] {
                self.groups.join(first, other);
            }
            let examples = &self.dataset.examples;
            if self.label(content).is_some() {
                for split in [Split::Train, Split::Val, Split::Test] {
                    let mut same = content.iter().filter(|&&index| examples[index].split == split);
                    if let Some(&first) = same.next() {
                        copies.extend(same.map(|&other| (first, other)));
                    }
                }
            } else {
                // Every copy is named with one that contradicts it.
                let other_label = |index: usize| {
                    content.iter().find(|&&other| examples[other].label != examples[index].label).copied()
                };
                conflicts.extend(content[1..].iter().map(|&index| {
                    match examples[index].label == examples[first].label {
                        true => (index, other_label(index).unwrap_or(first)),
                        false => (first, index),
                    }
                }));
                self.excluded.extend(content);
            }
        }
        let files = self.names(&copies);
        self.tell(FindingKind::ExactDuplicate, Severity::Info, "exact copies, kept together in one fold", files);
        let files = self.names(&conflicts);
        self.tell(
            FindingKind::LabelConflict,
            Severity::Error,
            "the same file under different labels, every copy left out",
            files,
        );
    }

    fn near(&mut self, contents: &[Vec<usize>]) {
        let looks: Vec<Look> = contents
            .iter()
            .filter_map(|content| match &self.inspections[content[0]].outcome {
                Outcome::Image { hash, thumbnail, .. } => Some(Look { hash: *hash, thumbnail }),
                Outcome::Bad { .. } => None,
            })
            .collect();
        let labels: Vec<Option<usize>> = contents.iter().map(|content| self.label(content)).collect();
        let apart = self.far_apart();
        let contradict = |i: usize, j: usize| {
            labels[i].zip(labels[j]).is_some_and(|(a, b)| a != b) && apart(contents[i][0], contents[j][0])
        };
        let groups = std::cell::RefCell::new(Groups::new(contents.len()));
        // For every picture the first alike one under another label; one is enough to look into it.
        let opposed = std::cell::RefCell::new(vec![None; contents.len()]);
        let mut joined = Vec::new();
        search(
            &looks,
            |i, j| {
                let mut groups = groups.borrow_mut();
                let opposed = opposed.borrow();
                groups.of(i) != groups.of(j) || contradict(i, j) && (opposed[i].is_none() || opposed[j].is_none())
            },
            |i, j| {
                if groups.borrow_mut().join(i, j) {
                    joined.push((i, j));
                }
                if contradict(i, j) {
                    let mut opposed = opposed.borrow_mut();
                    opposed[i].get_or_insert(j);
                    opposed[j].get_or_insert(i);
                }
            },
        );

        joined.sort_unstable();
        let mut pairs = Vec::new();
        for &(i, j) in &joined {
            let (a, b) = (contents[i][0], contents[j][0]);
            self.groups.join(a, b);
            // Pairs across labels and across splits have findings of their own.
            if labels[i].is_some()
                && labels[i] == labels[j]
                && self.dataset.examples[a].split == self.dataset.examples[b].split
            {
                pairs.push((a, b));
            }
        }
        let conflicts: BTreeSet<(usize, usize)> = opposed
            .into_inner()
            .iter()
            .enumerate()
            .filter_map(|(i, other)| other.map(|j| (contents[i.min(j)][0], contents[i.max(j)][0])))
            .collect();
        let files = self.names(&pairs);
        self.tell(
            FindingKind::NearDuplicate,
            Severity::Info,
            "pictures that look the same as another, kept together in one fold",
            files,
        );
        let files = self.names(&conflicts.into_iter().collect::<Vec<_>>());
        self.tell(
            FindingKind::LabelConflict,
            Severity::Error,
            "pictures that look the same under different labels, kept: look which label is right",
            files,
        );
    }

    /// Leaves out what is also in a split that matters more. Groups are taken whole: a picture that is alike only
    /// through a third is left out too, since a leak missed costs more than a picture.
    fn leaks(&mut self, groups: &[usize]) {
        let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, &group) in groups.iter().enumerate() {
            if !self.excluded.contains(&index) {
                members.entry(group).or_default().push(index);
            }
        }
        let mut leaks: BTreeMap<(Split, Split, bool), Vec<(usize, usize)>> = BTreeMap::new();
        for members in members.into_values().filter(|members| members.len() > 1) {
            let split = |index: usize| self.dataset.examples[index].split;
            for &index in &members {
                let held_out = || members.iter().copied().filter(move |&other| split(other) > split(index));
                let same = held_out().find(|&other| self.inspections[other].sha256 == self.inspections[index].sha256);
                if let Some(other) = same.or_else(|| held_out().next()) {
                    leaks.entry((split(index), split(other), same.is_some())).or_default().push((index, other));
                }
            }
        }
        for ((from, to, exact), pairs) in leaks {
            let how = if exact { "are also" } else { "look the same as pictures" };
            let (from, to) = (from.name(), to.name());
            let what = format!("pictures of {from} that {how} in {to}, left out of {from}");
            let files = self.names(&pairs);
            self.tell(FindingKind::Leak, Severity::Warning, &what, files);
            self.excluded.extend(pairs.iter().map(|pair| pair.0));
        }
    }

    fn count(&self) -> Vec<ClassCount> {
        let empty = |class: &String| ClassCount { class: class.clone(), train: 0, val: 0, test: 0, excluded: 0 };
        let mut counts: Vec<ClassCount> = self.dataset.classes.iter().map(empty).collect();
        for (index, example) in self.dataset.examples.iter().enumerate() {
            let own: Vec<usize> = match &self.dataset.targets {
                Targets::Classes => vec![example.label],
                Targets::Labels(sets) => (0..counts.len()).filter(|&label| sets[index][label]).collect(),
                Targets::Values(_) => Vec::new(),
            };
            for label in own {
                let count = &mut counts[label];
                match example.split {
                    _ if self.excluded.contains(&index) => count.excluded += 1,
                    Split::Train => count.train += 1,
                    Split::Val => count.val += 1,
                    Split::Test => count.test += 1,
                }
            }
        }
        counts
    }

    fn class_sizes(&mut self, classes: &[ClassCount]) {
        let listed: BTreeSet<usize> = self
            .dataset
            .examples
            .iter()
            .filter(|example| example.split == Split::Train)
            .map(|example| example.label)
            .collect();
        let mut about = |kind, severity, message| self.findings.push(Finding::new(kind, severity, message, Vec::new()));
        for (label, count) in classes.iter().enumerate() {
            let class = plain(&count.class);
            if !listed.contains(&label) {
                let message = format!("the class {class} has held-out pictures only: it cannot be learnt");
                about(FindingKind::NoTraining, Severity::Error, message);
            } else if count.train < LEAST {
                let message = format!(
                    "the class {class} has too few usable training pictures: {} (at least {LEAST})",
                    count.train
                );
                about(FindingKind::SmallClass, Severity::Error, message);
            } else if count.train < FEW {
                let message =
                    format!("the class {class} has few training pictures: {} (better {FEW} or more)", count.train);
                about(FindingKind::SmallClass, Severity::Warning, message);
            }
        }
        let present = || classes.iter().filter(|count| count.train > 0);
        let (largest, smallest) =
            (present().max_by_key(|count| count.train), present().min_by_key(|count| count.train));
        if let (Some(largest), Some(smallest)) = (largest, smallest)
            && largest.train > IMBALANCE * smallest.train
        {
            let message = format!(
                "imbalance: {} training pictures of {}, {} of {}; accuracy alone will flatter the large class",
                largest.train,
                plain(&largest.class),
                smallest.train,
                plain(&smallest.class)
            );
            about(FindingKind::Imbalance, Severity::Warning, message);
        }
        self.few_in_all();
    }

    fn few_in_all(&mut self) {
        let total = self.usable_training().count();
        if total < FEW_IN_ALL {
            let message = format!("few training pictures in all: {total}; measured numbers will have wide intervals");
            self.findings.push(Finding::new(FindingKind::FewExamples, Severity::Warning, message, Vec::new()));
        }
    }

    /// The training examples that may be used, ascending.
    fn usable_training(&self) -> impl Iterator<Item = usize> {
        let examples = self.dataset.examples.iter().enumerate();
        examples
            .filter(|(index, example)| example.split == Split::Train && !self.excluded.contains(index))
            .map(|(index, _)| index)
    }
}

impl Audit {
    /// The examples of a split that may be used, ascending.
    pub fn usable(&self, dataset: &Dataset, split: Split) -> Vec<usize> {
        dataset.of(split).into_iter().filter(|index| !self.excluded.contains(index)).collect()
    }

    /// The worst severity found, if anything was.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    /// Plain text for a terminal: counts, then the findings, the worst first, with at most ten files each.
    pub fn render(&self) -> String {
        let mut text = format!("{} examples", self.examples);
        if !self.classes.is_empty() {
            let _ = write!(text, " in {} classes", self.classes.len());
        }
        match self.excluded.len() {
            0 => text.push('\n'),
            left_out => {
                let _ = writeln!(text, ", {left_out} left out");
            }
        }
        let width = self.classes.iter().map(|count| plain(&count.class).chars().count()).max().unwrap_or(0).min(40);
        for count in &self.classes {
            let _ = write!(text, "  {:width$}  {:>6} train", plain(&count.class), count.train);
            for (name, number) in [("val", count.val), ("test", count.test), ("left out", count.excluded)] {
                if number > 0 {
                    let _ = write!(text, "  {number:>6} {name}");
                }
            }
            text.push('\n');
        }
        for finding in &self.findings {
            let severity = match finding.severity {
                Severity::Info => "info",
                Severity::Warning => "warning",
                Severity::Error => "error",
            };
            let _ = writeln!(text, "{severity}: {}", plain(&finding.message));
            let size = if finding.kind.in_pairs() { 2 } else { 1 };
            let entries = finding.files.chunks(size);
            let more = entries.len().saturating_sub(SHOWN);
            for entry in entries.take(SHOWN) {
                let names: Vec<String> = entry.iter().map(|name| plain(name)).collect();
                let _ = writeln!(text, "  {}", names.join("  =  "));
            }
            if more > 0 {
                let _ = writeln!(text, "  and {more} more");
            }
        }
        text
    }
}

/// Text without characters that could steer a terminal: a file's name may hold any.
fn plain(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if c.is_control() {
            out.extend(c.escape_default())
        } else {
            out.push(c)
        }
        out
    })
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
