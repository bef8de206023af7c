use super::*;
use crate::data::image::{Limits, decode};
use proptest::prelude::*;
use std::path::PathBuf;

fn imagenet() -> Preprocessing {
    Preprocessing {
        height: 224,
        width: 224,
        channels: 3,
        channel_order: ChannelOrder::Rgb,
        resize: Resize::ShortestSide(256),
        interpolation: Interpolation::Bilinear,
        mean: vec![0.485, 0.456, 0.406],
        std: vec![0.229, 0.224, 0.225],
    }
}

fn grey(height: usize, width: usize, resize: Resize) -> Preprocessing {
    let interpolation = Interpolation::Bilinear;
    Preprocessing {
        height,
        width,
        channels: 1,
        channel_order: ChannelOrder::Rgb,
        resize,
        interpolation,
        mean: vec![0.5],
        std: vec![0.5],
    }
}

#[derive(Deserialize)]
struct Case {
    source: String,
    height: usize,
    width: usize,
    channels: usize,
    side: Option<usize>,
    interpolation: Interpolation,
    result: String,
}

/// The fixtures come from `tests/fixtures/resize.py`.
#[test]
fn resizing_is_pillows_within_one_grey_level() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/resize");
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(folder.join("cases.json")).unwrap()).unwrap();
    assert!(cases.len() > 20);
    for case in cases {
        let source = std::fs::read(folder.join(format!("{}.png", case.source))).unwrap();
        let pixels = decode(&source, &Limits::default()).unwrap();
        let preprocessing = Preprocessing {
            height: case.height,
            width: case.width,
            channel_order: ChannelOrder::Rgb,
            channels: case.channels,
            resize: case.side.map_or(Resize::Stretch, Resize::ShortestSide),
            interpolation: case.interpolation,
            mean: vec![0.0; case.channels],
            std: vec![1.0; case.channels],
        };
        preprocessing.validate().unwrap();
        let prepared = preprocessing.prepare(&pixels).unwrap().data;
        let expected = std::fs::read(folder.join(&case.result)).unwrap();
        assert_eq!(prepared.len(), expected.len(), "{}", case.result);
        let allowed = if case.interpolation == Interpolation::Nearest { 0 } else { 1 };
        let worst = prepared.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= allowed, "{}: {worst}", case.result);
    }
}

#[test]
fn scaling_by_a_power_of_two_is_exact() {
    let mut preprocessing = grey(1, 256, Resize::Stretch);
    preprocessing.mean = vec![128.0 / 255.0];
    preprocessing.std = vec![128.0 / 255.0];
    let bytes: Vec<u8> = (0..=255).collect();
    let expected: Vec<f32> = (0..256).map(|byte| (byte as f32 - 128.0) / 128.0).collect();
    assert_eq!(preprocessing.normalise(&bytes), expected);
}

#[test]
fn each_channel_has_its_own_scale() {
    let scaled = imagenet().normalise(&[0, 0, 0, 255, 255, 255]);
    let expected = [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225, 0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225];
    for (value, expected) in scaled.iter().zip(expected) {
        assert!((f64::from(*value) - expected).abs() < 1e-6);
    }
}

#[test]
fn a_ribbon_costs_no_more_than_its_centre() {
    // Resized whole it would have 224 x 22 million pixels.
    let pixels = Pixels { width: 100_000, height: 1, channels: 1, data: vec![9; 100_000] };
    let prepared = grey(224, 224, Resize::ShortestSide(224)).prepare(&pixels).unwrap();
    assert!(prepared.data.iter().all(|&value| value == 9));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let refused = |change: fn(&mut Preprocessing)| {
        let mut preprocessing = imagenet();
        change(&mut preprocessing);
        assert!(matches!(preprocessing.validate(), Err(Error::Weights(_))));
    };
    imagenet().validate().unwrap();
    refused(|p| p.height = 0);
    refused(|p| p.width = 1 << 40);
    refused(|p| p.channels = 2);
    refused(|p| p.resize = Resize::ShortestSide(223));
    refused(|p| p.resize = Resize::ShortestSide(usize::MAX));
    refused(|p| p.mean = vec![0.5]);
    refused(|p| p.std[1] = 0.0);
    refused(|p| p.std[1] = -1.0);
    refused(|p| p.mean[2] = f64::NAN);
    let empty = Pixels { width: 0, height: 0, channels: 3, data: Vec::new() };
    assert!(imagenet().prepare(&empty).is_err());
    let short = Pixels { width: 2, height: 2, channels: 3, data: vec![0; 11] };
    assert!(imagenet().prepare(&short).is_err());
}

#[test]
fn the_fingerprint_is_pinned_and_tells_settings_apart() {
    // A change here throws away every user's cache.
    assert_eq!(imagenet().fingerprint(), PINNED);
    let mut other = imagenet();
    other.std[2] = 0.2250001;
    assert_ne!(other.fingerprint(), PINNED);
}
const PINNED: &str = "88f0cdb84ff9ba8851b7f647ed618ca28aeabbc5a9c3d1090a5dd3b5d90ee47f";

#[test]
fn unknown_settings_are_refused() {
    let text = serde_json::to_string(&imagenet()).unwrap();
    assert_eq!(serde_json::from_str::<Preprocessing>(&text).unwrap(), imagenet());
    assert!(text.contains(r#""resize":{"shortest-side":256},"interpolation":"bilinear""#), "{text}");
    assert!(serde_json::from_str::<Preprocessing>(&text.replace("\"mean\"", "\"crop\":1,\"mean\"")).is_err());
}

proptest! {
    #[test]
    fn any_size_is_prepared(
        width in 1..200_usize, height in 1..200_usize, wide in 1..50_usize, high in 1..50_usize, extra in 0..20_usize,
    ) {
        let pixels = Pixels { width, height, channels: 3, data: vec![200; width * height * 3] };
        for resize in [Resize::Stretch, Resize::ShortestSide(wide.max(high) + extra)] {
            for interpolation in [Interpolation::Bilinear, Interpolation::Bicubic, Interpolation::Nearest] {
                let preprocessing = Preprocessing { interpolation, ..grey(high, wide, resize) };
                preprocessing.validate().unwrap();
                let prepared = preprocessing.prepare(&pixels).unwrap();
                prop_assert_eq!(prepared.data, vec![200; high * wide]);
            }
        }
    }
}
