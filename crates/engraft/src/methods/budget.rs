//! The budget: seconds on the machine at hand, turned into work by the speed of its trainings.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Problem, Result};

/// Time that the choice of the depth, and the training of the model itself, may take.
///
/// Seconds become MACs by the speed of the machine, which is measured once and kept with the settings of the run, so that the
/// same settings make the same decisions elsewhere.
///
/// ```
/// use engraft::methods::Budget;
/// let budget: Budget = "5m".parse().unwrap();
/// assert_eq!((budget.multiply_adds(0.05), budget.to_string()), (15.0, "5m".into()));
/// assert_eq!("90s".parse::<Budget>().unwrap().multiply_adds(0.1), 9.0);
/// assert!("soon".parse::<Budget>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Budget {
    text: String,
    seconds: f64,
}

impl Budget {
    /// MACs in units of 10^12, where so many of these units are done in a second.
    pub fn multiply_adds(&self, speed: f64) -> f64 {
        self.seconds * speed
    }
}

impl FromStr for Budget {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let trimmed = text.trim();
        let (number, unit) = trimmed.split_at(trimmed.len() - usize::from(trimmed.ends_with(['s', 'm', 'h'])));
        let factor = match unit {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => 0.0,
        };
        let refuse = |what: &str| {
            Problem::new(what).expected("a time with its unit, such as 90s, 5m or 1h").found(text).at("--budget")
        };
        match number.trim().parse::<f64>() {
            Ok(number) if number.is_finite() && number >= 0.0 => match unit {
                // Nothing is nothing in any unit.
                "" if number > 0.0 => {
                    let hint = format!("{number}s for seconds, {number}m for minutes, {number}h for hours");
                    Err(Error::Usage(refuse("the budget has no unit").hint(hint)))
                }
                _ => Ok(Self { text: trimmed.to_owned(), seconds: number * factor }),
            },
            _ => Err(Error::Usage(refuse("the budget is not a time"))),
        }
    }
}

impl TryFrom<String> for Budget {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Budget> for String {
    fn from(budget: Budget) -> String {
        budget.text
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Seconds in words, to two digits.
pub(crate) fn in_words(seconds: f64) -> String {
    match seconds {
        s if s < 99.5 => format!("{s:.0} s"),
        s if s < 99.5 * 60.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.0} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_times() {
        for (text, seconds) in
            [("5m", 300.0), ("90s", 90.0), ("1h", 3600.0), ("0", 0.0), ("2.5m", 150.0), (" 7 s ", 7.0)]
        {
            assert_eq!(text.parse::<Budget>().unwrap().seconds, seconds, "{text}");
        }
        for text in ["", "m", "-1s", "five", "1d", "inf", "NaN", "5", " 7 "] {
            assert!(text.parse::<Budget>().unwrap_err().to_string().contains("--budget"), "{text}");
        }
    }
}
