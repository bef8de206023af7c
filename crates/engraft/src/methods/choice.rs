//! The choice of the depth: the probe, then deeper cuts while the budget lasts. One rule for every input and target.
//!
//! Every depth that may be taken is measured on all folds. Where the budget does not pay for all of that, each is looked at on
//! fewer folds first, and those that look best are finished. A depth that all folds would hardly choose is stopped between two
//! folds, and not taken.

use crate::error::{Error, Result};
use crate::methods::budget::{Budget, Speed, in_words};
use crate::methods::depth::{Difference, Measured, Prior, Trainings, choose, enough_folds};
use crate::methods::search::{Depth, DepthSearch};
use crate::targets::{Calibrated, Predictions};

/// Depths without a gain after which no other is tried.
const PATIENCE: usize = 2;
/// A depth is stopped where the probability that all folds would choose it is below this, on what is known and without any one
/// fold of it (docs/decisions.md has how often they would have).
const HARDLY: f64 = 0.1;
/// Answers that are measured before a depth may be stopped: of fewer the variance is a guess.
const FEWEST_ANSWERS: usize = 30;

/// The depth that was taken, and why.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// Every depth that was measured, the probe first.
    pub(crate) tried: Vec<Measured>,
    /// The one taken, with out-of-fold answers of the procedure that chose it: each fold is answered by the depth that the other folds
    /// choose.
    pub(crate) taken: Measured,
    /// How it retrains; nothing for the probe.
    pub(crate) depth: Option<Depth>,
    /// Why.
    pub reason: String,
    /// Depths that were not measured, or on less than all, and why.
    pub left_out: Vec<String>,
}

impl Chosen {
    /// The one that there was no choice about: the last of those tried.
    pub(crate) fn without_choice(tried: Vec<Measured>, depth: Option<Depth>, reason: String) -> Self {
        let taken = tried.last().expect("something was tried").clone();
        Self { tried, taken, depth, reason, left_out: Vec::new() }
    }
}

/// A depth that may be tried, how long it takes, and how far it got.
struct Candidate {
    depth: Depth,
    prior: Prior,
    /// Seconds before the first fold, of a fold, and of the model itself.
    start: f64,
    fold: f64,
    model: f64,
    trainings: Trainings,
    measured: Option<Measured>,
}

impl Candidate {
    /// Seconds of so many folds.
    fn takes(&self, folds: usize) -> f64 {
        self.start + self.fold * folds as f64
    }

    /// The gain that is expected of it, as it was measured.
    fn expects(&self, probe: &Measured) -> f64 {
        let measured = self.measured.as_ref().expect("it was measured");
        self.prior.expects(&measured.scores, &probe.scores_on(&measured.rows))
    }
}

/// What a depth is measured on, and what it has to pass.
#[derive(Clone, Copy)]
struct Goal<'a> {
    /// The folds to measure on now, the folds of the whole measurement, and the seeds.
    folds: usize,
    whole: usize,
    seeds: usize,
    probe: &'a Measured,
    /// Depths that are measured wholly.
    rivals: &'a [Rival],
}

/// A depth that another has to be better than.
struct Rival {
    label: String,
    prior: Prior,
    rows: Vec<usize>,
    scores: Vec<f64>,
}

impl Rival {
    /// Of a depth that was measured on all folds.
    fn of(one: &Candidate) -> Option<Self> {
        let Measured { rows, scores, .. } = one.measured.as_ref()?;
        Some(Self { label: one.depth.label().into(), prior: one.prior, rows: rows.clone(), scores: scores.clone() })
    }
}

impl Goal<'_> {
    /// The rival of which most is expected, on the examples that `counts`, and how much: the probe's is nothing.
    fn best(&self, counts: &dyn Fn(usize) -> bool) -> (f64, &str) {
        self.rivals.iter().fold((0.0, self.probe.depth.as_str()), |best, rival| {
            let (rows, scores) = those(&rival.rows, &rival.scores, counts);
            let expected = rival.prior.expects(&scores, &self.probe.scores_on(&rows));
            if expected > best.0 { (expected, rival.label.as_str()) } else { best }
        })
    }

    /// The probability that all `examples` would choose a depth with these scores, by the examples that `counts`; where these are
    /// few, it may be.
    fn chance(
        &self,
        prior: Prior,
        (rows, scores): (&[usize], &[f64]),
        examples: usize,
        counts: &dyn Fn(usize) -> bool,
    ) -> f64 {
        let (rows, scores) = those(rows, scores, counts);
        match rows.len() < FEWEST_ANSWERS {
            true => 1.0,
            false => prior.chance(&scores, &self.probe.scores_on(&rows), examples, self.best(counts).0),
        }
    }
}

/// The rows that `counts`, and their scores.
fn those(rows: &[usize], scores: &[f64], counts: &dyn Fn(usize) -> bool) -> (Vec<usize>, Vec<f64>) {
    rows.iter().zip(scores).filter(|(row, _)| counts(**row)).map(|(row, score)| (*row, *score)).unzip()
}

impl DepthSearch<'_> {
    /// What is going to be tried after the probe, in words; for whoever waits.
    ///
    /// # Errors
    /// Where the base's stages cannot be read.
    pub(crate) fn outlook(&self, budget: &Budget) -> Result<String> {
        let usual = self.usual()?;
        let names: Vec<&str> = usual.iter().map(Depth::label).collect();
        Ok(match names.as_slice() {
            [] => "no depth but the linear probe is tried".into(),
            names => format!("depths to try after the linear probe, within {budget}: {}", names.join(", ")),
        })
    }

    /// Tries the usual depths after the probe, and takes the one that is expected to be best.
    ///
    /// # Errors
    /// Interruption; trainings that fail are told in [`Chosen::left_out`].
    pub(crate) fn choose(
        &self,
        probe: Measured,
        budget: &Budget,
        speed: &Speed,
        on_event: &mut dyn FnMut(&Measured, &Difference),
    ) -> Result<Chosen> {
        let mut left_out = Vec::new();
        let usual = self.usual()?;
        let shallowest_first = |one: &Candidate| Depth::rank(Some(&one.depth));
        let of = |depth: Depth| {
            let speed = speed.of(depth.label());
            let [start, one] = [0, 1].map(|folds| self.cost_of_folds(&depth, folds) / speed);
            Candidate {
                prior: self.prior(&depth),
                start,
                fold: one - start,
                model: self.cost_of_model(&depth) / speed,
                depth,
                trainings: Trainings::default(),
                measured: None,
            }
        };
        let all: Vec<Candidate> = usual.into_iter().map(of).collect();
        let (mut candidates, folds, look) = self.within(all, budget, &mut left_out);
        let mut left = budget.seconds() - most(&candidates, |one| one.model);
        let mut without_gain = 0;
        let (mut rivals, mut stopped) = (Vec::new(), false);
        for one in &mut candidates {
            if without_gain >= PATIENCE {
                let label = one.depth.label();
                left_out.push(format!("`{label}` was not tried: the {PATIENCE} depths before it gained nothing"));
                continue;
            }
            let goal = Goal { folds: look, whole: folds, seeds: 1, probe: &probe, rivals: &rivals };
            if let Some(gain) = self.extend(one, goal, &mut left_out, on_event)? {
                left -= one.takes(one.trainings.count(look, 1));
                without_gain = if gain.mean > gain.standard_error { 0 } else { without_gain + 1 };
                stopped |= one.measured.is_none();
                rivals.extend(Rival::of(one).filter(|_| look == folds));
            }
        }
        candidates.retain(|one| one.measured.is_some());
        // Those that look best are finished.
        candidates.sort_by(|a, b| b.expects(&probe).total_cmp(&a.expects(&probe)));
        let mut finished: Vec<Candidate> = Vec::new();
        for mut one in candidates {
            let missing = one.fold * (folds - look) as f64;
            if missing > left && !finished.is_empty() {
                let (label, better) = (one.depth.label(), finished[0].depth.label());
                left_out.push(format!(
                    "`{label}` was measured on {look} of {} folds alone, where `{better}` looked better: more was not within the budget of {budget}",
                    self.protocol.count
                ));
                continue;
            }
            if look < folds {
                let goal = Goal { folds, whole: folds, seeds: 1, probe: &probe, rivals: &rivals };
                let measured = self.extend(&mut one, goal, &mut left_out, on_event)?;
                left -= one.fold * (one.trainings.count(folds, 1) - look) as f64;
                stopped |= measured.is_some() && one.measured.is_none();
                if measured.is_none() || one.measured.is_none() {
                    continue;
                }
                rivals.extend(Rival::of(&one));
            }
            finished.push(one);
        }
        finished.sort_by_key(shallowest_first);
        let round = finished.iter().map(|one| one.fold * folds as f64).sum();
        self.more_seeds(&mut finished, folds, (left, round), &probe, &mut left_out, on_event)?;
        if folds < self.protocol.run && !finished.is_empty() {
            left_out.push(format!(
                "depths were measured on {folds} of {} folds: more was not within the budget of {budget}",
                self.protocol.count
            ));
        }
        Ok(self.taken(probe, finished, stopped, left_out))
    }

    /// The candidates that the budget pays for, the folds that they are to be measured on, and those that each is looked at
    /// first.
    fn within(
        &self,
        mut candidates: Vec<Candidate>,
        budget: &Budget,
        left_out: &mut Vec<String>,
    ) -> (Vec<Candidate>, usize, usize) {
        let paid = budget.seconds();
        let run = self.protocol.run;
        let enough = enough_folds(self.protocol.folds, run);
        let whole = |one: &Candidate, folds: usize| one.takes(folds) + one.model;
        let any = |folds: &usize| candidates.iter().any(|one| whole(one, *folds) <= paid);
        let folds = [run, enough].into_iter().find(any).unwrap_or(run);
        candidates.retain(|one| {
            let fits = whole(one, folds) <= paid;
            if !fits {
                left_out.push(format!(
                    "`{}` was not tried: it takes about {} on this machine, and the budget is {budget}",
                    one.depth.label(),
                    in_words(whole(one, enough))
                ));
            }
            fits
        });
        loop {
            let reserve = most(&candidates, |one| one.model);
            let total = |look: usize| {
                let looked: f64 = candidates.iter().map(|one| one.takes(look)).sum();
                reserve + looked + most(&candidates, |one| one.fold) * (folds - look) as f64
            };
            if let Some(look) = (1..=folds).rev().find(|&look| total(look) <= paid) {
                return (candidates, folds, look);
            }
            if candidates.len() < 2 {
                return (candidates, folds, folds);
            }
            let costliest = (1..candidates.len()).fold(0, |most, at| {
                if candidates[at].takes(folds) > candidates[most].takes(folds) { at } else { most }
            });
            let dropped = candidates.remove(costliest);
            left_out.push(format!(
                "`{}` was not tried: the budget of {budget} does not pay for it and those before it",
                dropped.depth.label()
            ));
        }
    }

    /// Measures a candidate on more folds or seeds; its gain over the probe, or nothing where it cannot be trained. One that is
    /// stopped is left without a measurement.
    fn extend(
        &self,
        one: &mut Candidate,
        goal: Goal<'_>,
        left_out: &mut Vec<String>,
        on_event: &mut dyn FnMut(&Measured, &Difference),
    ) -> Result<Option<Difference>> {
        let Goal { folds, whole, seeds, probe, .. } = goal;
        let (prior, label, fold_of) = (one.prior, one.depth.label(), self.protocol.folds);
        let examples = fold_of.iter().filter(|&&fold| fold < whole).count();
        let chance = |rows: &[usize], scores: &[f64], counts: &dyn Fn(usize) -> bool| {
            goal.chance(prior, (rows, scores), examples, counts)
        };
        // Each fold is answered by the depth that the others choose, so that none may decide whether this one takes part.
        let gives_up = |rows: &[usize], scores: &[f64]| {
            let others = |left_out: usize| chance(rows, scores, &|row| fold_of[row] != left_out) < HARDLY;
            chance(rows, scores, &|_| true) < HARDLY && (0..whole).all(others)
        };
        match self.go_on(&one.depth, folds, seeds, &mut one.trainings, &gives_up) {
            Ok(measured) => {
                let gain = measured.gain_over(probe);
                on_event(&measured, &gain);
                let done = one.trainings.count(folds, 1);
                one.measured = (done == folds).then_some(measured.clone());
                if done < folds {
                    left_out.push(format!(
                        "`{label}` was stopped after {done} of {whole} folds: {:+.1} points ({:+.1} to {:+.1}) against the linear probe on the same {} {}; that all folds would choose it rather than `{}` has a probability of {}",
                        100.0 * gain.mean,
                        100.0 * gain.low,
                        100.0 * gain.high,
                        measured.rows.len(),
                        self.material.unit(),
                        goal.best(&|_| true).1,
                        in_percent(chance(&measured.rows, &measured.scores, &|_| true))
                    ));
                }
                Ok(Some(gain))
            }
            Err(Error::Training(problem)) => {
                left_out.push(format!("`{label}` could not be trained: {}", problem.what()));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Trains all depths with as many more seeds as are asked for and the seconds that are left pay for; each `round` takes as
    /// many.
    fn more_seeds(
        &self,
        finished: &mut Vec<Candidate>,
        folds: usize,
        (mut left, round): (f64, f64),
        probe: &Measured,
        left_out: &mut Vec<String>,
        on_event: &mut dyn FnMut(&Measured, &Difference),
    ) -> Result<()> {
        let asked = self.protocol.seeds;
        let paid = (2..=asked).take_while(|_| {
            left -= round;
            left >= 0.0
        });
        let seeds = paid.last().unwrap_or(1);
        if seeds < asked && !finished.is_empty() {
            let seeds = if seeds == 1 { "1 seed".to_owned() } else { format!("{seeds} seeds") };
            left_out.push(format!("every depth was measured with {seeds}: {asked} were not within the budget"));
        }
        if seeds > 1 {
            let mut kept = Vec::new();
            for mut one in std::mem::take(finished) {
                let goal = Goal { folds, whole: folds, seeds, probe, rivals: &[] };
                if self.extend(&mut one, goal, left_out, on_event)?.is_some() {
                    kept.push(one);
                }
            }
            *finished = kept;
        }
        Ok(())
    }

    /// The choice among the probe and depths that were measured on the same examples, the shallowest first.
    fn taken(&self, probe: Measured, finished: Vec<Candidate>, stopped: bool, left_out: Vec<String>) -> Chosen {
        let mut tried = vec![probe];
        let (mut depths, mut priors) = (vec![None], vec![Prior::PROBE]);
        for one in finished {
            tried.extend(one.measured);
            depths.push(Some(one.depth));
            priors.push(one.prior);
        }
        let common = &tried[tried.len() - 1].rows;
        let on = |rows: &[usize]| tried.iter().map(|measured| measured.on(rows)).collect::<Vec<Measured>>();
        let compared = on(common);
        let chosen = choose(&compared, &priors);
        let picks: Vec<usize> = (0..self.protocol.count)
            .map(|fold| {
                let others: Vec<usize> =
                    common.iter().copied().filter(|&row| self.protocol.folds[row] != fold).collect();
                if others.is_empty() { chosen } else { choose(&on(&others), &priors) }
            })
            .collect();
        let mut reason = reason(&compared, &priors, chosen, stopped);
        if common.len() < self.target.len() && tried.len() > 1 {
            reason.push_str(&format!(" (compared on the {} {} that all answered)", common.len(), self.material.unit()));
        }
        if picks.iter().any(|pick| *pick != chosen) {
            let told = (0..tried.len()).filter_map(|at| {
                let folds = picks.iter().filter(|pick| **pick == at).count();
                (folds > 0).then(|| format!("`{}` in {folds}", tried[at].depth))
            });
            let told = told.collect::<Vec<_>>().join(", ");
            reason.push_str(&format!(
                "; so that no fold takes part in its own choice, it is answered as the others choose: {told}"
            ));
        }
        let taken = crossed(&tried, common, &picks, chosen, self.protocol.folds);
        Chosen { depth: depths.swap_remove(chosen), tried, taken, reason, left_out }
    }
}

/// A small probability, in words.
fn in_percent(probability: f64) -> String {
    match 100.0 * probability {
        percent if percent < 0.1 => "less than 0.1 %".into(),
        percent => format!("{percent:.1} %"),
    }
}

/// The most that any candidate takes of something.
fn most(candidates: &[Candidate], of: impl Fn(&Candidate) -> f64) -> f64 {
    candidates.iter().map(of).fold(0.0, f64::max)
}

/// The depth chosen, each of its folds answered by the depth picked for it.
fn crossed(tried: &[Measured], common: &[usize], picks: &[usize], chosen: usize, folds: &[usize]) -> Measured {
    let mut taken = tried[chosen].clone();
    if picks.iter().all(|pick| *pick == chosen) {
        return taken;
    }
    let source = |row: &usize| match common.binary_search(row) {
        Ok(_) => picks[folds[*row]],
        Err(_) => chosen,
    };
    let places: Vec<(&Measured, usize)> = taken
        .rows
        .iter()
        .map(|row| {
            let from = &tried[source(row)];
            (from, from.rows.binary_search(row).expect("it was measured on it"))
        })
        .collect();
    let predictions =
        Predictions::gathered(places.iter().map(|(from, at)| (&from.calibrated.predictions, *at, from.rows.len())));
    let scores = places.iter().map(|(from, at)| from.calibrated.scores[*at]).collect();
    taken.scores = places.iter().map(|(from, at)| from.scores[*at]).collect();
    taken.calibrated = Calibrated { predictions, scores, ..taken.calibrated };
    taken
}

/// Why a depth was chosen, in words; all were measured on the same examples, and others may have been stopped.
fn reason(tried: &[Measured], priors: &[Prior], chosen: usize, stopped: bool) -> String {
    if tried.len() == 1 {
        return match stopped {
            true => {
                "no deeper depth was measured on all folds, since none was likely to be chosen: the linear probe stands"
                    .into()
            }
            false => "no deeper depth was within the budget: the linear probe stands".into(),
        };
    }
    let told = |at: usize| {
        let gain = Difference::of(&tried[at].scores, &tried[0].scores);
        let (depth, expected) = (&tried[at].depth, priors[at].expects(&tried[at].scores, &tried[0].scores));
        format!(
            "`{depth}` is {:+.1} points ({:+.1} to {:+.1}) against the linear probe on the same examples, which with what is usual of it makes {:+.1} expected",
            100.0 * gain.mean,
            100.0 * gain.low,
            100.0 * gain.high,
            100.0 * expected
        )
    };
    if chosen > 0 {
        return told(chosen);
    }
    let expected = |at: usize| priors[at].expects(&tried[at].scores, &tried[0].scores);
    let best = (1..tried.len()).fold(1, |best, at| if expected(at) > expected(best) { at } else { best });
    format!("the linear probe, with every stage frozen, is kept: {}", told(best))
}
