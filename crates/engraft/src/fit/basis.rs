//! What every fit begins with: labels, folds and features, and the examples in the form that training takes.

use crate::bases::text::TextBody;
use crate::controls::ControlData;
use crate::data::Split;
use crate::data::image::Limits;
use crate::data::intake::Intake;
use crate::data::text::Text;
use crate::error::Result;
use crate::features::{Cache, Coverage, Features};
use crate::fit::check::check_settings;
use crate::heads::ReaderSizes;
use crate::methods::tokens::{Cutting, TokenSet};
use crate::methods::{AnyBase, DepthSearch, Journal, KeyedImages, Material, Protocol, Reading, TuningSettings};
use crate::progress::Observer;
use crate::settings::Fit;
use crate::targets::{Probe, Target, TargetSettings, target_of};
use crate::train::TrainingImages;

/// Folds that are made where one of them is run.
const USUAL_FOLDS: usize = 5;
/// Units of tokens that run together.
const SHARD: usize = 8;
/// Width, one way, and layers of the LSTMs of a reader on word vectors (Chen et al. 2017, section 5.2).
const READER: (usize, usize) = (128, 3);
/// Steps of a training on few texts, as passes allow.
const STEPS: usize = 200;

/// What a fit works with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Where features are kept.
    pub cache: Option<&'a Cache>,
    /// Where what is finished is kept, to go on from after a stop.
    pub journal: &'a Journal,
    /// Hears of the work.
    pub observer: &'a dyn Observer,
}

/// What every fit begins with: the examples' labels and folds, and their features.
pub(crate) struct Basis {
    pub(crate) base: AnyBase,
    pub(super) tuning: TuningSettings,
    pub(crate) train: Vec<usize>,
    pub(crate) groups: Vec<usize>,
    pub(crate) target: Box<dyn Target>,
    pub(crate) folds: Vec<usize>,
    pub(crate) count: usize,
    pub(super) reading: Reading,
    pub(crate) features: Features,
    pub(crate) probe: Option<Probe>,
    pub(super) coverage: Option<Coverage>,
    /// Where a head looks at tokens.
    pub(super) cutting: Option<Cutting>,
    /// Folds that are run where a head looks at tokens; all elsewhere.
    pub(super) run: usize,
}

pub(super) fn target_settings(config: &Fit) -> TargetSettings {
    TargetSettings {
        balanced: config.balanced,
        max_error: config.max_error,
        level: config.interval_level.unwrap_or(Fit::INTERVAL_LEVEL),
        seed: config.seed,
    }
}

impl Basis {
    pub(crate) fn new(config: &Fit, base: AnyBase, intake: &Intake, means: Context<'_>, probes: bool) -> Result<Self> {
        let Context { cache, observer, .. } = means;
        check_settings(config, &base, intake)?;
        let base = base.with_words_of(intake, observer)?;
        base.tell(intake, observer);
        intake.require_usable(config.strict)?;
        let train = intake.usable(Split::Train);
        let photos = matches!(&base, AnyBase::Images(base) if base.card.preprocessing.channels == 3);
        let passes = if intake.texts().is_some() { with_passes(config, train.len()) } else { config.clone() };
        let mut tuning = TuningSettings::of(&passes, photos)?;
        let cutting = match (&base, intake.kind().is_of_tokens()) {
            (AnyBase::Texts(base), true) => {
                // Long units fill others up: few waste less.
                let train = &mut tuning.settings.train;
                train.shard_size = train.shard_size.min(SHARD);
                Some(Cutting::of(config, base)?)
            }
            _ => None,
        };
        let groups: Vec<usize> = train.iter().map(|&index| intake.audit.groups[index]).collect();
        let target = target_of(intake, &train, &target_settings(config));
        let asked = if config.folds < 2 { USUAL_FOLDS } else { config.folds };
        let (count, folds) = target.folds(asked, &groups, intake.unit(), observer);
        if let Some(grouped) = &intake.audit.grouped {
            observer.say(&format!("{}; no group crosses folds", grouped.told()));
        }
        let run = if config.folds < 2 { 1 } else { count };
        let mut best: Option<(Reading, Features, Option<Probe>)> = None;
        for reading in base.readings(config, intake, &train)? {
            let features = reading.features(intake, &train, cache, observer)?;
            let solver = target.solver().filter(|_| probes);
            let probe = solver.map(|solver| solver.probe(&features, &folds, observer)).transpose()?;
            let loss = probe.as_ref().map_or(0.0, Probe::loss);
            if let (Some(pooling), Some(_)) = (reading.name(), &probe) {
                observer.say(&format!("word vectors pooled by {pooling}: out-of-fold loss {loss:.4}"));
            }
            if best.as_ref().is_none_or(|(_, _, least)| loss < least.as_ref().map_or(0.0, Probe::loss)) {
                best = Some((reading, features, probe));
            }
        }
        let (reading, features, probe) = best.expect("a base has a way to give features");
        let extractor = reading.of_texts().filter(|_| intake.texts().is_some());
        let coverage = extractor.map(|extractor| extractor.coverage(&intake.texts_of(&train))).transpose()?;
        if let Some(coverage) = coverage.filter(|coverage| coverage.truncated > 0) {
            observer.say(&format!(
                "{} of {} texts are longer than what the base takes: {} of {} tokens at their ends are not read",
                coverage.truncated, coverage.texts, coverage.cut, coverage.tokens
            ));
        }
        Ok(Self { base, tuning, train, groups, target, folds, count, reading, features, probe, coverage, cutting, run })
    }

    /// What controls share with the transfer.
    pub(crate) fn control_data<'a>(&'a self, config: &Fit, intake: &'a Intake) -> ControlData<'a> {
        ControlData {
            intake,
            train: &self.train,
            features: &self.features,
            target: &*self.target,
            folds: &self.folds,
            groups: &self.groups,
            count: self.count,
            seed: config.seed,
            tokens: self.cutting.map(|cutting| (cutting, reader_sizes(config, &self.base))),
        }
    }

    /// Mean number of tokens of a text that are read.
    fn tokens(&self) -> usize {
        let coverage = self.coverage.unwrap_or_default();
        ((coverage.tokens - coverage.cut) / self.train.len().max(1)).max(2)
    }
}

/// The examples in the form that training takes.
pub(super) struct Examples<'a> {
    pub(super) texts: Vec<&'a Text>,
    /// Of images, and the SHA-256 of each.
    pub(super) images: Option<(TrainingImages, Vec<String>)>,
    /// Of words and questions.
    pub(super) tokens: Option<TokenSet<'a>>,
    /// What they are called.
    pub(super) unit: &'static str,
}

impl<'a> Examples<'a> {
    pub(super) fn of(basis: &Basis, intake: &'a Intake, observer: &dyn Observer) -> Result<Self> {
        let Basis { base, train: which, cutting, .. } = basis;
        let tokens = match (base, cutting) {
            (AnyBase::Texts(base), Some(cutting)) => TokenSet::new(base, intake, which, *cutting)?,
            _ => None,
        };
        let images = match base {
            AnyBase::Images(base) => {
                let (paths, digests) = intake.images(which).into_iter().unzip();
                let preprocessing = base.card.preprocessing.clone();
                Some((TrainingImages::new(paths, preprocessing, Limits::default(), observer)?, digests))
            }
            AnyBase::Texts(_) | AnyBase::None => None,
        };
        Ok(Self { texts: intake.texts_of(which), images, tokens, unit: intake.unit() })
    }
}

/// The sizes of a reader on word vectors.
pub(super) fn reader_sizes(config: &Fit, base: &AnyBase) -> ReaderSizes {
    let columns = if let AnyBase::Texts(base) = base { base.columns() } else { 0 };
    let (hidden, layers) = (config.hidden.unwrap_or(READER.0), config.layers.unwrap_or(READER.1));
    ReaderSizes { columns, hidden, layers }
}

impl Basis {
    /// What depths are measured with. `strength`: that of the probe; `identity`: what decides every training.
    pub(super) fn ground<'a>(
        &'a self,
        config: &Fit,
        examples: &'a Examples<'a>,
        strength: f64,
        means: Context<'a>,
        identity: &'a str,
    ) -> DepthSearch<'a> {
        let material = match (&self.base, &examples.images) {
            (AnyBase::Texts(base), _) if examples.tokens.is_some() => {
                let set = examples.tokens.as_ref().expect("they are there");
                let reader = matches!(base.body, TextBody::Words(_)).then(|| reader_sizes(config, &self.base));
                Material::Tokens { base, set, reader, unit: examples.unit }
            }
            (AnyBase::Images(base), Some((images, digests))) => {
                let shown = KeyedImages { images, digests };
                Material::Images { base, shown, views: &self.tuning.views, cache: means.cache }
            }
            (AnyBase::Texts(base), _) => {
                let (tokens, pairs) = (self.tokens(), config.tune.pairs);
                Material::Texts { base, texts: &examples.texts, tokens, pairs }
            }
            (AnyBase::Images(_), None) => unreachable!("images are decoded for a base of images"),
            (AnyBase::None, _) => unreachable!("there is nothing to train where there is no base"),
        };
        DepthSearch {
            material,
            target: &*self.target,
            features: &self.features,
            strength,
            protocol: Protocol {
                folds: &self.folds,
                groups: &self.groups,
                count: self.count,
                run: self.run,
                seeds: config.seeds,
            },
            settings: &self.tuning.settings,
            spread: self.tuning.spread,
            journal: (means.journal, identity),
            observer: means.observer,
        }
    }
}

/// The settings with the usual number of passes over so many texts, where they leave it open.
fn with_passes(config: &Fit, texts: usize) -> Fit {
    let mut config = config.clone();
    if config.tune.epochs == 0 {
        let steps = texts.div_ceil((config.tune.batch_size * config.tune.accumulate).max(1)).max(1);
        config.tune.epochs = (STEPS.div_ceil(steps) as u64).clamp(4, 25);
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_texts_are_passed_over_more_often() {
        let passes = |texts: usize| with_passes(&Fit::for_texts(), texts).tune.epochs;
        assert_eq!([0, 16, 128, 320, 800, 9000].map(passes), [25, 25, 25, 10, 4, 4]);
        let mut asked = Fit::for_texts();
        asked.tune.epochs = 3;
        assert_eq!(with_passes(&asked, 16).tune.epochs, 3);
    }
}
