//! The settings of each command, as they stand in a configuration file and in a run's `run.toml`.
//!
//! A settings type has a default for every field, refuses fields that it does not know, and is saved whole with what
//! it led to.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use super::config_language_model::{LanguageModelPretrain, Method};
use crate::error::{Error, Problem, Result};

pub use super::choices::{BatchNorms, Optimiser, Schedule, Start, Unfreezing};
pub use super::tune_config::Tune;

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
    /// What is predicted: `single-label`, `multi-label` or `regression`, inferred from the labels where it is not told; `qa`
    /// (answers cut out of paragraphs) or `tags` (spans of words).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The column of a table that names the files; `path` where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_column: Option<String>,
    /// The column of a table that holds the labels; `label` where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_column: Option<String>,
    /// Columns of a table of numbers and categories that are not read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore_columns: Vec<String>,
    /// The file of labels of an array (`.npy`, `.csv`, `.tsv`, `.parquet`); looked for beside it where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,
    /// The pretrained base: the name of an embedded one, of one that was pulled, or a weights file; `none` for rows of a
    /// table. Empty where it is to be chosen by the data ([`crate::backbone::default_base()`]); a run's settings have the one that was taken.
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
    /// What the choice of the depth may cost: `90s`, `5m`, `1h` on two cores of a laptop.
    pub budget: String,
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
            task: None,
            path_column: None,
            label_column: None,
            ignore_columns: Vec::new(),
            labels: None,
            base: String::new(),
            card: None,
            onnx_output: None,
            channels: None,
            image_size: None,
            depth: "auto".into(),
            only: None,
            budget: "5m".into(),
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
            strict: false,
            control_budget: 0.5,
            exact: false,
            device: Device::Cpu,
            input: Input::default(),
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

/// Settings of `engraft pretrain`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pretrain {
    /// The labelled images.
    pub data: PathBuf,
    /// How the base learns.
    pub method: Method,
    /// The network.
    pub arch: String,
    /// The name of the base in its card.
    pub id: String,
    /// What the base is, for its card.
    pub description: String,
    /// The licence of the base, for its card.
    pub licence: String,
    /// Where the base comes from, for its card.
    pub source: String,
    /// Rows and columns of the input; 0 for the architecture's usual size.
    pub size: usize,
    /// Passes over the images.
    pub epochs: u64,
    /// Images in a step.
    pub batch_size: usize,
    /// What moves the weights.
    pub optimiser: Optimiser,
    /// Peak learning rate.
    pub lr: f64,
    /// Share of the steps in which the rate rises.
    pub warmup: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Share of each label given to all classes alike.
    pub label_smoothing: f64,
    /// Largest random shift, as a share of the image.
    pub shift: f32,
    /// Mirrors half of the images.
    pub flip: bool,
    /// Largest random rotation, in degrees.
    pub rotate: f32,
    /// Largest random change of size, as a share.
    pub zoom: f32,
    /// Share of the images held out to measure on, where the data has no `val/`.
    pub holdout: f64,
    /// Writes the weights as 16-bit floats.
    pub half: bool,
    /// Convolutions by sums of products only.
    pub exact: bool,
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Makes findings of the audit that are serious or warnings fatal.
    pub strict: bool,
}

impl Default for Pretrain {
    fn default() -> Self {
        Self {
            data: PathBuf::new(),
            method: Method::Supervised,
            arch: "small_resnet".into(),
            id: String::new(),
            description: String::new(),
            licence: String::new(),
            source: String::new(),
            size: 0,
            epochs: 10,
            batch_size: 128,
            optimiser: Optimiser::AdamW,
            lr: 3e-3,
            warmup: 0.1,
            weight_decay: 0.02,
            label_smoothing: 0.1,
            shift: 0.1,
            flip: false,
            rotate: 0.0,
            zoom: 0.0,
            holdout: 0.1,
            half: false,
            exact: false,
            seed: 0,
            strict: false,
        }
    }
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
}

impl Fit {
    /// These settings where they differ from the plain ones, and elsewhere those of `usual`.
    ///
    /// # Errors
    /// [`Error::Usage`] where settings cannot be written as TOML.
    pub(crate) fn over(&self, usual: &Self) -> Result<Self> {
        let mut told = table(self)?;
        drop_equal(&mut told, &table(&Self::default())?);
        laid_over(usual, told)
    }
}

/// A setting that differs from what is usual.
#[derive(Debug, Clone, PartialEq)]
pub struct Differing {
    /// The flag that sets it, without dashes.
    pub flag: String,
    /// Its value.
    pub value: toml::Value,
    /// Whether it is one of a fine-tuning ([`Tune`]).
    pub of_training: bool,
}

/// Flags of settings that are called otherwise than the flags: in the table of the input, and where a flag is repeated.
const FLAGS: [(&str, &str); 3] =
    [("size", "input-size"), ("shortest-side", "resize"), ("ignore-columns", "ignore-column")];

/// The settings that differ from what is usual: what a command line has to say to give them again.
///
/// # Errors
/// [`Error::Usage`] where settings cannot be written as TOML.
pub fn differing(settings: &Fit, usual: &Fit) -> Result<Vec<Differing>> {
    let mut told = table(settings)?;
    drop_equal(&mut told, &table(usual)?);
    let mut found = Vec::new();
    for (name, value) in told {
        let of_training = name == "tune";
        let inner = if let toml::Value::Table(inner) = value { inner } else { [(name, value)].into_iter().collect() };
        found.extend(inner.into_iter().map(|(name, value)| {
            let flag = FLAGS.iter().find(|(setting, _)| *setting == name).map_or(name.as_str(), |(_, flag)| flag);
            Differing { flag: flag.to_owned(), value, of_training }
        }));
    }
    Ok(found)
}

/// Settings with others laid over: all that `told` serialises to, by the names that settings have.
///
/// # Errors
/// [`Error::Usage`] where they cannot be written as TOML, or do not fit together.
pub fn laid_over<T: DeserializeOwned + Serialize>(settings: &T, told: impl Serialize) -> Result<T> {
    let mut all = table(settings)?;
    lay_over(&mut all, table(&told)?);
    all.try_into().map_err(|source| Error::Usage(Problem::new("the settings do not fit together").found(source)))
}

fn table(settings: &impl Serialize) -> Result<toml::Table> {
    toml::Table::try_from(settings)
        .map_err(|source| Error::Usage(Problem::new("the settings cannot be written as TOML").found(source)))
}

/// Takes out of a table what another has too, in tables in it too.
fn drop_equal(told: &mut toml::Table, plain: &toml::Table) {
    told.retain(|name, value| match (value, plain.get(name)) {
        (toml::Value::Table(inner), Some(toml::Value::Table(plain))) => {
            drop_equal(inner, plain);
            !inner.is_empty()
        }
        (value, plain) => plain != Some(value),
    });
}

/// Reads settings from a TOML file; what it does not name keeps its default.
pub fn read<T: DeserializeOwned + Serialize + Default>(path: &Path) -> Result<T> {
    read_over(path, &T::default())
}

/// Reads settings from a TOML file; what it does not name stays as it is in `usual`.
pub fn read_over<T: DeserializeOwned + Serialize>(path: &Path, usual: &T) -> Result<T> {
    let bytes = crate::files::read_limited(path, 1 << 20)
        .map_err(|source| Error::Usage(Problem::new("the configuration file cannot be read").found(source).at(path)))?;
    let fail = |reason: String| {
        let problem = Problem::new("invalid configuration file").found_lines(reason.trim()).at(path);
        // "unknown field `a`, expected one of `b`, `c`": what stands in backticks is the name and what is known.
        let mut names = reason.split("unknown field").nth(1).unwrap_or_default().split('`').skip(1).step_by(2);
        let unknown = names.next().unwrap_or_default();
        let problem = problem.suggest(unknown, names);
        Error::Usage(problem.hint("its names are those of the flags, as `max-error = 0.05`"))
    };
    let text = String::from_utf8(bytes).map_err(|source| fail(source.to_string()))?;
    let told: toml::Table = toml::from_str(&text).map_err(|source| fail(source.to_string()))?;
    let mut all = toml::Table::try_from(usual).map_err(|source| fail(source.to_string()))?;
    lay_over(&mut all, told);
    all.try_into().map_err(|source: toml::de::Error| fail(source.to_string()))
}

/// Puts the values of one table in place of another's, tables in tables too.
fn lay_over(all: &mut toml::Table, told: toml::Table) {
    for (name, value) in told {
        match (all.get_mut(&name), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(told)) => lay_over(inner, told),
            (_, value) => {
                all.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_their_file() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("run.toml");
        let fit = Fit { seed: 7, max_error: Some(0.1), ..Fit::default() };
        crate::files::write_atomic(&path, toml::to_string(&fit).unwrap().as_bytes()).unwrap();
        assert_eq!(read::<Fit>(&path).unwrap(), fit);
        crate::files::write_atomic(&path, b"max-eror = 0.1").unwrap();
        let told = read::<Fit>(&path).unwrap_err().to_string();
        assert!(told.contains("max-eror") && told.contains("did you mean `max-error`?"), "{told}");
        // What older versions called `output`.
        crate::files::write_atomic(&path, b"output = \"pool\"").unwrap();
        assert_eq!(read::<Fit>(&path).unwrap().onnx_output.as_deref(), Some("pool"));
    }
}
