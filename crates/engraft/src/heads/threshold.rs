//! When to say "unsure".

use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, DiscreteCDF};

use crate::error::{Error, Problem, Result};

/// How sure it is that new data keep the error rate that a rule promises.
pub(crate) const CONFIDENCE: f64 = 0.9;

/// Error rates that are offered where the one asked for cannot be promised.
const USUAL_RATES: [f64; 6] = [0.05, 0.1, 0.15, 0.2, 0.3, 0.4];

/// Answer only when the confidence is at least the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct AnswerRule {
    /// The share of wrong answers that new data are to keep below, with [`CONFIDENCE`].
    pub(crate) max_error: f64,
    /// Least confidence to answer with; none when no threshold promises `max_error`.
    pub(crate) threshold: Option<f64>,
    /// Share of the examples that are answered with it.
    pub(crate) answered: f64,
    /// Share of wrong answers among those answered; 0 when none is.
    pub(crate) error: f64,
}

/// Whether so many errors among so many answers show, with [`CONFIDENCE`], that fewer than `most` of all answers are wrong:
/// Clopper and Pearson's one-sided bound (1934), as a test.
fn shows(errors: usize, answered: usize, most: f64) -> bool {
    // Beyond the mean the test cannot pass; the distribution is not asked.
    (errors as f64) < most * answered as f64
        && Binomial::new(most, answered as u64).is_ok_and(|binomial| binomial.cdf(errors as u64) <= 1.0 - CONFIDENCE)
}

/// The fewest answers that promise an error rate, where all are right: 45 for 5 %.
pub(crate) fn fewest_answers(max_error: f64) -> usize {
    ((1.0 - CONFIDENCE).ln() / (1.0 - max_error).ln()).ceil() as usize
}

impl AnswerRule {
    /// Chooses the threshold from confidences and correctness of examples that the model has not seen.
    ///
    /// Candidates are the confidences themselves. Of those at which the examples with at least that confidence show an error
    /// rate below `max_error` (a binomial test at 10 %, the calibration step of Learn then Test; Angelopoulos et al. 2021,
    /// <https://arxiv.org/abs/2110.01052>), the smallest is taken: it answers most. Examples of equal confidence are answered
    /// together or not at all.
    ///
    /// The tests of different thresholds share their examples and are not corrected for their number: simulated, 2 to 6 of
    /// 100 rules err more often than promised on new data, where 10 may (docs/decisions.md). A rule for 5 % needs at least
    /// 45 answers without an error; on fewer examples nothing is promised, and everything is unsure.
    pub(crate) fn choose(confidences: &[f64], correct: &[bool], max_error: f64) -> Result<Self> {
        if confidences.len() != correct.len() || confidences.iter().any(|confidence| confidence.is_nan()) {
            return Err(Error::Data(
                Problem::new("confidences and answers do not belong together")
                    .expected("a number for each answer")
                    .found(format!("{} confidences and {} answers", confidences.len(), correct.len())),
            ));
        }
        if !(0.0..=1.0).contains(&max_error) {
            return Err(Error::Usage(
                Problem::new("the greatest error allowed is not a fraction").expected("from 0 to 1").found(max_error),
            ));
        }
        let mut order: Vec<usize> = (0..correct.len()).collect();
        order.sort_by(|&a, &b| confidences[b].total_cmp(&confidences[a]));
        let n = correct.len();
        let mut rule = Self { max_error, threshold: None, answered: 0.0, error: 0.0 };
        let mut errors = 0;
        for (at, &i) in order.iter().enumerate() {
            errors += usize::from(!correct[i]);
            let answered = at + 1;
            let more_of_the_same = order.get(answered).is_some_and(|&next| confidences[next] == confidences[i]);
            if !more_of_the_same && shows(errors, answered, max_error) {
                rule.threshold = Some(confidences[i]);
                rule.answered = answered as f64 / n as f64;
                rule.error = errors as f64 / answered as f64;
            }
        }
        Ok(rule)
    }

    /// Where nothing is answered: the least usual error rate for which half of the examples would be.
    pub(crate) fn offered(&self, confidences: &[f64], correct: &[bool]) -> Result<Option<Self>> {
        if self.threshold.is_some() {
            return Ok(None);
        }
        for max_error in USUAL_RATES.into_iter().filter(|rate| *rate > self.max_error) {
            let rule = Self::choose(confidences, correct, max_error)?;
            if rule.answered >= 0.5 {
                return Ok(Some(rule));
            }
        }
        Ok(None)
    }

    /// Whether to answer with this confidence.
    pub(crate) fn answers(&self, confidence: f64) -> bool {
        self.threshold.is_some_and(|threshold| confidence >= threshold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn another_rate_is_offered_where_the_one_asked_for_cannot_be_promised() {
        let confidences: Vec<f64> = (0..60).map(|at| 1.0 - f64::from(at) / 100.0).collect();
        let right = |every: u32| (1..=60).map(|at| at % every != 0).collect::<Vec<bool>>();
        // One in ten is wrong: 40 answers with four errors show less than 20 %, 60 with six too.
        let rule = AnswerRule::choose(&confidences, &right(10), 0.05).unwrap();
        let offered = rule.offered(&confidences, &right(10)).unwrap().unwrap();
        assert_eq!((rule.threshold, offered.max_error, offered.answered), (None, 0.2, 1.0));
        // Nothing is offered where something is answered, nor where half would be wrong.
        let good = AnswerRule::choose(&confidences, &[true; 60], 0.05).unwrap();
        assert_eq!(good.offered(&confidences, &[true; 60]).unwrap(), None);
        assert_eq!(rule.offered(&confidences, &right(2)).unwrap(), None);
    }

    #[test]
    fn the_least_confident_errors_go_unanswered() {
        // 200 examples; the twenty least confident are wrong every second time.
        let confidences: Vec<f64> = (0..200).map(|i| f64::from(i) / 200.0).collect();
        let correct: Vec<bool> = (0..200).map(|i| i >= 20 || i % 2 == 0).collect();
        let rule = AnswerRule::choose(&confidences, &correct, 0.05).unwrap();
        // Five errors (11, 13, ..., 19) in 190 answers; with 9 they are six in 191, of which scipy.stats.binom.cdf(6, 191, .05) > .1.
        assert_eq!((rule.threshold, rule.answered), (Some(0.05), 190.0 / 200.0));
        assert!((rule.error - 5.0 / 190.0).abs() < 1e-12);
        assert!(rule.answers(0.05) && !rule.answers(0.0499));
    }

    #[test]
    fn too_few_examples_promise_nothing() {
        assert_eq!([0.05, 0.1, 0.01].map(fewest_answers), [45, 22, 230]);
        let rule = AnswerRule::choose(&[0.9; 44], &[true; 44], 0.05).unwrap();
        assert_eq!(rule.threshold, None);
        assert!(!rule.answers(1.0));
        assert_eq!(AnswerRule::choose(&[0.9; 45], &[true; 45], 0.05).unwrap().threshold, Some(0.9));
        assert_eq!(AnswerRule::choose(&[], &[], 0.05).unwrap().threshold, None);
        assert!(AnswerRule::choose(&[f64::NAN], &[true], 0.05).is_err());
        assert!(AnswerRule::choose(&[0.5], &[true], 1.5).is_err());
    }

    #[test]
    fn new_data_keep_the_promise() {
        use rand::RngExt;
        let mut stream = crate::rng::rng(3, "test", 0);
        // An example is right with the probability that is its confidence.
        let mut draw = |n: usize| -> (Vec<f64>, Vec<bool>) {
            let of = |_| {
                let confidence = 1.0 - 0.5 * stream.random::<f64>().powi(2);
                (confidence, stream.random::<f64>() < confidence)
            };
            (0..n).map(of).unzip()
        };
        let (mut broken, mut given) = (0, 0);
        for _ in 0..300 {
            let (confidences, correct) = draw(200);
            let rule = AnswerRule::choose(&confidences, &correct, 0.05).unwrap();
            let Some(threshold) = rule.threshold else { continue };
            given += 1;
            // The mean of 1 - confidence above the threshold, in closed form: confidences are 1 - u²/2.
            let most = (2.0 * (1.0 - threshold)).sqrt();
            broken += usize::from(most * most / 6.0 > 0.05);
        }
        assert!(given > 200 && broken <= 30, "{broken} of {given} rules err too often");
    }

    proptest! {
        #[test]
        fn the_promise_is_kept_on_the_examples_themselves(
            examples in proptest::collection::vec((0u8..20, any::<bool>()), 0..200),
            max_error in 0.0f64..1.0,
        ) {
            let confidences: Vec<f64> = examples.iter().map(|&(c, _)| f64::from(c) / 20.0).collect();
            let correct: Vec<bool> = examples.iter().map(|&(_, correct)| correct).collect();
            let rule = AnswerRule::choose(&confidences, &correct, max_error).unwrap();
            if rule.threshold.is_some() {
                let answered = confidences.iter().filter(|&&c| rule.answers(c)).count();
                prop_assert!((answered as f64 / confidences.len() as f64 - rule.answered).abs() < 1e-12);
                prop_assert!(rule.error <= max_error);
            }
        }
    }
}
