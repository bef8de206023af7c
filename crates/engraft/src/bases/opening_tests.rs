//! Opening bases of images: shards, folders, timm's configuration, and what stands in place of weights.

use super::*;
use crate::bases::vision::dialect::Dialect;
use crate::data::preprocess::Interpolation;
use engraft_weights::Tensor;

fn resnet18() -> Weights {
    let dialect: &'static Dialect = &Architecture::RESNET18.dialects()[0];
    let mut weights = Weights::default();
    for (at, tensor) in Network::expected(Architecture::RESNET18, dialect, 5).into_iter().enumerate() {
        let count = tensor.shape.iter().product();
        let values = (0..count).map(|i| 0.01 + (at + i % 5) as f32 * 0.001).collect();
        weights.tensors.insert(tensor.name, Tensor { shape: tensor.shape, values, precision: Precision::F32 });
    }
    weights
}

fn opened(path: &Path) -> Result<Base> {
    open(&BaseSpec::named(path.to_str().unwrap()), &Device::flex())
}

fn exported(base: &Base) -> std::collections::BTreeMap<String, Tensor> {
    let built = base.staged().unwrap();
    built.manifest.export(&built.network, Precision::F32)
}

#[test]
fn a_base_is_opened_by_its_folder_and_by_shards() {
    let temp = tempfile::tempdir().unwrap();
    let place = |name: &str| temp.path().join(name);
    std::fs::write(place("weights.safetensors"), engraft_weights::write(&resnet18())).unwrap();
    let whole = opened(&place("weights.safetensors")).unwrap();
    assert_eq!(exported(&opened(temp.path()).unwrap()), exported(&whole));
    std::fs::remove_file(place("weights.safetensors")).unwrap();
    let mut halves = [Weights::default(), Weights::default()];
    for (at, (name, tensor)) in resnet18().tensors.into_iter().enumerate() {
        halves[at % 2].tensors.insert(name, tensor);
    }
    for (at, half) in halves.iter().enumerate() {
        std::fs::write(place(&format!("x-0000{}-of-00002.safetensors", at + 1)), engraft_weights::write(half)).unwrap();
    }
    for path in [temp.path().to_owned(), place("x-00002-of-00002.safetensors")] {
        let base = opened(&path).unwrap();
        assert_eq!(exported(&base), exported(&whole), "{path:?}");
        assert_eq!(base.sha256.len(), 64);
    }
    std::fs::remove_file(place("x-00001-of-00002.safetensors")).unwrap();
    let error = opened(&place("x-00002-of-00002.safetensors")).unwrap_err().to_string();
    assert!(error.contains("no x-00001-of-00002.safetensors"), "{error}");
}

#[test]
fn timms_configuration_beside_weights_says_the_input() {
    let temp = tempfile::tempdir().unwrap();
    let place = temp.path().join("model.safetensors");
    std::fs::write(&place, engraft_weights::write(&resnet18())).unwrap();
    let config = r#"{"architecture": "resnet18", "pretrained_cfg": {"input_size": [3, 288, 288], "interpolation": "bicubic",
        "crop_pct": 1.0, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}"#;
    std::fs::write(temp.path().join("config.json"), config).unwrap();
    for path in [place.as_path(), temp.path()] {
        let base = opened(path).unwrap();
        let p = &base.card.preprocessing;
        assert_eq!((p.height, p.width, p.interpolation), (288, 288, Interpolation::Bicubic));
        assert_eq!((p.resize, &p.mean, &p.std), (Resize::ShortestSide(288), &vec![0.5; 3], &vec![0.5; 3]));
        assert!(base.remarks.iter().any(|remark| remark.contains("config.json")), "{:?}", base.remarks);
    }
    // What is said by hand stands above it.
    let input = settings::Input { mean: Some(vec![0.25]), ..settings::Input::default() };
    let spec = BaseSpec { input, ..BaseSpec::named(place.to_str().unwrap()) };
    let base = open(&spec, &Device::flex()).unwrap();
    assert_eq!((base.card.preprocessing.mean, base.card.preprocessing.height), (vec![0.25; 3], 288));
}

#[test]
fn what_is_no_weights_is_named_with_what_to_do() {
    let temp = tempfile::tempdir().unwrap();
    let place = temp.path().join("model.safetensors");
    for (bytes, found, hint) in [
        (
            &b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"[..],
            "a Git LFS pointer",
            "git lfs pull",
        ),
        (b"<!DOCTYPE html><html>", "an HTML page", "/resolve/"),
        (b"{\"error\": \"gone\"}", "JSON that begins", "a server's answer"),
        (b"", "an empty file", "fetch the file again"),
    ] {
        std::fs::write(&place, bytes).unwrap();
        let error = opened(&place).unwrap_err().to_string();
        assert!(error.contains(found) && error.contains(hint), "{error}");
    }
    let error = opened(&temp.path().join("nothing-here.pth")).unwrap_err().to_string();
    assert!(error.contains("cannot be opened"), "{error}");
}

#[test]
fn a_rescaling_layer_of_keras_says_how_bytes_are_scaled() {
    let mut weights = Weights::default();
    weights.metadata.insert("keras.rescaling".into(), "[0.00784313725490196,-1.0]".into());
    let mut card = Card::usual(Architecture::RESNET18, "x".into());
    let mut remarks = Vec::new();
    assert!(rescaled(&mut card, &weights, &mut remarks));
    // 2 b / 255 - 1 is (b / 255 - 0.5) / 0.5.
    let p = &card.preprocessing;
    assert!(p.mean.iter().chain(&p.std).all(|value| (value - 0.5).abs() < 1e-12), "{p:?}");
    assert!(remarks[0].contains("Rescaling"), "{remarks:?}");
}
