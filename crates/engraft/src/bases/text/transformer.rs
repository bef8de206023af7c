//! Encoders of the BERT family (Devlin et al. 2019) as a row of stages: `embed`, `block0`, ..., `pool`.
//!
//! A block is attention and a feed-forward part, each with its residual and a layer norm behind the sum. Dropout is
//! applied where the originals have it but for the probabilities of the attention, which are never kept.

use std::collections::BTreeMap;
use std::ops::Range;

use burn::module::{Module, ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::module::embedding;
use burn::tensor::{Device, TensorData};
use engraft_kernels::{Activation, attention, softmax};
use rand_distr::{Distribution, StandardNormal};

use crate::bases::layers::numbers;
use crate::bases::low_rank::LoraConfig;
use crate::bases::stage::{Mode, StageCost};
use crate::bases::text::batch::TokenBatch;
use crate::bases::text::config::{EncoderConfig, Family};
use crate::bases::text::layers::{Dense, Norm, Packing, Source, dropout, used};
use crate::bases::text::names::{EncoderTensors, expected};
use crate::rng::rng;

/// Deviation of the weights of an encoder from scratch, as in BERT.
const DEVIATION: f32 = 0.02;

/// A distance as far as this and all beyond share a row of MPNet's table.
const FARTHEST: f32 = 128.0;

const RELATIVE: &str = "encoder.relative_attention_bias.weight";

/// An encoder: tokens to states.
#[derive(Module, Debug)]
pub struct TextEncoder {
    pub(super) embeddings: Embeddings,
    pub(super) blocks: Vec<Block>,
    /// MPNet's bias of the scores by distance, `[distances, heads]`. It is a parameter of the first block.
    relative: Option<Param<Tensor<2>>>,
    #[module(skip)]
    config: EncoderConfig,
}

/// The stage `embed`.
#[derive(Module, Debug)]
pub(super) struct Embeddings {
    tokens: Param<Tensor<2>>,
    positions: Param<Tensor<2>>,
    segments: Option<Param<Tensor<2>>>,
    norm: Norm,
}

/// A block.
#[derive(Module, Debug)]
pub(super) struct Block {
    pub(crate) query: Dense,
    pub(crate) key: Dense,
    pub(crate) value: Dense,
    pub(crate) output: Dense,
    pub(crate) attention_norm: Norm,
    pub(crate) widen: Dense,
    pub(crate) narrow: Dense,
    pub(crate) norm: Norm,
    #[module(skip)]
    name: String,
}

/// What the blocks of one pass share.
struct Shared<'a> {
    /// 0 for a key that counts, minus infinity for one that does not, `[N, T]`.
    mask: Tensor<2>,
    /// MPNet's bias of the scores, `[1, heads, T, T]`.
    bias: Option<Tensor<4>>,
    /// How the texts lie between the attentions, where they are packed.
    packing: Option<Packing>,
    config: &'a EncoderConfig,
}

impl Shared<'_> {
    fn packed(&self, x: Tensor<3>) -> Tensor<3> {
        match &self.packing {
            Some(packing) => packing.pack(x),
            None => x,
        }
    }

    fn unpacked(&self, x: Tensor<3>) -> Tensor<3> {
        match &self.packing {
            Some(packing) => packing.unpack(x),
            None => x,
        }
    }
}

impl TextEncoder {
    /// An encoder of these tensors.
    ///
    /// # Panics
    /// If one is missing or has another shape: what reads files looks first.
    pub(crate) fn of_tensors(config: &EncoderConfig, tensors: EncoderTensors, device: &Device) -> Self {
        let mut source = Source { tensors, device };
        let embeddings = Embeddings {
            tokens: source.take("embeddings.word_embeddings.weight"),
            positions: source.take("embeddings.position_embeddings.weight"),
            segments: (config.segments > 0).then(|| source.take("embeddings.token_type_embeddings.weight")),
            norm: Norm::new(&mut source, "embeddings.LayerNorm", config.epsilon),
        };
        let blocks = (0..config.layers).map(|layer| Block::new(&mut source, layer, config.epsilon)).collect();
        let relative = (config.family == Family::Mpnet).then(|| source.take(RELATIVE));
        Self { embeddings, blocks, relative, config: config.clone() }
    }

    /// An encoder from scratch: weights and tables from N(0, 0.02), biases zero, norms the identity.
    pub fn random(config: &EncoderConfig, seed: u64, device: &Device) -> Self {
        let draw = |name: &str, shape: &[usize]| -> Vec<f32> {
            let len = shape.iter().product();
            if name.contains("LayerNorm") || name.ends_with(".bias") {
                return vec![if name.ends_with("LayerNorm.weight") { 1.0 } else { 0.0 }; len];
            }
            let mut stream = rng(seed, &format!("init/{name}"), 0);
            let normal = |_| {
                let value: f32 = StandardNormal.sample(&mut stream);
                value * DEVIATION
            };
            (0..len).map(normal).collect()
        };
        let tensors = expected(config).into_iter().map(|(name, shape)| {
            let values = draw(&name, &shape);
            (name, (shape, values))
        });
        Self::of_tensors(config, tensors.collect(), device)
    }

    /// Its shape.
    pub(crate) fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// Drops another share of the numbers in training than its `config.json` says.
    #[must_use]
    pub(crate) fn with_dropout(mut self, share: f64) -> Self {
        self.config.dropout = share;
        self
    }

    /// Names of the stages: `embed`, `block0`, ..., `pool`.
    pub(crate) fn stages(&self) -> Vec<String> {
        let blocks = (0..self.blocks.len()).map(|block| format!("block{block}"));
        std::iter::once("embed".to_owned()).chain(blocks).chain(std::iter::once("pool".to_owned())).collect()
    }

    /// Numbers of a token's state, D.
    pub(crate) fn width(&self) -> usize {
        self.config.width
    }

    /// Cost of each stage for one text of so many tokens. A row of states is `[1, tokens, D]`.
    pub(crate) fn costs(&self, tokens: usize) -> Vec<StageCost> {
        let config = &self.config;
        let (t, width, between) = (tokens as u64, config.width as u64, config.between as u64);
        let last = self.stages().len() - 1;
        let cost = |(stage, name): (usize, String)| StageCost {
            name,
            outputs: if stage == last { vec![vec![config.width]] } else { vec![vec![1, tokens, config.width]] },
            parameters: self.parameters_of(stage),
            multiply_adds: match stage {
                _ if stage == 0 || stage == last => t * width,
                _ => t * (4 * width * width + 2 * width * between) + 2 * t * t * width,
            },
        };
        self.stages().into_iter().enumerate().map(cost).collect()
    }

    /// Stage 0: tokens to states, `[N, T]` to `[N, T, D]`.
    ///
    /// # Panics
    /// If a text is longer than [`EncoderConfig::longest`], or an id is not a row of its table.
    pub(crate) fn embed(&self, batch: &TokenBatch, mode: Mode<'_>) -> Tensor<3> {
        let [n, tokens] = batch.dims();
        let longest = self.config.longest();
        assert!(tokens <= longest, "a text of {tokens} tokens, where the encoder has places for {longest}");
        let positions: Vec<i64> =
            batch.tokens.chunks(tokens.max(1)).flat_map(|ids| self.config.position_of(ids)).map(i64::from).collect();
        let positions = Tensor::<2, Int>::from_data(TensorData::new(positions, [n, tokens]), &batch.ids.device());
        let layer = &self.embeddings;
        let mut x = embedding(used(&layer.tokens, mode), batch.ids.clone())
            + embedding(used(&layer.positions, mode), positions);
        if let Some(table) = &layer.segments {
            // A table of one row is RoBERTa's, which knows no segments.
            let rows = batch.segments.clone().clamp(0, table.dims()[0] as i64 - 1);
            x = x + embedding(used(table, mode), rows);
        }
        dropout(layer.norm.forward(x, mode), self.config.dropout, "embeddings", None, mode)
    }

    /// Some blocks, each in the mode of its position among the blocks: states `[N, T, D]` of a batch to the same.
    ///
    /// # Panics
    /// If the range leaves the row.
    pub(crate) fn blocks<'a>(
        &self,
        x: Tensor<3>,
        batch: &TokenBatch,
        range: Range<usize>,
        mode: impl Fn(usize) -> Mode<'a>,
    ) -> Tensor<3> {
        if range.is_empty() {
            return x;
        }
        let [_, tokens, _] = x.dims();
        // All blocks share the table, which learns where the first of them does, whichever of them these are.
        let bias = self.relative.as_ref().map(|table| self.bias_of(used(table, mode(0)), tokens));
        let packing = Packing::of(batch);
        let mask = batch.mask.zeros_like().mask_fill(batch.mask.clone().equal_elem(0.0), f32::NEG_INFINITY);
        let shared = Shared { mask, bias, packing, config: &self.config };
        let x = shared.packed(x);
        let x = range.fold(x, |x, index| self.blocks[index].forward(x, &shared, mode(index)));
        shared.unpacked(x)
    }

    /// MPNet's bias of the scores for texts of `tokens` tokens, `[1, heads, T, T]`.
    fn bias_of(&self, table: Tensor<2>, tokens: usize) -> Tensor<4> {
        let rows: Vec<i64> = distance_rows(tokens, self.config.distances).into_iter().map(|row| row as i64).collect();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [tokens * tokens]), &table.device());
        let heads = self.config.heads;
        table.select(0, rows).reshape([1, tokens, tokens, heads]).permute([0, 3, 1, 2])
    }

    /// MPNet's table of distances, `[distances, heads]`.
    pub(super) fn distances(&self) -> Option<Vec<f32>> {
        self.relative.as_ref().map(|table| numbers(table.val()))
    }

    /// The tables of tokens, positions and segments, and the norm's factor and summand.
    pub(super) fn tables(&self) -> [Vec<f32>; 5] {
        let layer = &self.embeddings;
        let segments = layer.segments.as_ref().map(|table| numbers(table.val())).unwrap_or_default();
        let (gamma, beta) = layer.norm.values();
        [numbers(layer.tokens.val()), numbers(layer.positions.val()), segments, gamma, beta]
    }

    /// Identity and number of axes of every parameter of a stage.
    pub(crate) fn stage_axes(&self, stage: usize) -> BTreeMap<u64, usize> {
        self.shapes_of(stage).into_iter().map(|(id, shape)| (id, shape.len())).collect()
    }

    fn parameters_of(&self, stage: usize) -> usize {
        self.shapes_of(stage).values().map(|shape| shape.iter().product::<usize>()).sum()
    }

    fn shapes_of(&self, stage: usize) -> BTreeMap<u64, Vec<usize>> {
        struct Shapes(BTreeMap<u64, Vec<usize>>);
        impl ModuleVisitor for Shapes {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.0.insert(param.id.val(), param.dims().to_vec());
            }
        }
        let mut shapes = Shapes(BTreeMap::new());
        match stage.checked_sub(1) {
            None => self.embeddings.visit(&mut shapes),
            Some(block) => {
                if let Some(block) = self.blocks.get(block) {
                    block.visit(&mut shapes);
                }
                if let Some(table) = self.relative.as_ref().filter(|_| block == 0) {
                    table.visit(&mut shapes);
                }
            }
        }
        shapes.0
    }

    /// Lets products of low rank learn in place of the weights of the linear layers of some stages (Hu et al. 2022).
    #[must_use]
    pub(crate) fn adapted(mut self, how: LoraConfig, stages: Range<usize>) -> Self {
        for (index, block) in self.blocks.iter_mut().enumerate() {
            if stages.contains(&(index + 1)) {
                block.layers_mut().into_iter().for_each(|layer| layer.adapt(how));
            }
        }
        self
    }

    /// Adds what was learnt in their place to the weights.
    #[must_use]
    pub(crate) fn merged(mut self) -> Self {
        for block in &mut self.blocks {
            block.layers_mut().into_iter().for_each(Dense::merge);
        }
        self
    }

    /// All tensors by the names and in the layout of BERT in Hugging Face's Transformers; products of low rank are added
    /// to their weights.
    pub fn tensors(&self) -> EncoderTensors {
        let mut all = EncoderTensors::new();
        let mut table = |name: &str, table: &Param<Tensor<2>>| {
            all.insert(name.to_owned(), (table.dims().to_vec(), numbers(table.val())));
        };
        table("embeddings.word_embeddings.weight", &self.embeddings.tokens);
        table("embeddings.position_embeddings.weight", &self.embeddings.positions);
        if let Some(segments) = &self.embeddings.segments {
            table("embeddings.token_type_embeddings.weight", segments);
        }
        if let Some(relative) = &self.relative {
            table(RELATIVE, relative);
        }
        self.embeddings.norm.export("embeddings.LayerNorm", &mut all);
        self.blocks.iter().for_each(|block| block.export(&mut all));
        all
    }
}

impl Block {
    fn new(source: &mut Source<'_>, layer: usize, epsilon: f64) -> Self {
        let name = format!("encoder.layer.{layer}");
        let at = |part: &str| format!("{name}.{part}");
        Self {
            query: Dense::new(source, &at("attention.self.query")),
            key: Dense::new(source, &at("attention.self.key")),
            value: Dense::new(source, &at("attention.self.value")),
            output: Dense::new(source, &at("attention.output.dense")),
            attention_norm: Norm::new(source, &at("attention.output.LayerNorm"), epsilon),
            widen: Dense::new(source, &at("intermediate.dense")),
            narrow: Dense::new(source, &at("output.dense")),
            norm: Norm::new(source, &at("output.LayerNorm"), epsilon),
            name,
        }
    }

    fn forward(&self, x: Tensor<3>, shared: &Shared<'_>, mode: Mode<'_>) -> Tensor<3> {
        let config = shared.config;
        let project = |layer: &Dense| shared.unpacked(layer.forward(x.clone(), None, Activation::None, mode));
        let (query, key, value) = (project(&self.query), project(&self.key), project(&self.value));
        let mixed = match &shared.bias {
            None => attention(query, key, value, Some(shared.mask.clone()), config.heads),
            Some(bias) => biased_attention([query, key, value], &shared.mask, bias, config.heads),
        };
        let mixed = shared.packed(mixed);
        let x = self.attention_norm.forward(self.added(&self.output, mixed, x, "attention", shared, mode), mode);
        let between = self.widen.forward(x.clone(), None, config.activation.pointwise(), mode);
        self.norm.forward(self.added(&self.narrow, between, x, "output", shared, mode), mode)
    }

    /// `x + dropout(layer(y))`
    fn added(
        &self,
        layer: &Dense,
        y: Tensor<3>,
        x: Tensor<3>,
        place: &str,
        shared: &Shared<'_>,
        mode: Mode<'_>,
    ) -> Tensor<3> {
        let share = shared.config.dropout;
        let drops = matches!(mode, Mode::Train(pass) if pass.drops().is_some()) && share > 0.0;
        if !drops {
            return layer.forward(y, Some(x), Activation::None, mode);
        }
        let y = layer.forward(y, None, Activation::None, mode);
        dropout(y, share, &format!("{}.{place}", self.name), shared.packing.as_ref(), mode) + x
    }

    fn layers_mut(&mut self) -> [&mut Dense; 6] {
        [&mut self.query, &mut self.key, &mut self.value, &mut self.output, &mut self.widen, &mut self.narrow]
    }

    fn export(&self, to: &mut EncoderTensors) {
        let at = |part: &str| format!("{}.{part}", self.name);
        self.query.export(&at("attention.self.query"), to);
        self.key.export(&at("attention.self.key"), to);
        self.value.export(&at("attention.self.value"), to);
        self.output.export(&at("attention.output.dense"), to);
        self.attention_norm.export(&at("attention.output.LayerNorm"), to);
        self.widen.export(&at("intermediate.dense"), to);
        self.narrow.export(&at("output.dense"), to);
        self.norm.export(&at("output.LayerNorm"), to);
    }
}

/// Attention whose scores have a bias, made of Burn's operations: the kernel knows masks of keys alone.
fn biased_attention(projected: [Tensor<3>; 3], mask: &Tensor<2>, bias: &Tensor<4>, heads: usize) -> Tensor<3> {
    let [n, tokens, width] = projected[0].dims();
    let split = |x: Tensor<3>| x.reshape([n, tokens, heads, width / heads]).swap_dims(1, 2);
    let [query, key, value] = projected.map(split);
    let scale = 1.0 / ((width / heads) as f64).sqrt();
    // Not minus infinity: a text without tokens would be NaN.
    let mask = mask.clone().clamp_min(-1e30).reshape([n, 1, 1, tokens]);
    let scores = query.matmul(key.swap_dims(2, 3)).mul_scalar(scale) + bias.clone() + mask;
    softmax(scores).matmul(value).swap_dims(1, 2).reshape([n, tokens, width])
}

/// The row of MPNet's table of distances for each query and key, `[T, T]` (T5's rule, Raffel et al. 2020: half of the
/// rows for each direction, half of these exact and the others wider and wider).
pub(super) fn distance_rows(tokens: usize, rows: usize) -> Vec<usize> {
    let half = rows / 2;
    let exact = (half / 2).max(1);
    let row = |query: usize, key: usize| {
        let (side, distance) = if key > query { (half, key - query) } else { (0, query - key) };
        if distance < exact {
            return side + distance;
        }
        let wider = (distance as f32 / exact as f32).ln() / (FARTHEST / exact as f32).ln() * (half - exact) as f32;
        side + (exact + wider as usize).min(half - 1)
    };
    (0..tokens).flat_map(|query| (0..tokens).map(move |key| (query, key))).map(|(query, key)| row(query, key)).collect()
}
