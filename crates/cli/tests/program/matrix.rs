//! Every kind of input with every kind of target, through the same commands: fit, predict, verify, report.

use std::fs;

use crate::golden_runs::{CASES, COUNTS, Case, NO_CONTROL, SMALL_BATCHES, TAGS, counts, tags};
use crate::sandbox::Sandbox;
use crate::tasks;

const FEW: &[&str] = &["--folds", "2", "--seeds", "1"];
const SHORT: &[&str] = &["--epochs", "1"];

/// Beside the golden runs: targets that are not one class, fine-tuned.
const MORE: &[Case] = &[
    Case {
        name: "images, label sets, last",
        make: tasks::labels,
        fit: &[&["labels.csv", "--depth", "last"], FEW, SHORT, SMALL_BATCHES, NO_CONTROL],
    },
    Case {
        name: "images, numbers, auto",
        make: tasks::numbers,
        fit: &[&["numbers.csv", "--depth", "auto", "--budget", "20s"], FEW, SHORT, SMALL_BATCHES, NO_CONTROL],
    },
    Case {
        name: "texts, numbers, all",
        make: numbered,
        fit: &[COUNTS, &["--task", "regression", "--depth", "all"], SHORT, NO_CONTROL],
    },
    Case { name: "tags, auto", make: tags, fit: &[TAGS, &["--depth", "auto", "--budget", "1m"], SHORT, NO_CONTROL] },
    Case { name: "texts, label sets, head", make: labelled, fit: &[COUNTS, &["--depth", "head"], NO_CONTROL] },
];

/// The texts of the golden runs, with other labels.
fn relabelled(sandbox: &Sandbox, label: impl Fn(&str, &str) -> String) {
    counts(sandbox);
    let path = sandbox.path("counts.csv");
    let table = fs::read_to_string(&path).unwrap();
    let mut lines = table.lines();
    let mut text = format!("{}\n", lines.next().unwrap());
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        text += &format!("{},{},{}\n", fields[0], label(fields[0], fields[1]), fields[2]);
    }
    fs::write(path, text).unwrap();
}

fn numbered(sandbox: &Sandbox) {
    let number = |text: &str, amount: &str| if amount == "few" { 2 } else { 7 } + text.len() % 5;
    relabelled(sandbox, |text, amount| format!("{}.5", number(text, amount)));
}

fn labelled(sandbox: &Sandbox) {
    relabelled(sandbox, |text, amount| match text.len() % 3 {
        0 => format!("{amount}|third"),
        _ => amount.to_owned(),
    });
}

/// What a run of these data is asked about.
fn questions(sandbox: &Sandbox, data: &str) -> &'static str {
    match data {
        "digits" | "labels.csv" | "numbers.csv" => "digits/test",
        "counts.csv" => "counts.csv",
        "reviews.csv" => "reviews.csv",
        "cars.csv" => "cars.csv",
        "q.json" => "q.json",
        "words.conll" => {
            fs::write(sandbox.path("page.txt"), "Eve has many cats .\n").unwrap();
            "page.txt"
        }
        other => panic!("what is asked about {other}?"),
    }
}

#[test]
fn every_input_and_target_goes_through_the_same_commands() {
    for case in CASES.iter().chain(MORE) {
        let sandbox = Sandbox::new();
        (case.make)(&sandbox);
        let told: Vec<&str> = case.fit.iter().flat_map(|part| part.iter().copied()).collect();
        let fit = sandbox.run([&["fit"], &told[..], &["--out", "run"]].concat());
        assert_eq!(fit.code, Some(0), "{}: {}", case.name, fit.stderr);
        for part in ["depth", "verdict", "report"] {
            assert!(fit.stdout.contains(part), "{}: no {part} in {}", case.name, fit.stdout);
        }
        let answers = sandbox.run(["predict", "run", questions(&sandbox, told[0])]);
        assert!(answers.code == Some(0) && answers.stdout.lines().count() > 1, "{}: {}", case.name, answers.stderr);
        let verified = sandbox.run(["verify", "run"]);
        assert!(verified.code == Some(0), "{}: {}{}", case.name, verified.stdout, verified.stderr);
        let report = sandbox.run(["report", "run", "--out", "page.html"]);
        assert_eq!(report.code, Some(0), "{}: {}", case.name, report.stderr);
        assert!(fs::read_to_string(sandbox.path("page.html")).unwrap().starts_with("<!DOCTYPE html>"), "{}", case.name);
    }
}
