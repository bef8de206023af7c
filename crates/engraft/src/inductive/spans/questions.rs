//! Questions whose answers are cut out of a paragraph: the span head of BERT (Devlin et al. 2019, sections 4.2 and 4.3) on
//! windows that slide over long paragraphs.

use burn::prelude::*;
use burn::tensor::TensorData;
use burn::tensor::activation::log_softmax;
use serde::Serialize;

use crate::backbone::text::{Encoded, Tokenizer};
use crate::data::text::squad::QuestionSet;
use crate::error::Result;
use crate::inductive::spans::headed::{TokenReader, TokenTargets};
use crate::train::{ShardLoss, argmax};

/// Answers that are weighed against each other.
pub const CANDIDATES: usize = 20;
/// What is added to the score of a token that cannot be part of an answer.
pub(super) const NEVER: f32 = -1e9;

/// How paragraphs are read and answers cut out of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Cutting {
    /// Tokens that are seen at once.
    pub limit: usize,
    /// Tokens that two windows share.
    pub stride: usize,
    /// Tokens of the longest answer.
    pub longest: usize,
}

/// A possible answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Candidate {
    /// Where it begins in the paragraph, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// The sum of the scores of its first and last token.
    pub score: f32,
}

/// What is answered to a question.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpanAnswer {
    /// Possible answers, the best first.
    pub candidates: Vec<Candidate>,
    /// How strongly no answer is meant: above the model's threshold the question has none.
    pub no_answer: f32,
    /// Probability of the best among the candidates (and no answer, where that is possible).
    pub probability: f32,
}

impl SpanAnswer {
    /// The text that is answered: empty where `no_answer` is above the threshold.
    pub fn text<'a>(&self, context: &'a str, threshold: Option<f32>) -> &'a str {
        let refused = threshold.is_some_and(|threshold| self.no_answer > threshold);
        match self.candidates.first() {
            Some(best) if !refused => &context[best.start..best.end],
            _ => "",
        }
    }
}

/// The tokens of a window that can be part of an answer: those of the paragraph, first to last.
pub fn context_tokens(window: &Encoded) -> Option<(usize, usize)> {
    let inside = |sequence: &Option<u8>| *sequence == Some(1);
    let first = window.sequence.iter().position(inside)?;
    Some((first, window.sequence.iter().rposition(inside)?))
}

/// The first and last token of an answer from byte `start` to `end`; none where the window does not hold it whole.
pub fn answer_tokens(window: &Encoded, start: usize, end: usize) -> Option<(usize, usize)> {
    let (first, last) = context_tokens(window)?;
    let offset = |token: usize| (window.offsets[token].0 as usize, window.offsets[token].1 as usize);
    if offset(first).0 > start || offset(last).1 < end {
        return None;
    }
    let from = (first..=last).rev().find(|&token| offset(token).0 <= start)?;
    let to = (first..=last).find(|&token| offset(token).1 >= end)?;
    (from <= to).then_some((from, to))
}

/// The best spans of tokens `first..=last` by the sum of the scores at their ends, at most `longest` tokens each, the best
/// first; of equals the earlier and shorter.
pub fn best_spans(
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

/// Puts the candidates of all windows together: each span once, at its best score; and their probabilities by softmax,
/// together with that of no answer where its score is given.
pub(super) fn weighed(mut candidates: Vec<Candidate>, no_answer: Option<f32>) -> SpanAnswer {
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.start.cmp(&b.start)).then(a.end.cmp(&b.end)));
    let mut once: Vec<Candidate> = Vec::with_capacity(CANDIDATES);
    for candidate in candidates {
        let known = once.iter().any(|known| (known.start, known.end) == (candidate.start, candidate.end));
        if !known && once.len() < CANDIDATES {
            once.push(candidate);
        }
    }
    let best = once.first().map_or(f32::NEG_INFINITY, |best| best.score);
    let scores = || once.iter().map(|candidate| candidate.score).chain(no_answer);
    let most = scores().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = scores().map(|score| f64::from(score - most).exp()).sum();
    let probability = if once.is_empty() { 0.0 } else { (f64::from(best - most).exp() / sum) as f32 };
    // Without a score of its own, no answer is meant where no candidate is probable.
    let no_answer = no_answer.map_or(1.0 - probability, |score| score - best);
    SpanAnswer { candidates: once, no_answer, probability }
}

/// The windows over the paragraphs of questions, and where in each the answer is.
pub struct QuestionTargets {
    /// The question of each window.
    questions: Vec<usize>,
    /// First and last token of the answer; the first token of all where the window has none.
    spans: Vec<(usize, usize)>,
    /// The tokens that may be part of an answer.
    allowed: Vec<(usize, usize)>,
    ids: Vec<String>,
}

impl QuestionTargets {
    /// Windows over the paragraphs of `questions`, and what they are to give.
    pub fn of(
        set: &QuestionSet,
        questions: &[usize],
        tokenizer: &Tokenizer,
        cutting: &Cutting,
    ) -> Result<(Self, Vec<Encoded>)> {
        let mut targets = Self { questions: Vec::new(), spans: Vec::new(), allowed: Vec::new(), ids: Vec::new() };
        let mut windows = Vec::new();
        for &at in questions {
            let question = &set.questions[at];
            for window in tokenizer.windows(&question.text, set.context(at), cutting.limit, cutting.stride)? {
                let Some(allowed) = context_tokens(&window) else { continue };
                let gold = question.answers.first();
                let span = gold.and_then(|gold| answer_tokens(&window, gold.start, gold.start + gold.text.len()));
                targets.questions.push(at);
                targets.spans.push(span.unwrap_or((0, 0)));
                targets.allowed.push(allowed);
                targets.ids.push(question.id.clone());
                windows.push(window);
            }
        }
        Ok((targets, windows))
    }

    /// The windows of some questions.
    pub fn windows(&self, of: &[usize]) -> Vec<usize> {
        let wanted: std::collections::BTreeSet<usize> = of.iter().copied().collect();
        (0..self.questions.len()).filter(|&window| wanted.contains(&self.questions[window])).collect()
    }
}

/// Minus the mean over rows of the log-probability at the target, `[N, T]`, over the tokens that are allowed.
pub(super) fn position_loss(logits: Tensor<2>, masked: &[f32], targets: &[usize]) -> Tensor<1> {
    let [n, steps] = logits.dims();
    let device = logits.device();
    let mask = Tensor::<2>::from_data(TensorData::new(masked.to_vec(), [n, steps]), &device);
    let mut at = vec![0.0; n * steps];
    targets.iter().enumerate().for_each(|(row, target)| at[row * steps + target] = 1.0);
    let at = Tensor::<2>::from_data(TensorData::new(at, [n, steps]), &device);
    (log_softmax(logits + mask, 1) * at).sum().mul_scalar(-1.0 / n as f32)
}

/// The position of the largest score of each row of `[N, T]`, over the tokens that are allowed.
pub(super) fn best_positions(logits: &Tensor<2>, masked: &[f32]) -> Vec<usize> {
    let steps = logits.dims()[1];
    let values = logits.clone().into_data().try_to_vec::<f32>().expect("logits are f32");
    let row = |(values, masked): (&[f32], &[f32])| {
        argmax(&values.iter().zip(masked).map(|(value, masked)| value + masked).collect::<Vec<f32>>())
    };
    values.chunks_exact(steps).zip(masked.chunks_exact(steps)).map(row).collect()
}

impl TokenTargets for QuestionTargets {
    fn loss(&self, logits: Tensor<3>, examples: &[usize]) -> ShardLoss {
        let [n, steps, _] = logits.dims();
        let mut masked = vec![NEVER; n * steps];
        for (row, &example) in examples.iter().enumerate() {
            let (first, last) = self.allowed[example];
            masked[row * steps] = 0.0;
            masked[row * steps + first..=row * steps + last].fill(0.0);
        }
        let side = |side: usize| logits.clone().narrow(2, side, 1).reshape([n, steps]);
        let (starts, ends) = (side(0), side(1));
        let targets = |of: fn(&(usize, usize)) -> usize| -> Vec<usize> {
            examples.iter().map(|&example| of(&self.spans[example])).collect()
        };
        let (from, to) = (targets(|span| span.0), targets(|span| span.1));
        let (said_from, said_to) = (best_positions(&starts, &masked), best_positions(&ends, &masked));
        let correct = (0..n).filter(|&row| said_from[row] == from[row] && said_to[row] == to[row]).count();
        let loss = position_loss(starts, &masked, &from) + position_loss(ends, &masked, &to);
        ShardLoss { loss: loss.mul_scalar(0.5), correct }
    }

    fn describe(&self, example: usize) -> String {
        format!("question {}", self.ids[example])
    }
}

/// A trained reader that answers by an encoder.
#[derive(Debug)]
pub struct EncoderReader {
    /// The encoder and the head of two numbers.
    pub reader: TokenReader,
    /// Makes tokens of texts.
    pub tokenizer: Tokenizer,
    /// How paragraphs are read.
    pub cutting: Cutting,
    /// Whether questions without an answer were trained on.
    pub may_refuse: bool,
}

impl EncoderReader {
    /// The answer to a question about a paragraph.
    pub fn answer(&self, question: &str, context: &str) -> Result<SpanAnswer> {
        let windows = self.tokenizer.windows(question, context, self.cutting.limit, self.cutting.stride)?;
        let windows: Vec<&Encoded> = windows.iter().collect();
        let (mut candidates, mut refusal) = (Vec::new(), f32::INFINITY);
        for (window, logits) in windows.iter().zip(self.reader.logits(&windows)) {
            let Some(tokens) = context_tokens(window) else { continue };
            let side = |side: usize| -> Vec<f32> { logits.iter().skip(side).step_by(2).copied().collect() };
            let (starts, ends) = (side(0), side(1));
            refusal = refusal.min(starts[0] + ends[0]);
            for (from, to, score) in best_spans(&starts, &ends, tokens, self.cutting.longest, CANDIDATES) {
                let (start, end) = (window.offsets[from].0 as usize, window.offsets[to].1 as usize);
                candidates.push(Candidate { start, end, score });
            }
        }
        Ok(weighed(candidates, (self.may_refuse && refusal.is_finite()).then_some(refusal)))
    }
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

    #[test]
    fn candidates_of_several_windows_count_once() {
        let candidate = |start, end, score| Candidate { start, end, score };
        let answer = weighed(vec![candidate(0, 2, 1.0), candidate(3, 4, 2.0), candidate(0, 2, 3.0)], Some(1.0));
        assert_eq!(answer.candidates, [candidate(0, 2, 3.0), candidate(3, 4, 2.0)]);
        assert_eq!(answer.no_answer, -2.0);
        let sum: f64 = [0.0_f64, -1.0, -2.0].iter().map(|z| z.exp()).sum();
        assert!((f64::from(answer.probability) - 1.0 / sum).abs() < 1e-6);
        assert_eq!((answer.text("abcd", None), answer.text("abcd", Some(-3.0))), ("ab", ""));
        assert_eq!(weighed(Vec::new(), None).text("abc", None), "");
    }
}
