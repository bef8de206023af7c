//! What needs no network: the sentence of a paragraph that shares most with the question, and in it the words that the
//! question does not have (as the sliding window of Richardson et al. 2013, made for spans).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use unicode_segmentation::UnicodeSegmentation;

use super::{Baseline, ControlData};
use crate::data::text::spans;
use crate::data::text::squad::QuestionSet;
use crate::error::Result;
use crate::features::Features;
use crate::targets::{GivenAnswer, Predictions};

/// Words that say little. They neither count in the overlap nor stand at the ends of an answer.
const FUNCTION_WORDS: [&str; 48] = [
    "a", "an", "and", "are", "as", "at", "be", "been", "by", "did", "do", "does", "for", "from", "had", "has", "have",
    "he", "her", "his", "how", "in", "is", "it", "its", "of", "on", "or", "s", "she", "that", "the", "their", "they",
    "this", "to", "was", "were", "what", "when", "where", "which", "who", "whom", "whose", "why", "with", "would",
];
/// Words of the longest answer.
const LONGEST: usize = 8;

/// How much a word tells: the rarer in the training paragraphs, the more.
#[derive(Debug, Clone, Default, PartialEq)]
struct LexicalReader {
    documents: usize,
    counts: BTreeMap<String, usize>,
}

impl LexicalReader {
    /// Counts words in paragraphs.
    fn of<'a>(contexts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut reader = Self::default();
        for context in contexts {
            reader.documents += 1;
            let once: BTreeSet<String> =
                words(context).into_iter().map(|range| context[range].to_lowercase()).collect();
            once.into_iter().for_each(|word| *reader.counts.entry(word).or_default() += 1);
        }
        reader
    }

    fn weight(&self, word: &str) -> f64 {
        if FUNCTION_WORDS.contains(&word) {
            return 0.0;
        }
        let count = self.counts.get(word).copied().unwrap_or(0);
        ((1 + self.documents) as f64 / (1 + count) as f64).ln()
    }

    /// The answer, in bytes of the paragraph; none where it has no words.
    fn answer(&self, question: &str, context: &str) -> Option<Range<usize>> {
        let asked: BTreeSet<String> = words(question).into_iter().map(|range| question[range].to_lowercase()).collect();
        let overlap = |sentence: &str| -> f64 {
            let once: BTreeSet<String> =
                words(sentence).into_iter().map(|range| sentence[range].to_lowercase()).collect();
            once.iter().filter(|word| asked.contains(*word)).map(|word| self.weight(word)).sum()
        };
        let mut best: Option<(f64, usize, &str)> = None;
        for (at, sentence) in context.split_sentence_bound_indices() {
            let score = overlap(sentence);
            if best.is_none_or(|(most, _, _)| score > most) && !words(sentence).is_empty() {
                best = Some((score, at, sentence));
            }
        }
        let (_, at, sentence) = best?;
        let places = words(sentence);
        let lower: Vec<String> = places.iter().map(|range| sentence[range.clone()].to_lowercase()).collect();
        // A run of words that were not asked about, weighed by how near it stands to those that were.
        let nearness = |word: usize| -> f64 {
            let near = |(other, text): (usize, &String)| {
                if asked.contains(text) { self.weight(text) / (1.0 + other.abs_diff(word) as f64) } else { 0.0 }
            };
            lower.iter().enumerate().map(near).sum()
        };
        let mut top: Option<(f64, Range<usize>)> = None;
        for run in runs(&lower, |word| asked.contains(word)) {
            let score = run.clone().map(|word| self.weight(&lower[word]).min(3.0) * nearness(word)).sum::<f64>()
                / run.len() as f64;
            if top.as_ref().is_none_or(|(most, _)| score > *most) {
                top = Some((score, run));
            }
        }
        let run = top.map_or(0..places.len(), |(_, run)| run);
        Some(at + places[run.start].start..at + places[run.end - 1].end)
    }
}

/// Runs of at most [`LONGEST`] words that were not asked about, without function words at their ends.
fn runs(words: &[String], asked: impl Fn(&String) -> bool) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut start = 0;
    for at in 0..=words.len() {
        if at < words.len() && !asked(&words[at]) && at - start < LONGEST {
            continue;
        }
        let is_function = |word: &usize| FUNCTION_WORDS.contains(&words[*word].as_str());
        let first = (start..at).find(|word| !is_function(word));
        let last = (start..at).rev().find(|word| !is_function(word));
        if let (Some(first), Some(last)) = (first, last) {
            runs.push(first..last + 1);
        }
        start = if at < words.len() && !asked(&words[at]) { at } else { at + 1 };
    }
    runs
}

/// Where the words of a text are.
fn words(text: &str) -> Vec<Range<usize>> {
    spans(text).map(|(at, word)| at..at + word.len()).collect()
}

/// The reader on the same folds and splits.
pub(super) struct WordOverlap {
    set: Arc<QuestionSet>,
    predictions: Predictions,
}

impl WordOverlap {
    /// Measures it on the folds of the training questions.
    pub(crate) fn of(set: &Arc<QuestionSet>, data: &ControlData<'_>) -> Result<Self> {
        let predictions =
            data.out_of_fold(|training, held| Ok(answers(set, &data.examples(training), &data.examples(held))))?;
        Ok(Self { set: set.clone(), predictions })
    }
}

/// Answers to some questions, words weighed by the paragraphs of others.
fn answers(set: &QuestionSet, training: &[usize], asked: &[usize]) -> Predictions {
    let contexts: BTreeSet<usize> = training.iter().map(|&at| set.questions[at].context).collect();
    let reader = LexicalReader::of(contexts.into_iter().map(|at| set.contexts[at].as_str()));
    let answer = |&at: &usize| {
        let range = reader.answer(&set.questions[at].text, set.context(at)).unwrap_or(0..0);
        GivenAnswer { start: range.start, end: range.end, ..GivenAnswer::NONE }
    };
    Predictions::Answers(asked.iter().map(answer).collect())
}

impl Baseline for WordOverlap {
    fn name(&self) -> &'static str {
        "word overlap"
    }

    fn how(&self) -> String {
        "the words that were not asked about, in the sentence that shares most with the question".into()
    }

    fn predictions(&self) -> &Predictions {
        &self.predictions
    }

    fn predict(&self, data: &ControlData<'_>, examples: &[usize], _features: &Features) -> Result<Predictions> {
        Ok(answers(&self.set, data.train, examples))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_answer_stands_in_the_sentence_that_shares_most() {
        let context = "Rome is old. The programme was written by Ada Lovelace in 1843. It rained.";
        let reader = LexicalReader::of([context, "Another old paragraph about the rain in Rome."]);
        let answer = reader.answer("Who has written the programme in 1843?", context).unwrap();
        assert_eq!(&context[answer], "Ada Lovelace");
        assert_eq!(reader.answer("Who?", " ... "), None);
    }

    proptest! {
        #[test]
        fn any_answer_is_a_part_of_the_text(question in ".{0,30}", context in ".{0,80}") {
            if let Some(answer) = LexicalReader::of([context.as_str()]).answer(&question, &context) {
                prop_assert!(context.get(answer).is_some_and(|text| !text.is_empty()));
            }
        }
    }
}
