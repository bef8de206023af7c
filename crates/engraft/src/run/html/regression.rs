//! The sections of a report on numbers.

use maud::{Markup, PreEscaped, html};

use super::format::{Unit, amount, count, name, percent, percent_range};
use super::gallery::{Tile, by_file, tiles};
use super::number_charts;
use super::numbers::{Measure, Source, cards};
use super::parts::{Thumbnail, figure, headline_of, places_of, scroll, where_from};
use crate::metrics::{Coverage, RegressionEvaluation};
use crate::run::blocks::{HeldBlock, HeldNumbers, RegressionReport};
use crate::run::report::Report;

const MEASURES: [Measure; 6] = [
    Measure { name: "Mean absolute error", meaning: "how far off, on average; lower is better", unit: Unit::Amount },
    Measure { name: "RMSE", meaning: "the same, large errors counting more; lower is better", unit: Unit::Amount },
    Measure { name: "R²", meaning: "1 is perfect, 0 is always saying the mean; higher is better", unit: Unit::Plain },
    Measure {
        name: "Spearman",
        meaning: "whether the order is right, 1 is perfect; higher is better",
        unit: Unit::Plain,
    },
    Measure {
        name: "Pearson",
        meaning: "whether it follows a line, 1 is perfect; higher is better",
        unit: Unit::Plain,
    },
    Measure { name: "Bias", meaning: "prediction minus truth; 0 is best", unit: Unit::Amount },
];

/// The answer in one sentence, and how good it would be to know nothing.
pub(crate) fn answer(report: &Report, numbers: &RegressionReport) -> Markup {
    let places = places(report, numbers);
    let (numbers, from, unit) = (headline_of(report, &places), where_from(report), &report.data.unit);
    html! {
        p.answer {
            "On " (unit) " like these, its number is off by " strong { (amount(numbers.mae.mean)) } " on average ("
            (amount(numbers.mae.low)) " to " (amount(numbers.mae.high)) "), measured on " (count(numbers.mae.n))
            " " (unit) " " (from) "."
        }
        p.beside {
            "Always saying the middle number would be off by " (amount(numbers.median_mae)) ". R² is "
            (Unit::Plain.value(numbers.r2.mean)) " (" (Unit::Plain.interval(&numbers.r2)) ")."
        }
    }
}

/// What was measured out-of-fold, then on the held-out splits, each with its place.
fn places<'a>(report: &'a Report, numbers: &'a RegressionReport) -> Vec<(String, &'a RegressionEvaluation)> {
    places_of(report, &numbers.evaluation, |held| match held {
        HeldBlock::Numbers(held) => Some(&held.evaluation),
        _ => None,
    })
}

/// Headline numbers, one source per split.
pub(crate) fn numbers_section(report: &Report, numbers: &RegressionReport) -> Markup {
    let sources = places(report, numbers).into_iter().map(|(name, numbers)| source(name, numbers));
    cards(&MEASURES, &sources.collect::<Vec<_>>())
}

fn source(name: String, numbers: &RegressionEvaluation) -> Source<'_> {
    let RegressionEvaluation { mae, rmse, r2, spearman, pearson, bias, .. } = numbers;
    Source { name, estimates: vec![mae, rmse, r2, spearman, pearson, bias] }
}

/// Predictions against truths, and the errors.
pub(crate) fn errors_section(report: &RegressionReport) -> Markup {
    let Some(scatter) = number_charts::scatter(&report.points) else {
        return html! { p.empty { "There are no out-of-fold predictions to draw." } };
    };
    html! {
        div.figures {
            (figure(
                PreEscaped(scatter),
                "On the dotted line, prediction and truth are equal. Orange: the prediction interval did not hold the truth.",
            ))
            @if let Some(chart) = number_charts::residuals(&report.points) {
                (figure(
                    PreEscaped(chart),
                    "How often it is off by how much. A peak beside the dotted line is a bias; far bars are single examples \
                     that are worth a look.",
                ))
            }
            @if let Some(chart) = number_charts::residuals_by_prediction(&report.points) {
                (figure(
                    PreEscaped(chart),
                    "What the errors depend on. A cloud that widens to one side is surer at the other; one that bends says \
                     that no straight line fits.",
                ))
            }
        }
        p.caption { "Out-of-fold, " (count(report.points.len())) " of " (count(report.evaluation.mae.n)) " examples drawn." }
    }
}

/// How often the prediction intervals held the truth.
pub(crate) fn intervals_section(whole: &Report, report: &RegressionReport) -> Markup {
    let mut rows: Vec<(String, &Coverage)> = Vec::new();
    rows.extend(report.coverage.as_ref().map(|coverage| ("out-of-fold".into(), coverage)));
    for held in &whole.held_out {
        if let HeldBlock::Numbers(HeldNumbers { coverage: Some(coverage), .. }) = &held.measures {
            rows.push((format!("held-out {}", held.split), coverage));
        }
    }
    if rows.is_empty() {
        return html! {
            p.empty { "There are too few examples for intervals that hold the truth " (percent(report.level)) " of the time." }
        };
    }
    html! {
        p.lead {
            "With each number comes an interval that is to hold the truth " (percent(report.level))
            " of the time: from the errors that the models of the folds made on what they had not seen (CV+)."
        }
        (scroll("Coverage", html! {
            table {
                thead { tr {
                    th scope="col" { "Measured" } th.number scope="col" { "Held the truth" }
                    th.number scope="col" { "95\u{202f}% interval" } th.number scope="col" { "Mean width" }
                    th.number scope="col" { "n" } th scope="col" { span.hidden { "Judgement" } }
                } }
                tbody { @for (source, coverage) in &rows {
                    @let measured = &coverage.measured;
                    tr {
                        th scope="row" { (name(source)) }
                        td.number { (percent(measured.mean)) }
                        td.number { (percent_range(measured.low, measured.high)) }
                        td.number { (amount(coverage.width)) }
                        td.number { (count(measured.n)) }
                        td { (judgement(coverage)) }
                    }
                } }
            }
        }))
        p.caption { "The width is the same for all examples but for how much the models of the folds disagree." }
    }
}

fn judgement(coverage: &Coverage) -> &'static str {
    match &coverage.measured {
        measured if measured.high < coverage.level => "too narrow: they promise more than they hold",
        measured if measured.low > coverage.level => "wider than they need be",
        _ => "as promised",
    }
}

/// The predictions farthest from the truth, as images.
pub(crate) fn worst_section(report: &RegressionReport, images: &[Thumbnail]) -> Markup {
    if report.worst.is_empty() {
        return html! { p.empty { "There are no out-of-fold predictions." } };
    }
    let words: Vec<(String, String)> =
        report.worst.iter().map(|one| (amount(one.truth), amount(one.prediction))).collect();
    let shown: Vec<Tile> = (report.worst.iter().zip(&words))
        .map(|(one, (truth, prediction))| Tile {
            file: &one.file,
            from: truth,
            to: prediction,
            detail: format!("off by {}", amount((one.prediction - one.truth).abs())),
        })
        .collect();
    html! {
        p.lead {
            "Truth → out-of-fold prediction, the farthest off first. Look whether the number in the data is right: one wrong \
             number pulls all others."
        }
        (tiles(&shown, &by_file(images)))
    }
}
