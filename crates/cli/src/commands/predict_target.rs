//! `engraft predict` where a number or a set of labels is answered: the rows.

use std::path::Path;

use engraft::artefact::{TargetAnswer, TargetModelFile};
use engraft::data::Task;
use engraft::data::task::SEPARATOR;
use engraft::error::{Error, Problem, Result, printable};
use serde_json::{Map, Value, json};

use crate::args::PredictArgs;

/// What is printed of each answer.
pub struct TargetColumns {
    task: Task,
    labels: Vec<String>,
}

impl TargetColumns {
    /// Of a run.
    ///
    /// # Errors
    /// [`Error::Usage`] where flags are given that mean nothing to it.
    pub fn of(args: &PredictArgs, file: &TargetModelFile) -> Result<Self> {
        if args.top.is_some() {
            let problem =
                Problem::new(format_args!("only single classes are ranked, and the run's task is {}", file.task));
            return Err(Error::Usage(problem.at("--top").hint("leave it out: every label has its probability")));
        }
        Ok(Self { task: file.task, labels: file.classes.clone() })
    }

    /// The names of the columns: first what is answered, last one probability for each label.
    pub fn header(&self) -> Vec<String> {
        let answer: &[&str] = if self.task == Task::Regression { &["value", "low", "high"] } else { &["labels"] };
        let fixed = ["path"].iter().chain(answer).chain(&["unlike", "distance", "error"]);
        fixed.map(|name| (*name).to_owned()).chain(self.labels.iter().map(|label| format!("p({label})"))).collect()
    }

    /// An answer as a row.
    pub fn row(&self, path: &Path, answer: &TargetAnswer) -> Vec<String> {
        let mut row = vec![printable(path)];
        match answer {
            TargetAnswer::Number(number) => {
                let end = |end: Option<f64>| end.map_or_else(String::new, |end| end.to_string());
                row.push(number.value.to_string());
                row.extend([end(number.interval.map(|ends| ends.0)), end(number.interval.map(|ends| ends.1))]);
                row.extend([number.unlike.to_string(), number.distance.to_string(), String::new()]);
            }
            TargetAnswer::Labels(labels) => {
                row.push(self.names(&labels.labels()).join(&SEPARATOR.to_string()));
                row.extend([labels.unlike.to_string(), labels.distance.to_string(), String::new()]);
                row.extend(labels.probabilities.iter().map(f32::to_string));
            }
        }
        row
    }

    /// An answer as a JSON object.
    pub fn object(&self, path: &Path, answer: &TargetAnswer) -> Value {
        match answer {
            TargetAnswer::Number(number) => json!({
                "path": printable(path),
                "value": number.value,
                "low": number.interval.map(|ends| ends.0),
                "high": number.interval.map(|ends| ends.1),
                "unlike": number.unlike,
                "distance": number.distance,
            }),
            TargetAnswer::Labels(labels) => {
                let named = self.labels.iter().zip(&labels.probabilities);
                let probabilities: Map<String, Value> = named.map(|(label, p)| (label.clone(), json!(p))).collect();
                json!({
                    "path": printable(path),
                    "labels": self.names(&labels.labels()),
                    "probabilities": probabilities,
                    "unlike": labels.unlike,
                    "distance": labels.distance,
                })
            }
        }
    }

    /// A picture that cannot be answered, as a row.
    pub fn failure(&self, path: &Path, reason: String) -> Vec<String> {
        let header = self.header();
        let place = header.iter().position(|name| name == "error").unwrap_or_default();
        let mut row = vec![String::new(); header.len()];
        row[0] = printable(path);
        row[place] = reason;
        row
    }

    fn names(&self, labels: &[usize]) -> Vec<&str> {
        labels.iter().map(|&label| self.labels[label].as_str()).collect()
    }
}
