//! Word similarity: the rank correlation of cosines with people's ratings.

use serde::Serialize;

use super::questions::Rated;
use super::scores::{dot, unit};
use crate::bases::text::WordVectors;
use crate::error::Result;
use crate::metrics::{Estimate, rank_correlation};

/// Unknown words that are named.
const NAMED: usize = 20;

/// How well cosines rank the pairs of a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WordSimilarity {
    /// The list: its file's name.
    pub list: String,
    /// All pairs.
    pub pairs: usize,
    /// Pairs both of whose words have vectors. The others are left out.
    pub rated: usize,
    /// Of these, pairs with a word whose vector is made of its character n-grams.
    pub composed: usize,
    /// Spearman's rank correlation, equal numbers sharing their mean rank; none for fewer than three pairs, or where all are alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spearman: Option<Estimate>,
    /// Different words without a vector: the first of them.
    pub unknown: Vec<String>,
}

/// Rates the pairs of a list by the first `words` words, and by what n-grams make.
pub(super) fn rate(vectors: &WordVectors, words: usize, list: &Rated) -> Result<WordSimilarity> {
    let (mut cosines, mut ratings, mut unknown, mut composed) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let is_far = |word: &str| vectors.find(word).is_some_and(|row| row >= words);
    for (a, b, rating) in &list.pairs {
        let mut sides = Vec::new();
        for word in [a, b] {
            let vector = if is_far(word) { None } else { vectors.composed(word)? };
            match vector.map(|vector| unit(&vector)).filter(|vector| vector.iter().any(|x| *x != 0.0)) {
                Some(vector) => sides.push(vector),
                None if !unknown.contains(word) => unknown.push(word.clone()),
                None => {}
            }
        }
        if let [a_vector, b_vector] = sides.as_slice() {
            cosines.push(dot(a_vector, b_vector));
            ratings.push(*rating);
            composed += usize::from([a, b].into_iter().any(|word| vectors.find(word).is_none()));
        }
    }
    unknown.truncate(NAMED);
    Ok(WordSimilarity {
        list: list.name.clone(),
        pairs: list.pairs.len(),
        rated: ratings.len(),
        composed,
        spearman: rank_correlation(&cosines, &ratings, "Spearman's rank correlation of cosines and ratings"),
        unknown,
    })
}
