//! Named pipes, sockets and devices where files are expected: told by their kind, and never waited for.

use std::fs;
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::sandbox::{Ran, Sandbox, make_pipe};

const FIT: [&str; 5] = ["--depth", "head", "--control-budget", "0", "--out"];

/// What a command gives that must not wait.
#[track_caller]
fn run(sandbox: &Sandbox, args: &[&str]) -> Ran {
    let mut child = sandbox.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(60) {
            let _ = child.kill();
            panic!("{args:?} waits");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap().into()
}

#[test]
fn in_a_folder_of_data_they_are_passed_over_and_told() {
    let sandbox = Sandbox::new();
    let data = sandbox.flat_digits("data", 2, 6);
    make_pipe(&data.join("0/pipe.png"));
    make_pipe(&data.join("stray"));
    let _listener = UnixListener::bind(data.join("1/socket.png")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", data.join("1/zero.png")).unwrap();
    let ran = run(&sandbox, &["audit", "data"]).expect(0, &["--strict"]);
    assert!(
        ran.stdout.contains("named pipes, sockets and devices") && ran.stdout.contains("0/pipe.png"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("passed over: 4"), "{}", ran.stdout);
    run(&sandbox, &[&["fit", "data"], &FIT[..], &["run"]].concat()).expect(0, &["1/zero.png"]);
    let ran = run(&sandbox, &["predict", "run", "data"]).expect(3, &["3 of the inputs"]);
    assert!(ran.stdout.contains("not a regular file but a named pipe"), "{}", ran.stdout);
    run(&sandbox, &["embed", "data", "-o", "x.npy"]).expect(3, &["left out data/0/pipe.png", "a socket"]);
}

#[test]
fn as_arguments_they_are_refused_by_their_kind() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("data", 2, 6);
    for name in
        ["pipe", "pipe.csv", "pipe.jsonl", "pipe.parquet", "pipe.txt", "pipe.conll", "pipe.safetensors", "pipe.toml"]
    {
        make_pipe(&sandbox.path(name));
    }
    fs::write(sandbox.path("words.vec"), "one 1 0\ntwo 0 1\n").unwrap();
    fs::write(sandbox.path("texts.csv"), "text,label\none,a\ntwo,b\n").unwrap();
    fs::write(sandbox.path("list.csv"), "path,label\npipe.csv,a\npipe.txt,b\n").unwrap();
    let fit = |data, more: &[&'static str]| [&["fit", data], &FIT[..], &["run"], more].concat();
    for (args, code) in [
        (fit("pipe", &[]), 3),
        (fit("pipe.csv", &["--base", "words.vec"]), 3),
        (fit("pipe.jsonl", &["--base", "words.vec"]), 3),
        (fit("pipe.parquet", &["--base", "words.vec"]), 3),
        (vec!["fit", "pipe.conll", "--task", "tags", "--base", "words.vec", "--out", "run"], 3),
        (fit("/dev/zero", &[]), 3),
        (fit("data", &["--base", "pipe.safetensors"]), 4),
        (vec!["bases", "show", "/dev/zero"], 4),
        (vec!["bases", "import", "pipe", "-o", "base.safetensors"], 4),
        (vec!["audit", "pipe.csv"], 3),
        (vec!["embed", "pipe", "-o", "x.npy"], 3),
        (vec!["embed", "texts.csv", "--text", "text", "--base", "pipe.txt", "-o", "x.npy"], 4),
        (vec!["pretrain", "pipe.txt", "--method", "language-model", "--out", "lm"], 3),
        (vec!["predict", "--base", "glyphs", "pipe"], 3),
    ] {
        let ran = run(&sandbox, &args).expect(code, &[]);
        let told = ran.stdout + &ran.stderr;
        assert!(told.contains("a named pipe") || told.contains("a device"), "{args:?}: {told}");
    }
    for args in [fit("data", &["--config", "pipe.toml"]), vec!["report", "pipe"], vec!["predict", "pipe", "data"]] {
        let ran = run(&sandbox, &args);
        assert_ne!(ran.code, Some(0), "{args:?}");
    }
    // Files of a table that are none are findings like other bad files.
    let ran = run(&sandbox, &["audit", "list.csv"]).expect(0, &[]);
    assert!(ran.stdout.contains("cannot be read, left out: 2"), "{}", ran.stdout);
}

#[test]
fn an_embedded_base_takes_no_card() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("data", 2, 6);
    let args = ["fit", "data", "--base", "glyphs", "--card", "any.toml", "--out", "run"];
    sandbox.run(args).expect(2, &["has its own card", "--card"]);
}
