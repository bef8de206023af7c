//! What an adaptation to a target found out, and why its model answers.

use maud::{Markup, html};

use super::format::{decimal, percent, points, points_range};
use super::parts::scroll;
use crate::adapt::{Adaptation, MethodReport};

/// The section.
pub(crate) fn section(adaptation: &Adaptation, unit: &str) -> Markup {
    let Adaptation { examples, distance, shares, methods, reason, changed, .. } = adaptation;
    html! {
        p.lead {
            strong { (if adaptation.adapted { "Adapted" } else { "Not adapted" }) } ": " (reason) ". "
            "The target has " (examples) " " (unit) "; " (changed) " of them are answered otherwise than by the source's model."
        }
        p {
            "A classifier tells the domains apart with " (percent(distance.accuracy)) " (exact p " (decimal(distance.p, 3)) "; two halves of one \
             domain: " (percent(distance.floor)) "). Maximum mean discrepancy, squared: " (decimal(distance.mmd2, 4)) " (p "
            (decimal(distance.mmd_p, 3)) "). " (percent(adaptation.unlike)) " of the target is unlike the source. "
            @if adaptation.duplicate_count > 0 { (adaptation.duplicate_count) " examples of the source are in the target too. " }
        }
        @if let Some(measured) = &adaptation.measured {
            p {
                "The target has labels, which were opened once, when everything was decided: " (measured.labelled) " examples. Source-only "
                (percent(measured.source_only.mean)) ", this model " (percent(measured.adapted.mean)) ": "
                (points(measured.paired.difference)) " points (" (points_range(measured.paired.low, measured.paired.high)) "), "
                (measured.paired.verdict) "."
                @if let Some(oracle) = &measured.oracle { " A head that learns from these labels reaches " (percent(oracle.mean)) "." }
            }
        } @else {
            p { "Accuracy on the target: unknown without labels." }
        }
        @if let Some(checked) = &adaptation.checked { p { "Check: " (checked.verdict) "." } }
        (scroll("Shares of the classes", html! {
            table {
                thead { tr {
                    th scope="col" { "Class" } th.number scope="col" { "Source" } th.number scope="col" { "Target, estimated" }
                    th.number scope="col" { "90\u{202f}% interval" }
                } }
                tbody { @for share in shares { tr {
                    th scope="row" { (share.class) } td.number { (percent(share.source)) } td.number { (percent(share.estimated)) }
                    td.number { (percent(share.low)) " – " (percent(share.high)) }
                } } }
            }
        }))
        (scroll("Methods", methods_table(adaptation, methods)))
    }
}

fn methods_table(adaptation: &Adaptation, methods: &[MethodReport]) -> Markup {
    let measured = |name: &str| adaptation.measured.as_ref()?.methods.iter().find(|method| method.name == name);
    html! {
        table {
            thead { tr {
                th scope="col" { "Method" } th.number scope="col" { "Answers as source-only" }
                @if adaptation.measured.is_some() {
                    th.number scope="col" { "Accuracy" } th.number scope="col" { "Balanced accuracy" }
                }
                th scope="col" { "Remarks" }
            } }
            tbody { @for method in methods { tr {
                th scope="row" { (method.name) @if method.name == adaptation.method { " (answers)" } }
                td.number { @if method.refused.is_none() { (percent(method.agreement)) } @else { "–" } }
                @if adaptation.measured.is_some() {
                    @if let Some(found) = measured(&method.name) {
                        td.number { (percent(found.accuracy)) } td.number { (percent(found.balanced_accuracy)) }
                    } @else { td.number { "–" } td.number { "–" } }
                }
                td { (method.refused.as_deref().unwrap_or_default()) (method.notes.join("; ")) }
            } } }
        }
    }
}
