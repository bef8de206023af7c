//! Texts that are nearly the same: found by MinHash with banding, confirmed by the exact Jaccard similarity or by the number of
//! words that differ.
//!
//! Broder, "On the resemblance and containment of documents" (1997): for a random order of all shingles, two sets have the
//! same smallest shingle with a probability that equals their Jaccard similarity J. Of 120 such minima, five in a row are
//! one band (Indyk and Motwani, 1998); texts that agree in any of the 24 bands are compared. A pair of J = 0.8 is missed
//! with a probability of (1 - 0.8^5)^24 = 0.0001, one of 0.7 with 0.012.
//!
//! One order gives many minima where it parts the shingles into as many bins (Li, Owen and Zhang, "One permutation hashing",
//! 2012); an empty bin takes the minimum of the next (Shrivastava and Li, 2014). How many bins an order has depends on how
//! large a set is ([`CLASSES`]).
//!
//! Shingles are runs of five words, and of all but long texts runs of five characters: one word changed in 30 changes a third
//! of their runs of words. Such texts are nearly the same, too, where one word in twenty differs. Short texts are not: "what
//! is the capital of France" and "of Spain" differ in one word, and are two questions.

use std::collections::HashSet;
use std::sync::LazyLock;

use rand::RngExt;
use rayon::prelude::*;

use super::Text;
use super::words::words;
use crate::data::near::Searched;
use crate::rng::rng;

/// The least Jaccard similarity of texts that are nearly the same: of runs of words, or of characters of short texts.
pub(crate) const JACCARD: f64 = 0.8;
/// The least of runs of characters of other texts: about a word in twenty, or a letter in each of several.
const CHARACTERS: f64 = 0.85;
/// Of so many words one may differ, in texts that are not short.
const WORDS_OF_A_CHANGE: usize = 20;
/// Bands of minima.
const BANDS: usize = 24;
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
/// Up to so many pairs, and so many for each text, are compared without exception.
const ALL_PAIRS: usize = 100_000;
const PAIRS: usize = 8;
/// Of more, two texts are compared unless each of them was in vain so often.
const PATIENCE: u32 = 8;

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
            match word.is_ascii() {
                true => out.extend(word.chars().map(|c| c.to_ascii_lowercase())),
                false => out.push_str(&word.to_lowercase()),
            }
        }
    }
    out
}

/// Hashes of the words of a text, in order, and of runs in it.
struct Runs {
    /// Of words.
    words: Option<Vec<u64>>,
    /// Of characters.
    characters: Option<Vec<u64>>,
    sequence: Vec<u64>,
}

impl Runs {
    fn of(text: &str) -> Self {
        let (mut sequence, mut characters) = (Vec::new(), Vec::new());
        for (_, word) in words(text) {
            if !sequence.is_empty() {
                characters.push(' ');
            }
            characters.extend(word.chars());
            sequence.push(hash(word.bytes().map(u64::from)));
        }
        if sequence.is_empty() {
            // Texts of nothing but signs are compared by those.
            characters.extend(text.chars().filter(|c| !c.is_whitespace()));
        }
        let of_characters = || {
            let size = SHINGLE.min(characters.len()).max(1);
            characters.windows(size).map(|run| hash(run.iter().map(|&c| u64::from(c)))).collect()
        };
        let of_words = || sequence.windows(SHINGLE).map(|run| hash(run.iter().copied())).collect();
        Self {
            characters: (sequence.len() < MIDDLE).then(of_characters),
            words: (sequence.len() >= LONG).then(of_words),
            sequence,
        }
    }
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
        let Runs { words, characters, sequence } = Runs::of(text);
        Self { words: words.map(set), characters: characters.map(set), sequence }
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

fn set(mut hashes: Vec<u64>) -> Vec<u64> {
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

/// FNV-1a, a number at a time, then the finisher of SplitMix64, so that all bits depend on all numbers.
fn hash(numbers: impl Iterator<Item = u64>) -> u64 {
    let fnv = numbers.fold(0xCBF2_9CE4_8422_2325, |hash: u64, number| {
        (hash ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29)
    });
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

/// Orders of shingles: x -> a x + b, which is close to min-wise independent for hashed shingles.
static ORDERS: LazyLock<[(u64, u64); HASHES]> = LazyLock::new(|| {
    let mut rng = rng(0, "minhash", 0);
    std::array::from_fn(|_| (rng.random::<u64>() | 1, rng.random()))
});

/// How large sets of a class are at least, as [`size`] has it, and how many bins each of their orders has: three shingles or
/// more for a bin, so that few are empty.
const CLASSES: [(u32, usize); 3] = [(0, 1), (32, 10), (160, 60)];
/// Sets that are nearly as large as those of the next class belong to it too: two of similarity 0.8 share a class.
const NEARLY: f64 = 0.75;

/// How large a set is: how many of 1024 places its members take. Nearly its size where that is small, and the same for the
/// same set, whatever comes twice.
fn size(shingles: &[u64]) -> u32 {
    let mut places = [0_u64; 16];
    shingles.iter().for_each(|shingle| places[(shingle >> 60) as usize] |= 1 << (shingle >> 54 & 63));
    places.iter().map(|place| place.count_ones()).sum()
}

/// The minima of a set in one order, one for each bin.
fn minima(shingles: &[u64], (a, b): (u64, u64), bins: &mut [u32]) {
    bins.fill(u32::MAX);
    for shingle in shingles {
        // The place in the order as a fraction, times the bins: the bin, and the place in it.
        let place = u128::from(a.wrapping_mul(*shingle).wrapping_add(b)) * bins.len() as u128;
        let bin = &mut bins[(place >> 64) as usize];
        *bin = (*bin).min((place >> 32) as u32);
    }
    let taken: Vec<usize> = (0..bins.len()).filter(|&bin| bins[bin] < u32::MAX).collect();
    let Some(&first) = taken.first().filter(|_| taken.len() < bins.len()) else { return };
    for bin in (0..bins.len()).filter(|bin| taken.binary_search(bin).is_err()).collect::<Vec<usize>>() {
        let next = taken.get(taken.partition_point(|&other| other < bin)).copied().unwrap_or(first + bins.len());
        let value = bins[next % bins.len()];
        bins[bin] = value.wrapping_add(((next - bin) as u32).wrapping_mul(0x9E37_79B9));
    }
}

/// Tables in which texts are looked up: of runs of words and of characters, each with its classes.
const TABLES: usize = 2 * CLASSES.len();

/// What a text is looked up by: for each table that it stands in, a number for each band.
#[derive(Debug, Clone)]
pub(crate) struct Sketch(Box<[(u8, [u32; BANDS])]>);

impl Sketch {
    /// Of a text (see [`normalised`]).
    pub(crate) fn of(text: &str) -> Self {
        let Runs { words, characters, .. } = Runs::of(text);
        let mut rows = Vec::new();
        for (kind, shingles) in [words, characters].into_iter().enumerate() {
            let Some(shingles) = shingles.filter(|shingles| !shingles.is_empty()) else { continue };
            let size = size(&shingles);
            for (class, &(least, bins)) in CLASSES.iter().enumerate() {
                let next = CLASSES.get(class + 1).map_or(u32::MAX, |next| next.0);
                if f64::from(size) >= NEARLY * f64::from(least) && size < next {
                    rows.push(((kind * CLASSES.len() + class) as u8, bands(&shingles, bins)));
                }
            }
        }
        Self(rows.into_boxed_slice())
    }
}

/// One number for each band of a set of shingles, by orders of so many bins.
fn bands(shingles: &[u64], bins: usize) -> [u32; BANDS] {
    let mut all = [0; HASHES];
    all.chunks_exact_mut(bins).zip(ORDERS.iter()).for_each(|(bins, order)| minima(shingles, *order, bins));
    let band = |rows: &[u32]| (hash(rows.iter().map(|&row| u64::from(row))) >> 32) as u32;
    std::array::from_fn(|at| band(&all[at * ROWS..(at + 1) * ROWS]))
}

/// Calls `found(i, j)` (with `i < j`) for texts that are nearly the same; `text` gives them (see [`normalised`]) where they are
/// compared. `wanted(i, j)` is asked before a costly comparison and may spare it. The order of calls depends on the texts
/// alone; a pair may be reported more than once. Where very many share a band, each is compared with the next 64 in order
/// only, and where very many are alike and not the same, each with a few; [`Searched::is_cut`] says so.
pub(crate) fn search(
    sketches: &[&Sketch],
    text: impl Fn(usize) -> String,
    mut wanted: impl FnMut(usize, usize) -> bool,
    mut found: impl FnMut(usize, usize),
) -> Searched {
    // Pairs that were compared and are not alike: they may meet again in the next band.
    let mut unlike: HashSet<(u32, u32)> = HashSet::new();
    let mut in_vain = vec![0_u32; sketches.len()];
    let mut searched = Searched::default();
    let free = ALL_PAIRS + PAIRS * sketches.len();
    for table in 0..TABLES as u8 {
        let row = |(index, sketch): (usize, &&Sketch)| {
            // A limit on all texts keeps them far below 2^32.
            sketch.0.iter().position(|row| row.0 == table).map(|at| (index as u32, at))
        };
        let rows: Vec<(u32, usize)> = sketches.iter().enumerate().filter_map(row).collect();
        for band in 0..BANDS {
            let key = |&(index, at): &(u32, usize)| (sketches[index as usize].0[at].1[band], index);
            let mut order: Vec<(u32, u32)> = rows.iter().map(key).collect();
            order.par_sort_unstable();
            for bucket in order.chunk_by(|a, b| a.0 == b.0).filter(|bucket| bucket.len() > 1) {
                let mut known: Vec<Option<Shingles>> = bucket.iter().map(|_| None).collect();
                for place in 0..bucket.len() {
                    let first = bucket[place].1;
                    let i = first as usize;
                    let last = (place + 1 + CROWD).min(bucket.len());
                    searched.is_cut |= last < bucket.len() && wanted(i, bucket[last].1 as usize);
                    for next in place + 1..last {
                        let second = bucket[next].1;
                        let j = second as usize;
                        if unlike.contains(&(first, second)) || !wanted(i, j) {
                            continue;
                        }
                        if searched.compared >= free && in_vain[i].min(in_vain[j]) >= PATIENCE {
                            searched.is_cut = true;
                            continue;
                        }
                        for at in [place, next] {
                            known[at].get_or_insert_with(|| Shingles::of(&text(bucket[at].1 as usize)));
                        }
                        searched.compared += 1;
                        match known[place].as_ref().zip(known[next].as_ref()).is_some_and(|(a, b)| alike(a, b)) {
                            true => found(i, j),
                            false => {
                                unlike.insert((first, second));
                                in_vain[i] += 1;
                                in_vain[j] += 1;
                            }
                        }
                    }
                    known[place] = None;
                }
            }
        }
    }
    searched
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    fn pairs(texts: &[String]) -> BTreeSet<(usize, usize)> {
        let sketches: Vec<Sketch> = texts.iter().map(|text| Sketch::of(text)).collect();
        let mut pairs = BTreeSet::new();
        search(
            &sketches.iter().collect::<Vec<_>>(),
            |index| texts[index].clone(),
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
    fn sets_of_one_similarity_are_found_at_every_size() {
        // One shingle in ten is another: J = 0.82. The larger set of a pair is of the next class now and then.
        for n in [4_u64, 10, 28, 31, 33, 60, 118, 150, 161, 300, 2000] {
            let mut missed = 0;
            for seed in 0..40 {
                let shingles = |other: u64| -> Vec<u64> {
                    (0..n).map(|at| hash([seed, at, if at % 10 == 9 { other } else { 0 }].into_iter())).collect()
                };
                let of_classes = |shingles: &[u64]| {
                    let size = f64::from(size(shingles));
                    let (_, bins) = *CLASSES.iter().rfind(|class| size >= NEARLY * f64::from(class.0)).unwrap();
                    bands(shingles, bins)
                };
                let (a, b) = (of_classes(&shingles(1)), of_classes(&shingles(2)));
                missed += usize::from(a.iter().zip(&b).all(|(a, b)| a != b));
            }
            assert!(missed <= 1, "{n}: {missed} of 40");
        }
        let twice: Vec<u64> = (0..200).map(|at| hash([at % 100].into_iter())).collect();
        assert_eq!(size(&twice), size(&twice[..100]));
        assert_eq!(bands(&twice, 60), bands(&twice[..100], 60));
    }

    #[test]
    fn a_crowd_costs_bounded_work() {
        let (text, count) = ("one and the same text".to_owned(), 3000);
        let sketch = Sketch::of(&text);
        let mut asked = 0;
        let searched = search(
            &vec![&sketch; count],
            |_| text.clone(),
            |_, _| {
                asked += 1;
                false
            },
            |_, _| {},
        );
        assert!(asked <= BANDS * (CROWD + 1) * count);
        assert_eq!(searched, Searched::default(), "nothing that is wanted was left out");
        let searched = search(&vec![&sketch; 100], |_| text.clone(), |i, j| j == i + CROWD + 1, |_, _| {});
        assert_eq!(searched, Searched { compared: 0, is_cut: true });
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
