//! From settings as they are written to settings that train.

use crate::backbone::{LoraConfig, Statistics};
use crate::config::{SpanFit, Tune};
use crate::error::{Error, Problem, Result};
use crate::inductive::tuning::Spread;
use crate::train::{Optimiser, Settings};

/// The settings of a fit of spans, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanSettings {
    /// How to train.
    pub train: Settings,
    /// How rates are spread over an encoder's stages.
    pub spread: Spread,
    /// Low-rank factors in place of the weights.
    pub low_rank: Option<LoraConfig>,
    /// Share of the numbers that training drops inside an encoder, or between the layers of a reader on word vectors.
    pub dropout: f64,
}

impl SpanSettings {
    /// Reads and checks them. `on_words`: whether the base is word vectors, which have no stages.
    ///
    /// # Errors
    /// [`Error::Usage`] where one is invalid, or would have no effect.
    pub fn of(config: &SpanFit, on_words: bool) -> Result<Self> {
        let tune = &config.tune;
        no_effect(tune, on_words)?;
        if on_words && config.depth != "all" {
            let problem = Problem::new("word vectors have no stages, and are not retrained").found(&config.depth);
            return Err(Error::Usage(problem.expected("no --depth: the whole reader on them is trained")));
        }
        let sizes = [
            ("max-tokens", config.max_tokens, 16),
            ("max-answer", config.max_answer, 1),
            ("hidden", config.hidden, 1),
            ("layers", config.layers, 1),
            ("batch-size", tune.batch_size, 2),
            ("accumulate", tune.accumulate, 1),
        ];
        if let Some((name, value, least)) = sizes.into_iter().find(|(_, value, least)| value < least) {
            return Err(wrong(name, format!("at least {least}"), value));
        }
        // Sentences are cut without a stride, and words are not cut at all.
        if config.task == "qa" && !on_words && config.stride >= config.max_tokens {
            return Err(wrong("stride", format!("less than --max-tokens {}", config.max_tokens), config.stride));
        }
        if !(config.control_budget.is_finite() && config.control_budget >= 0.0) {
            return Err(wrong("control-budget", "0 or a positive number".into(), config.control_budget));
        }
        for (name, value) in
            [("rate-factor", tune.rate_factor), ("head-rate", tune.head_rate), ("lora-alpha", tune.lora_alpha)]
        {
            if !(value.is_finite() && value > 0.0) {
                return Err(wrong(name, "a positive number".into(), value));
            }
        }
        if !(0.0..1.0).contains(&tune.dropout) {
            return Err(wrong("dropout", "at least 0 and less than 1".into(), tune.dropout));
        }
        let optimiser = match tune.optimiser.as_str() {
            "adamw" => Optimiser::AdamW,
            "sgd" => Optimiser::Sgd,
            other => return Err(wrong("optimiser", "adamw or sgd".into(), other)),
        };
        let gradual = match tune.unfreeze.as_str() {
            "together" => false,
            "gradual" => true,
            other => return Err(wrong("unfreeze", "together or gradual".into(), other)),
        };
        let train = Settings {
            epochs: tune.epochs,
            batch_size: tune.batch_size * tune.accumulate,
            shard_size: tune.batch_size.min(SHARD),
            optimiser,
            lr: tune.lr,
            schedule: tune.schedule.parse()?,
            warmup: tune.warmup,
            weight_decay: tune.weight_decay,
            label_smoothing: 0.0,
            clip: (tune.clip > 0.0).then_some(tune.clip),
            ema: (tune.ema > 0.0).then_some(tune.ema),
            average: 0,
            patience: None,
            seed: config.seed,
        };
        train.validate()?;
        let spread = Spread {
            rate_factor: tune.rate_factor,
            head_rate: tune.head_rate,
            weight_decay: tune.weight_decay,
            anchor: tune.l2_sp,
            gradual,
            statistics: Statistics::Stored,
        };
        let low_rank =
            (tune.lora > 0).then_some(LoraConfig { rank: tune.lora, alpha: tune.lora_alpha, seed: config.seed });
        Ok(Self { train, spread, low_rank, dropout: tune.dropout })
    }
}

/// Texts that run together: long ones fill others up, so that few waste less.
const SHARD: usize = 8;

/// Refuses settings that would change nothing.
fn no_effect(tune: &Tune, on_words: bool) -> Result<()> {
    let usual = Tune::default();
    let differ = [
        ("patience", tune.patience != usual.patience),
        ("average", tune.average != usual.average),
        ("start", tune.start != usual.start),
        ("batch-norm", tune.batch_norm != usual.batch_norm),
        ("feature-distance", tune.feature_distance != usual.feature_distance),
        ("stochastic-depth", tune.stochastic_depth != usual.stochastic_depth),
        ("mixup", tune.mixup != usual.mixup),
        ("cutmix", tune.cutmix != usual.cutmix),
        ("label-smoothing", tune.label_smoothing != usual.label_smoothing),
        ("views", tune.views != usual.views),
        ("augment", tune.augment != usual.augment),
        ("unfreeze", on_words && tune.unfreeze != usual.unfreeze),
        ("l2-sp", on_words && tune.l2_sp != usual.l2_sp),
        ("lora", on_words && tune.lora != usual.lora),
    ];
    match differ.into_iter().find(|(_, differs)| *differs) {
        None => Ok(()),
        Some((name, _)) => {
            let what = if on_words { "a reader on word vectors" } else { "answers and tags" };
            let problem = Problem::new(format_args!("--{name} has no effect on {what}"));
            Err(Error::Usage(problem.expected("it left out")))
        }
    }
}

fn wrong(name: &str, expected: String, found: impl std::fmt::Display) -> Error {
    Error::Usage(Problem::new("invalid setting").expected(expected).found(found).at(format!("--{name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_make_no_sense_or_do_nothing_are_refused() {
        assert!(SpanSettings::of(&SpanFit::default(), false).is_ok());
        assert!(SpanSettings::of(&SpanFit::on_words(), true).is_ok());
        let refused = |change: fn(&mut SpanFit), on_words: bool, part: &str| {
            let mut config = if on_words { SpanFit::on_words() } else { SpanFit::default() };
            change(&mut config);
            let error = SpanSettings::of(&config, on_words).unwrap_err();
            assert!(matches!(error, Error::Usage(_)) && error.to_string().contains(part), "{error}");
        };
        refused(|config| config.tune.mixup = 0.2, false, "--mixup has no effect");
        refused(|config| config.stride = 384, false, "--stride");
        refused(|config| config.tune.lr = -1.0, false, "learning rate");
        refused(|config| config.tune.batch_size = 1, false, "--batch-size");
        refused(|config| config.tune.optimiser = "adam".into(), false, "adamw or sgd");
        refused(|config| config.tune.lora = 4, true, "--lora has no effect");
        refused(|config| config.depth = "last".into(), true, "no stages");
        refused(|config| config.tune.dropout = 1.0, true, "--dropout");
    }
}
