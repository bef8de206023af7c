//! Ctrl-C and kill -9: complete or absent, and the next run is as good as ever.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::sandbox::Sandbox;

const FIT: [&str; 8] = ["fit", "--depth", "head", "digits", "--control-budget", "0.02", "--out", "run"];

fn start(sandbox: &Sandbox) -> Child {
    sandbox.command(FIT).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    Command::new("kill").arg(name).arg(child.id().to_string()).status().unwrap();
}

/// The names that a run's folder has when it is complete.
fn complete(sandbox: &Sandbox) -> bool {
    let run = sandbox.path("run");
    [
        "model.safetensors",
        "model.json",
        "report.json",
        "report.html",
        "predictions.csv",
        "curves.csv",
        "run.toml",
        "log.jsonl",
    ]
    .iter()
    .all(|name| run.join(name).exists())
}

#[test]
fn ctrl_c_stops_cleanly() {
    let sandbox = Sandbox::new();
    sandbox.digits("digits", 5, 20, 10);
    for milliseconds in [100, 400, 900] {
        let mut child = start(&sandbox);
        std::thread::sleep(Duration::from_millis(milliseconds));
        signal(&child, "-INT");
        let asked = Instant::now();
        let status = child.wait().unwrap();
        assert!(asked.elapsed() < Duration::from_secs(5), "it stops soon");
        if status.code() == Some(0) {
            assert!(complete(&sandbox));
            fs::remove_dir_all(sandbox.path("run")).unwrap();
        } else {
            // Before the handler is there, the signal itself ends the process.
            assert!(status.code() == Some(130) || status.code().is_none(), "{status}");
            assert_eq!(sandbox.names(), ["digits"], "after {milliseconds} ms");
        }
    }
}

#[test]
fn kill_leaves_a_run_complete_or_absent() {
    let sandbox = Sandbox::new();
    sandbox.digits("digits", 5, 20, 10);
    let start_whole = Instant::now();
    assert!(start(&sandbox).wait().unwrap().success());
    let whole = start_whole.elapsed();
    let model = fs::read(sandbox.path("run/model.safetensors")).unwrap();
    for step in 0..12u32 {
        let _ = fs::remove_dir_all(sandbox.path("run"));
        let mut child = start(&sandbox);
        std::thread::sleep(whole * step / 10);
        signal(&child, "-KILL");
        child.wait().unwrap();
        if sandbox.path("run").exists() {
            assert!(complete(&sandbox), "killed after {step} tenths");
        }
    }
    let _ = fs::remove_dir_all(sandbox.path("run"));
    assert!(start(&sandbox).wait().unwrap().success());
    assert_eq!(fs::read(sandbox.path("run/model.safetensors")).unwrap(), model, "the cache was not harmed");
    assert_eq!(sandbox.names(), ["digits", "run"], "what the killed ones left is gone");
}
