//! Names that would steer a terminal: escaped for readers, and data in CSV and JSON.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::sandbox::{Ran, Sandbox};

/// A title for the window and a bell, a line of its own, a right-to-left override, a C1 control, no UTF-8.
const HOSTILE: &[u8] = b"a\x1b]0;owned\x07\n  hint: rm -rf ~\xe2\x80\xae\xc2\x9b31m\xff";
/// The same as text, as data has it.
const AS_DATA: &str = "a\u{1b}]0;owned\u{7}\n  hint: rm -rf ~\u{202e}\u{9b}31m\\xFF";
/// The same for readers.
const FOR_READERS: &str = r"a\u{1b}]0;owned\u{7}\n  hint: rm -rf ~\u{202e}\u{9b}31m\xFF";

fn hostile() -> &'static Path {
    Path::new(OsStr::from_bytes(HOSTILE))
}

#[track_caller]
fn harmless(text: &str) {
    let steers = |c: &char| {
        (c.is_control() && *c != '\n')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
    };
    assert_eq!(text.chars().find(steers), None, "{text:?}");
    assert!(!text.lines().any(|line| line.trim_start().starts_with("hint: rm")), "{text}");
}

/// Asserts the code, that stderr is harmless, and that the name is shown there, or on stdout.
#[track_caller]
fn shown(ran: Ran, code: i32) -> Ran {
    let ran = ran.expect(code, &[]);
    harmless(&ran.stderr);
    assert!((ran.stderr.clone() + &ran.stdout).contains(FOR_READERS), "stdout: {}\nstderr: {}", ran.stdout, ran.stderr);
    ran
}

/// Digits of which the files of one class, and that class, have the name.
fn data(sandbox: &Sandbox) -> PathBuf {
    let data = sandbox.flat_digits("data", 2, 8);
    let class = data.join(hostile());
    fs::rename(data.join("1"), &class).unwrap();
    let first = fs::read_dir(&class).unwrap().next().unwrap().unwrap().path();
    fs::rename(&first, class.join(hostile())).unwrap();
    fs::write(class.join(OsStr::from_bytes(&[HOSTILE, b".png"].concat())), b"no image").unwrap();
    data
}

#[test]
fn names_steer_no_terminal_and_are_whole_in_data() {
    let sandbox = Sandbox::new();
    let data = data(&sandbox);
    let audit = shown(sandbox.run([OsStr::new("audit"), data.as_os_str()]), 0);
    harmless(&audit.stdout);
    let audit = sandbox.run([OsStr::new("audit"), data.as_os_str(), OsStr::new("--json")]).expect(0, &[]);
    harmless(&audit.stdout);
    assert!(
        audit.json()["classes"].as_array().unwrap().iter().any(|class| class["class"] == AS_DATA),
        "{}",
        audit.stdout
    );

    let run = sandbox.path(hostile());
    let fit = |more: &[&OsStr]| {
        let args = [OsStr::new("fit"), data.as_os_str(), OsStr::new("--out"), run.as_os_str()];
        let fixed = ["--base", "glyphs", "--depth", "head", "--control-budget", "0"].map(OsStr::new);
        sandbox.run(args.iter().chain(&fixed).chain(more))
    };
    let fitted = shown(fit(&[]), 0);
    harmless(&fitted.stdout);
    shown(fit(&[]), 5);
    let report = shown(sandbox.run([OsStr::new("report"), run.as_os_str()]), 0);
    harmless(&report.stdout);

    let image = data.join(hostile()).join(hostile());
    let predict = |more: &[&str]| {
        let args = [OsStr::new("predict"), run.as_os_str(), image.as_os_str(), OsStr::new("missing\x1b[31m.png")];
        sandbox.run(args.into_iter().chain(more.iter().map(OsStr::new)))
    };
    let csv = predict(&[]).expect(3, &[]);
    harmless(&csv.stderr);
    // To a program, the bytes that a name has.
    assert!(csv.stdout.contains(AS_DATA) && csv.stdout.contains("missing\u{1b}[31m.png"), "{}", csv.stdout);
    let json = predict(&["--format", "jsonl"]).expect(3, &[]);
    harmless(&json.stdout);
    let first: serde_json::Value = serde_json::from_str(json.stdout.lines().next().unwrap()).unwrap();
    assert!(first["path"].as_str().unwrap().ends_with(AS_DATA), "{first}");

    let embedded = sandbox.path("features.npy");
    let args = [
        OsStr::new("embed"),
        OsStr::new("--base"),
        OsStr::new("glyphs"),
        data.as_os_str(),
        OsStr::new("--out"),
        embedded.as_os_str(),
    ];
    shown(sandbox.run(args), 3);
}

#[test]
fn errors_about_names_steer_no_terminal() {
    let sandbox = Sandbox::new();
    let name = hostile().as_os_str();
    let text = OsStr::new;
    for args in [
        vec![text("fit"), name, text("--out"), text("run")],
        vec![text("audit"), name],
        vec![text("report"), name],
        vec![text("verify"), name],
        vec![text("predict"), name, text("x.png")],
        vec![text("fit"), text("data"), text("--config"), name],
        vec![text("fit"), text("data"), text("--resume"), name],
        vec![text("embed"), text("--base"), text("glyphs"), name, text("--out"), text("x.npy")],
    ] {
        let ran = sandbox.run(&args);
        assert!(matches!(ran.code, Some(1..=5)), "{args:?}: {:?} {}", ran.code, ran.stderr);
        harmless(&ran.stderr);
    }
    // Where arguments must be text, the name is one.
    let name = OsStr::new(AS_DATA);
    for args in [
        vec![text("bases"), text("show"), name],
        vec![text("bases"), text("pull"), name],
        vec![text("fit"), text("data"), text("--base"), name],
        vec![text("fit"), text("data"), text("--depth"), name],
        vec![text("fit"), text("data"), text("--seeds"), name],
        vec![name],
    ] {
        let ran = sandbox.run(&args);
        assert!(matches!(ran.code, Some(1..=5)), "{args:?}: {:?} {}", ran.code, ran.stderr);
        let shown = ran.stderr.replace(r"\n  hint: rm", "");
        assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}']), "{args:?}: {:?}", ran.stderr);
    }
    let weights = sandbox.path(hostile());
    fs::write(&weights, b"no weights").unwrap();
    let ran = sandbox.run([text("fit"), text("data"), text("--base"), OsStr::new("w\u{1b}[1m.safetensors")]);
    harmless(&ran.stderr);
}

/// CSV on a terminal is for a reader.
#[test]
fn rows_on_a_terminal_steer_it_not() {
    let there = Command::new("script").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        eprintln!("skipped: `script`, which makes a terminal, is not here");
        return;
    }
    let sandbox = Sandbox::new();
    let data = sandbox.flat_digits("data", 2, 6);
    let fit = ["fit", "data", "--out", "run", "--base", "glyphs", "--depth", "head", "--control-budget", "0"];
    sandbox.run(fit).expect(0, &[]);
    let first = fs::read_dir(data.join("0")).unwrap().next().unwrap().unwrap().path();
    let odd = data.join(OsStr::from_bytes(b"odd\x1b]0;x\x07.png"));
    fs::copy(first, &odd).unwrap();
    let line = format!("{} predict run data/odd* --quiet", env!("CARGO_BIN_EXE_engraft"));
    let mut command = Command::new("script");
    command
        .args(["-qec", &line, "/dev/null"])
        .current_dir(data.parent().unwrap())
        .env("ENGRAFT_CACHE", sandbox.path("cache"));
    let ran: Ran = command.stdin(Stdio::null()).output().unwrap().into();
    assert!(ran.stdout.contains(r"odd\u{1b}]0;x\u{7}.png"), "{:?}", ran.stdout);
    assert!(!ran.stdout.contains('\u{7}') && !ran.stdout.contains("\u{1b}]"), "{:?}", ran.stdout);
}
