//! PARC: whether rows that are alike have targets that are alike.

use super::moments::check;
use super::predicted::Predicted;
use super::sample::sample;
use crate::error::Result;
use crate::features::Features;
use crate::heads::axes::{Coordinates, gram};
use crate::heads::standardise::Standardiser;
use crate::metrics::spearman;
use crate::rng::rng;

/// Most rows: all of their pairs are compared.
const MOST_ROWS: usize = 1000;

/// The pairwise annotation representation comparison, from -1 to 1 (Bolya, Mittapalli and Hoffman, 2021, "Scalable diverse model
/// selection for accessible transfer learning", NeurIPS, section 4): Spearman's correlation, over all pairs of rows, of
/// `1 - Pearson's correlation` of their standardised features with the distance of their targets.
///
/// Targets of classes are as near as equal (0) or not (1), which has the ranks of the paper's `1 - correlation` of one-hot rows;
/// numbers by their difference, label sets by the labels that only one of them has. (The paper has classes alone.) Of more than
/// 1,000 rows as many are drawn from `seed`. A correlation with a row that does not vary is 0.
///
/// # Errors
/// [`crate::error::Error::Data`] for fewer than two rows, numbers that are not finite, targets that do not belong to the rows.
pub(crate) fn parc(features: &Features, predicted: Predicted<'_>, seed: u64) -> Result<f64> {
    check(features)?;
    predicted.check(features.rows)?;
    let rows = sample(features.rows, MOST_ROWS, None, &mut rng(seed, "parc", 0));
    let Standardiser { mean, scale } = Standardiser::fit(features, &rows);
    let coordinates = Coordinates { centre: mean, inverse: scale.iter().map(|scale| 1.0 / scale).collect() };
    let mut block = Vec::new();
    coordinates.block(features, &rows, &mut block);
    for row in block.chunks_exact_mut(features.columns) {
        let mean = row.iter().sum::<f64>() / row.len() as f64;
        row.iter_mut().for_each(|x| *x -= mean);
        let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        row.iter_mut().for_each(|x| *x = if length > 0.0 { *x / length } else { 0.0 });
    }
    let mut products = faer::Mat::zeros(rows.len(), rows.len());
    gram(products.as_mut(), faer::MatRef::from_row_major_slice(&block, rows.len(), features.columns), 1.0);
    let pairs = || (0..rows.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
    let of_features: Vec<f64> = pairs().map(|(i, j)| 1.0 - products[(i, j)]).collect();
    let of_targets: Vec<f64> = pairs().map(|(i, j)| distance(predicted, rows[i], rows[j])).collect();
    Ok(spearman(&of_features, &of_targets))
}

/// How far apart the targets of two rows are.
fn distance(predicted: Predicted<'_>, a: usize, b: usize) -> f64 {
    match predicted {
        Predicted::Classes { labels, .. } => f64::from(u8::from(labels[a] != labels[b])),
        Predicted::Numbers(numbers) => (numbers[a] - numbers[b]).abs(),
        Predicted::LabelSets { labels, count } => {
            let (a, b) = (&labels[a * count..(a + 1) * count], &labels[b * count..(b + 1) * count]);
            a.iter().zip(b).filter(|(a, b)| a != b).count() as f64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::moments::tests::normal;
    use super::*;

    #[test]
    fn alike_rows_with_alike_targets_score() {
        let mut features = normal(1, 60, 10, 0.0);
        let labels: Vec<usize> = (0..60).map(|row| row % 2).collect();
        let classes = Predicted::Classes { labels: &labels, classes: 2 };
        let nothing = parc(&features, classes, 1).unwrap();
        features.values.iter_mut().enumerate().for_each(|(at, x)| *x += if at / 10 % 2 == at % 2 { 5.0 } else { 0.0 });
        let apart = parc(&features, classes, 1).unwrap();
        assert!(nothing.abs() < 0.1 && apart > 0.7, "{nothing} {apart}");
        let numbers: Vec<f64> = labels.iter().map(|&label| label as f64).collect();
        let sets: Vec<bool> = labels.iter().map(|&label| label == 1).collect();
        assert_eq!(parc(&features, Predicted::Numbers(&numbers), 1).unwrap(), apart);
        assert_eq!(parc(&features, Predicted::LabelSets { labels: &sets, count: 1 }, 1).unwrap(), apart);
        let flat = Features::new(4, 3, vec![1.0; 12]).unwrap();
        assert_eq!(parc(&flat, Predicted::Numbers(&[1.0, 2.0, 3.0, 4.0]), 1).unwrap(), 0.0);
        assert_eq!(parc(&features, Predicted::Classes { labels: &[0; 60], classes: 1 }, 1).unwrap(), 0.0);
        assert!(parc(&flat, Predicted::Numbers(&[1.0]), 1).is_err());
    }

    #[test]
    fn many_rows_are_drawn_from() {
        let features = normal(1, 1100, 3, 0.0);
        let numbers: Vec<f64> = (0..1100).map(|row| f64::from(features.row(row)[0])).collect();
        let of = |seed| parc(&features, Predicted::Numbers(&numbers), seed).unwrap();
        assert!(of(1) == of(1) && of(1) != of(2) && (of(1) - of(2)).abs() < 0.1);
    }
}
