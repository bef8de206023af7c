//! The settings of `engraft glove`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::choices::choice;
use crate::error::{Error, Problem};

choice! {
    /// Which numbers of a word are written as its vector (`-model` of the C tools).
    GloveModel, "model of a vector":
    /// Everything: the word's vector and bias, then the context's vector and bias (0 in C).
    All = "all",
    /// The word's vector (1 in C).
    Word = "word",
    /// The sum of both vectors (2 in C, and its default).
    Sum = "sum",
    /// Both vectors, one after the other (3 in C, which writes the sum all the same).
    Both = "both",
}

/// Settings of all stages of `engraft glove`, with the meaning that they have in Stanford's tools and, but for `min-count`
/// (1 there, 5 in its `demo.sh`), with their defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Glove {
    /// The corpus: files, folders, `-` for stdin.
    pub corpus: Vec<PathBuf>,
    /// Words that come fewer times are not in the vocabulary.
    pub min_count: u64,
    /// Most words of the vocabulary; 0 for any number.
    pub max_vocab: u64,
    /// Words to the left of a word that are its context.
    pub window_size: usize,
    /// Whether words to the right are, too.
    pub symmetric: bool,
    /// Whether a pair at distance d counts 1/d, or 1.
    pub distance_weighting: bool,
    /// Memory for counting, sorting and shuffling, in megabytes (2^20 bytes; the C tools take gigabytes).
    pub memory: u64,
    /// Numbers of a vector.
    pub vector_size: usize,
    /// Passes over the co-occurrences.
    pub iter: u64,
    /// Learning rate of AdaGrad.
    pub eta: f64,
    /// Learning rate of the biases; the C tools take 1, whatever `eta` is.
    pub bias_eta: f64,
    /// Exponent of the weight of a co-occurrence, (x / x-max)^alpha.
    pub alpha: f64,
    /// Co-occurrences from which on the weight is 1.
    pub x_max: f64,
    /// The largest gradient of a single number.
    pub grad_clip: f64,
    /// What is written as a word's vector.
    pub model: GloveModel,
    /// Whether the file of vectors begins with the numbers of its rows and columns.
    pub write_header: bool,
    /// Whether a vector of unknown words is written: the mean of the 100 rarest.
    pub unk: bool,
    /// Whether all parameters are written as `vectors.bin`, too, in the C tools' form.
    pub binary: bool,
    /// Whether the sums of squared gradients are written, too (`gradsq.txt`, and `gradsq.bin` with `binary`).
    pub save_gradsq: bool,
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Parts that the words are in while training: no result depends on the number of threads, all depend on this.
    pub blocks: usize,
    /// Seconds after which a checkpoint is written at the end of an epoch.
    pub checkpoint_seconds: u64,
    /// Whether the co-occurrences are kept beside the vectors.
    pub keep_cooccurrence: bool,
    /// Word vectors to start from (`engraft glove adapt`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<PathBuf>,
    /// How strongly a vector is pulled to the given one (`engraft glove adapt`; mu of Mittens).
    pub pull: f64,
}

impl Default for Glove {
    fn default() -> Self {
        Self {
            corpus: Vec::new(),
            min_count: 5,
            max_vocab: 0,
            window_size: 15,
            symmetric: true,
            distance_weighting: true,
            memory: 4096,
            vector_size: 50,
            iter: 25,
            eta: 0.05,
            bias_eta: 1.0,
            alpha: 0.75,
            x_max: 100.0,
            grad_clip: 100.0,
            model: GloveModel::Sum,
            write_header: false,
            unk: true,
            binary: false,
            save_gradsq: false,
            seed: 0,
            blocks: 32,
            checkpoint_seconds: 60,
            keep_cooccurrence: false,
            base: None,
            pull: 0.1,
        }
    }
}

impl Glove {
    /// The least memory for counting, sorting and shuffling, in megabytes.
    pub(crate) const LEAST_MEMORY: u64 = 256;
    /// The widest window.
    pub(crate) const WIDEST: usize = 40;

    /// Refuses what no corpus can be counted with.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the flag.
    pub(crate) fn check_counting(&self) -> Result<(), Error> {
        if !(1..=Self::WIDEST).contains(&self.window_size) {
            let problem = Problem::new("invalid value for --window-size");
            let problem = problem.expected(format_args!("1 to {} words", Self::WIDEST));
            return Err(Error::Usage(problem.found(self.window_size)));
        }
        self.check_memory()
    }

    /// Refuses less memory than anything can be counted in.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub(crate) fn check_memory(&self) -> Result<(), Error> {
        if self.memory < Self::LEAST_MEMORY {
            let problem = Problem::new("too little memory");
            let problem = problem.expected(format_args!("--memory {} or more, in MB", Self::LEAST_MEMORY));
            return Err(Error::Usage(problem.found(self.memory)));
        }
        Ok(())
    }

    /// The memory for counting, sorting and shuffling, in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory.saturating_mul(1 << 20)
    }
}
