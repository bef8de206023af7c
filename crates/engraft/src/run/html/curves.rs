//! Learning curves over epochs: what they look like, and what they say.

use maud::{Markup, PreEscaped, html};

use super::charts::{self, Quantity};
use super::format::{capital, count, decimal, name, plural, points, tidy};
use super::parts::{Curve, figure, scroll};
use crate::metrics::{Forecast, Outcome};
use crate::run::Report;
use crate::train::{EpochRecord, Finding, diagnose, mean_of_folds};

/// Groups of curves that stand open; more are folded away.
const OPEN: usize = 4;

/// The curves of one training: of its folds, or one.
struct Group<'a> {
    /// What comes before `/fold`.
    name: &'a str,
    curves: Vec<&'a Curve>,
}

/// Curves grouped by what comes before `/fold` and a number, in the order in which groups first appear.
fn groups(curves: &[Curve]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group> = Vec::new();
    for curve in curves.iter().filter(|curve| !curve.epochs.is_empty()) {
        let numbered = |fold: &str| !fold.is_empty() && fold.bytes().all(|byte| byte.is_ascii_digit());
        let parts = curve.name.rsplit_once("/fold").filter(|(_, fold)| numbered(fold));
        let name = parts.map_or(curve.name.as_str(), |(name, _)| name);
        match groups.iter_mut().find(|group| group.name == name) {
            Some(group) => group.curves.push(curve),
            None => groups.push(Group { name, curves: vec![curve] }),
        }
    }
    groups
}

/// Whether any curve is of something else than the from-scratch control.
pub(crate) fn trained(curves: &[Curve]) -> bool {
    groups(curves).iter().any(|group| group.name != "scratch")
}

/// Every group of curves.
pub(crate) fn section(curves: &[Curve]) -> Markup {
    let groups = groups(curves);
    let (open, rest) = groups.split_at(groups.len().min(OPEN));
    html! {
        @if groups.is_empty() {
            p.empty { "There is no learning curve: nothing was trained step by step, and the from-scratch control was not run." }
        }
        @if !groups.is_empty() {
            p.caption {
                "The curves below: “training” is measured while training, before each step and on what training sees "
                "(augmented, with dropout), and may so look worse than “held out”, which is measured after each epoch on "
                "examples that were not trained on."
            }
        }
        @for group in open { (group_part(group)) }
        @if !rest.is_empty() {
            details {
                summary { (rest.len()) " more " (plural(rest.len(), "training", "trainings")) }
                @for group in rest { (group_part(group)) }
            }
        }
    }
}

fn group_part(group: &Group) -> Markup {
    let folds: Vec<Vec<EpochRecord>> = group.curves.iter().map(|curve| curve.epochs.clone()).collect();
    let findings = diagnose(&mean_of_folds(&folds));
    let figures = [(Quantity::Loss, caption(group)), (Quantity::Accuracy, accuracy_caption(&findings).to_owned())];
    html! {
        h3 { (heading(group.name)) }
        p { @for finding in &findings { (sentence(finding)) " " } }
        div.figures {
            @for (quantity, caption) in &figures {
                @if let Some(chart) = charts::learning_curve(&group.curves, *quantity) {
                    (figure(PreEscaped(chart), caption))
                }
            }
        }
    }
}

/// What was trained, as its name tells it.
fn heading(group: &str) -> Markup {
    html! {
        @match group.split_once('/') {
            None if group == "scratch" => { "The control: from scratch" }
            None if group == "final" => { "This classifier, trained on everything" }
            Some(("tune", cut)) => { "Fine-tuned from " (name(cut)) }
            _ => (name(group)),
        }
    }
}

fn caption(group: &Group) -> String {
    let epochs = group.curves.iter().map(|curve| curve.epochs.len()).max().unwrap_or(0);
    let lines = match group.curves.len() {
        1 => "One run".to_owned(),
        folds => format!("Thick: mean of {folds} folds, as far as all got; thin: single folds"),
    };
    format!("Loss over {} {}; lower is better. {lines}.", count(epochs), plural(epochs, "epoch", "epochs"))
}

/// Where the losses part and the answers do not, the page says what to make of it.
fn accuracy_caption(findings: &[Finding]) -> &'static str {
    match findings.iter().any(|finding| matches!(finding, Finding::OverFitting { accuracy_fell: false, .. })) {
        true => {
            "Share of right answers. It holds while the held-out loss rises: what suffers is how sure the answers are, \
             not which they are."
        }
        false => "Share of right answers; higher is better.",
    }
}

/// A finding as a sentence of its own, with what it is in front.
fn sentence(finding: &Finding) -> Markup {
    let text = tidy(&finding.to_string());
    let (what, more) = text.split_once(": ").map_or((text.as_str(), None), |(what, more)| (what, Some(more)));
    html! { strong { (capital(what)) } @if let Some(more) = more { ": " (more) } "." }
}

/// What more labels would bring, if that was looked at.
pub(crate) fn forecast_part(report: &Report) -> Markup {
    let (forecasts, score) = (&report.forecasts, report.target.task().score());
    let known = |forecast: &&Forecast| matches!(forecast.outcome, Outcome::Gain { .. } | Outcome::NoneSeen { .. });
    let rows: Vec<&Forecast> = forecasts.iter().filter(known).collect();
    let law = rows.first().and_then(|forecast| forecast.law);
    html! {
        @if !forecasts.is_empty() {
            h3 { "What more labels would bring" }
            @if rows.is_empty() {
                @for forecast in forecasts.iter().take(1) { p { "Unknown. " (tidy(&forecast.told(score))) "." } }
            } @else { (forecast_table(&rows, score)) }
            @if let Some(law) = law {
                p.caption {
                    "Carried on from what smaller parts of the training data gave, by the law 1 − " (score) " = "
                    (decimal(law.floor, 3)) " + " (decimal(law.scale, 2)) " · n" sup { "−" (decimal(law.exponent, 2)) }
                    ". It holds for more labels of the same kind, not for other kinds of examples."
                    @if let Some(far) = rows.iter().find(|row| row.is_far()) {
                        " With " (count(far.now.saturating_add(far.more))) " in all it goes far beyond the "
                        (count(far.largest)) " that were measured: a guess."
                    }
                }
            }
        }
    }
}

fn forecast_table(rows: &[&Forecast], score: &str) -> Markup {
    scroll(
        "Forecast",
        html! {
            table {
                thead { tr {
                    th.number scope="col" { "More labels" } th.number scope="col" { "In all" }
                    th.number scope="col" { "Gain in " (score) ", points" } th.number scope="col" { "95\u{202f}% interval" }
                } }
                tbody { @for row in rows {
                    @let (gain, low, high) = match row.outcome {
                        Outcome::Gain { gain, low, high } => (Some(gain), low, high),
                        Outcome::NoneSeen { high } => (None, 0.0, high),
                        _ => (None, f64::NAN, f64::NAN),
                    };
                    tr {
                        td.number { (count(row.more)) } td.number { (count(row.now.saturating_add(row.more))) }
                        td.number { @if let Some(gain) = gain { (points(gain)) } @else { "none seen" } }
                        td.number { (decimal(100.0 * low, 1)) " to " (decimal(100.0 * high, 1)) }
                    }
                } }
            }
        },
    )
}
