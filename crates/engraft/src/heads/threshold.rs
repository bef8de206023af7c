//! When to say "unsure".

use serde::{Deserialize, Serialize};

use crate::error::{Error, Problem, Result};

/// Answer only when the confidence is at least the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct AnswerRule {
    /// The share of wrong answers aimed at.
    pub(crate) max_error: f64,
    /// Least confidence to answer with; none when no threshold promises `max_error`.
    pub(crate) threshold: Option<f64>,
    /// Share of the examples that are answered with it.
    pub(crate) answered: f64,
    /// Share of wrong answers among those answered; 0 when none is.
    pub(crate) error: f64,
}

impl AnswerRule {
    /// Chooses the threshold from confidences and correctness of examples that the model has not seen.
    ///
    /// Candidates are the confidences themselves. Of those at which `(errors + 1) / (answered + 1) <= max_error`,
    /// counting the examples with at least that confidence, the smallest is taken: it answers most. Examples of
    /// equal confidence are answered together or not at all.
    ///
    /// The `+ 1` counts the next example as one more that is answered wrongly, as conformal risk control does
    /// (Angelopoulos et al., 2022, <https://arxiv.org/abs/2208.02814>); so a rule for 5 % needs at least 19 answers
    /// without error. Other than there the share is of the answered, and does not rise steadily as the threshold
    /// falls: the number is a cautious estimate, not a proven bound.
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
            if !more_of_the_same && (errors + 1) as f64 <= max_error * (answered + 1) as f64 {
                rule.threshold = Some(confidences[i]);
                rule.answered = answered as f64 / n as f64;
                rule.error = errors as f64 / answered as f64;
            }
        }
        Ok(rule)
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
    fn the_least_confident_errors_go_unanswered() {
        // 100 examples; the ten least confident are wrong every second time.
        let confidences: Vec<f64> = (0..100).map(|i| f64::from(i) / 100.0).collect();
        let correct: Vec<bool> = (0..100).map(|i| i >= 10 || i % 2 == 0).collect();
        let rule = AnswerRule::choose(&confidences, &correct, 0.02).unwrap();
        // One error (number 9) in 91 answers: 2 / 92 > 0.02; none in 90: 1 / 91 < 0.02.
        assert_eq!((rule.threshold, rule.answered, rule.error), (Some(0.10), 0.9, 0.0));
        assert!(rule.answers(0.10) && !rule.answers(0.0999));
    }

    #[test]
    fn too_few_examples_promise_nothing() {
        let rule = AnswerRule::choose(&[0.9; 18], &[true; 18], 0.05).unwrap();
        assert_eq!(rule.threshold, None);
        assert!(!rule.answers(1.0));
        assert_eq!(AnswerRule::choose(&[0.9; 19], &[true; 19], 0.05).unwrap().threshold, Some(0.9));
        assert_eq!(AnswerRule::choose(&[], &[], 0.05).unwrap().threshold, None);
        assert!(AnswerRule::choose(&[f64::NAN], &[true], 0.05).is_err());
        assert!(AnswerRule::choose(&[0.5], &[true], 1.5).is_err());
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
