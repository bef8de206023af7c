//! What the tests against reference implementations share: the formula of the fixtures, comparisons, the test data.

#![allow(dead_code, clippy::print_stderr, reason = "each test uses its part; a skipped test says so")]

use std::path::{Path, PathBuf};

use burn::prelude::*;
use serde_json::Value;

/// `u` of the fixtures' formula: splitmix64 of fnv1a64(name) + i, as 24 bits in [0, 1).
pub fn uniform(name: &str) -> impl Fn(u64) -> f64 {
    let hash =
        name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    move |i| {
        let mut z = hash.wrapping_add(i).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 24)
    }
}

/// The formula's numbers of this name.
pub fn fill(name: &str, count: usize, value: impl Fn(f64) -> f64) -> Vec<f32> {
    let u = uniform(name);
    (0..count as u64).map(|i| value(u(i)) as f32).collect()
}

/// `noise` of the scripts `logistic.py` and `targets.py`: a hash of three numbers, in [0, 1).
pub fn noise(seed: u32, i: usize, j: usize) -> f64 {
    let mut x = seed
        .wrapping_mul(2_654_435_761)
        .wrapping_add((i as u32).wrapping_mul(40503))
        .wrapping_add((j as u32).wrapping_mul(1_103_515_245))
        .wrapping_add(12345);
    for _ in 0..3 {
        x ^= x >> 16;
        x = x.wrapping_mul(0x045D_9F3B);
    }
    f64::from(x >> 16) / 65536.0
}

/// A fixture beside the tests.
pub fn fixture(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The numbers of a JSON array, however nested.
pub fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}

/// A tensor's numbers.
pub fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().try_to_vec::<f32>().unwrap().into_iter().map(f64::from).collect()
}

/// Every number within `tolerance` of the reference, in units of `unit`.
#[track_caller]
pub fn close(what: &str, ours: &[f64], reference: &[f64], unit: f64, tolerance: f64) {
    assert_eq!(ours.len(), reference.len(), "{what}");
    for (i, (a, b)) in ours.iter().zip(reference).enumerate() {
        assert!((a - b).abs() <= tolerance * unit, "{what}[{i}]: {a} against {b}, unit {unit}, tolerance {tolerance}");
    }
}

/// The largest magnitude.
pub fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, value| most.max(value.abs()))
}

/// The elements that fixtures keep of a map.
pub fn picks(flat: &[f64]) -> Vec<f64> {
    let n = flat.len();
    [0, n / 3, n / 2, n - 1].map(|i| flat[i]).to_vec()
}

/// Mean and standard deviation.
pub fn moments(flat: &[f64]) -> [f64; 2] {
    let mean = flat.iter().sum::<f64>() / flat.len() as f64;
    let variance = flat.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / flat.len() as f64;
    [mean, variance.sqrt()]
}

/// The folder of test data, where there is one.
pub fn test_data() -> Option<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("ENGRAFT_DATA").map_or_else(default, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no folder of test data at {} (set ENGRAFT_DATA)", folder.to_string_lossy());
    None
}
