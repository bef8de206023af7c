//! The report as one HTML page: `report.json` for people.
//!
//! Invariant: the page stands alone. It has no script, no link to anything outside itself and no font of its own, so
//! that it reads the same from a disk, in a mail and in ten years. Names of classes and files are not trusted: they
//! reach the page through [`maud`]'s escaping only, and never a chart.

mod answer;
mod answers;
mod audit;
mod baselines;
mod charts;
mod classes;
mod columns;
mod curves;
mod format;
mod gallery;
mod learning;
mod multi_label;
mod number_charts;
mod numbers;
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

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::blocks::{HeldBlock, HeldClasses, TargetBlock};
use super::report::Report;
use crate::head::Metric;
use crate::train::EpochRecord;
use format::{count, name};

/// Looks: light, dark and printed.
const STYLE: &str = include_str!("html/style.css");

/// Nothing may be loaded, whatever stands in the page: a second door behind the escaping.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

/// What the name of the program that made a page begins with.
const GENERATOR: &str = "engraft ";

/// Whether a file is a page of this module: what `report` may write over.
pub fn is_page(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(2048)];
    let mark = format!("name=\"generator\" content=\"{GENERATOR}");
    bytes.starts_with(b"<!DOCTYPE html>") && head.windows(mark.len()).any(|part| part == mark.as_bytes())
}

/// A learning curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// What was trained: `final`, `tune/layer4/fold0`, `scratch/fold0`. Curves that share what comes before `/fold` are
    /// drawn together.
    pub(crate) name: String,
    /// Epoch by epoch.
    pub(crate) epochs: Vec<EpochRecord>,
}

/// A small image for the report.
#[derive(Debug, Clone, PartialEq)]
pub struct Thumbnail {
    /// The file it shows, as the report names it.
    pub(crate) file: String,
    /// `image/png`, `image/jpeg`, or `text/plain` for an example that is not an image.
    pub(crate) mime: &'static str,
    /// The file's bytes, or the text in UTF-8.
    pub(crate) bytes: Vec<u8>,
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
    let one = if matches!(report.target, TargetBlock::Classes(_)) { "class" } else { "label" };
    sections.extend([
        ("audit", "What the audit found in the data", audit::of(&report.data.audit, one)),
        ("choices", "Choices made, and why", provenance::choices_section(report)),
        ("reproduce", "How to get this again", provenance::reproduce_section(report, reproduce)),
    ]);
    page(&report.version, &title, answer::header(report, &title), &sections)
}

/// A section: its anchor, its heading and what stands in it.
type Section = (&'static str, &'static str, Markup);

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

/// A whole page: a header, and sections with their anchors and headings.
fn page(version: &str, title: &str, header: Markup, sections: &[Section]) -> String {
    html! {
        (DOCTYPE)
        html lang="en-GB" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ (GENERATOR) (version) };
                title { "Engraft report: " (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (header)
                    nav aria-label="Contents" {
                        @for (id, heading, _) in sections { a href={ "#" (id) } { (heading) } }
                    }
                    @for (id, heading, body) in sections {
                        section id=(id) aria-labelledby={ (id) "-heading" } {
                            h2 id={ (id) "-heading" } { (heading) }
                            (body)
                        }
                    }
                    footer { "Written by engraft " (version) ". The same numbers, for programs, stand in report.json." }
                }
            }
        }
    }
    .into_string()
}

/// The last part of where the data was: what people call it.
fn data_name(path: &str) -> String {
    let path = path.trim_end_matches(['/', '\\']);
    let last = path.rsplit(['/', '\\']).next().unwrap_or_default();
    if last.is_empty() || last == "." { "a data set".into() } else { last.into() }
}

/// What one example is called.
fn examples(report: &Report, how_many: usize) -> &str {
    let several = report.data.unit.as_str();
    if how_many == 1 { several.strip_suffix('s').unwrap_or(several) } else { several }
}

/// What distances mean.
fn scale(metric: Metric) -> &'static str {
    match metric {
        Metric::Direction => " (0 is the same, 2 the opposite).",
        Metric::Distance => " (in standard deviations of columns).",
    }
}

/// The held-out splits of classes, each with its name.
fn held_classes(report: &Report) -> impl Iterator<Item = (&str, &HeldClasses)> {
    report.held_out.iter().filter_map(|held| match &held.measures {
        HeldBlock::Classes(measures) => Some((held.split.as_str(), &**measures)),
        _ => None,
    })
}

/// The held-out split of classes that the answer is taken from. None, and the answer is out-of-fold.
fn headline(report: &Report) -> Option<(&str, &HeldClasses)> {
    let split = report.headline()?.split.as_str();
    held_classes(report).find(|(name, _)| *name == split)
}

/// What was measured out-of-fold, then on the held-out splits, each with its place.
fn places_of<'a, T>(
    report: &'a Report,
    own: &'a T,
    of: impl Fn(&'a HeldBlock) -> Option<&'a T>,
) -> Vec<(String, &'a T)> {
    let held =
        report.held_out.iter().filter_map(|held| Some((format!("held-out {}", held.split), of(&held.measures)?)));
    [("out-of-fold".to_owned(), own)].into_iter().chain(held).collect()
}

/// The numbers of the place that the answer is taken from.
fn headline_of<'a, T>(report: &Report, places: &[(String, &'a T)]) -> &'a T {
    let name = report.headline().map(|held| format!("held-out {}", held.split));
    let headline = places.iter().find(|(place, _)| name.as_ref() == Some(place));
    headline.or_else(|| places.first()).map(|(_, numbers)| *numbers).expect("something was measured")
}

/// Of which data the answer was measured.
fn where_from(report: &Report) -> &'static str {
    match report.headline() {
        Some(_) => "it was not trained on",
        None => "of the training data, each answered by a copy that had not been trained on it",
    }
}

/// The name of a class by its number; a number outside the list (an older or edited report) is shown as such.
fn class_name(report: &Report, class: usize) -> Markup {
    match report.data.classes.get(class) {
        Some(known) => name(known),
        None => html! { "class " (class) },
    }
}

/// A figure with what to see in it.
fn figure(body: Markup, caption: &str) -> Markup {
    html! { figure { (body) figcaption { (caption) } } }
}

/// A table, or whatever else may be wide, in a box of its own that scrolls instead of the page.
fn scroll(label: &str, body: Markup) -> Markup {
    html! { div.scroll tabindex="0" role="region" aria-label=(label) { (body) } }
}

/// A list that is cut after `shown` rows, with the rest to be opened.
fn folded(summary_of_rest: &str, shown: Markup, rest: Option<Markup>) -> Markup {
    html! {
        (shown)
        @if let Some(rest) = rest { details { summary { (summary_of_rest) } (rest) } }
    }
}

/// Mistakes that stand open; more are folded away.
const OPEN: usize = 8;
/// Mistakes that are shown at all; report.json has more.
const SHOWN: usize = 40;

/// A list of mistakes, the first of them open.
fn findings<T>(mistakes: &[T], item: impl Fn(&T) -> Markup) -> Markup {
    let items: Vec<Markup> = mistakes.iter().take(SHOWN).map(item).collect();
    let (open, rest) = items.split_at(items.len().min(OPEN));
    let summary = format!("{} more", rest.len());
    html! {
        @if items.is_empty() { p.empty { "None: every out-of-fold answer is right." } }
        (folded(
            &summary,
            html! { ul.findings { @for item in open { (item) } } },
            (!rest.is_empty()).then(|| html! { ul.findings { @for item in rest { (item) } } }),
        ))
        @if mistakes.len() > SHOWN { p.caption { "report.json has " (count(mistakes.len())) "." } }
    }
}
