//! Flags of `engraft translate`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use engraft::metrics::{BOOTSTRAP_RESAMPLES, BleuTokeniser, RANDOMISATION_TRIALS, Smoothing};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};

/// The commands.
#[derive(Debug, Subcommand)]
pub enum TranslateCommand {
    /// Score translations against references: BLEU and chrF with sacrebleu's digits and signatures, intervals, paired tests.
    Score(ScoreArgs),
}

/// A metric of translations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Metric {
    /// BLEU.
    Bleu,
    /// chrF; with --word-order 2 chrF++.
    Chrf,
}

/// Arguments of `translate score`.
#[derive(Debug, Args)]
pub struct ScoreArgs {
    /// The translations, one a line.
    pub translations: PathBuf,
    /// The references, one a line, as many as translations; one file for each translator.
    #[arg(long, value_name = "FILE", required = true, num_args = 1.., visible_alias = "ref")]
    pub reference: Vec<PathBuf>,
    /// Translations of another system, to compare with: paired bootstrap and approximate randomisation.
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// What to score by [default: bleu,chrf].
    #[arg(long, value_name = "METRIC", value_delimiter = ',')]
    pub metric: Vec<Metric>,
    /// Count upper and lower case as the same.
    #[arg(long)]
    pub lowercase: bool,
    /// BLEU: how lines are split: 13a, intl, char, zh or none [default: 13a].
    #[arg(long, value_name = "NAME", value_parser = named::<BleuTokeniser>, alias = "tokenize", help_heading = "BLEU")]
    pub tokeniser: Option<BleuTokeniser>,
    /// BLEU: what a precision without a match is: exp, floor, add-k or none [default: exp].
    #[arg(long, value_name = "NAME", value_parser = named::<Smoothing>, alias = "smooth-method", help_heading = "BLEU")]
    pub smoothing: Option<Smoothing>,
    /// BLEU: the value of floor [default: 0.1] or add-k [default: 1].
    #[arg(long, value_name = "VALUE", help_heading = "BLEU")]
    pub smooth_value: Option<f64>,
    /// BLEU: leave runs that are longer than the sentence out of the mean.
    #[arg(long, help_heading = "BLEU")]
    pub effective_order: bool,
    /// chrF: longest runs of characters, 1 to 6 [default: 6].
    #[arg(long, value_name = "N", alias = "chrf-char-order", help_heading = "chrF")]
    pub char_order: Option<usize>,
    /// chrF: longest runs of words, 0 to 4; 2 is chrF++ [default: 0].
    #[arg(long, value_name = "N", alias = "chrf-word-order", help_heading = "chrF")]
    pub word_order: Option<usize>,
    /// chrF: how many times recall counts as much as precision, 1 to 10 [default: 2].
    #[arg(long, value_name = "BETA", alias = "chrf-beta", help_heading = "chrF")]
    pub beta: Option<u32>,
    /// chrF: let runs of characters go over white space.
    #[arg(long, alias = "chrf-whitespace", help_heading = "chrF")]
    pub whitespace: bool,
    /// chrF: count runs of lengths that are missing as nearly zero.
    #[arg(long, alias = "chrf-eps-smoothing", help_heading = "chrF")]
    pub eps_smoothing: bool,
    /// Resamples of the paired bootstrap.
    #[arg(long, value_name = "N", default_value_t = BOOTSTRAP_RESAMPLES, requires = "against")]
    pub resamples: usize,
    /// Trials of approximate randomisation; 0 leaves it out.
    #[arg(long, value_name = "N", default_value_t = RANDOMISATION_TRIALS, requires = "against")]
    pub trials: usize,
    /// Seed of the resamples.
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub seed: u64,
    /// Tell the score of each sentence, too.
    #[arg(long)]
    pub sentences: bool,
}

/// A value by its name in reports.
fn named<'de, T: Deserialize<'de>>(text: &str) -> Result<T, Error> {
    let text: StrDeserializer<'_, Error> = text.into_deserializer();
    T::deserialize(text)
}
