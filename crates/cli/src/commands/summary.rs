//! What a fit or a report tells on the terminal when it is done.

use std::collections::BTreeMap;
use std::path::Path;

use engraft::adapt::{Adaptation, ClassShare};
use engraft::error::shown;
use engraft::metrics::{
    AnswerEvaluation, Coverage, Estimate, MultiLabelEvaluation, Paired, RegressionEvaluation, SpanEvaluation,
};
use engraft::run::{
    BaselineReport, HeldBlock, HeldNumbers, HeldOutReport, Report, TableReport, TargetBlock, UnsureReport,
};
use engraft::targets::Measures;

use crate::output::percent;

/// Classes whose shares are told.
const SHARES: usize = 4;

/// What a run came to; `html` is its page.
pub fn summary(report: &Report, html: &Path) -> String {
    let unit = report.data.unit.as_str();
    let mut lines: Vec<String> = report.held_out.iter().flat_map(|held| of_held_out(held, unit)).collect();
    if let Some(adaptation) = &report.adaptation {
        lines.extend(of_adaptation(adaptation, unit));
        lines.push(
            "source            what follows was measured on the source, and is not promised on the target".into(),
        );
    }
    lines.extend(of_target(report, unit));
    if let Some(grouped) = &report.data.audit.grouped {
        lines.push(format!("groups            {}; no group crosses folds", grouped.told()));
    }
    lines.push(format!("depth             {}", report.choice.depth));
    lines.extend(columns(report.table.as_ref()));
    lines.extend(baselines(&report.controls.baselines));
    if let Some(scratch) = &report.controls.scratch {
        let told = main_number(&scratch.measures).map_or_else(String::new, |(told, _)| told);
        lines.push(format!("from scratch      {told} ({})", scratch.how));
        let told = |name: &str, paired: &Paired| match &report.target {
            TargetBlock::Numbers { .. } => {
                let [difference, low, high] = [paired.difference, paired.low, paired.high].map(amount);
                format!("{name:<17} off by {difference} less ({low} to {high})")
            }
            _ => against(name, paired),
        };
        lines.push(told("difference", &scratch.paired));
        lines.extend(scratch.held_out.iter().map(|(split, paired)| told(&format!("  on {split}"), paired)));
    }
    lines.push(format!("verdict           {}", report.verdict));
    lines.extend(of_answers_to_come(report, unit));
    lines.push(format!("time              {:.1} s", report.seconds.total));
    lines.push(format!("report            {}", shown(html)));
    lines.join("\n") + "\n"
}

/// What an adaptation came to.
fn of_adaptation(adaptation: &Adaptation, unit: &str) -> Vec<String> {
    let distance = &adaptation.distance;
    let mut lines = vec![
        format!("target            {} {unit} in {}", adaptation.examples, adaptation.to),
        format!(
            "domains           told apart with {} (two halves of one: {}), p = {:.3}; MMD\u{b2} {:.4}, p = {:.3}",
            percent(distance.accuracy),
            percent(distance.floor),
            distance.p,
            distance.mmd2,
            distance.mmd_p
        ),
    ];
    let share = |share: &ClassShare| {
        let [source, estimated, low, high] = [share.source, share.estimated, share.low, share.high].map(percent);
        format!("{} {source} -> {estimated} ({low} to {high})", share.class)
    };
    let shown = adaptation.shares.iter().take(SHARES).map(share).collect::<Vec<_>>().join(", ");
    let more = adaptation.shares.len().saturating_sub(SHARES);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    lines.push(format!("class shares      {shown}{more}"));
    let what = if adaptation.adapted { "adapted" } else { "not adapted" };
    lines.push(format!("{what:<17} {}", adaptation.reason));
    lines.push(format!(
        "changed answers   {} of {}; {} of the target are unlike the source",
        adaptation.changed,
        adaptation.examples,
        percent(adaptation.unlike)
    ));
    match &adaptation.measured {
        None => lines.push("on the target     accuracy unknown without labels".into()),
        Some(measured) => {
            let [own, new] = [measured.source_only.mean, measured.adapted.mean].map(percent);
            lines.push(format!("on the target     {new} of {}; source-only {own}", measured.labelled));
            lines.push(against("adaptation", &measured.paired));
        }
    }
    if let Some(checked) = &adaptation.checked {
        lines.push(format!("check             {}", checked.verdict));
    }
    lines
}

/// What was measured on a held-out split.
fn of_held_out(held: &HeldOutReport, unit: &str) -> Vec<String> {
    let place = format!("on {}", held.split);
    match &held.measures {
        HeldBlock::Classes(measures) => {
            let accuracy = &measures.evaluation.accuracy;
            vec![format!("accuracy on {:<5} {} on {} {unit}", held.split, interval(accuracy), accuracy.n)]
        }
        HeldBlock::Numbers(HeldNumbers { evaluation, coverage: covered }) => {
            let numbers = line(&place, &numbers_line(evaluation), &evaluation.mae, unit);
            [numbers].into_iter().chain(covered.as_ref().map(coverage)).collect()
        }
        HeldBlock::LabelSets(evaluation) => vec![line(&place, &labels_line(evaluation), &evaluation.map, unit)],
        HeldBlock::Tags(evaluation) => vec![line(&place, &spans_line(evaluation), &evaluation.span_f1, unit)],
        HeldBlock::Answers(evaluation) => vec![line(&place, &answers_line(evaluation), &evaluation.f1, unit)],
    }
}

/// What was measured out of fold.
fn of_target(report: &Report, unit: &str) -> Vec<String> {
    let place = "out-of-fold";
    match &report.target {
        TargetBlock::Classes(classes) => {
            let accuracy = &classes.evaluation.accuracy;
            let mut lines = vec![line(place, &interval(accuracy), accuracy, unit)];
            let probe = report.controls.probe.measures.get("accuracy").filter(|_| report.choice.tried.len() > 1);
            lines.extend(probe.map(|accuracy| format!("linear probe      {}", interval(accuracy))));
            lines
        }
        TargetBlock::Numbers { regression } => {
            let numbers = line(place, &numbers_line(&regression.evaluation), &regression.evaluation.mae, unit);
            let intervals = match &regression.coverage {
                Some(measured) => coverage(measured),
                None => {
                    format!("intervals         none: too few {unit} for {} of the truth", percent(regression.level))
                }
            };
            vec![numbers, intervals]
        }
        TargetBlock::LabelSets { multi_label } => {
            let evaluation = &multi_label.evaluation;
            let mut lines = vec![line(place, &labels_line(evaluation), &evaluation.map, unit)];
            let (all, never) = (multi_label.thresholds.len(), multi_label.thresholds.iter().filter(|it| it.is_none()));
            let never = never.count();
            if never > 0 {
                lines.push(format!("never given       {never} of {all} labels: too little is known"));
            }
            lines
        }
        TargetBlock::Tags { tags } => {
            vec![line(place, &spans_line(&tags.evaluation), &tags.evaluation.span_f1, unit)]
        }
        TargetBlock::Answers { answers } => {
            vec![line(place, &answers_line(&answers.evaluation), &answers.evaluation.f1, unit)]
        }
    }
}

/// What is to be known of answers to come, and what would make them better.
fn of_answers_to_come(report: &Report, unit: &str) -> Vec<String> {
    let to_check = |count: usize| (count > 0).then(|| format!("labels to check   {count}"));
    let mut lines = match &report.target {
        TargetBlock::Classes(classes) => {
            let mut lines = vec![unsure_line(&classes.unsure, unit)];
            lines.extend(to_check(classes.label_errors.len()));
            lines
        }
        TargetBlock::Numbers { .. } => Vec::new(),
        TargetBlock::LabelSets { multi_label } => to_check(multi_label.label_errors.len()).into_iter().collect(),
        TargetBlock::Tags { tags } => vec![unsure_line(&tags.unsure, "spans")],
        TargetBlock::Answers { answers } => vec![unsure_line(&answers.unsure, unit)],
    };
    let score = report.target.task().score();
    let as_many = report.forecasts.iter().find(|forecast| forecast.more == report.data.train);
    lines.extend(as_many.map(|forecast| format!("as many again     {}", forecast.told(score))));
    lines
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
        let worse = |paired: &Paired| match paired.high < 0.0 {
            true if baseline.name == "TF-IDF" => ": the baseline is better (--base tfidf fits it)",
            true => ": the baseline is better",
            false => "",
        };
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
            "unsure below      p = {threshold:.3}: answers {} of {unit} at {} errors; at most {} on new data, with {} confidence",
            percent(unsure.answered),
            percent(unsure.error),
            percent(unsure.max_error),
            percent(unsure.confidence)
        ),
        None => format!(
            "unsure            always: this data does not show at most {} errors with {} confidence ({})",
            percent(unsure.max_error),
            percent(unsure.confidence),
            unsure.offered.map_or_else(
                || "--max-error allows more".to_owned(),
                |(max_error, answered)| format!("--max-error {max_error} would answer about {}", percent(answered))
            )
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
