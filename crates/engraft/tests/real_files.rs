//! Real weights against their reference programs, on real photos: skipped where there is no folder of test data.

mod reference;

use std::path::Path;

use engraft::bases::{Base, BaseSpec, Device, open};
use engraft::features::Extractor;
use reference::{fixture, numbers, test_data, uniform};
use serde_json::Value;

fn base(data: &Path, file: &str) -> Base {
    let base = open(&BaseSpec::named(data.join("weights").join(file).to_str().unwrap()), &Device::flex()).unwrap();
    assert!(base.remarks.is_empty(), "{file} is known by its SHA-256: {:?}", base.remarks);
    base
}

/// The fixture's image, `[side, side, 3]`: byte i is floor(255.99 u).
fn formula_image(side: usize) -> Vec<u8> {
    let u = uniform("input");
    (0..(side * side * 3) as u64).map(|i| (255.99 * u(i)) as u8).collect()
}

/// The first features, the norm and the strongest, in units of the strongest.
#[track_caller]
fn features_agree(what: &str, row: &[f32], expected: &Value, tolerance: f64) {
    let strongest = numbers(&expected["strongest"]);
    let unit = strongest[1];
    let near = |name: &str, ours: f64, theirs: f64, unit: f64| {
        assert!((ours - theirs).abs() <= tolerance * unit, "{what}, {name}: {ours} against {theirs}, unit {unit}");
    };
    for (i, wanted) in numbers(&expected["pooled"]).into_iter().enumerate() {
        near(&format!("feature {i}"), f64::from(row[i]), wanted, unit);
    }
    near("strongest", f64::from(row[strongest[0] as usize]), unit, unit);
    let norm = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    let wanted = expected["norm"].as_f64().unwrap();
    near("norm", norm, wanted, wanted);
}

#[test]
fn every_real_file_gives_its_reference_programs_numbers() {
    let Some(data) = test_data() else { return };
    let reference = fixture("real_files.json");
    // The file, its reference, and whether the reference computed in bytes.
    for (file, name, quantised) in [
        ("squeezenet1_0_torchvision.safetensors", "squeezenet1_0", false),
        ("squeezenet1_0_torchvision.pth", "squeezenet1_0", false),
        ("tiny_darknet.safetensors", "tiny_darknet", false),
        ("resnet20-12fca82f.th", "resnet20", false),
        ("resnet32-d509ac18.th", "resnet32", false),
        ("vww_96.h5", "vww_96", false),
        ("pretrainedResnet.h5", "pretrainedResnet", false),
        ("squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5", "keras_squeezenet_tf", false),
        ("squeezenet_weights_th_dim_ordering_th_kernels_notop.h5", "keras_squeezenet_tf", false),
        ("mobilenet_v2_1.0_224_quant.torchvision.safetensors", "mobilenet_v2_quant", true),
    ] {
        let reference = &reference["networks"][name];
        let device = Device::flex();
        let base = base(&data, file);
        let own_classes = base.classifier();
        let extractor = Extractor::to_features(&base, &device).unwrap();
        let p = &base.card.preprocessing;
        let classify = |values: Vec<f32>| -> Option<(usize, f64)> {
            let logits = own_classes.as_ref()?.rows(&[values]).unwrap().swap_remove(0);
            let top = (0..logits.len()).fold(0, |best, i| if logits[i] > logits[best] { i } else { best });
            let sum: f64 = logits.iter().map(|z| f64::from(z - logits[top]).exp()).sum();
            Some((top, 1.0 / sum))
        };
        // Without any resizing: nothing but the network is compared.
        let values = p.normalise(&formula_image(p.height));
        let row = base
            .runner(base.stages().len(), &device)
            .unwrap()
            .rows(std::slice::from_ref(&values))
            .unwrap()
            .swap_remove(0);
        let expected = &reference["formula"];
        if !quantised {
            features_agree(&format!("{file}, formula"), &row, expected, 1e-4);
            if let Some((top, probability)) = classify(values) {
                assert_eq!(top as u64, expected["top"].as_u64().unwrap(), "{file}, formula");
                let wanted = expected["probability"].as_f64().unwrap();
                assert!((probability - wanted).abs() < 1e-3, "{file}, formula: {probability} against {wanted}");
            }
        }
        // Photos: resizing may differ by a level of a byte, and TensorFlow Lite computes in bytes.
        for (photo, expected) in reference.as_object().unwrap() {
            if !photo.contains('.') {
                continue;
            }
            let bytes = std::fs::read(data.join("images").join(photo)).unwrap();
            let row = extractor.row(&bytes).unwrap();
            if !quantised {
                features_agree(&format!("{file}, {photo}"), &row, expected, 0.05);
            }
            if let Some((top, probability)) = classify(extractor.reader().prepared(&bytes).unwrap()) {
                // TensorFlow Lite's classes begin with the background.
                let wanted = expected["top"].as_u64().unwrap() - u64::from(quantised);
                assert_eq!(top as u64, wanted, "{file}, {photo}");
                let wanted = expected["probability"].as_f64().unwrap();
                let tolerance = if quantised { 0.15 } else { 0.05 };
                assert!((probability - wanted).abs() < tolerance, "{file}, {photo}: {probability} against {wanted}");
            }
        }
    }
}

/// Real bases opened for grey images: what they gave for three equal channels. SqueezeNet does not pad its first
/// convolution, Tiny Darknet's means agree; CIFAR's ResNet-20 pads, and its means do not agree.
#[test]
fn a_grey_image_gives_what_it_gave_as_three_equal_channels() {
    let Some(data) = test_data() else { return };
    let device = Device::flex();
    let photo = image_bytes_in_grey(&std::fs::read(data.join("images/coral_cat.png")).unwrap());
    for (file, tolerance) in [
        ("squeezenet1_0_torchvision.safetensors", 1e-4),
        ("tiny_darknet.safetensors", 1e-4),
        ("resnet20-12fca82f.th", 0.05),
    ] {
        let path = data.join("weights").join(file);
        let named = BaseSpec::named(path.to_str().unwrap());
        let three = open(&named, &device).unwrap();
        let one = open(&BaseSpec { channels: Some(1), ..named }, &device).unwrap();
        assert_eq!(one.card.preprocessing.channels, 1);
        assert_eq!(one.remarks[0].contains("border"), tolerance > 1e-3, "{:?}", one.remarks);
        let [a, b] = [&three, &one].map(|base| Extractor::to_features(base, &device).unwrap());
        assert_ne!(a.space(), b.space(), "{file}: rows of the two must not meet in the cache");
        let [a, b] = [a, b].map(|extractor| extractor.row(&photo).unwrap());
        let unit = a.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        let worst = a.iter().zip(&b).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
        assert!(worst <= tolerance * unit, "{file}: {worst} of {unit}");
    }
}

/// An image without colours, as PNG.
fn image_bytes_in_grey(bytes: &[u8]) -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    let grey = image::load_from_memory(bytes).unwrap().into_luma8();
    grey.write_to(&mut out, image::ImageFormat::Png).unwrap();
    out.into_inner()
}

#[test]
fn a_file_in_another_format_or_order_gives_the_same_bits() {
    let Some(data) = test_data() else { return };
    for pair in [
        ["squeezenet1_0_torchvision.safetensors", "squeezenet1_0_torchvision.pth"],
        [
            "squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "squeezenet_weights_th_dim_ordering_th_kernels_notop.h5",
        ],
    ] {
        let rows = pair.map(|file| {
            let base = base(&data, file);
            let extractor = Extractor::to_features(&base, &Device::flex()).unwrap();
            let row = extractor.row(&std::fs::read(data.join("images/dog.jpg")).unwrap()).unwrap();
            row.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
        });
        assert_eq!(rows[0], rows[1], "{pair:?}");
    }
}
