//! The top of the page: the answer, before any table.

use maud::{Markup, html};

use super::format::{amount, count, name, percent, percent_range, plural, points, points_range, probability};
use super::parts::{examples, headline};
use super::{answers, multi_label, regression, tags};
use crate::heads::fewest_answers;
use crate::metrics::Paired;
use crate::run::blocks::UnsureReport;
use crate::run::blocks::{ClassesReport, TargetBlock};
use crate::run::report::{BaselineReport, Report, ScratchReport};

/// Title, the answer in a sentence, and the judgements that qualify it.
pub(crate) fn header(report: &Report, title: &str) -> Markup {
    let named = report.data.classes.len();
    html! {
        header {
            p.eyebrow { "Engraft report · " (report.task) }
            h1 { (name(title)) }
            p.facts {
                @match &report.target {
                    TargetBlock::Classes(_) => span { (count(named)) " " (plural(named, "class", "classes")) },
                    TargetBlock::LabelSets { .. } => span { (count(named)) " labels" },
                    TargetBlock::Tags { .. } => span { (count(named)) " types" },
                    TargetBlock::Numbers { .. } | TargetBlock::Answers { .. } => {}
                }
                span { (count(report.data.train)) " training " (examples(report, report.data.train)) }
                span { "base " (name(&report.base.id)) }
            }
            @match &report.target {
                TargetBlock::Classes(classes) => {
                    p.answer { (answer(report, classes)) }
                    @if headline(report).is_some() { p.beside { (beside(report, classes)) } }
                }
                TargetBlock::Numbers { regression } => (regression::answer(report, regression)),
                TargetBlock::LabelSets { multi_label } => (multi_label::answer(report, multi_label)),
                TargetBlock::Tags { tags } => (tags::answer(report, tags)),
                TargetBlock::Answers { answers } => (answers::answer(report, answers)),
            }
            div.judgements {
                (verdict(report))
                @if !matches!(report.target, TargetBlock::Numbers { .. }) {
                    @for baseline in report.controls.baselines.iter().filter(|baseline| baseline.learns) {
                        (against(report, baseline))
                    }
                }
                (beside_an_answer(report))
            }
        }
    }
}

/// What comes with a single answer, in a box.
fn beside_an_answer(report: &Report) -> Markup {
    let (badge, words) = match &report.target {
        TargetBlock::Classes(classes) => ("When it is not sure", unsure(report, classes)),
        TargetBlock::Numbers { regression } => (
            "What comes with an answer",
            match &regression.coverage {
                Some(coverage) => html! {
                    "An interval that holds the truth " strong { (percent(coverage.measured.mean)) } " of the time (aim: "
                    (percent(coverage.level)) "), " (amount(coverage.width)) " wide on average."
                },
                None => html! { "A number alone: there are too few examples for an interval." },
            },
        ),
        TargetBlock::LabelSets { multi_label } => {
            let never = multi_label.thresholds.iter().filter(|least| least.is_none()).count();
            let words = html! {
                "A probability for every label, and the labels that reach their threshold."
                @if never > 0 { " " (count(never)) " of the labels are never given: too little is known of them." }
            };
            ("What comes with an answer", words)
        }
        TargetBlock::Tags { tags } => ("When it is not sure", unsure_of(&tags.unsure, "spans")),
        TargetBlock::Answers { answers } => ("When it is not sure", unsure_of(&answers.unsure, "questions")),
    };
    html! {
        div.judgement {
            p.badge { span.sign aria-hidden="true" { "?" } (badge) }
            p { (words) }
        }
    }
}

/// Of how much "unsure" is said, out of fold, and how well the rest is answered.
fn unsure_of(rule: &UnsureReport, many: &str) -> Markup {
    let Some(threshold) = rule.threshold else {
        return html! {
            "“Unsure” is said of all " (many) ": " (no_promise(rule)) "."
        };
    };
    html! {
        "“Unsure” is said of " (many) " below a probability of " (probability(threshold)) ". Out-of-fold that leaves "
        strong { (percent(rule.answered)) } " with " (percent(rule.error)) " errors (promised for new data: ≤\u{202f}"
        (percent(rule.max_error)) ", with " (percent(rule.confidence)) " confidence)."
    }
}

/// Why nothing is answered.
pub(super) fn no_promise(rule: &UnsureReport) -> String {
    let fewest = fewest_answers(rule.max_error);
    let offer = rule.offered.map_or_else(String::new, |(max_error, answered)| {
        format!("; --max-error {max_error} would answer about {}", percent(answered))
    });
    format!(
        "these data do not show, with {} confidence, that any part of the answers errs in at most {} (it takes {} answers without an \
         error, or more of them with some){offer}",
        percent(rule.confidence),
        percent(rule.max_error),
        count(fewest)
    )
}

/// The answer in one sentence.
fn answer(report: &Report, classes: &ClassesReport) -> Markup {
    let estimate = headline(report).map_or(&classes.evaluation.accuracy, |(_, held)| &held.evaluation.accuracy);
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
fn beside(report: &Report, classes: &ClassesReport) -> Markup {
    let estimate = &classes.evaluation.accuracy;
    let split = headline(report).map_or("", |(split, _)| split);
    html! {
        "That is the held-out split " q { (split) } ", looked at once. Cross-validation on the training data gives "
        (percent(estimate.mean)) " (" (percent_range(estimate.low, estimate.high)) ", " (count(estimate.n)) " "
        (examples(report, estimate.n)) ")."
    }
}

/// Whether the transfer helped, in a box.
fn verdict(report: &Report) -> Markup {
    let evidence = report.controls.scratch.as_ref().map(ScratchReport::evidence);
    let (class, sign, badge) = match (evidence, report.verdict.as_str()) {
        (None, _) if report.table.is_some() || report.verdict.starts_with("nothing") => ("open", "–", "No transfer"),
        (None, _) => ("open", "–", "Transfer not measured"),
        (_, "positive transfer") => ("good", "▲", "Positive transfer"),
        (_, "negative transfer") => ("bad", "▼", "Negative transfer"),
        (_, "no measurable transfer") => ("open", "≈", "No measurable transfer"),
        (Some(_), _) => ("open", "–", "Transfer"),
    };
    html! {
        div.judgement.(class) {
            p.badge { span.sign aria-hidden="true" { (sign) } (badge) }
            p { (verdict_words(report, evidence)) }
        }
    }
}

fn verdict_words(report: &Report, evidence: Option<(Option<&str>, &Paired)>) -> Markup {
    let Some((split, paired)) = evidence else {
        if report.table.is_some() {
            return html! { "Nothing was transferred: rows of numbers have no pretrained base." };
        }
        if report.verdict.starts_with("nothing was transferred") {
            return html! { "Nothing was transferred: words are counted in the training texts alone." };
        }
        return html! {
            "Whether the base helped is not known: the control that trains the same network from scratch was not run."
        };
    };
    let same = html! {
        " Both answered the same " (count(paired.n)) " " (examples(report, paired.n))
        @if let Some(split) = split { " of the held-out split " q { (split) } } "."
    };
    if let TargetBlock::Numbers { .. } = &report.target {
        let (word, sign) = if paired.difference < 0.0 { ("larger", -1.0) } else { ("smaller", 1.0) };
        let (low, high) = if sign < 0.0 { (-paired.high, -paired.low) } else { (paired.low, paired.high) };
        return html! {
            "Against the same network trained from scratch the mean absolute error is " (word) " by "
            strong { (amount(sign * paired.difference)) } " (" (amount(low)) " to " (amount(high)) ")." (same)
        };
    }
    let of = match &report.target {
        TargetBlock::LabelSets { .. } => " of mean average precision",
        TargetBlock::Tags { .. } => " of span F1",
        TargetBlock::Answers { .. } => " of F1",
        _ => "",
    };
    let difference = html! {
        strong { (points(paired.difference)) " points" } (of) " (" (points_range(paired.low, paired.high)) ")"
    };
    let it = if report.text.is_some() { "a small network of its kind" } else { "the same network" };
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
    let split = report.headline().map(|held| held.split.as_str());
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
                @if paired.high < 0.0 {
                    " That one does better."
                    @if baseline.name == "TF-IDF" { " " code { "--base tfidf" } " fits it." }
                }
            }
        }
    }
}

/// How many questions it answers, and how well.
fn unsure(report: &Report, classes: &ClassesReport) -> Markup {
    let rule: &UnsureReport = headline(report).map_or(&classes.unsure, |(_, held)| &held.unsure);
    let many = examples(report, 2);
    let Some(threshold) = rule.threshold else {
        return html! {
            "It says “unsure” to all " (many) ": " (no_promise(rule)) "."
        };
    };
    let kept = rule.error <= rule.max_error;
    html! {
        "Answers " strong { (percent(rule.answered)) } " of " (many) " at "
        @if kept { "≤\u{202f}" (percent(rule.max_error)) " errors (" (percent(rule.error)) " measured)" }
        @else { strong { (percent(rule.error)) } " errors, where ≤\u{202f}" (percent(rule.max_error)) " was promised, with " (percent(rule.confidence)) " confidence" }
        "; says “unsure” to the rest. It answers from a probability of " (probability(threshold)) " up."
    }
}
