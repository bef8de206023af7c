//! Characters that have no place in a text, and what is said of them.

use super::Text;
use crate::data::{Finding, FindingKind, Severity};

/// Characters that have no place in a text: what could not be decoded, and zeros.
#[derive(Default)]
pub(super) struct Strays {
    faulty: Vec<String>,
    zeros: Vec<String>,
}

impl Strays {
    /// Takes zeros out of a text and remembers its name, as it does where a text of a file with faults holds one.
    pub(super) fn note(&mut self, name: &str, text: &mut Text, has_faults: bool) {
        let mut zeros = false;
        for part in std::iter::once(&mut text.first).chain(&mut text.second) {
            if part.contains('\0') {
                part.retain(|c| c != '\0');
                zeros = true;
            }
        }
        if zeros {
            self.zeros.push(name.to_owned());
        }
        if has_faults && text.parts().any(|part| part.contains(char::REPLACEMENT_CHARACTER)) {
            self.faulty.push(name.to_owned());
        }
    }

    pub(super) fn findings(self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (names, what) in [
            (self.faulty, "texts with bytes that are not characters, which became U+FFFD"),
            (self.zeros, "texts with zero characters, which were taken out"),
        ] {
            if !names.is_empty() {
                let message = format!("{what}: {}", names.len());
                findings.push(Finding::new(FindingKind::BrokenEncoding, Severity::Warning, message, names));
            }
        }
        findings
    }
}
