//! Images that show the same: found by their perceptual hashes, confirmed by their thumbnails.
//!
//! Two hashes that differ in at most four of 64 bits agree entirely in one of five bands. So only images that share a
//! band are compared, which makes the search nearly linear in the number of images. Where very many share a band
//! (blank pages, frames of one film), each is compared with its neighbours in the order of hash and brightness only;
//! there a pair may be missed, and the work stays bounded.

/// The most bits in which hashes of alike images differ.
pub(crate) const HAMMING: u32 = 4;

/// The largest mean absolute difference of alike thumbnails, in grey levels.
const DIFFERENCE: u64 = 3;

/// The least correlation of alike thumbnails. Small difference alone is not enough: two faint marks on white paper
/// differ little and show different things.
const CORRELATION: f64 = 0.99;

/// The least standard deviation of a thumbnail, in grey levels. Below it there is nothing to recognise.
const TEXTURE: f64 = 4.0;

/// Images compared with each other without exception when they share a band.
const CROWD: usize = 256;

/// The first bit and the number of bits of each band.
const BANDS: [(u32, u32); 5] = [(0, 13), (13, 13), (26, 13), (39, 13), (52, 12)];

/// What is known of one image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look<'a> {
    /// Its perceptual hash.
    pub(crate) hash: u64,
    /// Grey values, as many as those of the images it is compared with.
    pub(crate) thumbnail: &'a [u8],
}

/// Whether two images look the same.
pub(crate) fn alike(a: Look, b: Look) -> bool {
    if (a.hash ^ b.hash).count_ones() > HAMMING || a.thumbnail.len() != b.thumbnail.len() {
        return false;
    }
    let n = a.thumbnail.len() as u64;
    let difference: u64 = a.thumbnail.iter().zip(b.thumbnail).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    if difference > DIFFERENCE * n {
        return false;
    }
    let sum = |values: &[u8]| values.iter().map(|&value| u64::from(value)).sum::<u64>();
    let product = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(&a, &b)| u64::from(a) * u64::from(b)).sum::<u64>();
    // Sums of squares about the mean, times n^2: whole numbers, so exact.
    let spread = |a: &[u8], b: &[u8]| (n * product(a, b)) as f64 - (sum(a) * sum(b)) as f64;
    let (aa, bb) = (spread(a.thumbnail, a.thumbnail), spread(b.thumbnail, b.thumbnail));
    let least = (TEXTURE * n as f64).powi(2);
    aa >= least && bb >= least && spread(a.thumbnail, b.thumbnail) >= CORRELATION * (aa * bb).sqrt()
}

/// Calls `found(i, j)` (with `i < j`) for alike images. `wanted(i, j)` is asked before a costly comparison and may
/// spare it. The order of calls depends on the images alone; a pair may be reported more than once.
pub(crate) fn search(
    looks: &[Look],
    mut wanted: impl FnMut(usize, usize) -> bool,
    mut found: impl FnMut(usize, usize),
) {
    let brightness: Vec<u64> =
        looks.iter().map(|look| look.thumbnail.iter().map(|&grey| u64::from(grey)).sum()).collect();
    for (first, bits) in BANDS {
        let band = |index: usize| looks[index].hash >> first & ((1 << bits) - 1);
        let mut order: Vec<usize> = (0..looks.len()).collect();
        order.sort_unstable_by_key(|&index| (band(index), looks[index].hash, brightness[index], index));
        for bucket in order.chunk_by(|&a, &b| band(a) == band(b)) {
            for (place, &one) in bucket.iter().enumerate() {
                for &other in bucket[place + 1..].iter().take(CROWD) {
                    let (i, j) = (one.min(other), one.max(other));
                    if (looks[i].hash ^ looks[j].hash).count_ones() <= HAMMING
                        && wanted(i, j)
                        && alike(looks[i], looks[j])
                    {
                        found(i, j);
                    }
                }
            }
        }
    }
}

/// Sets that grow together; each is named by its smallest member.
#[derive(Debug, Clone)]
pub(crate) struct Groups {
    parent: Vec<usize>,
}

impl Groups {
    /// `n` sets of one member.
    pub fn new(n: usize) -> Self {
        Self { parent: (0..n).collect() }
    }

    /// The smallest member of the set that `member` is in.
    pub(crate) fn of(&mut self, mut member: usize) -> usize {
        while self.parent[member] != member {
            self.parent[member] = self.parent[self.parent[member]];
            member = self.parent[member];
        }
        member
    }

    /// Makes one set of two; `false` when they were one.
    pub fn join(&mut self, a: usize, b: usize) -> bool {
        let (a, b) = (self.of(a), self.of(b));
        // The root is the smallest, so that a set's name does not depend on the order of joining.
        self.parent[a.max(b)] = a.min(b);
        a != b
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gradient(step: u8) -> Vec<u8> {
        (0..=255u8).map(|index| (index / 16).wrapping_mul(10).wrapping_add(index % 16 * step)).collect()
    }

    #[test]
    fn little_texture_is_never_alike() {
        let blank = vec![250; 256];
        let look = Look { hash: 0, thumbnail: &blank };
        assert!(!alike(look, look));
        // Two faint marks on white paper.
        let (mut a, mut b) = (vec![250; 256], vec![250; 256]);
        a[40..60].fill(200);
        b[140..160].fill(200);
        assert!(!alike(Look { hash: 0, thumbnail: &a }, Look { hash: 0, thumbnail: &b }));
        let textured = gradient(5);
        assert!(alike(Look { hash: 0b1111, thumbnail: &textured }, Look { hash: 0, thumbnail: &textured }));
        assert!(!alike(Look { hash: 0b11111, thumbnail: &textured }, Look { hash: 0, thumbnail: &textured }));
    }

    #[test]
    fn a_crowd_costs_bounded_work() {
        let thumbnail = vec![250; 256];
        let looks = vec![Look { hash: 7, thumbnail: &thumbnail }; 5000];
        let mut asked = 0;
        search(
            &looks,
            |_, _| {
                asked += 1;
                false
            },
            |_, _| {},
        );
        assert!(asked <= BANDS.len() * CROWD * looks.len());
    }

    proptest! {
        #[test]
        fn every_close_pair_is_found(seeds in proptest::collection::vec((0..20u64, 0..64u32, 0..64u32), 2..60)) {
            let thumbnail = gradient(5);
            let hash = |(seed, a, b): &(u64, u32, u32)| seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 1 << a ^ 1 << b;
            let looks: Vec<_> = seeds.iter().map(|seed| Look { hash: hash(seed), thumbnail: &thumbnail }).collect();
            let mut pairs = std::collections::BTreeSet::new();
            search(&looks, |_, _| true, |i, j| { pairs.insert((i, j)); });
            for j in 0..looks.len() {
                for i in 0..j {
                    prop_assert_eq!(pairs.contains(&(i, j)), alike(looks[i], looks[j]));
                }
            }
        }
    }
}
