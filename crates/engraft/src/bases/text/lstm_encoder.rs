//! A language model as what gives features of texts: its pooled states, or those through the hidden layer of a classifier
//! that it was made.

use crate::bases::text::language_model::LanguageModel;
use crate::data::text::{Text, words};

/// Most tokens of a text that are read where nothing else is said.
const TOKENS: usize = 400;

/// A language model that gives features.
#[derive(Debug, Clone)]
pub struct LstmEncoder {
    /// The language model.
    pub(crate) model: LanguageModel,
    /// What its pooled states go through, where it was made a classifier.
    pub(crate) hidden: Option<HiddenLayer>,
    /// Most tokens of a text; of longer ones beginning and end are read.
    pub(crate) limit: usize,
}

/// Keeps a row of equal numbers from being divided by nothing.
pub(crate) const NORM_EPSILON: f64 = 1e-5;

/// A row with mean 0 and deviation 1 (Ba, Kiros and Hinton 2016), in a fixed order of sums.
pub(crate) fn normed(row: &[f32]) -> Vec<f32> {
    let n = row.len().max(1) as f64;
    let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
    let variance = row.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / n;
    let factor = 1.0 / (variance + NORM_EPSILON).sqrt();
    row.iter().map(|x| ((f64::from(*x) - mean) * factor) as f32).collect()
}

/// `relu(W (scale norm(x) + shift) + b)`
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HiddenLayer {
    /// `[in]`
    pub(crate) scale: Vec<f32>,
    /// `[in]`
    pub(crate) shift: Vec<f32>,
    /// `[in, out]`, row-major.
    pub(crate) weight: Vec<f32>,
    /// `[out]`
    pub(crate) bias: Vec<f32>,
}

impl HiddenLayer {
    /// A row of features, in a fixed order of sums.
    pub(crate) fn apply(&self, row: &[f32]) -> Vec<f32> {
        let mut sums = self.bias.clone();
        let row = normed(row);
        let inputs = row.iter().zip(&self.scale).zip(&self.shift).map(|((x, scale), shift)| x * scale + shift);
        for (x, weights) in inputs.zip(self.weight.chunks_exact(self.bias.len())) {
            sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += x * weight);
        }
        sums.iter_mut().for_each(|sum| *sum = sum.max(0.0));
        sums
    }
}

impl LstmEncoder {
    /// A language model whose pooled states are the features.
    pub fn new(model: LanguageModel) -> Self {
        Self { model, hidden: None, limit: TOKENS }
    }

    /// Length of the features.
    pub(crate) fn columns(&self) -> usize {
        self.hidden.as_ref().map_or_else(|| self.model.columns(), |hidden| hidden.bias.len())
    }

    /// Features of texts; none depends on the texts beside it.
    pub(crate) fn embed(&self, texts: &[&Text]) -> Vec<Vec<f32>> {
        let rows = self.model.embed(texts, self.limit);
        match &self.hidden {
            None => rows,
            Some(hidden) => rows.iter().map(|row| hidden.apply(row)).collect(),
        }
    }

    /// MACs of a text of so many tokens.
    pub fn multiply_adds(&self, tokens: usize) -> u64 {
        self.model.network.costs(tokens).iter().map(|cost| cost.multiply_adds).sum()
    }

    /// How many words of a text the vocabulary has, and how many words there are.
    pub(crate) fn covered(&self, text: &Text) -> (usize, usize) {
        let known = |word: &str| self.model.vocabulary.number(word).is_some();
        let all = text.parts().flat_map(|part| words(part).map(|(_, word)| known(&word)).collect::<Vec<_>>());
        all.fold((0, 0), |(some, all), known| (some + usize::from(known), all + 1))
    }
}
