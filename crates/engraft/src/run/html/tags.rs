//! The sections of a report on spans of words.

use maud::{Markup, html};

use super::format::{Unit, count, name, percent, percent_range};
use super::numbers::{Measure, Source, cards};
use super::parts::{findings, headline_of, places_of, scroll, where_from};
use crate::metrics::{SpanEvaluation, TypeMetrics};
use crate::run::blocks::{HeldBlock, NamedSpan, SpanMistake, TagsReport};
use crate::run::report::Report;

const MEASURES: [Measure; 5] = [
    Measure { name: "Span F1", meaning: "type, beginning and end right; higher is better", unit: Unit::Share },
    Measure { name: "Precision", meaning: "share of the spans answered that are right", unit: Unit::Share },
    Measure { name: "Recall", meaning: "share of the true spans that were found", unit: Unit::Share },
    Measure { name: "Macro-F1", meaning: "every type counts alike", unit: Unit::Share },
    Measure { name: "Word accuracy", meaning: "share of words with the right tag; most have none", unit: Unit::Share },
];

/// The answer in one sentence.
pub(crate) fn answer(report: &Report, tags: &TagsReport) -> Markup {
    let places = places(report, tags);
    let f1 = &headline_of(report, &places).span_f1;
    html! {
        p.answer {
            "In sentences like these, it finds spans with an F1 of " strong { (percent(f1.mean)) } " ("
            (percent_range(f1.low, f1.high)) "), measured on " (count(f1.n)) " sentences " (where_from(report)) "."
        }
    }
}

/// What was measured out-of-fold, then on the held-out splits, each with its place.
fn places<'a>(report: &'a Report, tags: &'a TagsReport) -> Vec<(String, &'a SpanEvaluation)> {
    places_of(report, &tags.evaluation, |held| if let HeldBlock::Tags(found) = held { Some(found) } else { None })
}

/// Headline numbers, one source per split.
pub(crate) fn numbers_section(report: &Report, tags: &TagsReport) -> Markup {
    fn source((name, spans): (String, &SpanEvaluation)) -> Source<'_> {
        let estimates = vec![&spans.span_f1, &spans.precision, &spans.recall, &spans.macro_f1, &spans.word_accuracy];
        Source { name, estimates }
    }
    cards(&MEASURES, &places(report, tags).into_iter().map(source).collect::<Vec<_>>())
}

/// Precision, recall and F1 of each type, out-of-fold and of every held-out split.
pub(crate) fn types_section(report: &Report, tags: &TagsReport) -> Markup {
    html! { @for (place, spans) in places(report, tags) { h3 { (place) } (type_table(&spans.per_type)) } }
}

fn type_table(types: &[TypeMetrics]) -> Markup {
    scroll(
        "Types",
        html! {
            table {
                thead { tr {
                    th scope="col" { "Type" } th.number scope="col" { "F1" } th.number scope="col" { "Precision" }
                    th.number scope="col" { "Recall" } th.number scope="col" { "True spans" }
                    th.number scope="col" { "Answered" } th.number scope="col" { "Right" }
                } }
                tbody { @for kind in types { tr {
                    th scope="row" { (name(&kind.name)) }
                    td.number { (percent(kind.f1)) } td.number { (percent(kind.precision)) } td.number { (percent(kind.recall)) }
                    td.number { (count(kind.truth)) } td.number { (count(kind.answered)) } td.number { (count(kind.right)) }
                } } }
            }
        },
    )
}

/// Sentences with the most wrong spans.
pub(crate) fn worst_section(report: &TagsReport) -> Markup {
    findings(&report.worst, span_item)
}

fn span_item(mistake: &SpanMistake) -> Markup {
    let list = |title: &str, spans: &[NamedSpan]| {
        html! { @if !spans.is_empty() {
            p { (title) ": " @for (at, span) in spans.iter().enumerate() {
                @if at > 0 { ", " }
                mark { (name(&mistake.words[span.start..span.end].join(" "))) } " " small { (name(&span.kind)) }
            } }
        } }
    };
    html! {
        li.bad { div {
            p { bdi { (mistake.words.join(" ")) } }
            (list("Missed", &mistake.missed)) (list("Invented", &mistake.invented)) (list("Right", &mistake.right))
            p.caption { (name(&mistake.name)) }
        } }
    }
}
