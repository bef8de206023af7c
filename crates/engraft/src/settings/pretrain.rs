//! The settings of a supervised pretraining of images.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::choices::Optimiser;
use super::language_model::Method;

/// Settings of `engraft pretrain`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pretrain {
    /// The labelled images.
    pub data: PathBuf,
    /// The column of a table that says which images belong together: none of them are learnt from where others are held out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_column: Option<String>,
    /// A regular expression that finds in paths what says so: its capture `group`, its first capture, or all that it matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_by: Option<String>,
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
            group_column: None,
            group_by: None,
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
