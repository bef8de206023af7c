//! The path from strong to weak regularisation, walked by all folds side by side.

use rayon::prelude::*;

use super::axes::{Coordinates, PrincipalAxes};
use super::linear::Linear;
use super::logistic::{ClassWeights, TrainingSet};
use super::objective::Weights;
use super::solve::CHOICE_TOLERANCE;
use super::standardise::Standardiser;
use super::temperature::log_loss;
use crate::error::Result;
use crate::features::Features;
use crate::progress::Observer;

/// What to try.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Values of `C` (scikit-learn's, see [`super::fit`]), in any order. A small `C` regularises strongly.
    pub strengths: Vec<f64>,
    /// How much an example of each class weighs in training. The log-losses that decide are not weighted.
    pub class_weights: ClassWeights,
    /// Leave out the weak end of the path once the log-loss has kept rising.
    pub stop_early: bool,
}

impl Default for Options {
    /// Twelve values of `C` from 1e-5 to 1e2, evenly spaced on a log scale, with early stopping.
    ///
    /// For standardised features the prior variance of a logit is `C · columns`. A thousand columns of a pretrained
    /// network want `C` of about 1e-4 to 1e-2, a few columns of a table about 1: the grid holds both.
    fn default() -> Self {
        let strengths = (0..12).map(|i| 10f64.powf(-5.0 + 7.0 * f64::from(i) / 11.0)).collect();
        Self { strengths, class_weights: ClassWeights::None, stop_early: true }
    }
}

/// A fold: what is held out and what is trained on.
pub(super) struct Split {
    pub(crate) fold: usize,
    pub(crate) held_out: Vec<usize>,
    pub(crate) training: Vec<usize>,
}

/// What a fold's model of one strength did on the rows held out.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Score {
    /// Sum of log-losses over the rows whose class is known.
    pub loss: f64,
    /// How many those are.
    pub(crate) judged: usize,
    pub(crate) right: usize,
}

/// A fold on its way along the path.
struct Walker<'a> {
    split: &'a Split,
    training: TrainingSet<'a>,
    weights: Option<Weights>,
    /// Per strength so far.
    scores: Vec<Score>,
    /// Per strength so far; those that can no longer be chosen are dropped.
    models: Vec<Option<Linear>>,
    iterations: usize,
    evaluations: usize,
    unconverged: usize,
}

pub(super) struct Path<'a> {
    walkers: Vec<Walker<'a>>,
    stopped_early: bool,
}

impl Path<'_> {
    pub(crate) fn walk(
        features: &Features,
        labels: &[usize],
        classes: usize,
        splits: &[Split],
        strengths: &[f64],
        options: &Options,
        observer: &dyn Observer,
    ) -> Result<Outcome> {
        let lent = shared_axes(features)?;
        let prepare = |split| Walker::new(split, features, labels, classes, &options.class_weights, lent.as_ref());
        let walkers = splits.par_iter().map(prepare).collect::<Vec<Result<_>>>();
        let mut path = Path { walkers: walkers.into_iter().collect::<Result<_>>()?, stopped_early: false };
        for (step, &c) in strengths.iter().enumerate() {
            let steps: Vec<Result<()>> =
                path.walkers.par_iter_mut().map(|walker| walker.step(features, labels, c, observer)).collect();
            steps.into_iter().collect::<Result<()>>()?;
            path.drop_hopeless();
            if options.stop_early && step + 1 < strengths.len() && path.keeps_rising() {
                path.stopped_early = true;
                break;
            }
        }
        Ok(path.finish())
    }

    /// Summed loss of each strength so far, over all folds but one, or over all.
    fn losses(&self, without: Option<usize>) -> Vec<f64> {
        losses(&self.walkers.iter().map(|walker| walker.scores.as_slice()).collect::<Vec<_>>(), without)
    }

    /// All sets of folds on which a choice is made: all but each, and all.
    fn audiences(&self) -> impl Iterator<Item = Option<usize>> + use<> {
        (0..self.walkers.len()).map(Some).chain([None])
    }

    /// Whether every choice was better two and more strengths ago than at the last two.
    fn keeps_rising(&self) -> bool {
        self.audiences().all(|without| {
            let losses = self.losses(without);
            best(&losses) + 2 < losses.len()
        })
    }

    /// Forgets the models of strengths that no choice falls on: a later one can only replace them.
    fn drop_hopeless(&mut self) {
        let wanted: Vec<usize> = self.audiences().map(|without| best(&self.losses(without))).collect();
        for walker in &mut self.walkers {
            for (step, model) in walker.models.iter_mut().enumerate() {
                if !wanted.contains(&step) {
                    *model = None;
                }
            }
        }
    }

    fn finish(self) -> Outcome {
        let Path { walkers, stopped_early } = self;
        Outcome {
            stopped_early,
            iterations: walkers.iter().map(|walker| walker.iterations).sum(),
            evaluations: walkers.iter().map(|walker| walker.evaluations).sum(),
            unconverged: walkers.iter().map(|walker| walker.unconverged).sum(),
            known: walkers.iter().map(|w| (0..w.training.classes()).map(|k| w.training.knows(k)).collect()).collect(),
            folds: walkers.into_iter().map(|walker| (walker.scores, walker.models)).collect(),
        }
    }
}

impl<'a> Walker<'a> {
    fn new(
        split: &'a Split,
        features: &'a Features,
        labels: &[usize],
        classes: usize,
        class_weights: &ClassWeights,
        lent: Option<&'a PrincipalAxes>,
    ) -> Result<Self> {
        let training = TrainingSet::new(features, &split.training, labels, classes, class_weights, None, lent)?;
        Ok(Self {
            split,
            training,
            weights: None,
            scores: Vec::new(),
            models: Vec::new(),
            iterations: 0,
            evaluations: 0,
            unconverged: 0,
        })
    }

    /// Fits the next strength and scores it on what is held out.
    fn step(&mut self, features: &Features, labels: &[usize], c: f64, observer: &dyn Observer) -> Result<()> {
        let solution = self.training.minimise(c, self.weights.as_ref(), CHOICE_TOLERANCE, observer)?;
        self.iterations += solution.iterations;
        self.evaluations += solution.evaluations;
        self.unconverged += usize::from(!solution.converged);
        let model = self.training.model(&solution.weights);
        self.weights = Some(solution.weights);
        let rows: Vec<Score> = self
            .split
            .held_out
            .par_iter()
            .map(|&row| {
                let logits: Vec<f32> = model.values(features.row(row)).iter().map(|&z| z as f32).collect();
                let label = labels[row];
                let known = self.training.knows(label);
                let loss = if known { log_loss(&logits, label, 1.0) } else { 0.0 };
                Score { loss, judged: usize::from(known), right: usize::from(most_probable(&logits) == label) }
            })
            .collect();
        let score = rows.iter().fold(Score::default(), |sum, row| Score {
            loss: sum.loss + row.loss,
            judged: sum.judged + row.judged,
            right: sum.right + row.right,
        });
        self.scores.push(score);
        self.models.push(Some(model));
        observer.advance(1);
        Ok(())
    }
}

/// The path, walked: what the choice needs of it.
pub(super) struct Outcome {
    /// Per fold: scores and surviving models of each strength.
    pub(crate) folds: Vec<(Vec<Score>, Vec<Option<Linear>>)>,
    /// Per fold and class: whether the training part has it.
    pub(crate) known: Vec<Vec<bool>>,
    pub(crate) stopped_early: bool,
    pub(crate) iterations: usize,
    pub(crate) evaluations: usize,
    pub(crate) unconverged: usize,
}

/// Principal axes for all folds, where there are at least as many rows as columns.
pub(crate) fn shared_axes(features: &Features) -> Result<Option<PrincipalAxes>> {
    if features.rows < features.columns {
        return Ok(None);
    }
    let rows: Vec<usize> = (0..features.rows).collect();
    let standardiser = Standardiser::fit(features, &rows);
    let inverse = standardiser.scale.iter().map(|scale| 1.0 / scale).collect();
    PrincipalAxes::of_columns(features, &rows, &Coordinates { centre: standardiser.mean, inverse }).map(Some)
}

/// Summed loss of each strength, over all folds but one, or over all.
pub(super) fn losses(scores: &[&[Score]], without: Option<usize>) -> Vec<f64> {
    let heard = |step: usize| {
        let others = scores.iter().enumerate().filter(|&(fold, _)| Some(fold) != without);
        others.map(|(_, scores)| scores[step].loss).sum()
    };
    (0..scores[0].len()).map(heard).collect()
}

/// The least loss; of equals the first, which is the stronger regularisation.
pub(super) fn best(losses: &[f64]) -> usize {
    (1..losses.len()).fold(0, |best, step| if losses[step] < losses[best] { step } else { best })
}

fn most_probable(logits: &[f32]) -> usize {
    (1..logits.len()).fold(0, |best, k| if logits[k] > logits[best] { k } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_fold_scores_has_no_say_in_what_is_chosen_for_it() {
        let score = |loss| Score { loss, judged: 1, right: 0 };
        let others: [[Score; 3]; 2] = [[3.0, 1.0, 2.0].map(score), [3.0, 1.5, 1.5].map(score)];
        for own in [[9.0, 9.0, 0.0], [0.0, 9.0, 9.0]] {
            let own = own.map(score);
            let scores: [&[Score]; 3] = [&own, &others[0], &others[1]];
            assert_eq!(best(&losses(&scores, Some(0))), 1);
        }
        assert_eq!(best(&[2.0, 1.0, 1.0]), 1, "of equals the stronger regularisation");
    }
}
