//! A text's vector from its words' vectors: their mean, weighted by rarity, or smooth inverse frequency (Arora, Liang and
//! Ma 2017, "A simple but tough-to-beat baseline for sentence embeddings").
//!
//! What the weights depend on is measured on texts once, and kept: later texts are weighed by the same numbers.

use std::collections::{BTreeMap, BTreeSet};

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd;
use faer::{Mat, Par};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bases::text::vectors::WordVectors;
use crate::data::text::Text;
use crate::data::text::words::spans;

/// The paper's `a`: words more frequent than it weigh less than half.
const SMOOTHING: f64 = 1e-3;
/// Parts that the texts are summed in: as many whatever the number of threads.
const PARTS: usize = 16;

/// How words' vectors become a text's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WordPooling {
    /// The mean of the words' vectors.
    Mean,
    /// The mean weighted by `ln((1 + texts) / (1 + texts with the word)) + 1`, as scikit-learn's smooth idf.
    Idf,
    /// Each word weighed by `a / (a + p(word))`, and the texts' first common direction taken away.
    #[default]
    Sif,
}

/// Makes vectors of texts, as it was measured on some texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WordPooler {
    pooling: WordPooling,
    /// Texts that it was measured on; a pair is two.
    texts: u64,
    /// Words of them that have a vector.
    tokens: u64,
    /// By the vectors' word: in how many texts it is (idf), or how often (SIF).
    counts: BTreeMap<String, u64>,
    /// The direction that is taken away, `[columns]`; empty where none is.
    component: Vec<f64>,
}

impl WordVectors {
    /// Measures on these texts what pooling needs. They are those of training: no label is asked for.
    pub fn pooler(&self, texts: &[&Text], pooling: WordPooling) -> WordPooler {
        let parts: Vec<&str> =
            texts.iter().flat_map(|text| [Some(text.first.as_str()), text.second.as_deref()]).flatten().collect();
        let mut pooler = WordPooler {
            pooling,
            texts: parts.len() as u64,
            tokens: 0,
            counts: BTreeMap::new(),
            component: Vec::new(),
        };
        if pooling == WordPooling::Mean {
            return pooler;
        }
        let rows: Vec<Vec<usize>> =
            parts.par_iter().map(|text| spans(text).filter_map(|(_, word)| self.find(word)).collect()).collect();
        let mut counts: BTreeMap<usize, u64> = BTreeMap::new();
        for rows in &rows {
            pooler.tokens += rows.len() as u64;
            match pooling {
                WordPooling::Idf => {
                    rows.iter()
                        .collect::<BTreeSet<_>>()
                        .into_iter()
                        .for_each(|row| *counts.entry(*row).or_default() += 1);
                }
                _ => rows.iter().for_each(|row| *counts.entry(*row).or_default() += 1),
            }
        }
        pooler.counts = counts.into_iter().map(|(row, count)| (self.word(row).to_owned(), count)).collect();
        if pooling == WordPooling::Sif {
            pooler.component = pooler.first_component(self, &parts);
        }
        pooler
    }
}

impl WordPooler {
    /// Numbers of a text's vector; a pair has four times as many as one text.
    pub(crate) fn columns(&self, vectors: &WordVectors, pair: bool) -> usize {
        if pair { 4 * vectors.columns() } else { vectors.columns() }
    }

    /// The vector of a text. A pair's is `[u, v, |u - v|, u v]` of those of its texts (Conneau et al. 2017, section 3.1).
    ///
    /// A text none of whose words has a vector gives zeros.
    pub(crate) fn embed(&self, vectors: &WordVectors, text: &Text) -> Vec<f32> {
        let first = self.embed_one(vectors, &text.first);
        let Some(second) = &text.second else { return first };
        let second = self.embed_one(vectors, second);
        let pairs = || first.iter().zip(&second);
        let distance = pairs().map(|(u, v)| (u - v).abs());
        let product = pairs().map(|(u, v)| u * v);
        first.iter().chain(&second).copied().chain(distance).chain(product).collect()
    }

    fn embed_one(&self, vectors: &WordVectors, text: &str) -> Vec<f32> {
        let mut mean = self.weighted_mean(vectors, text);
        if self.component.len() == mean.len() {
            let along: f64 = mean.iter().zip(&self.component).map(|(x, u)| x * u).sum();
            mean.iter_mut().zip(&self.component).for_each(|(x, u)| *x -= along * u);
        }
        mean.into_iter().map(|x| x as f32).collect()
    }

    fn weighted_mean(&self, vectors: &WordVectors, text: &str) -> Vec<f64> {
        let mut sum = vec![0.0; vectors.columns()];
        let mut divisor = 0.0;
        for row in spans(text).filter_map(|(_, word)| vectors.find(word)) {
            let weight = self.weight(vectors, row);
            // The paper divides by the number of words, not by the sum of their weights.
            divisor += if self.pooling == WordPooling::Sif { 1.0 } else { weight };
            sum.iter_mut().zip(vectors.at(row)).for_each(|(sum, x)| *sum += weight * f64::from(*x));
        }
        if divisor > 0.0 {
            sum.iter_mut().for_each(|sum| *sum /= divisor);
        }
        sum
    }

    /// The weight of a word.
    fn weight(&self, vectors: &WordVectors, row: usize) -> f64 {
        let count = || self.counts.get(vectors.word(row)).copied();
        match self.pooling {
            WordPooling::Mean => 1.0,
            WordPooling::Idf => {
                let (texts, with) = (self.texts as f64, count().unwrap_or(0) as f64);
                ((1.0 + texts) / (1.0 + with)).ln() + 1.0
            }
            WordPooling::Sif => {
                let probability = match count() {
                    Some(count) => count as f64 / self.tokens as f64,
                    None => zipf(vectors.rank(row), vectors.total()),
                };
                SMOOTHING / (SMOOTHING + probability)
            }
        }
    }

    /// The first right singular vector of the texts' weighted means, not centred (the paper's algorithm 1).
    fn first_component(&self, vectors: &WordVectors, texts: &[&str]) -> Vec<f64> {
        let columns = vectors.columns();
        let parts: Vec<Vec<f64>> = texts
            .par_chunks(texts.len().div_ceil(PARTS).max(1))
            .map(|texts| {
                let mut square = vec![0.0; columns * columns];
                for mean in texts.iter().map(|text| self.weighted_mean(vectors, text)) {
                    for (row, x) in square.chunks_exact_mut(columns).zip(&mean) {
                        row.iter_mut().zip(&mean).for_each(|(sum, y)| *sum += x * y);
                    }
                }
                square
            })
            .collect();
        let mut square = vec![0.0; columns * columns];
        for part in parts {
            square.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        last_eigenvector(&Mat::from_fn(columns, columns, |i, j| square[i * columns + j]))
    }
}

/// The eigenvector of the largest eigenvalue of a symmetric matrix; none if that is zero.
///
/// On one thread: faer promises the same bits only for the same number of threads.
fn last_eigenvector(symmetric: &Mat<f64>) -> Vec<f64> {
    let n = symmetric.nrows();
    let mut values = Diag::<f64>::zeros(n);
    let mut vectors = Mat::zeros(n, n);
    let size = evd::self_adjoint_evd_scratch::<f64>(n, evd::ComputeEigenvectors::Yes, Par::Seq, Default::default());
    let found = evd::self_adjoint_evd(
        symmetric.as_ref(),
        values.as_mut(),
        Some(vectors.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(size)),
        Default::default(),
    );
    // In ascending order. Nothing is taken away from texts without any direction.
    if found.is_err() || values.column_vector()[n - 1] <= 0.0 {
        return Vec::new();
    }
    vectors.col(n - 1).iter().copied().collect()
}

/// How frequent a word of this rank, from 1, is among so many words by Zipf's law: `1 / (rank H)`.
fn zipf(rank: u32, total: usize) -> f64 {
    // The harmonic number, by Euler and Maclaurin.
    let n = total.max(1) as f64;
    let harmonic = n.ln() + 0.577_215_664_901_532_9 + 1.0 / (2.0 * n);
    1.0 / (f64::from(rank) * harmonic)
}

#[cfg(test)]
#[path = "word_pooler_tests.rs"]
mod tests;
