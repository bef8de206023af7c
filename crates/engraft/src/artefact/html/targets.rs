//! The page of a run on numbers or sets of labels.

use maud::{Markup, PreEscaped, html};

use super::format::{amount, count, decimal, name, percent, points, points_range, probability, setting};
use super::provenance::{base, costs, sentence, temperature, tried as depths_tried, with_code};
use super::{
    Curve, Thumbnail, answers, audit, baselines, charts, columns, curves, data_name, figure, multi_label, page,
    regression, tags, texts,
};
use crate::artefact::report::UnsureReport;
use crate::artefact::target_report::TargetReport;
use crate::data::Task;

/// The report on numbers or sets of labels as one HTML page that needs nothing outside itself.
///
/// `images` are what is shown of mistakes and suspected labels, `reproduce` is the command line that gives this report
/// again. Equal arguments give equal pages.
pub fn render_target(report: &TargetReport, curves: &[Curve], images: &[Thumbnail], reproduce: &str) -> String {
    let title = data_name(&report.data.path);
    let labels = &report.data.labels;
    let mut sections: Vec<(&str, &str, Markup)> = Vec::new();
    if let Some(numbers) = &report.regression {
        sections.extend([
            ("numbers", "Headline numbers", regression::numbers_section(numbers)),
            ("errors", "Where it is off", regression::errors_section(numbers)),
            ("intervals", "Can its intervals be trusted?", regression::intervals_section(numbers)),
            ("mistakes", "The largest errors", regression::worst_section(numbers, images)),
        ]);
    }
    if let Some(sets) = &report.multi_label {
        sections.extend([
            ("numbers", "Headline numbers", multi_label::numbers_section(sets)),
            ("labels", "Label by label", multi_label::labels_section(sets, labels)),
            ("together", "What is taken for what", multi_label::together_section(sets, labels)),
            ("calibration", "Can its probabilities be trusted?", multi_label::calibration_section(sets)),
            ("mistakes", "Mistakes and suspicious labels", multi_label::mistakes_section(sets, images)),
        ]);
    }
    if let Some(tags) = &report.tags {
        sections.extend([
            ("numbers", "Headline numbers", tags::numbers_section(tags)),
            ("types", "Type by type", tags::types_section(tags)),
            ("mistakes", "The worst mistakes", tags::worst_section(tags)),
        ]);
    }
    if let Some(found) = &report.answers {
        sections.extend([
            ("numbers", "Headline numbers", answers::numbers_section(found)),
            ("mistakes", "The worst mistakes", answers::worst_section(found)),
        ]);
    }
    if curves::trained(curves) {
        sections.push(("learning", "How it learned", curves::section(curves)));
    }
    sections.push(("baselines", "Beside baselines", baselines::section(&report.baselines)));
    if let Some(table) = &report.table {
        sections.push(("columns", "What it goes by", columns::section(table)));
    }
    if let Some(texts) = &report.text {
        sections.push(("texts", "Lengths, and words it does not know", texts::section(texts)));
    }
    sections.extend([
        ("audit", "What the audit found in the data", audit::of(&report.data.audit, "label")),
        ("choices", "Choices made, and why", choices(report)),
        ("reproduce", "How to get this again", reproduce_section(report, reproduce)),
    ]);
    page(&report.version, &title, header(report, &title), &sections)
}

/// What the examples are called.
fn unit(report: &TargetReport) -> &str {
    &report.data.unit
}

fn header(report: &TargetReport, title: &str) -> Markup {
    html! {
        header {
            p.eyebrow { "Engraft report · " (report.task) }
            h1 { (name(title)) }
            p.facts {
                @if !report.data.labels.is_empty() { span { (count(report.data.labels.len())) " labels" } }
                span { (count(report.data.train)) " training " (unit(report)) }
                span { "base " (name(&report.base.id)) }
            }
            @if let Some(numbers) = &report.regression { (regression::answer(numbers, unit(report))) }
            @if let Some(sets) = &report.multi_label { (multi_label::answer(sets, unit(report))) }
            @if let Some(tags) = &report.tags { (tags::answer(tags)) }
            @if let Some(found) = &report.answers { (answers::answer(found)) }
            div.judgements { (verdict(report)) (intervals(report)) }
        }
    }
}

/// Whether the transfer helped, in a box.
fn verdict(report: &TargetReport) -> Markup {
    let (class, sign, badge) = match (report.scratch.is_some(), report.verdict.as_str()) {
        (false, _) if report.table.is_some() => ("open", "–", "No transfer"),
        (false, _) => ("open", "–", "Transfer not measured"),
        (_, "positive transfer") => ("good", "▲", "Positive transfer"),
        (_, "negative transfer") => ("bad", "▼", "Negative transfer"),
        (_, "no measurable transfer") => ("open", "≈", "No measurable transfer"),
        _ => ("open", "–", "Transfer"),
    };
    html! {
        div.judgement.(class) {
            p.badge { span.sign aria-hidden="true" { (sign) } (badge) }
            @match &report.scratch {
                None if report.table.is_some() => p { "Nothing was transferred: rows of numbers have no pretrained base." },
                None => p { "Whether the base helped is not known: the control that trains the same network from scratch was not run." },
                Some(scratch) => p {
                    @let paired = &scratch.paired;
                    @if report.task == Task::Regression {
                        @let (word, sign) = if paired.difference < 0.0 { ("larger", -1.0) } else { ("smaller", 1.0) };
                        @let (low, high) = if sign < 0.0 { (-paired.high, -paired.low) } else { (paired.low, paired.high) };
                        "Against the same network trained from scratch the mean absolute error is " (word) " by "
                        strong { (amount(sign * paired.difference)) } " (" (amount(low)) " to " (amount(high)) ")."
                    } @else {
                        "Against the same network trained from scratch: " strong { (points(paired.difference)) " points" }
                        " of " (measure(report.task)) " (" (points_range(paired.low, paired.high)) ")."
                    }
                    " Both answered the same " (count(paired.n)) " " (unit(report)) "."
                },
            }
        }
    }
}

/// What models are compared by.
fn measure(task: Task) -> &'static str {
    match task {
        Task::SingleLabel => "accuracy",
        Task::MultiLabel => "mean average precision",
        Task::Regression => "mean absolute error",
        Task::Tags => "span F1",
        Task::Answers => "F1",
    }
}

/// What comes with a single answer, in a box.
fn intervals(report: &TargetReport) -> Markup {
    html! {
        div.judgement {
            p.badge { span.sign aria-hidden="true" { "?" } "What comes with an answer" }
            @if let Some(numbers) = &report.regression {
                @match &numbers.coverage {
                    Some(coverage) => p {
                        "An interval that holds the truth " strong { (percent(coverage.measured.mean)) } " of the time (aim: "
                        (percent(coverage.level)) "), " (amount(coverage.width)) " wide on average."
                    },
                    None => p { "A number alone: there are too few examples for an interval." },
                }
            } @else if let Some(sets) = &report.multi_label {
                @let never = sets.thresholds.iter().filter(|least| least.is_none()).count();
                p {
                    "A probability for every label, and the labels that reach their threshold."
                    @if never > 0 { " " (count(never)) " of the labels are never given: too little is known of them." }
                }
            } @else if let Some(tags) = &report.tags { p { (unsure(&tags.unsure, "spans")) } }
            @else if let Some(found) = &report.answers { p { (unsure(&found.unsure, "questions")) } }
        }
    }
}

/// How much is said without "unsure", and how well.
fn unsure(rule: &UnsureReport, what: &str) -> Markup {
    html! {
        @match rule.threshold {
            Some(threshold) => {
                "A probability; “unsure” is said of " (what) " below " (probability(threshold)) ". Out-of-fold that leaves "
                strong { (percent(rule.answered)) } " with " (percent(rule.error)) " errors (aim: ≤\u{202f}"
                (percent(rule.max_error)) ")."
            }
            None => {
                "A probability; “unsure” is said of all " (what) ", since no threshold keeps errors at or below "
                (percent(rule.max_error)) " on these data."
            }
        }
    }
}

fn choices(report: &TargetReport) -> Markup {
    let choice = &report.choice;
    let regression = report.task == Task::Regression;
    let (symbol, stricter, axis, loss) = match report.task {
        Task::Regression => ("alpha", "larger is stricter", "alpha (stricter to the right)", "RMSE"),
        Task::Tags | Task::Answers => ("peak rate of the head", "it is trained by steps", "peak learning rate", "loss"),
        _ => ("C", "smaller is stricter", "C (stricter to the left)", "log-loss"),
    };
    let tried: Vec<(f64, f64)> = choice.strengths.iter().map(|tried| (tried.strength, tried.loss)).collect();
    html! {
        dl {
            dt { "Task" } dd { (report.task) ": " (with_code(&sentence(&report.data.reason))) }
            dt { "Depth" } dd {
                @if choice.cut.is_empty() { "Trained from the input on. " }
                @else { "Trained after " code { (name(&choice.cut)) } ". " }
                (with_code(&sentence(&choice.reason)))
            }
            dt { "Strength" }
            dd {
                (symbol) " = " (setting(choice.strength)) "; " (stricter) ". "
                @if !tried.is_empty() {
                    "Chosen out of " (count(tried.len())) " tried "
                    @if report.task.has_label_column() { "by cross-validation." } @else { "on a part of the training data." }
                }
            }
            @if let Some(threshold) = report.answers.as_ref().and_then(|found| found.no_answer_threshold) {
                dt { "“No answer”" }
                dd {
                    "Said where the score of no answer is more than " (decimal(f64::from(threshold), 3))
                    " above the best answer's. The threshold of each fold was chosen on the others."
                }
            }
            @if let Some(sets) = &report.multi_label {
                dt { "Temperature" } dd { (decimal(sets.temperature, 3)) ": " (temperature(sets.temperature)) }
            }
            dt { "“Unlike”" }
            dd {
                "Said when the features lie further than " (decimal(report.unlike.threshold, 3)) " from "
                @if report.unlike.k > 1 { "neighbour " (report.unlike.k) } @else { "the nearest" }
                " of " (count(report.unlike.references)) " training " (unit(report)) (super::scale(report.unlike.metric))
            }
        }
        @if let Some(chart) = charts::strength_path(&tried, choice.strength, axis, loss) {
            (figure(
                PreEscaped(chart),
                "The head: loss for each strength tried (lower is better). The ring marks the chosen one. A minimum \
                 at an edge would mean that too little was tried.",
            ))
        }
        @if choice.tried.len() > 1 || !choice.left_out.is_empty() {
            h3 { "Depths tried" }
            (depths_tried(&choice.tried, &choice.depth, &choice.left_out, if regression { "R²" } else { "Mean F1" }))
        }
        h3 { "The base" }
        (base(&report.base))
    }
}

fn reproduce_section(report: &TargetReport, reproduce: &str) -> Markup {
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
        (costs(&report.seconds, report.images_per_second, unit(report), report.peak_memory_mb))
    }
}
