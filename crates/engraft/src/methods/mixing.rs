//! Mixing the examples of a shard: mixup and cutmix, on images or on activations at a cut.

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_distr::{Beta, Distribution};

use crate::bases::DropPathSchedule;
use crate::rng::rng;

/// What pulls at the answers and features while training.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Regularisers {
    /// Share of the features that are dropped before the head (Srivastava et al. 2014).
    pub dropout: f64,
    /// Pull of the features towards the base's of the same image: half of this times the mean squared distance
    /// (Li et al. 2019, "DELTA", at the features and with every feature alike).
    pub feature_distance: f64,
    /// Parameter of the Beta distribution of mixup (Zhang et al. 2018), at the cut (Verma et al. 2019); 0 mixes nothing.
    pub mixup: f64,
    /// The same of cutmix (Yun et al. 2019); where both are given they take turns by lot.
    pub cutmix: f64,
    /// Share of each label given to all classes alike.
    pub label_smoothing: f64,
}

/// How the examples of a shard are mixed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mixed {
    /// With whom each is mixed.
    partners: Vec<usize>,
    /// Share of itself that each keeps: 1 where nothing is mixed.
    share: f32,
    /// For cutmix the box that the partner fills, in shares of height and width: from and to of each.
    window: Option<[[f64; 2]; 2]>,
}

impl Mixed {
    /// Draws for a shard of `n`: lambda from Beta(alpha, alpha), one partner for each, for cutmix a box of the area
    /// `1 - lambda` about a random centre, cut off at the edges (Yun et al. 2019, equation 2).
    pub(crate) fn draw(regularisers: &Regularisers, n: usize, drops: &DropPathSchedule) -> Self {
        let Regularisers { mixup, cutmix, .. } = *regularisers;
        if (mixup == 0.0 && cutmix == 0.0) || n < 2 {
            return Self::none();
        }
        let mut stream = rng(drops.seed, &format!("mix/{}", drops.first), drops.step);
        let boxed = match (mixup > 0.0, cutmix > 0.0) {
            (true, true) => stream.random::<bool>(),
            (_, cut) => cut,
        };
        let alpha = if boxed { cutmix } else { mixup };
        let lambda = Beta::new(alpha, alpha).map_or(1.0, |beta| beta.sample(&mut stream));
        let mut partners: Vec<usize> = (0..n).collect();
        partners.shuffle(&mut stream);
        if !boxed {
            return Self { partners, share: lambda as f32, window: None };
        }
        let side = (1.0f64 - lambda).sqrt();
        let mut along = || {
            let centre: f64 = stream.random();
            [(centre - side / 2.0).max(0.0), (centre + side / 2.0).min(1.0)]
        };
        Self { partners, share: lambda as f32, window: Some([along(), along()]) }
    }

    /// Nothing is mixed.
    pub(crate) fn none() -> Self {
        Self { partners: Vec::new(), share: 1.0, window: None }
    }

    /// Share of itself that each example keeps.
    pub(crate) fn share(&self) -> f32 {
        self.share
    }

    /// With whom it is mixed.
    pub(crate) fn partner(&self, row: usize) -> usize {
        self.partners[row]
    }

    /// Mixes rows `[n, columns]` that hold activations of these shapes. The share becomes that of the pixels that were
    /// really kept. Vectors have no box: they are mixed as a whole.
    pub(crate) fn mix(&self, rows: Vec<f32>, shapes: &[Vec<usize>]) -> Vec<f32> {
        if self.share >= 1.0 {
            return rows;
        }
        let columns = rows.len() / self.partners.len();
        let mut mixed = rows.clone();
        for (row, &partner) in mixed.chunks_exact_mut(columns).zip(&self.partners) {
            let other = &rows[partner * columns..][..columns];
            let mut begin = 0;
            for shape in shapes {
                let size: usize = shape.iter().product();
                let (own, other) = (&mut row[begin..begin + size], &other[begin..begin + size]);
                match (self.window, shape.as_slice()) {
                    (Some(window), &[h, w, c]) => paste(own, other, pixels(window, [h, w]), [w, c]),
                    _ => own.iter_mut().zip(other).for_each(|(own, other)| {
                        *own = self.share * *own + (1.0 - self.share) * other;
                    }),
                }
                begin += size;
            }
        }
        mixed
    }

    /// The same with the share of pixels that a box really leaves of a map of these shapes.
    #[must_use]
    pub(crate) fn measured(mut self, shapes: &[Vec<usize>]) -> Self {
        if let (Some(window), Some(&[h, w, _])) = (self.window, shapes.first().map(Vec::as_slice)) {
            let [rows, columns] = pixels(window, [h, w]);
            let area = (rows[1] - rows[0]) * (columns[1] - columns[0]);
            self.share = 1.0 - area as f32 / (h * w) as f32;
        }
        self
    }
}

/// A box in pixels of a map.
fn pixels(window: [[f64; 2]; 2], size: [usize; 2]) -> [[usize; 2]; 2] {
    let along = |axis: usize| window[axis].map(|share| ((share * size[axis] as f64).round() as usize).min(size[axis]));
    [along(0), along(1)]
}

fn paste(own: &mut [f32], other: &[f32], [rows, columns]: [[usize; 2]; 2], [w, c]: [usize; 2]) {
    for y in rows[0]..rows[1] {
        let line = (y * w + columns[0]) * c..(y * w + columns[1]) * c;
        own[line.clone()].copy_from_slice(&other[line]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Regularisers =
        Regularisers { dropout: 0.0, feature_distance: 0.0, mixup: 0.0, cutmix: 0.0, label_smoothing: 0.0 };

    fn drops(step: u64) -> DropPathSchedule {
        DropPathSchedule { seed: 1, step, first: 0, progress: 0.0 }
    }

    #[test]
    fn mixup_is_a_weighted_mean_with_the_partner() {
        let shapes = [vec![2, 2, 1]];
        let rows: Vec<f32> = [1.0, 2.0, 3.0].iter().flat_map(|v| [*v; 4]).collect();
        let mut shares = Vec::new();
        for step in 0..2000 {
            let mixed = Mixed::draw(&Regularisers { mixup: 0.4, ..NONE }, 3, &drops(step));
            let out = mixed.mix(rows.clone(), &shapes);
            for row in 0..3 {
                let expected = mixed.share * rows[row * 4] + (1.0 - mixed.share) * rows[mixed.partner(row) * 4];
                assert!(out[row * 4..][..4].iter().all(|v| (v - expected).abs() < 1e-6));
            }
            shares.push(f64::from(mixed.share));
        }
        // Beta(a, a): mean 1/2, variance 1 / (4 (2a + 1)).
        let mean = shares.iter().sum::<f64>() / 2000.0;
        let variance = shares.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / 2000.0;
        assert!((mean - 0.5).abs() < 0.03 && (variance - 1.0 / 7.2).abs() < 0.01, "{mean} {variance}");
    }

    #[test]
    fn cutmix_keeps_the_share_that_it_says() {
        let shapes = [vec![8, 8, 2]];
        let rows: Vec<f32> = [1.0, 2.0].iter().flat_map(|v| [*v; 128]).collect();
        for step in 0..200 {
            let mixed = Mixed::draw(&Regularisers { cutmix: 1.0, ..NONE }, 2, &drops(step)).measured(&shapes);
            let out = mixed.mix(rows.clone(), &shapes);
            for row in 0..2 {
                let own = out[row * 128..][..128].iter().filter(|v| **v == rows[row * 128]).count();
                let expected = if mixed.partners[row] == row { 128.0 } else { mixed.share * 128.0 };
                assert!((own as f32 - expected).abs() < 1e-3, "{own} of {expected}");
            }
        }
    }

    #[test]
    fn a_single_example_is_left_alone() {
        let mixed = Mixed::draw(&Regularisers { mixup: 1.0, cutmix: 1.0, ..NONE }, 1, &drops(0));
        assert_eq!(mixed.share(), 1.0);
        assert_eq!(mixed.mix(vec![1.0, 2.0], &[vec![2]]), [1.0, 2.0]);
    }
}
