//! A cache that cannot be used: one warning, and the work is done without it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::sandbox::{Ran, Sandbox, make_pipe};

const FIT: [&str; 7] = ["fit", "data", "--depth", "head", "--control-budget", "0.002", "--out"];
const WARNING: &str = "warning: nothing more is cached";

fn fit(sandbox: &Sandbox, run: &str, more: &[&str]) -> Ran {
    sandbox.run(FIT.iter().copied().chain([run]).chain(more.iter().copied()))
}

fn model(sandbox: &Sandbox, run: &str) -> Vec<u8> {
    fs::read(sandbox.path(run).join("model.safetensors")).unwrap()
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Data and what a fit without any cache makes of it.
fn prepared() -> (Sandbox, Vec<u8>) {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("data", 2, 14);
    fit(&sandbox, "plain", &["--no-cache"]).expect(0, &[]);
    assert!(!sandbox.path("cache").exists());
    let plain = model(&sandbox, "plain");
    (sandbox, plain)
}

#[test]
fn what_cannot_be_written_is_told_once_with_the_right_flags() {
    let (sandbox, plain) = prepared();
    fs::write(sandbox.path("file"), b"mine").unwrap();
    symlink("nowhere/at/all", sandbox.path("dangling")).unwrap();
    symlink("circle", sandbox.path("circle")).unwrap();
    for kind in ["features", "inspections", "controls"] {
        fs::create_dir(sandbox.path(format!("no-{kind}"))).unwrap();
        fs::write(sandbox.path(format!("no-{kind}")).join(kind), b"mine").unwrap();
    }
    let places =
        ["file", "file/below", "dangling", "circle", "/proc/none", "/dev/full", "no-features", "no-inspections"];
    for place in places.into_iter().chain(["no-controls"]) {
        let run = format!("run-{}", place.replace('/', "-"));
        let ran = fit(&sandbox, &run, &["--cache", place]).expect(0, &[WARNING, "--cache DIR", "--no-cache"]);
        assert_eq!(ran.stderr.matches(WARNING).count(), 1, "{place}: {}", ran.stderr);
        assert!(!ran.stderr.contains("--out"), "{place}: {}", ran.stderr);
        assert!(model(&sandbox, &run) == plain, "{place}");
        if !place.contains("-inspections") && !place.contains("-controls") {
            let out = format!("{run}.npy");
            sandbox.run(["embed", "data", "-o", &out, "--cache", place]).expect(0, &[WARNING, "--no-cache"]);
        }
    }
    assert_eq!(fs::read(sandbox.path("file")).unwrap(), b"mine");
    assert_eq!(fs::read(sandbox.path("no-features/features")).unwrap(), b"mine");
    assert!(sandbox.path("dangling").is_symlink());
}

#[test]
fn without_a_home_nothing_is_cached_and_that_is_said() {
    let (sandbox, plain) = prepared();
    for (home, said) in [(None, true), (Some(""), true), (Some("/proc/none"), false)] {
        let run = format!("run-{}", home.is_some_and(|home| home.is_empty()));
        let mut command = sandbox.command(FIT.iter().copied().chain([run.as_str(), "--force"]));
        command.env_remove("ENGRAFT_CACHE").env_remove("XDG_CACHE_HOME").env_remove("HOME");
        if let Some(home) = home {
            command.env("HOME", home);
        }
        let ran: Ran = command.output().unwrap().into();
        let ran = ran.expect(0, &["warning: nothing", "--cache DIR"]);
        assert_eq!(ran.stderr.contains("HOME"), said, "{}", ran.stderr);
        assert!(model(&sandbox, &run) == plain);
    }
    let mut command = sandbox.command(["cache", "show"]);
    command.env_remove("ENGRAFT_CACHE").env_remove("XDG_CACHE_HOME").env_remove("HOME");
    let ran: Ran = command.output().unwrap().into();
    ran.expect(2, &["there is no cache"]);
}

#[test]
fn damage_in_any_file_is_computed_again() {
    let (sandbox, plain) = prepared();
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 8] = [
        ("empty", |file| fs::write(file, b"").unwrap()),
        ("garbage", |file| fs::write(file, [0xA5; 5000]).unwrap()),
        ("cut", |file| {
            let bytes = fs::read(file).unwrap();
            fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("flipped", |file| {
            let mut bytes = fs::read(file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(file, bytes).unwrap();
        }),
        ("a folder", |file| {
            fs::remove_file(file).unwrap();
            fs::create_dir(file).unwrap();
            fs::write(file.join("inside"), b"mine").unwrap();
        }),
        ("a link to nothing", |file| {
            fs::remove_file(file).unwrap();
            symlink("nowhere", file).unwrap();
        }),
        ("a named pipe", |file| {
            fs::remove_file(file).unwrap();
            make_pipe(file);
        }),
        ("huge", |file| fs::File::create(file).unwrap().set_len(200 << 30).unwrap()),
    ];
    for (name, damage) in damages {
        let _ = fs::remove_dir_all(sandbox.path("cache"));
        fit(&sandbox, "run", &["--force"]).expect(0, &[]);
        let cached = files(&sandbox.path("cache"));
        for kind in ["features", "inspections", "controls"] {
            assert!(
                cached.iter().any(|file| file.starts_with(sandbox.path("cache").join(kind))),
                "no {kind}: {cached:?}"
            );
        }
        cached.iter().for_each(|file| damage(file));
        sandbox.run(["embed", "data", "-o", "x.npy", "--force"]).expect(0, &["damaged or unreadable"]);
        let ran = fit(&sandbox, "run", &["--force"]).expect(0, &[]);
        assert!(ran.stderr.matches(WARNING).count() <= 1, "{name}: {}", ran.stderr);
        assert!(model(&sandbox, "run") == plain, "{name}");
        sandbox.run(["cache", "show"]).expect(0, &[]);
        sandbox.run(["cache", "clear"]).expect(0, &[]);
        if name == "a folder" {
            assert!(cached.iter().all(|file| file.join("inside").exists()), "what is not the cache's stays");
        } else {
            assert_eq!(files(&sandbox.path("cache")), [] as [PathBuf; 0], "{name}");
        }
    }
}

#[test]
fn a_cache_without_permission_is_gone_without() {
    use std::os::unix::fs::PermissionsExt;
    let (sandbox, plain) = prepared();
    fit(&sandbox, "first", &[]).expect(0, &[]);
    let folders: Vec<PathBuf> =
        files(&sandbox.path("cache")).iter().map(|file| file.parent().unwrap().to_owned()).collect();
    for mode in [0o000, 0o500] {
        folders.iter().for_each(|folder| fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap());
        let ran = fit(&sandbox, "run", &["--force", "--seed", "1"]);
        folders.iter().for_each(|folder| fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap());
        let ran = ran.expect(0, &[]);
        // For root no permission is missing.
        assert!(ran.stderr.matches(WARNING).count() <= 1, "{}", ran.stderr);
    }
    fit(&sandbox, "again", &[]).expect(0, &[]);
    assert!(model(&sandbox, "again") == plain);
}
