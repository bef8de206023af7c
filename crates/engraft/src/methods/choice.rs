//! The choice of the depth: the probe, then deeper cuts while the budget lasts. One rule for every input and target.
//!
//! Every depth that may be taken is measured on all folds. Where the budget does not pay for all of that, each is looked at on
//! fewer folds first, and those that look best are finished.

use crate::error::{Error, Result};
use crate::methods::budget::{Budget, Speed, in_words};
use crate::methods::depth::{Difference, Measured, Prior, Trainings, choose, enough_folds};
use crate::methods::search::{Depth, DepthSearch};
use crate::targets::{Calibrated, Predictions};

/// Depths without a gain after which no other is tried.
const PATIENCE: usize = 2;

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
        for one in &mut candidates {
            if without_gain >= PATIENCE {
                let label = one.depth.label();
                left_out.push(format!("`{label}` was not tried: the {PATIENCE} depths before it gained nothing"));
                continue;
            }
            if let Some(gain) = self.extend(one, look, 1, &probe, &mut left_out, on_event)? {
                left -= one.takes(look);
                without_gain = if gain.mean > gain.standard_error { 0 } else { without_gain + 1 };
            }
        }
        candidates.retain(|one| one.measured.is_some());
        // Those that look best are finished.
        let looks = |one: &Candidate| {
            let measured = one.measured.as_ref().expect("all that are left were measured");
            one.prior.expects(&measured.scores, &probe.scores_on(&measured.rows))
        };
        candidates.sort_by(|a, b| looks(b).total_cmp(&looks(a)));
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
            if look < folds && self.extend(&mut one, folds, 1, &probe, &mut left_out, on_event)?.is_none() {
                continue;
            }
            left -= missing;
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
        Ok(self.taken(probe, finished, left_out))
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

    /// Measures a candidate on more folds or seeds; its gain over the probe, or nothing where it cannot be trained.
    fn extend(
        &self,
        one: &mut Candidate,
        folds: usize,
        seeds: usize,
        probe: &Measured,
        left_out: &mut Vec<String>,
        on_event: &mut dyn FnMut(&Measured, &Difference),
    ) -> Result<Option<Difference>> {
        match self.go_on(&one.depth, folds, seeds, &mut one.trainings) {
            Ok(measured) => {
                let gain = measured.gain_over(probe);
                on_event(&measured, &gain);
                one.measured = Some(measured);
                Ok(Some(gain))
            }
            Err(Error::Training(problem)) => {
                left_out.push(format!("`{}` could not be trained: {}", one.depth.label(), problem.what()));
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
                if self.extend(&mut one, folds, seeds, probe, left_out, on_event)?.is_some() {
                    kept.push(one);
                }
            }
            *finished = kept;
        }
        Ok(())
    }

    /// The choice among the probe and depths that were measured on the same examples, the shallowest first.
    fn taken(&self, probe: Measured, finished: Vec<Candidate>, left_out: Vec<String>) -> Chosen {
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
        let mut reason = reason(&compared, &priors, chosen);
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

/// Why a depth was chosen, in words; all were measured on the same examples.
fn reason(tried: &[Measured], priors: &[Prior], chosen: usize) -> String {
    if tried.len() == 1 {
        return "no deeper depth was within the budget: the linear probe stands".into();
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
