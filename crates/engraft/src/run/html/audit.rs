//! What the audit found, for people who have not seen the terminal.

use maud::{Markup, html};

use super::format::{count, name, path, plural};
use super::parts::scroll;
use crate::data::audit::Audit;
use crate::data::{Finding, Severity};

/// Files listed for a finding; report.json has all.
const LISTED: usize = 200;

/// Findings, the worst first, and the counts of each class, or whatever else `one` is called.
pub fn of(audit: &Audit, unit: &str, one: &str) -> Markup {
    let file = if unit == "images" { "file" } else { "name" };
    let excluded = audit.excluded.len();
    html! {
        p.lead {
            (count(audit.examples)) " examples, of which " (count(excluded)) " "
            (plural(excluded, "was", "were")) " left out. Nothing was changed on disk."
        }
        @if let Some(grouped) = &audit.grouped { p.lead { (grouped.told()) "; no group crosses folds." } }
        @if audit.findings.is_empty() { p.empty { "Nothing to object to." } }
        ul.findings { @for finding in &audit.findings { (finding_item(finding, file)) } }
        @if !audit.classes.is_empty() { details { summary { "Examples of each " (one) } (counts(audit)) } }
    }
}

/// The severity as sign and word; the colour only repeats it.
fn finding_item(finding: &Finding, file: &str) -> Markup {
    let (class, sign, word) = match finding.severity {
        Severity::Serious => ("bad", "✕", "Serious"),
        Severity::Warning => ("warn", "▲", "Warning"),
        Severity::Info => ("info", "i", "Note"),
    };
    html! {
        li.(class) {
            p.badge { span.sign aria-hidden="true" { (sign) } (word) }
            div {
                p { (finding.message) }
                @if !finding.files.is_empty() { details { summary { (files_counted(finding, file)) } (files(finding)) } }
            }
        }
    }
}

/// How many there are. Images are files; texts, rows and columns have names.
fn files_counted(finding: &Finding, file: &str) -> String {
    let (rows, one) = match finding.kind.in_pairs() {
        true => (finding.files.len().div_ceil(2), "pair"),
        false => (finding.files.len(), file),
    };
    format!("{} {one}{}", count(rows), plural(rows, "", "s"))
}

fn files(finding: &Finding) -> Markup {
    let rows: Vec<&[String]> = finding.files.chunks(if finding.kind.in_pairs() { 2 } else { 1 }).collect();
    html! {
        ul.files {
            @for row in rows.iter().take(LISTED) {
                li { @for (at, file) in row.iter().enumerate() { @if at > 0 { " = " } (path(file)) } }
            }
            @if rows.len() > LISTED { li.more { "and " (count(rows.len() - LISTED)) " more, in report.json" } }
        }
    }
}

fn counts(audit: &Audit) -> Markup {
    scroll(
        "Examples of each",
        html! {
            table {
                thead { tr {
                    th scope="col" { "Name" } th.number scope="col" { "Train" } th.number scope="col" { "Val" }
                    th.number scope="col" { "Test" } th.number scope="col" { "Left out" }
                } }
                tbody { @for class in &audit.classes {
                    tr {
                        th scope="row" { (name(&class.class)) }
                        td.number { (count(class.train)) } td.number { (count(class.val)) }
                        td.number { (count(class.test)) } td.number { (count(class.excluded)) }
                    }
                } }
            }
        },
    )
}
