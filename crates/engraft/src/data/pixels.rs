//! Decoded images, what may be asked for them, and why there are none: what all decoders share.

use std::sync::OnceLock;

use image::DynamicImage;
use image::metadata::Orientation;

/// A decoded image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Columns.
    pub(crate) width: usize,
    /// Rows.
    pub(crate) height: usize,
    /// 1 (grey), 3 (red, green, blue) or 4 (and alpha).
    pub(crate) channels: usize,
    /// Shape `[height, width, channels]`, row by row.
    pub(crate) data: Vec<u8>,
}

impl Pixels {
    /// The grey values, shape `[height, width]`: ITU-R 601 luma with the very rounding of Pillow's `convert("L")`.
    pub(crate) fn grey(&self) -> Vec<u8> {
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
    pub(crate) fn rgb(&self) -> Vec<u8> {
        match self.channels {
            3 => self.data.clone(),
            4 => self.data.as_chunks::<4>().0.iter().flat_map(rgb_over_white).collect(),
            _ => self.data.iter().flat_map(|&grey| [grey; 3]).collect(),
        }
    }

    /// Colours and alpha, shape `[height, width, 4]`; opaque where there is no alpha.
    pub(crate) fn rgba(&self) -> Vec<u8> {
        match self.channels {
            4 => self.data.clone(),
            3 => self.data.as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [r, g, b, u8::MAX]).collect(),
            _ => self.data.iter().flat_map(|&grey| [grey, grey, grey, u8::MAX]).collect(),
        }
    }
}

/// A decoded image, and what is to be said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// The image.
    pub(crate) pixels: Pixels,
    /// Why its colour profile was ignored, where it has one that cannot be used.
    pub(crate) profile: Option<String>,
    /// Of 16 bits a channel the largest value that is there, transparency aside.
    pub(crate) peak: Option<u16>,
    /// Whether the file ends after the last pixel and before its end marker.
    pub(crate) unended: bool,
}

/// How much a file may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest file, in bytes.
    pub(crate) bytes: u64,
    /// The most pixels, width times height.
    pub(crate) pixels: u64,
    /// The most memory for decoding one image, in bytes (as estimated from its header, and as its decoder keeps to).
    pub(crate) allocation: u64,
}

/// Memory for decoding one image where nobody says otherwise, in bytes.
const MEMORY: u64 = 768 << 20;

/// What was said.
static ALLOWED: OnceLock<u64> = OnceLock::new();

/// Allows decoding one image so many bytes of memory, in this process and from now on; only the first call counts. No result
/// depends on it, but for which images are left out as too large.
pub fn allow_memory(bytes: u64) {
    // A second call changes nothing, as is documented.
    let _ = ALLOWED.set(bytes);
}

impl Limits {
    /// What so many bytes of memory allow: as many pixels as fit into them in three channels, and files of a twelfth.
    pub(crate) fn of_memory(bytes: u64) -> Self {
        Self { bytes: (bytes / 12).max(64 << 20), pixels: bytes / 3, allocation: bytes }
    }
}

impl Default for Limits {
    /// What [`allow_memory`] allows; else 64 MiB of file, 268 million pixels and 768 MiB of memory: a JPEG of all these
    /// pixels, or a PNG of half of them.
    fn default() -> Self {
        Self::of_memory(*ALLOWED.get().unwrap_or(&MEMORY))
    }
}

/// Why there are no pixels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes begin like no image that is known.
    #[error("not an image")]
    NotAnImage,
    /// Something else stands in place of the image: a Git LFS pointer, a web page.
    #[error("not an image: {0}")]
    StandIn(String),
    /// The file ends before the image does.
    #[error("cut off: {0}")]
    Truncated(String),
    /// The file contradicts itself.
    #[error("damaged: {0}")]
    Damaged(String),
    /// The image is larger than allowed.
    #[error("too large: {width} x {height}, over the limit of {limit} (--image-memory allows more)")]
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
        /// `Limits::bytes`.
        limit: u64,
    },
    /// An image of a kind that is not read.
    #[error("not supported: {0}")]
    Unsupported(String),
}

/// Bits of a channel of 16 that cameras and scanners use.
pub(crate) const DEPTHS: [u8; 4] = [8, 10, 12, 14];

/// Spreads values of fewer bits over all 16, and tells the largest that was there; nothing of images of other depths.
pub(super) fn spread(image: &mut DynamicImage, depth: Option<u8>) -> Option<u16> {
    let (values, colours, channels): (&mut [u16], usize, usize) = match image {
        DynamicImage::ImageLuma16(image) => (image, 1, 1),
        DynamicImage::ImageLumaA16(image) => (image, 1, 2),
        DynamicImage::ImageRgb16(image) => (image, 3, 3),
        DynamicImage::ImageRgba16(image) => (image, 3, 4),
        _ => return None,
    };
    let mut peak = 0;
    for pixel in values.chunks_exact_mut(channels) {
        for value in &mut pixel[..colours] {
            peak = peak.max(*value);
            if let Some(depth) = depth.filter(|depth| *depth < 16) {
                let most = (1u32 << depth) - 1;
                *value = ((u32::from(*value).min(most) * u32::from(u16::MAX) + most / 2) / most) as u16;
            }
        }
    }
    Some(peak)
}

/// What a decoded image is turned into.
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

    /// Turns an image upright and into this form.
    pub(super) fn of(self, image: DynamicImage, orientation: Orientation) -> Result<Pixels, DecodeError> {
        match self {
            Form::Rgb => flatten(image, orientation),
            Form::Rgba => flatten_rgba(image, orientation),
        }
    }
}

/// Refuses an image whose header promises more than is allowed. `decoded` is the decoder's own need in bytes, to which
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
        return Err(DecodeError::Damaged("an image without pixels".to_owned()));
    }
    Ok(())
}

/// Turns the image upright and into RGB8.
fn flatten(mut image: DynamicImage, orientation: Orientation) -> Result<Pixels, DecodeError> {
    image.apply_orientation(orientation);
    let (width, height) = (image.width() as usize, image.height() as usize);
    let data = match image {
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
        other => return Err(DecodeError::Unsupported(format!("pixels of {} bits", other.color().bits_per_pixel()))),
    };
    Ok(Pixels { width, height, channels: 3, data })
}

/// Turns the image upright and into RGBA8.
fn flatten_rgba(mut image: DynamicImage, orientation: Orientation) -> Result<Pixels, DecodeError> {
    image.apply_orientation(orientation);
    let (width, height) = (image.width() as usize, image.height() as usize);
    let grey = |&[grey, alpha]: &[u8; 2]| [grey, grey, grey, alpha];
    let data = match image {
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

/// A decoder's message, fit for a list.
pub(super) fn one_line(problem: &impl std::fmt::Display) -> String {
    let text: String = problem.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    text.trim().trim_end_matches('.').to_owned()
}
