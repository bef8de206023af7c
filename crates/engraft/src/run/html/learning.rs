//! How sure it is, and how it came to be: the sections with charts.

use maud::{Markup, PreEscaped, html};

use super::charts;
use super::curves;
use super::format::{count, decimal, percent, percent_range, setting};
use super::parts::{Curve, figure, scroll};
use crate::metrics::{CalibrationBin, Evaluation};
use crate::run::blocks::TargetBlock;
use crate::run::report::Report;

/// Closer than this, probability and frequency are called equal.
const EQUAL: f64 = 0.01;

/// The calibration plot and what it says.
pub(crate) fn calibration_section(report: &Evaluation) -> Markup {
    let Some(chart) = charts::calibration(&report.calibration) else {
        return html! { p.empty { "There are no bins to draw." } };
    };
    html! {
        div.beside-figure {
            (figure(
                PreEscaped(chart),
                "On the dotted line, what is said with 90\u{202f}% is right in 90 of 100 cases. Below it the classifier is too \
                 sure, above it too timid. Lines are 95\u{202f}% intervals: one that crosses the dotted line proves nothing.",
            ))
            div {
                (calibration_words(&report.calibration))
                p {
                    "The expected calibration error is about " strong { (percent(report.ece.mean)) }
                    ": what chance alone would give is taken off. It has no interval."
                }
                details { summary { "The " (report.calibration.len()) " points as numbers" } (bins(&report.calibration)) }
            }
        }
    }
}

/// Whether it is too sure on the whole.
fn calibration_words(bins: &[CalibrationBin]) -> Markup {
    let n: usize = bins.iter().map(|bin| bin.count).sum();
    let mean = |of: fn(&CalibrationBin) -> f64| {
        bins.iter().map(|bin| of(bin) * bin.count as f64).sum::<f64>() / n.max(1) as f64
    };
    let (said, right) = (mean(|bin| bin.confidence), mean(|bin| bin.accuracy));
    let judgement = match said - right {
        gap if gap > EQUAL => "it is somewhat too sure of itself",
        gap if gap < -EQUAL => "it is somewhat too timid",
        _ => "on the whole its probabilities mean what they say",
    };
    html! {
        p {
            "On average it gives its answer a probability of " strong { (percent(said)) } " and is right "
            strong { (percent(right)) } " of the time: " (judgement) "."
        }
    }
}

pub(super) fn bins(bins: &[CalibrationBin]) -> Markup {
    scroll(
        "Calibration",
        html! {
            table {
                thead { tr {
                    th.number scope="col" { "Said" } th.number scope="col" { "Right" }
                    th.number scope="col" { "95\u{202f}% interval" } th.number scope="col" { "n" }
                } }
                tbody { @for bin in bins {
                    tr {
                        td.number { (percent(bin.confidence)) } td.number { (percent(bin.accuracy)) }
                        td.number { (percent_range(bin.low, bin.high)) } td.number { (count(bin.count)) }
                    }
                } }
            }
        },
    )
}

/// The path of the head's regularisation, the learning curves of what was trained, and the forecast.
pub(crate) fn section(report: &Report, trainings: &[Curve]) -> Markup {
    let tried: Vec<(f64, f64)> = report.choice.strengths.iter().map(|tried| (tried.strength, tried.loss)).collect();
    let path = charts::strength_path(&tried, report.choice.strength, "C (stricter to the left)", "log-loss");
    html! {
        p.lead {
            @if curves::trained(trainings) {
                "What happened while stages of the network were trained, epoch by epoch, and the strengths of "
                "regularisation that were tried for the classifier’s own head, which is solved exactly."
            } @else {
                "The classifier’s own head is not trained step by step but solved exactly, so it has no learning curve. "
                "What was searched for is the strength of its regularisation."
            }
        }
        div.figures {
            @if let Some(chart) = path {
                (figure(
                    PreEscaped(chart),
                    &format!(
                        "The head: out-of-fold log-loss for each strength tried (lower is better; to the left stricter). \
                         The ring marks the chosen C = {}. A minimum at an edge would mean that too little was tried.",
                        setting(report.choice.strength)
                    ),
                ))
            } @else { p.empty { "No strengths were tried." } }
        }
        @if !report.choice.strengths.is_empty() { details { summary { "The strengths tried, as numbers" } (strengths(report)) } }
        (curves::section(trainings))
        (curves::forecast_part(report))
    }
}

/// The path of the head's strength and the learning curves, of targets that are not classes.
pub(crate) fn of_target(report: &Report, trainings: &[Curve]) -> Markup {
    let (axis, loss) = match &report.target {
        TargetBlock::Numbers { .. } => ("alpha (stricter to the right)", "RMSE"),
        TargetBlock::LabelSets { .. } => ("C (stricter to the left)", "log-loss"),
        _ => ("peak learning rate", "loss"),
    };
    let choice = &report.choice;
    let tried: Vec<(f64, f64)> = choice.strengths.iter().map(|tried| (tried.strength, tried.loss)).collect();
    html! {
        @if let Some(chart) = charts::strength_path(&tried, choice.strength, axis, loss) {
            (figure(
                PreEscaped(chart),
                "The head: loss for each strength tried (lower is better). The ring marks the chosen one. A minimum at an edge \
                 would mean that too little was tried.",
            ))
        }
        @if curves::trained(trainings) { (curves::section(trainings)) }
        @else { p { "The head is not trained step by step but solved exactly, so it has no learning curve." } }
        (curves::forecast_part(report))
    }
}

fn strengths(report: &Report) -> Markup {
    scroll(
        "Strengths tried",
        html! {
            table {
                thead { tr {
                    th.number scope="col" { "C" } th.number scope="col" { "Log-loss" } th.number scope="col" { "Accuracy" }
                    th scope="col" { span.hidden { "Chosen" } }
                } }
                tbody { @for tried in &report.choice.strengths {
                    @let chosen = tried.strength == report.choice.strength;
                    tr.ours[chosen] {
                        td.number { (setting(tried.strength)) } td.number { (decimal(tried.loss, 4)) }
                        td.number { (tried.accuracy.map_or_else(|| "–".into(), percent)) } td { @if chosen { "← chosen" } }
                    }
                } }
            }
        },
    )
}
