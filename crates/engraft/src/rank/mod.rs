//! Which base for this data, before any training: what is published of each, the evidence of a linear model on a few features, and
//! a cross-validated linear probe of those that the budget pays for, all on the same folds. What the data does not tell apart
//! is told as tied, and the cheapest of the tied is recommended.

mod candidates;
mod class_scores;
mod evidence;
mod quick;
mod report;
mod table;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Instant;

use crate::bases::StageCost;
use crate::bases::hub::registry;
use crate::controls::{baselines, numbers_of};
use crate::data::intake::{InputKind, Intake};
use crate::data::{Split, Task};
use crate::error::{Error, Problem, Result, printable};
use crate::features::{Cache, open_intake};
use crate::fit::{Basis, Context};
use crate::methods::{AnyBase, Budget, Journal};
use crate::metrics::Paired;
use crate::progress::Observer;
use crate::settings::{By, Fit, Rank};
use crate::targets::{Predictions, Target};
use quick::{Quick, Sampled};

pub use candidates::candidates;
pub use report::{Interval, Probed, Ranked, Ranking, WithoutBase};

/// What `--base` says where a base is to be chosen by a ranking.
pub const AUTO_BASE: &str = "auto";
/// Tokens of a text whose cost is told.
const TOKENS: usize = 32;
/// How far below the best a cheaper base that is tied with it may be to be recommended in its place.
const TOLERATED: f64 = 0.005;

/// What was measured of a base, while it is compared.
struct Entry {
    ranked: Ranked,
    predictions: Option<Predictions>,
}

/// Ranks bases, as `--base` takes them, for labelled examples. Every base is looked at on at most 200 examples for each class (2,000
/// in all); then linear probes are cross-validated on all training examples and the same folds, the most promising base first,
/// as long as the budget lasts.
///
/// # Errors
/// Data that nothing can be learnt from; bases that cannot be opened or are of another kind than the data; scores that the
/// labels do not have; interruption.
pub fn rank(
    config: &Fit,
    intake: &Intake,
    asked: &Rank,
    bases: &[String],
    cache: Option<&Cache>,
    observer: &dyn Observer,
) -> Result<Ranking> {
    let budget: Budget = asked.budget.parse()?;
    intake.require_usable(config.strict)?;
    let train = intake.usable(Split::Train);
    let sampled = Sampled::of(intake, &train, config.seed, asked.by)?;
    let mut entries = Vec::with_capacity(bases.len());
    for base in bases {
        observer.check()?;
        let config = Fit { base: base.clone(), ..config.clone() };
        let opened = AnyBase::open(&config, intake)?;
        let quick = Quick::of(&config, &opened, intake, &sampled, asked.by, (&train, cache), observer)?;
        entries.push(Entry { ranked: Ranked::of(base, &opened, &quick), predictions: None });
    }
    let promise = |entry: &Entry| entry.ranked.score.unwrap_or(entry.ranked.evidence);
    entries.sort_by(|a, b| promise(b).total_cmp(&promise(a)));
    let mut ranking = Ranking {
        data: printable(&config.data),
        examples: train.len(),
        unit: intake.unit().into(),
        looked_at: sampled.len(),
        task: intake.dataset.task().to_string(),
        measure: measure(intake.dataset.task()).1.into(),
        by: asked.by,
        bases: Vec::new(),
        without_base: Vec::new(),
        recommended: String::new(),
        reason: String::new(),
        verdict: None,
        left_out: Vec::new(),
    };
    if asked.by == By::Probe {
        probe_all(config, intake, &budget, &mut entries, &mut ranking, (&train, cache), observer)?;
    } else {
        ranking.reason = format!("the best by {} alone, on {} {}", ranking.by, sampled.len(), ranking.unit);
        ranking.recommended = entries.first().map(|entry| entry.ranked.base.clone()).unwrap_or_default();
    }
    ranking.bases = entries.into_iter().map(|entry| entry.ranked).collect();
    Ok(ranking)
}

/// The settings of a fit with the base that a ranking recommends, where they say `auto`: of those on this machine that fit the data, probed
/// within the fit's budget. What was taken is said.
///
/// # Errors
/// As [`rank`] and [`candidates`].
pub fn with_ranked_base(
    mut config: Fit,
    kind: InputKind,
    cache: Option<&Cache>,
    observer: &dyn Observer,
) -> Result<Fit> {
    if config.base != AUTO_BASE || Path::new(AUTO_BASE).exists() {
        return Ok(config);
    }
    config.base = String::new();
    let found = candidates(&[], &config, kind)?;
    config.base.clone_from(&found[0]);
    if found.len() == 1 {
        observer.say(&format!("base: {}, the only one on this machine that fits the data", config.base));
        return Ok(config);
    }
    let intake = open_intake(&config, kind, cache, observer)?;
    let asked = Rank { budget: config.budget.clone(), ..Rank::default() };
    let ranking = rank(&config, &intake, &asked, &found, cache, observer)?;
    ranking.left_out.iter().for_each(|note| observer.say(note));
    observer.say(&format!("base: {}, {}", ranking.recommended, ranking.reason));
    config.base = ranking.recommended;
    Ok(config)
}

/// The number that probes are compared by, by its name in a report and in words.
fn measure(task: Task) -> (&'static str, &'static str) {
    match task {
        Task::Regression => ("mae", "mean error"),
        Task::MultiLabel => ("map", "mAP"),
        _ => ("accuracy", "accuracy"),
    }
}

/// That number of some predictions for all examples.
fn value_of(target: &dyn Target, predictions: &Predictions) -> Result<f64> {
    let rows: Vec<usize> = (0..target.len()).collect();
    let measures = target.measure(predictions, &rows, "out of fold")?;
    Ok(numbers_of(&measures).get(measure(target.task()).0).map_or(f64::NAN, |estimate| estimate.mean))
}

/// Probes bases, the first first, while the budget lasts; compares them, and what one gets without any.
fn probe_all(
    config: &Fit,
    intake: &Intake,
    budget: &Budget,
    entries: &mut [Entry],
    ranking: &mut Ranking,
    (train, cache): (&[usize], Option<&Cache>),
    observer: &dyn Observer,
) -> Result<()> {
    let journal = Journal::none();
    let mut spent = 0.0;
    let mut unaided: Vec<(String, Predictions)> = Vec::new();
    let mut target: Option<Box<dyn Target>> = None;
    for (at, entry) in entries.iter_mut().enumerate() {
        observer.check()?;
        let ranked = &mut entry.ranked;
        let expected = ranked.seconds_per_example * train.len() as f64;
        // The most promising one is always measured.
        if at > 0 && spent + expected > budget.seconds() {
            let left = (budget.seconds() - spent).max(0.0);
            ranking.left_out.push(format!(
                "{} was not probed: its features take about {expected:.0} s, and {left:.0} s of the budget are left",
                ranked.base
            ));
            continue;
        }
        let begun = Instant::now();
        let config = Fit { base: ranked.base.clone(), ..config.clone() };
        let base = AnyBase::open(&config, intake)?;
        let basis = Basis::new(&config, base, intake, Context { cache, journal: &journal, observer }, true)?;
        let Some(probe) = &basis.probe else {
            let problem = Problem::new("bases are ranked by probes where a head is solved").found(&ranking.task);
            return Err(Error::Usage(problem.at("--task")));
        };
        if at == 0 {
            unaided = without_base(&config, &basis, intake, observer)?;
        }
        let scores = &probe.calibrated.scores;
        let score = scores.iter().sum::<f64>() / scores.len().max(1) as f64;
        let mean = value_of(&*basis.target, &probe.calibrated.predictions)?;
        let seconds = begun.elapsed().as_secs_f64();
        observer.say(&format!("{}: {} {mean:.4} out of fold, {seconds:.1} s", ranked.base, ranking.measure));
        ranked.probe = Some(Probed { mean, score, loss: probe.loss(), seconds, against_best: None, tied: false });
        entry.predictions = Some(probe.calibrated.predictions.clone());
        spent += seconds;
        target.get_or_insert(basis.target);
    }
    let target = target.expect("one base was probed");
    compare(&*target, entries, &unaided, ranking)
}

/// Orders what was probed, says what is tied, and what to take.
fn compare(
    target: &dyn Target,
    entries: &mut [Entry],
    unaided: &[(String, Predictions)],
    ranking: &mut Ranking,
) -> Result<()> {
    let key = |entry: &Entry| entry.ranked.probe.as_ref().map_or((f64::NEG_INFINITY, 0.0), |it| (it.score, -it.loss));
    entries.sort_by(|a, b| {
        let (a, b) = (key(a), key(b));
        b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1))
    });
    let rows: Vec<usize> = (0..target.len()).collect();
    let best = entries[0].predictions.clone().expect("the best was probed");
    for entry in &mut entries[1..] {
        let (Some(predictions), Some(probe)) = (&entry.predictions, &mut entry.ranked.probe) else { continue };
        let paired = target.compare(predictions, &best, &rows)?;
        probe.tied = paired.high >= 0.0;
        probe.against_best = Some(Interval::of(&paired));
    }
    let highest = entries[0].ranked.probe.as_ref().map_or(0.0, |probe| probe.mean);
    // Errors have a unit of their own.
    let tolerated = if target.task() == Task::Regression { TOLERATED * highest.abs() } else { TOLERATED };
    let below = |probe: &Probed| probe.against_best.map_or(0.0, |against| -against.mean);
    let may = |entry: &&Entry| {
        let probe = entry.ranked.probe.as_ref();
        probe.is_some_and(|probe| probe.against_best.is_none() || (probe.tied && below(probe) <= tolerated))
    };
    let cost = |entry: &&Entry| (entry.ranked.multiply_adds.unwrap_or(u64::MAX), entry.ranked.columns);
    let taken = entries.iter().filter(may).min_by_key(cost).expect("the best may be taken");
    let tied = entries.iter().filter(|entry| entry.ranked.probe.as_ref().is_some_and(|probe| probe.tied)).count();
    let probed = entries.iter().filter(|entry| entry.predictions.is_some()).count();
    ranking.recommended.clone_from(&taken.ranked.base);
    let best = &entries[0].ranked.base;
    ranking.reason = match (probed, tied, taken.ranked.base == *best) {
        (1, ..) => "the only base that was probed".into(),
        (_, 0, _) => "the best, and the data tells it apart from all others that were probed".into(),
        (_, _, true) => format!("the best; tied with it: {tied}, but none of them is cheaper and nearly as good"),
        (_, _, false) => format!("tied with the best ({best}), nearly as good, and cheaper to run"),
    };
    let own = taken.predictions.as_ref().expect("it was probed");
    for (name, predictions) in unaided {
        let paired = target.compare(own, predictions, &rows)?;
        ranking.without_base.push(WithoutBase {
            name: name.clone(),
            mean: value_of(target, predictions)?,
            gain: Interval::of(&paired),
            verdict: paired.verdict.clone(),
        });
    }
    let hardest = ranking.without_base.iter().min_by(|a, b| a.gain.mean.total_cmp(&b.gain.mean));
    ranking.verdict = hardest.map(|it| {
        let Interval { mean, low, high } = it.gain;
        let told = match target.task() {
            Task::Regression => format!("{mean:+.4} ({low:+.4} to {high:+.4})"),
            _ => format!("{:+.1} points ({:+.1} to {:+.1})", 100.0 * mean, 100.0 * low, 100.0 * high),
        };
        format!("{}: {told} against {}, which has no pretrained network", it.verdict, it.name)
    });
    Ok(())
}

/// Predictions without a pretrained network, on the same folds, by their names.
fn without_base(
    config: &Fit,
    basis: &Basis,
    intake: &Intake,
    observer: &dyn Observer,
) -> Result<Vec<(String, Predictions)>> {
    let found = baselines(&basis.control_data(config, intake), basis.base.is_tf_idf(), observer)?;
    let mut found: Vec<_> = found.iter().map(|it| (it.name().to_owned(), it.predictions().clone())).collect();
    if let (Some(pixels), Some(solver)) = (quick::pixels(intake, &basis.train)?, basis.target.solver()) {
        let probe = solver.probe(&pixels, &basis.folds, observer)?;
        found.push(("pixels".to_owned(), probe.calibrated.predictions));
    }
    Ok(found)
}

impl Ranked {
    fn of(base: &str, opened: &AnyBase, quick: &Quick) -> Self {
        let facts = opened.facts();
        let costs = opened.costs(TOKENS);
        let sum = |of: &dyn Fn(&StageCost) -> u64| costs.as_ref().map(|costs| costs.iter().map(of).sum::<u64>());
        let entry = registry().iter();
        let mut entry = entry.filter(|entry| entry.id == base || entry.sha256.as_deref() == Some(&facts.sha256));
        Self {
            base: base.to_owned(),
            architecture: facts.architecture,
            licence: facts.licence,
            imagenet: entry.next().and_then(|entry| entry.accuracy),
            columns: quick.columns,
            multiply_adds: sum(&|cost| cost.multiply_adds),
            megabytes: sum(&|cost| cost.parameters as u64).map(|parameters| parameters as f64 * 4.0 / 1e6),
            seconds_per_example: quick.seconds,
            evidence: quick.evidence,
            score: quick.score,
            probe: None,
        }
    }
}

impl Interval {
    fn of(paired: &Paired) -> Self {
        Self { mean: paired.difference, low: paired.low, high: paired.high }
    }
}
