//! Transferability from the answers of a base's own classifier: NCE and LEEP.

use crate::error::{Error, Problem, Result};

/// Largest difference of a row's sum of probabilities from 1.
const TOLERANCE: f64 = 1e-3;

/// The negative conditional entropy `-H(Y | Z)` of the classes given a base's likeliest classes, in nats, from `-ln classes` to 0
/// (Tran, Nguyen and Hassner, 2019, "Transferability and hardness of supervised classification tasks", ICCV, equation 6).
///
/// `source` is the base's class of each row, `[rows]`; `labels` the row's class, `[rows]`.
///
/// # Errors
/// [`Error::Data`] for no row, or classes that do not belong together.
pub(crate) fn nce(source: &[usize], labels: &[usize], classes: usize) -> Result<f64> {
    check(source.len(), labels, classes)?;
    let most = source.iter().max().map_or(0, |most| most + 1);
    // Only the base's classes that occur: it may have thousands.
    let mut place = vec![usize::MAX; most];
    let mut counts: Vec<Vec<f64>> = Vec::new();
    for (&from, &label) in source.iter().zip(labels) {
        if place[from] == usize::MAX {
            place[from] = counts.len();
            counts.push(vec![0.0; classes]);
        }
        counts[place[from]][label] += 1.0;
    }
    let n = labels.len() as f64;
    let entropy = |counts: &Vec<f64>| {
        let all: f64 = counts.iter().sum();
        counts.iter().filter(|&&count| count > 0.0).map(|count| count / n * (count / all).ln()).sum::<f64>()
    };
    Ok(counts.iter().map(entropy).sum())
}

/// The log expected empirical prediction, in nats for each row, at most 0 (Nguyen, Hassner, Seeger and Archambeau, 2020, "LEEP: a
/// new measure to evaluate transferability of learned representations", ICML, equation 2): the mean of
/// `ln sum_z P(y_i | z) p_iz` for the joint distribution `P(y, z)` of labels and the base's probabilities.
///
/// `probabilities` are those of the base's classifier, `[rows, source classes]`. A class of it whose probability is 0 in all
/// rows has no conditional distribution, and no part in the sum.
///
/// # Errors
/// [`Error::Data`] for no row, labels that do not belong to the rows, or rows that are not distributions.
pub(crate) fn leep(probabilities: &[f32], source_classes: usize, labels: &[usize], classes: usize) -> Result<f64> {
    check(probabilities.len() / source_classes.max(1), labels, classes)?;
    let rows = || probabilities.chunks_exact(source_classes.max(1));
    let is_distribution = |row: &[f32]| {
        let sum: f64 = row.iter().map(|&p| f64::from(p)).sum();
        row.iter().all(|&p| p >= 0.0) && (sum - 1.0).abs() <= TOLERANCE
    };
    let wrong = rows().position(|row| !is_distribution(row));
    if wrong.is_some() || probabilities.len() != labels.len() * source_classes {
        return Err(Error::Data(
            Problem::new("a base's answers are not probabilities")
                .expected(format!("{source_classes} numbers from 0 to 1 for each row, with a sum of 1"))
                .found(match wrong {
                    Some(row) => format!("another sum or a negative number in row {row} (counted from 0)"),
                    None => format!("{} numbers for {} rows", probabilities.len(), labels.len()),
                }),
        ));
    }
    // Sums for each class and class of the base, `[classes, source classes]`, and for the latter alone.
    let (mut joint, mut marginal) = (vec![0.0f64; classes * source_classes], vec![0.0f64; source_classes]);
    for (row, &label) in rows().zip(labels) {
        let of_label = &mut joint[label * source_classes..(label + 1) * source_classes];
        for ((p, joint), marginal) in row.iter().zip(of_label).zip(&mut marginal) {
            *joint += f64::from(*p);
            *marginal += f64::from(*p);
        }
    }
    let expected = |(row, &label): (&[f32], &usize)| {
        let of_label = &joint[label * source_classes..(label + 1) * source_classes];
        let terms = row.iter().zip(of_label).zip(&marginal).filter(|(_, marginal)| **marginal > 0.0);
        let sum: f64 = terms.map(|((&p, joint), marginal)| f64::from(p) * (joint / marginal)).sum();
        // A row's own probabilities are among those of its label: the sum is above 0 but for rounding.
        sum.clamp(f64::MIN_POSITIVE, 1.0).ln()
    };
    Ok(rows().zip(labels).map(expected).sum::<f64>() / labels.len() as f64)
}

fn check(rows: usize, labels: &[usize], classes: usize) -> Result<()> {
    if rows == labels.len() && rows > 0 && labels.iter().all(|&label| label < classes) {
        return Ok(());
    }
    Err(Error::Data(
        Problem::new("a base's answers and labels do not belong together")
            .expected(format!("a class from 0 to {} for each of {rows} rows, at least one", classes.saturating_sub(1)))
            .found(format!("{} labels, the largest {:?}", labels.len(), labels.iter().max())),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropies_by_hand() {
        assert_eq!(nce(&[5, 5, 900, 900], &[0, 0, 1, 1], 2).unwrap(), 0.0);
        let half = nce(&[7, 7, 7, 7], &[0, 0, 1, 1], 3).unwrap();
        assert!((half + 2f64.ln()).abs() < 1e-15);
        assert!(nce(&[], &[], 2).is_err() && nce(&[1], &[2], 2).is_err() && nce(&[1, 2], &[0], 2).is_err());
    }

    #[test]
    fn a_class_that_underflows_everywhere_has_no_part() {
        let sure = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0];
        assert_eq!(leep(&sure, 3, &[0, 1], 2).unwrap(), 0.0);
        let nothing = leep(&[0.5, 0.5, 0.0, 0.5, 0.5, 0.0], 3, &[0, 1], 2).unwrap();
        assert!((nothing + 2f64.ln()).abs() < 1e-12);
        // The likeliest class of one row is all but impossible in the others.
        let tiny = leep(&[1.0, 1e-45, 1e-45, 1.0], 2, &[0, 1], 2).unwrap();
        assert!(tiny.is_finite() && tiny > -1e-6);
        for wrong in [[0.5, 0.6], [f32::NAN, 1.0], [-0.5, 1.5], [0.0, 0.0]] {
            assert!(leep(&wrong, 2, &[0], 1).is_err());
        }
        assert!(leep(&[1.0; 3], 2, &[0], 1).is_err() && leep(&[], 0, &[0], 1).is_err());
    }
}
