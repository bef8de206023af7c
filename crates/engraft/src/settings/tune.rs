//! The settings of a fine-tuning.

use serde::{Deserialize, Serialize};

use super::choices::{BatchNorms, Optimiser, Schedule, Start, Unfreezing};

/// Settings of a fine-tuning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tune {
    /// Passes over the examples; for texts 0 is the usual number: as many as make 200 steps, 4 at least and 25 at most.
    pub epochs: u64,
    /// Images that run together.
    pub batch_size: usize,
    /// Batches whose gradients make one step.
    pub accumulate: usize,
    /// What moves the weights.
    pub optimiser: Optimiser,
    /// Peak learning rate of the last stage.
    pub lr: f64,
    /// How the rate goes.
    pub schedule: Schedule,
    /// Share of the steps in which the rate rises.
    pub warmup: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Share of each label given to all classes alike.
    pub label_smoothing: f64,
    /// Longest gradient; 0 for any.
    pub clip: f64,
    /// Decay of a moving average of the weights, which is then what answers; 0 for none.
    pub ema: f64,
    /// Takes the mean of the weights after this many best epochs; 0 takes the last ones.
    pub average: usize,
    /// Stops after this many epochs without a better validation loss; 0 never does.
    pub patience: u64,
    /// Each stage learns at the rate of the one after it, divided by this.
    pub rate_factor: f64,
    /// The head's rate, in rates of the last stage.
    pub head_rate: f64,
    /// When stages begin to learn.
    pub unfreeze: Unfreezing,
    /// Where the head begins.
    pub start: Start,
    /// What batch norms of stages that learn do.
    pub batch_norm: BatchNorms,
    /// Pull towards the base's weights.
    pub l2_sp: f64,
    /// Pull towards the base's features.
    pub feature_distance: f64,
    /// Share of the features that are dropped before the head.
    pub dropout: f64,
    /// Share of the images that the last residual branch is dropped for.
    pub stochastic_depth: f64,
    /// Parameter of mixup; 0 for none.
    pub mixup: f64,
    /// Parameter of cutmix; 0 for none.
    pub cutmix: f64,
    /// Rank of low-rank factors that learn in place of linear layers and convolutions of one pixel; 0 for none.
    pub lora: usize,
    /// Their product counts this, divided by the rank.
    pub lora_alpha: f64,
    /// Views of each image that are kept at the cut: the image as it is, and changed ones.
    pub views: usize,
    /// What is changed in views: `none`, `small`, `light`, `rand-augment`, or `auto`: `light` for photos, else `small`.
    pub augment: String,
    /// Pairs of texts in a contrastive fine-tuning; 0 for twenty of one class and twenty of two for each text, 2,048 at
    /// most.
    pub pairs: usize,
}

impl Tune {
    /// What is usual for texts: a smaller rate than for images (Devlin et al. 2019, appendix A.3), and more passes over
    /// fewer texts (Mosbach et al. 2021: a few passes over few texts are too few steps).
    pub(crate) fn for_texts() -> Self {
        let schedule = Schedule::SlantedTriangular;
        Self { epochs: 0, batch_size: 16, lr: 5e-5, rate_factor: 1.2, schedule, ..Self::default() }
    }
}

impl Tune {
    /// What is usual where words are tagged or questions answered: epochs and batches as Devlin et al. 2019, appendix A.3;
    /// rates for small encoders, which take larger ones. The head begins at random numbers.
    pub(crate) fn for_tokens() -> Self {
        let usual = Self { start: Start::Random, ..Self::default() };
        Self { epochs: 4, batch_size: 16, lr: 1e-4, rate_factor: 1.1, head_rate: 5.0, dropout: 0.1, ..usual }
    }

    /// What is usual for a reader on word vectors (Chen et al. 2017, section 5.2; AdamW in place of Adamax).
    pub(crate) fn for_word_reader() -> Self {
        let usual = Self { start: Start::Random, ..Self::default() };
        Self { epochs: 20, batch_size: 32, lr: 2e-3, head_rate: 1.0, dropout: 0.4, clip: 10.0, ..usual }
    }
}

impl Default for Tune {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch_size: 32,
            accumulate: 1,
            optimiser: Optimiser::AdamW,
            lr: 1e-4,
            schedule: Schedule::Cosine,
            warmup: 0.1,
            weight_decay: 0.02,
            label_smoothing: 0.0,
            clip: 1.0,
            ema: 0.0,
            average: 0,
            patience: 0,
            rate_factor: 2.6,
            head_rate: 10.0,
            unfreeze: Unfreezing::Together,
            start: Start::Probe,
            batch_norm: BatchNorms::Frozen,
            l2_sp: 0.0,
            feature_distance: 0.0,
            dropout: 0.0,
            stochastic_depth: 0.0,
            mixup: 0.0,
            cutmix: 0.0,
            lora: 0,
            lora_alpha: 16.0,
            views: 4,
            augment: "auto".into(),
            pairs: 0,
        }
    }
}
