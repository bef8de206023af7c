//! The budget: seconds on the machine at hand, turned into work by the speed of its trainings.

use std::collections::BTreeMap;
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
/// assert_eq!((budget.seconds(), budget.to_string()), (300.0, "5m".into()));
/// assert_eq!("90s".parse::<Budget>().unwrap().seconds(), 90.0);
/// assert!("soon".parse::<Budget>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Budget {
    text: String,
    seconds: f64,
}

impl Budget {
    /// Seconds.
    pub fn seconds(&self) -> f64 {
        self.seconds
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

/// How fast a machine trains a base, in 10^12 MACs per second: one number, or one for each depth, since early stages of a
/// network of images do fewer MACs for each number that they move.
///
/// ```
/// use engraft::methods::Speed;
/// let speed: Speed = "last=0.04,half=0.03,all=0.02".parse().unwrap();
/// assert_eq!((speed.of("half"), speed.of("contrastive")), (0.03, 0.02));
/// assert_eq!("0.05".parse::<Speed>().unwrap().of("half"), 0.05);
/// assert_eq!(speed.to_string(), "all=0.02,half=0.03,last=0.04");
/// assert!("0".parse::<Speed>().is_err() && "half=fast".parse::<Speed>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Speed {
    /// The least.
    least: f64,
    /// By depth.
    each: BTreeMap<String, f64>,
}

impl Speed {
    /// That of every depth.
    pub(crate) fn same(speed: f64) -> Self {
        Self { least: speed, each: BTreeMap::new() }
    }

    /// One for each depth.
    pub(crate) fn of_depths(each: BTreeMap<String, f64>) -> Self {
        Self { least: each.values().copied().fold(f64::INFINITY, f64::min), each }
    }

    /// That of a depth; of one that is not known the least.
    pub fn of(&self, depth: &str) -> f64 {
        self.each.get(depth).copied().unwrap_or(self.least)
    }
}

impl FromStr for Speed {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = || {
            let problem = Problem::new("invalid speed of the machine").found(text).at("--speed");
            let expected = "10^12 MACs per second, a positive number, or last=0.04,half=0.03,all=0.02";
            Error::Usage(problem.expected(expected))
        };
        let number = |text: &str| {
            let speed = text.trim().parse::<f64>().ok();
            speed.filter(|speed| *speed > 0.0 && speed.is_finite()).ok_or_else(refuse)
        };
        if !text.contains('=') {
            return number(text).map(Self::same);
        }
        let of = |part: &str| {
            let (depth, speed) = part.split_once('=').ok_or_else(refuse)?;
            Ok((depth.trim().to_owned(), number(speed)?))
        };
        Ok(Self::of_depths(text.split(',').map(of).collect::<Result<_>>()?))
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.each.is_empty() {
            return write!(f, "{}", self.least);
        }
        let each: Vec<String> = self.each.iter().map(|(depth, speed)| format!("{depth}={speed}")).collect();
        f.write_str(&each.join(","))
    }
}

/// A number to two digits.
pub(crate) fn to_two_digits(number: f64) -> f64 {
    let digits = 10f64.powi(1 - number.log10().floor() as i32);
    (number * digits).round() / digits
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
