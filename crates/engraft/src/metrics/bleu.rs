//! BLEU (Papineni et al., "BLEU: a Method for Automatic Evaluation of Machine Translation", 2002) with sacrebleu's digits and signature.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::bleu_tokenisers::BleuTokeniser;
use super::ngrams::{Counted, counted, most, shared, words};
use crate::error::{Error, Problem, Result};

/// The longest runs of words that BLEU counts.
pub(crate) const ORDER: usize = 4;

/// Numbers of a sentence from which BLEU is computed: lengths of hypothesis and closest reference, then for runs of 1 to 4 words how many are
/// right, then how many there are.
pub(crate) const BLEU_STATISTICS: usize = 2 + 2 * ORDER;

/// What a precision is where no run of that length is right (Chen and Cherry, "A Systematic Comparison of Smoothing Techniques for
/// Sentence-Level BLEU", 2014); the names are sacrebleu's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Smoothing {
    /// Half as much as the last time: 1 / 2, 1 / 4, ... right runs (method 3, that of NIST).
    #[default]
    Exp,
    /// A small number of right runs, 0.1 where none is given (method 1).
    Floor,
    /// `k` more right runs and runs at lengths 2 to 4, 1 where none is given (method 2).
    AddK,
    /// Zero, so that the score is zero.
    None,
}

impl Smoothing {
    fn name(self) -> &'static str {
        match self {
            Self::Exp => "exp",
            Self::Floor => "floor",
            Self::AddK => "add-k",
            Self::None => "none",
        }
    }

    /// The value where none is given; none where the method has no value.
    fn usual(self) -> Option<f64> {
        match self {
            Self::Floor => Some(0.1),
            Self::AddK => Some(1.0),
            Self::Exp | Self::None => None,
        }
    }
}

/// How BLEU is computed. The defaults are sacrebleu's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BleuSettings {
    /// Whether upper and lower case are the same. Default: they are not.
    pub lowercase: bool,
    /// How lines are split into tokens. Default `13a`.
    pub tokeniser: BleuTokeniser,
    /// What a precision is where nothing is right. Default `exp`.
    pub smoothing: Smoothing,
    /// The value of `floor` (default 0.1) or `add-k` (default 1); refused for the others.
    pub smooth_value: Option<f64>,
    /// Whether runs longer than the sentence are left out of the mean. Meant for sentences, and always on for their scores. Default: no.
    pub effective_order: bool,
}

/// BLEU and what it is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BleuScore {
    /// From 0 to 100.
    pub score: f64,
    /// Percent of the runs of 1, 2, 3 and 4 words that are right, smoothed.
    pub precisions: [f64; ORDER],
    /// The penalty for translations shorter than their references, from 0 to 1.
    pub brevity_penalty: f64,
    /// Tokens of the translations.
    pub hypothesis_length: u64,
    /// Tokens of the references, of each sentence the one closest in length.
    pub reference_length: u64,
}

impl BleuScore {
    /// What sacrebleu prints after the score.
    pub(super) fn verbose(&self) -> String {
        let precisions: Vec<String> = self.precisions.iter().map(|precision| format!("{precision:.1}")).collect();
        let ratio = match self.reference_length {
            0 => 0.0,
            length => self.hypothesis_length as f64 / length as f64,
        };
        format!(
            "{} (BP = {:.3} ratio = {ratio:.3} hyp_len = {} ref_len = {})",
            precisions.join("/"),
            self.brevity_penalty,
            self.hypothesis_length,
            self.reference_length
        )
    }
}

/// Runs of up to four words, each as the numbers of its words from 1, padded with zeros.
type Run = [u32; ORDER];

impl BleuSettings {
    /// Refuses a smoothing value that its method does not have or that is no positive number.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn check(&self) -> Result<()> {
        let Some(value) = self.smooth_value else { return Ok(()) };
        let name = self.smoothing.name();
        if self.smoothing.usual().is_none() {
            let problem = Problem::new(format!("the smoothing method {name} has no value"));
            return Err(Error::Usage(problem.expected("floor or add-k where a value is given").found(value)));
        }
        if value.is_finite() && value > 0.0 {
            return Ok(());
        }
        let problem = Problem::new("invalid smoothing value").expected("a number above 0").found(value);
        Err(Error::Usage(problem))
    }

    /// The settings in sacrebleu's signature, between the number of references and the version.
    pub(super) fn signature(&self) -> String {
        let value = self.smoothing.usual().map(|usual| self.smooth_value.unwrap_or(usual));
        let value = value.map(|value| format!("[{value:.2}]")).unwrap_or_default();
        let case = if self.lowercase { "lc" } else { "mixed" };
        let effective = if self.effective_order { "yes" } else { "no" };
        format!("case:{case}|eff:{effective}|tok:{}|smooth:{}{value}", self.tokeniser.name(), self.smoothing.name())
    }

    /// The statistics of one sentence against its references.
    pub(super) fn statistics(&self, hypothesis: &str, references: &[&str]) -> [u32; BLEU_STATISTICS] {
        let mut numbers = HashMap::new();
        let (hypothesis, length) = self.runs(hypothesis, &mut numbers);
        let (mut reference, mut closest): (Counted<Run>, Option<u32>) = (Vec::new(), None);
        for text in references {
            let (runs, other) = self.runs(text, &mut numbers);
            reference = if reference.is_empty() { runs } else { most(&reference, &runs) };
            // Of two that are as close the shorter one.
            closest = Some(
                closest
                    .map_or(other, |best| std::cmp::min_by_key(best, other, |&other| (length.abs_diff(other), other))),
            );
        }
        let order = |run: &Run| run.iter().filter(|&&word| word > 0).count() - 1;
        let mut statistics = [0; BLEU_STATISTICS];
        (statistics[0], statistics[1]) = (length, closest.unwrap_or(0));
        hypothesis.iter().for_each(|(run, count)| statistics[2 + ORDER + order(run)] += count);
        shared(&hypothesis, &reference, |run, a, b| statistics[2 + order(run)] += a.min(b));
        statistics
    }

    /// The runs of a line and its number of words, which get the next numbers where they are new.
    fn runs(&self, line: &str, numbers: &mut HashMap<String, u32>) -> (Counted<Run>, u32) {
        let line = if self.lowercase { line.to_lowercase() } else { line.to_owned() };
        let split = self.tokeniser.split(&line);
        let mut number = |word: &str| match numbers.get(word) {
            Some(&number) => number,
            None => {
                let number = numbers.len() as u32 + 1;
                numbers.insert(word.to_owned(), number);
                number
            }
        };
        let words: Vec<u32> = words(&split).map(&mut number).collect();
        let mut runs = Vec::with_capacity(ORDER * words.len());
        for order in 1..=ORDER {
            runs.extend(words.windows(order).map(|window| {
                let mut run = [0; ORDER];
                run[..order].copy_from_slice(window);
                run
            }));
        }
        (counted(runs), words.len() as u32)
    }

    /// BLEU of summed statistics: `BP * exp(mean of the logarithms of the precisions)`, `BP = exp(1 - r / c)` where the hypotheses' length `c`
    /// is below the references' `r`.
    pub(super) fn score(&self, sums: &[u64]) -> BleuScore {
        let (hypothesis_length, reference_length) = (sums[0], sums[1]);
        let (correct, total) = (&sums[2..2 + ORDER], &sums[2 + ORDER..]);
        let brevity_penalty = match hypothesis_length {
            length if length >= reference_length => 1.0,
            0 => 0.0,
            length => (1.0 - reference_length as f64 / length as f64).exp(),
        };
        let mut score =
            BleuScore { score: 0.0, precisions: [0.0; ORDER], brevity_penalty, hypothesis_length, reference_length };
        if correct.iter().all(|&correct| correct == 0) {
            return score;
        }
        let value = self.smoothing.usual().map_or(0.0, |usual| self.smooth_value.unwrap_or(usual));
        let (mut halving, mut effective) = (1.0, ORDER);
        for n in 0..ORDER {
            let more = if self.smoothing == Smoothing::AddK && n > 0 { value } else { 0.0 };
            let (correct, total) = (correct[n] as f64 + more, total[n] as f64 + more);
            if total == 0.0 {
                break;
            }
            if self.effective_order {
                effective = n + 1;
            }
            score.precisions[n] = match self.smoothing {
                _ if correct > 0.0 => 100.0 * correct / total,
                Smoothing::Exp => {
                    halving *= 2.0;
                    100.0 / (halving * total)
                }
                Smoothing::Floor => 100.0 * value / total,
                Smoothing::AddK | Smoothing::None => 0.0,
            };
        }
        // The logarithm of nothing is very small, and the score zero.
        let log = |&precision: &f64| if precision == 0.0 { -9_999_999_999.0 } else { precision.ln() };
        let mean = score.precisions[..effective].iter().map(log).sum::<f64>() / effective as f64;
        score.score = brevity_penalty * mean.exp();
        score
    }
}
