//! The settings of `engraft pretrain --method language-model`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::choices::Optimiser;

/// How a base learns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// From labels.
    #[default]
    Supervised,
    /// From plain text, whose next word is to be told.
    LanguageModel,
}

/// Settings of `engraft pretrain --method language-model`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LanguageModelPretrain {
    /// The corpus: a `.txt` file, a folder of such, or a table.
    pub data: PathBuf,
    /// The columns of a table that hold texts; inferred where they are not told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub text: Vec<String>,
    /// How the base learns: [`Method::LanguageModel`].
    pub method: Method,
    /// The network: `lstm`.
    pub arch: String,
    /// The name of the model in its card.
    pub id: String,
    /// What the model is, for its card.
    pub description: String,
    /// The licence of the model, for its card.
    pub licence: String,
    /// Where the model comes from, for its card.
    pub source: String,
    /// Most words of the vocabulary.
    pub vocabulary: usize,
    /// Words that come fewer times are unknown ones.
    pub min_count: u64,
    /// Numbers of an embedding and of the last layer's state.
    pub width: usize,
    /// Numbers of the other layers' state; 0 for twice the width.
    pub hidden: usize,
    /// LSTM layers.
    pub layers: usize,
    /// Words that are predicted in a window.
    pub bptt: usize,
    /// Word vectors of the same width that embeddings begin at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vectors: Option<PathBuf>,
    /// Factor of all dropouts.
    pub dropout: f64,
    /// Passes over the corpus.
    pub epochs: u64,
    /// Windows in a step.
    pub batch_size: usize,
    /// What moves the weights.
    pub optimiser: Optimiser,
    /// Peak learning rate.
    pub lr: f64,
    /// Share of the steps in which the rate rises.
    pub warmup: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Longest gradient; 0 for any.
    pub clip: f64,
    /// Share of the corpus, its end, that is held out to measure on.
    pub holdout: f64,
    /// Seed of everything that is drawn.
    pub seed: u64,
}

impl Default for LanguageModelPretrain {
    fn default() -> Self {
        Self {
            data: PathBuf::new(),
            text: Vec::new(),
            method: Method::LanguageModel,
            arch: "lstm".into(),
            id: String::new(),
            description: String::new(),
            licence: String::new(),
            source: String::new(),
            vocabulary: 10_000,
            min_count: 3,
            width: 128,
            hidden: 0,
            layers: 2,
            bptt: 64,
            vectors: None,
            dropout: 0.3,
            epochs: 1,
            batch_size: 32,
            optimiser: Optimiser::AdamW,
            lr: 5e-3,
            warmup: 0.1,
            weight_decay: 0.01,
            clip: 1.0,
            holdout: 0.02,
            seed: 0,
        }
    }
}
