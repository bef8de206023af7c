//! Texts to work on: opened, audited, and refused where they cannot be worked on.

use std::path::Path;

use crate::config::Fit;
use crate::data::audit::Audit;
use crate::data::text::{Text, TextDataset, TextReading, audit_texts, is_text, open_texts};
use crate::data::{Severity, Split, Task};
use crate::error::{Error, Problem, Result};
use crate::progress::Observer;

/// Whether the data of a fit is texts: a column of texts is named, or it looks like them and no column of paths is.
pub fn is_about_texts(config: &Fit) -> bool {
    config.text.is_some() || config.path_column.is_none() && is_text(&config.data)
}

/// How the texts of a fit are to be read.
///
/// # Errors
/// [`Error::Usage`] for a task that texts cannot have.
pub fn text_reading(config: &Fit) -> Result<TextReading> {
    if let Some(task) = config.task.as_deref().filter(|task| *task != Task::SingleLabel.name()) {
        let problem = Problem::new("texts are learnt by class so far").expected("single-label").found(task);
        return Err(Error::Usage(problem.at("--task")));
    }
    let text = config.text.as_deref().map(|text| text.split(',').map(|name| name.trim().to_owned()).collect());
    Ok(TextReading { text: text.unwrap_or_default(), label: config.label_column.clone() })
}

/// Labelled texts with everything that is known of them before any training.
#[derive(Debug)]
pub struct TextIntake {
    /// The examples.
    pub dataset: TextDataset,
    /// What is wrong with them.
    pub audit: Audit,
    /// SHA-256 of every text.
    pub digests: Vec<String>,
}

impl TextIntake {
    /// Opens and audits `path`; what was found out about its form is told.
    ///
    /// # Errors
    /// [`Error::Data`] where the file or folder holds no labelled texts.
    pub fn read(path: &Path, reading: &TextReading, observer: &dyn Observer) -> Result<Self> {
        let (dataset, findings) = open_texts(path, reading)?;
        for remark in &dataset.source.remarks {
            observer.say(remark);
        }
        observer.check()?;
        let audit = audit_texts(&dataset, findings);
        let digests = dataset.digests();
        Ok(Self { dataset, audit, digests })
    }

    /// Refuses texts that nothing can be learnt from, and with `strict` texts with any finding worse than information.
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
        let mut counts = vec![0usize; self.dataset.classes.len()];
        self.labels(&self.usable(Split::Train)).into_iter().for_each(|label| counts[label] += 1);
        let few: Vec<String> = (self.dataset.classes.iter().zip(&counts))
            .filter(|(_, count)| **count < 2)
            .map(|(class, count)| format!("{class} has {count}"))
            .collect();
        if counts.len() < 2 || !few.is_empty() {
            let found = match few.is_empty() {
                true => format!("{} class", counts.len()),
                false => few.join(", "),
            };
            return Err(Error::Data(
                Problem::new("too few usable texts to learn a class from")
                    .expected("two classes or more, with at least 2 usable training texts each, better 8")
                    .found(format_args!("{found}; {} texts are excluded by the audit", self.audit.excluded.len()))
                    .at(place)
                    .hint("`engraft audit` names every excluded text and why"),
            ));
        }
        Ok(())
    }

    /// Indices of the examples of a split that may be used.
    pub fn usable(&self, split: Split) -> Vec<usize> {
        self.dataset.usable(&self.audit, split)
    }

    /// Texts of examples.
    pub fn texts(&self, which: &[usize]) -> Vec<&Text> {
        which.iter().map(|&index| &self.dataset.examples[index].text).collect()
    }

    /// SHA-256 of the texts of examples.
    pub fn digests_of(&self, which: &[usize]) -> Vec<String> {
        which.iter().map(|&index| self.digests[index].clone()).collect()
    }

    /// Labels of examples.
    pub fn labels(&self, which: &[usize]) -> Vec<usize> {
        which.iter().map(|&index| self.dataset.examples[index].label).collect()
    }

    /// Equal data, equal fingerprint.
    pub fn fingerprint(&self) -> String {
        self.dataset.fingerprint()
    }
}
