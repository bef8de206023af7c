//! `engraft fit` where a number or a set of labels is predicted.

use std::path::Path;

use engraft::artefact::{MultiLabelReport, RegressionReport, Rendered, TargetReport, save};
use engraft::error::shown;
use engraft::evaluate::{Coverage, Estimate, MultiLabelEvaluation, RegressionEvaluation};
use engraft::inductive::{Intake, Means, TargetNews, fit_target};
use engraft::progress::Observer;

use crate::commands::fit::{Begun, command_line, interval};
use crate::exit::Outcome;
use crate::output::{self, percent};
use crate::terminal::Terminal;

/// Fits, saves and tells.
pub fn run(
    begun: &Begun,
    intake: Intake,
    means: Means<'_>,
    audit_seconds: f64,
    json: bool,
    terminal: &Terminal,
) -> anyhow::Result<Outcome> {
    let Begun { config, out, force, journal } = begun;
    let fitted = fit_target(config, intake, means, audit_seconds, &mut |news| tell(news, terminal))?;
    terminal.check()?;
    let rendered = Rendered::of_target(&fitted, &command_line(config, out))?;
    save(&rendered, out, *force, &terminal.log())?;
    journal.close()?;
    if json {
        output::json(&rendered.report)?;
    } else {
        let time = format!("time              {:.1} s\n", rendered.report.seconds.total);
        output::text(&(summary(&rendered.report) + &time + &page(&out.join("report.html"))))?;
    }
    Ok(Outcome::Done)
}

fn tell(news: TargetNews<'_>, terminal: &Terminal) {
    terminal.say(&match news {
        TargetNews::Numbers(numbers) => format!("linear probe, out-of-fold: {}", numbers_line(numbers)),
        TargetNews::Labels(labels) => format!("linear probe, out-of-fold: {}", labels_line(labels)),
    });
}

/// The numbers of a report in a few lines.
pub fn summary(report: &TargetReport) -> String {
    let mut lines = Vec::new();
    lines.extend(report.regression.iter().flat_map(of_numbers));
    lines.extend(report.multi_label.iter().flat_map(of_labels));
    lines.push(format!("verdict           {}", report.verdict));
    lines.join("\n") + "\n"
}

fn of_numbers(report: &RegressionReport) -> Vec<String> {
    let mut lines = Vec::new();
    for held in &report.held_out {
        lines.push(line(&format!("on {}", held.split), &numbers_line(&held.evaluation), &held.evaluation.mae));
        lines.extend(held.coverage.as_ref().map(coverage));
    }
    lines.push(line("out-of-fold", &numbers_line(&report.evaluation), &report.evaluation.mae));
    lines.push(match &report.coverage {
        Some(measured) => coverage(measured),
        None => format!("intervals         none: too few pictures for {} of the truth", percent(report.level)),
    });
    let median = report.evaluation.median_mae;
    lines.push(format!("for comparison    always saying the median is off by {}", amount(median)));
    lines
}

fn of_labels(report: &MultiLabelReport) -> Vec<String> {
    let mut lines = Vec::new();
    for held in &report.held_out {
        lines.push(line(&format!("on {}", held.split), &labels_line(&held.evaluation), &held.evaluation.map));
    }
    lines.push(line("out-of-fold", &labels_line(&report.evaluation), &report.evaluation.map));
    lines.push(format!("for comparison    an order by chance has mAP {}", percent(report.evaluation.chance_map)));
    let never = report.thresholds.iter().filter(|least| least.is_none()).count();
    if never > 0 {
        lines.push(format!("never given       {never} of {} labels: too little is known", report.thresholds.len()));
    }
    if !report.label_errors.is_empty() {
        lines.push(format!("labels to check   {}", report.label_errors.len()));
    }
    lines
}

fn line(name: &str, numbers: &str, estimate: &Estimate) -> String {
    format!("{name:<17} {numbers} on {} pictures", estimate.n)
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
