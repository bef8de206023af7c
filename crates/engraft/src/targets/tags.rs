//! Spans of words, each of a type: what a head says of every word becomes the most probable sequence of tags that BIO allows
//! (Viterbi 1967).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Aims, Calibrated, Calibration, FoldOutputs, Measures, Predictions, Solver, Suspects, Target, TargetAnswer,
    TargetSettings, folds_of_groups, places_of, rows_of,
};
use crate::config::Fit;
use crate::data::Task;
use crate::data::split::stratified_folds;
use crate::data::text::conll::{TaggedSentence, TaggedSet, spans_of_tags};
use crate::error::Result;
use crate::evaluate::{Paired, Span, TaggedPair, evaluate_spans, paired_span_f1};
use crate::head::AnswerRule;
use crate::progress::Observer;

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
    pub fn span(&self) -> Span {
        Span { kind: self.kind, start: self.start, end: self.end }
    }
}

/// The tags of the words of each example.
pub struct Tags {
    set: Arc<TaggedSet>,
    /// The sentence of each example.
    sentences: Vec<usize>,
    groups: Vec<usize>,
    strata: Vec<usize>,
    settings: TargetSettings,
}

impl Tags {
    /// Of some sentences of a set; `groups` are those of all its sentences, `strata` those of the examples.
    pub fn new(
        set: &Arc<TaggedSet>,
        groups: &[usize],
        sentences: &[usize],
        strata: &[usize],
        settings: TargetSettings,
    ) -> Self {
        Self {
            set: set.clone(),
            sentences: sentences.to_vec(),
            groups: sentences.iter().map(|&at| groups[at]).collect(),
            strata: strata.to_vec(),
            settings,
        }
    }

    fn sentence(&self, row: usize) -> &TaggedSentence {
        &self.set.sentences[self.sentences[row]]
    }

    fn groups_of(&self, rows: &[usize]) -> Vec<usize> {
        rows.iter().map(|&row| self.groups[row]).collect()
    }

    fn pairs(&self, predictions: &Predictions, rows: &[usize]) -> Vec<TaggedPair> {
        let Predictions::Tags(found) = predictions else { return Vec::new() };
        let pair = |(spans, &row): (&Vec<FoundSpan>, &usize)| {
            let TaggedSentence { spans: truth, words, .. } = self.sentence(row);
            TaggedPair::of(truth.clone(), spans.iter().map(FoundSpan::span).collect(), words.len())
        };
        found.iter().zip(rows).map(pair).collect()
    }
}

impl Target for Tags {
    fn task(&self) -> Task {
        Task::Tags
    }

    fn len(&self) -> usize {
        self.sentences.len()
    }

    fn outputs(&self) -> usize {
        1 + 2 * self.set.types.len()
    }

    fn solver(&self) -> Option<&dyn Solver> {
        None
    }

    fn width(&self, example: usize) -> usize {
        self.sentence(example).words.len() * self.outputs()
    }

    fn aims(&self, _training: &[usize]) -> Aims {
        Aims::Tokens { outputs: self.outputs() }
    }

    fn folds(&self, asked: usize, groups: &[usize], unit: &str, observer: &dyn Observer) -> (usize, Vec<usize>) {
        let count = folds_of_groups(asked, groups, unit, observer);
        (count, stratified_folds(&self.strata, groups, count, self.settings.seed))
    }

    /// The threshold of "unsure" is chosen on all spans that were found out of fold.
    fn calibrate(&self, parts: &[FoldOutputs]) -> Result<Calibrated> {
        let rows = places_of(parts);
        let mut found: Vec<(usize, Vec<FoundSpan>)> = parts
            .iter()
            .flat_map(|part| rows_of(self, part))
            .map(|(row, outputs)| {
                let outputs: Vec<f64> = outputs.iter().map(|z| f64::from(*z)).collect();
                (row, spans_in(&outputs, self.outputs()))
            })
            .collect();
        found.sort_by_key(|(row, _)| *row);
        let (mut confidences, mut correct, mut scores) = (Vec::new(), Vec::new(), Vec::new());
        for (row, spans) in &found {
            let truth = &self.sentence(*row).spans;
            let right = |span: &FoundSpan| truth.contains(&span.span());
            confidences.extend(spans.iter().map(|span| f64::from(span.probability)));
            correct.extend(spans.iter().map(right));
            let (both, sum) = (spans.iter().filter(|span| right(span)).count(), truth.len() + spans.len());
            scores.push(if sum == 0 { 1.0 } else { 2.0 * both as f64 / sum as f64 });
        }
        debug_assert_eq!(rows.len(), found.len());
        let rule = AnswerRule::choose(&confidences, &correct, self.settings.max_error.unwrap_or(Fit::MAX_ERROR))?;
        Ok(Calibrated {
            predictions: Predictions::Tags(found.into_iter().map(|(_, spans)| spans).collect()),
            calibration: Calibration::Tags { rule },
            scores,
        })
    }

    fn constant(&self, _training: &[usize], count: usize) -> Predictions {
        Predictions::Tags(vec![Vec::new(); count])
    }

    fn collect(&self, answers: &[TargetAnswer]) -> Predictions {
        let spans = answers.iter().filter_map(|answer| match answer {
            TargetAnswer::Tags(answer) => Some(answer.spans.clone()),
            _ => None,
        });
        Predictions::Tags(spans.collect())
    }

    fn measure(&self, predictions: &Predictions, rows: &[usize], how: &str) -> Result<Measures> {
        let pairs = self.pairs(predictions, rows);
        let groups = self.groups_of(rows);
        Ok(Measures::Tags(evaluate_spans(&pairs, &groups, &self.set.types, how, self.settings.seed)))
    }

    fn compare(&self, ours: &Predictions, theirs: &Predictions, rows: &[usize]) -> Result<Paired> {
        let (ours, theirs) = (self.pairs(ours, rows), self.pairs(theirs, rows));
        paired_span_f1(&ours, &theirs, &self.groups_of(rows), self.set.types.len(), self.settings.seed)
    }

    fn suspects(&self, _predictions: &Predictions, _rows: &[usize]) -> Result<Suspects> {
        Ok(Suspects::NotLookedFor)
    }

    fn strata(&self) -> Vec<usize> {
        self.strata.clone()
    }

    fn unmeasurable(&self) -> Option<&'static str> {
        let none = (0..self.len()).all(|row| self.sentence(row).spans.is_empty());
        none.then_some("none of its sentences has a span")
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
