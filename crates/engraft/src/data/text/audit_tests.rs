use std::path::PathBuf;

use super::*;
use crate::data::Split::{Test, Train, Val};
use crate::data::text::{TextExample, TextFormat, TextSource};
use crate::data::{Grouping, Inferred, Split, Targets, Task};

const THINGS: [&str; 8] = ["kettle", "lamp", "garden", "river", "engine", "window", "ticket", "mirror"];

/// A sentence of its own for every number.
fn sentence(number: usize) -> String {
    let thing = |step: usize| THINGS[(number / 8_usize.pow(step as u32) + step) % 8];
    format!("the {} of my {} number {number} was near the {} again", thing(0), thing(1), thing(2))
}

/// Audits rows of (split, class, text); names are `row 1`, `row 2`, ...
fn run(rows: &[(Split, &str, String)]) -> Audit {
    let mut classes: Vec<String> = rows.iter().map(|row| row.1.to_owned()).collect();
    classes.sort();
    classes.dedup();
    let examples = rows
        .iter()
        .enumerate()
        .map(|(index, (split, class, text))| TextExample {
            name: format!("row {}", index + 1),
            text: Text::single(text.clone()),
            label: classes.iter().position(|name| name == class).unwrap(),
            split: *split,
            group: None,
        })
        .collect();
    let source = TextSource {
        format: TextFormat::Csv,
        encoding: None,
        text_columns: Vec::new(),
        label_column: None,
        remarks: Vec::new(),
    };
    let inferred = Inferred { task: Task::SingleLabel, reason: String::new() };
    let targets = Targets::Classes;
    let (root, grouping) = (PathBuf::new(), Grouping::default());
    audit_texts(&TextDataset { root, classes, examples, source, targets, inferred, grouping }, Vec::new())
}

/// Sixty clean rows of two classes, and more.
fn with(more: &[(Split, &str, &str)]) -> Audit {
    let clean = (0..60).map(|row| (Train, if row % 2 == 0 { "a" } else { "b" }, sentence(row * 7)));
    run(&clean.chain(more.iter().map(|&(split, class, text)| (split, class, text.to_owned()))).collect::<Vec<_>>())
}

fn told(audit: &Audit) -> Vec<(FindingKind, Severity, String)> {
    audit.findings.iter().map(|finding| (finding.kind, finding.severity, finding.files.join(" "))).collect()
}

#[test]
fn clean_texts_say_nothing() {
    let audit = with(&[]);
    assert_eq!(told(&audit), []);
    assert_eq!(audit.groups, (0..60).collect::<Vec<_>>());
}

#[test]
fn copies_and_near_copies_share_a_group() {
    let audit = with(&[
        (Train, "a", "We went to the sea and it was a very good day for everyone"),
        (Train, "a", "we went to  the sea and it WAS a very good day for everyone"),
        (Train, "a", "We went to the sea, and it was a very good day for everyone!"),
    ]);
    assert_eq!(
        told(&audit),
        [
            (FindingKind::ExactDuplicate, Severity::Info, "row 61 row 62".into()),
            (FindingKind::NearDuplicate, Severity::Info, "row 61 row 63".into()),
        ]
    );
    assert_eq!(audit.groups[60..], [60, 60, 60]);
    assert!(audit.findings[1].message.starts_with("texts that read nearly the same as another"), "{audit:?}");
}

#[test]
fn one_text_under_two_labels_is_left_out_and_near_ones_are_told() {
    let audit = with(&[
        (Train, "a", "the service was slow but the soup was the best I ever had"),
        (Train, "b", "The service was slow but the soup was the best I ever had"),
        (Train, "a", "nobody here knows how to make a proper cup of coffee"),
        (Train, "b", "nobody here knows how to make a proper cup of coffee!!"),
    ]);
    assert_eq!(
        told(&audit),
        [
            (FindingKind::LabelConflict, Severity::Serious, "row 61 row 62".into()),
            (FindingKind::LabelConflict, Severity::Serious, "row 63 row 64".into()),
        ]
    );
    assert_eq!(audit.excluded, [60, 61].into());
    assert!(audit.findings[0].message.contains("the same text under different labels"));
}

#[test]
fn leaks_are_left_out_of_the_split_that_matters_less() {
    let audit = with(&[
        (Train, "a", "a leak from training into the test that nobody would see"),
        (Test, "a", "a leak from training into the test that nobody would see"),
        (Val, "b", "this one is seen in validation and nearly so in the test"),
        (Test, "b", "this one is seen in validation and nearly so in the tests"),
    ]);
    let leaks: Vec<_> = told(&audit).into_iter().filter(|finding| finding.0 == FindingKind::Leak).collect();
    assert_eq!(
        leaks,
        [
            (FindingKind::Leak, Severity::Warning, "row 61 row 62".into()),
            (FindingKind::Leak, Severity::Warning, "row 63 row 64".into()),
        ]
    );
    assert_eq!(audit.excluded, [60, 62].into());
}

#[test]
fn empty_wordless_long_and_damaged_texts_are_told() {
    let long: Vec<String> = (0..500).map(|word| format!("word{word}")).collect();
    let audit = with(&[
        (Train, "a", ""),
        (Train, "b", "n/a"),
        (Train, "a", "\u{1f600}\u{1f600}"),
        (Train, "b", "12 345 !"),
        (Train, "a", &long.join(" ")),
        (Train, "b", "cafÃ© au lait"),
        (Train, "a", "donâ€™t go there"),
        (Train, "b", "lost \u{fffd} signs"),
        (Train, "a", "naïve café, çà et là: «œuvre» – 100 €"),
    ]);
    assert_eq!(
        told(&audit),
        [
            (FindingKind::EmptyText, Severity::Warning, "row 61 row 62".into()),
            (FindingKind::Mojibake, Severity::Warning, "row 66 row 67 row 68".into()),
            (FindingKind::NoLetters, Severity::Warning, "row 63 row 64".into()),
            (FindingKind::LongText, Severity::Info, "row 65".into()),
        ]
    );
    assert_eq!(audit.excluded, [60, 61].into());
}

#[test]
fn a_second_language_is_told() {
    let german = [
        "Das Essen war leider kalt und der Kellner sehr unfreundlich zu uns",
        "Wir haben uns in diesem Hotel von Anfang an sehr wohl gefühlt",
        "Die Bedienung hat uns eine halbe Stunde auf die Rechnung warten lassen",
        "Ich würde dieses Buch jedem empfehlen, der gerne spannende Geschichten liest",
        "Leider funktioniert das Gerät nach zwei Wochen schon nicht mehr richtig",
    ];
    let more: Vec<(Split, &str, &str)> = german.iter().map(|&text| (Train, "a", text)).collect();
    let audit = with(&more);
    let finding = audit.findings.iter().find(|finding| finding.kind == FindingKind::MixedLanguages).unwrap();
    assert!(finding.message.contains("English") && finding.message.contains("German"), "{}", finding.message);
    assert!(finding.files.iter().all(|name| name.as_str() >= "row 61"), "{finding:?}");
}

#[test]
fn small_classes_are_called_texts() {
    let audit = run(&[(Train, "a", sentence(1)), (Train, "b", sentence(2)), (Train, "b", sentence(300))]);
    let messages: Vec<&str> = audit.findings.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(messages[0], "a class with too few usable training texts (at least 2): a has 1");
    assert!(messages.iter().any(|message| message.starts_with("few training texts in all: 3")), "{messages:?}");
}

#[test]
fn pairs_are_compared_as_a_whole() {
    let text = |first: &str, second: &str| Text { first: first.into(), second: Some(second.into()) };
    assert_ne!(normalised(&text("a b", "c")), normalised(&text("a", "b c")));
    assert!(is_mojibake("GrÃ¼ÃŸe") && !is_mojibake("Grüße") && !is_mojibake("NÃO é «à»"));
}
