//! Spans of words, each of a type.

use std::sync::Arc;

use super::found_spans::{FoundSpan, spans_in};
use super::{
    Aims, Calibrated, Calibration, FoldOutputs, Measures, Predictions, Solver, Suspects, Target, TargetAnswer,
    TargetSettings, folds_of_groups, places_of, rows_of,
};
use crate::data::Task;
use crate::data::split::stratified_folds;
use crate::data::text::conll::{TaggedSentence, TaggedSet};
use crate::error::Result;
use crate::heads::AnswerRule;
use crate::metrics::{Paired, TaggedPair, evaluate_spans, paired_span_f1};
use crate::progress::Observer;
use crate::settings::Fit;

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
        debug_assert_eq!(places_of(parts).len(), found.len());
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
