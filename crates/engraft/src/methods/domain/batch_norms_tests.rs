//! AdaBN and TENT against PyTorch. The fixture is made by `tests/fixtures/domain_norms.py`.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::Device;
use engraft_weights::{Precision, Tensor as Stored, Weights};
use serde_json::Value;

use super::*;
use crate::bases::{Architecture, Card, Expected, Manifest, NetworkWeights, Role};
use crate::progress::Silent;
use crate::rng::permutation;
use crate::train::values_of;

use crate::similarity::reference::{close, fill, fixture, largest, numbers};

const IMAGES: usize = 6;
const CLASSES: usize = 5;

/// The network by the fixtures' formula, and its classifier.
fn small() -> (Network, Manifest, Linear) {
    let card = Card::usual(Architecture::SMALL_RESNET, "test".into());
    let dialect = &Architecture::SMALL_RESNET.dialects()[0];
    let mut weights = Weights::default();
    for Expected { name, shape, role, .. } in Network::expected(Architecture::SMALL_RESNET, dialect, CLASSES) {
        let count: usize = shape.iter().product();
        let scale = (6.0 / shape.iter().skip(1).product::<usize>().max(1) as f64).sqrt();
        let values = match role {
            Role::Convolution | Role::Depthwise | Role::Linear => fill(&name, count, |u| (2.0 * u - 1.0) * scale),
            Role::Bias => fill(&name, count, |u| 0.1 * (u - 0.5)),
            Role::Gamma | Role::Variance => fill(&name, count, |u| 0.5 + u),
            Role::Beta | Role::Mean => fill(&name, count, |u| 0.2 * (u - 0.5)),
        };
        weights.tensors.insert(name, Stored { shape, values, precision: Precision::F32 });
    }
    let numbers = |name: &str| weights.tensors[name].values.iter().map(|w| f64::from(*w)).collect::<Vec<f64>>();
    let (weight, bias) = (numbers("fc.weight"), numbers("fc.bias"));
    let head = Linear { outputs: CLASSES, columns: weight.len() / CLASSES, weights: weight, intercepts: bias };
    let NetworkWeights { network, manifest, .. } = Network::from_weights(&card, &weights, &Device::flex()).unwrap();
    (network.exact(true), manifest, head)
}

/// Calls `then` with the fixtures' images, in the given order.
fn with_images<T>(size: usize, order: &[usize], then: impl FnOnce(&Images<'_>) -> T) -> T {
    let all = fill("input", IMAGES * size * size, |u| 2.0 * u - 1.0);
    let image = |at: usize| Ok(all[order[at] * size * size..][..size * size].to_vec());
    then(&Images { count: order.len(), shape: [size, size, 1], image: Box::new(image) })
}

#[track_caller]
fn compare(network: &Network, manifest: &Manifest, wanted: &Value, tolerance: f64) {
    let tensors = manifest.export(network, Precision::F32);
    for (norm, wanted) in wanted.as_object().unwrap() {
        for (key, wanted) in wanted.as_object().unwrap() {
            let name = format!("{norm}.{key}");
            let ours: Vec<f64> = tensors[&name].values.iter().take(8).map(|x| f64::from(*x)).collect();
            let wanted = numbers(wanted);
            close(&name, &ours, &wanted, largest(&wanted), tolerance);
        }
    }
}

/// Names of the tensors whose bytes differ.
fn changed(manifest: &Manifest, before: &Network, after: &Network) -> BTreeSet<String> {
    let bits = |network: &Network| -> BTreeMap<String, Vec<u32>> {
        let tensors = manifest.export(network, Precision::F32);
        tensors.into_iter().map(|(name, t)| (name, t.values.iter().map(|x| x.to_bits()).collect())).collect()
    };
    let (before, after) = (bits(before), bits(after));
    assert_eq!(before.len(), after.len());
    before.into_iter().filter(|(name, bits)| after[name] != *bits).map(|(name, _)| name).collect()
}

#[test]
fn statistics_of_one_pass_are_those_of_pytorch() {
    let fixture = fixture("domain_norms.json");
    let (network, manifest, _) = small();
    let order: Vec<usize> = (0..IMAGES).collect();
    with_images(fixture["size"].as_u64().unwrap() as usize, &order, |images| {
        let adapted = adabn_by(&network, images, 2, &Silent).unwrap();
        compare(&adapted, &manifest, &fixture["adabn"], 1e-5);
        let changed = changed(&manifest, &network, &adapted);
        assert!(changed.iter().all(|name| name.contains("running_")), "{changed:?}");
        assert_eq!(changed.len(), network.norm_affines().len());
        // Taken twice, the second pass sees the same statistics.
        let again = adabn_by(&adapted, images, 2, &Silent).unwrap();
        compare(&again, &manifest, &fixture["adabn"], 1e-5);
    });
}

#[test]
fn two_steps_of_tent_are_those_of_pytorch() {
    let fixture = fixture("domain_norms.json");
    let (network, manifest, head) = small();
    // The loop shuffles: images lie such that its order is the fixture's.
    let shuffled = permutation(IMAGES, 0, "shuffle", 0);
    let mut order = vec![0; IMAGES];
    shuffled.iter().enumerate().for_each(|(place, &at)| order[at] = place);
    let lr = fixture["rate"].as_f64().unwrap();
    let options = TentOptions { optimiser: Optimiser::Sgd, lr, batch: 3, ..TentOptions::default() };
    with_images(fixture["size"].as_u64().unwrap() as usize, &order, |images| {
        let Tented { network: tented, entropy, reset } =
            tent(&network, (&head, 1.0), images, options, &Silent).unwrap();
        assert!(!reset);
        let wanted = numbers(&fixture["tent"]["entropies"]);
        close("entropy", &entropy, &[wanted[0], MOVING * wanted[0] + (1.0 - MOVING) * wanted[1]], 1.0, 1e-5);
        // The statistics of the end are those of the images as they lie, not as they were shuffled.
        let affine = |norms: &Value, wanted: &[&str]| -> Value {
            let norms = norms.as_object().unwrap().iter();
            let some = |of: &Value| -> Value {
                of.as_object()
                    .unwrap()
                    .iter()
                    .filter(|(key, _)| wanted.contains(&key.as_str()))
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect()
            };
            norms.map(|(name, of)| (name.clone(), some(of))).collect()
        };
        let norms = &fixture["tent"]["norms"];
        compare(&tented, &manifest, &affine(norms, &["weight", "bias"]), 1e-5);
    });
}

#[test]
fn tent_changes_the_affines_of_batch_norms_alone() {
    let (network, manifest, head) = small();
    let order: Vec<usize> = (0..IMAGES).collect();
    with_images(16, &order, |images| {
        let options = TentOptions { batch: 3, ..TentOptions::default() };
        let run = |options| tent(&network, (&head, 1.0), images, options, &Silent).unwrap();
        let tented = run(options);
        assert!(!tented.reset);
        let is_norm = |name: &String| name.contains("bn") || name.contains("downsample.1");
        let moved = changed(&manifest, &network, &tented.network);
        assert!(moved.iter().all(is_norm), "{moved:?}");
        assert_eq!(moved.len(), 2 * network.norm_affines().len());
        // A rate at which predictions become one class: what is left are the target's statistics.
        let collapsed = run(TentOptions { floor: 10.0, ..options });
        assert!(collapsed.reset);
        let start = adabn_by(&network, images, 3, &Silent).unwrap();
        assert!(changed(&manifest, &start, &collapsed.network).is_empty());
        // The same bits whatever the number of threads.
        let of = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            values_of(&pool.install(|| run(options)).network, |_, _| true)
        };
        assert_eq!(of(1), of(3));
    });
}

#[test]
fn what_has_no_statistics_is_refused() {
    let (network, _, _) = small();
    with_images(16, &[0], |images| {
        assert!(adabn(&network, images, &Silent).unwrap_err().to_string().contains("too few images"));
    });
    let card = Card::usual(Architecture::SQUEEZENET1_0, "test".into());
    let plain = Network::random(&card, 2, 0, &Device::flex()).network;
    with_images(16, &[0, 1], |images| {
        assert!(adabn(&plain, images, &Silent).unwrap_err().to_string().contains("no batch norms"));
    });
}
