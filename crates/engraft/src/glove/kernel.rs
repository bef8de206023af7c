//! One step of AdaGrad for a pair of words.
//!
//! A word has a row, and so has a context: the vector, two places for biases, zeros up to a multiple of four; then as many sums of squared
//! gradients; and, where a vector is pulled to a place, that place and, after it, how strongly. In a word's row the first of the two places is its bias and
//! the second is 1, in a context's row it is the other way round, so that the product of two rows has both biases in it.
//!
//! All sums are taken in an order that depends on the length alone, products are rounded before they are added: the bits are the same
//! on every processor.

/// The length of a part of a row, for vectors of `columns` numbers.
pub(super) const fn stride(columns: usize) -> usize {
    (columns + 2).next_multiple_of(4)
}

/// What one number of a row learns by.
#[derive(Debug)]
pub(super) struct Rates {
    /// Learning rate of each number of a word's row: 0 where it does not learn.
    pub(super) word: Vec<f32>,
    /// The same of a context's row.
    pub(super) context: Vec<f32>,
    /// The largest gradient.
    pub(super) limit: Vec<f32>,
    /// 1 for the numbers of a vector, which may be pulled to given ones, 0 for biases.
    pub(super) pulled: Vec<f32>,
}

impl Rates {
    /// Rates of rows for vectors of `columns` numbers.
    pub(super) fn new(columns: usize, eta: f32, bias_eta: f32, limit: f32) -> Self {
        let filled = |value: f32, rest: f32| {
            let mut numbers = vec![rest; stride(columns)];
            numbers[..columns].fill(value);
            numbers
        };
        let (mut word, mut context) = (filled(eta, 0.0), filled(eta, 0.0));
        (word[columns], context[columns + 1]) = (bias_eta, bias_eta);
        Self { word, context, limit: filled(limit, f32::MAX), pulled: filled(1.0, 0.0) }
    }
}

/// A pair of words, as it is learned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pair {
    /// Rows within their blocks.
    pub(super) word: u32,
    pub(super) context: u32,
    /// ln X.
    pub(super) log: f32,
    /// f(X), at most 1.
    pub(super) weight: f32,
}

/// Runs over pairs of two blocks and returns the sum of f(X) diff^2 / 2, as it was before each step. `PULL` is whether rows have a
/// third part.
#[inline(always)]
pub(super) fn learn<const PULL: bool>(
    pairs: impl Iterator<Item = Pair>,
    words: &mut [f32],
    contexts: &mut [f32],
    columns: usize,
    rates: &Rates,
) -> f64 {
    let stride = stride(columns);
    let row = if PULL { 3 * stride } else { 2 * stride };
    let mut cost = 0.0;
    for pair in pairs {
        let word = &mut words[pair.word as usize * row..][..row];
        let context = &mut contexts[pair.context as usize * row..][..row];
        cost += step::<PULL>(word, context, stride, columns, pair, rates);
    }
    cost
}

/// Cuts a part of a row into vectors of 16 numbers, and at most one of 8 and of 4.
macro_rules! in_vectors {
    ($stride:expr, $from:ident, $lanes:ident, $body:block) => {
        let mut $from = 0;
        while $from + 16 <= $stride {
            const $lanes: usize = 16;
            $body
            $from += 16;
        }
        if $stride & 8 != 0 {
            const $lanes: usize = 8;
            $body
            $from += 8;
        }
        if $stride & 4 != 0 {
            const $lanes: usize = 4;
            $body
        }
    };
}

#[inline(always)]
fn vector<const L: usize>(from: &[f32], at: usize) -> [f32; L] {
    let mut vector = [0.0; L];
    vector.copy_from_slice(&from[at..at + L]);
    vector
}

/// Compared so that it is an instruction each: what is not a number becomes the limit, and shows in the cost.
#[inline(always)]
fn clipped(value: f32, limit: f32) -> f32 {
    let below = if value < limit { value } else { limit };
    if below > -limit { below } else { -limit }
}

#[inline(always)]
fn step<const PULL: bool>(
    word: &mut [f32],
    context: &mut [f32],
    stride: usize,
    columns: usize,
    pair: Pair,
    rates: &Rates,
) -> f64 {
    let (word, word_rest) = word.split_at_mut(stride);
    let (context, context_rest) = context.split_at_mut(stride);
    let (word_sums, word_given) = word_rest.split_at_mut(stride);
    let (context_sums, context_given) = context_rest.split_at_mut(stride);
    let (word_rates, context_rates, limits) = (&rates.word[..stride], &rates.context[..stride], &rates.limit[..stride]);
    let mut sums = [0.0_f32; 16];
    in_vectors!(stride, at, L, {
        let (w, c): ([f32; L], [f32; L]) = (vector(word, at), vector(context, at));
        for lane in 0..L {
            sums[lane] += w[lane] * c[lane];
        }
    });
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
    }
    let diff = sums[0] - pair.log;
    let slope = pair.weight * diff;
    let (word_pull, context_pull) = match PULL {
        true => (word_given[columns], context_given[columns]),
        false => (0.0, 0.0),
    };
    in_vectors!(stride, at, L, {
        let (w, c): ([f32; L], [f32; L]) = (vector(word, at), vector(context, at));
        let (ws, cs): ([f32; L], [f32; L]) = (vector(word_sums, at), vector(context_sums, at));
        let (wr, cr): ([f32; L], [f32; L]) = (vector(word_rates, at), vector(context_rates, at));
        let limit: [f32; L] = vector(limits, at);
        let pulled: [f32; L] = if PULL { vector(&rates.pulled, at) } else { [0.0; L] };
        let (mut new_w, mut new_c, mut new_ws, mut new_cs) = (w, c, ws, cs);
        for lane in 0..L {
            let mut of_w = clipped(slope * c[lane], limit[lane]);
            let mut of_c = clipped(slope * w[lane], limit[lane]);
            if PULL {
                of_w += word_pull * pulled[lane] * (w[lane] - word_given[at + lane]);
                of_c += context_pull * pulled[lane] * (c[lane] - context_given[at + lane]);
            }
            let (of_w, of_c) = (of_w * wr[lane], of_c * cr[lane]);
            new_w[lane] = w[lane] - of_w / ws[lane].sqrt();
            new_c[lane] = c[lane] - of_c / cs[lane].sqrt();
            new_ws[lane] = ws[lane] + of_w * of_w;
            new_cs[lane] = cs[lane] + of_c * of_c;
        }
        word[at..at + L].copy_from_slice(&new_w);
        context[at..at + L].copy_from_slice(&new_c);
        word_sums[at..at + L].copy_from_slice(&new_ws);
        context_sums[at..at + L].copy_from_slice(&new_cs);
    });
    f64::from(slope) * f64::from(diff) * 0.5
}
