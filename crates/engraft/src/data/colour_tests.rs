use std::path::PathBuf;

use image::{DynamicImage, ImageFormat, RgbImage};
use proptest::prelude::*;

use super::*;
use crate::data::image::{Decoded, Limits, decode_and_tell, decode_rgba};

/// The fixtures come from `tests/fixtures/profiles.py`.
fn fixture(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/profiles");
    std::fs::read(folder.join(name)).unwrap()
}

fn decoded(bytes: &[u8]) -> Decoded {
    decode_and_tell(bytes, &Limits::default(), None).unwrap()
}

/// The largest and the mean difference.
fn differences(ours: &[u8], theirs: &[u8]) -> (u8, f64) {
    assert_eq!(ours.len(), theirs.len());
    let each = || ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b));
    (each().max().unwrap(), each().map(f64::from).sum::<f64>() / ours.len() as f64)
}

#[test]
fn profiles_are_applied_as_littlecms_applies_them() {
    for (name, most, mean) in [
        ("adobe_rgb.png", 2, 0.5),
        ("p3.webp", 2, 0.5),
        ("p3.tiff", 2, 0.5),
        ("p3.jpg", 4, 0.7),
        ("grey.png", 2, 0.5),
        ("grey_p3.png", 2, 0.5),
        ("cmyk.jpg", 6, 1.2),
    ] {
        let Decoded { pixels, profile, .. } = decoded(&fixture(name));
        assert_eq!((pixels.width, pixels.height, profile), (24, 16, None), "{name}");
        let found = differences(&pixels.data, &fixture(&format!("{name}.bin")));
        assert!(found.0 <= most && found.1 <= mean, "{name}: {found:?}");
    }
    let pixels = decode_rgba(&fixture("p3_alpha.png"), &Limits::default(), None).unwrap();
    let found = differences(&pixels.data, &fixture("p3_alpha.png.bin"));
    assert!(found.0 <= 2 && found.1 <= 0.5, "{found:?}");
}

/// A PNG with other bytes as its profile.
fn with_profile(profile: &[u8]) -> Vec<u8> {
    use image::ImageEncoder;
    let image = RgbImage::from_fn(8, 8, |x, y| image::Rgb([(x * 30) as u8, (y * 30) as u8, 90]));
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::png::PngEncoder::new(&mut bytes);
    encoder.set_icc_profile(profile.to_vec()).unwrap();
    encoder.write_image(image.as_raw(), 8, 8, image::ExtendedColorType::Rgb8).unwrap();
    bytes
}

fn profile_of(name: &str) -> Vec<u8> {
    use image::ImageDecoder;
    let bytes = fixture(name);
    let reader = image::ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format().unwrap();
    reader.into_decoder().unwrap().icc_profile().unwrap().unwrap()
}

#[test]
fn a_profile_that_changes_nothing_leaves_every_bit() {
    let bytes = fixture("srgb.png");
    let plain = image::load_from_memory_with_format(&bytes, ImageFormat::Png).unwrap().into_rgb8();
    let Decoded { pixels, profile, .. } = decoded(&bytes);
    assert_eq!((pixels.data.as_slice(), profile), (plain.as_raw().as_slice(), None));
}

#[test]
fn a_profile_that_cannot_be_used_is_ignored_and_named() {
    let plain = decoded(&with_profile(&profile_of("srgb.png"))).pixels;
    let adobe = profile_of("adobe_rgb.png");
    assert_ne!(decoded(&with_profile(&adobe)).pixels, plain);
    let mut huge = adobe.clone();
    huge.resize(LIMIT, 0);
    for (profile, reason) in [
        (b"no profile".to_vec(), ""),
        (adobe[..200].to_vec(), ""),
        (profile_of("grey.png"), "Gray"),
        (profile_of("cmyk.jpg"), "Cmyk"),
        (huge, "over the limit"),
    ] {
        let found = decoded(&with_profile(&profile));
        assert_eq!(found.pixels, plain);
        let said = found.profile.unwrap();
        assert!(said.contains(reason), "{said}");
    }
}

#[test]
fn sixteen_bits_stay_until_the_end() {
    let deep = |image: DynamicImage| {
        let (converted, note) = to_srgb(image, Some(&profile_of("adobe_rgb.png"))).unwrap();
        assert_eq!(note, None);
        converted
    };
    let eight = RgbImage::from_fn(16, 16, |x, y| image::Rgb([(x * 16) as u8, (y * 16) as u8, 128]));
    let sixteen = DynamicImage::ImageRgb16(DynamicImage::ImageRgb8(eight.clone()).into_rgb16());
    let (eight, sixteen) = (deep(DynamicImage::ImageRgb8(eight)), deep(sixteen));
    assert!(matches!(sixteen, DynamicImage::ImageRgb16(_)));
    let found = differences(eight.into_rgb8().as_raw(), sixteen.into_rgb8().as_raw());
    assert!(found.0 <= 1, "{found:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever a profile says, there is an image, and no panic.
    #[test]
    fn damaged_profiles_do_no_harm(
        which in 0usize..3,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut profile = profile_of(["adobe_rgb.png", "grey.png", "cmyk.jpg"][which]);
        for (at, byte) in changes {
            let at = at.index(profile.len().min(700));
            profile[at] = byte;
        }
        if let Some(cut) = cut {
            profile.truncate(cut.index(profile.len()));
        }
        let _ = to_srgb(DynamicImage::new_rgb8(5, 4), Some(&profile));
        let _ = to_srgb(DynamicImage::new_luma8(5, 4), Some(&profile));
        let _ = inks_to_srgb(&[100; 40], &profile);
    }
}
