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
fn a_file_beside_weights_that_is_not_a_card_is_left_out_and_told() {
    let temp = tempfile::tempdir().unwrap();
    let place = temp.path().join("model.safetensors");
    std::fs::write(&place, engraft_weights::write(&resnet18())).unwrap();
    for (name, text) in [
        ("model.json", r#"{"class_name": "Functional", "config": {"layers": []}}"#),
        ("model.json", r#"{"architecture": "resnet18", "lr": 0.1}"#),
        ("model.json", "[1, 2]"),
        ("model.toml", "lr = 0.1"),
    ] {
        std::fs::write(temp.path().join(name), text).unwrap();
        let base = opened(&place).unwrap();
        let told = base.remarks.join("\n");
        assert!(told.contains(name) && told.contains("not a card"), "{text}: {told}");
        std::fs::remove_file(temp.path().join(name)).unwrap();
    }
    // One that is meant as a card, and is wrong.
    std::fs::write(temp.path().join("model.json"), r#"{"id": "x", "architecture": "resnet18", "padding": "z"}"#)
        .unwrap();
    assert!(opened(&place).unwrap_err().to_string().contains("the card cannot be read"));
}

#[test]
fn timms_configuration_of_another_network_is_not_laid_over() {
    let temp = tempfile::tempdir().unwrap();
    let place = temp.path().join("model.safetensors");
    std::fs::write(&place, engraft_weights::write(&resnet18())).unwrap();
    let config = |architecture: &str| {
        let input = r#""input_size": [3, 288, 288], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]"#;
        let text = format!(r#"{{"architecture": "{architecture}", "pretrained_cfg": {{{input}}}}}"#);
        std::fs::write(temp.path().join("config.json"), text).unwrap();
        opened(&place)
    };
    for same in ["resnet18", "resnet18.a1_in1k", "gluon_resnet18_v1b", "timm/ResNet-18"] {
        assert_eq!(config(same).unwrap().card.preprocessing.height, 288, "{same}");
    }
    // The same tensors, and other pools between them.
    for other in ["resnetblur18", "resnetaa18", "resnet18d"] {
        let error = config(other).unwrap_err().to_string();
        assert!(error.contains(other) && error.contains("resnet18"), "{error}");
    }
    for other in ["vit_base_patch16_224", "resnet50", "efficientnet_b0"] {
        let base = config(other).unwrap();
        assert_eq!((base.card.preprocessing.height, base.card.preprocessing.mean[0]), (224, 0.485), "{other}");
        assert!(
            base.remarks.iter().any(|told| told.contains(other) && told.contains("left out")),
            "{:?}",
            base.remarks
        );
    }
    for (text, part) in
        [("{broken", "cannot be read"), (r#"{"pretrained_cfg": {"mean": [0.5, 0.5, 0.5]}}"#, "input_size")]
    {
        std::fs::write(temp.path().join("config.json"), text).unwrap();
        let base = opened(&place).unwrap();
        assert!(base.remarks.iter().any(|told| told.contains(part)), "{:?}", base.remarks);
        assert_eq!(base.card.preprocessing.mean[0], 0.485);
    }
}

#[test]
fn a_dilated_backbone_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let place = temp.path().join("model.safetensors");
    let kernel = || Tensor { shape: vec![2, 2, 3, 3], values: vec![0.5; 36], precision: Precision::F32 };
    for head in
        ["classifier.0.convs.0.0.weight", "aux_classifier.0.weight", "decoder.aspp.0.weight", "classifier.0.weight"]
    {
        let mut weights = Weights::default();
        let backbone = resnet18().tensors.into_iter().filter(|(name, _)| !name.starts_with("fc."));
        weights.tensors.extend(backbone.map(|(name, tensor)| (format!("backbone.{name}"), tensor)));
        std::fs::write(&place, engraft_weights::write(&weights)).unwrap();
        assert!(opened(&place).is_ok());
        weights.tensors.insert(head.into(), kernel());
        std::fs::write(&place, engraft_weights::write(&weights)).unwrap();
        let error = opened(&place).unwrap_err().to_string();
        assert!(error.contains("dilated") && error.contains(head), "{error}");
    }
}

#[test]
fn weights_for_images_of_four_channels_are_read() {
    let temp = tempfile::tempdir().unwrap();
    let place = temp.path().join("model.safetensors");
    let mut weights = resnet18();
    let stem = Tensor { shape: vec![64, 4, 7, 7], values: vec![0.5; 64 * 4 * 49], precision: Precision::F32 };
    weights.tensors.insert("conv1.weight".into(), stem.clone());
    std::fs::write(&place, engraft_weights::write(&weights)).unwrap();
    let base = opened(&place).unwrap();
    assert_eq!((base.card.preprocessing.channels, base.card.preprocessing.mean.len()), (4, 4));
    assert_eq!(exported(&base)["conv1.weight"], stem);
    assert!(base.remarks.iter().any(|told| told.contains("4 channels")), "{:?}", base.remarks);
}

#[test]
fn weights_that_are_kept_in_parts_are_told_with_how_to_make_them_one() {
    let temp = tempfile::tempdir().unwrap();
    let place = temp.path().join("model.safetensors");
    for (leaves, part) in [(["_orig", "_mask"], "prune.remove"), (["_g", "_v"], "remove_weight_norm")] {
        let mut weights = resnet18();
        let stem = weights.tensors.remove("conv1.weight").unwrap();
        weights.tensors.extend(leaves.map(|leaf| (format!("conv1.weight{leaf}"), stem.clone())));
        std::fs::write(&place, engraft_weights::write(&weights)).unwrap();
        let error = opened(&place).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
