//! From a file's bytes to pixels: JPEG, PNG, WebP, BMP, TIFF and the first frame of a GIF, told apart by content.
//!
//! The bytes are untrusted. Width and height are read and checked before a pixel is decoded, a picture that is cut off
//! or broken is an error and never half a picture, and a decoder that panics is caught. (That last needs unwinding
//! panics, which is Rust's default.)
//!
//! Whatever the file holds, the result is upright 8-bit RGB: orientation applied, grey replicated, 16 bits rounded to
//! 8, transparency laid over white. (Pillow's `convert("RGB")` drops transparency instead and shows whatever colour was
//! hidden under it; white is what a viewer would have shown.) Colours are those of sRGB: a picture with another colour
//! profile is converted ([`super::colour`]), one without is taken as sRGB. Who asks for it by [`decode_rgba`] gets transparency as a fourth channel.

use std::io::Cursor;

use image::error::{ImageError, UnsupportedErrorKind};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use super::colour::to_srgb;
use crate::guard::guarded;

/// A decoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 1 (grey), 3 (red, green, blue) or 4 (and alpha).
    pub channels: usize,
    /// Shape `[height, width, channels]`, row by row.
    pub data: Vec<u8>,
}

impl Pixels {
    /// The grey values, shape `[height, width]`: ITU-R 601 luma with the very rounding of Pillow's `convert("L")`.
    pub fn grey(&self) -> Vec<u8> {
        if self.channels == 1 {
            return self.data.clone();
        }
        if self.channels == 4 {
            return Self { channels: 3, data: self.rgb(), ..*self }.grey();
        }
        let luma = |rgb: &[u8; 3]| {
            let [red, green, blue] = rgb.map(u32::from);
            ((19_595 * red + 38_470 * green + 7_471 * blue + 0x8000) >> 16) as u8
        };
        self.data.as_chunks::<3>().0.iter().map(luma).collect()
    }

    /// The colours, shape `[height, width, 3]`; grey is replicated, transparency laid over white.
    pub fn rgb(&self) -> Vec<u8> {
        match self.channels {
            3 => self.data.clone(),
            4 => self.data.as_chunks::<4>().0.iter().flat_map(rgb_over_white).collect(),
            _ => self.data.iter().flat_map(|&grey| [grey; 3]).collect(),
        }
    }

    /// Colours and alpha, shape `[height, width, 4]`; opaque where there is no alpha.
    pub fn rgba(&self) -> Vec<u8> {
        match self.channels {
            4 => self.data.clone(),
            3 => self.data.as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [r, g, b, u8::MAX]).collect(),
            _ => self.data.iter().flat_map(|&grey| [grey, grey, grey, u8::MAX]).collect(),
        }
    }
}

/// A decoded picture, and what is to be said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The picture.
    pub pixels: Pixels,
    /// Why its colour profile was ignored, where it has one that cannot be used.
    pub profile: Option<String>,
}

/// How much a file may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest file, in bytes.
    pub bytes: u64,
    /// The most pixels, width times height.
    pub pixels: u64,
    /// The most memory for decoding one picture, in bytes (as estimated from its header, and as its decoder keeps to).
    pub allocation: u64,
}

impl Default for Limits {
    /// 64 MiB of file, 100 million pixels, 512 MiB of memory.
    fn default() -> Self {
        Self { bytes: 64 << 20, pixels: 100_000_000, allocation: 512 << 20 }
    }
}

/// Why there are no pixels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes begin like no picture that is known.
    #[error("not a picture")]
    NotAnImage,
    /// The file ends before the picture does.
    #[error("cut off: {0}")]
    Truncated(String),
    /// The file contradicts itself.
    #[error("damaged: {0}")]
    Damaged(String),
    /// The picture is larger than allowed.
    #[error("too large: {width} x {height}, over the limit of {limit}")]
    TooLarge {
        /// Columns, as the header says.
        width: u64,
        /// Rows, as the header says.
        height: u64,
        /// The limit, in words.
        limit: String,
    },
    /// The file is larger than allowed.
    #[error("too large: a file of {bytes} bytes, over the limit of {limit}")]
    FileTooLarge {
        /// The file's size.
        bytes: u64,
        /// [`Limits::bytes`].
        limit: u64,
    },
    /// A picture of a kind that is not read.
    #[error("not supported: {0}")]
    Unsupported(String),
}

/// The name of the format that the bytes begin like (`jpeg`, `png`, `webp`, `bmp`, `tiff`, `gif`), if it is read.
pub fn format(bytes: &[u8]) -> Option<&'static str> {
    match image::guess_format(bytes).ok()? {
        ImageFormat::Jpeg => Some("jpeg"),
        ImageFormat::Png => Some("png"),
        ImageFormat::WebP => Some("webp"),
        ImageFormat::Bmp => Some("bmp"),
        ImageFormat::Tiff => Some("tiff"),
        ImageFormat::Gif => Some("gif"),
        _ => None,
    }
}

/// Decodes a picture to upright RGB, shape `[height, width, 3]`.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Pixels, DecodeError> {
    decode_and_tell(bytes, limits).map(|decoded| decoded.pixels)
}

/// The same, and what is to be said of it.
pub fn decode_and_tell(bytes: &[u8], limits: &Limits) -> Result<Decoded, DecodeError> {
    caught(bytes, limits, Form::Rgb)
}

/// Decodes a picture to upright RGB and alpha, shape `[height, width, 4]`; opaque where the file has no transparency.
/// What colour hides under transparency is kept.
pub fn decode_rgba(bytes: &[u8], limits: &Limits) -> Result<Pixels, DecodeError> {
    caught(bytes, limits, Form::Rgba).map(|decoded| decoded.pixels)
}

/// What a decoded picture is turned into.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// Three channels, transparency over white.
    Rgb,
    /// Four.
    Rgba,
}

impl Form {
    fn channels(self) -> u64 {
        match self {
            Form::Rgb => 3,
            Form::Rgba => 4,
        }
    }

    /// Turns a picture upright and into this form.
    pub(super) fn of(self, picture: DynamicImage, orientation: Orientation) -> Result<Pixels, DecodeError> {
        match self {
            Form::Rgb => flatten(picture, orientation),
            Form::Rgba => flatten_rgba(picture, orientation),
        }
    }
}

fn caught(bytes: &[u8], limits: &Limits, form: Form) -> Result<Decoded, DecodeError> {
    if bytes.len() as u64 > limits.bytes {
        return Err(DecodeError::FileTooLarge { bytes: bytes.len() as u64, limit: limits.bytes });
    }
    guarded("its decoder", || decode_by_format(bytes, limits, form))
        .unwrap_or_else(|panic| Err(DecodeError::Damaged(panic.to_string())))
}

fn decode_by_format(bytes: &[u8], limits: &Limits, form: Form) -> Result<Decoded, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Truncated("the file is empty".to_owned()));
    }
    let format = match image::guess_format(bytes) {
        Ok(format) => format,
        Err(_) if is_heif(bytes) => {
            return Err(DecodeError::Unsupported("HEIC; convert it to JPEG or PNG".to_owned()));
        }
        Err(_) => return Err(DecodeError::NotAnImage),
    };
    match format {
        ImageFormat::Jpeg => return super::jpeg::decode(bytes, limits, form),
        ImageFormat::Png => png_is_whole(bytes)?,
        ImageFormat::WebP => webp_is_whole(bytes)?,
        ImageFormat::Bmp | ImageFormat::Tiff | ImageFormat::Gif => {}
        // Formats that are guessed from two or three common bytes: such a file is more likely no picture at all.
        ImageFormat::Pnm | ImageFormat::Tga | ImageFormat::Ico => return Err(DecodeError::NotAnImage),
        other => return Err(DecodeError::Unsupported(format!("{other:?}; convert it to JPEG or PNG"))),
    }

    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut allowed = image::Limits::no_limits();
    allowed.max_alloc = Some(limits.allocation);
    reader.limits(allowed);
    let mut decoder = reader.into_decoder().map_err(|problem| reason(problem, (0, 0), limits))?;
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
    let picture = DynamicImage::from_decoder(decoder)
        .map_err(|problem| reason(problem, (width.into(), height.into()), limits))?;
    let (picture, ignored) = to_srgb(picture, profile.as_deref())?;
    Ok(Decoded { pixels: form.of(picture, orientation)?, profile: unread.or(ignored) })
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

/// Refuses a picture whose header promises more than is allowed. `decoded` is the decoder's own need in bytes, to which
/// the result is added.
pub(super) fn check_size(
    width: u64,
    height: u64,
    decoded: u64,
    limits: &Limits,
    form: Form,
) -> Result<(), DecodeError> {
    let pixels = width.saturating_mul(height);
    if pixels > limits.pixels {
        return Err(DecodeError::TooLarge { width, height, limit: format!("{} pixels", limits.pixels) });
    }
    if decoded.saturating_add(pixels.saturating_mul(form.channels())) > limits.allocation {
        return Err(DecodeError::TooLarge { width, height, limit: format!("{} bytes of memory", limits.allocation) });
    }
    if pixels == 0 {
        return Err(DecodeError::Damaged("a picture without pixels".to_owned()));
    }
    Ok(())
}

/// Turns the picture upright and into RGB8.
fn flatten(mut picture: DynamicImage, orientation: Orientation) -> Result<Pixels, DecodeError> {
    picture.apply_orientation(orientation);
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let data = match picture {
        DynamicImage::ImageRgb8(image) => image.into_raw(),
        DynamicImage::ImageLuma8(image) => image.as_raw().iter().flat_map(|&grey| [grey; 3]).collect(),
        DynamicImage::ImageLumaA8(image) => {
            let over = |&[grey, alpha]: &[u8; 2]| [over_white(grey, alpha); 3];
            image.as_raw().as_chunks::<2>().0.iter().flat_map(over).collect()
        }
        DynamicImage::ImageRgba8(image) => image.as_raw().as_chunks::<4>().0.iter().flat_map(rgb_over_white).collect(),
        DynamicImage::ImageRgb16(image) => image.as_raw().iter().map(|&value| eight_bits(value)).collect(),
        DynamicImage::ImageLuma16(image) => image.as_raw().iter().flat_map(|&grey| [eight_bits(grey); 3]).collect(),
        DynamicImage::ImageLumaA16(image) => {
            let over = |&[grey, alpha]: &[u16; 2]| [over_white(eight_bits(grey), eight_bits(alpha)); 3];
            image.as_raw().as_chunks::<2>().0.iter().flat_map(over).collect()
        }
        DynamicImage::ImageRgba16(image) => {
            let over = |pixel: &[u16; 4]| rgb_over_white(&pixel.map(eight_bits));
            image.as_raw().as_chunks::<4>().0.iter().flat_map(over).collect()
        }
        other => return Err(DecodeError::Unsupported(format!("pixels of the kind {:?}", other.color()))),
    };
    Ok(Pixels { width, height, channels: 3, data })
}

/// Turns the picture upright and into RGBA8.
fn flatten_rgba(mut picture: DynamicImage, orientation: Orientation) -> Result<Pixels, DecodeError> {
    picture.apply_orientation(orientation);
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let grey = |&[grey, alpha]: &[u8; 2]| [grey, grey, grey, alpha];
    let data = match picture {
        DynamicImage::ImageRgba8(image) => image.into_raw(),
        DynamicImage::ImageLumaA8(image) => image.as_raw().as_chunks::<2>().0.iter().flat_map(grey).collect(),
        DynamicImage::ImageRgba16(image) => image.as_raw().iter().map(|&value| eight_bits(value)).collect(),
        DynamicImage::ImageLumaA16(image) => {
            let pixels = image.as_raw().as_chunks::<2>().0.iter();
            pixels.flat_map(|pixel| grey(&pixel.map(eight_bits))).collect()
        }
        opaque => flatten(opaque, Orientation::NoTransforms)?.rgba(),
    };
    Ok(Pixels { width, height, channels: 4, data })
}

fn rgb_over_white(&[red, green, blue, alpha]: &[u8; 4]) -> [u8; 3] {
    [red, green, blue].map(|value| over_white(value, alpha))
}

fn eight_bits(value: u16) -> u8 {
    ((u32::from(value) + 128) / 257) as u8
}

fn over_white(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

fn is_heif(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(b"ftyp")
        && bytes
            .get(8..12)
            .is_some_and(|brand| [b"heic", b"heix", b"hevc", b"mif1", b"msf1"].iter().any(|b| *b == brand))
}

/// Walks a PNG's chunks to its end marker: a file that is cut off between two rows must not pass.
fn png_is_whole(bytes: &[u8]) -> Result<(), DecodeError> {
    let mut at = 8;
    while let Some(&[a, b, c, d, ref kind @ ..]) = bytes.get(at..at + 8) {
        if kind == b"IEND" {
            return Ok(());
        }
        at = at.saturating_add(12).saturating_add(u32::from_be_bytes([a, b, c, d]) as usize);
    }
    Err(DecodeError::Truncated("the file ends before the picture does".to_owned()))
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
            _ => one_line(&problem),
        }),
        ImageError::IoError(problem) if problem.kind() == std::io::ErrorKind::UnexpectedEof => {
            DecodeError::Truncated("the file ends before the picture does".to_owned())
        }
        other => DecodeError::Damaged(one_line(&other)),
    }
}

/// A decoder's message, fit for a list.
pub(super) fn one_line(problem: &impl std::fmt::Display) -> String {
    let text: String = problem.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    text.trim().trim_end_matches('.').to_owned()
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
