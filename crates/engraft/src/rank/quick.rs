//! What is known of a base after a look at a few examples: scores, seconds, costs.

use std::time::Instant;

use rayon::prelude::*;

use super::class_scores::{h_score, leep, nce, parc};
use super::evidence::log_evidence;
use crate::bases::{Base, Runner};
use crate::data::image::Limits;
use crate::data::intake::{InputKind, Intake};
use crate::data::preprocess::{Interpolation, Preprocessing, Resize};
use crate::data::{ImageSource, Task};
use crate::error::{Error, Problem, Result};
use crate::features::{Cache, Features, ImageReader, prepared_unchanged};
use crate::heads::softmax;
use crate::methods::AnyBase;
use crate::progress::Observer;
use crate::rng::rng;
use crate::settings::{By, Fit};
use crate::similarity::sample::sample;
use crate::train::argmax;

/// Examples of each class that scores look at; of all classes together; and where there are no classes.
const PER_CLASS: usize = 200;
const MOST: usize = 2000;
/// Examples of PARC, which compares all pairs.
const PAIRED: usize = 1000;
/// Examples that are timed, and images that run through a classifier together.
const TIMED: usize = 16;
const BATCH: usize = 32;
/// Side of the images whose pixels are a baseline.
const SIDE: usize = 16;

/// The examples that scores look at.
pub(super) struct Sampled {
    /// Their indices in the data set.
    examples: Vec<usize>,
    /// A column of zeros and ones for each class or label, or of numbers.
    targets: Vec<Vec<f64>>,
    /// The class of each, where they have one.
    labels: Option<(Vec<usize>, usize)>,
}

/// What a look at these told of a base.
pub(super) struct Quick {
    /// The log-evidence in nats for each example and target.
    pub(super) evidence: f64,
    /// The score that was asked for, where it is neither that nor the probe.
    pub(super) score: Option<f64>,
    pub(super) columns: usize,
    /// Of an example, running alone.
    pub(super) seconds: f64,
}

impl Sampled {
    pub(super) fn of(intake: &Intake, train: &[usize], seed: u64, by: By) -> Result<Self> {
        let task = intake.dataset.task();
        let classes = intake.dataset.classes.len();
        let single = task == Task::SingleLabel;
        if !single && matches!(by, By::HScore | By::Parc | By::Nce | By::Leep) {
            let problem = Problem::new(format_args!("--by {by} is defined for one class of each example"));
            return Err(Error::Usage(problem.found(task).at("--by").hint("--by probe and --by logme rank these")));
        }
        if !task.has_label_column() {
            let problem = Problem::new("bases are ranked for classes, sets of labels and numbers").found(task);
            return Err(Error::Usage(problem.at("--task").hint("`engraft fit` with each base compares them")));
        }
        let labels = single.then(|| intake.labels(train));
        let take = if single { (PER_CLASS * classes).min(MOST) } else { MOST };
        let take = if by == By::Parc { take.min(PAIRED) } else { take };
        let places = sample(train.len(), take, labels.as_deref(), &mut rng(seed, "rank", 0));
        let examples: Vec<usize> = places.iter().map(|&place| train[place]).collect();
        let labels = labels.map(|labels| places.iter().map(|&place| labels[place]).collect::<Vec<usize>>());
        let indicator = |is: &dyn Fn(usize) -> bool| -> Vec<f64> {
            (0..examples.len()).map(|at| f64::from(u8::from(is(at)))).collect()
        };
        let targets = match (&labels, task) {
            (Some(labels), _) => (0..classes).map(|class| indicator(&|at| labels[at] == class)).collect(),
            (None, Task::Regression) => vec![intake.values(&examples)],
            (None, _) => {
                let has = intake.label_sets(&examples);
                (0..classes).map(|label| indicator(&|at| has[at * classes + label])).collect()
            }
        };
        Ok(Self { examples, targets, labels: labels.map(|labels| (labels, classes)) })
    }

    pub(super) fn len(&self) -> usize {
        self.examples.len()
    }
}

impl Quick {
    pub(super) fn of(
        config: &Fit,
        base: &AnyBase,
        intake: &Intake,
        sampled: &Sampled,
        by: By,
        (train, cache): (&[usize], Option<&Cache>),
        observer: &dyn Observer,
    ) -> Result<Self> {
        let mut best: Option<(f64, Features)> = None;
        let mut seconds = 0.0;
        for reading in base.readings(config, intake, train)? {
            let few = &sampled.examples[..sampled.examples.len().min(TIMED)];
            let begun = Instant::now();
            drop(reading.features(intake, few, None, observer)?);
            seconds = begun.elapsed().as_secs_f64() / few.len().max(1) as f64;
            let features = reading.features(intake, &sampled.examples, cache, observer)?;
            let evidence = log_evidence(&features, &sampled.targets)?;
            if best.as_ref().is_none_or(|(least, _)| evidence > *least) {
                best = Some((evidence, features));
            }
        }
        let (evidence, features) = best.expect("a base has a way to give features");
        let score = match (&sampled.labels, by) {
            (Some((labels, classes)), By::HScore) => Some(h_score(&features, labels, *classes)?),
            (Some((labels, _)), By::Parc) => Some(parc(&features, labels)?),
            (Some((labels, classes)), By::Nce | By::Leep) => {
                let own = own_probabilities(base, intake, &sampled.examples)?;
                own.map(|own| of_own_classes(&own, labels, *classes, by))
            }
            _ => None,
        };
        Ok(Self { evidence, score, columns: features.columns, seconds })
    }
}

/// NCE or LEEP.
fn of_own_classes(own: &[Vec<f64>], labels: &[usize], classes: usize, by: By) -> f64 {
    if by == By::Leep {
        return leep(&own.concat(), labels, classes);
    }
    let class = |row: &Vec<f64>| argmax(&row.iter().map(|&p| p as f32).collect::<Vec<f32>>());
    nce(&own.iter().map(class).collect::<Vec<usize>>(), labels, classes)
}

/// Probabilities of the base's own classes; nothing where it has no classifier.
fn own_probabilities(base: &AnyBase, intake: &Intake, examples: &[usize]) -> Result<Option<Vec<Vec<f64>>>> {
    let AnyBase::Images(base) = base else { return Ok(None) };
    let Some(runner) = base.classifier() else { return Ok(None) };
    run(base, &runner, intake, examples).map(Some)
}

fn run(base: &Base, runner: &Runner, intake: &Intake, examples: &[usize]) -> Result<Vec<Vec<f64>>> {
    let reader = ImageReader::new(base, Limits::default());
    let images = intake.images(examples);
    let mut found = Vec::with_capacity(images.len());
    for batch in images.chunks(BATCH) {
        let prepared = batch.par_iter().map(|(image, sha256)| prepared_unchanged(&reader, image, sha256));
        let rows = runner.rows(&prepared.collect::<Result<Vec<Vec<f32>>>>()?)?;
        found.extend(rows.iter().map(|row| {
            let logits: Vec<f64> = row.iter().map(|logit| f64::from(*logit)).collect();
            softmax(&logits, 1.0)
        }));
    }
    Ok(found)
}

/// The pixels of small copies of the training images as features; nothing where there are no images.
///
/// # Errors
/// Images that cannot be read.
pub(super) fn pixels(intake: &Intake, train: &[usize]) -> Result<Option<Features>> {
    if intake.kind() != InputKind::Images {
        return Ok(None);
    }
    let preprocessing = Preprocessing {
        height: SIDE,
        width: SIDE,
        channels: 3,
        channel_order: Default::default(),
        resize: Resize::Stretch,
        interpolation: Interpolation::Bilinear,
        mean: vec![0.0; 3],
        std: vec![1.0; 3],
        bit_depth: None,
    };
    let reader = ImageReader::by(preprocessing, Limits::default());
    let images = intake.images(train);
    let row = |(image, sha256): &(ImageSource, String)| prepared_unchanged(&reader, image, sha256);
    let rows = images.par_iter().map(row).collect::<Result<Vec<Vec<f32>>>>()?;
    Features::new(rows.len(), 3 * SIDE * SIDE, rows.concat()).map(Some)
}
