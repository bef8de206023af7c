//! From settings as they are written to settings that train.

use crate::bases::{LoraConfig, Statistics};
use crate::data::augment::{Augment, Recipe};
use crate::error::{Error, Problem, Result};
use crate::methods::activations::{Change, Views};
use crate::methods::budget::Budget;
use crate::methods::mixing::Regularisers;
use crate::methods::plan::Spread;
use crate::methods::tune::TuneSettings;
use crate::settings::{BatchNorms, Fit, Tune, Unfreezing};
use crate::train::Settings;

/// The settings of a fit's fine-tuning, checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TuningSettings {
    /// How to train.
    pub(crate) settings: TuneSettings,
    /// How rates are spread over the stages.
    pub(crate) spread: Spread,
    /// Views of each image.
    pub(crate) views: Views,
    /// What the choice of the depth may cost.
    pub(crate) budget: Budget,
}

impl TuningSettings {
    /// Reads and checks them. `photos`: whether the base's images are photos, rather than drawings or characters, which
    /// may be neither mirrored nor coloured.
    pub(crate) fn of(config: &Fit, photos: bool) -> Result<Self> {
        let tune = &config.tune;
        check(tune)?;
        if config.seeds == 0 {
            return Err(wrong("seeds", "at least 1", config.seeds));
        }
        let (statistics, adapt_statistics) = match tune.batch_norm {
            BatchNorms::Frozen => (Statistics::Stored, false),
            BatchNorms::Adapt => (Statistics::Stored, true),
            BatchNorms::Train => (Statistics::Batch, false),
        };
        let train = Settings {
            epochs: tune.epochs,
            batch_size: tune.batch_size * tune.accumulate,
            shard_size: tune.batch_size,
            optimiser: tune.optimiser,
            lr: tune.lr,
            schedule: tune.schedule,
            warmup: tune.warmup,
            weight_decay: tune.weight_decay,
            label_smoothing: tune.label_smoothing,
            clip: (tune.clip > 0.0).then_some(tune.clip),
            ema: (tune.ema > 0.0).then_some(tune.ema),
            average: tune.average,
            patience: (tune.patience > 0).then_some(tune.patience),
            seed: config.seed,
        };
        train.validate()?;
        let settings = TuneSettings {
            train,
            start: tune.start,
            regularisers: Regularisers {
                dropout: tune.dropout,
                feature_distance: tune.feature_distance,
                mixup: tune.mixup,
                cutmix: tune.cutmix,
                label_smoothing: tune.label_smoothing,
            },
            stochastic_depth: tune.stochastic_depth,
            low_rank: (tune.lora > 0).then_some(LoraConfig {
                rank: tune.lora,
                alpha: tune.lora_alpha,
                seed: config.seed,
            }),
            adapt_statistics,
        };
        let spread = Spread {
            rate_factor: tune.rate_factor,
            head_rate: tune.head_rate,
            weight_decay: tune.weight_decay,
            anchor: tune.l2_sp,
            gradual: tune.unfreeze == Unfreezing::Gradual,
            statistics,
        };
        let views = Views { count: tune.views, change: change_of(&tune.augment, photos)?, seed: config.seed };
        Ok(Self { settings, spread, views, budget: config.budget.parse()? })
    }
}

/// What is changed in views, by its name.
fn change_of(name: &str, photos: bool) -> Result<Change> {
    let small = Change::Small(Augment { shift: 0.1, scale: 0.15, ..Augment::default() });
    Ok(match name {
        "auto" if photos => Change::Photo(Recipe::LIGHT),
        "auto" | "small" => small,
        "none" => Change::None,
        recipe => Change::Photo(recipe.parse()?),
    })
}

fn check(tune: &Tune) -> Result<()> {
    for (name, value) in [
        ("l2-sp", tune.l2_sp),
        ("feature-distance", tune.feature_distance),
        ("mixup", tune.mixup),
        ("cutmix", tune.cutmix),
        ("clip", tune.clip),
    ] {
        if !(value.is_finite() && value >= 0.0) {
            return Err(wrong(name, "0 or a positive number", value));
        }
    }
    for (name, value) in
        [("rate-factor", tune.rate_factor), ("head-rate", tune.head_rate), ("lora-alpha", tune.lora_alpha)]
    {
        if !(value.is_finite() && value > 0.0) {
            return Err(wrong(name, "a positive number", value));
        }
    }
    for (name, value) in [("dropout", tune.dropout), ("stochastic-depth", tune.stochastic_depth), ("ema", tune.ema)] {
        if !(0.0..1.0).contains(&value) {
            return Err(wrong(name, "at least 0 and less than 1", value));
        }
    }
    for (name, value) in [("batch-size", tune.batch_size), ("accumulate", tune.accumulate), ("views", tune.views)] {
        if value == 0 || value > 1 << 20 {
            return Err(wrong(name, "at least 1", value));
        }
    }
    Ok(())
}

fn wrong(flag: &str, expected: &str, found: impl std::fmt::Display) -> Error {
    let problem = Problem::new("invalid setting of the fine-tuning").expected(expected).found(found);
    Error::Usage(problem.at(format!("--{flag}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_named_by_its_flag() {
        assert!(TuningSettings::of(&Fit::default(), true).is_ok());
        let refused = |change: fn(&mut Fit), flag: &str| {
            let mut config = Fit::default();
            change(&mut config);
            let error = TuningSettings::of(&config, true).unwrap_err().to_string();
            assert!(error.contains(flag), "{flag}: {error}");
        };
        refused(|c| c.tune.dropout = 1.0, "--dropout");
        refused(|c| c.tune.mixup = -1.0, "--mixup");
        refused(|c| c.tune.rate_factor = 0.0, "--rate-factor");
        refused(|c| c.tune.batch_size = 0, "--batch-size");
        refused(|c| c.budget = "soon".into(), "--budget");
        refused(|c| c.seeds = 0, "--seeds");
        refused(|c| c.tune.lr = f64::NAN, "learning rate");
    }
}
