//! What the sections of the page share: curves and thumbnails, names, figures, lists that fold.

use maud::{Markup, html};

use super::format::{count, name};
use crate::heads::Metric;
use crate::run::blocks::{HeldBlock, HeldClasses};
use crate::run::report::Report;
use crate::train::EpochRecord;

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

/// What one example is called.
pub(super) fn examples(report: &Report, how_many: usize) -> &str {
    let several = report.data.unit.as_str();
    if how_many == 1 { several.strip_suffix('s').unwrap_or(several) } else { several }
}

/// What distances mean.
pub(super) fn scale(metric: Metric) -> &'static str {
    match metric {
        Metric::Direction => " (0 is the same, 2 the opposite).",
        Metric::Distance => " (in standard deviations of columns).",
    }
}

/// The held-out splits of classes, each with its name.
pub(super) fn held_classes(report: &Report) -> impl Iterator<Item = (&str, &HeldClasses)> {
    report.held_out.iter().filter_map(|held| match &held.measures {
        HeldBlock::Classes(measures) => Some((held.split.as_str(), &**measures)),
        _ => None,
    })
}

/// The held-out split of classes that the answer is taken from. None, and the answer is out-of-fold.
pub(super) fn headline(report: &Report) -> Option<(&str, &HeldClasses)> {
    let split = report.headline()?.split.as_str();
    held_classes(report).find(|(name, _)| *name == split)
}

/// What was measured out-of-fold, then on the held-out splits, each with its place.
pub(super) fn places_of<'a, T>(
    report: &'a Report,
    own: &'a T,
    of: impl Fn(&'a HeldBlock) -> Option<&'a T>,
) -> Vec<(String, &'a T)> {
    let held =
        report.held_out.iter().filter_map(|held| Some((format!("held-out {}", held.split), of(&held.measures)?)));
    [("out-of-fold".to_owned(), own)].into_iter().chain(held).collect()
}

/// The numbers of the place that the answer is taken from.
pub(super) fn headline_of<'a, T>(report: &Report, places: &[(String, &'a T)]) -> &'a T {
    let name = report.headline().map(|held| format!("held-out {}", held.split));
    let headline = places.iter().find(|(place, _)| name.as_ref() == Some(place));
    headline.or_else(|| places.first()).map(|(_, numbers)| *numbers).expect("something was measured")
}

/// Of which data the answer was measured.
pub(super) fn where_from(report: &Report) -> &'static str {
    match report.headline() {
        Some(_) => "it was not trained on",
        None => "of the training data, each answered by a copy that had not been trained on it",
    }
}

/// The name of a class by its number; a number outside the list (an older or edited report) is shown as such.
pub(super) fn class_name(report: &Report, class: usize) -> Markup {
    match report.data.classes.get(class) {
        Some(known) => name(known),
        None => html! { "class " (class) },
    }
}

/// A figure with what to see in it.
pub(super) fn figure(body: Markup, caption: &str) -> Markup {
    html! { figure { (body) figcaption { (caption) } } }
}

/// A table, or whatever else may be wide, in a box of its own that scrolls instead of the page.
pub(super) fn scroll(label: &str, body: Markup) -> Markup {
    html! { div.scroll tabindex="0" role="region" aria-label=(label) { (body) } }
}

/// A list that is cut after `shown` rows, with the rest to be opened.
pub(super) fn folded(summary_of_rest: &str, shown: Markup, rest: Option<Markup>) -> Markup {
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
pub(super) fn findings<T>(mistakes: &[T], item: impl Fn(&T) -> Markup) -> Markup {
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
