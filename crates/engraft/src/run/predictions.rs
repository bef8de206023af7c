//! `predictions.csv`: every out-of-fold and held-out answer of a run.

use std::collections::BTreeMap;

use crate::data::intake::Content;
use crate::data::task::SEPARATOR;
use crate::data::text::conll::{TaggedSet, tag_name, tags_of};
use crate::data::text::squad::QuestionSet;
use crate::error::{Error, Problem, Result};
use crate::fit::Fitted;
use crate::metrics::AnswerScore;
use crate::targets::{Calibration, FoundSpan, GivenAnswer, LabelsAnswer, Predictions, TagsAnswer, TargetAnswer};
use crate::train::argmax;

/// Columns of tagged words, a row for each word.
const WORDS: [&str; 11] =
    ["sentence", "split", "fold", "position", "word", "truth", "answer", "probability", "unsure", "distance", "unlike"];
/// Columns of questions.
const QUESTIONS: [&str; 13] = [
    "id",
    "split",
    "fold",
    "question",
    "truth",
    "answer",
    "em",
    "f1",
    "probability",
    "no_answer",
    "unsure",
    "distance",
    "unlike",
];

/// The table, as CSV.
pub(super) fn predictions_csv(fitted: &Fitted) -> Result<Vec<u8>> {
    let classes = &fitted.intake.dataset.classes;
    let mut table = csv::Writer::from_writer(Vec::new());
    let (fixed, each): (&[&str], Vec<String>) = match &fitted.taken().calibrated.predictions {
        Predictions::Classes(_) => (
            &["path", "split", "fold", "label", "answer", "probability", "unsure", "distance", "unlike"],
            classes.iter().map(|class| format!("p({class})")).collect(),
        ),
        Predictions::LabelSets { .. } => (
            &["path", "split", "fold", "truth", "answer", "distance", "unlike"],
            classes.iter().flat_map(|label| [format!("p({label})"), format!("given({label})")]).collect(),
        ),
        Predictions::Numbers { .. } => {
            (&["path", "split", "fold", "truth", "prediction", "low", "high", "distance", "unlike"], Vec::new())
        }
        Predictions::Tags(_) => (&WORDS, Vec::new()),
        Predictions::Answers(_) => (&QUESTIONS, Vec::new()),
    };
    let header = fixed.iter().map(|name| (*name).to_owned()).chain(each);
    table.write_record(header).map_err(unwritable)?;
    let rows = match &fitted.intake.content {
        Content::Words(set, _) => of_words(fitted, set),
        Content::Questions(set, _) => of_questions(fitted, set),
        _ => out_of_fold(fitted).into_iter().chain(held_out(fitted)).collect(),
    };
    for fields in rows {
        table.write_record(fields).map_err(unwritable)?;
    }
    table.into_inner().map_err(unwritable)
}

fn out_of_fold(fitted: &Fitted) -> Vec<Vec<String>> {
    let taken = fitted.taken();
    let dataset = &fitted.intake.dataset;
    let row = |(place, &at): (usize, &usize)| {
        let index = fitted.train[at];
        let start = [
            dataset.examples[index].name.clone(),
            "train".into(),
            fitted.folds.0[at].to_string(),
            dataset.target_text(index),
        ];
        let none = [String::new(), String::new()];
        let answer: Vec<String> = match (&taken.calibrated.predictions, &fitted.predictor.calibration) {
            (Predictions::Classes(probabilities), Calibration::Classes { rule, .. }) => {
                let row = &probabilities[place * dataset.classes.len()..][..dataset.classes.len()];
                let class = argmax(row);
                let unsure = (!rule.answers(f64::from(row[class]))).to_string();
                let said = [dataset.classes[class].clone(), row[class].to_string(), unsure];
                said.into_iter().chain(none).chain(row.iter().map(f32::to_string)).collect()
            }
            (Predictions::LabelSets { probabilities, given }, _) => {
                let row = place * dataset.classes.len()..(place + 1) * dataset.classes.len();
                labels(fitted, &probabilities[row.clone()], &given[row], none)
            }
            (Predictions::Numbers { values, intervals }, _) => number(values[place], intervals[place], none),
            _ => unreachable!("words and questions have rows of their own"),
        };
        start.into_iter().chain(answer).collect()
    };
    taken.rows.iter().enumerate().map(row).collect()
}

fn held_out(fitted: &Fitted) -> Vec<Vec<String>> {
    let dataset = &fitted.intake.dataset;
    let mut rows = Vec::new();
    for held in &fitted.held_out {
        for (answer, &index) in held.answers.iter().zip(&held.examples) {
            let start = [
                dataset.examples[index].name.clone(),
                held.split.name().into(),
                String::new(),
                dataset.target_text(index),
            ];
            let answer: Vec<String> = match answer {
                TargetAnswer::Class(answer) => {
                    let distance = answer.distance.map_or_else(String::new, |distance| distance.to_string());
                    let said = [
                        dataset.classes[answer.class].clone(),
                        answer.probability().to_string(),
                        answer.unsure.to_string(),
                        distance,
                        answer.unlike.to_string(),
                    ];
                    said.into_iter().chain(answer.probabilities.iter().map(f32::to_string)).collect()
                }
                TargetAnswer::Labels(answer) => {
                    let far = [answer.distance.to_string(), answer.unlike.to_string()];
                    labels(fitted, &answer.probabilities, &answer.given, far)
                }
                TargetAnswer::Number(answer) => {
                    let far = [answer.distance.to_string(), answer.unlike.to_string()];
                    number(answer.value, answer.interval, far)
                }
                TargetAnswer::Tags(_) | TargetAnswer::Question(_) => {
                    unreachable!("words and questions have rows of their own")
                }
            };
            rows.push(start.into_iter().chain(answer).collect());
        }
    }
    rows
}

/// The split and fold of an answer, what was answered, whether that is unsure, and how far it lies from the training data where
/// the final model answered.
struct Row<'a, T> {
    index: usize,
    split: &'static str,
    fold: String,
    answer: &'a T,
    unsure: Vec<bool>,
    far: [String; 2],
}

/// Out-of-fold answers, then those of held-out splits. `given` reads the answers of the final model.
fn rows_of<'a, T>(
    fitted: &'a Fitted,
    out_of_fold: &'a [T],
    unsure: impl Fn(&T) -> Vec<bool>,
    given: impl Fn(&'a TargetAnswer) -> Option<(&'a T, Vec<bool>, f32)>,
) -> Vec<Row<'a, T>> {
    let train = fitted.taken().rows.iter().zip(out_of_fold).map(|(&at, answer)| Row {
        index: fitted.train[at],
        split: "train",
        fold: fitted.folds.0[at].to_string(),
        unsure: unsure(answer),
        answer,
        far: Default::default(),
    });
    let held = fitted.held_out.iter().flat_map(|held| {
        let of = held.answers.iter().zip(&held.examples).map(|(answer, &index)| (answer, index, held.split.name()));
        of.collect::<Vec<_>>()
    });
    let held = held.filter_map(|(answer, index, split)| {
        let (said, unsure, distance) = given(answer)?;
        let far = [distance.to_string(), answer.unlike().to_string()];
        Some(Row { index, split, fold: String::new(), answer: said, unsure, far })
    });
    train.chain(held).collect()
}

/// One row for every word.
fn of_words(fitted: &Fitted, set: &TaggedSet) -> Vec<Vec<String>> {
    let (Predictions::Tags(found), Calibration::Tags { rule }) =
        (&fitted.taken().calibrated.predictions, &fitted.predictor.calibration)
    else {
        return Vec::new();
    };
    let unsure = |spans: &Vec<FoundSpan>| spans.iter().map(|span| !rule.answers(f64::from(span.probability))).collect();
    let given = |answer| match answer {
        &TargetAnswer::Tags(TagsAnswer { ref spans, ref unsure, distance, .. }) => {
            Some((spans, unsure.clone(), distance))
        }
        _ => None,
    };
    let mut rows = Vec::new();
    for Row { index, split, fold, answer, unsure, far } in rows_of(fitted, found, unsure, given) {
        let sentence = &set.sentences[index];
        let truth = tags_of(&sentence.spans, sentence.words.len());
        let said = tags_of(&answer.iter().map(FoundSpan::span).collect::<Vec<_>>(), sentence.words.len());
        for (place, word) in sentence.words.iter().enumerate() {
            let inside = answer.iter().position(|span| (span.start..span.end).contains(&place));
            let told = |of: &dyn Fn(usize) -> String| inside.map_or_else(String::new, of);
            let fields = [
                sentence.name.clone(),
                split.to_owned(),
                fold.clone(),
                place.to_string(),
                word.clone(),
                tag_name(truth[place], &set.types),
                tag_name(said[place], &set.types),
                told(&|span| answer[span].probability.to_string()),
                told(&|span| unsure[span].to_string()),
            ];
            rows.push(fields.into_iter().chain(far.clone()).collect());
        }
    }
    rows
}

/// The answers to questions, out-of-fold and of held-out splits.
fn answers_of(fitted: &Fitted) -> Vec<Row<'_, GivenAnswer>> {
    let (Predictions::Answers(given), Calibration::Answers { rule, .. }) =
        (&fitted.taken().calibrated.predictions, &fitted.predictor.calibration)
    else {
        return Vec::new();
    };
    let unsure = |answer: &GivenAnswer| vec![!rule.answers(answer.confidence())];
    rows_of(fitted, given, unsure, |answer| match answer {
        TargetAnswer::Question(answer) => Some((&answer.given, vec![answer.unsure], answer.distance)),
        _ => None,
    })
}

fn of_questions(fitted: &Fitted, set: &QuestionSet) -> Vec<Vec<String>> {
    let fields = |Row { index, split, fold, answer, unsure, far }: Row<'_, GivenAnswer>| {
        let question = &set.questions[index];
        let text = answer.text(set.context(index));
        let AnswerScore { em, f1 } = AnswerScore::of(text, &set.golds(index), set.version);
        let fields = [
            question.id.clone(),
            split.to_owned(),
            fold,
            question.text.clone(),
            set.golds(index).join(" | "),
            text.to_owned(),
            em.to_string(),
            f1.to_string(),
            answer.probability.to_string(),
            answer.no_answer.to_string(),
            unsure.first().map_or_else(String::new, bool::to_string),
        ];
        fields.into_iter().chain(far).collect()
    };
    answers_of(fitted).into_iter().map(fields).collect()
}

/// Answers by the question's name; nothing of other tasks.
pub(super) fn answers_by_id(fitted: &Fitted) -> Option<BTreeMap<String, String>> {
    let Content::Questions(set, _) = &fitted.intake.content else { return None };
    let named = |row: Row<'_, GivenAnswer>| {
        (set.questions[row.index].id.clone(), row.answer.text(set.context(row.index)).to_owned())
    };
    Some(answers_of(fitted).into_iter().map(named).collect())
}

fn labels(fitted: &Fitted, probabilities: &[f32], given: &[bool], far: [String; 2]) -> Vec<String> {
    let classes = &fitted.intake.dataset.classes;
    let order = LabelsAnswer::order(probabilities, given);
    let joined = order.iter().map(|&label| classes[label].as_str()).collect::<Vec<_>>().join(&SEPARATOR.to_string());
    let pairs = probabilities.iter().zip(given).flat_map(|(p, given)| [p.to_string(), given.to_string()]);
    [joined].into_iter().chain(far).chain(pairs).collect()
}

fn number(value: f64, interval: Option<(f64, f64)>, far: [String; 2]) -> Vec<String> {
    let [low, high] = interval.map_or_else(Default::default, |(low, high)| [low.to_string(), high.to_string()]);
    [value.to_string(), low, high].into_iter().chain(far).collect()
}

fn unwritable(source: impl std::fmt::Display) -> Error {
    Error::Io(Problem::new("predictions.csv cannot be written").found(source))
}
