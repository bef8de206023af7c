//! What one gets without a network, beside the model.

use maud::{Markup, html};

use super::format::{amount, decimal, percent, points, points_range};
use super::parts::scroll;
use crate::metrics::{Estimate, Paired};
use crate::run::report::BaselineReport;

/// A row for each baseline.
pub(crate) fn section(baselines: &[BaselineReport]) -> Markup {
    html! {
        p.lead {
            "The same examples and folds, without a pretrained network. The last columns say by how much the model is better, \
             with a 95\u{202f}% interval: of accuracy, of mean average precision, of the mean absolute error, or of F1."
        }
        (scroll("Baselines", table(baselines)))
    }
}

fn table(baselines: &[BaselineReport]) -> Markup {
    html! {
        table.stacked {
            thead { tr {
                th scope="col" { "Baseline" }
                th scope="col" { "Out-of-fold" }
                th.number scope="col" { "The model is better by" }
                th scope="col" { "Held out" }
            } }
            tbody { @for baseline in baselines {
                @let is_number = baseline.measures.contains_key("mae");
                tr {
                    th scope="row" { (baseline.name) small { (baseline.how) } }
                    td data-of="Out-of-fold" {
                        @for (name, estimate) in &baseline.measures { div { (title(name)) " " (value(name, estimate)) } }
                    }
                    td.number data-of="The model is better by" { (difference(&baseline.paired, is_number)) }
                    td data-of="Held out" {
                        @if baseline.held_out.is_empty() { "–" }
                        @for (split, paired) in &baseline.held_out { div { (split) ": " (difference(paired, is_number)) } }
                    }
                }
            } }
        }
    }
}

fn title(name: &str) -> &str {
    match name {
        "accuracy" => "accuracy",
        "macro_f1" => "macro-F1",
        "log_loss" => "log-loss",
        "map" => "mAP",
        "span_f1" => "span F1",
        "f1" => "F1",
        "em" => "exact match",
        "mae" => "mean absolute error",
        "r2" => "R²",
        other => other,
    }
}

fn value(name: &str, estimate: &Estimate) -> String {
    match name {
        "accuracy" | "macro_f1" | "map" | "span_f1" | "f1" | "em" => percent(estimate.mean),
        "mae" => amount(estimate.mean),
        _ => decimal(estimate.mean, 3),
    }
}

fn difference(paired: &Paired, is_number: bool) -> String {
    match is_number {
        true => format!("{} ({} to {})", amount(paired.difference), amount(paired.low), amount(paired.high)),
        false => format!("{} points ({})", points(paired.difference), points_range(paired.low, paired.high)),
    }
}
