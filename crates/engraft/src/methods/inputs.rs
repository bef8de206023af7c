//! What a fit depends on, so that one that goes on after a stop can tell that it is still the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::first_of;
use crate::files::sha256_hex;

/// Names of changed examples that are told.
const NAMED: usize = 5;
/// Hexadecimal digits of a SHA-256 that are kept of each example.
const DIGITS: usize = 32;

/// The program's version, settings, base and examples of a fit, each with what tells it from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// `version`, `settings` and `base`.
    fixed: BTreeMap<String, String>,
    /// Name and digest of each example, in the order of the data.
    examples: Vec<(String, String)>,
}

impl Inputs {
    /// Those of a fit with these settings, as TOML, of a base with this SHA-256; the examples are added after.
    pub fn new(settings: &str, base: &str) -> Self {
        let fixed = [("version", env!("CARGO_PKG_VERSION")), ("settings", settings), ("base", base)];
        let fixed = fixed.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self { fixed, examples: Vec::new() }
    }

    /// Adds an example: its name, and everything else that is used of it (label, split, content).
    pub fn example<'a>(&mut self, name: &str, parts: impl IntoIterator<Item = &'a str>) {
        let text = parts.into_iter().map(|part| format!("{} {part}", part.len())).collect::<Vec<_>>().join(" ");
        self.examples.push((name.to_owned(), sha256_hex(text.as_bytes())[..DIGITS].to_owned()));
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        ciborium::into_writer(self, &mut bytes).expect("inputs are plain data");
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        ciborium::from_reader(bytes).ok()
    }

    /// What is different from `before`, in words; nothing where all is the same.
    pub(super) fn changes_since(&self, before: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        for (name, value) in &self.fixed {
            match before.fixed.get(name) {
                Some(then) if then == value => {}
                Some(then) if name == "version" => {
                    changes.push(format!("engraft was version {then} and is {value} now"));
                }
                _ if name == "settings" => changes.push("the settings are others".to_owned()),
                _ => changes.push(format!("the {name} is another")),
            }
        }
        let then: BTreeMap<&str, &str> = pairs(&before.examples).collect();
        let now: BTreeMap<&str, &str> = pairs(&self.examples).collect();
        let names = |of: &mut dyn Iterator<Item = &str>| of.map(str::to_owned).collect::<Vec<_>>();
        for (what, which) in [
            ("added", names(&mut now.keys().copied().filter(|name| !then.contains_key(name)))),
            ("removed", names(&mut then.keys().copied().filter(|name| !now.contains_key(name)))),
            (
                "changed",
                names(
                    &mut now
                        .iter()
                        .filter(|(name, it)| then.get(*name).is_some_and(|was| was != *it))
                        .map(|(name, _)| *name),
                ),
            ),
        ] {
            if !which.is_empty() {
                let shown = first_of(&which, NAMED);
                let plural = if which.len() == 1 { "" } else { "s" };
                changes.push(format!("{} example{plural} {what}: {shown}", which.len()));
            }
        }
        if changes.is_empty() && self.examples != before.examples {
            changes.push("the examples stand in another order".to_owned());
        }
        changes
    }
}

fn pairs(examples: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    examples.iter().map(|(name, digest)| (name.as_str(), digest.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(examples: &[(&str, &str)]) -> Inputs {
        let mut inputs = Inputs::new("seed = 1", "abc");
        examples.iter().for_each(|(name, content)| inputs.example(name, ["cat", "train", content]));
        inputs
    }

    #[test]
    fn every_change_is_named() {
        let before = inputs(&[("a", "1"), ("b", "2")]);
        assert_eq!(Inputs::from_bytes(&before.to_bytes()).unwrap(), before);
        let changes = |now: Inputs| now.changes_since(&before).join("; ");
        assert_eq!(changes(before.clone()), "");
        assert_eq!(changes(inputs(&[("a", "1")])), "1 example removed: b");
        assert_eq!(changes(inputs(&[("a", "9"), ("b", "2"), ("c", "3")])), "1 example added: c; 1 example changed: a");
        assert_eq!(changes(inputs(&[("b", "2"), ("a", "1")])), "the examples stand in another order");
        let mut other = Inputs::new("seed = 2", "def");
        other.examples.clone_from(&before.examples);
        assert_eq!(changes(other), "the base is another; the settings are others");
    }

    #[test]
    fn parts_are_told_apart_by_their_ends() {
        let mut pair = [inputs(&[]), inputs(&[])];
        pair[0].example("x", ["ab", "c"]);
        pair[1].example("x", ["a", "bc"]);
        assert_ne!(pair[0], pair[1]);
    }
}
