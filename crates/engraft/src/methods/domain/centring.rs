//! Share-aware centring: each domain's features without its mean, the source's mean being taken at the target's class shares.
//!
//! Under generalised label shift (Tachet des Combes, Zhao, Wang and Gordon, 2020, "Domain adaptation with conditional distribution
//! matching and generalized label shift") the means of two domains differ because something moved, and because classes are
//! more or less frequent. Only the first is to be taken out: x_s - sum_c q_c mu_c and x_t - mu_t, with q the target's shares. Taking
//! out both ruins what differs in its shares (heart patients of two hospitals: 78.6 % -> 46.3 %).

use super::prior::prior_shift;
use super::{Alignment, Applied, Domains, Outcome, at_shares, before_shift};
use crate::error::Result;
use crate::similarity::moments::{class_means, mean};

/// Rounds of estimating shares and centring anew.
const ROUNDS: usize = 3;

/// Share-aware centring.
pub(crate) struct Centring;

impl Centring {
    /// What is taken from the target's rows, to lie where the source's do: mu_t - sum_c q_c mu_c, with the shares q that are known,
    /// or with those that are estimated on the way.
    ///
    /// The source's head need not be solved again: the intercepts, which are not penalised, take up a shift of all rows, so that
    /// the head on x_s - m for x_t - mu_t is the source's head for x_t - (mu_t - m).
    pub(crate) fn centre(domains: &Domains<'_>) -> Result<Vec<f64>> {
        let target = mean(domains.target);
        let prior = domains.source_shares();
        let shift = |shares: &[f64]| -> Result<Vec<f64>> {
            let source = source_mean(domains, shares, &prior)?;
            Ok(target.iter().zip(source).map(|(target, source)| target - source).collect())
        };
        if let Some(shares) = domains.shares {
            return shift(shares);
        }
        let mut shares = prior_shift(&domains.answers(domains.head), &prior)?.shares;
        for _ in 1..ROUNDS {
            let head = before_shift(domains.head.clone(), &shift(&shares)?);
            shares = prior_shift(&domains.answers(&head), &prior)?.shares;
        }
        shift(&shares)
    }
}

impl Alignment for Centring {
    fn name(&self) -> &'static str {
        "centring"
    }

    fn adapt(&self, domains: &Domains<'_>) -> Result<Outcome> {
        let moved = before_shift(domains.head.clone(), &Self::centre(domains)?);
        let head = domains.shares.map_or_else(|| moved.clone(), |shares| at_shares(domains, moved.clone(), shares));
        Ok(Outcome::Applied(Applied::of_head(head, Vec::new())))
    }
}

/// The source's mean, were its classes as frequent as `shares` say; at its own shares the plain mean, to the bit.
fn source_mean(domains: &Domains<'_>, shares: &[f64], prior: &[f64]) -> Result<Vec<f64>> {
    if shares == prior {
        return Ok(mean(domains.source));
    }
    let mut at_shares = vec![0.0; domains.source.columns];
    // What the source does not have says nothing of its mean.
    let present: f64 = shares.iter().zip(prior).filter(|(_, prior)| **prior > 0.0).map(|(share, _)| share).sum();
    let means = class_means(domains.source, domains.labels, domains.classes)?;
    for (share, mean) in shares.iter().zip(means) {
        for (sum, mean) in at_shares.iter_mut().zip(mean.iter().flatten()) {
            *sum += share / present * mean;
        }
    }
    Ok(at_shares)
}
