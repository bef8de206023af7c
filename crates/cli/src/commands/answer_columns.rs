//! `engraft predict`: what is printed of each answer, whatever is answered and whatever it is about.

use engraft::data::Task;
use engraft::data::task::SEPARATOR;
use engraft::error::{Error, Problem, Result};
use engraft::run::ModelFile;
use engraft::targets::{Answer, TargetAnswer};
use serde_json::{Map, Value, json};

use crate::args::PredictArgs;

/// Classes that are printed where the number is not told.
const TOP: usize = 3;

/// What is printed of each answer.
pub struct AnswerColumns {
    task: Task,
    classes: Vec<String>,
    top: usize,
}

impl AnswerColumns {
    /// Of a base that answers in its own classes.
    pub fn of_classes(args: &PredictArgs, classes: &[String]) -> Self {
        let top = args.top.unwrap_or(TOP).clamp(1, classes.len().max(1));
        Self { task: Task::SingleLabel, classes: classes.to_vec(), top }
    }

    /// Of a run.
    ///
    /// # Errors
    /// [`Error::Usage`] for flags that its task does not have.
    pub fn of_run(args: &PredictArgs, file: &ModelFile) -> Result<Self> {
        let foreign = [("--top", args.top.is_some()), ("--explain", args.explain)];
        let foreign = foreign.into_iter().find(|(_, given)| *given && file.task != Task::SingleLabel);
        if let Some((flag, _)) = foreign {
            let problem =
                Problem::new(format_args!("only single classes are ranked, and the run's task is {}", file.task));
            return Err(Error::Usage(problem.at(flag).hint("leave it out: every label has its probability")));
        }
        Ok(Self { task: file.task, ..Self::of_classes(args, &file.classes) })
    }

    /// The names of the columns, after those that name the example.
    pub fn header(&self) -> Vec<String> {
        let answer: &[&str] = match self.task {
            Task::SingleLabel => &["answer", "label", "probability"],
            Task::MultiLabel => &["labels"],
            Task::Regression => &["value", "low", "high"],
            // They have rows of their own.
            Task::Tags | Task::Answers => &[],
        };
        let fixed = answer.iter().chain(&["unlike", "distance", "error", "status"]).map(|name| (*name).to_owned());
        let rest: Vec<String> = match self.task {
            Task::SingleLabel => {
                (2..=self.top).flat_map(|rank| [format!("label_{rank}"), format!("probability_{rank}")]).collect()
            }
            _ => self.classes.iter().map(|label| format!("p({label})")).collect(),
        };
        fixed.chain(rest).collect()
    }

    /// The most probable classes, with their probabilities.
    fn ranked<'a>(&'a self, answer: &'a Answer) -> impl Iterator<Item = (&'a str, f32)> {
        let ranking = answer.ranking().into_iter().take(self.top);
        ranking.map(|class| (self.classes[class].as_str(), answer.probabilities[class]))
    }

    /// The label, or "unsure".
    fn said<'a>(&'a self, answer: &Answer) -> &'a str {
        if answer.unsure { "unsure" } else { &self.classes[answer.class] }
    }

    /// An answer as fields.
    pub fn row(&self, answer: &TargetAnswer) -> Vec<String> {
        let far = |unlike: bool, distance: f32| {
            [unlike.to_string(), distance.to_string(), String::new(), status_of(answer).into()]
        };
        match answer {
            TargetAnswer::Class(answer) => {
                let fixed = [
                    self.said(answer).to_owned(),
                    self.classes[answer.class].clone(),
                    answer.probability().to_string(),
                    answer.distance.map_or_else(String::new, |_| answer.unlike.to_string()),
                    answer.distance.map_or_else(String::new, |distance| distance.to_string()),
                    String::new(),
                    status_of(&TargetAnswer::Class(answer.clone())).into(),
                ];
                let rest = self.ranked(answer).skip(1).flat_map(|(label, p)| [label.to_owned(), p.to_string()]);
                fixed.into_iter().chain(rest).collect()
            }
            TargetAnswer::Labels(answer) => {
                let names = self.names(&answer.labels()).join(&SEPARATOR.to_string());
                let rest = answer.probabilities.iter().map(f32::to_string);
                [names].into_iter().chain(far(answer.unlike, answer.distance)).chain(rest).collect()
            }
            TargetAnswer::Number(answer) => {
                let end = |end: Option<f64>| end.map_or_else(String::new, |end| end.to_string());
                let ends = [end(answer.interval.map(|ends| ends.0)), end(answer.interval.map(|ends| ends.1))];
                [answer.value.to_string()].into_iter().chain(ends).chain(far(answer.unlike, answer.distance)).collect()
            }
            TargetAnswer::Tags(_) | TargetAnswer::Question(_) => Vec::new(),
        }
    }

    /// An answer as the fields of a JSON object.
    pub fn object(&self, answer: &TargetAnswer) -> Map<String, Value> {
        let value = match answer {
            TargetAnswer::Class(answer) => {
                let top = self.ranked(answer).map(|(label, p)| json!({ "label": label, "probability": p }));
                json!({
                    "answer": self.said(answer),
                    "label": self.classes[answer.class],
                    "probability": answer.probability(),
                    "unsure": answer.unsure,
                    "unlike": answer.unlike,
                    "distance": answer.distance,
                    "top": top.collect::<Vec<_>>(),
                })
            }
            TargetAnswer::Labels(answer) => {
                let named = self.classes.iter().zip(&answer.probabilities);
                let probabilities: Map<String, Value> = named.map(|(label, p)| (label.clone(), json!(p))).collect();
                json!({
                    "labels": self.names(&answer.labels()),
                    "probabilities": probabilities,
                    "unlike": answer.unlike,
                    "distance": answer.distance,
                })
            }
            TargetAnswer::Number(answer) => json!({
                "value": answer.value,
                "low": answer.interval.map(|ends| ends.0),
                "high": answer.interval.map(|ends| ends.1),
                "unlike": answer.unlike,
                "distance": answer.distance,
            }),
            TargetAnswer::Tags(_) | TargetAnswer::Question(_) => Value::Null,
        };
        match value {
            Value::Object(mut fields) => {
                fields.insert("status".into(), status_of(answer).into());
                fields
            }
            _ => Map::new(),
        }
    }

    /// An example that cannot be answered, as fields.
    pub fn failure(&self, reason: String) -> Vec<String> {
        let header = self.header();
        let place = header.iter().position(|name| name == "error").unwrap_or_default();
        let mut row = vec![String::new(); header.len()];
        if self.task == Task::SingleLabel {
            row[0] = "error".into();
        }
        row[place] = reason;
        row[place + 1] = FAILED.into();
        row
    }

    fn names(&self, labels: &[usize]) -> Vec<&str> {
        labels.iter().map(|&label| self.classes[label].as_str()).collect()
    }
}

/// The status of what cannot be answered.
pub const FAILED: &str = "error";

/// Whether there is an answer and it is a sure one, whatever the classes are called: `answered` or `unsure`.
fn status_of(answer: &TargetAnswer) -> &'static str {
    match answer {
        TargetAnswer::Class(answer) if answer.unsure => "unsure",
        _ => "answered",
    }
}

/// Why an example cannot be answered, on one line.
pub fn reason_of(error: &Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
