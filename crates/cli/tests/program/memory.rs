//! Memory that is short: little suffices, and what is not to be had is an error with an exit code of the documentation.

use std::process::{Command, Stdio};

use crate::sandbox::{Ran, Sandbox};

/// Runs the binary with at most so many KiB of address space.
fn within(sandbox: &Sandbox, kib: u64, args: &str) -> Ran {
    let line = format!("ulimit -v {kib} && exec {} {args}", env!("CARGO_BIN_EXE_engraft"));
    let mut command = Command::new("sh");
    command.args(["-c", &line]).current_dir(sandbox.path("")).env("ENGRAFT_CACHE", sandbox.path("cache"));
    command.stdin(Stdio::null()).output().unwrap().into()
}

const FIT: &str = "--threads 2 fit data --base glyphs --depth head --control-budget 0 --no-cache --force --out run";

#[test]
fn a_small_fit_needs_little_address_space() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("data", 3, 8);
    within(&sandbox, 400_000, FIT).expect(0, &[]);
}

/// Whatever allocation fails, the exit code is 1 (or that of what the failure was taken for), never that of a signal.
#[test]
fn memory_that_is_not_to_be_had_is_a_failure_and_no_abort() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("data", 3, 8);
    let mut asked = false;
    // A debug build alone takes some 60 MB: with less the kernel does not begin it.
    for kib in (100_000..260_000).step_by(16_000) {
        let ran = within(&sandbox, kib, FIT);
        // Below what the loader of programs needs, the program does not begin.
        if ran.stderr.contains("error while loading shared libraries") {
            continue;
        }
        assert!(matches!(ran.code, Some(0..=5)), "{kib}: {:?}: {}", ran.code, ran.stderr);
        asked |= ran.stderr.contains("memory allocation of ") || ran.stderr.contains("bytes were asked for");
    }
    assert!(asked, "no run was short of memory");
}

/// A training begins anew in the same process with an allocator that keeps what is freed, unless the environment says otherwise.
#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn a_training_has_an_allocator_that_keeps_memory() {
    let sandbox = Sandbox::new();
    sandbox.digits("digits", 3, 8, 2);
    // Every value that the variable had while the training ran; read in the middle of its beginning or end it may be cut off.
    let seen = |own: Option<&str>, out: &str| {
        let mut command = sandbox.command(["fit", "digits", "--depth", "head", "--control-budget", "0", "-o", out]);
        own.map(|own| command.env("GLIBC_TUNABLES", own));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let environment = format!("/proc/{}/environ", child.id());
        let mut seen = std::collections::BTreeSet::new();
        while child.try_wait().unwrap().is_none() {
            let said = std::fs::read(&environment).unwrap_or_default();
            let said = String::from_utf8_lossy(&said).into_owned();
            seen.extend(said.split('\0').find_map(|line| line.strip_prefix("GLIBC_TUNABLES=")).map(str::to_owned));
        }
        assert!(child.wait().unwrap().success());
        seen
    };
    let kept = seen(None, "a");
    // The C library cuts the list at its colons, where it stands.
    assert!(kept.iter().any(|value| value.starts_with("glibc.malloc.mmap_threshold=1073741824")), "{kept:?}");
    let own = seen(Some("glibc.malloc.arena_max=2"), "b");
    assert!(!own.is_empty() && own.iter().all(|value| "glibc.malloc.arena_max=2".starts_with(value)), "{own:?}");
}
