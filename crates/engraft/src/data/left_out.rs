//! What is left out, counted by why, with the first of each named.

use std::collections::BTreeMap;

use super::finding::{Finding, FindingKind, Severity};
use crate::error::{first_of, printable_text};

/// Characters of a name that are shown.
const CHARACTERS: usize = 160;

/// Reasons that a message tells.
const REASONS: usize = 5;
/// Names that it gives of each.
const NAMES: usize = 3;

/// Names of what is left out, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left(BTreeMap<String, Vec<String>>);

impl Left {
    /// One more that is left out.
    pub fn note(&mut self, reason: &str, name: &str) {
        self.0.entry(reason.to_owned()).or_default().push(name.to_owned());
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// The reasons in words, the most frequent first: `not an image: 2 (a.txt, b.txt); cut off: 1 (c.png)`.
    pub fn told(&self) -> String {
        self.told_of(REASONS)
    }

    fn told_of(&self, most: usize) -> String {
        let mut reasons: Vec<(&String, &Vec<String>)> = self.0.iter().collect();
        reasons.sort_by_key(|(reason, names)| (std::cmp::Reverse(names.len()), *reason));
        let reason = |(reason, names): &(&String, &Vec<String>)| {
            let short = |name: &String| match name.char_indices().nth(CHARACTERS) {
                Some((end, _)) => format!("{}...", printable_text(&name[..end])),
                None => printable_text(name).into_owned(),
            };
            let first = first_of(names.iter().map(short), NAMES);
            format!("{}: {} ({first})", printable_text(reason), names.len())
        };
        let mut told: Vec<String> = reasons.iter().take(most).map(reason).collect();
        if reasons.len() > most {
            let rest: usize = reasons[most..].iter().map(|(_, names)| names.len()).sum();
            told.push(format!("other reasons: {rest}"));
        }
        told.join("; ")
    }

    /// All of it as a finding, where there is anything, with every reason: `what: 3; reasons`.
    pub(crate) fn finding(self, kind: FindingKind, what: &str) -> Option<Finding> {
        if self.0.is_empty() {
            return None;
        }
        let message = format!("{what}: {}; {}", self.count(), self.told_of(usize::MAX));
        let mut names: Vec<String> = self.0.into_values().flatten().collect();
        names.sort_unstable();
        Some(Finding::new(kind, Severity::Warning, message, names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_and_their_first_names_told() {
        let mut left = Left::default();
        (0..4).for_each(|number| left.note("not an image", &format!("{number}.txt")));
        left.note("cut off", "a.png");
        assert_eq!(left.told(), "not an image: 4 (0.txt, 1.txt, 2.txt, ...); cut off: 1 (a.png)");
        (0..9).for_each(|number| left.note(&format!("reason {number}"), "x"));
        assert!(left.told().ends_with("other reasons: 6"), "{}", left.told());
        let mut left_hostile = Left::default();
        left_hostile.note("cut off", "a\u{1b}]0;owned\u{7}\n.png");
        assert_eq!(left_hostile.told(), "cut off: 1 (a\\u{1b}]0;owned\\u{7}\\n.png)");
        let finding = left.finding(FindingKind::NotAnImage, "left out").unwrap();
        assert!(finding.message.starts_with("left out: 14; not an image: 4"), "{}", finding.message);
        assert!(finding.message.contains("reason 8: 1 (x)"), "all reasons: {}", finding.message);
        assert_eq!(finding.files.len(), 14);
    }
}
