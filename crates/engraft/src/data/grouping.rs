//! Groups that only the user knows (patients, sites, videos): by a column of a table, or by what a regular expression finds in
//! paths. Examples of one group share a fold.

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Problem, Result};

/// The flag that names a column.
pub(super) const COLUMN_FLAG: &str = "--group-column";
/// The flag that has a regular expression.
pub(super) const PATTERN_FLAG: &str = "--group-by";
/// The capture that is the group, whichever its number is.
const CAPTURE: &str = "group";

/// What says which examples belong together; by default nothing does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grouping {
    /// The column of a table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) column: Option<String>,
    /// A regular expression that is looked for in paths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pattern: Option<String>,
}

impl Grouping {
    /// By a column, by a regular expression, or by nothing.
    ///
    /// # Errors
    /// [`Error::Usage`] where both are given, or the regular expression is none.
    pub fn new(column: Option<&str>, pattern: Option<&str>) -> Result<Self> {
        if column.is_some() && pattern.is_some() {
            let problem = Problem::new(format!("{COLUMN_FLAG} and {PATTERN_FLAG} both say what belongs together"));
            return Err(Error::Usage(problem.expected("one of them")));
        }
        let grouping = Self { column: column.map(str::to_owned), pattern: pattern.map(str::to_owned) };
        grouping.regex()?;
        Ok(grouping)
    }

    /// Whether anything says what belongs together.
    pub(crate) fn is_asked(&self) -> bool {
        self.column.is_some() || self.pattern.is_some()
    }

    /// Whether nothing says what belongs together.
    pub(crate) fn is_none(&self) -> bool {
        !self.is_asked()
    }

    /// By what: ``column `patient` `` or `` `patient\d+` in paths``.
    pub(crate) fn told(&self) -> String {
        match (&self.column, &self.pattern) {
            (Some(column), _) => format!("column `{column}`"),
            (None, Some(pattern)) => format!("`{pattern}` in paths"),
            (None, None) => String::new(),
        }
    }

    /// Refuses a regular expression where there are no paths, and says which flag there is.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is one.
    pub(crate) fn refuse_pattern(&self, what: &str) -> Result<()> {
        match &self.pattern {
            None => Ok(()),
            Some(pattern) => {
                let problem = Problem::new(format!("{PATTERN_FLAG} is for paths, and {what} has none")).found(pattern);
                let hint = format!("{COLUMN_FLAG} names the column that says what belongs together");
                Err(Error::Usage(problem.at(PATTERN_FLAG).hint(hint)))
            }
        }
    }

    /// Refuses groups altogether, where the data has its own.
    ///
    /// # Errors
    /// [`Error::Usage`] where any are asked for.
    pub(crate) fn refuse(&self, unit: &str, own: &str) -> Result<()> {
        let flag = if self.column.is_some() { COLUMN_FLAG } else { PATTERN_FLAG };
        match self.is_asked() {
            false => Ok(()),
            true => {
                let problem = Problem::new(format!("{flag} does not apply to {unit}"));
                Err(Error::Usage(problem.at(flag).hint(format!("{own} share a fold as it is; leave the flag out"))))
            }
        }
    }

    fn regex(&self) -> Result<Option<Regex>> {
        let Some(pattern) = &self.pattern else { return Ok(None) };
        Regex::new(pattern).map(Some).map_err(|problem| {
            let expected = r"a regular expression, such as patient\d+ or (?P<group>[^/]+)_frame";
            // The last line says what is wrong; those before it draw an arrow.
            let reason =
                problem.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            let problem = Problem::new(format!("invalid regular expression: {reason}")).expected(expected);
            Error::Usage(problem.found(pattern).at(PATTERN_FLAG))
        })
    }

    /// The groups that the regular expression finds in names: the capture called `group`, else the first one, else all that it
    /// matches. Nothing where there is no regular expression.
    ///
    /// # Errors
    /// [`Error::Usage`] where it is invalid or finds nothing in any name.
    pub(super) fn of_names(&self, names: &[&str]) -> Result<Option<Vec<Option<String>>>> {
        let Some(regex) = self.regex()? else { return Ok(None) };
        let groups: Vec<Option<String>> = names.iter().map(|name| found(&regex, name)).collect();
        if groups.iter().any(Option::is_some) {
            return Ok(Some(groups));
        }
        let problem = Problem::new(format!("{PATTERN_FLAG} matches no path")).expected("a group in most paths");
        let example = names.first().copied().unwrap_or_default();
        let found = format!("`{}`, and paths such as {example}", self.pattern.as_deref().unwrap_or_default());
        Err(Error::Usage(problem.found(found).at(PATTERN_FLAG)))
    }
}

/// The group in a name; nothing where there is none, or it is empty.
pub(super) fn found(regex: &Regex, name: &str) -> Option<String> {
    let captures = regex.captures(name)?;
    let named = regex.capture_names().flatten().any(|name| name == CAPTURE);
    let group = match (named, regex.captures_len()) {
        (true, _) => captures.name(CAPTURE),
        (false, 1) => captures.get(0),
        (false, _) => captures.get(1),
    };
    group.map(|group| group.as_str().to_owned()).filter(|group| !group.is_empty())
}
