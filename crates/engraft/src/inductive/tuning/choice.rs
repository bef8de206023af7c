//! The choice of the depth: the probe, then deeper cuts while the budget lasts and gains stand out of the noise.

use std::fmt;
use std::str::FromStr;

use crate::backbone::Base;
use crate::error::{Error, Problem, Result};
use crate::features::{Cache, Features};
use crate::inductive::tuning::activations::{Activations, Shown, Views};
use crate::inductive::tuning::depth::{Difference, Measured, Protocol, best_of, choose, measure};
use crate::inductive::tuning::journal::Journal;
use crate::inductive::tuning::plan::{DepthCut, Learners, Plan, Spread, cut_of, usual_cuts};
use crate::inductive::tuning::tune::{Target, TuneSettings};
use crate::progress::Observer;

/// A training step costs about three forward passes: one forwards, one to the inputs, one to the weights.
pub(crate) const STEP_COST: f64 = 3.0;
/// Depths without a gain after which none deeper is tried.
const PATIENCE: usize = 2;
/// Multiply-adds, in units of 10^12, that a second of the budget stands for: about what two cores of a laptop do.
const PER_SECOND: f64 = 0.05;

/// What the choice of the depth may cost. Counted in multiply-adds, so that the same command gives the same model on
/// every machine; said in the minutes that they take on two cores of a laptop.
///
/// ```
/// use engraft::inductive::tuning::Budget;
/// let budget: Budget = "5m".parse().unwrap();
/// assert_eq!((budget.multiply_adds(), budget.to_string()), (15.0, "5m".into()));
/// assert_eq!("90s".parse::<Budget>().unwrap().multiply_adds(), 4.5);
/// assert!("soon".parse::<Budget>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Budget {
    text: String,
    seconds: f64,
}

impl Budget {
    /// Multiply-adds in units of 10^12.
    pub fn multiply_adds(&self) -> f64 {
        self.seconds * PER_SECOND
    }
}

impl FromStr for Budget {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let trimmed = text.trim();
        let (number, unit) = trimmed.split_at(trimmed.len() - usize::from(trimmed.ends_with(['s', 'm', 'h'])));
        let factor = match unit {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => 0.0,
        };
        let refuse = |what: &str| {
            Problem::new(what).expected("a time with its unit, such as 90s, 5m or 1h").found(text).at("--budget")
        };
        match number.trim().parse::<f64>() {
            Ok(number) if number.is_finite() && number >= 0.0 => match unit {
                // Nothing is nothing in any unit.
                "" if number > 0.0 => {
                    let hint = format!("{number}s for seconds, {number}m for minutes, {number}h for hours");
                    Err(Error::Usage(refuse("the budget has no unit").hint(hint)))
                }
                _ => Ok(Self { text: trimmed.to_owned(), seconds: number * factor }),
            },
            _ => Err(Error::Usage(refuse("the budget is no time"))),
        }
    }
}

impl TryFrom<String> for Budget {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Budget> for String {
    fn from(budget: Budget) -> String {
        budget.text
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Everything that depths are measured with.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// The base.
    pub base: &'a Base,
    /// The training pictures.
    pub shown: Shown<'a>,
    /// Their labels.
    pub labels: &'a [usize],
    /// Number of classes.
    pub classes: usize,
    /// The base's features of them.
    pub features: &'a Features,
    /// Strength of the probe's regularisation.
    pub strength: f64,
    /// Folds and seeds.
    pub protocol: Protocol<'a>,
    /// How to fine-tune.
    pub settings: &'a TuneSettings,
    /// How rates are spread.
    pub spread: Spread,
    /// Views of each picture.
    pub views: &'a Views,
    /// Where activations are kept.
    pub cache: Option<&'a Cache>,
    /// What is finished, and under which name.
    pub journal: (&'a Journal, &'a str),
    /// Hears of the work.
    pub observer: &'a dyn Observer,
}

/// A depth with its plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// What it is called.
    pub depth: DepthCut,
    /// What learns.
    pub plan: Plan,
}

impl Ground<'_> {
    /// The plan for a depth as it was asked for, or for one stage alone.
    pub fn planned(&self, name: &str, only: bool) -> Result<Planned> {
        let network = &self.base.staged()?.network;
        let costs = self.base.costs();
        let mut depth = cut_of(name, network, &costs)?;
        let learners = if only { Learners::Only(depth.cut) } else { Learners::From(depth.cut) };
        if only {
            depth.label = format!("only {name}");
        }
        Ok(Planned { plan: Plan::new(network, &costs, learners, &self.spread), depth })
    }

    /// Multiply-adds, in units of 10^12, of measuring a plan and of training the final model.
    pub fn cost(&self, plan: &Plan) -> f64 {
        let costs = self.base.costs();
        let part =
            |range: std::ops::Range<usize>| costs[range].iter().map(|cost| cost.multiply_adds).sum::<u64>() as f64;
        let cut = plan.cut();
        let n = self.labels.len();
        let Protocol { folds, count, seeds } = self.protocol;
        let trained: usize = (0..count).map(|fold| folds.iter().filter(|f| **f != fold).count()).sum();
        let epochs = self.settings.train.epochs as f64;
        let tail = part(cut..costs.len()) * STEP_COST * epochs * (trained * seeds + n) as f64;
        let prefix = if cut == 0 { 0.0 } else { part(0..cut) * (n * self.views.count) as f64 };
        (tail + prefix) / 1e12
    }

    /// The activations at a plan's cut.
    pub fn activations(&self, plan: &Plan) -> Result<Activations<'_>> {
        Activations::new(self.base, plan.cut(), self.shown, self.views.clone(), self.cache, self.observer)
    }

    /// What is fine-tuned to what.
    pub fn target<'t>(&'t self, plan: &'t Plan, activations: &'t Activations<'t>) -> Target<'t> {
        let Ground { base, features, strength, labels, classes, .. } = *self;
        Target { base, plan, activations, features, strength, labels, classes }
    }

    /// Measures one depth.
    pub fn measure(&self, planned: &Planned) -> Result<Measured> {
        let Planned { depth, plan } = planned;
        let activations = self.activations(plan)?;
        let cut = depth.cut.checked_sub(1).map(|stage| plan.stages[stage].name.clone()).unwrap_or_default();
        let target = self.target(plan, &activations);
        let measured = measure(target, &depth.label, cut, self.settings, self.protocol, self.journal, self.observer)?;
        Ok(Measured { cost: self.cost(plan), ..measured })
    }

    /// Tries the usual depths from the shallowest to the deepest after the probe, which is `tried` already.
    pub fn choose(&self, probe: Measured, budget: &Budget, hear: impl FnMut(&Measured, &Difference)) -> Result<Chosen> {
        let mut hear = hear;
        let mut tried = vec![probe];
        let mut plans = vec![None];
        let mut left_out = Vec::new();
        let (mut left, mut without_gain) = (budget.multiply_adds(), 0);
        for usual in usual_cuts(&self.base.costs()) {
            let planned = self.planned(&usual.label, false)?;
            let planned = Planned { depth: usual, ..planned };
            let cost = self.cost(&planned.plan);
            let label = planned.depth.label.clone();
            if without_gain >= PATIENCE {
                left_out.push(format!("`{label}` was not tried: the {PATIENCE} depths before it gained nothing"));
                continue;
            }
            if cost > left {
                left_out.push(format!(
                    "`{label}` was not tried: {cost:.1} x 10^12 multiply-adds, and {left:.1} are left of the budget of {budget}"
                ));
                continue;
            }
            let before = choose(&tried, None);
            let measured = match self.measure(&planned) {
                Ok(measured) => measured,
                Err(Error::Training(problem)) => {
                    left_out.push(format!("`{label}` could not be trained: {}", problem.what()));
                    continue;
                }
                Err(error) => return Err(error),
            };
            left -= cost;
            hear(&measured, &Difference::of(&measured.correct, &tried[0].correct));
            tried.push(measured);
            plans.push(Some(planned));
            without_gain = if choose(&tried, None) == before { without_gain + 1 } else { 0 };
        }
        let chosen = choose(&tried, None);
        Ok(Chosen { reason: reason(&tried, chosen, None), plan: plans.swap_remove(chosen), tried, chosen, left_out })
    }
}

/// The depth that was taken, and why.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// Every depth that was measured, the probe first.
    pub tried: Vec<Measured>,
    /// Which of them was taken.
    pub chosen: usize,
    /// Its plan; nothing for the probe.
    pub plan: Option<Planned>,
    /// Why.
    pub reason: String,
    /// Depths that were not measured, and why.
    pub left_out: Vec<String>,
}

/// Why a depth was chosen, in words; all were measured on the same examples. `presumed` is what [`choose`] was told.
pub(in crate::inductive) fn reason(tried: &[Measured], chosen: usize, presumed: Option<usize>) -> String {
    if tried.len() == 1 {
        return "no deeper depth was within the budget: the linear probe stands".into();
    }
    let points =
        |d: &Difference| format!("{:+.1} points ({:+.1} to {:+.1})", 100.0 * d.mean, 100.0 * d.low, 100.0 * d.high);
    let best = best_of(tried);
    let taken = &tried[chosen].depth;
    let mut text = match chosen {
        0 => "the linear probe, with every stage frozen, is kept".to_owned(),
        _ => {
            let gain = Difference::of(&tried[chosen].correct, &tried[0].correct);
            format!("`{taken}` is {} against the linear probe on the same examples", points(&gain))
        }
    };
    if best != chosen {
        let gain = Difference::of(&tried[best].correct, &tried[chosen].correct);
        let rule = match presumed == Some(chosen) {
            true => "of equals the one that few examples usually gain most from",
            false => "of equals the shallower",
        };
        text.push_str(&format!(
            "; `{}` is {} against it, within one standard error ({:.1}): {rule}",
            tried[best].depth,
            points(&gain),
            100.0 * gain.standard_error
        ));
    } else if chosen == 0 {
        text.push_str(": nothing deeper answered more examples rightly");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_times() {
        for (text, seconds) in
            [("5m", 300.0), ("90s", 90.0), ("1h", 3600.0), ("0", 0.0), ("2.5m", 150.0), (" 7 s ", 7.0)]
        {
            assert_eq!(text.parse::<Budget>().unwrap().seconds, seconds, "{text}");
        }
        for text in ["", "m", "-1s", "five", "1d", "inf", "NaN", "5", " 7 "] {
            assert!(text.parse::<Budget>().unwrap_err().to_string().contains("--budget"), "{text}");
        }
    }
}
