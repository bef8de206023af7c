//! Fine-tuning: what learns and what does not, choices, and going on after any kind of stop to the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::sandbox::{Ran, Sandbox, without_timings};

/// Small, and in a second or two.
const QUICK: [&str; 14] = [
    "fit",
    "digits",
    "--epochs",
    "3",
    "--seeds",
    "1",
    "--folds",
    "2",
    "--views",
    "2",
    "--batch-size",
    "4",
    "--control-budget",
    "0",
];

fn quick<'a>(more: &[&'a str]) -> Vec<&'a str> {
    QUICK.iter().chain(more).copied().collect()
}

fn report(sandbox: &Sandbox, run: &str) -> serde_json::Value {
    serde_json::from_slice(&fs::read(sandbox.path(run).join("report.json")).unwrap()).unwrap()
}

/// The tensors of a safetensors file as bytes.
fn tensors(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let entries = header.as_object().unwrap().iter().filter(|(name, _)| *name != "__metadata__");
    entries
        .map(|(name, entry)| {
            let [begin, end] = [0, 1].map(|at| entry["data_offsets"][at].as_u64().unwrap() as usize);
            (name.clone(), bytes[8 + length + begin..8 + length + end].to_vec())
        })
        .collect()
}

#[test]
fn stages_before_the_cut_stay_as_they_were_to_the_bit() {
    let sandbox = Sandbox::new();
    sandbox.digits("digits", 3, 10, 4);
    sandbox.run(["fit", "digits", "--depth", "head", "--control-budget", "0", "--out", "head"]).expect(0, &[]);
    let before = tensors(&sandbox.path("head/model.safetensors"));
    for (flags, learns) in [
        (&["--depth", "layer3"][..], &["layer3"][..]),
        (&["--depth", "half"], &["layer2", "layer3"]),
        (&["--only", "layer1"], &["layer1"]),
        (&["--depth", "layer3", "--batch-norm", "train"], &["layer3"]),
        (&["--depth", "all", "--unfreeze", "gradual"], &["stem", "layer1", "layer2", "layer3"]),
    ] {
        let ran =
            sandbox.run(quick(flags).iter().chain(&["--out", "run", "--force"])).expect(0, &["linear probe", "depth:"]);
        assert!(ran.stdout.contains("accuracy on test"), "{}", ran.stdout);
        let after = tensors(&sandbox.path("run/model.safetensors"));
        assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
        for (name, values) in before.iter().filter(|(name, _)| name.starts_with("base.")) {
            let stage = name.trim_start_matches("base.").split('.').next().unwrap();
            // The stem's tensors are named as the checkpoint names them.
            let stage = if stage.starts_with("layer") { stage } else { "stem" };
            let is_statistic = name.contains("running_");
            let moves = learns.contains(&stage) && (!is_statistic || flags.contains(&"train"));
            if moves && name.ends_with("weight") {
                assert!(after[name] != *values, "{flags:?}: {name} should have learnt");
            } else if !moves {
                assert!(after[name] == *values, "{flags:?}: {name} is frozen and has moved");
            }
        }
    }
}

#[test]
fn a_fine_tuned_run_has_its_curves_and_verifies_and_predicts() {
    let sandbox = Sandbox::new();
    sandbox.digits("digits", 3, 10, 4);
    let flags = quick(&["--depth", "last", "--out", "run", "--tensorboard", "events"]);
    sandbox.run(&flags).expect(0, &["last:", "against the probe"]);
    assert_eq!(sandbox.names(), ["digits", "events", "run"], "nothing unfinished is left");
    let report = report(&sandbox, "run");
    assert_eq!(report["choice"]["depth"], "last");
    let tried = report["choice"]["tried"].as_array().unwrap();
    assert_eq!(tried.iter().map(|t| t["depth"].as_str().unwrap()).collect::<Vec<_>>(), ["head", "last"]);
    assert!(tried[1]["against_probe"]["standard_error"].is_number());
    assert_eq!(report["controls"]["probe"]["accuracy"]["mean"], tried[0]["score"]["mean"]);
    let curves = fs::read_to_string(sandbox.path("run/curves.csv")).unwrap();
    for run in ["tune/last/seed0/fold0,3,", "tune/last/seed0/fold1,3,", "final,3,"] {
        assert!(curves.contains(run), "{run} in {curves}");
    }
    let events = walkdir::WalkDir::new(sandbox.path("events")).into_iter().flatten();
    assert_eq!(events.filter(|entry| entry.file_type().is_file()).count(), 3);

    // What answers is what was evaluated, to the bit.
    let images: Vec<String> = fs::read_to_string(sandbox.path("run/predictions.csv"))
        .unwrap()
        .lines()
        .filter(|line| line.contains(",test,"))
        .map(str::to_owned)
        .collect();
    let names: Vec<String> = images.iter().map(|line| format!("digits/{}", line.split(',').next().unwrap())).collect();
    let args = ["predict", "run"].into_iter().map(str::to_owned).chain(names);
    let ran = sandbox.run(args).expect(0, &[]);
    for (line, evaluated) in ran.stdout.lines().skip(1).zip(&images) {
        let probability = |line: &str, at: usize| line.split(',').nth(at).unwrap().to_owned();
        assert!(
            evaluated.contains(&probability(line, 2)) || evaluated.contains(&probability(line, 3)),
            "{line} {evaluated}"
        );
    }
    assert!(sandbox.run(["verify", "run"]).expect(0, &[]).stdout.contains("reproduced"));
}

#[test]
fn the_same_bytes_whatever_the_threads_the_cache_and_the_checkpoints() {
    let sandbox = Sandbox::new();
    sandbox.digits("digits", 3, 9, 2);
    let all = [
        "--depth",
        "half",
        "--mixup",
        "0.4",
        "--dropout",
        "0.2",
        "--stochastic-depth",
        "0.2",
        "--ema",
        "0.9",
        "--l2-sp",
        "0.01",
        "--feature-distance",
        "0.1",
        "--label-smoothing",
        "0.1",
    ];
    for (name, more) in [
        ("a", &["--threads", "1", "--no-cache"][..]),
        ("b", &["--threads", "3"]),
        ("c", &["--threads", "2", "--checkpoint-every", "0"]),
    ] {
        sandbox.run(quick(&all).iter().chain(more).chain(&["--out", name])).expect(0, &[]);
    }
    for run in ["b", "c"] {
        for file in ["model.safetensors", "model.json", "predictions.csv", "curves.csv"] {
            let read = |run: &str| fs::read(sandbox.path(run).join(file)).unwrap();
            assert!(read("a") == read(run), "{file} of a and {run}");
        }
        assert_eq!(without_timings(report(&sandbox, "a")), without_timings(report(&sandbox, run)));
    }
}

#[test]
fn auto_tries_depths_and_says_why_it_stopped() {
    let sandbox = Sandbox::new();
    sandbox.digits("digits", 3, 10, 0);
    let ran = sandbox.run(quick(&["--out", "run", "--json"])).expect(0, &["depth:"]);
    let choice = ran.json()["choice"].clone();
    assert!(choice["tried"].as_array().unwrap().len() >= 2, "{choice}");
    assert!(!choice["reason"].as_str().unwrap().is_empty());
    let ran = sandbox.run(quick(&["--budget", "0", "--out", "none", "--json"])).expect(0, &["budget"]);
    let choice = ran.json()["choice"].clone();
    assert_eq!((choice["depth"].as_str(), choice["tried"].as_array().map(Vec::len)), (Some("head"), Some(1)));
    assert_eq!(choice["left_out"].as_array().unwrap().len(), 3);
}

#[test]
fn the_speed_is_measured_once_and_settings_that_have_it_decide_alike() {
    let sandbox = Sandbox::new();
    sandbox.digits("digits", 3, 10, 0);
    sandbox.run(quick(&["--budget", "1h", "--out", "run"])).expect(0, &["10^12 MACs per second"]);
    let speed = report(&sandbox, "run")["config"]["speed"].as_str().unwrap().to_owned();
    assert!(speed.starts_with("all=0.") && speed.contains("last=0."), "{speed}");
    let again = sandbox.run(["fit", "--config", "run/run.toml", "--out", "again"]).expect(0, &[]);
    assert!(!again.stderr.contains("MACs per second"), "{}", again.stderr);
    for file in ["model.safetensors", "model.json", "predictions.csv", "run.toml"] {
        let read = |run: &str| fs::read(sandbox.path(run).join(file)).unwrap();
        assert!(read("run") == read("again"), "{file}");
    }
    // A slow machine tries nothing, and says how long it would take; between the two some depths are looked at first.
    let slow = sandbox.run(quick(&["--budget", "1m", "--speed", "1e-9", "--out", "slow", "--json"])).expect(0, &[]);
    let choice = slow.json()["choice"].clone();
    assert_eq!(choice["tried"].as_array().unwrap().len(), 1);
    assert!(choice["left_out"][0].as_str().unwrap().contains("h on this machine"), "{choice}");
    sandbox.run(quick(&["--speed", "0", "--out", "none"])).expect(2, &["--speed"]);
    sandbox.run(quick(&["--depth", "half", "--speed", "1", "--out", "none"])).expect(2, &["--speed"]);
}

/// Of every depth that was tried all folds were measured, whatever the budget: what is reported is of as many examples as the
/// probe's number.
#[test]
fn a_small_budget_looks_at_depths_first_and_finishes_the_best() {
    let sandbox = Sandbox::new();
    sandbox.digits("digits", 3, 10, 0);
    let fixed = "fit digits --epochs 2 --seeds 1 --folds 5 --views 1 --batch-size 4 --control-budget 0 --speed 0.001 --force --json";
    let (mut looked, mut all) = (0, 0);
    for seconds in (1..=12).map(|at| format!("{}s", 4 * at)) {
        let args = fixed.split(' ').chain(["--out", "run", "--budget", &seconds]);
        let ran = sandbox.run(args.collect::<Vec<_>>()).expect(0, &[]);
        let json = ran.json();
        assert_eq!(json["accuracy"]["n"], 30, "{seconds}");
        let choice = &json["choice"];
        for tried in choice["tried"].as_array().unwrap() {
            assert_eq!(tried["score"]["n"], 30, "{seconds}: {tried}");
        }
        let told = choice["left_out"].to_string();
        looked += usize::from(told.contains("of 5 folds alone"));
        all += usize::from(choice["tried"].as_array().unwrap().len() > 2);
    }
    assert!(looked > 0 && all > 0, "{looked} {all}");
}

/// A head from random numbers that learns nothing is worse on every fold.
#[test]
fn a_depth_that_all_folds_would_hardly_choose_is_stopped_also_after_a_resume() {
    let sandbox = Sandbox::new();
    sandbox.digits("digits", 5, 18, 2);
    let args = "fit digits --start random --epochs 1 --lr 1e-6 --seeds 1 --folds 5 --views 1 --control-budget 0 --speed 1 --budget 1h";
    let args: Vec<&str> = args.split(' ').collect();
    let ran =
        sandbox.run(args.iter().chain(&["--out", "whole", "--json"])).expect(0, &["was stopped after 3 of 5 folds"]);
    let choice = ran.json()["choice"].clone();
    assert_eq!((choice["depth"].as_str(), choice["tried"].as_array().map(Vec::len)), (Some("head"), Some(1)));
    assert!(choice["reason"].as_str().unwrap().contains("none was likely to be chosen"), "{choice}");
    let told = choice["left_out"].to_string();
    for part in
        ["`last` was stopped", "on the same 54 images", "has a probability of less than 0.1 %", "`all` was not tried"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    let html = fs::read_to_string(sandbox.path("whole/report.html")).unwrap();
    assert!(html.contains("was stopped after 3 of 5 folds"));
    if cfg!(debug_assertions) {
        for fault in ["journal-finished:2", "journal-finished:5"] {
            let mut killed = sandbox.command(args.iter().chain(&["--out", "run"]));
            assert!(!killed.env("ENGRAFT_FAULT", fault).output().unwrap().status.success());
            sandbox.run(["fit", "--resume", "run"]).expect(0, &["was stopped after 3 of 5 folds"]);
            for file in ["model.safetensors", "model.json", "predictions.csv"] {
                let read = |run: &str| fs::read(sandbox.path(run).join(file)).unwrap();
                assert!(read("whole") == read("run"), "{file}");
            }
            assert_eq!(without_timings(report(&sandbox, "whole")), without_timings(report(&sandbox, "run")));
            fs::remove_dir_all(sandbox.path("run")).unwrap();
        }
    }
}

#[test]
fn low_rank_factors_learn_in_place_of_weights() {
    let sandbox = Sandbox::new();
    sandbox.digits("digits", 3, 10, 0);
    sandbox.run(["fit", "digits", "--depth", "head", "--control-budget", "0", "--out", "head"]).expect(0, &[]);
    sandbox.run(quick(&["--depth", "all", "--lora", "4", "--lr", "0.01", "--out", "run"])).expect(0, &[]);
    let before = tensors(&sandbox.path("head/model.safetensors"));
    let after = tensors(&sandbox.path("run/model.safetensors"));
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>(), "merged when saved");
    let moved: Vec<&String> =
        before.keys().filter(|name| name.starts_with("base.") && before[*name] != after[*name]).collect();
    // Shortcuts are the convolutions of one pixel; nothing else may move.
    assert!(!moved.is_empty() && moved.iter().all(|name| name.contains("downsample")), "{moved:?}");
}

#[test]
fn what_makes_no_sense_is_refused_before_any_work() {
    let sandbox = Sandbox::new();
    sandbox.digits("digits", 2, 4, 0);
    sandbox.run(["fit", "digits", "--epochs", "0", "--out", "run"]).expect(2, &["nothing to train"]);
    for (flags, parts) in [
        (&["--depth", "layer9"][..], &["stem, layer1"][..]),
        (&["--depth", "pool"], &["nothing to train"]),
        (&["--only", "layer9"], &["no such depth or stage"]),
        (&["--depth", "head"], &["trains no stage", "--epochs 3"]),
        (&["--depth", "half", "--budget", "1m"], &["leaves nothing to choose", "--budget"]),
        (&["--depth", "half", "--pairs", "8"], &["--pairs"]),
        (&["--budget", "soon"], &["--budget"]),
        (&["--dropout", "1"], &["--dropout"]),
        (&["--unfreeze", "never"], &["--unfreeze", "together, gradual"]),
        (&["--schedule", "line"], &["slanted-triangular"]),
        (&["--checkpoint-every", "-1"], &[]),
    ] {
        let ran = sandbox.run(quick(flags).iter().chain(&["--out", "run"])).expect(2, parts);
        assert!(ran.stdout.is_empty());
        assert_eq!(sandbox.names(), ["digits"], "{flags:?}: nothing is left");
    }
}

#[test]
fn a_rate_that_explodes_stops_and_names_the_batch() {
    let sandbox = Sandbox::new();
    sandbox.digits("digits", 2, 8, 0);
    let flags = quick(&["--depth", "all", "--optimiser", "sgd", "--lr", "1e30", "--clip", "0", "--out", "run"]);
    let ran = sandbox.run(flags).expect(1, &["tried again at", "the loss is not a number", "epoch", "train/", "--lr"]);
    assert!(ran.stderr.contains("last good state"), "{}", ran.stderr);
    assert!(newest_checkpoint(&sandbox).join("manifest.json").is_file());
    assert!(!sandbox.path("run").exists());
}

#[test]
fn a_solved_head_has_no_event_files_and_says_so() {
    let sandbox = Sandbox::new();
    sandbox.digits("digits", 2, 4, 0);
    let args = ["fit", "digits", "--depth", "head", "--control-budget", "0", "--tensorboard", "events", "--out", "run"];
    sandbox.run(args).expect(0, &["no event files"]);
    assert_eq!(sandbox.names(), ["digits", "run"]);
}

#[test]
fn the_rate_finder_leaves_no_trace() {
    let sandbox = Sandbox::new();
    sandbox.digits("digits", 3, 10, 0);
    let ran = sandbox.run(["fit", "digits", "--find-lr", "--depth", "half", "--batch-size", "8"]).expect(0, &[]);
    assert!(ran.stdout.contains("falls fastest") && ran.stdout.lines().count() > 10, "{}", ran.stdout);
    assert_eq!(sandbox.names(), ["digits"]);
    let json = sandbox.run(["fit", "digits", "--find-lr", "--depth", "half", "--json"]).expect(0, &[]).json();
    let curve = json["curve"].as_array().unwrap();
    assert!(curve.windows(2).all(|pair| pair[0]["lr"].as_f64() < pair[1]["lr"].as_f64()));
}

/// A fit with a checkpoint after every step, gradual unfreezing, and everything that has a memory.
const STOPPABLE: [&str; 12] = [
    "--depth",
    "half",
    "--unfreeze",
    "gradual",
    "--ema",
    "0.9",
    "--patience",
    "2",
    "--checkpoint-every",
    "0",
    "--threads",
    "2",
];

fn same_as_uninterrupted(sandbox: &Sandbox, run: &str) {
    for file in ["model.safetensors", "model.json", "predictions.csv", "curves.csv"] {
        let read = |run: &str| fs::read(sandbox.path(run).join(file)).unwrap();
        assert!(read("whole") == read(run), "{file} of the run that was stopped");
    }
    assert_eq!(without_timings(report(sandbox, "whole")), without_timings(report(sandbox, run)));
    assert!(!sandbox.path(format!("{run}.unfinished")).exists());
}

fn resume(sandbox: &Sandbox) -> Ran {
    sandbox.run(["fit", "--resume", "run", "--checkpoint-every", "0", "--threads", "2"])
}

fn uninterrupted() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.digits("digits", 2, 14, 2);
    sandbox.run(quick(&STOPPABLE).iter().chain(&["--out", "whole"])).expect(0, &[]);
    sandbox
}

#[test]
fn killed_at_any_named_moment_it_goes_on_to_the_same_bytes() {
    let sandbox = uninterrupted();
    for fault in [
        "checkpoint-between-files:1",
        "checkpoint-between-files:5",
        "checkpoint-before-manifest:3",
        "checkpoint-before-rename:2",
        "checkpoint-before-retention:4",
        "checkpoint-during-retention:1",
        "folder-half-removed:1",
        "journal-finished:1",
        "journal-finished:2",
    ] {
        let flags = quick(&STOPPABLE);
        let killed = sandbox
            .command(flags.iter().chain(&["--out", "run"]))
            .env("ENGRAFT_FAULT", fault)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(killed.code(), None, "{fault}: killed by a signal");
        assert!(!sandbox.path("run").exists() && sandbox.path("run.unfinished").is_dir(), "{fault}");
        resume(&sandbox).expect(0, &[]);
        same_as_uninterrupted(&sandbox, "run");
        fs::remove_dir_all(sandbox.path("run")).unwrap();
    }
}

#[test]
fn killed_fifty_times_it_goes_on_to_the_same_bytes() {
    let sandbox = uninterrupted();
    let mut random = 12345u64;
    let mut kills = 0;
    let mut args: Vec<&str> = quick(&STOPPABLE).into_iter().chain(["--out", "run"]).collect();
    while kills < 50 {
        let mut child = sandbox.command(&args).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis(20 + (random >> 33) % 400));
        if let Some(status) = child.try_wait().unwrap() {
            // Done before it was killed: the same, and once more from the start.
            assert_eq!(status.code(), Some(0));
            same_as_uninterrupted(&sandbox, "run");
            fs::remove_dir_all(sandbox.path("run")).unwrap();
            args = quick(&STOPPABLE).into_iter().chain(["--out", "run"]).collect();
            continue;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        if sandbox.path("run").exists() {
            fs::remove_dir_all(sandbox.path("run")).unwrap();
            let _ = fs::remove_dir_all(sandbox.path("run.unfinished"));
        }
        args = match sandbox.path("run.unfinished/run.toml").exists() {
            true => vec!["fit", "--resume", "run", "--checkpoint-every", "0", "--threads", "2"],
            false => quick(&STOPPABLE).into_iter().chain(["--out", "run", "--force"]).collect(),
        };
    }
    sandbox.run(&args).expect(0, &[]);
    same_as_uninterrupted(&sandbox, "run");
}

/// The newest checkpoint of a stopped run.
fn newest_checkpoint(sandbox: &Sandbox) -> PathBuf {
    let found = walkdir::WalkDir::new(sandbox.path("run.unfinished")).into_iter().flatten();
    let steps = found.filter(|entry| entry.file_name().to_string_lossy().starts_with("step-"));
    steps.map(|entry| entry.path().to_owned()).max().unwrap()
}

#[test]
fn a_damaged_checkpoint_is_passed_over_and_said() {
    let sandbox = uninterrupted();
    let flags = quick(&STOPPABLE);
    for file in ["tensors.safetensors", "state.cbor", "manifest.json"] {
        sandbox
            .command(flags.iter().chain(&["--out", "run"]))
            .env("ENGRAFT_FAULT", "checkpoint-before-retention:3")
            .stderr(Stdio::null())
            .status()
            .unwrap();
        let path = newest_checkpoint(&sandbox).join(file);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        resume(&sandbox).expect(0, &["damaged checkpoint is passed over", "going on from"]);
        same_as_uninterrupted(&sandbox, "run");
        fs::remove_dir_all(sandbox.path("run")).unwrap();
    }
}

#[test]
fn an_unfinished_run_is_neither_lost_nor_taken_for_another() {
    let sandbox = uninterrupted();
    sandbox.run(["fit", "--resume", "run"]).expect(2, &["nothing to resume"]);
    let flags = quick(&STOPPABLE);
    let kill = || {
        sandbox
            .command(flags.iter().chain(&["--out", "run"]))
            .env("ENGRAFT_FAULT", "checkpoint-before-rename:2")
            .stderr(Stdio::null())
            .status()
            .unwrap()
    };
    kill();
    sandbox.run(flags.iter().chain(&["--out", "run"])).expect(5, &["unfinished work", "--resume run", "--force"]);
    sandbox.run(["fit", "--resume", "run", "--out", "other"]).expect(2, &[]);
    sandbox.run(flags.iter().chain(&["--out", "run", "--force"])).expect(0, &[]);
    same_as_uninterrupted(&sandbox, "run");
}
