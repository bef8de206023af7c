//! Training: AdaGrad over blocks of pairs that share no row.
//!
//! Words and contexts are in P blocks each. An epoch is P rounds; in a round P blocks of pairs are learned at once, no two of which have a
//! word or a context in common (Gemulla et al. 2011, "Large-scale matrix factorization with distributed stochastic gradient descent",
//! the diagonals of section 4). So no thread sees what another one writes, and the result does not depend on the number of threads. The order of
//! the rounds and that of the pairs in a block are drawn once, as the C tool reads one shuffled file in every epoch.

use std::path::Path;
use std::time::{Duration, Instant};

use pulp::Arch;
use rayon::prelude::*;

use super::blocks::{Blocks, pair};
use super::checkpoint;
use super::kernel::{Rates, learn};
use super::parameters::Parameters;
use super::records::Records;
use super::vocabulary::Vocabulary;
use crate::error::{Error, Problem, Result};
use crate::files::fault;
use crate::progress::{CurvePoint, Observer};
use crate::rng::permutation;
use crate::settings::Glove;

/// Most numbers of a vector.
const MOST_COLUMNS: usize = 1 << 14;
/// Most blocks.
const MOST_BLOCKS: usize = 1024;
/// The least memory for making blocks, in bytes.
const LEAST: u64 = 4 << 20;

/// What changes the parameters before the first epoch.
pub(super) type Start<'a> = dyn Fn(&mut Parameters, &Blocks) -> Result<()> + 'a;

/// A trained model.
#[derive(Debug)]
pub struct Trained {
    pub(super) parameters: Parameters,
    /// The cost of each epoch as the C tool tells it: the mean of f(X) diff^2 / 2 over all records.
    pub costs: Vec<f64>,
    /// Seconds of making the blocks, and of the epochs that were run now.
    pub seconds: [f64; 2],
}

/// Refuses settings of a training that make no sense.
///
/// # Errors
/// [`Error::Usage`].
pub(super) fn check(settings: &Glove) -> Result<()> {
    let refuse = |flag: &str, expected: &str, found: &dyn std::fmt::Display| {
        let problem = Problem::new(format_args!("invalid value for --{flag}")).expected(expected).found(found);
        Err(Error::Usage(problem))
    };
    if !(1..=MOST_COLUMNS).contains(&settings.vector_size) {
        return refuse("vector-size", "1 to 16384", &settings.vector_size);
    }
    if !(1..=MOST_BLOCKS).contains(&settings.blocks) {
        return refuse("blocks", "1 to 1024", &settings.blocks);
    }
    let above_zero = [
        ("eta", settings.eta),
        ("bias-eta", settings.bias_eta),
        ("x-max", settings.x_max),
        ("grad-clip", settings.grad_clip),
    ];
    for (flag, value) in above_zero {
        if !(value > 0.0 && value.is_finite()) {
            return refuse(flag, "a number above 0", &value);
        }
    }
    for (flag, value) in [("alpha", settings.alpha), ("pull", settings.pull)] {
        if !(value >= 0.0 && value.is_finite()) {
            return refuse(flag, "0 or a number above it", &value);
        }
    }
    Ok(())
}

/// All that decides the blocks and the parameters, in words: two trainings of which it is the same end the same.
pub(super) fn made_of(settings: &Glove, vocabulary: &Vocabulary, inputs: &str) -> String {
    let words = crate::files::sha256_hex(&vocabulary.to_text());
    let Glove { seed, blocks, alpha, x_max, vector_size, eta, bias_eta, grad_clip, .. } = settings;
    format!(
        "{} words {words} {inputs} seed {seed} blocks {blocks} alpha {alpha} x-max {x_max} size {vector_size} eta {eta} {bias_eta} clip {grad_clip}",
        env!("CARGO_PKG_VERSION")
    )
}

/// Learns vectors from co-occurrences, in a folder of unfinished work that the caller has locked: what is there of the same training
/// is gone on from. `start` changes the parameters before the first epoch.
///
/// # Errors
/// [`Error::Usage`] and [`Error::Data`] for settings and records that are not possible, [`Error::Training`] where the cost is not a number any
/// more, [`Error::Output`], [`Error::Interrupted`] after a checkpoint of the last epoch.
pub(super) fn train(
    folder: &Path,
    records: &Records,
    vocabulary: &Vocabulary,
    inputs: &str,
    start: Option<&Start<'_>>,
    settings: &Glove,
    observer: &dyn Observer,
) -> Result<Trained> {
    check(settings)?;
    let (words, blocks) = (vocabulary.len(), settings.blocks);
    if rayon::current_num_threads() > blocks {
        observer.say(&format!("threads that train: {blocks}, as many as there are --blocks"));
    }
    let begun = Instant::now();
    let inputs = format!("{inputs} {}", records.fingerprint(observer)?);
    let made_of = made_of(settings, vocabulary, &inputs);
    // Less memory than the parameters will take.
    let memory =
        (Parameters::bytes(words, settings.vector_size, false) / 4).min(settings.memory_bytes() / 2).max(LEAST);
    checkpoint::look(folder, &made_of)?;
    let data = match Blocks::open(folder, blocks, &made_of) {
        Some(found) => found,
        None => Blocks::make(folder, records, vocabulary, &made_of, memory, settings, observer)?,
    };
    fault("glove-blocks");
    let mut parameters = Parameters::drawn(words, settings.vector_size, blocks, start.is_some(), settings.seed);
    let mut costs = match checkpoint::load(folder, &made_of, &mut parameters)? {
        Some(costs) if costs.len() as u64 <= settings.iter => {
            observer.say(&format!("going on after epoch {} of {}", costs.len(), settings.iter));
            costs
        }
        Some(_) => {
            let problem = Problem::new("the unfinished training is further than --iter").at(folder);
            return Err(Error::Usage(problem.hint("raise --iter, or remove the folder to begin anew")));
        }
        None => {
            if let Some(start) = start {
                start(&mut parameters, &data)?;
            }
            Vec::new()
        }
    };
    let prepared = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let rates =
        Rates::new(settings.vector_size, settings.eta as f32, settings.bias_eta as f32, settings.grad_clip as f32);
    let mut saved = Instant::now();
    while (costs.len() as u64) < settings.iter {
        let epoch = costs.len() as u64;
        observer.begin(&format!("epoch {} of {}", epoch + 1, settings.iter), data.count(), "records");
        if parameters.parts == 3 {
            parameters.renew_places();
        }
        let cost = learn_epoch(&mut parameters, &data, &rates, settings, observer);
        observer.end();
        let cost = cost? / data.count() as f64;
        if !cost.is_finite() {
            let problem = Problem::new("the training diverged").expected("a cost that is a number");
            let found = format!("{cost} in epoch {} (costs before: {costs:?})", epoch + 1);
            return Err(Error::Training(
                problem.found(found).hint("lower --eta or --bias-eta, or --grad-clip to 10 or 1"),
            ));
        }
        costs.push(cost);
        let points: Vec<CurvePoint> = (1..).zip(&costs).map(|(epoch, &cost)| point(epoch, cost)).collect();
        observer.curve("glove", &points);
        fault("glove-epoch");
        let is_last = costs.len() as u64 == settings.iter;
        if is_last || saved.elapsed() >= Duration::from_secs(settings.checkpoint_seconds) || observer.interrupted() {
            checkpoint::save(folder, &made_of, &costs, &parameters)?;
            fault("glove-checkpoint");
            saved = Instant::now();
        }
        observer.check()?;
    }
    Ok(Trained { parameters, costs, seconds: [prepared, begun.elapsed().as_secs_f64()] })
}

fn point(epoch: u64, cost: f64) -> CurvePoint {
    CurvePoint {
        epoch: epoch as f64,
        train_loss: cost,
        validation_loss: None,
        train_accuracy: 0.0,
        validation_accuracy: None,
    }
}

/// One epoch; returns the sum of the costs.
fn learn_epoch(
    parameters: &mut Parameters,
    data: &Blocks,
    rates: &Rates,
    settings: &Glove,
    observer: &dyn Observer,
) -> Result<f64> {
    let blocks = settings.blocks;
    let (columns, has_given) = (parameters.columns, parameters.parts == 3);
    let [words, contexts] = &mut parameters.sides;
    let arch = Arch::new();
    let mut costs = vec![0.0; blocks * blocks];
    for diagonal in permutation(blocks, settings.seed, "glove/diagonals", 0) {
        observer.check()?;
        let mut turned: Vec<(usize, &mut Vec<f32>)> = contexts.iter_mut().enumerate().collect();
        turned.rotate_left(diagonal);
        let learned: Vec<(usize, Result<f64>)> = words
            .par_iter_mut()
            .zip(turned)
            .enumerate()
            .with_max_len(1)
            .map(|(word_block, (words, (context_block, contexts)))| {
                let mut cost = 0.0;
                let read = data.each(word_block, context_block, |part| {
                    let pairs = part.iter().map(pair);
                    cost += match has_given {
                        true => arch.dispatch(|| learn::<true>(pairs, words, contexts, columns, rates)),
                        false => arch.dispatch(|| learn::<false>(pairs, words, contexts, columns, rates)),
                    };
                    observer.advance(part.len() as u64);
                });
                (word_block * blocks + context_block, read.map(|()| cost))
            })
            .collect();
        for (block, cost) in learned {
            costs[block] = cost?;
        }
    }
    Ok(costs.iter().sum())
}
