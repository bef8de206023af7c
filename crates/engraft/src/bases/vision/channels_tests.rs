use super::*;
use crate::bases::{Activation, Architecture, Card, Device, Mode, Network, NetworkWeights, Pass};
use crate::data::image::Pixels;
use crate::rng::rng;
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};
use engraft_weights::{Precision, Weights};
use rand::RngExt;

/// One architecture of each family.
const FAMILIES: [Architecture; 13] = [
    Architecture::SMALL_RESNET,
    Architecture::MOBILENET_V1_025,
    Architecture::MOBILENET_V1_025_TINY,
    Architecture::MOBILENET_V2,
    Architecture::SQUEEZENET1_0,
    Architecture::SQUEEZENET1_1,
    Architecture::TINY_DARKNET,
    Architecture::RESNET8,
    Architecture::CIFAR_RESNET20,
    Architecture::RESNET18,
    Architecture::RESNET50_V1,
    Architecture::INCEPTION_V3,
    Architecture::NASNET_MOBILE,
];

/// A base of random weights for small images of three channels.
fn base(architecture: Architecture, mean: [f64; 3], std: [f64; 3], device: &Device) -> Base {
    let mut card = Card::usual(architecture, "test".into());
    card.preprocessing = Preprocessing { channels: 3, mean: mean.to_vec(), std: std.to_vec(), ..card.preprocessing };
    let card = card.for_image_size(architecture.smallest_input() + 9).unwrap();
    let built = Network::random(&card, 2, 1, device);
    Base { card, body: Body::Stages(Box::new(built)), sha256: "0".repeat(64), remarks: Vec::new(), exact: false }
}

fn built(base: &Base) -> &NetworkWeights {
    base.staged().unwrap()
}

fn grey_image(base: &Base) -> Pixels {
    let [height, width] = base.input();
    let mut stream = rng(1, "picture", 0);
    Pixels { width, height, channels: 1, data: (0..height * width).map(|_| stream.random()).collect() }
}

fn input(base: &Base, pixels: &Pixels) -> Vec<f32> {
    let p = Preprocessing { resize: crate::data::preprocess::Resize::Stretch, ..base.card.preprocessing.clone() };
    p.normalise(&p.prepare(pixels).unwrap().data)
}

fn features(base: &Base, pixels: &Pixels) -> Vec<f32> {
    let runner = base.runner(base.stages().len(), &Device::flex()).unwrap();
    runner.rows(&[input(base, pixels)]).unwrap().swap_remove(0)
}

#[track_caller]
fn close(what: &str, ours: &[f32], reference: &[f32]) {
    assert_eq!(ours.len(), reference.len(), "{what}");
    let unit = reference.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    let worst = ours.iter().zip(reference).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(unit > 0.0 && worst <= 1e-4 * unit, "{what}: {worst} of {unit}");
}

const NONE: ChannelStatistics = ChannelStatistics { mean: None, std: None };

#[test]
fn grey_images_give_what_three_equal_channels_gave() {
    let device = Device::flex();
    for architecture in FAMILIES {
        let name = architecture.name();
        // Without padding any means do; with it, they must agree.
        for mean in [[0.485, 0.456, 0.406], [0.45; 3]] {
            let three = base(architecture, mean, [0.229, 0.224, 0.31], &device);
            let one = base(architecture, mean, [0.229, 0.224, 0.31], &device).for_channels(1, &NONE).unwrap();
            let p = &one.card.preprocessing;
            assert_eq!((p.channels, p.mean.len(), p.std.len()), (1, 1, 1));
            let pixels = grey_image(&three);
            let border = one.remarks[0].contains("border");
            if !border {
                close(name, &features(&one, &pixels), &features(&three, &pixels));
            }
            let valid = ["squeezenet", "inception", "nasnet"].iter().any(|family| name.starts_with(family));
            assert_eq!(border, mean[0] != mean[1] && !valid, "{name}: {:?}", one.remarks);
            if mean[0] == mean[1] {
                assert_eq!(p.mean, [0.45]);
            }
        }
    }
}

#[test]
fn where_padding_stood_for_a_colour_the_inside_is_exact_and_the_border_nearly() {
    let device = Device::flex();
    for architecture in [Architecture::SMALL_RESNET, Architecture::MOBILENET_V2, Architecture::CIFAR_RESNET20] {
        let open = || base(architecture, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225], &device);
        let (three, one) = (open(), open().for_channels(1, &NONE).unwrap());
        let pixels = grey_image(&three);
        let [h, w] = three.input();
        let map = |base: &Base| {
            let x = TensorData::new(input(base, &pixels), [1, h, w, base.card.preprocessing.channels]);
            let x = Tensor::<4>::from_data(x, &device);
            built(base).network.forward(x.into(), 0..1, Mode::Frozen).maps().swap_remove(0)
        };
        let numbers = |map: Tensor<4>| map.into_data().try_to_vec::<f32>().unwrap();
        let inside = |map: &Tensor<4>| {
            let [_, h, w, _] = map.dims();
            numbers(map.clone().narrow(1, 1, h - 2).narrow(2, 1, w - 2))
        };
        let (a, b) = (map(&one), map(&three));
        close(architecture.name(), &inside(&a), &inside(&b));
        let (a, b) = (numbers(a), numbers(b));
        assert_ne!(a, b, "the test sees the border");
        let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|value| value * value).sum::<f32>().sqrt();
        let apart = norm(&mut a.iter().zip(&b).map(|(a, b)| a - b)) / norm(&mut b.iter().copied());
        assert!(apart < 0.05, "{}: {apart}", architecture.name());
    }
}

#[test]
fn three_equal_channels_give_what_one_gave() {
    let device = Device::flex();
    let mut card = Card::usual(Architecture::SMALL_RESNET, "test".into());
    card.preprocessing.channels = 1;
    let open = || {
        let body = Body::Stages(Box::new(Network::random(&card, 2, 1, &device)));
        Base { card: card.clone(), body, sha256: String::new(), remarks: Vec::new(), exact: false }
    };
    let (one, three) = (open(), open().for_channels(3, &NONE).unwrap());
    let pixels = grey_image(&one);
    close("three", &features(&three, &pixels), &features(&one, &pixels));
    assert!(three.remarks[0].contains("1/3"), "{:?}", three.remarks);
}

/// The fixture comes from `tests/fixtures/adapt_input_conv.py`.
#[test]
fn filters_are_timms() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/adapt_input_conv.json");
    let cases: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let numbers = |value: &serde_json::Value| -> Vec<f32> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
    };
    let cases = cases.as_array().unwrap();
    assert!(cases.len() >= 6);
    for case in cases {
        let [old, new, outputs] = ["old", "new", "outputs"].map(|key| case[key].as_u64().unwrap() as usize);
        // Both with channels before outputs, [rows, columns, C_in, C_out].
        let filters = numbers(&case["filters"]);
        let shape = [2, 3, old, outputs];
        let remix = if new == 1 {
            let mut own = base(Architecture::SMALL_RESNET, [0.4; 3], [0.2; 3], &Device::flex()).card.preprocessing;
            (own.mean, own.std) = (vec![0.4; old], vec![0.2; old]);
            Remix::summed(&own, 0.4, 0.2)
        } else {
            Remix::repeated(old, new)
        };
        close(&format!("{old} to {new}"), &remix.filters(&filters, shape), &numbers(&case["adapted"]));
        assert!(remix.summand(&filters, shape).iter().all(|sum| *sum == 0.0));
    }
}

#[test]
fn four_channels_are_colours_in_the_networks_order_and_alpha() {
    let device = Device::flex();
    let mut three = base(Architecture::CIFAR_RESNET20, [0.1, 0.2, 0.6], [0.2, 0.3, 0.4], &device);
    three.card.preprocessing.channel_order = ChannelOrder::Bgr;
    let before = three.weights_fingerprint();
    let four = three.for_channels(4, &NONE).unwrap();
    let p = &four.card.preprocessing;
    assert!((p.mean[3] - 0.3).abs() < 1e-12 && (p.std[3] - 0.3).abs() < 1e-12);
    assert_eq!(p.mean[..3], [0.1, 0.2, 0.6]);
    assert_ne!(four.weights_fingerprint(), before);
    let pixel = Pixels { width: 1, height: 1, channels: 4, data: vec![255, 0, 51, 255] };
    let first = &input(&four, &pixel)[..4];
    let expected = [(0.2 - 0.1) / 0.2, (0.0 - 0.2) / 0.3, (1.0 - 0.6) / 0.4, (1.0 - 0.3) / 0.3];
    assert!(first.iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6), "{first:?}");
    assert_eq!(features(&four, &pixel).len(), 64);

    let said = ChannelStatistics { mean: Some(vec![0.5; 4]), std: Some(vec![0.25; 4]) };
    let four = base(Architecture::CIFAR_RESNET20, [0.1, 0.2, 0.6], [0.2; 3], &device).for_channels(4, &said).unwrap();
    assert_eq!((four.card.preprocessing.mean[3], four.card.preprocessing.std[0]), (0.5, 0.25));
}

/// As a run's folder and an imported base have it: tensors by name, and the card.
#[test]
fn an_opened_base_survives_its_file() {
    let device = Device::flex();
    for channels in [1, 4] {
        let opened = base(Architecture::SQUEEZENET1_1, [0.5, 0.4, 0.3], [0.5, 0.25, 0.2], &device);
        let opened = opened.for_channels(channels, &NONE).unwrap();
        let tensors = built(&opened).manifest.export(&built(&opened).network, Precision::F32);
        let weights = Weights { tensors, ..Weights::default() };
        let read = Base::from_weights(opened.card.clone(), &weights, String::new(), &device).unwrap();
        let pixels = grey_image(&opened);
        assert_eq!(features(&read, &pixels), features(&opened, &pixels));
        assert_eq!(read.weights_fingerprint(), opened.weights_fingerprint());
    }
}

#[test]
fn what_cannot_be_opened_is_refused() {
    let open = || base(Architecture::SMALL_RESNET, [0.5; 3], [0.5; 3], &Device::flex());
    assert!(matches!(open().for_channels(0, &NONE), Err(Error::Usage(_))));
    let four = open().for_channels(4, &NONE).unwrap();
    assert!(matches!(four.for_channels(1, &NONE), Err(Error::Usage(_))));
    let said = ChannelStatistics { mean: Some(vec![0.5; 3]), std: None };
    assert!(open().for_channels(4, &said).unwrap_err().to_string().contains("mean"));
    let same = open();
    let fingerprint = same.weights_fingerprint();
    let same = same.for_channels(3, &NONE).unwrap();
    assert!(same.remarks.is_empty());
    assert_eq!(same.weights_fingerprint(), fingerprint);
}

#[test]
fn an_opened_network_still_learns() {
    let device = Device::flex().autodiff();
    let gradients = |base: &Base| {
        let c = base.card.preprocessing.channels;
        let x = Tensor::<4>::ones([2, base.input()[0], base.input()[1], c], &device);
        let network = &built(base).network;
        let pass = Pass::default();
        let out = network.forward(Activation::from(x), 0..network.stages().len(), Mode::Train(&pass)).vector();
        GradientsParams::from_grads(out.sum().backward(), network).len()
    };
    for architecture in [Architecture::SMALL_RESNET, Architecture::SQUEEZENET1_1] {
        let open = || base(architecture, [0.5, 0.4, 0.3], [0.5; 3], &device);
        assert_eq!(gradients(&open().for_channels(1, &NONE).unwrap()), gradients(&open()));
    }
}
