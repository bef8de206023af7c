//! Tagged spans: precision, recall and F1 as seqeval gives them, in its default mode (Ramshaw and Marcus 1995; the rules
//! of `conlleval`). A span counts where its type, its beginning and its end are all right.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::interval::{Estimate, Paired, bootstrap, paired_gain, resampled};
use crate::error::Result;

/// A run of words of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Its type.
    pub kind: usize,
    /// Its first word.
    pub start: usize,
    /// The word after its last.
    pub end: usize,
}

/// The spans that tags mean, with their types by name: `B-`, `I-`, `E-`, `S-` and `O`, broken sequences read as
/// `conlleval` does. A tag without a type, as `B`, is of the type `_`.
///
/// ```
/// use engraft::metrics::spans_of;
/// let tags = ["B-PER", "I-PER", "O", "I-LOC", "B-LOC"];
/// assert_eq!(spans_of(&tags), [("PER", 0, 2), ("LOC", 3, 4), ("LOC", 4, 5)]);
/// ```
pub fn spans_of<'a>(tags: &[&'a str]) -> Vec<(&'a str, usize, usize)> {
    let mut spans = Vec::new();
    let (mut before, mut before_kind, mut start) = ('O', "", 0);
    for (at, tag) in tags.iter().copied().chain(["O"]).enumerate() {
        let (prefix, kind) = parts(tag);
        if ends(before, prefix, before_kind, kind) {
            spans.push((before_kind, start, at));
        }
        if begins(before, prefix, before_kind, kind) {
            start = at;
        }
        (before, before_kind) = (prefix, kind);
    }
    spans
}

/// The letter and the type of a tag.
fn parts(tag: &str) -> (char, &str) {
    let mut letters = tag.chars();
    let prefix = letters.next().unwrap_or('O');
    let kind = letters.as_str();
    let kind = kind.split_once('-').map_or(kind, |(_, kind)| kind);
    (prefix, if kind.is_empty() { "_" } else { kind })
}

fn ends(before: char, prefix: char, before_kind: &str, kind: &str) -> bool {
    let closes = matches!(before, 'E' | 'S');
    let leaves = matches!(before, 'B' | 'I') && matches!(prefix, 'B' | 'S' | 'O');
    closes || leaves || (before != 'O' && before != '.' && before_kind != kind)
}

fn begins(before: char, prefix: char, before_kind: &str, kind: &str) -> bool {
    let opens = matches!(prefix, 'B' | 'S');
    let follows = matches!(before, 'E' | 'S' | 'O') && matches!(prefix, 'E' | 'I');
    opens || follows || (prefix != 'O' && prefix != '.' && before_kind != kind)
}

/// How well the spans of one type, or of all, were found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TypeMetrics {
    /// The type.
    pub name: String,
    /// Share of the spans answered that are right; 0 where none was answered.
    pub precision: f64,
    /// Share of the true spans that were found; 0 where there is none.
    pub recall: f64,
    /// Their harmonic mean.
    pub f1: f64,
    /// True spans.
    pub truth: usize,
    /// Spans answered.
    pub answered: usize,
    /// Spans that are both.
    pub right: usize,
}

/// How well spans were found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpanEvaluation {
    /// Micro-averaged F1 over all types.
    pub span_f1: Estimate,
    /// Micro-averaged precision.
    pub precision: Estimate,
    /// Micro-averaged recall.
    pub recall: Estimate,
    /// Mean of the types' F1, over the types that occur in the truth or the answers.
    pub macro_f1: Estimate,
    /// Share of words with the right tag.
    pub word_accuracy: Estimate,
    /// Type by type.
    pub per_type: Vec<TypeMetrics>,
}

/// Truth and answers of one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaggedPair {
    /// True spans, ascending.
    pub truth: Vec<Span>,
    /// Spans answered, ascending.
    pub answer: Vec<Span>,
    /// Words with the right tag.
    pub words_right: usize,
    /// Words.
    pub words: usize,
}

impl TaggedPair {
    /// Of spans of a sentence of so many words, in tags of `B-`, `I-` and `O`.
    ///
    /// # Panics
    /// If a span is empty, or leaves the sentence.
    pub(crate) fn of(truth: Vec<Span>, answer: Vec<Span>, words: usize) -> Self {
        // A word's tag: its type, and whether it begins.
        let tags = |spans: &[Span]| -> Vec<Option<(usize, bool)>> {
            let mut tags = vec![None; words];
            for span in spans {
                tags[span.start..span.end].fill(Some((span.kind, false)));
                tags[span.start] = Some((span.kind, true));
            }
            tags
        };
        let words_right = tags(&truth).iter().zip(tags(&answer)).filter(|(truth, answer)| **truth == *answer).count();
        Self { truth, answer, words_right, words }
    }

    /// True spans, spans answered and right ones, for each of `kinds` types.
    fn counts(&self, kinds: usize) -> Vec<[u32; 3]> {
        let mut counts = vec![[0; 3]; kinds];
        let truth: BTreeSet<&Span> = self.truth.iter().collect();
        let answer: BTreeSet<&Span> = self.answer.iter().collect();
        truth.iter().for_each(|span| counts[span.kind][0] += 1);
        answer.iter().for_each(|span| counts[span.kind][1] += 1);
        truth.intersection(&answer).for_each(|span| counts[span.kind][2] += 1);
        counts
    }
}

/// Precision, recall and F1 of counts of true spans, spans answered and right ones; a share of nothing is 0, as in
/// seqeval.
fn shares([truth, answered, right]: [f64; 3]) -> [f64; 3] {
    let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    let (precision, recall) = (share(right, answered), share(right, truth));
    [precision, recall, share(2.0 * precision * recall, precision + recall)]
}

/// Evaluates spans, sentence by sentence. `how` says in words where the answers come from. Intervals are bootstrapped over
/// `groups`: sentences of one group (a document) are drawn together.
///
/// # Panics
/// If there is not one group for each sentence, or a span's type has no name.
pub(crate) fn evaluate_spans(
    pairs: &[TaggedPair],
    groups: &[usize],
    types: &[String],
    how: &str,
    seed: u64,
) -> SpanEvaluation {
    let units = Units::of(pairs, groups, types.len());
    let measured = units.measures(&vec![1; units.0.len()]);
    let intervals = bootstrap(units.0.len(), seed, &measured, |counts| units.measures(counts));
    let how = resampled(how, units.0.len());
    let estimate = |m: usize| {
        let (low, high) = intervals[m];
        Estimate { mean: measured[m], low, high, n: pairs.len(), how: how.clone() }
    };
    let total = units.sum(&vec![1; units.0.len()]);
    let of_type = |(name, counts): (&String, &[f64; 3])| {
        let [precision, recall, f1] = shares(*counts);
        let [truth, answered, right] = counts.map(|count| count as usize);
        TypeMetrics { name: name.clone(), precision, recall, f1, truth, answered, right }
    };
    SpanEvaluation {
        precision: estimate(0),
        recall: estimate(1),
        span_f1: estimate(2),
        macro_f1: estimate(3),
        word_accuracy: estimate(4),
        per_type: types.iter().zip(&total.kinds).map(of_type).collect(),
    }
}

/// By how much the micro-averaged F1 of a candidate is better than a reference's, on the same sentences.
///
/// # Errors
/// Where there is no sentence.
pub(crate) fn paired_span_f1(
    candidate: &[TaggedPair],
    reference: &[TaggedPair],
    groups: &[usize],
    types: usize,
    seed: u64,
) -> Result<Paired> {
    let (mine, theirs) = (Units::of(candidate, groups, types), Units::of(reference, groups, types));
    paired_gain(mine.0.len(), seed, "span F1, candidate minus reference", |counts| {
        mine.measures(counts)[2] - theirs.measures(counts)[2]
    })
}

/// What the sentences of one group add up to.
#[derive(Debug, Clone)]
struct Unit {
    kinds: Vec<[f64; 3]>,
    words_right: f64,
    words: f64,
}

/// The groups, which the bootstrap draws from.
struct Units(Vec<Unit>);

impl Units {
    fn of(pairs: &[TaggedPair], groups: &[usize], kinds: usize) -> Self {
        assert_eq!(pairs.len(), groups.len(), "every sentence is in a group");
        let mut order: Vec<usize> = (0..pairs.len()).collect();
        order.sort_by_key(|&at| (groups[at], at));
        let members = order.chunk_by(|&a, &b| groups[a] == groups[b]);
        let unit = |members: &[usize]| {
            let mut unit = Unit { kinds: vec![[0.0; 3]; kinds], words_right: 0.0, words: 0.0 };
            for &at in members {
                for (sum, counts) in unit.kinds.iter_mut().zip(pairs[at].counts(kinds)) {
                    (0..3).for_each(|k| sum[k] += f64::from(counts[k]));
                }
                unit.words_right += pairs[at].words_right as f64;
                unit.words += pairs[at].words as f64;
            }
            unit
        };
        Self(members.map(unit).collect())
    }

    fn sum(&self, counts: &[u32]) -> Unit {
        let kinds = self.0.first().map_or(0, |unit| unit.kinds.len());
        let mut sum = Unit { kinds: vec![[0.0; 3]; kinds], words_right: 0.0, words: 0.0 };
        for (unit, &times) in self.0.iter().zip(counts).filter(|(_, times)| **times > 0) {
            let times = f64::from(times);
            for (sum, counts) in sum.kinds.iter_mut().zip(&unit.kinds) {
                (0..3).for_each(|k| sum[k] += times * counts[k]);
            }
            sum.words_right += times * unit.words_right;
            sum.words += times * unit.words;
        }
        sum
    }

    /// Precision, recall, F1, macro-F1, word accuracy.
    fn measures(&self, counts: &[u32]) -> [f64; 5] {
        let sum = self.sum(counts);
        let total = sum.kinds.iter().fold([0.0; 3], |all, kind| [all[0] + kind[0], all[1] + kind[1], all[2] + kind[2]]);
        let [precision, recall, f1] = shares(total);
        let present: Vec<f64> =
            sum.kinds.iter().filter(|kind| kind[0] + kind[1] > 0.0).map(|kind| shares(*kind)[2]).collect();
        let macro_f1 = if present.is_empty() { 0.0 } else { present.iter().sum::<f64>() / present.len() as f64 };
        [precision, recall, f1, macro_f1, if sum.words > 0.0 { sum.words_right / sum.words } else { 0.0 }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Golden {
        truth: Vec<Vec<String>>,
        answer: Vec<Vec<String>>,
        entities: Vec<Vec<(String, usize, usize)>>,
        types: Vec<String>,
        micro: [f64; 3],
        macro_f1: f64,
        per_type: Vec<[f64; 3]>,
    }

    fn golden() -> Vec<Golden> {
        serde_json::from_str(include_str!("../../tests/fixtures/spans.json")).unwrap()
    }

    fn named(tags: &[String], types: &[String]) -> Vec<Span> {
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        let kind = |name: &str| types.iter().position(|known| known == name).unwrap();
        spans_of(&tags).into_iter().map(|(name, start, end)| Span { kind: kind(name), start, end }).collect()
    }

    #[test]
    fn spans_and_shares_are_those_of_seqeval() {
        for case in golden() {
            let mut pairs = Vec::new();
            for ((truth, answer), entities) in case.truth.iter().zip(&case.answer).zip(&case.entities) {
                let tags: Vec<&str> = truth.iter().map(String::as_str).collect();
                let found: Vec<_> =
                    spans_of(&tags).into_iter().map(|(kind, start, end)| (kind.to_owned(), start, end)).collect();
                assert_eq!(&found, entities, "{truth:?}");
                pairs.push(TaggedPair::of(named(truth, &case.types), named(answer, &case.types), truth.len()));
            }
            let groups: Vec<usize> = (0..pairs.len()).collect();
            let evaluation = evaluate_spans(&pairs, &groups, &case.types, "out-of-fold", 0);
            let found = [&evaluation.precision, &evaluation.recall, &evaluation.span_f1, &evaluation.macro_f1];
            for (found, expected) in found.iter().zip(case.micro.iter().chain([&case.macro_f1])) {
                assert!((found.mean - expected).abs() < 1e-12, "{} against {expected}", found.mean);
                assert!(found.low <= found.mean && found.mean <= found.high);
            }
            for (found, expected) in evaluation.per_type.iter().zip(&case.per_type) {
                let found = [found.precision, found.recall, found.f1];
                assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} {expected:?}");
            }
        }
    }

    #[test]
    fn an_answer_against_itself_is_no_gain_and_all_right() {
        let truth = vec![Span { kind: 0, start: 0, end: 2 }];
        let right = TaggedPair::of(truth.clone(), truth.clone(), 4);
        let wrong = TaggedPair::of(truth, vec![Span { kind: 0, start: 0, end: 1 }], 4);
        assert_eq!((right.words_right, wrong.words_right), (4, 3));
        let evaluation = evaluate_spans(std::slice::from_ref(&right), &[0], &["X".into()], "", 0);
        assert_eq!((evaluation.span_f1.mean, evaluation.word_accuracy.mean), (1.0, 1.0));
        let paired = paired_span_f1(&[right.clone(), right.clone()], &[right, wrong], &[0, 1], 1, 0).unwrap();
        assert_eq!(paired.difference, 0.5);
        assert!(paired_span_f1(&[], &[], &[], 1, 0).is_err());
    }
}
