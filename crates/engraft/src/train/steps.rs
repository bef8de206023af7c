//! The loop: epochs of shuffled batches, each batch cut into shards.
//!
//! A step's gradient is the sum of its shards' gradients in shard order. Shards have a fixed size, so the result is
//! the same bits whatever the number of threads. Batch norm sees one shard at a time ("ghost batch norm", Hoffer et
//! al. 2017); the running statistics move by the whole batch's. A task whose loss is no mean over examples takes the batch as
//! one shard.
//!
//! Everything that decides what comes next is in [`State`], the model and the optimiser's memory: a training that goes
//! on from them gives the bits of one that was never stopped.

use std::collections::BTreeSet;
use std::time::Instant;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bases::{BatchStatistics, DropPathSchedule, Pass, Statistics, move_statistics};
use crate::error::{Error, Problem, Result};
use crate::progress::Observer;
use crate::rng::permutation;
use crate::train::checkpoint::Checkpoints;
use crate::train::curve::{Curve, EpochRecord, Score, StepRecord};
use crate::train::optimiser::{Optimiser, Rules, learning};
use crate::train::schedule::Schedule;
use crate::train::state::{Snapshot, State};
use crate::train::values::{Gradients, Values, values_of, with_values, zip_blocks};

/// How fast the running statistics of batch norm follow a step's.
const STATISTICS_MOMENTUM: f32 = 0.1;

/// How to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Passes over the examples.
    pub epochs: u64,
    /// Examples in a step.
    pub batch_size: usize,
    /// Examples that run together; batch norm sees these.
    pub shard_size: usize,
    /// What moves the parameters.
    pub optimiser: Optimiser,
    /// Peak learning rate.
    pub lr: f64,
    /// How the rate goes.
    pub schedule: Schedule,
    /// Share of all steps in which the rate rises.
    pub warmup: f64,
    /// Weight decay; not on norms and biases.
    pub weight_decay: f64,
    /// Share of each label's probability given to all classes alike (Szegedy et al. 2016, section 7).
    pub label_smoothing: f64,
    /// Longest gradient, as the norm over all parameters; longer ones are shortened to it (Pascanu et al. 2013).
    pub clip: Option<f64>,
    /// Decay of a moving average of the weights that is what is measured and kept (Polyak and Juditsky 1992).
    pub ema: Option<f64>,
    /// Keeps the mean of the weights after this many best epochs, instead of the last ones; 0 keeps the last.
    pub average: usize,
    /// Stops after this many epochs without a better validation loss, and keeps the best weights.
    pub patience: Option<u64>,
    /// Seed of everything that is drawn.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch_size: 32,
            shard_size: 32,
            optimiser: Optimiser::AdamW,
            lr: 1e-3,
            schedule: Schedule::Cosine,
            warmup: 0.1,
            weight_decay: 0.02,
            label_smoothing: 0.0,
            clip: None,
            ema: None,
            average: 0,
            patience: None,
            seed: 0,
        }
    }
}

impl Settings {
    /// Settings that train, or what is wrong with them.
    pub fn validate(&self) -> Result<()> {
        let wrong = |what: &str, expected: &str, found: String| {
            Err(Error::Usage(Problem::new(what).expected(expected).found(found)))
        };
        if self.epochs == 0 || self.batch_size == 0 || self.shard_size < 2 {
            let found =
                format!("{} epochs, batches of {}, shards of {}", self.epochs, self.batch_size, self.shard_size);
            return wrong("nothing to train", "at least 1 epoch, batches of at least 1, shards of at least 2", found);
        }
        if !(self.lr.is_finite() && self.lr > 0.0) {
            return wrong("invalid learning rate", "a positive number", self.lr.to_string());
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return wrong("invalid weight decay", "zero or a positive number", self.weight_decay.to_string());
        }
        if !(0.0..1.0).contains(&self.label_smoothing) || !(0.0..=1.0).contains(&self.warmup) {
            let found = format!("{} and {}", self.label_smoothing, self.warmup);
            return wrong("invalid label smoothing or warm-up", "numbers from 0 to 1", found);
        }
        if let Some(clip) = self.clip.filter(|clip| !(clip.is_finite() && *clip > 0.0)) {
            return wrong("invalid norm for gradient clipping", "a positive number", clip.to_string());
        }
        if let Some(decay) = self.ema.filter(|decay| !(0.0..1.0).contains(decay)) {
            return wrong("invalid decay of the moving average", "at least 0 and less than 1", decay.to_string());
        }
        Ok(())
    }
}

/// The loss of one shard.
pub struct ShardLoss {
    /// Mean over the shard, with its graph.
    pub(crate) loss: Tensor<1>,
    /// How many examples were answered rightly.
    pub(crate) correct: usize,
}

/// What is trained on what. The loop knows nothing else.
pub trait Task {
    /// What is trained.
    type Model: Module + 'static;
    /// Number of examples.
    fn len(&self) -> usize;
    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Hears that an epoch begins, counted from 0, before its first step (also the first after a stop).
    fn begin(&mut self, epoch: u64) -> Result<()> {
        let _ = epoch;
        Ok(())
    }
    /// Sees the model at the start of an epoch, after [`Task::begin`]: for labels that a task takes from the model itself.
    ///
    /// After a stop in the middle of an epoch it sees the model of that step, so that a task with labels of its own is trained
    /// without checkpoints.
    fn refresh(&mut self, model: &Self::Model) -> Result<()> {
        let _ = model;
        Ok(())
    }
    /// Whether a batch is one shard, of whatever size: for losses that are no mean over examples (covariances, mean
    /// predictions, weights that are normalised over the batch).
    fn whole_batch(&self) -> bool {
        false
    }
    /// How each parameter is moved in an epoch. A parameter that has a rule keeps it to the end.
    fn rules(&self, model: &Self::Model, epoch: u64, weight_decay: f64) -> Rules {
        let _ = epoch;
        Rules::all(model, weight_decay)
    }
    /// What batch norms of trained stages do.
    fn statistics(&self) -> Statistics {
        Statistics::Batch
    }
    /// The loss of a shard of examples in an epoch, in training mode; batch norms note what they saw. `Pass::drops` has the
    /// seed, the step and the progress of the training, for whatever else a loss draws or schedules.
    fn loss(&self, model: &Self::Model, shard: &[usize], epoch: u64, pass: &Pass) -> Result<ShardLoss>;
    /// Loss and accuracy on what is held out, if anything is.
    fn validate(&self, model: &Self::Model) -> Result<Option<Score>>;
    /// An example in words, for an error about its batch.
    fn describe(&self, example: usize) -> String {
        format!("example {example}")
    }
}

/// Trains `model` on `task`; `each` hears of every finished epoch.
///
/// With `checkpoints` it goes on from the newest one that is whole, and keeps new ones.
///
/// # Errors
/// A loss that is not a number stops at that step, and names the batch; an interruption at the next one.
pub fn train<T: Task>(
    task: &mut T,
    model: T::Model,
    settings: &Settings,
    mut checkpoints: Option<&mut Checkpoints>,
    observer: &dyn Observer,
    mut each: impl FnMut(&EpochRecord, &Curve),
) -> Result<(T::Model, Curve)> {
    settings.validate()?;
    let steps = Steps::of(task.len(), settings);
    let moved: BTreeSet<u64> = task.rules(&model, settings.epochs - 1, 0.0).0.into_keys().collect();
    // Running statistics have one axis, and move without a rule.
    let changes = |id: u64, axes: usize| axes == 1 || moved.contains(&id);
    let mut model = model;
    let mut now = match checkpoints.as_deref_mut().map(|checkpoints| checkpoints.newest(observer)).transpose()? {
        Some(Some(mut found)) => {
            model = with_values(model, std::mem::take(&mut found.values));
            observer.advance(found.state.epoch * task.len() as u64 + found.state.seen);
            found
        }
        _ => Snapshot { ema: settings.ema.map(|_| values_of(&model, changes)), ..Snapshot::default() },
    };
    while now.state.epoch < settings.epochs && !is_over(&now.state, settings) {
        let (epoch, start) = (now.state.epoch, Instant::now());
        task.begin(epoch)?;
        task.refresh(&model)?;
        let rules = task.rules(&model, epoch, settings.weight_decay);
        let order = permutation(task.len(), settings.seed, "shuffle", epoch);
        for batch in order.chunks(settings.batch_size).skip(now.state.batch as usize) {
            let lr = settings.lr * steps.factor(now.state.step, settings);
            let ran = observer.check().and_then(|()| run_batch(task, &model, batch, &rules, &now.state, settings));
            let Batch { mut gradients, statistics, score } = match ran {
                Ok(batch) => batch,
                // The state before this step is good: it is kept, whatever stops the training.
                Err(stopped) => {
                    if let Some(checkpoints) = checkpoints.as_deref_mut() {
                        now.values = values_of(&model, changes);
                        checkpoints.keep(&now)?;
                    }
                    return Err(stopped);
                }
            };
            if let Some(longest) = settings.clip {
                let norm = gradients.norm();
                if norm > longest {
                    gradients.scale((longest / norm) as f32);
                }
            }
            model = settings.optimiser.step(&mut now.memory, model, &gradients, lr, &rules);
            model = move_statistics(model, &statistics, STATISTICS_MOMENTUM);
            if let (Some(ema), Some(decay)) = (&mut now.ema, settings.ema) {
                follow(ema, values_of(&model, changes), decay, now.state.step);
            }
            let state = &mut now.state;
            state.step += 1;
            state.batch += 1;
            state.seen += batch.len() as u64;
            state.loss += score.loss * batch.len() as f64;
            state.correct += (score.accuracy * batch.len() as f64).round() as u64;
            state.curve.steps.push(StepRecord { step: state.step, epoch: epoch + 1, train: score, lr });
            observer.advance(batch.len() as u64);
            if let Some(checkpoints) = checkpoints.as_deref_mut().filter(|checkpoints| checkpoints.are_due()) {
                now.values = values_of(&model, changes);
                checkpoints.keep(&now)?;
                now.values.clear();
            }
        }
        let measured = match &now.ema {
            Some(ema) => with_values(model.clone(), ema.clone()),
            None => model.clone(),
        };
        let validation = task.validate(&measured)?;
        if let Some(score) = validation {
            note_best(&mut now, score.loss, settings, || values_of(&measured, changes));
        }
        let state = &mut now.state;
        let train = Score { loss: state.loss / state.seen as f64, accuracy: state.correct as f64 / state.seen as f64 };
        let lr = state.curve.steps.last().map_or(0.0, |step| step.lr);
        let record = EpochRecord { epoch: epoch + 1, train, validation, lr, seconds: start.elapsed().as_secs_f64() };
        state.curve.epochs.push(record);
        *state = State {
            step: state.step,
            epoch: epoch + 1,
            curve: std::mem::take(&mut state.curve),
            best: std::mem::take(&mut state.best),
            ..State::default()
        };
        each(&state.curve.epochs[epoch as usize], &state.curve);
    }
    let kept = if settings.average > 0 || settings.patience.is_some() { mean_of(&now.best) } else { None };
    if let Some(values) = kept.or(now.ema) {
        model = with_values(model, values);
    }
    Ok((model, now.state.curve))
}

/// How many steps there are.
#[derive(Debug, Clone, Copy)]
struct Steps {
    total: u64,
    warmup: u64,
}

impl Steps {
    fn of(examples: usize, settings: &Settings) -> Self {
        let total = settings.epochs * examples.div_ceil(settings.batch_size) as u64;
        Self { total, warmup: (settings.warmup * total as f64).round() as u64 }
    }

    fn factor(self, step: u64, settings: &Settings) -> f64 {
        settings.schedule.factor(step, self.total, self.warmup)
    }
}

/// Whether the validation loss has not become better for as long as is waited.
fn is_over(state: &State, settings: &Settings) -> bool {
    match (settings.patience, state.best.first()) {
        (Some(patience), Some((_, best))) => state.epoch - best >= patience,
        _ => false,
    }
}

/// Keeps the numbers after an epoch, if it is among the best. Of equals the earlier is better.
fn note_best(now: &mut Snapshot, loss: f64, settings: &Settings, values: impl FnOnce() -> Values) {
    let wanted = settings.average.max(usize::from(settings.patience.is_some()));
    let rank = now.state.best.iter().take_while(|(best, _)| *best <= loss).count();
    if rank >= wanted {
        return;
    }
    now.state.best.insert(rank, (loss, now.state.epoch + 1));
    now.best.insert(rank, values());
    now.state.best.truncate(wanted);
    now.best.truncate(wanted);
}

/// The mean of the weights after several epochs (Izmailov et al. 2018, of the best rather than the last).
fn mean_of(best: &[Values]) -> Option<Values> {
    let (first, rest) = best.split_first()?;
    let mut mean = first.clone();
    for other in rest {
        for (id, values) in &mut mean {
            zip_blocks(values, &other[id], |mean, other| *mean += other);
        }
    }
    let share = 1.0 / best.len() as f32;
    for values in mean.values_mut() {
        values.iter_mut().for_each(|value| *value *= share);
    }
    Some(mean)
}

/// Moves an average towards the numbers of a step: slower as it gets older, so that the start does not stick.
fn follow(average: &mut Values, values: Values, decay: f64, step: u64) {
    let decay = decay.min((1.0 + step as f64) / (10.0 + step as f64)) as f32;
    for (id, average) in average {
        zip_blocks(average, &values[id], |average, value| *average += (1.0 - decay) * (value - *average));
    }
}

/// What a batch gave.
pub(super) struct Batch {
    pub(super) gradients: Gradients,
    statistics: Vec<Vec<BatchStatistics>>,
    pub(super) score: Score,
}

pub(super) fn run_batch<T: Task>(
    task: &T,
    model: &T::Model,
    batch: &[usize],
    rules: &Rules,
    state: &State,
    settings: &Settings,
) -> Result<Batch> {
    let total = Steps::of(task.len(), settings).total;
    let progress = state.step as f64 / total as f64;
    let (mut gradients, mut statistics) = (Gradients::default(), Vec::new());
    let (mut loss, mut correct, mut first) = (0.0f64, 0, 0);
    let shard_size = if task.whole_batch() { batch.len() } else { settings.shard_size };
    for shard in shards_of(batch, shard_size) {
        let drops = DropPathSchedule { seed: settings.seed, step: state.step, first, progress };
        let pass = Pass::dropping(drops).with(task.statistics());
        // A fork of the model, whose graph is its own.
        let fork = learning(model.valid().train(), rules);
        let ShardLoss { loss: shard_loss, correct: shard_correct } = task.loss(&fork, shard, state.epoch, &pass)?;
        let value = f64::from(shard_loss.clone().into_scalar::<f32>());
        let share = shard.len() as f64 / batch.len() as f64;
        if !value.is_finite() {
            return Err(not_a_number(task, value, shard, state));
        }
        let burn = GradientsParams::from_grads(shard_loss.mul_scalar(share).backward(), &fork);
        gradients.add(Gradients::of(&fork, burn));
        statistics.push(pass.into_statistics());
        loss += value * share;
        correct += shard_correct;
        first += shard.len();
    }
    Ok(Batch { gradients, statistics, score: Score { loss, accuracy: correct as f64 / batch.len() as f64 } })
}

fn not_a_number<T: Task>(task: &T, loss: f64, shard: &[usize], state: &State) -> Error {
    let mut names: Vec<String> = shard.iter().take(4).map(|&example| task.describe(example)).collect();
    if shard.len() > names.len() {
        names.push(format!("{} more", shard.len() - names.len()));
    }
    Error::Training(
        Problem::new("the loss is not a number")
            .found(format_args!(
                "{loss} in epoch {}, step {}, on {}",
                state.epoch + 1,
                state.step + 1,
                names.join(", ")
            ))
            .hint("use a lower --lr, or --clip 1"),
    )
}

/// Cuts a batch into shards; a last one of a single example joins the one before, since batch norm needs two.
pub(crate) fn shards_of(batch: &[usize], size: usize) -> Vec<&[usize]> {
    let mut shards: Vec<&[usize]> = batch.chunks(size).collect();
    if shards.len() > 1 && shards.last().is_some_and(|last| last.len() == 1) {
        shards.truncate(shards.len() - 2);
        shards.push(&batch[shards.len() * size..]);
    }
    shards
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_shard_is_a_single_example_beside_others() {
        let batch: Vec<usize> = (0..33).collect();
        let shards = shards_of(&batch, 16);
        assert_eq!(shards.iter().map(|s| s.len()).collect::<Vec<_>>(), [16, 17]);
        assert_eq!(shards.concat(), batch);
        assert_eq!(shards_of(&batch[..1], 16).len(), 1);
    }

    #[test]
    fn the_best_epochs_are_kept_in_order() {
        let settings = Settings { average: 2, ..Settings::default() };
        let mut now = Snapshot::default();
        for (epoch, loss) in [0.9, 0.5, 0.7, 0.5, 0.4].into_iter().enumerate() {
            now.state.epoch = epoch as u64;
            note_best(&mut now, loss, &settings, || Values::from([(1, vec![epoch as f32])]));
        }
        assert_eq!(now.state.best, [(0.4, 5), (0.5, 2)]);
        assert_eq!(mean_of(&now.best).unwrap()[&1], [2.5]);
    }

    #[test]
    fn patience_counts_from_the_best_epoch() {
        let settings = Settings { patience: Some(2), ..Settings::default() };
        let state = |epoch| State { epoch, best: vec![(0.5, 3)], ..State::default() };
        assert!(!is_over(&state(4), &settings));
        assert!(is_over(&state(5), &settings));
        assert!(!is_over(&state(5), &Settings::default()));
    }
}
