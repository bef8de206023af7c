//! The sections of a report on answers to questions.

use maud::{Markup, html};

use super::format::{Unit, count, name, percent, percent_range, probability};
use super::numbers::{Measure, Source, cards};
use super::parts::{findings, headline_of, places_of, where_from};
use crate::metrics::AnswerEvaluation;
use crate::run::blocks::{AnswerMistake, AnswersReport, HeldBlock};
use crate::run::report::Report;

/// Letters of a paragraph that are shown on each side of an answer.
const AROUND: usize = 160;

const MEASURES: [Measure; 2] = [
    Measure {
        name: "F1",
        meaning: "words that the answer shares with a right one; higher is better",
        unit: Unit::Share,
    },
    Measure { name: "Exact match", meaning: "share of answers that are right to the letter", unit: Unit::Share },
];

/// The answer in one sentence.
pub(crate) fn answer(report: &Report, answers: &AnswersReport) -> Markup {
    let places = places(report, answers);
    let numbers = headline_of(report, &places);
    let (f1, em) = (&numbers.f1, &numbers.em);
    html! {
        p.answer {
            "To questions like these, its answers have an F1 of " strong { (percent(f1.mean)) } " ("
            (percent_range(f1.low, f1.high)) "), measured on " (count(f1.n)) " questions " (where_from(report)) "."
        }
        p.beside {
            (percent(em.mean)) " of the answers are right to the letter (" (percent_range(em.low, em.high)) ")."
        }
    }
}

/// What was measured out-of-fold, then on the held-out splits, each with its place.
fn places<'a>(report: &'a Report, answers: &'a AnswersReport) -> Vec<(String, &'a AnswerEvaluation)> {
    places_of(report, &answers.evaluation, |held| if let HeldBlock::Answers(found) = held { Some(found) } else { None })
}

/// Headline numbers, one source per split; and those of questions with and without an answer, where there are both.
pub(crate) fn numbers_section(report: &Report, answers: &AnswersReport) -> Markup {
    let places = places(report, answers);
    let sources: Vec<Source<'_>> = places
        .iter()
        .map(|(name, answers)| Source { name: name.clone(), estimates: vec![&answers.f1, &answers.em] })
        .collect();
    html! {
        (cards(&MEASURES, &sources))
        @for (place, answers) in places.iter().filter(|(_, answers)| answers.no_answer.is_some()) {
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

/// The worst answers.
pub(crate) fn worst_section(report: &AnswersReport) -> Markup {
    findings(&report.worst, answer_item)
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
