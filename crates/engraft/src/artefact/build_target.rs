//! From everything that a fit of numbers or sets of labels led to, to its report.

use crate::artefact::report::{BaseReport, SCHEMA};
use crate::artefact::save::peak_memory_mb;
use crate::artefact::target_report::{
    MultiLabelReport, RegressionReport, TargetChoice, TargetDataReport, TargetReport,
};
use crate::error::printable;
use crate::inductive::{FittedTarget, TargetOutcome};

/// The report of a fit of numbers or sets of labels.
pub fn build_target_report(fitted: &FittedTarget) -> TargetReport {
    let FittedTarget { config, base, intake, train, .. } = fitted;
    let dataset = &intake.dataset;
    let files: Vec<&str> = train.iter().map(|&index| dataset.examples[index].name.as_str()).collect();
    let cut = base.stages().last().cloned().unwrap_or_default();
    let reason = fitted.reason.clone();
    let (mut regression, mut multi_label) = (None, None);
    let (choice, novelty) = match &fitted.outcome {
        TargetOutcome::Numbers(numbers, held_out) => {
            let held: Vec<_> = held_out.iter().map(|held| (held.split.name(), &held.measured)).collect();
            regression = Some(RegressionReport::of(numbers, &intake.values(train), &files, &held));
            (TargetChoice::of_numbers(cut, reason, &numbers.validation), &numbers.predictor.novelty)
        }
        TargetOutcome::Labels(labels, held_out) => {
            let held: Vec<_> = held_out.iter().map(|held| (held.split.name(), &held.measured)).collect();
            let truth = intake.label_sets(train);
            multi_label = Some(MultiLabelReport::of(labels, &truth, &dataset.classes, &files, &held));
            (TargetChoice::of_labels(cut, reason, &labels.validation), &labels.predictor.novelty)
        }
    };
    TargetReport {
        schema: SCHEMA,
        command: "fit".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        task: dataset.task(),
        base: BaseReport::of(&fitted.base, fitted.features),
        data: TargetDataReport {
            path: printable(&config.data),
            reason: intake.inferred.reason.clone(),
            examples: dataset.examples.len(),
            train: train.len(),
            labels: dataset.classes.clone(),
            fingerprint: intake.fingerprint(),
            audit: intake.audit.clone(),
        },
        choice,
        regression,
        multi_label,
        scratch: None,
        verdict: "not measured: the from-scratch control is there for single-label only so far".into(),
        unlike: novelty.into(),
        seed: config.seed,
        config: config.clone(),
        seconds: fitted.seconds.into(),
        images_per_second: fitted.images_per_second,
        peak_memory_mb: peak_memory_mb(),
    }
}
