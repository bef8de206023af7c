//! How far apart source and target are, each number beside what equal domains would give.

use super::report::Distance;
use crate::error::Result;
use crate::methods::domain::Domains;
use crate::similarity::mmd::mmd;
use crate::similarity::two_sample::{EqualRows, two_sample};

/// Measures it.
pub(super) fn distance(domains: &Domains<'_>) -> Result<Distance> {
    let told_apart =
        two_sample(domains.source, domains.target, EqualRows::Independent, domains.seed, domains.observer)?;
    let discrepancy = mmd(domains.source, domains.target, domains.seed)?;
    Ok(Distance {
        accuracy: told_apart.accuracy,
        p: told_apart.p,
        floor: told_apart.floor,
        mmd2: discrepancy.statistic,
        mmd_p: discrepancy.p,
    })
}
