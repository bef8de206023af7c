//! Flags of a fine-tuning.

use clap::Args;
use engraft::settings::{BatchNorms, Optimiser, Schedule, Start, Unfreezing};
use serde::Serialize;

/// What other programs call the flags that training has everywhere.
pub const EPOCHS: [&str; 3] = ["num-epochs", "num-train-epochs", "n-epochs"];
/// Of `--batch-size`.
pub const BATCH_SIZE: [&str; 2] = ["bs", "per-device-train-batch-size"];
/// Of `--optimiser`.
pub const OPTIMISER: [&str; 2] = ["optimizer", "opt"];
/// Of `--lr`.
pub const LR: [&str; 1] = ["base-lr"];
/// Of `--warmup`.
pub const WARMUP: [&str; 1] = ["warmup-ratio"];
/// Of `--weight-decay`.
pub const WEIGHT_DECAY: [&str; 1] = ["wd"];
/// Of `--label-smoothing`.
pub const LABEL_SMOOTHING: [&str; 2] = ["smoothing", "label-smoothing-factor"];

/// How to fine-tune. All of them go to the settings of the same names in a run's `[tune]`.
#[derive(Debug, Clone, Default, Args, Serialize)]
#[command(next_help_heading = "Fine-tuning")]
#[serde(rename_all = "kebab-case")]
pub struct TuneArgs {
    /// Epochs of fine-tuning [default: 10; for texts as many as make 200 steps, from 4 to 25; 4 for tags and qa, 20 on word
    /// vectors].
    #[arg(long, value_name = "N", aliases = EPOCHS)]
    pub epochs: Option<u64>,
    /// Examples per batch [default: 32; 16 for texts].
    #[arg(long, value_name = "N", visible_alias = "batch", aliases = BATCH_SIZE)]
    pub batch_size: Option<usize>,
    /// Gradient accumulation: batches per optimiser step [default: 1].
    #[arg(long, value_name = "N", aliases = ["grad-accum-steps", "gradient-accumulation-steps"])]
    pub accumulate: Option<usize>,
    /// Optimiser: adamw or sgd [default: adamw].
    #[arg(long, value_name = "KIND", aliases = OPTIMISER)]
    pub optimiser: Option<Optimiser>,
    /// Peak learning rate of the last stage [default: 0.0001; 0.00005 for texts].
    #[arg(long, value_name = "RATE", visible_alias = "learning-rate", aliases = LR)]
    pub lr: Option<f64>,
    /// Learning-rate schedule: cosine, constant, slanted-triangular, one-cycle or step [default: cosine; slanted-triangular for
    /// texts].
    #[arg(long, value_name = "KIND", aliases = ["sched", "scheduler", "lr-scheduler", "lr-scheduler-type"])]
    pub schedule: Option<Schedule>,
    /// Fraction of the steps used for learning-rate warm-up [default: 0.1].
    #[arg(long, value_name = "SHARE", aliases = WARMUP)]
    pub warmup: Option<f64>,
    /// Weight decay; norms and biases are exempt [default: 0.02].
    #[arg(long, value_name = "X", aliases = WEIGHT_DECAY)]
    pub weight_decay: Option<f64>,
    /// Label smoothing [default: 0].
    #[arg(long, value_name = "SHARE", aliases = LABEL_SMOOTHING)]
    pub label_smoothing: Option<f64>,
    /// Clip gradients to this global norm; 0 disables [default: 1].
    #[arg(long, value_name = "NORM", aliases = ["clip-grad", "gradient-clip", "max-grad-norm"])]
    pub clip: Option<f64>,
    /// Decay of an exponential moving average of the weights, which becomes the model; 0 disables [default: 0].
    #[arg(long, value_name = "DECAY", aliases = ["ema-decay", "model-ema-decay"])]
    pub ema: Option<f64>,
    /// Average the weights of the K best epochs; 0 takes the last epoch's [default: 0].
    #[arg(long, value_name = "K")]
    pub average: Option<usize>,
    /// Early stopping: stop after N epochs without a better validation loss; 0 disables [default: 0].
    #[arg(long, value_name = "N", aliases = ["early-stopping", "early-stopping-patience"])]
    pub patience: Option<u64>,
    /// Layer-wise learning-rate decay: each stage's rate is that of the next stage divided by F [default: 2.6; 1.2 for texts].
    #[arg(long, value_name = "F")]
    pub rate_factor: Option<f64>,
    /// The head's learning rate as a multiple of the last stage's [default: 10].
    #[arg(long, value_name = "F")]
    pub head_rate: Option<f64>,
    /// Unfreezing: together, or gradual from the last stage to the first [default: together].
    #[arg(long, value_name = "HOW")]
    pub unfreeze: Option<Unfreezing>,
    /// Initial head: probe (the solved linear probe) or random [default: probe].
    #[arg(long, value_name = "WHERE")]
    pub start: Option<Start>,
    /// Batch norm in trained stages: frozen, adapt (statistics only) or train [default: frozen].
    #[arg(long, value_name = "HOW")]
    pub batch_norm: Option<BatchNorms>,
    /// L2-SP: penalty on the distance to the pretrained weights [default: 0].
    #[arg(long, value_name = "X")]
    pub l2_sp: Option<f64>,
    /// Penalty on the distance to the pretrained base's features [default: 0].
    #[arg(long, value_name = "X")]
    pub feature_distance: Option<f64>,
    /// Dropout before the head [default: 0].
    #[arg(long, value_name = "SHARE", alias = "drop")]
    pub dropout: Option<f64>,
    /// Stochastic depth: drop rate of the last residual branch [default: 0].
    #[arg(long, value_name = "SHARE", alias = "drop-path")]
    pub stochastic_depth: Option<f64>,
    /// Mixup alpha; 0 disables [default: 0].
    #[arg(long, value_name = "ALPHA")]
    pub mixup: Option<f64>,
    /// CutMix alpha; 0 disables [default: 0].
    #[arg(long, value_name = "ALPHA")]
    pub cutmix: Option<f64>,
    /// LoRA rank, on linear layers and 1 x 1 convolutions; 0 disables [default: 0].
    #[arg(long, value_name = "RANK", aliases = ["lora-rank", "lora-r"])]
    pub lora: Option<usize>,
    /// LoRA scale: the update is multiplied by X / rank [default: 16].
    #[arg(long, value_name = "X")]
    pub lora_alpha: Option<f64>,
    /// Views cached per image at the cut: the original and augmented ones [default: 4].
    #[arg(long, value_name = "N")]
    pub views: Option<usize>,
    /// Augmentation of the views: auto, none, small, light or rand-augment[:N:M][:no-mirror] [default: auto].
    #[arg(long, value_name = "RECIPE", alias = "augmentation")]
    pub augment: Option<String>,
    /// Texts: pairs for contrastive fine-tuning; 0 means 40 per text, 2048 at most [default: 0].
    #[arg(long, value_name = "N")]
    pub pairs: Option<usize>,
}
