//! Texts: mistakes and suspected labels as they stand there, lengths, and words that the base does not know.

use std::collections::HashMap;

use maud::{Markup, html};

use super::format::{count, name, percent, percent_range, plural, probability};
use super::parts::{folded, scroll};
use crate::fit::WordWeight;
use crate::metrics::wilson;
use crate::run::blocks::ClassesReport;
use crate::run::report::{ShownText, TextReport};

/// Texts shown before the rest is folded away.
const SHOWN: usize = 8;
/// Words with less than this share of the strongest word's weight are left plain.
const FAINT: f32 = 0.2;

/// Confident mistakes, then labels that are probably wrong.
pub(crate) fn mistakes_section(report: &ClassesReport, texts: &TextReport) -> Markup {
    let known: HashMap<&str, &ShownText> = texts.shown.iter().map(|text| (text.file.as_str(), text)).collect();
    let mistakes: Vec<Markup> = (report.mistakes.iter())
        .map(|mistake| {
            let detail = format!("probability {}", probability(f64::from(mistake.probability)));
            item(&mistake.file, &mistake.label, &mistake.answer, &detail, &known)
        })
        .collect();
    let labels: Vec<Markup> = (report.label_errors.iter())
        .map(|error| {
            let [suggested, given] =
                [error.suggested_probability, error.given_probability].map(|p| probability(f64::from(p)));
            item(&error.file, &error.given, &error.suggested, &format!("{suggested} against {given}"), &known)
        })
        .collect();
    html! {
        h3 { "Worst mistakes" }
        @if mistakes.is_empty() { p.empty { "No out-of-fold answer was wrong." } } @else {
            p.lead {
                "Wrong out-of-fold answers, the surest first: label → answer, and the probability of the answer. Where words are marked, "
                "leaving out one marked " mark.for { "so" } " made the answer less probable, and one marked "
                mark.against { "so" } " made it more probable (asked of the final model; stronger marks, stronger effect)."
            }
            (list(&mistakes))
        }
        h3 { "Labels that are probably wrong" }
        @if labels.is_empty() { p.empty { "No label looks wrong." } } @else {
            p.lead {
                "Read these before anything else: correcting labels is often worth more than a better model. "
                "Label → likely class, and the probability of the likely class against that of the label."
            }
            (list(&labels))
        }
    }
}

fn list(items: &[Markup]) -> Markup {
    let (shown, rest) = items.split_at(items.len().min(SHOWN));
    let whole = |items: &[Markup]| html! { ol.texts { @for item in items { li { (item) } } } };
    let summary = format!("{} {}", count(rest.len()), plural(rest.len(), "other", "others"));
    folded(&summary, whole(shown), (!rest.is_empty()).then(|| whole(rest)))
}

fn item(file: &str, from: &str, to: &str, detail: &str, known: &HashMap<&str, &ShownText>) -> Markup {
    html! {
        p.change {
            (name(from)) span.arrow aria-label="to" { " → " } strong { (name(to)) }
            span.detail { " · " (detail) " · " (name(file)) }
        }
        @match known.get(file) {
            Some(text) => {
                blockquote { (marked(&text.text, &text.words, false)) }
                @if let Some(second) = &text.second { blockquote { (marked(second, &text.words, true)) } }
            }
            None => {}
        }
    }
}

/// A text whose words are marked by what they gave; the second of a pair, or the only or first one.
fn marked(text: &str, words: &[WordWeight], second: bool) -> Markup {
    let strongest = words.iter().map(|word| word.weight.abs()).fold(0.0, f32::max);
    let mut at = 0;
    let mut parts: Vec<Markup> = Vec::new();
    for word in words.iter().filter(|word| word.second == second) {
        let share = word.weight.abs() / strongest.max(f32::MIN_POSITIVE);
        let end = word.at + word.word.len();
        let fits = word.at >= at && text.get(word.at..end) == Some(word.word.as_str());
        if share < FAINT || !fits {
            continue;
        }
        let class = match (word.weight > 0.0, share > 0.6) {
            (true, true) => "for strong",
            (true, false) => "for",
            (false, true) => "against strong",
            (false, false) => "against",
        };
        let title = format!("{:+.1} points", 100.0 * word.weight);
        parts.push(html! { (&text[at..word.at]) mark class=(class) title=(title) { (word.word) } });
        at = end;
    }
    parts.push(html! { (&text[at..]) });
    html! { @for part in parts { (part) } }
}

/// Lengths against accuracy, what was cut off, and words that the base does not know.
pub(crate) fn section(texts: &TextReport) -> Markup {
    let coverage = &texts.coverage;
    html! {
        h3 { "Short and long texts" }
        @if texts.lengths.is_empty() { p.empty { "There were too few texts to divide by their length." } } @else {
            (scroll("Accuracy by length", html! {
                table {
                    thead { tr {
                        th scope="col" { "Words" } th.number scope="col" { "Right, out-of-fold" }
                        th.number scope="col" { "95\u{202f}% interval" } th.number scope="col" { "n" }
                    } }
                    tbody { @for bin in &texts.lengths {
                        @let (low, high) = wilson(bin.correct, bin.count);
                        tr {
                            th scope="row" { (count(bin.from)) " to " (count(bin.to)) }
                            td.number { (percent(bin.correct as f64 / bin.count.max(1) as f64)) }
                            td.number { (percent_range(low, high)) } td.number { (count(bin.count)) }
                        }
                    } }
                }
            }))
        }
        p {
            @if coverage.truncated == 0 { "No training text is longer than what the base reads; the longest has " (count(coverage.longest)) " tokens." }
            @else {
                (count(coverage.truncated)) " of " (count(coverage.texts)) " training texts are longer than what the base reads: of "
                (count(coverage.tokens)) " tokens " (count(coverage.cut)) " stand after the end and are not seen."
            }
        }
        h3 { "Words it does not know" }
        @if texts.unknown_words.is_empty() { p.empty { "Every word of the training texts stands in the base’s vocabulary." } } @else {
            p.lead {
                "Words of the training texts that the base’s vocabulary does not have whole, the most frequent first. An encoder reads them "
                "in pieces; word vectors pass them over."
            }
            p.words { @for (word, times) in &texts.unknown_words { span { (name(word)) " " small { (count(*times)) } } " " } }
        }
        @if !texts.source.is_empty() {
            h3 { "How the file was read" }
            ul { @for remark in &texts.source { li { (remark) } } }
        }
    }
}
