//! Backbones against the reference implementation, and the contract of stages and cuts.
//!
//! The fixtures were written by the scripts beside them; weights follow a formula that both sides know.

mod reference;

use burn::optim::{GradientsParams, SgdConfig};
use burn::prelude::*;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, TensorData};
use engraft::bases::{
    Activation, Architecture, Base, BaseSpec, Card, Mode, Network, NetworkWeights, PaddingDialect, Pass,
    move_statistics,
};
use engraft::data::image::{Limits, decode};
use engraft::features::Extractor;
use engraft::train::Classifier;
use engraft_weights::{Precision, Weights};
use reference::{close, fill, fixture, floats, largest, moments, numbers, picks, test_data};

fn formula(name: &str, shape: &[usize]) -> Vec<f32> {
    let count: usize = shape.iter().product();
    let value = |u: f64| {
        if name == "input" {
            2.0 * u - 1.0
        } else if shape.len() > 1 {
            let fan_in: usize = shape[1..].iter().product();
            (2.0 * u - 1.0) * (6.0 / fan_in as f64).sqrt()
        } else if name == "classifier.1.bias" {
            0.1 * (u - 0.5)
        } else if name.ends_with(".weight") || name.ends_with(".running_var") {
            0.5 + u
        } else {
            0.2 * (u - 0.5)
        }
    };
    fill(name, count, value)
}

fn card(padding: PaddingDialect) -> Card {
    let mut card = Card::usual(Architecture::MOBILENET_V2, "test".into());
    card.padding = padding;
    card
}

/// MobileNetV2 with 1000 classes and the formula's weights.
fn network(padding: PaddingDialect, device: &Device) -> NetworkWeights {
    let card = card(padding);
    let random = Network::random(&card, 1000, 0, &Device::flex());
    let model = Classifier { network: random.network, head: random.classifier.unwrap() };
    let mut tensors = random.manifest.export(&model, Precision::F32);
    for (name, tensor) in &mut tensors {
        tensor.values = formula(name, &tensor.shape);
    }
    Network::from_weights(&card, &Weights { tensors, ..Weights::default() }, device).unwrap()
}

/// The fixture's images, `[2, 64, 64, 3]`.
fn input(device: &Device) -> Tensor<4> {
    let nchw = formula("input", &[2, 3, 64, 64]);
    Tensor::<4>::from_data(TensorData::new(nchw, [2, 3, 64, 64]), device).permute([0, 2, 3, 1])
}

#[test]
fn the_formula_is_the_same_on_both_sides() {
    let fixture = fixture("mobilenet_v2.json");
    let random = Network::random(&card(PaddingDialect::Symmetric), 1000, 0, &Device::flex());
    let model = Classifier { network: random.network, head: random.classifier.unwrap() };
    let mut shapes: std::collections::BTreeMap<String, Vec<usize>> =
        random.manifest.export(&model, Precision::F32).into_iter().map(|(name, tensor)| (name, tensor.shape)).collect();
    shapes.insert("input".into(), vec![2, 3, 64, 64]);
    for (name, expected) in fixture["parameters"].as_object().unwrap() {
        let ours: Vec<f64> = formula(name, &shapes[name])[..4].iter().map(|v| f64::from(*v)).collect();
        close(name, &ours, &numbers(expected), 1.0, 1e-8);
    }
}

#[test]
fn mobilenet_v2_gives_pytorchs_numbers_in_evaluation() {
    let fixture = fixture("mobilenet_v2.json");
    for (name, padding) in [("symmetric", PaddingDialect::Symmetric), ("same", PaddingDialect::Same)] {
        let device = Device::flex();
        let NetworkWeights { network, classifier, .. } = network(padding, &device);
        let reference = &fixture[name];
        for (network, kind) in [(network.clone(), "plain"), (network.exact(true), "exact")] {
            let mut x = Activation::from(input(&device));
            for (index, expected) in reference["features"].as_array().unwrap().iter().enumerate() {
                x = network.forward(x, index..index + 1, Mode::Frozen);
                let map = x.clone().maps().pop().unwrap().permute([0, 3, 1, 2]);
                let flat = floats(map);
                let unit = expected["std"].as_f64().unwrap();
                let what = format!("{name}, {kind}, features.{index}");
                close(&what, &moments(&flat), &[expected["mean"].as_f64().unwrap(), unit], unit, 1e-4);
                close(&what, &picks(&flat), &numbers(&expected["picks"]), unit, 1e-4);
            }
            let stages = network.stages().len();
            let pooled = network.forward(x, stages - 1..stages, Mode::Frozen).vector();
            let logits = classifier.as_ref().unwrap().forward(Activation::Vector(pooled.clone()), Mode::Frozen);
            for (what, ours) in [("pooled", pooled), ("logits", logits)] {
                let expected = numbers(&reference[what]);
                let ours = floats(ours.narrow(1, 0, 8));
                close(&format!("{name}, {kind}, {what}"), &ours, &expected, largest(&expected), 1e-4);
            }
        }
    }
}

#[test]
fn mobilenet_v2_trains_as_pytorch_does() {
    let reference = &fixture("mobilenet_v2.json")["train"];
    let device = Device::flex().autodiff();
    let NetworkWeights { network, classifier, manifest, .. } = network(PaddingDialect::Symmetric, &device);
    let model = Classifier { network, head: classifier.unwrap() };
    let before = manifest.export(&model, Precision::F32);

    let pass = Pass::default();
    // Scaled by the least that f32 knows: a unit that lies within 1e-7 of a ReLU6's bend then falls on the side on which
    // it falls in f64. Unscaled, that one unit turns some gradients by 2e-3, in PyTorch's own f32 by 6e-4.
    let logits = model.forward(input(&device) * (1.0 + 1.2e-7f32), Mode::Train(&pass));
    let expected = numbers(&reference["logits"]);
    close("logits", &floats(logits.clone().narrow(1, 0, 8)), &expected, largest(&expected), 1e-4);
    let rows: Vec<Tensor<2>> = [3, 7]
        .into_iter()
        .enumerate()
        .map(|(row, label)| log_softmax(logits.clone(), 1).narrow(0, row, 1).narrow(1, label, 1))
        .collect();
    let loss = Tensor::cat(rows, 0).mean().neg();
    let value = f64::from(loss.clone().into_scalar::<f32>());
    close("loss", &[value], &numbers(&reference["loss"]), value, 1e-4);

    // One step of size one leaves the gradient in the difference of the weights.
    let gradients = GradientsParams::from_grads(loss.backward(), &model);
    let model = move_statistics(model, &[pass.into_statistics()], 0.1);
    let running = manifest.export(&model, Precision::F32);
    let model = SgdConfig::new().init().step(1.0, model, gradients);
    let after = manifest.export(&model, Precision::F32);
    for (name, expected) in reference["gradients"].as_object().unwrap() {
        let pair = before[name].values.iter().zip(&after[name].values);
        let gradient: Vec<f64> = pair.map(|(b, a)| f64::from(*b) - f64::from(*a)).collect();
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let unit = expected["norm"].as_f64().unwrap();
        close(name, &[norm], &[unit], unit, 1e-3);
        close(name, &picks(&gradient), &numbers(&expected["picks"]), unit, 1e-3);
    }
    for (norm, expected) in reference["running"].as_object().unwrap() {
        for kind in ["running_mean", "running_var"] {
            let ours: Vec<f64> = running[&format!("{norm}.{kind}")].values[..4].iter().map(|v| f64::from(*v)).collect();
            let expected = numbers(&expected[kind]);
            close(&format!("{norm}.{kind}"), &ours, &expected, largest(&expected), 1e-4);
        }
    }
}

#[test]
fn frozen_leaves_no_trace() {
    let device = Device::flex().autodiff();
    let NetworkWeights { network, classifier, manifest, .. } = network(PaddingDialect::Same, &device);
    let model = Classifier { network, head: classifier.unwrap() };
    let before = manifest.export(&model, Precision::F32);
    let x = input(&device).require_grad();
    let stages = model.network.stages().len();
    let features = model.network.forward(x.clone().into(), 0..stages, Mode::Frozen);
    let loss = model.head.forward(features, Mode::Train(&Pass::default())).mean();
    let mut gradients = loss.backward();
    assert!(x.grad_remove(&mut gradients).is_some(), "the input of a frozen stage still gets its gradient");
    let model = SgdConfig::new().init().step(1.0, model.clone(), GradientsParams::from_grads(gradients, &model));
    let after = manifest.export(&model, Precision::F32);
    for (name, tensor) in &before {
        if !name.starts_with("classifier") {
            let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&tensor.values), bits(&after[name].values), "{name}");
        }
    }
    assert_ne!(before["classifier.1.weight"], after["classifier.1.weight"], "the head is not a stage, and trains");
}

#[test]
fn every_stage_can_be_a_cut() {
    for architecture in Architecture::ALL {
        let card = Card::usual(architecture, "test".into());
        let side = architecture.smallest_input().max(48);
        let device = Device::flex();
        let network = Network::random(&card, 3, 1, &device).network;
        let channels = card.preprocessing.channels;
        let values = formula("input", &[1, side, side, channels]);
        let x = Tensor::<4>::from_data(TensorData::new(values, [1, side, side, channels]), &device);
        let whole = floats(network.features(x.clone()));
        let stages = network.stages();
        let costs = network.costs([side, side]);
        for cut in 0..=stages.len() {
            let before = network.forward(Activation::from(x.clone()), 0..cut, Mode::Frozen);
            if cut > 0 {
                let shapes = match &before {
                    Activation::Maps(maps) => maps.iter().map(|map| map.dims()[1..].to_vec()).collect(),
                    Activation::Vector(vector) => vec![vector.dims()[1..].to_vec()],
                };
                assert_eq!(shapes, costs[cut - 1].outputs, "{architecture:?} after {}", stages[cut - 1]);
                assert_eq!(network.cut_after(&stages[cut - 1]).unwrap(), cut);
            }
            // As rows, as the cache keeps them, and back.
            let before = match cut {
                0 => before,
                _ => Activation::from_rows(before.vector(), &costs[cut - 1].outputs),
            };
            let after = floats(network.forward(before, cut..stages.len(), Mode::Frozen).vector());
            assert_eq!(after, whole, "{architecture:?} cut at {cut}");
        }
        assert!(network.cut_after("nowhere").unwrap_err().to_string().contains("stem"));
    }
}

#[test]
fn multiply_adds_are_those_of_the_paper() {
    // Sandler et al. 2018, table 4: 300 million MACs, with the classifier's 1.3 million.
    let device = Device::flex();
    let network = Network::random(&card(PaddingDialect::Symmetric), 2, 0, &device).network;
    let total = network.multiply_adds([224, 224]);
    assert!((298_000_000..=301_000_000).contains(&total), "{total}");
    let parameters: usize = network.costs([224, 224]).iter().map(|stage| stage.parameters).sum();
    assert_eq!(parameters, 2_223_872, "torchvision's, without the classifier");
}

#[test]
fn photos_are_recognised_by_the_real_weights() {
    let Some(data) = test_data() else { return };
    let fixture = fixture("coral.json");
    let path = data.join("weights").join(fixture["weights"].as_str().unwrap());
    let device = Device::flex();
    let base: Base = engraft::bases::open(&BaseSpec::named(path.to_str().unwrap()), &device).unwrap();
    assert!(base.remarks.is_empty(), "known by its SHA-256: {:?}", base.remarks);
    let extractor = Extractor::to_features(&base, &device).unwrap();
    for (photo, expected) in fixture["photos"].as_object().unwrap() {
        let bytes = std::fs::read(data.join("images").join(photo)).unwrap();
        assert!(decode(&bytes, &Limits::default()).is_ok());
        let row = extractor.row(&bytes).unwrap();
        let features = Tensor::<2>::from_data(TensorData::new(row.clone(), [1, row.len()]), &device);
        let logits = floats(
            base.staged().unwrap().classifier.as_ref().unwrap().forward(Activation::Vector(features), Mode::Frozen),
        );
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
        assert_eq!(order[0] as u64, expected["top"][0].as_u64().unwrap(), "{photo}");
        let sum: f64 = logits.iter().map(|z| (z - logits[order[0]]).exp()).sum();
        close(photo, &[1.0 / sum], &numbers(&expected["probability"]), 1.0, 0.03);
    }
}
