//! Headline numbers with their intervals, and what else one would get.

use maud::{Markup, html};

use super::format::{Unit, count, decimal, percent, percent_range, tidy};
use super::parts::{held_classes, scroll};
use crate::metrics::{Estimate, Evaluation};
use crate::run::blocks::ClassesReport;
use crate::run::report::Report;

/// A measure: its name, what is better, how it is written, and what it means.
pub(super) struct Measure {
    pub(crate) name: &'static str,
    pub(crate) meaning: &'static str,
    pub(crate) unit: Unit,
}

const MEASURES: [Measure; 4] = [
    Measure { name: "Accuracy", meaning: "share of right answers; higher is better", unit: Unit::Share },
    Measure { name: "Macro-F1", meaning: "every class counts alike; higher is better", unit: Unit::Share },
    Measure { name: "Log-loss", meaning: "surprise at the truth, in nats; lower is better", unit: Unit::Plain },
    Measure {
        name: "Brier score",
        meaning: "squared error of the probabilities, 0 to 2; lower is better",
        unit: Unit::Plain,
    },
];

/// Where numbers come from, with one estimate per measure.
pub(super) struct Source<'a> {
    pub(crate) name: String,
    pub(crate) estimates: Vec<&'a Estimate>,
}

/// Cards, how they were made, and the controls.
pub(crate) fn section(report: &Report, classes: &ClassesReport) -> Markup {
    let sources = sources(report, classes);
    html! {
        (cards(&MEASURES, &sources))
        h3 { "What else one would get" }
        (controls(report, &classes.evaluation))
    }
}

/// A card per measure, and how the numbers were made.
pub(super) fn cards(measures: &[Measure], sources: &[Source]) -> Markup {
    html! {
        p.lead {
            "Each number with its 95\u{202f}% interval: what other data of the same kind could as well have given. "
            @if sources.len() > 1 {
                "Out-of-fold is cross-validation on the training data; the held-out data took no part in any choice."
            } @else {
                "Out-of-fold: each example is answered by a copy that was trained without it."
            }
        }
        div.cards.single[sources.len() == 1] { @for (at, measure) in measures.iter().enumerate() { (card(measure, at, sources)) } }
        (how(measures, sources))
    }
}

fn sources<'a>(report: &'a Report, classes: &'a ClassesReport) -> Vec<Source<'a>> {
    let source = |name: String, numbers: &'a Evaluation| Source {
        name,
        estimates: vec![&numbers.accuracy, &numbers.macro_f1, &numbers.log_loss, &numbers.brier],
    };
    let held = held_classes(report).map(|(split, held)| source(format!("held-out {split}"), &held.evaluation));
    [source("out-of-fold".into(), &classes.evaluation)].into_iter().chain(held).collect()
}

fn card(measure: &Measure, at: usize, sources: &[Source]) -> Markup {
    html! {
        div.card {
            h3 { (measure.name) }
            div.readings {
                @for source in sources {
                    @let estimate = source.estimates[at];
                    div.reading {
                        span.source { (source.name) }
                        span.value { (measure.unit.value(estimate.mean)) }
                        span.interval { (measure.unit.interval(estimate)) }
                        span.n { "n = " (count(estimate.n)) }
                    }
                }
            }
            p.meaning { (measure.meaning) }
        }
    }
}

/// How the numbers were made. Measures made alike are named together, for the same words five times are read by nobody.
fn how(measures: &[Measure], sources: &[Source]) -> Markup {
    html! {
        dl.notes {
            @for source in sources {
                dt { "How, " (source.name) }
                dd {
                    ul {
                        @for (words, names) in grouped(measures, source) { li { strong { (names.join(", ")) } ": " (tidy(words)) } }
                    }
                }
            }
        }
    }
}

fn grouped<'a>(measures: &[Measure], source: &Source<'a>) -> Vec<(&'a str, Vec<&'static str>)> {
    let mut groups: Vec<(&str, Vec<&'static str>)> = Vec::new();
    for (estimate, measure) in source.estimates.iter().zip(measures) {
        match groups.iter_mut().find(|(how, _)| *how == estimate.how) {
            Some((_, names)) => names.push(measure.name),
            None => groups.push((&estimate.how, vec![measure.name])),
        }
    }
    groups
}

/// A way to get answers, in the table of controls.
struct Row<'a> {
    name: &'a str,
    explanation: String,
    accuracy: &'a Estimate,
    macro_f1: Option<f64>,
    log_loss: Option<f64>,
    ours: bool,
}

fn controls(report: &Report, ours: &Evaluation) -> Markup {
    let mut rows = vec![Row {
        name: "This classifier",
        explanation: format!("base {}, trained after {}", report.base.id, report.choice.cut),
        accuracy: &ours.accuracy,
        macro_f1: Some(ours.macro_f1.mean),
        log_loss: Some(ours.log_loss.mean),
        ours: true,
    }];
    let probe = report.controls.probe.measures.get("accuracy");
    if let Some(accuracy) = probe.filter(|accuracy| **accuracy != ours.accuracy) {
        rows.push(Row {
            name: "Linear probe",
            explanation: "a new head alone, on frozen features".into(),
            accuracy,
            macro_f1: None,
            log_loss: None,
            ours: false,
        });
    }
    let scratch = report.controls.scratch.iter().map(|scratch| {
        let name = if report.text.is_some() { "Small network from scratch" } else { "Same network from scratch" };
        (name, &scratch.how, &scratch.measures)
    });
    let baselines = report.controls.baselines.iter();
    let baselines = baselines.map(|baseline| (baseline.name.as_str(), &baseline.how, &baseline.measures));
    for (name, how, measures) in scratch.chain(baselines) {
        let mean = |name: &str| measures.get(name).map(|estimate| estimate.mean);
        let Some(accuracy) = measures.get("accuracy") else { continue };
        let (macro_f1, log_loss) = (mean("macro_f1"), mean("log_loss"));
        rows.push(Row { name, explanation: how.clone(), accuracy, macro_f1, log_loss, ours: false });
    }
    html! {
        (scroll("Controls", controls_table(&rows)))
        p.caption {
            "Out-of-fold. "
            span.drawn-note { "The bar is the accuracy from 0 to 100\u{202f}%, the band its 95\u{202f}% interval. " }
            @if report.controls.scratch.is_none() { "The from-scratch control was not run. " }
            @if probe == Some(&ours.accuracy) {
                "This classifier is itself a linear probe: a new head on the frozen base."
            }
        }
    }
}

fn controls_table(rows: &[Row]) -> Markup {
    html! {
        table.controls.stacked {
            thead { tr {
                th scope="col" { "Way" }
                th.number scope="col" { "Accuracy" }
                th.drawn scope="col" { span.hidden { "Accuracy drawn" } }
                th.number scope="col" { "Macro-F1" }
                th.number scope="col" { "Log-loss" }
                th.number scope="col" { "n" }
            } }
            tbody { @for row in rows {
                tr.ours[row.ours] {
                    th scope="row" { (row.name) small { (tidy(&row.explanation)) } }
                    td.number data-of="Accuracy" { (percent(row.accuracy.mean)) small { (percent_range(row.accuracy.low, row.accuracy.high)) } }
                    td.drawn { (interval_bar(row.accuracy)) }
                    td.number data-of="Macro-F1" { (row.macro_f1.map_or_else(|| "–".into(), percent)) }
                    td.number data-of="Log-loss" { (row.log_loss.map_or_else(|| "–".into(), |value| decimal(value, 3))) }
                    td.number data-of="n" { (count(row.accuracy.n)) }
                }
            } }
        }
    }
}

/// An accuracy and its interval on a line from 0 to 100 %. For the eye only: the numbers stand beside it.
fn interval_bar(estimate: &Estimate) -> Markup {
    let at = |share: f64| if share.is_finite() { share.clamp(0.0, 1.0) * 100.0 } else { 0.0 };
    let (low, mean, high) = (at(estimate.low), at(estimate.mean), at(estimate.high));
    html! {
        span.bar aria-hidden="true" {
            span.fill style=(format!("width:{mean:.2}%")) {}
            span.band style=(format!("left:{low:.2}%;width:{:.2}%", (high - low).max(0.0))) {}
            span.dot style=(format!("left:{mean:.2}%")) {}
        }
    }
}
