//! Heads for the target made of closed forms.

use super::calibration::{BiasedTemperature, log_probabilities};
use super::components::{BothDomains, ComponentOptions, Components, jda, tca};
use super::confusion::{Confusion, LabelShift, Votes};
use super::coral::coral;
use super::prior::prior_shift;
use super::transport::transport;
use super::{Alignment, Applied, Domains, Outcome, at_shares};
use crate::error::Result;
use crate::features::Features;
use crate::heads::{Linear, Options, cross_validate, fit};
use crate::similarity::importance::importance;
use crate::similarity::moments::Affine;

/// Components that are kept, and the papers' penalty.
const COMPONENTS: (usize, f64) = (30, 1.0);
/// Rounds of pseudo-labels (Long 2013, section 4).
const ROUNDS: usize = 5;
/// Classes whose shares a note tells.
const TOLD: usize = 6;

/// CORAL: the source's rows at the target's mean and covariance.
pub(super) struct Coral;
/// Linear optimal transport: the same, moved as little as possible.
pub(super) struct Transport;
/// Transfer component analysis.
pub(super) struct Tca;
/// Joint distribution adaptation.
pub(super) struct Jda;
/// Weights by the ratio of densities.
pub(super) struct Importance;
/// Other class shares, by expectation and maximisation.
pub(super) struct PriorShift;
/// Other class shares, by the source's confusion matrix.
pub(super) struct Bbse;
/// The same, regularised.
pub(super) struct Rlls;

fn applied(head: Linear, notes: Vec<String>) -> Result<Outcome> {
    Ok(Outcome::Applied(Applied::of_head(head, notes)))
}

/// The head on mapped rows of the source: for the target's rows as they are.
fn on_mapped(domains: &Domains<'_>, map: &Affine) -> Result<Outcome> {
    applied(domains.solve(&map.apply(domains.source)?, domains.labels, None)?, Vec::new())
}

impl Alignment for Coral {
    fn name(&self) -> &'static str {
        "coral"
    }

    fn adapt(&self, domains: &Domains<'_>) -> Result<Outcome> {
        on_mapped(domains, &coral(domains.source, domains.target)?)
    }
}

impl Alignment for Transport {
    fn name(&self) -> &'static str {
        "transport"
    }

    fn adapt(&self, domains: &Domains<'_>) -> Result<Outcome> {
        on_mapped(domains, &transport(domains.source, domains.target)?)
    }
}

/// The head for `x` of a head on the projection of both domains, and the strength of its regularisation: this one, or one that is
/// chosen there.
fn on_components(domains: &Domains<'_>, found: &Components, strength: Option<f64>) -> Result<(Linear, f64)> {
    let source: Features = found.map.apply(domains.source)?;
    let options = Options { class_weights: domains.weights.clone(), ..Options::default() };
    let Domains { labels, folds, classes, observer, .. } = *domains;
    let chosen = match strength {
        Some(strength) => strength,
        None => cross_validate(&source, labels, folds, classes, &options, &crate::progress::Silent)?.chosen_c,
    };
    let head = fit(&source, labels, classes, chosen, domains.weights, observer)?;
    Ok((before_map(&head, &found.map), chosen))
}

/// The head that gives for `x` what `head` gives for `(x - from) M + to`.
pub(super) fn before_map(head: &Linear, map: &Affine) -> Linear {
    let columns = map.from.len();
    let mut weights = vec![0.0; head.outputs * columns];
    let mut intercepts = head.intercepts.clone();
    for (output, of_head) in head.weights.chunks_exact(head.columns.max(1)).enumerate() {
        let row = &mut weights[output * columns..][..columns];
        for (column, weight) in row.iter_mut().enumerate() {
            *weight = of_head.iter().enumerate().map(|(at, w)| w * map.matrix[(column, at)]).sum();
        }
        let moved: f64 = of_head.iter().zip(&map.to).map(|(w, to)| w * to).sum();
        intercepts[output] += moved - row.iter().zip(&map.from).map(|(w, from)| w * from).sum::<f64>();
    }
    Linear { outputs: head.outputs, columns, weights, intercepts }
}

fn components<'a>(domains: &Domains<'a>) -> (BothDomains<'a>, ComponentOptions) {
    let Domains { source, labels, target, classes, seed, .. } = *domains;
    let options = ComponentOptions { components: COMPONENTS.0, penalty: COMPONENTS.1, seed };
    (BothDomains { source, labels, target, classes }, options)
}

impl Alignment for Tca {
    fn name(&self) -> &'static str {
        "tca"
    }

    fn adapt(&self, domains: &Domains<'_>) -> Result<Outcome> {
        let (both, options) = components(domains);
        applied(on_components(domains, &tca(&both, &options)?, None)?.0, Vec::new())
    }
}

impl Alignment for Jda {
    fn name(&self) -> &'static str {
        "jda"
    }

    fn adapt(&self, domains: &Domains<'_>) -> Result<Outcome> {
        let (both, options) = components(domains);
        let (mut head, strength) = on_components(domains, &tca(&both, &options)?, None)?;
        let mut answers = domains.classes_of(&domains.answers(&head));
        for _ in 0..ROUNDS {
            head = on_components(domains, &jda(&both, &answers, &options)?, Some(strength))?.0;
            let next = domains.classes_of(&domains.answers(&head));
            if next == answers {
                break;
            }
            answers = next;
        }
        applied(head, Vec::new())
    }
}

impl Alignment for Importance {
    fn name(&self) -> &'static str {
        "importance"
    }

    fn adapt(&self, domains: &Domains<'_>) -> Result<Outcome> {
        let found = importance(domains.source, domains.target, domains.seed, &crate::progress::Silent)?;
        let weights = match found.weights {
            Ok(weights) => weights,
            Err(why) => return Ok(Outcome::Refused(why)),
        };
        let note = format!("effective sample size {:.0} % of the source", 100.0 * found.effective);
        applied(domains.solve(domains.source, domains.labels, Some(&weights))?, vec![note])
    }
}

fn told(shares: &[f64]) -> Vec<String> {
    let told: Vec<String> = shares.iter().take(TOLD).map(|share| format!("{:.1} %", 100.0 * share)).collect();
    let more = if shares.len() > TOLD { ", ..." } else { "" };
    vec![format!("shares of the classes: {}{more}", told.join(", "))]
}

impl Alignment for PriorShift {
    fn name(&self) -> &'static str {
        "prior-shift"
    }

    /// With bias-corrected temperatures (Alexandari, Kundaje and Shrikumar, 2020), which the estimate needs.
    fn adapt(&self, domains: &Domains<'_>) -> Result<Outcome> {
        let prior = domains.source_shares();
        let narrow: Vec<f32> = domains.out_of_fold.iter().map(|&p| p as f32).collect();
        let calibrated = BiasedTemperature::fit(&log_probabilities(&narrow), domains.labels, domains.classes)?;
        // Logits z of the head become (z / T) / T' + b.
        let mut head = domains.head.clone();
        head.weights.iter_mut().for_each(|weight| *weight /= calibrated.temperature);
        for (intercept, bias) in head.intercepts.iter_mut().zip(&calibrated.biases) {
            *intercept = *intercept / calibrated.temperature + domains.temperature * bias;
        }
        let shares = match domains.shares {
            Some(shares) => shares.to_vec(),
            None => prior_shift(&domains.answers(&head), &prior)?.shares,
        };
        applied(at_shares(domains, head, &shares), told(&shares))
    }
}

fn confusion(domains: &Domains<'_>) -> Result<Confusion> {
    let target = domains.answers(domains.head);
    Confusion::of(domains.out_of_fold, domains.labels, &target, domains.classes, Votes::Soft)
}

/// The source's head, trained anew with each class at its weight.
fn at_weights(domains: &Domains<'_>, shift: &LabelShift) -> Result<Outcome> {
    // Solving takes weights above zero only.
    let weights: Vec<f64> = domains.labels.iter().map(|&label| shift.weights[label].max(1e-6)).collect();
    applied(domains.solve(domains.source, domains.labels, Some(&weights))?, told(&shift.shares))
}

impl Alignment for Bbse {
    fn name(&self) -> &'static str {
        "bbse"
    }

    fn adapt(&self, domains: &Domains<'_>) -> Result<Outcome> {
        match confusion(domains)?.bbse() {
            Ok(shift) => at_weights(domains, &shift),
            Err(why) => Ok(Outcome::Refused(why)),
        }
    }
}

impl Alignment for Rlls {
    fn name(&self) -> &'static str {
        "rlls"
    }

    fn adapt(&self, domains: &Domains<'_>) -> Result<Outcome> {
        at_weights(domains, &confusion(domains)?.rlls())
    }
}
