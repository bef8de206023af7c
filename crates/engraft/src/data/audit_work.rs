//! An audit under way: copies, leaks, counts and sizes, of images and texts alike.

use std::collections::{BTreeMap, BTreeSet};

use super::{Audit, ClassCount, Finding, FindingKind, Severity, plain};
use crate::data::dataset::{Dataset, Split, Targets};
use crate::data::near::{Groups, Searched};
use crate::error::first_of;

/// Fewer usable training examples of a class than this, and cross-validation has nothing to hold out.
pub(super) const LEAST: usize = 2;
/// Fewer than this, and the class is hard to learn.
pub(super) const FEW: usize = 10;
/// Fewer than this in all, and every measured number is vague.
const FEW_IN_ALL: usize = 50;
/// The largest class over the smallest, above which imbalance is told.
const IMBALANCE: usize = 5;
/// Small classes that are named.
const SHOWN: usize = 5;

/// What a class, or a label, lacks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shortage {
    /// Held-out examples only.
    NoTraining,
    /// Fewer than [`LEAST`] training examples.
    TooFew,
    /// Of a label: fewer than that without it.
    TooFewWithout,
    /// Fewer than [`FEW`] training examples.
    Few,
    /// Of a label: fewer than that without it.
    FewWithout,
}

impl Shortage {
    /// Its kind, how bad it is, and what it is a class "with".
    fn told(self, things: &str) -> (FindingKind, Severity, String) {
        use FindingKind::{NoTraining, SmallClass};
        use Severity::{Serious, Warning};
        match self {
            Self::NoTraining => (NoTraining, Serious, format!("held-out {things} only, so that it cannot be learnt")),
            Self::TooFew => (SmallClass, Serious, format!("too few usable training {things} (at least {LEAST})")),
            Self::TooFewWithout => {
                (SmallClass, Serious, format!("too few training {things} without it (at least {LEAST})"))
            }
            Self::Few => (SmallClass, Warning, format!("few training {things} (better {FEW} or more)")),
            Self::FewWithout => {
                (SmallClass, Warning, format!("few training {things} without it (better {FEW} or more)"))
            }
        }
    }
}

/// What examples are called in findings.
#[derive(Debug)]
pub(in crate::data) struct Wording {
    /// In the plural.
    pub(in crate::data) things: &'static str,
    /// What has copies.
    pub(in crate::data) one: &'static str,
    /// What its copies are.
    pub(in crate::data) copies: &'static str,
    /// What two do that are nearly equal.
    pub(in crate::data) alike: &'static str,
}

/// An audit under way.
pub(in crate::data) struct Work<'a> {
    pub(super) dataset: &'a Dataset,
    pub(super) wording: &'static Wording,
    /// What an example's content is known by, equal for copies; nothing for one that has no content.
    digests: Vec<Option<String>>,
    pub(super) findings: Vec<Finding>,
    pub(super) excluded: BTreeSet<usize>,
    pub(super) groups: Groups,
}

impl<'a> Work<'a> {
    pub(in crate::data) fn new(
        dataset: &'a Dataset,
        wording: &'static Wording,
        digests: Vec<Option<String>>,
        findings: Vec<Finding>,
    ) -> Self {
        let groups = Groups::new(digests.len());
        Self { dataset, wording, digests, findings, excluded: BTreeSet::new(), groups }
    }

    /// What remains once copies are known: leaks, counts, sizes.
    pub(in crate::data) fn finish(mut self) -> Audit {
        let all_groups = |work: &mut Self| (0..work.digests.len()).map(|index| work.groups.of(index)).collect();
        let copies: Vec<usize> = all_groups(&mut self);
        self.leaks(&copies);
        let grouped = self.given_groups();
        let groups: Vec<usize> = all_groups(&mut self);
        let classes = self.count();
        match &self.dataset.targets {
            Targets::Classes => self.class_sizes(&classes),
            Targets::Labels(sets) => self.label_sizes(sets, &classes),
            Targets::Values(values) => self.value_spread(values),
            // They have audits of their own.
            Targets::Tags(_) | Targets::Answers(_) => {}
        }
        let Self { mut findings, excluded, .. } = self;
        findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.kind));
        Audit { findings, excluded, examples: groups.len(), groups, classes, grouped }
    }

    /// Excludes examples, and says so.
    pub(in crate::data) fn leave_out(&mut self, kind: FindingKind, what: &str, indices: &[usize]) {
        let files = indices.iter().map(|&index| self.name(index)).collect();
        self.tell(kind, Severity::Warning, what, files);
        self.excluded.extend(indices);
    }

    pub(in crate::data) fn tell(&mut self, kind: FindingKind, severity: Severity, what: &str, files: Vec<String>) {
        if !files.is_empty() {
            let count = if kind.in_pairs() { files.len() / 2 } else { files.len() };
            self.findings.push(Finding::new(kind, severity, format!("{what}: {count}"), files));
        }
    }

    pub(in crate::data) fn name(&self, index: usize) -> String {
        self.dataset.examples[index].name.clone()
    }

    /// The names of pairs, one after the other.
    pub(super) fn names(&self, pairs: &[(usize, usize)]) -> Vec<String> {
        pairs.iter().flat_map(|&(a, b)| [self.name(a), self.name(b)]).collect()
    }

    /// The examples of every distinct content, by digest; contents in the order of their first example.
    pub(in crate::data) fn contents(&self) -> Vec<Vec<usize>> {
        let mut by_digest: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, digest) in self.digests.iter().enumerate() {
            if let Some(digest) = digest {
                by_digest.entry(digest).or_default().push(index);
            }
        }
        let mut contents: Vec<Vec<usize>> = by_digest.into_values().collect();
        contents.sort_unstable();
        contents
    }

    /// The label that all examples of a content share, if they do.
    fn label(&self, content: &[usize]) -> Option<usize> {
        let label = |index: usize| self.dataset.examples[index].label;
        content.iter().all(|&index| label(index) == label(content[0])).then(|| label(content[0]))
    }

    /// Puts copies into one group; leaves out those under different labels.
    pub(in crate::data) fn exact(&mut self, contents: &[Vec<usize>]) {
        self.keep_together(contents);
        self.tell_exact(contents);
    }

    /// Puts examples of one content into one group, so that no fold parts them.
    pub(in crate::data) fn keep_together(&mut self, contents: &[Vec<usize>]) {
        for content in contents {
            for &other in &content[1..] {
                self.groups.join(content[0], other);
            }
        }
    }

    fn tell_exact(&mut self, contents: &[Vec<usize>]) {
        let (mut copies, mut conflicts) = (Vec::new(), Vec::new());
        for content in contents {
            let first = content[0];
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
        let what = format!("{}, kept together in one fold", self.wording.copies);
        self.tell(FindingKind::ExactDuplicate, Severity::Info, &what, files);
        let files = self.names(&conflicts);
        self.tell(
            FindingKind::LabelConflict,
            Severity::Serious,
            &format!("the same {} under different labels, every copy left out", self.wording.one),
            files,
        );
    }

    /// Puts contents that are nearly the same into one group. `search` is given what to ask before a comparison and what
    /// to tell of two that are alike, by their places in `contents`.
    pub(in crate::data) fn near(
        &mut self,
        contents: &[Vec<usize>],
        search: impl FnOnce(&dyn Fn(usize, usize) -> bool, &mut dyn FnMut(usize, usize)) -> Searched,
    ) {
        let labels: Vec<Option<usize>> = contents.iter().map(|content| self.label(content)).collect();
        let apart = self.far_apart();
        let contradict = |i: usize, j: usize| {
            labels[i].zip(labels[j]).is_some_and(|(a, b)| a != b) && apart(contents[i][0], contents[j][0])
        };
        let groups = std::cell::RefCell::new(Groups::new(contents.len()));
        // For every image the first alike one under another label; one is enough to look into it.
        let opposed = std::cell::RefCell::new(vec![None; contents.len()]);
        let mut joined = Vec::new();
        let searched = search(
            &|i, j| {
                let mut groups = groups.borrow_mut();
                let opposed = opposed.borrow();
                groups.of(i) != groups.of(j) || contradict(i, j) && (opposed[i].is_none() || opposed[j].is_none())
            },
            &mut |i, j| {
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
        let Wording { things, alike, .. } = self.wording;
        let what = format!("{things} that {alike} as another, kept together in one fold");
        self.tell(FindingKind::NearDuplicate, Severity::Info, &what, files);
        if searched.is_cut {
            let message = format!(
                "very many {things} are alike at a glance: near-duplicates were searched among the {} most similar pairs only",
                searched.compared
            );
            self.findings.push(Finding::new(FindingKind::BoundedSearch, Severity::Info, message, Vec::new()));
        }
        let files = self.names(&conflicts.into_iter().collect::<Vec<_>>());
        let what = format!("{things} that {alike} under different labels, kept: look which label is right");
        self.tell(FindingKind::LabelConflict, Severity::Serious, &what, files);
    }

    /// Leaves out what is also in a split that matters more. Groups are taken whole: one that is alike only
    /// through a third is left out too, since a leak missed costs more than an example.
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
                let same = held_out().find(|&other| self.digests[other] == self.digests[index]);
                if let Some(other) = same.or_else(|| held_out().next()) {
                    leaks.entry((split(index), split(other), same.is_some())).or_default().push((index, other));
                }
            }
        }
        for ((from, to, exact), pairs) in leaks {
            let Wording { things, alike, .. } = self.wording;
            let how = if exact { "are also".to_owned() } else { format!("{alike} as {things}") };
            let (from, to) = (from.name(), to.name());
            let what = format!("{things} of {from} that {how} in {to}, left out of {from}");
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
                Targets::Values(_) | Targets::Tags(_) | Targets::Answers(_) => Vec::new(),
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
        let things = self.wording.things;
        let mut short = [Shortage::TooFew, Shortage::NoTraining, Shortage::Few].map(|shortage| (shortage, Vec::new()));
        for (label, count) in classes.iter().enumerate() {
            let class = plain(&count.class);
            if !listed.contains(&label) {
                short[1].1.push(class.into_owned());
            } else if count.train < LEAST {
                short[0].1.push(format!("{class} has {}", count.train));
            } else if count.train < FEW {
                short[2].1.push(format!("{class} has {}", count.train));
            }
        }
        self.tell_shortages("class", "classes", classes.len(), &short);
        let mut about = |kind, severity, message| self.findings.push(Finding::new(kind, severity, message, Vec::new()));
        // Smaller classes are left out, or the data is refused.
        let present = || classes.iter().filter(|count| count.train >= LEAST);
        let (largest, smallest) =
            (present().max_by_key(|count| count.train), present().min_by_key(|count| count.train));
        if let (Some(largest), Some(smallest)) = (largest, smallest)
            && largest.train > IMBALANCE * smallest.train
        {
            let message = format!(
                "imbalance: {} training {things} of {}, {} of {}; accuracy alone will flatter the large class",
                largest.train,
                plain(&largest.class),
                smallest.train,
                plain(&smallest.class)
            );
            about(FindingKind::Imbalance, Severity::Warning, message);
        }
        self.few_in_all();
    }

    /// One finding for each shortage, of all the classes, or labels, that have it.
    pub(super) fn tell_shortages(&mut self, one: &str, many: &str, of: usize, short: &[(Shortage, Vec<String>)]) {
        for (shortage, named) in short.iter().filter(|(_, named)| !named.is_empty()) {
            let (kind, severity, what) = shortage.told(self.wording.things);
            let shown = first_of(named, SHOWN);
            let message = match named.len() {
                1 => format!("a {one} with {what}: {shown}"),
                count => format!("{count} of {of} {many} with {what}: {shown}"),
            };
            self.findings.push(Finding::new(kind, severity, message, Vec::new()));
        }
    }

    pub(super) fn few_in_all(&mut self) {
        let total = self.usable_training().count();
        if total < FEW_IN_ALL {
            let things = self.wording.things;
            let message = format!("few training {things} in all: {total}; measured numbers will have wide intervals");
            self.findings.push(Finding::new(FindingKind::FewExamples, Severity::Warning, message, Vec::new()));
        }
    }

    /// The training examples that may be used, ascending.
    pub(super) fn usable_training(&self) -> impl Iterator<Item = usize> {
        let examples = self.dataset.examples.iter().enumerate();
        examples
            .filter(|(index, example)| example.split == Split::Train && !self.excluded.contains(index))
            .map(|(index, _)| index)
    }
}
