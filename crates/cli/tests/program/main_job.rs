//! The main job: fit, report, verify, audit, and the same bytes however it is run.

use std::fs;

use crate::sandbox::{Sandbox, examples, without_timings};

/// Small, and with a control that costs next to nothing.
const QUICK: [&str; 4] = ["--control-budget", "0.002", "--out", "run"];

fn report(sandbox: &Sandbox, run: &str) -> serde_json::Value {
    serde_json::from_slice(&fs::read(sandbox.path(run).join("report.json")).unwrap()).unwrap()
}

#[test]
fn a_folder_of_images_becomes_a_run() {
    let sandbox = Sandbox::new();
    sandbox.digits("digits", 4, 10, 5);
    let ran =
        sandbox.run(["fit", "--depth", "head", "digits"].iter().chain(&QUICK)).expect(0, &["out-of-fold accuracy"]);
    assert!(ran.stdout.contains("accuracy on test") && ran.stdout.contains("verdict"), "{}", ran.stdout);
    let mut names: Vec<String> = fs::read_dir(sandbox.path("run"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "curves.csv",
            "log.jsonl",
            "model.json",
            "model.safetensors",
            "predictions.csv",
            "report.html",
            "report.json",
            "run.toml"
        ]
    );
    assert_eq!(sandbox.names(), ["digits", "run"], "nothing is left beside the run");

    let report = report(&sandbox, "run");
    assert_eq!(report["schema"], 2);
    assert_eq!(report["command"], "fit");
    assert_eq!(report["data"]["train"], 40);
    assert_eq!(report["data"]["classes"].as_array().unwrap().len(), 4);
    assert_eq!(report["accuracy"]["n"], 40);
    assert_eq!(report["held_out"][0]["split"], "test");
    assert_eq!(report["held_out"][0]["accuracy"]["n"], 20);
    assert_eq!(report["held_out"][0]["imbalance"]["per_class"].as_array().unwrap().len(), 4);
    let page = fs::read_to_string(sandbox.path("run/report.html")).unwrap();
    // Confusion matrix and table of classes, each with its heading.
    assert_eq!((page.matches("<h3>Held-out test</h3>").count(), page.matches("class=\"matrix").count()), (2, 2));
    for field in ["accuracy", "macro_f1", "log_loss", "brier"] {
        let e = &report[field];
        let [low, mean, high] = ["low", "mean", "high"].map(|k| e[k].as_f64().unwrap());
        assert!(low <= mean && mean <= high, "{field}: {e}");
        assert!(!e["how"].as_str().unwrap().is_empty());
    }
    assert!(report["ece"]["mean"].is_number() && report["ece"]["low"].is_null());
    let confusion = report["confusion"].as_array().unwrap();
    let total: u64 = confusion.iter().flat_map(|row| row.as_array().unwrap()).map(|c| c.as_u64().unwrap()).sum();
    assert_eq!(total, 40);
    assert!(report["controls"]["scratch"]["accuracy"]["mean"].is_number());
    assert!(report["controls"]["probe"]["accuracy"]["mean"].is_number());
    assert!(report["verdict"].as_str().unwrap().contains("transfer"));

    let ran = sandbox.run(["report", "run", "-o", "copy.html"]).expect(0, &[]);
    assert!(ran.stdout.contains("copy.html"));
    assert_eq!(fs::read(sandbox.path("copy.html")).unwrap(), fs::read(sandbox.path("run/report.html")).unwrap());
    assert_eq!(sandbox.run(["report", "run", "--json"]).expect(0, &[]).json()["schema"], 2);
}

#[test]
fn transfer_on_the_carried_digits_is_real() {
    let sandbox = Sandbox::new();
    let digits = examples();
    let args = [
        "fit",
        "--depth",
        "head",
        digits.to_str().unwrap(),
        "--base",
        "glyphs",
        "--control-budget",
        "0",
        "--out",
        "run",
    ];
    sandbox.run(args).expect(0, &[]);
    let report = report(&sandbox, "run");
    let test = &report["held_out"][0]["accuracy"];
    assert!(test["low"].as_f64().unwrap() > 0.93, "{test}");
}

#[test]
fn the_same_bytes_with_any_threads_and_with_or_without_cache() {
    let sandbox = Sandbox::new();
    sandbox.digits("digits", 3, 12, 4);
    let runs = [
        ("a", &["--threads", "1", "--no-cache"][..]),
        ("b", &["--threads", "2", "--no-cache"]),
        ("c", &["--threads", "3"]),
        ("d", &["--threads", "2"]),
    ];
    for (name, extra) in runs {
        let args = ["fit", "--depth", "head", "digits", "--control-budget", "0.004", "--out", name];
        sandbox.run(args.iter().chain(extra)).expect(0, &[]);
    }
    let read = |run: &str, file: &str| fs::read(sandbox.path(run).join(file)).unwrap();
    for run in ["b", "c", "d"] {
        for file in ["model.safetensors", "model.json", "predictions.csv", "curves.csv", "run.toml"] {
            assert!(read("a", file) == read(run, file), "{file} of a and {run}");
        }
        assert_eq!(without_timings(report(&sandbox, "a")), without_timings(report(&sandbox, run)), "a and {run}");
    }
}

#[test]
fn the_second_time_the_network_does_not_run() {
    let sandbox = Sandbox::new();
    sandbox.digits("digits", 3, 6, 2);
    let args = ["fit", "--depth", "head", "digits", "--control-budget", "0.001", "--force", "--out", "run"];
    sandbox.run(args).expect(0, &["features: 18 images", "from scratch"]);
    let first = report(&sandbox, "run");
    let curves = fs::read(sandbox.path("run/curves.csv")).unwrap();
    let again = sandbox.run(args).expect(0, &[]);
    assert!(!again.stderr.contains("features:") && !again.stderr.contains("from scratch"), "{}", again.stderr);
    assert_eq!(without_timings(first), without_timings(report(&sandbox, "run")));
    assert_eq!(curves, fs::read(sandbox.path("run/curves.csv")).unwrap());
    let cached = sandbox.run(["cache", "show", "--json"]).expect(0, &[]).json();
    assert_eq!(cached["spaces"].as_array().unwrap().len(), 1);

    // Damage is found, said, and computed again to the same bytes.
    let model = fs::read(sandbox.path("run/model.safetensors")).unwrap();
    let rows = walkdir::WalkDir::new(sandbox.path("cache/features")).into_iter().flatten();
    for file in rows.filter(|entry| entry.file_type().is_file()) {
        let mut bytes = fs::read(file.path()).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(file.path(), bytes).unwrap();
    }
    sandbox.run(args).expect(0, &["damaged or unreadable cache files", "features: 18 images"]);
    assert_eq!(fs::read(sandbox.path("run/model.safetensors")).unwrap(), model);

    sandbox.run(["cache", "clear"]).expect(0, &[]);
    assert_eq!(sandbox.run(["cache", "show", "--json"]).expect(0, &[]).json()["bytes"], 0);
}

#[test]
fn a_run_verifies_until_something_changes() {
    let sandbox = Sandbox::new();
    sandbox.digits("digits", 3, 8, 3);
    sandbox.run(["fit", "--depth", "head", "digits"].iter().chain(&QUICK)).expect(0, &[]);
    let ran = sandbox.run(["verify", "run"]).expect(0, &[]);
    assert!(ran.stdout.contains("reproduced"), "{}", ran.stdout);

    fs::rename(sandbox.path("digits"), sandbox.path("moved")).unwrap();
    sandbox.run(["verify", "run"]).expect(3, &["digits"]);
    assert_eq!(sandbox.run(["verify", "run", "--data", "moved", "--json"]).expect(0, &[]).json()["reproduced"], true);

    let some = fs::read_dir(sandbox.path("moved/train/0")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(some).unwrap();
    let ran = sandbox.run(["verify", "run", "--data", "moved"]).expect(1, &[]);
    assert!(ran.stdout.contains("not reproduced") && ran.stdout.contains("fingerprint"), "{}", ran.stdout);
}

#[test]
fn settings_come_from_a_file_and_flags_win() {
    let sandbox = Sandbox::new();
    sandbox.digits("digits", 2, 6, 0);
    fs::write(sandbox.path("fit.toml"), "data = \"digits\"\nfolds = 3\nseed = 9\ncontrol-budget = 0.0\n").unwrap();
    let ran = sandbox
        .run(["fit", "--depth", "head", "--config", "fit.toml", "--seed", "4", "--out", "run", "--json"])
        .expect(0, &[]);
    let report = ran.json();
    assert_eq!((&report["config"]["folds"], &report["seed"]), (&3.into(), &4.into()));
    assert!(report["accuracy"]["how"].as_str().unwrap().contains("3-fold"));
    fs::write(sandbox.path("bad.toml"), "foldz = 3\n").unwrap();
    sandbox
        .run(["fit", "--depth", "head", "digits", "--config", "bad.toml", "--out", "other"])
        .expect(2, &["foldz", "where: bad.toml"]);
}

#[test]
fn a_base_of_ones_own_can_be_made_and_used() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("source", 5, 20);
    sandbox.flat_digits("target", 3, 10);
    let args =
        ["pretrain", "source", "--method", "supervised", "--epochs", "2", "--batch-size", "32", "--half", "--out"];
    let ran = sandbox.run(args.iter().chain(&["mine"])).expect(0, &["epoch   2"]);
    assert!(ran.stdout.contains("base.safetensors"));
    sandbox.run(args.iter().chain(&["again", "--threads", "1", "--id", "mine"])).expect(0, &[]);
    let read = |name: &str| fs::read(sandbox.path(name).join("base.safetensors")).unwrap();
    assert_eq!(read("mine"), read("again"), "the same base whatever the threads");

    let ran = sandbox.run(["bases", "show", "mine/base.safetensors"]).expect(0, &[]);
    assert!(ran.stdout.contains("layer3") && ran.stdout.contains("mine"), "{}", ran.stdout);
    let args = [
        "fit",
        "--depth",
        "head",
        "target",
        "--base",
        "mine/base.safetensors",
        "--control-budget",
        "0",
        "--out",
        "run",
    ];
    sandbox.run(args).expect(0, &[]);
}

#[test]
fn bases_are_listed_and_shown() {
    let sandbox = Sandbox::new();
    let list = sandbox.run(["bases", "list", "--json"]).expect(0, &[]).json();
    assert_eq!(list[0]["id"], "glyphs");
    let show = sandbox.run(["bases", "show", "glyphs", "--json"]).expect(0, &[]).json();
    assert_eq!(show["stages"].as_array().unwrap().len(), 5);
    assert_eq!(show["card"]["sha256"], show["sha256"]);
}
