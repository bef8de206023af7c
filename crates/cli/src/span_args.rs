//! Flags of fits on spans: answers to questions, and tagged words.

use clap::Args;
use serde::Serialize;

/// What only `--task qa` and `--task tags` have.
#[derive(Debug, Clone, Default, Args, Serialize)]
#[command(next_help_heading = "Answers and tags")]
#[serde(rename_all = "kebab-case")]
pub struct SpanArgs {
    /// Longest input of the encoder, in tokens [default: 384].
    #[arg(long, value_name = "N", aliases = ["max-seq-length", "max-length"])]
    pub max_tokens: Option<usize>,
    /// Overlap of two windows over a long paragraph, in tokens [default: 128].
    #[arg(long, value_name = "N", alias = "doc-stride")]
    pub stride: Option<usize>,
    /// Longest answer, in tokens [default: 30; 15 words with word vectors].
    #[arg(long, value_name = "N", alias = "max-answer-length")]
    pub max_answer: Option<usize>,
    /// Width of the reader's LSTMs, one way, on word vectors [default: 128].
    #[arg(long, value_name = "N")]
    pub hidden: Option<usize>,
    /// Layers of the reader's LSTMs, on word vectors [default: 3].
    #[arg(long, value_name = "N")]
    pub layers: Option<usize>,
}
