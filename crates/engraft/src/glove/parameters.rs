//! All that is learned: a row for each word and one for each word as a context, in blocks.
//!
//! The word of row r is in block r mod P at place r div P, so that each block has its part of the frequent words.

use rand::RngExt;
use rayon::prelude::*;

use super::kernel::stride;
use crate::rng::rng;

/// The parameters of a model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parameters {
    pub(super) words: usize,
    pub(super) columns: usize,
    /// Parts of a row: numbers, sums of squared gradients, perhaps given numbers.
    pub(super) parts: usize,
    /// Rows of words, then rows of contexts, by blocks.
    pub(super) sides: [Vec<Vec<f32>>; 2],
}

/// The rows of words, or of contexts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Word,
    Context,
}

impl Side {
    /// Where its bias is in a row; the other place is always 1.
    pub(super) fn bias(self, columns: usize) -> usize {
        match self {
            Self::Word => columns,
            Self::Context => columns + 1,
        }
    }
}

impl Parameters {
    /// Numbers drawn evenly from -0.5 to 0.5, divided by the number of columns; sums of squared gradients are 1. What is drawn for a
    /// word depends on the seed and its row alone.
    pub(super) fn drawn(words: usize, columns: usize, blocks: usize, has_given: bool, seed: u64) -> Self {
        let parts = if has_given { 3 } else { 2 };
        let stride = stride(columns);
        let side = |side: Side, purpose: &str| {
            (0..blocks)
                .into_par_iter()
                .map(|block| {
                    let rows = words.saturating_sub(block).div_ceil(blocks);
                    let mut block_rows = vec![0.0; rows * parts * stride];
                    for (place, row) in block_rows.chunks_exact_mut(parts * stride).enumerate() {
                        let mut random = rng(seed, purpose, (place * blocks + block) as u64);
                        let mut draw = || (random.random::<f32>() - 0.5) / columns as f32;
                        row[..columns].fill_with(&mut draw);
                        row[columns..columns + 2].fill(1.0);
                        row[side.bias(columns)] = draw();
                        row[stride..2 * stride].fill(1.0);
                    }
                    block_rows
                })
                .collect()
        };
        let sides = [side(Side::Word, "glove/word"), side(Side::Context, "glove/context")];
        Self { words, columns, parts, sides }
    }

    /// Numbers of a row.
    pub(super) fn row_length(&self) -> usize {
        self.parts * stride(self.columns)
    }

    fn blocks(&self) -> usize {
        self.sides[0].len()
    }

    /// The row of a word, with all its parts.
    pub(super) fn row(&self, side: Side, word: usize) -> &[f32] {
        let blocks = self.blocks();
        &self.sides[side as usize][word % blocks][word / blocks * self.row_length()..][..self.row_length()]
    }

    /// The same, to be changed.
    pub(super) fn row_mut(&mut self, side: Side, word: usize) -> &mut [f32] {
        let (blocks, length) = (self.blocks(), self.row_length());
        &mut self.sides[side as usize][word % blocks][word / blocks * length..][..length]
    }

    /// The vector of a word, `[columns]`.
    pub(super) fn vector(&self, side: Side, word: usize) -> &[f32] {
        &self.row(side, word)[..self.columns]
    }

    /// The vector and the bias.
    pub(super) fn with_bias(&self, side: Side, word: usize) -> impl Iterator<Item = f32> {
        let row = self.row(side, word);
        row[..self.columns].iter().copied().chain([row[side.bias(self.columns)]])
    }

    /// Sums of squared gradients of the vector and the bias.
    pub(super) fn squares(&self, side: Side, word: usize) -> impl Iterator<Item = f32> {
        let row = &self.row(side, word)[stride(self.columns)..];
        row[..self.columns].iter().copied().chain([row[side.bias(self.columns)]])
    }

    /// Moves the places that rows are pulled to: to where the rows are now, and by half of what the sum of both lacks. The two places of a word
    /// always sum to the vector that it was given.
    pub(super) fn renew_places(&mut self) {
        let (columns, place) = (self.columns, 2 * stride(self.columns));
        let length = self.row_length();
        let [words, contexts] = &mut self.sides;
        words.par_iter_mut().zip(contexts).for_each(|(words, contexts)| {
            for (word, context) in words.chunks_exact_mut(length).zip(contexts.chunks_exact_mut(length)) {
                if word[place + columns] == 0.0 {
                    continue;
                }
                for at in 0..columns {
                    let given = word[place + at] + context[place + at];
                    let lacking = (given - word[at] - context[at]) / 2.0;
                    word[place + at] = word[at] + lacking;
                    context[place + at] = context[at] + lacking;
                }
            }
        });
    }

    /// Bytes that parameters take.
    pub(super) fn bytes(words: usize, columns: usize, has_given: bool) -> u64 {
        let parts = if has_given { 3 } else { 2 };
        2 * words as u64 * parts * stride(columns) as u64 * 4
    }
}
