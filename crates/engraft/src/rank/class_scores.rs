//! Scores of features for classes: H-score, PARC, NCE and LEEP. Larger is better of all of them.

use rayon::prelude::*;

use super::table::Table;
use crate::error::Result;
use crate::features::Features;
use crate::heads::axes::eigen;
use crate::metrics::spearman;
use crate::similarity::moments::{class_means, ledoit_wolf};

/// The shrunk H-score (Bao et al. 2019, "An information-theoretic approach to transferability in task transfer learning", definition 2;
/// with a Ledoit-Wolf covariance and the class means shrunk alike, Ibrahim, Ponomareva and Mazumder 2022, "Newer is not always better",
/// equation 5): `tr(S_shrunk^-1 (1 - shrinkage) cov(E[f | y]))`. A plain inverse means nothing where there are
/// fewer rows than columns.
///
/// # Errors
/// Fewer than two rows; numbers that are not finite.
pub(super) fn h_score(features: &Features, labels: &[usize], classes: usize) -> Result<f64> {
    let shrunk = ledoit_wolf(features)?;
    let means = class_means(features, labels, classes)?;
    let mut counts = vec![0.0f64; classes];
    labels.iter().for_each(|&label| counts[label] += 1.0);
    let (values, vectors) = eigen(&shrunk.covariance)?;
    let n = labels.len() as f64;
    let mut score = 0.0;
    for (mean, count) in means.iter().zip(&counts) {
        let Some(mean) = mean else { continue };
        let off: Vec<f64> = mean.iter().zip(&shrunk.mean).map(|(m, all)| m - all).collect();
        for (axis, value) in values.iter().enumerate().filter(|(_, value)| **value > 0.0) {
            let along: f64 = vectors.col(axis).iter().zip(&off).map(|(v, x)| v * x).sum();
            score += count / n * along * along / value;
        }
    }
    Ok((1.0 - shrunk.shrinkage) * score)
}

/// PARC (Bolya, Mittapalli and Hoffman 2021, "Scalable diverse model selection for accessible transfer learning", section 4): Spearman's
/// correlation between distances of features, `1 - r` of the standardised rows, and of labels, over all pairs; quadratic in the rows. The
/// distance of two one-hot rows has two values, so that ties have their mean rank.
///
/// # Errors
/// Numbers that are not finite.
pub(super) fn parc(features: &Features, labels: &[usize]) -> Result<f64> {
    let table = Table::of(features)?;
    let rows: Vec<Vec<f64>> = (0..table.rows).map(|row| unit(table.row(row))).collect();
    let distances: Vec<f64> = (0..rows.len())
        .into_par_iter()
        .flat_map_iter(|a| {
            let of = &rows[a];
            rows[..a].iter().map(move |b| 1.0 - of.iter().zip(b).map(|(x, y)| x * y).sum::<f64>())
        })
        .collect();
    let pairs = (0..labels.len()).flat_map(|a| labels[..a].iter().map(move |&b| f64::from(labels[a] != b)));
    Ok(spearman(&distances, &pairs.collect::<Vec<f64>>()))
}

/// A row minus its mean, at length 1.
fn unit(row: &[f64]) -> Vec<f64> {
    let mean = row.iter().sum::<f64>() / row.len().max(1) as f64;
    let length = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>().sqrt();
    row.iter().map(|x| if length > 0.0 { (x - mean) / length } else { 0.0 }).collect()
}

/// NCE (Tran, Nguyen and Hassner 2019, "Transferability and hardness of supervised classification tasks", equation 1): minus the entropy
/// of the labels given the class that the base's own classifier takes, in nats; 0 is best.
pub(super) fn nce(own: &[usize], labels: &[usize], classes: usize) -> f64 {
    let most = own.iter().max().map_or(0, |most| most + 1);
    let mut joint = vec![0.0f64; most * classes];
    own.iter().zip(labels).for_each(|(own, label)| joint[own * classes + label] += 1.0);
    let of_class = |counts: &[f64]| {
        let total: f64 = counts.iter().sum();
        counts.iter().filter(|count| **count > 0.0).map(|count| count * (count / total).ln()).sum::<f64>()
    };
    joint.chunks_exact(classes.max(1)).map(of_class).sum::<f64>() / labels.len().max(1) as f64
}

/// LEEP (Nguyen et al. 2020, "LEEP: a new measure to evaluate transferability of learned representations", equation 2): the mean
/// log-probability of the labels where the base's classes `z` are drawn from its probabilities `[examples, z]` and labels from
/// `P(y | z)` of the same examples. A class that the base gives no probability at all has no part.
pub(super) fn leep(probabilities: &[f64], labels: &[usize], classes: usize) -> f64 {
    let own = probabilities.len() / labels.len().max(1);
    let mut joint = vec![0.0f64; own * classes];
    for (row, &label) in probabilities.chunks_exact(own.max(1)).zip(labels) {
        row.iter().enumerate().for_each(|(z, p)| joint[z * classes + label] += p);
    }
    for of_class in joint.chunks_exact_mut(classes.max(1)) {
        let total: f64 = of_class.iter().sum();
        of_class.iter_mut().for_each(|p| *p = if total > 0.0 { *p / total } else { 0.0 });
    }
    let likely = |(row, &label): (&[f64], &usize)| {
        let p: f64 = row.iter().enumerate().map(|(z, p)| p * joint[z * classes + label]).sum();
        p.max(f64::MIN_POSITIVE).ln()
    };
    let rows = probabilities.chunks_exact(own.max(1)).zip(labels);
    rows.map(likely).sum::<f64>() / labels.len().max(1) as f64
}
