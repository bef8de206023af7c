//! Every operation against torchvision, on 8-bit images. The fixture comes from `tests/fixtures/augment.py`.

use std::path::PathBuf;

use serde::Deserialize;

use super::crop::Crop;
use super::geometry::Shape;
use super::rand_augment::Operation;
use super::*;
use crate::data::image::Pixels;
use crate::data::preprocess::Interpolation;

#[derive(Deserialize)]
struct Fixture {
    images: Vec<Stored>,
    operations: Vec<Case>,
    crops: Vec<Cropped>,
}

/// Bytes of a shape, somewhere in the file of bytes.
#[derive(Deserialize)]
struct Stored {
    shape: Shape,
    at: usize,
}

#[derive(Deserialize)]
struct Case {
    image: usize,
    operation: String,
    level: u8,
    negative: bool,
    magnitude: f32,
    at: usize,
}

#[derive(Deserialize)]
struct Cropped {
    image: usize,
    crop: [usize; 4],
    size: [usize; 2],
    interpolation: Interpolation,
    at: usize,
}

fn fixture() -> (Fixture, Vec<u8>) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/augment");
    let cases = serde_json::from_slice(&std::fs::read(folder.join("cases.json")).unwrap()).unwrap();
    (cases, std::fs::read(folder.join("pictures.bin")).unwrap())
}

#[track_caller]
fn within_a_level(what: &str, ours: &[u8], reference: &[u8]) {
    assert_eq!(ours.len(), reference.len(), "{what}");
    let worst = ours.iter().zip(reference).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    assert!(worst <= 1, "{what}: {worst}");
}

#[test]
fn every_operation_is_torchvisions() {
    let (fixture, bytes) = fixture();
    let mut seen = std::collections::BTreeSet::new();
    for case in &fixture.operations {
        let Stored { shape, at } = fixture.images[case.image];
        let len = shape.0 * shape.1 * shape.2;
        let operation = Operation::ALL.into_iter().find(|o| format!("{o:?}") == case.operation).unwrap();
        let what = format!("{operation:?} {} of image {}", case.magnitude, case.image);
        let magnitude = operation.magnitude(case.level, shape);
        let magnitude = if case.negative { -magnitude } else { magnitude };
        assert!((magnitude - case.magnitude).abs() <= 1e-5 * case.magnitude.abs(), "{what}: {magnitude}");
        assert!(operation.is_signed() || !case.negative);
        let ours = operation.apply(magnitude, bytes[at..at + len].to_vec(), shape);
        within_a_level(&what, &ours, &bytes[case.at..case.at + len]);
        seen.insert(case.operation.clone());
    }
    assert_eq!(seen.len(), Operation::ALL.len());
}

#[test]
fn a_resized_crop_is_torchvisions() {
    let (fixture, bytes) = fixture();
    assert!(!fixture.crops.is_empty());
    for case in &fixture.crops {
        let Stored { shape: (height, width, channels), at } = fixture.images[case.image];
        let pixels = Pixels { width, height, channels, data: bytes[at..at + height * width * channels].to_vec() };
        let [top, left, rows, columns] = case.crop;
        let [h, w] = case.size;
        let preprocessing = crate::data::preprocess::Preprocessing {
            interpolation: case.interpolation,
            ..crop::same_shape((h, w, channels))
        };
        let ours = Crop { top, left, height: rows, width: columns }.prepared(&pixels, &preprocessing).unwrap();
        within_a_level(&format!("{:?}", case.crop), &ours, &bytes[case.at..case.at + h * w * channels]);
    }
}
