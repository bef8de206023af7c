//! What more labels would bring: the linear probe trained on parts of the data, and its learning curve carried on.

use rayon::prelude::*;

use crate::error::Result;
use crate::features::Features;
use crate::metrics::{Forecast, Measurement, forecast};
use crate::progress::Observer;
use crate::rng::permutation;
use crate::targets::{FoldOutputs, Solver, Target};

/// Parts of a fold's training examples that are tried, as one in so many.
const PARTS: [usize; 5] = [16, 8, 4, 2, 1];
/// Draws of each part.
const DRAWS: usize = 5;
/// Strengths that each part chooses from, in those of the whole: less data may want another.
const STRENGTHS: [f64; 3] = [0.1, 1.0, 10.0];
/// From so many training examples of a fold on, a part is drawn twice and takes the strength of the whole: its draws hardly differ,
/// and the best strength, a belief about weights, does not hang on how many examples there are.
const MANY: usize = 1000;
/// Draws of such a part.
const DRAWS_OF_MANY: usize = 2;
/// Fewer examples of a class than this teach a probe nothing that a curve could be laid through.
const LEAST: usize = 2;
/// The same where there are no classes.
const LEAST_ALIKE: usize = 10;

/// Forecasts for half as many labels more, as many more, and three times as many more.
///
/// For each part and draw, each fold's training examples are thinned class by class, a probe is solved on them at the
/// strength that is best for the part's first draw (of all it was chosen before), and answers the fold's own examples: one measurement
/// of the part is 1 minus the mean score of all folds' answers.
pub(super) fn forecasts(
    target: &dyn Target,
    solver: &dyn Solver,
    features: &Features,
    folds: &[usize],
    strength: f64,
    seed: u64,
    observer: &dyn Observer,
) -> Result<Vec<Forecast>> {
    let (strata, n) = (target.strata(), target.len());
    let count = folds.iter().max().map_or(0, |last| last + 1);
    let mut of_stratum = vec![0; strata.iter().max().map_or(0, |last| last + 1)];
    strata.iter().for_each(|&stratum| of_stratum[stratum] += 1);
    let smallest = of_stratum.iter().map(|examples| examples * (count - 1) / count).min().unwrap_or(0);
    let least = if of_stratum.len() == 1 { LEAST_ALIKE } else { LEAST };
    let parts: Vec<usize> = PARTS.into_iter().filter(|part| smallest / part >= least).collect();
    let has_many = |part: usize| n * (count - 1) / count / part >= MANY;
    let strengths = |part: usize| match part {
        part if part == 1 || has_many(part) => vec![strength],
        _ => STRENGTHS.map(|times| times * strength).to_vec(),
    };
    let draws = |part: usize| match part {
        1 => 1,
        part if has_many(part) => DRAWS_OF_MANY,
        _ => DRAWS,
    };
    let jobs: usize = parts.iter().map(|&part| strengths(part).len() + draws(part) - 1).sum();
    observer.begin("learning curve over sizes", jobs as u64, "sizes");
    let solve = solver.solve_parts(features)?;
    let answered = |jobs: Vec<(usize, usize, f64)>| {
        let of = |(part, draw, strength): (usize, usize, f64)| {
            observer.check()?;
            let mut size = 0;
            let answered = (0..count).map(|fold| -> Result<FoldOutputs> {
                let chosen = thinned(&strata, folds, fold, part, least, seed, draw);
                size += chosen.len();
                let head = solve(&chosen, strength)?.rounded()?;
                let held: Vec<usize> = (0..n).filter(|&example| folds[example] == fold).collect();
                let outputs = held.iter().flat_map(|&example| head.values(features.row(example)));
                let outputs = outputs.map(|output| output as f32).collect();
                Ok((held, outputs))
            });
            let answered = answered.collect::<Result<Vec<_>>>()?;
            let errors = target.scores(&answered)?.into_iter().map(|score| 1.0 - score).collect();
            observer.advance(1);
            Ok(Answered { part, strength, labels: size / count, errors })
        };
        jobs.into_par_iter().map(of).collect::<Result<Vec<Answered>>>()
    };
    let first =
        answered(parts.iter().flat_map(|&part| strengths(part).into_iter().map(move |own| (part, 0, own))).collect())?;
    let first: Vec<Answered> = parts.iter().filter_map(|&part| at_best_strength(&first, part).cloned()).collect();
    let of_part = |first: &Answered| {
        let (part, own) = (first.part, first.strength);
        (1..draws(part)).map(move |draw| (part, draw, own))
    };
    let more = answered(first.iter().flat_map(of_part).collect())?;
    observer.end();
    let every = || first.iter().chain(&more);
    // Numbers that are all alike have no score.
    if first.is_empty() || every().any(|answered| !answered.error().is_finite()) {
        return Ok(Vec::new());
    }
    let (mut measured, mut examples) = (Vec::new(), std::collections::BTreeMap::new());
    for &part in &parts {
        let draws: Vec<&Answered> = every().filter(|answered| answered.part == part).collect();
        let mean = |at: usize| draws.iter().map(|draw| draw.errors[at]).sum::<f64>() / draws.len() as f64;
        examples.insert(draws[0].labels, (0..n).map(mean).collect::<Vec<f64>>());
        measured.extend(draws.iter().map(|draw| Measurement {
            labels: draws[0].labels,
            error: draw.error(),
            weight: n as f64,
        }));
    }
    let examples: Vec<Vec<f64>> = examples.into_values().collect();
    [n / 2, n, 3 * n]
        .into_iter()
        .filter(|more| *more > 0)
        .map(|more| forecast(&measured, &examples, n, more, seed))
        .collect()
}

/// What a probe on a part of each fold's training examples answered.
#[derive(Clone)]
struct Answered {
    /// One in so many.
    part: usize,
    /// Strength of the probe.
    strength: f64,
    /// Training examples of a fold.
    labels: usize,
    /// 1 minus the score of every example.
    errors: Vec<f64>,
}

impl Answered {
    fn error(&self) -> f64 {
        self.errors.iter().sum::<f64>() / self.errors.len().max(1) as f64
    }
}

/// Of a part the answers at the strength with the least error; of equals the one in the middle, then the stronger.
fn at_best_strength(answered: &[Answered], part: usize) -> Option<&Answered> {
    let mut of_part: Vec<&Answered> = answered.iter().filter(|of| of.part == part).collect();
    if of_part.len() > 1 {
        of_part.swap(0, 1);
    }
    of_part.into_iter().reduce(|best, other| if other.error() < best.error() { other } else { best })
}

/// One in `part` of the examples of each stratum that are not in a fold, at least `least`.
fn thinned(
    strata: &[usize],
    folds: &[usize],
    fold: usize,
    part: usize,
    least: usize,
    seed: u64,
    draw: usize,
) -> Vec<usize> {
    let mut of_stratum = vec![Vec::new(); strata.iter().max().map_or(0, |last| last + 1)];
    for example in permutation(strata.len(), seed, &format!("thin/{part}/{fold}"), draw as u64) {
        if folds[example] != fold {
            of_stratum[strata[example]].push(example);
        }
    }
    let mut chosen: Vec<usize> = of_stratum
        .into_iter()
        .flat_map(|examples| {
            let keep = examples.len().div_ceil(part).max(least);
            examples.into_iter().take(keep)
        })
        .collect();
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Outcome;
    use crate::progress::Silent;
    use crate::targets::{TargetSettings, classes, label_sets, numbers};
    use rand::RngExt;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn thinning_keeps_the_classes_and_leaves_the_fold_out() {
        let labels: Vec<usize> = (0..90).map(|at| at % 3).collect();
        let folds: Vec<usize> = (0..90).map(|at| (at / 3) % 5).collect();
        let chosen = thinned(&labels, &folds, 2, 4, LEAST, 0, 1);
        assert!(chosen.iter().all(|&at| folds[at] != 2));
        for class in 0..3 {
            assert_eq!(chosen.iter().filter(|&&at| labels[at] == class).count(), 6);
        }
        assert_ne!(chosen, thinned(&labels, &folds, 2, 4, LEAST, 0, 2));
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
        let target = classes(labels, 2, &TargetSettings::default());
        let found = forecasts(&*target, target.solver().unwrap(), &features, &folds, 0.01, 0, &Silent).unwrap();
        assert_eq!(found.iter().map(|f| f.more).collect::<Vec<_>>(), [120, 240, 720]);
        let Outcome::Gain { gain, low, high } = found[1].outcome else { panic!("{:?}", found[1]) };
        assert!(0.0 < gain && gain < 0.3 && low <= gain && gain <= high, "{gain} ({low} to {high})");
    }

    const COLUMNS: usize = 16;

    fn drawn(n: usize, stream: &mut ChaCha8Rng) -> Features {
        let values = (0..n * COLUMNS).map(|_| (0..6).map(|_| stream.random::<f32>() - 0.5).sum()).collect();
        Features::new(n, COLUMNS, values).unwrap()
    }

    /// What a row says of its labels: column `at` by a weight, and noise.
    fn signals(features: &Features, noise: f64, stream: &mut ChaCha8Rng) -> Vec<f64> {
        let signal = |row: usize| features.row(row).iter().map(|value| 0.4 * f64::from(*value)).sum::<f64>();
        (0..features.rows).map(|row| signal(row) + noise * (stream.random::<f64>() * 2.0 - 1.0)).collect()
    }

    /// The score of a head solved on `train` rows, on all others.
    fn score_of(target: &dyn Target, features: &Features, train: usize, strength: f64) -> f64 {
        let rows: Vec<usize> = (0..train).collect();
        let head = target.solver().unwrap().solve(features, &rows, strength, &Silent).unwrap();
        let held: Vec<usize> = (train..features.rows).collect();
        let halves = held.chunks(held.len() / 2).map(|held| {
            let outputs = held.iter().flat_map(|&row| head.values(features.row(row))).map(|value| value as f32);
            (held.to_vec(), outputs.collect())
        });
        let scores = target.calibrate(&halves.collect::<Vec<_>>()).unwrap().scores;
        scores.iter().sum::<f64>() / scores.len() as f64
    }

    /// How often the interval for as many labels again holds the mean gain, of `draws` tasks.
    fn held(
        draws: u64,
        strength: f64,
        make: impl Fn(&Features, &mut ChaCha8Rng) -> Box<dyn Target>,
    ) -> (f64, f64, f64) {
        let n = 120;
        let of_sizes: Vec<(f64, f64)> = (0..draws)
            .map(|draw| {
                let mut stream = crate::rng::rng(draw, "test/large", 0);
                let features = drawn(2 * n + 2000, &mut stream);
                let target = make(&features, &mut stream);
                let after = score_of(&*target, &features, 2 * n, strength);
                (score_of(&*target, &features, n, strength), after)
            })
            .collect();
        let truth = of_sizes.iter().map(|(before, after)| after - before).sum::<f64>() / draws as f64;
        let mut holds = 0;
        let mut mean = 0.0;
        for draw in 0..draws {
            let mut stream = crate::rng::rng(draw, "test/small", 0);
            let features = drawn(n, &mut stream);
            let target = make(&features, &mut stream);
            let folds: Vec<usize> = (0..n).map(|at| at % 5).collect();
            let solver = target.solver().unwrap();
            let told = forecasts(&*target, solver, &features, &folds, strength, draw, &Silent).unwrap()[1];
            let (gain, low, high) = match told.outcome {
                Outcome::Gain { gain, low, high } => (gain, low, high),
                Outcome::NoneSeen { high } => (0.0, 0.0, high),
                other => panic!("{other:?}"),
            };
            mean += gain / draws as f64;
            holds += usize::from(low <= truth && truth <= high);
        }
        (holds as f64 / draws as f64, mean, truth)
    }

    /// Tasks drawn again and again: the interval holds the gain that more labels bring on the mean.
    #[test]
    fn forecasts_of_numbers_and_label_sets_hold() {
        let (share, mean, truth) =
            held(60, 1.0, |features, stream| numbers(signals(features, 1.5, stream), &TargetSettings::default()));
        assert!(share >= 0.8 && (mean - truth).abs() < 0.05, "numbers: {share}, {mean} of {truth}");
        let (share, mean, truth) = held(40, 0.01, |features, stream| {
            let (first, second) = (signals(features, 0.8, stream), signals(features, 0.8, stream));
            let has = first.iter().zip(&second).flat_map(|(a, b)| [*a > 0.0, *b > -0.2]).collect();
            label_sets(has, vec!["a".into(), "b".into()], &TargetSettings::default())
        });
        assert!(share >= 0.8 && (mean - truth).abs() < 0.05, "label sets: {share}, {mean} of {truth}");
    }
}
