//! Groups that were asked for and folds, of every kind of table and target.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use crate::data::inspect::NoStore;
use crate::data::intake::{InputKind, Intake};
use crate::data::{FindingKind, Severity, Split};
use crate::error::Result;
use crate::progress::Silent;
use crate::settings::Fit;
use crate::targets::{TargetSettings, target_of};

const EXAMPLES: usize = 60;

/// The group of an example: twelve of four, and every tenth example has none.
fn group(at: usize) -> String {
    if at % 10 == 9 { String::new() } else { format!("g{}", at * 7 % 12) }
}

fn label(at: usize, task: &str) -> String {
    match task {
        "single-label" => ["a", "b"][at * at % 3 % 2].to_owned(),
        "multi-label" => ["x|y", "x", "y|z", ""][(at * 3 + at / 4) % 4].to_owned(),
        _ => format!("{}.5", at * at % 37),
    }
}

fn open(config: &Fit) -> Result<Intake> {
    Intake::open(config, InputKind::of(config), &NoStore, &Silent)
}

/// The folds of the training examples; no group is in two of them.
fn disjoint_folds(intake: &Intake, expected_groups: usize) {
    let grouped = intake.audit.grouped.as_ref().unwrap();
    assert_eq!(grouped.groups, expected_groups);
    let train = intake.usable(Split::Train);
    let groups: Vec<usize> = train.iter().map(|&index| intake.audit.groups[index]).collect();
    let target = target_of(intake, &train, &TargetSettings::default());
    let (count, folds) = target.folds(5, &groups, intake.unit(), &Silent);
    assert_eq!(count, 5);
    assert_eq!(folds.iter().collect::<BTreeSet<_>>().len(), 5);
    let mut of_group = BTreeMap::new();
    for (&index, &fold) in train.iter().zip(&folds) {
        if let Some(group) = &intake.dataset.examples[index].group {
            assert_eq!(*of_group.entry(group.clone()).or_insert(fold), fold, "{group}");
        }
    }
    assert!(of_group.len() >= expected_groups - 1);
}

fn image(path: &Path, seed: usize) {
    use rand::RngExt;
    let mut stream = crate::rng::rng(seed as u64, "picture", 0);
    let patches = image::RgbImage::from_fn(8, 8, |_, _| image::Rgb(stream.random()));
    image::imageops::resize(&patches, 32, 32, image::imageops::FilterType::Triangle).save(path).unwrap();
}

/// A sentence of its own for every number.
fn sentence(at: usize) -> String {
    let words = ["kettle", "lamp", "garden", "river", "engine", "window", "ticket"];
    let word = |step: usize| words[(at / 7_usize.pow(step as u32) + step) % 7];
    format!("the {} of my {} number {at} was near the {} again", word(0), word(1), word(2))
}

#[test]
fn no_group_crosses_folds_of_images_texts_and_rows_with_any_target() {
    let temp = tempfile::tempdir().unwrap();
    (0..EXAMPLES).for_each(|at| image(&temp.path().join(format!("{at}.png")), at));
    for task in ["single-label", "multi-label", "regression"] {
        let mut tables = BTreeMap::from([
            ("images.csv", "path,label,who\n".to_owned()),
            ("texts.csv", "who,text,label\n".to_owned()),
            ("texts.jsonl", String::new()),
            ("rows.csv", "p,who,q,label\n".to_owned()),
        ]);
        for at in 0..EXAMPLES {
            let (who, label, text) = (group(at), label(at, task), sentence(at));
            let label = if label.is_empty() && task == "multi-label" { "w".to_owned() } else { label };
            let mut add = |name: &str, line: String| writeln!(tables.get_mut(name).unwrap(), "{line}").unwrap();
            add("images.csv", format!("{at}.png,{label},{who}"));
            add("texts.csv", format!("{who},{text},{label}"));
            add("texts.jsonl", format!(r#"{{"label": "{label}", "who": "{who}", "text": "{text}"}}"#));
            add("rows.csv", format!("{}.25,{who},{},{label}", at * 31 % 59, at * 17 % 61));
        }
        for (name, table) in tables {
            let path = temp.path().join(name);
            std::fs::write(&path, table).unwrap();
            let config = Fit {
                data: path.clone(),
                task: Some(task.into()),
                label_column: Some("label".into()),
                group_column: Some("who".into()),
                ..Fit::default()
            };
            let intake = open(&config).unwrap_or_else(|error| panic!("{name} {task}: {error}"));
            assert_eq!(intake.unit(), name.split('.').next().unwrap(), "{task}");
            disjoint_folds(&intake, 12);
            let without: Vec<_> =
                intake.audit.findings.iter().filter(|finding| finding.kind == FindingKind::NoGroup).collect();
            assert_eq!((without.len(), without[0].files.len()), (1, 6), "{name}: {without:?}");
            if let Some(rows) = intake.vectors() {
                assert!(rows.column("who").is_none() && rows.column("p").is_some(), "a group is no feature");
            }
            // The groups are part of what the data is.
            let others = std::fs::read_to_string(&path).unwrap().replace("g1", "g2");
            std::fs::write(&path, others).unwrap();
            assert_ne!(open(&config).unwrap().fingerprint(), intake.fingerprint(), "{name}");
            let missing = Fit { group_column: Some("wo".into()), ..config.clone() };
            let problem = open(&missing).unwrap_err().to_string();
            assert!(problem.contains("no column `wo`") && problem.contains("--group-column"), "{name}: {problem}");
            assert!(problem.contains("who"), "{name}: {problem}");
        }
    }
}

#[test]
fn groups_are_found_in_paths_of_images_and_texts() {
    let temp = tempfile::tempdir().unwrap();
    for class in ["ill", "well"] {
        std::fs::create_dir_all(temp.path().join("images").join(class)).unwrap();
        std::fs::create_dir_all(temp.path().join("texts").join(class)).unwrap();
    }
    let mut table = "path,label\n".to_owned();
    for at in 0..EXAMPLES {
        let (class, patient) = (["ill", "well"][at % 2], at / 5);
        let name = format!("{class}/p{patient}_{at}");
        image(&temp.path().join(format!("images/{name}.png")), at);
        std::fs::write(temp.path().join(format!("texts/{name}.txt")), sentence(at)).unwrap();
        writeln!(table, "images/{name}.png,{class}").unwrap();
    }
    std::fs::write(temp.path().join("table.csv"), table).unwrap();
    for data in ["images", "texts", "table.csv"] {
        let config = Fit { data: temp.path().join(data), group_by: Some(r"/p(\d+)_".into()), ..Fit::default() };
        disjoint_folds(&open(&config).unwrap(), 12);
        let none = Fit { group_by: Some("patient".into()), ..config.clone() };
        let problem = open(&none).unwrap_err().to_string();
        assert!(problem.contains("matches no path") && problem.contains("p0_0"), "{problem}");
        let bad = Fit { group_by: Some("p(".into()), ..config.clone() };
        assert!(open(&bad).unwrap_err().to_string().contains("unclosed group"));
        // One group of all leaves nothing to hold out.
        let one = open(&Fit { group_by: Some("(p)".into()), ..config }).unwrap();
        let problem = one.require_usable(false).unwrap_err().to_string();
        assert!(problem.contains("are of one group") && problem.contains("`(p)` in paths"), "{problem}");
    }
}

#[test]
fn a_group_in_two_splits_leaks_and_near_duplicates_join_groups() {
    let temp = tempfile::tempdir().unwrap();
    let mut table = "text,label,patient,split\n".to_owned();
    for at in 0..EXAMPLES {
        let split = if at >= 50 { "test" } else { "" };
        // Of the patients that are held out, one is trained on too: 10 examples of it.
        let patient = if at >= 50 { at % 5 } else { at / 10 + 4 };
        writeln!(table, "{},{},{patient},{split}", sentence(at), ["a", "b"][at % 2]).unwrap();
    }
    // What two patients said alike.
    let told = "he said that the old bridge over the river was closed for the winter and that nobody knew when";
    writeln!(table, "{told} it opens,a,30,\n{told} it opened,b,31,").unwrap();
    writeln!(table, "{},a,31,\n{},b,30,", sentence(300), sentence(301)).unwrap();
    let path = temp.path().join("texts.csv");
    std::fs::write(&path, table).unwrap();
    let config = Fit { data: path, group_column: Some("patient".into()), ..Fit::default() };
    let intake = open(&config).unwrap();
    let leak = intake.audit.findings.iter().find(|finding| finding.kind == FindingKind::GroupLeak).unwrap();
    assert_eq!((leak.severity, leak.files.len()), (Severity::Warning, 20));
    assert_eq!(leak.files[..2], ["row 1", "row 55"]);
    assert!(
        leak.message.contains("texts of train whose group (column `patient`) is also in test, of 1 group, left out"),
        "{}",
        leak.message
    );
    assert_eq!(intake.audit.excluded, (0..10).collect());
    // Two patients are one group by what they share, and all of their texts are in it.
    let groups = &intake.audit.groups[60..];
    assert_eq!(groups, [60; 4]);

    let plain = open(&Fit { group_column: None, ..config }).unwrap();
    let hint = plain.audit.findings.iter().find(|finding| finding.kind == FindingKind::PossibleGroups).unwrap();
    assert!(hint.message.ends_with("add --group-column patient"), "{}", hint.message);
    assert_eq!((hint.severity, plain.audit.grouped), (Severity::Info, None));
}

#[test]
fn a_class_of_one_group_is_told() {
    let temp = tempfile::tempdir().unwrap();
    let mut table = "p,q,label,site\n".to_owned();
    for at in 0..EXAMPLES {
        let label = if at % 6 == 0 { "rare" } else { ["a", "b"][at % 2] };
        writeln!(table, "{}.5,{},{label},{}", at * 31 % 59, at * 17 % 61, at % 6).unwrap();
    }
    let path = temp.path().join("rows.csv");
    std::fs::write(&path, table).unwrap();
    let intake = open(&Fit { data: path, group_column: Some("site".into()), ..Fit::default() }).unwrap();
    let told = intake.audit.findings.iter().find(|finding| finding.kind == FindingKind::FewGroups).unwrap();
    assert!(
        told.message.starts_with("1 of 3 classes are in one group alone (column `site`): rare"),
        "{}",
        told.message
    );
}
