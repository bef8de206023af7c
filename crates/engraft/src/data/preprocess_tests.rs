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
        bit_depth: None,
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
        bit_depth: None,
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
            bit_depth: None,
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

fn many(channels: usize, interpolation: Interpolation) -> Preprocessing {
    let each = |value| vec![value; channels];
    Preprocessing { channels, interpolation, mean: each(0.5), std: each(0.5), ..grey(9, 7, Resize::ShortestSide(10)) }
}

#[test]
fn every_channel_is_resized_as_if_it_were_alone() {
    let (width, height) = (23, 31);
    for channels in [2, 3, 4, 5, 8] {
        for interpolation in [Interpolation::Bilinear, Interpolation::Bicubic, Interpolation::Nearest] {
            let mut data: Vec<u8> = (0..width * height * channels).map(|i| (i * 37 % 251) as u8).collect();
            if channels == 4 {
                // Opaque, so that colours are not weighed.
                data.iter_mut().skip(3).step_by(4).for_each(|alpha| *alpha = 255);
            }
            let p = many(channels, interpolation);
            p.validate().unwrap();
            let all = p.prepare(&Pixels { width, height, channels, data: data.clone() }).unwrap().data;
            for channel in 0..channels {
                let plane = |data: &[u8]| data.iter().skip(channel).step_by(channels).copied().collect::<Vec<u8>>();
                let alone = Pixels { width, height, channels: 1, data: plane(&data) };
                assert_eq!(plane(&all), many(1, interpolation).prepare(&alone).unwrap().data, "{channels}");
            }
        }
    }
}

#[test]
fn what_hides_under_transparency_does_not_bleed_out() {
    // The left half is red and opaque, the right half green and clear.
    let row: Vec<u8> = (0..20).flat_map(|x| if x < 10 { [200, 0, 0, 255] } else { [0, 255, 0, 0] }).collect();
    let pixels = Pixels { width: 20, height: 20, channels: 4, data: row.repeat(20) };
    for interpolation in [Interpolation::Bilinear, Interpolation::Bicubic] {
        let p = Preprocessing { resize: Resize::Stretch, ..many(4, interpolation) };
        for pixel in p.prepare(&pixels).unwrap().data.chunks(4).filter(|pixel| pixel[3] > 0) {
            // Bicubic overshoots in red, by itself.
            let overshoot = if interpolation == Interpolation::Bicubic { 15 } else { 1 };
            assert!(pixel[0].abs_diff(200) <= overshoot && pixel[1] == 0, "{pixel:?}");
        }
    }
}

#[test]
fn channels_become_those_of_the_input_or_are_refused() {
    let pixel =
        |channels: usize| Pixels { width: 1, height: 1, channels, data: [200, 100, 50, 0][..channels].to_vec() };
    let prepared = |wanted: usize, given: usize| {
        many(wanted, Interpolation::Bilinear).prepare(&pixel(given)).map(|prepared| prepared.data[..wanted].to_vec())
    };
    assert_eq!(prepared(4, 1).unwrap(), [200, 200, 200, 255]);
    assert_eq!(prepared(4, 3).unwrap(), [200, 100, 50, 255]);
    assert_eq!(prepared(3, 4).unwrap(), [255, 255, 255], "over white");
    assert_eq!(prepared(1, 4).unwrap(), [255]);
    for (wanted, given) in [(2, 3), (3, 2), (5, 3), (1, 2)] {
        let error = prepared(wanted, given).unwrap_err().to_string();
        assert!(error.contains(&format!("{wanted} channels")), "{error}");
    }
    assert!(many(65, Interpolation::Nearest).validate().is_err());
    assert!(many(0, Interpolation::Nearest).validate().is_err());
}

#[test]
fn blue_first_leaves_alpha_last() {
    let p = Preprocessing {
        channel_order: ChannelOrder::Bgr,
        mean: vec![0.0; 4],
        std: vec![1.0 / 255.0; 4],
        ..many(4, Interpolation::Nearest)
    };
    assert_eq!(p.normalise(&[1, 2, 3, 4, 5, 6, 7, 8]), [3.0, 2.0, 1.0, 4.0, 7.0, 6.0, 5.0, 8.0]);
}

#[derive(Deserialize)]
struct Transparent {
    height: usize,
    width: usize,
    source: Vec<u8>,
    cases: Vec<TransparentCase>,
}

#[derive(Deserialize)]
struct TransparentCase {
    height: usize,
    width: usize,
    interpolation: Interpolation,
    result: Vec<u8>,
}

/// The fixture comes from `tests/fixtures/rgba.py`. A colour counts by its alpha: a level of a clear one is nothing.
#[test]
fn transparency_is_resized_as_pillow_does() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/rgba.json");
    let fixture: Transparent = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let pixels = Pixels { width: fixture.width, height: fixture.height, channels: 4, data: fixture.source };
    assert_eq!(fixture.cases.len(), 6);
    for TransparentCase { height, width, interpolation, result } in fixture.cases {
        let p = Preprocessing { height, width, resize: Resize::Stretch, ..many(4, interpolation) };
        let ours = p.prepare(&pixels).unwrap().data;
        assert_eq!(ours.len(), result.len());
        for (ours, theirs) in ours.chunks(4).zip(result.chunks(4)) {
            assert!(ours[3].abs_diff(theirs[3]) <= 1, "{ours:?} {theirs:?}");
            for channel in 0..3 {
                let apart = f64::from(ours[channel].abs_diff(theirs[channel])) * f64::from(theirs[3]) / 255.0;
                assert!(apart <= 2.0, "{interpolation:?}: {ours:?} {theirs:?}");
            }
        }
    }
}
