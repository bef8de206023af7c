//! Shares of the classes in the target, with what is not known of them.

use rand::RngExt;

use super::report::ClassShare;
use crate::error::Result;
use crate::methods::domain::Domains;
use crate::methods::domain::prior::prior_shift;
use crate::rng::rng;

/// Draws of the bootstrap.
const DRAWS: usize = 200;
/// Rows that it draws from, where there are more.
const ROWS: usize = 5000;
/// Quantiles of the interval.
const QUANTILES: (f64, f64) = (0.05, 0.95);

/// Estimates the target's shares from the source's model, with an interval by drawing the target's examples and the source's
/// anew.
pub(super) fn estimate(domains: &Domains<'_>, names: &[String]) -> Result<Vec<ClassShare>> {
    let classes = domains.classes;
    let probabilities = domains.answers(domains.head);
    let prior = domains.source_shares();
    let estimated = prior_shift(&probabilities, &prior)?.shares;
    let rows = domains.target.rows;
    let count = rows.min(ROWS);
    let mut drawn: Vec<Vec<f64>> = vec![Vec::with_capacity(DRAWS); classes];
    for draw in 0..DRAWS {
        domains.observer.check()?;
        let mut stream = rng(domains.seed, "shares", draw as u64);
        let mut again = Vec::with_capacity(count * classes);
        for _ in 0..count {
            let row = stream.random_range(0..rows);
            again.extend_from_slice(&probabilities[row * classes..][..classes]);
        }
        let shares = prior_shift(&again, &prior)?.shares;
        drawn.iter_mut().zip(shares).for_each(|(all, share)| all.push(share));
    }
    let end = |values: &mut Vec<f64>, quantile: f64| {
        values.sort_by(f64::total_cmp);
        values[((values.len() - 1) as f64 * quantile).round() as usize]
    };
    let share = |class: usize| ClassShare {
        class: names[class].clone(),
        source: prior[class],
        estimated: estimated[class],
        low: end(&mut drawn[class], QUANTILES.0),
        high: end(&mut drawn[class], QUANTILES.1),
    };
    Ok((0..classes).map(share).collect())
}

/// Whether the source's shares lie outside of the intervals.
pub(super) fn differ(shares: &[ClassShare]) -> bool {
    shares.iter().any(|share| !(share.low..=share.high).contains(&share.source))
}
