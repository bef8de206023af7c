//! Scores of translations: corpus and sentence BLEU and chrF from statistics of each sentence, their intervals, and paired tests of two systems.
//!
//! Scores, the lines that tell them and the statistics of the paired tests are those of sacrebleu (Post, 2018); resamples come from our own
//! streams, so that p-values agree with sacrebleu's within their Monte Carlo error, and are the same for any number of threads.

use rand::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::bleu::{BLEU_STATISTICS, BleuScore, BleuSettings};
use super::chrf::ChrfSettings;
use super::interval::{Estimate, Paired, bootstrap, drawn_times, paired_gain, quantile, resampled};
use crate::error::{Error, Problem, Result};
use crate::rng::rng;

/// Resamples of the paired bootstrap, sacrebleu's default.
pub const BOOTSTRAP_RESAMPLES: usize = 1000;
/// Trials of approximate randomisation, sacrebleu's default.
pub const RANDOMISATION_TRIALS: usize = 10_000;
/// Resamples or trials that may be asked for.
const MOST_TRIALS: usize = 1_000_000;
/// Below this many sentences resamples say little of what other sentences would give.
const FEW_SENTENCES: usize = 30;

/// A metric of translations and its settings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TranslationMetric {
    /// BLEU.
    Bleu(BleuSettings),
    /// chrF, chrF++.
    Chrf(ChrfSettings),
}

impl TranslationMetric {
    /// Refuses settings that are invalid.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Bleu(settings) => settings.check(),
            Self::Chrf(settings) => settings.check(),
        }
    }

    /// `BLEU`, `chrF2`, `chrF2++`.
    pub fn name(&self) -> String {
        match self {
            Self::Bleu(_) => "BLEU".to_owned(),
            Self::Chrf(settings) => settings.name(),
        }
    }

    /// What says how a score was made, in the form of sacrebleu: `nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:engraft-0.1.0`. The
    /// version is this program's and says so; everything before it is as sacrebleu has it.
    pub fn signature(&self, references: usize) -> String {
        let settings = match self {
            Self::Bleu(settings) => settings.signature(),
            Self::Chrf(settings) => settings.signature(),
        };
        format!("nrefs:{references}|{settings}|version:engraft-{}", env!("CARGO_PKG_VERSION"))
    }

    /// Numbers that are kept of a sentence.
    fn width(&self) -> usize {
        match self {
            Self::Bleu(_) => BLEU_STATISTICS,
            Self::Chrf(settings) => settings.width(),
        }
    }

    /// What is kept of a sentence: counts, of which those of a corpus are the sums.
    fn statistics(&self, hypothesis: &str, references: &[&str]) -> Vec<u32> {
        match self {
            Self::Bleu(settings) => settings.statistics(hypothesis, references).to_vec(),
            Self::Chrf(settings) => settings.statistics(hypothesis, references),
        }
    }

    fn score(&self, sums: &[u64]) -> f64 {
        match self {
            Self::Bleu(settings) => settings.score(sums).score,
            Self::Chrf(settings) => settings.score(sums),
        }
    }

    /// The metric as it is used for one sentence: BLEU with `effective_order`.
    fn of_sentences(self) -> Self {
        match self {
            Self::Bleu(settings) => Self::Bleu(BleuSettings { effective_order: true, ..settings }),
            Self::Chrf(_) => self,
        }
    }
}

/// What the score of a corpus is computed from, sentence by sentence: 40 bytes a sentence for BLEU, 72 for chrF.
#[derive(Debug, Clone)]
pub struct TranslationStatistics {
    metric: TranslationMetric,
    /// `[sentences, width]`.
    rows: Vec<u32>,
    references: usize,
}

impl TranslationStatistics {
    /// Of no sentence yet.
    ///
    /// # Errors
    /// [`Error::Usage`] where the settings are invalid or there is no reference.
    pub fn new(metric: TranslationMetric, references: usize) -> Result<Self> {
        metric.check()?;
        if references == 0 {
            return Err(Error::Usage(Problem::new("there is no reference to score against").expected("at least one")));
        }
        Ok(Self { metric, rows: Vec::new(), references })
    }

    /// Of translations and, for each, its references (as many for each).
    ///
    /// # Errors
    /// As [`TranslationStatistics::new`] and [`TranslationStatistics::extend`].
    pub fn of<S: AsRef<str> + Sync>(
        metric: TranslationMetric,
        hypotheses: &[S],
        references: &[Vec<S>],
    ) -> Result<Self> {
        let mut statistics = Self::new(metric, references.first().map_or(1, Vec::len))?;
        statistics.extend(hypotheses, references)?;
        Ok(statistics)
    }

    /// Adds sentences, each with its references. Computed on all threads, kept in order.
    ///
    /// # Errors
    /// [`Error::Data`] where a sentence has another number of references than was said, or there are more of one than of the other.
    pub fn extend<S: AsRef<str> + Sync>(&mut self, hypotheses: &[S], references: &[Vec<S>]) -> Result<()> {
        let odd = references.iter().find(|references| references.len() != self.references);
        if hypotheses.len() != references.len() || odd.is_some() {
            let told =
                |sentences: usize, references: usize| format!("{sentences} sentences, {references} references each");
            return Err(Error::Data(
                Problem::new("translations and references do not match")
                    .expected(told(hypotheses.len(), self.references))
                    .found(told(references.len(), odd.map_or(self.references, Vec::len))),
            ));
        }
        let rows: Vec<Vec<u32>> = hypotheses
            .par_iter()
            .zip(references)
            .map(|(hypothesis, references)| {
                let references: Vec<&str> = references.iter().map(AsRef::as_ref).collect();
                self.metric.statistics(hypothesis.as_ref(), &references)
            })
            .collect();
        rows.iter().for_each(|row| self.rows.extend(row));
        Ok(())
    }

    /// The number of sentences.
    pub fn len(&self) -> usize {
        self.rows.len() / self.metric.width()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The metric.
    pub fn metric(&self) -> &TranslationMetric {
        &self.metric
    }

    /// Sums over all sentences, each as often as `times` says.
    fn sums(&self, times: impl Fn(usize) -> u64) -> Vec<u64> {
        let mut sums = vec![0; self.metric.width()];
        for (index, row) in self.rows.chunks_exact(self.metric.width()).enumerate() {
            let times = times(index);
            if times > 0 {
                sums.iter_mut().zip(row).for_each(|(sum, &count)| *sum += times * u64::from(count));
            }
        }
        sums
    }

    /// The score of a resample, by how often each sentence was drawn.
    fn resampled(&self, counts: &[u32]) -> f64 {
        self.metric.score(&self.sums(|index| u64::from(counts[index])))
    }

    /// The score of the corpus, from 0 to 100.
    pub fn score(&self) -> f64 {
        self.metric.score(&self.sums(|_| 1))
    }

    /// What BLEU of the corpus is made of; none of chrF.
    pub fn bleu(&self) -> Option<BleuScore> {
        match &self.metric {
            TranslationMetric::Bleu(settings) => Some(settings.score(&self.sums(|_| 1))),
            TranslationMetric::Chrf(_) => None,
        }
    }

    /// The score of each sentence alone; BLEU with effective order, as sacrebleu's `--sentence-level`.
    pub fn sentence_scores(&self) -> Vec<f64> {
        let metric = self.metric.of_sentences();
        let score = |row: &[u32]| metric.score(&row.iter().map(|&count| u64::from(count)).collect::<Vec<u64>>());
        self.rows.par_chunks_exact(metric.width()).map(score).collect()
    }

    /// sacrebleu's signature.
    pub fn signature(&self) -> String {
        self.metric.signature(self.references)
    }

    /// The line that sacrebleu prints with `width` digits after the point: `BLEU|nrefs:1|... = 30.12 60.0/... (BP = ...)`.
    pub fn line(&self, width: usize) -> String {
        let verbose = self.bleu().map(|bleu| format!(" {}", bleu.verbose())).unwrap_or_default();
        format!("{}|{} = {:.width$}{verbose}", self.metric.name(), self.signature(), self.score())
    }

    /// The score with its 95 % interval, by the percentile bootstrap over sentences.
    ///
    /// # Errors
    /// [`Error::Data`] where there is no sentence.
    pub fn evaluate(&self, seed: u64) -> Result<TranslationScore> {
        if self.is_empty() {
            let problem = Problem::new("there is nothing to score").expected("at least one sentence");
            return Err(Error::Data(problem.found("no line")));
        }
        let n = self.len();
        let mean = self.score();
        let [(low, high)] = bootstrap(n, seed, &[mean], |counts| [self.resampled(counts)]);
        let name = self.metric.name();
        let mut how = resampled(&format!("{name} of all sentences together"), n);
        if n < FEW_SENTENCES {
            how.push_str(&format!("; of {n} sentences the interval is too short"));
        }
        Ok(TranslationScore {
            metric: name,
            estimate: Estimate { mean, low, high, n, how },
            bleu: self.bleu(),
            signature: self.signature(),
            line: self.line(2),
        })
    }

    /// Compares this system with another one on the same sentences by sacrebleu's two paired tests. Both are of the hypothesis that the
    /// systems are equally good; `Paired` significance needs one of them, not both.
    ///
    /// - Paired bootstrap (Koehn, "Statistical Significance Tests for Machine Translation Evaluation", 2004; sacrebleu's `--paired-bs`): with
    ///   `d_b` the absolute difference of the scores on resample `b`, `p = (1 + #{d_b - mean(d) > |d|}) / (1 + resamples)`.
    /// - Approximate randomisation (Riezler and Maxwell, 2005; `--paired-ar`): with `d_t` the absolute difference after each sentence went to
    ///   the other system with probability 1/2, `p = (1 + #{d_t > |d|}) / (1 + trials)`. No trials (0) leave it out.
    ///
    /// The interval of the difference is that of the percentile bootstrap. Resample `b` draws from `(seed, "bootstrap", b)`, trial `t` from
    /// `(seed, "approximate randomisation", t)`.
    ///
    /// # Errors
    /// [`Error::Data`] where the systems have not the same number of sentences, or none; [`Error::Usage`] where their metrics differ, or for
    /// more than a million trials or no resample.
    pub fn compare(&self, other: &Self, seed: u64, resamples: usize, trials: usize) -> Result<TranslationComparison> {
        self.require_same(other)?;
        if !(1..=MOST_TRIALS).contains(&resamples) || trials > MOST_TRIALS {
            let problem = Problem::new("invalid number of resamples").expected(format!("1 to {MOST_TRIALS}"));
            return Err(Error::Usage(problem.found(format!("{resamples} resamples, {trials} trials"))));
        }
        let n = self.len();
        let (score, against) = (self.score(), other.score());
        let difference = score - against;
        let draws = drawn_times(n, resamples, seed, |counts| [self.resampled(counts), other.resampled(counts)]);
        let mut differences: Vec<f64> = draws.iter().map(|[mine, theirs]| mine - theirs).collect();
        let mean = differences.iter().map(|difference| difference.abs()).sum::<f64>() / resamples as f64;
        let beyond = differences.iter().filter(|drawn| drawn.abs() - mean > difference.abs()).count();
        differences.sort_unstable_by(f64::total_cmp);
        let p_randomisation = (trials > 0).then(|| {
            let beyond = self.exchanged(other, seed, trials).iter().filter(|&&drawn| drawn > difference.abs()).count();
            (beyond + 1) as f64 / (trials + 1) as f64
        });
        Ok(TranslationComparison {
            metric: self.metric.name(),
            score,
            against,
            difference,
            low: quantile(&differences, 0.025).min(difference),
            high: quantile(&differences, 0.975).max(difference),
            n,
            p_bootstrap: (beyond + 1) as f64 / (resamples + 1) as f64,
            resamples,
            p_randomisation,
            trials,
            how: format!(
                "{} of all sentences together; percentile bootstrap over the same sentences, 95 %",
                self.metric.name()
            ),
        })
    }

    /// By how much this system is better than another on the same sentences, as targets compare a candidate with a reference.
    ///
    /// # Errors
    /// As [`TranslationStatistics::compare`].
    pub fn paired(&self, other: &Self, seed: u64) -> Result<Paired> {
        self.require_same(other)?;
        let what = format!("{}, candidate minus reference", self.metric.name());
        paired_gain(self.len(), seed, &what, |counts| self.resampled(counts) - other.resampled(counts))
    }

    fn require_same(&self, other: &Self) -> Result<()> {
        if self.metric != other.metric {
            let problem = Problem::new("two systems are compared by one metric").expected(self.signature());
            return Err(Error::Usage(problem.found(other.signature())));
        }
        if self.len() == other.len() && !self.is_empty() {
            return Ok(());
        }
        let problem = Problem::new("two systems can be compared on the same sentences only");
        let problem = problem.expected("as many sentences of the one as of the other, at least one");
        Err(Error::Data(problem.found(format!("{} and {}", self.len(), other.len()))))
    }

    /// Absolute differences of the scores after sentences were exchanged at random.
    fn exchanged(&self, other: &Self, seed: u64, trials: usize) -> Vec<f64> {
        let width = self.metric.width();
        // What exchanging a sentence adds to the other's sums and takes from this one's.
        let moved: Vec<i64> =
            self.rows.iter().zip(&other.rows).map(|(&mine, &theirs)| i64::from(mine) - i64::from(theirs)).collect();
        let signed = |sums: Vec<u64>| -> Vec<i64> { sums.into_iter().map(|sum| sum as i64).collect() };
        let (mine, theirs) = (signed(self.sums(|_| 1)), signed(other.sums(|_| 1)));
        let score = |sums: &[i64], by: &[i64], sign: i64| {
            let sums: Vec<u64> = sums.iter().zip(by).map(|(sum, by)| (sum + sign * by) as u64).collect();
            self.metric.score(&sums)
        };
        let trial = |trial: usize| {
            let mut stream = rng(seed, "approximate randomisation", trial as u64);
            let (mut bits, mut left) = (0_u64, 0);
            let mut by = vec![0_i64; width];
            for row in moved.chunks_exact(width) {
                if left == 0 {
                    (bits, left) = (stream.next_u64(), 64);
                }
                if bits & 1 == 1 {
                    by.iter_mut().zip(row).for_each(|(sum, moved)| *sum += moved);
                }
                (bits, left) = (bits >> 1, left - 1);
            }
            (score(&mine, &by, -1) - score(&theirs, &by, 1)).abs()
        };
        (0..trials).into_par_iter().map(trial).collect()
    }
}

/// The score of a system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TranslationScore {
    /// `BLEU`, `chrF2`, `chrF2++`.
    pub metric: String,
    /// From 0 to 100, with its interval.
    pub estimate: Estimate,
    /// What BLEU is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bleu: Option<BleuScore>,
    /// How it was made, in the form of sacrebleu.
    pub signature: String,
    /// The line that sacrebleu prints, with two digits after the point.
    pub line: String,
}

/// Two systems on the same sentences. See [`TranslationStatistics::compare`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TranslationComparison {
    /// `BLEU`, `chrF2`, `chrF2++`.
    pub metric: String,
    /// The score of the system.
    pub score: f64,
    /// The score of the other one.
    pub against: f64,
    /// The first minus the second.
    pub difference: f64,
    /// Lower end of the 95 % interval of the difference.
    pub low: f64,
    /// Upper end of the 95 % interval of the difference.
    pub high: f64,
    /// Number of sentences.
    pub n: usize,
    /// Of the paired bootstrap, as sacrebleu's `--paired-bs`.
    pub p_bootstrap: f64,
    /// Resamples behind it.
    pub resamples: usize,
    /// Of approximate randomisation, as sacrebleu's `--paired-ar`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_randomisation: Option<f64>,
    /// Trials behind it.
    pub trials: usize,
    /// How the interval was made, in words.
    pub how: String,
}

#[cfg(test)]
#[path = "translation_tests.rs"]
mod tests;
