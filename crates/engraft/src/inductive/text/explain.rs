//! Which words spoke for an answer: each is left out in turn, and what the answer loses is what the word gave
//! (occlusion; Li, Monroe and Jurafsky 2016, "Understanding neural networks through representation erasure").

use serde::{Deserialize, Serialize};

use crate::data::text::{Text, spans};
use crate::error::Result;
use crate::features::TextExtractor;
use crate::inductive::Predictor;

/// Words of a text that are looked at; those after them are left as they are.
const MOST: usize = 48;

/// A word and what it gave to the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WordWeight {
    /// Where it begins in the (first) text, in bytes.
    pub at: usize,
    /// The word as it stands there.
    pub word: String,
    /// The probability of the class with the word, minus without it.
    pub weight: f32,
}

/// What each of the first words of a text gives to the probability of a class, in the order of the text.
pub fn explain(extractor: &TextExtractor, predictor: &Predictor, text: &Text, class: usize) -> Result<Vec<WordWeight>> {
    let found: Vec<(usize, &str)> = spans(&text.first).take(MOST).collect();
    let without = found.iter().map(|(at, word)| {
        let first = format!("{}{}", &text.first[..*at], &text.first[at + word.len()..]);
        Text { first, second: text.second.clone() }
    });
    let variants: Vec<Text> = std::iter::once(text.clone()).chain(without).collect();
    let rows = extractor.rows(&variants.iter().collect::<Vec<_>>())?;
    let probability = |row: &Vec<f32>| predictor.answer(row).probabilities[class];
    let whole = rows.first().map_or(0.0, probability);
    let weights = rows.iter().skip(1).map(|row| whole - probability(row));
    Ok(found
        .into_iter()
        .zip(weights)
        .map(|((at, word), weight)| WordWeight { at, word: word.to_owned(), weight })
        .collect())
}
