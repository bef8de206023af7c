//! Where everything comes from: choices, thresholds, hashes, and the way to do it again.

use maud::{Markup, html};

use super::format::{capital, count, decimal, duration, name, percent, percent_range, probability, setting};
use super::parts::{examples, held_classes, scroll};
use crate::methods::Difference;
use crate::run::blocks::TargetBlock;
use crate::run::blocks::UnsureReport;
use crate::run::report::{BaseReport, Report, SecondsReport, TriedCut};

/// What was chosen and why, and when the model refuses.
pub(crate) fn choices_section(report: &Report) -> Markup {
    let choice = &report.choice;
    let (symbol, stricter) = match &report.target {
        TargetBlock::Numbers { .. } => ("alpha", "larger is stricter"),
        TargetBlock::Tags { .. } | TargetBlock::Answers { .. } => ("peak rate of the head", "it is trained by steps"),
        _ => ("C", "smaller is stricter"),
    };
    let solved = !matches!(report.target, TargetBlock::Tags { .. } | TargetBlock::Answers { .. });
    let score = capital(report.target.task().score());
    html! {
        dl {
            @if !matches!(report.target, TargetBlock::Classes(_)) {
                dt { "Task" } dd { (report.task) ": " (with_code(&sentence(&report.data.reason))) }
            }
            dt { "Depth" }
            dd {
                @if choice.cut.is_empty() { "Trained from the input on. " }
                @else { "Trained after " code { (name(&choice.cut)) } ". " }
                (with_code(&sentence(&choice.reason)))
            }
            dt { "Strength" }
            dd {
                (symbol) " = " (setting(choice.strength)) "; " (stricter) ". "
                @if !choice.strengths.is_empty() {
                    "Chosen out of " (count(choice.strengths.len())) " tried "
                    @if solved { "by cross-validation." } @else { "on a part of the training data." }
                }
            }
            @if let Some(chosen) = choice.temperature {
                dt { "Temperature" }
                dd { (decimal(chosen, 3)) ": " (temperature(chosen)) }
            }
            @if let TargetBlock::Answers { answers } = &report.target {
                @if let Some(threshold) = answers.no_answer_threshold {
                    dt { "“No answer”" }
                    dd {
                        "Said where the score of no answer is more than " (decimal(f64::from(threshold), 3))
                        " above the best answer's. The threshold of each fold was chosen on the others."
                    }
                }
            }
            @if let TargetBlock::Classes(classes) = &report.target {
                dt { "“Unsure”" }
                dd { (unsure(report, &classes.unsure)) }
            }
            dt { "“Unlike”" }
            dd { (unlike(report)) }
            @if report.config.balanced {
                dt { "Balance" }
                dd { "Classes were weighed by the inverse of their frequency." }
            }
        }
        @if choice.tried.len() > 1 || !choice.left_out.is_empty() {
            h3 { "Depths tried" }
            (tried(&choice.tried, &choice.depth, &choice.left_out, &score))
        }
        h3 { "The base" }
        (base(&report.base))
    }
}

/// Words with a capital at the beginning and a full stop at the end.
fn sentence(text: &str) -> String {
    let text = text.trim_end_matches('.');
    if text.is_empty() { String::new() } else { format!("{}.", capital(text)) }
}

/// Words in which `backticks` set off names.
fn with_code(text: &str) -> Markup {
    html! {
        @for (at, part) in text.split('`').enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

fn temperature(temperature: f64) -> &'static str {
    match temperature {
        t if t > 1.01 => "probabilities were too sure and were softened.",
        t if t < 0.99 => "probabilities were too timid and were sharpened.",
        _ => "probabilities were as sure as they should be.",
    }
}

fn unsure(report: &Report, rule: &UnsureReport) -> Markup {
    html! {
        @match rule.threshold {
            Some(threshold) => {
                "Said below a probability of " (probability(threshold)) ", so that at most " (percent(rule.max_error))
                " of the answers to new data are wrong, with " (percent(rule.confidence)) " confidence. Out-of-fold it answers "
                (percent(rule.answered)) " with " (percent(rule.error)) " errors."
            }
            None => { "Said always: " (super::answer::no_promise(rule)) "." }
        }
        @for (split, held) in held_classes(report) {
            " Held-out " (split) ": " (percent(held.unsure.answered)) " answered, " (percent(held.unsure.error)) " errors."
        }
    }
}

fn unlike(report: &Report) -> Markup {
    let rule = &report.unlike;
    html! {
        "Said of " (percent(rule.rate)) " of what is like the training data, and of all that lies further from it than that: further than " (decimal(rule.threshold, 3)) " from "
        @if rule.k > 1 { "neighbour " (rule.k) } @else { "the nearest" }
        " of " (count(rule.references)) " training " (examples(report, rule.references)) (super::parts::scale(report.unlike.metric))
        @for held in &report.held_out { " Held-out " (held.split) ": said of " (percent(held.unlike)) "." }
    }
}

fn tried(tried: &[TriedCut], taken: &str, left_out: &[String], score: &str) -> Markup {
    let gain = |gain: &Difference| {
        let points = |share: f64| format!("{:+.1}", 100.0 * share).replace('-', "\u{2212}");
        format!("{} ({} to {})", points(gain.mean), points(gain.low), points(gain.high))
    };
    html! {
        (scroll(
            "Depths tried",
            html! {
                table {
                    thead { tr {
                        th scope="col" { "Depth" } th.number scope="col" { (score) }
                        th.number scope="col" { "95\u{202f}% interval" }
                        th.number scope="col" { "Points over the probe, on the same examples" }
                        th.number scope="col" { "Seeds" } th.number scope="col" { "Time" } th scope="col" { "What learns" }
                    } }
                    tbody { @for cut in tried {
                        tr.ours[cut.depth == taken] {
                            th scope="row" { (name(&cut.depth)) @if cut.depth == taken { " ← taken" } }
                            td.number { (percent(cut.score.mean)) }
                            td.number { (percent_range(cut.score.low, cut.score.high)) }
                            td.number { @if let Some(against) = &cut.against_probe { (gain(against)) } }
                            td.number { (cut.seeds) }
                            td.number { (duration(cut.seconds)) }
                            td { (name(&cut.plan)) }
                        }
                    } }
                }
            },
        ))
        @let notes = left_out.iter().chain(tried.iter().flat_map(|tried| &tried.remarks));
        @if left_out.len() + tried.iter().map(|tried| tried.remarks.len()).sum::<usize>() > 0 {
            ul { @for note in notes { li { (with_code(&sentence(note))) } } }
        }
    }
}

fn base(base: &BaseReport) -> Markup {
    html! {
        dl {
            dt { "Name" } dd { (name(&base.id)) }
            dt { "Network" } dd { (name(&base.architecture)) ", " (count(base.features)) " features" }
            dt { "Licence" } dd { @if base.licence.is_empty() { "not told" } @else { (name(&base.licence)) } }
            dt { "SHA-256" } dd { code.hash { (base.sha256) } }
        }
    }
}

/// The command and everything that must be equal for equal numbers, then what it cost.
pub(crate) fn reproduce_section(report: &Report, reproduce: &str) -> Markup {
    html! {
        p.lead { "With the same version, data, base and seed this command gives the same numbers." }
        pre tabindex="0" { code { (reproduce) } }
        dl {
            dt { "Version" } dd { "engraft " (report.version) ", command " code { (report.command) } ", schema " (report.schema) }
            dt { "Seed" } dd { (report.seed) }
            dt { "Folds" } dd { (report.config.folds) }
            dt { "Data" } dd { (name(&report.data.path)) ", " (count(report.data.examples)) " examples, trained on " (count(report.data.train)) }
            dt { "Data fingerprint" } dd { code.hash { (report.data.fingerprint) } }
            dt { "Base SHA-256" } dd { code.hash { (report.base.sha256) } }
        }
        (costs(&report.seconds, report.images_per_second, examples(report, 2), report.peak_memory_mb))
    }
}

/// What a run cost: seconds of each part, images a second through the base, megabytes.
fn costs(seconds: &SecondsReport, per_second: f64, unit: &str, peak_memory_mb: f64) -> Markup {
    let parts = [
        ("Reading and auditing", seconds.audit),
        ("Running the base", seconds.features),
        ("Training, cross-validation, control", seconds.training),
        ("Measuring", seconds.evaluation),
    ];
    html! {
        h3 { "What it cost" }
        (scroll("Timings", html! {
            table.costs {
                tbody {
                    @for (part, took) in parts { tr { th scope="row" { (part) } td.number { (duration(took)) } } }
                    tr.total { th scope="row" { "In all" } td.number { (duration(seconds.total)) } }
                    tr { th scope="row" { "Speed through the base" } td.number { (decimal(per_second, 0)) " " (unit) "/s" } }
                    tr { th scope="row" { "Largest memory" } td.number { (decimal(peak_memory_mb, 0)) " MB" } }
                }
            }
        }))
    }
}
