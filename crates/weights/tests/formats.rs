//! Files that the real PyTorch, h5py and Keras wrote.

#![allow(clippy::disallowed_methods, reason = "a panic is to be seen here")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use engraft_weights::{Format, Precision, Weights, format, read};
use serde_json::Value;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(name)).unwrap()
}

/// The folder of test data, if there is one.
fn shared_data() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("ENGRAFT_DATA").map_or(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no folder of test data at {} (set ENGRAFT_DATA)", folder.display());
    None
}

fn real(folder: &Path, name: &str) -> Weights {
    let bytes = std::fs::read(folder.join("weights").join(name)).unwrap();
    let start = Instant::now();
    let weights = read(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    eprintln!("{name}: {} tensors, {:.1} MB in {:?}", weights.tensors.len(), bytes.len() as f64 / 1e6, start.elapsed());
    assert!(weights.tensors.values().flat_map(|tensor| &tensor.values).all(|value| value.is_finite()), "{name}");
    weights
}

#[test]
fn every_fixture_gives_what_its_writer_put_in() {
    let expected: Value = serde_json::from_slice(&fixture("expected.json")).unwrap();
    for (name, expected) in expected.as_object().unwrap() {
        let weights = read(&fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let names: Vec<&String> = weights.tensors.keys().collect();
        let mut wanted: Vec<&String> = expected["tensors"].as_object().unwrap().keys().collect();
        wanted.sort();
        assert_eq!(names, wanted, "{name}");
        for (tensor, expected) in expected["tensors"].as_object().unwrap() {
            let shape: Vec<usize> = serde_json::from_value(expected["shape"].clone()).unwrap();
            let values: Vec<f32> = serde_json::from_value(expected["values"].clone()).unwrap();
            assert_eq!(weights.tensors[tensor].shape, shape, "{name}: {tensor}");
            assert_eq!(weights.tensors[tensor].values, values, "{name}: {tensor}");
        }
        for (key, value) in expected["metadata"].as_object().unwrap() {
            assert_eq!(weights.metadata.get(key).map(String::as_str), value.as_str(), "{name}: {key}");
        }
        let says = |key: &str| key.starts_with("pytorch.") || key == "keras.kernels_rotated";
        let said: Vec<&String> = weights.metadata.keys().filter(|key| says(key)).collect();
        assert!(said.iter().all(|key| expected["metadata"].get(key).is_some()), "{name}: {said:?}");
    }
}

#[test]
fn formats_are_told_apart() {
    for (name, expected) in [
        ("zip.pt", Format::PyTorch),
        ("legacy.th", Format::PyTorchLegacy),
        ("th.h5", Format::KerasH5),
        ("numbered.weights.h5", Format::KerasH5),
        ("model.keras", Format::KerasZip),
    ] {
        let bytes = fixture(name);
        assert_eq!(format(&bytes), Some(expected), "{name}");
        assert_eq!(read(&bytes).unwrap().format, expected, "{name}");
    }
}

#[test]
fn precisions_are_kept() {
    let tensors = read(&fixture("kinds.pt")).unwrap().tensors;
    for (name, precision) in [
        ("half", Precision::F16),
        ("bfloat", Precision::Bf16),
        ("double", Precision::F64),
        ("scalar", Precision::F32),
        ("bool", Precision::Integer),
    ] {
        assert_eq!(tensors[name].precision, precision, "{name}");
    }
}

#[test]
fn layers_are_listed_in_their_order() {
    for name in ["model.keras", "whole.h5"] {
        let metadata = read(&fixture(name)).unwrap().metadata;
        let layers: Vec<[String; 2]> = serde_json::from_str(&metadata["keras.layers"]).unwrap();
        let found: Vec<String> = layers.iter().map(|layer| layer.join(" ")).collect();
        assert_eq!(found[..3], ["picture InputLayer", "first Conv2D", "norm BatchNormalization"], "{name}");
        assert_eq!(found.last().unwrap(), "head Dense", "{name}");
        assert!(found.contains(&"inside Conv2D".to_owned()), "{name}");
    }
}

#[test]
fn the_real_squeezenet_is_the_same_in_both_formats() {
    let Some(folder) = shared_data() else { return };
    let pickled = real(&folder, "squeezenet1_0_torchvision.pth");
    let safe = real(&folder, "squeezenet1_0_torchvision.safetensors");
    assert_eq!(pickled.tensors, safe.tensors);
    assert_eq!(pickled.tensors.len(), 52);
}

#[test]
fn real_files_of_old_pytorch_are_read() {
    let Some(folder) = shared_data() else { return };
    for (name, tensors, parameters) in [("resnet20-12fca82f.th", 97, 269_722), ("resnet32-d509ac18.th", 157, 464_154)] {
        let weights = real(&folder, name);
        assert_eq!(weights.metadata["pytorch.key"], "state_dict");
        assert_eq!(weights.metadata["pytorch.prefix"], "module.");
        let running = |name: &str| name.contains("running_") || name.contains("num_batches");
        let learned = weights.tensors.iter().filter(|(name, _)| !running(name));
        assert_eq!(learned.map(|(_, tensor)| tensor.values.len()).sum::<usize>(), parameters, "{name}");
        let read = weights.tensors.keys().filter(|name| !name.contains("num_batches")).count();
        assert_eq!(read, tensors, "{name}");
    }
}

#[test]
fn the_real_keras_squeezenet_is_the_same_in_both_orders() {
    let Some(folder) = shared_data() else { return };
    let tensorflow = real(&folder, "squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5");
    let theano = real(&folder, "squeezenet_weights_th_dim_ordering_th_kernels_notop.h5");
    assert_eq!(tensorflow.metadata["keras.kernel_order"], "tensorflow");
    assert_eq!(theano.metadata["keras.kernel_order"], "theano");
    assert_eq!(tensorflow.tensors, theano.tensors);
    assert_eq!(tensorflow.tensors["fire2/squeeze1x1/kernel"].shape, [1, 1, 64, 16]);
}

#[test]
fn real_keras_models_are_read() {
    let Some(folder) = shared_data() else { return };
    let vww = real(&folder, "vww_96.h5");
    assert_eq!(vww.metadata["keras.input"], "[null,96,96,3]");
    assert_eq!(vww.metadata["keras.batch_norm_epsilon"], "0.001");
    assert_eq!(vww.tensors["depthwise_conv2d/depthwise_kernel"].shape, [3, 3, 8, 1]);
    let resnet = real(&folder, "pretrainedResnet.h5");
    assert_eq!(resnet.metadata["keras.input"], "[null,32,32,3]");
    assert_eq!(resnet.tensors["dense/kernel"].shape, [64, 10]);
    assert!(!resnet.tensors.keys().any(|name| name.contains("Adam")));
}
