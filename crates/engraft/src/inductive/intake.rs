//! Data to work on: opened, inspected, audited, and refused where it cannot be worked on.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::data::audit::{Audit, audit};
use crate::data::image::Limits;
use crate::data::inspect::{Inspection, InspectionStore, inspect_all};
use crate::data::{Dataset, Severity, Split, open};
use crate::error::{Error, Problem, Result};
use crate::files;
use crate::progress::Observer;

/// A labelled data set with everything that is known of it before any training.
#[derive(Debug)]
pub struct Intake {
    /// The examples.
    pub dataset: Dataset,
    /// What is wrong with them.
    pub audit: Audit,
    /// SHA-256 of every example's bytes; empty where they cannot be read.
    pub digests: Vec<String>,
}

impl Intake {
    /// Opens, inspects and audits `path`.
    pub fn read(path: &Path, limits: &Limits, store: &dyn InspectionStore, observer: &dyn Observer) -> Result<Self> {
        let (dataset, findings) = open(path)?;
        let inspections = inspect_all(&dataset, limits, store, observer)?;
        let audit = audit(&dataset, &inspections, findings);
        let digests = inspections.into_iter().map(|Inspection { sha256, .. }| sha256).collect();
        Ok(Self { dataset, audit, digests })
    }

    /// Refuses data that nothing can be learnt from, and with `strict` data with any finding worse than information.
    pub fn require_usable(&self, strict: bool) -> Result<()> {
        let place = &self.dataset.root;
        if strict && let Some(worst) = self.audit.worst().filter(|worst| *worst >= Severity::Warning) {
            let kind = if worst == Severity::Error { "errors" } else { "warnings" };
            return Err(Error::Data(
                Problem::new(format_args!("the audit found {kind}, and --strict makes them fatal"))
                    .found(self.audit.render().trim_end().replace('\n', "\n    "))
                    .at(place)
                    .hint("mend the data, or leave out --strict"),
            ));
        }
        let train = self.usable(Split::Train);
        let mut counts = vec![0usize; self.dataset.classes.len()];
        for &index in &train {
            counts[self.dataset.examples[index].label] += 1;
        }
        let few: Vec<String> = self
            .dataset
            .classes
            .iter()
            .zip(&counts)
            .filter(|(_, count)| **count < 2)
            .map(|(class, count)| format!("{class} has {count}"))
            .collect();
        if !few.is_empty() {
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

    /// SHA-256 over the names, labels, splits and contents of all examples: equal data, equal fingerprint.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for (example, digest) in self.dataset.examples.iter().zip(&self.digests) {
            let class = &self.dataset.classes[example.label];
            for part in [example.name.as_str(), class, example.split.name(), digest] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part.as_bytes());
            }
        }
        files::hex(&hash.finalize())
    }
}
