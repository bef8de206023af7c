//! A set of labels of each example.

use super::predictor::given;
use super::{
    Aims, Calibrated, Calibration, FoldOutputs, Measures, Predictions, Probe, Solver, Strength, SuspectedLabel,
    Suspects, Target, TargetAnswer, TargetSettings, but, folds_of_groups, places_of, tell_rare,
};
use crate::data::Task;
use crate::data::stratify::label_folds;
use crate::error::Result;
use crate::features::Features;
use crate::heads::{
    LabelOptions, Linear, ThresholdRule, cross_validate_labels, fit_one_vs_rest, label_thresholds, sigmoid, temperature,
};
use crate::metrics::{LabelPredictions, Paired, evaluate_labels, label_errors, paired_map};
use crate::progress::Observer;

/// The labels of each example.
pub struct LabelSets {
    /// `[examples, labels]`
    has: Vec<bool>,
    names: Vec<String>,
    settings: TargetSettings,
}

impl LabelSets {
    pub fn new(has: Vec<bool>, names: Vec<String>, settings: TargetSettings) -> Self {
        Self { has, names, settings }
    }

    fn of<'a, T: Copy>(&self, table: &'a [T], row: usize) -> &'a [T] {
        let labels = self.names.len();
        &table[row * labels..(row + 1) * labels]
    }

    fn truth(&self, rows: &[usize]) -> Vec<bool> {
        rows.iter().flat_map(|&row| self.of(&self.has, row).iter().copied()).collect()
    }

    fn thresholds(&self) -> ThresholdRule {
        self.settings.max_error.map_or(ThresholdRule::F1, ThresholdRule::Error)
    }

    /// F1 of each answer; 1 where nothing is given and nothing is there.
    fn scores(&self, given: &[bool], rows: &[usize]) -> Vec<f64> {
        let score = |(place, &row): (usize, &usize)| {
            let (given, has) = (self.of(given, place), self.of(&self.has, row));
            let both = given.iter().zip(has).filter(|(given, has)| **given && **has).count();
            let sum = given.iter().chain(has).filter(|is| **is).count();
            if sum == 0 { 1.0 } else { 2.0 * both as f64 / sum as f64 }
        };
        rows.iter().enumerate().map(score).collect()
    }

    fn calibrated(
        &self,
        (probabilities, given): (Vec<f32>, Vec<bool>),
        rows: &[usize],
        temperature: f64,
        thresholds: &[Option<f64>],
    ) -> Calibrated {
        let scores = self.scores(&given, rows);
        let round = |value: f64| f64::from(value as f32);
        let thresholds = thresholds.iter().map(|least| least.map(round)).collect();
        Calibrated {
            predictions: Predictions::LabelSets { probabilities, given },
            calibration: Calibration::LabelSets { temperature: round(temperature), thresholds },
            scores,
        }
    }
}

fn parts_of(predictions: &Predictions) -> (&[f32], &[bool]) {
    match predictions {
        Predictions::LabelSets { probabilities, given } => (probabilities, given),
        _ => (&[], &[]),
    }
}

impl Solver for LabelSets {
    fn probe(&self, features: &Features, folds: &[usize], observer: &dyn Observer) -> Result<Probe> {
        let options = LabelOptions { thresholds: self.thresholds(), ..LabelOptions::default() };
        let found = cross_validate_labels(features, &self.has, self.names.len(), folds, &options, observer)?;
        let rows: Vec<usize> = (0..self.len()).collect();
        let tried = found.tried.iter();
        let answers = (found.out_of_fold, found.given);
        Ok(Probe {
            tried: tried.map(|tried| Strength { value: tried.c, loss: tried.log_loss, accuracy: None }).collect(),
            strength: found.chosen_c,
            calibrated: self.calibrated(answers, &rows, found.temperature, &found.thresholds),
        })
    }

    fn solve_on(&self, features: &Features, rows: &[usize], strength: f64, observer: &dyn Observer) -> Result<Linear> {
        let (head, _) = fit_one_vs_rest(features, &self.truth(rows), self.names.len(), strength, observer)?;
        Ok(head)
    }
}

impl Target for LabelSets {
    fn task(&self) -> Task {
        Task::MultiLabel
    }

    fn len(&self) -> usize {
        self.has.len() / self.names.len().max(1)
    }

    fn outputs(&self) -> usize {
        self.names.len()
    }

    fn aims(&self, _training: &[usize]) -> Aims {
        let has = self.has.iter().map(|has| f32::from(u8::from(*has))).collect();
        Aims::LabelSets { has, labels: self.names.len() }
    }

    fn folds(&self, asked: usize, groups: &[usize], unit: &str, observer: &dyn Observer) -> (usize, Vec<usize>) {
        let labels = self.names.len();
        let positives = |label: usize| self.has.iter().skip(label).step_by(labels).filter(|has| **has).count();
        let count = folds_of_groups(asked, groups, unit, observer);
        // A label of one example is never answered: it has no say.
        tell_rare((0..labels).map(positives).filter(|count| *count > 1), "label", count, unit, observer);
        (count, label_folds(&self.has, labels, groups, count, self.settings.seed))
    }

    fn solver(&self) -> Option<&dyn Solver> {
        Some(self)
    }

    fn calibrate(&self, parts: &[FoldOutputs]) -> Result<Calibrated> {
        let labels = self.names.len();
        let rows = places_of(parts);
        // Temperature and thresholds of all folds but one, or of all; those of one fold alone are the usual ones.
        let chosen = |without: Option<usize>| -> Result<(f64, Vec<Option<f64>>)> {
            if without.is_some() && parts.len() == 1 {
                return Ok((1.0, vec![Some(0.5); labels]));
            }
            let logits: Vec<f32> = but(parts, without).flat_map(|(_, logits)| logits.iter().copied()).collect();
            let truth: Vec<bool> = but(parts, without).flat_map(|(held, _)| self.truth(held)).collect();
            let pairs: Vec<f32> = logits.iter().flat_map(|&z| [0.0, z]).collect();
            let classes: Vec<usize> = truth.iter().map(|has| usize::from(*has)).collect();
            let temperature = temperature(&[(&pairs, &classes)], 2)?;
            let probabilities: Vec<f32> = logits.iter().map(|&z| sigmoid(f64::from(z), temperature) as f32).collect();
            Ok((temperature, label_thresholds(&probabilities, &truth, labels, self.thresholds())?))
        };
        let mut table: Vec<(Vec<f32>, Vec<bool>)> = vec![Default::default(); self.len()];
        for (fold, (held, logits)) in parts.iter().enumerate() {
            let (temperature, thresholds) = chosen(Some(fold))?;
            for (row, &at) in logits.chunks_exact(labels).zip(held) {
                let probabilities: Vec<f32> = row.iter().map(|&z| sigmoid(f64::from(z), temperature) as f32).collect();
                let given = given(&probabilities, &thresholds);
                table[at] = (probabilities, given);
            }
        }
        let probabilities = rows.iter().flat_map(|&at| table[at].0.iter().copied()).collect();
        let given = rows.iter().flat_map(|&at| table[at].1.iter().copied()).collect();
        let (temperature, thresholds) = chosen(None)?;
        Ok(self.calibrated((probabilities, given), &rows, temperature, &thresholds))
    }

    fn constant(&self, training: &[usize], count: usize) -> Predictions {
        let labels = self.names.len();
        let mut shares = vec![0.0f32; labels];
        for (at, has) in self.truth(training).into_iter().enumerate() {
            shares[at % labels] += f32::from(u8::from(has)) / training.len() as f32;
        }
        let given: Vec<bool> = shares.iter().map(|share| *share >= 0.5).collect();
        Predictions::LabelSets { probabilities: shares.repeat(count), given: given.repeat(count) }
    }

    fn collect(&self, answers: &[TargetAnswer]) -> Predictions {
        let (mut probabilities, mut given) = (Vec::new(), Vec::new());
        for answer in answers {
            if let TargetAnswer::Labels(answer) = answer {
                probabilities.extend_from_slice(&answer.probabilities);
                given.extend_from_slice(&answer.given);
            }
        }
        Predictions::LabelSets { probabilities, given }
    }

    fn measure(&self, predictions: &Predictions, rows: &[usize], how: &str) -> Result<Measures> {
        let (probabilities, given) = parts_of(predictions);
        let truth = self.truth(rows);
        let predictions = LabelPredictions::new(probabilities, given, &truth, self.names.len())?;
        Ok(Measures::LabelSets(evaluate_labels(&predictions, self.settings.seed, how)))
    }

    fn compare(&self, ours: &Predictions, theirs: &Predictions, rows: &[usize]) -> Result<Paired> {
        let truth = self.truth(rows);
        let of = |predictions| {
            let (probabilities, given) = parts_of(predictions);
            LabelPredictions::new(probabilities, given, &truth, self.names.len())
        };
        paired_map(&of(ours)?, &of(theirs)?, self.settings.seed)
    }

    /// Confident learning for each label by itself, as a choice of two classes (see [`label_errors`]).
    fn suspects(&self, predictions: &Predictions, rows: &[usize]) -> Result<Suspects> {
        let ((probabilities, _), truth, labels) = (parts_of(predictions), self.truth(rows), self.names.len());
        let mut found = Vec::new();
        for label in 0..labels {
            let of = || (label..truth.len()).step_by(labels);
            let pairs: Vec<f32> = of().flat_map(|at| [1.0 - probabilities[at], probabilities[at]]).collect();
            let classes: Vec<usize> = of().map(|at| usize::from(truth[at])).collect();
            found.extend(label_errors(&pairs, &classes, 2)?.into_iter().map(|error| SuspectedLabel {
                index: error.index,
                label,
                given: error.given == 1,
                probability: probabilities[error.index * labels + label],
            }));
        }
        let surprise = |one: &SuspectedLabel| if one.given { one.probability } else { 1.0 - one.probability };
        found.sort_by(|a, b| surprise(a).total_cmp(&surprise(b)).then((a.index, a.label).cmp(&(b.index, b.label))));
        Ok(Suspects::LabelSets(found))
    }

    fn strata(&self) -> Vec<usize> {
        vec![0; self.len()]
    }

    fn unmeasurable(&self) -> Option<&'static str> {
        (!self.has.contains(&true)).then_some("none of its examples has a label")
    }
}
