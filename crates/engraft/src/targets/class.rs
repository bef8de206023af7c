//! One class of each example.

use super::{
    Aims, Answer, Calibrated, Calibration, FoldOutputs, Measures, PartSolver, Predictions, Probe, Solver, Strength,
    Suspects, Target, TargetAnswer, TargetSettings, but, folds_of_groups, places_of, tell_rare,
};
use crate::data::Task;
use crate::data::split::stratified_folds;
use crate::error::Result;
use crate::features::Features;
use crate::heads::{
    AnswerRule, ClassWeights, Linear, Options, cross_validate, fit, fit_part, shared_axes, softmax, temperature,
};
use crate::metrics::{Paired, Predictions as Probabilities, evaluate, label_errors, paired_difference};
use crate::progress::Observer;
use crate::settings::Fit;
use crate::train::argmax;

/// The class of each example.
pub struct Classes {
    labels: Vec<usize>,
    classes: usize,
    settings: TargetSettings,
}

impl Classes {
    pub fn new(labels: Vec<usize>, classes: usize, settings: TargetSettings) -> Self {
        Self { labels, classes, settings }
    }

    fn class_weights(&self) -> ClassWeights {
        if self.settings.balanced { ClassWeights::Balanced } else { ClassWeights::None }
    }

    fn truth(&self, rows: &[usize]) -> Vec<usize> {
        rows.iter().map(|&row| self.labels[row]).collect()
    }

    fn right(&self, probabilities: &[f32], rows: &[usize]) -> Vec<bool> {
        probabilities.chunks_exact(self.classes).zip(rows).map(|(p, &row)| argmax(p) == self.labels[row]).collect()
    }

    /// When to say "unsure", by out-of-fold probabilities.
    fn rule(&self, probabilities: &[f32], rows: &[usize]) -> Result<AnswerRule> {
        let truth = self.truth(rows);
        let predictions = Probabilities::new(probabilities, &truth, self.classes)?;
        let most = self.settings.max_error.unwrap_or(Fit::MAX_ERROR);
        AnswerRule::choose(&predictions.confidences(), &predictions.correct(), most)
    }

    fn calibrated(
        &self,
        probabilities: Vec<f32>,
        rows: &[usize],
        temperature: f64,
        scores: Vec<f64>,
    ) -> Result<Calibrated> {
        // Rounded as it is stored: what was evaluated is what will answer.
        let temperature = f64::from(temperature as f32);
        let rule = self.rule(&probabilities, rows)?;
        Ok(Calibrated {
            predictions: Predictions::Classes(probabilities),
            calibration: Calibration::Classes { temperature, rule },
            scores,
        })
    }
}

fn probabilities(predictions: &Predictions) -> &[f32] {
    match predictions {
        Predictions::Classes(probabilities) => probabilities,
        _ => &[],
    }
}

impl Solver for Classes {
    fn probe(&self, features: &Features, folds: &[usize], observer: &dyn Observer) -> Result<Probe> {
        let options = Options { class_weights: self.class_weights(), ..Options::default() };
        let found = cross_validate(features, &self.labels, folds, self.classes, &options, observer)?;
        let rows: Vec<usize> = (0..self.labels.len()).collect();
        let tried = found.tried.iter();
        let tried =
            tried.map(|tried| Strength { value: tried.c, loss: tried.log_loss, accuracy: Some(tried.accuracy) });
        let right = self.right(&found.out_of_fold, &rows).into_iter();
        let scores = right.map(|right| f64::from(u8::from(right))).collect();
        Ok(Probe {
            tried: tried.collect(),
            strength: found.chosen_c,
            calibrated: self.calibrated(found.out_of_fold, &rows, found.temperature, scores)?,
        })
    }

    fn solve_parts<'a>(&'a self, features: &'a Features) -> Result<Box<PartSolver<'a>>> {
        let weights = self.class_weights();
        let lent = shared_axes(features)?;
        Ok(Box::new(move |rows, strength| {
            fit_part((features, &self.labels, self.classes), rows, strength, &weights, lent.as_ref())
        }))
    }

    fn solve_on(&self, features: &Features, rows: &[usize], strength: f64, observer: &dyn Observer) -> Result<Linear> {
        let weights = self.class_weights();
        fit(features, &self.truth(rows), self.classes, strength, &weights, observer)
    }
}

impl Target for Classes {
    fn task(&self) -> Task {
        Task::SingleLabel
    }

    fn len(&self) -> usize {
        self.labels.len()
    }

    fn outputs(&self) -> usize {
        self.classes
    }

    fn aims(&self, training: &[usize]) -> Aims {
        let mut counts = vec![0usize; self.classes];
        training.iter().for_each(|&row| counts[self.labels[row]] += 1);
        let weight = |count: usize| training.len() as f32 / (self.classes * count.max(1)) as f32;
        let weights = counts.into_iter().map(|count| if self.settings.balanced { weight(count) } else { 1.0 });
        Aims::Classes { labels: self.labels.clone(), weights: weights.collect() }
    }

    fn folds(&self, asked: usize, groups: &[usize], unit: &str, observer: &dyn Observer) -> (usize, Vec<usize>) {
        let count = folds_of_groups(asked, groups, unit, observer);
        let mut of_class = vec![0; self.classes];
        self.labels.iter().for_each(|&label| of_class[label] += 1);
        tell_rare(of_class.into_iter(), "class", count, unit, observer);
        (count, stratified_folds(&self.labels, groups, count, self.settings.seed))
    }

    fn solver(&self) -> Option<&dyn Solver> {
        Some(self)
    }

    fn calibrate(&self, parts: &[FoldOutputs]) -> Result<Calibrated> {
        let rows = places_of(parts);
        let of_all_but = |without: Option<usize>| {
            let others: Vec<(&[f32], Vec<usize>)> =
                but(parts, without).map(|(held, logits)| (&logits[..], self.truth(held))).collect();
            let others: Vec<(&[f32], &[usize])> = others.iter().map(|(logits, truth)| (*logits, &truth[..])).collect();
            temperature(&others, self.classes)
        };
        let mut probabilities = vec![0.0f32; self.labels.len() * self.classes];
        for (fold, (held, logits)) in parts.iter().enumerate() {
            // One fold alone has no others to take a temperature from.
            let temperature = if parts.len() > 1 { of_all_but(Some(fold))? } else { 1.0 };
            for (row, &at) in logits.chunks_exact(self.classes).zip(held) {
                let row: Vec<f64> = row.iter().map(|z| f64::from(*z)).collect();
                let out = &mut probabilities[at * self.classes..][..self.classes];
                out.iter_mut().zip(softmax(&row, temperature)).for_each(|(out, p)| *out = p as f32);
            }
        }
        let kept = rows.iter().flat_map(|&at| probabilities[at * self.classes..][..self.classes].iter().copied());
        self.calibrated(kept.collect(), &rows, of_all_but(None)?, self.scores(parts)?)
    }

    /// No temperature changes which class is the likeliest.
    fn scores(&self, parts: &[FoldOutputs]) -> Result<Vec<f64>> {
        let mut right = vec![0.0; self.labels.len()];
        for (held, logits) in parts {
            for (row, &at) in logits.chunks_exact(self.classes).zip(held) {
                right[at] = f64::from(u8::from(argmax(row) == self.labels[at]));
            }
        }
        Ok(places_of(parts).into_iter().map(|at| right[at]).collect())
    }

    fn constant(&self, training: &[usize], count: usize) -> Predictions {
        let mut shares = vec![0.0f32; self.classes];
        training.iter().for_each(|&row| shares[self.labels[row]] += 1.0 / training.len() as f32);
        Predictions::Classes(shares.repeat(count))
    }

    fn collect(&self, answers: &[TargetAnswer]) -> Predictions {
        let of = |answer: &Answer| answer.probabilities.clone();
        Predictions::Classes(answers.iter().filter_map(TargetAnswer::class).flat_map(of).collect())
    }

    fn measure(&self, predictions: &Predictions, rows: &[usize], how: &str) -> Result<Measures> {
        let found = evaluate(probabilities(predictions), &self.truth(rows), self.classes, self.settings.seed, how)?;
        Ok(Measures::Classes(found))
    }

    fn compare(&self, ours: &Predictions, theirs: &Predictions, rows: &[usize]) -> Result<Paired> {
        paired_difference(&self.right(probabilities(ours), rows), &self.right(probabilities(theirs), rows))
    }

    fn suspects(&self, predictions: &Predictions, rows: &[usize]) -> Result<Suspects> {
        label_errors(probabilities(predictions), &self.truth(rows), self.classes).map(Suspects::Classes)
    }

    fn strata(&self) -> Vec<usize> {
        self.labels.clone()
    }
}
