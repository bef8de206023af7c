//! From a file's bytes to pixels: JPEG (of an MPO the first picture), PNG, WebP, BMP, TIFF, PBM/PGM/PPM and the first
//! frame of a GIF, told apart by content.
//!
//! The bytes are untrusted. Width and height are read and checked before a pixel is decoded, an image that is cut off
//! or broken is an error and never half an image, and a decoder that panics is caught. (That last needs unwinding
//! panics, which is Rust's default.)
//!
//! Whatever the file holds, the result is upright 8-bit RGB: orientation applied, grey replicated, 16 bits rounded to
//! 8, transparency laid over white. (Pillow's `convert("RGB")` drops transparency instead and shows whatever colour was
//! hidden under it; white is what a viewer would have shown.) Colours are those of sRGB: an image with another colour
//! profile is converted (`super::colour`), one without is taken as sRGB. Who asks for it by `decode_rgba` gets transparency as a fourth channel.

use std::borrow::Cow;
use std::io::Cursor;

use image::error::{ImageError, UnsupportedErrorKind};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use super::colour::to_srgb;
use super::image_kind::{Kind, advice, kind};
use super::pixels::{Form, check_size, one_line, spread};
use crate::guard::guarded;

pub(crate) use super::jpeg::quality as jpeg_quality;
pub(crate) use super::pixels::Decoded;
pub use super::pixels::{DecodeError, Limits, Pixels, allow_memory};

/// Bytes from the beginning by which a file that is no image is told.
const HEAD: usize = 1024;

/// The name of the format that the bytes begin like (`jpeg`, `png`, `webp`, `bmp`, `tiff`, `gif`, `pnm`), if it is read.
pub(crate) fn format(bytes: &[u8]) -> Option<&'static str> {
    let Some(Kind::Read(format)) = kind(bytes) else { return None };
    match format {
        ImageFormat::Jpeg => Some("jpeg"),
        ImageFormat::Png => Some("png"),
        ImageFormat::WebP => Some("webp"),
        ImageFormat::Bmp => Some("bmp"),
        ImageFormat::Tiff => Some("tiff"),
        ImageFormat::Gif => Some("gif"),
        ImageFormat::Pnm => Some("pnm"),
        _ => None,
    }
}

/// Decodes an image to upright RGB, shape `[height, width, 3]`.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Pixels, DecodeError> {
    decode_and_tell(bytes, limits, None).map(|decoded| decoded.pixels)
}

/// The same, and what is to be said of it. `depth`: the bits that channels of 16 use, where those are fewer.
pub(crate) fn decode_and_tell(bytes: &[u8], limits: &Limits, depth: Option<u8>) -> Result<Decoded, DecodeError> {
    caught(bytes, limits, Form::Rgb, depth)
}

/// Decodes an image to upright RGB and alpha, shape `[height, width, 4]`; opaque where the file has no transparency.
/// What colour hides under transparency is kept.
pub(crate) fn decode_rgba(bytes: &[u8], limits: &Limits, depth: Option<u8>) -> Result<Pixels, DecodeError> {
    caught(bytes, limits, Form::Rgba, depth).map(|decoded| decoded.pixels)
}

fn caught(bytes: &[u8], limits: &Limits, form: Form, depth: Option<u8>) -> Result<Decoded, DecodeError> {
    if bytes.len() as u64 > limits.bytes {
        return Err(DecodeError::FileTooLarge { bytes: bytes.len() as u64, limit: limits.bytes });
    }
    guarded("its decoder", || decode_by_format(bytes, limits, form, depth))
        .unwrap_or_else(|panic| Err(DecodeError::Damaged(panic.to_string())))
}

fn decode_by_format(bytes: &[u8], limits: &Limits, form: Form, depth: Option<u8>) -> Result<Decoded, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Truncated("the file is empty".to_owned()));
    }
    let format = match kind(bytes) {
        Some(Kind::Read(format)) => format,
        Some(Kind::Known(name)) => return Err(DecodeError::Unsupported(advice(name))),
        None => {
            let stand_in = super::stand_in(&bytes[..bytes.len().min(HEAD)]);
            return Err(stand_in.map_or(DecodeError::NotAnImage, |(found, advice)| {
                DecodeError::StandIn(format!("{found} ({advice})"))
            }));
        }
    };
    let mut whole = Cow::Borrowed(bytes);
    let mut palette = None;
    match format {
        ImageFormat::Jpeg => return super::jpeg::decode(bytes, limits, form),
        ImageFormat::Png => whole = png_with_end(bytes)?,
        ImageFormat::WebP => webp_is_whole(bytes)?,
        ImageFormat::Tiff => palette = super::palette::of_tiff(bytes),
        _ => {}
    }
    if let Some(palette) = &palette {
        whole = Cow::Borrowed(&palette.as_grey);
    }
    let unended = format == ImageFormat::Png && whole.len() > bytes.len();
    let bytes = whole.as_ref();

    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut allowed = image::Limits::no_limits();
    allowed.max_alloc = Some(limits.allocation);
    reader.limits(allowed);
    let mut decoder = reader.into_decoder().map_err(|problem| reason(problem, size_of_png(bytes), limits))?;
    let (width, height) = decoder.dimensions();
    check_size(u64::from(width), u64::from(height), decoder.total_bytes(), limits, form)?;
    if matches!(decoder.color_type(), ColorType::Rgb32F | ColorType::Rgba32F) {
        return Err(DecodeError::Unsupported("floating-point pixels; convert it to 8 or 16 bits".to_owned()));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    // A profile that cannot be taken out of its file is a damaged one.
    let profile = match format {
        ImageFormat::Tiff => tiff_profile(bytes),
        _ => decoder.icc_profile().map_err(|problem| one_line(&problem)),
    };
    let (profile, unread) = match profile {
        Ok(profile) => (profile, None),
        Err(problem) => (None, Some(problem)),
    };
    let mut image = DynamicImage::from_decoder(decoder)
        .map_err(|problem| reason(problem, (width.into(), height.into()), limits))?;
    let peak = spread(&mut image, depth);
    if let Some(palette) = palette {
        image = palette.colours(image)?;
    }
    let (image, ignored) = to_srgb(image, profile.as_deref())?;
    Ok(Decoded { pixels: form.of(image, orientation)?, profile: unread.or(ignored), peak, unended })
}

/// The colour profile of a TIFF, which `image` loses where a limit is set.
fn tiff_profile(bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let mut limits = tiff::decoder::Limits::default();
    // Each byte becomes a value of the library's own first.
    limits.ifd_value_size = super::colour::LIMIT * size_of::<tiff::decoder::ifd::Value>();
    let read = || -> tiff::TiffResult<Option<Vec<u8>>> {
        let mut decoder = tiff::decoder::Decoder::new(Cursor::new(bytes))?.with_limits(limits);
        decoder.find_tag(tiff::tags::Tag::IccProfile)?.map(tiff::decoder::ifd::Value::into_u8_vec).transpose()
    };
    read().map_err(|problem| one_line(&problem))
}

/// Columns and rows, as the header of a PNG says: its decoder may refuse them before it tells. No pixels where it is none.
fn size_of_png(bytes: &[u8]) -> (u64, u64) {
    match bytes {
        [0x89, b'P', b'N', b'G', _, _, _, _, _, _, _, _, b'I', b'H', b'D', b'R', a, b, c, d, e, f, g, h, ..] => {
            (u32::from_be_bytes([*a, *b, *c, *d]).into(), u32::from_be_bytes([*e, *f, *g, *h]).into())
        }
        _ => (0, 0),
    }
}

/// What ends every PNG.
const PNG_END: [u8; 12] = [0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xAE, 0x42, 0x60, 0x82];

/// Walks a PNG's chunks to its end marker: a file that is cut off between two rows must not pass. Where only the marker is
/// missing, and whatever came after the pixels is cut off, the file with it; whether all rows are there shows in decoding.
fn png_with_end(bytes: &[u8]) -> Result<Cow<'_, [u8]>, DecodeError> {
    let (mut at, mut rows_end) = (8, None);
    while let Some(&[a, b, c, d, ref kind @ ..]) = bytes.get(at..at + 8) {
        if kind == b"IEND" {
            return Ok(Cow::Borrowed(bytes));
        }
        at = at.saturating_add(12).saturating_add(u32::from_be_bytes([a, b, c, d]) as usize);
        if kind == b"IDAT" {
            rows_end = (at <= bytes.len()).then_some(at);
        }
    }
    match rows_end {
        Some(end) => Ok(Cow::Owned([&bytes[..end], &PNG_END].concat())),
        None => Err(DecodeError::Truncated("the file ends before the image does".to_owned())),
    }
}

/// Compares the length that a WebP's header gives with the file's.
fn webp_is_whole(bytes: &[u8]) -> Result<(), DecodeError> {
    let declared = bytes.get(4..8).and_then(|length| length.try_into().ok()).map_or(u32::MAX, u32::from_le_bytes);
    if (bytes.len() as u64) < u64::from(declared) + 8 {
        return Err(DecodeError::Truncated("the file is shorter than its header says".to_owned()));
    }
    Ok(())
}

fn reason(problem: ImageError, (width, height): (u64, u64), limits: &Limits) -> DecodeError {
    match problem {
        ImageError::Limits(_) => {
            DecodeError::TooLarge { width, height, limit: format!("{} bytes of memory", limits.allocation) }
        }
        ImageError::Unsupported(problem) => DecodeError::Unsupported(match problem.kind() {
            UnsupportedErrorKind::GenericFeature(feature) => feature.clone(),
            UnsupportedErrorKind::Color(color) => {
                format!(
                    "pixels of {} bits of this kind; convert it to grey or RGB of 8 or 16 bits",
                    color.bits_per_pixel()
                )
            }
            _ => one_line(&problem),
        }),
        ImageError::IoError(problem) if problem.kind() == std::io::ErrorKind::UnexpectedEof => {
            DecodeError::Truncated("the file ends before the image does".to_owned())
        }
        other => {
            let told = one_line(&other);
            // The sums themselves are different for every file.
            let is_sum = told.contains("CRC error") || told.contains("checksum");
            DecodeError::Damaged(if is_sum { "a part of the file does not have its checksum".to_owned() } else { told })
        }
    }
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
