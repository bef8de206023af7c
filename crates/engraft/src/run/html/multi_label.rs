//! The sections of a report on sets of labels.

use maud::{Markup, PreEscaped, html};

use super::charts;
use super::format::{Unit, count, name, path, percent, percent_range, plural, probability};
use super::gallery::{Tile, by_file, tiles};
use super::learning::bins;
use super::numbers::{Measure, Source, cards};
use super::parts::{Thumbnail, figure, folded, headline_of, places_of, scroll, where_from};
use crate::metrics::{LabelMetrics, MultiLabelEvaluation, Share};
use crate::run::blocks::{HeldBlock, MultiLabelReport};
use crate::run::report::Report;

/// Labels in the table before the rest is folded away, the weakest first.
const SHOWN: usize = 30;
/// Pairs of mistakes that are listed.
const PAIRS: usize = 15;

const MEASURES: [Measure; 7] = [
    Measure {
        name: "mAP",
        meaning: "how well each label ranks the examples, 1 is perfect; higher is better",
        unit: Unit::Share,
    },
    Measure { name: "Macro-F1", meaning: "every label counts alike; higher is better", unit: Unit::Share },
    Measure { name: "Micro-F1", meaning: "every answer counts alike; higher is better", unit: Unit::Share },
    Measure {
        name: "All labels right",
        meaning: "share of examples without a single wrong label; higher is better",
        unit: Unit::Share,
    },
    Measure {
        name: "Hamming loss",
        meaning: "share of wrong answers of all labels; lower is better",
        unit: Unit::Share,
    },
    Measure { name: "Ranking loss", meaning: "pairs of labels in the wrong order; lower is better", unit: Unit::Share },
    Measure {
        name: "Log-loss",
        meaning: "surprise at the truth of a label, in nats; lower is better",
        unit: Unit::Plain,
    },
];

/// The answer in one sentence, and what chance would get.
pub(crate) fn answer(report: &Report, sets: &MultiLabelReport) -> Markup {
    let places = places(report, sets);
    let (numbers, from, unit) = (headline_of(report, &places), where_from(report), &report.data.unit);
    html! {
        p.answer {
            "On " (unit) " like these, its labels reach a mean average precision of " strong { (percent(numbers.map.mean)) }
            " (" (percent_range(numbers.map.low, numbers.map.high)) "), measured on " (count(numbers.map.n)) " " (unit) " "
            (from) "."
        }
        p.beside {
            "Chance would get " (percent(numbers.chance_map)) ". Of " (percent(numbers.subset_accuracy.mean))
            " of the " (unit) " every label is right; of all single answers " (percent(1.0 - numbers.hamming_loss.mean)) " are."
        }
    }
}

/// Headline numbers, one source per split.
pub(crate) fn numbers_section(report: &Report, sets: &MultiLabelReport) -> Markup {
    let sources = places(report, sets).into_iter().map(|(name, numbers)| source(name, numbers));
    cards(&MEASURES, &sources.collect::<Vec<_>>())
}

fn source(name: String, numbers: &MultiLabelEvaluation) -> Source<'_> {
    let MultiLabelEvaluation { map, macro_f1, micro_f1, subset_accuracy, hamming_loss, ranking_loss, log_loss, .. } =
        numbers;
    Source { name, estimates: vec![map, macro_f1, micro_f1, subset_accuracy, hamming_loss, ranking_loss, log_loss] }
}

/// What was measured out-of-fold, then on the held-out splits, each with its place.
fn places<'a>(report: &'a Report, sets: &'a MultiLabelReport) -> Vec<(String, &'a MultiLabelEvaluation)> {
    places_of(report, &sets.evaluation, |held| if let HeldBlock::LabelSets(held) = held { Some(&**held) } else { None })
}

/// Threshold, precision, recall, F1 and average precision of each label, the weakest first; out-of-fold and of every
/// held-out split.
pub(crate) fn labels_section(whole: &Report, report: &MultiLabelReport) -> Markup {
    let labels = &whole.data.classes;
    let mut all = places(whole, report);
    all.retain(|(_, evaluation)| !evaluation.per_label.is_empty());
    if all.is_empty() {
        return html! { p.empty { "There are no numbers for single labels." } };
    }
    html! {
        p.lead {
            "The weakest first. Precision: of the examples it gives the label to, how many have it. Recall: of those that have \
             it, how many get it. Average precision needs no threshold."
        }
        @for (place, evaluation) in &all {
            @if all.len() > 1 { h3 { (place) } }
            (labels_of(report, evaluation, labels))
        }
        p.caption {
            "With 95\u{202f}% intervals below. A label is given from its threshold up, which out-of-fold the data of the other \
             folds chose; the thresholds shown are the final model's. Where support is small, all of a row is vague."
        }
    }
}

fn labels_of(report: &MultiLabelReport, evaluation: &MultiLabelEvaluation, labels: &[String]) -> Markup {
    let mut rows: Vec<&LabelMetrics> = evaluation.per_label.iter().collect();
    rows.sort_by(|a, b| a.f1.total_cmp(&b.f1).then(a.label.cmp(&b.label)));
    let (shown, rest) = rows.split_at(rows.len().min(SHOWN));
    let table = |rows: &[&LabelMetrics]| label_table(report, labels, rows);
    folded(
        &format!("{} other {}", count(rest.len()), plural(rest.len(), "label", "labels")),
        table(shown),
        (!rest.is_empty()).then(|| table(rest)),
    )
}

fn label_table(report: &MultiLabelReport, labels: &[String], rows: &[&LabelMetrics]) -> Markup {
    let threshold = |label: usize| match report.thresholds.get(label) {
        Some(Some(least)) => probability(*least),
        _ => "never given".into(),
    };
    scroll(
        "Labels",
        html! {
            table.classes.stacked {
                thead { tr {
                    th scope="col" { "Label" } th.number scope="col" { "Precision" } th.number scope="col" { "Recall" }
                    th.number scope="col" { "F1" } th.drawn scope="col" { span.hidden { "F1 drawn" } }
                    th.number scope="col" { "Average precision" } th.number scope="col" { "Threshold" }
                    th.number scope="col" { "Support" }
                } }
                tbody { @for row in rows {
                    tr {
                        th scope="row" { (label_name(labels, row.label)) }
                        td.number data-of="Precision" { (with_interval(&row.precision)) } td.number data-of="Recall" { (with_interval(&row.recall)) }
                        td.number data-of="F1" { (percent(row.f1)) }
                        td.drawn { span.bar aria-hidden="true" { span.fill style=(format!("width:{:.2}%", drawn(row.f1))) {} } }
                        td.number data-of="Average precision" { (row.average_precision.map_or_else(|| "–".into(), percent)) }
                        td.number data-of="Threshold" { (threshold(row.label)) }
                        td.number data-of="Support" { (count(row.support)) }
                    }
                } }
            }
        },
    )
}

fn with_interval(share: &Share) -> Markup {
    html! {
        @if share.n == 0 { "–" } @else { (percent(share.share)) small { (percent_range(share.low, share.high)) } }
    }
}

fn drawn(value: f64) -> f64 {
    if value.is_finite() { value.clamp(0.0, 1.0) * 100.0 } else { 0.0 }
}

fn label_name(labels: &[String], label: usize) -> Markup {
    match labels.get(label) {
        Some(known) => name(known),
        None => html! { "label " (label) },
    }
}

/// Which labels are missing where which others are given wrongly; out-of-fold and in every held-out split.
pub(crate) fn together_section(report: &Report, sets: &MultiLabelReport) -> Markup {
    let (labels, all) = (&report.data.classes, places(report, sets));
    html! {
        p.lead { "What it says in place of a label that it misses. Two labels that come here often look alike to it." }
        @for (place, evaluation) in &all {
            @if all.len() > 1 { h3 { (place) } }
            (together(place, evaluation, labels))
        }
    }
}

fn together(place: &str, evaluation: &MultiLabelEvaluation, labels: &[String]) -> Markup {
    let mut pairs: Vec<(usize, usize, usize)> = Vec::new();
    for (missing, row) in evaluation.mistaken.iter().enumerate() {
        pairs.extend(
            row.iter().enumerate().filter(|(_, times)| **times > 0).map(|(wrong, &times)| (missing, wrong, times)),
        );
    }
    pairs.sort_by_key(|&(missing, wrong, times)| (std::cmp::Reverse(times), missing, wrong));
    let found = pairs.len();
    if found == 0 {
        return html! { p.empty { (place) ": no label is missing from any answer." } };
    }
    pairs.truncate(PAIRS);
    html! {
        (scroll("Mistakes that come together", html! {
            table {
                thead { tr {
                    th scope="col" { "Missing" } th scope="col" { "Given wrongly beside it" } th.number scope="col" { "Images" }
                    th.number scope="col" { "Share of the label" }
                } }
                tbody { @for (missing, wrong, times) in &pairs {
                    tr {
                        td { (label_name(labels, *missing)) }
                        td { @if missing == wrong { "nothing" } @else { (label_name(labels, *wrong)) } }
                        td.number { (count(*times)) }
                        td.number { (share_of(evaluation, *missing, *times)) }
                    }
                } }
            }
        }))
        p.caption { (place) ". The " (pairs.len()) " commonest of " (count(found)) "." }
    }
}

fn share_of(evaluation: &MultiLabelEvaluation, label: usize, times: usize) -> String {
    let support = evaluation.per_label.get(label).map_or(0, |label| label.support);
    if support == 0 { "–".into() } else { percent(times as f64 / support as f64) }
}

/// The calibration of all labels' probabilities.
pub(crate) fn calibration_section(report: &MultiLabelReport) -> Markup {
    let calibration = &report.evaluation.calibration;
    let Some(chart) = charts::calibration_of(calibration, "probability of a label", "examples that have it") else {
        return html! { p.empty { "There are no bins to draw." } };
    };
    let ece = &report.evaluation.ece;
    html! {
        div.beside-figure {
            (figure(
                PreEscaped(chart),
                "On the dotted line, of 100 labels that are said with 70\u{202f}% seventy are so. Lines are 95\u{202f}% \
                 intervals: one that crosses the dotted line proves nothing.",
            ))
            div {
                p {
                    "The expected calibration error over all labels is about " strong { (percent(ece.mean)) }
                    ", without what chance alone would give. Most labels are absent from most examples, so that most points lie \
                     near zero."
                }
                details { summary { "The " (calibration.len()) " points as numbers" } (bins(calibration)) }
            }
        }
    }
}

/// Answers with the most wrong labels, and labels that are probably wrong, as images.
pub(crate) fn mistakes_section(report: &MultiLabelReport, images: &[Thumbnail]) -> Markup {
    let known = by_file(images);
    let suspected: Vec<Tile> = (report.label_errors.iter())
        .map(|one| Tile {
            file: &one.file,
            from: if one.given { "has" } else { "lacks" },
            to: &one.label,
            detail: format!("probability {}", probability(f64::from(one.probability))),
        })
        .collect();
    let list =
        |names: &[String]| html! { @for (at, one) in names.iter().enumerate() { @if at > 0 { ", " } (name(one)) } };
    html! {
        h3 { "Answers with the most wrong labels" }
        @if report.worst.is_empty() { p.empty { "Every out-of-fold answer was right." } } @else {
            (folded(
                &format!("{} others", count(report.worst.len().saturating_sub(PAIRS))),
                scroll("Worst answers", html! {
                    table {
                        thead { tr { th scope="col" { "File" } th scope="col" { "Missing" } th scope="col" { "Given wrongly" } } }
                        tbody { @for one in report.worst.iter().take(PAIRS) {
                            tr { td { (path(&one.file)) } td { (list(&one.missing)) } td { (list(&one.wrong)) } }
                        } }
                    }
                }),
                (report.worst.len() > PAIRS).then(|| html! {
                    ul.files { @for one in report.worst.iter().skip(PAIRS) {
                        li { (path(&one.file)) ": missing " (list(&one.missing)) "; given wrongly " (list(&one.wrong)) }
                    } }
                }),
            ))
        }
        h3 { "Labels that are probably wrong" }
        @if suspected.is_empty() { p.empty { "No label looks wrong." } } @else {
            p.lead {
                "Look at these by eye before anything else: what the data says of the label, and the probability that the example \
                 has it."
            }
            (tiles(&suspected, &known))
        }
    }
}
