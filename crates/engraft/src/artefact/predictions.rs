//! `predictions.csv`: every out-of-fold and held-out answer of a run.

use crate::data::task::SEPARATOR;
use crate::error::{Error, Problem, Result};
use crate::inductive::Fitted;
use crate::targets::{Calibration, LabelsAnswer, Predictions, TargetAnswer};
use crate::train::argmax;

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
    };
    let header = fixed.iter().map(|name| (*name).to_owned()).chain(each);
    table.write_record(header).map_err(unwritable)?;
    for fields in out_of_fold(fitted).into_iter().chain(held_out(fitted)) {
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
            (Predictions::Classes(_), _) => Vec::new(),
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
            };
            rows.push(start.into_iter().chain(answer).collect());
        }
    }
    rows
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
