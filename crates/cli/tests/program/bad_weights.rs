//! Weights and cards that cannot be used.

use std::fs;

use crate::sandbox::Sandbox;

const FIT: [&str; 10] =
    ["fit", "--depth", "head", "data", "--control-budget", "0", "--out", "run", "--base", "base.safetensors"];

/// The embedded base as a file, with its card beside it.
fn with_base() -> (Sandbox, Vec<u8>) {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("data", 2, 6);
    let assets = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../engraft/assets");
    let bytes = fs::read(assets.join("glyphs.safetensors")).unwrap();
    let card = fs::read_to_string(assets.join("glyphs.toml")).unwrap();
    let card: String =
        card.lines().filter(|line| !line.starts_with("sha256")).map(|line| format!("{line}\n")).collect();
    fs::write(sandbox.path("base.toml"), card).unwrap();
    (sandbox, bytes)
}

fn header(bytes: &[u8]) -> (serde_json::Value, &[u8]) {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    (serde_json::from_slice(&bytes[8..8 + length]).unwrap(), &bytes[8 + length..])
}

fn with_header(header: &serde_json::Value, data: &[u8]) -> Vec<u8> {
    let mut text = header.to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    [&(text.len() as u64).to_le_bytes()[..], &text, data].concat()
}

#[track_caller]
fn refused(sandbox: &Sandbox, bytes: &[u8], parts: &[&str]) {
    fs::write(sandbox.path("base.safetensors"), bytes).unwrap();
    sandbox.run(FIT).expect(4, parts);
    assert!(!sandbox.names().iter().any(|name| name.contains("run")), "{:?}", sandbox.names());
}

#[test]
fn damaged_files_are_refused() {
    let (sandbox, whole) = with_base();
    refused(&sandbox, b"", &["an empty file"]);
    refused(&sandbox, &whole[..whole.len() / 2], &["cannot be read"]);
    refused(&sandbox, &whole[..100], &["truncated"]);
    let mut long = whole.clone();
    long[..8].copy_from_slice(&(100u64 << 20).to_le_bytes());
    refused(&sandbox, &long, &["header is too long"]);
    refused(&sandbox, b"PK\x03\x04 a zip archive of tensors", &["archive is damaged"]);

    let (mut overlapping, data) = header(&whole);
    let names: Vec<String> =
        overlapping.as_object().unwrap().keys().filter(|k| *k != "__metadata__").cloned().collect();
    overlapping[&names[1]]["data_offsets"] = overlapping[&names[0]]["data_offsets"].clone();
    refused(&sandbox, &with_header(&overlapping, data), &["header is damaged"]);
    sandbox
        .run(["fit", "--depth", "head", "data", "--base", "nowhere.safetensors", "--out", "run"])
        .expect(4, &["glyphs", "nowhere"]);
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let (sandbox, whole) = with_base();
    let (mut changed, data) = header(&whole);
    let fields = changed.as_object_mut().unwrap();
    let tensor = fields.remove("conv1.weight").unwrap();
    fields.insert("conv_stem.weight".into(), tensor);
    refused(
        &sandbox,
        &with_header(&changed, data),
        &["1 missing: `conv1.weight` [24, 1, 3, 3]", "1 unexpected: `conv_stem.weight`"],
    );

    let (mut changed, data) = header(&whole);
    changed["conv1.weight"]["shape"] = serde_json::json!([1, 24, 3, 3]);
    refused(&sandbox, &with_header(&changed, data), &["`conv1.weight` expected [24, 1, 3, 3], found [1, 24, 3, 3]"]);

    // Both halves of a half: NaN.
    let (head, _) = header(&whole);
    let at = head["bn1.bias"]["data_offsets"][0].as_u64().unwrap() as usize;
    let start = whole.len() - data.len() + at;
    let mut nan = whole.clone();
    nan[start..start + 2].copy_from_slice(&0x7e00u16.to_le_bytes());
    refused(&sandbox, &nan, &["1 not finite: `bn1.bias`"]);
}

#[test]
fn other_precisions_are_read() {
    let (sandbox, whole) = with_base();
    let (mut head, data) = header(&whole);
    // The same network in f32: twice the bytes, the same numbers.
    let mut wide = Vec::new();
    let mut entries: Vec<(String, u64, u64)> = Vec::new();
    for (name, tensor) in head.as_object().unwrap().iter().filter(|(name, _)| *name != "__metadata__") {
        let offsets = &tensor["data_offsets"];
        entries.push((name.clone(), offsets[0].as_u64().unwrap(), offsets[1].as_u64().unwrap()));
        assert_eq!(tensor["dtype"], "F16");
    }
    entries.sort_by_key(|entry| entry.1);
    for (name, from, to) in entries {
        let start = wide.len();
        for pair in data[from as usize..to as usize].chunks_exact(2) {
            let half = u16::from_le_bytes(pair.try_into().unwrap());
            wide.extend(half_to_f32(half).to_le_bytes());
        }
        head[&name]["dtype"] = "F32".into();
        head[&name]["data_offsets"] = serde_json::json!([start, wide.len()]);
    }
    let run = |bytes: &[u8]| {
        fs::write(sandbox.path("base.safetensors"), bytes).unwrap();
        let ran = sandbox.run(FIT.iter().chain(&["--json", "--force"])).expect(0, &[]);
        ran.json()["log_loss"]["mean"].as_f64().unwrap()
    };
    assert_eq!(run(&whole), run(&with_header(&head, &wide)));
}

fn half_to_f32(half: u16) -> f32 {
    let (sign, exponent, fraction) = (u32::from(half >> 15) << 31, i32::from(half >> 10 & 31), f32::from(half & 1023));
    let magnitude = match exponent {
        0 => fraction * 2f32.powi(-24),
        _ => (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    };
    f32::from_bits(magnitude.to_bits() | sign)
}

#[test]
fn a_card_must_be_right() {
    let (sandbox, whole) = with_base();
    let card = fs::read_to_string(sandbox.path("base.toml")).unwrap();
    let refuse = |card: &str, parts: &[&str]| {
        fs::write(sandbox.path("base.toml"), card).unwrap();
        refused(&sandbox, &whole, parts);
    };
    refuse(&card.replace("padding", "pading"), &["pading"]);
    refuse(&format!("sha256 = \"{}\"\n{card}", "0".repeat(64)), &["not those of the card"]);
    refuse(
        &card.replace("small_resnet", "mobilenet_v2").replace("channels = 1", "channels = 3"),
        &["mean", "3 values"],
    );
    fs::remove_file(sandbox.path("base.toml")).unwrap();
    fs::write(sandbox.path("base.safetensors"), &whole).unwrap();
    sandbox.run(FIT).expect(0, &["has no card", "small_resnet"]);
}
