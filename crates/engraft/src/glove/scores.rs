//! Cosines of words: rows of length 1, products of blocks, and exact values of single pairs.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::bases::text::{UNKNOWN_WORD, WordVectors};

/// Words of a block of scores.
pub(super) const BLOCK: usize = 1024;

/// Vectors of length 1, beside the vectors that they were made of.
pub(super) struct Unit<'a> {
    pub(super) vectors: &'a WordVectors,
    /// The first words, which alone answer.
    pub(super) words: usize,
    /// `[words, columns]`, zeros for a vector without a length.
    values: Vec<f32>,
    /// Whether a word may be an answer: not without a length, nor `<unk>`.
    pub(super) may_answer: Vec<bool>,
}

impl<'a> Unit<'a> {
    /// The first `most_frequent` words, or all for 0.
    pub(super) fn of(vectors: &'a WordVectors, most_frequent: usize) -> Self {
        let words = if most_frequent == 0 { vectors.len() } else { most_frequent.min(vectors.len()) };
        let columns = vectors.columns();
        let mut values = vec![0.0; words * columns];
        values.par_chunks_mut(columns).enumerate().for_each(|(row, out)| {
            out.iter_mut().zip(unit(vectors.at(row))).for_each(|(out, x)| *out = x as f32);
        });
        let has_length = |row: usize| values[row * columns..(row + 1) * columns].iter().any(|x| *x != 0.0);
        let may_answer = (0..words).map(|row| vectors.word(row) != UNKNOWN_WORD && has_length(row)).collect();
        Self { vectors, words, values, may_answer }
    }

    /// The row of a word among those that answer: as it stands, or else in lower case.
    pub(super) fn find(&self, word: &str) -> Option<usize> {
        self.vectors.find(word).filter(|&row| row < self.words && self.may_answer[row])
    }

    /// A row of length 1, f32.
    pub(super) fn row(&self, row: usize) -> &[f32] {
        let columns = self.vectors.columns();
        &self.values[row * columns..(row + 1) * columns]
    }

    /// The blocks that the words fall into.
    pub(super) fn blocks(&self) -> Vec<Range<usize>> {
        (0..self.words).step_by(BLOCK).map(|begin| begin..(begin + BLOCK).min(self.words)).collect()
    }

    /// Products of the words of a block with `queries`, `[n, columns]`: `[n, block]` in `out`. On one thread.
    pub(super) fn block(&self, block: Range<usize>, queries: &[f32], out: &mut Vec<f32>) {
        let columns = self.vectors.columns();
        let (rows, count) = (block.len(), queries.len() / columns);
        out.clear();
        out.resize(rows * count, 0.0);
        let words = &self.values[block.start * columns..block.end * columns];
        let words = MatRef::from_row_major_slice(words, rows, columns);
        let queries = MatRef::from_row_major_slice(queries, count, columns);
        let into = MatMut::from_column_major_slice_mut(out, rows, count);
        matmul(into, Accum::Replace, words, queries.transpose(), 1.0, Par::Seq);
    }

    /// The words whose cosines with `query` are largest, with the cosines, exactly; of equals the first. `left_out` are no answers.
    pub(super) fn nearest(&self, query: &[f64], left_out: &[usize], count: usize) -> Vec<(usize, f64)> {
        let query = unit_of(query);
        let scores: Vec<f64> =
            (0..self.words).into_par_iter().map(|row| dot(&unit(self.vectors.at(row)), &query)).collect();
        let mut rows: Vec<usize> =
            (0..self.words).filter(|row| self.may_answer[*row] && !left_out.contains(row)).collect();
        rows.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        rows.into_iter().take(count).map(|row| (row, scores[row])).collect()
    }
}

/// A vector of length 1, in f64; zeros where it has no length.
pub(super) fn unit(vector: &[f32]) -> Vec<f64> {
    let wide: Vec<f64> = vector.iter().map(|x| f64::from(*x)).collect();
    unit_of(&wide)
}

pub(super) fn unit_of(vector: &[f64]) -> Vec<f64> {
    let length = dot(vector, vector).sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    vector.iter().map(|x| x * scale).collect()
}

/// In the order of the columns.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
