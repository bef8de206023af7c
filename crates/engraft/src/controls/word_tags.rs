//! The baseline of tagged words: every word gets the tag that it had most often in training.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Baseline, ControlData};
use crate::data::text::conll::{TaggedSentence, TaggedSet, spans_of_tags, tags_of};
use crate::error::Result;
use crate::features::Features;
use crate::metrics::Span;
use crate::targets::{FoundSpan, Predictions};

/// The tag that every word had most often in training; a word that was never seen is outside.
#[derive(Debug, Clone, Default, PartialEq)]
struct WordTags(BTreeMap<String, usize>);

impl WordTags {
    /// Counts tags of words; of equally frequent tags the smaller number is taken.
    fn of(sentences: &[&TaggedSentence]) -> Self {
        let mut counts: BTreeMap<&str, BTreeMap<usize, usize>> = BTreeMap::new();
        for sentence in sentences {
            for (word, tag) in sentence.words.iter().zip(tags_of(&sentence.spans, sentence.words.len())) {
                *counts.entry(word).or_default().entry(tag).or_default() += 1;
            }
        }
        let most = |tags: &BTreeMap<usize, usize>| {
            let top = tags.iter().max_by_key(|(tag, count)| (**count, std::cmp::Reverse(**tag)));
            top.map_or(0, |(tag, _)| *tag)
        };
        Self(counts.iter().map(|(word, tags)| ((*word).to_owned(), most(tags))).collect())
    }

    /// The spans of a sentence; a tag that goes on from nothing begins a span.
    fn spans(&self, words: &[String]) -> Vec<Span> {
        spans_of_tags(&words.iter().map(|word| self.0.get(word).copied().unwrap_or(0)).collect::<Vec<_>>())
    }
}

/// The same on the folds and splits of the fit.
pub(super) struct WordTagsBaseline {
    set: Arc<TaggedSet>,
    predictions: Predictions,
}

impl WordTagsBaseline {
    /// Measures it on the folds of the training sentences.
    pub(crate) fn of(set: &Arc<TaggedSet>, data: &ControlData<'_>) -> Result<Self> {
        let predictions =
            data.out_of_fold(|training, held| Ok(tagged(set, &data.examples(training), &data.examples(held))))?;
        Ok(Self { set: set.clone(), predictions })
    }
}

/// The spans of some sentences, by the tags of the words of others.
fn tagged(set: &TaggedSet, training: &[usize], asked: &[usize]) -> Predictions {
    let known = WordTags::of(&training.iter().map(|&at| &set.sentences[at]).collect::<Vec<_>>());
    let found = |&at: &usize| {
        let spans = known.spans(&set.sentences[at].words).into_iter();
        spans.map(|Span { kind, start, end }| FoundSpan { start, end, kind, probability: 0.0 }).collect()
    };
    Predictions::Tags(asked.iter().map(found).collect())
}

impl Baseline for WordTagsBaseline {
    fn name(&self) -> &'static str {
        "most frequent tag"
    }

    fn how(&self) -> String {
        "the tag that each word had most often in training".into()
    }

    fn predictions(&self) -> &Predictions {
        &self.predictions
    }

    fn predict(&self, data: &ControlData<'_>, examples: &[usize], _features: &Features) -> Result<Predictions> {
        Ok(tagged(&self.set, data.train, examples))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Split;

    #[test]
    fn the_commonest_tag_of_a_word_is_its_answer() {
        let sentence = |words: &str, spans: Vec<Span>| TaggedSentence {
            name: words.into(),
            words: words.split(' ').map(str::to_owned).collect(),
            spans,
            document: 0,
            split: Split::Train,
        };
        let train = [
            sentence("in New York", vec![Span { kind: 0, start: 1, end: 3 }]),
            sentence("a New York", vec![Span { kind: 0, start: 1, end: 3 }]),
            sentence("New ideas", vec![]),
        ];
        let baseline = WordTags::of(&train.iter().collect::<Vec<_>>());
        let words: Vec<String> = ["New", "York", "unseen", "York"].map(str::to_owned).to_vec();
        let spans = baseline.spans(&words);
        assert_eq!(spans, [Span { kind: 0, start: 0, end: 2 }, Span { kind: 0, start: 3, end: 4 }]);
    }
}
