//! Numbers of classes, where a file names the classes: as the `datasets` library keeps them.

use std::collections::BTreeMap;

use super::finding::{Finding, FindingKind, Severity};
use super::task::SEPARATOR;
use crate::error::first_of;

/// Numbers that a message shows.
const SHOWN: usize = 5;

/// From the cells of a column of labels to names of classes.
#[derive(Debug, Clone, Default)]
pub(super) struct ClassNumbers {
    names: Option<Vec<String>>,
    /// Numbers that have no name, and how often they come.
    nameless: BTreeMap<String, usize>,
}

impl ClassNumbers {
    /// By the names that a file gives to the numbers of a column, where it does.
    pub(super) fn new(names: Option<&[String]>) -> Self {
        Self { names: names.map(<[String]>::to_vec), nameless: BTreeMap::new() }
    }

    /// The label of a cell, each of several with a [`SEPARATOR`] between them; nothing where the file says that there is none.
    pub(super) fn label(&mut self, cell: &str) -> Option<String> {
        let Some(names) = &self.names else { return Some(cell.to_owned()) };
        if cell.is_empty() || cell == "-1" {
            return None;
        }
        let mut named = |number: &str| match number.parse::<usize>().ok().and_then(|class| names.get(class)) {
            Some(name) => name.clone(),
            None => {
                // Words are names already.
                if number.parse::<i64>().is_ok() {
                    *self.nameless.entry(number.to_owned()).or_default() += 1;
                }
                number.to_owned()
            }
        };
        let labels: Vec<String> = cell.split(SEPARATOR).map(&mut named).collect();
        Some(labels.join(&SEPARATOR.to_string()))
    }

    /// Numbers beyond the names.
    pub(super) fn finding(&self) -> Option<Finding> {
        let names = self.names.as_ref().filter(|_| !self.nameless.is_empty())?;
        let shown = first_of(self.nameless.iter().map(|(number, count)| format!("`{number}` ({count})")), SHOWN);
        let message = format!(
            "labels that are no number of the {} classes that the file names (0 to {}), each learnt as a class of its own: {shown}",
            names.len(),
            names.len().saturating_sub(1)
        );
        let files = self.nameless.keys().cloned().collect();
        Some(Finding::new(FindingKind::Guessed, Severity::Warning, message, files))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_names_and_those_beyond_them_are_told() {
        let names = ["cat", "dog"].map(str::to_owned);
        let mut classes = ClassNumbers::new(Some(&names));
        assert_eq!(classes.label("1").as_deref(), Some("dog"));
        assert_eq!(classes.label("0|1").as_deref(), Some("cat|dog"));
        assert_eq!((classes.label("-1"), classes.label("")), (None, None));
        assert_eq!(classes.finding(), None);
        assert_eq!((classes.label("2").as_deref(), classes.label("bird").as_deref()), (Some("2"), Some("bird")));
        let told = classes.finding().unwrap();
        assert!(told.message.contains("2 classes that the file names (0 to 1)") && told.message.contains("`2` (1)"));
        assert_eq!(ClassNumbers::default().label("-1").as_deref(), Some("-1"));
    }
}
