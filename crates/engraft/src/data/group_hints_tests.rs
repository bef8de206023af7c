use std::path::PathBuf;

use super::*;
use crate::data::Grouping;
use crate::data::dataset::{Row, Split};

fn dataset(names: &[&str]) -> Dataset {
    let row = |name: &&str| Row {
        source: PathBuf::new().into(),
        name: (*name).to_owned(),
        class: name.split('/').next().unwrap().to_owned(),
        split: Split::Train,
        group: None,
    };
    Dataset::assemble(PathBuf::from("photos"), names.iter().map(row).collect())
}

fn groups(names: &[&str], pattern: &str) -> Vec<Option<String>> {
    let mut dataset = dataset(names);
    dataset.group_by(&Grouping::new(None, Some(pattern)).unwrap()).unwrap();
    dataset.examples.into_iter().map(|example| example.group).collect()
}

#[test]
fn the_group_is_the_named_capture_the_first_or_the_whole_match() {
    let names = ["cat/p1_a.png", "cat/p2_b.png", "dog/p1_c.png", "dog/x.png"];
    let expected = |groups: [Option<&str>; 4]| groups.map(|group| group.map(str::to_owned)).to_vec();
    assert_eq!(groups(&names, r"p\d"), expected([Some("p1"), Some("p2"), Some("p1"), None]));
    assert_eq!(groups(&names, r"p(\d)_"), expected([Some("1"), Some("2"), Some("1"), None]));
    assert_eq!(groups(&names, r"(p)(?P<group>\d)_"), expected([Some("1"), Some("2"), Some("1"), None]));
    assert_eq!(groups(&names, r"^(?<group>[^/]+)/"), expected([Some("cat"), Some("cat"), Some("dog"), Some("dog")]));
    // An empty group is none.
    assert_eq!(groups(&names, r"/(p?\d?)"), expected([Some("p1"), Some("p2"), Some("p1"), None]));
}

#[test]
fn what_cannot_be_groups_is_refused_with_the_reason() {
    let problem = Grouping::new(None, Some("patient(")).unwrap_err().to_string();
    assert!(
        problem.contains("invalid regular expression: unclosed group") && problem.contains("--group-by"),
        "{problem}"
    );
    let none = dataset(&["cat/1.png", "dog/2.png"]).group_by(&Grouping::new(None, Some("patient")).unwrap());
    let problem = none.unwrap_err().to_string();
    assert!(problem.contains("matches no path") && problem.contains("cat/1.png"), "{problem}");
    let problem = Grouping::new(Some("a"), Some("b")).unwrap_err().to_string();
    assert!(problem.contains("--group-column and --group-by"), "{problem}");
    // Ten thousand million states: refused by its size rather than built.
    assert!(Grouping::new(None, Some(r"(\w{1000}){1000}")).is_err());
}

#[test]
fn names_of_columns_are_judged() {
    for name in
        ["patient", "Patient_ID", "PatientID", "patientid", "subject no", "site", "video_name", "group", "id", "ID"]
    {
        assert!(is_named_like_groups(name), "{name}");
    }
    for name in [
        "valid",
        "age_group",
        "blood group",
        "patient_age",
        "website",
        "video_length",
        "width",
        "idea",
        "covid",
        "name",
    ] {
        assert!(!is_named_like_groups(name), "{name}");
    }
}

#[test]
fn a_column_is_suggested_where_its_values_come_again() {
    let cells = |values: &[&'static str]| values.iter().map(|value| Some(*value)).collect::<Vec<_>>();
    let of = |name: &str, values: &[&'static str]| suggested_column(name, cells(values).into_iter(), "rows");
    let message = of("patient id", &["a", "a", "b", "b", "c"]).unwrap().message;
    assert!(message.contains("(3 values in 5 rows)") && message.ends_with("--group-column 'patient id'"), "{message}");
    assert_eq!(of("id", &["1", "2", "3", "4", "5"]), None, "each but once");
    assert_eq!(of("site", &["x", "x", "x", "x"]), None, "one group");
    assert_eq!(of("colour", &["a", "a", "b", "b"]), None);
}

fn hint(names: &[&str]) -> Option<String> {
    suggested_pattern(&dataset(names), "images").map(|finding| finding.message)
}

#[test]
fn names_that_look_like_groups_are_told_with_the_flag() {
    let mut names: Vec<String> = Vec::new();
    let mut flag = |name: &dyn Fn(usize, usize) -> String| {
        names = (0..12).map(|at| name(at / 3, at % 3)).collect();
        let message = hint(&names.iter().map(String::as_str).collect::<Vec<_>>()).expect("a suggestion");
        let flag = message.split("add --group-by ").nth(1).unwrap().trim_matches('\'').to_owned();
        let borrowed: Vec<&str> = names.iter().map(String::as_str).collect();
        let distinct: BTreeSet<_> = groups(&borrowed, &flag).into_iter().collect();
        assert_eq!(distinct.len(), 4, "{flag}");
        flag
    };
    assert_eq!(flag(&|group, at| format!("ill/patient{group}_{at:02}.png")), r"patient\d+");
    assert_eq!(flag(&|group, at| format!("cat/vid{group}_frame{at:04}.jpg")), r"vid\d+");
    assert_eq!(flag(&|group, at| format!("a/sub-0{group}/scan {at}.png")), r"sub-\d+");
    assert_eq!(flag(&|group, at| format!("cow/herd{group}_frame{at}.jpg")), "([^/]+)_frame");
    let pairs: Vec<String> = (0..12).map(|at| format!("cat/video{}_{at}.png", at / 3)).collect();
    let finding = suggested_pattern(&dataset(&pairs.iter().map(String::as_str).collect::<Vec<_>>()), "images").unwrap();
    assert_eq!((finding.severity, finding.files.len()), (Severity::Info, 2));
    assert!(finding.message.contains("12 of 12 images look like 4 groups"), "{}", finding.message);
}

#[test]
fn ordinary_names_are_left_alone() {
    for name in [
        "daisy/img_{}.jpg",
        "daisy/daisy_{}.jpg",
        "cat/IMG_2023_{}.jpg",
        "dog/n02085620_{}.JPEG",
        "a/DSC_{}.jpg",
        "daisy/1008{}_f52e8ee070_n.jpg",
        "case/scene_{}.jpg",
        "cat/patient{}.png",
        "x/video {}.png",
        "a/photo (1) {}.png",
    ] {
        let names: Vec<String> = (0..40).map(|at| name.replace("{}", &format!("{at:04}"))).collect();
        assert_eq!(hint(&names.iter().map(String::as_str).collect::<Vec<_>>()), None, "{name}");
    }
    // The same number in two classes is not the same thing.
    let numbered: Vec<String> = (0..40).map(|at| format!("{}/clip_{}.png", ["a", "b"][at % 2], at / 2)).collect();
    assert_eq!(hint(&numbered.iter().map(String::as_str).collect::<Vec<_>>()), None);
}
