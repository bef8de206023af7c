//! Labels from the nearest centroid of the model's own predictions.

/// The class of the nearest centroid of every example (Liang et al. 2020, equations 4 to 6): first the centroids of examples
/// weighted by their probabilities, then those of the classes found so, by the cosine of features with a 1 appended.
///
/// `features` are `[n, width]`, `probabilities` `[n, classes]`. A class without an example has no centroid in the second round.
/// Of equal cosines the first class is taken.
pub(super) fn nearest_centroids(features: &[f64], probabilities: &[f64], classes: usize) -> Vec<usize> {
    let n = probabilities.len() / classes.max(1);
    if n == 0 {
        return Vec::new();
    }
    let width = features.len() / n + 1;
    let mut unit = Vec::with_capacity(n * width);
    for row in features.chunks_exact(width - 1) {
        let length = row.iter().map(|x| x * x).sum::<f64>() + 1.0;
        unit.extend(row.iter().chain([&1.0]).map(|x| x / length.sqrt()));
    }
    let soft = nearest(&unit, width, probabilities, classes);
    let mut hard = vec![0.0; n * classes];
    soft.iter().enumerate().for_each(|(row, &class)| hard[row * classes + class] = 1.0);
    nearest(&unit, width, &hard, classes)
}

fn nearest(unit: &[f64], width: usize, weights: &[f64], classes: usize) -> Vec<usize> {
    let mut centroids = vec![0.0; classes * width];
    for (row, weights) in unit.chunks_exact(width).zip(weights.chunks_exact(classes)) {
        for (centroid, &weight) in centroids.chunks_exact_mut(width).zip(weights) {
            if weight > 0.0 {
                centroid.iter_mut().zip(row).for_each(|(sum, x)| *sum += weight * x);
            }
        }
    }
    for centroid in centroids.chunks_exact_mut(width) {
        let length = centroid.iter().map(|x| x * x).sum::<f64>().sqrt();
        if length > 0.0 {
            centroid.iter_mut().for_each(|x| *x /= length);
        }
    }
    let present: Vec<bool> = centroids.chunks_exact(width).map(|centroid| centroid.iter().any(|x| *x != 0.0)).collect();
    let of_row = |row: &[f64]| {
        let mut best = (f64::NEG_INFINITY, 0);
        for (class, centroid) in centroids.chunks_exact(width).enumerate().filter(|&(class, _)| present[class]) {
            let cosine: f64 = row.iter().zip(centroid).map(|(x, c)| x * c).sum();
            if cosine > best.0 {
                best = (cosine, class);
            }
        }
        best.1
    };
    unit.chunks_exact(width).map(of_row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsure_example_takes_the_class_of_those_around_it() {
        // Two directions; the last example of each lies among its like, and its prediction leans to the other class.
        let features = [1.0, 0.0, 1.0, 0.1, 0.9, 0.1, 0.0, 1.0, 0.1, 1.0, 0.1, 0.9];
        let probabilities = [0.9, 0.1, 0.9, 0.1, 0.45, 0.55, 0.1, 0.9, 0.1, 0.9, 0.55, 0.45];
        assert_eq!(nearest_centroids(&features, &probabilities, 2), [0, 0, 0, 1, 1, 1]);
    }

    #[test]
    fn a_class_of_nobody_has_no_centroid() {
        let probabilities = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0];
        assert_eq!(nearest_centroids(&[1.0, 0.0, 0.0, 1.0], &probabilities, 3), [0, 1]);
        assert_eq!(nearest_centroids(&[], &[], 3), [0; 0]);
    }
}
