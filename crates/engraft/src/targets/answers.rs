//! Answers to questions, cut out of paragraphs (Rajpurkar et al. 2016 and 2018).

use std::sync::Arc;

use super::span_answer::{GivenAnswer, SpanAnswer};
use super::{
    Aims, Calibrated, Calibration, FoldOutputs, Measures, Predictions, Solver, Suspects, Target, TargetAnswer,
    TargetSettings, but, folds_of_groups, rows_of,
};
use crate::data::Task;
use crate::data::split::stratified_folds;
use crate::data::text::squad::QuestionSet;
use crate::error::Result;
use crate::heads::AnswerRule;
use crate::metrics::{
    AnswerScore, Paired, ScoredAnswer, SquadVersion, best_no_answer_threshold, evaluate_answers, paired_answer_f1,
};
use crate::progress::Observer;
use crate::settings::Fit;

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

    fn scored(&self, predictions: &Predictions, rows: &[usize]) -> Vec<AnswerScore> {
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
        let scores = self.scored(predictions, rows);
        Ok(Measures::Answers(evaluate_answers(&scores, &has, &self.groups(rows), how, self.settings.seed)))
    }

    fn compare(&self, ours: &Predictions, theirs: &Predictions, rows: &[usize]) -> Result<Paired> {
        let (ours, theirs) = (self.scored(ours, rows), self.scored(theirs, rows));
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
