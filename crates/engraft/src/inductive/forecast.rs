//! What more labels would bring: the linear probe trained on parts of the data, and its learning curve carried on.

use rayon::prelude::*;

use crate::error::Result;
use crate::evaluate::{Forecast, Measurement, forecast};
use crate::features::Features;
use crate::head::{ClassWeights, fit as fit_head};
use crate::progress::{Observer, Silent};
use crate::rng::permutation;
use crate::train::argmax;

/// Parts of a fold's training images that are tried, as one in so many.
const PARTS: [usize; 5] = [16, 8, 4, 2, 1];
/// Draws of each part.
const DRAWS: usize = 5;
/// Fewer images of a class than this teach a probe nothing that a curve could be laid through.
const LEAST: usize = 2;

/// A linear probe: on what, and how it is fitted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Probe<'a> {
    pub features: &'a Features,
    pub labels: &'a [usize],
    pub folds: &'a [usize],
    pub classes: usize,
    pub strength: f64,
    pub weights: &'a ClassWeights,
}

/// Forecasts for half as many labels more, as many more, and three times as many more.
///
/// For each part and draw, each fold's training images are thinned class by class, a probe of the chosen strength is
/// fitted to them, and answers the fold's own images: one measurement of the part is the error over all folds.
pub(super) fn forecasts(probe: &Probe<'_>, seed: u64, observer: &dyn Observer) -> Result<Vec<Forecast>> {
    let Probe { features, labels, folds, classes, strength, weights } = *probe;
    let count = folds.iter().max().map_or(0, |last| last + 1);
    let smallest = (0..classes)
        .map(|class| labels.iter().filter(|label| **label == class).count() * (count - 1) / count)
        .min()
        .unwrap_or(0);
    let parts: Vec<usize> = PARTS.into_iter().filter(|part| smallest / part >= LEAST).collect();
    let jobs: Vec<(usize, usize)> =
        parts.iter().flat_map(|&part| (0..if part == 1 { 1 } else { DRAWS }).map(move |draw| (part, draw))).collect();
    observer.begin("learning curve over sizes", jobs.len() as u64, "sizes");
    let measured = jobs
        .into_par_iter()
        .map(|(part, draw)| {
            observer.check()?;
            let (mut wrong, mut size) = (0, 0);
            for fold in 0..count {
                let chosen = thinned(labels, folds, fold, part, seed, draw);
                size += chosen.len();
                let truth: Vec<usize> = chosen.iter().map(|&image| labels[image]).collect();
                let head = fit_head(&features.select(&chosen), &truth, classes, strength, weights, &Silent)?;
                let held = (0..labels.len()).filter(|&image| folds[image] == fold);
                wrong += held
                    .filter(|&image| {
                        let logits: Vec<f32> = head.values(features.row(image)).iter().map(|z| *z as f32).collect();
                        argmax(&logits) != labels[image]
                    })
                    .count();
            }
            observer.advance(1);
            let error = wrong as f64 / labels.len() as f64;
            Ok(Measurement { labels: size / count, error, weight: labels.len() as f64 })
        })
        .collect::<Result<Vec<_>>>();
    observer.end();
    let measured = measured?;
    if measured.is_empty() {
        return Ok(Vec::new());
    }
    let n = labels.len();
    [n / 2, n, 3 * n].into_iter().filter(|more| *more > 0).map(|more| forecast(&measured, n, more, seed)).collect()
}

/// One in `part` of the images of each class that are not in a fold, at least two.
fn thinned(labels: &[usize], folds: &[usize], fold: usize, part: usize, seed: u64, draw: usize) -> Vec<usize> {
    let classes = labels.iter().max().map_or(0, |last| last + 1);
    let mut of_class = vec![Vec::new(); classes];
    for image in permutation(labels.len(), seed, &format!("thin/{part}/{fold}"), draw as u64) {
        if folds[image] != fold {
            of_class[labels[image]].push(image);
        }
    }
    let mut chosen: Vec<usize> = of_class
        .into_iter()
        .flat_map(|images| {
            let keep = images.len().div_ceil(part).max(LEAST);
            images.into_iter().take(keep)
        })
        .collect();
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::Outcome;
    use rand::RngExt;

    #[test]
    fn thinning_keeps_the_classes_and_leaves_the_fold_out() {
        let labels: Vec<usize> = (0..90).map(|at| at % 3).collect();
        let folds: Vec<usize> = (0..90).map(|at| (at / 3) % 5).collect();
        let chosen = thinned(&labels, &folds, 2, 4, 0, 1);
        assert!(chosen.iter().all(|&at| folds[at] != 2));
        for class in 0..3 {
            assert_eq!(chosen.iter().filter(|&&at| labels[at] == class).count(), 6);
        }
        assert_ne!(chosen, thinned(&labels, &folds, 2, 4, 0, 2));
    }

    /// Two noisy blobs: more labels help, and the forecast says so, with the gain inside of what is left to gain.
    #[test]
    fn a_hard_task_gains_from_more_labels() {
        let (n, columns) = (240, 40);
        let mut stream = crate::rng::rng(3, "test", 0);
        let labels: Vec<usize> = (0..n).map(|at| at % 2).collect();
        let values = (0..n * columns)
            .map(|at| {
                stream.random::<f32>() * 2.0 - 1.0
                    + if at % columns < 8 && labels[at / columns] == 1 { 0.4 } else { 0.0 }
            })
            .collect();
        let features = Features::new(n, columns, values).unwrap();
        let folds: Vec<usize> = (0..n).map(|at| (at / 2) % 5).collect();
        let weights = &ClassWeights::None;
        let probe = Probe { features: &features, labels: &labels, folds: &folds, classes: 2, strength: 0.01, weights };
        let found = forecasts(&probe, 0, &Silent).unwrap();
        assert_eq!(found.iter().map(|f| f.more).collect::<Vec<_>>(), [120, 240, 720]);
        let Outcome::Gain { gain, low, high } = found[1].outcome else { panic!("{:?}", found[1]) };
        assert!(0.0 < gain && gain < 0.3 && low <= gain && gain <= high, "{gain} ({low} to {high})");
    }
}
