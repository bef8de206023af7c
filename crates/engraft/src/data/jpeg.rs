//! JPEG, strictly. The decoder behind the `image` crate fills what is missing with grey and reports success; a training
//! set with half-grey images is worse than one without them. So the file is walked to its end marker first, and
//! decoded in the decoder's strict mode.

use std::borrow::Cow;

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};
use zune_core::bytestream::{ZByteReaderTrait, ZCursor};
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use super::colour::{inks_to_srgb, to_srgb};
use super::pixels::{DecodeError, Decoded, Form, Limits, check_size, one_line};

/// Decodes a JPEG, upright, to the form that is wanted.
///
/// CMYK and YCCK are taken as inverted (as Adobe writes them, and as Pillow reads every one); without a colour profile
/// that can be used they are converted by the plain formula.
pub(super) fn decode(bytes: &[u8], limits: &Limits, form: Form) -> Result<Decoded, DecodeError> {
    // Headers leniently: some cameras leave a few bytes between segments, which harms nothing.
    let options = DecoderOptions::default().set_max_width(usize::MAX).set_max_height(usize::MAX).set_strict_mode(false);
    let structure = walk(bytes);
    let input = open_ended(bytes, &structure);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(input.as_ref()), options);
    decoder.decode_headers().map_err(reason)?;
    let (Some((width, height)), Some(space)) = (decoder.dimensions(), decoder.input_colorspace()) else {
        return Err(DecodeError::Damaged("no header".to_owned()));
    };
    let components = space.num_components() as u64;
    // An image that comes in several scans is kept whole as 16-bit coefficients until its last scan.
    let coefficients = if structure.scans == 1 { 0 } else { 2 * components };
    let pixels = (width as u64).saturating_mul(height as u64);
    check_size(width as u64, height as u64, pixels.saturating_mul(coefficients), limits, form)?;
    // Where only the end marker is missing, what is decoded does not depend on what is put in its place.
    let unended = structure.end.is_none();
    if unended && (structure.progressive || structure.scans == 0) {
        return Err(DecodeError::Truncated("the file ends before the image does".to_owned()));
    }
    let grey = match space {
        ColorSpace::Luma => true,
        ColorSpace::RGB | ColorSpace::YCbCr | ColorSpace::CMYK | ColorSpace::YCCK => false,
        other => return Err(DecodeError::Unsupported(format!("a JPEG in the colour space {other:?}"))),
    };

    let profile = decoder.icc_profile();
    let mut ignored = None;
    if let (ColorSpace::CMYK | ColorSpace::YCCK, Some(profile)) = (space, &profile) {
        let inks = pixels.saturating_mul(4 + coefficients);
        check_size(width as u64, height as u64, inks, limits, form)?;
        decoder.set_options(options.set_strict_mode(true).jpeg_set_out_colorspace(space));
        let mut data = vec![0; width * height * 4];
        decoder.decode_into(&mut data).map_err(reason)?;
        let inks = to_inks(&mut data, space);
        match inks_to_srgb(inks, profile) {
            Ok(_) if unended => {
                return Err(DecodeError::Truncated("the file ends before the image does".to_owned()));
            }
            Ok(colours) => return finished(&decoder, (width, height), colours, false, form, (None, None)),
            Err(why) => ignored = Some(why),
        }
        // Once more, by the plain formula.
        decoder = JpegDecoder::new_with_options(ZCursor::new(input.as_ref()), options);
        decoder.decode_headers().map_err(reason)?;
    }

    let out = if grey { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(options.set_strict_mode(true).jpeg_set_out_colorspace(out));
    let mut data = vec![0; width * height * out.num_components()];
    decoder.decode_into(&mut data).map_err(reason)?;
    if unended {
        let other = open_ended_by(bytes, 0x55);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(other.as_slice()), options);
        decoder.decode_headers().map_err(reason)?;
        decoder.set_options(options.set_strict_mode(true).jpeg_set_out_colorspace(out));
        let mut again = vec![0; data.len()];
        decoder.decode_into(&mut again).map_err(reason)?;
        if again != data {
            return Err(DecodeError::Truncated("the file ends before the image does".to_owned()));
        }
    }
    let profile = profile.filter(|_| ignored.is_none());
    let decoded = finished(&decoder, (width, height), data, grey, form, (profile, ignored))?;
    Ok(Decoded { unended, ..decoded })
}

/// Turns stored values (inverted inks, or those as brightness and colour) into inks: 255 for full.
fn to_inks(data: &mut [u8], space: ColorSpace) -> &[u8] {
    for pixel in data.as_chunks_mut::<4>().0 {
        let [y, cb, cr, k] = pixel.map(i32::from);
        *pixel = match space {
            ColorSpace::YCCK => {
                // JFIF's formula in 16 bits of fraction; what it gives is inks as they are.
                let (cb, cr) = (cb - 128, cr - 128);
                let part = |colour: i32| (y + ((colour + (1 << 15)) >> 16)).clamp(0, 255) as u8;
                [part(91_881 * cr), part(-22_554 * cb - 46_802 * cr), part(116_130 * cb), 255 - k as u8]
            }
            _ => pixel.map(|stored| 255 - stored),
        };
    }
    data
}

/// Upright, in sRGB and in the form that is wanted. `profile` is the one to apply, and why there is none.
fn finished<T: ZByteReaderTrait>(
    decoder: &JpegDecoder<T>,
    (width, height): (usize, usize),
    data: Vec<u8>,
    grey: bool,
    form: Form,
    (profile, ignored): (Option<Vec<u8>>, Option<String>),
) -> Result<Decoded, DecodeError> {
    let orientation =
        decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif)).unwrap_or(Orientation::NoTransforms);
    let (columns, rows) = (width as u32, height as u32);
    let image = if grey {
        GrayImage::from_raw(columns, rows, data).map(DynamicImage::ImageLuma8)
    } else {
        RgbImage::from_raw(columns, rows, data).map(DynamicImage::ImageRgb8)
    };
    let image = image.ok_or_else(|| DecodeError::Damaged("fewer pixels than its header says".to_owned()))?;
    let (image, unfit) = to_srgb(image, profile.as_deref())?;
    Ok(Decoded { pixels: form.of(image, orientation)?, profile: ignored.or(unfit), peak: None, unended: false })
}

/// What the markers of a file tell.
struct Structure {
    /// The number of scans.
    scans: usize,
    /// Whether it is progressive or of a rarer kind, rather than baseline.
    progressive: bool,
    /// Where the end marker stands, if there is one.
    end: Option<usize>,
}

/// Zeros enough for the decoder to look ahead into, and too few to pass for a row of blocks.
const AHEAD: usize = 64;

/// Replaces a baseline image's end marker by a few zeros.
///
/// At an end marker that comes too early the decoder makes up the rest and succeeds, strict or not; at the end of the
/// bytes it fails, as it should. A whole image needs neither.
fn open_ended<'a>(bytes: &'a [u8], structure: &Structure) -> Cow<'a, [u8]> {
    match structure.end {
        Some(end) if !structure.progressive => Cow::Owned(open_ended_by(&bytes[..end], 0)),
        None if !structure.progressive && structure.scans > 0 => Cow::Owned(open_ended_by(bytes, 0)),
        _ => Cow::Borrowed(bytes),
    }
}

fn open_ended_by(bytes: &[u8], byte: u8) -> Vec<u8> {
    // Half of a marker is no data.
    let bytes = bytes.strip_suffix(&[0xFF]).unwrap_or(bytes);
    [bytes, &[byte; AHEAD]].concat()
}

/// Walks the markers from the first segment to the end of the image.
fn walk(bytes: &[u8]) -> Structure {
    let mut structure = Structure { scans: 0, progressive: false, end: None };
    let mut at = 2;
    // At every turn, look for the next marker: between segments it stands right here, in a scan somewhere ahead.
    while let Some(offset) = bytes.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xFF)) {
        at += offset + 1;
        match bytes.get(at) {
            // A stuffed zero (the byte 0xFF of a scan), a restart, a fill byte: no segment follows.
            Some(0x00 | 0x01 | 0xD0..=0xD7) => at += 1,
            Some(0xFF) => {}
            Some(0xD9) => {
                structure.end = Some(at - 1);
                return structure;
            }
            Some(&marker) => {
                let Some(&[high, low]) = bytes.get(at + 1..at + 3) else { return structure };
                structure.scans += usize::from(marker == 0xDA);
                structure.progressive |= (0xC2..=0xCF).contains(&marker) && !matches!(marker, 0xC4 | 0xC8 | 0xCC);
                at += 1 + usize::from(u16::from_be_bytes([high, low]));
            }
            None => return structure,
        }
    }
    structure
}

/// The standard table of luminance (ISO/IEC 10918-1, table K.1) in zigzag order.
const LUMINANCE: [u16; 64] = [
    16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51, 61,
    60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103, 104, 103, 62, 77, 113,
    121, 112, 100, 120, 92, 101, 103, 99,
];

/// The quality, from 1 to 100, with which a JPEG was made, as far as its first table of quantisation tells it: that of libjpeg
/// (`jpeg_quality_scaling`) whose table is nearest in the mean. Nothing where there is no such table.
pub(crate) fn quality(bytes: &[u8]) -> Option<f64> {
    if !bytes.starts_with(&[0xFF, 0xD8]) {
        return None;
    }
    let mut at = 2;
    loop {
        let &[0xFF, marker, high, low] = bytes.get(at..at + 4)? else { return None };
        if marker == 0xFF {
            at += 1;
            continue;
        }
        if marker != 0xDB {
            // What is quantised follows its table.
            if marker == 0xDA {
                return None;
            }
            at += 2 + usize::from(u16::from_be_bytes([high, low]));
            continue;
        }
        let table = bytes.get(at + 4..)?;
        let wide = usize::from(table.first()? >> 4);
        let entry = |place: usize| -> Option<f64> {
            Some(match wide {
                0 => f64::from(*table.get(1 + place)?),
                _ => f64::from(u16::from_be_bytes([*table.get(1 + 2 * place)?, *table.get(2 + 2 * place)?])),
            })
        };
        let scales: Option<f64> = LUMINANCE
            .iter()
            .enumerate()
            .map(|(place, &standard)| Some(100.0 * entry(place)? / f64::from(standard)))
            .sum();
        let scale = scales? / LUMINANCE.len() as f64;
        let quality = if scale <= 100.0 { (200.0 - scale) / 2.0 } else { 5000.0 / scale };
        return Some(quality.clamp(1.0, 100.0));
    }
}

fn reason(problem: DecodeErrors) -> DecodeError {
    match problem {
        DecodeErrors::IllegalMagicBytes(_) => DecodeError::NotAnImage,
        DecodeErrors::Unsupported(scheme) => DecodeError::Unsupported(one_line(&format!("{scheme:?}"))),
        DecodeErrors::ExhaustedData | DecodeErrors::IoErrors(_) => {
            DecodeError::Truncated("the file ends before the image does".to_owned())
        }
        other => DecodeError::Damaged(one_line(&format!("{other:?}"))),
    }
}
