//! Share-aware centring: each domain's features without its mean, the source's mean being taken at the target's class shares.
//!
//! Under generalised label shift (Tachet des Combes, Zhao, Wang and Gordon, 2020, "Domain adaptation with conditional distribution
//! matching and generalized label shift") the means of two domains differ because something moved, and because classes are
//! more or less frequent. Only the first is to be taken out: x_s - sum_c q_c mu_c and x_t - mu_t, with q the target's shares. Taking
//! out both ruins what differs in its shares (heart patients of two hospitals: 78.6 % -> 46.3 %).

use super::{Alignment, Applied, Domains, Outcome, before_shift, mean_of};
use crate::error::Result;

/// Rounds of estimating shares and centring anew.
const ROUNDS: usize = 3;
/// Steps of the estimate of shares, and the change at which it has converged.
const STEPS: usize = 1000;
const CONVERGED: f64 = 1e-8;

/// Share-aware centring.
pub(crate) struct Centring;

/// What centring comes to.
pub(crate) struct Centred {
    /// What is taken from the target's rows, to lie where the source's do: mu_t - sum_c q_c mu_c.
    pub(crate) shift: Vec<f64>,
    /// The target's shares that it was made with.
    pub(crate) shares: Vec<f64>,
}

impl Centring {
    /// Centres with the shares that are known, or with those that are estimated on the way.
    ///
    /// The source's head need not be solved again: the intercepts, which are not penalised, take up a shift of all rows, so that
    /// the head on x_s - m for x_t - mu_t is the source's head for x_t - (mu_t - m).
    pub(crate) fn centre(domains: &Domains<'_>) -> Centred {
        let target = mean_of(domains.target, None);
        let prior = domains.source_shares();
        let shift = |shares: &[f64]| -> Vec<f64> {
            let source = source_mean(domains, shares, &prior);
            target.iter().zip(source).map(|(target, source)| target - source).collect()
        };
        if let Some(shares) = domains.shares {
            return Centred { shift: shift(shares), shares: shares.to_vec() };
        }
        let mut shares = estimated_shares(&domains.answers(domains.head), &prior);
        for _ in 1..ROUNDS {
            let head = before_shift(domains.head.clone(), &shift(&shares));
            shares = estimated_shares(&domains.answers(&head), &prior);
        }
        Centred { shift: shift(&shares), shares }
    }
}

impl Alignment for Centring {
    fn name(&self) -> &'static str {
        "centring"
    }

    fn adapt(&self, domains: &Domains<'_>) -> Result<Outcome> {
        let Centred { shift, .. } = Self::centre(domains);
        Ok(Outcome::Applied(Applied { head: before_shift(domains.head.clone(), &shift), notes: Vec::new() }))
    }
}

/// The source's mean, were its classes as frequent as `shares` say; at its own shares the plain mean, to the bit.
fn source_mean(domains: &Domains<'_>, shares: &[f64], prior: &[f64]) -> Vec<f64> {
    if shares == prior {
        return mean_of(domains.source, None);
    }
    let weight = |&label: &usize| shares[label] / prior[label];
    mean_of(domains.source, Some(&domains.labels.iter().map(weight).collect::<Vec<f64>>()))
}

/// Shares of the classes among examples with these probabilities `[examples, classes]`, which a model gives that has seen the
/// classes at the shares `prior`: the likeliest ones, by expectation and maximisation (Saerens, Latinne and Decaestecker,
/// 2002, "Adjusting the outputs of a classifier to new a priori probabilities").
pub(crate) fn estimated_shares(probabilities: &[f64], prior: &[f64]) -> Vec<f64> {
    let classes = prior.len();
    let rows = (probabilities.len() / classes.max(1)).max(1) as f64;
    let mut shares = prior.to_vec();
    for _ in 0..STEPS {
        let mut next = vec![0.0; classes];
        for row in probabilities.chunks_exact(classes) {
            let joint = |k: usize| if prior[k] > 0.0 { row[k] * shares[k] / prior[k] } else { 0.0 };
            let total: f64 = (0..classes).map(joint).sum();
            for (k, next) in next.iter_mut().enumerate() {
                *next += joint(k) / total.max(f64::MIN_POSITIVE) / rows;
            }
        }
        let change = next.iter().zip(&shares).map(|(next, before)| (next - before).abs()).fold(0.0, f64::max);
        shares = next;
        if change < CONVERGED {
            break;
        }
    }
    shares
}
