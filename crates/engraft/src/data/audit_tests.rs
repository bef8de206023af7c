use super::*;
use crate::data::dataset::Row;
use std::path::PathBuf;

/// A thumbnail with texture of its own for every `kind`.
fn thumbnail(kind: u64, brighter: u8) -> Vec<u8> {
    (0..1024_u64)
        .map(|index| {
            let noise = (index + 1).wrapping_mul(kind * 2 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 57;
            60 + noise as u8 + brighter
        })
        .collect()
}

fn image(kind: u64, copy: u64) -> Inspection {
    Inspection {
        sha256: format!("{kind}-{copy}"),
        bytes: 1,
        outcome: Outcome::Image {
            width: 100,
            height: 100,
            format: "png".into(),
            thumbnail: thumbnail(kind, copy as u8),
            profile: None,
            peak: None,
            unended: false,
        },
    }
}

fn bad(kind: BadKind) -> Inspection {
    Inspection { sha256: String::new(), bytes: 0, outcome: Outcome::Bad { kind, reason: "why".into() } }
}

/// Audits rows of (split, class, inspection); names are `0000`, `0001`, ... in their order.
fn run(rows: &[(Split, &str, Inspection)]) -> Audit {
    let listed = rows
        .iter()
        .enumerate()
        .map(|(index, (split, class, _))| Row {
            source: PathBuf::new().into(),
            name: format!("{index:04}"),
            class: (*class).to_owned(),
            split: *split,
            group: None,
        })
        .collect();
    let inspections: Vec<_> = rows.iter().map(|row| row.2.clone()).collect();
    audit(&Dataset::assemble(PathBuf::new(), listed), &inspections, Vec::new())
}

/// The files of the only finding of a kind and severity.
fn files(audit: &Audit, kind: FindingKind, severity: Severity) -> Vec<&str> {
    let mut found = audit.findings.iter().filter(|finding| finding.kind == kind && finding.severity == severity);
    let finding = found.next().unwrap_or_else(|| panic!("no {kind:?} in {:#?}", audit.findings));
    assert!(found.next().is_none());
    finding.files.iter().map(String::as_str).collect()
}

/// Sixty clean rows, thirty of each of two classes.
fn clean() -> Vec<(Split, &'static str, Inspection)> {
    (0..60).map(|kind| (Train, if kind % 2 == 0 { "a" } else { "b" }, image(kind + 100, 0))).collect()
}

fn with(more: Vec<(Split, &'static str, Inspection)>) -> Audit {
    let mut rows = clean();
    rows.extend(more);
    run(&rows)
}

use Split::{Test, Train, Val};

#[test]
fn clean_data_has_no_findings() {
    let audit = run(&clean());
    assert_eq!(audit.findings, []);
    assert!(audit.excluded.is_empty());
    assert_eq!(audit.groups, (0..60).collect::<Vec<_>>());
    assert_eq!(audit.worst(), None);
}

#[test]
fn bad_files_are_left_out_and_named() {
    let kinds = [BadKind::Unreadable, BadKind::NotAnImage, BadKind::Damaged, BadKind::TooLarge, BadKind::Unsupported];
    let audit = with(kinds.iter().map(|&kind| (Train, "a", bad(kind))).collect());
    assert_eq!(audit.excluded, (60..65).collect());
    let kinds = [
        FindingKind::Unreadable,
        FindingKind::NotAnImage,
        FindingKind::Damaged,
        FindingKind::TooLarge,
        FindingKind::Unsupported,
    ];
    for (kind, name) in kinds.into_iter().zip(["0060", "0061", "0062", "0063", "0064"]) {
        assert_eq!(files(&audit, kind, Severity::Warning), [name]);
    }
    assert_eq!(audit.groups[60..], [60, 61, 62, 63, 64], "unreadable files are not duplicates of each other");
    assert_eq!((audit.classes[0].train, audit.classes[0].excluded), (30, 5));
}

#[test]
fn duplicates_are_kept_and_share_a_group() {
    let audit = with(vec![
        (Train, "a", image(1, 0)),
        (Train, "a", image(1, 0)),
        (Train, "a", image(1, 2)),
        (Train, "b", image(2, 0)),
    ]);
    assert_eq!(files(&audit, FindingKind::ExactDuplicate, Severity::Info), ["0060", "0061"]);
    assert_eq!(files(&audit, FindingKind::NearDuplicate, Severity::Info), ["0060", "0062"]);
    assert_eq!(audit.groups[60..], [60, 60, 60, 63]);
    assert!(audit.excluded.is_empty());
}

#[test]
fn several_near_duplicates_are_one_group() {
    let audit = with(vec![(Train, "a", image(1, 0)), (Train, "a", image(1, 3)), (Train, "a", image(1, 6))]);
    assert_eq!(audit.groups[60..], [60, 60, 60]);
    assert_eq!(files(&audit, FindingKind::NearDuplicate, Severity::Info), ["0060", "0061", "0060", "0062"]);
}

#[test]
fn one_file_under_two_labels_is_left_out_altogether() {
    let audit = with(vec![(Train, "a", image(1, 0)), (Train, "b", image(1, 0)), (Train, "a", image(1, 0))]);
    assert_eq!(files(&audit, FindingKind::LabelConflict, Severity::Serious), ["0060", "0061", "0062", "0061"]);
    assert_eq!(audit.excluded, (60..63).collect());
    assert_eq!(audit.groups[60..], [60, 60, 60]);
    assert_eq!(audit.worst(), Some(Severity::Serious));
}

#[test]
fn look_alikes_under_two_labels_are_an_error_but_kept() {
    let audit = with(vec![(Train, "a", image(1, 0)), (Train, "a", image(1, 1)), (Train, "b", image(1, 2))]);
    let named = files(&audit, FindingKind::LabelConflict, Severity::Serious);
    assert_eq!(named, ["0060", "0062", "0061", "0062"]);
    assert_eq!(files(&audit, FindingKind::NearDuplicate, Severity::Info), ["0060", "0061"]);
    assert!(audit.excluded.is_empty());
    assert_eq!(audit.groups[60..], [60, 60, 60]);
}

#[test]
fn what_leaks_is_left_out_of_the_split_that_matters_less() {
    let audit = with(vec![
        (Train, "a", image(1, 0)),
        (Test, "a", image(1, 0)),
        (Train, "a", image(2, 0)),
        (Val, "a", image(2, 1)),
        (Val, "b", image(3, 0)),
        (Test, "b", image(3, 0)),
        (Test, "b", image(4, 0)),
    ]);
    assert_eq!(audit.excluded, [60, 62, 64].into());
    let leaks: Vec<_> = audit.findings.iter().filter(|finding| finding.kind == FindingKind::Leak).collect();
    let told: Vec<_> = leaks.iter().map(|leak| (leak.message.as_str(), leak.files.join(" "))).collect();
    assert_eq!(
        told,
        [
            ("images of train that look the same as images in val, left out of train: 1", "0062 0063".into()),
            ("images of train that are also in test, left out of train: 1", "0060 0061".into()),
            ("images of val that are also in test, left out of val: 1", "0064 0065".into()),
        ]
    );
    let counts = &audit.classes[0];
    assert_eq!((counts.train, counts.val, counts.test, counts.excluded), (30, 1, 1, 2));
}

#[test]
fn small_classes_and_imbalance_are_told() {
    let mut rows = clean();
    rows.push((Train, "c", image(1, 0)));
    rows.push((Test, "d", image(2, 0)));
    rows.extend((0..5).map(|kind| (Train, "e", image(10 + kind, 0))));
    let audit = run(&rows);
    let told: Vec<_> = audit.findings.iter().map(|finding| (finding.severity, finding.message.as_str())).collect();
    assert_eq!(told[0].0, Severity::Serious);
    assert!(told[0].1.starts_with("a class with too few usable training images (at least 2): c has 1"), "{told:?}");
    assert!(told[1].1.starts_with("a class with held-out images only, so that it cannot be learnt: d"), "{told:?}");
    assert!(told[2].1.starts_with("a class with few training images (better 10 or more): e has 5"), "{told:?}");
    // A class that is left out is no smallest one.
    assert!(told[3].1.starts_with("imbalance: 30 training images of") && told[3].1.contains(", 5 of e;"), "{told:?}");
    let audit = run(&clean()[..40]);
    assert_eq!(audit.findings[0].kind, FindingKind::FewExamples);
}

#[test]
fn the_rendering_shows_ten_files_and_hides_control_characters() {
    let copies: Vec<_> = (0..13).map(|_| (Train, "a\u{1b}[2J", image(1, 0))).collect();
    let text = with(copies).render();
    assert!(text.starts_with("73 examples in 3 classes\n"), "{text}");
    assert!(text.contains("  0060  =  0061\n"), "{text}");
    assert!(text.ends_with("  0060  =  0070\n  and 2 more\n"), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn an_audit_survives_json() {
    let audit = with(vec![(Train, "a", image(1, 0)), (Train, "b", image(1, 0))]);
    let text = serde_json::to_string(&audit).unwrap();
    assert!(text.contains("\"label-conflict\""));
    assert_eq!(serde_json::from_str::<Audit>(&text).unwrap(), audit);
}
