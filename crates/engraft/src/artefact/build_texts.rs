//! From everything that a fit to texts led to, to its report.

use std::collections::BTreeSet;

use crate::artefact::build::{held_out_of, label_errors_of, mistakes_of, strengths, tried_cut, unsure};
use crate::artefact::report::*;
use crate::artefact::save::peak_memory_mb;
use crate::data::text::Text;
use crate::error::printable;
use crate::evaluate::{Evaluation, evaluate_imbalance};
use crate::inductive::text::FittedTexts;
use crate::inductive::tuning::Difference;

/// Mistakes, and suspected labels, whose texts are kept in the report.
const SHOWN: usize = 24;
/// Characters of a text that are shown.
const EXCERPT: usize = 600;

/// The report of a fit to texts.
pub fn build_texts_report(fitted: &FittedTexts) -> Report {
    let Evaluation { accuracy, macro_f1, log_loss, brier, ece, per_class, confusion, calibration } =
        fitted.evaluation.clone();
    let dataset = &fitted.intake.dataset;
    let labels = fitted.intake.labels(&fitted.train);
    let truth: Vec<usize> = fitted.rows.iter().map(|&at| labels[at]).collect();
    let name = |row: usize| dataset.examples[fitted.train[fitted.rows[row]]].name.clone();
    let scratch = fitted.scratch.as_ref().zip(fitted.against_scratch.as_ref()).map(|(scratch, paired)| ScratchReport {
        accuracy: scratch.evaluation.accuracy.clone(),
        macro_f1: scratch.evaluation.macro_f1.clone(),
        log_loss: scratch.evaluation.log_loss.clone(),
        how: scratch.how.clone(),
        paired: paired.clone(),
    });
    let verdict = match &scratch {
        Some(scratch) => scratch.paired.verdict.clone(),
        // Without an encoder of the base's kind, words counted are what the labels give by themselves.
        None => fitted.against_tf_idf.verdict.clone(),
    };
    let mistakes = mistakes_of(&fitted.out_of_fold, &truth, &dataset.classes, &name);
    let label_errors = label_errors_of(&fitted.label_errors, &dataset.classes, &name);
    let how = fitted.evaluation.accuracy.how.clone();
    let imbalance =
        evaluate_imbalance(&fitted.out_of_fold, &truth, dataset.classes.len(), fitted.config.seed, &how).ok();
    Report {
        schema: SCHEMA,
        command: "fit".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        task: "text-classification".into(),
        base: BaseReport {
            id: fitted.base.id.clone(),
            sha256: fitted.base.sha256.clone(),
            architecture: fitted.base.architecture.clone(),
            licence: fitted.base.licence.clone(),
            features: fitted.predictor.head.columns,
        },
        data: DataReport {
            path: printable(&fitted.config.data),
            examples: dataset.examples.len(),
            train: fitted.train.len(),
            classes: dataset.classes.clone(),
            fingerprint: fitted.intake.fingerprint(),
            audit: fitted.intake.audit.clone(),
        },
        choice: choice(fitted),
        held_out: (fitted.held_out.iter())
            .map(|held| {
                let (rule, seed) = (&fitted.predictor.rule, fitted.config.seed);
                held_out_of(held.split, &held.answers, &held.labels, &held.evaluation, rule, seed)
            })
            .collect(),
        controls: Controls {
            scratch,
            probe: ProbeReport { accuracy: fitted.probe.accuracy.clone() },
            tf_idf: Some(tf_idf(fitted)),
        },
        verdict,
        unsure: unsure(&fitted.predictor.rule),
        unlike: (&fitted.predictor.novelty).into(),
        text: Some(TextReport {
            source: dataset.source.remarks.clone(),
            coverage: fitted.coverage,
            unknown_words: fitted.unknown_words.clone(),
            lengths: fitted.lengths.clone(),
            shown: shown(fitted, &mistakes, &label_errors),
        }),
        label_errors,
        mistakes,
        forecasts: fitted.forecasts.clone(),
        seed: fitted.config.seed,
        config: fitted.config.clone(),
        seconds: fitted.seconds.into(),
        images_per_second: fitted.texts_per_second,
        peak_memory_mb: peak_memory_mb(),
        accuracy,
        macro_f1,
        log_loss,
        brier,
        ece,
        per_class,
        confusion,
        calibration,
        imbalance,
    }
}

fn choice(fitted: &FittedTexts) -> Choice {
    let chosen = &fitted.chosen;
    let (taken, _) = &chosen.tried[chosen.chosen];
    let probe = &chosen.tried[0].0;
    let tried = chosen.tried.iter().enumerate().map(|(at, (measured, rows))| {
        let its: Vec<f64> = rows.iter().map(|&row| probe.correct[row]).collect();
        tried_cut(measured, (at > 0).then(|| Difference::of(&measured.correct, &its)))
    });
    Choice {
        depth: taken.depth.clone(),
        cut: taken.cut.clone(),
        reason: chosen.reason.clone(),
        tried: tried.collect(),
        left_out: chosen.left_out.clone(),
        strengths: strengths(&fitted.validation),
        c: fitted.validation.chosen_c,
        temperature: fitted.predictor.temperature,
    }
}

fn tf_idf(fitted: &FittedTexts) -> TfIdfReport {
    let control = &fitted.tf_idf;
    TfIdfReport {
        accuracy: control.evaluation.accuracy.clone(),
        macro_f1: control.evaluation.macro_f1.clone(),
        log_loss: control.evaluation.log_loss.clone(),
        how: format!(
            "TF-IDF of {} words and pairs of words, logistic regression at C = {}, the best of three",
            control.terms, control.c
        ),
        paired: fitted.against_tf_idf.clone(),
        held_out: (fitted.held_out.iter())
            .map(|held| (held.split.name().to_owned(), held.against_tf_idf.clone()))
            .collect(),
    }
}

/// The beginnings of the texts that the page shows, each once, with what their words gave.
fn shown(fitted: &FittedTexts, mistakes: &[Mistake], labels: &[LabelErrorReport]) -> Vec<ShownText> {
    let wanted: BTreeSet<&str> = (mistakes.iter().take(SHOWN).map(|mistake| mistake.file.as_str()))
        .chain(labels.iter().take(SHOWN).map(|error| error.file.as_str()))
        .collect();
    let examples = fitted.intake.dataset.examples.iter().enumerate();
    examples
        .filter(|(_, example)| wanted.contains(example.name.as_str()))
        .map(|(index, example)| {
            let Text { first, second } = &example.text;
            let text = excerpt(first);
            let mut words = fitted.explanations.get(&index).cloned().unwrap_or_default();
            words.retain(|word| word.at + word.word.len() <= text.len());
            ShownText { file: example.name.clone(), text, second: second.as_deref().map(excerpt), words }
        })
        .collect()
}

fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
