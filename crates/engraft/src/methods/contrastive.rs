//! Contrastive few-shot fine-tuning (Tunstall et al. 2022, "SetFit"): pairs of training texts are drawn near to each other
//! where they share a class, and apart where they do not; then the head is solved on the new features.

use burn::module::Module;
use burn::prelude::*;
use burn::tensor::{Device, TensorData};
use rand::RngExt;

use crate::bases::text::TextEncoder;
use crate::bases::{Mode, Pass, Statistics};
use crate::error::Result;
use crate::methods::{
    Adapted, AtCut, Body, FineTuned, Journal, Plan, TuneSettings, Tuning, curve_reporter, retrying, sanity_rows,
};
use crate::progress::Observer;
use crate::rng::rng;
use crate::train::{Curve, EpochRecord, Rules, Score, Settings, ShardLoss, Task, train};

/// Pairs of one class, and pairs of two, for each training text (the paper's R).
const PER_TEXT: usize = 20;
/// Most pairs where the settings do not say how many.
const MOST: usize = 2048;

/// Two different training texts, by their places among these, and whether they share a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// The one.
    pub(crate) one: usize,
    /// The other.
    pub(crate) other: usize,
    /// Whether both have the same label.
    pub(crate) same: bool,
}

/// The pair of this number in an epoch: even numbers share a class, odd ones do not. Pairs are drawn when they are
/// needed and never stand in a list; the same arguments give the same pair.
///
/// The first text is drawn such that every class is as likely as any other. Where a class has but one text, it is
/// paired with itself. `of_class` are the places of each class's texts, `places` how many there are in all.
///
/// # Panics
/// If fewer than two classes have a text.
pub(crate) fn pair(of_class: &[Vec<usize>], seed: u64, epoch: u64, number: usize) -> Pair {
    let mut stream = rng(seed, &format!("pair/{epoch}"), number as u64);
    let present: Vec<&Vec<usize>> = of_class.iter().filter(|texts| !texts.is_empty()).collect();
    assert!(present.len() > 1, "pairs need two classes");
    let class = stream.random_range(0..present.len());
    let first = stream.random_range(0..present[class].len());
    let one = present[class][first];
    if number.is_multiple_of(2) {
        let texts = present[class];
        // A step of at least one, so that no text is drawn beside itself.
        let step = if texts.len() > 1 { stream.random_range(1..texts.len()) } else { 0 };
        return Pair { one, other: texts[(first + step) % texts.len()], same: true };
    }
    let texts = present[(class + stream.random_range(1..present.len())) % present.len()];
    Pair { one, other: texts[stream.random_range(0..texts.len())], same: false }
}

/// How many pairs a training on so many texts sees; `asked` of 0 is the usual number.
pub(crate) fn pairs_for(texts: usize, asked: usize) -> usize {
    if asked > 0 { asked } else { (2 * PER_TEXT * texts).min(MOST) }
}

/// How the loop is set for pairs: one pass over them, in steps of as many pairs as otherwise texts.
pub(crate) fn settings_for(settings: &TuneSettings) -> TuneSettings {
    let train = Settings { epochs: 1, patience: None, average: 0, ..settings.train.clone() };
    TuneSettings { train, ..settings.clone() }
}

/// Fine-tunes on pairs of the texts `training`, and solves the head on the new features of these.
pub(crate) fn tune_pairs(
    tuning: Tuning<'_>,
    settings: &TuneSettings,
    pairs: usize,
    training: &[usize],
    (journal, identity): (&Journal, &str),
    observer: &dyn Observer,
    name: &str,
) -> Result<Adapted> {
    let mut each = curve_reporter(name, observer);
    let (adapted, remarks) = retrying(settings, observer, &mut |settings, attempt| {
        attempt_at(tuning, settings, pairs, training, (journal, identity, attempt), observer, &mut each)
    })?;
    Ok(Adapted { remarks, ..adapted })
}

fn attempt_at(
    tuning: Tuning<'_>,
    settings: &TuneSettings,
    pairs: usize,
    training: &[usize],
    (journal, identity, attempt): (&Journal, &str, usize),
    observer: &dyn Observer,
    each: &mut dyn FnMut(&EpochRecord, &Curve),
) -> Result<(Adapted, Option<String>)> {
    let Tuning { material, plan, strength, target, .. } = tuning;
    let device = Device::flex().autodiff();
    let mut body = material.on(&material.body()?, &device)?;
    let mut only = None;
    if let Some(how) = settings.low_rank {
        let (adapted, rules) = body.adapted(how, plan, settings.train.weight_decay)?;
        (body, only) = (adapted, Some(rules));
    }
    let mut of_class = vec![Vec::new(); target.outputs()];
    let labels = target.strata();
    training.iter().for_each(|&at| of_class[labels[at]].push(at));
    let seed = settings.train.seed;
    let mut task = PairTask { tuning, of_class, pairs, seed, only, epochs: settings.train.epochs, device };
    let mut checkpoints = journal.checkpoints(identity, attempt);
    let Body::Encoder(encoder) = body else { unreachable!("pairs are of texts") };
    let model = PairedEncoder { encoder };
    let (model, curve) = train(&mut task, model, &settings.train, checkpoints.as_mut(), observer, each)?;
    let body = Body::Encoder(model.valid().encoder.merged());
    let grown = FineTuned::of(&material, material.on(&body, &Device::flex())?);
    let features = grown.features(&material, None, training)?;
    let solver = target.solver().expect("pairs are of classes, whose head is solved");
    let head = solver.solve_on(&features, training, strength, observer)?;
    let some = sanity_rows(training).len();
    let looked: Vec<usize> = (0..some).collect();
    let outputs = head.of_features(&features.select(&looked));
    // The loss of pairs is not a cross-entropy: only answers are looked at.
    let failure = target.aims(training).failure(&outputs, sanity_rows(training), &Curve::default());
    Ok((Adapted { grown, head: head.into(), curve, remarks: Vec::new() }, failure))
}

/// What learns: the encoder alone.
#[derive(Module, Debug)]
struct PairedEncoder {
    encoder: TextEncoder,
}

struct PairTask<'a> {
    tuning: Tuning<'a>,
    of_class: Vec<Vec<usize>>,
    pairs: usize,
    seed: u64,
    only: Option<Rules>,
    epochs: u64,
    device: Device,
}

impl Task for PairTask<'_> {
    type Model = PairedEncoder;

    fn len(&self) -> usize {
        self.pairs
    }

    fn rules(&self, model: &PairedEncoder, epoch: u64, _weight_decay: f64) -> Rules {
        match &self.only {
            Some(only) => only.clone(),
            None => self.tuning.plan.rules(&model.encoder, epoch, self.epochs),
        }
    }

    fn statistics(&self) -> Statistics {
        Statistics::Stored
    }

    /// The mean of `(cos(u, v) - y)²`, `y` one where the texts share a class and zero where they do not.
    fn loss(&self, model: &PairedEncoder, shard: &[usize], epoch: u64, pass: &Pass) -> Result<ShardLoss> {
        let (plan, AtCut::Texts { states, sentence, .. }) = (self.tuning.plan, self.tuning.at) else {
            unreachable!("pairs are of texts")
        };
        let pairs: Vec<Pair> = shard.iter().map(|&number| pair(&self.of_class, self.seed, epoch, number)).collect();
        let n = pairs.len();
        let which: Vec<usize> = pairs.iter().map(|pair| pair.one).chain(pairs.iter().map(|pair| pair.other)).collect();
        let mode = |stage| if learns(plan, stage) { Mode::Train(pass) } else { Mode::Frozen };
        let features = unit(states.features(&model.encoder, sentence, &which, mode, &self.device));
        let (one, other) = (features.clone().narrow(0, 0, n), features.narrow(0, n, n));
        let similarity: Tensor<1> = (one * other).sum_dim(1).reshape([n]);
        let wanted: Vec<f32> = pairs.iter().map(|pair| f32::from(u8::from(pair.same))).collect();
        let told = similarity.clone().into_data().try_to_vec::<f32>().expect("similarities are f32");
        let correct = told.iter().zip(&pairs).filter(|(cosine, pair)| (**cosine > 0.5) == pair.same).count();
        let wanted = Tensor::<1>::from_data(TensorData::new(wanted, [n]), &self.device);
        Ok(ShardLoss { loss: (similarity - wanted).square().mean(), correct })
    }

    fn validate(&self, _model: &PairedEncoder) -> Result<Option<Score>> {
        Ok(None)
    }
}

fn learns(plan: &Plan, stage: usize) -> bool {
    plan.stages[stage].learns.is_some()
}

/// Rows of length one.
fn unit(rows: Tensor<2>) -> Tensor<2> {
    let length = rows.clone().square().sum_dim(1).add_scalar(1e-12).sqrt();
    rows / length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_drawn_anew_and_are_what_they_say() {
        let labels = [0, 0, 0, 1, 1, 2];
        let mut of_class = vec![Vec::new(); 4];
        (0..6).for_each(|at| of_class[labels[at]].push(at));
        let mut same = 0;
        for number in 0..400 {
            let drawn = pair(&of_class, 1, 0, number);
            assert_eq!(drawn, pair(&of_class, 1, 0, number));
            assert_eq!(drawn.same, labels[drawn.one] == labels[drawn.other]);
            assert!(drawn.one != drawn.other || labels[drawn.one] == 2, "only a class of one text is its own pair");
            same += usize::from(drawn.same);
        }
        assert_eq!(same, 200);
        assert_ne!(
            (0..20).map(|at| pair(&of_class, 1, 0, at)).collect::<Vec<_>>(),
            (0..20).map(|at| pair(&of_class, 1, 1, at)).collect::<Vec<_>>()
        );
        assert_eq!((pairs_for(16, 0), pairs_for(1000, 0), pairs_for(16, 100)), (640, MOST, 100));
    }
}
