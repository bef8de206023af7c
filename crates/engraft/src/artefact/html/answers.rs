//! The sections of a report on answers to questions.

use maud::{Markup, html};

use super::findings;
use super::format::{Unit, count, name, percent, percent_range, probability};
use super::numbers::{Measure, Source, cards};
use crate::artefact::target_report::{AnswerMistake, AnswersReport};
use crate::evaluate::AnswerEvaluation;

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
pub fn answer(report: &AnswersReport) -> Markup {
    let (numbers, from) = match report.held_out.iter().find(|held| held.split == "test").or(report.held_out.first()) {
        Some(held) => (&held.evaluation, "it was not trained on"),
        None => (&report.evaluation, "of the training data, each answered by a copy that had not been trained on it"),
    };
    let (f1, em) = (&numbers.f1, &numbers.em);
    html! {
        p.answer {
            "To questions like these, its answers have an F1 of " strong { (percent(f1.mean)) } " ("
            (percent_range(f1.low, f1.high)) "), measured on " (count(f1.n)) " questions " (from) "."
        }
        p.beside {
            (percent(em.mean)) " of the answers are right to the letter (" (percent_range(em.low, em.high)) ")."
        }
    }
}

/// Headline numbers, one source per split; and those of questions with and without an answer, where there are both.
pub fn numbers_section(report: &AnswersReport) -> Markup {
    let held = report.held_out.iter().map(|held| (format!("held-out {}", held.split), &held.evaluation));
    let places: Vec<(String, &AnswerEvaluation)> =
        [("out-of-fold".to_owned(), &report.evaluation)].into_iter().chain(held).collect();
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
pub fn worst_section(report: &AnswersReport) -> Markup {
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
