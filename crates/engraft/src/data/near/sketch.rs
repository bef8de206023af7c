//! What a thumbnail shows in a few numbers: the signs of its lowest frequencies as a hash, and the frequencies themselves.

use std::sync::LazyLock;

use crate::data::inspect::THUMBNAIL as SIDE;

/// The number of frequencies along one axis: 0 to 8.
const FREQUENCIES: usize = 9;
/// Frequencies of a sketch.
const BITS: usize = 64;
/// The bits of the frequencies that are odd from left to right: a mirror image has the opposite sign there.
pub(super) const MIRROR: u64 = 0xAAAA_AAAA_AAAA_AAAA;

/// Cosines of the discrete cosine transform, in units of 2^-14. Whole numbers, so that no machine rounds differently.
static COSINES: LazyLock<[[i32; SIDE]; FREQUENCIES]> = LazyLock::new(|| {
    let cosine = |u: usize, x: usize| ((2 * x + 1) * u) as f64 * std::f64::consts::PI / (2 * SIDE) as f64;
    std::array::from_fn(|u| std::array::from_fn(|x| (cosine(u, x).cos() * f64::from(1 << 14)).round() as i32))
});

/// The 64 lowest frequencies of a thumbnail. The constant one, which says only how bright it is, gives its place to the next
/// along the first axis.
#[derive(Debug, Clone)]
pub(super) struct Sketch {
    /// One bit each: whether it is positive.
    pub(super) hash: u64,
    /// All of them, each times its frequency (photos have little of the high ones); together of length 1.
    frequencies: [f32; BITS],
}

impl Sketch {
    /// Of a thumbnail of `SIDE` x `SIDE` grey values.
    pub(super) fn of(thumbnail: &[u8]) -> Self {
        // At most 255 * 32 * 2^14, which is less than 2^31.
        let rows: Vec<[i32; FREQUENCIES]> = thumbnail
            .as_chunks::<SIDE>()
            .0
            .iter()
            .map(|row| {
                std::array::from_fn(|u| {
                    row.iter().zip(&COSINES[u]).map(|(&grey, cosine)| i32::from(grey) * cosine).sum()
                })
            })
            .collect();
        let place = |bit: usize| if bit == 0 { (0, 8) } else { (bit / 8, bit % 8) };
        let mut hash = 0;
        let mut frequencies = [0.0; BITS];
        for (bit, weighted) in frequencies.iter_mut().enumerate() {
            let (v, u) = place(bit);
            let sum: i64 =
                rows.iter().zip(&COSINES[v]).map(|(row, &cosine)| i64::from(row[u]) * i64::from(cosine)).sum();
            hash |= u64::from(sum > 0) << bit;
            *weighted = (sum as f64 * ((u * u + v * v) as f64).sqrt()) as f32;
        }
        let length = frequencies.iter().map(|value| value * value).sum::<f32>().sqrt();
        if length > 0.0 {
            frequencies.iter_mut().for_each(|value| *value /= length);
        }
        Self { hash, frequencies }
    }

    /// Cosine similarity of two thumbnails' frequencies: of both as they are, and of one with the other's mirror image.
    pub(super) fn cosines(&self, other: &Self) -> [f32; 2] {
        let (mut even, mut odd) = (0.0, 0.0);
        for (a, b) in self.frequencies.as_chunks::<2>().0.iter().zip(other.frequencies.as_chunks::<2>().0) {
            even += a[0] * b[0];
            odd += a[1] * b[1];
        }
        [even + odd, even - odd]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_image_has_the_same_sketch_but_for_signs() {
        let noise = |at: usize| ((at + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8;
        let thumbnail: Vec<u8> = (0..SIDE * SIDE).map(noise).collect();
        let mirrored: Vec<u8> = thumbnail.chunks(SIDE).flat_map(|row| row.iter().rev().copied()).collect();
        let (a, b) = (Sketch::of(&thumbnail), Sketch::of(&mirrored));
        assert_eq!(a.hash ^ b.hash, MIRROR);
        let [plain, mirror] = a.cosines(&b);
        assert!((mirror - 1.0).abs() < 1e-5 && plain < 0.9, "{plain} {mirror}");
        assert!((a.cosines(&a)[0] - 1.0).abs() < 1e-5);
        // Brighter and with more contrast.
        let changed: Vec<u8> = thumbnail.iter().map(|&grey| grey / 2 + 100).collect();
        assert!((Sketch::of(&changed).hash ^ a.hash).count_ones() <= 2);
    }
}
