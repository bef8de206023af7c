//! Which pairs share a sentence, and splits that part no two of those.
//!
//! Pairs are the edges of a graph whose nodes are sentences; those of one connected component stay together, or a sentence of the test set would
//! have been seen in training, on one side at least.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::SentencePair;
use crate::data::dataset::Split;
use crate::data::near::Groups;
use crate::data::text::words;
use crate::error::{Error, Problem, Result};
use crate::rng::permutation;

/// A component of more pairs than this share of a split is not drawn for it: one large component would be a split of its own.
const LARGEST: f64 = 0.02;
/// Such a component has at least so many pairs.
const LEAST: usize = 10;

/// What a sentence is known by: its words in lower case, without punctuation; of one without words all of it. A hash of 128 bits.
fn key(sentence: &str) -> u128 {
    let mut hash = Sha256::new();
    let mut any = false;
    for (_, word) in words(sentence) {
        hash.update(word.as_bytes());
        hash.update([0]);
        any = true;
    }
    if !any {
        hash.update([1]);
        hash.update(sentence.as_bytes());
    }
    let digest = hash.finalize();
    digest.iter().take(16).fold(0, |key, &byte| key << 8 | u128::from(byte))
}

/// Which component each pair is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Components {
    /// For each pair its component. They are numbered in the order in which the pairs first show them.
    pub of: Vec<u32>,
    /// The number of pairs of each component.
    pub sizes: Vec<u32>,
}

impl Components {
    /// The number of components.
    pub fn count(&self) -> usize {
        self.sizes.len()
    }

    /// The pairs of the largest component.
    pub fn largest(&self) -> usize {
        self.sizes.iter().max().map_or(0, |&size| size as usize)
    }

    /// For each pair the first pair of its component.
    pub fn groups(&self) -> Vec<usize> {
        let mut first = vec![usize::MAX; self.count()];
        let group = |(index, &component): (usize, &u32)| {
            let first = &mut first[component as usize];
            *first = (*first).min(index);
            *first
        };
        self.of.iter().enumerate().map(group).collect()
    }

    /// Makes one of the components of two pairs of each couple.
    #[must_use]
    pub(super) fn joined(&self, couples: &[(u32, u32)]) -> Self {
        let mut groups = Groups::new(self.count());
        for &(a, b) in couples {
            groups.join(self.of[a as usize] as usize, self.of[b as usize] as usize);
        }
        numbered(self.of.iter().map(|&component| groups.of(component as usize)))
    }
}

/// Components in the order in which their first members come.
fn numbered(groups: impl Iterator<Item = usize>) -> Components {
    let mut numbers: HashMap<usize, u32> = HashMap::new();
    let mut sizes: Vec<u32> = Vec::new();
    let number_of = |group| {
        let number = *numbers.entry(group).or_insert(sizes.len() as u32);
        if number as usize == sizes.len() {
            sizes.push(0);
        }
        sizes[number as usize] += 1;
        number
    };
    let of = groups.map(number_of).collect();
    Components { of, sizes }
}

/// The connected components of pairs that share a sentence on the same side, but for case, white space and punctuation. An empty side is
/// shared with nobody.
pub fn components(pairs: &[SentencePair]) -> Components {
    let mut groups = Groups::new(pairs.len());
    for side in
        [|pair: &SentencePair| &pair.source, |pair: &SentencePair| &pair.target] as [fn(&SentencePair) -> &String; 2]
    {
        let mut first: HashMap<u128, usize> = HashMap::with_capacity(pairs.len());
        for (index, pair) in pairs.iter().enumerate() {
            let sentence = side(pair);
            if !sentence.is_empty() {
                groups.join(index, *first.entry(key(sentence)).or_insert(index));
            }
        }
    }
    numbered((0..pairs.len()).map(|index| groups.of(index)))
}

/// Pairs in splits, whole components each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairSplits {
    /// For each pair its split; none where it is left out.
    pub of: Vec<Option<Split>>,
    /// Pairs of the training, validation and test split.
    pub sizes: [usize; 3],
    /// Components that were too large to be held out, and their pairs.
    pub too_large: (usize, usize),
}

/// Holds out about so many pairs, whole components at random, until each split has that many: the test split is drawn first. The rest is for
/// training. Pairs of which `usable` is false are in no split.
///
/// Components of more than 2 % of a split (10 pairs at least) are not held out, so that what is held out are sentences with few translations; how many
/// pairs that concerns is in the result. The same seed gives the same splits whatever the number of threads.
///
/// # Errors
/// [`Error::Data`] where fewer than that many pairs can be held out, or nothing is left for training.
pub fn split_pairs(
    components: &Components,
    usable: &[bool],
    validation: usize,
    test: usize,
    seed: u64,
) -> Result<PairSplits> {
    let mut sizes = vec![0_usize; components.count()];
    for (&component, _) in components.of.iter().zip(usable).filter(|(_, usable)| **usable) {
        sizes[component as usize] += 1;
    }
    let cap = |wanted: usize| ((wanted as f64 * LARGEST) as usize).max(LEAST);
    let order = permutation(components.count(), seed, "pairs/split", 0);
    let mut drawn: Vec<Option<Split>> = vec![None; components.count()];
    let mut counts = [0; 3];
    for (place, split, wanted) in [(2, Split::Test, test), (1, Split::Val, validation)] {
        for &component in &order {
            let size = sizes[component];
            let fits = counts[place] + size <= wanted && size <= cap(wanted);
            if size > 0 && fits && drawn[component].is_none() {
                drawn[component] = Some(split);
                counts[place] += size;
            }
        }
        if counts[place] < wanted {
            let problem = Problem::new(format!("too few sentence pairs to hold out for the {} split", split.name()));
            let problem = problem.expected(format!("{wanted} pairs that share no sentence with the others"));
            let found =
                format!("{} of {} usable pairs, in components of at most {}", counts[place], usable.len(), cap(wanted));
            return Err(Error::Data(problem.found(found).hint("hold out fewer")));
        }
    }
    let held_out_at_most = cap(test.max(validation));
    let large = sizes.iter().filter(|&&size| size > held_out_at_most);
    let too_large = (large.clone().count(), large.sum());
    let of: Vec<Option<Split>> = components
        .of
        .iter()
        .zip(usable)
        .map(|(&component, &usable)| usable.then(|| drawn[component as usize].unwrap_or(Split::Train)))
        .collect();
    counts[0] = of.iter().filter(|split| **split == Some(Split::Train)).count();
    if counts[0] == 0 {
        let problem = Problem::new("no sentence pair is left to train on").expected("more pairs than are held out");
        return Err(Error::Data(problem.found(format!("{} pairs", usable.len()))));
    }
    Ok(PairSplits { of, sizes: counts, too_large })
}

/// What one set of pairs has in common with another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedSentences {
    /// Indices of the pairs, ascending, of which the one or the other side stands among the others, on any side.
    pub pairs: Vec<usize>,
    /// Different sentences that are in both.
    pub sentences: usize,
}

/// The pairs of `training` that share a sentence with `held_out`, on whichever sides it stands: what a parent must not have been trained on
/// where its child is measured. But for case, white space and punctuation.
pub fn shared_sentences<'a>(
    training: &[SentencePair],
    held_out: impl IntoIterator<Item = &'a SentencePair>,
) -> SharedSentences {
    // Whether the sentence was found in the training set.
    let mut held: HashMap<u128, bool> = HashMap::new();
    for pair in held_out {
        for side in [&pair.source, &pair.target].into_iter().filter(|side| !side.is_empty()) {
            held.insert(key(side), false);
        }
    }
    let mut found = |sentence: &String| match held.get_mut(&key(sentence)) {
        Some(seen) if !sentence.is_empty() => {
            *seen = true;
            true
        }
        _ => false,
    };
    let mut is_shared = |pair: &SentencePair| {
        let (source, target) = (found(&pair.source), found(&pair.target));
        source || target
    };
    let pairs = (0..training.len()).filter(|&index| is_shared(&training[index])).collect();
    SharedSentences { pairs, sentences: held.values().filter(|seen| **seen).count() }
}
