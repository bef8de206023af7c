//! The H-score: how much of the features' variance lies between classes.

use faer::Mat;

use super::moments::{class_means, ledoit_wolf};
use super::symmetric::{cholesky, solve};
use crate::error::Result;
use crate::features::Features;

/// The shrunk H-score (Bao, Li, Huang, Zhang, Zheng, Zamir and Guibas, 2019, "An information-theoretic approach to
/// transferability in task transfer learning", ICIP, definition 2; Ibrahim, Ponomareva and Mazumder, 2022, "Newer is not
/// always better: rethinking transferability metrics, their peculiarities, stability and performance", ECML PKDD, section 4):
/// `tr(S_w^-1 (1 - w) B)` for the covariance `B` of the rows' class means and the Ledoit-Wolf covariance `S_w` of shrinkage `w`.
///
/// From 0 (equal class means) to the number of classes less one. The inverse that the first paper asks for does not exist for
/// fewer rows than columns. Time and memory: the columns cubed and squared.
///
/// # Errors
/// [`crate::error::Error::Data`] for fewer than two rows, no column, numbers that are not finite, or labels that are not classes.
pub(crate) fn h_score(features: &Features, labels: &[usize], classes: usize) -> Result<f64> {
    let shrunk = ledoit_wolf(features)?;
    let means = class_means(features, labels, classes)?;
    let mut counts = vec![0.0f64; classes];
    labels.iter().for_each(|&label| counts[label] += 1.0);
    let present: Vec<(&Vec<f64>, f64)> = means
        .iter()
        .zip(&counts)
        .filter_map(|(mean, count)| Some((mean.as_ref()?, count / labels.len() as f64)))
        .collect();
    let off = Mat::from_fn(features.columns, present.len(), |at, class| present[class].0[at] - shrunk.mean[at]);
    // Columns that do not vary say nothing, and have no inverse.
    let mean_variance = shrunk.covariance.diagonal().column_vector().iter().sum::<f64>() / features.columns as f64;
    if mean_variance == 0.0 {
        return Ok(0.0);
    }
    let mut covariance = shrunk.covariance;
    let least = f64::EPSILON * mean_variance;
    covariance.diagonal_mut().column_vector_mut().iter_mut().for_each(|x| *x = x.max(least));
    let mut solved = off.clone();
    solve(&cholesky(&covariance)?, &mut solved);
    let of_class = |class: usize| off.col(class).iter().zip(solved.col(class).iter()).map(|(a, b)| a * b).sum::<f64>();
    let between: f64 = present.iter().enumerate().map(|(class, (_, share))| share * of_class(class)).sum();
    Ok(((1.0 - shrunk.shrinkage) * between).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::super::moments::tests::normal;
    use super::*;

    #[test]
    fn classes_apart_score_more_and_constant_features_nothing() {
        for (rows, columns) in [(90, 6), (60, 100)] {
            let mut features = normal(1, rows, columns, 0.0);
            let labels: Vec<usize> = (0..rows).map(|row| row % 3).collect();
            let together = h_score(&features, &labels, 4).unwrap();
            features.values.iter_mut().enumerate().for_each(|(at, x)| {
                let (row, column) = (at / columns, at % columns);
                *x += if column % 3 == row % 3 { 3.0 } else { 0.0 };
            });
            let apart = h_score(&features, &labels, 4).unwrap();
            assert!(apart > 2.0 * together && apart < 2.0, "{together} {apart}");
        }
        let labels = [0, 1, 0, 1];
        assert_eq!(h_score(&Features::new(4, 2, vec![3.0; 8]).unwrap(), &labels, 2).unwrap(), 0.0);
        // A column that does not vary, with another that does.
        let one = Features::new(4, 1, vec![0.0, 1.0, 0.0, 1.0]).unwrap();
        let score = h_score(&one, &labels, 2).unwrap();
        assert!((score - 1.0).abs() < 1e-12, "{score}");
        assert!(h_score(&one, &[0, 1, 2, 0], 2).is_err() && h_score(&one, &[0, 1], 2).is_err());
    }
}
