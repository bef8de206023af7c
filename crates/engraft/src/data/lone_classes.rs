//! Classes of which there is too little to learn: left out, where enough others remain, so that one stray image does not
//! cost the whole fit.

use super::audit::Audit;
use super::dataset::{Dataset, Split, Targets};
use super::finding::{Finding, FindingKind, Severity};

/// Usable training examples that a class needs: one to learn from and one to measure by.
const LEAST: usize = 2;
/// Classes that a message names.
const SHOWN: usize = 5;

/// Leaves out the classes with fewer than two usable training examples, where two others remain; a finding says so, which
/// `--strict` makes fatal. `things`: what examples are called.
pub(super) fn leave_out(dataset: &mut Dataset, audit: &mut Audit, things: &str) {
    if dataset.targets != Targets::Classes {
        return;
    }
    let mut counts = vec![0usize; dataset.classes.len()];
    audit.usable(dataset, Split::Train).iter().for_each(|&index| counts[dataset.examples[index].label] += 1);
    let few: Vec<usize> = (0..counts.len()).filter(|&class| counts[class] < LEAST).collect();
    if few.is_empty() || counts.len() - few.len() < 2 {
        return;
    }
    let of_them: Vec<usize> = (0..dataset.examples.len())
        .filter(|&index| few.binary_search(&dataset.examples[index].label).is_ok())
        .collect();
    let mut shown: Vec<String> =
        few.iter().take(SHOWN).map(|&class| format!("{} ({})", dataset.classes[class], counts[class])).collect();
    if few.len() > SHOWN {
        shown.push(format!("and {} more", few.len() - SHOWN));
    }
    let message = format!(
        "classes left out with their {things}, since fewer than {LEAST} usable training {things} teach and measure nothing: {}: {}",
        few.len(),
        shown.join(", ")
    );
    let files = of_them.iter().map(|&index| dataset.examples[index].name.clone()).collect();
    audit.findings.push(Finding::new(FindingKind::SmallClass, Severity::Serious, message, files));
    audit.findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.kind));
    audit.excluded.extend(of_them);
    // What is left out keeps a label that exists; nothing asks for it.
    for example in &mut dataset.examples {
        example.label -= few.partition_point(|&class| class < example.label);
        example.label = example.label.min(dataset.classes.len() - few.len() - 1);
    }
    for &class in few.iter().rev() {
        dataset.classes.remove(class);
        audit.classes.remove(class);
    }
}
