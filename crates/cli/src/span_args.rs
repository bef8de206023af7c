//! Flags of fits on spans: answers to questions, and tagged words.

use clap::Args;
use engraft::config::Fit;

/// What only `--task qa` and `--task tags` have.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Answers and tags")]
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

impl SpanArgs {
    /// Each flag with what it is set to, and the setting.
    fn each<'a>(&self, config: &'a mut Fit) -> [(&'static str, Option<usize>, &'a mut Option<usize>); 5] {
        [
            ("max-tokens", self.max_tokens, &mut config.max_tokens),
            ("stride", self.stride, &mut config.stride),
            ("max-answer", self.max_answer, &mut config.max_answer),
            ("hidden", self.hidden, &mut config.hidden),
            ("layers", self.layers, &mut config.layers),
        ]
    }

    /// Lays the flags that were given over settings.
    pub fn lay_over(&self, config: &mut Fit) {
        for (_, flag, setting) in self.each(config) {
            *setting = flag.or(*setting);
        }
    }

    /// The flags that give these settings.
    pub fn flags_of(config: &Fit) -> Vec<String> {
        let mut config = config.clone();
        let each = Self::default().each(&mut config).into_iter();
        each.filter_map(|(name, _, value)| value.map(|value| format!("--{name} {value}"))).collect()
    }
}
