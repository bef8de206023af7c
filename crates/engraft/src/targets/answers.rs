//! Answers to questions, cut out of paragraphs (Rajpurkar et al. 2016 and 2018).

use std::sync::Arc;

use serde::Serialize;

use super::{
    Aims, Calibrated, Calibration, FoldOutputs, Measures, Predictions, Solver, Suspects, Target, TargetAnswer,
    TargetSettings, but, folds_of_groups, rows_of,
};
use crate::config::Fit;
use crate::data::Task;
use crate::data::split::stratified_folds;
use crate::data::text::squad::QuestionSet;
use crate::error::Result;
use crate::evaluate::{
    AnswerScore, Paired, ScoredAnswer, SquadVersion, best_no_answer_threshold, evaluate_answers, paired_answer_f1,
};
use crate::head::AnswerRule;
use crate::progress::Observer;

/// Answers that are weighed against each other.
pub const CANDIDATES: usize = 20;
/// A score of what cannot be.
pub const NEVER: f32 = -1e9;

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
    pub no_answer: f32,
    /// Probability of the best among the candidates (and no answer, where that is possible).
    pub probability: f32,
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
    pub fn confidence(&self) -> f64 {
        f64::from(if self.start == self.end { 1.0 - self.probability } else { self.probability })
    }
}

impl SpanAnswer {
    /// Numbers of an answer in the outputs of a fold: the score of no answer, and of each candidate its ends and score. Ends
    /// are whole to 2²⁴ bytes.
    pub const WIDTH: usize = 1 + 3 * CANDIDATES;

    /// The outputs of a reader: candidates in any order, each span once at its best score, and the score of no answer where
    /// there is one. The best [`CANDIDATES`] are kept.
    pub fn to_outputs(mut candidates: Vec<Candidate>, no_answer: Option<f32>) -> Vec<f32> {
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
    pub fn of(outputs: &[f64], may_refuse: bool) -> Self {
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
    pub fn given(&self, threshold: Option<f32>) -> GivenAnswer {
        let refused = threshold.is_some_and(|threshold| self.no_answer > threshold);
        let (start, end) = match self.candidates.first() {
            Some(best) if !refused => (best.start, best.end),
            _ => (0, 0),
        };
        GivenAnswer { start, end, probability: self.probability, no_answer: self.no_answer }
    }
}

/// The right answers of each example.
pub struct Answers {
    set: Arc<QuestionSet>,
    /// The question of each example.
    questions: Vec<usize>,
    settings: TargetSettings,
}

impl Answers {
    pub fn new(set: &Arc<QuestionSet>, questions: &[usize], settings: TargetSettings) -> Self {
        Self { set: set.clone(), questions: questions.to_vec(), settings }
    }

    fn may_refuse(&self) -> bool {
        self.set.version == SquadVersion::V2
    }

    fn has_answer(&self, row: usize) -> bool {
        !self.set.questions[self.questions[row]].answers.is_empty()
    }

    fn score(&self, given: GivenAnswer, row: usize) -> AnswerScore {
        let at = self.questions[row];
        AnswerScore::of(given.text(self.set.context(at)), &self.set.golds(at), self.set.version)
    }

    fn scores(&self, predictions: &Predictions, rows: &[usize]) -> Vec<AnswerScore> {
        let Predictions::Answers(given) = predictions else { return Vec::new() };
        given.iter().zip(rows).map(|(given, &row)| self.score(*given, row)).collect()
    }

    /// Paragraphs: questions about one stand and fall together.
    fn groups(&self, rows: &[usize]) -> Vec<usize> {
        rows.iter().map(|&row| self.set.questions[self.questions[row]].context).collect()
    }

    /// The threshold that answers these best; none where every question has an answer.
    fn threshold<'a>(&self, answers: impl Iterator<Item = &'a (usize, SpanAnswer)>) -> Option<f32> {
        let scored = |(row, answer): &(usize, SpanAnswer)| {
            let given = answer.given(None);
            ScoredAnswer {
                score: self.score(given, *row).f1,
                answered: given.start < given.end,
                has_answer: self.has_answer(*row),
                no_answer: f64::from(answer.no_answer),
            }
        };
        let scored: Vec<ScoredAnswer> = answers.map(scored).collect();
        self.may_refuse().then(|| {
            let best = best_no_answer_threshold(&scored).1;
            let above = scored.iter().map(|answer| answer.no_answer).filter(|score| *score > best);
            let next = above.fold(f64::INFINITY, f64::min);
            // Any threshold up to the next score gives the same answers here; the middle holds best elsewhere.
            (if next.is_finite() { best + (next - best) / 2.0 } else { best }) as f32
        })
    }
}

impl Target for Answers {
    fn task(&self) -> Task {
        Task::Answers
    }

    fn len(&self) -> usize {
        self.questions.len()
    }

    /// The scores of a token as the first and as the last of the answer.
    fn outputs(&self) -> usize {
        2
    }

    fn solver(&self) -> Option<&dyn Solver> {
        None
    }

    fn width(&self, _example: usize) -> usize {
        SpanAnswer::WIDTH
    }

    fn aims(&self, _training: &[usize]) -> Aims {
        Aims::Tokens { outputs: 2 }
    }

    fn folds(&self, asked: usize, groups: &[usize], unit: &str, observer: &dyn Observer) -> (usize, Vec<usize>) {
        let count = folds_of_groups(asked, groups, unit, observer);
        (count, stratified_folds(&self.strata(), groups, count, self.settings.seed))
    }

    /// When not to answer is chosen for each fold on the others; of one fold alone no answer is given where it scores
    /// higher than the best answer.
    fn calibrate(&self, parts: &[FoldOutputs]) -> Result<Calibrated> {
        let read = |part: &FoldOutputs| -> Vec<(usize, SpanAnswer)> {
            let answer = |(row, outputs): (usize, &[f32])| {
                let outputs: Vec<f64> = outputs.iter().map(|z| f64::from(*z)).collect();
                (row, SpanAnswer::of(&outputs, self.may_refuse()))
            };
            rows_of(self, part).map(answer).collect()
        };
        let folds: Vec<Vec<(usize, SpanAnswer)>> = parts.iter().map(read).collect();
        let mut given: Vec<(usize, GivenAnswer)> = Vec::new();
        for (fold, answers) in folds.iter().enumerate() {
            let threshold = match but(&folds, Some(fold)).next() {
                Some(_) => self.threshold(but(&folds, Some(fold)).flatten()),
                None => self.may_refuse().then_some(0.0),
            };
            given.extend(answers.iter().map(|(row, answer)| (*row, answer.given(threshold))));
        }
        given.sort_by_key(|(row, _)| *row);
        let scores: Vec<AnswerScore> = given.iter().map(|(row, given)| self.score(*given, *row)).collect();
        let confidences: Vec<f64> = given.iter().map(|(_, given)| given.confidence()).collect();
        let correct: Vec<bool> = scores.iter().map(|score| score.em == 1.0).collect();
        let rule = AnswerRule::choose(&confidences, &correct, self.settings.max_error.unwrap_or(Fit::MAX_ERROR))?;
        Ok(Calibrated {
            predictions: Predictions::Answers(given.into_iter().map(|(_, given)| given).collect()),
            calibration: Calibration::Answers { threshold: self.threshold(folds.iter().flatten()), rule },
            scores: scores.into_iter().map(|score| score.f1).collect(),
        })
    }

    fn constant(&self, _training: &[usize], count: usize) -> Predictions {
        Predictions::Answers(vec![GivenAnswer::NONE; count])
    }

    fn collect(&self, answers: &[TargetAnswer]) -> Predictions {
        let given = answers.iter().filter_map(|answer| match answer {
            TargetAnswer::Question(answer) => Some(answer.given),
            _ => None,
        });
        Predictions::Answers(given.collect())
    }

    fn measure(&self, predictions: &Predictions, rows: &[usize], how: &str) -> Result<Measures> {
        let has: Vec<bool> = rows.iter().map(|&row| self.has_answer(row)).collect();
        let scores = self.scores(predictions, rows);
        Ok(Measures::Answers(evaluate_answers(&scores, &has, &self.groups(rows), how, self.settings.seed)))
    }

    fn compare(&self, ours: &Predictions, theirs: &Predictions, rows: &[usize]) -> Result<Paired> {
        let (ours, theirs) = (self.scores(ours, rows), self.scores(theirs, rows));
        paired_answer_f1(&ours, &theirs, &self.groups(rows), self.settings.seed)
    }

    fn suspects(&self, _predictions: &Predictions, _rows: &[usize]) -> Result<Suspects> {
        Ok(Suspects::NotLookedFor)
    }

    /// Whether each question has an answer.
    fn strata(&self) -> Vec<usize> {
        (0..self.len()).map(|row| usize::from(self.has_answer(row))).collect()
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
