//! Images that show the same: found by the signs of their lowest frequencies, confirmed by laying their thumbnails over each
//! other.
//!
//! Copies that were made brighter, given more contrast, cropped by a twentieth, turned by 3 degrees or mirrored differ in
//! fewer than 21 of 64 signs ([`sketch`]), and so do one in a hundred other pairs of photos; [`align`] tells them apart. Signs
//! of all pairs are compared up to a number of images at which that takes as long as decoding them. Of more images, those
//! that share a band of the hash are compared, so that copies with small changes are found. An image is compared closely with
//! the nearest 64 only: among very many that are alike (blank pages, frames of one film) a pair may be missed, and
//! the work stays bounded.
//!
//! Of tiny images too little is left to lay over each other: two digits, two shirts of 28 pixels are alike anyway. They may
//! differ in brightness, contrast and as mirror images only.

use rayon::prelude::*;

use super::inspect::THUMBNAIL;
use sketch::{MIRROR, Sketch};

mod align;
mod sketch;

/// The most signs in which images are different that are compared closely.
const DISTANCE: u32 = 20;
/// The least cosine similarity of the frequencies of such images.
const COSINE: f32 = 0.62;
/// Up to so many images, the signs of all pairs are compared.
const ALL_PAIRS: usize = 100_000;
/// Images with which one is compared closely.
const CROWD: usize = 64;
/// The first bit and the number of bits of each band of the hash.
const BANDS: [(u32, u32); 5] = [(0, 13), (13, 13), (26, 13), (39, 13), (52, 12)];
/// Pairs that are compared closely at once.
const CHUNK: usize = 512;
/// Up to so many candidates, and as many for each image, all are compared closely.
const ALL_CANDIDATES: usize = 1000;
const CANDIDATES: usize = 4;
/// Of more, two images are compared closely unless each of them was in vain so often.
const PATIENCE: u32 = 3;

/// Images with a shorter side than this, in pixels, are tiny.
const TINY: usize = 48;
/// The most signs in which copies are different that were not moved.
const STILL_DISTANCE: u32 = 4;
/// The least correlation of their thumbnails at half the size. Small difference alone is not enough: two faint marks on white
/// paper differ little and show different things.
const STILL_CORRELATION: f64 = 0.99;
/// The largest mean absolute difference, in grey levels, beside brightness and contrast.
const STILL_DIFFERENCE: f64 = 3.0;
/// The least standard deviation of a thumbnail, in grey levels. Below it there is nothing to recognise.
const TEXTURE: f64 = 4.0;

/// What is known of one image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look<'a> {
    /// Its grey values, `[THUMBNAIL, THUMBNAIL]`.
    pub(crate) thumbnail: &'a [u8],
    /// Columns and rows of the image itself.
    pub(crate) size: (usize, usize),
}

impl Look<'_> {
    fn is_tiny(&self) -> bool {
        self.size.0.min(self.size.1) < TINY
    }
}

/// How far a search went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Searched {
    /// Pairs that were compared closely.
    pub(crate) compared: usize,
    /// Whether there were more that may be alike.
    pub(crate) is_cut: bool,
}

/// Two images that may be alike, the second perhaps mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    distance: u32,
    first: usize,
    second: usize,
    mirrored: bool,
}

/// Calls `found(i, j)` (with `i < j`) for alike images. `wanted(i, j)` is asked before a costly comparison and may
/// spare it. The order of calls depends on the images alone, the nearest first; a pair may be reported more than once.
pub(crate) fn search(
    looks: &[Look],
    mut wanted: impl FnMut(usize, usize) -> bool,
    mut found: impl FnMut(usize, usize),
) -> Searched {
    let sketches: Vec<Sketch> = looks.par_iter().map(|look| Sketch::of(look.thumbnail)).collect();
    let mut candidates = if looks.len() <= ALL_PAIRS { of_all(looks, &sketches) } else { of_bands(looks, &sketches) };
    candidates.par_sort_unstable();
    candidates.dedup();
    let is_few = candidates.len() <= ALL_CANDIDATES + CANDIDATES * looks.len();
    let patience = if is_few { u32::MAX } else { PATIENCE };
    let mut in_vain = vec![0_u32; looks.len()];
    let mut searched = Searched::default();
    for chunk in candidates.chunks(CHUNK) {
        let mut asked: Vec<Candidate> = chunk.iter().copied().filter(|pair| wanted(pair.first, pair.second)).collect();
        let wanted = asked.len();
        asked.retain(|pair| in_vain[pair.first].min(in_vain[pair.second]) < patience);
        searched.is_cut |= asked.len() < wanted;
        searched.compared += asked.len();
        let confirmed: Vec<bool> = asked.par_iter().map(|pair| alike(looks, pair)).collect();
        for (pair, is_alike) in asked.iter().zip(confirmed) {
            if is_alike {
                found(pair.first, pair.second);
            } else {
                in_vain[pair.first] += 1;
                in_vain[pair.second] += 1;
            }
        }
    }
    searched
}

/// The candidates among all pairs.
fn of_all(looks: &[Look], sketches: &[Sketch]) -> Vec<Candidate> {
    let hashes: Vec<u64> = sketches.iter().map(|sketch| sketch.hash).collect();
    let of_one = |first: usize| {
        let mut near = Vec::new();
        for (place, hash) in hashes[first + 1..].iter().enumerate() {
            let apart = hashes[first] ^ hash;
            let distances = [apart.count_ones(), (apart ^ MIRROR).count_ones()];
            if distances[0].min(distances[1]) <= DISTANCE {
                near.extend(judged(looks, sketches, first, first + 1 + place, distances));
            }
        }
        nearest(near)
    };
    (0..looks.len()).into_par_iter().flat_map_iter(of_one).collect()
}

/// The candidates among pairs that share a band of the hash, or of the mirror image's.
fn of_bands(looks: &[Look], sketches: &[Sketch]) -> Vec<Candidate> {
    let of_band = |&(first, bits): &(u32, u32)| {
        let band = |hash: u64| hash >> first & ((1 << bits) - 1);
        let both = |(at, sketch): (usize, &Sketch)| [(sketch.hash, at, false), (sketch.hash ^ MIRROR, at, true)];
        let mut order: Vec<(u64, usize, bool)> = sketches.iter().enumerate().flat_map(both).collect();
        order.sort_unstable_by_key(|&(hash, at, mirrored)| (band(hash), hash, at, mirrored));
        let mut near = Vec::new();
        for bucket in order.chunk_by(|a, b| band(a.0) == band(b.0)) {
            for (place, &(_, one, _)) in bucket.iter().enumerate().filter(|(_, entry)| !entry.2) {
                let others = || bucket[place + 1..].iter().take(CROWD).chain(bucket[..place].iter().rev().take(CROWD));
                for &(_, other, _) in others().filter(|entry| entry.1 != one && (entry.2 || entry.1 > one)) {
                    let (first, second) = (one.min(other), one.max(other));
                    let apart = sketches[first].hash ^ sketches[second].hash;
                    let distances = [apart.count_ones(), (apart ^ MIRROR).count_ones()];
                    near.extend(judged(looks, sketches, first, second, distances));
                }
            }
        }
        near
    };
    BANDS.par_iter().flat_map_iter(of_band).collect()
}

/// A pair as it is and with the second mirrored, where that may be alike.
fn judged(
    looks: &[Look],
    sketches: &[Sketch],
    first: usize,
    second: usize,
    distances: [u32; 2],
) -> impl Iterator<Item = Candidate> {
    let most = if looks[first].is_tiny() || looks[second].is_tiny() { STILL_DISTANCE } else { DISTANCE };
    let cosines = match distances[0].min(distances[1]) <= most {
        true => sketches[first].cosines(&sketches[second]),
        false => [0.0; 2],
    };
    [false, true].into_iter().zip(distances).zip(cosines).filter_map(move |((mirrored, distance), cosine)| {
        (distance <= most && cosine >= COSINE).then_some(Candidate { distance, first, second, mirrored })
    })
}

/// The nearest of one image's candidates.
fn nearest(mut near: Vec<Candidate>) -> Vec<Candidate> {
    if near.len() > CROWD {
        near.sort_unstable();
        near.truncate(CROWD);
    }
    near
}

/// Whether two images look the same.
fn alike(looks: &[Look], &Candidate { distance, first, second, mirrored }: &Candidate) -> bool {
    let (a, b) = (&looks[first], &looks[second]);
    let (half_a, half_b) = (halved(a.thumbnail, false), halved(b.thumbnail, mirrored));
    let (tone_a, tone_b) = (Tone::of(&half_a, &half_a), Tone::of(&half_b, &half_b));
    let least = TEXTURE * TEXTURE * half_a.len() as f64;
    if tone_a.product < least || tone_b.product < least {
        return false;
    }
    let is_still = || {
        let both = Tone::of(&half_a, &half_b);
        let gain = both.product / tone_a.product;
        let difference: f64 =
            half_a.iter().zip(&half_b).map(|(a, b)| ((b - tone_b.means.0) - gain * (a - tone_a.means.0)).abs()).sum();
        both.product >= STILL_CORRELATION * (tone_a.product * tone_b.product).sqrt()
            && difference <= STILL_DIFFERENCE * half_a.len() as f64
    };
    if distance <= STILL_DISTANCE && is_still() {
        return true;
    }
    !a.is_tiny() && !b.is_tiny() && align::aligned(a.thumbnail, b.thumbnail, mirrored)
}

/// Means of 2 x 2 grey values, rounded; whole numbers, so that sums of them are exact.
fn halved(thumbnail: &[u8], mirrored: bool) -> Vec<f64> {
    let side = THUMBNAIL / 2;
    let mean = |at: usize| {
        let column = if mirrored { side - 1 - at % side } else { at % side };
        let at = 2 * (at / side) * THUMBNAIL + 2 * column;
        let sum: u32 =
            [at, at + 1, at + THUMBNAIL, at + THUMBNAIL + 1].iter().map(|&at| u32::from(thumbnail[at])).sum();
        f64::from((sum + 2) / 4)
    };
    (0..side * side).map(mean).collect()
}

/// How grey values go together.
struct Tone {
    means: (f64, f64),
    /// The sum of products about the means.
    product: f64,
}

impl Tone {
    fn of(a: &[f64], b: &[f64]) -> Self {
        let n = a.len() as f64;
        let (sum_a, sum_b): (f64, f64) = (a.iter().sum(), b.iter().sum());
        let products: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
        Self { means: (sum_a / n, sum_b / n), product: products - sum_a * sum_b / n }
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
#[path = "near_tests.rs"]
mod tests;
