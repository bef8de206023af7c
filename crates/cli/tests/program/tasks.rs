//! Numbers and several labels: fit, predict, report, verify, and what is refused.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::sandbox::{Sandbox, without_timings};

/// Images of ten digits, 12 of each to train on and 5 to test on, and what is said of each.
fn told(sandbox: &Sandbox, table: &str, say: impl Fn(usize, &Path) -> String) {
    let root = sandbox.path("digits");
    if !root.exists() {
        sandbox.digits("digits", 10, 12, 5);
    }
    let mut text = "path,label,split\n".to_owned();
    for split in ["train", "test"] {
        for digit in 0..10 {
            let folder = root.join(split).join(digit.to_string());
            let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            for name in names {
                let said = say(digit, &folder.join(&name));
                writeln!(text, "digits/{split}/{digit}/{},{said},{split}", name.to_string_lossy()).unwrap();
            }
        }
    }
    fs::write(sandbox.path(table), text).unwrap();
}

/// The mean grey value of an image, in steps of a half: the features of characters tell little of it.
fn grey(path: &Path) -> String {
    let pixels = image::open(path).unwrap().into_luma8();
    let sum: f64 = pixels.pixels().map(|pixel| f64::from(pixel.0[0])).sum();
    format!("{:.1}", (2.0 * sum / f64::from(pixels.width() * pixels.height())).round() / 2.0)
}

/// What is true of a digit.
fn traits(digit: usize) -> String {
    let names = [("even", digit.is_multiple_of(2)), ("small", digit < 5), ("round", [0, 6, 8, 9].contains(&digit))];
    names.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect::<Vec<_>>().join("|")
}

pub(crate) fn numbers(sandbox: &Sandbox) {
    told(sandbox, "numbers.csv", |digit, _| format!("{:.2}", 0.25 + 0.5 * digit as f64));
}

pub(crate) fn labels(sandbox: &Sandbox) {
    told(sandbox, "labels.csv", |digit, _| traits(digit));
}

fn report(sandbox: &Sandbox, run: &str) -> Value {
    serde_json::from_slice(&fs::read(sandbox.path(run).join("report.json")).unwrap()).unwrap()
}

/// Mean, after a look at its interval.
#[track_caller]
fn mean(estimate: &Value) -> f64 {
    let [low, mean, high] = ["low", "mean", "high"].map(|end| estimate[end].as_f64().unwrap());
    assert!(low <= mean && mean <= high, "{estimate}");
    assert!(!estimate["how"].as_str().unwrap().is_empty());
    mean
}

/// The rows of a table, by the last two parts of the path's name, each with its fields by the columns' names.
fn rows(text: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut reader = csv_lines(text);
    let header = reader.next().unwrap();
    reader.map(|fields| (fields[0].clone(), header.iter().cloned().zip(fields).collect::<BTreeMap<_, _>>())).collect()
}

/// No field here holds a comma.
fn csv_lines(text: &str) -> impl Iterator<Item = Vec<String>> {
    text.lines().map(|line| line.split(',').map(str::to_owned).collect())
}

#[test]
fn numbers_are_predicted_with_intervals_that_hold() {
    let sandbox = Sandbox::new();
    numbers(&sandbox);
    let ran = sandbox
        .run(["fit", "numbers.csv", "--depth", "head", "--control-budget", "0", "--out", "run"])
        .expect(0, &["task: regression, since all labels are numbers", "depth `head` was asked for"]);
    for part in ["on test", "off by", "held the truth", "median ", "not measured", "report.html"] {
        assert!(ran.stdout.contains(part), "no {part:?} in {}", ran.stdout);
    }
    assert_eq!(sandbox.names(), ["digits", "numbers.csv", "run"], "nothing is left beside the run");

    let report = report(&sandbox, "run");
    assert_eq!(
        (&report["schema"], &report["command"], &report["task"]),
        (&2.into(), &"fit".into(), &"regression".into())
    );
    assert_eq!(report["data"]["train"], 120);
    assert!(
        report["verdict"].as_str().unwrap().starts_with("not measured") && report["controls"].get("scratch").is_none()
    );
    assert!(report["config"].get("task").is_none(), "what was inferred is not told");
    let numbers = &report["regression"];
    let test = &report["held_out"][0];
    assert_eq!((&test["split"], &test["mae"]["n"]), (&"test".into(), &50.into()));
    for measured in [numbers, test] {
        assert!(mean(&measured["r2"]) > 0.65 && measured["r2"]["low"].as_f64().unwrap() > 0.5, "{}", measured["r2"]);
        assert!(mean(&measured["spearman"]) > 0.8, "{}", measured["spearman"]);
        let (mae, rmse) = (mean(&measured["mae"]), mean(&measured["rmse"]));
        assert!(mae < rmse && mae < 0.6 * measured["median_mae"].as_f64().unwrap(), "{mae} {rmse}");
        mean(&measured["bias"]);
        let coverage = &measured["coverage"];
        assert_eq!(coverage["level"], 0.9);
        assert!(mean(&coverage["measured"]) > 0.75, "{coverage}");
    }
    let html = fs::read_to_string(sandbox.path("run/report.html")).unwrap();
    assert!(html.contains("The largest errors") && html.contains("data:image/png;base64"), "thumbnails");

    let ran = sandbox.run(["report", "run", "-o", "copy.html"]).expect(0, &[]);
    assert!(ran.stdout.contains("R²") && ran.stdout.contains("copy.html"), "{}", ran.stdout);
    assert_eq!(fs::read_to_string(sandbox.path("copy.html")).unwrap(), html);
    assert_eq!(sandbox.run(["report", "run", "--json"]).expect(0, &[]).json(), report);
    let ran = sandbox.run(["verify", "run"]).expect(0, &[]);
    assert!(ran.stdout.contains("reproduced"), "{}", ran.stdout);

    let mut dialogue = sandbox.dialogue(["predict", "run", "-", "--format", "jsonl"]);
    for name in ["nowhere.png", "other.png"] {
        assert!(dialogue.ask(name).contains(name), "one line in, one line out");
    }
    dialogue.end().expect(3, &[]);
}

#[test]
fn intervals_hold_where_features_tell_little_too() {
    let sandbox = Sandbox::new();
    told(&sandbox, "grey.csv", |_, path| grey(path));
    sandbox
        .run(["fit", "grey.csv", "--depth", "head", "--control-budget", "0", "--out", "run"])
        .expect(0, &["task: regression"]);
    let report = report(&sandbox, "run");
    let numbers = &report["regression"];
    assert!(mean(&numbers["r2"]) < 0.6, "{}", numbers["r2"]);
    for measured in [numbers, &report["held_out"][0]] {
        let coverage = &measured["coverage"]["measured"];
        assert!(mean(coverage) > 0.75 && coverage["high"].as_f64().unwrap() >= 0.88, "{coverage}");
    }
}

#[test]
fn the_same_numbers_as_in_evaluation_to_the_bit() {
    let sandbox = Sandbox::new();
    numbers(&sandbox);
    let fit = ["fit", "numbers.csv", "--out", "run", "--interval-level", "0.8", "--control-budget", "0.02"];
    sandbox.run(fit).expect(0, &[]);
    let evaluated = rows(&fs::read_to_string(sandbox.path("run/predictions.csv")).unwrap());
    assert_eq!(evaluated.len(), 170);
    let predicted = rows(&sandbox.run(["predict", "run", "digits/test"]).expect(0, &[]).stdout);
    assert_eq!(predicted.len(), 50);
    let (mut held, mut within) = (0u32, 0u32);
    for (path, answer) in &predicted {
        let row = &evaluated[path];
        for (ours, theirs) in
            [("value", "prediction"), ("low", "low"), ("high", "high"), ("distance", "distance"), ("unlike", "unlike")]
        {
            assert_eq!(answer[ours], row[theirs], "{ours} of {path}");
        }
        let [low, value, high, truth] =
            [&answer["low"], &answer["value"], &answer["high"], &row["truth"]].map(|text| text.parse::<f64>().unwrap());
        within += u32::from(low <= value && value <= high);
        held += u32::from(low <= truth && truth <= high);
    }
    assert_eq!(within, 50);
    let coverage = &report(&sandbox, "run")["held_out"][0]["coverage"]["measured"]["mean"];
    assert_eq!(coverage.as_f64().unwrap(), f64::from(held) / 50.0, "the table says what the report says");

    // JSON lines say the same, and a bad image is a row.
    fs::write(sandbox.path("bad.png"), b"not an image").unwrap();
    let first = predicted.keys().next().unwrap();
    let ran = sandbox
        .run(["predict", "run", first, "bad.png", "--format", "jsonl"])
        .expect(3, &["1 of the inputs could not be answered"]);
    let lines: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["value"].as_f64().unwrap().to_string(), predicted[first]["value"]);
    assert_eq!(lines[0]["high"].as_f64().unwrap().to_string(), predicted[first]["high"]);
    assert!(lines[1]["error"].as_str().unwrap().contains("image"), "{}", lines[1]);
    let ran = sandbox.run(["predict", "run", "bad.png", "--top", "2"]).expect(2, &["--top", "regression"]);
    assert_eq!(ran.stdout, "");
    let ran = sandbox.run(["predict", "run", "bad.png"]).expect(3, &[]);
    assert!(
        ran.stdout.starts_with("path,value,low,high,unlike,distance,error,status\nbad.png,,,,,,"),
        "{}",
        ran.stdout
    );
}

#[test]
fn several_labels_are_given_and_measured() {
    let sandbox = Sandbox::new();
    labels(&sandbox);
    let ran = sandbox
        .run(["fit", "labels.csv", "--depth", "head", "--control-budget", "0", "--out", "run"])
        .expect(0, &["task: multi-label, since", "name several, separated by `|`"]);
    for part in ["on test", "mAP", "macro-F1", "label shares", "not measured"] {
        assert!(ran.stdout.contains(part), "no {part:?} in {}", ran.stdout);
    }
    let report = report(&sandbox, "run");
    assert_eq!((&report["task"], &report["data"]["train"]), (&"multi-label".into(), &120.into()));
    assert_eq!(report["data"]["classes"], serde_json::json!(["even", "round", "small"]));
    let sets = &report["multi_label"];
    for measured in [sets, &report["held_out"][0]] {
        let map = mean(&measured["map"]);
        assert!(map > 0.85 && map > measured["chance_map"].as_f64().unwrap(), "{map}");
        assert!(mean(&measured["macro_f1"]) > 0.75, "{}", measured["macro_f1"]);
        assert!(mean(&measured["hamming_loss"]) < 0.25, "{}", measured["hamming_loss"]);
        assert!(mean(&measured["subset_accuracy"]) > 0.4, "{}", measured["subset_accuracy"]);
        assert_eq!(measured["per_label"].as_array().unwrap().len(), 3);
    }
    assert_eq!(sets["thresholds"].as_array().unwrap().len(), 3);

    // The very same answers for held-out images.
    let evaluated = rows(&fs::read_to_string(sandbox.path("run/predictions.csv")).unwrap());
    let predicted = rows(&sandbox.run(["predict", "run", "digits/test"]).expect(0, &[]).stdout);
    assert_eq!(predicted.len(), 50);
    let mut right = 0;
    for (path, answer) in &predicted {
        let row = &evaluated[path];
        assert_eq!(answer["labels"], row["answer"], "{path}");
        for column in ["p(even)", "p(round)", "p(small)", "distance", "unlike"] {
            assert_eq!(answer[column], row[column], "{column} of {path}");
        }
        for label in ["even", "round", "small"] {
            assert_eq!(
                answer["labels"].split('|').any(|given| given == label).to_string(),
                row[&format!("given({label})")]
            );
        }
        let set = |text: &str| text.split('|').map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
        right += u32::from(set(&answer["labels"]) == set(&row["truth"]));
    }
    let subset = &report["held_out"][0]["subset_accuracy"]["mean"];
    assert_eq!(subset.as_f64().unwrap(), f64::from(right) / 50.0, "the table says what the report says");
    let first = predicted.keys().next().unwrap();
    let line = sandbox.run(["predict", "run", first, "--format", "jsonl"]).expect(0, &[]).json();
    let joined: Vec<&str> = line["labels"].as_array().unwrap().iter().map(|label| label.as_str().unwrap()).collect();
    assert_eq!(joined.join("|"), predicted[first]["labels"]);
    assert_eq!(line["probabilities"].as_object().unwrap().len(), 3);

    let html = fs::read_to_string(sandbox.path("run/report.html")).unwrap();
    assert!(html.contains("Label by label") && html.contains("Transfer not measured"));
    let ran = sandbox.run(["report", "run"]).expect(0, &[]);
    assert!(ran.stdout.contains("mAP"), "{}", ran.stdout);
    let ran = sandbox.run(["verify", "run"]).expect(0, &[]);
    assert!(ran.stdout.contains("reproduced"), "{}", ran.stdout);

    // An error rate that is told makes the thresholds stricter.
    sandbox
        .run([
            "fit",
            "labels.csv",
            "--depth",
            "head",
            "--max-error",
            "0.02",
            "--control-budget",
            "0",
            "--out",
            "strict",
        ])
        .expect(0, &[]);
    let strict = self::report(&sandbox, "strict");
    let given = |report: &Value| -> f64 {
        let labels = report["multi_label"]["per_label"].as_array().unwrap();
        labels.iter().map(|label| label["recall"]["share"].as_f64().unwrap()).sum()
    };
    assert!(given(&strict) < given(&report), "{} {}", given(&strict), given(&report));
    assert_eq!(strict["config"]["max-error"], 0.02);
}

#[test]
fn tasks_give_the_same_bytes_with_any_threads() {
    let sandbox = Sandbox::new();
    numbers(&sandbox);
    labels(&sandbox);
    for table in ["numbers", "labels"] {
        let (csv, one, three) = (format!("{table}.csv"), format!("{table}-1"), format!("{table}-3"));
        for (run, threads, cache) in [(&one, "1", "--no-cache"), (&three, "3", "--cache=other")] {
            let short = ["--depth", "last", "--epochs", "1", "--seeds", "1", "--control-budget", "0.02", "--out", run];
            sandbox.run(["fit", &csv, "--threads", threads, cache].into_iter().chain(short)).expect(0, &[]);
        }
        for file in ["model.safetensors", "model.json", "predictions.csv", "curves.csv", "run.toml"] {
            let read = |run: &str| fs::read(sandbox.path(run).join(file)).unwrap();
            assert!(read(&one) == read(&three), "{file} of {table}");
        }
        assert_eq!(without_timings(report(&sandbox, &one)), without_timings(report(&sandbox, &three)));
    }
}

#[test]
fn the_task_is_told_or_inferred() {
    let sandbox = Sandbox::new();
    // Digits are classes unless one says otherwise.
    told(&sandbox, "digits.csv", |digit, _| digit.to_string());
    let ran = sandbox.run(["fit", "digits.csv", "--depth", "head", "--control-budget", "0", "--out", "classes"]);
    let ran = ran.expect(0, &[]);
    assert!(!ran.stderr.contains("task:") && ran.stdout.contains("accuracy on test"), "{}", ran.stdout);
    let classes = report(&sandbox, "classes");
    assert_eq!(classes["task"], "image-classification");
    let imbalance = &classes["imbalance"];
    assert!(mean(&imbalance["balanced_accuracy"]) > 0.8 && mean(&imbalance["matthews"]) > 0.8, "{imbalance}");
    assert_eq!((&imbalance["ratio"], imbalance["per_class"].as_array().unwrap().len()), (&1.0.into(), 10));
    assert!(fs::read_to_string(sandbox.path("classes/report.html")).unwrap().contains("balanced accuracy"));

    let ran = sandbox
        .run([
            "fit",
            "digits.csv",
            "--task",
            "regression",
            "--depth",
            "head",
            "--control-budget",
            "0",
            "--out",
            "numbers",
            "--json",
        ])
        .expect(0, &[]);
    assert!(!ran.stderr.contains("task:"), "what was asked for is not told: {}", ran.stderr);
    assert_eq!(
        (&ran.json()["data"]["reason"], &ran.json()["task"]),
        (&"it was asked for".into(), &"regression".into())
    );
    let ran = sandbox.run(["verify", "numbers"]).expect(0, &[]);
    assert!(ran.stdout.contains("reproduced"), "{}", ran.stdout);

    // Columns of other names; settings from the run's own file.
    let text = fs::read_to_string(sandbox.path("digits.csv")).unwrap();
    fs::write(sandbox.path("named.csv"), text.replacen("path,label", "photo,grams", 1)).unwrap();
    let args = [
        "fit",
        "named.csv",
        "--path-column",
        "photo",
        "--label-column",
        "grams",
        "--task",
        "regression",
        "--control-budget",
        "0",
        "--depth",
        "head",
    ];
    sandbox.run(args.iter().chain(&["--out", "named"])).expect(0, &[]);
    let page = fs::read_to_string(sandbox.path("named/report.html")).unwrap();
    for flag in ["--task regression", "--path-column photo", "--label-column grams"] {
        assert!(page.contains(flag), "{flag} in the command line");
    }
    sandbox.run(["fit", "--config", "named/run.toml", "--out", "again"]).expect(0, &[]);
    let read = |run: &str| fs::read(sandbox.path(run).join("model.safetensors")).unwrap();
    assert_eq!(read("named"), read("again"));

    // A folder's names are labels where that is asked for.
    let ran = sandbox
        .run([
            "fit",
            "digits",
            "--task",
            "multi-label",
            "--depth",
            "head",
            "--control-budget",
            "0",
            "--out",
            "folders",
            "--json",
        ])
        .expect(0, &[]);
    assert_eq!(ran.json()["data"]["classes"].as_array().unwrap().len(), 10);
}

#[test]
fn bad_values_are_told_and_left_out() {
    let sandbox = Sandbox::new();
    numbers(&sandbox);
    let text = fs::read_to_string(sandbox.path("numbers.csv")).unwrap();
    let spoilt = |bad: &[&str]| -> String {
        let lines = text.lines().enumerate().map(|(at, line)| match at.checked_sub(1).and_then(|at| bad.get(at)) {
            Some(bad) => {
                let fields: Vec<&str> = line.split(',').collect();
                format!("{},{bad},{}\n", fields[0], fields[2])
            }
            None => format!("{line}\n"),
        });
        lines.collect()
    };
    fs::write(sandbox.path("holes.csv"), spoilt(&["NaN", "", "inf", "n/a"])).unwrap();
    let ran = sandbox
        .run(["fit", "holes.csv", "--depth", "head", "--control-budget", "0", "--out", "run", "--json"])
        .expect(0, &["4"]);
    assert_eq!(ran.json()["data"]["train"], 116, "{}", ran.stderr);
    sandbox.run(["fit", "holes.csv", "--strict", "--out", "strict"]).expect(3, &["--strict"]);

    fs::write(sandbox.path("words.csv"), spoilt(&["unknown"])).unwrap();
    sandbox
        .run(["fit", "words.csv", "--out", "words"])
        .expect(3, &["nearly all labels are numbers, but not all", "`unknown`", "words.csv"]);
    sandbox
        .run(["fit", "words.csv", "--task", "regression", "--depth", "head", "--control-budget", "0", "--out", "words"])
        .expect(3, &["a label is not a number", "unknown", "words.csv"]);

    told(&sandbox, "texts.csv", |_, path| format!("a photo called {}", path.file_name().unwrap().to_string_lossy()));
    sandbox
        .run(["fit", "texts.csv", "--out", "texts"])
        .expect(3, &["the labels look like free text", "--label-column"]);
    sandbox.run(["audit", "texts.csv"]).expect(3, &["the labels look like free text"]);

    fs::write(sandbox.path("same.csv"), spoilt(&["7.5"; 170])).unwrap();
    sandbox.run(["fit", "same.csv", "--out", "same"]).expect(3, &["different numbers"]);
    fs::write(sandbox.path("few.csv"), text.lines().take(6).map(|line| format!("{line}\n")).collect::<String>())
        .unwrap();
    sandbox.run(["fit", "few.csv", "--task", "regression", "--out", "few"]).expect(3, &["at least 10"]);
    let names = sandbox.names();
    for left in ["words", "texts", "same", "few", "strict"] {
        assert!(!names.iter().any(|name| name.contains(left) && !name.ends_with(".csv")), "{names:?}");
    }

    // A split that says nothing is said, and left out.
    let one = text
        .lines()
        .filter(|line| !line.ends_with(",test") || line.contains("test/0/"))
        .enumerate()
        .filter(|(at, line)| !line.ends_with(",test") || *at == 121);
    fs::write(sandbox.path("lonely.csv"), one.map(|(_, line)| format!("{line}\n")).collect::<String>()).unwrap();
    sandbox
        .run(["fit", "lonely.csv", "--depth", "head", "--control-budget", "0", "--out", "lonely"])
        .expect(0, &["the test split is not measured: it has a single number"]);
    assert_eq!(report(&sandbox, "lonely")["held_out"].as_array().unwrap().len(), 0);
}

#[test]
fn what_no_task_can_follow_is_refused() {
    let sandbox = Sandbox::new();
    numbers(&sandbox);
    labels(&sandbox);
    told(&sandbox, "classes.csv", |digit, _| format!("digit {digit}"));
    let refused = |args: &[&str], parts: &[&str]| {
        sandbox.run(["fit", "--out", "run"].iter().chain(args)).expect(2, parts);
        assert!(!sandbox.names().iter().any(|name| name.contains("run")), "{args:?}: {:?}", sandbox.names());
    };
    refused(&["numbers.csv", "--task", "both"], &["no such task", "both", "multi-label"]);
    refused(&["numbers.csv", "--depth", "contrastive"], &["no such depth"]);
    refused(&["numbers.csv", "--pooling", "mean"], &["do not apply to images", "--pooling"]);
    refused(&["labels.csv", "--balanced"], &["--balanced"]);
    refused(&["labels.csv", "--interval-level", "0.8"], &["--interval-level", "multi-label"]);
    refused(&["classes.csv", "--interval-level", "0.8"], &["--interval-level", "single-label"]);
    refused(&["numbers.csv", "--interval-level", "1.5"], &["--interval-level", "between 0 and 1"]);
    refused(&["numbers.csv", "--max-error", "0.1"], &["--max-error", "--interval-level"]);
    refused(&["digits", "--label-column", "grams"], &["a folder has no columns"]);
    let find = ["fit", "numbers.csv", "--find-lr"];
    let found = sandbox.run(find).expect(0, &[]).stdout;
    assert!(found.contains("falls fastest at"), "{found}");
    sandbox.run(["fit", "numbers.csv", "--label-column", "grams", "--out", "run"]).expect(3, &["grams"]);
    sandbox.run(["pretrain", "labels.csv", "--epochs", "1", "--out", "mine"]).expect(3, &[]);
    let audit = sandbox.run(["audit", "labels.csv", "--json"]).expect(0, &["task: multi-label"]);
    assert!(audit.json()["examples"].is_number());
    sandbox.run(["audit", "numbers.csv", "--task", "words"]).expect(2, &["no such task"]);
}

/// Whatever is learnt from images or texts goes through the same fit: deeper than the head, predicted, verified.
#[test]
fn every_target_is_fine_tuned_predicted_and_verified() {
    let sandbox = Sandbox::new();
    numbers(&sandbox);
    labels(&sandbox);
    for (table, task, deep) in [
        ("numbers.csv", "regression", &["--depth", "last"][..]),
        ("labels.csv", "multi-label", &["--depth", "half", "--lora", "2"]),
    ] {
        let run = format!("run-{task}");
        let rest = ["--epochs", "2", "--seeds", "1", "--folds", "3", "--control-budget", "0.01", "--out", &run];
        let fit = ["fit", table].into_iter().chain(deep.iter().copied()).chain(rest);
        let ran = sandbox.run(fit).expect(0, &["against the probe"]);
        assert!(ran.stdout.contains("from scratch"), "{}", ran.stdout);
        let report = report(&sandbox, &run);
        assert_eq!((&report["task"], &report["choice"]["depth"]), (&task.into(), &deep[1].into()));
        assert_eq!(report["choice"]["tried"].as_array().unwrap().len(), 2);
        assert!(report["controls"]["scratch"]["paired"]["difference"].is_number(), "{}", report["controls"]);
        let predicted = sandbox.run(["predict", &run, "digits/test"]).expect(0, &[]).stdout;
        let (predicted, evaluated) =
            (rows(&predicted), fs::read_to_string(sandbox.path(format!("{run}/predictions.csv"))));
        let evaluated = rows(&evaluated.unwrap());
        let column = if task == "regression" { ["value", "prediction"] } else { ["labels", "answer"] };
        for (path, answer) in &predicted {
            assert_eq!(answer[column[0]], evaluated[path][column[1]], "{path}");
        }
        sandbox.run(["verify", &run]).expect(0, &[]);
        sandbox.run(["report", &run]).expect(0, &[]);
        let page = fs::read_to_string(sandbox.path(format!("{run}/report.html"))).unwrap();
        assert!(page.contains("Depths tried") && page.contains("How it learned"));
    }
}

#[test]
fn a_damaged_run_of_numbers_is_refused() {
    let sandbox = Sandbox::new();
    numbers(&sandbox);
    sandbox.run(["fit", "numbers.csv", "--depth", "head", "--out", "run"]).expect(0, &["depth `head` was asked for"]);
    let json = sandbox.path("run/model.json");
    let whole = fs::read_to_string(&json).unwrap();
    for (from, to) in [
        ("\"regression\"", "\"multi-label\""),
        ("\"unlike_k\": ", "\"unlike_k\": -"),
        ("\"fold_sizes\": [", "\"fold_sizes\": [ 7,"),
    ] {
        assert!(whole.contains(from), "{from} in {whole}");
        fs::write(&json, whole.replacen(from, to, 1)).unwrap();
        sandbox.run(["predict", "run", "digits/test/0"]).expect(4, &["the run is damaged"]);
    }
    // A run of an older version says so, and the way out.
    fs::write(&json, whole.replacen("\"schema\": 2", "\"schema\": 1", 1)).unwrap();
    for command in [&["predict", "run", "digits/test/0"][..], &["verify", "run"]] {
        sandbox.run(command).expect(4, &["another version", "schema 1", "run.toml"]);
    }
    fs::write(&json, &whole).unwrap();
    let weights = sandbox.path("run/model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&weights, bytes).unwrap();
    sandbox.run(["predict", "run", "digits/test/0"]).expect(4, &["SHA-256"]);
    fs::write(sandbox.path("run/report.json"), r#"{"task": "regression"}"#).unwrap();
    sandbox.run(["report", "run"]).expect(4, &["damaged"]);
}
