//! Sound files, damaged at random: whatever comes of it, reading ends soon and never panics.

#![allow(clippy::disallowed_methods, reason = "a panic is to be seen here")]
#![allow(clippy::print_stdout, reason = "how long it took")]

use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant};

use engraft_weights::{Precision, Tensor, Weights, read, write};

/// Damaged files of each format.
const CASES: u64 = 10_000;

/// The longest that one may take.
const LIMIT: Duration = Duration::from_secs(2);

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

/// Numbers that are random enough, and the same every time (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// A number where lengths and counts go wrong.
    fn extreme(&mut self) -> u64 {
        let power = 1u64 << self.below(64);
        [0, u64::MAX, power, power - 1, power.wrapping_neg(), self.below(300) as u64][self.below(6)]
    }
}

fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len());
    let longest = 1 << random.below(7);
    let run = (1 + random.below(longest)).min(bytes.len() - at);
    match random.below(12) {
        0..=2 => bytes[at] ^= 1 << random.below(8),
        3 => bytes[at] = random.next() as u8,
        4 => bytes[at] = bytes[random.below(bytes.len())],
        5 => drop(bytes.drain(at..at + run)),
        6 => {
            let new: Vec<u8> = (0..run).map(|_| random.next() as u8).collect();
            drop(bytes.splice(at..at, new));
        }
        7 => {
            let copy = bytes[at..at + run].to_vec();
            let to = random.below(bytes.len());
            drop(bytes.splice(to..to, copy));
        }
        8 => {
            let copy = bytes[at..at + run].to_vec();
            let to = random.below(bytes.len() - run + 1);
            bytes[to..to + run].copy_from_slice(&copy);
        }
        9 if random.below(4) == 0 => bytes.truncate(at),
        kind => {
            let width = if kind == 10 { 4 } else { 8 };
            // Most fields are aligned.
            let at = if random.below(2) == 0 { at / width * width } else { at };
            let width = width.min(bytes.len() - at);
            bytes[at..at + width].copy_from_slice(&random.extreme().to_le_bytes()[..width]);
        }
    }
}

/// Reads damaged copies of files, all of one format, each as often.
fn attack(format: &str, files: &[Vec<u8>]) {
    let start = Instant::now();
    let (mut read_well, mut slowest) = (0, (Duration::ZERO, 0));
    for case in 0..CASES {
        let mut random = Random(case);
        let mut bytes = files[case as usize % files.len()].clone();
        for _ in 0..=random.below(4) {
            if !bytes.is_empty() {
                damage(&mut bytes, &mut random);
            }
        }
        let begun = Instant::now();
        let result = catch_unwind(|| read(&bytes));
        let time = begun.elapsed();
        assert!(time < LIMIT, "{format}, case {case}: {time:?}");
        let Ok(result) = result else { panic!("{format}, case {case}: reading panicked") };
        read_well += usize::from(result.is_ok());
        slowest = slowest.max((time, case));
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default().trim();
    println!(
        "{format}: {CASES} in {:?}, {read_well} read well, slowest {:?} (case {}), the process had {peak}",
        start.elapsed(),
        slowest.0,
        slowest.1
    );
    assert!(read_well < CASES as usize, "{format}: nothing was damaged");
}

/// An archive without checksums, which are optional: damage gets as far as the content of its entries.
fn unchecked(name: &str) -> Vec<u8> {
    let mut bytes = fixture(name);
    let headers: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(b"PK\x01\x02")).collect();
    for at in headers {
        bytes[at + 16..at + 20].fill(0);
    }
    read(&bytes).unwrap();
    bytes
}

#[test]
fn damaged_safetensors() {
    let mut weights = Weights::default();
    for (name, shape) in [("a.weight", vec![2, 3]), ("a.bias", vec![2]), ("count", vec![])] {
        let values = (0..shape.iter().product::<usize>()).map(|i| i as f32).collect();
        weights.tensors.insert(name.into(), Tensor { shape, values, precision: Precision::F32 });
    }
    weights.metadata.insert("one".into(), "1".into());
    attack("safetensors", &[write(&weights)]);
}

#[test]
fn damaged_pytorch() {
    let names = ["zip.pt", "views.pt", "nested.pt", "kinds.pt", "deflated.pt", "parameter.pt"];
    let mut files: Vec<Vec<u8>> = names.iter().map(|name| unchecked(name)).collect();
    files.extend(["zip.pt", "ema.pt"].map(fixture));
    attack("PyTorch", &files);
}

#[test]
fn damaged_old_pytorch() {
    attack("PyTorch before 1.6", &["legacy.th", "views_legacy.th", "kinds_legacy.th"].map(fixture));
}

#[test]
fn damaged_hdf5() {
    attack("HDF5", &["tf.h5", "th.h5", "split.h5", "packed.h5", "whole.h5", "numbered.weights.h5"].map(fixture));
}

#[test]
fn damaged_keras() {
    let mut files = ["model.keras", "unnamed.keras"].map(unchecked).to_vec();
    files.push(fixture("model.keras"));
    attack("Keras archive", &files);
}
