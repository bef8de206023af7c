//! What learning answers and learning tags have in common: folds, the final model, held-out splits, controls.

use std::time::Instant;

use crate::data::Split;
use crate::error::{Error, Problem, Result};
use crate::evaluate::Paired;
use crate::progress::Observer;
use crate::rng::permutation;
use crate::train::Curve;

/// What is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// The base, as deep as was asked.
    Transfer,
    /// A new head alone, on the frozen base.
    Probe,
    /// The same from random numbers, as long as the budget lets it.
    Scratch {
        /// Passes over its examples.
        epochs: u64,
        /// Examples that it gets, of those that there are.
        examples: usize,
    },
}

impl Variant {
    /// The examples that it gets: all, or some drawn by lot.
    pub fn examples(self, of: &[usize], seed: u64) -> Vec<usize> {
        match self {
            Variant::Scratch { examples, .. } if examples < of.len() => {
                let mut drawn: Vec<usize> =
                    permutation(of.len(), seed, "scratch/examples", 0)[..examples].iter().map(|&at| of[at]).collect();
                drawn.sort_unstable();
                drawn
            }
            _ => of.to_vec(),
        }
    }
}

/// A way to learn from examples, which are named by their numbers.
pub trait Learner {
    /// What is learnt.
    type Reader;
    /// Answers to examples, measured.
    type Measured: Clone;

    /// Learns from `examples`; `validation` is looked at for the curve alone.
    fn train(
        &self,
        variant: Variant,
        examples: &[usize],
        validation: &[usize],
        name: &str,
        observer: &dyn Observer,
    ) -> Result<(Self::Reader, Curve)>;
    /// Answers examples, and measures. `how` says in words by what.
    fn measure(
        &self,
        reader: &Self::Reader,
        examples: &[usize],
        how: &str,
        observer: &dyn Observer,
    ) -> Result<Self::Measured>;
    /// Answers to different examples, measured together.
    fn join(&self, parts: &[Self::Measured], how: &str) -> Self::Measured;
    /// What needs no network, in words and measured.
    fn baseline(&self, training: &[usize], examples: &[usize]) -> (String, Self::Measured);
    /// By how much the one is better than the other, on the same examples.
    fn gain(&self, ours: &Self::Measured, theirs: &Self::Measured) -> Result<Paired>;
    /// What the control from scratch is trained on within so many MACs.
    fn scratch(&self, budget: f64, examples: usize) -> Option<(Variant, String)>;
    /// How the linear probe is trained, in words; none where the transfer is itself one.
    fn probe(&self) -> Option<String>;
}

/// Another way to get answers, on the same examples.
#[derive(Debug, Clone)]
pub struct SpanControl<M> {
    /// `scratch`, `probe` or `baseline`.
    pub name: &'static str,
    /// How it was made, in words.
    pub how: String,
    /// Its answers, measured.
    pub measured: M,
    /// By how much the transfer is better.
    pub paired: Paired,
}

/// Everything that learning led to.
#[derive(Debug)]
pub struct Driven<R, M> {
    /// What answers.
    pub reader: R,
    /// The fold of each training example, where there are folds.
    pub folds: Vec<usize>,
    /// Each training example answered by a copy that was trained without it.
    pub out_of_fold: Option<M>,
    /// Held-out splits, answered by the final model, once.
    pub held_out: Vec<(Split, M)>,
    /// Where the controls were measured: `fold 0`, or a held-out split.
    pub ground: String,
    /// The transfer's answers there.
    pub on_ground: M,
    /// What else one would get.
    pub controls: Vec<SpanControl<M>>,
    /// Learning curves, by name.
    pub curves: Vec<(String, Curve)>,
    /// Seconds of training, and of answering.
    pub seconds: [f64; 2],
}

/// How to go about it.
#[derive(Debug, Clone)]
pub struct Drive<'a> {
    /// Training examples.
    pub train: &'a [usize],
    /// Their folds; empty for none.
    pub folds: Vec<usize>,
    /// Held-out splits and their examples.
    pub held_out: Vec<(Split, Vec<usize>)>,
    /// What the control from scratch may cost, in units of 10^12 MACs; 0 leaves the controls out.
    pub budget: f64,
    /// What the curves of the folds are called.
    pub name: String,
}

impl Drive<'_> {
    /// Trains in folds and on everything, answers what is held out, and runs the controls. `each` hears the numbers as soon
    /// as they are known.
    ///
    /// # Errors
    /// [`Error::Usage`] where there would be nothing to measure on; and what training gives.
    pub fn run<L: Learner>(
        self,
        learner: &L,
        observer: &dyn Observer,
        each: &mut dyn FnMut(&str, &L::Measured),
    ) -> Result<Driven<L::Reader, L::Measured>> {
        let Drive { train, folds, held_out, budget, name } = self;
        let count = folds.iter().max().map_or(0, |last| last + 1);
        let held_out: Vec<(Split, Vec<usize>)> =
            held_out.into_iter().filter(|(_, examples)| !examples.is_empty()).collect();
        if count < 2 && held_out.is_empty() {
            return Err(Error::Usage(
                Problem::new("there is nothing to measure on")
                    .expected("two folds or more, or a held-out split (dev, test)")
                    .found(format!("{count} folds, no held-out split"))
                    .hint("leave out --folds, or give a folder with a test file"),
            ));
        }
        let mut seconds = [0.0; 2];
        let (mut curves, mut parts) = (Vec::new(), Vec::new());
        for fold in 0..if count < 2 { 0 } else { count } {
            let part = |inside: bool| -> Vec<usize> {
                let of = train.iter().zip(&folds).filter(|(_, at)| (**at == fold) == inside);
                of.map(|(example, _)| *example).collect()
            };
            let (rest, measured) = (part(false), part(true));
            let curve_name = format!("{name}/fold{fold}");
            let (reader, curve) =
                timed(&mut seconds[0], || learner.train(Variant::Transfer, &rest, &measured, &curve_name, observer))?;
            curves.push((curve_name, curve));
            let how = format!("fold {fold}, answered by a copy that was trained without it");
            parts.push(timed(&mut seconds[1], || learner.measure(&reader, &measured, &how, observer))?);
        }
        let how = format!("out-of-fold over {count} folds");
        let out_of_fold = (!parts.is_empty()).then(|| learner.join(&parts, &how));
        if let Some(measured) = &out_of_fold {
            each("out-of-fold", measured);
        }
        // Everything is chosen: the final model, and then what is held out, once.
        let (reader, curve) =
            timed(&mut seconds[0], || learner.train(Variant::Transfer, train, &[], "final", observer))?;
        curves.push(("final".into(), curve));
        let mut measured_splits = Vec::new();
        for (split, examples) in &held_out {
            let how = format!("held-out {}, answered once by the final model", split.name());
            let measured = timed(&mut seconds[1], || learner.measure(&reader, examples, &how, observer))?;
            each(split.name(), &measured);
            measured_splits.push((*split, measured));
        }
        let of_test =
            held_out.iter().position(|(split, _)| *split == Split::Test).or((!held_out.is_empty()).then_some(0));
        let (ground, training, examples, on_ground) = match of_test {
            Some(at) => {
                let ground = format!("held-out {}", held_out[at].0.name());
                (ground, train.to_vec(), held_out[at].1.clone(), measured_splits[at].1.clone())
            }
            None => {
                let part = |inside: bool| -> Vec<usize> {
                    let of = train.iter().zip(&folds).filter(|(_, at)| (**at == 0) == inside);
                    of.map(|(example, _)| *example).collect()
                };
                ("fold 0".to_owned(), part(false), part(true), parts[0].clone())
            }
        };
        let mut controls = Vec::new();
        let mut ways: Vec<(&'static str, Variant, String)> = Vec::new();
        if budget > 0.0 {
            ways.extend(learner.scratch(budget, training.len()).map(|(variant, how)| ("scratch", variant, how)));
            ways.extend(learner.probe().map(|how| ("probe", Variant::Probe, how)));
        }
        for (name, variant, how) in ways {
            let (reader, curve) =
                timed(&mut seconds[0], || learner.train(variant, &training, &examples, name, observer))?;
            curves.push((name.to_owned(), curve));
            let measured =
                timed(&mut seconds[1], || learner.measure(&reader, &examples, &format!("{ground}, {how}"), observer))?;
            let paired = learner.gain(&on_ground, &measured)?;
            controls.push(SpanControl { name, how, measured, paired });
        }
        let (how, measured) = learner.baseline(&training, &examples);
        let paired = learner.gain(&on_ground, &measured)?;
        controls.push(SpanControl { name: "baseline", how, measured, paired });
        Ok(Driven {
            reader,
            folds,
            out_of_fold,
            held_out: measured_splits,
            ground,
            on_ground,
            controls,
            curves,
            seconds,
        })
    }
}

fn timed<T>(seconds: &mut f64, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let outcome = work();
    *seconds += start.elapsed().as_secs_f64();
    outcome
}
