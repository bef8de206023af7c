//! The files of a run on answers or tags.

use std::collections::BTreeMap;

use crate::artefact::html::{Curve, render_spans};
use crate::artefact::open_spans::{question_bytes, tag_bytes};
use crate::artefact::save::{Rendered, json, toml_of};
use crate::artefact::span_report::{SpanReport, build_question_report, build_tag_report};
use crate::data::text::conll::{tag_name, tags_of};
use crate::error::{Error, Problem, Result};
use crate::evaluate::Span;
use crate::inductive::spans::{Driven, FittedQuestions, FittedTags, FoundSpan, MeasuredAnswers, MeasuredTags};
use crate::train::steps_csv;

impl Rendered<SpanReport> {
    /// Renders everything that the folder of a run on answers holds, but the log.
    pub fn of_questions(fitted: &FittedQuestions, command_line: &str) -> Result<Self> {
        let report = build_question_report(fitted);
        let mut files = question_bytes(fitted);
        files.push(("predictions.csv", questions_csv(fitted)?));
        files.push(("predictions.json", json(&answers_by_id(fitted))));
        Self::whole(report, files, &fitted.driven, &fitted.config, command_line)
    }

    /// Renders everything that the folder of a run on tags holds, but the log.
    pub fn of_tags(fitted: &FittedTags, command_line: &str) -> Result<Self> {
        let report = build_tag_report(fitted);
        let mut files = tag_bytes(fitted);
        files.push(("predictions.csv", tags_csv(fitted)?));
        Self::whole(report, files, &fitted.driven, &fitted.config, command_line)
    }

    fn whole<R, M>(
        report: SpanReport,
        mut files: Vec<(&'static str, Vec<u8>)>,
        driven: &Driven<R, M>,
        config: &crate::config::SpanFit,
        command_line: &str,
    ) -> Result<Self> {
        let shown =
            |(name, curve): &(String, crate::train::Curve)| Curve { name: name.clone(), epochs: curve.epochs.clone() };
        let curves: Vec<Curve> = driven.curves.iter().map(shown).collect();
        let html = render_spans(&report, &curves, command_line);
        files.extend([
            ("report.json", json(&report)),
            ("report.html", html.into_bytes()),
            ("curves.csv", steps_csv(&driven.curves).into_bytes()),
            ("run.toml", toml_of(config)?),
        ]);
        Ok(Self { report, files })
    }
}

/// Everything that was measured: out-of-fold for training, by the final model for held-out splits.
fn measured<R, M>(driven: &Driven<R, M>) -> impl Iterator<Item = (&'static str, &M)> {
    let out_of_fold = driven.out_of_fold.iter().map(|measured| ("train", measured));
    out_of_fold.chain(driven.held_out.iter().map(|(split, measured)| (split.name(), measured)))
}

/// The fold of each training example, by its number.
fn folds<R, M>(driven: &Driven<R, M>, train: &[usize]) -> BTreeMap<usize, usize> {
    train.iter().copied().zip(driven.folds.iter().copied()).collect()
}

fn fold_text(folds: &BTreeMap<usize, usize>, split: &str, at: usize) -> String {
    folds.get(&at).filter(|_| split == "train").map_or_else(String::new, usize::to_string)
}

fn unwritable(source: impl std::fmt::Display) -> Error {
    Error::Io(Problem::new("predictions.csv cannot be written").found(source))
}

/// Answers by the question's name, as the official scripts of SQuAD read them.
fn answers_by_id(fitted: &FittedQuestions) -> BTreeMap<String, String> {
    let set = &fitted.intake.set;
    let of = |(_, measured): (&str, &MeasuredAnswers)| -> Vec<(String, String)> {
        let names = measured.questions.iter().map(|&at| set.questions[at].id.clone());
        names.zip(measured.texts.iter().cloned()).collect()
    };
    measured(&fitted.driven).flat_map(of).collect()
}

fn questions_csv(fitted: &FittedQuestions) -> Result<Vec<u8>> {
    let set = &fitted.intake.set;
    let folds = folds(&fitted.driven, &fitted.train);
    let mut table = csv::Writer::from_writer(Vec::new());
    let names = ["id", "split", "fold", "question", "truth", "answer", "em", "f1", "probability", "no_answer"];
    table.write_record(names).map_err(unwritable)?;
    for (split, answers) in measured(&fitted.driven) {
        for (row, &at) in answers.questions.iter().enumerate() {
            let [probability, no_answer] = answers.sureness[row];
            let fields = [
                set.questions[at].id.clone(),
                split.to_owned(),
                fold_text(&folds, split, at),
                set.questions[at].text.clone(),
                set.golds(at).join(" | "),
                answers.texts[row].clone(),
                answers.scores[row].em.to_string(),
                answers.scores[row].f1.to_string(),
                probability.to_string(),
                no_answer.to_string(),
            ];
            table.write_record(fields).map_err(unwritable)?;
        }
    }
    table.into_inner().map_err(unwritable)
}

/// One row for every word.
fn tags_csv(fitted: &FittedTags) -> Result<Vec<u8>> {
    let set = &fitted.intake.set;
    let folds = folds(&fitted.driven, &fitted.train);
    let mut table = csv::Writer::from_writer(Vec::new());
    let names = ["sentence", "split", "fold", "position", "word", "truth", "answer", "probability"];
    table.write_record(names).map_err(unwritable)?;
    for (split, found) in measured::<_, MeasuredTags>(&fitted.driven) {
        for (answer, &at) in found.answers.iter().zip(&found.sentences) {
            let sentence = &set.sentences[at];
            let spans = |found: &FoundSpan| Span { kind: found.kind, start: found.start, end: found.end };
            let truth = tags_of(&sentence.spans, sentence.words.len());
            let said = tags_of(&answer.iter().map(spans).collect::<Vec<_>>(), sentence.words.len());
            for (place, word) in sentence.words.iter().enumerate() {
                let inside = answer.iter().find(|span| (span.start..span.end).contains(&place));
                let fields = [
                    sentence.name.clone(),
                    split.to_owned(),
                    fold_text(&folds, split, at),
                    place.to_string(),
                    word.clone(),
                    tag_name(truth[place], &set.types),
                    tag_name(said[place], &set.types),
                    inside.map_or_else(String::new, |span| span.probability.to_string()),
                ];
                table.write_record(fields).map_err(unwritable)?;
            }
        }
    }
    table.into_inner().map_err(unwritable)
}
