//! What methods work on, whole: a labelled source, as a fit or a run has it, and a target's features.

use std::path::Path;
use std::time::Instant;

use super::guard::{self, Candidate, Decision};
use super::known_shares::KnownShares;
use super::report::{Adaptation, Measured, MethodMeasured, MethodReport};
use super::{ALL, AUTO, SOURCE_ONLY, distance, shares};
use crate::data::split::stratified_folds;
use crate::data::{Decided, Sealed};
use crate::error::{Error, Problem, Result, printable};
use crate::features::Features;
use crate::fit::Fitted;
use crate::heads::{ClassWeights, Novelty, Options, cross_validate};
use crate::methods::domain::{Applied, Domains, METHODS, Outcome, TargetImages, out_of_fold};
use crate::metrics::{Estimate, evaluate_imbalance, paired_difference, wilson};
use crate::progress::Observer;
use crate::settings::Adapt;
use crate::targets::{Calibration, Predictor};
use crate::train::argmax;

/// Target examples that are compared with the source's, where there are more.
const COMPARED: usize = 5000;
/// Folds of heads that are made here.
const FOLDS: usize = 5;

/// The labelled side.
pub(crate) struct Source<'a> {
    /// Features of its examples.
    pub(crate) features: &'a Features,
    /// The class of each.
    pub(crate) labels: Vec<usize>,
    /// The fold of each.
    pub(crate) folds: Vec<usize>,
    /// Names of the classes.
    pub(crate) classes: &'a [String],
    /// What answers.
    pub(crate) predictor: &'a Predictor,
    /// The strength of the head's regularisation.
    pub(crate) strength: f64,
    /// Whether classes are weighed by the inverse of their frequency.
    pub(crate) balanced: bool,
    /// Seed of everything that is drawn.
    pub(crate) seed: u64,
}

impl<'a> Source<'a> {
    /// Of a fit.
    pub(super) fn of_fit(fitted: &'a Fitted) -> Self {
        Self {
            features: &fitted.features,
            labels: fitted.intake.labels(&fitted.train),
            folds: fitted.folds.0.clone(),
            classes: &fitted.intake.dataset.classes,
            predictor: &fitted.predictor,
            strength: fitted.probe.strength,
            balanced: fitted.config.balanced,
            seed: fitted.config.seed,
        }
    }

    /// Of a run: the rows of training data that it keeps to tell what is unlike them.
    ///
    /// # Errors
    /// [`Error::Weights`] where it keeps no classes of these rows.
    pub(crate) fn of_run(
        predictor: &'a Predictor,
        classes: &'a [String],
        strength: f64,
        balanced: bool,
        seed: u64,
    ) -> Result<Self> {
        let Novelty { kept, classes: labels, .. } = &predictor.novelty;
        if labels.len() != kept.rows || labels.iter().any(|&label| label >= classes.len()) {
            let problem = Problem::new("the run does not keep the classes of the training rows that it has");
            return Err(Error::Weights(
                problem.hint("fit again with this version, or give the source's data to `adapt`"),
            ));
        }
        let places: Vec<usize> = (0..labels.len()).collect();
        let folds = stratified_folds(labels, &places, FOLDS, seed);
        Ok(Self { features: kept, labels: labels.clone(), folds, classes, predictor, strength, balanced, seed })
    }
}

/// A source, a target, and what is known of it.
pub(crate) struct Ground<'a> {
    source: Source<'a>,
    features: &'a Features,
    images: Option<TargetImages<'a>>,
    temperature: f64,
    weights: ClassWeights,
    out_of_fold: Vec<f64>,
    known: KnownShares,
    observer: &'a dyn Observer,
}

impl<'a> Ground<'a> {
    pub(super) fn of(
        source: Source<'a>,
        (features, images): (&'a Features, Option<TargetImages<'a>>),
        known: KnownShares,
        observer: &'a dyn Observer,
    ) -> Result<Self> {
        let Calibration::Classes { temperature, .. } = source.predictor.calibration else {
            return Err(Error::Usage(Problem::new("only models that answer with one class are adapted to a target")));
        };
        if source.features.columns != features.columns {
            let problem = Problem::new("source and target have features of different width");
            return Err(Error::Data(problem.expected(source.features.columns).found(features.columns)));
        }
        let weights = if source.balanced { ClassWeights::Balanced } else { ClassWeights::None };
        let labelled = (source.features, &source.labels[..], source.classes.len());
        let head = (source.strength, temperature);
        let out_of_fold = out_of_fold(labelled, &source.folds, head, &weights, observer)?;
        Ok(Self { source, features, images, temperature, weights, out_of_fold, known, observer })
    }

    fn classes(&self) -> usize {
        self.source.classes.len()
    }

    fn domains<'b>(&'b self, shares: Option<&'b [f64]>) -> Domains<'b> {
        Domains {
            source: self.source.features,
            labels: &self.source.labels,
            classes: self.classes(),
            folds: &self.source.folds,
            target: self.features,
            head: self.source.predictor.head.linear(),
            temperature: self.temperature,
            strength: self.source.strength,
            weights: &self.weights,
            shares,
            images: self.images.as_ref(),
            out_of_fold: &self.out_of_fold,
            seed: self.source.seed,
            observer: self.observer,
        }
    }

    /// The shares that methods may take as known.
    fn shares(&self) -> Result<Option<Vec<f64>>> {
        Ok(match &self.known {
            KnownShares::Nothing => None,
            KnownShares::Same => Some(self.domains(None).source_shares()),
            KnownShares::Given(shares) => Some(shares.clone()),
            KnownShares::Estimate => Some(self.trained()?.answered(self.classes())),
        })
    }

    /// Self-training, which knows no shares.
    fn trained(&self) -> Result<Candidate> {
        let domains = self.domains(None);
        let method = METHODS.iter().find(|method| method.name() == guard::SELF_TRAINING);
        let outcome = method.map(|method| method.adapt(&domains)).transpose()?;
        let refused = || Outcome::Refused("there is no self-training".into());
        Ok(Candidate::of(&domains, guard::SELF_TRAINING, outcome.unwrap_or_else(refused)))
    }

    /// How much of its classes the source's model explains, out of fold: 1 - log-loss / entropy of the classes.
    pub(super) fn skill(&self) -> f64 {
        let classes = self.classes();
        let rows = self.out_of_fold.chunks_exact(classes).zip(&self.source.labels);
        let loss: f64 = rows.map(|(row, &label)| -row[label].max(f64::MIN_POSITIVE).ln()).sum();
        let shares = self.domains(None).source_shares();
        let entropy: f64 = shares.iter().filter(|share| **share > 0.0).map(|share| -share * share.ln()).sum();
        1.0 - loss / self.source.labels.len().max(1) as f64 / entropy.max(f64::MIN_POSITIVE)
    }

    /// The source's model and what methods give: all that are solved, or those that are trained too; of a named method that one alone
    /// beside what a decision needs.
    pub(super) fn candidates(&self, asked: &str) -> Result<Vec<Candidate>> {
        let shares = self.shares()?;
        let domains = self.domains(shares.as_deref());
        let own = Applied::of_head(domains.head.clone(), Vec::new());
        let mut candidates = vec![Candidate::of(&domains, SOURCE_ONLY, Outcome::Applied(own))];
        self.observer.begin("adapting", METHODS.len() as u64, "methods");
        for method in METHODS {
            self.observer.check()?;
            let by_all = asked == ALL || asked == AUTO && !method.is_trained();
            if by_all || asked == method.name() || guard::NEEDED.contains(&method.name()) {
                let begun = Instant::now();
                let candidate = Candidate::of(&domains, method.name(), method.adapt(&domains)?);
                candidates.push(Candidate { seconds: begun.elapsed().as_secs_f64(), ..candidate });
            }
            self.observer.advance(1);
        }
        self.observer.end();
        Ok(candidates)
    }

    /// Examples of the smaller domain.
    pub(super) fn rows(&self) -> usize {
        self.source.features.rows.min(self.features.rows)
    }

    pub(super) fn known(&self) -> &KnownShares {
        &self.known
    }

    /// What is told of it, without any label of the target.
    pub(super) fn told(&self, asked: &Adapt, candidates: &[Candidate], decision: &Decision) -> Result<Adaptation> {
        let domains = self.domains(None);
        let skill = self.skill();
        let able = guard::is_able(skill, self.rows());
        // What was told of shares has no part in an estimate of them.
        let there = candidates.iter().find(|candidate| candidate.name == guard::SELF_TRAINING);
        let again = match there.filter(|_| self.known == KnownShares::Nothing) {
            Some(_) => None,
            None => Some(self.trained()?),
        };
        let trained = again.as_ref().or(there).unwrap_or(&candidates[0]);
        let shares = shares::estimate(&domains, &candidates[0], trained, self.source.classes, able);
        let (rows, novelty) = (self.features.rows, &self.source.predictor.novelty);
        let unlike_of = rows.min(COMPARED);
        let is_unlike = |at: &usize| novelty.is_unlike(novelty.distance(self.features.row(at * rows / unlike_of)));
        let unlike = (0..unlike_of).filter(is_unlike).count() as f64 / unlike_of.max(1) as f64;
        let own = &candidates[0].answers;
        let method = |candidate: &Candidate| MethodReport {
            name: candidate.name.to_owned(),
            refused: candidate.refused.clone(),
            agreement: candidate.agreement(own),
            answered: candidate.answered(self.classes()),
            notes: candidate.notes.clone(),
            seconds: candidate.seconds,
        };
        let taken = &candidates[decision.taken];
        let changed = own.iter().zip(&taken.answers).filter(|(own, new)| own != new).count();
        Ok(Adaptation {
            to: printable(Path::new(&asked.to)),
            examples: rows,
            duplicates: Vec::new(),
            duplicate_count: 0,
            unlike,
            unlike_of,
            distance: distance::distance(&domains)?,
            skill,
            known_shares: asked.shares.clone(),
            shares_differ: shares::differ(&shares),
            shares,
            methods: candidates.iter().map(method).collect(),
            adapted: decision.taken > 0,
            method: taken.name.to_owned(),
            reason: decision.reason.clone(),
            changed,
            checked: None,
            measured: None,
            notes: Vec::new(),
        })
    }

    /// What the target's own labels say, once.
    pub(super) fn measured(
        &self,
        sealed: Sealed,
        decided: &Decided,
        candidates: &[Candidate],
        taken: usize,
    ) -> Result<Option<Measured>> {
        let unsealed = sealed.open(decided);
        let foreign: Vec<(String, usize)> = unsealed.foreign.into_iter().collect();
        let known: Vec<(usize, usize)> =
            unsealed.labels.iter().enumerate().filter_map(|(at, label)| label.map(|label| (at, label))).collect();
        if known.is_empty() {
            return Ok(None);
        }
        let right = |candidate: &Candidate| -> Vec<bool> {
            known.iter().map(|&(at, label)| candidate.answers[at] == label).collect()
        };
        let labels: Vec<usize> = known.iter().map(|(_, label)| *label).collect();
        let how = "on the target, looked at once; Wilson interval, 95 %";
        let (own, new) = (right(&candidates[0]), right(&candidates[taken]));
        let classes = self.classes();
        let methods = candidates.iter().filter(|candidate| candidate.refused.is_none()).map(|candidate| {
            let of = known.iter().flat_map(|&(at, _)| &candidate.probabilities[at * classes..][..classes]);
            let probabilities: Vec<f32> = of.map(|&p| p as f32).collect();
            let balanced = evaluate_imbalance(&probabilities, &labels, classes, self.source.seed, how)?;
            Ok(MethodMeasured {
                name: candidate.name.to_owned(),
                accuracy: estimate(&right(candidate), how).mean,
                balanced_accuracy: balanced.balanced_accuracy.mean,
            })
        });
        Ok(Some(Measured {
            labelled: known.len(),
            foreign,
            source_only: estimate(&own, how),
            adapted: estimate(&new, how),
            paired: paired_difference(&new, &own)?,
            methods: methods.collect::<Result<_>>()?,
            oracle: self.oracle(&known, &labels)?,
        }))
    }

    /// What a head does that learns from the target's own labels, out of fold.
    fn oracle(&self, known: &[(usize, usize)], labels: &[usize]) -> Result<Option<Estimate>> {
        let mut counts = vec![0usize; self.classes()];
        labels.iter().for_each(|&label| counts[label] += 1);
        if counts.iter().filter(|count| **count >= FOLDS).count() < 2 {
            return Ok(None);
        }
        let rows: Vec<usize> = known.iter().map(|(at, _)| *at).collect();
        let features = self.features.select(&rows);
        let places: Vec<usize> = (0..rows.len()).collect();
        let folds = stratified_folds(labels, &places, FOLDS, self.source.seed);
        let options = Options { class_weights: self.weights.clone(), ..Options::default() };
        let found = cross_validate(&features, labels, &folds, self.classes(), &options, self.observer)?;
        let rows = found.out_of_fold.chunks_exact(self.classes()).zip(labels);
        let right: Vec<bool> = rows.map(|(row, &label)| argmax(row) == label).collect();
        let how = "a head that learns from the target's own labels, out of fold; Wilson interval, 95 %";
        Ok(Some(estimate(&right, how)))
    }
}

fn estimate(right: &[bool], how: &str) -> Estimate {
    let (n, successes) = (right.len(), right.iter().filter(|right| **right).count());
    let (low, high) = wilson(successes, n);
    Estimate { mean: successes as f64 / n.max(1) as f64, low, high, n, how: how.into() }
}
