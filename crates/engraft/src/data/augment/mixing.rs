//! Blending the examples of a batch: mixup (Zhang et al. 2018), manifold mixup (Verma et al. 2019) and CutMix (Yun et al.
//! 2019). Every example gets a partner out of the same batch.

use std::ops::Range;

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_distr::{Beta, Distribution};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Problem, Result};
use crate::rng::rng;

/// Whether and how batches are blended. All zero (the default) leaves them alone.
///
/// ```
/// use engraft::data::augment::Mixing;
/// let mix = Mixing { mixup: 0.2, cutmix: 0.0 }.draw(4, Some([8, 8]), 7, 0);
/// let maps = vec![1.0; 4 * 8 * 8 * 3];
/// let mixed = mix.maps(&maps, [8, 8, 3]);
/// assert_eq!(mixed.len(), maps.len());
/// for example in 0..4 {
///     let (partner, lambda) = mix.label(example);
///     assert!(partner < 4 && (0.0..=1.0).contains(&lambda));
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Mixing {
    /// Alpha of mixup: pictures are blended `lambda : 1 - lambda`, where lambda is from Beta(alpha, alpha). 0 is none.
    pub mixup: f64,
    /// Alpha of CutMix: a box of `1 - lambda` of the area is taken from the partner. 0 is none.
    pub cutmix: f64,
}

impl Mixing {
    /// Whether nothing is blended.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether both make sense.
    ///
    /// # Errors
    /// [`Error::Usage`] for an alpha that is negative, no number, or beyond 100.
    pub fn validate(&self) -> Result<()> {
        for (name, alpha) in [("mixup", self.mixup), ("cutmix", self.cutmix)] {
            if !(0.0..=100.0).contains(&alpha) {
                let problem = Problem::new(format_args!("the alpha of {name} makes no sense"));
                return Err(Error::Usage(
                    problem.expected("0 (none) to 100; 0.2 for mixup and 1 for cutmix are usual").found(alpha),
                ));
            }
        }
        Ok(())
    }

    /// What becomes of a batch of `n` examples in a step. `map`: rows and columns of the examples, where they are
    /// pictures or maps; without it there is nothing to cut, and CutMix does nothing.
    ///
    /// With both, each has half of the steps.
    pub fn draw(&self, n: usize, map: Option<[usize; 2]>, seed: u64, step: u64) -> Mix {
        let either = rng(seed, "mixing", step).random::<f64>() < 0.5;
        match map {
            Some(map) if self.cutmix > 0.0 && (self.mixup <= 0.0 || either) => {
                Mix::cutmix(n, map, self.cutmix, seed, step)
            }
            _ => Mix::mixup(n, self.mixup, seed, step),
        }
    }
}

/// A part of a map: rows and columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rectangle {
    /// Rows.
    pub rows: Range<usize>,
    /// Columns.
    pub columns: Range<usize>,
}

/// What becomes of one batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix {
    partners: Vec<usize>,
    lambda: f32,
    cut: Option<Rectangle>,
}

impl Mix {
    /// Everything as it is.
    pub fn none(n: usize) -> Self {
        Self { partners: (0..n).collect(), lambda: 1.0, cut: None }
    }

    /// mixup: `lambda x_i + (1 - lambda) x_j` (equation 1 of the paper), lambda from Beta(alpha, alpha), one for the
    /// batch, and j from a permutation. A batch of fewer than two is left alone, and so is any at an alpha of 0.
    pub fn mixup(n: usize, alpha: f64, seed: u64, step: u64) -> Self {
        match Self::drawn(n, alpha, "mixup", seed, step) {
            None => Self::none(n),
            Some((partners, lambda, _)) => Self { partners, lambda: lambda as f32, cut: None },
        }
    }

    /// CutMix: a box of `1 - lambda` of the area, anywhere, is the partner's (equation 1 and 2 of the paper), lambda
    /// from Beta(alpha, alpha). What of the box lies outside is cut off, and lambda is the area that is left.
    pub fn cutmix(n: usize, [h, w]: [usize; 2], alpha: f64, seed: u64, step: u64) -> Self {
        let Some((partners, lambda, place)) = Self::drawn(n, alpha, "cutmix", seed, step) else { return Self::none(n) };
        let share = (1.0 - lambda).sqrt();
        let side = |length: usize, place: f64| {
            let (centre, half) = ((place * length as f64) as usize, (length as f64 * share) as usize / 2);
            centre.saturating_sub(half)..(centre + half).min(length)
        };
        let cut = Rectangle { rows: side(h, place[0]), columns: side(w, place[1]) };
        let area = cut.rows.len() * cut.columns.len();
        let lambda = 1.0 - area as f64 / (h * w).max(1) as f64;
        Self { partners, lambda: lambda as f32, cut: Some(cut) }
    }

    /// Partners, lambda, and two numbers for a place.
    fn drawn(n: usize, alpha: f64, purpose: &str, seed: u64, step: u64) -> Option<(Vec<usize>, f64, [f64; 2])> {
        let distribution = Beta::new(alpha, alpha).ok().filter(|_| n > 1)?;
        let mut stream = rng(seed, purpose, step);
        let mut partners: Vec<usize> = (0..n).collect();
        partners.shuffle(&mut stream);
        let place = [stream.random(), stream.random()];
        // Last, since it takes as many numbers as it needs.
        let lambda = distribution.sample(&mut stream);
        Some((partners, if lambda.is_finite() { lambda.clamp(0.0, 1.0) } else { 1.0 }, place))
    }

    /// Whether nothing is blended.
    pub fn is_none(&self) -> bool {
        self.lambda == 1.0
    }

    /// The part that is cut out, of a CutMix.
    pub fn cut(&self) -> Option<&Rectangle> {
        self.cut.as_ref()
    }

    /// What an example's target is: `lambda` its own label, `1 - lambda` that of the partner. Of a CutMix lambda is
    /// the true area that is its own.
    ///
    /// # Panics
    /// If the batch has no such example.
    pub fn label(&self, example: usize) -> (usize, f32) {
        (self.partners[example], self.lambda)
    }

    /// Blends rows of any length: vectors, maps, or activations at a cut. `rows`: `[n, length]`. Of a CutMix too they
    /// are blended by lambda, since rows have no area.
    ///
    /// # Panics
    /// If `rows` is no such matrix.
    pub fn rows(&self, rows: &[f32], length: usize) -> Vec<f32> {
        self.blended(rows, length, |own, other, out| {
            for ((out, own), other) in out.iter_mut().zip(own).zip(other) {
                *out = self.lambda * own + (1.0 - self.lambda) * other;
            }
        })
    }

    /// Blends pictures or maps, `[n, h, w, c]`: with a box, what is inside is the partner's.
    ///
    /// # Panics
    /// If `maps` does not have that shape, or its rows and columns are not those that the box was drawn for.
    pub fn maps(&self, maps: &[f32], [h, w, c]: [usize; 3]) -> Vec<f32> {
        let Some(cut) = &self.cut else { return self.rows(maps, h * w * c) };
        assert!(cut.rows.end <= h && cut.columns.end <= w, "a box inside its map");
        self.blended(maps, h * w * c, |own, other, out| {
            out.copy_from_slice(own);
            for row in cut.rows.clone() {
                let part = (row * w + cut.columns.start) * c..(row * w + cut.columns.end) * c;
                out[part.clone()].copy_from_slice(&other[part]);
            }
        })
    }

    fn blended(&self, all: &[f32], length: usize, blend: impl Fn(&[f32], &[f32], &mut [f32]) + Sync) -> Vec<f32> {
        assert_eq!(all.len(), self.partners.len() * length, "a row for each example");
        if self.is_none() || length == 0 {
            return all.to_vec();
        }
        let mut out = vec![0.0; all.len()];
        out.par_chunks_exact_mut(length).enumerate().for_each(|(example, out)| {
            let row = |example: usize| &all[example * length..(example + 1) * length];
            blend(row(example), row(self.partners[example]), out);
        });
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lambda_has_the_moments_of_its_beta_distribution() {
        for alpha in [0.2, 1.0, 4.0] {
            let draws: Vec<f64> = (0..4000).map(|step| f64::from(Mix::mixup(2, alpha, 1, step).lambda)).collect();
            let mean = draws.iter().sum::<f64>() / 4000.0;
            let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / 4000.0;
            // Variance of Beta(alpha, alpha).
            let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!((mean - 0.5).abs() < 4.0 * (expected / 4000.0).sqrt(), "{alpha}: {mean}");
            assert!((variance / expected - 1.0).abs() < 0.06, "{alpha}: {variance} against {expected}");
        }
    }

    #[test]
    fn a_batch_of_one_is_left_alone() {
        let mixing = Mixing { mixup: 0.4, cutmix: 1.0 };
        for step in 0..20 {
            for n in [0, 1] {
                let mix = mixing.draw(n, Some([4, 4]), 1, step);
                assert!(mix.is_none());
                let maps: Vec<f32> = (0..n * 32).map(|value| value as f32).collect();
                assert_eq!(mix.maps(&maps, [4, 4, 2]), maps);
            }
        }
        assert_eq!(mixing.draw(1, None, 1, 0).label(0), (0, 1.0));
        assert!(Mixing::default().draw(8, Some([4, 4]), 1, 0).is_none());
    }

    #[test]
    fn both_have_half_of_the_steps_and_cutmix_needs_a_map() {
        let mixing = Mixing { mixup: 0.4, cutmix: 1.0 };
        let cuts = (0..400).filter(|&step| mixing.draw(4, Some([8, 8]), 1, step).cut().is_some()).count();
        assert!((160..240).contains(&cuts), "{cuts}");
        assert!((0..50).all(|step| mixing.draw(4, None, 1, step).cut().is_none()));
        let only_cuts = Mixing { mixup: 0.0, ..mixing };
        assert!((0..50).all(|step| only_cuts.draw(4, None, 1, step).is_none()));
    }

    #[test]
    fn an_alpha_that_makes_no_sense_is_refused() {
        for mixup in [-0.1, f64::NAN, f64::INFINITY, 1e9] {
            let error = Mixing { mixup, cutmix: 0.0 }.validate().unwrap_err().to_string();
            assert!(error.contains("mixup"), "{error}");
            // And never panics.
            Mix::mixup(3, mixup, 1, 0).rows(&[0.0; 6], 2);
        }
        assert!(Mixing { mixup: 0.2, cutmix: 1.0 }.validate().is_ok());
    }

    #[test]
    fn mixed_rows_are_the_blend_and_the_labels_say_so() {
        let rows = [0.0, 10.0, 100.0, 20.0, 200.0, 30.0];
        let mix = (0..).map(|step| Mix::mixup(3, 1.0, 2, step)).find(|mix| mix.partners == [1, 2, 0]).unwrap();
        let lambda = mix.lambda;
        let other = 1.0 - lambda;
        let expected = [
            lambda * 0.0 + other * 100.0,
            lambda * 10.0 + other * 20.0,
            lambda * 100.0 + other * 200.0,
            lambda * 20.0 + other * 30.0,
            lambda * 200.0 + other * 0.0,
            lambda * 30.0 + other * 10.0,
        ];
        assert_eq!(mix.rows(&rows, 2), expected);
        assert_eq!(mix.label(1), (2, lambda));
    }

    proptest! {
        #[test]
        fn lambda_is_the_area_that_is_ones_own(
            n in 2..6_usize, h in 1..12_usize, w in 1..12_usize, alpha in 0.05..4.0_f64, seed: u64, step: u64,
        ) {
            let mix = Mix::cutmix(n, [h, w], alpha, seed, step);
            prop_assert_eq!(&mix, &Mix::cutmix(n, [h, w], alpha, seed, step));
            let maps: Vec<f32> = (0..n).flat_map(|example| vec![example as f32; h * w * 2]).collect();
            let mixed = mix.maps(&maps, [h, w, 2]);
            let mut partners = Vec::new();
            for (example, map) in mixed.chunks(h * w * 2).enumerate() {
                let (partner, lambda) = mix.label(example);
                partners.push(partner);
                let own = map.iter().filter(|value| **value == example as f32).count() as f32;
                prop_assert!(map.iter().all(|value| [example as f32, partner as f32].contains(value)));
                if partner != example {
                    prop_assert!((own / map.len() as f32 - lambda).abs() < 1e-6);
                }
            }
            partners.sort_unstable();
            prop_assert_eq!(partners, (0..n).collect::<Vec<_>>());
        }
    }
}
