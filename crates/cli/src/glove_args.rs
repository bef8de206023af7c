//! Flags of `engraft glove`. They have the names of the settings, and these those of Stanford's tools where they mean the same.

use std::ops::Not;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Subcommand};
use engraft::settings::{GloveModel, Reduction, VectorFormat, Weighting};
use serde::Serialize;

const VOCABULARY: &str = "Vocabulary";
const PAIRS: &str = "Co-occurrences";
const TRAINING: &str = "Training";
const OUTPUT: &str = "Output";

/// Arguments of `glove`: all stages, or one of them.
#[derive(Debug, Args)]
pub struct GloveArgs {
    #[command(subcommand)]
    pub command: Option<GloveCommand>,
    #[command(flatten)]
    pub all: AllArgs,
}

/// The stages, and what is done with vectors.
#[derive(Debug, Subcommand)]
pub enum GloveCommand {
    /// Count the words of a corpus: a word and its count a line, the most frequent first.
    Vocab(VocabArgs),
    /// Count how often words come together, as records of 16 bytes in the form of the C tools.
    Cooccur(CooccurArgs),
    /// Put co-occurrences in a random order. Training here needs none; other programs do.
    Shuffle(ShuffleArgs),
    /// Train vectors on a file of co-occurrences.
    Train(TrainArgs),
    /// Train given vectors further on a small corpus, pulled back to where they were.
    Adapt(AdaptVectorsArgs),
    /// Vectors of fewer columns: PCA, all-but-the-top, or an SVD of the co-occurrences.
    Reduce(ReduceArgs),
    /// Analogies, word similarity, the consistency of relations, neighbours and a map.
    Evaluate(EvaluateArgs),
    /// The nearest words to a word, or to a sum such as king - man + woman.
    Near(NearArgs),
    /// Write vectors in another format.
    Convert(ConvertArgs),
}

/// The text.
#[derive(Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CorpusArgs {
    /// Tokenised text, words between blanks: files (.gz, .xz and .zst too), folders of such, or - for stdin. A line end parts
    /// contexts.
    pub corpus: Vec<PathBuf>,
}

/// Which words.
#[derive(Debug, Args, Serialize)]
#[command(next_help_heading = VOCABULARY)]
#[serde(rename_all = "kebab-case")]
pub struct WordsArgs {
    /// Leave out words that come fewer times [default: 5].
    #[arg(long, value_name = "N")]
    pub min_count: Option<u64>,
    /// Keep so many words, the most frequent [default: 0, all].
    #[arg(long, value_name = "N")]
    pub max_vocab: Option<u64>,
}

/// Memory.
#[derive(Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct MemoryArgs {
    /// Memory for counting, sorting and shuffling, in MB; what is more goes to files beside the output [default: 4096].
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u64).range(..=1 << 32), help_heading = PAIRS)]
    pub memory: Option<u64>,
}

/// Which pairs.
#[derive(Debug, Args, Serialize)]
#[command(next_help_heading = PAIRS)]
#[serde(rename_all = "kebab-case")]
pub struct PairsArgs {
    /// Words on one side that are a word's context [default: 15].
    #[arg(long, value_name = "N", visible_alias = "window")]
    pub window_size: Option<usize>,
    /// Whether words on the right are context as those on the left are: true or false [default: true].
    #[arg(long, value_name = "BOOL", value_parser = BoolishValueParser::new())]
    pub symmetric: Option<bool>,
    /// Whether a pair at distance d counts 1/d, or 1: true or false [default: true].
    #[arg(long, value_name = "BOOL", value_parser = BoolishValueParser::new())]
    pub distance_weighting: Option<bool>,
}

/// How vectors learn.
#[derive(Debug, Args, Serialize)]
#[command(next_help_heading = TRAINING)]
#[serde(rename_all = "kebab-case")]
pub struct LearningArgs {
    /// Numbers of a vector [default: 50; of `adapt` those of the base].
    #[arg(long, value_name = "N", visible_alias = "columns")]
    pub vector_size: Option<usize>,
    /// Passes over the co-occurrences [default: 25].
    #[arg(long, value_name = "N", visible_alias = "epochs")]
    pub iter: Option<u64>,
    /// Learning rate of AdaGrad [default: 0.05].
    #[arg(long, value_name = "RATE", allow_negative_numbers = true, visible_alias = "lr")]
    pub eta: Option<f64>,
    /// Learning rate of the biases [default: 1, as in the C tools].
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    pub bias_eta: Option<f64>,
    /// Exponent of a co-occurrence's weight, (x / x-max)^alpha [default: 0.75].
    #[arg(long, value_name = "POWER", allow_negative_numbers = true)]
    pub alpha: Option<f64>,
    /// Co-occurrences from which on the weight is 1 [default: 100].
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub x_max: Option<f64>,
    /// The largest gradient of a single number [default: 100].
    #[arg(long, value_name = "G", allow_negative_numbers = true)]
    pub grad_clip: Option<f64>,
    /// Parts that words are in while training; results depend on it, and not on the number of threads [default: 32].
    #[arg(long, value_name = "N")]
    pub blocks: Option<usize>,
    /// Seed of everything that is drawn [default: 0].
    #[arg(long, value_name = "SEED", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: Option<u64>,
    /// Seconds after which an epoch ends with a checkpoint [default: 60].
    #[arg(long, value_name = "SECONDS")]
    pub checkpoint_seconds: Option<u64>,
}

/// What is written of vectors.
#[derive(Debug, Args, Serialize)]
#[command(next_help_heading = OUTPUT)]
#[serde(rename_all = "kebab-case")]
pub struct WrittenArgs {
    /// A word's vector: word, sum (of word and context), both (one after the other) or all (with the biases) [default: sum].
    #[arg(long, value_name = "MODEL")]
    pub model: Option<GloveModel>,
    /// Begin vectors.txt with the numbers of rows and columns.
    #[arg(long)]
    #[serde(skip_serializing_if = "Not::not")]
    pub write_header: bool,
    /// Whether there is a vector of unknown words, <unk>, the mean of the 100 rarest: true or false [default: true].
    #[arg(long, value_name = "BOOL", value_parser = BoolishValueParser::new())]
    pub unk: Option<bool>,
    /// Write all parameters as vectors.bin too, as the C tools do.
    #[arg(long)]
    #[serde(skip_serializing_if = "Not::not")]
    pub binary: bool,
    /// Write the sums of squared gradients too: gradsq.txt, and gradsq.bin with --binary.
    #[arg(long)]
    #[serde(skip_serializing_if = "Not::not")]
    pub save_gradsq: bool,
}

/// A training, from co-occurrences to what is written.
#[derive(Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TrainingArgs {
    #[command(flatten)]
    #[serde(flatten)]
    pub memory: MemoryArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub learning: LearningArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub written: WrittenArgs,
}

/// A folder of vectors.
#[derive(Debug, Args)]
#[command(next_help_heading = OUTPUT)]
pub struct FolderArgs {
    /// The folder to make: vectors.txt, vocab.txt and glove.json. A stopped run of the same command goes on.
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace vectors that are there.
    #[arg(long)]
    pub force: bool,
}

/// A file.
#[derive(Debug, Args)]
#[command(next_help_heading = OUTPUT)]
pub struct FileArgs {
    /// The file to write.
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// Replace a file that is there.
    #[arg(long)]
    pub force: bool,
}

/// All stages.
#[derive(Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AllArgs {
    #[command(flatten)]
    #[serde(flatten)]
    pub corpus: CorpusArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub words: WordsArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub pairs: PairsArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub training: TrainingArgs,
    /// Keep the co-occurrences in the output, as cooccurrence.bin.
    #[arg(long, help_heading = OUTPUT)]
    #[serde(skip_serializing_if = "Not::not")]
    pub keep_cooccurrence: bool,
    #[command(flatten)]
    #[serde(skip)]
    pub output: FolderArgs,
}

/// Arguments of `glove vocab`.
#[derive(Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct VocabArgs {
    #[command(flatten)]
    #[serde(flatten)]
    pub corpus: CorpusArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub words: WordsArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub memory: MemoryArgs,
    #[command(flatten)]
    #[serde(skip)]
    pub output: FileArgs,
}

/// Arguments of `glove cooccur`.
#[derive(Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CooccurArgs {
    #[command(flatten)]
    #[serde(flatten)]
    pub corpus: CorpusArgs,
    /// The vocabulary, as `engraft glove vocab` writes it.
    #[arg(long, value_name = "FILE", alias = "vocab-file", help_heading = VOCABULARY)]
    #[serde(skip)]
    pub vocab: PathBuf,
    #[command(flatten)]
    #[serde(flatten)]
    pub pairs: PairsArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub memory: MemoryArgs,
    #[command(flatten)]
    #[serde(skip)]
    pub output: FileArgs,
}

/// Arguments of `glove shuffle`.
#[derive(Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShuffleArgs {
    /// Co-occurrences, as `engraft glove cooccur` writes them.
    #[serde(skip)]
    pub records: PathBuf,
    /// Their vocabulary: words are then checked to be in it.
    #[arg(long, value_name = "FILE", alias = "vocab-file", help_heading = VOCABULARY)]
    #[serde(skip)]
    pub vocab: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    pub memory: MemoryArgs,
    /// Seed of the order [default: 0].
    #[arg(long, value_name = "SEED", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: Option<u64>,
    #[command(flatten)]
    #[serde(skip)]
    pub output: FileArgs,
}

/// Arguments of `glove train`.
#[derive(Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TrainArgs {
    /// Co-occurrences, in any order: of `engraft glove cooccur` or of the C tools.
    #[serde(skip)]
    pub records: PathBuf,
    /// Their vocabulary.
    #[arg(long, value_name = "FILE", alias = "vocab-file", help_heading = VOCABULARY)]
    #[serde(skip)]
    pub vocab: PathBuf,
    #[command(flatten)]
    #[serde(flatten)]
    pub training: TrainingArgs,
    #[command(flatten)]
    #[serde(skip)]
    pub output: FolderArgs,
}

/// Arguments of `glove adapt`.
#[derive(Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AdaptVectorsArgs {
    /// The vectors to start from, of any format.
    #[arg(long, value_name = "VECTORS", help_heading = TRAINING)]
    pub base: PathBuf,
    /// How strongly a vector is pulled to the given one; 0 for a warm start alone [default: 0.1].
    #[arg(long, value_name = "MU", allow_negative_numbers = true, help_heading = TRAINING)]
    pub pull: Option<f64>,
    #[command(flatten)]
    #[serde(flatten)]
    pub all: AllArgs,
}

/// Arguments of `glove reduce`.
#[derive(Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReduceArgs {
    /// Vectors of any format, or the folder of `engraft glove`; of --method svd a file of co-occurrences.
    pub vectors: PathBuf,
    /// Columns to keep [default: 100].
    #[arg(long, value_name = "N")]
    pub columns: Option<usize>,
    /// pca, ppa (all-but-the-top before and after a PCA) or svd (of the co-occurrences) [default: pca].
    #[arg(long, value_name = "METHOD")]
    pub method: Option<Reduction>,
    /// Subtract the mean of all vectors before a PCA, as `ppa` always does.
    #[arg(long)]
    #[serde(skip_serializing_if = "Not::not")]
    pub centre: bool,
    /// Most common directions that `ppa` removes [default: 7].
    #[arg(long, value_name = "N")]
    pub remove: Option<usize>,
    /// Of svd: the vocabulary of the co-occurrences.
    #[arg(long, value_name = "FILE", alias = "vocab-file", help_heading = PAIRS)]
    pub vocab: Option<PathBuf>,
    /// Of svd: what stands for a count: raw, sqrt, log or ppmi [default: ppmi].
    #[arg(long, value_name = "WEIGHTING", help_heading = PAIRS)]
    pub weighting: Option<Weighting>,
    /// Of svd: negative samples that the mutual information is shifted by; 1 for none [default: 1].
    #[arg(long, value_name = "K", allow_negative_numbers = true, help_heading = PAIRS)]
    pub shift: Option<f64>,
    /// Of svd: exponent of the contexts' counts [default: 0.75].
    #[arg(long, value_name = "POWER", allow_negative_numbers = true, help_heading = PAIRS)]
    pub context_smoothing: Option<f64>,
    /// Of svd: exponent of the singular values in the vectors [default: 0.5].
    #[arg(long, value_name = "POWER", allow_negative_numbers = true, help_heading = PAIRS)]
    pub power: Option<f64>,
    /// Of svd: power iterations [default: 4].
    #[arg(long, value_name = "N", help_heading = PAIRS)]
    pub iterations: Option<usize>,
    /// Of svd: seed [default: 1].
    #[arg(long, value_name = "SEED", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64), help_heading = PAIRS)]
    pub seed: Option<u64>,
    /// Of svd: memory in MB [default: 4096].
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u64).range(..=1 << 32), help_heading = PAIRS)]
    pub memory: Option<u64>,
    #[command(flatten)]
    #[serde(flatten)]
    pub output: VectorFileArgs,
}

/// A file of vectors.
#[derive(Debug, Args, Serialize)]
#[command(next_help_heading = OUTPUT)]
#[serde(rename_all = "kebab-case")]
pub struct VectorFileArgs {
    /// The file to write: .txt or .glove, .w2v, .bin (word2vec), .vec, .fifu, .npy or .safetensors.
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// Its format, whatever its ending: glove, glove-header, word2vec-text, word2vec-binary, fasttext-vec, finalfusion, npy or
    /// safetensors.
    #[arg(long, value_name = "FORMAT")]
    pub to: Option<VectorFormat>,
    /// Replace a file that is there.
    #[arg(long)]
    #[serde(skip_serializing_if = "Not::not")]
    pub force: bool,
}

/// Arguments of `glove evaluate`.
#[derive(Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct EvaluateArgs {
    /// Vectors of any format, or the folder of `engraft glove`.
    pub vectors: PathBuf,
    /// Questions "a b c d" (a is to b as c is to d): a file, or a folder of .txt files, a kind each.
    #[arg(long, value_name = "PATH")]
    pub analogies: Option<PathBuf>,
    /// Word pairs and people's ratings: a file or a folder.
    #[arg(long, value_name = "PATH")]
    pub similarity: Option<PathBuf>,
    /// Let only the first so many words answer [default: 0, all].
    #[arg(long, value_name = "N", visible_alias = "restrict-vocab")]
    pub most_frequent: Option<usize>,
    /// Random pairings that the consistency of relations is compared with [default: 99].
    #[arg(long, value_name = "N")]
    pub permutations: Option<usize>,
    /// Words whose neighbours are listed [default: some, from frequent to rare].
    #[arg(long, value_name = "WORD", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub neighbours_of: Vec<String>,
    /// Neighbours of each [default: 8].
    #[arg(long, value_name = "N")]
    pub neighbours: Option<usize>,
    /// Words on the map, the most frequent [default: 250].
    #[arg(long, value_name = "N")]
    pub map: Option<usize>,
    /// Words on the map, instead.
    #[arg(long, value_name = "WORD", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub map_words: Vec<String>,
    /// Seed of the random pairings [default: 1].
    #[arg(long, value_name = "SEED", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: Option<u64>,
    /// Write a page with all of it, and a map, to this HTML file.
    #[arg(short, long, value_name = "FILE", help_heading = OUTPUT)]
    #[serde(skip)]
    pub out: Option<PathBuf>,
    /// Replace a page that is there.
    #[arg(long, help_heading = OUTPUT)]
    #[serde(skip)]
    pub force: bool,
}

/// Arguments of `glove near`.
#[derive(Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct NearArgs {
    /// Vectors of any format, or the folder of `engraft glove`.
    pub vectors: PathBuf,
    /// A word, or words with + and - between them: king - man + woman.
    #[arg(required = true, value_name = "WORD")]
    pub query: Vec<String>,
    /// Words to list [default: 10].
    #[arg(long, value_name = "N")]
    pub count: Option<usize>,
    /// Let only the first so many words answer [default: 0, all].
    #[arg(long, value_name = "N", visible_alias = "restrict-vocab")]
    pub most_frequent: Option<usize>,
}

/// Arguments of `glove convert`.
#[derive(Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ConvertArgs {
    /// Vectors of any format, or the folder of `engraft glove`.
    pub vectors: PathBuf,
    /// Write only the first so many words [default: 0, all].
    #[arg(long, value_name = "N", visible_alias = "restrict-vocab")]
    pub most_frequent: Option<usize>,
    #[command(flatten)]
    #[serde(flatten)]
    pub output: VectorFileArgs,
}
