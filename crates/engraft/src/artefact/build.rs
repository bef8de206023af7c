//! From everything that a fit led to, to its report.

use crate::artefact::report::*;
use crate::artefact::save::peak_memory_mb;
use crate::error::printable;
use crate::evaluate::{Estimate, Evaluation, ImbalanceEvaluation, Predictions, evaluate_imbalance, wilson};
use crate::head::AnswerRule;
use crate::inductive::tuning::{Difference, Measured};
use crate::inductive::{Fitted, HeldOut};

/// Wrong answers and suspected labels that a report lists.
const LISTED: usize = 100;

/// The report of a fit.
pub fn build_report(fitted: &Fitted) -> Report {
    let Evaluation { accuracy, macro_f1, log_loss, brier, ece, per_class, confusion, calibration } =
        fitted.evaluation.clone();
    let scratch = fitted.control.as_ref().zip(fitted.paired.as_ref()).map(|(control, paired)| ScratchReport {
        accuracy: control.evaluation.accuracy.clone(),
        macro_f1: control.evaluation.macro_f1.clone(),
        log_loss: control.evaluation.log_loss.clone(),
        how: control.plan.describe(fold_count(fitted)),
        paired: paired.clone(),
    });
    let verdict = match &scratch {
        Some(scratch) => scratch.paired.verdict.clone(),
        None => "not measured: the from-scratch control was left out".into(),
    };
    Report {
        schema: SCHEMA,
        command: "fit".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        task: "image-classification".into(),
        base: BaseReport::of(&fitted.base, fitted.predictor.head.columns),
        data: DataReport {
            path: printable(&fitted.config.data),
            examples: fitted.intake.dataset.examples.len(),
            train: fitted.train.len(),
            classes: fitted.intake.dataset.classes.clone(),
            fingerprint: fitted.intake.fingerprint(),
            audit: fitted.intake.audit.clone(),
        },
        choice: choice(fitted),
        held_out: fitted.held_out.iter().map(|held| held_out(held, &fitted.predictor.rule)).collect(),
        controls: Controls { scratch, probe: ProbeReport { accuracy: fitted.probe.accuracy.clone() } },
        verdict,
        unsure: unsure(&fitted.predictor.rule),
        unlike: (&fitted.predictor.novelty).into(),
        label_errors: label_errors(fitted),
        mistakes: mistakes(fitted),
        forecasts: fitted.forecasts.clone(),
        seed: fitted.config.seed,
        config: fitted.config.clone(),
        seconds: fitted.seconds.into(),
        images_per_second: fitted.images_per_second,
        peak_memory_mb: peak_memory_mb(),
        accuracy,
        macro_f1,
        log_loss,
        brier,
        ece,
        per_class,
        confusion,
        calibration,
        imbalance: imbalance(fitted),
    }
}

/// The numbers in which every class counts alike.
fn imbalance(fitted: &Fitted) -> Option<ImbalanceEvaluation> {
    let labels = fitted.intake.labels(&fitted.train);
    let classes = fitted.intake.dataset.classes.len();
    let how = format!("{}-fold out-of-fold", fold_count(fitted));
    // What was evaluated before fits together.
    evaluate_imbalance(&fitted.out_of_fold, &labels, classes, fitted.config.seed, &how).ok()
}

fn choice(fitted: &Fitted) -> Choice {
    let Fitted { chosen, validation, .. } = fitted;
    let taken = &chosen.tried[chosen.chosen];
    let strengths = validation.tried.iter().map(|tried| TriedStrength {
        c: tried.c,
        log_loss: tried.log_loss,
        accuracy: tried.accuracy,
    });
    Choice {
        depth: taken.depth.clone(),
        cut: taken.cut.clone(),
        reason: chosen.reason.clone(),
        tried: chosen.tried.iter().map(|measured| tried_cut(measured, &chosen.tried[0])).collect(),
        left_out: chosen.left_out.clone(),
        strengths: strengths.collect(),
        c: validation.chosen_c,
        temperature: fitted.predictor.temperature,
    }
}

fn tried_cut(measured: &Measured, probe: &Measured) -> TriedCut {
    let gain = Difference::of(&measured.correct, &probe.correct);
    let (mean, n) = (measured.accuracy(), measured.correct.len());
    // Seeds are no new pictures: the interval is that of the pictures.
    let (low, high) = wilson((mean * n as f64).round() as usize, n);
    let how = match measured.seeds {
        1 => "out-of-fold; Wilson interval, 95 %".to_owned(),
        seeds => format!("out-of-fold, mean of {seeds} seeds; Wilson interval over pictures, 95 %"),
    };
    TriedCut {
        depth: measured.depth.clone(),
        cut: measured.cut.clone(),
        plan: measured.plan.clone(),
        seeds: measured.seeds,
        accuracy: Estimate { mean, low, high, n, how },
        against_probe: (measured.depth != probe.depth).then_some(gain),
        multiply_adds: measured.cost,
        remarks: measured.remarks.clone(),
        seconds: measured.seconds,
    }
}

fn fold_count(fitted: &Fitted) -> usize {
    fitted.folds.iter().max().map_or(0, |last| last + 1)
}

fn unsure(rule: &AnswerRule) -> UnsureReport {
    UnsureReport { max_error: rule.max_error, threshold: rule.threshold, answered: rule.answered, error: rule.error }
}

fn held_out(held: &HeldOut, rule: &AnswerRule) -> HeldOutReport {
    // The diagonal of the confusion counts right answers, but not which were answered: that is counted anew.
    let n = held.answers.len().max(1) as f64;
    let answered = held.answers.iter().filter(|answer| !answer.unsure).count();
    let share = |count: usize| count as f64 / n;
    HeldOutReport {
        split: held.split.name().into(),
        evaluation: held.evaluation.clone(),
        unsure: UnsureReport {
            answered: share(answered),
            error: held.wrong_among_answered() as f64 / answered.max(1) as f64,
            ..unsure(rule)
        },
        unlike: share(held.answers.iter().filter(|answer| answer.unlike).count()),
    }
}

fn label_errors(fitted: &Fitted) -> Vec<LabelErrorReport> {
    let dataset = &fitted.intake.dataset;
    let listed = fitted.label_errors.iter().take(LISTED);
    listed
        .map(|error| LabelErrorReport {
            file: dataset.examples[fitted.train[error.index]].name.clone(),
            given: dataset.classes[error.given].clone(),
            suggested: dataset.classes[error.suggested].clone(),
            given_probability: error.given_probability,
            suggested_probability: error.suggested_probability,
        })
        .collect()
}

/// Wrong out-of-fold answers, the most confident first.
fn mistakes(fitted: &Fitted) -> Vec<Mistake> {
    let dataset = &fitted.intake.dataset;
    let classes = dataset.classes.len();
    let labels = fitted.intake.labels(&fitted.train);
    let Ok(predictions) = Predictions::new(&fitted.out_of_fold, &labels, classes) else { return Vec::new() };
    let mut wrong: Vec<(usize, usize, f32)> = predictions
        .rows()
        .enumerate()
        .map(|(i, row)| (i, predictions.predicted(i), row[predictions.predicted(i)]))
        .filter(|(i, answer, _)| *answer != labels[*i])
        .collect();
    wrong.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
    wrong
        .into_iter()
        .take(LISTED)
        .map(|(i, answer, probability)| Mistake {
            file: dataset.examples[fitted.train[i]].name.clone(),
            label: dataset.classes[labels[i]].clone(),
            answer: dataset.classes[answer].clone(),
            probability,
        })
        .collect()
}
