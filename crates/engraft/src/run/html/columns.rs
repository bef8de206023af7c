//! Which columns of a table the model goes by.

use maud::{Markup, html};

use super::format::{count, decimal, name, plural};
use super::parts::{folded, scroll};
use crate::data::vectors::Kind;
use crate::fit::ColumnEffect;
use crate::run::report::TableReport;

/// Columns shown before the rest is folded away.
const SHOWN: usize = 20;

/// The columns, the strongest first.
pub(crate) fn section(table: &TableReport) -> Markup {
    let strongest = table.columns.first().map_or(0.0, |column| column.effect);
    let rows = |columns: &[ColumnEffect]| {
        scroll(
            "Columns",
            html! {
                table.stacked {
                    thead { tr { th scope="col" { "Column" } th scope="col" { "Kind" } th.number scope="col" { "Effect" } } }
                    tbody { @for column in columns { tr {
                        th scope="row" { (name(&column.name)) }
                        td data-of="Kind" { @match column.kind { Kind::Numeric => "numbers", Kind::Categorical => "categories" } }
                        td.number data-of="Effect" { (decimal(column.effect / strongest.max(f64::MIN_POSITIVE), 2)) }
                    } } }
                }
            },
        )
    };
    let (shown, rest) = table.columns.split_at(table.columns.len().min(SHOWN));
    let summary = format!("{} {}", count(rest.len()), plural(rest.len(), "other", "others"));
    html! {
        p.lead {
            "By how much each column moves the answer from row to row, the strongest set to 1. Of columns that say nearly the same \
             one may carry the weight of all. An effect is not a cause."
        }
        (folded(&summary, rows(shown), (!rest.is_empty()).then(|| rows(rest))))
        @for note in &table.notes { p.caption { (name(note)) } }
    }
}
