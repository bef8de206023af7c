//! Fine-tuning of every architecture: what is frozen stays to the bit, what learns has the right gradient, and LP-FT
//! starts where the probe is.

use std::path::{Path, PathBuf};

use burn::optim::GradientsParams;
use burn::prelude::*;
use burn::tensor::{Distribution, TensorData};
use engraft::bases::{Activation, Architecture, Base, Card, Device, Mode, Network, Pass, Statistics, move_statistics};
use engraft::data::image::Limits;
use engraft::features::Features;
use engraft::files::sha256_hex;
use engraft::methods::{
    Activations, AtCut, Change, FineTuned, FrozenPart, Journal, KeyedImages, Learners, Material, Plan, Regularisers,
    Spread, TuneSettings, Tuning, Views, tune,
};
use engraft::progress::Silent;
use engraft::settings::Start;
use engraft::targets::{TargetSettings, classes};
use engraft::train::{Gradients, Settings, TrainingImages, values_of, with_values};
use engraft_weights::{Precision, Weights};

/// One of each family, at an input as small as it takes.
const FAMILIES: [(Architecture, usize); 9] = [
    (Architecture::SMALL_RESNET, 32),
    (Architecture::CIFAR_RESNET20, 32),
    (Architecture::RESNET18, 64),
    (Architecture::RESNET50, 64),
    (Architecture::SQUEEZENET1_1, 64),
    (Architecture::MOBILENET_V1_025, 64),
    (Architecture::MOBILENET_V2, 64),
    (Architecture::TINY_DARKNET, 64),
    (Architecture::NASNET_MOBILE, 64),
];

const SPREAD: Spread = Spread {
    rate_factor: 2.6,
    head_rate: 10.0,
    weight_decay: 0.02,
    anchor: 0.0,
    gradual: false,
    statistics: Statistics::Stored,
};

fn images() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits/train");
    let of_class = |class: &str| {
        let mut paths: Vec<PathBuf> =
            std::fs::read_dir(folder.join(class)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.truncate(5);
        paths
    };
    ["0", "1"].map(of_class).concat()
}

/// A base of random weights whose batch norms have the statistics of a batch, as a trained one has.
fn base(architecture: Architecture, side: usize) -> Base {
    let mut card = Card::usual(architecture, "test".into());
    card.preprocessing.scale_to([side; 2]);
    let device = Device::flex();
    device.seed(7);
    let built = Network::random(&card, 2, 0, &device);
    let pass = Pass::default();
    let x = Tensor::<4>::random([4, side, side, card.preprocessing.channels], Distribution::Normal(0.0, 1.0), &device);
    let stages = built.network.stages().len();
    let _ = built.network.forward(x.into(), 0..stages, Mode::Train(&pass));
    let network = move_statistics(built.network, &[pass.into_statistics()], 1.0);
    let weights = Weights { tensors: built.manifest.export(&network, Precision::F32), ..Weights::default() };
    Base::from_weights(card, &weights, String::new(), &device).unwrap()
}

fn settings(start: Start) -> TuneSettings {
    TuneSettings {
        train: Settings { epochs: 2, batch_size: 4, shard_size: 4, lr: 1e-3, clip: Some(1.0), ..Settings::default() },
        start,
        regularisers: Regularisers {
            dropout: 0.0,
            feature_distance: 0.0,
            mixup: 0.0,
            cutmix: 0.0,
            label_smoothing: 0.0,
        },
        stochastic_depth: 0.0,
        low_rank: None,
        adapt_statistics: false,
    }
}

#[test]
fn frozen_stages_and_all_statistics_stay_to_the_bit_in_every_architecture() {
    let paths = images();
    let digests: Vec<String> = paths.iter().map(|path| sha256_hex(&std::fs::read(path).unwrap())).collect();
    let labels: Vec<usize> = (0..10).map(|at| at / 5).collect();
    for (architecture, side) in FAMILIES {
        let name = architecture.name();
        let base = base(architecture, side);
        let images =
            TrainingImages::new(sources(&paths), base.card.preprocessing.clone(), Limits::default(), &Silent).unwrap();
        let shown = KeyedImages { images: &images, digests: &digests };
        let views = Views { count: 1, change: Change::None, seed: 0 };
        let built = base.staged().unwrap();
        let stages = built.network.stages().len();
        let costs = base.costs();
        let cut = (0..stages).rev().find(|&stage| costs[stage].parameters > 0).unwrap();
        let plan = Plan::new(&built.network, &costs, Learners::From(cut), &SPREAD);
        let whole = Activations::new(&base, 0, shown, views.clone(), None, &Silent).unwrap();
        let all: Vec<usize> = (0..10).collect();
        let part = FrozenPart::new(&built.network, 0..stages, base.input());
        let features = Features::new(10, part.columns(), part.run(&whole.rows(&all, None).unwrap())).unwrap();
        let target = classes(labels.clone(), 2, &TargetSettings::default());
        let material = Material::Images { base: &base, shown, views: &views, cache: None };
        let at = AtCut::Images(Box::new(Activations::new(&base, cut, shown, views.clone(), None, &Silent).unwrap()));
        let tuning = Tuning { material, at: &at, plan: &plan, features: &features, strength: 1e-3, target: &*target };
        let journal = Journal::none();
        let tuned = tune(tuning, &settings(Start::Probe), &all, &[], (&journal, ""), &Silent, "test").unwrap();
        let FineTuned::Network(network) = tuned.grown else { panic!("a network") };
        let network = *network;
        let before = built.manifest.export(&built.network, Precision::F32);
        let after = built.manifest.export(&network, Precision::F32);
        let learns = values_of(built.network.stage(cut), |_, _| true);
        assert!(!learns.is_empty());
        let moved: Vec<&String> = before.keys().filter(|key| before[*key].values != after[*key].values).collect();
        assert!(!moved.is_empty(), "{name}: something has learnt");
        assert!(moved.iter().all(|key| !key.contains("running_")), "{name}: statistics stay");
        // Everything before the cut runs to the same bits.
        let untouched = FrozenPart::new(&network, 0..cut, base.input());
        let reference = FrozenPart::new(&built.network, 0..cut, base.input());
        let x = whole.rows(&all, None).unwrap();
        assert!(untouched.run(&x) == reference.run(&x), "{name}: frozen stages");
        let frozen: usize = (0..cut).map(|at| values_of(built.network.stage(at), |_, _| true).len()).sum();
        let same = before.len() - moved.len();
        assert!(same >= frozen, "{name}: {same} tensors are the same, {frozen} are frozen");
    }
}

/// The slope of a loss along its own gradient is the gradient's length: with stored statistics, through every layer.
#[test]
fn gradients_with_stored_statistics_are_slopes() {
    let device = Device::flex().autodiff();
    for (architecture, side) in FAMILIES {
        let name = architecture.name();
        let base = base(architecture, side);
        let built = base.staged().unwrap();
        let weights = Weights { tensors: built.manifest.export(&built.network, Precision::F32), ..Weights::default() };
        let network = Network::from_weights(&base.card, &weights, &device).unwrap().network;
        let stages = network.stages().len();
        let n = 2;
        let channels = base.card.preprocessing.channels;
        let x: Vec<f32> = (0..n * side * side * channels).map(|i| ((i * 37 % 101) as f32 - 50.0) / 40.0).collect();
        let loss = |network: &Network| {
            let x = Tensor::<4>::from_data(TensorData::new(x.clone(), [n, side, side, channels]), &device);
            let pass = Pass::default().with(Statistics::Stored);
            let y = network.forward(Activation::from(x), 0..stages, Mode::Train(&pass)).vector();
            assert!(pass.into_statistics().is_empty(), "nothing is noted");
            let columns = y.dims()[1];
            let weights: Vec<f32> = (0..n * columns).map(|i| ((i * 31 % 17) as f32 - 8.0) / 8.0).collect();
            (y * Tensor::<2>::from_data(TensorData::new(weights, [n, columns]), &device)).mean()
        };
        let gradients = GradientsParams::from_grads(loss(&network).backward(), &network);
        let gradients = Gradients::of(&network, gradients);
        let learning: Vec<usize> = (0..stages).filter(|&stage| base.costs()[stage].parameters > 0).collect();
        // The first stages of a deep network of random weights bend too much for a slope that f32 could measure.
        let is_deep = stages > 6 || architecture == Architecture::RESNET50;
        let measured = if is_deep { &learning[learning.len() - 1..] } else { &learning[..] };
        for &stage in measured {
            let of_stage = values_of(network.stage(stage), |id, _| gradients.0.contains_key(&id));
            let slopes = |id: &u64| gradients.0[id].iter().map(|slope| f64::from(*slope));
            let norm = of_stage.keys().flat_map(slopes).map(|slope| slope * slope).sum::<f64>().sqrt();
            assert!(norm.is_finite() && norm > 0.0, "{name}: {norm}");
            let size = of_stage.values().flatten().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            let at = |step: f64| {
                let mut moved = of_stage.clone();
                for (id, values) in &mut moved {
                    for (value, slope) in values.iter_mut().zip(slopes(id)) {
                        *value += (step / norm * slope) as f32;
                    }
                }
                f64::from(loss(&with_values(network.clone(), moved)).into_scalar::<f32>())
            };
            // A step that is small against the weights, and large against the rounding of the loss.
            let best = [1e-2, 1e-3, 1e-4, 1e-5]
                .map(|share| share * size)
                .map(|step| ((at(step) - at(-step)) / (2.0 * step) / norm - 1.0).abs())
                .into_iter()
                .fold(f64::INFINITY, f64::min);
            assert!(best < 0.02, "{name}, stage {stage}: the slope is off by {:.2} %", 100.0 * best);
        }
    }
}

#[test]
fn lp_ft_starts_at_the_probe() {
    let base = base(Architecture::SMALL_RESNET, 32);
    let paths = images();
    let digests: Vec<String> = paths.iter().map(|path| sha256_hex(&std::fs::read(path).unwrap())).collect();
    let labels: Vec<usize> = (0..10).map(|at| at / 5).collect();
    let images =
        TrainingImages::new(sources(&paths), base.card.preprocessing.clone(), Limits::default(), &Silent).unwrap();
    let shown = KeyedImages { images: &images, digests: &digests };
    let views = Views { count: 1, change: Change::None, seed: 0 };
    let built = base.staged().unwrap();
    let plan = Plan::new(&built.network, &base.costs(), Learners::From(1), &SPREAD);
    let activations = Activations::new(&base, 1, shown, views.clone(), None, &Silent).unwrap();
    let all: Vec<usize> = (0..10).collect();
    let stages = built.network.stages().len();
    let part = FrozenPart::new(&built.network, 1..stages, base.input());
    let features = Features::new(10, part.columns(), part.run(&activations.rows(&all, None).unwrap())).unwrap();
    let target = classes(labels, 2, &TargetSettings::default());
    let material = Material::Images { base: &base, shown, views: &views, cache: None };
    let at = AtCut::Images(Box::new(activations));
    let tuning = Tuning { material, at: &at, plan: &plan, features: &features, strength: 1e-1, target: &*target };
    let first_loss = |start: Start| {
        let mut settings = settings(start);
        settings.train.batch_size = 10;
        settings.train.shard_size = 10;
        let journal = Journal::none();
        let tuned = tune(tuning, &settings, &all, &[], (&journal, ""), &Silent, "test").unwrap();
        tuned.curve.steps[0].train.loss
    };
    let (probe, random) = (first_loss(Start::Probe), first_loss(Start::Random));
    assert!(probe < 0.5 * random, "the probe's head begins at {probe}, a random one at {random}");
}

fn sources(paths: &[PathBuf]) -> Vec<engraft::data::ImageSource> {
    paths.iter().cloned().map(Into::into).collect()
}
