//! Groups that were asked for: put together, told where they stand in two splits, where examples have none, and where there are
//! too few of them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, FindingKind, Grouped, Severity, Work, plain};
use crate::data::dataset::{Split, Targets};
use crate::error::first_of;

/// Classes that are named.
const SHOWN: usize = 5;

impl Work<'_> {
    /// Puts examples of one group together; nothing where no groups are asked for.
    pub(super) fn given_groups(&mut self) -> Option<Grouped> {
        let grouping = &self.dataset.grouping;
        if !grouping.is_asked() {
            return None;
        }
        let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut without = Vec::new();
        for (index, example) in self.dataset.examples.iter().enumerate() {
            match &example.group {
                Some(group) => members.entry(group).or_default().push(index),
                None => without.push(index),
            }
        }
        let (by, things) = (grouping.told(), self.wording.things);
        self.straddling(members.values(), &by);
        let names = without.iter().map(|&index| self.name(index)).collect();
        let what = format!("{things} without a group ({by}), each taken as one of its own");
        self.tell(FindingKind::NoGroup, Severity::Info, &what, names);
        let few = match (members.len(), without.is_empty()) {
            (0, _) => Some(format!("no group is named ({by}): all of it is empty")),
            (1, true) => Some(format!("all {things} are of one group ({by}): none can be held out from it")),
            _ => None,
        };
        match few {
            Some(message) => {
                self.findings.push(Finding::new(FindingKind::FewGroups, Severity::Serious, message, Vec::new()));
            }
            None => self.confined(&members, &by),
        }
        for members in members.values() {
            members[1..].iter().for_each(|&other| {
                self.groups.join(members[0], other);
            });
        }
        Some(Grouped { by, groups: members.len(), without: without.len() })
    }

    /// Leaves out what is of a group that is also in a split that matters more.
    fn straddling<'m>(&mut self, groups: impl Iterator<Item = &'m Vec<usize>>, by: &str) {
        let split = |index: usize| self.dataset.examples[index].split;
        // Of each two splits the groups that are in both, and the examples with one that they share a group with.
        type Leak = (usize, Vec<(usize, usize)>);
        let mut leaks: BTreeMap<(Split, Split), Leak> = BTreeMap::new();
        for members in groups {
            let usable: Vec<usize> = members.iter().copied().filter(|index| !self.excluded.contains(index)).collect();
            for from in [Split::Train, Split::Val] {
                let Some(&kept) = usable.iter().find(|&&other| split(other) > from) else { continue };
                let own = usable.iter().filter(|&&index| split(index) == from);
                let pairs: Vec<(usize, usize)> = own.map(|&index| (index, kept)).collect();
                if !pairs.is_empty() {
                    let (count, all) = leaks.entry((from, split(kept))).or_default();
                    *count += 1;
                    all.extend(pairs);
                }
            }
        }
        for ((from, to), (count, pairs)) in leaks {
            let (from, to, things) = (from.name(), to.name(), self.wording.things);
            let groups = if count == 1 { "1 group".to_owned() } else { format!("{count} groups") };
            let what =
                format!("{things} of {from} whose group ({by}) is also in {to}, of {groups}, left out of {from}");
            let files = self.names(&pairs);
            self.tell(FindingKind::GroupLeak, Severity::Warning, &what, files);
            self.excluded.extend(pairs.iter().map(|pair| pair.0));
        }
    }

    /// Tells of classes that only one group has: whoever answers it has learnt from none of the class.
    fn confined(&mut self, members: &BTreeMap<&str, Vec<usize>>, by: &str) {
        let train: BTreeSet<usize> = self.usable_training().collect();
        let group_of: BTreeMap<usize, usize> = members
            .values()
            .enumerate()
            .flat_map(|(group, all)| all.iter().map(move |&index| (index, group)))
            .collect();
        let mut groups_of: Vec<BTreeSet<(bool, usize)>> = vec![BTreeSet::new(); self.dataset.classes.len()];
        for &index in &train {
            // An example without a group is one of its own.
            let group = group_of.get(&index).map_or((false, index), |&group| (true, group));
            match &self.dataset.targets {
                Targets::Classes => {
                    groups_of[self.dataset.examples[index].label].insert(group);
                }
                Targets::Labels(sets) => {
                    let own = groups_of.iter_mut().zip(&sets[index]).filter(|(_, has)| **has);
                    own.for_each(|(groups, _)| {
                        groups.insert(group);
                    });
                }
                Targets::Values(_) | Targets::Tags(_) | Targets::Answers(_) => {}
            }
        }
        let few = self.dataset.classes.iter().zip(&groups_of).filter(|(_, groups)| groups.len() == 1);
        let few: Vec<String> = few.map(|(class, _)| plain(class).into_owned()).collect();
        if !few.is_empty() {
            let shown = first_of(&few, SHOWN);
            let message = format!(
                "{} of {} classes are in one group alone ({by}): {shown}; out of fold they are answered by models that have \
                 not seen them, and always wrong",
                few.len(),
                self.dataset.classes.len()
            );
            self.findings.push(Finding::new(FindingKind::FewGroups, Severity::Warning, message, Vec::new()));
        }
    }
}
