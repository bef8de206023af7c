//! The report as one HTML page: `report.json` for people.
//!
//! Invariant: the page stands alone. It has no script, no link to anything outside itself and no font of its own, so
//! that it reads the same from a disk, in a mail and in ten years. Names of classes and files are not trusted: they
//! reach the page through [`maud`]'s escaping only, and never a chart.

mod adaptation;
mod answer;
mod answers;
mod audit;
mod baselines;
mod charts;
mod classes;
mod columns;
mod comparison;
mod curves;
mod format;
mod frame;
mod gallery;
mod learning;
mod multi_label;
mod number_charts;
mod numbers;
mod parts;
mod provenance;
mod regression;
#[cfg(test)]
mod sample;
mod tags;
#[cfg(test)]
mod targets_tests;
#[cfg(test)]
mod tests;
mod texts;
mod word_vectors;

use super::blocks::TargetBlock;
use super::report::Report;
pub(super) use comparison::render_comparison;
use frame::{GENERATOR, Section, data_name, page};
pub use parts::{Curve, Thumbnail};
pub use word_vectors::render_word_vectors;

/// Whether a file is a page of this module: what `report` may write over.
pub fn is_page(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(2048)];
    let mark = format!("name=\"generator\" content=\"{GENERATOR}");
    bytes.starts_with(b"<!DOCTYPE html>") && head.windows(mark.len()).any(|part| part == mark.as_bytes())
}

/// The report as one HTML page that needs nothing outside itself.
///
/// `curves` are those of everything that was trained, `images` what is shown of mistakes and suspected labels (where one
/// is missing the page says so in words), `reproduce` the command line that gives this report again. What is missing
/// from the report is told as missing; equal arguments give equal pages.
pub fn render(report: &Report, curves: &[Curve], images: &[Thumbnail], reproduce: &str) -> String {
    let title = data_name(&report.data.path);
    let mut sections = of_target(report, curves, images);
    if let Some(table) = &report.table {
        sections.insert(1, ("columns", "What it goes by", columns::section(table)));
    }
    if let Some(texts) = &report.text {
        let mistakes = sections.iter().position(|(id, _, _)| *id == "mistakes").unwrap_or(sections.len() - 1);
        sections.insert(mistakes + 1, ("texts", "Lengths, and words it does not know", texts::section(texts)));
    }
    if let Some(adaptation) = &report.adaptation {
        sections.insert(0, ("adaptation", "The target", adaptation::section(adaptation, &report.data.unit)));
    }
    let one = if matches!(report.target, TargetBlock::Classes(_)) { "class" } else { "label" };
    sections.extend([
        ("audit", "What the audit found in the data", audit::of(&report.data.audit, &report.data.unit, one)),
        ("choices", "Choices made, and why", provenance::choices_section(report)),
        ("reproduce", "How to get this again", provenance::reproduce_section(report, reproduce)),
    ]);
    page(&report.version, &title, answer::header(report, &title), &sections, "report.json")
}

/// What only a kind of target has to show, and how it was learnt.
fn of_target(report: &Report, curves: &[Curve], images: &[Thumbnail]) -> Vec<Section> {
    const NUMBERS: &str = "Headline numbers";
    const TRUST: &str = "Can its probabilities be trusted?";
    let mut sections = match &report.target {
        TargetBlock::Classes(classes) => {
            return vec![
                ("numbers", NUMBERS, numbers::section(report, classes)),
                ("confusion", "What is taken for what", classes::confusion_section(report, classes)),
                ("classes", "Class by class", classes::table_section(report, classes)),
                ("calibration", TRUST, learning::calibration_section(&classes.evaluation)),
                ("learning", "How it learned", learning::section(report, curves)),
                (
                    "mistakes",
                    "Mistakes and suspicious labels",
                    match &report.text {
                        Some(texts) => texts::mistakes_section(classes, texts),
                        None => gallery::section(classes, images),
                    },
                ),
            ];
        }
        TargetBlock::Numbers { regression } => vec![
            ("numbers", NUMBERS, regression::numbers_section(report, regression)),
            ("errors", "Where it is off", regression::errors_section(regression)),
            ("intervals", "Can its intervals be trusted?", regression::intervals_section(report, regression)),
            ("mistakes", "The largest errors", regression::worst_section(regression, images)),
        ],
        TargetBlock::LabelSets { multi_label } => vec![
            ("numbers", NUMBERS, multi_label::numbers_section(report, multi_label)),
            ("labels", "Label by label", multi_label::labels_section(report, multi_label)),
            ("together", "What is taken for what", multi_label::together_section(report, multi_label)),
            ("calibration", TRUST, multi_label::calibration_section(multi_label)),
            ("mistakes", "Mistakes and suspicious labels", multi_label::mistakes_section(multi_label, images)),
        ],
        TargetBlock::Tags { tags } => vec![
            ("numbers", NUMBERS, tags::numbers_section(report, tags)),
            ("types", "Type by type", tags::types_section(report, tags)),
            ("mistakes", "The worst mistakes", tags::worst_section(tags)),
        ],
        TargetBlock::Answers { answers } => vec![
            ("numbers", NUMBERS, answers::numbers_section(report, answers)),
            ("mistakes", "The worst mistakes", answers::worst_section(answers)),
        ],
    };
    sections.push(("learning", "How it learned", learning::of_target(report, curves)));
    sections.push(("baselines", "Beside baselines", baselines::section(&report.controls.baselines)));
    sections
}
