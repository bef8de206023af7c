//! Label shift by expectation maximisation.

use crate::error::{Error, Problem, Result};

/// Iterations of [`prior_shift`] at most.
const MOST_ITERATIONS: usize = 20_000;
/// Largest change of a share at which [`prior_shift`] stops.
const TOLERANCE: f64 = 1e-10;

/// Class shares of the target, and its probabilities under them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PriorShift {
    /// `[classes]`, of sum 1.
    pub(crate) shares: Vec<f64>,
    pub(crate) iterations: usize,
    /// Whether the last step changed no share by more than 1e-10.
    pub(crate) converged: bool,
    /// `p_ik q_k / pi_k`, normalised, `[rows, classes]`.
    pub(crate) probabilities: Vec<f64>,
}

/// The target's class shares by expectation maximisation (Saerens, Latinne and Decaestecker, 2002, "Adjusting the outputs
/// of a classifier to new a priori probabilities", Neural Computation 14): `q_k <- mean_i of p_ik q_k / pi_k`, each row
/// normalised, from `q = pi`. The log-likelihood is concave in `q`: every maximum is global.
///
/// `probabilities` are the classifier's of the target, `[rows, classes]`, calibrated for the source, whose class shares
/// `pi` are `source_shares` (best its mean calibrated probabilities out of fold: without a shift `q` is then `pi`). A
/// class with a source share of 0 keeps 0.
///
/// # Errors
/// [`Error::Data`] for numbers that are not probabilities, and for a row without probability on any class of the source.
pub(crate) fn prior_shift(probabilities: &[f64], source_shares: &[f64]) -> Result<PriorShift> {
    let classes = source_shares.len();
    check_probabilities(probabilities, classes)?;
    check_probabilities(source_shares, classes)?;
    let rows = probabilities.len() / classes;
    let mut shares = source_shares.to_vec();
    let mut adjusted = vec![0.0; probabilities.len()];
    let (mut iterations, mut converged) = (0, false);
    while iterations < MOST_ITERATIONS && !converged {
        adjust(probabilities, source_shares, &shares, &mut adjusted)?;
        let mut next = vec![0.0; classes];
        for row in adjusted.chunks_exact(classes) {
            next.iter_mut().zip(row).for_each(|(sum, p)| *sum += p);
        }
        next.iter_mut().for_each(|sum| *sum /= rows as f64);
        let change = next.iter().zip(&shares).fold(0.0f64, |most, (a, b)| most.max((a - b).abs()));
        converged = change <= TOLERANCE;
        shares = next;
        iterations += 1;
    }
    adjust(probabilities, source_shares, &shares, &mut adjusted)?;
    Ok(PriorShift { shares, iterations, converged, probabilities: adjusted })
}

/// `p_ik q_k / pi_k`, each row normalised.
fn adjust(probabilities: &[f64], source: &[f64], target: &[f64], out: &mut [f64]) -> Result<()> {
    let classes = source.len();
    let ratio = |(&target, &source): (&f64, &f64)| if source > 0.0 { target / source } else { 0.0 };
    let ratios: Vec<f64> = target.iter().zip(source).map(ratio).collect();
    for (at, (row, out)) in probabilities.chunks_exact(classes).zip(out.chunks_exact_mut(classes)).enumerate() {
        out.iter_mut().zip(row.iter().zip(&ratios)).for_each(|(out, (p, ratio))| *out = p * ratio);
        let sum: f64 = out.iter().sum();
        if sum <= 0.0 {
            return Err(Error::Data(
                Problem::new("a target example has no probability on any class of the source")
                    .found(format!("row {at} (counted from 0)"))
                    .hint("give every class that the classifier knows a share of the source"),
            ));
        }
        out.iter_mut().for_each(|p| *p /= sum);
    }
    Ok(())
}

/// Refuses a table that is not of probabilities, `[rows, classes]`, or has no row.
pub(super) fn check_probabilities(probabilities: &[f64], classes: usize) -> Result<()> {
    let fits =
        |row: &[f64]| row.iter().all(|p| (0.0..=1.0).contains(p)) && (row.iter().sum::<f64>() - 1.0).abs() < 1e-3;
    if classes > 0
        && !probabilities.is_empty()
        && probabilities.len().is_multiple_of(classes)
        && probabilities.chunks_exact(classes).all(fits)
    {
        return Ok(());
    }
    Err(Error::Data(
        Problem::new("the probabilities of the classes are not probabilities")
            .expected(format!("rows of {classes} numbers from 0 to 1 that sum to 1, at least one row"))
            .found(format!("{} numbers", probabilities.len())),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `p(x | k)` of five values of x and three classes.
    const GIVEN: [[f64; 3]; 5] =
        [[0.6, 0.1, 0.1], [0.2, 0.2, 0.1], [0.1, 0.4, 0.2], [0.05, 0.2, 0.2], [0.05, 0.1, 0.4]];

    #[test]
    fn shares_of_an_exact_mixture_are_found() {
        let (source, target) = ([0.5, 0.3, 0.2], [0.125, 0.25, 0.625]);
        let mut rows = Vec::new();
        for given in GIVEN {
            let joint: Vec<f64> = given.iter().zip(&source).map(|(p, share)| p * share).collect();
            let sum: f64 = joint.iter().sum();
            let count = 8000.0 * given.iter().zip(&target).map(|(p, share)| p * share).sum::<f64>();
            assert!((count - count.round()).abs() < 1e-6);
            for _ in 0..count.round() as usize {
                rows.extend(joint.iter().map(|p| p / sum));
            }
        }
        let found = prior_shift(&rows, &source).unwrap();
        assert!(found.converged && found.iterations > 5);
        for (a, b) in found.shares.iter().zip(&target) {
            assert!((a - b).abs() < 1e-7, "{:?}", found.shares);
        }
        // The corrected probabilities are Bayes' rule with the new shares.
        let joint: Vec<f64> = GIVEN[0].iter().zip(&target).map(|(p, share)| p * share).collect();
        let sum: f64 = joint.iter().sum();
        assert!((found.probabilities[0] - joint[0] / sum).abs() < 1e-6);
    }

    #[test]
    fn a_class_without_a_source_share_keeps_none() {
        let found = prior_shift(&[0.5, 0.3, 0.2, 0.1, 0.8, 0.1], &[0.4, 0.6, 0.0]).unwrap();
        assert_eq!(found.shares[2], 0.0);
        assert!(prior_shift(&[0.0, 0.0, 1.0], &[0.4, 0.6, 0.0]).is_err());
        assert!(prior_shift(&[0.5, 0.6], &[0.5, 0.5]).is_err());
        assert!(prior_shift(&[0.5, 0.5, 1.0], &[0.5, 0.5]).is_err());
        assert!(prior_shift(&[], &[0.5, 0.5]).is_err() && prior_shift(&[], &[]).is_err());
    }
}
