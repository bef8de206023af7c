//! Blocks of an encoder that does not learn, as a program on slices: attention and a feed-forward part, each with its
//! residual and a layer norm, behind the sum (Vaswani et al. 2017, as Devlin et al. 2019 have it) or in front of the part
//! (Dosovitskiy et al. 2021).
//!
//! Weights are packed once. Texts lie one after the other without anything between them, so that linear layers see as
//! many rows as there are tokens; attention is each text's own. Some whole texts at a time go through a block while
//! their numbers are in the cache.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::activation::{Activation, exp_of_vector};
use crate::gemm::{Epilogue, Panels, ROWS, Rows, matrix_product, multiply};
use crate::layer_norm::{self, LayerNorm};
use crate::vector::arch;
use crate::{row, scratch};

/// Most tokens that go through a block together, unless one text alone is longer. Each time the weights come from a far
/// cache: the more tokens they meet, the less that costs, as long as what lies between two layers stays near.
const TOGETHER: usize = 288;

/// Shares that texts are cut into for each thread, so that one who is held up can leave some to the others.
const SHARES: usize = 2;

/// Fewest tokens of a share: below, weights are fetched for too little.
const FEWEST: usize = 64;

/// Rows of scores are as long as a multiple of this.
const MOST_LANES: usize = 16;

/// Scores that are held at a time.
const BLOCK_SCORES: usize = 1 << 15;

/// A linear layer's weight `[in, out]` and bias `[out]`.
#[derive(Debug, Clone, Copy)]
pub struct AffineWeights<'a> {
    /// `[in, out]`
    pub weight: &'a [f32],
    /// `[out]`
    pub bias: &'a [f32],
}

/// A layer norm's factor and summand, `[D]` each.
#[derive(Debug, Clone, Copy)]
pub struct NormWeights<'a> {
    /// Factor.
    pub gamma: &'a [f32],
    /// Summand.
    pub beta: &'a [f32],
}

/// The weights of a block.
#[derive(Debug, Clone, Copy)]
pub struct EncoderBlock<'a> {
    /// Of the queries, `[D, D]`.
    pub query: AffineWeights<'a>,
    /// Of the keys, `[D, D]`.
    pub key: AffineWeights<'a>,
    /// Of the values, `[D, D]`.
    pub value: AffineWeights<'a>,
    /// Behind the heads, `[D, D]`.
    pub output: AffineWeights<'a>,
    /// The attention's.
    pub attention_norm: NormWeights<'a>,
    /// `[D, between]`
    pub widen: AffineWeights<'a>,
    /// `[between, D]`
    pub narrow: AffineWeights<'a>,
    /// The feed-forward part's.
    pub norm: NormWeights<'a>,
}

/// What the blocks of an encoder have in common.
#[derive(Debug, Clone)]
pub struct EncoderShape {
    /// Numbers of a token, D.
    pub width: usize,
    /// Heads of the attention.
    pub heads: usize,
    /// Between the two layers of the feed-forward part.
    pub activation: Activation,
    /// Of the layer norms.
    pub epsilon: f32,
    /// What is added to a score by the distance from query to key, `[heads, 2 longest - 1]`: that of a key `d` behind the
    /// query is at `longest - 1 + d`. MPNet has it.
    pub distances: Option<Vec<f32>>,
    /// Whether the norms stand in front of their parts, as in vision transformers, and not behind the sums.
    pub norm_first: bool,
}

impl EncoderShape {
    fn head(&self) -> usize {
        self.width / self.heads
    }

    /// The numbers that are added to the scores of a query at `at`, for keys from the first on.
    fn bias(&self, head: usize, at: usize, keys: usize) -> Option<&[f32]> {
        let all = self.distances.as_ref()?;
        let row = &all[head * (all.len() / self.heads)..][..all.len() / self.heads];
        Some(&row[row.len() / 2 - at..][..keys])
    }
}

/// A linear layer, packed.
#[derive(Debug, Clone)]
struct Affine {
    panels: Panels,
    bias: Vec<f32>,
}

impl Affine {
    fn new(weights: AffineWeights<'_>, inputs: usize) -> Self {
        let outputs = weights.bias.len();
        Self { panels: Panels::of(weights.weight, inputs, outputs), bias: weights.bias.to_vec() }
    }

    /// `y = activation(x W + b + residual)`
    fn run(&self, x: &[f32], y: &mut [f32], residual: Option<&[f32]>, activation: Activation, wide: bool) {
        let epilogue = Epilogue { bias: Some(&self.bias), residual, activation };
        if wide {
            return matrix_product(x, &self.panels, y, &epilogue);
        }
        let outputs = self.bias.len();
        let count = y.len() / outputs;
        let inputs = x.len() / count;
        let offsets: Vec<usize> = (0..count).map(|row| row * inputs).collect();
        let places: Vec<usize> = (0..count).map(|row| row * outputs).collect();
        let rows = Rows { values: x, offsets: &offsets, pieces: 1, zeros: &[], outputs: &places };
        multiply(&rows, &self.panels, y, &epilogue);
    }
}

/// A layer norm.
#[derive(Debug, Clone)]
struct Norm {
    gamma: Vec<f32>,
    beta: Vec<f32>,
}

impl Norm {
    fn new(weights: NormWeights<'_>, width: usize) -> Self {
        assert_eq!((weights.gamma.len(), weights.beta.len()), (width, width), "a norm of {width}");
        Self { gamma: weights.gamma.to_vec(), beta: weights.beta.to_vec() }
    }

    fn run(&self, x: &[f32], y: &mut [f32], epsilon: f32) {
        layer_norm::forward_here(x, &LayerNorm { gamma: &self.gamma, beta: &self.beta, epsilon }, y);
    }
}

/// A block, packed: queries, keys and values are one layer, and what scores are scaled by is in the queries.
#[derive(Debug, Clone)]
struct Block {
    projections: Affine,
    output: Affine,
    attention_norm: Norm,
    widen: Affine,
    narrow: Affine,
    norm: Norm,
}

impl Block {
    fn new(weights: &EncoderBlock<'_>, shape: &EncoderShape) -> Self {
        let width = shape.width;
        let scale = 1.0 / (shape.head() as f32).sqrt();
        let parts = [(weights.query, scale), (weights.key, 1.0), (weights.value, 1.0)];
        let mut joined = vec![0.0; width * 3 * width];
        let mut bias = Vec::with_capacity(3 * width);
        for (index, (part, factor)) in parts.into_iter().enumerate() {
            assert_eq!((part.weight.len(), part.bias.len()), (width * width, width), "a projection of {width}");
            for (to, from) in joined.chunks_exact_mut(3 * width).zip(part.weight.chunks_exact(width)) {
                to[index * width..][..width].iter_mut().zip(from).for_each(|(to, from)| *to = from * factor);
            }
            bias.extend(part.bias.iter().map(|bias| bias * factor));
        }
        Self {
            projections: Affine::new(AffineWeights { weight: &joined, bias: &bias }, width),
            output: Affine::new(weights.output, width),
            attention_norm: Norm::new(weights.attention_norm, width),
            widen: Affine::new(weights.widen, width),
            narrow: Affine::new(weights.narrow, weights.widen.bias.len()),
            norm: Norm::new(weights.norm, width),
        }
    }

    /// Some whole texts through the block, in place. `wide` where the other threads have nothing else to do.
    fn run(&self, shape: &EncoderShape, x: &mut [f32], lengths: &[usize], wide: bool) {
        let width = shape.width;
        let tokens = x.len() / width;
        let between = self.widen.bias.len();
        let widest = between.max(3 * width);
        scratch::with(tokens * (widest + 2 * width), |memory| {
            let (large, rest) = memory.split_at_mut(tokens * widest);
            let (mixed, sum) = rest.split_at_mut(tokens * width);
            let projected = &mut large[..tokens * 3 * width];
            if shape.norm_first {
                self.attention_norm.run(x, sum, shape.epsilon);
                self.projections.run(sum, projected, None, Activation::None, wide);
            } else {
                self.projections.run(x, projected, None, Activation::None, wide);
            }
            let mut first = 0;
            for &length in lengths.iter().filter(|length| **length > 0) {
                let text = &projected[first * 3 * width..][..length * 3 * width];
                attend(shape, text, &mut mixed[first * width..][..length * width], wide);
                first += length;
            }
            self.output.run(mixed, sum, Some(x), Activation::None, wide);
            let wider = &mut large[..tokens * between];
            if shape.norm_first {
                self.norm.run(sum, mixed, shape.epsilon);
                self.widen.run(mixed, wider, None, shape.activation, wide);
                self.narrow.run(wider, x, Some(sum), Activation::None, wide);
            } else {
                self.attention_norm.run(sum, x, shape.epsilon);
                self.widen.run(x, wider, None, shape.activation, wide);
                self.narrow.run(wider, sum, Some(x), Activation::None, wide);
                self.norm.run(sum, x, shape.epsilon);
            }
        });
    }
}

/// The attention of a text: `[T, 3 D]` (queries, keys, values) to `[T, D]`.
fn attend(shape: &EncoderShape, projected: &[f32], y: &mut [f32], wide: bool) {
    let (width, head) = (shape.width, shape.head());
    if !wide || y.len() < FEWEST * width {
        for index in 0..shape.heads {
            attend_head(shape, projected, index, y, width, index * head);
        }
        return;
    }
    let tokens = y.len() / width;
    let parts: Vec<Vec<f32>> = (0..shape.heads)
        .into_par_iter()
        .map(|index| {
            let mut own = vec![0.0; tokens * head];
            attend_head(shape, projected, index, &mut own, head, 0);
            own
        })
        .collect();
    for (index, part) in parts.iter().enumerate() {
        for (to, from) in y.chunks_exact_mut(width).zip(part.chunks_exact(head)) {
            to[index * head..][..head].copy_from_slice(from);
        }
    }
}

/// One head of it, into rows of `columns` numbers from `first` on.
fn attend_head(shape: &EncoderShape, projected: &[f32], head: usize, y: &mut [f32], columns: usize, first: usize) {
    let (width, size) = (shape.width, shape.head());
    let tokens = projected.len() / (3 * width);
    let stride = tokens.next_multiple_of(MOST_LANES);
    let block = ((BLOCK_SCORES / stride / ROWS).max(1) * ROWS).min(tokens);
    PACKED.with_borrow_mut(|packed| {
        let Packed { keys, values, zeros, from, to, score_rows } = packed;
        zeros.resize(size, 0.0);
        let piece = |part: usize, token: usize| match token < tokens {
            true => &projected[token * 3 * width + part * width + head * size..][..size],
            false => &zeros[..],
        };
        keys.pack_columns(size, stride, |key| piece(1, key));
        values.pack(stride, size, |key| piece(2, key));
        score_rows.clear();
        score_rows.extend((0..block).map(|row| row * stride));
        scratch::with(block * stride, |scores| {
            for begin in (0..tokens).step_by(block) {
                let rows = begin..(begin + block).min(tokens);
                let (scores, score_rows) = (&mut scores[..rows.len() * stride], &score_rows[..rows.len()]);
                from.clear();
                from.extend(rows.clone().map(|token| token * 3 * width + head * size));
                product(projected, from, keys, scores, score_rows);
                arch().dispatch(Probabilities { shape, head, tokens, begin, stride, scores });
                to.clear();
                to.extend(rows.map(|token| token * columns + first));
                product(scores, score_rows, values, y, to);
            }
        });
    });
}

/// What a thread keeps from one head to the next.
#[derive(Default)]
struct Packed {
    keys: Panels,
    values: Panels,
    zeros: Vec<f32>,
    from: Vec<usize>,
    to: Vec<usize>,
    score_rows: Vec<usize>,
}

thread_local! {
    static PACKED: std::cell::RefCell<Packed> = std::cell::RefCell::default();
}

/// `y[r] = rows[r] panels`, where row `r` begins at `from[r]` and goes to `to[r]`.
fn product(values: &[f32], from: &[usize], panels: &Panels, y: &mut [f32], to: &[usize]) {
    let rows = Rows { values, offsets: from, pieces: 1, zeros: &[], outputs: to };
    multiply(&rows, panels, y, &Epilogue::NONE);
}

/// Scores of queries from `begin` on to probabilities, in place.
struct Probabilities<'a> {
    shape: &'a EncoderShape,
    head: usize,
    tokens: usize,
    begin: usize,
    stride: usize,
    scores: &'a mut [f32],
}

impl WithSimd for Probabilities<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (index, row) in self.scores.chunks_exact_mut(self.stride).enumerate() {
            if let Some(bias) = self.shape.bias(self.head, self.begin + index, self.tokens) {
                row.iter_mut().zip(bias).for_each(|(score, bias)| *score += bias);
            }
            row[self.tokens..].fill(f32::NEG_INFINITY);
            let vectors = S::as_mut_simd_f32s(row).0;
            let mut largest = simd.splat_f32s(f32::NEG_INFINITY);
            for &score in vectors.iter() {
                largest = row::larger(simd, largest, score);
            }
            let (level, mut sums) = (simd.splat_f32s(simd.reduce_max_f32s(largest)), simd.splat_f32s(0.0));
            for score in vectors.iter_mut() {
                *score = exp_of_vector(simd, simd.sub_f32s(*score, level));
                sums = simd.add_f32s(sums, *score);
            }
            let part = simd.splat_f32s(1.0 / simd.reduce_sum_f32s(sums));
            for probability in vectors {
                *probability = simd.mul_f32s(*probability, part);
            }
        }
    }
}

/// The blocks of a frozen encoder.
#[derive(Debug, Clone)]
pub struct Encoder {
    shape: EncoderShape,
    blocks: Vec<Block>,
}

impl Encoder {
    /// Packs the weights.
    ///
    /// # Panics
    /// If the shapes do not fit each other.
    pub fn new(shape: EncoderShape, blocks: &[EncoderBlock<'_>]) -> Self {
        assert!(shape.heads > 0 && shape.width.is_multiple_of(shape.heads), "heads of equal width");
        let odd = |all: &Vec<f32>| all.len().is_multiple_of(shape.heads) && all.len() / shape.heads % 2 == 1;
        assert!(shape.distances.as_ref().is_none_or(odd), "an odd number of distances for each head");
        let blocks = blocks.iter().map(|block| Block::new(block, &shape)).collect();
        Self { shape, blocks }
    }

    /// How many blocks there are.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Texts through some blocks: states `[tokens, D]` of each to the same, in the order given. A text's bits depend on
    /// neither the others nor the number of threads.
    ///
    /// # Panics
    /// If the range leaves the row, a text is not whole tokens, or it is longer than there are distances for.
    pub fn run(&self, texts: &[&[f32]], range: Range<usize>) -> Vec<Vec<f32>> {
        let blocks = &self.blocks[range];
        let width = self.shape.width;
        assert!(texts.iter().all(|text| text.len().is_multiple_of(width)), "whole tokens of {width}");
        let shares = shares(texts, width);
        let wide = shares.len() < rayon::current_num_threads();
        let done: Vec<Vec<Vec<f32>>> = shares
            .par_iter()
            .map(|share| {
                let mut states: Vec<f32> = share.iter().flat_map(|&text| texts[text].iter().copied()).collect();
                let lengths: Vec<usize> = share.iter().map(|&text| texts[text].len() / width).collect();
                for block in blocks {
                    self.run_block(block, &mut states, &lengths, wide);
                }
                let mut rest = states.as_slice();
                let mut own = |length: &usize| rest.split_off(..length * width).expect("as long as the texts").to_vec();
                lengths.iter().map(&mut own).collect()
            })
            .collect();
        let mut results = vec![Vec::new(); texts.len()];
        for (share, states) in shares.iter().zip(done) {
            for (&text, states) in share.iter().zip(states) {
                results[text] = states;
            }
        }
        results
    }

    /// A share of the texts through one block, a few of them at a time.
    fn run_block(&self, block: &Block, states: &mut [f32], lengths: &[usize], wide: bool) {
        let mut rest = states;
        let mut lengths = lengths;
        while !lengths.is_empty() {
            // Parts of about one size: a small rest would cost what a large one does.
            let total: usize = lengths.iter().sum();
            let most = if wide { total } else { total.div_ceil(total.div_ceil(TOGETHER).max(1)) };
            let (mut count, mut tokens) = (0, 0);
            while count < lengths.len() && (count == 0 || tokens + lengths[count] <= most) {
                tokens += lengths[count];
                count += 1;
            }
            let (now, later) = rest.split_at_mut(tokens * self.shape.width);
            if tokens > 0 {
                block.run(&self.shape, now, &lengths[..count], wide);
            }
            (rest, lengths) = (later, &lengths[count..]);
        }
    }
}

/// Which texts go together, for every thread about the same number of tokens: the longest first, each to the share that
/// has least.
fn shares(texts: &[&[f32]], width: usize) -> Vec<Vec<usize>> {
    let tokens: usize = texts.iter().map(|text| text.len() / width).sum();
    let most = SHARES * rayon::current_num_threads();
    let count = (tokens / FEWEST).min(most).min(texts.len()).max(1);
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|&text| std::cmp::Reverse(texts[text].len()));
    let mut shares = vec![(0, Vec::new()); count];
    for text in order {
        let least = shares.iter_mut().min_by_key(|share| share.0).expect("there is a share");
        least.0 += texts[text].len();
        least.1.push(text);
    }
    shares.into_iter().map(|share| share.1).collect()
}

/// The tables of an encoder's embeddings: tokens, positions, segments (or none), and the norm behind their sum.
#[derive(Debug, Clone)]
pub struct Embeddings {
    /// `[vocabulary, D]`
    pub tokens: Vec<f32>,
    /// `[positions, D]`
    pub positions: Vec<f32>,
    /// `[segments, D]`; empty where there are none.
    pub segments: Vec<f32>,
    /// `[D]`
    pub gamma: Vec<f32>,
    /// `[D]`
    pub beta: Vec<f32>,
    /// Of the layer norm.
    pub epsilon: f32,
}

impl Embeddings {
    /// The states of a text, `[tokens, D]`, from rows of the three tables for each token.
    ///
    /// # Panics
    /// If a table has no such row.
    pub fn of(&self, tokens: &[u32], positions: &[u32], segments: &[u8]) -> Vec<f32> {
        let width = self.gamma.len();
        let row = |table: &[f32], at: usize| -> Range<usize> {
            assert!((at + 1) * width <= table.len(), "row {at} of a table of {}", table.len() / width);
            at * width..(at + 1) * width
        };
        let mut sums = vec![0.0; tokens.len() * width];
        for (index, to) in sums.chunks_exact_mut(width).enumerate() {
            let token = &self.tokens[row(&self.tokens, tokens[index] as usize)];
            let position = &self.positions[row(&self.positions, positions[index] as usize)];
            to.iter_mut().zip(token.iter().zip(position)).for_each(|(to, (a, b))| *to = a + b);
            if !self.segments.is_empty() {
                // A table of one row is RoBERTa's, which knows no segments.
                let rows = self.segments.len() / width;
                let segment = &self.segments[row(&self.segments, usize::from(segments[index]).min(rows - 1))];
                to.iter_mut().zip(segment).for_each(|(to, segment)| *to += segment);
            }
        }
        let mut states = vec![0.0; sums.len()];
        let norm = LayerNorm { gamma: &self.gamma, beta: &self.beta, epsilon: self.epsilon };
        layer_norm::forward_here(&sums, &norm, &mut states);
        states
    }
}

#[cfg(test)]
mod tests;
