//! Nothing of the user's is ever lost: whatever a command is told to write over, every file that was there is there after.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::sandbox::Sandbox;

/// Every file below a folder with its bytes.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = walkdir::WalkDir::new(folder).into_iter().map(|entry| entry.unwrap());
    let files = files.filter(|entry| entry.file_type().is_file());
    files.map(|entry| (entry.path().to_owned(), fs::read(entry.path()).unwrap())).collect()
}

#[track_caller]
fn assert_all_there(before: &BTreeMap<PathBuf, Vec<u8>>, what: &str) {
    for (path, bytes) in before {
        assert!(fs::read(path).is_ok_and(|now| now == *bytes), "{what}: {} is gone or changed", path.display());
    }
}

const HEAD: [&str; 6] = ["--depth", "head", "--control-budget", "0", "--base", "glyphs"];

#[test]
fn no_flag_of_no_command_replaces_what_is_the_users() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("mine/photos", 2, 6);
    sandbox.flat_digits("mine/other", 2, 2);
    let put = |name: &str, bytes: &[u8]| {
        let path = sandbox.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    put("mine/texts/a/1.txt", b"the soup was cold and the bread was stale");
    put("mine/texts/b/1.txt", b"a very good evening with friends");
    for name in [
        "photo.png",
        "page.html",
        "own.npy",
        "own.npy.index.csv",
        "new.npy.index.csv",
        "own.safetensors",
        "new.toml",
        "taken.unfinished/1.jpg",
        "mix/model.json",
        "mix/holiday.jpg",
        "features/0123456789abcdef/1.rows",
        "controls/holiday.jpg",
    ] {
        put(&format!("mine/{name}"), b"precious");
    }
    let fit = |more: &[&'static str]| [&["fit", "mine/photos"][..], &HEAD, more].concat();
    // A base of our own and a run, inside the user's folder.
    sandbox.run(fit(&["--out", "mine/run"])).expect(0, &[]);
    sandbox.run(fit(&["--out", "mine/crowded"])).expect(0, &[]);
    put("mine/crowded/notes.txt", b"what I thought of this run");
    let base = ["pretrain", "mine/photos", "--epochs", "1", "--holdout", "0", "--out", "mine/base"];
    sandbox.run(base).expect(0, &[]);
    std::os::unix::fs::symlink("photos", sandbox.path("mine/link")).unwrap();
    let before = snapshot(&sandbox.path("mine"));
    let here = sandbox.path("mine/run");

    for out in [
        "mine/photos",
        "mine/photos/0",
        "mine",
        ".",
        "mine/other",
        "mine/link",
        "mine/mix",
        "mine/crowded",
        "mine/photo.png",
    ] {
        for force in [&["--force"][..], &[]] {
            let told = |args: &[&'static str]| [args, &["--out", out], force].concat();
            sandbox.run(told(&fit(&[]))).expect(if out == "." { 2 } else { 5 }, &[]);
            let pretrain = ["pretrain", "mine/photos", "--epochs", "1"];
            sandbox.run(told(&pretrain)).expect(if out == "." { 2 } else { 5 }, &[]);
            let language = ["pretrain", "mine/texts", "--method", "language-model"];
            sandbox.run(told(&language)).expect(if out == "." { 2 } else { 5 }, &[]);
            assert_all_there(&before, out);
        }
    }
    // A run is not a base, a base no run; the base that is read is not replaced, nor the data, nor where one stands.
    let trained =
        ["fit", "mine/photos", "--base", "mine/base/base.safetensors", "--depth", "head", "--control-budget", "0"];
    for args in [
        &[&trained[..], &["--out", "mine/base", "--force"]].concat(),
        &fit(&["--out", "mine/base", "--force"]),
        &["pretrain", "mine/photos", "--out", "mine/run", "--force"].to_vec(),
        &["fit", "mine/run/predictions.csv", "--out", "mine/run", "--force"].to_vec(),
        &fit(&["--out", "mine/taken", "--depth", "last", "--force"]),
        &fit(&["--out", "mine/new", "--tensorboard", "mine/photos", "--force"]),
        &fit(&["--out", "mine/new", "--tensorboard", "mine/photos"]),
        &["embed", "mine/photos", "--base", "glyphs", "-o", "mine/own.npy", "--force"].to_vec(),
        &["embed", "mine/photos", "--base", "glyphs", "-o", "mine/own.npy"].to_vec(),
        &["embed", "mine/photos", "--base", "glyphs", "-o", "mine/new.npy", "--force"].to_vec(),
        &["report", "mine/run", "-o", "mine/photo.png"].to_vec(),
        &["report", "mine/run", "-o", "mine/photo.png", "--force"].to_vec(),
        &["report", "mine/run", "-o", "mine/page.html", "--force"].to_vec(),
        &["report", "mine/run", "-o", "mine/link", "--force"].to_vec(),
        &["report", "mine/run", "-o", "/dev/null", "--force"].to_vec(),
        &["bases", "import", "mine/base/base.safetensors", "-o", "mine/own.safetensors", "--force"].to_vec(),
        &["bases", "import", "mine/base/base.safetensors", "-o", "mine/new.safetensors", "--force"].to_vec(),
        &["bases", "import", "mine/base/base.safetensors", "-o", "mine/base/base.safetensors", "--force"].to_vec(),
    ] {
        // Some are refused as data or usage, before the output is looked at: none may succeed or change anything.
        let ran = sandbox.run(args);
        assert!([2, 3, 5].contains(&ran.code.unwrap()), "{args:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        assert_all_there(&before, &args.join(" "));
    }
    sandbox.run(["fit", "--resume", "mine/taken"]).expect(2, &["nothing to resume"]);
    // Standing in a run's folder, one cannot replace it.
    let inside =
        sandbox.command(["fit", "../photos", "--out", "../run", "--force"]).current_dir(here).output().unwrap();
    assert_eq!(inside.status.code(), Some(5));
    assert_all_there(&before, "from inside");
    // A cache in the user's folder lives beside what is there; clearing it takes only what is the cache's.
    sandbox.run([&fit(&["--out", "run2"])[..], &["--cache", "mine", "--cache-limit", "0"]].concat()).expect(0, &[]);
    sandbox.run(["cache", "clear", "--cache", "mine"]).expect(0, &[]);
    assert_all_there(&before, "the cache");

    // And what engraft made is replaced when asked for.
    for args in [
        &fit(&["--out", "mine/run", "--force"]),
        &[&base[..], &["--force"]].concat(),
        &["report", "mine/run", "-o", "copy.html"].to_vec(),
        &["report", "mine/run", "-o", "copy.html", "--force"].to_vec(),
        &["embed", "mine/photos", "--base", "glyphs", "-o", "f.npy"].to_vec(),
        &["embed", "mine/photos", "--base", "glyphs", "-o", "f.npy", "--force"].to_vec(),
        &["bases", "import", "mine/base/base.safetensors", "-o", "i.safetensors"].to_vec(),
        &["bases", "import", "mine/base/base.safetensors", "-o", "i.safetensors", "--force"].to_vec(),
    ] {
        sandbox.run(args).expect(0, &[]);
    }
    for args in [["report", "mine/run", "-o", "copy.html"], ["embed", "mine/photos", "-o", "f.npy"]] {
        sandbox.run(args).expect(5, &["exists already", "--force"]);
    }
    let hidden = snapshot(&sandbox.path("")).into_keys().filter(|path| path.to_string_lossy().contains(".partial-"));
    assert_eq!(hidden.count(), 0, "nothing half-made is left");
}

#[test]
fn a_run_inside_the_data_is_no_class() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("photos", 2, 6);
    let fit = |out: &'static str| [&["fit", "photos"][..], &HEAD, &["--out", out]].concat();
    sandbox.run(fit("photos/run")).expect(0, &[]);
    sandbox.run(fit("photos/runs/second")).expect(0, &["of engraft among the data, passed over: 1"]);
    let ran = sandbox.run(fit("third")).expect(0, &["passed over: 2"]);
    assert!(!ran.stderr.contains("without a file"), "{}", ran.stderr);
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(sandbox.path("third/report.json")).unwrap()).unwrap();
    assert_eq!(report["data"]["classes"], serde_json::json!(["0", "1"]));
    let [first, third] =
        ["photos/run", "third"].map(|run| fs::read(sandbox.path(run).join("model.safetensors")).unwrap());
    assert!(first == third, "the same model as without it");
}

/// A fit that takes a while, with what it has finished on disk early.
const SLOW: [&str; 14] = [
    "fit",
    "photos",
    "--base",
    "glyphs",
    "--depth",
    "all",
    "--epochs",
    "400",
    "--seeds",
    "1",
    "--folds",
    "2",
    "--checkpoint-every",
    "0",
];

fn start(sandbox: &Sandbox, args: &[&str]) -> Child {
    sandbox.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits until a fit has written a checkpoint.
#[track_caller]
fn wait_for_checkpoint(sandbox: &Sandbox, unfinished: &str) {
    let begun = Instant::now();
    // Names alone: the fit replaces its files while they are looked at.
    let has = || {
        let mut names = walkdir::WalkDir::new(sandbox.path(unfinished)).into_iter().flatten();
        names.any(|entry| entry.path().ends_with("manifest.json"))
    };
    while !(sandbox.path(unfinished).is_dir() && sandbox.path(unfinished).join("inputs.cbor").is_file() && has()) {
        assert!(begun.elapsed() < Duration::from_secs(120), "no checkpoint");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Starts the slow fit and kills it after a checkpoint.
#[track_caller]
fn stopped(sandbox: &Sandbox) {
    let mut child = start(sandbox, &[&SLOW[..], &["--control-budget", "0", "--out", "run"]].concat());
    wait_for_checkpoint(sandbox, "run.unfinished");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn other_data_base_or_settings_are_not_resumed_in_silence() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("photos", 2, 6);
    stopped(&sandbox);
    let resume = |parts: &[&str]| {
        sandbox.run(["fit", "--resume", "run"]).expect(3, parts);
        assert!(sandbox.path("run.unfinished/run.toml").is_file() && !sandbox.path("run").exists());
    };
    let added = sandbox.path("photos/1/another.png");
    fs::copy(crate::sandbox::examples().join("train/1").read_dir().unwrap().next().unwrap().unwrap().path(), &added)
        .unwrap();
    resume(&["has changed since", "1 example added: 1/another.png", "--force"]);
    fs::remove_file(&added).unwrap();
    let some = fs::read_dir(sandbox.path("photos/0")).unwrap().next().unwrap().unwrap().path();
    let (bytes, name) = (fs::read(&some).unwrap(), some.file_name().unwrap().to_string_lossy().into_owned());
    fs::remove_file(&some).unwrap();
    resume(&[&format!("1 example removed: 0/{name}")]);
    let elsewhere = fs::read_dir(sandbox.path("photos/1")).unwrap().next().unwrap().unwrap().path();
    fs::write(&some, fs::read(elsewhere).unwrap()).unwrap();
    resume(&[&format!("1 example changed: 0/{name}")]);
    fs::write(&some, bytes).unwrap();
    let settings = sandbox.path("run.unfinished/run.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text.replace("seed = 0", "seed = 1")).unwrap();
    resume(&["the settings are others"]);
    fs::write(&settings, text).unwrap();
    for flag in [&["--lr", "0.1"][..], &["--base", "glyphs"], &["--strict"], &["--folds", "3"]] {
        sandbox.run([&["fit", "--resume", "run"], flag].concat()).expect(2, &[flag[0], "resumed"]);
    }
    let mut child = start(&sandbox, &["fit", "--resume", "run", "--quiet"]);
    std::thread::sleep(Duration::from_millis(1500));
    assert!(child.try_wait().unwrap().is_none(), "with everything as it was it goes on");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn two_processes_never_work_on_one_run() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("photos", 2, 6);
    let mut live = start(&sandbox, &[&SLOW[..], &["--out", "run"]].concat());
    wait_for_checkpoint(&sandbox, "run.unfinished");
    sandbox.run(["fit", "--resume", "run"]).expect(5, &["another process", "run.unfinished"]);
    for force in [&[][..], &["--force"]] {
        sandbox.run([&SLOW[..], &["--out", "run"], force].concat()).expect(5, &["another process"]);
    }
    assert!(live.try_wait().unwrap().is_none(), "the first is not disturbed");
    live.kill().unwrap();
    live.wait().unwrap();
    // The lock was the process's: now it is free.
    sandbox.run([&SLOW[..], &["--out", "run"]].concat()).expect(5, &["unfinished work", "engraft fit --resume run"]);
}

#[test]
fn containers_that_share_a_cache_do_not_meet() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("photos", 3, 8);
    let permitted = Command::new("unshare").args(["--pid", "--fork", "true"]).status();
    if !permitted.is_ok_and(|status| status.success()) {
        eprintln!("skipped: this user may not make PID namespaces");
        return;
    }
    // What an earlier version left, whose process number is that of every container's first process.
    fs::create_dir(sandbox.path(".run0.partial-1-0")).unwrap();
    fs::create_dir_all(sandbox.path("cache/inspections")).unwrap();
    fs::write(sandbox.path("cache/inspections/.x.partial-1-0"), b"half").unwrap();
    for round in 0..3 {
        let fits: Vec<Child> = (0..4)
            .map(|number| {
                let out = format!("run{number}");
                let inner = sandbox.command([&["fit", "photos"][..], &HEAD, &["--force", "--out", &out]].concat());
                let mut command = Command::new("unshare");
                command.args(["--pid", "--fork"]).arg(inner.get_program()).args(inner.get_args());
                command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
                command.current_dir(sandbox.path("")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
                command.spawn().unwrap()
            })
            .collect();
        for (number, fit) in fits.into_iter().enumerate() {
            let output = fit.wait_with_output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "round {round}, container {number}: {stderr}");
        }
        let models: Vec<_> =
            (0..4).map(|number| fs::read(sandbox.path(format!("run{number}/model.safetensors"))).unwrap()).collect();
        assert!(models.iter().all(|model| *model == models[0]));
    }
    assert_eq!(sandbox.names(), ["photos", "run0", "run1", "run2", "run3"], "the left-over is gone");
}
