//! The settings of the main job.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::adapt::Adapt;
use super::choices::BitDepth;
use super::tables::{drop_equal, laid_over, table};
use super::tune::Tune;
use crate::error::Result;

/// Settings of `engraft fit`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Fit {
    /// The labelled images, texts or rows: a folder, a table, or an array of features (`.npy`).
    pub data: PathBuf,
    /// The column of a table that holds texts, or two with a comma between them; found where it is not told. Data with it
    /// is texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// How word vectors become one vector of a text: `mean`, `idf` or `sif`; the best is chosen where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pooling: Option<String>,
    /// What is put in front of every text before an encoder reads it, as `query: `; the encoder's own default prompt where it
    /// is not told, nothing where it is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// What is predicted: `single-label`, `multi-label` or `regression`, inferred from the labels where it is not told; `qa`
    /// (answers cut out of paragraphs) or `tags` (spans of words).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The column of a table that names the image files or holds their bytes; found by what stands in it where it is not
    /// told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_column: Option<String>,
    /// The column of a table that holds the labels; found by its name, or by what stands in it, where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_column: Option<String>,
    /// The column of a table that says which examples belong together (a patient, a site, a video): they share a fold, and
    /// it is not a feature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_column: Option<String>,
    /// A regular expression that finds in paths what says so: its capture `group`, its first capture, or all that it matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_by: Option<String>,
    /// The encoding of a table or of texts (`windows-1251`, `gb18030`, ...); found out where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// Makes one class of those that differ only by case, blanks, signs between words, Unicode form or the way a number is written.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub merge_classes: bool,
    /// Bits that images of 16 bits a channel use; the fewest that hold all values of the data where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bit_depth: Option<BitDepth>,
    /// Columns of a table of numbers and categories that are not read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore_columns: Vec<String>,
    /// The file of labels of an array (`.npy`, `.csv`, `.tsv`, `.parquet`); looked for beside it where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,
    /// The pretrained base: the name of an embedded one, of one that was pulled, or a weights file; `none` for rows of a
    /// table. Empty where it is to be chosen by the data ([`crate::bases::default_base()`]); a run's settings have the one that was taken.
    pub base: String,
    /// The card of the base, where it is not beside the weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<PathBuf>,
    /// Of an ONNX model: the value that serves as features. Settings of older runs call it `output`.
    #[serde(alias = "output", skip_serializing_if = "Option::is_none")]
    pub onnx_output: Option<String>,
    /// Channels of the images, where they are to be others than the card's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// Rows and columns of the input, where they are to be others than the card's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_size: Option<usize>,
    /// How much of the base is retrained: `head`, `last`, `half`, `all`, the stage that training begins at, or `auto`; of
    /// texts also `contrastive`.
    pub depth: String,
    /// Retrains this stage alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<String>,
    /// What the choice of the depth and the training of the model may take on this machine: `90s`, `5m`, `1h`.
    pub budget: String,
    /// How fast this machine trains this base, in 10^12 MACs per second, by which the budget is turned into work: a number, or
    /// one for each depth (`last=0.04,half=0.03,all=0.02`); measured where it is not told, and kept with the run, so that its
    /// settings make the same decisions on any machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<String>,
    /// Seeds that every depth is measured with.
    pub seeds: usize,
    /// How to fine-tune.
    pub tune: Tune,
    /// Tokens that an encoder sees at once, where words are tagged or questions answered: 384 where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<usize>,
    /// Tokens that two windows over a long paragraph share: 128 where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stride: Option<usize>,
    /// Tokens of the longest answer: 30 where it is not told, or 15 words on word vectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_answer: Option<usize>,
    /// Width of the LSTMs, one way, of a reader on word vectors: 128 where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden: Option<usize>,
    /// Layers of these LSTMs: 3 where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<usize>,
    /// Folds of the cross-validation. Where words are tagged or questions answered, 1 runs one of five.
    pub folds: usize,
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Weighs classes by the inverse of their frequency.
    pub balanced: bool,
    /// Error rate that answered questions may have; less sure answers become "unsure": [`Fit::MAX_ERROR`] where it is not
    /// told. In multi-label the error rate of every label that is given; where it is not told, labels are given for the
    /// best F1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_error: Option<f64>,
    /// How often the prediction interval of a number is to hold the truth: [`Fit::INTERVAL_LEVEL`] where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_level: Option<f64>,
    /// Share of examples like the training data that may be called unlike it.
    pub unlike_rate: f64,
    /// Makes findings of the audit that are serious or warnings fatal.
    pub strict: bool,
    /// What the from-scratch control may cost, in units of 10^12 MACs; 0 leaves it out.
    pub control_budget: f64,
    /// Convolutions by sums of products only: slower than Winograd's filtering, and closer to other programs' digits.
    pub exact: bool,
    /// Where to compute.
    pub device: Device,
    /// How images become input, for a base without a card.
    #[serde(skip_serializing_if = "Input::is_empty")]
    pub input: Input,
    /// The target domain that the model is adapted to, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapt: Option<Adapt>,
}

impl Fit {
    /// The usual error rate of answers that are one class.
    pub const MAX_ERROR: f64 = 0.05;
    /// The usual level of prediction intervals.
    pub const INTERVAL_LEVEL: f64 = 0.9;
}

impl Default for Fit {
    fn default() -> Self {
        Self {
            data: PathBuf::new(),
            text: None,
            pooling: None,
            prompt: None,
            task: None,
            path_column: None,
            label_column: None,
            group_column: None,
            group_by: None,
            encoding: None,
            merge_classes: false,
            bit_depth: None,
            ignore_columns: Vec::new(),
            labels: None,
            base: String::new(),
            card: None,
            onnx_output: None,
            channels: None,
            image_size: None,
            depth: "auto".into(),
            only: None,
            budget: "2m".into(),
            speed: None,
            seeds: 2,
            tune: Tune::default(),
            max_tokens: None,
            stride: None,
            max_answer: None,
            hidden: None,
            layers: None,
            folds: 5,
            seed: 0,
            balanced: false,
            max_error: None,
            interval_level: None,
            unlike_rate: 0.05,
            strict: false,
            control_budget: 0.5,
            exact: false,
            device: Device::Cpu,
            input: Input::default(),
            adapt: None,
        }
    }
}

/// How images become input, said by hand for a base that has no card. What is not given is what the architecture's
/// checkpoints usually have.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Input {
    /// Rows and columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// The shorter side before the centre is cut out; 0 stretches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shortest_side: Option<usize>,
    /// `bilinear`, `bicubic` or `nearest`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interpolation: Option<String>,
    /// `rgb` or `bgr`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_order: Option<String>,
    /// Subtracted per channel, where a byte `b` counts as `b / 255`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<Vec<f64>>,
    /// Divided by per channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub std: Option<Vec<f64>>,
}

impl Input {
    /// Whether nothing is given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Where to compute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
}

impl Fit {
    /// What is usual for texts.
    pub(crate) fn for_texts() -> Self {
        Self { tune: Tune::for_texts(), control_budget: 1.0, ..Self::default() }
    }

    /// What is usual where words are tagged or questions answered by an encoder: all of it is retrained, since a head on
    /// frozen tokens seldom answers a question, and with one seed.
    pub(crate) fn for_tokens() -> Self {
        Self { tune: Tune::for_tokens(), depth: "all".into(), seeds: 1, ..Self::default() }
    }

    /// What is usual where a reader on frozen word vectors answers questions: the reader is the head.
    pub(crate) fn for_word_reader() -> Self {
        Self { tune: Tune::for_word_reader(), depth: "head".into(), seeds: 1, ..Self::default() }
    }

    /// These settings where they differ from the plain ones, and elsewhere those of `usual`.
    ///
    /// # Errors
    /// [`crate::error::Error::Usage`] where settings cannot be written as TOML.
    pub(crate) fn over(&self, usual: &Self) -> Result<Self> {
        let mut told = table(self)?;
        drop_equal(&mut told, &table(&Self::default())?);
        laid_over(usual, told)
    }
}
