//! Ctrl-C and kill -9: complete or absent, and the next run is as good as ever.

use std::fs::{self, File};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::sandbox::{Dialogue, Sandbox, ctrl_c, ends_within_a_second, signal};

const FIT: [&str; 8] = ["fit", "--depth", "head", "digits", "--control-budget", "0.02", "--out", "run"];

fn start(sandbox: &Sandbox) -> Child {
    sandbox.command(FIT).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
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
        signal(&child, ctrl_c());
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

#[test]
fn a_huge_table_is_left_within_a_second() {
    let sandbox = Sandbox::new();
    for (name, head) in
        [("huge.csv", "text,label\ngood,a\n"), ("huge.jsonl", "{\"text\": 1}\n"), ("huge.txt", "words\n")]
    {
        fs::write(sandbox.path(name), head).unwrap();
        File::options().append(true).open(sandbox.path(name)).unwrap().set_len(200 << 30).unwrap();
    }
    sandbox.flat_digits("data", 2, 6);
    let fit = ["fit", "data", "--depth", "head", "--control-budget", "0", "--out", "run"];
    sandbox.run(fit).expect(0, &[]);
    for args in [
        ["fit", "huge.csv", "--out", "texts"].as_slice(),
        &["audit", "huge.jsonl"],
        &["embed", "huge.csv", "--text", "text", "-o", "x.npy", "--base", "huge.txt"],
        &["pretrain", "huge.txt", "--method", "language-model", "--out", "lm"],
    ] {
        for name in ["-TERM", ctrl_c()] {
            let mut child = sandbox.command(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(400));
            if let Some(status) = child.try_wait().unwrap() {
                // Vectors are refused for their first line, before anything large is read.
                assert!(args[0] == "embed" && status.code() != Some(0), "{args:?} {status}");
                continue;
            }
            signal(&child, name);
            assert_eq!(ends_within_a_second(&mut child), Some(130), "{args:?}");
        }
    }
}

#[test]
fn what_cannot_hear_is_ended_after_a_moment() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("data", 2, 6);
    // More is written than a pipe holds, and nobody reads.
    let inputs = std::iter::repeat_n("data", 400);
    let start = || {
        let mut command = sandbox.command(["predict", "--base", "glyphs"].into_iter().chain(inputs.clone()));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        std::thread::sleep(Duration::from_secs(4));
        child
    };
    let mut child = start();
    signal(&child, "-TERM");
    assert_eq!(ends_within_a_second(&mut child), Some(130));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("interrupted"), "{said}");

    // The second wish is heard at once: there are no last words.
    let mut child = start();
    signal(&child, "-TERM");
    std::thread::sleep(Duration::from_millis(250));
    signal(&child, "-TERM");
    assert_eq!(ends_within_a_second(&mut child), Some(130));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!said.contains("interrupted"), "{said}");
}

#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("data", 2, 6);
    let start = |ignored: &str| {
        let script = format!("trap '' {ignored}; exec \"$0\" predict --base glyphs --format jsonl -");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_engraft")]).current_dir(sandbox.path(""));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut dialogue = Dialogue::new(command.spawn().unwrap());
        // It has begun to listen once it answers.
        assert!(dialogue.ask("nothing.png").contains("error"));
        dialogue
    };
    for (ignored, name) in [("HUP", "-HUP"), ("INT", "-INT"), ("TERM", "-TERM")] {
        let mut dialogue = start(ignored);
        signal(&dialogue.child, name);
        std::thread::sleep(Duration::from_millis(1200));
        assert!(dialogue.ask("nothing.png").contains("error"), "{name}");
        dialogue.end().expect(3, &[]);
    }
    let mut dialogue = start("USR1");
    signal(&dialogue.child, "-HUP");
    assert_eq!(ends_within_a_second(&mut dialogue.child), Some(130));
}
