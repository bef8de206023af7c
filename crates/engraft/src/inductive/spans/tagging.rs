//! Tagged words: a linear head on the first sub-word of each word (Devlin et al. 2019, section 5.3), and the most probable
//! sequence of tags that BIO allows (Viterbi 1967).

use std::collections::BTreeMap;
use std::ops::Range;

use burn::prelude::*;
use burn::tensor::TensorData;
use burn::tensor::activation::log_softmax;
use serde::Serialize;
use unicode_segmentation::UnicodeSegmentation;

use crate::backbone::text::{Encoded, Tokenizer};
use crate::data::text::conll::{TaggedSentence, spans_of_tags, tags_of};
use crate::error::Result;
use crate::evaluate::Span;
use crate::inductive::spans::headed::{TokenReader, TokenTargets};
use crate::train::{ShardLoss, argmax};

/// Part of a sentence that fits into an encoder.
#[derive(Debug, Clone)]
pub struct Piece {
    /// The sentence.
    pub sentence: usize,
    /// Its first word.
    pub first: usize,
    /// The token of each word's first sub-word; none where the tokenizer makes nothing of a word.
    pub tokens: Vec<Option<usize>>,
}

/// The tokens of sentences, cut into halves until each fits into `limit` tokens.
pub fn pieces_of(tokenizer: &Tokenizer, sentences: &[&[String]], limit: usize) -> Result<(Vec<Piece>, Vec<Encoded>)> {
    let (mut pieces, mut texts) = (Vec::new(), Vec::new());
    for (sentence, words) in sentences.iter().enumerate() {
        let mut left = vec![(0, words.len())];
        while let Some((first, end)) = left.pop() {
            let part: Vec<&str> = words[first..end].iter().map(String::as_str).collect();
            let encoded = tokenizer.encode_words(&part, limit)?;
            if encoded.cut > 0 && part.len() > 1 {
                let middle = first + part.len() / 2;
                // The first half is taken next.
                left.extend([(middle, end), (first, middle)]);
                continue;
            }
            let mut tokens = vec![None; part.len()];
            for (token, word) in encoded.word.iter().enumerate() {
                if let Some(place) = word.and_then(|word| tokens.get_mut(word as usize)) {
                    place.get_or_insert(token);
                }
            }
            pieces.push(Piece { sentence, first, tokens });
            texts.push(encoded);
        }
    }
    Ok((pieces, texts))
}

/// What tags pieces of sentences are to get.
pub struct TagTargets {
    pieces: Vec<Piece>,
    /// Of each piece the tag of each token; none for what is not a first sub-word.
    tags: Vec<Vec<(usize, usize)>>,
    names: Vec<String>,
}

impl TagTargets {
    /// Of the pieces of tagged sentences.
    pub fn new(pieces: Vec<Piece>, sentences: &[&TaggedSentence]) -> Self {
        let tags = pieces
            .iter()
            .map(|piece| {
                let sentence = sentences[piece.sentence];
                let all = tags_of(&sentence.spans, sentence.words.len());
                let words = piece.tokens.iter().enumerate();
                words.filter_map(|(word, token)| Some(((*token)?, all[piece.first + word]))).collect()
            })
            .collect();
        Self { pieces, tags, names: sentences.iter().map(|sentence| sentence.name.clone()).collect() }
    }

    /// The pieces of some sentences.
    pub fn pieces(&self, of: &[usize]) -> Vec<usize> {
        let wanted: std::collections::BTreeSet<usize> = of.iter().copied().collect();
        (0..self.pieces.len()).filter(|&piece| wanted.contains(&self.pieces[piece].sentence)).collect()
    }
}

impl TokenTargets for TagTargets {
    fn loss(&self, logits: Tensor<3>, examples: &[usize]) -> ShardLoss {
        let [n, steps, outputs] = logits.dims();
        let logits = logits.reshape([n * steps, outputs]);
        let mut targets = vec![0.0; n * steps * outputs];
        let mut labelled = 0;
        for (row, &example) in examples.iter().enumerate() {
            for &(token, tag) in &self.tags[example] {
                targets[(row * steps + token) * outputs + tag] = 1.0;
                labelled += 1;
            }
        }
        let values = logits.clone().into_data().try_to_vec::<f32>().expect("logits are f32");
        let right = |(row, example): (usize, &usize)| {
            self.tags[*example]
                .iter()
                .all(|&(token, tag)| argmax(&values[(row * steps + token) * outputs..][..outputs]) == tag)
        };
        let correct = examples.iter().enumerate().filter(|pair| right(*pair)).count();
        let targets = Tensor::<2>::from_data(TensorData::new(targets, [n * steps, outputs]), &logits.device());
        let loss = (log_softmax(logits, 1) * targets).sum().mul_scalar(-1.0 / labelled.max(1) as f32);
        ShardLoss { loss, correct }
    }

    fn describe(&self, example: usize) -> String {
        self.names[self.pieces[example].sentence].clone()
    }
}

/// The most probable sequence of tags, given log-probabilities `[words, tags]`, among those that BIO allows: a span goes on
/// only where one of its type is. Tags are numbered as in [`tags_of`].
pub fn most_probable(log_probabilities: &[f64], tags: usize) -> Vec<usize> {
    let words = log_probabilities.len() / tags;
    if words == 0 {
        return Vec::new();
    }
    // An I- (even, not 0) follows its B- (one less) or itself.
    let follows = |tag: usize, before: usize| tag == 0 || tag % 2 == 1 || before == tag || before + 1 == tag;
    let mut best: Vec<f64> =
        (0..tags).map(|tag| if tag > 0 && tag % 2 == 0 { f64::NEG_INFINITY } else { log_probabilities[tag] }).collect();
    let mut from: Vec<Vec<usize>> = Vec::with_capacity(words);
    for row in log_probabilities.chunks_exact(tags).skip(1) {
        let (mut now, mut came) = (vec![f64::NEG_INFINITY; tags], vec![0; tags]);
        for tag in 0..tags {
            for before in (0..tags).filter(|&before| follows(tag, before)) {
                let sum = best[before] + row[tag];
                if sum > now[tag] {
                    (now[tag], came[tag]) = (sum, before);
                }
            }
        }
        best = now;
        from.push(came);
    }
    let mut tag = (0..tags).fold(0, |top, tag| if best[tag] > best[top] { tag } else { top });
    let mut path = vec![tag];
    for came in from.iter().rev() {
        tag = came[tag];
        path.push(tag);
    }
    path.reverse();
    path
}

/// A span that was found, and how sure that is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FoundSpan {
    /// Its first word.
    pub start: usize,
    /// The word after its last.
    pub end: usize,
    /// Its type.
    pub kind: usize,
    /// The least probability of the tags of its words.
    pub probability: f32,
}

/// A trained tagger.
#[derive(Debug)]
pub struct Tagger {
    /// The encoder and the head of `1 + 2 types` numbers.
    pub reader: TokenReader,
    /// Makes tokens of words.
    pub tokenizer: Tokenizer,
    /// Tokens that the encoder sees at once.
    pub limit: usize,
}

impl Tagger {
    /// The spans of a sentence of words.
    pub fn spans(&self, words: &[String]) -> Result<Vec<FoundSpan>> {
        let (pieces, texts) = pieces_of(&self.tokenizer, &[words], self.limit)?;
        let texts: Vec<&Encoded> = texts.iter().collect();
        let outputs = self.reader.head.bias.len();
        // A word that the tokenizer makes nothing of is outside.
        let mut rows = vec![f64::NEG_INFINITY; words.len() * outputs];
        rows.iter_mut().step_by(outputs).for_each(|outside| *outside = 0.0);
        for (piece, logits) in pieces.iter().zip(self.reader.logits(&texts)) {
            for (word, token) in piece.tokens.iter().enumerate() {
                let Some(token) = token else { continue };
                let row = &mut rows[(piece.first + word) * outputs..][..outputs];
                log_probabilities(&logits[token * outputs..][..outputs], row);
            }
        }
        let tags = most_probable(&rows, outputs);
        let found = spans_of_tags(&tags).into_iter().map(|Span { kind, start, end }| {
            let least = (start..end).map(|word| rows[word * outputs + tags[word]]).fold(0.0, f64::min);
            FoundSpan { start, end, kind, probability: least.exp() as f32 }
        });
        Ok(found.collect())
    }
}

/// The words of a text, and signs between them, in bytes (Unicode annex 29).
pub fn word_places(text: &str) -> Vec<Range<usize>> {
    let words = text.split_word_bound_indices().filter(|(_, word)| !word.trim().is_empty());
    words.map(|(at, word)| at..at + word.len()).collect()
}

fn log_probabilities(logits: &[f32], into: &mut [f64]) {
    let most = logits.iter().fold(f64::NEG_INFINITY, |most, z| most.max(f64::from(*z)));
    let sum: f64 = logits.iter().map(|z| (f64::from(*z) - most).exp()).sum();
    let norm = most + sum.ln();
    into.iter_mut().zip(logits).for_each(|(log, z)| *log = f64::from(*z) - norm);
}

/// What needs no network: every word gets the tag that it had most often in training, and a word that was never seen is
/// outside.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WordTags(BTreeMap<String, usize>);

impl WordTags {
    /// Counts tags of words; of equally frequent tags the smaller number is taken.
    pub fn of(sentences: &[&TaggedSentence]) -> Self {
        let mut counts: BTreeMap<&str, BTreeMap<usize, usize>> = BTreeMap::new();
        for sentence in sentences {
            for (word, tag) in sentence.words.iter().zip(tags_of(&sentence.spans, sentence.words.len())) {
                *counts.entry(word).or_default().entry(tag).or_default() += 1;
            }
        }
        let most = |tags: &BTreeMap<usize, usize>| {
            let top = tags.iter().max_by_key(|(tag, count)| (**count, std::cmp::Reverse(**tag)));
            top.map_or(0, |(tag, _)| *tag)
        };
        Self(counts.iter().map(|(word, tags)| ((*word).to_owned(), most(tags))).collect())
    }

    /// The spans of a sentence; a tag that goes on from nothing begins a span.
    pub fn spans(&self, words: &[String]) -> Vec<Span> {
        spans_of_tags(&words.iter().map(|word| self.0.get(word).copied().unwrap_or(0)).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Split;
    use proptest::prelude::*;

    fn allowed(path: &[usize]) -> bool {
        path.iter()
            .enumerate()
            .all(|(at, &tag)| tag == 0 || tag % 2 == 1 || (at > 0 && (path[at - 1] == tag || path[at - 1] + 1 == tag)))
    }

    #[test]
    fn a_span_never_goes_on_from_nothing() {
        // Word by word the answer would be I-0, I-1, O.
        let rows = [[-3.0, -1.0, -0.1, -4.0, -4.0], [-2.0, -3.0, -2.5, -4.0, -0.1], [-0.1, -2.0, -2.0, -2.0, -2.0]];
        let path = most_probable(&rows.concat(), 5);
        assert!(allowed(&path), "{path:?}");
        assert_eq!(path, [1, 0, 0]);
        assert!(most_probable(&[], 3).is_empty());
    }

    proptest! {
        #[test]
        fn no_allowed_sequence_is_more_probable(rows in proptest::collection::vec(-5.0..0.0_f64, 1..5 * 4 + 1)) {
            let words = rows.len() / 5;
            let rows = &rows[..words * 5];
            let score = |path: &[usize]| path.iter().enumerate().map(|(at, tag)| rows[at * 5 + tag]).sum::<f64>();
            let path = most_probable(rows, 5);
            prop_assert!(allowed(&path));
            for code in 0..5_usize.pow(words as u32) {
                let other: Vec<usize> = (0..words).map(|at| code / 5_usize.pow(at as u32) % 5).collect();
                prop_assert!(!allowed(&other) || score(&other) <= score(&path) + 1e-9);
            }
        }
    }

    #[test]
    fn the_commonest_tag_of_a_word_is_its_answer() {
        let sentence = |words: &str, spans: Vec<Span>| TaggedSentence {
            name: words.into(),
            words: words.split(' ').map(str::to_owned).collect(),
            spans,
            document: 0,
            split: Split::Train,
        };
        let train = [
            sentence("in New York", vec![Span { kind: 0, start: 1, end: 3 }]),
            sentence("a New York", vec![Span { kind: 0, start: 1, end: 3 }]),
            sentence("New ideas", vec![]),
        ];
        let baseline = WordTags::of(&train.iter().collect::<Vec<_>>());
        let words: Vec<String> = ["New", "York", "unseen", "York"].map(str::to_owned).to_vec();
        let spans = baseline.spans(&words);
        assert_eq!(spans, [Span { kind: 0, start: 0, end: 2 }, Span { kind: 0, start: 3, end: 4 }]);
    }
}
