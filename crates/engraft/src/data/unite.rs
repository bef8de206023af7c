//! One image that lies in the folders of several labels: one example with all of them.

use std::collections::BTreeMap;

use super::dataset::{Dataset, Targets};
use super::finding::{Finding, FindingKind, Severity};
use super::inspect::{Inspection, Outcome};

/// Makes one example of all that have the same bytes and lie in the same split, with the labels of all; the first of
/// them, by name, stays. Inspections go with their examples. Anything but multi-label is left as it is.
///
/// The finding names what was united in pairs: the example that stays, and the one that went into it.
///
/// # Panics
/// When there is not one inspection per example.
pub fn unite_copies(dataset: &mut Dataset, inspections: &mut Vec<Inspection>) -> Vec<Finding> {
    assert_eq!(dataset.examples.len(), inspections.len(), "one inspection per example");
    let Targets::Labels(sets) = &mut dataset.targets else { return Vec::new() };
    let mut first = BTreeMap::new();
    let mut stays = vec![true; inspections.len()];
    let mut pairs = Vec::new();
    for (index, inspection) in inspections.iter().enumerate() {
        if !matches!(inspection.outcome, Outcome::Image { .. }) {
            continue;
        }
        let split = dataset.examples[index].split;
        let kept = *first.entry((inspection.sha256.clone(), split)).or_insert(index);
        if kept != index && sets[kept] != sets[index] {
            let more = std::mem::take(&mut sets[index]);
            sets[kept].iter_mut().zip(more).for_each(|(has, more)| *has |= more);
            stays[index] = false;
            pairs.extend([dataset.examples[kept].name.clone(), dataset.examples[index].name.clone()]);
        }
    }
    if pairs.is_empty() {
        return Vec::new();
    }
    let mut keep = stays.iter();
    sets.retain(|_| *keep.next().unwrap_or(&true));
    let mut keep = stays.iter();
    inspections.retain(|_| *keep.next().unwrap_or(&true));
    let mut keep = stays.iter();
    dataset.examples.retain(|_| *keep.next().unwrap_or(&true));
    // Equal numbers for equal sets, as before.
    let mut different: Vec<&Vec<bool>> = sets.iter().collect();
    different.sort_unstable();
    different.dedup();
    for (example, set) in dataset.examples.iter_mut().zip(sets.iter()) {
        example.label = different.partition_point(|other| *other < set);
    }
    let message =
        format!("the same file under several labels, taken as one image that has them all: {}", pairs.len() / 2);
    vec![Finding::new(FindingKind::ExactDuplicate, Severity::Info, message, pairs)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Task;
    use crate::data::dataset::{Row, Split};
    use std::path::PathBuf;

    fn image(sha256: &str) -> Inspection {
        let outcome = Outcome::Image {
            width: 1,
            height: 1,
            format: "png".into(),
            thumbnail: vec![0; 1024],
            profile: None,
            peak: None,
            unended: false,
        };
        Inspection { sha256: sha256.into(), bytes: 1, outcome }
    }

    #[test]
    fn one_file_in_several_folders_has_their_labels() {
        let rows = [
            ("cat/1", "cat", Split::Train),
            ("cat/2", "cat", Split::Train),
            ("dog/1", "dog", Split::Train),
            ("dog/3", "dog", Split::Train),
            ("dog/4", "dog", Split::Test),
        ];
        let rows = rows.map(|(name, class, split)| Row {
            source: PathBuf::new().into(),
            name: name.into(),
            class: class.into(),
            split,
            group: None,
        });
        let mut dataset = Dataset::assemble(PathBuf::new(), rows.to_vec()).recast(Task::MultiLabel).unwrap();
        let mut inspections = ["x", "y", "x", "z", "x"].map(image).to_vec();
        let findings = unite_copies(&mut dataset, &mut inspections);
        assert_eq!(findings[0].files, ["cat/1", "dog/1"]);
        let texts: Vec<String> = (0..4).map(|index| dataset.target_text(index)).collect();
        assert_eq!(texts, ["cat|dog", "cat", "dog", "dog"]);
        assert_eq!(inspections.iter().map(|one| one.sha256.as_str()).collect::<Vec<_>>(), ["x", "y", "z", "x"]);
        assert_eq!(dataset.examples[2].label, dataset.examples[3].label);
        assert_ne!(dataset.examples[0].label, dataset.examples[1].label);
    }
}
