//! Which words spoke for an answer: each is left out in turn, and what the answer loses is what the word gave
//! (occlusion; Li, Monroe and Jurafsky 2016, "Understanding neural networks through representation erasure"). Of a long text
//! neighbouring words are left out together.

use serde::{Deserialize, Serialize};

use crate::data::text::{Text, spans};
use crate::error::Result;
use crate::features::TextExtractor;
use crate::targets::Predictor;

/// Places of a text that are left out, one after the other: of a text of more words each is a run of some.
const MOST: usize = 48;

/// A word, or a run of neighbouring words, and what it gave to the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WordWeight {
    /// Where it begins in its text, in bytes.
    pub at: usize,
    /// The word or words as they stand there.
    pub word: String,
    /// Whether it stands in the second text of a pair.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) second: bool,
    /// The probability of the class with the word, minus without it.
    pub weight: f32,
}

/// What each word of a text, or each run of neighbouring words of one of more than 48, gives to the probability of a class, in the
/// order of the text; of a pair, those of the first text and then those of the second.
pub(crate) fn explain(
    extractor: &TextExtractor,
    predictor: &Predictor,
    text: &Text,
    class: usize,
) -> Result<Vec<WordWeight>> {
    let mut found = runs(&text.first, false);
    found.extend(text.second.iter().flat_map(|second| runs(second, true)));
    let without = found.iter().map(|run| {
        let rest = |part: &str| format!("{}{}", &part[..run.at], &part[run.at + run.word.len()..]);
        match (&text.second, run.second) {
            (Some(second), true) => Text { first: text.first.clone(), second: Some(rest(second)) },
            _ => Text { first: rest(&text.first), second: text.second.clone() },
        }
    });
    let variants: Vec<Text> = std::iter::once(text.clone()).chain(without).collect();
    let rows = extractor.rows(&variants.iter().collect::<Vec<_>>())?;
    let probability = |row: &Vec<f32>| predictor.answer(row).class().map_or(0.0, |answer| answer.probabilities[class]);
    let whole = rows.first().map_or(0.0, probability);
    let weights: Vec<f32> = rows.iter().skip(1).map(|row| whole - probability(row)).collect();
    Ok(found.into_iter().zip(weights).map(|(run, weight)| WordWeight { weight, ..run }).collect())
}

/// The words of a text, or as few runs of them as [`MOST`]; without weights.
fn runs(text: &str, second: bool) -> Vec<WordWeight> {
    let words: Vec<(usize, &str)> = spans(text).collect();
    let together = words.len().div_ceil(MOST).max(1);
    let run = |words: &[(usize, &str)]| {
        let (at, (last, word)) = (words[0].0, words[words.len() - 1]);
        WordWeight { at, word: text[at..last + word.len()].to_owned(), second, weight: 0.0 }
    };
    words.chunks(together).map(run).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_covered_to_their_ends() {
        let short = runs("not bad, at all", false);
        assert_eq!(short.iter().map(|run| run.word.as_str()).collect::<Vec<_>>(), ["not", "bad", "at", "all"]);
        let text: String = (0..100).map(|at| format!("w{at} ")).collect();
        let long = runs(&text, true);
        assert!(long.len() <= MOST && long.iter().all(|run| run.second));
        assert_eq!((long[0].word.as_str(), long[0].at), ("w0 w1 w2", 0));
        let last = long.last().unwrap();
        assert_eq!((last.word.as_str(), last.at + last.word.len()), ("w99", text.trim_end().len()));
        assert!(runs("", false).is_empty());
    }
}
