//! Answers cut out of a text: exact match and F1 as the official scripts of SQuAD 1.1 (Rajpurkar et al. 2016, section 6.1)
//! and SQuAD 2.0 (Rajpurkar et al. 2018) compute them, and the best threshold for not answering as the latter finds it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::interval::{Estimate, Paired, bootstrap, paired_gain, resampled};
use crate::error::Result;

/// An answer as it is compared: lower-case, without the punctuation of ASCII, without `a`, `an` and `the`, single spaces.
///
/// ```
/// assert_eq!(engraft::metrics::normalise_answer("The  U.S. Army's"), "us armys");
/// ```
pub fn normalise_answer(text: &str) -> String {
    tokens(text).join(" ")
}

fn tokens(text: &str) -> Vec<String> {
    let lower: String = text.to_lowercase().chars().filter(|c| !c.is_ascii_punctuation()).collect();
    without_articles(&lower).split(is_space).filter(|token| !token.is_empty()).map(str::to_owned).collect()
}

/// What Python's `str.split` splits at.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Every whole word `a`, `an` or `the` replaced by a space. A word is what Python's `\w+` matches: letters and digits, of
/// which `_` is gone with the punctuation.
fn without_articles(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = first.is_alphanumeric();
        let end = rest.find(|c: char| c.is_alphanumeric() != is_word).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        kept.push_str(if is_word && matches!(run, "a" | "an" | "the") { " " } else { run });
        rest = after;
    }
    kept
}

/// Which of the two official scripts counts. They differ where one side has no token left: 2.0 then gives 1 for two empty
/// sides, 1.1 gives 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SquadVersion {
    /// Every question has an answer.
    #[default]
    #[serde(rename = "1.1")]
    V1,
    /// Questions may have none: an empty answer says so.
    #[serde(rename = "2.0")]
    V2,
}

/// Exact match and F1 of one answer, each the largest over all right answers; in 2.0 an empty answer is the right one where
/// there is no other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct AnswerScore {
    /// 1 where a right answer was given to the letter, after normalisation.
    pub em: f64,
    /// Harmonic mean of the precision and recall of tokens.
    pub f1: f64,
}

impl AnswerScore {
    /// Of an answer.
    pub(crate) fn of(answer: &str, golds: &[&str], version: SquadVersion) -> Self {
        let answer = tokens(answer);
        let mut golds: Vec<Vec<String>> = golds.iter().map(|gold| tokens(gold)).collect();
        if version == SquadVersion::V2 {
            golds.retain(|gold| !gold.is_empty());
            if golds.is_empty() {
                golds.push(Vec::new());
            }
        }
        let em = golds.contains(&answer);
        let f1 = golds.iter().map(|gold| overlap(gold, &answer, version)).fold(0.0, f64::max);
        Self { em: f64::from(u8::from(em)), f1 }
    }
}

fn overlap(gold: &[String], answer: &[String], version: SquadVersion) -> f64 {
    if version == SquadVersion::V2 && (gold.is_empty() || answer.is_empty()) {
        return f64::from(u8::from(gold == answer));
    }
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    gold.iter().for_each(|token| *left.entry(token).or_default() += 1);
    let mut same = 0;
    for token in answer {
        if let Some(count) = left.get_mut(token.as_str()).filter(|count| **count > 0) {
            *count -= 1;
            same += 1;
        }
    }
    if same == 0 {
        return 0.0;
    }
    let (precision, recall) = (same as f64 / answer.len() as f64, same as f64 / gold.len() as f64);
    2.0 * precision * recall / (precision + recall)
}

/// What a question got before any threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ScoredAnswer {
    /// Its score.
    pub score: f64,
    /// Whether it was answered at all (the text is not empty).
    pub answered: bool,
    /// Whether it has an answer.
    pub has_answer: bool,
    /// How strongly no answer is meant: larger is more.
    pub no_answer: f64,
}

/// The threshold of "no answer" that gives the best mean score, and that score: questions above it are left unanswered
/// (`find_best_thresh` of the official script of SQuAD 2.0, in the order of the scores; of equals the first).
pub(crate) fn best_no_answer_threshold(answers: &[ScoredAnswer]) -> (f64, f64) {
    let mut order: Vec<&ScoredAnswer> = answers.iter().collect();
    order.sort_by(|a, b| a.no_answer.total_cmp(&b.no_answer));
    let mut now = answers.iter().filter(|answer| !answer.has_answer).count() as f64;
    // Nothing is answered at first. The script begins at 0, since its scores are probabilities.
    let least = order.first().map_or(0.0, |first| first.no_answer);
    let (mut best, mut threshold) = (now, if least < 0.0 { least - 1.0 } else { 0.0 });
    for answer in order {
        now += match (answer.has_answer, answer.answered) {
            (true, _) => answer.score,
            (false, true) => -1.0,
            (false, false) => 0.0,
        };
        if now > best {
            (best, threshold) = (now, answer.no_answer);
        }
    }
    (best / answers.len().max(1) as f64, threshold)
}

/// How well questions were answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnswerEvaluation {
    /// Share of exact matches.
    pub em: Estimate,
    /// Mean F1.
    pub f1: Estimate,
    /// The same of the questions that have an answer, where others have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_answer: Option<AnswerPart>,
    /// The same of the questions that have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_answer: Option<AnswerPart>,
}

/// A part of the questions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AnswerPart {
    /// Share of exact matches.
    pub em: f64,
    /// Mean F1.
    pub f1: f64,
    /// Questions.
    pub n: usize,
}

/// Evaluates answers by their scores; intervals are bootstrapped over `groups`, since the questions about one paragraph
/// stand and fall together. `has_answer` says of each question whether it has one.
///
/// # Panics
/// If there is not one group and one truth for each score.
pub(crate) fn evaluate_answers(
    scores: &[AnswerScore],
    has_answer: &[bool],
    groups: &[usize],
    how: &str,
    seed: u64,
) -> AnswerEvaluation {
    assert_eq!((scores.len(), scores.len()), (has_answer.len(), groups.len()), "every answer has a truth and a group");
    let units = sums_by_group(scores, groups);
    let measured = means(&units, &vec![1; units.len()]);
    let intervals = bootstrap(units.len(), seed, &measured, |counts| means(&units, counts));
    let how = resampled(&format!("{how}, by paragraph"), units.len());
    let estimate = |m: usize| {
        let (low, high) = intervals[m];
        Estimate { mean: measured[m], low, high, n: scores.len(), how: how.clone() }
    };
    let part = |wanted: bool| {
        let chosen: Vec<&AnswerScore> =
            scores.iter().zip(has_answer).filter(|(_, has)| **has == wanted).map(|(score, _)| score).collect();
        let mean = |of: fn(&AnswerScore) -> f64| chosen.iter().map(|s| of(s)).sum::<f64>() / chosen.len() as f64;
        (!chosen.is_empty()).then(|| AnswerPart { em: mean(|s| s.em), f1: mean(|s| s.f1), n: chosen.len() })
    };
    let mixed = has_answer.iter().any(|has| !has);
    AnswerEvaluation {
        em: estimate(0),
        f1: estimate(1),
        has_answer: if mixed { part(true) } else { None },
        no_answer: if mixed { part(false) } else { None },
    }
}

/// By how much the mean F1 of a candidate is better than a reference's, on the same questions.
///
/// # Errors
/// Where there is no question.
pub(crate) fn paired_answer_f1(
    candidate: &[AnswerScore],
    reference: &[AnswerScore],
    groups: &[usize],
    seed: u64,
) -> Result<Paired> {
    let (mine, theirs) = (sums_by_group(candidate, groups), sums_by_group(reference, groups));
    paired_gain(mine.len(), seed, "mean F1 of answers, candidate minus reference, by paragraph", |counts| {
        means(&mine, counts)[1] - means(&theirs, counts)[1]
    })
}

/// Exact matches, F1 and questions of each group.
fn sums_by_group(scores: &[AnswerScore], groups: &[usize]) -> Vec<[f64; 3]> {
    let mut sums: BTreeMap<usize, [f64; 3]> = BTreeMap::new();
    for (score, group) in scores.iter().zip(groups) {
        let sum = sums.entry(*group).or_default();
        *sum = [sum[0] + score.em, sum[1] + score.f1, sum[2] + 1.0];
    }
    sums.into_values().collect()
}

fn means(units: &[[f64; 3]], counts: &[u32]) -> [f64; 2] {
    let mut sum = [0.0; 3];
    for (unit, &times) in units.iter().zip(counts) {
        (0..3).for_each(|k| sum[k] += f64::from(times) * unit[k]);
    }
    [sum[0] / sum[2], sum[1] / sum[2]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Golden {
        normalised: Vec<(String, String)>,
        scores: Vec<Case>,
        thresholds: Vec<Thresholds>,
    }

    #[derive(Deserialize)]
    struct Case {
        answer: String,
        golds: Vec<String>,
        v1: Option<[f64; 2]>,
        v2: [f64; 2],
    }

    #[derive(Deserialize)]
    struct Thresholds {
        /// Score, whether answered, whether there is an answer, and how strongly none is meant.
        answers: Vec<(f64, bool, bool, f64)>,
        best: f64,
        threshold: f64,
    }

    fn golden() -> Golden {
        serde_json::from_str(include_str!("../../tests/fixtures/answers.json")).unwrap()
    }

    #[test]
    fn scores_are_those_of_the_official_scripts() {
        let golden = golden();
        for (text, expected) in golden.normalised {
            assert_eq!(normalise_answer(&text), expected, "{text:?}");
        }
        for case in golden.scores {
            let golds: Vec<&str> = case.golds.iter().map(String::as_str).collect();
            for (version, expected) in [(SquadVersion::V1, case.v1), (SquadVersion::V2, Some(case.v2))] {
                let Some([em, f1]) = expected else { continue };
                let found = AnswerScore::of(&case.answer, &golds, version);
                assert_eq!(found.em, em, "{:?} {golds:?}", case.answer);
                assert!((found.f1 - f1).abs() < 1e-12, "{:?} {golds:?}: {} {f1}", case.answer, found.f1);
            }
        }
    }

    #[test]
    fn thresholds_are_those_of_the_official_script() {
        for case in golden().thresholds {
            let scored = case.answers.into_iter().map(|(score, answered, has_answer, no_answer)| ScoredAnswer {
                score,
                answered,
                has_answer,
                no_answer,
            });
            let (best, threshold) = best_no_answer_threshold(&scored.collect::<Vec<_>>());
            assert!((best - case.best).abs() < 1e-9 && threshold == case.threshold, "{best} {threshold}");
        }
    }

    #[test]
    fn intervals_are_wider_where_questions_hang_together() {
        let scores: Vec<AnswerScore> =
            (0..400).map(|at| AnswerScore { em: f64::from(at / 40 % 2), f1: f64::from(at / 40 % 2) }).collect();
        let has = vec![true; scores.len()];
        let alone: Vec<usize> = (0..scores.len()).collect();
        let together: Vec<usize> = (0..scores.len()).map(|at| at / 40).collect();
        let width = |groups: &[usize]| {
            let em = evaluate_answers(&scores, &has, groups, "", 0).em;
            assert_eq!((em.mean, em.n), (0.5, 400));
            em.high - em.low
        };
        assert!(width(&together) > 3.0 * width(&alone));
    }
}
