use super::*;
use std::os::unix::ffi::OsStrExt;

fn tree(files: &[&str]) -> tempfile::TempDir {
    let temp = tempfile::tempdir().unwrap();
    for name in files {
        let path = temp.path().join(name);
        if name.ends_with('/') {
            std::fs::create_dir_all(path).unwrap();
        } else {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"x").unwrap();
        }
    }
    temp
}

fn names(dataset: &Dataset) -> Vec<(&str, &str, Split)> {
    let name = |example: &'_ super::super::Example| dataset.classes[example.label].as_str().to_owned();
    dataset
        .examples
        .iter()
        .map(|example| {
            let class = dataset.classes.iter().find(|class| **class == name(example)).unwrap();
            (example.name.as_str(), class.as_str(), example.split)
        })
        .collect()
}

fn finding(findings: &[Finding], kind: FindingKind) -> &Finding {
    findings.iter().find(|finding| finding.kind == kind).unwrap_or_else(|| panic!("no {kind:?} in {findings:?}"))
}

#[test]
fn a_folder_per_class() {
    let temp = tree(&["cat/2.jpg", "cat/1.jpg", "dog/deep/er/3.jpg", "dog/notes.txt"]);
    let (dataset, findings) = read(temp.path()).unwrap();
    assert_eq!(dataset.classes, ["cat", "dog"]);
    assert_eq!(
        names(&dataset),
        [
            ("cat/1.jpg", "cat", Split::Train),
            ("cat/2.jpg", "cat", Split::Train),
            ("dog/deep/er/3.jpg", "dog", Split::Train),
            ("dog/notes.txt", "dog", Split::Train),
        ]
    );
    assert_eq!(findings, []);
}

#[test]
fn splits_are_read_from_the_folders_names() {
    let temp = tree(&["Train/a/1", "Train/b/1", "valid/a/1", "test/b/1"]);
    let (dataset, _) = read(temp.path()).unwrap();
    let splits: Vec<_> = dataset.examples.iter().map(|example| example.split).collect();
    assert_eq!(splits, [Split::Train, Split::Train, Split::Test, Split::Val]);
    assert_eq!(dataset.examples[0].name, "Train/a/1");
}

#[test]
fn a_folder_named_train_beside_others_is_a_class_and_told() {
    let temp = tree(&["train/1", "ship/1"]);
    let (dataset, findings) = read(temp.path()).unwrap();
    assert_eq!(dataset.classes, ["ship", "train"]);
    assert_eq!(finding(&findings, FindingKind::UnusualLayout).files, ["train"]);
}

/// How many examples each split and class has.
fn counts(files: &[&str]) -> (Vec<String>, Vec<Finding>) {
    let temp = tree(files);
    let (dataset, findings) = read(temp.path()).unwrap();
    let mut counts = std::collections::BTreeMap::new();
    for (_, class, split) in names(&dataset) {
        *counts.entry(format!("{} {class}", split.name())).or_insert(0) += 1;
    }
    (counts.into_iter().map(|(name, count)| format!("{name} {count}")).collect(), findings)
}

#[test]
fn splits_are_known_by_their_usual_names_in_any_case() {
    let (found, findings) = counts(&["Training/a/1", "Training/b/1", "Testing/a/1", "Testing/b/1"]);
    assert_eq!(found, ["test a 1", "test b 1", "train a 1", "train b 1"]);
    let said = finding(&findings, FindingKind::UnusualLayout);
    assert_eq!(
        (said.severity, said.files.as_slice()),
        (Severity::Info, ["Testing", "Training"].map(String::from).as_slice())
    );
    assert!(said.message.contains("`Testing` is test, `Training` is train"), "{}", said.message);
    let (found, _) = counts(&["train_set/a/1", "train_set/b/1", "dev/a/1"]);
    assert_eq!(found, ["train a 1", "train b 1", "val a 1"]);
    let (found, _) = counts(&["train/a/1", "train/b/1", "valid/a/1", "evaluation/b/1"]);
    assert_eq!(found, ["test b 1", "train a 1", "train b 1", "val a 1"]);
}

#[test]
fn a_word_of_a_name_is_a_split_where_the_folders_below_agree() {
    let (found, findings) = counts(&[
        "seg_train/seg_train/sea/1",
        "seg_train/seg_train/ice/1",
        "seg_test/seg_test/sea/1",
        "seg_test/seg_test/ice/1",
        "seg_pred/seg_pred/1.jpg",
    ]);
    assert_eq!(found, ["test ice 1", "test sea 1", "train ice 1", "train sea 1"]);
    let told: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
    assert!(told.iter().any(|told| told.contains("`seg_train/seg_train` is train")), "{told:?}");
    assert!(told.iter().any(|told| told.contains("not used: 1")), "{told:?}");
    // Names with such a word that are classes: nothing below them agrees.
    let (found, _) = counts(&["trainers/1", "test_tube/1", "train/1", "boots/1"]);
    assert_eq!(found, ["train boots 1", "train test_tube 1", "train train 1", "train trainers 1"]);
    let (found, _) = counts(&["test_tube/x/1", "train_set/y/1", "boots/z/1"]);
    assert_eq!(found, ["train boots 1", "train test_tube 1", "train train_set 1"]);
}

#[test]
fn the_same_folders_in_all_folders_are_the_classes() {
    let (found, findings) = counts(&["2019/a/1", "2019/b/1", "2020/a/1", "2020/B/1"]);
    assert_eq!(found, ["train B 1", "train a 2", "train b 1"]);
    let said = finding(&findings, FindingKind::UnusualLayout);
    assert_eq!(said.severity, Severity::Serious);
    assert!(said.message.contains("`2019` is train, `2020` is train"), "{}", said.message);
    assert_eq!(finding(&findings, FindingKind::ClassVariants).files, ["B", "b"]);
    let (found, _) = counts(&["cat/train/1", "cat/test/2", "dog/train/1", "dog/test/1"]);
    assert_eq!(found, ["test cat 1", "test dog 1", "train cat 1", "train dog 1"]);
}

#[test]
fn abbreviated_splits_are_splits_where_they_hold_the_same_classes() {
    let (found, findings) = counts(&["tr/a/1", "tr/b/1", "tr/c/1", "te/a/1", "te/b/1"]);
    assert_eq!(found, ["test a 1", "test b 1", "train a 1", "train b 1", "train c 1"]);
    assert!(finding(&findings, FindingKind::UnusualLayout).message.contains("`te` is test, `tr` is train"));
    let (found, _) = counts(&["tr/1.txt", "te/1.txt", "en/1.txt"]);
    assert_eq!(found, ["train en 1", "train te 1", "train tr 1"], "languages");
}

#[test]
fn nearly_the_same_folders_in_all_folders_are_the_classes() {
    let seriously = |files: &[&str]| {
        let (found, findings) = counts(files);
        assert_eq!(finding(&findings, FindingKind::UnusualLayout).severity, Severity::Serious, "{found:?}");
        found
    };
    let found = seriously(&["site_a/x/1", "site_a/y/1", "site_a/z/1", "site_b/x/1", "site_b/y/1"]);
    assert_eq!(found, ["train x 2", "train y 2", "train z 1"]);
    let days = ["day1/train/x/1", "day1/train/y/1", "day1/test/x/1", "day1/test/y/1", "day2/train/x/1"];
    let found = seriously(&[days.as_slice(), &["day2/train/y/1", "day2/test/y/1", "day2/test/x/1"]].concat());
    assert_eq!(found, ["test x 2", "test y 2", "train x 2", "train y 2"]);
    // Years that not every class has are no classes.
    let (found, findings) = counts(&["cat/2021/1", "cat/2022/1", "dog/2021/1", "dog/2022/1", "dog/2023/1"]);
    assert_eq!(found, ["train cat 2", "train dog 3"]);
    assert_eq!(finding(&findings, FindingKind::UnusualLayout).severity, Severity::Info);
}

#[test]
fn folders_in_folders_that_nothing_decides_about_are_told() {
    let (found, findings) = counts(&["round/circle/1", "round/disc/1", "edgy/square/1", "edgy/cross/1"]);
    assert_eq!(found, ["train edgy 2", "train round 2"]);
    let said = finding(&findings, FindingKind::UnusualLayout);
    assert_eq!(said.severity, Severity::Warning);
    assert!(said.message.contains("`round` holds circle, disc") && said.message.contains("path,label"), "{said:?}");
    let (_, findings) = counts(&["ill/p01/1", "ill/p02/1", "well/p03/1", "well/p04/1"]);
    assert_eq!(finding(&findings, FindingKind::UnusualLayout).severity, Severity::Info, "patients");
}

#[test]
fn files_without_classes_beside_those_to_train_on_are_set_aside_and_told() {
    for (train, other) in
        [("train_images", "test_images"), ("train", "test_images"), ("train", "test1"), ("train_images", "test")]
    {
        let files = [format!("{train}/cat/1"), format!("{train}/dog/1"), format!("{other}/1"), format!("{other}/2")];
        let (found, findings) = counts(&files.each_ref().map(String::as_str));
        assert_eq!(found, ["train cat 1", "train dog 1"], "{other}");
        assert_eq!(finding(&findings, FindingKind::StrayFile).files, [format!("{other}/1"), format!("{other}/2")]);
        let said = finding(&findings, FindingKind::UnusualLayout);
        assert!(said.message.contains(&format!("nothing is known of their labels: `{other}`")), "{said:?}");
    }
    for other in ["unlabeled", "unlabelled_images"] {
        let files = ["train/cat/1".to_owned(), "train/dog/1".to_owned(), format!("{other}/1")];
        let (found, findings) = counts(&files.each_ref().map(String::as_str));
        assert_eq!(found, ["train cat 1", "train dog 1"], "{other}");
        assert!(
            findings.iter().any(|told| told.files == [other] && told.message.contains("unlabelled files, not used: 1"))
        );
    }
    let (found, _) = counts(&["train/cat/1", "train/dog/1", "val/cat/2", "val/dog/2", "test_images/1"]);
    assert_eq!(found, ["train cat 1", "train dog 1", "val cat 1", "val dog 1"]);
    let (found, _) = counts(&["train/steam/1", "train/2", "test_bus/1"]);
    assert_eq!(found, ["train test_bus 1", "train train 2"], "a class called train");
}

#[test]
fn folders_named_like_splits_without_classes_are_a_serious_finding() {
    let (_, findings) = counts(&["trainA/1", "trainB/1", "testA/1", "testB/1"]);
    let said = finding(&findings, FindingKind::UnusualLayout);
    assert_eq!((said.severity, said.files.len()), (Severity::Serious, 4));
    assert!(said.message.contains("put the classes into them (train/A, train/B, test/A, test/B)"), "{}", said.message);
    let (_, findings) = counts(&["train_images/1", "test_images/1", "test_masks/1"]);
    assert_eq!(finding(&findings, FindingKind::UnusualLayout).severity, Severity::Serious);
    let (_, findings) = counts(&["training_shoe/1", "test_tube/1", "boot/1"]);
    assert_eq!(findings, [], "classes");
}

#[test]
fn masks_beside_a_split_are_left_out_and_told() {
    let (found, findings) =
        counts(&["train/a/1", "train/b/1", "test/a/1", "test/b/1", "test_masks/a/1", "test_masks/b/1"]);
    assert_eq!(found, ["test a 1", "test b 1", "train a 1", "train b 1"]);
    let left = findings.iter().find(|finding| finding.message.contains("hold masks, labels")).unwrap();
    assert_eq!((left.severity, left.files.as_slice()), (Severity::Warning, ["test_masks".to_owned()].as_slice()));
    let (found, _) = counts(&["train_labels/a/1", "train_labels/b/1", "test_labels/a/1"]);
    assert_eq!(found, ["test a 1", "train a 1", "train b 1"], "nothing else is there");
}

#[test]
fn one_class_in_two_unicode_forms_is_one() {
    let (found, findings) = counts(&["train/caf\u{e9}/1", "train/tea/1", "test/cafe\u{301}/1", "test/tea/1"]);
    assert_eq!(found, ["test caf\u{e9} 1", "test tea 1", "train caf\u{e9} 1", "train tea 1"]);
    let said = finding(&findings, FindingKind::ClassVariants);
    assert!(said.message.contains("merged"), "{}", said.message);
}

#[test]
fn litter_strays_and_empty_folders_are_told() {
    let temp = tree(&["a/1", "b/1", "a/.DS_Store", "a/Thumbs.db", "__MACOSX/a/1", ".git/x", "c/", "readme.md"]);
    let (dataset, findings) = read(temp.path()).unwrap();
    assert_eq!(dataset.classes, ["a", "b"]);
    let skipped = finding(&findings, FindingKind::Skipped);
    assert_eq!(skipped.severity, Severity::Info);
    assert_eq!(skipped.files, [".git", "__MACOSX", "a/.DS_Store", "a/Thumbs.db"]);
    assert_eq!(finding(&findings, FindingKind::StrayFile).files, ["readme.md"]);
    assert_eq!(finding(&findings, FindingKind::EmptyClass).files, ["c"]);
}

#[test]
fn runs_of_this_program_among_the_data_are_no_classes_and_told() {
    let temp = tree(&["train/cat/1", "train/dog/1", "val/cat/2", "val/cat/run/1.jpg"]);
    let report = br#"{"schema":1,"version":"0.1.0","task":"image-classification"}"#;
    for run in ["run", "val/cat/run", "train/dog/old/run"] {
        for (name, bytes) in [("report.json", report.as_slice()), ("model.json", b"{}"), ("run.toml", b"")] {
            crate::files::write_atomic(&temp.path().join(run).join(name), bytes).unwrap();
        }
    }
    crate::files::write_atomic(&temp.path().join("run.unfinished/run.toml"), b"").unwrap();
    let (dataset, findings) = read(temp.path()).unwrap();
    let names: Vec<_> = dataset.examples.iter().map(|example| example.name.as_str()).collect();
    assert_eq!(names, ["train/cat/1", "train/dog/1", "val/cat/2"]);
    let own = finding(&findings, FindingKind::OwnOutput);
    assert_eq!(own.files, ["run", "run.unfinished", "train/dog/old/run", "val/cat/run"]);
    assert_eq!(files_below(temp.path(), &["jpg"]).len(), 0);
}

#[test]
fn named_pipes_and_sockets_are_passed_over_and_told() {
    let temp = tree(&["a/1", "b/1"]);
    let _listener = std::os::unix::net::UnixListener::bind(temp.path().join("a/socket")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(temp.path().join("b/pipe")).arg(temp.path().join("p")).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo is on every Unix");
    let (dataset, findings) = read(temp.path()).unwrap();
    assert_eq!(dataset.examples.len(), 2);
    let skipped = finding(&findings, FindingKind::Skipped);
    assert_eq!((skipped.severity, skipped.files.len()), (Severity::Warning, 3), "{skipped:?}");
    assert_eq!(files_below(temp.path(), &["1"]).len(), 0);
}

#[test]
fn links_are_followed_and_circles_are_told() {
    let temp = tree(&["a/1", "b/1", "outside/2"]);
    std::os::unix::fs::symlink(temp.path().join("a"), temp.path().join("a/loop")).unwrap();
    std::os::unix::fs::symlink(temp.path(), temp.path().join("a/root")).unwrap();
    std::os::unix::fs::symlink(temp.path().join("outside"), temp.path().join("b/linked")).unwrap();
    std::os::unix::fs::symlink(temp.path().join("gone"), temp.path().join("b/dangling")).unwrap();
    let (dataset, findings) = read(temp.path()).unwrap();
    let names: Vec<_> = dataset.examples.iter().map(|example| example.name.as_str()).collect();
    assert_eq!(names, ["a/1", "b/1", "b/linked/2", "outside/2"]);
    assert_eq!(finding(&findings, FindingKind::UnreadableFolder).files, ["a/loop", "a/root", "b/dangling"]);
}

#[test]
fn names_that_are_not_utf8_are_read() {
    let temp = tree(&["a/1"]);
    let folder = temp.path().join(OsStr::from_bytes(b"b\xff"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join(OsStr::from_bytes(b"\xfe.png")), b"x").unwrap();
    let (dataset, _) = read(temp.path()).unwrap();
    assert_eq!(dataset.classes, ["a", "b\\xFF"]);
    assert_eq!(dataset.examples[1].name, "b\\xFF/\\xFE.png");
    assert!(dataset.examples[1].source.file().unwrap().exists());
}

#[test]
fn a_table_in_the_folder_is_named_where_the_folder_is_refused() {
    for (files, table) in [
        (["images/1.jpg", "images/2.jpg", "labels.csv"], "labels.csv"),
        (["train/1.jpg", "train/metadata.jsonl", "train/2.jpg"], "train/metadata.jsonl"),
        (
            ["data/test-00000-of-00001.parquet", "data/train-00000-of-00001.parquet", "README.md"],
            "data/train-00000-of-00001.parquet",
        ),
    ] {
        let temp = tree(&files);
        let refused = read(temp.path()).unwrap_err().to_string();
        assert!(refused.contains("hint: the folder holds a table") && refused.contains(table), "{refused}");
    }
}

#[test]
fn what_is_no_data_set_is_refused_with_the_layout() {
    let refused = |files: &[&str], words: &str| {
        let temp = tree(files);
        let problem = read(temp.path()).unwrap_err();
        assert!(matches!(problem, Error::Data(_)));
        assert!(problem.to_string().contains(words), "{problem}");
    };
    refused(&[], "an empty folder");
    refused(&["1.jpg", "2.jpg"], "files of no class: 2");
    refused(&["a/", "b/"], "nothing but empty folders (a, b)");
    refused(&["a/1", "a/2"], "only one class");
    refused(&["data/a/1", "data/b/2"], "did you mean");
    refused(&["val/a/1", "test/b/1"], "no training data");
    refused(&["train/1.jpg", "test/1.jpg"], "no labelled images");
    assert!(read(Path::new("/nowhere/at/all")).is_err());
}
