//! Whether an adapted model answers: where independent methods agree, or where the user says what cannot be known without labels.

use super::known_shares::KnownShares;
use super::report::Checked;
use super::{ALL, AUTO, SOURCE_ONLY};
use crate::error::{Error, Problem, Result};
use crate::heads::Linear;
use crate::methods::domain::{Applied, ChangedBase, Domains, Outcome};

/// Methods whose agreement decides.
pub(super) const NEEDED: [&str; 3] = [SELF_TRAINING, ALIGNED, CENTRING];
pub(super) const SELF_TRAINING: &str = "self-training";
const ALIGNED: &str = "aligned-self-training";
const CENTRING: &str = "centring";
/// Skill of the source's model out of fold (1 - log-loss / entropy of the classes) below which nothing learns from its answers.
const SKILL: f64 = 0.5;
/// Share of the target on which self-training must answer as the source's model does.
const AGREEMENT: f64 = 0.9;
/// Or else as self-training does that takes the classes for as frequent as in the source.
const ALIGNED_AGREEMENT: f64 = 0.95;
/// Examples of either domain: of fewer the answers that self-training learns from are too much a matter of chance.
const ROWS: usize = 250;

/// A model that may answer.
pub(super) struct Candidate {
    pub(super) name: &'static str,
    /// Why it cannot answer.
    pub(super) refused: Option<String>,
    pub(super) head: Linear,
    /// The base that the head belongs to, where it is another than the source's.
    pub(super) base: Option<ChangedBase>,
    /// Of the target's examples, `[examples, classes]`.
    pub(super) probabilities: Vec<f64>,
    /// The likeliest class of each.
    pub(super) answers: Vec<usize>,
    pub(super) notes: Vec<String>,
    /// Wall seconds that it took.
    pub(super) seconds: f64,
}

/// What was asked for.
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    pub(super) known: &'a KnownShares,
    /// Skill of the source's model.
    pub(super) skill: f64,
    /// Examples of the smaller domain.
    pub(super) rows: usize,
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
        let (applied, refused) = match outcome {
            Outcome::Applied(applied) => (applied, None),
            Outcome::Refused(why) => (Applied::of_head(domains.head.clone(), Vec::new()), Some(why)),
        };
        let Applied { head, base, notes } = applied;
        let features = base.as_ref().map_or(domains.target, |base| &base.features);
        let probabilities = domains.answers_to(features, &head);
        let answers = domains.classes_of(&probabilities);
        Self { name, refused, head, base, probabilities, answers, notes, seconds: 0.0 }
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

/// Whether the source's model has skill and there are examples enough to learn from its answers.
pub(super) fn is_able(skill: f64, rows: usize) -> bool {
    skill >= SKILL && rows >= ROWS
}

/// Decides, without a label of the target.
pub(super) fn decide(asked: &Asked<'_>, candidates: &[Candidate]) -> Result<Decision> {
    let find =
        |name: &str| candidates.iter().position(|candidate| candidate.name == name && candidate.refused.is_none());
    let best = find(SELF_TRAINING);
    match asked.method {
        SOURCE_ONLY => {
            let reason = "the source's model was asked for".into();
            return Ok(Decision { taken: 0, runner_up: best, reason });
        }
        AUTO | ALL => {}
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
    let (Some(trained), Some(aligned), Some(centred)) = (best, find(ALIGNED), find(CENTRING)) else {
        let reason = "the methods whose agreement decides do not apply".into();
        return Ok(Decision { taken: 0, runner_up: best, reason });
    };
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let able = is_able(asked.skill, asked.rows);
    let little = match asked.rows < ROWS {
        true => format!("one of the domains has {} examples (at least {ROWS} are asked for)", asked.rows),
        false => {
            let (skill, least) = (percent(asked.skill.max(0.0)), percent(SKILL));
            format!("the source's model explains {skill} of its own classes (at least {least} are asked for)")
        }
    };
    if let KnownShares::Same | KnownShares::Given(_) | KnownShares::Estimate = asked.known {
        let told = match asked.known {
            KnownShares::Estimate => "the estimated shares of the classes are to be trusted",
            _ => "the shares of the classes in the target are known",
        };
        let (taken, how) = match able {
            true => {
                (trained, "so that the domains can be aligned, and the head learns from its own answers".to_owned())
            }
            false => (
                centred,
                format!("so that the domains can be aligned; {little}: too little to learn from the model's answers"),
            ),
        };
        return Ok(Decision { taken, runner_up: Some(taken), reason: format!("{told}, {how}") });
    }
    let with_source = candidates[trained].agreement(&candidates[0].answers);
    let with_aligned = candidates[trained].agreement(&candidates[aligned].answers);
    let (taken, reason) = match () {
        () if !able => (0, format!("{little}: its answers to the target teach nothing that can be relied on")),
        () if with_source >= AGREEMENT => {
            let least = percent(AGREEMENT);
            (
                trained,
                format!(
                    "self-training and the source's model agree on {} (at least {least} are asked for)",
                    percent(with_source)
                ),
            )
        }
        () if with_aligned >= ALIGNED_AGREEMENT => {
            let least = percent(ALIGNED_AGREEMENT);
            let agreed = percent(with_aligned);
            (
                trained,
                format!(
                    "self-training agrees on {agreed} with itself on aligned domains (at least {least} are asked for)"
                ),
            )
        }
        () => {
            let [source, aligned] = [with_source, with_aligned].map(percent);
            let reason = format!(
                "self-training agrees with the source's model on {source} of the target only, and on {aligned} with itself on aligned \
                 domains: which of them is right cannot be known without labels (--check N asks for a few, --shares tells what you know)"
            );
            (0, reason)
        }
    };
    Ok(Decision { taken, runner_up: Some(trained), reason })
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
