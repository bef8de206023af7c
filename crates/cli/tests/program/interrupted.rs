//! Ctrl-C and kill -9: complete or absent, and the next run is as good as ever.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::sandbox::{Dialogue, Sandbox, ctrl_c, ends_within_a_second, listens, signal};

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
    fs::write(sandbox.path("words.vec"), "good 1 0\nbad 0 1\n").unwrap();
    for args in [
        ["fit", "huge.csv", "--base", "words.vec", "--out", "texts"].as_slice(),
        &["audit", "huge.jsonl"],
        &["embed", "huge.csv", "--text", "text", "-o", "x.npy", "--base", "words.vec"],
        &["pretrain", "huge.txt", "--method", "language-model", "--out", "lm"],
    ] {
        for name in ["-TERM", ctrl_c()] {
            let mut child = sandbox.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            listens(&child);
            std::thread::sleep(Duration::from_millis(500));
            assert!(child.try_wait().unwrap().is_none(), "{args:?} read 200 GB in half a second");
            signal(&child, name);
            assert_eq!(ends_within_a_second(&mut child), Some(130), "{args:?}");
        }
    }
}

#[test]
fn what_cannot_hear_is_ended_after_a_moment() {
    let sandbox = Sandbox::new();
    // A pipe that is full, and that nobody reads.
    let (_reader, writer) = std::io::pipe().unwrap();
    let mut filler = writer.try_clone().unwrap();
    std::thread::spawn(move || filler.write_all(&vec![b'x'; 1 << 22]));
    std::thread::sleep(Duration::from_millis(100));
    let start = || {
        let mut command = sandbox.command(["predict", "--base", "glyphs", "nowhere.png"]);
        let child = command.stdout(writer.try_clone().unwrap()).stderr(Stdio::piped()).spawn().unwrap();
        listens(&child);
        writes_to_stdout(&child);
        child
    };
    let said = |mut child: Child| {
        assert_eq!(ends_within_a_second(&mut child), Some(130));
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        said
    };
    let child = start();
    signal(&child, "-TERM");
    assert_eq!(said(child), "error: interrupted\n");

    // The second wish is heard at once: there are no last words.
    let child = start();
    signal(&child, "-TERM");
    std::thread::sleep(Duration::from_millis(250));
    signal(&child, "-TERM");
    assert_eq!(said(child), "");
}

/// Waits until the first thread of a process is about to write to stdout, which is full.
fn writes_to_stdout(child: &Child) {
    for _ in 0..2000 {
        let call = fs::read_to_string(format!("/proc/{}/syscall", child.id()));
        let Ok(call) = call else { return std::thread::sleep(Duration::from_secs(5)) };
        if call.split(' ').nth(1) == Some("0x1") {
            return std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it does not get to its output");
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
