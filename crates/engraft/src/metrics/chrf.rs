//! chrF (Popović, "chrF: character n-gram F-score for automatic MT evaluation", 2015) and chrF++ ("chrF++: words helping character n-grams",
//! 2017) with sacrebleu's digits and signature.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::ngrams::{Counted, counted, is_space, shared, words};
use crate::error::{Error, Problem, Result};

/// The longest runs of characters: six of 21 bits each make one number.
pub(crate) const LONGEST_CHARACTERS: usize = 6;
/// The longest runs of words.
pub(crate) const LONGEST_WORDS: usize = 4;
/// Bits of a character, and of one more than the last: zero stands for none.
const BITS: u32 = 21;

/// How chrF is computed. The defaults are sacrebleu's, those of chrF2; with `word_order` 2 it is chrF2++.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChrfSettings {
    /// The longest runs of characters, 1 to 6. Default 6.
    pub char_order: usize,
    /// The longest runs of words, 0 to 4. Default 0; 2 makes it chrF++.
    pub word_order: usize,
    /// How many times recall counts as much as precision, 1 to 10. Default 2.
    pub beta: u32,
    /// Whether upper and lower case are the same. Default: they are not.
    pub lowercase: bool,
    /// Whether runs of characters go over white space. Default: it is left out.
    pub whitespace: bool,
    /// Whether runs of lengths that are missing count as nearly zero, as in Popović's own program. Default: they are left out of the mean.
    pub eps_smoothing: bool,
}

impl Default for ChrfSettings {
    fn default() -> Self {
        Self {
            char_order: LONGEST_CHARACTERS,
            word_order: 0,
            beta: 2,
            lowercase: false,
            whitespace: false,
            eps_smoothing: false,
        }
    }
}

/// Runs of one length as numbers: characters, or words by their numbers.
type Runs = Counted<u128>;

impl ChrfSettings {
    /// Refuses lengths and weights that are not computed.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn check(&self) -> Result<()> {
        let limits = [
            ("length of runs of characters", self.char_order, 1, LONGEST_CHARACTERS),
            ("length of runs of words", self.word_order, 0, LONGEST_WORDS),
            ("beta", self.beta as usize, 1, 10),
        ];
        for (what, found, least, most) in limits {
            if !(least..=most).contains(&found) {
                let problem = Problem::new(format!("invalid {what} for chrF"));
                return Err(Error::Usage(problem.expected(format!("{least} to {most}")).found(found)));
            }
        }
        Ok(())
    }

    /// `chrF2`, and a plus for each length of runs of words.
    pub(super) fn name(&self) -> String {
        format!("chrF{}{}", self.beta, "+".repeat(self.word_order))
    }

    /// The settings in sacrebleu's signature, between the number of references and the version.
    pub(super) fn signature(&self) -> String {
        let case = if self.lowercase { "lc" } else { "mixed" };
        let said = |is_so: bool| if is_so { "yes" } else { "no" };
        format!(
            "case:{case}|eff:{}|nc:{}|nw:{}|space:{}",
            said(!self.eps_smoothing),
            self.char_order,
            self.word_order,
            said(self.whitespace)
        )
    }

    /// Numbers of a sentence from which chrF is computed: for each length of runs those of the hypothesis, of the reference, and in both.
    pub(super) fn width(&self) -> usize {
        3 * (self.char_order + self.word_order)
    }

    /// The statistics of one sentence against that of its references with the best score, the first of equals.
    pub(super) fn statistics(&self, hypothesis: &str, references: &[&str]) -> Vec<u32> {
        let mut numbers = HashMap::new();
        let hypothesis = self.runs(hypothesis, &mut numbers);
        let mut best = (-1.0, vec![0; self.width()]);
        for reference in references {
            let reference = self.runs(reference, &mut numbers);
            let mut statistics = Vec::with_capacity(self.width());
            for (a, b) in hypothesis.iter().zip(&reference) {
                let all = |runs: &Runs| runs.iter().map(|&(_, count)| count).sum::<u32>();
                let mut both = 0;
                shared(a, b, |_, a, b| both += a.min(b));
                // Runs of a length that the reference does not have are not counted.
                statistics.extend([if b.is_empty() { 0 } else { all(a) }, all(b), both]);
            }
            let sums: Vec<u64> = statistics.iter().map(|&count| u64::from(count)).collect();
            let score = self.score(&sums);
            if score > best.0 {
                best = (score, statistics);
            }
        }
        best.1
    }

    /// The runs of a line, those of characters first, by length.
    fn runs(&self, line: &str, numbers: &mut HashMap<String, u32>) -> Vec<Runs> {
        let line = if self.lowercase { line.to_lowercase() } else { line.to_owned() };
        let characters: Vec<u32> =
            line.chars().filter(|&c| self.whitespace || !is_space(c)).map(|c| u32::from(c) + 1).collect();
        let pack = |window: &[u32], bits: u32| window.iter().fold(0_u128, |run, &part| run << bits | u128::from(part));
        let of_characters =
            (1..=self.char_order).map(|order| counted(characters.windows(order).map(|run| pack(run, BITS)).collect()));
        let mut runs: Vec<Runs> = of_characters.collect();
        if self.word_order > 0 {
            let mut number = |word: &str| {
                let next = numbers.len() as u32;
                *numbers.entry(word.to_owned()).or_insert(next)
            };
            let words: Vec<u32> = parted(&line).map(&mut number).collect();
            runs.extend(
                (1..=self.word_order).map(|order| counted(words.windows(order).map(|run| pack(run, 32)).collect())),
            );
        }
        runs
    }

    /// chrF of summed statistics, from 0 to 100: with means of precision and recall over the lengths of runs,
    /// `(1 + beta²) P R / (beta² P + R)`.
    pub(super) fn score(&self, sums: &[u64]) -> f64 {
        const EPSILON: f64 = 1e-16;
        let factor = f64::from(self.beta).powi(2);
        let (mut score, mut precision, mut recall, mut effective) = (0.0, 0.0, 0.0, 0_u32);
        for counts in sums.chunks_exact(3) {
            let [hypothesis, reference, both] = [counts[0], counts[1], counts[2]].map(|count| count as f64);
            let share = |all: f64| if all > 0.0 { both / all } else { EPSILON };
            let (p, r) = (share(hypothesis), share(reference));
            let weight = factor * p + r;
            score += if weight > 0.0 { (1.0 + factor) * p * r / weight } else { EPSILON };
            if hypothesis > 0.0 && reference > 0.0 {
                precision += p;
                recall += r;
                effective += 1;
            }
        }
        if self.eps_smoothing {
            return 100.0 * score / (self.char_order + self.word_order) as f64;
        }
        if effective > 0 {
            precision /= f64::from(effective);
            recall /= f64::from(effective);
        }
        if precision + recall == 0.0 {
            return 0.0;
        }
        let score = (1.0 + factor) * precision * recall;
        100.0 * (score / (factor * precision + recall))
    }
}

/// The words of a line, and a sign of ASCII punctuation at the end of one, or else at its beginning, as a word of its own.
fn parted(line: &str) -> impl Iterator<Item = &str> {
    words(line).flat_map(|word| {
        let mut characters = word.chars();
        let ends = (characters.next(), characters.next_back());
        let (first, second) = match ends {
            (Some(_), Some(last)) if last.is_ascii_punctuation() => word.split_at(word.len() - 1),
            (Some(first), Some(_)) if first.is_ascii_punctuation() => word.split_at(1),
            _ => (word, ""),
        };
        [first, second].into_iter().filter(|part| !part.is_empty())
    })
}
