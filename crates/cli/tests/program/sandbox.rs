//! A temporary folder with a cache of its own, and the binary.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub struct Sandbox {
    folder: TempDir,
}

/// What a run of the binary gave.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e} in {}\n{}", self.stdout, self.stderr))
    }

    /// Asserts the exit code, and that stderr holds every part.
    #[track_caller]
    pub fn expect(self, code: i32, parts: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in stderr: {}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Sandbox {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_engraft"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("ENGRAFT_CACHE", self.path("cache"))
            .stdin(Stdio::null());
        command
    }

    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        self.command(args).output().unwrap().into()
    }

    /// The binary as a co-process: it is asked line by line.
    pub fn dialogue<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Dialogue {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Dialogue::new(command.spawn().unwrap())
    }

    /// A small data set of real digits: `train/` with `train` images of each of `classes`, and `test/`.
    pub fn digits(&self, name: &str, classes: usize, train: usize, test: usize) -> PathBuf {
        let root = self.path(name);
        for (split, count) in [("train", train), ("test", test)] {
            for class in 0..classes {
                let from = examples().join(split).join(class.to_string());
                let to = root.join(split).join(class.to_string());
                copy_some(&from, &to, count);
            }
        }
        root
    }

    /// A folder per class without splits.
    pub fn flat_digits(&self, name: &str, classes: usize, each: usize) -> PathBuf {
        let root = self.path(name);
        for class in 0..classes {
            copy_some(&examples().join("train").join(class.to_string()), &root.join(class.to_string()), each);
        }
        root
    }

    /// Names in the sandbox's folder, hidden ones too, but the cache.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name != "cache")
            .collect();
        names.sort();
        names
    }
}

/// A running binary that answers lines as they come.
pub struct Dialogue {
    pub child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Dialogue {
    pub fn new(mut child: Child) -> Self {
        let (send, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Self { input: child.stdin.take(), child, lines }
    }

    /// The next line of its output, while its input stays open.
    #[track_caller]
    pub fn hear(&mut self) -> String {
        self.lines.recv_timeout(Duration::from_secs(60)).expect("an answer while the input pauses")
    }

    /// Writes a line, and gives the line that is answered.
    #[track_caller]
    pub fn ask(&mut self, line: &str) -> String {
        self.say(&format!("{line}\n"));
        self.hear()
    }

    pub fn say(&mut self, text: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        input.flush().unwrap();
    }

    /// Closes its input; the exit code, the lines that still came, and what it said.
    pub fn end(mut self) -> Ran {
        drop(self.input.take());
        let code = self.child.wait().unwrap().code();
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        Ran { code, stdout: self.lines.iter().map(|line| line + "\n").collect(), stderr }
    }
}

/// Sends a signal (`-TERM`).
pub fn signal(child: &Child, name: &str) {
    Command::new("kill").arg(name).arg(child.id().to_string()).status().unwrap();
}

/// The signal of Ctrl-C; where these tests run in the background of a script, which ignores it, the one like it.
pub fn ctrl_c() -> &'static str {
    let ignored = signals_of("self", "SigIgn:").unwrap_or(0);
    if ignored & 2 == 0 { "-INT" } else { "-TERM" }
}

/// Waits until the binary has begun to listen for signals.
#[track_caller]
pub fn listens(child: &Child) {
    const TERM: u64 = 1 << 14;
    for _ in 0..2000 {
        if signals_of(&child.id().to_string(), "SigCgt:").is_none_or(|caught| caught & TERM != 0) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it does not listen");
}

fn signals_of(process: &str, field: &str) -> Option<u64> {
    let status = fs::read_to_string(Path::new("/proc").join(process).join("status")).ok()?;
    u64::from_str_radix(status.lines().find_map(|line| line.strip_prefix(field))?.trim(), 16).ok()
}

/// Waits for the end, which must come within a second of now; a busy machine is given some more.
#[track_caller]
pub fn ends_within_a_second(child: &mut Child) -> Option<i32> {
    let asked = Instant::now();
    while asked.elapsed() < Duration::from_secs(20) {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(asked.elapsed() < Duration::from_secs(2), "after {:?}", asked.elapsed());
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    panic!("it does not end");
}

/// Runs `mkfifo`.
pub fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn copy_some(from: &Path, to: &Path, count: usize) {
    if count == 0 {
        return;
    }
    fs::create_dir_all(to).unwrap();
    let mut files: Vec<PathBuf> = fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in &files[..count] {
        fs::copy(file, to.join(file.file_name().unwrap())).unwrap();
    }
}

/// The digits that the repository carries.
pub fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits")
}

/// The folder of test data, where there is one.
pub fn shared_data() -> Option<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("ENGRAFT_DATA").map_or_else(default, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no folder of test data at {} (set ENGRAFT_DATA)", folder.display());
    None
}

/// A report without what depends on the clock.
pub fn without_timings(mut report: serde_json::Value) -> serde_json::Value {
    fn strip(value: &mut serde_json::Value) {
        if let Some(fields) = value.as_object_mut() {
            fields.retain(|name, _| !["seconds", "images_per_second", "peak_memory_mb"].contains(&name.as_str()));
            fields.values_mut().for_each(strip);
        } else if let Some(items) = value.as_array_mut() {
            items.iter_mut().for_each(strip);
        }
    }
    strip(&mut report);
    report
}
