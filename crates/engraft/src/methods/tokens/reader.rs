//! From a base and a head to the outputs of examples: every example by itself, so that no answer depends on what is beside it.

use std::sync::Arc;

use super::cutting::Cutting;
use super::units::{TokenExample, context_tokens, pieces_of};
use crate::bases::text::{Encoded, FrozenEncoder, SentenceEncoder, TextBase, TextBody};
use crate::error::{Error, Problem, Result};
use crate::features::Features;
use crate::heads::{Head, Linear};
use crate::targets::{CANDIDATES, Candidate, NEVER, SpanAnswer};

/// Units that run together.
const BATCH: usize = 16;
/// Bytes of the longest paragraph: places in it are told in f32.
const LONGEST: usize = 1 << 24;

/// A base of texts, ready to give what a head says of tokens.
pub(crate) struct TokenReader {
    base: Arc<TextBase>,
    frozen: Option<FrozenEncoder>,
    cutting: Cutting,
}

impl TokenReader {
    /// Packs a base for answering.
    pub fn new(base: &Arc<TextBase>, cutting: Cutting) -> Self {
        let frozen = match &base.body {
            TextBody::Encoder(sentence) => Some(FrozenEncoder::new(&sentence.encoder)),
            _ => None,
        };
        Self { base: base.clone(), frozen, cutting }
    }

    /// Numbers of a token that a head takes.
    pub(crate) fn columns(&self) -> usize {
        match &self.base.body {
            TextBody::Encoder(sentence) => sentence.encoder.width(),
            _ => self.base.columns(),
        }
    }

    /// The outputs of examples, as their targets take them: `[words, tags]` of sentences, [`SpanAnswer::to_outputs`] of
    /// questions.
    ///
    /// # Errors
    /// [`Error::Data`] for a paragraph of more than 16 MiB; what the tokenizer refuses.
    ///
    /// # Panics
    /// If the head is not one for this base.
    pub(crate) fn outputs(&self, head: &Head, examples: &[TokenExample<'_>]) -> Result<Vec<Vec<f32>>> {
        for example in examples {
            if let TokenExample::Question { context, .. } = example
                && context.len() > LONGEST
            {
                let problem = Problem::new("the paragraph is too long").expected("at most 16 MiB");
                return Err(Error::Data(problem.found(format!("{} bytes", context.len()))));
            }
        }
        match (&self.base.body, &self.frozen, head) {
            (TextBody::Encoder(sentence), Some(frozen), Head::Linear(head)) => {
                self.by_encoder(sentence, frozen, head, examples)
            }
            (TextBody::Words(vectors), _, Head::Reader(reader)) => {
                let answer = |example: &TokenExample<'_>| {
                    let TokenExample::Question { question, context } = *example else {
                        unreachable!("a reader on word vectors answers questions")
                    };
                    let candidates = reader.scores(vectors, question, context).map_or_else(Vec::new, |scores| {
                        let words = (0, scores.places.len() - 1);
                        let spans = best_spans(&scores.starts, &scores.ends, words, self.cutting.longest, CANDIDATES);
                        let candidate = |(from, to, score): (usize, usize, f32)| Candidate {
                            start: scores.places[from].start,
                            end: scores.places[to].end,
                            score,
                        };
                        spans.into_iter().map(candidate).collect()
                    });
                    SpanAnswer::to_outputs(candidates, None)
                };
                Ok(examples.iter().map(answer).collect())
            }
            _ => unreachable!(
                "tokens are those of an encoder with a linear head, or words of word vectors with a reader"
            ),
        }
    }

    fn by_encoder(
        &self,
        sentence: &SentenceEncoder,
        frozen: &FrozenEncoder,
        head: &Linear,
        examples: &[TokenExample<'_>],
    ) -> Result<Vec<Vec<f32>>> {
        let states = sentence.encoder.stages().len() - 1;
        let mut outputs = Vec::with_capacity(examples.len());
        for some in examples.chunks(BATCH) {
            let cut =
                some.iter().map(|example| Units::of(example, sentence, &self.cutting)).collect::<Result<Vec<_>>>()?;
            let encoded: Vec<&Encoded> = cut.iter().flat_map(|units| &units.encoded).collect();
            let mut logits = Vec::with_capacity(encoded.len());
            for unit in frozen.states(&encoded, states) {
                let tokens = Features::new(unit.len() / head.columns, head.columns, unit)?;
                logits.push(head.of_features(&tokens));
            }
            let mut logits = logits.into_iter();
            for (units, example) in cut.iter().zip(some) {
                let own: Vec<Vec<f32>> = logits.by_ref().take(units.encoded.len()).collect();
                outputs.push(match example {
                    TokenExample::Words(words) => of_words(words.len(), units, &own, head.outputs),
                    TokenExample::Question { .. } => of_windows(units, &own, self.cutting.longest),
                });
            }
        }
        Ok(outputs)
    }
}

/// What an encoder reads of one example.
struct Units {
    encoded: Vec<Encoded>,
    /// Of each unit of a sentence its first word, and the token of each word's first sub-word.
    words: Vec<(usize, Vec<Option<usize>>)>,
}

impl Units {
    fn of(example: &TokenExample<'_>, sentence: &SentenceEncoder, cutting: &Cutting) -> Result<Self> {
        match *example {
            TokenExample::Words(words) => {
                let (words, encoded) = pieces_of(&sentence.tokenizer, words, cutting.limit)?.into_iter().unzip();
                Ok(Self { encoded, words })
            }
            TokenExample::Question { question, context } => {
                let encoded = sentence.tokenizer.windows(question, context, cutting.limit, cutting.stride)?;
                Ok(Self { encoded, words: Vec::new() })
            }
        }
    }
}

/// Logits `[words, tags]`. A word that the tokenizer makes nothing of is outside.
fn of_words(words: usize, units: &Units, logits: &[Vec<f32>], outputs: usize) -> Vec<f32> {
    let mut rows = vec![NEVER; words * outputs];
    rows.iter_mut().step_by(outputs).for_each(|outside| *outside = 0.0);
    for ((first, tokens), logits) in units.words.iter().zip(logits) {
        for (word, token) in tokens.iter().enumerate() {
            let Some(token) = token else { continue };
            rows[(first + word) * outputs..][..outputs].copy_from_slice(&logits[token * outputs..][..outputs]);
        }
    }
    rows
}

/// The best spans of all windows, and the least score of no answer.
fn of_windows(units: &Units, logits: &[Vec<f32>], longest: usize) -> Vec<f32> {
    let (mut candidates, mut refusal) = (Vec::new(), f32::INFINITY);
    for (window, logits) in units.encoded.iter().zip(logits) {
        let Some(tokens) = context_tokens(window) else { continue };
        let side = |side: usize| -> Vec<f32> { logits.iter().skip(side).step_by(2).copied().collect() };
        let (starts, ends) = (side(0), side(1));
        refusal = refusal.min(starts[0] + ends[0]);
        for (from, to, score) in best_spans(&starts, &ends, tokens, longest, CANDIDATES) {
            let (start, end) = (window.offsets[from].0 as usize, window.offsets[to].1 as usize);
            candidates.push(Candidate { start, end, score });
        }
    }
    SpanAnswer::to_outputs(candidates, Some(refusal).filter(|score| score.is_finite()))
}

/// The best spans of tokens `first..=last` by the sum of the scores at their ends, at most `longest` tokens each, the best
/// first; of equals the earlier and shorter.
pub(crate) fn best_spans(
    starts: &[f32],
    ends: &[f32],
    (first, last): (usize, usize),
    longest: usize,
    wanted: usize,
) -> Vec<(usize, usize, f32)> {
    let mut spans: Vec<(usize, usize, f32)> = (first..=last)
        .flat_map(|from| {
            let furthest = last.min(from + longest.max(1) - 1);
            (from..=furthest).map(move |to| (from, to, starts[from] + ends[to]))
        })
        .collect();
    let order =
        |a: &(usize, usize, f32), b: &(usize, usize, f32)| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)).then(a.1.cmp(&b.1));
    if spans.len() > wanted {
        spans.select_nth_unstable_by(wanted, order);
        spans.truncate(wanted);
    }
    spans.sort_unstable_by(order);
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_best_spans_are_the_best_and_not_too_long() {
        let starts = [9.0, 0.0, 3.0, 1.0, 9.0];
        let ends = [9.0, 1.0, 0.0, 4.0, 9.0];
        let spans = best_spans(&starts, &ends, (1, 3), 2, 3);
        assert_eq!(spans, [(2, 3, 7.0), (3, 3, 5.0), (2, 2, 3.0)]);
        assert_eq!(best_spans(&starts, &ends, (1, 3), 1, 1), [(3, 3, 5.0)]);
    }

    proptest! {
        #[test]
        fn no_span_that_is_left_out_is_better(
            scores in proptest::collection::vec((-3..3_i32, -3..3_i32), 1..12),
            longest in 1..6_usize,
            wanted in 1..8_usize,
        ) {
            let starts: Vec<f32> = scores.iter().map(|pair| pair.0 as f32).collect();
            let ends: Vec<f32> = scores.iter().map(|pair| pair.1 as f32).collect();
            let last = scores.len() - 1;
            let spans = best_spans(&starts, &ends, (0, last), longest, wanted);
            let all = best_spans(&starts, &ends, (0, last), longest, usize::MAX);
            prop_assert_eq!(&all[..spans.len()], &spans[..]);
            prop_assert_eq!(spans.len(), wanted.min(all.len()));
            prop_assert!(spans.iter().all(|(from, to, _)| from <= to && to - from < longest));
        }
    }
}
