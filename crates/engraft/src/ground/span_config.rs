//! The settings of `engraft fit` where spans are learnt: answers to questions, or tagged words.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::tune_config::Tune;

/// Settings of `engraft fit --task qa` and `--task tags`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SpanFit {
    /// The questions or the tagged words: a file, or a folder with one for each split.
    pub data: PathBuf,
    /// `qa` or `tags`.
    pub task: String,
    /// The pretrained base: the folder of an encoder, or a file of word vectors (for `qa`). Empty where it is to be chosen
    /// ([`crate::backbone::default_base()`]).
    pub base: String,
    /// How much of an encoder is retrained: `head`, `last`, `half`, `all`, or the stage that training begins at.
    pub depth: String,
    /// Folds of the cross-validation; 0 leaves it out, where there is a held-out split.
    pub folds: usize,
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Makes findings of the audit that are serious or warnings fatal.
    pub strict: bool,
    /// What the controls may cost, in units of 10^12 MACs; 0 leaves them out.
    pub control_budget: f64,
    /// Tokens that an encoder sees at once.
    pub max_tokens: usize,
    /// Tokens that two windows over a long paragraph share.
    pub stride: usize,
    /// Tokens of the longest answer.
    pub max_answer: usize,
    /// Width of the reader's LSTMs, one way, on word vectors.
    pub hidden: usize,
    /// Layers of the reader's LSTMs.
    pub layers: usize,
    /// How to train.
    pub tune: Tune,
}

impl Default for SpanFit {
    fn default() -> Self {
        // Epochs and batches as Devlin et al. 2019, appendix A.3; rates for small encoders, which take larger ones.
        let usual = Tune::default();
        let tune =
            Tune { epochs: 4, batch_size: 16, lr: 1e-4, rate_factor: 1.1, head_rate: 5.0, dropout: 0.1, ..usual };
        Self {
            data: PathBuf::new(),
            task: "qa".into(),
            base: String::new(),
            depth: "all".into(),
            folds: 5,
            seed: 0,
            strict: false,
            control_budget: 0.5,
            max_tokens: 384,
            stride: 128,
            max_answer: 30,
            hidden: 128,
            layers: 3,
            tune,
        }
    }
}

impl SpanFit {
    /// The usual settings of a reader on word vectors (Chen et al. 2017, section 5.2; AdamW in place of Adamax).
    pub fn on_words() -> Self {
        let usual = Self::default();
        let tune =
            Tune { epochs: 20, batch_size: 32, lr: 2e-3, head_rate: 1.0, dropout: 0.4, clip: 10.0, ..Tune::default() };
        Self { max_answer: 15, tune, ..usual }
    }
}
