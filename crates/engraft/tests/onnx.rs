//! ONNX models as bases: against onnxruntime, against hostile files, and against files with flipped bytes.

#![cfg(feature = "onnx")]
#![allow(clippy::disallowed_methods, reason = "tests write where they like")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use engraft::bases::OnnxModel;
use engraft::error::Error;
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;
use serde::Deserialize;

/// What onnxruntime says of a model.
#[derive(Deserialize)]
struct Expected {
    size: [usize; 2],
    image: Vec<f32>,
    output: String,
    features: Vec<f32>,
    logits: Option<Vec<f32>>,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx")
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(name).with_extension("onnx")).unwrap()
}

fn expected() -> BTreeMap<String, Expected> {
    serde_json::from_slice(&std::fs::read(fixtures().join("expected.json")).unwrap()).unwrap()
}

fn open(bytes: &[u8], output: Option<&str>, size: Option<[usize; 2]>) -> Result<OnnxModel, Error> {
    OnnxModel::open(bytes, output, size, Path::new("model.onnx"))
}

fn refusal(bytes: &[u8], output: Option<&str>, size: Option<[usize; 2]>) -> String {
    match open(bytes, output, size) {
        Err(Error::Weights(problem)) => problem.to_string(),
        other => panic!("{other:?}"),
    }
}

fn close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(1f32, |scale, value| scale.max(value.abs()));
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= 1e-4 * scale, "number {index}: {found} instead of {expected}");
    }
}

#[test]
fn features_and_logits_are_those_of_onnxruntime() {
    for (name, expected) in expected() {
        let size = (name == "symbolic").then_some(expected.size);
        let model = open(&fixture(&name), None, size).unwrap();
        let input = model.input();
        assert_eq!([input.height, input.width], expected.size.map(Some), "{name}");
        assert_eq!(format!("{:?}", input.layout) == "Nhwc", name == "nhwc");
        assert_eq!(model.output().name, expected.output, "{name}: {}", model.why());
        assert_eq!(model.columns(), 8);
        close(&model.row(&expected.image).unwrap(), &expected.features);
        match (model.classify(&expected.image).unwrap(), &expected.logits) {
            (Some(found), Some(expected)) => close(&found, expected),
            (found, expected) => assert_eq!(found.is_some(), expected.is_some(), "{name}"),
        }
        assert!(model.candidates().iter().any(|candidate| candidate.name == expected.output));
    }
}

#[test]
fn parameters_and_products_are_counted_up_to_the_features() {
    let model = open(&fixture("plain"), None, None).unwrap();
    assert_eq!(model.parameters(), (6 * 27 + 6) + (8 * 54 + 8) + 4 * 8);
    // 10 x 9 places after the first convolution, 5 x 4 after the pooling.
    assert_eq!(model.multiply_adds(), 10 * 9 * 6 * 27 + 5 * 4 * 8 * 54);
}

#[test]
fn one_model_serves_many_threads() {
    let case = &expected()["plain"];
    let model = open(&fixture("plain"), None, None).unwrap();
    let rows: Vec<Vec<f32>> = (0..64).into_par_iter().map(|_| model.row(&case.image).unwrap()).collect();
    assert!(rows.iter().all(|row| *row == rows[0]));
}

#[test]
fn the_size_is_the_models_own() {
    assert!(refusal(&fixture("plain"), None, Some([32, 32])).contains("19 x 17 pixels"));
    assert!(open(&fixture("plain"), None, Some([19, 17])).is_ok());
    let model = open(&fixture("symbolic"), None, None).unwrap();
    assert_eq!(model.input().height, Some(224));
    assert!(model.why().contains("224 x 224"), "{}", model.why());
    let plain = open(&fixture("plain"), None, None).unwrap();
    assert!(plain.row(&[0.0; 12]).is_err());
}

#[test]
fn a_value_is_found_by_its_name_or_that_of_its_node() {
    let case = &expected()["plain"];
    let bytes = fixture("plain");
    let map = open(&bytes, Some("maxpool_2"), None).unwrap();
    assert_eq!((map.output().shape.as_slice(), map.columns()), (&[1, 6, 5, 4][..], 6));
    assert!(map.why().contains("averaged"), "{}", map.why());
    let same = open(&bytes, Some("node_maxpool_2"), None).unwrap();
    assert_eq!(same.row(&case.image).unwrap(), map.row(&case.image).unwrap());
    // The logits do not depend on which value the features are.
    close(&map.classify(&case.image).unwrap().unwrap(), case.logits.as_ref().unwrap());
    let logits = open(&bytes, Some("logits"), None).unwrap();
    assert_eq!(logits.classify(&case.image).unwrap().unwrap(), logits.row(&case.image).unwrap());
    let message = refusal(&bytes, Some("maxpool2"), None);
    assert!(message.contains("maxpool_2"), "{message}");
    let message = refusal(&bytes, Some("fc.weight"), None);
    assert!(message.contains("the same for every image"), "{message}");
}

#[test]
fn numbers_that_are_not_finite_are_an_error() {
    let case = &expected()["plain"];
    let model = open(&fixture("plain"), Some("conv_0"), None).unwrap();
    assert!(model.row(&vec![f32::NAN; case.image.len()]).unwrap_err().to_string().contains("finite"));
}

/// Models that are too large for a fixture: `ENGRAFT_ONNX=folder`, with `name.onnx` and `name.json` side by side.
#[test]
#[ignore = "needs a folder of models"]
#[allow(clippy::print_stdout, reason = "its numbers are the purpose")]
fn larger_models_agree_too() {
    #[derive(Deserialize)]
    struct Case {
        image: Vec<f32>,
        features: Vec<f32>,
        logits: Vec<f32>,
    }
    let folder = PathBuf::from(std::env::var("ENGRAFT_ONNX").expect("ENGRAFT_ONNX"));
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "onnx") {
            continue;
        }
        let case: Case = serde_json::from_slice(&std::fs::read(path.with_extension("json")).unwrap()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let begin = Instant::now();
        let model = OnnxModel::open(&bytes, None, None, &path).unwrap();
        let opened = begin.elapsed();
        let row = model.row(&case.image).unwrap();
        let begin = Instant::now();
        for _ in 0..10 {
            model.row(&case.image).unwrap();
        }
        let each = begin.elapsed() / 10;
        let logits = model.classify(&case.image).unwrap().unwrap();
        let far = |a: &[f32], b: &[f32]| a.iter().zip(b).fold(0f32, |far, (a, b)| far.max((a - b).abs()));
        let most = |a: &[f32]| a.iter().fold(0f32, |most, a| most.max(a.abs()));
        println!(
            "{}: `{}` ({}), {} columns, {} parameters, {} products; opened in {opened:?}, {each:?} a row; off by {:e} of {} and {:e} of {}",
            path.display(),
            model.output().name,
            model.why(),
            model.columns(),
            model.parameters(),
            model.multiply_adds(),
            far(&row, &case.features),
            most(&case.features),
            far(&logits, &case.logits),
            most(&case.logits)
        );
        close(&row, &case.features);
        close(&logits, &case.logits);
    }
}

/// Files that were made to harm, and this test again as a program of its own for each.
fn attacks() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../attacks/onnx/files");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

const ATTACK: &str = "ENGRAFT_ATTACK";

#[test]
fn hostile_files_are_refused_in_little_time_and_memory() {
    if let Some(file) = std::env::var_os(ATTACK) {
        return attacked(Path::new(&file));
    }
    let files = attacks();
    assert!(files.len() >= 15, "{files:?}");
    for file in files {
        let program = std::env::current_exe().unwrap();
        let begin = Instant::now();
        let done = Command::new(program)
            .args(["--exact", "hostile_files_are_refused_in_little_time_and_memory", "--nocapture"])
            .env(ATTACK, &file)
            .output()
            .unwrap();
        let took = begin.elapsed();
        let text = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{}: {text}", file.display());
        assert!(!text.contains("panicked at"), "{}: {text}", file.display());
        assert!(took < Duration::from_secs(5), "{}: {took:?}", file.display());
    }
}

#[allow(clippy::print_stdout, reason = "seen where the test fails or is asked")]
fn attacked(file: &Path) {
    let bytes = std::fs::read(file).unwrap();
    let error = open(&bytes, None, None).expect_err("refused");
    println!("{error}");
    assert!(matches!(error, Error::Weights(_)));
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("peak {peak} kB");
    assert!(peak * 1024 < bytes.len() as u64 + (256 << 20), "{peak} kB");
}

#[test]
fn a_file_that_ends_early_is_refused() {
    let bytes = fixture("plain");
    for end in (0..bytes.len()).step_by(7) {
        assert!(open(&bytes[..end], None, None).is_err(), "{end}");
    }
}

/// Flips, cuts, copies and overwrites bytes; whatever comes out must be an error or a model that runs or fails calmly.
fn mutate(rounds: usize, limit: Duration) -> (usize, usize) {
    let cases = expected();
    let sources: Vec<(Vec<u8>, &Expected)> = cases.iter().map(|(name, case)| (fixture(name), case)).collect();
    let begin = Instant::now();
    let results: Vec<(usize, usize)> = (0..rounds)
        .into_par_iter()
        .map(|round| {
            if begin.elapsed() > limit {
                return (0, 0);
            }
            let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(round as u64);
            let (bytes, case) = &sources[round % sources.len()];
            let mut bytes = bytes.clone();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..bytes.len());
                match random.random_range(0..5) {
                    0 => bytes[at] ^= 1 << random.random_range(0..8),
                    1 => bytes[at] = random.random_range(0..=255),
                    2 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFF][random.random_range(0..5)],
                    3 => drop(bytes.drain(at..(at + 1).min(bytes.len()))),
                    _ => bytes.insert(at, random.random_range(0..=255)),
                }
            }
            match open(&bytes, None, Some(case.size)) {
                Ok(model) => {
                    let input = model.input();
                    let length = input.channels * input.height.unwrap() * input.width.unwrap();
                    // Zeros where the image has changed its size.
                    let image = if length == case.image.len() { case.image.clone() } else { vec![0.0; length] };
                    if let Ok(row) = model.row(&image) {
                        assert_eq!(row.len(), model.columns());
                    }
                    let _ = model.classify(&image);
                    (1, 1)
                }
                Err(_) => (1, 0),
            }
        })
        .collect();
    results.into_iter().fold((0, 0), |(done, opened), (a, b)| (done + a, opened + b))
}

#[test]
#[allow(clippy::print_stdout, reason = "seen where it is asked for")]
fn mutated_files_do_no_harm() {
    let (done, opened) = mutate(10_000, Duration::from_secs(120));
    println!("{done} tried, {opened} opened");
    assert!(opened > 0);
    // A slow machine tries fewer.
    assert!(done > 500, "{done}");
}
