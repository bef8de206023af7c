//! Labels as people write them: what is one and the same is made so, what only looks the same is told.

use std::collections::{BTreeMap, HashMap};

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::finding::{Finding, FindingKind, Severity};
use super::task::SEPARATOR;
use crate::error::{first_of, printable_text};

/// Groups of classes that a message names.
const SHOWN: usize = 5;
/// What says that there is nothing, and may be the name of a class.
const MISSING: [&str; 18] = [
    "na",
    "n/a",
    "nan",
    "null",
    "none",
    "nil",
    "<na>",
    "#n/a",
    "undefined",
    "-",
    "--",
    "?",
    ".",
    "n.a.",
    "n.a",
    "n.d.",
    "n/d",
    "#na",
];

/// A label without what cannot be seen: in the form NFC, without blanks around it and without characters of no width.
pub(super) fn clean(label: &str) -> String {
    let has_no_width = |c: char| matches!(c, '\0' | '\u{200B}' | '\u{2060}' | '\u{FEFF}' | '\u{AD}');
    let seen: String = label.chars().filter(|c| !has_no_width(*c)).collect();
    let trimmed = seen.trim();
    match is_nfc_quick(trimmed.chars()) {
        IsNormalized::Yes => trimmed.to_owned(),
        _ => trimmed.nfc().collect(),
    }
}

/// Labels under way from a file to targets.
#[derive(Debug, Default)]
pub(super) struct Tidied {
    /// What every label becomes, and how often it was written so; with blanks around it in a second map.
    written: [HashMap<String, (String, usize)>; 2],
}

impl Tidied {
    /// Cleans a label, or each of several with a [`SEPARATOR`] between them where `several`. `padded`: it had blanks
    /// around it in its file, which are no longer there.
    pub(super) fn label(&mut self, label: &str, padded: bool, several: bool) -> String {
        if several && label.contains(SEPARATOR) {
            let cleaned: Vec<String> = label.split(SEPARATOR).map(|one| self.one(one, padded)).collect();
            return cleaned.join(&SEPARATOR.to_string());
        }
        self.one(label, padded)
    }

    fn one(&mut self, label: &str, padded: bool) -> String {
        let known = &mut self.written[usize::from(padded)];
        if let Some((cleaned, count)) = known.get_mut(label) {
            *count += 1;
            return cleaned.clone();
        }
        let cleaned = clean(label);
        known.insert(label.to_owned(), (cleaned.clone(), 1));
        cleaned
    }

    /// What was merged.
    pub(super) fn finding(&self) -> Option<Finding> {
        // What each clean label was written as, with counts.
        let mut ways: BTreeMap<&str, BTreeMap<String, usize>> = BTreeMap::new();
        for (padded, written) in self.written.iter().enumerate() {
            for (label, (cleaned, count)) in written {
                let way = if padded == 1 && cleaned == label { format!("{label} ") } else { label.clone() };
                *ways.entry(cleaned).or_default().entry(way).or_default() += count;
            }
        }
        ways.retain(|_, ways| ways.len() > 1);
        if ways.is_empty() {
            return None;
        }
        let changed = |(label, ways): (&&str, &BTreeMap<String, usize>)| {
            ways.iter().filter(|(way, _)| way != label).map(|(_, count)| count).sum::<usize>()
        };
        let rows: usize = ways.iter().map(changed).sum();
        let told = |ways: &BTreeMap<String, usize>| {
            let ways: Vec<String> = ways.keys().map(|way| format!("`{}`", escaped(way))).collect();
            format!("{} are one class", ways.join(" and "))
        };
        let shown: Vec<String> = ways.values().take(SHOWN).map(told).collect();
        let more = ways.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        let message = format!(
            "labels that differ only by blanks around them, characters of no width or Unicode form (NFC, NFD), merged: {}{more} \
             ({rows} labels changed)",
            shown.join("; ")
        );
        let names = ways.keys().map(|label| (*label).to_owned()).collect();
        Some(Finding::new(FindingKind::ClassVariants, Severity::Warning, message, names))
    }
}

/// What cannot be seen, by its number.
fn escaped(text: &str) -> String {
    let seen = |c: char| c.is_ascii_graphic() || c == ' ' || c.is_alphanumeric();
    text.chars().map(|c| if seen(c) { c.to_string() } else { c.escape_unicode().to_string() }).collect()
}

/// What two classes have in common that are likely meant to be one: nothing but case, blanks, signs between words,
/// compatibility forms and the way a number is written tells them apart.
fn likeness(class: &str) -> String {
    let plain: String = class.nfkc().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
    match without_thousands(&plain).unwrap_or_else(|| plain.clone()).parse::<f64>() {
        Ok(number) if number.is_finite() => format!("{}", number + 0.0),
        _ => joined(&plain),
    }
}

/// A number with commas or apostrophes between its thousands, `1,234.5`, without them.
fn without_thousands(text: &str) -> Option<String> {
    let whole = text.split('.').next()?.trim_start_matches(['+', '-']);
    let mut groups = whole.split([',', '\'', '\u{2019}']);
    let are_digits = |group: &str| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit());
    let first = groups.next()?;
    let is_one = are_digits(first) && first.len() <= 3 && first != whole;
    (is_one && groups.all(|group| group.len() == 3 && are_digits(group)))
        .then(|| text.replace([',', '\'', '\u{2019}'], ""))
}

/// A text without hyphens and underscores between its words: `new_york`, `t-shirt`. Between digits they are part of a number.
fn joined(text: &str) -> String {
    let all: Vec<char> = text.chars().collect();
    let is_between = |at: usize| {
        let beside = [at.checked_sub(1).and_then(|at| all.get(at)), all.get(at + 1)];
        beside.iter().all(|c| c.is_some_and(|c| c.is_alphanumeric()))
            && beside.iter().any(|c| c.is_some_and(|c| c.is_alphabetic()))
    };
    let is_sign = |c: char| matches!(c, '-' | '_' | '\u{2010}');
    all.iter().enumerate().filter(|(at, c)| !(is_sign(**c) && is_between(*at))).map(|(_, c)| c).collect()
}

/// Groups of classes that are likely meant to be one, each with the most frequent first; `classes` with how often each is
/// there.
fn variants(classes: &BTreeMap<String, usize>) -> Vec<Vec<&str>> {
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    classes.keys().for_each(|class| groups.entry(likeness(class)).or_default().push(class));
    let mut groups: Vec<Vec<&str>> = groups.into_values().filter(|group| group.len() > 1).collect();
    for group in &mut groups {
        group.sort_by_key(|class| (std::cmp::Reverse(classes[*class]), *class));
    }
    groups
}

/// Classes that are written like lists, as a program writes several labels.
fn lists(classes: &BTreeMap<String, usize>) -> Option<Finding> {
    let is_list = |class: &&String| {
        let inside = class.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        inside.is_some_and(|inside| {
            inside.starts_with(['\'', '"']) && inside.ends_with(['\'', '"']) || inside.contains(',')
        })
    };
    let found: Vec<String> = classes.keys().filter(is_list).cloned().collect();
    let first = found.first()?;
    let shown = first_of(found.iter().map(|class| format!("`{}` ({})", printable_text(class), classes[class])), SHOWN);
    let parts: String = first.chars().filter(|c| !"[]'\" ".contains(*c)).collect();
    let message = format!(
        "classes that are written like lists, each learnt as one class: {shown}; where an example has several labels, write `{}`",
        printable_text(&parts.replace(',', &SEPARATOR.to_string()))
    );
    Some(Finding::new(FindingKind::ListLikeClass, Severity::Warning, message, found))
}

/// The classes of a label: several with a [`SEPARATOR`] between them, or one.
fn parts(label: &str, several: bool) -> impl Iterator<Item = &str> {
    label.splitn(if several { usize::MAX } else { 1 }, SEPARATOR)
}

/// Looks at the labels of a data set, each a class or, where `several`, a set of them: classes that look like a missing
/// value are told, and so are those that are likely meant to be one, which `merge` makes one (the most frequent).
pub(super) fn review(labels: &mut [String], several: bool, merge: bool) -> Vec<Finding> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    {
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for label in labels.iter() {
            *seen.entry(label.as_str()).or_default() += 1;
        }
        for (label, count) in seen {
            parts(label, several).filter(|part| !part.is_empty()).for_each(|part| {
                *counts.entry(part.to_owned()).or_default() += count;
            });
        }
    }
    let mut findings = Vec::new();
    let missing: Vec<&String> =
        counts.keys().filter(|class| MISSING.iter().any(|word| class.eq_ignore_ascii_case(word))).collect();
    if !missing.is_empty() {
        let shown: Vec<String> = missing.iter().map(|class| format!("`{class}` ({})", counts[*class])).collect();
        let message = format!(
            "classes that look like a missing value and are learnt as classes: {}; leave the cells empty where there is no label",
            shown.join(", ")
        );
        let names = missing.into_iter().cloned().collect();
        findings.push(Finding::new(FindingKind::MissingLookingClass, Severity::Warning, message, names));
    }
    findings.extend(lists(&counts));
    let groups = variants(&counts);
    if groups.is_empty() {
        return findings;
    }
    let shown: Vec<String> = groups
        .iter()
        .take(SHOWN)
        .map(|group| {
            let counted: Vec<String> =
                group.iter().map(|class| format!("`{}` ({})", printable_text(class), counts[*class])).collect();
            counted.join(" and ")
        })
        .collect();
    let more = groups.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let names = groups.iter().flatten().map(|class| (*class).to_owned()).collect();
    let what =
        "classes that differ only by case, blanks, signs between words, Unicode form or the way a number is written";
    if !merge {
        let message = format!("{what}: {}{more}; --merge-classes makes each group one class", shown.join("; "));
        findings.push(Finding::new(FindingKind::ClassVariants, Severity::Warning, message, names));
        return findings;
    }
    let message = format!("{what}, merged into the first of each group: {}{more}", shown.join("; "));
    findings.push(Finding::new(FindingKind::ClassVariants, Severity::Info, message, names));
    let into: BTreeMap<String, String> = groups
        .iter()
        .flat_map(|group| group[1..].iter().map(|class| ((*class).to_owned(), group[0].to_owned())))
        .collect();
    for label in labels {
        let merged: Vec<&str> = parts(label, several).map(|part| into.get(part).map_or(part, String::as_str)).collect();
        *label = merged.join(&SEPARATOR.to_string());
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_taken_out() {
        assert_eq!(clean(" caf\u{65}\u{301}\u{200B} "), "caf\u{e9}");
        assert_eq!(clean("\u{FEFF}ice cream\u{A0}"), "ice cream");
        assert_eq!(clean("good"), "good");
        // The joiner of an emoji, and of Persian words, is part of what is seen.
        assert_eq!(clean("\u{1F469}\u{200D}\u{1F52C}"), "\u{1F469}\u{200D}\u{1F52C}");
    }

    #[test]
    fn merged_labels_are_told() {
        let mut tidied = Tidied::default();
        assert_eq!(tidied.label("good", false, false), "good");
        assert!(tidied.finding().is_none());
        assert_eq!(tidied.label("good", true, false), "good");
        assert_eq!(tidied.label("go\u{200B}od", false, false), "good");
        let message = tidied.finding().unwrap().message;
        assert!(message.contains("`good `") && message.contains("`go\\u{200b}od`"), "{message}");
        assert!(message.contains("2 labels changed"), "{message}");
    }

    #[test]
    fn classes_like_lists_and_like_missing_values_are_told() {
        let mut labels = ["['a', 'x']", "['b']", "['b']", "[1, 2]", "[draft]", "-", "?", "n.a."].map(str::to_owned);
        let findings = review(&mut labels, false, false);
        let kinds: Vec<FindingKind> = findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [FindingKind::MissingLookingClass, FindingKind::ListLikeClass]);
        assert_eq!(findings[0].files, ["-", "?", "n.a."]);
        assert_eq!(findings[1].files, ["['a', 'x']", "['b']", "[1, 2]"]);
        assert!(
            findings[1].message.contains("`['b']` (2)") && findings[1].message.contains("write `a|x`"),
            "{findings:?}"
        );
    }

    #[test]
    fn classes_that_look_the_same_are_told_and_merged_where_asked() {
        let labels = ["Good", "good", "good", "0", "0.0", "bad", "TRUE", "true", "ice cream", "icecream"];
        let mut labels = labels.map(str::to_owned).to_vec();
        let before = labels.clone();
        let findings = review(&mut labels, false, false);
        assert_eq!(labels, before);
        let [told] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!((told.kind, told.severity), (FindingKind::ClassVariants, Severity::Warning));
        assert!(told.message.contains("`good` (2) and `Good` (1)"), "{}", told.message);
        assert!(!told.files.contains(&"bad".to_owned()) && told.files.len() == 8, "{:?}", told.files);
        let findings = review(&mut labels, false, true);
        assert_eq!(labels, ["good", "good", "good", "0", "0", "bad", "TRUE", "TRUE", "ice cream", "ice cream"]);
        assert_eq!(findings[0].severity, Severity::Info);
        let mut sets = vec!["Cat|dog".to_owned(), "cat".to_owned(), "cat".to_owned(), String::new()];
        review(&mut sets, true, true);
        assert_eq!(sets, ["cat|dog", "cat", "cat", ""]);
    }

    #[test]
    fn classes_that_differ_by_separators_of_thousands_or_signs_between_words_are_told() {
        for (one, other) in [
            ("1,000", "1000"),
            ("1'234.5", "1234.5"),
            ("-1,234,567", "-1234567"),
            ("new york", "new_york"),
            ("T-Shirt", "t shirt"),
            ("class_1", "class 1"),
        ] {
            assert_eq!(likeness(one), likeness(other));
        }
        for (one, other) in [("1,00", "100"), ("1-2", "12"), ("c++", "c--"), ("-1", "1"), ("1,2", "12"), ("a+b", "ab")]
        {
            assert_ne!(likeness(one), likeness(other));
        }
        let mut labels = ["new york", "new_york", "1,000", "1000", "rome"].map(str::to_owned).to_vec();
        let [told] = review(&mut labels, false, false).try_into().unwrap();
        assert_eq!(told.files, ["1,000", "1000", "new york", "new_york"]);
        assert!(told.message.contains("signs between words"), "{}", told.message);
    }

    #[test]
    fn classes_that_look_like_a_missing_value_are_kept_and_told() {
        let mut labels = ["NA", "null", "yes", "NA"].map(str::to_owned).to_vec();
        let findings = review(&mut labels, false, false);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].files, ["NA", "null"]);
        assert!(findings[0].message.contains("`NA` (2)"), "{}", findings[0].message);
    }
}
