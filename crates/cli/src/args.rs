//! What was typed. What it means is in [`crate::commands`].

use std::ops::Not;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, Parser, Subcommand, ValueEnum};
use engraft::data::intake::NO_BASE;
use engraft::error::{Error, Problem};
use engraft::features::Cache;
use engraft::settings::{BitDepth, By, Optimiser};
use serde::Serialize;

use crate::glove_args::GloveArgs;
use crate::span_args::SpanArgs;
use crate::translate_args::TranslateCommand;
use crate::tune_args::{BATCH_SIZE, EPOCHS, LABEL_SMOOTHING, LR, OPTIMISER, TuneArgs, WARMUP, WEIGHT_DECAY};

/// Transfer learning: adapt a pretrained network to a new task with little data.
#[derive(Debug, Parser)]
#[command(name = "engraft", version, propagate_version = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Print one JSON document on stdout instead of text; of `predict`, one for each answer.
    #[arg(long, global = true)]
    pub json: bool,
    /// Print nothing on stderr but errors.
    #[arg(long, global = true)]
    pub quiet: bool,
    /// Threads to use [default: one for each core]. Results do not depend on it.
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024),
          aliases = ["workers", "num-workers", "num-threads", "jobs"])]
    pub threads: Option<u16>,
    /// Memory for decoding one image, in MB; larger images are named and left out [default: 768].
    #[arg(long, global = true, value_name = "MB", value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub image_memory: Option<u64>,
}

/// Flags that mean something beside `--resume`: everything else stands in the settings of what is resumed.
const BESIDE_RESUME: [&str; 10] = [
    "resume",
    "json",
    "quiet",
    "threads",
    "image_memory",
    "tensorboard",
    "checkpoint_every",
    "folder",
    "no_cache",
    "limit",
];

/// Refuses flags beside `--resume` that would be ignored.
///
/// # Errors
/// [`Error::Usage`] that names the first.
pub fn refuse_beside_resume(matches: &ArgMatches) -> Result<(), Error> {
    let Some((command, matches)) = matches.subcommand() else { return Ok(()) };
    if !matches!(matches.try_contains_id("resume"), Ok(true)) {
        return Ok(());
    }
    let program = Arguments::command();
    let known = program.find_subcommand(command).into_iter().flat_map(clap::Command::get_arguments);
    // A check of a run that is there has a file of its own.
    let has_check = matches!(matches.try_contains_id("check"), Ok(true));
    let beside: &[&str] = if has_check { &["check", "out", "force"] } else { &["checked"] };
    let given = |argument: &clap::Arg| {
        let name = argument.get_id().as_str();
        let is_told = matches.value_source(name) == Some(ValueSource::CommandLine);
        is_told && !BESIDE_RESUME.contains(&name) && !beside.contains(&name)
    };
    match known.into_iter().find(|argument| given(argument)) {
        None => Ok(()),
        Some(argument) => {
            let flag = argument.get_long().map_or_else(|| argument.get_id().to_string(), |long| format!("--{long}"));
            let problem = Problem::new("the settings of what is resumed are those that it began with").found(flag);
            Err(Error::Usage(problem.at("--resume").hint("leave the flag out, or begin anew with --force")))
        }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Fit a pretrained base to labelled images or texts, or a linear head to rows of a table.
    Fit(Box<FitArgs>),
    /// Adapt a model of a labelled source to a target whose labels nobody has, or say why that is not safe.
    Adapt(Box<AdaptArgs>),
    /// Rank pretrained bases for labelled data before any training: which to take, and whether transfer helps at all.
    Rank(RankArgs),
    /// Compare two data sets before a model of one is used on the other: how far apart they are, and where they differ.
    Compare(CompareArgs),
    /// Predict with a run: label, probability, "unsure", "unlike the training data"; or a number, or a set of labels.
    Predict(PredictArgs),
    /// Show a run's report, and where its HTML file is.
    Report(ReportArgs),
    /// Write the features of a frozen base to .npy, .parquet or .jsonl.
    Embed(EmbedArgs),
    /// Report what is wrong with a dataset.
    Audit(AuditArgs),
    /// Re-run a fit and verify it bit for bit.
    Verify(VerifyArgs),
    /// Pretrain a base of your own.
    Pretrain(PretrainArgs),
    /// Word vectors from a corpus (GloVe), all stages or one; adapt, reduce, evaluate and convert vectors.
    Glove(Box<GloveArgs>),
    /// Score translations.
    #[command(subcommand)]
    Translate(Box<TranslateCommand>),
    /// List, show, fetch and import pretrained bases.
    #[command(subcommand)]
    Bases(BasesCommand),
    /// Show or clear the feature cache.
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Print shell completions, for example `engraft completions bash > ~/.local/share/bash-completion/completions/engraft`.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print a man page, for example `engraft man fit | man -l -`.
    Man {
        /// The command, for example `fit` or `bases pull` [default: the program itself].
        command: Vec<String>,
    },
    /// Print the reference of all commands and flags in Markdown.
    #[command(hide = true)]
    Reference,
}

/// Arguments of `fit`. What is a setting of the fit has the setting's name, and is laid over the settings by it.
#[derive(Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FitArgs {
    /// A folder with one folder of images or .txt files per class (or train/, val/, test/ of such); a table of images,
    /// of texts, or of numbers and categories (.csv, .tsv, .jsonl, .parquet); or an array of features (.npy).
    pub data: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    pub reading: ReadingArgs,
    /// Word vectors: how they are pooled into one vector per text: mean, idf or sif [default: the best by cross-validation].
    #[arg(long, value_name = "HOW", help_heading = BASE)]
    pub pooling: Option<String>,
    /// Encoders of texts: put this in front of every text, as "query: "; "" for nothing [default: the encoder's default prompt].
    #[arg(long, value_name = "TEXT", help_heading = BASE)]
    pub prompt: Option<String>,
    /// The pretrained base: an embedded one, one that was pulled, or a weights file; for texts a folder with an encoder or a
    /// language model, a file of word vectors, or `tfidf`; `none` for a table; `auto` to rank those on this machine as `engraft
    /// rank` does [default: the best on this machine that fits the data, by published numbers].
    #[arg(long, value_name = "BASE", aliases = ["model", "backbone"])]
    pub base: Option<String>,
    /// The run's folder, to be created.
    #[arg(long, short, value_name = "RUN", required_unless_present_any = ["resume", "find_lr"], visible_alias = "output",
          aliases = ["output-dir", "out-dir", "save-dir"])]
    #[serde(skip)]
    pub out: Option<PathBuf>,
    /// How much of the base is retrained: head, last, half, all, the name of the first stage to train, contrastive (texts), or
    /// auto: deeper as long as the gain is larger than noise [default: auto; all for tags, and for qa on an encoder].
    #[arg(long, value_name = "DEPTH")]
    pub depth: Option<String>,
    /// Retrain this stage alone.
    #[arg(long, value_name = "STAGE", conflicts_with = "depth", help_heading = METHOD)]
    pub only: Option<String>,
    /// Time on this machine for choosing the depth and training the model: 90s, 5m, 1h, or 0 [default: 2m].
    #[arg(long, value_name = "TIME")]
    pub budget: Option<String>,
    /// Speed of the machine, by which the budget is turned into work, in 10^12 MACs per second, or one for each depth
    /// (last=0.04,all=0.02); measured if not given, and written to the run's settings.
    #[arg(long, value_name = "TERA", help_heading = METHOD)]
    pub speed: Option<String>,
    /// Seeds per depth [default: 2; 1 for tags and qa].
    #[arg(long, value_name = "N", help_heading = METHOD)]
    pub seeds: Option<usize>,
    /// Resume an interrupted run; the result is the same, bit for bit.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["data", "config", "find_lr"])]
    #[serde(skip)]
    pub resume: Option<PathBuf>,
    /// Run a learning-rate range test and exit.
    #[arg(long, help_heading = METHOD)]
    #[serde(skip)]
    pub find_lr: bool,
    /// Also write the learning curves as TensorBoard event files to this folder.
    #[arg(long, value_name = "DIR", help_heading = OUTPUT)]
    #[serde(skip)]
    pub tensorboard: Option<PathBuf>,
    /// Seconds between two checkpoints [default: 30].
    #[arg(long, value_name = "SECONDS", help_heading = OUTPUT)]
    #[serde(skip)]
    pub checkpoint_every: Option<f64>,
    /// Folds of the cross-validation; tags and qa: 1 runs one of five [default: 5].
    #[arg(long, value_name = "K", help_heading = EVALUATION, aliases = ["cv", "k-folds", "num-folds"])]
    pub folds: Option<usize>,
    /// Random seed [default: 0].
    #[arg(long, value_name = "N", aliases = ["random-seed", "random-state"])]
    pub seed: Option<u64>,
    /// Weight classes by their inverse frequency.
    #[arg(long, help_heading = METHOD)]
    #[serde(skip_serializing_if = "Not::not")]
    pub balanced: bool,
    /// Highest error rate among the answers given; less certain ones become "unsure" [default: 0.05]. Multi-label: highest error
    /// rate of each label given [default: none; thresholds maximise F1].
    #[arg(long, value_name = "FRACTION", help_heading = EVALUATION)]
    pub max_error: Option<f64>,
    /// Regression: coverage of the prediction intervals [default: 0.9].
    #[arg(long, value_name = "FRACTION", help_heading = EVALUATION)]
    pub interval_level: Option<f64>,
    /// Share of examples like the training data that may be called "unlike the training data" [default: 0.05].
    #[arg(long, value_name = "FRACTION", help_heading = EVALUATION)]
    pub unlike_rate: Option<f64>,
    /// Budget of the from-scratch control, in 10^12 MACs; 0 leaves it out [default: 0.5; 1 for texts].
    #[arg(long, value_name = "TERA", help_heading = EVALUATION)]
    pub control_budget: Option<f64>,
    /// Fail on serious findings and warnings of the audit.
    #[arg(long, help_heading = DATA)]
    #[serde(skip_serializing_if = "Not::not")]
    pub strict: bool,
    /// Compute device [default: cpu].
    #[arg(long, value_enum, help_heading = OUTPUT)]
    pub device: Option<DeviceArg>,
    /// Replace RUN if it exists.
    #[arg(long)]
    #[serde(skip)]
    pub force: bool,
    /// Read settings from a TOML file; flags take precedence.
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    // Last: the heading of a group would hold for what stands after it.
    #[command(flatten)]
    #[serde(flatten)]
    pub about: BaseArgs,
    #[command(flatten)]
    #[serde(skip)]
    pub cache: CacheArgs,
    #[command(flatten)]
    pub tune: TuneArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub spans: SpanArgs,
}

/// Arguments of `adapt`: those of a fit to the source, and what is said of the target.
#[derive(Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AdaptArgs {
    #[command(flatten)]
    #[serde(flatten)]
    pub fit: FitArgs,
    #[command(flatten)]
    pub adapt: TargetArgs,
}

/// What is said of the target. Each is a setting of the adaptation of the same name.
#[derive(Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TargetArgs {
    /// The target: images, texts or rows like the source's, whose labels nobody needs. Labels that it has are sealed until everything
    /// is decided, and then opened once.
    #[arg(long, value_name = "TARGET", required_unless_present_any = ["resume", "config"], help_heading = TARGET)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<PathBuf>,
    /// The column of the target's table that holds the texts, or two with a comma between them [default: as the source's].
    #[arg(long, value_name = "COLUMN[,COLUMN]", help_heading = TARGET)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_text: Option<String>,
    /// The column of the target's table that holds labels, which are sealed [default: one called as the source's].
    #[arg(long, value_name = "COLUMN", help_heading = TARGET)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_label: Option<String>,
    /// What is known of the shares of the classes in the target: ask (nothing), same (as in the source), estimate (the estimate is
    /// to be trusted), or the shares, as pos=0.3,neg=0.7 [default: ask].
    #[arg(long, value_name = "SHARES", help_heading = TARGET)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shares: Option<String>,
    /// How to adapt: auto (only where independent starts agree), all (the same, and what trained methods would answer), source-only, or the
    /// name of a method: self-training, centring, coral, transport, tca, jda, importance, prior-shift, bbse, rlls, deep-coral, dann, cdan,
    /// mcc, shot [default: auto].
    #[arg(long, value_name = "METHOD", help_heading = TARGET)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Write no run, but N examples on which the source's model and the adapted one differ, to be labelled by somebody: --out names
    /// the CSV file, whose column `label` is empty.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 20), help_heading = TARGET)]
    #[serde(skip)]
    pub check: Option<u32>,
    /// The file that --check wrote, with labels in it: an exact sign test on them decides. With --resume RUN it decides about the run
    /// that is there.
    #[arg(long, value_name = "FILE", help_heading = TARGET)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked: Option<PathBuf>,
}

/// Flags in groups: those without one are the ten that people need first.
const DATA: &str = "Data";
const BASE: &str = "Base";
const METHOD: &str = "Method";
const EVALUATION: &str = "Evaluation";
const TARGET: &str = "Target";
const OUTPUT: &str = "Output";

/// How labelled data is to be read.
#[derive(Debug, Clone, Default, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReadingArgs {
    /// What is predicted: single-label, multi-label (labels separated by `|`), regression (numbers), qa (answers in paragraphs,
    /// from SQuAD files) or tags (spans of words, from CoNLL files) [default: inferred from the labels].
    #[arg(long, value_name = "TASK")]
    pub task: Option<String>,
    /// The column of a table that holds the texts, or two columns for pairs [default: inferred].
    #[arg(long, value_name = "COLUMN[,COLUMN]", alias = "text-column")]
    pub text: Option<String>,
    /// The column of a table that names the image files or holds their bytes [default: found by what stands in it].
    #[arg(long, value_name = "COLUMN", alias = "image-column", help_heading = DATA)]
    pub path_column: Option<String>,
    /// The column of a table that holds the labels [default: inferred].
    #[arg(long, visible_alias = "label", value_name = "COLUMN", aliases = ["target", "target-column"])]
    pub label_column: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    pub groups: GroupArgs,
    /// The encoding of a table or of texts, as windows-1251, gb18030 or shift_jis [default: detected].
    #[arg(long, value_name = "NAME", help_heading = DATA)]
    pub encoding: Option<String>,
    /// Make one class of those that differ only by case, blanks, signs between words, Unicode form or the way a number is written.
    #[arg(long, help_heading = DATA)]
    #[serde(skip_serializing_if = "Not::not")]
    pub merge_classes: bool,
    /// Bits that images of 16 bits a channel use: 8, 10, 12, 14, 16 or auto, the fewest that hold all values of the data
    /// [default: auto].
    #[arg(long, value_name = "BITS", help_heading = DATA)]
    pub bit_depth: Option<BitDepth>,
    /// Columns of a table of numbers and categories to ignore; may be repeated.
    #[arg(long, value_name = "COLUMN", value_delimiter = ',', help_heading = DATA)]
    #[serde(rename = "ignore-columns", skip_serializing_if = "Vec::is_empty")]
    pub ignore_column: Vec<String>,
    /// The labels of an array of features (.npy, .csv, .tsv, .parquet) [default: found beside it].
    #[arg(long, value_name = "FILE", help_heading = DATA)]
    pub labels: Option<PathBuf>,
}

/// Which examples belong together.
#[derive(Debug, Clone, Default, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct GroupArgs {
    /// The column of a table that says which examples belong together (a patient, a site, a video): a group is never split
    /// between folds, and the column is not used as a feature.
    #[arg(long, value_name = "COLUMN", help_heading = DATA, alias = "groups")]
    pub group_column: Option<String>,
    /// The same, found in paths by a regular expression: its capture `group`, its first capture, or the whole match.
    #[arg(long, value_name = "REGEX", help_heading = DATA, conflicts_with = "group_column")]
    pub group_by: Option<String>,
}

/// What is said of a base by hand.
#[derive(Debug, Clone, Default, Args, Serialize)]
#[command(next_help_heading = "Base")]
#[serde(rename_all = "kebab-case")]
pub struct BaseArgs {
    /// The base's card, where it is not beside the weights.
    #[arg(long, value_name = "FILE")]
    pub card: Option<PathBuf>,
    /// ONNX: the value to use as features [default: inferred].
    #[arg(long, value_name = "NODE")]
    pub onnx_output: Option<String>,
    #[command(flatten)]
    pub input: InputArgs,
    /// Channels of the images, where they differ from the base's: 1 grey, 3 RGB, 4 RGBA. --mean and --std then have as many
    /// values.
    #[arg(long, value_name = "C", value_parser = channels())]
    pub channels: Option<usize>,
    /// Shorter side of the input, in place of the card's.
    #[arg(long, value_name = "PIXELS", aliases = ["img-size", "input-res"])]
    pub image_size: Option<usize>,
    /// Disable Winograd convolutions: slower, and numerically closer to other programs.
    #[arg(long)]
    #[serde(skip_serializing_if = "Not::not")]
    pub exact: bool,
}

/// How images become input, for a base without a card.
#[derive(Debug, Clone, Default, Args, Serialize)]
#[command(next_help_heading = "Base")]
#[serde(rename_all = "kebab-case")]
pub struct InputArgs {
    /// Base without a card: height and width of the input.
    #[arg(long, value_name = "PIXELS")]
    #[serde(rename = "size")]
    pub input_size: Option<usize>,
    /// Base without a card: resize the shorter side to this before the centre crop; 0 stretches.
    #[arg(long, value_name = "PIXELS")]
    #[serde(rename = "shortest-side")]
    pub resize: Option<usize>,
    /// Base without a card: bilinear, bicubic or nearest.
    #[arg(long, value_name = "KIND")]
    pub interpolation: Option<String>,
    /// Base without a card: rgb or bgr.
    #[arg(long, value_name = "ORDER")]
    pub channel_order: Option<String>,
    /// Base without a card: mean of byte / 255, one number or one per channel.
    #[arg(long, value_name = "M,..", value_delimiter = ',', allow_negative_numbers = true)]
    pub mean: Option<Vec<f64>>,
    /// Base without a card: standard deviation of byte / 255, one number or one per channel.
    #[arg(long, value_name = "S,..", value_delimiter = ',')]
    pub std: Option<Vec<f64>>,
}

/// The numbers of channels that images in files can have.
fn channels() -> impl TypedValueParser<Value = usize> {
    PossibleValuesParser::new(["1", "3", "4"]).try_map(|text| text.parse::<usize>())
}

impl BaseArgs {
    /// The input as it was said.
    pub fn input(&self) -> engraft::settings::Input {
        let InputArgs { input_size, resize, interpolation, channel_order, mean, std } = self.input.clone();
        engraft::settings::Input { size: input_size, shortest_side: resize, interpolation, channel_order, mean, std }
    }

    /// Refuses flags that say how a base of images is opened, where nothing would come of them.
    ///
    /// # Errors
    /// [`Error::Usage`] where one is given.
    pub fn refuse(&self, command: &str) -> Result<(), Error> {
        let given = [
            ("--card", self.card.is_some()),
            ("--onnx-output", self.onnx_output.is_some()),
            ("--channels", self.channels.is_some()),
            ("--image-size", self.image_size.is_some()),
            ("--exact", self.exact),
            ("--input-size, --resize, --mean or the like", !self.input().is_empty()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((flag, _)) => {
                let problem = Problem::new(format_args!("{flag} has no effect on {command}"));
                Err(Error::Usage(problem.expected("it with a base of images")))
            }
        }
    }

    /// A base with what is said of it.
    pub fn of(&self, base: &str) -> engraft::bases::BaseSpec {
        engraft::bases::BaseSpec {
            base: base.to_owned(),
            card: self.card.clone(),
            onnx_output: self.onnx_output.clone(),
            input: self.input(),
            architecture: None,
            exact: self.exact,
            channels: self.channels,
            image_size: self.image_size,
        }
    }
}

/// Arguments of `embed`.
#[derive(Debug, Args)]
pub struct EmbedArgs {
    /// An image, a folder of images, a table of images, or a .txt list of paths; or a table of texts, a folder of .txt files, or (with
    /// a base of texts) a .txt file with a text on each line.
    pub data: PathBuf,
    /// The column of a table that holds the texts, or two with a comma between them [default: found by what stands in them].
    #[arg(long, value_name = "COLUMN[,COLUMN]")]
    pub text: Option<String>,
    /// Encoders of texts: put this in front of every text, as "query: "; "" for nothing [default: the encoder's default prompt].
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// Of texts: their encoding, as windows-1251, gb18030 or shift_jis [default: detected].
    #[arg(long, value_name = "NAME")]
    pub encoding: Option<String>,
    /// Of images of 16 bits a channel: the bits that they use, 8, 10, 12, 14, 16 or auto, the fewest that hold all values [default: auto].
    #[arg(long, value_name = "BITS")]
    pub bit_depth: Option<BitDepth>,
    /// The pretrained base: an embedded one, a weights file, one that was pulled, or a base of texts [default: as for fit].
    #[arg(long, value_name = "BASE", aliases = ["model", "backbone"])]
    pub base: Option<String>,
    /// The file of features: .npy, .parquet or .jsonl. Beside it comes an index, FILE.index.csv.
    #[arg(long = "out", short, value_name = "FILE", visible_alias = "output")]
    pub out: PathBuf,
    /// The stage to stop after; a map is flattened [default: the last].
    #[arg(long, value_name = "STAGE")]
    pub cut: Option<String>,
    /// Stop at the first image that cannot be used, and write nothing.
    #[arg(long)]
    pub strict: bool,
    /// Replace the file if it exists.
    #[arg(long)]
    pub force: bool,
    // Last: the heading of a group would hold for what stands after it.
    #[command(flatten)]
    pub about: BaseArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
}

/// Where features are cached.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct CacheArgs {
    /// The cache folder [default: $ENGRAFT_CACHE, $XDG_CACHE_HOME/engraft or ~/.cache/engraft].
    #[arg(long = "cache", value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Do not use a cache.
    #[arg(long, conflicts_with = "folder")]
    pub no_cache: bool,
    /// Size limit of the cache, in MB; the least recently used entries go first.
    #[arg(long = "cache-limit", value_name = "MB", default_value_t = Cache::USUAL_MEGABYTES)]
    pub limit: u64,
}

/// Values of `--device`.
#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceArg {
    /// The processor.
    Cpu,
}

/// Arguments of `predict`.
#[derive(Debug, Args)]
#[command(
    override_usage = "engraft predict [OPTIONS] <RUN> <INPUTS>...\n       engraft predict [OPTIONS] --base <BASE> <INPUTS>..."
)]
pub struct PredictArgs {
    /// The run's folder (not with --base), then images, folders or tables of images, or `-` for a list of paths on stdin; of a run
    /// of texts tables, folders of .txt files, .txt files with a text on each line, or `-` for such lines on stdin; of a run
    /// of rows tables (.csv, .tsv, .parquet) or arrays (.npy).
    #[arg(required = true, value_name = "RUN INPUTS")]
    pub inputs: Vec<PathBuf>,
    /// Of a run of texts: the column of a table that holds the texts, or two with a comma between them [default: as in
    /// training; of a run that learnt from no table, found by what stands in them].
    #[arg(long, value_name = "COLUMN[,COLUMN]")]
    pub text: Option<String>,
    /// Of a run of texts: their encoding, as windows-1251, gb18030 or shift_jis [default: detected].
    #[arg(long, value_name = "NAME")]
    pub encoding: Option<String>,
    /// Of images of 16 bits a channel: the bits that they use, 8, 10, 12, 14, 16 or auto, the fewest that hold all values [default: as in
    /// training where those hold them; else auto].
    #[arg(long, value_name = "BITS")]
    pub bit_depth: Option<BitDepth>,
    /// Of a run of texts: name the words that spoke for each answer.
    #[arg(long)]
    pub explain: bool,
    /// Of a run that answers questions: the text that they are about.
    #[arg(long, value_name = "FILE")]
    pub context: Option<PathBuf>,
    /// Answer with this base's own classes, rather than with a run.
    #[arg(long, value_name = "BASE")]
    pub base: Option<String>,
    /// The format of the answers.
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    pub format: Format,
    /// How many of the most probable classes to print, where one class is answered [default: 3].
    #[arg(long, value_name = "K")]
    pub top: Option<usize>,
    // Last: the heading of a group would hold for what stands after it.
    #[command(flatten)]
    pub about: BaseArgs,
}

/// Formats of `predict`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A header and one line for each example.
    Csv,
    /// One JSON object for each example.
    Jsonl,
}

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The run's folder.
    pub run: PathBuf,
    /// Write a copy of the HTML file here.
    #[arg(long = "out", short, value_name = "FILE", visible_alias = "output")]
    pub output: Option<PathBuf>,
    /// Replace the file if it is a report that was written before.
    #[arg(long, requires = "output")]
    pub force: bool,
}

/// Arguments of `audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// A folder with one folder of images or texts per class, a table of images, texts or rows, or (with --task) questions or
    /// tagged words.
    pub data: PathBuf,
    #[command(flatten)]
    pub reading: ReadingArgs,
    /// `none` reads a table as rows of numbers and categories [default: by what the data looks like].
    #[arg(long, value_name = "BASE", value_parser = PossibleValuesParser::new([NO_BASE]))]
    pub base: Option<String>,
    /// Exit with 3 if any finding is serious or a warning; without it findings leave the exit code at 0.
    #[arg(long)]
    pub strict: bool,
}

/// Arguments of `rank`.
#[derive(Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RankArgs {
    /// The labelled images or texts: as `engraft fit` reads them.
    #[serde(skip)]
    pub data: PathBuf,
    #[command(flatten)]
    #[serde(skip)]
    pub reading: ReadingArgs,
    /// The bases to rank, as --base of `engraft fit` names them [default: those on this machine that fit the data and are free for
    /// commercial use].
    #[arg(long, value_name = "BASE", num_args = 1.., alias = "base")]
    #[serde(skip)]
    pub bases: Vec<String>,
    /// What bases are ranked by: probe (cross-validated), logme, h-score, parc, nce or leep (a few examples only) [default: probe].
    #[arg(long, value_name = "SCORE")]
    pub by: Option<By>,
    /// Time for probing, the most promising base first: 90s, 5m, 1h [default: 1m].
    #[arg(long, value_name = "TIME")]
    pub budget: Option<String>,
    /// Folds of the cross-validation [default: 5].
    #[arg(long, value_name = "N")]
    #[serde(skip)]
    pub folds: Option<usize>,
    /// Seed of everything that is drawn [default: 0].
    #[arg(long, value_name = "SEED")]
    #[serde(skip)]
    pub seed: Option<u64>,
    #[command(flatten)]
    #[serde(skip)]
    pub cache: CacheArgs,
}

/// Arguments of `compare`. What is a setting of a fit has the setting's name.
#[derive(Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CompareArgs {
    /// A data set A: images, texts or rows, as `engraft fit` reads them; labels are of use and not needed.
    #[serde(skip)]
    pub a: PathBuf,
    /// A data set B of the same kind.
    #[serde(skip)]
    pub b: PathBuf,
    /// The column of A's table that holds the texts, or two columns for pairs [default: inferred].
    #[arg(long, value_name = "COLUMN[,COLUMN]")]
    pub text: Option<String>,
    /// The column of A's table that holds the labels [default: inferred].
    #[arg(long, visible_alias = "label", value_name = "COLUMN")]
    pub label_column: Option<String>,
    /// The column of B's table that holds the texts, or two with a comma between them [default: as A's].
    #[arg(long, value_name = "COLUMN[,COLUMN]")]
    #[serde(skip)]
    pub to_text: Option<String>,
    /// The column of B's table that holds the labels [default: one called as A's].
    #[arg(long, value_name = "COLUMN")]
    #[serde(skip)]
    pub to_label: Option<String>,
    /// The pretrained base that examples are seen by [default: as for fit].
    #[arg(long, value_name = "BASE", aliases = ["model", "backbone"])]
    pub base: Option<String>,
    /// Encoders of texts: put this in front of every text; "" for nothing [default: the encoder's default prompt].
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// The encoding of tables or of texts, as windows-1251, gb18030 or shift_jis [default: detected].
    #[arg(long, value_name = "NAME")]
    pub encoding: Option<String>,
    /// Make one class of those that differ only by case, blanks, signs between words, Unicode form or the way a number is written.
    #[arg(long)]
    #[serde(skip_serializing_if = "Not::not")]
    pub merge_classes: bool,
    /// Bits that images of 16 bits a channel use: 8, 10, 12, 14, 16 or auto, the fewest that hold all values of both [default: auto].
    #[arg(long, value_name = "BITS")]
    pub bit_depth: Option<BitDepth>,
    /// Columns of tables of numbers and categories to ignore; may be repeated.
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    #[serde(rename = "ignore-columns", skip_serializing_if = "Vec::is_empty")]
    pub ignore_column: Vec<String>,
    /// Write compare.json and compare.html to this folder [default: nothing is written].
    #[arg(long = "out", short, value_name = "DIR", visible_alias = "output")]
    #[serde(skip)]
    pub out: Option<PathBuf>,
    /// Replace the folder if it is a comparison.
    #[arg(long)]
    #[serde(skip)]
    pub force: bool,
    /// Seed of everything that is drawn [default: 0].
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,
    #[command(flatten)]
    #[serde(skip)]
    pub cache: CacheArgs,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The run's folder.
    pub run: PathBuf,
    /// Where the images are now, if they moved.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Arguments of `pretrain`.
#[derive(Debug, Args)]
pub struct PretrainArgs {
    /// The labelled images; for a language model plain text: a .txt file, a folder of such, or a table.
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub groups: GroupArgs,
    /// The base's folder, to be made.
    #[arg(long, short, value_name = "DIR", required_unless_present = "resume", visible_alias = "output",
          aliases = ["output-dir", "out-dir", "save-dir"])]
    pub out: Option<PathBuf>,
    /// How the base learns [default: supervised].
    #[arg(long, value_enum)]
    pub method: Option<MethodArg>,
    /// The network, as `engraft bases list --architectures` names it, or lstm for a language model [default: small_resnet,
    /// lstm].
    #[arg(long, value_name = "ARCH", aliases = ["model", "architecture"])]
    pub arch: Option<String>,
    #[command(flatten)]
    pub language: LanguageModelArgs,
    /// The base's name in its card [default: the folder's name].
    #[arg(long, value_name = "TEXT")]
    pub id: Option<String>,
    /// What the base is, for its card.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// The base's licence, for its card.
    #[arg(long, value_name = "TEXT", alias = "license")]
    pub licence: Option<String>,
    /// Where the base comes from, for its card.
    #[arg(long, value_name = "TEXT")]
    pub source: Option<String>,
    /// Rows and columns of the input [default: the network's usual size].
    #[arg(long, value_name = "PIXELS")]
    pub size: Option<usize>,
    /// Epochs [default: 10; language model: 1].
    #[arg(long, value_name = "N", aliases = EPOCHS)]
    pub epochs: Option<u64>,
    /// Images per batch [default: 128], or windows of a language model [default: 32].
    #[arg(long, value_name = "N", visible_alias = "batch", aliases = BATCH_SIZE)]
    pub batch_size: Option<usize>,
    /// Optimiser: adamw or sgd [default: adamw].
    #[arg(long, value_name = "KIND", aliases = OPTIMISER)]
    pub optimiser: Option<Optimiser>,
    /// Peak learning rate [default: 0.003; of a language model 0.005].
    #[arg(long, value_name = "RATE", visible_alias = "learning-rate", aliases = LR)]
    pub lr: Option<f64>,
    /// Fraction of the steps used for learning-rate warm-up [default: 0.1].
    #[arg(long, value_name = "SHARE", aliases = WARMUP)]
    pub warmup: Option<f64>,
    /// Weight decay; norms and biases are exempt [default: 0.02; language model: 0.01].
    #[arg(long, value_name = "X", aliases = WEIGHT_DECAY)]
    pub weight_decay: Option<f64>,
    /// Label smoothing [default: 0.1].
    #[arg(long, value_name = "SHARE", aliases = LABEL_SMOOTHING)]
    pub label_smoothing: Option<f64>,
    /// Largest random shift, as a share of the image [default: 0.1].
    #[arg(long, value_name = "SHARE")]
    pub shift: Option<f32>,
    /// Mirror half of the images.
    #[arg(long)]
    pub flip: bool,
    /// Largest random rotation [default: 0].
    #[arg(long, value_name = "DEGREES")]
    pub rotate: Option<f32>,
    /// Largest random change of size, as a share [default: 0].
    #[arg(long, value_name = "SHARE")]
    pub zoom: Option<f32>,
    /// Share of the images to measure on, where the data has no val/ [default: 0.1]; of a corpus, its end [default:
    /// 0.02].
    #[arg(long, value_name = "SHARE")]
    pub holdout: Option<f64>,
    /// Write the weights as 16-bit floats.
    #[arg(long)]
    pub half: bool,
    /// Disable Winograd convolutions: slower, and numerically closer to other programs.
    #[arg(long)]
    pub exact: bool,
    /// Random seed [default: 0].
    #[arg(long, value_name = "N", aliases = ["random-seed", "random-state"])]
    pub seed: Option<u64>,
    /// Fail on serious findings and warnings of the audit.
    #[arg(long)]
    pub strict: bool,
    /// Replace the folder if it exists.
    #[arg(long)]
    pub force: bool,
    /// Read settings from a TOML file; flags take precedence.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What a language model has beside what every base has.
#[derive(Debug, Clone, Default, Args)]
pub struct LanguageModelArgs {
    /// Language model: the columns of a table that hold texts [default: inferred].
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    pub text: Vec<String>,
    /// Language model: most words of the vocabulary [default: 10000].
    #[arg(long, value_name = "WORDS")]
    pub vocabulary: Option<usize>,
    /// Language model: numbers of an embedding; the LSTM's state has twice as many [default: 128].
    #[arg(long, value_name = "N")]
    pub width: Option<usize>,
    /// Language model: LSTM layers [default: 2].
    #[arg(long, value_name = "N")]
    pub layers: Option<usize>,
    /// Language model: words that are predicted in a window [default: 64].
    #[arg(long, value_name = "WORDS")]
    pub bptt: Option<usize>,
    /// Language model: factor of all dropouts [default: 0.3].
    #[arg(long, value_name = "FACTOR")]
    pub dropout: Option<f64>,
    /// Language model: word vectors (GloVe, word2vec, fastText) of the same width that embeddings begin at.
    #[arg(long, value_name = "FILE")]
    pub vectors: Option<PathBuf>,
    /// Language model: go on with a training that was stopped, to the same bytes as if it had not been.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["data", "out", "config", "force"])]
    pub resume: Option<PathBuf>,
    /// Language model: seconds between two checkpoints [default: 60].
    #[arg(long, value_name = "SECONDS")]
    pub checkpoint_every: Option<f64>,
}

/// Values of `--method`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum MethodArg {
    /// From labels.
    Supervised,
    /// From plain text: the next word is to be told.
    LanguageModel,
}

/// What to do with bases.
#[derive(Debug, Subcommand)]
pub enum BasesCommand {
    /// One line for each base.
    List {
        /// The architectures whose weights can be read, instead.
        #[arg(long)]
        architectures: bool,
    },
    /// A base's card, stages and costs.
    Show {
        /// An embedded base, a weights file, an ONNX model, or a base that was pulled.
        id: String,
        #[command(flatten)]
        about: BaseArgs,
    },
    /// Fetch a base from the Hugging Face hub, verified, and go on where a broken download stopped.
    ///
    /// HF_HOME, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, HTTPS_PROXY and NO_PROXY are respected; files that Python's
    /// huggingface_hub has fetched are used.
    Pull {
        /// An id of `engraft bases list`, or hf://owner/name[@revision][/file].
        id: String,
    },
    /// Write a weights file of any format as safetensors with canonical names, and its card beside it.
    Import(ImportArgs),
}

/// Arguments of `bases import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// A PyTorch, Keras or safetensors file.
    pub file: String,
    /// The architecture [default: recognised by names and shapes].
    #[arg(long, value_name = "ARCH", aliases = ["model", "architecture"])]
    pub arch: Option<String>,
    /// The file to write; the card is written beside it, as .toml.
    #[arg(long = "out", short, value_name = "FILE", visible_alias = "output")]
    pub out: PathBuf,
    /// The base's name in its card [default: the file's name].
    #[arg(long, value_name = "TEXT")]
    pub id: Option<String>,
    /// What the base is, for its card.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// The base's licence, for its card.
    #[arg(long, value_name = "TEXT", alias = "license")]
    pub licence: Option<String>,
    /// Where the base comes from, for its card.
    #[arg(long, value_name = "TEXT")]
    pub source: Option<String>,
    /// A file with the name of a class on each line, in the order of the classifier.
    #[arg(long, value_name = "FILE")]
    pub classes: Option<PathBuf>,
    /// Write the weights as 16-bit floats.
    #[arg(long)]
    pub half: bool,
    /// Replace the files if they exist.
    #[arg(long)]
    pub force: bool,
    // Last: the heading of a group would hold for what stands after it.
    #[command(flatten)]
    pub about: BaseArgs,
}

/// What to do with the cache.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// What the cache holds.
    Show(CacheArgs),
    /// Remove everything from it.
    Clear(CacheArgs),
}
