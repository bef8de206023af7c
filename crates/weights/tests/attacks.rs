//! Every file of the folder `attacks`, each read in a process of its own, so that its time and memory can be told.

#![allow(clippy::disallowed_methods, reason = "a panic is to be seen here")]
#![allow(clippy::print_stdout, reason = "the child reports so, and the parent prints a table")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The file that a child reads.
const FILE: &str = "ENGRAFT_ATTACK";

/// The fewest files that must be there.
const COUNT: usize = 46;

const SECONDS: u64 = 5;

/// Beyond the file itself, in KiB.
const MEMORY: u64 = 256 << 10;

/// Files that look hostile and do no harm, and why.
const HARMLESS: [(&str, &str); 9] = [
    ("call_result.pt", "what a call gives is an object that nobody looks into, and so is what that gives"),
    ("copied_config.keras", "of a model inside a model nothing is kept twice"),
    ("all_at_once.pt", "every limit is kept, and so is their sum"),
    ("expanded_doubles.pt", "the numbers are within the budget"),
    ("memo.pt", "the memo is a map, so a high number reserves nothing"),
    ("module.keras", "the name of a Python module is text that nobody looks up"),
    ("short_frame.pt", "a frame says how much to read ahead, and nothing is read ahead"),
    ("small_chunks.h5", "the numbers are zeros that were never stored, within the budget"),
    ("wide_config.keras", "a configuration of 4 MB is within the limit"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../attacks")
}

#[test]
fn child() {
    let Some(file) = std::env::var_os(FILE) else { return };
    let bytes = std::fs::read(file).unwrap();
    let start = Instant::now();
    let result = engraft_weights::read(&bytes);
    let time = start.elapsed().as_millis();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB").trim();
    let peak = peak.trim_end_matches("kB").trim();
    let (kind, message) = match &result {
        Ok(weights) => ("read".to_owned(), format!("{} tensors", weights.tensors.len())),
        Err(error) => {
            let shown = format!("{error:?}");
            (shown.split([' ', '{']).next().unwrap_or_default().to_owned(), error.to_string())
        }
    };
    println!("\nreport\t{kind}\t{time}\t{peak}\t{}", message.escape_debug());
}

struct Report {
    kind: String,
    milliseconds: u64,
    /// KiB.
    peak: u64,
    message: String,
}

/// Reads a file in a child process.
fn attacked(file: &Path) -> Result<Report, String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut child = command
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(FILE, file)
        .env("RUST_BACKTRACE", "0")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let start = Instant::now();
    while child.try_wait().map_err(|error| error.to_string())?.is_none() {
        if start.elapsed() > Duration::from_secs(4 * SECONDS) {
            let _ = child.kill();
            let _ = child.wait();
            return Err("it does not end".into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() || err.contains("panicked") {
        return Err(format!("{}: {err}", output.status));
    }
    let fields: Vec<&str> =
        out.lines().find_map(|line| line.strip_prefix("report\t")).ok_or("no report")?.split('\t').collect();
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text}: {error}"));
    Ok(Report {
        kind: fields[0].into(),
        milliseconds: number(fields[1])?,
        peak: number(fields[2])?,
        message: fields[3].into(),
    })
}

/// What the table in the README says must happen.
fn table() -> Vec<(String, String)> {
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let cells = rows.map(|row| row.split(" | ").collect::<Vec<_>>()).filter(|cells| cells.len() == 3);
    cells.skip(1).map(|cells| (cells[0].to_owned(), cells[2].to_owned())).collect()
}

#[test]
fn every_attack_is_refused() {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder().join("files")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= COUNT, "expected at least {COUNT} files, found {}", files.len());
    let table = table();
    let (mut wrong, mut slowest, mut largest) = (Vec::new(), (0, ""), (0, ""));
    let names: Vec<&str> = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    for (file, &name) in files.iter().zip(&names) {
        let report = match attacked(file) {
            Ok(report) => report,
            Err(reason) => {
                wrong.push(format!("{name}: {reason}"));
                continue;
            }
        };
        let Report { kind, milliseconds, peak, message } = &report;
        println!("{name:28} {milliseconds:5} ms {:6.1} MiB  {kind}: {message:.120}", *peak as f64 / 1024.0);
        slowest = slowest.max((*milliseconds, name));
        largest = largest.max((*peak, name));
        let length = std::fs::metadata(file).unwrap().len() / 1024;
        if *milliseconds >= SECONDS * 1000 || *peak >= length + MEMORY {
            wrong.push(format!("{name}: {milliseconds} ms, {peak} KiB"));
        }
        if (kind == "read") != HARMLESS.iter().any(|(harmless, _)| *harmless == name) {
            wrong.push(format!("{name}: {kind}: {message}"));
        }
        match table.iter().find(|(row, _)| row == name) {
            Some((_, must)) if must.split(':').next() == Some(kind) => {}
            Some((_, must)) => wrong.push(format!("{name}: expected {must}; found {kind}: {message}")),
            None => wrong.push(format!("{name}: expected a row in README.md, found none")),
        }
    }
    println!(
        "{} files; slowest {} ms ({}), largest {:.1} MiB ({})",
        files.len(),
        slowest.0,
        slowest.1,
        largest.0 as f64 / 1024.0,
        largest.1
    );
    wrong.extend(
        table.iter().filter(|(row, _)| !names.contains(&row.as_str())).map(|(row, _)| format!("{row}: no such file")),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
