//! The top of the page: the answer, before any table.

use maud::{Markup, html};

use super::format::{count, name, percent, percent_range, points, points_range, probability};
use super::{classes_counted, examples, headline};
use crate::artefact::report::{BaselineReport, Report, UnsureReport};
use crate::evaluate::Paired;

/// Title, the answer in a sentence, and the two judgements that qualify it.
pub fn header(report: &Report, title: &str) -> Markup {
    html! {
        header {
            p.eyebrow { "Engraft report · " (report.task) }
            h1 { (name(title)) }
            p.facts {
                span { (classes_counted(report)) }
                span { (count(report.data.train)) " training " (examples(report, report.data.train)) }
                span { "base " (name(&report.base.id)) }
            }
            p.answer { (answer(report)) }
            @if headline(report).is_some() { p.beside { (beside(report)) } }
            div.judgements {
                (verdict(report))
                @for baseline in report.controls.baselines.iter().filter(|baseline| baseline.learns) {
                    (against(report, baseline))
                }
                div.judgement {
                    p.badge { span.sign aria-hidden="true" { "?" } "When it is not sure" }
                    p { (unsure(report)) }
                }
            }
        }
    }
}

/// The answer in one sentence.
fn answer(report: &Report) -> Markup {
    let estimate = headline(report).map_or(&report.accuracy, |held| &held.evaluation.accuracy);
    let where_from = match headline(report) {
        Some(_) => "it was not trained on",
        None => "of the training data, each answered by a copy that had not been trained on it",
    };
    let (many, n) = (examples(report, 2), estimate.n);
    html! {
        "On " (many) " like these, this classifier is right "
        strong { (percent(estimate.mean)) } " of the time (" (percent_range(estimate.low, estimate.high))
        "), measured on " (count(n)) " " (examples(report, n)) " " (where_from) "."
    }
}

/// What cross-validation says beside a held-out split.
fn beside(report: &Report) -> Markup {
    let estimate = &report.accuracy;
    let split = headline(report).map_or("", |held| held.split.as_str());
    html! {
        "That is the held-out split " q { (split) } ", looked at once. Cross-validation on the training data gives "
        (percent(estimate.mean)) " (" (percent_range(estimate.low, estimate.high)) ", " (count(estimate.n)) " "
        (examples(report, estimate.n)) ")."
    }
}

/// Whether the transfer helped, in a box.
fn verdict(report: &Report) -> Markup {
    let paired = report.controls.scratch.as_ref().map(|scratch| &scratch.paired);
    let (class, sign, badge) = match (paired, report.verdict.as_str()) {
        (None, _) if report.table.is_some() => ("open", "–", "No transfer"),
        (None, _) => ("open", "–", "Transfer not measured"),
        (_, "positive transfer") => ("good", "▲", "Positive transfer"),
        (_, "negative transfer") => ("bad", "▼", "Negative transfer"),
        (_, "no measurable transfer") => ("open", "≈", "No measurable transfer"),
        (Some(_), _) => ("open", "–", "Transfer"),
    };
    html! {
        div.judgement.(class) {
            p.badge { span.sign aria-hidden="true" { (sign) } (badge) }
            p { (verdict_words(report, paired)) }
        }
    }
}

fn verdict_words(report: &Report, paired: Option<&Paired>) -> Markup {
    let Some(paired) = paired else {
        if report.table.is_some() {
            return html! { "Nothing was transferred: rows of numbers have no pretrained base." };
        }
        return html! {
            "Whether the base helped is not known: the control that trains the same network from scratch was not run."
        };
    };
    let difference = html! {
        strong { (points(paired.difference)) " points" } " (" (points_range(paired.low, paired.high)) ")"
    };
    let it = if report.text.is_some() { "a small network of its kind" } else { "the same network" };
    let same = html! { " Both answered the same " (count(paired.n)) " " (examples(report, paired.n)) "." };
    match report.verdict.as_str() {
        "positive transfer" => html! {
            "Transfer helped: " (difference) " over " (it) " trained from scratch." (same)
        },
        "negative transfer" => html! {
            "Transfer hurt: " (difference) " against " (it) " trained from scratch, which did better." (same)
        },
        "no measurable transfer" => html! {
            "Transfer made no measurable difference: " (difference)
            " against " (it) " trained from scratch, and the interval holds zero." (same)
        },
        other => html! { (other) ": " (difference) " against " (it) " trained from scratch." (same) },
    }
}

/// Whether the model is worth more than a baseline, in a box: on the held-out split of the headline, where there is one.
fn against(report: &Report, baseline: &BaselineReport) -> Markup {
    let split = headline(report).map(|held| held.split.as_str());
    let held = split.and_then(|split| baseline.held_out.iter().find(|(name, _)| name == split));
    let paired = held.map_or(&baseline.paired, |(_, paired)| paired);
    let name = &baseline.name;
    let difference =
        html! { strong { (points(paired.difference)) " points" } " (" (points_range(paired.low, paired.high)) ")" };
    let (class, sign, badge) = match paired {
        paired if paired.low > 0.0 => ("good", "▲", format!("Better than {name}")),
        paired if paired.high < 0.0 => ("bad", "▼", format!("Worse than {name}")),
        _ => ("open", "≈", format!("No better than {name}")),
    };
    html! {
        div.judgement.(class) {
            p.badge { span.sign aria-hidden="true" { (sign) } (badge) }
            p {
                (difference) " against " (baseline.how) ", on the same " (count(paired.n)) " " (examples(report, paired.n)) "."
                @if paired.high < 0.0 { " That one does better." }
            }
        }
    }
}

/// How many questions it answers, and how well.
fn unsure(report: &Report) -> Markup {
    let rule: &UnsureReport = headline(report).map_or(&report.unsure, |held| &held.unsure);
    let many = examples(report, 2);
    let Some(threshold) = rule.threshold else {
        return html! {
            "No threshold keeps errors at or below " (percent(rule.max_error))
            " on these data, so it says “unsure” to all " (many) "."
        };
    };
    let kept = rule.error <= rule.max_error;
    html! {
        "Answers " strong { (percent(rule.answered)) } " of " (many) " at "
        @if kept { "≤\u{202f}" (percent(rule.max_error)) " errors (" (percent(rule.error)) " measured)" }
        @else { strong { (percent(rule.error)) } " errors, where ≤\u{202f}" (percent(rule.max_error)) " was aimed at" }
        "; says “unsure” to the rest. It answers from a probability of " (probability(threshold)) " up."
    }
}
