//! The head of a run in `model.json` and `model.safetensors`, whatever it predicts.

use std::path::Path;

use burn::tensor::Device;
use engraft_weights::{Precision, Tensor, Weights};
use serde::{Deserialize, Serialize};

use crate::data::Task;
use crate::error::Result;
use crate::features::Features;
use crate::heads::{AnswerRule, Head, Linear, Metric, Novelty, ReaderSizes, WordReader};
use crate::metrics::CvPlus;
use crate::run::blocks::UnsureReport;
use crate::run::run_files::{damaged, take};
use crate::targets::{Calibration, Predictor};

/// Prefix of the tensors of a reader on word vectors.
const READER: &str = "head.reader.";

/// What `model.json` says of a head. Its tensors are `head.weight` `[outputs, features]`, `head.bias` `[outputs]` and
/// `novelty.references` `[examples, features]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct HeadFile {
    /// What makes a prediction of outputs.
    #[serde(flatten)]
    pub(crate) calibration: CalibrationFile,
    /// Distances above this are unlike the training data.
    pub(crate) unlike_threshold: f32,
    /// Which neighbour's distance counts.
    pub(crate) unlike_k: usize,
    /// What is measured to a neighbour.
    #[serde(default)]
    pub(crate) unlike_metric: Metric,
    /// Sizes of a reader on word vectors, whose tensors then stand in place of `head.weight` and `head.bias`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reader: Option<ReaderSizes>,
}

/// What makes a prediction of outputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum CalibrationFile {
    /// Of a class.
    Class {
        /// Divides the logits.
        temperature: f64,
        /// When to say "unsure".
        unsure: UnsureReport,
    },
    /// Of a set of labels.
    LabelSet {
        /// Divides the logits.
        temperature: f64,
        /// From which probability on each label is given; nothing where it never is.
        thresholds: Vec<Option<f64>>,
    },
    /// Of a number. Further tensors: `folds.weight` `[folds, features]` and `folds.bias` `[folds]` where the folds have heads
    /// of their own, and `folds.residuals` `[examples]` (absolute errors, ascending within each fold).
    Number {
        /// How often the prediction intervals are to hold the truth.
        level: f64,
        /// How many residuals each fold has.
        fold_sizes: Vec<usize>,
        /// Whether the folds have heads of their own.
        fold_heads: bool,
    },
    /// Of spans of words.
    Tags {
        /// When to say "unsure" of a span.
        unsure: UnsureReport,
    },
    /// Of an answer to a question.
    Answer {
        /// Above this no answer is given; absent where every question has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        no_answer_threshold: Option<f32>,
        /// When to say "unsure".
        unsure: UnsureReport,
    },
}

impl HeadFile {
    /// Writes a predictor's tensors, at f32, and says what they mean.
    pub(crate) fn of(predictor: &Predictor, weights: &mut Weights) -> Self {
        let Predictor { head, calibration, novelty } = predictor;
        let reader = match head {
            Head::Linear(head) => {
                put(weights, "head.weight", vec![head.outputs, head.columns], &head.weights);
                put(weights, "head.bias", vec![head.outputs], &head.intercepts);
                None
            }
            Head::Reader(reader) => {
                reader.export(READER, weights);
                Some(reader.sizes)
            }
        };
        let Features { rows, columns, values } = &novelty.kept;
        let tensor = Tensor { shape: vec![*rows, *columns], values: values.clone(), precision: Precision::F32 };
        weights.tensors.insert("novelty.references".into(), tensor);
        let classes: Vec<f64> = novelty.classes.iter().map(|&class| class as f64).collect();
        put(weights, "novelty.classes", vec![classes.len()], &classes);
        let calibration = match calibration {
            Calibration::Classes { temperature, rule } => {
                CalibrationFile::Class { temperature: *temperature, unsure: rule.into() }
            }
            Calibration::LabelSets { temperature, thresholds } => {
                CalibrationFile::LabelSet { temperature: *temperature, thresholds: thresholds.clone() }
            }
            Calibration::Numbers { folds, intervals } => {
                if !folds.is_empty() {
                    let rows: Vec<f64> = folds.iter().flat_map(|head| head.weights.iter().copied()).collect();
                    put(weights, "folds.weight", vec![folds.len(), head.columns()], &rows);
                    let intercepts: Vec<f64> = folds.iter().map(|head| head.intercepts[0]).collect();
                    put(weights, "folds.bias", vec![folds.len()], &intercepts);
                }
                let residuals: Vec<f64> = intervals.residuals.iter().flatten().copied().collect();
                put(weights, "folds.residuals", vec![residuals.len()], &residuals);
                let fold_sizes = intervals.residuals.iter().map(Vec::len).collect();
                CalibrationFile::Number { level: intervals.level, fold_sizes, fold_heads: !folds.is_empty() }
            }
            Calibration::Tags { rule } => CalibrationFile::Tags { unsure: rule.into() },
            Calibration::Answers { threshold, rule } => {
                CalibrationFile::Answer { no_answer_threshold: *threshold, unsure: rule.into() }
            }
        };
        Self {
            calibration,
            unlike_threshold: novelty.threshold,
            unlike_k: novelty.k,
            unlike_metric: novelty.metric,
            reader,
        }
    }

    /// The predictor again. Takes its tensors out of `weights`; `path` is where they were, for errors.
    ///
    /// # Errors
    /// [`Error::Weights`](crate::error::Error::Weights) where a tensor is missing, has another shape than it must, or holds
    /// what is not finite; or the head is not one of the task.
    pub(crate) fn predictor(
        &self,
        weights: &mut Weights,
        task: Task,
        classes: usize,
        path: &Path,
    ) -> Result<Predictor> {
        let (outputs, fits) = match (&self.calibration, task) {
            (CalibrationFile::Class { .. }, Task::SingleLabel) => (classes, classes >= 2),
            (CalibrationFile::LabelSet { thresholds, .. }, Task::MultiLabel) => (classes, thresholds.len() == classes),
            (CalibrationFile::Number { .. }, Task::Regression) => (1, classes == 0),
            (CalibrationFile::Tags { .. }, Task::Tags) => (1 + 2 * classes, classes > 0),
            (CalibrationFile::Answer { .. }, Task::Answers) => (2, classes == 0),
            _ => (classes, false),
        };
        if !fits {
            let found = format!("task {task} and {classes} labels");
            return Err(damaged(path, "one head, as its task has", &found));
        }
        let (head, columns) = match self.reader.filter(|_| task == Task::Answers) {
            Some(sizes) => {
                let reader = WordReader::import(sizes, READER, weights, &Device::flex())?;
                (Head::Reader(Box::new(reader)), sizes.columns)
            }
            None => {
                let weight = take(weights, "head.weight", path)?;
                let columns = weight.shape.last().copied().unwrap_or(0);
                let head = Linear {
                    outputs,
                    columns,
                    weights: checked(weight, &[outputs, columns], "head.weight", path)?,
                    intercepts: checked(take(weights, "head.bias", path)?, &[outputs], "head.bias", path)?,
                };
                head.check()?;
                (Head::Linear(head), columns)
            }
        };
        // A head on tokens takes other numbers than the features of an example.
        let references = take(weights, "novelty.references", path)?;
        let [rows, features] = references.shape[..] else {
            return Err(damaged(path, "references of features", &format!("{:?}", references.shape)));
        };
        if rows == 0 || self.unlike_k == 0 || features == 0 || (task.has_label_column() && features != columns) {
            let found = format!("{:?}", references.shape);
            return Err(damaged(path, &format!("references of {columns} features"), &found));
        }
        let references = Features::new(rows, features, references.values)?;
        references.check()?;
        // Runs of earlier versions do not have them.
        let of_each = match weights.tensors.contains_key("novelty.classes") {
            true => checked(take(weights, "novelty.classes", path)?, &[rows], "novelty.classes", path)?,
            false => Vec::new(),
        };
        let of_each = of_each.into_iter().map(|class| class as usize).collect();
        let novelty = Novelty::of(references, of_each, self.unlike_metric, self.unlike_k, self.unlike_threshold);
        // What was f32 when it was written comes back to the bit through f32 from any decimal text.
        let narrow = |value: f64| f64::from(value as f32);
        let heat = |temperature: f64| match narrow(temperature) {
            narrowed if narrowed > 0.0 && narrowed.is_finite() => Ok(narrowed),
            _ => Err(damaged(path, "a temperature above 0", &temperature.to_string())),
        };
        let rule_of = |unsure: &UnsureReport| {
            let UnsureReport { max_error, threshold, answered, error, .. } = unsure.clone();
            AnswerRule { max_error, threshold: threshold.map(narrow), answered, error }
        };
        let calibration = match &self.calibration {
            CalibrationFile::Class { temperature, unsure } => {
                Calibration::Classes { temperature: heat(*temperature)?, rule: rule_of(unsure) }
            }
            CalibrationFile::Tags { unsure } => Calibration::Tags { rule: rule_of(unsure) },
            CalibrationFile::Answer { no_answer_threshold, unsure } => {
                Calibration::Answers { threshold: *no_answer_threshold, rule: rule_of(unsure) }
            }
            CalibrationFile::LabelSet { temperature, thresholds } => {
                let thresholds = thresholds.iter().map(|least| least.map(narrow)).collect();
                Calibration::LabelSets { temperature: heat(*temperature)?, thresholds }
            }
            CalibrationFile::Number { level, fold_sizes, fold_heads } => {
                if !(*level > 0.0 && *level < 1.0) || fold_sizes.is_empty() {
                    return Err(damaged(path, "a level between 0 and 1, and folds", &level.to_string()));
                }
                let (folds, mut heads) = (fold_sizes.len(), Vec::new());
                if *fold_heads {
                    let rows = take(weights, "folds.weight", path)?;
                    let rows = checked(rows, &[folds, columns], "folds.weight", path)?;
                    let biases = checked(take(weights, "folds.bias", path)?, &[folds], "folds.bias", path)?;
                    heads.extend(rows.chunks_exact(columns).zip(biases).map(|(weights, intercept)| Linear {
                        outputs: 1,
                        columns,
                        weights: weights.to_vec(),
                        intercepts: vec![intercept],
                    }));
                }
                let n = fold_sizes.iter().try_fold(0usize, |sum, &size| sum.checked_add(size)).unwrap_or(usize::MAX);
                let all = take(weights, "folds.residuals", path)?;
                let mut rest = checked(all, &[n], "folds.residuals", path)?;
                let mut residuals = Vec::with_capacity(folds);
                for &size in fold_sizes {
                    let after = rest.split_off(size);
                    residuals.push(std::mem::replace(&mut rest, after));
                }
                Calibration::Numbers { folds: heads, intervals: CvPlus { level: *level, residuals } }
            }
        };
        Ok(Predictor { head, calibration, novelty })
    }
}

fn put(weights: &mut Weights, name: &str, shape: Vec<usize>, values: &[f64]) {
    let values = values.iter().map(|&value| value as f32).collect();
    weights.tensors.insert(name.into(), Tensor { shape, values, precision: Precision::F32 });
}

/// The numbers of a tensor of this shape, all of them finite.
fn checked(tensor: Tensor, shape: &[usize], name: &str, path: &Path) -> Result<Vec<f64>> {
    if tensor.shape != shape || shape.contains(&0) {
        return Err(damaged(path, &format!("`{name}` of shape {shape:?}"), &format!("{:?}", tensor.shape)));
    }
    if tensor.values.iter().any(|value| !value.is_finite()) {
        return Err(damaged(path, &format!("finite numbers in `{name}`"), "others"));
    }
    Ok(tensor.values.into_iter().map(f64::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn linear(outputs: usize, by: f32) -> Linear {
        let weights = (0..outputs * 3).map(|at| f64::from(0.1 * at as f32 - 0.2 + by)).collect();
        Linear { outputs, columns: 3, weights, intercepts: vec![f64::from(by); outputs] }
    }

    fn predictor(calibration: Calibration, outputs: usize) -> Predictor {
        let references = Features::new(2, 3, vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0]).unwrap();
        Predictor {
            head: linear(outputs, 0.0).into(),
            calibration,
            novelty: Novelty::of(references, vec![0, 1], Metric::Direction, 1, 0.5),
        }
    }

    fn numbers() -> Predictor {
        let intervals = CvPlus { level: 0.5, residuals: vec![vec![0.25, 0.5], vec![0.125, 1.0, 2.0]] };
        predictor(Calibration::Numbers { folds: vec![linear(1, 0.01), linear(1, -0.01)], intervals }, 1)
    }

    #[test]
    fn predictors_come_back_to_the_bit() {
        let path = Path::new("model.safetensors");
        let temperature = f64::from(1.1f32);
        let rule = AnswerRule { max_error: 0.05, threshold: Some(f64::from(0.7f32)), answered: 0.5, error: 0.01 };
        let mut own_folds = numbers();
        if let Calibration::Numbers { folds, .. } = &mut own_folds.calibration {
            folds.clear();
        }
        for (wanted, task, classes) in [
            (predictor(Calibration::Classes { temperature, rule }, 3), Task::SingleLabel, 3),
            (
                predictor(Calibration::LabelSets { temperature, thresholds: vec![Some(f64::from(0.3f32)), None] }, 2),
                Task::MultiLabel,
                2,
            ),
            (numbers(), Task::Regression, 0),
            (own_folds, Task::Regression, 0),
        ] {
            let mut weights = Weights::default();
            let file = HeadFile::of(&wanted, &mut weights);
            let mut read = engraft_weights::read(&engraft_weights::write(&weights)).unwrap();
            let file: HeadFile = serde_json::from_str(&serde_json::to_string(&file).unwrap()).unwrap();
            let found = file.predictor(&mut read, task, classes, path).unwrap();
            assert_eq!(found, wanted);
            assert_eq!(found.answer(&[0.3, 0.1, 0.9]), wanted.answer(&[0.3, 0.1, 0.9]));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let path = Path::new("model.safetensors");
        let refused = |spoil: &dyn Fn(&mut HeadFile, &mut Weights)| {
            let mut weights = Weights::default();
            let mut file = HeadFile::of(&numbers(), &mut weights);
            spoil(&mut file, &mut weights);
            let found = file.predictor(&mut weights, Task::Regression, 0, path);
            assert!(matches!(found, Err(Error::Weights(_) | Error::Data(_))));
        };
        let number = |level: f64, sizes: &[usize]| CalibrationFile::Number {
            level,
            fold_sizes: sizes.to_vec(),
            fold_heads: true,
        };
        for sizes in [&[5][..], &[2, 4], &[usize::MAX, 2], &[]] {
            refused(&|file, _| file.calibration = number(0.5, sizes));
        }
        refused(&|file, _| file.calibration = number(f64::NAN, &[2, 3]));
        refused(&|file, _| file.unlike_k = 0);
        for name in ["head.weight", "head.bias", "folds.weight", "folds.bias", "folds.residuals", "novelty.references"]
        {
            refused(&|_, weights| drop(weights.tensors.remove(name)));
            refused(&|_, weights| weights.tensors.get_mut(name).unwrap().shape = vec![]);
            refused(&|_, weights| weights.tensors.get_mut(name).unwrap().values[0] = f32::NAN);
        }
        let mut weights = Weights::default();
        let file = HeadFile::of(&numbers(), &mut weights);
        assert!(file.predictor(&mut weights, Task::SingleLabel, 2, path).is_err(), "the head of another task");
    }
}
