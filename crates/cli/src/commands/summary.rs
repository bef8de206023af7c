//! What a fit or a report tells on the terminal when it is done.

use std::collections::BTreeMap;
use std::path::Path;

use engraft::artefact::{
    AnswersReport, BaselineReport, MultiLabelReport, RegressionReport, Report, RunReport, TableReport, TagsReport,
    TargetReport, UnsureReport,
};
use engraft::error::shown;
use engraft::evaluate::{
    AnswerEvaluation, Coverage, Estimate, MultiLabelEvaluation, Paired, RegressionEvaluation, SpanEvaluation,
};
use engraft::targets::Measures;

use crate::output::percent;

/// What a run came to.
pub fn summary(report: &RunReport, out: &Path) -> String {
    match report {
        RunReport::Classes(report) => of_classes(report, out),
        RunReport::Targets(report) => {
            let time = format!("time              {:.1} s\n", report.seconds.total);
            of_target(report) + &time + &page(&out.join("report.html"))
        }
    }
}

/// The main numbers of predictions, on one line.
pub fn measures_line(measures: &Measures) -> String {
    match measures {
        Measures::Classes(evaluation) => format!("accuracy: {}", interval(&evaluation.accuracy)),
        Measures::LabelSets(evaluation) => labels_line(evaluation),
        Measures::Numbers { evaluation, .. } => numbers_line(evaluation),
        Measures::Tags(evaluation) => spans_line(evaluation),
        Measures::Answers(evaluation) => answers_line(evaluation),
    }
}

/// "95.1 % (92.0 to 97.1 %)"
pub fn interval(estimate: &Estimate) -> String {
    format!("{} ({:.1} to {})", percent(estimate.mean), 100.0 * estimate.low, percent(estimate.high))
}

/// "difference        +1.0 points (-0.9 to +2.9)"
fn against(name: &str, paired: &Paired) -> String {
    format!("{name:<17} {}", points(paired))
}

/// "+1.0 points (-0.9 to +2.9)"
fn points(paired: &Paired) -> String {
    let [difference, low, high] = [paired.difference, paired.low, paired.high].map(|share| 100.0 * share);
    format!("{difference:+.1} points ({low:+.1} to {high:+.1})")
}

/// The number that models are compared by, of those that have names, and whether it is an amount.
fn main_number(measures: &BTreeMap<String, Estimate>) -> Option<(String, bool)> {
    let shares = [("accuracy", ""), ("map", "mAP "), ("span_f1", "span F1 "), ("f1", "F1 ")];
    let share = shares.into_iter().find_map(|(name, told)| Some((told, measures.get(name)?)));
    match share {
        Some((told, estimate)) => Some((format!("{told}{}", interval(estimate)), false)),
        None => measures.get("mae").map(|mae| (format!("off by {}", amount(mae.mean)), true)),
    }
}

/// What one gets without a network, each with how much better the model is.
fn baselines(baselines: &[BaselineReport]) -> Vec<String> {
    let mut lines = Vec::new();
    for baseline in baselines {
        let Some((told, is_number)) = main_number(&baseline.measures) else { continue };
        let better = |paired: &Paired| match is_number {
            true => {
                let [difference, low, high] = [paired.difference, paired.low, paired.high].map(amount);
                format!("off by {difference} less ({low} to {high})")
            }
            false => points(paired),
        };
        let worse = |paired: &Paired| if paired.high < 0.0 { ": the baseline is better" } else { "" };
        let paired = &baseline.paired;
        lines.push(format!("{:<17} {told}; the model: {}{}", baseline.name, better(paired), worse(paired)));
        for (split, paired) in &baseline.held_out {
            lines.push(format!("{:<17} the model: {}{}", format!("  on {split}"), better(paired), worse(paired)));
        }
    }
    lines
}

/// The columns that a model of rows goes by.
fn columns(table: Option<&TableReport>) -> Option<String> {
    let columns = &table?.columns;
    let named: Vec<String> = columns.iter().take(3).map(|column| shown(&column.name)).collect();
    let more = if columns.len() > named.len() { format!(", of {}", columns.len()) } else { String::new() };
    Some(format!("goes by           {}{more} columns", named.join(", ")))
}

/// What a fit to one class came to, for the terminal.
fn of_classes(report: &Report, out: &Path) -> String {
    let mut lines = Vec::new();
    let unit = report.data.unit.as_str();
    for held in &report.held_out {
        let estimate = &held.evaluation.accuracy;
        lines.push(format!("accuracy on {:<5} {} on {} {unit}", held.split, interval(estimate), estimate.n));
    }
    let accuracy = &report.accuracy;
    lines.push(format!("out-of-fold       {} on {} {unit}", interval(accuracy), accuracy.n));
    if report.choice.tried.len() > 1 {
        lines.push(format!("linear probe      {}", interval(&report.controls.probe.accuracy)));
    }
    lines.push(format!("depth             {}", report.choice.depth));
    lines.extend(columns(report.table.as_ref()));
    lines.extend(baselines(&report.controls.baselines));
    if let Some(scratch) = &report.controls.scratch {
        let paired = &scratch.paired;
        lines.push(format!("from scratch      {} ({})", interval(&scratch.accuracy), scratch.how));
        lines.push(against("difference", paired));
    }
    lines.push(format!("verdict           {}", report.verdict));
    lines.push(unsure_line(&report.unsure, unit));
    if !report.label_errors.is_empty() {
        lines.push(format!("labels to check   {}", report.label_errors.len()));
    }
    if let Some(forecast) = report.forecasts.iter().find(|forecast| forecast.more == report.data.train) {
        lines.push(format!("as many again     {forecast}"));
    }
    lines.push(format!("time              {:.1} s", report.seconds.total));
    lines.push(format!("report            {}", shown(out.join("report.html"))));
    lines.join("\n") + "\n"
}

/// The numbers of a run on sets of labels or numbers.
pub fn of_target(report: &TargetReport) -> String {
    let unit = report.data.unit.as_str();
    let mut lines = Vec::new();
    lines.extend(report.regression.iter().flat_map(|numbers| of_numbers(numbers, unit)));
    lines.extend(report.multi_label.iter().flat_map(|labels| of_labels(labels, unit)));
    lines.extend(report.tags.iter().flat_map(|tags| of_tags(tags, unit)));
    lines.extend(report.answers.iter().flat_map(|answers| of_answers(answers, unit)));
    lines.push(format!("depth             {}", report.choice.depth));
    lines.extend(columns(report.table.as_ref()));
    lines.extend(baselines(&report.baselines));
    if let Some(scratch) = &report.scratch {
        let told = main_number(&scratch.measures).map_or_else(String::new, |(told, _)| told);
        lines.push(format!("from scratch      {told} ({})", scratch.how));
        if report.regression.is_none() {
            lines.push(against("difference", &scratch.paired));
        }
    }
    lines.push(format!("verdict           {}", report.verdict));
    lines.join("\n") + "\n"
}

fn of_numbers(report: &RegressionReport, unit: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for held in &report.held_out {
        lines.push(line(&format!("on {}", held.split), &numbers_line(&held.evaluation), &held.evaluation.mae, unit));
        lines.extend(held.coverage.as_ref().map(coverage));
    }
    lines.push(line("out-of-fold", &numbers_line(&report.evaluation), &report.evaluation.mae, unit));
    lines.push(match &report.coverage {
        Some(measured) => coverage(measured),
        None => format!("intervals         none: too few {unit} for {} of the truth", percent(report.level)),
    });
    lines
}

fn of_labels(report: &MultiLabelReport, unit: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for held in &report.held_out {
        lines.push(line(&format!("on {}", held.split), &labels_line(&held.evaluation), &held.evaluation.map, unit));
    }
    lines.push(line("out-of-fold", &labels_line(&report.evaluation), &report.evaluation.map, unit));
    let never = report.thresholds.iter().filter(|least| least.is_none()).count();
    if never > 0 {
        lines.push(format!("never given       {never} of {} labels: too little is known", report.thresholds.len()));
    }
    if !report.label_errors.is_empty() {
        lines.push(format!("labels to check   {}", report.label_errors.len()));
    }
    lines
}

fn of_tags(report: &TagsReport, unit: &str) -> Vec<String> {
    let held = report.held_out.iter();
    let held = held.map(|held| (format!("on {}", held.split), &held.evaluation));
    let all = held.chain([("out-of-fold".to_owned(), &report.evaluation)]);
    let lines = all.map(|(place, found)| line(&place, &spans_line(found), &found.span_f1, unit));
    lines.chain([unsure_line(&report.unsure, "spans")]).collect()
}

fn of_answers(report: &AnswersReport, unit: &str) -> Vec<String> {
    let held = report.held_out.iter();
    let held = held.map(|held| (format!("on {}", held.split), &held.evaluation));
    let all = held.chain([("out-of-fold".to_owned(), &report.evaluation)]);
    let lines = all.map(|(place, found)| line(&place, &answers_line(found), &found.f1, unit));
    lines.chain([unsure_line(&report.unsure, unit)]).collect()
}

fn answers_line(answers: &AnswerEvaluation) -> String {
    format!("F1 {}, exact match {}", interval(&answers.f1), interval(&answers.em))
}

fn spans_line(spans: &SpanEvaluation) -> String {
    format!("span F1 {}, macro-F1 {}", interval(&spans.span_f1), interval(&spans.macro_f1))
}

/// When the model says "unsure", and how often.
fn unsure_line(unsure: &UnsureReport, unit: &str) -> String {
    match unsure.threshold {
        Some(threshold) => format!(
            "unsure below      p = {threshold:.3}: answers {} of {unit} at {} errors",
            percent(unsure.answered),
            percent(unsure.error)
        ),
        None => format!(
            "unsure            always: no threshold promises at most {} errors on this data",
            percent(unsure.max_error)
        ),
    }
}

fn line(name: &str, numbers: &str, estimate: &Estimate, unit: &str) -> String {
    format!("{name:<17} {numbers} on {} {unit}", estimate.n)
}

fn numbers_line(numbers: &RegressionEvaluation) -> String {
    let RegressionEvaluation { mae, r2, .. } = numbers;
    format!(
        "off by {} ({} to {}), R² {:.3} ({:.3} to {:.3})",
        amount(mae.mean),
        amount(mae.low),
        amount(mae.high),
        r2.mean,
        r2.low,
        r2.high
    )
}

fn labels_line(labels: &MultiLabelEvaluation) -> String {
    format!("mAP {}, macro-F1 {}", interval(&labels.map), interval(&labels.macro_f1))
}

fn coverage(coverage: &Coverage) -> String {
    format!(
        "intervals         held the truth {} of the time (aim {}), {} wide",
        interval(&coverage.measured),
        percent(coverage.level),
        amount(coverage.width)
    )
}

/// A number of unknown unit and size with four digits.
fn amount(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e6).contains(&size) {
        return format!("{value:.2e}");
    }
    let whole = if size >= 1.0 { size.log10().floor() as usize + 1 } else { 1 };
    format!("{value:.*}", 4usize.saturating_sub(whole))
}

/// Where a run's page is.
pub fn page(html: &Path) -> String {
    format!("report            {}\n", shown(html))
}
