//! What is told of texts alone: what the base does not see of them, how right answers go with length, and which words spoke
//! for wrong answers.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::{Deserialize, Serialize};

use crate::bases::text::{TextBase, WordPooler};
use crate::data::text::{Text, spans};
use crate::error::Result;
use crate::features::{Coverage, TextExtractor};
use crate::fit::explain::{WordWeight, explain};
use crate::metrics::LabelError;
use crate::targets::Predictor;
use crate::train::argmax;

/// Mistakes and suspected labels whose words are weighed.
const EXPLAINED: usize = 12;
/// For this many training texts one variant of a text is run to explain, beyond the first texts' worth of [`VARIANTS`].
const TEXTS_PER_VARIANT: usize = 4;
/// Variants that are always run.
const VARIANTS: usize = 200;
/// Parts that texts are divided into by their length.
const LENGTHS: usize = 4;
/// Words that the base does not know which are named.
const NAMED: usize = 20;

/// What is told of texts alone.
#[derive(Debug, Clone)]
pub(crate) struct TextFacts {
    /// How word vectors are pooled, where the base is that.
    pub(crate) pooler: Option<WordPooler>,
    /// What of the training texts the base does not see.
    pub(crate) coverage: Coverage,
    /// Words that the base does not know, with how many times they stand in the training texts, the most frequent first.
    pub(crate) unknown_words: Vec<(String, usize)>,
    /// How right answers go with length; empty where answers are not plainly right or wrong.
    pub(crate) lengths: Vec<LengthBin>,
    /// What words gave to the wrong answers and suspected labels that a report shows, by the example's index.
    pub(crate) explanations: BTreeMap<usize, Vec<WordWeight>>,
}

/// How right answers go with the length of texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LengthBin {
    /// Words of the shortest text.
    pub(crate) from: usize,
    /// Words of the longest.
    pub(crate) to: usize,
    /// Texts.
    pub(crate) count: usize,
    /// Those that were answered rightly out of fold.
    pub(crate) correct: usize,
}

/// Right answers by the number of words, in parts of about as many texts each.
pub(crate) fn by_length(texts: &[&Text], correct: &[bool]) -> Vec<LengthBin> {
    let length =
        |text: &Text| spans(&text.first).count() + text.second.as_deref().map_or(0, |second| spans(second).count());
    let mut sorted: Vec<(usize, bool)> = texts.iter().map(|text| length(text)).zip(correct.iter().copied()).collect();
    sorted.sort_unstable();
    let mut bins: Vec<LengthBin> = Vec::new();
    for part in sorted.chunks(sorted.len().div_ceil(LENGTHS).max(1)) {
        let (Some((from, _)), Some((to, _))) = (part.first(), part.last()) else { continue };
        let right = part.iter().filter(|(_, right)| *right).count();
        bins.push(LengthBin { from: *from, to: *to, count: part.len(), correct: right });
    }
    bins
}

/// Words of the texts that the base's vocabulary does not have whole.
pub(crate) fn unknown_words(base: &TextBase, texts: &[&Text]) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for text in texts {
        for part in [Some(text.first.as_str()), text.second.as_deref()].into_iter().flatten() {
            for (_, word) in spans(part).filter(|(_, word)| word.chars().any(char::is_alphabetic)) {
                *counts.entry(word.to_lowercase()).or_default() += 1;
            }
        }
    }
    let mut unknown: Vec<(String, usize)> = counts.into_iter().filter(|(word, _)| !base.knows(word)).collect();
    unknown.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    unknown.truncate(NAMED);
    unknown
}

/// What words gave to the surest wrong answers, and to the classes that suspected labels probably are; by their place
/// among the training texts. It is the final model that is asked. Every word costs a text through the base: what is explained
/// ends where that would come to more than a quarter of what the features of the training texts cost.
pub(crate) fn explanations(
    extractor: &TextExtractor,
    predictor: &Predictor,
    texts: &[&Text],
    (rows, out_of_fold, truth): (&[usize], &[f32], &[usize]),
    suspected: &[LabelError],
) -> Result<BTreeMap<usize, Vec<WordWeight>>> {
    let classes = predictor.head.outputs();
    let mut wrong: Vec<(usize, usize, f32)> = (out_of_fold.chunks_exact(classes).zip(truth).enumerate())
        .map(|(place, (row, &label))| (place, argmax(row), label, row))
        .filter(|(_, answer, label, _)| answer != label)
        .map(|(place, answer, _, row)| (place, answer, row[answer]))
        .collect();
    wrong.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
    let asked = wrong.iter().take(EXPLAINED).map(|(place, answer, _)| (*place, *answer));
    let asked = asked.chain(suspected.iter().take(EXPLAINED).map(|error| (error.index, error.suggested)));
    let mut left = (texts.len() / TEXTS_PER_VARIANT).max(VARIANTS);
    let mut explained = BTreeMap::new();
    for (place, class) in asked {
        let at = rows[place];
        if let Entry::Vacant(entry) = explained.entry(at) {
            if left == 0 {
                break;
            }
            let words = explain(extractor, predictor, texts[at], class)?;
            left = left.saturating_sub(words.len() + 1);
            entry.insert(words);
        }
    }
    Ok(explained)
}
