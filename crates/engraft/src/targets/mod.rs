//! What is learnt and how it is measured: one file for each kind of target. A target knows the labels of some examples,
//! and neither the base nor what an example is.

mod aims;
mod answers;
mod class;
mod found_spans;
mod label_sets;
mod number;
mod predictor;
mod span_answer;
mod tags;

use crate::data::intake::{Content, Intake};
use crate::data::{Targets, Task};
use crate::error::Result;
use crate::features::Features;
use crate::heads::Linear;
use crate::metrics::{
    AnswerEvaluation, Coverage, Evaluation, LabelError, MultiLabelEvaluation, Paired, RegressionEvaluation,
    SpanEvaluation,
};
use crate::progress::{Observer, Silent};

pub use aims::Aims;
pub use found_spans::FoundSpan;
pub use predictor::{Answer, LabelsAnswer, NumberAnswer, QuestionAnswer, TagsAnswer, TargetAnswer};
pub(crate) use predictor::{Calibration, Predictor};
pub(crate) use span_answer::{CANDIDATES, NEVER};
pub use span_answer::{Candidate, GivenAnswer, SpanAnswer};

/// Settings that decide how a target is learnt and measured.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetSettings {
    /// Weighs classes by the inverse of their frequency.
    pub(crate) balanced: bool,
    /// Greatest share of wrong answers among those given; the default of the kind where none is asked for.
    pub(crate) max_error: Option<f64>,
    /// How often prediction intervals are to hold the truth.
    pub(crate) level: f64,
    /// Seed of everything that is drawn.
    pub(crate) seed: u64,
}

/// A strength of regularisation that was tried; of a head that is trained by steps, a peak learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Strength {
    /// `C` (smaller is stricter), ridge regression's `alpha` (larger is stricter), or a rate.
    pub(crate) value: f64,
    /// Out-of-fold log-loss, or root mean squared error; of a rate the loss on a seventh of the first fold's training part.
    pub(crate) loss: f64,
    /// Out-of-fold accuracy, where there are classes.
    pub(crate) accuracy: Option<f64>,
}

/// Predictions for some examples, in their order.
#[derive(Debug, Clone, PartialEq)]
pub enum Predictions {
    /// Probabilities `[examples, classes]`.
    Classes(Vec<f32>),
    /// Sets of labels.
    LabelSets {
        /// Probabilities `[examples, labels]`.
        probabilities: Vec<f32>,
        /// Whether each label is given, `[examples, labels]`.
        given: Vec<bool>,
    },
    /// Numbers.
    Numbers {
        /// `[examples]`
        values: Vec<f64>,
        /// Prediction intervals, `[examples]`.
        intervals: Vec<Option<(f64, f64)>>,
    },
    /// Spans of the words of each sentence.
    Tags(Vec<Vec<FoundSpan>>),
    /// Answers to questions.
    Answers(Vec<GivenAnswer>),
}

/// What was measured of predictions.
#[derive(Debug, Clone, PartialEq)]
pub enum Measures {
    /// Of classes.
    Classes(Evaluation),
    /// Of sets of labels.
    LabelSets(MultiLabelEvaluation),
    /// Of numbers.
    Numbers {
        /// The numbers themselves.
        evaluation: RegressionEvaluation,
        /// How often their intervals held the truth; none where there are too few examples.
        coverage: Option<Coverage>,
    },
    /// Of spans of words.
    Tags(SpanEvaluation),
    /// Of answers to questions.
    Answers(AnswerEvaluation),
}

/// Labels that are probably wrong, the likeliest first.
#[derive(Debug, Clone, PartialEq)]
pub enum Suspects {
    /// Of classes; `index` is a place among the examples measured.
    Classes(Vec<LabelError>),
    /// Of sets of labels.
    LabelSets(Vec<SuspectedLabel>),
    /// Numbers, spans and answers are not looked through.
    NotLookedFor,
}

/// A label that an example probably has against its target, or lacks.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct SuspectedLabel {
    /// Which example.
    pub(crate) index: usize,
    /// Which label.
    pub(crate) label: usize,
    /// Whether the target says that it has it.
    pub(crate) given: bool,
    /// Out-of-fold probability that it has it.
    pub(crate) probability: f32,
}

/// A head on frozen features, cross-validated.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Strengths that were tried.
    pub(crate) tried: Vec<Strength>,
    /// The one with the least loss.
    pub(crate) strength: f64,
    /// Out-of-fold predictions of all examples.
    pub(crate) calibrated: Calibrated,
}

impl Probe {
    /// The least loss of the strengths that were tried.
    pub(crate) fn loss(&self) -> f64 {
        self.tried.iter().map(|tried| tried.loss).fold(f64::INFINITY, f64::min)
    }
}

/// Out-of-fold predictions, and what was chosen on them.
#[derive(Debug, Clone)]
pub struct Calibrated {
    /// Predictions of the examples measured, ascending; what was used on a fold was chosen on the others.
    pub predictions: Predictions,
    /// What makes a prediction of outputs, chosen on all of them.
    pub(crate) calibration: Calibration,
    /// How right each prediction is: 1 or 0 for a class, F1 for a set of labels, spans or an answer, a part of R² for a
    /// number.
    pub(crate) scores: Vec<f64>,
}

/// Outputs of one fold: places of its examples, ascending, and their logits, `[Target::width]` numbers of each.
pub(crate) type FoldOutputs = (Vec<usize>, Vec<f32>);

/// Gives the head on some examples at a strength.
pub type PartSolver<'a> = dyn Fn(&[usize], f64) -> Result<Linear> + Sync + 'a;

/// A target whose head on frozen features is solved exactly.
pub trait Solver: Sync {
    /// The strength of a head on features `[examples, columns]`, by cross-validation, and its out-of-fold predictions.
    ///
    /// # Errors
    /// Features that do not fit the labels, a loss that is not a number, interruption.
    fn probe(&self, features: &Features, folds: &[usize], observer: &dyn Observer) -> Result<Probe>;
    /// The head with the least regularised loss on some of the examples.
    ///
    /// # Errors
    /// As [`Solver::probe`].
    fn solve(&self, features: &Features, rows: &[usize], strength: f64, observer: &dyn Observer) -> Result<Linear> {
        if rows.len() == features.rows && rows.iter().enumerate().all(|(at, row)| at == *row) {
            return self.solve_on(features, rows, strength, observer);
        }
        self.solve_on(&features.select(rows), rows, strength, observer)
    }
    /// [`Solver::solve`] for many parts of the same examples, exact enough to see how good their heads are: what the parts share
    /// is worked out once.
    ///
    /// # Errors
    /// As [`Solver::probe`].
    fn solve_parts<'a>(&'a self, features: &'a Features) -> Result<Box<PartSolver<'a>>> {
        Ok(Box::new(move |rows, strength| self.solve(features, rows, strength, &Silent)))
    }
    /// The same on features `[rows.len(), columns]` of these examples alone.
    ///
    /// # Errors
    /// As [`Solver::probe`].
    fn solve_on(&self, features: &Features, rows: &[usize], strength: f64, observer: &dyn Observer) -> Result<Linear>;
}

/// A kind of target, with the labels of some examples. Examples are named by their places among these.
pub trait Target: Send + Sync {
    /// Which kind.
    fn task(&self) -> Task;
    /// Number of examples.
    fn len(&self) -> usize;
    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Numbers that a head gives for an example, or for each of its tokens.
    fn outputs(&self) -> usize;
    /// How a head on frozen features is solved; nothing where heads look at each token and are trained by steps.
    fn solver(&self) -> Option<&dyn Solver>;
    /// Numbers of an example in the outputs of a fold.
    fn width(&self, example: usize) -> usize {
        let _ = example;
        self.outputs()
    }
    /// What a training on some of the examples aims at.
    fn aims(&self, training: &[usize]) -> Aims;
    /// As many folds as asked for, or as few as the labels allow, and why; then the fold of each example. Groups are never
    /// cut.
    fn folds(&self, asked: usize, groups: &[usize], unit: &str, observer: &dyn Observer) -> (usize, Vec<usize>);
    /// Predictions from the outputs of folds, and what is chosen on them.
    ///
    /// # Errors
    /// Outputs that do not fit the labels.
    fn calibrate(&self, parts: &[FoldOutputs]) -> Result<Calibrated>;
    /// How right each prediction is, as `calibrate` tells it, and nothing else.
    ///
    /// # Errors
    /// As [`Target::calibrate`].
    fn scores(&self, parts: &[FoldOutputs]) -> Result<Vec<f64>> {
        Ok(self.calibrate(parts)?.scores)
    }
    /// What one would say of `count` examples without a look at them, knowing the labels of `training`: the shares of the
    /// classes or labels, or the median.
    fn constant(&self, training: &[usize], count: usize) -> Predictions;
    /// Predictions as they are measured, from a model's answers to all examples.
    fn collect(&self, answers: &[TargetAnswer]) -> Predictions;
    /// What predictions of the examples `rows` are worth.
    ///
    /// # Errors
    /// Predictions that do not fit the labels; too few or all equal numbers.
    fn measure(&self, predictions: &Predictions, rows: &[usize], how: &str) -> Result<Measures>;
    /// By how much `ours` is better than `theirs` on the examples `rows`.
    ///
    /// # Errors
    /// As [`Target::measure`].
    fn compare(&self, ours: &Predictions, theirs: &Predictions, rows: &[usize]) -> Result<Paired>;
    /// Labels that are probably wrong, by out-of-fold predictions of `rows`; indices are places among `rows`.
    ///
    /// # Errors
    /// As [`Target::measure`].
    fn suspects(&self, predictions: &Predictions, rows: &[usize]) -> Result<Suspects>;
    /// The class of each example by which a training set is stratified or thinned out; all alike where there is none.
    fn strata(&self) -> Vec<usize>;
    /// Why the examples cannot be measured on; nothing where they can.
    fn unmeasurable(&self) -> Option<&'static str> {
        None
    }
}

/// The target of some examples of a data set.
pub(crate) fn target_of(intake: &Intake, examples: &[usize], settings: &TargetSettings) -> Box<dyn Target> {
    let names = &intake.dataset.classes;
    match intake.dataset.targets {
        Targets::Classes => classes(intake.labels(examples), names.len(), settings),
        Targets::Labels(_) => label_sets(intake.label_sets(examples), names.clone(), settings),
        Targets::Values(_) => numbers(intake.values(examples), settings),
        Targets::Tags(_) | Targets::Answers(_) => match &intake.content {
            Content::Words(set, _) => Box::new(tags::Tags::new(
                set,
                &intake.audit.groups,
                examples,
                &intake.labels(examples),
                settings.clone(),
            )),
            Content::Questions(set, _) => Box::new(answers::Answers::new(set, examples, settings.clone())),
            _ => unreachable!("tags are of words, and answers are to questions"),
        },
    }
}

/// One class of each example: `labels` `[examples]`, each less than `classes`.
pub fn classes(labels: Vec<usize>, classes: usize, settings: &TargetSettings) -> Box<dyn Target> {
    Box::new(class::Classes::new(labels, classes, settings.clone()))
}

/// A set of labels of each example: `has` `[examples, names]`.
pub(crate) fn label_sets(has: Vec<bool>, names: Vec<String>, settings: &TargetSettings) -> Box<dyn Target> {
    Box::new(label_sets::LabelSets::new(has, names, settings.clone()))
}

/// A number of each example: `values` `[examples]`.
pub fn numbers(values: Vec<f64>, settings: &TargetSettings) -> Box<dyn Target> {
    Box::new(number::Numbers::new(values, settings.clone()))
}

impl Default for TargetSettings {
    fn default() -> Self {
        Self { balanced: false, max_error: None, level: 0.9, seed: 0 }
    }
}

impl Predictions {
    /// Predictions of parts as those of the whole: `places` say where each part's examples stand, and together name every
    /// place once.
    ///
    /// # Panics
    /// If the parts are of different kinds, or there is none.
    #[must_use]
    pub(crate) fn joined(parts: Vec<(Vec<usize>, Self)>) -> Self {
        let mut order: Vec<(usize, usize)> =
            parts.iter().flat_map(|(places, _)| places).enumerate().map(|(at, &place)| (place, at)).collect();
        order.sort_unstable();
        let order: Vec<usize> = order.into_iter().map(|(_, at)| at).collect();
        let mut parts = parts.into_iter().map(|(_, part)| part);
        let mut whole = parts.next().expect("a part");
        for part in parts {
            match (&mut whole, part) {
                (Self::Classes(all), Self::Classes(more)) => all.extend(more),
                (
                    Self::LabelSets { probabilities: all, given: all_given },
                    Self::LabelSets { probabilities, given },
                ) => {
                    all.extend(probabilities);
                    all_given.extend(given);
                }
                (Self::Numbers { values: all, intervals: all_intervals }, Self::Numbers { values, intervals }) => {
                    all.extend(values);
                    all_intervals.extend(intervals);
                }
                (Self::Tags(all), Self::Tags(more)) => all.extend(more),
                (Self::Answers(all), Self::Answers(more)) => all.extend(more),
                _ => unreachable!("parts of one kind"),
            }
        }
        whole.select(&order, order.len())
    }

    /// Predictions of some of the examples, by their places.
    #[must_use]
    pub(crate) fn select(&self, places: &[usize], examples: usize) -> Self {
        fn rows<T: Copy>(values: &[T], places: &[usize], examples: usize) -> Vec<T> {
            let width = values.len() / examples.max(1);
            places.iter().flat_map(|&at| values[at * width..][..width].iter().copied()).collect()
        }
        match self {
            Predictions::Classes(values) => Predictions::Classes(rows(values, places, examples)),
            Predictions::LabelSets { probabilities, given } => Predictions::LabelSets {
                probabilities: rows(probabilities, places, examples),
                given: rows(given, places, examples),
            },
            Predictions::Numbers { values, intervals } => Predictions::Numbers {
                values: rows(values, places, examples),
                intervals: rows(intervals, places, examples),
            },
            Predictions::Tags(all) => Predictions::Tags(places.iter().map(|&at| all[at].clone()).collect()),
            Predictions::Answers(all) => Predictions::Answers(rows(all, places, examples)),
        }
    }

    /// One prediction of each source: predictions, the place in them, and how many examples they are of.
    ///
    /// # Panics
    /// If there is none, or they are of different kinds.
    pub(crate) fn gathered<'a>(sources: impl Iterator<Item = (&'a Self, usize, usize)>) -> Self {
        let mut each = sources.map(|(from, at, examples)| from.select(&[at], examples));
        let mut gathered = each.next().expect("there are examples");
        for one in each {
            match (&mut gathered, one) {
                (Predictions::Classes(all), Predictions::Classes(more)) => all.extend(more),
                (
                    Predictions::LabelSets { probabilities, given },
                    Predictions::LabelSets { probabilities: more, given: more_given },
                ) => {
                    probabilities.extend(more);
                    given.extend(more_given);
                }
                (
                    Predictions::Numbers { values, intervals },
                    Predictions::Numbers { values: more, intervals: more_intervals },
                ) => {
                    values.extend(more);
                    intervals.extend(more_intervals);
                }
                (Predictions::Tags(all), Predictions::Tags(more)) => all.extend(more),
                (Predictions::Answers(all), Predictions::Answers(more)) => all.extend(more),
                _ => unreachable!("depths of one target"),
            }
        }
        gathered
    }
}

/// The places of fold outputs, ascending.
fn places_of(parts: &[FoldOutputs]) -> Vec<usize> {
    let mut places: Vec<usize> = parts.iter().flat_map(|(places, _)| places.iter().copied()).collect();
    places.sort_unstable();
    places
}

/// Each example of a fold with its outputs.
fn rows_of<'a>(
    target: &'a dyn Target,
    (held, outputs): &'a FoldOutputs,
) -> impl Iterator<Item = (usize, &'a [f32])> + 'a {
    let mut begin = 0;
    held.iter().map(move |&at| {
        let end = begin + target.width(at);
        let row = &outputs[begin..end];
        begin = end;
        (at, row)
    })
}

/// All folds' outputs but one's, or all.
fn but<T>(parts: &[T], without: Option<usize>) -> impl Iterator<Item = &T> {
    parts.iter().enumerate().filter(move |(fold, _)| Some(*fold) != without).map(|(_, part)| part)
}

/// Tells of classes or labels with fewer examples than there are folds. The others keep their folds: a rare class would
/// otherwise halve the training part of all.
fn tell_rare(counts: impl Iterator<Item = usize>, what: &str, folds: usize, unit: &str, observer: &dyn Observer) {
    let rare: Vec<usize> = counts.filter(|count| *count < folds).collect();
    let Some(smallest) = rare.iter().min() else { return };
    let several = if what.ends_with('s') { "es" } else { "s" };
    let whose =
        if let [_] = rare[..] { format!("one {what} has") } else { format!("{} {what}{several} have", rare.len()) };
    observer.say(&format!(
        "{whose} fewer training {unit} than there are folds ({folds}), the rarest {smallest}: in some folds none of its {unit} is \
         measured, and its numbers are wide"
    ));
}

/// As many folds as asked for, but no more than there are groups of examples: one cannot be cut.
fn folds_of_groups(asked: usize, groups: &[usize], unit: &str, observer: &dyn Observer) -> usize {
    let different = groups.iter().collect::<std::collections::BTreeSet<_>>().len();
    let count = asked.min(different).max(2);
    if count < asked {
        observer.say(&format!("{count} folds instead of {asked}: there are {different} different training {unit}, of which each group counts once"));
    }
    count
}

#[cfg(test)]
mod tests;
