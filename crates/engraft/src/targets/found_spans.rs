//! From what a head says of every word to spans: the most probable sequence of tags that BIO allows (Viterbi 1967).

use serde::{Deserialize, Serialize};

use crate::data::text::conll::spans_of_tags;
use crate::metrics::Span;

/// A span that was found, and how sure that is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
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

impl FoundSpan {
    /// The span without its probability.
    pub(crate) fn span(&self) -> Span {
        Span { kind: self.kind, start: self.start, end: self.end }
    }
}

/// The spans of a sentence, by logits `[words, tags]`.
pub(super) fn spans_in(logits: &[f64], tags: usize) -> Vec<FoundSpan> {
    let mut rows = logits.to_vec();
    for row in rows.chunks_exact_mut(tags) {
        let most = row.iter().fold(f64::NEG_INFINITY, |most, z| most.max(*z));
        let norm = most + row.iter().map(|z| (z - most).exp()).sum::<f64>().ln();
        row.iter_mut().for_each(|z| *z -= norm);
    }
    let path = most_probable(&rows, tags);
    let found = spans_of_tags(&path).into_iter().map(|Span { kind, start, end }| {
        let least = (start..end).map(|word| rows[word * tags + path[word]]).fold(0.0, f64::min);
        FoundSpan { start, end, kind, probability: least.exp() as f32 }
    });
    found.collect()
}

/// The most probable sequence of tags, given log-probabilities `[words, tags]`, among those that BIO allows: a span goes on
/// only where one of its type is. Tags are numbered as in [`tags_of`](crate::data::text::conll::tags_of).
pub(crate) fn most_probable(log_probabilities: &[f64], tags: usize) -> Vec<usize> {
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

#[cfg(test)]
mod tests {
    use super::*;
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
}
