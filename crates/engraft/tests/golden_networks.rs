//! Every architecture against its reference implementation: PyTorch's, Keras', Cadene's, timm's.
//!
//! The fixtures were written by the scripts beside them. Weights follow a formula that both sides know, by the names
//! of the reference's own files: so the dialects are tested with the networks.

mod reference;

use std::collections::BTreeMap;

use burn::optim::{GradientsParams, SgdConfig};
use burn::prelude::*;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, TensorData};
use engraft::bases::{
    Activation, Architecture, Card, Dialect, Expected, Leaves, Mode, Network, NetworkWeights, PaddingDialect, Pass,
    Role, Statistics, move_statistics,
};
use engraft::train::Classifier;
use engraft_weights::{Precision, Tensor as Stored, Weights};
use reference::{close, fill, fixture, floats, largest, moments, numbers, picks};
use serde_json::Value;

/// One network of a fixture.
struct Case {
    fixture: &'static str,
    variant: &'static str,
    architecture: Architecture,
    /// Position of the dialect.
    dialect: usize,
    padding: Option<PaddingDialect>,
    classes: usize,
    /// Whether the reference's convolutions have a bias before their batch norm.
    biases: bool,
    /// Whether the reference's batch norms lack gamma.
    without_gamma: bool,
    /// The input is scaled by this in training: a unit that lies within 1e-7 of a ReLU's bend then falls on the side
    /// on which it falls in f64, and the gradient is the reference's.
    nudge: f32,
    /// Trains without Winograd's filtering, whose rounding (1e-6) can move a unit over a bend.
    exact: bool,
}

fn case(fixture: &'static str, variant: &'static str, architecture: Architecture, dialect: usize) -> Case {
    Case {
        fixture,
        variant,
        architecture,
        dialect,
        padding: None,
        classes: 1000,
        biases: false,
        without_gamma: false,
        nudge: 1.0,
        exact: false,
    }
}

/// The formula's tensor, laid out as in the file.
fn tensor(name: &str, shape: &[usize], role: Role, leaves: Leaves) -> Stored {
    let count: usize = shape.iter().product();
    let fan_in = match (leaves, role) {
        (Leaves::Torch, _) => shape[1..].iter().product::<usize>(),
        (Leaves::Keras, Role::Depthwise) => shape[0] * shape[1],
        (Leaves::Keras, _) => shape[..shape.len() - 1].iter().product(),
    };
    let scale = (6.0 / fan_in.max(1) as f64).sqrt();
    let values = match role {
        Role::Convolution | Role::Depthwise | Role::Linear => fill(name, count, |u| (2.0 * u - 1.0) * scale),
        Role::Bias => fill(name, count, |u| 0.1 * (u - 0.5)),
        Role::Gamma | Role::Variance => fill(name, count, |u| 0.5 + u),
        Role::Beta | Role::Mean => fill(name, count, |u| 0.2 * (u - 0.5)),
    };
    Stored { shape: shape.to_vec(), values, precision: Precision::F32 }
}

impl Case {
    fn dialect(&self) -> &'static Dialect {
        &self.architecture.dialects()[self.dialect]
    }

    fn card(&self) -> Card {
        let mut card = Card::of_dialect(self.architecture, self.dialect(), 3, "test".into());
        card.padding = self.padding.unwrap_or(card.padding);
        card
    }

    /// The tensors as a file of the reference would have them, and what they are.
    fn file(&self) -> (Weights, Vec<Expected>) {
        let leaves = self.dialect().leaves;
        let expected = Network::expected(self.architecture, self.dialect(), self.classes);
        let mut weights = Weights::default();
        for Expected { name, shape, role, .. } in &expected {
            if self.without_gamma && *role == Role::Gamma {
                continue;
            }
            let depthwise = name.ends_with("/depthwise_kernel");
            if self.biases && (depthwise || name.ends_with("/kernel")) && shape.len() == 4 {
                let bias = format!("{}/bias", name.rsplit_once('/').unwrap().0);
                let channels = if depthwise { shape[2] } else { shape[3] };
                weights.tensors.insert(bias.clone(), tensor(&bias, &[channels], Role::Bias, leaves));
            }
            // Keras keeps MobileNet's classifier as a convolution of one pixel.
            let shape = match name.as_str() {
                "conv_preds/kernel" => [&[1, 1], shape.as_slice()].concat(),
                "conv16.weight" | "classifier.1.weight" if self.fixture == "tiny_darknet" => {
                    [shape.as_slice(), &[1, 1]].concat()
                }
                _ => shape.clone(),
            };
            weights.tensors.insert(name.clone(), tensor(name, &shape, *role, leaves));
        }
        (weights, expected)
    }

    fn network(&self, device: &Device) -> (NetworkWeights, Vec<Expected>) {
        let (weights, expected) = self.file();
        let built = Network::from_weights(&self.card(), &weights, device).unwrap();
        assert_eq!(built.fit.dialect, self.dialect().name, "{}", self.variant);
        assert_eq!(built.fit.matched, weights.tensors.len(), "{}", self.variant);
        let recognised = Network::recognise(&weights).expect("a file that fits is recognised");
        assert_eq!((recognised.architecture, recognised.dialect.name), (self.architecture, self.dialect().name));
        (built, expected)
    }

    fn reference(&self) -> Value {
        fixture(&format!("{}.json", self.fixture))["variants"][self.variant].clone()
    }

    /// Stages, features and logits in evaluation.
    fn evaluates(&self) {
        let reference = self.reference();
        let device = Device::flex();
        let (NetworkWeights { network, classifier, .. }, _) = self.network(&device);
        let size = reference["size"].as_u64().unwrap() as usize;
        let stages = network.stages();
        let costs = network.costs([size, size]);
        let mut x = Activation::from(input(size, &device));
        let mut logits = None;
        let classifier = classifier.expect("the reference has a classifier");
        let expected = reference["stages"].as_object().unwrap();
        assert!(expected.len() >= stages.len() - 1, "{}", self.variant);
        for (index, name) in stages.iter().enumerate() {
            if index == classifier.cut() {
                logits = Some(classifier.forward(x.clone(), Mode::Frozen));
            }
            x = network.forward(x, index..index + 1, Mode::Frozen);
            let Some(expected) = expected.get(&self.stage(name)) else {
                assert_eq!(name, "pool", "{}: the fixture lacks a stage", self.variant);
                continue;
            };
            let map = x.clone().maps().pop().unwrap().permute([0, 3, 1, 2]);
            let what = format!("{}, {name}", self.variant);
            assert_eq!(
                map.dims()[1..].to_vec(),
                numbers(&expected["shape"])[1..].iter().map(|n| *n as usize).collect::<Vec<_>>(),
                "{what}"
            );
            let columns: usize = x.clone().vector().dims()[1];
            assert_eq!(columns, costs[index].columns(), "{what}");
            let flat = floats(map);
            let unit = expected["std"].as_f64().unwrap();
            close(&what, &moments(&flat), &[expected["mean"].as_f64().unwrap(), unit], unit, 1e-4);
            close(&what, &picks(&flat), &numbers(&expected["picks"]), unit, 1e-4);
        }
        let pooled = x.vector();
        let logits = logits.unwrap_or_else(|| classifier.forward(Activation::Vector(pooled.clone()), Mode::Frozen));
        for (what, ours) in [("pooled", pooled), ("logits", logits)] {
            let expected = numbers(&reference[what]);
            let ours = floats(ours.narrow(1, 0, expected.len() / 2));
            close(&format!("{}, {what}", self.variant), &ours, &expected, largest(&expected), 1e-4);
        }
        // Compiled, with batch norms folded and sums fused, by Winograd or by sums of products: nothing that matters
        // changes.
        let expected = numbers(&reference["pooled"]);
        let images = input(size, &device).into_data().try_to_vec::<f32>().unwrap();
        for exact in [false, true] {
            let network = network.clone().exact(exact);
            let program = network.compile(0..network.stages().len(), [size; 2], None);
            let compiled = program.run(&[&images], 2).swap_remove(0);
            let columns = compiled.len() / 2;
            let rows = compiled.chunks(columns).flat_map(|row| &row[..expected.len() / 2]);
            let ours: Vec<f64> = rows.map(|value| f64::from(*value)).collect();
            close(&format!("{}, compiled, exact {exact}", self.variant), &ours, &expected, largest(&expected), 1e-4);
            // An image's row is the same bits without its neighbour.
            let alone = program.run(&[&images[..images.len() / 2]], 1).swap_remove(0);
            assert!(alone.iter().zip(&compiled).all(|(a, b)| a.to_bits() == b.to_bits()), "{}, alone", self.variant);
        }
    }

    fn stage(&self, name: &str) -> String {
        match (self.fixture, name) {
            ("mobilenet_v2_keras", "stem") => "features.0".into(),
            ("mobilenet_v2_keras", "last") => "features.18".into(),
            ("mobilenet_v2_keras", name) if name.starts_with("block") => format!("features.{}", &name[5..]),
            _ => name.into(),
        }
    }

    /// Logits, loss, gradients and running statistics in training.
    fn trains(&self) {
        let reference = self.reference();
        let size = reference["train"].get("size").unwrap_or(&reference["size"]).as_u64().unwrap() as usize;
        self.trains_as(&reference["train"], size, Statistics::Batch);
    }

    /// The same where batch norms keep their statistics, as fine-tuning trains them.
    fn trains_with_stored_statistics(&self) {
        let reference = &fixture("stored_statistics.json")["variants"][self.variant];
        self.trains_as(reference, reference["size"].as_u64().unwrap() as usize, Statistics::Stored);
    }

    fn trains_as(&self, reference: &Value, size: usize, statistics: Statistics) {
        let own = |what: &str| reference["f32"][what].as_f64().unwrap();
        let device = Device::flex().autodiff();
        let (NetworkWeights { network, classifier, manifest, .. }, expected) = self.network(&device);
        let model = Classifier { network: network.exact(self.exact), head: classifier.unwrap() };
        let before = manifest.export(&model, Precision::F32);
        let pass = Pass::default().with(statistics);
        let logits = model.forward(input(size, &device) * self.nudge, Mode::Train(&pass));
        let wanted = numbers(&reference["logits"]);
        let ours = floats(logits.clone().narrow(1, 0, wanted.len() / 2));
        // Where the reference itself is further off in f32, so may we be.
        let tolerance = |what: &str| (5.0 * own(what)).max(1e-4);
        close("logits", &ours, &wanted, largest(&wanted), tolerance("logits"));
        let rows: Vec<Tensor<2>> = [3, 7]
            .into_iter()
            .enumerate()
            .map(|(row, label)| log_softmax(logits.clone(), 1).narrow(0, row, 1).narrow(1, label, 1))
            .collect();
        let loss = Tensor::cat(rows, 0).mean().neg();
        let value = f64::from(loss.clone().into_scalar::<f32>());
        close("loss", &[value], &numbers(&reference["loss"]), value, tolerance("loss"));

        // One step of size one leaves the gradient in the difference of the weights.
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        let model = move_statistics(model, &[pass.into_statistics()], 0.1);
        let running = manifest.export(&model, Precision::F32);
        let model = SgdConfig::new().init().step(1.0, model, gradients);
        let after = manifest.export(&model, Precision::F32);
        let canonical: BTreeMap<&str, &Expected> = expected.iter().map(|e| (e.name.as_str(), e)).collect();
        let mut compared = 0;
        for (name, wanted) in reference["gradients"].as_object().unwrap() {
            // A bias before a batch norm has no gradient, and no parameter here.
            let Some(entry) = canonical.get(name.as_str()) else { continue };
            let (b, a) = (&before[&entry.canonical], &after[&entry.canonical]);
            let gradient: Vec<f64> =
                b.values.iter().zip(&a.values).map(|(b, a)| f64::from(*b) - f64::from(*a)).collect();
            let gradient = in_layout(&gradient, &b.shape, entry, self.dialect().leaves);
            let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            let unit = wanted["norm"].as_f64().unwrap();
            // The weights' own rounding shows in a small gradient.
            let largest_weight = largest(&b.values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
            let tolerance = tolerance("gradients") + 1.2e-7 * largest_weight * (gradient.len() as f64).sqrt() / unit;
            close(name, &[norm], &[unit], unit, tolerance);
            close(name, &picks(&gradient), &numbers(&wanted["picks"]), unit, tolerance);
            compared += 1;
        }
        assert!(compared >= 8, "only {compared} gradients");
        for (norm, wanted) in reference["running"].as_object().into_iter().flatten() {
            for kind in ["running_mean", "running_var"] {
                let ours = &running[&format!("{norm}.{kind}")].values[..4];
                let ours: Vec<f64> = ours.iter().map(|v| f64::from(*v)).collect();
                let wanted = numbers(&wanted[kind]);
                close(&format!("{norm}.{kind}"), &ours, &wanted, largest(&wanted), 1e-4);
            }
        }
    }
}

/// A canonical tensor as the file has it.
fn in_layout(values: &[f64], shape: &[usize], entry: &Expected, leaves: Leaves) -> Vec<f64> {
    match (leaves, entry.role, shape) {
        (Leaves::Keras, Role::Convolution | Role::Depthwise, &[out, inner, rows, columns]) => {
            let at = |o: usize, i: usize, tap: usize| values[(o * inner + i) * rows * columns + tap];
            let taps = 0..rows * columns;
            taps.flat_map(|tap| (0..inner).flat_map(move |i| (0..out).map(move |o| at(o, i, tap)))).collect()
        }
        (Leaves::Keras, Role::Linear, &[out, inner]) => {
            (0..inner).flat_map(|i| (0..out).map(move |o| values[o * inner + i])).collect()
        }
        _ => values.to_vec(),
    }
}

/// The fixtures' images, `[2, size, size, 3]`.
fn input(size: usize, device: &Device) -> Tensor<4> {
    let values = fill("input", 2 * 3 * size * size, |u| 2.0 * u - 1.0);
    Tensor::<4>::from_data(TensorData::new(values, [2, 3, size, size]), device).permute([0, 2, 3, 1])
}

#[test]
fn resnets_are_torchvisions() {
    for (variant, architecture) in [
        ("resnet18", Architecture::RESNET18),
        ("resnet34", Architecture::RESNET34),
        ("resnet50", Architecture::RESNET50),
        ("resnet101", Architecture::RESNET101),
        ("resnet152", Architecture::RESNET152),
    ] {
        case("resnet", variant, architecture, 0).evaluates();
    }
}

#[test]
fn resnet18_trains_as_in_pytorch() {
    case("resnet", "resnet18", Architecture::RESNET18, 0).trains();
}

#[test]
fn resnet50_trains_as_in_pytorch() {
    case("resnet", "resnet50", Architecture::RESNET50, 0).trains();
}

#[test]
fn networks_train_as_in_pytorch_where_statistics_are_kept() {
    for (fixture, variant, architecture, classes) in [
        ("cifar_resnet", "resnet20", Architecture::CIFAR_RESNET20, 10),
        ("cifar_resnet", "resnet20_b", Architecture::CIFAR_RESNET20_B, 10),
        ("resnet", "resnet18", Architecture::RESNET18, 1000),
        ("resnet", "resnet50", Architecture::RESNET50, 1000),
        ("inception_v3", "torchvision", Architecture::INCEPTION_V3, 1000),
        ("tiny_darknet", "tiny_darknet", Architecture::TINY_DARKNET, 1000),
    ] {
        Case { classes, exact: true, ..case(fixture, variant, architecture, 0) }.trains_with_stored_statistics();
    }
}

#[test]
fn resnet50_of_keras_has_its_stride_first() {
    Case { biases: true, ..case("resnet", "keras_resnet50", Architecture::RESNET50_V1, 1) }.evaluates();
}

#[test]
fn squeezenets_are_torchvisions_and_keras() {
    let (old, new) = (Architecture::SQUEEZENET1_0, Architecture::SQUEEZENET1_1);
    case("squeezenet", "squeezenet1_0", old, 0).evaluates();
    case("squeezenet", "squeezenet1_1", new, 0).evaluates();
    case("squeezenet", "squeezenet1_1_98", new, 0).evaluates();
    case("squeezenet", "keras", new, 1).evaluates();
    case("squeezenet", "keras_98", new, 1).evaluates();
    case("squeezenet", "squeezenet1_1", new, 0).trains();
}

#[test]
fn cifar_resnets_are_akamasters() {
    for (variant, architecture) in [
        ("resnet20", Architecture::CIFAR_RESNET20),
        ("resnet32", Architecture::CIFAR_RESNET32),
        ("resnet44", Architecture::CIFAR_RESNET44),
        ("resnet56", Architecture::CIFAR_RESNET56),
        ("resnet20_b", Architecture::CIFAR_RESNET20_B),
    ] {
        Case { classes: 10, ..case("cifar_resnet", variant, architecture, 0) }.evaluates();
    }
    Case { classes: 10, ..case("cifar_resnet", "resnet20", Architecture::CIFAR_RESNET20, 0) }.trains();
    Case { classes: 10, ..case("cifar_resnet", "resnet20_b", Architecture::CIFAR_RESNET20_B, 0) }.trains();
}

#[test]
fn resnet8_is_mlperf_tinys() {
    let case = || Case { classes: 10, biases: true, ..case("cifar_resnet", "resnet8", Architecture::RESNET8, 1) };
    case().evaluates();
    case().trains();
}

#[test]
fn tiny_darknet_is_darknets() {
    case("tiny_darknet", "tiny_darknet", Architecture::TINY_DARKNET, 0).evaluates();
    case("tiny_darknet", "tiny_darknet", Architecture::TINY_DARKNET, 0).trains();
}

#[test]
fn inception_v3_is_torchvisions_and_keras() {
    let architecture = Architecture::INCEPTION_V3;
    case("inception_v3", "torchvision", architecture, 0).evaluates();
    Case { without_gamma: true, ..case("inception_v3", "keras", architecture, 1) }.evaluates();
}

#[test]
fn inception_v3_trains_as_in_pytorch() {
    case("inception_v3", "torchvision", Architecture::INCEPTION_V3, 0).trains();
}

#[test]
fn inceptions_transform_input_is_a_mean_and_std_of_a_half() {
    let case = case("inception_v3", "torchvision", Architecture::INCEPTION_V3, 0);
    let reference = case.reference();
    let device = Device::flex();
    let (built, _) = case.network(&device);
    let size = reference["size"].as_u64().unwrap() as usize;
    let colour = |values: [f32; 3]| Tensor::<4>::from_data(TensorData::new(values.to_vec(), [1, 1, 1, 3]), &device);
    // What torchvision normalised by ImageNet's mean and std, back to bytes / 255, and by a half.
    let bytes = input(size, &device) * colour([0.229, 0.224, 0.225]) + colour([0.485, 0.456, 0.406]);
    let features = built.network.features((bytes - 0.5) / 0.5);
    let expected = numbers(&reference["transform_input"]);
    let ours = floats(features.narrow(1, 0, expected.len() / 2));
    close("transform_input", &ours, &expected, largest(&expected), 1e-4);
}

#[test]
fn mobilenets_v1_are_keras() {
    let quarter = Architecture::MOBILENET_V1_025;
    case("mobilenet_v1", "mobilenet_1.0", Architecture::MOBILENET_V1, 1).evaluates();
    case("mobilenet_v1", "mobilenet_0.25", quarter, 1).evaluates();
    case("mobilenet_v1", "mobilenet_0.25_100", quarter, 1).evaluates();
    Case { nudge: 1.0 + 1.2e-7, ..case("mobilenet_v1", "mobilenet_0.25", quarter, 1) }.trains();
    let tiny = Architecture::MOBILENET_V1_025_TINY;
    Case { classes: 2, biases: true, ..case("mobilenet_v1", "vww", tiny, 1) }.evaluates();
}

#[test]
fn mobilenet_v2_is_keras_too() {
    case("mobilenet_v2_keras", "keras", Architecture::MOBILENET_V2, 1).evaluates();
    case("mobilenet_v2_keras", "keras_75", Architecture::MOBILENET_V2, 1).evaluates();
    case("mobilenet_v2_keras", "keras", Architecture::MOBILENET_V2, 1).trains();
}

#[test]
fn nasnet_mobile_is_cadenes_and_keras() {
    let architecture = Architecture::NASNET_MOBILE;
    case("nasnet", "cadene_mobile", architecture, 0).evaluates();
    case("nasnet", "keras_mobile", architecture, 1).evaluates();
    case("nasnet", "keras_mobile_75", architecture, 1).evaluates();
}

#[test]
fn nasnet_mobile_trains_as_in_pytorch() {
    case("nasnet", "cadene_mobile", Architecture::NASNET_MOBILE, 0).trains();
}

#[test]
fn nasnet_large_is_cadenes_timms_and_keras() {
    let architecture = Architecture::NASNET_LARGE;
    case("nasnet", "cadene_large", architecture, 0).evaluates();
    Case { padding: Some(PaddingDialect::Timm), ..case("nasnet", "timm_large", architecture, 0) }.evaluates();
    case("nasnet", "keras_large", architecture, 1).evaluates();
}
