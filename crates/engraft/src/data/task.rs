//! What is to be learnt: one class, several labels, or a number; spans of words, or answers in paragraphs.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Problem, Result};

/// What stands between the labels of one example in a table.
pub const SEPARATOR: char = '|';

/// Whole numbers beyond this are measurements, not names of classes.
const LARGEST_CLASS_NUMBER: f64 = 99.0;
/// More different whole numbers than this are measurements too.
const NUMBERED_CLASSES: usize = 20;
/// What people write about numbers.
const DRESS: &str = "$\u{20ac}\u{a3}\u{a5}%,'\u{2019}\u{2212}";
/// Up to this many different texts, a table may have as many classes as it likes.
const FEW_TEXTS: usize = 10;

/// What is predicted. Its name in JSON and on the command line is kebab-case.
///
/// ```
/// use engraft::data::Task;
/// assert_eq!("multi-label".parse::<Task>().unwrap(), Task::MultiLabel);
/// assert_eq!(Task::SingleLabel.to_string(), "single-label");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Exactly one class.
    #[default]
    SingleLabel,
    /// Any number of labels, none included.
    MultiLabel,
    /// A number.
    Regression,
    /// Spans of words, each of a type.
    Tags,
    /// Answers to questions, cut out of paragraphs.
    #[serde(rename = "qa")]
    Answers,
}

impl Task {
    /// Every task.
    pub const ALL: [Self; 5] = [Self::SingleLabel, Self::MultiLabel, Self::Regression, Self::Tags, Self::Answers];

    /// The task's name on the command line and in files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SingleLabel => "single-label",
            Self::MultiLabel => "multi-label",
            Self::Regression => "regression",
            Self::Tags => "tags",
            Self::Answers => "qa",
        }
    }

    /// The score of an example that depths are compared by and forecasts are made of.
    pub fn score(self) -> &'static str {
        match self {
            Self::SingleLabel => "accuracy",
            Self::Regression => "R²",
            Self::MultiLabel | Self::Tags | Self::Answers => "mean F1",
        }
    }

    /// Whether labels stand in a column or are names of folders; tags and answers have files of their own.
    pub(crate) fn has_label_column(self) -> bool {
        !matches!(self, Self::Tags | Self::Answers)
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Task {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|task| task.name() == text).ok_or_else(|| {
            let problem =
                Problem::new("no such task").expected("single-label, multi-label or regression; qa or tags of texts");
            Error::Usage(problem.found(text).at("--task").suggest(text, Self::ALL.map(Self::name)))
        })
    }
}

/// A task, and why it is that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inferred {
    /// The task.
    pub task: Task,
    /// The reason, in words: half a sentence.
    pub reason: String,
}

/// Infers the task from the labels as they stand in the table, trimmed.
///
/// - All numbers: [`Task::Regression`], unless they are the few small whole numbers that number classes: the digits 0 to
///   9, or at most 20 different ones below 100, each of them twice on average.
/// - Any [`SEPARATOR`]: [`Task::MultiLabel`].
/// - Else [`Task::SingleLabel`].
///
/// What says that a value is missing (nothing, `NA`, `nan`, ...) is not evidence beside numbers. With `decimal_comma` a
/// number may be written `3,5` (see `number`).
///
/// # Errors
/// [`Error::Data`] where the labels look like free text (different texts for more than half of the rows), or like
/// numbers with something else among them.
///
/// ```
/// use engraft::data::{Task, task::infer};
/// assert_eq!(infer(&["3.5", "4.25", "-1"], false).unwrap().task, Task::Regression);
/// assert_eq!(infer(&["cat|dog", "cat"], false).unwrap().task, Task::MultiLabel);
/// assert_eq!(infer(&["0", "1", "9", "1"], false).unwrap().task, Task::SingleLabel);
/// ```
pub fn infer(labels: &[&str], decimal_comma: bool) -> Result<Inferred> {
    let values: Vec<Option<f64>> = labels.iter().map(|text| number(text, decimal_comma)).collect();
    let numbers: Vec<f64> = values.iter().copied().flatten().filter(|value| value.is_finite()).collect();
    let odd: BTreeSet<&str> =
        labels.iter().zip(&values).filter(|(_, value)| value.is_none()).map(|(text, _)| *text).collect();
    if !numbers.is_empty() && odd.is_empty() {
        return Ok(of_numbers(&numbers));
    }
    let told: Vec<&str> = labels.iter().copied().filter(|text| !text.is_empty()).collect();
    let several = told.iter().filter(|text| text.contains(SEPARATOR)).count();
    if several > 0 {
        let reason = format!("{several} of {} labels name several, separated by `{SEPARATOR}`", labels.len());
        return Ok(Inferred { task: Task::MultiLabel, reason });
    }
    if 10 * numbers.len() >= 9 * labels.len() && of_numbers(&numbers).task == Task::Regression {
        return Err(Error::Data(
            Problem::new("nearly all labels are numbers, but not all")
                .expected("numbers, or names of classes")
                .found(listing(&odd))
                .hint("mend these, leave them empty, or say --task single-label"),
        ));
    }
    let texts: BTreeSet<&str> = told.iter().copied().collect();
    if texts.len() > FEW_TEXTS && 2 * texts.len() > told.len() {
        if 2 * texts.iter().filter(|text| is_dressed(text, decimal_comma)).count() > texts.len() {
            return Err(Error::Data(
                Problem::new("the labels are numbers written for people")
                    .expected("plain numbers, such as -1234.5")
                    .found(listing(&texts))
                    .hint("write them without separators of thousands, percent signs and signs of money"),
            ));
        }
        return Err(Error::Data(
            Problem::new("the labels look like free text")
                .expected("class names that come back, names separated by `|`, or numbers")
                .found(format!("{} different labels in {} rows: {}", texts.len(), told.len(), listing(&texts)))
                .hint("name the column that holds the labels with --label-column, or say --task single-label"),
        ));
    }
    Ok(Inferred { task: Task::SingleLabel, reason: format!("the labels are {} names of classes", texts.len()) })
}

fn of_numbers(numbers: &[f64]) -> Inferred {
    let whole = numbers.iter().all(|value| value.fract() == 0.0);
    let (low, high) = numbers.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
    if whole && low >= -LARGEST_CLASS_NUMBER && high <= LARGEST_CLASS_NUMBER {
        let distinct = numbers.iter().map(|&value| value as i64).collect::<BTreeSet<_>>().len();
        let digits = low >= 0.0 && high <= 9.0;
        if digits || distinct <= NUMBERED_CLASSES && 2 * distinct <= numbers.len() {
            let reason = format!("the labels are {distinct} small whole numbers, taken for names of classes");
            return Inferred { task: Task::SingleLabel, reason };
        }
    }
    Inferred { task: Task::Regression, reason: format!("all labels are numbers, from {low} to {high}") }
}

fn listing(texts: &BTreeSet<&str>) -> String {
    let mut shown: Vec<String> =
        texts.iter().take(5).map(|text| format!("`{}`", text.chars().take(40).collect::<String>())).collect();
    if texts.len() > shown.len() {
        shown.push(format!("and {} more", texts.len() - shown.len()));
    }
    shown.join(", ")
}

/// The number that a text is, or NaN for what says that there is none (nothing, `NA`, `n/a`, `nan`, `null`, `none`, `?`,
/// `-`); nothing for any other text.
///
/// Whole numbers with leading zeros (`007`) are names, not numbers. With `decimal_comma` (a table whose fields are
/// separated by semicolons) a lone comma is a decimal point.
pub(crate) fn number(text: &str, decimal_comma: bool) -> Option<f64> {
    let missing = ["", "na", "n/a", "nan", "null", "none", "?", "-"];
    if missing.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return Some(f64::NAN);
    }
    let digits = text.trim_start_matches(['+', '-']).as_bytes();
    if digits.len() > 1 && digits[0] == b'0' && digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if decimal_comma && !text.contains('.') && text.matches(',').count() == 1 {
        return text.replace(',', ".").parse().ok();
    }
    text.parse().ok()
}

/// Whether a text that is no number is one with a sign of money, a percent sign, blanks or separators of thousands about it.
pub(crate) fn is_dressed(text: &str, decimal_comma: bool) -> bool {
    let bare: String = text.chars().filter(|c| !DRESS.contains(*c) && !c.is_whitespace()).collect();
    number(&bare, decimal_comma).is_some_and(|value| !value.is_nan())
}

/// The labels of a text, sorted and each once; nothing between two separators is not a label.
pub(crate) fn label_set(text: &str) -> Vec<&str> {
    let set: BTreeSet<&str> = text.split(SEPARATOR).map(str::trim).filter(|label| !label.is_empty()).collect();
    set.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn task(labels: &[&str]) -> Task {
        infer(labels, false).unwrap().task
    }

    #[test]
    fn numbers_are_measured_unless_they_number_classes() {
        assert_eq!(task(&["1.5", "2", "3"]), Task::Regression);
        assert_eq!(task(&["120", "450", "1e3", "450"]), Task::Regression);
        assert_eq!(task(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]), Task::SingleLabel);
        assert_eq!(task(&["11", "12", "11", "12"]), Task::SingleLabel);
        assert_eq!(task(&["11", "12", "13"]), Task::Regression, "each but once");
        let ages: Vec<String> = (0..200).map(|i| (18 + i % 60).to_string()).collect();
        assert_eq!(task(&ages.iter().map(String::as_str).collect::<Vec<_>>()), Task::Regression);
        assert_eq!(task(&["1.5", "", "NA", "nan", "inf", "2.5"]), Task::Regression);
        assert_eq!(task(&["007", "008", "007", "008"]), Task::SingleLabel);
    }

    #[test]
    fn the_reason_is_told() {
        let inferred = infer(&["cat|dog", "", "cat"], false).unwrap();
        assert_eq!(inferred.task, Task::MultiLabel);
        assert_eq!(inferred.reason, "1 of 3 labels name several, separated by `|`");
        assert_eq!(infer(&["-2", "3.5"], false).unwrap().reason, "all labels are numbers, from -2 to 3.5");
        assert_eq!(infer(&["a", "b", "a"], false).unwrap().reason, "the labels are 2 names of classes");
    }

    #[test]
    fn decimal_commas_are_numbers_where_asked_for() {
        assert_eq!(infer(&["3,5", "4,25"], true).unwrap().task, Task::Regression);
        assert_eq!(task(&["3,5", "4,25"]), Task::SingleLabel);
        assert_eq!(number("3,5", true), Some(3.5));
        assert_eq!((number("3,5", false), number("1,2,3", true)), (None, None));
    }

    #[test]
    fn free_text_and_numbers_with_words_among_them_are_refused() {
        let texts: Vec<String> = (0..40).map(|i| format!("a photo of thing number {}", i / 2 + i % 2)).collect();
        let problem = infer(&texts.iter().map(String::as_str).collect::<Vec<_>>(), false).unwrap_err().to_string();
        assert!(problem.contains("free text") && problem.contains("and 16 more"), "{problem}");
        let mut values: Vec<String> = (0..30).map(|i| format!("{}.5", i * 7)).collect();
        values.push("unknown".into());
        let problem = infer(&values.iter().map(String::as_str).collect::<Vec<_>>(), false).unwrap_err().to_string();
        assert!(problem.contains("nearly all labels are numbers") && problem.contains("`unknown`"), "{problem}");
    }

    #[test]
    fn labels_that_are_numbers_written_for_people_are_refused_as_such() {
        for write in [|i: usize| format!("{},{:03}", i + 1, i * 7), |i| format!("{i}%"), |i| format!("$ {}", i * 10)] {
            let labels: Vec<String> = (0..40).map(write).collect();
            let problem = infer(&labels.iter().map(String::as_str).collect::<Vec<_>>(), false).unwrap_err().to_string();
            assert!(problem.contains("numbers written for people") && problem.contains("-1234.5"), "{problem}");
        }
    }

    #[test]
    fn label_sets_are_sorted_and_each_label_once() {
        assert_eq!(label_set("dog| cat |dog||"), ["cat", "dog"]);
        assert_eq!(label_set(""), [""; 0]);
        assert!("both".parse::<Task>().is_err());
        assert_eq!(serde_json::to_string(&Task::MultiLabel).unwrap(), "\"multi-label\"");
    }

    proptest! {
        #[test]
        fn any_labels_are_judged_without_panic(labels in proptest::collection::vec(".{0,12}", 0..40), comma: bool) {
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            let _ = infer(&labels, comma);
        }

        #[test]
        fn fractions_are_always_measured(values in proptest::collection::vec(-1e6f64..1e6, 1..50)) {
            let texts: Vec<String> = values.iter().map(|value| format!("{:.3}", value.trunc() + 0.125)).collect();
            prop_assert_eq!(task(&texts.iter().map(String::as_str).collect::<Vec<_>>()), Task::Regression);
        }
    }
}
