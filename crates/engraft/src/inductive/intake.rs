//! Data to work on: opened, inspected, audited, and refused where it cannot be worked on.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::data::audit::{Audit, audit};
use crate::data::image::Limits;
use crate::data::inspect::{Inspection, InspectionStore, inspect_all};
use crate::data::unite::unite_copies;
use crate::data::{Dataset, Inferred, Reading, Severity, Split, Targets, Task, open_as};
use crate::error::{Error, Problem, Result};
use crate::files;
use crate::progress::Observer;

/// Fewer usable training pictures than this, and a number cannot be learnt and measured.
const LEAST_VALUES: usize = 10;

/// A labelled data set with everything that is known of it before any training.
#[derive(Debug)]
pub struct Intake {
    /// The examples.
    pub dataset: Dataset,
    /// What is wrong with them.
    pub audit: Audit,
    /// SHA-256 of every example's bytes; empty where they cannot be read.
    pub digests: Vec<String>,
    /// What was seen of every example's file.
    pub inspections: Vec<Inspection>,
    /// What is to be learnt, and why that.
    pub inferred: Inferred,
}

impl Intake {
    /// Opens, inspects and audits `path` as pictures of one class each.
    pub fn read(path: &Path, limits: &Limits, store: &dyn InspectionStore, observer: &dyn Observer) -> Result<Self> {
        let reading = Reading { task: Some(Task::SingleLabel), ..Reading::default() };
        Self::read_as(path, &reading, limits, store, observer)
    }

    /// Opens, inspects and audits `path` for any task. In multi-label, files with the same bytes in the folders of several
    /// labels become one picture that has them all.
    pub fn read_as(
        path: &Path,
        reading: &Reading,
        limits: &Limits,
        store: &dyn InspectionStore,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let opened = open_as(path, reading)?;
        let (mut dataset, mut findings) = (opened.dataset, opened.findings);
        let mut inspections = inspect_all(&dataset, limits, store, observer)?;
        if path.is_dir() {
            findings.extend(unite_copies(&mut dataset, &mut inspections));
        }
        let audit = audit(&dataset, &inspections, findings);
        let digests = inspections.iter().map(|inspection| inspection.sha256.clone()).collect();
        Ok(Self { dataset, audit, digests, inspections, inferred: opened.inferred })
    }

    /// Refuses data that nothing can be learnt from, and with `strict` data with any finding worse than information.
    pub fn require_usable(&self, strict: bool) -> Result<()> {
        let place = &self.dataset.root;
        if strict && let Some(worst) = self.audit.worst().filter(|worst| *worst >= Severity::Warning) {
            let kind = if worst == Severity::Error { "errors" } else { "warnings" };
            return Err(Error::Data(
                Problem::new(format_args!("the audit found {kind}, and --strict makes them fatal"))
                    .found_lines(self.audit.render())
                    .at(place)
                    .hint("mend the data, or leave out --strict"),
            ));
        }
        let train = self.usable(Split::Train);
        let mut counts = vec![0usize; self.dataset.classes.len()];
        match &self.dataset.targets {
            Targets::Classes => train.iter().for_each(|&index| counts[self.dataset.examples[index].label] += 1),
            Targets::Labels(sets) => {
                for &index in &train {
                    counts.iter_mut().zip(&sets[index]).for_each(|(count, &has)| *count += usize::from(has));
                }
            }
            Targets::Values(values) => {
                let different = train.iter().any(|&index| values[index] != values[train[0]]);
                if train.len() < LEAST_VALUES || !different {
                    let problem = Problem::new("too few usable pictures to learn a number from")
                        .expected(format!("at least {LEAST_VALUES} usable training pictures with different numbers"));
                    let excluded = self.audit.excluded.len();
                    let found = format!("{}; {excluded} pictures are excluded by the audit", train.len());
                    return Err(Error::Data(problem.found(found).at(place)));
                }
            }
        }
        let few: Vec<String> = self
            .dataset
            .classes
            .iter()
            .zip(&counts)
            .filter(|(_, count)| **count < 2)
            .map(|(class, count)| format!("{class} has {count}"))
            .collect();
        // Rare labels beside learnable ones are usual in multi-label: the audit tells them, and they are never answered.
        let refused = match self.dataset.task() {
            Task::MultiLabel => few.len() == counts.len(),
            _ => !few.is_empty(),
        };
        if refused {
            let excluded = self.audit.excluded.len();
            return Err(Error::Data(
                Problem::new("too few usable pictures to learn a class from")
                    .expected("at least 2 usable training pictures in every class, better 20")
                    .found(format_args!("{}; {excluded} pictures are excluded by the audit", few.join(", ")))
                    .at(place)
                    .hint("`engraft audit` names every excluded file and why"),
            ));
        }
        Ok(())
    }

    /// Indices of the examples of a split that may be used.
    pub fn usable(&self, split: Split) -> Vec<usize> {
        self.audit.usable(&self.dataset, split)
    }

    /// Paths and digests of examples, for feature extraction.
    pub fn pictures(&self, which: &[usize]) -> Vec<(PathBuf, String)> {
        which.iter().map(|&index| (self.dataset.examples[index].path.clone(), self.digests[index].clone())).collect()
    }

    /// Labels of examples.
    pub fn labels(&self, which: &[usize]) -> Vec<usize> {
        which.iter().map(|&index| self.dataset.examples[index].label).collect()
    }

    /// Sets of labels of examples, `[examples, labels]`; nothing in other tasks.
    pub fn label_sets(&self, which: &[usize]) -> Vec<bool> {
        match &self.dataset.targets {
            Targets::Labels(sets) => which.iter().flat_map(|&index| sets[index].iter().copied()).collect(),
            _ => Vec::new(),
        }
    }

    /// Numbers of examples; nothing in other tasks than regression.
    pub fn values(&self, which: &[usize]) -> Vec<f64> {
        match &self.dataset.targets {
            Targets::Values(values) => which.iter().map(|&index| values[index]).collect(),
            _ => Vec::new(),
        }
    }

    /// SHA-256 over the names, labels, splits and contents of all examples: equal data, equal fingerprint.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for (index, (example, digest)) in self.dataset.examples.iter().zip(&self.digests).enumerate() {
            let target = self.dataset.target_text(index);
            for part in [example.name.as_str(), &target, example.split.name(), digest] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part.as_bytes());
            }
        }
        files::hex(&hash.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::inspect::NoStore;
    use crate::progress::Silent;
    use rand::RngExt;

    /// A patchwork of its own for every seed.
    fn picture(path: &Path, seed: u64) {
        let mut stream = crate::rng::rng(seed, "picture", 0);
        let patches = image::RgbImage::from_fn(8, 8, |_, _| image::Rgb(stream.random()));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::imageops::resize(&patches, 32, 32, image::imageops::FilterType::Triangle).save(path).unwrap();
    }

    fn read(path: &Path, task: Option<Task>) -> Result<Intake> {
        let reading = Reading { task, ..Reading::default() };
        Intake::read_as(path, &reading, &Limits::default(), &NoStore, &Silent)
    }

    #[test]
    fn tables_of_numbers_and_of_label_sets_are_taken_in() {
        let temp = tempfile::tempdir().unwrap();
        let (mut numbers, mut sets) = ("path,label\n".to_owned(), "path,label\n".to_owned());
        for i in 0..14 {
            picture(&temp.path().join(format!("{i:02}.png")), i);
            numbers += &format!("{i:02}.png,{}\n", if i == 5 { "NA".into() } else { format!("{i}.5") });
            sets += &format!("{i:02}.png,{}\n", ["a|b", "a", ""][i as usize % 3]);
        }
        let table = temp.path().join("numbers.csv");
        std::fs::write(&table, numbers).unwrap();
        let intake = read(&table, None).unwrap();
        assert_eq!(intake.inferred.task, Task::Regression);
        let train = intake.usable(Split::Train);
        assert_eq!((train.len(), intake.values(&train)[0], intake.values(&train)[5]), (13, 0.5, 6.5));
        intake.require_usable(false).unwrap();
        let before = intake.fingerprint();
        std::fs::write(&table, "path,label\n00.png,0.5\n01.png,0.5\n").unwrap();
        let intake = read(&table, Some(Task::Regression)).unwrap();
        assert!(intake.require_usable(false).unwrap_err().to_string().contains("different numbers"));
        assert_ne!(intake.fingerprint(), before);

        std::fs::write(&table, sets).unwrap();
        let intake = read(&table, None).unwrap();
        assert_eq!(
            (intake.inferred.task, intake.dataset.classes.as_slice()),
            (Task::MultiLabel, ["a", "b"].map(String::from).as_slice())
        );
        assert_eq!(intake.label_sets(&[0, 1, 2]), [true, true, true, false, false, false]);
        intake.require_usable(false).unwrap();
    }

    #[test]
    fn one_file_in_two_folders_is_one_picture_with_two_labels() {
        let temp = tempfile::tempdir().unwrap();
        for (name, seed) in [("cat/1.png", 1), ("cat/2.png", 2), ("dog/1.png", 1), ("dog/3.png", 3)] {
            picture(&temp.path().join(name), seed);
        }
        let intake = read(temp.path(), Some(Task::MultiLabel)).unwrap();
        assert_eq!(intake.label_sets(&intake.usable(Split::Train)), [true, true, true, false, false, true]);
        assert_eq!(intake.digests.len(), 3);
        let intake = read(temp.path(), None).unwrap();
        assert_eq!(
            (intake.inferred.task, intake.usable(Split::Train).len()),
            (Task::SingleLabel, 2),
            "a conflict of labels"
        );
    }
}
