//! Which class is taken for which, and how each fares.

use maud::{Markup, html};

use super::format::{count, decimal, percent, percent_range, plural};
use super::parts::{class_name, examples, folded, held_classes, scroll};
use crate::metrics::{ClassMetrics, ClassShares, ImbalanceEvaluation, Share};
use crate::run::blocks::ClassesReport;
use crate::run::report::Report;

/// Up to here the whole matrix is read at a glance; above, the commonest confusions come first.
const AT_A_GLANCE: usize = 30;
/// A matrix grows with the square of the classes: a larger one would make the page too heavy to open.
const LARGEST_MATRIX: usize = 100;
/// Confused pairs listed.
const PAIRS: usize = 15;
/// Columns whose names are written level; with more, they are turned.
const LEVEL_COLUMNS: usize = 4;
/// With more columns than this they are drawn narrow: thirty then fit the page.
const NARROW_COLUMNS: usize = 16;
/// Cells with more than this much ink get light text.
const DARK_CELL: f64 = 0.5;

/// Answers that were counted: out-of-fold, or of a held-out split.
struct Counted<'a> {
    report: &'a Report,
    /// `Out-of-fold`, `Held-out test`.
    place: String,
    confusion: &'a [Vec<usize>],
    per_class: &'a [ClassMetrics],
    imbalance: Option<&'a ImbalanceEvaluation>,
}

impl<'a> Counted<'a> {
    /// Out-of-fold first, then the held-out splits.
    fn all(report: &'a Report, classes: &'a ClassesReport) -> Vec<Self> {
        let mut all = vec![Self {
            report,
            place: "Out-of-fold".into(),
            confusion: &classes.evaluation.confusion,
            per_class: &classes.evaluation.per_class,
            imbalance: classes.imbalance.as_ref(),
        }];
        all.extend(held_classes(report).map(|(split, held)| Self {
            report,
            place: format!("Held-out {split}"),
            confusion: &held.evaluation.confusion,
            per_class: &held.evaluation.per_class,
            imbalance: held.imbalance.as_ref(),
        }));
        all
    }

    fn answers(&self) -> usize {
        self.confusion.iter().flatten().sum()
    }
}

/// What is told of each of several, under its place where there is more than one.
fn each(all: &[Counted], told: impl Fn(&Counted) -> Markup) -> Markup {
    html! { @for one in all { @if all.len() > 1 { h3 { (one.place) } } (told(one)) } }
}

/// The confusion matrix, or the commonest confusions where there are many classes; out-of-fold and of every held-out split.
pub(crate) fn confusion_section(report: &Report, classes: &ClassesReport) -> Markup {
    let mut all = Counted::all(report, classes);
    all.retain(|one| one.answers() > 0);
    let classes = all.iter().map(|one| one.confusion.len()).max().unwrap_or(0);
    if all.is_empty() {
        return html! { p.empty { "There are no answers to count." } };
    }
    if classes <= AT_A_GLANCE {
        return each(&all, matrix_figure);
    }
    html! {
        p.lead {
            "With " (count(classes)) " classes the commonest confusions say more than the matrix."
        }
        (each(&all, |one| html! {
            (pairs(one))
            @if classes <= LARGEST_MATRIX {
                details { summary { "The whole matrix, " (classes) " by " (classes) } (matrix_figure(one)) }
            }
        }))
        @if classes > LARGEST_MATRIX {
            p.caption { "The whole matrix is too large for a page; it stands in report.json under “confusion”." }
        }
    }
}

fn matrix_figure(counted: &Counted) -> Markup {
    let report = counted.report;
    html! {
        figure {
            (scroll("Confusion matrix", matrix(counted)))
            figcaption {
                (counted.place) " counts: a row is what the " (examples(report, 1))
                " is labelled, a column what was answered. Blue on the diagonal is right; orange beside it is wrong, \
                 the stronger the larger its share of the row. A dot is zero."
            }
        }
    }
}

fn matrix(counted: &Counted) -> Markup {
    let Counted { report, confusion, .. } = counted;
    let turned = confusion.len() > LEVEL_COLUMNS;
    html! {
        table.matrix.turned[turned].many[confusion.len() > NARROW_COLUMNS] {
            thead {
                tr {
                    td.corner { "label ↓ answer →" }
                    @for class in 0..confusion.len() { th scope="col" { span { (class_name(report, class)) } } }
                    th.sum scope="col" { span { "all" } }
                }
            }
            tbody {
                @for (label, row) in confusion.iter().enumerate() {
                    @let all = row.iter().sum::<usize>();
                    tr {
                        th scope="row" { span { (class_name(report, label)) } }
                        @for (answer, &cell) in row.iter().enumerate() { (matrix_cell(cell, all, answer == label)) }
                        td.sum { (count(all)) }
                    }
                }
            }
        }
    }
}

fn matrix_cell(cell: usize, all: usize, right: bool) -> Markup {
    if cell == 0 {
        return html! { td.zero { "·" } };
    }
    let ink = ink(cell as f64 / all as f64, right);
    html! {
        td.right[right].wrong[!right].dark[ink > DARK_CELL] style=(format!("--ink-share:{ink:.3}")) { (count(cell)) }
    }
}

/// How much colour a cell gets. Wrong answers are rare in a good classifier: the root keeps a few per cent visible.
fn ink(share: f64, right: bool) -> f64 {
    if right { share * 0.9 } else { 0.12 + 0.78 * share.sqrt() }
}

/// The commonest confusions: label, answer, how many.
fn pairs(counted: &Counted) -> Markup {
    let report = counted.report;
    let mut confused: Vec<(usize, usize, usize, usize)> = Vec::new();
    for (label, row) in counted.confusion.iter().enumerate() {
        let all = row.iter().sum();
        let wrong = row.iter().enumerate().filter(|&(answer, &cell)| answer != label && cell > 0);
        confused.extend(wrong.map(|(answer, &cell)| (label, answer, cell, all)));
    }
    confused.sort_by_key(|&(label, answer, cell, _)| (std::cmp::Reverse(cell), label, answer));
    let found = confused.len();
    if found == 0 {
        return html! { p.empty { "Nothing was confused." } };
    }
    confused.truncate(PAIRS);
    html! {
        (scroll("Commonest confusions", html! {
            table {
                thead { tr {
                    th scope="col" { "Labelled" } th scope="col" { "Answered" }
                    th.number scope="col" { "Times" } th.number scope="col" { "Share of the label" }
                } }
                tbody { @for (label, answer, cell, all) in &confused {
                    tr {
                        td { (class_name(report, *label)) } td { (class_name(report, *answer)) }
                        td.number { (count(*cell)) } td.number { (percent(*cell as f64 / *all as f64)) }
                    }
                } }
            }
        }))
        p.caption {
            (counted.place) ". The " (confused.len()) " commonest of " (count(found)) " "
            (plural(found, "pair", "pairs")) " that were confused at least once."
        }
    }
}

/// Precision, recall, F1 and support of each class, out-of-fold and of every held-out split; the weakest first where there
/// are many.
pub(crate) fn table_section(report: &Report, classes: &ClassesReport) -> Markup {
    let mut all = Counted::all(report, classes);
    all.retain(|one| !one.per_class.is_empty());
    if all.is_empty() {
        return html! { p.empty { "There are no numbers for single classes." } };
    }
    let many = all.iter().any(|one| one.per_class.len() > AT_A_GLANCE);
    html! {
        p.lead {
            "Precision: of what it calls so, how much is. Recall: of what is so, how much it finds. F1 joins the two."
            @if many { " Shown are the " (PAIRS) " weakest." }
        }
        (each(&all, |one| of_classes(one, many)))
    }
}

fn of_classes(counted: &Counted, many: bool) -> Markup {
    let in_order: Vec<&ClassMetrics> = counted.per_class.iter().collect();
    let mut weakest = in_order.clone();
    weakest.sort_by(|a, b| a.f1.total_cmp(&b.f1).then(a.class.cmp(&b.class)));
    weakest.truncate(PAIRS);
    let shown = if many { &weakest } else { &in_order };
    html! {
        (folded(
            &format!("All {} classes", count(in_order.len())),
            class_table(counted, shown),
            many.then(|| class_table(counted, &in_order)),
        ))
        p.caption {
            (counted.place) @if counted.imbalance.is_some() { ", with 95\u{202f}% intervals below" }
            ". Where support is small, all of a row is vague: one example more or less moves it."
        }
        @if let Some(imbalance) = counted.imbalance { (alike(imbalance)) }
    }
}

/// What accuracy hides where some classes are rarer than others.
fn alike(imbalance: &ImbalanceEvaluation) -> Markup {
    let ImbalanceEvaluation { balanced_accuracy, matthews, ratio, .. } = imbalance;
    html! {
        p {
            "Where every class counts alike: balanced accuracy (the mean recall) "
            strong { (percent(balanced_accuracy.mean)) } " ("
            (percent_range(balanced_accuracy.low, balanced_accuracy.high)) "), Matthews’ correlation "
            strong { (decimal(matthews.mean, 3)) } " (" (decimal(matthews.low, 3)) " to " (decimal(matthews.high, 3))
            "; 0 is chance). "
            @if *ratio > 1.0 { "The commonest class has " (decimal(*ratio, 1)) " times as many examples as the rarest." }
            @else { "All classes have as many examples." }
        }
    }
}

/// The interval of a class's precision or recall, where it is known.
fn range(of: Option<&Share>) -> Markup {
    html! { @if let Some(share) = of.filter(|share| share.n > 0) { small { (percent_range(share.low, share.high)) } } }
}

fn class_table(counted: &Counted, rows: &[&ClassMetrics]) -> Markup {
    scroll(
        "Classes",
        html! {
            table.classes.stacked {
                thead { tr {
                    th scope="col" { "Class" } th.number scope="col" { "Precision" } th.number scope="col" { "Recall" }
                    th.number scope="col" { "F1" } th.drawn scope="col" { span.hidden { "F1 drawn" } }
                    th.number scope="col" { "Support" }
                } }
                tbody { @for row in rows {
                    tr {
                        th scope="row" { (class_name(counted.report, row.class)) }
                        @let shares = shares(counted, row.class);
                        td.number data-of="Precision" { (percent(row.precision)) (range(shares.map(|of| &of.precision))) }
                        td.number data-of="Recall" { (percent(row.recall)) (range(shares.map(|of| &of.recall))) }
                        td.number data-of="F1" { (percent(row.f1)) }
                        td.drawn { span.bar aria-hidden="true" { span.fill style=(format!("width:{:.2}%", share(row.f1))) {} } }
                        td.number data-of="Support" { (count(row.support)) }
                    }
                } }
            }
        },
    )
}

fn shares<'a>(counted: &Counted<'a>, class: usize) -> Option<&'a ClassShares> {
    counted.imbalance.and_then(|imbalance| imbalance.per_class.get(class))
}

fn share(value: f64) -> f64 {
    if value.is_finite() { value.clamp(0.0, 1.0) * 100.0 } else { 0.0 }
}
