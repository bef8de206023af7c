//! A frozen encoder on slices: the program of `engraft_kernels` with this crate's tokens before it.

use std::ops::Range;

use engraft_kernels::{AffineWeights, Embeddings, Encoder, EncoderBlock, EncoderShape, NormWeights};
use rayon::prelude::*;

use crate::bases::text::config::EncoderConfig;
use crate::bases::text::tokenizer::Encoded;
use crate::bases::text::transformer::{Block, TextEncoder, distance_rows};

/// An encoder that does not learn, its weights packed once. Texts are not filled up to each other, and a text's bits
/// depend on neither the others nor the number of threads.
#[derive(Debug, Clone)]
pub struct FrozenEncoder {
    config: EncoderConfig,
    embeddings: Embeddings,
    encoder: Encoder,
}

impl FrozenEncoder {
    /// Packs the weights of an encoder, with products of low rank added to them.
    pub fn new(encoder: &TextEncoder) -> Self {
        let config = encoder.config().clone();
        let [tokens, positions, segments, gamma, beta] = encoder.tables();
        let epsilon = config.epsilon as f32;
        let embeddings = Embeddings { tokens, positions, segments, gamma, beta, epsilon };
        let shape = EncoderShape {
            width: config.width,
            heads: config.heads,
            activation: config.activation.pointwise(),
            epsilon,
            distances: encoder.distances().map(|table| by_distance(&table, &config)),
            norm_first: false,
        };
        let numbers: Vec<BlockNumbers> = encoder.blocks.iter().map(BlockNumbers::of).collect();
        let blocks: Vec<EncoderBlock<'_>> = numbers.iter().map(BlockNumbers::weights).collect();
        Self { config, embeddings, encoder: Encoder::new(shape, &blocks) }
    }

    /// The states of texts behind the stages `0..to`, `[tokens, D]` each. The last stage, the pooling, is not run here: up
    /// to it and up to the last block are the same.
    ///
    /// # Panics
    /// If `to` is 0, a text is longer than [`EncoderConfig::longest`], or an id is not a row of its table.
    pub(crate) fn states(&self, texts: &[&Encoded], to: usize) -> Vec<Vec<f32>> {
        assert!(to > 0, "states begin behind the first stage");
        let embed = |text: &&Encoded| {
            assert!(text.ids.len() <= self.config.longest(), "a text longer than the encoder has places for");
            self.embeddings.of(&text.ids, &self.config.position_of(&text.ids), &text.segments)
        };
        let states: Vec<Vec<f32>> = texts.par_iter().map(embed).collect();
        let states: Vec<&[f32]> = states.iter().map(Vec::as_slice).collect();
        self.states_from(&states, 1..to)
    }

    /// Goes on from states behind the stages before `range`, to those behind its last.
    ///
    /// # Panics
    /// If the range begins before the first block, or the states are not whole tokens.
    pub(crate) fn states_from(&self, states: &[&[f32]], range: Range<usize>) -> Vec<Vec<f32>> {
        assert!(range.start > 0, "states begin behind the first stage");
        let block = |stage: usize| (stage - 1).min(self.encoder.blocks());
        self.encoder.run(states, block(range.start)..block(range.end.max(range.start)))
    }
}

/// MPNet's table by the distance itself: `[heads, 2 longest - 1]`.
fn by_distance(table: &[f32], config: &EncoderConfig) -> Vec<f32> {
    let longest = config.longest();
    let rows = distance_rows(longest, config.distances);
    // From the last token back to the first one, then from the first on to the last.
    let back = (1..longest).rev().map(|distance| rows[distance * longest]);
    let by_distance: Vec<usize> = back.chain(rows[..longest].iter().copied()).collect();
    let heads = config.heads;
    (0..heads).flat_map(|head| by_distance.iter().map(move |row| table[row * heads + head])).collect()
}

/// A block's weights out of its parameters.
struct BlockNumbers {
    layers: [(Vec<f32>, Vec<f32>); 6],
    norms: [(Vec<f32>, Vec<f32>); 2],
}

impl BlockNumbers {
    fn of(block: &Block) -> Self {
        let layers = [&block.query, &block.key, &block.value, &block.output, &block.widen, &block.narrow];
        Self {
            layers: layers.map(|layer| layer.values()),
            norms: [&block.attention_norm, &block.norm].map(|norm| norm.values()),
        }
    }

    fn weights(&self) -> EncoderBlock<'_> {
        let layer = |at: usize| AffineWeights { weight: &self.layers[at].0, bias: &self.layers[at].1 };
        let norm = |at: usize| NormWeights { gamma: &self.norms[at].0, beta: &self.norms[at].1 };
        EncoderBlock {
            query: layer(0),
            key: layer(1),
            value: layer(2),
            output: layer(3),
            attention_norm: norm(0),
            widen: layer(4),
            narrow: layer(5),
            norm: norm(1),
        }
    }
}
