//! A number of each example.

use super::{
    Aims, Calibrated, Calibration, FoldOutputs, Measures, Predictions, Probe, Solver, Strength, Suspects, Target,
    TargetAnswer, TargetSettings, folds_of_groups, places_of,
};
use crate::data::Task;
use crate::data::stratify::value_folds;
use crate::error::Result;
use crate::features::Features;
use crate::heads::{Linear, RidgeOptions, cross_validate_ridge, fit_ridge};
use crate::metrics::{CvPlus, Paired, coverage, evaluate_regression, out_of_fold_intervals, paired_mae};
use crate::progress::Observer;

/// The number of each example.
pub struct Numbers {
    values: Vec<f64>,
    settings: TargetSettings,
}

impl Numbers {
    pub fn new(values: Vec<f64>, settings: TargetSettings) -> Self {
        Self { values, settings }
    }

    fn truth(&self, rows: &[usize]) -> Vec<f64> {
        rows.iter().map(|&row| self.values[row]).collect()
    }

    /// Mean and standard deviation of some of the numbers.
    fn scale(&self, rows: &[usize]) -> (f64, f64) {
        let n = rows.len().max(1) as f64;
        let mean = rows.iter().map(|&row| self.values[row]).sum::<f64>() / n;
        let variance = rows.iter().map(|&row| (self.values[row] - mean).powi(2)).sum::<f64>() / n;
        (mean, if variance > 0.0 { variance.sqrt() } else { 1.0 })
    }

    /// Predictions of rows in folds, with intervals from the errors of the other folds.
    fn calibrated(&self, values: Vec<f64>, rows: &[usize], folds: &[usize], heads: Vec<Linear>) -> Result<Calibrated> {
        let truth = self.truth(rows);
        let level = self.settings.level;
        let mut plus = CvPlus::new(&values, &truth, folds, level)?;
        plus.residuals.iter_mut().flatten().for_each(|error| *error = f64::from(*error as f32));
        let intervals = out_of_fold_intervals(&values, &truth, folds, level)?;
        let (_, deviation) = self.scale(rows);
        let scores = values.iter().zip(&truth).map(|(value, truth)| 1.0 - ((value - truth) / deviation).powi(2));
        Ok(Calibrated {
            scores: scores.collect(),
            predictions: Predictions::Numbers { values, intervals },
            calibration: Calibration::Numbers { folds: heads, intervals: plus },
        })
    }
}

fn values_of(predictions: &Predictions) -> &[f64] {
    match predictions {
        Predictions::Numbers { values, .. } => values,
        _ => &[],
    }
}

impl Solver for Numbers {
    fn probe(&self, features: &Features, folds: &[usize], observer: &dyn Observer) -> Result<Probe> {
        let found = cross_validate_ridge(features, &self.values, folds, &RidgeOptions::default(), observer)?;
        // Rounded as they are stored: what was evaluated is what will answer.
        let heads = found.heads.into_iter().map(|head| Linear::from(head).rounded()).collect::<Result<Vec<_>>>()?;
        let value = |(row, &fold): (usize, &usize)| heads[fold].values(features.row(row))[0];
        let values: Vec<f64> = found.fold_of_row.iter().enumerate().map(value).collect();
        let rows: Vec<usize> = (0..self.values.len()).collect();
        let tried = found.tried.iter();
        Ok(Probe {
            tried: tried.map(|tried| Strength { value: tried.alpha, loss: tried.rmse, accuracy: None }).collect(),
            strength: found.chosen_alpha,
            calibrated: self.calibrated(values, &rows, &found.fold_of_row, heads)?,
        })
    }

    fn solve_on(&self, features: &Features, rows: &[usize], strength: f64, _observer: &dyn Observer) -> Result<Linear> {
        Ok(fit_ridge(features, &self.truth(rows), strength)?.into())
    }
}

impl Target for Numbers {
    fn task(&self) -> Task {
        Task::Regression
    }

    fn len(&self) -> usize {
        self.values.len()
    }

    fn outputs(&self) -> usize {
        1
    }

    fn aims(&self, training: &[usize]) -> Aims {
        let (mean, deviation) = self.scale(training);
        let values = self.values.iter().map(|value| ((value - mean) / deviation) as f32).collect();
        Aims::Numbers { values, scale: (mean, deviation) }
    }

    fn folds(&self, asked: usize, groups: &[usize], unit: &str, observer: &dyn Observer) -> (usize, Vec<usize>) {
        let count = folds_of_groups(asked, groups, unit, observer);
        (count, value_folds(&self.values, groups, count, self.settings.seed))
    }

    fn solver(&self) -> Option<&dyn Solver> {
        Some(self)
    }

    fn calibrate(&self, parts: &[FoldOutputs]) -> Result<Calibrated> {
        let rows = places_of(parts);
        let mut found = vec![(0.0, 0); self.values.len()];
        for (fold, (held, outputs)) in parts.iter().enumerate() {
            held.iter().zip(outputs).for_each(|(&at, &value)| found[at] = (f64::from(value), fold));
        }
        let (values, folds): (Vec<f64>, Vec<usize>) = rows.iter().map(|&at| found[at]).unzip();
        self.calibrated(values, &rows, &folds, Vec::new())
    }

    fn constant(&self, training: &[usize], count: usize) -> Predictions {
        let mut known = self.truth(training);
        known.sort_unstable_by(f64::total_cmp);
        let (below, above) = (known[(known.len() - 1) / 2], known[known.len() / 2]);
        Predictions::Numbers { values: vec![below / 2.0 + above / 2.0; count], intervals: vec![None; count] }
    }

    fn collect(&self, answers: &[TargetAnswer]) -> Predictions {
        let numbers = answers.iter().filter_map(|answer| match answer {
            TargetAnswer::Number(answer) => Some((answer.value, answer.interval)),
            _ => None,
        });
        let (values, intervals) = numbers.unzip();
        Predictions::Numbers { values, intervals }
    }

    fn measure(&self, predictions: &Predictions, rows: &[usize], how: &str) -> Result<Measures> {
        let truth = self.truth(rows);
        let evaluation = evaluate_regression(values_of(predictions), &truth, self.settings.seed, how)?;
        let intervals: &[Option<(f64, f64)>] = match predictions {
            Predictions::Numbers { intervals, .. } => intervals,
            _ => &[],
        };
        let how = match how.contains("out-of-fold") {
            true => format!("{how}, each interval from the errors of the other folds"),
            false => how.to_owned(),
        };
        Ok(Measures::Numbers { evaluation, coverage: coverage(intervals, &truth, self.settings.level, &how) })
    }

    fn compare(&self, ours: &Predictions, theirs: &Predictions, rows: &[usize]) -> Result<Paired> {
        paired_mae(values_of(ours), values_of(theirs), &self.truth(rows), self.settings.seed)
    }

    fn suspects(&self, _predictions: &Predictions, _rows: &[usize]) -> Result<Suspects> {
        Ok(Suspects::NotLookedFor)
    }

    fn strata(&self) -> Vec<usize> {
        vec![0; self.values.len()]
    }

    fn unmeasurable(&self) -> Option<&'static str> {
        match self.values.as_slice() {
            [] | [_] => Some("it has a single number"),
            [first, rest @ ..] if rest.iter().all(|value| value == first) => Some("all its numbers are the same"),
            _ => None,
        }
    }
}
