use super::*;
use image::codecs::jpeg::JpegEncoder;
use image::{GrayImage, ImageBuffer, Luma, LumaA, Rgb, RgbImage, Rgba};
use proptest::prelude::*;
use std::path::PathBuf;

fn image(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x * 5 % 256) as u8, (y * 7 % 256) as u8, ((x + 3 * y) % 256) as u8]))
}

fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn decoded(bytes: &[u8]) -> Result<Pixels, DecodeError> {
    decode(bytes, &Limits::default())
}

const FORMATS: [ImageFormat; 6] =
    [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::Gif];

#[test]
fn every_format_is_read_by_its_content() {
    let source = image(21, 13);
    for format in FORMATS {
        let pixels = decoded(&encode(source.clone(), format)).unwrap();
        assert_eq!((pixels.width, pixels.height, pixels.channels), (21, 13, 3), "{format:?}");
        assert_eq!(pixels.data.len(), 21 * 13 * 3);
        if matches!(format, ImageFormat::Png | ImageFormat::WebP | ImageFormat::Bmp | ImageFormat::Tiff) {
            assert_eq!(pixels.data, source.as_raw().as_slice(), "{format:?}");
        }
    }
}

#[test]
fn grey_is_replicated_and_sixteen_bits_are_rounded() {
    let grey = GrayImage::from_fn(4, 1, |x, _| Luma([x as u8 * 80]));
    let expected = [0, 0, 0, 80, 80, 80, 160, 160, 160, 240, 240, 240];
    for format in [ImageFormat::Png, ImageFormat::Jpeg] {
        let pixels = decoded(&encode(grey.clone(), format)).unwrap();
        assert!(pixels.data.iter().zip(expected).all(|(a, b): (&u8, u8)| a.abs_diff(b) <= 2), "{:?}", pixels.data);
    }
    let deep: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_vec(4, 1, vec![128, 129, 65535, 257 * 7]).unwrap();
    assert_eq!(decoded(&encode(deep, ImageFormat::Png)).unwrap().grey(), [0, 1, 255, 7]);
    let deep: ImageBuffer<Rgb<u16>, Vec<u16>> = ImageBuffer::from_vec(1, 1, vec![0, 386, 65406]).unwrap();
    assert_eq!(decoded(&encode(deep, ImageFormat::Tiff)).unwrap().data, [0, 2, 254]);
}

/// What was laid over white by `decode` is there by `decode_rgba`, in every format and depth.
#[test]
fn transparency_is_a_fourth_channel_for_who_asks() {
    let rgba = |bytes: &[u8]| decode_rgba(bytes, &Limits::default(), None).unwrap();
    let clear: ImageBuffer<Rgba<u8>, Vec<u8>> =
        ImageBuffer::from_vec(3, 1, vec![10, 20, 30, 0, 10, 20, 30, 255, 0, 100, 255, 128]).unwrap();
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff] {
        let pixels = rgba(&encode(clear.clone(), format));
        assert_eq!((pixels.channels, &pixels.data), (4, clear.as_raw()), "{format:?}");
        let over_white = decoded(&encode(clear.clone(), format)).unwrap();
        assert_eq!((pixels.rgb(), pixels.grey()), (over_white.rgb(), over_white.grey()), "{format:?}");
    }
    let grey: ImageBuffer<LumaA<u8>, Vec<u8>> = ImageBuffer::from_vec(2, 1, vec![0, 0, 50, 255]).unwrap();
    assert_eq!(rgba(&encode(grey, ImageFormat::Png)).data, [0, 0, 0, 0, 50, 50, 50, 255]);
    let deep: ImageBuffer<Rgba<u16>, Vec<u16>> = ImageBuffer::from_vec(1, 1, vec![0, 386, 65406, 257 * 9]).unwrap();
    assert_eq!(rgba(&encode(deep, ImageFormat::Png)).data, [0, 2, 254, 9]);
    let deep: ImageBuffer<LumaA<u16>, Vec<u16>> = ImageBuffer::from_vec(1, 1, vec![257 * 3, 257 * 4]).unwrap();
    assert_eq!(rgba(&encode(deep, ImageFormat::Png)).data, [3, 3, 3, 4]);
    // Without transparency everything is opaque.
    for format in FORMATS {
        let bytes = encode(image(5, 3), format);
        let pixels = rgba(&bytes);
        assert_eq!(pixels.rgb(), decoded(&bytes).unwrap().data, "{format:?}");
        assert!(pixels.data.iter().skip(3).step_by(4).all(|alpha| *alpha == 255), "{format:?}");
    }
}

#[test]
fn transparency_is_laid_over_white() {
    let clear: ImageBuffer<Rgba<u8>, Vec<u8>> =
        ImageBuffer::from_vec(3, 1, vec![10, 20, 30, 0, 10, 20, 30, 255, 0, 100, 255, 128]).unwrap();
    let expected = [255, 255, 255, 10, 20, 30, 127, 177, 255];
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff] {
        assert_eq!(decoded(&encode(clear.clone(), format)).unwrap().data, expected, "{format:?}");
    }
    let grey: ImageBuffer<LumaA<u8>, Vec<u8>> = ImageBuffer::from_vec(2, 1, vec![0, 0, 50, 255]).unwrap();
    assert_eq!(decoded(&encode(grey, ImageFormat::Png)).unwrap().data, [255, 255, 255, 50, 50, 50]);
    let deep: ImageBuffer<Rgba<u16>, Vec<u16>> = ImageBuffer::from_vec(1, 1, vec![0, 0, 65535, 0]).unwrap();
    assert_eq!(decoded(&encode(deep, ImageFormat::Png)).unwrap().data, [255, 255, 255]);
}

/// An Exif block that holds nothing but an orientation.
fn exif(orientation: u8) -> Vec<u8> {
    let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    exif
}

#[test]
fn orientation_is_applied() {
    // Left half dark, right half light, wider than high.
    let source = GrayImage::from_fn(32, 16, |x, _| Luma([if x < 16 { 20 } else { 230 }]));
    let jpeg = encode(source, ImageFormat::Jpeg);
    let turned = |orientation: u8| {
        let exif = exif(orientation);
        let mut bytes = jpeg[..2].to_vec();
        bytes.extend([0xFF, 0xE1]);
        bytes.extend((exif.len() as u16 + 8).to_be_bytes());
        bytes.extend(b"Exif\0\0");
        bytes.extend(exif);
        bytes.extend(&jpeg[2..]);
        let pixels = decoded(&bytes).unwrap();
        (pixels.width, pixels.height, pixels.data[0] < 128, pixels.data[(pixels.width - 1) * 3] < 128)
    };
    assert_eq!(turned(1), (32, 16, true, false));
    assert_eq!(turned(2), (32, 16, false, true));
    assert_eq!(turned(3), (32, 16, false, true));
    assert_eq!(turned(4), (32, 16, true, false));
    // 6: to be turned a quarter clockwise, which takes the left to the top.
    assert_eq!(turned(6), (16, 32, true, true));
    assert_eq!(turned(8), (16, 32, false, false));
    assert_eq!(turned(99), (32, 16, true, false));
}

/// The fixtures come from `tests/fixtures/cmyk.py`.
#[test]
fn cmyk_and_ycck_are_as_pillow_sees_them() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cmyk");
    for name in ["adobe", "plain", "ycck"] {
        let pixels = decoded(&std::fs::read(folder.join(format!("{name}.jpg"))).unwrap()).unwrap();
        let expected = std::fs::read(folder.join(format!("{name}.bin"))).unwrap();
        assert_eq!((pixels.width, pixels.height, pixels.data.len()), (24, 16, expected.len()));
        let worst = pixels.data.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= 4, "{name}: {worst}");
    }
}

#[test]
fn luma_is_pillows() {
    let pixels = Pixels { width: 3, height: 1, channels: 3, data: vec![255, 0, 0, 0, 255, 0, 1, 2, 3] };
    assert_eq!(pixels.grey(), [76, 150, 2]);
}

/// A cut-off file must not pass as an image with fewer pixels: it is refused, or every pixel was there.
#[test]
fn a_file_cut_off_anywhere_is_refused() {
    let source = image(64, 48);
    let mut files: Vec<(String, Vec<u8>)> =
        FORMATS.iter().map(|&format| (format!("{format:?}"), encode(source.clone(), format))).collect();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    files.push(("progressive".to_owned(), std::fs::read(folder.join("progressive.jpg")).unwrap()));
    files.push(("cmyk".to_owned(), std::fs::read(folder.join("cmyk/adobe.jpg")).unwrap()));
    for (name, bytes) in files {
        let whole = decoded(&bytes).unwrap();
        for end in 0..bytes.len() {
            if let Ok(pixels) = decoded(&bytes[..end]) {
                // A PNG or a JPEG may lack its end marker.
                let strict = ["WebP", "progressive"].contains(&name.as_str());
                assert!(!strict && pixels == whole, "{name}, cut at {end} of {}, passes", bytes.len());
            }
        }
    }
}

#[test]
fn only_an_end_marker_may_be_missing_and_that_is_told() {
    let source = image(64, 48);
    let told = |bytes: &[u8]| decode_and_tell(bytes, &Limits::default(), None);
    for (format, marker) in [(ImageFormat::Jpeg, 2), (ImageFormat::Png, 12)] {
        let bytes = encode(source.clone(), format);
        let whole = told(&bytes).unwrap();
        let cut = told(&bytes[..bytes.len() - marker]).unwrap();
        assert!(!whole.unended && cut.unended, "{format:?}");
        assert_eq!(whole.pixels, cut.pixels);
        assert!(told(&bytes[..bytes.len() - marker - 40]).is_err(), "{format:?}");
    }
}

#[test]
fn an_mpo_is_its_first_picture() {
    let first = encode(image(20, 10), ImageFormat::Jpeg);
    let both = [first.as_slice(), &encode(image(40, 30), ImageFormat::Jpeg)].concat();
    assert_eq!(decoded(&both).unwrap(), decoded(&first).unwrap());
}

#[test]
fn pnm_is_read() {
    assert_eq!(decoded(b"P5 3 1 255\n\x00\x80\xff").unwrap().grey(), [0, 128, 255]);
    assert_eq!(decoded(b"P3\n1 1\n255\n1 2 3\n").unwrap().data, [1, 2, 3]);
}

#[test]
fn values_of_fewer_bits_are_spread_over_all() {
    let deep: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_vec(4, 1, vec![0, 2048, 4095, 5000]).unwrap();
    for format in [ImageFormat::Png, ImageFormat::Tiff] {
        let bytes = encode(deep.clone(), format);
        let plain = decode_and_tell(&bytes, &Limits::default(), None).unwrap();
        assert_eq!((plain.pixels.grey(), plain.peak), (vec![0, 8, 16, 19], Some(5000)));
        let spread = decode_and_tell(&bytes, &Limits::default(), Some(12)).unwrap();
        assert_eq!((spread.pixels.grey(), spread.peak), (vec![0, 128, 255, 255], Some(5000)));
    }
    let plain = encode(image(3, 3), ImageFormat::Png);
    assert_eq!(decode_and_tell(&plain, &Limits::default(), Some(12)).unwrap().pixels, decoded(&plain).unwrap());
}

/// A TIFF of one strip of bytes, little-endian: classic, or of 64-bit places.
fn tiff_of(big: bool, interpretation: u16, map: Option<Vec<u16>>, pixels: &[u8]) -> Vec<u8> {
    let mut entries: Vec<(u16, u16, Vec<u8>)> = vec![
        (256, 3, (pixels.len() as u16).to_le_bytes().to_vec()),
        (257, 3, 1u16.to_le_bytes().to_vec()),
        (258, 3, 8u16.to_le_bytes().to_vec()),
        (259, 3, 1u16.to_le_bytes().to_vec()),
        (262, 3, interpretation.to_le_bytes().to_vec()),
        (273, 4, 0u32.to_le_bytes().to_vec()),
        (277, 3, 1u16.to_le_bytes().to_vec()),
        (278, 3, 1u16.to_le_bytes().to_vec()),
        (279, 4, (pixels.len() as u32).to_le_bytes().to_vec()),
    ];
    entries.extend(map.map(|map| (320, 3, map.iter().flat_map(|value| value.to_le_bytes()).collect())));
    let (word, header, entry) = if big { (8, 16, 20) } else { (4, 8, 12) };
    let count = if big { 8 } else { 2 };
    let mut after = header + count + entry * entries.len() + word;
    let place = |value: usize| (value as u64).to_le_bytes()[..word].to_vec();
    let mut bytes = if big { b"II\x2b\0\x08\0\0\0".to_vec() } else { b"II*\0".to_vec() };
    bytes.extend(place(header));
    bytes.extend(&(entries.len() as u64).to_le_bytes()[..count]);
    let mut rest = pixels.to_vec();
    for (tag, kind, value) in entries {
        let unit = if kind == 3 { 2 } else { 4 };
        bytes.extend(tag.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(place(value.len() / unit));
        let mut inside = match tag {
            273 => place(after),
            _ if value.len() <= word => value,
            _ => {
                let at = place(after + rest.len());
                rest.extend(value);
                at
            }
        };
        inside.resize(word, 0);
        bytes.extend(inside);
    }
    bytes.extend(place(0));
    after -= bytes.len();
    assert_eq!(after, 0);
    bytes.extend(rest);
    bytes
}

#[test]
fn tiffs_of_64_bit_places_and_of_palettes_are_read() {
    let map: Vec<u16> = (0..768).map(|at| ((at % 256) * 256 + at / 256) as u16).collect();
    for big in [false, true] {
        assert_eq!(decoded(&tiff_of(big, 1, None, &[0, 7, 255])).unwrap().grey(), [0, 7, 255], "{big}");
        let pixels = decoded(&tiff_of(big, 3, Some(map.clone()), &[0, 7, 255])).unwrap();
        assert_eq!(pixels.data, [0, 0, 0, 7, 7, 7, 255, 255, 255], "{big}");
    }
    let mut red = vec![0; 768];
    red[1] = 0xFFFF;
    assert_eq!(decoded(&tiff_of(false, 3, Some(red), &[0, 1])).unwrap().data, [0, 0, 0, 255, 0, 0]);
}

#[test]
fn memory_limits_the_pixels() {
    let bytes = encode(GrayImage::from_pixel(2000, 1000, Luma([9])), ImageFormat::Png);
    assert!(decode(&bytes, &Limits::of_memory(16 << 20)).is_ok());
    let refused = decode(&bytes, &Limits::of_memory(4 << 20)).unwrap_err().to_string();
    assert!(refused.contains("2000 x 1000") && refused.contains("--image-memory"), "{refused}");
}

/// Grey instead of pixels is what a lenient decoder gives here.
#[test]
fn a_jpeg_whose_middle_is_lost_is_refused() {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 90).encode_image(&image(256, 256)).unwrap();
    let cut = bytes.len() / 2;
    // The rest of the scan is gone; the end marker is there.
    let mut short = bytes[..cut].to_vec();
    short.extend([0xFF, 0xD9]);
    // A marker that has no business in a scan.
    let mut marked = bytes.clone();
    marked[cut..cut + 4].copy_from_slice(&[0xFF, 0xC0, 0x00, 0x02]);
    for (name, bytes) in [("short", short), ("marked", marked)] {
        let problem = decoded(&bytes).map(|pixels| pixels.width).unwrap_err();
        assert!(matches!(problem, DecodeError::Damaged(_) | DecodeError::Truncated(_)), "{name}: {problem}");
    }
}

#[test]
fn what_is_no_image_is_told_apart_from_what_is_not_supported() {
    assert_eq!(decoded(b"hello"), Err(DecodeError::NotAnImage));
    assert_eq!(decoded(b"P5 is how this text begins"), Err(DecodeError::NotAnImage));
    assert!(matches!(decoded(b""), Err(DecodeError::Truncated(_))));
    assert!(matches!(decoded(b"\0\0\0\x18ftypheic\0\0\0\0"), Err(DecodeError::Unsupported(_))));
    assert!(matches!(decoded(b"\0\0\0\x18ftypavif\0\0\0\0"), Err(DecodeError::Unsupported(_))));
    let problem = decoded(b"\0\0\0\x0cjP  \r\n\x87\n").unwrap_err().to_string();
    assert!(problem.contains("JPEG 2000; convert it"), "{problem}");
    let float: ImageBuffer<Rgb<f32>, Vec<f32>> = ImageBuffer::from_pixel(2, 2, Rgb([0.5; 3]));
    let problem = decoded(&encode(float, ImageFormat::Tiff)).unwrap_err();
    assert!(problem.to_string().contains("floating-point"), "{problem}");
}

/// A PNG whose header promises 50,000 by 50,000 pixels.
fn bomb() -> Vec<u8> {
    let mut bytes = encode(image(4, 4), ImageFormat::Png);
    bytes[16..20].copy_from_slice(&50_000_u32.to_be_bytes());
    bytes[20..24].copy_from_slice(&50_000_u32.to_be_bytes());
    let crc = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

#[test]
fn what_is_too_large_is_refused_by_its_header() {
    let refused = DecodeError::TooLarge { width: 50_000, height: 50_000, limit: "268435456 pixels".to_owned() };
    assert_eq!(decoded(&bomb()), Err(refused));
    let mut jpeg = encode(image(16, 16), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xFF; 4]);
    assert!(matches!(decoded(&jpeg), Err(DecodeError::TooLarge { width: 65535, height: 65535, .. })));
    let limits = Limits { pixels: 200, ..Limits::default() };
    for format in FORMATS {
        let problem = decode(&encode(image(20, 20), format), &limits).unwrap_err();
        assert!(matches!(problem, DecodeError::TooLarge { width: 20, height: 20, .. }), "{format:?}: {problem}");
    }
    let limits = Limits { allocation: 1000, ..Limits::default() };
    for format in FORMATS {
        assert!(matches!(decode(&encode(image(20, 20), format), &limits), Err(DecodeError::TooLarge { .. })));
    }
    let limits = Limits { bytes: 10, ..Limits::default() };
    assert_eq!(decode(&[0; 11], &limits), Err(DecodeError::FileTooLarge { bytes: 11, limit: 10 }));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(kind in 0..7_usize, bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let starts: [&[u8]; 7] =
            [b"", b"\xFF\xD8\xFF", b"\x89PNG\r\n\x1a\n", b"RIFF\x10\0\0\0WEBPVP8 ", b"BM", b"II*\0\x08\0\0\0", b"GIF89a"];
        let _ = decoded(&[starts[kind], &bytes].concat());
    }

    #[test]
    fn changed_files_never_panic(
        kind in 0..6_usize,
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut bytes = encode(image(24, 24), FORMATS[kind]);
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        let limits = Limits { pixels: 1_000_000, allocation: 32 << 20, ..Limits::default() };
        if let Ok(pixels) = decode(&bytes, &limits) {
            prop_assert_eq!(pixels.data.len(), pixels.width * pixels.height * 3);
        }
    }
}

#[test]
fn the_sizes_of_a_png_that_is_refused_are_told() {
    let mut bytes = encode(image(4, 4), ImageFormat::Png);
    bytes[16..24].copy_from_slice(&[0x7F, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF]);
    let sum = crc_of(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&sum.to_be_bytes());
    let told = decoded(&bytes).unwrap_err().to_string();
    assert!(told.starts_with("too large: 2147483647 x 2147483647"), "{told}");
}

/// The checksum of a chunk of a PNG.
fn crc_of(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xEDB8_8320 * (sum & 1)))
    })
}
