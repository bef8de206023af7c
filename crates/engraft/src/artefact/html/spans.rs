//! The page of a run on answers to questions, or tagged words.

use maud::{Markup, html};

use super::format::{
    Unit, count, decimal, duration, name, percent, percent_range, plural, points, points_range, probability, tidy,
};
use super::numbers::{Measure, Source, cards};
use super::provenance::{base, sentence, with_code};
use super::{Curve, audit, curves, data_name, folded, page, scroll};
use crate::artefact::span_report::{AnswerMistake, NamedSpan, QUESTIONS, SpanMistake, SpanReport};
use crate::evaluate::{AnswerEvaluation, Estimate, SpanEvaluation, TypeMetrics};

/// Mistakes that stand open; more are folded away.
const OPEN: usize = 8;
/// Mistakes that are shown at all; report.json has more.
const SHOWN: usize = 40;
/// Letters of a paragraph that are shown on each side of an answer.
const AROUND: usize = 160;

const ANSWERS: [Measure; 2] = [
    Measure {
        name: "F1",
        meaning: "words that the answer shares with a right one; higher is better",
        unit: Unit::Share,
    },
    Measure { name: "Exact match", meaning: "share of answers that are right to the letter", unit: Unit::Share },
];
const SPANS: [Measure; 5] = [
    Measure { name: "Span F1", meaning: "type, beginning and end right; higher is better", unit: Unit::Share },
    Measure { name: "Precision", meaning: "share of the spans answered that are right", unit: Unit::Share },
    Measure { name: "Recall", meaning: "share of the true spans that were found", unit: Unit::Share },
    Measure { name: "Macro-F1", meaning: "every type counts alike", unit: Unit::Share },
    Measure { name: "Word accuracy", meaning: "share of words with the right tag; most have none", unit: Unit::Share },
];

/// The report on answers or tags as one HTML page that needs nothing outside itself.
///
/// `curves` are those of everything that was trained, `reproduce` is the command line that gives this report again. Equal
/// arguments give equal pages.
pub fn render_spans(report: &SpanReport, curves: &[Curve], reproduce: &str) -> String {
    let title = data_name(&report.data.path);
    let mut sections: Vec<(&str, &str, Markup)> = vec![("numbers", "Headline numbers", numbers(report))];
    if report.task != QUESTIONS {
        sections.push(("types", "Type by type", types(report)));
    }
    sections.extend([
        ("mistakes", "The worst mistakes", mistakes(report)),
        ("learning", "How it learned", curves::section(curves)),
        ("audit", "What the audit found in the data", audit::of(&report.data.audit, "kind")),
        ("choices", "Choices made, and why", choices(report)),
        ("reproduce", "How to get this again", reproduce_section(report, reproduce)),
    ]);
    page(&report.version, &title, header(report, &title), &sections)
}

fn noun(report: &SpanReport, how_many: usize) -> &'static str {
    match report.task == QUESTIONS {
        true => plural(how_many, "question", "questions"),
        false => plural(how_many, "sentence", "sentences"),
    }
}

/// Where the answer is taken from: `test` before any other held-out split, else out-of-fold.
fn headline(report: &SpanReport) -> (String, &Estimate) {
    let held = report.held_out.iter().find(|held| held.split == "test").or(report.held_out.first());
    match held.and_then(|held| Some((format!("held-out {}", held.split), held.f1()?))) {
        Some(found) => found,
        None => {
            let answers = report.answers.as_ref().map(|answers| &answers.f1);
            let own = answers.or(report.spans.as_ref().map(|spans| &spans.span_f1));
            ("out-of-fold".into(), own.unwrap_or(&report.controls.transfer))
        }
    }
}

fn header(report: &SpanReport, title: &str) -> Markup {
    let (place, f1) = headline(report);
    html! {
        header {
            p.eyebrow { "Engraft report · " (report.task) }
            h1 { (name(title)) }
            p.facts {
                span { (count(report.data.train)) " training " (noun(report, report.data.train)) }
                @if !report.data.classes.is_empty() { span { (count(report.data.classes.len())) " types" } }
                span { "base " (name(&report.base.id)) }
            }
            p.answer {
                strong { (percent(f1.mean)) } " F1 "
                "(" (percent_range(f1.low, f1.high)) ", " (place) ", " (count(f1.n)) " " (noun(report, f1.n)) ")"
            }
            div.judgements { (verdict(report)) }
        }
    }
}

fn verdict(report: &SpanReport) -> Markup {
    let (class, sign, badge) = match (report.controls.scratch.is_some(), report.verdict.as_str()) {
        (false, _) => ("open", "–", "Transfer not measured"),
        (_, "positive transfer") => ("good", "▲", "Positive transfer"),
        (_, "negative transfer") => ("bad", "▼", "Negative transfer"),
        _ => ("open", "≈", "No measurable transfer"),
    };
    html! {
        div.judgement.(class) {
            p.badge { span.sign aria-hidden="true" { (sign) } (badge) }
            @match &report.controls.scratch {
                None => p { "Whether the base helped is not known: the control from scratch was not run." },
                Some(scratch) => p {
                    "Against the same from random numbers: " strong { (points(scratch.paired.difference)) " points" }
                    " of F1 (" (points_range(scratch.paired.low, scratch.paired.high)) "), on "
                    (report.controls.ground) "."
                },
            }
        }
    }
}

fn of_answers(place: String, answers: &AnswerEvaluation) -> Source<'_> {
    Source { name: place, estimates: vec![&answers.f1, &answers.em] }
}

fn of_spans(place: String, spans: &SpanEvaluation) -> Source<'_> {
    let estimates = vec![&spans.span_f1, &spans.precision, &spans.recall, &spans.macro_f1, &spans.word_accuracy];
    Source { name: place, estimates }
}

fn numbers(report: &SpanReport) -> Markup {
    let mut sources: Vec<Source> = Vec::new();
    sources.extend(report.answers.as_ref().map(|answers| of_answers("out-of-fold".into(), answers)));
    sources.extend(report.spans.as_ref().map(|spans| of_spans("out-of-fold".into(), spans)));
    for held in &report.held_out {
        let place = format!("held-out {}", held.split);
        sources.extend(held.answers.as_ref().map(|answers| of_answers(place.clone(), answers)));
        sources.extend(held.spans.as_ref().map(|spans| of_spans(place, spans)));
    }
    let measures: &[Measure] = if report.task == QUESTIONS { &ANSWERS } else { &SPANS };
    html! {
        (cards(measures, &sources))
        (parts(report))
        (controls(report))
    }
}

/// Questions with and without an answer, where there are both.
fn parts(report: &SpanReport) -> Markup {
    let own = report.answers.iter().map(|answers| ("out-of-fold".to_owned(), answers));
    let held =
        report.held_out.iter().filter_map(|held| Some((format!("held-out {}", held.split), held.answers.as_ref()?)));
    let rows: Vec<_> = own.chain(held).filter(|(_, answers)| answers.no_answer.is_some()).collect();
    html! {
        @for (place, answers) in &rows {
            @for (kind, part) in [("with an answer", &answers.has_answer), ("without one", &answers.no_answer)] {
                @if let Some(part) = part {
                    p.caption {
                        (place) ", " (count(part.n)) " questions " (kind) ": F1 " (percent(part.f1)) ", exact "
                        (percent(part.em)) "."
                    }
                }
            }
        }
    }
}

fn controls(report: &SpanReport) -> Markup {
    let controls = &report.controls;
    let rows = [
        ("The same from scratch", &controls.scratch),
        ("Linear probe", &controls.probe),
        ("Without any network", &controls.baseline),
    ];
    html! {
        h3 { "What else one would get" }
        (scroll("Controls", html! {
            table.controls.stacked {
                thead { tr {
                    th scope="col" { "Way" } th.number scope="col" { "F1" } th.number scope="col" { "95\u{202f}% interval" }
                    th.number scope="col" { "This model is better by" }
                } }
                tbody {
                    tr.ours {
                        th scope="row" { "This model" small { (tidy(&report.choice.plan)) } }
                        td.number data-of="F1" { (percent(controls.transfer.mean)) }
                        td.number data-of="95\u{202f}% interval" {
                            (percent_range(controls.transfer.low, controls.transfer.high))
                        }
                        td.none {}
                    }
                    @for (way, control) in rows { @if let Some(control) = control {
                        tr {
                            th scope="row" { (way) small { (tidy(&control.how)) } }
                            td.number data-of="F1" { (percent(control.f1.mean)) }
                            td.number data-of="95\u{202f}% interval" { (percent_range(control.f1.low, control.f1.high)) }
                            td.number data-of="This model is better by" {
                                (points(control.paired.difference))
                                small { (points_range(control.paired.low, control.paired.high)) }
                            }
                        }
                    } }
                }
            }
        }))
        p.caption { "All on " (controls.ground) ", " (count(controls.transfer.n)) " " (noun(report, controls.transfer.n)) "." }
    }
}

fn types(report: &SpanReport) -> Markup {
    let own = report.spans.iter().map(|spans| ("Out-of-fold".to_owned(), spans));
    let held =
        report.held_out.iter().filter_map(|held| Some((format!("Held-out {}", held.split), held.spans.as_ref()?)));
    html! { @for (place, spans) in own.chain(held) { h3 { (place) } (type_table(&spans.per_type)) } }
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

fn mistakes(report: &SpanReport) -> Markup {
    let items: Vec<Markup> = match report.task == QUESTIONS {
        true => report.mistakes.iter().take(SHOWN).map(answer_item).collect(),
        false => report.wrong_spans.iter().take(SHOWN).map(span_item).collect(),
    };
    let (open, rest) = items.split_at(items.len().min(OPEN));
    let all = report.mistakes.len().max(report.wrong_spans.len());
    let summary = format!("{} more", rest.len());
    html! {
        @if items.is_empty() { p.empty { "None: every answer is right." } }
        (folded(
            &summary,
            html! { ul.findings { @for item in open { (item) } } },
            (!rest.is_empty()).then(|| html! { ul.findings { @for item in rest { (item) } } }),
        ))
        @if all > SHOWN { p.caption { "report.json has " (count(all)) "." } }
    }
}

fn answer_item(mistake: &AnswerMistake) -> Markup {
    html! {
        li.bad {
            div {
                p { strong { (name(&mistake.question)) } }
                p {
                    "Answered: " @if mistake.answer.is_empty() { em { "no answer" } } @else { mark { (name(&mistake.answer)) } }
                    " (p = " (probability(f64::from(mistake.probability))) ", F1 " (percent(mistake.f1)) ")"
                }
                p {
                    "Right: "
                    @if mistake.answers.is_empty() { em { "it has no answer" } }
                    @for (at, answer) in mistake.answers.iter().enumerate() { @if at > 0 { " | " } (name(answer)) }
                }
                details { summary { "The paragraph" } p { bdi { (around(mistake)) } } }
            }
        }
    }
}

/// The paragraph around the right answer, or its beginning.
fn around(mistake: &AnswerMistake) -> String {
    let context = &mistake.context;
    let place = mistake.answers.first().and_then(|answer| context.find(answer.as_str())).unwrap_or(0);
    let before = context[..place].char_indices().rev().nth(AROUND).map_or(0, |(at, _)| at);
    let after = context[place..].char_indices().nth(2 * AROUND).map_or(context.len(), |(at, _)| place + at);
    let (open, close) = (if before > 0 { "… " } else { "" }, if after < context.len() { " …" } else { "" });
    format!("{open}{}{close}", context[before..after].trim())
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

fn choices(report: &SpanReport) -> Markup {
    let choice = &report.choice;
    html! {
        dl {
            dt { "Depth" }
            dd {
                @if choice.cut.is_empty() { "Trained from the input on. " }
                @else { "Trained after " code { (name(&choice.cut)) } ". " }
                (with_code(&sentence(&choice.reason)))
            }
            dt { "What learns" } dd { (name(&choice.plan)) }
            @if let Some(threshold) = choice.no_answer_threshold {
                dt { "“No answer”" }
                dd {
                    "Said where the score of no answer is more than " (decimal(f64::from(threshold), 3))
                    " above the best answer's. The threshold was chosen on a seventh of the training paragraphs, which were "
                    "not trained on."
                }
            }
        }
        h3 { "The base" }
        (base(&report.base))
    }
}

fn reproduce_section(report: &SpanReport, reproduce: &str) -> Markup {
    let seconds = &report.seconds;
    let parts = [
        ("Reading and encoding", seconds.audit + seconds.features),
        ("Training, folds, controls", seconds.training),
        ("Answering and measuring", seconds.evaluation),
    ];
    html! {
        p.lead { "With the same version, data, base and seed this command gives the same numbers." }
        pre tabindex="0" { code { (reproduce) } }
        dl {
            dt { "Version" } dd { "engraft " (report.version) ", command " code { (report.command) } ", schema " (report.schema) }
            dt { "Seed" } dd { (report.seed) }
            dt { "Folds" } dd { (report.config.folds) }
            dt { "Data" } dd { (name(&report.data.path)) ", " (count(report.data.examples)) " " (noun(report, 2)) ", trained on " (count(report.data.train)) }
            dt { "Data fingerprint" } dd { code.hash { (report.data.fingerprint) } }
            dt { "Base SHA-256" } dd { code.hash { (report.base.sha256) } }
        }
        h3 { "What it cost" }
        (scroll("Timings", html! {
            table.costs { tbody {
                @for (part, took) in parts { tr { th scope="row" { (part) } td.number { (duration(took)) } } }
                tr.total { th scope="row" { "In all" } td.number { (duration(seconds.total)) } }
                tr { th scope="row" { "Largest memory" } td.number { (decimal(report.peak_memory_mb, 0)) " MB" } }
            } }
        }))
    }
}
