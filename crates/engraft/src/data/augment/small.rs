//! Small random changes to prepared images of characters, and for nets that start from nothing.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// How far a training image may be changed. All zero (the default) changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// Moved by up to this fraction of height and width, either way.
    pub(crate) shift: f32,
    /// Mirrored left to right, half of the time.
    pub(crate) flip: bool,
    /// Turned by up to this many degrees, either way.
    pub(crate) rotate_degrees: f32,
    /// Scaled by up to this fraction, either way: 0.1 gives 1/1.1 to 1.1.
    pub(crate) scale: f32,
}

impl Augment {
    /// Whether nothing would be changed.
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Changes a prepared image of shape `[height, width, channels]`, keeping the shape: one affine warp about the
    /// centre, bilinear, with the edge's pixels repeated outside.
    ///
    /// Five numbers are drawn whatever the settings, so that switching one setting off leaves the others' draws alone.
    ///
    /// # Panics
    /// When `prepared` does not have that shape.
    pub(crate) fn apply(&self, prepared: &[u8], (h, w, c): (usize, usize, usize), rng: &mut impl Rng) -> Vec<u8> {
        assert_eq!(prepared.len(), h * w * c, "bytes of shape [height, width, channels]");
        let mut draw = || rng.random::<f32>() * 2.0 - 1.0;
        let (across, down, turn, size, mirror) = (draw(), draw(), draw(), draw(), draw());
        if self.is_none() || prepared.is_empty() {
            return prepared.to_vec();
        }
        let (sin, cos) = (turn * self.rotate_degrees).to_radians().sin_cos();
        // The map goes from the result back to the source.
        let scale = (1.0 + self.scale.max(0.0)).powf(-size);
        let mirror = if self.flip && mirror < 0.0 { -1.0 } else { 1.0 };
        let (centre_x, centre_y) = ((w as f32 - 1.0) / 2.0, (h as f32 - 1.0) / 2.0);
        let (shift_x, shift_y) = (across * self.shift * w as f32, down * self.shift * h as f32);

        let mut out = Vec::with_capacity(prepared.len());
        for y in 0..h {
            for x in 0..w {
                let (dx, dy) = ((x as f32 - centre_x) * mirror - shift_x, y as f32 - centre_y - shift_y);
                let from_x = centre_x + scale * (cos * dx + sin * dy);
                let from_y = centre_y + scale * (cos * dy - sin * dx);
                let (left, right, x_part) = neighbours(from_x, w);
                let (top, bottom, y_part) = neighbours(from_y, h);
                for channel in 0..c {
                    let at = |y: usize, x: usize| f32::from(prepared[(y * w + x) * c + channel]);
                    let above = at(top, left) + (at(top, right) - at(top, left)) * x_part;
                    let below = at(bottom, left) + (at(bottom, right) - at(bottom, left)) * x_part;
                    out.push((above + (below - above) * y_part + 0.5) as u8);
                }
            }
        }
        out
    }
}

/// The two pixels around a place along a side, and how far it lies towards the second.
fn neighbours(place: f32, side: usize) -> (usize, usize, f32) {
    let place = place.clamp(0.0, (side - 1) as f32);
    let first = place as usize;
    (first, (first + 1).min(side - 1), place - first as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::rng;
    use proptest::prelude::*;

    fn ramp(h: usize, w: usize, c: usize) -> Vec<u8> {
        (0..h * w * c).map(|index| (index * 37 % 251) as u8).collect()
    }

    #[test]
    fn nothing_asked_nothing_changed_but_the_numbers_are_drawn() {
        let image = ramp(5, 7, 3);
        let (mut used, mut fresh) = (rng(1, "augment", 0), rng(1, "augment", 0));
        assert_eq!(Augment::default().apply(&image, (5, 7, 3), &mut used), image);
        assert_ne!(used.random::<u64>(), fresh.random::<u64>());
    }

    #[test]
    fn a_flip_mirrors_exactly_half_of_the_time() {
        let image = ramp(4, 5, 3);
        let mirrored: Vec<u8> =
            image.chunks(15).flat_map(|row| row.chunks(3).rev().flatten().copied().collect::<Vec<_>>()).collect();
        let flip = Augment { flip: true, ..Augment::default() };
        let flips = (0..1000)
            .filter(|&step| {
                let out = flip.apply(&image, (4, 5, 3), &mut rng(1, "augment", step));
                assert!(out == image || out == mirrored);
                out == mirrored
            })
            .count();
        assert!((440..560).contains(&flips), "{flips}");
    }

    #[test]
    fn the_same_stream_gives_the_same_image() {
        let all = Augment { shift: 0.1, flip: true, rotate_degrees: 15.0, scale: 0.2 };
        let image = ramp(16, 16, 1);
        let out = |step| all.apply(&image, (16, 16, 1), &mut rng(1, "augment", step));
        assert_eq!(out(0), out(0));
        assert_ne!(out(0), out(1));
    }

    #[test]
    fn outside_the_edge_is_the_edge() {
        let shift = Augment { shift: 1.0, ..Augment::default() };
        let flat = vec![77; 9 * 9];
        assert_eq!(shift.apply(&flat, (9, 9, 1), &mut rng(2, "augment", 0)), flat);
    }

    proptest! {
        #[test]
        fn any_setting_keeps_the_shape_and_the_range(
            h in 1..9_usize, w in 1..9_usize, c in 1..4_usize,
            shift in -2.0..2.0_f32, rotate_degrees in -400.0..400.0_f32, scale in 0.0..3.0_f32, flip: bool, seed: u64,
        ) {
            let image: Vec<u8> = (0..h * w * c).map(|index| 100 + (index % 50) as u8).collect();
            let augment = Augment { shift, flip, rotate_degrees, scale };
            let out = augment.apply(&image, (h, w, c), &mut rng(seed, "augment", 0));
            prop_assert_eq!(out.len(), image.len());
            prop_assert!(out.iter().all(|value| (100..150).contains(value)));
        }
    }
}
