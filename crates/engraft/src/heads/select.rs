//! How strongly to regularise, and how hot the probabilities should be, by cross-validation that does not flatter.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::linear::Linear;
use super::logistic::{check, softmax};
use super::path::{Outcome, Path, Score, Split, best, losses};
use super::temperature::temperature;
use crate::error::{Error, Problem, Result};
use crate::features::Features;
use crate::progress::Observer;

pub use super::path::Options;

/// A temperature, a single number, is found from at most this many rows, evenly spaced.
const TEMPERATURE_ROWS: usize = 20_000;

/// One strength and how it did on rows that the model had not seen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// The strength.
    pub(crate) c: f64,
    /// Mean log-loss at temperature 1, in nats, over the rows whose class the training part of their fold had.
    pub(crate) log_loss: f64,
    /// Share of right answers among all rows.
    pub(crate) accuracy: f64,
}

/// What was chosen without looking at a fold, and used on it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct FoldChoice {
    /// The fold.
    pub(crate) fold: usize,
    /// Strength chosen on the other folds' out-of-fold predictions.
    pub(crate) c: f64,
    /// Temperature chosen on the same.
    pub(crate) temperature: f64,
}

/// The result of [`cross_validate`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CrossValidation {
    /// Every strength that was tried, ascending `c`.
    pub tried: Vec<Tried>,
    /// The strength of the final model: least log-loss over all folds, of equals the stronger regularisation.
    pub(crate) chosen_c: f64,
    /// The temperature of the final model, from all folds' out-of-fold logits at `chosen_c`.
    pub(crate) temperature: f64,
    /// Honest probabilities `[rows, classes]`: row `i` was in the training set neither of the model nor of the
    /// choice of strength and temperature (see [`cross_validate`]).
    pub out_of_fold: Vec<f32>,
    /// Number of classes.
    pub(crate) classes: usize,
    /// The choice behind the probabilities of each fold, ascending fold.
    pub(crate) choices: Vec<FoldChoice>,
    /// Whether the weak end of the path was left out because the log-loss kept rising.
    pub(crate) stopped_early: bool,
    /// Iterations of L-BFGS, all folds and strengths together.
    pub(crate) iterations: usize,
    /// Passes over a training part, all folds and strengths together.
    pub evaluations: usize,
    /// Fits that did not reach the tolerance.
    pub(crate) unconverged: usize,
}

/// Tries every strength on every fold (`folds[i]` is the fold in which row `i` is held out) and chooses.
///
/// Within a fold the standardisation and the class weights come from its training part. The path goes from strong to
/// weak, each fit starting from the last. It ends early once two strengths in a row were worse than the best before
/// them, for all folds together and for all but any one.
///
/// **Honest selection.** The probabilities reported for fold `f` come from its model with the strength and the
/// temperature that are best on the other folds' out-of-fold predictions, so that no row takes part in choosing what
/// it is judged by. (The other folds' models were trained on rows of `f`; only nested cross-validation, at `folds`
/// times the price, would rule out that second-hand influence on two numbers.)
///
/// A row whose class the training part of its fold lacks cannot be predicted by any strength. It counts in
/// `out_of_fold` and in the accuracy, but not in the choice.
///
/// With at least as many rows as columns all folds share the principal axes of the whole table. These change how
/// quickly each fold's own objective is minimised, not where its minimum is.
///
/// Memory: beside `out_of_fold`, one f64 per row and strength, the folds' rotated rows (at most 96 MiB for each fold
/// at work), the models of the strengths that may still be chosen, and f32 logits of at most 20,000 rows.
pub fn cross_validate(
    features: &Features,
    labels: &[usize],
    folds: &[usize],
    classes: usize,
    options: &Options,
    observer: &dyn Observer,
) -> Result<CrossValidation> {
    check(features, labels, classes, &options.strengths, &options.class_weights)?;
    let splits = splits(folds, features.rows)?;
    let mut strengths = options.strengths.clone();
    strengths.sort_by(f64::total_cmp);
    strengths.dedup();

    observer.begin("cross-validation", (strengths.len() * splits.len()) as u64, "fits");
    let path = Path::walk(features, labels, classes, &splits, &strengths, options, observer);
    observer.end();
    let outcome = path?;
    outcome.choose(features, labels, classes, &splits, &strengths)
}

pub(super) fn splits(folds: &[usize], rows: usize) -> Result<Vec<Split>> {
    if folds.len() != rows {
        return Err(Error::Data(
            Problem::new("folds and features do not belong together")
                .expected(format!("one fold for each of {rows} rows"))
                .found(folds.len()),
        ));
    }
    let mut names = folds.to_vec();
    names.sort_unstable();
    names.dedup();
    if names.len() < 2 {
        return Err(Error::Data(
            Problem::new("too few folds").expected("at least 2").found(names.len()).hint("more examples are needed"),
        ));
    }
    let split = |&fold: &usize| {
        let (held_out, training) = (0..rows).partition(|&row| folds[row] == fold);
        Split { fold, held_out, training }
    };
    Ok(names.iter().map(split).collect())
}

impl Outcome {
    fn choose(
        self,
        features: &Features,
        labels: &[usize],
        classes: usize,
        splits: &[Split],
        strengths: &[f64],
    ) -> Result<CrossValidation> {
        let scores: Vec<&[Score]> = self.folds.iter().map(|(scores, _)| scores.as_slice()).collect();
        let chosen = best(&losses(&scores, None));
        let chosen_without: Vec<usize> = (0..splits.len()).map(|fold| best(&losses(&scores, Some(fold)))).collect();

        // One strength at a time, so that one set of logits is in memory at a time.
        let mut temperatures = vec![1.0; splits.len()];
        let mut final_temperature = 1.0;
        let mut steps: Vec<usize> = chosen_without.iter().copied().chain([chosen]).collect();
        steps.sort_unstable();
        steps.dedup();
        let stride = features.rows.div_ceil(TEMPERATURE_ROWS);
        for step in steps {
            let mut parts: Vec<(Vec<f32>, Vec<usize>)> = Vec::new();
            for (fold, split) in splits.iter().enumerate() {
                let rows = split.held_out.iter().copied().step_by(stride);
                let rows: Vec<usize> = rows.filter(|&row| self.known[fold][labels[row]]).collect();
                let model = self.model(fold, step)?;
                let logits = rows.par_iter().flat_map_iter(|&row| model.values(features.row(row)));
                parts.push((logits.map(|z| z as f32).collect(), rows.iter().map(|&row| labels[row]).collect()));
            }
            let of_all_but = |without: Option<usize>| {
                let others = parts.iter().enumerate().filter(|&(fold, _)| Some(fold) != without);
                let others: Vec<_> = others.map(|(_, (logits, labels))| (&logits[..], &labels[..])).collect();
                temperature(&others, classes)
            };
            for fold in 0..splits.len() {
                if chosen_without[fold] == step {
                    temperatures[fold] = of_all_but(Some(fold))?;
                }
            }
            if step == chosen {
                final_temperature = of_all_but(None)?;
            }
        }

        let mut out_of_fold = vec![0.0f32; features.rows * classes];
        let mut rows: Vec<&mut [f32]> = out_of_fold.chunks_exact_mut(classes).collect();
        for (fold, split) in splits.iter().enumerate() {
            let model = self.model(fold, chosen_without[fold])?;
            rows.par_iter_mut().enumerate().for_each(|(row, out)| {
                if split.held_out.binary_search(&row).is_ok() {
                    let probabilities = softmax(&model.values(features.row(row)), temperatures[fold]);
                    out.iter_mut().zip(probabilities).for_each(|(out, p)| *out = p as f32);
                }
            });
        }

        let tried = (0..scores[0].len())
            .map(|step| {
                let sum = |of: fn(&Score) -> f64| scores.iter().map(|scores| of(&scores[step])).sum::<f64>();
                Tried {
                    c: strengths[step],
                    log_loss: sum(|score| score.loss) / sum(|score| score.judged as f64).max(1.0),
                    accuracy: sum(|score| score.right as f64) / features.rows as f64,
                }
            })
            .collect();
        let choices = splits.iter().zip(&chosen_without).zip(&temperatures);
        Ok(CrossValidation {
            tried,
            chosen_c: strengths[chosen],
            temperature: final_temperature,
            out_of_fold,
            classes,
            choices: choices
                .map(|((split, &step), &temperature)| FoldChoice { fold: split.fold, c: strengths[step], temperature })
                .collect(),
            stopped_early: self.stopped_early,
            iterations: self.iterations,
            evaluations: self.evaluations,
            unconverged: self.unconverged,
        })
    }

    fn model(&self, fold: usize, step: usize) -> Result<&Linear> {
        self.folds[fold].1[step].as_ref().ok_or_else(|| {
            Error::Training(Problem::new("a model was dropped that is wanted after all").hint("please report this"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::evaluate;
    use crate::progress::Silent;
    use rand::RngExt;

    /// Noise, and a shift of `by` in the column of the class.
    fn blobs(rows: usize, columns: usize, classes: usize, by: f32) -> (Features, Vec<usize>, Vec<usize>) {
        let mut stream = crate::rng::rng(1, "test", 0);
        let labels: Vec<usize> = (0..rows).map(|i| i % classes).collect();
        let value = |at: usize| stream.random::<f32>() + if at % columns == labels[at / columns] { by } else { 0.0 };
        let features = Features::new(rows, columns, (0..rows * columns).map(value).collect()).unwrap();
        let folds = (0..rows).map(|i| (i / classes) % 5).collect();
        (features, labels, folds)
    }

    #[test]
    fn what_can_be_learnt_is_learnt_and_calibrated() {
        for (rows, columns, least) in [(600, 8, 0.85), (150, 200, 0.6)] {
            let (features, labels, folds) = blobs(rows, columns, 3, 1.0);
            let result = cross_validate(&features, &labels, &folds, 3, &Options::default(), &Silent).unwrap();
            let evaluation = evaluate(&result.out_of_fold, &labels, 3, 1, "").unwrap();
            assert!(evaluation.accuracy.mean > least, "{}", evaluation.accuracy.mean);
            assert_eq!(result.unconverged, 0);
            let at = result.tried.iter().find(|tried| tried.c == result.chosen_c).unwrap();
            assert!(result.tried.iter().all(|tried| tried.log_loss >= at.log_loss));
            assert!((0.2..5.0).contains(&result.temperature), "{}", result.temperature);
        }
    }

    #[test]
    fn noise_is_not_learnt() {
        let (features, labels, folds) = blobs(300, 40, 3, 0.0);
        let result = cross_validate(&features, &labels, &folds, 3, &Options::default(), &Silent).unwrap();
        let evaluation = evaluate(&result.out_of_fold, &labels, 3, 1, "").unwrap();
        assert!(evaluation.log_loss.mean < 3f64.ln() + 0.01, "{}", evaluation.log_loss.mean);
        assert!(result.stopped_early);
    }

    #[test]
    fn the_names_of_the_folds_do_not_matter() {
        let (features, labels, folds) = blobs(200, 12, 2, 0.5);
        let run = |folds: &[usize]| cross_validate(&features, &labels, folds, 2, &Options::default(), &Silent).unwrap();
        let before = run(&folds);
        let after = run(&folds.iter().map(|fold| 10 - fold).collect::<Vec<_>>());
        for (a, b) in before.tried.iter().zip(&after.tried) {
            assert!((a.log_loss - b.log_loss).abs() < 1e-12);
        }
        assert_eq!((before.choices.len(), before.choices[0].c), (5, after.choices[4].c));
        for (a, b) in before.out_of_fold.iter().zip(&after.out_of_fold) {
            assert!((a - b).abs() < 1e-5);
        }
    }

    #[test]
    fn a_class_missing_from_a_training_part_is_survived() {
        let (features, mut labels, folds) = blobs(100, 6, 3, 1.0);
        // Class 3 lives in fold 2 only.
        (0..100).filter(|&i| folds[i] == 2).take(2).for_each(|i| labels[i] = 3);
        let result = cross_validate(&features, &labels, &folds, 4, &Options::default(), &Silent).unwrap();
        assert!(result.out_of_fold.iter().all(|p| p.is_finite()));
        assert!(
            result.tried.iter().all(|tried| tried.log_loss < 1.2),
            "the choice is not drowned by the hopeless rows"
        );
        let row = (0..100).find(|&i| labels[i] == 3).unwrap();
        assert!(result.out_of_fold[row * 4 + 3] < 1e-3);
    }

    #[test]
    fn the_result_does_not_depend_on_threads_nor_on_stopping_early() {
        let (features, labels, folds) = blobs(400, 30, 3, 0.4);
        let run = |threads, stop_early| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let options = Options { stop_early, ..Options::default() };
            pool.install(|| cross_validate(&features, &labels, &folds, 3, &options, &Silent)).unwrap()
        };
        let (one, four, whole) = (run(1, true), run(4, true), run(2, false));
        assert_eq!(one, four);
        assert!(one.stopped_early && whole.tried.len() == 12);
        assert_eq!(
            (one.chosen_c, one.temperature, &one.out_of_fold),
            (whole.chosen_c, whole.temperature, &whole.out_of_fold)
        );
    }

    #[test]
    fn folds_that_are_none_are_refused() {
        let (features, labels, folds) = blobs(20, 3, 2, 1.0);
        let fails =
            |folds: &[usize]| cross_validate(&features, &labels, folds, 2, &Options::default(), &Silent).is_err();
        assert!(fails(&folds[1..]));
        assert!(fails(&[3; 20]));
        // A training part of a single class.
        let by_class: Vec<usize> = labels.clone();
        assert!(!fails(&by_class));
    }
}
