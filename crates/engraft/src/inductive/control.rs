//! The from-scratch control: what would the same architecture give from random weights, on the same data?

use burn::tensor::Device;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::backbone::{Architecture, Base, Card, Network, NetworkWeights};
use crate::data::augment::Augment;
use crate::data::colour::DECODING;
use crate::error::{Error, Result};
use crate::evaluate::Evaluation;
use crate::features::Cache;
use crate::inductive::tuning::hold_out;
use crate::progress::Observer;
use crate::train::{
    Classifier, Curve, EpochRecord, Optimiser, PictureTask, Pictures, Score, Settings, probabilities, train,
};

/// Where finished controls are kept in the cache.
const KIND: &str = "controls";

/// A training step costs about three forward passes: one forwards, one to the inputs, one to the weights.
const STEP_COST: f64 = 3.0;
/// Fewer epochs than this, and a smaller input is tried.
const ENOUGH_EPOCHS: u64 = 20;
/// More epochs than this are not worth their time.
const MOST_EPOCHS: u64 = 40;
/// Peak rates of AdamW that are tried.
const RATES: [f64; 3] = [1e-3, 3e-3, 1e-2];
/// Epochs of each try, as a share of those of a training.
const TRIED_EPOCHS: u64 = 3;
const SMALLEST_INPUT: usize = 48;
const BATCH: usize = 32;
const SHARD: usize = 16;

/// What the control may do within its budget: counted in multiply-adds, not in seconds, so that the same command
/// gives the same numbers on every machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ControlPlan {
    /// The network: the base's own architecture, or a small one in place of an ONNX model.
    pub architecture: String,
    /// Rows and columns of the input: the base's own, or smaller where the budget asks for it.
    pub input: [usize; 2],
    /// Passes over each fold's training part.
    pub epochs: u64,
    /// Folds that are run; fewer than all where the budget asks for it.
    pub folds: usize,
    /// Multiply-adds of all of it, in units of 10^12.
    pub cost: f64,
    /// Peak rates that are tried, each on a part of the first fold's training pictures, before the folds are trained at
    /// the best.
    pub rates: Vec<f64>,
    /// How it trains. The rate is the best of those tried, once they are.
    pub settings: Settings,
}

impl ControlPlan {
    /// The largest input, then the most folds, with enough epochs inside `budget` x 10^12 multiply-adds.
    pub fn within(budget: f64, base: &Base, examples: usize, folds: usize, seed: u64) -> Self {
        let stand_in = Scratch::of(base);
        let own = base.input();
        let smallest_side = SMALLEST_INPUT.max(stand_in.card.architecture.smallest_input());
        let mut inputs = vec![own];
        while let Some([rows, columns]) = inputs.last().copied()
            && rows.min(columns) / 2 >= smallest_side
        {
            inputs.push([rows / 2, columns / 2]);
        }
        let epoch_cost = |input: [usize; 2], folds_run: usize| {
            // The search for a rate costs about as much as a fold.
            let trainings = folds_run as f64 + RATES.len() as f64 / TRIED_EPOCHS as f64;
            let trained = examples as f64 * (folds - 1) as f64 / folds as f64 * trainings;
            stand_in.network.multiply_adds(input) as f64 * STEP_COST * trained / 1e12
        };
        let smallest = inputs.last().copied().unwrap_or(own);
        let choices = inputs.iter().map(|input| (*input, folds)).chain((1..folds).rev().map(|run| (smallest, run)));
        let mut plan = (smallest, 1);
        for (input, run) in choices {
            plan = (input, run);
            if budget / epoch_cost(input, run) >= ENOUGH_EPOCHS as f64 {
                break;
            }
        }
        let (input, run) = plan;
        let each = epoch_cost(input, run);
        let epochs = ((budget / each) as u64).clamp(1, MOST_EPOCHS);
        let settings = Settings {
            epochs,
            batch_size: BATCH,
            shard_size: SHARD,
            optimiser: Optimiser::AdamW,
            lr: 3e-3,
            warmup: 0.1,
            weight_decay: 0.02,
            seed,
            ..Settings::default()
        };
        let architecture = stand_in.card.architecture.name().to_owned();
        Self { architecture, input, epochs, folds: run, cost: each * epochs as f64, rates: RATES.into(), settings }
    }

    /// The plan in words.
    pub fn describe(&self, folds: usize) -> String {
        let Self { architecture, input: [rows, columns], epochs, folds: run, cost, .. } = self;
        format!(
            "{architecture}, {epochs} epochs at {rows} x {columns}, {run} of {folds} folds, {cost:.3} x 10^12 multiply-adds, AdamW at {:.0e}, the best of {} rates",
            self.settings.lr,
            self.rates.len()
        )
    }
}

/// The network that is trained from scratch: the base's own, or a small one where the base is an ONNX model, which
/// cannot be trained.
struct Scratch<'a> {
    card: Card,
    network: std::borrow::Cow<'a, Network>,
}

impl<'a> Scratch<'a> {
    fn of(base: &'a Base) -> Self {
        match base.staged() {
            Ok(built) => Self { card: base.card.clone(), network: std::borrow::Cow::Borrowed(&built.network) },
            Err(_) => {
                let mut card = Card::usual(Architecture::SMALL_RESNET, base.card.id.clone());
                card.preprocessing = base.card.preprocessing.clone();
                let network = Network::random(&card, 2, 0, &Device::flex()).network;
                Self { card, network: std::borrow::Cow::Owned(network) }
            }
        }
    }
}

/// What the control gave.
#[derive(Debug)]
pub struct Control {
    /// How it was trained.
    pub plan: ControlPlan,
    /// Positions, among the examples given, of those it was measured on: every one, or those of the folds run.
    pub measured: Vec<usize>,
    /// Whether its out-of-fold answer to each of these was right.
    pub correct: Vec<bool>,
    /// Its out-of-fold numbers.
    pub evaluation: Evaluation,
    /// The learning curve of each fold.
    pub curves: Vec<Vec<EpochRecord>>,
}

/// The examples that the control shares with the transfer: same pictures, labels and folds.
pub(super) struct ControlData<'a> {
    pub paths: Vec<std::path::PathBuf>,
    pub digests: Vec<&'a str>,
    pub labels: &'a [usize],
    pub folds: &'a [usize],
    pub fold_count: usize,
    pub classes: usize,
}

impl Control {
    /// Trains the base's architecture from random weights on each fold's training part, and answers its other part.
    fn train(base: &Base, plan: &ControlPlan, data: &ControlData<'_>, observer: &dyn Observer) -> Result<Trained> {
        let mut card = Scratch::of(base).card;
        card.preprocessing.scale_to(plan.input);
        let limits = crate::data::image::Limits::default();
        let pictures = Pictures::new(data.paths.clone(), card.preprocessing.clone(), limits, observer)?;
        let kept = (0..data.fold_count).map(|fold| data.folds.iter().filter(|f| **f != fold).count());
        let total: usize = kept.take(plan.folds).sum();
        let scratch = FromScratch { card: &card, exact: base.exact, pictures: &pictures, data, observer };
        let tried_epochs = (plan.epochs / TRIED_EPOCHS).max(1);
        let first = data.folds.iter().filter(|fold| **fold != 0).count();
        let search = plan.rates.len() as u64 * tried_epochs * (first * 6 / 7) as u64;
        observer.begin("control: from scratch", search + plan.epochs * total as u64, "images");
        let lr = scratch.best_rate(plan, tried_epochs)?;
        let settings = Settings { lr, ..plan.settings.clone() };
        let folds = (0..plan.folds)
            .into_par_iter()
            .map(|fold| scratch.run_fold(&settings, fold))
            .collect::<Result<Vec<_>>>()?;
        observer.end();
        Ok(Trained { lr: lr.to_bits(), folds })
    }

    /// The control, from the cache where the same was done before: it is as deterministic as everything else.
    pub(super) fn run(
        base: &Base,
        mut plan: ControlPlan,
        data: &ControlData<'_>,
        cache: Option<&Cache>,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let key = identity(base, &plan, data);
        let kept = cache.and_then(|cache| cache.get(KIND, &key)).and_then(|body| serde_json::from_slice(&body).ok());
        let kept = kept.filter(|kept: &Trained| kept.fits(&plan, data));
        let Trained { lr, folds: results } = match kept {
            Some(results) => results,
            None => {
                let results = Self::train(base, &plan, data, observer)?;
                if let Some(cache) = cache {
                    let body = serde_json::to_vec(&results).expect("fold results are plain data");
                    cache.put(KIND, &key, &body, observer);
                }
                results
            }
        };

        plan.settings.lr = f64::from_bits(lr);

        let mut rows: Vec<(usize, Vec<f32>)> = Vec::new();
        for fold in &results {
            let probabilities: Vec<f32> = fold.probabilities().collect();
            let answers = probabilities.chunks_exact(data.classes).map(<[f32]>::to_vec);
            rows.extend(fold.measured.iter().copied().zip(answers));
        }
        rows.sort_by_key(|(example, _)| *example);
        let measured: Vec<usize> = rows.iter().map(|(example, _)| *example).collect();
        let labels: Vec<usize> = measured.iter().map(|&example| data.labels[example]).collect();
        let values: Vec<f32> = rows.into_iter().flat_map(|(_, row)| row).collect();
        let how = "out-of-fold, from random weights";
        let evaluation = crate::evaluate::evaluate(&values, &labels, data.classes, plan.settings.seed, how)?;
        let correct = crate::evaluate::Predictions::new(&values, &labels, data.classes)?.correct();
        let curves = results.iter().map(FoldResult::curve).collect();
        Ok(Self { plan, measured, correct, evaluation, curves })
    }
}

/// What a control's trainings gave.
#[derive(Debug, Serialize, Deserialize)]
struct Trained {
    /// Bits of the rate that was best.
    lr: u64,
    folds: Vec<FoldResult>,
}

impl Trained {
    /// Whether this can be what such a control gave: a cache may hand out anything.
    fn fits(&self, plan: &ControlPlan, data: &ControlData<'_>) -> bool {
        let of_fold = |(fold, result): (usize, &FoldResult)| {
            result.measured.iter().all(|&example| data.folds.get(example) == Some(&fold))
                && result.probabilities.len() == result.measured.len() * data.classes
                && result.probabilities().all(f32::is_finite)
        };
        self.folds.len() == plan.folds && self.folds.iter().enumerate().all(of_fold)
    }
}

/// Kept in bits, so that what comes from the cache is what went in.
#[derive(Debug, Serialize, Deserialize)]
struct FoldResult {
    measured: Vec<usize>,
    probabilities: Vec<u32>,
    curve: Vec<[u64; 6]>,
}

impl FoldResult {
    fn new(measured: Vec<usize>, probabilities: &[f32], curve: &[EpochRecord]) -> Self {
        let point = |record: &EpochRecord| {
            let held_out = record.validation.unwrap_or(record.train);
            let numbers = [record.lr, record.train.loss, record.train.accuracy, held_out.loss, held_out.accuracy];
            let [a, b, c, d, e] = numbers.map(f64::to_bits);
            [record.epoch, a, b, c, d, e]
        };
        Self {
            measured,
            probabilities: probabilities.iter().map(|p| p.to_bits()).collect(),
            curve: curve.iter().map(point).collect(),
        }
    }

    fn probabilities(&self) -> impl Iterator<Item = f32> {
        self.probabilities.iter().map(|bits| f32::from_bits(*bits))
    }

    fn curve(&self) -> Vec<EpochRecord> {
        let record = |[epoch, numbers @ ..]: &[u64; 6]| {
            let [lr, loss, accuracy, held_out_loss, held_out_accuracy] = numbers.map(f64::from_bits);
            EpochRecord {
                epoch: *epoch,
                train: Score { loss, accuracy },
                validation: Some(Score { loss: held_out_loss, accuracy: held_out_accuracy }),
                lr,
                seconds: 0.0,
            }
        };
        self.curve.iter().map(record).collect()
    }
}

/// Everything that decides what a control gives.
fn identity(base: &Base, plan: &ControlPlan, data: &ControlData<'_>) -> String {
    let description = serde_json::json!({
        "format": 3,
        "version": env!("CARGO_PKG_VERSION"),
        "decoding": DECODING,
        "architecture": base.card.architecture,
        "padding": base.card.padding,
        "preprocessing": base.card.preprocessing.fingerprint(),
        "plan": plan,
        "exact": base.exact,
        "pictures": data.digests,
        "labels": data.labels,
        "folds": data.folds,
    });
    crate::files::sha256_hex(description.to_string().as_bytes())
}

/// Trainings of the same network from random weights on the same pictures.
struct FromScratch<'a> {
    card: &'a Card,
    exact: bool,
    pictures: &'a Pictures,
    data: &'a ControlData<'a>,
    observer: &'a dyn Observer,
}

impl FromScratch<'_> {
    /// The rate with the least loss on a seventh of the first fold's training pictures, learning from the others. The
    /// pictures that the control is measured on take no part.
    fn best_rate(&self, plan: &ControlPlan, epochs: u64) -> Result<f64> {
        let training: Vec<usize> =
            (0..self.data.labels.len()).filter(|&example| self.data.folds[example] != 0).collect();
        let (kept, held) = hold_out(&training, self.data.labels, plan.settings.seed);
        let losses = plan
            .rates
            .par_iter()
            .map(|&lr| {
                let settings = Settings { epochs, lr, ..plan.settings.clone() };
                match self.train(&settings, kept.clone(), held.clone()) {
                    Ok((_, curve)) => {
                        let last = curve.epochs.last().and_then(|epoch| epoch.validation);
                        Ok(last.map_or(f64::INFINITY, |score| score.loss))
                    }
                    Err(Error::Training(_)) => Ok(f64::INFINITY),
                    Err(error) => Err(error),
                }
            })
            .collect::<Result<Vec<f64>>>()?;
        let best = losses.iter().enumerate().fold(0, |best, (at, loss)| if *loss < losses[best] { at } else { best });
        Ok(plan.rates[best])
    }

    fn run_fold(&self, settings: &Settings, fold: usize) -> Result<FoldResult> {
        let side = |inside: bool| -> Vec<usize> {
            (0..self.data.labels.len()).filter(|&example| (self.data.folds[example] == fold) == inside).collect()
        };
        let measured = side(true);
        let settings = Settings { seed: settings.seed.wrapping_add(fold as u64), ..settings.clone() };
        let (model, curve) = self.train(&settings, side(false), measured.clone())?;
        let probabilities = probabilities(&model, self.pictures, &measured, self.observer)?;
        Ok(FoldResult::new(measured, &probabilities, &curve.epochs))
    }

    fn train(&self, settings: &Settings, training: Vec<usize>, validation: Vec<usize>) -> Result<(Classifier, Curve)> {
        let device = Device::flex().autodiff();
        let NetworkWeights { network, classifier, .. } =
            Network::random(self.card, self.data.classes, settings.seed, &device);
        let head = classifier.expect("a random network has a classifier");
        let mut task = PictureTask {
            pictures: self.pictures,
            labels: self.data.labels,
            train: training,
            validation,
            // Photos may be mirrored; characters may not.
            augment: Augment { shift: 0.1, flip: self.card.preprocessing.channels == 3, ..Augment::default() },
            label_smoothing: settings.label_smoothing,
            seed: settings.seed,
            device,
            observer: self.observer,
        };
        let model = Classifier { network: network.exact(self.exact), head };
        train(&mut task, model, settings, None, self.observer, |_, _| {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::BaseSpec;

    #[test]
    fn a_plan_keeps_to_its_budget() {
        let device = Device::flex();
        let base = crate::backbone::open(&BaseSpec::named("glyphs"), &device).unwrap();
        for _ in 0..3 {
            assert_eq!(base.staged().unwrap().network.multiply_adds([32, 32]), 6_564_864);
        }
        for (budget, examples) in [(0.5, 200), (0.02, 200), (2.0, 5000)] {
            let plan = ControlPlan::within(budget, &base, examples, 5, 0);
            let forward = base.staged().unwrap().network.multiply_adds(plan.input) as f64;
            let trained = (examples * 4 / 5 * (plan.folds + 1)) as f64 * plan.epochs as f64;
            let cost = forward * STEP_COST * trained / 1e12;
            assert!((plan.cost / cost - 1.0).abs() < 1e-9, "{} against {cost}", plan.cost);
            assert!(plan.cost <= budget, "{plan:?}");
            let words = plan.describe(5);
            assert!(words.contains(&format!("{cost:.3} x 10^12")), "{words}, not {cost}");
        }
    }
}
