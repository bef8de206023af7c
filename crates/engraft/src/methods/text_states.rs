//! What training starts from: the texts at the cut, run there once by the frozen blocks and kept, each as long as it is;
//! or run for every batch where they would not fit into memory.

use burn::prelude::*;
use burn::tensor::{Device, TensorData};

use crate::bases::Mode;
use crate::bases::text::{Encoded, FrozenEncoder, SentenceEncoder, TextEncoder, TokenBatch, pool};
use crate::data::text::Text;
use crate::error::Result;
use crate::progress::Observer;

/// Bytes of states that are kept in memory.
const KEPT: usize = 1 << 30;
/// Texts that run together.
const BATCH: usize = 32;

/// Texts at a cut of an encoder.
pub struct TextStates {
    encoded: Vec<Encoded>,
    cut: usize,
    width: usize,
    pad: u32,
    kept: Option<Vec<Vec<f32>>>,
    frozen: Option<FrozenEncoder>,
}

impl TextStates {
    /// Runs texts to the cut. At cut 0 there is nothing to run.
    pub fn new(base: &SentenceEncoder, texts: &[&Text], cut: usize, observer: &dyn Observer) -> Result<Self> {
        Self::of(base, base.encode(texts)?, cut, observer)
    }

    /// Runs what a tokenizer gave to the cut.
    pub(crate) fn of(
        base: &SentenceEncoder,
        encoded: Vec<Encoded>,
        cut: usize,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let (width, pad) = (base.encoder.width(), base.config.pad);
        let frozen = (cut > 0).then(|| FrozenEncoder::new(&base.encoder));
        let mut states = Self { encoded, cut, width, pad, kept: None, frozen };
        let tokens: usize = states.encoded.iter().map(|encoded| encoded.ids.len()).sum();
        if let Some(frozen) = &states.frozen
            && tokens * width * size_of::<f32>() <= KEPT
        {
            let texts = states.encoded.len();
            let mut order: Vec<usize> = (0..texts).collect();
            order.sort_by_key(|&at| states.encoded[at].ids.len());
            let mut kept = vec![Vec::new(); texts];
            observer.begin("texts at the cut", texts as u64, "texts");
            for batch in order.chunks(BATCH) {
                observer.check()?;
                let some: Vec<&Encoded> = batch.iter().map(|&at| &states.encoded[at]).collect();
                for (&at, rows) in batch.iter().zip(frozen.states(&some, cut)) {
                    kept[at] = rows;
                }
                observer.advance(batch.len() as u64);
            }
            observer.end();
            states.kept = Some(kept);
        }
        Ok(states)
    }

    /// Features `[N, columns]` of texts by the stages after the cut, with their graph where a stage's mode asks for one.
    pub(crate) fn features<'m>(
        &self,
        encoder: &TextEncoder,
        layout: &SentenceEncoder,
        which: &[usize],
        mode: impl Fn(usize) -> Mode<'m>,
        device: &Device,
    ) -> Tensor<2> {
        let (states, batch) = self.token_states(encoder, which, mode, device);
        layout.finished(pool(states, &batch.mask, layout.layout.pooling))
    }

    /// States `[N, longest, width]` of the tokens of texts after the last block, and what is padding in them.
    pub(crate) fn token_states<'m>(
        &self,
        encoder: &TextEncoder,
        which: &[usize],
        mode: impl Fn(usize) -> Mode<'m>,
        device: &Device,
    ) -> (Tensor<3>, TokenBatch) {
        let encoded: Vec<&Encoded> = which.iter().map(|&at| &self.encoded[at]).collect();
        let blocks = encoder.stages().len() - 2;
        let batch = TokenBatch::new(&encoded, self.pad, device);
        let states = match self.cut {
            0 => encoder.embed(&batch, mode(0)),
            _ => self.padded(which, &encoded, device),
        };
        let states = encoder.blocks(states, &batch, self.cut.saturating_sub(1)..blocks, |block| mode(block + 1));
        (states, batch)
    }

    /// States `[N, longest, width]` at the cut; zeros after the end of a text.
    fn padded(&self, which: &[usize], encoded: &[&Encoded], device: &Device) -> Tensor<3> {
        let computed;
        let rows: Vec<&[f32]> = match (&self.kept, &self.frozen) {
            (Some(kept), _) => which.iter().map(|&at| kept[at].as_slice()).collect(),
            (None, Some(frozen)) => {
                computed = frozen.states(encoded, self.cut);
                computed.iter().map(Vec::as_slice).collect()
            }
            (None, None) => unreachable!("a cut after the input has a frozen part"),
        };
        let longest = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let mut values = vec![0.0; rows.len() * longest];
        for (out, row) in values.chunks_exact_mut(longest.max(1)).zip(&rows) {
            out[..row.len()].copy_from_slice(row);
        }
        Tensor::from_data(TensorData::new(values, [rows.len(), longest / self.width, self.width]), device)
    }
}
