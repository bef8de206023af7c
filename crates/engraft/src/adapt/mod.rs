//! Adaptation: a labelled source, a target whose labels nobody has, and a model for the target, or the reason why there is none.
//!
//! It is a fit to the source and then a choice among heads for the target ([`crate::methods`]). No score without labels picks
//! a method safely, so that nothing is picked by one: an adapted model answers where independent methods agree, else the
//! source's model does (`docs/adaptation.md` has the measurements).
//!
//! Never here: a label of the target before everything is chosen. What comes in is [`Unlabelled`]; [`Sealed`](crate::data::Sealed) labels are
//! opened at the very end.

mod check;
mod distance;
mod ground;
mod guard;
mod known_shares;
mod report;
mod shares;

use std::time::Instant;

use crate::bases::Network;
use crate::data::intake::Intake;
use crate::data::{Decided, Target, Task, Unlabelled};
use crate::error::{Error, Problem, Result};
use crate::features::Features;
use crate::fit::{Context, FitEvent, Fitted, fit};
use crate::heads::{Head, Linear, Metric, Novelty};
use crate::methods::domain::{METHODS, TargetImages};
use crate::methods::{AnyBase, FineTuned};
use crate::progress::Observer;
use crate::settings::{Adapt, Fit};
use ground::Ground;
use guard::{Candidate, decide};
use known_shares::KnownShares;

pub(crate) use ground::Source;
pub use report::{Adaptation, Checked, ClassShare, Distance, Measured, MethodMeasured, MethodReport};

/// The name of the model that is not adapted.
pub const SOURCE_ONLY: &str = "source-only";
/// The method that is chosen by agreement.
pub const AUTO: &str = "auto";
/// As [`AUTO`], and methods that are trained by steps are told beside those that are solved.
pub const ALL: &str = "all";
/// Fewer target examples than this say too little of a domain.
const LEAST: usize = 20;
/// Duplicates that a report names.
const NAMED: usize = 100;

/// An adapted model, or the source's with the reason why, and everything that it was decided by.
pub struct Adapted {
    /// The model and its fit to the source.
    pub fitted: Fitted,
    /// What the adaptation found out.
    pub adaptation: Adaptation,
    /// The examples to be labelled for a check.
    pub questions: Questions,
}

/// The examples that a check may ask about.
pub struct Questions {
    source_only: Vec<usize>,
    candidate: Option<Vec<usize>>,
    digests: Vec<String>,
    shown: Vec<String>,
    places: Vec<String>,
    seed: u64,
}

/// A target, and what a base makes of it.
pub(crate) struct Seen<'a> {
    pub(crate) target: Target,
    pub(crate) features: &'a Features,
    pub(crate) metric: Metric,
    /// The base and the images, where it is images.
    pub(crate) images: Option<TargetImages<'a>>,
}

/// What a target came to: what answers it, where that was adapted.
pub(crate) struct Settled {
    pub(crate) adaptation: Adaptation,
    pub(crate) questions: Questions,
    pub(crate) adapted: Option<Answering>,
}

/// What answers an adapted model's questions.
pub(crate) struct Answering {
    pub(crate) head: Linear,
    /// The rows that tell what is unlike the target.
    pub(crate) novelty: Novelty,
    /// The network, where it is another than the source's.
    pub(crate) network: Option<Network>,
}

/// Adapts a base to labelled examples of a source and unlabelled ones of a target.
///
/// # Errors
/// As [`fit`]; other targets than one class of each example, a target that is too small or the source itself, invalid shares
/// or methods, and labels of a check that are none.
pub fn adapt(
    config: &Fit,
    base: AnyBase,
    intake: Intake,
    target: Target,
    means: Context<'_>,
    audit_seconds: f64,
    on_event: &mut dyn FnMut(FitEvent<'_>),
) -> Result<Adapted> {
    let no_target = || Error::Usage(Problem::new("there is no target to adapt to").at("--to"));
    let asked = config.adapt.clone().ok_or_else(no_target)?;
    let task = intake.dataset.task();
    check(&asked, task, &intake.dataset.classes, &target)?;
    let observer = means.observer;
    target.tell(observer);
    let mut fitted = fit(config, base, intake, means, audit_seconds, on_event)?;
    let start = Instant::now();
    observer.say(&format!("reading the target: {} {}", target.unlabelled.len(), fitted.intake.unit()));
    let features = fitted.reading.features_of(&target.unlabelled.contents(), means.cache, observer)?;
    let metric = fitted.reading.metric();
    let images = match &fitted.base {
        AnyBase::Images(base) => TargetImages::of(base, target.unlabelled.contents()),
        AnyBase::Texts(_) | AnyBase::None => None,
    };
    let seen = Seen { target, features: &features, metric, images };
    let settled = settle(Source::of_fit(&fitted), seen, &asked, config.unlike_rate, observer)?;
    let Settled { adaptation, questions, adapted } = settled;
    if let Some(Answering { head, novelty, network }) = adapted {
        fitted.predictor.head = Head::Linear(head);
        fitted.predictor.novelty = novelty;
        if let Some(network) = network {
            fitted.base = fitted.base.with(FineTuned::Network(Box::new(network)));
        }
    }
    fitted.seconds.training += start.elapsed().as_secs_f64();
    fitted.seconds.total += start.elapsed().as_secs_f64();
    Ok(Adapted { fitted, adaptation, questions })
}

/// Decides about a target by its features, and opens its labels at the very end.
///
/// # Errors
/// As [`adapt`].
pub(crate) fn settle(
    source: Source<'_>,
    Seen { target, features, metric, images }: Seen<'_>,
    asked: &Adapt,
    unlike_rate: f64,
    observer: &dyn Observer,
) -> Result<Settled> {
    let (seed, classes) = (source.seed, source.classes);
    let known = KnownShares::parse(&asked.shares, classes)?;
    features.check()?;
    let Target { unlabelled, sealed, places, duplicates, notes } = target;
    let checked = asked.checked.as_deref();
    let checked = checked.map(|path| check::read_checked(path, &unlabelled, classes)).transpose()?;
    let ground = Ground::of(source, (features, images), known, observer)?;
    let candidates = ground.candidates(&asked.method)?;
    let (known, skill, rows) = (ground.known(), ground.skill(), ground.rows());
    let decision = decide(&guard::Asked { method: &asked.method, known, skill, rows }, &candidates)?;
    let source_only = candidates[0].answers.clone();
    let best = decision.runner_up.map(|at| &candidates[at].answers);
    let checked = checked.zip(best).map(|(checked, best)| check::decide(&checked, &source_only, best));
    let decision = decision.after_check(checked.as_ref().and_then(check::taken), checked.as_ref(), &candidates);
    let mut adaptation = ground.told(asked, &candidates, &decision)?;
    adaptation.checked = checked;
    adaptation.notes = notes;
    adaptation.duplicate_count = duplicates.len();
    adaptation.duplicates = duplicates.into_iter().take(NAMED).collect();
    let adapted = match decision.taken {
        0 => None,
        taken => {
            let Candidate { head, base, answers, .. } = &candidates[taken];
            let features = base.as_ref().map_or(features, |base| &base.features);
            let novelty = Novelty::fit(features, answers, &groups_of(&unlabelled), metric, seed, 1.0 - unlike_rate)?;
            let network = base.as_ref().map(|base| base.network.clone());
            Some(Answering { head: head.clone().rounded()?, novelty, network })
        }
    };

    // Everything is chosen.
    let decided = Decided::now();
    if let Some(sealed) = sealed {
        adaptation.measured = ground.measured(sealed, &decided, &candidates, decision.taken)?;
    }
    let questions = Questions {
        candidate: best.cloned(),
        source_only,
        shown: (0..unlabelled.len()).map(|at| unlabelled.shown(at)).collect(),
        digests: unlabelled.digests().to_vec(),
        places: (0..unlabelled.len()).map(|at| places.of(at, &decided).to_owned()).collect(),
        seed,
    };
    Ok(Settled { adaptation, questions, adapted })
}

/// Refuses what cannot be adapted, before any work.
///
/// # Errors
/// As [`adapt`].
pub(crate) fn check(asked: &Adapt, task: Task, classes: &[String], target: &Target) -> Result<()> {
    if task != Task::SingleLabel {
        let problem = Problem::new("only models that answer with one class are adapted to a target");
        let problem = problem.expected("a source with one class for each example").found(task);
        return Err(Error::Usage(problem.hint("--task single-label reads numbers as names of classes")));
    }
    let names: Vec<&str> =
        [AUTO, ALL, SOURCE_ONLY].into_iter().chain(METHODS.iter().map(|method| method.name())).collect();
    if !names.contains(&asked.method.as_str()) {
        let problem = Problem::new("there is no such method").found(&asked.method).at("--method");
        return Err(Error::Usage(problem.expected(names.join(", ")).suggest(&asked.method, names.iter().copied())));
    }
    let (found, place) = (target.unlabelled.len(), &asked.to);
    if found < LEAST {
        let problem = Problem::new("the target has too few examples to adapt to").expected(format!("at least {LEAST}"));
        return Err(Error::Data(problem.found(found).at(place)));
    }
    let distinct = groups_of(&target.unlabelled).last().map_or(0, |last| last + 1);
    if distinct < 2 {
        let problem = Problem::new("all examples of the target are the same").expected("different examples");
        return Err(Error::Data(problem.found(format!("{found} copies of one")).at(place)));
    }
    if target.duplicates.len() >= distinct {
        let problem = Problem::new("the target is the source").expected("examples of another domain");
        let found = format!("{distinct} of {distinct} different examples are in the source too");
        let hint = "engraft predict answers examples of the source's kind";
        return Err(Error::Data(problem.found(found).at(place).hint(hint)));
    }
    KnownShares::parse(&asked.shares, classes).map(|_| ())
}

/// Copies share a group.
fn groups_of(target: &Unlabelled) -> Vec<usize> {
    let digests = target.digests();
    let mut group = 0;
    (0..digests.len())
        .map(|at| {
            group += usize::from(at > 0 && digests[at] != digests[at - 1]);
            group
        })
        .collect()
}

impl Questions {
    /// The examples of a check as CSV, and their number: those that the source's model and the best adapted one answer differently,
    /// `count` of them drawn evenly, with an empty column for the label. Nothing of the models' answers stands in it.
    ///
    /// # Errors
    /// [`Error::Data`] where no two models differ.
    pub fn csv(&self, count: usize) -> Result<(usize, Vec<u8>)> {
        let Self { source_only, candidate, digests, shown, places, seed } = self;
        let drawn = candidate.as_ref().map(|candidate| check::to_check(source_only, candidate, count, *seed));
        let drawn = drawn.unwrap_or_default();
        if drawn.is_empty() {
            let problem =
                Problem::new("there is nothing to check: the source's model and the adapted one answer alike");
            return Err(Error::Data(problem.at("--check")));
        }
        let mut table = csv::Writer::from_writer(Vec::new());
        let unwritable = |source: csv::Error| Error::Data(Problem::new("the check cannot be written").found(source));
        table.write_record(["id", "label", "example", "content"]).map_err(unwritable)?;
        let rows = drawn.len();
        for at in drawn {
            let row = [check::id_of(&digests[at]), "", &places[at], &shown[at]];
            table.write_record(row).map_err(unwritable)?;
        }
        let bytes = table.into_inner().map_err(|error| unwritable(error.into_error().into()))?;
        Ok((rows, bytes))
    }
}

#[cfg(test)]
mod tests;
