//! Output that cannot be written: found before the work, and nothing lost.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::sandbox::Sandbox;

#[test]
fn an_existing_run_is_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("data", 2, 6);
    fs::create_dir(sandbox.path("run")).unwrap();
    fs::write(sandbox.path("run/precious"), b"mine").unwrap();
    let args = ["fit", "--depth", "head", "data", "--control-budget", "0", "--out", "run"];
    for force in [&[][..], &["--force"]] {
        let ran = sandbox.run([&args[..], force].concat()).expect(5, &["exists already", "precious"]);
        assert!(!ran.stderr.contains("inspecting"), "refused before any work: {}", ran.stderr);
        assert_eq!(fs::read(sandbox.path("run/precious")).unwrap(), b"mine");
    }
    fs::remove_file(sandbox.path("run/precious")).unwrap();
    sandbox.run([&args[..], &["--force"]].concat()).expect(0, &[]);
    let first = fs::read(sandbox.path("run/model.json")).unwrap();
    sandbox.run(args).expect(5, &["exists already", "--force"]);
    sandbox.run([&args[..], &["--force"]].concat()).expect(0, &[]);
    assert_eq!(fs::read(sandbox.path("run/model.json")).unwrap(), first);
    assert_eq!(sandbox.names(), ["data", "run"]);
}

/// A tiny file system that goes away with this.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    fn new(at: &'a Path, options: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let ran = Command::new("mount").args(["-t", "tmpfs", "-o", options, "none"]).arg(at).output();
        if ran.is_ok_and(|output| output.status.success()) {
            return Some(Self(at));
        }
        eprintln!("skipped: this user may not mount a tmpfs");
        None
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_leaves_nothing_half_written() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("data", 2, 6);
    let small = sandbox.path("small");
    let Some(_mount) = Mount::new(&small, "size=128k") else { return };
    let args = ["fit", "--depth", "head", "data", "--control-budget", "0", "--out", "small/run"];
    sandbox.run(args).expect(5, &["no space left"]);
    assert_eq!(fs::read_dir(&small).unwrap().count(), 0);
}

#[test]
fn a_full_cache_is_told_and_gone_without() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("data", 2, 20);
    let small = sandbox.path("small");
    let Some(_mount) = Mount::new(&small, "size=8k") else { return };
    let args = ["fit", "--depth", "head", "data", "--control-budget", "0", "--out", "run", "--cache", "small"];
    let ran = sandbox.run(args).expect(0, &["warning: nothing more is cached", "no space left", "--no-cache"]);
    assert_eq!(ran.stderr.matches("nothing more is cached").count(), 1, "{}", ran.stderr);
    assert!(sandbox.path("run/model.json").exists());
}

#[test]
fn a_read_only_folder_is_found_before_the_work() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("data", 2, 6);
    let locked = sandbox.path("locked");
    let Some(_mount) = Mount::new(&locked, "ro,size=64k") else { return };
    let ran = sandbox.run(["fit", "--depth", "head", "data", "--out", "locked/run"]).expect(5, &["locked", "--out"]);
    assert!(!ran.stderr.contains("inspecting"), "{}", ran.stderr);
}

#[test]
fn a_disk_that_fills_under_a_checkpoint_is_said_and_gone_on_from() {
    let sandbox = Sandbox::new();
    sandbox.digits("digits", 2, 14, 2);
    let small = sandbox.path("small");
    let Some(_mount) = Mount::new(&small, "size=3m") else { return };
    let flags = ["--depth", "half", "--epochs", "2", "--seeds", "1", "--folds", "2", "--control-budget", "0"];
    let args = |out: &'static str| ["fit", "digits", "--out", out].into_iter().chain(flags);
    sandbox.run(args("whole")).expect(0, &[]);
    // The first checkpoint fits, the second beside it does not.
    sandbox
        .run(args("small/run").chain(["--checkpoint-every", "0"]))
        .expect(5, &["no space left", "--resume small/run"]);
    assert!(!sandbox.path("small/run").exists());
    Command::new("mount").args(["-o", "remount,size=64m"]).arg(&small).status().unwrap();
    sandbox.run(["fit", "--resume", "small/run", "--checkpoint-every", "0"]).expect(0, &[]);
    for file in ["model.safetensors", "predictions.csv", "curves.csv"] {
        let read = |run: &str| fs::read(sandbox.path(run).join(file)).unwrap();
        assert!(read("whole") == read("small/run"), "{file} after the disk was full");
    }
}
