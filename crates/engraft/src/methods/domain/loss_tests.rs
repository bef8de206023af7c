//! Losses of the trained methods: known points, finite differences, and PyTorch. The fixture is made by
//! `tests/fixtures/domain_losses.py`.

use burn::prelude::*;
use burn::tensor::activation::softmax;
use burn::tensor::{DType, Device, TensorData};
use serde_json::Value;

use super::bottleneck::Outputs;
use super::cdan::{Conditional, Multilinear};
use super::certainty::{certainty_weights, entropies};
use super::dann::Adversary;
use super::deep_coral::covariance_distance;
use super::dense::Dense;
use super::discriminator::{Discriminator, Side, reversal, reversed, told_apart};
use super::mcc::{TEMPERATURE, class_confusion, weighted_confusion};
use super::shot::information;
use super::trained::{BothOutputs, DomainLoss};

use crate::similarity::reference::{close, fill, fixture, largest, numbers};

const ROWS: [usize; 2] = [12, 9];
const WIDTH: usize = 6;
const CLASSES: usize = 3;
const HIDDEN: usize = 5;
const REVERSAL: f64 = 0.7;

fn device() -> Device {
    Device::flex().autodiff()
}

/// In f64, so that differences of the loss are exact to eight digits.
fn tensor(values: &[f64], columns: usize) -> Tensor<2> {
    let shape = [values.len() / columns, columns];
    Tensor::from_data(TensorData::new(values.to_vec(), shape), (&device(), DType::F64)).require_grad()
}

fn value(loss: Tensor<1>) -> f64 {
    loss.into_scalar::<f64>()
}

fn made(name: &str, count: usize, scale: f64, offset: f64) -> Vec<f64> {
    fill(name, count, |u| offset + scale * (2.0 * u - 1.0)).into_iter().map(f64::from).collect()
}

fn features() -> [Vec<f64>; 2] {
    [made("source", ROWS[0] * WIDTH, 1.5, 0.0), made("target", ROWS[1] * WIDTH, 2.0, 0.25)]
}

fn logits() -> [Vec<f64>; 2] {
    [made("source_logits", ROWS[0] * CLASSES, 3.0, 0.0), made("target_logits", ROWS[1] * CLASSES, 4.0, 0.0)]
}

fn discriminator(inputs: usize) -> Discriminator {
    let layer = |name: &str, inputs: usize, outputs: usize| {
        let narrow = |values: Vec<f64>| values.into_iter().map(|x| x as f32).collect::<Vec<f32>>();
        let (weight, bias) = (made(name, inputs * outputs, 0.8, 0.0), made(&format!("{name}_bias"), outputs, 0.3, 0.0));
        Dense::new(name, narrow(weight), narrow(bias), &device()).in_f64()
    };
    Discriminator::of(layer("hidden", inputs, HIDDEN), layer("output", HIDDEN, 2))
}

fn gradient(x: &Tensor<2>, gradients: &Gradients) -> Vec<f64> {
    match x.grad(gradients) {
        Some(gradient) => gradient.into_data().try_to_vec::<f64>().unwrap(),
        None => vec![0.0; x.dims().iter().product()],
    }
}

use burn::tensor::Gradients;

/// The derivative of a loss by central differences.
fn differences(x: &[f64], loss: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let step = 1e-5;
    let at = |index: usize, by: f64| {
        let mut moved = x.to_vec();
        moved[index] += by;
        loss(&moved)
    };
    (0..x.len()).map(|index| (at(index, step) - at(index, -step)) / (2.0 * step)).collect()
}

#[track_caller]
fn agree(what: &str, ours: &[f64], reference: &[f64]) {
    assert!(largest(reference) > 1e-6, "{what}: nothing to compare");
    close(what, ours, reference, largest(reference), 1e-4);
}

#[test]
fn confusion_at_known_points() {
    for classes in [2usize, 3, 10] {
        let expected = (classes - 1) as f64 / classes as f64;
        let uniform = class_confusion(tensor(&vec![0.3; 7 * classes], classes), TEMPERATURE);
        assert!((value(uniform) - expected).abs() < 1e-9, "{classes}");
        let certain: Vec<f64> =
            (0..classes * classes).map(|at| if at / classes == at % classes { 400.0 } else { 0.0 }).collect();
        let sure = class_confusion(tensor(&certain, classes), TEMPERATURE);
        assert!(value(sure).abs() < 1e-9, "{classes}");
    }
}

#[test]
fn distance_of_covariances_at_known_points() {
    let [source, target] = features();
    let same = covariance_distance(tensor(&source, WIDTH), tensor(&source, WIDTH));
    assert_eq!(value(same), 0.0);
    // A shift changes no covariance.
    let moved: Vec<f64> = source.iter().map(|x| x + 3.0).collect();
    assert!(value(covariance_distance(tensor(&source, WIDTH), tensor(&moved, WIDTH))) < 1e-25);
    // Variances 2 and 8 of one column, covariance 0 and 4: ((8 - 2)² + 2 · 4²) / (4 · 2²).
    let (one, other) = ([-1.0, 0.0, 1.0, 0.0, -1.0, 0.0, 1.0, 0.0], [-2.0, -1.0, 2.0, 1.0, -2.0, -1.0, 2.0, 1.0]);
    let (a, b) = (4.0 / 3.0, [16.0 / 3.0, 8.0 / 3.0, 4.0 / 3.0]);
    let by_hand = ((b[0] - a) * (b[0] - a) + 2.0 * b[1] * b[1] + b[2] * b[2]) / 16.0;
    assert!((value(covariance_distance(tensor(&one, 2), tensor(&other, 2))) - by_hand).abs() < 1e-12);
    // A single row has none.
    assert!(value(covariance_distance(tensor(&target[..WIDTH], WIDTH), tensor(&source, WIDTH))).is_finite());
}

#[test]
fn information_at_known_points() {
    let certain = tensor(&[50.0, 0.0, 0.0, 50.0, 50.0, 0.0, 50.0, 0.0], 2);
    assert!(value(information(certain.clone(), &[0.75, 0.25])).abs() < 1e-6);
    // KL of (3/4, 1/4) from equal shares: certain predictions are not yet the best.
    let expected = 0.75 * 1.5f64.ln() + 0.25 * 0.5f64.ln();
    assert!((value(information(certain, &[0.5, 0.5])) - expected).abs() < 1e-6);
    assert!((value(information(tensor(&[0.0; 8], 2), &[0.5, 0.5])) - 2f64.ln()).abs() < 1e-6);
}

#[test]
fn a_discriminator_begins_by_knowing_nothing() {
    let new = Discriminator::new(WIDTH, 1, &device());
    let [source, target] = features();
    let narrow = |x: &[f64]| tensor(x, WIDTH).cast(DType::F32);
    let told = [(narrow(&source), Side::Source), (narrow(&target), Side::Target)]
        .map(|(x, side)| f64::from(told_apart(new.logits(x), side, None).into_scalar::<f32>()));
    assert!(told.iter().all(|loss| (loss - 2f64.ln()).abs() < 1e-7), "{told:?}");
    // Two outputs: with one, a softmax is always 1 and the loss always 0.
    assert_eq!(new.logits(narrow(&source)).dims(), [ROWS[0], 2]);
}

#[test]
fn the_reversal_leaves_the_value_and_turns_the_gradient_once() {
    let x = tensor(&features()[0], WIDTH);
    let same = reversed(x.clone(), REVERSAL);
    assert_eq!(same.clone().into_data(), x.clone().into_data());
    let gradients = same.square().sum().backward();
    let expected: Vec<f64> = features()[0].iter().map(|x| -REVERSAL * 2.0 * x).collect();
    agree("reversed", &gradient(&x, &gradients), &expected);
    assert_eq!(reversal(0.0), 0.0);
    assert!((reversal(0.1) - (2.0 / (1.0 + (-1f64).exp()) - 1.0)).abs() < 1e-12 && reversal(1.0) > 0.9999);
}

#[test]
fn weights_of_certainty_have_sum_one_in_each_domain() {
    let [source, target] = logits();
    // One domain is far surer than the other: weighed jointly it would outweigh it.
    let sure: Vec<f64> = source.iter().map(|z| 20.0 * z).collect();
    for x in [sure, target.iter().map(|z| 0.01 * z).collect()] {
        let weights = certainty_weights(tensor(&x, CLASSES)).into_data().try_to_vec::<f64>().unwrap();
        assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
    let weights = certainty_weights(tensor(&[40.0, 0.0, 0.0, 0.0], 2)).into_data().try_to_vec::<f64>().unwrap();
    assert!((weights[0] / weights[1] - 2.0 / 1.5).abs() < 1e-9, "{weights:?}");
    // No gradient through them.
    let x = tensor(&target, CLASSES);
    let y = tensor(&vec![1.0; ROWS[1]], 1);
    let gradients = (certainty_weights(x.clone()) * y).square().sum().backward();
    assert!(x.grad(&gradients).is_none_or(|g| g.into_data().try_to_vec::<f64>().unwrap().iter().all(|g| *g == 0.0)));
}

#[test]
fn gradients_are_finite_differences() {
    let [source, target] = features();
    let x = tensor(&source, WIDTH);
    let gradients = covariance_distance(x.clone(), tensor(&target, WIDTH)).backward();
    let by = |x: &[f64]| value(covariance_distance(tensor(x, WIDTH), tensor(&target, WIDTH)));
    agree("deep coral", &gradient(&x, &gradients), &differences(&source, by));

    let z = &logits()[1];
    let x = tensor(z, CLASSES);
    let gradients = entropies(x.clone()).mean().backward();
    agree("entropy", &gradient(&x, &gradients), &differences(z, |z| value(entropies(tensor(z, CLASSES)).mean())));

    let shares = [0.5, 0.3, 0.2];
    let gradients = information(x.clone(), &shares).backward();
    let by = |z: &[f64]| value(information(tensor(z, CLASSES), &shares));
    agree("information", &gradient(&x, &gradients), &differences(z, by));

    // Weights are constants: the difference is of the confusion at weights that stay.
    let gradients = class_confusion(x.clone(), TEMPERATURE).backward();
    let weights = certainty_weights(x.clone().div_scalar(TEMPERATURE)).mul_scalar(ROWS[1] as f64);
    let by = |z: &[f64]| {
        let probabilities = softmax(tensor(z, CLASSES).div_scalar(TEMPERATURE), 1);
        value(weighted_confusion(probabilities, weights.clone()))
    };
    agree("confusion", &gradient(&x, &gradients), &differences(z, by));
}

/// The loss of both domains, by their features and logits.
fn adversarial(loss: &dyn DomainLoss, inputs: usize, parts: &[Tensor<2>; 4]) -> Tensor<1> {
    let [source, target, source_logits, target_logits] = parts.clone();
    let discriminator = discriminator(inputs);
    loss.loss(&BothOutputs {
        source: &Outputs { features: source, logits: source_logits },
        target: &Outputs { features: target, logits: target_logits },
        discriminator: Some(&discriminator),
        reversal: REVERSAL,
    })
}

fn parts() -> [Tensor<2>; 4] {
    let ([source, target], [source_logits, target_logits]) = (features(), logits());
    [tensor(&source, WIDTH), tensor(&target, WIDTH), tensor(&source_logits, CLASSES), tensor(&target_logits, CLASSES)]
}

#[test]
fn adversarial_gradients_are_reversed_differences() {
    let multilinear = || Conditional(Multilinear::new(WIDTH, CLASSES, 0));
    let losses: [(&str, Box<dyn DomainLoss>, usize); 2] =
        [("dann", Box::new(Adversary), WIDTH), ("cdan", Box::new(multilinear()), WIDTH * CLASSES)];
    for (name, loss, inputs) in losses {
        let parts = parts();
        let gradients = adversarial(&*loss, inputs, &parts).backward();
        for (at, x) in features().iter().enumerate() {
            let by = |x: &[f64]| {
                let mut moved = parts.clone();
                moved[at] = tensor(x, WIDTH);
                value(adversarial(&*loss, inputs, &moved))
            };
            let expected: Vec<f64> = differences(x, by).iter().map(|slope| -REVERSAL * slope).collect();
            agree(name, &gradient(&parts[at], &gradients), &expected);
        }
        for logits in &parts[2..] {
            assert_eq!(largest(&gradient(logits, &gradients)), 0.0, "{name}: predictions are constants");
        }
    }
}

#[test]
fn losses_and_gradients_are_those_of_pytorch() {
    let fixture = fixture("domain_losses.json");
    let compare = |name: &str, loss: Tensor<1>, of: &[(&str, &Tensor<2>)]| {
        let case = &fixture["cases"][name];
        let wanted = case["loss"].as_f64().unwrap();
        close(name, &[value(loss.clone())], &[wanted], wanted, 1e-6);
        let gradients = loss.backward();
        for (key, x) in of {
            let wanted = numbers(&case["gradients"][key]);
            close(&format!("{name} by {key}"), &gradient(x, &gradients), &wanted, largest(&wanted).max(1e-12), 1e-6);
        }
    };
    let parts = parts();
    let [source, target, source_logits, target_logits] = &parts;
    let both = [("source", source), ("target", target)];
    compare("deep_coral", covariance_distance(source.clone(), target.clone()), &both);
    compare("dann", adversarial(&Adversary, WIDTH, &parts), &both);
    let conditional = Conditional(Multilinear::new(WIDTH, CLASSES, 0));
    let all = [both[0], both[1], ("source_logits", source_logits), ("target_logits", target_logits)];
    compare("cdan", adversarial(&conditional, WIDTH * CLASSES, &parts), &all);
    compare("mcc", class_confusion(target_logits.clone(), TEMPERATURE), &[("target_logits", target_logits)]);
    let shares = numbers(&fixture["shares"]);
    compare("shot", information(target_logits.clone(), &shares), &[("target_logits", target_logits)]);
    assert_eq!(fixture["reversal"], Value::from(REVERSAL));
}

#[test]
fn a_random_map_keeps_products_on_average() {
    // <T(f, g), T(f', g')> is <f, f'> <g, g'> on average (theorem 1 of the paper), here over 1,024 outputs.
    let (width, classes) = (300, 20);
    let map = Multilinear::new(width, classes, 1);
    assert_eq!((map.outputs(), Multilinear::new(WIDTH, CLASSES, 1).outputs()), (1024, WIDTH * CLASSES));
    let f = made("random_f", 2 * width, 1.0, 0.5);
    let g = made("random_g", 2 * classes, 0.5, 0.5);
    let dot = |x: &[f64], n: usize| x[..n].iter().zip(&x[n..]).map(|(a, b)| a * b).sum::<f64>();
    let mapped = map.map(tensor(&f, width), tensor(&g, classes)).into_data().try_to_vec::<f64>().unwrap();
    let (ours, exact) = (dot(&mapped, 1024), dot(&f, width) * dot(&g, classes));
    let unit = mapped[..1024].iter().map(|x| x * x).sum::<f64>();
    assert!((ours - exact).abs() < 0.2 * unit, "{ours} of {exact}, unit {unit}");
}
