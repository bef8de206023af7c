//! What is wrong with a data set, before anything is trained on it.
//!
//! Nothing is dropped in silence: every example that is left out stands in a finding that says why. Nothing is changed
//! on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::dataset::{Dataset, Split, Targets};
pub use super::finding::{Finding, FindingKind, Severity};
use super::inspect::{BadKind, Inspection, Outcome};
use super::left_out::Left;
use super::near::{Look, search};
use crate::error::{Error, Problem, Result, printable_text as plain};
use work::{FEW, LEAST, Shortage};
pub(super) use work::{Wording, Work};

#[path = "audit_groups.rs"]
mod groups;
#[path = "audit_targets.rs"]
mod targets;
#[path = "audit_work.rs"]
mod work;

/// Files shown for each finding in the terminal.
const SHOWN: usize = 10;

/// The result of an audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "AuditFile", into = "AuditFile")]
pub struct Audit {
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// Indices into [`Dataset::examples`] that nothing may be trained or measured on; each is in a finding.
    pub excluded: BTreeSet<usize>,
    /// For every example the group it is in: exact and near duplicates share one, and so do examples of one group that was
    /// asked for, so that cross-validation keeps them in one fold. A group is named by its smallest index.
    pub groups: Vec<usize>,
    /// The number of examples, excluded ones included.
    pub examples: usize,
    /// Counts for every class (or label), in the order of [`Dataset::classes`]; none in regression.
    pub classes: Vec<ClassCount>,
    /// The groups that were asked for; they are a part of `groups`.
    pub grouped: Option<Grouped>,
}

/// Groups that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grouped {
    /// What says which examples belong together.
    pub by: String,
    /// Number of groups; an example without one is none.
    pub groups: usize,
    /// Examples without a group.
    pub without: usize,
}

/// An audit as JSON: of groups those that more than one example share, so that its length follows what was found.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuditFile {
    findings: Vec<Finding>,
    excluded: BTreeSet<usize>,
    groups: Vec<Vec<usize>>,
    examples: usize,
    classes: Vec<ClassCount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grouped: Option<Grouped>,
}

impl From<Audit> for AuditFile {
    fn from(Audit { findings, excluded, groups, examples, classes, grouped }: Audit) -> Self {
        let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        groups.iter().enumerate().for_each(|(example, &group)| members.entry(group).or_default().push(example));
        let groups = members.into_values().filter(|members| members.len() > 1).collect();
        Self { findings, excluded, groups, examples, classes, grouped }
    }
}

impl From<AuditFile> for Audit {
    fn from(AuditFile { findings, excluded, groups: shared, examples, classes, grouped }: AuditFile) -> Self {
        let mut groups: Vec<usize> = (0..examples).collect();
        for members in shared {
            for &member in &members {
                if let Some(group) = groups.get_mut(member) {
                    *group = members[0];
                }
            }
        }
        Self { findings, excluded, groups, examples, classes, grouped }
    }
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
/// - Files that cannot be read or are not whole images are excluded.
/// - Duplicates, exact or near, are kept and share a group.
/// - One image under two labels is an error; exact copies are all excluded (nobody knows which label is right), near
///   copies are kept.
/// - An image in two splits is excluded from the one that matters less: from `train` when it is also in `val` or
///   `test`, from `val` when it is also in `test`. Held-out numbers would otherwise measure memory.
/// - Images of one group (see `--group-column`, `--group-by`) share a fold; one whose group is also in a split that matters more is
///   excluded, as copies are.
/// - Classes with few usable training images, imbalance, and few images in all are told.
/// - In multi-label a label is the whole set; labels that few or nearly all images have, and images without any, are
///   told. In regression images without a finite number are excluded; near copies contradict each other when their
///   numbers lie more than a standard deviation apart; numbers far outside are told.
///
/// # Panics
/// When there is not one inspection per example.
pub fn audit(dataset: &Dataset, inspections: &[Inspection], layout_findings: Vec<Finding>) -> Audit {
    assert_eq!(dataset.examples.len(), inspections.len(), "one inspection per example");
    let digest = |inspection: &Inspection| {
        matches!(inspection.outcome, Outcome::Image { .. }).then(|| inspection.sha256.clone())
    };
    let mut work = Work::new(dataset, &IMAGES, inspections.iter().map(digest).collect(), layout_findings);
    bad_files(&mut work, inspections);
    bad_profiles(&mut work, inspections);
    unended(&mut work, inspections);
    work.bad_values();
    let contents = work.contents();
    work.exact(&contents);
    let looks: Vec<Look> = contents
        .iter()
        .filter_map(|content| match &inspections[content[0]].outcome {
            Outcome::Image { thumbnail, width, height, .. } => Some(Look { thumbnail, size: (*width, *height) }),
            Outcome::Bad { .. } => None,
        })
        .collect();
    work.near(&contents, |wanted, found| search(&looks, wanted, found));
    work.finish()
}

const IMAGES: Wording = Wording { things: "images", one: "file", copies: "exact copies", alike: "look the same" };

/// Leaves out files that are not whole images.
fn bad_files(work: &mut Work, inspections: &[Inspection]) {
    let mut bad: BTreeMap<BadKind, (Left, Vec<usize>)> = BTreeMap::new();
    for (index, inspection) in inspections.iter().enumerate() {
        if let Outcome::Bad { kind, reason } = &inspection.outcome {
            let (left, indices) = bad.entry(*kind).or_default();
            left.note(reason, &work.name(index));
            indices.push(index);
        }
    }
    for (kind, (left, indices)) in bad {
        let (kind, what) = match kind {
            BadKind::Unreadable => (FindingKind::Unreadable, "files that cannot be read, left out"),
            BadKind::NotAnImage => (FindingKind::NotAnImage, "files that are not images, left out"),
            BadKind::Damaged => (FindingKind::Damaged, "damaged or cut-off images, left out"),
            BadKind::TooLarge => (FindingKind::TooLarge, "images over the limits on size, left out"),
            BadKind::Unsupported => (FindingKind::Unsupported, "images of a kind that is not read, left out"),
        };
        work.findings.extend(left.finding(kind, what));
        work.excluded.extend(indices);
    }
}

/// Names images that end before their end marker.
fn unended(work: &mut Work, inspections: &[Inspection]) {
    let is_unended = |inspection: &Inspection| matches!(inspection.outcome, Outcome::Image { unended: true, .. });
    let files = (0..inspections.len()).filter(|&index| is_unended(&inspections[index])).map(|index| work.name(index));
    let files = files.collect();
    let what = "images without their end marker, of which every pixel is there, kept";
    work.tell(FindingKind::NoEndMarker, Severity::Warning, what, files);
}

/// Names images whose colour profile is ignored.
fn bad_profiles(work: &mut Work, inspections: &[Inspection]) {
    let ignored = inspections.iter().enumerate().filter_map(|(index, inspection)| match &inspection.outcome {
        Outcome::Image { profile: Some(_), .. } => Some(work.name(index)),
        _ => None,
    });
    let files = ignored.collect();
    let what = "images whose colour profile is damaged or does not fit, taken as sRGB";
    work.tell(FindingKind::ColourProfile, Severity::Info, what, files);
}

impl Grouped {
    /// `24 groups by column patient; 3 examples of no group`
    pub fn told(&self) -> String {
        let without = match self.without {
            0 => String::new(),
            1 => "; 1 example without one".to_owned(),
            many => format!("; {many} examples without one"),
        };
        format!("{} group{} by {}{without}", self.groups, if self.groups == 1 { "" } else { "s" }, self.by)
    }
}

impl Audit {
    /// The examples of a split that may be used, ascending.
    pub(crate) fn usable(&self, dataset: &Dataset, split: Split) -> Vec<usize> {
        dataset.of(split).into_iter().filter(|index| !self.excluded.contains(index)).collect()
    }

    /// The worst severity found, if anything was.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    /// Refuses, where it is `strict`, data with any finding worse than information.
    ///
    /// # Errors
    /// [`Error::Data`] with all findings.
    pub(crate) fn accept(&self, strict: bool, place: &Path) -> Result<()> {
        let found = match self.worst() {
            Some(Severity::Serious) => "serious findings",
            Some(Severity::Warning) => "warnings",
            Some(Severity::Info) | None => return Ok(()),
        };
        if !strict {
            return Ok(());
        }
        let problem = Problem::new(format_args!("the audit has {found}, and --strict makes them fatal"));
        let problem = problem.found_lines(self.render()).at(place);
        Err(Error::Data(problem.hint("mend the data, or leave out --strict")))
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
        if let Some(grouped) = &self.grouped {
            let _ = writeln!(text, "  {}", plain(&grouped.told()));
        }
        for finding in &self.findings {
            let severity = match finding.severity {
                Severity::Info => "info",
                Severity::Warning => "warning",
                Severity::Serious => "serious",
            };
            let _ = writeln!(text, "{severity}: {}", plain(&finding.message));
            let size = if finding.kind.in_pairs() { 2 } else { 1 };
            let entries = finding.files.chunks(size);
            let more = entries.len().saturating_sub(SHOWN);
            for entry in entries.take(SHOWN) {
                let names: Vec<String> = entry.iter().map(|name| plain(name).into_owned()).collect();
                let _ = writeln!(text, "  {}", names.join("  =  "));
            }
            if more > 0 {
                let _ = writeln!(text, "  and {more} more");
            }
        }
        text
    }
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
