//! Texts of a batch, filled up to the longest, and what becomes of their tokens at the end.

use burn::prelude::*;
use burn::tensor::{Device, TensorData};

use crate::bases::text::tokenizer::Encoded;

/// The tokens of some texts, `[N, T]`, filled up to the longest of them.
#[derive(Debug, Clone)]
pub(crate) struct TokenBatch {
    /// Rows of the table of tokens, `[N, T]`.
    pub(crate) ids: Tensor<2, Int>,
    /// Rows of the table of segments, `[N, T]`.
    pub(crate) segments: Tensor<2, Int>,
    /// 1 for a token, 0 for what fills up, `[N, T]`.
    pub(crate) mask: Tensor<2>,
    /// Tokens of each text.
    pub(crate) lengths: Vec<usize>,
    /// The ids on this side, from which positions follow.
    pub(super) tokens: Vec<u32>,
}

impl TokenBatch {
    /// Fills up with the token `pad`. A batch of nothing but empty texts is one token long.
    pub fn new(encoded: &[&Encoded], pad: u32, device: &Device) -> Self {
        let n = encoded.len();
        let lengths: Vec<usize> = encoded.iter().map(|text| text.ids.len()).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0).max(1);
        let mut tokens = vec![pad; n * longest];
        let mut segments = vec![0i64; n * longest];
        let mut mask = vec![0.0f32; n * longest];
        for (row, text) in encoded.iter().enumerate() {
            let row = row * longest..row * longest + text.ids.len();
            tokens[row.clone()].copy_from_slice(&text.ids);
            mask[row.clone()].fill(1.0);
            segments[row].iter_mut().zip(&text.segments).for_each(|(to, &segment)| *to = i64::from(segment));
        }
        let shape = [n, longest];
        let ids: Vec<i64> = tokens.iter().map(|&id| i64::from(id)).collect();
        Self {
            ids: Tensor::from_data(TensorData::new(ids, shape), device),
            segments: Tensor::from_data(TensorData::new(segments, shape), device),
            mask: Tensor::from_data(TensorData::new(mask, shape), device),
            lengths,
            tokens,
        }
    }

    /// Texts, and tokens of the longest.
    pub(crate) fn dims(&self) -> [usize; 2] {
        self.mask.dims()
    }
}

/// How the states of a text's tokens become one vector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// Their mean.
    #[default]
    Mean,
    /// That of the first token.
    Cls,
    /// The largest of each number.
    Max,
}

impl Pooling {
    /// The vector of one text, from states `[tokens, width]`. Of no tokens, zeros.
    ///
    /// # Panics
    /// If the states are not whole tokens.
    pub(crate) fn of(self, states: &[f32], width: usize) -> Vec<f32> {
        assert!(width > 0 && states.len().is_multiple_of(width), "states of whole tokens");
        let tokens = states.len() / width;
        let mut rows = states.chunks_exact(width);
        let Some(first) = rows.next() else { return vec![0.0; width] };
        match self {
            Pooling::Cls => first.to_vec(),
            Pooling::Max => rows.fold(first.to_vec(), |mut most, row| {
                most.iter_mut().zip(row).for_each(|(most, &value)| *most = most.max(value));
                most
            }),
            Pooling::Mean => {
                let mut sum = rows.fold(first.to_vec(), |mut sum, row| {
                    sum.iter_mut().zip(row).for_each(|(sum, &value)| *sum += value);
                    sum
                });
                sum.iter_mut().for_each(|sum| *sum /= tokens as f32);
                sum
            }
        }
    }
}

/// States `[N, T, D]` of texts to a vector each, `[N, D]`; tokens whose mask is 0 do not count. A text without tokens gives
/// zeros.
pub fn pool(x: Tensor<3>, mask: &Tensor<2>, pooling: Pooling) -> Tensor<2> {
    let [n, tokens, width] = x.dims();
    let wide = mask.clone().reshape([n, tokens, 1]);
    match pooling {
        Pooling::Mean => {
            let counts = mask.clone().sum_dim(1).clamp_min(1.0);
            (x * wide).sum_dim(1).reshape([n, width]) / counts
        }
        Pooling::Cls => x.narrow(1, 0, 1).reshape([n, width]) * mask.clone().narrow(1, 0, 1),
        Pooling::Max => {
            let beside = wide.equal_elem(0.0).expand([n, tokens, width]);
            let most = x.mask_fill(beside, f32::NEG_INFINITY).max_dim(1).reshape([n, width]);
            let empty = mask.clone().sum_dim(1).equal_elem(0.0).expand([n, width]);
            most.mask_fill(empty, 0.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_does_not_count() {
        let device = Device::flex();
        let states = [[[1.0, -5.0], [3.0, -7.0], [90.0, 90.0]], [[9.0, 9.0], [9.0, 9.0], [9.0, 9.0]]];
        let x = Tensor::<3>::from_data(states, &device);
        let mask = Tensor::<2>::from_data([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]], &device);
        for (pooling, expected) in
            [(Pooling::Mean, [2.0, -6.0]), (Pooling::Cls, [1.0, -5.0]), (Pooling::Max, [3.0, -5.0])]
        {
            let vectors = pool(x.clone(), &mask, pooling).into_data().try_to_vec::<f32>().unwrap();
            assert_eq!(vectors, [expected[0], expected[1], 0.0, 0.0], "{pooling:?}");
            assert_eq!(pooling.of(&[1.0, -5.0, 3.0, -7.0], 2), expected, "{pooling:?}");
            assert_eq!(pooling.of(&[], 2), [0.0, 0.0]);
        }
    }
}
