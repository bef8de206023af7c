//! From what a reader says of parts of a paragraph to an answer.

use serde::Serialize;

/// Answers that are weighed against each other.
pub(crate) const CANDIDATES: usize = 20;
/// A score of what cannot be.
pub(crate) const NEVER: f32 = -1e9;

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

/// What may be answered to a question.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpanAnswer {
    /// Possible answers, the best first.
    pub candidates: Vec<Candidate>,
    /// How strongly no answer is meant: above the model's threshold the question has none.
    pub(crate) no_answer: f32,
    /// Probability of the best among the candidates (and no answer, where that is possible).
    pub(crate) probability: f32,
}

/// What is answered to a question: an empty part of the paragraph for no answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct GivenAnswer {
    /// Where it begins in the paragraph, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// Probability of the best answer, given or not.
    pub probability: f32,
    /// How strongly no answer is meant.
    pub no_answer: f32,
}

impl GivenAnswer {
    /// No answer, without a look.
    pub const NONE: Self = Self { start: 0, end: 0, probability: 0.0, no_answer: 0.0 };

    /// Its text.
    ///
    /// # Panics
    /// If it is not from this paragraph.
    pub fn text<'a>(&self, context: &'a str) -> &'a str {
        &context[self.start..self.end]
    }

    /// How sure it is: the probability of the answer that is given, or of any other than the one that is not.
    pub(crate) fn confidence(&self) -> f64 {
        f64::from(if self.start == self.end { 1.0 - self.probability } else { self.probability })
    }
}

impl SpanAnswer {
    /// Numbers of an answer in the outputs of a fold: the score of no answer, and of each candidate its ends and score. Ends
    /// are whole to 2²⁴ bytes.
    pub const WIDTH: usize = 1 + 3 * CANDIDATES;

    /// The outputs of a reader: candidates in any order, each span once at its best score, and the score of no answer where
    /// there is one. The best [`CANDIDATES`] are kept.
    pub(crate) fn to_outputs(mut candidates: Vec<Candidate>, no_answer: Option<f32>) -> Vec<f32> {
        candidates.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.start.cmp(&b.start)).then(a.end.cmp(&b.end)));
        let mut once: Vec<Candidate> = Vec::with_capacity(CANDIDATES);
        for candidate in candidates {
            let known = once.iter().any(|known| (known.start, known.end) == (candidate.start, candidate.end));
            if !known && once.len() < CANDIDATES {
                once.push(candidate);
            }
        }
        let mut outputs = vec![no_answer.unwrap_or(NEVER)];
        outputs.extend(once.iter().flat_map(|one| [one.start as f32, one.end as f32, one.score]));
        outputs.extend([0.0, 0.0, NEVER].repeat(CANDIDATES - once.len()));
        outputs
    }

    /// From the outputs of a reader; probabilities by softmax over the candidates, and no answer where it has a score and
    /// questions may have none.
    pub(crate) fn of(outputs: &[f64], may_refuse: bool) -> Self {
        let read = |one: &[f64]| Candidate { start: one[0] as usize, end: one[1] as usize, score: one[2] as f32 };
        let candidates: Vec<Candidate> =
            outputs[1..].chunks_exact(3).map(read).filter(|one| one.score > NEVER).collect();
        let no_answer = Some(outputs[0] as f32).filter(|score| may_refuse && *score > NEVER);
        let best = candidates.first().map_or(f32::NEG_INFINITY, |best| best.score);
        let scores = || candidates.iter().map(|candidate| candidate.score).chain(no_answer);
        let most = scores().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = scores().map(|score| f64::from(score - most).exp()).sum();
        let probability = if candidates.is_empty() { 0.0 } else { (f64::from(best - most).exp() / sum) as f32 };
        // Without a score of its own, no answer is meant where no candidate is probable.
        let no_answer = no_answer.map_or(1.0 - probability, |score| score - best);
        Self { candidates, no_answer, probability }
    }

    /// What is answered: nothing where no answer is meant more strongly than the threshold.
    pub(crate) fn given(&self, threshold: Option<f32>) -> GivenAnswer {
        let refused = threshold.is_some_and(|threshold| self.no_answer > threshold);
        let (start, end) = match self.candidates.first() {
            Some(best) if !refused => (best.start, best.end),
            _ => (0, 0),
        };
        GivenAnswer { start, end, probability: self.probability, no_answer: self.no_answer }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_of_several_windows_count_once() {
        let candidate = |start, end, score| Candidate { start, end, score };
        let outputs =
            SpanAnswer::to_outputs(vec![candidate(0, 2, 1.0), candidate(3, 4, 2.0), candidate(0, 2, 3.0)], Some(1.0));
        assert_eq!(outputs.len(), SpanAnswer::WIDTH);
        let wide: Vec<f64> = outputs.iter().map(|z| f64::from(*z)).collect();
        let answer = SpanAnswer::of(&wide, true);
        assert_eq!(answer.candidates, [candidate(0, 2, 3.0), candidate(3, 4, 2.0)]);
        assert_eq!(answer.no_answer, -2.0);
        let sum: f64 = [0.0_f64, -1.0, -2.0].iter().map(|z| z.exp()).sum();
        assert!((f64::from(answer.probability) - 1.0 / sum).abs() < 1e-6);
        assert_eq!((answer.given(None).text("abcd"), answer.given(Some(-3.0)).text("abcd")), ("ab", ""));
        let sure = SpanAnswer::of(&wide, false);
        assert_eq!(sure.no_answer, 1.0 - sure.probability, "questions that all have an answer");
        let nothing: Vec<f64> = SpanAnswer::to_outputs(Vec::new(), None).into_iter().map(f64::from).collect();
        assert_eq!(SpanAnswer::of(&nothing, true).given(None).text("abc"), "");
    }
}
