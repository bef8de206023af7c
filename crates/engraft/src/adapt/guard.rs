//! Whether an adapted model answers: where independent methods agree, or where the user says what cannot be known without labels.

use super::known_shares::KnownShares;
use super::report::Checked;
use super::{AUTO, SOURCE_ONLY};
use crate::error::{Error, Problem, Result};
use crate::heads::Linear;
use crate::methods::domain::{Domains, Outcome};

/// Methods whose agreement decides.
pub(super) const NEEDED: [&str; 2] = [CENTRING, SELF_TRAINING];
const CENTRING: &str = "centring";
const SELF_TRAINING: &str = "self-training";
/// Share of the target on which they must agree.
const AGREEMENT: f64 = 0.85;

/// A model that may answer.
pub(super) struct Candidate {
    pub(super) name: &'static str,
    /// Why it cannot answer.
    pub(super) refused: Option<String>,
    pub(super) head: Linear,
    /// Of the target's examples, `[examples, classes]`.
    pub(super) probabilities: Vec<f64>,
    /// The likeliest class of each.
    pub(super) answers: Vec<usize>,
    pub(super) notes: Vec<String>,
}

/// What was asked for.
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    pub(super) known: &'a KnownShares,
}

/// Which candidate answers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decision {
    /// Its place among the candidates; 0 is the source's model.
    pub(super) taken: usize,
    /// The best adapted candidate, answering or not.
    pub(super) runner_up: Option<usize>,
    pub(super) reason: String,
}

impl Candidate {
    pub(super) fn of(domains: &Domains<'_>, name: &'static str, outcome: Outcome) -> Self {
        let (head, refused, notes) = match outcome {
            Outcome::Applied(applied) => (applied.head, None, applied.notes),
            Outcome::Refused(why) => (domains.head.clone(), Some(why), Vec::new()),
        };
        let probabilities = domains.answers(&head);
        let answers = domains.classes_of(&probabilities);
        Self { name, refused, head, probabilities, answers, notes }
    }

    /// Share of the examples that it answers in the same way.
    pub(super) fn agreement(&self, answers: &[usize]) -> f64 {
        let alike = self.answers.iter().zip(answers).filter(|(a, b)| a == b).count();
        alike as f64 / answers.len().max(1) as f64
    }

    /// Shares of the classes among its answers.
    pub(super) fn answered(&self, classes: usize) -> Vec<f64> {
        let mut shares = vec![0.0; classes];
        self.answers.iter().for_each(|&class| shares[class] += 1.0 / self.answers.len() as f64);
        shares
    }
}

/// Decides, without a label of the target.
pub(super) fn decide(asked: &Asked<'_>, candidates: &[Candidate]) -> Result<Decision> {
    let find = |name: &str| candidates.iter().position(|candidate| candidate.name == name && candidate.refused.is_none());
    let best = find(SELF_TRAINING);
    match asked.method {
        SOURCE_ONLY => {
            let reason = "the source's model was asked for".into();
            return Ok(Decision { taken: 0, runner_up: best, reason });
        }
        AUTO => {}
        name => {
            let named = candidates.iter().position(|candidate| candidate.name == name).unwrap_or(0);
            if let Some(why) = &candidates[named].refused {
                let problem = Problem::new(format_args!("the method `{name}` does not apply here")).found(why);
                return Err(Error::Data(problem.at("--method").hint("--method auto takes what applies, or nothing")));
            }
            let reason = format!("`{name}` was asked for: no other method had a say");
            return Ok(Decision { taken: named, runner_up: Some(named), reason });
        }
    }
    let (Some(centring), Some(best)) = (find(CENTRING), best) else {
        let reason = "the methods whose agreement decides do not apply".into();
        return Ok(Decision { taken: 0, runner_up: best, reason });
    };
    let agreement = candidates[best].agreement(&candidates[centring].answers);
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let (taken, reason) = match asked.known {
        KnownShares::Same | KnownShares::Given(_) => {
            (best, "the shares of the classes in the target are known, so that the domains can be aligned".into())
        }
        KnownShares::Estimate => (best, "the estimated shares of the classes are to be trusted".into()),
        KnownShares::Nothing if agreement >= AGREEMENT => {
            let (agreed, least) = (percent(agreement), percent(AGREEMENT));
            (best, format!("self-training and centring agree on {agreed} of the target (at least {least} are asked for)"))
        }
        KnownShares::Nothing => {
            let (agreed, least) = (percent(agreement), percent(AGREEMENT));
            let reason = format!(
                "self-training and centring agree on {agreed} of the target only (at least {least} are asked for): which of \
                 them is right cannot be known without labels"
            );
            (0, reason)
        }
    };
    Ok(Decision { taken, runner_up: Some(best), reason })
}

impl Decision {
    /// The decision after a check, which overrules agreement where it is decided.
    pub(super) fn after_check(self, taken: Option<bool>, checked: Option<&Checked>, candidates: &[Candidate]) -> Self {
        let Some((taken, checked)) = taken.zip(checked) else { return self };
        let runner_up = self.runner_up;
        let taken = if taken { runner_up.unwrap_or(0) } else { 0 };
        let reason = format!("labels of a check decide for {}: {}", candidates[taken].name, checked.verdict);
        Self { taken, runner_up, reason }
    }
}
