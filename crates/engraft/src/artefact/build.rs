//! From everything that a fit led to, to its report.

use crate::artefact::report::*;
use crate::artefact::save::peak_memory_mb;
use crate::data::Split;
use crate::error::printable;
use crate::evaluate::{Estimate, Evaluation, ImbalanceEvaluation, LabelError, Predictions, evaluate_imbalance, wilson};
use crate::head::{AnswerRule, CrossValidation};
use crate::inductive::tuning::{Difference, Measured};
use crate::inductive::{Answer, Fitted, HeldOut};

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
        held_out: fitted.held_out.iter().map(|held| held_out(held, fitted)).collect(),
        controls: Controls { scratch, probe: ProbeReport { accuracy: fitted.probe.accuracy.clone() }, tf_idf: None },
        text: None,
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
    Choice {
        depth: taken.depth.clone(),
        cut: taken.cut.clone(),
        reason: chosen.reason.clone(),
        tried: (chosen.tried.iter().enumerate())
            .map(|(at, measured)| {
                let gain = Difference::of(&measured.correct, &chosen.tried[0].correct);
                tried_cut(measured, (at > 0).then_some(gain))
            })
            .collect(),
        left_out: chosen.left_out.clone(),
        strengths: strengths(validation),
        c: validation.chosen_c,
        temperature: fitted.predictor.temperature,
    }
}

/// The strengths that cross-validation tried.
pub(super) fn strengths(validation: &CrossValidation) -> Vec<TriedStrength> {
    let tried = validation.tried.iter();
    tried.map(|tried| TriedStrength { c: tried.c, log_loss: tried.log_loss, accuracy: tried.accuracy }).collect()
}

/// A depth that was tried, with its gain over the probe.
pub(super) fn tried_cut(measured: &Measured, against_probe: Option<Difference>) -> TriedCut {
    let (mean, n) = (measured.accuracy(), measured.correct.len());
    // Seeds are no new examples: the interval is that of the examples.
    let (low, high) = wilson((mean * n as f64).round() as usize, n);
    let how = match measured.seeds {
        1 => "out-of-fold; Wilson interval, 95 %".to_owned(),
        seeds => format!("out-of-fold, mean of {seeds} seeds; Wilson interval over examples, 95 %"),
    };
    TriedCut {
        depth: measured.depth.clone(),
        cut: measured.cut.clone(),
        plan: measured.plan.clone(),
        seeds: measured.seeds,
        accuracy: Estimate { mean, low, high, n, how },
        against_probe,
        multiply_adds: measured.cost,
        remarks: measured.remarks.clone(),
        seconds: measured.seconds,
    }
}

fn fold_count(fitted: &Fitted) -> usize {
    fitted.folds.iter().max().map_or(0, |last| last + 1)
}

pub(super) fn unsure(rule: &AnswerRule) -> UnsureReport {
    UnsureReport { max_error: rule.max_error, threshold: rule.threshold, answered: rule.answered, error: rule.error }
}

fn held_out(held: &HeldOut, fitted: &Fitted) -> HeldOutReport {
    let (rule, seed) = (&fitted.predictor.rule, fitted.config.seed);
    held_out_of(held.split, &held.answers, &held.labels, &held.evaluation, rule, seed)
}

/// What is told of a held-out split.
pub(super) fn held_out_of(
    split: Split,
    answers: &[Answer],
    labels: &[usize],
    evaluation: &Evaluation,
    rule: &AnswerRule,
    seed: u64,
) -> HeldOutReport {
    // The diagonal of the confusion counts right answers, but not which were answered: that is counted anew.
    let share = |count: usize| count as f64 / answers.len().max(1) as f64;
    let answered = || answers.iter().zip(labels).filter(|(answer, _)| !answer.unsure);
    let wrong = answered().filter(|(answer, label)| answer.class != **label).count();
    HeldOutReport {
        split: split.name().into(),
        evaluation: evaluation.clone(),
        imbalance: imbalance_of_answers(split, answers, labels, evaluation.confusion.len(), seed),
        unsure: UnsureReport {
            answered: share(answered().count()),
            error: wrong as f64 / answered().count().max(1) as f64,
            ..unsure(rule)
        },
        unlike: share(answers.iter().filter(|answer| answer.unlike).count()),
    }
}

/// The numbers in which every class counts alike, of a held-out split.
fn imbalance_of_answers(
    split: Split,
    answers: &[Answer],
    labels: &[usize],
    classes: usize,
    seed: u64,
) -> Option<ImbalanceEvaluation> {
    let probabilities: Vec<f32> = answers.iter().flat_map(|answer| answer.probabilities.iter().copied()).collect();
    let how = format!("the given {} split, looked at once", split.name());
    // What was evaluated before fits together.
    evaluate_imbalance(&probabilities, labels, classes, seed, &how).ok()
}

fn label_errors(fitted: &Fitted) -> Vec<LabelErrorReport> {
    let dataset = &fitted.intake.dataset;
    let name = |at: usize| dataset.examples[fitted.train[at]].name.clone();
    label_errors_of(&fitted.label_errors, &dataset.classes, &name)
}

/// The likeliest of the labels that are probably wrong; `name` tells an example's.
pub(super) fn label_errors_of(
    errors: &[LabelError],
    classes: &[String],
    name: &dyn Fn(usize) -> String,
) -> Vec<LabelErrorReport> {
    let listed = errors.iter().take(LISTED);
    listed
        .map(|error| LabelErrorReport {
            file: name(error.index),
            given: classes[error.given].clone(),
            suggested: classes[error.suggested].clone(),
            given_probability: error.given_probability,
            suggested_probability: error.suggested_probability,
        })
        .collect()
}

fn mistakes(fitted: &Fitted) -> Vec<Mistake> {
    let dataset = &fitted.intake.dataset;
    let labels = fitted.intake.labels(&fitted.train);
    let name = |at: usize| dataset.examples[fitted.train[at]].name.clone();
    mistakes_of(&fitted.out_of_fold, &labels, &dataset.classes, &name)
}

/// Wrong out-of-fold answers, the most confident first; `name` tells an example's.
pub(super) fn mistakes_of(
    out_of_fold: &[f32],
    labels: &[usize],
    classes: &[String],
    name: &dyn Fn(usize) -> String,
) -> Vec<Mistake> {
    let Ok(predictions) = Predictions::new(out_of_fold, labels, classes.len()) else { return Vec::new() };
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
            file: name(i),
            label: classes[labels[i]].clone(),
            answer: classes[answer].clone(),
            probability,
        })
        .collect()
}
