//! Texts that are nearly the same: found by MinHash with banding, confirmed by the exact Jaccard similarity or by the number of
//! words that differ.
//!
//! Broder, "On the resemblance and containment of documents" (1997): for a random order of all shingles, two sets have the
//! same smallest shingle with a probability that equals their Jaccard similarity J. Of 100 such minima, five in a row are
//! one band (Indyk and Motwani, 1998); texts that agree in any of the 20 bands are compared. A pair of J = 0.8 is missed
//! with a probability of (1 - 0.8^5)^20 = 0.0004, one of 0.7 with 0.025.
//!
//! Shingles are runs of five words, and of all but long texts runs of five characters: one word changed in 30 changes a third
//! of their runs of words. Such texts are nearly the same, too, where one word in twenty differs. Short texts are not: "what
//! is the capital of France" and "of Spain" differ in one word, and are two questions.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use rand::RngExt;
use rayon::prelude::*;

use super::Text;
use super::words::words;
use crate::rng::rng;

/// The least Jaccard similarity of texts that are nearly the same: of runs of words, or of characters of short texts.
pub(crate) const JACCARD: f64 = 0.8;
/// The least of runs of characters of other texts: about a word in twenty, or a letter in each of several.
const CHARACTERS: f64 = 0.85;
/// Of so many words one may differ, in texts that are not short.
const WORDS_OF_A_CHANGE: usize = 20;
/// Bands of minima.
const BANDS: usize = 20;
/// Minima in a band.
const ROWS: usize = 5;
/// Minima of a text.
const HASHES: usize = BANDS * ROWS;
/// Words, or characters, in a shingle.
const SHINGLE: usize = 5;
/// Texts of fewer words are short.
const SHORT: usize = 20;
/// Texts of fewer words have shingles of characters. Of more, a word changed leaves 0.8 of the runs of words as they are.
const MIDDLE: usize = 60;
/// Texts of at least this many words have shingles of words. Two of similarity 0.8 differ in length by a fifth at most.
const LONG: usize = 16;
/// Texts compared with each other without exception when they share a band.
const CROWD: usize = 64;

/// A text as it is compared: lower case, white space as single spaces; the parts of a pair with a line's end between them.
pub(crate) fn normalised(text: &Text) -> String {
    let mut out = String::new();
    for (number, part) in text.parts().enumerate() {
        if number > 0 {
            out.push('\n');
        }
        for (place, word) in part.split_whitespace().enumerate() {
            if place > 0 {
                out.push(' ');
            }
            out.push_str(&word.to_lowercase());
        }
    }
    out
}

/// What texts are compared by.
#[derive(Debug)]
struct Shingles {
    /// Sorted hashes of runs of words, each once.
    words: Option<Vec<u64>>,
    /// The same of runs of characters.
    characters: Option<Vec<u64>>,
    /// Hashes of all words, in order.
    sequence: Vec<u64>,
}

impl Shingles {
    fn of(text: &str) -> Self {
        let words: Vec<String> = words(text).map(|(_, word)| word.into_owned()).collect();
        // Texts of nothing but signs are compared by those.
        let characters = || match words.is_empty() {
            true => text.chars().filter(|c| !c.is_whitespace()).collect::<Vec<char>>(),
            false => words.join(" ").chars().collect(),
        };
        let of_words =
            || set(words.windows(SHINGLE).map(|run| hash(run.iter().flat_map(|word| word.bytes().chain([0])))));
        let of_characters = || {
            let characters = characters();
            let size = SHINGLE.min(characters.len()).max(1);
            set(characters.windows(size).map(|run| hash(run.iter().flat_map(|&c| u32::from(c).to_le_bytes()))))
        };
        Self {
            characters: (words.len() < MIDDLE).then(of_characters),
            words: (words.len() >= LONG).then(of_words),
            sequence: words.iter().map(|word| hash(word.bytes())).collect(),
        }
    }

    fn kinds(&self) -> [Option<&[u64]>; 2] {
        [self.words.as_deref(), self.characters.as_deref()]
    }
}

/// Whether two texts are nearly the same.
fn alike(a: &Shingles, b: &Shingles) -> bool {
    let similarity =
        |a: &Option<Vec<u64>>, b: &Option<Vec<u64>>| a.as_ref().zip(b.as_ref()).map(|(a, b)| jaccard(a, b));
    let words = a.sequence.len().min(b.sequence.len());
    let least = if words < SHORT { JACCARD } else { CHARACTERS };
    similarity(&a.words, &b.words).is_some_and(|similarity| similarity >= JACCARD)
        || similarity(&a.characters, &b.characters).is_some_and(|similarity| similarity >= least)
        || words >= SHORT && differ_in(&a.sequence, &b.sequence, words / WORDS_OF_A_CHANGE)
}

/// Whether at most so many words are to be changed, put in or left out to make one text of the other (Levenshtein's distance,
/// only near the diagonal).
fn differ_in(a: &[u64], b: &[u64], most: usize) -> bool {
    if a.len().abs_diff(b.len()) > most {
        return false;
    }
    let beyond = most + 1;
    // What it takes to make the first words of `b`, as many as the place says, of the first words of `a`.
    let mut costs: Vec<usize> = (0..=b.len()).map(|words| words.min(beyond)).collect();
    for (row, word) in a.iter().enumerate() {
        let (from, to) = ((row + 1).saturating_sub(most), (row + 1 + most).min(b.len()));
        let mut before = costs[from.max(1) - 1];
        costs[from.max(1) - 1] = if from == 0 { (row + 1).min(beyond) } else { beyond };
        for column in from.max(1)..=to {
            let changed = before + usize::from(b[column - 1] != *word);
            before = costs[column];
            // One beyond the band was not counted in this row before.
            let left_out = if column == row + 1 + most { beyond } else { before + 1 };
            costs[column] = changed.min(left_out).min(costs[column - 1] + 1).min(beyond);
        }
    }
    costs[b.len()] <= most
}

fn set(hashes: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut hashes: Vec<u64> = hashes.collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

/// FNV-1a, then the finisher of SplitMix64, so that all bits depend on all bytes.
fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    let fnv =
        bytes.fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3));
    let mixed = (fnv ^ fnv >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

fn jaccard(a: &[u64], b: &[u64]) -> f64 {
    let (mut i, mut j, mut shared) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => (i, j, shared) = (i + 1, j + 1, shared + 1),
        }
    }
    let all = a.len() + b.len() - shared;
    if all == 0 { 0.0 } else { shared as f64 / all as f64 }
}

/// Random orders of shingles: x -> the upper half of a x + b, which is close to min-wise independent for hashed shingles.
struct Orders([(u64, u64); HASHES]);

impl Orders {
    fn new() -> Self {
        let mut rng = rng(0, "minhash", 0);
        Self(std::array::from_fn(|_| (rng.random::<u64>() | 1, rng.random())))
    }

    /// One number for each band of a set of shingles.
    fn bands(&self, shingles: &[u64]) -> [u64; BANDS] {
        let mut minima = [u32::MAX; HASHES];
        for &shingle in shingles {
            for (minimum, &(a, b)) in minima.iter_mut().zip(&self.0) {
                *minimum = (*minimum).min((a.wrapping_mul(shingle).wrapping_add(b) >> 32) as u32);
            }
        }
        let mut bands = minima.chunks_exact(ROWS).map(|rows| hash(rows.iter().flat_map(|row| row.to_le_bytes())));
        std::array::from_fn(|_| bands.next().unwrap_or_default())
    }
}

/// Calls `found(i, j)` (with `i < j`) for texts (see [`normalised`]) that are nearly the same. `wanted(i, j)`
/// is asked before a costly comparison and may spare it. The order of calls depends on the texts alone; a pair may be
/// reported more than once. Where very many share a band, each is compared with the next 64 in order only.
pub(crate) fn search(
    texts: &[&str],
    mut wanted: impl FnMut(usize, usize) -> bool,
    mut found: impl FnMut(usize, usize),
) {
    let orders = Orders::new();
    let shingles: Vec<OnceLock<Shingles>> = texts.iter().map(|_| OnceLock::new()).collect();
    let of = |index: usize| shingles[index].get_or_init(|| Shingles::of(texts[index]));
    let bands: Vec<[Option<[u64; BANDS]>; 2]> = texts
        .par_iter()
        .map(|text| {
            Shingles::of(text).kinds().map(|kind| kind.filter(|set| !set.is_empty()).map(|set| orders.bands(set)))
        })
        .collect();
    // Pairs that were compared and are not alike: they may meet again in the next band.
    let mut unlike = BTreeSet::new();
    for kind in 0..2 {
        for band in 0..BANDS {
            let mut order: Vec<(u64, usize)> =
                bands.iter().enumerate().filter_map(|(index, bands)| Some((bands[kind]?[band], index))).collect();
            order.sort_unstable();
            for bucket in order.chunk_by(|a, b| a.0 == b.0) {
                for (place, &(_, i)) in bucket.iter().enumerate() {
                    for &(_, j) in bucket[place + 1..].iter().take(CROWD) {
                        if unlike.contains(&(i, j)) || !wanted(i, j) {
                            continue;
                        }
                        match alike(of(i), of(j)) {
                            true => found(i, j),
                            false => {
                                unlike.insert((i, j));
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(texts: &[String]) -> BTreeSet<(usize, usize)> {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut pairs = BTreeSet::new();
        search(
            &texts,
            |_, _| true,
            |i, j| {
                pairs.insert((i, j));
            },
        );
        pairs
    }

    /// Words of a made-up language, drawn by a number.
    fn sentence(seed: u64, length: usize) -> Vec<String> {
        let mut rng = rng(seed, "sentence", 0);
        (0..length).map(|_| format!("w{}", rng.random_range(0..5000))).collect()
    }

    #[test]
    fn one_letter_or_one_word_changed_is_nearly_the_same() {
        let long = sentence(1, 80);
        let mut changed = long.clone();
        changed[79] = "other".into();
        let short = "the food was great and we will surely come back again next week".to_owned();
        let texts = [
            long.join(" "),
            changed.join(" "),
            short.clone(),
            short.replace("week", "weeks"),
            sentence(2, 80).join(" "),
        ];
        assert_eq!(pairs(&texts), [(0, 1), (2, 3)].into());
    }

    #[test]
    fn one_word_changed_in_twenty_is_found_at_every_length_and_place() {
        for length in 20..=70 {
            for place in [0, length / 3, length - 1] {
                let text = sentence(length as u64, length);
                let (mut changed, mut lacking) = (text.clone(), text.clone());
                changed[place] = "extraordinarily".into();
                lacking.remove(place);
                let mut twice = changed.clone();
                twice[(place + length / 2) % length] = "extraordinarily".into();
                twice[(place + length / 4) % length] = "uncharacteristically".into();
                let pairs_of = |other: &[String]| pairs(&[text.join(" "), other.join(" ")]);
                assert_eq!(pairs_of(&changed), [(0, 1)].into(), "{length} {place}");
                // One of 19 is a short text.
                assert!(length == 20 || pairs_of(&lacking) == [(0, 1)].into(), "{length} {place}");
                assert!(length >= 40 || pairs_of(&twice).is_empty(), "three of {length} words at {place}");
            }
        }
    }

    #[test]
    fn short_templates_are_not_merged() {
        let capitals = ["France", "Spain", "Italy", "Norway"].map(|name| format!("What is the capital of {name} ?"));
        assert_eq!(pairs(&capitals), BTreeSet::new());
        let longer = ["bridge", "market", "harbour"]
            .map(|place| format!("How do I get from the station to the {place} on foot ?"));
        assert_eq!(pairs(&longer), BTreeSet::new());
    }

    #[test]
    fn white_space_and_case_do_not_count() {
        let text = Text { first: " A  b\n C".into(), second: Some("D".into()) };
        assert_eq!(normalised(&text), "a b c\nd");
        assert_eq!(pairs(&["!!!".into(), "!!!".into(), "\u{1f600}".into(), String::new()]), [(0, 1)].into());
    }

    #[test]
    fn a_crowd_costs_bounded_work() {
        let texts: Vec<&str> = vec!["one and the same text"; 3000];
        let mut asked = 0;
        search(
            &texts,
            |_, _| {
                asked += 1;
                false
            },
            |_, _| {},
        );
        assert!(asked <= BANDS * CROWD * texts.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn pairs_above_the_threshold_are_found(seeds in proptest::collection::vec((0..6u64, 0..3usize), 2..20)) {
            let texts: Vec<String> = seeds
                .iter()
                .map(|&(seed, cut)| {
                    let words = sentence(seed, 10 + 9 * seed as usize);
                    words[..words.len() - cut].join(" ")
                })
                .collect();
            let pairs = pairs(&texts);
            for j in 0..texts.len() {
                for i in 0..j {
                    prop_assert_eq!(pairs.contains(&(i, j)), alike(&Shingles::of(&texts[i]), &Shingles::of(&texts[j])), "{} {}", texts[i], texts[j]);
                }
            }
        }

        #[test]
        fn words_that_differ_are_counted(
            a in proptest::collection::vec(0..3u64, 0..12), b in proptest::collection::vec(0..3u64, 0..12), most in 0..4usize,
        ) {
            let mut costs: Vec<usize> = (0..=b.len()).collect();
            for (row, word) in a.iter().enumerate() {
                let mut before = costs[0];
                costs[0] = row + 1;
                for column in 1..=b.len() {
                    let changed = before + usize::from(b[column - 1] != *word);
                    before = costs[column];
                    costs[column] = changed.min(before + 1).min(costs[column - 1] + 1);
                }
            }
            prop_assert_eq!(differ_in(&a, &b, most), costs[b.len()] <= most, "{}", costs[b.len()]);
        }

        #[test]
        fn any_texts_are_compared(texts in proptest::collection::vec("\\PC{0,40}", 0..12)) {
            pairs(&texts);
        }
    }
}
