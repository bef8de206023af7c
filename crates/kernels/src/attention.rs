//! Scaled dot-product attention of many heads (Vaswani et al. 2017), for sequences as encoders have them.
//!
//! Heads lie beside each other in a token's row, and are read and written there: nothing is transposed. A block of
//! queries' scores is never larger than the cache holds, and none are kept: gradients recompute the probabilities from
//! the logarithm of their sums (Dao et al. 2022).
//!
//! A query whose keys are all masked attends to nothing: its output is zero, and so is every gradient through it.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::activation::exp_of_vector;
use crate::gemm::{Columns, Epilogue, Panels, ROWS, Rows, add_transposed_product, multiply};
use crate::vector::arch;
use crate::{row, scratch};

/// Sizes of an attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heads {
    /// Sequences.
    pub batch: usize,
    /// Heads of a token.
    pub heads: usize,
    /// Tokens that ask.
    pub queries: usize,
    /// Tokens that are asked.
    pub keys: usize,
    /// Numbers of a head.
    pub width: usize,
}

/// Scores of a block of queries: 128 KB.
const BLOCK_SCORES: usize = 1 << 15;

/// Rows of scores are as long as a multiple of this, with places beyond the last key that are masked.
const MOST_LANES: usize = 16;

/// Fewest queries worth packing a head's keys and values for.
const SPAN_QUERIES: usize = 8 * ROWS;

/// Tasks for each thread, at least, where there is enough to do.
const TASKS_PER_THREAD: usize = 2;

impl Heads {
    /// What products of queries and keys are multiplied by.
    fn scale(&self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }

    /// Numbers of a token.
    fn columns(&self) -> usize {
        self.heads * self.width
    }

    /// Numbers of a sequence's queries.
    fn query_len(&self) -> usize {
        self.queries * self.columns()
    }

    /// Numbers of a sequence's keys.
    fn key_len(&self) -> usize {
        self.keys * self.columns()
    }

    /// Numbers of a row of scores: whole vectors, on any machine.
    fn stride(&self) -> usize {
        self.keys.next_multiple_of(MOST_LANES)
    }

    /// Queries of a block.
    fn block(&self) -> usize {
        let blocks = (BLOCK_SCORES / self.stride() / ROWS).max(1);
        (blocks * ROWS).min(self.queries)
    }

    /// Parts that each sequence is cut into, so that every thread has something to do.
    fn parts(&self) -> usize {
        (TASKS_PER_THREAD * rayon::current_num_threads()).div_ceil(self.batch)
    }

    /// The mask of every place in a row of scores, for each sequence.
    fn mask(&self, mask: Option<&[f32]>) -> Vec<f32> {
        let mut whole = vec![f32::NEG_INFINITY; self.batch * self.stride()];
        for (index, to) in whole.chunks_exact_mut(self.stride()).enumerate() {
            match mask {
                Some(mask) => to[..self.keys].copy_from_slice(&mask[index * self.keys..(index + 1) * self.keys]),
                None => to[..self.keys].fill(0.0),
            }
        }
        whole
    }

    fn is_empty(&self) -> bool {
        self.batch * self.heads * self.queries * self.keys * self.width == 0
    }

    fn check(&self, q: &[f32], k: &[f32], v: &[f32], mask: Option<&[f32]>) {
        assert_eq!(q.len(), self.batch * self.query_len(), "queries of {self:?}");
        assert_eq!(k.len(), self.batch * self.key_len(), "keys of {self:?}");
        assert_eq!(v.len(), self.batch * self.key_len(), "values of {self:?}");
        assert!(mask.is_none_or(|mask| mask.len() == self.batch * self.keys), "mask of {self:?}");
    }
}

/// One sequence.
#[derive(Clone, Copy)]
struct Sequence<'a> {
    heads: &'a Heads,
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    /// One number for each place in a row of scores.
    mask: &'a [f32],
    /// What keys and values beyond the last read as.
    zeros: &'a [f32],
}

impl<'a> Sequence<'a> {
    fn new(heads: &'a Heads, index: usize, [q, k, v]: [&'a [f32]; 3], mask: &'a [f32], zeros: &'a [f32]) -> Self {
        let part = |values: &'a [f32], len: usize| &values[index * len..(index + 1) * len];
        let (queries, keys) = (heads.query_len(), heads.key_len());
        let (q, k, v) = (part(q, queries), part(k, keys), part(v, keys));
        Self { heads, q, k, v, mask: part(mask, heads.stride()), zeros }
    }

    /// What a token has of a head.
    fn piece(&self, values: &'a [f32], token: usize, head: usize) -> &'a [f32] {
        &values[token * self.heads.columns() + head * self.heads.width..][..self.heads.width]
    }

    /// The same of a key or a value, of which there are as many as places in a row of scores.
    fn key_piece(&self, values: &'a [f32], key: usize, head: usize) -> &'a [f32] {
        if key < self.heads.keys { self.piece(values, key, head) } else { self.zeros }
    }

    /// Where these tokens' pieces of a head begin.
    fn places(&self, tokens: Range<usize>, head: usize) -> Vec<usize> {
        tokens.map(|token| token * self.heads.columns() + head * self.heads.width).collect()
    }
}

/// `y[r] = rows[r] panels`, where row `r` begins at `from[r]` and goes to `to[r]`.
fn product(values: &[f32], from: &[usize], panels: &Panels, y: &mut [f32], to: &[usize]) {
    let rows = Rows { values, offsets: from, pieces: 1, zeros: &[], outputs: to };
    multiply(&rows, panels, y, &Epilogue::NONE);
}

/// `y = softmax(q k / sqrt(width) + mask) v` for each head.
///
/// `q` and `y` are `[batch, queries, heads width]`, `k` and `v` `[batch, keys, heads width]`; `mask` is
/// `[batch, keys]`, 0 for a key to see and minus infinity for one not to. Gives the logarithm of the sum of each
/// row's exponentials, `[batch, heads, queries]`, for [`backward`].
pub(crate) fn forward(heads: &Heads, q: &[f32], k: &[f32], v: &[f32], mask: Option<&[f32]>, y: &mut [f32]) -> Vec<f32> {
    heads.check(q, k, v, mask);
    assert_eq!(y.len(), q.len(), "output of {heads:?}");
    let mut log_sums = vec![f32::NEG_INFINITY; heads.batch * heads.heads * heads.queries];
    if heads.is_empty() {
        y.fill(0.0);
        return log_sums;
    }
    let span = heads.queries.div_ceil(heads.parts()).max(SPAN_QUERIES);
    let (mask, zeros) = (heads.mask(mask), vec![0.0; heads.width]);
    let outputs = y.par_chunks_mut(heads.query_len()).zip(log_sums.par_chunks_mut(heads.heads * heads.queries));
    outputs.enumerate().for_each(|(index, (y, log_sums))| {
        let sequence = Sequence::new(heads, index, [q, k, v], &mask, &zeros);
        let spans = y.par_chunks_mut(span * heads.columns()).enumerate();
        let parts: Vec<Vec<f32>> = spans.map(|(part, y)| forward_span(&sequence, part * span, y)).collect();
        for (part, of_span) in parts.iter().enumerate() {
            let count = of_span.len() / heads.heads;
            for (to, from) in log_sums.chunks_exact_mut(heads.queries).zip(of_span.chunks_exact(count)) {
                to[part * span..][..count].copy_from_slice(from);
            }
        }
    });
    log_sums
}

/// Attention of the queries from `first` on, as many as `y` has rows; `[heads, rows]` logarithms of sums.
fn forward_span(sequence: &Sequence<'_>, first: usize, y: &mut [f32]) -> Vec<f32> {
    let Heads { heads, width, .. } = *sequence.heads;
    let (block, stride) = (sequence.heads.block(), sequence.heads.stride());
    let count = y.len() / sequence.heads.columns();
    let mut log_sums = vec![0.0; heads * count];
    let (mut across, mut values) = (Panels::default(), Panels::default());
    let score_rows: Vec<usize> = (0..block).map(|row| row * stride).collect();
    scratch::with(block * stride, |scores| {
        for head in 0..heads {
            across.pack_columns(width, stride, |key| sequence.key_piece(sequence.k, key, head));
            values.pack(stride, width, |key| sequence.key_piece(sequence.v, key, head));
            for begin in (0..count).step_by(block) {
                let rows = block.min(count - begin);
                let (scores, score_rows) = (&mut scores[..rows * stride], &score_rows[..rows]);
                let asking = sequence.places(first + begin..first + begin + rows, head);
                product(sequence.q, &asking, &across, scores, score_rows);
                let log_sums = &mut log_sums[head * count + begin..][..rows];
                arch().dispatch(Probabilities { sequence, scores, log_sums });
                product(scores, score_rows, &values, y, &sequence.places(begin..begin + rows, head));
            }
        }
    });
    log_sums
}

/// The number to subtract from scores so that masked ones become zero even where all are masked.
#[inline(always)]
fn finite_or_zero(level: f32) -> f32 {
    if level == f32::NEG_INFINITY { 0.0 } else { level }
}

/// Products of queries and keys to probabilities, in place.
struct Probabilities<'a> {
    sequence: &'a Sequence<'a>,
    scores: &'a mut [f32],
    /// Written: the level of each row first, then the logarithm of its sum.
    log_sums: &'a mut [f32],
}

impl WithSimd for Probabilities<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let heads = self.sequence.heads;
        let (mask, scale) = (S::as_simd_f32s(self.sequence.mask).0, simd.splat_f32s(heads.scale()));
        // In two passes, so that rows need not wait for each other's maxima.
        for (row, level) in self.scores.chunks_exact_mut(heads.stride()).zip(self.log_sums.iter_mut()) {
            let mut largest = simd.splat_f32s(f32::NEG_INFINITY);
            for (score, &mask) in S::as_mut_simd_f32s(row).0.iter_mut().zip(mask) {
                *score = simd.mul_add_e_f32s(*score, scale, mask);
                largest = row::larger(simd, largest, *score);
            }
            *level = finite_or_zero(simd.reduce_max_f32s(largest));
        }
        for (row, log_sum) in self.scores.chunks_exact_mut(heads.stride()).zip(self.log_sums) {
            let row = S::as_mut_simd_f32s(row).0;
            let (level, mut sums) = (simd.splat_f32s(*log_sum), simd.splat_f32s(0.0));
            for score in row.iter_mut() {
                *score = exp_of_vector(simd, simd.sub_f32s(*score, level));
                sums = simd.add_f32s(sums, *score);
            }
            let sum = simd.reduce_sum_f32s(sums);
            let part = simd.splat_f32s(if sum == 0.0 { 0.0 } else { 1.0 / sum });
            for probability in row {
                *probability = simd.mul_f32s(*probability, part);
            }
            *log_sum += sum.ln();
        }
    }
}

/// Gradients to queries, keys and values, laid out as these.
#[derive(Debug)]
pub(crate) struct AttentionGradients {
    pub q: Vec<f32>,
    pub k: Vec<f32>,
    pub v: Vec<f32>,
}

/// What [`forward`] saw and gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub q: &'a [f32],
    pub k: &'a [f32],
    pub v: &'a [f32],
    pub mask: Option<&'a [f32]>,
    pub y: &'a [f32],
    pub log_sums: &'a [f32],
}

/// Gradients given that to the output.
///
/// With probabilities `p`, `gv = p^T gradient`, `gs = p (gradient v^T - sum(gradient y)) / sqrt(width)`, `gq = gs k`
/// and `gk = gs^T q`.
pub(crate) fn backward(heads: &Heads, seen: &Seen<'_>, gradient: &[f32]) -> AttentionGradients {
    heads.check(seen.q, seen.k, seen.v, seen.mask);
    assert_eq!((seen.y.len(), gradient.len()), (seen.q.len(), seen.q.len()), "output of {heads:?}");
    assert_eq!(seen.log_sums.len(), heads.batch * heads.heads * heads.queries, "sums of {heads:?}");
    let [mut q, mut k, mut v] = [seen.q, seen.k, seen.v].map(|like| vec![0.0; like.len()]);
    if heads.is_empty() {
        return AttentionGradients { q, k, v };
    }
    let (mask, zeros) = (heads.mask(seen.mask), vec![0.0; heads.width]);
    let each = heads.heads.div_ceil(heads.parts());
    let targets = q.par_chunks_mut(heads.query_len()).zip(k.par_chunks_mut(heads.key_len()));
    targets.zip(v.par_chunks_mut(heads.key_len())).enumerate().for_each(|(index, ((q, k), v))| {
        let given = Given {
            sequence: Sequence::new(heads, index, [seen.q, seen.k, seen.v], &mask, &zeros),
            y: &seen.y[index * heads.query_len()..][..heads.query_len()],
            log_sums: &seen.log_sums[index * heads.heads * heads.queries..][..heads.heads * heads.queries],
            gradient: &gradient[index * heads.query_len()..][..heads.query_len()],
        };
        if each == heads.heads {
            return backward_heads(&given, 0..heads.heads, [q, k, v]);
        }
        // Few sequences: some heads a task, each into memory of its own.
        let parts: Vec<Range<usize>> =
            (0..heads.heads).step_by(each).map(|first| first..(first + each).min(heads.heads)).collect();
        let results: Vec<[Vec<f32>; 3]> = parts
            .par_iter()
            .map(|part| {
                let width = part.len() * heads.width;
                let mut own = [heads.queries, heads.keys, heads.keys].map(|tokens| vec![0.0; tokens * width]);
                backward_heads(&given, part.clone(), own.each_mut().map(Vec::as_mut_slice));
                own
            })
            .collect();
        for (part, own) in parts.iter().zip(results) {
            let (first, width) = (part.start * heads.width, part.len() * heads.width);
            for (to, from) in [&mut *q, &mut *k, &mut *v].into_iter().zip(own) {
                for (to, from) in to.chunks_exact_mut(heads.columns()).zip(from.chunks_exact(width)) {
                    to[first..first + width].copy_from_slice(from);
                }
            }
        }
    });
    AttentionGradients { q, k, v }
}

/// A sequence, and what its gradients depend on.
struct Given<'a> {
    sequence: Sequence<'a>,
    y: &'a [f32],
    log_sums: &'a [f32],
    gradient: &'a [f32],
}

/// Gradients of some heads, into rows that hold those heads alone.
fn backward_heads(given: &Given<'_>, range: Range<usize>, [gq, gk, gv]: [&mut [f32]; 3]) {
    let sequence = &given.sequence;
    let Heads { queries, keys, width, .. } = *sequence.heads;
    let (block, stride) = (sequence.heads.block(), sequence.heads.stride());
    let columns = range.len() * width;
    let (mut across, mut values_across, mut along) = (Panels::default(), Panels::default(), Panels::default());
    let (mut left, mut right) = (Columns::default(), Panels::default());
    let score_rows: Vec<usize> = (0..block).map(|row| row * stride).collect();
    scratch::with(2 * block * stride + 2 * keys * width, |memory| {
        let (sums, scores) = memory.split_at_mut(2 * keys * width);
        let (key_sums, value_sums) = sums.split_at_mut(keys * width);
        let (scores, slopes) = scores.split_at_mut(block * stride);
        for head in range.clone() {
            let place = (head - range.start) * width;
            across.pack_columns(width, stride, |key| sequence.key_piece(sequence.k, key, head));
            along.pack(stride, width, |key| sequence.key_piece(sequence.k, key, head));
            values_across.pack_columns(width, stride, |key| sequence.key_piece(sequence.v, key, head));
            key_sums.fill(0.0);
            value_sums.fill(0.0);
            for begin in (0..queries).step_by(block) {
                let rows = block.min(queries - begin);
                let (scores, slopes) = (&mut scores[..rows * stride], &mut slopes[..rows * stride]);
                let (score_rows, asking) = (&score_rows[..rows], sequence.places(begin..begin + rows, head));
                product(sequence.q, &asking, &across, scores, score_rows);
                product(given.gradient, &asking, &values_across, slopes, score_rows);
                arch().dispatch(Slopes { given, head, begin, scores, slopes });

                left.pack(rows, keys, |query| Some(&scores[query * stride..]));
                right.pack(rows, width, |query| sequence.piece(given.gradient, begin + query, head));
                add_transposed_product(&left, &right, value_sums);
                left.pack(rows, keys, |query| Some(&slopes[query * stride..]));
                right.pack(rows, width, |query| sequence.piece(sequence.q, begin + query, head));
                add_transposed_product(&left, &right, key_sums);
                let to: Vec<usize> = (begin..begin + rows).map(|query| query * columns + place).collect();
                product(slopes, score_rows, &along, gq, &to);
            }
            for (sums, to) in [(&*key_sums, &mut *gk), (&*value_sums, &mut *gv)] {
                for (from, to) in sums.chunks_exact(width).zip(to.chunks_exact_mut(columns)) {
                    to[place..place + width].copy_from_slice(from);
                }
            }
        }
    });
}

/// In place, products of queries and keys to probabilities, and gradients of the probabilities to those of the
/// products.
struct Slopes<'a, 'b> {
    given: &'a Given<'b>,
    head: usize,
    begin: usize,
    scores: &'a mut [f32],
    slopes: &'a mut [f32],
}

impl WithSimd for Slopes<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { given, head, begin, scores, slopes } = self;
        let sequence = &given.sequence;
        let Heads { queries, .. } = *sequence.heads;
        let stride = sequence.heads.stride();
        let (mask, scale) = (S::as_simd_f32s(sequence.mask).0, simd.splat_f32s(sequence.heads.scale()));
        for (index, (scores, slopes)) in
            scores.chunks_exact_mut(stride).zip(slopes.chunks_exact_mut(stride)).enumerate()
        {
            let query = begin + index;
            let (gradient, y) = (sequence.piece(given.gradient, query, head), sequence.piece(given.y, query, head));
            let mean = simd.splat_f32s(row::dot(simd, gradient, y));
            let level = simd.splat_f32s(finite_or_zero(given.log_sums[head * queries + query]));
            let (scores, slopes) = (S::as_mut_simd_f32s(scores).0, S::as_mut_simd_f32s(slopes).0);
            for ((score, slope), &mask) in scores.iter_mut().zip(slopes).zip(mask) {
                let masked = simd.mul_add_e_f32s(*score, scale, mask);
                *score = exp_of_vector(simd, simd.sub_f32s(masked, level));
                let along = simd.mul_f32s(*score, simd.sub_f32s(*slope, mean));
                *slope = simd.mul_f32s(along, scale);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition in f64: output, and gradients to queries, keys and values.
    fn reference(heads: &Heads, inputs: [&[f64]; 3], mask: &[f64], gradient: &[f64]) -> [Vec<f64>; 4] {
        let [q, k, v] = inputs;
        let (columns, scale) = (heads.columns(), 1.0 / (heads.width as f64).sqrt());
        let [mut y, mut gq, mut gk, mut gv] = [q, q, k, v].map(|like| vec![0.0; like.len()]);
        for (batch, head, query) in places(heads) {
            let asking = (batch * heads.queries + query) * columns + head * heads.width;
            let asked = |key: usize| (batch * heads.keys + key) * columns + head * heads.width;
            let powers: Vec<f64> = (0..heads.keys)
                .map(|key| {
                    let products = (0..heads.width).map(|d| q[asking + d] * k[asked(key) + d]);
                    (products.sum::<f64>() * scale + mask[batch * heads.keys + key]).exp()
                })
                .collect();
            let sum: f64 = powers.iter().sum();
            let p: Vec<f64> = powers.iter().map(|power| if sum > 0.0 { power / sum } else { 0.0 }).collect();
            let gp: Vec<f64> = (0..heads.keys)
                .map(|key| (0..heads.width).map(|d| gradient[asking + d] * v[asked(key) + d]).sum())
                .collect();
            let mean: f64 = p.iter().zip(&gp).map(|(p, gp)| p * gp).sum();
            for key in 0..heads.keys {
                let slope = p[key] * (gp[key] - mean) * scale;
                for d in 0..heads.width {
                    y[asking + d] += p[key] * v[asked(key) + d];
                    gq[asking + d] += slope * k[asked(key) + d];
                    gk[asked(key) + d] += slope * q[asking + d];
                    gv[asked(key) + d] += p[key] * gradient[asking + d];
                }
            }
        }
        [y, gq, gk, gv]
    }

    fn places(heads: &Heads) -> impl Iterator<Item = (usize, usize, usize)> {
        let Heads { batch, heads, queries, .. } = *heads;
        (0..batch).flat_map(move |b| (0..heads).flat_map(move |h| (0..queries).map(move |q| (b, h, q))))
    }

    fn wide(values: &[f32]) -> Vec<f64> {
        values.iter().map(|&x| f64::from(x)).collect()
    }

    fn close(a: &[f32], b: &[f64]) -> bool {
        let scale = b.iter().fold(1.0, |most: f64, x| most.max(x.abs()));
        a.len() == b.len() && a.iter().zip(b).all(|(&a, b)| (f64::from(a) - b).abs() <= 2e-5 * scale)
    }

    /// Whether a key of a sequence is masked.
    type Masked = fn(usize, usize) -> bool;

    /// An attention with its numbers.
    #[derive(Debug, Clone)]
    struct Case {
        heads: Heads,
        q: Vec<f32>,
        k: Vec<f32>,
        v: Vec<f32>,
        mask: Option<Vec<f32>>,
        gradient: Vec<f32>,
    }

    impl Case {
        /// Numbers that look random, and a mask that leaves out every key that `masked` says.
        fn new(heads: Heads, masked: Option<Masked>) -> Self {
            let numbers = |len: usize, seed: f32| (0..len).map(|i| (i as f32 * seed).sin() * 1.7).collect::<Vec<_>>();
            let (queries, keys) = (heads.batch * heads.query_len(), heads.batch * heads.key_len());
            let mask = masked.map(|masked| {
                let level = |at: usize| if masked(at / heads.keys, at % heads.keys) { f32::NEG_INFINITY } else { 0.0 };
                (0..heads.batch * heads.keys).map(level).collect()
            });
            let (q, k, v) = (numbers(queries, 12.9898), numbers(keys, 78.233), numbers(keys, 37.719));
            Self { heads, q, k, v, mask, gradient: numbers(queries, 53.17) }
        }

        /// Output, logarithms, and gradients to queries, keys and values.
        fn run(&self) -> [Vec<f32>; 5] {
            let Self { heads, q, k, v, mask, gradient } = self;
            let mut y = vec![f32::NAN; q.len()];
            let log_sums = forward(heads, q, k, v, mask.as_deref(), &mut y);
            let seen = Seen { q, k, v, mask: mask.as_deref(), y: &y, log_sums: &log_sums };
            let gradients = backward(heads, &seen, gradient);
            [y, log_sums, gradients.q, gradients.k, gradients.v]
        }

        fn reference(&self) -> [Vec<f64>; 4] {
            let mask = self.mask.clone().unwrap_or(vec![0.0; self.heads.batch * self.heads.keys]);
            let [q, k, v] = [&self.q, &self.k, &self.v].map(|values| wide(values));
            reference(&self.heads, [&q, &k, &v], &wide(&mask), &wide(&self.gradient))
        }

        fn check(&self) {
            let ([y, _, gq, gk, gv], expected) = (self.run(), self.reference());
            for (name, (got, expected)) in ["y", "gq", "gk", "gv"].iter().zip([y, gq, gk, gv].iter().zip(&expected)) {
                assert!(close(got, expected), "{name} of {:?}", self.heads);
            }
        }
    }

    fn heads() -> impl Strategy<Value = Heads> {
        (1..4usize, 1..4usize, 1..40usize, 1..70usize, 1..40usize)
            .prop_map(|(batch, heads, queries, keys, width)| Heads { batch, heads, queries, keys, width })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn outputs_and_gradients_are_the_definition_s(heads in heads(), masked in 0..3usize) {
            let masks: [Option<Masked>; 3] =
                [None, Some(|_, key| key % 3 == 1), Some(|batch, key| key > 2 * batch)];
            Case::new(heads, masks[masked]).check();
        }
    }

    #[test]
    fn sequences_longer_than_a_block() {
        let heads = Heads { batch: 1, heads: 3, queries: 131, keys: 512, width: 8 };
        assert!(heads.block() < heads.queries);
        Case::new(heads, Some(|_, key| key >= 500)).check();
        let short = Heads { batch: 2, heads: 1, queries: 3, keys: BLOCK_SCORES, width: 2 };
        Case::new(short, None).check();
    }

    /// What the analytic reference itself is checked against.
    #[test]
    fn the_reference_s_gradients_are_slopes() {
        let case = Case::new(Heads { batch: 2, heads: 2, queries: 3, keys: 4, width: 3 }, Some(|_, key| key == 1));
        let mask = wide(case.mask.as_ref().unwrap());
        let gradient = wide(&case.gradient);
        let inputs = [&case.q, &case.k, &case.v].map(|values| wide(values));
        let [_, gradients @ ..] = case.reference();
        let value = |inputs: &[Vec<f64>; 3]| -> f64 {
            let [q, k, v] = inputs;
            let [y, ..] = reference(&case.heads, [q, k, v], &mask, &gradient);
            y.iter().zip(&gradient).map(|(y, g)| y * g).sum()
        };
        for which in 0..3 {
            for i in 0..inputs[which].len() {
                let moved = |by: f64| {
                    let mut inputs = inputs.clone();
                    inputs[which][i] += by;
                    value(&inputs)
                };
                let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert!((slope - gradients[which][i]).abs() < 1e-8, "{slope} for {}", gradients[which][i]);
            }
        }
    }

    #[test]
    fn logarithms_are_those_of_the_sums() {
        let case = Case::new(Heads { batch: 2, heads: 3, queries: 5, keys: 7, width: 4 }, None);
        let [_, log_sums, ..] = case.run();
        let columns = case.heads.columns();
        for (index, (batch, head, query)) in places(&case.heads).enumerate() {
            let q = &case.q[(batch * 5 + query) * columns + head * 4..][..4];
            let score = |key: usize| {
                let k = &case.k[(batch * 7 + key) * columns + head * 4..][..4];
                wide(q).iter().zip(wide(k)).map(|(q, k)| q * k).sum::<f64>() / 2.0
            };
            let expected = (0..7).map(|key| score(key).exp()).sum::<f64>().ln();
            assert!((f64::from(log_sums[index]) - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn a_query_without_keys_gives_zeros() {
        let case = Case::new(Heads { batch: 2, heads: 2, queries: 5, keys: 6, width: 3 }, Some(|batch, _| batch == 1));
        for values in case.run().map(|values| values[values.len() / 2..].to_vec()) {
            assert!(values.iter().all(|&x| x == 0.0 || x == f32::NEG_INFINITY), "{values:?}");
        }
        case.check();
    }

    #[test]
    fn masked_keys_and_values_are_not_seen() {
        let heads = Heads { batch: 2, heads: 2, queries: 5, keys: 19, width: 3 };
        let masked: Masked = |_, key| key > 11;
        let case = Case::new(heads, Some(masked));
        let mut other = case.clone();
        for (at, (k, v)) in other.k.iter_mut().zip(&mut other.v).enumerate() {
            if masked(0, at / heads.columns() % heads.keys) {
                (*k, *v) = (5.0 - *k, -3.0 * *v);
            }
        }
        let ([y, _, gq, gk, gv], other) = (case.run(), other.run());
        assert_eq!((&y, &gq), (&other[0], &other[2]));
        for gradient in [gk, gv] {
            for (at, token) in gradient.chunks(heads.columns()).enumerate() {
                assert_eq!(masked(0, at % heads.keys), token.iter().all(|&g| g == 0.0));
            }
        }
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        for batch in [1, 2, 7] {
            let heads = Heads { batch, heads: 5, queries: 110, keys: 330, width: 9 };
            let case = Case::new(heads, Some(|batch, key| key > 200 + batch));
            let run = || case.run().map(|values| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
            let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(run);
            for threads in [2, 3, 16] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                assert!(pool.install(run) == one, "{batch} sequences, {threads} threads");
            }
        }
    }

    #[test]
    fn a_sequence_does_not_see_its_neighbours() {
        let heads = Heads { batch: 3, heads: 2, queries: 17, keys: 21, width: 5 };
        let case = Case::new(heads, Some(|batch, key| key > 10 + batch));
        let last = Case {
            heads: Heads { batch: 1, ..heads },
            q: case.q[2 * heads.query_len()..].to_vec(),
            k: case.k[2 * heads.key_len()..].to_vec(),
            v: case.v[2 * heads.key_len()..].to_vec(),
            mask: case.mask.as_ref().map(|mask| mask[2 * heads.keys..].to_vec()),
            gradient: case.gradient[2 * heads.query_len()..].to_vec(),
        };
        for (all, alone) in case.run().iter().zip(last.run()) {
            assert!(all[all.len() - alone.len()..].iter().zip(&alone).all(|(a, b)| a.to_bits() == b.to_bits()));
        }
    }

    #[test]
    fn nothing_gives_nothing() {
        let whole = Heads { batch: 2, heads: 2, queries: 3, keys: 3, width: 4 };
        for heads in [
            Heads { batch: 0, ..whole },
            Heads { heads: 0, ..whole },
            Heads { queries: 0, ..whole },
            Heads { keys: 0, ..whole },
            Heads { width: 0, ..whole },
        ] {
            let [y, _, gq, gk, gv] = Case::new(heads, None).run();
            assert!([y, gq, gk, gv].iter().flatten().all(|&x| x == 0.0));
        }
    }
}
