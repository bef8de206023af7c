use super::*;
use crate::data::audit::Audit;

fn audited(text: &str) -> (VectorSet, Audit) {
    let (set, findings) = open(text, &VectorReading::default()).unwrap();
    audit_vectors(set, findings)
}

fn names(set: &VectorSet) -> Vec<&str> {
    set.columns.iter().map(|column| column.name.as_str()).collect()
}

/// What is told of a kind: how bad it is, and of what.
fn told(audit: &Audit, kind: FindingKind) -> Vec<(Severity, String)> {
    let findings = audit.findings.iter().filter(|finding| finding.kind == kind);
    findings.map(|finding| (finding.severity, finding.files.join(" "))).collect()
}

/// A number between 0 and 999 that looks drawn.
fn mixed(row: usize) -> usize {
    (row * 7919 + 13) * (row + 31) % 1009
}

#[test]
fn columns_that_teach_nothing_are_taken_out() {
    let text = table("id,key,one,none,rare,x,back,label", 60, |row| {
        format!(
            "{},k{row},7,,{},{},{},{}",
            10 + 3 * row,
            if row == 5 { "z" } else { "a" },
            mixed(row),
            900 - row,
            mixed(row) % 2
        )
    });
    let (set, audit) = audited(&text);
    assert_eq!(names(&set), ["rare", "x"]);
    assert_eq!(told(&audit, FindingKind::ConstantColumn), [(Severity::Info, "one none".into())]);
    assert_eq!(told(&audit, FindingKind::IdentifierColumn), [(Severity::Info, "id key back".into())]);
    assert_eq!(told(&audit, FindingKind::LabelLeak), []);
}

#[test]
fn an_only_column_that_rises_is_kept() {
    let (set, audit) = audited(&table("time,y", 30, |row| format!("{row},{}.5", mixed(row))));
    assert_eq!(names(&set), ["time"]);
    assert_eq!(told(&audit, FindingKind::IdentifierColumn), []);
    let (set, audit) = audit_vectors(
        open(&table("a,label", 30, |row| format!("1,{}", row % 2)), &VectorReading::default()).unwrap().0,
        Vec::new(),
    );
    assert!(set.columns.is_empty());
    assert_eq!(told(&audit, FindingKind::NoTraining), [(Severity::Serious, String::new())]);
}

#[test]
fn columns_that_tell_the_label_are_serious() {
    let text = table("x,code,flag,word,label", 60, |row| {
        let label = mixed(row) % 3;
        let flag = if label == 2 && row % 2 == 0 { 1 } else { 0 };
        format!("{},{},{flag},{},{label}", mixed(row + 1), 5 - label, ["p", "", "q"][label])
    });
    let (set, audit) = audited(&text);
    assert_eq!(names(&set), ["x", "code", "flag", "word"], "only the user knows");
    let leaks = told(&audit, FindingKind::LabelLeak);
    assert_eq!(leaks, [(Severity::Serious, "code".into()), (Severity::Serious, "word".into())]);
    // Numbers on a line with the numbers to learn, but for missing cells.
    let text = table("x,fahrenheit,near,y", 60, |row| {
        let celsius = mixed(row) as f64 / 10.0;
        let fahrenheit = if row == 7 { String::new() } else { (celsius * 1.8 + 32.0).to_string() };
        format!("{},{fahrenheit},{},{}", mixed(row + 1), celsius + 5.0 * (row % 2) as f64, celsius + 0.01)
    });
    let (_, audit) = audited(&text);
    assert_eq!(told(&audit, FindingKind::LabelLeak), [(Severity::Serious, "fahrenheit".into())]);
    let text = table("x,flag,label", 60, |row| {
        format!("{},{},{}", mixed(row), row % 2, if row % 2 == 0 { "a" } else { "a|b" })
    });
    let (_, audit) = audited(&text);
    let leak = audit.findings.iter().find(|finding| finding.kind == FindingKind::LabelLeak).unwrap();
    assert!(leak.message.contains("`flag` tells whether a row has the label `b`"), "{}", leak.message);
}

#[test]
fn equal_rows_share_a_group_and_contradictions_are_left_out() {
    let text = table("x,c,label", 60, |row| match row {
        40 => format!("{},c{},{}", mixed(3), 3 % 2, mixed(3) % 2),
        50 => format!("{},c{},{}", mixed(4), 4 % 2, 1 - mixed(4) % 2),
        _ => format!("{},c{},{}", mixed(row), row % 2, mixed(row) % 2),
    });
    let (_, audit) = audited(&text);
    assert_eq!(told(&audit, FindingKind::ExactDuplicate), [(Severity::Info, "row 4 row 41".into())]);
    assert_eq!(told(&audit, FindingKind::LabelConflict), [(Severity::Serious, "row 5 row 51".into())]);
    assert_eq!((audit.groups[3], audit.groups[40]), (3, 3));
    assert_eq!(audit.excluded, [4, 50].into());
}

#[test]
fn a_row_in_two_splits_is_left_out_of_training() {
    let text = table("x,label,split", 60, |row| {
        let of = if row == 59 { 2 } else { row };
        format!("{},{},{}", mixed(of), mixed(of) % 2, if row > 50 { "test" } else { "" })
    });
    let (_, audit) = audited(&text);
    assert_eq!(told(&audit, FindingKind::Leak), [(Severity::Warning, "row 3 row 60".into())]);
    assert_eq!(audit.excluded, [2].into());
}

#[test]
fn rows_of_few_values_are_no_copies() {
    let text = table("sex,class,label", 60, |row| format!("{},{},{}", row % 2, mixed(row) % 3, mixed(row + 2) % 2));
    let (_, audit) = audited(&text);
    assert_eq!((audit.excluded.len(), told(&audit, FindingKind::LabelConflict).len()), (0, 0));
    assert!(told(&audit, FindingKind::FewCombinations).len() == 1 && audit.groups == (0..60).collect::<Vec<_>>());
}

#[test]
fn rows_of_which_some_are_equal_share_a_fold_and_stay() {
    let text = table("x,label", 60, |row| format!("{},{}", mixed(row % 40), row % 2));
    let (set, audit) = audited(&text);
    let digests = set.digests();
    assert_eq!(audit.excluded.len(), 0);
    for row in 0..60 {
        let equal = |other: usize| digests[row] == digests[other];
        assert!((0..60).all(|other| equal(other) == (audit.groups[row] == audit.groups[other])));
    }
}

#[test]
fn missing_cells_are_told_by_column() {
    let text = table("x,a,b,label", 60, |row| {
        let cell = |missing: bool| if missing { String::new() } else { mixed(row).to_string() };
        format!("{},{},{},{}", mixed(row), cell(row % 4 == 0), cell(row % 4 != 0), mixed(row) % 2)
    });
    let (_, audit) = audited(&text);
    let told = told(&audit, FindingKind::MissingCells);
    assert_eq!(told, [(Severity::Warning, "b: 75.0 %".into()), (Severity::Info, "a: 25.0 %".into())]);
    assert!(audit.render().contains("60 examples in 2 classes"), "{}", audit.render());
}

#[test]
fn rows_are_not_called_images() {
    let text = table("x,y", 60, |row| format!("{},{}.5", mixed(row), if row == 9 { 100_000 } else { row % 7 }));
    let text = audited(&text).1.render()
        + &audited(&table("x,label", 12, |row| format!("{},{}", mixed(row), ["a|b", "", "c"][row % 3]))).1.render();
    assert!(text.contains("rows whose number is far") && text.contains("rows without any label"), "{text}");
    assert!(!text.contains("image"), "{text}");
}
